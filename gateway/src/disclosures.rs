//! Disclosures of an account's data to authorities and others who may ask for them (LEG-5 to LEG-7): a register of each, from
//! the request to the file that was handed over and the notice to the account.
//!
//! ```text
//!  open ─► decide ─► objected: nothing is given
//!             └────► complied, narrowed ─► produce (an export) ─► notify ─► complete
//!  emergency:  approve, approve ─► produce …                     review within a day
//! ```
//!
//! The register ([`file`]) is one small file. Whom a disclosure is about stands in it sealed under a key of its own, which goes
//! with its row. What was decided about the notice to the account is in it before the notice is made ([`tend`] makes it), so
//! that no crash forgets one.

mod file;
mod tend;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};
use tidegate_store::disk::Disk;
use tidegate_store::history::whom;
use tidegate_store::keyring::{KeyRing, Owner};
use tokio::sync::{Mutex, MutexGuard};
use zeroize::Zeroizing;

use crate::exports::What;
use crate::small_file::register::Durable;

pub use crate::small_file::register::Unreadable;
pub use tend::tend;
pub(crate) use tend::{fetched, made, settle};

/// Disclosures that the register has at most, those that have ended included: each has a key in the ring.
pub const ROWS_MAX: usize = 4_000;
/// Octets of each text that somebody typed.
pub const TEXT_MAX: usize = 200;
/// Files that are produced for one disclosure at most: one that nobody fetched in time is produced again.
pub const PRODUCED_MAX: usize = 8;
/// How long one that has ended stays in the register, in milliseconds: seven years, as the audit log and what contracts are
/// proved by. A choice, and no law's.
pub const KEPT_MS: u64 = 7 * 366 * 24 * 3_600_000;
/// How long after the second approval an emergency's disclosure is to be reviewed (LEG-6), in milliseconds.
pub const REVIEW_MS: u64 = 24 * 3_600_000;
/// Approvers of an emergency's disclosure (LEG-6).
pub const APPROVERS_MIN: usize = 2;

/// A word for programs for each of an enumeration's members, as serde writes them.
macro_rules! words {
    ($name:ident { $($member:ident $word:literal),* $(,)? }) => {
        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$member),*];

            /// As on the command line.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$member => $word),* }
            }
        }
    };
}

/// On what basis data are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Basis {
    /// A law, warrant or court's order.
    Law,
    /// What the account's contract says.
    Agreement,
    /// The security of the network.
    Security,
    /// Harm to be averted that is not to life.
    Harm,
    /// Danger to life: two approvers, and a review afterwards (LEG-6).
    Emergency,
}

words!(Basis {
    Law "law",
    Agreement "agreement",
    Security "security",
    Harm "harm",
    Emergency "emergency",
});

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// Nothing is given.
    Objected,
    /// Less is given than was asked for.
    Narrowed,
    /// What was asked for is given.
    Complied,
}

words!(Decision {
    Objected "objected",
    Narrowed "narrowed",
    Complied "complied",
});

/// What is asked for, or given: of one account, in a row for each message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// With texts.
    pub texts: bool,
    /// Of messages that ended then or later, in unix milliseconds.
    pub since_ms: u64,
    /// And then or before.
    pub until_ms: u64,
    /// Columns of an export of messages.
    pub fields: Vec<String>,
}

impl Scope {
    /// As which export.
    pub const fn what(&self) -> What {
        match self.texts {
            true => What::Texts,
            false => What::Messages,
        }
    }

    /// Whether nothing is in it that is not in another.
    pub fn is_within(&self, other: &Self) -> bool {
        (other.texts || !self.texts)
            && self.since_ms >= other.since_ms
            && self.until_ms <= other.until_ms
            && self.fields.iter().all(|field| other.fields.contains(field))
    }
}

/// When somebody did something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// When, in unix milliseconds.
    pub at_ms: u64,
    /// Who.
    pub who: String,
}

/// That somebody allows an emergency's disclosure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// The approver, by name.
    pub name: String,
    /// Who says so.
    pub step: Step,
}

/// A decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    /// Which.
    pub decision: Decision,
    /// Why.
    pub reason: String,
    /// Who decided, by name.
    pub reviewer: String,
    /// What may be given; `None` where nothing is.
    pub scope: Option<Scope>,
    /// When, and who says so.
    pub step: Step,
}

/// What was decided about the notice to the account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Told {
    /// It was told.
    Sent {
        /// How.
        how: String,
    },
    /// It is told then, and not before.
    Delayed {
        /// In unix milliseconds.
        until_ms: u64,
    },
    /// It must not be told.
    Prohibited {
        /// By which law or order.
        law: String,
    },
}

impl Told {
    /// As on the command line.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Sent { .. } => "sent",
            Self::Delayed { .. } => "delayed",
            Self::Prohibited { .. } => "prohibited",
        }
    }
}

/// The same with its notice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notified {
    /// What was decided.
    pub told: Told,
    /// When, and who says so.
    pub step: Step,
    /// The register of notices has it.
    pub is_made: bool,
    /// The notice's number.
    pub notice: Option<u64>,
}

/// A file that was produced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Produced {
    /// The export's number.
    pub export: u64,
    /// Its columns.
    pub fields: Vec<String>,
    /// Records in it.
    pub rows: u64,
    /// Of these, records that only a hold has kept.
    pub held: u64,
    /// Blocks that did not open: what they held is not in it.
    pub unreadable: u64,
    /// SHA-256 of its rows, in hex: of the file that `export fetch` writes.
    pub sha256: String,
    /// When it was first read to its end, in unix milliseconds.
    pub fetched_ms: Option<u64>,
    /// When it was made, and who had it produced.
    pub step: Step,
}

/// That an emergency's disclosure was looked at afterwards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reviewed {
    /// What was found.
    pub finding: String,
    /// By whom.
    pub reviewer: String,
    /// When, and who says so.
    pub step: Step,
}

/// A disclosure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Who asks.
    pub authority: String,
    /// On what basis.
    pub basis: Basis,
    /// Of this account.
    pub account: String,
    /// About this person only: sealed under the disclosure's key; an empty text for all.
    pub sealed: Vec<u8>,
    /// What is asked for.
    pub asked: Scope,
    /// When it came in, and who entered it.
    pub opened: Step,
    /// Who allows it, of an emergency.
    pub approvals: Vec<Approval>,
    /// What was decided.
    pub decided: Option<Decided>,
    /// What was decided about the notice.
    pub notified: Option<Notified>,
    /// What was produced, at most [`PRODUCED_MAX`].
    pub produced: Vec<Produced>,
    /// It is over.
    pub completed: Option<Step>,
    /// When it is to be reviewed at the latest; of an emergency only.
    pub review_due_ms: Option<u64>,
    /// That it was.
    pub reviewed: Option<Reviewed>,
}

impl Row {
    /// How far it has come.
    pub fn state(&self) -> &'static str {
        match (&self.decided, &self.completed) {
            (_, Some(_)) => "completed",
            (Some(decided), None) if decided.decision == Decision::Objected => "objected",
            (Some(_), None) if !self.produced.is_empty() => "produced",
            (Some(_), None) => "decided",
            (None, None) => "open",
        }
    }

    /// When it ended, in unix milliseconds; `None` as long as something is to be done.
    pub fn ended_ms(&self) -> Option<u64> {
        let objected = self
            .decided
            .as_ref()
            .filter(|decided| decided.decision == Decision::Objected);
        let objected_ms = objected.map(|decided| decided.step.at_ms);
        let ended_ms = self.completed.as_ref().map(|step| step.at_ms).or(objected_ms)?;
        match (self.review_due_ms, &self.reviewed) {
            (Some(_), None) => None,
            (Some(_), Some(reviewed)) => Some(ended_ms.max(reviewed.step.at_ms)),
            (None, _) => Some(ended_ms),
        }
    }

    /// How long its review has been overdue, in milliseconds; 0 where it is not.
    pub fn overdue_ms(&self, now_ms: u64) -> u64 {
        match (self.review_due_ms, &self.reviewed) {
            (Some(due_ms), None) => now_ms.saturating_sub(due_ms),
            _ => 0,
        }
    }
}

/// All of them, by their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Register {
    /// The last number that was given.
    pub last: u32,
    /// What there is.
    pub rows: BTreeMap<u32, Row>,
}

impl Register {
    /// A disclosure.
    ///
    /// # Errors
    ///
    /// There is none of that number.
    pub fn row(&self, number: u32) -> Result<&Row, String> {
        let row = self.rows.get(&number);
        row.ok_or_else(|| format!("there is no disclosure {number}"))
    }

    /// Whether an export was made for a disclosure, and is entered in it.
    pub fn has(&self, disclosure: u32, export: u64) -> bool {
        let row = self.rows.get(&disclosure);
        row.is_some_and(|row| row.produced.iter().any(|produced| produced.export == export))
    }
}

/// The register with whom its disclosures are about.
pub struct State {
    /// What the file holds.
    pub(crate) register: Durable<Register>,
    /// The people, in the form in which people are known.
    pub people: BTreeMap<u32, Zeroizing<Vec<u8>>>,
    /// Keys of disclosures that are in no row: the register has forgotten it, or it did not come to one.
    pub(crate) left_over: BTreeSet<u32>,
}

impl State {
    /// Changes one row once the change is on disk, where it is there still.
    ///
    /// # Errors
    ///
    /// In words for an operator: nothing is changed, though the file may hold it all the same.
    pub(crate) async fn change_row(
        &mut self,
        number: u32,
        change: impl FnOnce(&mut Row),
    ) -> Result<(), String> {
        let with = |register: &mut Register| register.rows.get_mut(&number).map(change);
        self.register.change(with).await.map(drop)
    }
}

/// The register, of which changes go one after the other.
pub struct Disclosures(Mutex<State>);

impl Disclosures {
    /// Reads the register of a data directory; none where there is no file.
    ///
    /// # Errors
    ///
    /// It cannot be read, is not as it was written, or a key is not in the ring: nothing is started then, for who is to be told
    /// would be forgotten.
    pub fn open<D: Disk>(data: &Path, ring: &KeyRing<D>) -> Result<Self, Unreadable> {
        let register = Durable::<Register>::open(data)?;
        let keys: BTreeSet<u32> = ring.disclosures().collect();
        if keys.last().is_some_and(|last| *last > register.last) {
            return Err(register.unreadable(
                "the key ring has keys of disclosures that it knows nothing of: it is missing, or older than the ring",
            ));
        }
        let mut people = BTreeMap::new();
        for (number, row) in &register.rows {
            let person = whom(ring, Owner::Disclosure(*number), &row.sealed).ok_or_else(|| {
                register.unreadable(format!(
                    "the key ring does not open whom disclosure {number} is about"
                ))
            })?;
            if !person.is_empty() {
                people.insert(*number, person);
            }
        }
        let left_over = keys
            .into_iter()
            .filter(|number| !register.rows.contains_key(number))
            .collect();
        Ok(Self(Mutex::new(State {
            register,
            people,
            left_over,
        })))
    }

    /// As it is, for who changes it, too.
    pub async fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().await
    }

    /// The same at a start, before anybody else has it.
    pub fn register_at_start(&mut self) -> &Register {
        &self.0.get_mut().register
    }
}

#[cfg(test)]
mod tests;
