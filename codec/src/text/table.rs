//! One alphabet of 128 septets, readable both ways in constant time.
//!
//! The way back from a character is a page table made by the compiler from the same data, so the two ways
//! cannot disagree: `pages[character / 64]` is a page of `septets`, and page 0 is the empty one.

use super::{locking_tables as locking, single_tables as single};

/// Escape to the single shift table (3GPP TS 23.038 §6.2.1).
pub(super) const ESCAPE: u8 = 0x1b;

/// No septet: the escape itself stands for no character in any table.
const NONE: u8 = ESCAPE;

const PAGE: usize = 64;
/// Pages up to U+223F. The last character of any table is U+221E.
const PAGES: usize = 137;
/// No table touches more than eight pages; one is empty.
const USED: usize = 9;

/// A locking or a single shift table.
pub(super) struct Table {
    characters: [u16; 128],
    pages: [u8; PAGES],
    septets: [u8; USED * PAGE],
    /// Every octet that [`is_plain`] stands for itself.
    pub(super) keeps_plain: bool,
}

impl Table {
    // An index out of bounds here would be an error of the build, not of a run.
    const fn new(characters: [u16; 128]) -> Self {
        let mut table = Self {
            characters,
            pages: [0; PAGES],
            septets: [NONE; USED * PAGE],
            keeps_plain: true,
        };
        let mut used = 1;
        let mut septet: u8 = 0;
        while septet < 128 {
            let character = characters[septet as usize] as usize;
            if character != 0 {
                let page = &mut table.pages[character / PAGE];
                if *page == 0 {
                    *page = used;
                    used += 1;
                }
                // Of two septets with one character the higher is written: the lower one of Kannada's is
                // taken for a printing error of the specification (sms-text.md §3).
                table.septets[*page as usize * PAGE + character % PAGE] = septet;
            }
            if is_plain(septet) && character != septet as usize {
                table.keeps_plain = false;
            }
            septet += 1;
        }
        table
    }

    const fn of_pairs(pairs: &[(u8, u16)]) -> Self {
        let mut characters = [0; 128];
        let mut at = 0;
        while at < pairs.len() {
            characters[pairs[at].0 as usize] = pairs[at].1;
            at += 1;
        }
        Self::new(characters)
    }

    /// The character of a septet; `None` where the table has a hole, for the escape, and above 127.
    #[inline]
    pub(super) fn character(&self, septet: u8) -> Option<char> {
        match self.characters.get(usize::from(septet)) {
            None | Some(0) => None,
            Some(character) => char::from_u32(u32::from(*character)),
        }
    }

    /// The septet of a character.
    #[inline]
    pub(super) fn septet(&self, character: char) -> Option<u8> {
        let character = character as usize;
        let page = usize::from(*self.pages.get(character / PAGE)?);
        let septet = *self.septets.get(page * PAGE + character % PAGE)?;
        (septet != NONE).then_some(septet)
    }
}

/// Locking tables by language identifier; 0 is the default alphabet. Spanish has none of its own.
pub(super) static LOCKING: [Table; 14] = [
    Table::new(locking::DEFAULT),
    Table::new(locking::TURKISH),
    Table::new(locking::DEFAULT),
    Table::new(locking::PORTUGUESE),
    Table::new(locking::BENGALI),
    Table::new(locking::GUJARATI),
    Table::new(locking::HINDI),
    Table::new(locking::KANNADA),
    Table::new(locking::MALAYALAM),
    Table::new(locking::ORIYA),
    Table::new(locking::PUNJABI),
    Table::new(locking::TAMIL),
    Table::new(locking::TELUGU),
    Table::new(locking::URDU),
];

/// Single shift tables by language identifier; 0 is the extension of the default alphabet.
pub(super) static SINGLE: [Table; 14] = [
    Table::of_pairs(single::EXTENSION),
    Table::of_pairs(single::TURKISH),
    Table::of_pairs(single::SPANISH),
    Table::of_pairs(single::PORTUGUESE),
    Table::of_pairs(single::BENGALI),
    Table::of_pairs(single::GUJARATI),
    Table::of_pairs(single::HINDI),
    Table::of_pairs(single::KANNADA),
    Table::of_pairs(single::MALAYALAM),
    Table::of_pairs(single::ORIYA),
    Table::of_pairs(single::PUNJABI),
    Table::of_pairs(single::TAMIL),
    Table::of_pairs(single::TELUGU),
    Table::of_pairs(single::URDU),
];

/// Letters, digits, blank, line feed and most of the punctuation: the same octet in ASCII, in the default
/// alphabet and in the Turkish and Portuguese locking tables. `$` is not among them because Portuguese moves
/// it.
#[inline]
const fn is_plain(octet: u8) -> bool {
    // Without short cuts: branches would keep the compiler from judging a whole block at once.
    ((octet | 0x20).wrapping_sub(b'a') < 26)
        | (octet.wrapping_sub(0x20) < 0x20) & (octet != b'$')
        | (octet == b'\n')
}

/// [`is_plain`], for single octets.
static PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut octet: u8 = 0;
    while octet < 128 {
        plain[octet as usize] = is_plain(octet);
        octet += 1;
    }
    plain
};

/// Number of leading octets that [`is_plain`]. Most messages are nothing else, so blocks are judged whole,
/// without a branch per octet.
#[inline]
pub(super) fn plain_prefix(octets: &[u8]) -> usize {
    let (blocks, _) = octets.as_chunks::<16>();
    let whole = blocks
        .iter()
        .take_while(|block| block.iter().fold(true, |all, octet| all & is_plain(*octet)))
        .count()
        * 16;
    let rest = octets.get(whole..).unwrap_or_default();
    whole
        + rest
            .iter()
            .take_while(|octet| PLAIN[usize::from(**octet)])
            .count()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::Value;

    use super::*;

    fn characters(table: &Table) -> BTreeMap<u8, u32> {
        (0..=255)
            .filter_map(|septet| Some((septet, u32::from(table.character(septet)?))))
            .collect()
    }

    fn expected(table: &Value) -> BTreeMap<u8, u32> {
        let hex = |text: &str| u32::from_str_radix(text, 16).unwrap();
        let table = table.as_object().unwrap();
        table
            .iter()
            .map(|(septet, character)| {
                (
                    u8::try_from(hex(septet)).unwrap(),
                    hex(character.as_str().unwrap()),
                )
            })
            .collect()
    }

    #[test]
    fn all_27_tables_are_those_of_the_reference() {
        let tables: Value = serde_json::from_str(include_str!("../../testdata/gsm7-tables.json")).unwrap();
        let tables = tables.as_object().unwrap();
        assert_eq!(tables.len(), 14);
        for (id, table) in tables {
            let id: usize = id.parse().unwrap();
            assert_eq!(characters(&SINGLE[id]), expected(&table["single_shift"]), "{id}");
            // Spanish has no locking table: the default alphabet stays.
            let locking = if table["locking"].is_null() {
                assert_eq!(id, 2);
                &tables["0"]["locking"]
            } else {
                &table["locking"]
            };
            assert_eq!(characters(&LOCKING[id]), expected(locking), "{id}");
        }
    }

    #[test]
    fn the_way_back_is_exact_for_every_character() {
        for table in LOCKING.iter().chain(&SINGLE) {
            let characters = characters(table);
            for character in '\0'..'\u{4000}' {
                let septet = table.septet(character);
                let expect = characters
                    .iter()
                    .rfind(|(_, candidate)| **candidate == u32::from(character));
                assert_eq!(septet, expect.map(|(septet, _)| *septet), "{character:?}");
            }
            for beyond in ['\u{4000}', '\u{ffff}', '\u{1f600}', char::MAX] {
                assert_eq!(table.septet(beyond), None);
            }
            assert_eq!(table.character(ESCAPE), None);
        }
    }

    #[test]
    fn what_is_plain_is_the_same_in_the_tables_that_say_so() {
        let keeps: Vec<usize> = (0..14).filter(|id| LOCKING[*id].keeps_plain).collect();
        assert_eq!(keeps, [0, 1, 2, 3]);
        assert_eq!((0..=255).filter(|octet| is_plain(*octet)).count(), 52 + 31 + 1);
        for octet in 0..=255 {
            assert_eq!(is_plain(octet), PLAIN[usize::from(octet)]);
        }
        for octet in (0..=127).filter(|octet| is_plain(*octet)) {
            assert_eq!(LOCKING[0].septet(char::from(octet)), Some(octet));
        }
    }

    #[test]
    fn a_plain_run_ends_at_the_first_other_octet_wherever_that_is() {
        for len in 0..50 {
            let mut octets = vec![b'x'; 50];
            octets[len] = b'@';
            assert_eq!(plain_prefix(&octets), len);
            assert_eq!(plain_prefix(&octets[..len]), len);
        }
    }
}
