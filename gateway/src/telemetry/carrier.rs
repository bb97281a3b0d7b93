//! What is counted for each carrier.

use metrics::{Counter, Gauge};
use tidegate_codec::status::CommandStatus;
use tidegate_codec::values::MessageState;
use tidegate_config::CarrierName;

use super::account::state_label;
use super::histogram::{Histogram, Long, Short};
use super::words::{Answered, Family, ReceiptKind, Statuses};
use super::{BIND_STATES, Telemetry, names};

/// Handles of one carrier's metrics; what each counts stands in [`names`].
#[derive(Debug)]
pub struct CarrierMetrics {
    /// [`names::CARRIER_LINKS`].
    /// In the order of [`BIND_STATES`].
    pub links_bound: [Gauge; BIND_STATES.len()],
    /// [`names::CARRIER_LINKS_WANTED`].
    pub links_wanted: Gauge,
    /// [`names::CARRIER_WINDOW`].
    pub window: Gauge,
    /// [`names::CARRIER_WINDOW_SIZE`].
    pub window_size: Gauge,
    /// [`names::CARRIER_OLDEST`].
    pub oldest: Gauge,
    /// [`names::CARRIER_RETRIES`].
    pub retries: Counter,
    /// [`names::CARRIER_HANDED_OVER`].
    pub handed_over: Counter,
    /// Messages that go in parts.
    pub cut: Counter,
    /// [`names::CARRIER_ANSWERS`].
    pub answers: Family<Answered>,
    /// [`names::CARRIER_RESPONSE_SECONDS`].
    pub response_seconds: Histogram<Short>,
    /// [`names::CARRIER_HANDOVER_SECONDS`].
    pub handover_seconds: Histogram<Long>,
    /// [`names::CARRIER_RECEIPT_SECONDS`].
    pub receipt_seconds: Histogram<Long>,
    /// [`names::CARRIER_RECEIPTS`].
    pub receipts: Family<ReceiptKind>,
    /// [`names::CARRIER_MO`].
    pub mo_received: Counter,
    /// [`names::CARRIER_UNANSWERED`].
    pub unanswered: Counter,
    /// Connections made.
    pub connects: Counter,
    /// MOs that are no account's.
    pub mo_unowned: Counter,
    /// Answers that nobody waits for.
    pub unexpected: Counter,
    /// PDUs with faulty TLVs.
    pub tlv_faults: Counter,
    /// Deliveries sent back.
    pub deliveries_refused: Counter,
    /// [`names::CARRIER_QUEUE`].
    pub queue: Gauge,
    /// [`names::CARRIER_SLOW`].
    pub slow: Gauge,
    /// [`names::CARRIER_HALTED`].
    pub halted: Gauge,
    /// By the state's octet.
    receipt_states: [Counter; MessageState::ALL.len()],
    refused: Statuses,
    bind_refused: Statuses,
}

impl CarrierMetrics {
    /// Makes the handles.
    pub fn new(telemetry: &Telemetry, carrier: &CarrierName) -> Self {
        let own = ("carrier", carrier.as_str());
        let counter = |metric| telemetry.counter(metric, &[own]);
        let gauge = |metric| telemetry.gauge(metric, &[own]);
        Self {
            links_bound: BIND_STATES
                .map(|state| telemetry.gauge(&names::CARRIER_LINKS, &[own, ("state", state)])),
            links_wanted: gauge(&names::CARRIER_LINKS_WANTED),
            window: gauge(&names::CARRIER_WINDOW),
            window_size: gauge(&names::CARRIER_WINDOW_SIZE),
            oldest: gauge(&names::CARRIER_OLDEST),
            retries: counter(&names::CARRIER_RETRIES),
            handover_seconds: telemetry.histogram(&names::CARRIER_HANDOVER_SECONDS, &[own]),
            receipt_seconds: telemetry.histogram(&names::CARRIER_RECEIPT_SECONDS, &[own]),
            receipt_states: MessageState::ALL.map(|state| {
                let labels = [own, ("state", state_label(state))];
                telemetry.counter(&names::CARRIER_RECEIPT_STATES, &labels)
            }),
            handed_over: counter(&names::CARRIER_HANDED_OVER),
            cut: counter(&names::CARRIER_CUT),
            answers: Family::new(telemetry, &names::CARRIER_ANSWERS, &[own]),
            response_seconds: telemetry.histogram(&names::CARRIER_RESPONSE_SECONDS, &[own]),
            receipts: Family::new(telemetry, &names::CARRIER_RECEIPTS, &[own]),
            mo_received: counter(&names::CARRIER_MO),
            unanswered: counter(&names::CARRIER_UNANSWERED),
            connects: counter(&names::CARRIER_CONNECTS),
            mo_unowned: counter(&names::CARRIER_MO_UNOWNED),
            unexpected: counter(&names::CARRIER_UNEXPECTED),
            tlv_faults: counter(&names::CARRIER_TLV_FAULTS),
            deliveries_refused: counter(&names::CARRIER_DELIVERIES_REFUSED),
            queue: gauge(&names::CARRIER_QUEUE),
            slow: gauge(&names::CARRIER_SLOW),
            halted: gauge(&names::CARRIER_HALTED),
            refused: Statuses::new(telemetry, &names::CARRIER_REFUSED, own),
            bind_refused: Statuses::new(telemetry, &names::CARRIER_BIND_REFUSED, own),
        }
    }

    /// Counts messages that the carrier answered with an error.
    pub fn refused(&self, status: CommandStatus, times: u64) {
        self.refused.count(status, times);
    }

    /// Counts receipts by what they tell.
    pub fn receipt_state(&self, state: MessageState, times: u64) {
        self.receipt_states[state as usize].increment(times);
    }

    /// Counts binds that the carrier refused.
    pub fn bind_refused(&self, status: CommandStatus, times: u64) {
        self.bind_refused.count(status, times);
    }
}
