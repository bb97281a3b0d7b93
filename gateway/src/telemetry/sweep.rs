//! What is counted of the retention sweep.

use metrics::{Counter, Gauge};
use tidegate_store::history::Kept;

use super::{Telemetry, names};

/// Handles of the sweep's metrics; what each counts stands in [`names`].
pub struct SweepMetrics {
    /// [`names::SWEEPS`] that went well.
    pub done: Counter,
    /// The same that failed.
    pub failed: Counter,
    /// The same that did nothing because the clock is not believed.
    pub stopped: Counter,
    /// [`names::SWEPT_LOTS`] and [`names::SWEPT_RECORDS`], by class.
    swept: Vec<(Kept, Counter, Counter)>,
    /// [`names::SWEPT_OCTETS`].
    pub octets: Counter,
    /// [`names::DATA_ROTATION_LEFT`].
    pub rotation_left: Gauge,
    /// [`names::HOLDS`].
    pub holds: Gauge,
    /// [`names::HOLDS_PAST_REVIEW`].
    pub holds_past_review: Gauge,
    /// [`names::ERASURES_OPEN`].
    pub erasures_open: Gauge,
    /// [`names::SWEEP_SECONDS`].
    pub seconds: Gauge,
    /// [`names::SWEPT_AT`].
    pub done_at: Gauge,
    /// [`names::HISTORY_FILES`].
    pub files: Gauge,
    /// [`names::SWEEP_LEFT`].
    pub left: Gauge,
    /// [`names::LOTS_WITHOUT_RULE`].
    pub without_rule: Gauge,
    /// [`names::UNUSED_KEYS`].
    pub unused: Counter,
    /// [`names::CLOCK_DOUBTED`].
    pub doubted: Gauge,
}

impl SweepMetrics {
    /// Makes the handles.
    pub fn new(telemetry: &Telemetry) -> Self {
        let sweeps = |result| telemetry.counter(&names::SWEEPS, &[("result", result)]);
        let swept = Kept::ALL.iter().map(|kept| {
            let labels = [("class", kept.word())];
            let (lots, records) = (&names::SWEPT_LOTS, &names::SWEPT_RECORDS);
            (
                *kept,
                telemetry.counter(lots, &labels),
                telemetry.counter(records, &labels),
            )
        });
        Self {
            done: sweeps("done"),
            failed: sweeps("failed"),
            stopped: sweeps("stopped"),
            swept: swept.collect(),
            octets: telemetry.counter(&names::SWEPT_OCTETS, &[]),
            rotation_left: telemetry.gauge(&names::DATA_ROTATION_LEFT, &[]),
            holds: telemetry.gauge(&names::HOLDS, &[]),
            holds_past_review: telemetry.gauge(&names::HOLDS_PAST_REVIEW, &[]),
            erasures_open: telemetry.gauge(&names::ERASURES_OPEN, &[]),
            seconds: telemetry.gauge(&names::SWEEP_SECONDS, &[]),
            done_at: telemetry.gauge(&names::SWEPT_AT, &[]),
            files: telemetry.gauge(&names::HISTORY_FILES, &[]),
            left: telemetry.gauge(&names::SWEEP_LEFT, &[]),
            without_rule: telemetry.gauge(&names::LOTS_WITHOUT_RULE, &[]),
            unused: telemetry.counter(&names::UNUSED_KEYS, &[]),
            doubted: telemetry.gauge(&names::CLOCK_DOUBTED, &[]),
        }
    }

    /// Counts a lot whose key is destroyed.
    pub fn swept(&self, class: Kept, of_records: u64) {
        let handles = self.swept.iter().find(|(of, ..)| *of == class);
        if let Some((_, lots, records)) = handles {
            lots.increment(1);
            records.increment(of_records);
        }
    }
}
