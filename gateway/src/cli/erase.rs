//! `tidegate erase`: orders to erase a person, in the running gateway.

use super::hold::asked;
use super::{ConfigFile, Outcome, Refusal};
use crate::control::Matter;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Have all records of messages to a person gone: at once for every reader, and for good with the next sweep.
    Add {
        #[command(flatten)]
        file: ConfigFile,
        /// The person's number.
        number: String,
        /// Only what is this account's; else all accounts'.
        #[arg(long, value_name = "SYSTEM_ID")]
        account: Option<String>,
        /// Why, for the audit log.
        #[arg(long)]
        reason: String,
    },
    /// Show all orders and how they stand, without anybody's number.
    List(ConfigFile),
}

pub(super) fn run(verb: &Verb) -> Result<Outcome, Refusal> {
    match verb {
        Verb::Add {
            file,
            number,
            account,
            reason,
        } => {
            let (to, account, reason) = (number.clone(), account.clone(), reason.clone());
            asked(file, Matter::EraseAdd { to, account, reason })
        }
        Verb::List(file) => asked(file, Matter::EraseList),
    }
}
