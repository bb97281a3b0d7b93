//! UCS-2 text, read and written as UTF-16 (sms-text.md §7): big endian, characters above U+FFFF as surrogate
//! pairs.

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
    // UTF-8 has one octet per character that continues none, and begins those of two units with 0xF0 or more.
    let of = |octet: &u8| u8::from(octet & 0xc0 != 0x80) + u8::from(*octet >= 0xf0);
    // In blocks, because 32 counts of at most 2 fit an octet and so stay in one vector register.
    let (blocks, rest) = text.as_bytes().as_chunks::<32>();
    let sum = |octets: &[u8]| usize::from(octets.iter().map(of).sum::<u8>());
    blocks.iter().map(|block| sum(block)).sum::<usize>() + sum(rest)
}

/// The text without a byte order mark in front, which no message should carry.
pub fn without_mark(text: &str) -> &str {
    text.strip_prefix(MARK).unwrap_or(text)
}

/// Appends the units of a text, big endian. Nothing is added and nothing left out: see [`without_mark`].
pub fn encode(text: &str, out: &mut Vec<u8>) {
    let before = out.len();
    out.resize(before + 2 * units(text), 0);
    let (places, _) = out.get_mut(before..).unwrap_or_default().as_chunks_mut::<2>();
    for (place, unit) in places.iter_mut().zip(text.encode_utf16()) {
        *place = unit.to_be_bytes();
    }
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
    for character in char::decode_utf16(units) {
        replaced += usize::from(character.is_err());
        out.push(character.unwrap_or(char::REPLACEMENT_CHARACTER));
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
        fn any_octets_become_text(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
            for order in [ByteOrder::Big, ByteOrder::ByMark] {
                let (text, replaced) = decoded(&octets, order);
                prop_assert!(text.chars().count() <= octets.len().div_ceil(2));
                prop_assert!(replaced <= text.chars().count());
            }
            for at in 0..octets.len() {
                let cut = cut(&octets, at);
                prop_assert!(cut <= at && at - cut <= 3);
            }
        }
    }
}
