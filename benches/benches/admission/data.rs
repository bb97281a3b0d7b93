//! Files made from a seed: twenty-four countries, three thousand networks, prefixes of five to nine digits of which some
//! lie within others, a few ranges, and numbers of the same countries.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use tidegate_config::Config;

use super::Fallible;

/// Where numbers of mobiles begin, and how many digits follow.
const AREAS: [(&str, &str, u32); 24] = [
    ("447", "GB", 9),
    ("336", "FR", 8),
    ("491", "DE", 9),
    ("346", "ES", 8),
    ("393", "IT", 9),
    ("316", "NL", 8),
    ("467", "SE", 8),
    ("417", "CH", 8),
    ("485", "PL", 8),
    ("919", "IN", 9),
    ("918", "IN", 9),
    ("861", "CN", 10),
    ("551", "BR", 9),
    ("521", "MX", 9),
    ("628", "ID", 9),
    ("639", "PH", 9),
    ("234", "NG", 10),
    ("254", "KE", 9),
    ("201", "EG", 9),
    ("905", "TR", 9),
    ("971", "AE", 8),
    ("121", "US", 8),
    ("133", "US", 8),
    ("197", "US", 8),
];
const NETWORKS: u32 = 3_000;

/// The files, and numbers to look up.
pub(crate) struct Made {
    pub(crate) config: Config,
    /// Numbers that were ported, in no order.
    pub(crate) ported: Vec<u64>,
    random: Seeded,
}

/// Numbers at random, the same in every run.
pub(crate) struct Seeded(ChaCha20Rng);

impl Made {
    pub(crate) fn new(dir: &Path, ported: usize) -> Fallible<Self> {
        let text = include_str!("../../../config/bench.toml");
        let mut made = Self {
            config: tidegate_config::parse(text)?,
            ported: Vec::new(),
            random: Seeded::new(6),
        };
        let file = dir.join("networks.csv");
        made.write_networks(&file, ported / 10)?;
        made.config.tables.networks = Some(file);
        let file = dir.join("ported.csv");
        made.write_ported(&file, ported)?;
        made.config.tables.ported = Some(file);
        let file = dir.join("prices.csv");
        let mut prices = BufWriter::new(File::create(&file)?);
        writeln!(prices, "network,price")?;
        for network in 0..NETWORKS {
            writeln!(prices, "{},0.{:04}", code(network), made.random.below(1_000))?;
        }
        prices.flush()?;
        made.config.carriers.first_mut().ok_or("no carrier")?.prices = Some(file);
        Ok(made)
    }

    fn write_networks(&mut self, file: &Path, rows: usize) -> Fallible<()> {
        let mut out = BufWriter::new(File::create(file)?);
        writeln!(out, "prefix,from,to,network,country")?;
        let mut seen = HashSet::new();
        // Every network has a row, or it would not be known.
        let mut written = 0_u32;
        while seen.len() < rows.max(NETWORKS as usize) {
            let area = self.random.below(AREAS.len() as u64);
            let (start, ..) = AREAS[usize::try_from(area)?];
            // Short ones are few: there are not many.
            let digits = [2, 3, 4, 5, 5, 6, 6, 6][usize::try_from(self.random.below(8))?];
            let rest = self.random.below(10_u64.pow(digits));
            let prefix = format!("{start}{rest:0width$}", width = digits as usize);
            if !seen.insert(prefix.clone()) {
                continue;
            }
            let network = if written < NETWORKS {
                written
            } else {
                u32::try_from(self.random.below(NETWORKS.into()))?
            };
            written += 1;
            let (code, country) = (code(network), country(network));
            // A twentieth are ranges, within whatever has their prefix.
            if self.random.below(20) == 0 {
                writeln!(out, ",{prefix}2,{prefix}6,{code},{country}")?;
            } else {
                writeln!(out, "{prefix},,,{code},{country}")?;
            }
        }
        Ok(out.flush()?)
    }

    fn write_ported(&mut self, file: &Path, rows: usize) -> Fallible<()> {
        while self.ported.len() < rows {
            let missing = rows - self.ported.len();
            for _ in 0..missing {
                let number = self.random.number();
                self.ported.push(number);
            }
            self.ported.sort_unstable();
            self.ported.dedup();
        }
        for at in (1..rows).rev() {
            let other = usize::try_from(self.random.below(at as u64 + 1))?;
            self.ported.swap(at, other);
        }
        let mut out = BufWriter::new(File::create(file)?);
        writeln!(out, "number,network")?;
        for at in 0..rows {
            let network = u32::try_from(self.random.below(NETWORKS.into()))?;
            writeln!(out, "{},{}", self.ported[at], code(network))?;
        }
        Ok(out.flush()?)
    }
}

impl Seeded {
    pub(crate) fn new(seed: u64) -> Self {
        Self(ChaCha20Rng::seed_from_u64(seed))
    }

    /// A number of one of the areas, ported or not.
    pub(crate) fn number(&mut self) -> u64 {
        let area = usize::try_from(self.below(AREAS.len() as u64)).unwrap_or(0);
        let (start, _, digits) = AREAS[area];
        let start: u64 = start.parse().unwrap_or(0);
        start * 10_u64.pow(digits) + self.below(10_u64.pow(digits))
    }

    /// One below another.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        u64::try_from((u128::from(self.0.next_u64()) * u128::from(end)) >> 64).unwrap_or(0)
    }
}

fn code(network: u32) -> u32 {
    200_000 + network * 17
}

fn country(network: u32) -> &'static str {
    AREAS[network as usize % AREAS.len()].1
}
