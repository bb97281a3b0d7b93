//! A long message that goes on as parts, each a leg of its own beside the one that was accepted. That one stays until
//! the message's outcome is known, and its end is the message's.

use rand_core::CryptoRng;
use smallvec::SmallVec;
use tidegate_codec::message_id::MessageIdText;

use crate::disk::Disk;
use crate::index::{Leg, LegId, Location, part_number};
use crate::message_id::MessageId;
use crate::names::NameId;
use crate::progress::Progress;
use crate::quote::Quote;
use crate::record::{Envelope, Kind, LegRecord, Payload, Stage};

use super::staging::{Part, Staged, StepItem};
use super::{Refused, Spool};

/// The legs of a message that was cut, in their order.
pub type Parts = SmallVec<[LegId; 4]>;

/// A part of a leg.
pub struct NewPart<'a> {
    /// `registered_delivery` of its submit.
    pub registered_delivery: u8,
    /// Its PDU's body.
    pub body: &'a [u8],
}

impl std::fmt::Debug for NewPart<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NewPart[{}]", self.body.len())
    }
}

impl<D: Disk> Spool<D> {
    /// Stages that a waiting leg goes on as parts, 1 to 255 of them, and has the date `due_ms` itself from now on. The
    /// parts are due at once, and leased until the commit makes them durable. They cost no quota: the leg did. Of what
    /// is cut, either the whole or all of its parts are on the disk. `body` is the whole's, which stays with it where its
    /// account keeps bodies.
    ///
    /// Returns the parts in their order; none when the leg had ended, or is in parts already.
    pub fn cut(
        &mut self,
        now_ms: u64,
        leg: LegId,
        due_ms: u64,
        parts: &[NewPart<'_>],
        body: &[u8],
        rng: &mut impl CryptoRng,
    ) -> Result<Parts, Refused> {
        self.may_progress()?;
        let total = u8::try_from(parts.len()).unwrap_or_default();
        let found = self.index.get(leg).filter(|leg| leg.stage == Stage::Waiting);
        let (Some(found), true) = (found, total > 0) else {
            return Ok(Parts::new());
        };
        let (message, number, account, attempts) = (found.message, found.leg, found.account, found.attempts);
        let envelope = found.envelope.clone();
        let body = if self.filing.keeps_body_of(found) {
            body
        } else {
            b""
        };
        self.go_in_parts(now_ms, leg, due_ms, (Progress::of(total), body), false, rng)?;
        let mut legs = Parts::new();
        for (part, new) in (1..=total).zip(parts) {
            let envelope = Envelope {
                registered_delivery: new.registered_delivery,
                charge: 0,
                ..envelope.clone()
            };
            let number = part_number(number, part);
            legs.push(self.stage_part(
                (now_ms, message, number, account, attempts),
                envelope,
                new.body,
                rng,
            )?);
        }
        Ok(legs)
    }

    /// Stages how far the parts of a leg have come. `urgent` says that a peer waits for the commit.
    ///
    /// The leg has another [`LegId`] from now on, unless its account keeps bodies: then its record stays where it is.
    /// `None` when it had ended.
    pub fn set_progress(
        &mut self,
        now_ms: u64,
        leg: LegId,
        progress: Progress,
        urgent: bool,
        rng: &mut impl CryptoRng,
    ) -> Result<Option<LegId>, Refused> {
        self.may_progress()?;
        match self.index.get(leg) {
            Some(found) if found.stage == Stage::InParts && self.filing.keeps_body_of(found) => self
                .step_on(now_ms, leg, progress, urgent, rng)
                .map(|()| Some(leg)),
            Some(found) => {
                let due_ms = found.due_ms;
                self.go_in_parts(now_ms, leg, due_ms, (progress, b""), urgent, rng)
                    .map(Some)
            }
            None => Ok(None),
        }
    }

    /// Stages the progress alone.
    fn step_on(
        &mut self,
        now_ms: u64,
        leg: LegId,
        progress: Progress,
        urgent: bool,
        rng: &mut impl CryptoRng,
    ) -> Result<(), Refused> {
        let Some(found) = self.index.get_mut(leg) else {
            return Ok(());
        };
        found.revision = found.revision.wrapping_add(1);
        let (id, number, born, account) = (found.message, found.leg, found.born, found.account);
        let payload = Payload::Progressed(progress.clone());
        let range = self.write_step(Kind::Progressed, id, number, account, &payload, rng)?;
        self.index.set_progress(leg, progress.clone());
        let item = StepItem::Progressed {
            id,
            leg: number,
            progress: Box::new(progress),
        };
        self.staging
            .push(now_ms, Staged::Step { born, item }, Part::Ending, range, urgent);
        Ok(())
    }

    fn stage_part(
        &mut self,
        (now_ms, message, number, account, attempts): (u64, MessageId, u16, NameId, u16),
        envelope: Envelope,
        body: &[u8],
        rng: &mut impl CryptoRng,
    ) -> Result<LegId, Refused> {
        let due_ms = envelope.accepted_ms;
        let record = LegRecord {
            envelope,
            stage: Stage::Waiting,
            attempts,
            // As a copy of one in line has it, so that a start puts it in front of what was accepted later.
            due_ms,
            carrier: "",
            carrier_id: b"",
            quote: Quote::NONE,
            progress: None,
            body,
        };
        let payload = Payload::Leg(record);
        let range = self.write_step(Kind::Leg, message, number, account, &payload, rng)?;
        let Payload::Leg(LegRecord { envelope, .. }) = payload else {
            return Err(Refused::Broken);
        };
        let id = self.index.insert(
            Leg::staged(message, number, account, envelope, attempts, due_ms),
            MessageIdText::default(),
        );
        self.staging
            .push(now_ms, Staged::Leg(id), Part::Ending, range, true);
        Ok(id)
    }

    /// The leg as one that is in parts, in the place of what it was.
    fn go_in_parts(
        &mut self,
        now_ms: u64,
        leg: LegId,
        due_ms: u64,
        (progress, body): (Progress, &[u8]),
        urgent: bool,
        rng: &mut impl CryptoRng,
    ) -> Result<LegId, Refused> {
        let Some(found) = self.index.get(leg) else {
            return Ok(leg);
        };
        let (message, number, account, attempts) = (found.message, found.leg, found.account, found.attempts);
        let quote = self.index.quote(leg);
        let record = LegRecord {
            envelope: found.envelope.clone(),
            stage: Stage::InParts,
            attempts,
            due_ms,
            carrier: "",
            carrier_id: b"",
            quote,
            progress: Some(progress.clone()),
            body,
        };
        let payload = Payload::Leg(record);
        let range = self.write_step(Kind::Leg, message, number, account, &payload, rng)?;
        let (Payload::Leg(LegRecord { envelope, .. }), Some(old)) = (payload, self.index.remove(leg)) else {
            return Err(Refused::Broken);
        };
        self.segments.drain(old.at.segment(), old.weight, self.batch);
        let in_parts = Leg {
            envelope,
            stage: Stage::InParts,
            due_ms,
            leased: true,
            at: Location::default(),
            weight: 0,
            ..old
        };
        let new = self.index.insert(in_parts, MessageIdText::default());
        self.index.set_quote(new, quote);
        self.index.set_progress(new, progress);
        self.staging
            .push(now_ms, Staged::Leg(new), Part::Ending, range, urgent);
        Ok(new)
    }
}
