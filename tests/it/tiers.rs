//! Key-encryption keys of tiers (ENC-5) in a process that runs: what the main one opens, rotations, an installation of before.

use std::fs;
use std::path::Path;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use serde_json::Value;
use tidegate_store::disk::RealDisk;
use tidegate_store::history::whom;
use tidegate_store::keyring::{Kek, KeyRing, KeyRingError, Owner, Tier, survey};
use tidegate_store::seal::{Aad, Purpose};
use tidegate_tests::esme::message;
use tidegate_tests::{Places, Process, ScriptedEsme, ScriptedSmsc};

use crate::control::{done, refused};
use crate::kek::{copied, key_events, keys, new_file, until};
use crate::sweeps::ring_of;

const FROM: &str = "447700900001";
const TO: &str = "447700900002";
const PERSON: &str = "447700900003";
const NEW: [u8; 32] = [0x5B; 32];
const NEW_MAIN: [u8; 32] = [0x5C; 32];

fn kek(process: &Process, name: &str) -> Kek {
    Kek::read(&RealDisk, &process.dir().join("kek").join(name)).unwrap()
}

fn reconfigured(process: &Process, change: impl FnOnce(&str) -> String) {
    let text = fs::read_to_string(process.config()).unwrap();
    fs::write(process.config(), change(&text)).unwrap();
}

/// Of a configuration those lines that name no key-encryption key of a tier.
fn without_tiers(text: &str) -> String {
    let lines = text
        .lines()
        .filter(|line| !line.starts_with("legal_kek") && !line.starts_with("subrec_kek"));
    lines.fold(String::new(), |text, line| text + line + "\n")
}

/// A matter of each kind about a person.
fn matters(process: &Process) {
    let person = format!("+{PERSON}");
    for words in [
        &["hold", "add", "--matter", "m", "--to", &person, "--reason", "r"][..],
        &["restrict", "add", "--reason", "r", &person],
        &["erase", "add", &person, "--reason", "r"],
        &["subject", "open", "--from", "recipient", "access", &person],
        &[
            "disclosure",
            "open",
            "--authority",
            "court",
            "--basis",
            "law",
            "--account",
            "load",
            "--to",
            &person,
            "--since",
            "2020-01-01T00:00:00Z",
            "--until",
            "2030-01-01T00:00:00Z",
            "--fields",
            "id,to",
        ],
    ] {
        done(process, words);
    }
}

/// How many rows a list has.
fn count(process: &Process, words: &[&str], key: &str) -> usize {
    done(process, words)[key].as_array().unwrap().len()
}

/// What the registers hold sealed, and whose it is.
fn sealed(process: &Process) -> Vec<(Owner, Vec<u8>)> {
    fn walk(value: &Value, id: u32, out: &mut Vec<(u32, Vec<u8>)>) {
        for (key, value) in value.as_object().into_iter().flatten() {
            match value {
                Value::String(digits)
                    if ["sealed", "number"].contains(&key.as_str()) && !digits.is_empty() =>
                {
                    let octets = digits.as_bytes().chunks(2);
                    let octet =
                        |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
                    out.push((id, octets.map(octet).collect()));
                }
                Value::Array(octets) if key == "sealed" => {
                    let octet = |octet: &Value| u8::try_from(octet.as_u64().unwrap()).unwrap();
                    out.push((id, octets.iter().map(octet).collect()));
                }
                value => walk(value, key.parse().unwrap_or(id), out),
            }
        }
    }
    let mut all = Vec::new();
    for (file, table, owner) in [
        ("legal-register", "holds", Owner::Hold as fn(u32) -> Owner),
        ("legal-register", "orders", Owner::Erasure),
        ("legal-register", "restrictions", Owner::Restriction),
        ("subject-register", "", Owner::Subject),
        ("disclosure-register", "", Owner::Disclosure),
    ] {
        let text = fs::read_to_string(process.dir().join("data").join(file)).unwrap();
        let line = text.lines().find(|line| line.starts_with('{')).unwrap();
        let register: Value = serde_json::from_str(line).unwrap();
        let mut found = Vec::new();
        walk(
            if table.is_empty() {
                &register
            } else {
                &register[table]
            },
            0,
            &mut found,
        );
        assert_eq!(found.len(), 1, "{file} {table}: {text}");
        all.extend(found.into_iter().map(|(id, octets)| (owner(id), octets)));
    }
    all
}

/// Whether a ring opens it, by its owner or by any key that it gives.
fn opens(ring: &KeyRing<RealDisk>, dir: &Path, owner: Owner, octets: &[u8]) -> bool {
    let aad = Aad {
        account: None,
        kind: 0xb0,
        version: 1,
        id: 0,
        leg: 0,
    };
    let keys = KeyRing::look(&RealDisk, dir, &ring.keks()).unwrap();
    let by_any = |octets: &[u8]| {
        let mut keys = keys.values();
        keys.any(|key| key.open(&aad, &mut octets.to_vec(), Purpose::Sweep).is_ok())
    };
    whom(ring, owner, octets).is_some() || by_any(octets)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn enc_5_what_opens_messages_opens_no_hold_request_or_disclosure() {
    let smsc = ScriptedSmsc::listen().await;
    let mut process = Process::prepare(Process::built(), |places| {
        places
            .config(&[smsc.addr()], "")
            .replace("auto_init = true", "auto_init = false")
    });
    assert!(refused(&process, &["serve"]).contains("tidegate init"));
    let made = done(&process, &["init"]);
    assert_eq!(made["tiers"][0]["tier"], "legal", "{made}");
    let octets =
        ["kek", "legal", "subrec"].map(|name| fs::read(process.dir().join("kek").join(name)).unwrap());
    assert!(octets.iter().all(|octets| octets.len() == 32));
    assert!(octets[0] != octets[1] && octets[1] != octets[2] && octets[0] != octets[2]);
    process.spawn();
    process.ready().await;
    let mut esme = ScriptedEsme::bound(process.smpp(), "load", "secret").await;
    esme.submit_ok(message(FROM, TO, "text")).await;
    matters(&process);
    process.kill();

    let sealed = sealed(&process);
    let main = KeyRing::open(&RealDisk, &keys(&process), kek(&process, "kek")).unwrap();
    assert!(!main.live(Owner::Spool).is_empty(), "messages are opened by it");
    for (owner, octets) in &sealed {
        assert!(!opens(&main, &keys(&process), *owner, octets), "{owner:?}");
    }
    assert_eq!(survey(&RealDisk, &keys(&process)).unwrap().of_tiers, [0, 0]);
    // Nor does one tier's open another's, or a message's.
    for (tier, name) in [
        (Tier::Legal, "subrec"),
        (Tier::Subrec, "legal"),
        (Tier::Legal, "kek"),
    ] {
        let keks = kek(&process, name).into();
        let told = KeyRing::look(&RealDisk, &tier.dir(&keys(&process)), &keks).unwrap_err();
        assert!(matches!(told, KeyRingError::WrongKek { .. }), "{told}");
    }
    let told = KeyRing::open(&RealDisk, &keys(&process), kek(&process, "legal")).unwrap_err();
    assert!(matches!(told, KeyRingError::WrongKek { .. }), "{told}");
    drop(main);
    let all = ring_of(process.dir());
    for (owner, octets) in &sealed {
        assert!(whom(&all, *owner, octets).is_some(), "{owner:?}");
    }
    drop(all);

    // What was killed goes on, and a tier's ring that is gone is not made anew.
    process.spawn();
    process.ready().await;
    assert_eq!(count(&process, &["hold", "list"], "holds"), 1);
    assert!(process.stop().await.success());
    fs::rename(keys(&process).join("subrec"), process.dir().join("aside")).unwrap();
    let told = refused(&process, &["serve"]);
    assert!(
        told.contains("keys/subrec") && told.contains("it was made before"),
        "{told}"
    );
    fs::rename(process.dir().join("aside"), keys(&process).join("subrec")).unwrap();
    fs::copy(process.dir().join("kek/kek"), process.dir().join("kek/legal")).unwrap();
    let told = refused(&process, &["serve"]);
    assert!(
        told.contains("the same 32 octets as that of the main ring"),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tiers_key_encryption_key_is_rotated_beside_traffic_and_no_other_rings() {
    let mut smsc = ScriptedSmsc::listen().await;
    let mut process = Process::start(Process::built(), |places| places.config(&[smsc.addr()], "")).await;
    smsc.expect_binds(2).await;
    let mut esme = ScriptedEsme::bound(process.smpp(), "load", "secret").await;
    matters(&process);
    let new = new_file(&process, "new-legal", &NEW);
    // Not the one of another ring.
    for (tier, name) in [("legal", "kek"), ("subrec", "legal")] {
        let file = process.dir().join("kek").join(name);
        let words = [
            "key",
            "rotate-kek",
            "--tier",
            tier,
            "--new-kek-file",
            file.to_str().unwrap(),
        ];
        let told = refused(&process, &words);
        assert!(told.contains("no two rings may have the same"), "{told}");
    }
    esme.submit_ok(message(FROM, TO, "before")).await;
    assert_eq!(smsc.expect_submit().await.text(), "before");
    let rotated = done(
        &process,
        &["key", "rotate-kek", "--tier", "legal", "--new-kek-file", &new],
    );
    assert_eq!(
        (&rotated["tier"], &rotated["number"]),
        (&"legal".into(), &2.into()),
        "{rotated}"
    );
    assert!(rotated["keys_rewrapped"].as_u64().unwrap() >= 5, "{rotated}");
    esme.submit_ok(message(FROM, TO, "after")).await;
    assert_eq!(smsc.expect_submit().await.text(), "after");
    let shown = done(&process, &["key", "show"]);
    assert_eq!(shown["number"], 1, "the main ring's is as it was");
    let tiers: Vec<(&str, u64)> = shown["tiers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tier| (tier["tier"].as_str().unwrap(), tier["number"].as_u64().unwrap()))
        .collect();
    assert_eq!(tiers, [("legal", 2), ("subrec", 1)]);
    let events = key_events(&process);
    let named = |what: &str| {
        let events: Value = serde_json::from_str(&events).unwrap();
        let entries = events["entries"].as_array().unwrap().clone();
        let of_legal = entries
            .into_iter()
            .filter(|entry| entry["details"]["scope"] == "legal");
        of_legal.filter(|entry| entry.to_string().contains(what)).count()
    };
    assert!(named("is to begin") == 1 && named("ended") == 1, "{events}");
    assert_eq!(named("key ring made"), 1, "{events}");
    let (_, page) = process.get("/metrics").await.unwrap();
    for line in [
        "\ntidegate_tier_kek_rotation_slots{tier=\"legal\"} 0",
        "\ntidegate_tier_kek_written_timestamp_seconds{tier=\"subrec\"} 1",
    ] {
        assert!(page.contains(line), "{line}: {page}");
    }
    assert!(process.stop().await.success());

    let told = refused(&process, &["serve"]);
    assert!(
        told.contains("keys/legal: wrapped under another key-encryption key, number 2"),
        "{told}"
    );
    fs::rename(&new, process.dir().join("kek/legal")).unwrap();
    // On the files, of another tier.
    let new = new_file(&process, "new-subrec", &[0x5D; 32]);
    let rotated = done(
        &process,
        &["key", "rotate-kek", "--tier", "subrec", "--new-kek-file", &new],
    );
    assert_eq!(
        (&rotated["tier"], &rotated["number"]),
        (&"subrec".into(), &2.into()),
        "{rotated}"
    );
    fs::rename(&new, process.dir().join("kek/subrec")).unwrap();
    process.spawn();
    process.ready().await;
    assert_eq!(count(&process, &["hold", "list"], "holds"), 1);
    assert_eq!(count(&process, &["subject", "list"], "requests"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotations_of_two_rings_that_were_interrupted_go_on_with_both_other_keys() {
    let down = tidegate_tests::process::free_addr();
    let mut process = Process::start(Process::built(), |places| places.config(&[down], "")).await;
    let mut esme = ScriptedEsme::bound(process.smpp(), "load", "secret").await;
    esme.submit_ok(message(FROM, TO, "before")).await;
    matters(&process);
    process.kill();
    // As a kill in the middle of both leaves it.
    let mut rng = ChaCha20Rng::seed_from_u64(7);
    let mut ring = ring_of(process.dir());
    for (tier, new) in [(None, NEW_MAIN), (Some(Tier::Legal), NEW)] {
        ring.begin_rotation_of(tier, Kek::new(&new), 1, &mut rng).unwrap();
        ring.rotate_piece_of(tier, 2, &mut rng).unwrap();
    }
    drop(ring);
    let told = refused(&process, &["serve"]);
    assert!(told.contains("the new one is missing"), "{told}");
    let (main, legal) = (
        new_file(&process, "new-main", &NEW_MAIN),
        new_file(&process, "new-legal", &NEW),
    );
    let told = refused(&process, &["serve", "--new-kek-file", &main]);
    assert!(
        told.contains("keys/legal") && told.contains("the new one is missing"),
        "{told}"
    );
    process.spawn_told(&["--new-kek-file", &legal, "--new-kek-file", &main]);
    process.ready().await;
    until("ended", || {
        let shown = done(&process, &["key", "show"]);
        shown["next"].is_null() && shown["tiers"][0]["next"].is_null()
    })
    .await;
    let events = key_events(&process);
    assert_eq!(events.matches("goes on after a start").count(), 2, "{events}");
    assert!(process.stop().await.success());
    fs::rename(&main, process.dir().join("kek/kek")).unwrap();
    fs::rename(&legal, process.dir().join("kek/legal")).unwrap();
    let all = ring_of(process.dir());
    for (owner, octets) in sealed(&process) {
        assert!(whom(&all, owner, &octets).is_some(), "{owner:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_installation_of_before_there_were_tiers_hands_their_keys_over_and_goes_on() {
    let down = tidegate_tests::process::free_addr();
    let config = |places: &Places| places.config(&[down], "");
    let mut process = Process::start(Process::built(), |places| without_tiers(&config(places))).await;
    matters(&process);
    assert!(process.stop().await.success());
    assert!(!keys(&process).join("legal").exists());
    let earlier = copied(&keys(&process), process.dir().join("earlier"));
    let checked = done(&process, &["check"]);
    let warned = checked["warnings"].to_string();
    assert!(
        warned.contains("tier legal has no key-encryption key") && warned.contains("tier subrec"),
        "{warned}"
    );

    let dir = process.dir().display().to_string();
    reconfigured(&process, |text| {
        let text = text.replace("auto_init = true", "auto_init = false");
        let kek = format!("kek_file = \"{dir}/kek/kek\"\n");
        let tiers = ["legal", "subrec"].map(|tier| format!("{tier}_kek_file = \"{dir}/kek/{tier}\"\n"));
        text.replace(&kek, &format!("{kek}{}", tiers.concat()))
    });
    for words in [&["serve"][..], &["check", "--strict"]] {
        let told = refused(&process, words);
        assert!(told.contains("tidegate init --tiers"), "{told}");
    }
    let made = done(&process, &["init", "--tiers"]);
    assert_eq!(made["made_for"], serde_json::json!(["legal", "subrec"]), "{made}");
    done(&process, &["check", "--strict"]);
    // Not by who cannot enter it in the audit log; by who can, and the start after that has nothing to say.
    let told = refused(&process, &["store", "rebuild"]);
    assert!(told.contains("start the gateway once"), "{told}");
    assert!(!keys(&process).join("legal").exists());
    let new = new_file(&process, "new-subrec", &[0x5D; 32]);
    done(
        &process,
        &["key", "rotate-kek", "--tier", "subrec", "--new-kek-file", &new],
    );
    fs::rename(&new, process.dir().join("kek/subrec")).unwrap();
    process.spawn();
    process.ready().await;
    for (words, key) in [
        (["hold", "list"], "holds"),
        (["restrict", "list"], "restrictions"),
        (["subject", "list"], "requests"),
        (["disclosure", "list"], "disclosures"),
    ] {
        assert_eq!(count(&process, &words, key), 1, "{words:?}");
    }
    let events = key_events(&process);
    assert_eq!(
        events.matches("keys taken over from the main key ring").count(),
        2,
        "{events}"
    );
    let sealed = sealed(&process);
    // Today's main ring opens none of it; a copy of before does, until its key-encryption key is rotated and gone.
    let opened = |dir: &Path, octets: &[u8; 32]| {
        let ring = KeyRing::open(&RealDisk, dir, Kek::new(octets)).ok()?;
        let count = sealed
            .iter()
            .filter(|(owner, octets)| opens(&ring, dir, *owner, octets))
            .count();
        Some(count)
    };
    let old: [u8; 32] = fs::read(process.dir().join("kek/kek"))
        .unwrap()
        .try_into()
        .unwrap();
    assert_eq!(opened(&earlier, &old), Some(sealed.len()));
    let new = new_file(&process, "new-main", &NEW_MAIN);
    done(&process, &["key", "rotate-kek", "--new-kek-file", &new]);
    assert!(process.stop().await.success());
    assert_eq!(opened(&keys(&process), &NEW_MAIN), Some(0));
    assert_eq!(opened(&earlier, &NEW_MAIN), None, "and the old one is destroyed");
    fs::rename(&new, process.dir().join("kek/kek")).unwrap();

    reconfigured(&process, without_tiers);
    let told = refused(&process, &["serve"]);
    assert!(
        told.contains("keys/legal") && told.contains("set storage.legal_kek_file"),
        "{told}"
    );
}
