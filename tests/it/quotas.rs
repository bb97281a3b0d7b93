//! A quota in a real process that is killed: what was acknowledged before and after is not more than it, and what is
//! said of it is what the disk holds.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tidegate_codec::header::CommandId;
use tidegate_codec::identity::{PASSWORD_MAX, Password};
use tidegate_codec::pdu::message::Sm;
use tidegate_codec::status::CommandStatus;
use tidegate_codec::values::RegisteredDelivery;
use tidegate_gateway::simulator::{self, Simulator};
use tidegate_tests::esme::message;
use tidegate_tests::{Places, Process, ScriptedEsme};

const FROM: &str = "447700900001";
const TO: &str = "447700900002";
/// Of a month: a test that meets midnight must not fail. And more than one segment holds.
const QUOTA: u64 = 9_000;
const SPENT: CommandStatus = CommandStatus(0x040a);

fn config(places: &Places, carrier: SocketAddr) -> String {
    places
        .config(&[carrier], "")
        .replace(
            "auto_init = true\n",
            "auto_init = true\nsegment_size = \"1MiB\"\n",
        )
        .replacen(
            "system_id = \"load\"",
            &format!("system_id = \"load\"\nquota_month = {QUOTA}"),
            1,
        )
}

/// Of which nothing is left once a carrier has it, so that segments go.
fn unreceipted(text: &str) -> Sm<'_> {
    Sm {
        registered_delivery: RegisteredDelivery::default(),
        ..message(FROM, TO, text)
    }
}

/// What the command line says of the account's month: used, and the quota.
fn usage(process: &Process) -> (u64, u64) {
    let out = Command::new(Process::built())
        .args(["account", "usage", "--json", "--account", "load", "--config"])
        .arg(process.config())
        .output()
        .unwrap();
    let told: Value = serde_json::from_slice(&out.stdout).unwrap();
    let [row] = told["accounts"].as_array().unwrap().as_slice() else {
        panic!("{told}")
    };
    assert_eq!(row["account"], "load");
    assert!(
        row["day"]["quota"].is_null() && row["month"]["ends"].is_string(),
        "{row}"
    );
    let month = &row["month"];
    (month["used"].as_u64().unwrap(), month["quota"].as_u64().unwrap())
}

/// Submits a hundred at a time until it is told to stop, or is refused for the quota; how many were acknowledged.
async fn submit(process: &Process, stop_at: u64) -> u64 {
    let mut esme = ScriptedEsme::connect(process.smpp()).await;
    esme.bind_tx("load", "secret").await;
    let mut taken = 0;
    while taken < stop_at {
        let mut sequences = Vec::new();
        for _ in 0..100 {
            sequences.push(esme.submit(unreceipted("quota")).await);
        }
        let mut refused = 0;
        for sequence in sequences {
            let frame = esme.expect_submit_resp(sequence).await;
            assert_eq!(frame.pdu().operation.command_id(), CommandId::SUBMIT_SM_RESP);
            match frame.pdu().status {
                CommandStatus::ROK => taken += 1,
                SPENT => refused += 1,
                other => panic!("{other}"),
            }
        }
        if refused > 0 {
            break;
        }
    }
    taken
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quota_is_exact_over_kills_and_its_use_is_told_with_and_without_a_gateway() {
    let password = Password::new(b"secret", PASSWORD_MAX).unwrap();
    let carrier = Simulator::start(simulator::Options::new("tidegate".parse().unwrap(), password)).unwrap();
    let address = carrier.addr();
    let mut process = Process::start(Process::built(), |places| config(places, address)).await;
    let mut acknowledged = 0;
    for _ in 0..3 {
        acknowledged += submit(&process, 2_500).await;
        // A hundred more are on their way when it ends: some are on disk and nobody was told.
        let mut esme = ScriptedEsme::connect(process.smpp()).await;
        esme.bind_tx("load", "secret").await;
        for _ in 0..100 {
            esme.submit(unreceipted("cut off")).await;
        }
        process.kill();
        let (used, quota) = usage(&process);
        assert_eq!(quota, QUOTA);
        assert!(
            (acknowledged..=acknowledged + 300).contains(&used),
            "{used}, {acknowledged}"
        );
        process.spawn();
        process.ready().await;
        assert_eq!(
            usage(&process).0,
            used,
            "what the files say is what the gateway found"
        );
    }
    let (before, _) = usage(&process);
    let rest = submit(&process, u64::MAX).await;
    assert_eq!(before + rest, QUOTA, "to the last part, and no further");
    assert!(acknowledged + rest <= QUOTA);
    let mut other = ScriptedEsme::connect(process.smpp()).await;
    other.bind_tx("load", "secret").await;
    assert_eq!(other.submit_refused(unreceipted("one more")).await, SPENT);
    assert_eq!(usage(&process), (QUOTA, QUOTA));
    let shown = metric(
        &process,
        "tidegate_account_quota_used_parts{account=\"load\",period=\"month\"}",
    )
    .await;
    assert_eq!(shown, QUOTA.to_string());
    // Segments have gone, and what they counted has not.
    assert!(
        !process
            .dir()
            .join("data/spool")
            .join(tidegate_store::segment::file_name(1))
            .exists()
    );
    assert!(process.stop().await.success(), "{}", process.stderr());
    assert_eq!(usage(&process), (QUOTA, QUOTA));
}

/// Counts are published a few times a second.
async fn metric(process: &Process, series: &str) -> String {
    tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            let (_, text) = process.get("/metrics").await.unwrap();
            let found = text.lines().find_map(|line| line.strip_prefix(series));
            if let Some(value) = found.map(str::trim).filter(|value| *value == QUOTA.to_string()) {
                return value.to_owned();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .unwrap_or_default()
}
