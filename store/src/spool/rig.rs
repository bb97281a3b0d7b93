//! The driver of the spool's tests: a spool on a disk in memory with its keeper, and beside them a model of
//! what was promised, which every start is held against.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use tidegate_codec::identity::SystemId;
use tidegate_codec::message_id::MessageIdText;
use tidegate_codec::values::MessageState;

use crate::disk::FaultyDisk;
use crate::history::held::{Record, held, plan};
use crate::index::{Leg, LegId};
use crate::keyring::{Kek, KeyRing, Owner};
use crate::message_id::MessageId;
use crate::names::NameId;
use crate::outbox::EntryId;
use crate::progress::{Outcome, Progress};
use crate::pseudonym::Pseudonym;
use crate::quote::Quote;
use crate::record::{EntryKind, Envelope, Form, Sink, Stage};
use crate::seal::Purpose;
use crate::segment::{Found, Scan};
use crate::standing::{self, Change, Origin, Origins, Private, Scope, Via, What};
use crate::testing::envelope;
use crate::usage::Period;

use super::{
    Begin, ChangedLeg, ChoreDone, CommitDone, CommitOutcome, Ending, Finished, Keeper, Keeps, NewEntry,
    NewLeg, NewPart, Options, Recovered, Refused, Spool, Target,
};

pub(super) const NOW: u64 = 1_800_000_000_000;
pub(super) const SEGMENT: u64 = 8 * 1024;
pub(super) const ACCOUNTS: [&str; 3] = ["load", "bank", "shop"];
pub(super) const CARRIERS: [&str; 2] = ["sink", "other"];

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

/// See the [module](self).
pub(super) struct Rig {
    pub(super) disk: FaultyDisk,
    pub(super) options: Options,
    pub(super) spool: Spool<FaultyDisk>,
    pub(super) keeper: Keeper<FaultyDisk>,
    pub(super) found: Recovered,
    pub(super) rng: ChaCha20Rng,
    pub(super) now_ms: u64,
    /// What was promised.
    pub(super) synced: State,
    /// What is on its way, and what is staged behind it.
    pub(super) committing: Vec<Step>,
    pub(super) staged: Vec<Step>,
    /// What every leg and entry ever had as its body; those that replaced one another by their priority.
    pub(super) bodies: BTreeMap<(MessageId, u16, u8), Vec<u8>>,
    pub(super) highest: MessageId,
    /// What is kept of accounts' finished messages.
    pub(super) keeps: Vec<(&'static str, Keeps)>,
}

pub(super) fn options() -> Options {
    Options {
        dir: PathBuf::from("/data/spool"),
        node: 7,
        segment_size: SEGMENT,
        limit: 1000 * SEGMENT,
        reserve_segments: 4,
        max_legs: 100_000,
        waiting_dir: "/data/waiting".into(),
        outbox_dir: "/data/outbox".into(),
        usage_dir: "/data/usage".into(),
        standing_dir: "/data/standing".into(),
        history_dir: "/data/history".into(),
        history_index: None,
        accept_damage: false,
        receipt_hot_ms: 600_000,
    }
}

/// The day and, for a month, 30 days.
pub(super) fn period(now_ms: u64) -> Period {
    let day = u32::try_from(now_ms / 86_400_000).unwrap();
    Period { day, month: day / 30 }
}

pub(super) fn kek() -> Kek {
    let mut rng = ChaCha20Rng::seed_from_u64(7);
    Kek::create(&FaultyDisk::new(), Path::new("kek"), &mut rng).unwrap()
}

impl Rig {
    pub(super) fn new(seed: u64) -> Self {
        Self::with(seed, options())
    }

    pub(super) fn with(seed: u64, options: Options) -> Self {
        let disk = FaultyDisk::new();
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let keys = Path::new("/keys");
        let ring = KeyRing::create(&disk, keys, kek(), NOW, &mut rng).unwrap();
        let (spool, keeper, found) = Spool::open(disk.clone(), options.clone(), ring, NOW, &mut rng).unwrap();
        Self {
            disk,
            options,
            spool,
            keeper,
            found,
            rng,
            now_ms: NOW,
            synced: State::default(),
            committing: Vec::new(),
            staged: Vec::new(),
            bodies: BTreeMap::new(),
            highest: MessageId(0),
            keeps: Vec::new(),
        }
    }

    /// What the history holds.
    pub(super) fn filed(&mut self) -> Vec<Record> {
        held(
            &mut self.keeper.history,
            &self.keeper.ring,
            &["load", "bank", "shop"],
        )
    }

    /// Says what is kept, and again after every start.
    pub(super) fn keep(&mut self, keeps: &[(&'static str, Keeps)]) {
        self.keeps = keeps.to_vec();
        for (account, keeps) in keeps {
            let account = self.spool.intern(account).unwrap();
            self.spool.set_keeps(account, *keeps);
        }
        self.spool.set_plan(Arc::new(plan));
    }

    pub(super) fn below(&mut self, n: u32) -> u32 {
        self.rng.next_u32() % n.max(1)
    }

    pub(super) fn one_in(&mut self, n: u32) -> bool {
        self.below(n) == 0
    }

    pub(super) fn rng_bit(&mut self) -> u8 {
        self.rng.next_u32().to_be_bytes()[0] & 1
    }

    /// One of some, by chance.
    pub(super) fn pick<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        let at = self.below(u32::try_from(from.len()).unwrap()) as usize;
        from.get(at).cloned()
    }

    // ===== steps =====

    pub(super) fn accept(&mut self) -> Result<LegId, Refused> {
        let len = 20 + self.below(160);
        self.accept_body(&vec![b'x'; len as usize])
    }

    pub(super) fn accept_body(&mut self, text: &[u8]) -> Result<LegId, Refused> {
        self.accept_leg(text, (false, false))
    }

    /// Accepts a leg that waits for its release.
    pub(super) fn accept_held(&mut self) -> Result<LegId, Refused> {
        self.accept_leg(b"held", (false, true))
    }

    /// Releases it.
    pub(super) fn release(&mut self, leg: LegId) -> Result<Option<LegId>, Refused> {
        let key = self.key(leg);
        let due_ms = self.now_ms + u64::from(self.below(9000));
        let body = self.bodies[&(key.0, key.1, 0)].clone();
        let new = self
            .spool
            .release(self.now_ms, leg, due_ms, &body, &mut self.rng)?;
        assert!(self.spool.index().get(leg).is_none());
        self.staged.push(Step::Release(key, due_ms));
        Ok(new)
    }

    pub(super) fn is_held(&self, leg: LegId) -> bool {
        let leg = self.spool.index().get(leg);
        leg.is_some_and(|leg| leg.stage == Stage::Held)
    }

    /// Accepts a leg that takes the place of another, which is settled with it.
    pub(super) fn accept_instead(&mut self, of: LegId, dlr: Option<u32>) -> Result<LegId, Refused> {
        let new = self.accept_leg(b"instead", (true, false))?;
        self.settle(of, dlr)?;
        Ok(new)
    }

    fn accept_leg(&mut self, text: &[u8], (takes_a_place, held): (bool, bool)) -> Result<LegId, Refused> {
        let account = ACCOUNTS[self.below(3) as usize];
        let id = self.spool.next_id(self.now_ms);
        let leg = u16::try_from(self.below(2)).unwrap();
        let due_ms = self.now_ms + u64::from(self.below(5000));
        let envelope = Envelope {
            accepted_ms: self.now_ms,
            parts: 1 + u8::try_from(id.0 % 3).unwrap(),
            ..envelope()
        };
        let quote = self.any_quote();
        let mut body = text.to_vec();
        body.extend_from_slice(&id.0.to_be_bytes());
        let system_id = SystemId::new(account.as_bytes()).unwrap();
        let new = NewLeg {
            id,
            leg,
            account: system_id,
            envelope: envelope.clone(),
            due_ms,
            quote,
            body: &body,
            period: period(self.now_ms),
            takes_a_place,
            held,
        };
        let found = self.spool.accept(self.now_ms, new, &mut self.rng)?;
        let state = LegState {
            account: account.to_owned(),
            envelope,
            stage: if held { Stage::Held } else { Stage::Waiting },
            attempts: 0,
            due_ms,
            carrier: String::new(),
            carrier_id: Vec::new(),
            quote,
            progress: None,
        };
        self.bodies.insert((id, leg, 0), body);
        self.staged.push(Step::Accept((id, leg), state, !takes_a_place));
        Ok(found)
    }

    /// Most accounts ask for none.
    fn any_quote(&mut self) -> Quote {
        let len = self.below(40).saturating_sub(19);
        Quote::of((0..len).map(|_| b'q'))
    }

    pub(super) fn key(&self, leg: LegId) -> (MessageId, u16) {
        let leg = self.spool.index().get(leg).unwrap();
        (leg.message, leg.leg)
    }

    pub(super) fn hand_over(&mut self, leg: LegId) -> Result<(), Refused> {
        if self.is_in_parts(leg) {
            return self.go_in_parts(leg);
        }
        let key = self.key(leg);
        let carrier = CARRIERS[self.below(2) as usize];
        let carrier_id = format!("c{:x}.{}", key.0.0, key.1 >> 8).into_bytes();
        let deadline_ms = self.now_ms + 60_000 + u64::from(self.below(5000));
        let name = self.spool.intern(carrier).unwrap();
        let text = MessageIdText::new(&carrier_id).unwrap();
        self.spool
            .hand_over(self.now_ms, leg, name, text, deadline_ms, &mut self.rng)?;
        self.staged
            .push(Step::HandOver(key, carrier.to_owned(), carrier_id, deadline_ms));
        Ok(())
    }

    pub(super) fn retry(&mut self, leg: LegId) -> Result<(), Refused> {
        if self.is_in_parts(leg) {
            return Ok(());
        }
        let key = self.key(leg);
        let (due_ms, counts) = (self.now_ms + u64::from(self.below(9000)), self.one_in(2));
        self.spool
            .retry(self.now_ms, leg, due_ms, counts, &mut self.rng)?;
        self.staged.push(Step::Retry(key, due_ms, counts));
        Ok(())
    }

    /// Cuts a waiting leg into parts, or says that one more of its parts has ended.
    pub(super) fn go_in_parts(&mut self, leg: LegId) -> Result<(), Refused> {
        let key = self.key(leg);
        let found = self.spool.index().get(leg).unwrap().clone();
        let due_ms = self.now_ms + 1_000_000;
        match (found.stage, self.spool.index().progress(leg).cloned()) {
            (Stage::InParts, Some(progress)) => {
                let progress = Progress {
                    ended: progress.ended.saturating_add(1),
                    so_far: Some(Outcome {
                        state: MessageState::Undeliverable,
                        err: b"011"[..].into(),
                        network_error: None,
                        done_ms: Some(self.now_ms),
                    }),
                    ..progress
                };
                let urgent = self.one_in(2);
                let new =
                    self.spool
                        .set_progress(self.now_ms, leg, progress.clone(), urgent, &mut self.rng)?;
                let stays = self.keeps_of(&found).body;
                assert!(new.is_some() && self.spool.index().get(leg).is_some() == stays);
                self.staged.push(Step::InParts(key, found.due_ms, progress));
            }
            (Stage::Waiting, None) if found.part().is_none() => {
                let total = 1 + u8::try_from(self.below(3)).unwrap();
                let bodies: Vec<Vec<u8>> = (0..total).map(|part| vec![part; 60]).collect();
                let parts: Vec<NewPart<'_>> = bodies
                    .iter()
                    .map(|body| NewPart {
                        registered_delivery: total,
                        body,
                    })
                    .collect();
                let body = self.bodies[&(key.0, key.1, found.envelope.priority)].clone();
                let legs = self
                    .spool
                    .cut(self.now_ms, leg, due_ms, &parts, &body, &mut self.rng)?;
                assert_eq!(legs.len(), bodies.len());
                self.staged.push(Step::InParts(key, due_ms, Progress::of(total)));
                for (part, body) in legs.into_iter().zip(bodies) {
                    let (id, number) = self.key(part);
                    let envelope = self.spool.index().get(part).unwrap().envelope.clone();
                    self.bodies.insert((id, number, envelope.priority), body);
                    let state = LegState {
                        account: self.spool.names().name(found.account).to_owned(),
                        envelope,
                        stage: Stage::Waiting,
                        attempts: found.attempts,
                        due_ms: found.envelope.accepted_ms,
                        carrier: String::new(),
                        carrier_id: Vec::new(),
                        quote: Quote::NONE,
                        progress: None,
                    };
                    self.staged.push(Step::Part((id, number), state));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// What is kept of a leg's account.
    pub(super) fn keeps_of(&self, leg: &Leg) -> Keeps {
        let name = self.spool.names().name(leg.account);
        let found = self.keeps.iter().find(|(account, _)| *account == name);
        found.map_or(Keeps::default(), |(_, keeps)| *keeps)
    }

    fn is_in_parts(&self, leg: LegId) -> bool {
        self.spool.index().progress(leg).is_some()
    }

    /// Gives a waiting leg another body, and another priority to know it by.
    pub(super) fn replace(&mut self, leg: LegId) -> Result<Option<LegId>, Refused> {
        let key = self.key(leg);
        let found = self.spool.index().get(leg).unwrap();
        if found.stage != Stage::Waiting || found.envelope.priority == u8::MAX {
            return Ok(None);
        }
        let mut envelope = found.envelope.clone();
        envelope.priority += 1;
        let due_ms = self.now_ms + u64::from(self.below(9000));
        let body = vec![b'r'; 10 + self.below(200) as usize];
        let quote = self.any_quote();
        let changed = ChangedLeg {
            envelope: envelope.clone(),
            due_ms,
            quote,
            body: &body,
        };
        let new = self.spool.replace(self.now_ms, leg, changed, &mut self.rng)?;
        assert!(new.is_some() && self.spool.index().get(leg).is_none());
        self.bodies.insert((key.0, key.1, envelope.priority), body);
        self.staged.push(Step::Replace(key, envelope, due_ms, quote));
        Ok(new)
    }

    /// Ends a leg; with a DLR whose body has so many octets.
    pub(super) fn settle(&mut self, leg: LegId, dlr: Option<u32>) -> Result<(), Refused> {
        let key = self.key(leg);
        let expires_ms = self.now_ms + 1_000_000;
        let body = vec![b'd'; dlr.unwrap_or(0) as usize];
        let entry = NewEntry {
            kind: EntryKind::Dlr,
            sink: Sink::Bind,
            form: Form::Sm,
            expires_ms,
            document: &[],
            body: &body,
        };
        let ending = Ending {
            state: MessageState::Delivered,
            at_ms: self.now_ms,
        };
        let dlr = dlr.map(|_| &entry);
        let urgent = self.rng.next_u32() & 1 == 0;
        let (was, made) = self
            .spool
            .settle(self.now_ms, leg, ending, dlr, urgent, &mut self.rng)?
            .unwrap();
        assert_eq!((was.message, was.leg), key);
        self.staged.push(Step::Final(key));
        if let Some(made) = made {
            self.note_entry(made, &body, false);
        }
        Ok(())
    }

    pub(super) fn deliver(&mut self, len: u32) -> Result<EntryId, Refused> {
        let account = ACCOUNTS[self.below(3) as usize];
        let body = vec![b'm'; len as usize];
        let entry = NewEntry {
            kind: EntryKind::Mo,
            sink: Sink::BindOf(NonZeroU32::MIN),
            form: Form::DataSm,
            expires_ms: self.now_ms + 1_000_000,
            document: &[],
            body: &body,
        };
        let system_id = SystemId::new(account.as_bytes()).unwrap();
        let made = self
            .spool
            .deliver(self.now_ms, system_id, &entry, &mut self.rng)?;
        self.note_entry(made, &body, true);
        Ok(made)
    }

    /// Somebody opts out, or in again.
    pub(super) fn remember(&mut self) -> Result<(), Refused> {
        let account = ACCOUNTS[self.below(3) as usize];
        let number = format!("1555010{}", self.below(4)).into_bytes();
        let scope = match self.below(3) {
            0 => Scope::account(account),
            1 => Scope::pool(account, "one"),
            _ => Scope::sender(b"55555"),
        };
        let origin = Origin::ALL[self.below(4) as usize];
        let what = if self.one_in(3) {
            let origins = Origins::of(origin);
            What::Lift { scope, origins }
        } else {
            let categories = 0;
            What::Suppress {
                scope,
                origin,
                categories,
            }
        };
        let change = Change {
            who: self.keeper.ring().pseudonyms().unwrap().suppression().of(&number),
            at_ms: self.now_ms,
            event: 0,
            via: Via::Message,
            what,
            private: Private::number(&number),
        };
        let account = SystemId::new(account.as_bytes()).unwrap();
        let urgent = self.one_in(2);
        self.spool
            .remember(self.now_ms, account, change.clone(), urgent, &mut self.rng)?;
        self.staged.push(Step::Change(change));
        Ok(())
    }

    /// What the journal holds, read as a command does.
    pub(super) fn journaled(&self) -> Vec<Change> {
        let keys = KeyRing::look(&self.disk, Path::new("/keys"), &kek().into()).unwrap();
        let mut changes = Vec::new();
        let dir = &self.options.standing_dir;
        let damaged = standing::look(&self.disk, dir, &keys, Purpose::Support, |_, _, change| {
            changes.push(change);
        });
        assert_eq!(damaged.unwrap(), 0);
        changes
    }

    fn note_entry(&mut self, made: EntryId, body: &[u8], intake: bool) {
        let entry = self.spool.outbox().get(made).unwrap();
        let account = self.spool.names().name(entry.account).to_owned();
        self.bodies.insert((entry.id, 0, 0), body.to_vec());
        self.staged.push(Step::Entry(
            entry.id,
            (account, entry.kind, entry.expires_ms),
            intake,
        ));
    }

    pub(super) fn fetched(&mut self, entry: EntryId) -> Result<(), Refused> {
        let id = self.spool.outbox().get(entry).unwrap().id;
        self.spool.fetched(self.now_ms, entry, &mut self.rng)?;
        self.staged.push(Step::Settled(id));
        Ok(())
    }

    /// Takes and settles everything that waits for anybody.
    pub(super) fn fetch_all(&mut self) -> usize {
        let mut count = 0;
        for account in ACCOUNTS {
            let account = self.spool.intern(account).unwrap();
            while let Some(entry) = self.take_entry(account) {
                self.fetched(entry).unwrap();
                count += 1;
            }
        }
        count
    }

    /// Takes the oldest entry of an account, for whichever sink.
    pub(super) fn take_entry(&mut self, account: NameId) -> Option<EntryId> {
        let sink = self.spool.next_sink(account, &[])?;
        self.spool.take_entry(account, sink)
    }

    /// Durable legs.
    pub(super) fn legs(&self) -> Vec<LegId> {
        let index = self.spool.index();
        let is_written = |id: &LegId| index.get(*id).is_some_and(|leg| leg.at.segment() != 0);
        let durable = |id: &LegId| is_written(id) && self.synced.legs.contains_key(&self.key(*id));
        let all = self.spool.index().iter().map(|(id, _)| id);
        let mut legs: Vec<LegId> = all.filter(durable).collect();
        legs.sort_by_key(|id| self.key(*id));
        legs
    }

    // ===== turns =====

    pub(super) fn begin(&mut self) -> Begin<FaultyDisk> {
        let begin = self.spool.begin_commit(self.now_ms);
        if let Begin::Commit(_) = &begin {
            self.committing = std::mem::take(&mut self.staged);
        }
        begin
    }

    pub(super) fn finish(&mut self, done: CommitDone<FaultyDisk>) -> CommitOutcome {
        let outcome = self.spool.finish_commit(done);
        match outcome {
            CommitOutcome::Synced => {
                for step in self.committing.drain(..) {
                    self.synced.apply(&step);
                    if let Step::Accept((id, _), ..) | Step::Entry(id, _, _) = step {
                        self.highest = self.highest.max(id);
                    }
                }
            }
            CommitOutcome::Full => {
                let is_intake = |step: &Step| {
                    matches!(
                        step,
                        Step::Accept(_, _, true) | Step::Entry(_, _, true) | Step::Change(_)
                    )
                };
                let mut steps: Vec<Step> = self
                    .committing
                    .drain(..)
                    .filter(|step| !is_intake(step))
                    .collect();
                steps.append(&mut self.staged);
                self.staged = steps;
            }
            CommitOutcome::Broken => {}
        }
        outcome
    }

    /// Commits what is staged; `None` if there was nothing, or no segment for it.
    pub(super) fn commit(&mut self) -> Option<CommitOutcome> {
        match self.begin() {
            Begin::Commit(commit) => Some(self.finish(commit.run())),
            Begin::Nothing | Begin::NoSegment => None,
        }
    }

    /// Runs chores until none is left; what they said. Nothing but a commit may be needed between two.
    pub(super) fn chores(&mut self) -> Vec<Finished> {
        let mut finished = Vec::new();
        while let Some(chore) = self.spool.next_chore(self.now_ms) {
            let done = self.keeper.run(chore, &mut self.rng);
            finished.push(self.done(done));
            assert!(finished.len() < 1000, "chores go round and round");
        }
        finished
    }

    pub(super) fn done(&mut self, done: ChoreDone<FaultyDisk>) -> Finished {
        self.spool.chore_done(done, self.now_ms)
    }

    /// Turns until there is neither anything staged nor a chore.
    pub(super) fn settle_down(&mut self) {
        for _ in 0..10_000 {
            let chores = self.chores().len();
            if self.commit().is_none() && chores == 0 {
                return;
            }
            self.now_ms += 10;
        }
        panic!("it never comes to rest");
    }

    /// A turn: commit, chores.
    pub(super) fn turn(&mut self) -> Option<CommitOutcome> {
        self.now_ms += 10;
        let outcome = self.commit();
        self.chores();
        outcome
    }

    // ===== ends and starts =====

    /// A process that was killed: what was written is in the system's cache.
    pub(super) fn kill(self) -> Self {
        let disk = self.disk.clone();
        self.start_on(disk)
    }

    /// A power cut that kept nothing unsynced.
    pub(super) fn crash(self) -> Self {
        let disk = self.disk.crash();
        self.start_on(disk)
    }

    /// A power cut that kept some of it.
    pub(super) fn crash_by_chance(mut self) -> Self {
        let disk = self.disk.crash_with(&mut self.rng);
        self.start_on(disk)
    }

    /// The same while a commit is not written, written and not synced, synced and not heard of, or synced: by the seed.
    pub(super) fn crash_in_commit(mut self, seed: u64) -> Self {
        if seed % 4 == 1 {
            let (sync, other) = (crate::disk::Op::Sync, std::io::ErrorKind::Other);
            self.disk.fail_on(sync, "spool", 0, 2, other);
        }
        if !seed.is_multiple_of(4) {
            let Begin::Commit(commit) = self.begin() else {
                panic!("nothing to commit")
            };
            let done = commit.run();
            if seed % 4 != 2 {
                self.finish(done);
            }
        }
        self.crash_by_chance()
    }

    /// Starts on a disk as it was found, and holds what is there against the model.
    pub(super) fn start_on(self, disk: FaultyDisk) -> Self {
        let rig = self.start_unchecked(disk);
        assert!(!rig.found.is_alarming(), "{:?}", rig.found);
        rig
    }

    pub(super) fn start_unchecked(mut self, disk: FaultyDisk) -> Self {
        let committing = std::mem::take(&mut self.committing);
        let mut rig = self.reopen(disk);
        if !rig.found.is_alarming() {
            rig.check_state(&committing);
        }
        rig.check_counts();
        rig
    }

    /// Starts on a disk as it was found; the model is not asked.
    pub(super) fn reopen(self, disk: FaultyDisk) -> Self {
        let Self {
            options,
            mut rng,
            now_ms,
            synced,
            bodies,
            highest,
            keeps,
            spool,
            keeper,
            ..
        } = self;
        drop((spool, keeper));
        disk.heal();
        let ring = KeyRing::open(&disk, Path::new("/keys"), kek()).unwrap();
        let (spool, keeper, found) =
            Spool::open(disk.clone(), options.clone(), ring, now_ms, &mut rng).unwrap();
        let mut rig = Self {
            disk,
            options,
            spool,
            keeper,
            found,
            rng,
            now_ms,
            synced,
            committing: Vec::new(),
            staged: Vec::new(),
            bodies,
            highest,
            keeps: Vec::new(),
        };
        rig.keep(&keeps);
        rig
    }

    /// Whether the spool opens with the options as they are now.
    pub(super) fn try_open(&mut self) -> Result<Recovered, super::OpenError> {
        let ring = KeyRing::open(&self.disk, Path::new("/keys"), kek()).unwrap();
        let options = self.options.clone();
        Spool::open(self.disk.clone(), options, ring, self.now_ms, &mut self.rng).map(|(_, _, found)| found)
    }

    /// What a start would find on a disk, and what would live where; this spool stays as it is.
    pub(super) fn look(&self, disk: &FaultyDisk) -> (State, Vec<(u64, u32, u64)>, Recovered) {
        let ring = KeyRing::open(disk, Path::new("/keys"), kek()).unwrap();
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let options = self.options.clone();
        let (spool, _, found) = Spool::open(disk.clone(), options, ring, self.now_ms, &mut rng).unwrap();
        let lives = spool.segments.iter();
        let lives = lives.map(|(number, segment)| (number, segment.live(), segment.live_octets()));
        let lives = lives.filter(|(_, live, _)| *live > 0).collect();
        (snapshot(&spool), lives, found)
    }

    /// What the spool holds is what was promised; of a batch whose end nobody heard of, all or nothing.
    fn check_state(&mut self, committing: &[Step]) {
        let found = self.snapshot();
        // A batch of changes that change nothing shows only in how many there are.
        let on_disk = usize::try_from(self.found.standing).unwrap() + self.spool.standing().waiting();
        if !found.is_like(&self.synced) || on_disk > self.synced.changes.len() {
            let mut whole = self.synced.clone();
            committing.iter().for_each(|step| whole.apply(step));
            self.assert_same(&found, &whole);
            self.synced = whole;
        }
        let id = self.spool.next_id(0);
        let highest = self
            .synced
            .legs
            .keys()
            .map(|(id, _)| *id)
            .chain(self.synced.entries.keys().copied())
            .fold(self.highest, Ord::max);
        assert!(id > highest, "an id again: {id:?}, {highest:?}");
        for (line, queue) in self.spool.outbox().queues() {
            assert!(queue.is_sorted(), "the order of {line:?}");
        }
    }

    pub(super) fn assert_same(&self, found: &State, expected: &State) {
        for (key, leg) in &expected.legs {
            assert_eq!(found.legs.get(key), Some(leg), "leg {key:?}");
        }
        for (id, entry) in &expected.entries {
            assert_eq!(found.entries.get(id), Some(entry), "entry {id:?}");
        }
        assert_eq!(found.used, expected.used, "used parts");
        assert_eq!(found.opt_outs, expected.opt_outs, "opt-outs");
        for key in found.legs.keys() {
            assert!(expected.legs.contains_key(key), "leg {key:?} came back");
        }
        for id in found.entries.keys() {
            assert!(expected.entries.contains_key(id), "entry {id:?} came back");
        }
    }

    /// Lets everything be filed and synced, and looks what the history got: each finished leg of an account that keeps
    /// something once, with its body where that is kept, and nothing else.
    pub(super) fn check_history(&mut self, context: &str) {
        self.disk.heal();
        for _ in 0..100 {
            self.settle_down();
            self.now_ms += 2_000;
            if self.spool.history().unfiled == 0 && self.commit().is_none() {
                break;
            }
        }
        self.now_ms += 61_000;
        self.settle_down();
        let records = self.filed();
        let mut filed = BTreeMap::new();
        for record in &records {
            let twice = filed.insert((record.id, record.leg), record);
            assert_eq!(twice, None, "filed twice, {context}");
        }
        for (key, leg) in &self.synced.ended {
            let keeps = self.keeps.iter().find(|(account, _)| *account == leg.account);
            let Some((_, keeps)) = keeps.filter(|(_, keeps)| (keeps.meta || keeps.body) && key.1 < 256)
            else {
                continue;
            };
            let Some(record) = filed.remove(key) else {
                panic!("{key:?} of {} was not filed, {context}", leg.account)
            };
            let carrier = (&record.carrier, &record.carrier_id);
            assert_eq!(carrier, (&leg.carrier, &leg.carrier_id), "{key:?}, {context}");
            assert_eq!(record.state, MessageState::Delivered);
            let body = &self.bodies[&(key.0, key.1, leg.envelope.priority)];
            let expected = keeps.body.then_some(body);
            assert_eq!(record.body.as_ref(), expected, "the body of {key:?}, {context}");
        }
        assert!(filed.is_empty(), "filed for nothing, {context}: {filed:?}");
    }

    // ===== what is there =====

    pub(super) fn snapshot(&self) -> State {
        snapshot(&self.spool)
    }

    /// Running counts against a recount; keys against the files.
    pub(super) fn check_counts(&self) {
        let spool = &self.spool;
        let (mut octets, mut live_octets) = (0, 0);
        let mut keys = BTreeSet::new();
        for (number, segment) in spool.segments.iter() {
            let legs = spool.index.in_segment(number).map(|(_, leg)| leg.weight);
            let entries = spool.outbox.in_segment(number).map(|(_, entry)| entry.at.len);
            let weights: Vec<u64> = legs.chain(entries).map(u64::from).collect();
            assert_eq!(segment.live() as usize, weights.len(), "what lives in {number}");
            assert_eq!(segment.live_octets(), weights.iter().sum::<u64>(), "its octets");
            octets += segment.octets();
            live_octets += segment.live_octets();
            keys.extend(segment.keys.iter().copied());
            for key in self.keys_in(number) {
                assert!(
                    segment.keys.contains(&key),
                    "segment {number} does not know key {key}"
                );
                assert!(
                    self.keeper.ring().get(key).is_some(),
                    "key {key} is gone, its records are not"
                );
            }
        }
        assert_eq!(spool.segments.octets(), octets);
        assert_eq!(spool.segments.live_octets(), live_octets);
        keys.insert(spool.active.key.id());
        keys.extend(spool.next.iter().map(|next| next.key.id()));
        for key in self.keeper.ring().live(Owner::Spool) {
            assert!(keys.contains(&key), "key {key} is kept for nothing");
        }
        let files = self.files().len();
        assert_eq!(files, spool.segments(), "segments that exist");
        let held = spool.index.held();
        let mut expected: Vec<(MessageId, u16)> = spool
            .index
            .iter()
            .filter(|(_, leg)| leg.stage == Stage::Held)
            .map(|(_, leg)| (leg.message, leg.leg))
            .collect();
        expected.sort_unstable();
        let mut listed: Vec<(MessageId, u16)> = held
            .accounts()
            .flat_map(|account| held.of(account, (MessageId(0), 0)))
            .collect();
        listed.sort_unstable();
        assert_eq!((held.len(), listed), (expected.len(), expected), "what is held");
    }

    pub(super) fn files(&self) -> Vec<PathBuf> {
        let mut paths = self.disk.paths();
        paths.retain(|path| path.starts_with("/data/spool"));
        paths
    }

    pub(super) fn file(&self, number: u64) -> PathBuf {
        self.options.dir.join(crate::segment::file_name(number))
    }

    fn keys_in(&self, number: u64) -> BTreeSet<crate::seal::KeyId> {
        let mut octets = self.disk.octets(&self.file(number)).unwrap_or_default();
        let batches: Vec<Found> = Scan::new(&octets, number).collect();
        let mut keys = BTreeSet::new();
        for found in batches {
            let Found::Batch { header, at } = found else {
                continue;
            };
            let mut records = &mut octets[at..at + header.len as usize];
            while let Some((raw, rest)) = crate::record::cut(records) {
                keys.extend(raw.ok().and_then(|raw| raw.key()));
                records = rest;
            }
        }
        keys
    }

    /// Bodies of all durable entries and waiting legs as the keeper reads them.
    pub(super) fn check_bodies(&mut self) {
        let mut targets = Vec::new();
        let mut expected = Vec::new();
        for (id, leg) in self.spool.index().iter() {
            let key = (leg.message, leg.leg);
            if leg.stage.is_ahead() && self.synced.legs.contains_key(&key) {
                targets.push(Target::Leg(id));
                expected.push(self.bodies[&(key.0, key.1, leg.envelope.priority)].clone());
            }
        }
        for entry in self.spool.outbox().iter() {
            if self.synced.entries.contains_key(&entry.id) {
                targets.push(Target::Entry(self.spool.outbox().find(entry.id).unwrap()));
                expected.push(self.bodies[&(entry.id, 0, 0)].clone());
            }
        }
        let Some(chore) = self.spool.read_back(targets) else {
            return;
        };
        let done = self.keeper.run(chore, &mut self.rng);
        let Finished::Read(found) = self.done(done) else {
            panic!("not read")
        };
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert_eq!(found.body.as_ref(), Ok(&expected));
            assert!(self.spool.is_at(found));
        }
    }
}

fn snapshot(spool: &Spool<FaultyDisk>) -> State {
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
