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
use tidegate_codec::identity::SystemId;
use zeroize::Zeroizing;

use crate::disk::Disk;
use crate::message_id::Permutation;
use crate::pseudonym::Secret;
use crate::seal::{KEY_LEN, KeyId, SealKey};

mod error;
mod files;
mod kek;
mod slot;
#[cfg(test)]
mod tests;

pub use error::KeyRingError;
pub(crate) use kek::create_whole;
pub use kek::{Kek, KekError};

use files::{Agreed, Copies};
use slot::{Content, Header, OwnerTag, Slot, Wrapped, place};

/// Keys that a ring can hold at once. All are kept open in memory, about 1 KiB each.
pub const SLOTS_MAX: usize = 4096;

/// Slots that a ring is made with and grows by.
const SLOTS_STEP: u32 = 64;
/// The kind of the owner of opted-out numbers' keys.
const OPT_OUTS: u8 = 7;
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
        })
    }
}

/// Kinds of owners, by their number in the files, and the words for them in reports.
pub const OWNERS: [(u8, &str); 7] = [
    (1, "spool"),
    (2, "message_id"),
    (3, "waiting"),
    (4, "outbox"),
    (5, "audit"),
    (6, "pseudonyms"),
    (OPT_OUTS, "opt_outs"),
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

/// The open ring. One process has it (the data directory's lock sees to that).
pub struct KeyRing<D: Disk> {
    dir: PathBuf,
    kek: Kek,
    copies: Copies<D::File>,
    agreed: Agreed,
    keys: BTreeMap<KeyId, Held>,
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
        Ok(Self {
            copies: Copies::heal(disk, dir, &found, &agreed)?,
            dir: dir.to_path_buf(),
            kek,
            agreed,
            keys,
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
        self.usable()?;
        let number = self.room()?;
        let mut header = self.agreed.header.clone();
        let id = header.next_key;
        header.next_key = id.checked_add(1).ok_or_else(|| self.full())?;
        header.generation += 1;
        let (wrapped, octets) =
            new_key(&self.kek, &header, id, owner, now_ms, rng).ok_or(KeyRingError::Cipher)?;
        let slot = Slot {
            generation: self.agreed.slots[number].generation + 1,
            content: Content::Live(wrapped),
        };
        self.change(&[(0, &header.encode()), (place(number), &slot.encode())])?;
        self.agreed.header = header;
        self.agreed.slots[number] = slot;
        if owner == Owner::Pseudonyms {
            self.secret = Some(Secret::new(KeyId(id), &octets[..]));
        }
        let key = Arc::new(SealKey::new(KeyId(id), &octets));
        let held = Held {
            slot: number,
            owner: owner.tag(),
            key: Arc::clone(&key),
        };
        self.keys.insert(KeyId(id), held);
        Ok(key)
    }

    /// Destroys a key: overwritten and synced in both copies before it returns. A key that is not there
    /// is destroyed already.
    ///
    /// The ring forgets the key at once, even if the files then fail. Who still holds it must let go:
    /// its octets are wiped with the last holder.
    pub fn destroy(&mut self, id: KeyId) -> Result<(), KeyRingError> {
        let is_secret = self.secret.as_ref().is_some_and(|secret| secret.id() == id);
        if id == self.permanent || is_secret {
            return Err(KeyRingError::Permanent);
        }
        // First, or a destruction that failed would look done when asked for again.
        self.usable()?;
        let Some(held) = self.keys.remove(&id) else {
            return Ok(());
        };
        let slot = Slot {
            generation: self.agreed.slots[held.slot].generation + 1,
            content: Content::Destroyed,
        };
        self.change(&[(place(held.slot), &slot.encode())])?;
        self.agreed.slots[held.slot] = slot;
        Ok(())
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

    /// A slot without a key; grows the ring if there is none.
    fn room(&mut self) -> Result<usize, KeyRingError> {
        let slots = &self.agreed.slots;
        let live = |slot: &Slot| matches!(slot.content, Content::Live(_));
        if let Some(number) = slots.iter().position(|slot| !live(slot)) {
            return Ok(number);
        }
        let (from, to) = (slots.len(), slots.len() + SLOTS_STEP as usize);
        if to > SLOTS_MAX {
            return Err(self.full());
        }
        let grown = self.copies.grow(from, to);
        self.given_up = grown.as_ref().is_err_and(|error| !error.is_full());
        grown?;
        self.agreed.slots.resize(to, Slot::FREE);
        self.agreed.header.slots += SLOTS_STEP;
        Ok(from)
    }

    fn change(&mut self, changes: &[(usize, &[u8])]) -> Result<(), KeyRingError> {
        let written = self.copies.write(changes);
        self.given_up = written.is_err();
        written
    }
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
