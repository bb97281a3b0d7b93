//! Cases: accounts that a signal has suspended, with the evidence, until a person has decided (FRD-6).
//!
//! What stands in one is a count, a date, a name of the configuration or a pseudonym (FRD-7). Each step is on disk before the
//! next one, so that a start goes on where a crash came between.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tidegate_codec::identity::SystemId;
use tidegate_config::Country;

use super::file::{self, Unreadable};
use super::{Signal, Subject};
use crate::telemetry::words::AbuseRule;

/// Cases at a time, those that are decided and kept included.
pub(crate) const CASES_MAX: usize = 10_000;
/// Octets of a reviewer's name and of a reason.
pub(crate) const TEXT_MAX: usize = 200;

/// What a person has decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The suspension was right, and stays.
    Upheld,
    /// It is taken back.
    Reversed,
}

impl Outcome {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Upheld, Self::Reversed];

    /// For files and programs.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Upheld => "upheld",
            Self::Reversed => "reversed",
        }
    }
}

/// A decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Which.
    pub outcome: Outcome,
    /// Who decided, by name.
    pub reviewer: String,
    /// Who entered it.
    pub who: String,
    /// Why.
    pub reason: String,
    /// When, in unix milliseconds.
    pub at_ms: u64,
}

/// A case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// Whose.
    pub account: SystemId,
    /// Which rule saw it.
    pub rule: AbuseRule,
    /// Signals of the account in the 24 hours before.
    pub score: u32,
    /// About whom.
    pub subject: Subject,
    /// To which country.
    pub country: Option<Country>,
    /// How many there were.
    pub count: u32,
    /// How many may be.
    pub limit: u32,
    /// When it was seen, in unix milliseconds.
    pub opened_ms: u64,
    /// Until when a person is to decide.
    pub review_ms: u64,
    /// Since when the suspension holds; `None`: not yet.
    pub suspended_ms: Option<u64>,
    /// The number of the account's notice; `None`: not yet.
    pub notice: Option<u64>,
    /// What was decided.
    pub decision: Option<Decision>,
    /// The number of the notice of that; `None`: not yet.
    pub answer: Option<u64>,
    /// Since when a reversal holds; `None`: not yet.
    pub restored_ms: Option<u64>,
}

/// What is left to be done of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The account is to be suspended.
    Suspend,
    /// It is to be told.
    Notify,
    /// It is to be restored.
    Restore,
    /// It is to be told what was decided.
    Answer,
}

impl Case {
    /// Of a signal, to be reviewed until this unix time in milliseconds.
    pub(super) const fn new(signal: &Signal, review_ms: u64) -> Self {
        Self {
            account: signal.account,
            rule: signal.rule,
            score: signal.score,
            subject: signal.subject,
            country: signal.country,
            count: signal.count,
            limit: signal.limit,
            opened_ms: signal.at_ms,
            review_ms,
            suspended_ms: None,
            notice: None,
            decision: None,
            answer: None,
            restored_ms: None,
        }
    }

    /// What is to be done next; `None`: nothing, or a person is to decide.
    pub fn next(&self) -> Option<Step> {
        let is_reversed = self
            .decision
            .as_ref()
            .is_some_and(|decision| decision.outcome == Outcome::Reversed);
        if self.suspended_ms.is_none() {
            Some(Step::Suspend)
        } else if self.notice.is_none() {
            Some(Step::Notify)
        } else if is_reversed && self.restored_ms.is_none() {
            Some(Step::Restore)
        } else if !self.is_open() && self.answer.is_none() {
            Some(Step::Answer)
        } else {
            None
        }
    }

    /// Nobody has decided.
    pub const fn is_open(&self) -> bool {
        self.decision.is_none()
    }
}

/// All of them, by their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Register {
    /// The last number that was given.
    pub last: u32,
    /// Cases.
    pub cases: BTreeMap<u32, Case>,
}

impl Register {
    /// The case of an account that nobody has decided.
    pub fn open_of(&self, account: &str) -> Option<u32> {
        let mut open = self.cases.iter().filter(|(_, case)| case.is_open());
        open.find(|(_, case)| case.account.as_str() == account)
            .map(|(id, _)| *id)
    }
}

/// The register on disk, and as it is.
#[derive(Debug)]
pub struct Cases {
    path: PathBuf,
    register: Mutex<Register>,
    /// Held from before the register is looked at until what was made of it is on disk. Taken before that of the orders.
    pub(super) turn: tokio::sync::Mutex<()>,
}

impl Cases {
    /// Reads the register of a data directory; none where there is no file.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is not as it was written: nothing is started then, for who waits for a review would be forgotten.
    pub fn open(data: &Path) -> Result<Self, Unreadable> {
        let path = data.join(file::FILE);
        let register = file::open(&path)?;
        Ok(Self {
            path,
            register: Mutex::new(register),
            turn: tokio::sync::Mutex::default(),
        })
    }

    /// As it is.
    pub fn register(&self) -> Register {
        self.lock().clone()
    }

    /// Asks it something without a copy.
    pub(crate) fn look<T>(&self, with: impl FnOnce(&Register) -> T) -> T {
        with(&self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Register> {
        self.register.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts another register in the place of what the file holds, and waits until it is on disk. In its turn.
    ///
    /// # Errors
    ///
    /// In words for an operator; the file may hold it all the same, which the next write puts right.
    pub(super) async fn write(&self, register: Register) -> Result<(), String> {
        let (path, text) = (self.path.clone(), file::written(&register));
        tokio::task::spawn_blocking(move || crate::small_file::replace(&path, &text))
            .await
            .map_err(|error| crate::control::not_done(&error).to_owned())?
            .map_err(|error| format!("the register of cases cannot be written: {error}"))?;
        *self.lock() = register;
        Ok(())
    }
}
