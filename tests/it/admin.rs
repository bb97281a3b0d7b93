//! The admin listener: verbs over HTTP for who has a token, and nothing for anybody else.

use std::fs;
use std::net::SocketAddr;

use serde_json::{Value, json};
use tidegate_codec::status::CommandStatus;
use tidegate_gateway::admin::Role;
use tidegate_gateway::control::Verb;
use tidegate_tests::esme::message;
use tidegate_tests::{ScriptedEsme, ScriptedSmsc};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::control::ask;
use crate::local::Local;

/// The answer to octets as they are: its status, its head, its body.
async fn raw(address: SocketAddr, request: &[u8]) -> (u16, String, Value) {
    let answer = raw_text(address, request).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let body = serde_json::from_str(body).unwrap_or_default();
    (status.unwrap_or_default(), head.to_lowercase(), body)
}

pub(crate) async fn raw_text(address: SocketAddr, request: &[u8]) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    // Who is refused early may not have read all of it.
    let _ = socket.write_all(request).await;
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

pub(crate) async fn post(address: SocketAddr, token: &str, path: &str, body: &str) -> (u16, Value) {
    let length = body.len();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    );
    let (status, _, body) = raw(address, request.as_bytes()).await;
    (status, body)
}

pub(crate) async fn token(local: &Local, name: &str, role: Role) -> String {
    let verb = Verb::TokenAdd {
        name: name.to_owned(),
        role,
        days: 1,
    };
    let made = ask(local, verb).await.unwrap();
    made["token"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_opens_what_its_role_is_for_until_it_is_revoked() {
    let mut smsc = ScriptedSmsc::listen().await;
    let mut local = Local::start(smsc.addr(), "");
    smsc.expect_binds(1).await;
    let (read, operate, privacy) = (
        token(&local, "board", Role::Read).await,
        token(&local, "ops", Role::Operate).await,
        token(&local, "desk", Role::Privacy).await,
    );
    let (legal, subject) = (
        token(&local, "counsel", Role::Legal).await,
        token(&local, "requests", Role::Subject).await,
    );
    let at = local.admin();
    for token in [&read, &operate, &privacy, &legal, &subject] {
        let (status, told) = post(at, token, "/v1/spool/inspect", "").await;
        assert_eq!((status, &told["intake"]), (200, &json!(true)));
    }
    let ban = r#"{"address":"192.0.2.7","for_s":60}"#;
    for (token, path, body, expected) in [
        (&read, "/v1/ban/add", ban, 403),
        (&privacy, "/v1/ban/add", ban, 403),
        (&operate, "/v1/ban/add", ban, 200),
        (&operate, "/v1/ban/add", "{\"address\":7}", 400),
        (&operate, "/v1/ban/add", "[1]", 400),
        (&read, "/v1/carrier/list", "", 200),
        (&read, "/v1/carrier/pause", r#"{"carrier":"sink"}"#, 403),
        (&privacy, "/v1/account/suspend", r#"{"account":"load"}"#, 403),
        (&operate, "/v1/carrier/pause", r#"{"carrier":"nobody"}"#, 409),
        (&operate, "/v1/carrier/rate", r#"{"carrier":"sink"}"#, 400),
        // This process logs nothing, but who may ask is decided before.
        (&read, "/v1/log/filter", "", 409),
        (&read, "/v1/log/filter", r#"{"filter":"debug"}"#, 403),
        (&operate, "/v1/log/filter", r#"{"filter":"debug"}"#, 409),
        (
            &operate,
            "/v1/carrier/rate",
            r#"{"carrier":"sink","per_second":500}"#,
            200,
        ),
        // What lies under the keys of a tier is for its role alone (ENC-5).
        (&privacy, "/v1/hold/list", "", 403),
        (&subject, "/v1/hold/list", "", 403),
        (&legal, "/v1/hold/list", "", 200),
        (&privacy, "/v1/disclosure/list", "", 403),
        (&legal, "/v1/disclosure/list", "", 200),
        (&privacy, "/v1/subject/list", "", 403),
        (&legal, "/v1/subject/list", "", 403),
        (&subject, "/v1/subject/list", "", 200),
        (&legal, "/v1/optout/list", r#"{"account":"load"}"#, 403),
        (&subject, "/v1/ban/add", ban, 403),
        (&operate, "/v1/optout/list", r#"{"account":"load"}"#, 403),
        (&privacy, "/v1/optout/list", r#"{"account":"nobody"}"#, 409),
        (
            &operate,
            "/v1/token/add",
            r#"{"name":"x","role":"read","days":1}"#,
            404,
        ),
        (&operate, "/v1/format", "", 404),
    ] {
        assert_eq!(post(at, token, path, body).await.0, expected, "{path} {body}");
    }
    // What is done there is done as at the socket.
    let stop = r#"{"account":"load","origin":"recipient","rows":[{"line":1,"number":"+15550100123"}]}"#;
    let (status, told) = post(at, &privacy, "/v1/optout/add", stop).await;
    assert_eq!((status, &told["entered"]), (200, &json!(1)), "{told}");
    let mut esme = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    let refused = esme
        .submit_refused(message("12345", "15550100123", "hello"))
        .await;
    assert_eq!(refused, CommandStatus(0x0401));
    let (status, page) = post(at, &privacy, "/v1/optout/list", r#"{"account":"load"}"#).await;
    assert_eq!(
        (status, &page["entries"][0]["number"]),
        (200, &json!("15550100123"))
    );
    // Revoked, over a restart too; who was asked for is in the log by name.
    let revoked = ask(
        &local,
        Verb::TokenRevoke {
            name: "ops".to_owned(),
        },
    )
    .await;
    assert_eq!(revoked.unwrap()["revoked"], true);
    assert_eq!(post(at, &operate, "/v1/spool/inspect", "").await.0, 401);
    local.restart();
    let at = local.admin();
    assert_eq!(post(at, &operate, "/v1/spool/inspect", "").await.0, 401);
    assert_eq!(post(at, &read, "/v1/spool/inspect", "").await.0, 200);
    local.stop();
    let mut log = Vec::new();
    for path in local
        .files()
        .iter()
        .filter(|path| path.to_string_lossy().contains("/audit/"))
    {
        log.extend(fs::read(path).unwrap());
    }
    let log = String::from_utf8_lossy(&log).into_owned();
    assert!(log.contains("desk") && log.contains("optout add") && log.contains("token revoke"));
    for path in local.files() {
        let octets = fs::read(&path).unwrap();
        for token in [&read, &operate, &privacy] {
            let is_there = octets.windows(token.len()).any(|part| part == token.as_bytes());
            assert!(!is_there, "{} holds a token", path.display());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_token_nothing_is_learnt_and_whatever_comes_is_answered() {
    let smsc = ScriptedSmsc::listen().await;
    let local = Local::start(smsc.addr(), "");
    let good = token(&local, "board", Role::Read).await;
    let at = local.admin();
    for path in ["/v1/spool/inspect", "/v1/optout/export", "/v1/no/such"] {
        for token in ["", "tga_wrong", &good[..good.len() - 1]] {
            let (status, body) = post(at, token, path, "{}").await;
            assert_eq!(status, 401, "{path} {token}");
            assert!(body["refused"].is_string());
        }
    }
    let (status, head, _) = raw(at, b"POST /v1/spool/inspect HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(
        status == 401 && head.contains("www-authenticate: bearer"),
        "{head}"
    );
    let (status, _, _) = raw(at, b"GET /v1/spool/inspect HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(status, 405);
    let (status, _, document) = raw(at, b"GET /v1/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!((status, &document["openapi"]), (200, &json!("3.1.0")));
    let large = format!("{{\"account\":\"{}\"}}", "a".repeat(70_000));
    assert_eq!(post(at, &good, "/v1/account/usage", &large).await.0, 413);
    let page = raw_text(local.http(), b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await;
    for line in [
        "tidegate_admin_requests_total{status=\"401\"} 10",
        "tidegate_admin_requests_total{status=\"413\"} 1",
    ] {
        assert!(page.contains(line), "{line}");
    }
    assert!(!page.contains("board") && !page.contains("tga_"));
    // Garbage is no request, and nothing stops being served by it.
    let (status, _, _) = raw(at, b"\x16\x03\x01\x00\x05hello\r\n\r\n").await;
    assert!(status == 400 || status == 0, "{status}");
    assert_eq!(post(at, &good, "/v1/spool/inspect", "").await.0, 200);
}
