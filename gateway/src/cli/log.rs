//! `tidegate log`: what the running gateway logs.

use std::time::Duration;

use clap::Subcommand;

use super::steered::{ask, word};
use super::values::duration;
use super::{ConfigFile, Outcome, Refusal};
use crate::control::{FILTER_FOR_MAX, Steer};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Show which filter holds for the log, or have another one hold.
    ///
    /// Modules of the gateway may say more; what other crates say stays at info and quieter.
    Filter {
        #[command(flatten)]
        file: ConfigFile,
        /// A level, or MODULE=LEVEL, or several of them with commas between: debug; info,tidegate_gateway::mt=trace.
        filter: Option<String>,
        /// For how long, 24h at most; then the filter of the start holds again.
        #[arg(long = "for", value_name = "DURATION", value_parser = length, requires = "filter")]
        length: Option<Duration>,
    },
}

/// Whole seconds, as the gateway counts them.
fn length(text: &str) -> Result<Duration, String> {
    let length = duration(text)?;
    if (Duration::from_secs(1)..=FILTER_FOR_MAX).contains(&length) {
        Ok(length)
    } else {
        Err("at least 1s, at most 24h".to_owned())
    }
}

pub(super) fn run(verb: &Verb) -> Result<Outcome, Refusal> {
    let Verb::Filter { file, filter, length } = verb;
    let steer = Steer::LogFilter {
        filter: filter.clone(),
        length: *length,
    };
    let fields = ask(file, steer)?;
    Ok(Outcome {
        text: word(&fields, "filter").to_owned(),
        fields,
        ..Outcome::default()
    })
}
