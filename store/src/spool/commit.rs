//! One batch on its way to the disk, and what follows from how that went.

use std::io;
use std::sync::Arc;

use tidegate_codec::identity::SystemId;

use crate::chain::key;
use crate::disk::{Disk, DiskFile, is_full};
use crate::footer::{self, Event, Item};
use crate::index::Location;
use crate::record::HandedOver;
use crate::segment::{self, BATCH_HEADER_LEN, BatchHeader, HEADER_LEN};
use crate::waiting::Mark;

use super::Spool;
use super::chores::Unfooted;
use super::segments::Segment;
use super::staging::{Part, Staged, StagedRecord, Staging, StepItem};

/// Ids may be given out this far ahead of what a batch says is safe: ten seconds of clock.
pub(super) const FLOOR_AHEAD_MS: u64 = 10_000;
/// A batch without a new id raises their floor by so much at most: an hour.
const FLOOR_RAISE_MAX_MS: u64 = 3_600_000;

/// What to do about what is staged.
#[must_use]
pub enum Begin<D: Disk> {
    /// Nothing is staged, or a batch is on its way already.
    Nothing,
    /// The batch does not fit the active segment and the next one is not ready: run the keeper's chores
    /// and ask again. What is staged stays staged.
    NoSegment,
    /// Run it, here or on another thread, then hand it to [`Spool::finish_commit`].
    Commit(Commit<D>),
}

/// A batch that is to be written.
#[must_use]
pub struct Commit<D: Disk> {
    file: Arc<D::File>,
    offset: u64,
    header: BatchHeader,
    staging: Staging,
}

/// A batch that was written, or was not.
#[must_use]
pub struct CommitDone<D: Disk> {
    commit: Commit<D>,
    result: io::Result<()>,
}

/// How a commit went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitOutcome {
    /// On disk: what was staged may be promised.
    Synced,
    /// The disk is full. Intake of the batch is given back (0x14 to ESMEs, 0x64 to carriers); what ends
    /// work is staged again.
    Full,
    /// The disk failed. Nothing of the batch is promised and nothing more is taken in until a restart has
    /// read the disk again: some of it may be there.
    Broken,
}

impl<D: Disk> Commit<D> {
    /// Writes and syncs the batch. Blocks.
    pub fn run(self) -> CommitDone<D> {
        let result = segment::append(&*self.file, self.offset, &self.header, &self.staging.octets);
        CommitDone { commit: self, result }
    }

    /// Octets of the batch, its header included.
    pub fn octets(&self) -> u64 {
        BATCH_HEADER_LEN as u64 + self.staging.len()
    }

    /// How many records it holds.
    pub const fn records(&self) -> usize {
        self.staging.records.len()
    }
}

impl<D: Disk> Spool<D> {
    /// Makes a batch of all that is staged.
    pub fn begin_commit(&mut self, now_ms: u64) -> Begin<D> {
        if self.committing || self.broken || self.staging.records.is_empty() {
            return Begin::Nothing;
        }
        let octets = BATCH_HEADER_LEN as u64 + self.staging.len() + self.staging.counted_len();
        // A batch that no segment can hold takes a whole one for itself.
        let fits = self.active.offset + octets <= self.options.segment_size
            || self.active.offset == HEADER_LEN as u64;
        let better_next = self.active.cut && self.next.is_some();
        if (!fits || better_next) && !self.roll_over(now_ms) {
            self.waits_for_segment = true;
            return Begin::NoSegment;
        }
        self.waits_for_segment = false;
        self.staging.write_counted(&self.names);
        // So that a batch says when it was made, too, also where it has no new id. A clock that is far ahead for a moment must not
        // carry all ids along.
        if now_ms < self.ids.current_ms() + FLOOR_RAISE_MAX_MS {
            self.ids.raise_floor(now_ms);
        }
        let header = BatchHeader {
            node: self.options.node,
            segment: self.active.number,
            number: self.batch,
            floor_ms: self.ids.current_ms() + FLOOR_AHEAD_MS,
            len: u32::try_from(self.staging.len()).unwrap_or(u32::MAX),
        };
        self.batch += 1;
        self.committing = true;
        self.copies_committing = self.staging.copies > 0;
        // The keys count from here on, or a chore might destroy them while the batch is on its way.
        self.add_keys();
        let spare = std::mem::take(&mut self.spare);
        let staging = std::mem::replace(&mut self.staging, spare);
        Begin::Commit(Commit {
            file: Arc::clone(&self.active.file),
            offset: self.active.offset,
            header,
            staging,
        })
    }

    /// Takes a batch back: makes what it holds true, or gives it up.
    pub fn finish_commit(&mut self, done: CommitDone<D>) -> CommitOutcome {
        let CommitDone { commit, result } = done;
        self.committing = false;
        self.copies_committing = false;
        match result {
            Ok(()) => {
                self.apply(commit);
                CommitOutcome::Synced
            }
            Err(error) if is_full(&error) && self.cut_tail(&commit) => {
                tracing::warn!(
                    segment = commit.header.segment,
                    "disk full: intake of a batch is given back"
                );
                self.give_back(commit);
                CommitOutcome::Full
            }
            Err(error) => {
                tracing::error!(segment = commit.header.segment, %error, "a batch could not be synced: restart needed");
                self.broken = true;
                self.drop_intake(commit.staging.records);
                let mut staged = std::mem::take(&mut self.staging);
                let counts = commit.staging.counted.iter().chain(&staged.counted);
                counts.for_each(|count| self.usage.take_back(count.account, count.counted));
                self.drop_intake(std::mem::take(&mut staged.records));
                CommitOutcome::Broken
            }
        }
    }

    fn apply(&mut self, commit: Commit<D>) {
        let Commit {
            offset,
            header,
            mut staging,
            ..
        } = commit;
        self.synced = header.number;
        self.floor_ms = header.floor_ms;
        let octets = BATCH_HEADER_LEN as u64 + staging.len();
        self.active.offset = offset + octets;
        if let Some(segment) = self.segments.get_mut(header.segment) {
            segment.add_batch(header.number);
            let reserved = segment.octets();
            self.segments
                .set_octets(header.segment, reserved.max(self.active.offset));
        }
        let records_at = offset + BATCH_HEADER_LEN as u64;
        for StagedRecord { what, at, len, .. } in staging.records.drain(..) {
            // A segment is 1 GiB at most, or one batch; offsets in it fit.
            let offset = u32::try_from(records_at + u64::from(at)).unwrap_or(u32::MAX);
            let at = Location::new(header.segment, offset, len);
            self.apply_record(what, at, header.number);
        }
        staging
            .counted
            .drain(..)
            .for_each(|count| self.usage.synced(&count));
        staging.clear();
        self.spare = staging;
        self.filing.batch_is_over(header.number);
    }

    fn apply_record(&mut self, what: Staged, at: Location, batch: u64) {
        // Where the record before it lies and what it weighs, and what the new one weighs.
        let moved = match what {
            Staged::Leg(id) | Staged::LegCopy(id) => {
                if matches!(what, Staged::Leg(_)) {
                    self.index.set_leased(id, false);
                }
                let before = self.index.set_location(id, at);
                before.map(|(before, weight, new)| (before.segment(), weight, new))
            }
            Staged::Entry(id) => {
                let before = self.outbox.set_location(id, at);
                self.outbox.enqueue(id);
                before.map(|before| (before.segment(), before.len, at.len))
            }
            Staged::EntryCopy(id) => {
                let before = self.outbox.set_location(id, at);
                before.map(|before| (before.segment(), before.len, at.len))
            }
            Staged::Standing(staged) => return self.standing_synced(*staged, at.segment()),
            Staged::Finished(unfiled) => return self.is_finished(*unfiled, at, batch, true),
            Staged::Step { born, mut item } => {
                match &mut item {
                    StepItem::Moved { run, .. } => self.move_synced(*run, at.segment()),
                    StepItem::FinalMoved(mark) => self.end_synced(*mark, at.segment()),
                    StepItem::SettledMoved(mark, _) => self.settled_synced(*mark, at.segment()),
                    StepItem::Final { unfiled, .. } => {
                        if let Some(unfiled) = unfiled.take() {
                            self.is_finished(*unfiled, at, batch, false);
                        }
                    }
                    _ => {}
                }
                if born != key(at.segment()) {
                    self.note_event(&item);
                }
                return;
            }
        };
        if let Some((before, weight, new)) = moved {
            self.segments.drain(before, weight, batch);
            self.segments.fill(at.segment(), new);
        } else {
            // It has ended meanwhile: dead on arrival. What ended it is staged, or in this batch.
            if let Staged::Leg(id) = what {
                self.filing.arrived_dead(id, at, batch);
            }
            let ended_by = if self.staging.records.is_empty() {
                batch
            } else {
                self.batch
            };
            self.segments.touch(at.segment(), ended_by);
        }
    }

    /// Repeats a step in the footer that the active segment will get.
    fn note_event(&mut self, item: &StepItem) {
        let (id, leg, event) = match item {
            StepItem::HandedOver {
                id,
                leg,
                carrier,
                carrier_id,
                deadline_ms,
                attempts,
            } => {
                let step = HandedOver {
                    carrier: self.names.name(*carrier),
                    carrier_id: carrier_id.as_bytes(),
                    deadline_ms: *deadline_ms,
                    attempts: *attempts,
                };
                (*id, *leg, Event::HandedOver(step))
            }
            StepItem::Retry { id, leg, step } => (*id, *leg, Event::Retry(*step)),
            StepItem::Final { id, leg, .. } => (*id, *leg, Event::Final),
            StepItem::Progressed { id, leg, progress } => {
                (*id, *leg, Event::Progressed(progress.as_ref().clone()))
            }
            StepItem::Settled { id } => (*id, 0, Event::Settled),
            StepItem::Moved { id, leg, run } => (*id, *leg, Event::Moved(*run)),
            StepItem::SettledMoved(mark, place) => (mark.id, mark.leg, Event::SettledMoved(*place)),
            StepItem::FinalMoved(Mark { id, leg, place }) => {
                let (hour, hash) = (place.hour, place.hash);
                (*id, *leg, Event::FinalMoved { hour, hash })
            }
        };
        footer::put(&mut self.active.events, &Item::Event { id, leg, event });
    }

    /// Cuts what a failed write left behind the last good batch.
    fn cut_tail(&mut self, commit: &Commit<D>) -> bool {
        self.active.cut = true;
        self.segments.set_octets(commit.header.segment, commit.offset);
        commit
            .file
            .truncate(commit.offset)
            .and_then(|()| commit.file.sync_data())
            .is_ok()
    }

    /// The disk was full: intake is undone, everything else is staged again, in front.
    fn give_back(&mut self, mut commit: Commit<D>) {
        self.batch = commit.header.number;
        self.segments.give_back(self.batch);
        let mut given_back = Vec::new();
        for count in &commit.staging.counted {
            self.usage.take_back(count.account, count.intake());
        }
        let mut staged = std::mem::take(&mut self.spare);
        staged.take_endings(&mut commit.staging, &mut given_back);
        staged.take_all(&mut self.staging);
        self.spare = std::mem::replace(&mut self.staging, staged);
        self.drop_intake(given_back);
    }

    fn drop_intake(&mut self, records: Vec<StagedRecord>) {
        for record in records {
            match record.what {
                Staged::Leg(id) if record.part == Part::Intake => {
                    self.index.remove(id);
                }
                Staged::Entry(id) if record.part == Part::Intake => {
                    self.outbox.remove(id);
                }
                Staged::Standing(staged) if record.part == Part::Intake => {
                    self.standing.undo(&staged.change, &staged.undo);
                }
                Staged::Finished(_) if record.part == Part::Intake => self.filing.is_given_back(),
                _ => {}
            }
        }
    }

    /// Closes the active segment and opens the one made ahead; `false` when there is none.
    fn roll_over(&mut self, now_ms: u64) -> bool {
        let Some(next) = self.next.take() else {
            return false;
        };
        let old = std::mem::replace(&mut self.active, next);
        if let Some(segment) = self.segments.get_mut(old.number) {
            segment.closed_ms = Some(now_ms);
        }
        let mut events = old.events;
        for (account, counted) in self.usage.close() {
            if let Ok(account) = SystemId::new(self.names.name(account).as_bytes()) {
                footer::put(&mut events, &Item::Counted { account, counted });
            }
        }
        self.unfooted.push(Unfooted {
            number: old.number,
            file: old.file,
            end: old.offset,
            events,
        });
        let segment = Segment::new(self.active.octets, &self.active.key);
        self.segments.insert(self.active.number, segment);
        true
    }

    fn add_keys(&mut self) {
        if let Some(segment) = self.segments.get_mut(self.active.number) {
            self.staging.keys.iter().for_each(|key| segment.add_key(*key));
        }
    }
}
