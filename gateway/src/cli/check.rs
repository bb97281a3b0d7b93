//! `tidegate check`: everything that is wrong with a configuration, and nothing changed.

use serde_json::{Value, json};
use tidegate_config::{Config, DataClass};

use super::{ConfigFile, Outcome, Refusal, read_config};
use crate::clock::Clock;
use crate::doctor;
use crate::hardening::harden;
use crate::installation::{self, OpenError};
use crate::kek::SourceError;
use crate::secret::{self, SecretError};
use crate::tables::{TableProblems, Tables};
use crate::tls::Tls;

/// Most accounts that one warning names.
const NAMES_MAX: usize = 8;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    file: ConfigFile,
    /// Refuse what a start on this machine would refuse, too: passwords, files of TLS, keys and data that are missing or do not
    /// belong together. Run it as the gateway's user; a gateway may run meanwhile.
    #[arg(long)]
    strict: bool,
}

pub(super) fn run(args: &Args) -> Result<Outcome, Refusal> {
    // Passwords and keys are read.
    let _ = harden();
    let Args { file, strict } = args;
    let config = read_config(&file.config)?;
    let tables = Tables::load(&config).map_err(|problems| refuse(file, &problems))?;
    if *strict {
        start_refuses(&config)?;
    }
    let rows = [tables.networks_size(), tables.ported_size(), tables.prices_size()].map(|size| size.rows);
    let mut outcome = Outcome::new(
        format!(
            "{} is in order (accounts: {}, carriers: {}, routes: {}{})",
            file.config.display(),
            config.accounts.len(),
            config.carriers.len(),
            config.mt_routes.len() + config.mo_routes.len(),
            match rows.iter().sum::<u64>() {
                0 => String::new(),
                rows => format!(", rows of tables: {rows}"),
            },
        ),
        json!({
            "accounts": config.accounts.len(),
            "carriers": config.carriers.len(),
            "mt_routes": config.mt_routes.len(),
            "mo_routes": config.mo_routes.len(),
            "tables": { "networks": rows[0], "ported": rows[1], "prices": rows[2] },
            "instructions": config.instructions.iter().map(|document| json!({
                "account": document.account.as_str(),
                "version": document.version,
            })).collect::<Vec<_>>(),
        }),
    );
    // Warnings: the file may be checked on another machine than the one that has the passwords and the private keys.
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
    if let Err(problems) = Tls::load(&config, &Clock::machine()) {
        outcome.warnings.extend(problems.into_lines());
    }
    let open: Vec<&str> = config
        .accounts
        .iter()
        .filter(|account| account.destinations.countries.is_none() && account.numbering.country.is_none())
        .map(|account| account.system_id.as_str())
        .collect();
    if !open.is_empty() {
        let more = if open.len() > NAMES_MAX { ", …" } else { "" };
        let some: Vec<&str> = open.iter().copied().take(NAMES_MAX).collect();
        outcome.warnings.push(format!(
            "accounts that say neither `country` nor `countries` may send to every country: {}{more}",
            some.join(", ")
        ));
    }
    outcome.warnings.extend(super::init::without_kek(&config.storage));
    outcome.warnings.extend(kept_out(&config));
    for profile in &config.retention.profiles {
        let mut accounts = config.accounts.iter();
        let is_used = accounts.any(|account| account.retention.profile.as_ref() == Some(&profile.name));
        let missing: Vec<&str> = profile.missing().map(DataClass::word).collect();
        if is_used && !missing.is_empty() {
            outcome.warnings.push(format!(
                "retention profile {} has no rule for {}: nothing of these is stored (RET-1)",
                profile.name,
                missing.join(", ")
            ));
        }
    }
    Ok(outcome)
}

/// Refuses with every line that a start would end with, but for sockets, and what lies in the files of the data directory beyond
/// their form. A variable that is not set is no such line: a unit has an environment of its own.
fn start_refuses(config: &Config) -> Result<(), Refusal> {
    let mut lines = Vec::new();
    for carrier in &config.carriers {
        match secret::read(&carrier.password) {
            Ok(_) | Err(SecretError::NotSet) => {}
            Err(error) => lines.push(format!("password of carrier {}: {error}", carrier.name)),
        }
    }
    if let Err(problems) = Tls::load(config, &Clock::machine()) {
        lines.extend(problems.into_lines());
    }
    if let Some(why) = doctor::not_as_root(&config.storage) {
        lines.push(why);
    } else {
        match installation::look(&config.storage) {
            Ok(())
            | Err(
                OpenError::Source(SourceError::NotSet)
                | OpenError::TierSource {
                    source: SourceError::NotSet,
                    ..
                },
            ) => {}
            Err(error) => lines.push(error.to_string()),
        }
    }
    lines.extend(doctor::unknown_form(&config.storage.data));
    if lines.is_empty() {
        return Ok(());
    }
    let reason = format!("a start would be refused:\n{}", lines.join("\n"));
    Err(Refusal::new(reason, json!({ "start": lines })))
}

/// Which accounts' messages do not go to which carriers (SEC-1), some of each: a route may have no other.
fn kept_out(config: &Config) -> Option<String> {
    let some = |names: Vec<&str>| {
        let more = if names.len() > NAMES_MAX { ", …" } else { "" };
        let shown: Vec<&str> = names.iter().copied().take(NAMES_MAX).collect();
        (!names.is_empty()).then(|| format!("{}{more}", shown.join(", ")))
    };
    let accounts = config.accounts.iter();
    let accounts = accounts.filter(|account| account.transport.keeps_out_clear_text());
    let accounts = some(accounts.map(|account| account.system_id.as_str()).collect())?;
    let carriers = config.carriers.iter();
    let carriers = carriers.filter(|carrier| carrier.clear_text.is_some());
    let carriers = some(carriers.map(|carrier| carrier.name.as_str()).collect())?;
    Some(format!(
        "accounts that ask for TLS 1.3 (`min_transport`, or `min_tls` of their retention profile) send nothing to \
         carriers in clear text: {accounts} never to {carriers}"
    ))
}

/// The files that the configuration names are part of it.
fn refuse(args: &ConfigFile, problems: &TableProblems) -> Refusal {
    let list: Vec<Value> = problems
        .files()
        .iter()
        .map(|file| {
            let listed = file.listed.iter().map(
                |problem| json!({ "line": problem.line, "column": problem.column, "what": problem.what }),
            );
            json!({
                "key": file.key,
                "file": file.file.display().to_string(),
                "problems": listed.collect::<Vec<_>>(),
                "more": file.more,
            })
        })
        .collect();
    Refusal::new(
        format!(
            "{} names tables with problems:\n{problems}",
            args.config.display()
        ),
        json!({ "tables": list }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_that_ask_for_tls_1_3_and_carriers_in_clear_text_are_named_and_not_endlessly() {
        let bench = include_str!("../../../config/bench.toml");
        let with = |account: &str, carrier: &str| {
            let text = bench
                .replace("[[account]]\n", &format!("[[account]]\n{account}\n"))
                .replace("name = \"sink\"\n", &format!("name = \"sink\"\n{carrier}\n"));
            kept_out(&tidegate_config::parse(&text).unwrap_or_else(|problems| panic!("{problems}")))
        };
        let (strict, clear) = (
            "min_transport = \"tls1.3\"",
            "clear_text = { name = \"a line\", until = 2999-12-31 }",
        );
        assert_eq!(
            [with("", ""), with(strict, ""), with("", clear)],
            [None, None, None]
        );
        let told = with(strict, clear).unwrap();
        assert!(
            told.contains("load, load1, ") && told.contains("never to sink"),
            "{told}"
        );
        // What its profile asks for is as good as what it asks for itself; an exception for its binds changes nothing.
        let profile = "retention_profile = \"fixed-term\"\n\
                       transport_exception = { min_transport = \"clear\", name = \"a line\", until = 2999-12-31 }";
        assert_eq!(with(profile, clear).as_ref(), Some(&told));
        assert!(told.contains("retention profile"), "{told}");
        let other = profile.replace("fixed-term", "as-instructed");
        assert_eq!(with(&other, clear), None, "any TLS is enough for this one");
        // There are seventeen.
        assert!(told.contains(", …") && !told.contains("load16"), "{told}");
    }
}
