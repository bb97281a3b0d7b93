//! UCS-2 text, read and written as UTF-16 (sms-text.md §7): big endian, characters above U+FFFF as surrogate
//! pairs.
//!
//! ```
//! use tidegate_codec::text::ucs2::{self, ByteOrder};
//!
//! let mut octets = Vec::new();
//! ucs2::encode("ж😀", &mut octets);
//! assert_eq!(octets, [0x04, 0x36, 0xd8, 0x3d, 0xde, 0x00]);
//! assert_eq!(ucs2::units("ж😀"), 3);
//! let mut text = String::new();
//! assert_eq!(ucs2::decode(&octets, ByteOrder::Big, &mut text), 0);
//! assert_eq!(text, "ж😀");
//! // Half a pair, and an octet too many: both are replaced, and counted.
//! assert_eq!(ucs2::decode(&octets[..5], ByteOrder::Big, &mut text), 2);
//! ```
//!
//! **Errors.** None: UTF-16 writes every text, and reading replaces and counts.

/// In which order the octets of a unit come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum ByteOrder {
    /// Big endian, as the standard has it.
    #[default]
    Big,
    /// Little endian when the text begins with FF FE, else big endian. A setting of the peer: to everybody
    /// else FF FE is a character.
    ByMark,
}

/// The byte order mark, when it stands first.
const MARK: char = '\u{feff}';

/// UTF-16 units of a text: 1 a character, 2 above U+FFFF.
pub fn units(text: &str) -> usize {
    let mut units = 0;
    // 124 counts of at most 2 fit an octet, so that the compiler counts sixteen octets at a time.
    for block in text.as_bytes().chunks(124) {
        let mut of_block = 0;
        for octet in block {
            // UTF-8 has one octet per character that continues none, and begins those of two units with 0xF0
            // or more.
            of_block += u8::from(octet.cast_signed() >= -64) + u8::from(*octet >= 0xf0);
        }
        units += usize::from(of_block);
    }
    units
}

/// The text without a byte order mark in front, which no message should carry.
pub fn without_mark(text: &str) -> &str {
    text.strip_prefix(MARK).unwrap_or(text)
}

/// Appends the units of a text, big endian. Nothing is added and nothing left out: see [`without_mark`].
pub fn encode(text: &str, out: &mut Vec<u8>) {
    let before = out.len();
    // No character takes more than twice its octets of UTF-8.
    out.resize(before + 2 * text.len(), 0);
    let (places, _) = out.get_mut(before..).unwrap_or_default().as_chunks_mut::<2>();
    let mut places = places.iter_mut();
    let mut put = |unit: u16| {
        if let Some(place) = places.next() {
            *place = unit.to_be_bytes();
        }
    };
    for character in text.chars() {
        match u16::try_from(u32::from(character)) {
            Ok(unit) => put(unit),
            Err(_) => character
                .encode_utf16(&mut [0; 2])
                .iter()
                .for_each(|unit| put(*unit)),
        }
    }
    let spare = 2 * places.len();
    out.truncate(out.len() - spare);
}

/// Appends the text of units and counts what had to be replaced: a lone surrogate and a last odd octet become
/// U+FFFD. A byte order mark in front is left out.
pub fn decode(octets: &[u8], order: ByteOrder, out: &mut String) -> usize {
    let (units, odd) = octets.as_chunks::<2>();
    out.reserve(units.len());
    let replaced = match (units, order) {
        ([[0xff, 0xfe], rest @ ..], ByteOrder::ByMark) => {
            push(rest.iter().map(|unit| u16::from_le_bytes(*unit)), out)
        }
        ([[0xfe, 0xff], rest @ ..], _) => push(rest.iter().map(|unit| u16::from_be_bytes(*unit)), out),
        _ => push(units.iter().map(|unit| u16::from_be_bytes(*unit)), out),
    };
    if !odd.is_empty() {
        out.push(char::REPLACEMENT_CHARACTER);
    }
    replaced + odd.len()
}

fn push(units: impl Iterator<Item = u16>, out: &mut String) -> usize {
    let mut replaced = 0;
    // A high surrogate that waits for its low one.
    let mut high = None;
    let mut put = |character: Option<char>, out: &mut String| {
        replaced += usize::from(character.is_none());
        out.push(character.unwrap_or(char::REPLACEMENT_CHARACTER));
    };
    for unit in units {
        let character = char::from_u32(u32::from(unit));
        match (high.take(), character) {
            (None, Some(character)) => out.push(character),
            (None, None) if unit < 0xdc00 => high = Some(unit),
            (None, None) => put(None, out),
            (Some(before), None) if unit >= 0xdc00 => {
                put(
                    char::decode_utf16([before, unit]).next().and_then(Result::ok),
                    out,
                );
            }
            (Some(_), None) => {
                put(None, out);
                high = Some(unit);
            }
            (Some(_), Some(character)) => {
                put(None, out);
                out.push(character);
            }
        }
    }
    if high.is_some() {
        put(None, out);
    }
    replaced
}

/// Appends little endian text as big endian, a byte order mark in front left out.
pub fn turn_around(octets: &[u8], out: &mut Vec<u8>) {
    let octets = octets.strip_prefix(&[0xff, 0xfe]).unwrap_or(octets);
    out.reserve(octets.len());
    for unit in octets.chunks(2) {
        out.extend(unit.iter().rev());
    }
}

/// The octet behind which big endian units may be cut so that a surrogate pair stays whole: `at`, rounded
/// down to a unit, or one unit less.
pub(super) fn cut(octets: &[u8], at: usize) -> usize {
    let at = at & !1;
    let high = |octet: &u8| octet & 0xfc == 0xd8;
    let low = |octet: &u8| octet & 0xfc == 0xdc;
    let inside = octets.get(at..at + 2).and_then(<[u8]>::first).is_some_and(low)
        && at
            .checked_sub(2)
            .and_then(|before| octets.get(before))
            .is_some_and(high);
    if inside { at - 2 } else { at }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(octets: &[u8], order: ByteOrder) -> (String, usize) {
        let mut text = String::new();
        let replaced = decode(octets, order, &mut text);
        (text, replaced)
    }

    #[test]
    fn lone_surrogates_and_an_odd_octet_are_replaced_where_they_stand() {
        for (octets, text, replaced) in [
            (&[0xd8, 0x3d, 0xde, 0x00][..], "😀", 0),
            (&[0xd8, 0x3d, 0x00, 0x41], "\u{fffd}A", 1),
            (&[0xde, 0x00, 0xd8, 0x3d], "\u{fffd}\u{fffd}", 2),
            (&[0xd8, 0x3d, 0xd8, 0x3d, 0xde, 0x00], "\u{fffd}😀", 1),
            (
                &[0xd8, 0x3d, 0xd8, 0x3d, 0xd8, 0x3d],
                "\u{fffd}\u{fffd}\u{fffd}",
                3,
            ),
            (&[0x00, 0x41, 0x00], "A\u{fffd}", 1),
            (&[0x42], "\u{fffd}", 1),
        ] {
            assert_eq!(decoded(octets, ByteOrder::Big), (text.to_owned(), replaced));
        }
    }

    #[test]
    fn a_mark_is_no_text_and_turns_the_order_only_where_the_peer_is_known_for_it() {
        let little = [0xff, 0xfe, 0x41, 0x00];
        assert_eq!(decoded(&little, ByteOrder::ByMark), ("A".to_owned(), 0));
        assert_eq!(
            decoded(&little, ByteOrder::Big),
            ("\u{fffe}\u{4100}".to_owned(), 0)
        );
        for order in [ByteOrder::Big, ByteOrder::ByMark] {
            assert_eq!(decoded(&[0xfe, 0xff, 0x00, 0x41], order), ("A".to_owned(), 0));
        }
        assert_eq!(without_mark("\u{feff}a\u{feff}"), "a\u{feff}");
    }

    #[test]
    fn a_cut_keeps_pairs_whole_and_leaves_lone_halves_alone() {
        let text = [0x00, 0x41, 0xd8, 0x3d, 0xde, 0x00, 0xd8, 0x3d];
        for (at, cut_at) in [(0, 0), (1, 0), (2, 2), (4, 2), (5, 2), (6, 6), (8, 8)] {
            assert_eq!(cut(&text, at), cut_at, "{at}");
        }
        // A low half without its high one is no pair.
        assert_eq!(cut(&[0x00, 0x41, 0xde, 0x00], 2), 2);
    }

    proptest! {
        #[test]
        fn text_comes_back_from_its_units(text in any::<String>()) {
            let mut octets = Vec::new();
            encode(&text, &mut octets);
            prop_assert_eq!(units(&text), text.encode_utf16().count());
            prop_assert_eq!(octets.len(), 2 * units(&text));
            prop_assert_eq!(decoded(&octets, ByteOrder::Big), (without_mark(&text).to_owned(), 0));
        }

        #[test]
        fn any_octets_become_text(
            octets in proptest::collection::vec(prop_oneof![any::<u8>(), 0xd7u8..0xe1], 0..200),
        ) {
            for order in [ByteOrder::Big, ByteOrder::ByMark] {
                let (text, replaced) = decoded(&octets, order);
                prop_assert!(text.chars().count() <= octets.len().div_ceil(2));
                prop_assert!(replaced <= text.chars().count());
                if order == ByteOrder::Big && !octets.starts_with(&[0xfe, 0xff]) {
                    let units: Vec<u16> =
                        octets.as_chunks::<2>().0.iter().map(|unit| u16::from_be_bytes(*unit)).collect();
                    let odd = if octets.len() % 2 == 1 { "\u{fffd}" } else { "" };
                    prop_assert_eq!(text, String::from_utf16_lossy(&units) + odd);
                }
            }
            for at in 0..octets.len() {
                let cut = cut(&octets, at);
                prop_assert!(cut <= at && at - cut <= 3);
            }
        }
    }
}
