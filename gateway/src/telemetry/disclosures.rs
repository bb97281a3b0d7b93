//! What is counted of disclosures.

use metrics::Gauge;

use super::{Telemetry, names};

/// Handles of the disclosures' metrics; what each counts stands in [`names`].
pub struct DisclosureMetrics {
    open: Gauge,
    overdue: Gauge,
}

impl DisclosureMetrics {
    /// Makes the handles.
    pub fn new(telemetry: &Telemetry) -> Self {
        Self {
            open: telemetry.gauge(&names::DISCLOSURES_OPEN, &[]),
            overdue: telemetry.gauge(&names::DISCLOSURE_REVIEW_OVERDUE, &[]),
        }
    }

    /// How many have not ended, and for how long the oldest review has been overdue, in milliseconds.
    pub fn publish(&self, open: usize, overdue_ms: u64) {
        let gauge = |count: u64| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        self.open.set(gauge(open as u64));
        self.overdue.set(gauge(overdue_ms.div_ceil(1_000)));
    }
}
