//! Whose turn it is where accounts wait for one carrier: each gets its share by weight, in parts.
//!
//! Every account stands at a place of one common scale and moves on by a stride for each part that is handed over; the
//! heavier it is, the shorter its stride. Who is furthest behind is next (stride scheduling), so that shares hold over
//! any few turns and a heavy account does not get them in one piece. Who had nothing to send joins where the others
//! are: what was not used is not saved up.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::num::NonZeroU16;

use tidegate_store::names::NameId;

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

    /// Where an account that stood there stands after so many parts.
    pub(super) fn behind(&self, at: u64, account: NameId, parts: u32) -> u64 {
        at.saturating_add(self.stride(account).saturating_mul(u64::from(parts)))
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

/// The turns of the accounts that have something to send.
#[derive(Debug, Default)]
pub(super) struct Turns {
    heap: BinaryHeap<Reverse<Turn>>,
    /// Those that cannot send at the moment.
    passed: Vec<Turn>,
    /// Where the last one stood that was served: those who join begin here.
    front: u64,
    joined: u64,
}

impl Turns {
    /// An account has something to send. `left_at` is what [`Turns::leave`] said last, or 0: who leaves and comes back
    /// is no further behind for it.
    pub(super) fn join(&mut self, account: NameId, left_at: u64) {
        let at = left_at.max(self.front);
        self.insert(account, at);
    }

    fn insert(&mut self, account: NameId, at: u64) {
        let order = self.next_order();
        self.heap.push(Reverse(Turn { at, order, account }));
    }

    fn next_order(&mut self) -> u64 {
        self.joined += 1;
        self.joined
    }

    /// Whose turn it is.
    pub(super) fn first(&self) -> Option<NameId> {
        self.heap.peek().map(|Reverse(turn)| turn.account)
    }

    /// The first one has sent so many parts.
    pub(super) fn charge(&mut self, parts: u32, weights: &Weights) {
        if parts == 0 {
            return;
        }
        let order = self.next_order();
        let Some(mut first) = self.heap.peek_mut() else {
            return;
        };
        let Turn { at, account, .. } = first.0;
        self.front = self.front.max(at);
        first.0 = Turn {
            at: weights.behind(at, account, parts),
            order,
            account,
        };
    }

    /// An account has nothing more to send; where it stands.
    pub(super) fn leave(&mut self, account: NameId) -> u64 {
        if self.first() == Some(account)
            && let Some(first) = self.heap.peek_mut()
        {
            return PeekMut::pop(first).0.at;
        }
        // A charge has moved it from the front, or an operator takes what is not first.
        let mut left_at = 0;
        self.retain(|other, at| {
            if other == account {
                left_at = at;
            }
            other != account
        });
        left_at
    }

    /// An account cannot send now: the others go on without it, until [`Turns::resume`].
    pub(super) fn pass_over(&mut self, account: NameId) {
        let (at, order) = (self.leave(account), 0);
        self.passed.push(Turn { at, order, account });
    }

    /// Those that were passed over take part again. What the others were given meanwhile is not made up for: that would
    /// be a time in which these get everything.
    pub(super) fn resume(&mut self) {
        while let Some(Turn { at, account, .. }) = self.passed.pop() {
            self.insert(account, at.max(self.front));
        }
    }

    /// Keeps those that have something to send.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(NameId, u64) -> bool) {
        self.heap.retain(|Reverse(turn)| keep(turn.account, turn.at));
        self.passed.retain(|turn| keep(turn.account, turn.at));
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

    /// Parts that each account sends in so many turns.
    fn served(turns: &mut Turns, weights: &Weights, count: usize, parts: impl Fn(NameId) -> u32) -> [u32; 2] {
        let mut served = [0; 2];
        for _ in 0..count {
            let account = turns.first().unwrap();
            turns.charge(parts(account), weights);
            served[usize::from(account.0)] += parts(account);
        }
        served
    }

    #[test]
    fn shares_are_as_the_weights_are_over_any_few_turns() {
        for (a, b) in [(1, 1), (1, 3), (7, 2), (1, 1_000), (1_000, 999)] {
            let (mut turns, weights) = (Turns::default(), weights(&[a, b]));
            turns.join(A, 0);
            turns.join(B, 0);
            let round = usize::from(a + b);
            for _ in 0..5 {
                let [of_a, of_b] = served(&mut turns, &weights, round, |_| 1);
                assert!(of_a.abs_diff(u32::from(a)) <= 1, "{a}:{b}: {of_a} and {of_b}");
            }
        }
    }

    #[test]
    fn parts_count_and_not_messages() {
        let (mut turns, weights) = (Turns::default(), weights(&[1, 1]));
        turns.join(A, 0);
        turns.join(B, 0);
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
        let (mut turns, weights) = (Turns::default(), weights(&[1, 1]));
        turns.join(B, 0);
        turns.charge(1, &weights);
        let left_at = turns.leave(B);
        turns.join(A, 0);
        served(&mut turns, &weights, 10_000, |_| 1);
        turns.join(B, left_at);
        let [a, b] = served(&mut turns, &weights, 100, |_| 1);
        assert!((49..=51).contains(&b), "{a} and {b}");
        // Who leaves after every part and comes back at once gets no more than who stays.
        let mut b = 0;
        for _ in 0..100 {
            let account = turns.first().unwrap();
            turns.charge(1, &weights);
            if account == B {
                b += 1;
                let left_at = turns.leave(B);
                turns.join(B, left_at);
            }
        }
        assert!((49..=51).contains(&b), "{b}");
    }

    #[test]
    fn who_is_passed_over_holds_up_nobody_and_takes_no_more_than_its_share_later() {
        let (mut turns, weights) = (Turns::default(), weights(&[1, 1]));
        turns.join(A, 0);
        turns.join(B, 0);
        for _ in 0..1_000 {
            turns.pass_over(A);
            assert_eq!(turns.first(), Some(B));
            turns.charge(1, &weights);
            turns.resume();
        }
        let [a, b] = served(&mut turns, &weights, 100, |_| 1);
        assert!((49..=51).contains(&a), "{a} and {b}");
    }

    #[test]
    fn a_weight_that_changes_counts_from_the_next_part_on() {
        let (mut turns, mut weights) = (Turns::default(), weights(&[1, 1]));
        turns.join(A, 0);
        turns.join(B, 0);
        served(&mut turns, &weights, 1_000, |_| 1);
        weights.set(A, NonZeroU16::new(4).unwrap());
        let [a, b] = served(&mut turns, &weights, 500, |_| 1);
        assert!((399..=401).contains(&a), "{a} and {b}");
    }

    #[test]
    fn at_the_end_of_the_scale_turns_are_plain_ones() {
        let (mut turns, weights) = (Turns::default(), weights(&[1, 1_000]));
        turns.join(A, u64::MAX - 5);
        turns.join(B, u64::MAX - 5);
        let [a, b] = served(&mut turns, &weights, 100, |_| 1);
        assert!((49..=51).contains(&a), "{a} and {b}");
    }
}
