//! Outbox files: DLRs and MOs that nobody has fetched for a while, in runs of the same form.
//!
//! A run holds entries for one sink of an account in the order in which they were caused, which is the order in which they are
//! delivered; so the hash of its table is the entry's own id. Its hour is that of the last end date in it: then
//! nothing of it is wanted any more, and it goes as it is. Runs of entries are never merged.

use std::io;

use rand_core::CryptoRng;
use tidegate_codec::identity::SystemId;

use crate::disk::Disk;
use crate::index::Location;
use crate::keyring::KeyRing;
use crate::message_id::MessageId;
use crate::outbox::EntryId;
use crate::record::{self, EntryKind, Form as BodyForm, Payload, RecordError, Sink};
use crate::seal::{KeyId, Purpose};

use super::done::Done;
use super::files::Files;
use super::format::{Form, file_name};
use super::pass::DropFailed;
use super::writer::{RunWriter, Title};
use super::{At, Mark, Place, RunInfo};

/// Runs of entries have numbers from here on, so that a number says what is in a run.
pub(crate) const FIRST_RUN: u64 = 1 << 62;
/// Entries that come back at once, at most.
pub(crate) const LOAD_MAX: usize = 1024;
/// Octets of bodies that come back at once, but for the last of them.
const LOAD_OCTETS_MAX: usize = 512 << 10;

/// Whether a run holds entries.
pub(crate) const fn holds_entries(run: u64) -> bool {
    run >= FIRST_RUN
}

/// An entry that is to move, where its record lies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ParkItem {
    pub(crate) id: EntryId,
    pub(crate) own: MessageId,
    pub(crate) revision: u32,
    pub(crate) at: Location,
}

/// Where an entry was moved to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ParkedItem {
    pub(crate) id: EntryId,
    pub(crate) revision: u32,
    pub(crate) mark: Mark,
}

/// Records under a run's key, one behind the other, and whose each is.
#[derive(Debug, Default)]
pub(crate) struct SealedEntries {
    pub(crate) octets: Vec<u8>,
    pub(crate) lines: Vec<(ParkItem, std::ops::Range<usize>)>,
}

/// Whose entries a run holds, for which sink, and between which ids.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span<A> {
    pub(crate) account: A,
    pub(crate) sink: Sink,
    pub(crate) first: MessageId,
    pub(crate) last: MessageId,
}

/// An entry as an outbox file holds it.
#[derive(Debug)]
pub(crate) struct FoundEntry {
    pub(crate) id: MessageId,
    pub(crate) kind: EntryKind,
    pub(crate) sink: Sink,
    pub(crate) form: BodyForm,
    pub(crate) expires_ms: u64,
    pub(crate) body: Vec<u8>,
    pub(crate) place: Place,
}

/// The next entries of a run.
#[derive(Debug, Default)]
pub(crate) struct EntryBunch {
    pub(crate) entries: Vec<FoundEntry>,
    /// The rank behind them.
    pub(crate) next: u32,
    /// How many behind that are not done.
    pub(crate) rest: u32,
}

impl<D: Disk> Files<D> {
    /// Writes a run of entries and syncs it with its name. What fails leaves nothing.
    pub(crate) fn add_entries(
        &mut self,
        hour: u32,
        entries: &SealedEntries,
    ) -> io::Result<(RunInfo, Vec<ParkedItem>)> {
        let number = self.next_run;
        self.next_run += 1;
        let written = self
            .write_entries(hour, number, entries)
            .and_then(|()| self.sync_dir());
        if let Err(error) = written {
            self.forget(hour, number);
            let _ = self
                .disk
                .unlink(&self.dir.join(file_name(hour, number, Form::Moving)));
            return Err(error);
        }
        let info = self
            .info(hour, number)
            .ok_or_else(|| io::Error::other("no such run"))?;
        let item = |(rank, (item, _)): (u32, &(ParkItem, _))| {
            let at = Some(At { run: number, rank });
            let hash = item.own.0;
            ParkedItem {
                id: item.id,
                revision: item.revision,
                mark: Mark {
                    id: item.own,
                    leg: 0,
                    place: Place { hour, hash, at },
                },
            }
        };
        Ok((info, (0..).zip(&entries.lines).map(item).collect()))
    }

    fn write_entries(&mut self, hour: u32, number: u64, entries: &SealedEntries) -> io::Result<()> {
        let (key, hash_key) = match self.hours.get(&hour) {
            Some(found) => (found.key.id(), found.sealed_hash_key),
            None => return Err(io::Error::other("no such hour")),
        };
        let room = u32::try_from(entries.lines.len()).map_err(io::Error::other)?;
        let path = self.dir.join(file_name(hour, number, Form::Moving));
        let mut writer = RunWriter::begin(&self.disk, path, room, entries.octets.len() as u64)?;
        for (item, range) in &entries.lines {
            writer.push(item.own.0, entries.octets.get(range.clone()).unwrap_or_default())?;
        }
        let title = Title {
            node: self.node,
            hour,
            number,
            key,
            hash_key,
            replaces: Vec::new(),
        };
        self.add_run(writer, title, Done::new(room), Form::Moving)
    }

    /// An hour without a run needs no key. What cannot be destroyed now goes with the next start.
    pub(crate) fn forget_empty_hours(&mut self, ring: &mut KeyRing<D>) {
        let empty = self.hours.iter().filter(|(_, hour)| hour.runs.is_empty());
        let empty: Vec<(u32, KeyId)> = empty.map(|(hour, found)| (*hour, found.key.id())).collect();
        for (hour, key) in empty {
            // A file of the hour that was set aside may need it.
            if !self.aside.contains(&hour) {
                let _ = ring.destroy(key);
            }
            self.hours.remove(&hour);
        }
    }

    /// The next entries of a run that are not done.
    pub(crate) fn next_entries(&mut self, hour: u32, number: u64, from: u32) -> io::Result<EntryBunch> {
        let mut bunch = self.read_entries(hour, number, from)?;
        if let Some(run) = self.run(hour, number) {
            let rest = (bunch.next..run.header.count).filter(|rank| !run.done.is_done(*rank));
            bunch.rest = u32::try_from(rest.count()).unwrap_or(u32::MAX);
        }
        Ok(bunch)
    }

    fn read_entries(&mut self, hour: u32, number: u64, from: u32) -> io::Result<EntryBunch> {
        let mut bunch = EntryBunch {
            next: from,
            ..EntryBunch::default()
        };
        let (mut octets, mut bad) = (0, 0);
        loop {
            let next = self.run(hour, number).and_then(|run| {
                let rank = (bunch.next..run.header.count).find(|rank| !run.done.is_done(*rank))?;
                Some((rank, run.header.count))
            });
            let Some((rank, count)) = next else {
                bunch.next = u32::MAX;
                return Ok(bunch);
            };
            bunch.next = rank;
            if bunch.entries.len() == LOAD_MAX || octets >= LOAD_OCTETS_MAX {
                return Ok(bunch);
            }
            let at = At { run: number, rank };
            match self.entry(hour, at) {
                Ok(entry) => {
                    octets += entry.body.len();
                    bunch.entries.push(entry);
                }
                // Somebody has removed it.
                Err(RecordError::Io(io::ErrorKind::NotFound)) => {
                    tracing::error!(hour, run = number, "an outbox file is gone");
                    self.damaged += 1;
                    bunch.next = count;
                    return Ok(bunch);
                }
                // What was found before goes first; the next try says again what is wrong here.
                Err(RecordError::Io(_)) if !bunch.entries.is_empty() => return Ok(bunch),
                Err(RecordError::Io(kind)) => return Err(kind.into()),
                Err(error) => {
                    if bad == 0 {
                        tracing::error!(hour, run = number, rank, %error, "an outbox record, and perhaps more, cannot be read");
                    }
                    bad += 1;
                    self.damaged += 1;
                    if let Some(run) = self.run_mut(hour, number) {
                        run.done.mark(rank);
                        self.unsynced.insert((hour, number));
                    }
                }
            }
            bunch.next = rank + 1;
        }
    }

    /// An entry by its place.
    pub(crate) fn entry(&mut self, hour: u32, at: At) -> Result<FoundEntry, RecordError> {
        let mut octets = self.record_at(hour, at)?;
        let key = self.hours.get(&hour).map(|found| &found.key);
        let raw = record::cut(&mut octets).ok_or(RecordError::Malformed)?.0?;
        let id = raw.head.id;
        let Payload::Entry(entry) = raw.open(Purpose::Deliver, |id| key.filter(|key| key.id() == id))? else {
            return Err(RecordError::Malformed);
        };
        Ok(FoundEntry {
            id,
            kind: entry.kind,
            sink: entry.sink,
            form: entry.form,
            expires_ms: entry.expires_ms,
            body: entry.body.to_vec(),
            place: Place {
                hour,
                hash: id.0,
                at: Some(at),
            },
        })
    }

    /// Whose entries a run holds, the first of them and the last; `None` when no record of it says so. Runs of an older
    /// version may hold entries for other sinks besides: they stand in line where the first of them stands.
    pub(crate) fn span_of(&mut self, hour: u32, number: u64) -> io::Result<Option<Span<SystemId>>> {
        let count = self.run(hour, number).map_or(0, |run| run.header.count);
        let (mut first, mut last) = (None, None);
        // One record that is damaged takes no other with it.
        for rank in 0..count {
            first = self.head_if_sound(hour, At { run: number, rank })?;
            if first.is_some() {
                break;
            }
        }
        for rank in (0..count).rev() {
            last = self.head_if_sound(hour, At { run: number, rank })?;
            if last.is_some() {
                break;
            }
        }
        let Some((first, last)) = first.zip(last) else {
            return Ok(None);
        };
        let mut sink = None;
        for rank in 0..count {
            sink = match self.entry(hour, At { run: number, rank }) {
                Ok(entry) => Some(entry.sink),
                Err(RecordError::Io(kind)) => return Err(kind.into()),
                Err(_) => continue,
            };
            break;
        }
        Ok(Some(Span {
            account: first.account,
            sink: sink.unwrap_or_default(),
            first: first.id,
            last: last.id,
        }))
    }

    fn head_if_sound(&mut self, hour: u32, at: At) -> io::Result<Option<record::Head>> {
        match self.head(hour, at) {
            Ok(head) => Ok(Some(head)),
            Err(RecordError::Io(kind)) => Err(kind.into()),
            Err(_) => Ok(None),
        }
    }

    /// Takes runs away of which nothing is wanted any more, and the keys of hours that have no others; says which are
    /// gone. One that stays holds up no other.
    pub(crate) fn drop_runs(
        &mut self,
        mut runs: Vec<(u32, u64)>,
        ring: &mut KeyRing<D>,
    ) -> (Vec<(u32, u64)>, Result<(), DropFailed>) {
        let mut dropped = Ok(());
        runs.retain(|(hour, number)| {
            let Some(form) = self.run(*hour, *number).map(|run| run.form) else {
                return true;
            };
            self.close(*number);
            match self.disk.unlink(&self.dir.join(file_name(*hour, *number, form))) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    dropped = Err(DropFailed::Io(error));
                    false
                }
                Ok(()) | Err(_) => true,
            }
        });
        if let Err(error) = self.sync_dir() {
            // Whether they are gone for good nobody knows: they are asked for again.
            return (Vec::new(), Err(DropFailed::Io(error)));
        }
        for (hour, number) in &runs {
            self.unsynced.remove(&(*hour, *number));
            let Some(found) = self.hours.get_mut(hour) else {
                continue;
            };
            found.runs.remove(number);
            if !found.runs.is_empty() {
                continue;
            }
            let key = found.key.id();
            // A file of the hour that was set aside may need it.
            if !self.aside.contains(hour)
                && let Err(error) = ring.destroy(key)
            {
                // The next start destroys it.
                dropped = Err(DropFailed::Ring(error));
            }
            self.hours.remove(hour);
        }
        (runs, dropped)
    }

    /// Seals entries under the key of an hour and writes them.
    pub(crate) fn key_for(
        &mut self,
        hour: u32,
        ring: &mut KeyRing<D>,
        now_ms: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<std::sync::Arc<crate::seal::SealKey>, crate::keyring::KeyRingError> {
        let found = self.hour_for(hour, ring, now_ms, rng)?;
        Ok(std::sync::Arc::clone(&found.key))
    }
}
