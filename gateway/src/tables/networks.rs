//! Networks, and the prefixes and ranges of their numbers.

use std::fmt;
use std::io::Read;

use hashbrown::HashMap;
use tidegate_config::Country;

use super::csv::Rows;
use super::digits::{KEY_DIGITS, Number, span};
use super::problem::FileProblems;
use super::spans::{Span, steps};
use super::steps::{NONE, Steps};

/// Rows of a file of networks, at most: 24 octets each while it is read, some 27 afterwards.
pub const NETWORK_ROWS_MAX: u64 = 8_000_000;
/// Networks, at most. There are about 3 000 in the world.
pub const NETWORKS_MAX: usize = 16_000;

const _: () = assert!(NETWORKS_MAX < NONE as usize);

/// A network's place in its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NetworkIndex(pub(super) u16);

/// What is known of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// Its mobile country code and mobile network code.
    pub mcc_mnc: MccMnc,
    /// Where it is.
    pub country: Country,
}

/// Mobile country code (3 digits) and mobile network code (2 or 3) of ITU-T E.212. 262-01 and 262-001 differ.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MccMnc(u32);

impl MccMnc {
    /// Reads 5 or 6 digits.
    pub fn read(digits: &[u8]) -> Option<Self> {
        if !(5..=6).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        // A 1 in front tells how many zeros are part of it.
        let number = digits
            .iter()
            .fold(1, |number, digit| number * 10 + u32::from(digit - b'0'));
        Some(Self(number))
    }

    /// As one number that stands for no other code: a 1, then its digits.
    pub const fn number(self) -> u32 {
        self.0
    }

    /// From what [`MccMnc::number`] gave; `None` for what is no code.
    pub fn from_number(number: u32) -> Option<Self> {
        (100_000..200_000)
            .contains(&number)
            .then_some(Self(number))
            .or_else(|| (1_000_000..2_000_000).contains(&number).then_some(Self(number)))
    }

    /// The mobile country code alone.
    pub fn mcc(self) -> u16 {
        // Behind the 1 in front, 3 digits of 5 or 6.
        let mcc = if self.0 < 1_000_000 {
            self.0 / 100
        } else {
            self.0 / 1_000
        };
        u16::try_from(mcc % 1_000).unwrap_or(0)
    }
}

impl fmt::Display for MccMnc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 1_000_000 {
            write!(f, "{:05}", self.0 - 100_000)
        } else {
            write!(f, "{:06}", self.0 - 1_000_000)
        }
    }
}

impl fmt::Debug for MccMnc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Networks {
    pub(super) list: Vec<Network>,
    by_code: HashMap<MccMnc, NetworkIndex>,
    steps: Steps,
    pub(super) rows: u64,
}

impl Networks {
    /// Reads a file: columns `prefix`, or `from` and `to`, or all three with either filled in each row, `network`
    /// and `country`. The innermost row holds.
    pub(super) fn read(input: impl Read, problems: &mut FileProblems) -> Self {
        let mut networks = Self::default();
        let mut rows = Rows::new(input, NETWORK_ROWS_MAX);
        let names = ["prefix", "from", "to", "network", "country"];
        let Some(columns) = rows.header(names, problems) else {
            return networks;
        };
        let [prefix, from, to, network, country] = columns;
        let mut missing = vec![("network", network), ("country", country)];
        if prefix.is_none() {
            missing.extend([("from", from), ("to", to)]);
        }
        for (name, _) in missing.into_iter().filter(|(_, column)| column.is_none()) {
            problems.value(rows.line(), name, "the header does not have this column");
        }
        if !problems.is_empty() {
            return networks;
        }
        let mut spans = Vec::new();
        // In which line a network was first.
        let mut first = Vec::new();
        while rows.advance(problems) {
            networks.rows += 1;
            let line = rows.line();
            let numbers = read_span(rows.value(prefix), [rows.value(from), rows.value(to)]);
            let numbers = numbers.map_err(|(column, what)| problems.value(line, column, what));
            let code = MccMnc::read(rows.value(network));
            if code.is_none() {
                problems.value(line, "network", "no MCC and MNC: write 5 or 6 digits");
            }
            let country = str::from_utf8(rows.value(country)).ok().and_then(Country::known);
            if country.is_none() {
                let what = "no country: write two capital letters of ISO 3166-1, such as GB (not UK)";
                problems.value(line, "country", what);
            }
            let (Ok((start, end)), Some(mcc_mnc), Some(country)) = (numbers, code, country) else {
                continue;
            };
            let network = Network { mcc_mnc, country };
            let line = u32::try_from(line).unwrap_or(u32::MAX);
            if let Some(index) = networks.place(network, line, &mut first, problems) {
                let value = index.0;
                spans.push(Span {
                    start,
                    end,
                    line,
                    value,
                });
            }
        }
        networks.steps = steps(spans, problems);
        networks
    }

    /// The place of a network, which may be new.
    fn place(
        &mut self,
        network: Network,
        line: u32,
        first: &mut Vec<u32>,
        problems: &mut FileProblems,
    ) -> Option<NetworkIndex> {
        if let Some(index) = self.by_code.get(&network.mcc_mnc) {
            let known = self.list.get(usize::from(index.0))?;
            if known.country != network.country {
                let first = first.get(usize::from(index.0)).copied().unwrap_or_default();
                let what = format!("another than line {first} has for this network");
                problems.value(line.into(), "country", what);
            }
            return Some(*index);
        }
        let index = u16::try_from(self.list.len()).ok();
        let Some(index) = index.filter(|index| usize::from(*index) < NETWORKS_MAX) else {
            let what = format!("more than {NETWORKS_MAX} networks");
            problems.value(line.into(), "network", what);
            return None;
        };
        self.list.push(network);
        first.push(line);
        self.by_code.insert(network.mcc_mnc, NetworkIndex(index));
        Some(NetworkIndex(index))
    }

    /// The network of a code.
    pub(super) fn index_of(&self, code: MccMnc) -> Option<NetworkIndex> {
        self.by_code.get(&code).copied()
    }

    /// The network that a number has by its beginning.
    pub(super) fn of(&self, number: Number) -> Option<NetworkIndex> {
        self.steps.at(number.key).map(NetworkIndex)
    }

    pub(super) fn octets(&self) -> usize {
        self.list.capacity() * size_of::<Network>() + self.by_code.allocation_size() + self.steps.octets()
    }
}

/// Keys of a row, from the first to the one after the last; else the column and what is wrong with it.
fn read_span(prefix: &[u8], [from, to]: [&[u8]; 2]) -> Result<(u64, u64), (&'static str, String)> {
    let digits = || format!("write 1 to {KEY_DIGITS} digits that do not begin with 0");
    if !prefix.is_empty() {
        if !from.is_empty() || !to.is_empty() {
            return Err(("prefix", "a prefix and a range in one row: keep one".to_owned()));
        }
        let (start, width) = span(prefix).ok_or_else(|| ("prefix", format!("no prefix: {}", digits())))?;
        return Ok((start, start + width));
    }
    if from.is_empty() && to.is_empty() {
        return Err(("prefix", "neither a prefix nor a range in this row".to_owned()));
    }
    let (start, _) = span(from).ok_or_else(|| ("from", format!("no number: {}", digits())))?;
    let (last, width) = span(to).ok_or_else(|| ("to", format!("no number: {}", digits())))?;
    if from.len() != to.len() {
        return Err(("to", "not as many digits as in `from`".to_owned()));
    }
    if last < start {
        return Err(("to", "less than `from`".to_owned()));
    }
    Ok((start, last + width))
}
