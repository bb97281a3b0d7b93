//! What the spool needs done to files other than the newest, and the keeper that does it.
//!
//! The loop that owns the spool must never wait for these (a turn waits for nobody but its own sync), so
//! they are values: [`Spool::next_chore`] makes one, [`Keeper::run`] does it, usually on another thread, and
//! [`Spool::chore_done`] takes the outcome in.

use std::fmt;
use std::io;
use std::sync::Arc;

use tidegate_codec::message_id::MessageIdText;

use crate::disk::{Disk, is_full};
use crate::history::{self, Plan};
use crate::index::{Leg, LegId, Location};
use crate::keyring::KeyRingError;
use crate::names::NameId;
use crate::outbox::{EntryId, LineOf};
use crate::progress::Progress;
use crate::quote::Quote;
use crate::record::{Head, LegRecord, RecordError};
use crate::seal::{KeyId, SealKey};
use crate::standing::Due;
use crate::usage::Snapshot;
use crate::waiting::entries::{ParkItem, ParkedItem};
use crate::waiting::{Answer, At, Failed, Order, Place, Report, RunInfo};

use super::filing::{Filed, Unfiled};
use super::search::Search;
use super::waits::MovedLeg;
use super::{Active, Spool};

/// A closed segment without its footer.
pub(super) struct Unfooted<D: Disk> {
    pub(super) number: u64,
    pub(super) file: Arc<D::File>,
    pub(super) end: u64,
    pub(super) events: Vec<u8>,
}

/// Something to be done by the [`Keeper`].
#[must_use]
pub struct Chore<D: Disk>(pub(super) Task<D>);

pub(super) enum Task<D: Disk> {
    Prepare {
        number: u64,
        now_ms: u64,
        floor_ms: u64,
    },
    Footer {
        number: u64,
        file: Arc<D::File>,
        end: u64,
        plain: Vec<u8>,
        key: Arc<SealKey>,
    },
    Copy {
        items: Vec<CopyItem>,
        key: Arc<SealKey>,
    },
    Unlink {
        numbers: Vec<u64>,
        keys: Vec<KeyId>,
        /// Counts of used parts to be saved first.
        usage: Option<Snapshot>,
    },
    Read {
        items: Vec<(Target, Spot)>,
    },
    Waiting(Order),
    /// What is to be done with the outbox files.
    Parked(Order),
    Park {
        line: LineOf,
        items: Vec<ParkItem>,
        hour: u32,
        now_ms: u64,
    },
    /// Changes of standing data for the journal, in order.
    Journal {
        items: Vec<Due>,
        now_ms: u64,
    },
    /// Ended legs for the history, in the order of their batches.
    File {
        items: Vec<Unfiled>,
        plan: Arc<Plan>,
        /// What the disk does not give is not waited for any more.
        give_up: bool,
        now_ms: u64,
    },
    /// All that ended in batches up to this one was given to the history.
    Checkpoint {
        batch: u64,
        now_ms: u64,
    },
    /// What ended before the start and is not in the history is looked for: one segment.
    Search(Box<Search>),
    /// What somebody asks of the history, and the number under which the answer is waited for.
    History(u64, Box<history::Order>),
}

/// A record that is wanted back: a leg or an outbox entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// A leg's body.
    Leg(LegId),
    /// An entry's body.
    Entry(EntryId),
}

/// Where a record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spot {
    Segment(Location),
    /// In an outbox file: hour and place.
    File(u32, At),
}

#[derive(Debug)]
pub(super) struct CopyItem {
    pub(super) target: Target,
    pub(super) revision: u32,
    pub(super) at: Location,
    /// The leg as it stands; entries are copied as they lie.
    pub(super) leg: Option<(Head, OwnedLeg)>,
}

/// A leg's state as a copy will state it.
#[derive(Debug)]
pub(super) struct OwnedLeg {
    pub(super) leg: Leg,
    pub(super) carrier: String,
    pub(super) carrier_id: MessageIdText,
    pub(super) quote: Quote,
    pub(super) progress: Option<Progress>,
    /// Whether its body is copied though a carrier has it.
    pub(super) keeps_body: bool,
}

/// Why a chore could not be done.
#[derive(Debug, thiserror::Error)]
pub enum ChoreError {
    /// The key ring refused.
    #[error(transparent)]
    Ring(#[from] KeyRingError),
    /// A segment's file could not be made, written or removed.
    #[error("cannot {operation} segment {number}: {source}")]
    Segment {
        /// What was tried.
        operation: &'static str,
        /// With which segment.
        number: u64,
        /// What the system said.
        source: io::Error,
    },
    /// The waiting files could not be read, written or removed.
    #[error("cannot {operation} waiting files: {source}")]
    Waiting {
        /// What was tried.
        operation: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The outbox files could not be read, written or removed.
    #[error("cannot {operation} outbox files: {source}")]
    Outbox {
        /// What was tried.
        operation: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The counts of used parts could not be saved, so segments that hold them stay.
    #[error("cannot save the counts of used parts: {source}")]
    Usage {
        /// What the system said.
        source: io::Error,
    },
    /// Changes of standing data could not be written to the journal, so segments that hold them stay.
    #[error("cannot write the journal of opt-outs: {source}")]
    Journal {
        /// What the system said.
        source: io::Error,
    },
    /// What accounts keep of finished messages could not be written, or what is to be kept not be read, so segments that
    /// hold it stay.
    #[error("cannot {operation} the history: {source}")]
    History {
        /// What was tried.
        operation: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl From<Failed> for ChoreError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Io(operation, source) => Self::Waiting { operation, source },
            Failed::Ring(error) => Self::Ring(error),
        }
    }
}

impl ChoreError {
    /// Whether the disk is full, which passes.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Ring(error) => error.is_full(),
            Self::Segment { source, .. }
            | Self::Waiting { source, .. }
            | Self::Outbox { source, .. }
            | Self::Usage { source }
            | Self::History { source, .. }
            | Self::Journal { source } => is_full(source),
        }
    }

    pub(super) fn outbox(failed: Failed) -> Self {
        match failed {
            Failed::Io(operation, source) => Self::Outbox { operation, source },
            Failed::Ring(error) => Self::Ring(error),
        }
    }

    pub(super) fn history(failed: Failed) -> Self {
        match failed {
            Failed::Io(operation, source) => Self::History { operation, source },
            Failed::Ring(error) => Self::Ring(error),
        }
    }

    pub(super) fn segment(operation: &'static str, number: u64) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Segment {
            operation,
            number,
            source,
        }
    }
}

/// What became of a [`Chore`].
#[must_use]
pub struct ChoreDone<D: Disk> {
    pub(super) outcome: Outcome<D>,
    /// Octets of the history behind it; nothing where the keeper has not done it.
    pub(super) kept_octets: Option<u64>,
}

pub(super) enum Outcome<D: Disk> {
    Prepared(Active<D>),
    NotPrepared(ChoreError),
    Footer {
        number: u64,
        result: Result<u64, ChoreError>,
    },
    Copied {
        octets: Vec<u8>,
        copies: Vec<Copy>,
        unreadable: Vec<CopyItem>,
        /// A file that could not be read stopped it.
        stopped: Option<RecordError>,
        /// Bodies that are kept and could not be read.
        lost: u64,
        key: KeyId,
    },
    Unlinked {
        /// These are gone.
        numbers: Vec<u64>,
        /// So are these.
        keys: Vec<KeyId>,
        /// Up to which segment the counts of used parts are saved, if they were.
        saved: Option<u64>,
        result: Result<(), ChoreError>,
    },
    Read(Vec<ReadBack>),
    Waiting(Report, u64),
    Parked(Report, u64),
    Park(LineOf, Result<(RunInfo, Vec<ParkedItem>), Failed>),
    Journal {
        /// What its journal holds now, and what is to be tried again.
        done: Vec<Due>,
        left: Vec<Due>,
        result: io::Result<()>,
    },
    Filed(Filed),
    Checkpointed {
        batch: u64,
        result: Result<(), ChoreError>,
    },
    Searched(Box<Search>, Result<(), ChoreError>),
    History(u64, Result<history::Report, history::OrderError>),
}

#[derive(Debug)]
pub(super) struct Copy {
    pub(super) target: Target,
    pub(super) revision: u32,
    pub(super) at: usize,
    pub(super) len: usize,
}

/// A record that was read back.
pub struct ReadBack {
    /// Which.
    pub target: Target,
    /// Its body; the error says why it cannot be had. A record that has moved meanwhile, or whose file
    /// cannot be read now ([`RecordError::Io`]), is to be asked for again: see [`Spool::is_at`].
    pub body: Result<Vec<u8>, RecordError>,
    pub(super) at: Spot,
}

impl fmt::Debug for ReadBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let octets = self.body.as_ref().map(Vec::len);
        f.debug_struct("ReadBack")
            .field("target", &self.target)
            .field("octets", &octets)
            .finish()
    }
}

/// What a chore's end means to the owner of the spool.
#[derive(Debug)]
pub enum Finished {
    /// Nothing to be done.
    Nothing,
    /// The next segment is ready: a commit that waited for it may go on.
    Ready,
    /// The next segment cannot be made; the reason. Full disks are tried again.
    NotReady(ChoreError),
    /// Segments are gone: how many.
    Unlinked(usize),
    /// A file could not be removed or closed. A footer is left out, a removal tried again.
    Failed(ChoreError),
    /// A file could not be read; it is tried again.
    NotRead(RecordError),
    /// Records were read back.
    Read(Vec<ReadBack>),
    /// Legs that wait for a receipt have left memory: whose messages, and the form of their ids.
    Moved(Vec<MovedLeg>),
    /// What was asked of the waiting files.
    Found(Vec<Answer>),
    /// Changes of standing data are in the journal: how many.
    Journaled(usize),
    /// Entries that nobody fetches have left memory.
    Parked(Vec<EntryId>),
    /// Entries of an account have come back, with their bodies: they are next in its line.
    Returned(NameId, Vec<(EntryId, Vec<u8>)>),
    /// Entries that nobody fetched in time went with their files: whose, and how many.
    Expired(Vec<(NameId, u64)>),
    /// What became of an order for the history, under its number.
    History(u64, Result<history::Report, history::OrderError>),
    /// Records that do not open: quarantined, their legs are to be ended by the owner (ENC-4).
    Unreadable(Vec<Target>),
}

impl<D: Disk> Chore<D> {
    /// Something that is asked of the history: its outcome comes back under this number.
    pub fn history(number: u64, order: history::Order) -> Self {
        Self(Task::History(number, Box::new(order)))
    }
}

impl<D: Disk> Spool<D> {
    /// A chore that reads the bodies of legs or entries back; those that have ended are left out.
    pub fn read_back(&self, targets: impl IntoIterator<Item = Target>) -> Option<Chore<D>> {
        let items: Vec<_> = targets
            .into_iter()
            .filter_map(|target| Some((target, self.spot(target)?)))
            .collect();
        if items.is_empty() {
            None
        } else {
            Some(Chore(Task::Read { items }))
        }
    }

    /// Whether a record still lies where it was read, which tells a moved record from a damaged one.
    pub fn is_at(&self, read: &ReadBack) -> bool {
        self.spot(read.target) == Some(read.at)
    }

    pub(super) fn place(&self, target: Target) -> Option<Location> {
        let at = match target {
            Target::Leg(id) => self.index.get(id)?.at,
            Target::Entry(id) => self.outbox.get(id)?.at,
        };
        (at.segment() != 0).then_some(at)
    }

    fn spot(&self, target: Target) -> Option<Spot> {
        if let Target::Entry(id) = target
            && let Some(Place { hour, at, .. }) = self.filed_at(id)
        {
            return Some(Spot::File(hour, at?));
        }
        self.place(target).map(Spot::Segment)
    }
}

/// A leg's state as a record states it. What a carrier has needs no body any more, unless its account keeps bodies.
pub(super) fn state_of<'a>(
    leg: &'a Leg,
    carrier: &'a str,
    carrier_id: &'a [u8],
    quote: Quote,
    progress: Option<Progress>,
    body: &'a [u8],
) -> LegRecord<'a> {
    // In memory a leg in line has the end of its validity for its date, and so has a held one whose own date is over. A start
    // must put it in line again, or its release must, and not wait for that.
    let in_line = leg.stage.is_ahead() && leg.due_ms == leg.envelope.expires_ms;
    LegRecord {
        envelope: leg.envelope.clone(),
        stage: leg.stage,
        attempts: leg.attempts,
        due_ms: if in_line {
            leg.envelope.accepted_ms
        } else {
            leg.due_ms
        },
        carrier,
        carrier_id,
        quote,
        progress,
        body,
    }
}
