//! How old the keys are, kept along so that nobody goes through a million of them to tell.

use std::collections::BTreeMap;

use super::Age;

/// Keys by kind of owner and instant of their making: keys that are made together count as one line.
#[derive(Default)]
pub(super) struct Ages {
    made: BTreeMap<(u8, u64), u32>,
    keys: BTreeMap<u8, u32>,
}

impl Ages {
    pub(super) fn add(&mut self, kind: u8, made_ms: u64) {
        *self.made.entry((kind, made_ms)).or_default() += 1;
        *self.keys.entry(kind).or_default() += 1;
    }

    pub(super) fn remove(&mut self, kind: u8, made_ms: u64) {
        if let Some(count) = self.made.get_mut(&(kind, made_ms)) {
            *count -= 1;
            if *count == 0 {
                self.made.remove(&(kind, made_ms));
            }
            if let Some(keys) = self.keys.get_mut(&kind) {
                *keys -= 1;
            }
        }
    }

    pub(super) fn of(&self, kind: u8) -> Age {
        let mut made = self
            .made
            .range((kind, 0)..=(kind, u64::MAX))
            .map(|((_, made_ms), _)| *made_ms);
        let oldest_ms = made.next();
        Age {
            keys: self.keys.get(&kind).copied().unwrap_or(0),
            oldest_ms,
            newest_ms: made.next_back().or(oldest_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oldest_and_newest_follow_what_comes_and_goes() {
        let mut ages = Ages::default();
        assert_eq!(ages.of(8), Age::default());
        for made_ms in [7, 5, 9, 5] {
            ages.add(8, made_ms);
        }
        ages.add(7, 1);
        let age = |keys, oldest, newest| Age {
            keys,
            oldest_ms: Some(oldest),
            newest_ms: Some(newest),
        };
        assert_eq!(ages.of(8), age(4, 5, 9));
        ages.remove(8, 9);
        ages.remove(8, 5);
        assert_eq!(ages.of(8), age(2, 5, 7));
        ages.remove(8, 5);
        ages.remove(8, 5);
        assert_eq!((ages.of(8), ages.of(7)), (age(1, 7, 7), age(1, 1, 1)));
    }
}
