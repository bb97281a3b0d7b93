//! Moving legs into runs.

use std::io;
use std::sync::Arc;

use hashbrown::HashMap;
use rand_core::CryptoRng;
use tidegate_codec::identity::SystemId;
use tidegate_codec::message_id::MessageIdText;

use crate::disk::{Disk, DiskFile};
use crate::index::{Leg, LegId};
use crate::keyring::{KeyRing, KeyRingError};
use crate::names::NameId;
use crate::quote::Quote;
use crate::record::{self, Head, Kind, LegRecord, Payload};

use super::done::Done;
use super::files::{Files, Run};
use super::format::{Form, file_name};
use super::writer::{RunWriter, Title};
use super::{At, KeptBody, Mark, Place, RunInfo, hour_of};

/// A leg that is to move, as it stands.
#[derive(Debug)]
pub(crate) struct MoveItem {
    pub(crate) id: LegId,
    pub(crate) leg: Leg,
    pub(crate) carrier_id: MessageIdText,
    pub(crate) quote: Quote,
    /// Whether its body comes along.
    pub(crate) keeps_body: bool,
    pub(crate) body: KeptBody,
}

/// Where a leg was moved to.
#[derive(Debug)]
pub(crate) struct MovedItem {
    pub(crate) id: LegId,
    pub(crate) revision: u32,
    pub(crate) mark: Mark,
}

/// Why legs could not be moved.
#[derive(Debug)]
pub(crate) enum MoveFailed {
    Io(io::Error),
    Ring(KeyRingError),
}

impl From<io::Error> for MoveFailed {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<KeyRingError> for MoveFailed {
    fn from(error: KeyRingError) -> Self {
        Self::Ring(error)
    }
}

/// Runs that were written and where each leg lies in them.
pub(crate) type Moved = (Vec<RunInfo>, Vec<MovedItem>);

impl<D: Disk> Files<D> {
    /// Writes legs to runs, one for each hour, and syncs them with their names. What fails leaves nothing.
    pub(crate) fn take_in(
        &mut self,
        items: Vec<MoveItem>,
        names: &HashMap<NameId, String>,
        ring: &mut KeyRing<D>,
        now_ms: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<Moved, MoveFailed> {
        let mut by_hour: HashMap<u32, Vec<MoveItem>> = HashMap::new();
        for item in items {
            by_hour.entry(hour_of(item.leg.due_ms)).or_default().push(item);
        }
        let (mut runs, mut moved) = (Vec::new(), Vec::new());
        let mut written = Ok(());
        for (hour, items) in by_hour {
            let number = self.next_run;
            self.next_run += 1;
            written = self.write_run((hour, number), items, names, ring, now_ms, rng, &mut moved);
            if written.is_err() {
                let _ = self
                    .disk
                    .unlink(&self.dir.join(file_name(hour, number, Form::Moving)));
                break;
            }
            runs.extend(self.info(hour, number));
        }
        match written.and_then(|()| self.sync_dir().map_err(MoveFailed::Io)) {
            Ok(()) => Ok((runs, moved)),
            Err(error) => {
                for run in runs {
                    self.forget(run.hour, run.number);
                }
                self.forget_empty_hours(ring);
                Err(error)
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "what a run is made of")]
    fn write_run(
        &mut self,
        (hour, number): (u32, u64),
        items: Vec<MoveItem>,
        names: &HashMap<NameId, String>,
        ring: &mut KeyRing<D>,
        now_ms: u64,
        rng: &mut impl CryptoRng,
        moved: &mut Vec<MovedItem>,
    ) -> Result<(), MoveFailed> {
        let name = |id: NameId| names.get(&id).map_or("", String::as_str);
        let found = self.hour_for(hour, ring, now_ms, rng)?;
        let (key, hash_key, sealed) = (
            Arc::clone(&found.key),
            found.hash_key.clone(),
            found.sealed_hash_key,
        );
        let mut octets = Vec::new();
        let mut lines = Vec::with_capacity(items.len());
        for MoveItem {
            id,
            leg,
            carrier_id,
            quote,
            body,
            ..
        } in items
        {
            // Names of accounts come from system_ids, so this leaves none out.
            let Ok(account) = SystemId::new(name(leg.account).as_bytes()) else {
                continue;
            };
            let carrier = leg.carrier.map_or("", name);
            let hash = hash_key.of(carrier, carrier_id.as_bytes(), leg.message, leg.leg);
            let head = Head {
                kind: Kind::Leg,
                id: leg.message,
                leg: leg.leg,
                account,
            };
            let record = LegRecord {
                envelope: leg.envelope,
                stage: leg.stage,
                attempts: leg.attempts,
                due_ms: leg.due_ms,
                carrier,
                carrier_id: carrier_id.as_bytes(),
                progress: None,
                quote,
                body: &body.0,
            };
            let range = record::write(&mut octets, &head, &Payload::Leg(record), &key, rng)
                .map_err(io::Error::other)?;
            lines.push((hash, range, id, leg.revision, head));
        }
        lines.sort_unstable_by_key(|line| line.0);
        let room = u32::try_from(lines.len()).map_err(io::Error::other)?;
        let path = self.dir.join(file_name(hour, number, Form::Moving));
        let mut writer = RunWriter::begin(&self.disk, path, room, octets.len() as u64)?;
        for (rank, (hash, range, id, revision, head)) in (0..).zip(lines) {
            writer.push(hash, octets.get(range).unwrap_or_default())?;
            let at = Some(At { run: number, rank });
            let place = Place { hour, hash, at };
            moved.push(MovedItem {
                id,
                revision,
                mark: Mark {
                    id: head.id,
                    leg: head.leg,
                    place,
                },
            });
        }
        let title = Title {
            node: self.node,
            hour,
            number,
            key: key.id(),
            hash_key: sealed,
            replaces: Vec::new(),
        };
        self.add_run(writer, title, Done::new(room), Form::Moving)?;
        Ok(())
    }

    /// Ends a run's writing and takes it in.
    pub(crate) fn add_run(
        &mut self,
        writer: RunWriter<D>,
        title: Title,
        done: Done,
        form: Form,
    ) -> io::Result<()> {
        let (header, prints, file) = writer.finish(title)?;
        let octets = file.len()?;
        let (hour, number) = (header.hour, header.number);
        let run = Run {
            header,
            prints: Arc::new(prints),
            done,
            form,
            octets,
        };
        if let Some(found) = self.hours.get_mut(&hour) {
            found.runs.insert(number, run);
        }
        self.keep_open(number, file);
        Ok(())
    }

    /// Takes a run away again.
    pub(crate) fn forget(&mut self, hour: u32, number: u64) {
        self.close(number);
        self.unsynced.remove(&(hour, number));
        let run = self
            .hours
            .get_mut(&hour)
            .and_then(|hour| hour.runs.remove(&number));
        if let Some(run) = run {
            // What stays for now is removed by the next start: nothing says that it counts.
            let _ = self
                .disk
                .unlink(&self.dir.join(file_name(hour, number, run.form)));
        }
    }
}
