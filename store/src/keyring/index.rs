//! Where the keys of periods lie: some 60 octets of memory for each, so that a million of them cost less than what
//! a million open ciphers would by far.

use std::hash::{BuildHasher, RandomState};

use super::period::PeriodOwner;
use crate::by_hash::ByHash;
use crate::seal::KeyId;

/// One key of a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) id: KeyId,
    pub(super) owner: PeriodOwner,
    pub(super) made_ms: u64,
}

/// The keys of periods by slot, by name and by owner.
#[derive(Default)]
pub(super) struct PeriodIndex {
    /// By number of slot; nothing where another's key is, or none.
    entries: Vec<Option<Entry>>,
    by_id: ByHash,
    by_owner: ByHash,
    hasher: RandomState,
    count: usize,
}

impl PeriodIndex {
    pub(super) fn len(&self) -> usize {
        self.count
    }

    fn at(&self, slot: u32) -> Option<&Entry> {
        self.entries.get(slot as usize)?.as_ref()
    }

    /// Takes a key in. Of two for one owner the one that was made later is found.
    pub(super) fn insert(&mut self, slot: usize, entry: Entry) {
        let Ok(number) = u32::try_from(slot) else { return };
        let (id_hash, owner_hash) = (self.hasher.hash_one(entry.id), self.hasher.hash_one(entry.owner));
        if self.entries.len() <= slot {
            self.entries.resize(slot + 1, None);
        }
        let Some(place) = self.entries.get_mut(slot) else {
            return;
        };
        self.count += usize::from(place.replace(entry).is_none());
        let (entries, hasher) = (&self.entries, &self.hasher);
        let at = |slot: u32| entries.get(slot as usize).and_then(Option::as_ref);
        // The same hashes as above, for those that move when their part of a table grows.
        let hash_id = |slot| at(slot).map_or(0, |entry| hasher.hash_one(entry.id));
        let hash_owner = |slot| at(slot).map_or(0, |entry| hasher.hash_one(entry.owner));
        self.by_id.insert(id_hash, number, hash_id);
        let same = |slot| at(slot).is_some_and(|other| other.owner == entry.owner && other.id != entry.id);
        if let Some(other) = self.by_owner.find_mut(owner_hash, same) {
            if at(*other).is_some_and(|other| other.id < entry.id) {
                *other = number;
            }
        } else {
            self.by_owner.insert(owner_hash, number, hash_owner);
        }
    }

    /// Where a key lies, and whose it is.
    pub(super) fn find(&self, id: KeyId) -> Option<(usize, Entry)> {
        let is_it = |slot| self.at(slot).is_some_and(|entry| entry.id == id);
        let slot = self.by_id.find(self.hasher.hash_one(id), is_it)?;
        Some((slot as usize, *self.at(slot)?))
    }

    /// The key of an owner.
    pub(super) fn of(&self, owner: PeriodOwner) -> Option<KeyId> {
        let is_it = |slot| self.at(slot).is_some_and(|entry| entry.owner == owner);
        let slot = self.by_owner.find(self.hasher.hash_one(owner), is_it)?;
        Some(self.at(slot)?.id)
    }

    /// Forgets a key.
    pub(super) fn remove(&mut self, id: KeyId) -> Option<(usize, Entry)> {
        let (slot, entry) = self.find(id)?;
        let number = u32::try_from(slot).ok()?;
        self.by_id.remove(self.hasher.hash_one(id), number);
        self.by_owner.remove(self.hasher.hash_one(entry.owner), number);
        *self.entries.get_mut(slot)? = None;
        self.count -= 1;
        Some((slot, entry))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_codec::identity::SystemId;

    fn entry(id: u32) -> Entry {
        let owner = PeriodOwner {
            account: SystemId::new(b"a").unwrap(),
            class: 1,
            bucket: 2,
            start: id,
            length: 0,
            part: 0,
        };
        Entry {
            id: KeyId(id),
            owner,
            made_ms: 5,
        }
    }

    #[test]
    fn keys_are_found_by_name_and_owner_until_they_are_removed() {
        let mut index = PeriodIndex::default();
        for id in 1..5_000 {
            index.insert(id as usize * 2, entry(id));
        }
        for id in (1..5_000).step_by(2) {
            assert_eq!(index.remove(KeyId(id)), Some((id as usize * 2, entry(id))));
            assert_eq!(index.remove(KeyId(id)), None);
        }
        for id in 1..5_000 {
            let there = id % 2 == 0;
            assert_eq!(index.find(KeyId(id)), there.then(|| (id as usize * 2, entry(id))));
            assert_eq!(index.of(entry(id).owner), there.then_some(KeyId(id)));
        }
        assert_eq!((index.len(), index.iter().count()), (2_499, 2_499));
    }

    #[test]
    fn of_two_keys_for_one_owner_the_later_is_found() {
        for ids in [[1, 2], [2, 1]] {
            let mut index = PeriodIndex::default();
            for id in ids {
                let owner = entry(9).owner;
                index.insert(id as usize, Entry { owner, ..entry(id) });
            }
            assert_eq!(index.of(entry(9).owner), Some(KeyId(2)));
            assert!(index.remove(KeyId(1)).is_some());
            assert_eq!(index.of(entry(9).owner), Some(KeyId(2)));
        }
    }

    #[test]
    fn what_a_key_costs_in_memory_is_bounded() {
        assert!(size_of::<Option<Entry>>() <= 48);
    }
}
