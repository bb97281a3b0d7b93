//! `tidegate route`: which way messages go, and why.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::{Map, Value, json};
use tidegate_config::Config;
use tidegate_config::expectations::{self, Expectation};

use super::message::Message;
use super::values::time;
use super::{ConfigFile, Outcome, Refusal, read_config};
use crate::clock::{Clock, Now};
use crate::control::{self, AskError};
use crate::explain::{MoQuestion, Question, explain, explain_mo, shown, shown_mo};
use crate::tables::Tables;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Say which way a message would go: every route that is tried, the carriers in order, and what admission would say.
    ///
    /// Asks the gateway that runs on the configuration's data directory; without one, or with --file-only, the
    /// configuration alone, with every carrier up.
    Explain(Box<Explain>),
    /// Say whose a message from a handset would be, by the configuration: every route and every instruction that is tried, and the bind it is for.
    ExplainMo(Box<ExplainMo>),
    /// Check a table of expectations against a configuration; nothing runs, every carrier counts as up.
    Test {
        /// The table: TOML, one `[[expect]]` for each message.
        table: PathBuf,
        #[command(flatten)]
        file: ConfigFile,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct Explain {
    #[command(flatten)]
    file: ConfigFile,
    #[command(flatten)]
    message: Message,
    /// When, such as 2026-12-24T18:00:00Z; by default now.
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<u64>,
    /// Do not ask the running gateway.
    #[arg(long)]
    file_only: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct ExplainMo {
    #[command(flatten)]
    file: ConfigFile,
    /// The called number.
    #[arg(long, value_name = "NUMBER")]
    number: String,
    /// The handset's number.
    #[arg(long, value_name = "NUMBER")]
    from: String,
    /// The carrier that delivers it; without it, none that a route asks for.
    #[arg(long, value_name = "NAME")]
    carrier: Option<String>,
    /// Its text, or the first part of it.
    #[arg(long, default_value = "", allow_hyphen_values = true)]
    text: String,
    /// When, such as 2026-12-24T18:00:00Z; by default now.
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<u64>,
}

pub(super) fn run(verb: &Verb) -> Result<Outcome, Refusal> {
    match verb {
        Verb::Explain(args) => run_explain(args),
        Verb::ExplainMo(args) => run_explain_mo(args),
        Verb::Test { table, file } => test(table, file),
    }
}

fn run_explain(args: &Explain) -> Result<Outcome, Refusal> {
    let config = read_config(&args.file.config)?;
    let question = args.message.question(args.at);
    let live = if args.file_only {
        None
    } else {
        let verb = control::Verb::Explain(Box::new(question.clone()));
        match control::ask(&config.storage.data, &verb) {
            Err(AskError::NotRunning { .. }) => None,
            answered => Some(answered?),
        }
    };
    let told = match live {
        Some(told) => told,
        None => ask(
            &config,
            &Tables::load(&config)?,
            &question,
            Clock::machine().now(),
        )?,
    };
    Ok(Outcome {
        text: shown(&told),
        fields: told,
        ..Outcome::default()
    })
}

fn run_explain_mo(args: &ExplainMo) -> Result<Outcome, Refusal> {
    let config = read_config(&args.file.config)?;
    let question = MoQuestion {
        number: args.number.clone(),
        from: args.from.clone(),
        carrier: args.carrier.clone(),
        text: args.text.clone(),
        at_ms: args.at,
    };
    let told = explain_mo(&config, &question, Clock::machine().now())
        .map_err(|reason| Refusal::new(reason, json!({})))?;
    Ok(Outcome {
        text: shown_mo(&told),
        fields: told,
        ..Outcome::default()
    })
}

fn ask(
    config: &Config,
    tables: &Tables,
    question: &Question,
    now: Now,
) -> Result<Map<String, Value>, Refusal> {
    explain(config, tables, None, question, now).map_err(|reason| Refusal::new(reason, json!({})))
}

/// Asks every question of a table; each answer that is another one is a failure, told with what was found.
fn test(table: &Path, file: &ConfigFile) -> Result<Outcome, Refusal> {
    let config = read_config(&file.config)?;
    let shown_table = table.display();
    let text = fs::read_to_string(table)
        .map_err(|error| Refusal::new(format!("cannot read {shown_table}: {error}"), json!({})))?;
    let expectations = expectations::parse(&text)
        .map_err(|problems| Refusal::new(format!("{shown_table}:\n{problems}"), json!({})))?;
    let (now, tables) = (Clock::machine().now(), Tables::load(&config)?);
    let (mut out, mut failures) = (String::new(), Vec::new());
    for expected in &expectations {
        for (what, wanted, found) in differences(&config, &tables, expected, now)? {
            let (line, name) = (expected.line, &expected.name);
            // A String takes everything.
            let _ = writeln!(out, "line {line}, {name}: {what} is {found}, expected {wanted}");
            failures.push(json!({
                "line": line, "name": name, "what": what, "expected": wanted, "found": found,
            }));
        }
    }
    let passed = expectations.len() - expectations.iter().filter(|one| is_in(&failures, one)).count();
    let _ = write!(out, "{passed} of {} expectations hold", expectations.len());
    let mut fields = Map::new();
    fields.insert("expectations".to_owned(), json!(expectations.len()));
    fields.insert("held".to_owned(), json!(passed));
    let failed = !failures.is_empty();
    fields.insert("failures".to_owned(), Value::Array(failures));
    Ok(Outcome {
        text: out,
        fields,
        failed,
        ..Outcome::default()
    })
}

fn is_in(failures: &[Value], expected: &Expectation) -> bool {
    failures.iter().any(|failure| failure["line"] == expected.line)
}

/// What is asked for and found otherwise: what, as expected, as found.
fn differences(
    config: &Config,
    tables: &Tables,
    expected: &Expectation,
    now: Now,
) -> Result<Vec<(&'static str, String, String)>, Refusal> {
    let question = Question {
        account: expected.account.clone(),
        from: expected.from.clone(),
        from_as: None,
        to: expected.to.clone(),
        to_as: None,
        text: expected.text.clone(),
        data_coding: expected.data_coding,
        category: expected.category,
        service_type: expected.service_type.clone(),
        at_ms: expected.at_ms,
    };
    let told = ask(config, tables, &question, now)
        .map_err(|refusal| Refusal::new(format!("line {}: {}", expected.line, refusal.reason), json!({})))?;
    let names = |list: &Value, key: &str| -> Vec<String> {
        let items = list.as_array().map(Vec::as_slice).unwrap_or_default();
        items
            .iter()
            .filter_map(|item| item[key].as_str().map(str::to_owned))
            .collect()
    };
    let takes = told["routes"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|route| route["why"] == "takes it");
    let route = takes
        .and_then(|route| route["route"].as_str())
        .unwrap_or("none")
        .to_owned();
    let status = told["admission"]["name"].as_str().unwrap_or("none").to_owned();
    let carriers = names(&told["carriers"], "carrier").join(", ");
    let price = told["carriers"][0]["price"].as_str().unwrap_or("none").to_owned();
    let parts = told["parts"].to_string();
    let found = [
        ("route", expected.route.clone(), route),
        (
            "carriers",
            expected.carriers.as_ref().map(|list| list.join(", ")),
            carriers,
        ),
        ("price", expected.price.map(|price| price.to_string()), price),
        ("parts", expected.parts.map(|parts| parts.to_string()), parts),
        // What is not said to be refused is to be admitted.
        (
            "refusal",
            Some(expected.refused.clone().unwrap_or_else(|| "none".to_owned())),
            status,
        ),
    ];
    let differs = |(what, wanted, found): (_, Option<String>, String)| {
        wanted
            .filter(|wanted| *wanted != found)
            .map(|wanted| (what, wanted, found))
    };
    Ok(found.into_iter().filter_map(differs).collect())
}
