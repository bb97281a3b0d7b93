//! What an account's messages are for.

use tidegate_codec::category::Category;

use crate::country::Country;
use crate::section::Section;
use crate::sender::SenderPattern;
use crate::value::{choice, text};

/// Most entries of `sender_settings`.
const SENDERS_MAX: usize = 1_024;

/// The words of categories.
pub(crate) const CATEGORIES: &[(&str, Category)] = &[
    (Category::Marketing.word(), Category::Marketing),
    (Category::Transactional.word(), Category::Transactional),
    (Category::Otp.word(), Category::Otp),
    (Category::Emergency.word(), Category::Emergency),
];

/// What an account's messages are for: what a message says itself, else what is said of its sender, else of the account,
/// else by the recipient's country (compliance.md §4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CategoryRules {
    /// Key `category`, default absent: `"marketing"`, `"transactional"`, `"otp"` or `"emergency"`, of messages that do not
    /// say and whose sender has none. Absent: marketing to the US, Canada and France, transactional elsewhere.
    pub category: Option<Category>,
    /// Key `categories`, default all four: those that its messages may say themselves. `[]`: none.
    pub categories: Vec<Category>,
    /// Key `sender_settings`, default `[]`, at most 1 024 of `{ sender = "…", category = "…", pool = "…" }`: the first whose `sender`
    /// fits a message's source holds for it.
    pub sender_settings: Vec<SenderSettings>,
}

/// What is said of some senders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SenderSettings {
    /// Key `sender`, required: as in `senders`.
    pub sender: SenderPattern,
    /// Key `category`, default absent (the account's): of messages that do not say.
    pub category: Option<Category>,
    /// Key `pool`, default absent: the group of senders that it belongs to, 1 to 32 ASCII characters; an opt-out of one of
    /// them may hold for all (OPT-10).
    pub pool: Option<String>,
}

impl CategoryRules {
    /// What a message is for that says this of itself, from this source, to a recipient in this country, which is asked for
    /// only where it decides; `None` if it may not say so.
    pub fn of(
        &self,
        said: Option<Category>,
        source: &[u8],
        country: impl FnOnce() -> Option<Country>,
    ) -> Option<Category> {
        if let Some(said) = said {
            return self.categories.contains(&said).then_some(said);
        }
        let category = self
            .settings_of(source)
            .and_then(|settings| settings.category)
            .or(self.category);
        Some(category.unwrap_or_else(|| by_country(country())))
    }

    /// What is said of a source.
    pub fn settings_of(&self, source: &[u8]) -> Option<&SenderSettings> {
        let mut settings = self.sender_settings.iter();
        settings.find(|settings| settings.sender.matches(source))
    }
}

/// What a message is for that nobody says anything about: marketing where that is what the law would have it be.
fn by_country(country: Option<Country>) -> Category {
    match country.map(Country::octets).as_ref() {
        Some(b"US" | b"CA" | b"FR") => Category::Marketing,
        _ => Category::Transactional,
    }
}

/// Whether an international number may be of a country where [`CategoryRules::of`] has marketing by default: those of all
/// others need not be looked up for that.
pub fn may_be_marketing(digits: &[u8]) -> bool {
    let digits = digits.strip_prefix(b"+").unwrap_or(digits);
    // A zero begins no number, but what is dialled before one.
    [&b"1"[..], b"33", b"0"]
        .iter()
        .any(|beginning| digits.starts_with(beginning))
}

pub(super) fn read(section: &mut Section<'_>) -> CategoryRules {
    let category = section.optional("category", choice(CATEGORIES));
    let categories = section.list("categories", 0..=CATEGORIES.len(), choice(CATEGORIES));
    let entries = section.each_up_to("sender_settings", SENDERS_MAX);
    let read = |mut entry: Section<'_>| {
        let sender = entry.required(
            "sender",
            "write a source address, with `*` at the end for any continuation",
            text(SenderPattern::parse),
        );
        let category = entry.optional("category", choice(CATEGORIES));
        let pool = entry.optional("pool", text(super::opt_outs::name));
        entry.finish(&[]);
        Some(SenderSettings {
            sender: sender?,
            category,
            pool,
        })
    };
    CategoryRules {
        category,
        categories: categories.unwrap_or_else(|| Category::ALL.to_vec()),
        sender_settings: entries.into_iter().filter_map(read).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_may_be_of_those_countries_are_never_passed_over_however_they_are_dialled() {
        for digits in [
            "15550100123",
            "+15550100123",
            "0015550100123",
            "01115550100123",
            "+0033612345678",
            "33612345678",
        ] {
            assert!(may_be_marketing(digits.as_bytes()), "{digits}");
        }
        assert!(!may_be_marketing(b"447700900123") && !may_be_marketing(b"+31612345678"));
    }
}
