//! Accounts that an operator suspends and limits.

use std::num::NonZeroU32;
use std::time::Duration;

use serde_json::json;
use tidegate_codec::header::CommandId;
use tidegate_codec::pdu::Operation;
use tidegate_codec::status::CommandStatus;
use tidegate_codec::values::{BindKind, MessageState};
use tidegate_gateway::control::{Page, Steer};
use tidegate_gateway::orders::Halt;
use tidegate_tests::esme::message;
use tidegate_tests::{Dialect, ScriptedEsme, ScriptedSmsc};

use crate::ancillary::{replace, replacement};
use crate::local::Local;
use crate::reload::scene::Scene;
use crate::steered::{account, audit, refused, row, steer, steer_at};

const A_WHILE: Duration = Duration::from_millis(60);
const FROM: &str = "447700900001";
const TO: &str = "447700900002";
const SUSPENDED: CommandStatus = CommandStatus(0x0404);
const OPTED_OUT: CommandStatus = CommandStatus(0x0401);

fn suspend(account: &str, unbind: bool) -> Steer {
    Steer::AccountSuspend {
        account: account.to_owned(),
        unbind,
    }
}

fn restore(account: &str) -> Steer {
    Steer::AccountRestore {
        account: account.to_owned(),
    }
}

async fn bind_status(local: &Local) -> CommandStatus {
    let mut esme = ScriptedEsme::connect(local.esme()).await;
    esme.try_bind(BindKind::Transceiver, "load", "secret")
        .await
        .status()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspended_account_submits_nothing_and_what_it_is_owed_still_comes() {
    let mut smsc = ScriptedSmsc::listen().await;
    let mut local = Local::start(smsc.addr(), "");
    smsc.expect_binds(1).await;
    let mut esme = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    let one = esme.submit_ok(message(FROM, TO, "one")).await;
    let submit = smsc.expect_submit().await;
    smsc.answer(&submit, "c-1").await;
    // Accepted, and waiting for its carrier, when the account is suspended: it goes on.
    let halt = Steer::CarrierHalt {
        carrier: "sink".to_owned(),
        how: Halt::Pause,
    };
    steer(&local, halt).await;
    let waiting = esme.submit_ok(message(FROM, TO, "accepted before")).await;
    let told = steer(&local, suspend("load", false)).await;
    assert_eq!(told["unbound"], 0);
    // Nor by another text for what waits.
    assert_eq!(
        replace(&mut esme, replacement(&waiting, "another text")).await,
        SUSPENDED
    );
    assert_eq!(esme.submit_refused(message(FROM, TO, "two")).await, SUSPENDED);
    assert_eq!(bind_status(&local).await, CommandStatus::RBINDFAIL);
    let load = account(&local, "load").await;
    assert_eq!(
        (&load["state"], &load["suspended"]),
        (&json!("suspended"), &told["since"])
    );
    assert_eq!(load["binds"], 1);
    let resume = Steer::CarrierResume {
        carrier: "sink".to_owned(),
    };
    steer(&local, resume).await;
    assert_eq!(smsc.expect_submit().await.text(), "accepted before");
    let sequence = smsc
        .receipt(&submit, "c-1", MessageState::Delivered, Dialect::Both)
        .await;
    assert_eq!(smsc.expect_deliver_resp(sequence).await, CommandStatus::ROK);
    esme.expect_receipt(&one).await;
    // What a person says counts, whatever became of the account.
    let sequence = smsc.deliver(0, message("447700900009", "12345", "STOP")).await;
    assert_eq!(smsc.expect_deliver_resp(sequence).await, CommandStatus::ROK);
    assert_eq!(esme.expect_deliver().await.text(), "STOP");

    assert_eq!(steer(&local, restore("load")).await["state"], "active");
    assert_eq!(steer(&local, restore("load")).await["restored"], false);
    esme.submit_ok(message(FROM, TO, "three")).await;
    let stopped = message("12345", "447700900009", "after the STOP");
    assert_eq!(esme.submit_refused(stopped).await, OPTED_OUT);
    let why = refused(&local, suspend("nobody", false)).await;
    assert!(why.contains("nobody"), "{why}");
    local.stop();
    let log = audit(&local);
    for words in ["account suspend", "account restore", "asked", "done"] {
        assert!(log.contains(words), "{words}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_unbind_its_binds_are_closed_and_a_restart_lets_it_in_no_more() {
    let mut smsc = ScriptedSmsc::listen().await;
    let mut local = Local::start(smsc.addr(), "");
    smsc.expect_binds(1).await;
    let mut esmes = Vec::new();
    for _ in 0..2 {
        esmes.push(ScriptedEsme::bound(local.esme(), "load", "secret").await);
    }
    let told = steer(&local, suspend("load", true)).await;
    assert_eq!(told["unbound"], 2);
    for mut esme in esmes {
        esme.expect_id(CommandId::UNBIND).await;
        esme.expect_end().await;
    }
    local.restart();
    assert_eq!(bind_status(&local).await, CommandStatus::RBINDFAIL);
    assert_eq!(account(&local, "load").await["suspended"], told["since"]);
    steer(&local, restore("load")).await;
    let mut esme = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    esme.submit_ok(message(FROM, TO, "again")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_neither_restores_it_nor_closes_the_binds_that_it_was_left() {
    let mut scene = Scene::start().await;
    let data = scene.path("data");
    let mut shop = scene.shop().await;
    steer_at(data.clone(), suspend("shop", false)).await;
    let text = scene.with("system_id = \"shop\"", "window = 7");
    scene.change(&text, &["account.shop.window: 1000 -> 7"]).await;
    assert_eq!(shop.submit_refused(message(FROM, TO, "two")).await, SUSPENDED);
    shop.expect_silence(A_WHILE).await;
    // What the file says of it is what holds once it is restored.
    let text = scene.with("system_id = \"shop\"", "state = \"closing\"");
    let outcome = scene.reload(&text).await;
    assert_eq!(outcome["applied"], true, "{outcome:?}");
    let told = steer_at(data.clone(), restore("shop")).await;
    assert_eq!(told["state"], "closing");
    let shown = steer_at(
        data,
        Steer::AccountList {
            page: Page::default(),
        },
    )
    .await;
    assert_eq!(
        row(&shown, "accounts", "account", "shop")["suspended"],
        json!(null)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_limit_holds_until_it_is_reset() {
    let mut smsc = ScriptedSmsc::listen().await;
    let local = Local::start(smsc.addr(), "");
    smsc.stop_listening();
    let limit = |rate| Steer::AccountLimit {
        account: "load".to_owned(),
        per_second: NonZeroU32::new(rate),
    };
    let told = steer(&local, limit(1)).await;
    assert_eq!(
        (&told["per_second"], &told["configured"]),
        (&json!(1), &json!(null))
    );
    let mut esme = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    let mut throttled = 0;
    // A burst of 255, as of every rate.
    for _ in 0..300 {
        let sequence = esme.request(Operation::SubmitSm(message(FROM, TO, "x"))).await;
        let answer = esme.expect_answer(CommandId::SUBMIT_SM_RESP, sequence).await;
        throttled += u32::from(answer.status() == CommandStatus::RTHROTTLED);
    }
    assert!((1..=45).contains(&throttled), "{throttled}");
    let told = steer(&local, limit(0)).await;
    assert_eq!(told["per_second"], json!(null));
    for _ in 0..5 {
        esme.submit_ok(message(FROM, TO, "y")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accounts_are_listed_by_pages() {
    let smsc = ScriptedSmsc::listen().await;
    let more: String = (0..5)
        .map(|n| format!("[[account]]\nsystem_id = \"acct{n}\"\npassword_hashes = [\"@hash@\"]\n"))
        .collect();
    let local = Local::start(smsc.addr(), &more);
    let (mut names, mut after) = (Vec::new(), None);
    loop {
        let page = Page {
            after: after.take(),
            limit: Some(4),
        };
        let shown = steer(&local, Steer::AccountList { page }).await;
        let rows = shown["accounts"].as_array().unwrap();
        assert!((1..=4).contains(&rows.len()));
        names.extend(rows.iter().map(|row| row["account"].as_str().unwrap().to_owned()));
        match shown["next"].as_str() {
            Some(next) => after = Some(next.to_owned()),
            None => break,
        }
    }
    assert_eq!(names, ["acct0", "acct1", "acct2", "acct3", "acct4", "load"]);
}
