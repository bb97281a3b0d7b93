//! `tidegate hold`: legal holds in the running gateway, and what they have sealed.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};
use tidegate_store::history::Kept;

use super::values::time;
use super::{ConfigFile, Outcome, Refusal, read_config};
use crate::control::{self, HoldAsk, Matter};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Take a hold: what it covers and is not due yet is kept until it is released.
    Add(Box<Add>),
    /// Release a hold: what is due of it goes at once, and what it has sealed.
    Release {
        #[command(flatten)]
        file: ConfigFile,
        /// Its number, as `hold list` shows it.
        id: u32,
        /// Why, for the audit log.
        #[arg(long)]
        reason: String,
    },
    /// Show all holds, without anybody's number.
    List(ConfigFile),
    /// Show what a hold has sealed, with numbers and texts; entered in the audit log as reading.
    Show {
        #[command(flatten)]
        file: ConfigFile,
        /// Its number.
        id: u32,
        /// That the records themselves are meant.
        #[arg(long, required = true)]
        records: bool,
        /// Why, for the audit log.
        #[arg(long)]
        reason: String,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct Add {
    #[command(flatten)]
    file: ConfigFile,
    /// The matter that it is for.
    #[arg(long)]
    matter: String,
    /// Only what is this account's.
    #[arg(long, value_name = "SYSTEM_ID")]
    account: Option<String>,
    /// Only what was sent to this number.
    #[arg(long, value_name = "NUMBER")]
    to: Option<String>,
    /// Only the message with this id.
    #[arg(long, value_name = "ID")]
    message: Option<String>,
    /// Only this class: meta or body.
    #[arg(long, value_parser = class)]
    class: Option<Kept>,
    /// Only what was accepted then or later, such as 2026-01-31T00:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = time)]
    from: Option<u64>,
    /// Only what was accepted before.
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<u64>,
    /// Hold what comes later, too.
    #[arg(long)]
    future: bool,
    /// Why.
    #[arg(long)]
    reason: String,
    /// After how many days it is to be looked at again.
    #[arg(long, value_name = "DAYS", default_value_t = 90)]
    review_days: u64,
}

pub(super) fn class(text: &str) -> Result<Kept, &'static str> {
    let mut all = Kept::ALL.into_iter();
    all.find(|kept| kept.word() == text).ok_or("meta or body")
}

pub(super) fn run(verb: &Verb) -> Result<Outcome, Refusal> {
    let (file, matter) = match verb {
        Verb::Add(add) => {
            let ask = HoldAsk {
                matter: add.matter.clone(),
                account: add.account.clone(),
                to: add.to.clone(),
                message: add.message.clone(),
                class: add.class,
                from_ms: add.from,
                until_ms: add.until,
                future: add.future,
                reason: add.reason.clone(),
                review_days: add.review_days,
            };
            (&add.file, Matter::HoldAdd(Box::new(ask)))
        }
        Verb::Release { file, id, reason } => {
            let (id, reason) = (*id, reason.clone());
            (file, Matter::HoldRelease { id, reason })
        }
        Verb::List(file) => (file, Matter::HoldList),
        Verb::Show { file, id, reason, .. } => {
            let (id, reason) = (*id, reason.clone());
            (file, Matter::HoldShow { id, reason })
        }
    };
    asked(file, matter)
}

/// Asks the running gateway, and shows the rows of what it says one a line.
pub(super) fn asked(file: &ConfigFile, matter: Matter) -> Result<Outcome, Refusal> {
    let storage = read_config(&file.config)?.storage;
    let fields = control::ask(&storage.data, &control::Verb::Matter(matter))?;
    Ok(Outcome {
        text: shown(&fields),
        fields,
        ..Outcome::default()
    })
}

/// What an answer says, its rows one a line.
pub(super) fn shown(fields: &Map<String, Value>) -> String {
    let mut out = String::new();
    for (key, value) in fields {
        match value {
            Value::Array(rows) if rows.iter().all(Value::is_object) => {
                for row in rows {
                    let row = row.as_object().into_iter().flatten();
                    let parts: Vec<String> = row
                        .filter(|(_, value)| !value.is_null() && **value != json!(false))
                        .map(|(key, value)| format!("{}: {}", key.replace('_', " "), plain(value)))
                        .collect();
                    // A String takes everything.
                    let _ = writeln!(out, "{}", parts.join(", "));
                }
            }
            value => {
                let _ = writeln!(out, "{}: {}", key.replace('_', " "), plain(value));
            }
        }
    }
    out.trim_end().to_owned()
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(all) => all.iter().map(plain).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}
