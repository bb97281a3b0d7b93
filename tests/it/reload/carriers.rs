//! Carriers, their links and routes.

use std::time::Duration;

use tidegate_codec::status::CommandStatus;
use tidegate_codec::values::MessageState;
use tidegate_tests::esme::message;
use tidegate_tests::{Dialect, ScriptedSmsc};

use super::scene::Scene;
use super::{A_WHILE, BY_HAND, SHOP};

fn carrier(name: &str, scene: &Scene, port: u16) -> String {
    format!(
        "[[carrier]]\nname = \"{name}\"\naddresses = [\"127.0.0.1:{port}\"]\nsystem_id = \"tidegate\"\npassword_file = \"{}\"\n\
         [[route.mt]]\nprefix = \"33\"\ncarriers = [\"{name}\"]\n",
        scene.path("main.password").display()
    )
}

/// The table of a carrier.
fn table(text: &str, name: &str) -> String {
    let from = text.find(&format!("[[carrier]]\nname = \"{name}\"")).unwrap();
    let rest = &text[from + 2..];
    let to = rest.find("\n[[").unwrap() + from + 3;
    text[from..to].to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn carrier_added() {
    let mut scene = Scene::busy().await;
    let mut shop = scene.shop().await;
    let mut new = ScriptedSmsc::listen().await;
    let text = scene.text.clone() + &carrier("new", &scene, new.addr().port());
    scene
        .change(&text, &["carrier.new: added", "route.mt[2]: added"])
        .await;
    new.expect_binds(1).await;
    let id = shop
        .submit_ok(message(SHOP, "33612345678", "by the new one"))
        .await;
    let submit = new.expect_submit().await;
    new.answer(&submit, "n-1").await;
    new.receipt(&submit, "n-1", MessageState::Delivered, Dialect::Both)
        .await;
    shop.expect_receipt(&id).await;
    scene
        .expect_metric("tidegate_carrier_handed_over_total{carrier=\"new\"}", |count| {
            count == 1.0
        })
        .await;
    scene.end("carrier_added").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn carrier_removed() {
    let mut scene = Scene::busy().await;
    let mut shop = scene.shop().await;
    // One message with the carrier, two in line behind its window.
    for number in 0..12 {
        shop.submit_ok(message(SHOP, BY_HAND, &format!("by hand {number}")))
            .await;
    }
    let mut submits = Vec::new();
    for _ in 0..10 {
        submits.push(scene.hand.expect_submit().await);
    }
    scene.hand.expect_no_submit(A_WHILE).await;
    let hand = table(&scene.text, "hand");
    let gone = scene
        .text
        .replace(&hand, "")
        .replace("carriers = [\"hand\"]", "carriers = [\"main\"]");
    let before = scene.text.clone();
    scene
        .refuse(
            &gone,
            &["carrier.hand cannot go: up to 2 messages wait for it, 10 messages are with it"],
        )
        .await;
    // Nothing has changed: it goes on as before.
    scene.hand.answer(&submits[0], "h-0").await;
    let tenth = scene.hand.expect_submit().await;
    assert_eq!(tenth.text(), "by hand 10");
    scene.refuse(&gone, &["up to 1 messages wait for it, 10 messages are with it and not answered, up to 1 messages wait for its"]).await;
    let taken = gone.replace("name = \"other\"", "name = \"other\"\ntakes_over = [\"hand\"]");
    let changes = [
        "carrier.hand: removed",
        "carrier.other.takes_over: changed",
        "route.mt[1]: changed",
    ];
    scene.change(&taken, &changes).await;
    // What waited goes to who takes over, and nowhere else.
    let other = &scene.other;
    scene
        .until("the message that waited", || other.counts().taken == 1)
        .await;
    // What it has it may still answer; the link ends when it has.
    for (number, submit) in submits.iter().enumerate().skip(1) {
        scene.hand.answer(submit, &format!("h-{number}")).await;
    }
    scene.hand.expect_no_submit(A_WHILE).await;
    assert!(scene.hand.link(0).kind.is_some(), "one is not answered yet");
    scene.hand.answer(&tenth, "h-10").await;
    scene.hand.expect_end_of(0).await;
    scene
        .expect_metric(
            "tidegate_carrier_links_bound{carrier=\"hand\",state=\"bound_trx\"}",
            |count| count == 0.0,
        )
        .await;
    let id = shop.submit_ok(message(SHOP, BY_HAND, "by another way")).await;
    shop.expect_receipt(&id).await;
    // And it may come back, into its old place.
    let text = before.clone();
    let back = [
        "carrier.hand: added",
        "carrier.other.takes_over: changed",
        "route.mt[1]: changed",
    ];
    scene.change(&text, &back).await;
    scene.hand.expect_binds(2).await;
    shop.submit_ok(message(SHOP, BY_HAND, "as before")).await;
    assert_eq!(scene.hand.expect_submit_of("as before").await.text(), "as before");
    scene.end("carrier_removed").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn carrier_with_the_traffic_removed() {
    let mut scene = Scene::busy().await;
    let main = table(&scene.text, "main");
    let gone = scene
        .text
        .replace(&main, "")
        .replace("carriers = [\"main\"]", "carriers = [\"other\"]");
    let taken = gone.replace(
        "name = \"other\"",
        "name = \"other\"\nwindow = 100\ntakes_over = [\"main\"]",
    );
    let changes = [
        "carrier.main: removed",
        "carrier.other.window: 10 -> 100",
        "carrier.other.takes_over: changed",
        "route.mt[0]: changed",
    ];
    scene.change(&taken, &changes).await;
    scene.more_traffic().await;
    assert!(scene.other.counts().taken > 0);
    let main = &scene.main;
    scene
        .until("the end of its links", || main.counts().bound == 0)
        .await;
    scene.end_with("carrier_with_the_traffic_removed", false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn carrier_s_window_and_rate_changed() {
    let mut scene = Scene::busy().await;
    let mut shop = scene.shop().await;
    for number in 0..20 {
        shop.submit_ok(message(SHOP, BY_HAND, &number.to_string())).await;
    }
    for _ in 0..10 {
        scene.hand.expect_submit().await;
    }
    scene.hand.expect_no_submit(A_WHILE).await;
    let text = scene.with("name = \"hand\"", "window = 12");
    scene.change(&text, &["carrier.hand.window: 10 -> 12"]).await;
    for _ in 0..2 {
        assert_eq!(
            scene.hand.expect_submit().await.link,
            0,
            "on the link that was open"
        );
    }
    scene.hand.expect_no_submit(A_WHILE).await;
    // The traffic of `load` must not wait for a rate: a short look only.
    let text = scene.with("name = \"main\"", "rate = 300");
    scene.change(&text, &["carrier.main.rate: none -> 300"]).await;
    scene.more_traffic().await;
    let text = scene.text.replace("rate = 300\n", "");
    scene.change(&text, &["carrier.main.rate: 300 -> none"]).await;
    scene.end("carrier_s_window_and_rate_changed").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn carrier_s_texts_changed() {
    let mut scene = Scene::busy().await;
    let mut shop = scene.shop().await;
    let long = "a".repeat(200);
    shop.submit_ok(message(SHOP, BY_HAND, &long)).await;
    assert_eq!(scene.hand.expect_submit().await.text(), long);
    let changed = [
        "carrier.hand.long_messages: changed",
        "carrier.hand.default_alphabet: changed",
        "carrier.hand.transcode: false -> true",
    ];
    let keys = "long_messages = \"udh8\"\ndefault_alphabet = \"latin1\"\ntranscode = true";
    let text = scene.with("name = \"hand\"", keys);
    scene.change(&text, &changed).await;
    shop.submit_ok(message(SHOP, BY_HAND, &long)).await;
    for (number, octets) in [(1, 153), (2, 47)] {
        let submit = scene.hand.expect_submit().await;
        let sm = submit.sm();
        let text = sm.text().0;
        assert_eq!((sm.esm_class.0, text[5], text.len()), (0x40, number, 6 + octets));
    }
    let text = scene.with(
        "name = \"main\"",
        "long_messages = \"udh8\"\ndefault_alphabet = \"ascii\"\ntranscode = true",
    );
    let changed = [
        "carrier.main.long_messages: changed",
        "carrier.main.default_alphabet: changed",
        "carrier.main.transcode: false -> true",
    ];
    scene.change(&text, &changed).await;
    scene.more_traffic().await;
    scene.end("carrier_s_texts_changed").await;
}

/// With a rate of its own a country gets a line of its own, behind the carrier that has all the traffic as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn carrier_s_rates_to_countries_changed() {
    let mut scene = Scene::busy().await;
    let mut shop = scene.shop().await;
    let text = scene.with("name = \"main\"", "country_rates = { GB = 300, FR = 5 }");
    let changed = ["carrier.main.country_rates: changed"];
    scene.change(&text, &changed).await;
    scene.more_traffic().await;
    let text = scene.text.replace("GB = 300, FR = 5", "GB = 1000000");
    scene.change(&text, &changed).await;
    scene.more_traffic().await;
    let text = scene.text.replace("country_rates = { GB = 1000000 }\n", "");
    scene.change(&text, &changed).await;
    scene.more_traffic().await;
    let text = scene.with("name = \"hand\"", "country_rates = { DE = 1 }");
    let changed = ["carrier.hand.country_rates: changed"];
    scene.change(&text, &changed).await;
    for number in 0..8 {
        shop.submit_ok(message(SHOP, BY_HAND, &number.to_string())).await;
    }
    assert_eq!(scene.hand.expect_submit().await.text(), "0");
    scene.hand.expect_no_submit(A_WHILE).await;
    let text = scene.text.replace("DE = 1 ", "DE = 0 ");
    scene.change(&text, &changed).await;
    let rest = async {
        for number in 1..8 {
            assert_eq!(scene.hand.expect_submit().await.text(), number.to_string());
        }
    };
    // One a second they took seven.
    let came = tokio::time::timeout(Duration::from_secs(5), rest).await;
    assert!(came.is_ok(), "the old rate holds");
    scene.end("carrier_s_rates_to_countries_changed").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn carrier_s_address_changed() {
    let mut scene = Scene::busy().await;
    let port = scene.main.addr().port();
    let text = scene
        .text
        .replace(&format!("127.0.0.1:{port}"), &format!("127.0.0.2:{port}"));
    scene.change(&text, &["carrier.main.addresses: changed"]).await;
    scene.more_traffic().await;
    let connects = "tidegate_carrier_connects_total{carrier=\"main\"}";
    // Each of both links once more.
    scene.expect_metric(connects, |count| count == 4.0).await;
    scene.end("carrier_s_address_changed").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn carrier_s_links_changed() {
    let mut scene = Scene::busy().await;
    for (from, to) in [(2, 4), (4, 1), (1, 2)] {
        let text = scene
            .text
            .replace(&format!("links = {from}\n"), &format!("links = {to}\n"));
        scene
            .change(&text, &[&format!("carrier.main.links: {from} -> {to}")])
            .await;
        let main = &scene.main;
        scene
            .until("the links that are wanted", || main.counts().bound == to)
            .await;
    }
    scene.end("carrier_s_links_changed").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn carrier_s_password_changed() {
    let mut scene = Scene::busy().await;
    std::fs::write(scene.path("hand.password"), "other").unwrap();
    let text = scene.text.clone();
    scene
        .change(&text, &["carrier.hand.password: changed where it is kept"])
        .await;
    scene.hand.expect_binds(2).await;
    assert_eq!(scene.hand.credentials()[1].1, "other");
    // Once is enough.
    scene.change(&text, &[]).await;
    scene.hand.expect_no_submit(A_WHILE).await;
    assert_eq!(scene.hand.credentials().len(), 2);
    scene.end("carrier_s_password_changed").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn route_changed() {
    let mut scene = Scene::busy().await;
    let mut shop = scene.shop().await;
    // What waits for a carrier that is down, and is no longer on its route, goes the new way.
    scene.hand.stop_listening();
    scene.hand.drop_all();
    let id = shop.submit_ok(message(SHOP, BY_HAND, "waits")).await;
    let text = scene
        .text
        .replace("carriers = [\"hand\"]", "carriers = [\"other\"]");
    let text = text.replace("carriers = [\"main\"]", "carriers = [\"other\"]");
    scene
        .change(&text, &["route.mt[0]: changed", "route.mt[1]: changed"])
        .await;
    shop.expect_receipt(&id).await;
    // And so does all that is submitted from then on.
    let (main, other) = (scene.main.counts().taken, &scene.other);
    scene
        .until("traffic on the new route", || other.counts().taken > 20)
        .await;
    let more = scene.main.counts().taken - main;
    assert!(more <= 20, "{more} were under way on the old one");
    scene.end("route_changed").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn route_taken_away_and_given_back() {
    let mut scene = Scene::busy().await;
    let text = scene.with("name = \"hand\"", "retry_min = \"50ms\"");
    scene.change(&text, &["carrier.hand.retry_min: 5s -> 50ms"]).await;
    let mut shop = scene.shop().await;
    let id = shop.submit_ok(message(SHOP, BY_HAND, "tried again")).await;
    let submit = scene.hand.expect_submit().await;
    let gone = scene
        .text
        .replace("prefix = \"\"", "prefix = \"44\"")
        .replace("prefix = \"49\"", "prefix = \"48\"");
    let before = scene.text.clone();
    scene
        .change(&gone, &["route.mt[0]: changed", "route.mt[1]: changed"])
        .await;
    assert_eq!(
        shop.submit_refused(message(SHOP, BY_HAND, "no way")).await,
        CommandStatus::RINVDSTADR
    );
    // Its next try finds no route; it waits.
    scene.hand.refuse(&submit, CommandStatus::RSUBMITFAIL).await;
    scene.hand.expect_no_submit(4 * A_WHILE).await;
    scene
        .change(&before, &["route.mt[0]: changed", "route.mt[1]: changed"])
        .await;
    let submit = scene.hand.expect_submit().await;
    scene.hand.answer(&submit, "h-1").await;
    scene
        .hand
        .receipt(&submit, "h-1", MessageState::Delivered, Dialect::Both)
        .await;
    shop.expect_receipt(&id).await;
    scene.end("route_taken_away_and_given_back").await;
}
