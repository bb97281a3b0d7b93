//! What a text from a handset means: that somebody wants no more, asks for help, wants messages again, or says yes.
//!
//! [`normalise`] writes a text as words are compared; [`Words`] has the words, phrases and exceptions of
//! `data/keywords.toml` and says what such a text means; [`AccountWords`] are those that an account adds. All of it is
//! pure, and nothing is allocated for a text.
//!
//! What is undecided ends a subscription: who did not want that writes START, and who did must not have to write twice.

mod normal;
mod own;
mod table;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::LazyLock;

pub use normal::{NORMAL_MAX, normalise};
pub(crate) use own::read;
pub use own::{AccountWords, OptOutPhrases};

/// Words of a text that ends a subscription by its first one (OPT-6).
const LED_MAX: usize = 5;

/// The words of all accounts.
#[derive(Debug, Default)]
pub struct Words {
    /// By their word.
    keywords: Vec<Keyword>,
    guards: Phrases,
    negations: Phrases,
    phrases: Phrases,
}

#[derive(Debug)]
struct Keyword {
    word: Box<str>,
    group: Group,
    languages: Languages,
    /// Of the rule's own list.
    per_se: bool,
    everything: bool,
    /// It also counts as the first of a few words.
    leads: bool,
}

/// What a word is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Group {
    OptOut,
    Help,
    OptIn,
    Yes,
}

/// The language of a word, or the two that have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Languages(Option<Language>, Option<Language>);

impl Languages {
    /// Not known: of a word that an account has added.
    pub const NONE: Self = Self(None, None);

    /// The one in which it is commoner; `None` if none is known.
    pub const fn first(self) -> Option<Language> {
        self.0
    }

    /// Whether it is a word of this language.
    pub fn contains(self, language: Language) -> bool {
        self.0 == Some(language) || self.1 == Some(language)
    }
}

/// A language in which words stand in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Language {
    /// `en`.
    English,
    /// `fr`.
    French,
    /// `es`.
    Spanish,
    /// `pt`.
    Portuguese,
    /// `de`.
    German,
    /// `no`.
    Norwegian,
}

impl Language {
    /// Its code of two letters.
    pub const fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::French => "fr",
            Self::Spanish => "es",
            Self::Portuguese => "pt",
            Self::German => "de",
            Self::Norwegian => "no",
        }
    }
}

/// What a text means. `Display` says it for people, in words of the table or the account and none of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning<'w> {
    /// No more messages.
    OptOut(OptOut<'w>),
    /// Somebody should look at it: a phrase that may mean no more messages, where the account wants to decide itself.
    Flag {
        /// The phrase.
        word: &'w str,
    },
    /// Messages again, or for the first time.
    OptIn {
        /// The word.
        word: &'w str,
        /// The account has added it.
        is_own: bool,
    },
    /// What this is and whom to ask.
    Help {
        /// The word.
        word: &'w str,
        /// Its language.
        languages: Languages,
    },
    /// Yes, to a question that may wait for it; to none it means nothing (OPT-18).
    Yes {
        /// The word.
        word: &'w str,
    },
    /// Nothing that a gateway has to know.
    Nothing,
}

/// How a text says that somebody wants no more messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OptOut<'w> {
    /// How it was seen.
    pub tier: Tier,
    /// The word or phrase.
    pub word: &'w str,
    /// Its language.
    pub languages: Languages,
    /// No more of any sender of the account (OPT-11).
    pub everything: bool,
}

/// How a text was seen to end a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// 1: all of it is a keyword (OPT-5).
    Whole,
    /// 2: a keyword is the first of a few words (OPT-6).
    First,
    /// 3: a phrase stands in it (OPT-7).
    Phrase,
}

impl Tier {
    /// As the rules count them.
    pub const fn number(self) -> u8 {
        match self {
            Self::Whole => 1,
            Self::First => 2,
            Self::Phrase => 3,
        }
    }
}

/// How much of what was written a text is: parts of a long one come one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// All of it.
    Whole,
    /// It begins so, and more may follow. A keyword and blanks fill no part by chance, so a keyword counts.
    Beginning,
    /// Some of it; what stood before is not known. Only phrases count.
    Within,
}

impl Words {
    /// Those of the table that is part of this program; read when they are first asked for, and constant.
    pub fn shipped() -> &'static Self {
        // The tests read the same text and find no fault in it.
        static WORDS: LazyLock<Words> =
            LazyLock::new(|| Words::read(include_str!("../data/keywords.toml")).unwrap_or_default());
        &WORDS
    }

    /// What a text means that [`normalise`] has written. `plus_one` says that it is from a number of +1, where a phrase
    /// always counts (OPT-7); `own` are the words of the account that owns the called number, if it is known.
    pub fn meaning<'w>(
        &'w self,
        normal: &str,
        extent: Extent,
        plus_one: bool,
        own: Option<&'w AccountWords>,
    ) -> Meaning<'w> {
        if normal.is_empty() {
            return Meaning::Nothing;
        }
        if extent != Extent::Within {
            let of_table = self.keyword(normal).map(Keyword::meaning);
            let meaning = of_table.or_else(|| own.and_then(|own| own.meaning(normal)));
            match meaning {
                Some(meaning) if extent == Extent::Whole || matches!(meaning, Meaning::OptOut(_)) => {
                    return meaning;
                }
                _ => {}
            }
        }
        if extent == Extent::Whole
            && let Some(led) = self.led(normal)
        {
            return Meaning::OptOut(led);
        }
        match self.phrase(normal) {
            Some((word, _)) if !plus_one && own.is_some_and(AccountWords::flags_phrases) => {
                Meaning::Flag { word }
            }
            Some((word, languages)) => Meaning::OptOut(OptOut {
                tier: Tier::Phrase,
                word,
                languages,
                everything: false,
            }),
            None => Meaning::Nothing,
        }
    }

    fn keyword(&self, normal: &str) -> Option<&Keyword> {
        let place = self
            .keywords
            .binary_search_by(|keyword| (*keyword.word).cmp(normal))
            .ok()?;
        self.keywords.get(place)
    }

    /// Tier 2: a word that leads, few words in all, and no talk.
    fn led(&self, normal: &str) -> Option<OptOut<'_>> {
        let (first, _) = normal.split_once(' ')?;
        let keyword = self.keyword(first).filter(|keyword| keyword.leads)?;
        if normal.split(' ').nth(LED_MAX).is_some() {
            return None;
        }
        if self.negates(normal) || starts(normal).any(|(_, rest)| self.guards.at(rest).is_some()) {
            return None;
        }
        // STOP ALL PLEASE means all as well.
        let mut of_everything = self.keywords.iter().filter(|keyword| keyword.everything);
        let all = of_everything.find(|keyword| begins_with(normal, &keyword.word));
        Some(all.unwrap_or(keyword).opt_out(Tier::First))
    }

    /// Tier 3: the first phrase of which no word stands in a negation.
    fn phrase(&self, normal: &str) -> Option<(&str, Languages)> {
        let mut negated = 0;
        for (at, rest) in starts(normal) {
            if let Some((negation, _)) = self.negations.at(rest) {
                negated = negated.max(at + negation.len());
            } else if at >= negated
                && let Some(phrase) = self.phrases.at(rest)
            {
                return Some(phrase);
            }
        }
        None
    }

    /// Whether it holds what a negation is (OPT-8).
    pub(crate) fn negates(&self, normal: &str) -> bool {
        starts(normal).any(|(_, rest)| self.negations.at(rest).is_some())
    }

    /// Why a word of an account's own, as [`normalise`] writes it, may mean nothing else than what it means already; the
    /// rules by their ids. That it is the first word of a keyword is enough: `opt`, of OPT OUT.
    pub(crate) fn reserved(&self, normal: &str) -> Option<&'static str> {
        let joined: String = normal.split(' ').collect();
        let begins = |keyword: &&Keyword| begins_with(&keyword.word, normal);
        let keyword = self.keyword(normal).or_else(|| self.keyword(&joined));
        let keyword = keyword.or_else(|| self.keywords.iter().find(begins))?;
        match keyword.group {
            Group::OptOut if keyword.per_se => Some("ends a subscription (OPT-1, OPT-3)"),
            Group::OptOut => Some("ends a subscription (OPT-3)"),
            Group::Help => Some("asks for help (OPT-2)"),
            Group::OptIn => Some("takes a subscription up again (OPT-2)"),
            Group::Yes => None,
        }
    }
}

impl Keyword {
    fn meaning(&self) -> Meaning<'_> {
        let word = &*self.word;
        match self.group {
            Group::OptOut => Meaning::OptOut(self.opt_out(Tier::Whole)),
            Group::Help => Meaning::Help {
                word,
                languages: self.languages,
            },
            Group::OptIn => Meaning::OptIn { word, is_own: false },
            Group::Yes => Meaning::Yes { word },
        }
    }

    fn opt_out(&self, tier: Tier) -> OptOut<'_> {
        OptOut {
            tier,
            word: &self.word,
            languages: self.languages,
            everything: self.everything,
        }
    }
}

/// Phrases of one kind, by their first octet.
#[derive(Debug, Default)]
struct Phrases(Vec<Vec<(Box<str>, Languages)>>);

impl Phrases {
    fn new(phrases: Vec<(Box<str>, Languages)>) -> Self {
        let mut by_octet: Vec<Vec<_>> = (0..=u8::MAX).map(|_| Vec::new()).collect();
        for phrase in phrases {
            let first = phrase.0.as_bytes().first().copied().unwrap_or_default();
            if let Some(phrases) = by_octet.get_mut(usize::from(first)) {
                phrases.push(phrase);
            }
        }
        Self(by_octet)
    }

    /// The phrase with which a text begins, whole words only.
    fn at(&self, text: &str) -> Option<(&str, Languages)> {
        let first = text.as_bytes().first()?;
        let phrases = self.0.get(usize::from(*first))?;
        let phrase = phrases.iter().find(|(phrase, _)| begins_with(text, phrase))?;
        Some((&phrase.0, phrase.1))
    }
}

/// Where the words of a text begin, each with all that comes from there on.
fn starts(normal: &str) -> impl Iterator<Item = (usize, &str)> {
    let blanks = normal.bytes().enumerate().filter(|(_, octet)| *octet == b' ');
    let starts = std::iter::once(0).chain(blanks.map(|(at, _)| at + 1));
    starts.filter_map(move |at| Some((at, normal.get(at..)?)))
}

/// Whether a text begins with these whole words.
fn begins_with(text: &str, words: &str) -> bool {
    text.strip_prefix(words)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}

impl fmt::Display for Meaning<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OptOut(OptOut {
                tier,
                word,
                languages,
                everything,
            }) => {
                let of = if *everything { " of everything" } else { "" };
                write!(f, "opt-out{of} (tier {}, {word}{languages})", tier.number())
            }
            Self::Flag { word } => write!(f, "flag ({word})"),
            Self::OptIn { word, .. } => write!(f, "opt-in ({word})"),
            Self::Help { word, languages } => write!(f, "help ({word}{languages})"),
            Self::Yes { word } => write!(f, "yes ({word})"),
            Self::Nothing => write!(f, "nothing"),
        }
    }
}

/// What stands behind a word: `, en`.
impl fmt::Display for Languages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0, self.1) {
            (Some(first), Some(second)) => write!(f, ", {} or {}", first.code(), second.code()),
            (Some(only), None) => write!(f, ", {}", only.code()),
            _ => Ok(()),
        }
    }
}
