//! The admin listener over TLS.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ClientConfig;
use tempfile::TempDir;
use tidegate_gateway::admin::Role;
use tidegate_gateway::control::Verb;
use tidegate_tests::ScriptedSmsc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::authority::{self, Authority, Version};
use super::{LONG_FROM_NOW, Site, end_of, shake};
use crate::control::ask;
use crate::local::{Changes, Local};
use crate::reload::scene::Scene;

/// A gateway whose admin listener speaks TLS, with these keys beside its files, and a token of it.
async fn start(keys: &str, files: TempDir, limits: &str) -> (Site, String) {
    let authority = Authority::new();
    authority.issue(files.path(), "admin");
    let dir = files.path().display();
    let http =
        format!("admin_tls = {{ certificate = \"{dir}/admin.pem\", key = \"{dir}/admin.key\", {keys} }}");
    let mut smsc = ScriptedSmsc::listen().await;
    let changes = Changes {
        http: &http,
        limits,
        ..Changes::default()
    };
    let local = Local::start_with(smsc.addr(), changes);
    smsc.expect_binds(1).await;
    let verb = Verb::TokenAdd {
        name: "board".to_owned(),
        role: Role::Read,
        days: 1,
    };
    let made = ask(&local, verb).await.unwrap();
    let token = made["token"].as_str().unwrap().to_owned();
    let site = Site {
        local,
        smsc,
        authority,
        files,
    };
    (site, token)
}

/// What is answered to a look at the spool; nothing where the handshake or the connection comes to nothing.
async fn look(address: SocketAddr, client: Arc<ClientConfig>, token: &str) -> String {
    let mut answer = String::new();
    if let Ok(mut sealed) = shake(address, client).await {
        let request = format!(
            "POST /v1/spool/inspect HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Length: 0\r\n\r\n"
        );
        // With TLS 1.3 a client learns behind its own handshake that its certificate was not good.
        let _ = sealed.write_all(request.as_bytes()).await;
        let _ = sealed.read_to_string(&mut answer).await;
    }
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verbs_are_done_over_tls_1_3_and_nothing_is_said_in_clear() {
    let (site, token) = start("", TempDir::new().unwrap(), "").await;
    let at = site.local.admin();
    let tls13 = site.authority.client(Version::Tls13, None);
    let answer = look(at, tls13.clone(), &token).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let answer = look(at, tls13, "tga_wrong").await;
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    assert_eq!(
        look(at, site.authority.client(Version::Tls12, None), &token).await,
        ""
    );
    let mut clear = TcpStream::connect(at).await.unwrap();
    let _ = clear
        .write_all(b"GET /v1/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n")
        .await;
    let said = end_of(&mut clear).await;
    assert!(
        said.is_empty() || said[0] == 0x15,
        "an alert or nothing: {said:?}"
    );
    for line in [
        "tidegate_tls_handshakes_total{side=\"admin\",result=\"tls1.3\"} 2".to_owned(),
        "tidegate_tls_handshakes_total{side=\"admin\",result=\"version\"} 1".to_owned(),
        "tidegate_tls_handshakes_total{side=\"admin\",result=\"failed\"} 1".to_owned(),
        "tidegate_http_connections_total{listener=\"admin\"} 4".to_owned(),
        "tidegate_http_connections_cut_total{listener=\"admin\",reason=\"handshake\"} 2".to_owned(),
        format!(
            "tidegate_certificate_expiry_timestamp_seconds{{side=\"admin\",name=\"127.0.0.1:0\"}} {}",
            authority::EXPIRES_S
        ),
    ] {
        site.expect_metric(&line).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_needs_a_certificate_where_there_is_a_ca_of_them() {
    let (files, operators) = (TempDir::new().unwrap(), Authority::new());
    fs::write(files.path().join("operators.pem"), operators.pem()).unwrap();
    let keys = format!(
        "client_ca = \"{}/operators.pem\", tls12 = {{ name = \"old browser\", until = {LONG_FROM_NOW} }}",
        files.path().display()
    );
    let (site, token) = start(&keys, files, "").await;
    for version in [Version::Tls13, Version::Tls12] {
        let certified = site.authority.client(version, Some(&operators));
        let answer = look(site.local.admin(), certified, &token).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        for by in [None, Some(&site.authority)] {
            let other = site.authority.client(version, by);
            assert_eq!(look(site.local.admin(), other, &token).await, "");
        }
    }
    site.expect_metric("tidegate_tls_handshakes_total{side=\"admin\",result=\"certificate\"} 4")
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handshakes_with_the_admin_listener_are_bounded_in_number_and_time() {
    let limits = "max_handshakes = 2\ntls_handshake = \"1s\"";
    let (site, token) = start("", TempDir::new().unwrap(), limits).await;
    let open = || async { TcpStream::connect(site.local.admin()).await.unwrap() };
    let (first, second, third) = (open().await, open().await, open().await);
    assert!(end_of(third).await.is_empty());
    site.expect_metric("tidegate_http_connections_cut_total{listener=\"admin\",reason=\"handshakes\"} 1")
        .await;
    for silent in [first, second] {
        assert!(end_of(silent).await.is_empty());
    }
    site.expect_metric("tidegate_tls_handshakes_total{side=\"admin\",result=\"timed_out\"} 2")
        .await;
    let client = site.authority.client(Version::Tls13, None);
    let answer = look(site.local.admin(), client, &token).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_gives_the_admin_listener_tls_another_certificate_and_none() {
    let mut scene = Scene::start().await;
    let (old, new) = (Authority::new(), Authority::new());
    let dir = scene.path("");
    old.issue(&dir, "admin");
    let (certificate, key) = (dir.join("admin.pem"), dir.join("admin.key"));
    let clear = scene.text.clone();
    let tls = format!(
        "admin_tls = {{ certificate = \"{}\", key = \"{}\" }}",
        certificate.display(),
        key.display()
    );
    let sealed = scene.with("[http]", &tls);
    scene.change(&sealed, &["http.admin_tls: changed"]).await;
    let trusts = |authority: &Authority| authority.client(Version::Tls13, None);
    let mut open = shake(scene.admin(), trusts(&old)).await.unwrap();
    new.issue(&dir, "admin");
    scene
        .change(&sealed, &["http.admin_tls: changed where it is kept"])
        .await;
    assert!(shake(scene.admin(), trusts(&old)).await.is_err());
    let answer = look(scene.admin(), trusts(&new), "none").await;
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    // What was open goes on with what it has.
    open.write_all(b"GET /v1/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    let _ = open.read_to_string(&mut answer).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    fs::write(&key, "broken").unwrap();
    scene.refuse(&sealed, &["http.admin_tls.key: "]).await;
    scene.change(&clear, &["http.admin_tls: changed"]).await;
    assert!(shake(scene.admin(), trusts(&new)).await.is_err());
}
