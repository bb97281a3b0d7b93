//! Requests of people about what is kept of them (compliance.md §6, DSR-1 to DSR-6): a register, its clocks, and who carries
//! them out.
//!
//! ```text
//!  open ─► received ─► verify ─► verified ─► run ─► running ─► ended, and its key goes
//!              └───────── extend, refuse ─────────┘
//! ```
//!
//! Of the person there is the number, and how identity or authority was proved, both sealed under a key of the request's own that
//! goes with its end (DSR-2). What is answered is a request's row, which names nobody.

mod clock;
mod file;
pub(crate) mod tend;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, PoisonError};

use serde::{Deserialize, Serialize};
use tidegate_store::disk::Disk;
use tidegate_store::history::whom;
use tidegate_store::keyring::{KeyRing, Owner};
use tokio::sync::{Mutex, MutexGuard};
use zeroize::Zeroizing;

pub use crate::small_file::register::Unreadable;
use crate::small_file::register::{Durable, digits};
pub use clock::{Clocked, clock_of};
pub use tend::tend;

/// Requests that are open at most.
pub const OPEN_MAX: usize = 1_000;
/// Requests that the register has at most, those that have ended included.
pub const ROWS_MAX: usize = 20_000;
/// Months for which a request that has ended stays in the register: that it was answered must be provable as long as somebody may
/// complain of it. California wants 24 months of them (11 CCR 7101), claims against a controller end after three years in most places.
pub const KEPT_MONTHS: u32 = 36;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Right {
    /// All that is kept, and why.
    Access,
    /// Something is wrong.
    Correct,
    /// All that is kept is to go.
    Erase,
    /// The messages, to be taken elsewhere.
    Port,
    /// No more marketing.
    Object,
    /// Nothing more is to be done with it than to keep it (DSR-4).
    Restrict,
}

impl Right {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Access,
        Self::Correct,
        Self::Erase,
        Self::Port,
        Self::Object,
        Self::Restrict,
    ];

    /// As on the command line.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Correct => "correct",
            Self::Erase => "erase",
            Self::Port => "port",
            Self::Object => "object",
            Self::Restrict => "restrict",
        }
    }
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Asker {
    /// Whom messages were sent to, of the platform itself.
    Recipient,
    /// An account, for one of its recipients: it decides about them (DSR-3).
    Account,
    /// The holder of an account, about a number of the holder's own.
    Holder,
}

impl Asker {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Recipient, Self::Account, Self::Holder];

    /// As on the command line.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Recipient => "recipient",
            Self::Account => "account",
            Self::Holder => "holder",
        }
    }
}

/// How a request has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum How {
    /// It was carried out.
    Done,
    /// It was refused, with a reason.
    Refused,
    /// Who asked was pointed to the account, which decides, and was told (DSR-3).
    Pointed,
}

impl How {
    /// For people and programs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Pointed => "pointed",
        }
    }
}

/// What an erasure could not take along.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Of this class.
    pub class: String,
    /// So many records.
    pub records: u64,
    /// Until then at the latest, in unix milliseconds; `None` where nobody knows yet.
    pub until_ms: Option<u64>,
    /// By these rules. No matter of a hold is named.
    pub by: String,
}

/// An answer that waits to be fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// Since then, in unix milliseconds.
    pub at_ms: u64,
    /// Nobody reads it from then on.
    pub ends_ms: u64,
    /// Blocks of history that did not open: what they held is not in it.
    pub unreadable: u64,
}

/// A request, as the register has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestRow {
    /// What is asked for.
    pub right: Right,
    /// By whom.
    pub asker: Asker,
    /// About this account's data; `None`: the whole platform's.
    pub account: Option<String>,
    /// Where the person is.
    pub place: Option<String>,
    /// Somebody below the age (DSR-6).
    pub is_minor: bool,
    /// The number, sealed under the request's key. Empty once it has ended.
    #[serde(with = "digits")]
    pub number: Vec<u8>,
    /// How identity or authority was proved: the same.
    #[serde(with = "digits")]
    pub proof: Vec<u8>,
    /// Who opened it.
    pub who: String,
    /// When it came, in unix milliseconds: its clock counts from then.
    pub received_ms: u64,
    /// When it is to be answered.
    pub due_ms: u64,
    /// When at the latest, if it is extended; `due_ms` where it cannot be.
    pub most_ms: u64,
    /// By which row of the table, or profile.
    pub clock: String,
    /// When it was extended, and why.
    pub extended: Option<(u64, String)>,
    /// When identity or authority was verified.
    pub verified_ms: Option<u64>,
    /// When it was to be carried out: from then on it is, whatever happens.
    pub run_ms: Option<u64>,
    /// How rows are written, of what is handed over.
    pub format: Option<String>,
    /// What is wrong, and what was done about it.
    pub note: Option<String>,
    /// The order to erase that it has given, or joined.
    pub order: Option<u32>,
    /// The export that has the answer.
    pub export: Option<u64>,
    /// That export can be fetched.
    #[serde(default)]
    pub ready: Option<Ready>,
    /// The restriction that it has set, or found.
    #[serde(default)]
    pub restriction: Option<u32>,
    /// Accounts that were told (DSR-3).
    pub told: u32,
    /// What an erasure could not take along when it was ordered.
    pub kept: Vec<Kept>,
    /// When it was answered: nothing of it is due from then on.
    pub answered_ms: Option<u64>,
    /// When nothing was left to be done, and how it ended.
    pub ended: Option<(u64, How)>,
    /// Why it was refused; of one that is open, why it is to be run again.
    pub why: Option<String>,
}

impl RequestRow {
    /// In one word for people and programs.
    pub const fn state(&self) -> &'static str {
        match (self.ended, self.run_ms, self.verified_ms) {
            (Some((_, how)), ..) => how.word(),
            (None, Some(_), _) => match self.answered_ms {
                // Answered; something of it waits for a date, or all of it for the next sweep.
                Some(_) if !self.kept.is_empty() => "deferred",
                Some(_) => "ordered",
                // Made, and not fetched: nobody has an answer yet.
                None if self.ready.is_some() => "ready",
                None => "running",
            },
            (None, None, Some(_)) => "verified",
            (None, None, None) => "received",
        }
    }

    /// Whether somebody still waits for an answer.
    pub const fn waits(&self) -> bool {
        self.ended.is_none() && self.answered_ms.is_none()
    }
}

/// States that are counted.
pub const STATES: [&str; 6] = ["received", "verified", "running", "ready", "ordered", "deferred"];

/// All requests by their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Register {
    /// The last number that was given.
    pub last: u32,
    /// The requests. Shared, so that a change copies one of them.
    #[serde(with = "file::rows")]
    pub requests: BTreeMap<u32, Arc<RequestRow>>,
}

impl Register {
    /// Those that have not ended.
    pub fn open(&self) -> impl Iterator<Item = (u32, &RequestRow)> {
        let open = self.requests.iter().filter(|(_, row)| row.ended.is_none());
        open.map(|(id, row)| (*id, &**row))
    }

    /// Whether there is room for one more.
    pub fn has_room(&self) -> bool {
        self.open().count() < OPEN_MAX && self.requests.len() < ROWS_MAX
    }
}

/// The register with whom its open requests are about.
#[cfg_attr(test, derive(Default))]
pub struct State {
    /// What the file holds.
    pub(crate) register: Durable<Register>,
    /// The numbers of open requests, in the form in which people are known.
    pub people: BTreeMap<u32, Zeroizing<Vec<u8>>>,
    /// How identity was proved, of those that are verified.
    pub proofs: BTreeMap<u32, Zeroizing<Vec<u8>>>,
    /// Requests whose keys are to go, and may be there still.
    pub keys_to_end: BTreeSet<u32>,
}

impl State {
    /// Changes one row once the change is on disk.
    ///
    /// # Errors
    ///
    /// In words for an operator: nothing is changed, though the file may hold it all the same.
    pub(crate) async fn change_row(
        &mut self,
        id: u32,
        change: impl FnOnce(&mut RequestRow),
    ) -> Result<(), String> {
        let with = |register: &mut Register| {
            let row = register.requests.get_mut(&id);
            row.map(|row| change(Arc::make_mut(row)))
        };
        self.register.change(with).await.map(drop)
    }

    /// Requests that have not ended, without a look at all that have: of these, and no others, it is known whom they are about.
    pub fn open(&self) -> impl Iterator<Item = (u32, &RequestRow)> {
        let rows = self
            .people
            .keys()
            .filter_map(|id| Some((*id, &**self.register.requests.get(id)?)));
        rows.filter(|(_, row)| row.ended.is_none())
    }
}

/// The register, of which changes go one after the other.
pub struct Subjects {
    state: Mutex<State>,
    /// Requests that somebody carries out, or refuses, just now: one at a time each, while the register is everybody's.
    busy: std::sync::Mutex<BTreeSet<u32>>,
}

impl Subjects {
    /// Reads the register of a data directory; none where there is no file.
    ///
    /// # Errors
    ///
    /// It cannot be read, is not as it was written, is older than the key ring, or an open request's key is not in the ring: nothing
    /// is started then, for requests have dates by law.
    pub fn open<D: Disk>(data: &Path, ring: &KeyRing<D>) -> Result<Self, Unreadable> {
        let register = Durable::<Register>::open(data)?;
        if ring.subjects().any(|id| id > register.last) {
            return Err(register.unreadable(
                "the key ring has keys of requests that it knows nothing of: it is missing, or older than the ring",
            ));
        }
        let (mut people, mut proofs) = (BTreeMap::new(), BTreeMap::new());
        // A key whose request did not come to be, or whose end was cut off.
        let mut keys_to_end: BTreeSet<u32> = ring.subjects().collect();
        for (id, row) in register.open() {
            let opened = |sealed: &[u8]| {
                whom(ring, Owner::Subject(id), sealed).ok_or_else(|| {
                    register.unreadable(format!("the key ring does not open whom request {id} is about"))
                })
            };
            people.insert(id, opened(&row.number)?);
            if !row.proof.is_empty() {
                proofs.insert(id, opened(&row.proof)?);
            }
            keys_to_end.remove(&id);
        }
        let state = State {
            register,
            people,
            proofs,
            keys_to_end,
        };
        Ok(Self {
            state: Mutex::new(state),
            busy: std::sync::Mutex::default(),
        })
    }

    /// As it is, for who changes it, too.
    pub async fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().await
    }

    /// Has nobody else carry a request out, or refuse it, until what this returns is dropped; `None` where somebody does already.
    pub(crate) fn begin(&self, id: u32) -> Option<Busy<'_>> {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        if !busy.insert(id) {
            return None;
        }
        Some(Busy { subjects: self, id })
    }
}

/// See [`Subjects::begin`].
pub(crate) struct Busy<'s> {
    subjects: &'s Subjects,
    id: u32,
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        let mut busy = self.subjects.busy.lock().unwrap_or_else(PoisonError::into_inner);
        busy.remove(&self.id);
    }
}

/// The row of a request that has begun.
#[cfg(test)]
pub(crate) fn some_row() -> RequestRow {
    let mut some = file::tests::some();
    (*some.requests.remove(&1).unwrap()).clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_register_that_is_full_takes_no_more_whether_requests_are_open_or_not() {
        let row = Arc::new(some_row());
        let mut register = Register::default();
        for id in 0..OPEN_MAX {
            assert!(register.has_room());
            register.requests.insert(u32::try_from(id).unwrap(), row.clone());
        }
        assert!(!register.has_room());
        for row in register.requests.values_mut() {
            Arc::make_mut(row).ended = Some((7, How::Done));
        }
        assert!(register.has_room());
        let ended = Arc::clone(&register.requests[&0]);
        let all = 0..u32::try_from(ROWS_MAX).unwrap();
        register.requests.extend(all.map(|id| (id, ended.clone())));
        assert!(!register.has_room());
    }

    #[test]
    fn who_finds_a_request_busy_leaves_it_so_and_waits_for_nobody() {
        let subjects = Subjects {
            state: Mutex::default(),
            busy: std::sync::Mutex::default(),
        };
        let first = subjects.begin(1);
        assert!(first.is_some() && subjects.begin(2).is_some());
        assert!(subjects.begin(1).is_none() && subjects.begin(1).is_none());
        drop(first);
        assert!(subjects.begin(1).is_some());
    }
}
