//! Replies that were given of ourselves in the last day: at most one confirmation to a person in a scope, and a few of any
//! kind under one sender (OPT-20).

use std::collections::VecDeque;

use hashbrown::HashMap;
use smallvec::SmallVec;

use crate::pseudonym::Pseudonym;

use super::ScopeId;

/// For how long a reply counts, in milliseconds: 24 hours.
pub(crate) const COUNTS_MS: u64 = 24 * 60 * 60 * 1000;
/// Replies that are remembered, at about 100 octets each. Over it there are none: nobody could say which is too many.
const REPLIES_MAX: usize = 1 << 20;

#[derive(Clone, Copy, Debug)]
struct Reply {
    at_ms: u64,
    /// A hash of the sender.
    sender: u64,
    /// Of the scopes of which it confirmed an opt-out.
    confirmed: Option<ScopeId>,
}

/// See the [module](self).
#[derive(Debug, Default)]
pub struct Replies {
    of: HashMap<Pseudonym, SmallVec<[Reply; 1]>>,
    /// Whose, in the order in which they came.
    order: VecDeque<(u64, Pseudonym)>,
    renamed: Renamed,
}

/// Who goes by another name than in the order in which things came, as long as one may stand there by the old.
#[derive(Debug, Default)]
pub(super) struct Renamed {
    of: HashMap<Pseudonym, Pseudonym>,
    /// When one was renamed last, in unix milliseconds.
    last_ms: u64,
}

impl Renamed {
    pub(super) fn note(&mut self, from: &Pseudonym, to: &Pseudonym, at_ms: u64) {
        self.of.insert(*from, *to);
        self.last_ms = self.last_ms.max(at_ms);
    }

    pub(super) fn name(&self, who: &Pseudonym) -> Pseudonym {
        let mut name = who;
        // Renamed once by each generation at most.
        for _ in 0..usize::from(u8::MAX) {
            match self.of.get(name) {
                Some(to) => name = to,
                None => break,
            }
        }
        *name
    }

    /// Nothing that was there then counts any more, a time after the last.
    pub(super) fn forget(&mut self, counts_ms: u64, now_ms: u64) {
        if self.last_ms.saturating_add(counts_ms) < now_ms {
            self.of.clear();
        }
    }
}

impl Replies {
    /// Whether a reply to a person may be given now: under `max` in a day from this sender, by whichever hash, and with `confirms` none that
    /// confirmed it there.
    pub fn allow(
        &self,
        who: &Pseudonym,
        senders: &[u64],
        max: usize,
        confirms: Option<ScopeId>,
        now_ms: u64,
    ) -> bool {
        if self.order.len() >= REPLIES_MAX {
            return false;
        }
        let replies = self.of.get(who).map_or(&[][..], SmallVec::as_slice);
        let counting = || {
            replies
                .iter()
                .filter(|reply| reply.at_ms.saturating_add(COUNTS_MS) > now_ms)
        };
        let confirmed = confirms.is_some() && counting().any(|reply| reply.confirmed == confirms);
        !confirmed && counting().filter(|reply| senders.contains(&reply.sender)).count() < max
    }

    pub(crate) fn add(&mut self, who: &Pseudonym, sender: u64, confirmed: Option<ScopeId>, at_ms: u64) {
        self.forget(at_ms);
        self.of.entry(*who).or_default().push(Reply {
            at_ms,
            sender,
            confirmed,
        });
        self.order.push_back((at_ms, *who));
    }

    pub(crate) fn take_back(&mut self, who: &Pseudonym, sender: u64, at_ms: u64) {
        if let Some(replies) = self.of.get_mut(who)
            && let Some(at) = replies
                .iter()
                .rposition(|reply| reply.sender == sender && reply.at_ms == at_ms)
        {
            replies.remove(at);
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
        if let Some(replies) = self.of.remove(from) {
            self.of.entry(*to).or_default().extend(replies);
            self.renamed.note(from, to, at_ms);
        }
    }

    /// Lets go of what counts no more. A clock that is set back lets nothing go early.
    pub(crate) fn forget(&mut self, now_ms: u64) {
        while let Some((at_ms, who)) = self.order.front().copied()
            && at_ms.saturating_add(COUNTS_MS) <= now_ms
        {
            self.order.pop_front();
            let who = self.renamed.name(&who);
            let gone = self.of.get_mut(&who).is_some_and(|replies| {
                replies.retain(|reply| reply.at_ms.saturating_add(COUNTS_MS) > now_ms);
                replies.is_empty()
            });
            if gone {
                self.of.remove(&who);
            }
        }
        self.renamed.forget(COUNTS_MS, now_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_later_a_reply_counts_no_more_and_not_a_millisecond_before() {
        let who = Pseudonym::from_octets([1; 16]);
        let mut replies = Replies::default();
        let scope = Some(ScopeId(4));
        assert!(replies.allow(&who, &[9], 5, scope, 1_000));
        replies.add(&who, 9, scope, 1_000);
        let end = 1_000 + COUNTS_MS;
        assert!(!replies.allow(&who, &[9], 5, scope, end - 1), "confirmed");
        assert!(replies.allow(&who, &[9], 5, scope, end));
        assert!(
            replies.allow(&who, &[9], 5, Some(ScopeId(5)), 2_000),
            "another scope"
        );
        for n in 2..=5 {
            assert!(replies.allow(&who, &[9], 5, None, 2_000), "{n}");
            replies.add(&who, 9, None, 2_000);
        }
        assert!(!replies.allow(&who, &[9], 5, None, 2_000), "five are given");
        assert!(
            replies.allow(&who, &[8], 5, None, 2_000),
            "of another sender none is"
        );
        replies.take_back(&who, 9, 2_000);
        assert!(replies.allow(&who, &[9], 5, None, 2_000));
        replies.add(&who, 9, None, end + 2_000);
        assert_eq!(
            (replies.order.len(), replies.of.len()),
            (1, 1),
            "what counts no more is gone"
        );
    }
}
