//! Ends of consents (compliance.md §7, class `consent`): what was said of a consent goes when what it was for has been over long
//! enough. Of a withdrawal nothing stays but that it was said, where, and when: it keeps older lists from bringing the consent back.

use std::fmt;
use std::sync::Arc;

use hashbrown::HashMap;
use smallvec::SmallVec;
use tidegate_codec::identity::SystemId;

use super::journal::Record;
use super::{Change, Grant, Scope, What, bits};
use crate::message_id::MessageId;
use crate::pseudonym::Pseudonym;

/// A withdrawal: of which scope, which change, when, of which categories.
type Withdrawal = (Scope, MessageId, u64, u8);
/// Says whether what an account recorded then of a consent to a scope is over, if the consent was taken back at that time.
type IsOver = dyn Fn(SystemId, &Scope, u64, Option<u64>) -> bool + Send + Sync;

/// When what was given was taken back by those that stand behind it, oldest first: by the one with which none of its categories is
/// left. Never before it was given. Times in unix milliseconds.
fn taken_back((given_ms, categories): (u64, u8), behind: impl Iterator<Item = (u64, u8)>) -> Option<u64> {
    let mut left = bits(categories);
    for (at_ms, categories) in behind {
        left &= !bits(categories);
        if left == 0 {
            return Some(at_ms.max(given_ms));
        }
    }
    None
}

/// When what each of these changes of one person says ended what it was for, in unix milliseconds: a consent with its withdrawal, a
/// withdrawal at once; `None` of what holds, and of what is no consent. Oldest first.
pub fn ended(changes: &[Change]) -> Vec<Option<u64>> {
    let of = |at: usize, change: &Change| match &change.what {
        What::Consent {
            grant: Grant::Withdrawn,
            ..
        } => Some(change.at_ms),
        What::Consent {
            scope, categories, ..
        } => {
            let behind = changes.iter().skip(at + 1).filter_map(|other| match &other.what {
                What::Consent {
                    grant: Grant::Withdrawn,
                    scope: there,
                    categories,
                } if there == scope => Some((other.at_ms, *categories)),
                _ => None,
            });
            taken_back((change.at_ms, *categories), behind)
        }
        _ => None,
    };
    let all = changes.iter().enumerate();
    all.map(|(at, change)| of(at, change)).collect()
}

/// What becomes of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It stays as it is.
    Stays,
    /// What is sealed with it goes.
    Bare,
    /// All of it goes.
    Gone,
}

/// Which consents are over, by whoever knows the rules, and by the withdrawals of a journal.
#[derive(Clone)]
pub struct Ends {
    is_over: Arc<IsOver>,
    /// Newest first.
    withdrawn: Arc<HashMap<Pseudonym, SmallVec<[Withdrawal; 1]>>>,
}

impl Ends {
    /// By rules; it knows of no withdrawals yet. They are asked about an account, a scope, when something was said, and when the
    /// consent was taken back if it was, in unix milliseconds.
    pub fn new(is_over: impl Fn(SystemId, &Scope, u64, Option<u64>) -> bool + Send + Sync + 'static) -> Self {
        Self {
            is_over: Arc::new(is_over),
            withdrawn: Arc::default(),
        }
    }

    /// What the rules say of something that was said of a consent.
    pub fn is_over(&self, account: SystemId, scope: &Scope, said_ms: u64, back_ms: Option<u64>) -> bool {
        (self.is_over)(account, scope, said_ms, back_ms)
    }

    /// By other rules, with the withdrawals of these.
    #[must_use]
    pub fn with_rules_of(&self, other: &Self) -> Self {
        Self {
            is_over: Arc::clone(&other.is_over),
            withdrawn: Arc::clone(&self.withdrawn),
        }
    }

    /// Takes in the withdrawals of a stretch of a journal, oldest first; of stretches the newest comes first.
    pub(super) fn learn(&mut self, stretch: Vec<(MessageId, Change)>) {
        let withdrawn = Arc::make_mut(&mut self.withdrawn);
        for (id, change) in stretch.into_iter().rev() {
            match change.what {
                What::Consent {
                    grant: Grant::Withdrawn,
                    scope,
                    categories,
                } => {
                    let all = withdrawn.entry(change.who).or_default();
                    all.push((scope, id, change.at_ms, categories));
                }
                // What was said under the older name was taken back under the newer.
                What::Renamed { to } => {
                    if let Some(behind) = withdrawn.get(&to).cloned() {
                        withdrawn.entry(change.who).or_default().extend(behind);
                    }
                }
                _ => {}
            }
        }
    }

    /// Whether there is something to learn of a change.
    pub(super) const fn learns(change: &Change) -> bool {
        matches!(
            change.what,
            What::Renamed { .. }
                | What::Consent {
                    grant: Grant::Withdrawn,
                    ..
                }
        )
    }

    pub(super) fn fate(&self, record: &Record<'_>) -> Fate {
        let (account, at_ms) = (record.account, record.change.at_ms);
        let What::Consent {
            grant,
            scope,
            categories,
        } = &record.change.what
        else {
            return Fate::Stays;
        };
        if *grant == Grant::Withdrawn {
            let is_bare = record.sealed.is_empty();
            return match !is_bare && (self.is_over)(account, scope, at_ms, Some(at_ms)) {
                true => Fate::Bare,
                false => Fate::Stays,
            };
        }
        let all = self.withdrawn.get(&record.change.who);
        let behind = all
            .into_iter()
            .flat_map(|all| all.iter().rev())
            .filter(|(there, id, ..)| there == scope && *id > record.id)
            .map(|(_, _, at_ms, categories)| (*at_ms, *categories));
        let taken_back = taken_back((at_ms, *categories), behind);
        match (self.is_over)(account, scope, at_ms, taken_back) {
            true => Fate::Gone,
            false => Fate::Stays,
        }
    }
}

impl fmt::Debug for Ends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ends({} people)", self.withdrawn.len())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Private, Via};
    use super::*;

    fn said(grant: Grant, at_ms: u64, scope: &str, categories: u8) -> Change {
        Change {
            who: Pseudonym::from_octets([7; 16]),
            at_ms,
            event: 0,
            via: Via::Command,
            what: What::Consent {
                grant,
                scope: Scope::account(scope),
                categories,
            },
            private: Private::default(),
        }
    }

    /// CON-2: each ends with what takes all of it back, and what is given anew begins anew.
    #[test]
    fn a_consent_ends_with_what_takes_all_of_it_back() {
        use Grant::{Given, Renewed, Withdrawn};
        let all = [
            said(Given, 10, "shop", 0b11),
            said(Given, 20, "bank", 0b01),
            said(Withdrawn, 30, "shop", 0b01),
            said(Renewed, 40, "shop", 0b01),
            said(Withdrawn, 35, "shop", 0),
            said(Renewed, 60, "shop", 0),
            said(Withdrawn, 70, "shop", 0b01),
        ];
        let ended = ended(&all);
        assert_eq!(
            ended,
            [Some(35), None, Some(30), Some(40), Some(35), None, Some(70)],
            "never before it was given; one to all categories only by one of all"
        );
    }

    /// PSN-4: what stands under an older name was taken back under the newer one, and not the other way round.
    #[test]
    fn a_withdrawal_is_of_all_names_that_the_person_had_before() {
        let names = [1, 2, 3].map(|name| Pseudonym::from_octets([name; 16]));
        let renamed = |from: usize, to: usize| Change {
            who: names[from],
            what: What::Renamed { to: names[to] },
            ..said(Grant::Given, 0, "shop", 0)
        };
        let mut ends = Ends::new(|_, _, _, back_ms| back_ms.is_some());
        let back = Change {
            who: names[2],
            ..said(Grant::Withdrawn, 90, "shop", 0)
        };
        ends.learn(vec![(MessageId(8), renamed(1, 2)), (MessageId(9), back)]);
        ends.learn(vec![(MessageId(4), renamed(0, 1))]);
        let fate = |who: usize, id: u64, scope: &str| {
            let change = Change {
                who: names[who],
                ..said(Grant::Given, 5, scope, 1)
            };
            ends.fate(&Record {
                id: MessageId(id),
                account: SystemId::new(b"shop").unwrap(),
                change,
                key: crate::seal::KeyId(1),
                sealed: &[],
            })
        };
        let fates = [fate(0, 1, "shop"), fate(1, 5, "shop"), fate(2, 8, "shop")];
        assert_eq!(fates, [Fate::Gone; 3]);
        assert_eq!(
            (fate(2, 10, "shop"), fate(0, 1, "bank")),
            (Fate::Stays, Fate::Stays)
        );
    }
}
