//! Values that a peer of an older version must not be sent (smpp-pdus.md §4.2, §6), one PDU each.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use tidegate_codec::error::Field;
use tidegate_codec::octets::COctets;
use tidegate_codec::pdu::ancillary::{QuerySmResp, ReplaceSm};
use tidegate_codec::pdu::message::Sm;
use tidegate_codec::pdu::multi::SubmitMultiResp;
use tidegate_codec::pdu::response::MessageIdResp;
use tidegate_codec::pdu::{Operation, Pdu};
use tidegate_codec::status::CommandStatus;
use tidegate_codec::tlv::{Tag, Tlvs};
use tidegate_codec::values::{InterfaceVersion, RegisteredDelivery};
use tidegate_codec::version::Unfit;

const V3_3: InterfaceVersion = InterfaceVersion::V3_3;
const V3_4: InterfaceVersion = InterfaceVersion::V3_4;
const V5_0: InterfaceVersion = InterfaceVersion::V5_0;

fn fits(operation: Operation<'_>, version: InterfaceVersion) -> Result<(), Unfit> {
    Pdu {
        status: CommandStatus::ROK,
        sequence: 1,
        operation,
    }
    .fits(version)
}

/// Each is refused below `since`, for the reason given, and fits from there on.
fn since(operation: Operation<'_>, since: InterfaceVersion, why: Unfit) {
    for version in [V3_3, V3_4, V5_0] {
        let expected = if version < since { Err(why) } else { Ok(()) };
        assert_eq!(fits(operation, version), expected, "{operation:?} to {version:?}");
    }
}

#[test]
fn values_of_later_versions_are_not_sent_to_older_peers() {
    let submit = |change: fn(&mut Sm<'_>)| {
        let mut sm = Sm::default();
        change(&mut sm);
        Operation::SubmitSm(sm)
    };
    let value = Unfit::Value;
    since(
        submit(|sm| sm.priority_flag = 2),
        V3_4,
        value(Field::PriorityFlag),
    );
    since(
        submit(|sm| sm.priority_flag = 4),
        V5_0,
        value(Field::PriorityFlag),
    );
    let receipts = value(Field::RegisteredDelivery);
    since(
        submit(|sm| sm.registered_delivery = RegisteredDelivery(0x12)),
        V3_4,
        receipts,
    );
    since(
        submit(|sm| sm.registered_delivery = RegisteredDelivery(0x03)),
        V5_0,
        receipts,
    );
    since(
        submit(|sm| sm.sm_default_msg_id = 255),
        V5_0,
        value(Field::SmDefaultMsgId),
    );

    let deliver = |change: fn(&mut Sm<'_>)| {
        let mut sm = Sm::default();
        change(&mut sm);
        Operation::DeliverSm(sm)
    };
    since(
        deliver(|sm| sm.sm_default_msg_id = 1),
        V5_0,
        value(Field::SmDefaultMsgId),
    );
    since(
        deliver(|sm| sm.replace_if_present_flag = 1),
        V5_0,
        value(Field::ReplaceIfPresentFlag),
    );
    let in_an_hour = COctets::new(b"000000010000000R").unwrap();
    let scheduled = Sm {
        schedule_delivery_time: in_an_hour,
        ..Sm::default()
    };
    since(
        Operation::DeliverSm(scheduled),
        V5_0,
        value(Field::ScheduleDeliveryTime),
    );
    assert_eq!(fits(Operation::SubmitSm(scheduled), V3_3), Ok(()));
    let until = Sm {
        validity_period: in_an_hour,
        ..Sm::default()
    };
    since(Operation::DeliverSm(until), V5_0, value(Field::ValidityPeriod));
}

#[test]
fn ids_states_and_statuses_of_later_versions_are_not_sent_to_older_peers() {
    let id = |octets| {
        Operation::SubmitSmResp(Some(MessageIdResp {
            message_id: COctets::new(octets).unwrap(),
            tlvs: Tlvs::NONE,
        }))
    };
    since(id(b"zz-not"), V3_4, Unfit::Value(Field::MessageId));
    since(id(b"0123456789"), V3_4, Unfit::MessageId(10));
    assert_eq!(fits(id(b"0123abCD"), V3_3), Ok(()));

    let state = |message_state| {
        Operation::QuerySmResp(Some(QuerySmResp {
            message_state,
            ..QuerySmResp::default()
        }))
    };
    since(state(9), V5_0, Unfit::Value(Field::MessageState));
    since(state(0), V5_0, Unfit::Value(Field::MessageState));
    assert_eq!(fits(state(2), V3_3), Ok(()));

    let unsuccess = b"\x01\x01447700900123\0\0\0\x01\x04";
    let late = SubmitMultiResp::new(COctets::EMPTY, 1, unsuccess, Tlvs::NONE).unwrap();
    since(
        Operation::SubmitMultiResp(Some(late)),
        V5_0,
        Unfit::Status(CommandStatus(0x104)),
    );
}

#[test]
fn tlvs_of_later_versions_and_in_later_forms_are_not_sent_to_older_peers() {
    let with = |octets| {
        Operation::SubmitSm(Sm {
            tlvs: Tlvs::new(octets),
            ..Sm::default()
        })
    };
    since(
        with(b"\x02\x04\0\x02\0\x01"),
        V3_4,
        Unfit::Tlv(Tag::USER_MESSAGE_REFERENCE),
    );
    since(with(b"\x12\x04\0\x01\x00"), V3_4, Unfit::Tlv(Tag::MS_VALIDITY));
    since(
        with(b"\x12\x04\0\x04\x04\0\0\x01"),
        V5_0,
        Unfit::Tlv(Tag::MS_VALIDITY),
    );
    since(
        with(b"\x13\x0c\0\x01\x01"),
        V5_0,
        Unfit::Tlv(Tag::ALERT_ON_MESSAGE_DELIVERY),
    );
    since(with(b"\x04\x27\0\x01\x09"), V5_0, Unfit::Tlv(Tag::MESSAGE_STATE));
    since(
        Operation::EnquireLinkResp(Tlvs::new(b"\x04\x28\0\x01\x50")),
        V5_0,
        Unfit::Tlv(Tag::CONGESTION_STATE),
    );
    // What is no TLV, a peer reads as one.
    for version in [V3_3, V3_4, V5_0] {
        let stray = Operation::EnquireLinkResp(Tlvs::new(&[1, 2, 3]));
        assert_eq!(fits(stray, version), Err(Unfit::Tlv(Tag(0x0102))));
    }
    let replace = Operation::ReplaceSm(ReplaceSm {
        tlvs: Tlvs::new(b"\x04\x24\0\x02hi"),
        ..ReplaceSm::default()
    });
    since(replace, V5_0, Unfit::Tlv(Tag::MESSAGE_PAYLOAD));
}
