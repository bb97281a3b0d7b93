//! First words, and meanings, of octets as they come.

use tidegate_codec::text::{DefaultAlphabet, Reference};
use tidegate_config::OptOutPhrases;

use super::*;

fn router() -> MoRouter {
    let base = include_str!("../../../config/bench.toml");
    let route = "[[route.mo]]\nnumber = \"*\"\naccount = \"load\"\nkeywords = [\"pizza\", \"caf\u{e9}\"]\n";
    let config = tidegate_config::parse(&format!("{base}\n{route}"));
    MoRouter::new(&config.unwrap_or_else(|problems| panic!("{problems}")))
}

fn at(seconds: u64) -> Now {
    Now {
        monotonic: Duration::from_secs(seconds),
        unix_ms: 0,
    }
}

fn called(number: &[u8]) -> Address<'_, ADDR_DATA> {
    Address::new(Ton::UNKNOWN, Npi::UNKNOWN, number).unwrap()
}

fn text() -> Text<'static> {
    Text {
        carrier: 0,
        called: called(b"12345"),
        sender: b"447700900123",
        sender_ton_npi: (Ton::UNKNOWN, Npi::UNKNOWN),
        data_coding: DataCoding(0),
        peer: Peer::default(),
        esm_class: EsmClass(0),
        octets: b"Pizza, two",
        tlvs: Tlvs::NONE,
    }
}

fn part(octets: &[u8]) -> Text<'_> {
    Text {
        esm_class: EsmClass(0x40),
        octets,
        ..text()
    }
}

#[test]
fn a_word_is_read_whatever_the_coding_and_behind_a_header() {
    let router = router();
    let mut keywords = Keywords::default();
    let mut long = b" ".repeat(300);
    long.extend_from_slice(b"pizza");
    for (data_coding, esm_class, octets, word) in [
        (0, 0, &b"Caf\x05!"[..], "caf\u{e9}"),
        (3, 0, b"CAF\xc9 x", "caf\u{e9}"),
        (8, 0, b"\0P\0i\0z\0z\0a\0 \0x", "pizza"),
        (0, 0x40, b"\x02\x70\x00pizza", "pizza"),
        // Broken header, binary, empty, one that begins beyond what is looked into.
        (0, 0x40, b"\xffpizza", ""),
        (4, 0, b"pizza", ""),
        (0, 0, b"", ""),
        (0, 0, &long, ""),
    ] {
        let text = Text {
            data_coding: DataCoding(data_coding),
            esm_class: EsmClass(esm_class),
            octets,
            ..text()
        };
        assert_eq!(
            keywords.read(at(0), &router, &text),
            word,
            "{data_coding} {octets:?}"
        );
    }
    let base = tidegate_config::parse(include_str!("../../../config/bench.toml")).unwrap();
    assert_eq!(keywords.read(at(0), &MoRouter::new(&base), &text()), "");
}

#[test]
fn later_parts_go_by_the_first_ones_word_for_a_while() {
    let router = router();
    let mut keywords = Keywords::default();
    let (first, second) = (
        part(b"\x05\0\x03\x2a\x02\x01Pizza"),
        part(b"\x05\0\x03\x2a\x02\x02taxi"),
    );
    assert_eq!(keywords.read(at(0), &router, &second), "", "ahead of the first");
    assert_eq!(keywords.read(at(1), &router, &first), "pizza");
    assert_eq!(keywords.read(at(2), &router, &second), "pizza");
    for other in [
        Text { carrier: 1, ..second },
        Text {
            sender: b"447700900124",
            ..second
        },
        Text {
            called: called(b"12346"),
            ..second
        },
        part(b"\x05\0\x03\x2b\x02\x02taxi"),
        part(b"\x05\0\x03\x2a\x03\x02taxi"),
        part(b"\x06\x08\x04\0\x2a\x02\x02taxi"),
    ] {
        assert_eq!(keywords.read(at(2), &router, &other), "");
    }
    // Said again, its time begins anew; the end of the older time does not end it.
    assert_eq!(keywords.read(at(200), &router, &first), "pizza");
    assert_eq!(keywords.read(at(400), &router, &second), "pizza");
    assert_eq!(keywords.read(at(500), &router, &second), "");
    assert_eq!((keywords.order.len(), keywords.first_parts.len()), (0, 0));
    // Another text under the same reference.
    keywords.read(at(501), &router, &first);
    keywords.read(at(502), &router, &part(b"\x05\0\x03\x2a\x02\x01hello"));
    assert_eq!(keywords.read(at(503), &router, &second), "");
}

#[test]
fn as_many_first_parts_are_remembered_as_there_is_room_for() {
    let router = router();
    let mut keywords = Keywords::default();
    for number in 0..=PARTS_MAX {
        let sender = number.to_string();
        let first = Text {
            sender: sender.as_bytes(),
            ..part(b"\x05\0\x03\x2a\x02\x01Pizza")
        };
        keywords.read(at(0), &router, &first);
    }
    assert_eq!(
        (keywords.order.len(), keywords.first_parts.len()),
        (PARTS_MAX, PARTS_MAX)
    );
    let second = |sender| Text {
        sender,
        ..part(b"\x05\0\x03\x2a\x02\x02x")
    };
    assert_eq!(keywords.read(at(0), &router, &second(b"0")), "");
    assert_eq!(keywords.read(at(0), &router, &second(b"1")), "pizza");
    assert!(!format!("{keywords:?}").contains("pizza"));
}

fn means(keywords: &mut Keywords, seconds: u64, message: &Text<'_>) -> String {
    keywords.meaning(at(seconds), message, None, true).to_string()
}

const STOP: &str = "opt-out (tier 1, stop, en or de)";
const TEXTING: &str = "opt-out (tier 3, stop texting, en)";

#[test]
fn a_text_means_the_same_in_every_coding_and_octets_mean_nothing() {
    let mut keywords = Keywords::default();
    let latin1 = Peer {
        default_alphabet: DefaultAlphabet::Latin1,
        ..Peer::default()
    };
    let packed = Peer {
        default_alphabet: DefaultAlphabet::Gsm7Packed,
        ..Peer::default()
    };
    let any = Peer::default();
    for (data_coding, esm_class, peer, octets, meaning) in [
        (0, 0, any, &b"STOP"[..], STOP),
        (1, 0, any, b" stop.", STOP),
        (0xf1, 0, any, b"STOP", STOP),
        (0x10, 0, any, b"STOP", STOP),
        (0, 0, packed, b"\x53\xea\x13\x0a", STOP),
        // The default alphabet's extension: `[STOP]`.
        (0, 0, any, b"\x1b\x3cSTOP\x1b\x3e", STOP),
        (3, 0, any, b"ARR\xcaT", "opt-out (tier 1, arret, fr)"),
        (0, 0, latin1, b"\xa1BAJA!", "opt-out (tier 1, baja, es)"),
        // Where ASCII has @ the default alphabet has an exclamation mark upside down.
        (0, 0, any, b"@BAJA!", "opt-out (tier 1, baja, es)"),
        (8, 0, any, b"\0S\0T\0O\0P", STOP),
        (8, 0, any, b"\xff\x33\xff\x34\xff\x2f\xff\x30", STOP),
        (8, 0, any, b"\0S\x20\x0b\0T\0O\0P\xd8\x3d\xde\x4f", STOP),
        (0x18, 0, any, b"\0S\0T\0O\0P", STOP),
        (0, 0x40, any, b"\x05\0\x03\x2a\x01\x01STOP", STOP),
        (0, 0x40, any, b"\x06\x05\x04\x13\x01\0\0STOP", STOP),
        // Binary, by data_coding and by its groups; a broken header; nothing.
        (4, 0, any, b"STOP", "nothing"),
        (2, 0, any, b"STOP", "nothing"),
        (0xf5, 0, any, b"STOP", "nothing"),
        (0x14, 0, any, b"STOP", "nothing"),
        (0, 0x40, any, b"\xffSTOP", "nothing"),
        (8, 0, any, b"", "nothing"),
        (0, 0, any, b"", "nothing"),
    ] {
        let message = Text {
            data_coding: DataCoding(data_coding),
            esm_class: EsmClass(esm_class),
            peer,
            octets,
            ..text()
        };
        let found = means(&mut keywords, 0, &message);
        assert_eq!(found, meaning, "{data_coding:#x} {octets:?}");
    }
    assert_eq!(keywords.long.len(), 0);
}

#[test]
fn a_long_text_is_read_as_its_parts_come() {
    let mut keywords = Keywords::default();
    let parts = [
        part(b"\x05\0\x03\x2a\x03\x01This is the last time that I ask: please st"),
        part(b"\x05\0\x03\x2a\x03\x02op tex"),
        part(b"\x05\0\x03\x2a\x03\x03ting me. "),
    ];
    // The phrase is there when its last piece is, in whatever order; a piece sent again says it again.
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0], [2, 0, 1]] {
        let mut keywords = Keywords::default();
        let said = order.map(|place| means(&mut keywords, 0, &parts[place]));
        assert_eq!(said, ["nothing", "nothing", TEXTING], "{order:?}");
        assert_eq!(means(&mut keywords, 1, &parts[order[2]]), TEXTING);
    }
    // Parts of another handset, carrier or called number are parts of another text.
    means(&mut keywords, 0, &parts[0]);
    means(&mut keywords, 0, &parts[1]);
    for other in [
        Text {
            carrier: 1,
            ..parts[2]
        },
        Text {
            sender: b"447700900124",
            ..parts[2]
        },
        Text {
            called: called(b"12346"),
            ..parts[2]
        },
    ] {
        assert_eq!(means(&mut keywords, 1, &other), "nothing");
    }
    // After five minutes, and after a restart, what comes is read by itself.
    assert_eq!(means(&mut keywords, 300, &parts[2]), "nothing");
    let alone = part(b"\x05\0\x03\x2b\x03\x03 and stop texting me");
    assert_eq!(means(&mut Keywords::default(), 0, &alone), TEXTING);
    assert!(!format!("{keywords:?}").contains("ting"));
}

#[test]
fn words_of_few_words_are_judged_when_the_text_is_whole() {
    let mut keywords = Keywords::default();
    let first = part(b"\x06\x08\x04\0\x2a\x02\x01Stop");
    let second = part(b"\x06\x08\x04\0\x2a\x02\x02 by at five");
    // A keyword that fills a part is one; what leads a text is not known to before its end.
    assert_eq!(means(&mut keywords, 0, &first), STOP);
    assert_eq!(means(&mut keywords, 0, &second), "nothing");
    let first = part(b"\x06\x08\x04\0\x2b\x02\x01Stop   please");
    let second = part(b"\x06\x08\x04\0\x2b\x02\x02        ");
    assert_eq!(means(&mut keywords, 0, &first), "nothing");
    assert_eq!(
        means(&mut keywords, 0, &second),
        "opt-out (tier 2, stop, en or de)"
    );
    let negated = [
        part(b"\x06\x08\x04\0\x2c\x02\x01please do not"),
        part(b"\x06\x08\x04\0\x2c\x02\x02 stop texting me"),
    ];
    assert_eq!(means(&mut keywords, 0, &negated[0]), "nothing");
    assert_eq!(means(&mut keywords, 0, &negated[1]), "nothing");
}

#[test]
fn parts_by_parameters_and_by_payload_are_read_like_others() {
    let mut keywords = Keywords::default();
    let octets: Vec<u8> = "please stop texting \u{1f64f}"
        .encode_utf16()
        .flat_map(u16::to_be_bytes)
        .collect();
    // A cut through the last sign.
    let (one, two) = octets.split_at(octets.len() - 2);
    for (sequence, octets, meaning) in [(2, two, "nothing"), (1, one, TEXTING)] {
        let mut tlvs = Vec::new();
        Place::new(Reference::Sar(0x1234), 2, sequence)
            .unwrap()
            .append_tlvs(&mut tlvs);
        let message = Text {
            data_coding: DataCoding(8),
            octets,
            tlvs: Tlvs::new(&tlvs),
            ..text()
        };
        assert_eq!(means(&mut keywords, 0, &message), meaning);
    }
    let long = "and so on ".repeat(4_000) + "stop texting me";
    let message = Text {
        octets: long.as_bytes(),
        ..text()
    };
    assert_eq!(means(&mut keywords, 0, &message), TEXTING);
}

#[test]
fn elsewhere_an_account_may_want_to_decide_by_itself() {
    let own = AccountWords {
        opt_out_phrases: OptOutPhrases::Flag,
        ..AccountWords::default()
    };
    let message = Text {
        octets: b"please stop texting me",
        ..text()
    };
    let mut keywords = Keywords::default();
    let mut meaning = |own, plus_one| keywords.meaning(at(0), &message, own, plus_one).to_string();
    assert_eq!(meaning(Some(&own), true), TEXTING);
    assert_eq!(meaning(Some(&own), false), "flag (stop texting)");
    assert_eq!(meaning(None, false), TEXTING);
}
