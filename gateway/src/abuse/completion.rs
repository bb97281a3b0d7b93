//! How many of the messages that have ended a receipt called delivered (FRD-3): to a country, or to the numbers that differ in
//! their last four digits only. Where hardly any arrive, somebody is paid for sending them, or makes them up.

use std::num::NonZeroU8;
use std::time::Duration;

use super::table::Row;

/// See the [module](self).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Completion {
    ended: u32,
    delivered: u32,
    /// It is closed until this monotonic time.
    until: Duration,
}

impl Row for Completion {
    fn is_closed(&self, now: Duration) -> bool {
        now < self.until
    }
}

impl Completion {
    /// A message has ended; `Some` with how many of how many were delivered where that closes it: fewer percent than `least`,
    /// of `over` or more, for `block`.
    pub(super) fn ended(
        &mut self,
        now: Duration,
        (least, over, block): (NonZeroU8, u16, Duration),
        is_delivered: bool,
    ) -> Option<(u32, u32)> {
        self.ended += 1;
        self.delivered += u32::from(is_delivered);
        let over = u32::from(over);
        if self.ended >= over && self.delivered * 100 < self.ended * u32::from(least.get()) {
            let told = (self.delivered, self.ended);
            // What ends while it is closed was let in before.
            let is_new = !self.is_closed(now);
            *self = Self {
                until: self.until.max(now.saturating_add(block)),
                ..Self::default()
            };
            return is_new.then_some(told);
        }
        // What was long ago counts less and less.
        if self.ended >= 2 * over {
            self.ended /= 2;
            self.delivered /= 2;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use tidegate_config::AbuseRules;

    use super::*;

    #[test]
    fn it_closes_below_a_tenth_of_two_hundred_and_opens_again() {
        let rules = AbuseRules::default();
        let mut one = Completion::default();
        let bounds = (
            rules.completion.unwrap(),
            rules.completion_over,
            rules.completion_block,
        );
        let mut end = |now, count: u32, delivered: u32| {
            let ends = (0..count).map(|n| one.ended(now, bounds, n < delivered));
            let told: Vec<_> = ends.flatten().collect();
            (told, one.is_closed(now))
        };
        let (start, day) = (Duration::from_secs(5), rules.completion_block);
        // A tenth is enough; a message later it is not any more.
        assert_eq!(end(start, 200, 20), (vec![], false));
        assert_eq!(end(start, 1, 0), (vec![(20, 201)], true));
        // What was on its way ends as well, and is no news.
        assert_eq!(end(start, 200, 0), (vec![], true));
        assert_eq!(end(start + day, 0, 0), (vec![], false));
        // It had gone well for ever: that is forgotten soon enough.
        assert_eq!(end(start + day, 100_000, 100_000), (vec![], false));
        assert!(end(start + day, 4_000, 0).1);
    }
}
