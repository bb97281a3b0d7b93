//! What earlier versions wrote, opened by this one: `tests/fixtures/formats/VERSION`, a directory that each version made of all
//! forms it writes (docs/formats.md, "What earlier versions wrote"), and `VERSION-N` of forms that came before the next one.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tidegate_codec::address::{Address, Npi, Ton};
use tidegate_codec::pdu::message::Sm;
use tidegate_codec::status::CommandStatus;
use tidegate_codec::values::MessageState;
use tidegate_gateway::clock::Clock;
use tidegate_gateway::control::{
    Deed, DeedKind, Disclosing, Exporting, Find, HeldMessage, Matter, Noticing, Page, Reading, Row, Steer,
    Subjecting, Verb, Withheld,
};
use tidegate_gateway::disclosures::Basis;
use tidegate_gateway::exports::{Format, What};
use tidegate_gateway::orders::Halt;
use tidegate_gateway::subjects::{Asker, Right};
use tidegate_gateway::withheld::Verdict;
use tidegate_store::audit::{public_key, verify};
use tidegate_store::disk::RealDisk;
use tidegate_store::keyring::Tier;
use tidegate_tests::esme::message;
use tidegate_tests::{DEADLINE, Dialect, Process, ScriptedSmsc};

use crate::abuse::{case_with, code};
use crate::ancillary::number;
use crate::exports::{made, rows};
use crate::local::{Changes, Local, NO_TIERS, config};
use crate::sweeps::{FROM, Scene, TEXT, TO, copy, text_of};

/// 2026-11-24, in unix milliseconds: when a fixture is made.
const MADE_MS: u64 = 1_795_478_400_000;
/// Long enough for what waits for its receipt to have moved to a file.
const MOVED_MS: u64 = 120_000;
const STOPPED: &str = "447700900300";
const AGREED: &str = "447700900301";
const QUEUED_TEXT: &str = "this one waits for its carrier";
/// What a start makes anew, and what holds for a process only.
const NOT_KEPT: [&str; 4] = [
    "data/lock",
    "data/register",
    "data/history/index",
    "carrier.password",
];
/// Octets of a fixture at most.
const OCTETS_MAX: u64 = 300 << 10;
/// Of the carrier's id of the message whose receipt is not there yet.
const LATE: &str = "c-late";
/// The set that the maker makes: the next version's has its number alone.
const SET: &str = concat!(env!("CARGO_PKG_VERSION"), "-2");
/// A sender that a rule suspends, and one that an operator does.
const PUMPS: &str = "447700900777";
const BY_HAND: &str = "ACME";
const SUSPENDED: CommandStatus = CommandStatus(0x0404);
/// What a rule about content holds.
const HELD_TEXT: &str = "Your parcel: http://pay.blocked.example/x";
const HOLDS: &str = "version = \"7\"\n[[domains]]\nid = \"feed-7\"\nscore = 90\naction = \"hold\"\n\
                     domains = [\"blocked.example\"]\nsource = \"-\"\nchecked = \"2026-11-30\"\n";

const CHANGES: Changes<'static> = Changes {
    account: "retention_profile = \"fixed-term\"",
    storage: "receipt_hot = \"1s\"",
    carrier: "",
    http: "",
    limits: "",
    extra: "",
};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/formats")
}

fn person(kind: DeedKind, number: &str) -> Verb {
    let mut deed = Deed::new(kind, "load");
    let cells = Map::from_iter([("number".to_owned(), json!(format!("+{number}")))]);
    deed.rows = vec![Row { line: 1, cells }];
    Verb::Deed(Box::new(deed))
}

async fn started_with(dir: TempDir, unix_ms: u64, changes: Changes<'_>) -> Scene {
    let mut smsc = ScriptedSmsc::listen().await;
    let clock = Clock::virtual_from(unix_ms);
    let local = Local::start_in(dir, smsc.addr(), changes, clock.clone());
    smsc.expect_binds(1).await;
    Scene::bound(local, clock, smsc).await
}

/// Files below a directory that a fixture keeps.
fn kept(dir: &Path) -> Vec<(String, Vec<u8>)> {
    fn walk(top: &Path, dir: &Path, out: &mut Vec<(String, Vec<u8>)>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(top).unwrap().display().to_string();
            if NOT_KEPT.contains(&name.as_str()) {
                continue;
            }
            if path.is_dir() {
                walk(top, &path, out);
            } else if path.is_file() {
                out.push((name, fs::read(&path).unwrap()));
            }
        }
    }
    let mut out = Vec::new();
    walk(dir, dir, &mut out);
    out.sort();
    out
}

/// Has the fixture hold a message that is held, a sender that a case has suspended and one that an operator has.
async fn withhold(scene: &mut Scene) -> Map<String, Value> {
    let held = scene.esme.submit_ok(message(FROM, TO, HELD_TEXT)).await;
    for n in 0..3 {
        let to = format!("4477009002{n:02}");
        let from = Sm {
            source: number(PUMPS),
            ..code(&to)
        };
        if n == 2 {
            scene.esme.submit_refused(from).await;
            continue;
        }
        scene.esme.submit_ok(from).await;
        let submit = scene.smsc.expect_submit().await;
        scene.smsc.answer(&submit, &format!("c-code-{n}")).await;
    }
    let opened = case_with(scene, |case| !case["notice"].is_null()).await;
    let by_hand = Steer::SenderSuspend {
        account: "load".to_owned(),
        sender: BY_HAND.to_owned(),
    };
    scene.ask(Verb::Steer(by_hand)).await.unwrap();
    Map::from_iter([
        ("held".to_owned(), json!(held)),
        ("pumps".to_owned(), opened["sender"].clone()),
    ])
}

/// Makes the fixture of this version: `cargo test -p tidegate-tests --test it -- --ignored makes_the_fixture`. It replaces none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a maker: run once for a version, and commit what it makes"]
async fn makes_the_fixture_of_this_version() {
    let to = fixtures().join(SET);
    assert!(!to.exists(), "{} is there already", to.display());
    let rules = tempfile::NamedTempFile::new().unwrap();
    fs::write(rules.path(), HOLDS).unwrap();
    let account = format!(
        "{}\nscreening = \"on\"\nabuse = {{ run = 3, run_action = \"suspend_sender\" }}",
        CHANGES.account
    );
    let extra = format!("[screening]\nfile = \"{}\"", rules.path().display());
    let changes = Changes {
        account: &account,
        extra: &extra,
        ..CHANGES
    };
    let mut scene = started_with(TempDir::new().unwrap(), MADE_MS, changes).await;
    let (delivered, _) = scene.deliver("c-1").await;
    scene.ask(person(DeedKind::OptOutAdd, STOPPED)).await.unwrap();
    scene.ask(person(DeedKind::ConsentGrant, AGREED)).await.unwrap();
    scene.hold("matter 1", TO).await;
    let asked = scene.open(Right::Access, Asker::Recipient, None, TO).await;
    scene.verify(asked).await;
    assert_eq!(
        scene.run(asked).await.unwrap()["state"],
        "pointed",
        "the account has a notice"
    );
    scene.open(Right::Access, Asker::Account, Some("load"), TO).await;
    scene.opened(Basis::Law, MADE_MS).await;
    let export = made(&scene, What::Texts, Format::Csv).await;
    let withheld = withhold(&mut scene).await;

    let late = scene
        .esme
        .submit_ok(message(FROM, TO, "its receipt is late"))
        .await;
    let submit = scene.smsc.expect_submit().await;
    scene.smsc.answer(&submit, LATE).await;
    let under_way = Steer::MessageShow {
        id: late.clone(),
        account: None,
        reading: None,
    };
    let mut last = None;
    let handed_over = async {
        loop {
            let told = scene.ask(Verb::Steer(under_way.clone())).await;
            if told
                .as_ref()
                .is_ok_and(|told| told["legs"][0].to_string().contains("handed over"))
            {
                return;
            }
            last = Some(told);
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    let handed_over = tokio::time::timeout(DEADLINE, handed_over).await;
    assert!(handed_over.is_ok(), "it is not handed over: {last:?}");
    scene.set(MADE_MS + MOVED_MS);
    let waiting = scene.local.dir.path().join("data/waiting");
    let moved = async {
        let is_run = |file: fs::DirEntry| file.path().extension().is_some_and(|end| end == "waiting");
        while !fs::read_dir(&waiting).into_iter().flatten().flatten().any(is_run) {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(DEADLINE, moved)
        .await
        .expect("it moves to a file");
    let halt = Steer::CarrierHalt {
        carrier: "sink".to_owned(),
        how: Halt::Pause,
    };
    scene.ask(Verb::Steer(halt)).await.unwrap();
    let queued = scene.esme.submit_ok(message(FROM, TO, QUEUED_TEXT)).await;
    scene.local.stop();

    let (mut total, mut reserved) = (0, Map::new());
    for (name, mut octets) in kept(scene.local.dir.path()) {
        // Zeros that are reserved behind what was written are noted, and left out.
        let zeros = octets.iter().rev().take_while(|octet| **octet == 0).count();
        if zeros > 512 {
            reserved.insert(name.clone(), json!(octets.len()));
            octets.truncate(octets.len() - zeros);
        }
        total += octets.len() as u64;
        let path = to.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, octets).unwrap();
    }
    let mut said = json!({
        "delivered": delivered,
        "late": late,
        "queued": queued,
        "export": export,
        "reserved": reserved,
        "tiers": Tier::ALL.map(Tier::word),
    });
    said.as_object_mut().unwrap().extend(withheld);
    fs::write(to.join("said.json"), format!("{said:#}\n")).unwrap();
    assert!(total < OCTETS_MAX, "{total} octets");
}

/// A copy with the modes and lengths that it had.
fn restored(version: &Path, said: &Value) -> TempDir {
    use std::os::unix::fs::PermissionsExt as _;

    fn close(path: &Path) {
        let mode = if path.is_dir() { 0o700 } else { 0o600 };
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        if path.is_dir() {
            fs::read_dir(path)
                .unwrap()
                .for_each(|entry| close(&entry.unwrap().path()));
        }
    }
    let dir = TempDir::new().unwrap();
    copy(version, dir.path());
    for (name, len) in said["reserved"].as_object().unwrap() {
        let file = fs::File::options()
            .write(true)
            .open(dir.path().join(name))
            .unwrap();
        file.set_len(len.as_u64().unwrap()).unwrap();
    }
    close(dir.path());
    dir
}

/// What `tidegate doctor` says of the forms, and that it leaves the files as they are.
fn doctor_knows_every_form(dir: &TempDir, said: &Value) {
    let path = dir.path().join("tidegate.toml");
    let nowhere = "127.0.0.1:1".parse().unwrap();
    fs::write(&path, config(dir, nowhere, CHANGES)).unwrap();
    let before = kept(dir.path());
    let output = std::process::Command::new(Process::built())
        .args(["doctor", "--json", "--config"])
        .arg(&path)
        .output()
        .unwrap();
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let of = |check: &str| {
        let mut all = told["checks"].as_array().unwrap().iter();
        all.find(|found| found["check"] == check).unwrap().clone()
    };
    let forms = of("formats");
    assert_eq!(forms["level"], "ok", "{forms}");
    for form in [
        "TGSPOOL1",
        "TGWAIT01",
        "TGUS",
        "TGSTAND",
        "TGHIST",
        "TGHB",
        "TGAU",
        "TGAK",
        "tidexp1",
        "operator-orders",
        "legal-register",
        "notices",
        "subject-register",
        "disclosure-register",
    ] {
        assert!(forms["found"].as_str().unwrap().contains(form), "{form}: {forms}");
    }
    if said.get("pumps").is_some() {
        assert!(forms["found"].as_str().unwrap().contains("cases"), "{forms}");
    }
    assert_ne!(of("keys")["level"], "error", "{told}");
    assert!(before == kept(dir.path()), "it changes nothing");
    fs::remove_file(path).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_each_version_wrote_is_opened_with_all_that_it_holds() {
    let mut versions: Vec<PathBuf> = fs::read_dir(fixtures())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    versions.retain(|path| path.is_dir());
    assert!(!versions.is_empty());
    let without = format!("{}\n{NO_TIERS}", CHANGES.storage);
    let without = Changes {
        storage: &without,
        ..CHANGES
    };
    let said = |version: &Path| -> Value {
        serde_json::from_str(&fs::read_to_string(version.join("said.json")).unwrap()).unwrap()
    };
    // Below it is looked for what a set says that it has: without one that has it nothing would be.
    for has in ["held", "pumps", "tiers"] {
        assert!(
            versions.iter().any(|version| said(version).get(has).is_some()),
            "{has}"
        );
    }
    for version in versions {
        let said = said(&version);
        // With a key-encryption key for each tier, which takes keys over where there was none; and, if there was none, as it was written.
        opened(&version, &said, CHANGES).await;
        match said.get("tiers") {
            None => opened(&version, &said, without).await,
            Some(tiers) => has_rings_of(&version, tiers),
        }
    }
}

/// Of each of these a ring that is not made by who opens it.
fn has_rings_of(version: &Path, tiers: &Value) {
    for tier in tiers.as_array().unwrap() {
        let dir = version.join("keys").join(tier.as_str().unwrap());
        assert!(
            dir.join("ring.a").exists() && dir.join("ring.b").exists(),
            "{}",
            dir.display()
        );
    }
}

/// What is held is held still, and goes on once it is released; a suspended sender is refused by whichever suspended it.
async fn held_and_suspended(scene: &mut Scene, held: &str, pumps: &Value) {
    let (account, page) = (Some("load".to_owned()), Page::default());
    let list = Verb::Withheld(Withheld::List { account, page });
    let told = scene.ask(list).await.unwrap();
    assert_eq!(told["messages"][0]["id"], held, "{told:?}");
    let release = Withheld::Judge {
        verdict: Verdict::Release,
        message: HeldMessage {
            id: held.to_owned(),
            account: None,
        },
        reviewer: "Ana Ruiz".to_owned(),
        reason: "a campaign of theirs".to_owned(),
    };
    let told = scene.ask(Verb::Withheld(release)).await.unwrap();
    assert_eq!(told["released"], 1, "{told:?}");
    scene.smsc.expect_submit_of(HELD_TEXT).await;

    let found = case_with(scene, |_| true).await;
    assert_eq!(
        [&found["sender"], &found["state"], &found["rule"]],
        [pumps, &json!("open"), &json!("run")]
    );
    let show = Steer::AccountShow {
        account: "load".to_owned(),
    };
    let told = scene.ask(Verb::Steer(show)).await.unwrap();
    assert_eq!(told["suspended_senders"].as_array().unwrap().len(), 2, "{told:?}");
    for name in [PUMPS, BY_HAND] {
        let from_name = Sm {
            source: Address::new(Ton::ALPHANUMERIC, Npi::UNKNOWN, name.as_bytes()).unwrap(),
            ..message(FROM, TO, TEXT)
        };
        assert_eq!(scene.esme.submit_refused(from_name).await, SUSPENDED, "{name}");
    }
}

async fn opened(version: &Path, said: &Value, changes: Changes<'_>) {
    let id = |key: &str| said[key].as_str().unwrap().to_owned();
    let dir = restored(version, said);
    doctor_knows_every_form(&dir, said);
    let mut scene = started_with(dir, MADE_MS + MOVED_MS + 60_000, changes).await;

    // History: by its id, and by the person's number.
    assert_eq!(text_of(&scene.show(&id("delivered")).await)["shown"], TEXT);
    let find = Find {
        account: "load".to_owned(),
        to: Some(TO.to_owned()),
        since_ms: Some(0),
        until_ms: None,
        limit: None,
        reading: Reading::read(Some("support".to_owned()), Some("case 1".to_owned())).unwrap(),
    };
    let found = scene.ask(Verb::Steer(Steer::MessageFind(find))).await.unwrap();
    assert_eq!(found["messages"][0]["id"], id("delivered").as_str());

    // What people said.
    let asked = scene.ask(person(DeedKind::OptOutCheck, STOPPED)).await.unwrap();
    assert_eq!(asked["blocked"], true);
    let refused = scene
        .esme
        .submit_refused(message(FROM, STOPPED, "not wanted"))
        .await;
    assert_eq!(refused, CommandStatus(0x0401));
    let consents = scene.ask(person(DeedKind::ConsentList, AGREED)).await.unwrap();
    assert_eq!(consents["records"][0]["grant"], "given");

    // Registers.
    let count = |told: Map<String, Value>, key: &str| told[key].as_array().unwrap().len();
    let holds = scene.matter(Matter::HoldList).await.unwrap();
    assert_eq!(count(holds, "holds"), 1);
    let requests = scene.ask(Verb::Subject(Subjecting::List)).await.unwrap();
    assert_eq!(count(requests, "requests"), 2);
    let disclosures = scene.ask(Verb::Disclose(Disclosing::List)).await.unwrap();
    assert_eq!(count(disclosures, "disclosures"), 1);
    let notices = scene
        .ask(Verb::Notice(Noticing::List { account: None }))
        .await
        .unwrap();
    assert!(count(notices, "notices") > 0);
    let exports = scene.ask(Verb::Export(Exporting::List)).await.unwrap();
    assert_eq!(count(exports, "exports"), 1);
    let text = rows(&scene, said["export"].as_u64().unwrap()).await.unwrap();
    assert!(text.contains(TEXT) && text.contains(TO), "{text}");

    // The order that the carrier gets nothing new; then what waits for it.
    let carriers = scene.ask(Verb::Steer(Steer::CarrierList)).await.unwrap();
    assert_eq!(carriers["carriers"][0]["state"], "paused");
    let resume = Steer::CarrierResume {
        carrier: "sink".to_owned(),
    };
    scene.ask(Verb::Steer(resume)).await.unwrap();
    let submit = scene.smsc.expect_submit_of(QUEUED_TEXT).await;
    scene.smsc.answer(&submit, "c-queued").await;
    if let Some(pumps) = said.get("pumps") {
        held_and_suspended(&mut scene, &id("held"), pumps).await;
    }

    // A receipt of what lies in a waiting file, which its client gets under the id that it knows.
    scene
        .smsc
        .receipt(&submit, LATE, MessageState::Delivered, Dialect::Both)
        .await;
    scene.esme.expect_receipt(&id("late")).await;

    scene.local.stop();
    let audit = scene.local.dir.path().join("data/audit");
    let key = public_key(&RealDisk, &audit).unwrap().unwrap();
    let checkpoints = audit.join("checkpoints");
    let verdict = verify(&RealDisk, &audit, &[&checkpoints], None, &key).unwrap();
    assert_eq!(verdict.first_bad, None);
    assert!(verdict.entries > 5 && verdict.checkpoints > 0, "{verdict:?}");
}
