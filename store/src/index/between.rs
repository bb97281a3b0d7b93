//! Legs that wait for a carrier, by the two numbers they are between.

use std::hash::BuildHasher;

use super::{Index, Leg, LegId};
use crate::addresses::Addresses;
use crate::names::NameId;
use crate::slots::Slots;

/// Legs that have begun to wait and may stand in no pair's list yet.
const NEWCOMERS_MAX: usize = 1 << 16;

impl Index {
    /// Legs of an account that wait for a carrier between two numbers, whatever TON and NPI; those that began to wait
    /// last come first. None of them is leased, or with a carrier. [`Index::pair_up`] comes before.
    pub fn between(&self, account: NameId, addresses: &Addresses) -> impl Iterator<Item = (LegId, &Leg)> {
        let bare = addresses.bare();
        let hash = self.hasher.hash_one((account, &bare));
        let is_same = |slot| is_between(&self.legs, slot, account, &bare);
        let newest = self.by_pair.newest(hash, is_same);
        self.by_pair
            .from(newest)
            .filter_map(|slot| Some((self.id_of(slot), self.legs.at(slot)?)))
    }

    /// Begins to walk along the same legs a little at a time, instead of any walk before. What begins to wait from here
    /// on is not met, nor what is leased or ends before its turn comes.
    pub(crate) fn begin_walk(&mut self, account: NameId, addresses: &Addresses) {
        self.pair_up();
        let bare = addresses.bare();
        let hash = self.hasher.hash_one((account, &bare));
        let legs = &self.legs;
        self.by_pair
            .begin_walk(hash, |slot| is_between(legs, slot, account, &bare));
    }

    /// The next leg of the walk.
    pub(crate) fn walk_on(&mut self) -> Option<LegId> {
        let slot = self.by_pair.walk_on()?;
        Some(self.id_of(slot))
    }

    /// Whether the walk is over.
    pub(crate) const fn is_walked(&self) -> bool {
        self.by_pair.is_walked()
    }

    /// Puts what has begun to wait and still does into the list of its pair.
    pub(crate) fn pair_up(&mut self) {
        let Self {
            legs,
            hasher,
            by_pair,
            newcomers,
            ..
        } = self;
        let hash_of = |leg: &Leg| hasher.hash_one((leg.account, leg.envelope.addresses.bare()));
        for id in newcomers.drain(..) {
            let slot = id.0.slot();
            let Some(leg) = legs.get(id.0).filter(|leg| is_pending(leg) && !by_pair.has(slot)) else {
                continue;
            };
            let bare = leg.envelope.addresses.bare();
            by_pair.add(
                slot,
                hash_of(leg),
                |slot| is_between(legs, slot, leg.account, &bare),
                |slot| legs.at(slot).map_or(0, hash_of),
            );
        }
    }

    pub(super) fn newcomer(&mut self, id: LegId) {
        if !self.get(id).is_some_and(is_pending) {
            return;
        }
        if self.newcomers.len() >= NEWCOMERS_MAX {
            self.pair_up();
        }
        self.newcomers.push(id);
    }

    pub(super) fn leave_pair(&mut self, slot: u32) {
        let (legs, hasher) = (&self.legs, &self.hasher);
        self.by_pair.remove(slot, || {
            legs.at(slot).map_or(0, |leg| {
                hasher.hash_one((leg.account, leg.envelope.addresses.bare()))
            })
        });
    }
}

/// Whether a leg waits for a carrier and nobody has it under way.
fn is_pending(leg: &Leg) -> bool {
    leg.stage.is_ahead() && !leg.leased
}

fn is_between(legs: &Slots<Leg>, slot: u32, account: NameId, bare: &Addresses) -> bool {
    legs.at(slot)
        .is_some_and(|leg| leg.account == account && leg.envelope.addresses.bare() == *bare)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tidegate_codec::address::{AddressBuf, Npi, Ton};
    use tidegate_codec::message_id::MessageIdText;

    use super::*;
    use crate::testing::leg;

    /// A leg between numbers that are told apart by `to`, of an account.
    fn between(message: u64, account: u16, to: u8, ton: u8) -> Leg {
        let mut leg = leg(message, 0);
        leg.account = NameId(account);
        let number = |ton, digit: u8| AddressBuf::new(Ton(ton), Npi(1), &[b'4', b'0' + digit]).unwrap();
        leg.envelope.addresses = Addresses::new(&number(5, 0), &number(ton, to));
        leg
    }

    fn found(index: &mut Index, leg: &Leg) -> Vec<u64> {
        index.pair_up();
        index
            .between(leg.account, &leg.envelope.addresses)
            .map(|(_, leg)| leg.message.0)
            .collect()
    }

    #[test]
    fn what_waits_is_found_by_its_two_numbers_and_what_is_leased_or_handed_over_is_not() {
        let mut index = Index::new(10);
        let ids: Vec<LegId> = (1..=3)
            .map(|n| index.insert(between(n, 0, 1, 1), MessageIdText::default()))
            .collect();
        index.insert(between(4, 1, 1, 1), MessageIdText::default());
        index.insert(between(5, 0, 2, 1), MessageIdText::default());
        index.insert(between(6, 0, 1, 0), MessageIdText::default());
        let asked = between(0, 0, 1, 1);
        assert_eq!(found(&mut index, &asked), [6, 3, 2, 1], "the newest first");
        index.set_leased(ids[1], true);
        assert_eq!(found(&mut index, &asked), [6, 3, 1]);
        index.set_leased(ids[1], false);
        assert_eq!(found(&mut index, &asked), [2, 6, 3, 1]);
        // By a late answer, so without having been leased; and behind a lease.
        index.take_over(ids[0]);
        index.set_leased(ids[2], true);
        index.take_over(ids[2]);
        index.set_leased(ids[2], false);
        assert_eq!(found(&mut index, &asked), [2, 6]);
        index.remove(ids[1]);
        assert_eq!(found(&mut index, &asked), [6]);
    }

    #[test]
    fn a_leg_that_goes_straight_to_a_carrier_stands_in_no_list_of_its_pair() {
        let mut index = Index::new(10);
        let mut leg = between(1, 0, 1, 1);
        leg.leased = true;
        let id = index.insert(leg, MessageIdText::default());
        index.set_leased(id, false);
        index.set_leased(id, true);
        index.pair_up();
        assert!(!index.by_pair.has(id.0.slot()));
        // And what begins to wait and is not asked for does not pile up.
        for n in 0..=NEWCOMERS_MAX as u64 {
            index.insert(between(n + 2, 0, 1, 1), MessageIdText::default());
        }
        assert!(index.newcomers.len() <= NEWCOMERS_MAX);
    }

    proptest! {
        #[test]
        fn the_lists_of_pairs_hold_what_waits_and_nothing_else(
            steps in proptest::collection::vec((0u8..8, 0u16..2, 0u8..3, 0usize..20), 1..200),
        ) {
            let mut index = Index::new(1000);
            let mut ids: Vec<LegId> = Vec::new();
            for (number, (step, account, to, which)) in steps.into_iter().enumerate() {
                let id = ids.get(which).copied();
                match (step, id) {
                    (0..=2, _) | (_, None) => {
                        let mut leg = between(number as u64, account, to, u8::from(step == 0));
                        leg.leased = step == 1;
                        ids.push(index.insert(leg, MessageIdText::default()));
                    }
                    (3, Some(id)) => index.set_leased(id, true),
                    (4, Some(id)) => index.set_leased(id, false),
                    (5, Some(id)) => {
                        index.take_over(id);
                    }
                    (6, Some(id)) => {
                        index.remove(id);
                        ids.swap_remove(which);
                    }
                    (_, Some(_)) => index.pair_up(),
                }
            }
            for (account, to) in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)] {
                let asked = between(0, account, to, 1);
                let mut have = found(&mut index, &asked);
                let mut walked = Vec::new();
                index.begin_walk(asked.account, &asked.envelope.addresses);
                while let Some(id) = index.walk_on() {
                    walked.push(index.get(id).unwrap().message.0);
                }
                prop_assert_eq!(&have, &walked);
                let is_meant = |leg: &&Leg| {
                    is_pending(leg)
                        && leg.account == asked.account
                        && leg.envelope.addresses.bare() == asked.envelope.addresses.bare()
                };
                let all = index.iter().map(|(_, leg)| leg).filter(is_meant);
                let mut expected: Vec<u64> = all.map(|leg| leg.message.0).collect();
                have.sort_unstable();
                expected.sort_unstable();
                prop_assert_eq!(have, expected);
            }
        }
    }
}
