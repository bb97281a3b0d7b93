//! The alphabets that messages are written in.

use crate::traffic::token::Width;

/// The alphabet of the messages: `data_coding`, and what octets a character becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Coding {
    /// The SMSC's default alphabet: GSM 03.38, one octet a septet, not packed (data_coding 0x00).
    #[default]
    Gsm7,
    /// ISO 8859-1 (data_coding 0x03).
    Latin1,
    /// UCS-2, most significant octet first (data_coding 0x08).
    Ucs2,
}

/// GSM 03.38 in the order of its codes. What stands at 0x1b is no character, and never looked for.
const GSM: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\u{1b}ÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?\
    ¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
/// Announces a character of the second table.
const ESCAPE: u8 = 0x1b;
/// The second table.
const EXTENSION: &[(char, u8)] = &[
    ('\u{c}', 0x0a),
    ('^', 0x14),
    ('{', 0x28),
    ('}', 0x29),
    ('\\', 0x2f),
    ('[', 0x3c),
    ('~', 0x3d),
    (']', 0x3e),
    ('|', 0x40),
    ('€', 0x65),
];

impl Coding {
    /// The octet that names it in a PDU.
    pub const fn data_coding(self) -> u8 {
        match self {
            Self::Gsm7 => 0x00,
            Self::Latin1 => 0x03,
            Self::Ucs2 => 0x08,
        }
    }

    /// Octets of a character of a token.
    pub(crate) const fn width(self) -> Width {
        Width::of(self.data_coding())
    }

    /// A whole text; `None` when the alphabet does not have all of it.
    pub(crate) fn encode_all(self, text: &str) -> Option<Vec<u8>> {
        let mut out = Vec::with_capacity(text.len());
        text.chars()
            .all(|character| self.encode(character, &mut out))
            .then_some(out)
    }

    /// Appends one character; `false` when the alphabet does not have it.
    #[must_use]
    pub fn encode(self, character: char, out: &mut Vec<u8>) -> bool {
        match self {
            Self::Gsm7 => gsm(character, out),
            Self::Latin1 => match u8::try_from(character) {
                Ok(octet) => {
                    out.push(octet);
                    true
                }
                Err(_) => false,
            },
            Self::Ucs2 => {
                // Beyond its 65 536 characters handsets read UTF-16.
                for unit in character.encode_utf16(&mut [0; 2]) {
                    out.extend_from_slice(&unit.to_be_bytes());
                }
                true
            }
        }
    }
}

fn gsm(character: char, out: &mut Vec<u8>) -> bool {
    if character == char::from(ESCAPE) {
        return false;
    }
    if let Some((_, code)) = EXTENSION.iter().find(|(known, _)| *known == character) {
        out.extend_from_slice(&[ESCAPE, *code]);
        return true;
    }
    match (0_u8..).zip(GSM.chars()).find(|(_, known)| *known == character) {
        Some((code, _)) => {
            out.push(code);
            true
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_alphabet_has_128_codes_and_ten_more_behind_the_escape() {
        assert_eq!(GSM.chars().count(), 128);
        assert_eq!(
            Coding::Gsm7.encode_all("@$Aaà€[").unwrap(),
            [0x00, 0x02, 0x41, 0x61, 0x7f, 0x1b, 0x65, 0x1b, 0x3c]
        );
        assert_eq!(Coding::Gsm7.encode_all("ł"), None);
        assert_eq!(Coding::Gsm7.encode_all("\u{1b}"), None);
    }

    #[test]
    fn what_a_token_is_made_of_is_the_same_in_both_alphabets_of_one_octet() {
        let text = "T0123456789abcdef, The tide";
        for coding in [Coding::Gsm7, Coding::Latin1] {
            assert_eq!(coding.encode_all(text).unwrap(), text.as_bytes());
        }
    }

    #[test]
    fn latin_1_and_ucs2_take_what_they_have() {
        assert_eq!(Coding::Latin1.encode_all("é").unwrap(), [0xe9]);
        assert_eq!(Coding::Latin1.encode_all("€"), None);
        assert_eq!(Coding::Ucs2.encode_all("é€").unwrap(), [0, 0xe9, 0x20, 0xac]);
        assert_eq!(Coding::Ucs2.encode_all("🌊").unwrap(), [0xd8, 0x3c, 0xdf, 0x0a]);
    }
}
