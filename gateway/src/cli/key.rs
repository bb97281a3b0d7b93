//! `tidegate key`: the key that wraps the keys.

use std::fmt::Write as _;

use clap::Subcommand;
use serde_json::{Map, Value, json};
use tidegate_config::{Config, Storage};
use tidegate_store::audit::{Audit, Entry, Made, signer};
use tidegate_store::disk::{Disk as _, RealDisk};
use tidegate_store::history::Kept;
use tidegate_store::keyring::{Kek, KeyRingError, PIECE, Progress};

use super::{ConfigFile, Outcome, Refusal, read_config};
use crate::clock::Clock;
use crate::control::{self, AskError, Retain};
use crate::installation::{self, Installation};
use crate::keeper::rotation::{self, shown};
use crate::kek::{self, NewKek};
use crate::random;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Show which key-encryption key wraps the ring of the running gateway, and how far a rotation is.
    Show(ConfigFile),
    /// Have all keys wrapped anew under another key-encryption key, in the running gateway, or on the files where none
    /// runs; one that was interrupted goes on.
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
}

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    file: ConfigFile,
    #[command(flatten)]
    new: NewKek,
}

pub(super) fn run(verb: &Verb) -> Result<Outcome, Refusal> {
    match verb {
        Verb::Show(file) => {
            let storage = read_config(&file.config)?.storage;
            let fields = control::ask(&storage.data, &control::Verb::KekState)?;
            Ok(Outcome {
                text: told(&fields),
                failed: fields.get("failed").is_some_and(|why| !why.is_null()),
                fields,
                ..Outcome::default()
            })
        }
        Verb::RotateKek(args) => rotate(args),
        Verb::RotateData { file, account, class } => {
            let (account, class) = (account.clone(), *class);
            super::sweep::run(file, Retain::RotateData { account, class })
        }
    }
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
    let verb = control::Verb::RotateKek(new.clone());
    let data = &config.storage.data;
    let fields = match control::ask(data, &verb) {
        Ok(ended) => ended,
        Err(AskError::NotRunning { .. }) => on_files(&config, &new)?,
        Err(error) => return Err(error.into()),
    };
    let mut outcome = Outcome {
        text: told(&fields),
        fields,
        ..Outcome::default()
    };
    outcome.warnings.push(
        "before the next start put the new key-encryption key where the configuration looks for it; then destroy \
         every copy of the old one: until that is done, who kept an earlier copy of the ring opens what it opened"
            .to_owned(),
    );
    Ok(outcome)
}

/// The same without a gateway, under the lock of its data directory.
fn on_files(config: &Config, new: &control::NewKek) -> Result<Map<String, Value>, Refusal> {
    let (mut rng, now_ms) = (random::generator()?, Clock::machine().now().unix_ms);
    let storage = Storage {
        auto_init: false,
        ..config.storage.clone()
    };
    let given = Kek::new(new.octets());
    let Installation {
        lock: _lock,
        mut ring,
        ..
    } = installation::open(&storage, Some(given), now_ms, &mut rng)?;
    let dir = installation::audit_dir(&storage);
    RealDisk.create_dir_all(&dir)?;
    let origin = config.audit.origin(&config.node);
    let (signer, made) = signer(&RealDisk, &dir, &mut ring, &origin, now_ms, &mut rng)?;
    let (mut audit, _) = Audit::open(RealDisk, &dir, signer)?;
    let mut enter = |entry: &Entry| {
        audit.append(now_ms, entry)?;
        audit.sync()
    };
    if made != Made::Found {
        enter(&rotation::entry(&ring.kek_state(), "signing key made"))?;
    }
    let what = if ring.is_rotating() {
        rotation::GOES_ON
    } else {
        rotation::BEGINS
    };
    enter(&rotation::entry(&ring.kek_state(), what))?;
    match ring.begin_rotation(Kek::new(new.octets()), now_ms, &mut rng) {
        // It had come to its end, but for saying so.
        Err(KeyRingError::SameKek { .. }) => return Ok(shown(&ring.kek_state(), None)),
        begun => begun?,
    }
    loop {
        let before = ring.kek_state();
        if let Some(Progress::Goes(_)) = ring.rotate_piece(PIECE, &mut rng)? {
            continue;
        }
        let state = ring.kek_state();
        enter(&rotation::ended(&before, state.rotated))?;
        return Ok(shown(&state, None));
    }
}

fn told(fields: &Map<String, Value>) -> String {
    let number = |key: &str| fields.get(key).and_then(Value::as_u64).unwrap_or(0);
    let fingerprint = fields
        .get("fingerprint")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let mut text = format!(
        "key-encryption key {}, fingerprint {fingerprint}",
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
