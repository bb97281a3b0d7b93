//! `tidegate restrict`: people of whom nothing is processed but kept, in the running gateway.

use serde_json::Value;

use super::hold::asked;
use super::{ConfigFile, Outcome, Refusal};
use crate::control::Matter;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Restrict a person: nothing is sent there, what comes from there is kept and shown to nobody, until it is lifted.
    Add {
        #[command(flatten)]
        file: ConfigFile,
        /// The person's number.
        number: String,
        /// Only for this account; else for all.
        #[arg(long, value_name = "SYSTEM_ID")]
        account: Option<String>,
        /// Why, for the audit log.
        #[arg(long)]
        reason: String,
    },
    /// Lift a restriction, once the person has been told.
    Lift {
        #[command(flatten)]
        file: ConfigFile,
        /// Its number, as `restrict list` shows it.
        id: u32,
        /// How and when the person was told that it is lifted: a letter, a reference.
        #[arg(long)]
        notice: String,
        /// Why, for the audit log.
        #[arg(long)]
        reason: String,
    },
    /// Show all restrictions, without anybody's number.
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
            let mut outcome = asked(file, Matter::RestrictAdd { to, account, reason })?;
            let unkept = outcome.fields.get("unkept").and_then(Value::as_u64);
            if let Some(unkept) = unkept.filter(|unkept| *unkept > 0) {
                outcome.warnings.push(format!(
                    "what the person writes to {unkept} accounts without a retention profile is acknowledged and kept nowhere"
                ));
            }
            Ok(outcome)
        }
        Verb::Lift {
            file,
            id,
            notice,
            reason,
        } => {
            let (id, notice, reason) = (*id, notice.clone(), reason.clone());
            asked(file, Matter::RestrictLift { id, notice, reason })
        }
        Verb::List(file) => asked(file, Matter::RestrictList),
    }
}
