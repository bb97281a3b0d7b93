//! Numbers that are sealed with opt-outs and consents (PSN-3): one person's go with an order to erase, an account's with the date
//! that holds for it once it is [closed](super::closed). What stands for them stays, so nobody is less opted out.

use std::collections::BTreeSet;

use tidegate_codec::identity::SystemId;
use tidegate_store::audit::{Actor, Entry, Field, Kind, Value, Word};
use tidegate_store::disk::Disk;
use tidegate_store::history::{Order, Report};
use tidegate_store::keyring::Destroyed;
use tidegate_store::seal::KeyId;
use tidegate_store::standing::{Forget, ForgetReport, Forgotten};

use super::Sweep;
use super::run::{FOREIGN, PAUSE};
use crate::control::key_word;

pub(super) fn entry(account: Option<SystemId>, outcome: &str) -> Entry {
    let word = |text: &str| Value::Word(Word::of_name(text));
    Entry::new(Kind::Erasure, Actor::System)
        .of(account)
        .with(Field::Scope, word("numbers of opt-outs and consents"))
        .with(Field::Outcome, word(outcome))
}

fn certificates(account: Option<SystemId>, gone: &[Destroyed]) -> Vec<Entry> {
    let certificate = |key| entry(account, "erased").with(Field::RingKey, key_word(key));
    gone.iter().map(certificate).collect()
}

impl<D: Disk> Sweep<D> {
    async fn forget(&self, step: Forget) -> Result<ForgetReport, String> {
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

    pub(super) async fn destroy(&self, account: Option<SystemId>, step: Forget) -> Result<(), String> {
        let ForgetReport::Gone(gone) = self.forget(step).await? else {
            return Err(FOREIGN.to_owned());
        };
        match gone.is_empty() {
            true => Ok(()),
            false => self.audit.enter(certificates(account, &gone)).await,
        }
    }

    /// Takes people's numbers out of what is remembered of them. A run that was cut off is finished by the next, for the orders
    /// stay open until this has gone well.
    pub(super) async fn forget_numbers(&self, people: Vec<Forgotten>) -> Result<(), String> {
        if people.is_empty() {
            return Ok(());
        }
        let mut old = self.keys(Forget::Stale).await?;
        let (mut accounts, mut behind) = (BTreeSet::new(), Some(0));
        while let Some(number) = behind {
            let step = Forget::Look(number, people.clone());
            let ForgetReport::Looked(next, found) = self.forget(step).await? else {
                return Err(FOREIGN.to_owned());
            };
            accounts.extend(found);
            behind = next;
            tokio::time::sleep(PAUSE).await;
        }
        if accounts.is_empty() && old.is_empty() {
            return Ok(());
        }
        let accounts: Vec<SystemId> = accounts.into_iter().collect();
        if !accounts.is_empty() {
            let begun = accounts
                .iter()
                .map(|account| entry(Some(*account), "sealing anew"));
            self.audit.enter(begun.collect()).await?;
            let now_ms = self.hub.now().unix_ms;
            old.extend(self.keys(Forget::Renew(accounts.clone(), now_ms)).await?);
        }
        let (mut used, mut behind) = (BTreeSet::new(), Some(0));
        while let Some(number) = behind {
            let step = Forget::Rewrite(number, accounts.clone(), people.clone());
            let ForgetReport::Rewritten(next, keys, _) = self.forget(step).await? else {
                return Err(FOREIGN.to_owned());
            };
            used.extend(keys);
            behind = next;
            tokio::time::sleep(PAUSE).await;
        }
        // A key that was full is not the newest, and yet others' numbers lie under it.
        old.retain(|key| !used.contains(key));
        self.destroy(None, Forget::Finish(old)).await
    }
}
