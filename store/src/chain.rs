//! Lists of slots by a key (a segment's number, a span of time), linked through an array beside the table.
//!
//! Millions of legs wait for a date days away and end within a second; a heap with lazy removal would keep
//! them all until their date. Here joining and leaving a list costs two or three array writes.

use std::collections::BTreeMap;

/// Set in a place of a node that names no neighbour but the list: the rest of it is the list's number.
const END: u32 = 1 << 31;
/// In no list; no slot, no list.
const NOWHERE: u32 = u32::MAX;
/// The largest key. Slots and numbers of lists stay below [`END`].
const KEY_MAX: u32 = END - 2;

// Eight octets for each slot there is, on purpose: every unfinished leg has two of these.
#[derive(Clone, Copy, Debug)]
struct Node {
    prev: u32,
    next: u32,
}

const FREE: Node = Node {
    prev: NOWHERE,
    next: NOWHERE,
};

/// A number as a key: what is beyond all keys, decades away or billions of segments on, shares the last one.
pub fn key(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(KEY_MAX).min(KEY_MAX)
}

/// The list that ends here; `None` where a neighbour stands.
const fn end(place: u32) -> Option<u32> {
    match place & END {
        0 => None,
        _ => Some(place & !END),
    }
}

/// A list: its key and its two ends. One that is free has no first slot, and the next free one's number in place of its last.
#[derive(Clone, Copy, Debug)]
struct List {
    key: u32,
    first: u32,
    last: u32,
}

/// Lists of slots by key, first in first out. A slot is in one list at most.
#[derive(Debug)]
pub struct Chains {
    /// Numbers of lists. Whoever leaves one finds it by its number; by its key one is looked for only by who joins, and most
    /// join the one that somebody has just joined.
    by_key: BTreeMap<u32, u32>,
    lists: Vec<List>,
    free: u32,
    /// The list that was joined last, if it is still there.
    recent: u32,
    nodes: Vec<Node>,
}

impl Default for Chains {
    fn default() -> Self {
        Self {
            by_key: BTreeMap::new(),
            lists: Vec::new(),
            free: NOWHERE,
            recent: NOWHERE,
            nodes: Vec::new(),
        }
    }
}

impl Chains {
    /// Octets of memory that a slot costs.
    #[cfg(test)]
    pub(crate) const PLACE: usize = size_of::<Node>();

    /// Puts a slot at the end of the list of `key`, taking it out of the one where it was.
    pub fn set(&mut self, slot: u32, key: u32) {
        debug_assert!(key <= KEY_MAX && slot < END);
        self.remove(slot);
        let index = slot as usize;
        if self.nodes.len() <= index {
            self.nodes.resize(index + 1, FREE);
        }
        let number = self.joined(slot, key);
        let prev = std::mem::replace(&mut self.lists[number as usize].last, slot);
        self.nodes[index] = Node {
            prev,
            next: END | number,
        };
        if end(prev).is_none() {
            self.nodes[prev as usize].next = slot;
        }
    }

    /// The number of a key's list, which begins with this slot if there is none yet.
    fn joined(&mut self, slot: u32, key: u32) -> u32 {
        let recent = self.lists.get(self.recent as usize);
        if recent.is_some_and(|list| list.key == key && list.first != NOWHERE) {
            return self.recent;
        }
        let lists = &mut self.lists;
        let free = &mut self.free;
        self.recent = *self.by_key.entry(key).or_insert_with(|| {
            let list = |number: u32| List {
                key,
                first: slot,
                last: END | number,
            };
            match lists.get_mut(*free as usize) {
                Some(place) => {
                    let number = std::mem::replace(free, place.last);
                    *place = list(number);
                    number
                }
                None => {
                    // Each holds a slot, so there are no more of them than slots.
                    #[expect(
                        clippy::cast_possible_truncation,
                        reason = "fewer than slots, which stay below END"
                    )]
                    let number = lists.len() as u32;
                    lists.push(list(number));
                    number
                }
            }
        });
        self.recent
    }

    /// Takes a slot out of its list, if it is in one.
    pub fn remove(&mut self, slot: u32) {
        let Some(node) = self.nodes.get_mut(slot as usize) else {
            return;
        };
        let Node { prev, next } = std::mem::replace(node, FREE);
        if prev == NOWHERE {
            return;
        }
        match (end(prev), end(next)) {
            (Some(number), Some(_)) => {
                let list = &mut self.lists[number as usize];
                self.by_key.remove(&list.key);
                list.first = NOWHERE;
                list.last = std::mem::replace(&mut self.free, number);
            }
            (Some(number), None) => {
                self.nodes[next as usize].prev = prev;
                self.lists[number as usize].first = next;
            }
            (None, Some(number)) => {
                self.nodes[prev as usize].next = next;
                self.lists[number as usize].last = prev;
            }
            (None, None) => {
                self.nodes[prev as usize].next = next;
                self.nodes[next as usize].prev = prev;
            }
        }
    }

    /// The slots of one key, in the order in which they joined.
    pub fn of(&self, key: u32) -> impl Iterator<Item = u32> + '_ {
        let number = self.by_key.get(&key);
        let list = number.and_then(|number| self.lists.get(*number as usize));
        let mut at = list.map_or(NOWHERE, |list| list.first);
        std::iter::from_fn(move || {
            // What ends a list is no place of the array.
            let node = self.nodes.get(at as usize)?;
            let slot = at;
            at = node.next;
            Some(slot)
        })
    }

    /// The slots of all keys up to and with `key`, lowest key first.
    pub fn up_to(&self, key: u32) -> impl Iterator<Item = u32> + '_ {
        self.by_key.range(..=key).flat_map(|(key, _)| self.of(*key))
    }

    /// The lowest key that has slots.
    pub fn first_key(&self) -> Option<u32> {
        self.by_key.first_key_value().map(|(key, _)| *key)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(chains: &Chains, key: u32) -> Vec<u32> {
        chains.of(key).collect()
    }

    #[test]
    fn slots_leave_from_anywhere_and_empty_lists_vanish() {
        let mut chains = Chains::default();
        for slot in 0..4 {
            chains.set(slot, 7);
        }
        for (gone, left) in [(2, vec![0, 1, 3]), (3, vec![0, 1]), (0, vec![1]), (1, vec![])] {
            chains.remove(gone);
            assert_eq!(of(&chains, 7), left);
            chains.set(9, 7);
            assert_eq!(of(&chains, 7).last(), Some(&9), "the end is where it should be");
            chains.remove(9);
        }
        assert_eq!(chains.first_key(), None);
        chains.remove(9);
    }

    #[test]
    fn a_slot_is_in_one_list_only() {
        let mut chains = Chains::default();
        chains.set(5, 2);
        chains.set(6, 2);
        chains.set(5, 1);
        assert_eq!((of(&chains, 1), of(&chains, 2)), (vec![5], vec![6]));
        assert_eq!(chains.first_key(), Some(1));
        chains.set(7, key(u64::MAX));
        chains.set(8, key(u64::MAX));
        chains.remove(7);
        assert_eq!(
            of(&chains, key(u64::MAX)),
            [8],
            "the last key is one like any other"
        );
        chains.remove(8);
        assert_eq!(chains.up_to(1).collect::<Vec<_>>(), [5]);
        assert_eq!(chains.up_to(u32::MAX).collect::<Vec<_>>(), [5, 6]);
    }

    proptest! {
        #[test]
        fn any_joining_and_leaving_is_that_of_plain_lists(
            steps in proptest::collection::vec((0..12_u32, proptest::option::of(0..5_u32)), 0..200),
        ) {
            let mut chains = Chains::default();
            let mut plain: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
            for (slot, joined) in steps {
                for list in plain.values_mut() {
                    list.retain(|there| *there != slot);
                }
                match joined {
                    Some(key) => {
                        plain.entry(key).or_default().push(slot);
                        chains.set(slot, key);
                    }
                    None => chains.remove(slot),
                }
                plain.retain(|_, list| !list.is_empty());
                for key in 0..5 {
                    prop_assert_eq!(of(&chains, key), plain.get(&key).cloned().unwrap_or_default());
                }
                prop_assert_eq!(chains.first_key(), plain.keys().next().copied());
                let all: Vec<u32> = plain.values().flatten().copied().collect();
                prop_assert_eq!(chains.up_to(KEY_MAX).collect::<Vec<_>>(), all);
            }
            // A list that is left is used again.
            prop_assert!(chains.lists.len() <= 5);
        }
    }
}
