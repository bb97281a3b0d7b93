//! What the rules that stand behind every message cost it.
//!
//!     cargo bench -p tidegate-benches --bench standing

use std::error::Error;
use std::hint::black_box;
use std::io::Write as _;

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};
use tidegate_benches::contest::{self, Contest};
use tidegate_config::SendingHours;
use tidegate_gateway::hours::{Hints, Hours};

/// What may fail here fails the run.
type Fallible<T> = Result<T, Box<dyn Error>>;

const ROUNDS: usize = 60;
/// More than any cache of the processor's keeps of their ways through the table.
const NUMBERS: usize = 1 << 16;
/// A Monday noon in New York, and how much of the day a run goes through.
const NOON_MS: u64 = 1_783_353_600_000;

fn main() -> Fallible<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [turn, rest @ ..] = arguments.as_slice()
        && turn == "--turn"
    {
        return contest::turn(vec![hours()], rest);
    }
    let mut out = std::io::stdout();
    writeln!(out, "| hours of a recipient | ns | instructions |\n|---|--:|--:|")?;
    for figures in hours().run(ROUNDS)?.figures {
        let [low, middle, high] = figures.ns;
        let count = figures.instructions;
        let count = count.map_or("SKIPPED".to_owned(), |count| format!("{count:.0}"));
        writeln!(
            out,
            "| {} | {middle:.0} ({low:.0}–{high:.0}) | {count} |",
            figures.who
        )?;
    }
    Ok(())
}

fn hours() -> Contest {
    let mut contest = Contest::new("hours");
    for (who, codes) in [
        ("numbers of forty area codes", &AREA_CODES[..]),
        ("toll-free numbers", &["1800", "1833", "1844", "1855"][..]),
        ("numbers of France and India", &["336", "919"][..]),
        ("numbers of a country without rules", &["447"][..]),
    ] {
        let (judge, numbers, mut at) = (Hours::new(&SendingHours::default()), numbers(codes), 0);
        contest = contest.ours(who, move || {
            at = (at + 1) % NUMBERS;
            if let Some(number) = numbers.get(at) {
                black_box(judge.judge(number, &Hints::NONE, NOON_MS + at as u64));
            }
        });
    }
    contest
}

/// Of the biggest states, and of those with rules of their own.
const AREA_CODES: [&str; 40] = [
    "1201", "1203", "1205", "1206", "1208", "1212", "1213", "1214", "1215", "1216", "1225", "1228", "1240",
    "1248", "1281", "1301", "1303", "1305", "1312", "1313", "1347", "1401", "1404", "1405", "1407", "1410",
    "1412", "1415", "1423", "1469", "1480", "1502", "1504", "1512", "1602", "1702", "1713", "1718", "1813",
    "1917",
];

/// Eleven digits each, the same ones in every run.
fn numbers(codes: &[&str]) -> Vec<[u8; 11]> {
    let mut random = ChaCha20Rng::seed_from_u64(7);
    let number = |_| {
        let mut number = [b'2'; 11];
        let code = codes
            .get(random.next_u32() as usize % codes.len())
            .copied()
            .unwrap_or("1");
        for (place, digit) in number.iter_mut().enumerate() {
            let random = b'0' + (random.next_u32() % 10) as u8;
            *digit = code.as_bytes().get(place).copied().unwrap_or(random);
        }
        number
    };
    (0..NUMBERS).map(number).collect()
}
