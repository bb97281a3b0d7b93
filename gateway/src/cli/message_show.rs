//! `tidegate message`: where one message stands, unfinished or kept, and which finished ones are kept.

use std::fmt::Write as _;

use clap::Subcommand;
use serde_json::{Map, Value};

use super::steered::{ask, number, or, word};
use super::{ConfigFile, Outcome, Refusal};
use crate::control::{Find, Reading, Steer};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Show where a message stands, unfinished or as far as its account's rules keep it: no text, and of its recipient only
    /// the kind and length of the number.
    Show {
        #[command(flatten)]
        file: ConfigFile,
        /// The id that its client was given.
        id: String,
        /// Whose it is; needed for ids of 8 digits.
        #[arg(long)]
        account: Option<String>,
        /// Show the numbers and the text of a finished one, for this: support, billing, fraud or legal. It is entered in
        /// the audit log.
        #[arg(long, requires = "reason")]
        purpose: Option<String>,
        /// Why, such as the number of a ticket.
        #[arg(long, requires = "purpose")]
        reason: Option<String>,
    },
    /// Find finished messages of an account, as far as its rules keep them: by when they ended, or to a number.
    Find {
        #[command(flatten)]
        file: ConfigFile,
        /// Whose.
        #[arg(long)]
        account: String,
        /// To this number only, with --purpose and --reason.
        #[arg(long, value_name = "NUMBER", allow_hyphen_values = true, requires = "purpose")]
        to: Option<String>,
        /// Why what went to a number is asked: support, billing, fraud or legal. It is entered in the audit log.
        #[arg(long, requires = "reason")]
        purpose: Option<String>,
        /// Such as the number of a ticket.
        #[arg(long, requires = "purpose")]
        reason: Option<String>,
        /// That ended then or later; by default within a day, or with --to ever.
        #[arg(long, value_name = "TIME", value_parser = super::values::time)]
        since: Option<u64>,
        /// That ended then or before.
        #[arg(long, value_name = "TIME", value_parser = super::values::time)]
        until: Option<u64>,
        /// How many at most, 1 to 500; 100 by default.
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
    },
}

pub(super) fn run(verb: &Verb) -> Result<Outcome, Refusal> {
    match verb {
        Verb::Show {
            file,
            id,
            account,
            purpose,
            reason,
        } => {
            let reading = Reading::read(purpose.clone(), reason.clone())
                .map_err(|why| Refusal::new(why, Value::Null))?;
            let steer = Steer::MessageShow {
                id: id.clone(),
                account: account.clone(),
                reading,
            };
            let fields = ask(file, steer)?;
            Ok(Outcome {
                text: told(&fields),
                fields,
                ..Outcome::default()
            })
        }
        Verb::Find {
            file,
            account,
            to,
            since,
            until,
            limit,
            purpose,
            reason,
        } => {
            let reading = Reading::read(purpose.clone(), reason.clone());
            let find = Find {
                reading: reading.map_err(|why| Refusal::new(why, Value::Null))?,
                account: account.clone(),
                to: to.clone(),
                since_ms: *since,
                until_ms: *until,
                limit: *limit,
            };
            let fields = ask(file, Steer::MessageFind(find))?;
            Ok(Outcome {
                text: found(&fields),
                fields,
                ..Outcome::default()
            })
        }
    }
}

fn found(fields: &Map<String, Value>) -> String {
    let messages = fields.get("messages").and_then(Value::as_array);
    let lines: Vec<String> = messages
        .into_iter()
        .flatten()
        .filter_map(Value::as_object)
        .map(|message| {
            format!(
                "{}  accepted {}, {} {}, carrier {}, tries {}",
                word(message, "id"),
                word(message, "accepted"),
                word(message, "state"),
                word(message, "ended"),
                or(word(message, "carrier"), "none"),
                number(message, "attempts"),
            )
        })
        .collect();
    let mut text = lines.join("\n");
    if lines.is_empty() {
        text.push_str("none is kept");
    }
    if fields.get("has_more").and_then(Value::as_bool) == Some(true) {
        text.push_str("\nthere are more: say a shorter time, or a larger --limit");
    }
    text
}

fn finished(leg: &Map<String, Value>) -> String {
    let mut text = format!(
        "\nrecipient {}: {} {}; carrier {}, tries {}",
        number(leg, "recipient"),
        word(leg, "state"),
        word(leg, "ended"),
        or(word(leg, "carrier"), "none"),
        number(leg, "attempts"),
    );
    if let Some(to) = leg.get("to").and_then(Value::as_str) {
        // A String takes everything.
        let _ = write!(text, "; from {} to {to}", word(leg, "from"));
        match leg.get("text").and_then(Value::as_object) {
            // What stands in it must not steer the terminal.
            Some(shown) => {
                let _ = write!(text, "; text {:?}", word(shown, "shown"));
            }
            None => text.push_str("; its text is not kept"),
        }
    }
    text
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
        if leg.contains_key("ended") {
            text.push_str(&finished(leg));
            continue;
        }
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
