//! What is shown: one second of the gateway, in numbers.
//!
//! Field names are the keys of the JSON that the page and `tidegate board` readers get; docs/cli.md lists them. Names ending in `_s` are a
//! rate per second over the last five, in `_10m` counts of the last ten minutes, in `_ms` times of the last minute.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde::Serialize;

use super::history::{History, Point};

/// One second.
#[derive(Debug, Serialize)]
pub struct Shot {
    /// Unix time in milliseconds.
    pub(super) at_ms: u64,
    /// Name of this gateway's version.
    pub(super) version: &'static str,
    /// Seconds since its start.
    pub(super) up_for_s: u64,
    /// What somebody should look at, the most urgent first.
    pub(super) alarms: Vec<Alarm>,
    /// Alarms that are not told one by one.
    pub(super) more_alarms: More,
    pub(super) totals: Totals,
    pub(super) accounts: Vec<Account>,
    pub(super) carriers: Vec<Carrier>,
    /// The newest point of the last hour.
    pub(super) point: Option<Point>,
    /// When it was taken, on the monotonic clock.
    #[serde(skip)]
    pub(super) taken: Duration,
    #[serde(skip)]
    pub(super) history: Arc<History>,
    #[serde(skip)]
    pub(super) json: OnceLock<String>,
}

/// How soon somebody should look, as docs/alerts.yml has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Now.
    Page,
    /// Today.
    Ticket,
}

/// How many alarms of each severity are counted only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct More {
    pub(super) page: usize,
    pub(super) ticket: usize,
}

impl More {
    pub(super) fn of(alarms: &[Alarm]) -> Self {
        let count = |severity| alarms.iter().filter(|alarm| alarm.severity == severity).count();
        Self {
            page: count(Severity::Page),
            ticket: count(Severity::Ticket),
        }
    }
}

/// Something that somebody should look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Alarm {
    /// The alert of docs/alerts.yml, and with it the section of the runbook.
    pub alert: &'static str,
    /// How soon.
    pub severity: Severity,
    /// The account, carrier or listener that it is about.
    pub about: Option<String>,
    /// What is the matter.
    pub text: String,
}

/// Two quantiles of a duration, in milliseconds; absent where nothing was measured in the last minute.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Latency {
    pub(super) p50_ms: Option<f64>,
    pub(super) p99_ms: Option<f64>,
}

/// The gateway as a whole.
#[derive(Debug, Default, Serialize)]
pub(super) struct Totals {
    pub(super) accepted_s: f64,
    pub(super) handed_over_s: f64,
    pub(super) delivered_s: f64,
    pub(super) failed_s: f64,
    pub(super) refused_s: f64,
    pub(super) receipts_s: f64,
    pub(super) mo_s: f64,
    /// Messages that wait for carriers.
    pub(super) queue: usize,
    pub(super) oldest_ms: u64,
    /// Messages without a final state, those in files included.
    pub(super) unfinished: u64,
    /// Receipts and MOs that wait for ESMEs, those in files included.
    pub(super) outbox: usize,
    pub(super) binds: usize,
    /// Bound, and wanted.
    pub(super) links: [usize; 2],
    pub(super) connections: usize,
    pub(super) accepted_10m: u64,
    pub(super) refused_10m: u64,
    pub(super) throttled_10m: u64,
    pub(super) standing_refused_10m: u64,
    pub(super) opted_out_refused_10m: u64,
    pub(super) slowed_10m: u64,
    pub(super) errors_10m: u64,
    pub(super) retries_10m: u64,
    pub(super) opt_outs_10m: u64,
    pub(super) connections_refused_10m: u64,
    /// People who have opted out, in all.
    pub(super) opt_outs: usize,
    pub(super) banned: usize,
    pub(super) spool: &'static str,
    pub(super) spool_octets: u64,
    pub(super) spool_limit: u64,
    pub(super) sync: Latency,
    pub(super) batch_records: f64,
    pub(super) receipts_10m: Vec<Times>,
    /// What was answered to ESMEs besides ROK, the most frequent first.
    pub(super) refusals_10m: Vec<Times>,
    /// What carriers answered besides ROK.
    pub(super) carrier_errors_10m: Vec<Times>,
}

/// How often something came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Times {
    pub(super) name: &'static str,
    pub(super) times: u64,
}

/// An account.
#[derive(Debug, Serialize)]
pub(super) struct Account {
    pub(super) name: String,
    /// bound, unbound, suspended, closed, closing, overflow, removed.
    pub(super) health: &'static str,
    /// As transmitter, receiver, both.
    pub(super) binds: [usize; 3],
    pub(super) max_binds: usize,
    /// Submits and deliveries under way.
    pub(super) window: [usize; 2],
    pub(super) accepted_s: f64,
    pub(super) delivered_s: f64,
    pub(super) refused_s: f64,
    pub(super) receipts_s: f64,
    pub(super) mo_s: f64,
    /// Messages without a final state in memory: those in files are counted of the gateway as a whole only.
    pub(super) unfinished: usize,
    pub(super) oldest_ms: u64,
    pub(super) outbox: usize,
    pub(super) handover: Latency,
    pub(super) receipt: Latency,
    pub(super) accepted_10m: u64,
    pub(super) refused_10m: u64,
    pub(super) throttled_10m: u64,
    pub(super) standing_refused_10m: u64,
    pub(super) opted_out_refused_10m: u64,
    pub(super) delivered_10m: u64,
    pub(super) failed_10m: u64,
    pub(super) retries_10m: u64,
    pub(super) overflow_10m: u64,
    /// Parts of the day and the month.
    pub(super) used: [u64; 2],
}

/// A carrier.
#[derive(Debug, Serialize)]
pub(super) struct Carrier {
    pub(super) name: String,
    /// up, degraded, down, slowed, refuses, paused, drained, removed.
    pub(super) health: &'static str,
    /// Bound, and wanted.
    pub(super) links: [usize; 2],
    /// Seconds without any link, where it should have one.
    pub(super) down_for_s: Option<u64>,
    /// Used, and its size.
    pub(super) window: [usize; 2],
    pub(super) handed_over_s: f64,
    pub(super) delivered_s: f64,
    pub(super) mo_s: f64,
    pub(super) queue: usize,
    pub(super) oldest_ms: u64,
    pub(super) response: Latency,
    pub(super) receipt: Latency,
    pub(super) answers_10m: u64,
    pub(super) refused_10m: u64,
    pub(super) unanswered_10m: u64,
    pub(super) slowed_10m: u64,
    pub(super) retries_10m: u64,
    pub(super) delivered_10m: u64,
    pub(super) failed_10m: u64,
}

impl Shot {
    /// What is told of it in one line, made once for all who watch.
    pub(super) fn json(&self) -> &str {
        self.json
            .get_or_init(|| serde_json::to_string(self).unwrap_or_default())
    }

    /// The last hour in one line.
    pub(super) fn history_json(&self) -> &str {
        let history = &self.history;
        history
            .json
            .get_or_init(|| serde_json::to_string(&**history).unwrap_or_default())
    }
}
