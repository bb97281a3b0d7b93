//! Carriers that an operator pauses, drains and slows down.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use serde_json::{Value, json};
use tidegate_codec::status::CommandStatus;
use tidegate_codec::values::MessageState;
use tidegate_gateway::control::{Page, Steer};
use tidegate_gateway::orders::Halt;
use tidegate_tests::esme::message;
use tidegate_tests::{Dialect, Process, ScriptedEsme, ScriptedSmsc};

use crate::control::tidegate;
use crate::local::{Changes, Local};
use crate::reload::scene::Scene;
use crate::steered::{audit, carrier, carrier_once, refused, row, steer, steer_at};

const A_WHILE: Duration = Duration::from_millis(60);
const FROM: &str = "447700900001";
const TO: &str = "447700900002";

pub(crate) fn halt(carrier: &str, how: Halt) -> Steer {
    Steer::CarrierHalt {
        carrier: carrier.to_owned(),
        how,
    }
}

pub(crate) fn resume(carrier: &str) -> Steer {
    Steer::CarrierResume {
        carrier: carrier.to_owned(),
    }
}

fn queues(after: Option<String>, limit: Option<usize>) -> Steer {
    Steer::QueueList {
        page: Page { after, limit },
    }
}

fn second(addr: SocketAddr) -> String {
    format!(
        "[[carrier]]\nname = \"second\"\naddresses = [\"{addr}\"]\nsystem_id = \"tidegate\"\npassword_file = \"@password@\"\n\
         reconnect_min = \"50ms\"\nreconnect_max = \"200ms\"\n[[route.mt]]\nprefix = \"44\"\ncarriers = [\"sink\", \"second\"]\n"
    )
}

/// Submits texts and says which the carrier got, in any order; it answers each.
async fn take(smsc: &mut ScriptedSmsc, count: usize) -> BTreeSet<String> {
    let mut got = BTreeSet::new();
    for _ in 0..count {
        let submit = smsc.expect_submit().await;
        smsc.answer(&submit, &submit.text()).await;
        assert!(got.insert(submit.text()), "{} came twice", submit.text());
    }
    got
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_carrier_gets_nothing_the_next_does_and_its_receipts_still_come() {
    let (mut first, mut next) = (ScriptedSmsc::listen().await, ScriptedSmsc::listen().await);
    let mut local = Local::start(first.addr(), &second(next.addr()));
    tokio::join!(first.expect_binds(1), next.expect_binds(1));
    carrier_once(&local, "sink", |sink| sink["state"] == "up").await;
    let mut esme = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    let one = esme.submit_ok(message(FROM, TO, "one")).await;
    let submit = first.expect_submit().await;
    first.answer(&submit, "c-1").await;
    // One is under way, unanswered, when it is paused; it is not taken back.
    esme.submit_ok(message(FROM, TO, "two")).await;
    let two = first.expect_submit().await;

    let told = steer(&local, halt("sink", Halt::Pause)).await;
    assert_eq!(told["state"], "paused", "{told:?}");
    for text in ["three", "four"] {
        esme.submit_ok(message(FROM, TO, text)).await;
        let submit = next.expect_submit().await;
        assert_eq!(submit.text(), text);
        next.answer(&submit, text).await;
    }
    first.expect_no_submit(A_WHILE).await;
    let sink = carrier(&local, "sink").await;
    assert_eq!(
        (&sink["state"], &sink["links"]["bound"]),
        (&json!("paused"), &json!(1))
    );
    assert_eq!(
        (&sink["window_used"], &sink["since"]),
        (&json!(1), &told["since"])
    );
    // Answers, receipts and messages from handsets are taken as ever.
    first.answer(&two, "c-2").await;
    let sequence = first
        .receipt(&submit, "c-1", MessageState::Delivered, Dialect::Both)
        .await;
    assert_eq!(first.expect_deliver_resp(sequence).await, CommandStatus::ROK);
    esme.expect_receipt(&one).await;
    let sequence = first.deliver(0, message(TO, "12345", "from a handset")).await;
    assert_eq!(first.expect_deliver_resp(sequence).await, CommandStatus::ROK);
    assert_eq!(esme.expect_deliver().await.text(), "from a handset");

    assert_eq!(steer(&local, resume("sink")).await["resumed"], true);
    assert_eq!(steer(&local, resume("sink")).await["resumed"], false);
    esme.submit_ok(message(FROM, TO, "five")).await;
    assert_eq!(first.expect_submit().await.text(), "five");
    next.expect_no_submit(A_WHILE).await;
    for name in ["nobody", "SINK"] {
        let why = refused(&local, halt(name, Halt::Pause)).await;
        assert!(why.contains(name), "{why}");
    }
    local.stop();
    let log = audit(&local);
    for words in ["carrier pause", "carrier resume", "asked", "done", "refused"] {
        assert!(log.contains(words), "{words}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_a_paused_carrier_goes_to_the_next_and_stays_where_there_is_none() {
    let (mut first, mut next) = (ScriptedSmsc::listen().await, ScriptedSmsc::listen().await);
    let changes = Changes {
        carrier: "window = 1",
        extra: &second(next.addr()),
        ..Changes::default()
    };
    let local = Local::start_with(first.addr(), changes);
    tokio::join!(first.expect_binds(1), next.expect_binds(1));
    carrier_once(&local, "sink", |sink| sink["state"] == "up").await;
    let mut esme = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    // Its window is full: one is under way, these stand in line, and those of other numbers have no other way.
    esme.submit_ok(message(FROM, TO, "under way")).await;
    let under_way = first.expect_submit().await;
    for text in ["a", "b"] {
        esme.submit_ok(message(FROM, TO, text)).await;
        esme.submit_ok(message(FROM, "491700000001", &format!("{text} stays")))
            .await;
    }
    let queues = steer(&local, queues(None, None)).await;
    assert_eq!(
        row(&queues, "queues", "carrier", "sink")["waiting"],
        4,
        "{queues:?}"
    );
    steer(&local, halt("sink", Halt::Pause)).await;
    let got = take(&mut next, 2).await;
    assert_eq!(got, BTreeSet::from(["a", "b"].map(str::to_owned)));
    first.answer(&under_way, "c").await;
    first.expect_no_submit(A_WHILE).await;
    assert_eq!(carrier(&local, "sink").await["waiting"], 2);
    steer(&local, resume("sink")).await;
    let got = take(&mut first, 2).await;
    assert_eq!(got, BTreeSet::from(["a stays", "b stays"].map(str::to_owned)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_outlives_a_restart_and_nothing_is_lost_or_doubled_over_it() {
    let mut smsc = ScriptedSmsc::listen().await;
    let mut local = Local::start(smsc.addr(), "");
    smsc.expect_binds(1).await;
    let mut esme = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    let told = steer(&local, halt("sink", Halt::Pause)).await;
    let texts: BTreeSet<String> = (0..20).map(|number| format!("{number:02}")).collect();
    for text in &texts {
        esme.submit_ok(message(FROM, TO, text)).await;
    }
    local.restart();
    smsc.expect_binds(2).await;
    smsc.expect_no_submit(A_WHILE).await;
    let sink = carrier_once(&local, "sink", |sink| sink["links"]["bound"] == 1).await;
    assert_eq!((&sink["state"], &sink["waiting"]), (&json!("paused"), &json!(20)));
    assert_eq!(sink["since"], told["since"]);
    steer(&local, resume("sink")).await;
    assert_eq!(take(&mut smsc, texts.len()).await, texts);
    smsc.expect_no_submit(A_WHILE).await;
    // Nothing is left of the order, either.
    local.restart();
    smsc.expect_binds(3).await;
    carrier_once(&local, "sink", |sink| sink["state"] == "up").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_outlives_a_kill_right_behind_it() {
    let mut smsc = ScriptedSmsc::listen().await;
    let mut process = Process::start(Process::built(), |places| places.config(&[smsc.addr()], "")).await;
    smsc.expect_binds(2).await;
    let mut esme = ScriptedEsme::bound(process.smpp(), "load", "secret").await;
    assert!(tidegate(&process, &["carrier", "pause", "c0"]).status.success());
    let texts: BTreeSet<String> = (0..10).map(|number| format!("{number:02}")).collect();
    for text in &texts {
        esme.submit_ok(message(FROM, TO, text)).await;
    }
    process.kill();
    process.restart().await;
    smsc.expect_binds(4).await;
    smsc.expect_no_submit(A_WHILE).await;
    assert!(tidegate(&process, &["carrier", "resume", "c0"]).status.success());
    assert_eq!(take(&mut smsc, texts.len()).await, texts);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drained_carrier_is_unbound_once_all_its_links_have_answered_and_not_before() {
    let mut smsc = ScriptedSmsc::listen().await;
    let changes = Changes {
        carrier: "links = 2",
        ..Changes::default()
    };
    let mut local = Local::start_with(smsc.addr(), changes);
    smsc.expect_binds(2).await;
    carrier_once(&local, "sink", |sink| sink["links"]["bound"] == 2).await;
    let mut esme = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    esme.submit_ok(message(FROM, TO, "under way")).await;
    let under_way = smsc.expect_submit().await;
    let told = steer(&local, halt("sink", Halt::Drain)).await;
    assert_eq!(told["state"], "draining");
    esme.submit_ok(message(FROM, TO, "later")).await;
    // The other link has nothing under way; it stays as long as this one has.
    smsc.expect_no_submit(A_WHILE).await;
    let sink = carrier(&local, "sink").await;
    assert_eq!(
        (&sink["state"], &sink["links"]["bound"]),
        (&json!("draining"), &json!(2))
    );
    smsc.answer(&under_way, "c").await;
    smsc.expect_end_of(0).await;
    smsc.expect_end_of(1).await;
    let drained = |sink: &Value| sink["state"] == "drained" && sink["links"]["unbinding"] == 0;
    let sink = carrier_once(&local, "sink", drained).await;
    assert_eq!(
        (&sink["links"]["wanted"], &sink["waiting"]),
        (&json!(0), &json!(1))
    );
    // Not bound again, over a restart either.
    local.restart();
    smsc.expect_no_submit(A_WHILE).await;
    assert_eq!(smsc.credentials().len(), 2);
    assert_eq!(carrier(&local, "sink").await["state"], "drained");
    steer(&local, resume("sink")).await;
    smsc.expect_binds(4).await;
    assert_eq!(take(&mut smsc, 1).await, BTreeSet::from(["later".to_owned()]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_rate_holds_until_it_is_reset() {
    let mut smsc = ScriptedSmsc::listen().await;
    let changes = Changes {
        carrier: "window = 1000",
        ..Changes::default()
    };
    let local = Local::start_with(smsc.addr(), changes);
    smsc.expect_binds(1).await;
    carrier_once(&local, "sink", |sink| sink["state"] == "up").await;
    let rate = |per_second: u32| Steer::CarrierRate {
        carrier: "sink".to_owned(),
        per_second: NonZeroU32::new(per_second),
    };
    let told = steer(&local, rate(1)).await;
    assert_eq!(
        (&told["per_second"], &told["configured"]),
        (&json!(1), &json!(null))
    );
    let mut esme = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    let texts: BTreeSet<String> = (0..300).map(|number| format!("{number:03}")).collect();
    for text in &texts {
        esme.submit_ok(message(FROM, TO, text)).await;
    }
    // A burst of 255, as of every rate; the rest would take its time.
    let mut got = take(&mut smsc, 255).await;
    let sink = carrier(&local, "sink").await;
    assert!(sink["waiting"].as_u64().unwrap() > 20, "{sink}");
    assert_eq!(sink["per_second"], 1);
    let told = steer(&local, rate(0)).await;
    assert_eq!(told["per_second"], json!(null));
    got.append(&mut take(&mut smsc, 45).await);
    assert_eq!(got, texts);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_survives_a_reload_and_what_is_not_configured_is_listed() {
    let mut scene = Scene::start().await;
    let data = scene.path("data");
    let mut shop = scene.shop().await;
    steer_at(data.clone(), halt("hand", Halt::Pause)).await;
    let other_rate = |rate| Steer::CarrierRate {
        carrier: "main".to_owned(),
        per_second: NonZeroU32::new(rate),
    };
    steer_at(data.clone(), other_rate(7)).await;
    let text = scene.with("name = \"hand\"", "rate = 500");
    scene.text = text;
    let text = scene.with("name = \"main\"", "rate = 600");
    scene
        .change(
            &text,
            &["carrier.main.rate: none -> 600", "carrier.hand.rate: none -> 500"],
        )
        .await;
    shop.submit_ok(message(FROM, "491700000001", "waits")).await;
    scene.hand.expect_no_submit(A_WHILE).await;
    let shown = steer_at(data.clone(), Steer::CarrierList).await;
    assert_eq!(row(&shown, "carriers", "carrier", "hand")["state"], "paused");
    assert_eq!(row(&shown, "carriers", "carrier", "main")["per_second"], 7);
    let told = steer_at(data.clone(), other_rate(0)).await;
    assert_eq!(told["per_second"], 600);
    steer_at(data.clone(), resume("hand")).await;
    assert_eq!(scene.hand.expect_submit().await.text(), "waits");
    // One that goes from the file: the order is kept and told, and has no effect until it comes back.
    let before = scene.text.clone();
    steer_at(data.clone(), halt("other", Halt::Pause)).await;
    let at = scene.text.find("[[carrier]]\nname = \"other\"").unwrap();
    let end = at + 5 + scene.text[at + 5..].find("[[").unwrap();
    let text = format!("{}{}", &scene.text[..at], &scene.text[end..]);
    let kept = "orders.carrier.other: paused by an operator; this is kept until the name comes back, and holds for no other name";
    scene.change(&text, &["carrier.other: removed", kept]).await;
    let shown = steer_at(data.clone(), Steer::CarrierList).await;
    let other = row(&shown, "carriers", "carrier", "other");
    assert_eq!(
        (&other["is_configured"], &other["state"]),
        (&json!(false), &json!("paused"))
    );
    scene.change(&before, &["carrier.other: added"]).await;
    let shown = steer_at(data.clone(), Steer::CarrierList).await;
    let other = row(&shown, "carriers", "carrier", "other");
    assert_eq!(
        (&other["is_configured"], &other["state"]),
        (&json!(true), &json!("paused"))
    );
    assert_eq!(steer_at(data, resume("other")).await["resumed"], true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_file_of_orders_stops_the_start_by_its_name() {
    let smsc = ScriptedSmsc::listen().await;
    let mut local = Local::start(smsc.addr(), "");
    steer(&local, halt("sink", Halt::Pause)).await;
    local.stop();
    let path = local.dir.path().join("data/operator-orders");
    let whole = fs::read_to_string(&path).unwrap();
    fs::write(&path, whole.replacen("sink", "sinc", 1)).unwrap();
    let refused = local.try_start().map(drop).unwrap_err().to_string();
    assert!(
        refused.contains("operator-orders") && !refused.contains('\n'),
        "{refused}"
    );
    fs::write(&path, whole).unwrap();
    local.restart();
    assert_eq!(carrier(&local, "sink").await["state"], "paused");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queues_are_listed_by_pages() {
    let (mut first, mut next) = (ScriptedSmsc::listen().await, ScriptedSmsc::listen().await);
    let mut extra = second(next.addr());
    for name in ["alpha", "omega"] {
        extra += &format!(
            "[[account]]\nsystem_id = \"{name}\"\ncategory = \"transactional\"\npassword_hashes = [\"@hash@\"]\n"
        );
    }
    extra += "[[route.mt]]\nprefix = \"49\"\ncarriers = [\"second\"]\n";
    let local = Local::start(first.addr(), &extra);
    tokio::join!(first.expect_binds(1), next.expect_binds(1));
    for carrier in ["sink", "second"] {
        steer(&local, halt(carrier, Halt::Pause)).await;
    }
    for account in ["omega", "load", "alpha"] {
        let mut esme = ScriptedEsme::bound(local.esme(), account, "secret").await;
        for to in ["33612345678", "491700000001"] {
            esme.submit_ok(message(FROM, to, "waits")).await;
        }
    }
    let (mut found, mut pages, mut after) = (Vec::new(), 0, None);
    loop {
        let shown = steer(&local, queues(after.take(), Some(2))).await;
        pages += 1;
        for row in shown["queues"].as_array().unwrap() {
            assert_eq!(row["waiting"], 1, "{row}");
            let name = |key: &str| row[key].as_str().unwrap();
            found.push(format!("{}/{}", name("carrier"), name("account")));
        }
        match shown["next"].as_str() {
            Some(next) => after = Some(next.to_owned()),
            None => break,
        }
    }
    let expected = [
        "second/alpha",
        "second/load",
        "second/omega",
        "sink/alpha",
        "sink/load",
        "sink/omega",
    ];
    assert_eq!((&found[..], pages), (&expected.map(str::to_owned)[..], 3));
    let why = refused(&local, queues(Some("sink".to_owned()), None)).await;
    assert!(why.contains("CARRIER/ACCOUNT"), "{why}");
}
