//! A new configuration for a gateway that runs: read, checked, compared, and taken over in one step between two turns,
//! or refused as a whole with every reason (design §6).
//!
//! Accounts and carriers keep their places for as long as the process lives: whatever holds a place, a link, a promise
//! or a queue, means the same one before and after. New ones come behind; what the file no longer has stays where it is,
//! marked as removed, with the values that it had last, and gets its place back should it return.

mod apply;
mod file;
mod left_over;
mod ordered;

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use hashbrown::HashMap;
use rand_chacha::ChaCha20Rng;
use serde_json::{Map, Value, json};
use tidegate_config::{CarrierName, Change, Config, Diff, Listener, Problem};
use tidegate_store::audit::{Actor, Entry, Field, Kind, Value as Detail, WORDS_MAX, Word};
use tidegate_store::disk::Disk;
use tokio::sync::watch;

use crate::audit::{AuditHandle, exceptions};
use crate::control::not_done;
use crate::credentials::{Bounds, Verifier};
use crate::keeping::Keeping;
use crate::run::bind;
use crate::serve::Hub;
use crate::telemetry::words::ReloadResult;
use crate::tls::Tls;
use crate::{connect, listen};

pub(crate) use file::passwords;
use file::{Read, read};

/// Lines of changes or reasons that one line of the log holds.
const LOGGED_MAX: usize = 50;

fn some_of(lines: &[String]) -> &[String] {
    lines.get(..LOGGED_MAX).unwrap_or(lines)
}

/// Why a reload is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// For who asks.
    pub text: String,
    /// For the log: what is wrong with a file often repeats a value of it, and that may be a number (P4).
    logged: Option<String>,
}

impl From<String> for Reason {
    fn from(text: String) -> Self {
        Self { text, logged: None }
    }
}

impl From<&Problem> for Reason {
    fn from(problem: &Problem) -> Self {
        let file = problem.file.as_ref();
        let file = file.map_or(String::new(), |file| format!("{}: ", file.display()));
        let line = problem
            .line
            .map_or(String::new(), |line| format!("line {line}: "));
        Self {
            text: problem.to_string(),
            logged: Some(format!(
                "{file}{line}{}: `tidegate check` says what is wrong",
                problem.key
            )),
        }
    }
}

/// What became of a reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What differs, one line each; nothing where the file could not be read.
    pub changes: Vec<String>,
    /// Why it is refused; nothing where it is not.
    pub reasons: Vec<Reason>,
    /// Whether the file holds from now on.
    pub is_applied: bool,
}

impl Outcome {
    fn refused(reasons: Vec<Reason>) -> Self {
        Self {
            changes: Vec::new(),
            reasons,
            is_applied: false,
        }
    }

    /// As the control socket says it.
    pub fn shown(self) -> Map<String, Value> {
        let reasons: Vec<String> = self.reasons.into_iter().map(|reason| reason.text).collect();
        [
            ("applied", json!(self.is_applied)),
            ("changes", json!(self.changes)),
            ("reasons", json!(reasons)),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
    }
}

/// Reloads one gateway. Belongs to the loop's thread.
pub struct Reloader<D: Disk> {
    hub: Rc<Hub<D>>,
    path: Option<PathBuf>,
    /// As the file had it when it was last taken over.
    config: Arc<Config>,
    /// What its files of certificates and keys made then.
    tls: Tls,
    verifier: Verifier,
    audit: AuditHandle,
    rng: ChaCha20Rng,
    stopped: watch::Receiver<bool>,
}

impl<D: Disk + 'static> Reloader<D> {
    /// A reloader of what `hub` runs: with `config` and what its files of certificates and keys made, from the file at `path`.
    pub fn new(
        hub: Rc<Hub<D>>,
        path: Option<PathBuf>,
        (config, tls): (Arc<Config>, Tls),
        verifier: Verifier,
        audit: AuditHandle,
        rng: ChaCha20Rng,
        stopped: watch::Receiver<bool>,
    ) -> Self {
        Self {
            hub,
            path,
            config,
            tls,
            verifier,
            audit,
            rng,
            stopped,
        }
    }

    /// Reads the file again and takes it over, unless something speaks against it, or only says what would be. `meant`
    /// is the file that the asker means, if that is known, and `who` who asks.
    pub async fn reload(&mut self, dry_run: bool, meant: Option<&Path>, who: &Actor) -> Outcome {
        let outcome = self.try_reload(dry_run, meant, who).await;
        if !dry_run {
            self.note(&outcome);
            if !outcome.is_applied {
                let count = outcome.reasons.len() as u64;
                let entry = entry(Kind::ReloadRefused, who, &outcome.changes);
                let entry = entry.with(Field::Count, Detail::Count(count));
                if let Err(error) = self.audit.enter(vec![entry]).await {
                    tracing::error!(error, "a refused reload cannot be entered in the audit log");
                }
            }
        }
        outcome
    }

    async fn try_reload(&mut self, dry_run: bool, meant: Option<&Path>, who: &Actor) -> Outcome {
        let Some(path) = self.path.clone() else {
            return Outcome::refused(vec![
                "this gateway was not started from a file that could be read again"
                    .to_owned()
                    .into(),
            ]);
        };
        let (old, meant) = (Arc::clone(&self.config), meant.map(Path::to_owned));
        // Files may lie on a disk that is slow, and many accounts take their time: not here.
        let now = self.hub.look(|gate, _| Arc::clone(gate.config()));
        let clock = self.hub.clock().clone();
        let reading = tokio::task::spawn_blocking(move || read(&path, meant.as_deref(), &old, &now, &clock));
        let Read {
            config,
            diff,
            passwords,
            tables,
            tls,
        } = match reading.await {
            Ok(Ok(read)) => read,
            Ok(Err(reasons)) => return Outcome::refused(reasons),
            Err(error) => return Outcome::refused(vec![not_done(&error).to_owned().into()]),
        };
        let mut changes: Vec<String> = diff.changes().iter().map(Change::to_string).collect();
        let is_priced = |carrier: &tidegate_config::Carrier| carrier.prices.is_some();
        let has_tables = config.tables.networks.is_some() || config.carriers.iter().any(is_priced);
        if has_tables {
            changes.push("tables: read again".to_owned());
        }
        changes.extend(
            self.hub
                .look(|gate, _| gate.other_passwords(&config, &passwords, &diff)),
        );
        changes.extend(self.other_certificates(&config, &tls, &diff));
        changes.extend(
            self.hub
                .look(|gate, _| gate.orders_without_a_name(&diff.carriers.removed, &diff.accounts.removed)),
        );
        let mut reasons: Vec<Reason> = diff
            .restart_only()
            .map(|change| {
                let why = change.needs_restart.unwrap_or_default();
                Reason::from(format!("{} changes with a restart only: {why}", change.key))
            })
            .collect();
        let removed = left_over::without_a_taker(&diff.carriers.removed, &config);
        reasons.extend(self.left_over(&removed).await);
        reasons.extend(self.halted(&diff.carriers.removed, &config));
        // Sockets are opened before anything changes: an address that is not to be had is a reason, too.
        let mut sockets = Vec::new();
        for (Listener { address, .. }, tls) in config.listen.iter().zip(&tls.listen) {
            if !self.hub.listeners.has(*address) {
                match bind(*address) {
                    Ok(socket) => sockets.push((*address, socket, tls.clone())),
                    Err(error) => reasons.push(error.to_string().into()),
                }
            }
        }
        if self.hub.look(|gate, _| gate.is_stopping()) {
            reasons.push("the gateway ends".to_owned().into());
        }
        if dry_run || !reasons.is_empty() {
            return Outcome {
                changes,
                reasons,
                is_applied: false,
            };
        }
        // Before its effect can be seen (AUD-1), and without it there is none (AUD-6).
        let mut entries = entries(who, &changes);
        let now_ms = self.hub.now().unix_ms;
        entries.extend(exceptions::other(&self.config, &config, who, now_ms));
        let entered = self.audit.enter(entries).await;
        // No order is half given while it is taken over.
        let orders = self.hub.orders();
        let _orders = match &orders {
            Some(orders) => Some(orders.turn().await),
            None => None,
        };
        if let Err(why) = entered {
            reasons.push(why.into());
        } else {
            // Meanwhile more may have come.
            reasons.extend(self.left_over(&removed).await);
            reasons.extend(self.halted(&diff.carriers.removed, &config));
            if self.hub.look(|gate, _| gate.is_stopping()) {
                reasons.push("the gateway ends".to_owned().into());
            }
        }
        if !reasons.is_empty() {
            return Outcome {
                changes,
                reasons,
                is_applied: false,
            };
        }
        // Nothing is awaited from here on: what was found holds.
        let taken = self.hub.with_gate(|gate, now| {
            gate.reconfigure(now, &config, passwords, has_tables || diff.has_other_ways())
        });
        if taken.is_err() {
            reasons.push(
                "more names of accounts and carriers than a process can number: restart it"
                    .to_owned()
                    .into(),
            );
            return Outcome {
                changes,
                reasons,
                is_applied: false,
            };
        }
        let keeping = self.hub.look(|gate, _| gate.keeping().cloned());
        // How late it is does not depend on what the file says.
        let (believed, closures) = keeping.as_ref().map_or_else(Default::default, |keeping| {
            (keeping.believed().clone(), keeping.closures().clone())
        });
        // What this process has had in its places: an account that the file no longer has keeps its last rules until a restart.
        let placed = self.hub.look(|gate, _| Arc::clone(gate.config()));
        let claims = keeping.map_or_else(Default::default, |keeping| Arc::clone(keeping.claims()));
        let keeping = Keeping::new(&placed, Arc::clone(&tables), believed, closures);
        let keeping = Arc::new(keeping.with_claims(claims));
        let others = self.hub.look(|gate, _| {
            gate.set_keeping(&keeping);
            gate.replace_tables(tables)
        });
        // The system takes milliseconds to get a hundred megabytes back.
        drop(tokio::task::spawn_blocking(move || drop(others)));
        self.verifier
            .set_accounts(&config.accounts, Bounds::from(&config.limits));
        self.hub.set_pacing(config.storage.turn_pacing);
        for (address, socket, tls) in sockets {
            if let Err(error) = listen::open(&self.hub, address, socket, tls, &self.stopped) {
                tracing::error!(%error, %address, "cannot listen");
            }
        }
        self.hub.listeners.close_others(&config.listen);
        self.hub.slots.set_tls(&config.carriers, &tls.carriers);
        self.hub.listeners.set_tls(&config.listen, &tls.listen);
        self.hub.seal_admin(tls.admin_seal(&config, self.hub.clock()));
        let certificates = tls.certificates(&config);
        let exceptions = config.exceptions();
        self.hub.look(|gate, _| {
            gate.set_certificates(certificates);
            gate.set_exceptions(exceptions);
        });
        self.tls = tls;
        connect::fill(&self.hub, &mut self.rng, &self.stopped);
        let rules = config.audit.clone();
        self.config = Arc::new(config);
        self.audit.set_rules(rules).await;
        // Sockets are closed by their own tasks: before it is said that it is so.
        tokio::task::yield_now().await;
        Outcome {
            changes,
            reasons,
            is_applied: true,
        }
    }

    /// Listeners and carriers whose files hold others although the configuration says the same of them.
    fn other_certificates(&self, new: &Config, tls: &Tls, diff: &Diff) -> Vec<String> {
        let is_told = |key: &str| diff.changes().iter().any(|change| change.key == key);
        let before = self.config.listen.iter().zip(&self.tls.listen);
        let mut changes = Vec::new();
        for (place, (listener, made)) in new.listen.iter().zip(&tls.listen).enumerate() {
            let mut before = before.clone();
            let was = before.find(|(before, _)| before.address == listener.address);
            let is_other = was.is_some_and(|(before, was)| before == listener && was != made);
            if is_other && !is_told(&format!("listen[{place}]")) {
                changes.push(format!("listen[{place}].tls: changed where it is kept"));
            }
        }
        if self.config.http == new.http && self.tls.admin != tls.admin {
            changes.push("http.admin_tls: changed where it is kept".to_owned());
        }
        let before: HashMap<_, _> = self
            .config
            .carriers
            .iter()
            .zip(&self.tls.carriers)
            .map(|(carrier, made)| (&carrier.name, made))
            .collect();
        for (carrier, made) in new.carriers.iter().zip(&tls.carriers) {
            let key = format!("carrier.{}.tls", carrier.name);
            let is_other = before.get(&carrier.name).is_some_and(|was| *was != made);
            if is_other && !is_told(&key) {
                changes.push(format!("{key}: changed where it is kept"));
            }
        }
        changes
    }

    /// What speaks against carriers that go while work of theirs is left.
    async fn left_over(&self, removed: &[CarrierName]) -> Vec<Reason> {
        let looked = left_over::look(&self.hub, removed).await;
        let left_over = self.hub.look(|gate, _| gate.left_over(&looked));
        left_over.into_iter().map(Reason::from).collect()
    }

    /// What speaks against carriers that go to others while an operator has halted them.
    fn halted(&self, removed: &[CarrierName], new: &Config) -> Vec<Reason> {
        let halted = self.hub.look(|gate, _| gate.halted_and_taken_over(removed, new));
        halted.into_iter().map(Reason::from).collect()
    }

    /// Counts and logs it.
    fn note(&self, outcome: &Outcome) {
        let result = if outcome.is_applied {
            ReloadResult::Applied
        } else {
            ReloadResult::Refused
        };
        self.hub.look(|gate, now| {
            let tally = gate.tally_mut();
            tally.reloads.add(result);
            if outcome.is_applied {
                tally.reloaded_ms = now.unix_ms;
            }
        });
        if outcome.is_applied {
            let (changes, count) = (some_of(&outcome.changes), outcome.changes.len());
            tracing::info!(count, ?changes, "configuration reloaded");
        } else {
            let reasons = outcome.reasons.iter();
            let reasons: Vec<String> = reasons
                .map(|reason| reason.logged.as_ref().unwrap_or(&reason.text).clone())
                .collect();
            let (reasons, count) = (some_of(&reasons), reasons.len());
            tracing::warn!(count, ?reasons, "reload refused: nothing is changed");
        }
    }
}

/// What the audit log holds of a reload: the keys that differ, not what they differ in.
fn entry(kind: Kind, who: &Actor, changes: &[String]) -> Entry {
    let key = |change: &String| Word::new(change.split_once(": ").map_or(change.as_str(), |(key, _)| key));
    let words: Vec<Word> = changes.iter().take(WORDS_MAX).map(key).collect();
    let more = (changes.len() - words.len()) as u64;
    let entry = Entry::new(kind, who.clone()).with(Field::Keys, Detail::Words(words));
    match more {
        0 => entry,
        more => entry.with(Field::More, Detail::Count(more)),
    }
}

/// That a configuration is taken over, and if instructions change that apart (AUD-1).
fn entries(who: &Actor, changes: &[String]) -> Vec<Entry> {
    let is_instruction = |change: &&String| change.starts_with("instructions");
    let instructions: Vec<String> = changes.iter().filter(is_instruction).cloned().collect();
    let mut entries = vec![entry(Kind::ReloadApplied, who, changes)];
    if !instructions.is_empty() {
        entries.push(entry(Kind::InstructionChanged, who, &instructions));
    }
    entries
}
