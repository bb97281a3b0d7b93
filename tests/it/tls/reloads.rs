//! Certificates and listeners that a reload changes while links are open.

use std::fs;

use tidegate_codec::status::CommandStatus;
use tidegate_codec::values::BindKind;
use tidegate_tests::ScriptedEsme;
use tidegate_tests::esme::message;

use super::authority::{Authority, Version};
use super::{FROM, TO, shake, tunnel};
use crate::reload::scene::Scene;

/// The scene's one listener with TLS.
fn sealed(scene: &Scene) -> String {
    let path = |name: &str| scene.path(name).display().to_string();
    let (certificate, key) = (path("listen.pem"), path("listen.key"));
    scene.with(
        "[[listen]]",
        &format!("tls = {{ certificate = \"{certificate}\", key = \"{key}\" }}"),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_changes_the_certificate_and_drops_no_link() {
    let mut scene = Scene::start().await;
    let (old, new) = (Authority::new(), Authority::new());
    let dir = scene.path("");
    // What is bound in clear stays while its listener begins to speak TLS.
    let mut clear = scene.shop().await;
    old.issue(&dir, "listen");
    let text = sealed(&scene);
    scene.change(&text, &["listen[0]: changed"]).await;
    clear.submit_ok(message(FROM, TO, "bound in clear")).await;
    let trusts_old = old.client(Version::Tls13, None);
    let trusts_new = new.client(Version::Tls13, None);
    let through = tunnel(scene.esme(), trusts_old.clone()).await;
    let mut open = ScriptedEsme::bound(through, "shop", "secret").await;
    assert!(shake(scene.esme(), trusts_new.clone()).await.is_err());
    // Other files under the same names; with one of the two in place the old ones go on.
    new.issue(&dir, "next");
    fs::rename(dir.join("next.pem"), dir.join("listen.pem")).unwrap();
    scene.refuse(&text, &["do not go together"]).await;
    shake(scene.esme(), trusts_old.clone()).await.unwrap();
    fs::rename(dir.join("next.key"), dir.join("listen.key")).unwrap();
    scene
        .change(&text, &["listen[0].tls: changed where it is kept"])
        .await;
    assert!(shake(scene.esme(), trusts_old.clone()).await.is_err());
    let through = tunnel(scene.esme(), trusts_new.clone()).await;
    let mut later = ScriptedEsme::bound(through, "shop", "secret").await;
    later.submit_ok(message(FROM, TO, "by the new one")).await;
    open.submit_ok(message(FROM, TO, "by the old one")).await;
    scene.change(&text, &[]).await;
    // A file that is broken changes nothing.
    fs::write(dir.join("listen.pem"), "broken").unwrap();
    let file = dir.join("listen.pem").display().to_string();
    scene.refuse(&text, &[&file]).await;
    shake(scene.esme(), trusts_new).await.unwrap();
    open.submit_ok(message(FROM, TO, "as before")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_asks_for_tls_from_now_on_is_unbound_where_it_is_clear() {
    let mut scene = Scene::start().await;
    let mut clear = scene.shop().await;
    let text = scene.with("system_id = \"shop\"", "min_transport = \"tls1.3\"");
    scene
        .change(&text, &["account.shop.min_transport: clear -> tls1.3"])
        .await;
    clear.expect_id(tidegate_codec::header::CommandId::UNBIND).await;
    let mut again = ScriptedEsme::connect(scene.esme()).await;
    let answer = again.try_bind(BindKind::Transceiver, "shop", "secret").await;
    assert_eq!(answer.status(), CommandStatus::RBINDFAIL);
}
