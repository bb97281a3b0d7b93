//! What happens to a message, its receipt and what comes from handsets, over real sockets. Here is what both sides get that
//! is not of a [receipt](receipts), of a [carrier](carriers)'s doing, or of [3.3](v3_3).

mod carriers;
mod receipts;
mod v3_3;

use std::net::SocketAddr;
use std::time::Duration;

use tidegate_codec::header::{CommandId, HEADER_LEN};
use tidegate_codec::message_id::MessageIdField;
use tidegate_codec::octets::COctets;
use tidegate_codec::pdu::Operation;
use tidegate_codec::pdu::message::{DataSm, ShortMessage, Sm};
use tidegate_codec::pdu::response::MessageIdResp;
use tidegate_codec::status::CommandStatus;
use tidegate_codec::time::SmppTime;
use tidegate_codec::tlv::{self, Tag, Tlvs};
use tidegate_codec::values::{
    BindKind, DataCoding, EsmClass, InterfaceVersion, MessageState, RegisteredDelivery,
};
use tidegate_tests::esme::message;
use tidegate_tests::smsc::Submit;
use tidegate_tests::{DEADLINE, Dialect, Frame, ScriptedEsme, ScriptedSmsc};

use crate::local::{Changes, Local};

/// How long nothing must come where nothing should.
const A_WHILE: Duration = Duration::from_millis(60);
const FROM: &str = "447700900001";
const TO: &str = "447700900002";

/// A gateway with its carrier bound, and a client of `load` on a transceiver bind.
async fn world(changes: Changes<'_>) -> (Local, ScriptedSmsc, ScriptedEsme) {
    let mut smsc = ScriptedSmsc::listen().await;
    let local = Local::start_with(smsc.addr(), changes);
    smsc.expect_binds(1).await;
    let esme = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    (local, smsc, esme)
}

fn carrier(carrier: &str) -> Changes<'_> {
    Changes {
        carrier,
        ..Changes::default()
    }
}

/// A second carrier behind the first one for numbers that begin with 44.
fn second(addr: SocketAddr, keys: &str) -> String {
    format!(
        r#"
[[carrier]]
name = "second"
addresses = ["{addr}"]
system_id = "tidegate"
password_file = "@password@"
reconnect_min = "50ms"
reconnect_max = "200ms"
{keys}
[[route.mt]]
prefix = "44"
carriers = ["sink", "second"]
"#
    )
}

/// Submits, and has the carrier take it under this id: our id, and the carrier's submit.
async fn handed_over(
    esme: &mut ScriptedEsme,
    smsc: &mut ScriptedSmsc,
    sm: Sm<'_>,
    id: &str,
) -> (String, Submit) {
    let ours = esme.submit_ok(sm).await;
    let submit = smsc.expect_submit().await;
    smsc.answer(&submit, id).await;
    (ours, submit)
}

/// The carrier's receipt, whose answer must be success.
async fn receipt(smsc: &mut ScriptedSmsc, submit: &Submit, id: &str, state: MessageState) {
    let sequence = smsc.receipt(submit, id, state, Dialect::Both).await;
    assert_eq!(smsc.expect_deliver_resp(sequence).await, CommandStatus::ROK);
}

/// A message from a handset, whose answer must be success. It also shows that the gateway has read all that
/// came on this link before.
async fn mo(smsc: &mut ScriptedSmsc, link: usize, called: &str, text: &str) {
    let sequence = smsc.deliver(link, message(TO, called, text)).await;
    assert_eq!(smsc.expect_deliver_resp(sequence).await, CommandStatus::ROK);
}

/// Whether a DLR says so in text and TLVs alike.
#[track_caller]
fn assert_dlr(dlr: &Frame, id: &str, state: MessageState, err: Option<&str>) {
    let (sm, text) = (dlr.sm(), dlr.text());
    assert_eq!(sm.esm_class, EsmClass::RECEIPT);
    assert!(text.starts_with(&format!("id:{id} ")), "{text}");
    assert!(text.contains(&format!(" stat:{} ", state.stat())), "{text}");
    if let Some(err) = err {
        assert!(text.contains(&format!(" err:{err} ")), "{text}");
    }
    assert_eq!(sm.tlvs.octet(Tag::MESSAGE_STATE), Some(state.octet()));
    let named = sm.tlvs.get(Tag::RECEIPTED_MESSAGE_ID).unwrap();
    assert_eq!(named.strip_suffix(b"\0").unwrap_or(named), id.as_bytes());
}

// ===== messages from handsets =====

#[tokio::test]
async fn an_mo_reaches_any_receiver_byte_for_byte_and_an_unowned_one_is_acknowledged() {
    let mut smsc = ScriptedSmsc::listen().await;
    let local = Local::start(smsc.addr(), "");
    smsc.expect_binds(1).await;
    let mut rx = ScriptedEsme::connect(local.esme()).await;
    rx.bind_rx("load", "secret").await;
    mo(&mut smsc, 0, "54321", "nobody's").await;
    let mut tlvs = Vec::new();
    assert!(tlv::append(&mut tlvs, Tag(0x1401), b"\x00vendor\xff"));
    assert!(tlv::append(&mut tlvs, Tag(0x3fff), b""));
    let sent = Sm {
        esm_class: EsmClass(EsmClass::UDHI),
        protocol_id: 0x7f,
        priority_flag: 1,
        data_coding: DataCoding(0xf5),
        short_message: ShortMessage::new(b"\x05\x00\x03\x2a\x02\x01\x00\xff\xfeD\x80").unwrap(),
        tlvs: Tlvs::new(&tlvs),
        ..message(TO, "12345", "")
    };
    let sequence = smsc.deliver(0, sent).await;
    let (delivery, status) = tokio::join!(rx.expect_deliver(), smsc.expect_deliver_resp(sequence));
    assert_eq!(status, CommandStatus::ROK);
    let mut octets = Vec::new();
    sent.encode(&mut octets);
    assert_eq!(delivery.octets[HEADER_LEN..], octets);
    rx.expect_silence(A_WHILE).await;
}

#[tokio::test]
async fn an_mo_waits_for_a_receiver_across_a_restart() {
    let mut smsc = ScriptedSmsc::listen().await;
    let mut local = Local::start(smsc.addr(), "");
    smsc.expect_binds(1).await;
    mo(&mut smsc, 0, "12345", "STOP").await;
    local.restart();
    let mut rx = ScriptedEsme::connect(local.esme()).await;
    rx.bind_rx("load", "secret").await;
    assert_eq!(rx.expect_deliver().await.text(), "STOP");
}

// ===== what is forwarded =====

#[tokio::test]
async fn a_message_goes_through_byte_for_byte_but_for_its_validity() {
    let (_local, mut smsc, mut esme) = world(Changes::default()).await;
    let payload: Vec<u8> = (0..1000u32).map(|number| number.to_be_bytes()[3]).collect();
    let mut tlvs = Vec::new();
    assert!(tlv::append(&mut tlvs, Tag(0x1402), b"before\x00\xff"));
    assert!(tlv::append(&mut tlvs, Tag::MESSAGE_PAYLOAD, &payload));
    assert!(tlv::append(&mut tlvs, Tag(0x1403), b""));
    let sent = Sm {
        service_type: COctets::new(b"WAP").unwrap(),
        esm_class: EsmClass(EsmClass::UDHI | 0x03),
        protocol_id: 0x41,
        priority_flag: 3,
        data_coding: DataCoding(0x04),
        tlvs: Tlvs::new(&tlvs),
        ..message("Shop", TO, "")
    };
    let (_, submit) = handed_over(&mut esme, &mut smsc, sent, "c").await;
    let expected = Sm {
        validity_period: submit.sm().validity_period,
        ..sent
    };
    let mut octets = Vec::new();
    expected.encode(&mut octets);
    assert_eq!(submit.frame.octets[HEADER_LEN..], octets);
    assert!(
        !submit.sm().validity_period.is_empty(),
        "the carrier's default holds"
    );
}

#[tokio::test]
async fn a_data_sm_goes_through_and_its_receipt_comes_back() {
    let (_local, mut smsc, mut esme) = world(Changes::default()).await;
    let mut tlvs = Vec::new();
    assert!(tlv::append(&mut tlvs, Tag(0x1404), b"vendor"));
    assert!(tlv::append(&mut tlvs, Tag::MESSAGE_PAYLOAD, b"\x00Hello\xff"));
    let (source, destination) = (message(FROM, TO, ""), message(FROM, TO, ""));
    let wide = |octets: &'static [u8]| {
        tidegate_codec::address::Address::new(source.source.ton, source.source.npi, octets).unwrap()
    };
    let sent = DataSm {
        source: wide(FROM.as_bytes()),
        destination: wide(TO.as_bytes()),
        registered_delivery: RegisteredDelivery::FINAL,
        data_coding: DataCoding(0x04),
        tlvs: Tlvs::new(&tlvs),
        ..DataSm::default()
    };
    let asked = esme.request(Operation::DataSm(sent)).await;
    let answer = esme.expect_answer(CommandId::DATA_SM_RESP, asked).await;
    assert_eq!(answer.status(), CommandStatus::ROK);
    let id = answer.message_id();
    let (link, frame) = smsc
        .expect("data_sm", |frame| frame.id() == CommandId::DATA_SM)
        .await;
    let mut octets = Vec::new();
    sent.encode(&mut octets);
    assert_eq!(frame.octets[HEADER_LEN..], octets);
    let body = MessageIdResp {
        message_id: MessageIdField::new(b"c").unwrap(),
        tlvs: Tlvs::NONE,
    };
    let taken = Operation::DataSmResp(Some(body));
    let peer = &mut smsc.link(link).peer;
    peer.send(CommandStatus::ROK, frame.sequence(), taken).await;
    let text =
        "id:c sub:001 dlvrd:001 submit date:2611240900 done date:2611240901 stat:DELIVRD err:000 text:";
    let delivery = Sm {
        source: destination.destination,
        destination: destination.source,
        esm_class: EsmClass::RECEIPT,
        short_message: ShortMessage::new(text.as_bytes()).unwrap(),
        ..Sm::default()
    };
    let sequence = smsc.deliver(link, delivery).await;
    assert_eq!(smsc.expect_deliver_resp(sequence).await, CommandStatus::ROK);
    assert_dlr(&esme.expect_deliver().await, &id, MessageState::Delivered, None);
}

#[tokio::test]
async fn the_carrier_is_told_what_is_left_of_the_validity() {
    let mut smsc = ScriptedSmsc::listen().await;
    smsc.stop_listening();
    let local = Local::start(smsc.addr(), "");
    let mut esme = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    let sm = Sm {
        validity_period: COctets::new(b"000000000130000R").unwrap(),
        ..message(FROM, TO, "Hello")
    };
    esme.submit_ok(sm).await;
    // Time has to pass while it waits.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    smsc.reopen().await;
    let submit = smsc.expect_submit().await;
    let left = SmppTime::parse(submit.sm().validity_period.as_bytes(), 0).unwrap();
    let left = left.resolve(0).unwrap();
    assert!((60_000..=89_000).contains(&left), "{left} ms");
}

#[tokio::test]
async fn a_message_expires_when_its_validity_ends_before_a_carrier_is_there() {
    let mut smsc = ScriptedSmsc::listen().await;
    smsc.stop_listening();
    let local = Local::start(smsc.addr(), "");
    let mut esme = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    let sm = Sm {
        validity_period: COctets::new(b"000000000002000R").unwrap(),
        ..message(FROM, TO, "Hello")
    };
    let id = esme.submit_ok(sm).await;
    assert_dlr(&esme.expect_deliver().await, &id, MessageState::Expired, None);
    smsc.reopen().await;
    smsc.expect_binds(1).await;
    mo(&mut smsc, 0, "999", "bound").await;
    smsc.expect_no_submit(A_WHILE).await;
}

/// A message with these TLVs and no short_message.
fn message_with(tlvs: &[u8]) -> Sm<'_> {
    Sm {
        tlvs: Tlvs::new(tlvs),
        ..message(FROM, TO, "")
    }
}
