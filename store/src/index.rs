//! Unfinished legs in memory: found by message, by the carrier's id, by date, by segment, and those that wait for a
//! carrier by the two numbers they are between.
//!
//! A leg's slot is reused after its end; the generation in a [`LegId`] tells the old holder that its leg
//! is gone. Nothing here writes; the [spool](crate::spool) keeps disk and index in step.

mod between;
mod held;
mod leg;

pub use held::HeldLegs;
pub(crate) use leg::{KnownAs, part_number};
pub use leg::{Leg, LegId, Location};

use hashbrown::DefaultHashBuilder;
use std::hash::BuildHasher;
use tidegate_codec::message_id::MessageIdText;

use crate::by_hash::ByHash;
use crate::chain::{Chains, key};
use crate::message_id::MessageId;
use crate::names::NameId;
use crate::pairs::Pairs;
use crate::progress::{Progress, ProgressTable};
use crate::quote::{Quote, Quotes};
use crate::record::Stage;
use crate::slots::Slots;

/// What a leg is found by: the legs of a message share it, and so do the parts of one of them.
fn hash_of(hasher: &DefaultHashBuilder, message: MessageId, leg: u16) -> u64 {
    match leg.to_be_bytes() {
        [0, _] => hasher.hash_one(message.0),
        [_, whole] => hasher.hash_one((message.0, whole)),
    }
}

/// Milliseconds in one span of the date lists, as a shift: 256 ms.
const SPAN_SHIFT: u32 = 8;
/// Where they begin, the start of 2025 in unix milliseconds: so 31 bits reach until 2042.
const SPANS_FROM_MS: u64 = 1_735_689_600_000;

fn span(due_ms: u64) -> u32 {
    key(due_ms.saturating_sub(SPANS_FROM_MS) >> SPAN_SHIFT)
}
/// The same in the lists of what carriers have, by when they took it: 4 s.
const HANDED_SHIFT: u32 = 12;

/// A slot is 31 bits in the lists.
fn bounded(max: usize) -> usize {
    max.min(i32::MAX as usize - 1)
}

/// All unfinished legs.
#[derive(Debug)]
pub struct Index {
    legs: Slots<Leg>,
    hasher: DefaultHashBuilder,
    carrier_ids: Slots<MessageIdText>,
    by_message: ByHash,
    by_carrier_id: ByHash,
    by_date: Chains,
    by_segment: Chains,
    by_hand_over: Chains,
    by_pair: Pairs,
    quotes: Quotes,
    progress: ProgressTable,
    /// Legs that have begun to wait. Most go to a carrier within the turn, and are spared the way into a list of
    /// their pair and out of it.
    newcomers: Vec<LegId>,
    /// How many legs each account has, by its number.
    by_account: Vec<u32>,
    held: HeldLegs,
    max: usize,
}

impl Index {
    /// An index for at most `max` legs.
    pub fn new(max: usize) -> Self {
        Self {
            legs: Slots::default(),
            hasher: DefaultHashBuilder::default(),
            carrier_ids: Slots::default(),
            by_message: ByHash::default(),
            by_carrier_id: ByHash::default(),
            by_date: Chains::default(),
            by_segment: Chains::default(),
            by_hand_over: Chains::default(),
            by_pair: Pairs::default(),
            quotes: Quotes::default(),
            progress: ProgressTable::default(),
            newcomers: Vec::new(),
            by_account: Vec::new(),
            held: HeldLegs::default(),
            max: bounded(max),
        }
    }

    /// Sets how many fit; those beyond it stay.
    pub(crate) fn set_max(&mut self, max: usize) {
        self.max = bounded(max);
    }

    /// How many legs are unfinished, those not synced yet included.
    pub const fn len(&self) -> usize {
        self.legs.len()
    }

    /// Whether nothing is unfinished.
    pub const fn is_empty(&self) -> bool {
        self.legs.is_empty()
    }

    /// Whether no leg fits any more; intake answers 0x14 (P6).
    pub const fn is_full(&self) -> bool {
        self.legs.len() >= self.max
    }

    /// How many legs fit.
    pub const fn max(&self) -> usize {
        self.max
    }

    /// How many unfinished legs an account has.
    pub fn len_of(&self, account: NameId) -> usize {
        let count = self.by_account.get(usize::from(account.0));
        count.map_or(0, |count| *count as usize)
    }

    /// A leg, unless it has ended.
    pub fn get(&self, id: LegId) -> Option<&Leg> {
        self.legs.get(id.0)
    }

    pub(crate) fn get_mut(&mut self, id: LegId) -> Option<&mut Leg> {
        self.legs.get_mut(id.0)
    }

    /// The leg of a message.
    pub fn find(&self, message: MessageId, leg: u16) -> Option<LegId> {
        let slot = self
            .by_message
            .find(hash_of(&self.hasher, message, leg), |slot| {
                self.legs
                    .at(slot)
                    .is_some_and(|found| found.message == message && found.leg == leg)
            })?;
        Some(self.id_of(slot))
    }

    /// The unfinished legs of a message, without the parts of those, in no order. A message has at most 255, so that its
    /// legs may share a hash.
    pub fn legs_of(&self, message: MessageId) -> impl Iterator<Item = (LegId, &Leg)> {
        self.numbered(message, 0)
            .filter(move |(_, leg)| leg.message == message && leg.part().is_none())
    }

    /// The unfinished parts of one of them, in no order: at most 255.
    pub fn parts_of(&self, message: MessageId, whole: u16) -> impl Iterator<Item = (LegId, &Leg)> {
        self.numbered(message, part_number(whole, 1))
            .filter(move |(_, leg)| leg.message == message && leg.part().is_some() && leg.whole() == whole)
    }

    fn numbered(&self, message: MessageId, leg: u16) -> impl Iterator<Item = (LegId, &Leg)> {
        self.by_message
            .of(hash_of(&self.hasher, message, leg))
            .filter_map(|slot| Some((self.id_of(slot), self.legs.at(slot)?)))
    }

    /// The leg that a carrier knows by this id, in its canonical form.
    pub fn find_carrier_id(&self, carrier: NameId, id: &[u8]) -> Option<LegId> {
        let hash = self.hash_carrier_id(carrier, id);
        let slot = self.by_carrier_id.find(hash, |slot| {
            self.legs
                .at(slot)
                .is_some_and(|leg| leg.carrier == Some(carrier) && self.carrier_id(leg) == id)
        })?;
        Some(self.id_of(slot))
    }

    /// The carrier's id for a leg, canonical; empty until it is handed over.
    pub fn carrier_id(&self, leg: &Leg) -> &[u8] {
        self.carrier_ids
            .at(leg.known_as.0)
            .map_or(&[], MessageIdText::as_bytes)
    }

    /// The same, to keep.
    pub(crate) fn owned_carrier_id(&self, leg: &Leg) -> MessageIdText {
        self.carrier_ids.at(leg.known_as.0).cloned().unwrap_or_default()
    }

    /// What a leg's receipts are to quote; of one that has ended nothing.
    pub fn quote(&self, id: LegId) -> Quote {
        self.get(id).map_or(Quote::NONE, |_| self.quotes.get(id.0.slot()))
    }

    /// Says what a leg's receipts are to quote.
    pub(crate) fn set_quote(&mut self, id: LegId, quote: Quote) {
        if self.get(id).is_some() {
            self.quotes.set(id.0.slot(), quote);
        }
    }

    /// How far the parts of a leg have come, if it is in parts.
    pub fn progress(&self, id: LegId) -> Option<&Progress> {
        self.get(id).and_then(|_| self.progress.get(id.0.slot()))
    }

    /// Says how far they have come.
    pub(crate) fn set_progress(&mut self, id: LegId, progress: Progress) {
        if self.get(id).is_some() {
            self.progress.set(id.0.slot(), progress);
        }
    }

    /// Legs whose date has come, at most `max`, by date and then as they got it. What is on a carrier link,
    /// or not durable yet, is none of them: whoever leased it gives it back in time.
    pub fn due(&self, now_ms: u64, max: usize) -> Vec<LegId> {
        self.by_date
            .up_to(span(now_ms))
            .filter(|slot| self.legs.at(*slot).is_some_and(|leg| leg.due_ms <= now_ms))
            .map(|slot| self.id_of(slot))
            .take(max)
            .collect()
    }

    /// When the first date of a leg that is not leased comes, no later than the truth and at most 256 ms
    /// early.
    pub fn next_due_ms(&self) -> Option<u64> {
        self.by_date.first_key().map(|span| match span {
            // What lies before them, too.
            0 => 0,
            _ => SPANS_FROM_MS + (u64::from(span) << SPAN_SHIFT),
        })
    }

    /// Legs whose newest record lies in a segment.
    pub fn in_segment(&self, segment: u64) -> impl Iterator<Item = (LegId, &Leg)> {
        self.by_segment
            .of(key(segment))
            .filter_map(|slot| Some((self.id_of(slot), self.legs.at(slot)?)))
    }

    /// All legs, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (LegId, &Leg)> {
        self.legs.iter().map(|(id, leg)| (LegId(id), leg))
    }

    /// How many places the table has: legs are in some of them, and stay where they are.
    pub fn places(&self) -> usize {
        self.legs.places()
    }

    /// The legs of `count` places from `first` on, so that all can be looked at a little at a time.
    pub fn slice(&self, first: usize, count: usize) -> impl Iterator<Item = (LegId, &Leg)> {
        self.legs.slice(first, count).map(|(id, leg)| (LegId(id), leg))
    }

    /// Takes a leg in, and what its carrier calls it, if it has been handed over. The caller has asked
    /// [`Index::is_full`]. It has a date and, once written, a segment.
    pub(crate) fn insert(&mut self, mut leg: Leg, carrier_id: MessageIdText) -> LegId {
        let hash = hash_of(&self.hasher, leg.message, leg.leg);
        if leg.stage == Stage::Held {
            self.held.add(&leg);
        }
        let (due, segment) = ((!leg.leased).then_some(span(leg.due_ms)), leg.at.segment());
        let known = leg.carrier.is_some() && !carrier_id.is_empty();
        leg.known_as = if known {
            KnownAs(self.carrier_ids.insert(carrier_id).slot())
        } else {
            KnownAs::default()
        };
        let account = usize::from(leg.account.0);
        if self.by_account.len() <= account {
            self.by_account.resize(account + 1, 0);
        }
        if let Some(count) = self.by_account.get_mut(account) {
            *count += 1;
        }
        let id = LegId(self.legs.insert(leg));
        let slot = id.0.slot();
        let (legs, hasher) = (&self.legs, &self.hasher);
        self.by_message.insert(hash, slot, |slot| match legs.at(slot) {
            Some(leg) => hash_of(hasher, leg.message, leg.leg),
            None => 0,
        });
        if let Some(due) = due {
            self.by_date.set(slot, due);
        }
        if segment != 0 {
            self.by_segment.set(slot, key(segment));
        }
        if known {
            self.link_carrier_id(slot);
        }
        self.newcomer(id);
        id
    }

    /// Takes a leg out.
    pub(crate) fn remove(&mut self, id: LegId) -> Option<Leg> {
        self.get(id)?;
        let slot = id.0.slot();
        self.unlink_carrier_id(slot);
        self.leave_pair(slot);
        self.quotes.remove(slot);
        self.progress.remove(slot);
        let leg = self.legs.remove(id.0)?;
        if leg.stage == Stage::Held {
            self.held.remove(&leg);
        }
        if let Some(count) = self.by_account.get_mut(usize::from(leg.account.0)) {
            *count = count.saturating_sub(1);
        }
        let hash = hash_of(&self.hasher, leg.message, leg.leg);
        self.by_message.remove(hash, slot);
        self.by_date.remove(slot);
        self.by_segment.remove(slot);
        self.by_hand_over.remove(slot);
        Some(leg)
    }

    /// What is held, those not synced yet included.
    pub const fn held(&self) -> &HeldLegs {
        &self.held
    }

    /// A carrier has the leg from here on; the leg, for what else changes with that.
    pub(crate) fn take_over(&mut self, id: LegId) -> Option<&mut Leg> {
        self.get(id)?;
        self.leave_pair(id.0.slot());
        let leg = self.legs.get_mut(id.0)?;
        if leg.stage == Stage::Held {
            self.held.remove(leg);
        }
        leg.stage = Stage::HandedOver;
        Some(leg)
    }

    /// Says since when a carrier has the leg, as far as this process knows.
    pub(crate) fn set_handed_over(&mut self, id: LegId, now_ms: u64) {
        if self.get(id).is_some() {
            self.by_hand_over.set(id.0.slot(), key(now_ms >> HANDED_SHIFT));
        }
    }

    /// Legs that carriers have had since `ms` or before, the longest first; of the last four seconds only
    /// whole spans.
    pub(crate) fn handed_over_until(&self, ms: u64) -> impl Iterator<Item = (LegId, &Leg)> {
        let last = (ms >> HANDED_SHIFT).checked_sub(1);
        last.into_iter()
            .flat_map(|last| self.by_hand_over.up_to(key(last)))
            .filter_map(|slot| Some((self.id_of(slot), self.legs.at(slot)?)))
    }

    /// Since when a carrier has had the one that has waited longest, up to four seconds late.
    pub(crate) fn first_handed_over_ms(&self) -> Option<u64> {
        self.by_hand_over
            .first_key()
            .map(|span| (u64::from(span) + 1) << HANDED_SHIFT)
    }

    /// The leg stays where it is, whatever its hand-over: it is not asked for again.
    pub(crate) fn forget_hand_over(&mut self, id: LegId) {
        self.by_hand_over.remove(id.0.slot());
    }

    /// Sets the date at which something happens next.
    pub(crate) fn set_due(&mut self, id: LegId, due_ms: u64) {
        if let Some(leg) = self.get_mut(id) {
            leg.due_ms = due_ms;
            if !leg.leased {
                self.by_date.set(id.0.slot(), span(due_ms));
            }
        }
    }

    /// A leased leg has no date; given back it has its old one.
    pub(crate) fn set_leased(&mut self, id: LegId, leased: bool) {
        let Some(leg) = self.get_mut(id) else { return };
        if std::mem::replace(&mut leg.leased, leased) == leased {
            return;
        }
        let due_ms = leg.due_ms;
        if leased {
            self.by_date.remove(id.0.slot());
            self.leave_pair(id.0.slot());
        } else {
            self.by_date.set(id.0.slot(), span(due_ms));
            self.newcomer(id);
        }
    }

    /// Says where the newest record lies; returns where the one before it lay, what that weighed, and what
    /// the new one weighs.
    pub(crate) fn set_location(&mut self, id: LegId, at: Location) -> Option<(Location, u32, u32)> {
        let leg = self.get_mut(id)?;
        let before = std::mem::replace(&mut leg.at, at);
        let weight = leg.weight;
        // What was handed over is weighed already, whether or not its record still has a body.
        if leg.stage != Stage::HandedOver {
            leg.weight = at.len;
        }
        let new = leg.weight;
        if leg.born == 0 {
            leg.born = key(at.segment());
        }
        self.by_segment.set(id.0.slot(), key(at.segment()));
        Some((before, weight, new))
    }

    /// Says which carrier has the leg and under which id.
    pub(crate) fn set_carrier(&mut self, id: LegId, carrier: NameId, carrier_id: MessageIdText) {
        self.unlink_carrier_id(id.0.slot());
        let Some(leg) = self.legs.get_mut(id.0) else {
            return;
        };
        leg.carrier = Some(carrier);
        if !carrier_id.is_empty() {
            leg.known_as = KnownAs(self.carrier_ids.insert(carrier_id).slot());
            self.link_carrier_id(id.0.slot());
        }
    }

    fn id_of(&self, slot: u32) -> LegId {
        LegId(self.legs.id_at(slot))
    }

    fn hash_carrier_id(&self, carrier: NameId, id: &[u8]) -> u64 {
        self.hasher.hash_one((carrier, id))
    }

    fn link_carrier_id(&mut self, slot: u32) {
        let (legs, ids, hasher) = (&self.legs, &self.carrier_ids, &self.hasher);
        let hash_of = |slot| {
            let leg: &Leg = legs.at(slot)?;
            Some(hasher.hash_one((leg.carrier?, ids.at(leg.known_as.0)?.as_bytes())))
        };
        if let Some(hash) = hash_of(slot) {
            self.by_carrier_id
                .insert(hash, slot, |slot| hash_of(slot).unwrap_or(0));
        }
    }

    /// Forgets what the carrier calls a leg.
    fn unlink_carrier_id(&mut self, slot: u32) {
        let id = LegId(self.legs.id_at(slot));
        let Some(leg) = self.legs.get_mut(id.0) else {
            return;
        };
        let (carrier, known_as) = (leg.carrier, std::mem::take(&mut leg.known_as));
        let place = self.carrier_ids.id_at(known_as.0);
        if let (Some(carrier), Some(carrier_id)) = (carrier, self.carrier_ids.remove(place)) {
            let hash = self.hash_carrier_id(carrier, carrier_id.as_bytes());
            self.by_carrier_id.remove(hash, slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::leg;

    const SINK: NameId = NameId(3);

    fn text(id: &[u8]) -> MessageIdText {
        MessageIdText::new(id).unwrap()
    }

    #[test]
    fn a_leg_is_found_by_all_that_names_it_until_it_ends() {
        let mut index = Index::new(10);
        let id = index.insert(leg(1, 0), MessageIdText::default());
        index.set_carrier(id, SINK, text(b"abc"));
        assert_eq!(index.find(MessageId(1), 0), Some(id));
        assert_eq!(index.find(MessageId(1), 1), None);
        assert_eq!(index.find_carrier_id(SINK, b"abc"), Some(id));
        assert_eq!(
            index.find_carrier_id(NameId(4), b"abc"),
            None,
            "ids are per carrier"
        );
        assert!(index.remove(id).is_some());
        assert_eq!(
            (index.find(MessageId(1), 0), index.find_carrier_id(SINK, b"abc")),
            (None, None)
        );
        assert_eq!(index.next_due_ms(), None);
        assert!(index.is_empty());
    }

    #[test]
    fn it_is_known_how_many_legs_an_account_has() {
        let mut index = Index::new(10);
        let (one, other) = (leg(1, 0).account, NameId(7));
        let of_other = Leg {
            account: other,
            ..leg(2, 0)
        };
        let id = index.insert(leg(1, 0), MessageIdText::default());
        index.insert(of_other, MessageIdText::default());
        assert_eq!((index.len_of(one), index.len_of(other)), (1, 1));
        assert_eq!(index.len_of(NameId(900)), 0);
        index.remove(id);
        index.remove(id);
        assert_eq!((index.len_of(one), index.len_of(other)), (0, 1));
    }

    #[test]
    fn legs_of_one_message_are_told_from_each_other_and_from_those_of_others() {
        let mut index = Index::new(1000);
        let ids: Vec<LegId> = (0..255)
            .map(|number| index.insert(leg(1, number), MessageIdText::default()))
            .collect();
        let other = index.insert(leg(2, 0), MessageIdText::default());
        let found = |index: &Index, message| {
            let mut found: Vec<u16> = index
                .legs_of(MessageId(message))
                .map(|(_, leg)| leg.leg)
                .collect();
            found.sort_unstable();
            found
        };
        assert_eq!(found(&index, 1), (0..255).collect::<Vec<u16>>());
        assert_eq!(found(&index, 2), [0]);
        for (number, id) in (0..).zip(&ids) {
            assert_eq!(index.find(MessageId(1), number), Some(*id));
            index.remove(*id);
            assert_eq!(index.find(MessageId(1), number), None);
        }
        assert_eq!(found(&index, 1), []);
        assert_eq!(index.find(MessageId(2), 0), Some(other));
    }

    #[test]
    fn a_reused_slot_does_not_answer_for_its_predecessor() {
        let mut index = Index::new(10);
        let old = index.insert(leg(1, 0), MessageIdText::default());
        index.remove(old);
        let new = index.insert(leg(2, 0), MessageIdText::default());
        assert!(index.get(old).is_none() && index.get(new).is_some());
        assert!(index.remove(old).is_none());
        assert_eq!(index.len(), 1);
    }

    #[test]
    fn another_carrier_takes_the_place_of_the_first() {
        let mut index = Index::new(10);
        let id = index.insert(leg(1, 0), MessageIdText::default());
        index.set_carrier(id, SINK, text(b"abc"));
        index.set_carrier(id, NameId(4), text(b"xyz"));
        assert_eq!(index.find_carrier_id(SINK, b"abc"), None);
        assert_eq!(index.find_carrier_id(NameId(4), b"xyz"), Some(id));
    }

    #[test]
    fn due_legs_come_by_date_and_never_early() {
        let mut index = Index::new(10);
        let ids: Vec<LegId> = (1..=3)
            .map(|n| index.insert(leg(n, 0), MessageIdText::default()))
            .collect();
        index.set_due(ids[0], 1000);
        index.set_due(ids[1], 1001);
        index.set_due(ids[2], 90_000);
        assert_eq!(index.due(999, 9), []);
        assert_eq!(index.due(1000, 9), [ids[0]]);
        assert_eq!(index.due(2000, 9).len(), 2);
        assert_eq!(index.due(2000, 1).len(), 1);
        assert!(index.next_due_ms().unwrap() <= 1000);
        index.set_due(ids[0], 95_000);
        assert_eq!(index.due(2000, 9), [ids[1]]);
    }

    #[test]
    fn due_legs_of_one_moment_come_as_they_got_it() {
        let mut index = Index::new(10);
        let ids: Vec<LegId> = (1..=4)
            .map(|n| index.insert(leg(n, 0), MessageIdText::default()))
            .collect();
        assert_eq!(index.due(u64::MAX, 9), ids);
        index.set_due(ids[1], 100_000);
        assert_eq!(index.due(u64::MAX, 9), [ids[0], ids[2], ids[3], ids[1]]);
    }

    #[test]
    fn a_leased_leg_is_not_due_and_wakes_nobody_until_it_is_given_back() {
        let mut index = Index::new(10);
        let ids: Vec<LegId> = (1..=2)
            .map(|n| index.insert(leg(n, 0), MessageIdText::default()))
            .collect();
        index.set_leased(ids[0], true);
        index.set_due(ids[0], 1);
        index.set_due(ids[1], SPANS_FROM_MS + 70_000);
        assert_eq!(index.due(u64::MAX, 1), [ids[1]]);
        assert!(index.next_due_ms().unwrap() > SPANS_FROM_MS + 60_000);
        index.set_leased(ids[0], false);
        index.set_leased(ids[0], false);
        assert_eq!(index.due(u64::MAX, 9), ids);
    }

    #[test]
    fn the_index_costs_what_the_documents_say() {
        // ARCHITECTURE.md: about 160 octets a leg that waits, tables and lists included.
        assert!(size_of::<Option<Leg>>() <= 112, "{}", size_of::<Option<Leg>>());
        // By message and by pair: four octets and one of the table's own, in tables that are two thirds full.
        let tables = 2 * 8;
        let lists = 2 * Chains::PLACE + Pairs::PLACE;
        assert!(Slots::<Leg>::PLACE + lists + tables <= 160);
    }
}
