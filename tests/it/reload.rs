//! Changes of the configuration of a gateway that runs, with traffic running through it: one scenario per kind of change.
//! Each prints what became of the traffic.

mod scene;

use std::time::Duration;

use tidegate_codec::header::CommandId;
use tidegate_codec::status::CommandStatus;
use tidegate_codec::values::{BindKind, MessageState};
use tidegate_tests::esme::message;
use tidegate_tests::{Dialect, ScriptedEsme, ScriptedSmsc};

use crate::local::secret_hash;
use scene::{Scene, lines};

const SHOP: &str = "447700900001";
const TO: &str = "447700800002";
/// A number of the carrier `hand`.
const BY_HAND: &str = "491700000001";
const A_WHILE: Duration = Duration::from_millis(80);

const SHOP_TABLE: &str = "system_id = \"shop\"";

async fn refused(scene: &Scene, system_id: &str, password: &str) -> CommandStatus {
    let mut esme = ScriptedEsme::connect(scene.esme()).await;
    esme.try_bind(BindKind::Transceiver, system_id, password)
        .await
        .status()
}

// ===== accounts =====

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn account_added() {
    let mut scene = Scene::busy().await;
    assert_eq!(refused(&scene, "new", "secret").await, CommandStatus::RBINDFAIL);
    let table = format!(
        "[[account]]\nsystem_id = \"new\"\npassword_hashes = [\"{}\"]\n",
        secret_hash()
    );
    let text = scene
        .text
        .replacen("[[account]]", &format!("{table}[[account]]"), 1);
    scene.change(&text, &["account.new: added"]).await;
    let mut esme = ScriptedEsme::bound(scene.esme(), "new", "secret").await;
    let id = esme.submit_ok(message(SHOP, TO, "of the new one")).await;
    esme.expect_receipt(&id).await;
    let accepted = "tidegate_account_submits_accepted_total{account=\"new\"}";
    scene.expect_metric(accepted, |count| count == 1.0).await;
    scene
        .expect_metric("tidegate_reloads_total{result=\"applied\"}", |count| count == 1.0)
        .await;
    scene
        .expect_metric("tidegate_reload_applied_at", |at| at > 1e9)
        .await;
    scene.end("account_added").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn account_removed() {
    let mut scene = Scene::busy().await;
    let mut shop = scene.shop().await;
    shop.submit_ok(message(SHOP, BY_HAND, "on its way")).await;
    let submit = scene.hand.expect_submit().await;
    let gone = scene.text.clone();
    let from = gone.find("[[account]]\nsystem_id = \"shop\"").unwrap();
    let to = gone.find("[[carrier]]").unwrap();
    let gone = gone
        .replacen(&gone[from..to], "", 1)
        .replace("account = \"shop\"", "account = \"load\"");
    let text = scene.text.clone();
    scene
        .change(&gone, &["account.shop: removed", "route.mo[0]: changed"])
        .await;
    shop.expect_id(CommandId::UNBIND).await;
    assert_eq!(refused(&scene, "shop", "secret").await, CommandStatus::RBINDFAIL);
    // What it had submitted goes on, and its receipt waits until the account is there again.
    scene.hand.answer(&submit, "h-1").await;
    let sequence = scene
        .hand
        .receipt(&submit, "h-1", MessageState::Delivered, Dialect::Both)
        .await;
    assert_eq!(scene.hand.expect_deliver_resp(sequence).await, CommandStatus::ROK);
    scene
        .change(&text, &["account.shop: added", "route.mo[0]: changed"])
        .await;
    let mut shop = scene.shop().await;
    assert!(shop.expect_deliver().await.text().contains("stat:DELIVRD"));
    scene.end("account_removed").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rate_changed() {
    let mut scene = Scene::busy().await;
    let mut shop = scene.shop().await;
    shop.submit_ok(message(SHOP, TO, "at any rate")).await;
    let text = scene.with(SHOP_TABLE, "rate = 1");
    scene.change(&text, &["account.shop.rate: none -> 1"]).await;
    // A burst of 255 parts is let through at any rate; one a second flows off.
    let mut throttled = 0;
    for number in 0..260 {
        let sequence = shop.submit(message(SHOP, TO, &number.to_string())).await;
        throttled += u32::from(shop.expect_submit_resp(sequence).await.status() == CommandStatus::RTHROTTLED);
    }
    assert!((1..=5).contains(&throttled), "{throttled}");
    let text = scene.text.replace("rate = 1\n", "rate = 100000\n");
    scene.change(&text, &["account.shop.rate: 1 -> 100000"]).await;
    shop.submit_ok(message(SHOP, TO, "at once")).await;
    scene.end("rate_changed").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn window_changed() {
    let mut scene = Scene::busy().await;
    let text = scene.with(SHOP_TABLE, "delivery_window = 1");
    scene
        .change(&text, &["account.shop.delivery_window: 100 -> 1"])
        .await;
    let mut shop = scene.shop().await;
    shop.answers = None;
    for number in 0..3 {
        shop.submit_ok(message(SHOP, TO, &number.to_string())).await;
    }
    let first = shop.expect_deliver().await;
    shop.expect_silence(A_WHILE).await;
    let text = scene.text.replace("delivery_window = 1", "delivery_window = 2");
    scene
        .change(&text, &["account.shop.delivery_window: 1 -> 2"])
        .await;
    let second = shop.expect_deliver().await;
    shop.expect_silence(A_WHILE).await;
    for delivery in [first, second] {
        shop.answer(&delivery, CommandStatus::ROK).await;
    }
    shop.expect_deliver().await;
    scene.end("window_changed").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sender_list_changed() {
    let mut scene = Scene::busy().await;
    let mut shop = scene.shop().await;
    shop.submit_ok(message(SHOP, TO, "as anybody")).await;
    let text = scene.with(SHOP_TABLE, "senders = [\"4477009*\"]");
    scene.change(&text, &["account.shop.senders: changed"]).await;
    assert_eq!(
        shop.submit_refused(message("33", TO, "as another")).await,
        CommandStatus::RINVSRCADR
    );
    shop.submit_ok(message(SHOP, TO, "as itself")).await;
    scene.end("sender_list_changed").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn account_suspended() {
    let mut scene = Scene::busy().await;
    let mut shop = scene.shop().await;
    let text = scene.with(SHOP_TABLE, "state = \"suspended\"");
    scene
        .change(&text, &["account.shop.state: active -> suspended"])
        .await;
    // It has not answered yet: what it sends meanwhile is refused.
    shop.expect_id(CommandId::UNBIND).await;
    shop.submit_refused(message(SHOP, TO, "too late")).await;
    assert_eq!(refused(&scene, "shop", "secret").await, CommandStatus::RBINDFAIL);
    // One that closes may fetch, and submit nothing.
    let text = scene.text.replace("suspended", "closing");
    scene
        .change(&text, &["account.shop.state: suspended -> closing"])
        .await;
    let mut shop = scene.shop().await;
    shop.submit_refused(message(SHOP, TO, "it closes")).await;
    let text = scene.text.replace("state = \"closing\"\n", "");
    scene
        .change(&text, &["account.shop.state: closing -> active"])
        .await;
    shop.submit_ok(message(SHOP, TO, "on the same bind")).await;
    scene.end("account_suspended").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn password_changed() {
    let mut scene = Scene::busy().await;
    let mut shop = scene.shop().await;
    let hash =
        "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let at = scene.text.find(SHOP_TABLE).unwrap();
    let (before, after) = scene.text.split_at(at);
    let text = format!("{before}{}", after.replacen(&secret_hash(), hash, 1));
    let old = scene.text.clone();
    scene
        .change(&text, &["account.shop.password_hashes: changed"])
        .await;
    assert_eq!(refused(&scene, "shop", "secret").await, CommandStatus::RBINDFAIL);
    // Who is bound stays bound.
    shop.submit_ok(message(SHOP, TO, "bound before")).await;
    scene
        .change(&old, &["account.shop.password_hashes: changed"])
        .await;
    scene.shop().await;
    scene.end("password_changed").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn addresses_and_binds_allowed_changed() {
    let mut scene = Scene::busy().await;
    for (keys, key) in [
        ("allow_ips = [\"192.0.2.7\"]", "allow_ips: changed"),
        ("binds = [\"tx\"]", "binds: changed"),
    ] {
        let mut shop = scene.shop().await;
        let (before, after) = (scene.text.clone(), scene.with(SHOP_TABLE, keys));
        let change = format!("account.shop.{key}");
        scene.change(&after, &[&change]).await;
        shop.expect_id(CommandId::UNBIND).await;
        assert_eq!(refused(&scene, "shop", "secret").await, CommandStatus::RBINDFAIL);
        scene.change(&before, &[&change]).await;
    }
    let (mut first, mut second) = (scene.shop().await, scene.shop().await);
    let text = scene.with(SHOP_TABLE, "max_binds = 1");
    scene.change(&text, &["account.shop.max_binds: 10 -> 1"]).await;
    second.expect_id(CommandId::UNBIND).await;
    first.submit_ok(message(SHOP, TO, "the first stays")).await;
    scene.end("addresses_and_binds_allowed_changed").await;
}

// ===== carriers =====

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
        .expect_metric("tidegate_carrier_links_bound{carrier=\"hand\"}", |count| {
            count == 0.0
        })
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

// ===== refusals =====

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restart_only_keys_are_refused_and_nothing_changes() {
    let mut scene = Scene::busy().await;
    let mut shop = scene.shop().await;
    let text = scene.text.replacen("[[listen]]", "[node]\nid = 7\n[[listen]]", 1);
    let text = text.replace("auto_init = true", "auto_init = true\nlimit = \"9GiB\"");
    let text = text.replace(SHOP_TABLE, &format!("{SHOP_TABLE}\nsenders = [\"nobody\"]"));
    scene
        .refuse(
            &text,
            &[
                "node.id changes with a restart only",
                "storage.limit changes with a restart only",
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
        .expect_metric("tidegate_reload_applied_at", |count| count == 0.0)
        .await;
    let text = scene.text.clone();
    scene.change(&text, &[]).await;
    scene.end("what_would_change_is_said_and_nothing_changes").await;
}
