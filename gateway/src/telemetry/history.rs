//! What is counted of the history: its files, and the filters of closed periods.

use metrics::{Counter, Gauge};
use tidegate_store::history::FilterCounts;

use super::{Telemetry, names};

/// Handles of these metrics; what each counts stands in [`names`].
pub struct HistoryMetrics {
    /// [`names::HISTORY_OCTETS`].
    octets: Gauge,
    /// [`names::HISTORY_FILTERS`].
    filters: Gauge,
    /// [`names::HISTORY_FILTER_RECORDS`].
    filter_records: Gauge,
    /// [`names::HISTORY_FILTER_OCTETS`].
    filter_octets: Gauge,
    /// [`names::HISTORY_FILTER_LOOKS`]: passed over, found, in vain.
    looks: [Counter; 3],
    /// [`names::HISTORY_FILTERS_MADE`]: done, failed.
    made: [Counter; 2],
}

impl HistoryMetrics {
    /// Makes the handles.
    pub fn new(telemetry: &Telemetry) -> Self {
        let looks = |result| telemetry.counter(&names::HISTORY_FILTER_LOOKS, &[("result", result)]);
        let made = |result| telemetry.counter(&names::HISTORY_FILTERS_MADE, &[("result", result)]);
        Self {
            octets: telemetry.gauge(&names::HISTORY_OCTETS, &[]),
            filters: telemetry.gauge(&names::HISTORY_FILTERS, &[]),
            filter_records: telemetry.gauge(&names::HISTORY_FILTER_RECORDS, &[]),
            filter_octets: telemetry.gauge(&names::HISTORY_FILTER_OCTETS, &[]),
            looks: ["passed_over", "found", "in_vain"].map(looks),
            made: ["done", "failed"].map(made),
        }
    }

    /// Tells how things stand, all since the start.
    pub fn tell(&self, filters: &FilterCounts, octets: u64) {
        let gauge = |count: u64| {
            // To the next thousand or so in 2^53, as every gauge.
            #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
            let count = count as f64;
            count
        };
        self.octets.set(gauge(octets));
        self.filters.set(gauge(filters.filters));
        self.filter_records.set(gauge(filters.records));
        self.filter_octets.set(gauge(filters.octets));
        let opened = filters.asked.saturating_sub(filters.passed_over);
        let told = [
            filters.passed_over,
            opened.saturating_sub(filters.in_vain),
            filters.in_vain,
        ];
        for (counter, count) in self.looks.iter().zip(told) {
            counter.absolute(count);
        }
        for (counter, count) in self.made.iter().zip([filters.made, filters.failed]) {
            counter.absolute(count);
        }
    }
}
