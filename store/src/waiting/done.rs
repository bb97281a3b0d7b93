//! The done marks of a run: a bit for each record, set once its leg has ended.
//!
//! Pages of a sector, each on disk twice; the older copy is written over. A write that was torn leaves the other
//! copy, and what it lacks is still in the spool, which lets go of an end only when its mark is synced.

use std::collections::BTreeSet;
use std::io::{self, IoSlice};

use crate::disk::DiskFile;

use super::format::{Header, PAGE_LEN, PAGE_MARKS, pages};

/// Marks in a page.
const PAGE_BITS: usize = PAGE_MARKS * 8;

/// See the [module](self).
#[derive(Clone, Debug, Default)]
pub(crate) struct Done {
    marks: Vec<u8>,
    /// Of each page, how often it was written.
    generations: Vec<u32>,
    dirty: BTreeSet<usize>,
    count: u32,
}

impl Done {
    /// Nothing done yet.
    pub(crate) fn new(room: u32) -> Self {
        let pages = pages(room);
        Self {
            marks: vec![0; pages * PAGE_MARKS],
            generations: vec![0; pages],
            dirty: BTreeSet::new(),
            count: 0,
        }
    }

    /// Reads the marks of a run; also how many pages could be read in neither copy. These count as not done.
    pub(crate) fn read<F: DiskFile>(file: &F, room: u32) -> io::Result<(Self, u64)> {
        let mut done = Self::new(room);
        let mut octets = vec![0; done.generations.len() * 2 * PAGE_LEN];
        let read = file.read_at(&mut octets, Header::page_at(0, 0))?;
        octets.truncate(read);
        let mut damaged = 0;
        for page in 0..done.generations.len() {
            let copy = |copy: usize| {
                let start = (2 * page + copy) * PAGE_LEN;
                read_page(octets.get(start..start + PAGE_LEN)?)
            };
            let newer = copy(0).into_iter().chain(copy(1)).max_by_key(|found| found.0);
            let place = page * PAGE_MARKS..(page + 1) * PAGE_MARKS;
            match (newer, done.marks.get_mut(place), done.generations.get_mut(page)) {
                (Some((generation, marks)), Some(to), Some(known)) => {
                    to.copy_from_slice(marks);
                    *known = generation;
                }
                _ => damaged += 1,
            }
        }
        done.count = done.marks.iter().map(|octet| octet.count_ones()).sum();
        Ok((done, damaged))
    }

    pub(crate) fn is_done(&self, rank: u32) -> bool {
        let octet = self.marks.get(rank as usize / 8);
        octet.is_some_and(|octet| octet & (1 << (rank % 8)) != 0)
    }

    /// Marks a record; true when it was not marked before.
    pub(crate) fn mark(&mut self, rank: u32) -> bool {
        let Some(octet) = self.marks.get_mut(rank as usize / 8) else {
            return false;
        };
        let bit = 1 << (rank % 8);
        if *octet & bit != 0 {
            return false;
        }
        *octet |= bit;
        self.count += 1;
        self.dirty.insert(rank as usize / PAGE_BITS);
        true
    }

    /// How many are done.
    pub(crate) const fn count(&self) -> u32 {
        self.count
    }

    /// Writes and syncs what is marked since. After a failure the same copies are written again, whole: the other
    /// ones stay what they were.
    pub(crate) fn flush<F: DiskFile>(&mut self, file: &F) -> io::Result<()> {
        if self.dirty.is_empty() {
            return Ok(());
        }
        for page in &self.dirty {
            let generation = self.generations.get(*page).map_or(1, |known| known + 1);
            let marks = self.marks.get(page * PAGE_MARKS..(page + 1) * PAGE_MARKS);
            let octets = write_page(generation, marks.unwrap_or_default());
            let copy = if generation % 2 == 0 { 0 } else { 1 };
            file.write_at(&[IoSlice::new(&octets)], Header::page_at(*page, copy))?;
        }
        file.sync_data()?;
        for page in std::mem::take(&mut self.dirty) {
            if let Some(known) = self.generations.get_mut(page) {
                *known += 1;
            }
        }
        Ok(())
    }
}

fn write_page(generation: u32, marks: &[u8]) -> Vec<u8> {
    let mut octets = Vec::with_capacity(PAGE_LEN);
    octets.extend_from_slice(&generation.to_be_bytes());
    octets.extend_from_slice(marks);
    octets.resize(PAGE_LEN - 4, 0);
    let crc = crc32fast::hash(&octets);
    octets.extend_from_slice(&crc.to_be_bytes());
    octets
}

/// A copy's generation and marks. One that was never written is all zero.
fn read_page(octets: &[u8]) -> Option<(u32, &[u8])> {
    let (body, crc) = octets.split_last_chunk::<4>()?;
    let (generation, marks) = body.split_first_chunk::<4>()?;
    let fresh = octets.iter().all(|octet| *octet == 0);
    let whole = crc32fast::hash(body) == u32::from_be_bytes(*crc);
    (fresh || whole).then(|| (u32::from_be_bytes(*generation), marks))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{Disk, FaultyDisk, FaultyFile, Op};
    use crate::testing::rng;
    use std::path::Path;

    const ROOM: u32 = 10_000;

    fn file(disk: &FaultyDisk) -> FaultyFile {
        let path = Path::new("/run");
        disk.open(path, crate::disk::Access::ReadWrite)
            .unwrap_or_else(|_| {
                let file = disk.create(path, 0o600, 64 << 10).unwrap();
                file.sync_all().unwrap();
                disk.sync_dir(Path::new("/")).unwrap();
                file
            })
    }

    fn marked(done: &Done) -> Vec<u32> {
        (0..ROOM).filter(|rank| done.is_done(*rank)).collect()
    }

    #[test]
    fn marks_come_back_and_are_counted_once() {
        let disk = FaultyDisk::new();
        let mut done = Done::new(ROOM);
        assert!(done.mark(7) && done.mark(4032) && done.mark(9_999));
        assert!(!done.mark(7) && !done.mark(1 << 20));
        done.flush(&file(&disk)).unwrap();
        let (found, damaged) = Done::read(&file(&disk.crash()), ROOM).unwrap();
        assert_eq!(
            (marked(&found), found.count(), damaged),
            (vec![7, 4032, 9_999], 3, 0)
        );
    }

    #[test]
    fn no_cut_takes_a_mark_back_that_was_synced() {
        for changes in 0..40 {
            let disk = FaultyDisk::new();
            let file_before = file(&disk);
            disk.cut_power_after(changes);
            let (mut done, mut synced) = (Done::new(ROOM), 0);
            for rank in 0..15 {
                done.mark(rank * 500);
                if done.flush(&file_before).is_err() {
                    break;
                }
                synced = rank + 1;
            }
            let mut rng = rng();
            for _ in 0..10 {
                let (found, damaged) = Done::read(&file(&disk.crash_with(&mut rng)), ROOM).unwrap();
                assert_eq!(damaged, 0, "a torn page has a whole twin");
                assert!(
                    (0..synced).all(|rank| found.is_done(rank * 500)),
                    "after {changes}"
                );
            }
        }
    }

    #[test]
    fn after_a_failed_sync_the_good_copy_stays_and_the_marks_are_written_again() {
        let disk = FaultyDisk::new();
        let file = file(&disk);
        let mut done = Done::new(ROOM);
        done.mark(1);
        done.flush(&file).unwrap();
        done.mark(2);
        for _ in 0..3 {
            disk.fail_next(Op::Sync, 1, io::ErrorKind::Other);
            assert!(done.flush(&file).is_err());
            let (found, _) = Done::read(&self::file(&disk.crash()), ROOM).unwrap();
            assert_eq!(marked(&found), [1]);
        }
        done.flush(&file).unwrap();
        let (found, _) = Done::read(&self::file(&disk.crash()), ROOM).unwrap();
        assert_eq!(marked(&found), [1, 2]);
    }

    #[test]
    fn a_page_damaged_in_both_copies_counts_as_not_done() {
        let disk = FaultyDisk::new();
        let mut done = Done::new(ROOM);
        for rank in [1, 5000] {
            done.mark(rank);
            done.flush(&file(&disk)).unwrap();
        }
        for copy in 0..2 {
            disk.damage(Path::new("/run"), Header::page_at(0, copy) + 9, &[0x55]);
        }
        let (found, damaged) = Done::read(&file(&disk), ROOM).unwrap();
        assert_eq!((marked(&found), damaged), (vec![5000], 1));
    }
}
