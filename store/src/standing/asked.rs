//! Whom an account has asked whether its messages are wanted, and who may still say yes (double opt-in, CON-5).

use std::collections::VecDeque;

use hashbrown::HashMap;
use smallvec::SmallVec;

use crate::pseudonym::Pseudonym;

use super::ScopeId;
use super::replies::Renamed;

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
    /// What a yes would consent to.
    awaited: Awaited,
    /// Nothing has answered it.
    is_open: bool,
}

/// What a yes would consent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Awaited {
    /// Who asked: an account.
    pub asker: ScopeId,
    /// To whom: it, or its brand.
    pub scope: ScopeId,
    /// To which categories, a bit each; 0 is all.
    pub categories: u8,
}

/// See the [module](self).
#[derive(Debug, Default)]
pub struct Asked {
    of: HashMap<Pseudonym, SmallVec<[Question; 1]>>,
    /// Whose, in the order in which they were asked.
    order: VecDeque<(u64, Pseudonym)>,
    renamed: Renamed,
}

impl Asked {
    /// Whether an account may ask a person now: not within 30 days of the last time, whatever for.
    pub fn may_ask(&self, who: &Pseudonym, asker: Option<ScopeId>, now_ms: u64) -> bool {
        let asked = self.of.get(who).map_or(&[][..], SmallVec::as_slice);
        self.order.len() < ASKED_MAX
            && !asked.iter().any(|question| {
                Some(question.awaited.asker) == asker
                    && question.at_ms.saturating_add(ASKED_EVERY_MS) > now_ms
            })
    }

    /// What a yes to this sender, by whichever hash, consents to: the newest question from there that waits for one, at most 24 hours old.
    /// A clock that was set back behind the question makes its time no longer.
    pub fn awaits(&self, who: &Pseudonym, senders: &[u64], now_ms: u64) -> Option<Awaited> {
        let asked = self.of.get(who)?;
        let waits = |question: &&Question| {
            question.is_open
                && senders.contains(&question.sender)
                && question.at_ms <= now_ms
                && question.at_ms.saturating_add(PENDING_MS) >= now_ms
        };
        let question = asked.iter().rev().find(waits)?;
        Some(question.awaited)
    }

    pub(super) fn add(&mut self, who: &Pseudonym, sender: u64, awaited: Awaited, at_ms: u64) {
        self.of.entry(*who).or_default().push(Question {
            at_ms,
            sender,
            awaited,
            is_open: true,
        });
        self.order.push_back((at_ms, *who));
    }

    /// It was not asked after all.
    pub(super) fn take_back(&mut self, who: &Pseudonym, asker: ScopeId, at_ms: u64) {
        if let Some(asked) = self.of.get_mut(who)
            && let Some(place) = asked
                .iter()
                .rposition(|question| question.awaited.asker == asker && question.at_ms == at_ms)
        {
            asked.remove(place);
        }
    }

    /// No yes counts any more to these questions of a person: it was said, or the person said no.
    pub(super) fn close(&mut self, who: &Pseudonym, is_meant: impl Fn(&Awaited) -> bool) {
        for question in self.of.get_mut(who).into_iter().flatten() {
            if is_meant(&question.awaited) {
                question.is_open = false;
            }
        }
    }

    pub(super) fn knows(&self, who: &Pseudonym) -> bool {
        self.of.contains_key(who)
    }

    pub(super) fn of_generation(&self, generation: u8) -> usize {
        let people = self.of.keys();
        people.filter(|who| who.generation() == generation).count()
    }

    pub(super) fn rename(&mut self, from: &Pseudonym, to: &Pseudonym, at_ms: u64) {
        if let Some(asked) = self.of.remove(from) {
            self.of.entry(*to).or_default().extend(asked);
            self.renamed.note(from, to, at_ms);
        }
    }

    /// Lets go of what counts no more. A clock that is set back lets nothing go early.
    pub(super) fn forget(&mut self, now_ms: u64) {
        while let Some((at_ms, who)) = self.order.front().copied()
            && at_ms.saturating_add(ASKED_EVERY_MS) <= now_ms
        {
            self.order.pop_front();
            let who = self.renamed.name(&who);
            let is_over = |question: &Question| question.at_ms.saturating_add(ASKED_EVERY_MS) <= now_ms;
            let gone = self.of.get_mut(&who).is_some_and(|asked| {
                asked.retain(|question| !is_over(question));
                asked.is_empty()
            });
            if gone {
                self.of.remove(&who);
            }
        }
        self.renamed.forget(ASKED_EVERY_MS, now_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHO: Pseudonym = Pseudonym::from_octets([1; 16]);
    const ASKER: ScopeId = ScopeId(4);
    const AWAITED: Awaited = Awaited {
        asker: ASKER,
        scope: ScopeId(5),
        categories: 1,
    };

    #[test]
    fn a_yes_counts_for_a_day_to_the_millisecond_and_to_its_sender_only() {
        let mut asked = Asked::default();
        assert_eq!(asked.awaits(&WHO, &[9], 1_000), None);
        asked.add(&WHO, 9, AWAITED, 1_000);
        assert_eq!(asked.awaits(&WHO, &[9], 1_000 + PENDING_MS), Some(AWAITED));
        assert_eq!(asked.awaits(&WHO, &[9], 1_001 + PENDING_MS), None);
        assert_eq!(asked.awaits(&WHO, &[9], 999), None, "the clock was set back");
        assert_eq!(asked.awaits(&WHO, &[8], 2_000), None, "another sender");
        asked.close(&WHO, |awaited| awaited.scope == ScopeId(6));
        assert!(
            asked.awaits(&WHO, &[9], 2_000).is_some(),
            "another scope was answered"
        );
        asked.close(&WHO, |awaited| awaited.scope == AWAITED.scope);
        assert_eq!(asked.awaits(&WHO, &[9], 2_000), None, "answered");
    }

    #[test]
    fn nobody_is_asked_twice_in_thirty_days() {
        let mut asked = Asked::default();
        asked.add(&WHO, 9, AWAITED, 1_000);
        let end = 1_000 + ASKED_EVERY_MS;
        assert!(!asked.may_ask(&WHO, Some(ASKER), end - 1));
        assert!(asked.may_ask(&WHO, Some(ScopeId(7)), 2_000) && asked.may_ask(&WHO, None, 2_000));
        asked.forget(end - 1);
        assert!(
            !asked.may_ask(&WHO, Some(ASKER), end - 1),
            "kept as long as it counts"
        );
        asked.close(&WHO, |_| true);
        assert!(
            !asked.may_ask(&WHO, Some(ASKER), 2_000),
            "an answer is no leave to ask again"
        );
        asked.forget(end);
        assert!(asked.may_ask(&WHO, Some(ASKER), end));
        assert!(asked.of.is_empty() && asked.order.is_empty());
        asked.add(&WHO, 9, AWAITED, end);
        asked.take_back(&WHO, ASKER, end);
        assert!(asked.may_ask(&WHO, Some(ASKER), end + 1));
    }
}
