//! Checkpoints of the log: when one is due, who waits for one, and that each is put where the operator wants it (AUD-3).

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tidegate_config::Audit as Rules;
use tidegate_store::audit::Audit;
use tidegate_store::disk::Disk;
use tokio::sync::{Notify, oneshot};

use super::back_off::BackOff;
use super::drops::{Drops, Outcome};
use crate::clock::Clock;
use crate::telemetry::AuditMetrics;

/// How long a checkpoint that could not be dropped is left alone before it is tried again: so long at first, twice as long
/// each time, and so long at most.
const DROP_AGAIN_AFTER: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(600));
/// How long a request for a checkpoint waits to hear that it was dropped.
pub(super) const DROP_AWAITED: Duration = Duration::from_secs(3);

/// Where the answer to a request for a checkpoint goes.
type Answer = oneshot::Sender<Result<Map<String, Value>, String>>;

/// What there is to do about checkpoints beside the log itself.
pub(super) struct Checkpoints {
    rules: Rules,
    clock: Clock,
    metrics: Arc<AuditMetrics>,
    /// Monotonic: since when there has been an entry that no checkpoint signs.
    unsigned_since: Option<Duration>,
    drops: Drops,
    dropping: BackOff,
    /// The checkpoint that is to be dropped where the operator wants it.
    undropped: Option<(u64, String)>,
    /// Whether it is being dropped.
    is_dropping: bool,
    /// Who waits for it, until when.
    awaited: Vec<(Answer, Map<String, Value>, Duration)>,
}

impl Checkpoints {
    pub(super) fn new<D: Disk>(disk: D, rules: Rules, clock: Clock, metrics: Arc<AuditMetrics>) -> Self {
        Self {
            rules,
            clock,
            metrics,
            unsigned_since: None,
            drops: Drops::new(disk),
            dropping: BackOff::new(DROP_AGAIN_AFTER),
            undropped: None,
            is_dropping: false,
            awaited: Vec::new(),
        }
    }

    /// They are to be made like this from now on.
    pub(super) fn set_rules(&mut self, rules: Rules) {
        self.rules = rules;
    }

    /// So many entries are in the log that none signs. Says whether they are enough for one.
    pub(super) fn entered(&mut self, unsigned: u64) -> bool {
        let monotonic = self.clock.now().monotonic;
        self.metrics.unsigned.set(shown_as(unsigned));
        if unsigned > 0 {
            self.unsigned_since.get_or_insert(monotonic);
        }
        unsigned >= self.rules.checkpoint_every
    }

    /// Whether an entry has waited for one long enough.
    pub(super) fn is_due(&self) -> bool {
        let (now, interval) = (self.clock.now().monotonic, self.rules.checkpoint_interval);
        self.unsigned_since
            .is_some_and(|since| now.saturating_sub(since) >= interval)
    }

    /// Signs one over all that is entered: its octets, and the name of its file.
    pub(super) fn sign<D: Disk>(&mut self, audit: &mut Audit<D>) -> Option<(String, String)> {
        match audit.checkpoint() {
            Ok((note, file)) => {
                let size = audit.signed();
                self.unsigned_since = None;
                self.metrics.unsigned.set(0.0);
                self.metrics.signed.set(shown_as(size));
                self.metrics
                    .signed_at
                    .set(shown_as(self.clock.now().unix_ms / 1000));
                self.undropped = Some((size, note.clone()));
                // A new one is worth a try, whatever became of the one before.
                self.drop_checkpoint();
                Some((note, file))
            }
            Err(error) => {
                tracing::error!(%error, "a checkpoint cannot be written");
                self.metrics.checkpoint_failures.increment(1);
                // Not again at once.
                self.unsigned_since = Some(self.clock.now().monotonic);
                None
            }
        }
    }

    /// Answers who asked for one that was signed: once it is dropped, or has not been for some seconds.
    pub(super) fn answer(&mut self, answer: Answer, shown: Map<String, Value>) {
        if self.is_dropping {
            let until = self.clock.now().monotonic + DROP_AWAITED;
            self.awaited.push((answer, shown, until));
        } else {
            self.answer_now(answer, shown);
        }
    }

    fn answer_now(&self, answer: Answer, mut shown: Map<String, Value>) {
        let wanted = self.rules.checkpoint_directory.as_ref();
        let dropped = wanted.map(|_| self.undropped.is_none());
        shown.insert("dropped".to_owned(), json!(dropped));
        // Who asked may be gone.
        let _ = answer.send(Ok(shown));
    }

    /// Has the newest checkpoint put where the operator wants it (AUD-3), by a thread that may hang there.
    fn drop_checkpoint(&mut self) {
        let (Some((size, note)), Some(dir)) = (&self.undropped, &self.rules.checkpoint_directory) else {
            self.undropped = None;
            return;
        };
        // One is under way: the newest comes when that has ended.
        if !self.is_dropping {
            self.is_dropping = true;
            self.drops.ask(dir.clone(), *size, note.clone());
        }
    }

    /// What to wait for: then [`Checkpoints::hear`].
    pub(super) fn told(&self) -> Arc<Notify> {
        self.drops.told()
    }

    /// Whether a checkpoint is being dropped.
    pub(super) const fn is_dropping(&self) -> bool {
        self.is_dropping
    }

    /// Hears what became of a checkpoint that was to be dropped.
    pub(super) fn hear(&mut self) {
        let Some(Outcome { size, failed }) = self.drops.outcome() else {
            return;
        };
        self.is_dropping = false;
        let is_newest = self.undropped.as_ref().is_none_or(|(newest, _)| *newest == size);
        match failed {
            None => {
                if self.dropping.is_failing() {
                    tracing::info!("checkpoints of the audit log are dropped again");
                }
                self.dropping.succeeded();
                if is_newest {
                    self.undropped = None;
                } else {
                    self.drop_checkpoint();
                }
            }
            Some(error) => {
                // Said once, until it changes.
                if !self.dropping.is_failing() {
                    tracing::warn!(error, "a checkpoint cannot be dropped and is tried again");
                }
                self.metrics.checkpoint_failures.increment(1);
                self.dropping.failed(self.clock.now().monotonic);
            }
        }
        if !self.is_dropping {
            for (answer, shown, _) in std::mem::take(&mut self.awaited) {
                self.answer_now(answer, shown);
            }
        }
    }

    /// Answers who has waited long enough, and tries once more what could not be dropped.
    pub(super) fn tend(&mut self) {
        self.hear();
        let monotonic = self.clock.now().monotonic;
        let awaited = std::mem::take(&mut self.awaited);
        for (answer, shown, until) in awaited {
            if monotonic < until {
                self.awaited.push((answer, shown, until));
            } else {
                self.answer_now(answer, shown);
            }
        }
        if self.undropped.is_some() && !self.is_dropping && self.dropping.is_due(monotonic) {
            self.drop_checkpoint();
        }
    }
}

/// A count as a gauge shows it.
#[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
fn shown_as(count: u64) -> f64 {
    count as f64
}
