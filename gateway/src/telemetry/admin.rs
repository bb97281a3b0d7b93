//! What is counted of the admin listener.

use metrics::Counter;

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

/// Handles of the admin listener's metrics: [`names::ADMIN_REQUESTS`], in the order of [`STATUSES`].
pub struct AdminMetrics([Counter; STATUSES.len()]);

impl AdminMetrics {
    /// Makes the handles.
    pub fn new(telemetry: &Telemetry) -> Self {
        Self(STATUSES.map(|(_, label)| telemetry.counter(&names::ADMIN_REQUESTS, &[("status", label)])))
    }

    /// Counts an answer.
    pub fn answered(&self, status: u16) {
        let counters = STATUSES.iter().zip(&self.0);
        for (_, counter) in counters.filter(|((of, _), _)| *of == status) {
            counter.increment(1);
        }
    }
}
