//! Bad input and faults: what peers must not do and what runs out, over real sockets.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use tidegate_codec::header::CommandId;
use tidegate_codec::pdu::Operation;
use tidegate_codec::pdu::message::Sm;
use tidegate_codec::status::CommandStatus;
use tidegate_codec::tlv::{self, Tag, Tlvs};
use tidegate_codec::values::{BindKind, RegisteredDelivery};
use tidegate_tests::esme::message;
use tidegate_tests::peer::octets_of;
use tidegate_tests::{Frame, Peer, ScriptedEsme, ScriptedSmsc};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use crate::local::{Changes, Local};
use crate::wire::empty;

/// How long nothing must come where nothing should.
const A_WHILE: Duration = Duration::from_millis(60);
/// Long enough for any time limit that is set here to pass.
const LONGER: Duration = Duration::from_millis(900);

/// A gateway whose carrier is down, and the carrier.
async fn alone(changes: Changes<'_>) -> (Local, ScriptedSmsc) {
    let mut smsc = ScriptedSmsc::listen().await;
    smsc.stop_listening();
    (Local::start_with(smsc.addr(), changes), smsc)
}

fn limits(limits: &str) -> Changes<'_> {
    Changes {
        limits,
        ..Changes::default()
    }
}

fn account(account: &str) -> Changes<'_> {
    Changes {
        account,
        ..Changes::default()
    }
}

/// The session answers an enquire_link, and nothing comes before that.
async fn assert_alive(peer: &mut Peer, after: &str) {
    let sequence = peer.request(Operation::EnquireLink(Tlvs::NONE)).await;
    let Some(frame) = peer.next().await else {
        panic!("closed after {after}");
    };
    let expected = (CommandId::ENQUIRE_LINK_RESP, CommandStatus::ROK, sequence);
    assert_eq!(
        (frame.id(), frame.status(), frame.sequence()),
        expected,
        "after {after}"
    );
}

/// A PDU of any kind, whatever its body.
fn raw(id: CommandId, sequence: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(16 + body.len()).unwrap();
    let words = [length, id.0, 0, sequence];
    let header = words.iter().flat_map(|word| word.to_be_bytes());
    header.chain(body.iter().copied()).collect()
}

// ===== malformed PDUs =====

struct Malformed {
    name: String,
    octets: Vec<u8>,
    action: String,
    expect: Value,
}

fn malformed() -> Vec<Malformed> {
    let text = include_str!("../../codec/testdata/pdu-malformed.json");
    let vectors: Vec<Value> = serde_json::from_str(text).unwrap();
    let read = |vector: &Value| {
        let hex = vector["hex"].as_str().unwrap();
        let octet = |at: usize| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap();
        let mut octets: Vec<u8> = (0..hex.len() / 2).map(octet).collect();
        let action = vector["expect"]["action"].as_str().unwrap();
        // Two vectors run on behind the PDU that they are about; the next one would be misread.
        if let (Some(length), false) = (octets.first_chunk(), action == "nack_and_close") {
            octets.truncate(usize::try_from(u32::from_be_bytes(*length)).unwrap());
        }
        Malformed {
            name: vector["name"].as_str().unwrap().to_owned(),
            octets,
            action: action.to_owned(),
            expect: vector["expect"].clone(),
        }
    };
    vectors.iter().map(read).collect()
}

impl Malformed {
    /// Whether the answer is one of those that the vector names.
    #[track_caller]
    fn assert_answered_by(&self, answer: &Frame) {
        let also = self.expect["also_acceptable"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let reply = &self.expect["reply"];
        let is_named = std::iter::once(reply)
            .chain(&also)
            .any(|reply| reply["command"] == answer.id().to_string() && reply["status"] == answer.status().0);
        // A command that is not offered is refused as such, whatever its body.
        let is_refused =
            answer.status() == CommandStatus::RINVCMDID && answer.id().to_string() == "broadcast_sm_resp";
        assert!(
            is_named || is_refused,
            "{}: {answer:?} came, not {reply}",
            self.name
        );
        assert_eq!(reply["seq"], answer.sequence(), "{}", self.name);
    }
}

#[tokio::test]
async fn every_malformed_pdu_is_answered_as_the_vectors_say_and_the_session_lives_on() {
    let (local, _smsc) = alone(Changes::default()).await;
    let mut esme = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    let mut seen = 0;
    for vector in malformed() {
        match vector.action.as_str() {
            "drop" => esme.send_octets(&vector.octets).await,
            "reject_keep_open" | "nack_keep_open" => {
                esme.send_octets(&vector.octets).await;
                let answer = esme.next().await;
                let answer = answer.unwrap_or_else(|| panic!("closed after {}", vector.name));
                vector.assert_answered_by(&answer);
            }
            _ => continue,
        }
        seen += 1;
        assert_alive(&mut esme, &vector.name).await;
    }
    assert!(seen > 60, "{seen} vectors");
    esme.submit_ok(message("1", "447700900002", "still of use")).await;
}

#[tokio::test]
async fn a_broken_framing_is_answered_and_the_session_closed() {
    let (local, _smsc) = alone(Changes::default()).await;
    let mut seen = 0;
    for vector in malformed() {
        if vector.action != "nack_and_close" {
            continue;
        }
        seen += 1;
        let mut esme = ScriptedEsme::bound(local.esme(), "load", "secret").await;
        esme.send_octets(&vector.octets).await;
        let [answer] = &esme.expect_end().await[..] else {
            panic!("{}: not one answer", vector.name);
        };
        vector.assert_answered_by(answer);
    }
    assert!(seen > 8, "{seen} vectors");
}

#[tokio::test]
async fn a_tls_client_on_the_plain_port_is_turned_away() {
    let (local, _smsc) = alone(Changes::default()).await;
    let mut esme = ScriptedEsme::connect(local.esme()).await;
    esme.send_octets(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00\x00\x00\x00\x00\x00")
        .await;
    let frames = esme.expect_end().await;
    assert!(
        frames.iter().all(|frame| frame.id() == CommandId::GENERIC_NACK),
        "{frames:?}"
    );
}

#[tokio::test]
async fn what_is_never_whole_is_closed_by_the_timer_without_an_answer() {
    let (local, _smsc) = alone(limits(
        "pdu_read = \"200ms\"\nsession_init = \"1m\"\nmax_unbound_per_ip = 100",
    ))
    .await;
    let mut esmes = Vec::new();
    for vector in malformed() {
        if vector.action == "wait_for_more" {
            let mut esme = ScriptedEsme::connect(local.esme()).await;
            esme.send_octets(&vector.octets).await;
            esmes.push(esme);
        }
    }
    assert!(esmes.len() > 10, "{}", esmes.len());
    let mut bound = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    bound.send_octets(b"\x00\x00\x00\x40\x00\x00").await;
    esmes.push(bound);
    for mut esme in esmes {
        assert_eq!(esme.expect_end().await, []);
    }
}

// ===== out of state =====

#[tokio::test]
async fn what_needs_a_bind_is_refused_before_it() {
    let (local, _smsc) = alone(Changes::default()).await;
    let mut esme = ScriptedEsme::connect(local.esme()).await;
    assert_alive(&mut esme, "connecting").await;
    let status = esme.submit_refused(message("1", "447700900002", "early")).await;
    assert_eq!(status, CommandStatus::RINVBNDSTS);
    esme.bind_trx("load", "secret").await;
    esme.submit_ok(message("1", "447700900002", "now")).await;
}

#[tokio::test]
async fn what_does_not_fit_the_bind_is_refused_by_its_own_response() {
    let (local, mut smsc) = alone(Changes::default()).await;
    let mut rx = ScriptedEsme::connect(local.esme()).await;
    rx.bind_rx("load", "secret").await;
    let status = rx.submit_refused(message("1", "447700900002", "on RX")).await;
    assert_eq!(status, CommandStatus::RINVBNDSTS);
    assert_alive(&mut rx, "a submit on a receiver").await;

    let mut esme = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    let deliver = Operation::DeliverSm(message("1", "12345", "wrong way"));
    let sequence = esme.request(deliver).await;
    let answer = esme.expect_answer(CommandId::DELIVER_SM_RESP, sequence).await;
    assert_eq!(answer.status(), CommandStatus::RINVBNDSTS);
    let again = esme.try_bind(BindKind::Transmitter, "load", "secret").await;
    assert_eq!(again.status(), CommandStatus::RALYBND);
    assert_alive(&mut esme, "a second bind").await;
    let bodies: [(CommandId, &[u8], CommandStatus); 5] = [
        (
            CommandId::QUERY_SM,
            b"1\x00\x00\x00\x00",
            CommandStatus::RQUERYFAIL,
        ),
        (
            CommandId::CANCEL_SM,
            b"\x001\x00\x00\x00\x00\x00\x00\x00",
            CommandStatus::RCANCELFAIL,
        ),
        (
            CommandId::REPLACE_SM,
            b"1\x00\x00\x00\x00\x00\x00\x00\x00\x01x",
            CommandStatus::RREPLACEFAIL,
        ),
        (CommandId::SUBMIT_MULTI, b"", CommandStatus::RINVCMDLEN),
        // Not offered.
        (CommandId::BROADCAST_SM, b"", CommandStatus::RINVCMDID),
    ];
    for (sequence, (id, body, status)) in (500..).zip(bodies) {
        esme.send_octets(&raw(id, sequence, body)).await;
        let answer = esme.expect_answer(id.response().unwrap(), sequence).await;
        assert_eq!(answer.status(), status, "{id}");
        assert_alive(&mut esme, &id.to_string()).await;
    }
    // An answer to nothing is nobody's business.
    esme.send_empty(CommandId::DELIVER_SM_RESP, CommandStatus::ROK, 4711)
        .await;
    assert_alive(&mut esme, "an answer to nothing").await;

    // Nothing of all this got through.
    esme.submit_ok(message("1", "447700900002", "good")).await;
    smsc.reopen().await;
    assert_eq!(smsc.expect_submit().await.text(), "good");
    smsc.expect_no_submit(A_WHILE).await;
}

// ===== binds =====

#[tokio::test]
async fn unknown_names_and_wrong_passwords_are_told_the_same() {
    let (local, _smsc) = alone(Changes::default()).await;
    for kind in [BindKind::Transmitter, BindKind::Receiver, BindKind::Transceiver] {
        let mut answers = Vec::new();
        for (system_id, password) in [("nobody", "secret"), ("load", "wrong"), ("load", ""), ("", "")] {
            let mut esme = ScriptedEsme::connect(local.esme()).await;
            let answer = esme.try_bind(kind, system_id, password).await;
            assert_eq!(
                answer.status(),
                CommandStatus::RBINDFAIL,
                "{system_id} {password}"
            );
            answers.push(answer.octets);
        }
        answers.dedup();
        assert_eq!(answers.len(), 1, "the answers differ: {answers:?}");
    }
}

#[tokio::test]
async fn a_password_beyond_the_field_is_refused_as_such() {
    let (local, _smsc) = alone(Changes::default()).await;
    let mut esme = ScriptedEsme::connect(local.esme()).await;
    let body = b"load\x00nine-char\x00\x00\x34\x00\x00\x00";
    esme.send_octets(&raw(CommandId::BIND_TRANSCEIVER, 7, body)).await;
    let answer = esme.expect_answer(CommandId::BIND_TRANSCEIVER_RESP, 7).await;
    assert_eq!(answer.status(), CommandStatus::RINVPASWD);
}

#[tokio::test]
async fn an_account_has_as_many_binds_as_it_may_and_no_more() {
    let (local, _smsc) = alone(account("max_binds = 2")).await;
    let first = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    let mut second = ScriptedEsme::connect(local.esme()).await;
    second.bind_rx("load", "secret").await;
    for _ in 0..2 {
        let mut third = ScriptedEsme::connect(local.esme()).await;
        let answer = third.try_bind(BindKind::Transmitter, "load", "secret").await;
        assert_eq!(answer.status(), CommandStatus::RBINDFAIL);
    }
    first.unbind().await;
    ScriptedEsme::bound(local.esme(), "load", "secret").await;
    assert_alive(&mut second, "the others").await;
}

#[tokio::test]
async fn an_address_or_a_kind_that_the_account_may_not_use_is_refused() {
    let extra = r#"
[[account]]
system_id = "elsewhere"
password_hashes = ["@hash@"]
allow_ips = ["192.0.2.7"]
[[account]]
system_id = "sends"
password_hashes = ["@hash@"]
binds = ["tx"]
"#;
    let changes = Changes {
        extra,
        ..Changes::default()
    };
    let (local, _smsc) = alone(changes).await;
    for (system_id, kind) in [
        ("elsewhere", BindKind::Transmitter),
        ("sends", BindKind::Receiver),
    ] {
        let mut esme = ScriptedEsme::connect(local.esme()).await;
        let answer = esme.try_bind(kind, system_id, "secret").await;
        assert_eq!(answer.status(), CommandStatus::RBINDFAIL, "{system_id}");
    }
    let mut esme = ScriptedEsme::connect(local.esme()).await;
    esme.bind_tx("sends", "secret").await;
}

// ===== peers that stall or flood =====

#[tokio::test]
async fn who_never_binds_is_closed_and_who_did_is_not() {
    let (local, _smsc) = alone(limits("session_init = \"600ms\"")).await;
    let mut idle = ScriptedEsme::connect(local.esme()).await;
    let mut bound = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    let mut busy = ScriptedEsme::connect(local.esme()).await;
    assert_alive(&mut busy, "connecting").await;
    assert_eq!(idle.expect_end().await, []);
    // What needs no bind buys no time.
    assert_eq!(busy.expect_end().await, []);
    assert_alive(&mut bound, "the time to bind").await;
}

#[tokio::test]
async fn who_does_not_answer_enquire_link_is_closed_and_who_does_is_not() {
    let (local, _smsc) = alone(limits(
        "enquire_link = \"200ms\"\nenquire_link_response = \"100ms\"",
    ))
    .await;
    let mut silent = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    let mut answering = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    silent.answers_enquire_link = false;
    let (frames, ()) = tokio::join!(silent.expect_end(), answering.expect_silence(LONGER));
    assert!(!frames.is_empty());
    assert!(
        frames.iter().all(|frame| frame.id() == CommandId::ENQUIRE_LINK),
        "{frames:?}"
    );
}

#[tokio::test]
async fn who_sends_far_more_than_the_window_at_once_is_answered_all_of_it() {
    let (local, mut smsc) = alone(account("window = 5")).await;
    let mut esme = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    let sm = Operation::SubmitSm(message("1", "447700900002", "one of many"));
    let octets: Vec<u8> = (100..400)
        .flat_map(|sequence| octets_of(CommandStatus::ROK, sequence, sm))
        .collect();
    esme.send_octets(&octets).await;
    let mut taken = 0;
    for sequence in 100..400 {
        let status = esme.expect_submit_resp(sequence).await.status();
        assert!(
            [CommandStatus::ROK, CommandStatus::RTHROTTLED].contains(&status),
            "{status}"
        );
        taken += usize::from(status.is_ok());
    }
    assert!(taken >= 5, "{taken}");
    smsc.reopen().await;
    for _ in 0..taken {
        let submit = smsc.expect_submit().await;
        smsc.answer(&submit, "c").await;
    }
    smsc.expect_no_submit(A_WHILE).await;
}

#[tokio::test]
async fn who_floods_and_never_reads_is_not_read_any_more_and_others_are_served() {
    let (local, _smsc) = alone(Changes::default()).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.set_send_buffer_size(4096).unwrap();
    let mut flood = socket.connect(local.esme()).await.unwrap();
    let body = b"load\x00secret\x00\x00\x34\x00\x00\x00";
    let bind = raw(CommandId::BIND_TRANSMITTER, 1, body);
    flood.write_all(&bind).await.unwrap();
    let mut octets = [0; 16];
    flood.read_exact(&mut octets).await.unwrap();
    assert_eq!(octets[8..12], [0; 4], "bound");
    let enquire: Vec<u8> = (1..=1000)
        .flat_map(|sequence| raw(CommandId::ENQUIRE_LINK, sequence, b""))
        .collect();
    // What the gateway and both sockets hold together is far below this.
    let bound = 32 << 20;
    let mut sent = 0;
    while sent < bound {
        match tokio::time::timeout(LONGER, flood.write(&enquire)).await {
            Ok(Ok(count)) => sent += count,
            // Closed, or not read any more.
            Ok(Err(_)) | Err(_) => break,
        }
    }
    assert!(sent < bound, "{sent} octets were read, and none of the answers");
    let mut esme = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    esme.submit_ok(message("1", "447700900002", "served")).await;
}

#[tokio::test]
async fn connections_beyond_the_limits_are_closed_at_once() {
    let (local, _smsc) = alone(limits("max_connections = 3\nmax_unbound_per_ip = 2")).await;
    let mut first = ScriptedEsme::connect(local.esme()).await;
    let mut second = ScriptedEsme::connect(local.esme()).await;
    // Unbound: two of one address.
    assert_eq!(ScriptedEsme::connect(local.esme()).await.expect_end().await, []);
    first.bind_tx("load", "secret").await;
    second.bind_rx("load", "secret").await;
    let mut third = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    // In all: three.
    assert_eq!(ScriptedEsme::connect(local.esme()).await.expect_end().await, []);
    for esme in [&mut first, &mut second, &mut third] {
        assert_alive(esme, "the limit").await;
    }
}

#[tokio::test]
async fn an_account_above_its_rate_is_throttled_and_recovers() {
    let (local, mut smsc) = alone(account("rate = 20")).await;
    let mut esme = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    let mut sequences = Vec::new();
    for _ in 0..500 {
        sequences.push(esme.submit(message("1", "447700900002", "one of many")).await);
    }
    let (mut taken, mut throttled) = (0, 0);
    for sequence in sequences {
        match esme.expect_submit_resp(sequence).await.status() {
            CommandStatus::ROK => taken += 1,
            CommandStatus::RTHROTTLED => throttled += 1,
            other => panic!("{other}"),
        }
    }
    assert!(
        taken >= 1 && throttled >= 100,
        "{taken} taken, {throttled} throttled"
    );
    // Time has to pass.
    tokio::time::sleep(Duration::from_millis(300)).await;
    esme.submit_ok(message("1", "447700900002", "later")).await;
    smsc.reopen().await;
    for _ in 0..=taken {
        let submit = smsc.expect_submit().await;
        smsc.answer(&submit, "c").await;
    }
    smsc.expect_no_submit(A_WHILE).await;
}

// ===== starting =====

#[tokio::test]
async fn a_second_gateway_on_the_same_data_refuses_and_names_it() {
    let (local, _smsc) = alone(Changes::default()).await;
    let Err(error) = local.try_start() else {
        panic!("a second one runs");
    };
    let (error, data) = (
        error.to_string(),
        local.dir.path().join("data").display().to_string(),
    );
    assert!(error.contains(&data), "{error}");
    let mut esme = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    esme.submit_ok(message("1", "447700900002", "unharmed")).await;
}

#[test]
fn a_wrong_configuration_starts_nothing_and_names_every_problem_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let changes = Changes {
        account: "max_binds = 0",
        carrier: "windows = 10",
        limits: "session_init = \"soon\"",
        extra: "[[route.mt]]\nprefix = \"49\"\ncarriers = [\"nobody\"]",
        ..Changes::default()
    };
    let text = crate::local::config(&dir, std::net::SocketAddr::from(([127, 0, 0, 1], 1)), changes);
    let Err(problems) = tidegate_config::parse(&text) else {
        panic!("it was taken");
    };
    let problems = problems.to_string();
    for wrong in [
        "max_binds = 0",
        "windows = 10",
        "session_init = ",
        "carriers = [\"nobody\"]",
    ] {
        let line = 1 + text.lines().position(|line| line.starts_with(wrong)).unwrap();
        let key = wrong.split(' ').next().unwrap();
        let named = problems
            .lines()
            .any(|problem| problem.contains(key) && problem.contains(&format!("{line}")));
        assert!(named, "{key} in line {line} is not among:\n{problems}");
    }
    assert!(!dir.path().join("data").exists());
}

// ===== a full disk =====

/// A message whose text is in its TLVs, and for which no receipt is asked.
fn long(tlvs: &[u8]) -> Sm<'_> {
    Sm {
        registered_delivery: RegisteredDelivery::NONE,
        tlvs: Tlvs::new(tlvs),
        ..message("1", "447700900002", "")
    }
}

#[tokio::test]
async fn a_full_spool_answers_queue_full_loses_nothing_and_takes_again_once_it_drains() {
    let changes = Changes {
        storage: "limit = \"3MiB\"\nreserve_segments = 1",
        ..Changes::default()
    };
    let (local, mut smsc) = alone(changes).await;
    let mut esme = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    let tlvs = |number: usize| {
        let mut payload = format!("{number:05}").into_bytes();
        payload.resize(20_000, b'x');
        let mut tlvs = Vec::new();
        assert!(tlv::append(&mut tlvs, Tag::MESSAGE_PAYLOAD, &payload));
        tlvs
    };
    let mut acknowledged = BTreeSet::new();
    for number in 0.. {
        let tlvs = tlvs(number);
        let sequence = esme.submit(long(&tlvs)).await;
        match esme.expect_submit_resp(sequence).await.status() {
            CommandStatus::ROK => assert!(acknowledged.insert(format!("{number:05}"))),
            CommandStatus::RMSGQFUL => break,
            other => panic!("{number}: {other}"),
        }
        assert!(number < 200, "the limit holds nothing back");
    }
    assert!(acknowledged.len() > 20, "{} fitted", acknowledged.len());
    assert_alive(&mut esme, "the spool is full").await;

    smsc.reopen().await;
    let mut arrived = BTreeSet::new();
    while arrived.len() < acknowledged.len() {
        let submit = smsc.expect_submit().await;
        smsc.answer(&submit, "c").await;
        assert!(
            arrived.insert(submit.text()[..5].to_owned()),
            "{} came twice",
            &submit.text()[..5]
        );
    }
    assert_eq!(arrived, acknowledged);

    // Segments are given back in the background: soon, not at once.
    let mut refusals = 0;
    let last = tlvs(99_999);
    loop {
        let sequence = esme.submit(long(&last)).await;
        match esme.expect_submit_resp(sequence).await.status() {
            CommandStatus::ROK => break,
            status => assert_eq!(status, CommandStatus::RMSGQFUL),
        }
        refusals += 1;
        assert!(refusals < 500, "intake does not come back");
        smsc.expect_no_submit(Duration::from_millis(20)).await;
    }
    assert!(smsc.expect_submit().await.text().starts_with("99999"));
}

/// A close with octets unread is a reset, and a reset takes what the peer has not read yet: here almost every answer,
/// since they wait in the gateway's socket for a peer that reads late.
#[tokio::test]
async fn the_last_answers_arrive_though_the_peer_goes_on_sending_behind_a_broken_frame() {
    let (local, _smsc) = alone(Changes::default()).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut socket = socket.connect(local.esme()).await.unwrap();
    let (mut sent, mut expected) = (Vec::new(), Vec::new());
    for sequence in 1..=2_000 {
        sent.extend(empty(CommandId::ENQUIRE_LINK, CommandStatus::ROK, sequence));
        expected.extend(empty(CommandId::ENQUIRE_LINK_RESP, CommandStatus::ROK, sequence));
    }
    sent.extend([0, 0, 0, 15, 0, 0, 0, 21, 0, 0, 0, 0, 0, 0, 0, 7]);
    expected.extend(empty(CommandId::GENERIC_NACK, CommandStatus::RINVCMDLEN, 7));
    // More than the gateway reads at once.
    sent.extend([0xff; 100_000]);
    socket.write_all(&sent).await.unwrap();
    // It has closed its side by now, or waits for us to read.
    tokio::time::sleep(A_WHILE).await;
    let mut received = Vec::new();
    tokio::time::timeout(LONGER * 10, socket.read_to_end(&mut received))
        .await
        .expect("the gateway closes")
        .expect("in order, without a reset");
    assert_eq!(received.len(), expected.len());
    assert!(received == expected);
}
