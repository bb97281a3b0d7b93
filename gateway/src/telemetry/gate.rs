//! What is counted once for the whole gateway.

use metrics::{Counter, Gauge};
use tidegate_codec::header::CommandId;
use tidegate_codec::status::CommandStatus;

use super::histogram::{Histogram, Short, Sizes};
use super::words::{
    AbuseTable, ConnectionRefused, Damage, Family, HandsetWord, Handshake, LateReceipt, LinkClosed,
    Recovered, ReloadResult, ReplyEnd, Requests, Side, SpoolCause, Word as _,
};
use super::{Telemetry, names};

/// Handles of the gateway's own metrics; what each counts stands in [`names`].
#[derive(Debug)]
pub struct GateMetrics {
    /// PDUs without an answer and a meaning here.
    pub dropped: Counter,
    requests_refused: Requests,
    /// [`names::TURNS`].
    pub turns: Counter,
    /// [`names::BATCHES`].
    pub batches: Counter,
    /// [`names::BATCH_OCTETS`].
    pub batch_octets: Counter,
    /// [`names::RECORDS`].
    pub records: Counter,
    /// [`names::BATCH_RECORDS`].
    pub batch_sizes: Histogram<Sizes>,
    /// [`names::SYNC_SECONDS`].
    pub sync_seconds: Histogram<Short>,
    /// [`names::COMMIT_FAILURES`].
    pub commit_failures: Family<SpoolCause>,
    /// [`names::SPOOL_OCTETS`].
    pub spool_octets: Gauge,
    /// [`names::STORAGE_USED`].
    pub storage_used: Gauge,
    /// [`names::STORAGE_INTAKE_LIMIT`].
    pub storage_intake_limit: Gauge,
    /// [`names::SPOOL_SEGMENTS`].
    pub spool_segments: Gauge,
    /// [`names::UNFINISHED`].
    pub unfinished: Gauge,
    /// [`names::OUTBOX_ENTRIES`].
    pub outbox_entries: Gauge,
    /// [`names::RECOVERED`].
    pub recovered: Family<Recovered>,
    /// [`names::DAMAGE`].
    pub damage: Family<Damage>,
    /// [`names::ABUSE_EVICTED`].
    pub abuse_evicted: Family<AbuseTable>,
    /// [`names::HANDSET_WORDS`].
    pub handset_words: Family<HandsetWord>,
    /// [`names::OPT_OUTS_WIDENED`].
    pub opt_outs_widened: Counter,
    /// [`names::REPLIES`].
    pub replies: Family<ReplyEnd>,
    /// [`names::OPT_OUTS`].
    pub opt_outs: Gauge,
    /// [`names::STANDING_WAITING`].
    pub standing_waiting: Gauge,
    /// [`names::HISTORY_UNFILED`].
    pub history_unfiled: Gauge,
    /// [`names::HISTORY_FILED`].
    pub history_filed: Counter,
    /// [`names::HISTORY_FAILURES`].
    pub history_failures: Counter,
    /// [`names::INTAKE_REFUSED`].
    pub intake_refused: Family<SpoolCause>,
    /// [`names::CONNECTIONS`].
    pub connections: Gauge,
    /// [`names::CONNECTIONS_ACCEPTED`].
    pub connections_accepted: Counter,
    /// [`names::CONNECTIONS_REFUSED`].
    pub connections_refused: Family<ConnectionRefused>,
    /// [`names::TRACES`].
    pub traces: Gauge,
    /// [`names::TRACE_DROPPED`].
    pub trace_dropped: Counter,
    /// [`names::BANS`].
    pub bans: Counter,
    /// [`names::BANNED`].
    pub banned: Gauge,
    /// [`names::BINDS_UNKNOWN`]: the name that was tried is not repeated anywhere.
    pub binds_unknown: Counter,
    /// [`names::RECEIPTS_PENNED`].
    pub receipts_penned: Gauge,
    /// [`names::OUTBOX_FILED`].
    pub outbox_filed: Gauge,
    /// [`names::OUTBOX_FILES`].
    pub outbox_files: Gauge,
    /// [`names::OUTBOX_OCTETS`].
    pub outbox_octets: Gauge,
    /// [`names::OUTBOX_MOVED`].
    pub outbox_moved: Counter,
    /// [`names::WAITING`].
    pub waiting: Gauge,
    /// [`names::WAITING_FILES`].
    pub waiting_files: Gauge,
    /// [`names::WAITING_OCTETS`].
    pub waiting_octets: Gauge,
    /// [`names::WAITING_MEMORY`].
    pub waiting_memory: Gauge,
    /// [`names::WAITING_MOVED`].
    pub waiting_moved: Counter,
    /// [`names::WAITING_EXPIRED`].
    pub waiting_expired: Counter,
    /// [`names::LATE_RECEIPTS`].
    pub late_receipts: Family<LateReceipt>,
    /// [`names::TABLE_ROWS`] and [`names::TABLE_OCTETS`] of networks, ported numbers and prices.
    pub tables: [(Gauge, Gauge); 3],
    /// [`names::TLS_HANDSHAKES`], by [`Side`].
    pub handshakes: [Family<Handshake>; 3],
    /// [`names::RELOADS`].
    pub reloads: Family<ReloadResult>,
    /// [`names::RELOADED_AT`].
    pub reloaded_at: Gauge,
    /// [`names::LINKS_CLOSED`], by [`Side`]; the admin listener has no links.
    links_closed: [Family<LinkClosed>; 2],
    telemetry: Telemetry,
}

impl GateMetrics {
    /// Makes the handles.
    pub fn new(telemetry: &Telemetry) -> Self {
        let counter = |metric| telemetry.counter(metric, &[]);
        let gauge = |metric| telemetry.gauge(metric, &[]);
        let closed = |side: Side| Family::new(telemetry, &names::LINKS_CLOSED, &[("side", side.label())]);
        let shaken = |side: Side| Family::new(telemetry, &names::TLS_HANDSHAKES, &[("side", side.label())]);
        let tables = ["networks", "ported", "prices"].map(|table| {
            let gauge = |metric| telemetry.gauge(metric, &[("table", table)]);
            (gauge(&names::TABLE_ROWS), gauge(&names::TABLE_OCTETS))
        });
        Self {
            tables,
            turns: counter(&names::TURNS),
            batches: counter(&names::BATCHES),
            batch_octets: counter(&names::BATCH_OCTETS),
            records: counter(&names::RECORDS),
            batch_sizes: telemetry.histogram(&names::BATCH_RECORDS, &[]),
            sync_seconds: telemetry.histogram(&names::SYNC_SECONDS, &[]),
            commit_failures: Family::new(telemetry, &names::COMMIT_FAILURES, &[]),
            spool_octets: gauge(&names::SPOOL_OCTETS),
            storage_used: gauge(&names::STORAGE_USED),
            storage_intake_limit: gauge(&names::STORAGE_INTAKE_LIMIT),
            spool_segments: gauge(&names::SPOOL_SEGMENTS),
            unfinished: gauge(&names::UNFINISHED),
            outbox_entries: gauge(&names::OUTBOX_ENTRIES),
            recovered: Family::new(telemetry, &names::RECOVERED, &[]),
            damage: Family::new(telemetry, &names::DAMAGE, &[]),
            abuse_evicted: Family::new(telemetry, &names::ABUSE_EVICTED, &[]),
            handset_words: Family::new(telemetry, &names::HANDSET_WORDS, &[]),
            opt_outs_widened: telemetry.counter(&names::OPT_OUTS_WIDENED, &[]),
            replies: Family::new(telemetry, &names::REPLIES, &[]),
            opt_outs: telemetry.gauge(&names::OPT_OUTS, &[]),
            standing_waiting: telemetry.gauge(&names::STANDING_WAITING, &[]),
            history_unfiled: gauge(&names::HISTORY_UNFILED),
            history_filed: counter(&names::HISTORY_FILED),
            history_failures: counter(&names::HISTORY_FAILURES),
            intake_refused: Family::new(telemetry, &names::INTAKE_REFUSED, &[]),
            connections: gauge(&names::CONNECTIONS),
            connections_accepted: counter(&names::CONNECTIONS_ACCEPTED),
            connections_refused: Family::new(telemetry, &names::CONNECTIONS_REFUSED, &[]),
            traces: gauge(&names::TRACES),
            trace_dropped: counter(&names::TRACE_DROPPED),
            bans: counter(&names::BANS),
            banned: gauge(&names::BANNED),
            binds_unknown: counter(&names::BINDS_UNKNOWN),
            receipts_penned: gauge(&names::RECEIPTS_PENNED),
            outbox_filed: gauge(&names::OUTBOX_FILED),
            outbox_files: gauge(&names::OUTBOX_FILES),
            outbox_octets: gauge(&names::OUTBOX_OCTETS),
            outbox_moved: counter(&names::OUTBOX_MOVED),
            waiting: gauge(&names::WAITING),
            waiting_files: gauge(&names::WAITING_FILES),
            waiting_octets: gauge(&names::WAITING_OCTETS),
            waiting_memory: gauge(&names::WAITING_MEMORY),
            waiting_moved: counter(&names::WAITING_MOVED),
            waiting_expired: counter(&names::WAITING_EXPIRED),
            late_receipts: Family::new(telemetry, &names::LATE_RECEIPTS, &[]),
            handshakes: [Side::Esme, Side::Carrier, Side::Admin].map(shaken),
            reloads: Family::new(telemetry, &names::RELOADS, &[]),
            reloaded_at: gauge(&names::RELOADED_AT),
            dropped: counter(&names::DROPPED),
            requests_refused: Requests::new(telemetry),
            telemetry: telemetry.clone(),
            links_closed: [closed(Side::Esme), closed(Side::Carrier)],
        }
    }

    /// Counts requests that the session itself answered with an error.
    pub fn refused(&self, command: CommandId, status: CommandStatus, times: u64) {
        self.requests_refused.count(command, status, times);
    }

    /// Tells when our certificate on a listener or towards a carrier ends, in unix seconds; `None` if it has none any more.
    pub fn certificate(&self, side: Side, name: &str, expires_s: Option<u64>) {
        let gauge = self.telemetry.gauge(
            &names::CERTIFICATE_EXPIRY,
            &[("side", side.label()), ("name", name)],
        );
        #[expect(clippy::cast_precision_loss, reason = "seconds far below 2^53")]
        gauge.set(expires_s.map_or(f64::INFINITY, |at| at as f64));
    }

    /// Tells when an exception from TLS 1.3 ends, in unix seconds, by its key in the configuration; `None` if it is not there any
    /// more.
    pub fn exception(&self, key: &str, ends_s: Option<u64>) {
        let gauge = self.telemetry.gauge(&names::EXCEPTION_EXPIRY, &[("key", key)]);
        #[expect(clippy::cast_precision_loss, reason = "seconds far below 2^53")]
        gauge.set(ends_s.map_or(f64::INFINITY, |at| at as f64));
    }

    /// Counts connections that ended. A session's `CloseReason` converts into the reason.
    pub fn link_closed(&self, side: Side, reason: impl Into<LinkClosed>, times: u64) {
        if let Some(closed) = self.links_closed.get(side.index()) {
            closed.of(reason.into()).increment(times);
        }
    }
}
