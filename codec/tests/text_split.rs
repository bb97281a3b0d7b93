//! Cutting: every part fits, reads by itself, and together they are the message.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use proptest::prelude::*;
use tidegate_codec::text::ucs2::{self, ByteOrder};
use tidegate_codec::text::{
    Carriage, Charset, Language, Peer, Place, Reference, Shifts, SingleOctet, Split, SplitError, SplitRules,
    Udh, choose, decode_parts, encode, read,
};
use tidegate_codec::tlv::Tlvs;
use tidegate_codec::values::EsmClass;

const GSM7: Charset = Charset::Gsm7(Shifts::NONE);
const ALL: [Carriage; 5] = [
    Carriage::Udh8,
    Carriage::Udh16,
    Carriage::Sar,
    Carriage::SarWide,
    Carriage::Payload,
];

fn rules(carriage: Carriage) -> SplitRules {
    SplitRules {
        carriage,
        reference: 0x1234,
        parts_max: 255,
    }
}

fn written(split: Split<'_>) -> Vec<Vec<u8>> {
    let total = usize::from(split.total());
    assert_eq!(split.len(), total);
    let parts: Vec<Vec<u8>> = split
        .map(|part| {
            let mut out = Vec::new();
            part.write(&mut out);
            out
        })
        .collect();
    assert_eq!(parts.len(), total);
    parts
}

#[test]
fn ports_and_tables_go_into_every_part_and_the_rest_into_the_first() {
    let message = b"\x0e\x05\x04\x0b\x84\x23\xf0\x70\x00\x25\x01\x01\x00\x01\x00";
    let octets = [&message[..], &[b'x'; 300]].concat();
    let (header, text) = Udh::split(&octets).unwrap();
    let parts = written(Split::new(GSM7, Some(header), text, rules(Carriage::Udh8)).unwrap());
    let first = b"\x10\x00\x03\x34\x03\x01\x05\x04\x0b\x84\x23\xf0\x70\x00\x25\x01\x01";
    let second = b"\x0e\x00\x03\x34\x03\x02\x05\x04\x0b\x84\x23\xf0\x25\x01\x01";
    assert_eq!(&parts[0][..17], first);
    assert_eq!(&parts[1][..15], second);
    assert_eq!((parts[0].len() - 17, parts[1].len() - 15), (140, 142));
}

#[test]
fn a_message_that_fits_keeps_its_header_octet_for_octet() {
    let octets = [&b"\x08\x0a\x03\x00\x05\x10\x00\x01\x07"[..], &[b'x'; 149]].concat();
    let (header, text) = Udh::split(&octets).unwrap();
    for carriage in ALL {
        let split = Split::new(GSM7, Some(header), text, rules(carriage)).unwrap();
        assert!(
            split
                .clone()
                .all(|part| part.has_header() && part.sar().is_none())
        );
        assert_eq!(written(split), std::slice::from_ref(&octets), "{carriage:?}");
    }
}

#[test]
fn concatenation_without_sense_is_dropped_when_the_message_is_cut_even_if_one_part_is_then_enough() {
    let mut octets = vec![0x20, 0x00, 0x1e];
    octets.resize(0x21, 9);
    octets.extend([b'x'; 150]);
    let (header, text) = Udh::split(&octets).unwrap();
    let parts = written(Split::new(GSM7, Some(header), text, rules(Carriage::Udh8)).unwrap());
    assert_eq!(parts.len(), 1);
    assert_eq!(parts[0][..6], [5, 0, 3, 0x34, 1, 1]);
    assert_eq!(parts[0][6..], *text);
}

#[test]
fn what_cannot_be_cut_says_why() {
    let long = [b'x'; 300];
    let cut = |charset, header: &'static [u8], text: &'static [u8], carriage| {
        let header = (!header.is_empty()).then(|| Udh::split(header).unwrap().0);
        Split::new(charset, header, text, rules(carriage)).map(|split| split.total())
    };
    let part = b"\x05\x00\x03\x01\x02\x01";
    let long: &'static [u8] = Box::leak(Box::new(long));
    assert_eq!(cut(GSM7, part, long, Carriage::Udh8), Err(SplitError::IsPart));
    assert_eq!(cut(GSM7, part, long, Carriage::Payload), Ok(1));
    assert_eq!(cut(GSM7, part, &long[..153], Carriage::Udh8), Ok(1));
    let ports = b"\x04\x04\x02\xf0\xf1";
    assert_eq!(
        cut(GSM7, ports, long, Carriage::Sar),
        Err(SplitError::HeaderWithSar)
    );
    let turkish = Charset::Gsm7(Shifts {
        single: Some(Language::Turkish),
        locking: None,
    });
    assert_eq!(
        cut(turkish, b"", long, Carriage::SarWide),
        Err(SplitError::HeaderWithSar)
    );
    let packed = Charset::Gsm7Packed {
        shifts: Shifts::NONE,
        fill: 0,
    };
    assert_eq!(cut(packed, b"", long, Carriage::Udh8), Err(SplitError::Unready));
    assert_eq!(cut(packed, b"", &long[..140], Carriage::Udh8), Ok(1));
    let mut security = vec![0x85, 0x70, 0x83];
    security.resize(0x86, 1);
    let security: &'static [u8] = Vec::leak(security);
    assert_eq!(
        cut(GSM7, security, long, Carriage::Udh8),
        Err(SplitError::NoRoom { octets: 139 })
    );
}

#[test]
fn little_endian_text_is_to_be_turned_around_first() {
    let octets = [[0xff, 0xfe], [0x36, 0x04]].concat().repeat(50);
    let charset = Charset::Ucs2(ByteOrder::ByMark);
    let refused = Split::new(charset, None, &octets, rules(Carriage::Udh8)).map(|split| split.total());
    assert_eq!(refused, Err(SplitError::Unready));
    let mut turned = Vec::new();
    ucs2::turn_around(&octets, &mut turned);
    assert_eq!(turned[..2], [0x04, 0x36]);
    assert!(Split::new(charset, None, &turned, rules(Carriage::Udh8)).is_ok());
}

#[test]
fn there_are_never_more_parts_than_are_wanted_nor_than_255() {
    let text = vec![b'x'; 255 * 153 + 1];
    let total = |octets, parts_max| {
        let rules = SplitRules {
            parts_max,
            ..rules(Carriage::Udh8)
        };
        Split::new(GSM7, None, &text[..octets], rules).map(|split| split.total())
    };
    assert_eq!(total(255 * 153, 255), Ok(255));
    assert_eq!(
        total(255 * 153 + 1, 255),
        Err(SplitError::TooManyParts { max: 255 })
    );
    assert_eq!(total(3 * 153, 3), Ok(3));
    assert_eq!(total(3 * 153 + 1, 3), Err(SplitError::TooManyParts { max: 3 }));
    assert_eq!(total(161, 0), Err(SplitError::TooManyParts { max: 0 }));
    assert_eq!(total(160, 0), Ok(1));
}

#[test]
fn a_payload_is_one_part_up_to_what_a_tlv_counts() {
    let text = vec![b'x'; 65_536];
    let total =
        |octets| Split::new(GSM7, None, &text[..octets], rules(Carriage::Payload)).map(|split| split.total());
    assert_eq!(total(65_535), Ok(1));
    assert_eq!(total(65_536), Err(SplitError::TooLong { octets: 65_536 }));
}

#[test]
fn sar_parts_are_plain_text_cut_as_the_air_needs_it() {
    for (carriage, first) in [(Carriage::Sar, 134), (Carriage::SarWide, 133)] {
        let parts: Vec<_> = Split::new(Charset::Opaque, None, &[7; 200], rules(carriage))
            .unwrap()
            .collect();
        assert_eq!(parts[0].text.0.len(), first);
        assert!(parts.iter().all(|part| !part.has_header()));
        let places: Vec<_> = parts.iter().map(|part| part.sar().unwrap()).collect();
        assert_eq!(places[1], Place::new(Reference::Sar(0x1234), 2, 2).unwrap());
    }
}

#[test]
fn parts_show_their_length_only() {
    let part = Split::new(GSM7, None, b"secret", rules(Carriage::Udh8))
        .unwrap()
        .next()
        .unwrap();
    let shown = format!("{part:?}");
    assert!(shown.starts_with("Part { text: Body[6]"), "{shown}");
}

fn charsets() -> impl Strategy<Value = Charset> {
    proptest::sample::select(vec![
        GSM7,
        Charset::Gsm7(Shifts {
            single: Some(Language::Urdu),
            locking: Some(Language::Urdu),
        }),
        Charset::SingleOctet(SingleOctet::Ascii),
        Charset::SingleOctet(SingleOctet::Latin1),
        Charset::Ucs2(ByteOrder::Big),
        Charset::Utf8,
        Charset::Opaque,
    ])
}

proptest! {
    #[test]
    fn parts_put_together_are_the_text_and_each_reads_by_itself(
        text in "[a-zé\\[€şж😀]{0,400}",
        turkish in any::<bool>(),
        which in 0usize..5,
    ) {
        let languages: &[Language] = if turkish { &[Language::Turkish] } else { &[] };
        let mut octets = Vec::new();
        let choice = encode(&text, languages, ALL[which], &mut octets);
        let split = Split::new(choice.charset, None, &octets, rules(ALL[which])).unwrap();
        if ALL[which] != Carriage::Payload {
            prop_assert_eq!(usize::from(split.total()), choice.count.parts);
        }
        prop_assert_eq!(choice, choose(&text, languages, ALL[which]));
        let (mut joined, mut one_by_one) = (Vec::new(), String::new());
        for (part, octets) in split.clone().zip(written(split)) {
            let esm_class = EsmClass(if part.has_header() { 0x40 } else { 0 });
            let reading = read(choice.data_coding(), esm_class, &octets, Peer::default());
            if ALL[which] != Carriage::Payload {
                let header = reading.header.map_or(0, |header| header.octets());
                prop_assert!(reading.charset.units(reading.text.0) <= reading.charset.unit().room(header));
            }
            if part.sar().is_none() {
                prop_assert_eq!(reading.place(&Tlvs::NONE), part.place());
            }
            prop_assert_eq!(reading.charset, choice.charset);
            prop_assert_eq!(reading.charset.decode(reading.text.0, &mut one_by_one), Some(0));
            joined.push((reading.charset, part.text.0));
        }
        prop_assert_eq!(&one_by_one, &text);
        let mut back = String::new();
        prop_assert_eq!(decode_parts(joined, &mut Vec::new(), &mut back), Some(0));
        prop_assert_eq!(back, text);
    }

    /// sms-text.md §10: greedily, and a unit early only before a character of two.
    #[test]
    fn every_part_but_the_last_is_full(text in "[a-z\\[€ş]{150,500}|[жé😀]{60,300}", which in 0usize..4) {
        let mut octets = Vec::new();
        let choice = encode(&text, &[Language::Turkish], ALL[which], &mut octets);
        let split = Split::new(choice.charset, None, &octets, rules(ALL[which])).unwrap();
        let total = usize::from(split.total());
        let (septets, utf16) = match ALL[which] {
            Carriage::Udh8 | Carriage::Sar => (153, 67),
            _ => (152, 66),
        };
        // By sms-text.md §5: 149 and 146 with the tables of a language, 148 and 145.
        let room = match choice.charset {
            Charset::Ucs2(_) => utf16,
            Charset::Gsm7(Shifts::NONE) => septets,
            Charset::Gsm7(Shifts { single: Some(_), locking: Some(_) }) => septets - 7,
            _ => septets - 4,
        };
        let cost = |character: char| {
            let mut octets = Vec::new();
            choice.charset.encode(character.encode_utf8(&mut [0; 4]), &mut octets).unwrap();
            choice.charset.units(&octets)
        };
        let mut rest = text.chars();
        for part in split.take(total - 1) {
            let units = choice.charset.units(part.text.0);
            let mut left = units;
            while left > 0 {
                left -= cost(rest.next().unwrap());
            }
            let next = cost(rest.clone().next().unwrap());
            prop_assert!(units <= room && units + next > room, "{units} of {room}");
        }
    }

    #[test]
    fn any_octets_are_cut_without_loss_or_refused(
        octets in proptest::collection::vec(prop_oneof![any::<u8>(), Just(0x1b), Just(0xd8)], 0..700),
        header in proptest::option::of(proptest::collection::vec(prop_oneof![any::<u8>(), 0u8..9], 0..150)),
        charset in charsets(),
        which in 0usize..5,
        parts_max in any::<u8>(),
    ) {
        let header = header.as_deref().and_then(|octets| Udh::split(octets).ok()).map(|(udh, _)| udh);
        let rules = SplitRules { parts_max, ..rules(ALL[which]) };
        let Ok(split) = Split::new(charset, header, &octets, rules) else { return Ok(()) };
        let text: Vec<u8> = split.clone().flat_map(|part| part.text.0.to_vec()).collect();
        prop_assert_eq!(text, &octets[..]);
        for (part, out) in split.clone().zip(written(split.clone())) {
            prop_assert!(out.ends_with(part.text.0));
            let header = out.len() - part.text.0.len();
            prop_assert_eq!(header > 0, part.has_header());
            if part.place().is_some() {
                prop_assert!(charset.units(part.text.0) <= charset.unit().room(header));
                if part.has_header() {
                    let (header, text) = Udh::split(&out).unwrap();
                    prop_assert_eq!((header.place(), text), (part.place(), part.text.0));
                }
            }
        }
    }
}
