//! What waits for an account to fetch it: DLRs and MOs, in the order in which they were caused.
//!
//! Entries are records in the spool; here is what of them must be at hand. Which bind takes an entry is
//! not this module's business.

use std::collections::VecDeque;

use hashbrown::{HashMap, HashSet};

use crate::chain::{Chains, key};
use crate::index::Location;
use crate::message_id::MessageId;
use crate::names::NameId;
use crate::record::{EntryKind, Form, Sink};
use crate::slots::{SlotId, Slots};

/// An entry while it is unsettled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntryId(SlotId);

/// A DLR or MO that waits.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The entry's own id.
    pub id: MessageId,
    /// Whose it is.
    pub account: NameId,
    /// DLR or MO.
    pub kind: EntryKind,
    /// Where it goes.
    pub sink: Sink,
    /// Which PDU its body is of.
    pub form: Form,
    /// Until when it may be fetched, in unix milliseconds.
    pub expires_ms: u64,
    pub(crate) at: Location,
    pub(crate) born: u32,
    pub(crate) revision: u32,
}

/// Milliseconds in one span of the date lists, as a shift: about two seconds, so that 31 bits reach until 2109.
const SPAN_SHIFT: u32 = 11;

/// All unsettled entries.
#[derive(Debug, Default)]
pub struct Outbox {
    entries: Slots<Entry>,
    by_id: HashMap<MessageId, u32>,
    by_date: Chains,
    by_segment: Chains,
    /// Entries that no bind has taken, oldest first. Ended ones are shed when met.
    queues: HashMap<NameId, VecDeque<EntryId>>,
    /// Accounts whose queue is not empty.
    ready: HashSet<NameId>,
    counts: HashMap<NameId, usize>,
}

impl Outbox {
    /// How many entries wait, those on a bind included.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// How many entries of an account wait, those on a bind included. The caller holds it to its bound.
    pub fn waiting_for(&self, account: NameId) -> usize {
        self.counts.get(&account).copied().unwrap_or(0)
    }

    /// Accounts for which something waits that no bind has taken. (What waits may have ended meanwhile:
    /// then there is nothing to take.)
    pub fn accounts(&self) -> impl Iterator<Item = NameId> + '_ {
        self.ready.iter().copied()
    }

    /// Whether something may wait for an account that no bind has taken.
    pub fn has_waiting(&self, account: NameId) -> bool {
        self.ready.contains(&account)
    }

    /// An entry, unless it was settled.
    pub fn get(&self, id: EntryId) -> Option<&Entry> {
        self.entries.get(id.0)
    }

    pub(crate) fn get_mut(&mut self, id: EntryId) -> Option<&mut Entry> {
        self.entries.get_mut(id.0)
    }

    /// An entry by its own id.
    pub fn find(&self, id: MessageId) -> Option<EntryId> {
        self.by_id.get(&id).map(|slot| self.id_of(*slot))
    }

    /// Takes the oldest waiting entry of an account for a bind.
    pub fn take(&mut self, account: NameId) -> Option<EntryId> {
        let queue = self.queues.get_mut(&account)?;
        let entries = &self.entries;
        let lives = |id: &EntryId| entries.get(id.0).is_some();
        let found = std::iter::from_fn(|| queue.pop_front()).find(lives);
        if queue.is_empty() {
            self.ready.remove(&account);
        }
        found
    }

    /// Puts an entry that a bind did not settle back in front.
    pub fn put_back(&mut self, id: EntryId) {
        if let Some(account) = self.get(id).map(|entry| entry.account) {
            self.queues.entry(account).or_default().push_front(id);
            self.ready.insert(account);
        }
    }

    /// Durable entries whose time to be fetched has ended, at most `max`.
    pub fn expired(&self, now_ms: u64, max: usize) -> Vec<EntryId> {
        self.by_date
            .up_to(key(now_ms >> SPAN_SHIFT))
            .filter(|slot| {
                let entry = self.entries.at(*slot);
                entry.is_some_and(|entry| entry.expires_ms <= now_ms && entry.at.segment() != 0)
            })
            .map(|slot| self.id_of(slot))
            .take(max)
            .collect()
    }

    /// Entries whose record lies in a segment.
    pub fn in_segment(&self, segment: u64) -> impl Iterator<Item = (EntryId, &Entry)> {
        self.by_segment
            .of(key(segment))
            .filter_map(|slot| Some((self.id_of(slot), self.entries.at(slot)?)))
    }

    /// All entries, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().map(|(_, entry)| entry)
    }

    /// How many places the table has: entries are in some of them, and stay where they are.
    pub fn places(&self) -> usize {
        self.entries.places()
    }

    /// The entries of `count` places from `first` on, so that all can be looked at a little at a time.
    pub fn slice(&self, first: usize, count: usize) -> impl Iterator<Item = (EntryId, &Entry)> {
        self.entries
            .slice(first, count)
            .map(|(id, entry)| (EntryId(id), entry))
    }

    /// Takes an entry in; it joins the queue only with [`Outbox::enqueue`], when it is synced.
    pub(crate) fn insert(&mut self, entry: Entry) -> EntryId {
        let (own, account, segment, due) = (entry.id, entry.account, entry.at.segment(), entry.expires_ms);
        let id = EntryId(self.entries.insert(entry));
        let slot = id.0.slot();
        self.by_id.insert(own, slot);
        self.by_date.set(slot, key(due >> SPAN_SHIFT));
        if segment != 0 {
            self.by_segment.set(slot, key(segment));
        }
        *self.counts.entry(account).or_default() += 1;
        id
    }

    pub(crate) fn enqueue(&mut self, id: EntryId) {
        let Some(account) = self.get(id).map(|entry| entry.account) else {
            return;
        };
        let (entries, waiting) = (&self.entries, self.waiting_for(account));
        let queue = self.queues.entry(account).or_default();
        // Entries of an account that never binds expire where they stand; shed them before they pile up.
        if queue.len() > 2 * waiting + 16 {
            queue.retain(|id| entries.get(id.0).is_some());
        }
        queue.push_back(id);
        self.ready.insert(account);
    }

    #[cfg(test)]
    pub(crate) fn queue(&self, account: NameId) -> Vec<MessageId> {
        let queue = self.queues.get(&account);
        let ids = queue.into_iter().flatten();
        ids.filter_map(|id| Some(self.get(*id)?.id)).collect()
    }

    /// Puts all entries into their accounts' queues in the order in which they were caused, which is not
    /// that of their places when some were copied forward.
    pub(crate) fn enqueue_all(&mut self) {
        let mut ids: Vec<(MessageId, u32)> = self.by_id.iter().map(|(id, slot)| (*id, *slot)).collect();
        ids.sort_unstable();
        for (_, slot) in ids {
            self.enqueue(self.id_of(slot));
        }
    }

    /// Takes an entry out: it is settled.
    pub(crate) fn remove(&mut self, id: EntryId) -> Option<Entry> {
        let entry = self.entries.remove(id.0)?;
        self.by_id.remove(&entry.id);
        self.by_date.remove(id.0.slot());
        self.by_segment.remove(id.0.slot());
        if let Some(count) = self.counts.get_mut(&entry.account) {
            *count -= 1;
        }
        Some(entry)
    }

    pub(crate) fn set_location(&mut self, id: EntryId, at: Location) -> Option<Location> {
        let entry = self.get_mut(id)?;
        let before = std::mem::replace(&mut entry.at, at);
        if entry.born == 0 {
            entry.born = key(at.segment());
        }
        self.by_segment.set(id.0.slot(), key(at.segment()));
        Some(before)
    }

    fn id_of(&self, slot: u32) -> EntryId {
        EntryId(self.entries.id_at(slot))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOAD: NameId = NameId(0);

    fn entry(id: u64) -> Entry {
        Entry {
            id: MessageId(id),
            account: LOAD,
            kind: EntryKind::Dlr,
            sink: Sink::Bind,
            form: Form::Sm,
            expires_ms: 5000 * id,
            at: Location::new(1, 64, 10),
            born: 1,
            revision: 0,
        }
    }

    fn filled(count: u64) -> (Outbox, Vec<EntryId>) {
        let mut outbox = Outbox::default();
        let ids: Vec<EntryId> = (1..=count).map(|id| outbox.insert(entry(id))).collect();
        ids.iter().for_each(|id| outbox.enqueue(*id));
        (outbox, ids)
    }

    #[test]
    fn entries_leave_in_order_and_come_back_to_the_front() {
        let (mut outbox, ids) = filled(3);
        assert_eq!(outbox.take(LOAD), Some(ids[0]));
        assert_eq!(outbox.take(LOAD), Some(ids[1]));
        outbox.put_back(ids[1]);
        outbox.put_back(ids[0]);
        assert_eq!(outbox.take(LOAD), Some(ids[0]));
        assert_eq!(outbox.waiting_for(LOAD), 3, "what a bind holds still waits");
    }

    #[test]
    fn settled_entries_are_skipped_and_not_counted() {
        let (mut outbox, ids) = filled(3);
        outbox.remove(ids[0]);
        assert!(outbox.remove(ids[0]).is_none());
        assert_eq!((outbox.waiting_for(LOAD), outbox.len()), (2, 2));
        assert_eq!(outbox.take(LOAD), Some(ids[1]));
        assert_eq!(outbox.find(MessageId(1)), None);
    }

    #[test]
    fn accounts_are_named_while_something_waits_for_them() {
        let (mut outbox, ids) = filled(2);
        assert_eq!(outbox.accounts().collect::<Vec<_>>(), [LOAD]);
        outbox.take(LOAD);
        assert!(outbox.has_waiting(LOAD));
        outbox.take(LOAD);
        assert_eq!(outbox.accounts().count(), 0);
        assert_eq!(outbox.take(LOAD), None);
        outbox.put_back(ids[1]);
        assert!(outbox.has_waiting(LOAD));
        outbox.remove(ids[1]);
        assert_eq!(outbox.take(LOAD), None);
        assert!(!outbox.has_waiting(LOAD));
    }

    #[test]
    fn the_queue_of_an_account_that_never_binds_stays_bounded() {
        let mut outbox = Outbox::default();
        for n in 1..1000 {
            let id = outbox.insert(entry(n));
            outbox.enqueue(id);
            outbox.remove(id);
        }
        assert!(outbox.queues[&LOAD].len() <= 20, "{}", outbox.queues[&LOAD].len());
    }

    #[test]
    fn entries_expire_at_their_date() {
        let (outbox, ids) = filled(3);
        assert_eq!(outbox.expired(4999, 9), []);
        assert_eq!(outbox.expired(5000, 9), [ids[0]]);
        assert_eq!(outbox.expired(99_000, 9).len(), 3);
    }
}
