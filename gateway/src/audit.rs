//! The audit log of a gateway that runs: the keeper's thread writes it, others ask it to.
//!
//! What an operator does is entered and synced before its effect is visible (AUD-1); where that fails the deed is refused
//! (AUD-6). Binds are entered soon after, by the [notes](binds) that the gate takes: traffic does not wait for this log.
//! Requests that come together share one fdatasync.

mod back_off;
mod binds;
mod checkpoints;
mod drops;
pub(crate) mod exceptions;
mod log;
mod shown;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_checkpoints;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Map, Value};
use tidegate_config::Audit as Rules;
use tidegate_store::audit::Entry;
use tidegate_store::disk::Disk;
use tokio::sync::{mpsc, oneshot};

pub use binds::{BindNotes, note_binds};
pub use log::{Log, Place};
pub(crate) use shown::{actor, shown, told, typed, word};

/// Requests that wait for the keeper; who has more waits with them.
const REQUESTS_MAX: usize = 64;
/// How often it is looked whether a checkpoint is due, or a log that failed can be opened again.
const TEND_EVERY: Duration = Duration::from_secs(1);

/// How long the end waits for the last checkpoint to be dropped.
const LAST_DROP: Duration = Duration::from_secs(5);

/// Says of an instant, in unix milliseconds, whether what was entered then is over (AUD-5).
pub struct IsOver(Box<dyn Fn(u64) -> bool + Send>);

impl IsOver {
    /// By this.
    pub fn new(is_over: impl Fn(u64) -> bool + Send + 'static) -> Self {
        Self(Box::new(is_over))
    }
}

impl std::fmt::Debug for IsOver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IsOver")
    }
}

/// What is wanted of the log.
#[derive(Debug)]
pub enum Request {
    /// Enter these.
    Enter(Vec<Entry>, oneshot::Sender<Result<(), String>>),
    /// Sign a checkpoint now.
    Checkpoint(oneshot::Sender<Result<Map<String, Value>, String>>),
    /// Drop what is over.
    Age(IsOver, oneshot::Sender<Result<(), String>>),
    /// Checkpoints are to be made like this from now on.
    Rules(Box<Rules>),
}

/// The loop's end of the log.
#[derive(Clone, Debug)]
pub struct AuditHandle(mpsc::Sender<Request>);

/// Both ends.
pub fn ends() -> (AuditHandle, mpsc::Receiver<Request>) {
    let (sender, requests) = mpsc::channel(REQUESTS_MAX);
    (AuditHandle(sender), requests)
}

impl AuditHandle {
    /// Enters entries; they are on disk when this returns.
    ///
    /// # Errors
    ///
    /// In words for an operator; what was to be entered must not be done.
    pub async fn enter(&self, entries: Vec<Entry>) -> Result<(), String> {
        self.ask(|answer| Request::Enter(entries, answer)).await
    }

    /// Signs a checkpoint over all that is entered.
    ///
    /// # Errors
    ///
    /// In words for an operator.
    pub async fn checkpoint(&self) -> Result<Map<String, Value>, String> {
        self.ask(Request::Checkpoint).await
    }

    /// Drops entries that are over, whole files of them, and enters that it does.
    ///
    /// # Errors
    ///
    /// In words for an operator; what has not gone goes the next time.
    pub async fn age(&self, is_over: IsOver) -> Result<(), String> {
        self.ask(|answer| Request::Age(is_over, answer)).await
    }

    /// Has checkpoints made in another way.
    pub async fn set_rules(&self, rules: Rules) {
        // A keeper that is gone makes none.
        let _ = self.0.send(Request::Rules(Box::new(rules))).await;
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, String>>) -> Request,
    ) -> Result<T, String> {
        let gone = || "the gateway ends".to_owned();
        let (answer, answered) = oneshot::channel();
        self.0.send(request(answer)).await.map_err(|_| gone())?;
        answered.await.unwrap_or_else(|_| Err(gone()))
    }
}

/// Writes what is asked for until nobody can ask any more, and then the end. On the keeper's thread.
pub async fn run<D: Disk>(log: Rc<RefCell<Log<D>>>, mut requests: mpsc::Receiver<Request>) {
    let mut every = tokio::time::interval(TEND_EVERY);
    let dropped = log.borrow().drops_told();
    loop {
        tokio::select! {
            biased;
            request = requests.recv() => {
                let Some(request) = request else { break };
                let mut group = vec![request];
                while let Ok(request) = requests.try_recv() {
                    group.push(request);
                }
                log.borrow_mut().answer(group);
            }
            () = dropped.notified() => log.borrow_mut().hear_drops(),
            _ = every.tick() => log.borrow_mut().tend(),
        }
    }
    log.borrow_mut().end();
    let last = async {
        while log.borrow().is_dropping() {
            dropped.notified().await;
            log.borrow_mut().hear_drops();
        }
    };
    if tokio::time::timeout(LAST_DROP, last).await.is_err() {
        tracing::warn!("the last checkpoint is not dropped yet, and nobody waits for it any longer");
    }
}
