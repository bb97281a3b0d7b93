//! What the verbs have in common that steer the running gateway.

use std::num::NonZeroU32;

use serde_json::{Map, Value};

use super::{ConfigFile, Refusal, read_config};
use crate::control::{self, RATE_MAX, Steer};

/// A rate, or that the configured one holds again.
#[derive(Debug, clap::Args)]
#[group(id = "another_rate", required = true, multiple = false)]
pub(super) struct Rate {
    /// Parts a second.
    #[arg(long, value_name = "N", value_parser = per_second)]
    pub(super) per_second: Option<NonZeroU32>,
    /// The configured rate again.
    #[arg(long)]
    reset: bool,
}

fn per_second(text: &str) -> Result<NonZeroU32, String> {
    let rate = text.parse::<NonZeroU32>().ok();
    rate.filter(|rate| rate.get() <= RATE_MAX)
        .ok_or_else(|| format!("a whole number from 1 to {RATE_MAX}"))
}

/// Asks the running gateway.
pub(super) fn ask(file: &ConfigFile, steer: Steer) -> Result<Map<String, Value>, Refusal> {
    let storage = read_config(&file.config)?.storage;
    Ok(control::ask(&storage.data, &control::Verb::Steer(steer))?)
}

/// The text under a key; nothing where there is none.
pub(super) fn word<'f>(fields: &'f Map<String, Value>, key: &str) -> &'f str {
    fields.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// A text, or what stands for none.
pub(super) fn or<'t>(text: &'t str, nothing: &'t str) -> &'t str {
    if text.is_empty() { nothing } else { text }
}

/// The number under a key; `-` where there is none.
pub(super) fn number(fields: &Map<String, Value>, key: &str) -> String {
    let number = fields.get(key).and_then(Value::as_u64);
    number.map_or_else(|| "-".to_owned(), |number| number.to_string())
}

/// Which rate holds by now.
pub(super) fn rate_told(whose: &str, fields: &Map<String, Value>) -> String {
    match (number(fields, "per_second"), number(fields, "configured")) {
        (rate, _) if rate == "-" => format!("{whose} has no rate, as configured"),
        (rate, configured) if rate == configured => format!("{whose} has {rate}/s, as configured"),
        (rate, configured) if configured == "-" => format!("{whose} has {rate}/s; configured is none"),
        (rate, configured) => format!("{whose} has {rate}/s; configured is {configured}/s"),
    }
}
