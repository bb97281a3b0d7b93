//! The text form of a receipt (SMPP 3.4 Appendix B) and its dialects.

use std::fmt;

use crate::message_id::MESSAGE_ID_MAX;
use crate::time::read_receipt_date;
use crate::values::MessageState;

/// A receipt's text taken apart. Every field borrows from the text and is empty where the text has none.
///
/// `Debug` shows lengths only.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Receipt<'a> {
    /// The carrier's message id, at most 64 octets.
    pub id: &'a [u8],
    /// Short messages submitted, as written.
    pub sub: &'a [u8],
    /// Short messages delivered, as written.
    pub dlvrd: &'a [u8],
    /// When the message was submitted, as written; see [`Receipt::submit_unix_ms`].
    pub submit_date: &'a [u8],
    /// When it reached its state, as written; see [`Receipt::done_unix_ms`].
    pub done_date: &'a [u8],
    /// The word for the state, as written; see [`Receipt::state`].
    pub stat: &'a [u8],
    /// The carrier's own error code; means something in that carrier's table only.
    pub err: &'a [u8],
    /// The beginning of the message, in any octets.
    pub text: &'a [u8],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Label {
    Id,
    Sub,
    Dlvrd,
    SubmitDate,
    DoneDate,
    Stat,
    Err,
    Text,
}

const LABELS: usize = 8;

/// How far before a colon a label may begin: `submit date` with a few blanks more. The bound keeps the
/// reading linear in the length of the text, whatever the text.
const LABEL_REACH: usize = 16;

impl<'a> Receipt<'a> {
    /// Reads a text that nothing but itself declares a receipt: it needs an id and a state.
    pub fn parse_text(text: &'a [u8]) -> Option<Self> {
        let receipt = Self::scan(text);
        (!receipt.id.is_empty() && !receipt.stat.is_empty()).then_some(receipt)
    }

    /// Takes out what is there: labels in any order and any case, the two words of a date with or without
    /// a blank between, other things around and between them.
    ///
    /// A label counts the first time only, so that a `stat:` inside the quoted text changes nothing. The
    /// quoted text runs to the end or to a label not seen before: some carriers write `text:` in the
    /// middle. Other values end at the next label or blank, or at a comma or semicolon where those separate
    /// the fields: an id is any text without blanks and may hold one itself.
    pub(super) fn scan(text: &'a [u8]) -> Self {
        Self::usual(text).unwrap_or_else(|| Self::search(text))
    }

    /// Reads what most carriers send, Appendix B to the letter, in one pass: a twelfth of what looking for labels takes. `None`
    /// for all else, also for what merely might be read otherwise by whoever looks for them.
    fn usual(text: &'a [u8]) -> Option<Self> {
        let rest = text.strip_prefix(b"id:")?;
        let (id, rest) = plain_value(rest, b"sub:")?;
        let (sub, rest) = plain_value(rest, b"dlvrd:")?;
        let (dlvrd, rest) = plain_value(rest, b"submit date:")?;
        let (submit_date, rest) = plain_value(rest, b"done date:")?;
        let (done_date, rest) = plain_value(rest, b"stat:")?;
        let (stat, rest) = plain_value(rest, b"err:")?;
        let (err, rest) = match plain_value(rest, b"text:") {
            Some(read) => read,
            None => plain_value(rest, b"Text:")?,
        };
        Some(Self {
            id: if id.len() < MESSAGE_ID_MAX { id } else { &[] },
            sub,
            dlvrd,
            submit_date,
            done_date,
            stat,
            err,
            text: trim_end(rest),
        })
    }

    fn search(text: &'a [u8]) -> Self {
        let mut values: [Option<&[u8]>; LABELS] = [None; LABELS];
        // The label whose value is being passed, and where that value begins.
        let mut open: Option<(Label, usize)> = None;
        let mut commas = false;
        for colon in memchr::memchr_iter(b':', text) {
            let Some((label, start)) = label_before(text, colon) else {
                continue;
            };
            let seen = values[label as usize].is_some() || open.is_some_and(|(open, _)| open == label);
            let in_quoted_text = matches!(open, Some((Label::Text, _)));
            if seen && in_quoted_text {
                continue;
            }
            if let Some((open, begin)) = open {
                // Labels do not overlap: each ends at its own colon.
                let value = text.get(begin..start);
                values[open as usize] = value;
                commas |= !in_quoted_text && value.is_some_and(ends_with_separator);
            }
            open = (!seen).then_some((label, colon + 1));
        }
        if let Some((open, begin)) = open {
            values[open as usize] = text.get(begin..);
        }

        let token = |label: Label| values[label as usize].map_or(&[][..], |value| first_token(value, commas));
        let id = token(Label::Id);
        Self {
            // An id that no message_id field could hold is none.
            id: if id.len() < MESSAGE_ID_MAX { id } else { &[] },
            sub: token(Label::Sub),
            dlvrd: token(Label::Dlvrd),
            submit_date: token(Label::SubmitDate),
            done_date: token(Label::DoneDate),
            stat: token(Label::Stat),
            err: token(Label::Err),
            text: values[Label::Text as usize].map_or(&[], trim_end),
        }
    }

    /// What the word for the state means, if it means anything.
    pub fn state(&self) -> Option<MessageState> {
        state_of_word(self.stat)
    }

    /// The submit date, for a carrier whose dates are `zone_minutes` ahead of UTC.
    pub fn submit_unix_ms(&self, now_unix_ms: u64, zone_minutes: i16) -> Option<u64> {
        read_receipt_date(self.submit_date, now_unix_ms, zone_minutes)
    }

    /// The done date, for a carrier whose dates are `zone_minutes` ahead of UTC.
    pub fn done_unix_ms(&self, now_unix_ms: u64, zone_minutes: i16) -> Option<u64> {
        read_receipt_date(self.done_date, now_unix_ms, zone_minutes)
    }
}

impl fmt::Debug for Receipt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Receipt[id={} stat={} err={} text={}]",
            self.id.len(),
            self.stat.len(),
            self.err.len(),
            self.text.len()
        )
    }
}

/// The state that a `stat:` word means, in any case: the seven of Appendix B, those of 5.0, their full
/// spellings, words of single vendors, and the number of the state. `None` for any other word.
pub fn state_of_word(word: &[u8]) -> Option<MessageState> {
    use MessageState as S;
    const WORDS: [(&str, MessageState); 26] = [
        ("DELIVRD", S::Delivered),
        ("DELIVERED", S::Delivered),
        ("UNDELIV", S::Undeliverable),
        ("UNDELIVERED", S::Undeliverable),
        ("UNDELIVERABLE", S::Undeliverable),
        ("EXPIRED", S::Expired),
        ("REJECTD", S::Rejected),
        ("REJECTED", S::Rejected),
        ("ACCEPTD", S::Accepted),
        ("ACCEPTED", S::Accepted),
        ("ENROUTE", S::Enroute),
        ("UNKNOWN", S::Unknown),
        ("DELETED", S::Deleted),
        ("SCHEDULED", S::Scheduled),
        ("SKIPPED", S::Skipped),
        // Vendors' words (interop quirk 7). These four say that the message is still on its way.
        ("BUFFRED", S::Enroute),
        ("BUFFERD", S::Enroute),
        ("BUFFERED", S::Enroute),
        ("ACKED", S::Enroute),
        // The network or the handset did not take it.
        ("FAILED", S::Undeliverable),
        ("UNDELIVRD", S::Undeliverable),
        ("SYSERR", S::Undeliverable),
        // The carrier did not want it: no credit left, subscriber on a do-not-disturb list.
        ("NOCRED", S::Rejected),
        ("NOCREDIT", S::Rejected),
        ("DND_REJECTED", S::Rejected),
        ("DND_REJECTD", S::Rejected),
    ];
    if let Some((_, state)) = WORDS
        .iter()
        .find(|(known, _)| word.eq_ignore_ascii_case(known.as_bytes()))
    {
        return Some(*state);
    }
    match word {
        [b'0', b'0', digit] | [b'0', digit] | [digit] if digit.is_ascii_digit() => {
            S::from_octet(digit - b'0')
        }
        _ => None,
    }
}

/// The label that ends at this colon, and where it begins.
fn label_before(text: &[u8], colon: usize) -> Option<(Label, usize)> {
    let reach = colon.saturating_sub(LABEL_REACH);
    let head = text.get(reach..colon)?.trim_ascii_end();
    let (label, rest) = label_at_end(head)?;
    let start = reach + rest.len();
    // `valid:` is not `id:`. Junk glued to the front with another character is fine (`4193180#id:`).
    let glued = start
        .checked_sub(1)
        .and_then(|before| text.get(before))
        .is_some_and(|octet| octet.is_ascii_alphanumeric() || *octet == b'_');
    (!glued).then_some((label, start))
}

/// The label that some octets end with, and what is in front of it. The last letter says which words it may be: a receipt
/// has eight labels, and to try all words for each would be half of what it takes to read one.
fn label_at_end(head: &[u8]) -> Option<(Label, &[u8])> {
    let word = |word: &[u8], label| Some((label, without_suffix(head, word)?));
    match head.last()?.to_ascii_lowercase() {
        b'd' => word(b"id", Label::Id).or_else(|| word(b"dlvrd", Label::Dlvrd)),
        b'b' => word(b"sub", Label::Sub),
        b't' => word(b"stat", Label::Stat).or_else(|| word(b"text", Label::Text)),
        b'r' => word(b"err", Label::Err),
        b'e' => {
            let mut head = without_suffix(head, b"date")?;
            while let Some((_, rest)) = head
                .split_last()
                .filter(|(octet, _)| octet.is_ascii_whitespace() || **octet == b'_')
            {
                head = rest;
            }
            let date = |word: &[u8], label| Some((label, without_suffix(head, word)?));
            date(b"submit", Label::SubmitDate).or_else(|| date(b"done", Label::DoneDate))
        }
        _ => None,
    }
}

#[inline]
fn without_suffix<'a>(octets: &'a [u8], suffix: &[u8]) -> Option<&'a [u8]> {
    let (head, tail) = octets.split_at_checked(octets.len().checked_sub(suffix.len())?)?;
    tail.eq_ignore_ascii_case(suffix).then_some(head)
}

/// A value of at least one octet, none of which might be read as anything else, up to the one blank before a label; and what is
/// behind that label.
#[inline]
fn plain_value<'a>(text: &'a [u8], label: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let end = text.iter().position(|octet| !IS_PLAIN[usize::from(*octet)])?;
    let (value, rest) = text.split_at_checked(end)?;
    let rest = rest.strip_prefix(b" ")?.strip_prefix(label)?;
    (!value.is_empty()).then_some((value, rest))
}

/// Letters and digits of ASCII: no blank, no separator, no colon.
const IS_PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut octet = 0;
    while octet < 128_u8 {
        plain[octet as usize] = octet.is_ascii_alphanumeric() || octet == b'-';
        octet += 1;
    }
    plain
};

const fn is_separator(octet: u8) -> bool {
    matches!(octet, b',' | b';')
}

fn ends_with_separator(value: &[u8]) -> bool {
    value
        .trim_ascii_end()
        .last()
        .is_some_and(|&octet| is_separator(octet))
}

/// The value up to a blank or NUL. Up to a separator too, if those stand between the fields of this text or a
/// vendor's field with a colon of its own follows; at the end of a value a separator is never part of it.
fn first_token(value: &[u8], commas: bool) -> &[u8] {
    let value = value.trim_ascii_start();
    let blank = |octet: &u8| octet.is_ascii_whitespace() || *octet == 0;
    // Nearly always nothing but a blank ends it, and then one look is enough.
    let end = value
        .iter()
        .position(|octet| blank(octet) || is_separator(*octet));
    match end {
        None => return value,
        Some(end) if blank(&value[end]) => return &value[..end],
        Some(_) => {}
    }
    let mut token = &value[..value.iter().position(blank).unwrap_or(value.len())];
    if let Some(at) = token.iter().position(|&octet| is_separator(octet))
        && (commas || token[at..].contains(&b':'))
    {
        token = &token[..at];
    }
    while let Some((_, rest)) = token.split_last().filter(|(octet, _)| is_separator(**octet)) {
        token = rest;
    }
    token
}

/// Without the NUL or blanks that some carriers close the text with. Blanks in front are the message's.
fn trim_end(value: &[u8]) -> &[u8] {
    let end = value
        .iter()
        .rposition(|octet| !octet.is_ascii_whitespace() && *octet != 0)
        .map_or(0, |last| last + 1);
    &value[..end]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 2026-11-24T12:00:00Z.
    const NOW: u64 = 1_795_521_600_000;

    #[test]
    fn labels_come_in_any_case_with_blanks_or_underlines() {
        let receipt = Receipt::parse_text(
            b"ID: 7  Sub :001  DLVRD:000 Submit_Date:2611240900 DONE   date:2611240901 Stat: undeliv ERR:0A1",
        )
        .unwrap();
        assert_eq!(receipt.id, b"7");
        assert_eq!(receipt.sub, b"001");
        assert_eq!(receipt.submit_date, b"2611240900");
        assert_eq!(receipt.done_date, b"2611240901");
        assert_eq!(receipt.state(), Some(MessageState::Undeliverable));
        assert_eq!(receipt.err, b"0A1");
    }

    #[test]
    fn a_stat_quoted_from_the_message_overrides_nothing() {
        let receipt = Receipt::parse_text(b"id:1 stat:DELIVRD err:000 text:your stat:REJECTD id:2").unwrap();
        assert_eq!((receipt.id, receipt.stat), (&b"1"[..], &b"DELIVRD"[..]));
        // And the quotation stays whole.
        assert_eq!(receipt.text, b"your stat:REJECTD id:2");
    }

    #[test]
    fn a_repeated_label_outside_the_text_ends_the_value_before_it_and_is_dropped() {
        let receipt = Receipt::parse_text(b"id:1 id:2 stat:EXPIRED stat:DELIVRD err:1").unwrap();
        assert_eq!(receipt.id, b"1");
        assert_eq!(receipt.stat, b"EXPIRED");
        assert_eq!(receipt.err, b"1");
    }

    #[test]
    fn words_that_merely_end_like_a_label_are_none() {
        assert_eq!(Receipt::parse_text(b"valid:1 thermostat:off"), None);
        assert_eq!(Receipt::parse_text(b"message_id:1 stat:DELIVRD"), None);
        let receipt = Receipt::parse_text(b"msg#id:1 update:7 stat:DELIVRD").unwrap();
        assert_eq!(receipt.submit_date, b"");
    }

    #[test]
    fn vendors_fields_between_and_commas_instead_of_blanks_do_no_harm() {
        let receipt = Receipt::parse_text(b"id:1 mcc:262 mnc:02 stat:DELIVRD price:3 err:000 x:y").unwrap();
        assert_eq!(
            (receipt.id, receipt.stat, receipt.err),
            (&b"1"[..], &b"DELIVRD"[..], &b"000"[..])
        );
        let receipt = Receipt::parse_text(b"id:1,sub:001,dlvrd:001,stat:DELIVRD,err:000,text:a,b").unwrap();
        assert_eq!(
            (receipt.id, receipt.stat, receipt.err),
            (&b"1"[..], &b"DELIVRD"[..], &b"000"[..])
        );
        assert_eq!(receipt.text, b"a,b");
    }

    #[test]
    fn the_quoted_text_may_be_binary_and_loses_only_its_trailing_filler() {
        let receipt = Receipt::parse_text(b"id:1 stat:DELIVRD text: \x00\xff\x01 a \0\0").unwrap();
        assert_eq!(receipt.text, b" \x00\xff\x01 a");
    }

    #[test]
    fn an_id_or_state_without_value_makes_no_receipt() {
        assert_eq!(Receipt::parse_text(b"id: stat:DELIVRD"), None);
        assert_eq!(Receipt::parse_text(b"id:1 stat: err:000"), None);
        let long = [b"id:", &[b'1'; 65][..], b" stat:DELIVRD"].concat();
        assert_eq!(Receipt::parse_text(&long), None);
    }

    #[test]
    fn words_and_numbers_for_states_are_known_and_others_are_not() {
        for state in MessageState::ALL {
            assert_eq!(state_of_word(state.stat().as_bytes()), Some(state));
            assert_eq!(state_of_word(state.stat().to_lowercase().as_bytes()), Some(state));
            assert_eq!(state_of_word(state.octet().to_string().as_bytes()), Some(state));
        }
        for (word, state) in [
            ("FAILED", MessageState::Undeliverable),
            ("SYSERR", MessageState::Undeliverable),
            ("NOCRED", MessageState::Rejected),
            ("DND_REJECTED", MessageState::Rejected),
            ("BUFFRED", MessageState::Enroute),
            ("BUFFERD", MessageState::Enroute),
            ("ACKED", MessageState::Enroute),
            ("002", MessageState::Delivered),
        ] {
            assert_eq!(state_of_word(word.as_bytes()), Some(state), "{word}");
        }
        for word in ["", "BADSTAT", "DELIVR", "DELIVRDX", "10", "012", "0000", "-1"] {
            assert_eq!(state_of_word(word.as_bytes()), None, "{word}");
        }
    }

    #[test]
    fn a_large_hostile_text_is_read_in_one_pass() {
        // Without a bound on any look back or ahead these are billions of steps, and the test seems to hang.
        for pattern in [
            &b":"[..],
            b" :",
            b"id:",
            b"text:",
            b"date:",
            b"submit date:",
            b"a date :",
        ] {
            let text: Vec<u8> = pattern.iter().copied().cycle().take(65_535).collect();
            Receipt::scan(&text);
        }
        let blanks = [b"id:1 stat:DELIVRD text:", &[b' '; 65_000][..], b"x"].concat();
        assert_eq!(Receipt::parse_text(&blanks).unwrap().text.len(), 65_001);
    }

    #[test]
    fn a_receipt_shows_lengths_only() {
        let receipt = Receipt::parse_text(b"id:secret stat:DELIVRD text:hello").unwrap();
        assert_eq!(format!("{receipt:?}"), "Receipt[id=6 stat=7 err=0 text=5]");
    }

    /// Texts made of what the parser looks for, more telling than plain noise.
    fn hostile() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..4),
            proptest::sample::select(vec![
                "id", "sub", "dlvrd", "submit", "done", "date", "stat", "err", "text", ":", " ", "_", ",",
                "\0", "DELIVRD", "42",
            ])
            .prop_map(|piece| piece.as_bytes().to_vec()),
        ];
        proptest::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
    }

    /// Receipts as Appendix B has them, nearly.
    fn nearly_usual() -> impl Strategy<Value = Vec<u8>> {
        let labels = [
            "id:",
            " sub:",
            " dlvrd:",
            " submit date:",
            " done date:",
            " stat:",
            " err:",
            " text:",
        ];
        let word = proptest::sample::select(vec![
            "", "001", "DELIVRD", "a,b", "stat", "done", "x:y", "7 ", "0-1", "id:2", "é", "text",
        ]);
        proptest::collection::vec(word, labels.len()).prop_map(move |values| {
            let fields = labels.iter().zip(values);
            fields
                .flat_map(|(label, value)| [label.as_bytes(), value.as_bytes()].concat())
                .collect()
        })
    }

    #[test]
    fn the_usual_receipt_is_read_in_one_pass() {
        let text = b"id:c-1 sub:001 dlvrd:001 submit date:2611240900 done date:2611240901 stat:DELIVRD err:000 text:hi id:2 ";
        let receipt = Receipt::usual(text).unwrap();
        assert_eq!(
            (receipt.id, receipt.stat, receipt.text),
            (&b"c-1"[..], &b"DELIVRD"[..], &b"hi id:2"[..])
        );
        assert_eq!(receipt, Receipt::search(text));
    }

    proptest! {
        #[test]
        fn the_short_way_says_what_the_long_one_says(text in prop_oneof![nearly_usual(), hostile()]) {
            if let Some(receipt) = Receipt::usual(&text) {
                prop_assert_eq!(receipt, Receipt::search(&text));
            }
        }

        #[test]
        fn no_text_upsets_the_parser_and_fields_stay_in_order(text in hostile()) {
            let receipt = Receipt::scan(&text);
            for value in [receipt.id, receipt.sub, receipt.dlvrd, receipt.stat, receipt.err] {
                prop_assert!(!value.iter().any(|octet| *octet == 0 || octet.is_ascii_whitespace()));
            }
            receipt.submit_unix_ms(NOW, 0);
            receipt.done_unix_ms(NOW, 0);
        }

        #[test]
        fn a_label_is_found_without_looking_further_back_than_its_reach(text in hostile()) {
            for colon in memchr::memchr_iter(b':', &text) {
                let near = colon.saturating_sub(LABEL_REACH + 1);
                let far = label_before(&text, colon).map(|(label, start)| (label as usize, start));
                let short = label_before(&text[near..], colon - near)
                    .map(|(label, start)| (label as usize, start + near));
                prop_assert_eq!(far, short);
            }
        }
    }
}
