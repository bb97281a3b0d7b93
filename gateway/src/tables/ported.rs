//! Numbers that changed their network: ten million of them, each found in one line of the processor's cache.
//!
//! A number of 50 bits and a network of 14 share 8 octets. A number's place among the lines comes from a hash of it;
//! where that line is full, it stands in the next that is not. Two thirds of all places are taken.

use std::fmt;
use std::io::{self, Read};

use hashbrown::HashMap;

use super::csv::{Column, Rows};
use super::digits::{NUMBER_DIGITS, Number, whole};
use super::networks::{MccMnc, NetworkIndex, Networks};
use super::problem::{FileProblems, PROBLEMS_MAX};
use super::steps::VALUE_BITS;

/// Rows of a file of ported numbers, at most: 8 octets each while it is read, 12 afterwards.
pub const PORTED_ROWS_MAX: u64 = 64_000_000;

/// Places of a line.
const PLACES: usize = 8;
const NETWORK_MASK: u64 = (1 << VALUE_BITS) - 1;

/// A line of the processor's cache: numbers with their networks, then zeros. 0 is no international number.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line([u64; PLACES]);

/// See the [module](self).
#[derive(Default)]
pub(super) struct Ported {
    lines: Vec<Line>,
    pub(super) rows: u64,
}

// These are people's numbers (P4).
impl fmt::Debug for Ported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ported")
            .field("rows", &self.rows)
            .finish_non_exhaustive()
    }
}

impl Ported {
    /// Reads a file: columns `number` and `network`. `open` gives it from its beginning; a second time if numbers
    /// stand there twice, to tell where. With `lenient` a network that is not known is no problem.
    pub(super) fn read<R: Read>(
        open: impl Fn() -> io::Result<R>,
        networks: &Networks,
        lenient: bool,
        problems: &mut FileProblems,
    ) -> Self {
        let Some((mut rows, [number, network])) = begin(&open, problems) else {
            return Self::default();
        };
        let mut numbers = Vec::new();
        while rows.advance(problems) {
            let value = whole(rows.value(number));
            if value.is_none() {
                let what = format!("no number: write up to {NUMBER_DIGITS} digits, the country code first");
                problems.value(rows.line(), "number", what);
            }
            let code = MccMnc::read(rows.value(network));
            let index = code.and_then(|code| networks.index_of(code));
            if index.is_none() && (code.is_none() || !lenient) {
                let what = match code {
                    None => "no MCC and MNC: write 5 or 6 digits",
                    Some(_) => "not in `tables.networks`",
                };
                problems.value(rows.line(), "network", what);
            }
            if let (Some(value), Some(NetworkIndex(index))) = (value, index) {
                numbers.push(value << VALUE_BITS | u64::from(index));
            }
        }
        let (ported, twice) = Self::new(&numbers);
        if !twice.is_empty() {
            tell_repeated(&open, &twice, problems);
        }
        ported
    }

    /// Puts numbers in their places; and some of those that come twice, as they stand there.
    fn new(numbers: &[u64]) -> (Self, Vec<u64>) {
        let mut twice = Vec::new();
        if numbers.is_empty() {
            return (Self::default(), twice);
        }
        // Three places for two numbers, so that some are left whatever the hash does: the search ends there.
        let lines = numbers.len() * 3 / (2 * PLACES) + 1;
        let mut ported = Self {
            lines: vec![Line([0; PLACES]); lines],
            rows: numbers.len() as u64,
        };
        for number in numbers {
            let value = number >> VALUE_BITS;
            let mut at = ported.home(value);
            loop {
                let Some(Line(places)) = ported.lines.get_mut(at) else {
                    at = 0;
                    continue;
                };
                let place = places
                    .iter_mut()
                    .find(|place| **place == 0 || **place >> VALUE_BITS == value);
                match place {
                    None => at += 1,
                    Some(place) => {
                        if *place == 0 {
                            *place = *number;
                        } else if twice.len() < PROBLEMS_MAX {
                            twice.push(value);
                        }
                        break;
                    }
                }
            }
        }
        (ported, twice)
    }

    /// The line in which a number's search begins.
    fn home(&self, value: u64) -> usize {
        let mixed = value.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ mixed >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
        // The upper half of the product is below the number of lines.
        usize::try_from((u128::from(mixed) * self.lines.len() as u128) >> 64).unwrap_or(0)
    }

    /// The network to which a number went.
    pub(super) fn of(&self, number: Number) -> Option<NetworkIndex> {
        let value = number.value;
        let mut at = self.home(value);
        let Line(places) = self.lines.get(at).filter(|_| value != 0)?;
        let mut found = among(places, value);
        while found.is_none() && self.goes_on(at) {
            at = (at + 1) % self.lines.len();
            found = self.lines.get(at).and_then(|Line(places)| among(places, value));
        }
        found
    }

    /// Whether a line is full, so that what found no place there stands in the next.
    fn goes_on(&self, at: usize) -> bool {
        self.lines
            .get(at)
            .is_some_and(|Line(places)| places[PLACES - 1] != 0)
    }

    pub(super) fn octets(&self) -> usize {
        self.lines.capacity() * size_of::<Line>()
    }
}

/// The network of a number in its line. Every place is looked at and none chosen by a branch: which it is cannot be
/// guessed, and a wrong guess would throw away what the processor has begun of the next look-ups.
fn among(places: &[u64; PLACES], value: u64) -> Option<NetworkIndex> {
    let is = |place: u64| u64::from(place >> VALUE_BITS == value).wrapping_neg();
    let found = places.iter().fold(0, |found, place| found | (place & is(*place)));
    let network = u16::try_from(found & NETWORK_MASK).ok();
    network.filter(|_| found != 0).map(NetworkIndex)
}

/// The rows after the header, and where number and network stand in them.
fn begin<R: Read>(
    open: impl Fn() -> io::Result<R>,
    problems: &mut FileProblems,
) -> Option<(Rows<R>, [Column; 2])> {
    let input = open()
        .map_err(|error| problems.file(format!("cannot be read: {error}")))
        .ok()?;
    let mut rows = Rows::new(input, PORTED_ROWS_MAX);
    let names = ["number", "network"];
    let columns = rows.header(names, problems)?;
    for (name, _) in names.iter().zip(columns).filter(|(_, column)| column.is_none()) {
        problems.value(rows.line(), name, "the header does not have this column");
    }
    problems.is_empty().then_some((rows, columns))
}

/// Tells in which lines numbers stand again.
fn tell_repeated<R: Read>(open: impl Fn() -> io::Result<R>, twice: &[u64], problems: &mut FileProblems) {
    let mut seen: HashMap<u64, Option<u64>> = twice.iter().map(|value| (*value, None)).collect();
    // What is wrong with the rows themselves has been told.
    let mut silent = FileProblems::none("", &problems.file);
    let Some((mut rows, [number, _])) = begin(open, &mut silent) else {
        return problems.file("numbers stand in it twice");
    };
    let told = problems.listed.len() as u64 + problems.more;
    while rows.advance(&mut silent) {
        let first = whole(rows.value(number)).and_then(|value| seen.get_mut(&value));
        match first {
            None => {}
            Some(first @ None) => *first = Some(rows.line()),
            Some(Some(first)) => {
                let what = format!("the same number as in line {first}");
                problems.value(rows.line(), "number", what);
            }
        }
    }
    // The file may be another by now.
    if problems.listed.len() as u64 + problems.more == told {
        problems.file("numbers stand in it twice");
    }
}
