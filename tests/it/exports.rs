//! Exports of a gateway with real files and sockets, whose wall clock is set by the test (compliance.md §16).

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use tidegate_gateway::admin::Role;
use tidegate_gateway::control::{Exporting, Matter, Retain, Verb};
use tidegate_gateway::exports::{FILES_MAX, Format, What};
use tidegate_store::audit::{Field, Kind, Value as Held, read};
use tidegate_store::disk::RealDisk;
use tidegate_tests::DEADLINE;

use crate::admin::{post, token};
use crate::history::is_on_disk;
use crate::sweeps::{DAY_MS, Scene, TEXT, TO, ring_of};

/// Begins one and waits until it is ready; its number.
pub(crate) async fn made(scene: &Scene, what: What, format: Format) -> u64 {
    let create = Exporting::Create {
        account: "load".to_owned(),
        what,
        format,
        since_ms: None,
        until_ms: None,
        days: None,
        reason: "ticket 4711".to_owned(),
    };
    let begun = scene.ask(Verb::Export(create)).await.unwrap();
    let number: u64 = begun["export"].as_str().unwrap().parse().unwrap();
    let looking = async {
        while listed(scene, number).await.unwrap()["state"] != "ready" {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, looking).await.expect("it is made");
    number
}

async fn listed(scene: &Scene, number: u64) -> Option<Value> {
    let told = scene.ask(Verb::Export(Exporting::List)).await.unwrap();
    let mut exports = told["exports"].as_array().unwrap().iter();
    exports
        .find(|export| export["export"] == number.to_string().as_str())
        .cloned()
}

/// All rows of one.
pub(crate) async fn rows(scene: &Scene, export: u64) -> Result<String, String> {
    let (mut text, mut frame) = (String::new(), None);
    loop {
        let told = scene.ask(Verb::Export(Exporting::Read { export, frame })).await?;
        text.push_str(told["text"].as_str().unwrap());
        let next = &told["next"];
        if next.is_null() {
            return Ok(text);
        }
        let number = u32::try_from(next["frame"].as_u64().unwrap()).unwrap();
        frame = Some((number, next["at"].as_u64().unwrap()));
    }
}

/// That a file is listed, read and deleted at the admin listener by tokens of one role alone.
pub(crate) async fn is_for(scene: &Scene, export: u64, role: Role) {
    let (at, number) = (scene.local.admin(), json!({ "export": export.to_string() }));
    let mut right = String::new();
    for other in Role::ALL {
        let token = token(&scene.local, other.word(), other).await;
        if other == role {
            right = token;
            continue;
        }
        let is_let_in = matches!(other, Role::Privacy | Role::Legal | Role::Subject);
        let (listed, refused) = if is_let_in { (200, 409) } else { (403, 403) };
        let (status, told) = post(at, &token, "/v1/export/list", "").await;
        assert_eq!(status, listed, "{other:?}: {told}");
        assert!(
            !told.to_string().contains(&export.to_string()),
            "{other:?}: {told}"
        );
        for path in ["/v1/export/read", "/v1/export/delete"] {
            let (status, told) = post(at, &token, path, &number.to_string()).await;
            assert_eq!(status, refused, "{other:?} {path}: {told}");
            // As of one that is not there.
            assert!(
                !is_let_in || told["refused"] == "there is no such export",
                "{told}"
            );
        }
    }
    let (_, told) = post(at, &right, "/v1/export/list", "").await;
    assert_eq!(told["exports"][0]["export"], number["export"], "{told}");
    let (status, told) = post(at, &right, "/v1/export/read", &number.to_string()).await;
    assert!(
        status == 200 && told["text"].as_str().is_some_and(|text| !text.is_empty()),
        "{told}"
    );
}

/// What the audit log holds of exports: the verb, and what became of it.
fn entries(scene: &Scene) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let dir = scene.local.dir.path().join("data/audit");
    read(&RealDisk, &dir, |logged| {
        let text = |field: Field| {
            let mut details = logged.entry.details.iter();
            details.find_map(|(of, held)| match held {
                Held::Word(word) if *of == field => Some(word.as_str().to_owned()),
                _ => None,
            })
        };
        if logged.entry.kind == Kind::Export {
            found.push((text(Field::Verb).unwrap(), text(Field::Outcome).unwrap()));
        }
    })
    .unwrap();
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exp_c02_an_export_holds_what_may_be_read_when_it_is_made_and_ends_at_its_date() {
    let mut scene = Scene::new("retention_profile = \"anonymise-30\"").await;
    let (id, accepted_ms) = scene.deliver("c-1").await;
    // Time passes for real between two looks.
    scene.set(accepted_ms + 30 * DAY_MS - 60_000);
    let before = made(&scene, What::Texts, Format::Csv).await;
    let text = rows(&scene, before).await.unwrap();
    let told: Vec<&str> = text.lines().collect();
    assert_eq!(told.len(), 2, "{text}");
    let values: Vec<&str> = told[1].split(',').collect();
    assert_eq!(
        (values[0], values[2], values[6], values[11]),
        (id.as_str(), "mt", TO, TEXT)
    );
    assert!(!is_on_disk(&scene.local.dir.path().join("data"), TO));
    let shown = listed(&scene, before).await.unwrap();
    assert_eq!((&shown["rows"], &shown["unreadable"]), (&1.into(), &0.into()));

    scene.set(accepted_ms + 30 * DAY_MS + 60_000);
    let after = made(&scene, What::Messages, Format::Jsonl).await;
    assert_eq!(rows(&scene, after).await.unwrap(), "");
    // One that was made before is what was handed over: it has a date of its own.
    assert_eq!(rows(&scene, before).await.unwrap(), text);

    let path = scene.local.dir.path().join("data/exports");
    assert_eq!(fs::read_dir(&path).unwrap().count(), 2);
    scene.set(accepted_ms + 37 * DAY_MS + 120_000);
    for export in [before, after] {
        let refused = rows(&scene, export).await.unwrap_err();
        assert!(refused.contains("no such export"), "{refused}");
    }
    // By a clock that has jumped nothing is destroyed.
    assert_eq!(fs::read_dir(&path).unwrap().count(), 2);
    scene.retain(Retain::ConfirmClock).await.unwrap();
    let going = async {
        while fs::read_dir(&path).unwrap().count() > 0 || listed(&scene, after).await.is_some() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, going).await.expect("they go");
    scene.local.stop();
    assert_eq!(ring_of(scene.local.dir.path()).exports().len(), 0);
    let pairs = entries(&scene);
    let count = |verb: &str, outcome: &str| {
        let is_it = |pair: &&(String, String)| (pair.0.as_str(), pair.1.as_str()) == (verb, outcome);
        pairs.iter().filter(is_it).count()
    };
    assert_eq!(
        [
            count("export create", "asked"),
            count("export create", "made"),
            count("export read", "asked"),
            count("export delete", "ended"),
        ],
        [2, 2, 3, 2],
        "{pairs:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_outlives_a_restart_and_what_a_kill_leaves_of_others_goes() {
    let mut scene = Scene::new("retention_profile = \"fixed-term\"").await;
    scene.deliver("c-1").await;
    let kept = made(&scene, What::Texts, Format::Jsonl).await;
    let lost = made(&scene, What::Messages, Format::Csv).await;
    let text = rows(&scene, kept).await.unwrap();
    assert!(text.contains(TEXT), "{text}");
    scene.local.stop();
    let dir = scene.local.dir.path().join("data/exports");
    // One whose file is gone, one that was not made to its end, one that was cut off.
    fs::remove_file(dir.join(format!("{lost}.export"))).unwrap();
    let octets = fs::read(dir.join(format!("{kept}.export"))).unwrap();
    fs::write(dir.join("5.making"), &octets).unwrap();
    fs::write(dir.join(format!("{}.export", kept + 1)), &octets[..40]).unwrap();
    // As large as all files may be together: what stands behind its last frame nobody reads.
    let large = fs::File::options()
        .append(true)
        .open(dir.join(format!("{kept}.export")));
    large.unwrap().set_len(64 << 20).unwrap();
    scene.local.start_at(scene.clock.clone());
    assert_eq!(
        scene.ask(Verb::Inspect).await.unwrap()["intake"],
        false,
        "from the start on"
    );
    let create = Exporting::Create {
        account: "load".to_owned(),
        what: What::Statistics,
        format: Format::Csv,
        since_ms: None,
        until_ms: None,
        days: None,
        reason: "ticket 4711".to_owned(),
    };
    let refused = scene.ask(Verb::Export(create)).await.unwrap_err();
    assert!(refused.contains("storage.limit"), "{refused}");
    assert_eq!(rows(&scene, kept).await.unwrap(), text);
    assert!(rows(&scene, lost).await.is_err());
    let delete = Exporting::Delete { export: kept };
    let going = async {
        // What is left over is looked for when the gateway starts.
        while !entries(&scene).iter().any(|(_, outcome)| outcome == "ended") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, going).await.expect("it goes");
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
    scene.ask(Verb::Export(delete)).await.unwrap();
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
    assert_eq!(scene.ask(Verb::Inspect).await.unwrap()["intake"], true, "at once");
    scene.local.stop();
    assert_eq!(ring_of(scene.local.dir.path()).exports().len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exp_c05_exports_in_a_row_cost_an_account_nothing_and_their_number_is_bounded() {
    let mut scene = Scene::new("retention_profile = \"fixed-term\"").await;
    scene.deliver("c-1").await;
    let used = || scene.ask(Verb::Usage { account: None });
    let before = used().await.unwrap();
    for _ in 0..FILES_MAX {
        made(&scene, What::Messages, Format::Csv).await;
    }
    assert_eq!(used().await.unwrap(), before);
    let create = Exporting::Create {
        account: "load".to_owned(),
        what: What::Statistics,
        format: Format::Csv,
        since_ms: None,
        until_ms: None,
        days: Some(1),
        reason: "one more".to_owned(),
    };
    let refused = scene.ask(Verb::Export(create)).await.unwrap_err();
    assert!(refused.contains("export delete"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exp_c03_statistics_name_nobody_and_networks_with_few_messages_are_not_told_apart() {
    let mut scene = Scene::new("retention_profile = \"anonymise-30\"").await;
    let mut ids = Vec::new();
    for number in 0..3 {
        ids.push(scene.deliver(&format!("c-{number}")).await);
    }
    scene.set(ids[2].1 + 31 * DAY_MS);
    let statistics = made(&scene, What::Statistics, Format::Csv).await;
    assert_eq!(rows(&scene, statistics).await.unwrap().lines().count(), 1);
    scene.retain(Retain::ConfirmClock).await.unwrap();
    scene.retain(Retain::Sweep).await.unwrap();
    let statistics = made(&scene, What::Statistics, Format::Csv).await;
    let text = rows(&scene, statistics).await.unwrap();
    let mut lines = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
    assert_eq!(
        lines.next().unwrap(),
        ["day", "direction", "country", "network", "status", "messages"]
    );
    let lines: Vec<_> = lines.collect();
    assert!(!lines.is_empty(), "{text}");
    let sum: u64 = lines.iter().map(|line| line[5].parse::<u64>().unwrap()).sum();
    assert_eq!(sum, 3, "{text}");
    for line in &lines {
        assert_eq!(&line[1..5], ["mt", "GB", "other", "DELIVRD"], "{text}");
    }
    for (id, _) in &ids {
        assert!(!text.contains(id), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exports_of_before_an_erasure_end_with_it_over_a_restart_too() {
    let mut scene = Scene::new("retention_profile = \"fixed-term\"").await;
    scene.deliver("c-1").await;
    let before = made(&scene, What::Texts, Format::Csv).await;
    let statistics = made(&scene, What::Statistics, Format::Csv).await;
    assert!(rows(&scene, before).await.unwrap().contains(TO));
    let erase = Matter::EraseAdd {
        to: format!("+{TO}"),
        account: Some("load".to_owned()),
        reason: "asked for".to_owned(),
    };
    scene.ask(Verb::Matter(erase)).await.unwrap();
    assert!(rows(&scene, before).await.is_err());
    let path = scene.local.dir.path().join("data/exports");
    let of_before = path.join(format!("{before}.export"));
    let octets = fs::read(&of_before);
    let going = async {
        while of_before.exists() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, going).await.expect("it goes");
    // Nobody is in those, and nobody of before in what comes after.
    assert!(rows(&scene, statistics).await.is_ok());
    let after = made(&scene, What::Texts, Format::Csv).await;
    assert!(!rows(&scene, after).await.unwrap().contains(TO));
    scene.local.stop();
    if let Ok(octets) = octets {
        // As a kill between the order and the end of the file leaves it.
        fs::write(&of_before, octets).unwrap();
    }
    scene.local.start_at(scene.clock.clone());
    let going = async {
        while of_before.exists() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, going).await.expect("it goes");
    assert!(rows(&scene, after).await.is_ok());
}
