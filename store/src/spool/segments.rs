//! The segments that exist, and what lives in them.

use std::collections::BTreeMap;

use crate::footer::Keys;
use crate::seal::{KeyId, SealKey};

/// A segment that exists.
#[derive(Debug)]
pub(super) struct Segment {
    /// Octets of the file.
    octets: u64,
    /// Legs and entries whose newest record lies here.
    live: u32,
    /// Octets that copies of those records would take.
    live_octets: u64,
    pub(super) keys: Keys,
    pub(super) first_batch: u64,
    pub(super) last_batch: u64,
    /// When it was closed; `None` for the active one.
    pub(super) closed_ms: Option<u64>,
    /// The batch that holds the newest step that took life from here: to be synced before the unlink.
    drained_by: u64,
    /// Steps in it that are still to be marked in files of another kind, and synced there.
    owed: u32,
    /// Ended legs with their newest record in it that the history does not hold yet, or not synced.
    unfiled: u32,
}

impl Segment {
    /// A segment that was just made.
    pub(super) fn new(octets: u64, key: &SealKey) -> Self {
        Self {
            keys: [key.id()].into_iter().collect(),
            closed_ms: None,
            ..Self::found(octets, 0)
        }
    }

    /// A segment of an earlier process.
    pub(super) fn found(octets: u64, closed_ms: u64) -> Self {
        Self {
            octets,
            live: 0,
            live_octets: 0,
            keys: Keys::new(),
            first_batch: 0,
            last_batch: 0,
            closed_ms: Some(closed_ms),
            drained_by: 0,
            owed: 0,
            unfiled: 0,
        }
    }

    pub(super) const fn octets(&self) -> u64 {
        self.octets
    }

    pub(super) const fn live(&self) -> u32 {
        self.live
    }

    pub(super) const fn live_octets(&self) -> u64 {
        self.live_octets
    }

    pub(super) fn add_key(&mut self, key: KeyId) {
        if !self.keys.contains(&key) {
            self.keys.push(key);
        }
    }

    /// Notes a batch that was found or written.
    pub(super) fn add_batch(&mut self, number: u64) {
        if self.first_batch == 0 {
            self.first_batch = number;
        }
        self.last_batch = number;
    }

    /// Nothing in it is needed any more once batch `synced` is on disk.
    pub(super) const fn is_drained(&self, synced: u64) -> bool {
        self.is_drained_but_for_history(synced) && self.unfiled == 0
    }

    /// Nothing in it is needed any more, but for what the history is still to hold.
    pub(super) const fn is_drained_but_for_history(&self, synced: u64) -> bool {
        self.closed_ms.is_some() && self.live == 0 && self.owed == 0 && self.drained_by <= synced
    }

    /// Ended legs in it that the history is still to hold.
    pub(super) const fn unfiled(&self) -> u32 {
        self.unfiled
    }
}

/// All of them, with running totals: what is asked per submit must not walk them.
#[derive(Debug, Default)]
pub(super) struct Segments {
    by_number: BTreeMap<u64, Segment>,
    octets: u64,
    live_octets: u64,
}

impl Segments {
    pub(super) const fn octets(&self) -> u64 {
        self.octets
    }

    pub(super) const fn live_octets(&self) -> u64 {
        self.live_octets
    }

    pub(super) fn len(&self) -> usize {
        self.by_number.len()
    }

    pub(super) fn get(&self, number: u64) -> Option<&Segment> {
        self.by_number.get(&number)
    }

    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut Segment> {
        self.by_number.get_mut(&number)
    }

    /// Oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &Segment)> {
        self.by_number.iter().map(|(number, segment)| (*number, segment))
    }

    pub(super) fn oldest(&self) -> Option<(u64, &Segment)> {
        self.iter().next()
    }

    pub(super) fn insert(&mut self, number: u64, segment: Segment) {
        self.remove(number);
        self.octets += segment.octets;
        self.live_octets += segment.live_octets;
        self.by_number.insert(number, segment);
    }

    pub(super) fn remove(&mut self, number: u64) -> Option<Segment> {
        let segment = self.by_number.remove(&number)?;
        self.octets -= segment.octets;
        self.live_octets -= segment.live_octets;
        Some(segment)
    }

    pub(super) fn set_octets(&mut self, number: u64, octets: u64) {
        if let Some(segment) = self.by_number.get_mut(&number) {
            self.octets = self.octets - segment.octets + octets;
            segment.octets = octets;
        }
    }

    /// A record lives in a segment from now on.
    pub(super) fn fill(&mut self, number: u64, weight: u32) {
        if let Some(segment) = self.by_number.get_mut(&number) {
            segment.live += 1;
            segment.live_octets += u64::from(weight);
            self.live_octets += u64::from(weight);
        }
    }

    /// A record lives there no more; what took its life is in batch `batch`.
    pub(super) fn drain(&mut self, number: u64, weight: u32, batch: u64) {
        if let Some(segment) = self.by_number.get_mut(&number) {
            segment.live -= 1;
            segment.live_octets -= u64::from(weight);
            segment.drained_by = segment.drained_by.max(batch);
            self.live_octets -= u64::from(weight);
        }
    }

    /// A step in a segment is to be marked elsewhere before the segment may go.
    pub(super) fn owe(&mut self, number: u64) {
        if let Some(segment) = self.by_number.get_mut(&number) {
            segment.owed += 1;
        }
    }

    /// It is marked there, and synced.
    pub(super) fn paid(&mut self, number: u64) {
        if let Some(segment) = self.by_number.get_mut(&number) {
            segment.owed = segment.owed.saturating_sub(1);
        }
    }

    /// The history is to hold an ended leg before the segment may go.
    pub(super) fn owe_history(&mut self, number: u64) {
        if let Some(segment) = self.by_number.get_mut(&number) {
            segment.unfiled += 1;
        }
    }

    /// It holds so many of them, and that is synced.
    pub(super) fn paid_history(&mut self, number: u64, count: u32) {
        if let Some(segment) = self.by_number.get_mut(&number) {
            segment.unfiled = segment.unfiled.saturating_sub(count);
        }
    }

    /// A record came to a segment after its end, which is in batch `batch` at the latest.
    pub(super) fn touch(&mut self, number: u64, batch: u64) {
        if let Some(segment) = self.by_number.get_mut(&number) {
            segment.drained_by = segment.drained_by.max(batch);
        }
    }

    /// What a copy of a record would take has changed.
    pub(super) fn reweigh(&mut self, number: u64, from: u32, to: u32) {
        if let Some(segment) = self.by_number.get_mut(&number) {
            segment.live_octets = segment.live_octets - u64::from(from) + u64::from(to);
            self.live_octets = self.live_octets - u64::from(from) + u64::from(to);
        }
    }

    /// Batches behind `batch` were given back: what they were to hold is in `batch` now.
    pub(super) fn give_back(&mut self, batch: u64) {
        for segment in self.by_number.values_mut() {
            segment.drained_by = segment.drained_by.min(batch);
        }
    }
}
