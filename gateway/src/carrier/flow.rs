//! How fast a carrier is fed: its contracted rate, and how far it says "slow" (interop #24–#28, quirk 32).

use std::num::NonZeroU32;
use std::time::Duration;

use crate::bucket::Bucket;

/// First pause after a "slow".
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// Longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Accepted legs after which the pause is halved: recovery is slower than the reaction.
const RECOVER_AFTER: u32 = 100;
/// Without one accepted leg for so long while it says "slow", a carrier counts as down (design §5.7).
const STUCK_AFTER: Duration = Duration::from_secs(60);
/// So long after its last "slow" a stuck carrier is tried again.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(120);

/// The flow towards one carrier. One timer for the whole carrier, none per message.
#[derive(Debug)]
pub struct Flow {
    bucket: Bucket,
    pause: Duration,
    paused_until: Duration,
    accepted: u32,
    /// When "slow" began without anything accepted since.
    slow_since: Option<Duration>,
    /// When it said "slow" last.
    slow_last: Duration,
}

impl Flow {
    /// A flow at a contracted rate in parts a second; `None` is no limit.
    pub fn new(rate: Option<NonZeroU32>) -> Self {
        Self {
            bucket: Bucket::new(rate),
            pause: Duration::ZERO,
            paused_until: Duration::ZERO,
            accepted: 0,
            slow_since: None,
            slow_last: Duration::ZERO,
        }
    }

    /// Takes leave to hand one leg over now.
    pub fn take(&mut self, now: Duration) -> bool {
        now >= self.paused_until && self.bucket.take(now, 1)
    }

    /// Whether the carrier said "slow" a moment ago and is sent nothing now.
    pub fn is_paused(&self, now: Duration) -> bool {
        now < self.paused_until
    }

    /// When [`Flow::take`] may succeed next.
    pub fn ready_at(&self) -> Duration {
        self.paused_until.max(self.bucket.ready_at())
    }

    /// The carrier said "slow": everything to it pauses, longer each time. Answers to what was on its way
    /// when a pause began do not lengthen it.
    pub fn slow(&mut self, now: Duration) {
        self.slow_since.get_or_insert(now);
        self.slow_last = now;
        self.accepted = 0;
        if now >= self.paused_until {
            self.pause = (self.pause * 2).clamp(PAUSE_MIN, PAUSE_MAX);
            self.paused_until = now + self.pause;
        }
    }

    /// The carrier took a leg.
    pub fn accepted(&mut self) {
        self.slow_since = None;
        self.accepted += 1;
        if self.accepted >= RECOVER_AFTER {
            self.accepted = 0;
            self.pause /= 2;
        }
    }

    /// Whether the carrier has said nothing but "slow" for a minute. What is stuck is sent nothing where there
    /// is another way, so it could never show that it has recovered: after a while it is tried again.
    pub fn is_stuck(&self, now: Duration) -> bool {
        self.slow_since
            .is_some_and(|since| now.saturating_sub(since) >= STUCK_AFTER)
            && now.saturating_sub(self.slow_last) < TRY_AGAIN_AFTER
    }

    /// Whether the carrier took a leg after `then`; to be asked right after a "slow".
    pub fn has_passed_since(&self, then: Duration) -> bool {
        self.slow_since.is_some_and(|since| since > then)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_window_full_of_slow_answers_is_one_pause() {
        let mut flow = Flow::new(None);
        for _ in 0..500 {
            flow.slow(Duration::ZERO);
        }
        assert_eq!(flow.ready_at(), PAUSE_MIN);
        assert!(!flow.take(PAUSE_MIN - MS) && flow.take(PAUSE_MIN));
        flow.slow(PAUSE_MIN);
        assert_eq!(
            flow.ready_at(),
            PAUSE_MIN * 3,
            "the second pause is twice as long"
        );
    }

    #[test]
    fn pauses_are_bounded_and_recover() {
        let mut flow = Flow::new(None);
        let mut now = Duration::ZERO;
        for _ in 0..50 {
            flow.slow(now);
            now = flow.ready_at();
        }
        assert_eq!(flow.pause, PAUSE_MAX);
        (0..RECOVER_AFTER).for_each(|_| flow.accepted());
        assert_eq!(flow.pause, PAUSE_MAX / 2);
    }

    #[test]
    fn a_minute_of_nothing_but_slow_is_stuck() {
        let mut flow = Flow::new(None);
        flow.slow(Duration::ZERO);
        assert!(!flow.is_stuck(STUCK_AFTER - MS) && flow.is_stuck(STUCK_AFTER));
        assert!(
            !flow.is_stuck(TRY_AGAIN_AFTER),
            "what is sent nothing must not stay stuck for ever"
        );
        flow.slow(TRY_AGAIN_AFTER);
        assert!(flow.is_stuck(TRY_AGAIN_AFTER));
        flow.accepted();
        assert!(!flow.is_stuck(TRY_AGAIN_AFTER));
    }
}
