//! The audit log of a real process: what operators and clients do is in it, and what is done to it shows.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use tidegate_codec::status::CommandStatus;
use tidegate_codec::values::BindKind;
use tidegate_tests::esme::message;
use tidegate_tests::{Process, ScriptedEsme, ScriptedSmsc};

/// A number that somebody calls and that no account lists.
const CALLED: &str = "447700954321";
/// A recipient, and a system_id that somebody tries by mistake.
const NUMBER: &str = "447700912345";
const BODY: &str = "Canary-Audit-quetzal";

/// Runs a verb of the command line with `--json`; its success and what it says.
fn ask(process: &Process, words: &[&str]) -> (bool, Value) {
    let output = Command::new(Process::built())
        .args(words)
        .arg("--config")
        .arg(process.config())
        .arg("--json")
        .current_dir(process.dir())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let shown = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{words:?}: {error}: {output:?}"));
    (output.status.success(), shown)
}

async fn start(smsc: &ScriptedSmsc) -> Process {
    Process::start(Process::built(), |places| {
        let away = places.dir.join("away");
        let audit = format!("[audit]\ncheckpoint_directory = \"{}\"\n", away.display());
        format!("{audit}{}", places.config(&[smsc.addr()], ""))
    })
    .await
}

async fn bind(process: &Process, system_id: &str, password: &str) -> CommandStatus {
    let mut esme = ScriptedEsme::connect(process.smpp()).await;
    let answer = esme.try_bind(BindKind::Transceiver, system_id, password).await;
    answer.status()
}

/// The log's one file.
fn segment(process: &Process) -> PathBuf {
    process.dir().join("data/audit/00000000000000000001.log")
}

fn of_kind<'a>(entries: &'a [Value], kind: &str) -> Vec<&'a Value> {
    entries.iter().filter(|entry| entry["kind"] == kind).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_operators_and_clients_do_is_in_the_log_and_no_number_is() {
    let mut smsc = ScriptedSmsc::listen().await;
    let mut process = start(&smsc).await;
    smsc.expect_binds(1).await;
    let stop = smsc.deliver(0, message(NUMBER, CALLED, "STOP")).await;
    assert_eq!(smsc.expect_deliver_resp(stop).await, CommandStatus::ROK);
    for _ in 0..4 {
        assert_eq!(bind(&process, "load", "wrong").await, CommandStatus::RBINDFAIL);
    }
    assert_eq!(bind(&process, NUMBER, "wrong").await, CommandStatus::RBINDFAIL);
    assert_eq!(bind(&process, "load", "secret").await, CommandStatus::ROK);
    assert!(ask(&process, &["ban", "add", "192.0.2.7", "--for", "2h"]).0);
    assert!(ask(&process, &["ban", "remove", "192.0.2.7"]).0);
    let send = [
        "send",
        "--account",
        "load",
        "--from",
        "Tide",
        "--to",
        NUMBER,
        "--text",
        BODY,
        "--wait",
        "1s",
    ];
    ask(&process, &send);
    let file = fs::read_to_string(process.config()).unwrap();
    let changed = file.replace("max_binds = 64", "max_binds = 63");
    fs::write(process.config(), &changed).unwrap();
    assert!(ask(&process, &["reload", "--dry-run"]).0);
    assert!(ask(&process, &["reload"]).0);
    fs::write(process.config(), format!("{changed}\n[node]\nid = 9\n")).unwrap();
    assert!(!ask(&process, &["reload"]).0);
    fs::write(process.config(), &changed).unwrap();

    let (done, shown) = ask(&process, &["audit", "list"]);
    assert!(done, "{shown}");
    let entries = shown["entries"].as_array().unwrap().clone();
    let sequence = |entry: &Value| entry["sequence"].as_u64().unwrap();
    assert!(entries.iter().map(sequence).eq(1..=entries.len() as u64));
    assert_eq!(of_kind(&entries, "started").len(), 1);
    let keys = of_kind(&entries, "key-event");
    let scopes: Vec<_> = keys
        .iter()
        .filter_map(|entry| entry["details"]["scope"].as_str())
        .collect();
    assert_eq!(scopes, ["legal", "subrec"], "rings of tiers");
    assert_eq!(keys.len(), 4, "and ring and signing key");
    for (kind, count) in [
        ("ban-set", 2),
        ("ban-lifted", 2),
        ("reload-applied", 1),
        ("reload-refused", 1),
    ] {
        let found = of_kind(&entries, kind);
        assert_eq!(found.len(), count, "{kind}");
        let actor = found[0]["actor"].as_str().unwrap();
        assert!(actor.starts_with("operator uid="), "{actor}");
    }
    let outcomes = of_kind(&entries, "ban-set");
    assert_eq!(outcomes[0]["details"]["outcome"], "asked");
    assert_eq!(outcomes[1]["details"]["outcome"], "done");
    assert_eq!(outcomes[0]["details"]["address"], "192.0.2.7");
    let applied = of_kind(&entries, "reload-applied")[0];
    assert_eq!(applied["details"]["keys"][0], "account.load.max_binds");
    let sent = of_kind(&entries, "operator-verb")[0];
    assert_eq!(
        (&sent["details"]["verb"], &sent["account"]),
        (&"send".into(), &"load".into())
    );
    assert_eq!(of_kind(&entries, "read").len(), 1, "this reading");

    let (done, signed) = ask(&process, &["audit", "checkpoint"]);
    assert!(done && signed["dropped"] == true, "{signed}");
    let dropped = process
        .dir()
        .join("away")
        .join(format!("{:020}.checkpoint", signed["size"].as_u64().unwrap()));
    assert_eq!(
        fs::read_to_string(dropped).unwrap(),
        signed["checkpoint"].as_str().unwrap()
    );
    let (_, running) = ask(&process, &["audit", "verify"]);
    assert_eq!(running["first_bad"], Value::Null, "beside the gateway");

    assert!(process.stop().await.success());
    let (done, shown) = ask(&process, &["audit", "list"]);
    assert!(done);
    let entries = shown["entries"].as_array().unwrap();
    let refused = of_kind(entries, "bind-refused");
    let of_load = refused.iter().find(|entry| entry["account"] == "load").unwrap();
    assert_eq!(of_load["details"]["count"], 4, "one entry for four");
    assert_eq!(of_load["actor"], "peer 127.0.0.1");
    assert_eq!(refused.len(), 2, "and one for names that are nobody's");
    let stopped = of_kind(entries, "opt-out-added")[0];
    assert_eq!(stopped["actor"], "handset");
    let scope = stopped["details"]["scope"].as_str().unwrap();
    assert!(scope.starts_with("sender ~"), "by a pseudonym: {scope}");
    let accepted = of_kind(entries, "bind-accepted");
    assert_eq!((accepted.len(), &accepted[0]["account"]), (1, &"load".into()));
    assert_eq!(entries.last().unwrap()["kind"], "stopped");
    let (done, verdict) = ask(&process, &["audit", "verify"]);
    assert!(done && verdict["tail"] == "cannot tell", "{verdict}");
    assert_eq!(verdict["entries"], entries.len());

    for entry in fs::read_dir(process.dir().join("data/audit")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let octets = fs::read(&path).unwrap();
            for secret in [NUMBER, CALLED, BODY, "wrong", "secret"] {
                let found = octets
                    .windows(secret.len())
                    .any(|found| found == secret.as_bytes());
                assert!(!found, "{secret} in {}", path.display());
            }
        }
    }
    let log = process.stderr();
    assert!(![NUMBER, CALLED, BODY].iter().any(|secret| log.contains(secret)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_done_to_the_log_shows_and_a_gateway_starts_on_it_all_the_same() {
    let smsc = ScriptedSmsc::listen().await;
    let mut process = start(&smsc).await;
    let before = fs::read(segment(&process)).unwrap();
    for _ in 0..3 {
        assert!(ask(&process, &["ban", "add", "192.0.2.7"]).0);
    }
    process.stop().await;
    let away = process.dir().join("away");
    let newest = fs::read_dir(&away)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .max()
        .unwrap();
    let newest = newest.display().to_string();
    let (done, verdict) = ask(&process, &["audit", "verify", "--against", &newest]);
    assert!(done && verdict["tail"] == "proven", "{verdict}");
    let entries = verdict["entries"].as_u64().unwrap();
    assert_eq!(verdict["proven"], entries);

    // The file of an earlier time, and no checkpoint left on this machine: an end that was cut off (AUD-C02).
    let whole = fs::read(segment(&process)).unwrap();
    let kept = process.dir().join("kept");
    fs::rename(&away, &kept).unwrap();
    let own = process.dir().join("data/audit/checkpoints");
    let own_kept = process.dir().join("own-kept");
    fs::rename(&own, &own_kept).unwrap();
    fs::write(segment(&process), &before).unwrap();
    let (done, verdict) = ask(&process, &["audit", "verify"]);
    assert!(
        done && verdict["tail"] == "cannot tell" && verdict["first_bad"].is_null(),
        "{verdict}"
    );
    let left = verdict["entries"].as_u64().unwrap();
    assert!(left < entries);
    let kept_newest = newest.replace(&away.display().to_string(), &kept.display().to_string());
    let (done, verdict) = ask(&process, &["audit", "verify", "--against", &kept_newest]);
    assert!(!done && verdict["tail"] == "refuted", "{verdict}");
    assert_eq!(verdict["first_bad"]["sequence"], left + 1);

    // One octet of the fourth entry (AUD-C01): its kind stands 24 + 17 octets behind where it begins.
    let mut octets = whole.clone();
    let mut at = 52;
    for _ in 0..3 {
        let length = u32::from_be_bytes(octets[at..at + 4].try_into().unwrap());
        at += 24 + length as usize + 33;
    }
    octets[at + 24 + 17] ^= 1;
    fs::write(segment(&process), &octets).unwrap();
    let (done, verdict) = ask(&process, &["audit", "verify"]);
    assert!(!done && verdict["first_bad"]["sequence"] == 4, "{verdict}");

    process.spawn();
    process.ready().await;
    let (_, metrics) = process.get("/metrics").await.unwrap();
    assert!(
        metrics.lines().any(|line| line == "tidegate_audit_damaged 1"),
        "{metrics}"
    );
    assert!(
        ask(&process, &["ban", "add", "192.0.2.7"]).0,
        "and it is written behind the damage"
    );
    let (_, shown) = ask(&process, &["audit", "list", "--kind", "log-damaged"]);
    assert_eq!(shown["entries"][0]["details"]["sequence"], 4);
    let (done, verdict) = ask(&process, &["audit", "verify"]);
    assert!(!done && verdict["first_bad"]["sequence"] == 4, "{verdict}");
}

/// AUD-6: without the log no deed, and traffic all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_log_cannot_be_written_an_operator_s_deeds_are_refused_and_clients_are_served() {
    let smsc = ScriptedSmsc::listen().await;
    let mut process = start(&smsc).await;
    process.stop().await;
    // A file where a directory is needed.
    let own = process.dir().join("data/audit/checkpoints");
    fs::remove_dir_all(&own).unwrap();
    fs::write(&own, "").unwrap();
    process.spawn();
    process.ready().await;
    let (done, refused) = ask(&process, &["ban", "add", "192.0.2.7"]);
    let reason = refused["reason"].as_str().unwrap();
    assert!(!done && reason.contains("audit log"), "{refused}");
    let (_, bans) = ask(&process, &["ban", "list"]);
    assert_eq!(bans["banned"], 0);
    let file = fs::read_to_string(process.config()).unwrap();
    fs::write(process.config(), file.replace("max_binds = 64", "max_binds = 63")).unwrap();
    let (done, refused) = ask(&process, &["reload"]);
    assert!(
        !done && refused["reasons"][0].as_str().unwrap().contains("audit log"),
        "{refused}"
    );
    assert!(!ask(&process, &["audit", "list"]).0, "not even reading");
    assert_eq!(bind(&process, "load", "secret").await, CommandStatus::ROK);
    let (_, metrics) = process.get("/metrics").await.unwrap();
    let failures = metrics
        .lines()
        .find(|line| line.starts_with("tidegate_audit_failures_total "));
    assert!(failures.is_some_and(|line| !line.ends_with(" 0")), "{failures:?}");

    fs::remove_file(&own).unwrap();
    // It is tried again once a second.
    let mut tries = 0;
    while !ask(&process, &["ban", "add", "192.0.2.7"]).0 {
        tries += 1;
        assert!(tries < 1_000, "the log is not opened again");
    }
    assert!(ask(&process, &["reload"]).0);
    process.stop().await;
    let (_, shown) = ask(&process, &["audit", "list", "--kind", "bind-accepted"]);
    assert_eq!(
        shown["entries"].as_array().unwrap().len(),
        1,
        "it was kept until then"
    );
    assert!(ask(&process, &["audit", "verify"]).0);
}
