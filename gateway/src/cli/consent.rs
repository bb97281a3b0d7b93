//! `tidegate consent`: what people consented to, and what became of it. Nothing that is recorded is taken away (CON-2).

use std::fmt::Write as _;

use clap::Subcommand;
use serde_json::{Map, Value, json};

use super::optout::Whom;
use super::people::{ask, row};
use super::{Outcome, Refusal, read_config};
use crate::control::{Deed, DeedKind, instant};

#[derive(Debug, clap::Args)]
pub(super) struct Told {
    /// To what: marketing, transactional, otp, emergency; by default to all.
    #[arg(long)]
    category: Option<String>,
    /// To whom: account, or brand.
    #[arg(long)]
    scope: Option<String>,
    /// How: web, keyword, paper, voice, import.
    #[arg(long)]
    method: Option<String>,
    /// Where it comes from, such as the form's URL.
    #[arg(long)]
    source: Option<String>,
    /// The person's network address.
    #[arg(long, value_name = "ADDRESS")]
    ip: Option<std::net::IpAddr>,
    /// When, such as 2026-11-24T18:00:00-05:00; by default now.
    #[arg(long)]
    time: Option<String>,
    /// The disclosure that the person read: its text, or its versioned id.
    #[arg(long)]
    disclosure: Option<String>,
    /// Who records it.
    #[arg(long, value_name = "NAME")]
    recorded_by: Option<String>,
    /// As of when it is known to hold.
    #[arg(long, value_name = "TIME")]
    valid_as_of: Option<String>,
    /// The sender or pool that it names.
    #[arg(long)]
    sender: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Show all that an account recorded of a person's consent, oldest first.
    List(Whom),
    /// Record a consent.
    Grant {
        #[command(flatten)]
        whom: Whom,
        #[command(flatten)]
        told: Told,
    },
    /// Ask somebody by a message whether messages are wanted: a YES within 24 hours is the consent. Once in 30 days.
    Ask {
        #[command(flatten)]
        whom: Whom,
        #[command(flatten)]
        told: Told,
    },
    /// Record that a consent is taken back; that it was given stays on record.
    Withdraw {
        #[command(flatten)]
        whom: Whom,
        #[command(flatten)]
        told: Told,
    },
}

pub(super) fn run(verb: &Verb) -> Result<Outcome, Refusal> {
    match verb {
        Verb::List(whom) => list(whom),
        Verb::Grant { whom, told } => record(DeedKind::ConsentGrant, whom, told),
        Verb::Ask { whom, told } => ask_person(whom, told),
        Verb::Withdraw { whom, told } => record(DeedKind::ConsentWithdraw, whom, told),
    }
}

fn deed(kind: DeedKind, whom: &Whom, told: &Told) -> Result<Deed, Refusal> {
    let ip = told.ip.map(|ip| ip.to_string());
    let mut deed = Deed::new(kind, &whom.account);
    deed.rows = vec![row(&[
        ("number", Some(&whom.number()?)),
        ("category", told.category.as_deref()),
        ("scope", told.scope.as_deref()),
        ("method", told.method.as_deref()),
        ("source", told.source.as_deref()),
        ("ip", ip.as_deref()),
        ("time", told.time.as_deref()),
        ("disclosure", told.disclosure.as_deref()),
        ("recorded_by", told.recorded_by.as_deref()),
        ("valid_as_of", told.valid_as_of.as_deref()),
        ("sender", told.sender.as_deref()),
    ])];
    Ok(deed)
}

fn ask_person(whom: &Whom, told: &Told) -> Result<Outcome, Refusal> {
    let mut fields = ask(
        &read_config(&whom.file.config)?,
        &deed(DeedKind::ConsentAsk, whom, told)?,
    )?;
    let until = fields.remove("until_ms").and_then(|until| until.as_u64());
    let until = until.map(instant);
    let text = match &until {
        Some(until) => format!("asked: a yes counts until {until}"),
        None => "not asked: the consent is on record".to_owned(),
    };
    fields.insert("until".to_owned(), json!(until));
    Ok(Outcome {
        text,
        fields,
        ..Outcome::default()
    })
}

fn record(kind: DeedKind, whom: &Whom, told: &Told) -> Result<Outcome, Refusal> {
    let deed = deed(kind, whom, told)?;
    let fields = ask(&read_config(&whom.file.config)?, &deed)?;
    Ok(Outcome {
        text: "recorded".to_owned(),
        fields,
        ..Outcome::default()
    })
}

fn list(whom: &Whom) -> Result<Outcome, Refusal> {
    let mut deed = Deed::new(DeedKind::ConsentList, &whom.account);
    deed.rows = vec![row(&[("number", Some(&whom.number()?))])];
    let fields = ask(&read_config(&whom.file.config)?, &deed)?;
    let records = fields.get("records").and_then(Value::as_array);
    let mut text = format!("records: {}", records.map_or(0, Vec::len));
    for record in records.into_iter().flatten().filter_map(Value::as_object) {
        // A String takes everything.
        let _ = write!(text, "\n{}", line(record));
    }
    if fields
        .get("restricted")
        .and_then(Value::as_u64)
        .is_some_and(|count| count > 0)
    {
        text.push_str("\nthe person is restricted: nothing is shown");
    }
    Ok(Outcome {
        text,
        fields,
        ..Outcome::default()
    })
}

/// A record for people. What somebody put into a file does nothing to a terminal.
fn line(record: &Map<String, Value>) -> String {
    let pairs = record.iter().filter(|(_, value)| !value.is_null());
    let told: Vec<String> = pairs
        .map(|(key, value)| match value {
            Value::String(text) => format!("{key}: {}", text.escape_debug()),
            other => format!("{key}: {other}"),
        })
        .collect();
    told.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_recorded_does_nothing_to_a_terminal() {
        let record = json!({ "source": "a\u{1b}[2J\nb", "ip": null, "categories": ["otp"] });
        let line = line(record.as_object().unwrap());
        assert!(
            !line.contains(char::is_control) && line.contains("source: a\\u{1b}[2J\\nb"),
            "{line}"
        );
        assert!(line.contains("[\"otp\"]") && !line.contains("ip"), "{line}");
    }
}
