//! An operator's table of expectations: messages, and which way each is to go.
//!
//! ```toml
//! [[expect]]
//! name = "one-time passwords go the fast way"
//! account = "example"
//! from = "Shop"
//! to = "+447700900123"
//! carriers = ["fast", "cheap"]
//! ```

use jiff::Timestamp;
use tidegate_codec::category::Category;
use toml::de::{DeTable, DeValue};

use crate::account::CATEGORIES;
use crate::price::{Price, price};
use crate::problem::{Fault, Problems, Report};
use crate::section::Section;
use crate::value::{choice, integer, shown, text, text_of};

/// One `[[expect]]`: a message, and what becomes of it. What is left out is not asked for, but for the refusal: a
/// message is expected to be admitted unless `refused` says why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// Where it stands in the file, from 1.
    pub line: usize,
    /// Key `name`, default empty: what people are told.
    pub name: String,
    /// Key `account`, required: whose message, a `system_id`.
    pub account: String,
    /// Key `from`, default empty: its sender, as `tidegate route explain --from` takes it.
    pub from: String,
    /// Key `to`, required: its recipient.
    pub to: String,
    /// Key `text`, default empty.
    pub text: String,
    /// Key `data_coding`, 0 to 255, default what the text needs.
    pub data_coding: Option<u8>,
    /// Key `service_type`, default empty.
    pub service_type: String,
    /// Key `category`, default absent: what the message says it is for.
    pub category: Option<Category>,
    /// Key `at`, default now: a text such as `"2026-12-24T18:00:00Z"`. In unix milliseconds.
    pub at_ms: Option<u64>,
    /// Key `route`: the name of the route that takes it.
    pub route: Option<String>,
    /// Key `carriers`: which it may take, in order.
    pub carriers: Option<Vec<String>>,
    /// Key `price`: what the first of them takes for a part, such as `0.0325`.
    pub price: Option<Price>,
    /// Key `parts`, 1 to 255.
    pub parts: Option<u8>,
    /// Key `refused`: the name of the status with which it is refused, such as `"ESME_RINVDSTADR"`.
    pub refused: Option<String>,
}

/// Most expectations of a table.
pub const EXPECTATIONS_MAX: usize = 10_000;

/// Reads a table, or says everything that is wrong with it.
///
/// # Errors
///
/// Every problem with its key and line.
pub fn parse(file: &str) -> Result<Vec<Expectation>, Problems> {
    let (tree, syntax) = DeTable::parse_recoverable(file);
    let report = Report::new(file, &syntax);
    let mut root = Section::root(&report, tree.get_ref());
    let sections = root.each("expect");
    if sections.is_empty() || sections.len() > EXPECTATIONS_MAX {
        let fault = format!("{} expectations", sections.len());
        let remedy = format!("write 1 to {EXPECTATIONS_MAX} tables `[[expect]]`");
        root.problem("expect", Fault::new(fault, remedy));
    }
    let expectations = sections.into_iter().map(one).collect();
    root.finish(&[]);
    report.conclude(expectations)
}

fn one(mut section: Section<'_>) -> Option<Expectation> {
    let plain = |text: &str| -> Result<String, Fault> { Ok(text.to_owned()) };
    let line = section.line();
    let name = section.optional("name", text(plain)).unwrap_or_default();
    let account = section.required(
        "account",
        "say whose message it is: `account = \"…\"`",
        text(plain),
    );
    let from = section.optional("from", text(plain)).unwrap_or_default();
    let to = section.required("to", "say where it goes: `to = \"+…\"`", text(plain));
    let expectation = Expectation {
        line,
        name,
        account: account.clone().unwrap_or_default(),
        from,
        to: to.clone().unwrap_or_default(),
        text: section.optional("text", text(plain)).unwrap_or_default(),
        data_coding: section.optional("data_coding", integer(0..=255)),
        service_type: section.optional("service_type", text(plain)).unwrap_or_default(),
        category: section.optional("category", choice(CATEGORIES)),
        at_ms: section.optional("at", at),
        route: section.optional("route", text(plain)),
        carriers: section
            .has("carriers")
            .then(|| section.list("carriers", 0..=16, text(plain)).unwrap_or_default()),
        price: section.optional("price", price),
        parts: section.optional("parts", integer(1..=255)),
        refused: section.optional("refused", text(plain)),
    };
    section.finish(&[(
        "carrier",
        "write a list, the preferred first: `carriers = [\"…\"]`",
    )]);
    (account.is_some() && to.is_some()).then_some(expectation)
}

fn at(value: &DeValue<'_>) -> Result<u64, Fault> {
    let text = text_of(value)?;
    time(text).ok_or_else(|| {
        Fault::new(
            format!("{} is no time", shown::value(text)),
            "write a time with its offset, such as \"2026-12-24T18:00:00Z\"",
        )
    })
}

/// A time with its offset, as RFC 3339 has it, in unix milliseconds; `None` for what is none, or before 1970.
pub fn time(text: &str) -> Option<u64> {
    let at: Timestamp = text.parse().ok()?;
    u64::try_from(at.as_millisecond()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_read_with_its_lines() {
        let file = "[[expect]]\naccount = \"a\"\nto = \"+44\"\n\n[[expect]]\naccount = \"b\"\nto = \"1\"\n\
                    carriers = []\nprice = 0.10\nparts = 2\nat = \"1970-01-01T00:00:01+00:00\"\nrefused = \"ESME_RINVDSTADR\"\n";
        let table = parse(file).unwrap();
        assert_eq!((table[0].line, table[1].line), (1, 5));
        assert_eq!((&table[0].carriers, &table[0].refused), (&None, &None));
        assert_eq!(table[1].carriers, Some(Vec::new()));
        assert_eq!((table[1].parts, table[1].at_ms), (Some(2), Some(1_000)));
        assert_eq!(table[1].price.map(Price::millionths), Some(100_000));
    }

    #[test]
    fn what_is_wrong_is_named_all_at_once() {
        let file = "[[expect]]\nto = \"1\"\nat = \"tomorrow\"\nparts = 0\nprice = \"1\"\ncost = 1\n";
        let problems = parse(file).unwrap_err().to_string();
        for word in [
            "account: missing",
            "at: \"tomorrow\"",
            "parts: ",
            "price: ",
            "cost: unknown",
        ] {
            assert!(problems.contains(word), "{word}: {problems}");
        }
        assert!(parse("").unwrap_err().to_string().contains("[[expect]]"));
    }
}
