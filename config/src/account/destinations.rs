//! Where an account's messages may go: countries, numbers, and what was approved (FRD-1, FRD-2).

use toml::de::DeValue;

use super::numbering::Numbering;
use crate::country::Country;
use crate::problem::Fault;
use crate::section::Section;
use crate::value::{boolean, choice, day, shown, text, text_of};

/// Most prefixes of `number_modes`, and approvals of one account.
const NUMBERS_MAX: usize = 1_024;
const APPROVALS_MAX: usize = 1_024;
/// Countries that may be named at most: all there are.
const COUNTRIES_MAX: usize = 256;
/// Most characters of a purpose or a name, and of a sample text.
const WORDS_MAX: usize = 200;
const SAMPLE_MAX: usize = 1_600;

/// Where an account's messages may go. What it says of a number goes before what it says of its country.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destinations {
    /// Key `countries`, default absent; see [`Destinations::modes`].
    pub countries: Option<CountryModes>,
    /// Key `number_modes`, default `[]`, at most 1 024 of `{ prefix = "4520", mode = "allow" }`: modes of numbers that begin
    /// with these 1 to 15 digits of an international number; the longest holds, of equal ones the first. Sorted.
    pub number_modes: Vec<(String, CountryMode)>,
    /// Key `destination_approval`, default false: whether every country but the account's own needs an approval.
    pub destination_approval: bool,
    /// Key `approvals`, default `[]`, at most 1 024 of `{ country = "…", purpose = "…", sample = "…", approved = …, by = "…" }`.
    pub approvals: Vec<Approval>,
}

/// A key `countries`: `"home"`, only that of the key `country`; `"all"`; a list of the only ones; or a table such as
/// `{ US = "allow", DK = "filter", "*" = "block" }`, where `"*"` is for all others and for numbers of no country, by
/// default `"block"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountryModes {
    /// Those that are named, sorted.
    pub named: Vec<(Country, CountryMode)>,
    /// All others, and numbers of no country.
    pub others: CountryMode,
}

/// What may go to a country.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CountryMode {
    /// `"block"`: nothing.
    Block,
    /// `"allow"`: everything.
    Allow,
    /// `"monitor"`: everything, and it is counted apart.
    Monitor,
    /// `"filter"`: what an approval of the country is there for.
    Filter,
}

/// One registration of what an account sends to a country.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// Key `country`, required.
    pub country: Country,
    /// Key `purpose`, required, 1 to 200 characters: what the messages are for.
    pub purpose: String,
    /// Key `sample`, required, 1 to 1 600 characters: a text of theirs.
    pub sample: String,
    /// Key `approved`, default absent (asked for, not given yet): from which day on, such as `2026-01-31`, in UTC. In unix
    /// milliseconds.
    pub approved_ms: Option<u64>,
    /// Key `by`, required with `approved`, 1 to 200 characters: who gave it.
    pub by: Option<String>,
}

impl CountryModes {
    /// Everything may go everywhere.
    pub const ALL: Self = Self {
        named: Vec::new(),
        others: CountryMode::Allow,
    };

    fn only(countries: impl IntoIterator<Item = Country>) -> Self {
        let mut named: Vec<_> = countries
            .into_iter()
            .map(|country| (country, CountryMode::Allow))
            .collect();
        named.sort_unstable_by_key(|(country, _)| *country);
        named.dedup_by_key(|(country, _)| *country);
        Self {
            named,
            others: CountryMode::Block,
        }
    }

    /// What holds for a country.
    pub fn of(&self, country: Option<Country>) -> CountryMode {
        let place = |country| {
            self.named
                .binary_search_by_key(&country, |(named, _)| *named)
                .ok()
        };
        let named = country.and_then(place).and_then(|place| self.named.get(place));
        named.map_or(self.others, |(_, mode)| *mode)
    }
}

impl Destinations {
    /// What holds for countries. An account that says nothing is let to its home alone (FRD-1), if it says where it is at
    /// home; else to all countries, since nobody knows which one that is.
    pub fn modes(&self, home: Option<Country>) -> CountryModes {
        let by_home = || home.map_or(CountryModes::ALL, |home| CountryModes::only([home]));
        self.countries.clone().unwrap_or_else(by_home)
    }
}

const MODES: &[(&str, CountryMode)] = &[
    ("block", CountryMode::Block),
    ("allow", CountryMode::Allow),
    ("monitor", CountryMode::Monitor),
    ("filter", CountryMode::Filter),
];

pub(super) fn read(section: &mut Section<'_>, numbering: &Numbering) -> Destinations {
    let countries = section.optional("countries", |value| countries(value, numbering.country));
    let number_modes = section.each_up_to("number_modes", NUMBERS_MAX);
    let mut number_modes: Vec<_> = number_modes.into_iter().filter_map(number_mode).collect();
    number_modes.sort_by(|(one, _), (other, _)| one.cmp(other));
    number_modes.dedup_by(|(later, _), (first, _)| later == first);
    let destination_approval = section.or("destination_approval", false, boolean);
    let approvals = section.each_up_to("approvals", APPROVALS_MAX);
    Destinations {
        countries,
        number_modes,
        destination_approval,
        approvals: approvals.into_iter().filter_map(approval).collect(),
    }
}

fn countries(value: &DeValue<'_>, home: Option<Country>) -> Result<CountryModes, Fault> {
    let remedy = "write \"home\", \"all\", a list such as [\"US\", \"CA\"], or a table such as { US = \"allow\", \"*\" = \"block\" }";
    let too_many = |len: usize| {
        Fault::new(
            format!("{len} countries"),
            format!("give at most {COUNTRIES_MAX}"),
        )
    };
    match value {
        DeValue::String(word) => match (word.as_ref(), home) {
            ("all", _) => Ok(CountryModes::ALL),
            ("home", Some(home)) => Ok(CountryModes::only([home])),
            ("home", None) => Err(Fault::new(
                "nothing says where the account is at home",
                "add `country = \"…\"`, or list the countries",
            )),
            (word, _) => Err(Fault::new(
                format!("{} is no value of this key", shown::value(word)),
                remedy,
            )),
        },
        DeValue::Array(items) if items.len() > COUNTRIES_MAX => Err(too_many(items.len())),
        DeValue::Array(items) => {
            let country = text(Country::parse);
            let read: Result<Vec<_>, _> = items.iter().map(|item| country(item.get_ref())).collect();
            Ok(CountryModes::only(read?))
        }
        DeValue::Table(table) if table.len() > COUNTRIES_MAX => Err(too_many(table.len())),
        DeValue::Table(table) => {
            let mut modes = CountryModes::only([]);
            for (country, mode) in table {
                let mode = choice(MODES)(mode.get_ref())?;
                match country.get_ref().as_ref() {
                    "*" => modes.others = mode,
                    country => modes.named.push((Country::parse(country)?, mode)),
                }
            }
            modes.named.sort_unstable_by_key(|(country, _)| *country);
            Ok(modes)
        }
        other => Err(Fault::new(
            format!("{} where countries belong", shown::kind(other)),
            remedy,
        )),
    }
}

fn number_mode(mut entry: Section<'_>) -> Option<(String, CountryMode)> {
    let prefix = entry.required("prefix", "write the digits that numbers begin with", text(prefix));
    let mode = entry.required(
        "mode",
        "write \"block\", \"allow\", \"monitor\" or \"filter\"",
        choice(MODES),
    );
    entry.finish(&[]);
    Some((prefix?, mode?))
}

fn prefix(text: &str) -> Result<String, Fault> {
    if (1..=15).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()) && !text.starts_with('0') {
        return Ok(text.to_owned());
    }
    // Not shown: it may be somebody's number.
    Err(Fault::new(
        "not the beginning of a number",
        "write 1 to 15 digits of an international number, country code first, without +",
    ))
}

fn approval(mut entry: Section<'_>) -> Option<Approval> {
    let country = entry.required(
        "country",
        "say for which: `country = \"DK\"`",
        text(Country::parse),
    );
    let purpose = entry.required(
        "purpose",
        "say what the messages are for: `purpose = \"…\"`",
        words(WORDS_MAX),
    );
    let sample = entry.required(
        "sample",
        "give a text of theirs: `sample = \"…\"`",
        words(SAMPLE_MAX),
    );
    let approved_ms = entry.optional("approved", day);
    let by = entry.optional("by", words(WORDS_MAX));
    if entry.has("approved") && !entry.has("by") {
        entry.missing("by", "say who approved it: `by = \"…\"`");
    }
    entry.finish(&[]);
    Some(Approval {
        country: country?,
        purpose: purpose?,
        sample: sample?,
        approved_ms,
        by,
    })
}

/// Some words for people.
fn words(max: usize) -> impl Fn(&DeValue<'_>) -> Result<String, Fault> {
    move |value| {
        let text = text_of(value)?;
        let is_printable = |c: char| !c.is_control() || c == '\n';
        if (1..=max).contains(&text.chars().count()) && text.chars().all(is_printable) {
            return Ok(text.to_owned());
        }
        Err(Fault::new(
            "empty, too long, or with control characters",
            format!("write 1 to {max} characters"),
        ))
    }
}
