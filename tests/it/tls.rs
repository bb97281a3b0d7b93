//! TLS towards ESMEs and carriers, over real sockets, with certificates that each test makes (SEC-1).
//!
//! A scripted client speaks through a [tunnel](tunnel): a socket of this process that speaks TLS to the gateway.

mod admin;
pub(crate) mod authority;
mod carriers;
mod reloads;

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use tempfile::TempDir;
use tidegate_codec::status::CommandStatus;
use tidegate_codec::values::{BindKind, MessageState};
use tidegate_tests::esme::message;
use tidegate_tests::{DEADLINE, Dialect, IN_CLEAR_TEXT, ScriptedEsme, ScriptedSmsc};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

use crate::local::{Changes, Local};
use authority::{Authority, Version};

const FROM: &str = "447700900001";
const TO: &str = "447700900002";
const LONG_AGO: &str = "2020-01-31";
const LONG_FROM_NOW: &str = "2999-12-31";

/// A gateway whose second listener speaks TLS, with the carrier bound.
struct Site {
    local: Local,
    smsc: ScriptedSmsc,
    authority: Authority,
    files: TempDir,
}

impl Site {
    /// `tls` are keys of the listener beside its files, `extra` more tables.
    async fn start(tls: &str, limits: &str, extra: &str) -> Self {
        let (files, authority) = (TempDir::new().unwrap(), Authority::new());
        authority.issue(files.path(), "listen");
        let extra = format!("{}{extra}", listener(files.path(), tls));
        let mut smsc = ScriptedSmsc::listen().await;
        let changes = Changes {
            limits,
            extra: &extra,
            ..Changes::default()
        };
        let local = Local::start_with(smsc.addr(), changes);
        smsc.expect_binds(1).await;
        Self {
            local,
            smsc,
            authority,
            files,
        }
    }

    /// Where TLS is spoken.
    fn tls(&self) -> SocketAddr {
        self.local.listening(1)
    }

    async fn connect(&self, version: Version) -> ScriptedEsme {
        let client = self.authority.client(version, None);
        ScriptedEsme::connect(tunnel(self.tls(), client).await).await
    }

    async fn expect_metric(&self, line: &str) {
        self.expect_line(line, |found| found == line).await;
    }

    /// The same of a line that so begins, whatever its value: what is counted again and again.
    async fn expect_metric_from(&self, begins: &str) {
        let is_counted = |found: &str| found.strip_prefix(begins).is_some_and(|count| count != "0");
        self.expect_line(begins, is_counted).await;
    }

    /// Waits until the audit log holds these octets: binds are entered soon after.
    async fn expect_in_audit_log(&self, octets: &str) {
        let holds = |path: &std::path::PathBuf| {
            let in_log = path.components().any(|part| part.as_os_str() == "audit");
            let held = || fs::read(path).unwrap_or_default();
            in_log
                && held()
                    .windows(octets.len())
                    .any(|found| found == octets.as_bytes())
        };
        let looking = async {
            while !self.local.files().iter().any(holds) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let found = tokio::time::timeout(DEADLINE, looking).await;
        assert!(found.is_ok(), "{octets} is not in the audit log");
    }

    async fn expect_line(&self, what: &str, is_it: impl Fn(&str) -> bool) {
        let looking = async {
            loop {
                let page = page(self.local.http()).await;
                if page.lines().any(&is_it) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let found = tokio::time::timeout(DEADLINE, looking).await;
        assert!(found.is_ok(), "{what}\n{}", page(self.local.http()).await);
    }
}

/// A listener with the files `listen.pem` and `listen.key` of a directory.
fn listener(dir: &std::path::Path, tls: &str) -> String {
    let dir = dir.display();
    format!(
        "[[listen]]\naddress = \"127.0.0.1:0\"\n\
         tls = {{ certificate = \"{dir}/listen.pem\", key = \"{dir}/listen.key\", {tls} }}\n"
    )
}

/// An account beside `load`.
fn account(system_id: &str, keys: &str) -> String {
    format!(
        "[[account]]\nsystem_id = \"{system_id}\"\npassword_hashes = [\"@hash@\"]\ncategory = \"transactional\"\n{keys}\n"
    )
}

async fn page(http: SocketAddr) -> String {
    let mut socket = TcpStream::connect(http).await.unwrap();
    let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut page = String::new();
    socket.read_to_string(&mut page).await.unwrap();
    page
}

/// A socket that passes one connection on over TLS. Where the handshake comes to nothing it is closed.
async fn tunnel(server: SocketAddr, client: Arc<ClientConfig>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut plain, _) = listener.accept().await.unwrap();
        if let Ok(mut sealed) = shake(server, client).await {
            // Ends with either side.
            let _ = tokio::io::copy_bidirectional(&mut plain, &mut sealed).await;
        }
    });
    address
}

async fn shake(
    server: SocketAddr,
    client: Arc<ClientConfig>,
) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let socket = TcpStream::connect(server).await?;
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    TlsConnector::from(client).connect(name, socket).await
}

/// Waits for the end of a connection; what came before.
async fn end_of(mut socket: impl tokio::io::AsyncRead + Unpin) -> Vec<u8> {
    let mut octets = Vec::new();
    // A reset is an end like any other.
    let ended = tokio::time::timeout(DEADLINE, socket.read_to_end(&mut octets)).await;
    assert!(ended.is_ok(), "the connection is still open");
    octets
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_and_its_receipt_pass_over_tls_1_3() {
    let mut site = Site::start("", "", &account("sealed", "min_transport = \"tls1.3\"")).await;
    let mut esme = site.connect(Version::Tls13).await;
    esme.bind_trx("sealed", "secret").await;
    let id = esme.submit_ok(message(FROM, TO, "sealed on its way")).await;
    let submit = site.smsc.expect_submit().await;
    assert_eq!(submit.text(), "sealed on its way");
    site.smsc.answer(&submit, "s-1").await;
    site.smsc
        .receipt(&submit, "s-1", MessageState::Delivered, Dialect::Both)
        .await;
    esme.expect_receipt(&id).await;
    // Clear connections go on beside it.
    let mut clear = ScriptedEsme::bound(site.local.esme(), "load", "secret").await;
    clear.submit_ok(message(FROM, TO, "in clear")).await;
    site.expect_metric("tidegate_tls_handshakes_total{side=\"esme\",result=\"tls1.3\"} 1")
        .await;
    site.expect_metric(&format!(
        "tidegate_certificate_expiry_timestamp_seconds{{side=\"esme\",name=\"127.0.0.1:0\"}} {}",
        authority::EXPIRES_S
    ))
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_c01_a_clear_bind_of_an_account_that_asks_for_tls_gets_0x0d() {
    let excepted = |name: &str, min: &str, until: &str| {
        let keys = format!(
            "min_transport = \"tls1.3\"\n\
             transport_exception = {{ min_transport = \"{min}\", name = \"{name} for a while\", until = {until} }}"
        );
        account(name, &keys)
    };
    let accounts = [
        account("sealed", "min_transport = \"tls1.3\""),
        account("older", "min_transport = \"tls1.2\""),
        excepted("passing", "clear", LONG_FROM_NOW),
        excepted("passing12", "tls1.2", LONG_FROM_NOW),
        excepted("passed", "clear", LONG_AGO),
        // What its profile asks for is the least (compliance.md 7.3).
        account("fixed", "retention_profile = \"fixed-term\""),
        account("instructed", "retention_profile = \"as-instructed\""),
        account("deleted", "retention_profile = \"until-deleted\""),
        account(
            "stricter",
            "retention_profile = \"as-instructed\"\nmin_transport = \"tls1.3\"",
        ),
        account(
            "looser",
            &format!("retention_profile = \"fixed-term\"\n{IN_CLEAR_TEXT}"),
        ),
    ]
    .concat();
    let tls12 = format!("tls12 = {{ name = \"old\", until = {LONG_FROM_NOW} }}");
    let site = Site::start(&tls12, "", &accounts).await;
    let (no, yes) = (CommandStatus::RBINDFAIL, CommandStatus::ROK);
    for (system_id, clear, tls12, tls13) in [
        ("load", yes, yes, yes),
        ("sealed", no, no, yes),
        ("older", no, yes, yes),
        ("passing", yes, yes, yes),
        ("passing12", no, yes, yes),
        ("passed", no, no, yes),
        ("fixed", no, no, yes),
        ("instructed", no, yes, yes),
        ("deleted", no, yes, yes),
        ("stricter", no, no, yes),
        ("looser", yes, yes, yes),
    ] {
        let connections = [
            (ScriptedEsme::connect(site.local.esme()).await, clear),
            (site.connect(Version::Tls12).await, tls12),
            (site.connect(Version::Tls13).await, tls13),
        ];
        for (place, (mut esme, expected)) in connections.into_iter().enumerate() {
            let answer = esme.try_bind(BindKind::Transceiver, system_id, "secret").await;
            assert_eq!(answer.status(), expected, "{system_id}, connection {place}");
        }
    }
    site.expect_in_audit_log("passing12 for a while").await;
    site.expect_metric("tidegate_account_bind_attempts_total{account=\"sealed\",result=\"transport\"} 2")
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_c01_a_handshake_of_tls_1_2_fails_but_by_an_exception_that_holds() {
    let passed = format!("tls12 = {{ name = \"old\", until = {LONG_AGO} }}");
    for tls in ["", passed.as_str()] {
        let site = Site::start(tls, "", "").await;
        let client = site.authority.client(Version::Tls12, None);
        assert!(shake(site.tls(), client).await.is_err(), "{tls}");
        site.expect_metric("tidegate_tls_handshakes_total{side=\"esme\",result=\"version\"} 1")
            .await;
        site.expect_metric("tidegate_links_closed_total{side=\"esme\",reason=\"handshake\"} 1")
            .await;
        site.connect(Version::Tls13)
            .await
            .bind_trx("load", "secret")
            .await;
    }
    let holds = format!("tls12 = {{ name = \"terminals of the bank\", until = {LONG_FROM_NOW} }}");
    let site = Site::start(&holds, "", "").await;
    let mut esme = site.connect(Version::Tls12).await;
    esme.bind_trx("load", "secret").await;
    esme.submit_ok(message(FROM, TO, "by the exception")).await;
    site.expect_in_audit_log("terminals of the bank").await;
    site.expect_metric("tidegate_tls_handshakes_total{side=\"esme\",result=\"tls1.2\"} 1")
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_speaks_no_tls_or_not_in_time_is_closed_and_nobody_else_feels_it() {
    let site = Site::start("", "tls_handshake = \"300ms\"\nmax_unbound_per_ip = 1000", "").await;
    let mut other = ScriptedEsme::bound(site.local.esme(), "load", "secret").await;
    let connect = || async { TcpStream::connect(site.tls()).await.unwrap() };
    let mut garbage = connect().await;
    garbage.write_all(&[0xa5; 4096]).await.unwrap();
    // A clear bind to a port of TLS is garbage, too.
    let mut clear = ScriptedEsme::connect(site.tls()).await;
    clear
        .send_octets(&[0, 0, 0, 16, 0, 0, 0, 0x15, 0, 0, 0, 0, 0, 0, 0, 1])
        .await;
    let silent = connect().await;
    // A ClientHello that is begun and not ended: a record of 512 octets, of which five come.
    let mut half = connect().await;
    half.write_all(&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3])
        .await
        .unwrap();
    other.submit_ok(message(FROM, TO, "meanwhile")).await;
    let said = end_of(&mut garbage).await;
    assert!(
        said.is_empty() || said[0] == 0x15,
        "an alert or nothing: {said:?}"
    );
    for socket in [silent, half] {
        assert!(end_of(socket).await.is_empty());
    }
    other.submit_ok(message(FROM, TO, "and afterwards")).await;
    site.expect_metric("tidegate_tls_handshakes_total{side=\"esme\",result=\"failed\"} 2")
        .await;
    site.expect_metric("tidegate_tls_handshakes_total{side=\"esme\",result=\"timed_out\"} 2")
        .await;
    site.expect_metric("tidegate_connections 1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handshakes_at_a_time_are_bounded_and_count_as_unbound() {
    let site = Site::start("", "max_handshakes = 2\nmax_unbound_per_ip = 3", "").await;
    let open = || async { TcpStream::connect(site.tls()).await.unwrap() };
    // In one go, so that the last comes before the first has begun.
    let (first, _second, third) = (open().await, open().await, open().await);
    assert!(end_of(third).await.is_empty());
    site.expect_metric("tidegate_connections_refused_total{reason=\"handshakes\"} 1")
        .await;
    site.expect_metric("tidegate_connections 2").await;
    // The clear port has room for one that is not bound, and no more.
    let _unbound = ScriptedEsme::connect(site.local.esme()).await;
    site.expect_metric("tidegate_connections 3").await;
    assert!(
        end_of(TcpStream::connect(site.local.esme()).await.unwrap())
            .await
            .is_empty()
    );
    site.expect_metric("tidegate_connections_refused_total{reason=\"unbound_per_ip\"} 1")
        .await;
    // A handshake that is given up makes room.
    drop(first);
    site.expect_metric("tidegate_connections 2").await;
    site.connect(Version::Tls13)
        .await
        .bind_trx("load", "secret")
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_under_way_holds_up_no_shutdown() {
    let limits = "tls_handshake = \"1m\"\nsession_init = \"5m\"\nshutdown_grace = \"5m\"";
    let site = Site::start("", limits, "").await;
    let half_open = TcpStream::connect(site.tls()).await.unwrap();
    site.expect_metric("tidegate_connections 1").await;
    let Site {
        mut local,
        smsc: mut carrier,
        ..
    } = site;
    let stopping = tokio::task::spawn_blocking(move || local.stop());
    let ended = tokio::time::timeout(DEADLINE, async {
        // It answers the unbind while it waits.
        carrier.expect_end_of(0).await;
        stopping.await.unwrap();
    });
    assert!(ended.await.is_ok(), "it waits for the handshake");
    assert!(end_of(half_open).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_certificate_that_is_required_must_be_there_and_of_the_right_ca() {
    let (clients, foreign) = (Authority::new(), Authority::new());
    let dir = TempDir::new().unwrap();
    let ca = dir.path().join("clients.pem");
    fs::write(&ca, clients.pem()).unwrap();
    let required = format!("client_ca = \"{}\"", ca.display());
    let optional = format!("{required}, client_certificate = \"optional\"");
    for (tls, without) in [(required, false), (optional, true)] {
        let site = Site::start(&tls, "", "").await;
        for (of, is_bound) in [(Some(&clients), true), (Some(&foreign), false), (None, without)] {
            let client = site.authority.client(Version::Tls13, of);
            let mut esme = ScriptedEsme::connect(tunnel(site.tls(), client).await).await;
            if is_bound {
                esme.bind_trx("load", "secret").await;
            } else {
                // With TLS 1.3 a client learns of it when it reads.
                assert!(esme.expect_end().await.is_empty());
            }
        }
        let refused = if without { 1 } else { 2 };
        site.expect_metric(&format!(
            "tidegate_tls_handshakes_total{{side=\"esme\",result=\"certificate\"}} {refused}"
        ))
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_cannot_be_used_keep_a_gateway_from_starting() {
    let mut site = Site::start("", "", "").await;
    site.local.stop();
    let path = |name: &str| site.files.path().join(name);
    let (certificate, key) = (path("listen.pem"), path("listen.key"));
    let good = [fs::read(&certificate).unwrap(), fs::read(&key).unwrap()];
    Authority::new().issue(site.files.path(), "other");
    let other = fs::read(path("other.key")).unwrap();
    for (file, content, why) in [
        (&certificate, &b"nothing"[..], "tls.certificate: "),
        (&key, b"nothing", "holds no private key"),
        (&key, &other, "do not go together"),
    ] {
        fs::write(file, content).unwrap();
        let told = site.local.try_start().map(drop).unwrap_err().to_string();
        assert!(
            told.contains(why) && told.contains(&file.display().to_string()),
            "{told}"
        );
        assert!(told.contains("listen[1].tls"), "{told}");
        fs::write(&certificate, &good[0]).unwrap();
        fs::write(&key, &good[1]).unwrap();
    }
    fs::remove_file(&key).unwrap();
    let told = site.local.try_start().map(drop).unwrap_err().to_string();
    assert!(told.contains("listen.key"), "{told}");
}
