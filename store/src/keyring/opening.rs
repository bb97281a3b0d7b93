//! Opening a ring: which key-encryption keys it needs, and what lies in its slots.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::Held;
use super::ages::Ages;
use super::error::KeyRingError;
use super::files::Found;
use super::index::{Entry, PeriodIndex};
use super::kek::Kek;
use super::keks::Keks;
use super::owner::{HISTORY, Owner, TIERS, fingerprint};
use super::period::PeriodOwner;
use super::secrets::Secrets;
use super::slot::{Content, Header, KekMark, OwnerTag, Wrapped};
use super::tier::{Part, Tier};
use crate::disk::{Disk, DiskFile};
use crate::message_id::Permutation;
use crate::seal::{KEY_LEN, KeyId, SealKey};

/// Opens wrapped keys and counts those that it cannot open, so that the operator is told once and precisely.
pub(super) struct Unwrapping {
    kek: Option<Arc<Kek>>,
    next_kek: Option<Arc<Kek>>,
    /// Keys under a KEK that was not given: the old one, the new one.
    missed: [u64; 2],
    /// Keys under none that the ring knows, or that are bound to something else.
    lost: Vec<KeyId>,
}

/// Names that are kept for the error.
const LOST_MAX: usize = 16;

impl Unwrapping {
    /// Finds the ring's KEK, and the next one, among those given.
    pub(super) fn choose(dir: &Path, header: &Header, keks: &Keks) -> Result<Self, KeyRingError> {
        let all = keks.all();
        let find = |mark: &KekMark| {
            all.iter()
                .find(|kek| mark.is_of(kek, &header.ring))
                .map(Arc::clone)
        };
        let (kek, next_kek) = (find(&header.kek), header.next_kek.as_ref().and_then(find));
        if kek.is_none() && next_kek.is_none() {
            return Err(KeyRingError::WrongKek {
                dir: dir.to_path_buf(),
                number: header.kek.number,
                fingerprint: fingerprint(&header.kek.check),
            });
        }
        Ok(Self {
            kek,
            next_kek,
            missed: [0; 2],
            lost: Vec::new(),
        })
    }

    fn key(&mut self, header: &Header, wrapped: &Wrapped) -> Option<Zeroizing<[u8; KEY_LEN]>> {
        let is_next = header
            .next_kek
            .as_ref()
            .is_some_and(|next| next.number == wrapped.kek_number);
        let kek = match (is_next, wrapped.kek_number == header.kek.number) {
            (true, _) => Some((&self.next_kek, 1)),
            (false, true) => Some((&self.kek, 0)),
            (false, false) => None,
        };
        match kek {
            Some((None, which)) => {
                if let Some(missed) = self.missed.get_mut(which) {
                    *missed += 1;
                }
                return None;
            }
            Some((Some(kek), _)) => {
                if let Some(key) = wrapped.open(kek, &header.ring) {
                    return Some(key);
                }
            }
            None => {}
        }
        if self.lost.len() < LOST_MAX {
            self.lost.push(KeyId(wrapped.key));
        }
        None
    }

    /// What could not be opened, in words.
    fn check(&self, dir: &Path, header: &Header) -> Result<(), KeyRingError> {
        let marks = [Some(&header.kek), header.next_kek.as_ref()];
        for ((keys, mark), is_new) in self.missed.iter().zip(marks).zip([false, true]) {
            if let (1.., Some(mark)) = (*keys, mark) {
                return Err(KeyRingError::KekMissing {
                    dir: dir.to_path_buf(),
                    is_new,
                    number: mark.number,
                    fingerprint: fingerprint(&mark.check),
                    keys: *keys,
                });
            }
        }
        if self.lost.is_empty() {
            Ok(())
        } else {
            Err(KeyRingError::lost(dir, self.lost.clone()))
        }
    }
}

/// What lies in a ring's slots, and the header as it is to be now.
pub(super) struct Opened {
    pub(super) header: Header,
    pub(super) kek: Arc<Kek>,
    pub(super) next_kek: Option<Arc<Kek>>,
    pub(super) generation: u64,
    pub(super) free: Vec<u32>,
    pub(super) keys: BTreeMap<KeyId, Held>,
    pub(super) periods: PeriodIndex,
    pub(super) ages: Ages,
    pub(super) permanent: KeyId,
    pub(super) permutation: Permutation,
    pub(super) secrets: Secrets,
}

impl Opened {
    /// Every key is opened once, also those of periods: a ring whose keys are lost does not start.
    pub(super) fn read<F: DiskFile>(
        dir: &Path,
        found: &Found<F>,
        part: Part,
        mut unwrapping: Unwrapping,
    ) -> Result<Self, KeyRingError> {
        let mut header = found.header.clone();
        let (mut keys, mut periods, mut ages) = (BTreeMap::new(), PeriodIndex::default(), Ages::default());
        let (mut permutation, mut secrets, mut is_foreign) = (None, Secrets::default(), false);
        let first = part.first_owner();
        let (mut generation, mut free, mut next_key) = (0, Vec::new(), header.next_key);
        found.slots(dir, |slot, content| {
            generation = content.generation.max(generation);
            let Content::Live(wrapped) = &content.content else {
                free.extend(u32::try_from(slot));
                return Ok(());
            };
            let id = KeyId(wrapped.key);
            next_key = next_key.max(wrapped.key.saturating_add(1));
            ages.add(wrapped.owner.kind, wrapped.made_ms);
            let Some(octets) = unwrapping.key(&found.header, wrapped) else {
                return Ok(());
            };
            if wrapped.owner == first {
                permutation = Some((id, Permutation::new(&octets)));
                return Ok(());
            }
            is_foreign |= is_first(&wrapped.owner);
            let period = (wrapped.owner.kind == HISTORY)
                .then(|| PeriodOwner::of(&wrapped.owner))
                .flatten();
            if let Some(owner) = period {
                let made_ms = wrapped.made_ms;
                periods.insert(slot, Entry { id, owner, made_ms });
                return Ok(());
            }
            secrets.take(id, &wrapped.owner, wrapped.made_ms, &octets);
            let held = Held {
                slot,
                owner: wrapped.owner,
                made_ms: wrapped.made_ms,
                key: Arc::new(SealKey::new(id, &octets)),
            };
            keys.insert(id, held);
            Ok(())
        })?;
        unwrapping.check(dir, &header)?;
        if is_foreign {
            return Err(KeyRingError::Foreign {
                dir: dir.to_path_buf(),
            });
        }
        let Some((permanent, permutation)) = permutation else {
            return Err(KeyRingError::lost(dir, vec![KeyId(part.first_key())]));
        };
        let (kek, next_kek) =
            settle(&mut header, unwrapping).ok_or_else(|| KeyRingError::lost(dir, vec![permanent]))?;
        // A cut between slot and header: a name that was given out once stays given out.
        if next_key != header.next_key {
            header.next_key = next_key;
            header.generation = found.header.generation + 1;
        }
        free.reverse();
        Ok(Self {
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
        })
    }
}

/// The KEKs that the ring goes on with. Of a rotation that was cut off before it wrapped anything the new one need not
/// be there, and it is undone; where only its end is missing, the old one need not.
fn settle(header: &mut Header, unwrapping: Unwrapping) -> Option<(Arc<Kek>, Option<Arc<Kek>>)> {
    let Unwrapping { kek, next_kek, .. } = unwrapping;
    match (kek, next_kek, &header.next_kek) {
        (Some(kek), Some(next), _) => Some((kek, Some(next))),
        (Some(kek), None, None) => Some((kek, None)),
        (Some(kek), None, Some(_)) => {
            tracing::warn!(
                "key ring: a rotation of the key-encryption key that had not wrapped anything is undone"
            );
            header.next_kek = None;
            header.generation += 1;
            Some((kek, None))
        }
        (None, Some(next), Some(mark)) => {
            header.kek = *mark;
            header.next_kek = None;
            header.generation += 1;
            Some((next, None))
        }
        (None, _, _) => None,
    }
}

/// Whether a key is the first of any ring, and never destroyed.
fn is_first(owner: &OwnerTag) -> bool {
    *owner == Owner::MessageId.tag() || (owner.kind == TIERS && Tier::of_mark(owner).is_none())
}

/// What [`KeyRing::look`](super::KeyRing::look) does once. Of a tier's ring its own keys; it must be that ring, as for a start.
pub(super) fn look<D: Disk>(
    disk: &D,
    dir: &Path,
    part: Part,
    keks: &Keks,
) -> Result<BTreeMap<KeyId, Arc<SealKey>>, KeyRingError> {
    let found = Found::open(disk, dir)?;
    let mut unwrapping = Unwrapping::choose(dir, &found.header, keks)?;
    let (mut keys, mut is_whole, mut is_foreign) = (BTreeMap::new(), false, false);
    let first = part.first_owner();
    found.slots(dir, |_, slot| {
        if let Content::Live(wrapped) = &slot.content
            && wrapped.owner.kind != HISTORY
            && let Some(octets) = unwrapping.key(&found.header, wrapped)
        {
            if wrapped.owner == first {
                is_whole = true;
            } else if is_first(&wrapped.owner) {
                is_foreign = true;
            } else if part != Part::Main || Tier::of_kind(wrapped.owner.kind).is_none() {
                let id = KeyId(wrapped.key);
                keys.insert(id, Arc::new(SealKey::new(id, &octets)));
            }
        }
        Ok(())
    })?;
    unwrapping.check(dir, &found.header)?;
    if is_foreign {
        return Err(KeyRingError::Foreign {
            dir: dir.to_path_buf(),
        });
    }
    if !is_whole {
        return Err(KeyRingError::lost(dir, vec![KeyId(part.first_key())]));
    }
    Ok(keys)
}
