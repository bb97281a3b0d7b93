//! Addresses: rewriting, senders by country, and what carriers want.

use tidegate_codec::address::{Npi, Ton};
use tidegate_codec::tlv::Tag;

use super::MINIMAL;
use super::problems::{one, with};
use crate::rewrite::{Change, Side};
use crate::{AccountNumbers, CarrierNumbers, Config, Country, parse};

fn good(text: &str) -> Config {
    parse(text).unwrap_or_else(|problems| panic!("{problems}"))
}

/// The smallest file and more: rewrites in front of everything, a key of the account, a key of the carrier.
fn file(rewrites: &str, account: &str, carrier: &str) -> String {
    let text = MINIMAL.replace(
        "system_id = \"example\"\n",
        &format!("system_id = \"example\"\n{account}\n"),
    );
    let text = text.replace(
        "system_id = \"tidegate\"\n",
        &format!("system_id = \"tidegate\"\n{carrier}\n"),
    );
    format!("{rewrites}\n{text}")
}

#[test]
fn rewrites_are_read_in_order_and_found_by_name() {
    let config = good(&file(
        "rewrite = [{ name = \"one\", then = \"two\", rules = [\
         { address = \"destination\", begins = \"00\", strip = 2, prefix = \"+\", ton = 1, npi = 1 }, \
         { address = \"source\", replace = \"Shop\" }] }, \
         { name = \"two\", rules = [{ address = \"source\", begins = \"x\" }] }]",
        "rewrite = \"one\"",
        "rewrite = \"two\"",
    ));
    let one = &config.rewrites[0];
    assert_eq!(one.then.as_ref(), Some(&config.rewrites[1].name));
    let [first, second] = &one.rules[..] else { panic!() };
    assert_eq!((first.address, first.begins.as_str()), (Side::Destination, "00"));
    let prefix = "+".to_owned();
    assert_eq!(first.change, Change::Front { strip: 2, prefix });
    assert_eq!((first.ton, first.npi), (Some(Ton(1)), Some(Npi(1))));
    assert_eq!(second.change, Change::Whole("Shop".to_owned()));
    assert_eq!(config.accounts[0].numbering.rewrite.as_ref(), Some(&one.name));
    assert_eq!(config.carriers[0].writing.rewrite, one.then);
}

#[test]
fn rewrites_that_cannot_be_are_refused_where_they_stand() {
    let rule = "rules = [{ address = \"source\" }]";
    for (rewrites, key, word) in [
        (
            format!("rewrite = [{{ name = \"a\", then = \"a\", {rule} }}]"),
            "rewrite.a.then",
            "a → a",
        ),
        (
            format!(
                "rewrite = [{{ name = \"z\", then = \"b\", {rule} }}, {{ name = \"b\", then = \"c\", {rule} }}, \
                 {{ name = \"c\", then = \"d\", {rule} }}, {{ name = \"d\", then = \"b\", {rule} }}]"
            ),
            "rewrite.b.then",
            "b → c → d → b",
        ),
        (
            format!("rewrite = [{{ name = \"a\", then = \"b\", {rule} }}]"),
            "rewrite.a.then",
            "no rewrite \"b\"",
        ),
        (
            format!("rewrite = [{{ name = \"a\", {rule} }}, {{ name = \"a\", {rule} }}]"),
            "rewrite[1].name",
            "is taken",
        ),
        (
            "rewrite = [{ name = \"a\", rules = [] }]".to_owned(),
            "rewrite.a.rules",
            "add one",
        ),
        (
            "rewrite = [{ name = \"a\" }]".to_owned(),
            "rewrite.a.rules",
            "add a rule",
        ),
        (
            "rewrite = [{ name = \"a\", rules = [] }]".to_owned(),
            "rewrite.a.rules",
            "add one",
        ),
        (
            format!("rewrite = [{{ name = \"A b\", {rule} }}]"),
            "rewrite[0].name",
            "a–z",
        ),
        (
            "rewrite = [{ name = \"a\", rules = [{ strip = 1 }] }]".to_owned(),
            "rewrite[0].rules[0].address",
            "destination",
        ),
        (
            "rewrite = [{ name = \"a\", rules = [{ address = \"source\", strip = 1, replace = \"x\" }] }]"
                .to_owned(),
            "rewrite[0].rules[0].replace",
            "or `strip`",
        ),
        (
            "rewrite = [{ name = \"a\", rules = [{ address = \"source\", strip = 21 }] }]".to_owned(),
            "rewrite[0].rules[0].strip",
            "from 0 to 20",
        ),
        (
            "rewrite = [{ name = \"a\", rules = [{ address = \"source\", prefix = \"é\" }] }]".to_owned(),
            "rewrite[0].rules[0].prefix",
            "ASCII",
        ),
        (
            "rewrite = [{ name = \"a\", rules = [{ address = \"source\", replace = \"\" }] }]".to_owned(),
            "rewrite[0].rules[0].replace",
            "empty",
        ),
        (
            "rewrite = [{ name = \"a\", rules = [{ address = \"source\", with = \"x\" }] }]".to_owned(),
            "rewrite[0].rules[0].with",
            "unknown key",
        ),
    ] {
        let found = parse(&file(&rewrites, "", "")).expect_err(&rewrites);
        let [problem] = found.as_slice() else {
            panic!("{found}")
        };
        assert_eq!(problem.line, Some(1), "{problem}");
        // A rewrite is called by its name as soon as it has one.
        let named = key.replace("rewrite[0].rules", "rewrite.a.rules");
        assert!(problem.key == key || problem.key == named, "{problem}");
        assert!(problem.to_string().contains(word), "{problem}");
    }
}

#[test]
fn an_account_uses_what_there_is() {
    for (line, key, word) in [
        ("rewrite = \"gone\"", "account[0].rewrite", "[[rewrite]]"),
        ("country = \"UK\"", "account[0].country", "\"GB\""),
        ("numbers = \"national\"", "account[0].numbers", "\"canonical\""),
        (
            "default_source = \"Sh*\"",
            "account[0].default_source",
            "without `*`",
        ),
        ("default_source = \"\"", "account[0].default_source", "1 to 20"),
        (
            "default_source = \"Shop\"\nsenders = [\"Bank\"]",
            "account[0].default_source",
            "senders",
        ),
        (
            "senders_by_country = [{ sender = \"Shop\", countries = [\"XX\"] }]",
            "account[0].senders_by_country[0].countries[0]",
            "ISO 3166",
        ),
        (
            "senders_by_country = [{ sender = \"Shop\" }]",
            "account[0].senders_by_country[0].countries",
            "GB",
        ),
        (
            "senders_by_country = [{ countries = [\"GB\"] }]",
            "account[0].senders_by_country[0].sender",
            "source address",
        ),
    ] {
        one(
            &with(
                "system_id = \"example\"\n",
                &format!("system_id = \"example\"\n{line}\n"),
            ),
            key,
            9,
            word,
        );
    }
}

#[test]
fn a_carrier_uses_what_there_is() {
    for (line, key, word) in [
        ("rewrite = \"gone\"", "carrier.example.rewrite", "[[rewrite]]"),
        ("numbers = \"national\"", "carrier.example.numbers", "country"),
        (
            "source_ton_npi = { number = [1] }",
            "carrier.example.source_ton_npi.number",
            "[1, 1]",
        ),
        (
            "source_ton_npi = { number = [1, 256] }",
            "carrier.example.source_ton_npi.number",
            "255",
        ),
        (
            "destination_ton_npi = { alphanumeric = [5, 0] }",
            "carrier.example.destination_ton_npi.alphanumeric",
            "unknown key",
        ),
        (
            "drop_tlvs = [0x0424]",
            "carrier.example.drop_tlvs[0]",
            "belongs to the text",
        ),
        ("drop_tlvs = [0]", "carrier.example.drop_tlvs[0]", "from 1"),
        (
            "add_tlvs = [{ tag = 5120 }]",
            "carrier.example.add_tlvs[0].text",
            "`text` or `hex`",
        ),
        (
            "add_tlvs = [{ tag = 5120, hex = \"0\" }]",
            "carrier.example.add_tlvs[0].hex",
            "two hex digits",
        ),
        (
            "add_tlvs = [{ tag = 5120, text = \"a\" }, { tag = 5120, text = \"b\" }]",
            "carrier.example.add_tlvs[1].tag",
            "once",
        ),
    ] {
        one(
            &with(
                "system_id = \"tidegate\"\n",
                &format!("system_id = \"tidegate\"\n{line}\n"),
            ),
            key,
            14,
            word,
        );
    }
}

#[test]
fn what_is_written_is_what_is_meant() {
    let config = good(&file(
        "",
        "country = \"GB\"\nnumbers = \"canonical\"\nshort_codes = false\ndefault_source = \"Shop\"\nsenders = [\"Sh*\"]",
        "country = \"DE\"\nnumbers = \"national\"\nsource_ton_npi = { number = [2, 1], alphanumeric = [5, 0] }\n\
         destination_ton_npi = { short = [3, 0] }\ndrop_tlvs = [0x1400]\nadd_tlvs = [{ tag = 0x1401, hex = \"00fF\" }]",
    ));
    let numbering = &config.accounts[0].numbering;
    assert_eq!(numbering.country, Country::new("GB"));
    assert_eq!(numbering.numbers, AccountNumbers::Canonical);
    assert!(!numbering.short_codes);
    assert_eq!(numbering.default_source.as_deref(), Some("Shop"));
    let writing = &config.carriers[0].writing;
    assert_eq!(
        (writing.country, writing.numbers),
        (Country::new("DE"), CarrierNumbers::National)
    );
    assert_eq!(writing.source_ton_npi.number, Some((Ton(2), Npi(1))));
    assert_eq!(writing.source_ton_npi.alphanumeric, Some((Ton(5), Npi(0))));
    assert_eq!(writing.destination_ton_npi.short, Some((Ton(3), Npi(0))));
    assert_eq!(writing.destination_ton_npi.number, None);
    assert_eq!(writing.drop_tlvs, [Tag(0x1400)]);
    assert_eq!(writing.add_tlvs[0].value, [0, 0xff]);
}

#[test]
fn senders_may_be_for_some_countries_only() {
    let config = good(&file(
        "",
        "senders = [\"Bank\"]\nsenders_by_country = [{ sender = \"Shop*\", countries = [\"GB\", \"IE\"] }]",
        "",
    ));
    let account = &config.accounts[0];
    let allows = |sender: &[u8], country| account.allows_sender(sender, || Country::new(country));
    assert!(allows(b"Shop", "GB") && allows(b"Shops", "IE") && allows(b"Bank", "DE"));
    assert!(!allows(b"Shop", "DE") && !allows(b"Shop", "") && !allows(b"Other", "GB"));
    assert!(account.allows_sender(b"Bank", || panic!("the country does not matter")));
    let nobody = good(&file(
        "",
        "senders_by_country = [{ sender = \"Shop\", countries = [\"GB\"] }]",
        "",
    ));
    assert!(!nobody.accounts[0].allows_sender(b"Other", || Country::new("GB")));
}
