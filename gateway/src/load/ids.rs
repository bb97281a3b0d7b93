//! Which message an id belongs to: 16 octets for each message whose receipt is still to come.
//!
//! Ids are kept as 64-bit hashes under a key that nobody outside knows. Two ids with the same hash would be
//! taken for one; among a million outstanding ones that happens once in 40 million runs.

use std::collections::VecDeque;
use std::hash::{BuildHasher as _, Hasher as _};

use hashbrown::hash_table::Entry as Slot;
use hashbrown::{DefaultHashBuilder, HashTable};
use tidegate_codec::values::{MessageState, ReceiptWish};

/// Ids that receipts name and no answer has named yet, at most; further ones are only counted.
const EARLY_MAX: usize = 1 << 18;
/// Finished ids that are still known, so that a receipt that comes again is told from one that nobody
/// waits for. Few enough to stay in a processor's cache.
const FINISHED_MAX: usize = 1 << 13;
/// The same where no receipts come, and only ids that are given twice are to be told.
const UNRECEIPTED_MAX: usize = 1 << 12;

/// The same where receipts come on failure only: so many answered ids are watched for one.
const WATCHED_MAX: usize = 1 << 20;
/// Messages whose receipt is still to come, at most: with so many nothing more is submitted. 128 MiB.
pub(super) const OUTSTANDING_MAX: usize = 1 << 22;

/// The grain in which times wait for a receipt, as a power of two of microseconds: 2^32 of them are 19 hours.
const GRAIN: u32 = 4;

/// A time in that grain, on a clock that begins anew after 19 hours.
pub(super) const fn coarse(micros: u64) -> u32 {
    ((micros >> GRAIN) & 0xffff_ffff) as u32
}

/// Microseconds between two such times; none where the first is not the earlier one.
pub(super) fn between(since: u32, until: u32) -> u64 {
    match until.wrapping_sub(since) {
        steps if steps > u32::MAX / 2 => 0,
        steps => u64::from(steps) << GRAIN,
    }
}

/// Where the kind of an entry stands in its tag. The table itself looks at the lowest and the highest bits.
const KIND: u64 = 0b11 << KIND_AT;
const KIND_AT: u32 = 40;
/// The receipt is still to come.
const WAITING: u64 = 0;
/// A receipt may come, or not.
const WATCHED: u64 = 1 << KIND_AT;
/// The receipt has come, or none will.
const FINISHED: u64 = 2 << KIND_AT;
/// The receipt has come and the answer has not; `n` is the receipt's state.
const EARLY: u64 = 3 << KIND_AT;

/// What is known of one id.
#[derive(Clone, Copy)]
struct Entry {
    /// The key, and the kind of this entry.
    tag: u64,
    n: u32,
    /// When the message was due or sent, or when an early receipt came ([`coarse`]).
    at: u32,
}

impl Entry {
    const fn key(&self) -> u64 {
        self.tag & !KIND
    }

    const fn kind(&self) -> u64 {
        self.tag & KIND
    }
}

/// The ids of one run.
pub(super) struct Ids {
    table: HashTable<Entry>,
    hasher: DefaultHashBuilder,
    /// What an id becomes with its answer.
    answered: u64,
    early: usize,
    outstanding: usize,
    /// Ids that are watched or finished, the oldest first.
    past: VecDeque<u64>,
    past_max: usize,
}

/// What an answer's id says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answered {
    /// Nobody has named it yet.
    New,
    /// Its receipt has come before, at that time.
    Overtaken(MessageState, u32),
    /// Another message has it too.
    Repeated,
}

/// What a receipt's id says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Receipted {
    /// The message, and the time that was given with its answer.
    First(u32, u32),
    /// No answer has named it yet.
    Early,
    /// Its receipt has come before.
    Again,
    /// No answer has named it, and there is no room to remember it.
    Unknown,
}

impl Ids {
    pub(super) fn new(wish: ReceiptWish) -> Self {
        let (answered, past_max) = match wish {
            ReceiptWish::Always => (WAITING, FINISHED_MAX),
            ReceiptWish::OnFailure | ReceiptWish::OnSuccess => (WATCHED, WATCHED_MAX),
            ReceiptWish::Never => (FINISHED, UNRECEIPTED_MAX),
        };
        Self {
            // Four times what the past takes: in a fuller table removals leave marks behind that have to be
            // swept up every few thousand ids, which costs more than everything else here.
            table: HashTable::with_capacity(past_max.min(FINISHED_MAX) / 2 * 7),
            hasher: DefaultHashBuilder::default(),
            answered,
            early: 0,
            outstanding: 0,
            past: VecDeque::new(),
            past_max,
        }
    }

    /// The key of an id of this account; each account may have ids of its own.
    pub(super) fn key(&self, account: u16, id: &[u8]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write_u16(account);
        hasher.write(id);
        hasher.finish() & !KIND
    }

    /// An answer has named an id.
    pub(super) fn answered(&mut self, key: u64, n: u32, at: u32) -> Answered {
        match self.table.entry(key, |entry| entry.key() == key, Entry::key) {
            Slot::Vacant(slot) => {
                let tag = key | self.answered;
                slot.insert(Entry { tag, n, at });
                if self.answered == WAITING {
                    self.outstanding += 1;
                } else {
                    self.pass(key);
                }
                Answered::New
            }
            Slot::Occupied(mut slot) => {
                let entry = slot.get_mut();
                if entry.kind() != EARLY {
                    return Answered::Repeated;
                }
                let state = state(entry.n);
                let came = entry.at;
                *entry = Entry {
                    tag: key | FINISHED,
                    n,
                    at,
                };
                self.early -= 1;
                self.pass(key);
                Answered::Overtaken(state, came)
            }
        }
    }

    /// A receipt has named an id.
    pub(super) fn receipted(&mut self, key: u64, state: MessageState, now: u32) -> Receipted {
        if let Some(entry) = self.table.find_mut(key, |entry| entry.key() == key) {
            let (n, at, kind) = (entry.n, entry.at, entry.kind());
            if kind == FINISHED || kind == EARLY {
                return Receipted::Again;
            }
            entry.tag = key | FINISHED;
            // What is watched is on the list already.
            if kind == WAITING {
                self.outstanding -= 1;
                self.pass(key);
            }
            return Receipted::First(n, at);
        }
        if self.early >= EARLY_MAX {
            return Receipted::Unknown;
        }
        let entry = Entry {
            tag: key | EARLY,
            n: u32::from(state.octet()),
            at: now,
        };
        self.table.insert_unique(key, entry, Entry::key);
        self.early += 1;
        Receipted::Early
    }

    /// Receipts whose answer has not come.
    pub(super) const fn early(&self) -> usize {
        self.early
    }

    /// Messages whose receipt is still to come.
    pub(super) const fn outstanding(&self) -> usize {
        self.outstanding
    }

    /// Remembers an id that nothing has to come for, and forgets the one that has been so for longest.
    fn pass(&mut self, key: u64) {
        if self.past.len() == self.past_max
            && let Some(oldest) = self.past.pop_front()
            && let Ok(slot) = self.table.find_entry(oldest, |entry| entry.key() == oldest)
        {
            slot.remove();
        }
        self.past.push_back(key);
    }
}

fn state(n: u32) -> MessageState {
    u8::try_from(n)
        .ok()
        .and_then(MessageState::from_octet)
        .unwrap_or(MessageState::Unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELIVERED: MessageState = MessageState::Delivered;

    #[test]
    fn an_entry_has_sixteen_octets() {
        assert_eq!(size_of::<Entry>(), 16);
    }

    #[test]
    fn a_receipt_finds_its_message_once() {
        let mut ids = Ids::new(ReceiptWish::Always);
        let key = ids.key(0, b"42");
        assert_eq!(ids.answered(key, 7, 100), Answered::New);
        assert_eq!(ids.receipted(key, DELIVERED, 200), Receipted::First(7, 100));
        assert_eq!(ids.receipted(key, DELIVERED, 300), Receipted::Again);
        assert_eq!(ids.answered(key, 8, 400), Answered::Repeated);
        assert_ne!(ids.key(1, b"42"), key, "each account has its own ids");
    }

    #[test]
    fn a_receipt_may_overtake_its_answer() {
        let mut ids = Ids::new(ReceiptWish::Always);
        let key = ids.key(0, b"42");
        assert_eq!(ids.receipted(key, MessageState::Rejected, 90), Receipted::Early);
        assert_eq!(ids.receipted(key, MessageState::Rejected, 91), Receipted::Again);
        assert_eq!(ids.early(), 1);
        let answer = ids.answered(key, 7, 10);
        assert_eq!(answer, Answered::Overtaken(MessageState::Rejected, 90));
        assert_eq!(ids.early(), 0);
        assert_eq!(ids.receipted(key, DELIVERED, 99), Receipted::Again);
    }

    #[test]
    fn an_id_given_twice_belongs_to_the_first_message() {
        let mut ids = Ids::new(ReceiptWish::Always);
        let key = ids.key(0, b"42");
        assert_eq!(ids.answered(key, 1, 0), Answered::New);
        assert_eq!(ids.answered(key, 2, 0), Answered::Repeated);
        assert_eq!(ids.receipted(key, DELIVERED, 0), Receipted::First(1, 0));
    }

    #[test]
    fn memory_holds_what_is_outstanding_and_a_bounded_past() {
        for wish in [ReceiptWish::Always, ReceiptWish::Never] {
            let mut ids = Ids::new(wish);
            let keys: Vec<u64> = (0..200_000_u32)
                .map(|n| ids.key(0, n.to_string().as_bytes()))
                .collect();
            for (n, key) in (0..).zip(&keys) {
                assert_eq!(ids.answered(*key, n, 0), Answered::New);
                if wish == ReceiptWish::Always {
                    assert_eq!(ids.outstanding(), 1);
                    assert_eq!(ids.receipted(*key, DELIVERED, 0), Receipted::First(n, 0));
                }
            }
            assert_eq!((ids.table.len(), ids.past.len()), (ids.past_max, ids.past_max));
            assert!(ids.table.capacity() <= 4 * ids.past_max);
            let (old, recent) = (keys[0], keys[keys.len() - 1]);
            assert_eq!(ids.receipted(recent, DELIVERED, 0), Receipted::Again);
            assert_eq!(ids.receipted(old, DELIVERED, 0), Receipted::Early);
        }
    }

    #[test]
    fn where_receipts_come_on_failure_only_each_is_first_once_and_none_is_outstanding() {
        let mut ids = Ids::new(ReceiptWish::OnFailure);
        let key = ids.key(0, b"42");
        assert_eq!(ids.answered(key, 7, 100), Answered::New);
        assert_eq!((ids.outstanding(), ids.past.len()), (0, 1));
        let rejected = MessageState::Rejected;
        assert_eq!(ids.receipted(key, rejected, 200), Receipted::First(7, 100));
        assert_eq!(ids.receipted(key, rejected, 300), Receipted::Again);
        assert_eq!(ids.past.len(), 1);
    }

    #[test]
    fn receipts_of_nobody_are_remembered_up_to_a_bound() {
        let mut ids = Ids::new(ReceiptWish::Always);
        for id in 0..EARLY_MAX as u64 {
            assert_eq!(ids.receipted(id, DELIVERED, 0), Receipted::Early);
        }
        assert_eq!(ids.receipted(u64::MAX, DELIVERED, 0), Receipted::Unknown);
    }

    #[test]
    fn a_receipt_that_came_first_took_no_time_and_clocks_begin_anew() {
        let hour = 3_600_000_000;
        assert_eq!(between(coarse(1600), coarse(1600 + 5 * hour)), 5 * hour);
        assert_eq!(between(coarse(100), coarse(20)), 0);
        assert_eq!(between(u32::MAX, 4), 80);
    }
}
