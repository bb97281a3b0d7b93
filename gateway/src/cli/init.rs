//! `tidegate init`: makes keys and data directory, once.

use serde_json::json;

use super::{ConfigFile, Outcome, Refusal, read_config};
use crate::clock::Clock;
use crate::{installation, kek, random};

pub(super) fn run(args: &ConfigFile) -> Result<Outcome, Refusal> {
    let config = read_config(&args.config)?;
    let now = Clock::machine().now();
    installation::init(&config.storage, now.unix_ms, &mut random::generator()?)?;
    let storage = &config.storage;
    let mut outcome = Outcome::new(
        format!(
            "made data directory {}, key ring {} and key-encryption key {}",
            storage.data.display(),
            storage.key_ring.display(),
            kek::place(&storage.kek)
        ),
        json!({
            "data": storage.data.display().to_string(),
            "key_ring": storage.key_ring.display().to_string(),
            "kek_file": storage.kek.file().map(|file| file.display().to_string()),
        }),
    );
    outcome.warnings.push(
        "keep a copy of the key-encryption key apart from backups of data and key ring: without it nothing \
         opens, and beside them it protects nothing"
            .to_owned(),
    );
    Ok(outcome)
}
