//! `tidegate trace`: what is known of one unfinished message, in order; and PDU traces of an account or carrier.

use std::fmt::Write as _;
use std::time::Duration;

use clap::Subcommand;
use serde_json::{Map, Value};
use tidegate_config::parse_size;

use super::steered::{number, or, word};
use super::values::duration;
use super::{ConfigFile, Outcome, Refusal, read_config};
use crate::control::{self, Party, Trace};
use crate::trace::{FOR_MAX, LIMIT_MAX, LIMIT_MIN};

/// A message's id, or one of the verbs below.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    message: Message,
}

#[derive(Debug, clap::Args)]
struct Message {
    /// The id that its client was given.
    #[arg(required = true)]
    id: Option<String>,
    /// The configuration's file.
    #[arg(long, value_name = "FILE", required = true)]
    config: Option<std::path::PathBuf>,
    /// Whose it is; needed for ids of 8 digits.
    #[arg(long)]
    account: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Have the PDUs on the links of an account or carrier written to a file for a while: kinds and lengths, no text and no digits.
    Pdus {
        #[command(flatten)]
        file: ConfigFile,
        #[command(flatten)]
        of: Of,
        /// For how long, 15m at most.
        #[arg(long = "for", value_name = "DURATION", value_parser = length)]
        length: Duration,
        /// How large the file may be, 4KiB to 64MiB; 16MiB if it is not said.
        #[arg(long, value_name = "SIZE", value_parser = size)]
        limit: Option<u64>,
    },
    /// Show which PDU traces run, and which files there are.
    List {
        #[command(flatten)]
        file: ConfigFile,
    },
    /// End a PDU trace before its time.
    Stop {
        #[command(flatten)]
        file: ConfigFile,
        /// Its number, from the list.
        number: u64,
    },
}

#[derive(Debug, clap::Args)]
#[group(id = "whose", required = true, multiple = false)]
struct Of {
    /// An account, by its system_id.
    #[arg(long)]
    account: Option<String>,
    /// A carrier, by its name.
    #[arg(long)]
    carrier: Option<String>,
}

/// Whole seconds, as the gateway counts them.
fn length(text: &str) -> Result<Duration, String> {
    let length = duration(text)?;
    if (Duration::from_secs(1)..=FOR_MAX).contains(&length) {
        Ok(length)
    } else {
        Err("at least 1s, at most 15m".to_owned())
    }
}

fn size(text: &str) -> Result<u64, String> {
    parse_size(text)
        .filter(|octets| (LIMIT_MIN..=LIMIT_MAX).contains(octets))
        .ok_or_else(|| "a size in B, KiB or MiB, from 4KiB to 64MiB".to_owned())
}

pub(super) fn run(args: Args) -> Result<Outcome, Refusal> {
    let Args { verb, message } = args;
    match verb {
        None => {
            let trace = Trace::Message {
                id: message.id.unwrap_or_default(),
                account: message.account,
            };
            // clap has asked for it.
            let config = message.config.unwrap_or_default();
            outcome(&ConfigFile { config }, trace, story)
        }
        Some(Verb::Pdus {
            file,
            of,
            length,
            limit,
        }) => {
            let of = match (of.account, of.carrier) {
                (Some(account), _) => Party::Account(account),
                (None, carrier) => Party::Carrier(carrier.unwrap_or_default()),
            };
            outcome(&file, Trace::Pdus { of, length, limit }, begun)
        }
        Some(Verb::List { file }) => outcome(&file, Trace::List, listed),
        Some(Verb::Stop { file, number }) => outcome(&file, Trace::Stop { number }, stopped),
    }
}

fn outcome(
    file: &ConfigFile,
    trace: Trace,
    told: fn(&Map<String, Value>) -> String,
) -> Result<Outcome, Refusal> {
    let storage = read_config(&file.config)?.storage;
    let fields = control::ask(&storage.data, &control::Verb::Trace(trace))?;
    Ok(Outcome {
        text: told(&fields),
        fields,
        ..Outcome::default()
    })
}

fn rows<'f>(fields: &'f Map<String, Value>, key: &str) -> impl Iterator<Item = &'f Map<String, Value>> {
    let rows = fields.get(key).and_then(Value::as_array);
    rows.into_iter().flatten().filter_map(Value::as_object)
}

/// Of whom a row is: `recipient 0, part 2`.
fn whose_leg(row: &Map<String, Value>) -> String {
    match (number(row, "recipient"), number(row, "part")) {
        (none, _) if none == "-" => "message".to_owned(),
        (recipient, none) if none == "-" => format!("recipient {recipient}"),
        (recipient, part) => format!("recipient {recipient}, part {part}"),
    }
}

fn story(fields: &Map<String, Value>) -> String {
    let mut text = format!(
        "{}  accepted from {}",
        word(fields, "accepted"),
        word(fields, "account")
    );
    for step in rows(fields, "steps") {
        // A String takes everything.
        let _ = write!(
            text,
            "\n{}  {}: {}",
            word(step, "time"),
            whose_leg(step),
            word(step, "what")
        );
        for (before, key) in [(" by ", "carrier"), (", ", "state")] {
            if !word(step, key).is_empty() {
                let _ = write!(text, "{before}{}", word(step, key));
            }
        }
        if number(step, "attempts") != "-" {
            let _ = write!(text, ", tries {}", number(step, "attempts"));
        }
        if !word(step, "date").is_empty() {
            let _ = write!(text, ", date {}", word(step, "date"));
        }
    }
    for way in rows(fields, "now") {
        let carriers = rows(way, "carriers");
        let carriers: Vec<String> = carriers
            .map(|row| format!("{} ({})", word(row, "carrier"), word(row, "state")))
            .collect();
        let _ = write!(
            text,
            "\nnow  {}: {}; carrier {}, route {}: {}; tries {}, next {}",
            whose_leg(way),
            word(way, "state"),
            or(word(way, "carrier"), "none"),
            or(word(way, "route"), "none"),
            or(&carriers.join(" "), "no carrier"),
            number(way, "attempts"),
            or(word(way, "next"), "-"),
        );
    }
    if fields.get("has_more") == Some(&Value::Bool(true)) {
        text.push_str("\nthere is more: not all of it was read");
    }
    if !matches!(number(fields, "damaged").as_str(), "0" | "-") {
        text.push_str("\nfiles of the spool are damaged, and steps may be missing: tidegate spool verify");
    }
    text
}

fn begun(fields: &Map<String, Value>) -> String {
    format!(
        "trace {} runs until {}, in traces/{} of the data directory",
        number(fields, "number"),
        word(fields, "until"),
        word(fields, "file")
    )
}

fn stopped(fields: &Map<String, Value>) -> String {
    format!(
        "trace {} has ended: {} PDUs in traces/{}, {} left out",
        number(fields, "stopped"),
        number(fields, "pdus"),
        word(fields, "file"),
        number(fields, "dropped")
    )
}

fn listed(fields: &Map<String, Value>) -> String {
    let mut lines = Vec::new();
    for row in rows(fields, "traces") {
        let whose = match word(row, "account") {
            "" => format!("carrier {}", word(row, "carrier")),
            account => format!("account {account}"),
        };
        lines.push(format!(
            "trace {}: {whose}, until {}, {} PDUs in {}, {} left out",
            number(row, "number"),
            word(row, "until"),
            number(row, "pdus"),
            word(row, "file"),
            number(row, "dropped"),
        ));
    }
    for row in rows(fields, "files") {
        lines.push(format!(
            "{}: ended {}, {} octets, goes {}",
            word(row, "file"),
            word(row, "ended"),
            number(row, "octets"),
            word(row, "goes"),
        ));
    }
    if lines.is_empty() {
        return "no traces".to_owned();
    }
    lines.join("\n")
}
