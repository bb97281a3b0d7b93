//! The last so many of something.

use std::collections::VecDeque;

/// Keeps the newest `N`, in order.
#[derive(Clone, Debug)]
pub(super) struct Ring<T, const N: usize>(VecDeque<T>);

impl<T, const N: usize> Default for Ring<T, N> {
    fn default() -> Self {
        Self(VecDeque::with_capacity(N))
    }
}

impl<T, const N: usize> Ring<T, N> {
    /// Adds the newest; the oldest of `N` goes.
    pub(super) fn push(&mut self, new: T) {
        if self.0.len() >= N {
            self.0.pop_front();
        }
        self.0.push_back(new);
    }

    /// The oldest that is kept.
    pub(super) fn oldest(&self) -> Option<&T> {
        self.0.front()
    }

    /// From the oldest to the newest.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_stay_in_order_and_take_no_more_room() {
        let mut ring = Ring::<u32, 3>::default();
        assert_eq!(ring.oldest(), None);
        let room = ring.0.capacity();
        (0..1_000).for_each(|number| ring.push(number));
        assert_eq!(ring.iter().copied().collect::<Vec<_>>(), [997, 998, 999]);
        assert_eq!(ring.oldest(), Some(&997));
        assert_eq!(ring.0.capacity(), room);
    }
}
