//! Receipts, read no further than the clients need: whose, and which state.

use tidegate_codec::address::ADDR_SM;
use tidegate_codec::error::BodyError;
use tidegate_codec::message_id::MESSAGE_ID_MAX;
use tidegate_codec::pdu::message::{DataSm, SERVICE_TYPE_MAX, Sm, TIME_MAX};
use tidegate_codec::receipt::read_receipt;
use tidegate_codec::tlv::{Tag, Tlvs};
use tidegate_codec::values::{EsmClass, MessageState};

/// What a delivery is to the clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delivery<'a> {
    /// The final receipt of the message with this id.
    Receipt(&'a [u8], MessageState),
    /// A receipt that says that the message is on its way.
    Intermediate,
    /// A message.
    Message,
}

/// Reads the body of a deliver_sm. What nearly all receipts look like is read by [`skim`]; everything else goes
/// through the codec. An error is the peer's to hear.
pub(super) fn read_deliver(body: &[u8]) -> Result<Delivery<'_>, BodyError> {
    if let Some(receipt) = skim(body) {
        return Ok(receipt);
    }
    let sm = Sm::decode(body)?;
    Ok(read(sm.esm_class, sm.tlvs, sm.text().0))
}

/// The same for a data_sm.
pub(super) fn read_data(body: &[u8]) -> Result<Delivery<'_>, BodyError> {
    let sm = DataSm::decode(body)?;
    let text = sm.tlvs.message_payload().map_or(&[][..], |payload| payload.0);
    Ok(read(sm.esm_class, sm.tlvs, text))
}

/// Reads a receipt that says everything in its TLVs, without reading anything else: it finds the TLVs by the
/// lengths of what stands before them. `None` where anything is not quite as it should be.
fn skim(body: &[u8]) -> Option<Delivery<'_>> {
    let rest = past_nul(body, SERVICE_TYPE_MAX)?;
    let rest = past_nul(rest.get(2..)?, ADDR_SM)?;
    let rest = past_nul(rest.get(2..)?, ADDR_SM)?;
    let (&[esm_class, _protocol, _priority], rest) = rest.split_first_chunk()?;
    let rest = past_nul(rest, TIME_MAX)?;
    let rest = past_nul(rest, TIME_MAX)?;
    let (&[_delivery, _replace, _coding, _default, length], rest) = rest.split_first_chunk()?;
    let mut tlvs = rest.get(usize::from(length)..)?;
    // A receipt without a header.
    if esm_class & (0x3c | EsmClass::UDHI) != EsmClass::RECEIPT.0 {
        return None;
    }
    let (mut id, mut state) = (None, None);
    while let Some((&[tag_high, tag_low, high, low], rest)) = tlvs.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes([high, low]));
        let (value, rest) = rest.split_at_checked(length)?;
        match Tag(u16::from_be_bytes([tag_high, tag_low])) {
            Tag::RECEIPTED_MESSAGE_ID if id.is_none() => id = Some(value),
            Tag::MESSAGE_STATE if state.is_none() => state = Some(value),
            Tag::RECEIPTED_MESSAGE_ID | Tag::MESSAGE_STATE => return None,
            _ => {}
        }
        tlvs = rest;
    }
    let [octet] = *state? else { return None };
    let state = MessageState::from_octet(octet).filter(|state| state.is_final())?;
    let id = id?.strip_suffix(b"\0")?;
    let plain = !id.is_empty() && id.len() < MESSAGE_ID_MAX && id.iter().all(u8::is_ascii_graphic);
    (plain && tlvs.is_empty()).then_some(Delivery::Receipt(id, state))
}

/// What stands behind a field of at most `max` octets that ends with a NUL.
fn past_nul(octets: &[u8], max: usize) -> Option<&[u8]> {
    // Most of them are empty or a dozen octets long, too short for anything cleverer.
    let end = octets.iter().take(max).position(|octet| *octet == 0)?;
    octets.get(end + 1..)
}

/// `text` is looked into only where the TLVs leave something open.
fn read<'a>(esm_class: EsmClass, tlvs: Tlvs<'a>, text: &'a [u8]) -> Delivery<'a> {
    let (id, state) = (
        tlvs.get(Tag::RECEIPTED_MESSAGE_ID),
        tlvs.octet(Tag::MESSAGE_STATE),
    );
    match read_receipt(esm_class, text, id, state, None, false) {
        Some(receipt) if receipt.is_final => Delivery::Receipt(receipt.id(), receipt.state),
        Some(_) => Delivery::Intermediate,
        None => Delivery::Message,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tidegate_codec::address::{Address, Npi, Ton};
    use tidegate_codec::pdu::message::ShortMessage;
    use tidegate_codec::tlv::append;

    use super::*;

    fn body(esm_class: EsmClass, text: &[u8], tlvs: &[(Tag, &[u8])]) -> Vec<u8> {
        let mut octets = Vec::new();
        for (tag, value) in tlvs {
            assert!(append(&mut octets, *tag, value));
        }
        let mut out = Vec::new();
        Sm {
            source: Address::new(Ton::INTERNATIONAL, Npi::ISDN, b"447700900001").unwrap(),
            destination: Address::new(Ton::ALPHANUMERIC, Npi::UNKNOWN, b"Tide").unwrap(),
            esm_class,
            short_message: ShortMessage::new(text).unwrap(),
            tlvs: Tlvs::new(&octets),
            ..Sm::default()
        }
        .encode(&mut out);
        out
    }

    const ID: Tag = Tag::RECEIPTED_MESSAGE_ID;
    const STATE: Tag = Tag::MESSAGE_STATE;
    const TEXT: &[u8] = b"id:7 stat:REJECTD";

    #[test]
    fn the_receipts_of_our_own_gateway_are_skimmed() {
        let octets = body(EsmClass::RECEIPT, TEXT, &[(ID, b"42\0"), (STATE, &[2])]);
        let receipt = Delivery::Receipt(b"42", MessageState::Delivered);
        assert_eq!(skim(&octets), Some(receipt));
        assert_eq!(read_deliver(&octets), Ok(receipt));
        for n in 0..octets.len() {
            assert_eq!(skim(&octets[..n]), None, "{n}");
        }
    }

    #[test]
    fn what_is_out_of_the_ordinary_is_left_to_the_codec() {
        let of = |esm_class, tlvs: &[(Tag, &[u8])], expected| {
            let octets = body(esm_class, TEXT, tlvs);
            assert_eq!(skim(&octets), None);
            assert_eq!(read_deliver(&octets), Ok(expected));
        };
        let by_text = Delivery::Receipt(b"7", MessageState::Rejected);
        of(EsmClass::RECEIPT, &[], by_text);
        of(
            EsmClass::RECEIPT,
            &[(ID, b"42")],
            Delivery::Receipt(b"42", MessageState::Rejected),
        );
        of(
            EsmClass::RECEIPT,
            &[(ID, b"42\0"), (STATE, &[77])],
            Delivery::Receipt(b"42", MessageState::Rejected),
        );
        of(
            EsmClass::RECEIPT,
            &[(ID, b"42\0"), (STATE, &[1])],
            Delivery::Intermediate,
        );
        of(
            EsmClass(0x20),
            &[(ID, b"42\0"), (STATE, &[2])],
            Delivery::Intermediate,
        );
        of(EsmClass(0), &[], Delivery::Message);
        of(
            EsmClass(0),
            &[(ID, b"42\0"), (STATE, &[2])],
            Delivery::Receipt(b"42", MessageState::Delivered),
        );
    }

    proptest! {
        /// Whatever is skimmed is what the codec reads; and no octets make either panic.
        #[test]
        fn skimming_and_the_codec_agree(
            esm_class in prop::sample::select(vec![0x04_u8, 0x44, 0x20, 0, 0x06]),
            text in prop::collection::vec(any::<u8>(), 0..40),
            id in "[a-z0-9]{0,70}",
            state in 0..12_u8,
            at in any::<prop::sample::Index>(),
            octet in any::<u8>(),
        ) {
            let id = format!("{id}\0");
            let mut octets = body(EsmClass(esm_class), &text, &[(ID, id.as_bytes()), (STATE, &[state])]);
            for _ in 0..2 {
                if let Some(skimmed) = skim(&octets) {
                    let sm = Sm::decode(&octets).unwrap();
                    prop_assert_eq!(skimmed, read(sm.esm_class, sm.tlvs, sm.text().0));
                }
                let _ = read_deliver(&octets);
                let _ = read_data(&octets);
                let at = at.index(octets.len());
                octets[at] = octet;
            }
        }
    }
}
