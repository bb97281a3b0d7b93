//! The model of the [rig](super::rig): what was promised, step by step, and what a spool holds in the same words.

use std::collections::BTreeMap;

use crate::disk::FaultyDisk;
use crate::message_id::MessageId;
use crate::progress::Progress;
use crate::pseudonym::Pseudonym;
use crate::quote::Quote;
use crate::record::{EntryKind, Envelope, Stage};
use crate::standing::{Change, Origins, Scope, What};
use crate::usage::Period;

use super::Spool;
use super::rig::{ACCOUNTS, period};

/// A leg as the model sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LegState {
    pub(super) account: String,
    pub(super) envelope: Envelope,
    pub(super) stage: Stage,
    pub(super) attempts: u16,
    pub(super) due_ms: u64,
    pub(super) carrier: String,
    pub(super) carrier_id: Vec<u8>,
    pub(super) quote: Quote,
    pub(super) progress: Option<Progress>,
}

/// What is unfinished.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    pub(super) legs: BTreeMap<(MessageId, u16), LegState>,
    pub(super) entries: BTreeMap<MessageId, (String, EntryKind, u64)>,
    /// Parts that were used, by account, and by day (false) or month.
    pub(super) used: BTreeMap<(String, bool), BTreeMap<u32, u64>>,
    /// Who has opted out, and of what.
    pub(super) opt_outs: BTreeMap<(Pseudonym, Scope), Origins>,
    /// All changes of standing data there ever were, in order.
    pub(super) changes: Vec<Change>,
    /// All legs that have ended, as they stood.
    pub(super) ended: Vec<((MessageId, u16), LegState)>,
}

/// One staged step, as the model repeats it.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// With whether it is intake, which a full disk gives back.
    Accept((MessageId, u16), LegState, bool),
    HandOver((MessageId, u16), String, Vec<u8>, u64),
    Retry((MessageId, u16), u64, bool),
    Replace((MessageId, u16), Envelope, u64, Quote),
    Release((MessageId, u16), u64),
    InParts((MessageId, u16), u64, Progress),
    Part((MessageId, u16), LegState),
    Final((MessageId, u16)),
    Entry(MessageId, (String, EntryKind, u64), bool),
    Settled(MessageId),
    Change(Change),
}

impl State {
    /// Of each account the two newest days and months are remembered.
    fn count(&mut self, leg: &LegState) {
        let Period { day, month } = period(leg.envelope.accepted_ms);
        for (number, is_month) in [(day, false), (month, true)] {
            let used = self.used.entry((leg.account.clone(), is_month)).or_default();
            *used.entry(number).or_default() += u64::from(leg.envelope.parts);
            if used.len() > 2 {
                let oldest = *used.keys().find(|other| **other != number).unwrap();
                used.remove(&oldest);
            }
        }
    }

    /// Memory does not hold all changes there were, and no leg that has ended.
    pub(super) fn is_like(&self, promised: &Self) -> bool {
        let (changes, ended) = (promised.changes.clone(), promised.ended.clone());
        Self {
            changes,
            ended,
            ..self.clone()
        } == *promised
    }

    pub(super) fn apply(&mut self, step: &Step) {
        match step {
            Step::Accept(key, leg, _) => {
                self.legs.insert(*key, leg.clone());
                self.count(leg);
            }
            Step::HandOver(key, carrier, id, deadline_ms) => {
                if let Some(leg) = self.legs.get_mut(key) {
                    leg.stage = Stage::HandedOver;
                    leg.attempts += 1;
                    leg.carrier.clone_from(carrier);
                    leg.carrier_id.clone_from(id);
                    leg.due_ms = *deadline_ms;
                }
            }
            Step::Retry(key, due_ms, counts) => {
                if let Some(leg) = self.legs.get_mut(key) {
                    leg.due_ms = *due_ms;
                    leg.attempts += u16::from(*counts);
                }
            }
            Step::Release(key, due_ms) => {
                if let Some(leg) = self.legs.get_mut(key) {
                    leg.stage = Stage::Waiting;
                    leg.due_ms = *due_ms;
                }
            }
            Step::Replace(key, envelope, due_ms, quote) => {
                if let Some(leg) = self.legs.get_mut(key) {
                    leg.quote = *quote;
                    leg.envelope = envelope.clone();
                    leg.due_ms = *due_ms;
                }
            }
            Step::InParts(key, due_ms, progress) => {
                if let Some(leg) = self.legs.get_mut(key) {
                    leg.stage = Stage::InParts;
                    leg.due_ms = *due_ms;
                    leg.progress = Some(progress.clone());
                }
            }
            Step::Part(key, leg) => {
                self.legs.insert(*key, leg.clone());
            }
            Step::Final(key) => {
                let leg = self.legs.remove(key);
                self.ended.extend(leg.map(|leg| (*key, leg)));
            }
            Step::Entry(id, entry, _) => {
                self.entries.insert(*id, entry.clone());
            }
            Step::Settled(id) => {
                self.entries.remove(id);
            }
            Step::Change(change) => {
                self.changes.push(change.clone());
                match &change.what {
                    What::Suppress { scope, origin, .. } => {
                        let found = self.opt_outs.entry((change.who, scope.clone())).or_default();
                        *found = found.with(Origins::of(*origin));
                    }
                    What::Lift { scope, origins } => {
                        let found = self.opt_outs.entry((change.who, scope.clone())).or_default();
                        *found = found.without(*origins);
                    }
                    _ => {}
                }
                self.opt_outs.retain(|_, origins| !origins.is_empty());
            }
        }
    }
}

/// What a spool holds.
pub(super) fn snapshot(spool: &Spool<FaultyDisk>) -> State {
    let (names, index) = (spool.names(), spool.index());
    let mut state = State::default();
    for (id, leg) in index.iter() {
        let carrier = leg.carrier.map_or("", |carrier| names.name(carrier));
        if !index.carrier_id(leg).is_empty() {
            let by_carrier = index.find_carrier_id(leg.carrier.unwrap(), index.carrier_id(leg));
            assert_eq!(by_carrier, Some(id));
        }
        assert_eq!(index.find(leg.message, leg.leg), Some(id));
        let leg_state = LegState {
            account: names.name(leg.account).to_owned(),
            envelope: leg.envelope.clone(),
            stage: leg.stage,
            attempts: leg.attempts,
            due_ms: leg.due_ms,
            carrier: carrier.to_owned(),
            carrier_id: index.carrier_id(leg).to_vec(),
            quote: index.quote(id),
            progress: index.progress(id).cloned(),
        };
        let twice = state.legs.insert((leg.message, leg.leg), leg_state);
        assert_eq!(twice, None, "a leg twice");
    }
    for account in ACCOUNTS {
        let Some(name) = names.find(account) else { continue };
        for (slots, is_month) in spool.usage.slots(name).into_iter().zip([false, true]) {
            if !slots.is_empty() {
                state.used.insert((account.to_owned(), is_month), slots);
            }
        }
    }
    for entry in spool.outbox().iter() {
        let account = names.name(entry.account).to_owned();
        let twice = state
            .entries
            .insert(entry.id, (account, entry.kind, entry.expires_ms));
        assert_eq!(twice, None, "an entry twice");
    }
    let standing = spool.standing();
    for (who, stand) in standing.opt_outs().iter() {
        let scope = standing.scopes().scope(stand.scope).unwrap().clone();
        let twice = state.opt_outs.insert((who, scope), stand.origins);
        assert_eq!(twice, None, "an opt-out twice");
    }
    assert_eq!(standing.opt_outs().len(), state.opt_outs.len());
    assert_eq!(
        (index.len(), spool.outbox().len()),
        (state.legs.len(), state.entries.len())
    );
    state
}
