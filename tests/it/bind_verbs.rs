//! Who is bound, one message, and the log: what an operator looks at, and closes.

use std::time::Duration;

use serde_json::{Value, json};
use tidegate_codec::header::CommandId;
use tidegate_codec::values::MessageState;
use tidegate_gateway::control::{Page, Steer};
use tidegate_tests::esme::message;
use tidegate_tests::{DEADLINE, Dialect, Process, ScriptedEsme, ScriptedSmsc};

use crate::control::tidegate;
use crate::local::Local;
use crate::reload::asks_for_nothing_more;
use crate::reload::scene::Scene;
use crate::steered::{audit, carrier_once, refused, steer, steer_at};

const FROM: &str = "447700900001";
const TO: &str = "447700900002";

async fn binds(local: &Local, account: Option<&str>, carrier: Option<&str>) -> Vec<Value> {
    let list = Steer::BindList {
        account: account.map(str::to_owned),
        carrier: carrier.map(str::to_owned),
        page: Page::default(),
    };
    steer(local, list).await["binds"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn binds_are_listed_with_their_ends_and_closed_by_their_numbers() {
    let mut smsc = ScriptedSmsc::listen().await;
    let mut local = Local::start(smsc.addr(), "");
    smsc.expect_binds(1).await;
    carrier_once(&local, "sink", |sink| sink["state"] == "up").await;
    let mut one = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    let mut other = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    // Not bound: not listed.
    let _open = ScriptedEsme::connect(local.esme()).await;
    let shown = binds(&local, Some("load"), None).await;
    let addresses: Vec<&Value> = shown.iter().map(|bind| &bind["address"]).collect();
    let (first, second) = (one.local_addr().to_string(), other.local_addr().to_string());
    assert_eq!(addresses, [&json!(first), &json!(second)]);
    assert_eq!(
        (&shown[0]["bind"], &shown[0]["transport"]),
        (&json!("trx"), &json!("clear"))
    );
    let sink = binds(&local, None, Some("sink")).await;
    assert_eq!(sink.len(), 1);
    assert_eq!(
        (&sink[0]["carrier"], &sink[0]["account"]),
        (&json!("sink"), &Value::Null)
    );
    assert_eq!(sink[0]["address"], smsc.addr().to_string());
    assert_eq!(binds(&local, None, None).await.len(), 3);
    // A page, and the one behind it.
    let page = |after| Steer::BindList {
        account: None,
        carrier: None,
        page: Page {
            after,
            limit: Some(2),
        },
    };
    let first = steer(&local, page(None)).await;
    assert_eq!(first["binds"].as_array().unwrap().len(), 2);
    let next = steer(&local, page(first["next"].as_u64())).await;
    assert_eq!(next["binds"].as_array().unwrap().len(), 1);
    assert_eq!(next["next"], Value::Null);

    let number = |bind: &Value| Steer::BindClose {
        number: bind["number"].as_u64().unwrap(),
    };
    steer(&local, number(&shown[0])).await;
    one.expect_id(CommandId::UNBIND).await;
    one.expect_end().await;
    other.submit_ok(message(FROM, TO, "lives on")).await;
    let submit = smsc.expect_submit().await;
    // The carrier's link is left once it has answered, and another one made.
    steer(&local, number(&sink[0])).await;
    let shown = binds(&local, None, Some("sink")).await;
    assert_eq!(
        (&shown[0]["is_leaving"], &shown[0]["window_used"]),
        (&json!(true), &json!(1))
    );
    smsc.answer(&submit, "c").await;
    smsc.expect_end_of(0).await;
    smsc.expect_binds(2).await;
    for gone in [&shown[0]["number"], &json!(4_000_000)] {
        let number = gone.as_u64().unwrap();
        let why = refused(&local, Steer::BindClose { number }).await;
        assert!(why.contains(&number.to_string()), "{why}");
    }
    local.stop();
    assert!(audit(&local).contains("bind close"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_whose_bind_is_closed_asks_for_nothing_more_there() {
    let mut scene = Scene::start().await;
    let text = scene
        .text
        .replace("unbind_wait = \"300ms\"", "unbind_wait = \"1m\"");
    scene.change(&text, &["limits.unbind_wait: 300ms -> 60s"]).await;
    let mut esme = scene.shop().await;
    let list = Steer::BindList {
        account: Some("shop".to_owned()),
        carrier: None,
        page: Page::default(),
    };
    let data = scene.path("data");
    let shown = steer_at(data.clone(), list).await;
    let number = shown["binds"][0]["number"].as_u64().unwrap();
    steer_at(data, Steer::BindClose { number }).await;
    esme.expect_id(CommandId::UNBIND).await;
    asks_for_nothing_more(&mut esme, "7").await;
    scene.hand.expect_no_submit(Duration::from_millis(80)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_shown_while_it_is_unfinished_without_text_and_number() {
    let mut smsc = ScriptedSmsc::listen().await;
    let local = Local::start(smsc.addr(), "");
    smsc.expect_binds(1).await;
    let mut esme = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    let id = esme.submit_ok(message(FROM, TO, "canary body")).await;
    let submit = smsc.expect_submit().await;
    let show = |account: Option<&str>| Steer::MessageShow {
        id: id.clone(),
        account: account.map(str::to_owned),
        reading: None,
    };
    let shown = steer(&local, show(None)).await;
    assert_eq!(shown["account"], "load");
    let leg = &shown["legs"][0];
    assert_eq!(
        (&leg["state"], &leg["route"]),
        (&json!("sent, not answered yet"), &json!(["sink"]))
    );
    assert_eq!(leg["to"]["length"], 12);
    smsc.answer(&submit, "c-1").await;
    let sequence = smsc.deliver(0, message(TO, "999", "behind the answer")).await;
    smsc.expect_deliver_resp(sequence).await;
    let shown = steer(&local, show(Some("load"))).await;
    assert_eq!(shown["legs"][0]["carrier"], "sink");
    let text = Value::Object(shown).to_string();
    for secret in ["canary", FROM, TO, "c-1"] {
        assert!(!text.contains(secret), "{text}");
    }
    smsc.receipt(&submit, "c-1", MessageState::Delivered, Dialect::Both)
        .await;
    esme.expect_receipt(&id).await;
    assert!(refused(&local, show(None)).await.contains("unfinished"));
    for foreign in ["", "1", "not an id", &"9".repeat(40)] {
        let show = Steer::MessageShow {
            id: foreign.to_owned(),
            account: None,
            reading: None,
        };
        assert!(refused(&local, show).await.contains("unfinished"), "{foreign}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_says_more_for_a_while_and_the_command_line_steers() {
    let mut smsc = ScriptedSmsc::listen().await;
    let mut process = Process::start(Process::built(), |places| places.config(&[smsc.addr()], "")).await;
    smsc.expect_binds(1).await;
    let say = |words: &[&str]| {
        let output = tidegate(&process, words);
        let (out, err) = (
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        );
        assert_eq!(output.status.success(), err.is_empty(), "{words:?}: {err}");
        format!("{out}{err}")
    };
    let before = say(&["log", "filter"]);
    let changed = say(&["log", "filter", "tidegate_gateway=debug", "--for", "1s"]);
    assert_eq!(changed.trim(), "info,tidegate_gateway=debug");
    let back = async {
        while say(&["log", "filter"]) != before {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    assert!(
        tokio::time::timeout(DEADLINE, back).await.is_ok(),
        "it does not go back"
    );
    assert!(say(&["log", "filter", "hyper=trace"]).contains("hyper"));
    for (words, expected) in [
        (&["carrier", "pause", "c0"][..], "c0 is paused"),
        (&["carrier", "list"], "paused"),
        (&["carrier", "rate", "c0", "--per-second", "50"], "50/s"),
        (&["carrier", "resume", "c0"], "goes on"),
        (&["account", "suspend", "load", "--unbind"], "closed: 0"),
        (&["account", "list"], "suspended"),
        (&["account", "restore", "load"], "active again"),
        (&["account", "limit", "load", "--reset"], "as configured"),
        (&["bind", "list"], "number"),
        (&["queue", "list"], "no route: 0"),
        (&["message", "show", "12345"], "finished ones kept"),
        // The first link of the process.
        (&["bind", "close", "1"], "1 is being unbound"),
    ] {
        let said = say(words);
        assert!(said.contains(expected), "{words:?}: {said}");
    }
    let wrong = tidegate(&process, &["carrier", "rate", "c0"]);
    assert_eq!(wrong.status.code(), Some(2), "a rate or --reset");
    assert!(process.stop().await.success());
    let log = process.stderr();
    assert!(
        log.contains("filtered otherwise") && log.contains("as at the start"),
        "{log}"
    );
}
