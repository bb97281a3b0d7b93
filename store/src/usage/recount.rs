//! Counting from the files alone, without keys and without changing anything: for the command line, when no gateway runs.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use crate::disk::{Access, Disk};
use crate::record::{self, Kind};
use crate::segment::{self, Found, Scan};

use super::files::look;
use super::{Period, Totals, Used};

/// What an account has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccountUsage(Totals);

impl AccountUsage {
    /// Parts of a day and of a month.
    pub fn used(&self, period: Period) -> Used {
        self.0.used(period)
    }
}

/// What the snapshot in `usage_dir` counts, and what the segments in `spool_dir` behind it say: by account. Nobody may
/// write there meanwhile. One segment is in memory at a time.
pub fn recount<D: Disk>(
    disk: &D,
    spool_dir: &Path,
    usage_dir: &Path,
) -> io::Result<BTreeMap<String, AccountUsage>> {
    let snapshot = look(disk, usage_dir)?.unwrap_or_default();
    let mut accounts: BTreeMap<String, AccountUsage> = snapshot
        .accounts
        .into_iter()
        .map(|(name, totals)| (name, AccountUsage(totals)))
        .collect();
    let mut numbers: Vec<u64> = disk
        .list(spool_dir)?
        .iter()
        .filter_map(|entry| segment::number_of(&entry.name))
        .filter(|number| *number > snapshot.segment)
        .collect();
    numbers.sort_unstable();
    for number in numbers {
        let file = disk.open(&spool_dir.join(segment::file_name(number)), Access::Read)?;
        let mut octets = segment::read_all(&file)?;
        let batches: Vec<Found> = Scan::new(&octets, number).collect();
        for found in batches {
            if let Found::Batch { header, at } = found
                && let Some(records) = octets.get_mut(at..at + header.len as usize)
            {
                count(records, &mut accounts);
            }
        }
    }
    Ok(accounts)
}

fn count(mut records: &mut [u8], accounts: &mut BTreeMap<String, AccountUsage>) {
    while let Some((raw, rest)) = record::cut(records) {
        records = rest;
        let Ok(raw) = raw else { continue };
        if raw.head.kind == Kind::Counted
            && let Ok(counted) = record::get_counted(&mut &*raw.payload)
        {
            let account = accounts.entry(raw.head.account.as_str().to_owned()).or_default();
            account.0.add(counted);
        }
    }
}
