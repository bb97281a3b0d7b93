//! Whom an account has asked whether its messages are wanted, and who may still say yes (double opt-in, CON-5).

use std::collections::VecDeque;

use hashbrown::HashMap;
use smallvec::SmallVec;

use crate::pseudonym::Pseudonym;

use super::ScopeId;

/// For how long a yes counts, in milliseconds: 24 hours.
pub const PENDING_MS: u64 = 24 * 60 * 60 * 1000;
/// For how long nobody is asked again, in milliseconds: 30 days.
pub const ASKED_EVERY_MS: u64 = 30 * 24 * 60 * 60 * 1000;
/// Questions that are remembered, at about 120 octets each. Over it nobody is asked: who could say whether he was before?
const ASKED_MAX: usize = 1 << 20;

#[derive(Clone, Copy, Debug)]
struct Question {
    at_ms: u64,
    /// A hash of the sender under which it went.
    sender: u64,
    /// To whom a yes would consent.
    scope: ScopeId,
    /// To which categories, a bit each; 0 is all.
    categories: u8,
    /// Nothing has answered it.
    is_open: bool,
}

/// See the [module](self).
#[derive(Debug, Default)]
pub struct Asked {
    of: HashMap<Pseudonym, SmallVec<[Question; 1]>>,
    /// Whose, in the order in which they were asked.
    order: VecDeque<(u64, Pseudonym)>,
}

impl Asked {
    /// Whether a person may be asked for a consent to this scope now: not within 30 days of the last time.
    pub fn may_ask(&self, who: &Pseudonym, scope: Option<ScopeId>, now_ms: u64) -> bool {
        let asked = self.of.get(who).map_or(&[][..], SmallVec::as_slice);
        self.order.len() < ASKED_MAX
            && !asked.iter().any(|question| {
                Some(question.scope) == scope && question.at_ms.saturating_add(ASKED_EVERY_MS) > now_ms
            })
    }

    /// What a yes to this sender consents to: the newest question from there that waits for one, at most 24 hours old.
    pub fn awaits(&self, who: &Pseudonym, sender: u64, now_ms: u64) -> Option<(ScopeId, u8)> {
        let asked = self.of.get(who)?;
        let waits = |question: &&Question| {
            question.is_open
                && question.sender == sender
                && question.at_ms.saturating_add(PENDING_MS) >= now_ms
        };
        let question = asked.iter().rev().find(waits)?;
        Some((question.scope, question.categories))
    }

    pub(super) fn add(&mut self, who: &Pseudonym, sender: u64, scope: ScopeId, categories: u8, at_ms: u64) {
        self.of.entry(*who).or_default().push(Question {
            at_ms,
            sender,
            scope,
            categories,
            is_open: true,
        });
        self.order.push_back((at_ms, *who));
    }

    /// It was not asked after all.
    pub(super) fn take_back(&mut self, who: &Pseudonym, scope: ScopeId, at_ms: u64) {
        if let Some(asked) = self.of.get_mut(who)
            && let Some(place) = asked
                .iter()
                .rposition(|question| question.scope == scope && question.at_ms == at_ms)
        {
            asked.remove(place);
        }
    }

    /// No yes counts any more: it was said, or somebody said no. With `scope` to what was asked for it, else to anything.
    pub(super) fn close(&mut self, who: &Pseudonym, scope: Option<ScopeId>) {
        for question in self.of.get_mut(who).into_iter().flatten() {
            if scope.is_none_or(|scope| question.scope == scope) {
                question.is_open = false;
            }
        }
    }

    /// Lets go of what counts no more. A clock that is set back lets nothing go early.
    pub(super) fn forget(&mut self, now_ms: u64) {
        while let Some((at_ms, who)) = self.order.front().copied()
            && at_ms.saturating_add(ASKED_EVERY_MS) <= now_ms
        {
            self.order.pop_front();
            let is_over = |question: &Question| question.at_ms.saturating_add(ASKED_EVERY_MS) <= now_ms;
            let gone = self.of.get_mut(&who).is_some_and(|asked| {
                asked.retain(|question| !is_over(question));
                asked.is_empty()
            });
            if gone {
                self.of.remove(&who);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHO: Pseudonym = Pseudonym::from_octets([1; 16]);
    const SCOPE: ScopeId = ScopeId(4);

    #[test]
    fn a_yes_counts_for_a_day_to_the_millisecond_and_to_its_sender_only() {
        let mut asked = Asked::default();
        assert_eq!(asked.awaits(&WHO, 9, 1_000), None);
        asked.add(&WHO, 9, SCOPE, 1, 1_000);
        assert_eq!(asked.awaits(&WHO, 9, 1_000 + PENDING_MS), Some((SCOPE, 1)));
        assert_eq!(asked.awaits(&WHO, 9, 1_001 + PENDING_MS), None);
        assert_eq!(asked.awaits(&WHO, 8, 2_000), None, "another sender");
        asked.close(&WHO, Some(ScopeId(5)));
        assert!(
            asked.awaits(&WHO, 9, 2_000).is_some(),
            "another scope was answered"
        );
        asked.close(&WHO, Some(SCOPE));
        assert_eq!(asked.awaits(&WHO, 9, 2_000), None, "answered");
    }

    #[test]
    fn nobody_is_asked_twice_in_thirty_days() {
        let mut asked = Asked::default();
        asked.add(&WHO, 9, SCOPE, 0, 1_000);
        let end = 1_000 + ASKED_EVERY_MS;
        assert!(!asked.may_ask(&WHO, Some(SCOPE), end - 1));
        assert!(asked.may_ask(&WHO, Some(ScopeId(5)), 2_000) && asked.may_ask(&WHO, None, 2_000));
        asked.forget(end - 1);
        assert!(
            !asked.may_ask(&WHO, Some(SCOPE), end - 1),
            "kept as long as it counts"
        );
        asked.close(&WHO, None);
        assert!(
            !asked.may_ask(&WHO, Some(SCOPE), 2_000),
            "an answer is no leave to ask again"
        );
        asked.forget(end);
        assert!(asked.may_ask(&WHO, Some(SCOPE), end));
        assert!(asked.of.is_empty() && asked.order.is_empty());
        asked.add(&WHO, 9, SCOPE, 0, end);
        asked.take_back(&WHO, SCOPE, end);
        assert!(asked.may_ask(&WHO, Some(SCOPE), end + 1));
    }
}
