//! What a DLR may say, and what must have happened when a run is over (P3).

use tidegate_codec::values::{MessageState, ReceiptWish};

use super::ledger::{Answer, Asked, Ledger, Leg, Receipt, Sighting, wish, wishes};
use super::sightings::{REJECT, RETRY, SLOW};

/// Tries that may fail before a message is given up, as configured.
pub(crate) const MAX_ATTEMPTS: usize = 6;
/// How long it may take until links, pauses and tries are as if nothing had been: a carrier that said nothing but
/// "slower" is left alone for two minutes.
const PATIENCE_MS: u64 = 150_000;
/// How long a receipt is waited for, as configured, in milliseconds.
pub(crate) const RECEIPT_DEADLINE_MS: u64 = 90_000;

impl Ledger {
    /// Whether a DLR may say so, by what the carriers said, what the ESME asked for, and the time.
    pub(super) fn may_say(&mut self, to: &str, state: MessageState) {
        let wall = self.wall_max_ms();
        let Some(leg) = self.legs.get(to) else { return };
        let mut receipts = leg.sightings.iter().flat_map(|seen| &seen.receipts);
        let reported = receipts.any(|receipt| receipt.state == state);
        let answers = || leg.sightings.iter().filter_map(|seen| seen.answer);
        let failed = |status| RETRY.contains(&status) || SLOW.contains(&status);
        let failures = answers().filter(|answer| failed(answer.status)).count();
        // A try without an answer counts, too, unless its link broke; which it was the ledger does not know.
        let silences = leg.sightings.iter().filter(|seen| seen.answer.is_none()).count();
        let is_over = failures + silences >= MAX_ATTEMPTS;
        let is_true = reported
            || match state {
                MessageState::Expired => wall >= expires(leg) && !self.was_possible(leg),
                MessageState::Deleted => may_be_cancelled(leg),
                MessageState::Rejected => answers().any(|answer| REJECT.contains(&answer.status)),
                MessageState::Undeliverable => leg.damaged || (failures > 0 && is_over),
                MessageState::Unknown => {
                    let waited = |answer: Answer| {
                        answer.status.is_ok() && wall >= answer.wall_ms + RECEIPT_DEADLINE_MS
                    };
                    answers().any(waited) || (silences > 0 && is_over)
                }
                _ => false,
            };
        if !is_true {
            self.violate(
                to,
                &format!("a DLR {} for which there is no reason", state.stat()),
            );
        }
    }

    /// The run is over and the gateway idle.
    pub(crate) fn close(&mut self) {
        let wall = self.wall_max_ms();
        let mut wrong: Vec<(String, &str)> = Vec::new();
        for (to, leg) in &self.legs {
            if let Some(what) = self.unfinished(leg, wall).or_else(|| self.told_otherwise(leg)) {
                wrong.push((to.clone(), what));
            }
        }
        for (name, mo) in &self.mos {
            if mo.is_taken && mo.arrivals.is_empty() {
                wrong.push((name.clone(), "an MO that was acknowledged never came"));
            }
        }
        for (name, what) in wrong {
            self.violate(&name, what);
        }
    }

    fn unfinished(&self, leg: &Leg, wall: u64) -> Option<&'static str> {
        let is_kept = matches!(leg.submitted, Asked::Done(_)) || !leg.sightings.is_empty();
        if !is_kept || !leg.dlrs.is_empty() {
            return None;
        }
        let wish = wish(leg);
        if wish == ReceiptWish::Always {
            return Some("ended without its DLR");
        }
        let expired = wall >= expires(leg) && !self.was_possible(leg);
        let ended_unseen = expired || may_be_cancelled(leg) || leg.damaged;
        if leg.sightings.is_empty() && !ended_unseen {
            return Some("acknowledged and never handed over");
        }
        let is_accepted = |status: tidegate_codec::status::CommandStatus| status.is_ok();
        let accepted = leg
            .sightings
            .iter()
            .any(|seen| seen.answer.is_some_and(|answer| is_accepted(answer.status)));
        if wish == ReceiptWish::OnFailure && !accepted {
            return Some("failed without its DLR");
        }
        // What was acknowledged in time must be told, if the ESME asked to hear it.
        let mut told = self.acknowledged(leg).peekable();
        if told.peek().is_some() && told.all(|state| wishes(leg, state)) {
            return Some("a receipt was acknowledged and its DLR never came");
        }
        None
    }

    /// Whether nothing stood in the way of handing a leg over before its validity was over.
    fn was_possible(&self, leg: &Leg) -> bool {
        self.well_since_ms.is_some_and(|since| {
            let from = since.max(leg.sent_wall_ms + leg.due_after_ms);
            expires(leg) > from + PATIENCE_MS
        })
    }

    /// The states of receipts that the gateway acknowledged in time, for hand-overs of which it must know.
    fn acknowledged<'a>(&'a self, leg: &'a Leg) -> impl Iterator<Item = MessageState> + 'a {
        let held = |seen: &Sighting| {
            let answer = seen.answer.filter(|answer| answer.status.is_ok())?;
            self.was_heard(seen, &answer)
                .then_some(answer.wall_ms + RECEIPT_DEADLINE_MS)
        };
        leg.sightings.iter().flat_map(move |seen| {
            let deadline = held(seen).unwrap_or(0);
            let in_time = move |receipt: &&Receipt| receipt.taken_wall_ms.is_some_and(|at| at < deadline);
            seen.receipts.iter().filter(in_time).map(|receipt| receipt.state)
        })
    }

    /// A DLR was written, and not from the receipt that was acknowledged.
    fn told_otherwise(&self, leg: &Leg) -> Option<&'static str> {
        let dlr = leg.dlrs.first()?;
        let mut receipts = leg.sightings.iter().flat_map(|seen| &seen.receipts);
        let is_reported = receipts.any(|receipt| receipt.state == dlr.state);
        (!is_reported && self.acknowledged(leg).next().is_some())
            .then_some("a receipt was acknowledged and the DLR says something else")
    }
}

fn may_be_cancelled(leg: &Leg) -> bool {
    matches!(leg.cancel, Asked::Done(_)) || leg.cancels_open > 0
}

/// The earliest date at which a leg's validity may be over.
fn expires(leg: &Leg) -> u64 {
    leg.taken_wall_ms
        .unwrap_or(leg.sent_wall_ms)
        .min(leg.sent_wall_ms)
        + leg.expires_after_ms
        - 1_000
}
