//! `tidegate optout`: who gets nothing any more, in the running gateway.

use std::fmt::Write as _;
use std::io::{self, BufRead, Read as _};
use std::path::PathBuf;

use clap::Subcommand;
use serde_json::{Map, Value, json};
use tidegate_config::Config;
use tidegate_store::standing::Origin;

use super::people::{ask, import, row};
use super::{ConfigFile, Outcome, Refusal, read_config};
use crate::clock::Clock;
use crate::control::{Batch, Deed, DeedKind, Override, PAGE_MAX, VALUE_MAX, instant};
use crate::exports::field;

#[derive(Debug, clap::Args)]
pub(super) struct Whom {
    #[command(flatten)]
    pub(super) file: ConfigFile,
    /// The person's number, however it is written; `-`: the first line of standard input. An argument stands in the list
    /// of processes and in the shell's history.
    #[arg(value_name = "NUMBER")]
    number: String,
    /// Of messages of which account.
    #[arg(long)]
    pub(super) account: String,
}

impl Whom {
    /// The number, from where it is.
    pub(super) fn number(&self) -> Result<String, Refusal> {
        if self.number != "-" {
            return Ok(self.number.clone());
        }
        first_line(&mut io::stdin().lock())
            .map_err(|error| Refusal::new(format!("cannot read standard input: {error}"), json!({})))
    }
}

fn first_line(input: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    input.by_ref().take(VALUE_MAX as u64).read_line(&mut line)?;
    Ok(line.trim().to_owned())
}

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Enter that a person gets nothing any more; it holds, for messages that wait as well, when this returns.
    Add {
        #[command(flatten)]
        whom: Whom,
        /// How far it reaches: sender, pool, account, brand, global; by default the account, or with a sender what a
        /// message to it would reach.
        #[arg(long)]
        scope: Option<String>,
        /// Of which sender.
        #[arg(long)]
        sender: Option<String>,
        /// Whose word it is: recipient (by a form, a call, an e-mail), account or carrier.
        #[arg(long, value_parser = origin, default_value = "account")]
        origin: Origin,
        /// Where it comes from, such as the form's URL.
        #[arg(long)]
        source: Option<String>,
        /// The person's network address.
        #[arg(long, value_name = "ADDRESS")]
        ip: Option<std::net::IpAddr>,
    },
    /// Lift what the account made or imported itself; what a recipient or carrier said, and what is not the account's alone,
    /// takes an override.
    Remove {
        #[command(flatten)]
        whom: Whom,
        /// Only what reaches so far; by default all that may be lifted, with --override brand and global as well.
        #[arg(long)]
        scope: Option<String>,
        /// Only what concerns messages of this sender.
        #[arg(long)]
        sender: Option<String>,
        /// As the operator, lift what others made; at most once in 30 days for a number.
        #[arg(long = "override", requires_all = ["approver", "evidence"])]
        by_override: bool,
        /// Who approves it; two different ones.
        #[arg(long, value_name = "NAME", requires = "by_override")]
        approver: Vec<String>,
        /// Where the evidence for it lies.
        #[arg(long, value_name = "REFERENCE", requires = "by_override")]
        evidence: Option<String>,
    },
    /// Say whether a person has opted out of an account's messages, and who said so.
    Check {
        #[command(flatten)]
        whom: Whom,
        /// Of this sender's.
        #[arg(long)]
        sender: Option<String>,
    },
    /// Show an account's own opt-outs, a page at a time.
    List {
        #[command(flatten)]
        file: ConfigFile,
        /// Whose.
        #[arg(long)]
        account: String,
        /// Entries at most.
        #[arg(long, default_value_t = 1_000)]
        limit: usize,
        /// Where the last page ended: its `next`.
        #[arg(long, value_name = "PLACE")]
        after: Option<String>,
    },
    /// Take in a list: number, and scope, source and time where the file has them.
    Import {
        #[command(flatten)]
        file: ConfigFile,
        /// A file of comma-separated values; its first line may name the columns.
        #[arg(value_name = "FILE")]
        path: PathBuf,
        /// Whose.
        #[arg(long)]
        account: String,
        /// Whose word it is.
        #[arg(long, value_parser = origin, default_value = "import")]
        origin: Origin,
    },
    /// Print all of an account's own opt-outs as comma-separated values, or with --json as an object.
    Export {
        #[command(flatten)]
        file: ConfigFile,
        /// Whose.
        #[arg(long)]
        account: String,
    },
}

fn origin(word: &str) -> Result<Origin, String> {
    let found = Origin::ALL.into_iter().find(|origin| origin.word() == word);
    found.ok_or_else(|| "one of recipient, carrier, account, import".to_owned())
}

pub(super) fn run(verb: &Verb) -> Result<Outcome, Refusal> {
    match verb {
        Verb::Add {
            whom,
            scope,
            sender,
            origin,
            source,
            ip,
        } => {
            let ip = ip.map(|ip| ip.to_string());
            let mut deed = Deed::new(DeedKind::OptOutAdd, &whom.account);
            deed.origin = Some(*origin);
            deed.rows = vec![row(&[
                ("number", Some(&whom.number()?)),
                ("scope", scope.as_deref()),
                ("sender", sender.as_deref()),
                ("source", source.as_deref()),
                ("ip", ip.as_deref()),
            ])];
            let fields = ask(&read_config(&whom.file.config)?, &deed)?;
            let is_new = fields.get("entered").and_then(Value::as_u64) == Some(1);
            let text = if is_new {
                "opted out"
            } else {
                "was opted out already"
            };
            Ok(Outcome {
                text: text.to_owned(),
                fields,
                ..Outcome::default()
            })
        }
        Verb::Remove {
            whom,
            scope,
            sender,
            by_override,
            approver,
            evidence,
        } => {
            let mut deed = Deed::new(DeedKind::OptOutRemove, &whom.account);
            deed.rows = vec![row(&[
                ("number", Some(&whom.number()?)),
                ("scope", scope.as_deref()),
                ("sender", sender.as_deref()),
            ])];
            deed.by_override = by_override.then(|| Override {
                approvers: approver.clone(),
                evidence: evidence.clone().unwrap_or_default(),
            });
            answered(whom, &deed)
        }
        Verb::Check { whom, sender } => {
            let mut deed = Deed::new(DeedKind::OptOutCheck, &whom.account);
            deed.rows = vec![row(&[
                ("number", Some(&whom.number()?)),
                ("sender", sender.as_deref()),
            ])];
            answered(whom, &deed)
        }
        Verb::List {
            file,
            account,
            limit,
            after,
        } => {
            let limit = (*limit).clamp(1, PAGE_MAX);
            list(&read_config(&file.config)?, account, limit, after.as_deref())
        }
        Verb::Import {
            file,
            path,
            account,
            origin,
        } => {
            let mut deed = Deed::new(DeedKind::OptOutImport, account);
            deed.origin = Some(*origin);
            let batch = batch("opt-outs", None);
            let bare = ["number", "scope", "source", "time"];
            import(&read_config(&file.config)?, path, deed, batch, &[], &bare)
        }
        Verb::Export { file, account } => export(&read_config(&file.config)?, account),
    }
}

/// A batch's name: what it is, and when it came.
pub(super) fn batch(what: &str, attest: Option<&str>) -> Batch {
    Batch {
        batch: format!("{what}-{}", instant(Clock::machine().now().unix_ms)),
        digest: String::new(),
        attest: attest.map(str::to_owned),
    }
}

fn answered(whom: &Whom, deed: &Deed) -> Result<Outcome, Refusal> {
    let fields = ask(&read_config(&whom.file.config)?, deed)?;
    let mut text = match fields.get("removed") {
        Some(count) => format!("lifted: {count}\n"),
        None => String::new(),
    };
    let is_blocked = fields.get("blocked") == Some(&Value::Bool(true));
    text.push_str(if is_blocked {
        "has opted out"
    } else {
        "has not opted out"
    });
    let entries = fields.get("entries").and_then(Value::as_array);
    for entry in entries.into_iter().flatten() {
        let origins = entry["origins"].as_array().into_iter().flatten();
        let origins: Vec<&str> = origins.filter_map(Value::as_str).collect();
        let (scope, name) = (&entry["scope"], &entry["name"]);
        let words = [scope, name].map(|value| value.as_str().unwrap_or_default().escape_debug());
        // A String takes everything.
        let _ = write!(text, "\n{} {}: by {}", words[0], words[1], origins.join(", "));
    }
    Ok(Outcome {
        text,
        fields,
        ..Outcome::default()
    })
}

/// A page of an account's entries, as the gateway tells them.
fn page(
    config: &Config,
    kind: DeedKind,
    account: &str,
    limit: usize,
    after: Option<&str>,
) -> Result<Map<String, Value>, Refusal> {
    let mut deed = Deed::new(kind, account);
    deed.limit = Some(limit);
    deed.after = after.map(str::to_owned);
    ask(config, &deed)
}

fn entries(page: &Map<String, Value>) -> impl Iterator<Item = &Value> {
    page.get("entries")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn count(page: &Map<String, Value>, key: &str) -> u64 {
    page.get(key).and_then(Value::as_u64).unwrap_or_default()
}

fn list(config: &Config, account: &str, limit: usize, after: Option<&str>) -> Result<Outcome, Refusal> {
    let fields = page(config, DeedKind::OptOutList, account, limit, after)?;
    let mut text = String::new();
    for entry in entries(&fields) {
        // What somebody put into a file, or a handset sent, does nothing to a terminal.
        let word = |key: &str| entry[key].as_str().unwrap_or_default().escape_debug().to_string();
        let origins: Vec<&str> = entry["origins"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        // A String takes everything.
        let _ = writeln!(
            text,
            "{:<16} {} {} by {} {}",
            word("number"),
            word("scope"),
            word("name"),
            origins.join(", "),
            word("time")
        );
    }
    let hashed = count(&fields, "hashed");
    if hashed > 0 {
        let _ = writeln!(text, "{hashed} entries, hashed");
    }
    let restricted = count(&fields, "restricted");
    if restricted > 0 {
        let _ = writeln!(text, "{restricted} entries of this page are of restricted people");
    }
    let _ = write!(text, "entries: {}", count(&fields, "total"));
    if let Some(next) = fields.get("next").and_then(Value::as_str) {
        let _ = write!(text, "\nmore: --after {next}");
    }
    Ok(Outcome {
        text,
        fields,
        ..Outcome::default()
    })
}

fn export(config: &Config, account: &str) -> Result<Outcome, Refusal> {
    let (mut rows, mut after, mut restricted): (Vec<Value>, Option<String>, _) = (Vec::new(), None, 0);
    let (total, hashed) = loop {
        let page = page(
            config,
            DeedKind::OptOutExport,
            account,
            PAGE_MAX,
            after.as_deref(),
        )?;
        rows.extend(entries(&page).cloned());
        restricted += count(&page, "restricted");
        after = page.get("next").and_then(Value::as_str).map(str::to_owned);
        if after.is_none() {
            break (count(&page, "total"), count(&page, "hashed"));
        }
    };
    let columns = [
        "number", "scope", "name", "origins", "time", "via", "source", "ip",
    ];
    let mut text = columns.join(",");
    for row in &rows {
        let values = columns.map(|column| match &row[column] {
            Value::Array(words) => {
                let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
                field(&words.join(" "))
            }
            value => field(value.as_str().unwrap_or_default()),
        });
        text.push('\n');
        text.push_str(&values.join(","));
    }
    let fields = json!({ "entries": rows, "total": total, "hashed": hashed, "restricted": restricted });
    let mut outcome = Outcome::new(text, fields);
    if hashed > 0 {
        outcome.warnings.push(format!(
            "{hashed} entries, hashed: their numbers are not kept any more"
        ));
    }
    if restricted > 0 {
        outcome.warnings.push(format!(
            "{restricted} entries are of restricted people: they are left out"
        ));
    }
    Ok(outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_may_come_by_standard_input() {
        for text in ["+1 555 010 0123\n2\n", "+1 555 010 0123", " +1 555 010 0123 \r\n"] {
            assert_eq!(first_line(&mut text.as_bytes()).unwrap(), "+1 555 010 0123");
        }
        let endless = "7".repeat(10_000);
        assert_eq!(first_line(&mut endless.as_bytes()).unwrap().len(), VALUE_MAX);
    }

    #[test]
    fn what_a_spreadsheet_takes_for_a_formula_is_text_in_an_export() {
        for (text, written) in [
            ("https://example.com", "https://example.com"),
            ("=1+1", "'=1+1"),
            ("-2", "'-2"),
            ("@a,b", "\"'@a,b\""),
            ("a \"b\"", "\"a \"\"b\"\"\""),
        ] {
            assert_eq!(field(text), written);
        }
    }
}
