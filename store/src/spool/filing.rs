//! Legs that have ended on their way to the [history](crate::history): each of them once, over any crash.
//!
//! A leg joins a line when the batch with its end is on disk. The keeper files the line in its order and lets the history
//! note up to which batch all is there. Until that is synced, the segment with the leg's newest record stays, and with it
//! all behind it, the one with the end among them. So a start finds anew what was filed behind the last note, and which the
//! history has cut off ([`search`](super::search)); it is filed before what ends from then on.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use hashbrown::HashMap;
use rand_core::CryptoRng;
use tidegate_codec::message_id::MessageIdText;

use crate::disk::Disk;
use crate::history::{self, Plan};
use crate::index::{Leg, LegId, Location};
use crate::names::NameId;
use crate::quote::Quote;
use crate::record::{Direction, Final, FinishedLeg, Kind, LegRecord, Payload, RecordError, Stage};
use crate::service_type::ServiceType;
use crate::waiting::PASS_OCTETS_MAX;

use super::chores::{ChoreError, Finished};
use super::search::{EndFound, Search};
use super::staging::{Part, Staged};
use super::{Refused, Spool, account_of};

/// Ended legs in memory that are not filed; past it intake is answered 0x14 (P6).
const UNFILED_MAX: usize = if cfg!(test) { 3_000 } else { 262_144 };

/// What is kept of an account's finished messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keeps {
    /// Its record, with the numbers.
    pub meta: bool,
    /// Its text.
    pub body: bool,
}

impl Keeps {
    pub(super) const fn any(self) -> bool {
        self.meta || self.body
    }
}

/// What is counted of legs on their way to the history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HistoryCounts {
    /// Ended legs in memory that are not filed.
    pub unfiled: usize,
    /// Legs that were filed since the start.
    pub filed: u64,
    /// Bodies and records that could not be read for it, since the start: an alarm.
    pub unreadable: u64,
    /// Tries that failed, since the start.
    pub failed: u64,
}

/// A leg that has ended and is to be filed.
#[derive(Clone, Debug)]
pub(super) struct Unfiled {
    pub(super) source: Source,
    /// Whether its account keeps bodies.
    pub(super) with_body: bool,
    /// The batch with its end.
    pub(super) batch: u64,
    /// The segment that stays for it.
    pub(super) owed_in: u64,
}

/// What is known of it.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// All but its body, from memory.
    Known {
        finished: history::Finished,
        /// Its newest record.
        at: Location,
        /// `None` of a message from a handset, whose one record is its end.
        leg: Option<LegId>,
    },
    /// Where its records lie.
    Found(EndFound),
}

/// What became of legs that were to be filed.
pub(super) struct Filed {
    /// Batches and segments of those that were, or of which nothing is known any more.
    pub(super) done: Vec<(u64, u64)>,
    /// The others, in their order.
    pub(super) left: Vec<Unfiled>,
    /// Records and bodies that could not be read.
    pub(super) unreadable: u64,
    /// The disk did not give the first of those that are left.
    pub(super) stopped: Option<RecordError>,
    pub(super) result: Result<(), ChoreError>,
}

/// See the [module](self).
pub(super) struct Filing {
    /// By the number of the account's name.
    pub(super) keeps: Vec<Keeps>,
    /// Service types whose messages' bodies are not kept, by account.
    no_bodies: HashMap<NameId, Vec<ServiceType>>,
    pub(super) keeps_any: bool,
    pub(super) keeps_bodies: bool,
    pub(super) plan: Arc<Plan>,
    pub(super) carriers: HashMap<NameId, Arc<str>>,
    /// In the order of their batches.
    pub(super) line: VecDeque<Unfiled>,
    /// Behind what a start is still looking for.
    pub(super) later: VecDeque<Unfiled>,
    /// Those that are staged, in line, or with the keeper.
    pub(super) unfiled: usize,
    /// Since when somebody is in line, as far as anybody has asked.
    pub(super) since_ms: Option<u64>,
    /// How many legs of each segment are filed and that is not synced.
    pub(super) owed: BTreeMap<u64, u32>,
    /// The batch of the last leg that was filed.
    pub(super) last_batch: u64,
    /// Since when something is filed and not synced.
    pub(super) filed_ms: Option<u64>,
    /// The history takes no more before that is synced, but for the rest of a batch.
    pub(super) must_sync: bool,
    /// Whether the keeper has a chore of these; there is one at a time, so that the order stays.
    pub(super) is_out: bool,
    pub(super) failed_ms: Option<u64>,
    pub(super) is_failing: bool,
    /// How often in a row the disk did not give a record.
    pub(super) read_tries: u32,
    /// Whether a start has more to look for.
    pub(super) is_searching: bool,
    pub(super) search: Option<Box<Search>>,
    /// Up to which batch it has been found.
    pub(super) found_upto: u64,
    /// Up to which batch the history holds everything, as far as it is known.
    pub(super) position: u64,
    /// How often all that was filed was synced.
    pub(super) checkpoints: u64,
    /// The process is about to end: nothing waits any more.
    pub(super) is_ending: bool,
    /// Bodies of legs that have come back from waiting files.
    pub(super) bodies: HashMap<LegId, Box<[u8]>>,
    pub(super) body_octets: usize,
    /// New legs that had ended when their record was written, with the batch that holds it.
    pub(super) arrived_dead: Vec<(LegId, Location, u64)>,
    /// Where in the index legs are to be weighed anew.
    pub(super) reweigh_from: Option<usize>,
    pub(super) counts: HistoryCounts,
}

impl Filing {
    pub(super) fn new(position: u64, search: Option<Search>) -> Self {
        Self {
            keeps: Vec::new(),
            no_bodies: HashMap::new(),
            keeps_any: false,
            keeps_bodies: false,
            plan: Arc::new(|_, _, _| None),
            carriers: HashMap::new(),
            line: VecDeque::new(),
            later: VecDeque::new(),
            unfiled: 0,
            since_ms: None,
            owed: BTreeMap::new(),
            last_batch: 0,
            filed_ms: None,
            must_sync: false,
            is_out: false,
            failed_ms: None,
            is_failing: false,
            read_tries: 0,
            is_searching: search.is_some(),
            found_upto: 0,
            position,
            checkpoints: 0,
            is_ending: false,
            search: search.map(Box::new),
            bodies: HashMap::new(),
            body_octets: 0,
            arrived_dead: Vec::new(),
            reweigh_from: None,
            counts: HistoryCounts::default(),
        }
    }

    /// Whether anything is kept or still to be done for what was.
    pub(super) fn is_on(&self) -> bool {
        self.keeps_any || self.unfiled > 0 || self.filed_ms.is_some() || self.reweigh_from.is_some()
    }

    pub(super) const fn is_full(&self) -> bool {
        self.unfiled >= UNFILED_MAX
    }

    /// What a start is to look for lies in any segment.
    pub(super) const fn holds_all(&self) -> bool {
        self.is_searching && self.keeps_any
    }

    pub(super) fn keeps(&self, account: NameId) -> Keeps {
        self.keeps
            .get(usize::from(account.0))
            .copied()
            .unwrap_or_default()
    }

    /// Whether any account keeps bodies.
    pub(super) const fn keeps_bodies(&self) -> bool {
        self.keeps_bodies
    }

    /// Whether a leg's body is to live until it is filed. Parts that were cut here are internals of their whole.
    pub(super) fn keeps_body_of(&self, leg: &Leg) -> bool {
        self.keeps_bodies && leg.part().is_none() && self.keeps_body(leg.account, leg.envelope.service_type)
    }

    pub(super) fn keeps_body(&self, account: NameId, service_type: ServiceType) -> bool {
        let unkept = || self.no_bodies.get(&account);
        self.keeps(account).body && !unkept().is_some_and(|types| types.contains(&service_type))
    }

    pub(super) const fn has_room_for_bodies(&self) -> bool {
        self.body_octets < PASS_OCTETS_MAX
    }

    pub(super) fn keep_body(&mut self, leg: LegId, account: NameId, body: Box<[u8]>) {
        if !body.is_empty() && self.keeps(account).body {
            self.body_octets += body.len();
            self.bodies.insert(leg, body);
        }
    }

    pub(super) fn take_body(&mut self, leg: LegId) -> Box<[u8]> {
        let body = self.bodies.remove(&leg).unwrap_or_default();
        self.body_octets -= body.len();
        body
    }

    /// A new leg's record is on disk, and its end is staged or beside it.
    pub(super) fn arrived_dead(&mut self, leg: LegId, at: Location, batch: u64) {
        if self.keeps_any {
            self.arrived_dead.push((leg, at, batch));
        }
    }

    /// What arrived dead with an earlier batch has ended by now.
    pub(super) fn batch_is_over(&mut self, batch: u64) {
        self.arrived_dead.retain(|(_, _, of)| *of == batch);
    }

    /// Bodies could not be read.
    pub(super) const fn lost(&mut self, count: u64) {
        self.counts.unreadable += count;
    }

    /// What was to be filed did not reach the disk, and will come again.
    pub(super) const fn is_given_back(&mut self) {
        self.unfiled = self.unfiled.saturating_sub(1);
    }

    fn join(&mut self, unfiled: Unfiled) {
        if self.is_searching {
            self.later.push_back(unfiled);
        } else {
            self.line.push_back(unfiled);
        }
    }

    /// Up to which batch all that has ended is filed; `None` between two legs of one batch.
    pub(super) fn filed_upto(&self, synced: u64) -> Option<u64> {
        match self.line.front() {
            Some(next) if next.batch == self.last_batch => None,
            Some(next) => next.batch.checked_sub(1),
            None if self.is_searching => Some(self.found_upto),
            None => Some(synced),
        }
    }

    pub(super) fn has_failed(&mut self, now_ms: u64, error: ChoreError) -> Finished {
        self.failed_ms = Some(now_ms);
        self.counts.failed += 1;
        if std::mem::replace(&mut self.is_failing, true) {
            return Finished::Nothing;
        }
        Finished::Failed(error)
    }

    pub(super) fn went_well(&mut self) {
        self.failed_ms = None;
        if std::mem::replace(&mut self.is_failing, false) {
            tracing::info!("what accounts keep of finished messages is written again");
        }
    }
}

impl<D: Disk> Spool<D> {
    /// Says what is kept of an account's messages that end from now on; nothing, until it is said. What had ended before the
    /// start and is not in the history is looked for with the first chore for which any account keeps something, of those that
    /// do by then: so at a start this is to be said of all accounts before it.
    pub fn set_keeps(&mut self, account: NameId, keeps: Keeps) {
        let filing = &mut self.filing;
        let place = usize::from(account.0);
        if filing.keeps.len() <= place {
            filing.keeps.resize(place + 1, Keeps::default());
        }
        let Some(before) = filing.keeps.get_mut(place) else {
            return;
        };
        if before.body != keeps.body {
            filing.reweigh_from = Some(0);
        }
        *before = keeps;
        filing.keeps_any = filing.keeps.iter().any(|keeps| keeps.any());
        filing.keeps_bodies = filing.keeps.iter().any(|keeps| keeps.body);
    }

    /// Says of which messages of an account no body is kept, though others' are: those of these service types.
    pub fn set_no_bodies(&mut self, account: NameId, service_types: Vec<ServiceType>) {
        let before = match service_types.is_empty() {
            true => self.filing.no_bodies.remove(&account),
            false => self.filing.no_bodies.insert(account, service_types),
        };
        if before.as_ref() != self.filing.no_bodies.get(&account) {
            self.filing.reweigh_from = Some(0);
        }
    }

    /// Says where in the history each leg goes; nowhere, until it is said.
    pub fn set_plan(&mut self, plan: Arc<Plan>) {
        self.filing.plan = plan;
    }

    /// What is counted of legs on their way to the history.
    pub const fn history(&self) -> HistoryCounts {
        HistoryCounts {
            unfiled: self.filing.unfiled,
            ..self.filing.counts
        }
    }

    /// Has all that is filed synced soon, without waiting for more.
    pub fn sync_history(&mut self) {
        self.filing.must_sync |= self.filing.filed_ms.is_some();
    }

    /// How often that was done, while something may be filed that is not synced; `None` where all is.
    pub fn history_syncs(&self) -> Option<u64> {
        let filing = &self.filing;
        (filing.filed_ms.is_some() || filing.is_out).then_some(filing.checkpoints)
    }

    /// Says that the process is about to end in order, so that nothing waits for more to be filed or synced with it. To be asked
    /// until it says that there is nothing left to wait for: all is in the history, or a start will see to it.
    pub fn end_history(&mut self) -> bool {
        self.filing.is_ending = true;
        let filing = &self.filing;
        let is_whole = filing.line.is_empty() && filing.filed_ms.is_none() && filing.position >= self.synced;
        let gives_up = self.broken || filing.is_failing || filing.is_searching;
        !filing.is_on() || !filing.is_out && (is_whole || gives_up)
    }

    // ===== ends =====

    /// Whether the history is to hold a leg, and what its carrier calls it.
    pub(super) fn is_kept(&self, leg: LegId) -> Option<(Keeps, MessageIdText)> {
        if !self.filing.keeps_any {
            return None;
        }
        let found = self.index.get(leg).filter(|leg| leg.part().is_none())?;
        let keeps = self.filing.keeps(found.account);
        keeps.any().then(|| (keeps, self.index.owned_carrier_id(found)))
    }

    /// A leg that ends, for the history.
    pub(super) fn unfiled(
        &mut self,
        leg: LegId,
        found: &Leg,
        end: Final,
        (keeps, carrier_id): (Keeps, MessageIdText),
    ) -> Option<Box<Unfiled>> {
        let account = account_of(&self.names, found.account).ok()?;
        let carrier = match found.carrier {
            Some(carrier) => {
                let name = || Arc::from(self.names.name(carrier));
                Arc::clone(self.filing.carriers.entry(carrier).or_insert_with(name))
            }
            None => Arc::from(""),
        };
        let finished = history::Finished {
            id: found.message,
            leg: found.leg,
            account,
            direction: Direction::Mt,
            envelope: found.envelope.clone(),
            end,
            carrier,
            carrier_id,
        };
        self.filing.unfiled += 1;
        let at = found.at;
        Some(Box::new(Unfiled {
            source: Source::Known {
                finished,
                at,
                leg: Some(leg),
            },
            with_body: keeps.body && self.filing.keeps_body(found.account, found.envelope.service_type),
            batch: 0,
            owed_in: 0,
        }))
    }

    /// Stages all of a leg that ends in a waiting file.
    pub(super) fn stage_finished(
        &mut self,
        now_ms: u64,
        found: &Leg,
        unfiled: Box<Unfiled>,
        body: &[u8],
        rng: &mut impl CryptoRng,
    ) -> Result<(), Refused> {
        let Source::Known { finished, .. } = &unfiled.source else {
            return Ok(());
        };
        let leg = LegRecord {
            envelope: found.envelope.clone(),
            stage: Stage::HandedOver,
            attempts: found.attempts,
            due_ms: found.due_ms,
            carrier: &finished.carrier,
            carrier_id: finished.carrier_id.as_bytes(),
            quote: Quote::NONE,
            progress: None,
            body,
        };
        let end = finished.end;
        let payload = Payload::Finished(FinishedLeg { end, leg });
        let (id, number, account) = (found.message, found.leg, found.account);
        let range = self.write_step(Kind::Finished, id, number, account, &payload, rng)?;
        self.staging
            .push(now_ms, Staged::Finished(unfiled), Part::Ending, range, false);
        Ok(())
    }

    /// A leg's end is on disk, and lies at `at`; with all of it, if `is_whole`.
    pub(super) fn is_finished(&mut self, mut unfiled: Unfiled, at: Location, batch: u64, is_whole: bool) {
        unfiled.batch = batch;
        unfiled.owed_in = at.segment();
        if let Source::Known { at: newest, leg, .. } = &mut unfiled.source {
            if is_whole {
                *newest = at;
            } else if newest.segment() == 0 {
                let mut dead = self.filing.arrived_dead.iter();
                *newest = dead
                    .find(|dead| Some(dead.0) == *leg)
                    .map_or(*newest, |dead| dead.1);
            }
            if newest.segment() != 0 {
                unfiled.owed_in = newest.segment();
            }
        }
        self.segments.owe_history(unfiled.owed_in);
        self.filing.join(unfiled);
    }
}
