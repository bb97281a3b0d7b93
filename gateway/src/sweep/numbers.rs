//! Numbers that are sealed with opt-outs and consents (PSN-3): one person's go with an order to erase, an account's with the date
//! that holds for it once it is [closed](super::closed). What stands for them stays, so nobody is less opted out.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_codec::identity::SystemId;
use tidegate_store::audit::{Actor, Entry, Field, Kind};
use tidegate_store::disk::Disk;
use tidegate_store::history::{Order, Report};
use tidegate_store::keyring::Destroyed;
use tidegate_store::seal::KeyId;
use tidegate_store::standing::{Forget, ForgetReport, Forgotten, Going, Holders};

use super::Sweep;
use super::note::Pending;
use super::run::{FOREIGN, PAUSE};
use crate::audit::word;
use crate::control::{deferring, journaled, key_word};
use crate::legal::State;

pub(super) fn entry(account: Option<SystemId>, outcome: &str) -> Entry {
    Entry::new(Kind::Erasure, Actor::System)
        .of(account)
        .with(Field::Scope, word("numbers of opt-outs and consents"))
        .with(Field::Outcome, word(outcome))
}

fn of_keys(account: Option<SystemId>, outcome: &str, keys: &[Destroyed]) -> Vec<Entry> {
    let of_key = |key| entry(account, outcome).with(Field::RingKey, key_word(key));
    keys.iter().map(of_key).collect()
}

/// Keys are gone: the certificates of that (ERA-6).
pub(super) fn certificates(account: Option<SystemId>, gone: &[Destroyed]) -> Vec<Entry> {
    of_keys(account, super::entries::ERASED, gone)
}

/// Whose numbers are to go of these orders: not of those that a hold keeps, which join the others that were kept.
fn meant(state: &State, orders: &BTreeSet<u32>, kept: &mut BTreeSet<u32>) -> Vec<Forgotten> {
    let mut people = Vec::with_capacity(orders.len());
    for id in orders {
        if !deferring(state, *id).is_empty() {
            kept.insert(*id);
            continue;
        }
        let order = state.register.orders.get(id);
        people.extend(order.zip(state.people.get(id)).map(|(order, person)| Forgotten {
            account: order.account,
            person: person.clone(),
        }));
    }
    people
}

impl<D: Disk> Sweep<D> {
    pub(super) async fn forget(&self, step: Forget) -> Result<ForgetReport, String> {
        match self.hub.ask_history(Order::Forget(step)).await? {
            Report::Forgot(report) => Ok(report),
            _ => Err(FOREIGN.to_owned()),
        }
    }

    pub(super) async fn keys(&self, step: Forget) -> Result<Vec<KeyId>, String> {
        match self.forget(step).await? {
            ForgetReport::Keys(keys) => Ok(keys),
            _ => Err(FOREIGN.to_owned()),
        }
    }

    /// Does a step that destroys keys. They are entered before and behind it; should this end in between, the next run enters what
    /// has gone.
    pub(super) async fn destroy(
        &mut self,
        account: Option<SystemId>,
        keys: Vec<KeyId>,
        step: Forget,
    ) -> Result<(), String> {
        self.settle().await?;
        let prints = self.prints(keys).await?.into_iter();
        let going: Vec<Destroyed> = prints
            .map(|(id, fingerprint)| Destroyed { id, fingerprint })
            .collect();
        if !going.is_empty() {
            self.audit.enter(of_keys(account, "erasing", &going)).await?;
            self.pending = Some(Pending::Numbers(account, going));
            self.write_note().await?;
        }
        let ForgetReport::Gone(gone) = self.forget(step).await? else {
            return Err(FOREIGN.to_owned());
        };
        if !gone.is_empty() {
            self.audit.enter(certificates(account, &gone)).await?;
        }
        self.pending = None;
        Ok(())
    }

    /// Takes the numbers of whom these orders are about out of what is remembered of people, and tells the orders of which it did
    /// not, because a hold kept them. A run that was cut off is finished by the next, for the orders stay open until this has gone
    /// well.
    pub(super) async fn forget_numbers(&mut self, orders: &BTreeSet<u32>) -> Result<BTreeSet<u32>, String> {
        let mut kept = BTreeSet::new();
        let Some(legal) = self.hub.legal().cloned() else {
            return Ok(kept);
        };
        let people = {
            let state = legal.state().await;
            meant(&state, orders, &mut kept)
        };
        if people.is_empty() {
            return Ok(kept);
        }
        // What was acknowledged before lies in the journal from here on, and no copy of it comes later.
        journaled(&self.hub).await?;
        let mut old = self.keys(Forget::Stale).await?;
        let (mut accounts, mut behind) = (Holders::default(), Some(0));
        while let Some(number) = behind {
            let step = Forget::Look(number, people.clone().into());
            let ForgetReport::Looked(next, found) = self.forget(step).await? else {
                return Err(FOREIGN.to_owned());
            };
            accounts.add(found);
            behind = next;
            tokio::time::sleep(PAUSE).await;
        }
        let has_none = accounts.opt_outs.is_empty() && accounts.consents.is_empty();
        if has_none && old.is_empty() {
            return Ok(kept);
        }
        if !has_none {
            old.extend(self.renew(accounts).await?);
        }
        let (mut used, mut lost, mut behind) = (BTreeSet::new(), BTreeMap::new(), Some(0));
        while let Some(number) = behind {
            // No hold is taken between this judgement and the file that is written by it.
            let state = legal.state().await;
            let going = meant(&state, orders, &mut kept).into();
            behind = self.rewrite(number, going, (&mut used, &mut lost)).await?;
            drop(state);
            tokio::time::sleep(PAUSE).await;
        }
        // Nothing lies under them now; should anything all the same, they stay.
        old.retain(|key| !used.contains(key));
        self.destroy(None, old.clone(), Forget::Finish(old)).await?;
        Ok(kept)
    }

    /// Makes keys for what stays of these accounts, entered before; those that are older now.
    pub(super) async fn renew(&self, accounts: Holders) -> Result<Vec<KeyId>, String> {
        let names: BTreeSet<SystemId> = accounts.opt_outs.union(&accounts.consents).copied().collect();
        let begun = names.iter().map(|account| entry(Some(*account), "sealing anew"));
        self.audit.enter(begun.collect()).await?;
        self.keys(Forget::Renew(accounts, self.hub.now().unix_ms)).await
    }

    /// Writes the journal's first file behind this number anew without what is to go, and takes in the keys under which something
    /// lies in it then, and how many records of each account went or lost something; which file that was.
    pub(super) async fn rewrite(
        &self,
        behind: u64,
        going: Going,
        (used, lost): (&mut BTreeSet<KeyId>, &mut BTreeMap<SystemId, u64>),
    ) -> Result<Option<u64>, String> {
        let step = Forget::Rewrite(behind, going, self.hub.now().unix_ms);
        let ForgetReport::Rewritten(next, keys, of_file) = self.forget(step).await? else {
            return Err(FOREIGN.to_owned());
        };
        used.extend(keys);
        for (account, count) in of_file.of {
            *lost.entry(account).or_default() += count;
        }
        if let (Some(file), 1..) = (next, of_file.damaged) {
            let damaged = of_file.damaged;
            tracing::warn!(
                file,
                damaged,
                "stretches of the journal of opt-outs cannot be read, and are left as they are"
            );
        }
        Ok(next)
    }

    /// Moves what an earlier version sealed of consents with all else of its account to keys of their own, so that it outlives
    /// the account's other keys. Done once, it finds nothing more to do.
    pub(super) async fn move_consents(&self) -> Result<(), String> {
        let (mut used, mut lost, mut behind) = (BTreeSet::new(), BTreeMap::new(), Some(0));
        while let Some(number) = behind {
            let into = (&mut used, &mut lost);
            behind = self.rewrite(number, Going::default(), into).await?;
            tokio::time::sleep(PAUSE).await;
        }
        self.forget(Forget::Finish(Vec::new())).await.map(drop)
    }
}
