//! The big tables: which network and country a number belongs to, which numbers were ported, what carriers take.
//!
//! Read whole from files of comma-separated values ([`Tables::load`], in seconds, so on no thread that carries
//! traffic) and never changed afterwards: a reload makes others and puts them in the place of these. What the files
//! hold is said in OPERATIONS.md, "Tables". A look-up allocates nothing and reads one line of the processor's
//! cache for each table that is asked.

mod csv;
mod digits;
mod networks;
mod ported;
mod prices;
mod problem;
mod spans;
mod steps;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io;
use std::path::Path;

use tidegate_config::{Config, Price};

pub use networks::{MccMnc, NETWORK_ROWS_MAX, NETWORKS_MAX, Network, NetworkIndex};
pub use ported::PORTED_ROWS_MAX;
pub use prices::{PRICE_ROWS_MAX, PRICES_MAX};
pub use problem::{FileProblems, PROBLEMS_MAX, TableProblem, TableProblems};

use digits::Number;
use networks::Networks;
use ported::Ported;
use prices::Prices;

use crate::router::CarrierIndex;

/// See the [module](self). The default are tables without a row.
#[derive(Debug, Default)]
pub struct Tables {
    networks: Networks,
    ported: Ported,
    /// By carrier, in the order of the configuration.
    prices: Vec<Prices>,
}

/// A number's network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Which.
    pub network: NetworkIndex,
    /// Where that stands.
    pub source: Source,
}

/// Which table knows a number's network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The number itself, among those that were ported.
    Ported,
    /// Its prefix, or a range that it is in.
    Prefix,
}

/// Rows and memory of one kind of table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableSize {
    /// Rows that were read.
    pub rows: u64,
    /// Octets of memory.
    pub octets: usize,
}

impl Tables {
    /// Reads every file that the configuration names.
    ///
    /// # Errors
    ///
    /// What is wrong with any of them.
    pub fn load(config: &Config) -> Result<Self, TableProblems> {
        let mut found = Vec::new();
        let mut networks = Networks::default();
        if let Some(file) = &config.tables.networks {
            let mut problems = FileProblems::none("tables.networks", file);
            if let Some(input) = open(file, &mut problems) {
                networks = Networks::read(input, &mut problems);
            }
            found.push(problems);
        }
        // A network may be unknown because its own row is broken. That has been told.
        let lenient = found.iter().any(|problems| !problems.is_empty());
        let mut ported = Ported::default();
        if let Some(file) = &config.tables.ported {
            let mut problems = FileProblems::none("tables.ported", file);
            ported = Ported::read(|| File::open(file), &networks, lenient, &mut problems);
            found.push(problems);
        }
        let mut prices = Vec::new();
        for carrier in &config.carriers {
            prices.push(Prices::default());
            let Some(file) = &carrier.prices else { continue };
            let mut problems = FileProblems::none(format!("carrier.{}.prices", carrier.name), file);
            if let (Some(input), Some(read)) = (open(file, &mut problems), prices.last_mut()) {
                *read = Prices::read(input, &networks, lenient, &mut problems);
            }
            found.push(problems);
        }
        found.retain(|problems| !problems.is_empty());
        if found.is_empty() {
            Ok(Self {
                networks,
                ported,
                prices,
            })
        } else {
            Err(TableProblems(found))
        }
    }

    /// The network of a number: where it was ported to, else what the most specific range or prefix says. Digits
    /// with the country code first; a `+` in front is skipped, and what is not all digits has none.
    pub fn find(&self, digits: &[u8]) -> Option<Found> {
        let number = Number::read(digits)?;
        // Both are asked though one answer would do: the processor then waits for both lines at the same time.
        let ported = self.ported.of(number);
        let placed = self.networks.of(number);
        match ported {
            Some(network) => Some(Found {
                network,
                source: Source::Ported,
            }),
            None => placed.map(|network| Found {
                network,
                source: Source::Prefix,
            }),
        }
    }

    /// The same, without saying where it stands.
    pub fn network_of(&self, digits: &[u8]) -> Option<NetworkIndex> {
        self.find(digits).map(|found| found.network)
    }

    /// What is known of a network that these tables named; of one that others named `None`, or another.
    pub fn network(&self, index: NetworkIndex) -> Option<&Network> {
        self.networks.list.get(usize::from(index.0))
    }

    /// The network of a mobile country and network code.
    pub fn by_code(&self, code: MccMnc) -> Option<NetworkIndex> {
        self.networks.index_of(code)
    }

    /// What a carrier takes for one part: the price of the network if it has one, else that of the longest prefix
    /// of the digits.
    pub fn price(
        &self,
        carrier: CarrierIndex,
        network: Option<NetworkIndex>,
        digits: &[u8],
    ) -> Option<Price> {
        self.prices.get(carrier.0)?.of(network, || Number::read(digits))
    }

    /// Rows and memory of the networks' table.
    pub fn networks_size(&self) -> TableSize {
        TableSize {
            rows: self.networks.rows,
            octets: self.networks.octets(),
        }
    }

    /// The same of the ported numbers.
    pub fn ported_size(&self) -> TableSize {
        TableSize {
            rows: self.ported.rows,
            octets: self.ported.octets(),
        }
    }

    /// The same of all carriers' prices.
    pub fn prices_size(&self) -> TableSize {
        TableSize {
            rows: self.prices.iter().map(|prices| prices.rows).sum(),
            octets: self.prices.iter().map(Prices::octets).sum(),
        }
    }

    /// Octets of memory that all of them take.
    pub fn octets(&self) -> usize {
        [self.networks_size(), self.ported_size(), self.prices_size()]
            .iter()
            .map(|size| size.octets)
            .sum()
    }
}

fn open(file: &Path, problems: &mut FileProblems) -> Option<File> {
    let opened: io::Result<File> = File::open(file);
    opened
        .map_err(|error| problems.file(format!("cannot be read: {error}")))
        .ok()
}
