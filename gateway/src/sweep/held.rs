//! What is held of lots that go is copied to the vault before their keys are destroyed (LEG-2, RET-7).

use std::sync::Arc;

use hashbrown::HashMap;
use tidegate_codec::identity::SystemId;
use tidegate_store::disk::Disk;
use tidegate_store::history::{
    Judge, Kept, Lot, Meta, Order, Passed, PeriodKey, Query, Record, Rekey, Report, VaultCursor, VaultOrder,
    VaultReport,
};
use tidegate_store::message_id::MessageId;
use tidegate_store::seal::Purpose;

use super::Sweep;
use super::run::{FOREIGN, PAUSE};
use crate::keeping::{Ended, Keeping};

/// Messages that are looked up for the texts of one lot, or of one account, at most.
pub(super) const MESSAGES_MAX: usize = 200_000;

/// Messages by which texts are known, which do not say whom they were to.
pub(super) type Messages = HashMap<(MessageId, u16), Meta>;

/// What becomes of a record: by the message's record, where there is one for a text.
pub(super) fn judged(
    keeping: &Keeping,
    messages: &Messages,
    account: SystemId,
    record: Record<'_>,
    now_ms: u64,
) -> tidegate_store::history::Fate {
    match record {
        Record::Meta(meta) => keeping.fate(&Ended::of(account, meta), Kept::Meta, now_ms),
        Record::Text(text) => match messages.get(&(text.id, text.leg)) {
            Some(meta) => keeping.fate(&Ended::of(account, meta), Kept::Body, now_ms),
            None => keeping.fate_of_text(account, text, now_ms),
        },
    }
}

impl<D: Disk> Sweep<D> {
    /// Does the steps of a pass that has begun.
    pub(super) async fn pass(&self, judge: &Judge) -> Result<Passed, String> {
        loop {
            let Report::Passed(passed) = self
                .hub
                .ask_history(Order::Rekey(Rekey::Step(judge.clone())))
                .await?
            else {
                return Err(FOREIGN.to_owned());
            };
            if passed.is_done {
                return Ok(passed);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Copies what is held of a lot that is due.
    pub(super) async fn copy_held(
        &self,
        file: &PeriodKey,
        lot: &Lot,
        keeping: &Arc<Keeping>,
    ) -> Result<(), String> {
        if !keeping.claims().may_hold(lot) {
            return Ok(());
        }
        // A text says neither whom it was to nor from which sender: its message does.
        let by_message = keeping.tells_texts_apart(lot);
        let messages = if by_message || keeping.claims().needs_messages(lot) {
            self.messages_of(lot, keeping, by_message).await?
        } else {
            Messages::new()
        };
        let begin = Rekey::Copy {
            period: file.clone(),
            keys: vec![lot.key],
        };
        self.hub.ask_history(Order::Rekey(begin)).await?;
        let (keeping, now_ms) = (Arc::clone(keeping), self.guard.seen_ms());
        let judge = Judge::new(move |account, record| judged(&keeping, &messages, account, record, now_ms));
        self.pass(&judge).await.map(drop)
    }

    /// Messages that the texts of a lot may be of, as far as somebody is asked about: those that are kept, and those that
    /// holds have sealed.
    async fn messages_of(&self, lot: &Lot, keeping: &Keeping, are_all: bool) -> Result<Messages, String> {
        let claims = keeping.claims();
        let mut messages = Messages::new();
        let query = Query::Account {
            account: lot.account,
            from_ms: lot.first_ms,
            to_ms: lot.last_ms,
        };
        let mut take = |metas: Vec<(SystemId, Meta)>| {
            let meant = metas.into_iter().filter(|(account, meta)| {
                *account == lot.account
                    && (lot.first_ms..=lot.last_ms).contains(&meta.final_ms)
                    && (are_all || claims.may_be_about(meta.person()))
            });
            messages.extend(meant.map(|(_, meta)| ((meta.id, meta.leg), meta)));
            messages.len() > MESSAGES_MAX
        };
        let (mut is_too_much, mut unreadable) = (false, 0);
        self.hub
            .look_in_history(&query, Kept::Meta, Purpose::Sweep, |looked| {
                unreadable += looked.unreadable;
                is_too_much = take(looked.metas);
                is_too_much
            })
            .await?;
        if unreadable > 0 {
            return Err(format!(
                "{unreadable} blocks of {} do not open by which it is known what holds cover: what they may tell of stays",
                lot.account
            ));
        }
        for hold in claims.hold_ids() {
            let mut cursor = Some(VaultCursor::default());
            while let Some(at) = cursor.filter(|_| !is_too_much) {
                let order = Order::Vault(VaultOrder::Read(*hold, at, Purpose::Sweep));
                let Report::Vault(VaultReport::Read(looked, next)) = self.hub.ask_history(order).await?
                else {
                    return Err(FOREIGN.to_owned());
                };
                is_too_much = take(looked.metas);
                cursor = next;
            }
        }
        if is_too_much {
            return Err(format!(
                "{} has more than {MESSAGES_MAX} messages in one period that holds may cover: it is left as it is",
                lot.account
            ));
        }
        Ok(messages)
    }
}
