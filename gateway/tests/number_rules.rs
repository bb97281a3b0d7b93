//! The table of number rules (`gateway/src/number/rules.tsv`) is what the crate `phonenumber` says.
//!
//! The crate is asked here only: the gateway carries the table, without the crate and what comes with it. To take a
//! newer version of the rules in, raise the crate's version and write the table anew:
//!
//! ```text
//! cargo test -p tidegate-gateway --test number_rules -- --ignored
//! ```

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use phonenumber::Type;
use phonenumber::metadata::{DATABASE, Descriptor, Metadata};
use tidegate_codec::address::{Npi, Ton};
use tidegate_config::Country;
use tidegate_gateway::number::plan;

const HEAD: &str = "\
# Number rules by country, made by gateway/tests/number_rules.rs from the crate phonenumber: the data of Google's
# libphonenumber, Apache-2.0.
# Do not edit. Columns, split by tabs, `-` for nothing: country (001 for none), country code, m for the main one of
# a shared code, lengths without the code, pattern of numbers without the code, international prefix, national
# prefix, what the latter turns into, how the numbers begin that are this country's among those of a shared code.
";

/// Types whose lengths make the lengths of a country; the last kind of the crate, numbers that cannot be called from
/// abroad, is none.
const TYPES: &[Type] = &[
    Type::FixedLine,
    Type::Mobile,
    Type::TollFree,
    Type::PremiumRate,
    Type::SharedCost,
    Type::PersonalNumber,
    Type::Voip,
    Type::Pager,
    Type::Uan,
    Type::Voicemail,
];

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/number/rules.tsv")
}

fn lengths(of: &Metadata) -> String {
    let all = of.descriptors();
    let own = all.general().possible_length();
    let lengths: BTreeSet<u16> = if own.is_empty() {
        let kinds = TYPES.iter().filter_map(|kind| all.get(*kind));
        kinds.flat_map(Descriptor::possible_length).copied().collect()
    } else {
        own.iter().copied().collect()
    };
    let lengths: Vec<String> = lengths.iter().map(u16::to_string).collect();
    lengths.join(",")
}

fn squeezed(pattern: &str) -> String {
    pattern.split_whitespace().collect()
}

/// Area codes of a country of +1 that states no leading digits: those in which most exchanges are its own.
fn area_codes(id: &str) -> String {
    let is_ours = |area: u16, exchange: u16| {
        let number = format!("+1{area}{exchange}4567").parse::<phonenumber::PhoneNumber>();
        number.is_ok_and(|number| number.country().id().is_some_and(|found| found.as_ref() == id))
    };
    let areas = (200..1000u16).filter(|area| {
        let exchanges = (200..1000).step_by(37);
        let count = exchanges.clone().count();
        2 * exchanges.filter(|exchange| is_ours(*area, *exchange)).count() > count
    });
    areas.map(|area| area.to_string()).collect::<Vec<_>>().join("|")
}

fn line(of: &Metadata) -> String {
    let or_none = |text: Option<String>| {
        text.filter(|text| !text.is_empty())
            .unwrap_or_else(|| "-".to_owned())
    };
    let is_alone = DATABASE
        .by_code(&of.country_code())
        .is_none_or(|all| all.len() == 1);
    let leading = match of.leading_digits() {
        _ if is_alone || (of.is_main_country_for_code() && of.country_code() != 1) => None,
        Some(digits) => Some(squeezed(digits.as_str())),
        None if of.country_code() == 1 => Some(area_codes(of.id())),
        None => None,
    };
    let mut line = String::new();
    write!(
        line,
        "{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}",
        of.id(),
        of.country_code(),
        if is_alone || of.is_main_country_for_code() {
            "m"
        } else {
            "-"
        },
        lengths(of),
        squeezed(of.descriptors().general().national_number().as_str()),
        or_none(of.international_prefix().map(|prefix| squeezed(prefix.as_str()))),
        or_none(
            of.national_prefix_for_parsing()
                .map(|prefix| squeezed(prefix.as_str()))
                .or_else(|| of.national_prefix().map(str::to_owned))
        ),
        or_none(of.national_prefix_transform_rule().map(str::to_owned)),
        or_none(leading),
    )
    .expect("a string takes everything");
    line
}

fn table() -> String {
    let mut lines = Vec::new();
    for code in 1..1000 {
        let Some(regions) = DATABASE.by_code(&code) else {
            continue;
        };
        let mut regions: Vec<&Metadata> = regions.into_iter().collect();
        regions.sort_by_key(|of| (!of.is_main_country_for_code(), of.id().to_owned()));
        lines.extend(regions.into_iter().map(line));
    }
    format!("{HEAD}{}\n", lines.join("\n"))
}

#[test]
fn the_table_is_what_the_crate_says() {
    let written = std::fs::read_to_string(path()).expect("the table is there");
    assert!(written == table(), "write it anew: see the head of this file");
}

#[test]
fn a_number_is_made_canonical_without_an_allocation() {
    let home = Country::new("GB");
    // The table is read first.
    let _ = plan();
    for address in [
        "447700900123",
        "+44 (0)20 7946 0018",
        "07700900123",
        "0033612345678",
        "80888",
        "441481960194",
        "no number",
        "+5491112345678",
    ] {
        let counted = allocation_counter::measure(|| {
            let found = plan().canonical(Ton::UNKNOWN, Npi::ISDN, address.as_bytes(), home);
            let _ = found.map(|number| plan().country_of(&number));
        });
        assert_eq!(counted.count_total, 0, "{address}");
    }
}

#[test]
#[ignore = "writes the table anew"]
fn write_the_table() {
    std::fs::write(path(), table()).expect("the sources can be written");
}
