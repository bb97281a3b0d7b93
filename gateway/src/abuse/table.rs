//! A table with a bound that accounts share: where it is full, who has most in it gives something up, so that one account's
//! traffic makes the table forget nothing of those that have less. Of that account's the oldest goes first, but for what is in
//! use or closed.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use hashbrown::HashMap;

/// How many that are in use, or closed, are passed over before the oldest goes all the same.
const PASSES_MAX: usize = 32;
/// How many that are over are taken out for each that comes in.
const SHED: usize = 2;

/// What may stand in a table.
pub(super) trait Row: Default {
    /// Whether it is closed, and would be open again if it were forgotten.
    fn is_closed(&self, now: Duration) -> bool;
}

struct Slot<V> {
    value: V,
    /// It says nothing any more from this monotonic time on.
    over: Duration,
    /// It was used since it was last passed over.
    is_used: bool,
}

/// Values by a keyed hash, of accounts by their places.
pub(super) struct Table<V> {
    of: HashMap<u64, Slot<V>>,
    /// Every key once, with its account's.
    order: HashMap<usize, VecDeque<u64>>,
    /// How many each account has, and which account: who has most comes last.
    shares: BTreeSet<(usize, usize)>,
    max: usize,
    /// Those that went while they still said something.
    evicted: u64,
}

impl<V: Row> Table<V> {
    /// An empty one of at most so many.
    pub(super) fn new(max: usize) -> Self {
        Self {
            of: HashMap::new(),
            order: HashMap::new(),
            shares: BTreeSet::new(),
            max,
            evicted: 0,
        }
    }

    /// What is there.
    pub(super) fn get(&mut self, key: u64) -> Option<&mut V> {
        let slot = self.of.get_mut(&key)?;
        slot.is_used = true;
        Some(&mut slot.value)
    }

    /// The same, made where there is none. It says something until `over` at least.
    pub(super) fn touch(&mut self, now: Duration, account: usize, key: u64, over: Duration) -> &mut V {
        if !self.of.contains_key(&key) {
            self.make_room(now, account);
            let keys = self.order.entry(account).or_default();
            keys.push_back(key);
            let count = keys.len();
            self.shares.remove(&(count - 1, account));
            self.shares.insert((count, account));
        }
        let slot = self.of.entry(key).or_insert_with(|| Slot {
            value: V::default(),
            over,
            is_used: false,
        });
        slot.over = slot.over.max(over);
        &mut slot.value
    }

    /// How many went while they still said something.
    pub(super) const fn evicted(&self) -> u64 {
        self.evicted
    }

    fn make_room(&mut self, now: Duration, account: usize) {
        for _ in 0..SHED {
            let oldest = self.order.get(&account).and_then(VecDeque::front);
            let is_over = |key| self.of.get(key).is_none_or(|slot| slot.over <= now);
            if !oldest.is_some_and(is_over) {
                break;
            }
            self.drop_oldest(now, account);
        }
        while self.of.len() >= self.max
            && let Some((_, most)) = self.shares.last().copied()
        {
            self.pass_over(now, most);
            self.drop_oldest(now, most);
        }
    }

    /// Puts what is in use, or closed, at the end of an account's line.
    fn pass_over(&mut self, now: Duration, account: usize) {
        let Some(keys) = self.order.get_mut(&account) else {
            return;
        };
        for _ in 0..PASSES_MAX.min(keys.len()) {
            let slot = keys.front().and_then(|key| self.of.get_mut(key));
            let Some(slot) = slot.filter(|slot| slot.over > now) else {
                return;
            };
            if !std::mem::take(&mut slot.is_used) && !slot.value.is_closed(now) {
                return;
            }
            keys.rotate_left(1);
        }
    }

    fn drop_oldest(&mut self, now: Duration, account: usize) {
        let Some(keys) = self.order.get_mut(&account) else {
            return;
        };
        let count = keys.len();
        let key = keys.pop_front();
        self.shares.remove(&(count, account));
        if keys.is_empty() {
            self.order.remove(&account);
        } else {
            self.shares.insert((count - 1, account));
        }
        let slot = key.and_then(|key| self.of.remove(&key));
        if slot.is_some_and(|slot| slot.over > now) {
            self.evicted += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    impl Row for u32 {
        fn is_closed(&self, _: Duration) -> bool {
            *self == 99
        }
    }

    #[test]
    fn one_account_that_fills_it_forgets_its_own_and_what_is_closed_last() {
        let mut table = Table::<u32>::new(100);
        for key in 0..40 {
            table.touch(s(0), 1, key, s(100));
        }
        *table.touch(s(0), 2, 1_000, s(100)) = 99;
        for key in 1_001..9_000 {
            table.touch(s(1), 2, key, s(100));
        }
        assert!(
            (0..40).all(|key| table.get(key).is_some()),
            "of the first account"
        );
        assert_eq!(table.get(1_000), Some(&mut 99), "closed");
        assert_eq!((table.of.len(), table.evicted()), (100, 41 + 7_999 - 100));
        // A third one that comes has its share of the second's.
        for key in 10_000..10_015 {
            table.touch(s(1), 3, key, s(100));
        }
        assert!((10_000..10_015).all(|key| table.get(key).is_some()));
        assert!((0..40).all(|key| table.get(key).is_some()));
        assert_eq!(table.shares.iter().map(|(count, _)| count).sum::<usize>(), 100);
    }

    #[test]
    fn it_holds_so_many_keeps_what_is_used_and_counts_what_it_had_to_forget() {
        let mut table = Table::<u32>::new(4);
        for key in 0..4 {
            *table.touch(s(0), 1, key, s(100)) = 7;
        }
        assert_eq!(table.get(0), Some(&mut 7));
        for key in 4..1_000 {
            table.get(0);
            table.touch(s(1), 1, key, s(100));
            assert!(table.of.len() <= 4 && table.order[&1].len() == table.of.len());
        }
        assert_eq!(table.get(0), Some(&mut 7), "in use all the time");
        assert_eq!(table.get(1), None);
        assert_eq!(table.evicted(), 1_000 - 4);
        // What is over makes room without a count.
        for key in 2_000..2_010 {
            table.touch(s(key), 1, key, s(key + 1));
        }
        assert_eq!(table.evicted(), 1_000 - 4);
    }
}
