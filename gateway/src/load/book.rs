//! What the binds of the simulated clients share: what became of each message, and when the run is over.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tidegate_codec::status::CommandStatus;
use tidegate_codec::values::{InterfaceVersion, MessageState};

use crate::clock::{Now, process_cpu};
use crate::load::hdr::HdrLog;
use crate::load::ids::{Answered, Ids, OUTSTANDING_MAX, Receipted, between, coarse};
use crate::load::links::Links;
use crate::load::options::Options;
use crate::load::report::Report;
use crate::load::seen::Seen;
use crate::load::shown::{Counts, Shown};
use crate::load::trouble::Trouble;
use crate::load::window::Flight;
use crate::load::work::{Attempt, Next, Work};
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

/// The clients' books.
pub(super) struct Book {
    pub(super) report: Report,
    shown: Arc<Shown>,
    ids: Ids,
    acknowledged: Seen,
    receipted: Seen,
    /// Messages refused for good, and how many they are.
    refused: Seen,
    refusals: u64,
    work: Work,
    links: Links,
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
        let hdr = options.hdr.as_deref().map(|path| {
            HdrLog::create(path, now).map_err(|error| {
                let what = format!("cannot write latencies to {}: {error}", path.display());
                io::Error::new(error.kind(), what)
            })
        });
        Ok(Self {
            report: Report::blank(options, wish)?,
            shown,
            ids: Ids::new(wish),
            acknowledged: Seen::default(),
            receipted: Seen::default(),
            refused: Seen::default(),
            refusals: 0,
            work: Work::new(options),
            links: Links::new(connections),
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
        self.links.joined(bell);
    }

    /// A connection has had its first outcome, whichever. Nobody submits before all have.
    pub(super) fn tried(&mut self) {
        self.links.tried();
    }

    /// A bind was accepted, for the first time on this connection or again.
    pub(super) fn bound(&mut self, now: Now, bell: &Rc<Bell>, may_submit: bool, is_first: bool) {
        if self.report.bound == 0 {
            self.progress = now.monotonic;
        }
        self.report.bound += 1;
        self.links.bound_one(bell, may_submit, is_first);
    }

    /// A connection that was bound has ended, with these messages unanswered.
    pub(super) fn disconnected(&mut self, bell: &Rc<Bell>, unanswered: impl Iterator<Item = Flight>) {
        self.links.gone(bell);
        if !self.over {
            self.report.disconnects += 1;
            for flight in unanswered {
                self.doubt(flight);
            }
            // Others submit again what it had waiting, its own last "not now" included.
            self.links.ring_submitters();
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
        if is_hopeless && !hopeless {
            self.links.gave_up_one();
        }
        if self.fails_fast && self.report.bound == 0 && self.links.all_hopeless() {
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
        if self.over || !self.links.all_tried() {
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
        if self.work.is_paced() && self.work.has_fresh() {
            self.links.ring_next();
        }
    }

    /// Time has passed: wakes a connection if something is due, and tells when to look again.
    pub(super) fn keep_pace(&mut self, now: Now) -> Duration {
        self.work.look_at_the_clock(now);
        self.links.start_round();
        self.pass_on();
        self.work.next_look(now)
    }

    /// A message was answered with success; the id is `None` where the answer had none.
    pub(super) fn acknowledged(&mut self, now: Now, account: u16, flight: Flight, id: Option<&[u8]>) {
        (self.progress, self.moved) = (now.monotonic, now.monotonic);
        let at = micros(now.monotonic);
        // A message has one answer that counts: the first. One that came after all for an earlier submit, or for a
        // later one that was made in doubt, is another id of the same message.
        if !self.refused.has(flight.n) && self.acknowledged.insert(flight.n) {
            self.report.acknowledged += 1;
            self.report.without_id += u64::from(id.is_none());
            let took = at.saturating_sub(flight.since);
            self.report.latency_us.saturating_record(took);
            if let Some(hdr) = &mut self.hdr {
                hdr.response.saturating_record(took);
            }
        }
        let Some(id) = id else { return };
        let since = coarse(flight.since);
        match self.ids.answered(self.ids.key(account, id), flight.n, since) {
            Answered::New => {}
            Answered::Repeated => self.report.repeated_ids += 1,
            Answered::Overtaken(state, came) => self.receipted(flight.n, state, between(since, came)),
        }
    }

    /// A submit that was given up was answered after all, with success or not.
    pub(super) fn answered_late(
        &mut self,
        now: Now,
        account: u16,
        flight: Flight,
        id: Option<Option<&[u8]>>,
    ) {
        self.report.late_answers += 1;
        if let Some(id) = id {
            self.acknowledged(now, account, flight, id);
        }
    }

    /// A message was answered with an error. Tells whether the bind has to slow down.
    pub(super) fn refused(&mut self, now: Now, flight: Flight, status: CommandStatus) -> bool {
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
                self.put_back(flight, attempt);
                true
            }
            _ => {
                (self.progress, self.moved) = (now.monotonic, now.monotonic);
                // Another submit of it may have been taken, or was refused before.
                if !self.acknowledged.has(flight.n) && self.refused.insert(flight.n) {
                    // Vendors' codes are many, a table of them is not.
                    let table = &mut self.report.refused;
                    let known = table.len() < STATUSES_MAX || table.contains_key(&status.0);
                    let status = if known { status } else { CommandStatus::RUNKNOWNERR };
                    *table.entry(status.0).or_default() += 1;
                    self.refusals += 1;
                }
                false
            }
        }
    }

    /// Nobody knows what became of a submit.
    pub(super) fn doubt(&mut self, flight: Flight) {
        self.report.in_doubt += 1;
        self.put_back(flight, Attempt::InDoubt);
    }

    /// What was put back may be submitted by any connection.
    pub(super) fn ring_submitters(&self) {
        self.links.ring_submitters();
    }

    fn put_back(&mut self, flight: Flight, attempt: Attempt) {
        // What another submit of it has settled needs no further one.
        if !self.acknowledged.has(flight.n) && !self.refused.has(flight.n) {
            let since = Duration::from_micros(flight.since);
            let n = flight.n;
            self.work.put_back(Next { n, since, attempt });
        }
    }

    // ===== deliveries =====

    /// A final receipt came.
    pub(super) fn receipt(&mut self, now: Now, account: u16, id: &[u8], state: MessageState) {
        let at = coarse(micros(now.monotonic));
        match self.ids.receipted(self.ids.key(account, id), state, at) {
            Receipted::First(n, since) => {
                (self.progress, self.moved) = (now.monotonic, now.monotonic);
                self.receipted(n, state, between(since, at));
            }
            // It has overtaken the answer, or belongs to a submit whose answer was lost.
            Receipted::Early => {}
            Receipted::Again => self.report.repeated_receipts += 1,
            Receipted::Unknown => self.report.unknown_receipts += 1,
        }
    }

    fn receipted(&mut self, n: u32, state: MessageState, took_us: u64) {
        // A message taken twice has two ids and two receipts; it is one message all the same.
        if self.receipted.insert(n) {
            self.report.receipts += 1;
            self.report.not_delivered += u64::from(state != MessageState::Delivered);
            if let Some(count) = self.report.receipts_by_state.get_mut(usize::from(state.octet())) {
                *count += 1;
            }
            self.report.receipt_us.saturating_record(took_us);
            if let Some(hdr) = &mut self.hdr {
                hdr.receipt.saturating_record(took_us);
            }
        }
    }

    // ===== the end =====

    /// After every wake of a connection: whether everything is done, and the figures.
    pub(super) fn settle(&mut self, now: Now) {
        if !self.over && self.is_followed(self.work.limit().into()) {
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

    /// Submits nothing new, because a signal says so; what was submitted is still followed to its end.
    pub(super) fn wind_down(&mut self, now: Now) {
        let asked = self.work.limit();
        self.look_at_the_clock(now);
        self.work.wind_down(now.monotonic);
        // Where no number was given, when it is enough is for the signal to say.
        if asked != u32::MAX && self.work.limit() < asked {
            self.report.cut_short = Some(asked.into());
        }
        self.settle(now);
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
        if self.work.limit() == u32::MAX {
            self.work.close();
        }
        self.over_bell.ring();
        self.links.ring_all();
    }

    /// Whether so many messages were answered for good, and every receipt has come that will.
    fn is_followed(&self, messages: u64) -> bool {
        let report = &self.report;
        report.acknowledged + self.refusals >= messages
            && (!report.wants_receipts || report.receipts + report.without_id >= report.acknowledged)
    }

    /// When to look again whether it is time to end.
    pub(super) fn look_again_at(&self, now: Now) -> Duration {
        let gives_up = self.progress.saturating_add(self.patience);
        self.work.over_at(now).map_or(gives_up, |over| over.min(gives_up))
    }

    /// Ends if everything is done, and gives up if nothing has happened for too long.
    pub(super) fn look_at(&mut self, now: Now) {
        self.look_at_the_clock(now);
        self.settle(now);
        if !self.over && now.monotonic >= self.progress.saturating_add(self.patience) {
            if self.links.bound() > 0 && self.work.is_ahead() && self.is_followed(self.report.submitted) {
                // All is well, and the next message is not due yet.
                self.progress = now.monotonic;
            } else {
                self.give_up();
            }
        }
        self.show();
    }

    pub(super) fn take_report(&mut self, now: Now) -> Report {
        if let Some(hdr) = self.hdr.take() {
            let finished = hdr.finish(now.monotonic);
            self.kept(finished);
        }
        self.report.messages = self.work.limit().into();
        self.report.not_sent = self.work.not_sent();
        self.report.binds_asked = self.links.asked() as u64;
        self.report.binds_ever = self.links.ever_bound() as u64;
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

    fn show(&mut self) {
        self.counts = Counts {
            submitted: self.report.submitted,
            acknowledged: self.report.acknowledged,
            receipts: self.report.receipts,
            throttled: self.report.throttled,
            bound: self.links.bound() as u64,
            refused: self.refusals,
            elapsed_ms: u64::try_from(self.elapsed().as_millis()).unwrap_or(u64::MAX),
            ..self.counts
        };
        self.shown.set(self.counts);
    }
}
