//! `tidegate send`: one test message through the running gateway, followed to its end.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::message::Message;
use super::{ConfigFile, Outcome, Refusal, read_config, values};
use crate::clock::Clock;
use crate::control::{self, Verb};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    file: ConfigFile,
    #[command(flatten)]
    message: Message,
    /// Ask for a receipt; the clients of the account get it as well.
    #[arg(long)]
    receipt: bool,
    /// How long to wait for the end.
    #[arg(long, default_value = "60s", value_parser = values::duration)]
    wait: Duration,
}

pub(super) fn run(args: &Args) -> Result<Outcome, Refusal> {
    let data = read_config(&args.file.config)?.storage.data;
    let clock = Clock::machine();
    let start = clock.now().monotonic;
    let sent = control::ask(
        &data,
        &Verb::Send {
            message: Box::new(args.message.question(None)),
            receipt: args.receipt,
        },
    )?;
    let number = sent.get("number").and_then(Value::as_u64).unwrap_or_default();
    let id = sent.get("message_id").and_then(Value::as_str).unwrap_or_default();
    let (mut text, mut steps) = (format!("message {id} of {}", args.message.account()), Vec::new());
    let mut known = String::new();
    let told = loop {
        let told = control::ask(
            &data,
            &Verb::Follow {
                number,
                known: known.clone(),
            },
        )?;
        let after = clock.now().monotonic.saturating_sub(start);
        let state = told.get("state").and_then(Value::as_str).unwrap_or_default();
        if state != known {
            // A String takes everything.
            let _ = write!(text, "\n  {:8.3} s  {}", after.as_secs_f64(), line(state, &told));
            let mut step = told.clone();
            step.insert(
                "after_ms".to_owned(),
                json!(u64::try_from(after.as_millis()).unwrap_or(u64::MAX)),
            );
            steps.push(Value::Object(step));
            known = state.to_owned();
        }
        if told.get("is_final") == Some(&Value::Bool(true)) || after >= args.wait {
            break told;
        }
    };
    let is_final = told.get("is_final") == Some(&Value::Bool(true));
    if !is_final {
        text.push_str("\n  no end yet; it goes on without us");
    }
    let mut fields = Map::new();
    fields.insert("message_id".to_owned(), json!(id));
    fields.insert("state".to_owned(), json!(known));
    fields.insert("is_final".to_owned(), json!(is_final));
    fields.insert("steps".to_owned(), Value::Array(steps));
    Ok(Outcome {
        text,
        fields,
        failed: !matches!(known.as_str(), "DELIVRD" | "ACCEPTD"),
        ..Outcome::default()
    })
}

fn line(state: &str, told: &Map<String, Value>) -> String {
    let mut line = state.to_owned();
    for (key, words) in [
        ("carrier", ", carrier "),
        ("carrier_id", ", its id "),
        ("err", ", err "),
    ] {
        if let Some(value) = told
            .get(key)
            .and_then(Value::as_str)
            .filter(|value| !value.is_empty())
        {
            line.push_str(words);
            line.push_str(value);
        }
    }
    if let Some(attempts) = told
        .get("attempts")
        .and_then(Value::as_u64)
        .filter(|attempts| *attempts > 0)
    {
        // A String takes everything.
        let _ = write!(line, ", tries that failed: {attempts}");
    }
    line
}
