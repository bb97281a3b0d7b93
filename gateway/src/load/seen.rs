//! Which messages something has happened to, in runs without an end.

use crate::traffic::marks::{MARKS_MAX, Marks};

/// As [`Marks`], for numbers of any size: the first [`MARKS_MAX`] are kept for good, behind them between one
/// and two times as many of the last ones. A number older than that counts as new: all that hangs on it is
/// that a message taken twice is counted twice.
#[derive(Default)]
pub(super) struct Seen {
    first: Marks,
    /// Which stretch of [`MARKS_MAX`] numbers `current` is; the one before is `previous`.
    stretch: u32,
    current: Marks,
    previous: Marks,
}

impl Seen {
    /// Marks `n`; tells whether it was not marked before.
    pub(super) fn insert(&mut self, n: u32) -> bool {
        if n < MARKS_MAX {
            return self.first.insert(n);
        }
        let (stretch, n) = (n / MARKS_MAX, n % MARKS_MAX);
        if stretch > self.stretch {
            let before = std::mem::take(&mut self.current);
            self.previous = if stretch == self.stretch + 1 {
                before
            } else {
                Marks::default()
            };
            self.stretch = stretch;
        }
        match self.stretch - stretch {
            0 => self.current.insert(n),
            1 => self.previous.insert(n),
            _ => true,
        }
    }

    /// Whether `n` is marked; one that was forgotten is not.
    pub(super) fn has(&self, n: u32) -> bool {
        if n < MARKS_MAX {
            return self.first.contains(n);
        }
        let (stretch, n) = (n / MARKS_MAX, n % MARKS_MAX);
        match self.stretch.checked_sub(stretch) {
            Some(0) => self.current.contains(n),
            Some(1) => self.previous.contains(n),
            _ => false,
        }
    }

    /// The marks of the first [`MARKS_MAX`] messages.
    pub(super) fn take_first(&mut self) -> Marks {
        std::mem::take(&mut self.first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_three_stretches_are_told_apart_and_older_ones_are_new() {
        let mut seen = Seen::default();
        for n in [5, MARKS_MAX + 5, 2 * MARKS_MAX + 5] {
            assert!(
                !seen.has(n) && seen.insert(n) && seen.has(n) && !seen.insert(n),
                "{n}"
            );
        }
        assert!(!seen.insert(MARKS_MAX + 5) && seen.insert(MARKS_MAX + 6));
        assert!(seen.insert(3 * MARKS_MAX + 5));
        assert!(!seen.insert(2 * MARKS_MAX + 5));
        // Forgotten by now.
        assert!(seen.insert(MARKS_MAX + 5));
        assert!(seen.insert(u32::MAX) && !seen.insert(u32::MAX));
        assert!(seen.insert(3 * MARKS_MAX + 5));
        assert_eq!(seen.take_first().len(), 1);
    }
}
