//! Entries that lie in outbox files: whose they are, what of them is settled, and when the files go.
//!
//! They come there in [`park`](super::park), and leave in [`unpark`](super::unpark).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use hashbrown::HashMap;

use crate::disk::Disk;
use crate::message_id::MessageId;
use crate::names::NameId;
use crate::outbox::{EntryId, LineOf};
use crate::record::{SettledMoved, Sink};
use crate::waiting::entries::Span;
use crate::waiting::table::{Confirmation, Waits};
use crate::waiting::{Failed, Mark, Order, Place, Report, RunInfo, TRIES_MAX, WaitingCounts};

use super::Spool;
use super::chores::{ChoreError, Finished, Task};
use super::park::Samples;
use super::upkeep::is_too_soon;
use super::waits::mark_order;

/// A run that could not be read for a minute is tried once in so long.
pub(super) const ASIDE_MS: u64 = 60_000;

/// A run of entries.
#[derive(Debug)]
pub(super) struct ParkedRun {
    pub(super) hour: u32,
    pub(super) line: LineOf,
    /// The rank behind those that have come back.
    pub(super) next: u32,
    /// Entries that are not done and have not come back.
    pub(super) left: u32,
    /// None of these is older.
    pub(super) first: MessageId,
    /// Nothing in it is younger.
    last: MessageId,
    /// How often in a row it could not be read, and when it may be tried again.
    pub(super) failed: u32,
    pub(super) retry_ms: Option<u64>,
}

impl ParkedRun {
    /// It cannot be read for so long that what is younger no longer waits for it.
    pub(super) const fn is_aside(&self) -> bool {
        self.failed >= TRIES_MAX
    }

    fn may_try(&self, now_ms: u64) -> bool {
        // A clock that is set back makes nothing wait for hours.
        self.retry_ms
            .is_none_or(|retry| now_ms >= retry || retry > now_ms + ASIDE_MS)
    }
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Parked {
    /// Files, marks and what is under way with them.
    pub(super) waits: Waits,
    pub(super) runs: BTreeMap<u64, ParkedRun>,
    /// The runs of a line, oldest entries first.
    by_line: HashMap<LineOf, BTreeSet<u64>>,
    /// Entries in memory whose record lies in a file.
    pub(super) back: HashMap<EntryId, Place>,
    /// Lines from whose files something could go to a bind.
    pub(super) wanted: VecDeque<LineOf>,
    pub(super) loading: bool,
    /// The line of which entries were moved last: the others come first.
    pub(super) parked_last: LineOf,
    /// When it was last asked which runs may go.
    drop_looked_ms: Option<u64>,
    /// When marks failed last.
    mark_failed_ms: Option<u64>,
    pub(super) samples: Samples,
}

impl Default for Parked {
    fn default() -> Self {
        Self {
            waits: Waits::default(),
            runs: BTreeMap::new(),
            by_line: HashMap::new(),
            back: HashMap::new(),
            wanted: VecDeque::new(),
            loading: false,
            parked_last: LineOf {
                account: NameId(0),
                sink: Sink::Bind,
            },
            drop_looked_ms: None,
            mark_failed_ms: None,
            samples: Samples::default(),
        }
    }
}

impl Parked {
    /// Takes in a run that a start has found. `unmarked` of its entries are done, and not marked yet.
    pub(super) fn found(&mut self, run: RunInfo, span: Option<Span<NameId>>, unmarked: u32) {
        let left = run.count.saturating_sub(run.done).saturating_sub(unmarked);
        // What nobody owns stays until its hour is over.
        if let Some(span) = span {
            self.insert(&run, span, left);
        }
        self.waits.add(run, true);
    }

    pub(super) fn insert(&mut self, run: &RunInfo, span: Span<NameId>, left: u32) {
        let (hour, number) = (run.hour, run.number);
        let Span {
            account,
            sink,
            first,
            last,
        } = span;
        let line = LineOf { account, sink };
        let found = ParkedRun {
            hour,
            line,
            next: 0,
            left,
            first,
            last,
            failed: 0,
            retry_ms: None,
        };
        self.runs.insert(number, found);
        self.by_line.entry(line).or_default().insert(number);
    }

    /// Lines that have something in files.
    pub(super) fn lines(&self) -> impl Iterator<Item = LineOf> + '_ {
        self.by_line.keys().copied()
    }

    /// How much of a line lies in files and has not come back, and that none of it is older than this.
    pub(super) fn left_of(&self, line: LineOf) -> (usize, MessageId) {
        let runs = self.by_line.get(&line).into_iter().flatten();
        let (mut left, mut first) = (0, MessageId(u64::MAX));
        for run in runs.filter_map(|number| self.runs.get(number)) {
            left += run.left as usize;
            if run.left > 0 && !run.is_aside() {
                first = first.min(run.first);
            }
        }
        (left, first)
    }

    /// The youngest entry of a line that lies in files, or did. What is older and in memory was passed over when
    /// it could have moved; a later run must not hold it.
    pub(super) fn last_of(&self, line: LineOf) -> MessageId {
        let runs = self.by_line.get(&line).into_iter().flatten();
        let last = runs
            .filter_map(|number| self.runs.get(number))
            .map(|run| run.last);
        last.max().unwrap_or(MessageId(0))
    }

    /// The run from which a line's next entries come, if it may be tried now; what is set aside holds up none.
    pub(super) fn next_run(&self, line: LineOf, now_ms: u64) -> Option<(u64, &ParkedRun)> {
        let runs = self.by_line.get(&line)?.iter();
        let mut runs = runs.filter_map(|number| Some((*number, self.runs.get(number)?)));
        runs.find(|(_, run)| run.left > 0 && (!run.is_aside() || run.may_try(now_ms)))
            .filter(|(number, run)| run.may_try(now_ms) && !self.is_half_moved(run.hour, *number))
    }

    pub(super) fn want(&mut self, line: LineOf) {
        // As many as there are lines, at the most.
        if !self.wanted.contains(&line) {
            self.wanted.push_back(line);
        }
    }

    fn is_half_moved(&self, hour: u32, number: u64) -> bool {
        let confirmation = self.waits.confirmation.as_ref();
        confirmation.is_some_and(|moved| moved.runs.contains(&(hour, number)))
    }
}

impl<D: Disk> Spool<D> {
    // ===== questions =====

    /// What is counted of the outbox files: their `legs` are entries.
    pub fn parked(&self) -> WaitingCounts {
        self.parked.waits.counts()
    }

    /// How many entries have come back from files and are not settled.
    #[cfg(test)]
    pub(super) fn returned(&self) -> usize {
        self.parked.back.len()
    }

    /// The place in a file of an entry that has come back.
    pub(super) fn filed_at(&self, entry: EntryId) -> Option<Place> {
        self.parked.back.get(&entry).copied()
    }

    // ===== chores =====

    /// Marks of entries that are settled, and moves that are synced: they hold segments back.
    pub(super) fn mark_parked_chore(&mut self, now_ms: u64) -> Option<Task<D>> {
        if is_too_soon(self.parked.mark_failed_ms, now_ms) {
            return None;
        }
        mark_order(&mut self.parked.waits, now_ms).map(Task::Parked)
    }

    pub(super) fn parked_chore(&mut self, now_ms: u64) -> Option<Task<D>> {
        if is_too_soon(self.parked.waits.under.failed_ms, now_ms) {
            return None;
        }
        self.drop_chore(now_ms).or_else(|| self.park_chore(now_ms))
    }

    /// Runs of which nothing is wanted any more: all is settled, or their hour is over.
    fn drop_chore(&mut self, now_ms: u64) -> Option<Task<D>> {
        let Parked {
            waits, back, loading, ..
        } = &self.parked;
        // It looks at every run: not in every turn.
        if waits.under.dropping || *loading || is_too_soon(self.parked.drop_looked_ms, now_ms) {
            return None;
        }
        let mut runs = waits.finished();
        for (_, hour) in waits.over(now_ms) {
            // What has come back ends by its own date, which has come. Marks that are not set yet do not matter any more:
            // of a file that takes none they never will be.
            let moves = |moved: &Confirmation| moved.runs.iter().any(|(of, _)| *of == hour);
            let is_moving = waits.under.moving || waits.confirmation.as_ref().is_some_and(moves);
            if !is_moving && !back.values().any(|place| place.hour == hour) {
                runs.extend(waits.runs_of(hour));
            }
        }
        runs.sort_unstable();
        runs.dedup();
        self.parked.drop_looked_ms = Some(now_ms);
        if runs.is_empty() {
            return None;
        }
        self.parked.waits.under.dropping = true;
        Some(Task::Parked(Order::DropRuns(runs)))
    }

    // ===== outcomes =====

    pub(super) fn parked_done(&mut self, now_ms: u64, report: Report, damaged: u64) -> Finished {
        self.parked.waits.damaged += damaged;
        let done = match report {
            Report::Loaded(run, loaded) => return self.loaded(now_ms, run, loaded),
            Report::Confirmed(confirmed) => {
                self.parked.waits.under.confirming = false;
                confirmed.map(|done| {
                    self.parked.waits.set_done(&done);
                    self.park_confirmed();
                    Finished::Nothing
                })
            }
            Report::EntriesMarked(done, failed) => {
                self.parked.waits.set_done(&done);
                for (mark, segment) in std::mem::take(&mut self.parked.waits.marking) {
                    let run = mark.place.at.map(|at| at.run);
                    if failed.iter().any(|(number, _)| Some(*number) == run) {
                        self.parked.waits.to_mark.push((mark, segment));
                    } else {
                        self.parked.waits.marked(&mark);
                        self.segments.paid(segment);
                    }
                }
                self.parked.mark_failed_ms = (!failed.is_empty()).then_some(now_ms);
                let error = failed.into_iter().next();
                return error.map_or(Finished::Nothing, |(_, error)| {
                    Finished::Failed(ChoreError::outbox(Failed::Io("mark", error)))
                });
            }
            Report::RunsDropped(runs, dropped) => {
                self.parked.waits.under.dropping = false;
                let finished = self.forget_runs(&runs);
                if let Err(failed) = dropped {
                    // What went is told of first: an error is told again by the next try.
                    let is_empty = matches!(&finished, Finished::Expired(counts) if counts.is_empty());
                    if is_empty {
                        return Finished::Failed(ChoreError::outbox(failed));
                    }
                }
                return finished;
            }
            // Of legs only.
            Report::Moved(_)
            | Report::Marked(_)
            | Report::Found(_)
            | Report::Merged(_)
            | Report::Passed(..)
            | Report::Dropped(..) => Ok(Finished::Nothing),
        };
        done.unwrap_or_else(|failed| {
            self.parked.waits.under.failed_ms = Some(now_ms);
            Finished::Failed(ChoreError::outbox(failed))
        })
    }

    /// These runs are gone, and with them what nobody has fetched of them.
    fn forget_runs(&mut self, runs: &[(u32, u64)]) -> Finished {
        let mut expired = Vec::new();
        let mut lines = BTreeSet::new();
        for (hour, number) in runs {
            self.parked.waits.remove(*hour, *number);
            let Some(run) = self.parked.runs.remove(number) else {
                continue;
            };
            if let Some(others) = self.parked.by_line.get_mut(&run.line) {
                others.remove(number);
                if others.is_empty() {
                    self.parked.by_line.remove(&run.line);
                }
            }
            lines.insert(run.line);
            if run.left > 0 {
                expired.push((run.line.account, u64::from(run.left)));
            }
        }
        lines.into_iter().for_each(|line| self.count_files(line));
        Finished::Expired(expired)
    }

    pub(super) fn count_files(&mut self, line: LineOf) {
        let (left, first) = self.parked.left_of(line);
        self.outbox.set_in_files(line, left, first);
    }

    // ===== settling =====

    /// If an entry's record lies in a file, what says there that it is done.
    pub(super) fn settle_filed(&mut self, entry: EntryId, own: MessageId) -> Option<(Mark, SettledMoved)> {
        let place = self.parked.back.remove(&entry)?;
        let at = place.at?;
        let mark = Mark {
            id: own,
            leg: 0,
            place,
        };
        self.parked.waits.end(&mark);
        let settled = SettledMoved {
            hour: place.hour,
            run: at.run,
            rank: at.rank,
        };
        Some((mark, settled))
    }

    /// A `SettledMoved` record is on disk: its mark may be set.
    pub(super) fn settled_synced(&mut self, mark: Mark, segment: u64) {
        self.segments.owe(segment);
        self.parked.waits.to_mark.push((mark, segment));
    }
}
