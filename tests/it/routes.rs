//! Routes against running gateways: which carrier's socket a message comes out of.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tidegate_codec::pdu::message::Sm;
use tidegate_codec::values::{DataCoding, EsmClass, MessageState};
use tidegate_tests::esme::message;
use tidegate_tests::{Dialect, Process, ScriptedEsme, ScriptedSmsc};

use crate::control::tidegate;
use crate::local::{Changes, Local};

const FROM: &str = "447700900001";
const TO: &str = "447700900002";
const A_WHILE: Duration = Duration::from_millis(60);

/// A gateway with the carriers `sink`, `b` and so on, and these routes before the one that takes the rest to `sink`.
async fn local(carriers: &[&ScriptedSmsc], routes: &str) -> Local {
    let mut extra = String::new();
    for (name, smsc) in ["b", "c"].iter().zip(&carriers[1..]) {
        extra.push_str(&format!(
            "[[carrier]]\nname = \"{name}\"\naddresses = [\"{}\"]\nsystem_id = \"tidegate\"\npassword_file = \"@password@\"\n\
             window = 50\nreconnect_min = \"50ms\"\nreconnect_max = \"100ms\"\n",
            smsc.addr()
        ));
    }
    extra.push_str("[[account]]\nsystem_id = \"bank\"\npassword_hashes = [\"@hash@\"]\n");
    extra.push_str(routes);
    let changes = Changes {
        extra: &extra,
        ..Changes::default()
    };
    Local::start_with(carriers[0].addr(), changes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conditions_send_messages_of_one_number_to_different_carriers() {
    let (mut sink, mut b, mut c) = (
        ScriptedSmsc::listen().await,
        ScriptedSmsc::listen().await,
        ScriptedSmsc::listen().await,
    );
    let routes = "[[route.mt]]\norder = 1\nprefix = \"44\"\naccounts = [\"bank\"]\ncarriers = [\"b\"]\n\
                  [[route.mt]]\norder = 2\nprefix = \"44\"\ndata_codings = [8]\ncarriers = [\"c\"]\n";
    let local = local(&[&sink, &b, &c], routes).await;
    for smsc in [&mut sink, &mut b, &mut c] {
        smsc.expect_binds(1).await;
    }
    let mut load = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    let mut bank = ScriptedEsme::bound(local.esme(), "bank", "secret").await;
    load.submit_ok(message(FROM, TO, "plain")).await;
    let ucs2 = Sm {
        data_coding: DataCoding(8),
        ..message(FROM, TO, "\0u\0c\0s\u{0}2")
    };
    load.submit_ok(ucs2).await;
    bank.submit_ok(ucs2).await;
    assert_eq!(sink.expect_submit().await.text(), "plain");
    assert_eq!(c.expect_submit().await.sm().data_coding, DataCoding(8));
    assert_eq!(b.expect_submit().await.sm().data_coding, DataCoding(8));
    sink.expect_no_submit(A_WHILE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn carriers_take_turns_and_the_parts_of_one_message_go_together_over_a_restart() {
    let (mut sink, mut b) = (ScriptedSmsc::listen().await, ScriptedSmsc::listen().await);
    let routes =
        "[[route.mt]]\norder = 1\nprefix = \"44\"\ncarriers = [\"sink\", \"b\"]\nchoose = \"round-robin\"\n";
    let mut local = local(&[&sink, &b], routes).await;
    sink.expect_binds(1).await;
    b.expect_binds(1).await;
    let mut esme = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    for number in 0..6 {
        esme.submit_ok(message(FROM, TO, &format!("m{number}"))).await;
    }
    for number in [0, 2, 4] {
        assert_eq!(sink.expect_submit().await.text(), format!("m{number}"));
    }
    for number in [1, 3, 5] {
        assert_eq!(b.expect_submit().await.text(), format!("m{number}"));
    }
    // Which of the two takes a reference's parts is the hash's business; that it takes all is ours. The last part comes
    // after a restart, with another message in between.
    let mut texts = Vec::new();
    for part in 1..=3 {
        texts.push(format!("\u{5}\0\u{3}\u{2a}\u{3}{}part {part}", char::from(part)));
    }
    let part = |text| Sm {
        esm_class: EsmClass(0x40),
        ..message(FROM, TO, text)
    };
    esme.submit_ok(part(&texts[0])).await;
    esme.submit_ok(part(&texts[1])).await;
    local.restart();
    let mut esme = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    esme.submit_ok(message(FROM, TO, "between")).await;
    esme.submit_ok(part(&texts[2])).await;
    let (mut at_sink, mut at_b) = (Vec::new(), Vec::new());
    // Some went out before the restart and go out again behind it: those are unanswered, and P1 allows it.
    while !(at_sink.contains(&texts[2]) || at_b.contains(&texts[2])) {
        tokio::select! {
            submit = sink.expect_submit() => at_sink.push(submit.text()),
            submit = b.expect_submit() => at_b.push(submit.text()),
        }
    }
    let parts = |texts: &[String]| texts.iter().filter(|text| text.contains("part")).count();
    assert!(parts(&at_sink) == 0 || parts(&at_b) == 0, "{at_sink:?} {at_b:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_that_waits_for_a_carrier_to_go_down_takes_over_what_waits_for_it() {
    let (mut sink, mut b) = (ScriptedSmsc::listen().await, ScriptedSmsc::listen().await);
    let routes = "[[route.mt]]\norder = 1\nprefix = \"44\"\ndown = [\"sink\"]\ncarriers = [\"b\"]\n";
    let local = local(&[&sink, &b], routes).await;
    sink.expect_binds(1).await;
    b.expect_binds(1).await;
    let mut esme = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    esme.submit_ok(message(FROM, TO, "while it is up")).await;
    let submit = sink.expect_submit().await;
    assert_eq!(submit.text(), "while it is up");
    sink.answer(&submit, "s-1").await;
    b.expect_no_submit(A_WHILE).await;
    sink.stop_listening();
    sink.drop_all();
    esme.submit_ok(message(FROM, TO, "when it is down")).await;
    assert_eq!(b.expect_submit().await.text(), "when it is down");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_sends_a_message_and_sees_what_becomes_of_it() {
    let mut smsc = ScriptedSmsc::listen().await;
    let process = Process::start(Process::built(), |places| places.config(&[smsc.addr()], "")).await;
    smsc.expect_binds(1).await;
    let explain = tidegate(
        &process,
        &[
            "--json",
            "route",
            "explain",
            "--account",
            "load",
            "--from",
            FROM,
            "--to",
            TO,
        ],
    );
    let told: Value = serde_json::from_slice(&explain.stdout).unwrap();
    assert_eq!(told["asked"], "running gateway", "{told}");
    assert_eq!(told["carriers"][0]["up"], true, "{told}");

    let words = [
        "send",
        "--json",
        "--account",
        "load",
        "--from",
        FROM,
        "--to",
        TO,
        "--text",
        "is it there?",
        "--receipt",
    ];
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    let (config, dir) = (process.config().to_owned(), process.dir().to_owned());
    let sent = tokio::task::spawn_blocking(move || {
        let mut command = Command::new(Process::built());
        command.args(words).arg("--config").arg(config).current_dir(dir);
        command.output().unwrap()
    });
    let submit = smsc.expect_submit_of("is it there?").await;
    assert_eq!(submit.sm().destination.addr.as_bytes(), TO.as_bytes());
    smsc.answer(&submit, "c-77").await;
    smsc.receipt(&submit, "c-77", MessageState::Delivered, Dialect::Both)
        .await;
    let output = sent.await.unwrap();
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(output.status.success() && told["state"] == "DELIVRD", "{told}");
    let last = told["steps"].as_array().unwrap().last().unwrap();
    assert_eq!(
        (&last["carrier_id"], &last["is_final"]),
        (&Value::from("c-77"), &Value::from(true))
    );
    // It was a message of the account: the receipt waits for its clients.
    let mut esme = ScriptedEsme::bound(process.smpp(), "load", "secret").await;
    let dlr = esme.expect_receipt(told["message_id"].as_str().unwrap()).await;
    assert!(dlr.text().contains(" stat:DELIVRD "), "{}", dlr.text());

    let refused = tidegate(
        &process,
        &["send", "--account", "load", "--from", FROM, "--to", "Bob"],
    );
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        !refused.status.success() && why.contains("ESME_RINVDSTADR"),
        "{why}"
    );
}
