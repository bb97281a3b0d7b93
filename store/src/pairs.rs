//! Legs that wait, by the two numbers they are between: a list for each pair, the newest in front.
//!
//! A client may have a million messages for one number. In a hash table they would all stand behind one another, and
//! each that comes or goes would have to pass the others; so the table holds the newest of each pair only, and the
//! others are threaded through an array.

use crate::by_hash::ByHash;

const NONE: u32 = u32::MAX;
/// In no list.
const NOWHERE: u32 = u32::MAX - 1;

#[derive(Clone, Copy, Debug)]
struct Node {
    newer: u32,
    older: u32,
}

const FREE: Node = Node {
    newer: NOWHERE,
    older: NOWHERE,
};

/// Lists of slots. What a slot's pair is, only the caller knows. A slot is in one list at most.
#[derive(Debug)]
pub(crate) struct Pairs {
    newest: ByHash,
    nodes: Vec<Node>,
    /// Where a walk goes on. It is kept true while slots come and go, so there is one only.
    walk: u32,
}

impl Default for Pairs {
    fn default() -> Self {
        Self {
            newest: ByHash::default(),
            nodes: Vec::new(),
            walk: NONE,
        }
    }
}

impl Pairs {
    /// Octets of memory that a slot costs, the table's not counted.
    #[cfg(test)]
    pub(crate) const PLACE: usize = size_of::<Node>();

    /// Whether a slot is in a list.
    pub(crate) fn has(&self, slot: u32) -> bool {
        self.nodes
            .get(slot as usize)
            .is_some_and(|node| node.newer != NOWHERE)
    }

    /// Puts a slot that is in no list in front of those of its pair. `is_same` knows them, `hash_of` says the hashes of
    /// other slots.
    pub(crate) fn add(
        &mut self,
        slot: u32,
        hash: u64,
        is_same: impl FnMut(u32) -> bool,
        hash_of: impl Fn(u32) -> u64,
    ) {
        debug_assert!(!self.has(slot) && slot < NOWHERE);
        let index = slot as usize;
        if self.nodes.len() <= index {
            self.nodes.resize(index + 1, FREE);
        }
        let older = match self.newest.find_mut(hash, is_same) {
            Some(newest) => {
                let older = std::mem::replace(newest, slot);
                self.nodes[older as usize].newer = slot;
                older
            }
            None => {
                self.newest.insert(hash, slot, hash_of);
                NONE
            }
        };
        self.nodes[index] = Node { newer: NONE, older };
    }

    /// Takes a slot out of its list, if it is in one; `hash` is asked only where the slot is the newest of its pair.
    pub(crate) fn remove(&mut self, slot: u32, hash: impl FnOnce() -> u64) {
        if !self.has(slot) {
            return;
        }
        let Node { newer, older } = std::mem::replace(&mut self.nodes[slot as usize], FREE);
        if self.walk == slot {
            self.walk = older;
        }
        if let Some(older) = self.nodes.get_mut(older as usize) {
            older.newer = newer;
        }
        if let Some(newer) = self.nodes.get_mut(newer as usize) {
            newer.older = older;
        } else if older == NONE {
            self.newest.remove(hash(), slot);
        } else if let Some(newest) = self.newest.find_mut(hash(), |found| found == slot) {
            *newest = older;
        }
    }

    /// The newest slot of a pair.
    pub(crate) fn newest(&self, hash: u64, is_same: impl FnMut(u32) -> bool) -> Option<u32> {
        self.newest.find(hash, is_same)
    }

    /// The slots of its pair from this one on, to the oldest.
    pub(crate) fn from(&self, newest: Option<u32>) -> impl Iterator<Item = u32> {
        let mut at = newest.unwrap_or(NONE);
        std::iter::from_fn(move || {
            let node = self.nodes.get(at as usize)?;
            Some(std::mem::replace(&mut at, node.older))
        })
    }

    /// Begins to walk along a pair's slots, instead of any walk before. What joins from here on is not met.
    pub(crate) fn begin_walk(&mut self, hash: u64, is_same: impl FnMut(u32) -> bool) {
        self.walk = self.newest(hash, is_same).unwrap_or(NONE);
    }

    /// The next slot of the walk, from the newest to the oldest.
    pub(crate) fn walk_on(&mut self) -> Option<u32> {
        let node = self.nodes.get(self.walk as usize)?;
        Some(std::mem::replace(&mut self.walk, node.older))
    }

    /// Whether the walk has come to its end.
    pub(crate) const fn is_walked(&self) -> bool {
        self.walk == NONE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Slots are of the pair that their last digit says; pairs 1 and 2 have one hash.
    const fn hash(slot: u32) -> u64 {
        match slot % 10 {
            2 => 1,
            digit => digit as u64,
        }
    }

    fn add(pairs: &mut Pairs, slot: u32) {
        pairs.add(slot, hash(slot), |found| found % 10 == slot % 10, hash);
    }

    fn remove(pairs: &mut Pairs, slot: u32) {
        pairs.remove(slot, || hash(slot));
    }

    fn of(pairs: &Pairs, pair: u32) -> Vec<u32> {
        let newest = pairs.newest(hash(pair), |found| found % 10 == pair);
        pairs.from(newest).collect()
    }

    #[test]
    fn slots_leave_from_anywhere_and_pairs_of_one_hash_are_told_apart() {
        let mut pairs = Pairs::default();
        for slot in [1, 2, 11, 21, 31] {
            add(&mut pairs, slot);
        }
        assert_eq!((of(&pairs, 1), of(&pairs, 2)), (vec![31, 21, 11, 1], vec![2]));
        for (gone, left) in [
            (21, vec![31, 11, 1]),
            (31, vec![11, 1]),
            (1, vec![11]),
            (11, vec![]),
        ] {
            remove(&mut pairs, gone);
            remove(&mut pairs, gone);
            assert!(!pairs.has(gone));
            assert_eq!(of(&pairs, 1), left);
        }
        assert_eq!(of(&pairs, 2), [2]);
        add(&mut pairs, 1);
        assert_eq!(of(&pairs, 1), [1], "and come again");
    }

    #[test]
    fn a_walk_goes_on_over_what_leaves_and_past_nothing_that_joins() {
        let mut pairs = Pairs::default();
        for slot in [1, 11, 21, 31, 41] {
            add(&mut pairs, slot);
        }
        pairs.begin_walk(hash(1), |found| found % 10 == 1);
        assert_eq!(pairs.walk_on(), Some(41));
        add(&mut pairs, 51);
        // The one where it goes on, the one behind, and one where it was.
        for slot in [31, 21, 41] {
            remove(&mut pairs, slot);
        }
        add(&mut pairs, 31);
        assert_eq!((pairs.walk_on(), pairs.walk_on()), (Some(11), Some(1)));
        assert!(pairs.is_walked());
        assert_eq!(pairs.walk_on(), None);
    }

    #[test]
    fn as_many_as_there_are_for_one_number_cost_each_no_more_than_the_first() {
        let mut pairs = Pairs::default();
        // A table in which they stood behind one another would take hours.
        for slot in 0..1_000_000 {
            pairs.add(slot, 7, |_| true, |_| 7);
        }
        for slot in (0..1_000_000).step_by(2) {
            pairs.remove(slot, || 7);
        }
        assert_eq!(pairs.from(pairs.newest(7, |_| true)).count(), 500_000);
    }
}
