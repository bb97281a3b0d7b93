//! Instructions that are a file of their own, changed, broken and taken away while messages come from handsets.

use std::fs;

use tidegate_codec::status::CommandStatus;
use tidegate_tests::ScriptedEsme;
use tidegate_tests::esme::message;

use super::SHOP;
use super::scene::{Scene, lines};

/// One from a handset to `shop`; the carrier is told that it was taken.
async fn mo(scene: &mut Scene, text: &str) {
    let sequence = scene.hand.deliver(0, message(SHOP, "12345", text)).await;
    assert_eq!(scene.hand.expect_deliver_resp(sequence).await, CommandStatus::ROK);
}

async fn expect(esme: &mut ScriptedEsme, text: &str) {
    assert_eq!(esme.expect_deliver().await.text(), text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instructions_file_changed() {
    let mut scene = Scene::busy().await;
    let file = scene.path("shop.toml");
    let write = |version: u8, bind: &str| {
        let document = format!("version = \"{version}\"\n[[rule]]\nto_bind = \"{bind}\"\n");
        fs::write(&file, document).unwrap();
    };
    write(1, "kitchen");
    let mut kitchen = ScriptedEsme::receiver_of(scene.esme(), "shop", "secret", "kitchen").await;
    let mut office = ScriptedEsme::receiver_of(scene.esme(), "shop", "secret", "office").await;
    let keys = format!(
        "[[instructions]]\naccount = \"shop\"\nfile = \"{}\"\n",
        file.display()
    );
    let text = format!("{}{keys}", scene.text);
    scene.change(&text, &["instructions[0]: added"]).await;
    mo(&mut scene, "by the first").await;
    expect(&mut kitchen, "by the first").await;
    // Another file changes nothing before somebody says so, and nothing if it is only asked what it would change.
    write(2, "office");
    mo(&mut scene, "as before").await;
    expect(&mut kitchen, "as before").await;
    let would_be = scene.ask(true).await;
    assert_eq!(lines(&would_be, "changes"), ["instructions[0]: changed"]);
    mo(&mut scene, "asked only").await;
    expect(&mut kitchen, "asked only").await;
    scene.change(&text, &["instructions[0]: changed"]).await;
    for number in 0..5 {
        let text = format!("by the second {number}");
        mo(&mut scene, &text).await;
        expect(&mut office, &text).await;
    }
    write(3, "");
    scene
        .refuse(&text, &["shop.toml: line 3: rule[0].to_bind: is empty"])
        .await;
    fs::remove_file(&file).unwrap();
    scene.refuse(&text, &["instructions[0].file: "]).await;
    mo(&mut scene, "still by the second").await;
    expect(&mut office, "still by the second").await;
    scene.end("instructions_file_changed").await;
}
