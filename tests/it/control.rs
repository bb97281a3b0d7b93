//! The control socket and the verbs that use it, against a running gateway.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;
use tidegate_codec::octets::COctets;
use tidegate_codec::pdu::message::Sm;
use tidegate_codec::status::CommandStatus;
use tidegate_codec::values::MessageState;
use tidegate_gateway::control::{self, AskError, Selection, Verb};
use tidegate_gateway::explain::Question;
use tidegate_tests::esme::message;
use tidegate_tests::{Dialect, Process, ScriptedEsme, ScriptedSmsc};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;

use crate::local::{Changes, Local};

const FROM: &str = "447700900001";
const TO: &str = "447700900002";
const A_WHILE: Duration = Duration::from_millis(60);

fn data(local: &Local) -> PathBuf {
    local.dir.path().join("data")
}

/// Asks the way the command line does.
pub(crate) async fn ask(local: &Local, verb: Verb) -> Result<serde_json::Map<String, Value>, AskError> {
    let data = data(local);
    tokio::task::spawn_blocking(move || control::ask(&data, &verb))
        .await
        .unwrap()
}

/// One line, and its answer.
async fn say(local: &Local, line: &[u8]) -> Value {
    let mut socket = UnixStream::connect(data(local).join("control")).await.unwrap();
    socket.write_all(line).await.unwrap();
    let mut answer = String::new();
    BufReader::new(&mut socket).read_line(&mut answer).await.unwrap();
    serde_json::from_str(&answer).unwrap()
}

/// How many legs stand there.
fn count(shown: &serde_json::Map<String, Value>, state: &str, carrier: &str) -> u64 {
    let rows = shown["legs"].as_array().unwrap();
    let is_it = |row: &&Value| row["state"] == state && row["carrier"] == carrier && row["account"] == "load";
    rows.iter()
        .filter(is_it)
        .map(|row| row["count"].as_u64().unwrap())
        .sum()
}

fn scheduled(text: &str) -> Sm<'_> {
    Sm {
        schedule_delivery_time: COctets::new(b"000000010000000R").unwrap(),
        ..message(FROM, TO, text)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_under_way_is_counted_and_nothing_of_it_is_shown() {
    let mut smsc = ScriptedSmsc::listen().await;
    let local = Local::start(smsc.addr(), "");
    smsc.expect_binds(1).await;
    let mut esme = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    esme.answers = None;
    esme.submit_ok(scheduled("canary body")).await;
    esme.submit_ok(message(FROM, TO, "canary body")).await;
    let leased = smsc.expect_submit().await;
    for id in ["c-2", "c-1"] {
        esme.submit_ok(message(FROM, TO, "canary body")).await;
        let submit = smsc.expect_submit().await;
        smsc.answer(&submit, id).await;
        if id == "c-1" {
            let sequence = smsc
                .receipt(&submit, id, MessageState::Delivered, Dialect::Both)
                .await;
            assert_eq!(smsc.expect_deliver_resp(sequence).await, CommandStatus::ROK);
        }
    }
    // Behind both answers on the carrier's link: they are in the index by now.
    esme.expect_deliver().await;
    smsc.stop_listening();
    let shown = ask(&local, Verb::Inspect).await.unwrap();
    assert_eq!(count(&shown, "scheduled", ""), 1);
    assert_eq!(count(&shown, "leased", ""), 1);
    assert_eq!(count(&shown, "handed over", "sink"), 1);
    assert_eq!(shown["outbox"][0]["kind"], "dlr");
    assert_eq!(shown["outbox"][0]["count"], 1);
    assert_eq!(shown["queues"]["sink"], 0);
    assert_eq!(shown["intake"], true);
    smsc.drop_link(leased.link);
    let text = Value::Object(shown).to_string();
    for secret in ["canary", FROM, TO, "c-1", "c-2"] {
        assert!(!text.contains(secret), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_socket_is_the_owners_alone_and_bad_requests_are_told_what_is_wrong() {
    let mut smsc = ScriptedSmsc::listen().await;
    smsc.stop_listening();
    let mut local = Local::start(smsc.addr(), "");
    let socket = data(&local).join("control");
    let mode = std::fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    for (line, word) in [
        (&b"nonsense\n"[..], "JSON"),
        (b"{\"version\":1,\"verb\":\"format\"}\n", "format"),
        (b"{\"version\":9,\"verb\":\"spool inspect\"}\n", "version"),
        (b"\xff\xfe\n", "JSON"),
        (
            b"{\"version\":1,\"verb\":\"queue expire\",\"account\":\"nobody\"}\n",
            "nobody",
        ),
        (
            b"{\"version\":1,\"verb\":\"queue move\",\"from\":\"sink\",\"to\":\"sink\"}\n",
            "same",
        ),
    ] {
        let answer = say(&local, line).await;
        let why = answer["refused"].as_str().unwrap();
        assert!(why.contains(word), "{why}");
    }
    // A line without end is refused and the connection closed.
    let mut socket = UnixStream::connect(&socket).await.unwrap();
    let (mut reader, mut writer) = socket.split();
    let mut answer = Vec::new();
    let long = vec![b'x'; 70_000];
    let (_, read) = tokio::join!(writer.write_all(&long), reader.read_to_end(&mut answer));
    // What was not read any more may make a reset of the end.
    drop(read);
    assert!(String::from_utf8_lossy(&answer).contains("octets"), "{answer:?}");
    // Two requests on one connection.
    let mut open = vec![UnixStream::connect(data(&local).join("control")).await.unwrap()];
    let mut lines = BufReader::new(&mut open[0]);
    for _ in 0..2 {
        lines
            .write_all(b"{\"version\":1,\"verb\":\"spool inspect\"}\n")
            .await
            .unwrap();
        let mut answer = String::new();
        lines.read_line(&mut answer).await.unwrap();
        assert!(answer.contains("\"done\""), "{answer}");
    }
    // As many as are served at a time: the next waits until one goes.
    for _ in 1..8 {
        let one = UnixStream::connect(data(&local).join("control")).await.unwrap();
        open.push(one);
    }
    {
        let inspect = ask(&local, Verb::Inspect);
        tokio::pin!(inspect);
        let waits = tokio::time::timeout(A_WHILE, &mut inspect).await;
        assert!(waits.is_err(), "a ninth connection is served");
        open.pop();
        inspect.await.unwrap();
    }
    drop(open);
    local.stop();
    let refused = ask(&local, Verb::Inspect).await;
    assert!(matches!(refused, Err(AskError::NotRunning { .. })), "{refused:?}");
    // A socket that a killed gateway left behind is in nobody's way.
    drop(std::os::unix::net::UnixListener::bind(data(&local).join("control")).unwrap());
    local.restart();
    ask(&local, Verb::Inspect).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_one_carrier_goes_to_another_when_an_operator_says_so() {
    let mut smsc = ScriptedSmsc::listen().await;
    smsc.stop_listening();
    let mut other = ScriptedSmsc::listen().await;
    let extra = format!(
        "[[carrier]]\nname = \"other\"\naddresses = [\"{}\"]\nsystem_id = \"tidegate\"\npassword_file = \"@password@\"\n\
         [[account]]\nsystem_id = \"bank\"\npassword_hashes = [\"@hash@\"]",
        other.addr()
    );
    let changes = Changes {
        extra: &extra,
        ..Changes::default()
    };
    let mut local = Local::start_with(smsc.addr(), changes);
    other.expect_binds(1).await;
    let mut esme = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    let mut bank = ScriptedEsme::bound(local.esme(), "bank", "secret").await;
    for number in 0..5 {
        esme.submit_ok(message(FROM, TO, &format!("load {number}"))).await;
        bank.submit_ok(message(FROM, TO, &format!("bank {number}"))).await;
    }
    other.expect_no_submit(A_WHILE).await;
    let verb = |account: Option<&str>| Verb::Move {
        from: "sink".to_owned(),
        to: "other".to_owned(),
        account: account.map(str::to_owned),
    };
    let moved = ask(&local, verb(Some("bank"))).await.unwrap();
    assert_eq!(moved["moved"], 5);
    for number in 0..5 {
        let submit = other.expect_submit().await;
        assert_eq!(submit.text(), format!("bank {number}"));
        other.answer(&submit, &format!("b-{number}")).await;
    }
    other.expect_no_submit(A_WHILE).await;
    // After a restart their bodies are on disk only.
    local.restart();
    other.expect_binds(2).await;
    assert_eq!(ask(&local, verb(None)).await.unwrap()["moved"], 5);
    for number in 0..5 {
        let submit = other.expect_submit().await;
        assert_eq!(submit.text(), format!("load {number}"));
        other.answer(&submit, &format!("l-{number}")).await;
    }
    let shown = ask(&local, Verb::Inspect).await.unwrap();
    assert_eq!(shown["queues"]["sink"], 0);
}

/// With as many routes as take a while to set up, and more who ask than are answered at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_is_explained_with_what_the_gateway_knows_and_traffic_goes_on() {
    let mut smsc = ScriptedSmsc::listen().await;
    let routes: String = (0..2_000)
        .map(|number| {
            format!(
                "[[route.mt]]\nprefix = \"33{number:04}\"\ncarriers = [\"sink\"]\nhours = \"08:00-20:00\"\n"
            )
        })
        .collect();
    let changes = Changes {
        account: "quota_day = 2",
        extra: &routes,
        ..Changes::default()
    };
    let local = Local::start_with(smsc.addr(), changes);
    smsc.expect_binds(1).await;
    let mut esme = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    let question = Question {
        account: "load".to_owned(),
        from: format!("+{FROM}"),
        from_as: None,
        to: format!("+{TO}"),
        to_as: None,
        text: "hello".to_owned(),
        data_coding: None,
        category: None,
        service_type: String::new(),
        at_ms: None,
    };
    let explain = || ask(&local, Verb::Explain(Box::new(question.clone())));
    let (one, other) = tokio::join!(explain(), explain());
    for told in [one.unwrap(), other.unwrap()] {
        assert_eq!(told["asked"], "running gateway");
        assert_eq!(told["carriers"][0]["up"], true);
        assert_eq!(told["routes_of_other_prefixes"], 2_000);
        assert_eq!(told["admission"]["admitted"], true);
    }
    let (told, ()) = tokio::join!(explain(), async {
        for number in 0..2 {
            esme.submit_ok(message(FROM, TO, &number.to_string())).await;
        }
    });
    assert_eq!(told.unwrap()["carriers"][0]["carrier"], "sink");
    // The day's quota is used up by now, and the carrier has gone.
    smsc.stop_listening();
    smsc.drop_all();
    let told = loop {
        let told = explain().await.unwrap();
        if told["carriers"][0]["up"] == false {
            break told;
        }
    };
    assert_eq!(told["admission"]["admitted"], false);
    let nobody = Question {
        account: "nobody".to_owned(),
        ..question.clone()
    };
    let refused = ask(&local, Verb::Explain(Box::new(nobody))).await.unwrap_err();
    assert!(refused.to_string().contains("no account"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_s_messages_are_expired_with_their_dlrs_and_nobody_else_s() {
    let mut smsc = ScriptedSmsc::listen().await;
    smsc.stop_listening();
    let extra = "[[account]]\nsystem_id = \"bank\"\npassword_hashes = [\"@hash@\"]";
    let local = Local::start(smsc.addr(), extra);
    let mut esme = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    let mut bank = ScriptedEsme::bound(local.esme(), "bank", "secret").await;
    let ids = [
        esme.submit_ok(message(FROM, TO, "waits")).await,
        esme.submit_ok(scheduled("later")).await,
    ];
    bank.submit_ok(message(FROM, TO, "stays")).await;
    let expire = |older_than| {
        Verb::Expire(Selection {
            account: "load".to_owned(),
            older_than,
        })
    };
    let young = ask(&local, expire(Duration::from_secs(3600))).await.unwrap();
    assert_eq!(young["expired"], 0);
    assert_eq!(ask(&local, expire(Duration::ZERO)).await.unwrap()["expired"], 2);
    for id in &ids {
        let dlr = esme.expect_receipt(id).await;
        assert!(dlr.text().contains(" stat:EXPIRED "), "{}", dlr.text());
    }
    smsc.reopen().await;
    assert_eq!(smsc.expect_submit().await.text(), "stays");
    smsc.expect_no_submit(A_WHILE).await;
}

/// What the command says that is run beside a gateway.
pub(crate) fn tidegate(process: &Process, words: &[&str]) -> Output {
    let output = Command::new(Process::built())
        .args(words)
        .arg("--config")
        .arg(process.config())
        .current_dir(process.dir())
        .output();
    output.unwrap()
}

/// What it says where it does what is asked.
#[track_caller]
pub(crate) fn ran(process: &Process, words: &[&str]) -> String {
    let output = tidegate(process, words);
    let said = String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {said}");
    said
}

/// The same for programs.
#[track_caller]
pub(crate) fn done(process: &Process, words: &[&str]) -> Value {
    let output = tidegate(process, &[words, &["--json"]].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Why it does nothing.
#[track_caller]
pub(crate) fn refused(process: &Process, words: &[&str]) -> String {
    let output = tidegate(process, words);
    assert!(!output.status.success(), "{words:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A gateway that logs all there is to log, with its carrier.
pub(crate) async fn logged(config: impl FnOnce(String) -> String, more: &str) -> (ScriptedSmsc, Process) {
    let mut smsc = ScriptedSmsc::listen().await;
    let carrier = smsc.addr();
    let mut process = Process::prepare(Process::built(), |places| config(places.config(&[carrier], more)));
    process.spawn_with(&[("RUST_LOG", "trace")]);
    process.ready().await;
    smsc.expect_binds(1).await;
    (smsc, process)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_inspects_verifies_and_says_what_it_needs() {
    let smsc = ScriptedSmsc::listen().await;
    let mut process = Process::start(Process::built(), |places| places.config(&[smsc.addr()], "")).await;
    let mut esme = ScriptedEsme::bound(process.smpp(), "load", "secret").await;
    esme.submit_ok(scheduled("later")).await;
    let shown = tidegate(&process, &["spool", "inspect"]);
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(
        shown.status.success() && text.contains("scheduled") && text.contains("takes messages"),
        "{text}"
    );
    let sound = tidegate(&process, &["spool", "verify", "--json"]);
    let report: Value = serde_json::from_slice(&sound.stdout).unwrap();
    assert!(sound.status.success(), "{report}");
    assert_eq!(report["faults"], 0);
    assert!(report["records"].as_u64().unwrap() >= 1);
    let refused = tidegate(&process, &["queue", "expire", "--account", "load"]);
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--yes"));
    let unknown = tidegate(&process, &["queue", "expire", "--account", "nobody", "--yes"]);
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("nobody"));
    let done = tidegate(&process, &["queue", "expire", "--account", "load", "--yes"]);
    assert!(
        String::from_utf8_lossy(&done.stdout).contains("expired: 1"),
        "{done:?}"
    );
    assert!(process.stop().await.success());
    let gone = tidegate(&process, &["spool", "inspect"]);
    assert!(String::from_utf8_lossy(&gone.stderr).contains("no gateway runs"));
    // A flipped bit in the first batch.
    let dir = process.dir().join("data/spool");
    let first = std::fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .min()
        .unwrap();
    let mut octets = std::fs::read(&first).unwrap();
    octets[120] ^= 1;
    std::fs::write(&first, octets).unwrap();
    let damaged = tidegate(&process, &["spool", "verify"]);
    let text = String::from_utf8_lossy(&damaged.stdout).into_owned();
    assert!(!damaged.status.success() && text.contains("damaged"), "{text}");
    // A file that holds nothing any more.
    let file = process
        .dir()
        .join("data/outbox/00079c38-000000000000004d.waiting");
    std::fs::write(&file, b"no run").unwrap();
    let damaged = tidegate(&process, &["spool", "verify"]);
    let text = String::from_utf8_lossy(&damaged.stdout).into_owned();
    let named = "outbox  00079c38-000000000000004d.waiting";
    assert!(
        text.contains(named) && text.contains("header is damaged"),
        "{text}"
    );
}
