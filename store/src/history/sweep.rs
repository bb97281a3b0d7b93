//! What a sweep asks of history: which keys a period's records lie under, what they add up to, and that the period goes.
//!
//! A *lot* is what lies under one key: the records of an account, a class and a period. With its key a lot is gone for every
//! reader, wherever its octets still lie; when all lots of a file are gone, the file goes.

use std::collections::BTreeMap;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

use tidegate_codec::identity::SystemId;
use tidegate_codec::values::MessageState;

use super::block::Header;
use super::files::{At, PeriodKey};
use super::meta::Meta;
use super::{Bucket, HOUR_MS, History, Kept, Place};
use crate::disk::Disk;
use crate::keyring::KeyRing;
use crate::record::Direction;
use crate::seal::{KeyId, Purpose};

/// Blocks that are added up in one step.
const BLOCKS_MAX: usize = 32;
/// Headers that are looked at in one step.
const HEADERS_MAX: usize = 4_096;
/// Lots that are being added up at most; more of them, and all begin anew.
const SUMS_MAX: usize = 64;

/// How far a lot is added up. Blocks only come behind others, so that what is added up stays so.
pub(super) struct Sum {
    next: At,
    cells: Cells,
}

impl Default for Sum {
    fn default() -> Self {
        Self {
            next: At { part: 1, offset: 0 },
            cells: Cells::new(),
        }
    }
}

/// What lies under one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lot {
    /// Whose.
    pub account: SystemId,
    /// Of what.
    pub class: Kept,
    /// How long a period is.
    pub bucket: Bucket,
    /// How long its records are kept, in words.
    pub length: Arc<str>,
    /// The first hour of its period, counted from 1970.
    pub period: u32,
    /// Its key.
    pub key: KeyId,
    /// When that was made, in unix milliseconds; 0 of one that is gone.
    pub made_ms: u64,
    /// How many blocks and records it has.
    pub blocks: u64,
    /// Records in them.
    pub records: u64,
    /// Octets that its blocks take.
    pub octets: u64,
    /// When the first of its messages ended, in unix milliseconds.
    pub first_ms: u64,
    /// When the last of its messages ended, in unix milliseconds: none was accepted later, either.
    pub last_ms: u64,
    /// Whether its key is there: without it, it is gone already.
    pub is_there: bool,
}

impl Lot {
    /// The first instant behind its period, in unix milliseconds: no record of it counts from later.
    pub fn end_ms(&self) -> u64 {
        u64::from(self.period + self.bucket.hours()) * HOUR_MS
    }
}

/// What statistics tell messages apart by (EXP-3): nothing of one message or person.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    /// The day on which they were accepted, counted from 1970.
    pub day: u32,
    /// Where they went.
    pub place: Place,
    /// Towards handsets or from them.
    pub is_mo: bool,
    /// What kind of sender: its TON.
    pub sender_ton: u8,
    /// How they ended.
    pub state: u8,
    /// Parts of each.
    pub parts: u8,
}

/// How many messages there are of each kind.
pub type Cells = BTreeMap<Cell, u64>;

fn cell_of(meta: &Meta) -> Cell {
    Cell {
        day: u32::try_from(meta.accepted_ms / (24 * HOUR_MS)).unwrap_or(u32::MAX),
        place: meta.place,
        is_mo: meta.direction == Direction::Mo,
        sender_ton: meta.source.ton().0,
        state: meta.state as u8,
        parts: meta.parts,
    }
}

impl Cell {
    /// How they ended; none for what no version has written.
    pub fn state(&self) -> Option<MessageState> {
        MessageState::from_octet(self.state)
    }
}

impl<D: Disk> History<D> {
    /// The files that there are, of all classes.
    pub fn periods(&self) -> impl Iterator<Item = &PeriodKey> {
        self.files.periods()
    }

    /// The lots of a file, as its blocks' headers say, those that are not synced yet left out.
    pub fn lots(&mut self, period: &PeriodKey, ring: &KeyRing<D>) -> io::Result<Vec<Lot>> {
        let mut lots: BTreeMap<(SystemId, u32, KeyId), Lot> = BTreeMap::new();
        let files = &self.files;
        let damaged = files.scan(period, At { part: 1, offset: 0 }, |_, header| {
            if files.is_superseded(header.key) {
                return ControlFlow::Continue(());
            }
            let Header {
                account,
                bucket,
                key,
                class,
                ..
            } = &header;
            let (account, bucket, key, class) = (*account, *bucket, *key, *class);
            let lot = lots.entry((account, header.period, key)).or_insert_with(|| Lot {
                account,
                class,
                bucket,
                length: Arc::clone(&period.length),
                period: header.period,
                key,
                made_ms: 0,
                blocks: 0,
                records: 0,
                octets: 0,
                first_ms: u64::MAX,
                last_ms: 0,
                is_there: false,
            });
            lot.blocks += 1;
            lot.records += u64::from(header.count());
            lot.octets += header.block_len() as u64;
            lot.first_ms = lot.first_ms.min(header.first_ms);
            lot.last_ms = lot.last_ms.max(header.last_ms);
            ControlFlow::Continue(())
        })?;
        self.counts.unreadable += damaged;
        let mut lots: Vec<Lot> = lots.into_values().collect();
        for lot in &mut lots {
            lot.is_there = ring.has(lot.key);
            lot.made_ms = ring.period_of(lot.key).map_or(0, |(_, made_ms)| made_ms);
        }
        Ok(lots)
    }

    /// Adds up some blocks more of a lot of messages; whether that was all that there is now. What does not open is counted
    /// and passed over (ENC-4).
    ///
    /// # Errors
    ///
    /// A file cannot be read: the lot is added up from its beginning then.
    pub(super) fn add_some(&mut self, period: &PeriodKey, key: KeyId, ring: &KeyRing<D>) -> io::Result<bool> {
        let Some(seal) = ring.get(key).filter(|_| !self.files.is_superseded(key)) else {
            return Ok(true);
        };
        let mut sum = self.sums.remove(&(period.clone(), key)).unwrap_or_default();
        let (mut blocks, mut looked_at, mut is_all) = (Vec::new(), 0, true);
        let mut next = sum.next;
        self.files.scan(period, sum.next, |at, header| {
            next = at;
            if blocks.len() == BLOCKS_MAX || looked_at == HEADERS_MAX {
                is_all = false;
                return ControlFlow::Break(());
            }
            looked_at += 1;
            next.offset += header.block_len() as u64;
            if header.key == key && header.class == Kept::Meta {
                blocks.push((at, header));
            }
            ControlFlow::Continue(())
        })?;
        for (at, header) in blocks {
            let sealed_at = At {
                part: at.part,
                offset: at.offset + header.header_len() as u64,
            };
            let mut sealed = self.files.read(period, sealed_at, header.sealed_len as usize)?;
            let opened = header.open(&mut sealed, &seal, Purpose::Sweep, |mut reading| {
                while let Some(meta) = reading.meta() {
                    *sum.cells.entry(cell_of(&meta)).or_default() += 1;
                }
            });
            if !matches!(opened, Ok(true)) {
                self.counts.unreadable += 1;
            }
        }
        sum.next = next;
        // Of sweeps that were broken off nobody comes for what they added up.
        if self.sums.len() >= SUMS_MAX {
            self.sums.clear();
        }
        self.sums.insert((period.clone(), key), sum);
        Ok(is_all)
    }

    /// What the messages of a lot add up to: goes on behind what is added up already.
    ///
    /// # Errors
    ///
    /// As [`History::add_some`].
    pub(super) fn add_up(&mut self, period: &PeriodKey, key: KeyId, ring: &KeyRing<D>) -> io::Result<Cells> {
        while !self.add_some(period, key, ring)? {}
        let sum = self.sums.remove(&(period.clone(), key));
        Ok(sum.map_or_else(Cells::new, |sum| sum.cells))
    }

    /// Removes a file with all that it holds, and its index; says how many octets that gave back. Its keys are to be
    /// destroyed before.
    ///
    /// # Errors
    ///
    /// A file cannot be removed, or some of its records have not been written yet: it is tried again.
    pub fn remove(&mut self, period: &PeriodKey) -> io::Result<u64> {
        if self.gathers.keys().any(|key| key.file() == *period) {
            return Err(io::ErrorKind::ResourceBusy.into());
        }
        self.fresh.remove(period);
        self.sums.clear();
        self.drop_filter(period)?;
        self.indexes.forget(period)?;
        self.files.remove(period, self.position)
    }
}
