//! A token bucket (the generic cell rate algorithm): one number of state, no timer.

use std::num::NonZeroU32;
use std::time::Duration;

/// Allows `rate` units a second and a burst of them at once.
///
/// The burst is at least one second's worth, and never less than one whole long message, so that two
/// quick messages, or all parts of one, are not refused at a low rate (interop #28, #29).
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    /// Time that one unit takes; zero is no limit.
    interval: Duration,
    /// How far ahead of now the bucket may be booked.
    tolerance: Duration,
    /// When all that was taken so far will have flowed off.
    booked_until: Duration,
    /// What it was made with; none where it is paced.
    rate: Option<NonZeroU32>,
}

/// Parts that a bucket always allows at once: what the longest concatenated message has.
const BURST_MIN: u32 = 255;
/// What a paced bucket allows at once, as time: a few of the loop's ticks, or it would fall behind its pace.
const PACED_BURST: Duration = Duration::from_millis(50);

impl Bucket {
    /// A bucket of `rate` units a second; `None` is no limit.
    pub fn new(rate: Option<NonZeroU32>) -> Self {
        let (interval, tolerance) = match rate {
            None => (Duration::ZERO, Duration::ZERO),
            Some(rate) => {
                let interval = Duration::from_secs(1) / rate.get();
                (interval, interval * rate.get().max(BURST_MIN))
            }
        };
        Self {
            interval,
            tolerance,
            booked_until: Duration::ZERO,
            rate,
        }
    }

    /// What it was made with or set to; `None` is no limit.
    pub const fn rate(&self) -> Option<NonZeroU32> {
        self.rate
    }

    /// Changes the rate. Units that were taken and have not flowed off yet stay taken, and flow off at the new rate.
    pub fn set_rate(&mut self, now: Duration, rate: Option<NonZeroU32>) {
        let booked = self.booked_until.saturating_sub(now);
        let units = booked.as_nanos().checked_div(self.interval.as_nanos());
        *self = Self::new(rate);
        // A long message at most is booked beyond what the rate allows in a second.
        let units = u32::try_from(units.unwrap_or(0)).unwrap_or(u32::MAX);
        self.booked_until = now.saturating_add(self.interval.saturating_mul(units));
    }

    /// A bucket of one unit every `interval`, with hardly a burst: for a peer that was found to take no more.
    pub fn paced(interval: Duration) -> Self {
        Self {
            interval,
            tolerance: interval.max(PACED_BURST),
            booked_until: Duration::ZERO,
            rate: None,
        }
    }

    /// Changes the pace of a paced bucket; what was taken stays taken.
    pub fn set_pace(&mut self, interval: Duration) {
        self.interval = interval;
        self.tolerance = interval.max(PACED_BURST);
    }

    /// Time that one unit takes; zero is no limit.
    pub const fn interval(&self) -> Duration {
        self.interval
    }

    /// Takes `units`, all or none, at monotonic time `now`.
    pub fn take(&mut self, now: Duration, units: u32) -> bool {
        let fits = self.fits(now, units);
        if fits {
            self.book(now, units);
        }
        fits
    }

    /// Whether [`Bucket::take`] would succeed.
    pub fn fits(&self, now: Duration, units: u32) -> bool {
        self.interval.is_zero() || self.booked(now, units) <= now + self.tolerance
    }

    /// Takes `units` whether they fit or not: what is too much is waited for before the next one.
    pub fn book(&mut self, now: Duration, units: u32) {
        if !self.interval.is_zero() {
            self.booked_until = self.booked(now, units);
        }
    }

    fn booked(&self, now: Duration, units: u32) -> Duration {
        let way = self.interval.saturating_mul(units);
        self.booked_until.max(now).saturating_add(way)
    }

    /// When one unit can be had next, at the earliest.
    pub fn ready_at(&self) -> Duration {
        (self.booked_until + self.interval).saturating_sub(self.tolerance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(rate: u32) -> Bucket {
        Bucket::new(NonZeroU32::new(rate))
    }

    #[test]
    fn no_limit_is_no_limit() {
        let mut bucket = bucket(0);
        assert!((0..1_000_000).all(|_| bucket.take(Duration::ZERO, 1)));
    }

    #[test]
    fn over_ten_seconds_the_rate_holds_behind_one_burst() {
        let mut bucket = bucket(1000);
        let mut taken = 0;
        for ms in 0..10_000 {
            while bucket.take(Duration::from_millis(ms), 1) {
                taken += 1;
            }
        }
        assert!((10_900..=11_000).contains(&taken), "{taken}");
    }

    #[test]
    fn a_changed_rate_holds_at_once_and_forgives_nothing() {
        let second = Duration::from_secs(1);
        let mut bucket = bucket(1000);
        assert!(bucket.take(second, 1000));
        bucket.set_rate(second, NonZeroU32::new(500));
        assert_eq!(bucket.rate(), NonZeroU32::new(500));
        // 1000 units at 500 a second: two seconds' worth, where one is allowed.
        assert!(!bucket.fits(second * 2 - Duration::from_millis(1), 1));
        assert!(bucket.fits(second * 2 + Duration::from_millis(2), 1));
        bucket.set_rate(second, None);
        assert!(bucket.take(second, u32::MAX));
        bucket.set_rate(second, NonZeroU32::new(1));
        assert!(
            bucket.take(second, 255) && !bucket.take(second, 1),
            "it begins full"
        );
    }

    #[test]
    fn what_is_booked_beyond_the_burst_is_waited_for() {
        let mut bucket = bucket(1000);
        bucket.book(Duration::ZERO, 1500);
        assert!(!bucket.fits(Duration::from_millis(500), 1));
        assert!(bucket.fits(Duration::from_millis(501), 1));
        assert_eq!(bucket.ready_at(), Duration::from_millis(501));
    }

    #[test]
    fn a_long_message_is_admitted_whole_at_one_a_second() {
        let mut bucket = bucket(1);
        assert!(bucket.take(Duration::ZERO, 255));
        assert!(!bucket.take(Duration::ZERO, 1));
        assert_eq!(bucket.ready_at(), Duration::from_secs(1));
        assert!(!bucket.take(Duration::from_millis(999), 1));
        assert!(bucket.take(Duration::from_secs(1), 1));
    }
}
