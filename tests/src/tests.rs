//! The scripted peers against each other, the process against a stand-in.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use tempfile::TempDir;
use tidegate_codec::header::CommandId;
use tidegate_codec::pdu::{Operation, Pdu};
use tidegate_codec::status::CommandStatus;
use tidegate_codec::tlv::Tlvs;
use tidegate_codec::values::{BindKind, InterfaceVersion, MessageState};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::esme::message;
use crate::peer::octets_of;
use crate::{Dialect, Places, Process, ScriptedEsme, ScriptedSmsc};

const A_WHILE: Duration = Duration::from_millis(30);

/// A centre and a client that is bound to it.
async fn pair() -> (ScriptedEsme, ScriptedSmsc) {
    let mut smsc = ScriptedSmsc::listen().await;
    let addr = smsc.addr();
    let (esme, ()) = tokio::join!(ScriptedEsme::bound(addr, "load", "secret"), smsc.expect_binds(1));
    (esme, smsc)
}

#[tokio::test]
async fn a_message_is_answered_and_its_receipt_comes_in_every_dialect() {
    let (mut esme, mut smsc) = pair().await;
    assert_eq!(smsc.credentials(), [("load".to_owned(), "secret".to_owned())]);
    let dialects = [
        Dialect::Both,
        Dialect::Text,
        Dialect::Tlvs,
        Dialect::Wording("id:{id} stat:{stat}"),
    ];
    for (index, dialect) in dialects.into_iter().enumerate() {
        let id = format!("{}", 100 + index);
        let sequence = esme
            .submit(message("447700900001", "447700900002", "Hello"))
            .await;
        let submit = smsc.expect_submit().await;
        assert_eq!(
            (submit.text().as_str(), submit.sm().destination.addr.len()),
            ("Hello", 12)
        );
        smsc.answer(&submit, &id).await;
        assert_eq!(esme.expect_submit_resp(sequence).await.message_id(), id);
        let receipt = smsc.receipt(&submit, &id, MessageState::Delivered, dialect).await;
        let (delivery, status) = tokio::join!(esme.expect_receipt(&id), smsc.expect_deliver_resp(receipt));
        assert!(status.is_ok());
        assert_eq!(delivery.sm().source.addr, submit.sm().destination.addr);
    }
}

#[tokio::test]
async fn a_refused_message_and_a_refused_bind_show_their_status() {
    let (mut esme, mut smsc) = pair().await;
    let (status, ()) = tokio::join!(esme.submit_refused(message("1", "2", "x")), async {
        let submit = smsc.expect_submit().await;
        smsc.refuse(&submit, CommandStatus::RTHROTTLED).await;
    });
    assert_eq!(status, CommandStatus::RTHROTTLED);
    smsc.refuses_binds = Some(CommandStatus::RINVPASWD);
    let mut other = ScriptedEsme::connect(smsc.addr()).await;
    let bind = other.try_bind_as(BindKind::Transmitter, "load", "wrong", InterfaceVersion::V3_3);
    let (answer, ()) = tokio::join!(bind, smsc.expect_binds(2));
    assert_eq!(answer.status(), CommandStatus::RINVPASWD);
    assert_eq!(smsc.bound(), [0]);
}

#[tokio::test]
async fn a_withheld_answer_is_given_later() {
    let (mut esme, mut smsc) = pair().await;
    esme.answers = None;
    let sequence = smsc.deliver(0, message("447700900002", "4477", "STOP")).await;
    let delivery = esme.expect_deliver().await;
    assert_eq!(delivery.text(), "STOP");
    esme.answer(&delivery, CommandStatus::RX_T_APPN).await;
    assert_eq!(smsc.expect_deliver_resp(sequence).await, CommandStatus::RX_T_APPN);
}

#[tokio::test]
async fn what_comes_in_another_order_is_kept_for_later() {
    let (mut esme, mut smsc) = pair().await;
    let first = esme.submit(message("1", "2", "first")).await;
    let second = esme.submit(message("1", "2", "second")).await;
    let later = smsc.expect_submit_of("second").await;
    let earlier = smsc.expect_submit().await;
    assert_eq!(earlier.text(), "first");
    smsc.answer(&later, "2").await;
    smsc.answer(&earlier, "1").await;
    assert_eq!(esme.expect_submit_resp(first).await.message_id(), "1");
    assert_eq!(esme.kept().len(), 1);
    assert_eq!(esme.expect_submit_resp(second).await.message_id(), "2");
    smsc.expect_no_submit(A_WHILE).await;
    esme.expect_silence(A_WHILE).await;
}

#[tokio::test]
async fn enquire_link_is_answered_unless_the_test_wants_it() {
    let (mut esme, mut smsc) = pair().await;
    let peer = &mut smsc.link(0).peer;
    peer.send_empty(CommandId::ENQUIRE_LINK, CommandStatus::ROK, 77)
        .await;
    let (_, answer) = tokio::join!(
        esme.expect_silence(A_WHILE),
        peer.expect_answer(CommandId::ENQUIRE_LINK_RESP, 77)
    );
    assert_eq!(answer.octets.len(), 16);
    esme.answers_enquire_link = false;
    peer.send_empty(CommandId::ENQUIRE_LINK, CommandStatus::ROK, 78)
        .await;
    assert_eq!(esme.expect_id(CommandId::ENQUIRE_LINK).await.sequence(), 78);
}

#[tokio::test]
async fn octets_may_be_written_in_any_portion() {
    let (mut esme, mut smsc) = pair().await;
    let sm = Operation::SubmitSm(message("1", "2", "in pieces"));
    let mut octets = octets_of(CommandStatus::ROK, 9, sm);
    octets.extend(octets_of(CommandStatus::ROK, 10, sm));
    let (half, rest) = octets.split_at(37);
    esme.send_octets(half).await;
    smsc.expect_no_submit(A_WHILE).await;
    esme.send_octets(rest).await;
    assert_eq!(smsc.expect_submit().await.frame.sequence(), 9);
    assert_eq!(smsc.expect_submit().await.frame.sequence(), 10);
}

#[tokio::test]
async fn connections_end_in_every_way() {
    let (mut esme, mut smsc) = pair().await;
    let enquire = Pdu {
        status: CommandStatus::ROK,
        sequence: 1,
        operation: Operation::EnquireLink(Tlvs::NONE),
    };
    smsc.drop_link_within(0, &enquire, 7).await;
    assert!(esme.expect_end().await.is_empty());

    let mut esme = ScriptedEsme::connect(smsc.addr()).await;
    tokio::join!(esme.bind_rx("load", "secret"), smsc.expect_binds(2));
    smsc.reset_link(1);
    assert!(esme.expect_end().await.is_empty());

    let mut esme = ScriptedEsme::connect(smsc.addr()).await;
    tokio::join!(esme.bind_tx("load", "secret"), smsc.expect_binds(3));
    assert_eq!(smsc.bound(), [2]);
    let (kept, ()) = tokio::join!(esme.unbind(), smsc.expect_end_of(2));
    assert!(kept.is_empty());

    smsc.stop_listening();
    assert!(tokio::net::TcpStream::connect(smsc.addr()).await.is_err());
    smsc.reopen().await;
    let mut esme = ScriptedEsme::connect(smsc.addr()).await;
    tokio::join!(esme.bind_trx("load", "secret"), smsc.expect_binds(4));
    smsc.drop_all();
    assert!(esme.expect_end().await.is_empty());
}

#[tokio::test]
#[should_panic(expected = "closed before submit_sm_resp 1 came")]
async fn a_panic_says_who_waited_for_what() {
    let (mut esme, mut smsc) = pair().await;
    smsc.drop_link(0);
    esme.expect_submit_resp(1).await;
}

#[test]
fn the_configuration_of_a_process_holds() {
    let addr = |port: u16| std::net::SocketAddr::from(([127, 0, 0, 1], port));
    let places = Places {
        dir: "/nowhere".into(),
        smpp: addr(1),
        http: addr(2),
    };
    let config = tidegate_config::parse(&places.config(&[addr(3), addr(4)], "")).unwrap();
    assert_eq!((config.accounts.len(), config.carriers.len()), (1, 2));
    assert_eq!(config.mt_routes[0].carriers.len(), 2);
}

/// A script that stands in for the gateway, and the directory that it lies in.
fn stand_in(script: &str) -> (TempDir, Process) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("stand-in");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    (dir, Process::prepare(path, |places| places.config(&[], "")))
}

// One test, because a script must not be open for writing in a child that another test has just forked.
#[tokio::test]
async fn a_process_is_waited_for_killed_and_started_again() {
    let (_dir, mut broken) = stand_in("echo \"no such key: $3\" >&2; exit 2");
    broken.spawn();
    assert_eq!(broken.wait().await.code(), Some(2));
    assert!(broken.stderr().starts_with("no such key: ") && broken.stderr().contains("tidegate.toml"));

    let (_dir, mut process) = stand_in("echo up; exec sleep 60");
    process.spawn();
    assert!(process.get("/readyz").await.is_err());
    let pages = tokio::net::TcpListener::bind(process.http()).await.unwrap();
    let serving = tokio::spawn(async move {
        for answer in ["503 Service Unavailable", "200 OK", "200 OK", "404 Not Found"] {
            let (mut socket, _) = pages.accept().await.unwrap();
            let mut request = [0; 256];
            assert!(socket.read(&mut request).await.unwrap() > 0);
            let answer = format!("HTTP/1.1 {answer}\r\n\r\nbody");
            socket.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    process.ready().await;
    let first = process.id();
    process.restart().await;
    assert_ne!(process.id(), first);
    assert_eq!(process.get("/nothing").await.unwrap(), (404, "body".to_owned()));
    serving.await.unwrap();
    while process.stdout().lines().count() < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(process.stop().await.signal(), Some(15));
}
