//! `tidegate account`: how accounts stand, what they have used, and what they may do in the running gateway.

use std::fmt::Write as _;

use clap::Subcommand;
use serde_json::{Map, Value, json};
use tidegate_config::Config;
use tidegate_store::disk::RealDisk;
use tidegate_store::lock::DirLock;
use tidegate_store::usage::recount;

use super::bind::limit;
use super::steered::{Rate, ask, number, or, rate_told, word};
use super::{ConfigFile, Outcome, Refusal, read_config};
use crate::clock::Clock;
use crate::control::{self, AskError, MeantSender, Page, Steer};
use crate::orders::Sender;
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
    /// Show how accounts stand: what they may do, binds, unfinished messages, outbox, rate; a page at a time.
    List {
        #[command(flatten)]
        file: ConfigFile,
        /// So many at most.
        #[arg(long, default_value_t = 100, value_parser = limit)]
        limit: usize,
        /// Behind this one, as the page before said.
        #[arg(long, value_name = "SYSTEM_ID")]
        after: Option<String>,
    },
    /// Refuse an account's submits and new binds, also after a restart.
    ///
    /// What was accepted goes on; its receipts and messages wait for it, or go to binds that are open; opt-outs are heard.
    Suspend {
        #[command(flatten)]
        named: Named,
        /// Close the binds that are open, too.
        #[arg(long)]
        unbind: bool,
    },
    /// Let a suspended account submit and bind again.
    Restore(Named),
    /// Refuse what one sender of an account submits, also after a restart.
    ///
    /// Its other senders go on, and so does what was accepted; binds stay, and opt-outs are heard.
    SuspendSender {
        #[command(flatten)]
        named: Named,
        /// The sender: a number in its international form, or a name.
        #[arg(value_name = "ADDRESS")]
        sender: String,
    },
    /// Let a suspended sender of an account submit again.
    RestoreSender {
        #[command(flatten)]
        named: Named,
        #[command(flatten)]
        meant: Meant,
    },
    /// Close an account for good: its binds end, what waits is ended as DELETED, nobody binds again, and what is kept of it goes as
    /// its profile says. Opt-outs go on being heard and kept.
    Close {
        #[command(flatten)]
        named: Named,
        /// Why. It is entered in the audit log.
        #[arg(long)]
        reason: String,
        #[command(flatten)]
        offered: Offered,
    },
    /// Show how an account stands, and when what is kept of it goes.
    Show(Named),
    /// Have another rate hold for an account, until it is reset or the gateway ends.
    Limit {
        #[command(flatten)]
        named: Named,
        #[command(flatten)]
        rate: Rate,
    },
}

/// What an account got of what is kept of it, before it is closed.
#[derive(Debug, clap::Args)]
#[group(id = "what_it_got", required = true, multiple = false)]
pub(super) struct Offered {
    /// The export that it was given.
    #[arg(long, value_name = "EXPORT")]
    returned: Option<u64>,
    /// Nothing: it was offered, and declined.
    #[arg(long)]
    declined: bool,
}

/// A suspended sender.
#[derive(Debug, clap::Args)]
#[group(id = "which_sender", required = true, multiple = false)]
pub(super) struct Meant {
    /// The sender: a number in its international form, or a name.
    #[arg(value_name = "ADDRESS")]
    sender: Option<String>,
    /// By what stands for it in `account show` and `case show`.
    #[arg(long, value_name = "SENDER", value_parser = named_sender)]
    pseudonym: Option<Sender>,
}

fn named_sender(text: &str) -> Result<Sender, String> {
    Sender::read(text).ok_or_else(|| "what `account show` has for a sender: hexadecimal digits".to_owned())
}

impl Meant {
    fn sender(&self) -> MeantSender {
        match self.pseudonym {
            Some(sender) => MeantSender::Named(sender),
            None => MeantSender::Address(self.sender.clone().unwrap_or_default()),
        }
    }
}

/// An account.
#[derive(Debug, clap::Args)]
pub(super) struct Named {
    #[command(flatten)]
    file: ConfigFile,
    /// The account's system_id.
    #[arg(value_name = "SYSTEM_ID")]
    account: String,
}

pub(super) fn run(verb: &Verb) -> Result<Outcome, Refusal> {
    let (file, steer) = match verb {
        Verb::Usage { file, account } => return usage(file, account.as_ref()),
        Verb::List { file, limit, after } => {
            let page = Page {
                after: after.clone(),
                limit: Some(*limit),
            };
            (file, Steer::AccountList { page })
        }
        Verb::Suspend { named, unbind } => {
            let (account, unbind) = (named.account.clone(), *unbind);
            (&named.file, Steer::AccountSuspend { account, unbind })
        }
        Verb::Restore(named) => {
            let account = named.account.clone();
            (&named.file, Steer::AccountRestore { account })
        }
        Verb::SuspendSender { named, sender } => {
            let (account, sender) = (named.account.clone(), sender.clone());
            (&named.file, Steer::SenderSuspend { account, sender })
        }
        Verb::RestoreSender { named, meant } => {
            let (account, sender) = (named.account.clone(), meant.sender());
            (&named.file, Steer::SenderRestore { account, sender })
        }
        Verb::Close {
            named,
            reason,
            offered,
        } => {
            let steer = Steer::AccountClose {
                account: named.account.clone(),
                reason: reason.clone(),
                returned: offered.returned,
            };
            (&named.file, steer)
        }
        Verb::Show(named) => {
            let account = named.account.clone();
            (&named.file, Steer::AccountShow { account })
        }
        Verb::Limit { named, rate } => {
            let (account, per_second) = (named.account.clone(), rate.per_second);
            (&named.file, Steer::AccountLimit { account, per_second })
        }
    };
    let fields = ask(file, steer)?;
    let text = match verb {
        Verb::Suspend { named, .. } => {
            format!(
                "{} is suspended; binds closed: {}",
                named.account,
                number(&fields, "unbound")
            )
        }
        Verb::Restore(named) if fields.get("restored") == Some(&Value::Bool(true)) => {
            format!(
                "{} is {} again",
                named.account,
                or(word(&fields, "state"), "not suspended")
            )
        }
        Verb::Restore(named) => format!("{} was not suspended by an operator", named.account),
        Verb::SuspendSender { named, .. } => format!(
            "a sender of {} is suspended since {}: {}",
            named.account,
            word(&fields, "since"),
            word(&fields, "sender")
        ),
        Verb::RestoreSender { named, .. } => {
            let is_restored = fields.get("restored") == Some(&Value::Bool(true));
            format!(
                "{} of {} {}",
                word(&fields, "sender"),
                named.account,
                if is_restored {
                    "may submit again"
                } else {
                    "was not suspended"
                }
            )
        }
        Verb::Close { named, .. } => format!(
            "{} is closed since {}; binds closed: {}, messages deleted: {}",
            named.account,
            word(&fields, "closed"),
            number(&fields, "unbound"),
            number(&fields, "deleted")
        ),
        Verb::Show(_) => shown(&fields),
        Verb::Limit { named, .. } => rate_told(&named.account, &fields),
        Verb::List { .. } | Verb::Usage { .. } => listed(&fields),
    };
    Ok(Outcome {
        text,
        fields,
        ..Outcome::default()
    })
}

fn shown(fields: &Map<String, Value>) -> String {
    let mut text = String::new();
    for key in [
        "account",
        "state",
        "profile",
        "suspended",
        "case",
        "closed",
        "binds",
        "unfinished",
        "outbox",
    ] {
        let value = match fields.get(key) {
            None | Some(Value::Null) => "-".to_owned(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        // A String takes everything.
        let _ = writeln!(text, "{key:<11} {value}");
    }
    let senders = fields.get("suspended_senders").and_then(Value::as_array);
    for sender in senders.into_iter().flatten().filter_map(Value::as_object) {
        let (of, since) = (word(sender, "sender"), word(sender, "since"));
        let name = or(word(sender, "listed_as"), "a sender that is not listed");
        let _ = writeln!(text, "suspended   {of} since {since}: {name}");
    }
    let goes = fields.get("goes").and_then(Value::as_array);
    for goes in goes.into_iter().flatten().filter_map(Value::as_object) {
        let _ = writeln!(text, "{:<15} goes {}", word(goes, "class"), word(goes, "due"));
    }
    text.truncate(text.trim_end().len());
    text
}

fn listed(fields: &Map<String, Value>) -> String {
    let accounts = fields.get("accounts").and_then(Value::as_array);
    let mut text = format!(
        "{:<16} {:<10} {:>5} {:>11} {:>8} {:>8}  {}",
        "account", "state", "binds", "unfinished", "outbox", "rate/s", "suspended since"
    );
    for account in accounts.into_iter().flatten().filter_map(Value::as_object) {
        let (name, since) = (word(account, "account"), word(account, "suspended"));
        // A String takes everything.
        let _ = if account.get("is_configured") == Some(&Value::Bool(false)) {
            match word(account, "closed") {
                "" => write!(
                    text,
                    "\n{name:<16} not in the configuration; suspended since {since}"
                ),
                closed => write!(
                    text,
                    "\n{name:<16} not in the configuration; closed since {closed}"
                ),
            }
        } else {
            write!(
                text,
                "\n{name:<16} {:<10} {:>5} {:>11} {:>8} {:>8}  {since}",
                word(account, "state"),
                number(account, "binds"),
                number(account, "unfinished"),
                number(account, "outbox"),
                number(account, "per_second"),
            )
        };
    }
    let next = word(fields, "next");
    if !next.is_empty() {
        let _ = write!(text, "\nmore: --after {next}");
    }
    text
}

fn usage(file: &ConfigFile, account: Option<&String>) -> Result<Outcome, Refusal> {
    let config = read_config(&file.config)?;
    let request = control::Verb::Usage {
        account: account.cloned(),
    };
    let fields = match control::ask(&config.storage.data, &request) {
        Err(AskError::NotRunning { .. }) => from_files(&config, account.map(String::as_str))?,
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
