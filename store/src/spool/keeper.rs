//! The keeper: does the spool's chores, on a thread of its own if the caller likes.

use std::io::{self, IoSlice};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use rand_core::CryptoRng;

use crate::disk::{Access, Disk, DiskFile};
use crate::footer;
use crate::history::{self, History, Stats};
use crate::index::Location;
use crate::keyring::{Destroyed, KeyRing, KeyRingError, Owner};
use crate::message_id::MessageId;
use crate::pseudonym::Secret;
use crate::record::{self, Head, Payload, RecordError};
use crate::seal::{KeyId, Purpose, SealKey};
use crate::segment::{self, HEADER_LEN, SegmentHeader, TRAILER_LEN, Trailer};
use crate::standing::{Forget, Journal, Register};
use crate::usage::{Snapshot, UsageFiles};
use crate::waiting::entries::{ParkItem, ParkedItem, SealedEntries};
use crate::waiting::files::Files;
use crate::waiting::{Failed, Order, Report, RunInfo, TRIES_MAX};

use super::chores::{Chore, ChoreDone, ChoreError, Copy, CopyItem, Outcome, ReadBack, Spot, Task, state_of};
use super::{Active, Options};

/// Files of legs that wait, of entries, of counts, of standing data, and the history.
pub(super) type Everything<D> = (
    Files<D>,
    Files<D>,
    UsageFiles<D>,
    [Journal<D>; 2],
    (History<D>, Stats<D>),
);

/// Does the spool's chores: it owns the key ring and every file but the newest.
pub struct Keeper<D: Disk> {
    pub(super) disk: D,
    dir: PathBuf,
    node: u8,
    segment_size: u64,
    pub(super) ring: KeyRing<D>,
    pub(super) waiting: Files<D>,
    pub(super) parked: Files<D>,
    usage: UsageFiles<D>,
    pub(super) journals: [Journal<D>; 2],
    pub(super) history: History<D>,
    stats: Stats<D>,
    /// How often in a row the disk did not give a body that is kept, to a copy and to a move.
    body_tries: [u32; 2],
    /// A sync of the directory failed: nobody knows which names are there, so none goes any more.
    stuck: bool,
}

impl<D: Disk> Keeper<D> {
    pub(super) fn new(
        disk: D,
        options: &Options,
        ring: KeyRing<D>,
        (waiting, parked, usage, journals, (history, stats)): Everything<D>,
    ) -> Self {
        Self {
            disk,
            dir: options.dir.clone(),
            node: options.node,
            segment_size: options.segment_size,
            ring,
            waiting,
            parked,
            usage,
            journals,
            history,
            stats,
            body_tries: [0; 2],
            stuck: false,
        }
    }

    /// Makes the secret of the next generation of the suppression key, synced in the ring before it returns (PSN-4); it is to
    /// be given to [`Spool::adopt_generation`](super::Spool::adopt_generation). `now_ms` in unix milliseconds.
    ///
    /// # Errors
    ///
    /// As [`KeyRing::make_generation`].
    pub fn make_generation(&mut self, now_ms: u64, rng: &mut impl CryptoRng) -> Result<Secret, KeyRingError> {
        self.ring.make_generation(now_ms, rng)
    }

    /// Destroys the secret of a generation that the journal says is retired; says what is left of it, nothing if it is gone.
    ///
    /// # Errors
    ///
    /// As [`KeyRing::destroy_generation`].
    pub fn destroy_generation(
        &mut self,
        generation: u8,
        now_ms: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<Destroyed>, KeyRingError> {
        // A generation goes for good once the journal says so on disk; what is only staged may be given back.
        let [lasting, _] = &self.journals;
        if lasting
            .retired()
            .iter()
            .all(|(retired, _)| *retired != generation)
        {
            return Err(KeyRingError::NotRetired);
        }
        let histories = self.history.printed();
        self.ring.destroy_generation(generation, &histories, now_ms, rng)
    }

    /// The key ring.
    pub const fn ring(&self) -> &KeyRing<D> {
        &self.ring
    }

    /// The same, for who has its key-encryption key rotated.
    pub const fn ring_mut(&mut self) -> &mut KeyRing<D> {
        &mut self.ring
    }

    /// An index of what is remembered of people for ever, in a directory of its own; whoever has it follows the journal.
    pub fn register(&self, index: PathBuf) -> Register<D> {
        let [lasting, _] = &self.journals;
        lasting.register(index)
    }

    /// Does one chore. Blocks.
    pub fn run(&mut self, chore: Chore<D>, rng: &mut impl CryptoRng) -> ChoreDone<D> {
        let outcome = match chore.0 {
            Task::Prepare {
                number,
                now_ms,
                floor_ms,
            } => match self.prepare(number, now_ms, floor_ms, self.segment_size, rng) {
                Ok(active) => Outcome::Prepared(active),
                Err(error) => Outcome::NotPrepared(error),
            },
            Task::Footer {
                number,
                file,
                end,
                plain,
                key,
            } => {
                let result = write_footer::<D>(number, &file, end, &plain, &key, rng)
                    .map_err(ChoreError::segment("close", number));
                Outcome::Footer { number, result }
            }
            Task::Copy { items, key } => {
                let copied = self.copy(items, &key, rng);
                let has_stopped = matches!(copied, Outcome::Copied { stopped: Some(_), .. });
                self.note_try(0, has_stopped);
                copied
            }
            Task::Unlink { numbers, keys, usage } => {
                let mut gone = Vec::new();
                // What the segments count must be counted elsewhere before they go.
                let saved = usage
                    .as_ref()
                    .map_or(Ok(None), |snapshot| self.save_usage(snapshot));
                let (saved, result) = match saved {
                    Ok(saved) => {
                        let unlinked = self.unlink(numbers, &mut gone);
                        (saved, unlinked.and_then(|()| self.destroy_all(&keys)))
                    }
                    Err(error) => (None, Err(error)),
                };
                Outcome::Unlinked {
                    numbers: gone,
                    keys: if result.is_ok() { keys } else { Vec::new() },
                    saved,
                    result,
                }
            }
            Task::Read { items } => {
                let found = items.into_iter().map(|(target, at)| {
                    let body = match at {
                        Spot::Segment(at) => Err(at),
                        Spot::File(hour, at) => Ok(self.parked.entry(hour, at).map(|entry| entry.body)),
                    };
                    (target, at, body)
                });
                let found: Vec<_> = found.collect();
                let mut reader = self.reader();
                let read = found.into_iter().map(|(target, at, body)| ReadBack {
                    target,
                    body: body.unwrap_or_else(|at| reader.body(at)),
                    at,
                });
                Outcome::Read(read.collect())
            }
            Task::Waiting(mut order) => {
                let fetched = self.fetch_bodies(&mut order, self.gives_up(1));
                if matches!(order, Order::Move { .. }) {
                    self.note_try(1, fetched.is_err());
                }
                match fetched {
                    Ok(lost) => {
                        let (report, damaged) = self.waiting.obey(order, &mut self.ring, rng);
                        Outcome::Waiting(report, damaged + lost)
                    }
                    Err(error) => {
                        let failed = Failed::Io("read", io::Error::other(error));
                        Outcome::Waiting(Report::Moved(Err(failed)), 0)
                    }
                }
            }
            Task::Parked(order) => {
                let (report, damaged) = self.parked.obey(order, &mut self.ring, rng);
                Outcome::Parked(report, damaged)
            }
            Task::Park {
                line,
                items,
                hour,
                now_ms,
            } => Outcome::Park(line, self.park(items, hour, now_ms, rng)),
            Task::Journal { items, now_ms } => {
                // One that cannot be written holds nothing up that is the other's.
                let (mut left, mut done, mut result) = (items, Vec::new(), Ok(()));
                for journal in &mut self.journals {
                    let appended = journal.append(&left, &mut self.ring, now_ms, rng);
                    if appended.is_ok() {
                        let taken = left.extract_if(.., |item| journal.takes(item));
                        done.extend(taken);
                    }
                    result = result.and(appended);
                }
                Outcome::Journal { done, left, result }
            }
            Task::File {
                items,
                plan,
                give_up,
                now_ms,
            } => Outcome::Filed(self.file(items, &*plan, give_up, now_ms, rng)),
            Task::Checkpoint { batch, now_ms } => {
                let result = self.history.checkpoint(batch, &mut self.ring, now_ms, rng);
                let result = result.map_err(ChoreError::history);
                Outcome::Checkpointed { batch, result }
            }
            Task::Search(search) => self.search(search),
            Task::History(number, order) => {
                let told = match *order {
                    history::Order::Forget(step) => {
                        // With an account's keys goes what was made of them.
                        if let Forget::Close(account) = &step {
                            self.history.forget_printer(*account);
                        }
                        let [lasting, _] = &mut self.journals;
                        let forgot = lasting.forget(step, &mut self.ring, rng);
                        forgot
                            .map(history::Report::Forgot)
                            .map_err(history::OrderError::Forget)
                    }
                    order => self.history.obey(order, &mut self.ring, &mut self.stats, rng),
                };
                Outcome::History(number, told)
            }
        };
        ChoreDone {
            outcome,
            kept_octets: Some(self.history.octets()),
        }
    }

    /// One bad place must not hold all up for ever: after some tries what the disk does not give is done without.
    fn gives_up(&self, what: usize) -> bool {
        self.body_tries.get(what).is_some_and(|tries| *tries >= TRIES_MAX)
    }

    fn note_try(&mut self, what: usize, has_stopped: bool) {
        if let Some(tries) = self.body_tries.get_mut(what) {
            *tries = if has_stopped { tries.saturating_add(1) } else { 0 };
        }
    }

    /// Saves the counts of used parts; says up to which segment they count.
    fn save_usage(&mut self, snapshot: &Snapshot) -> Result<Option<u64>, ChoreError> {
        let failed = |source| ChoreError::Usage { source };
        self.usage.save(snapshot).map_err(failed)?;
        Ok(Some(snapshot.segment))
    }

    /// Writes entries to an outbox file, under a key of that kind.
    fn park(
        &mut self,
        items: Vec<ParkItem>,
        hour: u32,
        now_ms: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<(RunInfo, Vec<ParkedItem>), Failed> {
        let key = self.parked.key_for(hour, &mut self.ring, now_ms, rng)?;
        let parked = self
            .seal_entries(items, &key, rng)
            .and_then(|entries| Ok(self.parked.add_entries(hour, &entries)?));
        self.parked.forget_empty_hours(&mut self.ring);
        parked
    }

    fn seal_entries(
        &self,
        items: Vec<ParkItem>,
        key: &SealKey,
        rng: &mut impl CryptoRng,
    ) -> Result<SealedEntries, Failed> {
        let mut entries = SealedEntries::default();
        let mut reader = self.reader();
        for item in items {
            match reader.reseal(item.at, key, rng, &mut entries.octets) {
                Ok((own, range)) if own == item.own => entries.lines.push((item, range)),
                // It stays where it is: whoever wants to deliver it finds that out.
                Ok(_) | Err(_) => {}
            }
        }
        if entries.lines.is_empty() {
            return Err(Failed::Io("read", io::ErrorKind::InvalidData.into()));
        }
        Ok(entries)
    }

    pub(super) fn reader(&self) -> Reader<'_, D> {
        Reader {
            keeper: self,
            file: None,
        }
    }

    /// Makes a segment: the file, synced with its name, then its key, synced in the ring. What a crash
    /// leaves of it holds nothing, and a start removes it.
    pub(super) fn prepare(
        &mut self,
        number: u64,
        now_ms: u64,
        floor_ms: u64,
        octets: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<Active<D>, ChoreError> {
        let file = self
            .create(number, now_ms, floor_ms, octets)
            .map_err(ChoreError::segment("make", number))?;
        match self.ring.make(Owner::Spool, now_ms, rng) {
            Ok(key) => Ok(Active {
                number,
                file: Arc::new(file),
                octets,
                offset: HEADER_LEN as u64,
                floor_ms,
                cut: false,
                events: Vec::new(),
                key,
            }),
            Err(error) => {
                let _ = self.disk.unlink(&self.path(number));
                Err(ChoreError::Ring(error))
            }
        }
    }

    fn create(&self, number: u64, now_ms: u64, floor_ms: u64, octets: u64) -> io::Result<D::File> {
        let path = self.path(number);
        let file = match self.disk.create(&path, 0o600, octets) {
            // Left from a try that failed behind the creation; nothing was ever written to it.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.disk.unlink(&path)?;
                self.disk.create(&path, 0o600, octets)?
            }
            made => made?,
        };
        let header = SegmentHeader {
            node: self.node,
            number,
            created_ms: now_ms,
            floor_ms,
        };
        let written = file
            .write_at(&[IoSlice::new(&header.octets())], 0)
            .and_then(|()| file.sync_all())
            .and_then(|()| self.disk.sync_dir(&self.dir));
        if let Err(error) = written {
            // Whatever is left of it is empty, and a start removes it.
            let _ = self.disk.unlink(&path);
            return Err(error);
        }
        Ok(file)
    }

    /// Removes segments oldest first, each made durable before the next; says in `gone` which are. One that
    /// stays holds back all behind it: they may hold what ended its records.
    fn unlink(&mut self, numbers: Vec<u64>, gone: &mut Vec<u64>) -> Result<(), ChoreError> {
        for number in numbers {
            let failed = ChoreError::segment("remove", number);
            if self.stuck {
                return Err(failed(io::Error::other("the directory could not be synced")));
            }
            match self.disk.unlink(&self.path(number)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
                Ok(()) | Err(_) => {}
            }
            if let Err(error) = self.disk.sync_dir(&self.dir) {
                if error.kind() != io::ErrorKind::ResourceBusy {
                    self.stuck = true;
                    tracing::error!(%error, "the spool's directory could not be synced: nothing is removed before a restart");
                }
                return Err(failed(error));
            }
            gone.push(number);
        }
        Ok(())
    }

    fn destroy_all(&mut self, keys: &[KeyId]) -> Result<(), ChoreError> {
        keys.iter()
            .try_for_each(|key| self.ring.destroy(*key).map_err(ChoreError::Ring))
    }

    fn copy(&self, items: Vec<CopyItem>, key: &SealKey, rng: &mut impl CryptoRng) -> Outcome<D> {
        let (mut octets, mut copies, mut unreadable) = (Vec::new(), Vec::new(), Vec::new());
        let (mut stopped, mut lost) = (None, 0);
        let give_up = self.gives_up(0);
        let mut reader = self.reader();
        for item in items {
            match reader.copy(&item, key, rng, &mut octets, (&mut lost, give_up)) {
                Ok(range) => copies.push(Copy {
                    target: item.target,
                    revision: item.revision,
                    at: range.start,
                    len: range.len(),
                }),
                // Nothing is known about the record: it stays where it is.
                Err(error @ RecordError::Io(_)) => {
                    tracing::error!(segment = item.at.segment(), %error, "a segment cannot be read");
                    stopped = Some(error);
                    break;
                }
                Err(error) => {
                    tracing::error!(segment = item.at.segment(), %error, "a record cannot be read: quarantined");
                    unreadable.push(item);
                }
            }
        }
        Outcome::Copied {
            octets,
            copies,
            unreadable,
            stopped,
            lost,
            key: key.id(),
        }
    }

    pub(super) fn path(&self, number: u64) -> PathBuf {
        self.dir.join(segment::file_name(number))
    }

    /// Destroys a key under which nothing lies.
    pub(super) fn destroy(&mut self, key: KeyId) -> Result<(), KeyRingError> {
        self.ring.destroy(key)
    }
}

/// Reads records back; keeps the file of the last one open.
pub(super) struct Reader<'a, D: Disk> {
    keeper: &'a Keeper<D>,
    file: Option<(u64, D::File)>,
}

impl<D: Disk> Reader<'_, D> {
    fn copy(
        &mut self,
        item: &CopyItem,
        key: &SealKey,
        rng: &mut impl CryptoRng,
        out: &mut Vec<u8>,
        (lost, give_up): (&mut u64, bool),
    ) -> Result<Range<usize>, RecordError> {
        let ring = &self.keeper.ring;
        let range = match &item.leg {
            // What a carrier has, or parts of it have, is copied without its body, unless its account keeps bodies: nobody
            // else needs it any more. That it cannot be read must not end a leg that a carrier has.
            Some((head, owned)) if !owned.leg.stage.is_ahead() => {
                let body = match owned.keeps_body {
                    true => self.kept_body(item.at, (head.id, head.leg), give_up, lost)?,
                    false => Vec::new(),
                };
                let record = state_of(
                    &owned.leg,
                    &owned.carrier,
                    owned.carrier_id.as_bytes(),
                    owned.quote,
                    owned.progress.clone(),
                    &body,
                );
                record::write(out, head, &Payload::Leg(record), key, rng)?
            }
            Some((head, owned)) => {
                let mut octets = self.octets_at(item.at)?;
                let raw = raw(&mut octets)?;
                if raw.head != *head {
                    return Err(RecordError::Malformed);
                }
                let Payload::Leg(found) = raw.open(Purpose::Sweep, |id| ring.get(id))? else {
                    return Err(RecordError::Malformed);
                };
                let record = state_of(
                    &owned.leg,
                    &owned.carrier,
                    owned.carrier_id.as_bytes(),
                    owned.quote,
                    owned.progress.clone(),
                    found.body,
                );
                record::write(out, head, &Payload::Leg(record), key, rng)?
            }
            None => self.reseal(item.at, key, rng, out)?.1,
        };
        Ok(range)
    }

    /// Writes a record as it is under another key; says which message's or entry's it is.
    fn reseal(
        &mut self,
        at: Location,
        key: &SealKey,
        rng: &mut impl CryptoRng,
        out: &mut Vec<u8>,
    ) -> Result<(MessageId, Range<usize>), RecordError> {
        let ring = &self.keeper.ring;
        let mut octets = self.octets_at(at)?;
        let raw = raw(&mut octets)?;
        let head = raw.head;
        let payload = raw.open(Purpose::Sweep, |id| ring.get(id))?;
        Ok((head.id, record::write(out, &head, &payload, key, rng)?))
    }

    /// The body of a leg or entry.
    fn body(&mut self, at: Location) -> Result<Vec<u8>, RecordError> {
        let ring = &self.keeper.ring;
        let mut octets = self.octets_at(at)?;
        match raw(&mut octets)?.open(Purpose::Deliver, |id| ring.get(id))? {
            Payload::Leg(leg) => Ok(leg.body.to_vec()),
            Payload::Entry(entry) => Ok(entry.body.to_vec()),
            _ => Err(RecordError::Malformed),
        }
    }

    /// The body of a leg, for its account's sake; nothing, and counted, where it cannot be had. An error says that the disk
    /// does not give it now.
    pub(super) fn kept_body(
        &mut self,
        at: Location,
        whose: (MessageId, u16),
        give_up: bool,
        lost: &mut u64,
    ) -> Result<Vec<u8>, RecordError> {
        match self.body_of(at, whose) {
            Err(error @ RecordError::Io(_)) if !give_up => Err(error),
            Err(error) => {
                *lost += 1;
                tracing::error!(segment = at.segment(), %error, "a body that was to be kept cannot be read");
                Ok(Vec::new())
            }
            body => body,
        }
    }

    /// The body of a leg that a record holds.
    pub(super) fn body_of(
        &mut self,
        at: Location,
        (id, leg): (MessageId, u16),
    ) -> Result<Vec<u8>, RecordError> {
        self.open_at(at, |head, payload| match payload {
            Payload::Leg(found) if (head.id, head.leg) == (id, leg) => Ok(found.body.to_vec()),
            Payload::Finished(found) if (head.id, head.leg) == (id, leg) => Ok(found.leg.body.to_vec()),
            _ => Err(RecordError::Malformed),
        })
    }

    /// Opens a record for the history.
    pub(super) fn open_at<T>(
        &mut self,
        at: Location,
        read: impl FnOnce(&Head, Payload<'_>) -> Result<T, RecordError>,
    ) -> Result<T, RecordError> {
        let ring = &self.keeper.ring;
        let mut octets = self.octets_at(at)?;
        let raw = raw(&mut octets)?;
        let head = raw.head;
        read(&head, raw.open(Purpose::Sweep, |id| ring.get(id))?)
    }

    fn octets_at(&mut self, at: Location) -> Result<Vec<u8>, RecordError> {
        let io = |error: io::Error| RecordError::Io(error.kind());
        if self
            .file
            .as_ref()
            .is_none_or(|(number, _)| *number != at.segment())
        {
            let path = self.keeper.path(at.segment());
            let file = self.keeper.disk.open(&path, Access::Read).map_err(io)?;
            self.file = Some((at.segment(), file));
        }
        let mut octets = vec![0; at.len as usize];
        let read = match &self.file {
            Some((_, file)) => file.read_at(&mut octets, u64::from(at.offset)).map_err(io)?,
            None => 0,
        };
        if read < octets.len() {
            Err(RecordError::Malformed)
        } else {
            Ok(octets)
        }
    }
}

fn raw(octets: &mut [u8]) -> Result<record::Raw<'_>, RecordError> {
    record::cut(octets).ok_or(RecordError::Malformed)?.0
}

/// Seals and appends a footer and its trailer, and gives back what the file has beyond them.
fn write_footer<D: Disk>(
    number: u64,
    file: &D::File,
    end: u64,
    plain: &[u8],
    key: &SealKey,
    rng: &mut impl CryptoRng,
) -> io::Result<u64> {
    let mut octets = key.id().0.to_be_bytes().to_vec();
    octets.reserve(plain.len() + crate::seal::SEALED_OVERHEAD + TRAILER_LEN);
    key.seal(&footer::aad(number), rng, &mut octets, |out| {
        out.extend_from_slice(plain);
    })
    .map_err(io::Error::other)?;
    let footer_len = u32::try_from(octets.len()).map_err(io::Error::other)?;
    octets.extend_from_slice(
        &Trailer {
            footer_at: end,
            footer_len,
        }
        .octets(),
    );
    let len = end + octets.len() as u64;
    let written = file
        .write_at(&[IoSlice::new(&octets)], end)
        .and_then(|()| file.truncate(len))
        .and_then(|()| file.sync_data());
    if let Err(error) = written {
        // A full disk needs the space; a start reads the batches, and they end here.
        let _ = file.truncate(end);
        return Err(error);
    }
    Ok(len)
}
