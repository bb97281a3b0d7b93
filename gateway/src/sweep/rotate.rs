//! The rotation of data keys (ENC-2): each living lot is sealed anew, and its key destroyed.
//!
//! A lot at a time, between all else that is asked of the sweep. The note says since when it goes on, so that a restart takes
//! it up: lots whose keys are younger are through.

use std::time::Duration;

use serde_json::json;
use tidegate_codec::identity::SystemId;
use tidegate_store::audit::{Actor, Entry, Field, Kind, Value, Word};
use tidegate_store::disk::Disk;
use tidegate_store::history::{Judge, Kept, Lot, Order, PeriodKey, Rekey};
use tokio::sync::oneshot;

use super::{RETRY, Sweep, told};
use crate::control::Answer;

/// Which keys are rotated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotating {
    /// Those that were made before, in unix milliseconds.
    pub since_ms: u64,
    /// Of this account only.
    pub account: Option<SystemId>,
    /// Of this class only.
    pub class: Option<Kept>,
}

/// One that is under way.
pub(super) struct Rotation {
    of: Rotating,
    /// Lots that are to go on with; unknown before the first step, and behind one that failed.
    left: Option<Vec<(PeriodKey, Lot)>>,
    done: u64,
    /// Behind a step that failed: not before this time of the monotonic clock.
    not_before: Duration,
    waiting: Vec<oneshot::Sender<Answer>>,
}

impl Rotation {
    pub(super) const fn new(of: Rotating) -> Self {
        Self {
            of,
            left: None,
            done: 0,
            not_before: Duration::ZERO,
            waiting: Vec::new(),
        }
    }
}

fn entry(of: &Rotating, what: &str) -> Entry {
    let entry = Entry::new(Kind::KeyEvent, Actor::System)
        .of(of.account)
        .with(Field::Reason, Value::Word(Word::of_name(what)))
        .with(Field::First, Value::Time(of.since_ms));
    match of.class {
        Some(class) => entry.with(Field::Scope, Value::Word(Word::of_name(class.word()))),
        None => entry,
    }
}

impl<D: Disk> Sweep<D> {
    /// Begins one; the answer comes with its end.
    pub(super) async fn begin_rotation(
        &mut self,
        account: Option<SystemId>,
        class: Option<Kept>,
        answer: oneshot::Sender<Answer>,
    ) {
        if self.rotation.is_some() {
            let why = "a rotation of data keys is under way: its end stands in the audit log";
            let _ = answer.send(Err(why.to_owned()));
            return;
        }
        let of = Rotating {
            since_ms: self.hub.now().unix_ms,
            account,
            class,
        };
        if let Err(why) = self
            .audit
            .enter(vec![entry(&of, "rotation of data keys begins")])
            .await
        {
            let _ = answer.send(Err(why));
            return;
        }
        let mut rotation = Rotation::new(of);
        rotation.waiting.push(answer);
        (self.rotation, self.rotating) = (Some(rotation), Some(of));
        if let Err(why) = self.write_note().await {
            tracing::warn!(why, "a restart would not go on with the rotation of data keys");
        }
    }

    /// Whether a step is to be done.
    pub(super) fn is_rotating(&self) -> bool {
        let now = self.hub.now().monotonic;
        self.rotation
            .as_ref()
            .is_some_and(|rotation| rotation.not_before <= now)
    }

    /// Does a lot.
    pub(super) async fn rotate_some(&mut self) {
        let Some(mut rotation) = self.rotation.take() else {
            return;
        };
        match self.rotate_next(&mut rotation).await {
            Ok(true) => {
                self.metrics.rotation_left.set(0.0);
                for answer in rotation.waiting {
                    // Who has gone finds it in the audit log.
                    let _ = answer.send(Ok(told(json!({ "lots": rotation.done }))));
                }
            }
            Ok(false) => self.rotation = Some(rotation),
            Err(why) => {
                tracing::error!(why, "the rotation of data keys waits, and goes on");
                rotation.left = None;
                rotation.not_before = self.hub.now().monotonic + RETRY;
                self.rotation = Some(rotation);
            }
        }
    }

    /// Whether that was the end.
    async fn rotate_next(&mut self, rotation: &mut Rotation) -> Result<bool, String> {
        let of = rotation.of;
        let left = match &mut rotation.left {
            Some(left) => left,
            none => {
                self.hub.ask_history(Order::Rekey(Rekey::Settle)).await?;
                self.settle().await?;
                let is_meant = |lot: &Lot| {
                    of.account.is_none_or(|account| account == lot.account)
                        && of.class.is_none_or(|class| class == lot.class)
                        && lot.made_ms < of.since_ms
                };
                let lots = self.lots_by_account().await?.into_values().flatten();
                none.insert(lots.filter(|(_, lot)| is_meant(lot)).collect())
            }
        };
        let count = f64::from(u32::try_from(left.len()).unwrap_or(u32::MAX));
        self.metrics.rotation_left.set(count);
        if let Some((file, lot)) = left.pop() {
            let all_stay = Judge::all_stay();
            rotation.done += u64::from(self.seal_anew(&file, &lot, &all_stay, true, of.since_ms).await?);
            return Ok(false);
        }
        let ended = entry(&of, "rotation of data keys ended").with(Field::Count, Value::Count(rotation.done));
        self.audit.enter(vec![ended]).await?;
        tracing::info!(lots = rotation.done, "data keys are rotated");
        self.rotating = None;
        self.write_note().await?;
        Ok(true)
    }
}
