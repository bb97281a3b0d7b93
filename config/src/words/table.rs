//! Reads the table of words (`data/keywords.toml`), as a configuration is read: every fault with its line.

use jiff::civil::Date;
use toml::de::DeTable;

use super::{Group, Keyword, Language, Languages, Phrases, Words, normalise};
use crate::problem::{Fault, Problems, Report};
use crate::section::Section;
use crate::value::{boolean, choice, integer, shown, text};

const LANGUAGES: &[(&str, Language)] = &[
    (Language::English.code(), Language::English),
    (Language::French.code(), Language::French),
    (Language::Spanish.code(), Language::Spanish),
    (Language::Portuguese.code(), Language::Portuguese),
    (Language::German.code(), Language::German),
    (Language::Norwegian.code(), Language::Norwegian),
];
/// How sure a row is. It is for people; nothing goes by it.
const STANDINGS: &[(&str, ())] = &[("read", ()), ("retold", ()), ("believed", ()), ("decided", ())];

impl Words {
    /// Reads a table.
    pub(super) fn read(text: &str) -> Result<Self, Problems> {
        let (tree, syntax) = DeTable::parse_recoverable(text);
        let report = Report::new(text, &syntax);
        let mut root = Section::root(&report, tree.get_ref());
        let mut words = Self::default();
        for (key, group) in [
            ("opt_out", Group::OptOut),
            ("help", Group::Help),
            ("opt_in", Group::OptIn),
            ("confirm", Group::Yes),
        ] {
            for row in root.each(key) {
                words.read_keyword(group, row);
            }
        }
        let mut phrases = |key, has_languages| {
            let rows = root.each(key).into_iter();
            let rows = rows.filter_map(|row| read_phrase(row, has_languages));
            Phrases::new(rows.collect())
        };
        words.guards = phrases("guards", false);
        words.negations = phrases("negations", false);
        words.phrases = phrases("phrases", true);
        root.finish(&[]);
        report.conclude(Some(words))
    }

    fn read_keyword(&mut self, group: Group, mut row: Section<'_>) {
        let word = word(&mut row);
        let languages = languages(&mut row);
        let (mut per_se, mut everything, mut leads) = (false, false, false);
        if group == Group::OptOut {
            per_se = row.or("per_se", false, boolean);
            everything = row.or("everything", false, boolean);
            leads = row.or("tier", 1, integer(1..=2)) == 2;
        }
        if let (Some(word), Some(languages)) = (word, languages) {
            if self.keywords.iter().any(|known| known.word == word) {
                row.problem("word", Fault::new("stands there already", "keep one of the two"));
            }
            let place = self.keywords.partition_point(|known| known.word < word);
            let keyword = Keyword {
                word,
                group,
                languages,
                per_se,
                everything,
                leads,
            };
            self.keywords.insert(place, keyword);
        }
        origin(row);
    }
}

fn read_phrase(mut row: Section<'_>, has_languages: bool) -> Option<(Box<str>, Languages)> {
    let word = word(&mut row);
    let languages = if has_languages {
        languages(&mut row)
    } else {
        Some(Languages::NONE)
    };
    origin(row);
    Some((word?, languages?))
}

/// In the form in which texts are compared, or it would never be met.
fn word(row: &mut Section<'_>) -> Option<Box<str>> {
    row.required(
        "word",
        "write the word",
        text(|word: &str| {
            let mut normal = String::new();
            normalise(word, &mut normal);
            if normal == word && !word.is_empty() {
                return Ok(Box::from(word));
            }
            Err(Fault::new(
                format!("{} is not how texts are compared", shown::value(word)),
                format!("write {}", shown::value(&normal)),
            ))
        }),
    )
}

fn languages(row: &mut Section<'_>) -> Option<Languages> {
    if !row.has("languages") {
        row.missing("languages", "write `languages = [\"…\"]`");
    }
    let languages = row.list("languages", 1..=2, choice(LANGUAGES))?;
    let mut languages = languages.into_iter();
    Some(Languages(languages.next(), languages.next()))
}

/// A row without a source and a date is no rule.
fn origin(mut row: Section<'_>) {
    row.required(
        "source",
        "say where it is from",
        text(|source: &str| {
            if source.is_empty() {
                return Err(Fault::new("is empty", "say where it is from"));
            }
            Ok(())
        }),
    );
    row.required("standing", "say how sure it is", choice(STANDINGS));
    row.required(
        "checked",
        "write the day, such as \"2026-11-29\"",
        text(|day: &str| {
            let day = day.parse::<Date>();
            day.map_err(|_| Fault::new("is no day", "write it like \"2026-11-29\""))
        }),
    );
    row.finish(&[]);
}
