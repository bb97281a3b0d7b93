//! How fast messages go to one number, and to the numbers that differ in their last four digits only (FRD-3).

use std::time::Duration;

use tidegate_config::AbuseRules;

use super::table::Row;

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
    RestOfOne {
        /// Its first part is held, and so is the rest.
        is_held: bool,
    },
    /// It is the rest of a text that was refused.
    RestOfNone,
}

/// A part of a text that its client has cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// Of which text, by its reference and how many parts it has.
    pub text: u64,
    /// Which of them, below [`PARTS_MAX`].
    pub place: u8,
}

/// Parts of a text that count as one message. A reference is for whoever sends to choose, so that of a text of more parts each
/// one counts.
pub(super) const PARTS_MAX: u8 = 16;
/// Texts of one number whose parts are told apart, as those of several may come in turns.
const TEXTS_MAX: usize = 4;
/// So long after the first of them, a part with the same reference is of the same text; a reference comes again some time.
pub(super) const PARTS: Duration = Duration::from_secs(600);

/// A text of which parts have come.
#[derive(Clone, Copy, Debug)]
struct Text {
    key: u64,
    /// When its first one came.
    since: Duration,
    /// Which have come, a bit for each.
    parts: u16,
    was_let_in: bool,
    is_held: bool,
}

/// One number of one account.
#[derive(Clone, Debug, Default)]
pub(super) struct Number {
    sent: Sliding,
    /// How many were asked for over the limit, since it was last quiet.
    over: u32,
    until: Duration,
    tried: Duration,
    /// The oldest first; most have none.
    texts: Vec<Text>,
}

impl Row for Number {
    fn is_closed(&self, now: Duration) -> bool {
        now < self.until
    }
}

impl Number {
    /// The text of which this is a part that has not come yet, if another one has.
    fn begun(&mut self, now: Duration, part: Option<Part>) -> Option<(&mut Text, u16)> {
        let Part { text, place } = part?;
        let bit = 1_u16.checked_shl(place.into())?;
        let is_it =
            |of: &&mut Text| of.key == text && of.parts & bit == 0 && now.saturating_sub(of.since) < PARTS;
        self.texts.iter_mut().find(is_it).map(|text| (text, bit))
    }

    /// A text begins with this part of it.
    fn begin(&mut self, now: Duration, part: Option<Part>, (was_let_in, is_held): (bool, bool)) {
        let Some(Part { text, place }) = part else { return };
        let Some(parts) = 1_u16.checked_shl(place.into()) else {
            return;
        };
        self.texts
            .retain(|old| old.key != text && now.saturating_sub(old.since) < PARTS);
        if self.texts.len() >= TEXTS_MAX {
            self.texts.remove(0);
        }
        self.texts.push(Text {
            key: text,
            since: now,
            parts,
            was_let_in,
            is_held,
        });
    }

    /// Whether a message may go. One over the limit makes the number's pause longer.
    pub(super) fn ask(&mut self, now: Duration, rules: &AbuseRules, part: Option<Part>) -> Pace {
        if let Some((text, bit)) = self.begun(now, part) {
            if text.was_let_in {
                return Pace::RestOfOne {
                    is_held: text.is_held,
                };
            }
            text.parts |= bit;
            return Pace::RestOfNone;
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
        self.begin(now, part, (false, false));
        Pace::Over { count, is_new }
    }

    /// One went, or was held; says whether it counts, and is not the rest of one that did.
    pub(super) fn note(
        &mut self,
        now: Duration,
        rules: &AbuseRules,
        part: Option<Part>,
        is_held: bool,
    ) -> bool {
        if let Some((text, bit)) = self.begun(now, part) {
            text.parts |= bit;
            return false;
        }
        self.sent.add(now, rules.number_within);
        self.begin(now, part, (true, is_held));
        true
    }
}

/// A limit on how many, and whether it was told that it is reached.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Limited {
    sent: Sliding,
    is_told: bool,
}

impl Limited {
    /// Whether the limit is reached, as far as was asked.
    pub(super) const fn is_told(&self) -> bool {
        self.is_told
    }

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
            let pace = number.ask(now, &rules, None);
            if pace == Pace::Fits {
                number.note(now, &rules, None, false);
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
    fn the_rest_of_a_text_whose_first_part_is_held_is_held_and_that_of_another_is_not() {
        let rules = AbuseRules::default();
        let mut number = Number::default();
        let part = |text, place| Some(Part { text, place });
        for (text, is_held) in [(1, true), (2, false)] {
            let now = minutes(7);
            assert!(number.note(now, &rules, part(text, 0), is_held));
            let rest = number.ask(now, &rules, part(text, 1));
            assert!(rest == Pace::RestOfOne { is_held }, "{text}");
        }
    }

    #[test]
    fn the_parts_of_a_text_are_one_message() {
        let rules = AbuseRules::default();
        let mut number = Number::default();
        let now = minutes(7);
        let part = |text, place| Some(Part { text, place });
        // Three texts of three parts, which come in turns.
        for place in [2, 0, 1] {
            for text in 1..=3 {
                let is_first = place == 2;
                let pace = if is_first {
                    Pace::Fits
                } else {
                    Pace::RestOfOne { is_held: false }
                };
                assert_eq!(number.ask(now, &rules, part(text, place)), pace);
                assert_eq!(number.note(now, &rules, part(text, place), false), is_first);
            }
        }
        let pace = number.ask(now, &rules, part(4, 0));
        assert!(matches!(pace, Pace::Over { is_new: true, .. }), "{pace:?}");
        assert_eq!(number.ask(now, &rules, part(4, 1)), Pace::RestOfNone);
        assert_eq!(number.over, 1);
        // Its number comes again one day.
        assert_eq!(number.ask(now + minutes(60), &rules, part(4, 1)), Pace::Fits);
    }

    /// Who sends chooses the reference, so that one that comes again and again must not open anything.
    #[test]
    fn a_part_that_has_come_before_or_comes_late_is_a_message_of_its_own() {
        let rules = AbuseRules::default();
        let part = |place| Some(Part { text: 1, place });
        let mut number = Number::default();
        for _ in 0..3 {
            assert_eq!(number.ask(minutes(7), &rules, part(0)), Pace::Fits);
            assert!(number.note(minutes(7), &rules, part(0), false));
        }
        assert!(matches!(
            number.ask(minutes(7), &rules, part(0)),
            Pace::Over { .. }
        ));
        // Ten minutes from the first part, whatever has come since.
        let mut number = Number::default();
        for (place, minute) in [(0, 7), (1, 12), (2, 16)] {
            assert_ne!(number.ask(minutes(minute), &rules, part(place)), Pace::RestOfNone);
            assert_eq!(
                number.note(minutes(minute), &rules, part(place), false),
                place == 0
            );
        }
        assert!(number.note(minutes(17), &rules, part(3), false));
        // No more texts are remembered than there is room for, and the one that is forgotten counts anew.
        for text in 2..=6 {
            number.note(minutes(17), &rules, Some(Part { text, place: 0 }), false);
        }
        assert_eq!(number.texts.len(), TEXTS_MAX);
        assert!(number.note(minutes(17), &rules, part(4), false));
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
