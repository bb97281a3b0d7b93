//! How fast a carrier is fed: its contracted rate, and what it was found to take (interop #24–#28, quirk 32).
//!
//! What a carrier accepts and what it answers with "slow" is counted over short slices. Where a tenth is slowed, it is
//! fed at nine tenths of what it accepted; from then on a little faster every second, so that it settles about what the
//! carrier takes, and a limit that is gone is forgotten. Fewer are not about its rate but about single recipients whose
//! queue is full: to slow everybody down for them would help nobody. Where most are slowed, everything pauses at once.
//! One timer for the whole carrier, none per message.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::bucket::Bucket;

/// First pause when most answers are "slow".
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// Longest pause: each one behind which nothing was accepted is twice as long as the last.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// A slice is at least so long, and has so many answers, unless it is [`SLICE_LONG`] already.
const SLICE_MIN: Duration = Duration::from_millis(250);
const SLICE_ANSWERS: u32 = 20;
const SLICE_LONG: Duration = Duration::from_secs(5);
/// A still longer one says how much there was to send, not how much is taken.
const SLICE_MAX: Duration = Duration::from_secs(10);
/// Of so many answers one is slowed before the pace is lowered.
const SLOWED_ONE_IN: u32 = 10;
/// How often the pace is raised while it need not be lowered.
const RAISE_EVERY: Duration = Duration::from_secs(1);
/// So long after the pace was last lowered the limit seems to be gone: it is raised by a tenth each time.
const RECOVERED_AFTER: Duration = Duration::from_secs(60);
/// A pace so many times what was once too much is no limit any more; nor is one leg in so short a time.
const FORGET_AT: u32 = 4;
const INTERVAL_MIN: Duration = Duration::from_micros(2);
/// Without one accepted leg for so long while it says "slow", a carrier counts as down (design §5.7).
const STUCK_AFTER: Duration = Duration::from_secs(60);
/// So long after its last "slow" a stuck carrier is tried again.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(120);
/// Above this `congestion_state` a carrier is fed more slowly: "nearing congestion". From [`OPTIMUM`] on it is fed no
/// faster (smpp-tlvs.md, 0x0428).
const CONGESTED_ABOVE: u8 = 90;
const OPTIMUM: u8 = 80;

/// The flow towards one carrier.
#[derive(Debug)]
pub struct Flow {
    bucket: Bucket,
    /// The pace that was learned, while the carrier takes less than it is offered.
    learned: Option<Bucket>,
    /// When the pace was last lowered: the time per leg that was accepted, and that was too fast.
    taken: Duration,
    too_fast: Duration,
    /// When the pace was last changed, and when last lowered.
    changed: Duration,
    lowered: Duration,
    pause: Duration,
    paused_until: Duration,
    slice: Slice,
    /// Time per accepted leg in the last slice that says anything.
    took: Option<Duration>,
    /// When "slow" began without anything accepted since.
    slow_since: Option<Duration>,
    /// When it said "slow" last.
    slow_last: Duration,
}

/// Answers since a moment.
#[derive(Clone, Copy, Debug, Default)]
struct Slice {
    began: Duration,
    accepted: u32,
    slowed: u32,
}

impl Flow {
    /// A flow at a contracted rate in parts a second; `None` is no limit.
    pub fn new(rate: Option<NonZeroU32>) -> Self {
        Self {
            bucket: Bucket::new(rate),
            learned: None,
            taken: Duration::ZERO,
            too_fast: Duration::ZERO,
            changed: Duration::ZERO,
            lowered: Duration::ZERO,
            pause: Duration::ZERO,
            paused_until: Duration::ZERO,
            slice: Slice::default(),
            took: None,
            slow_since: None,
            slow_last: Duration::ZERO,
        }
    }

    /// Takes leave to hand one leg of so many parts over now. One part has to fit; what more it has is waited for
    /// before the next leg, so that the rate holds in parts and no leg is too long for it.
    pub fn take(&mut self, now: Duration, parts: u32) -> bool {
        if now < self.ready_at() {
            return false;
        }
        if let Some(learned) = &mut self.learned {
            learned.take(now, 1);
        }
        self.bucket.book(now, parts);
        true
    }

    /// Changes the contracted rate; what was taken stays taken, and what was learned stays known.
    pub fn set_rate(&mut self, now: Duration, rate: Option<NonZeroU32>) {
        self.bucket.set_rate(now, rate);
    }

    /// Whether the carrier is fed more slowly than agreed, because it said so.
    pub fn is_slowed(&self, now: Duration) -> bool {
        self.learned.is_some() || now < self.paused_until
    }

    /// When [`Flow::take`] may succeed next.
    pub fn ready_at(&self) -> Duration {
        let learned = self.learned.as_ref().map_or(Duration::ZERO, Bucket::ready_at);
        self.paused_until.max(self.bucket.ready_at()).max(learned)
    }

    /// The carrier said "slow" to a leg that was sent at `sent`. Of what was on its way before a pause was over, or
    /// before the pace was lowered, nothing new is learned.
    pub fn slow(&mut self, now: Duration, sent: Duration) {
        self.slow_since.get_or_insert(now);
        self.slow_last = now;
        if sent < self.paused_until.max(self.lowered) {
            return;
        }
        self.slice.slowed += 1;
        if self.slice.slowed > self.slice.accepted {
            self.pause = (self.pause * 2).clamp(PAUSE_MIN, PAUSE_MAX);
            self.paused_until = now + self.pause;
        }
        self.judge(now);
    }

    /// The carrier took a leg.
    pub fn accepted(&mut self, now: Duration) {
        self.slow_since = None;
        self.pause = Duration::ZERO;
        self.slice.accepted += 1;
        self.judge(now);
        if self.learned.is_some() && now.saturating_sub(self.changed) >= RAISE_EVERY {
            self.raise(now);
        }
    }

    /// What the carrier says of its load, 0 to 100 (`congestion_state`, 5.0).
    pub fn congestion(&mut self, now: Duration, state: u8) {
        if state > CONGESTED_ABOVE {
            // What was measured under an older pace says nothing of this one.
            if let Some(took) = self.took.take() {
                self.lower(now, took);
            }
        } else if state >= OPTIMUM {
            self.changed = now;
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

    /// Looks at the slice once it is long enough.
    fn judge(&mut self, now: Duration) {
        let Slice {
            began,
            accepted,
            slowed,
        } = self.slice;
        let (elapsed, answers) = (now.saturating_sub(began), accepted + slowed);
        if elapsed < SLICE_MIN || (answers < SLICE_ANSWERS && elapsed < SLICE_LONG) {
            return;
        }
        self.slice = Slice::from(now);
        if elapsed > SLICE_MAX || accepted == 0 {
            return;
        }
        let took = elapsed / accepted;
        self.took = Some(took);
        if slowed * SLOWED_ONE_IN >= answers {
            self.lower(now, took);
        }
    }

    /// Nine tenths of a pace that was taken.
    fn lower(&mut self, now: Duration, taken: Duration) {
        let interval = (taken * 10 / 9).clamp(INTERVAL_MIN, PAUSE_MAX);
        self.taken = taken;
        match &mut self.learned {
            Some(learned) => {
                self.too_fast = learned.interval();
                learned.set_pace(interval);
            }
            None => {
                self.too_fast = Duration::ZERO;
                self.learned = Some(Bucket::paced(interval));
            }
        }
        (self.changed, self.lowered) = (now, now);
    }

    /// A twentieth faster while there is room to what was too fast, then a hundredth, and quickly once the limit
    /// seems to be gone.
    fn raise(&mut self, now: Duration) {
        self.changed = now;
        let Some(learned) = &mut self.learned else { return };
        let before = learned.interval();
        let interval = if now.saturating_sub(self.lowered) >= RECOVERED_AFTER {
            before * 10 / 11
        } else if before * 19 / 20 > self.too_fast {
            before * 19 / 20
        } else {
            before * 99 / 100
        };
        if interval < INTERVAL_MIN || interval * FORGET_AT < self.taken {
            self.learned = None;
        } else {
            learned.set_pace(interval);
        }
    }
}

impl From<Duration> for Slice {
    fn from(began: Duration) -> Self {
        Self {
            began,
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_window_full_of_slow_answers_is_one_pause() {
        let mut flow = Flow::new(None);
        for _ in 0..500 {
            flow.slow(MS, Duration::ZERO);
        }
        assert_eq!(flow.ready_at(), MS + PAUSE_MIN);
        // The rest of that window, answered after the pause.
        flow.slow(MS + PAUSE_MIN * 2, Duration::ZERO);
        assert_eq!(flow.ready_at(), MS + PAUSE_MIN);
        assert!(flow.take(MS + PAUSE_MIN, 1));
        flow.slow(SECOND, MS + PAUSE_MIN);
        assert_eq!(
            flow.ready_at(),
            SECOND + PAUSE_MIN * 2,
            "nothing passed: the second pause is twice as long"
        );
    }

    #[test]
    fn the_rate_is_held_in_parts() {
        for parts in [1, 3, 255] {
            let mut flow = Flow::new(NonZeroU32::new(1000));
            let mut taken = 0;
            for ms in 0..20_000 {
                while flow.take(MS * ms, parts) {
                    taken += parts;
                }
            }
            assert!((20_900..=21_300).contains(&taken), "{taken} in legs of {parts}");
        }
    }

    #[test]
    fn pauses_are_bounded_and_short_again_once_something_passed() {
        let mut flow = Flow::new(None);
        let mut now = Duration::ZERO;
        for _ in 0..50 {
            flow.slow(now, now);
            now = flow.ready_at();
        }
        assert_eq!(flow.pause, PAUSE_MAX);
        flow.accepted(now);
        (0..3).for_each(|_| flow.slow(now + MS, now + MS));
        assert_eq!(flow.pause, PAUSE_MIN);
    }

    /// A carrier with a window of 100 that answers after 20 ms, takes so many a second and what `refuses` spares:
    /// accepted and slowed in the last half of the time.
    fn feed(
        flow: &mut Flow,
        start: u64,
        seconds: u64,
        rate: impl Fn(u64) -> u32,
        refuses: impl Fn(u32) -> bool,
    ) -> (u32, u32) {
        let (mut under_way, mut tokens) = (VecDeque::<(Duration, bool)>::new(), 0);
        let (mut accepted, mut slowed, mut number) = (0, 0, 0);
        for tick in start..start + seconds * 1000 {
            let now = Duration::from_millis(tick);
            tokens = (tokens + rate(tick)).min((rate(tick) * 100).max(1000));
            while let Some(&(sent, taken)) = under_way.front()
                && now >= sent + MS * 20
            {
                under_way.pop_front();
                let counts = tick >= start + seconds * 500;
                if taken {
                    flow.accepted(now);
                    accepted += u32::from(counts);
                } else {
                    flow.slow(now, sent);
                    slowed += u32::from(counts);
                }
            }
            while under_way.len() < 100 && flow.take(now, 1) {
                number += 1;
                let taken = tokens >= 1000 && !refuses(number);
                tokens -= if taken { 1000 } else { 0 };
                under_way.push_back((now, taken));
            }
        }
        (accepted, slowed)
    }

    #[test]
    fn it_settles_about_what_the_carrier_takes() {
        for (rate, percent) in [(5, 70), (20, 88), (100, 88), (1000, 88), (3000, 88)] {
            let mut flow = Flow::new(None);
            let (accepted, slowed) = feed(&mut flow, 0, 120, |_| rate, |_| false);
            assert!(
                accepted * 100 >= rate * 60 * percent,
                "{accepted} accepted in a minute at {rate}/s"
            );
            assert!(
                slowed * 8 <= accepted,
                "{slowed} slowed, {accepted} accepted at {rate}/s"
            );
        }
    }

    #[test]
    fn a_few_full_recipients_slow_nobody_else() {
        let mut flow = Flow::new(None);
        let (accepted, slowed) = feed(&mut flow, 0, 60, |_| 100_000, |number| number % 20 == 0);
        // A window of 100 in 20 ms, of which one in twenty is slowed.
        assert!(accepted > 4_500 * 30, "{accepted} accepted, {slowed} slowed");
    }

    #[test]
    fn a_carrier_that_recovers_is_fed_fully_again() {
        let mut flow = Flow::new(None);
        feed(&mut flow, 0, 30, |_| 100, |_| false);
        assert!(flow.is_slowed(SECOND * 30));
        let (accepted, slowed) = feed(&mut flow, 30_000, 200, |_| 100_000, |_| false);
        assert!(!flow.is_slowed(SECOND * 230), "what was learned is forgotten");
        assert!(
            accepted > 4_900 * 100 && slowed == 0,
            "{accepted} accepted, {slowed} slowed"
        );
    }

    #[test]
    fn one_that_takes_less_than_before_is_followed_down() {
        let mut flow = Flow::new(None);
        let rate = |tick| if tick < 20_000 { 2000 } else { 50 };
        let (accepted, slowed) = feed(&mut flow, 0, 120, rate, |_| false);
        assert!(accepted * 100 >= 50 * 60 * 88, "{accepted}");
        assert!(slowed * 10 <= accepted, "{slowed} slowed, {accepted} accepted");
    }

    #[test]
    fn a_congestion_state_slows_before_anything_is_refused() {
        let mut flow = Flow::new(None);
        let mut now = Duration::ZERO;
        let mut feed = |flow: &mut Flow, state| {
            for _ in 0..1500 {
                now += MS;
                flow.accepted(now);
                flow.congestion(now, state);
            }
            now
        };
        let after = feed(&mut flow, 50);
        assert!(!flow.is_slowed(after));
        let after = feed(&mut flow, 95);
        assert!(flow.is_slowed(after) && !flow.is_stuck(after));
        let pace = |flow: &Flow| flow.learned.unwrap().interval();
        let slowest = pace(&flow);
        feed(&mut flow, 85);
        assert_eq!(pace(&flow), slowest, "at its optimum it is fed no faster");
        feed(&mut flow, 10);
        assert!(pace(&flow) < slowest);
    }

    #[test]
    fn a_minute_of_nothing_but_slow_is_stuck() {
        let mut flow = Flow::new(None);
        flow.slow(Duration::ZERO, Duration::ZERO);
        assert!(!flow.is_stuck(STUCK_AFTER - MS) && flow.is_stuck(STUCK_AFTER));
        assert!(
            !flow.is_stuck(TRY_AGAIN_AFTER),
            "what is sent nothing must not stay stuck for ever"
        );
        flow.slow(TRY_AGAIN_AFTER, TRY_AGAIN_AFTER);
        assert!(flow.is_stuck(TRY_AGAIN_AFTER));
        flow.accepted(TRY_AGAIN_AFTER);
        assert!(!flow.is_stuck(TRY_AGAIN_AFTER));
    }
}
