//! Everybody who reaches a socket does his worst, all at once, while a client that is bound goes on: its submits are answered, and
//! each kind of attack is counted.

use std::net::SocketAddr;
use std::time::Duration;

use tempfile::TempDir;
use tidegate_codec::status::CommandStatus;
use tidegate_gateway::admin::Role;
use tidegate_gateway::clock::Clock;
use tidegate_gateway::control::Verb;
use tidegate_tests::esme::message;
use tidegate_tests::{DEADLINE, ScriptedEsme, ScriptedSmsc};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::control::ask;
use crate::local::{Changes, Local};
use crate::tls::authority::Authority;

/// Connections that say nothing.
const SILENT: usize = 200;
/// Those that write an octet at a time.
const SLOW: usize = 40;
/// Those that speak no TLS where TLS is spoken.
const GARBAGE: usize = 100;
/// Requests to each HTTP listener.
const REQUESTS: usize = 400;
/// Heads that are begun and not ended, on each: fewer than there are places.
const HEADS: usize = 20;
/// Longest that a submit may wait for its answer meanwhile.
const PATIENCE: Duration = Duration::from_secs(2);
/// Octets of a body that is too large.
const LARGE: usize = 70_000;

const LIMITS: &str = "session_init = \"2s\"\npdu_read = \"500ms\"\ntls_handshake = \"500ms\"\nmax_unbound_per_ip = 1000\n\
                      max_handshakes = 50\ninactivity = \"0s\"";

/// Waits for the end of a connection, whatever comes before it.
async fn until_closed(mut socket: TcpStream) {
    let mut octets = Vec::new();
    // A reset is an end like any other.
    let ended = tokio::time::timeout(2 * DEADLINE, socket.read_to_end(&mut octets)).await;
    assert!(ended.is_ok(), "the connection is still open");
}

async fn connect(to: SocketAddr) -> TcpStream {
    TcpStream::connect(to).await.unwrap()
}

async fn says(to: SocketAddr, octets: Vec<u8>) {
    let mut socket = connect(to).await;
    // Who is refused early may not have read all of it.
    let _ = socket.write_all(&octets).await;
    until_closed(socket).await;
}

/// A bind_transmitter, an octet every so often: slower than `pdu_read` allows.
async fn dribbles(to: SocketAddr) {
    let mut socket = connect(to).await;
    for octet in [0, 0, 0, 40, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1] {
        if socket.write_all(&[octet]).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    until_closed(socket).await;
}

fn posted(token: &str, body: &str) -> Vec<u8> {
    format!(
        "POST /v1/spool/inspect HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

async fn token(local: &Local, name: &str) -> String {
    let verb = Verb::TokenAdd {
        name: name.to_owned(),
        role: Role::Read,
        days: 1,
    };
    let made = ask(local, verb).await.unwrap();
    made["token"].as_str().unwrap().to_owned()
}

/// The value of a line of `/metrics`.
async fn count(local: &Local, name: &str) -> f64 {
    let mut socket = connect(local.http()).await;
    let request = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
    socket.write_all(request).await.unwrap();
    let mut page = String::new();
    socket.read_to_string(&mut page).await.unwrap();
    let line = page
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok()).unwrap_or(0.0)
}

/// Waits until so much at least is counted.
async fn expect_count(local: &Local, name: &str, least: usize) {
    let least = u32::try_from(least).unwrap();
    let looking = async {
        while count(local, name).await < f64::from(least) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let found = tokio::time::timeout(DEADLINE, looking).await;
    let now = count(local, name).await;
    assert!(found.is_ok(), "{name} is {now}, {least} should have come");
}

fn attack(local: &Local, (good, revoked): (&str, &str)) -> JoinSet<()> {
    let (esme, sealed, http, admin) = (local.esme(), local.listening(1), local.http(), local.admin());
    let mut under_way = JoinSet::new();
    for _ in 0..SILENT {
        under_way.spawn(async move { until_closed(connect(esme).await).await });
    }
    for _ in 0..SLOW {
        under_way.spawn(dribbles(esme));
    }
    for _ in 0..GARBAGE {
        under_way.spawn(says(sealed, vec![0xa5; 2_000]));
    }
    for number in 0..REQUESTS {
        let page = if number % 2 == 0 { "/metrics" } else { "/no/such" };
        under_way.spawn(says(
            http,
            format!("GET {page} HTTP/1.1\r\nHost: x\r\n\r\n").into_bytes(),
        ));
        let request = match number % 4 {
            0 => posted(good, &"a".repeat(LARGE)),
            1 => posted(revoked, ""),
            2 => posted("tga_wrong", ""),
            _ => b"\x16\x03\x01 no HTTP\r\n\r\n".to_vec(),
        };
        under_way.spawn(says(admin, request));
    }
    for address in [http, admin] {
        for _ in 0..HEADS {
            under_way.spawn(says(address, b"GET /metrics HTTP/1.1\r\nHost: ".to_vec()));
        }
    }
    under_way
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bound_client_does_not_feel_what_strangers_do_and_each_kind_is_counted() {
    let (files, authority) = (TempDir::new().unwrap(), Authority::new());
    authority.issue(files.path(), "listen");
    let dir = files.path().display();
    let extra = format!(
        "[[listen]]\naddress = \"127.0.0.1:0\"\ntls = {{ certificate = \"{dir}/listen.pem\", key = \"{dir}/listen.key\" }}\n"
    );
    let mut smsc = ScriptedSmsc::listen().await;
    let changes = Changes {
        limits: LIMITS,
        // All strangers come from one address here; which each is refused for is to be seen.
        http: "admin_max_per_ip = 32",
        extra: &extra,
        ..Changes::default()
    };
    let local = Local::start_with(smsc.addr(), changes);
    smsc.expect_binds(1).await;
    let (good, revoked) = (token(&local, "board").await, token(&local, "gone").await);
    let verb = Verb::TokenRevoke {
        name: "gone".to_owned(),
    };
    ask(&local, verb).await.unwrap();
    let mut esme = ScriptedEsme::bound(local.esme(), "load", "secret").await;

    let mut under_way = attack(&local, (&good, &revoked));
    let (over, is_over) = watch::channel(false);
    let client = tokio::spawn(async move {
        let clock = Clock::machine();
        let (mut submits, mut slowest) = (0_u32, Duration::ZERO);
        while !*is_over.borrow() {
            let asked = clock.now().monotonic;
            let sequence = esme
                .submit(message("447700900001", "447700900002", "goes on"))
                .await;
            let answer = esme.expect_submit_resp(sequence).await;
            assert_eq!(answer.status(), CommandStatus::ROK);
            slowest = slowest.max(clock.now().monotonic - asked);
            submits += 1;
        }
        (submits, slowest)
    });
    while let Some(ended) = under_way.join_next().await {
        ended.unwrap();
    }
    over.send_replace(true);
    let (submits, slowest) = client.await.unwrap();
    assert!(
        submits >= 100 && slowest < PATIENCE,
        "{submits} submits, the slowest {slowest:?}"
    );

    let cut = |listener: &str, reason: &str| {
        format!("tidegate_http_connections_cut_total{{listener=\"{listener}\",reason=\"{reason}\"}}")
    };
    let closed = |reason: &str| format!("tidegate_links_closed_total{{side=\"esme\",reason=\"{reason}\"}}");
    let status = |status: &str| format!("tidegate_admin_requests_total{{status=\"{status}\"}}");
    let garbage = "tidegate_tls_handshakes_total{side=\"esme\",result=\"failed\"}";
    let refused = "tidegate_connections_refused_total{reason=\"handshakes\"}";
    assert!(count(&local, garbage).await + count(&local, refused).await >= 100.0);
    for (name, least) in [
        (closed("session_init"), SILENT),
        (closed("pdu_read"), SLOW),
        (cut("metrics", "head"), HEADS),
        (cut("admin", "head"), HEADS),
        // Of a flood the system itself drops some, before anybody accepts them.
        (cut("admin", "malformed"), REQUESTS / 8),
        (status("413"), REQUESTS / 8),
        (status("401"), REQUESTS / 4),
        (
            "tidegate_http_connections_total{listener=\"metrics\"}".to_owned(),
            REQUESTS / 2,
        ),
        (
            "tidegate_http_connections_total{listener=\"admin\"}".to_owned(),
            REQUESTS / 2,
        ),
    ] {
        expect_count(&local, &name, least).await;
    }
}
