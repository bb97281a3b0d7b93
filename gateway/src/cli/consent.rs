//! `tidegate consent`: what people consented to, and what became of it. Nothing that is recorded is taken away (CON-2).

use std::fmt::Write as _;

use clap::Subcommand;
use serde_json::{Map, Value, json};
use tidegate_codec::category::Category;
use tidegate_codec::identity::SystemId;
use tidegate_store::disk::RealDisk;
use tidegate_store::pseudonym::Pseudonym;
use tidegate_store::seal::Purpose;
use tidegate_store::standing::{Change, What, consents};

use super::optout::Whom;
use super::people::{ask, instant, keys, row};
use super::{Outcome, Refusal, read_config};
use crate::control::{Deed, DeedKind};
use crate::installation;
use crate::standing::opt_out::bit;

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
        Verb::Withdraw { whom, told } => record(DeedKind::ConsentWithdraw, whom, told),
    }
}

fn record(kind: DeedKind, whom: &Whom, told: &Told) -> Result<Outcome, Refusal> {
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
    let fields = ask(&read_config(&whom.file.config)?, &deed)?;
    Ok(Outcome {
        text: "recorded".to_owned(),
        fields,
        ..Outcome::default()
    })
}

fn list(whom: &Whom) -> Result<Outcome, Refusal> {
    let config = read_config(&whom.file.config)?;
    let mut deed = Deed::new(DeedKind::ConsentList, &whom.account);
    deed.rows = vec![row(&[("number", Some(&whom.number()?))])];
    let answer = ask(&config, &deed)?;
    let foreign = || Refusal::new("the gateway does not say who that is", json!({}));
    let who = answer
        .get("who")
        .and_then(Value::as_str)
        .and_then(pseudonym)
        .ok_or_else(foreign)?;
    let name: SystemId = whom.account.parse().map_err(|_| foreign())?;
    let dir = installation::standing_dir(&config.storage);
    let keys = keys(&config.storage)?;
    let found = consents(&RealDisk, &dir, &keys, Purpose::Support, name, who)
        .map_err(|error| Refusal::new(format!("{}: {error}", dir.display()), json!({})))?;
    let records: Vec<Value> = found.iter().map(|change| Value::Object(shown(change))).collect();
    let mut text = format!("records: {}", records.len());
    for record in records.iter().filter_map(Value::as_object) {
        // A String takes everything.
        let _ = write!(text, "\n{}", line(record));
    }
    Ok(Outcome::new(text, json!({ "records": records })))
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

fn pseudonym(hex: &str) -> Option<Pseudonym> {
    let octet = |place: usize| u8::from_str_radix(hex.get(2 * place..2 * place + 2)?, 16).ok();
    let octets: Option<Vec<u8>> = (0..hex.len() / 2).map(octet).collect();
    Some(Pseudonym::from_octets(octets?.try_into().ok()?))
}

fn shown(change: &Change) -> Map<String, Value> {
    let text = |octets: &[u8]| {
        let text = String::from_utf8_lossy(octets).into_owned();
        (!text.is_empty()).then_some(text)
    };
    let mut shown = Map::new();
    if let What::Consent {
        grant,
        scope,
        categories,
    } = &change.what
    {
        let names = Category::ALL
            .into_iter()
            .filter(|category| categories & bit(Some(*category)) != 0);
        let names: Vec<&str> = names.map(Category::word).collect();
        shown.insert("grant".to_owned(), json!(grant.word()));
        shown.insert("scope".to_owned(), json!(scope.kind().word()));
        shown.insert("name".to_owned(), json!(text(scope.name())));
        shown.insert("categories".to_owned(), json!(names));
    }
    shown.insert("at".to_owned(), json!(instant(change.at_ms)));
    shown.insert("via".to_owned(), json!(change.via.word()));
    shown.insert("source".to_owned(), json!(text(&change.private.source)));
    shown.insert("ip".to_owned(), json!(text(&change.private.address)));
    for (fact, value) in &change.private.facts {
        shown.insert(fact.word().to_owned(), json!(text(value)));
    }
    shown
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
