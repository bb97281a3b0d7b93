//! What is counted for each account.

use metrics::{Counter, Gauge};
use tidegate_codec::identity::SystemId;
use tidegate_codec::status::CommandStatus;
use tidegate_codec::values::MessageState;

use super::histogram::{Histogram, Long};
use super::words::{AbuseRule, BindResult, Family, HeldEnd, StandingRule, Statuses, ThrottledBy};
use super::{BIND_STATES, Telemetry, names};

/// Handles of one account's metrics; what each counts stands in [`names`].
#[derive(Debug)]
pub struct AccountMetrics {
    /// [`names::ACCOUNT_BINDS`].
    /// In the order of [`BIND_STATES`].
    pub binds: [Gauge; BIND_STATES.len()],
    /// [`names::ACCOUNT_WINDOW`]: of submits, of deliveries.
    pub window: [Gauge; 2],
    /// [`names::ACCOUNT_UNFINISHED`].
    pub unfinished: Gauge,
    /// [`names::ACCOUNT_SUSPENDED`].
    pub suspended: Gauge,
    /// [`names::ACCOUNT_HELD`].
    pub held_now: Gauge,
    /// [`names::ACCOUNT_HELD_OLDEST`].
    pub held_oldest: Gauge,
    /// [`names::ACCOUNT_HELD_TOTAL`].
    pub held: Counter,
    /// [`names::ACCOUNT_HELD_ENDED`].
    pub held_ended: Family<HeldEnd>,
    /// [`names::ACCOUNT_SUSPENDED_SENDERS`].
    pub suspended_senders: Gauge,
    /// [`names::ACCOUNT_OLDEST`].
    pub oldest: Gauge,
    /// [`names::ACCOUNT_RETRIES`].
    pub retries: Counter,
    /// [`names::ACCOUNT_HANDOVER_SECONDS`].
    pub handover_seconds: Histogram<Long>,
    /// [`names::ACCOUNT_RECEIPT_SECONDS`].
    pub receipt_seconds: Histogram<Long>,
    /// [`names::ACCOUNT_BIND_ATTEMPTS`].
    pub bind_attempts: Family<BindResult>,
    /// [`names::ACCOUNT_ACCEPTED`].
    pub accepted: Counter,
    /// [`names::ACCOUNT_QUOTA_USED`]: of the day, of the month.
    pub quota_used: [Gauge; 2],
    /// [`names::ACCOUNT_DUPLICATES`].
    pub duplicates: Counter,
    /// [`names::ACCOUNT_STANDING_REFUSED`].
    pub standing_refused: Family<StandingRule>,
    /// [`names::ACCOUNT_ABUSE_SIGNALS`].
    pub abuse_signals: Family<AbuseRule>,
    /// [`names::ACCOUNT_DEFERRED`].
    pub deferred: Counter,
    /// [`names::ACCOUNT_UNCONSENTED`].
    pub unconsented: Counter,
    /// [`names::ACCOUNT_THROTTLED`].
    pub throttled: Family<ThrottledBy>,
    /// [`names::ACCOUNT_HOLDS`].
    pub holds: Counter,
    /// [`names::ACCOUNT_FLOODERS_UNBOUND`].
    pub flooders_unbound: Counter,
    /// [`names::ACCOUNT_DLR_DELIVERED`].
    pub dlr_delivered: Counter,
    /// [`names::ACCOUNT_MO_DELIVERED`].
    pub mo_delivered: Counter,
    /// [`names::ACCOUNT_OUTBOX`].
    pub outbox: Gauge,
    /// [`names::ACCOUNT_OUTBOX_OVERFLOW`].
    pub outbox_overflow: Counter,
    /// [`names::ACCOUNT_OUTBOX_EXPIRED`].
    pub outbox_expired: Counter,
    /// See [`names::ACCOUNT_MOS_WITHHELD`].
    pub mos_withheld: Counter,
    /// What has as many labels as there are countries is made when it is counted: [`names::ACCOUNT_MONITORED`].
    telemetry: Telemetry,
    account: SystemId,
    refused: Statuses,
    deliveries_refused: Statuses,
    /// By the state's octet.
    finals: [Counter; MessageState::ALL.len()],
}

impl AccountMetrics {
    /// Makes the handles of a *configured* account; never of a name that arrived over a wire.
    pub fn new(telemetry: &Telemetry, account: &SystemId) -> Self {
        let own = ("account", account.as_str());
        let counter = |metric| telemetry.counter(metric, &[own]);
        let gauge = |metric| telemetry.gauge(metric, &[own]);
        let finals = MessageState::ALL
            .map(|state| telemetry.counter(&names::ACCOUNT_FINALS, &[own, ("state", state_label(state))]));
        let metrics = Self {
            binds: BIND_STATES.map(|state| telemetry.gauge(&names::ACCOUNT_BINDS, &[own, ("state", state)])),
            window: ["submit", "deliver"]
                .map(|direction| telemetry.gauge(&names::ACCOUNT_WINDOW, &[own, ("direction", direction)])),
            unfinished: gauge(&names::ACCOUNT_UNFINISHED),
            suspended: gauge(&names::ACCOUNT_SUSPENDED),
            held_now: gauge(&names::ACCOUNT_HELD),
            held_oldest: gauge(&names::ACCOUNT_HELD_OLDEST),
            held: counter(&names::ACCOUNT_HELD_TOTAL),
            held_ended: Family::new(telemetry, &names::ACCOUNT_HELD_ENDED, &[own]),
            suspended_senders: gauge(&names::ACCOUNT_SUSPENDED_SENDERS),
            oldest: gauge(&names::ACCOUNT_OLDEST),
            retries: counter(&names::ACCOUNT_RETRIES),
            handover_seconds: telemetry.histogram(&names::ACCOUNT_HANDOVER_SECONDS, &[own]),
            receipt_seconds: telemetry.histogram(&names::ACCOUNT_RECEIPT_SECONDS, &[own]),
            bind_attempts: Family::new(telemetry, &names::ACCOUNT_BIND_ATTEMPTS, &[own]),
            accepted: counter(&names::ACCOUNT_ACCEPTED),
            quota_used: ["day", "month"]
                .map(|period| telemetry.gauge(&names::ACCOUNT_QUOTA_USED, &[own, ("period", period)])),
            duplicates: counter(&names::ACCOUNT_DUPLICATES),
            standing_refused: Family::new(telemetry, &names::ACCOUNT_STANDING_REFUSED, &[own]),
            abuse_signals: Family::new(telemetry, &names::ACCOUNT_ABUSE_SIGNALS, &[own]),
            deferred: counter(&names::ACCOUNT_DEFERRED),
            unconsented: counter(&names::ACCOUNT_UNCONSENTED),
            throttled: Family::new(telemetry, &names::ACCOUNT_THROTTLED, &[own]),
            holds: counter(&names::ACCOUNT_HOLDS),
            flooders_unbound: counter(&names::ACCOUNT_FLOODERS_UNBOUND),
            dlr_delivered: counter(&names::ACCOUNT_DLR_DELIVERED),
            mo_delivered: counter(&names::ACCOUNT_MO_DELIVERED),
            outbox: gauge(&names::ACCOUNT_OUTBOX),
            outbox_overflow: counter(&names::ACCOUNT_OUTBOX_OVERFLOW),
            outbox_expired: counter(&names::ACCOUNT_OUTBOX_EXPIRED),
            mos_withheld: counter(&names::ACCOUNT_MOS_WITHHELD),
            telemetry: telemetry.clone(),
            account: *account,
            refused: Statuses::new(telemetry, &names::ACCOUNT_REFUSED, own),
            deliveries_refused: Statuses::new(telemetry, &names::ACCOUNT_DELIVERIES_REFUSED, own),
            finals,
        };
        // The metric is there from the start.
        metrics.monitored(None, 0);
        metrics.content_hits("none", 0);
        metrics
    }

    /// Counts messages to a country that is monitored; `None` is no country.
    pub fn monitored(&self, country: Option<[u8; 2]>, times: u64) {
        let country = country
            .as_ref()
            .and_then(|letters| std::str::from_utf8(letters).ok());
        let labels = [
            ("account", self.account.as_str()),
            ("country", country.unwrap_or("none")),
        ];
        self.telemetry
            .counter(&names::ACCOUNT_MONITORED, &labels)
            .increment(times);
    }

    /// Counts messages that hit a rule about content.
    pub fn content_hits(&self, rule: &str, times: u64) {
        let labels = [("account", self.account.as_str()), ("rule", rule)];
        self.telemetry
            .counter(&names::ACCOUNT_CONTENT_HITS, &labels)
            .increment(times);
    }

    /// Counts submits that were answered with an error.
    pub fn refused(&self, status: CommandStatus, times: u64) {
        self.refused.count(status, times);
    }

    /// Counts deliveries that the account answered with an error.
    pub fn delivery_refused(&self, status: CommandStatus, times: u64) {
        self.deliveries_refused.count(status, times);
    }

    /// Counts messages that reached a final state.
    pub fn final_state(&self, state: MessageState, times: u64) {
        self.finals[state as usize].increment(times);
    }
}

pub(crate) const fn state_label(state: MessageState) -> &'static str {
    match state {
        MessageState::Scheduled => "scheduled",
        MessageState::Enroute => "enroute",
        MessageState::Delivered => "delivered",
        MessageState::Expired => "expired",
        MessageState::Deleted => "deleted",
        MessageState::Undeliverable => "undeliverable",
        MessageState::Accepted => "accepted",
        MessageState::Unknown => "unknown",
        MessageState::Rejected => "rejected",
        MessageState::Skipped => "skipped",
    }
}
