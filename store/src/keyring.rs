//! The key ring (design §4): every key that seals records, wrapped under a key-encryption key.
//!
//! It lives outside the data and its backups, in fixed slots that are overwritten in place, because a
//! store that appends keeps what was removed (ERA-1, ERA-3). It is kept twice. A change is written and
//! synced in `ring.a`, then in `ring.b`, so a power cut leaves the old or the new state in at least one;
//! a generation in each slot says which is newer.
//!
//! Most keys are of periods: one for each account, class of data and stretch of time (ERA-4), a million of them in a
//! large installation. Of those only names, owners and places are in memory; a key is read from its slot and opened
//! when it is asked for, and few are kept open. The others are few and always open.
//!
//! Keys of what is kept of people apart from messages lie in rings of their own, which are attached to this one and have
//! key-encryption keys of their own ([`Tier`], ENC-5): whoever asks for a key by its owner is sent to the right one.
//!
//! Destroying a key is how records are erased (ERA-2; `destroy`). Overwriting is no proof on SSDs and
//! copy-on-write file systems; that takes the rotation of the key-encryption key (ERA-3).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::disk::Disk;
use crate::message_id::Permutation;
use crate::seal::{KEY_LEN, KeyId, SealKey};

mod ages;
mod cache;
mod destroy;
mod error;
mod files;
mod index;
mod kek;
mod keks;
mod opening;
mod owned;
mod owner;
mod period;
mod rotation;
mod secrets;
mod slot;
mod survey;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_periods;
#[cfg(test)]
mod tests_rotation;
#[cfg(test)]
mod tests_tiers;
mod tier;

pub use cache::OPEN_MAX;
pub use error::KeyRingError;
pub(crate) use kek::create_whole;
pub use kek::{Kek, KekError};
pub use keks::Keks;
pub use owner::{Age, Destroyed, Fingerprint, OWNERS, Owner};
pub use period::PeriodOwner;
pub use rotation::{KekState, PIECE, Progress, Rotated};
pub use secrets::GENERATIONS_MAX;
pub use survey::{Survey, survey};
pub use tier::{Attached, Step, Tier};

use ages::Ages;
use cache::OpenKeys;
use files::{Copies, Found};
use index::{Entry, PeriodIndex};
use opening::{Opened, Unwrapping};
use owner::fingerprint;
use secrets::Secrets;
use slot::{Content, Form, Header, KekMark, OwnerTag, Slot, Wrapped};
use tier::{Part, Tiers};

/// Keys that a ring can hold at once: 256 MiB a copy, and about 120 MB of memory.
pub const SLOTS_MAX: usize = 1 << 21;
/// Keys of other owners than periods. All are kept open in memory, about 1 KiB each.
pub const KEPT_OPEN_MAX: usize = 1 << 15;
/// Keys of periods: the others always find room.
pub const PERIODS_MAX: usize = SLOTS_MAX - KEPT_OPEN_MAX;

/// Slots that a ring is made with; it grows by a multiple.
const SLOTS_STEP: usize = 64;
/// A ring grows by this part of itself, so that a large one does not grow often.
const GROWTH: usize = 16;
/// The first KEK has this number.
const KEK_NUMBER: u32 = 1;

/// The open ring. One process has it (the data directory's lock sees to that).
pub struct KeyRing<D: Disk> {
    dir: PathBuf,
    part: Part,
    tiers: Tiers<D>,
    keks: Keks,
    /// The KEK of [`Header::kek`].
    kek: Arc<Kek>,
    /// The KEK of [`Header::next_kek`].
    next_kek: Option<Arc<Kek>>,
    copies: Copies<D::File>,
    header: Header,
    /// The greatest generation of any slot: the next change has a greater one.
    generation: u64,
    /// Slots without a key; the last is taken first.
    free: Vec<u32>,
    keys: BTreeMap<KeyId, Held>,
    periods: PeriodIndex,
    open: Mutex<OpenKeys>,
    ages: Ages,
    permutation: Permutation,
    permanent: KeyId,
    secrets: Secrets,
    /// How far a rotation has come.
    rotated: Rotated,
    given_up: bool,
}

struct Held {
    slot: usize,
    owner: OwnerTag,
    made_ms: u64,
    key: Arc<SealKey>,
}

/// A key that is being made.
struct Fresh {
    /// The period, where it is one's.
    period: Option<PeriodOwner>,
    slot: usize,
    wrapped: Wrapped,
    octets: Zeroizing<[u8; KEY_LEN]>,
}

impl<D: Disk> KeyRing<D> {
    /// Makes a ring with the key of the message ids in it, and opens it. Refuses if either file exists.
    ///
    /// Only for an installation without data (ENC-6). What a power cut leaves of this is either nothing
    /// ([`KeyRingError::Missing`]) or a ring that opens.
    pub fn create(
        disk: &D,
        dir: &Path,
        kek: Kek,
        now_ms: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, KeyRingError> {
        Self::create_part(disk, dir, Part::Main, &kek, now_ms, rng)?;
        Self::open(disk, dir, kek)
    }

    /// Makes the files of a ring with its first key in it.
    fn create_part(
        disk: &D,
        dir: &Path,
        part: Part,
        kek: &Kek,
        now_ms: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<(), KeyRingError> {
        if files::any(disk, dir)? {
            return Err(KeyRingError::Exists {
                dir: dir.to_path_buf(),
            });
        }
        let mut ring = [0; 16];
        rng.fill_bytes(&mut ring);
        let header = Header {
            form: Form::Narrow,
            generation: 1,
            ring,
            slots: u32::try_from(SLOTS_STEP).unwrap_or_default(),
            next_key: part.first_key() + 1,
            kek: KekMark::make(kek, KEK_NUMBER, &ring, now_ms, rng).ok_or(KeyRingError::Cipher)?,
            next_kek: None,
        };
        let first = (part.first_owner(), chance(rng));
        let (wrapped, _) = wrapped_key(
            (KEK_NUMBER, kek),
            &header.ring,
            part.first_key(),
            first,
            now_ms,
            rng,
        )
        .ok_or(KeyRingError::Cipher)?;
        let first = Slot {
            generation: 1,
            content: Content::Live(wrapped),
        };
        let mut image = header.encode().to_vec();
        first.encode(header.form, &mut image);
        for _ in 1..SLOTS_STEP {
            Slot::FREE.encode(header.form, &mut image);
        }
        for name in files::NAMES {
            let path = dir.join(name);
            create_whole(disk, &path, &image).map_err(KeyRingError::io("create", &path))?;
        }
        Ok(())
    }

    /// Opens a ring: takes of each slot the copy that is whole and newer, and makes both files hold that
    /// before any key is used. One missing file is made again from the other.
    ///
    /// A ring whose rotation of the KEK was interrupted needs both ([`Keks::with`]), as far as keys lie under both; the
    /// rotation is to be gone on with ([`KeyRing::rotate_piece`]).
    pub fn open(disk: &D, dir: &Path, keks: impl Into<Keks>) -> Result<Self, KeyRingError> {
        Self::open_part(disk, dir, Part::Main, keks.into())
    }

    fn open_part(disk: &D, dir: &Path, part: Part, keks: Keks) -> Result<Self, KeyRingError> {
        let found = Found::open(disk, dir)?;
        let unwrapping = Unwrapping::choose(dir, &found.header, &keks)?;
        let Opened {
            header,
            kek,
            next_kek,
            generation,
            free,
            keys,
            periods,
            ages,
            permanent,
            permutation,
            secrets,
        } = Opened::read(dir, &found, part, unwrapping)?;
        let copies = found.heal(disk, dir, &header)?;
        keks.set(std::iter::once(&kek).chain(&next_kek).map(Arc::clone).collect());
        Ok(Self {
            dir: dir.to_path_buf(),
            part,
            tiers: Tiers::default(),
            keks,
            kek,
            next_kek,
            copies,
            header,
            generation,
            free,
            keys,
            periods,
            open: Mutex::new(OpenKeys::new()),
            ages,
            permutation,
            permanent,
            secrets,
            rotated: Rotated::default(),
            given_up: false,
        })
    }

    /// Reads the keys of a ring that messages and what is remembered of people are sealed under, those of periods and of tiers'
    /// owners left out (ENC-5), and changes nothing, so that it can be done beside whoever
    /// has the ring open.
    pub fn look(disk: &D, dir: &Path, keks: &Keks) -> Result<BTreeMap<KeyId, Arc<SealKey>>, KeyRingError> {
        look_at(disk, dir, Part::Main, keks)
    }

    /// Makes a key and syncs it in both copies before it returns. `now_ms` in unix milliseconds. For periods see
    /// [`KeyRing::period_keys`], which makes none where there is one.
    ///
    /// After a failure the ring is given up for changes, except when the disk was too full to grow it
    /// ([`KeyRingError::is_full`]): then nothing has happened.
    pub fn make(
        &mut self,
        owner: Owner,
        now_ms: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<Arc<SealKey>, KeyRingError> {
        let is_made_otherwise = match owner {
            Owner::MessageId | Owner::Generation(_) | Owner::Index(_) | Owner::Tier(_) => true,
            Owner::Pseudonyms => !self.secrets().is_empty(),
            _ => false,
        };
        if is_made_otherwise {
            return Err(KeyRingError::Permanent);
        }
        let ring = self.of_kind_mut(owner.tag().kind)?;
        let mut made = ring.make_all(&[(owner, None)], now_ms, rng)?;
        made.pop().ok_or(KeyRingError::Cipher)
    }

    /// Makes a key for each owner, in one pass of syncs: of these octets, or of chance.
    fn make_all(
        &mut self,
        owners: &[(Owner, Option<Zeroizing<[u8; KEY_LEN]>>)],
        now_ms: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<Arc<SealKey>>, KeyRingError> {
        self.usable()?;
        let of_periods = owners
            .iter()
            .filter(|(owner, _)| matches!(owner, Owner::Period(_)))
            .count();
        if self.periods.len() + of_periods > PERIODS_MAX
            || self.kept_open() + (owners.len() - of_periods) > KEPT_OPEN_MAX
        {
            return Err(self.full());
        }
        self.make_room(owners.len())?;
        let mut header = self.header.clone();
        header.generation += 1;
        let mut fresh = Vec::with_capacity(owners.len());
        for ((owner, octets), slot) in owners.iter().zip(self.free.iter().rev()) {
            let id = header.next_key;
            // Names of other rings begin there.
            let next = id.checked_add(1).filter(|_| id < self.part.end());
            header.next_key = next.ok_or_else(|| self.full())?;
            let key = octets.clone().unwrap_or_else(|| chance(rng));
            let (wrapped, octets) = wrapped_key(
                self.sealing_kek(),
                &header.ring,
                id,
                (owner.tag(), key),
                now_ms,
                rng,
            )
            .ok_or(KeyRingError::Cipher)?;
            let period = match owner {
                Owner::Period(period) => Some(*period),
                _ => None,
            };
            fresh.push(Fresh {
                period,
                slot: *slot as usize,
                wrapped,
                octets,
            });
        }
        let changes = fresh.iter().map(|key| (key.slot, Content::Live(key.wrapped)));
        self.change(Some(header), changes.collect())?;
        self.free.truncate(self.free.len() - fresh.len());
        Ok(fresh.into_iter().map(|key| self.take_in(key)).collect())
    }

    /// A key that is on the disk now.
    fn take_in(&mut self, fresh: Fresh) -> Arc<SealKey> {
        let Fresh {
            period,
            slot,
            wrapped,
            octets,
        } = fresh;
        let (id, made_ms) = (KeyId(wrapped.key), wrapped.made_ms);
        self.ages.add(wrapped.owner.kind, made_ms);
        if let Some(owner) = period {
            self.periods.insert(slot, Entry { id, owner, made_ms });
            return self.cache().open(id, &octets);
        }
        self.secrets.take(id, &wrapped.owner, made_ms, &octets);
        let key = Arc::new(SealKey::new(id, &octets));
        let held = Held {
            slot,
            owner: wrapped.owner,
            made_ms,
            key: Arc::clone(&key),
        };
        self.keys.insert(id, held);
        key
    }

    /// The keys of periods, in the order they were asked for: those that are there, the others made. All that are
    /// made are written and synced in one pass over both copies. `now_ms` in unix milliseconds.
    ///
    /// Errors as with [`KeyRing::make`]; then none of them was made. [`KeyRingError::Lost`] names one whose slot can no
    /// longer be read.
    pub fn period_keys(
        &mut self,
        owners: &[PeriodOwner],
        now_ms: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<Arc<SealKey>>, KeyRingError> {
        let mut asked = BTreeSet::new();
        let is_missing = |owner: &&PeriodOwner| self.periods.of(**owner).is_none() && asked.insert(**owner);
        let missing: Vec<_> = owners
            .iter()
            .filter(is_missing)
            .map(|owner| (Owner::Period(*owner), None))
            .collect();
        let made = match missing[..] {
            [] => Vec::new(),
            _ => self.make_all(&missing, now_ms, rng)?,
        };
        // More than are kept open may have been made.
        let made: BTreeMap<KeyId, Arc<SealKey>> = made.into_iter().map(|key| (key.id(), key)).collect();
        let key = |owner: &PeriodOwner| {
            let id = self.periods.of(*owner).unwrap_or(KeyId(0));
            let key = made.get(&id).map(Arc::clone).or_else(|| self.get(id));
            key.ok_or_else(|| KeyRingError::lost(&self.dir, vec![id]))
        };
        owners.iter().map(key).collect()
    }

    /// Goes on to the period's next key where one cannot be read today, so that what is to be sealed waits for nothing and holds
    /// nothing else up (ENC-4); says how many are passed over.
    pub fn pass_unreadable(&self, owner: &mut PeriodOwner) -> u64 {
        let mut passed = 0;
        while let Some(id) = self.period_key_of(*owner)
            && self.get(id).is_none()
            && let Some(part) = owner.part.checked_add(1)
        {
            owner.part = part;
            passed += 1;
        }
        passed
    }

    /// The key of a period, if there is one.
    pub fn period_key_of(&self, owner: PeriodOwner) -> Option<KeyId> {
        self.periods.of(owner)
    }

    /// Whose key of a period it is, and when it was made (unix milliseconds).
    pub fn period_of(&self, id: KeyId) -> Option<(PeriodOwner, u64)> {
        let (_, entry) = self.periods.find(id)?;
        Some((entry.owner, entry.made_ms))
    }

    /// That a key cannot be read which should be there.
    pub(crate) fn key_is_lost(&self, id: KeyId) -> KeyRingError {
        KeyRingError::lost(&self.dir, vec![id])
    }

    /// All keys of periods, in no order.
    pub fn periods(&self) -> impl Iterator<Item = (PeriodOwner, KeyId)> + '_ {
        self.periods.iter().map(|entry| (entry.owner, entry.id))
    }

    /// What tells a living key's slot from every other; `None` without such a key in this ring, or if its slot cannot be read. A
    /// rotation of the KEK changes it.
    pub fn fingerprint(&self, id: KeyId) -> Option<Fingerprint> {
        self.wrapped(id).map(|wrapped| fingerprint(&wrapped.octets))
    }

    /// Whether a key is there. Nothing is opened for it, so that whoever goes through many asks this.
    pub fn has(&self, id: KeyId) -> bool {
        self.keys.contains_key(&id) || self.periods.find(id).is_some()
    }

    /// A key by its name; `None` if it was destroyed or never was. A period's key is opened if it is not; one that
    /// cannot be read is logged and `None`, too. Keys of tiers' owners are nobody's who goes by a name that stands in a
    /// record (ENC-5): they are had by their owners ([`KeyRing::newest`]).
    pub fn get(&self, id: KeyId) -> Option<Arc<SealKey>> {
        if let Some(held) = self.keys.get(&id) {
            let is_tiers = Tier::of_kind(held.owner.kind).is_some();
            return (!is_tiers).then(|| Arc::clone(&held.key));
        }
        self.periods.find(id)?;
        if let Some(key) = self.cache().get(id) {
            return Some(key);
        }
        let key = self
            .wrapped(id)
            .and_then(|wrapped| wrapped.open(self.kek_of(wrapped.kek_number)?, &self.header.ring));
        if key.is_none() {
            tracing::error!(key = %id, "key ring: a key of a period cannot be read");
        }
        Some(self.cache().open(id, &*key?))
    }

    /// The permutation of message ids.
    pub fn permutation(&self) -> Permutation {
        self.permutation.clone()
    }

    /// How many keys it holds; those in rings of tiers do not count.
    pub fn len(&self) -> usize {
        self.kept_open() + self.periods.len()
    }

    /// How many of them are no periods'.
    pub fn kept_open(&self) -> usize {
        self.keys.len() + 1
    }

    /// What there is of each kind of owners, in the order of [`OWNERS`]. Keys that were destroyed do not count.
    pub fn ages(&self) -> [Age; OWNERS.len()] {
        OWNERS.map(|(kind, _)| self.of_kind(kind).ages.of(kind))
    }

    /// Never: the key of the message ids is always there.
    pub const fn is_empty(&self) -> bool {
        false
    }

    /// What opens the ring, for who looks into its files beside it ([`KeyRing::look`]): what it holds follows a rotation.
    pub fn keks(&self) -> Keks {
        self.keks.clone()
    }

    fn cache(&self) -> MutexGuard<'_, OpenKeys> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The slot of a key that may be destroyed.
    fn place(&self, id: KeyId) -> Option<usize> {
        let held = self.keys.get(&id).map(|held| held.slot);
        held.or_else(|| self.periods.find(id).map(|(slot, _)| slot))
    }

    /// A key as its slot has it.
    fn wrapped(&self, id: KeyId) -> Option<Wrapped> {
        let slots = self.copies.read(self.place(id)?, 1).ok()?;
        match slots.first()?.as_ref()?.content {
            Content::Live(wrapped) if wrapped.key == id.0 => Some(wrapped),
            Content::Live(_) | Content::Free | Content::Destroyed => None,
        }
    }

    /// What wraps keys that are made now, with its number.
    fn sealing_kek(&self) -> (u32, &Kek) {
        match (&self.header.next_kek, &self.next_kek) {
            (Some(mark), Some(kek)) => (mark.number, kek),
            _ => (self.header.kek.number, &self.kek),
        }
    }

    fn kek_of(&self, number: u32) -> Option<&Kek> {
        if number == self.header.kek.number {
            return Some(&self.kek);
        }
        let next = self.header.next_kek.as_ref()?;
        self.next_kek.as_deref().filter(|_| next.number == number)
    }

    /// Whether the ring may be changed still. Asked before it is concluded from a key's absence that it is destroyed: after a change
    /// that failed the ring knows the key no more, and the disk may.
    pub(crate) fn usable(&self) -> Result<(), KeyRingError> {
        match self.given_up {
            true => Err(KeyRingError::GivenUp {
                dir: self.dir.clone(),
            }),
            false => Ok(()),
        }
    }

    fn full(&self) -> KeyRingError {
        KeyRingError::Full {
            dir: self.dir.clone(),
        }
    }

    /// Sees to it that there are so many slots without a key; grows the ring if not.
    fn make_room(&mut self, count: usize) -> Result<(), KeyRingError> {
        let missing = count.saturating_sub(self.free.len());
        if missing == 0 {
            return Ok(());
        }
        let from = self.header.slots as usize;
        let step = missing.max(from / GROWTH).next_multiple_of(SLOTS_STEP);
        let to = from.saturating_add(step).min(SLOTS_MAX);
        if to < from + missing {
            return Err(self.full());
        }
        let grown = self.copies.grow(from, to);
        self.given_up = grown.as_ref().is_err_and(|error| !error.is_full());
        grown?;
        let (first, end) = (self.header.slots, u32::try_from(to).map_err(|_| self.full())?);
        // The lowest is taken first, and those that were free before.
        self.free.splice(0..0, (first..end).rev());
        self.header.slots = end;
        Ok(())
    }

    /// Changes slots, and the header if there is another one, in one pass of syncs.
    fn change(&mut self, header: Option<Header>, slots: Vec<(usize, Content)>) -> Result<(), KeyRingError> {
        let generation = self.generation + 1;
        let slot = |(number, content)| (number, Slot { generation, content });
        let mut slots: Vec<(usize, Slot)> = slots.into_iter().map(slot).collect();
        let written = self.copies.write(header.as_ref(), &mut slots);
        self.given_up = written.is_err();
        written?;
        self.generation = generation;
        if let Some(header) = header {
            self.header = header;
        }
        Ok(())
    }
}

/// Header and slots are not read in one instant: the KEK may have changed in between.
fn look_at<D: Disk>(
    disk: &D,
    dir: &Path,
    part: Part,
    keks: &Keks,
) -> Result<BTreeMap<KeyId, Arc<SealKey>>, KeyRingError> {
    let mut tries = 0;
    loop {
        tries += 1;
        match opening::look(disk, dir, part, keks) {
            Err(KeyRingError::Lost { .. } | KeyRingError::WrongKek { .. }) if tries < 3 => {}
            done => return done,
        }
    }
}

/// The octets of a fresh key.
fn chance(rng: &mut impl CryptoRng) -> Zeroizing<[u8; KEY_LEN]> {
    let mut key = Zeroizing::new([0; KEY_LEN]);
    rng.fill_bytes(&mut key[..]);
    key
}

/// A new key of these octets, wrapped and plain; `None` only if the cipher refuses, which 32 octets do not make it do.
fn wrapped_key(
    (number, kek): (u32, &Kek),
    ring: &[u8; 16],
    id: u32,
    (owner, key): (OwnerTag, Zeroizing<[u8; KEY_LEN]>),
    made_ms: u64,
    rng: &mut impl CryptoRng,
) -> Option<(Wrapped, Zeroizing<[u8; KEY_LEN]>)> {
    let aad = Wrapped::aad(id, number, &owner, ring);
    let wrapped = Wrapped {
        key: id,
        kek_number: number,
        owner,
        made_ms,
        octets: kek.wrap(&key, &aad, rng)?,
    };
    Some((wrapped, key))
}

impl<D: Disk> std::fmt::Debug for KeyRing<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyRing({} keys)", self.len())
    }
}
