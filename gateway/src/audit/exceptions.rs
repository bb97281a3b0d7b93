//! What the audit log holds of exceptions from TLS 1.3 (SEC-1): each that stands in the configuration at a start, and each that
//! is new or another with a reload.

use tidegate_config::{Config, Excepted, Transport};
use tidegate_store::audit::{Actor, Entry, Field, Kind, Value, Word};

/// All that stand in a configuration.
pub(crate) fn standing(config: &Config, now_ms: u64) -> Vec<Entry> {
    let told = config.exceptions();
    told.iter()
        .map(|excepted| entry(excepted, &Actor::System, now_ms))
        .collect()
}

/// Those of a configuration that is taken over that the one before did not have like this.
pub(crate) fn other(before: &Config, new: &Config, who: &Actor, now_ms: u64) -> Vec<Entry> {
    let before = before.exceptions();
    let told = new.exceptions();
    let other = told.iter().filter(|excepted| !before.contains(excepted));
    other.map(|excepted| entry(excepted, who, now_ms)).collect()
}

fn entry(excepted: &Excepted, who: &Actor, now_ms: u64) -> Entry {
    let kind = match excepted.least {
        Transport::Clear => Kind::ClearText,
        Transport::Tls12 | Transport::Tls13 => Kind::OlderTls,
    };
    let outcome = if excepted.exception.holds(now_ms) {
        "holds"
    } else {
        "over"
    };
    let word = |text: &str| Value::Word(Word::of_name(text));
    Entry::new(kind, who.clone())
        .of(excepted.account)
        .with(Field::Keys, Value::Words(vec![Word::of_name(&excepted.key)]))
        .with(Field::Reason, word(&excepted.exception.name))
        .with(Field::Last, Value::Time(excepted.exception.ends_ms))
        .with(Field::Outcome, word(outcome))
}
