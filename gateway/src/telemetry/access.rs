//! What is counted of break-glass.

use metrics::Gauge;

use super::{Telemetry, names};

/// Handles of break-glass's metrics; what each counts stands in [`names`].
pub struct AccessMetrics {
    running: Gauge,
}

impl AccessMetrics {
    /// Makes the handles.
    pub fn new(telemetry: &Telemetry) -> Self {
        Self {
            running: telemetry.gauge(&names::BREAK_GLASS, &[]),
        }
    }

    /// How many grants run.
    pub fn publish(&self, running: usize) {
        self.running
            .set(f64::from(u32::try_from(running).unwrap_or(u32::MAX)));
    }
}
