//! What `/metrics` says, and what is said of it elsewhere: names, units and help; OPERATIONS.md; the alert rules and the
//! dashboard in docs/.

mod promtool;
mod rules;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tidegate_codec::identity::SystemId;
use tidegate_codec::status::CommandStatus;
use tidegate_codec::values::MessageState;
use tidegate_gateway::clock::Clock;
use tidegate_gateway::telemetry::{AccountMetrics, CarrierMetrics, Telemetry};
use tidegate_tests::esme::message;
use tidegate_tests::{DEADLINE, Dialect, ScriptedEsme, ScriptedSmsc};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::ancillary::cancel;
use crate::local::Local;

/// Pause between two looks: the loop publishes a few times a second and tells nobody.
const LOOK: Duration = Duration::from_millis(20);

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn document(name: &str) -> String {
    fs::read_to_string(top().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

async fn page(local: &Local) -> String {
    let mut socket = tokio::net::TcpStream::connect(local.http()).await.unwrap();
    let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    let (head, page) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    page.to_owned()
}

/// The page once it has this line.
async fn page_with(local: &Local, line: &str) -> String {
    let looking = async {
        loop {
            let page = page(local).await;
            if page.lines().any(|found| found == line) {
                return page;
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    let found = tokio::time::timeout(DEADLINE, looking).await;
    found.unwrap_or_else(|_| panic!("{line} has not come"))
}

/// What a gateway says that has carried a message and its receipt.
async fn scrape() -> String {
    let mut smsc = ScriptedSmsc::listen().await;
    let local = Local::start(smsc.addr(), "");
    smsc.expect_binds(1).await;
    let mut esme = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    let id = esme
        .submit_ok(message("447700900001", "447700900002", "Hello"))
        .await;
    let submit = smsc.expect_submit().await;
    smsc.answer(&submit, "c-1").await;
    let sequence = smsc
        .receipt(&submit, "c-1", MessageState::Delivered, Dialect::Both)
        .await;
    assert_eq!(smsc.expect_deliver_resp(sequence).await, CommandStatus::ROK);
    esme.expect_receipt(&id).await;
    let delivered = "tidegate_account_dlr_delivered_total{account=\"load\"} 1";
    page_with(&local, delivered).await
}

/// A metric as a page declares it.
#[derive(Debug, Default)]
struct Declared {
    help: String,
    kind: String,
    /// Its lines with values, without the names: labels, perhaps, and the value.
    series: usize,
}

/// All metrics of a page. What has no series or no declaration is a fault of the page.
fn declared(page: &str) -> BTreeMap<String, Declared> {
    let mut all: BTreeMap<String, Declared> = BTreeMap::new();
    for line in page.lines().filter(|line| !line.is_empty()) {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap_or((rest, ""));
            all.entry(name.to_owned()).or_default().help = help.to_owned();
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            let found = all.entry(name.to_owned()).or_default();
            assert!(found.kind.is_empty(), "{name} is declared twice");
            kind.clone_into(&mut found.kind);
        } else {
            let name = line.split(['{', ' ']).next().unwrap();
            let name = metric_of(name, |base| {
                all.get(base).is_some_and(|found| found.kind == "histogram")
            });
            all.entry(name.to_owned()).or_default().series += 1;
        }
    }
    all
}

/// The metric that a series belongs to: those of a histogram have three endings.
fn metric_of(name: &str, is_histogram: impl Fn(&str) -> bool) -> &str {
    let base = ["_bucket", "_sum", "_count"]
        .iter()
        .find_map(|ending| name.strip_suffix(ending));
    base.filter(|base| is_histogram(base)).unwrap_or(name)
}

/// Every `tidegate_…` or `process_…` name in a text.
fn names_in(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words
        .filter(|word| {
            ["tidegate_", "process_"]
                .iter()
                .filter_map(|start| word.strip_prefix(start))
                // Packages are `tidegate_VERSION_ARCH.deb`.
                .any(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase()))
        })
        .collect()
}

#[tokio::test]
async fn every_metric_is_declared_named_by_its_unit_and_described_in_the_guide() {
    let page = scrape().await;
    let guide = document("OPERATIONS.md");
    let (_, table) = guide.split_once("\n### All metrics\n").unwrap();
    let table = table.split("\n## ").next().unwrap();
    let all = declared(&page);
    assert!(all.len() > 100, "{}", all.len());
    for (name, found) in &all {
        assert!(!found.help.is_empty(), "{name} has no help");
        assert!(found.series > 0, "{name} has no value");
        let base = name.strip_suffix("_total");
        assert_eq!(
            base.is_some(),
            found.kind == "counter",
            "{name} is a {}",
            found.kind
        );
        let base = base.unwrap_or(name);
        for ending in ["_octets", "_ms", "_milliseconds", "_minutes", "_percent", "_at"] {
            assert!(!base.ends_with(ending), "{name}: no base unit");
        }
        let says_time = ["Time ", "Unix time ", "Age "]
            .iter()
            .any(|word| found.help.starts_with(word));
        assert_eq!(says_time, base.ends_with("_seconds"), "{name}: {}", found.help);
        let row = format!("| `{name}` | {} |", found.kind);
        assert_eq!(table.matches(&row).count(), 1, "one row of OPERATIONS.md: {row}");
    }
}

/// There only with TLS or an exception from it, and looked at in `tls`.
const ELSEWHERE: &[&str] = &[
    "tidegate_certificate_expiry_timestamp_seconds",
    "tidegate_exception_expiry_timestamp_seconds",
];

#[tokio::test]
async fn every_metric_that_the_guide_names_exists() {
    let page = scrape().await;
    let all = declared(&page);
    let guide = document("OPERATIONS.md");
    let is_histogram = |name: &str| all.get(name).is_some_and(|found| found.kind == "histogram");
    let named = names_in(&guide);
    assert!(named.len() > 100, "{}", named.len());
    for name in named.into_iter().filter(|name| !ELSEWHERE.contains(name)) {
        assert!(
            all.contains_key(metric_of(name, is_histogram)),
            "OPERATIONS.md: {name} does not exist"
        );
    }
}

#[tokio::test]
async fn a_message_is_told_at_its_account_and_its_carrier() {
    let page = scrape().await;
    for line in [
        "tidegate_account_binds{account=\"load\",state=\"bound_trx\"} 1",
        "tidegate_account_handover_seconds_count{account=\"load\"} 1",
        "tidegate_account_receipt_seconds_count{account=\"load\"} 1",
        "tidegate_account_finals_total{account=\"load\",state=\"delivered\"} 1",
        "tidegate_account_unfinished_legs{account=\"load\"} 0",
        "tidegate_carrier_links_bound{carrier=\"sink\",state=\"bound_trx\"} 1",
        "tidegate_carrier_links_wanted{carrier=\"sink\"} 1",
        "tidegate_carrier_response_seconds_count{carrier=\"sink\"} 1",
        "tidegate_carrier_handover_seconds_count{carrier=\"sink\"} 1",
        "tidegate_carrier_receipt_seconds_count{carrier=\"sink\"} 1",
        "tidegate_carrier_receipt_states_total{carrier=\"sink\",state=\"delivered\"} 1",
        "tidegate_carrier_retries_total{carrier=\"sink\"} 0",
        "tidegate_carrier_window_used{carrier=\"sink\"} 0",
        "tidegate_keys{owner=\"message_id\"} 1",
    ] {
        assert!(page.lines().any(|found| found == line), "{line}\n{page}");
    }
    for made in [
        "tidegate_key_oldest_made_timestamp_seconds{owner=\"message_id\"} ",
        "tidegate_key_newest_made_timestamp_seconds{owner=\"spool\"} ",
        "tidegate_kek_written_timestamp_seconds ",
    ] {
        let made = page.lines().find_map(|line| line.strip_prefix(made)).unwrap();
        assert!(made.parse::<f64>().unwrap() > 1e9, "{made}");
    }
}

#[tokio::test]
async fn a_cancel_is_no_receipt() {
    let silent = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let local = Local::start(silent.local_addr().unwrap(), "");
    let mut esme = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    let (from, to) = ("447700900001", "447700900002");
    let id = esme.submit_ok(message(from, to, "Hello")).await;
    assert_eq!(cancel(&mut esme, &id, from, to).await, CommandStatus::ROK);
    let deleted = "tidegate_account_finals_total{account=\"load\",state=\"deleted\"} 1";
    let page = page_with(&local, deleted).await;
    let receipts = "tidegate_account_receipt_seconds_count{account=\"load\"} 0";
    assert!(page.lines().any(|line| line == receipts), "{page}");
}

#[tokio::test]
async fn what_waits_for_a_carrier_that_is_down_grows_old() {
    // It takes connections in and says nothing.
    let silent = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let local = Local::start(silent.local_addr().unwrap(), "");
    let names = [
        "tidegate_carrier_oldest_waiting_seconds{carrier=\"sink\"} ",
        "tidegate_account_oldest_waiting_seconds{account=\"load\"} ",
    ];
    for name in names {
        page_with(&local, &format!("{name}0")).await;
    }
    let mut esme = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    esme.submit_ok(message("447700900001", "447700900002", "Hello"))
        .await;
    page_with(&local, "tidegate_carrier_queue{carrier=\"sink\"} 1").await;
    for name in names {
        let grows = async {
            loop {
                let page = page(&local).await;
                let age = page.lines().find_map(|line| line.strip_prefix(name)).unwrap();
                if age.parse::<f64>().unwrap() > 0.0 {
                    return;
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        let grown = tokio::time::timeout(DEADLINE, grows).await;
        assert!(grown.is_ok(), "{name} stays 0");
    }
}

#[tokio::test]
async fn a_submit_without_an_answer_is_in_its_carriers_window() {
    let mut smsc = ScriptedSmsc::listen().await;
    let local = Local::start(smsc.addr(), "");
    smsc.expect_binds(1).await;
    let mut esme = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    esme.submit_ok(message("447700900001", "447700900002", "Hello"))
        .await;
    // It has it, and says nothing.
    let submit = smsc.expect_submit().await;
    page_with(&local, "tidegate_carrier_window_used{carrier=\"sink\"} 1").await;
    page_with(&local, "tidegate_account_unfinished_legs{account=\"load\"} 1").await;
    smsc.answer(&submit, "c-1").await;
    page_with(&local, "tidegate_carrier_window_used{carrier=\"sink\"} 0").await;
}

/// Shows what a page of a large installation costs; `tests/README.md` says how to see it. Nothing here depends on time.
#[test]
fn a_page_of_two_hundred_accounts_and_twenty_carriers_is_whole() {
    let telemetry = Telemetry::new();
    let statuses = [
        CommandStatus::RTHROTTLED,
        CommandStatus::RSYSERR,
        CommandStatus::RINVDSTADR,
    ];
    for number in 0..200 {
        let name: SystemId = format!("account{number}").parse().unwrap();
        let account = AccountMetrics::new(&telemetry, &name);
        statuses.iter().for_each(|status| account.refused(*status, 1));
    }
    let text = document("config/tidegate.toml");
    for number in 0..20 {
        let named = |key: &str| (format!("{key} = \"example\""), format!("{key} = \"c{number}\""));
        let (old, new) = named("name");
        let text = text
            .replacen(&format!("\n{old}"), &format!("\n{new}"), 1)
            .replacen(
                "carriers = [\"example\"]",
                &format!("carriers = [\"c{number}\"]"),
                1,
            );
        let config = tidegate_config::parse(&text).unwrap_or_else(|problems| panic!("{problems}"));
        let carrier = CarrierMetrics::new(&telemetry, &config.carriers[0].name);
        statuses.iter().for_each(|status| carrier.refused(*status, 1));
    }
    let clock = Clock::machine();
    let mut took = Vec::new();
    let mut page = String::new();
    for _ in 0..10 {
        let begun = clock.now().monotonic;
        page = telemetry.render();
        took.push(clock.now().monotonic - begun);
    }
    took.sort();
    println!(
        "a page of {} series, {} octets: {:?} in the middle, {:?} at most",
        page.lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .count(),
        page.len(),
        took[took.len() / 2],
        took[took.len() - 1]
    );
    for (name, series) in [
        ("tidegate_account_submits_accepted_total{", 200),
        ("tidegate_account_receipt_seconds_count{", 200),
        ("tidegate_carrier_queue{", 20),
        ("tidegate_carrier_response_seconds_bucket{", 20 * 19),
    ] {
        let found = page.lines().filter(|line| line.starts_with(name)).count();
        assert_eq!(found, series, "{name}");
    }
}
