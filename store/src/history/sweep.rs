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
use super::columns::Meta;
use super::files::{At, PeriodKey};
use super::{Bucket, HOUR_MS, History, Kept, Place};
use crate::disk::Disk;
use crate::keyring::KeyRing;
use crate::record::Direction;
use crate::seal::{KeyId, Purpose};

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

    /// Goes through the records of a lot of messages. What does not open is counted and passed over (ENC-4).
    pub fn each_meta(
        &mut self,
        period: &PeriodKey,
        key: KeyId,
        ring: &KeyRing<D>,
        mut each: impl FnMut(Meta),
    ) -> io::Result<()> {
        let Some(seal) = ring.get(key).filter(|_| !self.files.is_superseded(key)) else {
            return Ok(());
        };
        let mut blocks = Vec::new();
        self.files.scan(period, At { part: 1, offset: 0 }, |at, header| {
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
                    each(meta);
                }
            });
            if !matches!(opened, Ok(true)) {
                self.counts.unreadable += 1;
            }
        }
        Ok(())
    }

    /// What the messages of a lot add up to.
    pub fn add_up(&mut self, period: &PeriodKey, key: KeyId, ring: &KeyRing<D>) -> io::Result<Cells> {
        let mut cells = Cells::new();
        self.each_meta(period, key, ring, |meta| {
            *cells.entry(cell_of(&meta)).or_default() += 1;
        })?;
        Ok(cells)
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
        self.drop_filter(period)?;
        self.indexes.forget(period)?;
        self.files.remove(period, self.position)
    }
}
