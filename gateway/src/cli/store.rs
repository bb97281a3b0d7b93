//! `tidegate store rebuild`: what stands beside the files of the history is made anew from them.

use std::io::{self, Write as _};

use clap::Subcommand;
use serde_json::{Map, Value, json};
use tidegate_config::{Config, Storage};
use tidegate_store::disk::RealDisk;
use tidegate_store::history::{History, Rebuild};
use tidegate_store::keyring::{Attached, KeyRing, Tier};

use super::{ConfigFile, Outcome, Refusal, object, read_config};
use crate::clock::Clock;
use crate::control::{self, AskError, Retain, rebuild};
use crate::installation::{self, Installation};
use crate::random;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Drop the indexes and filters of finished messages and make them anew from the files: in the running gateway, or under its lock.
    Rebuild(Args),
}

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    file: ConfigFile,
    /// Of the files that begin on this day only (2026-03-02; of a week its Monday).
    #[arg(long, value_name = "DAY")]
    period: Option<String>,
    /// Indexes only: filters stay as they are.
    #[arg(long)]
    index: bool,
}

pub(super) fn run(verb: &Verb) -> Result<Outcome, Refusal> {
    let Verb::Rebuild(args) = verb;
    let config = read_config(&args.file.config)?;
    let wanted = control::Verb::Retain(Retain::Rebuild {
        period: args.period.clone(),
        index_only: args.index,
    });
    let fields = match control::ask(&config.storage.data, &wanted) {
        Ok(done) => done,
        Err(AskError::NotRunning { .. }) => on_files(&config, args)?,
        Err(error) => return Err(error.into()),
    };
    let number = |key: &str| fields.get(key).and_then(Value::as_u64).unwrap_or(0);
    Ok(Outcome {
        text: format!(
            "{} files have a new index; {} closed periods have a filter",
            number("files"),
            number("filters")
        ),
        fields,
        ..Outcome::default()
    })
}

/// Without a gateway, under the lock of its data directory. What it has come to is told file by file.
fn on_files(config: &Config, args: &Args) -> Result<Map<String, Value>, Refusal> {
    let (mut rng, now_ms) = (random::generator()?, Clock::machine().now().unix_ms);
    let storage = Storage {
        auto_init: false,
        ..config.storage.clone()
    };
    let none_comes = |_: &mut KeyRing<RealDisk>, (_, coming): (bool, &[(Tier, Attached)]), _: &mut _| {
        // What is done to keys is entered in the audit log, which is not open here (AUD-6).
        match coming.iter().find(|(_, comes)| *comes != Attached::default()) {
            None => Ok(()),
            Some((tier, _)) => Err(Refusal::new(
                format!(
                    "the key ring of tier {} is to be made or to take keys over: start the gateway once, which enters that in the \
                     audit log",
                    tier.word()
                ),
                json!({}),
            )),
        }
    };
    let (
        Installation {
            lock: _lock, ring, ..
        },
        (),
    ) = installation::open(
        &storage,
        Vec::new(),
        now_ms,
        &mut rng,
        none_comes,
        // Nothing comes that would be.
        |(), _, _| Ok(()),
    )?;
    let index = installation::history_index_dir(&storage);
    let mut history = History::open(RealDisk, installation::history_dir(&storage), Some(index))?;
    let files = history.periods().cloned().collect();
    let files = rebuild::meant(files, args.period.as_deref()).map_err(|why| Refusal::new(why, json!({})))?;
    let mut out = io::stderr();
    for (number, file) in (1..).zip(&files) {
        let mut how = rebuild::first(args.index);
        while history.rebuild(file, how)? {
            how = Rebuild::GoOn;
        }
        // Who does not listen is not waited for.
        let _ = writeln!(out, "{number} of {}: {file}", files.len());
    }
    while !args.index && history.tend_filters(&ring, now_ms) {}
    Ok(object(json!({
        "files": files.len(),
        "filters": history.filter_counts().filters,
    })))
}
