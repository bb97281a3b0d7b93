//! `tidegate case`: what suspended accounts, or senders of theirs, by itself, and what a person decides of that, in the running gateway.

use std::fmt::Write as _;

use clap::{Subcommand, ValueEnum};
use serde_json::{Map, Value};

use super::bind::limit;
use super::steered::word;
use super::{ConfigFile, Outcome, Refusal, read_config};
use crate::abuse;
use crate::control::{self, Casing, Page};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Show which cases there are, a page at a time.
    List {
        #[command(flatten)]
        file: ConfigFile,
        /// So many at most.
        #[arg(long, default_value_t = 100, value_parser = limit)]
        limit: usize,
        /// Behind this one, as the page before said.
        #[arg(long, value_name = "NUMBER")]
        after: Option<u32>,
    },
    /// Show a case with its evidence. That is entered in the audit log.
    Show {
        #[command(flatten)]
        file: ConfigFile,
        /// The case's number, from the list.
        id: u32,
    },
    /// Show signs of abuse of late, whatever followed. That is entered in the audit log.
    Signals {
        #[command(flatten)]
        file: ConfigFile,
        /// This account only.
        #[arg(long, value_name = "SYSTEM_ID")]
        account: Option<String>,
    },
    /// Decide a case: uphold the suspension, or reverse it.
    Decide {
        #[command(flatten)]
        file: ConfigFile,
        /// The case's number, from the list.
        id: u32,
        /// What is decided.
        outcome: Decided,
        /// Who decides, by name. It is entered in the audit log.
        #[arg(long, value_name = "NAME")]
        reviewer: String,
        /// Why. It is entered in the audit log.
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

/// What may be decided.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Decided {
    /// The suspension stays.
    Upheld,
    /// The account is restored, and what led to it counts no longer.
    Reversed,
}

pub(super) fn run(verb: &Verb) -> Result<Outcome, Refusal> {
    let (file, wanted) = match verb {
        Verb::List { file, limit, after } => {
            let page = Page {
                after: *after,
                limit: Some(*limit),
            };
            (file, Casing::List { page })
        }
        Verb::Show { file, id } => (file, Casing::Show { id: *id }),
        Verb::Signals { file, account } => (
            file,
            Casing::Signals {
                account: account.clone(),
            },
        ),
        Verb::Decide {
            file,
            id,
            outcome,
            reviewer,
            reason,
        } => (
            file,
            Casing::Decide {
                id: *id,
                outcome: match outcome {
                    Decided::Upheld => abuse::Outcome::Upheld,
                    Decided::Reversed => abuse::Outcome::Reversed,
                },
                reviewer: reviewer.clone(),
                reason: reason.clone(),
            },
        ),
    };
    let data = read_config(&file.config)?.storage.data;
    let fields = control::ask(&data, &control::Verb::Case(wanted))?;
    let text = match verb {
        Verb::List { .. } => {
            let mut text = listed(&fields);
            if let Some(next) = fields.get("next").and_then(Value::as_u64) {
                let _ = write!(text, "\nmore: --after {next}");
            }
            text
        }
        Verb::Show { .. } => shown(&fields),
        Verb::Signals { .. } => signals(&fields),
        Verb::Decide { id, .. } => format!(
            "case {id} of {}{}: {}{}",
            if word(&fields, "sender").is_empty() {
                ""
            } else {
                "a sender of "
            },
            word(&fields, "account"),
            word(&fields, "outcome"),
            // By an operator besides, or by what was upheld.
            if fields.get("is_suspended").and_then(Value::as_bool) == Some(true) {
                "; it is suspended still"
            } else {
                ""
            }
        ),
    };
    Ok(Outcome {
        text,
        fields,
        ..Outcome::default()
    })
}

fn rows<'f>(fields: &'f Map<String, Value>, key: &str) -> impl Iterator<Item = &'f Map<String, Value>> {
    let rows = fields.get(key).and_then(Value::as_array);
    rows.into_iter().flatten().filter_map(Value::as_object)
}

fn number(row: &Map<String, Value>, key: &str) -> u64 {
    row.get(key).and_then(Value::as_u64).unwrap_or_default()
}

fn listed(fields: &Map<String, Value>) -> String {
    let mut out = String::new();
    for case in rows(fields, "cases") {
        let is_late = case.get("is_past_review").and_then(Value::as_bool) == Some(true);
        let sender = match (word(case, "sender"), word(case, "listed_as")) {
            ("", _) => String::new(),
            (sender, "") => format!("  sender {sender}"),
            (sender, name) => format!("  sender {sender} ({name})"),
        };
        let not_suspended = match word(case, "not_suspended") {
            "" => String::new(),
            why => format!("  not suspended: {why}"),
        };
        // A String takes everything.
        let _ = writeln!(
            out,
            "{:>6}  {:<13} {:<16} {:<10} since {}  review by {}{}{sender}{not_suspended}",
            number(case, "id"),
            word(case, "state"),
            word(case, "account"),
            word(case, "rule"),
            word(case, "opened"),
            word(case, "review"),
            if is_late { ", past it" } else { "" },
        );
    }
    if out.is_empty() {
        "no cases".to_owned()
    } else {
        out.trim_end().to_owned()
    }
}

fn evidence(of: &Map<String, Value>) -> String {
    let content = match word(of, "content") {
        "" => String::new(),
        rule => format!(", rule about content {rule}"),
    };
    format!(
        "{} of {}, score {}, country {}, subject {}{content}",
        number(of, "count"),
        number(of, "limit"),
        number(of, "score"),
        word(of, "country"),
        word(of, "subject"),
    )
}

fn shown(fields: &Map<String, Value>) -> String {
    let object = |key: &str| fields.get(key).and_then(Value::as_object);
    let mut out = listed(&Map::from_iter([(
        "cases".to_owned(),
        Value::Array(vec![Value::Object(fields.clone())]),
    )]));
    if let Some(of) = object("evidence") {
        let _ = write!(out, "\nevidence: {}", evidence(of));
    }
    if let Some(decision) = object("decision") {
        let _ = write!(
            out,
            "\n{} {} by {} ({}): {}",
            word(decision, "outcome"),
            word(decision, "at"),
            word(decision, "reviewer"),
            word(decision, "who"),
            word(decision, "reason"),
        );
    }
    out
}

fn signals(fields: &Map<String, Value>) -> String {
    let mut out = String::new();
    for signal in rows(fields, "signals") {
        let _ = writeln!(
            out,
            "{}  {:<16} {:<10} {:<8} {}",
            word(signal, "at"),
            word(signal, "account"),
            word(signal, "rule"),
            word(signal, "action"),
            evidence(signal),
        );
    }
    if out.is_empty() {
        "no signals".to_owned()
    } else {
        out.trim_end().to_owned()
    }
}
