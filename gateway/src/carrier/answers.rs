//! What a carrier answers to a leg, or does not, and what follows from it (design §5.7).

use std::time::Duration;

use bytes::Bytes;
use rand_core::Rng;
use tidegate_codec::message_id::MessageIdText;
use tidegate_codec::pdu::response::MessageIdResp;
use tidegate_codec::pdu::{Operation, Pdu};
use tidegate_codec::receipt::canonical;
use tidegate_codec::session::Answer;
use tidegate_codec::status::CommandStatus;
use tidegate_codec::values::MessageState;
use tidegate_config::Unanswered;
use tidegate_store::disk::Disk;
use tidegate_store::index::LegId;
use tidegate_store::record::Stage;
use tidegate_store::spool::Target;

use super::{Slowed, Verdict};
use crate::clock::Now;
use crate::dlr::ReceiptNote;
use crate::gate::{Gate, at};
use crate::links::{LinkId, Peer};
use crate::logged::Said;
use crate::tally::counted;
use crate::telemetry::words::Answered;

/// "Slow" answers to one leg after which it is tried elsewhere (design §5.7).
const SLOW_MAX: u16 = 3;
/// Legs whose "slow" answers are counted, per carrier.
const SLOWED_MAX: usize = 10_000;

/// A submit of ours, as its answer finds it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) link: LinkId,
    pub(super) carrier: usize,
    pub(super) sequence: u32,
    pub(super) took: Duration,
}

impl Asked {
    /// What came of it, for the log.
    const fn said(self, status: Option<CommandStatus>, verdict: Option<Verdict>) -> Said {
        Said {
            carrier: self.carrier,
            link: self.link,
            status,
            verdict,
        }
    }
}

impl<D: Disk> Gate<D> {
    pub(super) fn leg_answered(
        &mut self,
        now: Now,
        asked: Asked,
        leg: LegId,
        body: Bytes,
        answer: &Answer<'_>,
    ) {
        let carrier = asked.carrier;
        let (status, response) = match answer {
            Answer::Response(status, operation) => {
                if operation.strict().is_err() {
                    self.carriers[carrier].tally.tlv_faults += 1;
                }
                (*status, response_of(operation))
            }
            Answer::Nack(status) => (nacked(*status), MessageIdResp::default()),
            Answer::Unreadable(_) => {
                self.carriers[carrier].tally.answers.add(Answered::Unreadable);
                self.log_try(leg, asked.said(None, None));
                return self.leg_unanswered(now, carrier, leg);
            }
            Answer::Expired => return self.leg_given_up(now, asked, leg),
        };
        if let Some(link) = self.links.get_mut(asked.link) {
            link.late.heard(now.monotonic);
        }
        let state = &mut self.carriers[carrier];
        let verdict = Verdict::of(status, &self.config.carriers[carrier].verdicts);
        if verdict != Verdict::Slow && !state.slowed.is_empty() {
            state.slowed.remove(&leg);
        }
        state.tally.answers.add(verdict.into());
        if !status.is_ok() {
            state.tally.statuses.add(counted(status));
            self.log_try(leg, asked.said(Some(status), Some(verdict)));
        }
        let state = &mut self.carriers[carrier];
        let alone = state.slowed.get(&leg).is_some_and(|slowed| slowed.alone);
        match verdict {
            Verdict::Accepted => state.flow.accepted(now.monotonic),
            // One that alone is slowed holds nobody up any more.
            Verdict::Slow if !alone => {
                let sent = now.monotonic.saturating_sub(asked.took);
                state.flow.slow(now.monotonic, sent);
            }
            _ => {}
        }
        if !self.is_waiting(leg) {
            // A late answer to an earlier try said that the carrier has it.
            return;
        }
        match verdict {
            Verdict::Accepted => self.leg_accepted(now, carrier, leg, response.message_id.as_bytes()),
            Verdict::Slow if !alone => self.leg_slowed(now, carrier, leg, status, body),
            // A leg that is slowed alone is one that the carrier does not take.
            Verdict::Slow | Verdict::Retry => {
                let note = ReceiptNote::new(MessageState::Undeliverable).with_status(status);
                self.leg_failed(now, carrier, leg, &note);
            }
            Verdict::Reject => {
                let note = ReceiptNote::new(MessageState::Rejected).with_status(status);
                self.end_quietly(now, leg, &note);
            }
            Verdict::Relink => {
                self.give_back(now, carrier, leg, body);
                self.bind_anew(now, asked.link, carrier);
            }
        }
    }

    /// No answer came in time.
    fn leg_given_up(&mut self, now: Now, asked: Asked, leg: LegId) {
        let silent = self.links.get_mut(asked.link).is_some_and(|link| {
            let sent = now.monotonic.saturating_sub(asked.took);
            link.late.give_up(asked.sequence, Target::Leg(leg), sent);
            link.late.is_silent()
        });
        self.log_try(leg, asked.said(None, None));
        self.leg_unanswered(now, asked.carrier, leg);
        if silent && self.carriers[asked.carrier].links.contains(&asked.link) {
            let name = &self.config.carriers[asked.carrier].name;
            let link = self.link_number(asked.link);
            tracing::warn!(carrier = %name, link, "a link that answers nothing is bound anew");
            self.bind_anew(now, asked.link, asked.carrier);
        }
    }

    /// An answer that nobody waits for any more. If the carrier took the leg, it is not sent again where that can
    /// still be helped; and a leg that waits for a receipt under no id gets one (interop #31, quirk 36).
    pub(super) fn leg_answered_late(&mut self, now: Now, carrier: usize, leg: LegId, pdu: &Pdu<'_>) {
        self.carriers[carrier].tally.answers.add(Answered::Late);
        let response = response_of(&pdu.operation);
        let is_submit = matches!(
            pdu.operation,
            Operation::SubmitSmResp(_) | Operation::DataSmResp(_) | Operation::GenericNack(_)
        );
        let Some(found) = self.spool.index().get(leg).filter(|_| is_submit) else {
            return;
        };
        let is_ours = found.stage == Stage::Waiting && !self.replacing.contains_key(&leg);
        let lacks_id = found.stage == Stage::HandedOver
            && found.carrier == Some(self.carriers[carrier].name)
            && self.spool.index().carrier_id(found).is_empty();
        let is_free = !found.leased;
        let status = match pdu.operation {
            Operation::GenericNack(_) => nacked(pdu.status),
            _ => pdu.status,
        };
        match Verdict::of(status, &self.config.carriers[carrier].verdicts) {
            Verdict::Accepted if is_ours || (lacks_id && !response.message_id.is_empty()) => {
                self.leg_accepted(now, carrier, leg, response.message_id.as_bytes());
            }
            // What was sent again meanwhile has another answer to come.
            Verdict::Reject if is_ours && is_free => {
                let note = ReceiptNote::new(MessageState::Rejected).with_status(status);
                self.end_quietly(now, leg, &note);
            }
            _ => {}
        }
    }

    pub(super) fn is_waiting(&self, leg: LegId) -> bool {
        self.spool
            .index()
            .get(leg)
            .is_some_and(|leg| leg.stage == Stage::Waiting)
    }

    /// The link takes binds and is of no other use: we leave it, and the next bind comes after a pause.
    fn bind_anew(&mut self, now: Now, id: LinkId, carrier: usize) {
        if let Some(link) = self.links.get_mut(id) {
            link.relinked = true;
            link.session.unbind(at(now), &mut link.out);
            self.links.touch(id);
        }
        self.carrier_unbound(id, carrier);
    }

    /// The carrier has the leg. Where no receipt was asked for, that is its end (design §5.6).
    pub(super) fn leg_accepted(&mut self, now: Now, carrier: usize, leg: LegId, message_id: &[u8]) {
        if let Some(found) = self.spool.index().get(leg) {
            let waited_ms = now.unix_ms.saturating_sub(found.envelope.accepted_ms);
            self.carriers[carrier].tally.handover.add(waited_ms);
            if let Some(place) = self.account_by_name.get(&found.account) {
                self.accounts[*place].tally.handover.add(waited_ms);
            }
        }
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
            let note = ReceiptNote::new(MessageState::Undeliverable).with_status(status);
            return self.leg_failed(now, carrier, leg, &note);
        }
        self.give_back(now, carrier, leg, body);
    }

    /// The try failed: again after a pause that doubles, on the next carrier, until the attempts are over; then it
    /// ends as `last` says.
    fn leg_failed(&mut self, now: Now, carrier: usize, leg: LegId, last: &ReceiptNote) {
        let Some(found) = self.spool.index().get(leg) else {
            return;
        };
        let config = &self.config.carriers[carrier];
        let expires_ms = found.envelope.expires_ms;
        let attempts = u32::from(found.attempts) + 1;
        if attempts >= config.max_attempts {
            return self.end_quietly(now, leg, last);
        }
        let pause = config
            .retry_min
            .saturating_mul(1u32.checked_shl(attempts - 1).unwrap_or(u32::MAX))
            .min(config.retry_max);
        let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        // Up to a quarter more, so that what failed together does not come back together.
        let jitter = u64::from(self.rng.next_u32()) % (pause_ms / 4 + 1);
        let due_ms = now.unix_ms.saturating_add(pause_ms).saturating_add(jitter);
        // What would be tried after its end ends when it is to.
        let due_ms = due_ms.min(expires_ms);
        let _ = self.spool.retry(now.unix_ms, leg, due_ms, true, &mut self.rng);
    }

    /// No answer came: whether the carrier has the leg is unknown, and what follows is the operator's choice
    /// (interop #30, quirk 35). Sent again it counts as a try that failed, or a carrier that takes and never answers
    /// would get it until its validity is over.
    fn leg_unanswered(&mut self, now: Now, carrier: usize, leg: LegId) {
        self.carriers[carrier].tally.unanswered += 1;
        if !self.is_waiting(leg) {
            return;
        }
        match self.config.carriers[carrier].unanswered {
            Unanswered::Resend => {
                self.leg_failed(now, carrier, leg, &ReceiptNote::new(MessageState::Unknown));
            }
            _ => self.leg_left(now, carrier, leg),
        }
    }

    /// A link broke with the leg on it. Where it is to be sent again, that happens at once, and is no failure of the
    /// message (interop #32).
    pub(crate) fn leg_in_doubt(&mut self, now: Now, leg: LegId, body: Bytes, peer: Peer) {
        self.hot_octets = self.hot_octets.saturating_sub(body.len());
        match peer {
            Peer::Carrier { carrier, .. } => {
                self.carriers[carrier].tally.unanswered += 1;
                if !self.is_waiting(leg) {
                    return;
                }
                match self.config.carriers[carrier].unanswered {
                    Unanswered::Resend => self.give_back(now, carrier, leg, body),
                    _ => self.leg_left(now, carrier, leg),
                }
            }
            Peer::Esme { .. } => {
                self.spool.set_leased(leg, false);
                self.line_up(now, leg, Some(body));
            }
        }
    }

    /// A leg that may have arrived and is not to be sent again.
    fn leg_left(&mut self, now: Now, carrier: usize, leg: LegId) {
        match self.config.carriers[carrier].unanswered {
            Unanswered::Fail => self.end_quietly(now, leg, &ReceiptNote::new(MessageState::Undeliverable)),
            _ if self.is_receipt_asked_for(carrier, leg) => self.leg_accepted(now, carrier, leg, &[]),
            // Nothing will ever tell what became of it.
            _ => self.end_quietly(now, leg, &ReceiptNote::new(MessageState::Unknown)),
        }
    }
}

/// A generic_nack is never a yes, whatever status it bears.
fn nacked(status: CommandStatus) -> CommandStatus {
    if status.is_ok() {
        CommandStatus::RUNKNOWNERR
    } else {
        status
    }
}

/// What an answer to a submit says.
fn response_of<'a>(operation: &Operation<'a>) -> MessageIdResp<'a> {
    match operation {
        Operation::SubmitSmResp(Some(body)) | Operation::DataSmResp(Some(body)) => *body,
        _ => MessageIdResp::default(),
    }
}
