//! What waits for an ESME: bounded, and nobody else's trouble.

use std::time::Duration;

use tidegate_codec::pdu::message::Sm;
use tidegate_codec::status::CommandStatus;
use tidegate_codec::values::{MessageState, RegisteredDelivery};
use tidegate_tests::esme::message;
use tidegate_tests::{Dialect, ScriptedEsme, ScriptedSmsc};

use crate::local::{Changes, Local};

const FROM: &str = "447700900001";
const TO: &str = "447700900002";
const A_WHILE: Duration = Duration::from_millis(60);

/// Takes the next message under this id and delivers its receipt: how that was answered.
async fn deliver(smsc: &mut ScriptedSmsc, id: &str) -> CommandStatus {
    let submit = smsc.expect_submit().await;
    smsc.answer(&submit, id).await;
    let sequence = smsc
        .receipt(&submit, id, MessageState::Delivered, Dialect::Both)
        .await;
    smsc.expect_deliver_resp(sequence).await
}

#[tokio::test]
async fn over_its_bound_an_outbox_takes_no_dlr_and_sends_an_mo_back() {
    let mut smsc = ScriptedSmsc::listen().await;
    let changes = Changes {
        account: "outbox_max = 2",
        ..Changes::default()
    };
    let mut local = Local::start_with(smsc.addr(), changes);
    smsc.expect_binds(1).await;
    let mut tx = ScriptedEsme::connect(local.esme()).await;
    tx.bind_tx("load", "secret").await;
    let mut ids = Vec::new();
    for number in 0..3 {
        ids.push(tx.submit_ok(message(FROM, TO, "Hello")).await);
        // Every final state is recorded, and the carrier hears so.
        let answer = deliver(&mut smsc, &format!("c-{number}")).await;
        assert_eq!(answer, CommandStatus::ROK);
    }
    let sequence = smsc.deliver(0, message(TO, "12345", "STAY")).await;
    assert_eq!(smsc.expect_deliver_resp(sequence).await, CommandStatus::RX_T_APPN);
    // None of them is under way any more, now and after a restart.
    local.restart();
    smsc.expect_binds(2).await;
    smsc.expect_no_submit(A_WHILE).await;
    let mut rx = ScriptedEsme::connect(local.esme()).await;
    rx.bind_rx("load", "secret").await;
    for id in &ids[..2] {
        rx.expect_receipt(id).await;
    }
    rx.expect_silence(A_WHILE).await;
    // There is room again.
    let sequence = smsc.deliver(1, message(TO, "12345", "STAY")).await;
    assert_eq!(smsc.expect_deliver_resp(sequence).await, CommandStatus::ROK);
    assert_eq!(rx.expect_deliver().await.text(), "STAY");
}

#[tokio::test]
async fn states_on_the_way_leave_room_for_the_last_ones() {
    let mut smsc = ScriptedSmsc::listen().await;
    let changes = Changes {
        account: "outbox_max = 2",
        ..Changes::default()
    };
    let local = Local::start_with(smsc.addr(), changes);
    smsc.expect_binds(1).await;
    let mut tx = ScriptedEsme::connect(local.esme()).await;
    tx.bind_tx("load", "secret").await;
    let asking = Sm {
        registered_delivery: RegisteredDelivery(0x11),
        ..message(FROM, TO, "Hello")
    };
    let id = tx.submit_ok(asking).await;
    let submit = smsc.expect_submit().await;
    smsc.answer(&submit, "c").await;
    for state in [
        MessageState::Enroute,
        MessageState::Enroute,
        MessageState::Delivered,
    ] {
        // All are acknowledged: the carrier would only repeat them.
        let sequence = smsc.receipt(&submit, "c", state, Dialect::Both).await;
        assert_eq!(smsc.expect_deliver_resp(sequence).await, CommandStatus::ROK);
    }
    let mut rx = ScriptedEsme::connect(local.esme()).await;
    rx.bind_rx("load", "secret").await;
    for state in [" stat:ENROUTE ", " stat:DELIVRD "] {
        let told = rx.expect_deliver().await;
        assert_eq!(told.receipted_id(), id);
        assert!(told.text().contains(state), "{}", told.text());
    }
    rx.expect_silence(A_WHILE).await;
}

#[tokio::test]
async fn an_esme_that_answers_nothing_holds_nobody_else_up() {
    let mut smsc = ScriptedSmsc::listen().await;
    let changes = Changes {
        account: "delivery_window = 2",
        extra: "[[account]]\nsystem_id = \"bank\"\npassword_hashes = [\"@hash@\"]",
        ..Changes::default()
    };
    let local = Local::start_with(smsc.addr(), changes);
    smsc.expect_binds(1).await;
    let mut deaf = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    deaf.answers = None;
    let mut bank = ScriptedEsme::bound(local.esme(), "bank", "secret").await;
    for number in 0..5 {
        deaf.submit_ok(message(FROM, TO, "Hello")).await;
        assert_eq!(
            deliver(&mut smsc, &format!("d-{number}")).await,
            CommandStatus::ROK
        );
        let id = bank.submit_ok(message(FROM, TO, "Hello")).await;
        assert_eq!(
            deliver(&mut smsc, &format!("b-{number}")).await,
            CommandStatus::ROK
        );
        bank.expect_receipt(&id).await;
    }
    // Its window is full, and the rest waits for it.
    deaf.expect_deliver().await;
    let second = deaf.expect_deliver().await;
    deaf.expect_silence(A_WHILE).await;
    deaf.answer(&second, CommandStatus::ROK).await;
    deaf.expect_deliver().await;
}
