//! The key ring (design §4): every key that seals records, wrapped under a key-encryption key.
//!
//! It lives outside the data and its backups, in fixed slots that are overwritten in place, because a
//! store that appends keeps what was removed (ERA-1, ERA-3). It is kept twice. A change is written and
//! synced in `ring.a`, then in `ring.b`, so a power cut leaves the old or the new state in at least one;
//! a generation in each slot says which is newer.
//!
//! Destroying a key is how records are erased (ERA-2). Overwriting is no proof on SSDs and
//! copy-on-write file systems; that takes the rotation of the key-encryption key (ERA-3).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rand_core::CryptoRng;
use sha2::{Digest, Sha256};
use tidegate_codec::identity::SystemId;
use zeroize::Zeroizing;

use crate::disk::Disk;
use crate::message_id::Permutation;
use crate::pseudonym::Secret;
use crate::seal::{KEY_LEN, KeyId, SealKey};

mod error;
mod files;
mod kek;
mod period;
mod slot;
#[cfg(test)]
mod tests;

pub use error::KeyRingError;
pub(crate) use kek::create_whole;
pub use kek::{Kek, KekError};
pub use period::PeriodOwner;

use files::{Agreed, Copies};
use slot::{Content, Header, OwnerTag, Slot, Wrapped, place};

/// Keys that a ring can hold at once. All are kept open in memory, about 1 KiB each.
pub const SLOTS_MAX: usize = 4096;

/// Slots that a ring is made with and grows by.
const SLOTS_STEP: u32 = 64;
/// The kind of the owner of opted-out numbers' keys.
const OPT_OUTS: u8 = 7;
/// The kind of the owner of periods' keys.
const HISTORY: u8 = 8;
/// What a fingerprint is made of before the slot's octets.
const FINGERPRINT_LABEL: &[u8] = b"tidegate key fingerprint 1\0";
/// The first KEK has this number; rotation will count on.
const KEK_NUMBER: u32 = 1;

/// Whose key it is. Later kinds (an account's class and period, for one) get further numbers and the
/// slot's 48 octets of text; no new form of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Owner {
    /// The spool's segments: a new key with each segment, destroyed with the last record under it.
    Spool,
    /// The permutation of message ids: made with the ring, never made again, never destroyed.
    MessageId,
    /// Waiting files: a key for each hour of deadlines, destroyed when the hour's files are gone.
    Waiting,
    /// Outbox files: a key for each hour in which the last entry of a run ends, destroyed when the hour's files are
    /// gone.
    Outbox,
    /// The secret behind pseudonyms: made once, never destroyed (PSN-4).
    Pseudonyms,
    /// Numbers of opted-out people that an account may still see: destroyed with the account, or to be (PSN-3).
    OptOuts(SystemId),
    /// The seed that signs the audit log's checkpoints: one key, kept.
    Audit,
    /// What lies in the history of one account, of one class, from one period: destroyed when the period's time is over.
    Period(PeriodOwner),
}

impl Owner {
    fn tag(self) -> OwnerTag {
        OwnerTag::plain(match self {
            Self::Spool => 1,
            Self::MessageId => 2,
            Self::Waiting => 3,
            Self::Outbox => 4,
            Self::Pseudonyms => 6,
            Self::OptOuts(account) => return OwnerTag::named(OPT_OUTS, account.as_bytes()),
            Self::Audit => 5,
            Self::Period(owner) => return owner.tag(HISTORY),
        })
    }
}

/// Kinds of owners, by their number in the files, and the words for them in reports.
pub const OWNERS: [(u8, &str); 8] = [
    (1, "spool"),
    (2, "message_id"),
    (3, "waiting"),
    (4, "outbox"),
    (5, "audit"),
    (6, "pseudonyms"),
    (OPT_OUTS, "opt_outs"),
    (HISTORY, "history"),
];

/// How many keys the owners of one kind have, and how old they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Age {
    /// Keys.
    pub keys: u32,
    /// When the oldest of them was made, in unix milliseconds; none without a key.
    pub oldest_ms: Option<u64>,
    /// When the newest of them was made, the one that seals: the same way.
    pub newest_ms: Option<u64>,
}

/// What is left of a destroyed key, for a certificate of erasure (ERA-6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Destroyed {
    /// Its name.
    pub id: KeyId,
    /// What [`KeyRing::fingerprint`] said of it before.
    pub fingerprint: Fingerprint,
}

/// The first 8 octets of SHA-256 over a label and a key as it lay wrapped in its slot: it tells which slot was
/// overwritten and nothing about the key.
pub type Fingerprint = [u8; 8];

/// The open ring. One process has it (the data directory's lock sees to that).
pub struct KeyRing<D: Disk> {
    dir: PathBuf,
    kek: Kek,
    copies: Copies<D::File>,
    agreed: Agreed,
    keys: BTreeMap<KeyId, Held>,
    by_period: BTreeMap<PeriodOwner, KeyId>,
    permutation: Permutation,
    permanent: KeyId,
    secret: Option<Secret>,
    given_up: bool,
}

struct Held {
    slot: usize,
    owner: OwnerTag,
    key: Arc<SealKey>,
}

impl Held {
    fn period(&self) -> Option<PeriodOwner> {
        (self.owner.kind == HISTORY)
            .then(|| PeriodOwner::of(&self.owner))
            .flatten()
    }
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
        match files::read(disk, dir) {
            Err(KeyRingError::Missing { .. }) => {}
            Err(error) => return Err(error),
            Ok(_) => {
                return Err(KeyRingError::Exists {
                    dir: dir.to_path_buf(),
                });
            }
        }
        let mut ring = [0; 16];
        rng.fill_bytes(&mut ring);
        let kek_check = kek.wrap(&[0; KEY_LEN], &ring, rng).ok_or(KeyRingError::Cipher)?;
        let header = Header {
            generation: 1,
            ring,
            slots: SLOTS_STEP,
            next_key: 2,
            kek_number: KEK_NUMBER,
            kek_check,
        };
        let mut slots = vec![Slot::FREE; SLOTS_STEP as usize];
        let (wrapped, _) =
            new_key(&kek, &header, 1, Owner::MessageId, now_ms, rng).ok_or(KeyRingError::Cipher)?;
        slots[0] = Slot {
            generation: 1,
            content: Content::Live(wrapped),
        };
        let image = Agreed { header, slots }.image();
        for name in files::NAMES {
            let path = dir.join(name);
            create_whole(disk, &path, &image).map_err(KeyRingError::io("create", &path))?;
        }
        Self::open(disk, dir, kek)
    }

    /// Opens a ring: takes of each slot the copy that is whole and newer, and makes both files hold that
    /// before any key is used. One missing file is made again from the other.
    pub fn open(disk: &D, dir: &Path, kek: Kek) -> Result<Self, KeyRingError> {
        let found = files::read(disk, dir)?;
        let mut agreed = files::agree(dir, &found)?;
        if kek
            .unwrap(&agreed.header.kek_check, &agreed.header.ring)
            .is_none()
        {
            return Err(KeyRingError::WrongKek {
                dir: dir.to_path_buf(),
            });
        }
        let Opened {
            keys,
            permanent,
            permutation,
            secret,
            next_key,
        } = Opened::read(dir, &agreed, &kek)?;
        // A cut between slot and header: a name that was given out once stays given out.
        if next_key != agreed.header.next_key {
            agreed.header.next_key = next_key;
            agreed.header.generation += 1;
        }
        let by_period = keys
            .iter()
            .filter_map(|(id, held)| Some((held.period()?, *id)))
            .collect();
        Ok(Self {
            copies: Copies::heal(disk, dir, &found, &agreed)?,
            dir: dir.to_path_buf(),
            kek,
            agreed,
            keys,
            by_period,
            permutation,
            permanent,
            secret,
            given_up: false,
        })
    }

    /// Reads the keys of a ring and changes nothing, so that it can be done beside whoever has the ring open.
    pub fn look(disk: &D, dir: &Path, kek: &Kek) -> Result<BTreeMap<KeyId, Arc<SealKey>>, KeyRingError> {
        let found = files::read(disk, dir)?;
        let agreed = files::agree(dir, &found)?;
        if kek
            .unwrap(&agreed.header.kek_check, &agreed.header.ring)
            .is_none()
        {
            return Err(KeyRingError::WrongKek {
                dir: dir.to_path_buf(),
            });
        }
        let opened = Opened::read(dir, &agreed, kek)?;
        Ok(opened.keys.into_iter().map(|(id, held)| (id, held.key)).collect())
    }

    /// Makes a key and syncs it in both copies before it returns. `now_ms` in unix milliseconds.
    ///
    /// After a failure the ring is given up for changes, except when the disk was too full to grow it
    /// ([`KeyRingError::is_full`]): then nothing has happened.
    pub fn make(
        &mut self,
        owner: Owner,
        now_ms: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<Arc<SealKey>, KeyRingError> {
        if owner == Owner::MessageId || (owner == Owner::Pseudonyms && self.secret.is_some()) {
            return Err(KeyRingError::Permanent);
        }
        let mut made = self.make_all(&[owner], now_ms, rng)?;
        made.pop().ok_or(KeyRingError::Cipher)
    }

    /// Makes a key for each owner, in one pass of syncs.
    fn make_all(
        &mut self,
        owners: &[Owner],
        now_ms: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<Arc<SealKey>>, KeyRingError> {
        self.usable()?;
        let numbers = self.room(owners.len())?;
        let mut header = self.agreed.header.clone();
        header.generation += 1;
        let mut made = Vec::with_capacity(owners.len());
        for (owner, number) in owners.iter().zip(numbers) {
            let id = header.next_key;
            header.next_key = id.checked_add(1).ok_or_else(|| self.full())?;
            let (wrapped, octets) =
                new_key(&self.kek, &header, id, *owner, now_ms, rng).ok_or(KeyRingError::Cipher)?;
            let slot = Slot {
                generation: self.agreed.slots[number].generation + 1,
                content: Content::Live(wrapped),
            };
            let secret = (*owner == Owner::Pseudonyms).then(|| Secret::new(KeyId(id), &octets[..]));
            made.push((
                *owner,
                number,
                slot,
                Arc::new(SealKey::new(KeyId(id), &octets)),
                secret,
            ));
        }
        let slots: Vec<_> = made
            .iter()
            .map(|(_, number, slot, _, _)| (place(*number), slot.encode()))
            .collect();
        let head = header.encode();
        let mut changes: Vec<(usize, &[u8])> = vec![(0, &head)];
        changes.extend(slots.iter().map(|(at, octets)| (*at, &octets[..])));
        self.change(&changes)?;
        self.agreed.header = header;
        let kept = made.into_iter().map(|(owner, slot, content, key, secret)| {
            self.agreed.slots[slot] = content;
            self.secret = secret.or(self.secret.take());
            let held = Held {
                slot,
                owner: owner.tag(),
                key: Arc::clone(&key),
            };
            self.keys.insert(key.id(), held);
            if let Owner::Period(period) = owner {
                self.by_period.insert(period, key.id());
            }
            key
        });
        Ok(kept.collect())
    }

    /// The keys of periods, in the order they were asked for: those that are there, the others made. All that are
    /// made are written and synced in one pass over both copies. `now_ms` in unix milliseconds.
    ///
    /// Errors as with [`KeyRing::make`]; then none of them was made.
    pub fn period_keys(
        &mut self,
        owners: &[PeriodOwner],
        now_ms: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<Arc<SealKey>>, KeyRingError> {
        let mut missing: Vec<Owner> = Vec::new();
        let mut asked = std::collections::BTreeSet::new();
        for owner in owners {
            if !self.by_period.contains_key(owner) && asked.insert(owner) {
                missing.push(Owner::Period(*owner));
            }
        }
        if !missing.is_empty() {
            self.make_all(&missing, now_ms, rng)?;
        }
        let key = |owner| self.get(self.period_key_of(owner)?);
        let keys: Option<Vec<_>> = owners.iter().map(|owner| key(*owner)).collect();
        keys.ok_or(KeyRingError::Cipher)
    }

    /// The key of a period, if there is one.
    pub fn period_key_of(&self, owner: PeriodOwner) -> Option<KeyId> {
        self.by_period.get(&owner).copied()
    }

    /// All keys of periods.
    pub fn periods(&self) -> impl Iterator<Item = (PeriodOwner, KeyId)> + '_ {
        self.by_period.iter().map(|(owner, id)| (*owner, *id))
    }

    /// What tells a living key's slot from every other; `None` without such a key.
    pub fn fingerprint(&self, id: KeyId) -> Option<Fingerprint> {
        let slot = self.agreed.slots.get(self.keys.get(&id)?.slot)?;
        match &slot.content {
            Content::Live(wrapped) => Some(fingerprint(&wrapped.octets)),
            Content::Free | Content::Destroyed => None,
        }
    }

    /// Destroys keys as [`KeyRing::destroy`] does, in one pass of syncs, and returns what is left of those that were
    /// there.
    pub fn destroy_many(&mut self, ids: &[KeyId]) -> Result<Vec<Destroyed>, KeyRingError> {
        let is_secret = |id| self.secret.as_ref().is_some_and(|secret| secret.id() == id);
        if ids.iter().any(|id| *id == self.permanent || is_secret(*id)) {
            return Err(KeyRingError::Permanent);
        }
        // First, or a destruction that failed would look done when asked for again.
        self.usable()?;
        let (mut gone, mut slots) = (Vec::new(), Vec::new());
        for id in ids {
            let Some(fingerprint) = self.fingerprint(*id) else {
                continue;
            };
            let Some(held) = self.keys.remove(id) else {
                continue;
            };
            if let Some(period) = held.period() {
                self.by_period.remove(&period);
            }
            gone.push(Destroyed { id: *id, fingerprint });
            let slot = Slot {
                generation: self.agreed.slots[held.slot].generation + 1,
                content: Content::Destroyed,
            };
            slots.push((held.slot, slot, slot.encode()));
        }
        if slots.is_empty() {
            return Ok(gone);
        }
        let changes: Vec<(usize, &[u8])> = slots
            .iter()
            .map(|(number, _, octets)| (place(*number), &octets[..]))
            .collect();
        self.change(&changes)?;
        for (number, slot, _) in slots {
            self.agreed.slots[number] = slot;
        }
        Ok(gone)
    }

    /// Destroys a key: overwritten and synced in both copies before it returns. A key that is not there
    /// is destroyed already.
    ///
    /// The ring forgets the key at once, even if the files then fail. Who still holds it must let go:
    /// its octets are wiped with the last holder.
    pub fn destroy(&mut self, id: KeyId) -> Result<(), KeyRingError> {
        self.destroy_many(&[id]).map(drop)
    }

    /// A key by its name; `None` if it was destroyed or never was.
    pub fn get(&self, id: KeyId) -> Option<Arc<SealKey>> {
        self.keys.get(&id).map(|held| Arc::clone(&held.key))
    }

    /// The key of an owner that was made last.
    pub fn newest(&self, owner: Owner) -> Option<Arc<SealKey>> {
        self.of(owner).next_back().map(|(_, held)| Arc::clone(&held.key))
    }

    /// All keys of an owner, oldest first.
    pub fn live(&self, owner: Owner) -> Vec<KeyId> {
        self.of(owner).map(|(id, _)| *id).collect()
    }

    /// The permutation of message ids.
    pub fn permutation(&self) -> Permutation {
        self.permutation.clone()
    }

    /// How many keys it holds.
    pub fn len(&self) -> usize {
        self.keys.len() + 1
    }

    /// What there is of each kind of owners, in the order of [`OWNERS`]. Keys that were destroyed do not count.
    pub fn ages(&self) -> [Age; OWNERS.len()] {
        let mut ages = [Age::default(); OWNERS.len()];
        for slot in &self.agreed.slots {
            let Content::Live(wrapped) = &slot.content else {
                continue;
            };
            let place = OWNERS.iter().position(|(kind, _)| *kind == wrapped.owner.kind);
            let Some(age) = place.map(|place| &mut ages[place]) else {
                continue;
            };
            age.keys += 1;
            age.oldest_ms = Some(age.oldest_ms.unwrap_or(u64::MAX).min(wrapped.made_ms));
            age.newest_ms = age.newest_ms.max(Some(wrapped.made_ms));
        }
        ages
    }

    /// Never: the key of the message ids is always there.
    pub const fn is_empty(&self) -> bool {
        false
    }

    /// Whether there is a key of any account's opt-outs: then something was written under it.
    pub fn has_opt_outs(&self) -> bool {
        self.keys.values().any(|held| held.owner.kind == OPT_OUTS)
    }

    /// The secret behind pseudonyms, once it was made.
    pub fn pseudonyms(&self) -> Option<Secret> {
        self.secret.clone()
    }

    fn of(&self, owner: Owner) -> impl DoubleEndedIterator<Item = (&KeyId, &Held)> {
        let tag = owner.tag();
        self.keys.iter().filter(move |(_, held)| held.owner == tag)
    }

    fn usable(&self) -> Result<(), KeyRingError> {
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

    /// Slots without a key; grows the ring if there are too few.
    fn room(&mut self, count: usize) -> Result<Vec<usize>, KeyRingError> {
        let slots = &self.agreed.slots;
        let free = slots.iter().enumerate();
        let free = free.filter(|(_, slot)| !matches!(slot.content, Content::Live(_)));
        let mut room: Vec<usize> = free.map(|(number, _)| number).take(count).collect();
        let missing = count - room.len();
        if missing == 0 {
            return Ok(room);
        }
        let step = missing.next_multiple_of(SLOTS_STEP as usize);
        let (from, to) = (slots.len(), slots.len().saturating_add(step));
        if to > SLOTS_MAX {
            return Err(self.full());
        }
        let grown = self.copies.grow(from, to);
        self.given_up = grown.as_ref().is_err_and(|error| !error.is_full());
        grown?;
        self.agreed.slots.resize(to, Slot::FREE);
        self.agreed.header.slots = u32::try_from(to).map_err(|_| self.full())?;
        room.extend((from..to).take(missing));
        Ok(room)
    }

    fn change(&mut self, changes: &[(usize, &[u8])]) -> Result<(), KeyRingError> {
        let written = self.copies.write(changes);
        self.given_up = written.is_err();
        written
    }
}

fn fingerprint(wrapped: &[u8]) -> Fingerprint {
    let digest = Sha256::new()
        .chain_update(FINGERPRINT_LABEL)
        .chain_update(wrapped)
        .finalize();
    let mut first = Fingerprint::default();
    for (to, from) in first.iter_mut().zip(digest) {
        *to = from;
    }
    first
}

/// A fresh key, wrapped and plain; `None` only if the cipher refuses, which 32 octets do not make it do.
fn new_key(
    kek: &Kek,
    header: &Header,
    id: u32,
    owner: Owner,
    now_ms: u64,
    rng: &mut impl CryptoRng,
) -> Option<(Wrapped, Zeroizing<[u8; KEY_LEN]>)> {
    let mut key = Zeroizing::new([0; KEY_LEN]);
    rng.fill_bytes(&mut key[..]);
    let owner = owner.tag();
    let aad = Wrapped::aad(id, header.kek_number, &owner, &header.ring);
    let wrapped = Wrapped {
        key: id,
        kek_number: header.kek_number,
        owner,
        made_ms: now_ms,
        octets: kek.wrap(&key, &aad, rng)?,
    };
    Some((wrapped, key))
}

impl<D: Disk> std::fmt::Debug for KeyRing<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyRing({} keys)", self.keys.len() + 1)
    }
}

/// The keys of a ring's slots.
struct Opened {
    keys: BTreeMap<KeyId, Held>,
    permanent: KeyId,
    permutation: Permutation,
    secret: Option<Secret>,
    next_key: u32,
}

impl Opened {
    fn read(dir: &Path, agreed: &Agreed, kek: &Kek) -> Result<Self, KeyRingError> {
        let mut keys = BTreeMap::new();
        let (mut permutation, mut secret) = (None, None);
        let mut lost = Vec::new();
        let mut next_key = agreed.header.next_key;
        for (slot, wrapped) in files::live(&agreed.slots) {
            let id = KeyId(wrapped.key);
            next_key = next_key.max(wrapped.key.saturating_add(1));
            let aad = Wrapped::aad(
                wrapped.key,
                wrapped.kek_number,
                &wrapped.owner,
                &agreed.header.ring,
            );
            let Some(octets) = kek.unwrap(&wrapped.octets, &aad) else {
                lost.push(id);
                continue;
            };
            if wrapped.owner == Owner::MessageId.tag() {
                permutation = Some((id, Permutation::new(&octets)));
            } else {
                if wrapped.owner == Owner::Pseudonyms.tag() {
                    secret = Some(Secret::new(id, &octets[..]));
                }
                let key = Arc::new(SealKey::new(id, &octets));
                keys.insert(
                    id,
                    Held {
                        slot,
                        owner: wrapped.owner,
                        key,
                    },
                );
            }
        }
        if !lost.is_empty() {
            return Err(KeyRingError::lost(dir, lost));
        }
        let Some((permanent, permutation)) = permutation else {
            return Err(KeyRingError::lost(dir, vec![KeyId(1)]));
        };
        Ok(Self {
            keys,
            permanent,
            permutation,
            secret,
            next_key,
        })
    }
}
