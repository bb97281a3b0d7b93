use tidegate_codec::status::CommandStatus;
use tidegate_codec::tlv::{Tag, Tlvs, append};
use tidegate_store::addresses::Addresses;

use super::*;

/// A configuration whose first account and only carrier have these keys, behind these rewrites.
fn config(rewrites: &str, account: &str, carrier: &str) -> Config {
    let text = include_str!("../../../config/bench.toml");
    let text = text.replacen(
        "system_id = \"load\"",
        &format!("system_id = \"load\"\n{account}"),
        1,
    );
    let text = text.replacen("name = \"sink\"", &format!("name = \"sink\"\n{carrier}"), 1);
    tidegate_config::parse(&format!("{rewrites}\n{text}")).unwrap_or_else(|problems| panic!("{problems}"))
}

fn address(ton: u8, npi: u8, octets: &[u8]) -> AddressBuf {
    AddressBuf::new(Ton(ton), Npi(npi), octets).unwrap()
}

/// What an account with these keys makes of a source and of a destination: TON, NPI, octets.
fn admitted(rewrites: &str, account: &str, side: Side, given: &AddressBuf) -> Result<AddressBuf, Refusal> {
    let config = config(rewrites, account, "");
    let addressing = Addressing::new(&config);
    let account = addressing.of_account(0, &config.accounts[0].numbering);
    let field = given.as_field().unwrap();
    match side {
        Side::Source => account.source(field),
        Side::Destination => account.destination(field),
    }
}

const CANONICAL: &str = "numbers = \"canonical\"\ncountry = \"GB\"";

#[test]
fn sources_become_numbers_short_codes_or_names() {
    for (given, kept) in [
        (
            address(0, 0, b"07700900123"),
            Some(address(1, 1, b"447700900123")),
        ),
        (
            address(1, 1, b"+447700900123"),
            Some(address(1, 1, b"447700900123")),
        ),
        // "Alphanumeric", says the client of everything.
        (
            address(5, 0, b"447700900123"),
            Some(address(1, 1, b"447700900123")),
        ),
        (address(0, 0, b"Tidegate"), Some(address(5, 0, b"Tidegate"))),
        (address(1, 1, b"Shop 24"), Some(address(5, 0, b"Shop 24"))),
        (address(3, 1, b"80888"), Some(address(3, 1, b"80888"))),
        (address(0, 0, b"80888"), Some(address(0, 0, b"80888"))),
        (address(5, 0, b"80888"), Some(address(5, 0, b"80888"))),
        (address(0, 0, b""), Some(address(0, 0, b""))),
        // 11 characters of GSM, among them some of its own; octets are Latin-1.
        (address(5, 0, b"Eleven char"), Some(address(5, 0, b"Eleven char"))),
        (
            address(5, 0, b"Caf\xe9 \xd6l"),
            Some(address(5, 0, b"Caf\xe9 \xd6l")),
        ),
        (address(5, 0, b"Ninechar[]"), None),
        (address(5, 0, b"Twelve chars"), None),
        (address(5, 0, b"back`tick"), None),
        (address(5, 0, b"two\nlines"), None),
        (address(5, 0, b"\xd0\xce"), None),
        // Digits that are nobody's number, and too many for a short code.
        (address(0, 0, b"00000000"), None),
        (address(1, 1, b"1234567"), None),
        (address(0, 0, b"+4477"), None),
        (address(5, 0, b"1234567"), Some(address(5, 0, b"1234567"))),
    ] {
        let found = admitted("", CANONICAL, Side::Source, &given);
        assert_eq!(found, kept.ok_or(Refusal::Sender), "{:?}", given.as_bytes());
    }
}

#[test]
fn recipients_become_numbers_or_short_codes() {
    for (given, kept) in [
        (
            address(0, 0, b"07700900123"),
            Some(address(1, 1, b"447700900123")),
        ),
        (address(2, 8, b"7700900123"), Some(address(1, 1, b"447700900123"))),
        (
            address(0, 0, b"00 33 6 12 34 56 78"),
            Some(address(1, 1, b"33612345678")),
        ),
        (address(0, 0, b"80888"), Some(address(0, 0, b"80888"))),
        (address(0, 0, b"Bob"), None),
        (address(0, 0, b""), None),
        (address(1, 1, b"1234567"), None),
    ] {
        let found = admitted("", CANONICAL, Side::Destination, &given);
        assert_eq!(found, kept.ok_or(Refusal::Recipient), "{:?}", given.as_bytes());
    }
    let no_codes = format!("{CANONICAL}\nshort_codes = false");
    let code = address(0, 0, b"80888");
    let found = admitted("", &no_codes, Side::Destination, &code);
    assert_eq!(found, Err(Refusal::Recipient));
    // Of codes as senders that says nothing.
    assert_eq!(admitted("", &no_codes, Side::Source, &code), Ok(code));
}

#[test]
fn as_given_is_as_given() {
    for side in [Side::Source, Side::Destination] {
        for given in [
            address(0, 0, b"+447700900123"),
            address(7, 9, b"Twelve chars and"),
            address(1, 1, b""),
            address(1, 1, &[b'7'; 40]),
        ] {
            assert_eq!(admitted("", "", side, &given), Ok(given));
        }
    }
}

#[test]
fn a_submit_without_a_source_gets_the_accounts() {
    for (configured, kept) in [
        ("Tidegate", address(5, 0, b"Tidegate")),
        ("447700900001", address(1, 1, b"447700900001")),
        ("80888", address(0, 1, b"80888")),
    ] {
        for more in ["", CANONICAL] {
            let keys = format!("default_source = \"{configured}\"\n{more}");
            let found = admitted("", &keys, Side::Source, &address(0, 0, b""));
            assert_eq!(found.as_ref(), Ok(&kept));
            let own = address(5, 0, b"Own");
            assert_eq!(admitted("", &keys, Side::Source, &own), Ok(own));
        }
    }
}

const REWRITES: &str = "rewrite = [\
    { name = \"first\", then = \"second\", rules = [\
      { address = \"destination\", begins = \"9944\", strip = 2 }, \
      { address = \"destination\", begins = \"99\", strip = 2, prefix = \"+\", ton = 1, npi = 1 }, \
      { address = \"source\", begins = \"Shop\", replace = \"SHOP\" }, \
      { address = \"source\", begins = \"keep\" }, \
      { address = \"source\", begins = \"k\", replace = \"x\" }, \
      { address = \"source\", begins = \"long\", prefix = \"12345678901234567890\" }, \
      { address = \"source\", begins = \"gone\", strip = 4 }, \
      { address = \"source\", begins = \"short\", strip = 20 }] }, \
    { name = \"second\", rules = [{ address = \"source\", begins = \"SHOP\", prefix = \"The \" }] }]";

#[test]
fn the_first_rule_that_fits_rewrites_and_the_next_list_goes_on() {
    let rewritten = |side, given: &AddressBuf| admitted(REWRITES, "rewrite = \"first\"", side, given);
    for (given, kept) in [
        (address(0, 0, b"99441"), address(0, 0, b"441")),
        (address(0, 0, b"99331"), address(1, 1, b"+331")),
        (address(2, 1, b"441"), address(2, 1, b"441")),
    ] {
        assert_eq!(rewritten(Side::Destination, &given), Ok(kept));
    }
    for (given, kept) in [
        (address(5, 0, b"Shops"), Ok(address(5, 0, b"The SHOP"))),
        (address(5, 0, b"keeper"), Ok(address(5, 0, b"keeper"))),
        (address(5, 0, b"kept"), Ok(address(5, 0, b"x"))),
        (address(5, 0, b"99441"), Ok(address(5, 0, b"99441"))),
        (address(5, 0, b"long"), Err(Refusal::Sender)),
        (address(5, 0, b"gone"), Err(Refusal::Sender)),
        (address(5, 0, b"short"), Err(Refusal::Sender)),
        (address(5, 0, b""), Ok(address(5, 0, b""))),
    ] {
        assert_eq!(rewritten(Side::Source, &given), kept, "{:?}", given.as_bytes());
    }
    // Rewritten first, canonical then.
    let both = format!("{CANONICAL}\nrewrite = \"first\"");
    let found = admitted(
        REWRITES,
        &both,
        Side::Destination,
        &address(0, 0, b"9933612345678"),
    );
    assert_eq!(found, Ok(address(1, 1, b"33612345678")));
}

fn towards(
    rewrites: &str,
    carrier: &str,
    source: &AddressBuf,
    destination: &AddressBuf,
) -> Result<[AddressBuf; 2], CommandStatus> {
    let config = config(rewrites, "", carrier);
    let kept = Addresses::new(source, destination);
    let addressing = Addressing::new(&config);
    let words = addressing.towards(0, &config.carriers[0].writing, &kept)?;
    Ok([words.source, words.destination])
}

#[test]
fn each_carrier_gets_numbers_in_its_form() {
    let (gb, fr) = (address(1, 1, b"447700900123"), address(1, 1, b"33612345678"));
    for (keys, source, destination) in [
        ("", gb.clone(), fr.clone()),
        ("numbers = \"international\"", gb.clone(), fr.clone()),
        (
            "numbers = \"plus\"",
            address(1, 1, b"+447700900123"),
            address(1, 1, b"+33612345678"),
        ),
        (
            "numbers = \"national\"\ncountry = \"GB\"",
            address(2, 1, b"7700900123"),
            address(1, 1, b"33612345678"),
        ),
        (
            "numbers = \"national\"\ncountry = \"FR\"\ndestination_ton_npi = { number = [0, 8] }",
            address(1, 1, b"447700900123"),
            address(0, 8, b"612345678"),
        ),
    ] {
        assert_eq!(towards("", keys, &gb, &fr), Ok([source, destination]), "{keys}");
    }
    // As given accounts write numbers in many ways; one that says that it is a number is one.
    let plus = address(0, 0, b"+447700900123");
    assert_eq!(
        towards("", "numbers = \"international\"", &plus, &fr),
        Ok([gb, fr.clone()])
    );
    for other in [
        address(5, 0, b"447700900123"),
        address(0, 0, b"80888"),
        address(0, 0, b"07700900123"),
        address(3, 1, b"447700900123"),
        address(5, 0, b"Shop"),
        address(0, 0, b""),
    ] {
        let found = towards("", "numbers = \"plus\"", &other, &fr);
        assert_eq!(found.map(|[source, _]| source), Ok(other));
    }
}

#[test]
fn ton_and_npi_follow_what_an_address_is() {
    let keys = "source_ton_npi = { number = [9, 1], alphanumeric = [9, 2], short = [9, 3] }\n\
                destination_ton_npi = { number = [8, 1], short = [8, 3] }";
    let to = address(1, 1, b"447700900123");
    for (given, npi) in [
        (address(1, 1, b"447700900123"), 1),
        (address(0, 0, b"+447700900123"), 1),
        (address(2, 1, b"712345"), 1),
        (address(5, 0, b"Shop"), 2),
        (address(0, 0, b"Shop"), 2),
        (address(5, 0, b"80888"), 2),
        (address(0, 0, b"80888"), 3),
        (address(3, 1, b"1234567"), 3),
    ] {
        let wanted = address(9, npi, given.as_bytes());
        let found = towards("", keys, &given, &to);
        assert_eq!(found, Ok([wanted, address(8, 1, b"447700900123")]));
    }
    let none = address(0, 0, b"");
    let found = towards("", keys, &none, &address(0, 0, b"80888"));
    assert_eq!(found, Ok([none, address(8, 3, b"80888")]));
}

#[test]
fn a_carrier_rewrites_what_it_is_about_to_get() {
    let rewrites = "rewrite = [{ name = \"sink\", rules = [\
        { address = \"destination\", begins = \"+44\", strip = 3, prefix = \"0\", ton = 2 }, \
        { address = \"destination\", begins = \"+33\", prefix = \"123456789\" }, \
        { address = \"source\", begins = \"x\", strip = 1 }] }]";
    let keys = "numbers = \"plus\"\nrewrite = \"sink\"";
    let to = |source: &[u8], destination: &[u8]| {
        towards(
            rewrites,
            keys,
            &address(5, 0, source),
            &address(1, 1, destination),
        )
    };
    assert_eq!(
        to(b"Shop", b"447700900123"),
        Ok([address(5, 0, b"Shop"), address(2, 1, b"07700900123")])
    );
    assert_eq!(to(b"Shop", b"33612345678"), Err(CommandStatus::RINVDSTADR));
    assert_eq!(to(b"x", b"447700900123"), Err(CommandStatus::RINVSRCADR));
}

#[test]
fn a_carrier_gets_its_tlvs_and_not_those_it_does_not_want() {
    let config = config(
        "",
        "",
        "drop_tlvs = [0x1400, 0x1402]\nadd_tlvs = [{ tag = 0x1401, text = \"ours\" }, { tag = 0x1403, hex = \"00\" }]",
    );
    let writing = &config.carriers[0].writing;
    let kept = Addresses::new(&address(5, 0, b"Shop"), &address(1, 1, b"447700900123"));
    let addressing = Addressing::new(&config);
    let words = addressing.towards(0, writing, &kept).unwrap();
    let mut given = Vec::new();
    for tag in [0x1400, 0x1401, 0x1404, 0x1400] {
        assert!(append(&mut given, Tag(tag), b"theirs"));
    }
    let mut scratch = Vec::new();
    let found: Vec<(u16, &[u8])> = words
        .tlvs(Tlvs::new(&given), &mut scratch)
        .iter()
        .map(|tlv| (tlv.tag.0, tlv.value.0))
        .collect();
    assert_eq!(
        found,
        [(0x1404, &b"theirs"[..]), (0x1401, b"ours"), (0x1403, b"\0")]
    );
}

#[test]
fn a_message_is_named_as_it_was_submitted_or_as_it_is_kept() {
    let config = config("", CANONICAL, "");
    let addressing = Addressing::new(&config);
    let account = addressing.of_account(0, &config.accounts[0].numbering);
    let kept = address(1, 1, b"447700900123");
    for given in [
        address(0, 0, b"07700900123"),
        address(2, 1, b"7700900123"),
        address(0, 0, b"+447700900123"),
        address(0, 0, b"447700900123"),
    ] {
        let field = given.as_field().unwrap();
        assert!(account.source_meant(field).is(&kept) && account.destination_meant(field).is(&kept));
        // What was submitted before numbers were canonical.
        assert!(account.source_meant(field).is(&given));
    }
    let other = address(0, 0, b"07700900124");
    assert!(!account.source_meant(other.as_field().unwrap()).is(&kept));
}

#[test]
fn the_country_of_a_recipient_is_known_however_it_is_written() {
    let config = config("", "country = \"GB\"", "");
    let addressing = Addressing::new(&config);
    let account = addressing.of_account(0, &config.accounts[0].numbering);
    for (given, country) in [
        (address(0, 0, b"07700900123"), Country::new("GB")),
        (address(1, 1, b"33612345678"), Country::new("FR")),
        (address(0, 0, b"80888"), None),
    ] {
        assert_eq!(account.country_of(&given), country);
    }
}
