//! Entries that nobody fetches: when they move to outbox files, how they come back in their turn, and when the files
//! go.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use hashbrown::HashMap;
use tidegate_codec::identity::SystemId;

use crate::disk::Disk;
use crate::index::Location;
use crate::message_id::MessageId;
use crate::names::NameId;
use crate::outbox::{Entry, EntryId, LineOf};
use crate::record::{Head, Kind, SettledMoved, Sink};
use crate::waiting::entries::{EntryBunch, ParkItem, ParkedItem, Span};
use crate::waiting::table::{Confirmation, Waits};
use crate::waiting::{AHEAD_MS, Failed, HOUR_MS, MOVE_MAX, MOVE_MIN, Mark, Order, Place, Report, RunInfo};
use crate::waiting::{TRIES_MAX, WaitingCounts, hour_of};

use super::chores::{ChoreError, Finished, Task};
use super::staging::{Part, Staged, StepItem};
use super::upkeep::is_too_soon;
use super::waits::{FILE_FIXED_LEN, MOVED_LEN, mark_order};
use super::{Spool, account_of};

/// Octets of records that one move takes at most.
const PARK_OCTETS_MAX: u64 = 2 << 20;
/// Longer records stay where they are: the table of a run has 16 bits for a length.
const PARK_LEN_MAX: u32 = 60_000;
/// How finely the hot time is divided.
const SAMPLES: u64 = 64;
/// A line's entries go on coming back from files when fewer than this are left.
const RETURNED_MIN: usize = 512;
/// The end dates of a run's entries lie within so much.
const SPAN_MS: u64 = 2 * HOUR_MS;
/// A run that could not be read is tried again after this long, and after a minute of that once a minute.
const TRY_AGAIN_MS: u64 = 1_000;
const ASIDE_MS: u64 = 60_000;

/// A run of entries.
#[derive(Debug)]
struct ParkedRun {
    hour: u32,
    line: LineOf,
    /// The rank behind those that have come back.
    next: u32,
    /// Entries that are not done and have not come back.
    left: u32,
    /// None of these is older.
    first: MessageId,
    /// Nothing in it is younger.
    last: MessageId,
    /// How often in a row it could not be read, and when it may be tried again.
    failed: u32,
    retry_ms: Option<u64>,
}

impl ParkedRun {
    /// It cannot be read for so long that what is younger no longer waits for it.
    const fn is_aside(&self) -> bool {
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
    runs: BTreeMap<u64, ParkedRun>,
    /// The runs of a line, oldest entries first.
    by_line: HashMap<LineOf, BTreeSet<u64>>,
    /// Entries in memory whose record lies in a file.
    back: HashMap<EntryId, Place>,
    /// Lines from whose files something could go to a bind.
    wanted: VecDeque<LineOf>,
    loading: bool,
    /// The line of which entries were moved last: the others come first.
    parked_last: LineOf,
    /// When it was last asked which runs may go.
    drop_looked_ms: Option<u64>,
    /// When marks failed last.
    mark_failed_ms: Option<u64>,
    samples: Samples,
}

/// Which ids were given by when. The time in an id is no clock: a start, or a clock that was set back, leaves ids ahead
/// of it.
#[derive(Debug, Default)]
struct Samples(VecDeque<(u64, u64)>);

impl Samples {
    /// Notes where ids are now; returns where they were `hot_ms` ago, a little more at most.
    fn before(&mut self, now_ms: u64, hot_ms: u64, ids_ms: u64) -> Option<u64> {
        // After a clock was set back what is noted lies ahead.
        self.0.retain(|(at_ms, _)| *at_ms <= now_ms);
        let step = hot_ms / SAMPLES;
        if self.0.back().is_none_or(|(at_ms, _)| now_ms >= at_ms + step) {
            self.0.push_back((now_ms, ids_ms));
        }
        let is_hot = |at_ms: u64| at_ms.saturating_add(hot_ms) > now_ms;
        while self.0.get(1).is_some_and(|(at_ms, _)| !is_hot(*at_ms)) {
            self.0.pop_front();
        }
        self.0
            .front()
            .filter(|(at_ms, _)| !is_hot(*at_ms))
            .map(|(_, ids_ms)| *ids_ms)
    }
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

    fn insert(&mut self, run: &RunInfo, span: Span<NameId>, left: u32) {
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
    fn last_of(&self, line: LineOf) -> MessageId {
        let runs = self.by_line.get(&line).into_iter().flatten();
        let last = runs
            .filter_map(|number| self.runs.get(number))
            .map(|run| run.last);
        last.max().unwrap_or(MessageId(0))
    }

    /// The run from which a line's next entries come, if it may be tried now; what is set aside holds up none.
    fn next_run(&self, line: LineOf, now_ms: u64) -> Option<(u64, &ParkedRun)> {
        let runs = self.by_line.get(&line)?.iter();
        let mut runs = runs.filter_map(|number| Some((*number, self.runs.get(number)?)));
        runs.find(|(_, run)| run.left > 0 && (!run.is_aside() || run.may_try(now_ms)))
            .filter(|(number, run)| run.may_try(now_ms) && !self.is_half_moved(run.hour, *number))
    }

    fn want(&mut self, line: LineOf) {
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

    /// The sink of an account for which the oldest entry waits that no bind has, but for those in `without`.
    pub fn next_sink(&mut self, account: NameId, without: &[Sink]) -> Option<Sink> {
        self.outbox.next_sink(account, without)
    }

    /// Takes the oldest entry that waits for a sink of an account, for a bind; it stays unsettled. None, too, while that
    /// one is on its way back from a file: then [`Finished::Returned`] says when to ask again.
    pub fn take_entry(&mut self, account: NameId, sink: Sink) -> Option<EntryId> {
        let line = LineOf { account, sink };
        let (is_filed, returned) = self.outbox.filed_and_returned(line);
        if is_filed && returned < RETURNED_MIN {
            self.parked.want(line);
        }
        self.outbox.take(line)
    }

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

    /// Somebody waits for this one.
    pub(super) fn load_chore(&mut self, now_ms: u64) -> Option<Task<D>> {
        if self.parked.loading {
            return None;
        }
        // Each in its turn; those that cannot be served now stay in line.
        for _ in 0..self.parked.wanted.len() {
            let line = self.parked.wanted.pop_front()?;
            if self.parked.left_of(line).0 == 0 {
                continue;
            }
            let Some((number, run)) = self.parked.next_run(line, now_ms) else {
                self.parked.wanted.push_back(line);
                continue;
            };
            let (hour, from) = (run.hour, run.next);
            self.parked.loading = true;
            return Some(Task::Parked(Order::Load {
                hour,
                run: number,
                from,
            }));
        }
        None
    }

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

    /// The oldest entries of a line that nobody has fetched within the hot time.
    fn park_chore(&mut self, now_ms: u64) -> Option<Task<D>> {
        let under = &self.parked.waits.under;
        if under.moving || self.parked.waits.confirmation.is_some() || is_too_soon(under.looked_ms, now_ms) {
            return None;
        }
        self.parked.waits.under.looked_ms = Some(now_ms);
        let hot_ms = self.options.receipt_hot_ms;
        let until = self
            .parked
            .samples
            .before(now_ms, hot_ms, self.ids.current_ms())?;
        let max = MOVE_MAX.min(usize::try_from(self.batch_max() / MOVED_LEN).unwrap_or(MOVE_MAX));
        let min = MOVE_MIN.min(max);
        let mut crowded: Vec<LineOf> = self.outbox.crowded(min).collect();
        let last = self.parked.parked_last;
        crowded.sort_unstable_by_key(|line| (*line <= last, *line));
        for line in crowded {
            let Some((items, ends_ms)) = self.to_park(line, until, max, min) else {
                continue;
            };
            // What ends soon ends where it is.
            if ends_ms < now_ms.saturating_add(AHEAD_MS) {
                continue;
            }
            // It needs room before it gives any, and intake comes first.
            let octets: u64 = items.iter().map(|item| u64::from(item.at.len)).sum();
            let reserved = octets + FILE_FIXED_LEN;
            if self.octets() + reserved + self.reserve() > self.options.limit {
                continue;
            }
            self.parked.parked_last = line;
            self.parked.waits.under.moving = true;
            self.parked.waits.under.move_octets = reserved;
            return Some(Task::Park {
                line,
                items,
                hour: hour_of(ends_ms),
                now_ms,
            });
        }
        None
    }

    /// The oldest entries of a line that make a run, in the order of their ids, and when the last of them ends. All
    /// end within some hours: then the file goes, and its key.
    fn to_park(&self, line: LineOf, until_ms: u64, max: usize, min: usize) -> Option<(Vec<ParkItem>, u64)> {
        let behind = self.parked.last_of(line);
        let mut items: Vec<ParkItem> = Vec::new();
        let (mut octets, mut first_ms, mut last_ms) = (0, u64::MAX, 0);
        for (id, entry) in self.outbox.oldest(line, until_ms) {
            if entry.at.len > PARK_LEN_MAX || entry.id <= behind {
                continue;
            }
            let span = (first_ms.min(entry.expires_ms), last_ms.max(entry.expires_ms));
            let is_too_wide = span.1 - span.0 > SPAN_MS;
            if is_too_wide && items.len() < min && octets < PARK_OCTETS_MAX / 2 {
                // Too few of one time to be worth a file: they stay, and so does what is older from then on.
                items.clear();
                (octets, first_ms, last_ms) = (0, entry.expires_ms, entry.expires_ms);
            } else if is_too_wide || items.len() == max || octets >= PARK_OCTETS_MAX {
                break;
            } else {
                (first_ms, last_ms) = span;
            }
            octets += u64::from(entry.at.len);
            items.push(ParkItem {
                id,
                own: entry.id,
                revision: entry.revision,
                at: entry.at,
            });
        }
        let is_worth_it = items.len() >= min || octets >= PARK_OCTETS_MAX / 2;
        // What binds gave back stands in front in any order.
        items.sort_unstable_by_key(|item| item.own);
        is_worth_it.then_some((items, last_ms))
    }

    // ===== outcomes =====

    pub(super) fn park_done(
        &mut self,
        now_ms: u64,
        line: LineOf,
        parked: Result<(RunInfo, Vec<ParkedItem>), Failed>,
    ) -> Finished {
        self.parked.waits.under.moving = false;
        self.parked.waits.under.move_octets = 0;
        match parked {
            Ok((run, items)) => self.stage_parked(now_ms, line, run, items),
            Err(failed) => {
                self.parked.waits.under.failed_ms = Some(now_ms);
                Finished::Failed(ChoreError::outbox(failed))
            }
        }
    }

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

    /// Entries that were written and are still as they were leave the spool with the next batch.
    fn stage_parked(&mut self, now_ms: u64, line: LineOf, run: RunInfo, items: Vec<ParkedItem>) -> Finished {
        let (hour, number) = (run.hour, run.number);
        let mut confirmation = Confirmation {
            runs: vec![(hour, number)],
            ..Confirmation::default()
        };
        let system_id = account_of(&self.names, line.account).ok();
        let mut gone = Vec::new();
        let (mut first, mut last) = (None, MessageId(0));
        for ParkedItem { id, revision, mark } in items {
            let is_same = |entry: &Entry| entry.revision == revision && !entry.taken;
            let stays = self.broken || !self.outbox.get(id).is_some_and(is_same);
            match system_id.filter(|_| !stays) {
                Some(system_id) => {
                    self.stage_park(now_ms, id, system_id, &mark, number);
                    confirmation.unsynced += 1;
                    first.get_or_insert(mark.id);
                    last = mark.id;
                    gone.push(id);
                }
                // What the file says of it is old from the beginning.
                None => {
                    self.parked.waits.end(&mark);
                    confirmation.drops.push(mark);
                }
            }
        }
        let left = u32::try_from(gone.len()).unwrap_or(u32::MAX);
        let first = first.unwrap_or(last);
        let span = Span {
            account: line.account,
            sink: line.sink,
            first,
            last,
        };
        self.parked.insert(&run, span, left);
        self.parked.waits.add(run, false);
        self.parked.waits.moved += u64::from(left);
        self.parked.waits.confirmation = Some(confirmation);
        self.outbox.shed(line);
        self.count_files(line);
        Finished::Parked(gone)
    }

    fn stage_park(&mut self, now_ms: u64, id: EntryId, account: SystemId, mark: &Mark, run: u64) {
        let head = Head {
            kind: Kind::Moved,
            id: mark.id,
            leg: 0,
            account,
        };
        let range = self.staging.write_moved(&head, run);
        if let Some(old) = self.outbox.remove(id) {
            self.segments.drain(old.at.segment(), old.at.len, self.batch);
        }
        let item = StepItem::Moved {
            id: mark.id,
            leg: 0,
            run,
        };
        // Born nowhere: every footer repeats it, for a start asks which entries left for this run.
        self.staging
            .push(now_ms, Staged::Step { born: 0, item }, Part::Ending, range, false);
    }

    fn park_confirmed(&mut self) {
        let Some(confirmation) = self.parked.waits.confirmation.take() else {
            return;
        };
        self.parked.waits.confirm(&confirmation.runs);
        self.parked.waits.under.looked_ms = None;
        confirmation
            .drops
            .iter()
            .for_each(|mark| self.parked.waits.marked(mark));
        for segment in confirmation.segments {
            self.segments.paid(segment);
        }
    }

    /// Entries have come back: they stand in line where they stood.
    fn loaded(&mut self, now_ms: u64, number: u64, loaded: Result<EntryBunch, Failed>) -> Finished {
        self.parked.loading = false;
        let Some(run) = self.parked.runs.get_mut(&number) else {
            return Finished::Nothing;
        };
        let line = run.line;
        let bunch = match loaded {
            Ok(bunch) => bunch,
            Err(failed) => {
                run.failed = run.failed.saturating_add(1);
                let pause = if run.is_aside() { ASIDE_MS } else { TRY_AGAIN_MS };
                run.retry_ms = Some(now_ms.saturating_add(pause));
                self.parked.want(line);
                self.count_files(line);
                return Finished::Failed(ChoreError::outbox(failed));
            }
        };
        (run.failed, run.retry_ms) = (0, None);
        (run.next, run.left) = (bunch.next, bunch.rest);
        if let Some(last) = bunch.entries.last() {
            run.first = MessageId(last.id.0 + 1);
        }
        let (mut returned, mut in_line) = (Vec::new(), Vec::new());
        for entry in bunch.entries {
            if self.parked.waits.is_ended(entry.id, 0) || self.outbox.find(entry.id).is_some() {
                continue;
            }
            // What has come to its end is not delivered any more: its date settles it.
            let is_over = entry.expires_ms <= now_ms;
            let id = self.outbox.insert(Entry {
                id: entry.id,
                account: line.account,
                kind: entry.kind,
                sink: entry.sink,
                form: entry.form,
                expires_ms: entry.expires_ms,
                at: Location::default(),
                born: 0,
                revision: 0,
                taken: is_over,
                in_file: true,
            });
            self.parked.back.insert(id, entry.place);
            if !is_over {
                in_line.push(id);
                returned.push((id, entry.body));
            }
        }
        self.outbox.enqueue_returned(&in_line);
        self.count_files(line);
        Finished::Returned(line.account, returned)
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

    fn count_files(&mut self, line: LineOf) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_ahead_of_the_clock_grow_old_all_the_same() {
        let mut samples = Samples::default();
        let (hot, ahead) = (64_000, 500_000);
        let mut found = Vec::new();
        for now in (1_000_000..1_200_000).step_by(1_000) {
            if let Some(ids) = samples.before(now, hot, now + ahead) {
                assert!(
                    ids <= now + ahead - hot && ids + 2_000 > now + ahead - hot,
                    "{now}: {ids}"
                );
                found.push(ids);
            }
            assert!(samples.0.len() <= 66);
        }
        assert_eq!(found.len(), 200 - 64);
        // The clock is set back, and ids stay where they are.
        let (now, ids) = (900_000, 1_700_000);
        assert_eq!(samples.before(now, hot, ids), None);
        assert_eq!(samples.before(now + hot, hot, ids + 5), Some(ids));
    }
}
