//! What is refused as a whole, and what asks for a reload.

use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tidegate_codec::status::CommandStatus;
use tidegate_tests::esme::message;
use tidegate_tests::{DEADLINE, Process, ScriptedEsme, ScriptedSmsc};

use super::scene::{Scene, lines};
use super::{SHOP, SHOP_TABLE, TO};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restart_only_keys_are_refused_and_nothing_changes() {
    let mut scene = Scene::busy().await;
    let mut shop = scene.shop().await;
    let text = scene.text.replacen("[[listen]]", "[node]\nid = 7\n[[listen]]", 1);
    let text = text.replace("auto_init = true", "auto_init = true\nsegment_size = \"32MiB\"");
    let text = text.replace(SHOP_TABLE, &format!("{SHOP_TABLE}\nsenders = [\"nobody\"]"));
    scene
        .refuse(
            &text,
            &[
                "node.id changes with a restart only",
                "storage.segment_size changes with a restart only",
            ],
        )
        .await;
    // One key would have been taken over, and is not.
    shop.submit_ok(message(SHOP, TO, "as anybody")).await;
    scene
        .expect_metric("tidegate_reloads_total{result=\"refused\"}", |count| count == 1.0)
        .await;
    scene
        .end("restart_only_keys_are_refused_and_nothing_changes")
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_files_are_refused_and_nothing_changes() {
    let mut scene = Scene::busy().await;
    let mut shop = scene.shop().await;
    let text = scene.with(SHOP_TABLE, "senders = [\"nobody\"]\nrait = 7\nwindow = 0");
    scene.refuse(&text, &["did you mean `rate`?", "window"]).await;
    let text = scene
        .with(SHOP_TABLE, "senders = [\"nobody\"]")
        .replace("main.password", "no.password");
    scene.refuse(&text, &["password of carrier main"]).await;
    scene.refuse("[[listen", &["not TOML"]).await;
    let (file, elsewhere) = (scene.file(), scene.path("elsewhere"));
    std::fs::rename(&file, &elsewhere).unwrap();
    let outcome = scene.ask(false).await;
    assert!(
        lines(&outcome, "reasons")[0].contains("cannot read"),
        "{outcome:?}"
    );
    std::fs::rename(&elsewhere, &file).unwrap();
    shop.submit_ok(message(SHOP, TO, "as anybody")).await;
    scene.end("broken_files_are_refused_and_nothing_changes").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_would_change_is_said_and_nothing_changes() {
    let mut scene = Scene::busy().await;
    let mut shop = scene.shop().await;
    let text = scene.with(SHOP_TABLE, "senders = [\"nobody\"]");
    std::fs::write(scene.file(), text).unwrap();
    let outcome = scene.ask(true).await;
    assert_eq!(outcome["applied"], false);
    assert_eq!(lines(&outcome, "changes"), ["account.shop.senders: changed"]);
    assert!(lines(&outcome, "reasons").is_empty());
    shop.submit_ok(message(SHOP, TO, "as anybody")).await;
    scene
        .expect_metric("tidegate_reload_applied_timestamp_seconds", |count| count == 0.0)
        .await;
    let text = scene.text.clone();
    scene.change(&text, &[]).await;
    scene.end("what_would_change_is_said_and_nothing_changes").await;
}

fn tidegate(process: &Process, words: &[&str]) -> (bool, String) {
    let output = Command::new(Process::built())
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
}

/// Waits until the log says so: a signal tells nobody when it is done.
async fn logs(process: &Process, words: &str) {
    let looking = async {
        while !process.stderr().contains(words) && !process.stdout().contains(words) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let said = tokio::time::timeout(DEADLINE, looking).await;
    assert!(said.is_ok(), "{words}: {}{}", process.stdout(), process.stderr());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_and_the_command_line_reload_a_process() {
    let smsc = ScriptedSmsc::listen().await;
    let process = Process::start(Process::built(), |places| places.config(&[smsc.addr()], "")).await;
    let mut esme = ScriptedEsme::bound(process.smpp(), "load", "secret").await;
    let before = std::fs::read_to_string(process.config()).unwrap();
    let write = |text: &str| std::fs::write(process.config(), text).unwrap();
    let (keys, line) = (
        "max_binds = 64\nsenders = [\"4477*\"]",
        "account.load.senders: changed",
    );
    write(&before.replace("max_binds = 64", keys));
    let (done, told) = tidegate(&process, &["reload", "--dry-run"]);
    assert!(
        done && told.contains(line) && told.contains("would be taken over; changes: 1"),
        "{told}"
    );
    esme.submit_ok(message("33612345678", TO, "not yet")).await;
    process.signal(Signal::HUP);
    logs(&process, "configuration reloaded").await;
    assert_eq!(
        esme.submit_refused(message("33612345678", TO, "now")).await,
        CommandStatus::RINVSRCADR
    );
    let (done, told) = tidegate(&process, &["reload"]);
    assert!(done && told.contains("nothing differs"), "{told}");
    write(&before);
    let (done, told) = tidegate(&process, &["reload", "--json"]);
    let told: Value = serde_json::from_str(&told).unwrap();
    assert!(
        done && told["applied"] == true && told["changes"][0] == line,
        "{told}"
    );
    esme.submit_ok(message("33612345678", TO, "as before")).await;
    // Refused by the gateway, for people and for programs.
    write(&format!("[node]\nid = 9\n{before}"));
    let (done, told) = tidegate(&process, &["reload"]);
    assert!(
        !done && told.contains("refused: node.id changes with a restart only"),
        "{told}"
    );
    let (done, told) = tidegate(&process, &["reload", "--json"]);
    let told: Value = serde_json::from_str(&told).unwrap();
    assert!(
        !done && told["refused"] == true && told["changes"][0] == "node.id: 0 -> 9",
        "{told}"
    );
    // The log names key and line, and repeats nothing of the file.
    write(&before.replace("max_binds = 64", "senders = [\"447700900123*4\"]"));
    process.signal(Signal::HUP);
    logs(&process, "account[0].senders[0]").await;
    for log in [process.stdout(), process.stderr()] {
        assert!(!log.contains("447700900123"), "{log}");
    }
    // A file that does not hold, by its line; and one that is not the gateway's.
    write(&before.replace("max_binds = 64", "max_binds = 0"));
    let (done, told) = tidegate(&process, &["reload"]);
    assert!(!done && told.contains("max_binds"), "{told}");
    let other = process.dir().join("other.toml");
    std::fs::write(&other, &before).unwrap();
    let output = Command::new(Process::built())
        .args(["reload", "--config"])
        .arg(&other)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        !output.status.success() && told.contains("started with another file"),
        "{told}"
    );
    assert!(!process.stderr().contains("argon2id") && !process.stdout().contains("argon2id"));
}
