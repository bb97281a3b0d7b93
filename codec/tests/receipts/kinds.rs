//! Which deliver_sm is a receipt, and what wins when its TLVs and its text disagree.

use tidegate_codec::receipt::read_receipt;
use tidegate_codec::values::{EsmClass, MessageState};

const TEXT: &[u8] =
    b"id:42 sub:001 dlvrd:001 submit date:2611240900 done date:2611240901 stat:UNDELIV err:21b text:";

#[test]
fn the_type_bits_alone_decide_whatever_mode_and_features_say() {
    for octet in 0..=u8::MAX {
        let esm_class = EsmClass(octet);
        let declared = matches!(octet & 0x3c, 0x04 | 0x20);
        let acknowledges = matches!(octet & 0x3c, 0x08 | 0x10 | 0x18);
        assert_eq!(esm_class.is_receipt(), octet & 0x3c == 0x04, "{octet:#x}");
        assert_eq!(esm_class.is_intermediate(), octet & 0x3c == 0x20, "{octet:#x}");
        let read = |text, id, state, detect| read_receipt(esm_class, text, id, state, None, detect);
        // Declared ones are receipts whatever they hold; others only by what they hold.
        assert_eq!(
            read(b"hello", None, None, false).is_some(),
            declared,
            "{octet:#x}"
        );
        assert_eq!(read(b"hello", None, None, true).is_some(), declared, "{octet:#x}");
        assert_eq!(read(TEXT, None, None, false).is_some(), declared, "{octet:#x}");
        assert_eq!(
            read(TEXT, None, None, true).is_some(),
            !acknowledges,
            "{octet:#x}"
        );
        let by_tlvs = read(b"", Some(&b"42"[..]), Some(2), false);
        assert_eq!(by_tlvs.is_some(), !acknowledges, "{octet:#x}");
        // The state of a notification is never the last one.
        let is_final = by_tlvs.is_some_and(|receipt| receipt.is_final);
        assert_eq!(is_final, !acknowledges && octet & 0x3c != 0x20, "{octet:#x}");
    }
}

#[test]
fn ids_and_states_come_from_the_tlvs_and_dates_and_err_from_the_text() {
    for (id, state, expect_id, expect_state) in [
        (None, None, "42", MessageState::Undeliverable),
        (Some("43"), None, "43", MessageState::Undeliverable),
        (Some("43\0"), Some(2), "43", MessageState::Delivered),
        (Some(""), Some(3), "42", MessageState::Expired),
        (Some("\0"), Some(8), "42", MessageState::Rejected),
        (None, Some(1), "42", MessageState::Enroute),
    ] {
        let id = id.map(str::as_bytes);
        let read = read_receipt(EsmClass::RECEIPT, TEXT, id, state, Some([3, 0, 99]), false).unwrap();
        assert_eq!(read.id(), expect_id.as_bytes());
        assert_eq!(read.state, expect_state);
        assert_eq!(read.err.as_slice(), b"21b");
        assert_eq!(
            (read.text.submit_date, read.text.done_date),
            (&b"2611240900"[..], &b"2611240901"[..])
        );
        assert_eq!(read.other_id(), (expect_id == "43").then_some(&b"42"[..]));
    }
}

/// `DELIVRD err:002` is seen (interop quirk 13).
#[test]
fn an_err_changes_no_state() {
    for err in ["", "000", "002", "21b", "FFFF"] {
        let text = format!("id:1 stat:DELIVRD err:{err} text:");
        let read = read_receipt(EsmClass::RECEIPT, text.as_bytes(), None, None, None, false).unwrap();
        assert_eq!((read.state, read.is_final), (MessageState::Delivered, true));
    }
}

#[test]
fn every_state_of_the_tlv_is_read_and_only_two_are_on_their_way() {
    for octet in 0..=u8::MAX {
        let read = read_receipt(EsmClass::RECEIPT, b"", Some(b"1"), Some(octet), None, false).unwrap();
        let expect = MessageState::from_octet(octet).unwrap_or(MessageState::Unknown);
        assert_eq!((read.state, read.is_final), (expect, octet > 1), "{octet}");
    }
}

/// Lists set apart by commas and sentences for people are receipts as well (interop quirk 6): what they say
/// nobody knows, and they are answered and counted.
#[test]
fn bodies_of_another_kind_are_receipts_that_name_nothing() {
    for text in [
        &b"42,2026-11-24 09:00,2026-11-24 09:01,DELIVRD"[..],
        b"Your message to +46 was delivered at 09:01",
        b"{\"id\":\"42\",\"stat\":\"DELIVRD\"}",
        b"<id>42</id>",
        b"\x05\x00\x03\x2a\x02\x01",
    ] {
        let read = read_receipt(EsmClass::RECEIPT, text, None, None, None, false).unwrap();
        assert_eq!((read.id(), read.state), (&b""[..], MessageState::Unknown));
        assert!(!read.is_final);
    }
}
