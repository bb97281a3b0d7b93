//! `tidegate check`: everything that is wrong with a configuration, and nothing changed.

use serde_json::json;

use super::{ConfigFile, Outcome, Refusal, read_config};
use crate::secret;

pub(super) fn run(args: &ConfigFile) -> Result<Outcome, Refusal> {
    let config = read_config(&args.config)?;
    let mut outcome = Outcome::new(
        format!(
            "{} is in order (accounts: {}, carriers: {}, routes: {})",
            args.config.display(),
            config.accounts.len(),
            config.carriers.len(),
            config.mt_routes.len() + config.mo_routes.len()
        ),
        json!({
            "accounts": config.accounts.len(),
            "carriers": config.carriers.len(),
            "mt_routes": config.mt_routes.len(),
            "mo_routes": config.mo_routes.len(),
            "instructions": config.instructions.iter().map(|document| json!({
                "account": document.account.as_str(),
                "version": document.version,
            })).collect::<Vec<_>>(),
        }),
    );
    // Warnings: the file may be checked on another machine than the one that has the passwords.
    for carrier in &config.carriers {
        match secret::read(&carrier.password) {
            Ok(found) if found.exposed => outcome.warnings.push(format!(
                "carrier {}: others than its owner can read the password's file",
                carrier.name
            )),
            Ok(_) => {}
            Err(error) => outcome
                .warnings
                .push(format!("carrier {}: {error}", carrier.name)),
        }
    }
    Ok(outcome)
}
