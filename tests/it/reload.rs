//! Changes of the configuration of a gateway that runs, with traffic running through it: one scenario per kind of change.
//! Each prints what became of the traffic.

mod carriers;
mod instructions;
mod refusals;
pub(crate) mod scene;
mod tables;

use std::time::Duration;

use tidegate_codec::header::CommandId;
use tidegate_codec::identity::{PASSWORD_MAX, Password};
use tidegate_codec::pdu::Operation;
use tidegate_codec::status::CommandStatus;
use tidegate_codec::tlv::Tlvs;
use tidegate_codec::values::{BindKind, MessageState};
use tidegate_gateway::credentials::hash_password;
use tidegate_gateway::random::generator;
use tidegate_tests::esme::message;
use tidegate_tests::process::free_addr;
use tidegate_tests::{Dialect, ScriptedEsme};

use crate::ancillary::{ask, cancel, query, replace, replacement};
use crate::local::secret_hash;
use scene::Scene;

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
        .expect_metric("tidegate_reload_applied_timestamp_seconds", |at| at > 1e9)
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

/// Of two passwords one is taken back: what it opened is shut within a second, and everything else stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_c05_a_password_that_is_taken_back_unbinds_who_came_by_it_and_nobody_else() {
    let mut scene = Scene::busy().await;
    let second = Password::new(b"another", PASSWORD_MAX).unwrap();
    let second = hash_password(&second, &mut generator().unwrap()).unwrap();
    let at = scene.text.find(SHOP_TABLE).unwrap();
    let (before, after) = scene.text.split_at(at);
    let hashes = |hashes: &str| {
        format!(
            "{before}{}",
            after.replacen(&format!("\"{}\"", secret_hash()), hashes, 1)
        )
    };
    let both = hashes(&format!("\"{}\", \"{second}\"", secret_hash()));
    let one = hashes(&format!("\"{second}\""));
    let told = ["account.shop.password_hashes: changed"];
    scene.change(&both, &told).await;
    let mut first = scene.shop().await;
    // Once looked up, once remembered.
    let mut again = scene.shop().await;
    let mut other = ScriptedEsme::bound(scene.esme(), "shop", "another").await;
    scene.change(&one, &told).await;
    let shut = async {
        first.expect_id(CommandId::UNBIND).await;
        again.expect_id(CommandId::UNBIND).await;
    };
    tokio::time::timeout(Duration::from_secs(1), shut)
        .await
        .expect("unbound within a second");
    assert_eq!(refused(&scene, "shop", "secret").await, CommandStatus::RBINDFAIL);
    other.submit_ok(message(SHOP, TO, "by the other password")).await;
    scene.end("a_password_taken_back").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_c05_who_came_by_it_asks_for_nothing_more_until_it_is_cut_off() {
    let mut scene = Scene::start().await;
    // Long enough for all that is tried here.
    let text = scene
        .text
        .replace("unbind_wait = \"300ms\"", "unbind_wait = \"1m\"");
    scene.change(&text, &["limits.unbind_wait: 300ms -> 60s"]).await;
    let mut thief = scene.shop().await;
    let id = thief
        .submit_ok(message(SHOP, BY_HAND, "while it was right"))
        .await;
    assert_eq!(scene.hand.expect_submit().await.text(), "while it was right");
    let second = Password::new(b"another", PASSWORD_MAX).unwrap();
    let second = hash_password(&second, &mut generator().unwrap()).unwrap();
    let at = scene.text.find(SHOP_TABLE).unwrap();
    let (before, after) = scene.text.split_at(at);
    let text = format!("{before}{}", after.replacen(&secret_hash(), &second, 1));
    scene
        .change(&text, &["account.shop.password_hashes: changed"])
        .await;
    thief.expect_id(CommandId::UNBIND).await;
    asks_for_nothing_more(&mut thief, &id).await;
    let mut owner = ScriptedEsme::bound(scene.esme(), "shop", "another").await;
    owner.submit_ok(message(SHOP, BY_HAND, "by the new one")).await;
    // Nothing came in between.
    assert_eq!(scene.hand.expect_submit().await.text(), "by the new one");
    // It may still say that it goes.
    thief.unbind().await;
    scene.end("a_password_taken_back_and_used").await;
}

/// Whatever a client that was shut out asks for is refused, and it is still answered.
pub(crate) async fn asks_for_nothing_more(esme: &mut ScriptedEsme, id: &str) {
    let status = esme.submit_refused(message(SHOP, BY_HAND, "stolen")).await;
    assert_eq!(status, CommandStatus::RINVBNDSTS);
    assert_eq!(cancel(esme, id, SHOP, BY_HAND).await, CommandStatus::RINVBNDSTS);
    let status = replace(esme, replacement(id, "stolen")).await;
    assert_eq!(status, CommandStatus::RINVBNDSTS);
    let answer = ask(esme, query(id, SHOP)).await;
    assert_eq!(answer.status(), CommandStatus::RINVBNDSTS);
    ask(esme, Operation::EnquireLink(Tlvs::NONE)).await;
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
    shop.expect_id(CommandId::UNBIND).await;
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listener_added_and_removed() {
    let mut scene = Scene::busy().await;
    let (before, address) = (scene.text.clone(), free_addr());
    let text = format!("[[listen]]\naddress = \"{address}\"\n{before}");
    scene.change(&text, &["listen[0]: added"]).await;
    let mut shop = ScriptedEsme::bound(address, "shop", "secret").await;
    scene.change(&before, &["listen[0]: removed"]).await;
    let refused = tokio::net::TcpStream::connect(address).await;
    assert!(refused.is_err(), "nobody listens there any more");
    shop.submit_ok(message(SHOP, TO, "who came that way stays")).await;
    // One that is taken is a reason, and told before anything changes.
    let taken = std::net::TcpListener::bind(address).unwrap();
    scene.refuse(&text, &["cannot listen"]).await;
    drop(taken);
    scene.end("listener_added_and_removed").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_and_budget_changed() {
    let mut scene = Scene::busy().await;
    // It reads nothing while nobody waits for it, and so answers nothing.
    let shop = scene.shop().await;
    let text = scene.with(
        "[limits]",
        "enquire_link = \"500ms\"\nenquire_link_response = \"400ms\"",
    );
    let text = text.replace(
        "auto_init = true",
        "auto_init = true\nlazy_flush = \"5ms\"\nlimit = \"9GiB\"",
    );
    let changes = [
        "storage.limit: 8589934592 -> 9663676416",
        "storage.lazy_flush: 10ms -> 5ms",
        "limits.enquire_link: 30s -> 500ms",
        "limits.enquire_link_response: 10s -> 400ms",
    ];
    scene.change(&text, &changes).await;
    let closed = "tidegate_links_closed_total{side=\"esme\",reason=\"enquire_link\"}";
    scene.expect_metric(closed, |count| count == 1.0).await;
    drop(shop);
    // As little as there may be is enough for what this is.
    let before = scene.text.clone();
    let little = before.replace("limit = \"9GiB\"", "limit = \"192MiB\"\nreserve_segments = 1");
    let changes = [
        "storage.limit: 9663676416 -> 201326592",
        "storage.reserve_segments: 4 -> 1",
    ];
    scene.change(&little, &changes).await;
    scene.end("limits_and_budget_changed").await;
}
