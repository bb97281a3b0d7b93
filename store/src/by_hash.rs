//! Slots found by a hash, in a table that grows a part at a time.
//!
//! One table of millions of entries would be built anew in a single step when it is full: a pause of a second
//! for everybody at four million legs. This one is many small ones, each of which grows when it is full itself.

use hashbrown::HashTable;

/// How many parts a table has, as a power of two.
const PARTS_SHIFT: u32 = 8;

/// Slots by hash. What a slot's key is, only the caller knows.
#[derive(Debug)]
pub(crate) struct ByHash {
    parts: Box<[HashTable<u32>]>,
}

impl Default for ByHash {
    fn default() -> Self {
        let parts = (0..1 << PARTS_SHIFT).map(|_| HashTable::new());
        Self {
            parts: parts.collect(),
        }
    }
}

/// Which part a hash belongs to. The tables look at its lowest and its highest bits, so these are others.
const fn part(hash: u64) -> usize {
    (hash >> 40) as usize & ((1 << PARTS_SHIFT) - 1)
}

impl ByHash {
    /// The slot with this hash that is the right one.
    pub(crate) fn find(&self, hash: u64, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        self.parts[part(hash)].find(hash, |slot| is_it(*slot)).copied()
    }

    /// The same, to put another in its place that has this hash too.
    pub(crate) fn find_mut(&mut self, hash: u64, mut is_it: impl FnMut(u32) -> bool) -> Option<&mut u32> {
        self.parts[part(hash)].find_mut(hash, |slot| is_it(*slot))
    }

    /// Slots that may have this hash.
    pub(crate) fn of(&self, hash: u64) -> impl Iterator<Item = u32> {
        self.parts[part(hash)].iter_hash(hash).copied()
    }

    /// Adds a slot; `hash_of` says the hashes of those that are there when their part grows.
    pub(crate) fn insert(&mut self, hash: u64, slot: u32, hash_of: impl Fn(u32) -> u64) {
        self.parts[part(hash)].insert_unique(hash, slot, |slot| hash_of(*slot));
    }

    /// Takes a slot out.
    pub(crate) fn remove(&mut self, hash: u64, slot: u32) {
        if let Ok(entry) = self.parts[part(hash)].find_entry(hash, |found| *found == slot) {
            entry.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(slot: u32) -> u64 {
        u64::from(slot).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }

    #[test]
    fn what_was_put_in_is_found_until_it_is_taken_out() {
        let mut table = ByHash::default();
        for slot in 0..100_000 {
            table.insert(hash(slot), slot, hash);
        }
        for slot in (0..100_000).step_by(2) {
            table.remove(hash(slot), slot);
        }
        for slot in 0..100_000 {
            let found = table.find(hash(slot), |found| found == slot);
            assert_eq!(found, (slot % 2 == 1).then_some(slot));
        }
    }

    #[test]
    fn no_part_is_much_larger_than_the_others() {
        let mut table = ByHash::default();
        for slot in 0..100_000 {
            table.insert(hash(slot), slot, hash);
        }
        let largest = table.parts.iter().map(HashTable::len).max();
        assert!(
            largest.is_some_and(|largest| largest < 2 * 100_000 / 256),
            "{largest:?}"
        );
    }

    #[test]
    fn slots_of_one_hash_are_all_named() {
        let mut table = ByHash::default();
        for slot in 0..10 {
            table.insert(7, slot, |_| 7);
        }
        let mut found: Vec<u32> = table.of(7).collect();
        found.sort_unstable();
        assert_eq!(found, (0..10).collect::<Vec<u32>>());
    }
}
