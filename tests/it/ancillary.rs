//! query_sm, cancel_sm, replace_sm and submit_multi, in octets over real sockets.

use std::time::Duration;

use tidegate_codec::address::{Address, Npi, Ton};
use tidegate_codec::header::CommandId;
use tidegate_codec::message_id::MessageIdField;
use tidegate_codec::octets::COctets;
use tidegate_codec::pdu::Operation;
use tidegate_codec::pdu::ancillary::{CancelSm, QuerySm, ReplaceSm};
use tidegate_codec::pdu::message::{ShortMessage, Sm};
use tidegate_codec::pdu::multi::{Destination, Destinations, SubmitMulti};
use tidegate_codec::status::CommandStatus;
use tidegate_codec::tlv::{self, Tag, Tlvs};
use tidegate_codec::values::{BindKind, DataCoding, InterfaceVersion, MessageState, RegisteredDelivery};
use tidegate_tests::esme::message;
use tidegate_tests::{Dialect, Frame, ScriptedEsme, ScriptedSmsc};

use crate::local::{Changes, Local};

const FROM: &str = "447700900001";
const TO: &str = "447700900002";
const OTHER: &str = "447700900003";
const A_WHILE: Duration = Duration::from_millis(60);
/// In an hour.
const LATER: &[u8] = b"000000010000000R";

const OTHER_ACCOUNT: &str = "[[account]]\nsystem_id = \"other\"\npassword_hashes = [\"@hash@\"]";

/// A gateway whose carrier is down, the carrier, and a client.
pub(crate) async fn waiting(changes: Changes<'_>) -> (Local, ScriptedSmsc, ScriptedEsme) {
    let mut smsc = ScriptedSmsc::listen().await;
    smsc.stop_listening();
    let local = Local::start_with(smsc.addr(), changes);
    let esme = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    (local, smsc, esme)
}

/// A gateway with its carrier, and a client.
pub(crate) async fn bound(changes: Changes<'_>) -> (Local, ScriptedSmsc, ScriptedEsme) {
    let mut smsc = ScriptedSmsc::listen().await;
    let local = Local::start_with(smsc.addr(), changes);
    smsc.expect_binds(1).await;
    let esme = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    (local, smsc, esme)
}

pub(crate) fn number(number: &str) -> Address<'_> {
    Address::new(Ton::INTERNATIONAL, Npi::ISDN, number.as_bytes()).unwrap()
}

pub(crate) fn scheduled<'a>(text: &'a str) -> Sm<'a> {
    Sm {
        schedule_delivery_time: COctets::new(LATER).unwrap(),
        ..message(FROM, TO, text)
    }
}

pub(crate) async fn ask(esme: &mut ScriptedEsme, operation: Operation<'_>) -> Frame {
    let response = operation.command_id().response().unwrap();
    let sequence = esme.request(operation).await;
    esme.expect_answer(response, sequence).await
}

pub(crate) fn query<'a>(id: &'a str, from: &'a str) -> Operation<'a> {
    Operation::QuerySm(QuerySm {
        message_id: MessageIdField::new(id.as_bytes()).unwrap(),
        source: number(from),
        tlvs: Tlvs::NONE,
    })
}

/// Asks where a message stands, which must be answered.
async fn state(esme: &mut ScriptedEsme, id: &str) -> u8 {
    let answer = ask(esme, query(id, FROM)).await;
    assert_eq!(answer.status(), CommandStatus::ROK);
    match answer.pdu().operation {
        Operation::QuerySmResp(Some(body)) => {
            assert_eq!(body.message_id.as_bytes(), id.as_bytes());
            assert!(body.final_date.is_empty(), "nothing is final yet");
            assert_eq!(body.error_code, 0);
            body.message_state
        }
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn cancel(esme: &mut ScriptedEsme, id: &str, from: &str, to: &str) -> CommandStatus {
    let cancel = CancelSm {
        service_type: COctets::EMPTY,
        message_id: MessageIdField::new(id.as_bytes()).unwrap(),
        source: number(from),
        destination: number(to),
        tlvs: Tlvs::NONE,
    };
    ask(esme, Operation::CancelSm(cancel)).await.status()
}

pub(crate) fn replacement<'a>(id: &'a str, text: &'a str) -> ReplaceSm<'a> {
    ReplaceSm {
        message_id: MessageIdField::new(id.as_bytes()).unwrap(),
        source: number(FROM),
        schedule_delivery_time: COctets::EMPTY,
        validity_period: COctets::EMPTY,
        registered_delivery: RegisteredDelivery::FINAL,
        sm_default_msg_id: 0,
        short_message: ShortMessage::new(text.as_bytes()).unwrap(),
        tlvs: Tlvs::NONE,
    }
}

pub(crate) async fn replace(esme: &mut ScriptedEsme, replace: ReplaceSm<'_>) -> CommandStatus {
    ask(esme, Operation::ReplaceSm(replace)).await.status()
}

/// Submits to several recipients: the answer.
async fn multi(esme: &mut ScriptedEsme, text: &str, recipients: &[Destination<'_>]) -> Frame {
    multi_of(esme, message(FROM, "", text), recipients).await
}

/// The same of a message that says more than its text.
pub(crate) async fn multi_of(
    esme: &mut ScriptedEsme,
    message: Sm<'_>,
    recipients: &[Destination<'_>],
) -> Frame {
    let mut octets = Vec::new();
    recipients
        .iter()
        .for_each(|recipient| recipient.encode(&mut octets));
    let destinations = Destinations::new(u8::try_from(recipients.len()).unwrap(), &octets).unwrap();
    let message = Sm {
        destination: Address::default(),
        ..message
    };
    let multi = SubmitMulti {
        message,
        destinations,
    };
    ask(esme, Operation::SubmitMulti(multi)).await
}

/// Id, and who was refused with what.
pub(crate) fn outcome(answer: &Frame) -> (String, Vec<(String, CommandStatus)>) {
    assert_eq!(answer.status(), CommandStatus::ROK);
    match answer.pdu().operation {
        Operation::SubmitMultiResp(Some(body)) => {
            let text = |octets: &[u8]| String::from_utf8(octets.to_vec()).unwrap();
            let refused = body.unsuccess();
            let refused =
                refused.map(|unsuccess| (text(unsuccess.address.addr.as_bytes()), unsuccess.status));
            (text(body.message_id.as_bytes()), refused.collect())
        }
        other => panic!("{other:?}"),
    }
}

/// Takes the next message under this id, and delivers its receipt.
async fn deliver(smsc: &mut ScriptedSmsc, id: &str) -> String {
    let submit = smsc.expect_submit().await;
    smsc.answer(&submit, id).await;
    let sequence = smsc
        .receipt(&submit, id, MessageState::Delivered, Dialect::Both)
        .await;
    assert_eq!(smsc.expect_deliver_resp(sequence).await, CommandStatus::ROK);
    String::from_utf8(submit.sm().destination.addr.as_bytes().to_vec()).unwrap()
}

// ===== query_sm =====

#[tokio::test]
async fn the_owner_is_told_where_a_message_stands_until_it_is_final() {
    let (_local, mut smsc, mut esme) = waiting(Changes::default()).await;
    let id = esme.submit_ok(message(FROM, TO, "Hello")).await;
    let enroute = MessageState::Enroute.octet();
    assert_eq!(state(&mut esme, &id).await, enroute, "waiting");
    smsc.reopen().await;
    let submit = smsc.expect_submit().await;
    assert_eq!(state(&mut esme, &id).await, enroute, "on a carrier link");
    smsc.answer(&submit, "c").await;
    assert_eq!(state(&mut esme, &id).await, enroute, "handed over");
    let sequence = smsc
        .receipt(&submit, "c", MessageState::Delivered, Dialect::Both)
        .await;
    smsc.expect_deliver_resp(sequence).await;
    esme.expect_receipt(&id).await;
    // There is no history yet: what is final is unknown.
    assert_eq!(
        ask(&mut esme, query(&id, FROM)).await.status(),
        CommandStatus::RQUERYFAIL
    );
}

#[tokio::test]
async fn what_is_scheduled_is_scheduled_to_those_who_know_the_state() {
    let (local, _smsc, mut esme) = waiting(Changes::default()).await;
    let id = esme.submit_ok(scheduled("later")).await;
    assert_eq!(state(&mut esme, &id).await, MessageState::Enroute.octet());
    let mut v5 = ScriptedEsme::connect(local.esme()).await;
    let bind = v5
        .try_bind_as(BindKind::Transceiver, "load", "secret", InterfaceVersion::V5_0)
        .await;
    assert!(bind.status().is_ok());
    assert_eq!(state(&mut v5, &id).await, MessageState::Scheduled.octet());
    let now = v5.submit_ok(message(FROM, TO, "now")).await;
    assert_eq!(state(&mut v5, &now).await, MessageState::Enroute.octet());
}

#[tokio::test]
async fn ids_that_are_foreign_unknown_or_of_another_sender_look_alike() {
    let changes = Changes {
        extra: OTHER_ACCOUNT,
        ..Changes::default()
    };
    let (local, mut smsc, mut esme) = waiting(changes).await;
    let id = esme.submit_ok(message(FROM, TO, "mine")).await;
    let mut other = ScriptedEsme::bound(local.esme(), "other", "secret").await;
    let unknown = "12345678901234567890";
    for (foreign, id, from) in [
        (true, id.as_str(), FROM),
        (false, unknown, FROM),
        (false, &id, TO),
    ] {
        let who = if foreign { &mut other } else { &mut esme };
        let asked = ask(who, query(id, from)).await.status();
        assert_eq!(asked, CommandStatus::RQUERYFAIL, "{id} {from}");
        assert_eq!(cancel(who, id, from, TO).await, CommandStatus::RCANCELFAIL);
        let replaced = ReplaceSm {
            source: number(from),
            ..replacement(id, "theirs")
        };
        assert_eq!(replace(who, replaced).await, CommandStatus::RREPLACEFAIL);
    }
    for no_id in ["not-an-id", "", "99999999999999999999999"] {
        let asked = ask(&mut esme, query(no_id, FROM)).await.status();
        assert_eq!(asked, CommandStatus::RINVMSGID, "{no_id}");
    }
    // Nothing of all this touched it.
    smsc.reopen().await;
    assert_eq!(smsc.expect_submit().await.text(), "mine");
    smsc.expect_no_submit(A_WHILE).await;
}

#[tokio::test]
async fn ids_of_every_form_are_read_back() {
    for form in ["decimal", "hex", "hex8"] {
        let account = format!("message_id = \"{form}\"");
        let changes = Changes {
            account: &account,
            ..Changes::default()
        };
        let (mut local, _smsc, mut esme) = waiting(changes).await;
        let ids = [
            esme.submit_ok(message(FROM, TO, "one")).await,
            esme.submit_ok(message(FROM, TO, "two")).await,
        ];
        state(&mut esme, &ids[0]).await;
        assert_eq!(
            cancel(&mut esme, &ids[0].to_uppercase(), FROM, TO).await,
            CommandStatus::ROK
        );
        local.restart();
        let mut esme = ScriptedEsme::bound(local.esme(), "load", "secret").await;
        state(&mut esme, &ids[1]).await;
        let gone = ask(&mut esme, query(&ids[0], FROM)).await.status();
        assert_eq!(gone, CommandStatus::RQUERYFAIL, "{form}");
    }
}

// ===== cancel_sm =====

#[tokio::test]
async fn what_waits_is_cancelled_its_dlr_says_deleted_and_a_restart_brings_nothing_back() {
    let (mut local, mut smsc, mut esme) = waiting(Changes::default()).await;
    let waits = esme.submit_ok(message(FROM, TO, "waits")).await;
    let later = esme.submit_ok(scheduled("later")).await;
    esme.submit_ok(message(FROM, TO, "stays")).await;
    // Without a destination, and with it.
    assert_eq!(cancel(&mut esme, &waits, FROM, "").await, CommandStatus::ROK);
    assert_eq!(
        cancel(&mut esme, &later, FROM, OTHER).await,
        CommandStatus::RCANCELFAIL
    );
    assert_eq!(cancel(&mut esme, &later, FROM, TO).await, CommandStatus::ROK);
    assert_eq!(
        cancel(&mut esme, &later, FROM, TO).await,
        CommandStatus::RCANCELFAIL
    );
    for id in [&waits, &later] {
        let dlr = esme.expect_receipt(id).await;
        assert!(dlr.text().contains(" stat:DELETED "), "{}", dlr.text());
    }
    local.restart();
    smsc.reopen().await;
    assert_eq!(smsc.expect_submit().await.text(), "stays");
    smsc.expect_no_submit(A_WHILE).await;
}

#[tokio::test]
async fn what_a_carrier_has_or_is_getting_cannot_be_called_back() {
    let (_local, mut smsc, mut esme) = bound(Changes::default()).await;
    let id = esme.submit_ok(message(FROM, TO, "gone")).await;
    let submit = smsc.expect_submit().await;
    for _ in ["on the link", "handed over"] {
        assert_eq!(cancel(&mut esme, &id, FROM, TO).await, CommandStatus::RCANCELFAIL);
        let replaced = replace(&mut esme, replacement(&id, "else")).await;
        assert_eq!(replaced, CommandStatus::RREPLACEFAIL);
        smsc.answer(&submit, "c").await;
        state(&mut esme, &id).await;
    }
    // Without an id it would mean all that waits between two numbers: not offered.
    assert_eq!(cancel(&mut esme, "", FROM, TO).await, CommandStatus::RCANCELFAIL);
    let sequence = smsc
        .receipt(&submit, "c", MessageState::Delivered, Dialect::Both)
        .await;
    smsc.expect_deliver_resp(sequence).await;
    assert!(esme.expect_receipt(&id).await.text().contains(" stat:DELIVRD "));
}

// ===== replace_sm =====

#[tokio::test]
async fn a_replaced_text_goes_out_and_all_else_stays() {
    let (_local, mut smsc, mut esme) = waiting(Changes::default()).await;
    let mut tlvs = Vec::new();
    assert!(tlv::append(&mut tlvs, Tag(0x1400), b"vendor"));
    let sm = Sm {
        service_type: COctets::new(b"CMT").unwrap(),
        data_coding: DataCoding(3),
        priority_flag: 2,
        tlvs: Tlvs::new(&tlvs),
        ..message(FROM, TO, "old")
    };
    let id = esme.submit_ok(sm).await;
    // Twice: the last one counts.
    assert_eq!(
        replace(&mut esme, replacement(&id, "newer")).await,
        CommandStatus::ROK
    );
    let newest = ReplaceSm {
        registered_delivery: RegisteredDelivery::NONE,
        ..replacement(&id, "newest")
    };
    assert_eq!(replace(&mut esme, newest).await, CommandStatus::ROK);
    state(&mut esme, &id).await;
    smsc.reopen().await;
    let submit = smsc.expect_submit().await;
    let sent = submit.sm();
    assert_eq!(submit.text(), "newest");
    assert_eq!(sent.registered_delivery, RegisteredDelivery::NONE);
    assert_eq!(
        (sent.service_type, sent.data_coding, sent.priority_flag),
        (sm.service_type, DataCoding(3), 2)
    );
    assert_eq!((sent.source, sent.destination), (sm.source, sm.destination));
    assert_eq!(sent.tlvs.get(Tag(0x1400)), Some(&b"vendor"[..]));
    smsc.answer(&submit, "c").await;
    smsc.expect_no_submit(A_WHILE).await;
    esme.expect_silence(A_WHILE).await;
}

#[tokio::test]
async fn a_replaced_text_outlives_a_restart_and_may_come_as_a_payload() {
    let (mut local, mut smsc, mut esme) = waiting(Changes::default()).await;
    let id = esme.submit_ok(message(FROM, TO, "old")).await;
    let long = "x".repeat(400);
    let mut tlvs = Vec::new();
    assert!(tlv::append(&mut tlvs, Tag::MESSAGE_PAYLOAD, long.as_bytes()));
    let with_payload = ReplaceSm {
        tlvs: Tlvs::new(&tlvs),
        ..replacement(&id, "")
    };
    assert_eq!(replace(&mut esme, with_payload).await, CommandStatus::ROK);
    local.restart();
    let mut esme = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    smsc.reopen().await;
    let submit = smsc.expect_submit().await;
    assert_eq!(submit.sm().tlvs.message_payload().unwrap().0, long.as_bytes());
    assert!(submit.sm().short_message.as_bytes().is_empty());
    smsc.answer(&submit, "c").await;
    let sequence = smsc
        .receipt(&submit, "c", MessageState::Delivered, Dialect::Both)
        .await;
    smsc.expect_deliver_resp(sequence).await;
    esme.expect_receipt(&id).await;
    smsc.expect_no_submit(A_WHILE).await;
}

#[tokio::test]
async fn a_replacement_may_bring_other_dates_and_wrong_ones_are_named() {
    let (_local, mut smsc, mut esme) = bound(Changes::default()).await;
    let id = esme.submit_ok(scheduled("later")).await;
    let with = |schedule: &'static [u8], validity: &'static [u8]| ReplaceSm {
        schedule_delivery_time: COctets::new(schedule).unwrap(),
        validity_period: COctets::new(validity).unwrap(),
        ..replacement("", "now")
    };
    for (schedule, validity, status) in [
        (&b"soon"[..], &b""[..], CommandStatus::RINVSCHED),
        (b"", b"200101000000000+", CommandStatus::RINVEXPIRY),
        // It would end before it begins.
        (b"000000020000000R", b"000000010000000R", CommandStatus::RINVSCHED),
    ] {
        let wrong = ReplaceSm {
            message_id: MessageIdField::new(id.as_bytes()).unwrap(),
            ..with(schedule, validity)
        };
        assert_eq!(replace(&mut esme, wrong).await, status);
    }
    let predefined = ReplaceSm {
        sm_default_msg_id: 7,
        ..replacement(&id, "")
    };
    assert_eq!(replace(&mut esme, predefined).await, CommandStatus::RINVDFTMSGID);
    smsc.expect_no_submit(A_WHILE).await;
    // The date of before stays, until a date is given that has come.
    assert_eq!(
        replace(&mut esme, replacement(&id, "still later")).await,
        CommandStatus::ROK
    );
    smsc.expect_no_submit(A_WHILE).await;
    let now = ReplaceSm {
        message_id: MessageIdField::new(id.as_bytes()).unwrap(),
        ..with(b"000000000000000R", b"000000010000000R")
    };
    assert_eq!(replace(&mut esme, now).await, CommandStatus::ROK);
    let submit = smsc.expect_submit().await;
    assert_eq!(submit.text(), "now");
    let validity = submit.sm().validity_period;
    assert!(
        validity.as_bytes() <= &b"000000010000000R"[..],
        "an hour at most is left"
    );
}

#[tokio::test]
async fn a_replacement_that_races_its_dispatch_is_sent_once_and_the_answer_is_true() {
    let (_local, mut smsc, mut esme) = bound(Changes::default()).await;
    for round in 0..40 {
        let text = format!("old {round}");
        // Both in one write; whichever is quicker.
        let id = esme.submit_ok(message(FROM, TO, &text)).await;
        let replaced = replace(&mut esme, replacement(&id, "new")).await;
        let submit = smsc.expect_submit().await;
        match replaced {
            CommandStatus::ROK => assert_eq!(submit.text(), "new"),
            CommandStatus::RREPLACEFAIL => assert_eq!(submit.text(), text),
            other => panic!("{other}"),
        }
        smsc.answer(&submit, &format!("c-{round}")).await;
    }
    smsc.expect_no_submit(A_WHILE).await;
}

#[tokio::test]
async fn a_cancel_behind_a_replacement_ends_the_message() {
    let (_local, mut smsc, mut esme) = waiting(Changes::default()).await;
    let id = esme.submit_ok(message(FROM, TO, "old")).await;
    // While the old text is read back nobody else may change the message; afterwards anybody may.
    let replaced = esme.request(Operation::ReplaceSm(replacement(&id, "new"))).await;
    let again = esme
        .request(Operation::ReplaceSm(replacement(&id, "newer")))
        .await;
    let first = esme.expect_answer(CommandId::REPLACE_SM_RESP, replaced).await;
    let second = esme.expect_answer(CommandId::REPLACE_SM_RESP, again).await;
    assert_eq!(first.status(), CommandStatus::ROK);
    assert!([CommandStatus::ROK, CommandStatus::RREPLACEFAIL].contains(&second.status()));
    assert_eq!(cancel(&mut esme, &id, FROM, TO).await, CommandStatus::ROK);
    smsc.reopen().await;
    smsc.expect_binds(1).await;
    smsc.expect_no_submit(A_WHILE).await;
}

#[tokio::test]
async fn a_replacement_costs_what_a_submission_costs() {
    let changes = Changes {
        account: "rate = 1",
        ..Changes::default()
    };
    let (_local, _smsc, mut esme) = waiting(changes).await;
    let id = esme.submit_ok(message(FROM, TO, "old")).await;
    let mut done = 0;
    loop {
        match replace(&mut esme, replacement(&id, "new")).await {
            CommandStatus::ROK => done += 1,
            status => break assert_eq!(status, CommandStatus::RTHROTTLED),
        }
        assert!(done < 1_000, "there is no end of it");
    }
    // To ask and to call back is free.
    state(&mut esme, &id).await;
    assert_eq!(cancel(&mut esme, &id, FROM, TO).await, CommandStatus::ROK);
}

#[tokio::test]
async fn what_would_be_longer_than_any_pdu_does_not_replace_what_is_there() {
    let changes = Changes {
        limits: "pdu_max = 1024",
        ..Changes::default()
    };
    let (_local, mut smsc, mut esme) = waiting(changes).await;
    let (mut old, mut new) = (Vec::new(), Vec::new());
    assert!(tlv::append(&mut old, Tag(0x1400), &[b'o'; 600]));
    assert!(tlv::append(&mut new, Tag::MESSAGE_PAYLOAD, &[b'n'; 600]));
    let sm = Sm {
        tlvs: Tlvs::new(&old),
        ..message(FROM, TO, "old")
    };
    let id = esme.submit_ok(sm).await;
    let long = ReplaceSm {
        tlvs: Tlvs::new(&new),
        ..replacement(&id, "")
    };
    assert_eq!(replace(&mut esme, long).await, CommandStatus::RINVMSGLEN);
    assert_eq!(
        replace(&mut esme, replacement(&id, "short")).await,
        CommandStatus::ROK
    );
    assert_eq!(
        replace(&mut esme, long).await,
        CommandStatus::RINVMSGLEN,
        "it is whole and free as before"
    );
    smsc.reopen().await;
    assert_eq!(smsc.expect_submit().await.text(), "short");
    smsc.expect_no_submit(A_WHILE).await;
}

#[tokio::test]
async fn a_replacement_that_fails_leaves_a_date_as_it_was() {
    let changes = Changes {
        limits: "pdu_max = 1024",
        ..Changes::default()
    };
    let (_local, mut smsc, mut esme) = bound(changes).await;
    let (mut old, mut new) = (Vec::new(), Vec::new());
    assert!(tlv::append(&mut old, Tag(0x1400), &[b'o'; 600]));
    assert!(tlv::append(&mut new, Tag::MESSAGE_PAYLOAD, &[b'n'; 600]));
    let sm = Sm {
        tlvs: Tlvs::new(&old),
        ..scheduled("later")
    };
    let id = esme.submit_ok(sm).await;
    let long = ReplaceSm {
        tlvs: Tlvs::new(&new),
        ..replacement(&id, "")
    };
    assert_eq!(replace(&mut esme, long).await, CommandStatus::RINVMSGLEN);
    smsc.expect_no_submit(A_WHILE).await;
    assert_eq!(cancel(&mut esme, &id, FROM, TO).await, CommandStatus::ROK);
}

// ===== submit_multi =====

#[tokio::test]
async fn a_message_to_several_is_called_back_whole_or_not_at_all() {
    let changes = Changes {
        carrier: "window = 1",
        ..Changes::default()
    };
    let (_local, mut smsc, mut esme) = bound(changes).await;
    let recipients = [Destination::Sme(number(TO)), Destination::Sme(number(OTHER))];
    let (id, _) = outcome(&multi(&mut esme, "Hello", &recipients).await);
    let first = smsc.expect_submit().await;
    assert_eq!(first.sm().destination.addr.as_bytes(), TO.as_bytes());
    assert_eq!(cancel(&mut esme, &id, FROM, "").await, CommandStatus::RCANCELFAIL);
    assert_eq!(cancel(&mut esme, &id, FROM, TO).await, CommandStatus::RCANCELFAIL);
    // The one that waits can be called back by its name, once.
    assert_eq!(cancel(&mut esme, &id, FROM, OTHER).await, CommandStatus::ROK);
    assert_eq!(
        cancel(&mut esme, &id, FROM, OTHER).await,
        CommandStatus::RCANCELFAIL
    );
    let dlr = esme.expect_receipt(&id).await;
    assert_eq!(dlr.sm().source.addr.as_bytes(), OTHER.as_bytes());
    smsc.answer(&first, "c").await;
    smsc.expect_no_submit(A_WHILE).await;
}

#[tokio::test]
async fn every_recipient_gets_its_message_and_its_own_dlr_under_one_id() {
    let (_local, mut smsc, mut esme) = bound(Changes::default()).await;
    let recipients = [Destination::Sme(number(TO)), Destination::Sme(number(OTHER))];
    let (id, refused) = outcome(&multi(&mut esme, "Hello", &recipients).await);
    assert_eq!(refused, []);
    let mut told = Vec::new();
    for carrier_id in ["c-1", "c-2"] {
        let submit = smsc.expect_submit().await;
        assert_eq!(submit.text(), "Hello");
        assert_eq!(submit.frame.id(), CommandId::SUBMIT_SM);
        smsc.answer(&submit, carrier_id).await;
        let sequence = smsc
            .receipt(&submit, carrier_id, MessageState::Delivered, Dialect::Both)
            .await;
        smsc.expect_deliver_resp(sequence).await;
        let dlr = esme.expect_receipt(&id).await;
        told.push(dlr.sm().source.addr.as_bytes().to_vec());
        let known = ask(&mut esme, query(&id, FROM)).await.status();
        let last = carrier_id == "c-2";
        assert_eq!(known.is_ok(), !last, "a message is final when all its legs are");
    }
    told.sort();
    assert_eq!(told, [TO.as_bytes(), OTHER.as_bytes()]);
}

#[tokio::test]
async fn recipients_that_are_refused_are_named_and_the_others_go_out() {
    let changes = Changes {
        extra: "[[route.mt]]\nprefix = \"99\"\ncarriers = [\"sink\"]",
        ..Changes::default()
    };
    let (_local, mut smsc, mut esme) = bound(changes).await;
    let nobody = Destination::Sme(number(""));
    let recipients = [nobody, Destination::Sme(number(TO)), nobody];
    let (id, refused) = outcome(&multi(&mut esme, "Hello", &recipients).await);
    let expected = (String::new(), CommandStatus::RINVDSTADR);
    assert_eq!(refused, [expected.clone(), expected]);
    assert_eq!(deliver(&mut smsc, "c").await, TO);
    esme.expect_receipt(&id).await;
    // None at all: a refusal, with the status that all have.
    let answer = multi(&mut esme, "Hello", &[nobody, nobody]).await;
    assert_eq!(answer.status(), CommandStatus::RINVDSTADR);
    let list = Destination::List(COctets::new(b"friends").unwrap());
    let answer = multi(&mut esme, "Hello", &[Destination::Sme(number(TO)), list]).await;
    assert_eq!(answer.status(), CommandStatus::RCNTSUBDL);
    smsc.expect_no_submit(A_WHILE).await;
}

#[tokio::test]
async fn a_message_to_254_goes_to_254_and_a_restart_keeps_the_rest() {
    let (mut local, mut smsc, mut esme) = waiting(Changes::default()).await;
    let numbers: Vec<String> = (0..254).map(|n| format!("4477009{n:05}")).collect();
    let recipients: Vec<_> = numbers.iter().map(|to| Destination::Sme(number(to))).collect();
    let (id, refused) = outcome(&multi(&mut esme, "Hello", &recipients).await);
    assert_eq!(refused, []);
    // One of them is called back, the others are not.
    assert_eq!(
        cancel(&mut esme, &id, FROM, &numbers[7]).await,
        CommandStatus::ROK
    );
    let dlr = esme.expect_receipt(&id).await;
    assert_eq!(dlr.sm().source.addr.as_bytes(), numbers[7].as_bytes());
    let replaced = replace(&mut esme, replacement(&id, "else")).await;
    assert_eq!(replaced, CommandStatus::RREPLACEFAIL, "one text for all or none");
    local.restart();
    smsc.reopen().await;
    let mut got = Vec::new();
    for n in 0..253 {
        got.push(deliver(&mut smsc, &format!("c-{n}")).await);
    }
    smsc.expect_no_submit(A_WHILE).await;
    got.sort();
    let expected: Vec<_> = numbers.iter().filter(|to| **to != numbers[7]).cloned().collect();
    assert_eq!(got, expected);
    let mut esme = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    for _ in 0..253 {
        esme.expect_receipt(&id).await;
    }
    esme.expect_silence(A_WHILE).await;
}
