//! What is counted of the admin listener.

use metrics::{Counter, Gauge};

use super::{Telemetry, names};

/// Statuses that it answers with.
const STATUSES: [(u16, &str); 10] = [
    (200, "200"),
    (400, "400"),
    (401, "401"),
    (403, "403"),
    (404, "404"),
    (408, "408"),
    (409, "409"),
    (413, "413"),
    (503, "503"),
    (504, "504"),
];

/// Handles of the admin listener's metrics.
pub struct AdminMetrics {
    /// [`names::ADMIN_REQUESTS`], in the order of [`STATUSES`].
    requests: [Counter; STATUSES.len()],
    watchers: Gauge,
}

/// One who watches, counted in [`names::ADMIN_WATCHERS`] until this is dropped.
pub struct Watching(Gauge);

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

impl AdminMetrics {
    /// Makes the handles.
    pub fn new(telemetry: &Telemetry) -> Self {
        Self {
            requests: STATUSES
                .map(|(_, label)| telemetry.counter(&names::ADMIN_REQUESTS, &[("status", label)])),
            watchers: telemetry.gauge(&names::ADMIN_WATCHERS, &[]),
        }
    }

    /// Counts who watches.
    pub fn watching(&self) -> Watching {
        self.watchers.increment(1.0);
        Watching(self.watchers.clone())
    }

    /// Counts an answer.
    pub fn answered(&self, status: u16) {
        let counters = STATUSES.iter().zip(&self.requests);
        for (_, counter) in counters.filter(|((of, _), _)| *of == status) {
            counter.increment(1);
        }
    }
}
