//! Over real sockets, because bounds of a server are bounds of its sockets.

use super::connection::serve;
use super::*;
use crate::board::{Board, Streamed};
use crate::clock::Clock;
use crate::telemetry::AdminMetrics;
use crate::telemetry::words::HttpCut;
use axum::Extension;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

struct Running {
    address: SocketAddr,
    health: Arc<Health>,
    telemetry: Telemetry,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

async fn run() -> Running {
    let server = HttpServer::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = server.local_addr().unwrap();
    let health = Arc::new(Health::new(Clock::machine()));
    let telemetry = Telemetry::new();
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(server.serve(Arc::clone(&health), telemetry.clone(), async {
        let _ = stopped.await;
    }));
    Running {
        address,
        health,
        telemetry,
        stop,
        task,
    }
}

async fn send(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    // A reset after the answer, because we sent more than was read, is an end like any other.
    let _ = stream.read_to_string(&mut answer).await;
    answer
}

async fn ask(address: SocketAddr, path: &str) -> String {
    send(address, &format!("GET {path} HTTP/1.1\r\nhost: gateway\r\n\r\n")).await
}

#[tokio::test]
async fn probes_and_metrics_answer() {
    let running = run().await;
    let ready = ask(running.address, "/readyz").await;
    assert!(ready.starts_with("HTTP/1.1 503 "), "{ready}");
    assert!(ready.ends_with("not ready\nstarting\n"), "{ready}");
    running.health.set_phase(Phase::Serving);
    assert!(ask(running.address, "/readyz").await.starts_with("HTTP/1.1 200 "));
    assert!(ask(running.address, "/healthz").await.ends_with("alive\n"));

    crate::telemetry::GateMetrics::new(&running.telemetry)
        .turns
        .increment(7);
    let metrics = ask(running.address, "/metrics").await;
    assert!(
        metrics.contains("content-type: text/plain; version=0.0.4"),
        "{metrics}"
    );
    assert!(metrics.contains("\ntidegate_turns_total 7\n"), "{metrics}");
}

#[tokio::test]
async fn anything_else_is_refused() {
    let running = run().await;
    assert!(ask(running.address, "/").await.starts_with("HTTP/1.1 404 "));
    let posted = "POST /metrics HTTP/1.1\r\nhost: gateway\r\ncontent-length: 0\r\n\r\n";
    assert!(send(running.address, posted).await.starts_with("HTTP/1.1 405 "));
    let long = format!("GET /metrics HTTP/1.1\r\nx: {}\r\n\r\n", "a".repeat(2 * HEAD_MAX));
    assert!(!send(running.address, &long).await.contains("tidegate_"));
    let many = format!(
        "GET /metrics HTTP/1.1\r\n{}\r\n",
        "x: a\r\n".repeat(HEADERS_MAX + 1)
    );
    assert!(!send(running.address, &many).await.contains("tidegate_"));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_says_nothing_is_closed_by_time() {
    let running = run().await;
    let mut silent = TcpStream::connect(running.address).await.unwrap();
    silent.write_all(b"GET /metrics HTTP/1.1\r\n").await.unwrap();
    let mut answer = Vec::new();
    // Virtual time moves on only because nothing else is left to do.
    let read = tokio::time::timeout(HEAD_TIME + HEAD_TIME / 2, silent.read_to_end(&mut answer));
    let _ = read.await.expect("closed by the server");
    assert!(answer.is_empty());
}

#[tokio::test(start_paused = true)]
async fn more_connections_than_allowed_wait_until_others_end() {
    let clock = Clock::machine();
    let running = run().await;
    let idle: Vec<_> = (0..CONNECTIONS_MAX)
        .map(|_| std::net::TcpStream::connect(running.address).unwrap())
        .collect();
    // The backlog is served in order, so this one comes behind all of the idle ones.
    let answer = ask(running.address, "/healthz").await;
    assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
    assert!(
        clock.now().monotonic >= HEAD_TIME,
        "served although all places were taken"
    );
    drop(idle);
}

#[tokio::test]
async fn a_stop_closes_the_listener_and_ends_the_task() {
    let running = run().await;
    running.stop.send(()).unwrap();
    running.task.await.unwrap();
    assert!(TcpStream::connect(running.address).await.is_err());
}

async fn streamed(Extension(leave): Extension<Leave>, State(board): State<Arc<Board>>) -> impl IntoResponse {
    crate::board::stream(Streamed {
        watch: board.watch("board").unwrap(),
        counted: AdminMetrics::new(&Telemetry::new()).watching(),
        leave,
        may_see: Box::new(|| true),
    })
}

#[tokio::test(start_paused = true)]
async fn a_stream_has_time_and_takes_nobodys_place_until_its_reader_takes_nothing() {
    let board = Arc::new(Board::default());
    let router = Router::new()
        .route("/", get(streamed))
        .with_state(Arc::clone(&board));
    let places = Arc::new(Semaphore::new(1));
    let (mut reader, served) = tokio::io::duplex(1_024);
    let place = Arc::clone(&places).acquire_owned().await.ok();
    let serving = tokio::spawn(serve(
        served,
        router,
        LIMITS,
        Leave::new(Some(crowd::Place::new(place, None))),
    ));
    reader
        .write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    // What it reads for three times a request's time is what keeps it.
    let mut buffer = [0; 512];
    for _ in 0..10 {
        assert!(reader.read(&mut buffer).await.unwrap() > 0);
    }
    assert!(!serving.is_finished() && board.watchers() == 1);
    assert_eq!(places.available_permits(), 1);
    // Unread it goes on until what may wait is full, and then no longer than it must.
    let cut = tokio::time::timeout(Duration::from_secs(100_000), serving);
    assert_eq!(cut.await.unwrap().unwrap(), Some(HttpCut::Answer));
    tokio::task::yield_now().await;
    assert_eq!(board.watchers(), 0);
}

#[tokio::test]
async fn the_system_holds_little_for_who_does_not_read_and_not_for_long() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (_reader, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
    let (stream, _) = accepted.unwrap();
    let unread = crate::admin::LIMITS.unread.unwrap();
    unread.bound(&stream).unwrap();
    // The system doubles what it is told, for its own share.
    assert_eq!(
        sockopt::socket_send_buffer_size(&stream).unwrap(),
        2 * unread.octets
    );
    assert_eq!(sockopt::tcp_user_timeout(&stream).unwrap(), 15_000);
}
