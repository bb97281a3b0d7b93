//! Which value holds at a key, where values change at a million keys: the answer in one line of the cache.
//!
//! The first four places of a key choose a shard, and a shard is cut into lines of equal width, about five changes
//! in each. A line has what holds where it begins and the changes within it. Where a line has more than fit, they
//! are searched for in a list of their own; that is slower, and rare unless prefixes crowd together.

use super::digits::KEYS;

/// Bits of a value.
pub(super) const VALUE_BITS: u32 = 14;
/// The value that stands for none; all others are below it.
pub(super) const NONE: u16 = (1 << VALUE_BITS) - 1;
/// A change: key, then value.
const VALUE_MASK: u64 = (1 << VALUE_BITS) - 1;

/// Shards: one for each beginning of four places.
const SHARDS: u64 = 11_u64.pow(4);
/// Keys of a shard.
const WIDTH: u64 = KEYS / SHARDS;
/// Changes for which a line has room.
const ROOM: usize = 10;
/// Changes for which a line is made: few, so that most lines have room for theirs. They come in pairs, where a prefix
/// begins and where it ends.
const CHANGES_PER_LINE: usize = 5;
/// Lines that a shard has at least if it has any; see [`place`].
const LINES_MIN: usize = 16;
/// After every change.
const PAST: u32 = u32::MAX >> 1;

/// A line of the processor's cache.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Line {
    /// Where in the line values change, ascending, then [`PAST`]. Of a crowded line the first two say where its
    /// changes are.
    changes: [u32; ROOM],
    /// What holds at the line's beginning, then from each change on.
    values: [u16; ROOM + 1],
    crowded: bool,
}

#[derive(Clone, Copy, Debug)]
struct Shard {
    /// Its first line; with none the value of the whole shard.
    first: u32,
    /// How many lines.
    lines: u32,
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Steps {
    shards: Box<[Shard]>,
    lines: Vec<Line>,
    /// Changes of crowded lines, each with what holds at the line's beginning in front.
    crowded: Vec<u64>,
}

/// A value and the key from which on it holds, in one number.
pub(super) fn change(key: u64, value: u16) -> u64 {
    key << VALUE_BITS | u64::from(value)
}

/// The value of a [`change`].
pub(super) fn value_of(change: u64) -> u16 {
    u16::try_from(change & VALUE_MASK).unwrap_or(NONE)
}

impl Steps {
    /// From [changes](change), in the order of their keys, each key once; before the first the value is [`NONE`].
    ///
    /// There are fewer than 2^32 of them, as the bounds on rows have it.
    pub(super) fn new(changes: &[u64]) -> Self {
        if changes.is_empty() {
            return Self::default();
        }
        let mut steps = Self {
            shards: Box::default(),
            lines: Vec::new(),
            crowded: Vec::new(),
        };
        let (mut shards, mut rest, mut holds) = (Vec::new(), changes, NONE);
        for shard in 1..=SHARDS {
            let end = rest.partition_point(|change| change >> VALUE_BITS < shard * WIDTH);
            let (inside, after) = rest.split_at(end);
            rest = after;
            shards.push(match inside.last() {
                None => Shard {
                    first: u32::from(holds),
                    lines: 0,
                },
                Some(last) => {
                    let shard = steps.fill(inside, holds);
                    holds = value_of(*last);
                    shard
                }
            });
        }
        steps.shards = shards.into();
        steps.lines.shrink_to_fit();
        steps.crowded.shrink_to_fit();
        steps
    }

    /// Makes the lines of one shard.
    fn fill(&mut self, mut changes: &[u64], mut holds: u16) -> Shard {
        let lines = changes.len().div_ceil(CHANGES_PER_LINE).max(LINES_MIN);
        let lines = u32::try_from(lines).unwrap_or(u32::MAX);
        let first = u32::try_from(self.lines.len()).unwrap_or(u32::MAX);
        for number in 0..u64::from(lines) {
            let end = changes.partition_point(|change| place(change >> VALUE_BITS, lines).0 <= number);
            let (inside, after) = changes.split_at(end);
            changes = after;
            let mut line = Line {
                changes: [PAST; ROOM],
                values: [holds; ROOM + 1],
                crowded: inside.len() > ROOM,
            };
            if line.crowded {
                let start = self.crowded.len();
                // Key 0: before everything that is looked up in this line.
                self.crowded.push(change(0, holds));
                self.crowded.extend_from_slice(inside);
                let ends = [start, self.crowded.len()].map(|at| u32::try_from(at).unwrap_or(u32::MAX));
                line.changes[..2].copy_from_slice(&ends);
            } else {
                let room = line.changes.iter_mut().zip(&mut line.values[1..]);
                for ((at, value), change) in room.zip(inside) {
                    *at = place(change >> VALUE_BITS, lines).1;
                    *value = value_of(*change);
                }
            }
            holds = inside.last().map_or(holds, |last| value_of(*last));
            self.lines.push(line);
        }
        Shard { first, lines }
    }

    /// The value that holds at a key.
    pub(super) fn at(&self, key: u64) -> Option<u16> {
        let shard = self.shards.get(as_index(key / WIDTH))?;
        let value = if shard.lines == 0 {
            // A value was put there.
            u16::try_from(shard.first).unwrap_or(NONE)
        } else {
            let (line, at) = place(key, shard.lines);
            let line = self.lines.get(as_index(u64::from(shard.first) + line))?;
            if line.crowded {
                let [start, end] = [line.changes[0], line.changes[1]].map(|at| as_index(at.into()));
                let changes = self.crowded.get(start..end)?;
                let upto = changes.partition_point(|change| change >> VALUE_BITS <= key);
                value_of(*changes.get(upto.checked_sub(1)?)?)
            } else {
                // Counted and not searched: all changes are here at once, and no branch has to be guessed.
                let upto: u32 = line.changes.iter().map(|change| u32::from(*change <= at)).sum();
                *line.values.get(as_index(upto.into()))?
            }
        };
        (value != NONE).then_some(value)
    }

    /// Octets of memory that it takes.
    pub(super) fn octets(&self) -> usize {
        size_of_val(&*self.shards)
            + self.lines.capacity() * size_of::<Line>()
            + self.crowded.capacity() * size_of::<u64>()
    }
}

/// Which of a shard's lines a key is in, and where in it: in units of which two keys have never the same, and of
/// which a line has fewer than 2^31.
///
/// The product is below 2^35 by the number of lines, which are fewer than 2^28. From one key to the next it grows by
/// the number of lines, and so by a unit at least.
fn place(key: u64, lines: u32) -> (u64, u32) {
    let product = key % WIDTH * u64::from(lines);
    let unit = LINES_MIN as u64;
    (
        product / WIDTH,
        u32::try_from(product % WIDTH / unit).unwrap_or(PAST),
    )
}

fn as_index(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Keys at random, and others so close together that lines overflow.
    fn keys() -> impl Strategy<Value = Vec<u64>> {
        let near = (0..40_u64, 0..60_u64).prop_map(|(group, at)| group * (KEYS / 40) + at);
        let shard = (0..WIDTH).prop_map(|at| 5_000 * WIDTH + at);
        prop::collection::vec(prop_oneof![0..KEYS, near, shard], 0..400)
    }

    proptest! {
        #[test]
        fn every_key_finds_the_last_change_before_it(mut keys in keys(), asked in keys()) {
            keys.sort_unstable();
            keys.dedup();
            let value = |key: u64| u16::try_from(key % 5).map(|value| if value == 4 { NONE } else { value });
            let changes: Vec<u64> = keys.iter().map(|key| change(*key, value(*key).unwrap())).collect();
            let steps = Steps::new(&changes);
            let around = keys.iter().flat_map(|key| [key.saturating_sub(1), *key, key + 1]);
            for key in around.chain(asked).filter(|key| *key < KEYS) {
                let last = keys.iter().rev().find(|change| **change <= key);
                let expected = last.map(|last| value(*last).unwrap()).filter(|value| *value != NONE);
                prop_assert_eq!(steps.at(key), expected, "{}", key);
            }
        }
    }

    #[test]
    fn crowds_are_found_too() {
        let changes: Vec<u64> = (0..1_000)
            .map(|at| change(at + 77 * WIDTH, (at % 100) as u16))
            .collect();
        let steps = Steps::new(&changes);
        assert!(steps.crowded.len() > 1_000, "the test is about crowds");
        assert_eq!(steps.at(77 * WIDTH - 1), None);
        for at in 0..1_000 {
            assert_eq!(steps.at(at + 77 * WIDTH), Some((at % 100) as u16));
        }
        assert_eq!(steps.at(KEYS - 1), Some(99));
        assert_eq!(steps.at(u64::MAX), None);
    }
}
