//! `tidegate init`: makes keys and data directory, once.

use serde_json::{Value, json};
use tidegate_config::Storage;
use tidegate_store::keyring::Tier;

use super::{ConfigFile, Outcome, Refusal, read_config};
use crate::clock::Clock;
use crate::installation::tiers;
use crate::{installation, kek, random};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    file: ConfigFile,
    /// Where they are there already, change nothing and succeed, beside a running gateway, too. What is there in part is
    /// refused as ever.
    #[arg(long)]
    if_absent: bool,
    /// Only make files of key-encryption keys of tiers that were never used, beside what is there; the next start makes their
    /// rings and takes over what the main ring holds for them. A gateway may run meanwhile.
    #[arg(long, conflicts_with = "if_absent")]
    tiers: bool,
}

pub(super) fn run(args: &Args) -> Result<Outcome, Refusal> {
    let config = read_config(&args.file.config)?;
    let now = Clock::machine().now();
    let storage = &config.storage;
    if args.tiers {
        return of_tiers(storage);
    }
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
        ) + &beside(storage),
        json!({
            "made": made,
            "data": storage.data.display().to_string(),
            "key_ring": storage.key_ring.display().to_string(),
            "kek_file": storage.kek.file().map(|file| file.display().to_string()),
            "tiers": tiers(storage),
        }),
    );
    if !made {
        return Ok(outcome);
    }
    outcome.warnings.extend(without_kek(storage));
    outcome.warnings.push(
        "keep a copy of each key-encryption key apart from backups of data and key ring: without it nothing \
         opens, and beside them it protects nothing"
            .to_owned(),
    );
    Ok(outcome)
}

/// Where the key-encryption keys of tiers are, in words.
fn beside(storage: &Storage) -> String {
    let of_tiers = Tier::ALL.into_iter().filter_map(|tier| {
        let source = tiers::source(storage, tier)?;
        Some(format!(", of tier {} {}", tier.word(), kek::place(source)))
    });
    of_tiers.collect()
}

/// The same for programs: the file of each, where it is one.
fn tiers(storage: &Storage) -> Value {
    let of_tiers = Tier::ALL.into_iter().filter_map(|tier| {
        let file = tiers::source(storage, tier)?.file();
        Some(json!({ "tier": tier.word(), "kek_file": file.map(|file| file.display().to_string()) }))
    });
    of_tiers.collect()
}

/// Makes what is missing of tiers' key-encryption keys.
fn of_tiers(storage: &Storage) -> Result<Outcome, Refusal> {
    let made = tiers::make_missing(storage, &mut random::generator()?)?;
    let words: Vec<&str> = made.iter().map(|tier| tier.word()).collect();
    let text = if words.is_empty() {
        "nothing to make: no tier's key-encryption key is missing".to_owned()
    } else {
        format!("made the key-encryption keys of tiers: {}", words.join(", "))
    };
    let fields = json!({ "made": !words.is_empty(), "tiers": tiers(storage), "made_for": words });
    let mut outcome = Outcome::new(text, fields);
    if !made.is_empty() {
        outcome.warnings.push(
            "the next start takes their keys over from the main key ring; older copies of it hold them until its key-encryption \
             key is rotated (tidegate key rotate-kek). Keep a copy of each new key apart from the others and from backups"
                .to_owned(),
        );
    }
    outcome.warnings.extend(without_kek(storage));
    Ok(outcome)
}

/// A warning for each tier whose keys lie among those of messages.
pub(super) fn without_kek(storage: &Storage) -> impl Iterator<Item = String> + '_ {
    let plain = Tier::ALL.into_iter();
    let plain = plain.filter(|tier| tiers::source(storage, *tier).is_none());
    plain.map(|tier| {
        let word = tier.word();
        format!(
            "tier {word} has no key-encryption key of its own (storage.{word}_kek_file): what opens messages opens its records, \
             too (ENC-5)"
        )
    })
}
