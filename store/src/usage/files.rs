//! The snapshot on disk: two copies, plain, each with a checksum.
//!
//! ```text
//! "TGUS" │ version u8 │ 0 × 3 │ segment u64 │ length u32 │ crc32 u32 │ accounts
//! account: n u8 │ name n × u8 │ 2 × (day u32, parts u64) │ 2 × (month u32, parts u64)
//! ```
//!
//! Integers are big endian; the checksum covers the header before it and the accounts. A copy is written over in place
//! and synced before the other is touched: so one of them is whole at any time, and on a full disk, where segments are
//! to go, no room is needed, unless there are twice as many accounts by then as a file was made for. Which of two whole
//! ones is newer their segments say. Nobody's number or text stands here.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};

use tidegate_codec::identity::SystemId;

use crate::disk::{Access, Disk, DiskFile};
use crate::names::NAME_MAX;
use crate::record;

use super::{Slot, Slots, Totals};

const MAGIC: [u8; 4] = *b"TGUS";
const VERSION: u8 = 1;
const HEADER_LEN: usize = 4 + 4 + 8 + 4 + 4;
/// Octets of one account, without its name.
const TOTALS_LEN: usize = 4 * (4 + 8);
/// What is more than every name with its totals is no snapshot.
const LEN_MAX: u64 = (HEADER_LEN + (1 + NAME_MAX + TOTALS_LEN) * (1 << 16)) as u64;
/// Files are made in steps of so many octets, with as much again to grow into.
const STEP: u64 = 1 << 16;
const NAMES: [&str; 2] = ["usage-a", "usage-b"];
const NEW: &str = "usage-new";

/// What all segments up to one count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub(crate) segment: u64,
    pub(crate) accounts: Vec<(String, Totals)>,
}

impl Snapshot {
    fn octets(&self) -> Vec<u8> {
        let mut accounts = Vec::new();
        for (name, totals) in &self.accounts {
            record::put_short(&mut accounts, name.as_bytes());
            for Slot { number, parts } in totals.days.0.iter().chain(&totals.months.0) {
                accounts.extend_from_slice(&number.to_be_bytes());
                accounts.extend_from_slice(&parts.to_be_bytes());
            }
        }
        // At most 65 535 names.
        let len = u32::try_from(accounts.len()).unwrap_or(u32::MAX);
        let mut octets = MAGIC.to_vec();
        octets.extend_from_slice(&[VERSION, 0, 0, 0]);
        octets.extend_from_slice(&self.segment.to_be_bytes());
        octets.extend_from_slice(&len.to_be_bytes());
        let crc = checksum(&octets, &accounts);
        octets.extend_from_slice(&crc.to_be_bytes());
        octets.append(&mut accounts);
        octets
    }

    fn read(octets: &[u8]) -> Option<Self> {
        let (header, rest) = octets.split_first_chunk::<HEADER_LEN>()?;
        let mut fields = header.as_slice();
        let (magic, version) = (
            record::get_u32(&mut fields).ok()?,
            record::get_u32(&mut fields).ok()?,
        );
        let segment = record::get_u64(&mut fields).ok()?;
        let len = record::get_u32(&mut fields).ok()? as usize;
        let crc = record::get_u32(&mut fields).ok()?;
        let mut accounts = rest.get(..len)?;
        let is_known =
            magic == u32::from_be_bytes(MAGIC) && version == u32::from_be_bytes([VERSION, 0, 0, 0]);
        if !is_known || crc != checksum(&header[..HEADER_LEN - 4], accounts) {
            return None;
        }
        let mut snapshot = Self {
            segment,
            accounts: Vec::new(),
        };
        let fields = &mut accounts;
        while !fields.is_empty() {
            let name = SystemId::new(record::get_short(fields).ok()?).ok()?;
            let mut slots = || -> Option<Slots> { Some(Slots([slot(fields)?, slot(fields)?])) };
            let totals = Totals {
                days: slots()?,
                months: slots()?,
            };
            snapshot.accounts.push((name.as_str().to_owned(), totals));
        }
        Some(snapshot)
    }
}

fn slot(fields: &mut &[u8]) -> Option<Slot> {
    Some(Slot {
        number: record::get_u32(fields).ok()?,
        parts: record::get_u64(fields).ok()?,
    })
}

fn checksum(header: &[u8], accounts: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(header);
    crc.update(accounts);
    crc.finalize()
}

/// How a copy stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Copy {
    /// Not there.
    Absent,
    /// There, and nothing to build on: a write that was cut off, damage, or older than the other one.
    Bad,
    /// There, whole and synced.
    Whole,
}

/// The two copies.
pub(crate) struct UsageFiles<D: Disk> {
    disk: D,
    dir: PathBuf,
    copies: [Copy; 2],
    newest: Option<Snapshot>,
}

impl<D: Disk> UsageFiles<D> {
    /// Reads both; makes the directory.
    pub(crate) fn open(disk: D, dir: PathBuf) -> io::Result<Self> {
        disk.create_dir_all(&dir)?;
        let (mut copies, newest) = read_both(&disk, &dir)?;
        // What was read may be in the page cache only, and a segment is let go of because of it.
        for (copy, name) in copies.iter_mut().zip(NAMES) {
            if *copy == Copy::Whole && sync(&disk, &dir.join(name)).is_err() {
                *copy = Copy::Bad;
            }
        }
        if copies.contains(&Copy::Whole) {
            disk.sync_dir(&dir)?;
        }
        Ok(Self {
            disk,
            dir,
            copies,
            newest,
        })
    }

    /// What was found, until something is saved.
    pub(crate) const fn newest(&self) -> Option<&Snapshot> {
        self.newest.as_ref()
    }

    /// Whether there is a copy that cannot be read.
    pub(crate) fn is_damaged(&self) -> bool {
        self.copies.contains(&Copy::Bad)
    }

    /// Whether both copies are there.
    pub(crate) fn is_whole(&self) -> bool {
        self.copies == [Copy::Whole; 2]
    }

    /// Writes both copies, each synced before the other; first the one that holds nothing, so that what the other
    /// holds is not lost in between.
    pub(crate) fn save(&mut self, snapshot: &Snapshot) -> io::Result<()> {
        let octets = snapshot.octets();
        let order = if self.copies[0] == Copy::Whole && self.copies[1] != Copy::Whole {
            [1, 0]
        } else {
            [0, 1]
        };
        for place in order {
            let before = std::mem::replace(&mut self.copies[place], Copy::Bad);
            let path = self.dir.join(NAMES[place]);
            match before {
                Copy::Whole if self.write_over(&path, &octets)? => {}
                Copy::Whole | Copy::Absent => self.replace(&path, &octets)?,
                // Nothing is known about what was not synced: it is not written over but made anew, in its own room.
                Copy::Bad => {
                    unlink(&self.disk, &path)?;
                    self.replace(&path, &octets)?;
                }
            }
            self.copies[place] = Copy::Whole;
        }
        self.newest = None;
        Ok(())
    }

    /// `false` when the file is too short, and then it is as it was.
    fn write_over(&self, path: &Path, octets: &[u8]) -> io::Result<bool> {
        let file = self.disk.open(path, Access::ReadWrite)?;
        if file.len()? < octets.len() as u64 {
            return Ok(false);
        }
        file.write_at(&[IoSlice::new(octets)], 0)?;
        file.sync_data()?;
        Ok(true)
    }

    fn replace(&self, path: &Path, octets: &[u8]) -> io::Result<()> {
        let new = self.dir.join(NEW);
        unlink(&self.disk, &new)?;
        let len = (2 * octets.len() as u64).next_multiple_of(STEP);
        let file = self.disk.create(&new, 0o600, len)?;
        file.write_at(&[IoSlice::new(octets)], 0)?;
        file.sync_all()?;
        self.disk.rename(&new, path)?;
        self.disk.sync_dir(&self.dir)
    }
}

fn sync<D: Disk>(disk: &D, path: &Path) -> io::Result<()> {
    disk.open(path, Access::ReadWrite)?.sync_data()
}

/// How both copies stand, and what the newest whole one holds.
fn read_both<D: Disk>(disk: &D, dir: &Path) -> io::Result<([Copy; 2], Option<Snapshot>)> {
    let (mut copies, mut newest) = ([Copy::Absent; 2], None::<Snapshot>);
    let mut segments = [None; 2];
    for ((copy, segment), name) in copies.iter_mut().zip(&mut segments).zip(NAMES) {
        match read_one(disk, &dir.join(name)) {
            Ok(Some(found)) => {
                *copy = Copy::Whole;
                *segment = Some(found.segment);
                if newest
                    .as_ref()
                    .is_none_or(|newest| newest.segment < found.segment)
                {
                    newest = Some(found);
                }
            }
            Ok(None) => *copy = Copy::Bad,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    // The older one is written first: while it is, the newer one must stand.
    let latest = newest.as_ref().map(|newest| newest.segment);
    for (copy, segment) in copies.iter_mut().zip(segments) {
        if segment.is_some() && segment != latest {
            *copy = Copy::Bad;
        }
    }
    Ok((copies, newest))
}

fn read_one<D: Disk>(disk: &D, path: &Path) -> io::Result<Option<Snapshot>> {
    let file = disk.open(path, Access::Read)?;
    let len = file.len()?;
    if len > 2 * LEN_MAX {
        return Ok(None);
    }
    let mut octets = vec![0; usize::try_from(len).map_err(io::Error::other)?];
    let read = file.read_at(&mut octets, 0)?;
    Ok(octets.get(..read).and_then(Snapshot::read))
}

/// What the newest whole copy holds; nothing is changed.
pub(super) fn look<D: Disk>(disk: &D, dir: &Path) -> io::Result<Option<Snapshot>> {
    Ok(read_both(disk, dir)?.1)
}

fn unlink<D: Disk>(disk: &D, path: &Path) -> io::Result<()> {
    match disk.unlink(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;
    use crate::disk::{FaultyDisk, Op};
    use crate::usage::{Counted, Period};

    const DIR: &str = "/usage";

    fn snapshot(segment: u64, accounts: u64) -> Snapshot {
        let of = |n: u64| {
            let mut totals = Totals::default();
            let period = Period {
                day: 20_000,
                month: 657,
            };
            totals.add(Counted {
                period,
                parts: segment * 1000 + n,
            });
            (format!("account{n}"), totals)
        };
        Snapshot {
            segment,
            accounts: (0..accounts).map(of).collect(),
        }
    }

    fn open(disk: &FaultyDisk) -> UsageFiles<FaultyDisk> {
        UsageFiles::open(disk.clone(), DIR.into()).unwrap()
    }

    #[test]
    fn what_was_written_comes_back_and_every_flipped_bit_is_noticed() {
        let whole = snapshot(7, 3);
        let mut octets = whole.octets();
        assert_eq!(Snapshot::read(&octets).as_ref(), Some(&whole));
        for bit in 0..octets.len() * 8 {
            octets[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Snapshot::read(&octets), None, "bit {bit}");
            octets[bit / 8] ^= 1 << (bit % 8);
        }
        for n in 0..octets.len() {
            assert_eq!(Snapshot::read(&octets[..n]), None);
        }
    }

    #[test]
    fn wherever_the_power_goes_one_of_both_is_found_whole() {
        // It grows once, so that both ways of writing are cut.
        let states = [(1, 3), (2, 4), (3, 200), (4, 201)];
        let mut visited = 0;
        for cut in 0.. {
            let disk = FaultyDisk::new();
            let mut files = open(&disk);
            disk.cut_power_after(cut);
            let mut saved = 0;
            for (segment, accounts) in states {
                if files.save(&snapshot(segment, accounts)).is_err() {
                    break;
                }
                saved = segment;
            }
            let mut rng = crate::testing::rng();
            for disk in [disk.crash(), disk.crash_with(&mut rng), disk.crash_with(&mut rng)] {
                let files = open(&disk);
                let found = files.newest().map_or(0, |found| found.segment);
                assert!(
                    found == saved || found == saved + 1,
                    "cut {cut}: {found}, {saved}"
                );
                let accounts = states.iter().find(|(segment, _)| *segment == found);
                let expected = accounts.map(|(segment, accounts)| snapshot(*segment, *accounts));
                assert_eq!(files.newest(), expected.as_ref());
            }
            visited += 1;
            if saved == 4 {
                break;
            }
        }
        assert!(visited > 20, "{visited}");
    }

    #[test]
    fn after_a_write_that_failed_the_good_copy_is_not_touched_before_the_bad_one_is_whole() {
        for (skip, op) in [(0, Op::Write), (1, Op::Write), (0, Op::Sync), (1, Op::Sync)] {
            let disk = FaultyDisk::new();
            let mut files = open(&disk);
            files.save(&snapshot(1, 3)).unwrap();
            disk.fail_on(op, "usage", skip, 1, ErrorKind::Other);
            assert!(files.save(&snapshot(2, 3)).is_err());
            // Whatever the next try reaches, something whole is there.
            for cut in 0..12 {
                let other = disk.crash();
                let mut files = open(&other);
                let before = files.newest().unwrap().segment;
                other.cut_power_after(cut);
                let done = files.save(&snapshot(3, 3)).is_ok();
                let found = open(&other.crash()).newest().unwrap().segment;
                assert!(found >= before && (!done || found == 3), "{op:?} {skip} {cut}");
            }
            files.save(&snapshot(3, 3)).unwrap();
            let files = open(&disk.crash());
            assert!(files.is_whole());
            assert_eq!(files.newest(), Some(&snapshot(3, 3)));
        }
    }

    #[test]
    fn no_room_is_needed_where_the_file_is_there() {
        let disk = FaultyDisk::new();
        let mut files = open(&disk);
        files.save(&snapshot(1, 20)).unwrap();
        disk.set_capacity(Some(disk.used()));
        files.save(&snapshot(2, 30)).unwrap();
        assert_eq!(open(&disk).newest(), Some(&snapshot(2, 30)));
        assert!(files.save(&snapshot(3, 2000)).is_err());
        assert_eq!(open(&disk.crash()).newest(), Some(&snapshot(2, 30)));
    }
}
