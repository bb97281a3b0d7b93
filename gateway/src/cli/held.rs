//! `tidegate held`: messages that a rule about abuse has held, and what a person decides of them, in the running gateway.

use std::fmt::Write as _;

use clap::Subcommand;
use serde_json::{Map, Value};

use super::bind::limit;
use super::steered::{number, word};
use super::{ConfigFile, Outcome, Refusal, read_config};
use crate::control::{self, HeldMessage, Page, Withheld};
use crate::withheld::Verdict;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Show which messages are held, the oldest of each account first, a page at a time.
    List {
        #[command(flatten)]
        file: ConfigFile,
        /// Of this account only.
        #[arg(long, value_name = "SYSTEM_ID")]
        account: Option<String>,
        /// So many at most.
        #[arg(long, default_value_t = 100, value_parser = limit)]
        limit: usize,
        /// Behind this one, as the page before said.
        #[arg(long)]
        after: Option<String>,
    },
    /// Show what a held message says, and between which numbers. It is entered in the audit log.
    Show {
        #[command(flatten)]
        meant: Meant,
        /// Why. It is entered in the audit log.
        #[arg(long)]
        reason: String,
    },
    /// Let a held message go on.
    Release(Judged),
    /// End a held message as REJECTED, with a receipt if one was asked for.
    Reject(Judged),
}

/// A held message.
#[derive(Debug, clap::Args)]
pub(super) struct Meant {
    #[command(flatten)]
    file: ConfigFile,
    /// Its id, as its account was given it.
    id: String,
    /// Whose; needed for ids of 8 digits only.
    #[arg(long, value_name = "SYSTEM_ID")]
    account: Option<String>,
}

/// What a person decides.
#[derive(Debug, clap::Args)]
pub(super) struct Judged {
    #[command(flatten)]
    meant: Meant,
    /// Who decides, by name.
    #[arg(long, value_name = "NAME")]
    reviewer: String,
    /// Why. It is entered in the audit log.
    #[arg(long)]
    reason: String,
}

impl Meant {
    fn message(&self) -> HeldMessage {
        HeldMessage {
            id: self.id.clone(),
            account: self.account.clone(),
        }
    }
}

fn judge(judged: &Judged, verdict: Verdict) -> (&ConfigFile, Withheld) {
    let wanted = Withheld::Judge {
        verdict,
        message: judged.meant.message(),
        reviewer: judged.reviewer.clone(),
        reason: judged.reason.clone(),
    };
    (&judged.meant.file, wanted)
}

pub(super) fn run(verb: &Verb) -> Result<Outcome, Refusal> {
    let (file, wanted) = match verb {
        Verb::List {
            file,
            account,
            limit,
            after,
        } => {
            let (account, after) = (account.clone(), after.clone());
            let limit = Some(*limit);
            let page = Page { after, limit };
            (file, Withheld::List { account, page })
        }
        Verb::Show { meant, reason } => {
            let (message, reason) = (meant.message(), reason.clone());
            (&meant.file, Withheld::Show { message, reason })
        }
        Verb::Release(judged) => judge(judged, Verdict::Release),
        Verb::Reject(judged) => judge(judged, Verdict::Reject),
    };
    let data = read_config(&file.config)?.storage.data;
    let fields = control::ask(&data, &control::Verb::Withheld(wanted))?;
    let text = match verb {
        Verb::List { .. } => listed(&fields),
        Verb::Show { .. } => shown(&fields),
        Verb::Release(judged) => decided(&fields, &judged.meant.id, "goes on"),
        Verb::Reject(judged) => decided(&fields, &judged.meant.id, "is rejected"),
    };
    Ok(Outcome {
        text,
        fields,
        ..Outcome::default()
    })
}

/// What became of a message, and of how many of its recipients it is still to be decided.
fn decided(fields: &Map<String, Value>, id: &str, what: &str) -> String {
    match fields.get("left").and_then(Value::as_u64) {
        None | Some(0) => format!("{id} {what}"),
        Some(left) => format!("{id} {what} in part: to {left} recipients it is held still, decide again"),
    }
}

fn row(message: &Map<String, Value>) -> String {
    format!(
        "{:<20} {:>3}  {:<16} {:<14} since {}  expires {}",
        word(message, "id"),
        number(message, "recipient"),
        word(message, "account"),
        word(message, "category"),
        word(message, "accepted"),
        word(message, "expires"),
    )
}

fn listed(fields: &Map<String, Value>) -> String {
    let messages = fields.get("messages").and_then(Value::as_array);
    let messages = messages.into_iter().flatten().filter_map(Value::as_object);
    let mut out: Vec<String> = messages.map(row).collect();
    if out.is_empty() {
        out.push("nothing is held".to_owned());
    }
    let next = word(fields, "next");
    if !next.is_empty() {
        out.push(format!("more: --after {next}"));
    }
    out.join("\n")
}

fn shown(fields: &Map<String, Value>) -> String {
    let mut out = row(fields);
    let to = fields.get("to").and_then(Value::as_array);
    let to: Vec<&str> = to.into_iter().flatten().filter_map(Value::as_str).collect();
    let text = fields.get("text").and_then(|text| text.get("shown"));
    let text = text.and_then(Value::as_str).unwrap_or("-");
    // A String takes everything.
    let _ = write!(
        out,
        "\nfrom {} to {}\n{text}",
        word(fields, "from"),
        to.join(", ")
    );
    out
}
