//! What the binds of the simulated clients share: which message is next, and what became of each.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use hdrhistogram::Histogram;
use tidegate_codec::message_id::MessageIdText;
use tidegate_codec::status::CommandStatus;
use tidegate_codec::values::{InterfaceVersion, MessageState, ReceiptWish};

use crate::clock::Now;
use crate::load::{Counts, Options, Report, Shown};
use crate::traffic::marks::Marks;
use crate::traffic::wire::Bell;

/// Ids that receipts name and no answer has named yet, at most; further ones are only counted.
const EARLY_MAX: u64 = 1 << 18;
/// The longest latency that is told apart, in microseconds; longer ones count as this.
const LATENCY_MAX_US: u64 = 600_000_000;

/// What is known of one message id.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// The message that it was given to; unknown while only a receipt has named it.
    n: Option<u32>,
    receipted: bool,
    not_delivered: bool,
}

/// The clients' books.
pub(super) struct Book {
    report: Report,
    shown: Arc<Shown>,
    ids: HashMap<MessageIdText, Known>,
    early: u64,
    /// The message that was never submitted yet.
    fresh: u32,
    /// Messages to submit again, and whether they may have been taken before.
    again: VecDeque<(u32, bool)>,
    /// Messages refused for good.
    refused: u64,
    /// Binds that have not had their first answer; nobody submits before all have.
    untried: usize,
    bells: Vec<Rc<Bell>>,
    bound: u64,
    patience: Duration,
    started: Option<Duration>,
    /// Something happened last at.
    progress: Duration,
    over: bool,
    pub(super) over_bell: Rc<Bell>,
}

impl Book {
    pub(super) fn new(options: &Options, now: Now, shown: Arc<Shown>) -> io::Result<Self> {
        let latency_us = Histogram::new_with_bounds(1, LATENCY_MAX_US, 3).map_err(io::Error::other)?;
        let wish = options.registered_delivery.wish(InterfaceVersion::V3_4);
        let report = Report {
            run: options.run,
            messages: u64::from(options.messages),
            submitted: 0,
            acknowledged: 0,
            refused: BTreeMap::new(),
            throttled: 0,
            in_doubt: 0,
            resubmitted: 0,
            receipts: 0,
            not_delivered: 0,
            repeated_receipts: 0,
            unknown_receipts: 0,
            repeated_ids: 0,
            mobile_originated: 0,
            bound: 0,
            binds_refused: 0,
            disconnects: 0,
            latency_us,
            elapsed: Duration::ZERO,
            gave_up: false,
            acknowledged_marks: Marks::default(),
            receipt_marks: Marks::default(),
            wants_receipts: wish == ReceiptWish::Always,
        };
        Ok(Self {
            report,
            shown,
            ids: HashMap::with_capacity(options.messages as usize),
            early: 0,
            fresh: 0,
            again: VecDeque::new(),
            refused: 0,
            untried: options.binds,
            bells: Vec::new(),
            bound: 0,
            patience: options.patience,
            started: None,
            progress: now.monotonic,
            over: false,
            over_bell: Rc::default(),
        })
    }

    // ===== binds =====

    /// A client begins; the bell wakes it.
    pub(super) fn joined(&mut self, bell: &Rc<Bell>) {
        self.bells.push(Rc::clone(bell));
    }

    /// A bind was answered; `first` for the first time on this client.
    pub(super) fn bind_answered(&mut self, now: Now, accepted: bool, first: bool) {
        if accepted {
            self.report.bound += 1;
            self.bound += 1;
            self.progress = now.monotonic;
        } else {
            self.report.binds_refused += 1;
        }
        if first {
            self.untried -= 1;
            if self.untried == 0 {
                self.ring();
            }
        }
    }

    /// A connection has ended with these messages unanswered.
    pub(super) fn disconnected(&mut self, was_bound: bool, unanswered: impl Iterator<Item = u32>) {
        self.bound -= u64::from(was_bound);
        if !self.over {
            self.report.disconnects += 1;
        }
        for n in unanswered {
            self.doubt(n);
        }
        self.show();
    }

    // ===== messages =====

    /// The next message to submit, if there is one and the run is on.
    pub(super) fn next(&mut self, now: Now) -> Option<u32> {
        if self.over || self.untried > 0 {
            return None;
        }
        self.started.get_or_insert(now.monotonic);
        if let Some((n, may_double)) = self.again.pop_front() {
            self.report.resubmitted += u64::from(may_double);
            return Some(n);
        }
        (u64::from(self.fresh) < self.report.messages).then(|| {
            self.report.submitted += 1;
            self.fresh += 1;
            self.fresh - 1
        })
    }

    /// A message was answered with an id.
    pub(super) fn acknowledged(&mut self, now: Now, n: u32, took: Duration, id: MessageIdText) {
        self.progress = now.monotonic;
        let took = u64::try_from(took.as_micros()).unwrap_or(LATENCY_MAX_US);
        self.report.latency_us.saturating_record(took);
        if self.report.acknowledged_marks.insert(n) {
            self.report.acknowledged += 1;
        }
        let known = self.ids.entry(id).or_default();
        match known.n.replace(n) {
            None if known.receipted => {
                let not_delivered = known.not_delivered;
                self.early -= 1;
                self.receipted(n, not_delivered);
            }
            None => {}
            Some(_) => self.report.repeated_ids += 1,
        }
    }

    /// A message was answered with an error. Tells whether the bind has to slow down.
    pub(super) fn refused(&mut self, now: Now, n: u32, status: CommandStatus) -> bool {
        self.progress = now.monotonic;
        match status {
            CommandStatus::RTHROTTLED | CommandStatus::RMSGQFUL | CommandStatus::RSYSERR => {
                self.report.throttled += 1;
                // Behind 0x08 the message may have reached the disk all the same.
                self.again.push_back((n, status == CommandStatus::RSYSERR));
                true
            }
            _ => {
                *self.report.refused.entry(status.0).or_default() += 1;
                self.refused += 1;
                false
            }
        }
    }

    /// Nobody knows what became of a submit.
    pub(super) fn doubt(&mut self, n: u32) {
        self.report.in_doubt += 1;
        self.again.push_back((n, true));
        self.ring();
    }

    // ===== deliveries =====

    /// A receipt came.
    pub(super) fn receipt(&mut self, now: Now, id: MessageIdText, state: MessageState) {
        self.progress = now.monotonic;
        let not_delivered = state != MessageState::Delivered;
        match self.ids.entry(id) {
            Entry::Occupied(mut entry) => {
                let known = entry.get_mut();
                if known.receipted {
                    self.report.repeated_receipts += 1;
                    return;
                }
                known.receipted = true;
                if let Some(n) = known.n {
                    self.receipted(n, not_delivered);
                }
            }
            Entry::Vacant(_) if self.early >= EARLY_MAX => self.report.unknown_receipts += 1,
            // It has overtaken the answer, or belongs to a submit whose answer was lost.
            Entry::Vacant(entry) => {
                entry.insert(Known {
                    n: None,
                    receipted: true,
                    not_delivered,
                });
                self.early += 1;
            }
        }
    }

    fn receipted(&mut self, n: u32, not_delivered: bool) {
        // A message taken twice has two ids and two receipts; it is one message all the same.
        if self.report.receipt_marks.insert(n) {
            self.report.receipts += 1;
            self.report.not_delivered += u64::from(not_delivered);
        }
    }

    pub(super) fn mobile_originated(&mut self) {
        self.report.mobile_originated += 1;
    }

    // ===== the end =====

    /// After every wake of a bind: whether everything is done, and the figures.
    pub(super) fn settle(&mut self, now: Now) {
        let answered = self.report.acknowledged + self.refused >= self.report.messages;
        let receipted = !self.report.wants_receipts || self.report.receipts >= self.report.acknowledged;
        if answered && receipted && !self.over {
            self.report.elapsed = self.elapsed(now.monotonic);
            self.stop();
        }
        self.show();
    }

    pub(super) const fn is_over(&self) -> bool {
        self.over
    }

    pub(super) fn stop(&mut self) {
        if !self.over {
            self.over = true;
            self.over_bell.ring();
            self.ring();
        }
    }

    pub(super) const fn gives_up_at(&self) -> Duration {
        self.progress.saturating_add(self.patience)
    }

    /// Gives up if nothing has happened for too long.
    pub(super) fn look_at(&mut self, now: Now) {
        if now.monotonic >= self.gives_up_at() {
            self.report.gave_up = true;
            self.stop();
        }
    }

    pub(super) fn take_report(&mut self) -> Report {
        if self.report.elapsed.is_zero() {
            self.report.elapsed = self.elapsed(self.progress);
        }
        self.report.unknown_receipts += self.early;
        self.early = 0;
        self.report.clone()
    }

    fn elapsed(&self, until: Duration) -> Duration {
        self.started
            .map_or(Duration::ZERO, |started| until.saturating_sub(started))
    }

    fn ring(&self) {
        for bell in &self.bells {
            bell.ring();
        }
    }

    fn show(&self) {
        let elapsed = self.elapsed(self.progress);
        self.shown.set(Counts {
            submitted: self.report.submitted,
            acknowledged: self.report.acknowledged,
            receipts: self.report.receipts,
            throttled: self.report.throttled,
            bound: self.bound,
            elapsed_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
        });
    }
}
