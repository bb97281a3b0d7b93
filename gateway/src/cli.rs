//! The command line: `tidegate VERB`.
//!
//! A verb returns an [`Outcome`] or a [`Refusal`]; [`main`] is the one place that prints them and picks
//! the exit status: 0 done, 1 refused with a reason, 2 wrong usage, 3 done with warnings (`doctor` only). With `--json` exactly one JSON object
//! goes to standard output, either way; without it results go there as text, warnings and refusals to
//! standard error.

mod access;
mod account;
mod audit;
mod ban;
mod bind;
mod carrier;
mod carrier_args;
mod case;
mod check;
mod completions;
mod consent;
mod contact;
mod demo;
mod disclosure;
mod doctor;
mod erase;
mod export;
mod hash_password;
mod held;
mod hold;
mod hours;
mod init;
mod key;
mod load;
mod log;
mod man;
mod message;
mod message_show;
mod notice;
mod optout;
mod people;
mod people_rows;
mod queue;
mod reload;
mod restrict;
mod retention;
mod route;
mod send;
mod serve;
mod simulate_smsc;
mod sinks;
mod spool;
mod stats;
mod steered;
mod store;
mod subject;
mod sweep;
mod token;
mod top;
mod top_screen;
mod trace;
mod values;

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use serde_json::{Map, Value, json};
use tidegate_config::Config;

use crate::documents;

/// What `--version` says: a build for tests says that it is one.
const VERSION: &str = if cfg!(feature = "test-clock") {
    concat!(env!("CARGO_PKG_VERSION"), " TEST BUILD (test-clock)")
} else {
    env!("CARGO_PKG_VERSION")
};

/// A durable SMPP gateway.
#[derive(Debug, Parser)]
#[command(name = "tidegate", version = VERSION)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
    /// Print one JSON object instead of text.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make key-encryption key, key ring and data directory, once.
    Init(init::Args),
    /// Name everything that is wrong with a configuration.
    Check(check::Args),
    /// Look whether machine, configuration and data are fit for a gateway, check by check; changes nothing, and may be run beside one.
    Doctor(doctor::Args),
    /// Run the gateway until SIGTERM or SIGINT; SIGHUP has it read its configuration again.
    Serve(serve::Args),
    /// Have the running gateway read its configuration again, and say what changes or why it is refused.
    Reload(reload::Args),
    /// Run a gateway, a simulated carrier and simulated clients on loopback, and count every message.
    Demo(demo::Args),
    /// Play a carrier's SMSC to develop and test against, and count every message.
    SimulateSmsc(Box<simulate_smsc::Args>),
    /// Load a gateway with simulated clients, and follow every message to its receipt.
    Load(Box<load::Args>),
    /// Show the running gateway's traffic, carriers, accounts and alarms, and go on until q is pressed.
    Top(top::Args),
    /// Look at the messages under way, and at the files that hold them.
    #[command(subcommand)]
    Spool(spool::Verb),
    /// Show, move or end messages that wait, in the running gateway.
    #[command(subcommand)]
    Queue(queue::Verb),
    /// Send one test message through the running gateway, as one of its accounts, and follow it.
    Send(Box<send::Args>),
    /// Say which way messages go, and why; check that against a table.
    #[command(subcommand)]
    Route(route::Verb),
    /// Say whether marketing may be sent to a number, by the hours of its country and state, and when next.
    Hours(Box<hours::Args>),
    /// Show how long what is stored is kept, explain it of a record, and remove what is due.
    #[command(subcommand)]
    Retention(Box<retention::Verb>),
    /// Make files of what an account may still read, sealed and with an end date, and read them.
    #[command(subcommand)]
    Export(Box<export::Verb>),
    /// Show where data of people may leave the gateway, and which: from the configuration.
    Sinks(ConfigFile),
    /// Take, show and release legal holds, and read what they have sealed.
    #[command(subcommand)]
    Hold(Box<hold::Verb>),
    /// Look at messages that rules about abuse hold, and release or reject them.
    #[command(subcommand)]
    Held(held::Verb),
    /// Look at what suspended accounts by itself, and decide whether that was right.
    #[command(subcommand)]
    Case(case::Verb),
    /// Enter what authorities ask for, decide on it, have it produced, and tell the account.
    #[command(subcommand)]
    Disclosure(Box<disclosure::Verb>),
    /// Show who may open records of people; let a token at an account's for a while.
    #[command(subcommand)]
    Access(Box<access::Verb>),
    /// Show what accounts are to be told, and say that they were.
    #[command(subcommand)]
    Notice(notice::Verb),
    /// Have a person's records erased, and show how that stands.
    #[command(subcommand)]
    Erase(erase::Verb),
    /// Take in, verify, extend, carry out and show requests of people about what is kept of them.
    #[command(subcommand)]
    Subject(Box<subject::Verb>),
    /// Restrict a person: nothing of them is processed but kept, until that is lifted.
    #[command(subcommand)]
    Restrict(restrict::Verb),
    /// Make what stands beside the files of finished messages anew from them.
    #[command(subcommand)]
    Store(store::Verb),
    /// Show how many messages there were of those that were de-identified.
    Stats(stats::Args),
    /// Enter, lift, look up, import and export opt-outs, in the running gateway.
    #[command(subcommand)]
    Optout(Box<optout::Verb>),
    /// Import contacts with what they consented to; nothing is sent to them.
    #[command(subcommand)]
    Contact(Box<contact::Verb>),
    /// Show and record what people consented to.
    #[command(subcommand)]
    Consent(Box<consent::Verb>),
    /// Show how carriers stand; pause, drain and resume them, and change their rates, in the running gateway.
    #[command(subcommand)]
    Carrier(carrier::Verb),
    /// Show how accounts stand and what they have used; suspend and restore them, and change their rates.
    #[command(subcommand)]
    Account(account::Verb),
    /// Show who is bound to the running gateway, and close binds.
    #[command(subcommand)]
    Bind(bind::Verb),
    /// Show where one message stands that is not finished.
    #[command(subcommand)]
    Message(message_show::Verb),
    /// Tell what is known of one unfinished message, in order; write down the PDUs of an account or carrier for a while.
    Trace(trace::Args),
    /// Show and change what the running gateway logs.
    #[command(subcommand)]
    Log(log::Verb),
    /// Read and verify the log of who did what, and sign it.
    #[command(subcommand)]
    Audit(audit::Verb),
    /// Show the key-encryption key, and have another one take over.
    #[command(subcommand)]
    Key(key::Verb),
    /// Show, set and end bans of addresses, in the running gateway.
    #[command(subcommand)]
    Ban(ban::Verb),
    /// Tokens of the admin listener: make, show, revoke.
    #[command(subcommand)]
    Token(token::Verb),
    /// Turn a password into a line for `password_hashes`.
    HashPassword(hash_password::Args),
    /// Write the man pages of all verbs into a directory.
    Man(man::Args),
    /// Print what a shell needs to complete this command line.
    Completions(completions::Args),
}

/// The configuration that a verb works with.
#[derive(Debug, clap::Args)]
pub struct ConfigFile {
    /// The configuration's file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// What a verb has done.
#[derive(Debug, Default)]
pub struct Outcome {
    /// For people; printed as it is, with a line end.
    pub text: String,
    /// For programs.
    pub fields: Map<String, Value>,
    /// What is not as it should be, although the verb was done.
    pub warnings: Vec<String>,
    /// Set when the verb was done and found something that must not pass for success; why stands in
    /// `fields` as `reason` or `problem`.
    pub failed: bool,
    /// What the exit status says where it did not fail.
    pub found: Found,
    /// The verb has written its result itself, for people or for programs, as it would be too long to be held.
    pub is_written: bool,
}

/// What a verb that was done has found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Found {
    /// Nothing wrong: exit status 0.
    #[default]
    Nothing,
    /// What is to be seen to: [`WARNINGS`].
    Warnings,
    /// Nothing that could be proven: [`UNPROVEN`].
    Unproven,
}

/// Exit status of a verb whose findings are warnings, and none of them an error.
pub const WARNINGS: u8 = 3;
/// Exit status of a verb that found nothing wrong where nothing was left that could be.
pub const UNPROVEN: u8 = 4;

/// Why a verb was not done. Nothing in it may be a password, a body or a number.
#[derive(Debug)]
pub struct Refusal {
    /// For people, and for programs as `reason`.
    pub reason: String,
    /// What programs get besides.
    pub fields: Map<String, Value>,
}

impl Outcome {
    fn new(text: impl Into<String>, fields: Value) -> Self {
        Self {
            text: text.into(),
            fields: object(fields),
            warnings: Vec::new(),
            failed: false,
            found: Found::Nothing,
            is_written: false,
        }
    }
}

impl Refusal {
    fn new(reason: impl Into<String>, fields: Value) -> Self {
        Self {
            reason: reason.into(),
            fields: object(fields),
        }
    }
}

impl<E: std::error::Error> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self {
            reason: error.to_string(),
            fields: Map::new(),
        }
    }
}

fn object(fields: Value) -> Map<String, Value> {
    match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

/// Does what the command line says.
pub fn main() -> ExitCode {
    // Wrong usage, `--help` and `--version` end here, in clap's own words, with 2 or 0.
    let Cli { verb, json } = Cli::parse();
    let result = match verb {
        Verb::Init(args) => init::run(&args),
        Verb::Check(args) => check::run(&args),
        Verb::Doctor(args) => doctor::run(&args),
        Verb::Serve(args) => serve::run(&args, json),
        Verb::Reload(args) => reload::run(&args),
        Verb::Demo(args) => demo::run(&args),
        Verb::SimulateSmsc(args) => simulate_smsc::run(&args, json),
        Verb::Load(args) => load::run(*args, json),
        Verb::Top(args) => top::run(&args, json),
        Verb::Spool(verb) => spool::run(&verb),
        Verb::Queue(verb) => queue::run(&verb),
        Verb::Send(args) => send::run(&args),
        Verb::Route(verb) => route::run(&verb),
        Verb::Hours(args) => hours::run(&args),
        Verb::Retention(verb) => retention::run(&verb),
        Verb::Export(verb) => export::run(&verb),
        Verb::Sinks(args) => sinks::run(&args),
        Verb::Hold(verb) => hold::run(&verb),
        Verb::Access(verb) => access::run(&verb),
        Verb::Disclosure(verb) => disclosure::run(&verb),
        Verb::Erase(verb) => erase::run(&verb),
        Verb::Case(verb) => case::run(&verb),
        Verb::Held(verb) => held::run(&verb),
        Verb::Subject(verb) => subject::run(&verb),
        Verb::Notice(verb) => notice::run(&verb),
        Verb::Restrict(verb) => restrict::run(&verb),
        Verb::Store(verb) => store::run(&verb),
        Verb::Stats(args) => stats::run(&args),
        Verb::Optout(verb) => optout::run(&verb, json),
        Verb::Contact(verb) => contact::run(&verb),
        Verb::Consent(verb) => consent::run(&verb),
        Verb::Carrier(verb) => carrier::run(&verb),
        Verb::Account(verb) => account::run(&verb),
        Verb::Bind(verb) => bind::run(&verb),
        Verb::Message(verb) => message_show::run(&verb),
        Verb::Trace(args) => trace::run(args),
        Verb::Log(verb) => log::run(&verb),
        Verb::Audit(verb) => audit::run(&verb),
        Verb::Key(verb) => key::run(&verb),
        Verb::Ban(verb) => ban::run(&verb),
        Verb::Token(verb) => token::run(&verb),
        Verb::HashPassword(args) => hash_password::run(&args),
        Verb::Man(args) => man::run(&args),
        Verb::Completions(args) => completions::run(&args),
    };
    match print(result, json) {
        Ok(status) => status,
        // Nobody reads what we say, so nobody knows whether it was done.
        Err(error) => {
            let _ = writeln!(io::stderr(), "the result cannot be written: {error}");
            ExitCode::FAILURE
        }
    }
}

fn print(result: Result<Outcome, Refusal>, json: bool) -> io::Result<ExitCode> {
    let (mut out, mut err) = (io::stdout().lock(), io::stderr().lock());
    let status = match result {
        Ok(outcome) => {
            let status = match (outcome.failed, outcome.found) {
                (true, _) => ExitCode::FAILURE,
                (false, Found::Nothing) => ExitCode::SUCCESS,
                (false, Found::Warnings) => ExitCode::from(WARNINGS),
                (false, Found::Unproven) => ExitCode::from(UNPROVEN),
            };
            if json && outcome.is_written {
                // One object is printed, and it was.
            } else if json {
                let mut fields = outcome.fields;
                if !outcome.warnings.is_empty() {
                    fields.insert("warnings".to_owned(), json!(outcome.warnings));
                }
                writeln!(out, "{}", Value::Object(fields))?;
            } else {
                for warning in outcome.warnings {
                    writeln!(err, "warning: {warning}")?;
                }
                if !outcome.text.is_empty() {
                    writeln!(out, "{}", outcome.text)?;
                }
            }
            status
        }
        Err(refusal) => {
            if json {
                let mut fields = refusal.fields;
                fields.insert("refused".to_owned(), json!(true));
                fields.insert("reason".to_owned(), json!(refusal.reason));
                writeln!(out, "{}", Value::Object(fields))?;
            } else {
                writeln!(err, "refused: {}", refusal.reason)?;
            }
            ExitCode::FAILURE
        }
    };
    out.flush()?;
    Ok(status)
}

/// Reads and checks a configuration. The refusal lists every problem.
fn read_config(path: &Path) -> Result<Config, Refusal> {
    let shown = path.display();
    let text = fs::read_to_string(path).map_err(|error| {
        let why = format!("cannot read {shown}: {error}; name the configuration with --config, and run this as who may read it");
        Refusal::new(why, json!({}))
    })?;
    documents::parse(&text).map_err(|problems| {
        let list: Vec<Value> = problems
            .as_slice()
            .iter()
            .map(|problem| {
                json!({
                    "file": problem.file.as_ref().map(|file| file.display().to_string()),
                    "key": problem.key,
                    "line": problem.line,
                    "what": problem.what,
                    "remedy": problem.remedy,
                })
            })
            .collect();
        let count = list.len();
        let plural = if count == 1 { "problem" } else { "problems" };
        Refusal::new(
            format!("{shown} has {count} {plural}:\n{problems}"),
            json!({ "problems": list }),
        )
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::CommandFactory as _;

    use super::*;

    /// What clap would say only of the verb that somebody uses.
    #[test]
    fn every_verb_is_well_formed() {
        Cli::command().debug_assert();
    }

    /// clap makes a line end of `{n}` in a help text, wherever it comes from.
    #[test]
    fn no_help_text_has_a_place_that_clap_fills() {
        let cli = Cli::command();
        for verb in cli.get_subcommands() {
            for arg in verb.get_arguments() {
                for help in [arg.get_help(), arg.get_long_help()].into_iter().flatten() {
                    let help = help.to_string();
                    assert!(
                        !help.contains("{n}") && !help.contains('\n'),
                        "{}: {help}",
                        arg.get_id()
                    );
                }
            }
        }
    }

    /// Every verb with its long options: `route explain` and `--at`.
    fn verbs() -> Vec<(String, Vec<String>)> {
        fn walk(command: &clap::Command, name: &str, out: &mut Vec<(String, Vec<String>)>) {
            // `trace` is a verb and has others below it.
            let is_verb = command.get_positionals().next().is_some();
            if is_verb || !command.has_subcommands() {
                let options = command.get_arguments().filter_map(clap::Arg::get_long);
                out.push((name.to_owned(), options.map(|long| format!("--{long}")).collect()));
            }
            for below in command.get_subcommands() {
                walk(below, format!("{name} {}", below.get_name()).trim(), out);
            }
        }
        let mut out = Vec::new();
        walk(&Cli::command(), "", &mut out);
        out.sort();
        out
    }

    /// Keys of the answers are held by the tests of the verbs themselves.
    #[test]
    fn the_list_of_verbs_has_every_verb_with_its_options_and_no_other() {
        let text = include_str!("../../docs/cli.md");
        let mut listed: Vec<(&str, &str)> = text
            .split("\n### `tidegate ")
            .skip(1)
            .filter_map(|section| section.split_once('`'))
            .collect();
        listed.sort_unstable();
        let verbs = verbs();
        let names: Vec<&str> = verbs.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(listed.iter().map(|(name, _)| *name).collect::<Vec<_>>(), names);
        for ((verb, section), (_, options)) in listed.iter().zip(&verbs) {
            assert!(section.contains("\nKeys"), "{verb} without its keys");
            let elsewhere = ["--json", "--help", "--clock"];
            let is_own = |option: &&str| option.starts_with("--") && !elsewhere.contains(option);
            let told: BTreeSet<&str> = section.split('`').filter(is_own).collect();
            let there: BTreeSet<&str> = options.iter().map(String::as_str).filter(is_own).collect();
            assert_eq!(told, there, "{verb}");
        }
    }
}
