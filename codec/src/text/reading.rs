//! A message as it stands in a PDU, taken apart.

use super::charset::{Charset, Peer};
use super::coding::Coding;
use super::pack;
use super::place::Place;
use super::shift::Shifts;
use super::udh::{Element, Udh};
use crate::octets::Body;
use crate::tlv::Tlvs;
use crate::values::{DataCoding, EsmClass};

/// A message taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading<'a> {
    /// What its `data_coding` says.
    pub coding: Coding,
    /// What its octets are. [`Charset::Opaque`] when its header is broken.
    pub charset: Charset,
    /// Its header, if it has one that can be read.
    pub header: Option<Udh<'a>>,
    /// Its esm_class announces a header that cannot be read.
    pub broken_header: bool,
    /// What stands behind the header; all octets when that is broken.
    pub text: Body<'a>,
}

/// Takes a message apart: `octets` are its short_message or its message_payload.
///
/// A message whose header is announced but broken is opaque octets, to be forwarded as it is and never
/// reassembled (sms-text.md §8).
pub fn read(data_coding: DataCoding, esm_class: EsmClass, octets: &[u8], peer: Peer) -> Reading<'_> {
    let coding = Coding::of(data_coding);
    let split = if esm_class.has_udh() {
        Some(Udh::split(octets))
    } else if peer.header_without_flag {
        unannounced(octets).map(Ok)
    } else {
        None
    };
    match split {
        Some(Ok((header, text))) => Reading {
            coding,
            charset: Charset::of(coding, peer, header.shifts(), header.octets()),
            header: Some(header),
            broken_header: false,
            text: Body(text),
        },
        Some(Err(_)) => Reading {
            coding,
            charset: Charset::Opaque,
            header: None,
            broken_header: true,
            text: Body(octets),
        },
        None => Reading {
            coding,
            charset: Charset::of(coding, peer, Shifts::NONE, 0),
            header: None,
            broken_header: false,
            text: Body(octets),
        },
    }
}

/// A header that begins with a concatenation element that makes sense, which no text does by chance.
fn unannounced(octets: &[u8]) -> Option<(Udh<'_>, &[u8])> {
    let (header, text) = Udh::split(octets).ok()?;
    matches!(header.elements().next(), Some(Element::Concatenation(_))).then_some((header, text))
}

impl Reading<'_> {
    /// Which part of a long text this is: by its header, and without one by the SAR parameters. A message
    /// with a broken header stands alone.
    pub fn place(&self, tlvs: &Tlvs<'_>) -> Option<Place> {
        match self.header {
            Some(header) => header.place(),
            None if self.broken_header => None,
            None => Place::of_tlvs(tlvs),
        }
    }
}

/// Appends the text of the parts of one message, in their order, and counts what had to be replaced. `None`
/// when one of them is no text; what the others say is appended all the same.
///
/// Parts of one charset are joined before they are read: a careless sender may have cut an escape or a
/// surrogate pair in two, and that heals it. A byte order mark counts in front of the first and is left out in front of
/// the others, which careless senders repeat it in. Parts of different charsets are read each by its own
/// (sms-text.md §11). `scratch` is overwritten.
pub fn decode_parts<'a>(
    parts: impl IntoIterator<Item = (Charset, &'a [u8])>,
    scratch: &mut Vec<u8>,
    out: &mut String,
) -> Option<usize> {
    let mut replaced = Some(0);
    let mut add = |charset: Charset, octets: &[u8], out: &mut String| {
        let more = charset.decode(octets, out);
        replaced = replaced.zip(more).map(|(sum, more)| sum + more);
    };
    scratch.clear();
    let mut joined = None;
    for (charset, octets) in parts {
        // Packed septets are joined as septets: each part is packed by itself.
        let kind = match charset {
            Charset::Gsm7Packed { shifts, .. } => Charset::Gsm7(shifts),
            other => other,
        };
        if let Some(before) = joined.filter(|before| *before != kind) {
            add(before, scratch, out);
            scratch.clear();
        }
        joined = Some(kind);
        match charset {
            Charset::Gsm7Packed { fill, .. } => pack::unpack_without_count(octets, fill, scratch),
            Charset::Ucs2(_) if !scratch.is_empty() && octets.get(..2) == Some(mark_of(scratch)) => {
                scratch.extend_from_slice(&octets[2..]);
            }
            _ => scratch.extend_from_slice(octets),
        }
    }
    if let Some(last) = joined {
        add(last, scratch, out);
    }
    replaced
}

/// The byte order mark in the order of octets that begin a text of UCS-2.
const fn mark_of(text: &[u8]) -> &'static [u8] {
    match text {
        [0xff, 0xfe, ..] => &[0xff, 0xfe],
        _ => &[0xfe, 0xff],
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::charset::DefaultAlphabet;
    use super::super::place::Reference;
    use super::super::shift::Language;
    use super::super::ucs2::ByteOrder;
    use super::*;

    const UCS2: Charset = Charset::Ucs2(ByteOrder::Big);
    const GSM7: Charset = Charset::Gsm7(Shifts::NONE);

    fn text_of(parts: &[(Charset, &[u8])]) -> (String, Option<usize>) {
        let mut text = String::new();
        let replaced = decode_parts(parts.iter().copied(), &mut Vec::new(), &mut text);
        (text, replaced)
    }

    #[test]
    fn a_byte_order_mark_in_every_part_is_none_of_the_text() {
        let by_mark = Charset::Ucs2(ByteOrder::ByMark);
        let parts: [(Charset, &[u8]); 2] = [(by_mark, b"\xff\xfea\0"), (by_mark, b"\xff\xfeb\0")];
        assert_eq!(text_of(&parts), ("ab".to_owned(), Some(0)));
        let parts: [(Charset, &[u8]); 2] = [(UCS2, b"\xfe\xff\0a"), (UCS2, b"\xfe\xff\0b")];
        assert_eq!(text_of(&parts), ("ab".to_owned(), Some(0)));
        // Without one in front, what looks like the other order's mark is a character.
        let parts: [(Charset, &[u8]); 2] = [(UCS2, b"\0a"), (UCS2, b"\xff\xfe")];
        assert_eq!(text_of(&parts).0, "a\u{fffe}");
    }

    #[test]
    fn national_tables_come_from_the_header_and_only_from_an_announced_one() {
        let octets = b"\x03\x25\x01\x01\x1d";
        let reading = read(DataCoding(0), EsmClass(0x40), octets, Peer::default());
        let turkish = Shifts {
            single: None,
            locking: Some(Language::Turkish),
        };
        assert_eq!(
            (reading.charset, reading.text),
            (Charset::Gsm7(turkish), Body(b"\x1d"))
        );
        let reading = read(DataCoding(0), EsmClass(0), octets, Peer::default());
        assert_eq!(
            (reading.charset, reading.header, reading.text.0.len()),
            (GSM7, None, 5)
        );
    }

    #[test]
    fn a_broken_header_makes_the_message_opaque() {
        let reading = read(
            DataCoding(8),
            EsmClass(0x40),
            b"\x06\x00\x03\x01",
            Peer::default(),
        );
        assert_eq!(
            (reading.charset, reading.header, reading.text.0.len()),
            (Charset::Opaque, None, 4)
        );
        let mut sar = Vec::new();
        let place = Place::new(Reference::Sar(7), 2, 1).unwrap();
        place.append_tlvs(&mut sar);
        let tlvs = Tlvs::new(&sar);
        assert_eq!(reading.place(&tlvs), None);
        // Without a header the parameters count; with one they do not.
        let plain = read(DataCoding(8), EsmClass(0), b"\x00a", Peer::default());
        assert_eq!(plain.place(&tlvs), Some(place));
        let ports = read(
            DataCoding(4),
            EsmClass(0x40),
            b"\x04\x04\x02\xf0\xf1a",
            Peer::default(),
        );
        assert_eq!(ports.place(&tlvs), None);
    }

    #[test]
    fn a_header_that_nobody_announced_is_looked_for_only_where_the_peer_is_known_for_it() {
        let forgetful = Peer {
            header_without_flag: true,
            ..Peer::default()
        };
        for (octets, header) in [
            (&b"\x05\x00\x03\x01\x02\x01a"[..], true),
            (b"\x06\x08\x04\x00\x01\x02\x01a", true),
            (b"\x05\x00\x03\x01\x02\x03a", false),
            (b"\x05\x00\x03\x01", false),
            (b"\x03\x24\x01\x01a", false),
            (b"hello", false),
            (b"", false),
        ] {
            let found = read(DataCoding(0), EsmClass(0), octets, forgetful);
            assert_eq!(found.header.is_some(), header, "{octets:x?}");
            let plain = read(DataCoding(0), EsmClass(0), octets, Peer::default());
            assert_eq!(plain.text.0, octets);
        }
    }

    #[test]
    fn packed_text_is_read_from_the_septet_boundary_behind_its_header() {
        let peer = Peer {
            default_alphabet: DefaultAlphabet::Gsm7Packed,
            ..Peer::default()
        };
        let mut octets = b"\x05\x00\x03\x2a\x02\x01".to_vec();
        pack::pack_without_count(b"hello", 1, &mut octets);
        let reading = read(DataCoding(0), EsmClass(0x40), &octets, peer);
        let mut text = String::new();
        assert_eq!(reading.charset.decode(reading.text.0, &mut text), Some(0));
        assert_eq!(text, "hello");
    }

    #[test]
    fn what_was_cut_in_two_heals_when_the_codings_are_the_same() {
        assert_eq!(
            text_of(&[(GSM7, b"5 \x1b"), (GSM7, b"e")]),
            ("5 €".to_owned(), Some(0))
        );
        assert_eq!(
            text_of(&[(UCS2, &[0xd8, 0x3d]), (UCS2, &[0xde, 0x00])]),
            ("😀".to_owned(), Some(0))
        );
        assert_eq!(
            text_of(&[(UCS2, &[0x04]), (UCS2, &[0x36])]),
            ("ж".to_owned(), Some(0))
        );
        let packed = |fill| Charset::Gsm7Packed {
            shifts: Shifts::NONE,
            fill,
        };
        let (mut first, mut second) = (Vec::new(), Vec::new());
        pack::pack_without_count(b"5 \x1b", 1, &mut first);
        pack::pack_without_count(b"e", 0, &mut second);
        assert_eq!(
            text_of(&[(packed(1), &first), (packed(0), &second)]),
            ("5 €".to_owned(), Some(0))
        );
    }

    #[test]
    fn parts_of_different_codings_are_read_each_by_its_own() {
        assert_eq!(
            text_of(&[(GSM7, b"a\x1b"), (UCS2, &[0, b'e']), (GSM7, b"\x00")]),
            ("a e@".to_owned(), Some(0))
        );
        assert_eq!(
            text_of(&[(GSM7, b"a"), (Charset::Opaque, b"\x01\x02"), (GSM7, b"b")]),
            ("ab".to_owned(), None)
        );
        assert_eq!(text_of(&[]), (String::new(), Some(0)));
    }

    proptest! {
        #[test]
        fn any_message_is_taken_apart_and_no_octet_is_lost(
            data_coding in any::<u8>(),
            esm_class in prop_oneof![Just(0x40), any::<u8>()],
            octets in proptest::collection::vec(prop_oneof![any::<u8>(), 0u8..8], 0..170),
            header_without_flag in any::<bool>(),
        ) {
            let peer = Peer { header_without_flag, ..Peer::default() };
            let reading = read(DataCoding(data_coding), EsmClass(esm_class), &octets, peer);
            let header = reading.header.map_or(0, |header| header.octets());
            prop_assert_eq!(header + reading.text.0.len(), octets.len());
            reading.charset.decode(reading.text.0, &mut String::new());
            let _ = reading.place(&Tlvs::new(&octets));
        }
    }
}
