//! Texts that follow the token, with places for what differs from message to message.
//!
//! `{number}` is the number of the message in its run, `{to}` the digits of its recipient, `{random:6}` six
//! random digits; `{{` and `}}` are braces. A message that is submitted again has the same text again:
//! what is random follows from the run and the number.

use crate::traffic::coding::Coding;
use crate::traffic::token::Width;

/// Random digits of one place, at most.
const RANDOM_MAX: usize = 100;

/// One text, encoded but for its places.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Template {
    coding: Coding,
    pieces: Vec<Piece>,
}

#[derive(Clone, PartialEq, Eq)]
enum Piece {
    Constant(Vec<u8>),
    Number,
    Recipient,
    Random(usize),
}

/// Why a text is no template. It does not repeat the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A brace that is not closed, or closes nothing.
    #[error("character {0}: a brace on its own; write {{{{ or }}}} for a brace")]
    Brace(usize),
    /// Not one of the three.
    #[error("character {0}: no such place; there are {{number}}, {{to}} and {{random:1}} to {{random:100}}")]
    Place(usize),
    /// The alphabet does not have it.
    #[error("character {0} is not in the alphabet that --coding names")]
    Alphabet(usize),
    /// More than a message can hold.
    #[error("the text is longer than a message can be ({0} octets)")]
    TooLong(usize),
}

impl Template {
    /// Reads a text. Positions in errors are counted in characters from 1.
    pub(super) fn parse(text: &str, coding: Coding) -> Result<Self, TemplateError> {
        let mut pieces = Vec::new();
        let mut constant = Vec::new();
        let mut rest = (1..).zip(text.chars()).peekable();
        while let Some((at, character)) = rest.next() {
            let doubled = rest.next_if(|(_, next)| *next == character && matches!(next, '{' | '}'));
            match character {
                '{' if doubled.is_none() => {
                    let mut name = String::new();
                    loop {
                        match rest.next() {
                            Some((_, '}')) => break,
                            Some((_, inner)) => name.push(inner),
                            None => return Err(TemplateError::Brace(at)),
                        }
                    }
                    let place = place(&name).ok_or(TemplateError::Place(at))?;
                    pieces.push(Piece::Constant(std::mem::take(&mut constant)));
                    pieces.push(place);
                }
                '}' if doubled.is_none() => return Err(TemplateError::Brace(at)),
                _ if coding.encode(character, &mut constant) => {}
                _ => return Err(TemplateError::Alphabet(at)),
            }
        }
        pieces.push(Piece::Constant(constant));
        pieces.retain(|piece| *piece != Piece::Constant(Vec::new()));
        Ok(Self { coding, pieces })
    }

    /// What its characters take.
    pub(super) const fn width(&self) -> Width {
        self.coding.width()
    }

    /// Whether every message has the same text.
    pub(super) fn is_constant(&self) -> bool {
        self.pieces
            .iter()
            .all(|piece| matches!(piece, Piece::Constant(_)))
    }

    /// Octets of the longest text that it can become.
    pub(super) fn longest(&self) -> usize {
        let octets = self.coding.width().octets();
        self.pieces
            .iter()
            .map(|piece| match piece {
                Piece::Constant(constant) => constant.len(),
                Piece::Number => 10 * octets,
                Piece::Recipient => 12 * octets,
                Piece::Random(digits) => digits * octets,
            })
            .sum()
    }

    /// Appends the text of one message.
    pub(super) fn write(&self, run: u32, n: u32, to: &[u8], out: &mut Vec<u8>) {
        // Which random digit this is; another for each place of the text.
        let mut drawn = 0;
        for piece in &self.pieces {
            match piece {
                Piece::Constant(constant) => out.extend_from_slice(constant),
                Piece::Number => self.number(n, out),
                Piece::Recipient => to.iter().for_each(|digit| self.digit(*digit, out)),
                Piece::Random(digits) => {
                    for _ in 0..*digits {
                        let random = scramble(u64::from(run) << 32 | u64::from(n), drawn);
                        drawn += 1;
                        self.digit(b"0123456789"[(random % 10) as usize], out);
                    }
                }
            }
        }
    }

    fn number(&self, n: u32, out: &mut Vec<u8>) {
        let mut power = 1;
        while n / power >= 10 {
            power *= 10;
        }
        while power > 0 {
            self.digit(b"0123456789"[(n / power % 10) as usize], out);
            power /= 10;
        }
    }

    fn digit(&self, digit: u8, out: &mut Vec<u8>) {
        // Digits have the same place in every alphabet.
        let _ = self.coding.encode(char::from(digit), out);
    }
}

fn place(name: &str) -> Option<Piece> {
    match name {
        "number" => Some(Piece::Number),
        "to" => Some(Piece::Recipient),
        _ => {
            let digits = name.strip_prefix("random:")?.parse().ok()?;
            (1..=RANDOM_MAX)
                .contains(&digits)
                .then_some(Piece::Random(digits))
        }
    }
}

/// A number that looks random and follows from both arguments (the finish of SplitMix64).
const fn scramble(seed: u64, index: u64) -> u64 {
    let mut word = seed.wrapping_add(index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ word >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str, coding: Coding, n: u32) -> Vec<u8> {
        let template = Template::parse(text, coding).unwrap();
        let mut out = Vec::new();
        template.write(7, n, b"447700900042", &mut out);
        assert!(out.len() <= template.longest());
        out
    }

    #[test]
    fn places_are_filled_and_braces_doubled_are_braces() {
        assert_eq!(
            written("No. {number} to {to} {{to}}", Coding::Latin1, 1230),
            b"No. 1230 to 447700900042 {to}"
        );
        assert_eq!(written("{number}", Coding::Ucs2, 0), b"\x000");
        assert_eq!(written("}}{number}{{", Coding::Latin1, 7), b"}7{");
    }

    #[test]
    fn what_is_random_differs_between_messages_and_places_and_not_between_attempts() {
        let code = |n| written("{random:9}{random:9}", Coding::Gsm7, n);
        assert_eq!(code(1), code(1));
        assert_ne!(code(1), code(2));
        let digits = code(1);
        assert!(digits.len() == 18 && digits.iter().all(u8::is_ascii_digit));
        assert_ne!(digits[..9], digits[9..]);
    }

    #[test]
    fn only_a_text_without_places_is_constant() {
        let is_constant = |text| Template::parse(text, Coding::Gsm7).unwrap().is_constant();
        assert!(is_constant("a {{b}} c") && is_constant(""));
        assert!(!is_constant("a {number}"));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place_and_without_the_text() {
        let error = |text| Template::parse(text, Coding::Latin1).err();
        assert_eq!(error("abc {number"), Some(TemplateError::Brace(5)));
        assert_eq!(error("abc }"), Some(TemplateError::Brace(5)));
        for text in ["{n}", "{random:0}", "{random:101}", "{random:x}", "{}"] {
            assert_eq!(error(text), Some(TemplateError::Place(1)), "{text}");
        }
        assert_eq!(error("ab€"), Some(TemplateError::Alphabet(3)));
    }
}
