//! Tables of numbers and prices, instructions of accounts, and what an operator has moved.

use std::fs;

use tidegate_codec::status::CommandStatus;
use tidegate_gateway::control::{self, Verb};
use tidegate_tests::esme::message;
use tidegate_tests::process::free_addr;
use tidegate_tests::{ScriptedEsme, ScriptedSmsc};

use crate::local::secret_hash;

use super::scene::Scene;
use super::{A_WHILE, BY_HAND, SHOP};

const READ_AGAIN: &str = "tables: read again";

/// Routes by network: 26201 goes to `hand`, 26202 to `other`, 26203 to the cheaper of both.
fn with_tables(scene: &Scene) -> String {
    let file = |name: &str| scene.path(name).display().to_string();
    let hand = format!("name = \"hand\"\nprices = \"{}\"", file("hand.csv"));
    let other = format!("name = \"other\"\nprices = \"{}\"", file("other.csv"));
    let text = scene
        .text
        .replacen("name = \"hand\"", &hand, 1)
        .replacen("name = \"other\"", &other, 1);
    let route = |network: &str, carriers: &str| {
        format!("[[route.mt]]\norder = 1\nprefix = \"\"\nnetworks = [\"{network}\"]\n{carriers}\n")
    };
    let routes = [
        route("26201", "carriers = [\"hand\"]"),
        route("26202", "carriers = [\"other\"]"),
        route(
            "26203",
            "carriers = [\"hand\", \"other\"]\nchoose = \"least-cost\"",
        ),
    ];
    format!(
        "{text}[tables]\nnetworks = \"{}\"\nported = \"{}\"\n{}",
        file("networks.csv"),
        file("ported.csv"),
        routes.concat()
    )
}

fn write(scene: &Scene, name: &str, rows: &str) {
    fs::write(scene.path(name), rows).unwrap();
}

const NETWORKS: &str = "prefix,network,country\n49170,26201,DE\n49171,26202,DE\n49172,26203,DE\n";

/// One message of `shop` to this number; it must come to `hand`, or else to `other`.
async fn expect_at(scene: &mut Scene, shop: &mut ScriptedEsme, to: &str, by_hand: bool) {
    let before = scene.other.counts().taken;
    shop.submit_ok(message(SHOP, to, "which way")).await;
    if by_hand {
        let submit = scene.hand.expect_submit().await;
        scene.hand.answer(&submit, "h").await;
        assert_eq!(scene.other.counts().taken, before, "{to}");
    } else {
        let other = &scene.other;
        let is_there = || other.counts().taken == before + 1;
        scene.until("the message at the other", is_there).await;
        scene.hand.expect_no_submit(A_WHILE).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_changed() {
    let mut scene = Scene::busy().await;
    let mut shop = scene.shop().await;
    let (ported, cheap, dear) = (
        "number,network\n",
        "network,price\n26203,0.01\n",
        "network,price\n26203,0.02\n",
    );
    for (name, rows) in [
        ("networks.csv", NETWORKS),
        ("ported.csv", ported),
        ("hand.csv", cheap),
        ("other.csv", dear),
    ] {
        write(&scene, name, rows);
    }
    let text = with_tables(&scene);
    let outcome = scene.reload(&text).await;
    assert_eq!(outcome["applied"], true, "{outcome:?}");
    expect_at(&mut scene, &mut shop, "491700000001", true).await;
    expect_at(&mut scene, &mut shop, "491710000001", false).await;
    expect_at(&mut scene, &mut shop, "491720000001", true).await;

    // A number leaves its network; the one beside it stays.
    write(&scene, "ported.csv", "number,network\n491700000001,26202\n");
    scene.change(&text, &[READ_AGAIN]).await;
    scene.more_traffic().await;
    expect_at(&mut scene, &mut shop, "491700000001", false).await;
    expect_at(&mut scene, &mut shop, "491700000002", true).await;
    // Two prefixes change places.
    let networks = NETWORKS.replace("49170,26201", "49170,26202");
    let networks = networks.replace("49171,26202", "49171,26201");
    write(&scene, "networks.csv", &networks);
    scene.change(&text, &[READ_AGAIN]).await;
    scene.more_traffic().await;
    expect_at(&mut scene, &mut shop, "491700000002", false).await;
    expect_at(&mut scene, &mut shop, "491710000001", true).await;
    // The other becomes the cheaper one.
    write(&scene, "hand.csv", "network,price\n26203,0.03\n");
    scene.change(&text, &[READ_AGAIN]).await;
    scene.more_traffic().await;
    expect_at(&mut scene, &mut shop, "491720000001", false).await;
    // A broken row is named, and all tables stay as they are, the sound ones too.
    write(&scene, "hand.csv", cheap);
    write(&scene, "ported.csv", "number,network\n491700000001,2620x\n");
    let outcome = scene.ask(false).await;
    assert_eq!(outcome["applied"], false);
    let reasons = super::scene::lines(&outcome, "reasons");
    assert!(
        reasons.len() == 1 && reasons[0].contains("line 2, network"),
        "{reasons:?}"
    );
    expect_at(&mut scene, &mut shop, "491720000001", false).await;
    expect_at(&mut scene, &mut shop, "491700000001", false).await;
    scene.end("tables_changed").await;
}

/// What waits goes the way of the new table, although its carrier does not come up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_changed_under_what_waits() {
    let mut scene = Scene::busy().await;
    let mut shop = scene.shop().await;
    scene.hand.stop_listening();
    scene.hand.drop_all();
    for (name, rows) in [
        ("networks.csv", NETWORKS),
        ("ported.csv", "number,network\n"),
        ("hand.csv", "network,price\n"),
        ("other.csv", "network,price\n"),
    ] {
        write(&scene, name, rows);
    }
    let text = with_tables(&scene);
    let outcome = scene.reload(&text).await;
    assert_eq!(outcome["applied"], true, "{outcome:?}");
    for number in 0..20 {
        let to = format!("4917000000{number:02}");
        shop.submit_ok(message(SHOP, &to, "waits")).await;
    }
    let rows: String = (0..10)
        .map(|number| format!("4917000000{number:02},26202\n"))
        .collect();
    write(&scene, "ported.csv", &format!("number,network\n{rows}"));
    scene.change(&text, &[READ_AGAIN]).await;
    let other = &scene.other;
    scene
        .until("what was ported", || other.counts().taken == 10)
        .await;
    scene.hand.reopen().await;
    let mut texts = 0;
    while texts < 10 {
        let submit = scene.hand.expect_submit().await;
        let to = submit.sm().destination;
        assert!(to.addr.as_bytes() >= b"491700000010".as_slice());
        scene.hand.answer(&submit, "h").await;
        texts += 1;
    }
    scene.hand.expect_no_submit(A_WHILE).await;
    assert_eq!(scene.other.counts().taken, 10);
    scene.end("tables_changed_under_what_waits").await;
}

/// Delivers a text from a handset to the number of `shop`.
async fn mo(scene: &mut Scene, text: &str) {
    let link = scene.hand.bound()[0];
    let sequence = scene
        .hand
        .deliver(link, message("447700900002", "12345", text))
        .await;
    assert_eq!(scene.hand.expect_deliver_resp(sequence).await, CommandStatus::ROK);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instructions_changed() {
    let mut scene = Scene::busy().await;
    let receiver = |scene: &Scene, name: &'static str| {
        let server = scene.esme();
        async move { ScriptedEsme::receiver_of(server, "shop", "secret", name).await }
    };
    let mut kitchen = receiver(&scene, "kitchen").await;
    let mut office = receiver(&scene, "office").await;
    let bank = format!(
        "[[account]]\nsystem_id = \"bank\"\npassword_hashes = [\"{}\"]\n",
        secret_hash()
    );
    let plain = scene
        .text
        .replacen("[[account]]", &format!("{bank}[[account]]"), 1);
    scene.change(&plain, &["account.bank: added"]).await;
    let mut bank = ScriptedEsme::bound(scene.esme(), "bank", "secret").await;
    let document = |version: u32, to: &str| {
        format!(
            "{plain}[[instructions]]\naccount = \"shop\"\nversion = \"{version}\"\n[[instructions.rule]]\n\
             keywords = [\"cook\"]\n{to}\n"
        )
    };
    let text = document(1, "to_bind = \"kitchen\"");
    scene.change(&text, &["instructions[0]: added"]).await;
    for number in 0..4 {
        mo(&mut scene, &format!("cook {number}")).await;
        assert_eq!(kitchen.expect_deliver().await.text(), format!("cook {number}"));
    }
    office.expect_silence(A_WHILE).await;
    // The next message goes by the new version, on binds that were open.
    let text = document(2, "to_bind = \"office\"");
    scene.change(&text, &["instructions[0]: changed"]).await;
    scene.more_traffic().await;
    for number in 4..8 {
        mo(&mut scene, &format!("cook {number}")).await;
        assert_eq!(office.expect_deliver().await.text(), format!("cook {number}"));
    }
    kitchen.expect_silence(A_WHILE).await;
    // Another word is nobody's in particular, and nothing of it is lost.
    let text = document(3, "to_bind = \"office\"").replace("cook", "bake");
    scene.change(&text, &["instructions[0]: changed"]).await;
    mo(&mut scene, "bake 8").await;
    assert_eq!(office.expect_deliver().await.text(), "bake 8");
    mo(&mut scene, "cook 9").await;
    let first = tokio::select! {
        delivery = kitchen.expect_deliver() => delivery,
        delivery = office.expect_deliver() => delivery,
    };
    assert_eq!(first.text(), "cook 9");
    // Away to another account; then the document goes, and the route alone says.
    let text = document(4, "to_account = \"bank\"");
    scene.change(&text, &["instructions[0]: changed"]).await;
    mo(&mut scene, "cook for another").await;
    assert_eq!(bank.expect_deliver().await.text(), "cook for another");
    scene.change(&plain, &["instructions[0]: removed"]).await;
    drop(office);
    mo(&mut scene, "cook 10").await;
    assert_eq!(kitchen.expect_deliver().await.text(), "cook 10");
    scene.end("instructions_changed").await;
}

/// What an operator has moved to a carrier stays there while the carrier says "later"; what was routed there goes the way
/// of its route, which may lead elsewhere by now.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn route_changed_at_a_carrier_with_moved_messages() {
    let mut scene = Scene::busy().await;
    let mut shop = scene.shop().await;
    let gone = format!(
        "[[carrier]]\nname = \"gone\"\naddresses = [\"{}\"]\nsystem_id = \"tidegate\"\npassword_file = \"{}\"\n\
         [[route.mt]]\nprefix = \"33\"\ncarriers = [\"gone\"]\n",
        free_addr(),
        scene.path("main.password").display()
    );
    let text = scene.text.clone() + &gone;
    scene
        .change(&text, &["carrier.gone: added", "route.mt[2]: added"])
        .await;
    shop.submit_ok(message(SHOP, "33612345678", "moved")).await;
    let verb = Verb::Move {
        from: "gone".to_owned(),
        to: "hand".to_owned(),
        account: None,
    };
    let data = scene.path("data");
    let asking = tokio::task::spawn_blocking(move || control::ask(&data, &verb));
    assert_eq!(asking.await.unwrap().unwrap()["moved"], 1);
    let moved = scene.hand.expect_submit().await;
    assert_eq!(moved.text(), "moved");
    shop.submit_ok(message(SHOP, BY_HAND, "routed")).await;
    let routed = scene.hand.expect_submit().await;
    assert_eq!(routed.text(), "routed");
    let text = scene
        .text
        .replace("carriers = [\"hand\"]", "carriers = [\"other\"]");
    scene.change(&text, &["route.mt[1]: changed"]).await;
    refuse(&mut scene.hand, &routed).await;
    let other = &scene.other;
    scene
        .until("the message that was routed", || other.counts().taken == 1)
        .await;
    refuse(&mut scene.hand, &moved).await;
    let again = scene.hand.expect_submit().await;
    assert_eq!(again.text(), "moved");
    scene.hand.answer(&again, "h-1").await;
    scene.hand.expect_no_submit(A_WHILE).await;
    assert_eq!(scene.other.counts().taken, 1);
    scene.end("route_changed_at_a_carrier_with_moved_messages").await;
}

async fn refuse(smsc: &mut ScriptedSmsc, submit: &tidegate_tests::smsc::Submit) {
    smsc.refuse(submit, CommandStatus::RTHROTTLED).await;
}
