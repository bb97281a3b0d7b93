//! The waiting files as the loop has them: filters, and what is under way.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;
use tidegate_codec::message_id::MessageIdText;

use crate::index::LegId;
use crate::message_id::MessageId;

use super::format::REPLACES_MAX;
use super::{HOUR_MS, HashKey, Mark, PENDING_MAX, Place, Prints, QUESTIONS_MAX, Question, RunDone};
use super::{RunInfo, WAITING_MAX, WaitingCounts};

/// Runs of about one size that are merged at once.
const MERGE_AT: usize = 4;
/// An hour to which nothing has come for so long gets no more, most likely.
const QUIET_MS: u64 = 30 * 60 * 1000;

/// A run as the loop knows it.
#[derive(Debug)]
struct Known {
    prints: Arc<Prints>,
    count: u32,
    done: u32,
    octets: u64,
    /// Its legs have left the spool, and that is synced.
    confirmed: bool,
    /// It could not be merged, and is left alone until then.
    rests_until_ms: u64,
}

impl Known {
    const fn may_merge(&self, now_ms: u64) -> bool {
        self.confirmed && now_ms >= self.rests_until_ms
    }
}

/// The runs of an hour.
#[derive(Debug)]
struct KnownHour {
    hash_key: HashKey,
    runs: BTreeMap<u64, Known>,
    /// When legs moved to it last; 0 for those of an earlier process.
    touched_ms: u64,
    /// All of it has come back.
    passed: bool,
    /// When it could not be read or removed, now that it is over, if that failed the last time.
    failed_ms: Option<u64>,
}

/// Runs whose legs have left the spool once the batch with their `Moved` records is synced.
#[derive(Debug, Default)]
pub(crate) struct Confirmation {
    pub(crate) runs: Vec<(u32, u64)>,
    /// Legs that ended, or changed, while they were moved: they never counted.
    pub(crate) drops: Vec<Mark>,
    /// `Moved` records that are not synced yet.
    pub(crate) unsynced: usize,
    /// Segments that hold those that are.
    pub(crate) segments: Vec<u64>,
}

/// What of the files' business is with the keeper.
#[derive(Debug, Default)]
pub(crate) struct Under {
    pub(crate) moving: bool,
    pub(crate) confirming: bool,
    pub(crate) merging: Option<(u32, Vec<u64>)>,
    /// Runs have come since it was last asked what is to be merged.
    pub(crate) look: bool,
    /// When that was.
    pub(crate) merge_looked_ms: u64,
    pub(crate) merge_out: bool,
    pub(crate) passing: bool,
    pub(crate) dropping: bool,
    /// Octets that the move that is out may take.
    pub(crate) move_octets: u64,
    /// Octets that the merge that is under way may take, before those it replaces go.
    pub(crate) merge_octets: u64,
    /// When it was last asked what is to move.
    pub(crate) looked_ms: Option<u64>,
    /// When one of these failed last.
    pub(crate) failed_ms: Option<u64>,
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct Waits {
    hours: BTreeMap<u32, KnownHour>,
    /// Legs that have ended, or never counted, and are not marked yet: whatever the files say of them is old.
    pending: HashMap<(MessageId, u16), u32>,
    /// Marks whose step is synced, with the segment that holds it.
    pub(crate) to_mark: Vec<(Mark, u64)>,
    /// Since when the first of them waits, as far as anybody has asked.
    to_mark_ms: Option<u64>,
    /// Those that the keeper has.
    pub(crate) marking: Vec<(Mark, u64)>,
    /// Legs that are in the index and lie in a file.
    pub(crate) back: HashMap<LegId, Place>,
    pub(crate) questions: Vec<Question>,
    /// Questions that are not answered.
    pub(crate) asked: usize,
    pub(crate) confirmation: Option<Confirmation>,
    pub(crate) under: Under,
    octets: u64,
    legs: u64,
    pub(crate) moved: u64,
    pub(crate) passed: u64,
    pub(crate) damaged: u64,
}

impl Waits {
    /// Octets that the files take, and may take by what is under way.
    pub(crate) fn octets(&self) -> u64 {
        self.octets + self.under.move_octets + self.under.merge_octets
    }

    /// Whether more legs may move.
    pub(crate) const fn has_room(&self) -> bool {
        self.legs < WAITING_MAX
    }

    pub(crate) fn counts(&self) -> WaitingCounts {
        let runs = || self.hours.values().flat_map(|hour| hour.runs.values());
        let marks = |run: &Known| u64::from(run.count) / 8 + 512;
        WaitingCounts {
            legs: self.legs,
            files: runs().count(),
            octets: self.octets,
            memory: runs().map(|run| run.prints.memory() as u64 + marks(run)).sum(),
            moved: self.moved,
            passed: self.passed,
            damaged: self.damaged,
        }
    }

    // ===== runs =====

    pub(crate) fn add(&mut self, run: RunInfo, confirmed: bool) {
        let RunInfo {
            hour,
            number,
            hash_key,
            prints,
            count,
            done,
            octets,
        } = run;
        let known = Known {
            prints,
            count,
            done: done.min(count),
            octets,
            confirmed,
            rests_until_ms: 0,
        };
        self.octets += octets;
        self.legs += u64::from(known.count - known.done);
        let hour = self.hours.entry(hour).or_insert_with(|| KnownHour {
            hash_key: hash_key.clone(),
            runs: BTreeMap::new(),
            touched_ms: 0,
            passed: false,
            failed_ms: None,
        });
        self.under.look = true;
        hour.hash_key = hash_key;
        hour.runs.insert(number, known);
    }

    pub(crate) fn remove(&mut self, hour: u32, number: u64) {
        let Some(found) = self.hours.get_mut(&hour) else {
            return;
        };
        if let Some(run) = found.runs.remove(&number) {
            self.octets -= run.octets;
            self.legs -= u64::from(run.count - run.done);
        }
        if found.runs.is_empty() {
            self.hours.remove(&hour);
        }
    }

    pub(crate) fn remove_hour(&mut self, hour: u32) {
        let runs: Vec<u64> = self
            .hours
            .get(&hour)
            .map(|hour| hour.runs.keys().copied().collect())
            .unwrap_or_default();
        runs.into_iter().for_each(|run| self.remove(hour, run));
    }

    pub(crate) fn confirm(&mut self, runs: &[(u32, u64)]) {
        for (hour, number) in runs {
            let run = self
                .hours
                .get_mut(hour)
                .and_then(|hour| hour.runs.get_mut(number));
            if let Some(run) = run {
                run.confirmed = true;
                self.under.look = true;
            }
        }
    }

    /// Runs have come to an hour.
    pub(crate) fn touch(&mut self, hour: u32, now_ms: u64) {
        if let Some(hour) = self.hours.get_mut(&hour) {
            hour.touched_ms = now_ms;
        }
    }

    /// Runs of an hour that are to become one, none of them half moved, and their octets: those of about one size;
    /// and of an hour to which nothing has come for a while all, for every run is asked after every foreign id.
    pub(crate) fn to_merge(&self, now_ms: u64, over: impl Fn(u32) -> bool) -> Option<(u32, Vec<u64>, u64)> {
        let of = |hour: u32, runs: &[(u64, u64)]| {
            let numbers = runs.iter().map(|(number, _)| *number).collect();
            Some((hour, numbers, runs.iter().map(|(_, octets)| octets).sum()))
        };
        let hours = || self.hours.iter().filter(|(hour, _)| !over(**hour));
        let alike = hours().find_map(|(hour, found)| {
            let mut sizes: BTreeMap<u32, Vec<(u64, u64)>> = BTreeMap::new();
            for (number, run) in found.runs.iter().filter(|(_, run)| run.may_merge(now_ms)) {
                let left = (run.count - run.done).max(1024);
                let size = sizes.entry(left.ilog2() / 2).or_default();
                size.push((*number, run.octets));
                if size.len() == MERGE_AT {
                    return of(*hour, size);
                }
            }
            None
        });
        alike.or_else(|| {
            hours()
                .filter(|(_, found)| found.runs.len() > 1)
                .filter(|(_, found)| now_ms >= found.touched_ms.saturating_add(QUIET_MS))
                .find(|(_, found)| found.runs.values().all(|run| run.may_merge(now_ms)))
                .and_then(|(hour, found)| {
                    let mut runs: Vec<(u64, u64)> = found
                        .runs
                        .iter()
                        .map(|(number, run)| (*number, run.octets))
                        .collect();
                    runs.sort_unstable_by_key(|(_, octets)| *octets);
                    runs.truncate(REPLACES_MAX);
                    of(*hour, &runs)
                })
        })
    }

    /// Runs of which all is done.
    pub(crate) fn finished(&self) -> Vec<(u32, u64)> {
        let hours = self.hours.iter();
        let runs =
            hours.flat_map(|(hour, found)| found.runs.iter().map(|(number, run)| (*hour, *number, run)));
        runs.filter(|(_, _, run)| run.confirmed && run.done >= run.count)
            .map(|(hour, number, _)| (hour, number))
            .collect()
    }

    /// The runs of an hour.
    pub(crate) fn runs_of(&self, hour: u32) -> impl Iterator<Item = (u32, u64)> + '_ {
        let found = self.hours.get(&hour).into_iter();
        found.flat_map(move |found| found.runs.keys().map(move |number| (hour, *number)))
    }

    // ===== hours that are over =====

    /// Hours that are over and when each failed last: the oldest first, but those that failed behind all others.
    pub(crate) fn over(&self, now_ms: u64) -> Vec<(Option<u64>, u32)> {
        let is_over = |hour: u32| now_ms >= (u64::from(hour) + 1) * HOUR_MS;
        let over = self.hours.iter().take_while(|(hour, _)| is_over(**hour));
        let mut hours: Vec<_> = over.map(|(hour, found)| (found.failed_ms, *hour)).collect();
        hours.sort_unstable();
        hours
    }

    /// Something about an hour that is over was done, or could not be.
    pub(crate) fn tried(&mut self, hour: u32, failed_ms: Option<u64>) {
        if let Some(hour) = self.hours.get_mut(&hour) {
            hour.failed_ms = failed_ms;
        }
    }

    /// Runs that could not be merged are left alone for a while: others may be.
    pub(crate) fn rest(&mut self, hour: u32, runs: &[u64], until_ms: u64) {
        if let Some(hour) = self.hours.get_mut(&hour) {
            for number in runs {
                if let Some(run) = hour.runs.get_mut(number) {
                    run.rests_until_ms = until_ms;
                }
            }
        }
    }

    pub(crate) fn is_passed(&self, hour: u32) -> bool {
        self.hours.get(&hour).is_some_and(|hour| hour.passed)
    }

    pub(crate) fn set_passed(&mut self, hour: u32, passed: bool) {
        if let Some(hour) = self.hours.get_mut(&hour) {
            hour.passed = passed;
        }
    }

    /// Whether nothing of an hour is under way.
    pub(crate) fn is_quiet(&self, hour: u32) -> bool {
        let is_moving = |moved: &Confirmation| moved.runs.iter().any(|(of, _)| *of == hour);
        // All of these are small.
        !self.back.values().any(|place| place.hour == hour)
            && !self.pending.values().any(|of| *of == hour)
            && !self.confirmation.as_ref().is_some_and(is_moving)
            && !self.under.moving
            && !self.under.merge_out
    }

    // ===== receipts =====

    /// A question after these ids of a carrier, if the filters say that it makes sense.
    pub(crate) fn question(&self, token: u64, carrier: &str, ids: &[MessageIdText]) -> Option<Question> {
        let places = |id: &MessageIdText| -> Vec<(u32, u64)> {
            let of_hour = |(hour, found): (&u32, &KnownHour)| {
                let hash = found.hash_key.of(carrier, id.as_bytes(), MessageId(0), 0);
                let may = found.runs.values().any(|run| run.prints.may_have(hash));
                may.then_some((*hour, hash))
            };
            self.hours.iter().filter_map(of_hour).collect()
        };
        let ids: Vec<_> = ids
            .iter()
            .filter(|id| !id.is_empty())
            .map(|id| (id.clone(), places(id)))
            .filter(|(_, places)| !places.is_empty())
            .collect();
        (!ids.is_empty()).then(|| Question {
            token,
            carrier: carrier.to_owned(),
            ids,
        })
    }

    /// Whether another question may be asked.
    pub(crate) fn may_ask(&self) -> bool {
        self.asked < QUESTIONS_MAX && self.pending.len() < PENDING_MAX
    }

    // ===== ends =====

    /// Whether a leg's end is on its way to the files.
    pub(crate) fn is_ended(&self, id: MessageId, leg: u16) -> bool {
        self.pending.contains_key(&(id, leg))
    }

    pub(crate) fn end(&mut self, mark: &Mark) {
        self.pending.insert((mark.id, mark.leg), mark.place.hour);
    }

    /// Marks for the keeper, those of few runs at a time, when there are many or the first has waited long enough.
    pub(crate) fn take_marks(
        &mut self,
        now_ms: u64,
        max: usize,
        runs_max: usize,
        wait_ms: u64,
    ) -> Option<Vec<Mark>> {
        if !self.marking.is_empty() || self.to_mark.is_empty() {
            return None;
        }
        let since = *self.to_mark_ms.get_or_insert(now_ms);
        // A clock that is set back makes nothing wait for hours.
        let waits = (since..since.saturating_add(wait_ms)).contains(&now_ms);
        if waits && self.to_mark.len() < max {
            return None;
        }
        let run_of = |mark: &Mark| (mark.place.hour, mark.place.at.map(|at| at.run));
        // Runs together; what is left of them next time is found sorted.
        self.to_mark.sort_by_key(|(mark, _)| run_of(mark));
        let mut runs = 0;
        let mut last = None;
        let is_taken = |(mark, _): &&(Mark, u64)| {
            let run = Some(run_of(mark));
            runs += usize::from(run != last);
            last = run;
            runs <= runs_max
        };
        let count = self.to_mark.iter().take(max).take_while(is_taken).count();
        self.marking = self.to_mark.drain(..count).collect();
        if self.to_mark.is_empty() {
            self.to_mark_ms = None;
        }
        Some(self.marking.iter().map(|(mark, _)| *mark).collect())
    }

    /// Ends that are not marked yet.
    pub(crate) fn ending(&self) -> usize {
        self.pending.len()
    }

    /// A leg is marked in its file.
    pub(crate) fn marked(&mut self, mark: &Mark) {
        self.pending.remove(&(mark.id, mark.leg));
    }

    /// So much of these runs is done.
    pub(crate) fn set_done(&mut self, done: &[RunDone]) {
        for RunDone { hour, number, done } in done {
            let run = self
                .hours
                .get_mut(hour)
                .and_then(|hour| hour.runs.get_mut(number));
            if let Some(run) = run {
                let done = (*done).min(run.count);
                self.legs = self.legs + u64::from(run.done) - u64::from(done);
                run.done = done;
            }
        }
    }
}
