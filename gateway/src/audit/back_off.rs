//! When something that fails is tried again.

use std::time::Duration;

/// Waits longer after each failure.
#[derive(Debug)]
pub(super) struct BackOff {
    bounds: (Duration, Duration),
    /// `None` without a failure.
    after: Option<Duration>,
    /// Monotonic; not before then.
    at: Duration,
}

impl BackOff {
    pub(super) const fn new(bounds: (Duration, Duration)) -> Self {
        Self {
            bounds,
            after: None,
            at: Duration::ZERO,
        }
    }

    pub(super) fn failed(&mut self, now: Duration) {
        let (first, most) = self.bounds;
        let after = self.after.map_or(first, |after| (after * 2).min(most));
        (self.after, self.at) = (Some(after), now + after);
    }

    pub(super) fn succeeded(&mut self) {
        (self.after, self.at) = (None, Duration::ZERO);
    }

    pub(super) fn is_due(&self, now: Duration) -> bool {
        now >= self.at
    }

    /// Whether the last try failed.
    pub(super) const fn is_failing(&self) -> bool {
        self.after.is_some()
    }
}
