//! `tidegate init`: makes keys and data directory, once.

use serde_json::json;

use super::{ConfigFile, Outcome, Refusal, read_config};
use crate::clock::Clock;
use crate::{installation, kek, random};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    file: ConfigFile,
    /// Where they are there already, change nothing and succeed, beside a running gateway, too. What is there in part is
    /// refused as ever.
    #[arg(long)]
    if_absent: bool,
}

pub(super) fn run(args: &Args) -> Result<Outcome, Refusal> {
    let config = read_config(&args.file.config)?;
    let now = Clock::machine().now();
    let storage = &config.storage;
    let made = !(args.if_absent && installation::is_made(storage)?);
    if made {
        installation::init(storage, now.unix_ms, &mut random::generator()?)?;
    }
    let mut outcome = Outcome::new(
        format!(
            "{} data directory {}, key ring {} and key-encryption key {}",
            if made {
                "made"
            } else {
                "nothing to make: there are"
            },
            storage.data.display(),
            storage.key_ring.display(),
            kek::place(&storage.kek)
        ),
        json!({
            "made": made,
            "data": storage.data.display().to_string(),
            "key_ring": storage.key_ring.display().to_string(),
            "kek_file": storage.kek.file().map(|file| file.display().to_string()),
        }),
    );
    if !made {
        return Ok(outcome);
    }
    outcome.warnings.push(
        "keep a copy of the key-encryption key apart from backups of data and key ring: without it nothing \
         opens, and beside them it protects nothing"
            .to_owned(),
    );
    Ok(outcome)
}
