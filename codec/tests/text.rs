//! The public text vectors (codec/testdata/text.json, where they come from: their `source` fields), all of
//! them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "a run shows how many vectors it has read")]

use std::collections::BTreeMap;

use serde_json::Value;
use tidegate_codec::octets::Body;
use tidegate_codec::text::{
    Carriage, Charset, Choice, Language, Peer, Reference, Shifts, Split, SplitRules, Unit, choose,
    count_gsm7, count_ucs2, decode_parts, gsm7, pack, read, ucs2,
};
use tidegate_codec::tlv::Tlvs;
use tidegate_codec::values::EsmClass;

fn vectors() -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("../testdata/text.json")).unwrap();
    all.as_array().unwrap().clone()
}

fn octets(hex: &Value) -> Vec<u8> {
    let hex = hex.as_str().unwrap();
    (0..hex.len() / 2)
        .map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap())
        .collect()
}

fn number(value: &Value) -> usize {
    usize::try_from(value.as_u64().unwrap()).unwrap()
}

fn text(vector: &Value) -> &str {
    vector["text"].as_str().unwrap()
}

fn shifts(vector: &Value) -> Shifts {
    let language = |key| Language::from_identifier(u8::try_from(number(&vector[key])).unwrap());
    Shifts {
        single: language("single"),
        locking: language("locking"),
    }
}

fn decoded(charset: Charset, octets: &[u8]) -> String {
    let mut text = String::new();
    assert_eq!(charset.decode(octets, &mut text), Some(0));
    text
}

/// Septets of `text` as the vector gives them, and back.
fn septets_both_ways(text: &str, shifts: Shifts, expect: &Value) {
    let mut unpacked = Vec::new();
    gsm7::encode(text, shifts, &mut unpacked).unwrap();
    assert_eq!(unpacked, octets(&expect["unpacked_hex"]));
    assert_eq!(gsm7::septets(text, shifts), Ok(number(&expect["septets"])));
    assert_eq!(decoded(Charset::Gsm7(shifts), &unpacked), text);
}

fn packing_both_ways(expect: &Value) {
    let unpacked = octets(&expect["unpacked_hex"]);
    let packed = octets(&expect["packed_hex"]);
    let mut out = Vec::new();
    pack::pack(&unpacked, 0, &mut out);
    assert_eq!(out, packed);
    out.clear();
    pack::unpack(&packed, 0, number(&expect["septets"]), &mut out);
    assert_eq!(out, unpacked);
}

fn ucs2_both_ways(text: &str, expect: &Value) {
    let mut out = Vec::new();
    ucs2::encode(text, &mut out);
    assert_eq!(out, octets(&expect["utf16_hex"]));
    // A byte order mark in front is written when it is asked for, and never read as text.
    let charset = Charset::Ucs2(ucs2::ByteOrder::Big);
    assert_eq!(decoded(charset, &out), ucs2::without_mark(text));
}

fn encode(vector: &Value) {
    let expect = &vector["expect"];
    let text = text(vector);
    match expect["coding"].as_str().unwrap() {
        "gsm7" => {
            septets_both_ways(text, Shifts::NONE, expect);
            packing_both_ways(expect);
            assert_eq!(choose(text, &[], Carriage::Udh8).data_coding().0, 0);
        }
        "ucs2" => {
            ucs2_both_ways(text, expect);
            assert_eq!(ucs2::units(text), number(&expect["utf16_units"]));
            let choice = choose(text, &[], Carriage::Udh8);
            assert_eq!(
                usize::from(choice.data_coding().0),
                number(&expect["data_coding"])
            );
        }
        other => panic!("{other}"),
    }
}

fn encode_national(vector: &Value) {
    let expect = &vector["expect"];
    let shifts = shifts(vector);
    septets_both_ways(text(vector), shifts, expect);
    let udh = octets(&expect["udh_hex"]);
    let septets = octets(&expect["unpacked_hex"]);
    let room = Unit::Septet.room(udh.len());
    assert_eq!(room, number(&expect["single_message_limit_septets"]));
    // Alone, the message gets the header of its tables and is read by it.
    let mut split = Split::new(Charset::Gsm7(shifts), None, &septets, SplitRules::default()).unwrap();
    assert_eq!(split.len(), 1);
    let mut message = Vec::new();
    split.next().unwrap().write(&mut message);
    assert_eq!(message, [udh, septets].concat());
    let data_coding = choose("", &[], Carriage::Udh8).data_coding();
    let reading = read(data_coding, EsmClass(EsmClass::UDHI), &message, Peer::default());
    assert_eq!(decoded(reading.charset, reading.text.0), text(vector));
}

fn decode(vector: &Value) {
    let octets = octets(&vector["hex"]);
    let expect = vector["expect"]["text"].as_str().unwrap();
    assert_eq!(decoded(Charset::Gsm7(Shifts::NONE), &octets), expect);
}

fn not_encodable(vector: &Value) {
    let (text, expect) = (text(vector), &vector["expect"]);
    assert!(gsm7::encode(text, Shifts::NONE, &mut Vec::new()).is_err());
    assert_eq!(expect["coding"], "ucs2");
    assert_eq!(choose(text, &[], Carriage::Udh8).data_coding().0, 8);
    ucs2_both_ways(text, expect);
}

fn packed(vector: &Value) {
    septets_both_ways(text(vector), Shifts::NONE, &vector["expect"]);
    packing_both_ways(&vector["expect"]);
}

fn segment(vector: &Value) {
    let (text, expect, options) = (text(vector), &vector["expect"], &vector["options"]);
    let carriage = match number(&options["ref_bits"]) {
        8 => Carriage::Udh8,
        16 => Carriage::Udh16,
        other => panic!("{other}"),
    };
    assert_eq!(options["coding"], "auto");
    let shifts = shifts(options);
    let choice = if shifts == Shifts::NONE {
        choose(text, &[], carriage)
    } else {
        Choice {
            charset: Charset::Gsm7(shifts),
            count: count_gsm7(text, shifts, carriage).unwrap(),
        }
    };
    assert_eq!(choice.count.units, number(&expect["total_units"]));
    assert_eq!(choice.count.parts, number(&expect["segment_count"]));
    assert_eq!(
        usize::from(choice.data_coding().0),
        number(&expect["data_coding"])
    );
    let is_gsm7 = expect["coding"] == "gsm7";
    assert_eq!(is_gsm7, matches!(choice.charset, Charset::Gsm7(_)));
    if !is_gsm7 {
        assert_eq!(count_ucs2(text, carriage), choice.count);
    }

    let mut whole = Vec::new();
    choice.charset.encode(text, &mut whole).unwrap();
    let reference = u16::try_from(number(&options["ref"])).unwrap();
    let rules = SplitRules {
        carriage,
        reference,
        parts_max: 255,
    };
    let split = Split::new(choice.charset, None, &whole, rules).unwrap();
    let segments = expect["segments"].as_array().unwrap();
    assert_eq!(split.len(), segments.len());
    let mut messages = Vec::new();
    for (part, expect) in split.zip(segments) {
        let (udh, payload) = (octets(&expect["udh_hex"]), octets(&expect["payload_hex"]));
        assert_eq!(part.text, Body(&payload));
        let mut message = Vec::new();
        part.write(&mut message);
        assert_eq!(message, octets(&expect["short_message_hex"]));
        assert_eq!(message, [udh.as_slice(), &payload].concat());
        assert_eq!(part.has_header(), expect["esm_class_udhi"].as_bool().unwrap());
        let index = number(&expect["index"]);
        match part.place() {
            None => assert_eq!((index, segments.len()), (1, 1)),
            Some(place) => {
                assert_eq!(usize::from(place.sequence()), index);
                assert_eq!(usize::from(place.total()), segments.len());
                assert_eq!(
                    place.reference(),
                    match carriage {
                        Carriage::Udh8 => Reference::Udh8(reference.to_be_bytes()[1]),
                        _ => Reference::Udh16(reference),
                    }
                );
            }
        }
        let esm_class = EsmClass(if part.has_header() { EsmClass::UDHI } else { 0 });
        let reading = read(choice.data_coding(), esm_class, &message, Peer::default());
        assert_eq!(reading.place(&Tlvs::NONE), part.place());
        assert_eq!(reading.header.map_or(0, |header| header.octets()), udh.len());
        assert_eq!(reading.charset, choice.charset);
        assert_eq!(
            decoded(reading.charset, reading.text.0),
            expect["text"].as_str().unwrap()
        );
        if is_gsm7 {
            assert_eq!(payload.len(), number(&expect["septets"]));
            let fill = pack::fill_bits(udh.len());
            assert_eq!(usize::from(fill), number(&expect["fill_bits"]));
            assert_eq!(
                pack::user_data_length(udh.len(), payload.len()),
                number(&expect["tp_udl"])
            );
            let mut on_air = udh.clone();
            pack::pack(&payload, fill, &mut on_air);
            assert_eq!(on_air, octets(&expect["packed_ud_hex"]));
            let mut unpacked = Vec::new();
            pack::unpack(&on_air[udh.len()..], fill, payload.len(), &mut unpacked);
            assert_eq!(unpacked, payload);
            // Without a count seven spare bits hold a carriage return instead of zeros.
            let mut by_part = Vec::new();
            part.write_packed(&mut by_part);
            let spare_septet = (usize::from(fill) + 7 * payload.len()) % 8 == 1;
            if spare_septet && let Some(last) = on_air.last_mut() {
                *last |= 0x1a;
            }
            assert_eq!(by_part, on_air);
        } else {
            assert_eq!(payload.len() / 2, number(&expect["utf16_units"]));
        }
        messages.push((reading.charset, payload));
    }
    let mut back = String::new();
    let parts = messages
        .iter()
        .map(|(charset, octets)| (*charset, octets.as_slice()));
    assert_eq!(decode_parts(parts, &mut Vec::new(), &mut back), Some(0));
    assert_eq!(back, text);
}

#[test]
fn every_vector_holds_and_none_is_left_out() {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for vector in vectors() {
        let kind = vector["kind"].as_str().unwrap();
        // A failing assertion does not know the vector's name; this line is shown with it.
        println!("{}", vector["name"]);
        match kind {
            "encode" => encode(&vector),
            "encode_national" => encode_national(&vector),
            "decode" => decode(&vector),
            "not_encodable" => not_encodable(&vector),
            "pack" => packed(&vector),
            "segment" => segment(&vector),
            other => panic!("a kind that nobody runs: {other}"),
        }
        *seen.entry(kind.to_owned()).or_default() += 1;
    }
    // As many as are public; a longer file of the same format passes the same test.
    for (kind, public) in [
        ("decode", 5),
        ("encode", 22),
        ("encode_national", 5),
        ("not_encodable", 7),
        ("pack", 3),
        ("segment", 26),
    ] {
        let count = seen.get(kind).copied().unwrap_or(0);
        assert!(count >= public, "{kind}: {count} vectors, not {public}");
        println!("text.json, {kind}: {count} vectors");
    }
    println!("text.json: {} vectors", seen.values().sum::<usize>());
}
