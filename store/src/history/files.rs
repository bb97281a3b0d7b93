//! The files of periods.
//!
//! A period's blocks lie in parts of 64 MiB, `<class>-<length>/<day>-<part>.blocks`, which are only appended to. The
//! [note](super::note) says how much of each counts: what stands behind that does not, and a
//! start cuts it off. Beside the parts lies the filter of a period that is closed, `<day>.filter`
//! ([`filters`](super::filters)).

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IoSlice};
use std::ops::{Bound, ControlFlow};
use std::path::PathBuf;
use std::sync::Arc;

use jiff::civil::Date;

use super::Kept;
use super::block::{FIXED_LEN, Header};
use super::drafts::SUFFIX;
use super::note::{NOTE, Note, Noted, read_note};
use crate::disk::{Access, Disk, DiskFile};
use crate::keyring::create_whole;
use crate::seal::KeyId;

/// Octets of a part: what goes is unlinked, and a large file takes the disk long.
pub(super) const PART_MAX: u64 = 64 << 20;
/// Octets that a damaged stretch is searched through at a time for the next block.
const SEARCH: usize = 64 << 10;

/// The records of one class that are kept equally long and lie in one file: a day's, or a week's.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeriodKey {
    /// Of what.
    pub class: Kept,
    /// How long they are kept, in words.
    pub length: Arc<str>,
    /// The first day, counted from 1970.
    pub day: u32,
}

impl PeriodKey {
    /// The directory of its kind.
    pub(super) fn group(&self) -> String {
        format!("{}-{}", self.class.word(), self.length)
    }

    /// Its first day, as a date.
    pub fn name(&self) -> String {
        Self::name_of_day(self.day)
    }

    /// A day counted from 1970, as a date.
    pub fn name_of_day(day: u32) -> String {
        let since = jiff::Span::new().try_days(i64::from(day));
        let date = since.and_then(|since| Date::constant(1970, 1, 1).checked_add(since));
        date.map_or_else(|_| format!("day-{day}"), |date| date.to_string())
    }

    fn file(&self, part: u32) -> String {
        format!("{}-{part:06}.blocks", self.name())
    }

    fn filter(&self) -> String {
        format!("{}.filter", self.name())
    }
}

impl std::fmt::Display for PeriodKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.group(), self.name())
    }
}

/// Where a block lies in its period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct At {
    pub(super) part: u32,
    pub(super) offset: u64,
}

/// The parts of a period.
pub(super) struct Period<F> {
    /// Octets of each that count or will count; the first has number 1.
    pub(super) parts: Vec<u64>,
    /// The last one, once something was written to it.
    pub(super) writing: Option<Arc<F>>,
    /// Something was written that was not synced.
    dirty: bool,
    /// How many of those octets the note says.
    pub(super) noted: Vec<u64>,
    /// It is being removed: nothing in it counts any more, and a start removes what is left of it.
    pub(super) is_leaving: bool,
}

/// What was found when the files were opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Parts that are missing, shorter than they were, or stretches that cannot be read.
    pub(super) damaged: u64,
}

/// See the [module](self).
pub(super) struct Files<D: Disk> {
    pub(super) disk: D,
    pub(super) dir: PathBuf,
    pub(super) periods: BTreeMap<PeriodKey, Period<D::File>>,
    /// Names that were made since the last sync lie in these.
    new_names: Vec<String>,
    pub(super) octets: u64,
    /// No note has ever been written here.
    pub(super) is_new: bool,
    /// The batch of the last note.
    pub(super) position: u64,
    /// The lengths of all periods, with their numbers.
    lengths: BTreeMap<Arc<str>, u32>,
    /// Directories that the note names: what a start finds there and the note does not name goes.
    pub(super) groups: BTreeSet<String>,
    /// Keys whose blocks do not count any more.
    pub(super) superseded: BTreeSet<KeyId>,
    /// Parts that were lost while it ran.
    pub(super) damaged: u64,
    /// A sync failed: of what was written since nobody knows what is there.
    pub(super) broken: bool,
}

impl<D: Disk> Files<D> {
    /// Opens what there is, and cuts off what does not count; says up to which batch it goes.
    pub(super) fn open(disk: D, dir: PathBuf) -> io::Result<(Self, u64, Found)> {
        disk.create_dir_all(&dir)?;
        let mut files = Self {
            disk,
            dir,
            periods: BTreeMap::new(),
            new_names: Vec::new(),
            octets: 0,
            position: 0,
            is_new: true,
            lengths: BTreeMap::new(),
            groups: BTreeSet::new(),
            superseded: BTreeSet::new(),
            damaged: 0,
            broken: false,
        };
        let mut found = Found::default();
        let Some(octets) = files.read_note()? else {
            return Ok((files, 0, found));
        };
        let Some(Note {
            position,
            groups,
            noted,
            superseded,
        }) = read_note(&octets)
        else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!(
                    "{}: damaged, or of another version",
                    files.dir.join(NOTE).display()
                ),
            ));
        };
        (files.groups, files.position, files.is_new) = (groups, position, false);
        files.superseded = superseded;
        let mut leaving = Vec::new();
        for Noted {
            key,
            parts,
            is_leaving,
        } in noted
        {
            for (part, len) in (1..).zip(&parts).filter(|_| !is_leaving) {
                // One of which nothing counts may never have come to be.
                found.damaged += u64::from(!files.cut(&key, part, *len)? && *len > 0);
                files.octets += *len;
            }
            if is_leaving {
                leaving.push(key.clone());
            }
            let period = Period {
                noted: parts.clone(),
                parts,
                writing: None,
                dirty: false,
                is_leaving,
            };
            files.know(&key.length);
            files.periods.insert(key, period);
        }
        for key in leaving {
            files.unlink(&key)?;
            files.write_note(position)?;
        }
        files.remove_unknown()?;
        Ok((files, position, found))
    }

    /// Cuts a part to the length that counts; `false` when it is shorter, or gone.
    fn cut(&self, key: &PeriodKey, part: u32, len: u64) -> io::Result<bool> {
        let file = match self.disk.open(&self.path(key, part), Access::ReadWrite) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            file => file?,
        };
        let there = file.len()?;
        if there > len {
            file.truncate(len)?;
            file.sync_data()?;
        }
        Ok(there >= len)
    }

    /// Parts that no note names were begun behind it.
    fn remove_unknown(&self) -> io::Result<()> {
        for group in &self.groups {
            let dir = self.dir.join(group);
            let of_group = |key: &&PeriodKey| key.group() == *group;
            let known: BTreeSet<String> = self
                .periods
                .iter()
                .filter(|(key, _)| of_group(key))
                .flat_map(|(key, period)| {
                    let parts = (1..).zip(&period.parts).map(|(part, _)| key.file(part));
                    parts.chain([key.filter()])
                })
                .collect();
            let mut gone = false;
            for entry in self.disk.list(&dir)? {
                let is_ours = [".blocks", ".filter", ".filter.new"]
                    .iter()
                    .any(|end| entry.name.ends_with(end));
                let is_left = is_ours && !known.contains(&entry.name);
                if is_left || entry.name.ends_with(SUFFIX) {
                    self.disk.unlink(&dir.join(&entry.name))?;
                    gone = true;
                }
            }
            if gone {
                self.disk.sync_dir(&dir)?;
            }
        }
        Ok(())
    }

    pub(super) fn path(&self, key: &PeriodKey, part: u32) -> PathBuf {
        self.dir.join(key.group()).join(key.file(part))
    }

    pub(super) const fn disk(&self) -> &D {
        &self.disk
    }

    pub(super) fn dir(&self) -> &std::path::Path {
        &self.dir
    }

    /// Octets of all of them.
    pub(super) const fn octets(&self) -> u64 {
        self.octets
    }

    pub(super) fn periods(&self) -> impl DoubleEndedIterator<Item = &PeriodKey> {
        self.periods.keys()
    }

    /// The same, from a place on.
    pub(super) fn periods_from(&self, from: Bound<PeriodKey>) -> impl Iterator<Item = &PeriodKey> {
        self.periods.range((from, Bound::Unbounded)).map(|(key, _)| key)
    }

    /// Whether all that there is of a period is synced and stands in the note.
    pub(super) fn is_settled(&self, key: &PeriodKey) -> bool {
        self.periods
            .get(key)
            .is_some_and(|period| !period.dirty && !period.is_leaving && period.noted == period.parts)
    }

    /// The file that lies beside a period's parts; `None` where none does. One of more octets than that is none of ours.
    pub(super) fn read_beside(&self, key: &PeriodKey, max: usize) -> io::Result<Option<Vec<u8>>> {
        let file = match self.disk.open(&self.beside(key), Access::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let mut octets = vec![0; usize::try_from(file.len()?).unwrap_or(usize::MAX).min(max)];
        let read = file.read_at(&mut octets, 0)?;
        octets.truncate(read);
        Ok(Some(octets))
    }

    /// Writes that file anew, as a whole.
    pub(super) fn write_beside(&self, key: &PeriodKey, octets: &[u8]) -> io::Result<()> {
        create_whole(&self.disk, &self.beside(key), octets)
    }

    /// Removes that file for good.
    pub(super) fn drop_filter(&self, key: &PeriodKey) -> io::Result<()> {
        match self.disk.unlink(&self.beside(key)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(()) => self.disk.sync_dir(&self.dir.join(key.group())),
        }
    }

    fn beside(&self, key: &PeriodKey) -> PathBuf {
        self.dir.join(key.group()).join(key.filter())
    }

    /// Another length with the number of this one.
    pub(super) fn length_like(&self, length: &str) -> Option<&str> {
        let number = super::length_number(length);
        let mut lengths = self.lengths.iter();
        let other = lengths.find(|(there, other)| **other == number && &***there != length);
        other.map(|(there, _)| &**there)
    }

    pub(super) fn has(&self, key: &PeriodKey) -> bool {
        self.periods.contains_key(key)
    }

    /// Where the next block of a period would go.
    pub(super) fn end(&self, key: &PeriodKey) -> At {
        let parts = self.periods.get(key).map_or(&[][..], |period| &period.parts);
        At {
            part: u32::try_from(parts.len()).unwrap_or(u32::MAX).max(1),
            offset: parts.last().copied().unwrap_or_default(),
        }
    }

    /// Writes a block behind the others of its period. Not synced; after an error nothing of it counts.
    pub(super) fn append(&mut self, key: &PeriodKey, octets: &[u8]) -> io::Result<At> {
        if self.broken {
            return Err(io::Error::other(
                "a sync has failed: nothing is written before a restart",
            ));
        }
        let mut at = self.end(key);
        if at.offset > 0 && at.offset + octets.len() as u64 > PART_MAX {
            at = At {
                part: at.part + 1,
                offset: 0,
            };
            // What is left behind is synced first: later only the newest part is.
            self.sync_period(key)?;
        }
        let path = self.path(key, at.part);
        let group = key.group();
        if !self.groups.contains(&group) {
            // First, so that no file is ever where nobody looks for it.
            self.groups.insert(group.clone());
            if let Err(error) = self.write_note(self.position) {
                self.groups.remove(&group);
                return Err(error);
            }
        }
        let period = self.periods.get(key);
        let file = match period
            .and_then(|period| period.writing.clone())
            .filter(|_| at.offset > 0)
        {
            Some(file) => file,
            None if at.offset > 0 => match self.disk.open(&path, Access::ReadWrite) {
                Ok(file) if file.len()? >= at.offset => Arc::new(file),
                // It has been lost, or cut: what comes now must not be. The next part is whole.
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(_) | Err(_) => {
                    self.damaged += 1;
                    if let Some(period) = self.periods.get_mut(key) {
                        period.parts.push(0);
                    }
                    return self.append(key, octets);
                }
            },
            None => {
                self.disk.create_dir_all(&self.dir.join(&group))?;
                let made = match self.disk.create(&path, 0o600, 0) {
                    // Left from a try that failed behind the creation.
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                        let there = self.disk.open(&path, Access::ReadWrite)?;
                        there.truncate(0)?;
                        there
                    }
                    made => made?,
                };
                if !self.new_names.contains(&group) {
                    self.new_names.push(group);
                }
                Arc::new(made)
            }
        };
        if let Err(error) = file.write_at(&[IoSlice::new(octets)], at.offset) {
            // A full disk needs the space, and what is cut off must not be taken for a block.
            let _ = file.truncate(at.offset);
            return Err(error);
        }
        let period = self.periods.entry(key.clone()).or_insert_with(|| Period {
            parts: Vec::new(),
            writing: None,
            dirty: false,
            noted: Vec::new(),
            is_leaving: false,
        });
        let end = at.offset + octets.len() as u64;
        match period.parts.get_mut(at.part as usize - 1) {
            Some(len) => *len = end,
            None => period.parts.push(end),
        }
        period.writing = Some(file);
        period.dirty = true;
        if !self.lengths.contains_key(&key.length) {
            self.know(&key.length);
        }
        self.octets += octets.len() as u64;
        Ok(at)
    }

    fn know(&mut self, length: &Arc<str>) {
        self.lengths
            .insert(Arc::clone(length), super::length_number(length));
    }

    pub(super) fn sync_period(&mut self, key: &PeriodKey) -> io::Result<()> {
        let Some(period) = self.periods.get_mut(key).filter(|period| period.dirty) else {
            return Ok(());
        };
        if let Some(file) = &period.writing
            && let Err(error) = file.sync_data()
        {
            self.broken = true;
            return Err(error);
        }
        period.dirty = false;
        Ok(())
    }

    /// Syncs all that was written, and notes that everything up to a batch is there.
    pub(super) fn checkpoint(&mut self, position: u64) -> io::Result<()> {
        let dirty = self.periods.iter().filter(|(_, period)| period.dirty);
        let dirty: Vec<PeriodKey> = dirty.map(|(key, _)| key.clone()).collect();
        for key in dirty {
            self.sync_period(&key)?;
        }
        while let Some(group) = self.new_names.last() {
            self.disk.sync_dir(&self.dir.join(group))?;
            self.new_names.pop();
        }
        let mut before = Vec::with_capacity(self.periods.len());
        for period in self.periods.values_mut() {
            before.push(std::mem::replace(&mut period.noted, period.parts.clone()));
            // Nothing more is written to most of them: a descriptor for each would be too many.
            period.writing = None;
        }
        if let Err(error) = self.write_note(position) {
            // Another note of the position before must not name what came after it: that is handed over anew.
            for (period, noted) in self.periods.values_mut().zip(before) {
                period.noted = noted;
            }
            return Err(error);
        }
        (self.position, self.is_new) = (position, false);
        Ok(())
    }

    /// Removes a period with all that it holds; `position` is that of the last checkpoint. What a crash leaves of it goes with
    /// the next start. Says how many octets that gave back.
    pub(super) fn remove(&mut self, key: &PeriodKey, position: u64) -> io::Result<u64> {
        let Some(period) = self.periods.get_mut(key) else {
            return Ok(0);
        };
        let octets = period.parts.iter().sum();
        period.is_leaving = true;
        self.write_note(position)?;
        self.unlink(key)?;
        self.octets -= octets;
        self.write_note(position)?;
        Ok(octets)
    }

    /// Unlinks the parts of a period, and forgets it.
    fn unlink(&mut self, key: &PeriodKey) -> io::Result<()> {
        let parts = self.periods.get(key).map_or(0, |period| period.parts.len());
        for part in (1..).take(parts) {
            match self.disk.unlink(&self.path(key, part)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        match self.disk.sync_dir(&self.dir.join(key.group())) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        self.periods.remove(key);
        Ok(())
    }

    /// Octets of a period's file; fewer at its end.
    pub(super) fn read(&self, key: &PeriodKey, at: At, len: usize) -> io::Result<Vec<u8>> {
        let file = self.disk.open(&self.path(key, at.part), Access::Read)?;
        let mut octets = vec![0; len];
        let read = file.read_at(&mut octets, at.offset)?;
        octets.truncate(read);
        Ok(octets)
    }

    /// The header of the block at a place; `None` where none is that counts.
    pub(super) fn header(&self, key: &PeriodKey, at: At) -> io::Result<Option<Header>> {
        let parts = self.periods.get(key).map_or(&[][..], |period| &period.parts);
        let Some(end) = (at.part as usize).checked_sub(1).and_then(|part| parts.get(part)) else {
            return Ok(None);
        };
        let file = self.disk.open(&self.path(key, at.part), Access::Read)?;
        header_at(&file, at.offset, *end)
    }

    /// Goes through a period's blocks from a place on, by their headers; says how many stretches are damaged. A file that is
    /// missing is one.
    pub(super) fn scan(
        &self,
        key: &PeriodKey,
        from: At,
        mut each: impl FnMut(At, Header) -> ControlFlow<()>,
    ) -> io::Result<u64> {
        let Some(period) = self.periods.get(key) else {
            return Ok(0);
        };
        let mut damaged = 0;
        let parts = (1..).zip(&period.parts);
        for (part, len) in parts.filter(|(part, len)| *part >= from.part && **len > 0) {
            let file = match self.disk.open(&self.path(key, part), Access::Read) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    damaged += 1;
                    continue;
                }
                file => file?,
            };
            let mut at = At {
                part,
                offset: if part == from.part { from.offset } else { 0 },
            };
            while at.offset < *len {
                match header_at(&file, at.offset, *len)? {
                    Some(header) => {
                        let next = at.offset + header.block_len() as u64;
                        if each(at, header).is_break() {
                            return Ok(damaged);
                        }
                        at.offset = next;
                    }
                    None => {
                        damaged += 1;
                        at.offset = next_magic(&file, at.offset + 1, *len)?;
                    }
                }
            }
        }
        Ok(damaged)
    }
}

/// The header of a block that lies whole before `end`; `None` when none does.
fn header_at(file: &impl DiskFile, at: u64, end: u64) -> io::Result<Option<Header>> {
    let mut octets = vec![0; FIXED_LEN];
    if file.read_at(&mut octets, at)? < FIXED_LEN {
        return Ok(None);
    }
    let Some(len) = Header::len_of(&octets) else {
        return Ok(None);
    };
    octets.resize(len, 0);
    if file.read_at(&mut octets, at)? < len {
        return Ok(None);
    }
    Ok(Header::read(&octets).filter(|header| at + header.block_len() as u64 <= end))
}

/// Where the next block may begin behind damage; the end if none does.
fn next_magic(file: &impl DiskFile, mut at: u64, end: u64) -> io::Result<u64> {
    let mut octets = vec![0; SEARCH];
    while at < end {
        let read = file.read_at(&mut octets, at)?;
        let found = memchr::memmem::find(&octets[..read], b"TGHB");
        if let Some(place) = found {
            return Ok((at + place as u64).min(end));
        }
        if read < SEARCH {
            break;
        }
        // It may begin in one and end in the other.
        at += SEARCH as u64 - 3;
    }
    Ok(end)
}
