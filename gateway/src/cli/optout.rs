//! `tidegate optout`: who gets nothing any more, in the running gateway.

use std::fmt::Write as _;
use std::io::{self, BufRead, Read as _, Write};
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

pub(super) fn run(verb: &Verb, json: bool) -> Result<Outcome, Refusal> {
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
        Verb::Export { file, account } => {
            let config = read_config(&file.config)?;
            let next = |after: Option<&str>| page(&config, DeedKind::OptOutExport, account, PAGE_MAX, after);
            export(io::BufWriter::new(io::stdout().lock()), json, next)
        }
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

const COLUMNS: [&str; 8] = [
    "number", "scope", "name", "origins", "time", "via", "source", "ip",
];

/// A row of comma-separated values.
fn line(row: &Value) -> String {
    let values = COLUMNS.map(|column| match &row[column] {
        Value::Array(words) => {
            let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
            field(&words.join(" "))
        }
        value => field(value.as_str().unwrap_or_default()),
    });
    values.join(",")
}

/// Writes all entries, a page at a time: there may be millions, and none but a page's is held here. With `json` it is one object
/// all the same, whose `entries` come first and whose counts are known behind them.
///
/// # Errors
///
/// The first page is refused: nothing is written then; or, without `json`, a later one, and rows were written. With `json` the object
/// says that it was refused.
fn export(
    mut out: impl Write,
    json: bool,
    mut next: impl FnMut(Option<&str>) -> Result<Map<String, Value>, Refusal>,
) -> Result<Outcome, Refusal> {
    let mut page = next(None)?;
    match json {
        true => write!(out, "{{\"entries\":[")?,
        false => writeln!(out, "{}", COLUMNS.join(","))?,
    }
    let (mut restricted, mut separator) = (0, "");
    let (total, hashed) = loop {
        for row in entries(&page) {
            match json {
                true => write!(out, "{separator}{row}")?,
                false => writeln!(out, "{}", line(row))?,
            }
            separator = ",";
        }
        // What came is seen before more is asked for.
        out.flush()?;
        restricted += count(&page, "restricted");
        let Some(after) = page.get("next").and_then(Value::as_str) else {
            break (count(&page, "total"), count(&page, "hashed"));
        };
        page = match next(Some(after)) {
            Ok(page) => page,
            Err(refusal) if json => {
                let mut rest = refusal.fields;
                rest.insert("refused".to_owned(), json!(true));
                rest.insert("reason".to_owned(), json!(refusal.reason));
                end(out, rest)?;
                return Ok(Outcome {
                    failed: true,
                    is_written: true,
                    ..Outcome::default()
                });
            }
            Err(refusal) => {
                return Err(Refusal {
                    reason: format!("{}; what was printed is not all", refusal.reason),
                    ..refusal
                });
            }
        };
    };
    let mut warnings = Vec::new();
    if hashed > 0 {
        warnings.push(format!(
            "{hashed} entries, hashed: their numbers are not kept any more"
        ));
    }
    if restricted > 0 {
        warnings.push(format!(
            "{restricted} entries are of restricted people: they are left out"
        ));
    }
    if json {
        let mut rest = super::object(json!({ "hashed": hashed, "restricted": restricted, "total": total }));
        if !warnings.is_empty() {
            rest.insert("warnings".to_owned(), json!(warnings));
        }
        end(out, rest)?;
    }
    Ok(Outcome {
        warnings,
        is_written: true,
        ..Outcome::default()
    })
}

/// Closes the list, and the object with these behind it.
fn end(mut out: impl Write, rest: Map<String, Value>) -> io::Result<()> {
    let rest = Value::Object(rest).to_string();
    // Its own opening brace is where the entries began.
    writeln!(out, "],{}", rest.strip_prefix('{').unwrap_or(&rest))?;
    out.flush()
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

    /// Three pages of a row each; the last is refused where that is wanted.
    fn pages(
        is_refused: bool,
        mut seen: impl FnMut(Option<&str>),
    ) -> impl FnMut(Option<&str>) -> Result<Map<String, Value>, Refusal> {
        move |after| {
            seen(after);
            let number = after.map_or(0, |after| after.parse::<u64>().unwrap());
            if is_refused && number == 2 {
                return Err(Refusal::new("the gateway ends", json!({})));
            }
            let row = json!({ "number": format!("+{number}"), "scope": "account", "origins": ["account", "import"] });
            let next = (number < 2).then(|| (number + 1).to_string());
            Ok(super::super::object(json!({
                "entries": [row], "total": 9, "hashed": 4, "restricted": u64::from(number == 1), "next": next,
            })))
        }
    }

    /// What was written, for who looks between two pages.
    #[derive(Clone, Default)]
    struct Out(std::rc::Rc<std::cell::RefCell<Vec<u8>>>);

    impl Out {
        fn text(&self) -> String {
            String::from_utf8(self.0.borrow().clone()).unwrap()
        }
    }

    impl Write for Out {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().extend_from_slice(octets);
            Ok(octets.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_export_holds_a_page_and_writes_each_before_it_asks_for_the_next() {
        for json in [false, true] {
            let out = Out::default();
            let looked = out.clone();
            let mut asked = 0;
            let seen = |after: Option<&str>| {
                let written = looked.text();
                let last = after.map(|after| format!("+{}", after.parse::<u64>().unwrap() - 1));
                assert!(
                    last.is_none_or(|last| written.contains(&last)),
                    "{after:?}: {written}"
                );
                asked += 1;
            };
            let outcome = export(io::BufWriter::new(out.clone()), json, pages(false, seen)).unwrap();
            assert!(asked == 3 && outcome.is_written && !outcome.failed);
            let warned = [
                "4 entries, hashed: their numbers are not kept any more",
                "1 entries are of restricted people: they are left out",
            ];
            if json {
                let row = |n: u8| json!({ "number": format!("+{n}"), "scope": "account", "origins": ["account", "import"] });
                let whole = json!({
                    "entries": [row(0), row(1), row(2)], "total": 9, "hashed": 4, "restricted": 1, "warnings": warned,
                });
                // To the octet as an object that was held.
                assert_eq!(out.text(), format!("{whole}\n"));
            } else {
                let rows = "number,scope,name,origins,time,via,source,ip\n'+0,account,,account import,,,,\n'+1,account,,account import,,,,\n'+2,account,,account import,,,,\n";
                assert_eq!(out.text(), rows);
                assert_eq!(outcome.warnings, warned);
            }
        }
    }

    #[test]
    fn an_export_that_is_refused_halfway_does_not_pass_for_whole() {
        let out = Out::default();
        let refusal = export(out.clone(), false, pages(true, |_| {})).unwrap_err();
        assert!(refusal.reason.contains("not all"), "{}", refusal.reason);
        assert_eq!(out.text().lines().count(), 3);
        let out = Out::default();
        let outcome = export(out.clone(), true, pages(true, |_| {})).unwrap();
        assert!(outcome.failed && outcome.is_written);
        let told: Value = serde_json::from_str(&out.text()).unwrap();
        assert_eq!(
            (
                &told["refused"],
                &told["reason"],
                told["entries"].as_array().unwrap().len()
            ),
            (&json!(true), &json!("the gateway ends"), 2)
        );
        // Nothing is written of what is refused at once.
        let out = Out::default();
        let refused = export(out.clone(), true, |_| Err(Refusal::new("no", json!({}))));
        assert!(refused.is_err() && out.text().is_empty());
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
