//! What stages something: intake and progress.

use rand_core::CryptoRng;
use tidegate_codec::identity::SystemId;
use tidegate_codec::message_id::MessageIdText;

use crate::disk::Disk;
use crate::index::{Leg, LegId, Location};
use crate::message_id::MessageId;
use crate::names::NameId;
use crate::outbox::{Entry, EntryId};
use crate::record::{
    self, EntryRecord, Final, FinalMoved, HandedOver, Head, Kind, LegRecord, Payload, Retry, Stage,
};

use super::staging::{Part, Staged, StepItem};
use super::{ChangedLeg, Ending, NewEntry, NewLeg, Received, Refused, Spool, account_of, newest_key};
use crate::usage::Counted;
use crate::waiting::Mark;

impl<D: Disk> Spool<D> {
    // ===== intake =====

    /// A new message id, above every one given before, across restarts too.
    pub fn next_id(&mut self, now_ms: u64) -> MessageId {
        self.ids.next(now_ms)
    }

    /// Stages a new leg. It is in the index, leased, until the commit makes it durable; the caller hands it
    /// on only then.
    pub fn accept(
        &mut self,
        now_ms: u64,
        new: NewLeg<'_>,
        rng: &mut impl CryptoRng,
    ) -> Result<LegId, Refused> {
        self.intake()?;
        let NewLeg {
            id,
            leg,
            account,
            envelope,
            due_ms,
            quote,
            body,
            period,
            takes_a_place,
            held,
        } = new;
        let stage = if held { Stage::Held } else { Stage::Waiting };
        let name = self.names.intern(account.as_str()).ok_or(Refused::Full)?;
        let parts = envelope.parts;
        let record = LegRecord {
            envelope,
            stage,
            attempts: 0,
            due_ms,
            carrier: "",
            carrier_id: b"",
            quote,
            progress: None,
            body,
        };
        let head = Head {
            kind: Kind::Leg,
            id,
            leg,
            account,
        };
        let payload = Payload::Leg(record);
        let key = newest_key(&self.active, self.next.as_ref());
        let range = self.staging.write(&head, &payload, key, rng)?;
        let Payload::Leg(LegRecord { envelope, .. }) = payload else {
            return Err(Refused::Broken);
        };
        let id = self.index.insert(
            Leg {
                stage,
                ..Leg::staged(id, leg, name, envelope, 0, due_ms)
            },
            MessageIdText::default(),
        );
        self.index.set_quote(id, quote);
        let part = if takes_a_place { Part::Ending } else { Part::Intake };
        let parts = u64::from(parts);
        self.usage
            .stage(&mut self.staging.counted, name, Counted { period, parts }, part);
        self.staging.push(now_ms, Staged::Leg(id), part, range, true);
        Ok(id)
    }

    /// Stages an MO for an account. It joins the account's queue when it is durable.
    pub fn deliver(
        &mut self,
        now_ms: u64,
        account: SystemId,
        entry: &NewEntry<'_>,
        rng: &mut impl CryptoRng,
    ) -> Result<EntryId, Refused> {
        self.intake()?;
        let id = self.ids.next(now_ms);
        self.stage_entry(now_ms, (id, account), entry, Part::Intake, true, rng)
    }

    /// The same, and stages what the history is to hold of it.
    pub fn deliver_received(
        &mut self,
        now_ms: u64,
        account: SystemId,
        entry: &NewEntry<'_>,
        received: &Received<'_>,
        rng: &mut impl CryptoRng,
    ) -> Result<EntryId, Refused> {
        self.intake()?;
        let id = self.ids.next(now_ms);
        // First: nothing that the carrier is refused goes to the account.
        self.stage_received(now_ms, (id, account), received, rng)?;
        self.stage_entry(now_ms, (id, account), entry, Part::Intake, true, rng)
    }

    // ===== progress =====

    /// Notes that a leg is on a carrier link, or no longer. In memory only.
    pub fn set_leased(&mut self, leg: LegId, leased: bool) {
        self.index.set_leased(leg, leased);
    }

    /// Sets the date at which something happens to a leg next. In memory only: after a crash the date of its
    /// records counts again. The end of its validity says that it is in line: a copy of it is due at once.
    pub fn set_due(&mut self, leg: LegId, due_ms: u64) {
        self.index.set_due(leg, due_ms);
    }

    /// Stages that a carrier took the leg and waits for its receipt until `deadline_ms`. `carrier_id` is the
    /// canonical form under which the receipt will be looked up; the index knows it at once.
    pub fn hand_over(
        &mut self,
        now_ms: u64,
        leg: LegId,
        carrier: NameId,
        carrier_id: MessageIdText,
        deadline_ms: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<(), Refused> {
        self.may_progress()?;
        let Some(found) = self.index.take_over(leg) else {
            return Ok(());
        };
        found.attempts = found.attempts.saturating_add(1);
        found.revision = found.revision.wrapping_add(1);
        let (id, number, attempts, born, account) = (
            found.message,
            found.leg,
            found.attempts,
            found.born,
            found.account,
        );
        self.index.set_leased(leg, false);
        self.index.set_due(leg, deadline_ms);
        self.index.set_carrier(leg, carrier, carrier_id.clone());
        self.index.set_handed_over(leg, now_ms);
        self.reweigh(leg);
        let name = self.names.name(carrier);
        let step = HandedOver {
            carrier: name,
            carrier_id: carrier_id.as_bytes(),
            deadline_ms,
            attempts,
        };
        let head = Head {
            kind: Kind::HandedOver,
            id,
            leg: number,
            account: account_of(&self.names, account)?,
        };
        let key = newest_key(&self.active, self.next.as_ref());
        let range = self.staging.write(&head, &Payload::HandedOver(step), key, rng)?;
        let item = StepItem::HandedOver {
            id,
            leg: number,
            carrier,
            carrier_id,
            deadline_ms,
            attempts,
        };
        self.staging
            .push(now_ms, Staged::Step { born, item }, Part::Ending, range, false);
        Ok(())
    }

    /// Stages that a leg is to be tried again at `due_ms`. With `counts` the try that failed is counted.
    pub fn retry(
        &mut self,
        now_ms: u64,
        leg: LegId,
        due_ms: u64,
        counts: bool,
        rng: &mut impl CryptoRng,
    ) -> Result<(), Refused> {
        self.may_progress()?;
        let Some(found) = self.index.get_mut(leg) else {
            return Ok(());
        };
        found.attempts = found.attempts.saturating_add(u16::from(counts));
        found.revision = found.revision.wrapping_add(1);
        let step = Retry {
            due_ms,
            attempts: found.attempts,
        };
        let (id, number, born, account) = (found.message, found.leg, found.born, found.account);
        self.index.set_leased(leg, false);
        self.index.set_due(leg, due_ms);
        let range = self.write_step(Kind::Retry, id, number, account, &Payload::Retry(step), rng)?;
        let item = StepItem::Retry {
            id,
            leg: number,
            step,
        };
        self.staging
            .push(now_ms, Staged::Step { born, item }, Part::Ending, range, false);
        Ok(())
    }

    /// Stages that a held leg is held no longer, and waits until `due_ms`: the whole of it, with its body, so that from here on no
    /// record that says it is held is needed, and a program that knows none reads it. As with [`Spool::replace`] the new leg is
    /// leased until the commit makes that durable, so that nobody hands on what a crash would find held; `None` when it was not
    /// held.
    pub fn release(
        &mut self,
        now_ms: u64,
        leg: LegId,
        due_ms: u64,
        body: &[u8],
        rng: &mut impl CryptoRng,
    ) -> Result<Option<LegId>, Refused> {
        self.may_progress()?;
        let Some(found) = self.index.get(leg).filter(|leg| leg.stage == Stage::Held) else {
            return Ok(None);
        };
        let changed = ChangedLeg {
            envelope: found.envelope.clone(),
            due_ms,
            quote: self.index.quote(leg),
            body,
        };
        self.write_anew(now_ms, leg, Stage::Waiting, changed, rng)
    }

    /// Stages that a waiting leg is another from now on: its envelope, its date, its body. Message, number and tries
    /// stay; the [`LegId`] does not, so that whoever holds the old one finds nothing. The new leg is leased until the
    /// commit makes it durable. `None` when the leg had ended before.
    pub fn replace(
        &mut self,
        now_ms: u64,
        leg: LegId,
        changed: ChangedLeg<'_>,
        rng: &mut impl CryptoRng,
    ) -> Result<Option<LegId>, Refused> {
        self.may_progress()?;
        let Some(stage) = self.index.get(leg).map(|leg| leg.stage) else {
            return Ok(None);
        };
        self.write_anew(now_ms, leg, stage, changed, rng)
    }

    fn write_anew(
        &mut self,
        now_ms: u64,
        leg: LegId,
        stage: Stage,
        changed: ChangedLeg<'_>,
        rng: &mut impl CryptoRng,
    ) -> Result<Option<LegId>, Refused> {
        let ChangedLeg {
            envelope,
            due_ms,
            quote,
            body,
        } = changed;
        let Some(found) = self.index.get(leg) else {
            return Ok(None);
        };
        let (message, number, account) = (found.message, found.leg, found.account);
        let record = LegRecord {
            envelope,
            stage,
            attempts: found.attempts,
            due_ms,
            carrier: "",
            carrier_id: b"",
            quote,
            progress: None,
            body,
        };
        let payload = Payload::Leg(record);
        let range = self.write_step(Kind::Leg, message, number, account, &payload, rng)?;
        let (Payload::Leg(LegRecord { envelope, .. }), Some(old)) = (payload, self.index.remove(leg)) else {
            return Err(Refused::Broken);
        };
        self.segments.drain(old.at.segment(), old.weight, self.batch);
        let waiting = Leg {
            envelope,
            stage,
            due_ms,
            leased: true,
            at: Location::default(),
            weight: 0,
            ..old
        };
        let new = self.index.insert(waiting, MessageIdText::default());
        self.index.set_quote(new, quote);
        self.staging
            .push(now_ms, Staged::Leg(new), Part::Ending, range, true);
        Ok(Some(new))
    }

    /// The one place where a leg ends (P3): stages its final state and, in the same batch, the DLR. Returns
    /// the leg as it was and the entry; `None` when it had ended before.
    ///
    /// `urgent` says that a peer waits for the commit. A leg is settled only when it is durable, or its DLR
    /// could outlive an intake that is given back.
    pub fn settle(
        &mut self,
        now_ms: u64,
        leg: LegId,
        ending: Ending,
        dlr: Option<&NewEntry<'_>>,
        urgent: bool,
        rng: &mut impl CryptoRng,
    ) -> Result<Option<(Leg, Option<EntryId>)>, Refused> {
        self.may_progress()?;
        let kept = self.is_kept(leg);
        let Some(found) = self.index.remove(leg) else {
            return Ok(None);
        };
        self.segments.drain(found.at.segment(), found.weight, self.batch);
        let charge = u32::from(found.envelope.charge);
        let charged = ending.state != tidegate_codec::values::MessageState::Rejected;
        let end = Final {
            state: ending.state,
            at_ms: ending.at_ms,
            attempts: found.attempts,
            settled: if charged { charge } else { 0 },
            released: if charged { 0 } else { charge },
        };
        let (id, number) = (found.message, found.leg);
        let unfiled = kept.and_then(|kept| self.unfiled(leg, &found, end, kept));
        let mut back = None;
        let (range, item) = match self.waits.back.remove(&leg) {
            None => {
                let payload = Payload::Final(end);
                let range = self.write_step(Kind::Final, id, number, found.account, &payload, rng)?;
                let leg = number;
                (range, StepItem::Final { id, leg, unfiled })
            }
            Some(place) => {
                let (hour, hash) = (place.hour, place.hash);
                let payload = Payload::FinalMoved(FinalMoved { end, hour, hash });
                let range = self.write_step(Kind::FinalMoved, id, number, found.account, &payload, rng)?;
                let body = self.filing.take_body(leg);
                back = unfiled.map(|unfiled| (unfiled, body));
                let leg = number;
                let mark = Mark { id, leg, place };
                self.waits.end(&mark);
                (range, StepItem::FinalMoved(mark))
            }
        };
        self.staging.push(
            now_ms,
            Staged::Step {
                born: found.born,
                item,
            },
            Part::Ending,
            range,
            urgent,
        );
        // No record of it lies in a segment: this one holds all of it.
        if let Some((unfiled, body)) = back {
            self.stage_finished(now_ms, &found, unfiled, &body, rng)?;
        }
        let entry = match (dlr, SystemId::new(self.names.name(found.account).as_bytes())) {
            (Some(dlr), Ok(account)) => {
                let id = self.ids.next(now_ms);
                Some(self.stage_entry(now_ms, (id, account), dlr, Part::Ending, urgent, rng)?)
            }
            _ => None,
        };
        Ok(Some((found, entry)))
    }

    /// Stages that an entry was fetched or given up.
    pub fn fetched(&mut self, now_ms: u64, entry: EntryId, rng: &mut impl CryptoRng) -> Result<(), Refused> {
        self.may_progress()?;
        let Some(found) = self.outbox.remove(entry) else {
            return Ok(());
        };
        self.segments.drain(found.at.segment(), found.at.len, self.batch);
        let (id, account) = (found.id, found.account);
        let (range, item) = match self.settle_filed(entry, id) {
            None => {
                let range = self.write_step(Kind::Settled, id, 0, account, &Payload::Settled, rng)?;
                (range, StepItem::Settled { id })
            }
            Some((mark, place)) => {
                let payload = Payload::SettledMoved(place);
                let range = self.write_step(Kind::SettledMoved, id, 0, account, &payload, rng)?;
                (range, StepItem::SettledMoved(mark, place))
            }
        };
        self.staging.push(
            now_ms,
            Staged::Step {
                born: found.born,
                item,
            },
            Part::Ending,
            range,
            false,
        );
        Ok(())
    }

    // ===== inside =====

    fn stage_entry(
        &mut self,
        now_ms: u64,
        (id, account): (MessageId, SystemId),
        entry: &NewEntry<'_>,
        part: Part,
        urgent: bool,
        rng: &mut impl CryptoRng,
    ) -> Result<EntryId, Refused> {
        let name = self.names.intern(account.as_str()).ok_or(Refused::Full)?;
        let NewEntry {
            kind,
            sink,
            form,
            expires_ms,
            document,
            body,
        } = *entry;
        let record = EntryRecord {
            kind,
            sink,
            form,
            expires_ms,
            document,
            body,
        };
        let head = Head {
            kind: Kind::Entry,
            id,
            leg: 0,
            account,
        };
        let key = newest_key(&self.active, self.next.as_ref());
        let range = self.staging.write(&head, &Payload::Entry(record), key, rng)?;
        let entry = self.outbox.insert(Entry {
            id,
            account: name,
            kind,
            sink,
            form,
            expires_ms,
            at: Location::default(),
            born: 0,
            revision: 0,
            taken: false,
            in_file: false,
        });
        self.staging
            .push(now_ms, Staged::Entry(entry), part, range, urgent);
        Ok(entry)
    }

    /// Seals the record of a step into the batch.
    pub(super) fn write_step(
        &mut self,
        kind: Kind,
        id: MessageId,
        leg: u16,
        account: NameId,
        payload: &Payload<'_>,
        rng: &mut impl CryptoRng,
    ) -> Result<(u32, u32), Refused> {
        let account = account_of(&self.names, account)?;
        let key = newest_key(&self.active, self.next.as_ref());
        self.staging.write(
            &Head {
                kind,
                id,
                leg,
                account,
            },
            payload,
            key,
            rng,
        )
    }

    /// After a failed sync nothing more is staged: nobody would ever write it.
    pub(super) fn may_progress(&self) -> Result<(), Refused> {
        if self.broken { Err(Refused::Broken) } else { Ok(()) }
    }

    /// What a carrier has is copied without its body, unless its account keeps bodies.
    pub(super) fn reweigh(&mut self, leg: LegId) {
        let quote = self.index.quote(leg);
        let carrier_id = self
            .index
            .get(leg)
            .map_or(0, |leg| self.index.carrier_id(leg).len());
        let Some(found) = self.index.get_mut(leg) else {
            return;
        };
        let with_body = if self.filing.keeps_body_of(found) {
            found.at.len
        } else {
            0
        };
        let carrier = found.carrier.map_or(0, |carrier| self.names.name(carrier).len());
        let weight = record::bodyless_len(
            self.names.name(found.account).len(),
            carrier,
            carrier_id,
            quote,
            &found.envelope,
        )
        .max(with_body);
        let before = std::mem::replace(&mut found.weight, weight);
        self.segments.reweigh(found.at.segment(), before, weight);
    }
}
