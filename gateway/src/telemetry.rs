//! What the operator sees of a running gateway: metrics in Prometheus' form, and logs.
//!
//! Every metric is declared in [`names`], once, with kind, unit, labels and help. Handles are made when
//! their owner is made ([`GateMetrics`], [`AccountMetrics`], [`CarrierMetrics`]) and kept, so that counting
//! is one atomic addition and never a look-up by name.
//!
//! Labels come from configuration (account, carrier) and from the fixed [`words`] only; nothing that
//! arrived over a wire can become one (LOG-3).
//!
//! Each [`Telemetry`] is a world of its own: no recorder is installed for the process, so several gateways
//! in one test process do not see each other.

mod abuse;
mod access;
mod account;
mod admin;
mod audit;
mod carrier;
mod disclosures;
mod exports;
mod filter;
mod gate;
pub mod histogram;
mod history;
mod http;
mod keys;
pub mod log;
pub mod names;
mod notices;
mod process;
mod subjects;
mod sweep;
pub mod words;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use metrics::{Counter, Gauge, Key, Label, Level, Metadata, Recorder as _};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

pub use abuse::AbuseMetrics;
pub use access::AccessMetrics;
pub use account::AccountMetrics;
pub(crate) use account::state_label;
pub use admin::{AdminMetrics, Watching};
pub use audit::AuditMetrics;
pub use carrier::CarrierMetrics;
pub use disclosures::DisclosureMetrics;
pub use exports::ExportMetrics;
pub use gate::GateMetrics;
pub use history::HistoryMetrics;
pub use http::HttpMetrics;
pub use keys::KeyMetrics;
pub use notices::NoticeMetrics;
pub use subjects::SubjectMetrics;
pub use sweep::SweepMetrics;

use histogram::{Histogram, Histograms, Scale};
use names::{Kind, Metric};
use words::Family;

/// Who wrote a metric, which the recorder wants to know and does not use.
const ORIGIN: Metadata<'static> = Metadata::new("tidegate", Level::INFO, None);

/// States of a bind, as SMPP names them, in the order of `BindKind`.
pub(crate) const BIND_STATES: [&str; 3] = ["bound_tx", "bound_rx", "bound_trx"];

/// The metrics of one gateway. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub struct Telemetry(Arc<Inner>);

struct Inner {
    recorder: PrometheusRecorder,
    rendered: PrometheusHandle,
    /// As many as accounts, carriers and fixed places make, never per message.
    histograms: Mutex<Histograms>,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self::new()
    }
}

impl Telemetry {
    /// Metrics that nothing has counted yet.
    pub fn new() -> Self {
        let recorder = PrometheusBuilder::new().build_recorder();
        for metric in names::ALL {
            let (name, help) = (metric.name.into(), metric.help.into());
            match metric.kind {
                Kind::Counter => recorder.describe_counter(name, Some(metric.unit), help),
                Kind::Gauge => recorder.describe_gauge(name, Some(metric.unit), help),
                // Ours to render.
                Kind::Histogram => {}
            }
        }
        Self(Arc::new(Inner {
            rendered: recorder.handle(),
            recorder,
            histograms: Mutex::default(),
        }))
    }

    /// Everything counted so far, in Prometheus' text form, version 0.0.4.
    pub fn render(&self) -> String {
        let mut text = self.0.rendered.render();
        let histograms = self.0.histograms.lock().unwrap_or_else(PoisonError::into_inner);
        histograms.render(&mut text);
        drop(histograms);
        process::render(&mut text);
        text
    }

    fn counter(&self, metric: &Metric, labels: &[(&'static str, &str)]) -> Counter {
        debug_assert_eq!(metric.kind, Kind::Counter, "{}", metric.name);
        self.0.recorder.register_counter(&key(metric, labels), &ORIGIN)
    }

    fn gauge(&self, metric: &Metric, labels: &[(&'static str, &str)]) -> Gauge {
        debug_assert_eq!(metric.kind, Kind::Gauge, "{}", metric.name);
        self.0.recorder.register_gauge(&key(metric, labels), &ORIGIN)
    }

    /// A histogram. Asked for twice with the same labels it is the same one.
    fn histogram<S: Scale>(&self, metric: &'static Metric, labels: &[(&'static str, &str)]) -> Histogram<S> {
        debug_assert_eq!(metric.kind, Kind::Histogram, "{}", metric.name);
        let labels: Vec<Label> = key(metric, labels).into_parts().1;
        let mut all = self.0.histograms.lock().unwrap_or_else(PoisonError::into_inner);
        Histogram::new(all.buckets::<S>(metric, labels))
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Telemetry")
    }
}

fn key(metric: &Metric, labels: &[(&'static str, &str)]) -> Key {
    debug_assert!(
        labels
            .iter()
            .map(|(name, _)| *name)
            .eq(metric.labels.iter().copied()),
        "{} has other labels than it declares",
        metric.name
    );
    let labels: Vec<Label> = labels
        .iter()
        .map(|(name, value)| Label::new(*name, (*value).to_owned()))
        .collect();
    Key::from_parts(metric.name, labels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use histogram::{Short, Spread};
    use std::time::Duration;
    use tidegate_codec::header::CommandId;
    use tidegate_codec::status::CommandStatus;
    use tidegate_codec::values::MessageState;
    use words::{Answered, BindResult, ConnectionRefused, LinkClosed, Side};

    fn one(took: Duration) -> Spread<Short> {
        let mut spread = Spread::default();
        spread.took(took);
        spread
    }

    fn carrier_name() -> tidegate_config::CarrierName {
        let text = include_str!("../../config/tidegate.toml");
        tidegate_config::parse(text).unwrap().carriers[0].name.clone()
    }

    #[test]
    fn what_was_counted_is_rendered_under_its_labels() {
        let telemetry = Telemetry::new();
        let gate = GateMetrics::new(&telemetry);
        gate.turns.increment(3);
        gate.connections_refused.of(ConnectionRefused::Full).increment(1);
        gate.link_closed(Side::Esme, LinkClosed::SessionInit, 1);
        let account = AccountMetrics::new(&telemetry, &"load".parse().unwrap());
        account.refused(CommandStatus::RTHROTTLED, 1);
        account.bind_attempts.of(BindResult::Denied).increment(2);
        account.final_state(MessageState::Delivered, 1);
        let carrier = CarrierMetrics::new(&telemetry, &carrier_name());
        carrier.links_bound[2].set(4);
        carrier.answers.of(Answered::Accepted).increment(9);
        carrier
            .response_seconds
            .publish(&one(Duration::from_millis(3)), &Spread::default());

        let text = telemetry.render();
        for line in [
            "tidegate_turns_total 3",
            "tidegate_connections_refused_total{reason=\"full\"} 1",
            "tidegate_links_closed_total{side=\"esme\",reason=\"session_init\"} 1",
            "tidegate_account_submits_refused_total{account=\"load\",status=\"ESME_RTHROTTLED\"} 1",
            "tidegate_account_bind_attempts_total{account=\"load\",result=\"denied\"} 2",
            "tidegate_account_finals_total{account=\"load\",state=\"delivered\"} 1",
            "tidegate_carrier_links_bound{carrier=\"example\",state=\"bound_trx\"} 4",
            "tidegate_carrier_answers_total{carrier=\"example\",verdict=\"accepted\"} 9",
            "tidegate_carrier_response_seconds_bucket{carrier=\"example\",le=\"0.0025\"} 0",
            "tidegate_carrier_response_seconds_bucket{carrier=\"example\",le=\"0.005\"} 1",
            "tidegate_carrier_response_seconds_count{carrier=\"example\"} 1",
            "# TYPE tidegate_carrier_response_seconds histogram",
            "# TYPE tidegate_turns_total counter",
            "# HELP tidegate_turns_total Turns of the loop",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }

    #[test]
    fn statuses_that_a_peer_invents_share_one_label() {
        let telemetry = Telemetry::new();
        let account = AccountMetrics::new(&telemetry, &"load".parse().unwrap());
        for status in 0x0400..0x0500 {
            account.refused(CommandStatus(status), 1);
        }
        let text = telemetry.render();
        let line = "tidegate_account_submits_refused_total{account=\"load\",status=\"other\"} 256";
        assert!(text.contains(line), "{text}");
        let name = "tidegate_account_submits_refused_total{";
        let series = text.lines().filter(|line| line.starts_with(name)).count();
        assert_eq!(series, 1, "what was never answered has no series");
    }

    #[test]
    fn two_gateways_in_one_process_do_not_share_numbers() {
        let (one, other) = (Telemetry::new(), Telemetry::new());
        GateMetrics::new(&one).turns.increment(1);
        GateMetrics::new(&other).turns.increment(5);
        assert!(one.render().contains("tidegate_turns_total 1\n"));
        assert!(other.render().contains("tidegate_turns_total 5\n"));
    }

    #[test]
    fn handles_made_twice_count_into_one_series() {
        let telemetry = Telemetry::new();
        for _ in 0..2 {
            let carrier = CarrierMetrics::new(&telemetry, &carrier_name());
            carrier.handed_over.increment(1);
            carrier
                .response_seconds
                .publish(&one(Duration::from_secs(1)), &Spread::default());
        }
        let text = telemetry.render();
        assert!(text.contains("tidegate_carrier_handed_over_total{carrier=\"example\"} 2"));
        assert_eq!(text.matches("tidegate_carrier_response_seconds_count").count(), 1);
    }

    #[test]
    fn every_metric_is_registered_by_some_handle() {
        let telemetry = Telemetry::new();
        let gate = GateMetrics::new(&telemetry);
        let _audit = AuditMetrics::new(&telemetry);
        let _keys = KeyMetrics::new(&telemetry);
        let _sweep = SweepMetrics::new(&telemetry);
        let _abuse = AbuseMetrics::new(&telemetry);
        let _exports = ExportMetrics::new(&telemetry);
        let _subjects = SubjectMetrics::new(&telemetry);
        let _notices = NoticeMetrics::new(&telemetry);
        let _access = AccessMetrics::new(&telemetry);
        let _disclosures = DisclosureMetrics::new(&telemetry);
        let _history = HistoryMetrics::new(&telemetry);
        let _admin = AdminMetrics::new(&telemetry);
        let _http = HttpMetrics::new(&telemetry, "admin");
        let account = AccountMetrics::new(&telemetry, &"load".parse().unwrap());
        gate.refused(CommandId::QUERY_SM, CommandStatus::RINVCMDID, 1);
        gate.certificate(Side::Esme, "127.0.0.1:2775", Some(1));
        gate.exception("listen[0].tls.tls12", Some(1));
        account.refused(CommandStatus::RSYSERR, 1);
        account.delivery_refused(CommandStatus::RSYSERR, 1);
        account.monitored(Some(*b"DK"), 1);
        let carrier = CarrierMetrics::new(&telemetry, &carrier_name());
        carrier.refused(CommandStatus::RSYSERR, 1);
        carrier.bind_refused(CommandStatus::RBINDFAIL, 1);
        let text = telemetry.render();
        for metric in names::ALL {
            assert!(
                text.contains(&format!("# HELP {} ", metric.name)),
                "{} is declared and never used",
                metric.name
            );
        }
    }
}
