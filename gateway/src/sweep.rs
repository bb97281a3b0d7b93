//! The retention sweep (compliance.md §7 RET-6 to RET-9, §8): what rules say is due is made unreadable for good, and
//! removed.
//!
//! What is due has been gone for every reader from that instant on (RET-4). The sweep follows: it goes through the
//! files of history and asks of each *lot*, which is what lies under one key, whether all of it is due. Then, some lots
//! at a time, so that each step may be the last before a kill (RET-7):
//!
//! 1. *begun*: an entry of the audit log for each lot, with its key;
//! 2. the note of the sweep names the lots;
//! 3. the statistics get what they add up to, where they are de-identified, and the keys are destroyed: one order;
//! 4. *erased*: an entry for each lot, the certificate of its erasure (ERA-6): what, how much, which key;
//! 5. when no lot of a file has its key any more, the note names the file, the file goes, and an entry says *removed*.
//!
//! Whatever was in the note when a run ended before its last step is settled first in the next one: keys that are still
//! there are redone from the first step, for keys that are gone the entry is made that is missing. Whether it is
//! missing says the audit log itself, so that each is there once. Files whose lots have no keys are removed by
//! whichever run meets them.

mod clock;
mod closed;
mod consents;
mod entries;
mod held;
mod note;
mod numbers;
mod people;
mod plan;
mod rotate;
mod run;

use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tidegate_codec::identity::SystemId;
use tidegate_config::Storage;
use tidegate_store::disk::Disk;
use tidegate_store::history::{Kept, sweep_note};
use tokio::sync::{mpsc, oneshot};

use crate::audit::AuditHandle;
use crate::control::Answer;
use crate::installation;
use crate::keeping::Believed;
use crate::serve::Hub;
use crate::telemetry::SweepMetrics;

use clock::Guard;
use note::{Note, Pending};
pub(crate) use plan::plan;
pub use rotate::Rotating;
use rotate::Rotation;

/// How often it is looked whether the clock has jumped and a sweep is due.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// How long after one that failed the next is tried.
const RETRY: Duration = Duration::from_secs(60);
/// What lies between two lots whose keys are rotated, for all others who want something of the keeper.
const ROTATE_PAUSE: Duration = Duration::from_millis(10);
/// Requests that wait for the sweep that runs.
const ORDERS_MAX: usize = 4;

/// What is wanted of the sweep.
#[derive(Debug)]
pub enum SweepOrder {
    /// A run now, which also erases what is kept of that account, if it is in no configuration; the answer says what it
    /// did.
    Run(Option<SystemId>, oneshot::Sender<Answer>),
    /// Another key for each living lot, of one account or class only where that is said; the answer comes with the end.
    RotateData(Option<SystemId>, Option<Kept>, oneshot::Sender<Answer>),
    /// The clock is right.
    ConfirmClock(oneshot::Sender<Answer>),
}

/// Both ends of the way to the sweep.
pub fn ends() -> (mpsc::Sender<SweepOrder>, mpsc::Receiver<SweepOrder>) {
    mpsc::channel(ORDERS_MAX)
}

/// Where its files are.
#[derive(Clone, Debug)]
pub struct Place<D> {
    /// The disk.
    pub disk: D,
    /// The directory of history.
    pub history: PathBuf,
    /// The directory of the audit log.
    pub audit: PathBuf,
}

impl<D> Place<D> {
    /// Those of an installation.
    pub fn new(disk: D, storage: &Storage) -> Self {
        Self {
            disk,
            history: installation::history_dir(storage),
            audit: installation::audit_dir(storage),
        }
    }
}

/// What a start has found of the sweep before it.
#[derive(Debug)]
pub struct Found {
    pending: Option<Pending>,
    rotating: Option<Rotating>,
    /// How late it was then, or the clock where no sweep has ever been.
    pub believed: Believed,
}

impl Found {
    /// Reads the note of the sweep. One that cannot be read is told in the log, and the clock is not believed then, for
    /// nobody knows how late it has been: `tidegate retention confirm-clock`. Blocks.
    pub fn read<D: Disk>(place: &Place<D>, now_ms: u64) -> Self {
        let note = sweep_note(&place.disk, &place.history)
            .map_err(|error| error.to_string())
            .and_then(|octets| octets.map(|octets| Note::read(&octets)).transpose());
        match note {
            Ok(Some(Note {
                seen_ms,
                pending,
                rotating,
            })) => Self {
                pending,
                rotating,
                believed: Believed::since(seen_ms),
            },
            Ok(None) => Self {
                pending: None,
                rotating: None,
                believed: Believed::since(now_ms),
            },
            Err(why) => {
                tracing::error!(
                    why,
                    "the note of the retention sweep cannot be read: no sweep before the clock is confirmed"
                );
                Self {
                    pending: None,
                    rotating: None,
                    believed: Believed::since(0),
                }
            }
        }
    }
}

/// What runs.
pub struct Sweep<D: Disk> {
    hub: Rc<Hub<D>>,
    audit: AuditHandle,
    place: Place<D>,
    metrics: SweepMetrics,
    guard: Guard,
    /// What is in the note and not known to be done.
    pending: Option<Pending>,
    /// What the note has of a rotation of data keys.
    rotating: Option<Rotating>,
    rotation: Option<Rotation>,
    /// When the journal was looked through for consents that are over, in unix milliseconds.
    consents_ms: Option<u64>,
}

impl<D: Disk> Sweep<D> {
    /// Of what a start has found; nothing is swept before [`tend`] is run, or [`Sweep::run`].
    pub fn new(
        hub: Rc<Hub<D>>,
        audit: AuditHandle,
        place: Place<D>,
        found: Found,
        metrics: SweepMetrics,
    ) -> Self {
        let guard = Guard::new(found.believed, hub.clock());
        Self {
            hub,
            audit,
            place,
            metrics,
            guard,
            pending: found.pending,
            rotating: found.rotating,
            rotation: found.rotating.map(Rotation::new),
            consents_ms: None,
        }
    }

    /// Whether the clock is believed.
    fn look(&mut self) -> bool {
        let was_doubted = self.guard.is_doubted();
        let is_believed = self.guard.look(self.hub.clock());
        self.metrics.doubted.set(if is_believed { 0.0 } else { 1.0 });
        if !is_believed && !was_doubted {
            tracing::error!(
                "the clock has jumped forward by more than 24 hours: retention sweeps stop until it is set right, or \
                 `tidegate retention confirm-clock` says that it is"
            );
        }
        is_believed
    }

    /// The clock is right: what is due by it is due.
    ///
    /// # Errors
    ///
    /// The note cannot be written; it is believed until the next start.
    pub async fn confirm_clock(&mut self) -> Answer {
        let was_doubted = !self.look();
        self.guard.confirm(self.hub.clock());
        self.look();
        // Or a restart would ask again.
        self.write_note().await?;
        tracing::info!(was_doubted, "an operator has confirmed the clock");
        Ok(told(json!({ "was_doubted": was_doubted })))
    }
}

fn told(fields: Value) -> Map<String, Value> {
    match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

/// Sweeps at the start, then every `retention.sweep_every`, and when it is asked to. Never ends by itself.
pub async fn tend<D: Disk>(mut sweep: Sweep<D>, mut orders: mpsc::Receiver<SweepOrder>) {
    let mut every = tokio::time::interval(LOOK_EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut tried, mut wait) = (None, Duration::ZERO);
    loop {
        let order = tokio::select! {
            biased;
            order = orders.recv() => match order {
                Some(order) => Some(order),
                None => return,
            },
            _ = every.tick() => None,
            () = std::future::ready(()), if sweep.is_rotating() => {
                sweep.rotate_some().await;
                tokio::time::sleep(ROTATE_PAUSE).await;
                continue;
            }
        };
        sweep.count_matters().await;
        let now = sweep.hub.now().monotonic;
        match order {
            Some(SweepOrder::ConfirmClock(answer)) => {
                // Who has gone needs no answer.
                let _ = answer.send(sweep.confirm_clock().await);
                // What was due meanwhile goes at the next look.
                tried = None;
            }
            Some(SweepOrder::RotateData(account, class, answer)) => {
                sweep.begin_rotation(account, class, answer).await;
            }
            Some(SweepOrder::Run(forgotten, answer)) => {
                sweep.consents_ms = None;
                let done = sweep.run(forgotten).await;
                let _ = answer.send(done.map(|swept| told(swept.shown())));
            }
            None if tried.is_none_or(|tried| now >= tried + wait) => {
                let is_done = match sweep.run(None).await {
                    Ok(_) => true,
                    // That has been said.
                    Err(_) if sweep.guard.is_doubted() => false,
                    Err(why) => {
                        tracing::error!(why, "the retention sweep has not come to its end");
                        false
                    }
                };
                let every = sweep.hub.look(|gate, _| gate.config().retention.sweep_every);
                (tried, wait) = (Some(now), if is_done { every } else { RETRY.min(every) });
            }
            None => {
                sweep.look();
            }
        }
    }
}
