//! `tidegate retention plan`, `sweep` and `confirm-clock`: what rules remove, in the running gateway.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::{ConfigFile, Outcome, Refusal, read_config};
use crate::control::{self, Retain};

pub(super) fn run(file: &ConfigFile, retain: Retain) -> Result<Outcome, Refusal> {
    let storage = read_config(&file.config)?.storage;
    let told = match retain {
        Retain::Plan => planned,
        Retain::ConfirmClock => confirmed,
        Retain::Sweep
        | Retain::RotateData { .. }
        | Retain::Forget { .. }
        | Retain::Rebuild { .. }
        | Retain::Stats { .. } => swept,
    };
    let fields = control::ask(&storage.data, &control::Verb::Retain(retain))?;
    let mut outcome = Outcome {
        text: told(&fields),
        fields,
        ..Outcome::default()
    };
    if outcome.fields.get("clock_believed") == Some(&Value::Bool(false)) {
        outcome.warnings.push(
            "the clock has jumped: nothing is removed until it is set right, or `tidegate retention confirm-clock`"
                .to_owned(),
        );
    }
    Ok(outcome)
}

fn count(fields: &Value, key: &str) -> u64 {
    fields.get(key).and_then(Value::as_u64).unwrap_or_default()
}

fn text<'f>(fields: &'f Value, key: &str) -> &'f str {
    fields.get(key).and_then(Value::as_str).unwrap_or("-")
}

fn planned(fields: &Map<String, Value>) -> String {
    let mut out = String::new();
    let list = |key: &str| fields.get(key).and_then(Value::as_array).into_iter().flatten();
    for (key, of_file) in [("rows", true), ("accounts", false)] {
        for row in list(key) {
            // A String takes everything.
            let _ = writeln!(
                out,
                "{:16} {:4} {}: {} of {} records due, {} of {} lots; next {}{}",
                text(row, "account"),
                text(row, "class"),
                if of_file { text(row, "file") } else { "all files" },
                count(row, "due_records"),
                count(row, "records"),
                count(row, "due_lots"),
                count(row, "lots"),
                text(row, "next"),
                match count(row, "lots_without_rule") {
                    0 => String::new(),
                    lots => format!("; without a rule: {lots} lots"),
                },
            );
        }
    }
    for row in list("accounts").filter(|row| row["is_known"] == Value::Bool(false)) {
        let _ = writeln!(
            out,
            "{:16} {:4} is in no configuration: {} records that nobody reads and nothing removes but `retention sweep \
             --forget-account`",
            text(row, "account"),
            text(row, "class"),
            count(row, "records"),
        );
    }
    let files = fields.get("files").and_then(Value::as_u64).unwrap_or_default();
    let _ = write!(out, "files: {files}");
    out
}

fn swept(fields: &Map<String, Value>) -> String {
    let lines = fields
        .iter()
        .map(|(key, value)| format!("{}: {value}", key.replace('_', " ")));
    lines.collect::<Vec<_>>().join("\n")
}

fn confirmed(fields: &Map<String, Value>) -> String {
    match fields.get("was_doubted") {
        Some(Value::Bool(true)) => "the clock is believed: the next sweep goes by it".to_owned(),
        _ => "the clock was believed already".to_owned(),
    }
}
