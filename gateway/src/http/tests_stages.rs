//! Each stage of a connection has its own time. In virtual time, which moves on when nothing else is left to do.

use super::*;
use crate::clock::Clock;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use axum::routing::post;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const HEAD: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_secs(20);
const WHOLE: Duration = Duration::from_secs(100);
/// More than sockets between two peers buffer.
const LARGE: usize = 64 << 20;

async fn waits(request: Request<Body>) -> String {
    let body = to_bytes(request.into_body(), 100).await.unwrap_or_default();
    tokio::time::sleep(Duration::from_secs(body.len() as u64)).await;
    "done".to_owned()
}

async fn run() -> (SocketAddr, Telemetry) {
    let (address, telemetry, _) = run_with(2).await;
    (address, telemetry)
}

/// The same with so many connections of one address, and what changes that.
async fn run_with(per_address: usize) -> (SocketAddr, Telemetry, watch::Sender<Seal>) {
    let server = HttpServer::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = server.local_addr().unwrap();
    let telemetry = Telemetry::new();
    let router = Router::new()
        .route("/waits", post(waits))
        .route("/large", get(|| async { "a".repeat(LARGE) }));
    let limits = Limits {
        connections: 2,
        head: HEAD,
        answer: ANSWER,
        whole: WHOLE,
        unread: None,
    };
    let seal = Seal {
        tls: None,
        within: HEAD,
        handshakes: 1,
        per_address,
        clock: Clock::machine(),
    };
    let (change, seal) = watch::channel(seal);
    let metrics = HttpMetrics::new(&telemetry, "admin");
    tokio::spawn(server.serve_router(router, limits, (metrics, seal), std::future::pending()));
    (address, telemetry, change)
}

/// Sends octets, and waits for the end of the connection: what was answered, and how long it took.
async fn send(address: SocketAddr, octets: &[u8]) -> (String, Duration) {
    let clock = Clock::machine();
    let begun = clock.now().monotonic;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(octets).await.unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer).await;
    (answer, clock.now().monotonic - begun)
}

fn about(took: Duration, expected: Duration) -> bool {
    (expected..expected + Duration::from_secs(1)).contains(&took)
}

fn is_counted(telemetry: &Telemetry, reason: &str) -> bool {
    let line = format!("tidegate_http_connections_cut_total{{listener=\"admin\",reason=\"{reason}\"}} 1");
    telemetry.render().lines().any(|found| found == line)
}

fn posted(length: usize, body: &str) -> String {
    format!("POST /waits HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n{body}")
}

#[tokio::test(start_paused = true)]
async fn a_head_that_does_not_come_keeps_a_place_for_its_own_time_only() {
    let (address, telemetry) = run().await;
    let (answer, took) = send(address, b"POST /waits HTTP/1.1\r\nhost: x\r\n").await;
    assert!(answer.is_empty() && about(took, HEAD), "{took:?} {answer}");
    assert!(is_counted(&telemetry, "head"));
}

#[tokio::test(start_paused = true)]
async fn a_request_has_all_the_time_that_there_is() {
    let (address, telemetry) = run().await;
    let work = 2 * HEAD + ANSWER;
    let body = "a".repeat(usize::try_from(work.as_secs()).unwrap());
    let (answer, took) = send(address, posted(body.len(), &body).as_bytes()).await;
    assert!(answer.ends_with("done") && about(took, work), "{took:?} {answer}");
    // A body that does not come is its handler's to bound, and the whole is the last bound.
    let (answer, took) = send(address, posted(9, "").as_bytes()).await;
    assert!(answer.is_empty() && about(took, WHOLE), "{took:?} {answer}");
    assert!(is_counted(&telemetry, "request"));
}

#[tokio::test(start_paused = true)]
async fn who_does_not_read_the_answer_is_closed() {
    let (address, telemetry) = run().await;
    let clock = Clock::machine();
    let begun = clock.now().monotonic;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream
        .write_all(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    tokio::time::sleep(ANSWER + Duration::from_secs(1)).await;
    let mut got = Vec::new();
    let _ = stream.read_to_end(&mut got).await;
    assert!(got.len() < LARGE && clock.now().monotonic - begun < WHOLE);
    assert!(is_counted(&telemetry, "answer"));
}

#[tokio::test(start_paused = true)]
async fn what_is_no_http_and_who_goes_are_counted() {
    let (address, telemetry) = run().await;
    let (answer, _) = send(address, b"\x16\x03\x01\x00\x05hello\r\n\r\n").await;
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 400 "),
        "{answer}"
    );
    assert!(is_counted(&telemetry, "malformed"));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"POST /waits HTTP/1.1\r\n").await.unwrap();
    drop(stream);
    tokio::time::sleep(HEAD / 2).await;
    assert!(is_counted(&telemetry, "gone"));
    let count = telemetry.render();
    assert!(
        count.contains("tidegate_http_connections_total{listener=\"admin\"} 2"),
        "{count}"
    );
}

/// From an address of this machine.
async fn from(here: &str, address: SocketAddr) -> TcpStream {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(here.parse().unwrap(), 0)).unwrap();
    socket.connect(address).await.unwrap()
}

/// Asks over a connection: what was answered.
async fn answered(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    // It may be closed already.
    let _ = stream.write_all(posted(0, "").as_bytes()).await;
    let _ = stream.read_to_string(&mut answer).await;
    answer
}

#[tokio::test(start_paused = true)]
async fn one_address_does_not_take_all_places() {
    let (address, telemetry, change) = run_with(1).await;
    // It says nothing, and has its place for the time of a head.
    let silent = from("127.0.0.2", address).await;
    assert_eq!(answered(from("127.0.0.2", address).await).await, "");
    assert!(is_counted(&telemetry, "address"));
    let other = answered(from("127.0.0.3", address).await).await;
    assert!(other.ends_with("done"), "{other}");
    // A reload may allow more, of what comes from then on.
    change.send_modify(|seal| seal.per_address = 2);
    let second = answered(from("127.0.0.2", address).await).await;
    assert!(second.ends_with("done"), "{second}");
    change.send_modify(|seal| seal.per_address = 1);
    assert_eq!(answered(from("127.0.0.2", address).await).await, "");
    // Who goes makes room.
    drop(silent);
    tokio::time::sleep(HEAD).await;
    let again = answered(from("127.0.0.2", address).await).await;
    assert!(again.ends_with("done"), "{again}");
}
