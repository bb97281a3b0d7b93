//! How fast messages go to one number, and to the numbers that differ in their last four digits only (FRD-3).

use std::time::Duration;

use tidegate_config::AbuseRules;

/// Steps of a window. One more is counted, so that no window of the full length has more than the limit in it.
const STEPS: u32 = 8;
const SLOTS: usize = STEPS as usize + 1;
/// Doublings of a back-off that mean anything: from a second to more than a day.
const DOUBLINGS_MAX: u32 = 17;

/// How many came in a window that slides in eighths. It never counts fewer than there were.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sliding {
    step: u128,
    counts: [u16; SLOTS],
}

impl Sliding {
    /// How many of them are in the window that ends now.
    pub(super) fn count(&mut self, now: Duration, window: Duration) -> u32 {
        self.advance(now, window);
        self.counts.iter().map(|count| u32::from(*count)).sum()
    }

    /// One more.
    pub(super) fn add(&mut self, now: Duration, window: Duration) {
        self.advance(now, window);
        let slot = self.counts.get_mut(slot_of(self.step));
        if let Some(count) = slot {
            *count = count.saturating_add(1);
        }
    }

    fn advance(&mut self, now: Duration, window: Duration) {
        let step = now.as_nanos() / (window / STEPS).as_nanos().max(1);
        if step < self.step || step - self.step >= SLOTS as u128 {
            // Another window length, or all of it is over.
            self.counts = [0; SLOTS];
        } else {
            for passed in self.step + 1..=step {
                if let Some(count) = self.counts.get_mut(slot_of(passed)) {
                    *count = 0;
                }
            }
        }
        self.step = step;
    }
}

fn slot_of(step: u128) -> usize {
    usize::try_from(step % SLOTS as u128).unwrap_or(0)
}

/// What a number, or a prefix, has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// One more may go.
    Fits,
    /// The limit is reached, with so many; and whether this is the first one over it.
    Over {
        /// How many there were.
        count: u32,
        /// Nobody has been told.
        is_new: bool,
    },
    /// It is the rest of a text that was let in.
    RestOfOne,
    /// It is the rest of a text that was refused.
    RestOfNone,
}

/// One number of one account.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Number {
    sent: Sliding,
    /// How many were asked for over the limit, since it was last quiet.
    over: u32,
    until: Duration,
    tried: Duration,
    /// What the last part of a longer text had in common with the rest; 0 for none. And whether it was let in.
    part: u64,
    part_at: Duration,
    was_let_in: bool,
}

/// So long after the last of them, a part with the same reference is of the same text; a reference comes again some time.
const PARTS: Duration = Duration::from_secs(600);

impl Number {
    /// Whether a part of a text is one of that of which the last one was a part.
    pub(super) fn is_rest(&self, now: Duration, part: u64) -> bool {
        part != 0 && part == self.part && now.saturating_sub(self.part_at) < PARTS
    }

    fn set_part(&mut self, now: Duration, part: u64, was_let_in: bool) {
        (self.part, self.part_at, self.was_let_in) = (part, now, was_let_in);
    }

    /// Whether a message may go. One over the limit makes the number's pause longer.
    pub(super) fn ask(&mut self, now: Duration, rules: &AbuseRules, part: u64) -> Pace {
        if self.is_rest(now, part) {
            self.part_at = now;
            return if self.was_let_in {
                Pace::RestOfOne
            } else {
                Pace::RestOfNone
            };
        }
        let Some(limit) = rules.number_limit else {
            return Pace::Fits;
        };
        if now >= self.until && now.saturating_sub(self.tried) >= rules.number_within {
            self.over = 0;
        }
        let count = self.sent.count(now, rules.number_within);
        if now >= self.until && count < u32::from(limit.get()) {
            return Pace::Fits;
        }
        let pause = rules.back_off.saturating_mul(1 << self.over.min(DOUBLINGS_MAX));
        self.until = self.until.max(now.saturating_add(pause.min(rules.back_off_max)));
        let is_new = self.over == 0;
        self.over = self.over.saturating_add(1);
        self.tried = now;
        self.set_part(now, part, false);
        Pace::Over { count, is_new }
    }

    /// One went.
    pub(super) fn note(&mut self, now: Duration, rules: &AbuseRules, part: u64) {
        self.sent.add(now, rules.number_within);
        self.set_part(now, part, true);
    }
}

/// A limit on how many, and whether it was told that it is reached.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Limited {
    sent: Sliding,
    is_told: bool,
}

impl Limited {
    /// Whether one more may go.
    pub(super) fn ask(&mut self, now: Duration, window: Duration, limit: u16) -> Pace {
        let count = self.sent.count(now, window);
        if count < u32::from(limit) {
            self.is_told = false;
            return Pace::Fits;
        }
        let is_new = !self.is_told;
        self.is_told = true;
        Pace::Over { count, is_new }
    }

    /// One went.
    pub(super) fn note(&mut self, now: Duration, window: Duration) {
        self.sent.add(now, window);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn minutes(minutes: u64) -> Duration {
        Duration::from_secs(60 * minutes)
    }

    #[test]
    fn no_window_has_more_than_the_limit_and_each_one_over_it_doubles_the_pause() {
        let rules = AbuseRules::default();
        let mut number = Number::default();
        let mut ask = |minute: u64| {
            let now = minutes(1_000 + minute);
            let pace = number.ask(now, &rules, 0);
            if pace == Pace::Fits {
                number.note(now, &rules, 0);
            }
            pace
        };
        assert!([0, 4, 9].map(&mut ask) == [Pace::Fits; 3]);
        let over = |is_new| Pace::Over { count: 3, is_new };
        assert_eq!(ask(9), over(true));
        // 2, 4, 8, 16 minutes, and never more than 32.
        for _ in 0..5 {
            assert_eq!(ask(9), over(false));
        }
        assert!(matches!(ask(40), Pace::Over { is_new: false, .. }));
        assert!(matches!(ask(71), Pace::Over { is_new: false, .. }));
        assert_eq!(ask(104), Pace::Fits);
        // It was quiet for longer than the window by then: what is over next begins anew.
        assert!([105, 106].map(&mut ask) == [Pace::Fits; 2]);
        assert_eq!(ask(107), over(true));
        assert!(matches!(ask(113), Pace::Over { is_new: false, .. }));
    }

    #[test]
    fn the_parts_of_a_text_are_one_message() {
        let rules = AbuseRules::default();
        let mut number = Number::default();
        let now = minutes(7);
        for text in 1..=3 {
            assert_eq!(number.ask(now, &rules, text), Pace::Fits);
            number.note(now, &rules, text);
            assert_eq!(number.ask(now, &rules, text), Pace::RestOfOne);
        }
        let pace = number.ask(now, &rules, 4);
        assert!(matches!(pace, Pace::Over { is_new: true, .. }), "{pace:?}");
        assert_eq!(number.ask(now, &rules, 4), Pace::RestOfNone);
        assert_eq!(number.over, 1);
        // Its number comes again one day.
        assert_eq!(number.ask(now + minutes(60), &rules, 4), Pace::Fits);
    }

    #[test]
    fn a_window_slides_and_is_told_about_once() {
        let (mut prefix, hour) = (Limited::default(), minutes(60));
        for minute in 0..20 {
            assert_eq!(prefix.ask(minutes(minute), hour, 20), Pace::Fits);
            prefix.note(minutes(minute), hour);
        }
        let over = |is_new| Pace::Over { count: 20, is_new };
        assert_eq!(prefix.ask(minutes(20), hour, 20), over(true));
        assert_eq!(prefix.ask(minutes(59), hour, 20), over(false));
        // The first of them is out of it, and of the others twelve are in it still.
        assert_eq!(prefix.ask(minutes(68), hour, 20), Pace::Fits);
        assert_eq!(prefix.sent.count(minutes(68), hour), 12);
        assert_eq!(prefix.sent.count(minutes(600), hour), 0);
        // Of another length it begins anew.
        prefix.note(minutes(600), hour);
        assert_eq!(prefix.sent.count(minutes(600), minutes(600)), 0);
    }
}
