//! What is counted of notices to accounts.

use metrics::Gauge;

use super::{Telemetry, names};

/// Handles of the notices' metrics; what each counts stands in [`names`].
pub struct NoticeMetrics {
    waiting: Gauge,
    oldest: Gauge,
}

impl NoticeMetrics {
    /// Makes the handles.
    pub fn new(telemetry: &Telemetry) -> Self {
        Self {
            waiting: telemetry.gauge(&names::NOTICES_WAITING, &[]),
            oldest: telemetry.gauge(&names::NOTICE_AGE, &[]),
        }
    }

    /// How many wait to be told, and for how long the oldest has, in milliseconds.
    pub fn publish(&self, waiting: usize, oldest_ms: u64) {
        let gauge = |count: u64| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        self.waiting.set(gauge(waiting as u64));
        self.oldest.set(gauge(oldest_ms / 1_000));
    }
}
