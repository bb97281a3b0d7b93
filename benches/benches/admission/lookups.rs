//! Look-ups one at a time, as a lone message has them, and sixteen in a row, as a turn has them.

use std::fmt::Write as _;
use std::hint::black_box;

use tidegate_gateway::router::CarrierIndex;
use tidegate_gateway::tables::Tables;

use super::data::{Made, Seeded};
use super::{Fallible, nanoseconds, now, percentile};

/// Look-ups of one measurement: far more than caches hold.
const LOOKUPS: usize = 400_000;
/// Look-ups in a row.
const ROW: usize = 16;
/// Measurements, of which the middle one counts: the machine may be shared.
const ROUNDS: usize = 5;

/// Digits as a PDU has them: at hand, and not behind a pointer of their own.
#[derive(Clone, Copy)]
pub(crate) struct Digits {
    octets: [u8; 15],
    length: usize,
}

impl Digits {
    fn new(number: u64) -> Self {
        let text = number.to_string();
        let mut octets = [0; 15];
        octets[..text.len()].copy_from_slice(text.as_bytes());
        let length = text.len();
        Self { octets, length }
    }

    pub(crate) fn get(&self) -> &[u8] {
        &self.octets[..self.length]
    }
}

pub(crate) fn report(tables: &Tables, made: &Made) -> Fallible<String> {
    let mut random = Seeded::new(7);
    let ported = numbers(made, &mut random, 1);
    let other = numbers(made, &mut random, usize::MAX);
    let mixed = numbers(made, &mut random, 4);
    let mut out =
        "| look-ups, ns | p50, alone | p99, alone | p50, 16 in a row | p99, 16 in a row |\n".to_owned();
    out += "|---|--:|--:|--:|--:|\n";
    let find = |digits: &Digits| {
        tables
            .find(digits.get())
            .map_or(0, |found| usize::from(tables.network(found.network).is_some()))
    };
    let price = |digits: &Digits| {
        let network = tables.network_of(digits.get());
        tables
            .price(CarrierIndex(0), network, digits.get())
            .map_or(0, |price| index(price.millionths()))
    };
    // What one wait for memory is on this machine now: octets at random places, as many as ported numbers take.
    let memory = vec![1_u64; tables.ported_size().octets / size_of::<u64>()];
    let floor = |digits: &Digits| {
        let number = digits.get().iter().fold(0_u64, |number, digit| {
            number.wrapping_mul(10).wrapping_add(u64::from(*digit))
        });
        let mixed = u128::from(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let place = u64::try_from((mixed * memory.len() as u128) >> 64).unwrap_or(0);
        memory.get(index(place)).map_or(0, |found| index(*found))
    };
    for (name, numbers, of) in [
        (
            "one read at a random place of as much memory",
            &other,
            &floor as &dyn Fn(&Digits) -> usize,
        ),
        ("network of a ported number", &ported, &find),
        ("network of a number by its prefix", &other, &find),
        ("network, one of four ported", &mixed, &find),
        ("network and price, one of four ported", &mixed, &price),
    ] {
        let [one, one_99, row, row_99] = measure(numbers, of);
        writeln!(out, "| {name} | {one} | {one_99} | {row} | {row_99} |")?;
    }
    Ok(out)
}

/// Numbers as PDUs have them, one of so many ported.
pub(crate) fn numbers(made: &Made, random: &mut Seeded, one_of: usize) -> Vec<Digits> {
    let number = |at: usize| {
        let number = match at % one_of {
            0 => made.ported[index(random.below(made.ported.len() as u64))],
            _ => random.number(),
        };
        Digits::new(number)
    };
    (1..=LOOKUPS).map(number).collect()
}

/// Percentiles of the middle one of several rounds.
fn measure(numbers: &[Digits], of: &dyn Fn(&Digits) -> usize) -> [u64; 4] {
    let mut rounds: Vec<[u64; 4]> = (0..ROUNDS)
        .map(|_| {
            let idle = alone(numbers, &|_| 0);
            let overhead = percentile(&idle, 500);
            let alone = alone(numbers, of);
            let mut rows: Vec<u64> = numbers
                .chunks_exact(ROW)
                .map(|row| {
                    let began = now();
                    black_box(row.iter().map(|digits| of(black_box(digits))).sum::<usize>());
                    nanoseconds(began.elapsed()).saturating_sub(overhead) / ROW as u64
                })
                .collect();
            rows.sort_unstable();
            [
                percentile(&alone, 500).saturating_sub(overhead),
                percentile(&alone, 990).saturating_sub(overhead),
                percentile(&rows, 500),
                percentile(&rows, 990),
            ]
        })
        .collect();
    rounds.sort_unstable_by_key(|round| round[0]);
    rounds[ROUNDS / 2]
}

fn alone(numbers: &[Digits], of: &dyn Fn(&Digits) -> usize) -> Vec<u64> {
    let mut took: Vec<u64> = numbers
        .iter()
        .map(|digits| {
            let digits = black_box(*digits);
            let began = now();
            black_box(of(&digits));
            nanoseconds(began.elapsed())
        })
        .collect();
    took.sort_unstable();
    took
}

fn index(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
