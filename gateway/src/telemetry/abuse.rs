//! What is counted of cases of abuse.

use metrics::{Counter, Gauge};

use super::{Telemetry, names};

/// Handles of their metrics; what each counts stands in [`names`].
pub struct AbuseMetrics {
    /// [`names::ABUSE_FAILURES`].
    pub failures: Counter,
    open: Gauge,
    past_review: Gauge,
    oldest: Gauge,
}

impl AbuseMetrics {
    /// Makes the handles.
    pub fn new(telemetry: &Telemetry) -> Self {
        Self {
            failures: telemetry.counter(&names::ABUSE_FAILURES, &[]),
            open: telemetry.gauge(&names::ABUSE_CASES, &[]),
            past_review: telemetry.gauge(&names::ABUSE_CASES_PAST_REVIEW, &[]),
            oldest: telemetry.gauge(&names::ABUSE_OLDEST_CASE, &[]),
        }
    }

    /// How many nobody has decided, how many of them are late, and the age of the oldest in milliseconds.
    pub fn publish(&self, open: usize, past_review: usize, oldest_ms: u64) {
        let gauge = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        self.open.set(gauge(open));
        self.past_review.set(gauge(past_review));
        let seconds = u32::try_from(oldest_ms / 1_000).unwrap_or(u32::MAX);
        self.oldest.set(f64::from(seconds));
    }
}
