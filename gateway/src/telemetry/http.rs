//! What is counted of the connections to the HTTP listeners.

use metrics::Counter;

use super::words::{Handshake, HttpCut, Side, Word as _};
use super::{Family, Telemetry, names};

/// Handles of one HTTP listener's metrics; what each counts stands in [`names`].
#[derive(Clone, Debug)]
pub struct HttpMetrics {
    /// [`names::HTTP_CONNECTIONS`].
    pub accepted: Counter,
    /// [`names::HTTP_CUT`].
    pub cut: Family<HttpCut>,
    /// [`names::TLS_HANDSHAKES`] of the admin listener, the one that may have TLS.
    pub handshakes: Family<Handshake>,
}

impl HttpMetrics {
    /// Makes the handles of a listener, `metrics` or `admin`.
    pub fn new(telemetry: &Telemetry, listener: &'static str) -> Self {
        let labels = [("listener", listener)];
        let side = [("side", Side::Admin.label())];
        Self {
            accepted: telemetry.counter(&names::HTTP_CONNECTIONS, &labels),
            cut: Family::new(telemetry, &names::HTTP_CUT, &labels),
            handshakes: Family::new(telemetry, &names::TLS_HANDSHAKES, &side),
        }
    }
}
