//! Finished messages as their account's rules keep them: who may find them, and what a kill leaves of them.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tidegate_codec::octets::COctets;
use tidegate_codec::values::MessageState;
use tidegate_store::disk::RealDisk;
use tidegate_store::history::{History, Kept};
use tidegate_store::keyring::{Kek, KeyRing};
use tidegate_tests::esme::message;
use tidegate_tests::process::Places;
use tidegate_tests::{DEADLINE, Dialect, IN_CLEAR_TEXT, Process, ScriptedEsme, ScriptedSmsc};

use crate::control::tidegate;

const FROM: &str = "447700900001";
const TO: &str = "447700900123";
const TEXT: &str = "canary text that is kept";

fn config(places: &Places, carrier: SocketAddr, terms: &str) -> String {
    let load = "category = \"transactional\"\n";
    let clear = if terms.is_empty() { "" } else { IN_CLEAR_TEXT };
    places
        .config(&[carrier], "")
        .replacen(load, &format!("{load}{clear}\n{terms}\n"), 1)
}

async fn started(smsc: &mut ScriptedSmsc, terms: &str) -> Process {
    let carrier = smsc.addr();
    let process = Process::start(Process::built(), |places| config(places, carrier, terms)).await;
    smsc.expect_binds(1).await;
    process
}

/// Sends a message on its way to its receipt; its id.
async fn deliver(esme: &mut ScriptedEsme, smsc: &mut ScriptedSmsc, carrier_id: &str, text: &str) -> String {
    let id = esme.submit_ok(message(FROM, TO, text)).await;
    let submit = smsc.expect_submit().await;
    smsc.answer(&submit, carrier_id).await;
    smsc.receipt(&submit, carrier_id, MessageState::Delivered, Dialect::Both)
        .await;
    esme.expect_receipt(&id).await;
    id
}

fn said(process: &Process, words: &[&str]) -> (bool, String) {
    let output = tidegate(process, words);
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    (output.status.success(), text.into_owned())
}

fn json(process: &Process, words: &[&str]) -> Value {
    let mut words = words.to_vec();
    words.push("--json");
    let output = tidegate(process, &words);
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Asks until it is found: what has ended is filed within a second or two.
async fn shown(process: &Process, words: &[&str]) -> Value {
    let looking = async {
        loop {
            if tidegate(process, words).status.success() {
                let told = json(process, words);
                if told["is_finished"] == true {
                    return told;
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let found = tokio::time::timeout(DEADLINE, looking).await;
    found.unwrap_or_else(|_| panic!("{words:?}: {}", said(process, words).1))
}

/// Whether some file under a directory holds a text.
pub(crate) fn is_on_disk(dir: &Path, text: &str) -> bool {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.into_iter().any(|path| match path.is_dir() {
        true => is_on_disk(&path, text),
        false => {
            let octets = fs::read(&path).unwrap_or_default();
            octets.windows(text.len()).any(|window| window == text.as_bytes())
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_finished_message_is_shown_without_number_and_text_unless_a_purpose_is_entered() {
    let mut smsc = ScriptedSmsc::listen().await;
    let mut process = started(&mut smsc, "retention_profile = \"fixed-term\"").await;
    let mut esme = ScriptedEsme::bound(process.smpp(), "load", "secret").await;
    let id = deliver(&mut esme, &mut smsc, "c-1", TEXT).await;
    let told = shown(&process, &["message", "show", &id]).await;
    let leg = &told["legs"][0];
    assert_eq!(
        (&told["account"], &leg["state"]),
        (&"load".into(), &"DELIVRD".into())
    );
    assert_eq!(
        (&leg["carrier"], &leg["to"]["length"]),
        (&"c0".into(), &12.into())
    );
    let text = told.to_string();
    for secret in [FROM, TO, TEXT, "c-1"] {
        assert!(!text.contains(secret), "{text}");
    }
    let with_purpose = [
        "message",
        "show",
        &id,
        "--purpose",
        "support",
        "--reason",
        "ticket 12",
    ];
    let read = shown(&process, &with_purpose).await;
    let leg = &read["legs"][0];
    assert_eq!(
        (&leg["to"], &leg["from"], &leg["text"]["shown"]),
        (&TO.into(), &FROM.into(), &TEXT.into())
    );
    // By its account, its time and its number.
    for words in [
        &["message", "find", "--account", "load"][..],
        &[
            "message",
            "find",
            "--account",
            "load",
            "--to",
            "+447700900123",
            "--purpose",
            "fraud",
            "--reason",
            "case 3",
        ],
        &[
            "message",
            "find",
            "--account",
            "load",
            "--to",
            TO,
            "--limit",
            "1",
            "--purpose",
            "fraud",
            "--reason",
            "case 3",
        ],
    ] {
        let found = json(&process, words);
        assert_eq!(found["messages"][0]["id"], id.as_str(), "{words:?}: {found}");
        assert_eq!(found["messages"].as_array().unwrap().len(), 1, "{words:?}");
        assert!(!found.to_string().contains(TO), "{found}");
    }
    for words in [
        &[
            "message",
            "find",
            "--account",
            "load",
            "--to",
            "447700900124",
            "--purpose",
            "fraud",
            "--reason",
            "case 3",
        ][..],
        &[
            "message",
            "find",
            "--account",
            "load",
            "--until",
            "2026-01-01T00:00:00Z",
        ],
    ] {
        let found = json(&process, words);
        assert_eq!(
            found["messages"].as_array().map(Vec::len),
            Some(0),
            "{words:?}: {found}"
        );
    }
    for (words, why) in [
        (&["message", "find", "--account", "nobody"][..], "nobody"),
        (
            &[
                "message",
                "show",
                "1234567",
                "--purpose",
                "support",
                "--reason",
                "x",
            ],
            "no finished message",
        ),
        (
            &["message", "show", &id, "--purpose", "curiosity", "--reason", "x"],
            "purpose",
        ),
    ] {
        let (done, text) = said(&process, words);
        assert!(!done && text.contains(why), "{words:?}: {text}");
    }
    let (_, log) = said(&process, &["audit", "list", "--json"]);
    assert!(log.contains("ticket 12") && log.contains("support"), "{log}");
    assert!(log.contains(&id), "which message was read: {log}");
    // What was typed in an id's place is no message's, and is not written down.
    let typed = [
        "message",
        "show",
        "4477009001234567",
        "--purpose",
        "support",
        "--reason",
        "x",
    ];
    assert!(!said(&process, &typed).0);
    let (_, log) = said(&process, &["audit", "list", "--json"]);
    assert!(!log.contains("4477009001234567"), "{log}");
    // P4: nothing of it lies in the clear.
    assert!(process.stop().await.success());
    for secret in [TO, FROM, TEXT] {
        assert!(!is_on_disk(&process.dir().join("data"), secret), "{secret}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_ended_is_kept_once_over_a_kill_and_a_restart() {
    let mut smsc = ScriptedSmsc::listen().await;
    let mut process = started(&mut smsc, "retention_profile = \"fixed-term\"").await;
    let mut esme = ScriptedEsme::bound(process.smpp(), "load", "secret").await;
    let mut ids = Vec::new();
    for number in 0..5 {
        ids.push(deliver(&mut esme, &mut smsc, &format!("c-{number}"), TEXT).await);
    }
    shown(&process, &["message", "show", &ids[0]]).await;
    for how in ["kill", "stop"] {
        match how {
            "kill" => process.kill(),
            _ => assert!(process.stop().await.success()),
        }
        process.restart().await;
        for id in &ids {
            shown(&process, &["message", "show", id]).await;
        }
        let found = json(&process, &["message", "find", "--account", "load"]);
        let found: Vec<&str> = found["messages"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|message| message["id"].as_str())
            .collect();
        let mut sorted = found.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!((sorted.len(), found.len()), (5, 5), "{how}: {found:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_without_rules_keeps_nothing_and_one_that_keeps_no_bodies_no_text() {
    let mut smsc = ScriptedSmsc::listen().await;
    let mut process = started(&mut smsc, "").await;
    let mut esme = ScriptedEsme::bound(process.smpp(), "load", "secret").await;
    let before = deliver(&mut esme, &mut smsc, "c-1", TEXT).await;
    // The rules come with a reload, for what ends from then on.
    let text = fs::read_to_string(process.config()).unwrap();
    let load = "category = \"transactional\"\n";
    let terms = format!("retention_profile = \"as-instructed\"\n{IN_CLEAR_TEXT}\n");
    fs::write(
        process.config(),
        text.replacen(load, &format!("{load}{terms}"), 1),
    )
    .unwrap();
    let (done, why) = said(&process, &["reload"]);
    assert!(done, "{why}");
    let id = deliver(&mut esme, &mut smsc, "c-2", TEXT).await;
    let read = [
        "message",
        "show",
        &id,
        "--purpose",
        "legal",
        "--reason",
        "matter 1",
    ];
    let told = shown(&process, &read).await;
    assert_eq!(
        (&told["legs"][0]["to"], &told["legs"][0]["text"]),
        (&TO.into(), &Value::Null)
    );
    let (done, why) = said(&process, &["message", "show", &before]);
    assert!(
        !done && why.contains("Nor is one of the finished ones kept"),
        "{why}"
    );
    assert!(process.stop().await.success());
}

/// RET-5: a message says of itself, by its service_type, that its body is not stored beyond its delivery.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_of_a_service_type_that_is_not_stored_leaves_no_text_in_the_history() {
    let mut smsc = ScriptedSmsc::listen().await;
    let terms = "retention_profile = \"fixed-term\"\nno_store_service_types = [\"NS\"]";
    let mut process = started(&mut smsc, terms).await;
    let mut esme = ScriptedEsme::bound(process.smpp(), "load", "secret").await;
    let mut texts = Vec::new();
    for (service_type, carrier_id) in [(&b"NS"[..], "c-1"), (b"NSX", "c-2")] {
        let mut sm = message(FROM, TO, TEXT);
        sm.service_type = COctets::new(service_type).unwrap();
        let id = esme.submit_ok(sm).await;
        let submit = smsc.expect_submit().await;
        assert_eq!(submit.text(), TEXT);
        smsc.answer(&submit, carrier_id).await;
        smsc.receipt(&submit, carrier_id, MessageState::Delivered, Dialect::Both)
            .await;
        esme.expect_receipt(&id).await;
        let read = [
            "message",
            "show",
            &id,
            "--purpose",
            "legal",
            "--reason",
            "matter 1",
        ];
        let told = shown(&process, &read).await;
        assert_eq!(told["legs"][0]["to"], TO, "its record is kept");
        texts.push(told["legs"][0]["text"]["shown"].clone());
    }
    assert_eq!(texts, [Value::Null, TEXT.into()]);
    assert!(process.stop().await.success());
    // Of bodies one block with one record lies on the disk.
    let kek = Kek::read(&RealDisk, &process.dir().join("kek/kek")).unwrap();
    let ring = KeyRing::open(&RealDisk, &process.dir().join("keys"), kek).unwrap();
    let mut history = History::open(RealDisk, process.dir().join("data/history"), None).unwrap();
    let files: Vec<_> = history.periods().cloned().collect();
    let bodies = files.iter().filter(|file| file.class == Kept::Body);
    let lots: Vec<_> = bodies
        .flat_map(|file| history.lots(file, &ring).unwrap())
        .collect();
    assert_eq!(lots.iter().map(|lot| lot.records).sum::<u64>(), 1);
}

/// What lies beside the files is made of them: with a gateway, without one, and whatever has become of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn indexes_are_made_anew_from_the_files_by_hand_with_and_without_a_gateway() {
    let mut smsc = ScriptedSmsc::listen().await;
    let mut process = started(&mut smsc, "retention_profile = \"fixed-term\"").await;
    let mut esme = ScriptedEsme::bound(process.smpp(), "load", "secret").await;
    let mut ids = Vec::new();
    for number in 0..3 {
        ids.push(deliver(&mut esme, &mut smsc, &format!("c-{number}"), TEXT).await);
        shown(&process, &["message", "show", &ids[number]]).await;
    }
    assert!(process.stop().await.success());
    let history = process.dir().join("data/history");
    let index = history.join("index");
    // Something that is no database in place of each.
    for group in ["meta-P24M", "body-P90D"] {
        let day = fs::read_dir(history.join(group))
            .unwrap()
            .next()
            .unwrap()
            .unwrap();
        let name = day.file_name().into_string().unwrap();
        let dir = index.join(group).join(&name[..10]);
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("db"), b"no database").unwrap();
        fs::write(dir.join("conf"), b"no configuration").unwrap();
    }
    let (done, why) = said(&process, &["store", "rebuild", "--period", "1999-12-31"]);
    assert!(!done && why.contains("no file that begins on"), "{why}");
    let told = json(&process, &["store", "rebuild"]);
    // Of today: nothing of it is closed.
    assert_eq!(
        (&told["files"], &told["filters"]),
        (&2.into(), &0.into()),
        "{told}"
    );
    process.restart().await;
    for id in &ids {
        shown(&process, &["message", "show", id]).await;
    }
    assert!(
        !process
            .stderr()
            .contains("index of finished messages is made anew")
    );
    // Under a gateway's feet, and with its leave.
    fs::remove_dir_all(&index).unwrap();
    let told = json(&process, &["store", "rebuild", "--index"]);
    assert_eq!(told["files"], 2, "{told}");
    assert!(index.join("meta-P24M").exists());
    for id in &ids {
        shown(&process, &["message", "show", id]).await;
    }
    let (done, why) = said(&process, &["store", "rebuild", "--period", "1999-12-31"]);
    assert!(!done && why.contains("no file that begins on"), "{why}");
    let entered = json(&process, &["audit", "list", "--kind", "operator-verb"]);
    assert!(entered.to_string().contains("store rebuild"), "{entered}");
}

/// What is kept of an account that is gone from the configuration is read by nobody; it goes when somebody says why.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_kept_of_an_account_that_is_in_no_configuration_is_named_and_erased_with_a_reason() {
    let mut smsc = ScriptedSmsc::listen().await;
    let mut process = started(&mut smsc, "retention_profile = \"fixed-term\"").await;
    let mut esme = ScriptedEsme::bound(process.smpp(), "load", "secret").await;
    let id = deliver(&mut esme, &mut smsc, "c-1", TEXT).await;
    shown(&process, &["message", "show", &id]).await;
    assert!(process.stop().await.success());
    let text = fs::read_to_string(process.config()).unwrap();
    fs::write(process.config(), text.replace("\"load\"", "\"another\"")).unwrap();
    process.restart().await;
    let (done, told) = said(&process, &["retention", "plan"]);
    assert!(
        done && told.contains("load             meta is in no configuration: 1 records"),
        "{told}"
    );
    assert!(
        told.contains("load             body is in no configuration"),
        "{told}"
    );
    let forget = |account: &str| {
        let words = [
            "retention",
            "sweep",
            "--forget-account",
            account,
            "--reason",
            "contract ended",
        ];
        said(&process, &words)
    };
    let (done, why) = forget("another");
    assert!(!done && why.contains("is in the configuration"), "{why}");
    // Somebody else's name is nobody's, and the reason is no choice.
    let (done, told) = forget("loa");
    assert!(done && told.contains("lots: 0"), "{told}");
    assert!(!said(&process, &["retention", "sweep", "--forget-account", "load"]).0);
    let (done, told) = forget("load");
    assert!(
        done && told.contains("lots: 2") && told.contains("files: 2"),
        "{told}"
    );
    let (_, told) = said(&process, &["retention", "plan"]);
    assert!(!told.contains("load"), "{told}");
    assert!(
        fs::read_dir(process.dir().join("data/history/meta-P24M"))
            .unwrap()
            .next()
            .is_none()
    );
    let entered = json(&process, &["audit", "list"]).to_string();
    assert!(
        entered.contains("retention forget") && entered.contains("contract ended"),
        "{entered}"
    );
    assert!(entered.contains("erased"), "{entered}");
    assert!(json(&process, &["stats"])["messages"] == 0);
}
