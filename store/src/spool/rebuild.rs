//! Memory while a start rebuilds it, record by record.

use hashbrown::HashSet;
use tidegate_codec::identity::SystemId;
use tidegate_codec::message_id::MessageIdText;

use crate::chain::key;
use crate::index::{Index, KnownAs, Leg, LegId, Location};
use crate::message_id::MessageId;
use crate::names::Names;
use crate::outbox::{Entry, EntryId, Outbox};
use crate::progress::Progress;
use crate::record::{self, HandedOver, LegRecord, Payload, Retry, SettledMoved, Stage};
use crate::standing::{Change, Due, Standing, What};
use crate::usage::{Counted, Usage};
use crate::waiting::entries::holds_entries;
use crate::waiting::{At, Mark, Place};

use super::recover::Recovered;
use super::segments::Segments;

/// Memory while it is rebuilt.
pub(super) struct Rebuild {
    pub(super) names: Names,
    pub(super) index: Index,
    pub(super) outbox: Outbox,
    pub(super) segments: Segments,
    pub(super) found: Recovered,
    pub(super) last_batch: u64,
    pub(super) floor_ms: u64,
    /// Segments to which nothing was ever written.
    pub(super) empty: Vec<u64>,
    /// Runs of waiting and outbox files of which only the spool knows what counts, and what it says of them.
    pub(super) moving: HashSet<u64>,
    pub(super) moved: HashSet<(u64, MessageId, u16)>,
    /// The highest number of a run of legs, and of entries, that records name.
    pub(super) last_runs: [u64; 2],
    /// Ends of legs in waiting files, and the segments that hold them.
    pub(super) marks: Vec<(Mark, u64)>,
    /// The same of entries in outbox files.
    pub(super) entry_marks: Vec<(Mark, u64)>,
    /// Parts that accounts have used, from the snapshot on.
    pub(super) usage: Usage,
    /// The number of the first batch that was found.
    pub(super) first_batch: u64,
    /// What is remembered of people, the journal read first.
    pub(super) standing: Standing,
    /// The last change that the journal holds.
    pub(super) journaled: MessageId,
    /// The same of what counts for a while.
    pub(super) journaled_sent: MessageId,
    /// A generation of names that the key ring does not hold, of a change that the journal does not.
    pub(super) generation_gone: Option<u8>,
}

impl Rebuild {
    pub(super) fn apply(
        &mut self,
        id: MessageId,
        leg: u16,
        account: SystemId,
        payload: Payload<'_>,
        at: Location,
    ) {
        match payload {
            Payload::Leg(record) => self.leg(id, leg, account, &record, at.segment(), at),
            Payload::HandedOver(step) => self.handed_over(id, leg, &step),
            Payload::Retry(step) => self.retry(id, leg, step),
            Payload::Final(_) => self.ended(id, leg),
            Payload::Moved(run) => self.moved(id, leg, run),
            Payload::FinalMoved(end) => self.ended_elsewhere(id, leg, end.hour, end.hash, at.segment()),
            Payload::Progressed(progress) => self.progressed(id, leg, progress),
            // For the history only, which reads the segments itself.
            Payload::Finished(_) => {}
            Payload::Settled => self.settled(id),
            Payload::SettledMoved(place) => self.settled_elsewhere(id, place, at.segment()),
            Payload::Counted(counted) => self.counted(account, counted, at.segment()),
            Payload::Standing(change) => self.standing(id, account, change, at.segment()),
            Payload::Entry(entry) => {
                let Some(account) = self.names.intern(account.as_str()) else {
                    return;
                };
                let (kind, sink, form, expires_ms) = (entry.kind, entry.sink, entry.form, entry.expires_ms);
                let (born, revision) = (key(at.segment()), 0);
                self.entry(Entry {
                    id,
                    account,
                    kind,
                    sink,
                    form,
                    expires_ms,
                    at,
                    born,
                    revision,
                    taken: false,
                    in_file: false,
                });
            }
        }
    }

    /// A change of standing data, unless the journal holds it.
    pub(super) fn standing(&mut self, id: MessageId, account: SystemId, change: Change, segment: u64) {
        let journaled = if change.is_passing() {
            &mut self.journaled_sent
        } else {
            &mut self.journaled
        };
        if id > *journaled {
            *journaled = id;
            let generation = match &change.what {
                What::Renamed { to } => Some(to.generation()),
                _ => change.is_of_somebody().then(|| change.who.generation()),
            };
            self.generation_gone = self
                .generation_gone
                .or(generation.filter(|generation| !self.standing.knows_generation(*generation)));
            self.standing.found(id, &change);
            self.standing.owe(Due {
                id,
                account,
                segment,
                change,
            });
            self.segments.owe(segment);
        }
    }

    /// Parts that new legs of a segment count as, unless the snapshot holds them.
    pub(super) fn counted(&mut self, account: SystemId, counted: Counted, segment: u64) {
        if segment > self.usage.saved()
            && let Some(account) = self.names.intern(account.as_str())
        {
            self.usage.found(account, counted);
        }
    }

    /// A leg as a whole: new, or copied forward, and then its newest record counts. It keeps the segment of
    /// its birth.
    pub(super) fn leg(
        &mut self,
        id: MessageId,
        leg: u16,
        account: SystemId,
        record: &LegRecord<'_>,
        born: u64,
        at: Location,
    ) {
        let born = match self.find(id, leg) {
            Some(found) => self
                .drop_leg(found)
                .map_or(key(born), |old| old.born.min(key(born))),
            None => key(born),
        };
        let account_len = account.as_bytes().len();
        let Some(account) = self.names.intern(account.as_str()) else {
            return;
        };
        let carrier = if record.carrier.is_empty() {
            None
        } else {
            self.names.intern(record.carrier)
        };
        let weight = match record.stage {
            Stage::Waiting | Stage::InParts | Stage::Held => at.len,
            Stage::HandedOver => {
                let (carrier, carrier_id) = (record.carrier.len(), record.carrier_id.len());
                record::bodyless_len(account_len, carrier, carrier_id, record.quote, &record.envelope)
            }
        };
        let leg = self.index.insert(
            Leg {
                message: id,
                leg,
                account,
                carrier,
                envelope: record.envelope.clone(),
                stage: record.stage,
                leased: false,
                attempts: record.attempts,
                due_ms: record.due_ms,
                at,
                weight,
                born,
                revision: 0,
                known_as: KnownAs::default(),
            },
            MessageIdText::new(record.carrier_id).unwrap_or_default(),
        );
        self.index.set_quote(leg, record.quote);
        if let Some(progress) = &record.progress {
            self.index.set_progress(leg, progress.clone());
        }
        self.segments.fill(at.segment(), weight);
    }

    pub(super) fn handed_over(&mut self, id: MessageId, leg: u16, step: &HandedOver<'_>) {
        let Some(found) = self.find(id, leg) else { return };
        let Some(carrier) = self.names.intern(step.carrier) else {
            return;
        };
        let quote = self.index.quote(found);
        if let Some(leg) = self.index.take_over(found) {
            leg.attempts = step.attempts;
            let account = self.names.name(leg.account).len();
            let (carrier, carrier_id) = (step.carrier.len(), step.carrier_id.len());
            let weight = record::bodyless_len(account, carrier, carrier_id, quote, &leg.envelope);
            let before = std::mem::replace(&mut leg.weight, weight);
            self.segments.reweigh(leg.at.segment(), before, weight);
        }
        self.index.set_due(found, step.deadline_ms);
        self.index.set_carrier(
            found,
            carrier,
            MessageIdText::new(step.carrier_id).unwrap_or_default(),
        );
    }

    pub(super) fn retry(&mut self, id: MessageId, leg: u16, step: Retry) {
        let Some(found) = self.find(id, leg) else { return };
        if let Some(leg) = self.index.get_mut(found) {
            leg.attempts = step.attempts;
        }
        self.index.set_due(found, step.due_ms);
    }

    pub(super) fn progressed(&mut self, id: MessageId, leg: u16, progress: Progress) {
        if let Some(found) = self.find(id, leg) {
            self.index.set_progress(found, progress);
        }
    }

    pub(super) fn ended(&mut self, id: MessageId, leg: u16) {
        if let Some(found) = self.find(id, leg) {
            self.drop_leg(found);
        }
    }

    /// A leg or entry lies in a file from here on.
    pub(super) fn moved(&mut self, id: MessageId, leg: u16, run: u64) {
        if holds_entries(run) {
            self.settled(id);
        } else {
            self.ended(id, leg);
        }
        self.note_run(run);
        if self.moving.contains(&run) {
            self.moved.insert((run, id, leg));
        }
    }

    /// A leg in a waiting file has ended: it is marked there, again or for the first time, before the segment
    /// that says so may go.
    pub(super) fn ended_elsewhere(&mut self, id: MessageId, leg: u16, hour: u32, hash: u64, segment: u64) {
        self.ended(id, leg);
        let at = None;
        let place = Place { hour, hash, at };
        self.marks.push((Mark { id, leg, place }, segment));
        self.segments.owe(segment);
    }

    fn drop_leg(&mut self, leg: LegId) -> Option<Leg> {
        let leg = self.index.remove(leg)?;
        self.segments.drain(leg.at.segment(), leg.weight, 0);
        Some(leg)
    }

    pub(super) fn entry(&mut self, mut entry: Entry) {
        if let Some(old) = self.outbox.find(entry.id).and_then(|old| self.drop_entry(old)) {
            entry.born = entry.born.min(old.born);
        }
        let at = entry.at;
        self.outbox.insert(entry);
        self.segments.fill(at.segment(), at.len);
    }

    /// An entry in an outbox file is done: as [`Rebuild::ended_elsewhere`].
    pub(super) fn settled_elsewhere(&mut self, id: MessageId, settled: SettledMoved, segment: u64) {
        self.settled(id);
        let SettledMoved { hour, run, rank } = settled;
        self.note_run(run);
        let place = Place {
            hour,
            hash: id.0,
            at: Some(At { run, rank }),
        };
        self.entry_marks.push((Mark { id, leg: 0, place }, segment));
        self.segments.owe(segment);
    }

    /// A number that records name is given to no other run: what they say would be said of that one.
    fn note_run(&mut self, run: u64) {
        let last = &mut self.last_runs[usize::from(holds_entries(run))];
        *last = (*last).max(run);
    }

    pub(super) fn settled(&mut self, id: MessageId) {
        if let Some(entry) = self.outbox.find(id) {
            self.drop_entry(entry);
        }
    }

    fn drop_entry(&mut self, entry: EntryId) -> Option<Entry> {
        let entry = self.outbox.remove(entry)?;
        self.segments.drain(entry.at.segment(), entry.at.len, 0);
        Some(entry)
    }

    fn find(&self, id: MessageId, leg: u16) -> Option<LegId> {
        self.index.find(id, leg)
    }
}
