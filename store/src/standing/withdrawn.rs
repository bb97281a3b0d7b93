//! Consents that were taken back: what some file says of before then brings nothing back (CON-2).

use super::{Change, Scope, ScopeId, Standing, What};
use crate::pseudonym::Pseudonym;

/// When a consent was taken back last, and to which categories.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Withdrawn {
    pub(super) at_ms: u64,
    /// A bit each, and all of them for all.
    pub(super) categories: u8,
}

/// The categories of a consent, 0 being all, as bits.
pub(super) const fn bits(categories: u8) -> u8 {
    if categories == 0 { 0xff } else { categories }
}

impl Standing {
    /// When a person took a consent to any of these categories back, 0 being all, and has not given it anew since but by
    /// some file, in unix milliseconds.
    pub fn withdrawn_at(&self, who: &Pseudonym, scope: &Scope, categories: u8) -> Option<u64> {
        let id = self.scopes.find(scope)?;
        let all = self.withdrawn.get(who)?;
        let (_, found) = all.iter().find(|(there, _)| *there == id)?;
        (found.categories & bits(categories) != 0).then_some(found.at_ms)
    }

    /// Somebody takes a consent back: it counts no more from here on.
    pub(super) fn withdraw(&mut self, change: &Change) {
        if let What::Consent {
            scope, categories, ..
        } = &change.what
        {
            let scope = self.scopes.intern(scope);
            self.consents.take(&change.who, scope, *categories);
            self.note_withdrawn(change, scope, *categories);
        }
    }

    /// Remembers it.
    pub(super) fn note_withdrawn(&mut self, change: &Change, scope: ScopeId, categories: u8) {
        let withdrawn = self.withdrawn_of(&change.who, scope);
        withdrawn.at_ms = withdrawn.at_ms.max(change.at_ms);
        withdrawn.categories |= bits(categories);
    }

    /// The place of what a person took back in a scope.
    pub(super) fn withdrawn_of(&mut self, who: &Pseudonym, scope: ScopeId) -> &mut Withdrawn {
        let all = self.withdrawn.entry(*who).or_default();
        let at = all
            .iter()
            .position(|(there, _)| *there == scope)
            .unwrap_or_else(|| {
                all.push((scope, Withdrawn::default()));
                all.len() - 1
            });
        &mut all[at].1
    }

    /// Somebody gives a consent anew: what was taken back of it before counts no more.
    pub(super) fn given_anew(&mut self, change: &Change, scope: ScopeId, categories: u8) {
        let Some(all) = self.withdrawn.get_mut(&change.who) else {
            return;
        };
        for (there, withdrawn) in all.iter_mut() {
            if *there == scope && withdrawn.at_ms <= change.at_ms {
                withdrawn.categories &= !bits(categories);
            }
        }
        all.retain(|(_, withdrawn)| withdrawn.categories != 0);
        if all.is_empty() {
            self.withdrawn.remove(&change.who);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message_id::MessageId;
    use crate::pseudonym::Secret;
    use crate::seal::KeyId;
    use crate::standing::{Grant, Private, Via};

    fn consent(grant: Grant, at_ms: u64, via: Via, categories: u8) -> Change {
        Change {
            who: Pseudonym::from_octets([7; 16]),
            at_ms,
            event: 0,
            via,
            what: What::Consent {
                grant,
                scope: Scope::account("A"),
                categories,
            },
            private: Private::default(),
        }
    }

    /// CON-2: what is staged counts, the newest withdrawal counts, and only who gives it anew takes it away.
    #[test]
    fn a_withdrawal_is_known_until_the_consent_is_given_anew_and_not_by_a_file() {
        let mut standing = Standing::new(&Secret::new(KeyId(1), &[7; 32]), &[]);
        let at = |standing: &Standing, categories| {
            let who = Pseudonym::from_octets([7; 16]);
            standing.withdrawn_at(&who, &Scope::account("A"), categories)
        };
        assert_eq!(at(&standing, 0), None);
        let _ = standing.staged(MessageId(1), &consent(Grant::Withdrawn, 50, Via::Command, 0b1));
        assert_eq!(
            (at(&standing, 0b1), at(&standing, 0), at(&standing, 0b10)),
            (Some(50), Some(50), None)
        );
        standing.apply(&consent(Grant::Withdrawn, 40, Via::Command, 0));
        assert_eq!(at(&standing, 0b10), Some(50), "the newest");
        standing.apply(&consent(Grant::Given, 60, Via::File, 0));
        standing.apply(&consent(Grant::Given, 49, Via::Command, 0));
        assert_eq!(at(&standing, 0), Some(50), "by a file, or before");
        standing.apply(&consent(Grant::Given, 50, Via::Message, 0b1));
        assert_eq!((at(&standing, 0b1), at(&standing, 0b10)), (None, Some(50)));
        standing.found(MessageId(2), &consent(Grant::Renewed, 70, Via::Command, 0));
        assert!(at(&standing, 0).is_none() && standing.withdrawn.is_empty());
        let other = Scope::brand("A");
        standing.found(MessageId(3), &consent(Grant::Withdrawn, 80, Via::Command, 0));
        let who = Pseudonym::from_octets([7; 16]);
        assert_eq!(
            (at(&standing, 0), standing.withdrawn_at(&who, &other, 0)),
            (Some(80), None)
        );
    }
}
