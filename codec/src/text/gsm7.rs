//! GSM 7-bit text, one septet per octet as SMPP carries it (3GPP TS 23.038 §6.2.1). [`super::pack`] makes the
//! form of the air interface.
//!
//! ```
//! use tidegate_codec::text::{Shifts, gsm7};
//!
//! let mut septets = Vec::new();
//! gsm7::encode("5 € @", Shifts::NONE, &mut septets)?;
//! assert_eq!(septets, b"5 \x1be \x00");
//! assert_eq!(gsm7::septets("5 € @", Shifts::NONE), Ok(6));
//!
//! let mut text = String::new();
//! assert_eq!(gsm7::decode(&septets, Shifts::NONE, &mut text), 0);
//! assert_eq!(text, "5 € @");
//! // What the alphabet does not have is an error that says where.
//! assert_eq!(gsm7::encode("ab ж", Shifts::NONE, &mut septets).map_err(|error| error.at), Err(3));
//! # Ok::<(), tidegate_codec::text::NotEncodable>(())
//! ```
//!
//! **Errors.** [`NotEncodable`], on writing. On reading, what means nothing becomes U+FFFD and is counted.

use super::NotEncodable;
use super::shift::Shifts;
use super::table::{ESCAPE, LOCKING, Table, plain_prefix};

/// Appends the septets of a text, one per octet. Characters of the single shift table take two.
///
/// # Errors
///
/// A character that neither table has; `out` is then as it was.
pub fn encode(text: &str, shifts: Shifts, out: &mut Vec<u8>) -> Result<(), NotEncodable> {
    let before = out.len();
    out.reserve(text.len());
    let walked = walk(text, shifts, |septets| out.extend_from_slice(septets));
    if walked.is_err() {
        out.truncate(before);
    }
    walked
}

/// Number of septets that [`encode`] would append.
///
/// # Errors
///
/// A character that neither table has.
pub fn septets(text: &str, shifts: Shifts) -> Result<usize, NotEncodable> {
    let mut count = 0;
    walk(text, shifts, |septets| count += septets.len())?;
    Ok(count)
}

/// Septets of one character: 1, 2 behind an escape, or `None` when neither table has it.
pub(super) fn cost(character: char, (locking, single): (&Table, &Table)) -> Option<usize> {
    if locking.septet(character).is_some() {
        Some(1)
    } else {
        single.septet(character).map(|_| 2)
    }
}

/// Characters that are taken one by one before a plain run is looked for again, and the shortest run worth it.
const STEP: usize = 16;
const RUN_MIN: usize = 8;

/// Hands out the septets of a text in runs.
#[inline]
fn walk(text: &str, shifts: Shifts, mut septets: impl FnMut(&[u8])) -> Result<(), NotEncodable> {
    let (locking, single) = shifts.tables();
    let mut rest = text;
    while !rest.is_empty() {
        if locking.keeps_plain {
            let run = plain_prefix(rest.as_bytes());
            if run >= RUN_MIN || run == rest.len() {
                let (plain, other) = rest.split_at(run);
                septets(plain.as_bytes());
                rest = other;
            }
        }
        for _ in 0..STEP {
            let mut characters = rest.chars();
            let Some(character) = characters.next() else {
                break;
            };
            if let Some(septet) = locking.septet(character) {
                septets(&[septet]);
            } else if let Some(septet) = single.septet(character) {
                septets(&[ESCAPE, septet]);
            } else {
                return Err(NotEncodable {
                    at: text.len() - rest.len(),
                });
            }
            rest = characters.as_str();
        }
    }
    Ok(())
}

/// Appends the text of septets, one per octet, and counts what had to be replaced.
///
/// An escape at the end and an escape behind an escape are one blank; an escape before a septet that the
/// single shift table does not have is skipped (23.038 §6.2.1.1). A hole of a locking table and an octet
/// above 127 become U+FFFD: no rule gives them a character.
pub fn decode(octets: &[u8], shifts: Shifts, out: &mut String) -> usize {
    out.reserve(octets.len());
    let mut decoder = Decoder::new(shifts);
    let mut rest = octets;
    while !rest.is_empty() {
        if decoder.locking.keeps_plain && !decoder.escaped {
            let run = plain_prefix(rest);
            if run >= RUN_MIN || run == rest.len() {
                let (plain, other) = rest.split_at(run);
                // What is plain is ASCII.
                out.push_str(std::str::from_utf8(plain).unwrap_or_default());
                rest = other;
            }
        }
        let (step, other) = rest.split_at(rest.len().min(STEP));
        for octet in step {
            decoder.push(*octet, out);
        }
        rest = other;
    }
    decoder.finish(out)
}

/// As [`decode`] for septets that are not a slice.
pub(super) fn decode_septets(septets: impl Iterator<Item = u8>, shifts: Shifts, out: &mut String) -> usize {
    let mut decoder = Decoder::new(shifts);
    for septet in septets {
        decoder.push(septet, out);
    }
    decoder.finish(out)
}

struct Decoder {
    locking: &'static Table,
    single: &'static Table,
    escaped: bool,
    replaced: usize,
}

impl Decoder {
    fn new(shifts: Shifts) -> Self {
        let (locking, single) = shifts.tables();
        Self {
            locking,
            single,
            escaped: false,
            replaced: 0,
        }
    }

    #[inline]
    fn push(&mut self, septet: u8, out: &mut String) {
        let character = if self.escaped {
            self.escaped = false;
            if septet == ESCAPE {
                Some(' ')
            } else {
                self.single
                    .character(septet)
                    .or_else(|| self.locking.character(septet))
                    .or_else(|| LOCKING[0].character(septet))
            }
        } else if septet == ESCAPE {
            self.escaped = true;
            return;
        } else {
            self.locking.character(septet)
        };
        self.replaced += usize::from(character.is_none());
        out.push(character.unwrap_or(char::REPLACEMENT_CHARACTER));
    }

    fn finish(self, out: &mut String) -> usize {
        if self.escaped {
            out.push(' ');
        }
        self.replaced
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::shift::Language;
    use super::*;

    fn decoded(octets: &[u8], shifts: Shifts) -> (String, usize) {
        let mut text = String::new();
        let replaced = decode(octets, shifts, &mut text);
        (text, replaced)
    }

    #[test]
    fn an_escape_without_a_character_is_a_blank_and_before_a_hole_is_skipped() {
        for (octets, text) in [
            (&b"\x1b"[..], " "),
            (b"a\x1b", "a "),
            (b"\x1b\x1b", " "),
            (b"\x1b\x1b\x1b", "  "),
            (b"\x1b\x1be", " e"),
            (b"\x1bA", "A"),
            (b"\x1b\x00", "@"),
            (b"\x1be", "€"),
        ] {
            assert_eq!(decoded(octets, Shifts::NONE), (text.to_owned(), 0), "{octets:x?}");
        }
    }

    #[test]
    fn behind_an_escape_a_hole_is_filled_from_the_locking_table_then_from_the_default_alphabet() {
        let turkish = Shifts {
            single: Some(Language::Turkish),
            locking: Some(Language::Turkish),
        };
        assert_eq!(decoded(b"\x1b\x07", turkish).0, "ı");
        let bengali = Shifts {
            single: Some(Language::Bengali),
            locking: Some(Language::Bengali),
        };
        // 0x5C: neither Bengali table has it; the default alphabet has Ö there.
        assert_eq!(decoded(b"\x1b\x5c", bengali), ("Ö".to_owned(), 0));
        assert_eq!(decoded(b"\x5c", bengali), ("\u{fffd}".to_owned(), 1));
    }

    #[test]
    fn an_octet_that_is_no_septet_is_replaced_and_counted() {
        assert_eq!(
            decoded(b"a\x80\xffb\x1b\xe9", Shifts::NONE),
            ("a\u{fffd}\u{fffd}b\u{fffd}".to_owned(), 3)
        );
    }

    #[test]
    fn what_cannot_be_written_is_located_and_leaves_the_buffer_alone() {
        let mut out = b"before".to_vec();
        let text = "Preis: 5 € für `x`";
        let error = encode(text, Shifts::NONE, &mut out).unwrap_err();
        assert_eq!(error.at, text.find('`').unwrap());
        assert_eq!(out, b"before");
        assert_eq!(septets(text, Shifts::NONE), Err(error));
        assert_eq!(septets("[€]", Shifts::NONE), Ok(6));
    }

    /// Texts of characters that the tables have.
    fn text_of(shifts: Shifts) -> impl Strategy<Value = String> {
        let (locking, single) = shifts.tables();
        let characters: Vec<char> = (0..128)
            .flat_map(|septet| [locking.character(septet), single.character(septet)])
            .flatten()
            .collect();
        let any_of = proptest::sample::select(characters);
        let plain = proptest::sample::select(('a'..='z').collect::<Vec<_>>());
        let mixed = if locking.keeps_plain {
            prop_oneof![1 => any_of, 4 => plain].boxed()
        } else {
            any_of.boxed()
        };
        proptest::collection::vec(mixed, 0..300).prop_map(String::from_iter)
    }

    fn shifts_and_text() -> impl Strategy<Value = (Shifts, String)> {
        let language = || proptest::option::of(proptest::sample::select(Language::ALL.to_vec()));
        (language(), language()).prop_flat_map(|(single, locking)| {
            let shifts = Shifts { single, locking };
            (Just(shifts), text_of(shifts))
        })
    }

    proptest! {
        #[test]
        fn text_comes_back_from_its_septets((shifts, text) in shifts_and_text()) {
            let mut octets = Vec::new();
            encode(&text, shifts, &mut octets).unwrap();
            prop_assert_eq!(septets(&text, shifts), Ok(octets.len()));
            prop_assert!(octets.iter().all(|octet| *octet < 128));
            prop_assert_eq!(decoded(&octets, shifts), (text.clone(), 0));
            let costs: usize = text.chars().map(|one| cost(one, shifts.tables()).unwrap()).sum();
            prop_assert_eq!(costs, octets.len());
        }

        #[test]
        fn any_octets_become_text_and_the_two_decoders_agree(
            octets in proptest::collection::vec(any::<u8>(), 0..300),
            (shifts, _) in shifts_and_text(),
        ) {
            let (text, replaced) = decoded(&octets, shifts);
            prop_assert!(text.chars().count() <= octets.len());
            let mut other = String::new();
            prop_assert_eq!(decode_septets(octets.iter().copied(), shifts, &mut other), replaced);
            prop_assert_eq!(other, text);
        }
    }
}
