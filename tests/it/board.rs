//! The dashboard: its page for anybody, its data for who has a token, as octets over real sockets.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tidegate_gateway::admin::Role;
use tidegate_gateway::board::{WATCHERS_EACH, WATCHERS_MAX};
use tidegate_gateway::control::Verb;
use tidegate_tests::esme::message;
use tidegate_tests::{Process, ScriptedEsme, ScriptedSmsc};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::admin::{post, raw_text, token};
use crate::control::{ask, tidegate};
use crate::local::{Changes, Local};

/// Much longer than the loop takes for a second.
const PATIENCE: Duration = Duration::from_secs(30);

/// A stream of events, read as it comes.
struct Stream {
    socket: TcpStream,
    text: String,
}

impl Stream {
    async fn open(address: SocketAddr, token: &str) -> Self {
        let mut socket = TcpStream::connect(address).await.unwrap();
        let request = format!("GET /v1/board HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        let text = String::new();
        Self { socket, text }
    }

    /// Reads until this has come, and returns what stood before it; `None` at the end.
    async fn until(&mut self, what: &str) -> Option<String> {
        loop {
            if let Some((before, after)) = self.text.split_once(what) {
                let (before, after) = (before.to_owned(), after.to_owned());
                self.text = after;
                return Some(before);
            }
            let mut octets = [0; 4_096];
            match timeout(PATIENCE, self.socket.read(&mut octets)).await.unwrap() {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.text.push_str(&String::from_utf8_lossy(&octets[..count])),
            }
        }
    }

    /// The next event of a kind.
    async fn event(&mut self, kind: &str) -> Option<Value> {
        self.until(&format!("event: {kind}\ndata: ")).await?;
        let data = self.until("\n\n").await?;
        Some(serde_json::from_str(&data).unwrap())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_is_anybodys_and_holds_nothing_and_may_run_nothing_but_itself() {
    let smsc = ScriptedSmsc::listen().await;
    let local = Local::start(smsc.addr(), "");
    let page = raw_text(local.admin(), b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let (head, body) = page.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    for line in [
        "content-type: text/html; charset=utf-8",
        "content-security-policy: default-src 'none'; script-src 'sha256-",
        "x-content-type-options: nosniff",
        "x-frame-options: DENY",
        "referrer-policy: no-referrer",
        "cache-control: no-store",
    ] {
        assert!(head.contains(line), "{line}\n{head}");
    }
    assert!(!head.contains("unsafe-") && !head.contains("*"), "{head}");
    for word in ["load", "sink", "tga_"] {
        assert!(!body.contains(&format!("\"{word}\"")), "{word}");
    }
    let metrics = raw_text(local.http(), b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(
        metrics.starts_with("HTTP/1.1 404 "),
        "the page is not where metrics are"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_tells_what_happens_and_ends_with_its_token() {
    let mut smsc = ScriptedSmsc::listen().await;
    let local = Local::start(smsc.addr(), "");
    smsc.expect_binds(1).await;
    let (at, read) = (local.admin(), token(&local, "board", Role::Read).await);
    for wrong in ["", "tga_wrong"] {
        let mut refused = Stream::open(at, wrong).await;
        assert!(refused.until("HTTP/1.1 401 ").await.is_some());
        assert!(refused.until("event:").await.is_none());
    }
    let mut stream = Stream::open(at, &read).await;
    let head = stream.until("\r\n\r\n").await.unwrap().to_lowercase();
    assert!(head.contains("content-type: text/event-stream") && head.contains("cache-control: no-store"));
    assert!(stream.event("history").await.unwrap()["points"].is_array());

    let mut esme = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    esme.submit_ok(message("12345", "15550100123", "hello")).await;
    let submit = smsc.expect_submit().await;
    smsc.answer(&submit, "1").await;
    let seen = loop {
        let seen = stream.event("board").await.unwrap();
        if seen["carriers"][0]["answers_10m"] == 1 {
            break seen;
        }
    };
    assert_eq!(seen["accounts"][0]["name"], "load");
    assert_eq!(seen["accounts"][0]["accepted_10m"], 1);
    assert_eq!(seen["accounts"][0]["binds"], serde_json::json!([0, 0, 1]));
    assert_eq!(seen["carriers"][0]["links"], serde_json::json!([1, 1]));
    assert_eq!(seen["carriers"][0]["health"], "up");
    assert!(seen["totals"]["accepted_s"].as_f64().unwrap() > 0.0);
    assert_eq!(seen["alarms"], serde_json::json!([]));
    let text = seen.to_string();
    assert!(!text.contains("15550100123") && !text.contains("hello"), "P4");

    // Who is cut off from its carrier sees it, by the same shot over all three ways.
    smsc.stop_listening();
    smsc.drop_all();
    loop {
        let seen = stream.event("board").await.unwrap();
        if seen["alarms"][0]["alert"] == "TidegateCarrierDown" {
            assert_eq!(seen["alarms"][0]["about"], "sink");
            break;
        }
    }
    let asked = ask(&local, Verb::Board).await.unwrap();
    assert_eq!(asked["alarms"][0]["alert"], "TidegateCarrierDown");
    let (status, posted) = post(at, &read, "/v1/board", "").await;
    assert_eq!(
        (status, &posted["carriers"][0]["health"]),
        (200, &Value::from("down"))
    );
    assert!(posted["history"]["points"].is_array());

    let name = "board".to_owned();
    ask(&local, Verb::TokenRevoke { name }).await.unwrap();
    while stream.event("board").await.is_some() {}
    assert!(
        Stream::open(at, &read)
            .await
            .until("HTTP/1.1 401 ")
            .await
            .is_some()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_many_watch_and_verbs_have_their_places_all_the_same() {
    let smsc = ScriptedSmsc::listen().await;
    let changes = Changes {
        http: "admin_max_per_ip = 16",
        ..Changes::default()
    };
    let local = Local::start_with(smsc.addr(), changes);
    let (at, read) = (local.admin(), token(&local, "board", Role::Read).await);
    let (mut watching, mut last) = (Vec::new(), String::new());
    for place in 0..WATCHERS_MAX {
        let others = format!("board{}", place / WATCHERS_EACH);
        let others = match place % WATCHERS_EACH {
            0 => token(&local, &others, Role::Read).await,
            _ => last.clone(),
        };
        let mut stream = Stream::open(at, &others).await;
        assert!(stream.event("board").await.is_some());
        watching.push(stream);
        last = others;
        if place + 1 == WATCHERS_EACH {
            let mut refused = Stream::open(at, &last).await;
            assert!(refused.until("3 watch with this token already").await.is_some());
        }
    }
    let mut refused = Stream::open(at, &read).await;
    assert!(refused.until("HTTP/1.1 503 ").await.is_some());
    // All places of this address but one, by clients that say nothing: those who watch take none of them.
    let mut silent = Vec::new();
    for _ in 0..15 {
        silent.push(TcpStream::connect(at).await.unwrap());
    }
    let (status, _) = timeout(PATIENCE, post(at, &read, "/v1/spool/inspect", ""))
        .await
        .unwrap();
    assert_eq!(status, 200);
    let page = raw_text(local.http(), b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(
        page.contains(&format!("tidegate_admin_watchers {WATCHERS_MAX}\n")),
        "{page}"
    );
    // Who goes gives the place back.
    drop(watching.pop());
    loop {
        let mut stream = Stream::open(at, &read).await;
        if stream.until("HTTP/1.1 200 ").await.is_some() {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_terminal_has_one_look_as_text_or_as_one_object_and_says_when_there_is_no_gateway() {
    let smsc = ScriptedSmsc::listen().await;
    let mut process = Process::start(Process::built(), |places| places.config(&[smsc.addr()], "")).await;
    for words in [&["top", "--once"][..], &["top"]] {
        let shown = tidegate(&process, words);
        let text = String::from_utf8_lossy(&shown.stdout).into_owned();
        assert!(shown.status.success(), "{shown:?}");
        assert!(
            text.starts_with("tidegate ") && text.contains("accepted 0/s"),
            "{text}"
        );
        assert!(text.contains("\nload ") && !text.contains('\u{1b}'), "{text}");
    }
    let shown = tidegate(&process, &["top", "--json"]);
    let told: Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(told["accounts"][0]["name"], "load");
    assert_eq!(told["history"]["every_s"], 10);
    assert!(process.stop().await.success());
    let refused = tidegate(&process, &["top"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("no gateway runs"));
}

/// What a body that cannot be read means is told at once, and not by the next start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_that_is_met_while_it_runs_is_an_alarm() {
    let mut smsc = ScriptedSmsc::listen().await;
    smsc.stop_listening();
    let mut local = Local::start(smsc.addr(), "");
    let mut esme = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    esme.submit_ok(message("12345", "15550100123", "to be read back"))
        .await;
    // From here on its body lies on disk only.
    local.restart();
    let alerts = async |local: &Local| -> Vec<String> {
        let board = ask(local, Verb::Board).await.unwrap();
        let alarms = board["alarms"].as_array().unwrap();
        alarms
            .iter()
            .map(|alarm| alarm["alert"].as_str().unwrap().to_owned())
            .collect()
    };
    let damage = "TidegateSpoolDamage".to_owned();
    assert!(!alerts(&local).await.contains(&damage), "the start found none");
    for path in local.files() {
        if path.to_string_lossy().contains("/data/spool/") {
            let mut octets = fs::read(&path).unwrap();
            // Behind the header, and not where nothing is written yet.
            let written = octets.iter_mut().skip(64).filter(|octet| **octet != 0);
            written.for_each(|octet| *octet ^= 0x55);
            fs::write(&path, octets).unwrap();
        }
    }
    smsc.reopen().await;
    smsc.expect_binds(1).await;
    let seen = async {
        while !alerts(&local).await.contains(&damage) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(timeout(PATIENCE, seen).await.is_ok());
    // All else goes on.
    let mut esme = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    esme.submit_ok(message("12345", "15550100123", "as before")).await;
    assert_eq!(smsc.expect_submit().await.text(), "as before");
}
