//! The filters of closed periods: how they come to be, a step at a time, and how they go.
//!
//! A period is closed once it is over and nothing has been added to its file for an hour. Then its blocks are opened one
//! after the other, and the filter that is made of them is written beside the file. A block that comes late ends the filter's
//! service until the file rests again; then what is new is added. What is destroyed ends it for good: it is made anew.

use std::collections::BTreeMap;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

use hashbrown::HashMap;

use super::block::Header;
use super::files::{At, Files, PeriodKey};
use super::filter::{Filter, Making};
use super::index::Asked;
use super::{HOUR_MS, History, Kept};
use crate::disk::Disk;
use crate::keyring::KeyRing;
use crate::seal::Purpose;

/// How long nothing must have been added to a file before its filter is made, and how long after a try that failed the
/// next comes.
const QUIET_MS: u64 = HOUR_MS;
/// Blocks that are opened in one step.
const BLOCKS_MAX: usize = 32;
/// Octets of all filters, behind which no more are made: those of some hundred million records.
const OCTETS_MAX: usize = 256 << 20;

/// What there is of filters, and what they were good for since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FilterCounts {
    /// Filters that are in memory.
    pub filters: u64,
    /// Octets of memory that they take.
    pub octets: u64,
    /// Records that are in them.
    pub records: u64,
    /// Periods of which a look has asked the filter.
    pub asked: u64,
    /// Of these, those that it has passed over for that.
    pub passed_over: u64,
    /// Of these, those in which it has then found nothing.
    pub in_vain: u64,
    /// Filters that were made since it was opened.
    pub made: u64,
    /// Tries to make one that failed.
    pub failed: u64,
}

/// See the [module](self).
#[derive(Default)]
pub(super) struct Filters {
    ready: BTreeMap<PeriodKey, Filter>,
    /// The one that is being made, and where its file ends.
    making: Option<(PeriodKey, At, Making)>,
    /// When something was added to a file, or its filter could not be made; only what no filter has come behind yet.
    touched_ms: HashMap<PeriodKey, u64>,
    /// How many hours a file of each length holds.
    hours: HashMap<Arc<str>, u32>,
    pub(super) counts: FilterCounts,
}

impl Filters {
    /// Something is added to a file.
    pub(super) fn touch(&mut self, key: PeriodKey, now_ms: u64) {
        self.touched_ms.insert(key, now_ms);
    }

    /// Whether a period may hold what is asked for, by its filter; `None` where none knows.
    pub(super) fn ask(&mut self, key: &PeriodKey, end: At, asked: &Asked) -> Option<bool> {
        // All of an account in a span of time: that is no question for a filter.
        if matches!(asked, Asked::Account(..)) {
            return None;
        }
        let filter = self
            .ready
            .get(key)
            .filter(|filter| filter.is_whole && filter.upto == end)?;
        let may_hold = filter.may_hold(asked);
        self.counts.asked += 1;
        self.counts.passed_over += u64::from(!may_hold);
        Some(may_hold)
    }

    /// Forgets what is known of a period.
    fn forget(&mut self, key: &PeriodKey) -> Option<Filter> {
        self.making.take_if(|(of, ..)| of == key);
        let gone = self.ready.remove(key);
        self.count();
        gone
    }

    fn keep(&mut self, key: &PeriodKey, filter: Filter) {
        self.touched_ms.remove(key);
        self.ready.insert(key.clone(), filter);
        self.count();
    }

    fn count(&mut self) {
        self.counts.filters = self.ready.len() as u64;
        self.counts.octets = self.ready.values().map(|filter| filter.octets() as u64).sum();
        self.counts.records = self.ready.values().map(Filter::records).sum();
    }
}

impl<D: Disk> History<D> {
    /// What there is of filters, and what they were good for.
    pub const fn filter_counts(&self) -> FilterCounts {
        self.filters.counts
    }

    /// Does one more step for the filters of closed periods: a file is looked at, or some of its blocks are opened.
    /// Whether there is more to do now. What fails is logged and tried again in an hour.
    pub fn tend_filters(&mut self, ring: &KeyRing<D>, now_ms: u64) -> bool {
        let Some((key, end, making)) = self.filters.making.take() else {
            return self.next_filter(ring, now_ms);
        };
        let is_as_it_was = self.files.end(&key) == end && self.files.is_settled(&key);
        if is_as_it_was && let Err(error) = self.filter_step(&key, end, making, ring) {
            tracing::warn!(%error, period = %key, "the filter of a closed period cannot be made now");
            self.filters.counts.failed += 1;
            self.filters.touch(key, now_ms);
        }
        true
    }

    /// Drops the filter of a period, with its file: nothing of it lasts. It is made anew when the period rests.
    ///
    /// # Errors
    ///
    /// The file cannot be removed; memory has forgotten it all the same.
    pub(super) fn drop_filter(&mut self, key: &PeriodKey) -> io::Result<()> {
        self.filters.forget(key);
        self.files.drop_filter(key)
    }

    /// Looks for a closed period without a filter, and reads that from its file or begins to make it.
    fn next_filter(&mut self, ring: &KeyRing<D>, now_ms: u64) -> bool {
        self.drop_those_of_keys_that_are_gone(ring);
        // Without the secret nobody is looked for by a number.
        if ring.pseudonyms().is_none() || self.filters.counts.octets >= OCTETS_MAX as u64 {
            return false;
        }
        let keys: Vec<PeriodKey> = self.files.periods().rev().cloned().collect();
        let Some(key) = keys.into_iter().find(|key| self.is_due(key, now_ms)) else {
            return false;
        };
        let end = self.files.end(&key);
        let old = match self.filters.forget(&key) {
            Some(filter) => Some(filter),
            None => self.files.read_filter(&key).unwrap_or_else(|error| {
                tracing::warn!(%error, period = %key, "the filter of a closed period cannot be read: it is made anew");
                None
            }),
        };
        let old = old.filter(|filter| filter.keys().iter().all(|key| ring.has(*key)) && filter.upto <= end);
        match old {
            Some(filter) if filter.upto == end => self.filters.keep(&key, filter),
            Some(filter) => self.filters.making = Some((key, end, Making::on(filter))),
            None => self.filters.making = Some((key, end, Making::new())),
        }
        true
    }

    /// Whoever destroys a key drops the filter before; this is for who has not.
    fn drop_those_of_keys_that_are_gone(&mut self, ring: &KeyRing<D>) {
        let is_gone = |filter: &Filter| filter.keys().iter().any(|key| !ring.has(*key));
        let ready = self.filters.ready.iter();
        let gone = ready
            .filter(|(_, filter)| is_gone(filter))
            .map(|(key, _)| key.clone());
        for key in gone.collect::<Vec<_>>() {
            if let Err(error) = self.drop_filter(&key) {
                tracing::warn!(%error, period = %key, "the filter of a period of which something is gone cannot be removed");
            }
        }
    }

    fn is_due(&mut self, key: &PeriodKey, now_ms: u64) -> bool {
        let end = self.files.end(key);
        if self
            .filters
            .ready
            .get(key)
            .is_some_and(|filter| filter.upto == end)
        {
            return false;
        }
        let rests_ms = now_ms.saturating_sub(QUIET_MS);
        let was_touched = self
            .filters
            .touched_ms
            .get(key)
            .is_some_and(|touched_ms| *touched_ms > rests_ms);
        let over_ms = |hours: u32| (u64::from(key.day) * 24 + u64::from(hours)) * HOUR_MS;
        if was_touched
            || rests_ms < over_ms(24)
            || !self.files.is_settled(key)
            || self.gathers.keys().any(|gather| gather.file() == *key)
        {
            return false;
        }
        let hours = match self.filters.hours.get(&key.length) {
            Some(hours) => *hours,
            None => {
                let first = self.files.header(key, At { part: 1, offset: 0 });
                // Of one that cannot be read nothing is known: it is as long as any.
                let hours = first
                    .ok()
                    .flatten()
                    .map_or(7 * 24, |header| header.bucket.hours().max(24));
                self.filters.hours.insert(Arc::clone(&key.length), hours);
                hours
            }
        };
        rests_ms >= over_ms(hours)
    }

    /// Opens some blocks more; the filter is there when these were the last.
    fn filter_step(
        &mut self,
        key: &PeriodKey,
        end: At,
        mut making: Making,
        ring: &KeyRing<D>,
    ) -> io::Result<()> {
        let mut blocks = Vec::new();
        let damaged = self.files.scan(key, making.upto(), |at, header| {
            blocks.push((at, header));
            match blocks.len() < BLOCKS_MAX {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        })?;
        let is_last = blocks.len() < BLOCKS_MAX;
        let mut is_whole = damaged == 0;
        for (at, header) in &blocks {
            is_whole &= self.filter_block(key, *at, header, &mut making, ring)?;
        }
        if !is_whole {
            making.is_not_whole();
        }
        if is_whole && !is_last {
            self.filters.making = Some((key.clone(), end, making));
            return Ok(());
        }
        making.skip_to(end);
        let filter = making.end().map_err(io::Error::other)?;
        if is_whole {
            self.files.write_filter(key, &filter)?;
            self.filters.counts.made += 1;
        }
        self.filters.keep(key, filter);
        Ok(())
    }

    /// Opens a block and takes its records in; `false` when that cannot be done. What was erased is not there.
    fn filter_block(
        &mut self,
        key: &PeriodKey,
        at: At,
        header: &Header,
        making: &mut Making,
        ring: &KeyRing<D>,
    ) -> io::Result<bool> {
        let next = At {
            part: at.part,
            offset: at.offset + header.block_len() as u64,
        };
        if !ring.has(header.key) || self.files.is_superseded(header.key) {
            making.skip_to(next);
            return Ok(true);
        }
        let (Some(seal), Some(printer)) = (ring.get(header.key), self.printer(ring, header.account)) else {
            return Ok(false);
        };
        let sealed_at = At {
            part: at.part,
            offset: at.offset + header.header_len() as u64,
        };
        let mut sealed = self.files.read(key, sealed_at, header.sealed_len as usize)?;
        let opened = header.open(&mut sealed, &seal, Purpose::Sweep, |mut reading| {
            match header.class {
                Kept::Meta => {
                    while let Some(meta) = reading.meta() {
                        making.push(
                            meta.id,
                            Some(super::recipient_hash(&printer, meta.person().as_bytes())),
                        );
                    }
                }
                Kept::Body => {
                    while let Some(text) = reading.next_text() {
                        making.push(text.id, None);
                    }
                }
            }
        });
        making.end_block(header.key, next).map_err(io::Error::other)?;
        Ok(matches!(opened, Ok(true)))
    }
}

impl<D: Disk> Files<D> {
    /// The filter that lies beside a period's file; `None` where none does, or one that is damaged.
    fn read_filter(&self, key: &PeriodKey) -> io::Result<Option<Filter>> {
        let octets = self.read_beside(key, OCTETS_MAX)?;
        let filter = octets.as_deref().map(|octets| Filter::read(octets, key));
        if matches!(filter, Some(None)) {
            tracing::warn!(period = %key, "the filter of a closed period is damaged: it is made anew");
        }
        Ok(filter.flatten())
    }

    fn write_filter(&self, key: &PeriodKey, filter: &Filter) -> io::Result<()> {
        self.write_beside(key, &filter.put(key))
    }
}
