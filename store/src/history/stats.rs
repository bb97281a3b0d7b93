//! What is left of messages that were de-identified: how many there were of each kind (EXP-3), kept for ever.
//!
//! An append-only file of entries, one for each lot, sealed under nothing: it holds no person's data. A lot that is entered
//! again (a sweep that was killed goes on) takes the place of the one before it, so each counts once.
//!
//! ```text
//! length u32 │ crc u32 │ version u8, length of the account's name u8, cells u16 │ key u32 │ period u32 │ account │
//! cells: day u32 │ country 2 │ network u32 │ mo u8 │ TON u8 │ state u8 │ parts u8 │ count u64
//! ```

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::path::PathBuf;

use tidegate_codec::identity::SystemId;

use super::Place;
use super::sweep::{Cell, Cells, Lot};
use crate::disk::{Access, Disk, DiskFile};
use crate::seal::KeyId;

const VERSION: u8 = 1;
const HEAD_LEN: usize = 8;
const CELL_LEN: usize = 4 + 2 + 4 + 4 + 8;
/// Octets of one entry at most.
const ENTRY_MAX: usize = 4 << 20;

/// Why statistics cannot be opened or added to.
#[derive(Debug, thiserror::Error)]
pub enum StatsError {
    /// The file.
    #[error("statistics: {0}")]
    Io(#[from] io::Error),
    /// One lot has more kinds of messages than an entry holds.
    #[error("statistics: a lot has more than 65 535 kinds of messages")]
    TooMany,
}

/// See the [module](self).
pub struct Stats<D: Disk> {
    file: D::File,
    end: u64,
    /// What each lot adds up to, by its key, with the account.
    lots: BTreeMap<KeyId, (SystemId, Cells)>,
    /// Entries that do not read.
    damaged: u64,
    broken: bool,
}

impl<D: Disk> Stats<D> {
    /// Opens the file in a directory, or makes it. What stands behind the last whole entry is a write that was cut off, and is
    /// cut off; what does not read between whole ones is counted.
    pub fn open(disk: &D, dir: &std::path::Path) -> io::Result<Self> {
        disk.create_dir_all(dir)?;
        let path: PathBuf = dir.join("stats");
        let file = match disk.open(&path, Access::ReadWrite) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let file = disk.create(&path, 0o600, 0)?;
                file.sync_all()?;
                disk.sync_dir(dir)?;
                file
            }
            file => file?,
        };
        let len = usize::try_from(file.len()?).map_err(io::Error::other)?;
        let mut octets = vec![0; len];
        let read = file.read_at(&mut octets, 0)?;
        octets.truncate(read);
        let mut stats = Self {
            file,
            end: 0,
            lots: BTreeMap::new(),
            damaged: 0,
            broken: false,
        };
        let mut rest = &octets[..];
        loop {
            if let Some((length, entry)) = cut(rest) {
                match read_entry(entry) {
                    Some((key, account, cells)) => {
                        stats.lots.insert(key, (account, cells));
                    }
                    None => stats.damaged += 1,
                }
                rest = &rest[length..];
                stats.end += length as u64;
                continue;
            }
            // Damage, if a whole one stands somewhere behind it: it stays, and so does what follows. Else a write was cut off.
            let Some(skipped) = (1..rest.len()).find(|place| cut(&rest[*place..]).is_some()) else {
                break;
            };
            stats.damaged += 1;
            rest = &rest[skipped..];
            stats.end += skipped as u64;
        }
        if !rest.is_empty() {
            stats.file.truncate(stats.end)?;
            stats.file.sync_data()?;
        }
        Ok(stats)
    }

    /// Entries that do not read.
    pub const fn damaged(&self) -> u64 {
        self.damaged
    }

    /// Enters what a lot adds up to, synced before it returns; in place of what it was before, if it was entered.
    pub fn enter(&mut self, lot: &Lot, cells: Cells) -> Result<(), StatsError> {
        if self.broken {
            return Err(io::Error::other("a sync has failed: nothing is entered before a restart").into());
        }
        let octets = entry(lot, &cells)?;
        if let Err(error) = self.file.write_at(&[IoSlice::new(&octets)], self.end) {
            let _ = self.file.truncate(self.end);
            return Err(error.into());
        }
        if let Err(error) = self.file.sync_data() {
            self.broken = true;
            return Err(error.into());
        }
        self.end += octets.len() as u64;
        self.lots.insert(lot.key, (lot.account, cells));
        Ok(())
    }

    /// All that was entered, added up by account.
    pub fn by_account(&self) -> BTreeMap<SystemId, Cells> {
        let mut all: BTreeMap<SystemId, Cells> = BTreeMap::new();
        for (account, cells) in self.lots.values() {
            let of = all.entry(*account).or_default();
            for (cell, count) in cells {
                *of.entry(cell.clone()).or_default() += count;
            }
        }
        all
    }
}

fn entry(lot: &Lot, cells: &Cells) -> Result<Vec<u8>, StatsError> {
    let count = u16::try_from(cells.len()).map_err(|_| StatsError::TooMany)?;
    let account = lot.account.as_bytes();
    let mut out = vec![0; HEAD_LEN];
    out.extend_from_slice(&[VERSION, u8::try_from(account.len()).unwrap_or(0)]);
    out.extend_from_slice(&count.to_be_bytes());
    out.extend_from_slice(&lot.key.0.to_be_bytes());
    out.extend_from_slice(&lot.period.to_be_bytes());
    out.extend_from_slice(account);
    for (cell, count) in cells {
        out.extend_from_slice(&cell.day.to_be_bytes());
        out.extend_from_slice(&cell.place.country);
        out.extend_from_slice(&cell.place.network.to_be_bytes());
        out.extend_from_slice(&[u8::from(cell.is_mo), cell.sender_ton, cell.state, cell.parts]);
        out.extend_from_slice(&count.to_be_bytes());
    }
    let length = u32::try_from(out.len() - HEAD_LEN).unwrap_or(u32::MAX);
    out[..4].copy_from_slice(&length.to_be_bytes());
    let crc = sum(&out[..4], &out[HEAD_LEN..]);
    out[4..HEAD_LEN].copy_from_slice(&crc.to_be_bytes());
    Ok(out)
}

/// Over the length as well, so that a length that is damaged is none.
fn sum(length: &[u8], entry: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(length);
    crc.update(entry);
    crc.finalize()
}

/// The entry in front: how long it is, and its octets; `None` when none is whole.
fn cut(octets: &[u8]) -> Option<(usize, &[u8])> {
    let length = u32::from_be_bytes(*octets.first_chunk()?) as usize;
    let crc = u32::from_be_bytes(*octets.get(4..)?.first_chunk()?);
    if length > ENTRY_MAX {
        return None;
    }
    let entry = octets.get(HEAD_LEN..HEAD_LEN + length)?;
    (sum(&octets[..4], entry) == crc).then_some((HEAD_LEN + length, entry))
}

fn read_entry(entry: &[u8]) -> Option<(KeyId, SystemId, Cells)> {
    let ([version, name, c0, c1], rest) = entry.split_first_chunk()?;
    if *version != VERSION {
        return None;
    }
    let count = usize::from(u16::from_be_bytes([*c0, *c1]));
    let (key, rest) = rest.split_first_chunk()?;
    let (_period, rest) = rest.split_first_chunk::<4>()?;
    let (account, cells) = rest.split_at_checked(usize::from(*name))?;
    let (cells, rest) = cells.as_chunks::<CELL_LEN>();
    if !rest.is_empty() || cells.len() != count {
        return None;
    }
    let cells = cells.iter().map(|octets| {
        let word =
            |at: usize| u32::from_be_bytes([octets[at], octets[at + 1], octets[at + 2], octets[at + 3]]);
        let cell = Cell {
            day: word(0),
            place: Place {
                country: [octets[4], octets[5]],
                network: word(6),
            },
            is_mo: octets[10] != 0,
            sender_ton: octets[11],
            state: octets[12],
            parts: octets[13],
        };
        (cell, u64::from(word(14)) << 32 | u64::from(word(18)))
    });
    Some((
        KeyId(u32::from_be_bytes(*key)),
        SystemId::new(account).ok()?,
        cells.collect(),
    ))
}
