//! Alphabets of one octet a character: ASCII (IA5), ISO-8859-1, -5 and -8 (SMPP 3.4 §5.2.19), and
//! Windows-1252, which no `data_coding` names.

use super::NotEncodable;

/// An alphabet of one octet a character. All of them hold ASCII in their lower half.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SingleOctet {
    /// IA5, which differs from ASCII in nothing that a message shows. Upper half empty.
    Ascii,
    /// ISO-8859-1: every octet is the character of that number.
    Latin1,
    /// ISO-8859-5.
    Cyrillic,
    /// ISO-8859-8, in the order in which it is read.
    Hebrew,
    /// Windows-1252: ISO-8859-1 with printable characters at 0x80 to 0x9F. Some message centres have it for
    /// their own alphabet (interop quirk 24).
    Windows1252,
}

/// Windows-1252 from 0x80 to 0x9F; 0 where it has no character.
const WINDOWS_1252: [u16; 32] = [
    0x20ac, 0, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160, 0x2039, 0x0152, 0,
    0x017d, 0, 0, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a,
    0x0153, 0, 0x017e, 0x0178,
];

impl SingleOctet {
    /// The character of an octet; `None` where the alphabet has none.
    pub fn character(self, octet: u8) -> Option<char> {
        let point = u32::from(octet);
        let point = match (self, octet) {
            (_, 0..=0x7f)
            | (Self::Latin1, _)
            | (Self::Windows1252, 0xa0..)
            | (Self::Cyrillic, 0x80..=0xa0 | 0xad)
            | (Self::Hebrew, 0x80..=0xa0 | 0xa2..=0xa9 | 0xab..=0xb9 | 0xbb..=0xbe) => point,
            (Self::Cyrillic, 0xf0) => 0x2116,
            (Self::Cyrillic, 0xfd) => 0xa7,
            (Self::Cyrillic, _) => point + 0x360,
            (Self::Hebrew, 0xaa) => 0xd7,
            (Self::Hebrew, 0xba) => 0xf7,
            (Self::Hebrew, 0xdf) => 0x2017,
            (Self::Hebrew, 0xe0..=0xfa) => point + 0x4f0,
            (Self::Hebrew, 0xfd..=0xfe) => point + 0x1f11,
            (Self::Windows1252, _) => match WINDOWS_1252.get(usize::from(octet & 0x1f)) {
                None | Some(0) => return None,
                Some(point) => u32::from(*point),
            },
            (Self::Ascii | Self::Hebrew, _) => return None,
        };
        char::from_u32(point)
    }

    /// The octet of a character.
    pub fn octet(self, character: char) -> Option<u8> {
        let point = u32::from(character);
        let point = match (self, point) {
            (_, 0..=0x7f)
            | (Self::Latin1, 0x80..=0xff)
            | (Self::Windows1252, 0xa0..=0xff)
            | (Self::Cyrillic, 0x80..=0xa0 | 0xad)
            | (Self::Hebrew, 0x80..=0xa0 | 0xa2..=0xa9 | 0xab..=0xb9 | 0xbb..=0xbe) => point,
            (Self::Cyrillic, 0x2116) => 0xf0,
            (Self::Cyrillic, 0xa7) => 0xfd,
            (Self::Cyrillic, 0x401..=0x40c | 0x40e..=0x44f | 0x451..=0x45c | 0x45e..=0x45f) => point - 0x360,
            (Self::Hebrew, 0xd7) => 0xaa,
            (Self::Hebrew, 0xf7) => 0xba,
            (Self::Hebrew, 0x2017) => 0xdf,
            (Self::Hebrew, 0x5d0..=0x5ea) => point - 0x4f0,
            (Self::Hebrew, 0x200e..=0x200f) => point - 0x1f11,
            (Self::Windows1252, 0x100..) => {
                let at = (0x80..)
                    .zip(WINDOWS_1252)
                    .find(|(_, there)| u32::from(*there) == point);
                at?.0
            }
            _ => return None,
        };
        u8::try_from(point).ok()
    }

    /// Septets that the character of an octet takes when it goes on air in the default GSM alphabet: two for
    /// those of the extension. What that alphabet does not have the message centre replaces, by one.
    pub(super) const fn septets_on_air(self, octet: u8) -> usize {
        match (self, octet) {
            (_, 0x0c | b'[' | b'\\' | b']' | b'^' | b'{' | b'|' | b'}' | b'~')
            | (Self::Windows1252, 0x80) => 2,
            _ => 1,
        }
    }

    /// Appends the octets of a text.
    ///
    /// # Errors
    ///
    /// A character that the alphabet does not have; `out` is then as it was.
    pub fn encode(self, text: &str, out: &mut Vec<u8>) -> Result<(), NotEncodable> {
        if text.is_ascii() {
            out.extend_from_slice(text.as_bytes());
            return Ok(());
        }
        let before = out.len();
        out.reserve(text.len());
        for (at, character) in text.char_indices() {
            match self.octet(character) {
                Some(octet) => out.push(octet),
                None => {
                    out.truncate(before);
                    return Err(NotEncodable { at });
                }
            }
        }
        Ok(())
    }

    /// Appends the text of octets and counts what had to be replaced: octets without a character become
    /// U+FFFD.
    pub fn decode(self, octets: &[u8], out: &mut String) -> usize {
        if let (true, Ok(text)) = (octets.is_ascii(), std::str::from_utf8(octets)) {
            out.push_str(text);
            return 0;
        }
        out.reserve(octets.len());
        let mut replaced = 0;
        for octet in octets {
            let character = self.character(*octet);
            replaced += usize::from(character.is_none());
            out.push(character.unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        replaced
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::gsm7;
    use super::super::table::{LOCKING, SINGLE};
    use super::*;

    const ALL: [SingleOctet; 5] = [
        SingleOctet::Ascii,
        SingleOctet::Latin1,
        SingleOctet::Cyrillic,
        SingleOctet::Hebrew,
        SingleOctet::Windows1252,
    ];

    #[test]
    fn every_octet_with_a_character_comes_back_and_no_other_character_does() {
        for (alphabet, characters) in ALL.into_iter().zip([128, 256, 256, 256 - 36, 256 - 5]) {
            let there: Vec<char> = (0..=255).filter_map(|octet| alphabet.character(octet)).collect();
            assert_eq!(there.len(), characters, "{alphabet:?}");
            for octet in 0..=255 {
                if let Some(character) = alphabet.character(octet) {
                    assert_eq!(alphabet.octet(character), Some(octet), "{alphabet:?}");
                }
            }
            let back = ('\0'..=char::MAX).filter(|character| alphabet.octet(*character).is_some());
            assert_eq!(back.count(), there.len(), "{alphabet:?}");
        }
    }

    #[test]
    fn words_of_each_alphabet_read_as_they_should() {
        for (alphabet, octets, text) in [
            (SingleOctet::Latin1, &b"\xa3 \xe7\xff"[..], "£ çÿ"),
            (
                SingleOctet::Cyrillic,
                b"\xbf\xe0\xd8\xd2\xd5\xe2 \xf0 \xfd \xa1\xf1",
                "Привет № § Ёё",
            ),
            (
                SingleOctet::Hebrew,
                b"\xf9\xec\xe5\xed \xaa\xba\xdf",
                "שלום ×÷\u{2017}",
            ),
            (
                SingleOctet::Windows1252,
                b"\x80 5\x85 \x93caf\xe9\x94 \x96 it\x92s \x8a\x9f",
                "€ 5… “café” – it’s ŠŸ",
            ),
        ] {
            let mut out = String::new();
            assert_eq!(alphabet.decode(octets, &mut out), 0);
            assert_eq!(out, text);
            let mut back = Vec::new();
            alphabet.encode(text, &mut back).unwrap();
            assert_eq!(back, octets);
        }
    }

    #[test]
    fn what_an_alphabet_does_not_have_is_replaced_or_refused() {
        let mut out = String::new();
        assert_eq!(SingleOctet::Ascii.decode(b"a\xe9", &mut out), 1);
        assert_eq!(out, "a\u{fffd}");
        assert_eq!(
            SingleOctet::Windows1252.decode(b"\x81\x8d\x8f\x90\x9d", &mut out),
            5
        );
        let mut octets = b"x".to_vec();
        assert_eq!(
            SingleOctet::Latin1.encode("é€", &mut octets),
            Err(NotEncodable { at: 2 })
        );
        assert_eq!(octets, b"x");
    }

    #[test]
    fn a_character_is_measured_as_it_goes_on_air() {
        for alphabet in ALL {
            for octet in 0..=255 {
                let gsm7 = |character| gsm7::cost(character, (&LOCKING[0], &SINGLE[0]));
                let cost = alphabet.character(octet).and_then(gsm7).unwrap_or(1);
                assert_eq!(alphabet.septets_on_air(octet), cost, "{alphabet:?} {octet:#x}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_octets_become_text_and_come_back_where_nothing_was_replaced(
            octets in proptest::collection::vec(any::<u8>(), 0..100),
            which in 0usize..ALL.len(),
        ) {
            let (mut text, mut back) = (String::new(), Vec::new());
            if ALL[which].decode(&octets, &mut text) == 0 {
                ALL[which].encode(&text, &mut back).unwrap();
                prop_assert_eq!(back, octets);
            }
        }
    }
}
