//! What stays in memory of a run's table: three octets of every hash, in the table's order.
//!
//! A hash's high bits say in which bucket it is (buckets of 16 on average), its low 24 bits are its print. A
//! foreign id meets an equal print once in a million; an own one gives its line in the table at once.

use std::ops::Range;

/// Octets of a print.
const PRINT_LEN: usize = 3;
/// Records in a bucket, on average.
const BUCKET: u32 = 16;

/// See the [module](self).
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Prints {
    /// Where each bucket begins, and where the last one ends.
    starts: Vec<u32>,
    prints: Vec<u8>,
}

fn buckets(room: u32) -> u32 {
    room / BUCKET + 1
}

/// The bucket of a hash: monotone, so that buckets stand in the order of hashes.
fn bucket_of(hash: u64, buckets: u32) -> u32 {
    u32::try_from((u128::from(hash) * u128::from(buckets)) >> 64).unwrap_or(0)
}

fn print_of(hash: u64) -> [u8; PRINT_LEN] {
    let [.., a, b, c] = hash.to_be_bytes();
    [a, b, c]
}

impl Prints {
    /// Octets on disk of the prints of `count` records in a run laid out for `room`.
    pub(crate) fn len_for(count: u32, room: u32) -> usize {
        (buckets(room) as usize + 1) * 4 + count as usize * PRINT_LEN
    }

    /// Octets of memory.
    pub(crate) fn memory(&self) -> usize {
        self.starts.capacity() * 4 + self.prints.capacity()
    }

    /// Ranks of the records that may have this hash.
    pub(crate) fn ranks(&self, hash: u64) -> impl Iterator<Item = u32> + '_ {
        let print = print_of(hash);
        let range = self.range(hash);
        let at = range.start as usize * PRINT_LEN..range.end as usize * PRINT_LEN;
        let found = self.prints.get(at).unwrap_or_default();
        (range.start..)
            .zip(found.as_chunks::<PRINT_LEN>().0)
            .filter(move |(_, found)| **found == print)
            .map(|(rank, _)| rank)
    }

    /// Whether a record may have this hash.
    pub(crate) fn may_have(&self, hash: u64) -> bool {
        self.ranks(hash).next().is_some()
    }

    fn range(&self, hash: u64) -> Range<u32> {
        let Some(buckets) = u32::try_from(self.starts.len())
            .ok()
            .and_then(|n| n.checked_sub(1))
        else {
            return 0..0;
        };
        let bucket = bucket_of(hash, buckets.max(1)) as usize;
        match self.starts.get(bucket..bucket + 2) {
            Some([start, end]) => *start..*end,
            _ => 0..0,
        }
    }

    /// As a run's file holds them.
    pub(crate) fn octets(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.starts.len() * 4 + self.prints.len());
        self.starts
            .iter()
            .for_each(|start| out.extend_from_slice(&start.to_be_bytes()));
        out.extend_from_slice(&self.prints);
        out
    }

    /// Reads them back; the checksum is the caller's business.
    pub(crate) fn read(octets: &[u8], count: u32, room: u32) -> Option<Self> {
        let split = (buckets(room) as usize + 1) * 4;
        let (starts, prints) = octets.split_at_checked(split)?;
        let starts: Vec<u32> = starts
            .as_chunks::<4>()
            .0
            .iter()
            .map(|word| u32::from_be_bytes(*word))
            .collect();
        let whole = prints.len() == count as usize * PRINT_LEN
            && starts.is_sorted()
            && starts.last().is_some_and(|end| *end == count);
        whole.then(|| Self {
            starts,
            prints: prints.to_vec(),
        })
    }
}

/// Makes prints of hashes that come in order.
#[derive(Debug)]
pub(crate) struct PrintsBuilder {
    buckets: u32,
    starts: Vec<u32>,
    prints: Vec<u8>,
    count: u32,
}

impl PrintsBuilder {
    pub(crate) fn new(room: u32) -> Self {
        let buckets = buckets(room);
        Self {
            buckets,
            starts: Vec::with_capacity(buckets as usize + 1),
            prints: Vec::with_capacity(room as usize * PRINT_LEN),
            count: 0,
        }
    }

    pub(crate) fn push(&mut self, hash: u64) {
        let bucket = bucket_of(hash, self.buckets) as usize;
        if self.starts.len() <= bucket {
            self.starts.resize(bucket + 1, self.count);
        }
        self.prints.extend_from_slice(&print_of(hash));
        self.count += 1;
    }

    pub(crate) fn finish(mut self) -> Prints {
        self.starts.resize(self.buckets as usize + 1, self.count);
        self.prints.shrink_to_fit();
        Prints {
            starts: self.starts,
            prints: self.prints,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rng;
    use rand_core::Rng;

    fn hashes(n: usize) -> Vec<u64> {
        let mut rng = rng();
        let mut hashes: Vec<u64> = (0..n).map(|_| rng.next_u64()).collect();
        hashes.extend([0, u64::MAX, u64::MAX]);
        hashes.sort_unstable();
        hashes
    }

    fn build(hashes: &[u64], room: u32) -> Prints {
        let mut builder = PrintsBuilder::new(room);
        hashes.iter().for_each(|hash| builder.push(*hash));
        builder.finish()
    }

    #[test]
    fn every_record_is_found_at_its_rank_and_foreign_ones_hardly_ever() {
        for n in [0, 1, 15, 16, 17, 5000] {
            let hashes = hashes(n);
            let count = u32::try_from(hashes.len()).unwrap();
            for room in [count, count + 100] {
                let prints = build(&hashes, room);
                for (rank, hash) in (0..).zip(&hashes) {
                    assert!(prints.ranks(*hash).any(|found| found == rank), "{rank} of {n}");
                }
                let mut rng = rng();
                (0..n).for_each(|_| _ = rng.next_u64());
                let wrong = (0..100_000).filter(|_| prints.may_have(rng.next_u64())).count();
                assert!(wrong < 10, "{wrong} of 100 000 foreign ids look like ours");
                let octets = prints.octets();
                assert_eq!(octets.len(), Prints::len_for(count, room));
                assert_eq!(Prints::read(&octets, count, room).as_ref(), Some(&prints));
                assert_eq!(Prints::read(&octets[..octets.len() - 1], count, room), None);
            }
        }
    }

    #[test]
    fn nothing_has_no_hash() {
        assert!(!Prints::default().may_have(7));
        assert!(!build(&[], 0).may_have(7));
    }

    #[test]
    fn a_record_costs_less_than_four_octets() {
        let hashes = hashes(100_000);
        let memory = build(&hashes, 100_003).memory();
        assert!(memory < 4 * hashes.len(), "{memory}");
    }
}
