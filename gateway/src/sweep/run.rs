//! One run of the sweep.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tidegate_codec::identity::SystemId;
use tidegate_store::audit::Entry;
use tidegate_store::disk::Disk;
use tidegate_store::history::{AddUp, Kept, Lot, Order, PeriodKey, Rekey, Report};
use tidegate_store::keyring::Fingerprint;
use tidegate_store::seal::KeyId;

use super::Sweep;
use super::entries::{self, Entered};
use super::note::{Going, Note, Pending, Sum};
use crate::control::not_done;
use crate::keeping::{Keeping, Stands};

/// Lots whose keys are destroyed in one turn of the keeper.
const CHUNK: usize = 32;
/// What lies between two of these, for all others who want something of the keeper (RET-6).
pub(super) const PAUSE: Duration = Duration::from_millis(10);
/// History answers with something that was not asked for.
pub(super) const FOREIGN: &str = "history answers something else";

/// What a run has come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Lots whose keys it has destroyed.
    pub lots: u64,
    /// Records in them.
    pub records: u64,
    /// Of these, messages that went into the statistics.
    pub counted: u64,
    /// Files that it has removed.
    pub files: u64,
    /// Octets that these took.
    pub octets: u64,
    /// Lots that are due and left to the next run, for this one's budget was used up.
    pub left: u64,
    /// Lots that no rule says anything about.
    pub without_rule: u64,
    /// Keys under which nothing lay, and that it has destroyed.
    pub unused: u64,
    /// Its beginning stands in the audit log.
    is_begun: bool,
}

impl Swept {
    pub(super) fn shown(&self) -> Value {
        json!({
            "lots": self.lots,
            "records": self.records,
            "counted": self.counted,
            "files": self.files,
            "octets": self.octets,
            "left": self.left,
            "without_rule": self.without_rule,
            "unused_keys": self.unused,
        })
    }

    const fn sum(&self) -> Sum {
        Sum {
            lots: self.lots,
            records: self.records,
            octets: self.octets,
        }
    }
}

fn sum_of(lots: &[Lot]) -> Sum {
    Sum {
        lots: lots.len() as u64,
        records: lots.iter().map(|lot| lot.records).sum(),
        octets: lots.iter().map(|lot| lot.octets).sum(),
    }
}

impl<D: Disk> Sweep<D> {
    /// Removes what is due now, and all that is kept of an account that is to be forgotten and is in no configuration.
    ///
    /// # Errors
    ///
    /// In words for an operator: the clock is not believed, or a file, the key ring or the audit log failed. What was
    /// done until then stays done, and the next run goes on.
    pub async fn run(&mut self, forgotten: Option<SystemId>) -> Result<Swept, String> {
        if !self.look() {
            self.metrics.stopped.increment(1);
            return Err(
                "the clock has jumped: nothing is removed until it is set right, or `tidegate retention confirm-clock` \
                 says that it is"
                    .to_owned(),
            );
        }
        let began = self.hub.now().monotonic;
        let mut swept = Swept::default();
        let mut done = self.sweep(forgotten, &mut swept).await;
        // Something was entered before: how it went is, too.
        if swept.is_begun {
            let outcome = if done.is_ok() {
                "sweep ends"
            } else {
                "sweep broken off"
            };
            let entered = self.audit.enter(vec![entries::ended(outcome, swept.sum())]).await;
            done = done.and(entered);
            tracing::info!(
                lots = swept.lots,
                records = swept.records,
                files = swept.files,
                octets = swept.octets,
                left = swept.left,
                "a retention sweep has ended"
            );
        }
        match &done {
            Ok(()) => {
                let now = self.hub.now();
                self.metrics.done.increment(1);
                self.metrics
                    .done_at
                    .set(Duration::from_millis(now.unix_ms).as_secs_f64());
                let seconds = now.monotonic.saturating_sub(began).as_secs_f64();
                self.metrics.seconds.set(seconds);
            }
            Err(_) => self.metrics.failed.increment(1),
        }
        done.map(|()| swept)
    }

    async fn sweep(&mut self, forgotten: Option<SystemId>, swept: &mut Swept) -> Result<(), String> {
        // Before it is looked which keys are gone.
        self.hub.ask_history(Order::Rekey(Rekey::Settle)).await?;
        self.settle().await?;
        // What cannot be released now keeps what it holds, and holds up nothing else.
        let held = self.settle_holds().await;
        if self.rules().is_none() {
            return held.and(self.write_note().await);
        }
        if forgotten.is_some() {
            // What is gathered still has no lot.
            self.hub.checkpoint_history().await?;
        }
        let Report::Periods(mut files) = self.hub.ask_history(Order::Periods).await? else {
            return Err(FOREIGN.to_owned());
        };
        // Texts first: whom one was to says its message's record only.
        files.sort_by_key(|file| Reverse(file.class));
        self.metrics
            .files
            .set(f64::from(u32::try_from(files.len()).unwrap_or(u32::MAX)));
        let budget = self.hub.look(|gate, _| gate.config().retention.sweep_budget) as u64;
        let files_before = files.len();
        let mut used = BTreeSet::new();
        // One that fails holds up no other (ENC-4); what it has come to is entered before the next begins.
        let mut failed = held;
        for file in files {
            let done = self.sweep_file(&file, forgotten, budget, swept, &mut used).await;
            if let Err(why) = &done {
                tracing::error!(%file, why, "a file of the history is not swept now");
                self.settle().await?;
            }
            failed = failed.and(done);
            tokio::time::sleep(PAUSE).await;
        }
        let erased = self.erase_people().await;
        if erased.is_err() {
            self.settle().await?;
        }
        failed = failed.and(erased);
        if let Some(keeping) = self.rules() {
            failed = failed.and(self.close_accounts(&keeping).await);
        }
        let ended = self.end_consents().await;
        if ended.is_err() {
            self.settle().await?;
        }
        failed = failed.and(ended);
        let aged = self.end_audit().await;
        // With a file that could not be read nobody knows what is used.
        if failed.is_ok() {
            self.drop_unused(used, swept).await?;
        }
        let gauge = |count: u64| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        self.metrics.left.set(gauge(swept.left));
        self.metrics.without_rule.set(gauge(swept.without_rule));
        self.metrics.files.set(gauge(files_before as u64 - swept.files));
        failed.and(aged).and(self.write_note().await)
    }

    /// The rules as they are now: holds are taken and rules change while a run goes on.
    pub(super) fn rules(&self) -> Option<Arc<Keeping>> {
        self.hub.look(|gate, _| gate.keeping().cloned())
    }

    /// An account whose data is to go although no rule says so, if it is in no configuration still.
    fn forgotten(&self, account: Option<SystemId>) -> Option<SystemId> {
        account.filter(|account| {
            self.hub.look(|gate, _| {
                let mut accounts = gate.config().accounts.iter();
                accounts.all(|there| there.system_id != *account)
            })
        })
    }

    /// Keys go under which nothing lies: a process was cut off between a key and its first block, and the period is over.
    async fn drop_unused(&mut self, used: BTreeSet<KeyId>, swept: &mut Swept) -> Result<(), String> {
        let over_ms = self.guard.seen_ms();
        let used = Arc::new(used);
        let Report::Unused(keys) = self.hub.ask_history(Order::Unused { over_ms, used }).await? else {
            return Err(FOREIGN.to_owned());
        };
        if keys.is_empty() {
            return Ok(());
        }
        self.audit
            .enter(vec![entries::unused("begun", keys.len())])
            .await?;
        let order = Order::DestroyUnused { over_ms, keys };
        let Report::Unused(gone) = self.hub.ask_history(order).await? else {
            return Err(FOREIGN.to_owned());
        };
        tracing::info!(
            keys = gone.len(),
            "keys under which nothing was written are destroyed"
        );
        swept.unused += gone.len() as u64;
        self.metrics.unused.increment(gone.len() as u64);
        self.audit.enter(vec![entries::unused("done", gone.len())]).await
    }

    pub(super) async fn lots(&self, file: &PeriodKey) -> Result<Vec<Lot>, String> {
        match self.hub.ask_history(Order::Lots(file.clone())).await? {
            Report::Lots(lots) => Ok(lots),
            _ => Err(FOREIGN.to_owned()),
        }
    }

    async fn sweep_file(
        &mut self,
        file: &PeriodKey,
        forgotten: Option<SystemId>,
        budget: u64,
        swept: &mut Swept,
        used: &mut BTreeSet<KeyId>,
    ) -> Result<(), String> {
        let lots = self.lots(file).await?;
        used.extend(lots.iter().filter(|lot| lot.is_there).map(|lot| lot.key));
        let now_ms = self.guard.seen_ms();
        let Some(keeping) = self.rules() else {
            return Ok(());
        };
        let forgotten = self.forgotten(forgotten);
        let mut due: Vec<(Lot, AddUp)> = Vec::new();
        for lot in lots.iter().filter(|lot| lot.is_there) {
            match keeping.lot(lot, now_ms) {
                Stands::Due { add_up, .. } => due.push((lot.clone(), add_up)),
                // No rule says that it is counted, either; nor what of it a hold keeps, so that such a lot stays.
                Stands::WithoutRule if forgotten == Some(lot.account) && !keeping.claims().may_hold(lot) => {
                    due.push((lot.clone(), AddUp::No));
                }
                Stands::WithoutRule => swept.without_rule += 1,
                Stands::Until(_) | Stands::Undated => {}
            }
        }
        // Nobody comes back for what is forgotten.
        let room = match forgotten {
            None => usize::try_from(budget.saturating_sub(swept.lots)).unwrap_or(usize::MAX),
            Some(_) => usize::MAX,
        };
        swept.left += due.len().saturating_sub(room) as u64;
        due.truncate(room);
        let mut failed = Ok(());
        for chunk in due.chunks(CHUNK) {
            let done = self.erase(file, chunk, forgotten, swept).await;
            if done.is_err() {
                self.settle().await?;
            }
            failed = failed.and(done);
            tokio::time::sleep(PAUSE).await;
        }
        failed?;
        // A file in which nothing can be read says nothing about what it held.
        let (was_there, gone) = (lots.iter().filter(|lot| lot.is_there).count(), due.len());
        if lots.is_empty() || was_there > gone {
            return Ok(());
        }
        // Something may have been filed meanwhile.
        let lots = self.lots(file).await?;
        if lots.iter().any(|lot| lot.is_there) {
            return Ok(());
        }
        self.remove(file, sum_of(&lots), swept).await
    }

    /// Lots go, some at a time: their records are gone for good with their keys.
    async fn erase(
        &mut self,
        file: &PeriodKey,
        lots: &[(Lot, AddUp)],
        forgotten: Option<SystemId>,
        swept: &mut Swept,
    ) -> Result<(), String> {
        // It takes long where lots are large, and holds wait for what follows: what is added up stays, and only what came since
        // is looked at once more below, where a failure is told, too.
        for (lot, add_up) in lots {
            drop(self.add_up(file, lot, *add_up).await);
        }
        // No hold is taken from here on until the keys are gone: one that was taken before is heeded, and one that comes later
        // finds them gone (LEG-1).
        let legal = self.hub.legal().cloned();
        let _taken = match &legal {
            Some(legal) => Some(legal.state().await),
            None => None,
        };
        let Some(keeping) = self.rules() else {
            return Ok(());
        };
        let now_ms = self.guard.seen_ms();
        let is_due = |lot: &Lot| match keeping.lot(lot, now_ms) {
            Stands::Due { .. } => true,
            Stands::WithoutRule => forgotten == Some(lot.account) && !keeping.claims().may_hold(lot),
            Stands::Until(_) | Stands::Undated => false,
        };
        let lots: Vec<(Lot, AddUp)> = lots.iter().filter(|(lot, _)| is_due(lot)).cloned().collect();
        let keys = lots.iter().map(|(lot, _)| lot.key).collect();
        let prints = self.prints(keys).await?;
        let going: Vec<Going> = lots
            .iter()
            .filter_map(|(lot, add_up)| Some(Going::new(lot, *prints.get(&lot.key)?, *add_up)))
            .collect();
        let mut failed = match going.len() < lots.len() {
            true => Err(format!("{file}: a key of the ring cannot be read")),
            false => Ok(()),
        };
        if going.is_empty() {
            return failed;
        }
        let mut begun: Vec<Entry> = (!swept.is_begun).then(entries::started).into_iter().collect();
        begun.extend(going.iter().map(|going| entries::begun(file, going)));
        self.audit.enter(begun).await?;
        swept.is_begun = true;
        self.pending = Some(Pending::Erase(file.clone(), going.clone()));
        self.write_note().await?;
        let mut ready = Vec::new();
        for (lot, add_up) in lots.into_iter().filter(|(lot, _)| prints.contains_key(&lot.key)) {
            let prepared = match self.copy_held(file, &lot, &keeping).await {
                Ok(()) => self.add_up(file, &lot, add_up).await,
                failed => failed,
            };
            match prepared {
                Ok(()) => ready.push((lot, add_up)),
                // It stays as it is, and the others go.
                Err(why) => failed = failed.and(Err(why)),
            }
        }
        if ready.iter().any(|(lot, _)| keeping.claims().may_hold(lot)) {
            // What was filed while the others were copied is in no vault: such a lot waits for the next run.
            let now = self.lots(file).await?;
            let blocks: BTreeMap<KeyId, u64> = now.iter().map(|lot| (lot.key, lot.blocks)).collect();
            let before = ready.len();
            ready.retain(|(lot, _)| blocks.get(&lot.key) == Some(&lot.blocks));
            swept.left += (before - ready.len()) as u64;
        }
        if ready.is_empty() {
            return failed;
        }
        let ready_keys: BTreeSet<KeyId> = ready.iter().map(|(lot, _)| lot.key).collect();
        let going: Vec<Going> = going
            .into_iter()
            .filter(|going| ready_keys.contains(&going.key))
            .collect();
        let order = Order::Erase(file.clone(), ready);
        let Report::Erased(erased) = self.hub.ask_history(order).await? else {
            return Err(FOREIGN.to_owned());
        };
        let done = going.iter().map(|going| entries::erased(file, going)).collect();
        self.audit.enter(done).await?;
        self.pending = None;
        for going in &going {
            self.metrics.swept(file.class, going.records);
            swept.lots += 1;
            swept.records += going.records;
        }
        swept.counted += erased.iter().map(|erased| erased.counted).sum::<u64>();
        failed
    }

    /// Goes through a lot that is counted when it goes, some blocks at a time, so that little is left for the step in which it
    /// is counted and goes.
    async fn add_up(&self, file: &PeriodKey, lot: &Lot, add_up: AddUp) -> Result<(), String> {
        if add_up == AddUp::No || lot.class == Kept::Body {
            return Ok(());
        }
        loop {
            let order = Order::AddUp(file.clone(), lot.key);
            match self.hub.ask_history(order).await? {
                Report::AddedUp(true) => return Ok(()),
                Report::AddedUp(false) => tokio::time::sleep(PAUSE).await,
                _ => return Err(FOREIGN.to_owned()),
            }
        }
    }

    /// A file goes of which nothing can be read any more.
    async fn remove(&mut self, file: &PeriodKey, sum: Sum, swept: &mut Swept) -> Result<(), String> {
        if !swept.is_begun {
            self.audit.enter(vec![entries::started()]).await?;
            swept.is_begun = true;
        }
        self.pending = Some(Pending::Remove(file.clone(), sum, self.hub.now().unix_ms));
        self.write_note().await?;
        let Report::Removed(octets) = self.hub.ask_history(Order::Remove(file.clone())).await? else {
            return Err(FOREIGN.to_owned());
        };
        self.audit.enter(vec![entries::removed(file, sum)]).await?;
        self.pending = None;
        self.metrics.octets.increment(octets);
        swept.files += 1;
        swept.octets += octets;
        Ok(())
    }

    pub(super) async fn prints(&self, keys: Vec<KeyId>) -> Result<BTreeMap<KeyId, Fingerprint>, String> {
        match self.hub.ask_history(Order::Fingerprints(keys)).await? {
            Report::Fingerprints(prints) => Ok(prints.into_iter().collect()),
            _ => Err(FOREIGN.to_owned()),
        }
    }

    /// Writes how late it is, and what is pending.
    pub(super) async fn write_note(&self) -> Result<(), String> {
        let note = Note {
            seen_ms: self.guard.seen_ms(),
            pending: self.pending.clone(),
            rotating: self.rotating,
        };
        self.hub.ask_history(Order::Note(note.octets())).await.map(drop)
    }

    /// Enters what the run before has done and could not enter any more. What it has not done, this one does as if
    /// nothing had been.
    pub(super) async fn settle(&mut self) -> Result<(), String> {
        let Some(pending) = self.pending.clone() else {
            return Ok(());
        };
        let mut missing = Vec::new();
        match pending {
            Pending::Erase(file, mut going) => {
                let there = self.prints(going.iter().map(|going| going.key).collect()).await?;
                let there: BTreeSet<KeyId> = there.into_keys().collect();
                going.retain(|going| !there.contains(&going.key));
                if !going.is_empty() {
                    let entered = self.entered(Some(&file)).await?;
                    going.retain(|going| !entered.has(going));
                    missing.extend(going.iter().map(|going| entries::erased(&file, going)));
                }
            }
            Pending::Numbers(account, mut going) => {
                let there = self.prints(going.iter().map(|going| going.id).collect()).await?;
                going.retain(|going| !there.contains_key(&going.id));
                if !going.is_empty() {
                    let entered = self.entered(None).await?;
                    going.retain(|going| !entered.has_key(going));
                    missing.extend(super::numbers::certificates(account, &going));
                }
            }
            Pending::Rekey(file, going) => {
                let there = self.prints(vec![going.key]).await?;
                if there.is_empty() && !self.entered(Some(&file)).await?.has(&going) {
                    missing.push(entries::sealed_anew(&file, &going));
                }
            }
            Pending::Remove(file, sum, noted_ms) => {
                let Report::Periods(files) = self.hub.ask_history(Order::Periods).await? else {
                    return Err(FOREIGN.to_owned());
                };
                if !files.contains(&file) && !self.entered(Some(&file)).await?.has_removal_since(noted_ms) {
                    missing.push(entries::removed(&file, sum));
                }
            }
        }
        if !missing.is_empty() {
            tracing::info!(
                entries = missing.len(),
                "what a sweep that was cut off has done is entered now"
            );
            self.audit.enter(missing).await?;
        }
        self.pending = None;
        Ok(())
    }

    async fn entered(&self, file: Option<&PeriodKey>) -> Result<Entered, String> {
        let (place, file) = (self.place.clone(), file.cloned());
        let read = tokio::task::spawn_blocking(move || Entered::read(&place, file.as_ref()));
        match read.await {
            Ok(read) => read.map_err(|error| format!("the audit log cannot be read: {error}")),
            Err(error) => Err(not_done(&error).to_owned()),
        }
    }
}
