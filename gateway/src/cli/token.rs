//! `tidegate token`: who may ask at the admin listener of the running gateway.

use std::fmt::Write as _;

use clap::Subcommand;
use serde_json::{Map, Value, json};

use super::{ConfigFile, Outcome, Refusal, read_config};
use crate::admin::{DAYS_MAX, Role, name};
use crate::control::{self, instant};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Make a token and show it, this once.
    Add {
        #[command(flatten)]
        file: ConfigFile,
        /// Who gets it: 1 to 32 of a-z, 0-9, _ and -. The audit log has this name.
        #[arg(value_parser = name)]
        name: String,
        /// What it is good for: read, operate, privacy, legal, subject.
        #[arg(long, default_value = "read")]
        role: Role,
        /// For how long it is good.
        #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u64).range(1..=DAYS_MAX))]
        days: u64,
    },
    /// Show which tokens there are, and until when they are good.
    List(ConfigFile),
    /// Have a token be good for nothing any more.
    Revoke {
        #[command(flatten)]
        file: ConfigFile,
        /// Whose.
        #[arg(value_parser = name)]
        name: String,
    },
}

pub(super) fn run(verb: &Verb) -> Result<Outcome, Refusal> {
    let (file, request) = match verb {
        Verb::Add {
            file,
            name,
            role,
            days,
        } => {
            let (name, role, days) = (name.clone(), *role, *days);
            (file, control::Verb::TokenAdd { name, role, days })
        }
        Verb::List(file) => (file, control::Verb::TokenList),
        Verb::Revoke { file, name } => (file, control::Verb::TokenRevoke { name: name.clone() }),
    };
    let storage = read_config(&file.config)?.storage;
    let mut fields = control::ask(&storage.data, &request)?;
    let text = match verb {
        Verb::Add { .. } => {
            in_words(&mut fields);
            // To standard output alone, so that it can go where nobody reads along.
            fields
                .get("token")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        }
        Verb::List(_) => listed(&mut fields),
        Verb::Revoke { name, .. } if fields.get("revoked") == Some(&Value::Bool(true)) => {
            format!("{name} is good for nothing any more")
        }
        Verb::Revoke { name, .. } => format!("there is no token {name}"),
    };
    let mut outcome = Outcome {
        text,
        fields,
        ..Outcome::default()
    };
    if matches!(verb, Verb::Add { .. }) {
        outcome
            .warnings
            .push("keep it: it is not shown again, and stands nowhere".to_owned());
    }
    Ok(outcome)
}

/// Times as people and programs read them.
fn in_words(token: &mut Map<String, Value>) {
    for (key, written) in [("made_ms", "made"), ("expires_ms", "expires")] {
        if let Some(at) = token.remove(key).and_then(|at| at.as_u64()) {
            token.insert(written.to_owned(), json!(instant(at)));
        }
    }
}

fn listed(fields: &mut Map<String, Value>) -> String {
    let tokens = fields.get_mut("tokens").and_then(Value::as_array_mut);
    let tokens = tokens.map_or(&mut [][..], Vec::as_mut_slice);
    let mut text = format!("tokens: {}", tokens.len());
    for token in tokens.iter_mut().filter_map(Value::as_object_mut) {
        in_words(token);
        let word = |key: &str| token.get(key).and_then(Value::as_str).unwrap_or_default();
        // A String takes everything.
        let _ = write!(
            text,
            "\n{:<32} {:<8} until {}",
            word("name"),
            word("role"),
            word("expires")
        );
    }
    text
}
