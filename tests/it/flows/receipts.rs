//! Receipts: which of them make DLRs, of which form, and whom these reach when.

use super::*;

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
