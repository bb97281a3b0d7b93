//! What is told of the key ring: how many keys there are, and how old.

use metrics::Gauge;
use tidegate_store::disk::Disk;
use tidegate_store::keyring::{KeyRing, OWNERS};

use super::{Telemetry, names};

/// Handles of the key ring's metrics; what each counts stands in [`names`].
pub struct KeyMetrics {
    /// [`names::KEYS`] and [`names::KEY_OLDEST`], in the order of [`OWNERS`].
    by_owner: Vec<(Gauge, Gauge)>,
}

impl KeyMetrics {
    /// Makes the handles.
    pub fn new(telemetry: &Telemetry) -> Self {
        let by_owner = OWNERS.iter().map(|(_, owner)| {
            let gauge = |metric| telemetry.gauge(metric, &[("owner", owner)]);
            (gauge(&names::KEYS), gauge(&names::KEY_OLDEST))
        });
        Self {
            by_owner: by_owner.collect(),
        }
    }

    /// Publishes what the ring holds.
    pub fn publish<D: Disk>(&self, ring: &KeyRing<D>) {
        let ages = ring.ages();
        for ((keys, oldest), age) in self.by_owner.iter().zip(ages) {
            #[expect(clippy::cast_precision_loss, reason = "milliseconds far below 2^53")]
            let seconds = age.oldest_ms.unwrap_or_default() as f64 / 1000.0;
            oldest.set(seconds);
            keys.set(f64::from(age.keys));
        }
    }
}
