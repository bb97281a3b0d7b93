//! What the clients have seen, and whether that is all that should have been.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use hdrhistogram::Histogram;
use tidegate_codec::status::CommandStatus;
use tidegate_codec::values::{MessageState, ReceiptWish};

use crate::load::options::Options;
use crate::load::pace::Lateness;
use crate::load::trouble::{seconds, status_name};
use crate::traffic::marks::Marks;

/// What the clients have seen.
#[derive(Clone, Debug)]
pub struct Report {
    /// Where they were told to bind.
    pub server: SocketAddr,
    /// The run.
    pub run: u32,
    /// Messages that were to be sent; where a duration or a signal ended that, those that were sent.
    pub messages: u64,
    /// Messages that were due before the duration or a signal ended the run, and that windows held back for more
    /// than a second behind that end; never sent, and not among `messages`.
    pub not_sent: u64,
    /// How many messages were asked for, where a signal ended the run before they were sent.
    pub cut_short: Option<u64>,
    /// Messages sent at least once.
    pub submitted: u64,
    /// Messages answered with success.
    pub acknowledged: u64,
    /// Of these, those whose answer had no id to know the receipt by.
    pub without_id: u64,
    /// Messages refused for good, by status.
    pub refused: BTreeMap<u32, u64>,
    /// Answers that said "not now" (0x58, 0x14, 0x08); the message was submitted again.
    pub throttled: u64,
    /// Submits whose answer never came; the message was submitted again.
    pub in_doubt: u64,
    /// Submits of a message that had been submitted before and may have been taken then: after no answer,
    /// or after 0x08.
    pub resubmitted: u64,
    /// Messages whose receipt came.
    pub receipts: u64,
    /// These receipts by the state that they name, indexed by [`MessageState::octet`].
    pub receipts_by_state: [u64; STATES],
    /// Of these, those with a state other than delivered.
    pub not_delivered: u64,
    /// Receipts with the id of a message whose receipt had come, among the last 8 192 finished ones. Whoever
    /// delivers at least once repeats some after a lost connection: told, and no problem.
    pub repeated_receipts: u64,
    /// Receipts with an id that no answer named, or that was finished longer ago. Messages in doubt have such.
    pub unknown_receipts: u64,
    /// Ids that were given twice, the second time while the first message waited for its receipt or was among
    /// the last 8 192 finished ones (4 096 where no receipts are asked for).
    pub repeated_ids: u64,
    /// Ids longer than the 64 octets that SMPP allows; they were followed all the same.
    pub oversized_ids: u64,
    /// Answers that came after their submit was given up; those with success were counted.
    pub late_answers: u64,
    /// Deliveries that are no receipts.
    pub mobile_originated: u64,
    /// Answers to requests that were never made, or given up so long ago that they are forgotten.
    pub unexpected: u64,
    /// Requests of the peer that could not be read.
    pub unreadable: u64,
    /// Connections that were to be bound.
    pub binds_asked: u64,
    /// Of these, those that were bound at one time or another.
    pub binds_ever: u64,
    /// Binds accepted.
    pub bound: u64,
    /// Binds refused.
    pub binds_refused: u64,
    /// Bound connections that ended on their own.
    pub disconnects: u64,
    /// To the answer, in microseconds, from the submit or, where there is a rate, from when it was due.
    pub latency_us: Histogram<u64>,
    /// The same to the receipt.
    pub receipt_us: Histogram<u64>,
    /// From the first submit to the last answer or receipt.
    pub elapsed: Duration,
    /// How the submits kept to the rate.
    pub lateness: Lateness,
    /// Processor time of this process from start to end, all its threads together.
    pub cpu: Duration,
    /// Nothing happened any more before everything was done.
    pub gave_up: bool,
    /// A signal or [`super::Load::stop`] ended it before everything was done.
    pub stopped: bool,
    /// How long nothing may happen.
    pub patience: Duration,
    /// The last thing that went wrong with a connection, in words.
    pub trouble: Option<String>,
    /// Why the log of latencies is not whole.
    pub hdr_error: Option<String>,
    /// The messages answered with an id, up to [`crate::traffic::marks::MARKS_MAX`].
    pub acknowledged_marks: Marks,
    /// The messages whose receipt came, up to [`crate::traffic::marks::MARKS_MAX`].
    pub receipt_marks: Marks,
    /// Whether every message was to have a receipt.
    pub wants_receipts: bool,
}

/// The longest latency that is told apart, in microseconds; longer ones count as this.
const LATENCY_MAX_US: u64 = 600_000_000;
/// An empty histogram of latencies.
pub(super) fn latencies() -> io::Result<Histogram<u64>> {
    Histogram::new_with_bounds(1, LATENCY_MAX_US, 3).map_err(io::Error::other)
}

/// States that a receipt can name.
pub const STATES: usize = MessageState::ALL.len();

impl Report {
    /// A report of nothing.
    pub(super) fn blank(options: &Options, wish: ReceiptWish) -> io::Result<Self> {
        Ok(Self {
            server: options.server,
            run: options.run,
            messages: options.messages.into(),
            not_sent: 0,
            cut_short: None,
            submitted: 0,
            acknowledged: 0,
            without_id: 0,
            refused: BTreeMap::new(),
            throttled: 0,
            in_doubt: 0,
            resubmitted: 0,
            receipts: 0,
            receipts_by_state: [0; STATES],
            not_delivered: 0,
            repeated_receipts: 0,
            unknown_receipts: 0,
            repeated_ids: 0,
            oversized_ids: 0,
            late_answers: 0,
            mobile_originated: 0,
            unexpected: 0,
            unreadable: 0,
            binds_asked: 0,
            binds_ever: 0,
            bound: 0,
            binds_refused: 0,
            disconnects: 0,
            latency_us: latencies()?,
            receipt_us: latencies()?,
            elapsed: Duration::ZERO,
            lateness: Lateness::default(),
            cpu: Duration::ZERO,
            gave_up: false,
            stopped: false,
            patience: options.patience,
            trouble: None,
            hdr_error: None,
            acknowledged_marks: Marks::default(),
            receipt_marks: Marks::default(),
            wants_receipts: wish == ReceiptWish::Always,
        })
    }

    /// Messages refused for good.
    pub fn refused_in_all(&self) -> u64 {
        self.refused.values().sum()
    }

    /// Messages that were neither acknowledged nor refused for good.
    pub fn unanswered(&self) -> u64 {
        self.messages
            .saturating_sub(self.acknowledged + self.refused_in_all())
    }

    /// Acknowledged messages whose receipt was asked for and did not come.
    pub const fn lost(&self) -> u64 {
        if self.wants_receipts {
            self.acknowledged.saturating_sub(self.receipts)
        } else {
            0
        }
    }

    /// Whether every message was acknowledged, and every receipt came that was asked for.
    pub fn is_whole(&self) -> bool {
        self.problem().is_none()
    }

    /// Messages acknowledged in a second.
    pub fn msgs_per_s(&self) -> f64 {
        let elapsed = self.elapsed.as_secs_f64();
        if elapsed > 0.0 {
            float(self.acknowledged) / elapsed
        } else {
            0.0
        }
    }

    /// Microseconds of processor time for each acknowledged message.
    pub fn cpu_us_per_message(&self) -> Option<f64> {
        (self.acknowledged > 0).then(|| self.cpu.as_secs_f64() * 1e6 / float(self.acknowledged))
    }

    /// What is not as it should be, in a sentence that begins with the peer's address; `None` when all is well.
    pub fn problem(&self) -> Option<String> {
        let mut parts = Vec::new();
        if self.bound == 0 {
            let trouble = self.trouble.as_deref();
            let stopped = self
                .stopped
                .then_some("stopped before the first bind was answered");
            let what = trouble.or(stopped).unwrap_or("the bind was not answered");
            return Some(format!("{}: {what}", self.server));
        }
        if self.gave_up {
            parts.push(format!(
                "gave up after {} without progress",
                seconds(self.patience)
            ));
        }
        if let Some(asked) = self.cut_short {
            parts.push(format!(
                "ended by a signal: {} of {asked} messages sent",
                self.messages
            ));
        }
        if self.binds_ever < self.binds_asked {
            parts.push(format!(
                "never bound: {} of {} connections",
                self.binds_asked - self.binds_ever,
                self.binds_asked
            ));
        }
        if let Some(error) = &self.hdr_error {
            parts.push(format!("the log of latencies is not whole: {error}"));
        }
        for (count, what) in [
            (self.unanswered(), "messages not answered"),
            (self.not_sent, "messages due and never sent"),
            (self.lost(), "acknowledged messages without a receipt"),
            (self.repeated_ids, "ids given twice"),
        ] {
            push_count(&mut parts, count, what);
        }
        let refused = self
            .refused
            .iter()
            .map(|(status, count)| format!("{} {count}", status_name(CommandStatus(*status))));
        let refused: Vec<String> = refused.collect();
        if !refused.is_empty() {
            parts.push(format!("messages refused: {}", refused.join(", ")));
        }
        if parts.is_empty() {
            return None;
        }
        if self.stopped {
            parts.insert(0, "stopped before the end".to_owned());
        }
        // What may be behind it.
        for (count, what) in [
            (self.unexpected, "answers to requests that were never made"),
            (self.without_id, "answers without a message_id"),
            (self.unknown_receipts, "receipts for ids that no answer named"),
            (self.throttled, "answers \"not now\""),
            (self.unreadable, "requests that cannot be read"),
            (self.late_answers, "answers after their time"),
            (self.oversized_ids, "ids longer than 64 octets"),
        ] {
            push_count(&mut parts, count, what);
        }
        parts.extend(self.trouble.clone());
        Some(format!("{}: {}", self.server, parts.join("; ")))
    }
}

fn push_count(parts: &mut Vec<String>, count: u64, what: &str) {
    if count > 0 {
        parts.push(format!("{what}: {count}"));
    }
}

/// Counts of messages are far below 2^53.
#[expect(clippy::cast_precision_loss, reason = "shown, never counted with")]
pub(super) const fn float(count: u64) -> f64 {
    count as f64
}
