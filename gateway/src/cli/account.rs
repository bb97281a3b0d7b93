//! `tidegate account`: what accounts have used.

use std::fmt::Write as _;

use clap::Subcommand;
use serde_json::{Map, Value, json};
use tidegate_config::Config;
use tidegate_store::disk::RealDisk;
use tidegate_store::lock::DirLock;
use tidegate_store::usage::recount;

use super::{ConfigFile, Outcome, Refusal, read_config};
use crate::clock::Clock;
use crate::control::{self, AskError};
use crate::{installation, quota};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Tell how many parts accounts have used of their day and month: of the running gateway, or else from its files.
    Usage {
        #[command(flatten)]
        file: ConfigFile,
        /// Of this account only.
        #[arg(long)]
        account: Option<String>,
    },
}

pub(super) fn run(verb: &Verb) -> Result<Outcome, Refusal> {
    let Verb::Usage { file, account } = verb;
    let config = read_config(&file.config)?;
    let request = control::Verb::Usage {
        account: account.clone(),
    };
    let fields = match control::ask(&config.storage.data, &request) {
        Err(AskError::NotRunning { .. }) => from_files(&config, account.as_deref())?,
        answer => answer?,
    };
    let mut text = String::new();
    for row in fields
        .get("accounts")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let account = row["account"].as_str().unwrap_or_default();
        for period in ["day", "month"] {
            let Value::Object(told) = &row[period] else {
                continue;
            };
            let number = |key: &str| told.get(key).and_then(Value::as_u64);
            let of = number("quota").map_or("no quota".to_owned(), |quota| format!("of {quota}"));
            let used = number("used").unwrap_or_default();
            let ends = told.get("ends").and_then(Value::as_str).unwrap_or("-");
            // A String takes everything.
            let _ = writeln!(text, "{account:<16} {period:<6} {used:>14} {of:<18} ends {ends}");
        }
    }
    Ok(Outcome {
        text: text.trim_end().to_owned(),
        fields,
        ..Outcome::default()
    })
}

fn from_files(config: &Config, account: Option<&str>) -> Result<Map<String, Value>, Refusal> {
    let storage = &config.storage;
    // One that is starting, or has no socket, writes there.
    let _lock = DirLock::take(&storage.data)?;
    let used = recount(
        &RealDisk,
        &installation::spool_dir(storage),
        &installation::usage_dir(storage),
    )?;
    let now = Clock::machine().now();
    let rows = config
        .accounts
        .iter()
        .filter(|found| account.is_none_or(|name| found.system_id.as_str() == name))
        .map(|found| {
            let totals = used.get(found.system_id.as_str()).copied().unwrap_or_default();
            Value::Object(quota::shown(found, now, |period| totals.used(period)))
        });
    let rows: Vec<Value> = rows.collect();
    if let (Some(name), true) = (account, rows.is_empty()) {
        return Err(Refusal::new(format!("there is no account {name:?}"), json!({})));
    }
    let mut fields = Map::new();
    fields.insert("accounts".to_owned(), json!(rows));
    Ok(fields)
}
