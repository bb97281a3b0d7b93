//! What the next batch will hold.

use rand_core::CryptoRng;
use tidegate_codec::identity::SystemId;
use tidegate_codec::message_id::MessageIdText;

use crate::footer::Keys;
use crate::index::LegId;
use crate::message_id::MessageId;
use crate::names::{NameId, Names};
use crate::outbox::EntryId;
use crate::progress::Progress;
use crate::record::{self, COUNTED_MAX, Head, Payload, Retry, SettledMoved};
use crate::seal::{KeyId, SealKey};
use crate::standing::{Change, Undo};
use crate::usage::StagedCount;
use crate::waiting::Mark;

use super::Refused;
use super::filing::Unfiled;

/// What a staged record will become once it is on disk.
#[derive(Debug)]
pub(super) enum Staged {
    /// A new leg.
    Leg(LegId),
    /// A new entry.
    Entry(EntryId),
    /// A leg copied forward.
    LegCopy(LegId),
    /// An entry copied forward.
    EntryCopy(EntryId),
    /// All of a leg that ended in a waiting file, for the history.
    Finished(Box<Unfiled>),
    /// A change of standing data, and what is to be undone should it not reach the disk.
    Standing(Box<StagedChange>),
    /// A step of a leg or entry born in this segment, for the footer if that is another.
    Step { born: u32, item: StepItem },
}

/// A change of standing data on its way to the disk.
#[derive(Debug)]
pub(super) struct StagedChange {
    pub(super) id: MessageId,
    pub(super) account: SystemId,
    pub(super) change: Change,
    pub(super) undo: Undo,
}

/// A step as a footer repeats it, owned.
#[derive(Clone, Debug)]
pub(super) enum StepItem {
    HandedOver {
        id: MessageId,
        leg: u16,
        carrier: NameId,
        carrier_id: MessageIdText,
        deadline_ms: u64,
        attempts: u16,
    },
    Retry {
        id: MessageId,
        leg: u16,
        step: Retry,
    },
    Final {
        id: MessageId,
        leg: u16,
        /// The leg, if the history is to hold it.
        unfiled: Option<Box<Unfiled>>,
    },
    Progressed {
        id: MessageId,
        leg: u16,
        progress: Box<Progress>,
    },
    Settled {
        id: MessageId,
    },
    Moved {
        id: MessageId,
        leg: u16,
        run: u64,
    },
    FinalMoved(Mark),
    SettledMoved(Mark, SettledMoved),
}

/// What becomes of a staged record when the disk is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// It ends work, or moves it on: kept.
    Ending,
    /// It begins work: given back.
    Intake,
}

#[derive(Debug)]
pub(super) struct StagedRecord {
    pub(super) what: Staged,
    pub(super) part: Part,
    pub(super) at: u32,
    pub(super) len: u32,
}

/// Octets that a batch's buffer may keep for the next one.
const KEEP_OCTETS: usize = 8 << 20;

/// What the next batch will hold: its records in the order in which they were staged, so that no step can
/// come before what it is a step of.
#[derive(Debug, Default)]
pub(super) struct Staging {
    pub(super) octets: Vec<u8>,
    pub(super) records: Vec<StagedRecord>,
    /// Copies among the records.
    pub(super) copies: usize,
    pub(super) keys: Keys,
    /// What its new legs count as: records that are written when the batch is made.
    pub(super) counted: Vec<StagedCount>,
    pub(super) urgent: bool,
    pub(super) since_ms: Option<u64>,
}

impl Staging {
    pub(super) const fn len(&self) -> u64 {
        self.octets.len() as u64
    }

    /// Seals a record into the batch: where it lies there, and how long it is.
    pub(super) fn write(
        &mut self,
        head: &Head,
        payload: &Payload<'_>,
        key: &SealKey,
        rng: &mut impl CryptoRng,
    ) -> Result<(u32, u32), Refused> {
        // A key that is spent, or a payload of 64 GiB: neither is reached, and neither may pass silently.
        let range = record::write(&mut self.octets, head, payload, key, rng).map_err(|_| Refused::Broken)?;
        self.add_key(key.id());
        Ok((word(range.start), word(range.len())))
    }

    /// Writes the record of a leg or entry that has moved to a file.
    pub(super) fn write_moved(&mut self, head: &Head, run: u64) -> (u32, u32) {
        let range = record::write_moved(&mut self.octets, head, run);
        (word(range.start), word(range.len()))
    }

    /// Takes a record in that was sealed elsewhere.
    pub(super) fn copy(&mut self, sealed: &[u8], key: KeyId) -> (u32, u32) {
        let start = self.octets.len();
        self.octets.extend_from_slice(sealed);
        self.add_key(key);
        (word(start), word(sealed.len()))
    }

    pub(super) fn push(
        &mut self,
        now_ms: u64,
        what: Staged,
        part: Part,
        (at, len): (u32, u32),
        urgent: bool,
    ) {
        self.copies += usize::from(matches!(what, Staged::LegCopy(_) | Staged::EntryCopy(_)));
        self.records.push(StagedRecord { what, part, at, len });
        self.urgent |= urgent;
        self.since_ms.get_or_insert(now_ms);
    }

    fn add_key(&mut self, key: KeyId) {
        if !self.keys.contains(&key) {
            self.keys.push(key);
        }
    }

    /// Writes what the new legs count as, behind them. Once, when nothing more comes to the batch.
    pub(super) fn write_counted(&mut self, names: &Names) {
        for StagedCount { account, counted, .. } in &self.counted {
            // Names of accounts come from system_ids, so this fails for none of them.
            if let Ok(account) = SystemId::new(names.name(*account).as_bytes()) {
                record::write_counted(&mut self.octets, account, counted);
            }
        }
    }

    /// Octets that this adds at most.
    pub(super) const fn counted_len(&self) -> u64 {
        self.counted.len() as u64 * COUNTED_MAX
    }

    /// Appends another batch, but for its intake, which is handed to `given_back`.
    pub(super) fn take_endings(&mut self, other: &mut Self, given_back: &mut Vec<StagedRecord>) {
        for record in other.records.drain(..) {
            let (start, len) = (record.at as usize, record.len as usize);
            match (record.part, other.octets.get(start..start + len)) {
                (Part::Ending, Some(octets)) => self.append(record, octets),
                _ => given_back.push(record),
            }
        }
        other.counted.retain_mut(StagedCount::keep_endings);
        self.adopt(other);
    }

    /// Appends another batch whole.
    pub(super) fn take_all(&mut self, other: &mut Self) {
        for record in other.records.drain(..) {
            let (start, len) = (record.at as usize, record.len as usize);
            let octets = other.octets.get(start..start + len).unwrap_or_default();
            self.append(record, octets);
        }
        self.adopt(other);
    }

    fn append(&mut self, record: StagedRecord, octets: &[u8]) {
        let at = word(self.octets.len());
        self.octets.extend_from_slice(octets);
        self.copies += usize::from(matches!(record.what, Staged::LegCopy(_) | Staged::EntryCopy(_)));
        self.records.push(StagedRecord { at, ..record });
    }

    fn adopt(&mut self, other: &mut Self) {
        other.keys.iter().for_each(|key| self.add_key(*key));
        self.counted.append(&mut other.counted);
        if !self.records.is_empty() {
            self.urgent |= other.urgent;
            self.since_ms = self.since_ms.or(other.since_ms);
        }
        other.clear();
    }

    /// Empties it and keeps its buffers, so that a turn allocates nothing.
    pub(super) fn clear(&mut self) {
        self.octets.clear();
        self.octets.shrink_to(KEEP_OCTETS);
        self.records.clear();
        self.copies = 0;
        self.keys.clear();
        self.counted.clear();
        self.urgent = false;
        self.since_ms = None;
    }
}

/// Batches are bounded far below 4 GiB.
fn word(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
