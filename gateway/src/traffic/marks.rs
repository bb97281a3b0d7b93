//! Which of a run's messages something has happened to: one bit each.

/// Highest number that is kept, so that no peer can make a set of marks grow without end: 8 MiB of bits.
pub const MARKS_MAX: u32 = 1 << 26;

/// A set of message numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    words: Vec<u64>,
    len: u64,
}

impl Marks {
    /// Marks `n`; tells whether it was not marked before. Numbers from [`MARKS_MAX`] on are not kept, and
    /// new every time.
    pub fn insert(&mut self, n: u32) -> bool {
        if n >= MARKS_MAX {
            return true;
        }
        let (word, bit) = (n as usize / 64, 1 << (n % 64));
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        let new = self.words[word] & bit == 0;
        self.words[word] |= bit;
        self.len += u64::from(new);
        new
    }

    /// Octets of memory that marking `n` would take besides what is taken already.
    pub fn growth(&self, n: u32) -> usize {
        if n >= MARKS_MAX {
            return 0;
        }
        (n as usize / 64 + 1).saturating_sub(self.words.len()) * size_of::<u64>()
    }

    /// Whether `n` is marked.
    pub fn contains(&self, n: u32) -> bool {
        self.words
            .get(n as usize / 64)
            .is_some_and(|word| word & 1 << (n % 64) != 0)
    }

    /// How many are marked.
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Whether none is.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many are marked here and not in `other`.
    pub fn missing_in(&self, other: &Self) -> u64 {
        let others = other.words.iter().copied().chain(std::iter::repeat(0));
        self.words
            .iter()
            .zip(others)
            .map(|(here, there)| u64::from((here & !there).count_ones()))
            .sum()
    }

    /// Those marked in both.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let words: Vec<u64> = self.words.iter().zip(&other.words).map(|(a, b)| a & b).collect();
        let len = words.iter().map(|word| u64::from(word.count_ones())).sum();
        Self { words, len }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(numbers: &[u32]) -> Marks {
        let mut marks = Marks::default();
        for n in numbers {
            marks.insert(*n);
        }
        marks
    }

    #[test]
    fn a_mark_counts_once() {
        let mut marks = marks(&[0, 63, 64]);
        assert!(!marks.insert(64) && marks.insert(1000));
        assert_eq!(marks.len(), 4);
        assert!(marks.contains(1000) && !marks.contains(999) && !marks.contains(u32::MAX));
    }

    #[test]
    fn a_number_beyond_the_bound_takes_no_memory() {
        let mut marks = marks(&[]);
        assert!(marks.insert(u32::MAX) && marks.insert(MARKS_MAX));
        assert!(marks.is_empty() && marks.words.is_empty());
        assert_eq!(
            (marks.growth(u32::MAX), marks.growth(63), marks.growth(64)),
            (0, 8, 16)
        );
        marks.insert(64);
        assert_eq!((marks.growth(3), marks.growth(128)), (0, 8));
    }

    #[test]
    fn sets_of_different_length_compare() {
        let (long, short) = (marks(&[1, 2, 300]), marks(&[2]));
        assert_eq!((long.missing_in(&short), short.missing_in(&long)), (2, 0));
        assert_eq!(long.and(&short), short.and(&long));
        assert_eq!(long.and(&short).len(), 1);
    }
}
