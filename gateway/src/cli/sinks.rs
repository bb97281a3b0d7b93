//! `tidegate sinks`: where data of people may leave the gateway, and which fields, as the configuration has it (CHN-5, GEN-6).

use std::fmt::Write as _;

use serde_json::{Value, json};
use tidegate_config::{Account, Carrier, Config, Listener};

use super::{ConfigFile, Outcome, Refusal, read_config};
use crate::control::instant;
use crate::exports::{What, columns};

/// What a carrier is sent: the message, as its account submitted it and rules rewrote its addresses.
const TO_CARRIERS: &[&str] = &[
    "source address",
    "recipient's number",
    "text",
    "data_coding, esm_class, TLVs",
    "validity, schedule, priority, service_type",
];
/// What an account's clients are sent.
const TO_ACCOUNTS: &[&str] = &[
    "receipts: id, state, error, dates, both addresses; the text's beginning while it may be read",
    "messages of handsets: sender's number, called number, text, TLVs",
    "answers to query_sm: id, state, date, error",
];
/// What whoever reads metrics is shown.
const TO_METRICS: &[&str] =
    &["counts and times by account, carrier, country and status: nothing of a person"];

struct Sink {
    kind: &'static str,
    name: String,
    places: Vec<String>,
    protection: String,
    fields: Vec<String>,
}

pub(super) fn run(file: &ConfigFile) -> Result<Outcome, Refusal> {
    let config = read_config(&file.config)?;
    let sinks = sinks(&config);
    let mut text = String::new();
    for sink in &sinks {
        // A String takes everything.
        let _ = writeln!(
            text,
            "{} {}: {} ({})",
            sink.kind,
            sink.name,
            sink.places.join(", "),
            sink.protection
        );
        for field in &sink.fields {
            let _ = writeln!(text, "    {field}");
        }
    }
    let _ = write!(
        text,
        "nothing else leaves: there is no sink for sale, rent, advertising or another account"
    );
    let rows: Vec<Value> = sinks
        .iter()
        .map(|sink| {
            json!({
                "kind": sink.kind,
                "name": sink.name,
                "places": sink.places,
                "protection": sink.protection,
                "fields": sink.fields,
            })
        })
        .collect();
    Ok(Outcome::new(text, json!({ "sinks": rows })))
}

fn owned(fields: &[&str]) -> Vec<String> {
    fields.iter().map(|field| (*field).to_owned()).collect()
}

fn sinks(config: &Config) -> Vec<Sink> {
    let mut sinks: Vec<Sink> = config.carriers.iter().map(of_carrier).collect();
    sinks.extend(config.accounts.iter().map(|account| of_account(config, account)));
    let columns = [What::Texts, What::Statistics, What::Person].map(|what| {
        let named = columns(what).join(", ");
        format!("{}: {named}", what.word())
    });
    sinks.push(Sink {
        kind: "export",
        name: "whom an operator with the role privacy gives it".to_owned(),
        places: vec!["a file of `export fetch`, `export read` at the admin listener".to_owned()],
        protection: "sealed until it is fetched; each step is in the audit log".to_owned(),
        fields: columns.to_vec(),
    });
    sinks.push(Sink {
        kind: "metrics",
        name: "who scrapes".to_owned(),
        places: vec![config.http.address.to_string()],
        protection: "none: it names nobody".to_owned(),
        fields: owned(TO_METRICS),
    });
    sinks
}

fn of_carrier(carrier: &Carrier) -> Sink {
    let protection = match (&carrier.tls, &carrier.clear_text) {
        (Some(_), _) => "TLS".to_owned(),
        (None, Some(exception)) => format!(
            "in clear, by {} until {}",
            exception.name,
            instant(exception.ends_ms)
        ),
        (None, None) => "in clear, on this machine".to_owned(),
    };
    Sink {
        kind: "carrier",
        name: carrier.name.to_string(),
        places: carrier.addresses.iter().map(ToString::to_string).collect(),
        protection,
        fields: owned(TO_CARRIERS),
    }
}

fn of_account(config: &Config, account: &Account) -> Sink {
    let places = match account.allow_ips.is_empty() {
        true => vec!["any address that binds as this account".to_owned()],
        false => account.allow_ips.iter().map(ToString::to_string).collect(),
    };
    let is_tls = |listen: &Listener| listen.tls.is_some();
    let protection = match config.listen.iter().all(is_tls) {
        true => "TLS, a password".to_owned(),
        false => "a password; TLS where its bind has it".to_owned(),
    };
    Sink {
        kind: "account",
        name: account.system_id.to_string(),
        places,
        protection,
        fields: owned(TO_ACCOUNTS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_carrier_and_account_is_a_sink_and_says_how_it_is_protected() {
        let config = crate::documents::parse(include_str!("../../../config/compliance.toml")).unwrap();
        let sinks = sinks(&config);
        let count = |kind: &str| sinks.iter().filter(|sink| sink.kind == kind).count();
        assert_eq!(
            (count("carrier"), count("account"), count("export")),
            (config.carriers.len(), config.accounts.len(), 1)
        );
        assert!(
            sinks
                .iter()
                .all(|sink| !sink.fields.is_empty() && !sink.places.is_empty())
        );
    }
}
