//! What the octets of one message are: the alphabet of its `data_coding` as its peer means it.

use super::coding::{Alphabet, Coding};
use super::shift::Shifts;
use super::single_octet::SingleOctet;
use super::ucs2::ByteOrder;
use super::{NotEncodable, gsm7, pack, ucs2};

/// What a peer means by `data_coding` 0 (sms-text.md §1, interop quirk 24). A setting; never guessed from a
/// message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum DefaultAlphabet {
    /// GSM septets, one per octet: the usual one.
    #[default]
    Gsm7,
    /// GSM septets, packed.
    Gsm7Packed,
    /// ASCII.
    Ascii,
    /// ISO-8859-1.
    Latin1,
    /// Windows-1252.
    Windows1252,
    /// UTF-8, which no specification knows and some peers send.
    Utf8,
}

/// How a peer writes text: its settings, all standard by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Peer {
    /// What `data_coding` 0 means.
    pub default_alphabet: DefaultAlphabet,
    /// Whether FF FE in front of UCS-2 text turns its octets around.
    pub byte_order: ByteOrder,
    /// The peer forgets the bit in esm_class: a message that begins with a concatenation element of the right
    /// length and sense has a header.
    pub header_without_flag: bool,
}

/// What octets are, so that they can be read, written, measured and cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Charset {
    /// GSM septets, one per octet.
    Gsm7(Shifts),
    /// GSM septets, packed.
    Gsm7Packed {
        /// The tables.
        shifts: Shifts,
        /// Bits between header and text, 0 to 6.
        fill: u8,
    },
    /// One octet a character.
    SingleOctet(SingleOctet),
    /// One octet a character, as a message centre's own alphabet: it goes on air in the GSM alphabet, so it
    /// is measured in septets.
    AsDefault(SingleOctet),
    /// UTF-16.
    Ucs2(ByteOrder),
    /// UTF-8.
    Utf8,
    /// Octets that nothing here reads: binary, compressed, or of an alphabet that is passed through.
    Opaque,
}

/// What the limits of one SMS are counted in (sms-text.md §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unit {
    /// Seven bits.
    Septet,
    /// Eight bits.
    Octet,
    /// Sixteen bits.
    Utf16,
}

impl Unit {
    /// How many fit into one SMS behind a header of so many octets, its length octet counted; 0 without a
    /// header.
    pub const fn room(self, header_octets: usize) -> usize {
        let octets = super::udh::USER_DATA_MAX.saturating_sub(header_octets);
        match self {
            Self::Septet => octets * 8 / 7,
            Self::Octet => octets,
            Self::Utf16 => octets / 2,
        }
    }
}

impl Charset {
    /// Of a coding, as `peer` means it, with the tables and the length that the header states (0 without
    /// one).
    pub fn of(coding: Coding, peer: Peer, shifts: Shifts, header_octets: usize) -> Self {
        if coding.compressed {
            return Self::Opaque;
        }
        match coding.alphabet {
            Alphabet::Gsm7 => Self::Gsm7(shifts),
            Alphabet::Default => match peer.default_alphabet {
                DefaultAlphabet::Gsm7 => Self::Gsm7(shifts),
                DefaultAlphabet::Gsm7Packed => Self::Gsm7Packed {
                    shifts,
                    fill: pack::fill_bits(header_octets),
                },
                DefaultAlphabet::Ascii => Self::AsDefault(SingleOctet::Ascii),
                DefaultAlphabet::Latin1 => Self::AsDefault(SingleOctet::Latin1),
                DefaultAlphabet::Windows1252 => Self::AsDefault(SingleOctet::Windows1252),
                DefaultAlphabet::Utf8 => Self::Utf8,
            },
            Alphabet::Ascii => Self::SingleOctet(SingleOctet::Ascii),
            Alphabet::Latin1 => Self::SingleOctet(SingleOctet::Latin1),
            Alphabet::Cyrillic => Self::SingleOctet(SingleOctet::Cyrillic),
            Alphabet::Hebrew => Self::SingleOctet(SingleOctet::Hebrew),
            Alphabet::Ucs2 => Self::Ucs2(peer.byte_order),
            Alphabet::Binary
            | Alphabet::Jis
            | Alphabet::Pictogram
            | Alphabet::MusicCodes
            | Alphabet::ExtendedKanji
            | Alphabet::Korean
            | Alphabet::Reserved => Self::Opaque,
        }
    }

    /// Appends the octets of a text. UCS-2 is written big endian, packed septets with a carriage return in
    /// seven spare bits (SMPP counts octets only).
    ///
    /// # Errors
    ///
    /// A character that the charset does not have, [`Charset::Opaque`] having none; `out` is then as it was.
    pub fn encode(self, text: &str, out: &mut Vec<u8>) -> Result<(), NotEncodable> {
        match self {
            Self::Gsm7(shifts) => gsm7::encode(text, shifts, out),
            Self::Gsm7Packed { shifts, fill } => {
                let from = out.len();
                gsm7::encode(text, shifts, out)?;
                pack::pack_from_without_count(from, fill, out);
                Ok(())
            }
            Self::SingleOctet(alphabet) | Self::AsDefault(alphabet) => alphabet.encode(text, out),
            Self::Ucs2(_) => {
                ucs2::encode(text, out);
                Ok(())
            }
            Self::Utf8 => {
                out.extend_from_slice(text.as_bytes());
                Ok(())
            }
            Self::Opaque if text.is_empty() => Ok(()),
            Self::Opaque => Err(NotEncodable { at: 0 }),
        }
    }

    /// Appends the text of octets, and counts the characters that had to be replaced by U+FFFD. `None`: the
    /// octets are no text.
    pub fn decode(self, octets: &[u8], out: &mut String) -> Option<usize> {
        Some(match self {
            Self::Gsm7(shifts) => gsm7::decode(octets, shifts, out),
            Self::Gsm7Packed { shifts, fill } => {
                let count = pack::guess_count(octets, fill);
                gsm7::decode_septets(pack::septets(octets, fill, count), shifts, out)
            }
            Self::SingleOctet(alphabet) | Self::AsDefault(alphabet) => alphabet.decode(octets, out),
            Self::Ucs2(order) => ucs2::decode(octets, order, out),
            Self::Utf8 => {
                let mut replaced = 0;
                for chunk in octets.utf8_chunks() {
                    out.push_str(chunk.valid());
                    if !chunk.invalid().is_empty() {
                        out.push(char::REPLACEMENT_CHARACTER);
                        replaced += 1;
                    }
                }
                replaced
            }
            Self::Opaque => return None,
        })
    }

    /// What the limits are counted in. ASCII counts in septets, because a message centre sends it in the GSM
    /// alphabet; ISO-8859-1 by its own `data_coding` may go out as 8-bit data, so it counts in octets.
    pub const fn unit(self) -> Unit {
        match self {
            Self::Gsm7(_)
            | Self::Gsm7Packed { .. }
            | Self::SingleOctet(SingleOctet::Ascii)
            | Self::AsDefault(_) => Unit::Septet,
            Self::Ucs2(_) => Unit::Utf16,
            Self::SingleOctet(_) | Self::Utf8 | Self::Opaque => Unit::Octet,
        }
    }

    /// How many units these octets take. A last odd octet of UCS-2 counts as a unit.
    pub fn units(self, octets: &[u8]) -> usize {
        match self {
            Self::Gsm7(_) | Self::Utf8 | Self::Opaque => octets.len(),
            Self::Gsm7Packed { fill, .. } => pack::guess_count(octets, fill),
            Self::AsDefault(alphabet) | Self::SingleOctet(alphabet @ SingleOctet::Ascii) => {
                octets.iter().map(|octet| alphabet.septets_on_air(*octet)).sum()
            }
            Self::SingleOctet(_) => octets.len(),
            Self::Ucs2(_) => octets.len().div_ceil(2),
        }
    }

    /// How many of these octets may stand in one part of `room` units without separating what belongs
    /// together: an escape from its code, the halves of a surrogate pair, the octets of a UTF-8 character. 0
    /// only when there is no octet or `room` is under 2 (UTF-8: 4).
    ///
    /// Not for packed septets, which are cut as if they were octets.
    pub(super) fn cut(self, octets: &[u8], room: usize) -> usize {
        let whole = |room: usize| octets.len().min(room);
        match self {
            Self::Gsm7(_) if octets.len() > room => {
                // Escapes pair up from the front, so an odd run of them ends with one whose code follows.
                let before = octets.get(..room).unwrap_or_default();
                let run = before
                    .iter()
                    .rev()
                    .take_while(|octet| **octet == super::table::ESCAPE)
                    .count();
                room - run % 2
            }
            Self::AsDefault(alphabet) | Self::SingleOctet(alphabet @ SingleOctet::Ascii) => {
                let mut left = room;
                octets
                    .iter()
                    .take_while(|octet| {
                        let cost = alphabet.septets_on_air(**octet);
                        let fits = cost <= left;
                        left = left.saturating_sub(cost);
                        fits
                    })
                    .count()
            }
            Self::Ucs2(_) if octets.len() > 2 * room => ucs2::cut(octets, 2 * room),
            Self::Ucs2(_) => octets.len(),
            Self::Utf8 if octets.len() > room => {
                let continues = |at: &usize| octets.get(*at).is_some_and(|octet| octet & 0xc0 == 0x80);
                let back = (room.saturating_sub(3)..=room).rev().find(|at| !continues(at));
                // Four in a row that continue are no UTF-8.
                back.unwrap_or(room)
            }
            Self::Gsm7(_) | Self::Gsm7Packed { .. } | Self::SingleOctet(_) | Self::Utf8 | Self::Opaque => {
                whole(room)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::shift::Language;
    use super::*;
    use crate::values::DataCoding;

    fn of(octet: u8, default_alphabet: DefaultAlphabet) -> Charset {
        let peer = Peer {
            default_alphabet,
            ..Peer::default()
        };
        Charset::of(Coding::of(DataCoding(octet)), peer, Shifts::NONE, 6)
    }

    #[test]
    fn zero_is_what_the_peer_says_and_other_values_are_what_they_are() {
        use DefaultAlphabet as D;
        for (default, charset) in [
            (D::Gsm7, Charset::Gsm7(Shifts::NONE)),
            (
                D::Gsm7Packed,
                Charset::Gsm7Packed {
                    shifts: Shifts::NONE,
                    fill: 1,
                },
            ),
            (D::Ascii, Charset::AsDefault(SingleOctet::Ascii)),
            (D::Latin1, Charset::AsDefault(SingleOctet::Latin1)),
            (D::Windows1252, Charset::AsDefault(SingleOctet::Windows1252)),
            (D::Utf8, Charset::Utf8),
        ] {
            assert_eq!(of(0, default), charset);
            for octet in [0xf0, 0x10, 0xc8] {
                assert_eq!(of(octet, default), Charset::Gsm7(Shifts::NONE), "{octet:#x}");
            }
            assert_eq!(of(3, default), Charset::SingleOctet(SingleOctet::Latin1));
            for octet in [8, 0x18, 0xe8] {
                assert_eq!(of(octet, default), Charset::Ucs2(ByteOrder::Big), "{octet:#x}");
            }
            // 0x20: compressed. The rest is carried, not read.
            for octet in [2, 4, 5, 9, 10, 13, 14, 15, 0x15, 0x20, 0x28, 0xf4, 0xf5] {
                assert_eq!(of(octet, default), Charset::Opaque, "{octet:#x}");
            }
        }
    }

    #[test]
    fn limits_are_those_of_the_reference() {
        for (header, septets, octets, utf16) in [
            (0, 160, 140, 70),
            (6, 153, 134, 67),
            (7, 152, 133, 66),
            (4, 155, 136, 68),
            (9, 149, 131, 65),
            (12, 146, 128, 64),
            (10, 148, 130, 65),
            (13, 145, 127, 63),
            (140, 0, 0, 0),
            (usize::MAX, 0, 0, 0),
        ] {
            let room = [Unit::Septet, Unit::Octet, Unit::Utf16].map(|unit| unit.room(header));
            assert_eq!(room, [septets, octets, utf16], "{header}");
        }
    }

    #[test]
    fn an_ascii_text_is_measured_as_it_goes_on_air() {
        let ascii = Charset::SingleOctet(SingleOctet::Ascii);
        assert_eq!(ascii.units(b"a[b]"), 6);
        assert_eq!(ascii.cut(b"a[b]", 3), 2);
        assert_eq!(ascii.cut(b"a[b]", 2), 1);
        let windows = Charset::AsDefault(SingleOctet::Windows1252);
        assert_eq!((windows.units(b"5 \x80"), windows.cut(b"5 \x80", 3)), (4, 2));
        assert_eq!(Charset::SingleOctet(SingleOctet::Latin1).units(b"a[b]"), 4);
    }

    #[test]
    fn an_escape_stays_with_its_code_and_a_pair_of_escapes_is_a_pair() {
        let gsm7 = Charset::Gsm7(Shifts::NONE);
        for (octets, room, cut) in [
            (&b"ab\x1be"[..], 3, 2),
            (b"ab\x1be", 4, 4),
            (b"a\x1b\x1be", 3, 3),
            (b"a\x1b\x1b\x1be", 4, 3),
            (b"\x1b\x1b\x1b\x1b", 3, 2),
            (b"abc\x1b", 3, 3),
            (b"abc\x1b", 4, 4),
        ] {
            assert_eq!(gsm7.cut(octets, room), cut, "{octets:x?} {room}");
        }
    }

    #[test]
    fn a_character_of_utf_8_stays_whole() {
        let octets = "aé😀".as_bytes();
        for (room, cut) in [(1, 1), (2, 1), (3, 3), (4, 3), (6, 3), (7, 7)] {
            assert_eq!(Charset::Utf8.cut(octets, room), cut, "{room}");
        }
        assert_eq!(Charset::Utf8.cut(&[0x80; 20], 10), 10);
    }

    /// Every charset that reads text.
    fn charsets() -> impl Strategy<Value = Charset> {
        let shifts = Shifts {
            single: Some(Language::Portuguese),
            locking: Some(Language::Hindi),
        };
        proptest::sample::select(vec![
            Charset::Gsm7(Shifts::NONE),
            Charset::Gsm7(shifts),
            Charset::Gsm7Packed {
                shifts: Shifts::NONE,
                fill: 0,
            },
            Charset::Gsm7Packed { shifts, fill: 5 },
            Charset::SingleOctet(SingleOctet::Ascii),
            Charset::SingleOctet(SingleOctet::Latin1),
            Charset::SingleOctet(SingleOctet::Cyrillic),
            Charset::SingleOctet(SingleOctet::Hebrew),
            Charset::AsDefault(SingleOctet::Latin1),
            Charset::AsDefault(SingleOctet::Windows1252),
            Charset::Ucs2(ByteOrder::Big),
            Charset::Ucs2(ByteOrder::ByMark),
            Charset::Utf8,
        ])
    }

    proptest! {
        #[test]
        fn what_a_charset_writes_it_reads(
            charset in charsets(),
            text in "[a-z@\u{e9}\u{905}\u{434}\u{5d0}\u{20ac}\u{1f600}]{0,60}",
        ) {
            let (mut octets, mut back) = (vec![7], String::new());
            match charset.encode(&text, &mut octets) {
                Ok(()) => {
                    prop_assert_eq!(charset.decode(&octets[1..], &mut back), Some(0));
                    prop_assert_eq!(back, text);
                }
                Err(error) => {
                    prop_assert!(text.is_char_boundary(error.at) && error.at < text.len());
                    prop_assert_eq!(octets, [7]);
                }
            }
        }

        #[test]
        fn any_octets_are_read_measured_and_cut_to_the_end(
            charset in charsets(),
            octets in proptest::collection::vec(prop_oneof![any::<u8>(), Just(0x1b), Just(0xd8)], 0..300),
            room in 4usize..70,
        ) {
            charset.decode(&octets, &mut String::new());
            prop_assert!(charset.units(&octets) <= 2 * octets.len());
            let (mut rest, mut cuts) = (octets.as_slice(), 0);
            while !rest.is_empty() {
                let cut = charset.cut(rest, room);
                prop_assert!(cut > 0 && cut <= rest.len());
                if !matches!(charset, Charset::Gsm7Packed { .. }) {
                    prop_assert!(charset.units(&rest[..cut]) <= room);
                }
                rest = &rest[cut..];
                cuts += 1;
            }
            prop_assert!(cuts <= octets.len());
        }
    }
}
