//! Legs that wait for room on a carrier's links: accounts take turns by their weights, priority inside an account.
//! What goes to a country with a rate of its own there stands in a lane of its own, which is left alone while that rate
//! is used up; the same recipient's legs are in one lane, so their order stays.

use std::collections::VecDeque;

use bytes::Bytes;
use hashbrown::HashMap;
use tidegate_store::index::LegId;
use tidegate_store::message_id::MessageId;
use tidegate_store::names::NameId;

use super::turns::{GroupIndex, Next, Turns, Weights};
use crate::admission::Country;

/// Priorities that a queue tells apart: 0 to 3, and 4 of SMPP 5.0.
const PRIORITIES: usize = 5;

/// A leg that is ready to be handed over.
#[derive(Clone, Debug)]
pub struct Ready {
    /// Which.
    pub leg: LegId,
    /// Its message's id: they grow in the order in which messages were accepted.
    pub message: MessageId,
    /// Its number in that: parts of one text stand in their order.
    pub number: u16,
    /// Its body, if memory holds it; else it is read back from the spool first.
    pub body: Option<Bytes>,
}

/// Neighbours in a line. What waits by the million waits without a body, and is then its number only.
#[derive(Debug)]
enum Run {
    Full(VecDeque<Ready>),
    Bare(VecDeque<LegId>),
}

/// Legs of one account and priority.
#[derive(Debug, Default)]
struct Line {
    runs: VecDeque<Run>,
    len: usize,
}

impl Line {
    fn push_back(&mut self, ready: Ready) {
        self.len += 1;
        match (self.runs.back_mut(), &ready.body) {
            (Some(Run::Full(run)), Some(_)) => run.push_back(ready),
            (Some(Run::Bare(run)), None) => run.push_back(ready.leg),
            (_, Some(_)) => self.runs.push_back(Run::Full(VecDeque::from([ready]))),
            (_, None) => self.runs.push_back(Run::Bare(VecDeque::from([ready.leg]))),
        }
    }

    /// Puts a leg behind the older ones that came back before it. What stands without its id never was away.
    fn put_back(&mut self, ready: Ready) {
        self.len += 1;
        let Some(Run::Full(run)) = self.runs.front_mut() else {
            return self.runs.push_front(Run::Full(VecDeque::from([ready])));
        };
        let older = run
            .iter()
            .take_while(|other| (other.message, other.number) < (ready.message, ready.number))
            .count();
        run.insert(older, ready);
    }

    fn pop(&mut self) -> Option<(LegId, Option<Bytes>)> {
        // Most priorities have none, and each leg asks them all.
        if self.len == 0 {
            return None;
        }
        loop {
            let popped = match self.runs.front_mut()? {
                Run::Full(run) => run.pop_front().map(|ready| (ready.leg, ready.body)),
                Run::Bare(run) => run.pop_front().map(|leg| (leg, None)),
            };
            if let Some(popped) = popped {
                self.len -= 1;
                return Some(popped);
            }
            self.runs.pop_front();
        }
    }

    fn head(&self) -> Option<LegId> {
        self.runs.iter().find_map(|run| match run {
            Run::Full(run) => run.front().map(|ready| ready.leg),
            Run::Bare(run) => run.front().copied(),
        })
    }

    fn shed(&mut self, lives: &impl Fn(LegId) -> bool) -> usize {
        let mut octets = 0;
        self.len = 0;
        for run in &mut self.runs {
            match run {
                Run::Full(run) => {
                    run.retain(|ready| {
                        let keep = lives(ready.leg);
                        if !keep {
                            octets += ready.body.as_ref().map_or(0, Bytes::len);
                        }
                        keep
                    });
                    self.len += run.len();
                }
                Run::Bare(run) => {
                    run.retain(|leg| lives(*leg));
                    run.shrink_to_fit();
                    self.len += run.len();
                }
            }
        }
        octets
    }
}

/// A leg that was taken from its queue.
#[derive(Debug, PartialEq, Eq)]
pub struct Popped {
    /// Which.
    pub leg: LegId,
    /// What memory holds of it.
    pub body: Option<Bytes>,
    /// The country as which it stood in line, if that has a rate of its own.
    pub country: Option<Country>,
}

/// Legs of one account, to one country that has a rate of its own or to all others.
#[derive(Debug, Default)]
struct Lane {
    by_priority: [Line; PRIORITIES],
    len: usize,
}

impl Lane {
    fn pop(&mut self) -> Option<(LegId, Option<Bytes>)> {
        let taken = self.by_priority.iter_mut().rev().find_map(Line::pop)?;
        self.len -= 1;
        Some(taken)
    }

    /// The highest priority of which something stands here.
    fn priority(&self) -> Option<usize> {
        self.by_priority.iter().rposition(|line| line.len > 0)
    }
}

/// The queue of one carrier. A living leg is in one queue at most, so the index bounds those; legs that
/// ended where they stood are met when they are popped, or [shed](Queue::shed).
#[derive(Debug, Default)]
pub struct Queue {
    lanes: HashMap<(NameId, GroupIndex), Lane>,
    /// Of accounts with something in their lane.
    turns: Turns,
    /// In whose turn the last leg was taken.
    last: Option<Next>,
    len: usize,
}

impl Queue {
    /// How many legs wait.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether none waits.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Puts a leg behind those of its account, country and priority. The country is given if it has a rate of its own.
    pub fn push_back(&mut self, account: NameId, country: Option<Country>, priority: u8, ready: Ready) {
        self.line(account, country, priority).push_back(ready);
    }

    /// Puts a leg that was taken and not handed over back where it stood: behind older ones that came back
    /// before it, in front of all others. Answers of one burst come in many reads, so the order is made here.
    pub fn put_back(&mut self, account: NameId, country: Option<Country>, priority: u8, ready: Ready) {
        self.line(account, country, priority).put_back(ready);
    }

    fn line(&mut self, account: NameId, country: Option<Country>, priority: u8) -> &mut Line {
        let group = self.turns.group(country);
        let lane = self.lanes.entry((account, group)).or_default();
        if lane.len == 0 {
            self.turns.join(account, group);
        }
        lane.len += 1;
        self.len += 1;
        &mut lane.by_priority[usize::from(priority).min(PRIORITIES - 1)]
    }

    /// Takes the next leg and the body that memory holds of it: of the account whose turn it is, the oldest of the
    /// highest priority, among the countries of which `is_open` says so. `parts` says how many parts of its account's
    /// share a leg takes that comes with a body, or without; with 0 it is the same account's turn again. Costs a step
    /// for each country, and none for what stands in line for one that is not open.
    pub fn pop(
        &mut self,
        weights: &Weights,
        is_open: impl Fn(Option<Country>) -> bool,
        parts: impl FnOnce(LegId, bool) -> u32,
    ) -> Option<Popped> {
        let turn = self.turns.first(&is_open)?;
        let next = self.most_urgent(turn, is_open);
        let (account, group, country) = (next.account, next.group, next.country);
        let lane = self.lanes.get_mut(&(account, group))?;
        let (leg, body) = lane.pop()?;
        self.len -= 1;
        if lane.len == 0 {
            self.turns.leave(account, group);
        }
        let parts = parts(leg, body.is_some());
        self.turns.charge(next, parts, weights);
        self.last = Some(next);
        Some(Popped { leg, body, country })
    }

    /// Where the account whose turn it is has legs of the highest priority: in that group, or in another that may send.
    fn most_urgent(&self, turn: Next, is_open: impl Fn(Option<Country>) -> bool) -> Next {
        if !self.turns.has_countries() {
            return turn;
        }
        let account = turn.account;
        let priority = |group| self.lanes.get(&(account, group)).and_then(Lane::priority);
        let (mut best, mut highest) = (turn, priority(turn.group));
        for (group, country) in self.turns.countries() {
            let here = priority(group);
            if here > highest && is_open(country) && !self.turns.is_passed(account, group) {
                highest = here;
                best = Next {
                    group,
                    country,
                    ..turn
                };
            }
        }
        best
    }

    /// An account that has something here to a country, if that has a rate of its own, or else to all others, cannot send
    /// it now: the rest goes on without it until [`Queue::resume`].
    pub fn pass_over(&mut self, account: NameId, country: Option<Country>) {
        let group = self.turns.group(country);
        if self.lanes.get(&(account, group)).is_some_and(|lane| lane.len > 0) {
            self.turns.pass_over(account, group);
        }
    }

    /// Ends what [`Queue::pass_over`] began.
    pub fn resume(&mut self) {
        self.turns.resume();
    }

    /// Counts parts as a share of the account whose leg was taken last, where they were not known then.
    pub fn charge(&mut self, parts: u32, weights: &Weights) {
        if let Some(last) = self.last {
            self.turns.charge(last, parts, weights);
        }
    }

    /// What is next in each of its lines, with its account: one for each account, priority and country that has a rate of
    /// its own, at most.
    pub fn heads(&self) -> impl Iterator<Item = (NameId, LegId)> + '_ {
        let filled = self.lanes.iter().filter(|(_, lane)| lane.len > 0);
        filled.flat_map(|((account, _), lane)| {
            lane.by_priority
                .iter()
                .filter_map(|line| Some((*account, line.head()?)))
        })
    }

    /// How many legs of each account stand here; an account may come more than once.
    pub fn by_account(&self) -> impl Iterator<Item = (NameId, usize)> + '_ {
        let filled = self.lanes.iter().filter(|(_, lane)| lane.len > 0);
        filled.map(|((account, _), lane)| (*account, lane.len))
    }

    /// Takes the next leg of one account only.
    pub fn pop_of(&mut self, account: NameId) -> Option<(LegId, Option<Bytes>)> {
        let priority = |group| self.lanes.get(&(account, group)).and_then(Lane::priority);
        let groups = self.turns.countries().map(|(group, _)| group);
        let (_, group) = groups
            .filter_map(|group| Some((priority(group)?, group)))
            .max_by_key(|(priority, group)| (*priority, std::cmp::Reverse(*group)))?;
        let lane = self.lanes.get_mut(&(account, group))?;
        let taken = lane.pop()?;
        self.len -= 1;
        if lane.len == 0 {
            self.turns.leave(account, group);
        }
        Some(taken)
    }

    /// Drops legs that have ended where they stood; says how many octets of bodies went with them.
    pub fn shed(&mut self, lives: impl Fn(LegId) -> bool) -> usize {
        let mut octets = 0;
        self.len = 0;
        for lane in self.lanes.values_mut() {
            octets += lane
                .by_priority
                .iter_mut()
                .map(|line| line.shed(&lives))
                .sum::<usize>();
            lane.len = lane.by_priority.iter().map(|line| line.len).sum();
            self.len += lane.len;
        }
        let lanes = &self.lanes;
        self.turns
            .retain(|account, group| lanes.get(&(account, group)).is_some_and(|lane| lane.len > 0));
        octets
    }

    /// Whether a leg of which this says yes stands here.
    pub(super) fn has_any(&self, is_it: impl Fn(LegId) -> bool) -> bool {
        let lanes = self.lanes.values();
        let mut runs = lanes.flat_map(|lane| lane.by_priority.iter().flat_map(|line| &line.runs));
        runs.any(|run| match run {
            Run::Full(run) => run.iter().any(|ready| is_it(ready.leg)),
            Run::Bare(run) => run.iter().any(|leg| is_it(*leg)),
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::num::NonZeroU16;

    use super::*;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;
    use tidegate_codec::identity::SystemId;
    use tidegate_store::disk::FaultyDisk;
    use tidegate_store::keyring::{Kek, KeyRing};
    use tidegate_store::quote::Quote;
    use tidegate_store::spool::{NewLeg, Options, Spool};

    /// Leg ids come from an index only.
    pub(in super::super) fn legs(count: u16) -> Vec<LegId> {
        let (disk, mut rng) = (FaultyDisk::new(), ChaCha20Rng::seed_from_u64(1));
        let kek = Kek::create(&disk, "kek".as_ref(), &mut rng).unwrap();
        let ring = KeyRing::create(&disk, "keys".as_ref(), kek, 1, &mut rng).unwrap();
        let options = Options {
            dir: "spool".into(),
            node: 0,
            segment_size: 1 << 20,
            limit: 1 << 30,
            reserve_segments: 1,
            max_legs: 100,
            waiting_dir: "waiting".into(),
            outbox_dir: "outbox".into(),
            usage_dir: "usage".into(),
            standing_dir: "standing".into(),
            history_dir: "history".into(),
            history_index: None,
            accept_damage: false,
            receipt_hot_ms: 600_000,
        };
        let (mut spool, _keeper, _) = Spool::open(disk, options, ring, 1, &mut rng).unwrap();
        let account = SystemId::new(b"load").unwrap();
        let envelope = crate::testing::envelope();
        let accept = |leg| {
            let id = spool.next_id(1);
            let new = NewLeg {
                id,
                leg,
                account,
                envelope: envelope.clone(),
                due_ms: 1,
                quote: Quote::NONE,
                body: b"",
                period: tidegate_store::usage::Period::default(),
                takes_a_place: false,
                held: false,
            };
            spool.accept(1, new, &mut rng).unwrap()
        };
        (0..count).map(accept).collect()
    }

    pub(in super::super) fn ready(leg: LegId, message: u64) -> Ready {
        let (message, body) = (MessageId(message), None);
        Ready {
            leg,
            message,
            number: 0,
            body,
        }
    }

    /// With equal weights.
    pub(in super::super) fn pop(queue: &mut Queue) -> Option<(LegId, Option<Bytes>)> {
        let popped = queue.pop(&Weights::default(), |_| true, |_, _| 1)?;
        Some((popped.leg, popped.body))
    }

    fn drain(queue: &mut Queue) -> impl Iterator<Item = (LegId, Option<Bytes>)> {
        std::iter::from_fn(|| pop(queue))
    }

    #[test]
    fn accounts_take_turns_and_keep_their_order() {
        let (mut queue, legs) = (Queue::default(), legs(4));
        let (a, b) = (NameId(0), NameId(1));
        for (account, leg) in [(a, legs[0]), (a, legs[1]), (a, legs[2]), (b, legs[3])] {
            queue.push_back(account, None, 0, ready(leg, 1));
        }
        let order: Vec<LegId> = drain(&mut queue).map(|(leg, _)| leg).collect();
        assert_eq!(order, [legs[0], legs[3], legs[1], legs[2]]);
        assert!(queue.is_empty());
    }

    #[test]
    fn heads_are_what_comes_next_of_each_account_and_priority() {
        let (mut queue, legs) = (Queue::default(), legs(4));
        let (a, b) = (NameId(0), NameId(1));
        for (account, priority, leg) in [(a, 0, 0), (a, 0, 1), (a, 2, 2), (b, 0, 3)] {
            queue.push_back(account, None, priority, ready(legs[leg], 1));
        }
        let heads = |queue: &Queue| {
            let mut heads: Vec<_> = queue.heads().map(|(account, leg)| (account.0, leg)).collect();
            heads.sort_by_key(|(account, leg)| (*account, legs.iter().position(|other| other == leg)));
            heads
        };
        assert_eq!(heads(&queue), [(0, legs[0]), (0, legs[2]), (1, legs[3])]);
        assert_eq!(queue.pop_of(a).unwrap().0, legs[2]);
        assert_eq!(queue.pop_of(a).unwrap().0, legs[0]);
        assert_eq!(heads(&queue), [(0, legs[1]), (1, legs[3])]);
        drain(&mut queue).for_each(drop);
        assert_eq!(heads(&queue), []);
    }

    /// One floods, the other sends what its share allows or less, one leg at a time.
    #[test]
    fn who_floods_takes_nothing_of_another_s_share() {
        let (mut queue, legs) = (Queue::default(), legs(1));
        let (flood, other) = (NameId(0), NameId(1));
        let mut weights = Weights::default();
        weights.set(other, NonZeroU16::new(3).unwrap());
        for _ in 0..100_000 {
            queue.push_back(flood, None, 0, ready(legs[0], 1));
        }
        // In quarters of what the carrier takes: half of its share, all of it, and twice as much.
        for (offered, share) in [(3, 3), (6, 6), (12, 6)] {
            let (mut came, mut taken, mut longest) = (0, 0, 0);
            for turn in 0..8_000 {
                while came * 8 < turn * offered {
                    queue.push_back(other, None, 0, ready(legs[0], 1));
                    came += 1;
                }
                let before = queue.lanes.get(&(other, 0)).map_or(0, |lane| lane.len);
                pop_weighed(&mut queue, &weights);
                taken += before - queue.lanes.get(&(other, 0)).map_or(0, |lane| lane.len);
                longest = longest.max(before);
            }
            assert!(taken.abs_diff(share * 1_000) <= 2, "{taken} of {came}");
            assert!(
                offered > share || longest <= 2,
                "{longest} waited although {offered} fit"
            );
        }
    }

    fn pop_weighed(queue: &mut Queue, weights: &Weights) {
        assert!(queue.pop(weights, |_| true, |_, _| 1).is_some());
    }

    #[test]
    fn what_ended_is_shed_and_its_octets_are_given_back() {
        let (mut queue, legs) = (Queue::default(), legs(4));
        let body = Some(Bytes::from_static(b"12345"));
        for (account, leg) in [(0, legs[0]), (0, legs[1]), (1, legs[2])] {
            let ready = Ready {
                body: body.clone(),
                ..ready(leg, 1)
            };
            queue.push_back(NameId(account), None, 0, ready);
        }
        assert_eq!(queue.shed(|leg| leg == legs[1]), 10);
        assert_eq!(queue.len(), 1);
        queue.push_back(NameId(1), None, 0, ready(legs[3], 9));
        let order: Vec<LegId> = drain(&mut queue).map(|(leg, _)| leg).collect();
        assert_eq!(order, [legs[1], legs[3]]);
        assert!(queue.is_empty());
    }

    #[test]
    fn priority_overtakes_inside_an_account_and_what_comes_back_goes_first() {
        let (mut queue, legs) = (Queue::default(), legs(4));
        let a = NameId(0);
        queue.push_back(a, None, 0, ready(legs[0], 4));
        queue.push_back(a, None, 3, ready(legs[1], 2));
        queue.push_back(a, None, 9, ready(legs[2], 3));
        assert_eq!(pop(&mut queue).map(|(leg, _)| leg), Some(legs[2]));
        queue.put_back(a, None, 0, ready(legs[3], 1));
        let order: Vec<LegId> = drain(&mut queue).map(|(leg, _)| leg).collect();
        assert_eq!(order, [legs[1], legs[3], legs[0]]);
    }

    #[test]
    fn one_account_s_legs_are_taken_and_the_others_keep_their_turns() {
        let (mut queue, legs) = (Queue::default(), legs(5));
        let (a, b) = (NameId(0), NameId(1));
        for (account, leg) in [(a, 0), (b, 1), (a, 2), (b, 3)] {
            queue.push_back(account, None, 0, ready(legs[leg], 1));
        }
        queue.push_back(a, None, 3, ready(legs[4], 9));
        let taken: Vec<LegId> = std::iter::from_fn(|| queue.pop_of(a))
            .map(|(leg, _)| leg)
            .collect();
        assert_eq!(taken, [legs[4], legs[0], legs[2]]);
        assert_eq!(queue.len(), 2);
        queue.push_back(a, None, 0, ready(legs[0], 1));
        let order: Vec<LegId> = drain(&mut queue).map(|(leg, _)| leg).collect();
        assert_eq!(order, [legs[1], legs[0], legs[3]]);
    }

    #[test]
    fn with_and_without_bodies_the_order_is_the_same() {
        let (mut queue, legs) = (Queue::default(), legs(8));
        let a = NameId(0);
        let body = |full: bool| full.then(|| Bytes::from_static(b"12345"));
        for (place, full) in [
            (2, true),
            (3, false),
            (4, false),
            (5, true),
            (6, true),
            (7, false),
        ] {
            let ready = Ready {
                body: body(full),
                ..ready(legs[place], place as u64)
            };
            queue.push_back(a, None, 0, ready);
        }
        for (place, full) in [(0, false), (1, true)] {
            let ready = Ready {
                body: body(full),
                ..ready(legs[place], place as u64)
            };
            queue.put_back(a, None, 0, ready);
        }
        assert_eq!(queue.len(), 8);
        let order: Vec<(LegId, bool)> = drain(&mut queue)
            .map(|(leg, body)| (leg, body.is_some()))
            .collect();
        let full = [false, true, true, false, false, true, true, false];
        assert_eq!(order, legs.iter().copied().zip(full).collect::<Vec<_>>());
    }

    #[test]
    fn what_comes_back_one_by_one_stands_as_it_was_accepted() {
        let (mut queue, legs) = (Queue::default(), legs(5));
        let a = NameId(0);
        queue.push_back(a, None, 0, ready(legs[4], 9));
        for (leg, message) in [(0, 1), (2, 3), (1, 2), (3, 4)] {
            queue.put_back(a, None, 0, ready(legs[leg], message));
        }
        let order: Vec<LegId> = drain(&mut queue).map(|(leg, _)| leg).collect();
        assert_eq!(order, legs);
    }

    #[test]
    fn what_goes_to_a_country_that_has_to_wait_keeps_its_order_and_stops_nothing_else() {
        let (mut queue, legs) = (Queue::default(), legs(7));
        let (a, b, gb) = (NameId(0), NameId(1), Some(*b"GB"));
        for (account, country, priority, leg) in [
            (a, gb, 0, 0),
            (a, None, 0, 1),
            (a, gb, 0, 2),
            (b, gb, 3, 3),
            (b, None, 0, 4),
            (a, None, 0, 5),
            (b, None, 4, 6),
        ] {
            queue.push_back(account, country, priority, ready(legs[leg], 1));
        }
        let order = |queue: &mut Queue, is_open: &dyn Fn(Option<Country>) -> bool| -> Vec<_> {
            let popped = || queue.pop(&Weights::default(), is_open, |_, _| 1);
            let place = |leg| legs.iter().position(|other| *other == leg);
            std::iter::from_fn(popped)
                .map(|popped| (place(popped.leg).unwrap(), popped.country))
                .collect()
        };
        let rest = [(1, None), (6, None), (5, None), (4, None)];
        assert_eq!(order(&mut queue, &|country| country.is_none()), rest);
        assert_eq!(queue.len(), 3);
        queue.put_back(a, None, 0, ready(legs[1], 1));
        queue.put_back(b, None, 4, ready(legs[6], 1));
        queue.put_back(b, None, 0, ready(legs[4], 1));
        // Now the country may send: priority counts over both lanes of an account, and each has its turn.
        let all: Vec<usize> = order(&mut queue, &|_| true)
            .into_iter()
            .map(|(leg, _)| leg)
            .collect();
        let of = |those: &[usize]| -> Vec<usize> {
            all.iter().copied().filter(|leg| those.contains(leg)).collect()
        };
        assert_eq!(all.len(), 6);
        assert_eq!(of(&[0, 2]), [0, 2]);
        assert_eq!(of(&[3, 4, 6]), [6, 3, 4]);
        assert!(queue.is_empty());
        assert!(queue.pop(&Weights::default(), |_| true, |_, _| 1).is_none());
    }

    #[test]
    fn who_is_passed_over_for_one_country_sends_to_the_others() {
        let (mut queue, legs) = (Queue::default(), legs(4));
        let (a, gb) = (NameId(0), Some(*b"GB"));
        queue.push_back(a, None, 0, ready(legs[0], 1));
        queue.push_back(a, gb, 3, ready(legs[1], 2));
        queue.push_back(a, None, 0, ready(legs[2], 3));
        queue.pass_over(a, gb);
        assert_eq!(pop(&mut queue).map(|(leg, _)| leg), Some(legs[0]));
        queue.resume();
        assert_eq!(queue.pop_of(a).map(|(leg, _)| leg), Some(legs[1]));
        assert_eq!(queue.shed(|leg| leg != legs[2]), 0);
        assert!(queue.is_empty() && pop(&mut queue).is_none());
        queue.push_back(a, gb, 0, ready(legs[3], 4));
        assert_eq!(pop(&mut queue).map(|(leg, _)| leg), Some(legs[3]));
    }
}
