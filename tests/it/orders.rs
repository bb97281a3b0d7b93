//! Orders of the operator where something goes wrong: the disk, who asks, a reload that moves what they are about.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tidegate_gateway::control::Steer;
use tidegate_gateway::orders::Halt;
use tidegate_tests::esme::message;
use tidegate_tests::{DEADLINE, ScriptedEsme, ScriptedSmsc};

use crate::carrier_verbs::{halt, resume};
use crate::local::Local;
use crate::reload::scene::Scene;
use crate::steered::{audit, carrier_once, refused, steer, steer_at};

const A_WHILE: Duration = Duration::from_millis(60);
const FROM: &str = "447700900001";
const TO: &str = "447700900002";

fn orders_file(local: &Local) -> PathBuf {
    local.dir.path().join("data/operator-orders")
}

/// Whether words come to stand in the audit log of a gateway that runs.
async fn is_in_audit(local: &Local, words: &str) -> bool {
    let looking = async {
        while !audit(local).contains(words) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, looking).await.is_ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_whose_write_failed_is_taken_back_on_disk_too() {
    let mut smsc = ScriptedSmsc::listen().await;
    let mut local = Local::start(smsc.addr(), "");
    smsc.expect_binds(1).await;
    let file = orders_file(&local);
    steer(&local, halt("sink", Halt::Pause)).await;
    let paused = fs::read(&file).unwrap();
    steer(&local, resume("sink")).await;
    // As after a rename whose directory could not be synced: refused, and it stands there.
    let in_the_way = file.with_extension("new");
    fs::create_dir(&in_the_way).unwrap();
    let why = refused(&local, halt("sink", Halt::Pause)).await;
    assert!(why.contains("not done"), "{why}");
    fs::write(&file, &paused).unwrap();
    fs::remove_dir(&in_the_way).unwrap();
    let told = steer(&local, resume("sink")).await;
    assert_eq!(told["resumed"], false);
    local.restart();
    smsc.expect_binds(2).await;
    carrier_once(&local, "sink", |sink| sink["state"] == "up").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_is_given_up_before_it_is_written_never_holds() {
    // Dropped behind the gateway, so that no write holds up its end.
    let reader;
    let mut smsc = ScriptedSmsc::listen().await;
    let mut local = Local::start(smsc.addr(), "");
    smsc.expect_binds(1).await;
    // One is being written for as long as nobody reads there.
    let in_the_way = orders_file(&local).with_extension("new");
    let made = Command::new("mkfifo").arg(&in_the_way).status().unwrap();
    assert!(made.success());
    let ask = |line: &str| {
        let mut socket = UnixStream::connect(local.dir.path().join("data/control")).unwrap();
        socket.write_all(line.as_bytes()).unwrap();
        socket
    };
    let slow = ask("{\"version\":1,\"verb\":\"carrier pause\",\"carrier\":\"sink\"}\n");
    let is_begun = is_in_audit(&local, "carrier pause").await;
    drop(ask(
        "{\"version\":1,\"verb\":\"account suspend\",\"account\":\"load\"}\n",
    ));
    let is_given_up = is_in_audit(&local, "broken off").await;
    // It cannot be synced: refused, but not before now.
    let both_ways = fs::File::options().read(true).write(true).open(&in_the_way);
    reader = both_ways.unwrap();
    let mut written = String::new();
    BufReader::new(&reader).read_line(&mut written).unwrap();
    assert!(is_begun && is_given_up && written.contains("sink"), "{written}");
    let mut answer = String::new();
    BufReader::new(slow).read_line(&mut answer).unwrap();
    assert!(answer.contains("not done"), "{answer}");
    fs::remove_file(&in_the_way).unwrap();
    steer(&local, resume("sink")).await;
    let mut esme = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    esme.submit_ok(message(FROM, TO, "not suspended")).await;
    local.stop();
    assert!(!fs::read_to_string(orders_file(&local)).unwrap().contains("load"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_does_not_rename_a_paused_carrier_and_names_orders_that_lose_their_name() {
    let mut scene = Scene::start().await;
    let data = scene.path("data");
    let mut shop = scene.shop().await;
    steer_at(data.clone(), halt("hand", Halt::Pause)).await;
    shop.submit_ok(message(FROM, "491700000001", "waits")).await;
    let renamed = scene
        .text
        .replace("name = \"hand\"", "name = \"arm\"\ntakes_over = [\"hand\"]")
        .replace("carriers = [\"hand\"]", "carriers = [\"arm\"]");
    scene
        .refuse(&renamed, &["carrier.hand cannot go: it is paused by an operator"])
        .await;
    scene.hand.expect_no_submit(A_WHILE).await;
    steer_at(data.clone(), resume("hand")).await;
    let submit = scene.hand.expect_submit().await;
    assert_eq!(submit.text(), "waits");
    scene.hand.answer(&submit, "h-1").await;
    let outcome = scene.reload(&renamed).await;
    assert_eq!(outcome["applied"], true, "{outcome:?}");
    scene.hand.expect_binds(2).await;
    shop.submit_ok(message(FROM, "491700000001", "by the new name"))
        .await;
    assert_eq!(scene.hand.expect_submit().await.text(), "by the new name");
    // Without work, and without another that takes over, it goes; so does an account.
    steer_at(data.clone(), halt("other", Halt::Drain)).await;
    let suspend = Steer::AccountSuspend {
        account: "load".to_owned(),
        unbind: false,
    };
    steer_at(data, suspend).await;
    let gone = scene
        .text
        .replace("name = \"other\"", "name = \"another\"")
        .replace("system_id = \"load\"", "system_id = \"burden\"");
    let outcome = scene.reload(&gone).await;
    assert_eq!(outcome["applied"], true, "{outcome:?}");
    let changes: Vec<&str> = outcome["changes"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    for order in ["orders.carrier.other: draining", "orders.account.load: suspended"] {
        assert!(
            changes.iter().any(|change| change.starts_with(order)),
            "{changes:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_audit_log_tells_carriers_with_many_digits_apart() {
    let smsc = ScriptedSmsc::listen().await;
    let names = ["c12345671", "c12345672"];
    let carrier = |name: &str| {
        format!(
            "[[carrier]]\nname = \"{name}\"\naddresses = [\"{}\"]\nsystem_id = \"tidegate\"\npassword_file = \"@password@\"\n",
            smsc.addr()
        )
    };
    let mut local = Local::start(smsc.addr(), &names.map(carrier).concat());
    for name in names {
        steer(&local, halt(name, Halt::Pause)).await;
    }
    let why = refused(&local, halt("447700900001", Halt::Pause)).await;
    assert!(why.contains("no carrier"), "{why}");
    local.stop();
    let log = audit(&local);
    for name in names {
        assert!(log.contains(name), "{name}");
    }
    // Of no carrier: it may be a person's number.
    assert!(!log.contains("447700900001"));
}
