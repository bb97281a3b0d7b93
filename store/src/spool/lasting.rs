//! What outlasts messages: changes of [standing data](crate::standing) on their way through the spool to the journal.

use std::io;

use rand_core::CryptoRng;
use tidegate_codec::identity::SystemId;

use crate::disk::Disk;
use crate::footer::{self, Item};
use crate::message_id::MessageId;
use crate::record::{Head, Kind, Payload};
use crate::standing::{CHORE_MAX, Change, Due};

use super::chores::{ChoreError, Finished, Task};
use super::staging::{Part, Staged, StagedChange};
use super::upkeep::is_too_soon;
use super::{Refused, Spool, newest_key};

impl<D: Disk> Spool<D> {
    /// Stages a change of standing data, of whose account it may be the last trace. What it blocks is blocked at once; what
    /// it frees is free when it is on disk. `account` may be empty where no account has to do with it.
    ///
    /// # Errors
    ///
    /// [`Refused::Full`], too, while the journal is behind by more than its bound.
    pub fn remember(
        &mut self,
        now_ms: u64,
        account: SystemId,
        change: Change,
        urgent: bool,
        rng: &mut impl CryptoRng,
    ) -> Result<MessageId, Refused> {
        self.intake()?;
        if !self.standing.has_room() {
            return Err(Refused::Full);
        }
        self.stage_change(now_ms, account, change, (Part::Intake, urgent), rng)
    }

    /// Stages that a message was handed over which counts for a while. It counts at once; a full disk does not lose it, and
    /// while the journal is behind by more than its bound it counts until the next start only.
    ///
    /// # Errors
    ///
    /// [`Refused::Broken`].
    pub fn count_sent(
        &mut self,
        now_ms: u64,
        account: SystemId,
        change: Change,
        rng: &mut impl CryptoRng,
    ) -> Result<(), Refused> {
        self.may_progress()?;
        if !self.standing.has_room() {
            let id = self.ids.next(now_ms);
            self.standing.staged(id, &change);
            return Ok(());
        }
        self.stage_change(now_ms, account, change, (Part::Ending, false), rng)?;
        Ok(())
    }

    fn stage_change(
        &mut self,
        now_ms: u64,
        account: SystemId,
        change: Change,
        (part, urgent): (Part, bool),
        rng: &mut impl CryptoRng,
    ) -> Result<MessageId, Refused> {
        let id = self.ids.next(now_ms);
        let head = Head {
            kind: Kind::Standing,
            id,
            leg: 0,
            account,
        };
        let payload = Payload::Standing(change);
        let key = newest_key(&self.active, self.next.as_ref());
        let range = self.staging.write(&head, &payload, key, rng)?;
        let Payload::Standing(change) = payload else {
            return Err(Refused::Broken);
        };
        let undo = self.standing.staged(id, &change);
        let staged = Box::new(StagedChange {
            id,
            account,
            change,
            undo,
        });
        self.staging
            .push(now_ms, Staged::Standing(staged), part, range, urgent);
        Ok(id)
    }

    /// A change is on disk: it counts, and is due for the journal. Its footer repeats it, so that a start finds it without
    /// reading the segment.
    pub(super) fn standing_synced(&mut self, staged: StagedChange, segment: u64) {
        let StagedChange {
            id, account, change, ..
        } = staged;
        let item = Item::Standing { id, account, change };
        footer::put(&mut self.active.events, &item);
        if let Item::Standing { change, .. } = item {
            self.segments.owe(segment);
            self.standing.synced(id, account, segment, change);
        }
    }

    /// What is due for the journal, oldest first; one such chore is under way at a time, so that the order stays.
    pub(super) fn journal_chore(&mut self, now_ms: u64) -> Option<Task<D>> {
        let standing = &mut self.standing;
        if standing.out > 0 || standing.due.is_empty() || is_too_soon(standing.failed_ms, now_ms) {
            return None;
        }
        let count = standing.due.len().min(CHORE_MAX);
        let items: Vec<Due> = standing.due.drain(..count).collect();
        standing.out = items.len();
        Some(Task::Journal { items, now_ms })
    }

    pub(super) fn journal_done(&mut self, now_ms: u64, items: Vec<Due>, result: io::Result<()>) -> Finished {
        self.standing.out = 0;
        match result {
            Ok(()) => {
                self.standing.failed_ms = None;
                items.iter().for_each(|item| self.segments.paid(item.segment));
                Finished::Journaled(items.len())
            }
            Err(source) => {
                self.standing.failed_ms = Some(now_ms);
                items
                    .into_iter()
                    .rev()
                    .for_each(|item| self.standing.due.push_front(item));
                Finished::Failed(ChoreError::Journal { source })
            }
        }
    }
}
