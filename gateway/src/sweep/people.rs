//! Orders to erase a person are executed: lots with messages to the person are sealed anew without them (ERA-4).
//!
//! The rules have them gone for every reader since the order was taken, and what ends later is not filed. Here all that had
//! ended before is checkpointed; then each account is looked through for the person's messages, and each lot that may hold
//! one of them goes through a pass: texts first, because only the message's record says whom a text was to. An order is
//! executed when nothing is left of it that a floor or a hold keeps.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tidegate_codec::identity::SystemId;
use tidegate_store::audit::{Actor, Entry, Field, Kind, Value};
use tidegate_store::disk::Disk;
use tidegate_store::history::{
    AddUp, Fate, Judge, Kept, Lot, Order, PeriodKey, Query, Record, Rekey, Report, VaultOrder,
};
use tidegate_store::keyring::Owner;
use tidegate_store::seal::Purpose;

use super::Sweep;
use super::entries;
use super::held::{MESSAGES_MAX, Messages, judged};
use super::note::{Going, Pending};
use super::run::{FOREIGN, PAUSE};
use crate::audit::word;
use crate::control::{deferring, drop_released, take_effect};
use crate::keeping::{Ended, Keeping};
use crate::legal::{LATE_MS, OrderRow, Register};

/// What was found of one order.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    /// Of this account only.
    account: Option<SystemId>,
    lots: u64,
    records: u64,
    /// Something is left that a floor keeps, or there is more than is looked up at once.
    is_left: bool,
}

/// Orders that may be about an account are not done: something of it could not be looked at.
fn leave(tallies: &mut BTreeMap<u32, Tally>, account: SystemId) {
    for tally in tallies.values_mut() {
        tally.is_left |= tally.account.is_none_or(|of| of == account);
    }
}

impl<D: Disk> Sweep<D> {
    /// Finishes what releases have begun.
    pub(super) async fn settle_holds(&self) -> Result<(), String> {
        let Some(legal) = self.hub.legal() else {
            return Ok(());
        };
        let mut state = legal.state().await;
        drop_released(&self.hub, &self.audit, &mut state).await.map(drop)
    }

    /// Counts holds and orders for the metrics.
    pub(super) async fn count_matters(&self) {
        let Some(legal) = self.hub.legal() else {
            return;
        };
        let state = legal.state().await;
        let now_ms = self.hub.now().unix_ms;
        let gauge = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        let active = || state.register.active();
        self.metrics.holds.set(gauge(active().count()));
        let past = active().filter(|(_, row)| row.review_ms <= now_ms);
        self.metrics.holds_past_review.set(gauge(past.count()));
        let orders = state.register.orders.values();
        let open = orders.filter(|row| row.executed_ms.is_none());
        self.metrics.erasures_open.set(gauge(open.count()));
    }

    /// Executes open orders.
    pub(super) async fn erase_people(&mut self) -> Result<(), String> {
        let (Some(legal), Some(keeping)) = (self.hub.legal().cloned(), self.rules()) else {
            return Ok(());
        };
        let mut tallies: BTreeMap<u32, Tally> = {
            let state = legal.state().await;
            let standing = state.register.standing();
            let open = standing.filter(|(_, row)| row.executed_ms.is_none());
            let tally = |row: &OrderRow| Tally {
                account: row.account,
                ..Tally::default()
            };
            open.map(|(id, row)| (id, tally(row))).collect()
        };
        // Only what the rules knew of when it was planned.
        tallies.retain(|id, _| keeping.claims().erasure_ids().contains(id));
        if !tallies.is_empty() {
            self.hub.checkpoint_history().await?;
            // What is remembered of them with opt-outs and consents loses their numbers, too (PSN-3).
            let orders: BTreeSet<u32> = tallies.keys().copied().collect();
            let forgotten = self.forget_numbers(&orders).await;
            let is_left = |id: &u32| forgotten.as_ref().map_or(true, |kept| kept.contains(id));
            for (_, tally) in tallies.iter_mut().filter(|(id, _)| is_left(id)) {
                tally.is_left = true;
            }
            let mut failed = forgotten.map(drop);
            for (account, lots) in self.lots_by_account().await? {
                if !keeping.knows(account) {
                    // Without rules nothing is decided of what is kept of it: no order that may be about it is done.
                    leave(&mut tallies, account);
                    continue;
                }
                let done = self.erase_of(account, &lots, &keeping, &mut tallies).await;
                if done.is_err() {
                    leave(&mut tallies, account);
                    self.settle().await?;
                }
                failed = failed.and(done);
            }
            self.conclude(tallies).await?;
            self.forget_people().await?;
            return failed;
        }
        self.forget_people().await
    }

    pub(super) async fn lots_by_account(&self) -> Result<BTreeMap<SystemId, Vec<(PeriodKey, Lot)>>, String> {
        let Report::Periods(mut files) = self.hub.ask_history(Order::Periods).await? else {
            return Err(FOREIGN.to_owned());
        };
        files.sort_by_key(|file| std::cmp::Reverse(file.class));
        let mut all: BTreeMap<SystemId, Vec<(PeriodKey, Lot)>> = BTreeMap::new();
        for file in files {
            for lot in self.lots(&file).await?.into_iter().filter(|lot| lot.is_there) {
                all.entry(lot.account).or_default().push((file.clone(), lot));
            }
        }
        Ok(all)
    }

    async fn erase_of(
        &mut self,
        account: SystemId,
        lots: &[(PeriodKey, Lot)],
        keeping: &Arc<Keeping>,
        tallies: &mut BTreeMap<u32, Tally>,
    ) -> Result<(), String> {
        let mut messages = Messages::new();
        let mut of_orders: BTreeMap<u32, u64> = BTreeMap::new();
        let query = Query::Account {
            account,
            from_ms: 0,
            to_ms: u64::MAX >> 1,
        };
        let claims = keeping.claims();
        let mut unreadable = 0;
        self.hub
            .look_in_history(&query, Kept::Meta, Purpose::Sweep, |looked| {
                unreadable += looked.unreadable;
                let metas = looked.metas.into_iter().map(|(_, meta)| meta);
                for meta in metas.filter(|meta| claims.may_be_about(meta.person())) {
                    let orders = keeping.orders_about(&Ended::of(account, &meta));
                    let meant = orders.iter().filter(|order| tallies.contains_key(*order));
                    let mut any = false;
                    for order in meant {
                        *of_orders.entry(*order).or_default() += 1;
                        any = true;
                    }
                    if any {
                        messages.insert((meta.id, meta.leg), meta);
                    }
                }
                messages.len() > MESSAGES_MAX
            })
            .await?;
        if unreadable > 0 {
            // Somebody may be in them: nothing is certified before they open, or are gone.
            leave(tallies, account);
        }
        if messages.is_empty() {
            return Ok(());
        }
        let (now_ms, is_more) = (self.guard.seen_ms(), messages.len() > MESSAGES_MAX);
        for (order, count) in &of_orders {
            if let Some(tally) = tallies.get_mut(order) {
                tally.records += count;
                tally.is_left |= is_more;
            }
        }
        for meta in messages.values() {
            let ended = Ended::of(account, meta);
            let stays = |class| keeping.fate(&ended, class, now_ms) == Fate::Stay;
            if stays(Kept::Meta) || stays(Kept::Body) {
                for order in keeping.orders_about(&ended) {
                    if let Some(tally) = tallies.get_mut(&order) {
                        tally.is_left = true;
                    }
                }
            }
        }
        let messages = Arc::new(messages);
        let judge_by = |keeping: Arc<Keeping>| {
            let messages = Arc::clone(&messages);
            Judge::new(move |account, record| {
                let is_meant = match record {
                    Record::Meta(meta) => messages.contains_key(&(meta.id, meta.leg)),
                    Record::Text(text) => messages.contains_key(&(text.id, text.leg)),
                };
                // What others of the lot are due for is for the sweep of the whole lot.
                match is_meant {
                    true => judged(&keeping, &messages, account, record, now_ms),
                    false => Fate::Stay,
                }
            })
        };
        for (file, lot) in lots {
            let goes = |meta: &&tidegate_store::history::Meta| {
                (lot.first_ms..=lot.last_ms).contains(&meta.final_ms)
                    && keeping.fate(&Ended::of(account, meta), lot.class, now_ms) != Fate::Stay
            };
            let mut orders: BTreeSet<u32> = BTreeSet::new();
            for meta in messages.values().filter(goes) {
                orders.extend(keeping.orders_about(&Ended::of(account, meta)));
            }
            if orders.is_empty() {
                continue;
            }
            if self.prints(vec![lot.key]).await?.is_empty() {
                // Texts come before the records by which they are found: those stay until these have gone.
                return Err(format!("{file}: a key of the ring cannot be read"));
            }
            // As with lots that go as a whole: no hold is taken between the judgement and the end of the key.
            let legal = self.hub.legal().cloned();
            let taken = match &legal {
                Some(legal) => Some(legal.state().await),
                None => None,
            };
            let judge = judge_by(self.rules().unwrap_or_else(|| Arc::clone(keeping)));
            let has_gone = self.seal_anew(file, lot, &judge, false, 0).await?;
            drop(taken);
            if has_gone {
                for order in &orders {
                    if let Some(tally) = tallies.get_mut(order) {
                        tally.lots += 1;
                    }
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    /// Has a lot sealed anew, with entries in the audit log as for one that is swept; whether its key is another.
    pub(super) async fn seal_anew(
        &mut self,
        file: &PeriodKey,
        lot: &Lot,
        judge: &Judge,
        even_if_all_stay: bool,
        fresh_since_ms: u64,
    ) -> Result<bool, String> {
        if self.pending.is_some() {
            // What was done before and could not be entered is, before another takes its place.
            self.settle().await?;
        }
        let prints = self.prints(vec![lot.key]).await?;
        let Some(print) = prints.get(&lot.key) else {
            return Ok(false);
        };
        let going = Going::new(lot, *print, AddUp::No);
        let begin = Rekey::Begin {
            period: file.clone(),
            keys: vec![lot.key],
            fresh_since_ms,
            even_if_all_stay,
            now_ms: self.hub.now().unix_ms,
        };
        self.hub.ask_history(Order::Rekey(begin)).await?;
        // What is filed from now on lies under another key; what was filed is to count behind a crash.
        self.hub.checkpoint_history().await?;
        self.audit
            .enter(vec![entries::sealing_anew(file, &going)])
            .await?;
        self.pending = Some(Pending::Rekey(file.clone(), going.clone()));
        self.write_note().await?;
        let passed = self.pass(judge).await?;
        let has_gone = !passed.destroyed.is_empty();
        if has_gone {
            self.audit.enter(vec![entries::sealed_anew(file, &going)]).await?;
        }
        self.pending = None;
        Ok(has_gone)
    }

    /// Enters the certificates of those that are executed, and keeps how far the others have come.
    async fn conclude(&self, tallies: BTreeMap<u32, Tally>) -> Result<(), String> {
        let Some(legal) = self.hub.legal() else {
            return Ok(());
        };
        let mut state = legal.state().await;
        let mut register = state.register.clone();
        let mut certificates = Vec::new();
        for (id, tally) in tallies {
            let is_deferred = !deferring(&state, id).is_empty();
            let Some(row) = register.orders.get_mut(&id) else {
                continue;
            };
            row.lots += tally.lots;
            // What a floor keeps is found by each run.
            row.records = row.records.max(tally.records);
            if tally.is_left || is_deferred {
                continue;
            }
            row.executed_ms = Some(self.guard.seen_ms());
            certificates.push(
                Entry::new(Kind::Erasure, Actor::System)
                    .of(row.account)
                    .with(Field::Outcome, word("executed"))
                    .with(Field::Sequence, Value::Count(id.into()))
                    .with(Field::First, Value::Time(row.asked_ms))
                    .with(Field::Size, Value::Count(row.lots))
                    .with(Field::Count, Value::Count(row.records)),
            );
        }
        if !certificates.is_empty() {
            self.audit.enter(certificates).await?;
        }
        if register == *state.register {
            return Ok(());
        }
        state.register.replace(register).await
    }

    /// Lets go of whom orders were about when nothing of before can end any more.
    async fn forget_people(&self) -> Result<(), String> {
        let Some(legal) = self.hub.legal() else {
            return Ok(());
        };
        let mut state = legal.state().await;
        let now_ms = self.guard.seen_ms();
        let is_over =
            |row: &OrderRow| row.executed_ms.is_some() && row.asked_ms.saturating_add(LATE_MS) <= now_ms;
        let over: Vec<u32> = state
            .register
            .standing()
            .filter(|(_, row)| is_over(row))
            .map(|(id, _)| id)
            .collect();
        if over.is_empty() {
            return Ok(());
        }
        let let_go = |register: &mut Register| {
            for (id, row) in &mut register.orders {
                if over.contains(id) {
                    row.sealed.clear();
                }
            }
        };
        state.register.change(let_go).await?;
        for id in over {
            state.people.remove(&id);
            self.hub
                .ask_history(Order::Vault(VaultOrder::End(Owner::Erasure(id))))
                .await?;
        }
        take_effect(&self.hub, &state);
        Ok(())
    }
}
