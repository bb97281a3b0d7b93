//! `tidegate ban`: who is not spoken to, in the running gateway.

use std::fmt::Write as _;
use std::time::Duration;

use clap::Subcommand;
use serde_json::{Map, Value};

use super::values::duration;
use super::{ConfigFile, Outcome, Refusal, read_config};
use crate::control;
use crate::origin::Origin;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Show the bans that run: from where, how long still, how often by now.
    List(ConfigFile),
    /// Close new connections from an address, or from the /64 of an IPv6 one; binds that are open live on.
    Add {
        #[command(flatten)]
        file: ConfigFile,
        /// Whose connections.
        address: Origin,
        /// For how long; a restart ends it sooner.
        #[arg(long = "for", value_name = "DURATION", value_parser = duration, default_value = "1h")]
        length: Duration,
    },
    /// End the ban of an address, and forget what it has done.
    Remove {
        #[command(flatten)]
        file: ConfigFile,
        /// Whose ban.
        address: Origin,
    },
}

pub(super) fn run(verb: &Verb) -> Result<Outcome, Refusal> {
    let (file, request) = match verb {
        Verb::List(file) => (file, control::Verb::BanList),
        Verb::Add {
            file,
            address,
            length,
        } => {
            let (origin, length) = (*address, *length);
            (file, control::Verb::BanAdd { origin, length })
        }
        Verb::Remove { file, address } => (file, control::Verb::BanRemove { origin: *address }),
    };
    let storage = read_config(&file.config)?.storage;
    let fields = control::ask(&storage.data, &request)?;
    let text = match verb {
        Verb::List(_) => listed(&fields),
        Verb::Add { address, .. } => format!("{address} is banned"),
        Verb::Remove { address, .. } if fields.get("removed") == Some(&Value::Bool(true)) => {
            format!("{address} is not banned any more")
        }
        Verb::Remove { address, .. } => format!("{address} was not banned"),
    };
    Ok(Outcome {
        text,
        fields,
        ..Outcome::default()
    })
}

fn listed(fields: &Map<String, Value>) -> String {
    let bans = fields.get("bans").and_then(Value::as_array);
    let (bans, banned) = (
        bans.map_or(&[][..], Vec::as_slice),
        fields.get("banned").and_then(Value::as_u64).unwrap_or(0),
    );
    let mut text = format!("banned: {banned}");
    for ban in bans {
        let number = |key: &str| ban.get(key).and_then(Value::as_u64).unwrap_or(0);
        let by = if ban.get("by_operator") == Some(&Value::Bool(true)) {
            ", by an operator"
        } else {
            ""
        };
        let origin = ban.get("origin").and_then(Value::as_str).unwrap_or("?");
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "\n{origin}: {} s left, {} times for failed binds{by}",
            number("left_s"),
            number("times")
        );
    }
    text
}
