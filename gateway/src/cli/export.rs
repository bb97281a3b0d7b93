//! `tidegate export`: what an account may still read, made a sealed file with an end date, and read out of it.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::{Map, Value, json};

use super::steered::{number, word};
use super::{ConfigFile, Outcome, Refusal, read_config};
use crate::control::{self, EXPORT_DAYS_MAX, Exporting};
use crate::exports::{Format, What};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Begin one: what an account may still read now, in a sealed file. It is made beside traffic; `list` says when it is ready.
    Create {
        #[command(flatten)]
        file: ConfigFile,
        /// Whose.
        #[arg(long)]
        account: String,
        /// messages; texts, which are messages with their texts; or statistics.
        #[arg(long, value_name = "WORD", default_value = "messages", value_parser = what)]
        what: What,
        /// csv or jsonl.
        #[arg(long, value_name = "WORD", default_value = "csv", value_parser = format)]
        format: Format,
        /// Of messages that ended then or later; by default ever.
        #[arg(long, value_name = "TIME", value_parser = super::values::time)]
        since: Option<u64>,
        /// And then or before.
        #[arg(long, value_name = "TIME", value_parser = super::values::time)]
        until: Option<u64>,
        /// How many days it may be read, 7 at most.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=EXPORT_DAYS_MAX))]
        days: Option<u64>,
        /// Why, such as the number of a ticket. It is entered in the audit log.
        #[arg(long)]
        reason: String,
    },
    /// Show which there are, how far they are, and until when they may be read.
    List(ConfigFile),
    /// Write the rows of one to a file of yours, in clear. That is entered in the audit log.
    Fetch {
        #[command(flatten)]
        file: ConfigFile,
        /// Its number, from the list.
        export: u64,
        /// The file, which must not be there yet; - for standard output.
        #[arg(long, value_name = "FILE")]
        output: PathBuf,
    },
    /// End one before its date: its key is destroyed, then its file.
    Delete {
        #[command(flatten)]
        file: ConfigFile,
        /// Its number, from the list.
        export: u64,
    },
}

fn what(word: &str) -> Result<What, String> {
    let found = What::ASKED.into_iter().find(|what| what.word() == word);
    found.ok_or_else(|| "one of messages, texts, statistics".to_owned())
}

fn format(word: &str) -> Result<Format, String> {
    let found = Format::ALL.into_iter().find(|format| format.word() == word);
    found.ok_or_else(|| "csv or jsonl".to_owned())
}

fn ask(data: &Path, exporting: Exporting) -> Result<Map<String, Value>, Refusal> {
    Ok(control::ask(data, &control::Verb::Export(exporting))?)
}

pub(super) fn run(verb: &Verb) -> Result<Outcome, Refusal> {
    let data = |file: &ConfigFile| Ok::<_, Refusal>(read_config(&file.config)?.storage.data);
    match verb {
        Verb::Create {
            file,
            account,
            what,
            format,
            since,
            until,
            days,
            reason,
        } => {
            let exporting = Exporting::Create {
                account: account.clone(),
                what: *what,
                format: *format,
                since_ms: *since,
                until_ms: *until,
                days: *days,
                reason: reason.clone(),
            };
            let fields = ask(&data(file)?, exporting)?;
            let text = format!(
                "export {} is being made; it may be read until {}",
                word(&fields, "export"),
                word(&fields, "ends")
            );
            Ok(Outcome {
                text,
                fields,
                ..Outcome::default()
            })
        }
        Verb::List(file) => {
            let fields = ask(&data(file)?, Exporting::List)?;
            Ok(Outcome {
                text: listed(&fields),
                fields,
                ..Outcome::default()
            })
        }
        Verb::Fetch { file, export, output } => fetch(&data(file)?, *export, output),
        Verb::Delete { file, export } => {
            let fields = ask(&data(file)?, Exporting::Delete { export: *export })?;
            Ok(Outcome {
                text: format!("export {export} is gone"),
                fields,
                ..Outcome::default()
            })
        }
    }
}

fn listed(fields: &Map<String, Value>) -> String {
    let exports = fields.get("exports").and_then(Value::as_array);
    let mut out = String::new();
    for export in exports.into_iter().flatten().filter_map(Value::as_object) {
        // A String takes everything.
        let _ = writeln!(
            out,
            "{} {:16} {:10} {:5} {:6} until {}  {} rows, {} octets{}",
            word(export, "export"),
            word(export, "account"),
            word(export, "what"),
            word(export, "format"),
            word(export, "state"),
            word(export, "ends"),
            number(export, "rows"),
            number(export, "octets"),
            match number(export, "unreadable").as_str() {
                "0" => String::new(),
                blocks => format!("; {blocks} blocks could not be read"),
            }
        );
    }
    if out.is_empty() {
        out.push_str("there are none");
    }
    out.truncate(out.trim_end().len());
    out
}

fn fetch(data: &Path, export: u64, output: &Path) -> Result<Outcome, Refusal> {
    if output == Path::new("-") {
        rest(data, export, &mut io::stdout().lock())?;
        return Ok(Outcome::default());
    }
    // Before anything is entered as read.
    let file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(output)
        .map_err(|error| Refusal::new(format!("cannot make {}: {error}", output.display()), Value::Null))?;
    let mut file = io::BufWriter::new(file);
    let written = rest(data, export, &mut file).and_then(|octets| {
        file.flush()?;
        file.get_ref().sync_all()?;
        Ok(octets)
    });
    let octets = match written {
        Ok(octets) => octets,
        Err(refusal) => {
            // Half of it must not pass for all of it.
            let _ = fs::remove_file(output);
            return Err(refusal);
        }
    };
    let mut outcome = Outcome::new(
        format!("export {export} is in {}: {octets} octets", output.display()),
        json!({ "export": export.to_string(), "file": output.display().to_string(), "octets": octets }),
    );
    outcome.warnings.push(
        "this file is in clear, and nothing here removes it: do so when it is not needed any more".to_owned(),
    );
    Ok(outcome)
}

/// Writes the rows of all frames; how many octets they have.
fn rest(data: &Path, export: u64, to: &mut impl Write) -> Result<u64, Refusal> {
    let (mut octets, mut frame) = (0, None);
    loop {
        let fields = ask(data, Exporting::Read { export, frame })?;
        let text = word(&fields, "text");
        to.write_all(text.as_bytes())?;
        octets += text.len() as u64;
        let next = |key: &str| fields.get("next")?.get(key)?.as_u64();
        frame = match (next("frame").map(u32::try_from), next("at")) {
            (Some(Ok(frame)), Some(at)) => Some((frame, at)),
            _ => return Ok(octets),
        };
    }
}
