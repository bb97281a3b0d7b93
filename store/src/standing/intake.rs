//! What a start reads: a whole journal, taken into memory.

use super::people::Later;
use super::{Among, Change, Standing, What};
use crate::message_id::MessageId;

/// Octets of a change in the journal, most of which take half of it: for so many people a start makes room at once. Were it
/// for more, those who are in it several times would have room twice.
const CHANGE_OCTETS_MOST: u64 = 256;

/// Takes in what a journal holds, millions of changes mostly. A person at a time, each would wait for memory: those of a
/// part of the set are collected and go in together. One person's stay in their order, and so do all other effects; all
/// are in when this is dropped.
pub(crate) struct Intake<'s> {
    standing: &'s mut Standing,
    opt_outs: Later,
    consents: Later,
}

impl<'s> Intake<'s> {
    /// Of a journal of so many octets.
    pub(crate) fn new(standing: &'s mut Standing, octets: u64) -> Self {
        let expected = usize::try_from(octets / CHANGE_OCTETS_MOST).unwrap_or_default();
        Self {
            standing,
            opt_outs: Later::of_at_least(expected),
            consents: Later::default(),
        }
    }

    /// See [`Standing::found`].
    pub(crate) fn found(&mut self, id: MessageId, change: &Change) {
        if let What::Renamed { to } = &change.what {
            let (from, standing) = (change.who, &mut *self.standing);
            standing.rename_others(&from, to, change.at_ms);
            self.opt_outs.rename(from, *to, &mut standing.opt_outs);
            self.consents.rename(from, *to, &mut standing.consents);
        }
        match self.standing.found_but_people(id, change) {
            Some((Among::OptOuts, step)) => self.opt_outs.push(step, &mut self.standing.opt_outs),
            Some((Among::Consents, step)) => self.consents.push(step, &mut self.standing.consents),
            None => {}
        }
    }
}

impl Drop for Intake<'_> {
    fn drop(&mut self) {
        self.opt_outs.settle(&mut self.standing.opt_outs);
        self.consents.settle(&mut self.standing.consents);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::pseudonym::{Pseudonym, Secret};
    use crate::seal::KeyId;
    use crate::standing::{Grant, Origin, Origins, People, Private, Scope, Via};

    fn change((who, scope, what, via): (u8, u8, u8, bool)) -> Change {
        let scope = match scope {
            0 => Scope::account("A"),
            1 => Scope::account("B"),
            _ => Scope::pool("A", "a pool of a long name"),
        };
        let origin = Origin::ALL[usize::from(what % 4)];
        let what = match what {
            0..4 => What::Suppress {
                scope,
                origin,
                categories: what % 3,
            },
            4..8 => What::Lift {
                scope,
                origins: Origins::of(origin),
            },
            8..10 => What::Consent {
                grant: Grant::Given,
                scope,
                categories: what % 3,
            },
            10..12 => What::Consent {
                grant: Grant::Withdrawn,
                scope,
                categories: what % 3,
            },
            12 => What::Asked {
                sender: 1,
                asker: Scope::account("A"),
                scope,
                categories: 0,
            },
            _ => What::Member {
                child: Scope::sender(b"55555"),
                parent: scope,
            },
        };
        Change {
            // Of three parts of the set.
            who: Pseudonym::from_octets([who, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, who % 3]),
            at_ms: 1_000,
            event: 0,
            via: if via { Via::Command } else { Via::Message },
            what,
            private: Private::default(),
        }
    }

    /// Everything that a change has an effect on, in some order.
    fn state(standing: &Standing) -> impl PartialEq + std::fmt::Debug {
        let of = |people: &People| {
            let mut all: Vec<_> = people
                .iter()
                .map(|(who, stand)| {
                    (
                        *who.octets(),
                        stand.scope,
                        stand.origins.octet(),
                        stand.categories,
                    )
                })
                .collect();
            all.sort_unstable();
            (people.len(), all)
        };
        let asked: Vec<_> = (0..7)
            .map(|who| {
                let who = change((who, 0, 0, false)).who;
                (
                    standing.asked.awaits(&who, &[1], 1_000),
                    standing.overridden_until(&who),
                )
            })
            .collect();
        let scopes = standing.scopes.scopes.clone();
        let (opt_outs, consents) = (of(&standing.opt_outs), of(&standing.consents));
        (opt_outs, consents, asked, scopes, standing.newest_block)
    }

    proptest! {
        /// Whoever opts out, is lifted and opts out again, and whoever consents and withdraws: taken in together, with a
        /// thread or without, it is as if each change had been taken alone.
        #[test]
        fn changes_that_are_taken_in_together_leave_the_same(
            steps in prop::collection::vec((0..7u8, 0..3u8, 0..14u8, any::<bool>()), 0..600),
        ) {
            let new = || Standing::new(&Secret::new(KeyId(1), &[1; 32]), &[]);
            let (mut alone, mut together) = (new(), new());
            let mut intake = Intake::new(&mut together, 1 << 20);
            for (n, step) in (1..).zip(&steps) {
                let (id, change) = (MessageId(n), change(*step));
                alone.found(id, &change);
                intake.found(id, &change);
            }
            drop(intake);
            prop_assert_eq!(state(&together), state(&alone));
        }
    }
}
