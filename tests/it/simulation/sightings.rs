//! What may reach a carrier: nothing altered, nothing too early or too late, nothing twice without a reason.

use tidegate_codec::status::CommandStatus;

use super::ledger::{Answer, Asked, Dlr, Ledger, Mo, RESPONSE_MS, Sighting};

/// Statuses by which a simulated carrier says "slower".
pub(crate) const SLOW: [CommandStatus; 2] = [CommandStatus::RTHROTTLED, CommandStatus::RMSGQFUL];
/// Statuses by which it says "not now".
pub(crate) const RETRY: [CommandStatus; 3] = [
    CommandStatus::RSYSERR,
    CommandStatus::RSUBMITFAIL,
    CommandStatus(0x0401),
];
/// Statuses by which it says "never".
pub(crate) const REJECT: [CommandStatus; 3] = [
    CommandStatus::RINVDSTADR,
    CommandStatus::RX_R_APPN,
    CommandStatus::RINVDCS,
];

/// How far dates on the wire may be off: they count whole seconds.
const GRAIN_MS: u64 = 1_500;

/// A submit_sm or data_sm as a carrier read it.
pub(crate) struct Seen<'a> {
    pub(crate) to: &'a str,
    pub(crate) source: &'a [u8],
    pub(crate) text: &'a [u8],
    pub(crate) rest: &'a [u8],
    pub(crate) registered: u8,
    /// Milliseconds of validity that it says are left.
    pub(crate) remaining_ms: Option<u64>,
    pub(crate) carrier: usize,
    pub(crate) link: u64,
}

impl Ledger {
    /// A carrier reads a submit; returns which sighting of its leg that is.
    pub(crate) fn seen(&mut self, seen: &Seen<'_>) -> Option<usize> {
        let (now, wall) = (self.now_ms(), self.wall_ms());
        let wall_max = self.wall_max_ms();
        self.totals.handed_over += 1;
        self.note(&format!(
            "submit {} at carrier {} link {}",
            seen.to, seen.carrier, seen.link
        ));
        let Some(leg) = self.legs.get(seen.to) else {
            self.violate(seen.to, "a carrier got what nobody submitted");
            return None;
        };
        let mut wrong: Vec<String> = Vec::new();
        if (seen.source, seen.rest, seen.registered) != (&leg.source, &leg.rest, leg.registered) {
            wrong.push("altered on its way".to_owned());
        }
        let is_after = |change: Asked| matches!(change, Asked::Done(at) if now > at);
        let is_old = seen.text == leg.text && !is_after(leg.replace);
        let is_new = seen.text == leg.new_text && matches!(leg.replace, Asked::Doubt | Asked::Done(_));
        if !is_old && !is_new {
            wrong.push("another text than it has".to_owned());
        }
        if let Asked::Refused(status) = leg.submitted {
            wrong.push(format!("handed over although it was refused with {status}"));
        }
        if is_after(leg.cancel) && (!leg.has_siblings || leg.sightings.is_empty()) {
            wrong.push("handed over after its cancel was acknowledged".to_owned());
        }
        let first_wall = leg
            .taken_wall_ms
            .unwrap_or(leg.sent_wall_ms)
            .min(leg.sent_wall_ms);
        if wall_max + GRAIN_MS < first_wall + leg.due_after_ms {
            wrong.push("handed over before its date".to_owned());
        }
        if let Some(taken) = leg.taken_wall_ms {
            let expires = taken.max(leg.sent_wall_ms) + leg.expires_after_ms;
            if wall > expires + GRAIN_MS {
                wrong.push("handed over after its validity".to_owned());
            }
            if seen
                .remaining_ms
                .is_some_and(|left| wall + left > expires + GRAIN_MS)
            {
                wrong.push("handed over with more validity than it has".to_owned());
            }
        }
        let (mut again, mut is_double) = (None, false);
        for before in &leg.sightings {
            let Some(answer) = before.answer else { continue };
            is_double |= answer.status.is_ok();
            let is_final = answer.status.is_ok() || REJECT.contains(&answer.status);
            if is_final && self.was_heard(before, &answer) {
                again = Some(format!("handed over again after {} was heard", answer.status));
            }
        }
        wrong.extend(again);
        for wrong in wrong {
            self.violate(seen.to, &wrong);
        }
        self.totals.doubles += u64::from(is_double);
        let leg = self.legs.get_mut(seen.to)?;
        leg.sightings.push(Sighting {
            at_ms: now,
            link: seen.link,
            answer: None,
            receipts: Vec::new(),
        });
        Some(leg.sightings.len() - 1)
    }

    /// Whether the gateway must have heard an answer, and must remember it.
    pub(crate) fn was_heard(&self, seen: &Sighting, answer: &Answer) -> bool {
        answer.at_ms < seen.at_ms + RESPONSE_MS && !self.may_be_lost(seen.link, answer.at_ms)
    }

    // ===== messages from handsets =====

    pub(crate) fn mo_sent(&mut self, name: &str, account: usize, text: &[u8]) {
        self.note(&format!("mo {name} for account {account}"));
        let mo = Mo {
            account,
            text: text.to_vec(),
            is_taken: false,
            offers: 0,
            arrivals: Vec::new(),
        };
        self.mos.entry(name.to_owned()).or_insert(mo);
    }

    /// A carrier sends an MO, perhaps again.
    pub(crate) fn mo_offered(&mut self, name: &str) {
        self.note(&format!("mo {name} offered"));
        if let Some(mo) = self.mos.get_mut(name) {
            mo.offers += 1;
        }
    }

    /// The gateway acknowledged an MO.
    pub(crate) fn mo_taken(&mut self, name: &str) {
        self.note(&format!("mo {name} taken"));
        self.totals.mos += 1;
        if let Some(mo) = self.mos.get_mut(name) {
            mo.is_taken = true;
        }
    }

    /// An MO comes to an account; returns which arrival it is.
    pub(crate) fn mo_came(&mut self, name: &str, account: usize, link: u64, text: &[u8]) -> Option<usize> {
        let now = self.now_ms();
        self.note(&format!("mo {name} comes to account {account} link {link}"));
        let Some(mo) = self.mos.get(name) else {
            self.violate(name, "an MO that no carrier sent");
            return None;
        };
        let is_settled = |arrival: &Dlr| {
            let settled = arrival.settled_ms;
            settled.is_some_and(|at| !self.may_be_lost(arrival.link, at))
        };
        let settled = mo.arrivals.iter().filter(|arrival| is_settled(arrival)).count();
        if settled >= mo.offers {
            self.violate(name, "an MO again that was acknowledged");
        } else if mo.account != account {
            self.violate(name, "an MO of another account");
        } else if mo.text != text {
            self.violate(name, "an MO was altered");
        }
        let mo = self.mos.get_mut(name)?;
        mo.arrivals.push(Dlr {
            state: tidegate_codec::values::MessageState::Delivered,
            content: Vec::new(),
            link,
            at_ms: now,
            settled_ms: None,
        });
        Some(mo.arrivals.len() - 1)
    }
}
