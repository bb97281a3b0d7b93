//! Requests whose answer was given up: should it come after all, it still counts (interop #31, quirk 36).

use std::collections::VecDeque;
use std::time::Duration;

/// Requests of one link that are remembered; of more, the oldest are forgotten.
const LATE_MAX: usize = 1_000;

/// A link that has given up so many answers in a row is unbound: what looks alive and answers nothing would hold its
/// messages for ever (interop #7, quirk 30).
const SILENT_MAX: u32 = 3;

/// The requests of one link whose answer did not come in time.
#[derive(Debug)]
pub struct Late<T> {
    given_up: VecDeque<(u32, T)>,
    /// When an answer of any kind came last, in monotonic time.
    heard: Duration,
    /// How many were given up in a row without any answer since they were sent.
    silent: u32,
}

impl<T> Default for Late<T> {
    fn default() -> Self {
        Self {
            given_up: VecDeque::new(),
            heard: Duration::ZERO,
            silent: 0,
        }
    }
}

impl<T> Late<T> {
    /// The answer to a request that was sent at `sent` was given up.
    pub fn give_up(&mut self, sequence: u32, about: T, sent: Duration) {
        if self.given_up.len() >= LATE_MAX {
            self.given_up.pop_front();
        }
        self.given_up.push_back((sequence, about));
        self.silent = if sent > self.heard {
            self.silent.saturating_add(1)
        } else {
            0
        };
    }

    /// An answer came.
    pub fn heard(&mut self, now: Duration) {
        self.heard = now;
        self.silent = 0;
    }

    /// Whether so many requests in a row were given up that nothing at all was answered after that the peer must be
    /// taken for dead.
    pub const fn is_silent(&self) -> bool {
        self.silent >= SILENT_MAX
    }

    /// An answer came that nobody waits for: what it is about.
    pub fn take(&mut self, sequence: u32) -> Option<T> {
        let found = self
            .given_up
            .iter()
            .position(|(given_up, _)| *given_up == sequence)?;
        self.given_up.remove(found).map(|(_, about)| about)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_was_given_up_is_found_once_and_the_newest_are_kept() {
        let mut late = Late::default();
        let count = u32::try_from(LATE_MAX).unwrap();
        (0..=count).for_each(|sequence| late.give_up(sequence, sequence * 2, SECOND));
        assert_eq!(late.take(0), None, "forgotten");
        assert_eq!(late.take(count), Some(count * 2));
        assert_eq!(late.take(count), None);
    }

    #[test]
    fn silence_is_when_nothing_at_all_was_answered_since() {
        let mut late = Late::default();
        late.heard(SECOND);
        late.give_up(1, (), SECOND * 2);
        late.give_up(2, (), SECOND * 3);
        assert!(!late.is_silent());
        late.give_up(3, (), SECOND * 3);
        assert!(late.is_silent());
        late.heard(SECOND * 5);
        assert!(!late.is_silent());
        for sequence in 4..10 {
            late.give_up(sequence, (), SECOND * 4);
            assert!(!late.is_silent(), "others were answered while it waited");
        }
    }
}
