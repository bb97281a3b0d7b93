//! Legs that wait long for their receipt: when they move to files, and what is done with the files.

use hashbrown::HashMap;

use crate::disk::Disk;
use crate::index::{Leg, LegId};
use crate::message_id::MessageId;
use crate::names::NameId;
use crate::record::{Head, Kind, Stage};
use crate::waiting::entries::holds_entries;
use crate::waiting::merge::Merged;
use crate::waiting::pass::Bunch;
use crate::waiting::table::{Confirmation, Waits};
use crate::waiting::take::{MoveItem, Moved, MovedItem};
use crate::waiting::{
    AHEAD_MS, KeptBody, MOVE_LEN_MAX, MOVE_MAX, MOVE_MIN, MOVE_OCTETS_MAX, MOVE_WAIT_MS, Mark, Order,
    PASS_MAX, PENDING_MAX, Report, hour_of,
};

use super::chores::{ChoreError, Finished, Task};
use super::late::Back;
use super::staging::{Part, Staged, StepItem};
use super::upkeep::is_too_soon;
use super::{Spool, account_of};

/// Octets of a batch that a moved leg's record takes, at the most.
pub(super) const MOVED_LEN: u64 = 64;
/// Octets of a waiting file that a leg may take.
const FILE_LEN: u64 = 384;
/// Octets that a waiting file takes besides its records.
pub(super) const FILE_FIXED_LEN: u64 = 128 << 10;
/// How often it is asked which runs are to be merged, if none has come.
const MERGE_LOOK_MS: u64 = 60_000;
/// How long runs that could not be merged are left alone.
const MERGE_REST_MS: u64 = 10 * 60_000;
/// Marks that one chore sets.
const MARKS_MAX: usize = 4096;
/// Runs that one chore marks in: a sync each, and late receipts wait behind them.
const MARK_RUNS_MAX: usize = 8;
/// Fewer marks than [`MARKS_MAX`] wait so long for more: all they hold back is the unlinking of a segment, and each
/// run they touch costs a sync.
const MARK_WAIT_MS: u64 = 5_000;

/// A leg that has left memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MovedLeg {
    /// Which message.
    pub message: MessageId,
    /// Whose.
    pub account: NameId,
    /// How its id is written; the gateway's own code.
    pub id_form: u8,
}

/// Marks that are to be set, or a move that is synced.
pub(super) fn mark_order(waits: &mut Waits, now_ms: u64) -> Option<Order> {
    if is_too_soon(waits.under.failed_ms, now_ms) {
        return None;
    }
    if let Some(marks) = waits.take_marks(now_ms, MARKS_MAX, MARK_RUNS_MAX, MARK_WAIT_MS) {
        return Some(Order::Mark(marks));
    }
    let confirmation = waits.confirmation.as_ref()?;
    if confirmation.unsynced > 0 || waits.under.confirming {
        return None;
    }
    waits.under.confirming = true;
    Some(Order::Confirm {
        runs: confirmation.runs.clone(),
        drops: confirmation.drops.clone(),
    })
}

impl<D: Disk> Spool<D> {
    // ===== chores =====

    pub(super) fn find_chore(&mut self) -> Option<Task<D>> {
        let questions = std::mem::take(&mut self.waits.questions);
        (!questions.is_empty()).then(|| Task::Waiting(Order::Find(questions)))
    }

    /// Marks of ends that are synced, and moves that are: they hold segments back.
    pub(super) fn mark_chore(&mut self, now_ms: u64) -> Option<Task<D>> {
        mark_order(&mut self.waits, now_ms).map(Task::Waiting)
    }

    pub(super) fn waiting_chore(&mut self, now_ms: u64) -> Option<Task<D>> {
        if is_too_soon(self.waits.under.failed_ms, now_ms) {
            return None;
        }
        self.over_chore(now_ms)
            .or_else(|| self.move_chore(now_ms))
            .or_else(|| self.merge_chore(now_ms))
            .map(Task::Waiting)
    }

    /// An hour that is over: what is left of it comes back, then it goes. One of which that fails holds up no other, nor
    /// anything else.
    fn over_chore(&mut self, now_ms: u64) -> Option<Order> {
        let under = &self.waits.under;
        if under.passing || under.dropping {
            return None;
        }
        // What came back ends first: so much memory and no more.
        let has_room = self.waits.back.len() < PASS_MAX / 2
            && self.waits.ending() < PENDING_MAX / 2
            && self.filing.has_room_for_bodies();
        for (failed_ms, hour) in self.waits.over(now_ms) {
            if is_too_soon(failed_ms, now_ms) {
                continue;
            }
            if !self.waits.is_passed(hour) {
                if has_room {
                    self.waits.under.passing = true;
                    return Some(Order::Pass(hour));
                }
            } else if self.waits.is_quiet(hour) {
                self.waits.under.dropping = true;
                return Some(Order::Drop(hour));
            }
        }
        None
    }

    /// Legs that carriers have had for longer than the hot time.
    fn move_chore(&mut self, now_ms: u64) -> Option<Order> {
        if self.waits.under.moving || self.waits.confirmation.is_some() || !self.waits.has_room() {
            return None;
        }
        let until = now_ms.checked_sub(self.options.receipt_hot_ms)?;
        let first = self.index.first_handed_over_ms()?;
        if first > until {
            return None;
        }
        if is_too_soon(self.waits.under.looked_ms, now_ms) {
            return None;
        }
        self.waits.under.looked_ms = Some(now_ms);
        let max = MOVE_MAX.min(usize::try_from(self.batch_max() / MOVED_LEN).unwrap_or(MOVE_MAX));
        let is_old = first + MOVE_WAIT_MS <= until;
        if !is_old
            && self
                .index
                .handed_over_until(until)
                .take(MOVE_MIN.min(max))
                .count()
                < MOVE_MIN.min(max)
        {
            return None;
        }
        // It needs room before it gives any, and intake comes first.
        let mut reserved = max as u64 * FILE_LEN + FILE_FIXED_LEN;
        if self.filing.keeps_bodies() {
            reserved += MOVE_OCTETS_MAX + u64::from(MOVE_LEN_MAX);
        }
        if self.octets() + reserved + self.reserve() > self.options.limit {
            return None;
        }
        let (mut items, mut stay, mut octets) = (Vec::new(), Vec::new(), 0);
        for (id, leg) in self.index.handed_over_until(until).take(max) {
            let keeps_body = self.filing.keeps_body_of(leg);
            let is_too_long = keeps_body && leg.at.len > MOVE_LEN_MAX;
            if leg.due_ms < now_ms.saturating_add(AHEAD_MS) || leg.stage != Stage::HandedOver || is_too_long {
                stay.push(id);
            } else if octets >= MOVE_OCTETS_MAX {
                break;
            } else {
                octets += u64::from(if keeps_body { leg.at.len } else { 0 });
                items.push(MoveItem {
                    id,
                    leg: leg.clone(),
                    carrier_id: self.index.owned_carrier_id(leg),
                    quote: self.index.quote(id),
                    keeps_body,
                    body: KeptBody::default(),
                });
            }
        }
        stay.into_iter().for_each(|id| self.index.forget_hand_over(id));
        if items.is_empty() {
            return None;
        }
        let mut names = HashMap::new();
        for item in &items {
            for name in item.leg.carrier.into_iter().chain([item.leg.account]) {
                let text = || self.names.name(name).to_owned();
                names.entry(name).or_insert_with(text);
            }
        }
        self.waits.under.moving = true;
        self.waits.under.move_octets = reserved;
        Some(Order::Move { items, names, now_ms })
    }

    fn merge_chore(&mut self, now_ms: u64) -> Option<Order> {
        if self.waits.under.merge_out || self.waits.under.moving {
            return None;
        }
        let over = |hour: u32| hour <= hour_of(now_ms).saturating_sub(1);
        if self
            .waits
            .under
            .merging
            .as_ref()
            .is_some_and(|(hour, _)| over(*hour))
        {
            self.end_merge();
        }
        if self.waits.under.merging.is_none() {
            let under = &mut self.waits.under;
            // Hours grow quiet without anybody saying so. (A clock that is set back makes nothing wait.)
            let looked_ms = under.merge_looked_ms;
            let soon = (looked_ms..looked_ms.saturating_add(MERGE_LOOK_MS)).contains(&now_ms);
            if !under.look && soon {
                return None;
            }
            under.merge_looked_ms = now_ms;
            let Some((hour, runs, octets)) = self.waits.to_merge(now_ms, over) else {
                self.waits.under.look = false;
                return None;
            };
            if self.octets() + octets + self.reserve() > self.options.limit {
                return None;
            }
            self.waits.under.merge_octets = octets;
            self.waits.under.merging = Some((hour, runs));
        }
        let (hour, runs) = self.waits.under.merging.clone()?;
        self.waits.under.merge_out = true;
        Some(Order::Merge { hour, runs })
    }

    fn end_merge(&mut self) {
        self.waits.under.merging = None;
        self.waits.under.merge_octets = 0;
    }

    // ===== outcomes =====

    pub(super) fn waiting_done(&mut self, now_ms: u64, report: Report, damaged: u64) -> Finished {
        self.waits.damaged += damaged;
        let finished = match report {
            Report::Found(answers) => {
                self.waits.asked = self.waits.asked.saturating_sub(answers.len());
                return Finished::Found(answers);
            }
            Report::Moved(moved) => {
                self.waits.under.moving = false;
                self.waits.under.move_octets = 0;
                moved.map(|moved| self.stage_moved(now_ms, moved))
            }
            Report::Confirmed(confirmed) => {
                self.waits.under.confirming = false;
                confirmed.map(|done| {
                    self.waits.set_done(&done);
                    self.confirmed();
                    Finished::Nothing
                })
            }
            Report::Marked(marked) => {
                let marking = std::mem::take(&mut self.waits.marking);
                match marked {
                    Ok(done) => {
                        self.waits.set_done(&done);
                        for (mark, segment) in marking {
                            self.waits.marked(&mark);
                            self.segments.paid(segment);
                        }
                        Ok(Finished::Nothing)
                    }
                    Err(failed) => {
                        self.waits.to_mark.extend(marking);
                        Err(failed)
                    }
                }
            }
            Report::Merged(merged) => {
                self.waits.under.merge_out = false;
                if let (Err(_), Some((hour, runs))) = (&merged, &self.waits.under.merging) {
                    let (hour, runs) = (*hour, runs.clone());
                    self.waits.rest(hour, &runs, now_ms.saturating_add(MERGE_REST_MS));
                }
                if !matches!(merged, Ok(Merged::More)) {
                    self.end_merge();
                }
                merged.map(|merged| {
                    if let Merged::Whole(run, replaced) = merged {
                        let hour = run.hour;
                        replaced.into_iter().for_each(|old| self.waits.remove(hour, old));
                        self.waits.add(run, true);
                    }
                    Finished::Nothing
                })
            }
            Report::Passed(hour, bunch) => {
                self.waits.under.passing = false;
                self.waits.tried(hour, bunch.is_err().then_some(now_ms));
                return match bunch {
                    Ok(bunch) => self.take_back(hour, bunch),
                    Err(failed) => Finished::Failed(ChoreError::from(failed)),
                };
            }
            // Of entries only.
            Report::EntriesMarked(..) | Report::Loaded(..) | Report::RunsDropped(..) => Ok(Finished::Nothing),
            Report::Dropped(hour, dropped) => {
                self.waits.under.dropping = false;
                self.waits.tried(hour, dropped.is_err().then_some(now_ms));
                match dropped {
                    Ok(true) => self.waits.remove_hour(hour),
                    Ok(false) => self.waits.set_passed(hour, false),
                    Err(failed) => return Finished::Failed(ChoreError::from(failed)),
                }
                return Finished::Nothing;
            }
        };
        finished.unwrap_or_else(|failed| {
            self.waits.under.failed_ms = Some(now_ms);
            self.waits.under.look = true;
            Finished::Failed(ChoreError::from(failed))
        })
    }

    /// Legs that were written and are still as they were leave the spool with the next batch.
    fn stage_moved(&mut self, now_ms: u64, (runs, items): Moved) -> Finished {
        let mut confirmation = Confirmation {
            runs: runs.iter().map(|run| (run.hour, run.number)).collect(),
            ..Confirmation::default()
        };
        for run in runs {
            let hour = run.hour;
            self.waits.add(run, false);
            self.waits.touch(hour, now_ms);
        }
        let mut moved = Vec::new();
        for MovedItem { id, revision, mark } in items {
            let is_same = |leg: &Leg| leg.revision == revision && !leg.leased;
            let run = mark.place.at.map_or(0, |at| at.run);
            let left = match self.index.get(id) {
                Some(leg) if is_same(leg) => self.stage_move(now_ms, id, &mark, run),
                _ => None,
            };
            match left {
                Some(leg) => {
                    confirmation.unsynced += 1;
                    moved.push(leg);
                }
                // What the file says of it is old from the beginning.
                None => {
                    self.waits.end(&mark);
                    confirmation.drops.push(mark);
                }
            }
        }
        self.waits.moved += moved.len() as u64;
        self.waits.confirmation = Some(confirmation);
        Finished::Moved(moved)
    }

    fn stage_move(&mut self, now_ms: u64, id: LegId, mark: &Mark, run: u64) -> Option<MovedLeg> {
        let found = self.index.get(id)?;
        let (message, account, id_form) = (found.message, found.account, found.envelope.id_form);
        self.may_progress().ok()?;
        let head = Head {
            kind: Kind::Moved,
            id: mark.id,
            leg: mark.leg,
            account: account_of(&self.names, account).ok()?,
        };
        let range = self.staging.write_moved(&head, run);
        let old = self.index.remove(id)?;
        self.segments.drain(old.at.segment(), old.weight, self.batch);
        let item = StepItem::Moved {
            id: mark.id,
            leg: mark.leg,
            run,
        };
        // Born nowhere: every footer repeats it, for a start asks which legs left for this run.
        self.staging
            .push(now_ms, Staged::Step { born: 0, item }, Part::Ending, range, false);
        Some(MovedLeg {
            message,
            account,
            id_form,
        })
    }

    /// A `Moved` record is on disk.
    pub(super) fn move_synced(&mut self, run: u64, segment: u64) {
        let waits = if holds_entries(run) {
            &mut self.parked.waits
        } else {
            &mut self.waits
        };
        let Some(confirmation) = waits.confirmation.as_mut() else {
            return;
        };
        if !confirmation.runs.iter().any(|(_, number)| *number == run) {
            return;
        }
        confirmation.unsynced = confirmation.unsynced.saturating_sub(1);
        if confirmation.segments.last() != Some(&segment) {
            confirmation.segments.push(segment);
            self.segments.owe(segment);
        }
    }

    /// A `FinalMoved` record is on disk: its mark may be set.
    pub(super) fn end_synced(&mut self, mark: Mark, segment: u64) {
        self.segments.owe(segment);
        self.waits.to_mark.push((mark, segment));
    }

    fn confirmed(&mut self) {
        let Some(confirmation) = self.waits.confirmation.take() else {
            return;
        };
        self.waits.confirm(&confirmation.runs);
        self.waits.under.looked_ms = None;
        confirmation.drops.iter().for_each(|mark| self.waits.marked(mark));
        for segment in confirmation.segments {
            self.segments.paid(segment);
        }
    }

    /// What is left of an hour that is over is in the index again; its date has come.
    fn take_back(&mut self, hour: u32, bunch: Bunch) -> Finished {
        for leg in bunch.legs {
            if let Back::Fresh(_) = self.bring_back(leg) {
                self.waits.passed += 1;
            }
        }
        self.waits.set_passed(hour, bunch.is_last);
        Finished::Nothing
    }
}
