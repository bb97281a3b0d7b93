//! What messages are for, and where they may go.

use tidegate_codec::category::Category;

use super::MINIMAL;
use super::problems::{one, with};
use crate::{Account, Country, CountryMode, CountryModes, diff, parse};

/// The account of the smallest file with some keys more.
fn account(keys: &str) -> Account {
    let text = with(
        "system_id = \"example\"\n",
        &format!("system_id = \"example\"\n{keys}\n"),
    );
    let mut config = parse(&text).unwrap_or_else(|problems| panic!("{problems}"));
    config.accounts.remove(0)
}

fn country(letters: &str) -> Option<Country> {
    Some(Country::known(letters).unwrap())
}

#[test]
fn a_message_goes_before_its_sender_its_account_and_its_recipients_country() {
    let rules = account(
        "category = \"otp\"\ncategories = [\"transactional\"]\nsender_settings = [{ sender = \"Bank\" }, \
         { sender = \"B*\", category = \"emergency\" }, { sender = \"Bo\", category = \"otp\" }]",
    )
    .category;
    let of = |said, source: &[u8]| rules.of(said, source, || country("US"));
    // A setting that says nothing of it leaves it to the account, and the first that fits holds.
    assert_eq!(of(None, b"Bank"), Some(Category::Otp));
    assert_eq!(of(None, b"Bo"), Some(Category::Emergency));
    assert_eq!(of(None, b"Shop"), Some(Category::Otp));
    assert_eq!(
        of(Some(Category::Transactional), b"Bo"),
        Some(Category::Transactional)
    );
    // It may not say so of itself, although its sender and its account have it.
    assert_eq!(of(Some(Category::Emergency), b"Bo"), None);
    assert_eq!(of(Some(Category::Otp), b"Shop"), None);
}

#[test]
fn what_nobody_says_is_marketing_in_three_countries() {
    let rules = account("").category;
    for letters in ["US", "CA", "FR"] {
        assert_eq!(
            rules.of(None, b"Shop", || country(letters)),
            Some(Category::Marketing),
            "{letters}"
        );
    }
    for there in [country("GB"), country("PR"), country("RE"), None] {
        assert_eq!(
            rules.of(None, b"Shop", || there),
            Some(Category::Transactional),
            "{there:?}"
        );
    }
    for said in Category::ALL {
        assert_eq!(rules.of(Some(said), b"Shop", || unreachable!()), Some(said));
    }
    assert_eq!(
        account("categories = []")
            .category
            .of(Some(Category::Otp), b"", || None),
        None
    );
}

#[test]
fn an_account_that_says_nothing_is_let_to_its_home_where_that_is_known() {
    let modes = |keys: &str| {
        let account = account(keys);
        account.destinations.modes(account.numbering.country)
    };
    let (us, dk, my) = (country("US"), country("DK"), country("MY"));
    let told = |modes: &CountryModes| [us, dk, my, None].map(|country| modes.of(country));
    use CountryMode::{Allow, Block, Filter, Monitor};
    for (keys, expected) in [
        ("", [Allow, Allow, Allow, Allow]),
        ("country = \"US\"", [Allow, Block, Block, Block]),
        (
            "country = \"US\"\ncountries = \"home\"",
            [Allow, Block, Block, Block],
        ),
        (
            "country = \"US\"\ncountries = \"all\"",
            [Allow, Allow, Allow, Allow],
        ),
        (
            "countries = [\"MY\", \"DK\", \"MY\"]",
            [Block, Allow, Allow, Block],
        ),
        ("countries = []", [Block, Block, Block, Block]),
        (
            "countries = { DK = \"filter\", US = \"monitor\", MY = \"block\", \"*\" = \"allow\" }",
            [Monitor, Filter, Block, Allow],
        ),
        ("countries = { DK = \"allow\" }", [Block, Allow, Block, Block]),
    ] {
        assert_eq!(told(&modes(keys)), expected, "{keys}");
    }
}

#[test]
fn an_approval_holds_from_the_beginning_of_its_day() {
    let account = account(
        "approvals = [{ country = \"DK\", purpose = \"Codes\", sample = \"Your code\", approved = 2026-01-31, by = \"J. Doe\" }, \
         { country = \"MY\", purpose = \"News\", sample = \"Hello\" }]\nnumber_modes = [{ prefix = \"4520\", mode = \"allow\" }, { prefix = \"1900\", mode = \"block\" }]",
    );
    let [given, asked] = &account.destinations.approvals[..] else {
        panic!()
    };
    assert_eq!(
        (given.approved_ms, given.by.as_deref()),
        (Some(1_769_817_600_000), Some("J. Doe"))
    );
    assert_eq!((asked.approved_ms, asked.country), (None, country("MY").unwrap()));
    let numbers: Vec<&str> = account
        .destinations
        .number_modes
        .iter()
        .map(|(digits, _)| digits.as_str())
        .collect();
    assert_eq!(numbers, ["1900", "4520"]);
}

#[test]
fn what_is_wrong_is_told_where_it_stands() {
    let account = |keys: &str| {
        with(
            "system_id = \"example\"\n",
            &format!("system_id = \"example\"\n{keys}\n"),
        )
    };
    for (keys, key, word) in [
        ("category = \"news\"", "category", "\"marketing\""),
        ("categories = [\"OTP\"]", "categories[0]", "\"otp\""),
        (
            "sender_settings = [{ category = \"otp\" }]",
            "sender_settings[0].sender",
            "missing",
        ),
        ("consent = true", "consent", "\"require\""),
        ("over_cap = \"drop\"", "over_cap", "\"defer\""),
        ("caps = [{ category = \"otp\" }]", "caps[0].per_day", "`per_week`"),
        ("caps = [{ per_day = 3 }]", "caps[0].category", "missing"),
        (
            "caps = [{ category = \"otp\", per_day = 1 }, { category = \"otp\", per_week = 2 }]",
            "caps[1].category",
            "into one",
        ),
        (
            "caps = [{ category = \"otp\", per_week = 0 }]",
            "caps[0].per_week",
            "1 to 1",
        ),
        ("countries = \"home\"", "countries", "add `country"),
        ("countries = \"US\"", "countries", "a list such as"),
        ("countries = [\"UK\"]", "countries", "write \"GB\""),
        ("countries = { US = \"open\" }", "countries", "\"allow\""),
        ("countries = { XX = \"allow\" }", "countries", "ISO 3166"),
        ("countries = 1", "countries", "\"home\""),
        (
            "number_modes = [{ prefix = \"+4520123456\", mode = \"allow\" }]",
            "number_modes[0].prefix",
            "without +",
        ),
        (
            "number_modes = [{ prefix = \"045\", mode = \"allow\" }]",
            "number_modes[0].prefix",
            "country code first",
        ),
        (
            "number_modes = [{ prefix = \"45\" }]",
            "number_modes[0].mode",
            "missing",
        ),
        (
            "approvals = [{ country = \"DK\", purpose = \"a\", sample = \"b\", approved = \"2026-01-31\", by = \"c\" }]",
            "approvals[0].approved",
            "without quotes",
        ),
        (
            "approvals = [{ country = \"DK\", purpose = \"a\", sample = \"b\", approved = 2026-01-31T00:00:00Z, by = \"c\" }]",
            "approvals[0].approved",
            "without quotes",
        ),
        (
            "approvals = [{ country = \"DK\", purpose = \"a\", sample = \"b\", approved = 2026-01-31 }]",
            "approvals[0].by",
            "who approved",
        ),
        (
            "approvals = [{ country = \"DK\", purpose = \"a\", sample = \"\" }]",
            "approvals[0].sample",
            "1 to 1600",
        ),
    ] {
        one(&account(keys), &format!("account[0].{key}"), 9, word);
    }
    one(
        &format!("{MINIMAL}[compliance]\napproval_required = [\"uk\"]\n"),
        "compliance.approval_required[0]",
        22,
        "GB",
    );
}

#[test]
fn a_reload_tells_which_of_it_is_another() {
    let old = parse(MINIMAL).unwrap();
    let keys = "category = \"otp\"\ncountries = [\"DK\"]\ndestination_approval = true";
    let text = with(
        "system_id = \"example\"\n",
        &format!("system_id = \"example\"\n{keys}\n"),
    );
    let new = parse(&format!(
        "{text}[compliance]\napproval_required = [\"MY\", \"DK\", \"DK\"]\n"
    ))
    .unwrap();
    assert_eq!(
        new.compliance.approval_required,
        [country("DK").unwrap(), country("MY").unwrap()]
    );
    let told: Vec<String> = diff(&old, &new)
        .changes()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        told,
        [
            "compliance.approval_required: changed",
            "account.example.category: changed",
            "account.example.countries: changed",
            "account.example.destination_approval: false -> true",
        ]
    );
    assert!(diff(&old, &new).restart_only().next().is_none());
}
