//! What OPERATIONS.md says of backups: what is copied, from a gateway that runs, and what a new machine has of it.

use std::fs;
use std::path::Path;

use rustix::process::Signal;
use tidegate_codec::status::CommandStatus;
use tidegate_tests::esme::message;
use tidegate_tests::{Places, Process, ScriptedEsme, ScriptedSmsc};

use crate::control::{ran, tidegate};

const FROM: &str = "447700900001";
const TO: &str = "447700900002";
const GONE: &str = "447700900003";
/// What is backed up of the data directory, always.
const KEPT: [&str; 3] = ["standing", "audit", "operator-orders"];
/// Apart from it.
const KEYS: [&str; 2] = ["keys", "kek"];

fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            copy(&entry.path(), &to.join(entry.file_name()));
        }
    } else if from.is_file() {
        // Its mode, too: a key that others can read is refused.
        fs::copy(from, to).unwrap();
    }
}

fn copy_all(names: &[&str], from: &Path, to: &Path) {
    for name in names {
        copy(&from.join(name), &to.join(name));
    }
}

/// The same configuration elsewhere: a new machine.
fn elsewhere(config: impl FnOnce(&Places) -> String) -> Process {
    Process::prepare(Process::built(), config)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opt_outs_orders_and_the_audit_log_come_back_from_a_backup_without_the_messages() {
    let mut smsc = ScriptedSmsc::listen().await;
    let config = |places: &Places| places.config(&[smsc.addr()], "");
    let process = Process::start(Process::built(), config).await;
    smsc.expect_binds(2).await;
    ran(&process, &["optout", "add", GONE, "--account", "load"]);
    ran(&process, &["carrier", "pause", "c0"]);

    // While it runs.
    let mut restored = elsewhere(|places| places.config(&[smsc.addr()], ""));
    fs::create_dir(restored.dir().join("data")).unwrap();
    copy_all(&KEPT, &process.dir().join("data"), &restored.dir().join("data"));
    copy_all(&KEYS, process.dir(), restored.dir());
    drop(process);

    restored.spawn();
    restored.ready().await;
    smsc.expect_binds(4).await;
    let mut esme = ScriptedEsme::bound(restored.smpp(), "load", "secret").await;
    let refused = esme
        .submit_refused(message(FROM, GONE, "nobody is to get this"))
        .await;
    assert_eq!(refused, CommandStatus(0x0401), "the opt-out holds");
    esme.submit_ok(message(FROM, TO, "this one waits")).await;
    let halted = tidegate(&restored, &["carrier", "list", "--json"]);
    let halted: serde_json::Value = serde_json::from_slice(&halted.stdout).unwrap();
    assert_eq!(halted["carriers"][0]["state"], "paused", "{halted}");
    ran(&restored, &["carrier", "resume", "c0"]);
    smsc.expect_submit_of("this one waits").await;
    assert!(restored.stop().await.success());
    ran(&restored, &["audit", "verify"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_of_one_instant_holds_every_message_that_was_acknowledged() {
    const MESSAGES: usize = 200;
    let down = tidegate_tests::process::free_addr();
    let process = Process::start(Process::built(), |places| places.config(&[down], "")).await;
    let mut esme = ScriptedEsme::bound(process.smpp(), "load", "secret").await;
    for number in 0..MESSAGES {
        esme.submit_ok(message(FROM, TO, &format!("number {number}")))
            .await;
    }

    // A snapshot of a file system is of one instant; here nothing is written while it is copied.
    process.signal(Signal::STOP);
    let mut smsc = ScriptedSmsc::listen().await;
    let mut restored = elsewhere(|places| places.config(&[smsc.addr()], ""));
    copy_all(&["data", "keys", "kek"], process.dir(), restored.dir());
    process.signal(Signal::CONT);
    drop(process);

    restored.spawn();
    restored.ready().await;
    let mut texts = Vec::new();
    while texts.len() < MESSAGES {
        texts.push(smsc.expect_submit().await.text());
    }
    texts.sort_unstable();
    texts.dedup();
    assert_eq!(texts.len(), MESSAGES, "each once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_without_its_key_ring_is_refused_in_one_line() {
    let smsc = ScriptedSmsc::listen().await;
    let process = Process::start(Process::built(), |places| places.config(&[smsc.addr()], "")).await;
    ran(&process, &["optout", "add", GONE, "--account", "load"]);
    let mut restored = elsewhere(|places| places.config(&[smsc.addr()], ""));
    fs::create_dir(restored.dir().join("data")).unwrap();
    copy_all(&KEPT, &process.dir().join("data"), &restored.dir().join("data"));
    restored.spawn();
    assert!(!restored.wait().await.success(), "it must not start");
    let said = restored.stderr();
    assert!(said.contains("key ring"), "{said}");
}
