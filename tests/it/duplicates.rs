//! Submissions that come twice, for accounts that look for them.

use std::time::Duration;

use tidegate_codec::pdu::message::Sm;
use tidegate_codec::status::CommandStatus;
use tidegate_codec::tlv::{self, Tag, Tlvs};
use tidegate_codec::values::MessageState;
use tidegate_tests::esme::message;
use tidegate_tests::{Dialect, ScriptedEsme, ScriptedSmsc};

use crate::local::{Changes, Local};

const FROM: &str = "447700900001";
const TO: &str = "447700900002";
const A_WHILE: Duration = Duration::from_millis(60);

async fn world(account: &str) -> (Local, ScriptedSmsc, ScriptedEsme) {
    let mut smsc = ScriptedSmsc::listen().await;
    let changes = Changes {
        account,
        ..Changes::default()
    };
    let local = Local::start_with(smsc.addr(), changes);
    smsc.expect_binds(1).await;
    let esme = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    (local, smsc, esme)
}

#[tokio::test]
async fn the_same_message_again_gets_the_same_id_and_is_sent_once() {
    let (local, mut smsc, mut esme) = world("duplicate_window = \"1h\"").await;
    // Two in one read, so in one batch, and one on another bind.
    let first = esme.submit(message(FROM, TO, "Hello")).await;
    let second = esme.submit(message(FROM, TO, "Hello")).await;
    let id = esme.expect_submit_resp(first).await.message_id();
    assert_eq!(esme.expect_submit_resp(second).await.message_id(), id);
    let mut other = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    assert_eq!(other.submit_ok(message(FROM, TO, "Hello")).await, id);
    let submit = smsc.expect_submit().await;
    smsc.answer(&submit, "c-1").await;
    let sequence = smsc
        .receipt(&submit, "c-1", MessageState::Delivered, Dialect::Both)
        .await;
    assert_eq!(smsc.expect_deliver_resp(sequence).await, CommandStatus::ROK);
    // Delivered messages are remembered too.
    assert_eq!(other.submit_ok(message(FROM, TO, "Hello")).await, id);
    // Another text, another recipient, another reference of the client's: other messages.
    let mut tlvs = Vec::new();
    assert!(tlv::append(&mut tlvs, Tag::USER_MESSAGE_REFERENCE, &[0, 7]));
    let referenced = Sm {
        tlvs: Tlvs::new(&tlvs),
        ..message(FROM, TO, "Hello")
    };
    for sm in [
        message(FROM, TO, "Hello!"),
        message(FROM, "447700900003", "Hello"),
        referenced,
    ] {
        assert_ne!(esme.submit_ok(sm).await, id);
        smsc.expect_submit().await;
    }
    smsc.expect_no_submit(A_WHILE).await;
}

#[tokio::test]
async fn what_failed_and_comes_again_is_another_message() {
    let (_local, mut smsc, mut esme) = world("duplicate_window = \"1h\"").await;
    let id = esme.submit_ok(message(FROM, TO, "Hello")).await;
    let submit = smsc.expect_submit().await;
    smsc.refuse(&submit, CommandStatus::RINVDSTADR).await;
    esme.expect_receipt(&id).await;
    let again = esme.submit_ok(message(FROM, TO, "Hello")).await;
    assert_ne!(again, id);
    smsc.expect_submit().await;
    // A submit that is refused leaves nothing behind that would answer for it.
    let wrong = message(FROM, "", "Hello");
    let status = esme.submit_refused(wrong).await;
    assert_eq!(esme.submit_refused(wrong).await, status);
}

#[tokio::test]
async fn without_a_window_every_submit_is_a_message() {
    let (_local, mut smsc, mut esme) = world("").await;
    let id = esme.submit_ok(message(FROM, TO, "Hello")).await;
    assert_ne!(esme.submit_ok(message(FROM, TO, "Hello")).await, id);
    smsc.expect_submit().await;
    smsc.expect_submit().await;
}
