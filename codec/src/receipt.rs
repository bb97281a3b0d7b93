//! Delivery receipts: telling them from messages, reading their TLVs and text, matching their ids,
//! writing our own (SMPP 3.4 §2.8, §5.3.2.35, Appendix B).
//!
//! The text of a receipt is a convention that no two carriers keep alike, so reading it never fails a
//! PDU: what cannot be read is empty. A receipt may come with a header, in parts or in UCS-2; whoever
//! calls undoes that first, as for any message.
//!
//! ```
//! use tidegate_codec::receipt::{IdBase, canonical, read_receipt};
//! use tidegate_codec::values::{EsmClass, MessageState};
//!
//! let text = b"id:0000012345 stat:UNDELIV err:027 text:hello";
//! let receipt = read_receipt(EsmClass::RECEIPT, text, Some(b"3039\0"), None, None, false).unwrap();
//! assert_eq!((receipt.state, receipt.is_final), (MessageState::Undeliverable, true));
//! assert_eq!((receipt.id(), receipt.err.as_slice()), (&b"3039"[..], &b"027"[..]));
//! // The text has the other base.
//! assert_eq!(receipt.other_id(), Some(&b"0000012345"[..]));
//! assert_eq!(canonical(b"0000012345", IdBase::Decimal), canonical(receipt.id(), IdBase::Hex));
//! ```
//!
//! **Errors.** None: a field that cannot be read is empty, and a message that is no receipt is `None`.
//!
//! **Limits.** An id of more than 64 octets is none. Of an `err` [`ERR_MAX`] octets are kept. Reading takes
//! time linear in the length of the text.

mod id;
mod plain;
mod text;
mod write;

use std::fmt;

use smallvec::SmallVec;

pub use id::{CanonicalId, IdBase, canonical};
pub use plain::receipt_text;
pub use text::{Receipt, state_of_word};
pub use write::ReceiptText;

use crate::message_id::MESSAGE_ID_MAX;
use crate::values::{EsmClass, MessageState};

/// Octets of an `err` that are kept. Appendix B has three, the longest seen has five.
pub const ERR_MAX: usize = 8;

/// What a deliver_sm or data_sm says as a receipt, TLVs and text put together.
#[derive(Clone, PartialEq, Eq)]
pub struct ReceiptReading<'a> {
    /// The id of the TLV without its NUL; empty when there is none.
    pub tlv_id: &'a [u8],
    /// The text form; all fields empty when the text is no receipt.
    pub text: Receipt<'a>,
    /// The TLV's state, else the text's, else [`MessageState::Unknown`].
    pub state: MessageState,
    /// Whether the message can change no more: see [`read_receipt`].
    pub is_final: bool,
    /// The text's `err`, else the TLV's network code in decimal with at least three digits, else empty.
    pub err: SmallVec<[u8; ERR_MAX]>,
}

impl<'a> ReceiptReading<'a> {
    /// The id to look up first: the TLV's, else the text's. Empty when the receipt names no message; it
    /// is acknowledged and counted then.
    pub const fn id(&self) -> &'a [u8] {
        if self.tlv_id.is_empty() {
            self.text.id
        } else {
            self.tlv_id
        }
    }

    /// The text's id where it is another than the TLV's. Carriers put either base into either place, so
    /// this one may be the id of the submit response.
    pub fn other_id(&self) -> Option<&'a [u8]> {
        let both = !self.tlv_id.is_empty() && !self.text.id.is_empty();
        if !both || self.tlv_id == self.text.id {
            return None;
        }
        let differ = canonical(self.tlv_id, IdBase::AsGiven) != canonical(self.text.id, IdBase::AsGiven);
        differ.then_some(self.text.id)
    }
}

impl fmt::Debug for ReceiptReading<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "ReceiptReading[{:?} final={} tlv_id={} {:?}]",
            self.state,
            self.is_final,
            self.tlv_id.len(),
            self.text
        )
    }
}

/// Reads a deliver_sm or data_sm as a receipt, or tells that it is a message (`None`).
///
/// `text` is the short_message or message_payload as [`receipt_text`] reads it. A receipt is what
/// - has the type receipt or intermediate notification in `esm_class`, whatever its content, or
/// - has the type of a normal message and both TLVs that occur on receipts only
///   (`receipted_message_id`, `message_state`), or
/// - has the type of a normal message and an id and a state, the text counting as well: only with
///   `detect_by_text`, a setting of the carrier. Otherwise a message that begins with `id:` stays one.
///
/// TLVs win for id and state, the text for err and dates. The state is final unless `esm_class` says
/// intermediate, the state itself is on the way, or nothing states one; UNKNOWN, and any word or number
/// without a meaning, is final only if `esm_class` says receipt.
pub fn read_receipt<'a>(
    esm_class: EsmClass,
    text: &'a [u8],
    receipted_message_id: Option<&'a [u8]>,
    message_state: Option<u8>,
    network_error_code: Option<[u8; 3]>,
    detect_by_text: bool,
) -> Option<ReceiptReading<'a>> {
    let declared = esm_class.is_receipt() || esm_class.is_intermediate();
    if !declared && !is_normal(esm_class) {
        return None;
    }
    let tlv_id = receipted_message_id.map_or(&[][..], tlv_id);
    let by_tlvs = !tlv_id.is_empty() && message_state.is_some();
    if !declared && !by_tlvs && !detect_by_text {
        return None;
    }
    let text = Receipt::scan(text);
    let has_id = !tlv_id.is_empty() || !text.id.is_empty();
    let has_state = message_state.is_some() || !text.stat.is_empty();
    let looks_like_one = has_id && has_state;
    if !declared && !looks_like_one {
        return None;
    }

    let state = message_state
        .and_then(MessageState::from_octet)
        .or_else(|| text.state())
        .unwrap_or(MessageState::Unknown);
    let is_final = has_state
        && !esm_class.is_intermediate()
        && state.is_final()
        && (state != MessageState::Unknown || esm_class.is_receipt());
    Some(ReceiptReading {
        tlv_id,
        state,
        is_final,
        err: err(text.err, network_error_code),
        text,
    })
}

/// The type bits say nothing else: neither a receipt nor an acknowledgement of the handset (0x08, 0x10)
/// nor a conversation abort (0x18). Reserved types read as normal messages.
const fn is_normal(esm_class: EsmClass) -> bool {
    !esm_class.is_receipt() && !matches!(esm_class.0 & 0x3c, 0x08 | 0x10 | 0x18 | 0x20)
}

/// The id of a `receipted_message_id`, which comes with and without its NUL. An id that no message_id
/// field could hold is none.
fn tlv_id(value: &[u8]) -> &[u8] {
    let end = memchr::memchr(0, value).unwrap_or(value.len());
    let id = value[..end].trim_ascii();
    if id.len() < MESSAGE_ID_MAX { id } else { &[] }
}

/// The text's `err`, or the code of a `network_error_code` (3.4 §5.3.2.31: type, then code). The type is
/// left out, as three digits have no room for it; whoever needs it has the TLV.
fn err(text: &[u8], network_error_code: Option<[u8; 3]>) -> SmallVec<[u8; ERR_MAX]> {
    match network_error_code {
        Some([_, high, low]) if text.is_empty() => {
            let code = u16::from_be_bytes([high, low]);
            let digits =
                [10_000, 1_000, 100, 10, 1].map(|power| b'0' + u8::try_from(code / power % 10).unwrap_or(0));
            let spare = digits[..2].iter().take_while(|&&digit| digit == b'0').count();
            SmallVec::from_slice(&digits[spare..])
        }
        _ => SmallVec::from_slice(&text[..text.len().min(ERR_MAX)]),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MESSAGE: EsmClass = EsmClass(0);
    const INTERMEDIATE: EsmClass = EsmClass(0x20);
    const TEXT: &[u8] = b"id:0042 sub:001 dlvrd:001 submit date:2611240900 done date:2611240901 \
        stat:DELIVRD err:002 text:hello";

    fn by_text(esm_class: EsmClass, text: &[u8]) -> Option<ReceiptReading<'_>> {
        read_receipt(esm_class, text, None, None, None, false)
    }

    #[test]
    fn a_message_that_looks_like_a_receipt_stays_a_message_unless_the_carrier_is_known_for_it() {
        assert_eq!(by_text(MESSAGE, TEXT), None);
        let detect = |text| read_receipt(MESSAGE, text, None, None, None, true);
        assert_eq!(detect(TEXT).unwrap().id(), b"0042");
        assert!(detect(TEXT).unwrap().is_final);
        assert_eq!(detect(b"id: please call me"), None);
        assert_eq!(detect(b"id:1"), None);
        assert_eq!(detect(b"stat:DELIVRD"), None);
    }

    #[test]
    fn what_only_receipts_carry_makes_a_receipt_of_a_normal_message() {
        let read = |id, state| read_receipt(MESSAGE, b"", id, state, None, false);
        assert_eq!(read(Some(&b"42"[..]), Some(2)).unwrap().id(), b"42");
        assert_eq!(read(Some(&b"42"[..]), None), None);
        assert_eq!(read(None, Some(2)), None);
        // Nor does the text fill in for a missing TLV while detection is off.
        assert_eq!(read_receipt(MESSAGE, TEXT, Some(b"42"), None, None, false), None);
    }

    #[test]
    fn an_acknowledgement_by_the_handset_is_no_receipt() {
        for esm_class in [0x08, 0x10, 0x18, 0x48] {
            let read = read_receipt(EsmClass(esm_class), TEXT, Some(b"42"), Some(2), None, true);
            assert_eq!(read, None, "{esm_class:#x}");
        }
        // A reserved type is a normal message, which detection may look into.
        assert!(read_receipt(EsmClass(0x0c), TEXT, None, None, None, true).is_some());
    }

    #[test]
    fn tlvs_win_for_id_and_state_and_the_text_for_err() {
        let read = read_receipt(
            EsmClass::RECEIPT,
            TEXT,
            Some(b"2A\0"),
            Some(5),
            Some([3, 0, 27]),
            false,
        )
        .unwrap();
        assert_eq!(read.id(), b"2A");
        assert_eq!(read.other_id(), Some(&b"0042"[..]));
        assert_eq!(read.state, MessageState::Undeliverable);
        assert_eq!(read.err.as_slice(), b"002");
        assert_eq!(read.text.done_date, b"2611240901");
    }

    #[test]
    fn ids_that_differ_by_zeros_or_case_do_not_disagree() {
        let read = read_receipt(EsmClass::RECEIPT, TEXT, Some(b"42"), None, None, false).unwrap();
        assert_eq!(read.other_id(), None);
        assert_eq!(by_text(EsmClass::RECEIPT, TEXT).unwrap().other_id(), None);
    }

    #[test]
    fn a_receipt_of_tlvs_alone_needs_no_text() {
        let read = read_receipt(
            EsmClass(0x44),
            b"",
            Some(b"42\0"),
            Some(2),
            Some([3, 0x01, 0x2c]),
            false,
        )
        .unwrap();
        assert_eq!((read.id(), read.state), (&b"42"[..], MessageState::Delivered));
        assert!(read.is_final);
        assert_eq!(read.err.as_slice(), b"300");
        for (code, err) in [(6, &b"006"[..]), (0, b"000"), (1040, b"1040"), (65_535, b"65535")] {
            let [high, low] = u16::to_be_bytes(code);
            let read = read_receipt(EsmClass::RECEIPT, b"", None, None, Some([8, high, low]), false);
            assert_eq!(read.unwrap().err.as_slice(), err);
        }
    }

    #[test]
    fn a_declared_receipt_without_sense_is_still_a_receipt_with_nothing_to_look_up() {
        for text in [&b""[..], b"Delivered to +44", b"\x00\xff\xfe"] {
            let read = by_text(EsmClass::RECEIPT, text).unwrap();
            assert!(read.id().is_empty());
            assert_eq!(read.state, MessageState::Unknown);
            // Nothing was said, so nothing ends here; the receipt deadline does that.
            assert!(!read.is_final);
        }
        let long = [b'1'; 65];
        let read = read_receipt(EsmClass::RECEIPT, b"", Some(&long), Some(2), None, false).unwrap();
        assert!(read.id().is_empty());
    }

    #[test]
    fn a_state_on_its_way_or_an_intermediate_notification_is_not_final() {
        for (esm_class, stat, is_final) in [
            (EsmClass::RECEIPT, "DELIVRD", true),
            (EsmClass::RECEIPT, "ACCEPTD", true),
            (EsmClass::RECEIPT, "ENROUTE", false),
            (EsmClass::RECEIPT, "BUFFRED", false),
            (EsmClass::RECEIPT, "BUFFERD", false),
            (EsmClass::RECEIPT, "acked", false),
            (EsmClass::RECEIPT, "WHATEVER", true),
            (EsmClass::RECEIPT, "UNKNOWN", true),
            (INTERMEDIATE, "DELIVRD", false),
            (INTERMEDIATE, "ACCEPTD", false),
        ] {
            let text = format!("id:1 stat:{stat}");
            let read = by_text(esm_class, text.as_bytes()).unwrap();
            assert_eq!(read.is_final, is_final, "{esm_class:?} {stat}");
        }
    }

    #[test]
    fn an_unknown_word_ends_nothing_where_only_the_text_says_receipt() {
        for (text, is_final) in [
            (&b"id:1 stat:WHATEVER"[..], false),
            (b"id:1 stat:UNKNOWN", false),
            (b"id:1 stat:EXPIRED", true),
        ] {
            let read = read_receipt(MESSAGE, text, None, None, None, true).unwrap();
            assert_eq!(read.is_final, is_final);
        }
    }

    #[test]
    fn a_reserved_state_in_the_tlv_leaves_the_word_to_the_text() {
        let read = read_receipt(EsmClass::RECEIPT, TEXT, None, Some(77), None, false).unwrap();
        assert_eq!(read.state, MessageState::Delivered);
        let read = read_receipt(EsmClass::RECEIPT, b"", Some(b"1"), Some(77), None, false).unwrap();
        assert_eq!((read.state, read.is_final), (MessageState::Unknown, true));
    }

    #[test]
    fn a_reading_shows_neither_ids_nor_dates_nor_text() {
        let read = read_receipt(EsmClass::RECEIPT, TEXT, Some(b"abc"), None, None, false).unwrap();
        assert_eq!(
            format!("{read:?}"),
            "ReceiptReading[Delivered final=true tlv_id=3 Receipt[id=4 stat=7 err=3 text=5]]"
        );
    }

    proptest! {
        #[test]
        fn a_declared_receipt_is_always_read_and_its_ids_always_fit_a_message_id(
            octets in proptest::collection::vec(any::<u8>(), 0..200),
            tlv in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..100)),
            state in any::<Option<u8>>(),
            code in any::<Option<[u8; 3]>>(),
        ) {
            let read = read_receipt(EsmClass::RECEIPT, &octets, tlv.as_deref(), state, code, false);
            let read = read.unwrap();
            for id in [read.id(), read.text.id, read.tlv_id] {
                prop_assert!(crate::message_id::MessageIdText::new(id).is_ok());
            }
        }
    }
}
