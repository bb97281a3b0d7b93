//! What a carrier answers to a leg, or does not, and what follows from it (design §5.7).

use bytes::Bytes;
use rand_core::Rng;
use tidegate_codec::message_id::MessageIdText;
use tidegate_codec::pdu::Operation;
use tidegate_codec::receipt::canonical;
use tidegate_codec::session::Answer;
use tidegate_codec::status::CommandStatus;
use tidegate_codec::values::MessageState;
use tidegate_config::Unanswered;
use tidegate_store::disk::Disk;
use tidegate_store::index::LegId;

use super::{Slowed, Verdict};
use crate::clock::Now;
use crate::dlr::ReceiptNote;
use crate::gate::{Gate, at};
use crate::links::{LinkId, Peer};
use crate::telemetry::words::Answered;

/// "Slow" answers to one leg after which it is tried elsewhere (design §5.7).
const SLOW_MAX: u16 = 3;
/// Legs whose "slow" answers are counted, per carrier.
const SLOWED_MAX: usize = 10_000;

impl<D: Disk> Gate<D> {
    pub(super) fn leg_answered(
        &mut self,
        now: Now,
        id: LinkId,
        carrier: usize,
        leg: LegId,
        body: Bytes,
        answer: &Answer<'_>,
    ) {
        let (status, message_id) = match answer {
            Answer::Response(status, operation) => {
                if operation.strict().is_err() {
                    self.carriers[carrier].tally.tlv_faults += 1;
                }
                let id = match operation {
                    Operation::SubmitSmResp(Some(body)) | Operation::DataSmResp(Some(body)) => {
                        body.message_id.as_bytes()
                    }
                    _ => &[],
                };
                (*status, id)
            }
            Answer::Nack(status) => (*status, &[][..]),
            Answer::Unreadable(_) | Answer::Expired => {
                if matches!(answer, Answer::Unreadable(_)) {
                    self.carriers[carrier].tally.answers.add(Answered::Unreadable);
                }
                self.carriers[carrier].tally.unanswered += 1;
                return self.leg_unanswered(now, carrier, leg, body);
            }
        };
        let state = &mut self.carriers[carrier];
        let verdict = Verdict::of(status);
        if verdict != Verdict::Slow && !state.slowed.is_empty() {
            state.slowed.remove(&leg);
        }
        state.tally.answers.add(verdict.into());
        if !status.is_ok() {
            state.tally.statuses.add(status);
        }
        match verdict {
            Verdict::Accepted => {
                state.flow.accepted();
                self.leg_accepted(now, carrier, leg, message_id);
            }
            // It is this leg that the carrier does not take, and the others are not held up for it any more.
            Verdict::Slow if state.slowed.get(&leg).is_some_and(|slowed| slowed.alone) => {
                self.leg_failed(now, carrier, leg, status);
            }
            Verdict::Slow => {
                state.flow.slow(now.monotonic);
                self.leg_slowed(now, carrier, leg, status, body);
            }
            Verdict::Retry => self.leg_failed(now, carrier, leg, status),
            Verdict::Reject => {
                let note = ReceiptNote::new(MessageState::Rejected).with_status(status);
                self.end_quietly(now, leg, &note);
            }
            Verdict::Relink => {
                self.give_back(carrier, leg, body);
                if let Some(link) = self.links.get_mut(id) {
                    link.relinked = true;
                    link.session.unbind(at(now), &mut link.out);
                    self.links.touch(id);
                }
                self.carrier_unbound(id, carrier);
            }
        }
    }

    /// The carrier has the leg. Where no receipt was asked for, that is its end (design §5.6).
    pub(super) fn leg_accepted(&mut self, now: Now, carrier: usize, leg: LegId, message_id: &[u8]) {
        if !self.is_receipt_asked_for(carrier, leg) {
            return self.end_quietly(now, leg, &ReceiptNote::new(MessageState::Accepted));
        }
        let config = &self.config.carriers[carrier];
        let id = canonical(message_id, config.id_base.response);
        let id = MessageIdText::new(id.as_bytes()).unwrap_or_default();
        let wait = u64::try_from(config.receipt_deadline.as_millis()).unwrap_or(u64::MAX);
        let deadline_ms = now.unix_ms.saturating_add(wait);
        let name = self.carriers[carrier].name;
        // A broken spool cannot note it: after the restart the leg is handed over again.
        let _ = self
            .spool
            .hand_over(now.unix_ms, leg, name, id.clone(), deadline_ms, &mut self.rng);
        if !id.is_empty() {
            self.receipts_released(now, carrier, leg, &id);
        }
    }

    /// The carrier is full. The leg keeps its place; one that is told so again and again while others pass is a
    /// failure from then on, and tried elsewhere (design §5.7).
    fn leg_slowed(&mut self, now: Now, carrier: usize, leg: LegId, status: CommandStatus, body: Bytes) {
        let index = self.spool.index();
        let state = &mut self.carriers[carrier];
        if state.slowed.len() >= SLOWED_MAX {
            // Those that ended elsewhere are shed; should all live, they are counted anew.
            state.slowed.retain(|leg, _| index.get(*leg).is_some());
            if state.slowed.len() >= SLOWED_MAX {
                state.slowed.clear();
            }
        }
        let slowed = state.slowed.entry(leg).or_insert(Slowed {
            times: 0,
            first: now.monotonic,
            alone: false,
        });
        slowed.times = slowed.times.saturating_add(1);
        if slowed.times >= SLOW_MAX && state.flow.has_passed_since(slowed.first) {
            slowed.alone = true;
            return self.leg_failed(now, carrier, leg, status);
        }
        self.give_back(carrier, leg, body);
    }

    /// The try failed: again after a pause that doubles, on the next carrier, until the attempts are over.
    fn leg_failed(&mut self, now: Now, carrier: usize, leg: LegId, status: CommandStatus) {
        let Some(found) = self.spool.index().get(leg) else {
            return;
        };
        let config = &self.config.carriers[carrier];
        let attempts = u32::from(found.attempts) + 1;
        if attempts >= config.max_attempts {
            let note = ReceiptNote::new(MessageState::Undeliverable).with_status(status);
            return self.end_quietly(now, leg, &note);
        }
        let pause = config
            .retry_min
            .saturating_mul(1u32.checked_shl(attempts - 1).unwrap_or(u32::MAX))
            .min(config.retry_max);
        let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        // Up to a quarter more, so that what failed together does not come back together.
        let jitter = u64::from(self.rng.next_u32()) % (pause_ms / 4 + 1);
        let due_ms = now.unix_ms.saturating_add(pause_ms).saturating_add(jitter);
        let _ = self.spool.retry(now.unix_ms, leg, due_ms, true, &mut self.rng);
    }

    /// No answer came: whether the carrier has the leg is unknown, and what follows is the operator's choice
    /// (interop #30, quirk 35).
    pub(crate) fn leg_unanswered(&mut self, now: Now, carrier: usize, leg: LegId, body: Bytes) {
        match self.config.carriers[carrier].unanswered {
            Unanswered::Resend => self.give_back(carrier, leg, body),
            Unanswered::Wait if self.is_receipt_asked_for(carrier, leg) => {
                self.leg_accepted(now, carrier, leg, &[]);
            }
            // Nothing will ever tell what became of it.
            Unanswered::Wait => self.end_quietly(now, leg, &ReceiptNote::new(MessageState::Unknown)),
            Unanswered::Fail => self.end_quietly(now, leg, &ReceiptNote::new(MessageState::Undeliverable)),
        }
    }

    /// A link broke with the leg on it.
    pub(crate) fn leg_in_doubt(&mut self, now: Now, leg: LegId, body: Bytes, peer: Peer) {
        self.hot_octets = self.hot_octets.saturating_sub(body.len());
        match peer {
            Peer::Carrier { carrier, .. } => {
                self.carriers[carrier].tally.unanswered += 1;
                self.leg_unanswered(now, carrier, leg, body);
            }
            Peer::Esme { .. } => {
                self.spool.set_leased(leg, false);
                self.line_up(now, leg, Some(body));
            }
        }
    }
}
