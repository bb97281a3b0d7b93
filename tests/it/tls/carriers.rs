//! Carriers over TLS. A scripted one sits behind a [door](Door), a socket of this process that speaks TLS to the gateway.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tempfile::TempDir;
use tidegate_codec::status::CommandStatus;
use tidegate_codec::values::MessageState;
use tidegate_gateway::control::{self, Verb};
use tidegate_tests::esme::message;
use tidegate_tests::{Dialect, ScriptedEsme, ScriptedSmsc};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::authority::{self, Authority, Version};
use super::{FROM, LONG_AGO, LONG_FROM_NOW, Site, TO};
use crate::control::ask;
use crate::local::{Changes, Local};
use crate::reload::scene::Scene;

/// Waits in vain for as long.
const A_WHILE: Duration = Duration::from_millis(300);

/// Where a carrier's TLS ends: each connection that has shaken hands goes on to the carrier in clear.
struct Door {
    address: SocketAddr,
}

impl Door {
    async fn open(to: SocketAddr, server: Arc<ServerConfig>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let acceptor = TlsAcceptor::from(Arc::clone(&server));
                tokio::spawn(async move {
                    if let Ok(mut sealed) = acceptor.accept(socket).await {
                        let mut plain = TcpStream::connect(to).await.unwrap();
                        // Ends with either side.
                        let _ = tokio::io::copy_bidirectional(&mut sealed, &mut plain).await;
                    }
                });
            }
        });
        Self { address }
    }
}

/// A gateway whose carrier has these keys in its `tls`, beside the CA, behind a door with such a certificate.
async fn start(ca: &Authority, server: Arc<ServerConfig>, keys: &str, files: &Path) -> (Site, Door) {
    let smsc = ScriptedSmsc::listen().await;
    let door = Door::open(smsc.addr(), server).await;
    fs::write(files.join("ca.pem"), ca.pem()).unwrap();
    let tls = format!("tls = {{ ca = \"{}/ca.pem\", {keys} }}", files.display());
    let changes = Changes {
        carrier: &tls,
        ..Changes::default()
    };
    let local = Local::start_with(door.address, changes);
    let site = Site {
        local,
        smsc,
        authority: Authority::new(),
        files: TempDir::new().unwrap(),
    };
    (site, door)
}

const NAME: &str = "server_name = \"localhost\"";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_and_its_receipt_pass_over_a_link_to_a_carrier() {
    let (ca, files) = (Authority::new(), TempDir::new().unwrap());
    let (mut site, _door) = start(&ca, ca.server(Version::Tls13, None), NAME, files.path()).await;
    site.smsc.expect_binds(1).await;
    let mut esme = ScriptedEsme::bound(site.local.esme(), "load", "secret").await;
    let id = esme.submit_ok(message(FROM, TO, "sealed to the carrier")).await;
    let submit = site.smsc.expect_submit().await;
    assert_eq!(submit.text(), "sealed to the carrier");
    site.smsc.answer(&submit, "s-1").await;
    site.smsc
        .receipt(&submit, "s-1", MessageState::Delivered, Dialect::Both)
        .await;
    esme.expect_receipt(&id).await;
    site.expect_metric("tidegate_tls_handshakes_total{side=\"carrier\",result=\"tls1.3\"} 1")
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_carrier_that_is_not_the_one_that_was_meant_gets_no_bind() {
    let (ca, other) = (Authority::new(), Authority::new());
    let server = || ca.server(Version::Tls13, None);
    for (trusted, server, keys, result) in [
        (&other, server(), NAME, "certificate"),
        (&ca, server(), "server_name = \"smsc.example.net\"", "certificate"),
        // Without a name it is the host of the address, 127.0.0.1.
        (&ca, server(), "", "certificate"),
        (&ca, ca.server(Version::Tls12, None), NAME, "version"),
    ] {
        let files = TempDir::new().unwrap();
        let (site, _door) = start(trusted, server, keys, files.path()).await;
        let line = format!("tidegate_tls_handshakes_total{{side=\"carrier\",result=\"{result}\"}} ");
        site.expect_metric_from(&line).await;
        assert!(
            site.smsc.credentials().is_empty(),
            "{keys}: nothing was told to it"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_carrier_that_asks_for_our_certificate_gets_it() {
    let (ca, ours) = (Authority::new(), Authority::new());
    for is_given in [true, false] {
        let files = TempDir::new().unwrap();
        ours.issue(files.path(), "own");
        let dir = files.path().display();
        let keys = if is_given {
            format!("{NAME}, certificate = \"{dir}/own.pem\", key = \"{dir}/own.key\"")
        } else {
            NAME.to_owned()
        };
        let server = ca.server(Version::Tls13, Some(&ours));
        let (mut site, _door) = start(&ca, server, &keys, files.path()).await;
        if is_given {
            site.smsc.expect_binds(1).await;
            site.expect_metric(&format!(
                "tidegate_certificate_expiry_timestamp_seconds{{side=\"carrier\",name=\"sink\"}} {}",
                authority::EXPIRES_S
            ))
            .await;
        } else {
            // With TLS 1.3 we learn of it behind our own handshake.
            site.expect_metric_from("tidegate_links_closed_total{side=\"carrier\",reason=\"lost\"} ")
                .await;
            assert!(site.smsc.credentials().is_empty());
        }
    }
}

/// An address that leads here and is none of loopback.
fn elsewhere(smsc: &ScriptedSmsc) -> SocketAddr {
    SocketAddr::from(([0, 0, 0, 0], smsc.addr().port()))
}

fn clear_text(until: &str) -> String {
    format!("clear_text = {{ name = \"leased line to the sink\", until = {until} }}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_c01_a_carrier_in_clear_text_is_an_exception_and_in_the_audit_log() {
    for (until, outcome) in [(LONG_FROM_NOW, "holds"), (LONG_AGO, "over")] {
        let mut smsc = ScriptedSmsc::listen().await;
        let carrier = clear_text(until);
        let changes = Changes {
            carrier: &carrier,
            ..Changes::default()
        };
        let local = Local::start_with(elsewhere(&smsc), changes);
        if outcome == "holds" {
            smsc.expect_binds(1).await;
        }
        let site = Site {
            local,
            smsc,
            authority: Authority::new(),
            files: TempDir::new().unwrap(),
        };
        for octets in ["leased line to the sink", "carrier.sink.clear_text", outcome] {
            site.expect_in_audit_log(octets).await;
        }
        site.expect_metric_from(
            "tidegate_exception_expiry_timestamp_seconds{key=\"carrier.sink.clear_text\"} ",
        )
        .await;
        if outcome == "over" {
            tokio::time::sleep(A_WHILE).await;
            assert!(site.smsc.credentials().is_empty(), "nothing was told to it");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_that_gives_an_exception_is_entered_with_it_and_leaves_open_links_alone() {
    let mut scene = Scene::start().await;
    let port = scene.hand.addr().port();
    let text = scene
        .text
        .replace(&format!("127.0.0.1:{port}"), &format!("0.0.0.0:{port}"));
    scene.refuse(&text, &["carrier.hand.tls: missing"]).await;
    let with = |until: &str| {
        let keys = format!("name = \"hand\"\n{}", clear_text(until));
        text.replace("name = \"hand\"", &keys)
    };
    let changes = [
        "carrier.hand.addresses: changed",
        "carrier.hand.clear_text: changed",
    ];
    scene.change(&with(LONG_FROM_NOW), &changes).await;
    scene.hand.expect_binds(2).await;
    scene
        .change(&with(LONG_AGO), &["carrier.hand.clear_text: changed"])
        .await;
    let mut shop = scene.shop().await;
    shop.submit_ok(message(FROM, "491700000001", "on the open link"))
        .await;
    scene.hand.expect_submit().await;
    let log: Vec<u8> = fs::read_dir(scene.path("data/audit"))
        .unwrap()
        .flat_map(|entry| fs::read(entry.unwrap().path()).unwrap_or_default())
        .collect();
    let log = String::from_utf8_lossy(&log);
    assert_eq!(log.matches("leased line to the sink").count(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_reads_a_carriers_ca_again_and_leaves_open_links_alone() {
    let mut scene = Scene::start().await;
    let (right, wrong) = (Authority::new(), Authority::new());
    let door = Door::open(scene.hand.addr(), right.server(Version::Tls13, None)).await;
    let ca = scene.path("ca.pem");
    fs::write(&ca, wrong.pem()).unwrap();
    let was = format!("127.0.0.1:{}", scene.hand.addr().port());
    let tls = format!("tls = {{ ca = \"{}\", {NAME} }}", ca.display());
    let text = scene.text.replace(&was, &door.address.to_string());
    let text = text.replace("name = \"hand\"", &format!("name = \"hand\"\n{tls}"));
    let changes = ["carrier.hand.addresses: changed", "carrier.hand.tls: changed"];
    scene.change(&text, &changes).await;
    let refused = "tidegate_tls_handshakes_total{side=\"carrier\",result=\"certificate\"}";
    scene.expect_metric(refused, |count| count >= 1.0).await;
    assert_eq!(scene.hand.credentials().len(), 1, "in clear, before");
    fs::write(&ca, right.pem()).unwrap();
    let kept = ["carrier.hand.tls: changed where it is kept"];
    scene.change(&text, &kept).await;
    scene.hand.expect_binds(2).await;
    // The next CA holds for the next connection.
    fs::write(&ca, wrong.pem()).unwrap();
    scene.change(&text, &kept).await;
    let mut shop = scene.shop().await;
    shop.submit_ok(message(FROM, "491700000001", "on the open link"))
        .await;
    let submit = scene.hand.expect_submit().await;
    assert_eq!(submit.text(), "on the open link");
    scene.hand.answer(&submit, "h-1").await;
    scene.hand.expect_no_submit(A_WHILE).await;
    fs::write(&ca, "broken").unwrap();
    scene.refuse(&text, &["carrier.hand.tls.ca: "]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_c01_what_an_account_that_asks_for_tls_1_3_sends_goes_to_no_carrier_in_clear_text() {
    let mut scene = Scene::start().await;
    // The carrier's route is the only one to its numbers.
    let before = scene.text.replace("prefix = \"\"\n", "prefix = \"44\"\n");
    let outcome = scene.reload(&before).await;
    assert_eq!(outcome["applied"], true, "{outcome:?}");
    // One waits for the carrier in clear text, on loopback and so without an exception, and it is away.
    scene.hand.stop_listening();
    scene.hand.drop_all();
    let mut shop = scene.shop().await;
    let to = "491700000001";
    shop.submit_ok(message(FROM, to, "before")).await;
    let (port, strict) = (
        scene.hand.addr().port(),
        format!(
            "min_transport = \"tls1.3\"\n\
             transport_exception = {{ min_transport = \"clear\", name = \"a while\", until = {LONG_FROM_NOW} }}"
        ),
    );
    let keys = format!("name = \"hand\"\n{}", clear_text(LONG_FROM_NOW));
    let excepted = before
        .replace(&format!("127.0.0.1:{port}"), &format!("0.0.0.0:{port}"))
        .replace("name = \"hand\"", &keys);
    let guarded = excepted.replacen(
        "system_id = \"shop\"",
        &format!("system_id = \"shop\"\n{strict}"),
        1,
    );
    let outcome = scene.reload(&guarded).await;
    assert_eq!(outcome["applied"], true, "{outcome:?}");
    scene.hand.reopen().await;
    scene.hand.expect_binds(2).await;
    // Nothing of it goes there, neither what has waited nor what comes.
    let mut shop = scene.shop().await;
    assert_eq!(
        shop.submit_refused(message(FROM, to, "after")).await,
        CommandStatus::RINVDSTADR
    );
    let mut load = ScriptedEsme::bound(scene.esme(), "load", "secret").await;
    load.submit_ok(message(FROM, to, "of another account")).await;
    let submit = scene.hand.expect_submit().await;
    assert_eq!(submit.text(), "of another account");
    scene.hand.answer(&submit, "h-1").await;
    scene.hand.expect_no_submit(A_WHILE).await;
    // Nor by an operator's hand: it is in no line that could be moved.
    let data = scene.path("data");
    let told = tokio::task::spawn_blocking(move || {
        let (from, to) = ("main".to_owned(), "hand".to_owned());
        control::ask(
            &data,
            &Verb::Move {
                from,
                to,
                account: None,
            },
        )
    });
    assert_eq!(told.await.unwrap().unwrap()["moved"], 0);
    scene.hand.expect_no_submit(A_WHILE).await;
    // Once it asks for no more than before, the carrier gets what has waited.
    let outcome = scene.reload(&excepted).await;
    assert_eq!(outcome["applied"], true, "{outcome:?}");
    let submit = scene.hand.expect_submit().await;
    assert_eq!(submit.text(), "before");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sec_c01_an_operator_moves_nothing_to_a_carrier_in_clear_text_that_must_not_go_there() {
    let mut smsc = ScriptedSmsc::listen().await;
    let mut sink = ScriptedSmsc::listen().await;
    sink.stop_listening();
    let strict = format!(
        "min_transport = \"tls1.3\"\n\
         transport_exception = {{ min_transport = \"clear\", name = \"a while\", until = {LONG_FROM_NOW} }}"
    );
    let extra = format!(
        "[[account]]\nsystem_id = \"other\"\npassword_hashes = [\"@hash@\"]\ncategory = \"transactional\"\n\
         [[carrier]]\nname = \"line\"\naddresses = [\"{}\"]\nsystem_id = \"tidegate\"\npassword_file = \"@password@\"\n{}\n",
        smsc.addr(),
        clear_text(LONG_FROM_NOW),
    );
    let changes = Changes {
        account: &strict,
        extra: &extra,
        ..Changes::default()
    };
    let local = Local::start_with(sink.addr(), changes);
    smsc.expect_binds(1).await;
    for (system_id, text) in [("load", "must not"), ("other", "may")] {
        let mut esme = ScriptedEsme::bound(local.esme(), system_id, "secret").await;
        esme.submit_ok(message(FROM, TO, text)).await;
    }
    let (from, to) = ("sink".to_owned(), "line".to_owned());
    let moved = ask(
        &local,
        Verb::Move {
            from,
            to,
            account: None,
        },
    )
    .await
    .unwrap();
    assert_eq!(moved["moved"], 1);
    let submit = smsc.expect_submit().await;
    assert_eq!(submit.text(), "may");
    smsc.answer(&submit, "l-1").await;
    smsc.expect_no_submit(A_WHILE).await;
    // It waits where it waited.
    sink.reopen().await;
    assert_eq!(sink.expect_submit().await.text(), "must not");
}
