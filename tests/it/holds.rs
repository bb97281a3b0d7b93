//! Legal holds, the vault and the erasure of a person, on a gateway with real files whose clock is set by the test.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Map, Value, json};
use tidegate_codec::values::MessageState;
use tidegate_gateway::clock::Clock;
use tidegate_gateway::control::{HoldAsk, Matter, Retain, Verb};
use tidegate_gateway::disclosures::{Basis, Decision};
use tidegate_store::disk::RealDisk;
use tidegate_store::history::{Cursor, History, Kept, Looked, Query};
use tidegate_store::keyring::KeyRing;
use tidegate_store::seal::Purpose;
use tidegate_tests::esme::message;
use tidegate_tests::{DEADLINE, Dialect, IN_CLEAR_TEXT, Process, ScriptedEsme, ScriptedSmsc};

use crate::control::tidegate;
use crate::sweeps::{Answer, DAY_MS, Scene, TEXT, TO, blocks, copy, ring_of};

const OTHER: &str = "447700900456";
const OTHER_TEXT: &str = "canary text of somebody else";
const FIXED: &str = "retention_profile = \"fixed-term\"";

impl Scene {
    pub(crate) async fn matter(&self, matter: Matter) -> Answer {
        self.ask(Verb::Matter(matter)).await
    }

    /// A hold on all that was and is sent to a number; its own number.
    pub(crate) async fn hold(&self, matter: &str, to: &str) -> u32 {
        let ask = HoldAsk {
            matter: matter.to_owned(),
            account: Some("load".to_owned()),
            to: Some(format!("+{to}")),
            message: None,
            class: None,
            from_ms: None,
            until_ms: None,
            future: true,
            reason: "a claim".to_owned(),
            review_days: 30,
        };
        let told = self.matter(Matter::HoldAdd(Box::new(ask))).await.unwrap();
        u32::try_from(told["id"].as_u64().unwrap()).unwrap()
    }

    pub(crate) async fn release(&self, id: u32) -> Answer {
        let reason = "settled".to_owned();
        self.matter(Matter::HoldRelease { id, reason }).await
    }

    /// The texts that a hold has sealed, for the legal reader.
    pub(crate) async fn sealed(&self, id: u32) -> Vec<(String, String)> {
        let reason = "matter 1".to_owned();
        let told = self.matter(Matter::HoldShow { id, reason }).await.unwrap();
        assert_eq!(
            (&told["unreadable"], &told["has_more"]),
            (&json!(0), &json!(false))
        );
        let texts = told["texts"].as_array().unwrap().iter();
        texts
            .map(|text| {
                let shown = text["text"]["shown"].as_str().unwrap().to_owned();
                (text["id"].as_str().unwrap().to_owned(), shown)
            })
            .collect()
    }

    async fn erase(&self, to: &str) -> Map<String, Value> {
        let order = Matter::EraseAdd {
            to: format!("+{to}"),
            account: None,
            reason: "asked for".to_owned(),
        };
        self.matter(order).await.unwrap()
    }

    async fn orders(&self) -> Value {
        let told = self.matter(Matter::EraseList).await.unwrap();
        told["orders"][0].clone()
    }

    /// Goes to a time, as an operator who says that the clock is right, and sweeps.
    pub(crate) async fn sweep_at(&self, unix_ms: u64) -> Map<String, Value> {
        self.set(unix_ms);
        self.retain(Retain::ConfirmClock).await.unwrap();
        self.retain(Retain::Sweep).await.unwrap()
    }

    pub(crate) fn vault(&self) -> usize {
        let dir = self.history().join("vault");
        fs::read_dir(dir).map_or(0, Iterator::count)
    }

    /// No file holds a number or a text as it is written.
    fn nothing_is_plain(&self) {
        for path in self.local.files() {
            let octets = fs::read(&path).unwrap();
            for canary in [TO, OTHER, TEXT, OTHER_TEXT] {
                let canary = canary.as_bytes();
                let is_there = octets.windows(canary.len()).any(|window| window == canary);
                assert!(!is_there, "{}", path.display());
            }
        }
    }
}

/// All that a directory of history holds of the account, for whoever has this ring.
fn all_in(dir: &Path, ring: &KeyRing<RealDisk>) -> (Vec<String>, Vec<String>) {
    let mut history = History::open(RealDisk, dir.to_owned(), None).unwrap();
    let query = Query::Account {
        account: "load".parse().unwrap(),
        from_ms: 0,
        to_ms: u64::MAX >> 1,
    };
    let mut look = |class| {
        let mut all = Looked::default();
        let mut cursor = Some(Cursor::default());
        while let Some(at) = cursor {
            let looked = history.look(&query, class, at, ring, Purpose::Legal).unwrap();
            all.metas.extend(looked.metas);
            all.texts.extend(looked.texts);
            cursor = looked.next;
        }
        all
    };
    let numbers = look(Kept::Meta).metas.into_iter();
    let numbers = numbers.map(|(_, meta)| String::from_utf8(meta.destination.as_bytes().to_vec()).unwrap());
    let numbers = numbers.collect();
    let texts = look(Kept::Body).texts.into_iter();
    let texts = texts.map(|(_, text)| {
        let canary = [TEXT, OTHER_TEXT].into_iter().find(|canary| {
            let canary = canary.as_bytes();
            text.body.windows(canary.len()).any(|window| window == canary)
        });
        canary.unwrap_or("something else").to_owned()
    });
    (numbers, texts.collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hold_c01_c02_what_is_held_and_due_is_in_the_vault_only_and_others_of_its_lot_go_on_time() {
    let mut scene = Scene::new(FIXED).await;
    let (id, accepted_ms) = scene.deliver("c-1").await;
    let (other, _) = scene.deliver_to("c-2", OTHER, OTHER_TEXT).await;
    let hold = scene.hold("2026/17", TO).await;
    assert_eq!(scene.sealed(hold).await, [], "nothing is due");
    scene.set(accepted_ms + 90 * DAY_MS + 30_000);
    // The account's reader has neither, before any sweep.
    for id in [&id, &other] {
        assert_eq!(scene.show(id).await.unwrap()["legs"][0]["text"], Value::Null);
    }
    let swept = scene.sweep_at(accepted_ms + 90 * DAY_MS + 30_000).await;
    assert_eq!(
        (&swept["lots"], &swept["files"]),
        (&json!(1), &json!(1)),
        "{swept:?}"
    );
    let expected = [(id.clone(), TEXT.to_owned())];
    assert_eq!(scene.sealed(hold).await, expected);
    assert_eq!(scene.show(&id).await.unwrap()["legs"][0]["text"], Value::Null);
    assert_eq!((blocks(&scene.history(), "body-"), scene.vault()), (0, 1));
    scene.nothing_is_plain();
    // And so it is behind a restart.
    scene.local.stop();
    let ring = ring_of(scene.local.dir.path());
    let classes: Vec<u8> = ring.periods().map(|(owner, _)| owner.class).collect();
    assert_eq!(
        classes,
        [Kept::Meta as u8],
        "NOKEY: the lot of both texts is gone"
    );
    drop(ring);
    scene
        .local
        .start_at(Clock::virtual_from(scene.clock.now().unix_ms));
    assert_eq!(scene.sealed(hold).await, expected);
    // A law may have it, and whoever asks on another basis not (LEG-5).
    for (basis, text, held) in [(Basis::Law, TEXT, 1), (Basis::Agreement, "", 0)] {
        let number = scene.opened(basis, accepted_ms - DAY_MS).await;
        let fields = Some(&["id", "text"][..]);
        scene.decide(number, Decision::Narrowed, fields).await.unwrap();
        let (produced, rows) = scene.produced(number).await;
        assert_eq!(
            (rows, &produced["held"]),
            (format!("id,text\r\n{id},{text}\r\n"), &json!(held))
        );
    }
    let told = scene.matter(Matter::HoldList).await.unwrap();
    assert_eq!(told["holds"][0]["is_past_review"], true);
    assert!(!Value::Object(told).to_string().contains(TO));
    // What may not be forgotten stops the start where it cannot be read, or is not there.
    scene.local.stop();
    let register = scene.local.dir.path().join("data/legal-register");
    let text = fs::read_to_string(&register).unwrap();
    fs::remove_file(&register).unwrap();
    let refused = scene.local.try_start().map(drop).unwrap_err().to_string();
    assert!(refused.contains("key ring has keys of holds"), "{refused}");
    fs::write(&register, text.replace("\"future\":true", "\"future\":null")).unwrap();
    let refused = scene.local.try_start().map(drop).unwrap_err().to_string();
    assert!(
        refused.contains("legal-register") && refused.contains("no hold"),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hold_c03_what_two_hold_is_sealed_until_the_last_is_released_and_gone_then() {
    let mut scene = Scene::new(FIXED).await;
    let (id, accepted_ms) = scene.deliver("c-1").await;
    let (one, two) = (scene.hold("one", TO).await, scene.hold("two", TO).await);
    scene.sweep_at(accepted_ms + 90 * DAY_MS + 30_000).await;
    let expected = [(id.clone(), TEXT.to_owned())];
    assert_eq!(scene.sealed(one).await, expected);
    // One that comes now has nothing of its own of it: the first may not take it along.
    let late = scene.hold("late", TO).await;
    let refused = scene.release(one).await.unwrap_err();
    assert!(refused.contains(&format!("hold {late}")), "{refused}");
    scene.release(late).await.unwrap();
    scene.release(one).await.unwrap();
    assert!(scene.release(one).await.is_err(), "once");
    assert_eq!(scene.sealed(two).await, expected);
    let told = scene.release(two).await.unwrap();
    assert_eq!((&told["keys_destroyed"], scene.vault()), (&json!(1), 0));
    scene.local.stop();
    let ring = ring_of(scene.local.dir.path());
    assert_eq!(ring.holds().count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_is_erased_from_lots_that_others_stay_in_and_from_older_copies_of_them() {
    let mut scene = Scene::new(FIXED).await;
    let (id, _) = scene.deliver("c-1").await;
    let (other, _) = scene.deliver_to("c-2", OTHER, OTHER_TEXT).await;
    // One that has not ended when it is ordered.
    let under_way = scene.esme.submit_ok(message("447700900001", TO, TEXT)).await;
    let submit = scene.smsc.expect_submit().await;
    scene.smsc.answer(&submit, "c-3").await;
    let asked = scene.erase(TO).await;
    assert_eq!(
        (&asked["state"], &asked["deferred_by"]),
        (&json!("open"), &json!([]))
    );
    assert!(scene.show(&id).await.is_err(), "gone at once");
    assert_eq!(
        scene.show(&other).await.unwrap()["legs"][0]["text"]["shown"],
        OTHER_TEXT
    );
    scene
        .smsc
        .receipt(&submit, "c-3", MessageState::Delivered, Dialect::Both)
        .await;
    scene.esme.expect_receipt(&under_way).await;
    let older = scene.local.dir.path().join("older");
    // All of it is on disk then: the sweep begins with that.
    let swept = scene.retain(Retain::Sweep).await.unwrap();
    assert_eq!(swept["lots"], 0, "{swept:?}");
    let order = scene.orders().await;
    assert_eq!(
        (&order["state"], &order["records"], &order["lots"]),
        (&json!("executed"), &json!(1), &json!(2))
    );
    assert!(!order.to_string().contains(TO));
    copy(&scene.history(), &older);
    assert_eq!(
        scene.show(&other).await.unwrap()["legs"][0]["text"]["shown"],
        OTHER_TEXT
    );
    // It does nothing twice.
    scene.retain(Retain::Sweep).await.unwrap();
    assert_eq!(scene.orders().await, order);
    scene.nothing_is_plain();
    scene.local.stop();
    let ring = ring_of(scene.local.dir.path());
    let rest = (vec![OTHER.to_owned()], vec![OTHER_TEXT.to_owned()]);
    for dir in [scene.history(), older] {
        assert_eq!(all_in(&dir, &ring), rest);
    }
}

/// ERA-7: what was copied before is opened by today's ring no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_copy_of_the_files_yields_nothing_of_an_erased_person_with_todays_ring() {
    let mut scene = Scene::new(FIXED).await;
    scene.deliver("c-1").await;
    scene.deliver_to("c-2", OTHER, OTHER_TEXT).await;
    scene.local.stop();
    let (older, keys) = (
        scene.local.dir.path().join("older"),
        scene.local.dir.path().join("older-keys"),
    );
    copy(&scene.history(), &older);
    copy(&scene.local.dir.path().join("keys"), &keys.join("keys"));
    copy(&scene.local.dir.path().join("kek"), &keys.join("kek"));
    assert_eq!(
        all_in(&older, &ring_of(&keys)).0.len(),
        2,
        "what was copied was readable"
    );
    scene.local.start_at(scene.clock.clone());
    scene.erase(TO).await;
    scene.retain(Retain::Sweep).await.unwrap();
    assert_eq!(scene.orders().await["state"], "executed");
    scene.local.stop();
    let ring = ring_of(scene.local.dir.path());
    assert_eq!(all_in(&older, &ring), (Vec::new(), Vec::new()));
    assert_eq!(
        all_in(&scene.history(), &ring),
        (vec![OTHER.to_owned()], vec![OTHER_TEXT.to_owned()])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hold_c04_an_erasure_of_what_is_held_is_deferred_and_executed_with_the_release() {
    let mut scene = Scene::new(FIXED).await;
    let (id, _) = scene.deliver("c-1").await;
    let (other, _) = scene.deliver_to("c-2", OTHER, OTHER_TEXT).await;
    let hold = scene.hold("2026/17", TO).await;
    let asked = scene.erase(TO).await;
    assert_eq!(
        (&asked["state"], &asked["deferred_by"]),
        (&json!("deferred"), &json!(["2026/17"]))
    );
    assert!(
        scene.show(&id).await.is_err(),
        "sealed for all but the legal reader"
    );
    scene.retain(Retain::Sweep).await.unwrap();
    let order = scene.orders().await;
    assert_eq!(
        (&order["state"], &order["executed"]),
        (&json!("deferred"), &Value::Null)
    );
    assert_eq!(scene.sealed(hold).await, [(id.clone(), TEXT.to_owned())]);
    scene.release(hold).await.unwrap();
    assert_eq!(scene.vault(), 0);
    scene.retain(Retain::Sweep).await.unwrap();
    let order = scene.orders().await;
    assert_eq!(order["state"], "executed");
    assert!(
        order["asked"].is_string() && order["executed"].is_string(),
        "{order}"
    );
    assert_eq!(
        scene.show(&other).await.unwrap()["legs"][0]["text"]["shown"],
        OTHER_TEXT
    );
    scene.local.stop();
    let ring = ring_of(scene.local.dir.path());
    assert_eq!(
        all_in(&scene.history(), &ring),
        (vec![OTHER.to_owned()], vec![OTHER_TEXT.to_owned()])
    );
}

/// Delivers a message.
async fn deliver(esme: &mut ScriptedEsme, smsc: &mut ScriptedSmsc, number: u32) -> String {
    let (to, carrier_id) = (format!("4477009{number:05}"), format!("c-{number}"));
    let id = esme.submit_ok(message("447700900001", &to, TEXT)).await;
    let submit = smsc.expect_submit().await;
    smsc.answer(&submit, &carrier_id).await;
    smsc.receipt(&submit, &carrier_id, MessageState::Delivered, Dialect::Both)
        .await;
    esme.expect_receipt(&id).await;
    id
}

/// Waits until as many are kept as were delivered; the last of them came about a second ago.
async fn until_kept(process: &Process, count: usize) {
    let looking = async {
        while kept(process).len() < count {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(DEADLINE, looking)
        .await
        .expect("they are kept");
}

/// The ids of all finished messages, as they are found.
fn kept(process: &Process) -> Vec<String> {
    let found = tidegate(
        process,
        &["message", "find", "--json", "--account", "load", "--limit", "500"],
    );
    let found: Value = serde_json::from_slice(&found.stdout).unwrap();
    assert_eq!(found["unreadable"], 0, "{found}");
    let messages = found["messages"].as_array().unwrap().iter();
    messages
        .map(|message| message["id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn key_c05_a_gateway_killed_in_a_rotation_of_data_keys_loses_nothing_and_has_nothing_twice() {
    let mut smsc = ScriptedSmsc::listen().await;
    let carrier = smsc.addr();
    let mut process = Process::start(Process::built(), |places| {
        let terms =
            format!("category = \"transactional\"\nretention_profile = \"fixed-term\"\n{IN_CLEAR_TEXT}\n");
        places
            .config(&[carrier], "")
            .replace("category = \"transactional\"\n", &terms)
    })
    .await;
    smsc.expect_binds(2).await;
    let mut esme = ScriptedEsme::bound(process.smpp(), "load", "secret").await;
    let (mut delivered, mut number) = (Vec::new(), 0);
    for round in 0..4 {
        for _ in 0..2 {
            delivered.push(deliver(&mut esme, &mut smsc, number).await);
            number += 1;
        }
        until_kept(&process, delivered.len()).await;
        let mut asking = Command::new(Process::built())
            .args(["key", "rotate-data", "--config"])
            .arg(process.config())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Somewhere in it; there is no other place to stand than the time.
        for _ in 0..round {
            delivered.push(deliver(&mut esme, &mut smsc, number).await);
            number += 1;
        }
        process.kill();
        asking.wait().unwrap();
        process.spawn();
        process.ready().await;
        smsc.expect_binds(2).await;
        esme = ScriptedEsme::bound(process.smpp(), "load", "secret").await;
        until_kept(&process, delivered.len()).await;
        let mut found = kept(&process);
        found.sort_unstable();
        delivered.sort_unstable();
        assert_eq!(found, delivered, "round {round}: each once");
    }
    // One that was begun goes on by itself; another waits for its end.
    let rotating = async {
        loop {
            let done = tidegate(&process, &["key", "rotate-data", "--json"]);
            let told: Value = serde_json::from_slice(&done.stdout).unwrap();
            if done.status.success() {
                return told;
            }
            assert!(told["reason"].as_str().unwrap().contains("under way"), "{told}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let told = tokio::time::timeout(DEADLINE, rotating).await.expect("it ends");
    assert_eq!(told["lots"], 2, "one of messages, one of texts: {told}");
    let mut found = kept(&process);
    found.sort_unstable();
    assert_eq!(found, delivered);
    assert!(process.stop().await.success());
    let ring = ring_of(process.dir());
    assert_eq!(ring.periods().count(), 2, "no key is left over");
    let (numbers, texts) = all_in(&process.dir().join("data/history"), &ring);
    assert_eq!((numbers.len(), texts.len()), (delivered.len(), delivered.len()));
    assert!(texts.iter().all(|text| text == TEXT));
}
