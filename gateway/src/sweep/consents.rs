//! Consents come to their end (compliance.md §7, class `consent`): what was said of one goes, with what proves it, when its time is
//! over behind its withdrawal or behind the closure of the last account that it was to.
//!
//! The journal is looked through once a day, and when an operator asks for a sweep; when something of it is over, accounts that hold
//! it get new keys, files are written anew without it, and the older keys are destroyed. Each step may be the last before a kill: a
//! later run finds what is still there under whatever key.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_codec::identity::SystemId;
use tidegate_store::audit::{Actor, Entry, Field, Kind, Value};
use tidegate_store::disk::Disk;
use tidegate_store::history::{Order, Report};
use tidegate_store::standing::{Ends, Forget, ForgetReport, Going, Holders};

use super::Sweep;
use super::run::{FOREIGN, PAUSE};
use crate::audit::{IsOver, word};
use crate::control::journaled;
use crate::serve::Hub;

/// How often the journal is looked through.
const EVERY_MS: u64 = 24 * 3_600 * 1_000;

fn entry(account: SystemId, outcome: &str, count: u64) -> Entry {
    Entry::new(Kind::Erasure, Actor::System)
        .of(Some(account))
        .with(Field::Scope, word("consents that are over"))
        .with(Field::Outcome, word(outcome))
        .with(Field::Count, Value::Count(count))
}

async fn step<D: Disk>(hub: &Hub<D>, step: Forget) -> Result<ForgetReport, String> {
    match hub.ask_history(Order::Forget(step)).await? {
        Report::Forgot(report) => Ok(report),
        _ => Err(FOREIGN.to_owned()),
    }
}

/// Looks through the journal for what is over: with its withdrawals, and who holds something of that.
async fn look<D: Disk>(hub: &Hub<D>, mut ends: Ends) -> Result<(Ends, Holders), String> {
    let mut before = Some(u64::MAX);
    while let Some(number) = before {
        let ForgetReport::Withdrawn(next, learnt) = step(hub, Forget::Withdrawn(number, ends)).await? else {
            return Err(FOREIGN.to_owned());
        };
        (before, ends) = (next, learnt);
        tokio::time::sleep(PAUSE).await;
    }
    let (mut holders, mut behind) = (Holders::default(), Some(0));
    while let Some(number) = behind {
        let going = Going {
            people: Vec::new(),
            consents: Some(ends.clone()),
        };
        let ForgetReport::Looked(next, found) = step(hub, Forget::Look(number, going)).await? else {
            return Err(FOREIGN.to_owned());
        };
        holders.add(found);
        behind = next;
        tokio::time::sleep(PAUSE).await;
    }
    Ok((ends, holders))
}

/// How many records of consents are over now, for each account.
///
/// # Errors
///
/// In words for an operator: a file of the journal cannot be read, or has damage.
pub(super) async fn over<D: Disk>(hub: &Hub<D>, now_ms: u64) -> Result<BTreeMap<SystemId, u64>, String> {
    let keeping = hub.look(|gate, _| {
        let has_any = gate.spool().standing().has_consents();
        gate.keeping().cloned().filter(|_| has_any)
    });
    match keeping {
        Some(keeping) => Ok(look(hub, keeping.ends_of_consents(now_ms)).await?.1.over),
        None => Ok(BTreeMap::new()),
    }
}

impl<D: Disk> Sweep<D> {
    /// Has the audit log drop what is over (AUD-5).
    pub(super) async fn end_audit(&self) -> Result<(), String> {
        let Some(keeping) = self.rules() else {
            return Ok(());
        };
        // No hold is taken between the judgement and what goes by it.
        let legal = self.hub.legal().cloned();
        let _taken = match &legal {
            Some(legal) => Some(legal.state().await),
            None => None,
        };
        let keeping = self.rules().unwrap_or(keeping);
        let now_ms = self.guard.seen_ms();
        let is_over = move |entered_ms| keeping.is_audit_over(entered_ms, now_ms);
        self.audit.age(IsOver::new(is_over)).await
    }

    /// Removes what is over.
    pub(super) async fn end_consents(&mut self) -> Result<(), String> {
        let now_ms = self.guard.seen_ms();
        let is_early = |looked_ms: u64| now_ms < looked_ms.saturating_add(EVERY_MS);
        let has_any = self.hub.look(|gate, _| gate.spool().standing().has_consents());
        if !has_any || self.consents_ms.is_some_and(is_early) {
            return Ok(());
        }
        let Some(keeping) = self.rules() else {
            return Ok(());
        };
        journaled(&self.hub).await?;
        let mut old = self.keys(Forget::Stale).await?;
        let (ends, holders) = look(&self.hub, keeping.ends_of_consents(now_ms)).await?;
        // What a run before this one has moved may lie under keys that it did not come to destroy.
        if holders.over.is_empty() && old.is_empty() {
            self.consents_ms = Some(now_ms);
            return Ok(());
        }
        self.enter_consents("erasing", &holders.over).await?;
        if !holders.consents.is_empty() || !holders.opt_outs.is_empty() {
            old.extend(self.renew(holders).await?);
        }
        let legal = self.hub.legal().cloned();
        let (mut used, mut lost, mut behind) = (BTreeSet::new(), BTreeMap::new(), Some(0));
        while let Some(number) = behind {
            // No hold is taken between this judgement and the file that is written by it.
            let taken = match &legal {
                Some(legal) => Some(legal.state().await),
                None => None,
            };
            let rules = self.rules().map(|keeping| keeping.ends_of_consents(now_ms));
            let going = Going {
                people: Vec::new(),
                consents: rules.map(|rules| ends.with_rules_of(&rules)),
            };
            behind = self.rewrite(number, going, (&mut used, &mut lost)).await?;
            drop(taken);
            tokio::time::sleep(PAUSE).await;
        }
        old.retain(|key| !used.contains(key));
        // Of an account of which nothing is left no key is, either.
        let spare = self.keys(Forget::Spare(used)).await?;
        let old: BTreeSet<_> = old.into_iter().chain(spare).collect();
        let old: Vec<_> = old.into_iter().collect();
        self.destroy(None, old.clone(), Forget::Finish(old)).await?;
        // Other than what was looked for where a hold was taken meanwhile.
        self.enter_consents("erased", &lost).await?;
        self.consents_ms = Some(now_ms);
        Ok(())
    }

    async fn enter_consents(&self, outcome: &str, of: &BTreeMap<SystemId, u64>) -> Result<(), String> {
        if of.is_empty() {
            return Ok(());
        }
        let entries = of.iter().map(|(account, count)| entry(*account, outcome, *count));
        self.audit.enter(entries.collect()).await
    }
}
