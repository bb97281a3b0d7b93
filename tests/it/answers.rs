//! What follows from answers that are late, missing, or mean what this carrier means by them.

use std::time::Duration;

use tidegate_codec::header::CommandId;
use tidegate_codec::pdu::message::{ShortMessage, Sm};
use tidegate_codec::receipt::ReceiptText;
use tidegate_codec::status::CommandStatus;
use tidegate_codec::values::{DataCoding, EsmClass, MessageState};
use tidegate_tests::esme::message;
use tidegate_tests::smsc::Submit;
use tidegate_tests::{Dialect, ScriptedEsme, ScriptedSmsc};

use crate::local::{Changes, Local};

const FROM: &str = "447700900001";
const TO: &str = "447700900002";
/// Long enough for an answer to be given up that is awaited for 100 ms.
const GIVEN_UP: Duration = Duration::from_millis(400);
const A_WHILE: Duration = Duration::from_millis(60);

/// A gateway with its carrier bound, a client on a transceiver bind, and a message that the carrier got.
async fn submitted(changes: Changes<'_>) -> (Local, ScriptedSmsc, ScriptedEsme, String, Submit) {
    let mut smsc = ScriptedSmsc::listen().await;
    let local = Local::start_with(smsc.addr(), changes);
    smsc.expect_binds(1).await;
    let mut esme = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    let id = esme.submit_ok(message(FROM, TO, "Hello")).await;
    let submit = smsc.expect_submit().await;
    (local, smsc, esme, id, submit)
}

fn carrier(carrier: &str) -> Changes<'_> {
    Changes {
        carrier,
        ..Changes::default()
    }
}

/// The carrier's receipt, whose answer must be success.
async fn receipt(smsc: &mut ScriptedSmsc, submit: &Submit, id: &str) {
    let sequence = smsc
        .receipt(submit, id, MessageState::Delivered, Dialect::Both)
        .await;
    assert_eq!(smsc.expect_deliver_resp(sequence).await, CommandStatus::ROK);
}

async fn assert_delivered(esme: &mut ScriptedEsme, id: &str) {
    let dlr = esme.expect_deliver().await;
    assert_eq!(dlr.receipted_id(), id);
    assert!(dlr.text().contains(" stat:DELIVRD "), "{}", dlr.text());
}

#[tokio::test]
async fn a_late_answer_spares_the_second_try_and_its_receipt_is_matched() {
    let keys = "response = \"100ms\"\nretry_min = \"1h\"\nretry_max = \"1h\"";
    let (_local, mut smsc, mut esme, id, submit) = submitted(carrier(keys)).await;
    smsc.expect_no_submit(GIVEN_UP).await;
    smsc.answer(&submit, "c-1").await;
    receipt(&mut smsc, &submit, "c-1").await;
    assert_delivered(&mut esme, &id).await;
}

#[tokio::test]
async fn a_late_answer_counts_though_the_message_was_sent_again() {
    let keys = "response = \"150ms\"\nretry_min = \"10ms\"\nretry_max = \"10ms\"";
    let (_local, mut smsc, mut esme, id, submit) = submitted(carrier(keys)).await;
    let again = smsc.expect_submit().await;
    smsc.answer(&submit, "c-1").await;
    smsc.answer(&again, "c-2").await;
    // Both receipts are acknowledged; one message is one DLR.
    receipt(&mut smsc, &submit, "c-1").await;
    receipt(&mut smsc, &again, "c-2").await;
    assert_delivered(&mut esme, &id).await;
    esme.expect_silence(A_WHILE).await;
    smsc.expect_no_submit(GIVEN_UP).await;
}

#[tokio::test]
async fn a_late_refusal_ends_what_would_have_been_sent_again() {
    let keys = "response = \"100ms\"\nretry_min = \"1h\"\nretry_max = \"1h\"";
    let (_local, mut smsc, mut esme, id, submit) = submitted(carrier(keys)).await;
    smsc.expect_no_submit(GIVEN_UP).await;
    smsc.refuse(&submit, CommandStatus::RINVDSTADR).await;
    let dlr = esme.expect_receipt(&id).await;
    assert!(dlr.text().contains(" stat:REJECTD err:011 "), "{}", dlr.text());
}

#[tokio::test]
async fn what_waits_for_a_receipt_without_an_id_gets_it_from_a_late_answer() {
    let keys = "response = \"100ms\"\nunanswered = \"wait\"";
    let (_local, mut smsc, mut esme, id, submit) = submitted(carrier(keys)).await;
    smsc.expect_no_submit(GIVEN_UP).await;
    smsc.answer(&submit, "c-1").await;
    receipt(&mut smsc, &submit, "c-1").await;
    assert_delivered(&mut esme, &id).await;
}

#[tokio::test]
async fn a_message_that_is_never_answered_is_unknown_once_its_tries_are_over() {
    let keys = "response = \"100ms\"\nretry_min = \"10ms\"\nretry_max = \"10ms\"\nmax_attempts = 2";
    let (_local, mut smsc, mut esme, id, _) = submitted(carrier(keys)).await;
    smsc.expect_submit().await;
    let dlr = esme.expect_receipt(&id).await;
    assert!(dlr.text().contains(" stat:UNKNOWN "), "{}", dlr.text());
    smsc.expect_no_submit(GIVEN_UP).await;
}

#[tokio::test]
async fn a_link_that_answers_nothing_is_left_and_bound_anew() {
    let keys = "response = \"100ms\"\nretry_min = \"10ms\"\nretry_max = \"10ms\"";
    let (_local, mut smsc, mut esme, _, first) = submitted(carrier(keys)).await;
    esme.submit_ok(message(FROM, TO, "two")).await;
    esme.submit_ok(message(FROM, TO, "three")).await;
    // enquire_link is answered all the time; that is not enough.
    smsc.expect_binds(2).await;
    let mut texts = Vec::new();
    while texts.len() < 3 {
        let submit = smsc.expect_submit().await;
        if submit.link != first.link {
            smsc.answer(&submit, &submit.text()).await;
            texts.push(submit.text());
        }
    }
    texts.sort();
    assert_eq!(texts, ["Hello", "three", "two"]);
}

#[tokio::test]
async fn a_generic_nack_is_no_yes_whatever_its_status_says() {
    let keys = "retry_min = \"10ms\"\nretry_max = \"10ms\"";
    let (_local, mut smsc, mut esme, id, submit) = submitted(carrier(keys)).await;
    let nack = CommandId::GENERIC_NACK;
    let peer = &mut smsc.link(submit.link).peer;
    peer.send_empty(nack, CommandStatus::ROK, submit.frame.sequence())
        .await;
    let again = smsc.expect_submit().await;
    assert_eq!(again.text(), "Hello");
    smsc.answer(&again, "c").await;
    receipt(&mut smsc, &again, "c").await;
    assert_delivered(&mut esme, &id).await;
}

#[tokio::test]
async fn statuses_mean_what_the_configuration_says() {
    let keys = "verdicts = { slow = [0x45], reject = [0x08], unknown = \"reject\" }\nretry_min = \"1h\"\nretry_max = \"1h\"";
    let (_local, mut smsc, mut esme, id, submit) = submitted(carrier(keys)).await;
    // By itself 0x45 would be tried again in an hour.
    smsc.refuse(&submit, CommandStatus::RSUBMITFAIL).await;
    let again = smsc.expect_submit().await;
    smsc.refuse(&again, CommandStatus::RSYSERR).await;
    let dlr = esme.expect_receipt(&id).await;
    assert!(dlr.text().contains(" stat:REJECTD err:008 "), "{}", dlr.text());
    let id = esme.submit_ok(message(FROM, TO, "vendor")).await;
    let submit = smsc.expect_submit().await;
    smsc.refuse(&submit, CommandStatus(0x0401)).await;
    let dlr = esme.expect_receipt(&id).await;
    assert!(dlr.text().contains(" stat:REJECTD "), "{}", dlr.text());
}

#[tokio::test]
async fn a_late_answer_to_a_dlr_spares_the_second_delivery() {
    let limits = Changes {
        limits: "response = \"100ms\"",
        ..Changes::default()
    };
    let (_local, mut smsc, mut esme, id, submit) = submitted(limits).await;
    smsc.answer(&submit, "c-1").await;
    esme.answers = None;
    receipt(&mut smsc, &submit, "c-1").await;
    let dlr = esme.expect_receipt(&id).await;
    esme.expect_silence(GIVEN_UP).await;
    esme.answer(&dlr, CommandStatus::ROK).await;
    // After a pause of a second it would come again.
    esme.expect_silence(Duration::from_millis(1_500)).await;
    // A no that is late changes nothing.
    let id = esme.submit_ok(message(FROM, TO, "again")).await;
    let submit = smsc.expect_submit().await;
    smsc.answer(&submit, "c-2").await;
    receipt(&mut smsc, &submit, "c-2").await;
    let dlr = esme.expect_receipt(&id).await;
    esme.expect_silence(GIVEN_UP).await;
    esme.answer(&dlr, CommandStatus::RX_P_APPN).await;
    assert_eq!(esme.expect_id(CommandId::DELIVER_SM).await.receipted_id(), id);
}

/// Message centres write receipts in the alphabet of the message, or copy only its data_coding and header.
#[tokio::test]
async fn a_receipt_in_ucs_2_or_behind_a_header_ends_its_message() {
    const ALONE: &[u8] = b"\x05\x00\x03\x2a\x01\x01";
    let mut smsc = ScriptedSmsc::listen().await;
    let local = Local::start_with(smsc.addr(), Changes::default());
    smsc.expect_binds(1).await;
    let mut esme = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    for (data_coding, esm_class, header, wide) in [
        (8, 0x04, &b""[..], true),
        (8, 0x44, ALONE, true),
        (0, 0x44, ALONE, false),
        (8, 0x44, b"", false),
    ] {
        let id = esme.submit_ok(message(FROM, TO, "Hello")).await;
        let submit = smsc.expect_submit().await;
        let theirs = format!("c-{data_coding}-{esm_class}-{}-{wide}", header.len());
        smsc.answer(&submit, &theirs).await;
        let (mut text, mut octets) = (Vec::new(), header.to_vec());
        ReceiptText::new(theirs.as_bytes(), MessageState::Delivered, 0, 0).write(&mut text);
        if wide {
            octets.extend(text.iter().flat_map(|octet| [0, *octet]));
        } else {
            octets.extend(text);
        }
        let sm = Sm {
            source: submit.sm().destination,
            destination: submit.sm().source,
            esm_class: EsmClass(esm_class),
            data_coding: DataCoding(data_coding),
            short_message: ShortMessage::new(&octets).unwrap(),
            ..Sm::default()
        };
        let sequence = smsc.deliver(submit.link, sm).await;
        assert_eq!(smsc.expect_deliver_resp(sequence).await, CommandStatus::ROK);
        assert_delivered(&mut esme, &id).await;
    }
}
