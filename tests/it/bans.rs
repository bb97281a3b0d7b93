//! Who fails to bind too often is not spoken to, and how many connections one address may have.

use std::process::Command;

use serde_json::Value;
use tidegate_codec::status::CommandStatus;
use tidegate_codec::tlv::Tlvs;
use tidegate_codec::values::BindKind;
use tidegate_tests::esme::message;
use tidegate_tests::{Process, ScriptedEsme, ScriptedSmsc};

use crate::local::{Changes, Local};

/// Loopback is spared by default.
const BANS: &str = "never_ban = []\nban_after = 3\nban_min = \"1m\"";

async fn start(limits: &str, extra: &str) -> (Local, ScriptedSmsc) {
    let mut smsc = ScriptedSmsc::listen().await;
    smsc.stop_listening();
    let changes = Changes {
        limits,
        extra,
        ..Changes::default()
    };
    (Local::start_with(smsc.addr(), changes), smsc)
}

/// Tries to bind on a connection of its own; whether the connection was taken.
async fn fails(local: &Local, system_id: &str, password: &str) -> ScriptedEsme {
    let mut esme = ScriptedEsme::connect(local.esme()).await;
    let answer = esme.try_bind(BindKind::Transceiver, system_id, password).await;
    assert_eq!(answer.status(), CommandStatus::RBINDFAIL);
    esme
}

async fn is_closed_at_once(local: &Local) -> bool {
    let mut esme = ScriptedEsme::connect(local.esme()).await;
    // Whoever is taken in is answered.
    let _ = esme
        .request(tidegate_codec::pdu::Operation::EnquireLink(Tlvs::NONE))
        .await;
    esme.next().await.is_none()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guesser_is_banned_behind_its_answer_and_open_binds_live_on() {
    let extra =
        "[[account]]\nsystem_id = \"elsewhere\"\npassword_hashes = [\"@hash@\"]\nallow_ips = [\"192.0.2.7\"]";
    let (local, _smsc) = start(BANS, extra).await;
    let mut bound = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    let mut unbound = ScriptedEsme::connect(local.esme()).await;
    // A wrong password, a name that is no account's, and a right password from where it may not come.
    fails(&local, "load", "wrong").await;
    fails(&local, "nobody", "secret").await;
    assert!(!is_closed_at_once(&local).await);
    let mut last = fails(&local, "elsewhere", "secret").await;
    assert!(last.expect_end().await.is_empty());
    assert!(unbound.expect_end().await.is_empty());
    assert!(is_closed_at_once(&local).await);
    bound.submit_ok(message("1", "447700900002", "lives on")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn loopback_is_spared_unless_the_file_says_otherwise() {
    let (local, _smsc) = start("ban_after = 2", "").await;
    for _ in 0..4 {
        fails(&local, "load", "wrong").await;
    }
    ScriptedEsme::bound(local.esme(), "load", "secret").await;
}

/// What an account's own settings refuse is no guess.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_the_password_and_too_many_binds_is_not_banned() {
    let extra = "[[account]]\nsystem_id = \"one\"\npassword_hashes = [\"@hash@\"]\nmax_binds = 1";
    let (local, _smsc) = start(BANS, extra).await;
    let _bound = ScriptedEsme::bound(local.esme(), "one", "secret").await;
    for _ in 0..5 {
        fails(&local, "one", "secret").await;
    }
    assert!(!is_closed_at_once(&local).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_address_has_so_many_connections_and_no_more() {
    let (local, _smsc) = start("max_connections_per_ip = 2", "").await;
    let first = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    let _second = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    assert!(is_closed_at_once(&local).await);
    first.unbind().await;
    ScriptedEsme::bound(local.esme(), "load", "secret").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_sees_ends_and_sets_bans() {
    let smsc = ScriptedSmsc::listen().await;
    let limits = format!("[limits]\n{BANS}\n");
    let mut process = Process::start(Process::built(), |places| {
        format!("{limits}{}", places.config(&[smsc.addr()], ""))
    })
    .await;
    let ban = |words: &[&str]| {
        let output = Command::new(Process::built())
            .arg("ban")
            .args(words)
            .arg("--config")
            .arg(process.config())
            .current_dir(process.dir())
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&text).into_owned(),
        )
    };
    for _ in 0..3 {
        let mut esme = ScriptedEsme::connect(process.smpp()).await;
        let _ = esme.try_bind(BindKind::Transmitter, "load", "wrong").await;
    }
    let mut closed = ScriptedEsme::connect(process.smpp()).await;
    assert!(closed.expect_end().await.is_empty());
    let (_, text) = ban(&["list", "--json"]);
    let shown: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(shown["banned"], 1);
    assert_eq!(shown["bans"][0]["origin"], "127.0.0.1");
    assert_eq!(shown["bans"][0]["times"], 1);
    let left = shown["bans"][0]["left_s"].as_u64().unwrap();
    assert!((1..=60).contains(&left), "{text}");
    assert!(ban(&["list"]).1.contains("127.0.0.1: "));
    let (done, text) = ban(&["remove", "127.0.0.1"]);
    assert!(done && text.contains("not banned any more"), "{text}");
    let mut esme = ScriptedEsme::bound(process.smpp(), "load", "secret").await;
    let (done, text) = ban(&["add", "127.0.0.1", "--for", "2h"]);
    assert!(done && text.contains("127.0.0.1 is banned"), "{text}");
    let mut closed = ScriptedEsme::connect(process.smpp()).await;
    assert!(closed.expect_end().await.is_empty());
    esme.submit_ok(message("1", "447700900002", "lives on")).await;
    assert!(ban(&["list"]).1.contains("by an operator"));
    let (done, text) = ban(&["add", "192.0.2.0/24"]);
    assert!(!done && text.contains("192.0.2.7"), "{text}");
    assert!(process.stop().await.success());
}
