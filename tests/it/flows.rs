//! What happens to a message, its receipt and what comes from handsets, over real sockets.

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

// ===== receipts =====

#[tokio::test]
async fn a_receipt_comes_back_with_our_id_and_swapped_addresses_in_text_and_tlvs() {
    let (_local, mut smsc, mut esme) = world(Changes::default()).await;
    for (carrier_id, state) in [
        ("c-1", MessageState::Delivered),
        ("c-2", MessageState::Undeliverable),
    ] {
        let sent = message(FROM, TO, "Hello");
        let (id, submit) = handed_over(&mut esme, &mut smsc, sent, carrier_id).await;
        assert_ne!(id, carrier_id);
        receipt(&mut smsc, &submit, carrier_id, state).await;
        let dlr = esme.expect_deliver().await;
        assert_dlr(&dlr, &id, state, None);
        assert_eq!(
            (dlr.sm().source, dlr.sm().destination),
            (sent.destination, sent.source)
        );
    }
}

#[tokio::test]
async fn receipts_in_text_only_tlvs_only_and_foreign_words_are_understood() {
    let (_local, mut smsc, mut esme) = world(Changes::default()).await;
    let dialects = [
        Dialect::Text,
        Dialect::Tlvs,
        Dialect::Wording("ID:{id} STAT:{stat} ERR:000"),
    ];
    for (number, dialect) in dialects.into_iter().enumerate() {
        let carrier_id = format!("{number}");
        let sent = message(FROM, TO, "Hello");
        let (id, submit) = handed_over(&mut esme, &mut smsc, sent, &carrier_id).await;
        let sequence = smsc
            .receipt(&submit, &carrier_id, MessageState::Delivered, dialect)
            .await;
        assert_eq!(smsc.expect_deliver_resp(sequence).await, CommandStatus::ROK);
        assert_dlr(&esme.expect_deliver().await, &id, MessageState::Delivered, None);
    }
}

#[tokio::test]
async fn nobody_gets_a_dlr_that_was_not_asked_for() {
    let (_local, mut smsc, mut esme) = world(Changes::default()).await;
    let asking = |wish: u8| Sm {
        registered_delivery: RegisteredDelivery(wish),
        ..message(FROM, TO, "Hello")
    };
    let (_, never) = handed_over(&mut esme, &mut smsc, asking(0), "n").await;
    assert_eq!(never.sm().registered_delivery, RegisteredDelivery(0));
    receipt(&mut smsc, &never, "n", MessageState::Delivered).await;
    let (_, delivered) = handed_over(&mut esme, &mut smsc, asking(2), "d").await;
    assert_eq!(delivered.sm().registered_delivery, RegisteredDelivery(2));
    receipt(&mut smsc, &delivered, "d", MessageState::Delivered).await;
    let (id, failed) = handed_over(&mut esme, &mut smsc, asking(2), "f").await;
    receipt(&mut smsc, &failed, "f", MessageState::Undeliverable).await;
    // The first one that comes is the last one's.
    assert_dlr(
        &esme.expect_deliver().await,
        &id,
        MessageState::Undeliverable,
        None,
    );
    esme.expect_silence(A_WHILE).await;
}

#[tokio::test]
async fn an_intermediate_state_and_a_second_receipt_make_no_second_dlr() {
    let (_local, mut smsc, mut esme) = world(Changes::default()).await;
    let (id, submit) = handed_over(&mut esme, &mut smsc, message(FROM, TO, "Hello"), "c").await;
    receipt(&mut smsc, &submit, "c", MessageState::Enroute).await;
    receipt(&mut smsc, &submit, "c", MessageState::Delivered).await;
    receipt(&mut smsc, &submit, "c", MessageState::Undeliverable).await;
    assert_dlr(&esme.expect_deliver().await, &id, MessageState::Delivered, None);
    esme.expect_silence(A_WHILE).await;
}

#[tokio::test]
async fn who_asked_for_states_on_the_way_is_told_them_and_the_end_too() {
    let (_local, mut smsc, mut esme) = world(Changes::default()).await;
    let sm = Sm {
        registered_delivery: RegisteredDelivery(0x11),
        ..message(FROM, TO, "Hello")
    };
    let (id, submit) = handed_over(&mut esme, &mut smsc, sm, "c").await;
    assert_eq!(submit.sm().registered_delivery, RegisteredDelivery(0x11));
    receipt(&mut smsc, &submit, "c", MessageState::Enroute).await;
    let note = esme.expect_deliver().await;
    assert_eq!(note.sm().esm_class, EsmClass::INTERMEDIATE);
    assert_eq!(note.receipted_id(), id);
    assert!(note.text().contains(" stat:ENROUTE "), "{}", note.text());
    receipt(&mut smsc, &submit, "c", MessageState::Delivered).await;
    assert_dlr(&esme.expect_deliver().await, &id, MessageState::Delivered, None);
    // Nothing on the way of what has ended.
    receipt(&mut smsc, &submit, "c", MessageState::Enroute).await;
    esme.expect_silence(A_WHILE).await;
}

#[tokio::test]
async fn a_dlr_waits_for_a_receiver_and_outlives_a_restart() {
    let mut smsc = ScriptedSmsc::listen().await;
    let mut local = Local::start(smsc.addr(), "");
    smsc.expect_binds(1).await;
    let mut tx = ScriptedEsme::connect(local.esme()).await;
    tx.bind_tx("load", "secret").await;
    let (first, submit) = handed_over(&mut tx, &mut smsc, message(FROM, TO, "one"), "c-1").await;
    receipt(&mut smsc, &submit, "c-1", MessageState::Delivered).await;
    tx.expect_silence(A_WHILE).await;
    let mut rx = ScriptedEsme::connect(local.esme()).await;
    rx.bind_rx("load", "secret").await;
    assert_dlr(&rx.expect_deliver().await, &first, MessageState::Delivered, None);
    rx.unbind().await;

    let (second, submit) = handed_over(&mut tx, &mut smsc, message(FROM, TO, "two"), "c-2").await;
    receipt(&mut smsc, &submit, "c-2", MessageState::Undeliverable).await;
    // Handed over, its receipt comes only after the restart.
    let (third, late) = handed_over(&mut tx, &mut smsc, message(FROM, TO, "three"), "c-3").await;
    mo(&mut smsc, 0, "999", "read").await;
    local.restart();
    smsc.expect_binds(2).await;
    let link = smsc.bound().pop().unwrap();
    let sequence = smsc
        .receipt_on(link, &late, "c-3", MessageState::Delivered, Dialect::Both)
        .await;
    assert_eq!(smsc.expect_deliver_resp(sequence).await, CommandStatus::ROK);
    let mut rx = ScriptedEsme::connect(local.esme()).await;
    rx.bind_rx("load", "secret").await;
    let dlr = rx.expect_receipt(&second).await;
    assert_dlr(&dlr, &second, MessageState::Undeliverable, None);
    assert_dlr(
        &rx.expect_receipt(&third).await,
        &third,
        MessageState::Delivered,
        None,
    );
    rx.expect_silence(A_WHILE).await;
    smsc.expect_no_submit(A_WHILE).await;
}

#[tokio::test]
async fn a_dlr_that_was_answered_later_is_delivered_again() {
    let (_local, mut smsc, mut esme) = world(Changes::default()).await;
    esme.answers = Some(CommandStatus::RX_T_APPN);
    let (id, submit) = handed_over(&mut esme, &mut smsc, message(FROM, TO, "Hello"), "c").await;
    receipt(&mut smsc, &submit, "c", MessageState::Delivered).await;
    let first = esme.expect_receipt(&id).await;
    esme.answers = Some(CommandStatus::ROK);
    let again = esme.expect_receipt(&id).await;
    assert_eq!(first.octets[HEADER_LEN..], again.octets[HEADER_LEN..]);
    esme.expect_silence(A_WHILE).await;
}

#[tokio::test]
async fn a_dlr_whose_receiver_left_without_an_answer_goes_to_the_next_one() {
    let (local, mut smsc, mut esme) = world(Changes::default()).await;
    esme.answers = None;
    let (id, submit) = handed_over(&mut esme, &mut smsc, message(FROM, TO, "Hello"), "c").await;
    receipt(&mut smsc, &submit, "c", MessageState::Delivered).await;
    esme.expect_receipt(&id).await;
    drop(esme);
    let mut esme = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    esme.expect_receipt(&id).await;
}

#[tokio::test]
async fn a_receipt_that_overtakes_its_response_on_another_link_is_matched() {
    let mut smsc = ScriptedSmsc::listen().await;
    let local = Local::start_with(smsc.addr(), carrier("links = 2"));
    smsc.expect_binds(2).await;
    let mut esme = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    let id = esme.submit_ok(message(FROM, TO, "Hello")).await;
    let submit = smsc.expect_submit().await;
    let other = 1 - submit.link;
    let sequence = smsc
        .receipt_on(other, &submit, "c", MessageState::Delivered, Dialect::Both)
        .await;
    mo(&mut smsc, other, "999", "the receipt has been read").await;
    smsc.answer(&submit, "c").await;
    assert_eq!(smsc.expect_deliver_resp(sequence).await, CommandStatus::ROK);
    assert_dlr(&esme.expect_deliver().await, &id, MessageState::Delivered, None);
}

#[tokio::test]
async fn ids_that_a_carrier_writes_in_two_bases_are_matched() {
    let keys = r#"id_base = { response = "decimal", receipt = "hex" }"#;
    let (_local, mut smsc, mut esme) = world(carrier(keys)).await;
    let (id, submit) = handed_over(&mut esme, &mut smsc, message(FROM, TO, "a"), "0000048879").await;
    receipt(&mut smsc, &submit, "BEEF", MessageState::Delivered).await;
    assert_dlr(&esme.expect_deliver().await, &id, MessageState::Delivered, None);

    let keys = r#"id_base = { response = "hex", receipt = "decimal" }"#;
    let (_local, mut smsc, mut esme) = world(carrier(keys)).await;
    let (id, submit) = handed_over(&mut esme, &mut smsc, message(FROM, TO, "a"), "beef").await;
    receipt(&mut smsc, &submit, "48879", MessageState::Undeliverable).await;
    assert_dlr(
        &esme.expect_deliver().await,
        &id,
        MessageState::Undeliverable,
        None,
    );
}

#[tokio::test]
async fn a_message_without_a_receipt_by_the_deadline_is_unknown() {
    let (_local, mut smsc, mut esme) =
        world(carrier("receipt_deadline = \"1s\"\nmax_validity = \"1s\"")).await;
    let (id, _) = handed_over(&mut esme, &mut smsc, message(FROM, TO, "Hello"), "c").await;
    assert_dlr(&esme.expect_deliver().await, &id, MessageState::Unknown, None);
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

// ===== carriers =====

#[tokio::test]
async fn a_message_waits_for_its_carrier_and_is_acknowledged_meanwhile() {
    let (_local, mut smsc, mut esme) = world(Changes::default()).await;
    smsc.stop_listening();
    smsc.drop_all();
    for text in ["first", "second"] {
        esme.submit_ok(message(FROM, TO, text)).await;
    }
    smsc.reopen().await;
    assert_eq!(smsc.expect_submit().await.text(), "first");
    assert_eq!(smsc.expect_submit().await.text(), "second");
}

#[tokio::test]
async fn the_next_carrier_takes_over_and_the_first_comes_back() {
    let (mut first, mut next) = (ScriptedSmsc::listen().await, ScriptedSmsc::listen().await);
    let extra = second(next.addr(), "");
    let local = Local::start(first.addr(), &extra);
    tokio::join!(first.expect_binds(1), next.expect_binds(1));
    mo(&mut first, 0, "999", "bound").await;
    let mut esme = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    let (_, submit) = handed_over(&mut esme, &mut first, message(FROM, TO, "one"), "1").await;
    assert_eq!(submit.text(), "one");

    // One is unanswered when the first goes, one comes after that.
    esme.submit_ok(message(FROM, TO, "two")).await;
    first.expect_submit_of("two").await;
    first.stop_listening();
    first.drop_all();
    esme.submit_ok(message(FROM, TO, "three")).await;
    for text in ["two", "three"] {
        let submit = next.expect_submit_of(text).await;
        next.answer(&submit, text).await;
    }

    first.reopen().await;
    first.expect_binds(2).await;
    let link = first.bound()[0];
    mo(&mut first, link, "999", "bound again").await;
    esme.submit_ok(message(FROM, TO, "four")).await;
    first.expect_submit_of("four").await;
    next.expect_no_submit(A_WHILE).await;
}

#[tokio::test]
async fn what_a_throttling_carrier_turned_away_is_offered_again_and_none_is_lost_or_doubled() {
    let (_local, mut smsc, mut esme) = world(Changes::default()).await;
    let texts: Vec<String> = (0..20).map(|number| format!("{number:02}")).collect();
    let mut ids = Vec::new();
    for text in &texts {
        ids.push(esme.submit_ok(message(FROM, TO, text)).await);
    }
    let mut taken = Vec::new();
    let mut throttled = 0;
    while taken.len() < texts.len() {
        let submit = smsc.expect_submit().await;
        if throttled < 3 {
            throttled += 1;
            smsc.refuse(&submit, CommandStatus::RTHROTTLED).await;
        } else {
            smsc.answer(&submit, &submit.text()).await;
            taken.push(submit);
        }
    }
    let mut got: Vec<String> = taken.iter().map(Submit::text).collect();
    got.sort();
    assert_eq!(got, texts);
    smsc.expect_no_submit(A_WHILE).await;
    for submit in &taken {
        let id = submit.text();
        receipt(&mut smsc, submit, &id, MessageState::Delivered).await;
    }
    for id in &ids {
        assert_dlr(&esme.expect_receipt(id).await, id, MessageState::Delivered, None);
    }
}

#[tokio::test]
async fn a_window_full_of_messages_that_come_back_keeps_its_order() {
    let (_local, mut smsc, mut esme) = world(Changes::default()).await;
    let texts: Vec<String> = (0..8).map(|number| format!("in order {number}")).collect();
    for text in &texts {
        esme.submit_ok(message(FROM, TO, text)).await;
    }
    let mut submits = Vec::new();
    for _ in &texts {
        submits.push(smsc.expect_submit().await);
    }
    for submit in &submits {
        smsc.refuse(submit, CommandStatus::RTHROTTLED).await;
    }
    let mut again = Vec::new();
    for _ in &texts {
        let submit = smsc.expect_submit().await;
        smsc.answer(&submit, &submit.text()).await;
        again.push(submit.text());
    }
    // Those whose "slow" came first are offered again first; none overtakes inside one burst of answers.
    assert_eq!(again, texts);
}

#[tokio::test]
async fn a_rejection_makes_a_rejected_dlr_with_its_status() {
    let (_local, mut smsc, mut esme) = world(Changes::default()).await;
    let id = esme.submit_ok(message(FROM, TO, "Hello")).await;
    let submit = smsc.expect_submit().await;
    smsc.refuse(&submit, CommandStatus::RINVDSTADR).await;
    assert_dlr(
        &esme.expect_deliver().await,
        &id,
        MessageState::Rejected,
        Some("011"),
    );
    smsc.expect_no_submit(A_WHILE).await;
}

#[tokio::test]
async fn a_passing_failure_is_tried_on_the_next_carrier_until_the_attempts_are_over() {
    let (mut first, mut next) = (ScriptedSmsc::listen().await, ScriptedSmsc::listen().await);
    let keys = "retry_min = \"10ms\"\nretry_max = \"20ms\"\nmax_attempts = 3";
    let extra = second(next.addr(), keys);
    let changes = Changes {
        carrier: keys,
        extra: &extra,
        ..Changes::default()
    };
    let local = Local::start_with(first.addr(), changes);
    tokio::join!(first.expect_binds(1), next.expect_binds(1));
    mo(&mut first, 0, "999", "bound").await;
    mo(&mut next, 0, "999", "bound").await;
    let mut esme = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    let id = esme.submit_ok(message(FROM, TO, "Hello")).await;
    let submit = first.expect_submit().await;
    first.refuse(&submit, CommandStatus::RSYSERR).await;
    let submit = next.expect_submit().await;
    next.refuse(&submit, CommandStatus::RSYSERR).await;
    let submit = first.expect_submit().await;
    first.refuse(&submit, CommandStatus::RSYSERR).await;
    assert_dlr(
        &esme.expect_deliver().await,
        &id,
        MessageState::Undeliverable,
        Some("008"),
    );
    next.expect_no_submit(A_WHILE).await;

    let id = esme.submit_ok(message(FROM, TO, "Again")).await;
    let submit = first.expect_submit().await;
    first.refuse(&submit, CommandStatus::RSYSERR).await;
    let submit = next.expect_submit().await;
    next.answer(&submit, "n").await;
    receipt(&mut next, &submit, "n", MessageState::Delivered).await;
    assert_dlr(&esme.expect_deliver().await, &id, MessageState::Delivered, None);
}

#[tokio::test]
async fn a_carrier_that_calls_the_bind_invalid_is_bound_anew_and_gets_the_message_again() {
    let (_local, mut smsc, mut esme) = world(Changes::default()).await;
    esme.submit_ok(message(FROM, TO, "Hello")).await;
    let submit = smsc.expect_submit().await;
    smsc.refuse(&submit, CommandStatus::RINVBNDSTS).await;
    smsc.expect_binds(2).await;
    let again = smsc.expect_submit().await;
    assert_eq!((again.text(), again.link), ("Hello".to_owned(), 1));
}

#[tokio::test]
async fn submits_without_an_answer_are_handed_over_again_as_soon_as_the_link_is_back() {
    let (_local, mut smsc, mut esme) = world(Changes::default()).await;
    let texts = ["first", "second", "third"];
    for text in texts {
        esme.submit_ok(message(FROM, TO, text)).await;
    }
    for text in texts {
        assert_eq!(smsc.expect_submit().await.text(), text);
    }
    // `expect_submit` waits for less than the timer for answers, which is 30 s.
    const { assert!(DEADLINE.as_secs() < 30) };
    smsc.reset_link(0);
    let mut got = Vec::new();
    for _ in texts {
        let submit = smsc.expect_submit().await;
        smsc.answer(&submit, "c").await;
        got.push(submit.text());
    }
    got.sort();
    assert_eq!(got, texts);
    smsc.expect_no_submit(A_WHILE).await;
}

#[tokio::test]
async fn a_pair_of_binds_submits_on_the_one_and_hears_on_the_other() {
    let mut smsc = ScriptedSmsc::listen().await;
    let local = Local::start_with(smsc.addr(), carrier("binds = \"tx+rx\""));
    smsc.expect_binds(2).await;
    let mut esme = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    let (id, submit) = handed_over(&mut esme, &mut smsc, message(FROM, TO, "Hello"), "c").await;
    assert_eq!(smsc.link(submit.link).kind, Some(BindKind::Transmitter));
    let other = 1 - submit.link;
    assert_eq!(smsc.link(other).kind, Some(BindKind::Receiver));
    let sequence = smsc
        .receipt_on(other, &submit, "c", MessageState::Delivered, Dialect::Both)
        .await;
    assert_eq!(smsc.expect_deliver_resp(sequence).await, CommandStatus::ROK);
    assert_dlr(&esme.expect_deliver().await, &id, MessageState::Delivered, None);
}

#[tokio::test]
async fn a_carrier_link_never_holds_more_than_its_window() {
    let (_local, mut smsc, mut esme) = world(carrier("window = 3")).await;
    for text in ["1", "2", "3", "4", "5"] {
        esme.submit_ok(message(FROM, TO, text)).await;
    }
    let mut held = Vec::new();
    for text in ["1", "2", "3"] {
        held.push(smsc.expect_submit_of(text).await);
    }
    smsc.expect_no_submit(A_WHILE).await;
    smsc.answer(&held[1], "c-2").await;
    assert_eq!(smsc.expect_submit().await.text(), "4");
    smsc.expect_no_submit(A_WHILE).await;
    // A refusal frees a place as well.
    smsc.refuse(&held[0], CommandStatus::RINVDSTADR).await;
    assert_eq!(smsc.expect_submit().await.text(), "5");
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

// ===== 3.3 =====

#[tokio::test]
async fn a_3_3_client_gets_short_hexadecimal_ids_and_never_a_tlv() {
    let mut smsc = ScriptedSmsc::listen().await;
    let local = Local::start(smsc.addr(), "");
    smsc.expect_binds(1).await;
    let mut clients = Vec::new();
    for kind in [BindKind::Transmitter, BindKind::Receiver] {
        let mut esme = ScriptedEsme::connect(local.esme()).await;
        let answer = esme
            .try_bind_as(kind, "load", "secret", InterfaceVersion::V3_3)
            .await;
        assert_eq!(answer.status(), CommandStatus::ROK);
        // The system_id and nothing behind its NUL.
        let nul = answer.octets[HEADER_LEN..].iter().position(|octet| *octet == 0);
        assert_eq!(nul, Some(answer.octets.len() - HEADER_LEN - 1));
        clients.push(esme);
    }
    let [tx, rx] = &mut clients[..] else {
        unreachable!()
    };
    let (id, submit) = handed_over(tx, &mut smsc, message(FROM, TO, "Hello"), "c").await;
    assert!(
        id.len() == 8 && id.bytes().all(|digit| digit.is_ascii_hexdigit()),
        "{id}"
    );
    receipt(&mut smsc, &submit, "c", MessageState::Delivered).await;
    let dlr = rx.expect_deliver().await;
    assert!(dlr.sm().tlvs.is_empty());
    assert!(dlr.text().starts_with(&format!("id:{id} ")), "{}", dlr.text());
    assert!(dlr.text().contains(" stat:DELIVRD "), "{}", dlr.text());

    let mut tlvs = Vec::new();
    assert!(tlv::append(&mut tlvs, Tag(0x1401), b"vendor"));
    let sent = Sm {
        tlvs: Tlvs::new(&tlvs),
        ..message(TO, "12345", "STOP")
    };
    smsc.deliver(0, sent).await;
    let delivery = rx.expect_deliver().await;
    assert_eq!(
        (delivery.text().as_str(), delivery.sm().tlvs.is_empty()),
        ("STOP", true)
    );
}

#[tokio::test]
async fn a_3_3_client_gets_an_mo_of_any_form_as_a_deliver_sm_with_its_text() {
    let mut smsc = ScriptedSmsc::listen().await;
    let local = Local::start(smsc.addr(), "");
    smsc.expect_binds(1).await;
    let mut rx = ScriptedEsme::connect(local.esme()).await;
    let kind = BindKind::Receiver;
    let answer = rx
        .try_bind_as(kind, "load", "secret", InterfaceVersion::V3_3)
        .await;
    assert_eq!(answer.status(), CommandStatus::ROK);
    let mut tlvs = Vec::new();
    assert!(tlv::append(&mut tlvs, Tag::MESSAGE_PAYLOAD, b"in a TLV"));
    let sent = Sm {
        tlvs: Tlvs::new(&tlvs),
        ..message(TO, "12345", "")
    };
    smsc.deliver(0, sent).await;
    let delivery = rx.expect_deliver().await;
    assert_eq!(delivery.sm().short_message.as_bytes(), b"in a TLV");
    assert!(delivery.sm().tlvs.is_empty());

    let wide = |octets: &'static [u8]| {
        tidegate_codec::address::Address::new(sent.source.ton, sent.source.npi, octets).unwrap()
    };
    let data = DataSm {
        source: wide(TO.as_bytes()),
        destination: wide(b"12345"),
        data_coding: DataCoding(0x04),
        tlvs: Tlvs::new(&tlvs),
        ..DataSm::default()
    };
    smsc.link(0).peer.request(Operation::DataSm(data)).await;
    let delivery = rx.expect_deliver().await;
    assert_eq!(delivery.sm().short_message.as_bytes(), b"in a TLV");
    assert_eq!(
        (delivery.sm().source, delivery.sm().data_coding),
        (sent.source, DataCoding(0x04))
    );
    assert!(delivery.sm().tlvs.is_empty());
}

#[tokio::test]
async fn a_3_3_carrier_gets_the_text_of_a_payload_or_the_message_ends() {
    let mut smsc = ScriptedSmsc::listen().await;
    let local = Local::start_with(
        smsc.addr(),
        carrier("interface_version = \"3.3\"\nbinds = \"tx+rx\""),
    );
    smsc.expect_binds(2).await;
    let mut esme = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    let (mut short, mut long) = (Vec::new(), Vec::new());
    assert!(tlv::append(&mut short, Tag::MESSAGE_PAYLOAD, b"in a TLV"));
    assert!(tlv::append(&mut long, Tag::MESSAGE_PAYLOAD, &[b'x'; 255]));
    esme.submit_ok(message_with(&short)).await;
    let submit = smsc.expect_submit().await;
    assert_eq!(submit.sm().short_message.as_bytes(), b"in a TLV");
    assert!(submit.sm().tlvs.is_empty());
    let id = esme.submit_ok(message_with(&long)).await;
    let dlr = esme.expect_deliver().await;
    assert_dlr(&dlr, &id, MessageState::Undeliverable, Some("001"));
    smsc.expect_no_submit(A_WHILE).await;
}

/// A message with these TLVs and no short_message.
fn message_with(tlvs: &[u8]) -> Sm<'_> {
    Sm {
        tlvs: Tlvs::new(tlvs),
        ..message(FROM, TO, "")
    }
}
