//! Whose turn it is where accounts wait for one carrier: each gets its share by weight, in parts.
//!
//! Every account stands at a place of one common scale and moves on by a stride for each part that is handed over; the
//! heavier it is, the shorter its stride. Who is furthest behind is next (stride scheduling), so that shares hold over
//! any few turns and a heavy account does not get them in one piece. Who had nothing to send joins where the others
//! are: what was not used is not saved up.
//!
//! Legs to a country that has a rate of its own at the carrier wait apart from all others, so that it costs nothing to
//! leave them alone while that rate is used up: each such country has a group of accounts. Of the groups that may send,
//! that goes whose first account is furthest behind on the common scale.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::num::NonZeroU16;

use tidegate_store::names::NameId;

use crate::admission::Country;

/// The stride of weight 1. Of weight 1 000 it is still long enough to be exact to a thousandth, and a million parts a
/// second take half a year to the end of the scale, where turns become plain ones.
const STRIDE: u64 = 1 << 20;

/// How heavy each account is, by its number in the spool. The one place that all queues read.
#[derive(Debug, Default)]
pub struct Weights(Vec<NonZeroU16>);

impl Weights {
    /// Sets an account's weight, which counts from the next part on.
    pub fn set(&mut self, account: NameId, weight: NonZeroU16) {
        let place = usize::from(account.0);
        if self.0.len() <= place {
            self.0.resize(place + 1, NonZeroU16::MIN);
        }
        if let Some(found) = self.0.get_mut(place) {
            *found = weight;
        }
    }

    /// How far an account moves on for a part. One that is configured no more and has legs left weighs 1.
    fn stride(&self, account: NameId) -> u64 {
        let weight = self.0.get(usize::from(account.0));
        STRIDE / u64::from(weight.map_or(1, |weight| weight.get()))
    }
}

/// Where an account stands; of two that stand together, the one that came first is first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    at: u64,
    order: u64,
    account: NameId,
}

/// Which group: its place in the order in which they came.
pub(super) type GroupIndex = u16;

/// The accounts that have something to send to one country with a rate of its own, or to all others.
#[derive(Debug)]
struct Group {
    country: Option<Country>,
    /// Places are this scale's own: lower than those of the common one by the lift.
    heap: BinaryHeap<Reverse<Turn>>,
    /// What the others were given while this country had to wait is not made up for, and the accounts keep their
    /// places among each other.
    lift: u64,
}

impl Group {
    /// Its first account, with its place on the common scale.
    fn first(&mut self, stands: &[u64], front: u64) -> Option<Turn> {
        loop {
            let mut first = self.heap.peek_mut()?;
            let turn = first.0;
            self.lift = self.lift.max(front.saturating_sub(turn.at));
            let at = turn.at.saturating_add(self.lift);
            let stands = stands.get(usize::from(turn.account.0)).copied().unwrap_or(0);
            if stands <= at {
                return Some(Turn { at, ..turn });
            }
            // It has sent something in another group since. Its order stays, so that its groups take turns.
            first.0.at = stands.saturating_sub(self.lift);
        }
    }
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Next {
    pub(super) account: NameId,
    pub(super) group: GroupIndex,
    /// The group's.
    pub(super) country: Option<Country>,
    /// Its place on the common scale.
    pub(super) at: u64,
}

/// The turns of the accounts that have something to send.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// One for each country that ever had a rate of its own, so no more than there are countries, and one for the rest.
    groups: Vec<Group>,
    /// Those that cannot send at the moment.
    passed: Vec<(NameId, GroupIndex)>,
    /// Where each account stands that has sent something, by its number in the spool.
    stands: Vec<u64>,
    /// Where the last one stood that was served: those who join begin here.
    front: u64,
    joined: u64,
}

impl Turns {
    /// The group of a country.
    pub(super) fn group(&mut self, country: Option<Country>) -> GroupIndex {
        let place = self.groups.iter().position(|group| group.country == country);
        let place = place.unwrap_or_else(|| {
            self.groups.push(Group {
                country,
                heap: BinaryHeap::new(),
                lift: 0,
            });
            self.groups.len() - 1
        });
        // There are a few hundred countries.
        GroupIndex::try_from(place).unwrap_or(GroupIndex::MAX)
    }

    /// The country of each group.
    pub(super) fn countries(&self) -> impl Iterator<Item = (GroupIndex, Option<Country>)> {
        (0..).zip(self.groups.iter().map(|group| group.country))
    }

    /// Whether there is more than one group.
    pub(super) fn has_countries(&self) -> bool {
        self.groups.len() > 1
    }

    /// An account has something to send in this group. Who leaves and comes back is no further behind for it.
    pub(super) fn join(&mut self, account: NameId, group: GroupIndex) {
        let (front, stands) = (self.front, self.stands_at(account));
        self.joined += 1;
        let order = self.joined;
        let Some(group) = self.groups.get_mut(usize::from(group)) else {
            return;
        };
        // Those who wait there are no further behind than anybody else.
        if let Some(Reverse(first)) = group.heap.peek() {
            group.lift = group.lift.max(front.saturating_sub(first.at));
        }
        let at = stands.max(front).saturating_sub(group.lift);
        group.heap.push(Reverse(Turn { at, order, account }));
    }

    fn stands_at(&self, account: NameId) -> u64 {
        self.stands.get(usize::from(account.0)).copied().unwrap_or(0)
    }

    /// Whose turn it is, among those who send where this says yes.
    pub(super) fn first(&mut self, is_open: impl Fn(Option<Country>) -> bool) -> Option<Next> {
        let mut first: Option<(u64, Next)> = None;
        for (place, group) in (0..).zip(&mut self.groups) {
            if group.heap.is_empty() || !is_open(group.country) {
                continue;
            }
            let Some(turn) = group.first(&self.stands, self.front) else {
                continue;
            };
            if first.is_none_or(|(order, next)| (turn.at, turn.order) < (next.at, order)) {
                let next = Next {
                    account: turn.account,
                    group: place,
                    country: group.country,
                    at: turn.at,
                };
                first = Some((turn.order, next));
            }
        }
        first.map(|(_, next)| next)
    }

    /// The one whose turn it was has sent so many parts, in the group that is said there.
    pub(super) fn charge(&mut self, next: Next, parts: u32, weights: &Weights) {
        if parts == 0 {
            return;
        }
        let Next {
            account, group, at, ..
        } = next;
        self.front = self.front.max(at);
        let way = weights.stride(account).saturating_mul(u64::from(parts));
        let at = at.saturating_add(way);
        let place = usize::from(account.0);
        if self.stands.len() <= place {
            self.stands.resize(place + 1, 0);
        }
        if let Some(stands) = self.stands.get_mut(place) {
            *stands = at;
        }
        self.joined += 1;
        // Where it is not the first of a group, that is seen when it would be.
        if let Some(group) = self.groups.get_mut(usize::from(group))
            && let Some(mut first) = group.heap.peek_mut()
            && first.0.account == account
        {
            first.0 = Turn {
                at: at.saturating_sub(group.lift),
                order: self.joined,
                account,
            };
        }
    }

    /// An account has nothing more to send in this group.
    pub(super) fn leave(&mut self, account: NameId, group: GroupIndex) {
        if let Some(found) = self.groups.get_mut(usize::from(group))
            && let Some(first) = found.heap.peek_mut()
            && first.0.account == account
        {
            PeekMut::pop(first);
            return;
        }
        // An operator takes what is not first, or what is more urgent goes.
        self.retain(|other, there| other != account || there != group);
    }

    /// An account cannot send now in this group: the others go on without it, until [`Turns::resume`].
    pub(super) fn pass_over(&mut self, account: NameId, group: GroupIndex) {
        self.leave(account, group);
        self.passed.push((account, group));
    }

    /// Whether it was passed over.
    pub(super) fn is_passed(&self, account: NameId, group: GroupIndex) -> bool {
        self.passed.contains(&(account, group))
    }

    /// Those that were passed over take part again. What the others were given meanwhile is not made up for: that would
    /// be a time in which these get everything.
    pub(super) fn resume(&mut self) {
        while let Some((account, group)) = self.passed.pop() {
            self.join(account, group);
        }
    }

    /// Keeps those that have something to send.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(NameId, GroupIndex) -> bool) {
        for (place, group) in (0..).zip(&mut self.groups) {
            group.heap.retain(|Reverse(turn)| keep(turn.account, place));
        }
        self.passed.retain(|(account, group)| keep(*account, *group));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: NameId = NameId(0);
    const B: NameId = NameId(1);

    fn weights(of: &[u16]) -> Weights {
        let mut weights = Weights::default();
        for (account, weight) in (0..).zip(of) {
            weights.set(NameId(account), NonZeroU16::new(*weight).unwrap());
        }
        weights
    }

    const REST: GroupIndex = 0;
    const GB: GroupIndex = 1;

    fn turns() -> Turns {
        let mut turns = Turns::default();
        assert_eq!(turns.group(None), REST);
        turns
    }

    /// The same with a country that has a rate of its own.
    fn turns_with_gb() -> Turns {
        let mut turns = turns();
        assert_eq!(turns.group(Some(*b"GB")), GB);
        assert_eq!(turns.group(Some(*b"GB")), GB);
        turns
    }

    /// One part of whose turn it is.
    fn serve(turns: &mut Turns, weights: &Weights) -> NameId {
        let next = turns.first(|_| true).unwrap();
        turns.charge(next, 1, weights);
        next.account
    }

    /// Parts that each account sends in so many turns.
    fn served(turns: &mut Turns, weights: &Weights, count: usize, parts: impl Fn(NameId) -> u32) -> [u32; 2] {
        let mut served = [0; 2];
        for _ in 0..count {
            let next = turns.first(|_| true).unwrap();
            let account = next.account;
            turns.charge(next, parts(account), weights);
            served[usize::from(account.0)] += parts(account);
        }
        served
    }

    #[test]
    fn shares_are_as_the_weights_are_over_any_few_turns() {
        for (a, b) in [(1, 1), (1, 3), (7, 2), (1, 1_000), (1_000, 999)] {
            let (mut turns, weights) = (turns(), weights(&[a, b]));
            turns.join(A, REST);
            turns.join(B, REST);
            let round = usize::from(a + b);
            for _ in 0..5 {
                let [of_a, of_b] = served(&mut turns, &weights, round, |_| 1);
                assert!(of_a.abs_diff(u32::from(a)) <= 1, "{a}:{b}: {of_a} and {of_b}");
            }
        }
    }

    #[test]
    fn parts_count_and_not_messages() {
        let (mut turns, weights) = (turns(), weights(&[1, 1]));
        turns.join(A, REST);
        turns.join(B, REST);
        let [a, b] = served(
            &mut turns,
            &weights,
            1_100,
            |account| {
                if account == A { 10 } else { 1 }
            },
        );
        assert!(a.abs_diff(b) <= 10, "{a} and {b}");
    }

    #[test]
    fn who_had_nothing_to_send_has_saved_nothing_up_and_owes_nothing() {
        let (mut turns, weights) = (turns(), weights(&[1, 1]));
        turns.join(B, REST);
        serve(&mut turns, &weights);
        turns.leave(B, REST);
        turns.join(A, REST);
        served(&mut turns, &weights, 10_000, |_| 1);
        turns.join(B, REST);
        let [a, b] = served(&mut turns, &weights, 100, |_| 1);
        assert!((49..=51).contains(&b), "{a} and {b}");
        // Who leaves after every part and comes back at once gets no more than who stays.
        let mut b = 0;
        for _ in 0..100 {
            if serve(&mut turns, &weights) == B {
                b += 1;
                turns.leave(B, REST);
                turns.join(B, REST);
            }
        }
        assert!((49..=51).contains(&b), "{b}");
    }

    #[test]
    fn who_is_passed_over_holds_up_nobody_and_takes_no_more_than_its_share_later() {
        let (mut turns, weights) = (turns(), weights(&[1, 1]));
        turns.join(A, REST);
        turns.join(B, REST);
        for _ in 0..1_000 {
            turns.pass_over(A, REST);
            assert!(turns.is_passed(A, REST) && !turns.is_passed(B, REST));
            assert_eq!(serve(&mut turns, &weights), B);
            turns.resume();
        }
        let [a, b] = served(&mut turns, &weights, 100, |_| 1);
        assert!((49..=51).contains(&a), "{a} and {b}");
    }

    #[test]
    fn a_weight_that_changes_counts_from_the_next_part_on() {
        let (mut turns, mut weights) = (turns(), weights(&[1, 1]));
        turns.join(A, REST);
        turns.join(B, REST);
        served(&mut turns, &weights, 1_000, |_| 1);
        weights.set(A, NonZeroU16::new(4).unwrap());
        let [a, b] = served(&mut turns, &weights, 500, |_| 1);
        assert!((399..=401).contains(&a), "{a} and {b}");
    }

    #[test]
    fn at_the_end_of_the_scale_turns_are_plain_ones() {
        let (mut turns, weights) = (turns(), weights(&[1, 1_000]));
        turns.stands = vec![u64::MAX - 5; 2];
        turns.join(A, REST);
        turns.join(B, REST);
        let [a, b] = served(&mut turns, &weights, 100, |_| 1);
        assert!((49..=51).contains(&a), "{a} and {b}");
    }

    #[test]
    fn a_country_that_has_to_wait_holds_up_nobody_and_nothing_is_made_up_for() {
        let (mut turns, weights) = (turns_with_gb(), weights(&[1, 1]));
        turns.join(A, GB);
        turns.join(B, REST);
        for _ in 0..1_000 {
            let next = turns.first(|country| country.is_none()).unwrap();
            assert_eq!((next.account, next.group), (B, REST));
            turns.charge(next, 1, &weights);
        }
        assert_eq!(turns.first(|country| country == Some(*b"FR")), None);
        let [a, b] = served(&mut turns, &weights, 100, |_| 1);
        assert!((49..=51).contains(&a), "{a} and {b}");
    }

    #[test]
    fn who_sends_to_many_countries_gets_no_more_than_who_sends_to_one() {
        let (mut turns, weights) = (turns_with_gb(), weights(&[1, 1]));
        let fr = turns.group(Some(*b"FR"));
        for group in [REST, GB, fr] {
            turns.join(A, group);
        }
        turns.join(B, REST);
        let mut by_group = [0; 3];
        let mut of_b = 0;
        for _ in 0..600 {
            let next = turns.first(|_| true).unwrap();
            turns.charge(next, 1, &weights);
            if next.account == B {
                of_b += 1;
            } else {
                by_group[usize::from(next.group)] += 1;
            }
        }
        assert!((299..=301).contains(&of_b), "{of_b}");
        // And its own countries take turns.
        assert!(
            by_group.iter().all(|count| (98..=102).contains(count)),
            "{by_group:?}"
        );
    }

    /// One that joins in the middle is no further behind, and no further ahead, than those who wait there.
    #[test]
    fn inside_a_country_that_is_the_bottleneck_shares_are_as_the_weights_are() {
        let (mut turns, weights) = (turns_with_gb(), weights(&[3, 1, 1]));
        let other = NameId(2);
        turns.join(A, GB);
        turns.join(other, REST);
        let mut served = [0; 3];
        for turn in 0..50_000 {
            if turn == 10_000 {
                turns.join(B, GB);
                served = [0; 3];
            }
            let is_open = turn % 100 == 0;
            let next = turns.first(|country| country.is_none() || is_open).unwrap();
            turns.charge(next, 1, &weights);
            served[usize::from(next.account.0)] += 1;
        }
        let [a, b, _] = served;
        assert!((299..=301).contains(&a) && (99..=101).contains(&b), "{served:?}");
    }

    #[test]
    fn who_leaves_one_country_still_stands_for_the_others() {
        let (mut turns, weights) = (turns_with_gb(), weights(&[1, 1]));
        turns.join(A, GB);
        turns.join(A, REST);
        turns.join(B, GB);
        turns.leave(A, GB);
        turns.leave(B, GB);
        for _ in 0..10 {
            let next = turns.first(|_| true).unwrap();
            assert_eq!((next.account, next.group), (A, REST));
            turns.charge(next, 1, &weights);
        }
        turns.retain(|_, group| group != REST);
        assert_eq!(turns.first(|_| true), None);
    }
}
