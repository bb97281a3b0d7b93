//! What is counted of break-glass.

use metrics::{Counter, Gauge};

use super::{Telemetry, names};

/// Handles of break-glass's metrics; what each counts stands in [`names`].
pub struct AccessMetrics {
    running: Gauge,
    begun: Counter,
}

impl AccessMetrics {
    /// Makes the handles.
    pub fn new(telemetry: &Telemetry) -> Self {
        Self {
            running: telemetry.gauge(&names::BREAK_GLASS, &[]),
            begun: telemetry.counter(&names::BREAK_GLASS_BEGUN, &[]),
        }
    }

    /// How many grants run, and how many were ever begun: one that is over between two looks is counted all the same.
    pub fn publish(&self, running: usize, begun: u64) {
        self.begun.absolute(begun);
        self.running
            .set(f64::from(u32::try_from(running).unwrap_or(u32::MAX)));
    }
}
