//! The journal: every change there was, in order, in plain files of batches that are kept for ever (OPT-26).
//!
//! ```text
//! "TGSTAND2" │ node u8 │ generation u8 │ rewritten u32 │ 0 × 2 │ number u64 │ check × 32 │ 0 × 4 │ crc32 u32   ◄ header of a file
//! length u32 │ id u64 │ n u8 │ account │ p u16 │ public part │ key u32 │ sealed    ◄ a record; batches as the spool's
//! ```
//!
//! `check` proves that the secret of the ring is the one under which the pseudonyms stand: with another one nobody would be
//! found, and everybody could be sent to (PSN-4). `rewritten` of the first file says how often numbers were taken out
//! ([`forget`](super::forget)). It is that of the newest generation when the file was made; with each new one
//! a file begins. Files of the first version, "TGSTAND1", say no generation: theirs is the first. Every generation that a file or
//! a change in it is of must live, or be retired by a change ([`What::Retired`]). A batch names the last change in it where the spool's names its floor of
//! ids; what a start finds twice, because a sync failed behind its write, it takes once.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rand_core::CryptoRng;
use tidegate_codec::identity::SystemId;

use crate::disk::{Access, Disk, DiskFile, is_full};
use crate::keyring::{KEPT_OPEN_MAX, KeyRing, Owner};
use crate::message_id::MessageId;
use crate::pseudonym::{FIRST, Secret};
use crate::record::{self, RecordError};
use crate::seal::{Aad, KeyId, Purpose, SealKey};
use crate::segment::{self, BATCH_HEADER_LEN, BatchHeader, Found, HEADER_LEN, Scan};

use super::{Change, DAY_MS, Due, Private, Register, What, forget};

const MAGIC: &[u8; 8] = b"TGSTAND2";
/// Of files that an earlier version wrote; they have no generation.
const MAGIC_FIRST: &[u8; 8] = b"TGSTAND1";
/// Octets behind which a file is followed by the next.
const FILE_MAX: u64 = 64 << 20;
/// The associated data's kind of a private part; no record has it.
const AAD_KIND: u8 = 0xe0;
const AAD_VERSION: u8 = 1;
/// Places in the key ring that are left to the keys without which no message goes on.
const RING_RESERVE: usize = 256;
const SUFFIX: &str = ".standing";
/// Of files of what counts for a while. Their numbers begin with their day.
const PASSING_SUFFIX: &str = ".sent";
/// Numbers of a day's files. One more is the next day's, and stays a day longer.
const DAY_NUMBERS: u64 = 1 << 16;
/// Days behind its own in which something in a file may count.
const PASSING_DAYS: u64 = 8;

/// What a journal holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    /// What is kept for ever.
    Lasting,
    /// What counts for a while: a file a day, which goes when nothing in it counts any more.
    Passing,
}

impl Holds {
    const fn suffix(self) -> &'static str {
        match self {
            Self::Lasting => SUFFIX,
            Self::Passing => PASSING_SUFFIX,
        }
    }

    fn takes(self, change: &Change) -> bool {
        change.is_passing() == (self == Self::Passing)
    }
}

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

pub(super) fn file_name(holds: Holds, number: u64) -> String {
    format!("{number:016x}{}", holds.suffix())
}

fn number_of(holds: Holds, name: &str) -> Option<u64> {
    let digits = name.strip_suffix(holds.suffix())?;
    (digits.len() == 16).then(|| u64::from_str_radix(digits, 16).ok())?
}

pub(super) fn header(
    node: u8,
    number: u64,
    (generation, check): (u8, &[u8; 32]),
    rewritten: u32,
) -> [u8; HEADER_LEN] {
    let mut octets = [0; HEADER_LEN];
    octets[..8].copy_from_slice(MAGIC);
    octets[8] = node;
    octets[9] = generation;
    octets[10..14].copy_from_slice(&rewritten.to_be_bytes());
    octets[16..24].copy_from_slice(&number.to_be_bytes());
    octets[24..56].copy_from_slice(check);
    sum(&mut octets);
    octets
}

fn sum(octets: &mut [u8; HEADER_LEN]) {
    let crc = crc32fast::hash(&octets[..60]);
    octets[60..].copy_from_slice(&crc.to_be_bytes());
}

/// Node, generation, check value and count of rewritings of a file's header; `None` when it is damaged.
pub(super) fn read_header(octets: &[u8], number: u64) -> Option<(u8, u8, [u8; 32], u32)> {
    let octets = octets.first_chunk::<HEADER_LEN>()?;
    let check: [u8; 32] = octets[24..56].try_into().ok()?;
    let (node, generation) = (octets[8], octets[9]);
    let rewritten = u32::from_be_bytes([octets[10], octets[11], octets[12], octets[13]]);
    if *octets == header(node, number, (generation, &check), rewritten) {
        return Some((node, generation, check, rewritten));
    }
    let mut of_first = header(node, number, (0, &check), 0);
    of_first[..8].copy_from_slice(MAGIC_FIRST);
    sum(&mut of_first);
    (*octets == of_first).then_some((node, FIRST, check, 0))
}

/// Whether a file begins as those of a version that is not known here.
fn is_of_later(octets: &[u8]) -> bool {
    let family = MAGIC.len() - 1;
    let is_known = octets.starts_with(MAGIC) || octets.starts_with(MAGIC_FIRST);
    octets.starts_with(&MAGIC[..family]) && octets.get(family).is_some_and(u8::is_ascii_digit) && !is_known
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

pub(super) fn numbers<D: Disk>(disk: &D, dir: &Path, holds: Holds) -> io::Result<Vec<u64>> {
    let mut numbers: Vec<u64> = disk
        .list(dir)?
        .iter()
        .filter_map(|entry| number_of(holds, &entry.name))
        .collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Whose keys a change's private part is sealed under. What proves a consent has an end of its own; everything else goes with the
/// account.
pub(super) const fn owner_of(account: SystemId, change: &Change) -> Owner {
    match change.what {
        What::Consent { .. } => Owner::Consents(account),
        _ => Owner::OptOuts(account),
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

pub(super) fn aad(account: SystemId, id: MessageId) -> Aad {
    Aad {
        account: Some(account),
        kind: AAD_KIND,
        version: AAD_VERSION,
        id: id.0,
        leg: 0,
    }
}

fn put_record(
    out: &mut Vec<u8>,
    item: &Due,
    key: Option<&SealKey>,
    rng: &mut impl CryptoRng,
) -> io::Result<()> {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&item.id.0.to_be_bytes());
    record::put_short(out, item.account.as_bytes());
    let public_at = out.len();
    out.extend_from_slice(&[0; 2]);
    item.change.put_public(out);
    let len = u16::try_from(out.len() - public_at - 2).map_err(io::Error::other)?;
    out[public_at..public_at + 2].copy_from_slice(&len.to_be_bytes());
    out.extend_from_slice(&key.map_or(0, |key| key.id().0).to_be_bytes());
    if let Some(key) = key {
        key.seal(&aad(item.account, item.id), rng, out, |out| {
            item.change.private.put(out);
        })
        .map_err(io::Error::other)?;
    }
    let length = u32::try_from(out.len() - start - 4).map_err(io::Error::other)?;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

/// Puts a record with its public part as it is, and another private part.
pub(super) fn put_sealed(
    out: &mut Vec<u8>,
    as_it_is: &[u8],
    record: &Record<'_>,
    (key, private): (Option<&SealKey>, &Private),
    rng: &mut impl CryptoRng,
) -> io::Result<()> {
    let start = out.len();
    // The key's number and what is sealed stand behind all else.
    let public = as_it_is.len().saturating_sub(record.sealed.len() + 4);
    out.extend_from_slice(as_it_is.get(..public).unwrap_or_default());
    out.extend_from_slice(&key.map_or(0, |key| key.id().0).to_be_bytes());
    if let Some(key) = key {
        key.seal(&aad(record.account, record.id), rng, out, |out| private.put(out))
            .map_err(io::Error::other)?;
    }
    let length = u32::try_from(out.len() - start - 4).map_err(io::Error::other)?;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

/// A record of the journal, its private part still sealed.
pub(super) struct Record<'a> {
    pub(super) id: MessageId,
    pub(super) account: SystemId,
    pub(super) change: Change,
    pub(super) key: KeyId,
    pub(super) sealed: &'a [u8],
}

/// Opens the private part of a record; `None` where no key does.
pub(super) fn open_private(
    keys: &BTreeMap<KeyId, Arc<SealKey>>,
    purpose: Purpose,
    account: SystemId,
    id: MessageId,
    key: KeyId,
    sealed: &[u8],
) -> Option<Private> {
    let key = keys.get(&key)?;
    let mut sealed = sealed.to_vec();
    let mut plain = key.open(&aad(account, id), &mut sealed, purpose).ok()?;
    Private::get(&mut plain).ok()
}

/// `known` is the account of the record before, mostly the same: then it is not judged again.
#[inline]
pub(super) fn read_record<'a>(
    batch: &mut &'a [u8],
    known: &mut Option<SystemId>,
) -> Result<Record<'a>, RecordError> {
    let length = record::get_u32(batch)? as usize;
    let (mut fields, rest) = batch.split_at_checked(length).ok_or(RecordError::Malformed)?;
    *batch = rest;
    let id = MessageId(record::get_u64(&mut fields)?);
    let name = record::get_short(&mut fields)?;
    let account = match *known {
        Some(account) if account.as_bytes() == name => account,
        _ => SystemId::new(name).map_err(|_| RecordError::Malformed)?,
    };
    *known = Some(account);
    let len = usize::from(record::get_u16(&mut fields)?);
    let (mut public, mut fields) = fields.split_at_checked(len).ok_or(RecordError::Malformed)?;
    let change = Change::get_public(&mut public)?;
    let key = KeyId(record::get_u32(&mut fields)?);
    Ok(Record {
        id,
        account,
        change,
        key,
        sealed: fields,
    })
}

/// What the register is held against: reads a journal beside whoever writes it and changes nothing; every change in order, once, with what of its private part
/// `keys` open. Says how many stretches of damage there were.
#[cfg(test)]
pub(crate) fn look<D: Disk>(
    disk: &D,
    dir: &Path,
    keys: &BTreeMap<KeyId, Arc<SealKey>>,
    purpose: Purpose,
    mut found: impl FnMut(MessageId, SystemId, Change),
) -> io::Result<u64> {
    let (mut last, mut damaged) = (MessageId(0), 0);
    for number in numbers(disk, dir, Holds::Lasting)? {
        let file = disk.open(&dir.join(file_name(Holds::Lasting, number)), Access::Read)?;
        let octets = segment::read_all(&file)?;
        for part in Scan::new(&octets, number) {
            let Found::Batch { header, at } = part else {
                damaged += 1;
                continue;
            };
            let mut batch = octets.get(at..at + header.len as usize).unwrap_or_default();
            let mut account = None;
            while !batch.is_empty() {
                let Ok(record) = read_record(&mut batch, &mut account) else {
                    damaged += 1;
                    break;
                };
                if record.id <= last {
                    continue;
                }
                last = record.id;
                let mut change = record.change;
                let (account, id) = (record.account, record.id);
                let private = open_private(keys, purpose, account, id, record.key, record.sealed);
                change.private = private.unwrap_or_default();
                found(record.id, record.account, change);
            }
        }
    }
    Ok(damaged)
}
