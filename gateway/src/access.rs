//! Who may open records of people (GEN-3): by role, as the [table] says, or for a while and by name where that says no
//! (break-glass).
//!
//! A grant lets one token of role operate at the finished messages of one account, with their numbers or their texts as well,
//! for four hours at most. It stands in a register ([`file`]) and in the audit log, as does each use and its end; the account is told
//! by a [notice](crate::notices) and sees it in `account show`. It ends by itself, over a restart too.

mod file;
pub mod table;
mod tend;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex as Locked, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tidegate_store::audit::{Actor, Entry, Field, Kind, Value};
use tidegate_store::disk::Disk;
use tokio::sync::Mutex;

use crate::audit::{AuditHandle, actor, typed, word};
use crate::serve::Hub;
use crate::small_file::register::OnDisk;

pub use crate::small_file::register::Unreadable;
pub(crate) use tend::settle;
pub use tend::tend;

/// The longest time of a grant, in seconds: four hours, about a shift's half. A choice.
pub const SECONDS_MAX: u64 = 4 * 3_600;
/// The shortest time of a grant, in seconds: five minutes, so that whoever looks at the metrics sees it. A choice.
pub const SECONDS_MIN: u64 = 300;
/// Grants of a token within 24 hours: each has a notice made. A choice.
pub const A_DAY_MAX: usize = 24;
/// Grants that run at a time.
pub const RUNNING_MAX: usize = 32;
/// Grants that the register has at most, those that have ended included: the oldest of these make room.
pub const ROWS_MAX: usize = 2_000;
/// Octets of a reason and of a ticket.
pub const TEXT_MAX: usize = 200;
/// How long one that has ended is shown, in milliseconds: a year, as long as its notice.
pub const KEPT_MS: u64 = 366 * 24 * 3_600_000;

/// How far a wall clock may be behind the latest time that was believed for a grant to begin, in milliseconds.
const BEHIND_MAX_MS: u64 = 60_000;
const DAY_MS: u64 = 24 * 3_600_000;

/// How far a grant goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Depth {
    /// Numbers.
    Meta,
    /// Numbers and texts.
    Body,
}

impl Depth {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Meta, Self::Body];

    /// As on the command line.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Body => "body",
        }
    }
}

/// How a grant has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// When, in unix milliseconds.
    pub at_ms: u64,
    /// Who ended it, or that its time was over.
    pub who: String,
}

/// That a token may read what its role does not open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The token's name.
    pub token: String,
    /// Which token of that name, as [`crate::admin::Bearer::print`] has it: one that is made later is somebody else's.
    pub print: String,
    /// Of this account.
    pub account: String,
    /// How far.
    pub class: Depth,
    /// Why.
    pub reason: String,
    /// The ticket.
    pub ticket: String,
    /// From then on, in unix milliseconds.
    pub from_ms: u64,
    /// And before that.
    pub until_ms: u64,
    /// Who began it.
    pub who: String,
    /// The account's notice, once there is one.
    pub notice: Option<u64>,
    /// That it is over.
    pub ended: Option<Ended>,
}

impl Grant {
    /// Whether it lets anybody at anything by a wall clock that says this. One that is set back to before its beginning stops it:
    /// by a clock that had jumped, its end is far away.
    pub const fn is_running(&self, now_ms: u64) -> bool {
        self.ended.is_none() && self.from_ms <= now_ms && now_ms < self.until_ms
    }

    /// The same where the latest time that was believed is known, too: a clock that is set back gives it no more time.
    fn runs<D: Disk>(&self, hub: &Hub<D>) -> bool {
        self.is_running(hub.now().unix_ms) && hub.believed_ms() < self.until_ms
    }
}

/// All of them, by their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Register {
    last: u64,
    grants: BTreeMap<u64, Grant>,
}

impl Register {
    /// Whether one ended so long ago, and was told of, that it is not kept any more.
    fn is_over(grant: &Grant, now_ms: u64) -> bool {
        let is_old = |ended: &Ended| ended.at_ms.saturating_add(KEPT_MS) <= now_ms;
        grant.notice.is_some() && grant.ended.as_ref().is_some_and(is_old)
    }

    /// Forgets what ended long ago, and the oldest of what has ended where there is no room; says whether there is.
    fn make_room(&mut self, now_ms: u64) -> bool {
        self.grants.retain(|_, grant| !Self::is_over(grant, now_ms));
        let over = |grant: &Grant| grant.ended.is_some() && grant.notice.is_some();
        while self.grants.len() >= ROWS_MAX {
            let Some(oldest) = self
                .grants
                .iter()
                .find(|(_, grant)| over(grant))
                .map(|(number, _)| *number)
            else {
                return false;
            };
            self.grants.remove(&oldest);
        }
        let running = self.grants.values().filter(|grant| grant.is_running(now_ms));
        running.count() < RUNNING_MAX
    }

    /// Whether a token, by its name, has had as many in the 24 hours before as it may.
    fn has_had_enough(&self, token: &str, now_ms: u64) -> bool {
        let of_day = |grant: &&Grant| grant.token == token && grant.from_ms.saturating_add(DAY_MS) > now_ms;
        self.grants.values().filter(of_day).count() >= A_DAY_MAX
    }
}

/// The register on disk, and as it is. Changes go one after the other.
#[derive(Debug)]
pub struct Access {
    file: OnDisk<Register>,
    turn: Mutex<()>,
    register: Locked<Register>,
}

impl Access {
    /// Reads the register of a data directory; none where there is no file.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is not as it was written: nothing is started then, for an account that is to be told would be
    /// forgotten.
    pub fn open(data: &Path) -> Result<Self, Unreadable> {
        let (file, register) = OnDisk::open(data)?;
        Ok(Self {
            file,
            turn: Mutex::default(),
            register: Locked::new(register),
        })
    }

    fn locked(&self) -> MutexGuard<'_, Register> {
        self.register.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn register(&self) -> Register {
        self.locked().clone()
    }

    /// The grant by which a token may read an account's messages now, and how far. Asked for each request.
    pub fn covers(&self, (token, print): (&str, &str), account: &str, now_ms: u64) -> Option<(u64, Depth)> {
        let register = self.locked();
        let running = register.grants.iter().filter(|(_, grant)| {
            grant.is_running(now_ms)
                && (grant.token.as_str(), grant.print.as_str(), grant.account.as_str())
                    == (token, print, account)
        });
        // The one that goes furthest.
        let furthest = running.max_by_key(|(_, grant)| grant.class == Depth::Body);
        furthest.map(|(number, grant)| (*number, grant.class))
    }

    /// All of them, by their numbers; of one account, where one is named.
    pub fn list(&self, account: Option<&str>) -> Vec<(u64, Grant)> {
        let grants = self.register().grants.into_iter();
        grants
            .filter(|(_, grant)| account.is_none_or(|account| grant.account == account))
            .collect()
    }

    /// How many were ever begun.
    fn begun(&self) -> u64 {
        self.locked().last
    }

    /// The numbers of those that are meant. Nothing is copied: it is asked once a second.
    fn numbers(&self, is_meant: impl Fn(&Grant) -> bool) -> Vec<u64> {
        let register = self.locked();
        let grants = register.grants.iter();
        grants
            .filter(|(_, grant)| is_meant(grant))
            .map(|(number, _)| *number)
            .collect()
    }

    /// Forgets what ended a year ago; with nothing to forget there is nothing to do.
    async fn forget(&self, now_ms: u64) -> Result<(), String> {
        if self.numbers(|grant| Register::is_over(grant, now_ms)).is_empty() {
            return Ok(());
        }
        let _alone = self.turn.lock().await;
        let mut register = self.register();
        register
            .grants
            .retain(|_, grant| !Register::is_over(grant, now_ms));
        self.write(register).await
    }

    fn get(&self, number: u64) -> Option<Grant> {
        self.locked().grants.get(&number).cloned()
    }

    async fn write(&self, register: Register) -> Result<(), String> {
        let register = self.file.write(register).await?;
        *self.locked() = register;
        Ok(())
    }
}

/// An entry of the log about a grant.
fn entry(who: &Actor, outcome: &str, number: u64, grant: &Grant) -> Entry {
    Entry::new(Kind::BreakGlass, who.clone())
        .of(grant.account.parse().ok())
        .with(Field::Outcome, word(outcome))
        .with(Field::Sequence, Value::Count(number))
        .with(Field::To, word(&grant.token))
        .with(Field::Scope, word(grant.class.word()))
}

/// Begins a grant; its number. It is in the audit log first, and the account is told.
///
/// # Errors
///
/// In words for an operator: too many run, or it cannot be written.
pub(crate) async fn begin<D: Disk>(
    hub: &Hub<D>,
    (audit, who): (&AuditHandle, &Actor),
    grant: Grant,
) -> Result<u64, String> {
    let access = hub
        .access()
        .ok_or("this gateway has no register of break-glass")?;
    let number = {
        let _alone = access.turn.lock().await;
        // Nobody knows when four hours are over by a clock that is not believed.
        if hub.is_doubted() || hub.believed_ms() > grant.from_ms.saturating_add(BEHIND_MAX_MS) {
            return Err(
                "the clock has jumped, or was set back: nobody is let in by it until it is right; whoever is at the control socket \
                 reads without"
                    .to_owned(),
            );
        }
        let mut register = access.register();
        if !register.make_room(grant.from_ms) {
            return Err(format!(
                "{RUNNING_MAX} run already, or the register is full: `access end` one"
            ));
        }
        if register.has_had_enough(&grant.token, grant.from_ms) {
            return Err(format!(
                "{} was let in {A_DAY_MAX} times within a day already",
                grant.token
            ));
        }
        register.last += 1;
        let number = register.last;
        let begun = entry(who, "begun", number, &grant)
            .with(Field::Evidence, typed(&grant.ticket))
            .with(Field::Reason, typed(&grant.reason))
            .with(Field::Last, Value::Time(grant.until_ms));
        audit.enter(vec![begun]).await?;
        register.grants.insert(number, grant);
        access.write(register).await?;
        number
    };
    // What is not told now is told later; it is on disk that it is to be.
    if let Err(error) = settle(hub).await {
        tracing::error!(error, "an account cannot be told that its records are read");
    }
    Ok(number)
}

/// Enters that a grant is used, before anything is opened by it.
///
/// # Errors
///
/// It is over by now, or that cannot be entered: nothing is opened.
pub(crate) async fn used<D: Disk>(
    hub: &Hub<D>,
    (audit, who): (&AuditHandle, &Actor),
    (number, verb): (u64, &str),
) -> Result<(), String> {
    let access = hub
        .access()
        .ok_or("this gateway has no register of break-glass")?;
    let grant = access.get(number).filter(|grant| grant.runs(hub));
    let grant = grant.ok_or("the grant is over")?;
    let used = entry(who, "used", number, &grant).with(Field::Verb, word(verb));
    audit.enter(vec![used]).await
}

/// Ends a grant before its time, or at it; whether it still ran.
///
/// # Errors
///
/// In words for an operator.
pub(crate) async fn end<D: Disk>(
    hub: &Hub<D>,
    (audit, who): (&AuditHandle, &Actor),
    number: u64,
    reason: &str,
) -> Result<bool, String> {
    let access = hub
        .access()
        .ok_or("this gateway has no register of break-glass")?;
    let _alone = access.turn.lock().await;
    let mut register = access.register();
    let grant = register
        .grants
        .get_mut(&number)
        .ok_or_else(|| format!("there is no grant {number}"))?;
    if grant.ended.is_some() {
        return Ok(false);
    }
    let ended = entry(who, "ended", number, grant).with(Field::Reason, typed(reason));
    audit.enter(vec![ended]).await?;
    let is_by_time = *who == Actor::System;
    grant.ended = Some(Ended {
        at_ms: if is_by_time {
            grant.until_ms.min(hub.believed_ms())
        } else {
            hub.believed_ms()
        },
        who: actor(who),
    });
    access.write(register).await?;
    Ok(true)
}

/// Ends what a token may read by break-glass: it is revoked, and another of its name is somebody else's.
///
/// # Errors
///
/// In words for an operator.
pub(crate) async fn end_of_token<D: Disk>(
    hub: &Hub<D>,
    by: (&AuditHandle, &Actor),
    token: &str,
) -> Result<(), String> {
    let Some(access) = hub.access() else { return Ok(()) };
    for number in access.numbers(|grant| grant.token == token && grant.ended.is_none()) {
        end(hub, by, number, "its token is revoked").await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
