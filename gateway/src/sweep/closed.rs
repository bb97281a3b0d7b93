//! What goes with an account at the date of its class `account.other`, once it is closed (compliance.md §7.3): the keys of numbers
//! that it might see with opt-outs (PSN-3), what finds recipients in its history once nothing is left there (PSN-2), and what it was told.
//!
//! Readers have gone by that date already ([`crate::keeping::Keeping::closed_for_good`]). What keeps it closed stays, and so do
//! opt-outs, the audit log, evidence of consents until its own end, and notices that nobody has told yet: those are owed.

use std::sync::Arc;

use tidegate_codec::identity::SystemId;
use tidegate_store::audit::{Actor, Entry, Field, Kind, Value};
use tidegate_store::disk::Disk;
use tidegate_store::standing::Forget;

use super::Sweep;
use crate::audit::word;
use crate::keeping::Keeping;

fn of_notices(account: SystemId, outcome: &str, count: usize) -> Entry {
    Entry::new(Kind::Erasure, Actor::System)
        .of(Some(account))
        .with(Field::Scope, word("notices that were told"))
        .with(Field::Outcome, word(outcome))
        .with(Field::Count, Value::Count(count as u64))
}

impl<D: Disk> Sweep<D> {
    /// Removes it of all closed accounts whose date has come. What is said to such an account later is entered all the same, and
    /// goes with the next run. One account that fails holds up no other.
    pub(super) async fn close_accounts(&mut self, keeping: &Keeping) -> Result<(), String> {
        let mut done = Ok(());
        for account in keeping.closed_for_good(self.guard.seen_ms()) {
            let keys = self.close_keys(account).await;
            let notices = self.close_notices(account).await;
            done = done.and(keys).and(notices);
        }
        done
    }

    async fn close_keys(&mut self, account: SystemId) -> Result<(), String> {
        let keys = self.keys(Forget::Keys(account)).await?;
        if keys.is_empty() {
            return Ok(());
        }
        // Evidence of consents has an end of its own, and is nothing of what goes here. While a file cannot be read, all stays; what is damaged in one opened for nobody before.
        self.move_consents().await?;
        // No hold is taken between the judgement and the end of the keys, and none that was taken since is missed.
        let legal = self.hub.legal().cloned();
        let taken = match &legal {
            Some(legal) => Some(legal.state().await),
            None => None,
        };
        let now_ms = self.guard.seen_ms();
        let is_due = |keeping: Arc<Keeping>| keeping.is_closed_for_good(account, now_ms);
        if self.rules().is_some_and(is_due) {
            self.destroy(Some(account), keys, Forget::Close(account)).await?;
        }
        drop(taken);
        Ok(())
    }

    async fn close_notices(&self, account: SystemId) -> Result<(), String> {
        let Some(notices) = self.hub.notices() else {
            return Ok(());
        };
        let count = notices.told_to(account.as_str()).await;
        if count == 0 {
            return Ok(());
        }
        self.audit
            .enter(vec![of_notices(account, "erasing", count)])
            .await?;
        let gone = notices.forget_told(account.as_str()).await?;
        self.audit.enter(vec![of_notices(account, "erased", gone)]).await
    }
}
