//! What waits for an account to fetch it: DLRs and MOs, in the order in which they were caused.
//!
//! Entries are records in the spool; here is what of them must be at hand. What nobody has fetched for a while lies
//! in files ([`waiting`](crate::waiting)) and comes back when its turn comes: of these only the count is here, and
//! from where on they stand in line. Each sink of an account has a line of its own, so that one that takes nothing holds
//! up no other. Which bind takes an entry is not this module's business.

mod lines;

use hashbrown::HashMap;

use crate::chain::{Chains, key};
use crate::index::Location;
use crate::message_id::MessageId;
use crate::names::NameId;
use crate::record::{EntryKind, Form, Sink};
use crate::slots::{SlotId, Slots};

use lines::Lines;

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

impl Entry {
    /// In whose line it stands.
    pub(crate) const fn line(&self) -> LineOf {
        LineOf {
            account: self.account,
            sink: self.sink,
        }
    }
}

/// Whose line it is: what goes to one sink of an account is delivered in the order in which it was caused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LineOf {
    /// The account.
    pub account: NameId,
    /// Where it goes.
    pub sink: Sink,
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
    lines: Lines,
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
        let lines = self.lines.of(account).iter();
        lines.map(|line| line.in_memory + line.in_files).sum()
    }

    /// How many entries of an account lie in files and not in memory.
    pub fn in_files(&self, account: NameId) -> usize {
        self.lines.of(account).iter().map(|line| line.in_files).sum()
    }

    /// How many entries lie in files and not in memory, of all accounts.
    pub const fn filed(&self) -> usize {
        self.filed
    }

    /// Whether something of a line lies in files, and how many of its entries have come back and wait for a bind.
    pub(crate) fn filed_and_returned(&self, of: LineOf) -> (bool, usize) {
        self.lines
            .get(of)
            .map_or((false, 0), |line| (line.in_files > 0, line.returned))
    }

    /// The sink of an account for which the oldest entry waits that no bind has, those `without` not asked.
    pub(crate) fn next_sink(&mut self, account: NameId, without: &[Sink]) -> Option<Sink> {
        let entries = &self.entries;
        let lines = self.lines.of_mut(account).iter_mut();
        lines
            .filter(|line| !without.contains(&line.sink))
            .filter_map(|line| Some((line.oldest(entries)?, line.sink)))
            .min()
            .map(|(_, sink)| sink)
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

    /// Takes the oldest waiting entry of a line for a bind; none, as long as that one lies in a file.
    pub(crate) fn take(&mut self, of: LineOf) -> Option<EntryId> {
        let line = self.lines.get_mut(of)?;
        line.shed(&self.entries);
        let id = line.queue.front().copied()?;
        let entry = self.entries.get_mut(id.0)?;
        if line.in_files > 0 && entry.id >= line.first {
            return None;
        }
        line.queue.pop_front();
        entry.taken = true;
        line.returned = line.returned.saturating_sub(usize::from(entry.in_file));
        Some(id)
    }

    /// Puts an entry that a bind did not settle back in front of its line.
    pub(crate) fn put_back(&mut self, id: EntryId) {
        let Some(entry) = self.entries.get_mut(id.0) else {
            return;
        };
        let comes_back = std::mem::take(&mut entry.taken) && entry.in_file;
        let line = self.lines.make(entry.line());
        line.returned += usize::from(comes_back);
        line.queue.push_front(id);
    }

    // ===== files =====

    /// Says how many entries of a line lie in files, and that none of them is older than `first`.
    pub(crate) fn set_in_files(&mut self, of: LineOf, count: usize, first: MessageId) {
        let line = self.lines.make(of);
        self.filed = self.filed - line.in_files + count;
        (line.in_files, line.first) = (count, first);
    }

    /// Lines of which so many entries are in memory.
    pub(crate) fn crowded(&self, min: usize) -> impl Iterator<Item = LineOf> + '_ {
        let all = self.lines.iter();
        all.filter(move |(_, line)| line.in_memory >= min)
            .map(|(account, line)| LineOf {
                account,
                sink: line.sink,
            })
    }

    /// The oldest entries of a line that no bind has and that were caused until `until_ms`, without those that have
    /// come back from files.
    pub(crate) fn oldest(&self, of: LineOf, until_ms: u64) -> impl Iterator<Item = (EntryId, &Entry)> + '_ {
        let queue = self.lines.get(of).into_iter().flat_map(|line| &line.queue);
        queue
            .filter_map(|id| Some((*id, self.get(*id)?)))
            .filter(|(_, entry)| !entry.in_file && !entry.taken && entry.at.segment() != 0)
            .take_while(move |(_, entry)| entry.id.ms() <= until_ms)
    }

    /// Forgets what has left the front of a line.
    pub(crate) fn shed(&mut self, of: LineOf) {
        if let Some(line) = self.lines.get_mut(of) {
            line.shed(&self.entries);
        }
    }

    /// Entries that have come back from a file stand in line where they stood: by id, with those that stayed in memory.
    pub(crate) fn enqueue_returned(&mut self, ids: &[EntryId]) {
        let mut lines: Vec<LineOf> = ids.iter().filter_map(|id| Some(self.get(*id)?.line())).collect();
        // Of one line, but for files of a version that did not divide them.
        lines.sort_unstable();
        lines.dedup();
        for of in lines {
            let entries = &self.entries;
            let own = |id: &EntryId| entries.get(id.0).map(|entry| entry.id);
            let is_here = |id: &EntryId| entries.get(id.0).is_some_and(|entry| entry.line() == of);
            let mut all: Vec<EntryId> = ids.iter().copied().filter(is_here).collect();
            let (count, last) = (all.len(), all.iter().filter_map(own).max());
            let line = self.lines.make(of);
            while let Some(id) = line.queue.front().copied() {
                match own(&id) {
                    Some(own) if Some(own) > last => break,
                    Some(_) => all.push(id),
                    None => {}
                }
                line.queue.pop_front();
            }
            all.sort_unstable_by_key(own);
            all.iter().rev().for_each(|id| line.queue.push_front(*id));
            line.returned += count;
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
        let (own, line, segment, due) = (entry.id, entry.line(), entry.at.segment(), entry.expires_ms);
        let id = EntryId(self.entries.insert(entry));
        let slot = id.0.slot();
        self.by_id.insert(own, slot);
        self.by_date.set(slot, key(due >> SPAN_SHIFT));
        if segment != 0 {
            self.by_segment.set(slot, key(segment));
        }
        self.lines.make(line).in_memory += 1;
        id
    }

    pub(crate) fn enqueue(&mut self, id: EntryId) {
        let entries = &self.entries;
        let Some(entry) = entries.get(id.0) else {
            return;
        };
        let line = self.lines.make(entry.line());
        // Entries of an account that never binds expire where they stand; shed them before they pile up.
        if line.queue.len() > 2 * line.in_memory + 16 {
            line.queue.retain(|id| entries.get(id.0).is_some());
        }
        line.queue.push_back(id);
    }

    /// What stands in each line.
    #[cfg(test)]
    pub(crate) fn queues(&self) -> impl Iterator<Item = (LineOf, Vec<MessageId>)> + '_ {
        self.lines.iter().map(|(account, line)| {
            let of = LineOf {
                account,
                sink: line.sink,
            };
            let ids = line.queue.iter().filter_map(|id| Some(self.get(*id)?.id));
            (of, ids.collect())
        })
    }

    /// Puts all entries into their lines in the order in which they were caused, which is not that of their places when
    /// some were copied forward.
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
        if let Some(line) = self.lines.get_mut(entry.line()) {
            line.in_memory -= 1;
            let was_returned = entry.in_file && !entry.taken;
            line.returned = line.returned.saturating_sub(usize::from(was_returned));
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
    use std::num::NonZeroU32;

    use super::*;

    const LOAD: NameId = NameId(0);
    const LINE: LineOf = LineOf {
        account: LOAD,
        sink: Sink::Bind,
    };

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
        assert_eq!(outbox.take(LINE), Some(ids[0]));
        assert_eq!(outbox.take(LINE), Some(ids[1]));
        outbox.put_back(ids[1]);
        outbox.put_back(ids[0]);
        assert_eq!(outbox.take(LINE), Some(ids[0]));
        assert_eq!(outbox.waiting_for(LOAD), 3, "what a bind holds still waits");
    }

    #[test]
    fn settled_entries_are_skipped_and_not_counted() {
        let (mut outbox, ids) = filled(3);
        outbox.remove(ids[0]);
        assert!(outbox.remove(ids[0]).is_none());
        assert_eq!((outbox.waiting_for(LOAD), outbox.len()), (2, 2));
        assert_eq!(outbox.take(LINE), Some(ids[1]));
        assert_eq!(outbox.find(MessageId(1)), None);
    }

    #[test]
    fn the_sink_for_which_the_oldest_waits_is_next_but_for_those_that_take_nothing() {
        let kitchen = Sink::BindOf(NonZeroU32::MIN);
        let mut outbox = Outbox::default();
        let mut ids = Vec::new();
        for (id, sink) in [(1, kitchen), (2, Sink::Bind), (3, kitchen)] {
            ids.push(outbox.insert(Entry { sink, ..entry(id) }));
        }
        ids.iter().for_each(|id| outbox.enqueue(*id));
        assert_eq!(outbox.next_sink(LOAD, &[]), Some(kitchen));
        assert_eq!(outbox.next_sink(LOAD, &[kitchen]), Some(Sink::Bind));
        assert_eq!(outbox.next_sink(LOAD, &[kitchen, Sink::Bind]), None);
        assert_eq!(outbox.next_sink(NameId(1), &[]), None);
        // What has ended, or is on a bind, counts for none.
        outbox.remove(ids[0]);
        assert_eq!(outbox.next_sink(LOAD, &[]), Some(Sink::Bind));
        assert_eq!(outbox.take(LINE), Some(ids[1]));
        assert_eq!(outbox.take(LINE), None);
        assert_eq!(outbox.next_sink(LOAD, &[kitchen]), None);
        // What lies in a file counts for its sink.
        outbox.set_in_files(LINE, 7, MessageId(2));
        assert_eq!(outbox.next_sink(LOAD, &[]), Some(Sink::Bind));
        assert_eq!(outbox.waiting_for(LOAD), 9);
    }

    #[test]
    fn tags_that_come_and_go_leave_no_lines_behind() {
        let mut outbox = Outbox::default();
        for tag in 1..1000 {
            let sink = NonZeroU32::new(tag).map_or(Sink::Bind, Sink::BindOf);
            let id = outbox.insert(Entry { sink, ..entry(1) });
            outbox.enqueue(id);
            outbox.remove(id);
        }
        assert!(outbox.lines.of(LOAD).len() <= 16);
    }

    #[test]
    fn the_queue_of_an_account_that_never_binds_stays_bounded() {
        let mut outbox = Outbox::default();
        for n in 1..1000 {
            let id = outbox.insert(entry(n));
            outbox.enqueue(id);
            outbox.remove(id);
        }
        let len = outbox.lines.of(LOAD)[0].queue.len();
        assert!(len <= 20, "{len}");
    }

    #[test]
    fn what_lies_in_files_is_counted_and_holds_back_what_is_younger() {
        let (mut outbox, ids) = filled(4);
        // 2 and 3 have gone to a file; 1 was passed over.
        outbox.remove(ids[1]);
        outbox.remove(ids[2]);
        outbox.set_in_files(LINE, 2, MessageId(2));
        assert_eq!((outbox.waiting_for(LOAD), outbox.len()), (4, 4));
        assert_eq!(outbox.take(LINE), Some(ids[0]));
        assert_eq!(outbox.take(LINE), None);
        outbox.put_back(ids[0]);
        let back: Vec<EntryId> = [2, 3]
            .map(|id| {
                outbox.insert(Entry {
                    in_file: true,
                    ..entry(id)
                })
            })
            .to_vec();
        outbox.set_in_files(LINE, 0, MessageId(0));
        outbox.enqueue_returned(&back);
        let queued: Vec<_> = outbox.queues().collect();
        assert_eq!(queued, [(LINE, [1, 2, 3, 4].map(MessageId).to_vec())]);
        assert_eq!(
            (outbox.waiting_for(LOAD), outbox.filed_and_returned(LINE).1),
            (4, 2)
        );
        outbox.take(LINE);
        assert_eq!(outbox.take(LINE), Some(back[0]));
        assert_eq!(outbox.filed_and_returned(LINE).1, 1);
        outbox.put_back(back[0]);
        outbox.remove(back[0]);
        outbox.remove(back[1]);
        assert_eq!(outbox.filed_and_returned(LINE).1, 0);
    }

    /// Files of a version that did not divide them hold entries for several sinks.
    #[test]
    fn what_comes_back_together_stands_in_line_for_its_own_sink() {
        let kitchen = Sink::BindOf(NonZeroU32::MIN);
        let (mut outbox, ids) = filled(4);
        ids[..3].iter().for_each(|id| _ = outbox.remove(*id));
        let back: Vec<EntryId> = [(1, kitchen), (2, Sink::Bind), (3, kitchen)]
            .map(|(id, sink)| {
                outbox.insert(Entry {
                    in_file: true,
                    sink,
                    ..entry(id)
                })
            })
            .to_vec();
        outbox.enqueue_returned(&back);
        let of = LineOf {
            account: LOAD,
            sink: kitchen,
        };
        assert_eq!(outbox.filed_and_returned(of).1, 2);
        assert_eq!(outbox.take(of), Some(back[0]));
        assert_eq!(outbox.take(LINE), Some(back[1]));
        assert_eq!(outbox.take(of), Some(back[2]));
        assert_eq!(outbox.take(of), None);
        assert_eq!(outbox.take(LINE), Some(ids[3]));
    }

    #[test]
    fn the_oldest_are_those_that_no_bind_has() {
        let (mut outbox, ids) = filled(5);
        outbox.take(LINE);
        let until = MessageId(3).ms();
        let oldest: Vec<EntryId> = outbox.oldest(LINE, until).map(|(id, _)| id).collect();
        assert_eq!(oldest, ids[1..]);
        assert_eq!(outbox.oldest(LINE, until - 1).count(), 0);
        outbox.remove(ids[1]);
        outbox.shed(LINE);
        assert_eq!(outbox.lines.of(LOAD)[0].queue.front(), Some(&ids[2]));
    }

    #[test]
    fn entries_expire_at_their_date() {
        let (outbox, ids) = filled(3);
        assert_eq!(outbox.expired(4999, 9), []);
        assert_eq!(outbox.expired(5000, 9), [ids[0]]);
        assert_eq!(outbox.expired(99_000, 9).len(), 3);
    }
}
