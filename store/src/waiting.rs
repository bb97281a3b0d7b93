//! Waiting files: legs that a carrier has had for a while and whose receipt has not come.
//!
//! Nearly all receipts come within minutes. What waits longer moves from the spool, and from memory, to files
//! of its own: 50 million legs that may wait for three days then cost some 3.5 octets of memory each.
//!
//! *Form.* An immutable *run* per move, of legs whose deadline falls into one hour. Its records are the spool's
//! (`record`), whole and without body, in the order of a keyed hash of carrier and carrier's id; a table of
//! (hash, place) stands before them. In memory stays, per record, 3 octets of the hash in that order
//! (`prints`): they say "no" to foreign ids and give the table's place for our own, so that a late receipt costs
//! one read of the table and one of the record. All runs of an hour have one key and one hash key, the latter
//! sealed under the former: with the key the hour's files are noise, and runs are merged without opening
//! anything. (A key for each run would cost two syncs of the ring for every few thousand legs.)
//!
//! *Done marks.* The one part of a run that changes: a bitmap in pages of a sector, each kept twice, the older
//! copy written over, so that a torn write leaves the state before it.
//!
//! *Moving.* The run is written and synced, with its name, as `.moving`; then the loop stages a `Moved` record
//! for each leg that is still as it was; once these are synced, the others are marked done and the run is
//! renamed. Until then the segment with the `Moved` records stays. A start that meets a `.moving` run believes
//! of it only those legs whose `Moved` record names it: a leg is in one place, whenever the power goes.
//!
//! *Ending.* A leg that is found again goes back into the index and ends through the one settling function, as
//! any other. Its `FinalMoved` record names hour and hash; the segment that holds it stays until the mark is
//! synced, and a start marks again whatever such records it finds. So a receipt that is repeated after a crash
//! makes no second DLR. At the hour's end all that is left goes back into the index in bounded bunches, where
//! its date, which has come, gives it the state that is due; then files and key go.
//!
//! *Merging.* Four runs of an hour of about one size become one, in small steps, and those of an hour to which
//! nothing comes any more: every run is asked after every foreign id. The new run names those it replaces: a start
//! that finds both removes them.
//!
//! *Outbox files* have the same form and the same life ([`entries`]).
//!
//! *Damage.* A run whose header can be read in neither place, or whose key is gone, is set aside
//! (`.damaged`); a record that does not open is counted and passed over.

pub(crate) mod ask;
pub(crate) mod done;
pub(crate) mod entries;
pub(crate) mod files;
pub(crate) mod format;
pub(crate) mod lookup;
pub(crate) mod merge;
pub(crate) mod open;
pub(crate) mod pass;
pub(crate) mod prints;
pub(crate) mod table;
pub(crate) mod take;
mod verify;
pub(crate) mod writer;

use std::fmt;
use std::hash::Hasher as _;
use std::io;
use std::sync::Arc;

use hashbrown::HashMap;
use rand_core::CryptoRng;
use siphasher::sip::SipHasher24;
use tidegate_codec::identity::SystemId;
use tidegate_codec::message_id::MessageIdText;
use tidegate_codec::octets::Body;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::disk::Disk;
use crate::keyring::{KeyRing, KeyRingError, Owner};
use crate::message_id::MessageId;
use crate::names::NameId;
use crate::quote::Quote;
use crate::record::{Envelope, RecordError};

pub use lookup::{Filed, Sought, look_up};
pub(crate) use prints::Prints;
pub use verify::{RunFault, RunReport, verify_runs};

use entries::EntryBunch;
use files::Files;
use merge::Merged;
use pass::{Bunch, DropFailed};
use take::{MoveFailed, MoveItem, Moved};

/// Milliseconds of an hour: the span of deadlines that share files.
pub const HOUR_MS: u64 = 60 * 60 * 1000;
/// A leg moves only when its deadline is further away than this: what ends soon ends where it is, on time.
pub const AHEAD_MS: u64 = HOUR_MS;
/// Legs that one move takes at most.
pub const MOVE_MAX: usize = 4096;
/// Fewer legs than this move only when they have waited [`MOVE_WAIT_MS`] beyond the hot time.
pub const MOVE_MIN: usize = 1024;
/// See [`MOVE_MIN`].
pub const MOVE_WAIT_MS: u64 = 60_000;
/// Legs that may wait in files; past it they stay in memory, and then intake is answered 0x14 (P6).
pub const WAITING_MAX: u64 = 200_000_000;
/// Questions to the files that may be out at once; past it a late receipt is answered 0x64.
pub const QUESTIONS_MAX: usize = 1024;
/// After so many tries in a row, one a second, what cannot be read is passed over until something can be again: an hour
/// that waits for it for ever would keep all its legs, and its key.
pub(crate) const TRIES_MAX: u32 = 60;
/// Legs that a pass over a finished hour brings back at once.
pub const PASS_MAX: usize = 1024;
/// Octets of kept bodies that come back with them, and one body more.
pub(crate) const PASS_OCTETS_MAX: usize = 1 << 20;
/// Octets of kept bodies that one move takes, and one body more.
pub(crate) const MOVE_OCTETS_MAX: u64 = 2 << 20;
/// A leg whose record is longer, for its body is kept, does not move: the table of a run has 16 bits for a length.
pub(crate) const MOVE_LEN_MAX: u32 = 60_000;
/// Ends whose marks are not synced yet; past it a late receipt is answered 0x64.
pub const PENDING_MAX: usize = 65_536;

/// The hour into which a deadline falls.
pub(crate) fn hour_of(ms: u64) -> u32 {
    u32::try_from(ms / HOUR_MS).unwrap_or(u32::MAX)
}

/// What orders and hides the ids of an hour. Wiped when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(crate) struct HashKey(pub(crate) [u8; 16]);

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashKey")
    }
}

impl HashKey {
    /// The hash of what a carrier calls a leg. A leg without such an id has one of its own: no receipt finds
    /// it, its mark does.
    pub(crate) fn of(&self, carrier: &str, carrier_id: &[u8], id: MessageId, leg: u16) -> u64 {
        let mut hasher = SipHasher24::new_with_key(&self.0);
        hasher.write(carrier.as_bytes());
        hasher.write(&[0]);
        hasher.write(carrier_id);
        if carrier_id.is_empty() {
            hasher.write(&id.0.to_be_bytes());
            hasher.write(&leg.to_be_bytes());
        }
        hasher.finish()
    }
}

/// Which run and which of its records: right as long as the run exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct At {
    pub(crate) run: u64,
    pub(crate) rank: u32,
}

/// Where a leg lies: its hour and hash stay, its run may be merged into another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) hour: u32,
    pub(crate) hash: u64,
    /// Where it was seen last.
    pub(crate) at: Option<At>,
}

/// A leg that is to be marked done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) id: MessageId,
    pub(crate) leg: u16,
    pub(crate) place: Place,
}

/// A body that came along because its account keeps bodies; else empty. Shows its length only (P4).
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct KeptBody(pub(crate) Box<[u8]>);

impl fmt::Debug for KeptBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Body(&self.0).fmt(f)
    }
}

/// A leg as a waiting file holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundLeg {
    pub(crate) id: MessageId,
    pub(crate) leg: u16,
    pub(crate) account: SystemId,
    pub(crate) envelope: Envelope,
    pub(crate) attempts: u16,
    pub(crate) due_ms: u64,
    pub(crate) carrier: String,
    pub(crate) carrier_id: MessageIdText,
    pub(crate) quote: Quote,
    pub(crate) place: Place,
    pub(crate) body: KeptBody,
}

/// What somebody wants to know of the files.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) token: u64,
    pub(crate) carrier: String,
    /// The ids under which the leg may be known, canonical, and where it may lie by its hash.
    pub(crate) ids: Vec<(MessageIdText, Vec<(u32, u64)>)>,
}

/// The answer to a question.
#[derive(Debug)]
pub struct Answer {
    /// The number that was given to the question.
    pub token: u64,
    /// The leg, if there is one; the error says that a file cannot be read now.
    pub found: Result<Option<FoundLeg>, RecordError>,
}

/// What the loop knows of a run.
#[derive(Clone, Debug)]
pub(crate) struct RunInfo {
    pub(crate) hour: u32,
    pub(crate) number: u64,
    pub(crate) hash_key: HashKey,
    pub(crate) prints: Arc<Prints>,
    pub(crate) count: u32,
    pub(crate) done: u32,
    pub(crate) octets: u64,
}

/// How many records of a run are done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RunDone {
    pub(crate) hour: u32,
    pub(crate) number: u64,
    pub(crate) done: u32,
}

/// What the keeper is to do with the files.
pub(crate) enum Order {
    Move {
        items: Vec<MoveItem>,
        names: HashMap<NameId, String>,
        now_ms: u64,
    },
    Confirm {
        runs: Vec<(u32, u64)>,
        drops: Vec<Mark>,
    },
    Mark(Vec<Mark>),
    Find(Vec<Question>),
    Merge {
        hour: u32,
        runs: Vec<u64>,
    },
    Pass(u32),
    Drop(u32),
    /// The next entries of a run.
    Load {
        hour: u32,
        run: u64,
        from: u32,
    },
    DropRuns(Vec<(u32, u64)>),
}

/// What became of an [`Order`].
pub(crate) enum Report {
    Moved(Result<Moved, Failed>),
    Confirmed(Result<Vec<RunDone>, Failed>),
    Marked(Result<Vec<RunDone>, Failed>),
    /// With the runs that failed.
    EntriesMarked(Vec<RunDone>, Vec<(u64, io::Error)>),
    Found(Vec<Answer>),
    Merged(Result<Merged, Failed>),
    Passed(u32, Result<Bunch, Failed>),
    Dropped(u32, Result<bool, Failed>),
    Loaded(u64, Result<EntryBunch, Failed>),
    RunsDropped(Vec<(u32, u64)>, Result<(), Failed>),
}

/// Why it could not be done.
#[derive(Debug)]
pub(crate) enum Failed {
    Io(&'static str, io::Error),
    Ring(KeyRingError),
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Io("write", error)
    }
}

impl From<Failed> for io::Error {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Io(_, error) => error,
            Failed::Ring(error) => Self::other(error),
        }
    }
}

impl From<KeyRingError> for Failed {
    fn from(error: KeyRingError) -> Self {
        Self::Ring(error)
    }
}

impl From<DropFailed> for Failed {
    fn from(failed: DropFailed) -> Self {
        match failed {
            DropFailed::Io(error) => Self::Io("remove", error),
            DropFailed::Ring(error) => Self::Ring(error),
        }
    }
}

impl<D: Disk> Files<D> {
    /// Does one thing. Blocks; at the end says how many records and files it could not read.
    pub(crate) fn obey(
        &mut self,
        order: Order,
        ring: &mut KeyRing<D>,
        rng: &mut impl CryptoRng,
    ) -> (Report, u64) {
        let failed = |operation| move |error| Failed::Io(operation, error);
        let report = match order {
            Order::Move { items, names, now_ms } => {
                let moved = self.take_in(items, &names, ring, now_ms, rng);
                Report::Moved(moved.map_err(|error| match error {
                    MoveFailed::Io(error) => Failed::Io("write", error),
                    MoveFailed::Ring(error) => Failed::Ring(error),
                }))
            }
            Order::Confirm { runs, drops } => {
                let marked = if self.owner == Owner::Outbox {
                    let (done, failed) = self.mark_entries(&drops);
                    let is_ours = |(run, _): &(u64, io::Error)| runs.iter().any(|(_, number)| number == run);
                    failed
                        .into_iter()
                        .find(is_ours)
                        .map_or(Ok(done), |(_, error)| Err(error))
                } else {
                    self.mark(&drops)
                };
                let confirmed = marked.and_then(|done| self.confirm(&runs).map(|()| done));
                Report::Confirmed(confirmed.map_err(failed("confirm")))
            }
            Order::Mark(marks) if self.owner == Owner::Outbox => {
                let (done, failed) = self.mark_entries(&marks);
                Report::EntriesMarked(done, failed)
            }
            Order::Mark(marks) => Report::Marked(self.mark(&marks).map_err(failed("mark"))),
            Order::Find(questions) => {
                Report::Found(questions.iter().map(|question| self.answer(question)).collect())
            }
            Order::Merge { hour, runs } => Report::Merged(self.merge(hour, &runs).map_err(failed("merge"))),
            Order::Pass(hour) => Report::Passed(hour, self.pass(hour).map_err(failed("read"))),
            Order::Drop(hour) => {
                let dropped = self.drop_hour(hour, ring);
                Report::Dropped(hour, dropped.map_err(Failed::from))
            }
            Order::Load { hour, run, from } => {
                let loaded = self.next_entries(hour, run, from);
                Report::Loaded(run, loaded.map_err(failed("read")))
            }
            Order::DropRuns(runs) => {
                let (gone, dropped) = self.drop_runs(runs, ring);
                Report::RunsDropped(gone, dropped.map_err(Failed::from))
            }
        };
        (report, std::mem::take(&mut self.damaged))
    }
}

/// What is counted of the files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WaitingCounts {
    /// Legs that wait in files.
    pub legs: u64,
    /// Files.
    pub files: usize,
    /// Octets of these.
    pub octets: u64,
    /// Octets of memory that stand for them.
    pub memory: u64,
    /// Legs that were moved since the start.
    pub moved: u64,
    /// Legs that a finished hour brought back, since the start.
    pub passed: u64,
    /// Records, pages and files that could not be read, since the start: an alarm.
    pub damaged: u64,
}
