//! What an account instructs about its texts and records, from one configuration to the next, and what is counted of
//! it whatever it deletes.

use std::fs;

use serde_json::Value;
use tidegate_gateway::control::{Retain, Verb};

use crate::canary::spellings;
use crate::sweeps::{DAY_MS, FROM, Scene, TEXT, TO, blocks, ring_of, text_of, texts_of};

/// Ends the gateway and starts it with something else in its configuration.
async fn restarted(scene: &mut Scene, from: &str, to: &str) {
    scene.local.stop();
    scene.local.edit(from, to);
    scene.local.start_at(scene.clock.clone());
    scene.bind().await;
}

fn texts_on_disk(scene: &Scene) -> usize {
    texts_of(&scene.history(), &ring_of(scene.local.dir.path()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ret_c07_a_text_is_kept_only_once_it_is_instructed_and_goes_when_that_is_shortened() {
    let none = "retention_profile = \"as-instructed\"\n";
    let a_year =
        "retention_profile = \"as-instructed\"\nretention = [{ class = \"body\", after = \"P1Y\" }]\n";
    let a_day =
        "retention_profile = \"as-instructed\"\nretention = [{ class = \"body\", after = \"P1D\" }]\n";
    let mut scene = Scene::new(none).await;
    let (before, _) = scene.deliver("c-1").await;
    let told = scene.show(&before).await;
    assert_eq!(text_of(&told), Value::Null);
    assert_eq!(told.unwrap()["legs"][0]["to"], TO, "its record is kept");
    // DISK: all that is kept is in files by now, and of texts there is none.
    scene.local.stop();
    let files = |class: &str| blocks(&scene.history(), class);
    assert_eq!((files("meta-"), files("body-")), (1, 0));
    restarted(&mut scene, none, a_year).await;
    let (older, accepted_ms) = scene.deliver("c-2").await;
    assert_eq!(text_of(&scene.show(&older).await)["shown"], TEXT);
    assert_eq!(
        text_of(&scene.show(&before).await),
        Value::Null,
        "it brings nothing back"
    );
    scene.set(accepted_ms + DAY_MS - 3_600_000);
    scene.retain(Retain::ConfirmClock).await.unwrap();
    let (newer, _) = scene.deliver("c-3").await;
    scene.set(accepted_ms + DAY_MS + 60_000);
    assert_eq!(text_of(&scene.show(&older).await)["shown"], TEXT);
    restarted(&mut scene, a_year, a_day).await;
    // Older than a day: due now. The other has an hour less than a day left.
    assert_eq!(text_of(&scene.show(&older).await), Value::Null);
    assert_eq!(text_of(&scene.show(&newer).await)["shown"], TEXT);
    assert_eq!(scene.show(&older).await.unwrap()["legs"][0]["to"], TO);
    // The week by which they were filed is over, and a day: nothing of them is left.
    scene.set(accepted_ms + 9 * DAY_MS);
    scene.retain(Retain::ConfirmClock).await.unwrap();
    scene.retain(Retain::Sweep).await.unwrap();
    assert_eq!(text_of(&scene.show(&newer).await), Value::Null);
    assert_eq!(scene.show(&newer).await.unwrap()["legs"][0]["to"], TO);
    assert_eq!(blocks(&scene.history(), "body-"), 0);
    scene.local.stop();
    assert_eq!(texts_on_disk(&scene), 0);
}

/// In June 2026, far from either end of the month.
const MID_MONTH_MS: u64 = 1_781_524_800_000;

/// What a month comes to, as an invoice is made of it.
async fn month(scene: &Scene) -> u64 {
    let account = Some("load".to_owned());
    let told = scene.ask(Verb::Usage { account }).await.unwrap();
    told["accounts"][0]["month"]["used"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ret_c18_a_month_whose_records_are_deleted_comes_to_the_same_and_names_nobody() {
    let kept = "retention_profile = \"as-instructed\"\n\
                retention = [{ class = \"body\", after = \"P1Y\" }, { class = \"meta\", after = \"P1Y\" }]\n";
    let deleted = "retention_profile = \"as-instructed\"\n\
                   retention = [{ class = \"body\", after = \"P0D\" }, { class = \"meta\", after = \"P0D\" }]\n";
    let mut scene = Scene::new_at(kept, MID_MONTH_MS).await;
    let numbers = ["447700900123", "447700900124", "447700900125"];
    let mut ids = Vec::new();
    for (number, carrier_id) in numbers.iter().zip(["c-1", "c-2", "c-3"]) {
        ids.push(scene.deliver_to(carrier_id, number, TEXT).await.0);
    }
    let before = month(&scene).await;
    assert_eq!(before, 3, "parts");
    restarted(&mut scene, kept, deleted).await;
    for id in &ids {
        assert!(scene.show(id).await.is_err(), "nobody reads it");
    }
    assert_eq!(month(&scene).await, before);
    // The sweep of the start may have been there first.
    scene.retain(Retain::Sweep).await.unwrap();
    assert_eq!(blocks(&scene.history(), ""), 0, "nothing is left");
    let entries = scene.entries();
    for class in ["meta", "body"] {
        let erased = ("erased".to_owned(), class.to_owned());
        assert!(entries.contains(&erased), "{class}: {entries:?}");
    }
    restarted(&mut scene, deleted, deleted).await;
    assert_eq!(
        month(&scene).await,
        before,
        "the same month, when nothing of it is kept"
    );
    scene.local.stop();
    let usage = scene.local.dir.path().join("data/usage");
    let mut octets = 0;
    for file in fs::read_dir(usage).unwrap() {
        let held = fs::read(file.unwrap().path()).unwrap();
        octets += held.iter().filter(|octet| **octet != 0).count();
        for number in numbers.iter().chain([&FROM]) {
            for needle in spellings(number) {
                let is_there = held.windows(needle.len()).any(|window| window == needle);
                assert!(!is_there, "{number} as {needle:02x?}");
            }
        }
    }
    assert!(octets > 20, "the counts are there: {octets}");
}
