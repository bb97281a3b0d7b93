//! Following single things: PDU traces, and what the log says of messages that failed; [the story](stories) of one message.

mod stories;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};
use tidegate_codec::pdu::multi::Destination;
use tidegate_codec::status::CommandStatus;
use tidegate_codec::values::{MessageState, RegisteredDelivery};
use tidegate_gateway::clock::Clock;
use tidegate_gateway::control::{self, Party, Steer, Trace, Verb};
use tidegate_tests::esme::message;
use tidegate_tests::{DEADLINE, Dialect, Process, ScriptedEsme, ScriptedSmsc};

use crate::ancillary::{multi_of, number, outcome};
use crate::control::{ask, tidegate};
use crate::local::{Changes, Local};
use crate::steered::audit;
use crate::world::START_MS;

const FROM: &str = "447700900123";
const TO: &str = "447700900456";
const TEXT: &str = "Canary-Trace-ocelot";
const MO_TEXT: &str = "Canary-Trace-margay";
const CARRIER_ID: &str = "canary-id-77";
/// The carrier's password, and the account's.
const PASSWORD: &str = "secret";

fn account() -> Party {
    Party::Account("load".to_owned())
}

fn carrier() -> Party {
    Party::Carrier("sink".to_owned())
}

fn pdus(of: Party, seconds: u64, limit: Option<u64>) -> Trace {
    Trace::Pdus {
        of,
        length: Duration::from_secs(seconds),
        limit,
    }
}

async fn done(local: &Local, trace: Trace) -> Map<String, Value> {
    ask(local, Verb::Trace(trace)).await.unwrap()
}

async fn refused(local: &Local, trace: Trace) -> String {
    ask(local, Verb::Trace(trace)).await.unwrap_err().to_string()
}

fn file(local: &Local, begun: &Map<String, Value>) -> PathBuf {
    let name = begun["file"].as_str().unwrap();
    local.dir.path().join("data/traces").join(name)
}

fn lines(path: &PathBuf) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Looks until something is so.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let looking = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(DEADLINE, looking).await.is_ok(), "{what}");
}

async fn none_runs(local: &Local) -> bool {
    done(local, Trace::List).await["traces"] == json!([])
}

fn receipted<'a>(from: &'a str, to: &'a str, text: &'a str) -> tidegate_codec::pdu::message::Sm<'a> {
    let mut sm = message(from, to, text);
    sm.registered_delivery = RegisteredDelivery::FINAL;
    sm
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_traces_hold_the_pdus_of_both_sides_and_nothing_that_anybody_wrote() {
    let mut smsc = ScriptedSmsc::listen().await;
    let mut local = Local::start(smsc.addr(), "");
    smsc.expect_binds(1).await;
    let one = done(&local, pdus(account(), 60, None)).await;
    let other = done(&local, pdus(carrier(), 60, None)).await;
    let mut esme = ScriptedEsme::bound(local.esme(), "load", PASSWORD).await;
    let id = esme.submit_ok(receipted(FROM, TO, TEXT)).await;
    let submit = smsc.expect_submit().await;
    smsc.answer(&submit, CARRIER_ID).await;
    let sequence = smsc
        .receipt(&submit, CARRIER_ID, MessageState::Delivered, Dialect::Both)
        .await;
    assert_eq!(smsc.expect_deliver_resp(sequence).await, CommandStatus::ROK);
    let dlr = esme.expect_receipt(&id).await;
    esme.answer(&dlr, CommandStatus::ROK).await;
    let mut bad = receipted(FROM, TO, TEXT);
    bad.priority_flag = 9;
    assert_eq!(esme.submit_refused(bad).await, CommandStatus::RINVPRTFLG);
    let sequence = smsc.deliver(submit.link, message(TO, "12345", MO_TEXT)).await;
    assert_eq!(smsc.expect_deliver_resp(sequence).await, CommandStatus::ROK);
    let mo = esme.expect_deliver().await;
    assert_eq!(mo.text(), MO_TEXT);
    // The link is bound anew while it is traced, with its password.
    smsc.drop_link(submit.link);
    smsc.expect_binds(2).await;
    let path = file(&local, &other);
    until("it is bound anew", async || {
        fs::read_to_string(&path)
            .unwrap()
            .contains("bind_transceiver_resp")
    })
    .await;
    let listed = done(&local, Trace::List).await;
    assert_eq!(listed["traces"].as_array().unwrap().len(), 2, "{listed:?}");
    let ended = done(&local, Trace::Stop { number: 1 }).await;
    assert_eq!(ended["dropped"], 0);
    done(&local, Trace::Stop { number: 2 }).await;
    let why = refused(&local, Trace::Stop { number: 2 }).await;
    assert!(why.contains("trace list"), "{why}");

    let (esmes, carriers) = (file(&local, &one), file(&local, &other));
    let seen = |path: &PathBuf, command: &str, direction: &str| {
        let lines = lines(path);
        let mut all = lines
            .into_iter()
            .filter(|line| line["command"] == command && line["direction"] == direction);
        all.next()
            .unwrap_or_else(|| panic!("no {command} {direction} in {path:?}"))
    };
    let submitted = seen(&esmes, "submit_sm", "in");
    assert_eq!(
        (&submitted["source"], &submitted["text"]),
        (
            &json!({ "ton": 1, "npi": 1, "length": 12 }),
            &json!({ "length": TEXT.len() })
        )
    );
    seen(&esmes, "bind_transceiver_resp", "out");
    seen(&esmes, "deliver_sm_resp", "in");
    assert_eq!(seen(&esmes, "deliver_sm", "out")["esm_class"], 4);
    let answers = lines(&esmes);
    let statuses = answers.iter().filter(|line| line["command"] == "submit_sm_resp");
    let statuses: Vec<&Value> = statuses.map(|line| &line["status"]).collect();
    assert_eq!(statuses, [&json!(0), &json!(CommandStatus::RINVPRTFLG.0)]);
    for (command, direction) in [
        ("submit_sm", "out"),
        ("submit_sm_resp", "in"),
        ("deliver_sm", "in"),
        ("deliver_sm_resp", "out"),
        ("bind_transceiver", "out"),
    ] {
        seen(&carriers, command, direction);
    }
    let receipt = seen(&carriers, "deliver_sm", "in");
    assert_eq!(
        receipt["tlvs"][0],
        json!({ "tag": "0x001e", "length": CARRIER_ID.len() + 1 })
    );
    for path in [&esmes, &carriers] {
        let text = fs::read_to_string(path).unwrap();
        for canary in [
            FROM,
            TO,
            &FROM[2..],
            TEXT,
            MO_TEXT,
            "Canary",
            CARRIER_ID,
            PASSWORD,
            "\"tidegate\"",
        ] {
            assert!(!text.contains(canary), "{canary} is in {path:?}");
        }
        let mode = fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let last = lines(path).pop().unwrap();
        assert_eq!(
            (&last["why"], &last["dropped"]),
            (&json!("stopped"), &json!(0)),
            "{last}"
        );
    }
    local.stop();
    let log = audit(&local);
    for words in [
        "trace pdus",
        "trace stop",
        "asked",
        "done",
        "ended",
        "sink",
        "stopped",
    ] {
        assert!(log.contains(words), "{words}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trace_of_nobody_is_refused_and_so_are_too_many() {
    let mut smsc = ScriptedSmsc::listen().await;
    let mut local = Local::start(smsc.addr(), "");
    smsc.expect_binds(1).await;
    for of in [
        Party::Account("nobody".to_owned()),
        Party::Carrier("nobody".to_owned()),
    ] {
        let why = refused(&local, pdus(of, 60, None)).await;
        assert!(why.contains("nobody"), "{why}");
    }
    for _ in 0..4 {
        done(&local, pdus(account(), 60, None)).await;
    }
    let why = refused(&local, pdus(account(), 60, None)).await;
    assert!(why.contains("4 traces run"), "{why}");
    // Those that run when the gateway ends end with it, and their files stay.
    local.restart();
    let listed = done(&local, Trace::List).await;
    assert_eq!(listed["traces"], json!([]));
    assert_eq!(listed["files"].as_array().unwrap().len(), 4, "{listed:?}");
    for kept in listed["files"].as_array().unwrap() {
        let last = lines(&file(&local, kept.as_object().unwrap())).pop().unwrap();
        assert_eq!(last["why"], "shutdown", "{last}");
    }
    // And the files are bounded, too.
    for number in 1..=12 {
        done(&local, pdus(account(), 60, None)).await;
        done(&local, Trace::Stop { number }).await;
    }
    let why = refused(&local, pdus(account(), 60, None)).await;
    assert!(why.contains("16 files"), "{why}");
    local.stop();
    let log = audit(&local);
    assert!(log.contains("refused") && log.contains("shutdown"));
}

/// Whether a trace's file has its last line.
fn has_ended(path: &PathBuf) -> bool {
    // While it is written the last one may be half a line.
    let text = fs::read_to_string(path).unwrap();
    let last = text.ends_with('\n').then(|| text.lines().last()).flatten();
    last.is_some_and(|line| line.contains("\"why\":"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trace_ends_by_its_time_and_by_its_octets() {
    let mut smsc = ScriptedSmsc::listen().await;
    let local = Local::start(smsc.addr(), "");
    smsc.expect_binds(1).await;
    let mut esme = ScriptedEsme::bound(local.esme(), "load", PASSWORD).await;
    let begun = done(&local, pdus(account(), 1, None)).await;
    esme.submit_ok(message(FROM, TO, "one")).await;
    until("its time is over", async || none_runs(&local).await).await;
    esme.submit_ok(message(FROM, TO, "two")).await;
    let path = file(&local, &begun);
    until("its last line is written", async || has_ended(&path)).await;
    let told = lines(&path);
    let submits = told.iter().filter(|line| line["command"] == "submit_sm").count();
    assert_eq!(
        (submits, &told.last().unwrap()["why"]),
        (1, &json!("time")),
        "{told:?}"
    );

    let begun = done(&local, pdus(account(), 60, Some(4_096))).await;
    for _ in 0..20 {
        esme.submit_ok(message(FROM, TO, "more")).await;
    }
    until("its file is full", async || none_runs(&local).await).await;
    let path = file(&local, &begun);
    until("its last line is written", async || has_ended(&path)).await;
    let octets = fs::metadata(&path).unwrap().len();
    assert!((3_000..=4_096).contains(&octets), "{octets}");
    let told = lines(&path);
    assert_eq!(told.last().unwrap()["why"], "octets", "{told:?}");
}

/// A date on a file, as of a trace that ended then.
fn end_at(path: &PathBuf, ended: SystemTime) {
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(ended).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_go_a_day_after_their_trace_at_a_start_and_while_it_runs() {
    let mut smsc = ScriptedSmsc::listen().await;
    let mut local = Local::start(smsc.addr(), "");
    smsc.expect_binds(1).await;
    local.stop();
    let clock = Clock::virtual_from(START_MS);
    local.start_at(clock.clone());
    let old = done(&local, pdus(account(), 60, None)).await;
    let young = done(&local, pdus(account(), 60, None)).await;
    for number in [1, 2] {
        done(&local, Trace::Stop { number }).await;
    }
    local.stop();
    let (old, young) = (file(&local, &old), file(&local, &young));
    let start = UNIX_EPOCH + Duration::from_millis(START_MS);
    end_at(&old, start - Duration::from_hours(25));
    // What else lies there is nobody's business.
    let other = old.with_file_name("notes.txt");
    fs::write(&other, "mine").unwrap();
    local.start_at(clock.clone());
    assert!(!old.exists() && young.exists() && other.exists());
    // A running one stays, whatever its age; the other has had its day.
    let running = done(&local, pdus(account(), 900, None)).await;
    clock.set_wall_by(24 * 3_600_000);
    until("it is removed", async || !young.exists()).await;
    assert!(file(&local, &running).exists() && other.exists());
    let listed = done(&local, Trace::List).await;
    assert_eq!(listed["files"], json!([]), "{listed:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_somebody_removes_while_they_are_written_take_nothing_along() {
    let mut smsc = ScriptedSmsc::listen().await;
    let mut local = Local::start(smsc.addr(), "");
    smsc.expect_binds(1).await;
    let mut esme = ScriptedEsme::bound(local.esme(), "load", PASSWORD).await;
    let begun = done(&local, pdus(account(), 60, None)).await;
    let path = file(&local, &begun);
    fs::remove_file(&path).unwrap();
    // The directory as well.
    fs::remove_dir(path.parent().unwrap()).unwrap();
    esme.submit_ok(message(FROM, TO, "one")).await;
    let ended = done(&local, Trace::Stop { number: 1 }).await;
    assert!(ended["pdus"].as_u64().unwrap() >= 1, "{ended:?}");
    assert!(!path.exists());
    // Another one makes both anew, and what is gone takes no place.
    for number in 2..=18 {
        let begun = done(&local, pdus(account(), 60, None)).await;
        let path = file(&local, &begun);
        assert!(path.exists());
        done(&local, Trace::Stop { number }).await;
        fs::remove_file(&path).unwrap();
    }
    local.stop();
    let log = audit(&local);
    assert_eq!(log.matches("ended").count(), 18);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_trace_that_began_before_a_shutdown_has_its_end_in_the_audit_log() {
    let mut smsc = ScriptedSmsc::listen().await;
    let mut local = Local::start(smsc.addr(), "");
    smsc.expect_binds(1).await;
    let data = local.dir.path().join("data");
    let (begun, mut begins) = tokio::sync::mpsc::channel(4_096);
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let (data, begun) = (data.clone(), begun.clone());
        // Begins traces and stops them, until nobody answers.
        asking.spawn_blocking(move || {
            let ask = |trace| control::ask(&data, &Verb::Trace(trace));
            while let Ok(told) = ask(pdus(carrier(), 60, None)) {
                let file = told["file"].as_str().unwrap().to_owned();
                let number = told["number"].as_u64().unwrap();
                let _ = begun.blocking_send(file.clone());
                if ask(Trace::Stop { number }).is_ok() {
                    let _ = fs::remove_file(data.join("traces").join(file));
                }
            }
        });
    }
    drop(begun);
    let mut files: Vec<String> = Vec::new();
    while files.len() < 20 {
        files.push(begins.recv().await.unwrap());
    }
    tokio::task::block_in_place(|| local.stop());
    while asking.join_next().await.is_some() {}
    while let Some(file) = begins.recv().await {
        files.push(file);
    }
    let log = audit(&local);
    for file in &files {
        assert!(
            log.contains(file.as_str()),
            "{file} of {} has no end",
            files.len()
        );
    }
    // What began too late left nothing, and all others have their last line.
    for path in local.files() {
        if path.to_string_lossy().contains("/traces/") {
            assert!(has_ended(&path), "{path:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_lines_about_refused_and_failed_messages_say_whose_and_hold_no_number_or_text() {
    let mut smsc = ScriptedSmsc::listen().await;
    let mut process = Process::prepare(Process::built(), |places| places.config(&[smsc.addr()], ""));
    process.spawn_with(&[("RUST_LOG", "info,tidegate_gateway=debug")]);
    process.ready().await;
    let mut esme = ScriptedEsme::bound(process.smpp(), "load", PASSWORD).await;
    let id = esme.submit_ok(receipted(FROM, TO, TEXT)).await;
    let submit = smsc.expect_submit().await;
    smsc.refuse(&submit, CommandStatus::RINVDSTADR).await;
    esme.expect_receipt(&id).await;
    let mut bad = receipted(FROM, TO, TEXT);
    bad.priority_flag = 9;
    assert_eq!(esme.submit_refused(bad).await, CommandStatus::RINVPRTFLG);
    // The command line tells the same things as text.
    let waiting = esme.submit_ok(receipted(FROM, TO, TEXT)).await;
    smsc.expect_submit().await;
    let told = tidegate(&process, &["trace", &waiting]);
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(
        told.status.success() && text.contains("accepted from load") && text.contains("c0 (up)"),
        "{told:?}"
    );
    let told = tidegate(
        &process,
        &[
            "trace",
            "pdus",
            "--carrier",
            "c0",
            "--for",
            "5m",
            "--limit",
            "1MiB",
        ],
    );
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(
        told.status.success() && text.contains("trace 1 runs until"),
        "{told:?}"
    );
    let told = tidegate(&process, &["trace", "list"]);
    assert!(
        String::from_utf8_lossy(&told.stdout).contains("trace 1: carrier c0"),
        "{told:?}"
    );
    let told = tidegate(&process, &["trace", "stop", "1"]);
    assert!(
        String::from_utf8_lossy(&told.stdout).contains("trace 1 has ended"),
        "{told:?}"
    );
    for wrong in [
        &["trace", "pdus", "--carrier", "c0", "--for", "16m"][..],
        &["trace", "pdus", "--for", "1m"],
        &[
            "trace",
            "pdus",
            "--account",
            "load",
            "--for",
            "1m",
            "--limit",
            "1GiB",
        ],
        &["trace"],
    ] {
        assert_eq!(tidegate(&process, wrong).status.code(), Some(2), "{wrong:?}");
    }
    assert!(process.stop().await.success());
    let log = process.stderr();
    let line = |words: &str| {
        let mut found = log.lines().filter(|line| line.contains(words));
        found.next().unwrap_or_else(|| panic!("no {words:?}: {log}"))
    };
    let tried = line("a carrier did not take a message");
    let failed = line("a message has failed");
    for (line, fields) in [
        (
            tried,
            &["account=\"load\"", "carrier=\"c0\"", "link=", "ESME_RINVDSTADR"][..],
        ),
        (failed, &["account=\"load\"", "state=\"rejected\""]),
        (
            line("a message is refused"),
            &["account=load", "link=", "ESME_RINVPRTFLG"],
        ),
        (line("bound to carrier"), &["carrier=c0", "link="]),
        (
            line("a PDU trace has ended"),
            &["carrier=\"c0\"", "why=\"stopped\""],
        ),
    ] {
        for field in fields {
            assert!(line.contains(field), "{field}: {line}");
        }
    }
    for line in [tried, failed] {
        assert!(line.contains(&format!("message_id={id}")), "{line}");
    }
    for canary in [FROM, TO, TEXT] {
        assert!(!log.contains(canary), "{canary} is in the log");
    }
}
