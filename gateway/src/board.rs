//! The board: what an operator keeps open to see how traffic goes, as a page of the admin listener and in a terminal.
//!
//! Once a second the [`Recorder`] notes what the loop has counted for the metrics anyway, and every ten seconds a point of
//! the last hour. Only while somebody watches it also puts a [`Shot`] together: plain numbers, made into JSON on another
//! thread and once for all who watch. Nothing is done per message.
//!
//! What is kept is bounded by the configuration: [`Recorder::octets`] for each account and carrier, some 0.7 MB for 200
//! accounts and 20 carriers.

mod alarms;
mod counts;
mod history;
mod page;
mod recorder;
mod ring;
mod rows;
mod shot;
mod stream;
mod telling;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::sync::watch;

use crate::clock::Now;

pub(crate) use alarms::CERTIFICATE_S;
pub use history::{History, POINT_EVERY, POINTS};
pub use page::Page;
pub use recorder::Recorder;
pub use shot::{Alarm, Shot};
pub use stream::{MaySee, STALLED, Streamed, stream};

/// Who may watch at a time over HTTP.
pub const WATCHERS_MAX: usize = 8;
/// And by one token, so that one page that is forgotten in many tabs leaves room for others.
pub const WATCHERS_EACH: usize = 3;
/// Who has asked once is taken to watch for so long: `tidegate top` asks again and again.
const ASKED_FOR: Duration = Duration::from_secs(5);
/// A shot that is younger answers a question; the loop makes one a second.
const FRESH: Duration = Duration::from_millis(1_100);
/// A loop that makes none for so long hangs.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where the loop puts shots, and who watches finds them.
#[derive(Debug)]
pub struct Board {
    /// By whose token each watches.
    watchers: Mutex<Vec<String>>,
    /// Until when somebody who asked is taken to watch, in milliseconds of the monotonic clock.
    asked_until_ms: AtomicU64,
    latest: watch::Sender<Latest>,
    /// Held by who makes one object of a shot and the last hour: it is megabytes of memory while it is made.
    showing: Arc<tokio::sync::Mutex<()>>,
}

/// The newest shot.
#[derive(Clone, Debug)]
enum Latest {
    /// Nobody has watched yet.
    None,
    /// The newest.
    Shot(Arc<Shot>),
    /// The loop has ended: no more will come.
    Ended,
}

impl Default for Board {
    fn default() -> Self {
        Self {
            watchers: Mutex::default(),
            asked_until_ms: AtomicU64::new(0),
            latest: watch::Sender::new(Latest::None),
            showing: Arc::default(),
        }
    }
}

impl Board {
    /// Whether anybody wants shots.
    pub fn is_watched(&self, now: Now) -> bool {
        self.watchers() > 0 || millis(now.monotonic) < self.asked_until_ms.load(Ordering::Relaxed)
    }

    /// How many watch over HTTP.
    pub fn watchers(&self) -> usize {
        self.watching(|watchers| watchers.len())
    }

    /// Takes a place among those who watch, for the bearer of the token of this name.
    ///
    /// # Errors
    ///
    /// In words for him: [`WATCHERS_MAX`] watch, or [`WATCHERS_EACH`] by this token.
    pub fn watch(self: &Arc<Self>, token: &str) -> Result<Watch, String> {
        self.watching(|watchers| {
            if watchers.len() >= WATCHERS_MAX {
                return Err(format!("{WATCHERS_MAX} watch already"));
            }
            if watchers.iter().filter(|watcher| *watcher == token).count() >= WATCHERS_EACH {
                return Err(format!("{WATCHERS_EACH} watch with this token already"));
            }
            watchers.push(token.to_owned());
            Ok(())
        })?;
        Ok(Watch {
            board: Arc::clone(self),
            token: token.to_owned(),
            shots: self.latest.subscribe(),
        })
    }

    /// Does something, of a few steps, with who watches.
    fn watching<T>(&self, work: impl FnOnce(&mut Vec<String>) -> T) -> T {
        work(&mut self.watchers.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The shot of this second, for who asks once.
    ///
    /// # Errors
    ///
    /// In words for the operator: the loop hangs or ends.
    pub async fn look(&self, now: Now) -> Result<Arc<Shot>, String> {
        let until = millis(now.monotonic.saturating_add(ASKED_FOR));
        self.asked_until_ms.fetch_max(until, Ordering::Relaxed);
        let mut shots = self.latest.subscribe();
        if let Latest::Shot(shot) = &*shots.borrow_and_update()
            && now.monotonic.saturating_sub(shot.taken) < FRESH
        {
            return Ok(Arc::clone(shot));
        }
        match tokio::time::timeout(PATIENCE, shots.changed()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err("the gateway ends".to_owned()),
            Err(_) => return Err("the loop tells nothing".to_owned()),
        }
        match &*shots.borrow() {
            Latest::Shot(shot) => Ok(Arc::clone(shot)),
            Latest::None | Latest::Ended => Err("the gateway ends".to_owned()),
        }
    }

    /// This second and the last hour as one object, made where nobody waits for it, and one at a time whoever asks.
    ///
    /// # Errors
    ///
    /// In words for the operator.
    pub async fn shown(&self, now: Now) -> Result<Map<String, Value>, String> {
        let shot = self.look(now).await?;
        let alone = Arc::clone(&self.showing).lock_owned().await;
        let made = tokio::task::spawn_blocking(move || {
            let made = shown(&shot);
            drop(alone);
            made
        });
        made.await
            .unwrap_or_else(|error| Err(format!("the board cannot be told: {error}")))
    }

    fn show(&self, shot: Shot) {
        self.latest.send_replace(Latest::Shot(Arc::new(shot)));
    }

    fn end(&self) {
        self.latest.send_replace(Latest::Ended);
    }
}

/// A shot and the last hour as one object: the answer of the verb `board`. For 200 accounts it takes a millisecond.
///
/// # Errors
///
/// In words for the operator.
fn shown(shot: &Shot) -> Result<Map<String, Value>, String> {
    let unwritable = |error: serde_json::Error| format!("the board cannot be written: {error}");
    let mut shown = match serde_json::to_value(shot).map_err(unwritable)? {
        Value::Object(shown) => shown,
        _ => Map::new(),
    };
    let history = serde_json::to_value(&*shot.history).map_err(unwritable)?;
    shown.insert("history".to_owned(), history);
    Ok(shown)
}

/// A place among those who watch, given back when it is dropped.
#[derive(Debug)]
pub struct Watch {
    board: Arc<Board>,
    token: String,
    shots: watch::Receiver<Latest>,
}

impl Watch {
    /// The next shot: one that was not told yet, and the newest. `None` when no more will come. It may be dropped
    /// before it is done.
    pub async fn next(&mut self) -> Option<Arc<Shot>> {
        loop {
            // Who comes after the end hears of no change.
            if matches!(&*self.shots.borrow(), Latest::Ended) {
                return None;
            }
            if let Err(watch::error::RecvError { .. }) = self.shots.changed().await {
                return None;
            }
            match &*self.shots.borrow_and_update() {
                Latest::Shot(shot) => return Some(Arc::clone(shot)),
                Latest::Ended => return None,
                Latest::None => {}
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.board.watching(|watchers| {
            if let Some(place) = watchers.iter().position(|watcher| *watcher == self.token) {
                watchers.swap_remove(place);
            }
        });
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
