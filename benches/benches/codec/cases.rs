//! The PDUs of the contests, as octets.

use tidegate_codec::address::{Address, Npi, Ton};
use tidegate_codec::pdu::message::{ShortMessage, Sm};
use tidegate_codec::pdu::response::MessageIdResp;
use tidegate_codec::pdu::{Operation, Pdu};
use tidegate_codec::status::CommandStatus;
use tidegate_codec::text::{Carriage, Charset, Shifts, Split, SplitRules};
use tidegate_codec::tlv::{self, Tag, Tlvs};
use tidegate_codec::values::{EsmClass, RegisteredDelivery};

/// 140 octets of plain text.
pub(crate) const TEXT: &str = "Your parcel 4711-0815 arrives today between 14:00 and 16:00. To choose another day \
    answer with the number of the day, or call us on 0800 1234.";
/// A receipt as most carriers write it.
pub(crate) const RECEIPT: &[u8] =
    b"id:0f9bd4a21c sub:001 dlvrd:001 submit date:2611241200 done date:2611241201 \
    stat:DELIVRD err:000 text:Your parcel 4711-081";

fn octets(operation: Operation<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    Pdu {
        status: CommandStatus::ROK,
        sequence: 0x0102,
        operation,
    }
    .encode(&mut out);
    out
}

fn sm(text: &[u8]) -> Sm<'_> {
    Sm {
        source: Address::new(Ton::ALPHANUMERIC, Npi::UNKNOWN, b"Tidegate").unwrap_or_default(),
        destination: Address::new(Ton::INTERNATIONAL, Npi::ISDN, b"447700900123").unwrap_or_default(),
        registered_delivery: RegisteredDelivery::FINAL,
        short_message: ShortMessage::new(text).unwrap_or_default(),
        ..Sm::default()
    }
}

fn tlvs(parameters: &[(Tag, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (tag, value) in parameters {
        let _ = tlv::append(&mut out, *tag, value);
    }
    out
}

pub(crate) fn submit_sm() -> Vec<u8> {
    octets(Operation::SubmitSm(sm(TEXT.as_bytes())))
}

/// With three TLVs.
pub(crate) fn submit_sm_tlvs() -> Vec<u8> {
    let tlvs = tlvs(&[
        (Tag::USER_MESSAGE_REFERENCE, &[0x12, 0x34]),
        (Tag::SOURCE_PORT, &[0x15, 0x8a]),
        (Tag::DEST_PORT, &[0x15, 0x8a]),
    ]);
    octets(Operation::SubmitSm(Sm {
        tlvs: Tlvs::new(&tlvs),
        ..sm(TEXT.as_bytes())
    }))
}

/// A deliver_sm with the text of a receipt and the two TLVs of one.
pub(crate) fn receipt() -> Vec<u8> {
    let tlvs = tlvs(&[
        (Tag::RECEIPTED_MESSAGE_ID, b"0f9bd4a21c\0"),
        (Tag::MESSAGE_STATE, &[2]),
    ]);
    octets(Operation::DeliverSm(Sm {
        source: Address::new(Ton::INTERNATIONAL, Npi::ISDN, b"447700900123").unwrap_or_default(),
        destination: Address::new(Ton::ALPHANUMERIC, Npi::UNKNOWN, b"Tidegate").unwrap_or_default(),
        esm_class: EsmClass::RECEIPT,
        registered_delivery: RegisteredDelivery(0),
        tlvs: Tlvs::new(&tlvs),
        ..sm(RECEIPT)
    }))
}

pub(crate) fn submit_sm_resp() -> Vec<u8> {
    let id = b"0f9bd4a21c";
    octets(Operation::SubmitSmResp(Some(MessageIdResp {
        message_id: tidegate_codec::octets::COctets::new(id).unwrap_or_default(),
        tlvs: Tlvs::NONE,
    })))
}

/// A text of 400 characters that takes three parts with a header each.
pub(crate) fn long_text() -> String {
    TEXT.chars().chain(" ".chars()).cycle().take(400).collect()
}

/// That text as three submit_sm, one behind the other.
pub(crate) fn three_parts() -> Vec<u8> {
    let (text, mut septets) = (long_text(), Vec::new());
    let charset = Charset::Gsm7(Shifts::NONE);
    let _ = charset.encode(&text, &mut septets);
    let rules = SplitRules {
        carriage: Carriage::Udh8,
        reference: 7,
        parts_max: 10,
    };
    let (mut all, mut part_octets) = (Vec::new(), Vec::new());
    for part in Split::new(charset, None, &septets, rules).into_iter().flatten() {
        part_octets.clear();
        part.write(&mut part_octets);
        all.extend(octets(Operation::SubmitSm(Sm {
            esm_class: EsmClass(0x40),
            ..sm(&part_octets)
        })));
    }
    all
}
