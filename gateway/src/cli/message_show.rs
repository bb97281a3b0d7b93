//! `tidegate message`: where one message stands that is not finished.

use std::fmt::Write as _;

use clap::Subcommand;
use serde_json::{Map, Value};

use super::steered::{ask, number, or, word};
use super::{ConfigFile, Outcome, Refusal};
use crate::control::Steer;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Show where an unfinished message stands: no text, and of its recipient only the kind and length of the number.
    Show {
        #[command(flatten)]
        file: ConfigFile,
        /// The id that its client was given.
        id: String,
        /// Whose it is; needed for ids of 8 digits.
        #[arg(long)]
        account: Option<String>,
    },
}

pub(super) fn run(verb: &Verb) -> Result<Outcome, Refusal> {
    let Verb::Show { file, id, account } = verb;
    let steer = Steer::MessageShow {
        id: id.clone(),
        account: account.clone(),
    };
    let fields = ask(file, steer)?;
    Ok(Outcome {
        text: told(&fields),
        fields,
        ..Outcome::default()
    })
}

fn told(fields: &Map<String, Value>) -> String {
    let mut text = format!(
        "account {}, {}, accepted {}, valid until {}",
        word(fields, "account"),
        or(word(fields, "category"), "of no category"),
        word(fields, "accepted"),
        word(fields, "expires"),
    );
    let legs = fields.get("legs").and_then(Value::as_array);
    for leg in legs.into_iter().flatten().filter_map(Value::as_object) {
        let part = match number(leg, "part") {
            none if none == "-" => String::new(),
            part => format!(", part {part}"),
        };
        let route = leg.get("route").and_then(Value::as_array).into_iter().flatten();
        let route: Vec<&str> = route.filter_map(Value::as_str).collect();
        // A String takes everything.
        let _ = write!(
            text,
            "\nrecipient {}{part}: {}; carrier {}, route {}, tries {}, next {}",
            number(leg, "recipient"),
            word(leg, "state"),
            or(word(leg, "carrier"), "none"),
            or(&route.join(" "), "none"),
            number(leg, "attempts"),
            or(word(leg, "next"), "-"),
        );
    }
    text
}
