//! `tidegate carrier`: how carriers stand, and what they get, in the running gateway.

use std::fmt::Write as _;
use std::num::NonZeroU32;

use clap::Subcommand;
use serde_json::{Map, Value};

use super::steered::{Rate, ask, number, or, rate_told, word};
use super::{ConfigFile, Outcome, Refusal};
use crate::control::Steer;
use crate::orders::Halt;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Show how each carrier stands: links, window, queue, rate, and whether an operator has halted it.
    List(ConfigFile),
    /// Hand nothing new over to a carrier, also after a restart; its links stay bound.
    ///
    /// Receipts and messages from handsets still come in. What is for it goes to the next carrier of its route, or waits.
    Pause(Named),
    /// The same, and once it has answered everything its links are unbound, and not bound again until `resume`.
    ///
    /// Receipts that are still to come wait at the carrier meanwhile.
    Drain(Named),
    /// Have a carrier that was paused or drained go on.
    Resume(Named),
    /// Have another rate hold for a carrier, until it is reset or the gateway ends.
    Rate {
        #[command(flatten)]
        named: Named,
        #[command(flatten)]
        rate: Rate,
    },
}

/// A carrier.
#[derive(Debug, clap::Args)]
pub(super) struct Named {
    #[command(flatten)]
    file: ConfigFile,
    /// The carrier's name.
    #[arg(value_name = "CARRIER")]
    carrier: String,
}

pub(super) fn run(verb: &Verb) -> Result<Outcome, Refusal> {
    let halt = |named: &Named, how| Steer::CarrierHalt {
        carrier: named.carrier.clone(),
        how,
    };
    let (file, steer) = match verb {
        Verb::List(file) => (file, Steer::CarrierList),
        Verb::Pause(named) => (&named.file, halt(named, Halt::Pause)),
        Verb::Drain(named) => (&named.file, halt(named, Halt::Drain)),
        Verb::Resume(named) => {
            let carrier = named.carrier.clone();
            (&named.file, Steer::CarrierResume { carrier })
        }
        Verb::Rate { named, rate } => {
            let (carrier, per_second): (_, Option<NonZeroU32>) = (named.carrier.clone(), rate.per_second);
            (&named.file, Steer::CarrierRate { carrier, per_second })
        }
    };
    let fields = ask(file, steer)?;
    let text = match verb {
        Verb::List(_) => listed(&fields),
        Verb::Pause(named) | Verb::Drain(named) => {
            format!("{} is {}", named.carrier, or(word(&fields, "state"), "halted"))
        }
        Verb::Resume(named) if fields.get("resumed") == Some(&Value::Bool(true)) => {
            format!("{} goes on", named.carrier)
        }
        Verb::Resume(named) => format!("{} was not halted", named.carrier),
        Verb::Rate { named, .. } => rate_told(&named.carrier, &fields),
    };
    Ok(Outcome {
        text,
        fields,
        ..Outcome::default()
    })
}

fn listed(fields: &Map<String, Value>) -> String {
    let carriers = fields.get("carriers").and_then(Value::as_array);
    let mut text = format!(
        "{:<20} {:<9} {:>7} {:>13} {:>10} {:>9} {:>8}  {}",
        "carrier", "state", "links", "window", "waiting", "oldest s", "rate/s", "halted since"
    );
    for carrier in carriers.into_iter().flatten().filter_map(Value::as_object) {
        let (name, state) = (word(carrier, "carrier"), word(carrier, "state"));
        let since = word(carrier, "since");
        // A String takes everything.
        let _ = if carrier.get("is_configured") == Some(&Value::Bool(false)) {
            write!(
                text,
                "\n{name:<20} {state:<9} not in the configuration; since {since}"
            )
        } else {
            let links = &carrier["links"];
            let links = format!("{}/{}", links["bound"], links["wanted"]);
            let window = format!(
                "{}/{}",
                number(carrier, "window_used"),
                number(carrier, "window_size")
            );
            write!(
                text,
                "\n{name:<20} {state:<9} {links:>7} {window:>13} {:>10} {:>9} {:>8}  {since}",
                number(carrier, "waiting"),
                number(carrier, "oldest_s"),
                number(carrier, "per_second"),
            )
        };
    }
    text
}
