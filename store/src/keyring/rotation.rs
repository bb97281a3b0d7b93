//! The rotation of the key-encryption key (ERA-3, ENC-2): every living key is wrapped anew under another KEK, a piece at
//! a time, while the ring is in use. Afterwards the ring opens under the new one only, and an earlier copy of its files
//! opens under the old one only: when that is destroyed, so is every key that was destroyed before the rotation began.
//!
//! The header says which two KEKs there are before the first key lies under the new one, and says that there is one again
//! only when the last key does. In between each slot names its own. So a process that is killed at any instant leaves a
//! ring that opens with both, and the rotation goes on from the slots that still name the old one.

use rand_core::CryptoRng;
use std::sync::Arc;

use super::KeyRing;
use super::error::KeyRingError;
use super::kek::Kek;
use super::owner::{Fingerprint, fingerprint};
use super::slot::{Content, KekMark, Wrapped};
use super::tier::Tier;
use crate::disk::Disk;
use crate::seal::KeyId;

/// Slots that one piece of a rotation goes through at most: some ten milliseconds, and four syncs.
pub const PIECE: usize = 4096;

/// How far a rotation has come since it was begun, or gone on with after a start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rotated {
    /// Slots that were gone through.
    pub slots: usize,
    /// Keys that were wrapped anew.
    pub keys: u64,
}

/// What a piece of a rotation came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// There is more to do.
    Goes(Rotated),
    /// That was the last: the old key-encryption key opens nothing any more and may be destroyed.
    Ended(Rotated),
}

/// Which key-encryption keys a ring has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KekState {
    /// Number of the one that wraps, or did before the rotation that is under way.
    pub number: u32,
    /// What tells it from others: made of its check value in the ring's header, not of the key.
    pub fingerprint: Fingerprint,
    /// Since when, in unix milliseconds; `None` where a ring of the first version does not say.
    pub since_ms: Option<u64>,
    /// Number and fingerprint of the one that takes over, while a rotation is under way.
    pub next: Option<(u32, Fingerprint)>,
    /// How far that has come.
    pub rotated: Rotated,
    /// Slots of the ring.
    pub slots: usize,
}

impl<D: Disk> KeyRing<D> {
    /// Which key-encryption keys there are, and how far a rotation has come.
    pub fn kek_state(&self) -> KekState {
        let KekMark {
            number,
            check,
            since_ms,
        } = self.header.kek;
        let next = self.header.next_kek.as_ref();
        KekState {
            number,
            fingerprint: fingerprint(&check),
            since_ms: (since_ms > 0).then_some(since_ms),
            next: next.map(|next| (next.number, fingerprint(&next.check))),
            rotated: self.rotated,
            slots: self.header.slots as usize,
        }
    }

    /// Whether a rotation is under way: [`KeyRing::rotate_piece`] is to be called.
    pub const fn is_rotating(&self) -> bool {
        self.header.next_kek.is_some()
    }

    /// Whether one of the main ring, or of a tier's that is attached, is under way.
    pub fn is_any_rotating(&self) -> bool {
        self.parts()
            .any(|part| self.part(part).is_some_and(Self::is_rotating))
    }

    /// Whether [`KeyRing::begin_rotation_of`] would begin or go on, so that what is refused is not said to begin.
    ///
    /// # Errors
    ///
    /// As there, but for what the disk says.
    pub fn may_rotate(&self, part: Option<Tier>, new: &Kek) -> Result<(), KeyRingError> {
        self.keep_apart(part, new)?;
        let tier = part.map_or("", Tier::word);
        let ring = self.part(part).ok_or(KeyRingError::NoTier { tier })?;
        ring.usable()?;
        ring.may_take_over(new)
    }

    /// Begins a rotation as [`KeyRing::begin_rotation`] does, of the main ring (`None`) or of a tier's.
    ///
    /// # Errors
    ///
    /// [`KeyRingError::SharedKek`]: another ring has it. [`KeyRingError::NoTier`]: the tier has no ring of its own.
    pub fn begin_rotation_of(
        &mut self,
        part: Option<Tier>,
        new: Kek,
        now_ms: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<(), KeyRingError> {
        self.keep_apart(part, &new)?;
        self.attached(part)?.begin_rotation(new, now_ms, rng)
    }

    /// Does a piece as [`KeyRing::rotate_piece`] does, of the main ring (`None`) or of a tier's.
    pub fn rotate_piece_of(
        &mut self,
        part: Option<Tier>,
        max: usize,
        rng: &mut impl CryptoRng,
    ) -> Result<Option<Progress>, KeyRingError> {
        self.attached(part)?.rotate_piece(max, rng)
    }

    fn attached(&mut self, part: Option<Tier>) -> Result<&mut Self, KeyRingError> {
        let tier = part.map_or("", Tier::word);
        self.part_mut(part).ok_or(KeyRingError::NoTier { tier })
    }

    /// Whether a key-encryption key may take over, or does already.
    fn may_take_over(&self, new: &Kek) -> Result<(), KeyRingError> {
        if let Some(next) = &self.header.next_kek {
            return match next.is_of(new, &self.header.ring) {
                true => Ok(()),
                false => Err(KeyRingError::OtherRotation {
                    dir: self.dir.clone(),
                }),
            };
        }
        match self.header.kek.is_of(new, &self.header.ring) {
            true => Err(KeyRingError::SameKek {
                dir: self.dir.clone(),
            }),
            false => Ok(()),
        }
    }

    /// Begins a rotation to another key-encryption key; keys that are made from now on lie under it. Where a rotation to
    /// the same is under way, that one goes on.
    pub fn begin_rotation(
        &mut self,
        new: Kek,
        now_ms: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<(), KeyRingError> {
        self.usable()?;
        self.may_take_over(&new)?;
        if self.is_rotating() {
            return Ok(());
        }
        self.keep_apart(None, &new)?;
        let number = self.header.kek.number.checked_add(1).ok_or_else(|| self.full())?;
        let mark = KekMark::make(&new, number, &self.header.ring, now_ms, rng).ok_or(KeyRingError::Cipher)?;
        let mut header = self.header.clone();
        header.next_kek = Some(mark);
        header.generation += 1;
        let new = Arc::new(new);
        // Before the files need it, for who looks into them beside us.
        self.keks.set(vec![Arc::clone(&self.kek), Arc::clone(&new)]);
        self.change(Some(header), Vec::new())?;
        self.next_kek = Some(new);
        self.rotated = Rotated::default();
        Ok(())
    }

    /// Goes through the next slots, `max` at most, and wraps the keys that lie under the old key-encryption key anew; the
    /// last piece ends the rotation. Synced in both copies before it returns. `None` without a rotation.
    ///
    /// After a failure the ring is given up for changes until a restart, which goes on with it.
    pub fn rotate_piece(
        &mut self,
        max: usize,
        rng: &mut impl CryptoRng,
    ) -> Result<Option<Progress>, KeyRingError> {
        self.usable()?;
        let (Some(mark), Some(next)) = (self.header.next_kek, self.next_kek.clone()) else {
            return Ok(None);
        };
        let first = self.rotated.slots;
        let count = max.min((self.header.slots as usize).saturating_sub(first));
        let mut changes = Vec::new();
        for (number, slot) in (first..).zip(self.copies.read(first, count)?) {
            let Some(slot) = slot else {
                // Neither copy has it. Only a restart can tell whether it was a key's.
                return Err(KeyRingError::lost(&self.dir, vec![KeyId(0)]));
            };
            let Content::Live(wrapped) = slot.content else {
                continue;
            };
            if wrapped.kek_number == mark.number {
                continue;
            }
            let key = wrapped
                .open(&self.kek, &self.header.ring)
                .ok_or_else(|| KeyRingError::lost(&self.dir, vec![KeyId(wrapped.key)]))?;
            let aad = Wrapped::aad(wrapped.key, mark.number, &wrapped.owner, &self.header.ring);
            let octets = next.wrap(&key, &aad, rng).ok_or(KeyRingError::Cipher)?;
            let anew = Wrapped {
                kek_number: mark.number,
                octets,
                ..wrapped
            };
            changes.push((number, Content::Live(anew)));
        }
        let keys = changes.len() as u64;
        if keys > 0 {
            self.change(None, changes)?;
        }
        self.rotated.slots += count;
        self.rotated.keys += keys;
        if self.rotated.slots < self.header.slots as usize {
            return Ok(Some(Progress::Goes(self.rotated)));
        }
        let mut header = self.header.clone();
        header.kek = mark;
        header.next_kek = None;
        header.generation += 1;
        self.change(Some(header), Vec::new())?;
        self.kek = Arc::clone(&next);
        self.next_kek = None;
        self.keks.set(vec![next]);
        Ok(Some(Progress::Ended(self.rotated)))
    }
}
