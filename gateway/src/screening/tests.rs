//! What the rules say to texts, as they come over the wire.

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use tidegate_codec::text::Charset;

use super::*;

fn screen(rules: &str) -> Screen {
    let text =
        include_str!("../../../config/tidegate.toml").replace("#file = \"./content.toml\"", "file = \"c\"");
    let config = tidegate_config::parse_with(&text, &|_| Ok(rules.to_owned()));
    let config = config.unwrap_or_else(|problems| panic!("{problems}"));
    Screen::new(&config.screening, &mut ChaCha20Rng::seed_from_u64(7))
}

fn shipped() -> Screen {
    screen(include_str!("../../../config/data/content.toml"))
}

/// Ids of the rules that a text in UCS-2 hits, in the order of the file.
fn hits(screen: &mut Screen, text: &str) -> Vec<String> {
    let mut octets = Vec::new();
    Charset::Ucs2(Default::default())
        .encode(text, &mut octets)
        .unwrap();
    let found = screen.look(&of(8, &octets)).unwrap().clone();
    let mut places = found.hits;
    places.sort_unstable();
    let rules = screen.rules();
    places
        .iter()
        .map(|place| rules.rules[usize::from(*place)].id.to_string())
        .collect()
}

fn of(data_coding: u8, octets: &[u8]) -> Text<'_> {
    Text {
        data_coding: DataCoding(data_coding),
        esm_class: EsmClass(0),
        alphabet: DefaultAlphabet::Gsm7,
        short_message: octets,
        tlvs: Tlvs::NONE,
    }
}

#[test]
fn each_kind_of_rule_finds_what_it_is_for_and_nothing_else() {
    let mut screen = shipped();
    for (text, expected) in [
        ("Your code is 123456. Thanks.", &[][..]),
        ("Your parcel is here: https://bit.ly/x1", &["shortener"]),
        ("see (BIT.LY/x1), or www.shop.example", &["shortener"]),
        ("see a.b.tinyurl.com", &["shortener"]),
        ("see notbit.ly or bit.ly.example", &[]),
        ("Open blocked.invalid", &["blocked-domain"]),
        ("Play at the C\u{c1}SINO now", &["gambling"]),
        ("Free-spins today", &["gambling"]),
        ("occasinos and free, spinsters", &[]),
        (
            "Your account was locked? Verify your account: http://a.example/l",
            &["credential-link"],
        ),
        ("Your password was changed.", &[]),
        ("Get it at shop.com", &[]),
        ("Password: a b c d e f g h i j k l m n shop.com", &[]),
        ("Hello from p\u{430}ypal", &["look-alike"]),
        ("Play c\u{430}sino", &["gambling", "look-alike"]),
        (
            "\u{412}ONUS or C\u{410}S\u{406}\u{39d}O",
            &["gambling", "look-alike"],
        ),
        ("See b\u{456}t.ly/x", &["shortener", "look-alike"]),
        ("See \u{430}\u{440}\u{440}\u{4cf}\u{435}.com/x", &["look-alike"]),
        ("See xn--80ak6aa92e.com/x", &["look-alike"]),
        (
            "\u{41f}\u{440}\u{438}\u{432}\u{435}\u{442}, \u{4eca}\u{65e5}Apple\u{3092}",
            &[],
        ),
    ] {
        assert_eq!(hits(&mut screen, text), expected, "{text}");
    }
}

#[test]
fn a_text_is_read_in_its_own_coding_and_what_is_binary_is_not_read() {
    let mut screen = shipped();
    // "free spins" in GSM septets, one an octet; and packed by nobody.
    let gsm = b"free spins";
    assert_eq!(screen.look(&of(0, gsm)).unwrap().hits.len(), 1);
    assert_eq!(screen.look(&of(3, gsm)).unwrap().hits.len(), 1);
    assert_eq!(screen.look(&of(4, gsm)), None);
    // The same octets again in another coding are another text.
    assert_eq!(screen.look(&of(8, gsm)).unwrap().hits.len(), 0);
    // Behind a header, which is part of none.
    let part = [&[5, 0, 3, 7, 2, 1][..], gsm].concat();
    let text = Text {
        esm_class: EsmClass(0x40),
        ..of(0, &part)
    };
    assert_eq!(screen.look(&text).unwrap().hits.len(), 1);
    // One that is broken is no text.
    let text = Text {
        esm_class: EsmClass(0x40),
        ..of(0, &[200, 0, 3])
    };
    assert_eq!(screen.look(&text), None);
}

/// message_payload TLVs with these values.
fn payloads(values: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    for value in values {
        out.extend(0x0424_u16.to_be_bytes());
        out.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
        out.extend(*value);
    }
    out
}

#[test]
fn every_text_of_a_message_is_read_whichever_of_them_counts() {
    let mut screen = shipped();
    for (short, more) in [
        (&b"free spins"[..], &[&b"hello"[..]][..]),
        (b"hello", &[b"free spins"]),
        (b"hello", &[b"hello", b"free spins"]),
        (b"", &[b"", b"free spins"]),
    ] {
        let octets = payloads(more);
        let text = Text {
            tlvs: Tlvs::new(&octets),
            ..of(0, short)
        };
        assert_eq!(screen.look(&text).unwrap().hits.len(), 1, "{short:?} {more:?}");
    }
    assert_eq!(
        screen.buffers.text.capacity().min(KEPT_MAX),
        screen.buffers.text.capacity()
    );
    assert!(screen.buffers.text.is_empty() && screen.buffers.normal.is_empty());
}

#[test]
fn a_text_is_read_in_each_way_that_handsets_may_read_it() {
    let mut screen = shipped();
    let mut hits = |text: Text<'_>| screen.look(&text).map(|found| found.hits.len());
    // Turned around by its mark.
    let little: Vec<u8> = "\u{feff}free spins"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    assert_eq!(hits(of(8, &little)), Some(1));
    // A locking table of Hindi, for which not every handset has one.
    let locked = [&[3, 0x25, 1, 6][..], b"free spins"].concat();
    let text = Text {
        esm_class: EsmClass(0x40),
        ..of(0, &locked)
    };
    assert_eq!(hits(text), Some(1));
    // Codings without a meaning, read by some as the default and by some as UCS-2.
    let ucs2: Vec<u8> = "free spins".encode_utf16().flat_map(u16::to_be_bytes).collect();
    for coding in [0x0b, 0x0f, 0x1c] {
        assert_eq!(hits(of(coding, b"free spins")), Some(1));
        assert_eq!(hits(of(coding, &ucs2)), Some(1));
    }
}

#[test]
fn a_text_is_the_same_with_other_digits_and_signs() {
    let mut screen = shipped();
    let mut same = |text: &str| {
        let found = screen.look(&of(3, text.as_bytes())).unwrap();
        (found.same, found.words)
    };
    let one = same("Your code is 12, thanks!");
    assert_eq!(one.1, 5);
    assert_eq!(same("YOUR code is: 987654 thanks"), one);
    assert_ne!(same("Your code was 12, thanks!").0, one.0);
}

#[test]
fn other_rules_hold_from_the_next_text_on() {
    let mut screen = shipped();
    assert_eq!(hits(&mut screen, "Visit shop.example"), [""; 0]);
    let config =
        include_str!("../../../config/tidegate.toml").replace("#file = \"./content", "file = \"./content");
    let rules = "version = \"2\"\n[[domains]]\nid = \"own\"\nscore = 1\ndomains = [\"shop.example\"]\nsource = \"-\"\n\
                 checked = \"2026-11-30\"\n";
    let config = tidegate_config::parse_with(&config, &|_| Ok(rules.to_owned())).unwrap();
    screen.take(&config.screening);
    assert_eq!(hits(&mut screen, "Visit shop.example"), ["own"]);
    assert_eq!(hits(&mut screen, "See bit.ly/x"), [""; 0]);
}

/// As long as a PDU can be, and as odd as one can make it: no quadratic work, no panic.
#[test]
fn the_longest_and_oddest_texts_are_read_in_no_time() {
    let mut screen = shipped();
    for text in [
        "casino ".repeat(9_000),
        "a.".repeat(32_000),
        "://@:".repeat(12_000),
        "\u{430}a\u{3002}".repeat(8_000),
        "xn--".repeat(250) + ".com",
        "\u{fdfa}".repeat(20_000),
    ] {
        let mut octets = Vec::new();
        Charset::Ucs2(Default::default())
            .encode(&text, &mut octets)
            .unwrap();
        octets.truncate(65_534);
        assert!(screen.look(&of(8, &octets)).is_some());
    }
}
