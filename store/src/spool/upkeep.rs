//! Which chore comes next, and what follows from its outcome.

use std::sync::Arc;

use tidegate_codec::identity::SystemId;

use crate::disk::Disk;
use crate::footer::{self, Item, LivingEntry, LivingLeg, Summary};
use crate::index::{Leg, LegId};
use crate::outbox::Entry;
use crate::record::{Head, Kind};
use crate::seal::{KeyId, SEALED_OVERHEAD};
use crate::segment::{HEADER_LEN, TRAILER_LEN};

use super::Spool;
use super::chores::{
    Chore, ChoreDone, Copy, CopyItem, Finished, Outcome, OwnedLeg, Target, Task, Unfooted, state_of,
};
use super::commit::FLOOR_AHEAD_MS;
use super::staging::{Part, Staged};

/// Legs and entries that one copy chore takes at most: bounds the memory and the batch it becomes.
const COPY_MAX: usize = 512;
/// Octets of records that one copy chore takes at most.
const COPY_OCTETS_MAX: u64 = 512 << 10;
/// A closed segment is emptied this long after it was closed, however much of it lives.
const EMPTY_AFTER_MS: u64 = 24 * 60 * 60 * 1000;

/// A leg on a carrier link is copied like any other if its segment was closed this long ago; before, it
/// will most likely end where it lies.
const LEASED_MS: u64 = 60_000;
/// Segments beyond the limit that emptying others may take for a moment: it needs room before it gives any.
const OVERDRAFT_SEGMENTS: u64 = 2;
/// A chore that failed is tried again after this long.
const TRY_AGAIN_MS: u64 = 1_000;

/// Which chores are out, and which are to wait.
#[derive(Debug, Default)]
pub(super) struct Outstanding {
    prepare: bool,
    footer: Option<u64>,
    copy: Option<KeyId>,
    unlink: bool,
    /// When the next segment could last not be made.
    starved_ms: Option<u64>,
    /// When a copy, or a removal, failed last.
    copy_failed_ms: Option<u64>,
    unlink_failed_ms: Option<u64>,
    /// Keys of segments that are gone, to be destroyed with the next ones.
    retired: Vec<KeyId>,
}

impl Outstanding {
    /// Whether the disk has no room for the next segment.
    pub(super) const fn is_starved(&self) -> bool {
        self.starved_ms.is_some()
    }
}

/// Whether what failed then is to wait a little. A clock that is set back makes nothing wait for hours.
pub(super) fn is_too_soon(failed_ms: Option<u64>, now_ms: u64) -> bool {
    failed_ms.is_some_and(|failed| (failed..failed.saturating_add(TRY_AGAIN_MS)).contains(&now_ms))
}

impl<D: Disk> Spool<D> {
    /// The next thing to be done, most urgent first; `None` when all is well or already under way. Ask
    /// again after every commit and every chore, and once a second: what failed is tried again, and
    /// segments come of age.
    pub fn next_chore(&mut self, now_ms: u64) -> Option<Chore<D>> {
        if let Some(task) = self.find_chore().or_else(|| self.load_chore(now_ms)) {
            return Some(Chore(task));
        }
        if self.broken {
            return None;
        }
        self.prepare_chore(now_ms)
            .or_else(|| self.journal_chore(now_ms))
            .or_else(|| self.mark_chore(now_ms))
            .or_else(|| self.mark_parked_chore(now_ms))
            .or_else(|| self.history_chore(now_ms))
            .or_else(|| self.unlink_chore(now_ms))
            .or_else(|| self.copy_chore(now_ms))
            .or_else(|| self.waiting_chore(now_ms))
            .or_else(|| self.parked_chore(now_ms))
            .or_else(|| self.footer_chore())
            .map(Chore)
    }

    fn prepare_chore(&mut self, now_ms: u64) -> Option<Task<D>> {
        let mut limit = self.options.limit;
        if self.waits_for_segment && self.has_much_to_gain() {
            limit += OVERDRAFT_SEGMENTS * self.options.segment_size;
        }
        let affordable = self.octets() + self.options.segment_size <= limit;
        let waits = is_too_soon(self.out.starved_ms, now_ms);
        if self.out.prepare || self.next.is_some() || !affordable || waits {
            return None;
        }
        self.out.prepare = true;
        Some(Task::Prepare {
            number: self.active.number + 1,
            now_ms,
            floor_ms: self.ids.current_ms() + FLOOR_AHEAD_MS,
        })
    }

    /// The oldest segments, as far as nothing in them lives and what ended it is synced.
    fn unlink_chore(&mut self, now_ms: u64) -> Option<Task<D>> {
        // The active segment must state the floor of message ids before what states it now may go, or a
        // restart with a clock set back could give an id twice.
        let floor = self.active.offset > HEADER_LEN as u64 || self.active.floor_ms >= self.floor_ms;
        if self.out.unlink
            || !floor
            || self.filing.holds_all()
            || is_too_soon(self.out.unlink_failed_ms, now_ms)
        {
            return None;
        }
        let numbers: Vec<u64> = self
            .segments
            .iter()
            .take_while(|(number, segment)| {
                segment.is_drained(self.synced) && self.out.footer != Some(*number)
            })
            .map(|(number, _)| number)
            .collect();
        if numbers.is_empty() {
            return None;
        }
        self.out.unlink = true;
        self.unfooted
            .retain(|unfooted| !numbers.contains(&unfooted.number));
        let keys = self.idle_keys(&numbers);
        let is_saved = numbers.last().is_some_and(|last| *last <= self.usage.saved());
        let closed = self.active.number - 1;
        let usage = (!is_saved).then(|| self.usage.snapshot(&self.names, closed, now_ms));
        Some(Task::Unlink { numbers, keys, usage })
    }

    /// Keys of the segments that go, if no record elsewhere is or will be under them.
    fn idle_keys(&self, going: &[u64]) -> Vec<KeyId> {
        let in_use = |key: KeyId| {
            self.segments
                .iter()
                .any(|(number, segment)| !going.contains(&number) && segment.keys.contains(&key))
                || self.active.key.id() == key
                || self.next.as_ref().is_some_and(|next| next.key.id() == key)
                || self.staging.keys.contains(&key)
                || self.out.copy == Some(key)
        };
        let going = going.iter().filter_map(|number| self.segments.get(*number));
        let mut keys: Vec<KeyId> = going
            .flat_map(|segment| segment.keys.iter().copied())
            .chain(self.out.retired.iter().copied())
            .filter(|key| !in_use(*key))
            .collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// Whether the oldest segment is to be emptied. When a quarter of it lives or less it is cheap. When a
    /// quarter of all lives or less it is worth it, because it holds back all that are dead behind it. While
    /// intake is stopped the disk counts for more than the work; and before what ends work would have no
    /// room either, whatever can be gained is.
    fn is_to_be_emptied(&self, now_ms: u64) -> bool {
        let Some((_, oldest)) = self.segments.oldest() else {
            return false;
        };
        let Some(closed_ms) = oldest.closed_ms else {
            return false;
        };
        if oldest.live() == 0 {
            return false;
        }
        let old = now_ms >= closed_ms.saturating_add(EMPTY_AFTER_MS);
        let part = if self.has_intake_budget() { 4 } else { 2 };
        let (live, all) = (self.segments.live_octets(), self.written());
        let sparse = oldest.live_octets() < oldest.octets() / part || live < all / part;
        let pressed = self.occupied() + self.reserve() / 2 > self.options.limit && self.has_much_to_gain();
        old || sparse || pressed
    }

    /// Whether emptying segments gives back more than it needs for a moment.
    fn has_much_to_gain(&self) -> bool {
        self.written().saturating_sub(self.segments.live_octets()) >= 2 * self.options.segment_size
    }

    /// Octets of all segments, without what the active one has left.
    fn written(&self) -> u64 {
        let active = self.segments.get(self.active.number);
        self.segments.octets() - active.map_or(0, |segment| segment.octets() - self.active.offset)
    }

    /// Copies a bounded part of what lives in the oldest segment forward, if it is worth it. One copy is
    /// under way at a time, up to its commit: until then its records lie where they lay.
    fn copy_chore(&mut self, now_ms: u64) -> Option<Task<D>> {
        let under_way = self.out.copy.is_some() || self.copies_committing || self.staging.copies > 0;
        if under_way || is_too_soon(self.out.copy_failed_ms, now_ms) || !self.is_to_be_emptied(now_ms) {
            return None;
        }
        let (number, segment) = self.segments.oldest()?;
        let leased_too = now_ms >= segment.closed_ms?.saturating_add(LEASED_MS) || !self.has_intake_budget();
        let legs = self
            .index
            .in_segment(number)
            .filter(|(_, leg)| !leg.leased || leased_too)
            .map(|(id, leg)| {
                let item = self.copy_leg(id, leg);
                CopyItem {
                    target: Target::Leg(id),
                    revision: leg.revision,
                    at: leg.at,
                    leg: item,
                }
            });
        let entries = self.outbox.in_segment(number).map(|(id, entry)| CopyItem {
            target: Target::Entry(id),
            revision: entry.revision,
            at: entry.at,
            leg: None,
        });
        let max = COPY_OCTETS_MAX.min(self.batch_max());
        let mut octets = 0;
        let items: Vec<CopyItem> = legs
            .chain(entries)
            .take(COPY_MAX)
            .take_while(|item| {
                let first = octets == 0;
                octets += u64::from(item.at.len);
                first || octets <= max
            })
            .collect();
        if items.is_empty() {
            return None;
        }
        let key = Arc::clone(&self.next.as_ref().unwrap_or(&self.active).key);
        self.out.copy = Some(key.id());
        Some(Task::Copy { items, key })
    }

    fn copy_leg(&self, id: LegId, leg: &Leg) -> Option<(Head, OwnedLeg)> {
        let account = SystemId::new(self.names.name(leg.account).as_bytes()).ok()?;
        let head = Head {
            kind: Kind::Leg,
            id: leg.message,
            leg: leg.leg,
            account,
        };
        let carrier = leg
            .carrier
            .map_or("", |carrier| self.names.name(carrier))
            .to_owned();
        Some((
            head,
            OwnedLeg {
                leg: leg.clone(),
                carrier,
                carrier_id: self.index.owned_carrier_id(leg),
                quote: self.index.quote(id),
                progress: self.index.progress(id).cloned(),
                keeps_body: self.filing.keeps_body_of(leg),
            },
        ))
    }

    /// Writes the footer of a closed segment that has none. Only between commits: a footer must not leave
    /// out what ended in a batch that is not on disk yet.
    fn footer_chore(&mut self) -> Option<Task<D>> {
        if self.out.footer.is_some() || self.committing || !self.staging.records.is_empty() {
            return None;
        }
        // What nothing lives in goes without one, if nothing that lives is before it: it is about to be
        // unlinked. Otherwise its events matter to a start, which would have to read it whole.
        let oldest_living = self
            .segments
            .iter()
            .find(|(_, segment)| segment.live() > 0)
            .map(|(number, _)| number)?;
        let position = self
            .unfooted
            .iter()
            .position(|unfooted| unfooted.number >= oldest_living)?;
        let Unfooted {
            number,
            file,
            end,
            events,
        } = self.unfooted.remove(position);
        let key = Arc::clone(&self.next.as_ref().unwrap_or(&self.active).key);
        let segment = self.segments.get_mut(number)?;
        segment.add_key(key.id());
        let before = segment.octets();
        let summary = Summary {
            first_batch: segment.first_batch,
            last_batch: segment.last_batch,
            floor_ms: self.ids.current_ms(),
            closed_ms: segment.closed_ms.unwrap_or_default(),
            keys: segment.keys.clone(),
        };
        let mut plain = Vec::new();
        footer::begin(&mut plain, &summary);
        plain.extend_from_slice(&events);
        self.put_living(number, &mut plain);
        // A footer only makes a start quicker: it must not take the space of what ends work.
        let after = end + (4 + plain.len() + SEALED_OVERHEAD + TRAILER_LEN) as u64;
        if after > before && self.octets() - before + after + self.reserve() > self.options.limit {
            return None;
        }
        self.out.footer = Some(number);
        Some(Task::Footer {
            number,
            file,
            end,
            plain,
            key,
        })
    }

    fn put_living(&self, number: u64, plain: &mut Vec<u8>) {
        for (id, leg) in self.index.in_segment(number) {
            let Ok(account) = SystemId::new(self.names.name(leg.account).as_bytes()) else {
                continue;
            };
            let carrier = leg.carrier.map_or("", |carrier| self.names.name(carrier));
            let (quote, progress) = (self.index.quote(id), self.index.progress(id).cloned());
            let record = state_of(leg, carrier, self.index.carrier_id(leg), quote, progress, &[]);
            let (id, number) = (leg.message, leg.leg);
            footer::put(
                plain,
                &Item::Leg(LivingLeg {
                    id,
                    leg: number,
                    account,
                    born: u64::from(leg.born),
                    at: leg.at,
                    record,
                }),
            );
        }
        for (_, entry) in self.outbox.in_segment(number) {
            let Ok(account) = SystemId::new(self.names.name(entry.account).as_bytes()) else {
                continue;
            };
            let Entry {
                id,
                kind,
                sink,
                form,
                expires_ms,
                at,
                born,
                ..
            } = *entry;
            footer::put(
                plain,
                &Item::Entry(LivingEntry {
                    id,
                    account,
                    born: u64::from(born),
                    at,
                    kind,
                    sink,
                    form,
                    expires_ms,
                }),
            );
        }
    }

    /// Takes the outcome of a chore in.
    pub fn chore_done(&mut self, done: ChoreDone<D>, now_ms: u64) -> Finished {
        if let Some(octets) = done.kept_octets {
            self.kept_octets = octets;
        }
        match done.outcome {
            Outcome::Prepared(next) => {
                self.out.prepare = false;
                self.out.starved_ms = None;
                self.next = Some(next);
                Finished::Ready
            }
            Outcome::NotPrepared(error) => {
                self.out.prepare = false;
                self.out.starved_ms = Some(now_ms);
                Finished::NotReady(error)
            }
            Outcome::Footer { number, result } => {
                self.out.footer = None;
                match result {
                    Ok(octets) => {
                        self.segments.set_octets(number, octets);
                        Finished::Nothing
                    }
                    // Without a footer the next start reads the segment whole: slower, and as right.
                    Err(error) => Finished::Failed(error),
                }
            }
            Outcome::Copied {
                octets,
                copies,
                unreadable,
                stopped,
                lost,
                key,
            } => {
                self.out.copy = None;
                self.filing.lost(lost);
                self.stage_copies(now_ms, &octets, copies, key);
                // What has moved or ended meanwhile may have been unlinked under the reader.
                let unreadable: Vec<Target> = unreadable
                    .into_iter()
                    .filter(|item| self.place(item.target) == Some(item.at))
                    .map(|item| item.target)
                    .collect();
                if stopped.is_some() || !unreadable.is_empty() {
                    self.out.copy_failed_ms = Some(now_ms);
                }
                match stopped {
                    _ if !unreadable.is_empty() => Finished::Unreadable(unreadable),
                    Some(error) => Finished::NotRead(error),
                    None => Finished::Nothing,
                }
            }
            Outcome::Unlinked {
                numbers,
                keys,
                saved,
                result,
            } => {
                self.out.unlink = false;
                saved
                    .into_iter()
                    .for_each(|segment| self.usage.set_saved(segment));
                for number in &numbers {
                    let segment = self.segments.remove(*number);
                    let retired = segment.map(|segment| segment.keys).unwrap_or_default();
                    self.out.retired.extend(retired);
                }
                self.out.retired.retain(|key| !keys.contains(key));
                self.out.retired.sort_unstable();
                self.out.retired.dedup();
                match result {
                    Ok(()) => Finished::Unlinked(numbers.len()),
                    Err(error) => {
                        self.out.unlink_failed_ms = Some(now_ms);
                        Finished::Failed(error)
                    }
                }
            }
            Outcome::Read(found) => Finished::Read(found),
            Outcome::Waiting(report, damaged) => self.waiting_done(now_ms, report, damaged),
            Outcome::Parked(report, damaged) => self.parked_done(now_ms, report, damaged),
            Outcome::Park(line, parked) => self.park_done(now_ms, line, parked),
            Outcome::Journal { done, left, result } => self.journal_done(now_ms, &done, left, result),
            Outcome::Filed(filed) => self.filing_done(now_ms, filed),
            Outcome::Checkpointed { batch, result } => self.checkpointed(now_ms, batch, result),
            Outcome::Searched(search, result) => self.searched(now_ms, search, result),
            Outcome::History(number, told) => Finished::History(number, told),
        }
    }

    /// Stages copies, but for those whose leg has ended or changed since it was read: a copy must never
    /// come behind the record that ends it. (A lease is no change: it leaves no record.)
    fn stage_copies(&mut self, now_ms: u64, octets: &[u8], copies: Vec<Copy>, key: KeyId) {
        for Copy {
            target,
            revision,
            at,
            len,
        } in copies
        {
            let what = match target {
                Target::Leg(id) => match self.index.get(id) {
                    Some(leg) if leg.revision == revision => Staged::LegCopy(id),
                    _ => continue,
                },
                Target::Entry(id) => match self.outbox.get(id) {
                    Some(entry) if entry.revision == revision => Staged::EntryCopy(id),
                    _ => continue,
                },
            };
            let Some(sealed) = octets.get(at..at + len) else {
                continue;
            };
            let place = self.staging.copy(sealed, key);
            self.staging.push(now_ms, what, Part::Ending, place, false);
        }
    }
}
