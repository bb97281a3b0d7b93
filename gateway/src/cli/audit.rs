//! `tidegate audit`: who did what, and whether the log that says so is as it was written.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::{Value, json};
use tidegate_config::Config;
use tidegate_store::audit::{
    Bad, CHECKPOINTS_DIR, Kind, PublicKey, SignedCheckpoint, Tail, Verdict, public_key, read, verify,
};
use tidegate_store::disk::RealDisk;

use super::values::duration;
use super::{ConfigFile, Outcome, Refusal, read_config};
use crate::audit::{shown, told};
use crate::clock::Clock;
use crate::control::{self, AskError};
use crate::installation;

/// Entries that `list` shows at most, the newest.
const LIST_MAX: usize = 10_000;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Check the whole log from its files and name the first bad entry; changes nothing, and may be run beside a gateway.
    Verify {
        #[command(flatten)]
        file: ConfigFile,
        /// A checkpoint from where nobody who can edit this log could reach it; without one nobody can tell a cut end.
        #[arg(long, value_name = "FILE")]
        against: Option<PathBuf>,
        /// The log's public key, or a file that holds it, from such a place; default: what lies beside the log.
        #[arg(long, value_name = "FILE|KEY")]
        key: Option<String>,
    },
    /// Show entries, oldest first; a gateway that runs enters that they were read.
    List {
        #[command(flatten)]
        file: ConfigFile,
        /// Of this kind only, such as ban-set.
        #[arg(long, value_parser = kind)]
        kind: Option<Kind>,
        /// Entered within so long, such as 24h.
        #[arg(long, value_name = "DURATION", value_parser = duration)]
        since: Option<std::time::Duration>,
    },
    /// Print the public key that checkpoints are checked with; keep it away from this machine.
    Key(ConfigFile),
    /// Have the running gateway sign all entries now, and print the checkpoint.
    Checkpoint(ConfigFile),
}

fn kind(text: &str) -> Result<Kind, String> {
    let found = Kind::ALL.iter().find(|kind| kind.word() == text);
    found.copied().ok_or_else(|| {
        let words: Vec<&str> = Kind::ALL.iter().map(|kind| kind.word()).collect();
        format!("one of {}", words.join(", "))
    })
}

pub(super) fn run(verb: &Verb) -> Result<Outcome, Refusal> {
    match verb {
        Verb::Verify { file, against, key } => {
            verify_files(&read_config(&file.config)?, against.as_deref(), key.as_deref())
        }
        Verb::List { file, kind, since } => list(&read_config(&file.config)?, *kind, *since),
        Verb::Key(file) => {
            let dir = installation::audit_dir(&read_config(&file.config)?.storage);
            let key = own_key(&dir)?.to_string();
            Ok(Outcome::new(key.clone(), json!({ "key": key })))
        }
        Verb::Checkpoint(file) => {
            let storage = read_config(&file.config)?.storage;
            let fields = control::ask(&storage.data, &control::Verb::AuditCheckpoint)?;
            let text = fields
                .get("checkpoint")
                .and_then(Value::as_str)
                .unwrap_or_default();
            Ok(Outcome {
                text: text.trim_end().to_owned(),
                fields,
                ..Outcome::default()
            })
        }
    }
}

fn own_key(dir: &Path) -> Result<PublicKey, Refusal> {
    let key = public_key(&RealDisk, dir).map_err(|error| unread(dir, &error))?;
    key.ok_or_else(|| {
        let text = format!(
            "no public key lies in {}: has a gateway ever run there?",
            dir.display()
        );
        Refusal::new(text, json!({}))
    })
}

fn unread(path: &Path, error: &dyn std::error::Error) -> Refusal {
    Refusal::new(format!("{}: {error}", path.display()), json!({}))
}

fn verify_files(config: &Config, against: Option<&Path>, key: Option<&str>) -> Result<Outcome, Refusal> {
    let dir = installation::audit_dir(&config.storage);
    let key = match key {
        None => own_key(&dir)?,
        Some(text) => match text.parse() {
            Ok(key) => key,
            Err(_) => {
                let held = fs::read_to_string(text).map_err(|error| unread(Path::new(text), &error))?;
                held.parse().map_err(|error| unread(Path::new(text), &error))?
            }
        },
    };
    let against = match against {
        None => None,
        Some(path) => {
            let text = fs::read_to_string(path).map_err(|error| unread(path, &error))?;
            let note: SignedCheckpoint = text.parse().map_err(|error| unread(path, &error))?;
            Some(note)
        }
    };
    let own = dir.join(CHECKPOINTS_DIR);
    let mut beside = vec![own.as_path()];
    beside.extend(config.audit.checkpoint_directory.as_deref());
    let look =
        || verify(&RealDisk, &dir, &beside, against.as_ref(), &key).map_err(|error| unread(&dir, &error));
    let mut verdict = look()?;
    if verdict.first_bad.is_some() {
        // An entry that was being written looks like one that is damaged; it is whole by now.
        verdict = look()?;
    }
    Ok(judged(&verdict))
}

fn judged(verdict: &Verdict) -> Outcome {
    let Verdict {
        aged,
        entries,
        segments,
        checkpoints,
        foreign,
        first_bad,
        tail,
        torn_octets,
    } = verdict;
    let mut text = format!("entries: {entries}, files: {segments}, checkpoints that hold: {checkpoints}");
    // A String takes everything.
    if *aged > 0 {
        let _ = write!(
            text,
            "\nentries 1 to {aged} have come to their end by the rules; a signed anchor stands for them"
        );
    }
    if *foreign > 0 {
        let _ = write!(
            text,
            "\ncheckpoints beside the log that are not signed by its key: {foreign}"
        );
    }
    if *torn_octets > 0 {
        let _ = write!(
            text,
            "\n{torn_octets} octets of a write that was cut off, or is going on"
        );
    }
    let (tail_word, proven) = match tail {
        Tail::Proven(size) => {
            let _ = write!(
                text,
                "\nentries 1 to {size} are as they were signed; of later ones the last may have been cut off"
            );
            ("proven", Some(*size))
        }
        Tail::Aged(size) => {
            let _ = write!(
                text,
                "\nthe checkpoint signs entries up to {size} only, all of which have come to their end: ask with a newer one"
            );
            ("aged", None)
        }
        Tail::CannotTell => {
            let _ = write!(
                text,
                "\nwhether entries at the end were cut off: cannot tell without a checkpoint from elsewhere (--against)"
            );
            ("cannot tell", None)
        }
        Tail::Refuted => ("refuted", None),
    };
    let problem = match (first_bad, tail) {
        (Some(bad), _) => Some(named(bad)),
        (None, Tail::Refuted) => Some("the checkpoint is not signed by this log's key".to_owned()),
        (None, Tail::Proven(_) | Tail::CannotTell | Tail::Aged(_)) => None,
    };
    let _ = match &problem {
        Some(problem) => write!(text, "\nBAD: {problem}"),
        None => write!(text, "\ngood"),
    };
    let bad = first_bad.as_ref().map(|bad| {
        json!({
            "sequence": bad.sequence,
            "up_to": bad.up_to,
            "file": bad.file,
            "why": bad.why.to_string(),
        })
    });
    let mut outcome = Outcome::new(
        text,
        json!({
            "aged": aged,
            "entries": entries,
            "segments": segments,
            "checkpoints": checkpoints,
            "foreign_checkpoints": foreign,
            "torn_octets": torn_octets,
            "first_bad": bad,
            "tail": tail_word,
            "proven": proven,
        }),
    );
    if matches!(tail, Tail::Aged(_)) {
        outcome.found = super::Found::Unproven;
    }
    if let Some(problem) = problem {
        outcome.failed = true;
        outcome.fields.insert("problem".to_owned(), json!(problem));
    }
    outcome
}

fn named(bad: &Bad) -> String {
    let Bad {
        sequence,
        up_to,
        file,
        why,
    } = bad;
    let of = if up_to > sequence {
        format!(" (to {up_to})")
    } else {
        String::new()
    };
    format!("first bad entry: {sequence}{of}, in {file}: {why}")
}

fn list(config: &Config, kind: Option<Kind>, since: Option<std::time::Duration>) -> Result<Outcome, Refusal> {
    // Before anything is shown. Who reads the files past us could do so anyway; there is nothing to keep them from it.
    match control::ask(&config.storage.data, &control::Verb::AuditRead) {
        Ok(_) | Err(AskError::NotRunning { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let dir = installation::audit_dir(&config.storage);
    let from_ms = since.map_or(0, |since| {
        let length = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        Clock::machine().now().unix_ms.saturating_sub(length)
    });
    let mut found = std::collections::VecDeque::new();
    let mut more = 0u64;
    let bad = read(&RealDisk, &dir, |logged| {
        if logged.time_ms >= from_ms && kind.is_none_or(|kind| logged.entry.kind == kind) {
            if found.len() == LIST_MAX {
                found.pop_front();
                more += 1;
            }
            found.push_back(logged.clone());
        }
    })
    .map_err(|error| unread(&dir, &error))?;
    let mut lines: Vec<String> = found.iter().map(told).collect();
    lines.push(format!("entries: {}", found.len()));
    let mut outcome = Outcome::new(
        lines.join("\n"),
        json!({ "entries": found.iter().map(shown).collect::<Vec<_>>(), "older": more }),
    );
    if more > 0 {
        outcome
            .warnings
            .push(format!("older entries that are not shown: {more}"));
    }
    if let Some(bad) = bad {
        outcome
            .warnings
            .push(format!("the log is not as it was written: {}", named(&bad)));
    }
    Ok(outcome)
}
