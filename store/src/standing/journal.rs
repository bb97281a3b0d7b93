//! The journal: every change there was, in order, in plain files of batches that are kept for ever (OPT-26). Their octets are
//! in `journal_format`.
//!
//! With each new generation of the secret behind pseudonyms a file begins. Every generation that a file or
//! a change in it is of must live, or be retired by a change ([`What::Retired`]). A batch names the last change in it where the spool's names its floor of
//! ids; what a start finds twice, because a sync failed behind its write, it takes once.

use std::collections::BTreeSet;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rand_core::CryptoRng;

use crate::disk::{Access, Disk, DiskFile, is_full};
use crate::keyring::{KEPT_OPEN_MAX, KeyRing};
use crate::message_id::MessageId;
use crate::pseudonym::{FIRST, Secret};
use crate::seal::{KeyId, SealKey};
use crate::segment::{self, BATCH_HEADER_LEN, BatchHeader, Found, HEADER_LEN, Scan};

pub(crate) use super::journal_format::Holds;
pub(super) use super::journal_format::{
    Record, aad, file_name, header, numbers, open_private, owner_of, put_sealed, read_header, read_record,
};
use super::journal_format::{is_of_later, put_record};
use super::{Change, DAY_MS, Due, Register, What, forget};

/// Octets behind which a file is followed by the next.
const FILE_MAX: u64 = 64 << 20;
/// Places in the key ring that are left to the keys without which no message goes on.
const RING_RESERVE: usize = 256;
/// Numbers of a day's files. One more is the next day's, and stays a day longer.
const DAY_NUMBERS: u64 = 1 << 16;
/// Days behind its own in which something in a file may count.
const PASSING_DAYS: u64 = 8;

/// Why the journal cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// A file could not be read or made.
    #[error("cannot read the journal of opt-outs: {0}")]
    Io(#[from] io::Error),
    /// It stands under another secret: nobody in it would be found.
    #[error(
        "{} was written under another secret than the one in the key ring: with it nobody who has opted out would be \
         known. Restore the key ring that belongs to this data",
        path.display()
    )]
    OtherSecret {
        /// The file.
        path: PathBuf,
    },
    /// It needs a secret that is gone.
    #[error(
        "{}: people stand in it by generation {generation} of the suppression key, which the key ring does not hold: nobody of them would be known. Restore the key ring that belongs to this data",
        dir.display()
    )]
    GenerationGone {
        /// Where it lies.
        dir: PathBuf,
        /// Which generation.
        generation: u8,
    },
    /// There was one: the ring holds keys of it.
    #[error(
        "{}: the journal of opt-outs is gone, and the key ring says that there was one. Restore it: without it everybody who \
         has opted out could be sent to",
        dir.display()
    )]
    Gone {
        /// Where it should be.
        dir: PathBuf,
    },
    /// Stretches of it cannot be read (GEN-1).
    #[error(
        "{}: {stretches} stretches of the journal of opt-outs cannot be read, and who stood there alone would be sent to \
         again. Restore its files from a backup; to go on without them set `storage.accept_damaged_opt_outs = true`",
        dir.display()
    )]
    Damaged {
        /// Where it lies.
        dir: PathBuf,
        /// How many.
        stretches: u64,
    },
    /// A file of a later version, or of another node.
    #[error("{}: not a journal that this version and node know", path.display())]
    Unknown {
        /// The file.
        path: PathBuf,
    },
}

/// What was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Journaled {
    /// Changes.
    pub(crate) changes: u64,
    /// Stretches of damage and records that make no sense: an alarm.
    pub(crate) damaged: u64,
}

/// How far a journal is synced, for whoever reads it beside its writer: a file, and octets of it. Of files before that one
/// everything is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Synced(Arc<Mutex<(u64, u64)>>, Arc<AtomicU32>);

impl Synced {
    fn set(&self, number: u64, end: u64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (number, end);
    }

    /// How often the journal was written anew.
    pub(super) fn rewritten(&self) -> u32 {
        self.1.load(Ordering::Relaxed)
    }

    pub(super) fn get(&self) -> (u64, u64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The open journal; the keeper has it.
pub(crate) struct Journal<D: Disk> {
    disk: D,
    dir: PathBuf,
    holds: Holds,
    node: u8,
    /// Generations that were retired in it, and what files of theirs say.
    retired: Vec<(u8, [u8; 32])>,
    number: u64,
    file: Option<D::File>,
    /// Of the file that is open.
    generation: u8,
    offset: u64,
    batch: u64,
    last: MessageId,
    /// The day on which files that had passed were dropped last.
    tidied_day: u64,
    synced: Synced,
    /// How often the first file says that the journal was written anew, where registers were not told yet.
    untold: Option<u32>,
    /// Keys under which something was sealed since [`Forget::Stale`](super::Forget::Stale).
    sealed: BTreeSet<KeyId>,
}

/// Generations that a journal needs, as it is read.
#[derive(Default)]
struct Needed {
    /// Files of generations that do not live, with what they say.
    files: Vec<(PathBuf, u8, [u8; 32])>,
    /// Of the names of people.
    of_people: BTreeSet<u8>,
}

impl Needed {
    fn note(&mut self, change: &Change) {
        if !matches!(
            change.what,
            What::Member { .. } | What::Sent { .. } | What::Retired { .. }
        ) {
            self.of_people.insert(change.who.generation());
        }
        if let What::Renamed { to } = &change.what {
            self.of_people.insert(to.generation());
        }
    }

    /// Whether all of them live or are retired.
    fn check(self, dir: &Path, living: &[Secret], retired: &[(u8, [u8; 32])]) -> Result<(), JournalError> {
        for (path, generation, check) in self.files {
            if !retired.contains(&(generation, check)) {
                return Err(JournalError::OtherSecret { path });
            }
        }
        let is_known = |generation: &u8| {
            living.iter().any(|secret| secret.generation() == *generation)
                || retired.iter().any(|(number, _)| number == generation)
        };
        match self
            .of_people
            .into_iter()
            .find(|generation| !is_known(generation))
        {
            Some(generation) => Err(JournalError::GenerationGone {
                dir: dir.to_path_buf(),
                generation,
            }),
            None => Ok(()),
        }
    }
}

impl<D: Disk> Journal<D> {
    /// Reads all files, oldest first, and hands every change on once, in order, without its private part. `secrets` are those
    /// that live, `retired` generations that another journal says are retired.
    pub(crate) fn open(
        disk: D,
        dir: PathBuf,
        (holds, node): (Holds, u8),
        secrets: &[Secret],
        retired: &[(u8, [u8; 32])],
        had_entries: bool,
        mut found: impl FnMut(MessageId, &Change),
    ) -> Result<(Self, Journaled), JournalError> {
        disk.create_dir_all(&dir)?;
        let mut journal = Self {
            disk,
            dir,
            holds,
            node,
            retired: retired.to_vec(),
            number: 0,
            file: None,
            generation: FIRST,
            offset: 0,
            batch: 0,
            last: MessageId(0),
            tidied_day: 0,
            synced: Synced::default(),
            untold: None,
            sealed: BTreeSet::new(),
        };
        let mut report = Journaled::default();
        let numbers = numbers(&journal.disk, &journal.dir, holds)?;
        if numbers.is_empty() && had_entries {
            return Err(JournalError::Gone { dir: journal.dir });
        }
        // Files are numbered from 1 and none is ever removed; batches run on over them. What is not there was lost.
        let expected = match holds {
            Holds::Lasting => numbers.last().copied().unwrap_or_default(),
            Holds::Passing => 0,
        };
        report.damaged += expected.saturating_sub(numbers.len() as u64);
        let (mut octets, mut needed) = (Vec::new(), Needed::default());
        for number in &numbers {
            let mut noted = |id, change: &Change| {
                needed.note(change);
                found(id, change);
            };
            let said = journal.read_file(*number, &mut octets, &mut report, &mut noted)?;
            let is_of = |secret: &Secret| (secret.generation(), secret.check());
            if let Some((path, generation, check)) = said
                && secrets
                    .iter()
                    .map(is_of)
                    .all(|living| living != (generation, check))
            {
                needed.files.push((path, generation, check));
            }
        }
        needed.check(&journal.dir, secrets, &journal.retired)?;
        // A new file with each start: nothing is appended behind what a cut may have left.
        journal.number = numbers.last().copied().unwrap_or_default();
        journal.synced.set(journal.number, u64::MAX);
        if holds == Holds::Lasting {
            let count = forget::rewritten(&journal.disk, &journal.dir)?;
            journal.synced.1.store(count, Ordering::Relaxed);
        }
        Ok((journal, report))
    }

    fn read_file(
        &mut self,
        number: u64,
        octets: &mut Vec<u8>,
        report: &mut Journaled,
        found: &mut impl FnMut(MessageId, &Change),
    ) -> Result<Option<(PathBuf, u8, [u8; 32])>, JournalError> {
        let path = self.dir.join(file_name(self.holds, number));
        let file = self.disk.open(&path, Access::ReadWrite)?;
        segment::read_all_into(&file, octets)?;
        let said = match read_header(octets, number) {
            Some((node, ..)) if node != self.node => return Err(JournalError::Unknown { path }),
            Some((_, generation, check, _)) => Some((path, generation, check)),
            // Of a later version: whatever stands in it, it is not damage, and nobody goes on without it.
            None if is_of_later(octets) => return Err(JournalError::Unknown { path }),
            // Nothing was written behind a header that was not synced.
            None if octets.iter().all(|octet| *octet == 0) => return Ok(None),
            None => {
                report.damaged += 1;
                None
            }
        };
        let mut end = None;
        for part in Scan::new(octets, number) {
            match part {
                Found::Damage { .. } => report.damaged += 1,
                Found::Batch { header, at } => {
                    if self.holds == Holds::Lasting {
                        report.damaged += header.number.saturating_sub(self.batch + 1);
                    }
                    self.batch = self.batch.max(header.number);
                    end = Some((header, at));
                    let batch = octets.get(at..at + header.len as usize).unwrap_or_default();
                    self.read_batch(batch, report, found);
                    // The last change of it may have had its end since.
                    self.last = self.last.max(MessageId(header.floor_ms));
                }
            }
        }
        // As in the spool: the last batch may be seen and yet not be on the disk.
        if let Some((header, at)) = end {
            let batch = octets
                .get(at - BATCH_HEADER_LEN..at + header.len as usize)
                .unwrap_or_default();
            file.write_at(&[IoSlice::new(batch)], (at - BATCH_HEADER_LEN) as u64)?;
            file.sync_data()?;
        }
        Ok(said)
    }

    fn read_batch(
        &mut self,
        mut batch: &[u8],
        report: &mut Journaled,
        found: &mut impl FnMut(MessageId, &Change),
    ) {
        let mut account = None;
        while !batch.is_empty() {
            match read_record(&mut batch, &mut account) {
                Ok(record) if record.id > self.last => {
                    self.last = record.id;
                    report.changes += 1;
                    if let What::Retired { generation, check } = &record.change.what {
                        self.retired.push((*generation, *check));
                    }
                    found(record.id, &record.change);
                }
                Ok(_) => {}
                Err(_) => {
                    report.damaged += 1;
                    break;
                }
            }
        }
    }

    /// Whether a change is this one's.
    pub(crate) fn takes(&self, item: &Due) -> bool {
        self.holds.takes(&item.change)
    }

    /// Generations that were retired in it, and what files of theirs say.
    pub(crate) fn retired(&self) -> &[(u8, [u8; 32])] {
        &self.retired
    }

    pub(super) const fn disk(&self) -> &D {
        &self.disk
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The newest file's number.
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// Nothing is appended to the newest file any more: the next change begins another. All of it may be read.
    pub(super) fn leave_file(&mut self) {
        self.file = None;
        self.synced.set(self.number, u64::MAX);
    }

    pub(super) const fn sealed(&mut self) -> &mut BTreeSet<KeyId> {
        &mut self.sealed
    }

    pub(super) const fn untold(&self) -> Option<u32> {
        self.untold
    }

    pub(super) const fn set_untold(&mut self, count: Option<u32>) {
        self.untold = count;
    }

    /// Files were written anew: who follows it begins anew.
    pub(super) fn is_rewritten(&self, count: u32) {
        self.synced.1.store(count, Ordering::Relaxed);
    }

    /// The last change in it.
    pub(crate) const fn last(&self) -> MessageId {
        self.last
    }

    /// What follows the journal: an index of it in a directory.
    pub(crate) fn register(&self, index: PathBuf) -> Register<D> {
        Register::new(self.disk.clone(), self.dir.clone(), index, self.synced.clone())
    }

    /// Appends changes and syncs them. What it holds already is left out.
    pub(crate) fn append(
        &mut self,
        items: &[Due],
        ring: &mut KeyRing<D>,
        now_ms: u64,
        rng: &mut impl CryptoRng,
    ) -> io::Result<()> {
        self.drop_passed(now_ms / DAY_MS);
        let (holds, written) = (self.holds, self.last);
        let new = || {
            let is_new = move |item: &&Due| item.id > written && holds.takes(&item.change);
            items.iter().filter(is_new)
        };
        if new().next().is_none() {
            return Ok(());
        }
        // Before any key: a key in the ring says that there is a journal.
        let day = match holds {
            Holds::Lasting => 0,
            Holds::Passing => now_ms / DAY_MS,
        };
        let secret = ring
            .pseudonyms()
            .ok_or_else(|| io::Error::other("the key ring holds no secret behind pseudonyms"))?;
        let is_over = self.offset > FILE_MAX || day > self.number / DAY_NUMBERS;
        if self.file.is_none() || is_over || self.generation != secret.generation() {
            self.file = Some(self.next_file(day, &secret)?);
        }
        let mut octets = Vec::new();
        let mut last = self.last;
        for item in new() {
            let key = key_of(ring, item, now_ms, rng)?;
            self.sealed.extend(key.as_ref().map(|key| key.id()));
            put_record(&mut octets, item, key.as_deref(), rng)?;
            last = item.id;
        }
        let batch = self.batch + 1;
        let len = u32::try_from(octets.len()).map_err(io::Error::other)?;
        let Some(file) = self.file.take() else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let header = BatchHeader {
            node: self.node,
            segment: self.number,
            number: batch,
            floor_ms: last.0,
            len,
        };
        let retired = new().filter_map(|item| match &item.change.what {
            What::Retired { generation, check } => Some((*generation, *check)),
            _ => None,
        });
        let retired: Vec<(u8, [u8; 32])> = retired.collect();
        match segment::append(&file, self.offset, &header, &octets) {
            Ok(()) => {
                self.retired.extend(retired);
                self.offset += BATCH_HEADER_LEN as u64 + u64::from(len);
                self.file = Some(file);
                self.batch = batch;
                self.last = last;
                self.synced.set(self.number, self.offset);
                Ok(())
            }
            Err(error) => {
                // A full disk gives the tail back and goes on in this file. Of another failure nobody knows what it left:
                // the next try begins a file of its own.
                let cut =
                    is_full(&error) && file.truncate(self.offset).and_then(|()| file.sync_data()).is_ok();
                self.file = cut.then_some(file);
                Err(error)
            }
        }
    }

    fn next_file(&mut self, day: u64, secret: &Secret) -> io::Result<D::File> {
        let number = (self.number + 1).max(day * DAY_NUMBERS);
        let path = self.dir.join(file_name(self.holds, number));
        match self.disk.unlink(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = self.disk.create(&path, 0o600, 0)?;
        let said = (secret.generation(), &secret.check());
        file.write_at(&[IoSlice::new(&header(self.node, number, said, 0))], 0)?;
        file.sync_all()?;
        self.disk.sync_dir(&self.dir)?;
        self.number = number;
        self.generation = secret.generation();
        self.offset = HEADER_LEN as u64;
        Ok(file)
    }
}

impl<D: Disk> Journal<D> {
    /// Drops files in which nothing counts any more, once a day. One that cannot be dropped is tried the next day.
    fn drop_passed(&mut self, day: u64) {
        if self.holds == Holds::Lasting || self.tidied_day == day {
            return;
        }
        self.tidied_day = day;
        for number in numbers(&self.disk, &self.dir, self.holds).unwrap_or_default() {
            let path = self.dir.join(file_name(self.holds, number));
            if number / DAY_NUMBERS + PASSING_DAYS < day
                && let Err(error) = self.disk.unlink(&path)
            {
                tracing::warn!(%error, file = %path.display(), "a file in which nothing counts any more stays");
            }
        }
    }
}

/// The key for a private part; `None` where there is nothing to seal, or no room in the ring: then the pseudonym stands
/// alone, and nobody is less opted out.
fn key_of<D: Disk>(
    ring: &mut KeyRing<D>,
    item: &Due,
    now_ms: u64,
    rng: &mut impl CryptoRng,
) -> io::Result<Option<Arc<SealKey>>> {
    if item.change.private.is_empty() {
        return Ok(None);
    }
    let owner = owner_of(item.account, &item.change);
    match ring.newest(owner) {
        Some(key) if !key.is_spent() => Ok(Some(key)),
        _ if ring.kept_open() + RING_RESERVE >= KEPT_OPEN_MAX => Ok(None),
        _ => match ring.make(owner, now_ms, rng) {
            Ok(key) => Ok(Some(key)),
            Err(error) if error.is_full() => Ok(None),
            Err(error) => Err(io::Error::other(error)),
        },
    }
}
