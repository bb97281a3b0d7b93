//! What is served, and when a request is given up.

use std::collections::BTreeSet;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::watch;

use super::*;
use crate::http::{HttpServer, Seal};
use crate::telemetry::{HttpMetrics, Telemetry};

#[test]
fn the_document_for_programs_has_the_verbs_that_are_served_with_their_roles() {
    let document: Value = serde_json::from_str(OPENAPI).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let described: BTreeSet<&str> = paths.keys().map(String::as_str).collect();
    let mut served = BTreeSet::from(["/", "/v1/openapi.json"].map(str::to_owned));
    for (verb, role) in VERBS {
        let path = format!("/v1/{}", verb.replace(' ', "/"));
        let text = document["paths"][&path]["post"]["description"]
            .as_str()
            .unwrap_or_default();
        assert!(text.contains(&format!("role {} ", role.word())), "{path}: {text}");
        served.insert(path);
    }
    assert_eq!(described, served.iter().map(String::as_str).collect());
}

#[test]
fn every_verb_that_is_served_is_one_of_the_control_socket() {
    for (verb, _) in VERBS {
        let object = Map::from_iter([
            ("version".to_owned(), json!(control::VERSION)),
            ("verb".to_owned(), json!(verb)),
        ]);
        if let Err(why) = control::Verb::of_object(&object) {
            assert!(!why.contains("unknown verb"), "{verb}: {why}");
        }
    }
}

/// A listener, a token that is good, and what is asked of the loop.
async fn serve() -> (std::net::SocketAddr, String, mpsc::Receiver<control::Request>) {
    let dir = tempfile::tempdir().unwrap();
    let tokens = Tokens::open(dir.path()).unwrap();
    let clock = Clock::machine();
    let mut rng = crate::random::generator().unwrap();
    let made = tokens
        .add("ops", Role::Operate, 1, clock.now().unix_ms, &mut rng)
        .unwrap();
    let telemetry = Telemetry::new();
    let (asked, to_answer) = control::ends();
    let desk = Desk {
        tokens: Arc::new(tokens),
        access: Arc::new(Access::open(dir.path()).unwrap()),
        asked,
        clock: clock.clone(),
        metrics: Arc::new(AdminMetrics::new(&telemetry)),
        board: Arc::new(Board::default()),
        page: Arc::new(Page::new()),
    };
    let server = HttpServer::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = server.local_addr().unwrap();
    let seal = Seal {
        tls: None,
        within: BODY_TIME,
        handshakes: 1,
        per_address: LIMITS.connections,
        clock,
    };
    let counted = (HttpMetrics::new(&telemetry, "admin"), watch::channel(seal).1);
    tokio::spawn(server.serve_router(router(desk), LIMITS, counted, std::future::pending()));
    (address, made["token"].as_str().unwrap().to_owned(), to_answer)
}

/// The status of an answer, and how long it took.
async fn ask(address: std::net::SocketAddr, token: &str, length: usize, body: &str) -> (u16, Duration) {
    let clock = Clock::machine();
    let begun = clock.now().monotonic;
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!(
        "POST /v1/ban/list HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer).await;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or_default(), clock.now().monotonic - begun)
}

#[tokio::test(start_paused = true)]
async fn a_body_has_its_time_and_the_verb_s_work_another() {
    let (address, token, mut to_answer) = serve().await;
    let near =
        |took: Duration, expected: Duration| (expected..expected + Duration::from_secs(1)).contains(&took);
    let (status, took) = ask(address, &token, 2, "{").await;
    assert!(status == 408 && near(took, BODY_TIME), "{status} {took:?}");
    // Nobody answers what is asked of the loop.
    let (status, took) = ask(address, &token, 2, "{}").await;
    assert!(status == 504 && near(took, WORK_TIME), "{status} {took:?}");
    let request = to_answer.recv().await.unwrap();
    assert!(request.answer.is_closed(), "given up");
    // Without a token a body is not waited for.
    let (status, took) = ask(address, "tga_wrong", 2, "{").await;
    assert!(status == 401 && near(took, Duration::ZERO), "{status} {took:?}");
}
