//! A message as a peer of an older version can hold it (smpp-session.md §7): of 3.3 without TLVs and as no data_sm, of 3.4
//! without what is new in 5.0.

use tidegate_codec::pdu::message::{DataSm, ShortMessage, Sm};
use tidegate_codec::tlv::{Tag, Tlvs, append};
use tidegate_codec::values::InterfaceVersion;
use tidegate_store::record::Form;

/// The stored message without TLVs, as [`Sm::plain`] and [`DataSm::plain`] make it; `None` where 3.3 has no
/// room for it.
pub(crate) fn plain(form: Form, body: &[u8]) -> Option<Sm<'_>> {
    // The body was read when it came in.
    match form {
        Form::Sm => Sm::decode(body).ok()?.plain(),
        Form::DataSm => DataSm::decode(body).ok()?.plain(),
    }
}

/// The message for a peer of 3.4: TLVs of 5.0 are left out, and a text of 255 octets stands in message_payload, since
/// short_message has 254 there. `scratch` holds the TLVs where they are others than before.
pub(crate) fn without_v5<'a>(sm: Sm<'a>, version: InterfaceVersion, scratch: &'a mut Vec<u8>) -> Sm<'a> {
    let text = sm.short_message.as_bytes();
    let is_long = text.len() > version.short_message_max();
    if !is_long && fits(sm.tlvs, version) {
        return sm;
    }
    fitting(sm.tlvs, version, scratch);
    // A payload that is there already has won over the text when it was taken in.
    if is_long && sm.tlvs.message_payload().is_none() {
        let _ = append(scratch, Tag::MESSAGE_PAYLOAD, text);
    }
    let tlvs = Tlvs::new(scratch);
    let short_message = if is_long {
        ShortMessage::default()
    } else {
        sm.short_message
    };
    Sm {
        short_message,
        tlvs,
        ..sm
    }
}

/// As [`without_v5`] for a data_sm.
pub(crate) fn data_without_v5<'a>(
    sm: DataSm<'a>,
    version: InterfaceVersion,
    scratch: &'a mut Vec<u8>,
) -> DataSm<'a> {
    if fits(sm.tlvs, version) {
        return sm;
    }
    fitting(sm.tlvs, version, scratch);
    let tlvs = Tlvs::new(scratch);
    DataSm { tlvs, ..sm }
}

/// Appends the body of a message for a peer of 3.4: see [`without_v5`].
pub(crate) fn write_without_v5(out: &mut Vec<u8>, form: Form, body: &[u8], version: InterfaceVersion) {
    let mut scratch = Vec::new();
    // The body was read when it came in.
    match form {
        Form::Sm => {
            let Ok(sm) = Sm::decode(body) else { return };
            without_v5(sm, version, &mut scratch).encode(out);
        }
        Form::DataSm => {
            let Ok(sm) = DataSm::decode(body) else { return };
            data_without_v5(sm, version, &mut scratch).encode(out);
        }
    }
}

fn fits(tlvs: Tlvs<'_>, version: InterfaceVersion) -> bool {
    tlvs.iter().all(|tlv| version.may_carry(tlv.tag))
}

fn fitting(tlvs: Tlvs<'_>, version: InterfaceVersion, out: &mut Vec<u8>) {
    out.clear();
    for tlv in tlvs.iter().filter(|tlv| version.may_carry(tlv.tag)) {
        let _ = append(out, tlv.tag, tlv.value.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V3_4: InterfaceVersion = InterfaceVersion::V3_4;

    #[test]
    fn what_is_new_in_5_0_is_left_out_for_3_4_and_all_else_stays_as_it_was() {
        let mut tlvs = Vec::new();
        for (tag, value) in [
            (Tag::USER_MESSAGE_REFERENCE, &[0, 9][..]),
            (Tag::BILLING_IDENTIFICATION, b"\x80x"),
            (Tag(0x1400), b"vendor"),
        ] {
            assert!(append(&mut tlvs, tag, value));
        }
        let sm = Sm {
            short_message: ShortMessage::new(b"hello").unwrap(),
            tlvs: Tlvs::new(&tlvs),
            ..Sm::default()
        };
        let mut scratch = Vec::new();
        assert_eq!(without_v5(sm, InterfaceVersion::V5_0, &mut scratch), sm);
        let old = without_v5(sm, V3_4, &mut scratch);
        let tags: Vec<Tag> = old.tlvs.iter().map(|tlv| tlv.tag).collect();
        assert_eq!(tags, [Tag::USER_MESSAGE_REFERENCE, Tag(0x1400)]);
        assert_eq!(old.text().0, b"hello");
        let data = DataSm {
            tlvs: sm.tlvs,
            ..DataSm::default()
        };
        let mut scratch = Vec::new();
        assert_eq!(data_without_v5(data, V3_4, &mut scratch).tlvs.iter().count(), 2);
    }

    #[test]
    fn a_text_of_255_octets_goes_to_3_4_as_a_payload() {
        let text = [b'x'; 255];
        let sm = Sm {
            short_message: ShortMessage::new(&text).unwrap(),
            ..Sm::default()
        };
        let mut scratch = Vec::new();
        let old = without_v5(sm, V3_4, &mut scratch);
        assert!(old.short_message.as_bytes().is_empty());
        assert_eq!(old.text().0, text);
        let shorter = Sm {
            short_message: ShortMessage::new(&text[1..]).unwrap(),
            ..sm
        };
        assert_eq!(without_v5(shorter, V3_4, &mut Vec::new()), shorter);
    }
}
