//! What the binds of the simulated clients share: what became of each message, and when the run is over.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tidegate_codec::status::CommandStatus;
use tidegate_codec::values::{InterfaceVersion, MessageState};

use crate::clock::{Now, process_cpu};
use crate::load::hdr::HdrLog;
use crate::load::ids::{Answered, Ids, OUTSTANDING_MAX, Receipted};
use crate::load::options::Options;
use crate::load::report::Report;
use crate::load::seen::Seen;
use crate::load::shown::{Counts, Shown};
use crate::load::trouble::Trouble;
use crate::load::window::Flight;
use crate::load::work::{Attempt, Work};
use crate::traffic::wire::Bell;

/// How often the figures are shown that take time to find.
const SHOW: Duration = Duration::from_millis(200);
/// After so many attempts a peer that was never reached is given up, where that is to happen early.
const ATTEMPTS_MAX: u32 = 6;
/// Statuses that are counted apart, at most.
const STATUSES_MAX: usize = 100;

/// Microseconds of a span that began with this process.
pub(super) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Those of a clock that counts to 2^32 and begins anew: spans of up to 71 minutes can be told by it.
const fn short(micros: u64) -> u32 {
    (micros & 0xffff_ffff) as u32
}

/// The clients' books.
pub(super) struct Book {
    pub(super) report: Report,
    shown: Arc<Shown>,
    ids: Ids,
    acknowledged: Seen,
    receipted: Seen,
    work: Work,
    /// Messages refused for good.
    refused: u64,
    /// Connections that have not had their first outcome; nobody submits before all have.
    untried: usize,
    /// Connections for which there is no hope while nothing was ever bound.
    hopeless: usize,
    bells: Vec<Rc<Bell>>,
    /// The bell that was rung last for a message that was due, and how many more may be for the same ones.
    turn: usize,
    passes: usize,
    bound: u64,
    patience: Duration,
    fails_fast: bool,
    /// An answer or a receipt came last at.
    moved: Duration,
    /// Something happened last at that could not go on for ever without an answer.
    progress: Duration,
    counts: Counts,
    shown_at: Duration,
    hdr: Option<HdrLog>,
    cpu: Duration,
    over: bool,
    pub(super) over_bell: Rc<Bell>,
}

impl Book {
    /// For so many connections.
    pub(super) fn new(
        options: &Options,
        connections: usize,
        now: Now,
        shown: Arc<Shown>,
    ) -> io::Result<Self> {
        let wish = options.registered_delivery.wish(InterfaceVersion::V3_4);
        let hdr = options.hdr.as_deref().map(|path| HdrLog::create(path, now));
        Ok(Self {
            report: Report::blank(options, wish)?,
            shown,
            ids: Ids::new(wish),
            acknowledged: Seen::default(),
            receipted: Seen::default(),
            work: Work::new(options),
            refused: 0,
            untried: connections,
            hopeless: 0,
            bells: Vec::with_capacity(connections),
            turn: 0,
            passes: 0,
            bound: 0,
            patience: options.patience,
            fails_fast: options.fails_fast,
            moved: now.monotonic,
            progress: now.monotonic,
            counts: Counts::default(),
            shown_at: now.monotonic,
            hdr: hdr.transpose()?,
            cpu: process_cpu(),
            over: false,
            over_bell: Rc::default(),
        })
    }

    // ===== binds =====

    /// A connection begins; the bell wakes it.
    pub(super) fn joined(&mut self, bell: &Rc<Bell>) {
        self.bells.push(Rc::clone(bell));
    }

    /// A connection has had its first outcome, whichever.
    pub(super) fn tried(&mut self) {
        self.untried -= 1;
        if self.untried == 0 {
            self.ring();
        }
    }

    /// A bind was accepted.
    pub(super) fn bound(&mut self, now: Now) {
        if self.report.bound == 0 {
            self.progress = now.monotonic;
        }
        self.report.bound += 1;
        self.bound += 1;
    }

    /// A connection that was bound has ended, with these messages unanswered.
    pub(super) fn disconnected(&mut self, unanswered: impl Iterator<Item = Flight>) {
        self.bound -= 1;
        if !self.over {
            self.report.disconnects += 1;
            for flight in unanswered {
                self.doubt(flight.n);
            }
        }
        self.show();
    }

    /// An attempt to connect and bind has failed, or a connection has ended on its own: the `attempt`th in a row
    /// on this connection. Tells whether there is no hope left for it; `hopeless`: whether that was said before.
    pub(super) fn failed(&mut self, trouble: &Trouble, attempt: u32, hopeless: bool) -> bool {
        if self.over {
            return hopeless;
        }
        self.report.binds_refused += u64::from(matches!(trouble, Trouble::Refused(_)));
        self.report.trouble = Some(trouble.to_string());
        let is_hopeless = hopeless || trouble.is_for_good() || attempt >= ATTEMPTS_MAX;
        self.hopeless += usize::from(is_hopeless && !hopeless);
        if self.fails_fast && self.report.bound == 0 && self.hopeless == self.bells.len() {
            self.give_up();
        }
        is_hopeless
    }

    // ===== messages =====

    /// A turn of a connection begins, or time has passed.
    pub(super) fn look_at_the_clock(&mut self, now: Now) {
        self.work.look_at_the_clock(now);
    }

    /// The next message to submit and since when its latency counts, in microseconds, if there is one and the
    /// run is on.
    pub(super) fn next(&mut self, now: Now) -> Option<(u32, u64)> {
        if self.over || self.untried > 0 {
            return None;
        }
        let next = self.work.next(now, self.ids.outstanding() < OUTSTANDING_MAX)?;
        match next.attempt {
            Attempt::First => {
                self.report.submitted += 1;
                self.progress = now.monotonic;
            }
            Attempt::Again => {}
            Attempt::InDoubt => self.report.resubmitted += 1,
        }
        Some((next.n, micros(next.since)))
    }

    /// A connection has no room for what is due: the next one may have.
    pub(super) fn pass_on(&mut self) {
        if self.work.is_paced() && self.passes > 0 && self.work.has_fresh() && !self.bells.is_empty() {
            self.passes -= 1;
            self.turn = (self.turn + 1) % self.bells.len();
            self.bells[self.turn].ring();
        }
    }

    /// Time has passed: wakes a connection if something is due, and tells when to look again.
    pub(super) fn keep_pace(&mut self, now: Now) -> Duration {
        self.work.look_at_the_clock(now);
        self.passes = self.bells.len();
        self.pass_on();
        self.work.next_look(now)
    }

    /// A message was answered with success; the id is `None` where the answer had none.
    pub(super) fn acknowledged(&mut self, now: Now, account: u16, flight: Flight, id: Option<&[u8]>) {
        (self.progress, self.moved) = (now.monotonic, now.monotonic);
        let at = micros(now.monotonic);
        let took = at.saturating_sub(flight.since);
        self.report.latency_us.saturating_record(took);
        if let Some(hdr) = &mut self.hdr {
            hdr.response.saturating_record(took);
        }
        let Some(id) = id else {
            if self.acknowledged.insert(flight.n) {
                self.report.acknowledged += 1;
                self.report.without_id += 1;
            }
            return;
        };
        if self.acknowledged.insert(flight.n) {
            self.report.acknowledged += 1;
        }
        let since = short(flight.since);
        match self.ids.answered(self.ids.key(account, id), flight.n, since) {
            Answered::New => {}
            Answered::Repeated => self.report.repeated_ids += 1,
            Answered::Overtaken(state, came) => self.receipted(flight.n, state, came.wrapping_sub(since)),
        }
    }

    /// A message was answered with an error. Tells whether the bind has to slow down.
    pub(super) fn refused(&mut self, now: Now, n: u32, status: CommandStatus) -> bool {
        match status {
            CommandStatus::RTHROTTLED | CommandStatus::RMSGQFUL | CommandStatus::RSYSERR => {
                // Nothing has moved on: a peer that says nothing else is given up in the end.
                self.report.throttled += 1;
                // Behind 0x08 the message may have reached the disk all the same.
                let may_double = status == CommandStatus::RSYSERR;
                let attempt = if may_double {
                    Attempt::InDoubt
                } else {
                    Attempt::Again
                };
                self.work.put_back(n, attempt);
                true
            }
            _ => {
                (self.progress, self.moved) = (now.monotonic, now.monotonic);
                // Vendors' codes are many, a table of them is not.
                let known =
                    self.report.refused.len() < STATUSES_MAX || self.report.refused.contains_key(&status.0);
                let status = if known { status } else { CommandStatus::RUNKNOWNERR };
                *self.report.refused.entry(status.0).or_default() += 1;
                self.refused += 1;
                false
            }
        }
    }

    /// Nobody knows what became of a submit.
    pub(super) fn doubt(&mut self, n: u32) {
        self.report.in_doubt += 1;
        self.work.put_back(n, Attempt::InDoubt);
        self.ring();
    }

    // ===== deliveries =====

    /// A final receipt came.
    pub(super) fn receipt(&mut self, now: Now, account: u16, id: &[u8], state: MessageState) {
        let at = short(micros(now.monotonic));
        match self.ids.receipted(self.ids.key(account, id), state, at) {
            Receipted::First(n, since) => {
                (self.progress, self.moved) = (now.monotonic, now.monotonic);
                self.receipted(n, state, at.wrapping_sub(since));
            }
            // It has overtaken the answer, or belongs to a submit whose answer was lost.
            Receipted::Early => {}
            Receipted::Again => self.report.repeated_receipts += 1,
            Receipted::Unknown => self.report.unknown_receipts += 1,
        }
    }

    fn receipted(&mut self, n: u32, state: MessageState, took: u32) {
        // A message taken twice has two ids and two receipts; it is one message all the same.
        if self.receipted.insert(n) {
            self.report.receipts += 1;
            self.report.not_delivered += u64::from(state != MessageState::Delivered);
            if let Some(count) = self.report.receipts_by_state.get_mut(usize::from(state.octet())) {
                *count += 1;
            }
            self.report.receipt_us.saturating_record(took.into());
            if let Some(hdr) = &mut self.hdr {
                hdr.receipt.saturating_record(took.into());
            }
        }
    }

    // ===== the end =====

    /// After every wake of a connection: whether everything is done, and the figures.
    pub(super) fn settle(&mut self, now: Now) {
        let report = &self.report;
        let answered = report.acknowledged + self.refused >= u64::from(self.work.limit());
        let receipted = !report.wants_receipts || report.receipts + report.without_id >= report.acknowledged;
        if answered && receipted && !self.over {
            self.end();
        }
        if self.work.is_paced() {
            self.counts.backlog = self.work.backlog();
        }
        if now.monotonic.saturating_sub(self.shown_at) >= SHOW {
            self.shown_at = now.monotonic;
            self.counts.p99_us = self.report.latency_us.value_at_quantile(0.99);
            if let Some(hdr) = self.hdr.take_if(|hdr| hdr.is_due(now.monotonic)) {
                self.hdr = self.kept(hdr.written(now.monotonic));
            }
        }
        self.show();
    }

    pub(super) const fn is_over(&self) -> bool {
        self.over
    }

    /// Submits nothing new. Tells whether that is news.
    pub(super) fn wind_down(&mut self) -> bool {
        self.work.wind_down()
    }

    /// Ends at once.
    pub(super) fn stop(&mut self) {
        if !self.over {
            self.report.stopped = true;
            self.end();
        }
    }

    fn give_up(&mut self) {
        self.report.gave_up = true;
        self.end();
    }

    fn end(&mut self) {
        self.over = true;
        self.over_bell.ring();
        self.ring();
    }

    /// When to look again whether it is time to end.
    pub(super) fn look_again_at(&self, now: Now) -> Duration {
        let gives_up = self.progress.saturating_add(self.patience);
        self.work.over_at(now).map_or(gives_up, |over| over.min(gives_up))
    }

    /// Gives up if nothing has happened for too long.
    pub(super) fn look_at(&mut self, now: Now) {
        self.look_at_the_clock(now);
        if !self.over && now.monotonic >= self.progress.saturating_add(self.patience) {
            let report = &self.report;
            let answered = report.acknowledged + self.refused >= report.submitted;
            let receipted =
                !report.wants_receipts || report.receipts + report.without_id >= report.acknowledged;
            if self.bound > 0 && self.work.is_ahead() && answered && receipted {
                // All is well, and the next message is not due yet.
                self.progress = now.monotonic;
            } else {
                self.give_up();
            }
        }
        self.settle(now);
    }

    pub(super) fn take_report(&mut self, now: Now) -> Report {
        if let Some(hdr) = self.hdr.take() {
            let finished = hdr.finish(now.monotonic);
            self.kept(finished);
        }
        self.report.messages = self.work.limit().into();
        self.report.elapsed = self.elapsed();
        self.report.unknown_receipts += self.ids.early() as u64;
        self.report.lateness = self.work.lateness();
        self.report.cpu = process_cpu().saturating_sub(self.cpu);
        self.report.acknowledged_marks = self.acknowledged.take_first();
        self.report.receipt_marks = self.receipted.take_first();
        self.report.clone()
    }

    /// What a log of latencies has come to; one that cannot be written ends, and the run goes on.
    fn kept<T>(&mut self, written: io::Result<T>) -> Option<T> {
        written
            .map_err(|error| self.report.hdr_error = Some(error.to_string()))
            .ok()
    }

    fn elapsed(&self) -> Duration {
        self.work
            .started()
            .map_or(Duration::ZERO, |started| self.moved.saturating_sub(started))
    }

    fn ring(&self) {
        for bell in &self.bells {
            bell.ring();
        }
    }

    fn show(&mut self) {
        self.counts = Counts {
            submitted: self.report.submitted,
            acknowledged: self.report.acknowledged,
            receipts: self.report.receipts,
            throttled: self.report.throttled,
            bound: self.bound,
            elapsed_ms: u64::try_from(self.elapsed().as_millis()).unwrap_or(u64::MAX),
            ..self.counts
        };
        self.shown.set(self.counts);
    }
}
