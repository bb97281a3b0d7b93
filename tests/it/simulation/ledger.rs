//! The model: what the peers of the gateway saw, message by message, and what may follow from it.
//!
//! It knows nothing of the gateway's inside. ESMEs and carriers write down what they sent and what they got;
//! what must never happen is noticed at once, what must have happened at the end ([`super::rules`]).

use std::collections::BTreeMap;

use tidegate_codec::status::CommandStatus;
use tidegate_codec::values::{InterfaceVersion, MessageState, ReceiptWish, RegisteredDelivery};
use tidegate_gateway::clock::Clock;

use super::log::Log;
use super::totals::Totals;

/// How long after an answer its record may still be on its way to the disk: `lazy_flush`, a tick, and a batch or
/// two that waited for a segment.
pub(crate) const LAZY_MS: u64 = 100;
/// The configured time for an answer, in milliseconds; on either side.
pub(crate) const RESPONSE_MS: u64 = 5_000;

/// What became of something that an ESME asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Not,
    /// Sent, and no answer that says yes or no: it may have happened.
    Doubt,
    /// Answered ROK at this time.
    Done(u64),
    Refused(CommandStatus),
}

/// One recipient's message.
pub(crate) struct Leg {
    pub(crate) account: usize,
    pub(crate) version: InterfaceVersion,
    pub(crate) source: Vec<u8>,
    pub(crate) text: Vec<u8>,
    /// All other octets that must come through: form, coding, class, priority, the vendor's TLV.
    pub(crate) rest: Vec<u8>,
    pub(crate) registered: u8,
    /// Milliseconds from the submission to its date and to its end, as the ESME gave them.
    pub(crate) due_after_ms: u64,
    pub(crate) expires_after_ms: u64,
    pub(crate) sent_wall_ms: u64,
    pub(crate) taken_wall_ms: Option<u64>,
    pub(crate) id: Option<Vec<u8>>,
    pub(crate) submitted: Asked,
    pub(crate) cancel: Asked,
    /// Cancels of it that have no clear answer.
    pub(crate) cancels_open: u32,
    pub(crate) replace: Asked,
    pub(crate) new_text: Vec<u8>,
    /// Its message has other recipients.
    pub(crate) has_siblings: bool,
    /// Its record was damaged on purpose.
    pub(crate) damaged: bool,
    pub(crate) sightings: Vec<Sighting>,
    pub(crate) dlrs: Vec<Dlr>,
}

/// A carrier read a submit of it.
pub(crate) struct Sighting {
    pub(crate) at_ms: u64,
    pub(crate) link: u64,
    /// Written to a link that was up.
    pub(crate) answer: Option<Answer>,
    pub(crate) receipts: Vec<Receipt>,
}

/// What the carrier said to it.
#[derive(Clone, Copy)]
pub(crate) struct Answer {
    pub(crate) status: CommandStatus,
    pub(crate) at_ms: u64,
    pub(crate) wall_ms: u64,
}

/// A final receipt that a carrier sent.
#[derive(Clone, Copy)]
pub(crate) struct Receipt {
    pub(crate) state: MessageState,
    /// The latest wall time until the gateway took it.
    pub(crate) taken_wall_ms: Option<u64>,
}

/// A DLR, each time that it came.
pub(crate) struct Dlr {
    pub(crate) state: MessageState,
    /// Everything that it says.
    pub(crate) content: Vec<u8>,
    pub(crate) link: u64,
    pub(crate) at_ms: u64,
    pub(crate) settled_ms: Option<u64>,
}

/// A message from a handset.
pub(crate) struct Mo {
    pub(crate) account: usize,
    pub(crate) text: Vec<u8>,
    pub(crate) is_taken: bool,
    /// How often its carrier sent it: each of these may become a delivery of its own.
    pub(crate) offers: usize,
    /// Times at which it came, with those at which it was acknowledged.
    pub(crate) arrivals: Vec<Dlr>,
}

/// See the [module](self).
pub(crate) struct Ledger {
    pub(crate) clock: Clock,
    pub(crate) legs: BTreeMap<String, Leg>,
    pub(crate) mos: BTreeMap<String, Mo>,
    pub(crate) log: Log,
    pub(crate) totals: Totals,
    /// The first thing that must not happen, with the lines that lead to it.
    pub(crate) violation: Option<String>,
    /// When a gateway ended without being asked, or its disk began to fail.
    pub(crate) troubles: Vec<u64>,
    /// From this date of the wall clock on nothing stood in the way of anybody: what could be handed over then must have
    /// been.
    pub(crate) well_since_ms: Option<u64>,
    /// When a connection ended.
    ends: BTreeMap<u64, u64>,
    /// The latest date that the wall clock ever showed.
    wall_max_ms: u64,
    next: u64,
}

impl Ledger {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            clock,
            legs: BTreeMap::new(),
            mos: BTreeMap::new(),
            log: Log::default(),
            totals: Totals::default(),
            violation: None,
            troubles: Vec::new(),
            well_since_ms: None,
            ends: BTreeMap::new(),
            wall_max_ms: 0,
            next: 0,
        }
    }

    // ===== time and names =====

    /// Virtual time in milliseconds.
    pub(crate) fn now_ms(&self) -> u64 {
        u64::try_from(self.clock.now().monotonic.as_millis()).unwrap()
    }

    /// The wall clock; remembers the latest.
    pub(crate) fn wall_ms(&mut self) -> u64 {
        let now = self.clock.now().unix_ms;
        self.wall_max_ms = self.wall_max_ms.max(now);
        now
    }

    /// The latest date that the wall clock ever showed.
    pub(crate) fn wall_max_ms(&mut self) -> u64 {
        self.wall_ms();
        self.wall_max_ms
    }

    /// A number that nobody had before.
    pub(crate) fn next_number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub(crate) fn note(&mut self, line: &str) {
        let now = self.now_ms();
        self.log.add(now, line);
    }

    /// Something that must not happen has happened to `name`.
    pub(crate) fn violate(&mut self, name: &str, what: &str) {
        self.note(&format!("VIOLATION {name}: {what}"));
        if self.violation.is_none() {
            self.violation = Some(format!("{name}: {what}\n{}", self.log.about(name)));
        }
    }

    /// A gateway ends without being asked, or its disk fails.
    pub(crate) fn trouble(&mut self, what: &str) {
        let now = self.now_ms();
        self.troubles.push(now);
        self.note(what);
    }

    pub(crate) fn link_ended(&mut self, link: u64) {
        let now = self.now_ms();
        self.ends.insert(link, now);
    }

    /// Whether what was told to the gateway at `then` may have been lost with a gateway or a link.
    pub(crate) fn may_be_lost(&self, link: u64, then: u64) -> bool {
        let next = self.troubles.partition_point(|at| *at < then);
        let lost = self.troubles.get(next).is_some_and(|at| *at <= then + LAZY_MS);
        lost || self.ends.get(&link).is_some_and(|at| *at <= then + 1)
    }

    // ===== ESMEs =====

    pub(crate) fn submit(&mut self, to: &str, leg: Leg) {
        self.totals.submitted += 1;
        self.note(&format!(
            "submit {to} account {} registered {} due +{} expires +{}",
            leg.account, leg.registered, leg.due_after_ms, leg.expires_after_ms
        ));
        self.legs.insert(to.to_owned(), leg);
    }

    pub(crate) fn taken(&mut self, to: &str, id: &[u8]) {
        let (now, wall) = (self.now_ms(), self.wall_ms());
        self.totals.taken += 1;
        self.note(&format!("taken {to} as {}", String::from_utf8_lossy(id)));
        let Some(leg) = self.legs.get_mut(to) else { return };
        (leg.submitted, leg.taken_wall_ms) = (Asked::Done(now), Some(wall));
        leg.id = Some(id.to_vec());
    }

    /// An answer other than ROK: a refusal, but 0x08, which promises nothing either way.
    pub(crate) fn refused(&mut self, to: &str, status: CommandStatus) {
        self.note(&format!("refused {to} {status}"));
        if status == CommandStatus::RSYSERR {
            self.totals.doubtful += 1;
            return;
        }
        self.totals.refused += 1;
        if let Some(leg) = self.legs.get_mut(to) {
            leg.submitted = Asked::Refused(status);
        }
    }

    /// An answer to a cancel or a replace.
    pub(crate) fn changed(&mut self, to: &str, status: CommandStatus, is_cancel: bool) {
        let now = self.now_ms();
        let what = if is_cancel { "cancel" } else { "replace" };
        self.note(&format!("{what} {to} answered {status}"));
        let Some(leg) = self.legs.get_mut(to) else { return };
        let answer = match status {
            CommandStatus::ROK => Asked::Done(now),
            CommandStatus::RSYSERR => return,
            _ => Asked::Refused(status),
        };
        if !is_cancel {
            leg.replace = answer;
        } else if !matches!(leg.cancel, Asked::Done(_)) {
            leg.cancel = answer;
            leg.cancels_open -= u32::from(!status.is_ok());
        }
        if status.is_ok() && is_cancel {
            self.totals.cancelled += 1;
        } else if status.is_ok() {
            self.totals.replaced += 1;
        }
    }

    /// An account gets a DLR for what it sent to `to`. Returns which arrival it is.
    pub(crate) fn dlr(
        &mut self,
        account: usize,
        link: u64,
        to: &str,
        id: &[u8],
        state: MessageState,
        content: Vec<u8>,
    ) -> Option<usize> {
        let now = self.now_ms();
        self.totals.dlrs += 1;
        self.note(&format!(
            "dlr {to} {} account {account} link {link}",
            state.stat()
        ));
        let Some(leg) = self.legs.get(to) else {
            self.violate(to, "a DLR for what nobody sent");
            return None;
        };
        let mut wrong = None;
        if !state.is_final() {
            // A state on the way: for who asked for those, and nothing follows from it.
            if leg.account != account || !RegisteredDelivery(leg.registered).wants_intermediate() {
                self.violate(to, "a state on the way that was not asked for");
                return None;
            }
            return Some(usize::MAX);
        }
        if leg.account != account {
            wrong = Some("a DLR of another account's message".to_owned());
        }
        if leg.id.as_ref().is_some_and(|given| given != id) {
            wrong = Some("a DLR with another id than was given".to_owned());
        }
        if let Asked::Refused(status) = leg.submitted {
            wrong = Some(format!("a DLR of a message that was refused with {status}"));
        }
        if let Some(before) = leg.dlrs.first()
            && before.content != content
        {
            wrong = Some(format!("two DLRs: {} and {}", before.state.stat(), state.stat()));
        }
        if !wishes(leg, state) {
            wrong = Some(format!("a DLR {} that was not asked for", state.stat()));
        }
        let settled = leg
            .dlrs
            .iter()
            .find(|dlr| dlr.settled_ms.is_some_and(|at| !self.may_be_lost(dlr.link, at)));
        if let Some(settled) = settled {
            wrong = Some(format!(
                "a DLR again that was acknowledged at {:?}",
                settled.settled_ms
            ));
        }
        if let Some(wrong) = wrong {
            self.violate(to, &wrong);
        }
        self.may_say(to, state);
        let leg = self.legs.get_mut(to)?;
        self.totals.dlrs_again += u64::from(!leg.dlrs.is_empty());
        leg.id.get_or_insert_with(|| id.to_vec());
        leg.dlrs.push(Dlr {
            state,
            content,
            link,
            at_ms: now,
            settled_ms: None,
        });
        Some(leg.dlrs.len() - 1)
    }

    /// The account acknowledged a DLR or an MO.
    pub(crate) fn settled(&mut self, name: &str, arrival: usize) {
        let now = self.now_ms();
        self.note(&format!("{name} acknowledged by its account"));
        let arrivals = match (self.legs.get_mut(name), self.mos.get_mut(name)) {
            (Some(leg), _) => &mut leg.dlrs,
            (None, Some(mo)) => &mut mo.arrivals,
            (None, None) => return,
        };
        // Later, the gateway has given it to another bind.
        if let Some(arrival) = arrivals.get_mut(arrival)
            && now < arrival.at_ms + RESPONSE_MS
        {
            arrival.settled_ms = Some(now);
        }
    }

    // ===== carriers =====

    /// A carrier answers a submit.
    pub(crate) fn answered(&mut self, to: &str, sighting: usize, status: CommandStatus) {
        let (at_ms, wall_ms) = (self.now_ms(), self.wall_ms());
        self.note(&format!("answer {to} {status}"));
        if let Some(seen) = self
            .legs
            .get_mut(to)
            .and_then(|leg| leg.sightings.get_mut(sighting))
        {
            seen.answer = Some(Answer {
                status,
                at_ms,
                wall_ms,
            });
        }
    }

    /// A carrier sends a final receipt; returns which of its sighting.
    pub(crate) fn receipt_sent(&mut self, to: &str, sighting: usize, state: MessageState) -> Option<usize> {
        self.note(&format!("receipt {to} {}", state.stat()));
        let seen = self.legs.get_mut(to)?.sightings.get_mut(sighting)?;
        seen.receipts.push(Receipt {
            state,
            taken_wall_ms: None,
        });
        Some(seen.receipts.len() - 1)
    }

    /// The gateway took a receipt.
    pub(crate) fn receipt_taken(&mut self, to: &str, sighting: usize, receipt: usize) {
        let wall = self.wall_max_ms();
        self.note(&format!("receipt {to} taken"));
        let seen = self
            .legs
            .get_mut(to)
            .and_then(|leg| leg.sightings.get_mut(sighting));
        if let Some(receipt) = seen.and_then(|seen| seen.receipts.get_mut(receipt)) {
            receipt.taken_wall_ms = Some(wall);
        }
    }
}

/// What the ESME asked to hear.
pub(crate) fn wish(leg: &Leg) -> ReceiptWish {
    RegisteredDelivery(leg.registered).wish(leg.version)
}

/// Whether this state is one that the ESME asked to hear.
pub(crate) fn wishes(leg: &Leg, state: MessageState) -> bool {
    let success = matches!(state, MessageState::Delivered | MessageState::Accepted);
    match wish(leg) {
        ReceiptWish::Never => false,
        ReceiptWish::Always => true,
        ReceiptWish::OnFailure => !success && state != MessageState::Unknown,
        ReceiptWish::OnSuccess => success,
    }
}
