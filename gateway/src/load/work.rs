//! Which message is submitted next, and since when its latency counts.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Now;
use crate::load::options::Options;
use crate::load::pace::{Lateness, Pace};

/// A message to submit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Next {
    /// Its number in the run.
    pub(super) n: u32,
    /// Since when its latency counts, on the monotonic clock.
    pub(super) since: Duration,
    pub(super) attempt: Attempt,
}

/// Which submit of a message it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    First,
    /// One after an answer that said "not now".
    Again,
    /// One after a submit that may have been taken: the peer may get the message twice.
    InDoubt,
}

/// The messages of a run that are still to be submitted.
pub(super) struct Work {
    /// The message that was never submitted yet.
    fresh: u32,
    /// No message from this one on is submitted.
    limit: u32,
    /// Messages to submit again. As many as all windows hold, at most: nothing fresh is submitted while one
    /// waits here.
    again: VecDeque<(u32, Attempt)>,
    pace: Pace,
    /// Messages due so far.
    due: u64,
    duration: Option<Duration>,
    started: Option<Duration>,
}

impl Work {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            fresh: 0,
            limit: options.messages,
            again: VecDeque::new(),
            pace: Pace::new(options.rate),
            due: 0,
            duration: options.duration,
            started: None,
        }
    }

    // ===== state =====

    /// Whether there is a rate.
    pub(super) fn is_paced(&self) -> bool {
        self.pace.is_open()
    }

    /// When the first message was taken out.
    pub(super) const fn started(&self) -> Option<Duration> {
        self.started
    }

    /// The number of the first message that is not to be submitted.
    pub(super) const fn limit(&self) -> u32 {
        self.limit
    }

    pub(super) const fn lateness(&self) -> Lateness {
        self.pace.lateness
    }

    /// Whether a message is due that was never submitted.
    pub(super) fn has_fresh(&self) -> bool {
        self.fresh < self.limit && u64::from(self.fresh) < self.due
    }

    /// Whether there is a message that was never submitted and is not due yet.
    pub(super) fn is_ahead(&self) -> bool {
        self.fresh < self.limit && !self.has_fresh()
    }

    /// Messages due and never submitted, with a rate; it is kept in mind for the report.
    pub(super) fn backlog(&mut self) -> u64 {
        let due = self.due.min(u64::from(self.limit));
        let backlog = due.saturating_sub(self.fresh.into());
        self.pace.backlog(backlog);
        backlog
    }

    // ===== time =====

    /// Time has passed: more may be due, or nothing any more.
    pub(super) fn look_at_the_clock(&mut self, now: Now) {
        if self.pace.is_open() {
            self.due = self.pace.due(now.monotonic);
        }
        if let (Some(duration), Some(started)) = (self.duration, self.started)
            && now.monotonic.saturating_sub(started) >= duration
        {
            self.wind_down();
        }
    }

    /// When the next fresh message is due, or the next look at the clock.
    pub(super) fn next_look(&self, now: Now) -> Duration {
        self.pace.next_look(self.fresh, now.monotonic)
    }

    /// When its duration is over, if that ends anything. Where it has not begun, it may begin now.
    pub(super) fn over_at(&self, now: Now) -> Option<Duration> {
        let duration = self.duration.filter(|_| self.limit > self.fresh)?;
        Some(self.started.unwrap_or(now.monotonic).saturating_add(duration))
    }

    // ===== messages =====

    /// The next message; a fresh one only where `may_fresh` says so.
    pub(super) fn next(&mut self, now: Now, may_fresh: bool) -> Option<Next> {
        if self.started.is_none() {
            self.started = Some(now.monotonic);
            self.pace.start(now.monotonic);
            self.due = self.pace.due(now.monotonic);
        }
        if let Some((n, attempt)) = self.again.pop_front() {
            let due = self.pace.due_at(n).unwrap_or(now.monotonic);
            let since = due.min(now.monotonic);
            return Some(Next { n, since, attempt });
        }
        if !may_fresh || !self.has_fresh() {
            return None;
        }
        let n = self.fresh;
        self.fresh += 1;
        let since = self.pace.sent(n, now.monotonic);
        let attempt = Attempt::First;
        Some(Next { n, since, attempt })
    }

    /// This message is to be submitted again.
    pub(super) fn put_back(&mut self, n: u32, attempt: Attempt) {
        self.again.push_back((n, attempt));
    }

    /// Nothing fresh is submitted any more. Tells whether that is news.
    pub(super) fn wind_down(&mut self) -> bool {
        let is_news = self.limit > self.fresh;
        self.limit = self.limit.min(self.fresh);
        is_news
    }
}
