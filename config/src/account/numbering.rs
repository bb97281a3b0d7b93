//! How an account writes addresses, and which senders are its own.

use crate::country::Country;
use crate::problem::Fault;
use crate::rewrite::{Names, RewriteName};
use crate::section::Section;
use crate::sender::SenderPattern;
use crate::value::{boolean, choice, text};

/// Most patterns of one list of senders, and countries of one of them.
const SENDERS_MAX: usize = 1_024;
const COUNTRIES_MAX: usize = 256;

/// What is done to the addresses of a submit before anything else is asked about them: an absent source becomes the
/// default one, then the rewrite applies, then both become canonical.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbering {
    /// Key `country`, default absent, two letters such as `"GB"`: whose national numbers the account may write without
    /// the country code, and its home (see `countries`).
    pub country: Option<Country>,
    /// Key `numbers`, default `"as-given"`.
    pub numbers: AccountNumbers,
    /// Key `short_codes`, default true: whether the account may send to short codes where its numbers are canonical.
    pub short_codes: bool,
    /// Key `default_source`, default absent, 1 to 20 printable ASCII characters: the source of submits that have none.
    /// One that `senders` allows.
    pub default_source: Option<String>,
    /// Key `rewrite`, default absent: the name of a `[[rewrite]]`.
    pub rewrite: Option<RewriteName>,
    /// Key `senders_by_country`, default `[]`, at most 1 024 of `{ sender = "…", countries = ["…"] }`: source addresses
    /// that the account may use towards numbers of these countries, beside those of `senders`.
    pub senders_by_country: Vec<CountrySender>,
}

/// A source address for some countries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountrySender {
    /// Key `sender`, required: as in `senders`.
    pub sender: SenderPattern,
    /// Key `countries`, required, 1 to 256.
    pub countries: Vec<Country>,
}

/// What becomes of the numbers that an account writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountNumbers {
    /// `"as-given"`: TON, NPI and digits are carried as they came.
    AsGiven,
    /// `"canonical"`: numbers become international ones (TON 1, NPI 1, digits), names TON 5 and NPI 0. A recipient that
    /// is neither a number nor a short code, and a name that no handset shows, are refused.
    Canonical,
}

pub(super) fn read(section: &mut Section<'_>, senders: &[SenderPattern], rewrites: &Names) -> Numbering {
    let country = section.optional("country", text(Country::parse));
    let numbers = section.or(
        "numbers",
        AccountNumbers::AsGiven,
        choice(&[
            ("as-given", AccountNumbers::AsGiven),
            ("canonical", AccountNumbers::Canonical),
        ]),
    );
    let short_codes = section.or("short_codes", true, boolean);
    let default_source = section.optional("default_source", text(address));
    let rewrite = rewrites.read(section);
    let senders_by_country = read_by_country(section);
    if let Some(source) = &default_source {
        let by_country = senders_by_country.iter().map(|entry| &entry.sender);
        let mut all = senders.iter().chain(by_country).peekable();
        if all.peek().is_some() && !all.any(|pattern| pattern.matches(source.as_bytes())) {
            section.problem(
                "default_source",
                Fault::new("is no sender that the account may use", "add it to `senders`"),
            );
        }
    }
    Numbering {
        country,
        numbers,
        short_codes,
        default_source,
        rewrite,
        senders_by_country,
    }
}

fn read_by_country(section: &mut Section<'_>) -> Vec<CountrySender> {
    let entries = section.each_up_to("senders_by_country", SENDERS_MAX);
    let read = |mut entry: Section<'_>| {
        let sender = entry.required(
            "sender",
            "write a source address, with `*` at the end for any continuation",
            text(SenderPattern::parse),
        );
        if !entry.has("countries") {
            entry.missing("countries", "list countries, such as `countries = [\"GB\"]`");
        }
        let countries = entry.list("countries", 1..=COUNTRIES_MAX, text(Country::parse));
        entry.finish(&[("country", "write a list: `countries = [\"GB\"]`")]);
        Some(CountrySender {
            sender: sender?,
            countries: countries?,
        })
    };
    entries.into_iter().filter_map(read).collect()
}

fn address(text: &str) -> Result<String, Fault> {
    match SenderPattern::parse(text)? {
        SenderPattern::Exact(address) => Ok(address),
        SenderPattern::Prefix(_) => Err(Fault::new(
            "a default source is one address",
            "write it without `*`",
        )),
    }
}
