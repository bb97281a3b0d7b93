//! Exports (compliance.md §16): what an account may still read, as rows of a sealed file that has an end date.
//!
//! ```text
//!  create ─► a key in the ring ─► history, a slice at a time, judged by the rules ─► rows ─► sealed frames ─► exports/N.export
//!  read   ─► a frame at a time, until the end date
//!  end date, delete, erasure ─► the key is destroyed ─► the file goes
//! ```
//!
//! The end date is the key's: from then on nobody reads the file, and once the key is destroyed nobody can, wherever a copy of it
//! lies (EXP-2, ERA-2). One is made at a time, with a pause after each slice, so that traffic and receipts come first; none
//! costs an account anything (EXP-2). They count in the one budget of files while they grow, and none grows past it.

mod disclosed;
mod file;
mod making;
mod person;
mod rows;
mod tend;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tidegate_codec::identity::SystemId;
use tidegate_store::audit::Actor;

use crate::telemetry::ExportMetrics;

pub(crate) use disclosed::{Disclosed, fields_of};
pub use file::Head;
pub(crate) use file::read_frame;
pub(crate) use making::{Wanted, create};
pub(crate) use person::Person;
pub(crate) use rows::{columns, field};
pub use tend::tend;
pub(crate) use tend::{count, end, order};

/// Files at a time, one that is being made included.
pub const FILES_MAX: usize = 16;
/// Octets of one at most.
pub const OCTETS_MAX: u64 = 1 << 30;
/// How long one is kept at most, and where nothing is said: class `export` of every profile (compliance.md §7.3).
pub const KEPT_FOR: Duration = Duration::from_secs(7 * 24 * 3_600);

/// What is exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Finished messages, one row for each recipient.
    Messages,
    /// The same with their texts, as far as these may be read.
    Texts,
    /// What de-identification left: counts.
    Statistics,
    /// All that is kept of one person, with purposes, sources and dates: made for a person's request only (DSR-1).
    Person,
}

impl What {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Messages, Self::Texts, Self::Statistics, Self::Person];
    /// Those that are made where somebody asks for them by name.
    pub const ASKED: [Self; 3] = [Self::Messages, Self::Texts, Self::Statistics];

    /// As on the command line.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::Texts => "texts",
            Self::Statistics => "statistics",
            Self::Person => "person",
        }
    }
}

/// How rows are written (EXP-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// RFC 4180, with a header.
    Csv,
    /// An object a line.
    Jsonl,
}

impl Format {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Csv, Self::Jsonl];

    /// As on the command line.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
        }
    }
}

/// How far one has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It is being made, or is told to stop.
    Making {
        /// It is not wanted any more.
        is_stopped: bool,
    },
    /// It was not made, and goes.
    Over,
    /// It may be read, from this octet of its file on.
    Ready {
        /// Where its first row lies.
        first_at: u64,
    },
}

/// An export that there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Export {
    pub(crate) head: Head,
    pub(crate) state: State,
    pub(crate) rows: u64,
    pub(crate) octets: u64,
    /// Blocks that did not open: what they held is not in it.
    pub(crate) unreadable: u64,
    /// Who has read it last, and the frame that goes on with that: who asks for another begins anew, and that is entered.
    pub(crate) goes_on: Option<(Actor, u32)>,
    /// Its last frame was read.
    pub(crate) is_fetched: bool,
    /// Of what is in it something is erased.
    pub(crate) is_given_up: bool,
}

/// The same for who waits for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Made {
    /// Not yet.
    Making,
    /// It may be read.
    Ready {
        /// Nobody reads it from then on.
        ends_ms: u64,
        /// Blocks that did not open.
        unreadable: u64,
    },
    /// Somebody has all of it.
    Fetched,
    /// Nobody may read it any more.
    Over,
}

impl Export {
    /// Whether it was made to its end.
    pub(crate) const fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready { .. })
    }

    pub(crate) const fn is_due(&self, now_ms: u64) -> bool {
        self.is_given_up || now_ms >= self.head.ends_ms
    }
}

/// All of them.
pub struct Exports {
    metrics: ExportMetrics,
    dir: PathBuf,
    all: Mutex<BTreeMap<u64, Export>>,
    /// They are begun and ended one after the other.
    turn: tokio::sync::Mutex<()>,
}

impl Exports {
    /// Looks at what lies in a data directory. What was not made to its end goes, and what says no more what it is.
    ///
    /// # Errors
    ///
    /// The directory is there and cannot be read.
    pub fn open(data: &Path, metrics: ExportMetrics) -> io::Result<Self> {
        let dir = data.join(file::DIR);
        Ok(Self {
            metrics,
            all: Mutex::new(file::found(&dir)?),
            dir,
            turn: tokio::sync::Mutex::default(),
        })
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<u64, Export>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn list(&self) -> Vec<Export> {
        self.all().values().cloned().collect()
    }

    pub(crate) fn get(&self, number: u64) -> Option<Export> {
        self.all().get(&number).cloned()
    }

    /// How far one has come; `None` where there is none.
    pub(crate) fn made(&self, number: u64) -> Option<Made> {
        let export = self.get(number)?;
        Some(match export.state {
            _ if export.is_fetched => Made::Fetched,
            _ if export.is_given_up => Made::Over,
            State::Making { is_stopped: false } => Made::Making,
            State::Making { is_stopped: true } | State::Over => Made::Over,
            State::Ready { .. } => Made::Ready {
                ends_ms: export.head.ends_ms,
                unreadable: export.unreadable,
            },
        })
    }

    /// How many there are, and octets of them all.
    fn taken(&self) -> (usize, u64) {
        let all = self.all();
        (all.len(), all.values().map(|export| export.octets).sum())
    }

    fn numbers(&self) -> BTreeSet<u64> {
        self.all().keys().copied().collect()
    }

    fn change(&self, number: u64, change: impl FnOnce(&mut Export)) {
        if let Some(export) = self.all().get_mut(&number) {
            change(export);
        }
    }

    /// Notes that a frame was read, and whether it was the last.
    pub(crate) fn was_read(&self, number: u64, who: &Actor, frame: u32, is_last: bool) {
        self.change(number, |export| {
            export.goes_on = Some((who.clone(), frame.wrapping_add(1)));
            export.is_fetched |= is_last;
        });
    }

    /// Has one that is being made stop.
    pub(crate) fn stop(&self, number: u64) {
        self.change(number, |export| {
            if let State::Making { is_stopped } = &mut export.state {
                *is_stopped = true;
            }
        });
    }

    pub(crate) fn path(&self, number: u64) -> PathBuf {
        file::path(&self.dir, number)
    }

    /// Has those that were made for a disclosure, and are not entered in it, be nobody's: a kill came between.
    pub(crate) fn keep_disclosed(&self, has: impl Fn(u32, u64) -> bool) {
        for export in self.all().values_mut() {
            if let Some(disclosure) = export.head.disclosure
                && !has(disclosure, export.head.number)
            {
                export.state = State::Over;
            }
        }
    }

    /// Marks those of an account, or of all, that were begun before as not wanted any more: somebody's data is erased, and may be
    /// in them (EXP-2). Nobody reads them from then on; they end with the next look.
    pub(crate) fn give_up(&self, account: Option<SystemId>, asked_ms: u64) {
        self.give_up_where(account, asked_ms, |head| head.what != What::Statistics);
    }

    /// The same of those that were made for disclosures: a hold is released, and what only that had kept may be in them.
    pub(crate) fn give_up_held(&self, account: Option<SystemId>, released_ms: u64) {
        self.give_up_where(account, released_ms, |head| head.disclosure.is_some());
    }

    fn give_up_where(&self, account: Option<SystemId>, until_ms: u64, is_meant: impl Fn(&Head) -> bool) {
        for export in self.all().values_mut() {
            if is_meant(&export.head)
                && export.head.number <= until_ms
                && account.is_none_or(|account| account == export.head.account)
            {
                export.is_given_up = true;
                if let State::Making { is_stopped } = &mut export.state {
                    *is_stopped = true;
                }
            }
        }
    }
}
