//! The body of a receipt in the dialects that carriers speak (smpp-dlr.md §4–5, interop quirks 5–9 and 13).

use std::io::Write as _;

use clap::ValueEnum;
use tidegate_codec::receipt::ReceiptText;
use tidegate_codec::time::write_receipt_date;
use tidegate_codec::tlv::{self, Tag};
use tidegate_codec::values::MessageState;

use super::id::IdText;

/// How a carrier words its receipts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Dialect {
    /// Appendix B's text and the TLVs.
    #[default]
    Full,
    /// Appendix B's text alone, as before 3.4.
    Text,
    /// The TLVs alone, with network_error_code, and no text.
    Tlvs,
    /// Appendix B's text in message_payload, no other TLV.
    Payload,
    /// Text with id, done date, stat and err only.
    Short,
    /// Text with `Text:`, `submitdate:`, `donedate:`, labels and states in any case, spaces where none belong.
    Loose,
    /// Text with its fields in another order.
    Reordered,
    /// Text with dates of 12 digits, to the second.
    Seconds,
    /// Text with dates of 14 digits.
    LongYear,
    /// Text with a vendor's fields in the middle and an err of five characters.
    Vendor,
    /// A comma-separated list of the carrier's own; id and state are in the TLVs.
    List,
}

impl Dialect {
    /// Whether the receipt can be read from its text alone, as a 3.3 peer must.
    const fn has_state_tlvs(self) -> bool {
        matches!(self, Self::Full | Self::Tlvs | Self::List)
    }

    /// Whether its text is Appendix B's.
    const fn is_appendix_b(self) -> bool {
        matches!(self, Self::Full | Self::Text | Self::Payload)
    }
}

/// What a receipt says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    pub(super) id: IdText,
    pub(super) state: MessageState,
    pub(super) submit_unix_ms: u64,
    pub(super) done_unix_ms: u64,
    pub(super) err: [u8; 3],
    /// The state in the carrier's own word, where it has one.
    pub(super) word: Option<&'static str>,
}

/// Appends the text to `text` and the TLVs to `tlvs`; no TLVs for a peer that must not see any, who gets
/// text whatever the dialect.
pub(super) fn write(dialect: Dialect, facts: &Facts, may_tlvs: bool, text: &mut Vec<u8>, tlvs: &mut Vec<u8>) {
    let dialect = match dialect {
        Dialect::Tlvs | Dialect::Payload | Dialect::List if !may_tlvs => Dialect::Text,
        dialect => dialect,
    };
    write_text(dialect, facts, text);
    if dialect == Dialect::Payload {
        // A receipt is far shorter than a TLV can be.
        let _ = tlv::append(tlvs, Tag::MESSAGE_PAYLOAD, text);
        text.clear();
    }
    if may_tlvs && dialect.has_state_tlvs() {
        let id = facts.id.as_bytes();
        let mut value = [0; super::id::ID_LEN_MAX + 1];
        value[..id.len()].copy_from_slice(id);
        let _ = tlv::append(tlvs, Tag::RECEIPTED_MESSAGE_ID, &value[..=id.len()]);
        let _ = tlv::append(tlvs, Tag::MESSAGE_STATE, &[facts.state.octet()]);
        if dialect == Dialect::Tlvs {
            let [hundreds, tens, ones] = facts.err.map(|digit| digit.wrapping_sub(b'0'));
            let code = u16::from(hundreds) * 100 + u16::from(tens) * 10 + u16::from(ones);
            let [high, low] = code.to_be_bytes();
            let _ = tlv::append(tlvs, Tag::NETWORK_ERROR_CODE, &[3, high, low]);
        }
    }
}

fn write_text(dialect: Dialect, facts: &Facts, out: &mut Vec<u8>) {
    if dialect.is_appendix_b() && facts.word.is_none() {
        let receipt = ReceiptText {
            err: &facts.err,
            ..ReceiptText::new(
                facts.id.as_bytes(),
                facts.state,
                facts.submit_unix_ms,
                facts.done_unix_ms,
            )
        };
        return receipt.write(out);
    }
    let submit = date(facts.submit_unix_ms);
    let done = date(facts.done_unix_ms);
    let stat = facts.word.unwrap_or(facts.state.stat());
    // Writing to memory does not fail.
    let _ = match dialect {
        Dialect::Tlvs => Ok(()),
        Dialect::Full | Dialect::Text | Dialect::Payload => write!(
            out,
            "id:{} sub:001 dlvrd:001 submit date:{} done date:{} stat:{stat} err:{} text:",
            facts.id.as_bytes().escape_ascii(),
            submit[2..12].escape_ascii(),
            done[2..12].escape_ascii(),
            facts.err.escape_ascii()
        ),
        Dialect::Short => write!(
            out,
            "id:{} done date:{} stat:{stat} err:{}",
            facts.id.as_bytes().escape_ascii(),
            done[2..12].escape_ascii(),
            facts.err.escape_ascii()
        ),
        Dialect::Loose => write!(
            out,
            "ID:{}  Sub:1 dlvrd:1 submitdate:{} DoneDate:{} Stat:{} err:{} Text:none",
            facts.id.as_bytes().escape_ascii(),
            submit[2..12].escape_ascii(),
            done[2..12].escape_ascii(),
            stat.to_lowercase(),
            facts.err.escape_ascii()
        ),
        Dialect::Reordered => write!(
            out,
            "stat:{stat} err:{} id:{} done date:{} submit date:{} dlvrd:001 sub:001 text:",
            facts.err.escape_ascii(),
            facts.id.as_bytes().escape_ascii(),
            done[2..12].escape_ascii(),
            submit[2..12].escape_ascii()
        ),
        Dialect::Seconds | Dialect::LongYear => {
            let from = if dialect == Dialect::Seconds { 2 } else { 0 };
            write!(
                out,
                "id:{} sub:001 dlvrd:001 submit date:{} done date:{} stat:{stat} err:{} text:",
                facts.id.as_bytes().escape_ascii(),
                submit[from..].escape_ascii(),
                done[from..].escape_ascii(),
                facts.err.escape_ascii()
            )
        }
        Dialect::Vendor => write!(
            out,
            "id:{} sub:001 dlvrd:001 submit date:{} done date:{} mccmnc:23415 price:0.0042 stat:{stat} err:00{} text:",
            facts.id.as_bytes().escape_ascii(),
            submit[2..12].escape_ascii(),
            done[2..12].escape_ascii(),
            facts.err.escape_ascii()
        ),
        Dialect::List => write!(
            out,
            "{},{},{},{stat}",
            facts.id.as_bytes().escape_ascii(),
            submit.escape_ascii(),
            done.escape_ascii()
        ),
    };
}

/// `YYYYMMDDhhmmss` in UTC.
fn date(unix_ms: u64) -> [u8; 14] {
    let mut out = *b"20000000000000";
    out[2..12].copy_from_slice(&write_receipt_date(unix_ms));
    let seconds = u8::try_from(unix_ms / 1000 % 60).unwrap_or(0);
    out[12] = b'0' + seconds / 10;
    out[13] = b'0' + seconds % 10;
    out
}

#[cfg(test)]
mod tests {
    use tidegate_codec::receipt::read_receipt;
    use tidegate_codec::tlv::{NetworkErrorCode, Tlvs};
    use tidegate_codec::values::EsmClass;

    use super::super::id::IdForm;
    use super::*;

    /// 2026-11-24T12:00:30Z.
    const NOW: u64 = 1_795_521_630_000;

    /// Every dialect must say the same; the reader is the codec's, which public vectors hold to account.
    #[test]
    fn every_dialect_tells_id_and_state() {
        for dialect in Dialect::value_variants() {
            for may_tlvs in [true, false] {
                let facts = Facts {
                    id: IdText::new(4711, IdForm::Decimal),
                    state: MessageState::Undeliverable,
                    submit_unix_ms: NOW - 60_000,
                    done_unix_ms: NOW,
                    err: *b"027",
                    word: None,
                };
                let (mut text, mut tlvs) = (Vec::new(), Vec::new());
                write(*dialect, &facts, may_tlvs, &mut text, &mut tlvs);
                assert!(may_tlvs || tlvs.is_empty(), "{dialect:?}: a 3.3 peer sees no TLV");
                let tlvs = Tlvs::new(&tlvs);
                assert_eq!(tlvs.strict(), Ok(()), "{dialect:?}");
                let shown = tlvs
                    .message_payload()
                    .map_or(text.as_slice(), |payload| payload.0);
                let read = read_receipt(
                    EsmClass::RECEIPT,
                    shown,
                    tlvs.get(Tag::RECEIPTED_MESSAGE_ID),
                    tlvs.octet(Tag::MESSAGE_STATE),
                    tlvs.network_error_code().unwrap().map(NetworkErrorCode::octets),
                    false,
                )
                .unwrap();
                assert_eq!(read.id(), b"4711", "{dialect:?}");
                assert_eq!(read.state, MessageState::Undeliverable, "{dialect:?}");
                if *dialect != Dialect::List || !may_tlvs {
                    assert!(read.err.ends_with(b"27"), "{dialect:?}");
                }
                if !matches!(dialect, Dialect::Tlvs | Dialect::List) {
                    let done = read.text.done_unix_ms(NOW, 0).unwrap();
                    assert_eq!(done / 60_000, NOW / 60_000, "{dialect:?}");
                }
            }
        }
    }

    #[test]
    fn dates_have_as_many_digits_as_the_dialect_says() {
        assert_eq!(&date(NOW), b"20261124120030");
    }
}
