//! Words that an account adds to those of all.

use super::{Extent, Languages, Meaning, OptOut, Tier, Words, begins_with, normalise};
use crate::problem::Fault;
use crate::route::KEYWORD_MAX;
use crate::section::Section;
use crate::value::{choice, shown, text};

/// Most words of one list.
const WORDS_MAX: usize = 64;

/// What words mean in texts to one account besides what they mean to all. Each is compared with the whole text, in the form
/// of [`normalise`]; a text that means something to all accounts means nothing else to one (OPT-3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountWords {
    /// Key `opt_out_keywords`, default `[]`, at most 64, of up to 32 characters: they end a subscription, too. Sorted.
    pub opt_out_keywords: Vec<String>,
    /// Key `opt_in_keywords`, default `[]`, likewise: they begin one (`JOIN`), beside START and UNSTOP.
    pub opt_in_keywords: Vec<String>,
    /// Key `help_keywords`, default `[]`, likewise: they ask for help.
    pub help_keywords: Vec<String>,
    /// Key `confirm_keywords`, default `[]`, likewise: beside YES they say yes to a question that waits for it. While none
    /// does they mean nothing, so that they may be keywords of routes.
    pub confirm_keywords: Vec<String>,
    /// Key `opt_out_phrases`, default `"opt-out"`.
    pub opt_out_phrases: OptOutPhrases,
}

/// What a phrase such as "please stop texting me" does that is from a number outside +1. From +1 it always ends the
/// subscription.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OptOutPhrases {
    /// `"opt-out"`: it ends the subscription. The default: START undoes what was not meant, and an objection that nobody
    /// has read is one that was not heeded.
    #[default]
    OptOut,
    /// `"flag"`: somebody of the account decides.
    Flag,
}

impl AccountWords {
    pub(super) fn meaning(&self, normal: &str) -> Option<Meaning<'_>> {
        if let Some(word) = find(&self.opt_out_keywords, normal) {
            return Some(Meaning::OptOut(OptOut {
                tier: Tier::Whole,
                word,
                languages: Languages::NONE,
                everything: false,
            }));
        }
        if let Some(word) = find(&self.help_keywords, normal) {
            let languages = Languages::NONE;
            return Some(Meaning::Help { word, languages });
        }
        if let Some(word) = find(&self.opt_in_keywords, normal) {
            return Some(Meaning::OptIn { word, is_own: true });
        }
        find(&self.confirm_keywords, normal).map(|word| Meaning::Yes { word })
    }

    pub(super) fn flags_phrases(&self) -> bool {
        self.opt_out_phrases == OptOutPhrases::Flag
    }

    /// The word of the account that is in the way of a keyword of a route, and what it does. Routes look at the first word
    /// only, so that one of several words is in the way by its first.
    pub(crate) fn in_the_way(&self, keyword: &str) -> Option<(&str, &'static str)> {
        let mut normal = String::new();
        normalise(keyword, &mut normal);
        [
            (&self.opt_out_keywords, "ends a subscription"),
            (&self.opt_in_keywords, "begins a subscription"),
            (&self.help_keywords, "asks for help"),
        ]
        .into_iter()
        .find_map(|(words, does)| {
            let word = words.iter().find(|word| begins_with(word, &normal))?;
            Some((word.as_str(), does))
        })
    }
}

fn find<'w>(words: &'w [String], normal: &str) -> Option<&'w str> {
    let place = words.binary_search_by(|word| word.as_str().cmp(normal)).ok()?;
    words.get(place).map(String::as_str)
}

/// Reads the keys of an account.
pub(crate) fn read(section: &mut Section<'_>) -> AccountWords {
    let mut seen: Vec<(String, &'static str)> = Vec::new();
    let mut list = |key, use_of: Use| {
        let words = section.list(key, 0..=WORDS_MAX, text(|written| use_of.word(written)));
        let mut words = words.unwrap_or_default();
        words.sort_unstable();
        words.dedup();
        for word in &words {
            if let Some((_, other)) = seen.iter().find(|(known, _)| known == word) {
                let what = format!("{} stands in `{other}` as well", shown::value(word));
                section.problem(
                    key,
                    Fault::new(what, "keep it in one of the two: a word means one thing"),
                );
            }
        }
        seen.extend(words.iter().map(|word| (word.clone(), key)));
        words
    };
    let opt_out_keywords = list("opt_out_keywords", Use::OptOut);
    let opt_in_keywords = list("opt_in_keywords", Use::OptIn);
    let help_keywords = list("help_keywords", Use::Help);
    let confirm_keywords = list("confirm_keywords", Use::Yes);
    AccountWords {
        opt_out_keywords,
        opt_in_keywords,
        help_keywords,
        confirm_keywords,
        opt_out_phrases: section.or(
            "opt_out_phrases",
            OptOutPhrases::default(),
            choice(&[("opt-out", OptOutPhrases::OptOut), ("flag", OptOutPhrases::Flag)]),
        ),
    }
}

/// What an account wants a word for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    OptOut,
    OptIn,
    Help,
    Yes,
}

impl Use {
    fn word(self, written: &str) -> Result<String, Fault> {
        let mut word = String::new();
        normalise(written, &mut word);
        if word.is_empty() || word.chars().count() > KEYWORD_MAX {
            return Err(Fault::new(
                format!("{} is no keyword", shown::value(written)),
                format!("write words of up to {KEYWORD_MAX} characters in all, with a letter or a digit"),
            ));
        }
        let words = Words::shipped();
        let does = match (self, words.meaning(&word, Extent::Whole, true, None)) {
            (Self::OptOut, Meaning::OptOut(_))
            | (Self::OptIn, Meaning::OptIn { .. })
            | (Self::Help, Meaning::Help { .. })
            | (Self::Yes, Meaning::Yes { .. })
            | (_, Meaning::Nothing) => None,
            (_, Meaning::OptOut(_) | Meaning::Flag { .. }) => {
                Some(words.reserved(&word).unwrap_or("ends a subscription (OPT-3)"))
            }
            (_, Meaning::OptIn { .. }) => Some("takes a subscription up again (OPT-2)"),
            (_, Meaning::Help { .. }) => Some("asks for help (OPT-2)"),
            (_, Meaning::Yes { .. }) => Some("says yes (OPT-18)"),
        };
        if let Some(does) = does {
            return Err(Fault::new(
                format!("{} {does}: it may mean nothing else", shown::value(written)),
                "choose another word",
            ));
        }
        if self == Self::OptOut && words.negates(&word) {
            let fault = format!(
                "{} says that somebody wants to go on (OPT-8)",
                shown::value(written)
            );
            return Err(Fault::new(fault, "choose another word"));
        }
        Ok(word)
    }
}
