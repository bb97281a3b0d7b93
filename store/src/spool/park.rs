//! Entries that nobody fetches move to outbox files: which, when, and how they leave the spool.

use std::collections::VecDeque;

use tidegate_codec::identity::SystemId;

use crate::disk::Disk;
use crate::message_id::MessageId;
use crate::outbox::{Entry, EntryId, LineOf};
use crate::record::{Head, Kind};
use crate::waiting::entries::{ParkItem, ParkedItem, Span};
use crate::waiting::table::Confirmation;
use crate::waiting::{AHEAD_MS, Failed, HOUR_MS, MOVE_MAX, MOVE_MIN, Mark, RunInfo, hour_of};

use super::chores::{ChoreError, Finished, Task};
use super::staging::{Part, Staged, StepItem};
use super::upkeep::is_too_soon;
use super::waits::{FILE_FIXED_LEN, MOVED_LEN};
use super::{Spool, account_of};

/// Octets of records that one move takes at most.
const PARK_OCTETS_MAX: u64 = 2 << 20;
/// Longer records stay where they are: the table of a run has 16 bits for a length.
const PARK_LEN_MAX: u32 = 60_000;
/// How finely the hot time is divided.
const SAMPLES: u64 = 64;
/// The end dates of a run's entries lie within so much.
const SPAN_MS: u64 = 2 * HOUR_MS;

/// Which ids were given by when. The time in an id is no clock: a start, or a clock that was set back, leaves ids ahead
/// of it.
#[derive(Debug, Default)]
pub(super) struct Samples(VecDeque<(u64, u64)>);

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

impl<D: Disk> Spool<D> {
    /// The oldest entries of a line that nobody has fetched within the hot time.
    pub(super) fn park_chore(&mut self, now_ms: u64) -> Option<Task<D>> {
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

    pub(super) fn park_confirmed(&mut self) {
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
