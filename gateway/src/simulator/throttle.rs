//! How many messages a second a carrier takes: a budget that fills with time. Its own, and not the gateway's: the
//! same mistake must not hide on both sides.

use std::num::NonZeroU32;
use std::time::Duration;

/// A budget of messages that fills evenly, up to one second's worth.
#[derive(Clone, Copy, Debug)]
pub(super) struct Throttle {
    rate: u32,
    /// Billionths of a message that may be taken.
    budget: u64,
    at: Duration,
}

const WHOLE: u64 = 1_000_000_000;

impl Throttle {
    /// Takes `rate` messages a second, and so many at once after a second of quiet.
    pub(super) fn new(rate: NonZeroU32, now: Duration) -> Self {
        Self {
            rate: rate.get(),
            budget: u64::from(rate.get()) * WHOLE,
            at: now,
        }
    }

    /// Takes one message, if there is room for it.
    pub(super) fn take(&mut self, now: Duration) -> bool {
        let passed = now.saturating_sub(self.at).as_nanos();
        let most = u64::from(self.rate) * WHOLE;
        let filled = u64::try_from(passed.saturating_mul(self.rate.into())).unwrap_or(most);
        self.budget = self.budget.saturating_add(filled).min(most);
        self.at = self.at.max(now);
        let takes = self.budget >= WHOLE;
        if takes {
            self.budget -= WHOLE;
        }
        takes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seconds_worth_at_once_and_then_the_rate() {
        for rate in [1, 3, 500, u32::MAX] {
            let mut throttle = Throttle::new(NonZeroU32::new(rate).unwrap(), Duration::ZERO);
            let start = Duration::from_secs(10);
            let at_once = (0..1000).filter(|_| throttle.take(start)).count();
            assert_eq!(at_once, 1000.min(rate as usize), "{rate}");
        }
        let mut throttle = Throttle::new(NonZeroU32::new(100).unwrap(), Duration::ZERO);
        while throttle.take(Duration::ZERO) {}
        let taken = (0..5000)
            .filter(|ms| throttle.take(Duration::from_millis(*ms)))
            .count();
        assert!((499..=500).contains(&taken), "{taken}");
    }
}
