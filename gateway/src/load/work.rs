//! Which message is submitted next, and since when its latency counts.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Now;
use crate::load::options::Options;
use crate::load::pace::{Lateness, Pace};

/// What is due when the run's time is over may still be sent for so long; what is held back longer than that
/// never is, and counts as not sent.
const GRACE: Duration = Duration::from_secs(1);

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
    again: VecDeque<Next>,
    pace: Pace,
    /// Messages due so far.
    due: u64,
    duration: Option<Duration>,
    started: Option<Duration>,
    /// When what is due and was not sent is given up; no more becomes due.
    cut_off: Option<Duration>,
    /// Messages that were due and were given up.
    not_sent: u64,
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
            cut_off: None,
            not_sent: 0,
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

    /// Messages that were due in time and were held back until long after its end. Left out, the slowest of
    /// all would be missing from the latencies and from the books.
    pub(super) const fn not_sent(&self) -> u64 {
        self.not_sent
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
        if let (Some(duration), Some(started)) = (self.duration, self.started) {
            let over = started.saturating_add(duration);
            if now.monotonic >= over {
                self.wind_down(over);
            }
        }
        if self.cut_off.is_some_and(|cut_off| now.monotonic >= cut_off) {
            self.close();
        }
    }

    /// When the next fresh message is due, or the next look at the clock.
    pub(super) fn next_look(&self, now: Now) -> Duration {
        self.pace.next_look(self.fresh, now.monotonic)
    }

    /// When its duration, or the time behind it, is over, if that ends anything. Where it has not begun, it may
    /// begin now.
    pub(super) fn over_at(&self, now: Now) -> Option<Duration> {
        if self.fresh >= self.limit {
            return None;
        }
        let from = self.started.unwrap_or(now.monotonic);
        self.cut_off
            .or_else(|| self.duration.map(|duration| from.saturating_add(duration)))
    }

    /// No more becomes due after `over`.
    pub(super) fn wind_down(&mut self, over: Duration) {
        if self.cut_off.is_none() {
            self.cut_off = Some(over.saturating_add(GRACE));
            let due = if self.pace.is_open() {
                self.pace.due(over)
            } else {
                0
            };
            let due = u32::try_from(due).unwrap_or(u32::MAX);
            self.limit = self.limit.min(due.max(self.fresh));
        }
    }

    /// Nothing fresh is submitted any more.
    pub(super) fn close(&mut self) {
        if self.fresh < self.limit && self.pace.is_open() {
            self.not_sent = self.due.min(self.limit.into()).saturating_sub(self.fresh.into());
        }
        self.limit = self.limit.min(self.fresh);
    }

    // ===== messages =====

    /// The next message; a fresh one only where `may_fresh` says so.
    pub(super) fn next(&mut self, now: Now, may_fresh: bool) -> Option<Next> {
        if self.started.is_none() {
            self.started = Some(now.monotonic);
            self.pace.start(now.monotonic);
            self.due = self.pace.due(now.monotonic);
        }
        if let Some(again) = self.again.pop_front() {
            return Some(again);
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

    /// A message is to be submitted again; its latency counts since it was submitted, or due, first.
    pub(super) fn put_back(&mut self, again: Next) {
        self.again.push_back(again);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: u64) -> Now {
        Now {
            monotonic: Duration::from_millis(millis),
            unix_ms: 0,
        }
    }

    fn work(change: impl FnOnce(&mut Options)) -> Work {
        let mut options = Options::for_tests();
        options.messages = u32::MAX;
        change(&mut options);
        Work::new(&options)
    }

    fn send_all(work: &mut Work, now: Now) -> usize {
        std::iter::from_fn(|| work.next(now, true)).count()
    }

    #[test]
    fn what_is_due_until_the_end_is_sent_behind_it_and_what_is_held_back_longer_is_counted() {
        for (sends_behind, sent, not_sent) in [(true, 101, 0), (false, 1, 100)] {
            let mut work = work(|options| {
                options.rate = 100.0;
                options.duration = Some(Duration::from_secs(1));
            });
            assert_eq!(send_all(&mut work, at(0)), 1);
            assert_eq!(work.over_at(at(0)), Some(at(1000).monotonic));
            // No turn came for a second, and then one that finds more due than belongs to the run.
            work.look_at_the_clock(at(1700));
            assert_eq!(
                (work.limit(), work.over_at(at(1700))),
                (101, Some(at(2000).monotonic))
            );
            let more = if sends_behind {
                send_all(&mut work, at(1700))
            } else {
                0
            };
            assert_eq!(1 + more, sent);
            work.look_at_the_clock(at(2000));
            assert_eq!((work.limit() as usize, work.not_sent()), (sent, not_sent));
            assert_eq!((send_all(&mut work, at(2001)), work.over_at(at(2001))), (0, None));
        }
    }

    #[test]
    fn without_a_rate_the_end_is_the_end() {
        let mut work = work(|options| options.duration = Some(Duration::from_secs(1)));
        assert_eq!(work.next(at(0), true).map(|next| next.n), Some(0));
        work.look_at_the_clock(at(1000));
        assert_eq!(
            (work.limit(), work.not_sent(), send_all(&mut work, at(1000))),
            (1, 0, 0)
        );
    }

    #[test]
    fn a_message_that_is_put_back_goes_first_and_keeps_its_time() {
        let mut work = work(|options| options.messages = 2);
        let first = work.next(at(5), true).unwrap();
        let attempt = Attempt::InDoubt;
        work.put_back(Next { attempt, ..first });
        assert_eq!(work.next(at(900), true), Some(Next { attempt, ..first }));
        assert_eq!(first.since, at(5).monotonic);
        assert_eq!(work.next(at(900), true).map(|next| next.n), Some(1));
    }
}
