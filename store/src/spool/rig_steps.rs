//! Steps of the [rig](super::rig): each is staged with the spool, and noted for the model.

use std::num::NonZeroU32;

use rand_core::Rng;
use tidegate_codec::identity::SystemId;
use tidegate_codec::message_id::MessageIdText;
use tidegate_codec::values::MessageState;

use crate::index::{Leg, LegId};
use crate::message_id::MessageId;
use crate::names::NameId;
use crate::outbox::EntryId;
use crate::progress::{Outcome, Progress};
use crate::quote::Quote;
use crate::record::{EntryKind, Envelope, Form, Sink, Stage};
use crate::standing::{Change, Origin, Origins, Private, Scope, Via, What};
use crate::testing::envelope;

use super::rig::{ACCOUNTS, CARRIERS, Rig, period};
use super::rig_model::{LegState, Step};
use super::{ChangedLeg, Ending, Keeps, NewEntry, NewLeg, NewPart, Refused};

impl Rig {
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
}
