//! Accounts that are closed (compliance.md §7.3), on a gateway with real files and sockets.

use std::time::Duration;

use serde_json::{Value, json};
use tidegate_codec::status::CommandStatus;
use tidegate_codec::values::BindKind;
use tidegate_gateway::control::{Deed, DeedKind, Exporting, HoldAsk, Matter, Retain, Row, Steer, Verb};
use tidegate_gateway::exports::{Format, What};
use tidegate_gateway::orders::Halt;
use tidegate_store::keyring::Owner;
use tidegate_tests::esme::message;
use tidegate_tests::{DEADLINE, ScriptedEsme};

use crate::exports::{made, rows};
use crate::sweeps::{Answer, DAY_MS, FROM, Scene, TEXT, TO, copy, ring_of, text_of};

async fn steer(scene: &Scene, steer: Steer) -> Answer {
    scene.ask(Verb::Steer(steer)).await
}

pub(crate) async fn close(scene: &Scene, returned: Option<u64>) -> Answer {
    let close = Steer::AccountClose {
        account: "load".to_owned(),
        reason: "contract ended".to_owned(),
        returned,
    };
    steer(scene, close).await
}

async fn show(scene: &Scene) -> Value {
    let account = "load".to_owned();
    Value::Object(steer(scene, Steer::AccountShow { account }).await.unwrap())
}

async fn bind_status(scene: &Scene) -> CommandStatus {
    let mut esme = ScriptedEsme::connect(scene.local.esme()).await;
    let answer = esme.try_bind(BindKind::Transceiver, "load", "secret").await;
    answer.status()
}

async fn until_unfinished(scene: &Scene, count: u64) {
    let looking = async {
        while show(scene).await["unfinished"] != count {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, looking)
        .await
        .expect("so many are unfinished");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clo_c01_a_closed_account_binds_no_more_and_nothing_of_it_goes_out() {
    let mut scene = Scene::new("retention_profile = \"fixed-term\"").await;
    scene.esme.submit_ok(message(FROM, TO, "under way")).await;
    let under_way = scene.smsc.expect_submit().await;
    let pause = Steer::CarrierHalt {
        carrier: "sink".to_owned(),
        how: Halt::Pause,
    };
    steer(&scene, pause).await.unwrap();
    let unbound = ScriptedEsme::connect(scene.local.esme()).await;
    let mut esme = std::mem::replace(&mut scene.esme, unbound);
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(esme.submit_ok(message(FROM, TO, TEXT)).await);
    }
    until_unfinished(&scene, 4).await;
    // Its DLRs reach it before its binds are closed.
    let fetching = async {
        for id in &ids {
            let dlr = esme.expect_receipt(id).await;
            assert!(dlr.text().contains("stat:DELETED"), "{}", dlr.text());
        }
    };
    let (told, ()) = tokio::join!(close(&scene, None), fetching);
    let told = told.unwrap();
    assert_eq!((&told["unbound"], &told["deleted"]), (&json!(1), &json!(3)));
    // One that was with the carrier is offered no more when that turns it away.
    scene.smsc.refuse(&under_way, CommandStatus::RTHROTTLED).await;
    let resume = Steer::CarrierResume {
        carrier: "sink".to_owned(),
    };
    steer(&scene, resume).await.unwrap();
    until_unfinished(&scene, 0).await;
    let closed = told["closed"].as_str().unwrap().to_owned();
    assert_eq!(bind_status(&scene).await, CommandStatus::RBINDFAIL);
    // Nothing takes it back: no word of an operator, and no restart.
    let restore = Steer::AccountRestore {
        account: "load".to_owned(),
    };
    let refused = steer(&scene, restore).await.unwrap_err();
    assert!(refused.contains("closed"), "{refused}");
    scene.restart();
    scene.smsc.expect_binds(3).await;
    assert_eq!(bind_status(&scene).await, CommandStatus::RBINDFAIL);
    let shown = show(&scene).await;
    assert_eq!(
        [&shown["state"], &shown["closed"], &shown["unfinished"]],
        [&json!("closed"), &json!(closed), &json!(0)]
    );
    // Given again it keeps its date.
    scene.set(scene.clock.now().unix_ms + DAY_MS);
    assert_eq!(close(&scene, None).await.unwrap()["closed"], closed);
    scene.smsc.expect_no_submit(Duration::from_millis(300)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clo_c05_an_account_is_closed_once_what_is_kept_was_handed_over_and_that_ends_after_seven_days() {
    let mut scene = Scene::new("retention_profile = \"fixed-term\"").await;
    scene.deliver("c-1").await;
    // What is no export of its messages is none.
    let statistics = made(&scene, What::Statistics, Format::Csv).await;
    let export = made(&scene, What::Texts, Format::Jsonl).await;
    let made_ms = scene.clock.now().unix_ms;
    // The last of them is, but nobody has fetched it.
    for number in [7, statistics, export] {
        let refused = close(&scene, Some(number)).await.unwrap_err();
        assert!(refused.contains("handed over"), "{refused}");
    }
    assert_eq!(show(&scene).await["closed"], Value::Null);
    assert!(rows(&scene, export).await.unwrap().contains(TEXT));
    close(&scene, Some(export)).await.unwrap();
    let read = || scene.ask(Verb::Export(Exporting::Read { export, frame: None }));
    assert!(read().await.unwrap()["text"].as_str().unwrap().contains(TEXT));
    scene.set(made_ms + 7 * DAY_MS);
    assert!(read().await.unwrap_err().contains("no such export"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_counts_from_a_closure_is_due_then_and_what_does_not_is_not() {
    let instructed = "retention_profile = \"as-instructed\"\n\
                      retention = [{ class = \"body\", after = \"P10Y\" }, { class = \"meta\", after = \"P10Y\" }]";
    for (terms, is_gone) in [(instructed, true), ("retention_profile = \"fixed-term\"", false)] {
        let mut scene = Scene::new(terms).await;
        let (id, _) = scene.deliver("c-1").await;
        assert_eq!(text_of(&scene.show(&id).await)["shown"], TEXT, "{terms}");
        close(&scene, None).await.unwrap();
        let told = scene.show(&id).await;
        let is_shown = told.is_ok_and(|told| told["legs"][0]["text"]["shown"] == TEXT);
        assert_eq!(is_shown, !is_gone, "{terms}");
        let goes = show(&scene).await["goes"].as_array().unwrap().clone();
        let has_account = goes.iter().any(|goes| goes["class"] == "account.other");
        assert!(has_account, "{terms}: {goes:?}");
    }
}

async fn is_blocked(scene: &Scene) -> Value {
    let mut deed = Deed::new(DeedKind::OptOutCheck, "load");
    let cells = [("number".to_owned(), json!(format!("+{TO}")))];
    deed.rows = vec![Row {
        line: 1,
        cells: cells.into_iter().collect(),
    }];
    scene.ask(Verb::Deed(Box::new(deed))).await.unwrap()["blocked"].clone()
}

/// How many opt-outs an account is told of, and of how many not whose they are.
async fn opt_outs(scene: &Scene) -> (Value, Value) {
    let deed = Deed::new(DeedKind::OptOutExport, "load");
    let told = scene.ask(Verb::Deed(Box::new(deed))).await.unwrap();
    (told["total"].clone(), told["hashed"].clone())
}

/// And PSN-3: numbers of opt-outs go at the account's date, but not before the hold is released.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clo_c06_of_a_closed_account_opt_outs_are_recorded_and_what_is_held_is_sealed_and_no_more() {
    let mut scene = Scene::new("retention_profile = \"fixed-term\"").await;
    let (_, accepted_ms) = scene.deliver("c-1").await;
    let ask = HoldAsk {
        matter: "2026/17".to_owned(),
        account: Some("load".to_owned()),
        // Whomever of its people it is about.
        to: Some(format!("+{TO}")),
        message: None,
        class: None,
        from_ms: None,
        until_ms: None,
        future: true,
        reason: "a claim".to_owned(),
        review_days: 300,
    };
    let held = scene
        .ask(Verb::Matter(Matter::HoldAdd(Box::new(ask))))
        .await
        .unwrap();
    let hold = u32::try_from(held["id"].as_u64().unwrap()).unwrap();
    close(&scene, None).await.unwrap();
    scene.smsc.expect_binds(2).await;
    let link = *scene.smsc.bound().last().unwrap();
    for text in ["an answer that nobody is to keep", "STOP"] {
        let sequence = scene.smsc.deliver(link, message(TO, "12345", text)).await;
        let status = scene.smsc.expect_deliver_resp(sequence).await;
        assert_eq!(status, CommandStatus::ROK, "{text}");
    }
    // Nothing of ours is answered, either.
    scene.smsc.expect_no_submit(Duration::from_millis(300)).await;
    let shown = show(&scene).await;
    assert_eq!((&shown["outbox"], &shown["unfinished"]), (&json!(0), &json!(0)));
    assert_eq!(is_blocked(&scene).await, true);
    assert_eq!(opt_outs(&scene).await, (json!(1), json!(0)));
    scene.set(accepted_ms + 100 * DAY_MS);
    scene.retain(Retain::ConfirmClock).await.unwrap();
    scene.retain(Retain::Sweep).await.unwrap();
    let reason = "matter 17".to_owned();
    let sealed = scene.ask(Verb::Matter(Matter::HoldShow { id: hold, reason }));
    let texts = sealed.await.unwrap()["texts"].as_array().unwrap().clone();
    let texts: Vec<&str> = texts
        .iter()
        .filter_map(|text| text["text"]["shown"].as_str())
        .collect();
    assert_eq!(texts, [TEXT]);
    assert_eq!(opt_outs(&scene).await, (json!(1), json!(0)), "they are held, too");
    let reason = "settled".to_owned();
    let release = Matter::HoldRelease { id: hold, reason };
    scene.ask(Verb::Matter(release)).await.unwrap();
    scene.retain(Retain::Sweep).await.unwrap();
    assert_eq!(
        opt_outs(&scene).await,
        (json!(1), json!(1)),
        "nobody knows whose it is"
    );
    assert_eq!(is_blocked(&scene).await, true, "and it holds");
}

/// And class `consent`: what proves a closed account's consents outlives its other keys, and goes five years after the closure.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn con_1_a_closed_accounts_consents_keep_their_evidence_until_their_own_end() {
    let scene = Scene::new("retention_profile = \"fixed-term\"").await;
    let deed = |kind| {
        let cells = [("number", format!("+{TO}")), ("method", "web".to_owned())];
        let cells = cells.map(|(column, value)| (column.to_owned(), json!(value)));
        let mut deed = Deed::new(kind, "load");
        deed.rows = vec![Row {
            line: 1,
            cells: cells.into_iter().collect(),
        }];
        scene.ask(Verb::Deed(Box::new(deed)))
    };
    let records = || async {
        let told = deed(DeedKind::ConsentList).await.unwrap();
        told["records"].as_array().unwrap().clone()
    };
    let due = || async {
        let plan = scene.retain(Retain::Plan).await.unwrap();
        plan["consents"].clone()
    };
    deed(DeedKind::ConsentGrant).await.unwrap();
    close(&scene, None).await.unwrap();
    let closed_ms = scene.clock.now().unix_ms;
    // Behind the date of class `account.other`, and before the five years are over.
    for (days, is_kept) in [(100, true), (5 * 365 - 5, true), (5 * 366 + 1, false)] {
        scene.set(closed_ms + days * DAY_MS);
        assert_eq!(records().await.len(), usize::from(is_kept), "{days}");
        scene.retain(Retain::ConfirmClock).await.unwrap();
        if is_kept {
            // Later the sweep that the confirmed clock lets run may have been there first.
            assert_eq!(due().await, json!([]), "{days}");
        }
        scene.retain(Retain::Sweep).await.unwrap();
        let found = records().await;
        let methods: Vec<&Value> = found.iter().map(|record| &record["method"]).collect();
        assert_eq!(methods == ["web"], is_kept, "{days}: {found:?}");
        assert_eq!(due().await, json!([]), "{days}");
        let (dir, aside) = (scene.local.dir.path(), tempfile::tempdir().unwrap());
        for part in ["keys", "kek"] {
            copy(&dir.join(part), &aside.path().join(part));
        }
        let keys = ring_of(aside.path()).live(Owner::Consents("load".parse().unwrap()));
        assert_eq!(keys.len(), usize::from(is_kept), "{days}");
    }
}
