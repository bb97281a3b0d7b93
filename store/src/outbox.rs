//! What waits for an account to fetch it: DLRs and MOs, in the order in which they were caused.
//!
//! Entries are records in the spool; here is what of them must be at hand. What nobody has fetched for a while lies
//! in files ([`waiting`](crate::waiting)) and comes back when its turn comes: of these only the count is here, and
//! from where on they stand in line. Which bind takes an entry is not this module's business.

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
    /// A bind has it.
    pub(crate) taken: bool,
    /// It has come back from an outbox file, where its record still lies.
    pub(crate) in_file: bool,
}

/// What of an account lies in outbox files and is not in memory.
#[derive(Clone, Copy, Debug)]
struct InFiles {
    count: usize,
    /// Nothing of it is older than this.
    first: MessageId,
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
    /// Entries of each account in memory.
    counts: HashMap<NameId, usize>,
    /// Of these, what has come back from files and no bind has taken.
    returned: HashMap<NameId, usize>,
    in_files: HashMap<NameId, InFiles>,
    /// Entries in files, of all accounts.
    filed: usize,
}

impl Outbox {
    /// How many entries wait, those on a bind and those in files included.
    pub fn len(&self) -> usize {
        self.by_id.len() + self.filed
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many entries of an account wait, those on a bind and those in files included. The caller holds it to its
    /// bound.
    pub fn waiting_for(&self, account: NameId) -> usize {
        self.in_memory(account) + self.in_files(account)
    }

    /// How many entries of an account lie in files and not in memory.
    pub fn in_files(&self, account: NameId) -> usize {
        self.in_files.get(&account).map_or(0, |found| found.count)
    }

    /// How many entries lie in files and not in memory, of all accounts.
    pub const fn filed(&self) -> usize {
        self.filed
    }

    fn in_memory(&self, account: NameId) -> usize {
        self.counts.get(&account).copied().unwrap_or(0)
    }

    /// How many entries of an account have come back from files and wait for a bind.
    pub(crate) fn returned(&self, account: NameId) -> usize {
        self.returned.get(&account).copied().unwrap_or(0)
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

    /// Takes the oldest waiting entry of an account for a bind; none, as long as that one lies in a file.
    pub fn take(&mut self, account: NameId) -> Option<EntryId> {
        let queue = self.queues.get_mut(&account)?;
        let in_files = self.in_files.get(&account).map(|found| found.first);
        let mut found = None;
        while let Some(id) = queue.front().copied() {
            match self.entries.get_mut(id.0) {
                Some(entry) if in_files.is_some_and(|first| entry.id >= first) => break,
                Some(entry) => {
                    entry.taken = true;
                    found = Some((id, entry.in_file));
                }
                None => {}
            }
            queue.pop_front();
            if found.is_some() {
                break;
            }
        }
        if queue.is_empty() {
            self.ready.remove(&account);
        }
        let (id, in_file) = found?;
        if in_file {
            self.count_returned(account, -1);
        }
        Some(id)
    }

    /// Puts an entry that a bind did not settle back in front.
    pub fn put_back(&mut self, id: EntryId) {
        let Some(entry) = self.entries.get_mut(id.0) else {
            return;
        };
        let (account, comes_back) = (entry.account, entry.taken && entry.in_file);
        entry.taken = false;
        if comes_back {
            self.count_returned(account, 1);
        }
        self.queues.entry(account).or_default().push_front(id);
        self.ready.insert(account);
    }

    fn count_returned(&mut self, account: NameId, by: isize) {
        let count = self.returned.entry(account).or_default();
        *count = count.saturating_add_signed(by);
    }

    // ===== files =====

    /// Says how many entries of an account lie in files, and that none of them is older than `first`.
    pub(crate) fn set_in_files(&mut self, account: NameId, count: usize, first: MessageId) {
        self.filed = self.filed - self.in_files(account) + count;
        if count == 0 {
            self.in_files.remove(&account);
        } else {
            self.in_files.insert(account, InFiles { count, first });
        }
    }

    /// Accounts of which so many entries are in memory.
    pub(crate) fn crowded(&self, min: usize) -> impl Iterator<Item = NameId> + '_ {
        let crowded = self.counts.iter().filter(move |(_, count)| **count >= min);
        crowded.map(|(account, _)| *account)
    }

    /// The oldest entries of an account that no bind has and that were caused until `until_ms`, without those that
    /// have come back from files.
    pub(crate) fn oldest(
        &self,
        account: NameId,
        until_ms: u64,
    ) -> impl Iterator<Item = (EntryId, &Entry)> + '_ {
        let queue = self.queues.get(&account).into_iter().flatten();
        queue
            .filter_map(|id| Some((*id, self.get(*id)?)))
            .filter(|(_, entry)| !entry.in_file && !entry.taken && entry.at.segment() != 0)
            .take_while(move |(_, entry)| entry.id.ms() <= until_ms)
    }

    /// Forgets what has left the front of an account's queue.
    pub(crate) fn shed(&mut self, account: NameId) {
        let Some(queue) = self.queues.get_mut(&account) else {
            return;
        };
        while queue.front().is_some_and(|id| self.entries.get(id.0).is_none()) {
            queue.pop_front();
        }
    }

    /// Entries that have come back from a file stand in line where they stood: by id, with those that stayed in memory.
    pub(crate) fn enqueue_returned(&mut self, account: NameId, ids: &[EntryId]) {
        let own = |id: &EntryId| self.entries.get(id.0).map(|entry| entry.id);
        let Some(last) = ids.iter().filter_map(own).max() else {
            return;
        };
        let queue = self.queues.entry(account).or_default();
        let mut line = ids.to_vec();
        while let Some(id) = queue.front().copied() {
            match own(&id) {
                Some(own) if own > last => break,
                Some(_) => line.push(id),
                None => {}
            }
            queue.pop_front();
        }
        line.sort_unstable_by_key(own);
        for id in line.iter().rev() {
            queue.push_front(*id);
        }
        self.ready.insert(account);
        for _ in ids {
            self.count_returned(account, 1);
        }
    }

    // ===== dates and places =====

    /// Durable entries whose time to be fetched has ended, at most `max`.
    pub fn expired(&self, now_ms: u64, max: usize) -> Vec<EntryId> {
        self.by_date
            .up_to(key(now_ms >> SPAN_SHIFT))
            .filter(|slot| {
                let entry = self.entries.at(*slot);
                entry.is_some_and(|entry| {
                    entry.expires_ms <= now_ms && (entry.at.segment() != 0 || entry.in_file)
                })
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
        let (entries, waiting) = (&self.entries, self.in_memory(account));
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
        if entry.in_file && !entry.taken {
            self.count_returned(entry.account, -1);
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
            taken: false,
            in_file: false,
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
    fn what_lies_in_files_is_counted_and_holds_back_what_is_younger() {
        let (mut outbox, ids) = filled(4);
        // 2 and 3 have gone to a file; 1 was passed over.
        outbox.remove(ids[1]);
        outbox.remove(ids[2]);
        outbox.set_in_files(LOAD, 2, MessageId(2));
        assert_eq!((outbox.waiting_for(LOAD), outbox.len()), (4, 4));
        assert_eq!(outbox.take(LOAD), Some(ids[0]));
        assert_eq!(outbox.take(LOAD), None);
        outbox.put_back(ids[0]);
        let back: Vec<EntryId> = [2, 3]
            .map(|id| {
                outbox.insert(Entry {
                    in_file: true,
                    ..entry(id)
                })
            })
            .to_vec();
        outbox.set_in_files(LOAD, 0, MessageId(0));
        outbox.enqueue_returned(LOAD, &back);
        assert_eq!(outbox.queue(LOAD), [1, 2, 3, 4].map(MessageId));
        assert_eq!((outbox.waiting_for(LOAD), outbox.returned(LOAD)), (4, 2));
        outbox.take(LOAD);
        assert_eq!(outbox.take(LOAD), Some(back[0]));
        assert_eq!(outbox.returned(LOAD), 1);
        outbox.put_back(back[0]);
        outbox.remove(back[0]);
        outbox.remove(back[1]);
        assert_eq!(outbox.returned(LOAD), 0);
    }

    #[test]
    fn the_oldest_are_those_that_no_bind_has() {
        let (mut outbox, ids) = filled(5);
        outbox.take(LOAD);
        let until = MessageId(3).ms();
        let oldest: Vec<EntryId> = outbox.oldest(LOAD, until).map(|(id, _)| id).collect();
        assert_eq!(oldest, ids[1..]);
        assert_eq!(outbox.oldest(LOAD, until - 1).count(), 0);
        outbox.remove(ids[1]);
        outbox.shed(LOAD);
        assert_eq!(outbox.queues[&LOAD].front(), Some(&ids[2]));
    }

    #[test]
    fn entries_expire_at_their_date() {
        let (outbox, ids) = filled(3);
        assert_eq!(outbox.expired(4999, 9), []);
        assert_eq!(outbox.expired(5000, 9), [ids[0]]);
        assert_eq!(outbox.expired(99_000, 9).len(), 3);
    }
}
