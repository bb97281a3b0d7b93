//! The key-encryption key of a gateway that runs: rotated, killed in between, had from elsewhere.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use tidegate_codec::identity::SystemId;
use tidegate_store::disk::RealDisk;
use tidegate_store::keyring::{Kek, KeyRing, KeyRingError, PeriodOwner};
use tidegate_tests::esme::message;
use tidegate_tests::{DEADLINE, Process, ScriptedEsme, ScriptedSmsc};

use crate::control::{done, refused};

const FROM: &str = "447700900001";
const TO: &str = "447700900002";
const NEW: [u8; 32] = [0x5A; 32];
/// Keys that make a ring large enough for a rotation that is met in its middle.
const MANY: u32 = 60_000;

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(5)
}

pub(super) fn keys(process: &Process) -> PathBuf {
    process.dir().join("keys")
}

fn kek_file(process: &Process) -> PathBuf {
    process.dir().join("kek/kek")
}

/// A key-encryption key for a rotation.
pub(super) fn new_file(process: &Process, name: &str, octets: &[u8; 32]) -> String {
    let path = process.dir().join(name);
    fs::write(&path, octets).unwrap();
    path.to_str().unwrap().to_owned()
}

fn open(dir: &Path, octets: &[u8; 32]) -> Result<KeyRing<RealDisk>, KeyRingError> {
    KeyRing::open(&RealDisk, dir, Kek::new(octets))
}

pub(super) fn copied(from: &Path, to: PathBuf) -> PathBuf {
    fs::create_dir(&to).unwrap();
    for name in ["ring.a", "ring.b"] {
        fs::copy(from.join(name), to.join(name)).unwrap();
    }
    to
}

/// What the audit log has about keys, as JSON.
pub(super) fn key_events(process: &Process) -> String {
    done(process, &["audit", "list", "--kind", "key-event"]).to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn key_c04_a_rotation_while_the_gateway_runs_leaves_the_old_copy_and_the_old_kek_behind() {
    let down = tidegate_tests::process::free_addr();
    let mut process = Process::start(Process::built(), |places| places.config(&[down], "")).await;
    let mut esme = ScriptedEsme::bound(process.smpp(), "load", "secret").await;
    esme.submit_ok(message(FROM, TO, "before")).await;
    let old: [u8; 32] = fs::read(kek_file(&process)).unwrap().try_into().unwrap();
    let earlier = copied(&keys(&process), process.dir().join("earlier"));
    let before = done(&process, &["key", "show"]);
    assert_eq!(
        (&before["number"], &before["next"]),
        (&1.into(), &serde_json::Value::Null)
    );

    let new = new_file(&process, "new-kek", &NEW);
    let rotated = done(&process, &["key", "rotate-kek", "--new-kek-file", &new]);
    assert_eq!(rotated["number"], 2, "{rotated}");
    assert!(rotated["keys_rewrapped"].as_u64().unwrap() >= 4, "{rotated}");
    let same = refused(&process, &["key", "rotate-kek", "--new-kek-file", &new]);
    assert!(same.contains("wraps it already"), "{same}");
    // It goes on as if nothing had been.
    esme.submit_ok(message(FROM, TO, "after")).await;
    let events = key_events(&process);
    for (what, fingerprint) in [("is to begin", &before), ("ended", &rotated)] {
        assert!(events.contains(what), "{events}");
        assert!(
            events.contains(fingerprint["fingerprint"].as_str().unwrap()),
            "{events}"
        );
    }
    let (_, page) = process.get("/metrics").await.unwrap();
    assert!(page.contains("\ntidegate_kek_rotation_slots 0"), "{page}");
    assert!(process.stop().await.success());

    let told = open(&earlier, &NEW).map(drop).unwrap_err();
    assert!(matches!(told, KeyRingError::WrongKek { .. }), "{told}");
    let told = refused(&process, &["serve"]);
    assert!(
        told.contains("wrapped under another key-encryption key, number 2"),
        "{told}"
    );
    // The wrapped keys of the copy are in no file of today's.
    let today = fs::read(keys(&process).join("ring.a")).unwrap();
    let then = fs::read(earlier.join("ring.a")).unwrap();
    let [today, then] = [today, then].map(|ring| ring[512..].to_vec());
    let wrapped: Vec<&[u8]> = then.chunks(128).filter(|slot| slot[8] == 1).collect();
    assert!(wrapped.len() >= 4);
    for slot in wrapped {
        assert!(!today.windows(60).any(|window| window == &slot[64..124]));
    }
    assert!(open(&earlier, &old).is_ok(), "only the old KEK opens it");

    fs::rename(&new, kek_file(&process)).unwrap();
    let mut smsc = ScriptedSmsc::listen().await;
    let text = fs::read_to_string(process.config()).unwrap();
    let text = text.replace(&down.to_string(), &smsc.addr().to_string());
    fs::write(process.config(), text).unwrap();
    process.spawn();
    process.ready().await;
    let mut texts = [
        smsc.expect_submit().await.text(),
        smsc.expect_submit().await.text(),
    ];
    texts.sort_unstable();
    assert_eq!(texts, ["after", "before"]);
}

/// Whether the header of the second copy says that there are two KEKs, and whether its first key lies under the new one.
fn state(process: &Process) -> (bool, bool) {
    let mut octets = [0; 640];
    let ring = fs::File::open(keys(process).join("ring.b")).unwrap();
    ring.read_exact_at(&mut octets, 0).unwrap();
    (octets[112..116] != [0; 4], octets[528..532] == [0, 0, 0, 2])
}

pub(super) async fn until(what: &str, is_so: impl Fn() -> bool) {
    let looking = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    let done = tokio::time::timeout(DEADLINE, looking).await;
    assert!(done.is_ok(), "not {what} in {DEADLINE:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn key_c05_a_gateway_killed_in_a_rotation_goes_on_and_loses_nothing() {
    let down = tidegate_tests::process::free_addr();
    let mut process = Process::start(Process::built(), |places| places.config(&[down], "")).await;
    let mut esme = ScriptedEsme::bound(process.smpp(), "load", "secret").await;
    for number in 0..20 {
        esme.submit_ok(message(FROM, TO, &format!("number {number}")))
            .await;
    }
    assert!(process.stop().await.success());
    let old: [u8; 32] = fs::read(kek_file(&process)).unwrap().try_into().unwrap();
    let mut ring = open(&keys(&process), &old).unwrap();
    let owners: Vec<PeriodOwner> = (0..MANY)
        .map(|start| PeriodOwner {
            account: SystemId::new(b"load").unwrap(),
            class: 1,
            bucket: 0,
            // Of periods that are not over: with nothing under them they would be destroyed.
            start: 1_000_000 + start,
            length: 0,
            part: 0,
        })
        .collect();
    let made = ring.period_keys(&owners, 1, &mut rng()).unwrap();
    drop((ring, made));

    let new = new_file(&process, "new-kek", &NEW);
    process.spawn();
    process.ready().await;
    let mut asking = Command::new(Process::built())
        .args(["key", "rotate-kek", "--new-kek-file", &new, "--config"])
        .arg(process.config())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until("begun", || state(&process).1).await;
    process.kill();
    asking.wait().unwrap();
    assert_eq!(state(&process), (true, true), "killed in the middle");

    // A start says which one is missing, whichever it has.
    let told = refused(&process, &["serve"]);
    assert!(told.contains("the new one is missing"), "{told}");
    fs::rename(kek_file(&process), process.dir().join("old-kek")).unwrap();
    fs::rename(&new, kek_file(&process)).unwrap();
    let told = refused(&process, &["serve"]);
    assert!(told.contains("the old one is missing"), "{told}");

    // With both it goes on, and carries messages meanwhile.
    let old_file = process.dir().join("old-kek");
    process.spawn_told(&["--new-kek-file", old_file.to_str().unwrap()]);
    process.ready().await;
    let mut esme = ScriptedEsme::bound(process.smpp(), "load", "secret").await;
    esme.submit_ok(message(FROM, TO, "meanwhile")).await;
    until("ended", || !state(&process).0).await;
    let shown = done(&process, &["key", "show"]);
    assert_eq!(
        (&shown["number"], &shown["next"]),
        (&2.into(), &serde_json::Value::Null)
    );
    assert!(key_events(&process).contains("goes on after a start"));
    assert!(process.stop().await.success());

    // The new one alone opens all there is, every message among it.
    fs::remove_file(&old_file).unwrap();
    let ring = open(&keys(&process), &NEW).unwrap();
    assert_eq!(ring.periods().count(), MANY as usize);
    drop(ring);
    let mut smsc = ScriptedSmsc::listen().await;
    let text = fs::read_to_string(process.config()).unwrap();
    let text = text.replace(&down.to_string(), &smsc.addr().to_string());
    fs::write(process.config(), text).unwrap();
    process.spawn();
    process.ready().await;
    let mut texts = Vec::new();
    while texts.len() < 21 {
        texts.push(smsc.expect_submit().await.text());
    }
    texts.sort_unstable();
    texts.dedup();
    assert_eq!(texts.len(), 21, "each once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_gateway_the_files_are_rotated_and_the_kek_may_come_from_elsewhere() {
    let smsc = ScriptedSmsc::listen().await;
    let mut process = Process::prepare(Process::built(), |places| {
        let text = places.config(&[smsc.addr()], "");
        let file = format!("kek_file = \"{}/kek/kek\"", places.dir.display());
        text.replace(&file, "kek_env = \"TIDEGATE_TEST_KEK\"")
    });
    let told = refused(&process, &["serve"]);
    assert!(
        told.contains("not set") && !told.contains("TIDEGATE_TEST_KEK"),
        "{told}"
    );
    let first = "0123456789abcdef".repeat(4);
    process.spawn_with(&[("TIDEGATE_TEST_KEK", &first)]);
    process.ready().await;
    assert!(process.stop().await.success());
    assert!(!kek_file(&process).exists(), "none is made");

    // Over to a program, on the files.
    let new = new_file(&process, "new-kek", &NEW);
    let output = Command::new(Process::built())
        .args([
            "key",
            "rotate-kek",
            "--json",
            "--new-kek-command",
            "cat",
            "--new-kek-command",
            &new,
            "--config",
        ])
        .arg(process.config())
        .env("TIDEGATE_TEST_KEK", &first)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let rotated: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(rotated["number"], 2, "{rotated}");
    let text = fs::read_to_string(process.config()).unwrap();
    let command = format!("kek_command = [\"cat\", \"{new}\"]");
    fs::write(
        process.config(),
        text.replace("kek_env = \"TIDEGATE_TEST_KEK\"", &command),
    )
    .unwrap();
    process.spawn();
    process.ready().await;
    let events = key_events(&process);
    assert!(
        events.contains("is to begin") && events.contains("ended"),
        "{events}"
    );
    assert!(process.stop().await.success());
    done(&process, &["audit", "verify"]);
}
