//! What the receipts of a message are to quote of it (`receipt_text`).

use tidegate_codec::octets::Body;
use tidegate_codec::values::{DataCoding, EsmClass};
use tidegate_store::quote::Quote;

/// What stands for an octet that no receipt's text can hold.
const UNWRITABLE: u8 = b'?';

/// The first twenty characters of a text whose characters are octets: the default alphabet, ASCII, Latin-1, and GSM's
/// with a message class (sms-text.md §1). They are written as they came but for control octets. Of binary data, of UCS-2
/// and of all that is not known nothing is quoted, and of a user data header neither.
pub(super) fn quote(text: Body<'_>, data_coding: DataCoding, esm_class: EsmClass) -> Quote {
    if !matches!(data_coding.0, 0x00 | 0x01 | 0x03 | 0x10..=0x13 | 0xF0..=0xF3) {
        return Quote::NONE;
    }
    let text = match text.0.split_first() {
        Some((len, behind)) if esm_class.has_udh() => behind.get(usize::from(*len)..).unwrap_or_default(),
        _ => text.0,
    };
    Quote::of(text.iter().map(|octet| match octet {
        b' '..=b'~' | 0xA0..=0xFF => *octet,
        _ => UNWRITABLE,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quoted(text: &[u8], data_coding: u8, esm_class: u8) -> Vec<u8> {
        let quote = quote(Body(text), DataCoding(data_coding), EsmClass(esm_class));
        quote.as_bytes().to_vec()
    }

    #[test]
    fn what_is_text_in_octets_is_quoted_and_nothing_else() {
        for coding in [0x00, 0x01, 0x03, 0x10, 0xF0] {
            assert_eq!(
                quoted(b"Your code is 123456, do not", coding, 0),
                b"Your code is 123456,"
            );
        }
        for coding in [0x02, 0x04, 0x05, 0x08, 0x14, 0x18, 0xE0, 0xF4, 0xF5] {
            assert_eq!(quoted(b"Hello", coding, 0), b"", "{coding:#x}");
        }
        assert_eq!(quoted(b"", 0, 0), b"");
    }

    #[test]
    fn controls_are_never_quoted_and_latin_letters_are() {
        assert_eq!(
            quoted(b"a\0b\nc\x1bd\x7fe\x80f\x9fg\xa0\xe9", 3, 0),
            b"a?b?c?d?e?f?g\xa0\xe9"
        );
    }

    #[test]
    fn a_user_data_header_is_passed_over() {
        assert_eq!(quoted(b"\x05\x00\x03\x07\x02\x01part one", 0, 0x40), b"part one");
        for cut in [&b"\x05\x00\x03"[..], b"\x05\x00\x03\x07\x02\x01", b"\x00", b""] {
            assert_eq!(quoted(cut, 0, 0x40), b"");
        }
    }
}
