//! `tidegate stats`: what is left of messages that were de-identified.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::{ConfigFile, Outcome, Refusal, read_config};
use crate::control;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    file: ConfigFile,
    /// Of this account only.
    #[arg(long, value_name = "SYSTEM_ID")]
    account: Option<String>,
}

pub(super) fn run(args: &Args) -> Result<Outcome, Refusal> {
    let storage = read_config(&args.file.config)?.storage;
    let stats = control::Retain::Stats {
        account: args.account.clone(),
    };
    let fields = control::ask(&storage.data, &control::Verb::Retain(stats))?;
    Ok(Outcome {
        text: table(&fields),
        fields,
        ..Outcome::default()
    })
}

/// A value without the quotes of JSON; what is not known as a dash.
fn cell(row: &Value, key: &str) -> String {
    match row.get(key) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

fn table(fields: &Map<String, Value>) -> String {
    let mut out = String::new();
    let rows = fields.get("rows").and_then(Value::as_array);
    for row in rows.into_iter().flatten() {
        // A String takes everything.
        let _ = writeln!(
            out,
            "{:16} {} {:2} {:>7} {:8} {:>9}",
            cell(row, "account"),
            cell(row, "day"),
            cell(row, "country"),
            cell(row, "network"),
            cell(row, "status"),
            cell(row, "messages"),
        );
    }
    let count = |key: &str| fields.get(key).and_then(Value::as_u64).unwrap_or_default();
    let _ = write!(out, "messages: {}", count("messages"));
    if count("more") > 0 {
        let _ = write!(out, "\nrows that are not shown: {}", count("more"));
    }
    out
}
