//! Texts: the default alphabet both ways, the parts that a text takes, and the text of a receipt.

use std::hint::black_box;
use std::io::Cursor;

use rusmpp_extra::concatenation::owned::Concatenator as _;
use rusmpp_extra::encoding::gsm7bit::Gsm7BitUnpacked;
use smpp_codec::encoding::{gsm_7bit_decode, gsm_7bit_encode};
use smpp_codec::pdus::{DeliveryReceipt, EncodingType, MessageSplitter, SplitMode};
use tidegate_codec::receipt::Receipt;
use tidegate_codec::text::{Carriage, Charset, Shifts, Split, SplitRules, choose, gsm7, pack};

use super::cases;
use tidegate_benches::contest::Contest;

/// 160 septets, with letters and a sign that ASCII has not.
const PLAIN: &str = "Ihre Sendung 4711-0815 kommt heute zwischen 14:00 und 16:00 Uhr für 12 £. Einen anderen \
    Tag wählen Sie mit der Zahl des Tages, oder über unsere Nummer 0800 1234";
/// Octets in a part, and of the header in front of it, as rusmpp-extra counts them.
const PART: (usize, usize) = (160, 7);

pub(crate) fn contests() -> Vec<Contest> {
    vec![
        encoding(),
        decoding(),
        unpacking(),
        counting(),
        splitting(),
        receipt(),
    ]
}

fn encoding() -> Contest {
    let mut out = Vec::with_capacity(512);
    assert_eq!(gsm7::septets(PLAIN, Shifts::NONE).ok(), Some(160));
    let rusmpp = Gsm7BitUnpacked::new();
    Contest::new("a text of 160 characters into septets, one in an octet")
        .ours("tidegate", move || {
            out.clear();
            assert!(gsm7::encode(black_box(PLAIN), Shifts::NONE, &mut out).is_ok());
            black_box(&out);
        })
        .theirs("rusmpp-extra 0.4", move || {
            assert!(black_box(rusmpp.encode_to_vec(black_box(PLAIN))).is_ok());
        })
        .theirs("smpp-codec 0.2", || {
            assert!(black_box(gsm_7bit_encode(black_box(PLAIN))).is_ok());
        })
        .theirs("gsm7-alt 0.1", || {
            assert!(black_box(gsm7_alt::encode(black_box(PLAIN))).is_ok());
        })
}

fn septets() -> Vec<u8> {
    let mut septets = Vec::new();
    assert!(gsm7::encode(PLAIN, Shifts::NONE, &mut septets).is_ok());
    septets
}

fn decoding() -> Contest {
    let (all, all_2, all_3) = (septets(), septets(), septets());
    let mut out = String::with_capacity(512);
    Contest::new("160 septets, one in an octet, into a text")
        .ours("tidegate", move || {
            out.clear();
            assert_eq!(gsm7::decode(black_box(&all), Shifts::NONE, &mut out), 0);
            black_box(&out);
        })
        .theirs("smpp-codec 0.2", move || {
            black_box(gsm_7bit_decode(black_box(&all_2)));
        })
        .theirs("gsm7-alt 0.1", move || {
            assert!(black_box(gsm7_alt::decode(black_box(&all_3))).is_ok());
        })
}

fn unpacking() -> Contest {
    let mut packed = Vec::new();
    pack::pack(&septets(), 0, &mut packed);
    let packed_2 = packed.clone();
    let (mut septets, mut out, mut out_2) =
        (Vec::with_capacity(512), String::with_capacity(512), String::new());
    Contest::new("140 octets of packed septets into a text")
        .ours("tidegate", move || {
            septets.clear();
            pack::unpack(black_box(&packed), 0, 160, &mut septets);
            out.clear();
            assert_eq!(gsm7::decode(&septets, Shifts::NONE, &mut out), 0);
            black_box(&out);
        })
        .theirs("gsm7 0.4", move || {
            out_2.clear();
            for character in ::gsm7::Gsm7Reader::new(Cursor::new(black_box(&packed_2))) {
                out_2.push(character.unwrap_or('\u{fffd}'));
            }
            black_box(&out_2);
        })
}

fn counting() -> Contest {
    let (text, text_2) = (cases::long_text(), cases::long_text());
    let rusmpp = Gsm7BitUnpacked::new();
    let text_3 = text.clone();
    Contest::new("how many parts a text of 400 characters takes")
        .ours("tidegate: alphabet chosen, and counted", move || {
            assert_eq!(choose(black_box(&text), &[], Carriage::Udh8).count.parts, 3);
        })
        .theirs("rusmpp-extra 0.4: cut, as it counts in no other way", move || {
            assert!(black_box(rusmpp.concatenate(black_box(&text_2), PART.0, PART.1)).is_ok());
        })
        .theirs("smpp-codec 0.2: cut, as it counts in no other way", move || {
            let text = black_box(&text_3).clone();
            let parts = MessageSplitter::split(text, EncodingType::Gsm7Bit, SplitMode::Udh);
            assert!(black_box(parts).is_ok());
        })
}

fn splitting() -> Contest {
    let (text, text_2, text_3) = (cases::long_text(), cases::long_text(), cases::long_text());
    let (mut septets, mut out) = (Vec::with_capacity(512), Vec::with_capacity(512));
    let rusmpp = Gsm7BitUnpacked::new();
    let charset = Charset::Gsm7(Shifts::NONE);
    Contest::new("a text of 400 characters into parts")
        .ours("tidegate: encoded, cut, written with their headers", move || {
            septets.clear();
            out.clear();
            assert!(charset.encode(black_box(&text), &mut septets).is_ok());
            let parts = Split::new(charset, None, &septets, SplitRules::default());
            parts.into_iter().flatten().for_each(|part| part.write(&mut out));
            assert_eq!(out.len(), 400 + 3 * 6);
        })
        .theirs("rusmpp-extra 0.4: encoded and cut", move || {
            assert!(black_box(rusmpp.concatenate(black_box(&text_2), PART.0, PART.1)).is_ok());
        })
        .theirs(
            "smpp-codec 0.2: encoded, cut, written with their headers",
            move || {
                let text = black_box(&text_3).clone();
                let parts = MessageSplitter::split(text, EncodingType::Gsm7Bit, SplitMode::Udh);
                assert!(black_box(parts).is_ok());
            },
        )
}

fn receipt() -> Contest {
    let text = String::from_utf8_lossy(cases::RECEIPT).into_owned();
    Contest::new("the text of a receipt")
        .ours("tidegate", || {
            assert!(black_box(Receipt::parse_text(black_box(cases::RECEIPT))).is_some());
        })
        .theirs("smpp-codec 0.2", move || {
            assert!(black_box(black_box(&text).parse::<DeliveryReceipt>()).is_ok());
        })
}
