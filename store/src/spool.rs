//! The spool: the durable log of unfinished work, and the memory that follows it.
//!
//! One owner drives it in turns. Within a turn steps are *staged*: [`Spool::accept`], [`Spool::deliver`]
//! (intake) and [`Spool::hand_over`], [`Spool::retry`], [`Spool::settle`], [`Spool::fetched`] (progress).
//! [`Spool::begin_commit`] then makes one batch of all of them, [`Commit::run`] writes and syncs it (on this
//! thread or another), and [`Spool::finish_commit`] says how it went. Only then may anything be promised to
//! a peer (P1, P2).
//!
//! What touches other files than the newest is the [`Keeper`]'s: it takes [`Chore`]s and hands back what
//! became of them.
//!
//! ```text
//!            accept                  hand_over                 settle
//!   (new) ──────────► Waiting ─────────────────► HandedOver ──────────► ended, its DLR in the outbox
//!                      │  ▲                                      ▲
//!                      └──┘ lease, release, retry                │
//!                      └─────────────────────────────────────────┘ refused, expired
//! ```
//!
//! What a carrier has had for a while moves, as it is, to a [waiting file](crate::waiting) and comes back only to
//! end.

mod chores;
mod commit;
mod filed;
mod filing;
mod filing_chores;
mod in_parts;
mod keeper;
mod lasting;
mod late;
mod park;
mod parked;
mod pending;
mod rebuild;
mod received;
mod recover;
#[cfg(test)]
mod rig;
#[cfg(test)]
mod rig_checks;
#[cfg(test)]
mod rig_model;
#[cfg(test)]
mod rig_steps;
mod search;
mod segments;
mod staging;
mod steps;
mod story;
#[cfg(test)]
mod tests_disk;
#[cfg(test)]
mod tests_forget;
#[cfg(test)]
mod tests_generations;
#[cfg(test)]
mod tests_held;
#[cfg(test)]
mod tests_history;
#[cfg(test)]
mod tests_in_parts;
#[cfg(test)]
mod tests_instead;
#[cfg(test)]
mod tests_lookup;
#[cfg(test)]
mod tests_model;
#[cfg(test)]
mod tests_parked;
#[cfg(test)]
mod tests_parked_faults;
#[cfg(test)]
mod tests_parked_sinks;
#[cfg(test)]
mod tests_received;
#[cfg(test)]
mod tests_recovery;
#[cfg(test)]
mod tests_register;
#[cfg(test)]
mod tests_standing;
#[cfg(test)]
mod tests_story;
#[cfg(test)]
mod tests_usage;
#[cfg(test)]
mod tests_verify;
#[cfg(test)]
mod tests_waits;
#[cfg(test)]
mod tests_waits_damage;
#[cfg(test)]
mod tests_waits_faults;
mod unpark;
mod upkeep;
mod verify;
mod waits;

use std::path::PathBuf;
use std::sync::Arc;

use tidegate_codec::identity::SystemId;
use tidegate_codec::octets::Body;

use crate::disk::Disk;
use crate::index::Index;
use crate::message_id::{MessageId, MessageIds};
use crate::names::{NameId, Names};
use crate::outbox::{EntryId, Outbox};
use crate::quote::Quote;
use crate::record::{EntryKind, Envelope, Form, Sink};
use crate::seal::SealKey;
use crate::standing::Standing;
use crate::usage::{Period, Usage, Used};
use crate::waiting::table::Waits;

use filing::Filing;
use parked::Parked;
use segments::Segments;
pub(crate) use staging::Part;
use staging::Staging;

pub use chores::{Chore, ChoreDone, ChoreError, Finished, ReadBack, Target};
pub use commit::{Begin, Commit, CommitDone, CommitOutcome};
pub use filing::{HistoryCounts, Keeps};
pub use in_parts::{NewPart, Parts};
pub use keeper::Keeper;
pub use late::Back;
pub use received::Received;
pub use recover::{OpenError, Recovered};
pub use story::{Step, Story, Told, Wanted, story};
pub use verify::{Fault, FooterState, SegmentReport, verify};
pub use waits::MovedLeg;

/// How the spool is laid out and where its bounds lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Directory of the segments; made when it is missing.
    pub dir: PathBuf,
    /// Which node this is: part of message ids and of every batch.
    pub node: u8,
    /// Octets of a segment; more than [`SEGMENT_MAX`] count as that.
    pub segment_size: u64,
    /// Octets that all segments, waiting files, outbox files, the history with its vault and [what others
    /// say](Spool::count_others) may take together; more of them than this less the reserve, and nothing new is taken in.
    pub limit: u64,
    /// Segments of that which only work that *ends* something may use.
    pub reserve_segments: u32,
    /// Unfinished legs in memory; behind it intake is answered 0x14.
    pub max_legs: usize,
    /// Directory of the [waiting files](crate::waiting); made when it is missing.
    pub waiting_dir: PathBuf,
    /// Directory of the outbox files; made when it is missing.
    pub outbox_dir: PathBuf,
    /// Directory of the [counts of used parts](crate::usage); made when it is missing.
    pub usage_dir: PathBuf,
    /// Directory of the [journal of standing data](crate::standing); made when it is missing.
    pub standing_dir: PathBuf,
    /// Directory of the [history](crate::history); made when it is missing.
    pub history_dir: PathBuf,
    /// Directory of the history's indexes; without one they are kept in memory.
    pub history_index: Option<PathBuf>,
    /// Whether to open although stretches of that journal cannot be read: who stood there alone is known no more.
    pub accept_damage: bool,
    /// How long a leg that a carrier has, and an entry that nobody fetches, stays in memory, in milliseconds.
    pub receipt_hot_ms: u64,
}

/// Largest segment: places in it are 32 bits.
pub const SEGMENT_MAX: u64 = 1 << 30;
/// Octets that one batch may hold before intake waits for the next turn; a quarter of a segment at most.
const BATCH_MAX: u64 = 4 << 20;

/// Why nothing new is taken in. Nothing was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The disk's budget or the index is at its bound: 0x14 to an ESME, 0x64 to a carrier. It passes.
    #[error("spool full")]
    Full,
    /// A sync failed: 0x08 to an ESME, 0x64 to a carrier, until a restart has read the disk again.
    #[error("spool broken")]
    Broken,
}

/// A leg that begins.
pub struct NewLeg<'a> {
    /// Of which message.
    pub id: MessageId,
    /// Which of its legs.
    pub leg: u16,
    /// Whose.
    pub account: SystemId,
    /// What the message is.
    pub envelope: Envelope,
    /// When something happens to it next, in unix milliseconds.
    pub due_ms: u64,
    /// What its receipts are to quote.
    pub quote: Quote,
    /// The PDU's body as it came.
    pub body: &'a [u8],
    /// The day and month in which its parts count.
    pub period: Period,
    /// It takes the place of legs that are settled behind it, before the next commit: when the disk is full it is
    /// staged again with their ends, and not given back, so that nothing goes without what stands for it.
    pub takes_a_place: bool,
    /// It waits for its release before anything else happens to it.
    pub held: bool,
}

impl std::fmt::Debug for NewLeg<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NewLeg({:?} {} {:?})", self.id, self.leg, Body(self.body))
    }
}

/// What a waiting leg is from now on.
pub struct ChangedLeg<'a> {
    /// What the message is.
    pub envelope: Envelope,
    /// When something happens to it next, in unix milliseconds.
    pub due_ms: u64,
    /// What its receipts are to quote.
    pub quote: Quote,
    /// The PDU's body.
    pub body: &'a [u8],
}

impl std::fmt::Debug for ChangedLeg<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ChangedLeg({:?})", Body(self.body))
    }
}

/// How a leg ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// Its state.
    pub state: tidegate_codec::values::MessageState,
    /// When, in unix milliseconds.
    pub at_ms: u64,
}

/// A DLR or MO to be put into an account's outbox.
#[derive(Clone, Copy)]
pub struct NewEntry<'a> {
    /// DLR or MO.
    pub kind: EntryKind,
    /// Where it goes.
    pub sink: Sink,
    /// Which PDU the body is of.
    pub form: Form,
    /// Until when it may be fetched, in unix milliseconds.
    pub expires_ms: u64,
    /// The version of the instructions by which it goes there, see [`record::EntryRecord`](crate::record::EntryRecord).
    pub document: &'a [u8],
    /// The PDU's body as the ESME will get it.
    pub body: &'a [u8],
}

impl std::fmt::Debug for NewEntry<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NewEntry({:?} {:?})", self.kind, Body(self.body))
    }
}

/// A segment that can be appended to.
struct Active<D: Disk> {
    number: u64,
    file: Arc<D::File>,
    /// Octets that were reserved for it.
    octets: u64,
    /// Where the next batch goes.
    offset: u64,
    /// The floor of message ids in its header.
    floor_ms: u64,
    /// What was reserved for it was given back because the disk was full: the next one is better.
    cut: bool,
    /// Events of its footer so far: steps of what was born in earlier segments.
    events: Vec<u8>,
    key: Arc<SealKey>,
}

/// What waits to be committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pending {
    /// Nothing.
    Nothing,
    /// Steps that may ride along with the next batch, staged since this unix millisecond.
    Lazy(u64),
    /// Something that a peer waits for.
    Urgent,
}

/// See the [module](self).
pub struct Spool<D: Disk> {
    options: Options,
    names: Names,
    index: Index,
    outbox: Outbox,
    ids: MessageIds,
    segments: Segments,
    active: Active<D>,
    next: Option<Active<D>>,
    staging: Staging,
    /// The buffers of the batch before, for the next one.
    spare: Staging,
    /// Number of the batch that is being staged.
    batch: u64,
    /// Number of the newest batch that is on disk.
    synced: u64,
    /// The floor of message ids in the newest batch that is on disk.
    floor_ms: u64,
    committing: bool,
    /// Whether the batch that is on its way holds copies.
    copies_committing: bool,
    /// What is staged fits nowhere.
    waits_for_segment: bool,
    broken: bool,
    /// Chores that the keeper has and has not handed back.
    out: upkeep::Outstanding,
    /// Closed segments whose footer is still to be written.
    unfooted: Vec<chores::Unfooted<D>>,
    /// Legs that wait for their receipt in files.
    waits: Waits,
    /// Entries that nobody has fetched, in files.
    parked: Parked,
    /// Parts that accounts have used.
    usage: Usage,
    /// What is remembered of people.
    standing: Standing,
    /// What has ended and is on its way to the history.
    filing: Filing,
    /// Octets of the history with its vault, when the keeper last came back.
    kept_octets: u64,
    /// Octets of files of others that count in the same budget.
    other_octets: u64,
}

impl<D: Disk> Spool<D> {
    // ===== questions =====

    /// Unfinished legs.
    pub const fn index(&self) -> &Index {
        &self.index
    }

    /// Unsettled entries.
    pub const fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// Gives an entry that a bind did not settle back, in front of its line.
    pub fn return_entry(&mut self, entry: EntryId) {
        self.outbox.put_back(entry);
    }

    /// Names of accounts and carriers.
    pub const fn names(&self) -> &Names {
        &self.names
    }

    /// The number of an account's or carrier's name; `None` when there are too many.
    pub fn intern(&mut self, name: &str) -> Option<NameId> {
        self.names.intern(name)
    }

    /// Parts that an account has used in a day and in a month, what is staged included.
    pub fn used(&self, account: NameId, period: Period) -> Used {
        self.usage.used(account, period)
    }

    /// What is remembered of people.
    pub const fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Lets go of what is remembered of people and counts no more; to be asked for now and then.
    pub fn forget_replies(&mut self, now_ms: u64) {
        self.standing.forget(now_ms);
    }

    /// What is staged.
    pub const fn pending(&self) -> Pending {
        match (self.staging.urgent, self.staging.since_ms) {
            (true, _) => Pending::Urgent,
            (false, Some(since)) => Pending::Lazy(since),
            (false, None) => Pending::Nothing,
        }
    }

    /// Takes over the bounds that may change while it is open: `limit`, `reserve_segments`, `max_legs` and
    /// `receipt_hot_ms`. What is over a lower one drains, as it does when the disk is full.
    pub fn set_bounds(&mut self, bounds: &Options) {
        self.options.limit = bounds.limit;
        self.options.reserve_segments = bounds.reserve_segments;
        self.options.max_legs = bounds.max_legs;
        self.options.receipt_hot_ms = bounds.receipt_hot_ms;
        self.index.set_max(bounds.max_legs);
    }

    /// Whether a batch is on its way to the disk.
    pub const fn is_committing(&self) -> bool {
        self.committing
    }

    /// Whether a sync has failed: only a restart mends it.
    pub const fn is_broken(&self) -> bool {
        self.broken
    }

    /// Octets that all segments, waiting files and outbox files take together: what is under way.
    pub fn octets(&self) -> u64 {
        let files = self.waits.octets() + self.parked.waits.octets();
        self.segments.octets() + self.next.as_ref().map_or(0, |next| next.octets) + files
    }

    /// Octets of all files that count in the one budget ([`Options::limit`]): what is under way, the history with its vault,
    /// and what [`Spool::count_others`] was told.
    pub fn occupied(&self) -> u64 {
        self.octets() + self.kept_octets + self.other_octets
    }

    /// Octets of all these files from which on nothing new is taken in: the limit less the reserve.
    pub fn intake_limit(&self) -> u64 {
        self.options.limit.saturating_sub(self.reserve())
    }

    /// Whether the history with its vault leaves no room for anything new by itself: waiting for what is under way to end
    /// mends nothing then.
    pub fn is_filled_by_history(&self) -> bool {
        self.kept_octets > self.intake_limit()
    }

    /// Counts files of others in the budget, such as exports: so many octets of them all, in place of what was said before.
    pub const fn count_others(&mut self, octets: u64) {
        self.other_octets = octets;
    }

    /// How many segments exist, the one made ahead included.
    pub fn segments(&self) -> usize {
        self.segments.len() + usize::from(self.next.is_some())
    }

    /// Whether something new may be taken in now.
    pub fn intake(&self) -> Result<(), Refused> {
        if self.broken {
            return Err(Refused::Broken);
        }
        let is_full = self.index.is_full() || self.filing.is_full();
        if is_full || !self.has_intake_budget() || self.out.is_starved() {
            return Err(Refused::Full);
        }
        Ok(())
    }

    /// Whether the batch that is staged takes more intake this turn. What does not fit waits, unread, for
    /// the next one.
    pub fn has_batch_room(&self) -> bool {
        self.staging.len() < self.batch_max()
    }

    fn batch_max(&self) -> u64 {
        BATCH_MAX.min(self.options.segment_size / 4)
    }

    /// Whether there is room for work to move on. When not, hand over nothing and answer no receipt for some
    /// turns: what is left of the disk is for emptying segments, which gives room back. (Entries that are
    /// fetched and legs that end without a DLR may always go on.)
    pub fn has_progress_room(&self) -> bool {
        let affordable = self.octets() + self.options.segment_size <= self.options.limit;
        (affordable || self.next.is_some()) && !self.waits_for_segment
    }

    /// Whether all files leave room for something new. What is reserved for work that ends something is no intake's. What is
    /// kept counts here and nowhere else: only the sweep makes it less, so that it must not stand in the way of what ends
    /// work, which grows by little then.
    pub fn has_intake_budget(&self) -> bool {
        self.occupied() + self.reserve() <= self.options.limit
    }

    fn reserve(&self) -> u64 {
        self.options.segment_size * u64::from(self.options.reserve_segments)
    }
}

/// The newest key there is: the older ones grow idle and can be destroyed.
fn newest_key<'a, D: Disk>(active: &'a Active<D>, next: Option<&'a Active<D>>) -> &'a SealKey {
    &next.unwrap_or(active).key
}

/// Names of accounts come from system_ids, so this fails for none of them.
fn account_of(names: &Names, account: NameId) -> Result<SystemId, Refused> {
    names.system_id(account).ok_or(Refused::Broken)
}
