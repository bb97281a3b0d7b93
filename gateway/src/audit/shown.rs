//! Entries for people and programs.

use std::fmt::Write as _;

use serde_json::{Map, Value as Json, json};
use tidegate_store::audit::{Actor, Logged, Source, Value, Word};

/// Digits of an instant in RFC 3339, or the milliseconds where it is none.
fn instant(unix_ms: u64) -> String {
    let ms = i64::try_from(unix_ms).unwrap_or(i64::MAX);
    match jiff::Timestamp::from_millisecond(ms) {
        Ok(instant) => instant.to_string(),
        Err(_) => unix_ms.to_string(),
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |mut text, octet| {
        // A String takes everything.
        let _ = write!(text, "{octet:02x}");
        text
    })
}

/// A word of ours or a name, as an entry has it.
pub(crate) fn word(text: &str) -> Value {
    Value::Word(Word::of_name(text))
}

/// What somebody typed, as an entry has it: no number of a person.
pub(crate) fn typed(text: &str) -> Value {
    Value::Word(Word::new(text))
}

pub(crate) fn actor(actor: &Actor) -> String {
    match actor {
        Actor::System => "system".to_owned(),
        Actor::Operator(Some(uid)) => format!("operator uid={uid}"),
        Actor::Operator(None) => "operator".to_owned(),
        Actor::Account(account) => format!("account {account}"),
        Actor::Carrier(carrier) => format!("carrier {}", carrier.as_str()),
        Actor::Handset => "handset".to_owned(),
        Actor::Token(name) => format!("token {}", name.as_str()),
        Actor::Peer(address) => format!("peer {address}"),
    }
}

fn value(value: &Value) -> Json {
    match value {
        Value::Word(word) => json!(word.as_str()),
        Value::Words(words) => words.iter().map(|word| json!(word.as_str())).collect(),
        Value::Count(count) => json!(count),
        Value::Time(time) => json!(instant(*time)),
        Value::Flag(flag) => json!(flag),
        Value::Address(address) => json!(address.to_string()),
        Value::Digest(digest) => json!(hex(digest)),
        Value::Pseudonym(pseudonym) => json!(hex(pseudonym)),
        Value::Sealed(octets) => json!({ "sealed_octets": octets.len() }),
    }
}

/// An entry as one JSON object.
pub(crate) fn shown(logged: &Logged) -> Json {
    let entry = &logged.entry;
    let mut details = Map::new();
    for (field, held) in &entry.details {
        details.insert(field.word().to_owned(), value(held));
    }
    json!({
        "sequence": logged.sequence,
        "time": instant(logged.time_ms),
        "kind": entry.kind.word(),
        "actor": actor(&entry.actor),
        "account": entry.account.as_ref().map(ToString::to_string),
        "subject": entry.subject.as_ref().map(|subject| hex(subject)),
        "source": entry.source.map(|Source(one, other)| [one, other]),
        "details": details,
    })
}

/// An entry as one line.
pub(crate) fn told(logged: &Logged) -> String {
    let entry = &logged.entry;
    let mut line = format!(
        "{:>8}  {:<24}  {:<18} {}",
        logged.sequence,
        instant(logged.time_ms),
        entry.kind.word(),
        actor(&entry.actor)
    );
    // A String takes everything.
    if let Some(account) = &entry.account {
        let _ = write!(line, " account={account}");
    }
    if let Some(subject) = &entry.subject {
        let _ = write!(line, " subject={}", hex(subject));
    }
    for (field, held) in &entry.details {
        let _ = match value(held) {
            Json::String(text) => write!(line, " {field}={text}"),
            other => write!(line, " {field}={other}"),
        };
    }
    line
}
