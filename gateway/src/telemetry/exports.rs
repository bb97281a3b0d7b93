//! What is counted of exports.

use metrics::{Counter, Gauge};

use super::{Telemetry, names};

/// Handles of the exports' metrics; what each counts stands in [`names`].
pub struct ExportMetrics {
    /// [`names::EXPORTS`] that were made.
    pub made: Counter,
    /// The same that could not be made.
    pub failed: Counter,
    /// The same that are gone.
    pub ended: Counter,
    files: Gauge,
    octets: Gauge,
}

impl ExportMetrics {
    /// Makes the handles.
    pub fn new(telemetry: &Telemetry) -> Self {
        let exports = |result| telemetry.counter(&names::EXPORTS, &[("result", result)]);
        Self {
            made: exports("made"),
            failed: exports("failed"),
            ended: exports("ended"),
            files: telemetry.gauge(&names::EXPORT_FILES, &[]),
            octets: telemetry.gauge(&names::EXPORT_OCTETS, &[]),
        }
    }

    /// How many there are, and their octets.
    pub fn publish(&self, files: usize, octets: u64) {
        let gauge = |count: u64| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        self.files.set(gauge(files as u64));
        // 16 GiB at most, told in MiB steps of no interest to anybody: a double holds it.
        self.octets.set(gauge(octets >> 10) * 1024.0);
    }
}
