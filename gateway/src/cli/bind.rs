//! `tidegate bind`: who is bound to the running gateway, and to whom it is.

use std::fmt::Write as _;

use clap::Subcommand;
use serde_json::{Map, Value};

use super::steered::{ask, number, or, word};
use super::{ConfigFile, Outcome, Refusal};
use crate::control::{LIST_MAX, Page, Steer};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Show binds of clients and of ours to carriers, a page at a time.
    List {
        #[command(flatten)]
        file: ConfigFile,
        /// Of this account only.
        #[arg(long)]
        account: Option<String>,
        /// To this carrier only.
        #[arg(long)]
        carrier: Option<String>,
        /// So many at most.
        #[arg(long, default_value_t = 100, value_parser = limit)]
        limit: usize,
        /// Behind this one, as the page before said.
        #[arg(long, value_name = "NUMBER")]
        after: Option<u64>,
    },
    /// Unbind one, and close its connection: a client's at once, a carrier's once it has answered everything.
    ///
    /// A client may bind again, and the gateway does bind again to a carrier.
    Close {
        #[command(flatten)]
        file: ConfigFile,
        /// Its number, from the list.
        number: u64,
    },
}

/// How long a page may be.
pub(super) fn limit(text: &str) -> Result<usize, String> {
    let limit = text.parse().ok().filter(|limit| (1..=LIST_MAX).contains(limit));
    limit.ok_or_else(|| format!("1 to {LIST_MAX}"))
}

pub(super) fn run(verb: &Verb) -> Result<Outcome, Refusal> {
    let (file, steer) = match verb {
        Verb::List {
            file,
            account,
            carrier,
            limit,
            after,
        } => {
            let page = Page {
                after: *after,
                limit: Some(*limit),
            };
            let (account, carrier) = (account.clone(), carrier.clone());
            (
                file,
                Steer::BindList {
                    account,
                    carrier,
                    page,
                },
            )
        }
        Verb::Close { file, number } => (file, Steer::BindClose { number: *number }),
    };
    let fields = ask(file, steer)?;
    let text = match verb {
        Verb::List { .. } => listed(&fields),
        Verb::Close { number, .. } => format!("{number} is being unbound"),
    };
    Ok(Outcome {
        text,
        fields,
        ..Outcome::default()
    })
}

fn listed(fields: &Map<String, Value>) -> String {
    let binds = fields.get("binds").and_then(Value::as_array);
    let mut text = format!(
        "{:>7} {:<20} {:<24} {:<4} {:<7} {:<24} {:>8} {:>8}",
        "number", "account or carrier", "address", "bind", "over", "since", "window", "silent s"
    );
    for bind in binds.into_iter().flatten().filter_map(Value::as_object) {
        let whose = or(word(bind, "account"), word(bind, "carrier"));
        // A String takes everything.
        let _ = write!(
            text,
            "\n{:>7} {whose:<20} {:<24} {:<4} {:<7} {:<24} {:>8} {:>8}",
            number(bind, "number"),
            or(word(bind, "address"), "-"),
            word(bind, "bind"),
            word(bind, "transport"),
            word(bind, "since"),
            number(bind, "window_used"),
            number(bind, "silent_s"),
        );
    }
    if let Some(next) = fields.get("next").and_then(Value::as_u64) {
        let _ = write!(text, "\nmore: --after {next}");
    }
    text
}
