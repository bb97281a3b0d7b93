use tidegate_codec::text::decode_parts;

use super::*;

const AS_RECEIVED: Texts = Texts {
    long_messages: LongMessages::AsReceived,
    default_alphabet: DefaultAlphabet::Gsm7,
    transcode: false,
};

const fn long(long_messages: LongMessages) -> Texts {
    Texts {
        long_messages,
        ..AS_RECEIVED
    }
}

const fn to(default_alphabet: DefaultAlphabet) -> Texts {
    Texts {
        default_alphabet,
        transcode: true,
        ..AS_RECEIVED
    }
}

const fn rules(texts: Texts) -> Rules {
    Rules {
        texts,
        account: DefaultAlphabet::Gsm7,
        version: InterfaceVersion::V3_4,
        reference: 0x1234,
    }
}

fn sm(data_coding: u8, esm_class: u8, octets: &[u8], sar: Option<Place>, in_payload: bool) -> Vec<u8> {
    let mut tlvs = Vec::new();
    assert!(append(&mut tlvs, Tag(0x1400), b"vendor"));
    if let Some(place) = sar {
        place.append_tlvs(&mut tlvs);
    }
    if in_payload {
        assert!(append(&mut tlvs, Tag::MESSAGE_PAYLOAD, octets));
    }
    let mut body = Vec::new();
    Sm {
        data_coding: DataCoding(data_coding),
        esm_class: EsmClass(esm_class),
        short_message: ShortMessage::new(if in_payload { b"" } else { octets }).unwrap(),
        tlvs: Tlvs::new(&tlvs),
        ..Sm::default()
    }
    .encode(&mut body);
    body
}

/// (data_coding, esm_class, text octets, in message_payload, SAR parameters).
type Told = (u8, u8, Vec<u8>, bool, Option<Place>);

fn told(body: &[u8]) -> Told {
    let sm = Sm::decode(body).unwrap();
    assert!(
        sm.tlvs.get(Tag(0x1400)).is_some(),
        "what is not of the text stays"
    );
    (
        sm.data_coding.0,
        sm.esm_class.0,
        sm.text().0.to_vec(),
        sm.tlvs.message_payload().is_some(),
        Place::of_tlvs(&sm.tlvs),
    )
}

fn rewritten(rules: &Rules, body: &[u8]) -> Told {
    match word(rules, Form::Sm, body) {
        Wording::Rewritten(body) => told(&body),
        other => panic!("{other:?}"),
    }
}

/// Words a text, cuts it, and words each part again: what a carrier gets.
fn parts(rules: &Rules, body: &[u8]) -> Vec<Told> {
    let Wording::Cut(parts) = word(rules, Form::Sm, body) else {
        panic!("not cut");
    };
    parts
        .iter()
        .map(|part| match word(rules, Form::Sm, part) {
            Wording::AsItCame => told(part),
            Wording::Rewritten(body) => told(&body),
            Wording::Cut(_) => panic!("a part is cut again"),
        })
        .collect()
}

/// The text of parts, as the carrier reads it.
fn text_of(peer: Peer, parts: &[Told]) -> String {
    let readings: Vec<_> = parts
        .iter()
        .map(|(data_coding, esm_class, octets, ..)| {
            read(DataCoding(*data_coding), EsmClass(*esm_class), octets, peer)
        })
        .collect();
    let mut text = String::new();
    let parts = readings.iter().map(|reading| (reading.charset, reading.text.0));
    assert_eq!(decode_parts(parts, &mut Vec::new(), &mut text), Some(0));
    text
}

#[test]
fn a_long_text_goes_in_parts_as_the_carrier_tells_them_apart() {
    let words = "Seas rise and fall. ".repeat(20);
    for in_payload in [true, false] {
        // short_message holds 254 octets, two parts.
        let words = if in_payload { &words[..] } else { &words[..250] };
        let body = sm(0, 0, words.as_bytes(), None, in_payload);
        let count = words.len().div_ceil(153);
        for form in [LongMessages::Udh8, LongMessages::Udh16, LongMessages::Sar] {
            let parts = parts(&rules(long(form)), &body);
            assert_eq!(parts.len(), count, "{form:?}");
            for (number, (data_coding, esm_class, octets, in_payload, sar)) in (1..).zip(&parts) {
                assert_eq!((*data_coding, *in_payload), (0, false));
                let total = u8::try_from(count).unwrap();
                let head: &[u8] = match form {
                    LongMessages::Udh16 => &[6, 8, 4, 0x12, 0x34, total, number],
                    _ => &[],
                };
                if form == LongMessages::Udh8 {
                    // What was cut takes the low octet of the counter; only what is told otherwise is folded.
                    assert_eq!(octets[..6], [5, 0, 3, 0x34, total, number]);
                } else {
                    assert!(octets.starts_with(head), "{form:?}");
                }
                let place = Place::new(Reference::Sar(0x1234), total, number);
                assert_eq!(*sar, place.filter(|_| form == LongMessages::Sar));
                assert_eq!(*esm_class, if form == LongMessages::Sar { 0 } else { 0x40 });
            }
            assert_eq!(text_of(Peer::default(), &parts), words);
        }
        let (_, _, octets, in_payload_now, _) =
            match word(&rules(long(LongMessages::Payload)), Form::Sm, &body) {
                Wording::AsItCame => told(&body),
                Wording::Rewritten(body) => told(&body),
                other @ Wording::Cut(_) => panic!("{other:?}"),
            };
        assert!(in_payload_now && octets == words.as_bytes());
        assert_eq!(word(&rules(AS_RECEIVED), Form::Sm, &body), Wording::AsItCame);
    }
}

#[test]
fn what_fits_one_part_is_one_and_who_wants_parts_gets_it_in_short_message() {
    let udh8 = rules(long(LongMessages::Udh8));
    let body = sm(0, 0, &[b'a'; 160], None, false);
    assert_eq!(word(&udh8, Form::Sm, &body), Wording::AsItCame);
    let body = sm(0, 0, &[b'a'; 160], None, true);
    assert_eq!(rewritten(&udh8, &body), (0, 0, vec![b'a'; 160], false, None));
    // 160 characters of which one takes two septets are two parts; a cut never parts an escape from its code.
    let body = sm(
        0,
        0,
        &[b"a".repeat(152), b"\x1be".to_vec(), b"a".repeat(7)].concat(),
        None,
        false,
    );
    let parts = parts(&udh8, &body);
    assert_eq!(parts[0].2.len(), 6 + 152);
    assert_eq!(
        text_of(Peer::default(), &parts),
        format!("{}€{}", "a".repeat(152), "a".repeat(7))
    );
}

#[test]
fn the_header_of_a_long_text_goes_into_every_part() {
    let ports = [6, 5, 4, 0x0b, 0x84, 0x23, 0xf0];
    let octets = [&ports[..], &[7; 200]].concat();
    let body = sm(4, 0x40, &octets, None, false);
    // SAR parameters do not go together with a header.
    for form in [LongMessages::Udh8, LongMessages::Sar] {
        let parts = parts(&rules(long(form)), &body);
        assert_eq!(parts.len(), 2);
        for (_, esm_class, octets, _, sar) in &parts {
            assert_eq!((*esm_class, *sar), (0x40, None));
            assert!(octets.len() <= 140 && octets[6..12] == ports[1..]);
        }
    }
}

#[test]
fn parts_that_the_esme_made_are_told_apart_as_the_carrier_wants_it() {
    let udh8 = sm(0, 0x40, b"\x05\x00\x03\x2a\x02\x01hello", None, false);
    let udh16 = sm(0, 0x40, b"\x06\x08\x04\x12\x34\x02\x01hello", None, false);
    let place = Place::new(Reference::Sar(0x1234), 2, 1);
    let sar = sm(0, 0, b"hello", place, false);
    let as_udh8 = (0, 0x40, b"\x05\x00\x03\x26\x02\x01hello".to_vec(), false, None);
    let to = |form, body: &[u8]| rewritten(&rules(long(form)), body);
    assert_eq!(to(LongMessages::Udh8, &udh16), as_udh8);
    assert_eq!(to(LongMessages::Udh8, &sar), as_udh8);
    // A full part would have no room for a longer header, and all are to have references of one kind.
    assert_eq!(to(LongMessages::Udh16, &sar), as_udh8);
    assert_eq!(to(LongMessages::Sar, &udh16), told(&sar));
    for (form, body) in [
        (LongMessages::Udh8, &udh8),
        (LongMessages::Udh16, &udh16),
        (LongMessages::Udh16, &udh8),
        (LongMessages::Sar, &sar),
        (LongMessages::Payload, &udh8),
        (LongMessages::AsReceived, &sar),
    ] {
        assert_eq!(
            word(&rules(long(form)), Form::Sm, body),
            Wording::AsItCame,
            "{form:?}"
        );
    }
    // A full part has no room for the longer header, and a 3.3 link none for parameters.
    let full = sm(
        0,
        0x40,
        &[b"\x05\x00\x03\x2a\x02\x01".to_vec(), vec![b'a'; 153]].concat(),
        None,
        false,
    );
    assert_eq!(
        word(&rules(long(LongMessages::Udh16)), Form::Sm, &full),
        Wording::AsItCame
    );
    let old = Rules {
        version: InterfaceVersion::V3_3,
        ..rules(long(LongMessages::Sar))
    };
    assert_eq!(word(&old, Form::Sm, &udh8), Wording::AsItCame);
}

#[test]
fn a_text_is_written_in_the_carriers_alphabet_or_in_ucs2() {
    // In the GSM alphabet 0x05 is é and 0x00 is @.
    let body = sm(0, 0, b"caf\x05\x00", None, false);
    let latin1 = rules(to(DefaultAlphabet::Latin1));
    assert_eq!(
        rewritten(&latin1, &body),
        (0, 0, b"caf\xe9@".to_vec(), false, None)
    );
    let ascii = rules(to(DefaultAlphabet::Ascii));
    let ucs2 = b"\0c\0a\0f\0\xe9\0@".to_vec();
    assert_eq!(rewritten(&ascii, &body), (8, 0, ucs2, false, None));
    // What says its alphabet itself is taken at its word.
    let said = sm(3, 0, b"caf\xe9", None, false);
    assert_eq!(rewritten(&rules(to(DefaultAlphabet::Gsm7)), &said).2, b"caf\x05");
    let packed = rewritten(
        &rules(to(DefaultAlphabet::Gsm7Packed)),
        &sm(0, 0, b"hellohello", None, false),
    );
    assert_eq!(packed.2, b"\xe8\x32\x9b\xfd\x46\x97\xd9\xec\x37");
    for untouched in [
        sm(8, 0, b"\x04\x36", None, false),
        sm(4, 0, b"\xff\xfe", None, false),
        sm(0x10, 0, b"flash\x05", None, false),
        sm(0, 0x40, b"\x03\x25\x01\x01\x1d", None, false),
        sm(0, 0x40, b"\x09\x00", None, false),
        sm(0, 0, b"", None, false),
    ] {
        assert_eq!(word(&latin1, Form::Sm, &untouched), Wording::AsItCame);
    }
    let off = Texts {
        transcode: false,
        ..to(DefaultAlphabet::Latin1)
    };
    assert_eq!(word(&rules(off), Form::Sm, &body), Wording::AsItCame);
    assert_eq!(
        word(&rules(to(DefaultAlphabet::Gsm7)), Form::Sm, &body),
        Wording::AsItCame
    );
}

#[test]
fn a_text_that_is_longer_in_the_other_alphabet_is_cut_there_and_its_parts_stay_the_accounts() {
    let ascii = rules(Texts {
        long_messages: LongMessages::Udh8,
        ..to(DefaultAlphabet::Ascii)
    });
    // 100 characters: one part in the GSM alphabet, two in UCS-2.
    let words = format!("{}é", "a".repeat(99));
    let body = sm(0, 0, &[vec![b'a'; 99], vec![0x05]].concat(), None, false);
    let Wording::Cut(kept) = word(&ascii, Form::Sm, &body) else {
        panic!("not cut");
    };
    assert_eq!(kept.len(), 2);
    let kept: Vec<_> = kept.iter().map(|body| told(body)).collect();
    assert!(kept.iter().all(|(data_coding, ..)| *data_coding == 0));
    assert_eq!(text_of(Peer::default(), &kept), words);
    let sent = parts(&ascii, &body);
    let codings: Vec<u8> = sent.iter().map(|(data_coding, ..)| *data_coding).collect();
    // The first has nothing that ASCII lacks.
    assert_eq!(codings, [0, 8]);
    let peer = Peer {
        default_alphabet: DefaultAlphabet::Ascii,
        ..Peer::default()
    };
    assert_eq!(text_of(peer, &sent), words);
    // A part that the ESME made cannot be cut again: rather in its own alphabet than not at all.
    let part = sm(
        0,
        0x40,
        &[b"\x05\x00\x03\x2a\x02\x01".to_vec(), vec![0x05; 100]].concat(),
        None,
        false,
    );
    assert_eq!(word(&ascii, Form::Sm, &part), Wording::AsItCame);
}

#[test]
fn packed_septets_move_with_a_header_of_another_length() {
    let packed = Rules {
        account: DefaultAlphabet::Gsm7Packed,
        ..rules(long(LongMessages::Udh8))
    };
    let peer = Peer {
        default_alphabet: DefaultAlphabet::Gsm7Packed,
        ..Peer::default()
    };
    let mut octets = b"\x06\x08\x04\x12\x34\x02\x01".to_vec();
    pack::pack_without_count(b"hello", pack::fill_bits(7), &mut octets);
    let part = rewritten(&packed, &sm(0, 0x40, &octets, None, false));
    assert_eq!(part.2[..6], [5, 0, 3, 0x26, 2, 1]);
    assert_eq!(text_of(peer, &[part]), "hello");
    let words = "Seas rise and fall. ".repeat(10);
    let mut octets = Vec::new();
    pack::pack_without_count(words.as_bytes(), 0, &mut octets);
    let parts = parts(&packed, &sm(0, 0, &octets, None, false));
    assert!(parts.len() == 2 && parts.iter().all(|part| part.2.len() <= 140));
    assert_eq!(text_of(peer, &parts), words);
}

#[test]
fn what_a_3_3_link_cannot_hold_in_another_alphabet_and_what_nobody_can_cut_goes_as_it_came() {
    let old = Rules {
        version: InterfaceVersion::V3_3,
        ..rules(to(DefaultAlphabet::Ascii))
    };
    let body = sm(0, 0, &[0x05; 140], None, false);
    assert_eq!(word(&old, Form::Sm, &body), Wording::AsItCame);
    let sar = sm(0, 0, b"hello", Place::new(Reference::Sar(0x1234), 2, 1), false);
    let as_udh8 = b"\x05\x00\x03\x26\x02\x01hello";
    for form in [LongMessages::AsReceived, LongMessages::Payload] {
        let old = Rules {
            version: InterfaceVersion::V3_3,
            ..rules(long(form))
        };
        assert_eq!(rewritten(&old, &sar).2, as_udh8);
    }
    for (data_coding, is_cut) in [(4, true), (5, false), (13, false), (14, false)] {
        let body = sm(data_coding, 0, &[7; 200], None, false);
        let cut = word(&rules(long(LongMessages::Udh8)), Form::Sm, &body);
        assert_eq!(matches!(cut, Wording::Cut(_)), is_cut, "{data_coding}");
    }
}

#[test]
fn a_data_sm_has_its_parts_in_message_payload() {
    let mut tlvs = Vec::new();
    assert!(append(&mut tlvs, Tag::MESSAGE_PAYLOAD, &[b'a'; 200]));
    let mut body = Vec::new();
    DataSm {
        tlvs: Tlvs::new(&tlvs),
        ..DataSm::default()
    }
    .encode(&mut body);
    let Wording::Cut(parts) = word(&rules(long(LongMessages::Udh8)), Form::DataSm, &body) else {
        panic!("not cut");
    };
    let parts: Vec<_> = parts.iter().map(|part| DataSm::decode(part).unwrap()).collect();
    let lens: Vec<_> = parts
        .iter()
        .map(|part| (part.esm_class.0, part.tlvs.message_payload().unwrap().0.len()))
        .collect();
    assert_eq!(lens, [(0x40, 159), (0x40, 6 + 47)]);
}

proptest::proptest! {
    #[test]
    fn whatever_comes_is_worded_and_a_part_never_cut_again(
        data_coding in proptest::prelude::any::<u8>(),
        esm_class in proptest::prop_oneof![proptest::prelude::Just(0u8), proptest::prelude::Just(0x40)],
        octets in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..600),
        form in 0usize..5,
        alphabet in 0usize..6,
        account in 0usize..6,
        transcode in proptest::prelude::any::<bool>(),
    ) {
        let alphabets = [
            DefaultAlphabet::Gsm7,
            DefaultAlphabet::Gsm7Packed,
            DefaultAlphabet::Ascii,
            DefaultAlphabet::Latin1,
            DefaultAlphabet::Windows1252,
            DefaultAlphabet::Utf8,
        ];
        let forms = [
            LongMessages::AsReceived,
            LongMessages::Udh8,
            LongMessages::Udh16,
            LongMessages::Sar,
            LongMessages::Payload,
        ];
        let texts = Texts {
            long_messages: forms[form],
            default_alphabet: alphabets[alphabet],
            transcode,
        };
        let rules = Rules {
            account: alphabets[account],
            ..rules(texts)
        };
        let body = sm(data_coding, esm_class, &octets, None, true);
        if let Wording::Cut(parts) = word(&rules, Form::Sm, &body) {
            proptest::prop_assert!(parts.len() > 1);
            for part in parts {
                proptest::prop_assert!(!matches!(word(&rules, Form::Sm, &part), Wording::Cut(_)));
            }
        }
    }
}
