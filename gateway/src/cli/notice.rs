//! `tidegate notice`: what accounts are to be told, in the running gateway.

use std::fmt::Write as _;

use clap::Subcommand;
use serde_json::{Map, Value};

use super::steered::word;
use super::{ConfigFile, Outcome, Refusal, read_config};
use crate::control::{self, Noticing};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Show what accounts are to be told, and what they were told.
    List {
        #[command(flatten)]
        file: ConfigFile,
        /// This account only.
        #[arg(long, value_name = "SYSTEM_ID")]
        account: Option<String>,
    },
    /// Say that an account was told.
    Sent {
        #[command(flatten)]
        file: ConfigFile,
        /// The notice's number, from the list.
        number: u64,
        /// How it was told, such as whom an e-mail went to. It is entered in the audit log.
        #[arg(long, value_name = "TEXT")]
        how: String,
    },
}

pub(super) fn run(verb: &Verb) -> Result<Outcome, Refusal> {
    let (file, wanted) = match verb {
        Verb::List { file, account } => (
            file,
            Noticing::List {
                account: account.clone(),
            },
        ),
        Verb::Sent { file, number, how } => (
            file,
            Noticing::Sent {
                number: *number,
                how: how.clone(),
            },
        ),
    };
    let data = read_config(&file.config)?.storage.data;
    let fields = control::ask(&data, &control::Verb::Notice(wanted))?;
    let text = match verb {
        Verb::List { .. } => listed(&fields),
        Verb::Sent { number, .. } => format!("notice {number} was sent {}", word(&fields, "sent")),
    };
    Ok(Outcome {
        text,
        fields,
        ..Outcome::default()
    })
}

fn listed(fields: &Map<String, Value>) -> String {
    let notices = fields.get("notices").and_then(Value::as_array);
    let mut out = String::new();
    for notice in notices.into_iter().flatten().filter_map(Value::as_object) {
        let number = notice.get("number").and_then(Value::as_u64).unwrap_or_default();
        // A String takes everything.
        let _ = writeln!(
            out,
            "{number:>6}  {:<8} {:<16} {:<12} due {}  {}: {}",
            word(notice, "state"),
            word(notice, "account"),
            word(notice, "about"),
            word(notice, "due"),
            word(notice, "reference"),
            word(notice, "text"),
        );
    }
    if out.is_empty() {
        "no notices".to_owned()
    } else {
        out.trim_end().to_owned()
    }
}
