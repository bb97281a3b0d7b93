//! `tidegate queue`: what an operator does with messages that wait, in the running gateway.

use std::fmt::Write as _;
use std::time::Duration;

use clap::Subcommand;
use serde_json::Value;

use super::bind::limit;
use super::steered::{ask, number, word};
use super::{ConfigFile, Outcome, Refusal, read_config};
use crate::control::{self, Page, Selection, Steer};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Show what waits, by carrier and account: how much, and since when the oldest was accepted; a page at a time.
    List {
        #[command(flatten)]
        file: ConfigFile,
        /// So many at most.
        #[arg(long, default_value_t = 100, value_parser = limit)]
        limit: usize,
        /// Behind this one, as the page before said.
        #[arg(long, value_name = "CARRIER/SYSTEM_ID")]
        after: Option<String>,
    },
    /// Put what waits for one carrier in line for another, whatever the routes say.
    ///
    /// It stays there as long as it waits. After a try that failed, when a carrier comes or goes, and after a restart,
    /// the routes decide again.
    Move {
        #[command(flatten)]
        file: ConfigFile,
        /// Whose queue.
        #[arg(long, value_name = "CARRIER")]
        from: String,
        /// Where to.
        #[arg(long, value_name = "CARRIER")]
        to: String,
        /// Of this account only.
        #[arg(long)]
        account: Option<String>,
    },
    /// End an account's messages that no carrier has, as expired, with the receipts that were asked for.
    Expire {
        #[command(flatten)]
        file: ConfigFile,
        /// Whose messages.
        #[arg(long)]
        account: String,
        /// Accepted at least so many minutes ago.
        #[arg(long, value_name = "MINUTES", default_value_t = 0)]
        older_than: u32,
        /// What is ended stays ended: say that it is meant.
        #[arg(long)]
        yes: bool,
    },
}

fn list(file: &ConfigFile, page: Page<String>) -> Result<Outcome, Refusal> {
    let fields = ask(file, Steer::QueueList { page })?;
    let queues = fields.get("queues").and_then(Value::as_array);
    let mut text = format!(
        "{:<20} {:<16} {:>10} {:>9}",
        "carrier", "account", "waiting", "oldest s"
    );
    for queue in queues.into_iter().flatten().filter_map(Value::as_object) {
        // A String takes everything.
        let _ = write!(
            text,
            "\n{:<20} {:<16} {:>10} {:>9}",
            word(queue, "carrier"),
            word(queue, "account"),
            number(queue, "waiting"),
            number(queue, "oldest_s"),
        );
    }
    let _ = write!(text, "\nno route: {}", number(&fields, "unrouted"));
    let next = word(&fields, "next");
    if !next.is_empty() {
        let _ = write!(text, "\nmore: --after {next}");
    }
    Ok(Outcome {
        text,
        fields,
        ..Outcome::default()
    })
}

pub(super) fn run(verb: &Verb) -> Result<Outcome, Refusal> {
    let (file, request) = match verb {
        Verb::List { file, limit, after } => {
            let page = Page {
                after: after.clone(),
                limit: Some(*limit),
            };
            return list(file, page);
        }
        Verb::Move {
            file,
            from,
            to,
            account,
        } => {
            let request = control::Verb::Move {
                from: from.clone(),
                to: to.clone(),
                account: account.clone(),
            };
            (file, request)
        }
        Verb::Expire { yes: false, .. } => {
            return Err(Refusal {
                reason: "what is ended cannot be brought back: add --yes if it is meant; `tidegate spool inspect` \
                         says how much it is"
                    .to_owned(),
                fields: serde_json::Map::new(),
            });
        }
        Verb::Expire {
            file,
            account,
            older_than,
            ..
        } => {
            let request = control::Verb::Expire(Selection {
                account: account.clone(),
                older_than: Duration::from_secs(60 * u64::from(*older_than)),
            });
            (file, request)
        }
    };
    let storage = read_config(&file.config)?.storage;
    let fields = control::ask(&storage.data, &request)?;
    let told: Vec<String> = fields
        .iter()
        .map(|(what, count)| format!("{what}: {}", count.as_u64().map_or(Value::Null, Value::from)))
        .collect();
    Ok(Outcome {
        text: told.join(", "),
        fields,
        ..Outcome::default()
    })
}
