//! What is unusual for an account as a whole (FRD-3): numbers of a kind that takes no messages, countries that it has never
//! sent to, and few messages that arrive wherever they go.

use std::time::Duration;

use smallvec::SmallVec;
use tidegate_config::{AbuseRules, Country};

use super::completion::Completion;
use super::table::Row as _;
use super::{AbuseRule, Found, HOUR};

/// Words of 64 bits for a bit for each code of two letters.
const WORDS: usize = (26_usize * 26).div_ceil(64);

/// A set of countries.
#[derive(Clone, Copy, Debug, Default)]
struct Countries([u64; WORDS]);

impl Countries {
    /// Puts one in; says whether it was not there.
    fn insert(&mut self, country: Country) -> bool {
        let Some((word, bit)) = self.place(country) else {
            return false;
        };
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    fn has(&mut self, country: Country) -> bool {
        self.place(country).is_some_and(|(word, bit)| *word & bit != 0)
    }

    fn place(&mut self, country: Country) -> Option<(&mut u64, u64)> {
        let [first, second] = country
            .octets()
            .map(|letter| usize::from(letter.wrapping_sub(b'A')));
        let place = first * 26 + second;
        Some((self.0.get_mut(place / 64)?, 1 << (place % 64)))
    }
}

/// What one account does as a rule, since the process or its last reversal began.
#[derive(Debug, Default)]
pub(super) struct Usual {
    /// Watched messages that came in.
    sent: u32,
    countries: Countries,
    /// Countries that were told.
    told: Countries,
    /// When a number that takes no messages was told last.
    suspect: Option<Duration>,
    arriving: Completion,
}

impl Usual {
    /// What the rules say to a message; what is behind one for which it is refused is not asked.
    pub(super) fn ask(
        &mut self,
        now: Duration,
        rules: &AbuseRules,
        number: Option<&[u8]>,
        country: Option<Country>,
    ) -> SmallVec<[Found; 2]> {
        let mut found = SmallVec::new();
        if self.arriving.is_closed(now) && rules.delivered_action.closes() {
            found.push(Found {
                rule: AbuseRule::Delivered,
                action: rules.delivered_action.of_closed(),
                count: 0,
                limit: 0,
                is_new: false,
            });
            if rules.delivered_action.of_closed().refuses() {
                return found;
            }
        }
        if number.is_some_and(|number| rules.is_suspect(number)) {
            let is_new = self.suspect.is_none_or(|at| now.saturating_sub(at) >= HOUR);
            if is_new {
                self.suspect = Some(now);
            }
            found.push(Found {
                rule: AbuseRule::Suspect,
                action: rules.suspect_action,
                count: 1,
                limit: 0,
                is_new,
            });
            if rules.suspect_action.refuses() {
                return found;
            }
        }
        if let Some(after) = rules.new_country_after
            && let Some(country) = country
            && self.sent >= after.get()
            && !self.countries.has(country)
        {
            found.push(Found {
                rule: AbuseRule::NewCountry,
                action: rules.new_country_action,
                count: 1,
                limit: 0,
                is_new: self.told.insert(country),
            });
        }
        found
    }

    /// One came in.
    pub(super) fn note(&mut self, country: Option<Country>) {
        self.sent = self.sent.saturating_add(1);
        if let Some(country) = country {
            self.countries.insert(country);
        }
    }

    /// A receipt has ended one; `Some` with how many of how many were delivered where those are few.
    pub(super) fn ended(
        &mut self,
        now: Duration,
        rules: &AbuseRules,
        is_delivered: bool,
    ) -> Option<(u32, u32)> {
        let least = rules.delivered?;
        let bounds = (least, rules.delivered_over, rules.completion_block);
        self.arriving.ended(now, bounds, is_delivered)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use tidegate_config::AbuseAction;

    use super::*;

    const NOW: Duration = Duration::from_secs(7);

    fn rules() -> AbuseRules {
        AbuseRules {
            new_country_after: NonZeroU32::new(3),
            delivered_over: 10,
            ..AbuseRules::default()
        }
    }

    fn told(found: &[Found]) -> Vec<(AbuseRule, bool)> {
        found.iter().map(|found| (found.rule, found.is_new)).collect()
    }

    #[test]
    fn a_country_is_new_to_who_has_sent_elsewhere_and_is_told_once() {
        let mut usual = Usual::default();
        let mut ask = |country: &str, is_sent| {
            let country = Country::new(country);
            let found = usual.ask(NOW, &rules(), Some(b"254700120100"), country);
            if is_sent {
                usual.note(country);
            }
            told(&found)
        };
        // Whoever begins has sent nowhere.
        for country in ["KE", "TZ", "KE"] {
            assert_eq!(ask(country, true), []);
        }
        assert_eq!(ask("TZ", true), []);
        assert_eq!(ask("ZZ", false), [(AbuseRule::NewCountry, true)]);
        assert_eq!(ask("ZZ", true), [(AbuseRule::NewCountry, false)]);
        assert_eq!(ask("ZZ", true), []);
        assert_eq!(ask("AA", true), [(AbuseRule::NewCountry, true)]);
    }

    #[test]
    fn numbers_that_take_no_messages_are_told_once_an_hour_and_others_never() {
        let mut usual = Usual::default();
        let mut ask = |now, number: &[u8]| told(&usual.ask(now, &rules(), Some(number), None));
        assert_eq!(ask(NOW, b"979123456789"), [(AbuseRule::Suspect, true)]);
        assert_eq!(ask(NOW, b"80813456789"), [(AbuseRule::Suspect, false)]);
        assert_eq!(ask(NOW, b"97"), []);
        // A handset of a satellite takes messages.
        assert_eq!(ask(NOW, b"88161234567"), []);
        assert_eq!(ask(NOW, b"254700979000"), []);
        assert_eq!(ask(NOW + HOUR, b"979123456789"), [(AbuseRule::Suspect, true)]);
    }

    #[test]
    fn where_few_arrive_the_account_is_told_of_and_closed_only_where_that_is_asked_for() {
        let mut usual = Usual::default();
        let ends = |usual: &mut Usual, delivered: u32| -> Vec<(u32, u32)> {
            let ends = (0..10).map(|n| usual.ended(NOW, &rules(), n < delivered));
            ends.flatten().collect()
        };
        assert_eq!(ends(&mut usual, 3), []);
        let mut usual = Usual::default();
        assert_eq!(ends(&mut usual, 2), [(2, 10)]);
        assert_eq!(told(&usual.ask(NOW, &rules(), Some(b"254700120100"), None)), []);
        let throttling = AbuseRules {
            delivered_action: AbuseAction::Throttle,
            ..rules()
        };
        let asked = usual.ask(NOW, &throttling, Some(b"254700120100"), None);
        assert_eq!(told(&asked), [(AbuseRule::Delivered, false)]);
        let later = NOW + throttling.completion_block;
        assert_eq!(
            told(&usual.ask(later, &throttling, Some(b"254700120100"), None)),
            []
        );
    }
}
