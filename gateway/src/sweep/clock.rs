//! Whether the wall clock is to be believed (RET-9).

use std::time::Duration;

use crate::clock::Clock;
use crate::keeping::{Believed, JUMP_MAX_MS};

/// Holds the wall clock against the time that has passed, and against the latest time that is believed, also from
/// before the start.
pub(super) struct Guard {
    believed: Believed,
    /// What the wall clock should say, in unix milliseconds.
    expected_ms: u64,
    /// How much time had passed at the last look.
    passed: Duration,
}

impl Guard {
    pub(super) fn new(believed: Believed, clock: &Clock) -> Self {
        Self {
            expected_ms: believed.seen_ms(),
            believed,
            passed: clock.passed(),
        }
    }

    /// Looks; says whether the clock is believed.
    pub(super) fn look(&mut self, clock: &Clock) -> bool {
        let (now_ms, passed) = (clock.now().unix_ms, clock.passed());
        let grown = passed.saturating_sub(self.passed);
        self.passed = passed;
        let grown_ms = u64::try_from(grown.as_millis()).unwrap_or(u64::MAX);
        self.expected_ms = self.expected_ms.saturating_add(grown_ms);
        let seen_ms = self.believed.seen_ms();
        // What was believed before may come again: a clock that was set back is set right.
        let most_ms = self.expected_ms.max(seen_ms).saturating_add(JUMP_MAX_MS);
        let is_believed = seen_ms != 0 && now_ms <= most_ms;
        if is_believed {
            self.expected_ms = now_ms;
            self.believed.raise(now_ms);
        }
        self.believed.doubt(!is_believed);
        is_believed
    }

    pub(super) fn is_doubted(&self) -> bool {
        self.believed.is_doubted()
    }

    /// How late it is.
    pub(super) fn seen_ms(&self) -> u64 {
        self.believed.seen_ms()
    }

    /// What the clock says is right.
    pub(super) fn confirm(&mut self, clock: &Clock) {
        let now_ms = clock.now().unix_ms;
        self.expected_ms = now_ms;
        self.believed.raise(now_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3_600);
    const DAY_MS: i64 = 24 * 3_600_000;
    const START_MS: u64 = 1_795_478_400_000;

    #[tokio::test(start_paused = true)]
    async fn a_jump_of_more_than_a_day_is_doubted_until_it_is_confirmed_or_undone() {
        let clock = Clock::virtual_from(START_MS);
        let mut guard = Guard::new(Believed::since(START_MS), &clock);
        assert!(guard.look(&clock));
        // Time that passes is no jump, however long nobody looks.
        tokio::time::advance(400 * DAY).await;
        assert!(guard.look(&clock));
        clock.set_wall_by(DAY_MS);
        assert!(guard.look(&clock));
        clock.set_wall_by(DAY_MS + 1);
        let before_ms = guard.seen_ms();
        assert!(!guard.look(&clock) && guard.is_doubted());
        assert_eq!(guard.seen_ms(), before_ms);
        // Undone.
        clock.set_wall_by(-DAY_MS - 1);
        assert!(guard.look(&clock) && !guard.is_doubted());
        // Back and right again, by more than a day.
        clock.set_wall_by(-30 * DAY_MS);
        assert!(guard.look(&clock));
        assert_eq!(guard.seen_ms(), before_ms);
        clock.set_wall_by(30 * DAY_MS);
        assert!(guard.look(&clock));
        clock.set_wall_by(400 * DAY_MS);
        assert!(!guard.look(&clock));
        guard.confirm(&clock);
        assert!(guard.look(&clock));
        assert_eq!(guard.seen_ms(), clock.now().unix_ms);
    }

    #[tokio::test(start_paused = true)]
    async fn a_start_long_after_the_last_look_is_doubted_and_so_is_one_that_does_not_know() {
        let clock = Clock::virtual_from(START_MS);
        for (before_ms, is_believed) in [
            (START_MS - DAY_MS.unsigned_abs(), true),
            (START_MS - DAY_MS.unsigned_abs() - 1, false),
            (START_MS + 1, true),
            (0, false),
        ] {
            let mut guard = Guard::new(Believed::since(before_ms), &clock);
            assert_eq!(guard.look(&clock), is_believed, "{before_ms}");
            guard.confirm(&clock);
            assert!(guard.look(&clock), "{before_ms}");
        }
    }
}
