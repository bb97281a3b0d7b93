//! Answers that stand for hours, by what was asked.

use std::cell::Cell;

/// What an answer depends on besides the time: the place of the number, its country's law and the account's hints, packed.
pub(super) type Key = [u64; 2];

/// Places that one key may take.
const WAYS: usize = 4;
/// A power of two; with [`WAYS`] there is room for 1 024 answers. The numbers of the USA need some hundred.
const SETS: usize = 256;

/// An answer and while it stands, both in unix milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) is_open: bool,
    /// When it changes; [`NEVER`] if that is not known.
    pub(super) changes_ms: u64,
    pub(super) from_ms: u64,
    pub(super) stands_ms: u64,
}

/// No time.
pub(super) const NEVER: u64 = u64::MAX;

#[derive(Clone, Copy, Debug)]
struct Slot {
    key: Key,
    answer: Answer,
}

/// As many answers as fit; the one that ends first makes room. Allocates nothing once it is made.
#[derive(Debug)]
pub(super) struct Cache {
    slots: Box<[[Cell<Slot>; WAYS]]>,
}

impl Cache {
    pub(super) fn new() -> Self {
        let empty = Slot {
            key: [u64::MAX; 2],
            answer: Answer {
                is_open: false,
                changes_ms: NEVER,
                from_ms: 0,
                stands_ms: 0,
            },
        };
        let set = |_| std::array::from_fn(|_| Cell::new(empty));
        Self {
            slots: (0..SETS).map(set).collect(),
        }
    }

    fn set(&self, key: Key) -> Option<&[Cell<Slot>; WAYS]> {
        let mixed = (key[0] ^ key[1].rotate_left(23)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        // The top bits are the well mixed ones.
        let set = usize::try_from(mixed >> 32).unwrap_or_default() % SETS;
        self.slots.get(set)
    }

    /// The answer that stands at this time.
    pub(super) fn get(&self, key: Key, unix_ms: u64) -> Option<Answer> {
        let slot = self.set(key)?.iter().find(|slot| slot.get().key == key)?;
        let answer = slot.get().answer;
        (answer.from_ms..answer.stands_ms)
            .contains(&unix_ms)
            .then_some(answer)
    }

    /// Keeps an answer.
    pub(super) fn put(&self, key: Key, answer: Answer) {
        let Some(set) = self.set(key) else {
            return;
        };
        let same = set.iter().find(|slot| slot.get().key == key);
        let slot = same.or_else(|| set.iter().min_by_key(|slot| slot.get().answer.stands_ms));
        if let Some(slot) = slot {
            slot.set(Slot { key, answer });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn until(stands_ms: u64) -> Answer {
        Answer {
            is_open: true,
            changes_ms: stands_ms,
            from_ms: 10,
            stands_ms,
        }
    }

    #[test]
    fn an_answer_is_had_while_it_stands() {
        let cache = Cache::new();
        cache.put([1, 2], until(20));
        for (key, at, is_had) in [
            ([1, 2], 9, false),
            ([1, 2], 10, true),
            ([1, 2], 19, true),
            ([1, 2], 20, false),
            ([2, 1], 15, false),
        ] {
            assert_eq!(cache.get(key, at).is_some(), is_had, "{key:?} {at}");
        }
        cache.put([1, 2], until(30));
        assert_eq!(cache.get([1, 2], 25), Some(until(30)));
    }

    #[test]
    fn there_is_room_for_many_and_never_for_more() {
        let cache = Cache::new();
        let keys: Vec<Key> = (0..10_000).map(|number| [number << 16, 7]).collect();
        for key in &keys {
            cache.put(*key, until(20));
        }
        let had = |keys: &[Key]| keys.iter().filter(|key| cache.get(**key, 15).is_some()).count();
        assert!((900..=WAYS * SETS).contains(&had(&keys)), "{}", had(&keys));
        let fresh = Cache::new();
        for key in &keys[..400] {
            fresh.put(*key, until(20));
        }
        let kept = keys[..400]
            .iter()
            .filter(|key| fresh.get(**key, 15).is_some())
            .count();
        assert!(kept > 390, "{kept}");
    }
}
