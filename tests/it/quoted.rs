//! `receipt_text`: receipts that quote the beginning of their message. In octets over real sockets, and in virtual time.

use std::time::Duration;

use tidegate_codec::header::CommandId;
use tidegate_codec::message_id::MessageIdField;
use tidegate_codec::octets::COctets;
use tidegate_codec::pdu::Operation;
use tidegate_codec::pdu::ancillary::ReplaceSm;
use tidegate_codec::pdu::message::{ShortMessage, Sm};
use tidegate_codec::status::CommandStatus;
use tidegate_codec::tlv::{self, Tag, Tlvs};
use tidegate_codec::values::{DataCoding, EsmClass, MessageState, RegisteredDelivery};
use tidegate_gateway::clock::Clock;
use tidegate_store::disk::FaultyDisk;
use tidegate_tests::esme::message;
use tidegate_tests::smsc::Submit;
use tidegate_tests::{Dialect, Frame, ScriptedEsme, ScriptedSmsc};

use crate::ancillary::{ask, bound, number, waiting};
use crate::local::Changes;
use crate::wire;
use crate::world::{START_MS, Setup, World, bench_config_lines, scenario};

const FROM: &str = "447700900001";
const TO: &str = "447700900002";

/// `load` asks for it, `other` does not.
const ASKED: Changes<'_> = Changes {
    account: "receipt_text = true",
    carrier: "",
    storage: "",
    http: "",
    limits: "",
    extra: "[[account]]\nsystem_id = \"other\"\npassword_hashes = [\"@hash@\"]",
};

/// What a receipt quotes.
fn quoted(dlr: &Frame) -> String {
    let text = dlr.text();
    let at = text.find(" text:").expect("the label is always there");
    text[at + 6..].to_owned()
}

async fn take(smsc: &mut ScriptedSmsc, id: &str) -> Submit {
    let submit = smsc.expect_submit().await;
    smsc.answer(&submit, id).await;
    submit
}

async fn deliver(smsc: &mut ScriptedSmsc, submit: &Submit, id: &str, state: MessageState) {
    let sequence = smsc.receipt(submit, id, state, Dialect::Both).await;
    assert_eq!(smsc.expect_deliver_resp(sequence).await, CommandStatus::ROK);
}

#[tokio::test]
async fn a_receipt_quotes_twenty_characters_for_who_asks_and_none_for_others() {
    let (local, mut smsc, mut esme) = bound(ASKED).await;
    let mut other = ScriptedEsme::bound(local.esme(), "other", "secret").await;
    let mut payload = Vec::new();
    assert!(tlv::append(
        &mut payload,
        Tag::MESSAGE_PAYLOAD,
        b"A long one that lies in a TLV"
    ));
    let base = message(FROM, TO, "Your code is 123456, do not share it");
    let cases = [
        (base, "Your code is 123456,"),
        (
            Sm {
                short_message: ShortMessage::new(b"Hi\n@\0!").unwrap(),
                ..base
            },
            "Hi?@?!",
        ),
        (
            Sm {
                short_message: ShortMessage::new(b"\x00H\x00i").unwrap(),
                data_coding: DataCoding(8),
                ..base
            },
            "",
        ),
        (
            Sm {
                short_message: ShortMessage::new(b"\x05\x00\x03\x07\x02\x01part one").unwrap(),
                esm_class: EsmClass(0x40),
                ..base
            },
            "part one",
        ),
        (
            Sm {
                short_message: ShortMessage::default(),
                tlvs: Tlvs::new(&payload),
                ..base
            },
            "A long one that lies",
        ),
    ];
    for (at, (sm, expected)) in cases.into_iter().enumerate() {
        for (esme, expected) in [(&mut esme, expected), (&mut other, "")] {
            let id = esme.submit_ok(sm).await;
            let submit = take(&mut smsc, "c").await;
            deliver(&mut smsc, &submit, "c", MessageState::Delivered).await;
            let dlr = esme.expect_receipt(&id).await;
            assert_eq!(quoted(&dlr), expected, "case {at}");
        }
    }
}

#[tokio::test]
async fn it_outlives_a_restart_and_is_in_states_on_the_way_too() {
    let (mut local, mut smsc, mut esme) = waiting(ASKED).await;
    let sm = Sm {
        registered_delivery: RegisteredDelivery(0x11),
        ..message(FROM, TO, "Hello")
    };
    let id = esme.submit_ok(sm).await;
    local.restart();
    smsc.reopen().await;
    let submit = take(&mut smsc, "c").await;
    let mut esme = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    deliver(&mut smsc, &submit, "c", MessageState::Enroute).await;
    let on_the_way = esme.expect_deliver().await;
    esme.answer(&on_the_way, CommandStatus::ROK).await;
    assert_eq!(quoted(&on_the_way), "Hello");
    // With a carrier, and again.
    local.restart();
    smsc.expect_binds(2).await;
    let mut esme = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    let link = *smsc.bound().last().unwrap();
    let sequence = smsc
        .receipt_on(link, &submit, "c", MessageState::Delivered, Dialect::Both)
        .await;
    assert_eq!(smsc.expect_deliver_resp(sequence).await, CommandStatus::ROK);
    assert_eq!(quoted(&esme.expect_receipt(&id).await), "Hello");
}

#[tokio::test]
async fn a_replaced_message_quotes_its_new_text_and_what_is_deleted_its_own() {
    let (mut local, mut smsc, mut esme) = waiting(ASKED).await;
    let id = esme.submit_ok(message(FROM, TO, "old text")).await;
    let replace = ReplaceSm {
        message_id: MessageIdField::new(id.as_bytes()).unwrap(),
        source: number(FROM),
        schedule_delivery_time: COctets::EMPTY,
        validity_period: COctets::EMPTY,
        registered_delivery: RegisteredDelivery::FINAL,
        sm_default_msg_id: 0,
        short_message: ShortMessage::new(b"new text").unwrap(),
        tlvs: Tlvs::NONE,
    };
    let answer = ask(&mut esme, Operation::ReplaceSm(replace)).await;
    assert_eq!(answer.status(), CommandStatus::ROK);
    let instead = Sm {
        replace_if_present_flag: 1,
        ..message(FROM, TO, "another message")
    };
    local.restart();
    let mut esme = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    let newer = esme.submit_ok(instead).await;
    let dlr = esme.expect_receipt(&id).await;
    assert!(dlr.text().contains(" stat:DELETED "), "{}", dlr.text());
    assert_eq!(quoted(&dlr), "new text");
    smsc.reopen().await;
    let submit = take(&mut smsc, "c").await;
    deliver(&mut smsc, &submit, "c", MessageState::Delivered).await;
    assert_eq!(quoted(&esme.expect_receipt(&newer).await), "another message");
}

#[test]
fn a_receipt_that_comes_hours_later_quotes_what_lies_in_a_waiting_file() {
    scenario(|| async {
        // Ten minutes before the hour: the deadline falls into the last minutes of the next.
        let clock = Clock::virtual_from(START_MS + 50 * 60_000);
        let config = bench_config_lines(&[
            ("name = \"sink\"", "receipt_deadline = \"65m\""),
            ("system_id = \"load\"", "receipt_text = true"),
        ]);
        let setup = Setup::new(config, 1 << 20, 1 << 28);
        let world = World::start_with(&setup, FaultyDisk::new(), clock.clone(), 51).unwrap();
        let (mut smsc, mut esme) = (world.smsc(), world.esme());
        smsc.accept_bind().await;
        esme.bind(b"secret").await;
        esme.submit(2).await;
        smsc.take_submit(b"c-1").await;
        tokio::time::sleep(Duration::from_secs(240)).await;
        let moved = |world: &World| {
            world
                .hub
                .look(|gate, _| (gate.spool().index().len(), gate.spool().waiting().legs))
        };
        assert_eq!(moved(&world), (0, 1));
        let after = World::start_with(&setup, world.kill().crash(), clock, 52).unwrap();
        assert_eq!(moved(&after), (0, 1));
        let (mut smsc, mut esme) = (after.smsc(), after.esme());
        smsc.accept_bind().await;
        esme.bind(b"secret").await;
        smsc.send_receipt(1, b"c-1", MessageState::Delivered).await;
        let answer = smsc.expect(CommandId::DELIVER_SM_RESP).await;
        assert_eq!(answer.pdu().status, CommandStatus::ROK);
        let dlr = esme.expect(CommandId::DELIVER_SM).await;
        let text = dlr.sm().text().0.to_vec();
        let said = wire::message().text().0;
        assert!(
            text.ends_with(&[b" text:", said].concat()),
            "{}",
            text.escape_ascii()
        );
    });
}
