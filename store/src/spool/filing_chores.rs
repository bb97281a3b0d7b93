//! Which legs go to the history next, and what follows from how that went.

use std::io;
use std::sync::Arc;

use tidegate_codec::identity::SystemId;

use crate::disk::Disk;
use crate::index::LegId;
use crate::names::NameId;
use crate::record::Stage;
use crate::waiting::TRIES_MAX;

use super::Spool;
use super::chores::{ChoreError, Finished, Task};
use super::filing::Filed;
use super::search::Search;
use super::upkeep::is_too_soon;

/// Legs that one chore files at most.
const FILE_MAX: usize = 1_000;
/// Fewer wait so long for more.
const FILE_WAIT_MS: u64 = 1_000;
/// What was filed is synced after this long.
const CHECKPOINT_MS: u64 = 60_000;
/// Places of the index whose legs are weighed anew at a time.
const REWEIGH_STEP: usize = 1_024;

impl<D: Disk> Spool<D> {
    // ===== chores =====

    pub(super) fn history_chore(&mut self, now_ms: u64) -> Option<Task<D>> {
        if !self.filing.is_on() {
            return None;
        }
        self.reweigh_some();
        let filing = &mut self.filing;
        if filing.is_out || is_too_soon(filing.failed_ms, now_ms) {
            return None;
        }
        let oldest = self.segments.oldest();
        let held = oldest
            .filter(|(_, segment)| segment.unfiled() > 0 && segment.is_drained_but_for_history(self.synced));
        let is_filed =
            |number: u64, count: u32| filing.owed.get(&number).is_some_and(|filed| *filed >= count);
        let frees = held.is_some_and(|(number, segment)| is_filed(number, segment.unfiled()));
        let is_old = |since: u64, after: u64| !(since..since.saturating_add(after)).contains(&now_ms);
        let upto = filing.filed_upto(self.synced);
        let is_due = match filing.filed_ms {
            Some(since) => filing.must_sync || frees || is_old(since, CHECKPOINT_MS),
            None => false,
        };
        // At the end also where nothing was filed: the next start has less to read.
        let is_last = filing.is_ending && filing.line.is_empty() && upto > Some(filing.position);
        if let Some(batch) = upto.filter(|_| is_due || is_last) {
            filing.is_out = true;
            return Some(Task::Checkpoint { batch, now_ms });
        }
        if filing.line.is_empty() {
            return self.search_chore();
        }
        let since = *filing.since_ms.get_or_insert(now_ms);
        let waits = filing.line.len() < FILE_MAX && !is_old(since, FILE_WAIT_MS);
        let is_pressed = held.is_some() || filing.is_searching || filing.is_ending;
        if waits && !is_pressed && upto.is_some() {
            return None;
        }
        let (last, must_sync) = (filing.last_batch, filing.must_sync);
        let may_go = filing.line.iter().take(FILE_MAX);
        let count = may_go.take_while(|next| !must_sync || next.batch == last).count();
        filing.since_ms = None;
        filing.is_out = true;
        Some(Task::File {
            items: filing.line.drain(..count).collect(),
            plan: Arc::clone(&filing.plan),
            give_up: filing.read_tries >= TRIES_MAX,
            now_ms,
        })
    }

    fn search_chore(&mut self) -> Option<Task<D>> {
        let filing = &mut self.filing;
        if !filing.keeps_any {
            // Nobody keeps anything any more, so nothing is looked for; what stands behind it must wait for nothing.
            filing.is_searching = false;
            filing.search = None;
            let later = std::mem::take(&mut filing.later);
            filing.line.extend(later);
            return None;
        }
        let mut search = filing.search.take()?;
        if !search.has_begun() {
            let kept = (0..).zip(&filing.keeps).filter(|(_, keeps)| keeps.any());
            let accounts = kept.filter_map(|(number, keeps)| {
                let name = self.names.name(NameId(number));
                Some((SystemId::new(name.as_bytes()).ok()?, keeps.body))
            });
            search.begin(accounts.collect());
        }
        filing.is_out = true;
        Some(Task::Search(search))
    }

    /// Weighs legs that carriers have anew, some of them, since whose bodies are kept has changed.
    fn reweigh_some(&mut self) {
        let Some(from) = self.filing.reweigh_from else {
            return;
        };
        let legs = self.index.slice(from, REWEIGH_STEP);
        let handed_over = legs.filter(|(_, leg)| leg.stage == Stage::HandedOver && leg.at.segment() != 0);
        let legs: Vec<LegId> = handed_over.map(|(id, _)| id).collect();
        legs.into_iter().for_each(|leg| self.reweigh(leg));
        let next = from + REWEIGH_STEP;
        self.filing.reweigh_from = (next < self.index.places()).then_some(next);
    }

    // ===== outcomes =====

    pub(super) fn filing_done(&mut self, now_ms: u64, filed: Filed) -> Finished {
        let Filed {
            done,
            left,
            unreadable,
            stopped,
            result,
        } = filed;
        let filing = &mut self.filing;
        filing.is_out = false;
        filing.unfiled -= done.len();
        filing.counts.filed += done.len() as u64;
        filing.counts.unreadable += unreadable;
        filing.read_tries = match (&stopped, done.is_empty()) {
            (None, _) => 0,
            (Some(_), false) => 1,
            (Some(_), true) => filing.read_tries.saturating_add(1),
        };
        for (batch, segment) in done {
            filing.last_batch = batch;
            filing.filed_ms.get_or_insert(now_ms);
            *filing.owed.entry(segment).or_default() += 1;
        }
        if !left.is_empty() {
            // They have waited.
            filing.since_ms = Some(0);
        }
        for unfiled in left.into_iter().rev() {
            filing.line.push_front(unfiled);
        }
        match (result, stopped) {
            (Err(error), _) => {
                filing.must_sync = true;
                filing.has_failed(now_ms, error)
            }
            (Ok(()), Some(error)) => filing.has_failed(
                now_ms,
                ChoreError::History {
                    operation: "read what goes into",
                    source: io::Error::other(error),
                },
            ),
            (Ok(()), None) if filing.must_sync => Finished::Nothing,
            (Ok(()), None) => {
                filing.went_well();
                Finished::Nothing
            }
        }
    }

    pub(super) fn checkpointed(
        &mut self,
        now_ms: u64,
        batch: u64,
        result: Result<(), ChoreError>,
    ) -> Finished {
        let filing = &mut self.filing;
        filing.is_out = false;
        if let Err(error) = result {
            filing.must_sync = true;
            return filing.has_failed(now_ms, error);
        }
        filing.must_sync = false;
        filing.checkpoints += 1;
        filing.filed_ms = None;
        filing.position = filing.position.max(batch);
        filing.went_well();
        // Nothing was filed meanwhile, so that all of it ended in batches up to this one.
        tracing::debug!(batch, "the history holds what has ended");
        for (segment, count) in std::mem::take(&mut filing.owed) {
            self.segments.paid_history(segment, count);
        }
        Finished::Nothing
    }

    /// A step of what a start looks for is done.
    pub(super) fn searched(
        &mut self,
        now_ms: u64,
        mut search: Box<Search>,
        result: Result<(), ChoreError>,
    ) -> Finished {
        let filing = &mut self.filing;
        filing.is_out = false;
        filing.counts.unreadable += search.take_unreadable();
        if let Some((found, upto)) = search.take_found() {
            filing.found_upto = upto;
            filing.unfiled += found.len();
            for end in found {
                let unfiled = end.unfiled();
                self.segments.owe_history(unfiled.owed_in);
                filing.line.push_back(unfiled);
            }
        }
        if search.is_over() {
            // What has ended since the start stands behind it.
            filing.is_searching = false;
            filing.line.append(&mut filing.later);
        } else {
            filing.search = Some(search);
        }
        match result {
            Ok(()) => Finished::Nothing,
            Err(error) => filing.has_failed(now_ms, error),
        }
    }
}
