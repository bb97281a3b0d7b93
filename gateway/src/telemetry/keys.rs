//! What is told of the key ring: how many keys there are, and how old.

use std::path::Path;
use std::time::UNIX_EPOCH;

use metrics::Gauge;
use tidegate_store::disk::Disk;
use tidegate_store::keyring::{KekState, KeyRing, OWNERS, Tier};

use super::{Telemetry, names};

/// Handles of the key ring's metrics; what each counts stands in [`names`].
pub struct KeyMetrics {
    /// In the order of [`OWNERS`].
    by_owner: Vec<OfOwner>,
    /// [`names::KEK_WRITTEN`].
    kek_written: Gauge,
    /// [`names::KEK_ROTATION_SLOTS`] and [`names::KEK_ROTATION_DONE`].
    rotation: [Gauge; 2],
    /// By tier, in the order of [`Tier::ALL`]: [`names::TIER_KEK_WRITTEN`], [`names::TIER_KEK_ROTATION_SLOTS`],
    /// [`names::TIER_KEK_ROTATION_DONE`].
    tiers: [[Gauge; 3]; Tier::ALL.len()],
}

struct OfOwner {
    /// [`names::KEYS`].
    keys: Gauge,
    /// [`names::KEY_OLDEST`].
    oldest: Gauge,
    /// [`names::KEY_NEWEST`].
    newest: Gauge,
}

impl KeyMetrics {
    /// Makes the handles.
    pub fn new(telemetry: &Telemetry) -> Self {
        let by_owner = OWNERS.iter().map(|(_, owner)| {
            let gauge = |metric| telemetry.gauge(metric, &[("owner", owner)]);
            OfOwner {
                keys: gauge(&names::KEYS),
                oldest: gauge(&names::KEY_OLDEST),
                newest: gauge(&names::KEY_NEWEST),
            }
        });
        Self {
            by_owner: by_owner.collect(),
            kek_written: telemetry.gauge(&names::KEK_WRITTEN, &[]),
            rotation: [
                telemetry.gauge(&names::KEK_ROTATION_SLOTS, &[]),
                telemetry.gauge(&names::KEK_ROTATION_DONE, &[]),
            ],
            tiers: Tier::ALL.map(|tier| {
                let metrics = [
                    &names::TIER_KEK_WRITTEN,
                    &names::TIER_KEK_ROTATION_SLOTS,
                    &names::TIER_KEK_ROTATION_DONE,
                ];
                metrics.map(|metric| telemetry.gauge(metric, &[("tier", tier.word())]))
            }),
        }
    }

    /// Publishes what the ring holds.
    pub fn publish<D: Disk>(&self, ring: &KeyRing<D>) {
        for (metrics, age) in self.by_owner.iter().zip(ring.ages()) {
            metrics.keys.set(f64::from(age.keys));
            metrics.oldest.set(seconds(age.oldest_ms));
            metrics.newest.set(seconds(age.newest_ms));
        }
        let kek = ring.kek_state();
        if kek.since_ms.is_some() {
            self.kek_written.set(seconds(kek.since_ms));
        }
        publish_rotation(&self.rotation, &kek);
        for (tier, [written, slots, done]) in Tier::ALL.into_iter().zip(&self.tiers) {
            if let Some(kek) = ring.part(Some(tier)).map(KeyRing::kek_state) {
                written.set(seconds(kek.since_ms));
                publish_rotation(&[slots, done], &kek);
            }
        }
    }

    /// Publishes when the file of the key-encryption key was written, until the ring says since when it wraps. Read at
    /// the start only.
    pub fn publish_kek(&self, file: &Path) {
        let written = std::fs::metadata(file).and_then(|file| file.modified());
        let since = written
            .ok()
            .and_then(|written| written.duration_since(UNIX_EPOCH).ok());
        self.kek_written
            .set(since.map_or(0.0, |since| since.as_secs_f64()));
    }
}

/// How far a rotation is, in slots.
fn publish_rotation<G: std::borrow::Borrow<Gauge>>(gauges: &[G; 2], kek: &KekState) {
    let rotating = match kek.next {
        Some(_) => [kek.slots, kek.rotated.slots],
        None => [0, 0],
    };
    for (gauge, slots) in gauges.iter().zip(rotating) {
        let slots = u32::try_from(slots).map_or(f64::INFINITY, f64::from);
        gauge.borrow().set(slots);
    }
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds far below 2^53")]
fn seconds(unix_ms: Option<u64>) -> f64 {
    unix_ms.unwrap_or_default() as f64 / 1000.0
}
