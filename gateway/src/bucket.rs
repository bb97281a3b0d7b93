//! A token bucket (the generic cell rate algorithm): one number of state, no timer.

use std::num::NonZeroU32;
use std::time::Duration;

/// Allows `rate` units a second and a burst of them at once.
///
/// The burst is at least one second's worth, and never less than one whole long message, so that two
/// quick messages, or all parts of one, are not refused at a low rate (interop #28, #29).
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    // Nanoseconds, which last for 584 years: each message asks several buckets, and a `Duration` is added by carrying.
    /// Time that one unit takes; zero is no limit.
    interval: u64,
    /// How far ahead of now the bucket may be booked.
    tolerance: u64,
    /// When all that was taken so far will have flowed off.
    booked_until: u64,
    /// What it was made with; none where it is paced.
    rate: Option<NonZeroU32>,
    /// It has hardly a burst.
    is_even: bool,
}

/// Parts that a bucket always allows at once: what the longest concatenated message has.
const BURST_MIN: u32 = 255;
/// What a paced bucket allows at once, as time: a few of the loop's ticks, or it would fall behind its pace.
const PACED_BURST: Duration = Duration::from_millis(50);
const SECOND: u64 = 1_000_000_000;

impl Bucket {
    /// A bucket of `rate` units a second; `None` is no limit.
    pub fn new(rate: Option<NonZeroU32>) -> Self {
        let (interval, tolerance) = match rate {
            None => (0, 0),
            Some(rate) => {
                let interval = SECOND / u64::from(rate.get());
                (interval, interval * u64::from(rate.get().max(BURST_MIN)))
            }
        };
        Self {
            interval,
            tolerance,
            booked_until: 0,
            rate,
            is_even: false,
        }
    }

    /// The same with hardly a burst, for what can wait: a peer that was promised so many a second, at any time. A unit
    /// may be taken a little before it is due, so that one that is taken a little late costs nothing.
    pub fn even(rate: Option<NonZeroU32>) -> Self {
        let interval = rate.map_or(Duration::ZERO, |rate| Duration::from_secs(1) / rate.get());
        Self {
            rate,
            tolerance: nanos(interval + PACED_BURST),
            ..Self::paced(interval)
        }
    }

    /// What it was made with or set to; `None` is no limit.
    pub const fn rate(&self) -> Option<NonZeroU32> {
        self.rate
    }

    /// Changes the rate; the units that were taken and have not flowed off yet stay taken.
    pub fn set_rate(&mut self, now: Duration, rate: Option<NonZeroU32>) {
        let now = nanos(now);
        let booked = self.booked_until.saturating_sub(now);
        let units = booked.checked_div(self.interval).unwrap_or(0);
        let fresh = if self.is_even {
            Self::even(rate)
        } else {
            Self::new(rate)
        };
        // Not more than the new burst, or a rate that is lowered would let nothing through for minutes.
        let booked = fresh.interval.saturating_mul(units);
        *self = Self {
            booked_until: now.saturating_add(booked.min(fresh.tolerance)),
            ..fresh
        };
    }

    /// A bucket of one unit every `interval`, with hardly a burst: for a peer that was found to take no more.
    pub fn paced(interval: Duration) -> Self {
        Self {
            interval: nanos(interval),
            tolerance: nanos(interval.max(PACED_BURST)),
            booked_until: 0,
            rate: None,
            is_even: true,
        }
    }

    /// Changes the pace of a paced bucket; what was taken stays taken.
    pub fn set_pace(&mut self, interval: Duration) {
        self.interval = nanos(interval);
        self.tolerance = nanos(interval.max(PACED_BURST));
    }

    /// Time that one unit takes; zero is no limit.
    pub const fn interval(&self) -> Duration {
        Duration::from_nanos(self.interval)
    }

    /// Takes `units`, all or none, at monotonic time `now`.
    #[inline]
    pub fn take(&mut self, now: Duration, units: u32) -> bool {
        let fits = self.fits(now, units);
        if fits {
            self.book(now, units);
        }
        fits
    }

    /// Whether [`Bucket::take`] would succeed.
    #[inline]
    pub fn fits(&self, now: Duration, units: u32) -> bool {
        if self.interval == 0 {
            return true;
        }
        let now = nanos(now);
        self.booked(now, units) <= now.saturating_add(self.tolerance)
    }

    /// Takes `units` whether they fit or not: what is too much is waited for before the next one.
    #[inline]
    pub fn book(&mut self, now: Duration, units: u32) {
        if self.interval != 0 {
            self.booked_until = self.booked(nanos(now), units);
        }
    }

    #[inline]
    fn booked(&self, now: u64, units: u32) -> u64 {
        let way = self.interval.saturating_mul(u64::from(units));
        self.booked_until.max(now).saturating_add(way)
    }

    /// When one unit can be had next, at the earliest.
    #[inline]
    pub fn ready_at(&self) -> Duration {
        let full_at = self.booked_until.saturating_add(self.interval);
        Duration::from_nanos(full_at.saturating_sub(self.tolerance))
    }
}

/// A time in nanoseconds; the last there is for what is beyond them.
#[inline]
fn nanos(time: Duration) -> u64 {
    let whole = time.as_secs().saturating_mul(SECOND);
    whole.saturating_add(u64::from(time.subsec_nanos()))
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
    fn an_even_rate_holds_over_any_second() {
        for (rate, step) in [(10, 20), (10, 37), (100, 20), (1, 1)] {
            let mut bucket = Bucket::even(NonZeroU32::new(rate));
            let mut taken = Vec::new();
            for ms in (7_000..17_000).step_by(step) {
                let now = Duration::from_millis(ms);
                taken.extend(std::iter::from_fn(|| bucket.take(now, 1).then_some(ms)));
            }
            let (count, due) = (taken.len(), 10 * rate as usize);
            // The first, and what may be taken before it is due.
            let ahead = rate as usize / 20 + 1;
            assert!((due..=due + ahead).contains(&count), "{rate}: {count}");
            let most = rate as usize + ahead;
            assert!(
                taken.windows(most + 1).all(|few| few[most] - few[0] >= 1_000),
                "{rate}"
            );
        }
    }

    #[test]
    fn what_was_taken_stays_taken_when_the_rate_changes() {
        let now = Duration::from_secs(100);
        for (before, taken, after, left) in [
            (1000, 900, 1000, 100),
            (1000, 900, 2000, 1100),
            // A burst is 255 at least.
            (1000, 900, 100, 0),
            (1000, 100, 100, 155),
            (1, 255, 1000, 745),
            (0, 900, 1000, 1000),
        ] {
            let mut bucket = bucket(before);
            assert!(bucket.take(now, taken));
            bucket.set_rate(now, NonZeroU32::new(after));
            assert_eq!(bucket.rate(), NonZeroU32::new(after));
            let more = (0..5_000).take_while(|_| bucket.take(now, 1)).count();
            assert_eq!(more, left, "{before} {taken} {after}");
        }
        let mut even = Bucket::even(NonZeroU32::new(10));
        even.book(now, 255);
        even.set_rate(now, NonZeroU32::new(100));
        assert!(
            !even.fits(now + Duration::from_millis(9), 1) && even.fits(now + Duration::from_millis(10), 1)
        );
        let mut limited = bucket(1);
        assert!(limited.take(now, 255));
        limited.set_rate(now, None);
        assert!(limited.take(now, 1_000_000));
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
