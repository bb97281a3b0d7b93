//! A table with a bound: what is in use stays, of the rest the oldest goes first.

use std::time::Duration;

use hashbrown::HashMap;

/// How many that are in use are passed over before the oldest goes all the same.
const PASSES_MAX: usize = 8;
/// How many that are over are taken out for each that comes in.
const SHED: usize = 2;

struct Slot<V> {
    value: V,
    /// It says nothing any more from this monotonic time on.
    over: Duration,
    /// It was used since it was last passed over.
    is_used: bool,
}

/// Values by a keyed hash.
pub(super) struct Table<V> {
    of: HashMap<u64, Slot<V>>,
    /// Every key once.
    order: std::collections::VecDeque<u64>,
    max: usize,
    /// Those that went while they still said something.
    evicted: u64,
}

impl<V: Default> Table<V> {
    /// An empty one of at most so many.
    pub(super) fn new(max: usize) -> Self {
        Self {
            of: HashMap::new(),
            order: std::collections::VecDeque::new(),
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
    pub(super) fn touch(&mut self, now: Duration, key: u64, over: Duration) -> &mut V {
        if !self.of.contains_key(&key) {
            self.make_room(now);
            self.order.push_back(key);
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

    fn make_room(&mut self, now: Duration) {
        for _ in 0..SHED {
            let is_over = |key| self.of.get(key).is_none_or(|slot| slot.over <= now);
            if !self.order.front().is_some_and(is_over) {
                break;
            }
            self.drop_oldest(now);
        }
        let mut passes = 0;
        while self.order.len() >= self.max {
            let oldest = self.order.front().copied();
            if passes < PASSES_MAX
                && let Some(key) = oldest
                && let Some(slot) = self.of.get_mut(&key)
                && slot.is_used
                && slot.over > now
            {
                slot.is_used = false;
                self.order.rotate_left(1);
                passes += 1;
                continue;
            }
            self.drop_oldest(now);
        }
    }

    fn drop_oldest(&mut self, now: Duration) {
        let slot = self.order.pop_front().and_then(|key| self.of.remove(&key));
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

    #[test]
    fn it_holds_so_many_keeps_what_is_used_and_counts_what_it_had_to_forget() {
        let mut table = Table::<u32>::new(4);
        for key in 0..4 {
            *table.touch(s(0), key, s(100)) = 7;
        }
        assert_eq!(table.get(0), Some(&mut 7));
        for key in 4..1_000 {
            table.get(0);
            table.touch(s(1), key, s(100));
            assert!(table.of.len() <= 4 && table.order.len() == table.of.len());
        }
        assert_eq!(table.get(0), Some(&mut 7), "in use all the time");
        assert_eq!(table.get(1), None);
        assert_eq!(table.evicted(), 1_000 - 4);
        // What is over makes room without a count.
        for key in 2_000..2_010 {
            table.touch(s(key), key, s(key + 1));
        }
        assert_eq!(table.evicted(), 1_000 - 4);
    }
}
