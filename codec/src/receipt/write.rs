//! Writing the text form of a receipt, strictly as SMPP 3.4 Appendix B has it.

use std::fmt;

use crate::time::write_receipt_date;
use crate::values::MessageState;

/// Characters of the original message that a receipt may quote (3.4 Appendix B).
const TEXT_MAX: usize = 20;
/// The grain of a receipt's dates.
const MINUTE_MS: u64 = 60_000;

/// A receipt to be written for an ESME. `Debug` shows the state and lengths only.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ReceiptText<'a> {
    /// The message id, exactly as the submit response gave it; graphic ASCII.
    pub id: &'a [u8],
    /// Short messages submitted, up to 999.
    pub sub: u16,
    /// Short messages delivered, up to 999.
    pub dlvrd: u16,
    /// When the ESME submitted the message.
    pub submit_unix_ms: u64,
    /// When the message reached its state.
    pub done_unix_ms: u64,
    /// The state.
    pub state: MessageState,
    /// The error code; written as three letters or digits.
    pub err: &'a [u8],
    /// The beginning of the message. Quoted only if it is at most 20 octets of printable ASCII or of the letters that
    /// Latin-1 has beyond it: cutting is up to the caller, who knows the alphabet.
    pub text: &'a [u8],
}

impl<'a> ReceiptText<'a> {
    /// A receipt for one short message, counted as delivered if the state says so; no error, no text.
    pub const fn new(id: &'a [u8], state: MessageState, submit_unix_ms: u64, done_unix_ms: u64) -> Self {
        Self {
            id,
            sub: 1,
            dlvrd: matches!(state, MessageState::Delivered) as u16,
            submit_unix_ms,
            done_unix_ms,
            state,
            err: b"000",
            text: b"",
        }
    }

    /// Appends the text: every field, in Appendix B's order, dates in UTC. Some ESMEs cannot read a receipt
    /// that leaves fields out.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"id:");
        out.extend_from_slice(self.id);
        out.extend_from_slice(b" sub:");
        out.extend_from_slice(&three(self.sub));
        out.extend_from_slice(b" dlvrd:");
        out.extend_from_slice(&three(self.dlvrd));
        let submit = write_receipt_date(self.submit_unix_ms);
        // Most messages are delivered within the minute, and calendars are the dear part of a receipt.
        let done = if self.submit_unix_ms / MINUTE_MS == self.done_unix_ms / MINUTE_MS {
            submit
        } else {
            write_receipt_date(self.done_unix_ms)
        };
        out.extend_from_slice(b" submit date:");
        out.extend_from_slice(&submit);
        out.extend_from_slice(b" done date:");
        out.extend_from_slice(&done);
        out.extend_from_slice(b" stat:");
        out.extend_from_slice(self.state.stat().as_bytes());
        out.extend_from_slice(b" err:");
        out.extend_from_slice(&err(self.err));
        out.extend_from_slice(b" text:");
        if self.text.len() <= TEXT_MAX
            && self
                .text
                .iter()
                .all(|octet| matches!(octet, b' '..=b'~' | 0xA0..=0xFF))
        {
            out.extend_from_slice(self.text);
        }
    }
}

impl fmt::Debug for ReceiptText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "ReceiptText[{:?} id={} text={}]",
            self.state,
            self.id.len(),
            self.text.len()
        )
    }
}

/// A count as three digits.
fn three(count: u16) -> [u8; 3] {
    let count = count.min(999);
    [count / 100, count / 10 % 10, count % 10].map(|digit| b'0' + u8::try_from(digit).unwrap_or(0))
}

/// An error code as three letters or digits: zeros in front of a shorter one; of a longer one, leading
/// zeros go first and then its end. `000`, no error, for what is neither letters nor digits.
fn err(code: &[u8]) -> [u8; 3] {
    let mut out = [b'0'; 3];
    if code.iter().all(u8::is_ascii_alphanumeric) {
        let mut code = code;
        while let [b'0', rest @ ..] = code
            && code.len() > out.len()
        {
            code = rest;
        }
        let code = &code[..code.len().min(out.len())];
        out[3 - code.len()..].copy_from_slice(code);
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Receipt;
    use super::*;

    /// 2026-11-24T12:00:30Z.
    const NOW: u64 = 1_795_521_630_000;

    fn written(receipt: ReceiptText<'_>) -> String {
        let mut out = Vec::new();
        receipt.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_receipt_has_every_field_of_appendix_b_in_its_order() {
        let receipt = ReceiptText {
            text: b"Your code is 1",
            ..ReceiptText::new(b"0042", MessageState::Delivered, NOW, NOW + MINUTE_MS)
        };
        assert_eq!(
            written(receipt),
            "id:0042 sub:001 dlvrd:001 submit date:2611241200 done date:2611241201 \
             stat:DELIVRD err:000 text:Your code is 1"
        );
    }

    #[test]
    fn only_delivered_counts_as_delivered() {
        for state in MessageState::ALL {
            let text = written(ReceiptText::new(b"1", state, NOW, NOW));
            let delivered = state == MessageState::Delivered;
            assert_eq!(text.contains("dlvrd:001"), delivered, "{text}");
            assert_eq!(text.contains("dlvrd:000"), !delivered, "{text}");
        }
    }

    #[test]
    fn an_err_has_three_characters_whatever_the_carrier_gave() {
        for (code, expect) in [
            (&b""[..], b"000"),
            (b"5", b"005"),
            (b"21b", b"21b"),
            (b"0027", b"027"),
            (b"00000", b"000"),
            (b"1234", b"123"),
            (b"a b", b"000"),
            (b"\xff", b"000"),
        ] {
            assert_eq!(&err(code), expect, "{}", code.escape_ascii());
        }
    }

    #[test]
    fn a_text_that_is_long_or_not_plain_is_left_out() {
        for text in [
            &b"123456789012345678901"[..],
            b"caf\x82",
            b"a\nb",
            b"a\0",
            b"\x7f",
        ] {
            let receipt = ReceiptText {
                text,
                ..ReceiptText::new(b"1", MessageState::Expired, NOW, NOW)
            };
            assert!(written(receipt).ends_with(" err:000 text:"));
        }
        let full = ReceiptText {
            text: b"12345678901234567890",
            ..ReceiptText::new(b"1", MessageState::Expired, NOW, NOW)
        };
        assert!(written(full).ends_with("text:12345678901234567890"));
        let latin = ReceiptText {
            text: b"caf\xe9",
            ..ReceiptText::new(b"1", MessageState::Expired, NOW, NOW)
        };
        let mut out = Vec::new();
        latin.write(&mut out);
        assert!(out.ends_with(b"text:caf\xe9"));
    }

    #[test]
    fn counts_beyond_three_digits_stop_there() {
        let receipt = ReceiptText {
            sub: 1000,
            dlvrd: 12,
            ..ReceiptText::new(b"1", MessageState::Expired, NOW, NOW)
        };
        assert!(written(receipt).contains(" sub:999 dlvrd:012 "));
    }

    #[test]
    fn a_receipt_to_be_written_shows_neither_id_nor_text() {
        let receipt = ReceiptText::new(b"0042", MessageState::Delivered, NOW, NOW);
        assert_eq!(format!("{receipt:?}"), "ReceiptText[Delivered id=4 text=0]");
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(
            id in "[A-Za-z0-9._-]{1,64}",
            state in proptest::sample::select(MessageState::ALL.to_vec()),
            age in 0..400 * 24 * 60 * MINUTE_MS,
            code in "[A-Za-z0-9]{3}",
            // A quotation that tries to be a receipt itself.
            text in "[ -~]{0,20}|stat:[A-Z]{7} id:[0-9]{3}|text:text:err:9",
        ) {
            let receipt = ReceiptText {
                err: code.as_bytes(),
                text: text.as_bytes(),
                ..ReceiptText::new(id.as_bytes(), state, NOW - age, NOW)
            };
            let mut out = Vec::new();
            receipt.write(&mut out);
            let read = Receipt::parse_text(&out).unwrap();
            prop_assert_eq!(read.id, id.as_bytes());
            prop_assert_eq!(read.sub, b"001");
            prop_assert_eq!(read.state(), Some(state));
            prop_assert_eq!(read.err, code.as_bytes());
            prop_assert_eq!(read.text, text.trim_end().as_bytes());
            let submitted = NOW - age;
            prop_assert_eq!(read.submit_unix_ms(NOW, 0), Some(submitted - submitted % MINUTE_MS));
            prop_assert_eq!(read.done_unix_ms(NOW, 0), Some(NOW - NOW % MINUTE_MS));
        }
    }
}
