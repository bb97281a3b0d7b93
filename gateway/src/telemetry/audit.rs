//! What is counted of the audit log.

use metrics::{Counter, Gauge};
use tidegate_store::audit::Kind;

use super::{Telemetry, names};

/// Handles of the audit log's metrics; what each counts stands in [`names`].
pub struct AuditMetrics {
    /// By the place of their kind.
    entries: Vec<(Kind, Counter)>,
    /// [`names::AUDIT_FAILURES`].
    pub failures: Counter,
    /// [`names::AUDIT_FAILING`].
    pub failing: Gauge,
    /// [`names::AUDIT_CHECKPOINT_FAILURES`].
    pub checkpoint_failures: Counter,
    /// [`names::AUDIT_DAMAGED`].
    pub damaged: Gauge,
    /// [`names::AUDIT_SIGNED`].
    pub signed: Gauge,
    /// [`names::AUDIT_SIGNED_AT`].
    pub signed_at: Gauge,
    /// [`names::AUDIT_UNSIGNED`].
    pub unsigned: Gauge,
}

impl AuditMetrics {
    /// Makes the handles.
    pub fn new(telemetry: &Telemetry) -> Self {
        let entries = Kind::ALL.iter().map(|kind| {
            let labels = [("kind", kind.word())];
            (*kind, telemetry.counter(&names::AUDIT_ENTRIES, &labels))
        });
        Self {
            entries: entries.collect(),
            failures: telemetry.counter(&names::AUDIT_FAILURES, &[]),
            failing: telemetry.gauge(&names::AUDIT_FAILING, &[]),
            checkpoint_failures: telemetry.counter(&names::AUDIT_CHECKPOINT_FAILURES, &[]),
            damaged: telemetry.gauge(&names::AUDIT_DAMAGED, &[]),
            signed: telemetry.gauge(&names::AUDIT_SIGNED, &[]),
            signed_at: telemetry.gauge(&names::AUDIT_SIGNED_AT, &[]),
            unsigned: telemetry.gauge(&names::AUDIT_UNSIGNED, &[]),
        }
    }

    /// Counts an entry.
    pub fn entered(&self, kind: Kind) {
        let place = self.entries.iter().find(|(of, _)| *of == kind);
        if let Some((_, counter)) = place {
            counter.increment(1);
        }
    }
}
