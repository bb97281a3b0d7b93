//! `tidegate key`: the key that wraps the keys, and the generations of the key under which people who have opted out are known.

use std::fmt::Write as _;

use clap::Subcommand;
use serde_json::{Map, Value, json};
use tidegate_config::{Config, Storage};
use tidegate_store::audit::{Audit, Entry, Made, signer};
use tidegate_store::disk::{Disk as _, RealDisk};
use tidegate_store::history::Kept;
use tidegate_store::keyring::{Kek, KeyRing, KeyRingError, PIECE, Progress, Tier};

use super::{ConfigFile, Outcome, Refusal, read_config};
use crate::clock::Clock;
use crate::control::{self, AskError, Retain};
use crate::installation::{self, Installation, tiers};
use crate::keeper::rotation::{self, shown};
use crate::kek::{self, NewKek};
use crate::random;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Show which key-encryption key wraps the ring of the running gateway, and how far a rotation is.
    Show(ConfigFile),
    /// Have all keys of a ring wrapped anew under another key-encryption key, in the running gateway, or on the files where
    /// none runs; one that was interrupted goes on.
    RotateKek(Args),
    /// Have what is kept of finished messages sealed anew under other keys, in the running gateway, and the old keys
    /// destroyed; one that was interrupted goes on.
    RotateData {
        #[command(flatten)]
        file: ConfigFile,
        /// Only what is this account's.
        #[arg(long, value_name = "SYSTEM_ID")]
        account: Option<String>,
        /// Only this class: meta or body.
        #[arg(long, value_parser = super::hold::class)]
        class: Option<Kept>,
    },
    /// Make a new generation of the key under which people who have opted out, or consented, are known; older ones live on.
    RotateSuppression(RotateSuppression),
    /// Destroy the oldest generation of that key, where nothing needs it any more.
    RetireSuppression(RetireSuppression),
}

#[derive(Debug, clap::Args)]
pub(super) struct RotateSuppression {
    #[command(flatten)]
    file: ConfigFile,
    /// Have everybody go by the newest generation whose number an account may still see, and do not wait for messages to them.
    #[arg(long)]
    rewrite: bool,
    /// Make no new generation: only --rewrite.
    #[arg(long, requires = "rewrite")]
    no_new: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct RetireSuppression {
    #[command(flatten)]
    file: ConfigFile,
    /// Its number, as `tidegate key show` has it.
    generation: u8,
}

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    file: ConfigFile,
    /// Of a tier's ring: legal or subrec. Without it that of messages.
    #[arg(long, value_name = "TIER")]
    tier: Option<Tier>,
    #[command(flatten)]
    new: NewKek,
}

pub(super) fn run(verb: &Verb) -> Result<Outcome, Refusal> {
    match verb {
        Verb::Show(file) => {
            let storage = read_config(&file.config)?.storage;
            let fields = control::ask(&storage.data, &control::Verb::KekState)?;
            let has_failed = rings(&fields).any(|ring| ring.get("failed").is_some_and(|why| !why.is_null()));
            Ok(Outcome {
                text: format!("{}{}{}", told(&fields), of_tiers(&fields), generations(&fields)),
                failed: has_failed,
                fields,
                ..Outcome::default()
            })
        }
        Verb::RotateKek(args) => rotate(args),
        Verb::RotateData { file, account, class } => {
            let (account, class) = (account.clone(), *class);
            super::sweep::run(file, Retain::RotateData { account, class })
        }
        Verb::RotateSuppression(args) => {
            let data = read_config(&args.file.config)?.storage.data;
            let mut fields = Map::new();
            if !args.no_new {
                fields = control::ask(&data, &control::Verb::RotateSuppression)?;
            }
            if args.rewrite {
                fields = control::ask(&data, &control::Verb::RewriteSuppression)?;
            }
            Ok(of_generations(fields))
        }
        Verb::RetireSuppression(args) => {
            let data = read_config(&args.file.config)?.storage.data;
            let verb = control::Verb::RetireSuppression(args.generation);
            let mut outcome = of_generations(control::ask(&data, &verb)?);
            outcome.warnings.push(
                "an earlier copy of the key ring holds the generation still: it opens to nobody once the key-encryption \
                 key has been rotated, too (tidegate key rotate-kek)"
                    .to_owned(),
            );
            Ok(outcome)
        }
    }
}

fn of_generations(fields: Map<String, Value>) -> Outcome {
    Outcome {
        text: generations(&fields).trim_start().to_owned(),
        fields,
        ..Outcome::default()
    }
}

/// How the rings stand: the main one, and those of tiers.
fn rings(fields: &Map<String, Value>) -> impl Iterator<Item = &Map<String, Value>> {
    let tiers = fields.get("tiers").and_then(Value::as_array);
    let tiers = tiers.into_iter().flatten().filter_map(Value::as_object);
    std::iter::once(fields).chain(tiers)
}

/// A line for each ring of a tier.
fn of_tiers(fields: &Map<String, Value>) -> String {
    let tiers = rings(fields).skip(1);
    tiers.map(|ring| format!("\n{}", told(ring))).collect()
}

/// A line for each generation of the suppression key.
fn generations(fields: &Map<String, Value>) -> String {
    let all = fields.get("suppression").and_then(Value::as_array);
    let mut text = String::new();
    for one in all.into_iter().flatten() {
        let number = |key: &str| one.get(key).and_then(Value::as_u64).unwrap_or(0);
        // A String takes everything.
        let _ = write!(
            text,
            "\nsuppression key, generation {}: {} opted out, {} with a consent, {} otherwise remembered, {} senders, {} \
             messages that count towards caps",
            number("generation"),
            number("opt_outs"),
            number("consents"),
            number("others"),
            number("senders"),
            number("counted"),
        );
    }
    text
}

fn rotate(args: &Args) -> Result<Outcome, Refusal> {
    let config = read_config(&args.file.config)?;
    let source = args.new.source().map_err(|why| Refusal::new(why, json!({})))?;
    let source = source.ok_or_else(|| {
        Refusal::new(
            "name the new key-encryption key with --new-kek-file, --new-kek-env or --new-kek-command",
            json!({}),
        )
    })?;
    let new = control::NewKek::new(kek::octets(&RealDisk, &source)?);
    let verb = control::Verb::RotateKek(args.tier, new.clone());
    let data = &config.storage.data;
    let fields = match control::ask(data, &verb) {
        Ok(ended) => ended,
        Err(AskError::NotRunning { .. }) => on_files(&config, args.tier, &new)?,
        Err(error) => return Err(error.into()),
    };
    let mut outcome = Outcome {
        text: told(&fields),
        fields,
        ..Outcome::default()
    };
    let key = args.tier.map_or("kek", |tier| match tier {
        Tier::Legal => "legal_kek",
        Tier::Subrec => "subrec_kek",
    });
    outcome.warnings.push(format!(
        "before the next start put the new key-encryption key where the configuration looks for it (storage.{key}_file, {key}_env \
         or {key}_command); then destroy every copy of the old one: until that is done, who kept an earlier copy of the ring opens \
         what it opened"
    ));
    Ok(outcome)
}

/// The same without a gateway, under the lock of its data directory.
fn on_files(
    config: &Config,
    tier: Option<Tier>,
    new: &control::NewKek,
) -> Result<Map<String, Value>, Refusal> {
    let (mut rng, now_ms) = (random::generator()?, Clock::machine().now().unix_ms);
    let storage = Storage {
        auto_init: false,
        ..config.storage.clone()
    };
    let given = Kek::new(new.octets());
    let (
        Installation {
            lock: _lock,
            mut ring,
            ..
        },
        mut audit,
    ) = installation::open(
        &storage,
        vec![given],
        now_ms,
        &mut rng,
        |ring, _, rng| {
            let dir = installation::audit_dir(&storage);
            RealDisk.create_dir_all(&dir)?;
            let origin = config.audit.origin(&config.node);
            let (signer, made) = signer(&RealDisk, &dir, ring, &origin, now_ms, rng)?;
            let (mut audit, _) = Audit::open(RealDisk, &dir, signer)?;
            if made != Made::Found {
                audit.append(
                    now_ms,
                    &rotation::entry(None, &ring.kek_state(), "signing key made"),
                )?;
            }
            // Before anything is made or moved that could not be entered (AUD-6).
            audit.sync()?;
            Ok::<_, Refusal>(audit)
        },
        |audit, tier, step| {
            audit.append(now_ms, &tiers::entry(tier, step))?;
            audit.sync()?;
            Ok(())
        },
    )?;
    let mut enter = |entry: &Entry| {
        audit.append(now_ms, entry)?;
        audit.sync()
    };
    // One that was interrupted in another ring is gone on with by the next start.
    let state = |ring: &KeyRing<RealDisk>| {
        let part = ring.part(tier).map(KeyRing::kek_state);
        part.ok_or_else(|| KeyRingError::NoTier {
            tier: tier.map_or("", Tier::word),
        })
    };
    let what = if state(&ring)?.next.is_some() {
        rotation::GOES_ON
    } else {
        rotation::BEGINS
    };
    match ring.may_rotate(tier, &Kek::new(new.octets())) {
        // It had come to its end, but for saying so.
        Err(KeyRingError::SameKek { .. }) => return Ok(shown(tier, &state(&ring)?, None)),
        may => may?,
    }
    enter(&rotation::entry(tier, &state(&ring)?, what))?;
    ring.begin_rotation_of(tier, Kek::new(new.octets()), now_ms, &mut rng)?;
    loop {
        let before = state(&ring)?;
        if let Some(Progress::Goes(_)) = ring.rotate_piece_of(tier, PIECE, &mut rng)? {
            continue;
        }
        let state = state(&ring)?;
        enter(&rotation::ended(tier, &before, state.rotated))?;
        return Ok(shown(tier, &state, None));
    }
}

fn told(fields: &Map<String, Value>) -> String {
    let number = |key: &str| fields.get(key).and_then(Value::as_u64).unwrap_or(0);
    let fingerprint = fields
        .get("fingerprint")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let tier = fields.get("tier").and_then(Value::as_str);
    let mut text = format!(
        "{}key-encryption key {}, fingerprint {fingerprint}",
        tier.map_or(String::new(), |tier| format!("tier {tier}: ")),
        number("number")
    );
    if let Some(Value::Object(next)) = fields.get("next") {
        let fingerprint = next
            .get("fingerprint")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let next = next.get("number").and_then(Value::as_u64).unwrap_or(0);
        let (done, slots) = (number("slots_done"), number("slots"));
        let _ = write!(
            text,
            "; key {next}, fingerprint {fingerprint}, is taking over: {done} of {slots} slots"
        );
    }
    if let Some(why) = fields.get("failed").and_then(Value::as_str) {
        let _ = write!(text, "; stopped until a restart: {why}");
    }
    text
}
