//! When a message is due: as soon as a window has room, or by a rate whatever the peer does.
//!
//! With a rate the load is an *open loop*: message `k` is due at `start + k / rate`, and latencies are
//! measured from there. A peer that stalls for a second delays everything that was due in that second, and
//! every one of those messages says so; measured from the moment of sending, all but the few in the windows
//! would keep silent ("coordinated omission").

use std::time::Duration;

/// Messages this much behind their time count as late: far more than a timer's grain.
const LATE: Duration = Duration::from_millis(10);
/// The pace is kept in steps of this length: a wake for each message would cost more than the message.
const STEP: Duration = Duration::from_micros(250);

/// The pace of one run.
#[derive(Debug)]
pub(super) struct Pace {
    /// Messages a second; zero is as fast as windows allow.
    rate: f64,
    start: Option<Duration>,
    /// How the messages sent so far kept to their time.
    pub(super) lateness: Lateness,
}

/// What windows and connections have held back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lateness {
    /// Messages that were sent more than 10 ms after they were due.
    pub late: u64,
    /// The longest that a message was sent after it was due.
    pub worst: Duration,
    /// Most messages that were due at one time and not sent.
    pub backlog_max: u64,
}

impl Pace {
    pub(super) fn new(rate: f64) -> Self {
        Self {
            rate: rate.max(0.0),
            start: None,
            lateness: Lateness::default(),
        }
    }

    /// Whether there is a rate.
    pub(super) fn is_open(&self) -> bool {
        self.rate > 0.0
    }

    /// The first message is due now.
    pub(super) fn start(&mut self, now: Duration) {
        self.start.get_or_insert(now);
    }

    /// How many messages are due until `now`.
    pub(super) fn due(&self, now: Duration) -> u64 {
        let Some(start) = self.start else { return 0 };
        if !self.is_open() {
            return u64::MAX;
        }
        // A message is due in the nanosecond that its date is rounded down to. One more for message 0.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "saturates; times and rates are not negative"
        )]
        let passed = ((now.saturating_sub(start).as_secs_f64() + 1e-9) * self.rate + 1e-6) as u64;
        passed.saturating_add(1)
    }

    /// When message `k` is due; `None` without a rate.
    pub(super) fn due_at(&self, k: u32) -> Option<Duration> {
        let start = self.start.filter(|_| self.is_open())?;
        let after = Duration::try_from_secs_f64(f64::from(k) / self.rate).unwrap_or(Duration::MAX);
        Some(start.saturating_add(after))
    }

    /// Since when the latency of message `k`, sent now, counts.
    pub(super) fn sent(&mut self, k: u32, now: Duration) -> Duration {
        let Some(due) = self.due_at(k) else { return now };
        let behind = now.saturating_sub(due);
        self.lateness.late += u64::from(behind > LATE);
        self.lateness.worst = self.lateness.worst.max(behind);
        due.min(now)
    }

    /// So many messages are due and not sent.
    pub(super) fn backlog(&mut self, count: u64) {
        self.lateness.backlog_max = self.lateness.backlog_max.max(count);
    }

    /// When to look again, with message `k` the next.
    pub(super) fn next_look(&self, k: u32, now: Duration) -> Duration {
        let step = now.saturating_add(STEP);
        self.due_at(k).map_or(step, |due| due.max(step))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn messages_are_due_by_the_rate_and_by_nothing_else() {
        let mut pace = Pace::new(100.0);
        assert_eq!((pace.due(ms(5)), pace.due_at(0)), (0, None));
        pace.start(ms(1000));
        pace.start(ms(2000));
        for (now, due) in [(999, 1), (1000, 1), (1009, 1), (1010, 2), (2000, 101)] {
            assert_eq!(pace.due(ms(now)), due, "{now}");
        }
        assert_eq!(pace.due_at(100), Some(ms(2000)));
        // Never before its time, and a step of the clock at least.
        assert_eq!(pace.next_look(1, ms(1000)), ms(1010));
        assert_eq!(pace.next_look(0, ms(1005)), ms(1005) + STEP);
    }

    #[test]
    fn what_is_due_at_a_moment_is_what_counts_as_due_then() {
        for rate in [0.1, 3.0, 7.0, 999.0, 12_345.6, 1e6] {
            let mut pace = Pace::new(rate);
            pace.start(ms(17));
            for k in (0..1000).chain([1 << 20, (1 << 26) - 1]) {
                let at = pace.due_at(k).unwrap();
                assert!(pace.due(at) > u64::from(k), "{rate} {k}");
            }
        }
    }

    #[test]
    fn without_a_rate_everything_is_due_and_nothing_is_late() {
        let mut pace = Pace::new(0.0);
        pace.start(ms(1));
        assert_eq!((pace.due(ms(1)), pace.due_at(5)), (u64::MAX, None));
        assert_eq!(pace.sent(5, ms(900)), ms(900));
        assert_eq!(pace.lateness, Lateness::default());
    }

    /// A peer that answers at once but for one second of silence in ten, and a window of one: measured from
    /// sending, one message in ten thousand is slow; measured from when they were due, nearly one in ten.
    #[test]
    fn a_stall_shows_in_every_message_that_it_held_back() {
        let mut pace = Pace::new(1000.0);
        pace.start(Duration::ZERO);
        let mut now = Duration::ZERO;
        let (mut slow_from_sending, mut slow_from_due) = (0, 0);
        for k in 0..10_000 {
            let due = pace.due_at(k).unwrap();
            now = now.max(due);
            pace.backlog(pace.due(now) - u64::from(k));
            let from = pace.sent(k, now);
            assert_eq!(from, due);
            let sent = now;
            now += if k == 5000 {
                ms(1000)
            } else {
                Duration::from_micros(10)
            };
            slow_from_sending += u32::from(now - sent > ms(10));
            slow_from_due += u32::from(now - from > ms(10));
        }
        assert_eq!(slow_from_sending, 1);
        assert!((950..1050).contains(&slow_from_due), "{slow_from_due}");
        let Lateness {
            late,
            worst,
            backlog_max,
        } = pace.lateness;
        assert!((950..1050).contains(&late), "{late}");
        assert!((990..=1000).contains(&worst.as_millis()), "{worst:?}");
        assert!((990..=1001).contains(&backlog_max), "{backlog_max}");
    }
}
