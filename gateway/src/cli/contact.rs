//! `tidegate contact`: people of an account, with what they consented to.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;

use super::optout::batch;
use super::people::import;
use super::{ConfigFile, Outcome, Refusal, read_config};
use crate::control::{Deed, DeedKind};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Take in a list of contacts: consents that it tells of are recorded, who has opted out stays so, nothing is sent.
    Import {
        #[command(flatten)]
        file: ConfigFile,
        /// A file of comma-separated values; its first line may name the columns.
        #[arg(value_name = "FILE")]
        path: PathBuf,
        /// Whose contacts.
        #[arg(long)]
        account: String,
        /// On what lawful basis the account has them, in its own words; without it nothing is imported.
        #[arg(long, value_name = "TEXT")]
        attest: Option<String>,
        /// The column that says whether a person consented, if it is not called `opted_in`.
        #[arg(long, value_name = "COLUMN")]
        consent_column: Option<String>,
    },
}

pub(super) fn run(verb: &Verb) -> Result<Outcome, Refusal> {
    let Verb::Import {
        file,
        path,
        account,
        attest,
        consent_column,
    } = verb;
    let attest = attest.as_deref().map(str::trim).filter(|text| !text.is_empty());
    let Some(attest) = attest else {
        let reason = "nothing is imported without saying on what lawful basis the account has these contacts (--attest)";
        return Err(Refusal::new(reason, json!({})));
    };
    if attest.len() > crate::control::VALUE_MAX {
        return Err(Refusal::new("--attest is longer than 255 octets", json!({})));
    }
    let deed = Deed::new(DeedKind::ContactImport, account);
    let renamed: Vec<_> = consent_column
        .iter()
        .map(|name| (name.clone(), "opted_in"))
        .collect();
    let bare = ["number", "opted_in", "source", "ip", "time"];
    let config = read_config(&file.config)?;
    import(
        &config,
        path,
        deed,
        batch("contacts", Some(attest)),
        &renamed,
        &bare,
    )
}
