//! The octets of one file of the disk in memory: those a reader sees and those a power cut leaves.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use rand_core::Rng;

/// Octets per chunk; a chunk nobody wrote to takes no memory.
const CHUNK: u64 = size_of::<Chunk>() as u64;
/// What a disk writes whole or not at all.
const SECTOR: u64 = 512;

type Chunk = [u8; 4096];

/// Octets with holes; holes read as zero. A clone shares the chunks.
#[derive(Clone, Default)]
pub(super) struct Octets {
    chunks: BTreeMap<u64, Arc<Chunk>>,
    len: u64,
}

/// Cuts a range of a file where chunks end: (chunk number, place in the chunk).
fn pieces(range: Range<u64>) -> impl Iterator<Item = (u64, Range<usize>)> {
    let mut at = range.start;
    std::iter::from_fn(move || {
        let start = at;
        let end = range.end.min((start / CHUNK + 1) * CHUNK);
        at = end;
        #[expect(clippy::cast_possible_truncation, reason = "inside one chunk")]
        let place = (start % CHUNK) as usize..(start % CHUNK + end.saturating_sub(start)) as usize;
        (start < end).then_some((start / CHUNK, place))
    })
}

impl Octets {
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn write(&mut self, offset: u64, data: &[u8]) {
        let end = offset + data.len() as u64;
        let mut rest = data;
        for (number, place) in pieces(offset..end) {
            let (now, later) = rest.split_at(place.len());
            self.chunk(number)[place].copy_from_slice(now);
            rest = later;
        }
        self.len = self.len.max(end);
    }

    pub(super) fn read(&self, offset: u64, buf: &mut [u8]) -> usize {
        let end = self.len.min(offset.saturating_add(buf.len() as u64));
        let mut done = 0;
        for (number, place) in pieces(offset..end) {
            let into = &mut buf[done..done + place.len()];
            done += place.len();
            match self.chunks.get(&number) {
                Some(chunk) => into.copy_from_slice(&chunk[place]),
                None => into.fill(0),
            }
        }
        done
    }

    pub(super) fn set_len(&mut self, len: u64) {
        if len < self.len {
            self.chunks.split_off(&len.div_ceil(CHUNK));
            for (number, place) in pieces(len..len.next_multiple_of(CHUNK)) {
                if self.chunks.contains_key(&number) {
                    self.chunk(number)[place].fill(0);
                }
            }
        }
        self.len = len;
    }

    fn copy(&mut self, from: &Self, range: Range<u64>) {
        for (number, place) in pieces(range) {
            if let Some(chunk) = from.chunks.get(&number) {
                if place.len() == chunk.len() {
                    self.chunks.insert(number, Arc::clone(chunk));
                } else {
                    self.chunk(number)[place.clone()].copy_from_slice(&chunk[place]);
                }
            }
        }
    }

    fn chunk(&mut self, number: u64) -> &mut Chunk {
        let chunk = self.chunks.entry(number);
        Arc::make_mut(chunk.or_insert_with(|| Arc::new([0; 4096])))
    }
}

/// One file: what the page cache shows, what is on the platter, and what lies between.
#[derive(Clone, Default)]
pub(super) struct Contents {
    seen: Octets,
    kept: Octets,
    /// Written and not synced.
    dirty: Vec<Range<u64>>,
    /// Written, then marked clean by a sync that failed: readers see it, no later sync writes it.
    lost: Vec<Range<u64>>,
    /// The shortest the file was since the last sync.
    shortest: u64,
}

impl Contents {
    pub(super) fn seen(&self) -> &Octets {
        &self.seen
    }

    pub(super) fn write(&mut self, offset: u64, data: &[u8]) {
        self.seen.write(offset, data);
        let end = offset + data.len() as u64;
        match self.dirty.last_mut() {
            Some(last) if last.end == offset => last.end = end,
            _ => self.dirty.push(offset..end),
        }
    }

    pub(super) fn set_len(&mut self, len: u64) {
        self.seen.set_len(len);
        self.shortest = self.shortest.min(len);
        for ranges in [&mut self.dirty, &mut self.lost] {
            ranges.retain_mut(|range| {
                range.end = range.end.min(len);
                range.start < range.end
            });
        }
    }

    pub(super) fn sync(&mut self) {
        self.kept.set_len(self.kept.len.min(self.shortest));
        for range in self.dirty.drain(..) {
            self.kept.copy(&self.seen, range);
        }
        self.kept.len = self.seen.len;
        self.shortest = self.seen.len;
    }

    /// A sync that failed: what was dirty counts as clean and is not on the disk.
    pub(super) fn lose(&mut self) {
        self.lost.append(&mut self.dirty);
    }

    /// The octets changed behind everyone's back.
    pub(super) fn damage(&mut self, offset: u64, data: &[u8]) {
        self.seen.write(offset, data);
        self.kept.write(offset, data);
    }

    /// The file after a power cut that kept nothing unsynced.
    pub(super) fn after_cut(&self) -> Self {
        Self::found(self.kept.clone())
    }

    /// The file after a power cut that kept any of the unsynced sectors, each by a coin.
    pub(super) fn after_cut_with(&self, rng: &mut impl Rng) -> Self {
        let mut octets = self.kept.clone();
        if self.shortest < octets.len && coin(rng) {
            octets.set_len(self.shortest);
        }
        let mut end = octets.len;
        for range in self.lost.iter().chain(&self.dirty) {
            let mut at = range.start;
            while at < range.end {
                let next = range.end.min((at / SECTOR + 1) * SECTOR);
                if coin(rng) {
                    octets.copy(&self.seen, at..next);
                    end = end.max(next);
                }
                at = next;
            }
        }
        octets.len = if coin(rng) { end.max(self.seen.len) } else { end };
        Self::found(octets)
    }

    fn found(octets: Octets) -> Self {
        Self {
            shortest: octets.len,
            seen: octets.clone(),
            kept: octets,
            dirty: Vec::new(),
            lost: Vec::new(),
        }
    }
}

/// One fair coin.
pub(super) fn coin(rng: &mut impl Rng) -> bool {
    rng.next_u32() & 1 == 0
}
