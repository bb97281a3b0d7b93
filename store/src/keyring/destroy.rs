//! Keys that go (ERA-2): by their names, by their owners, and which never do.

use std::collections::BTreeSet;

use super::owner::{Destroyed, ERASURES, HISTORY, HOLDS, Owner, RESTRICTIONS, TIERS, fingerprint};
use super::slot::{Content, OwnerTag};
use super::tier::Tier;
use super::{KeyRing, KeyRingError};
use crate::disk::Disk;
use crate::seal::KeyId;

impl<D: Disk> KeyRing<D> {
    /// Destroys a key: overwritten and synced in both copies before it returns. A key that is not there
    /// is destroyed already.
    ///
    /// The ring forgets the key at once, even if the files then fail. Who still holds it must let go:
    /// its octets are wiped with the last holder.
    ///
    /// Names stand in records, and no record reaches a key of a tier's owners by one (ENC-5), wherever it lies: as with
    /// [`KeyRing::get`] it is not there. Those go by their owners ([`KeyRing::destroy_of`]).
    pub fn destroy(&mut self, id: KeyId) -> Result<(), KeyRingError> {
        self.destroy_many(&[id]).map(drop)
    }

    /// Destroys keys as [`KeyRing::destroy`] does, in one pass of syncs, and returns what is left of those that were
    /// there.
    ///
    /// # Errors
    ///
    /// [`KeyRingError::GivenUp`], also of no names at all: whoever asked the ring for them may have been told of none because
    /// an earlier destruction failed.
    pub fn destroy_many(&mut self, ids: &[KeyId]) -> Result<Vec<Destroyed>, KeyRingError> {
        if ids.iter().any(|id| self.is_permanent(*id)) {
            return Err(KeyRingError::Permanent);
        }
        let is_tiers = |id: &KeyId| {
            let held = self.keys.get(id);
            held.is_some_and(|held| Tier::of_kind(held.owner.kind).is_some())
        };
        let ids: Vec<KeyId> = ids.iter().copied().filter(|id| !is_tiers(id)).collect();
        self.destroy_these(&ids)
    }

    /// Destroys all keys of an owner, in the ring that has them, and returns what is left of them. Not for periods.
    ///
    /// # Errors
    ///
    /// As with [`KeyRing::destroy_many`]: of an owner without a key in a ring that was given up nobody knows whether it is
    /// destroyed. [`KeyRingError::Permanent`] where its key is never destroyed, or not this way.
    pub fn destroy_of(&mut self, owner: Owner) -> Result<Vec<Destroyed>, KeyRingError> {
        match owner {
            Owner::MessageId
            | Owner::Pseudonyms
            | Owner::Generation(_)
            | Owner::Tier(_)
            | Owner::Period(_) => Err(KeyRingError::Permanent),
            _ => {
                let tag = owner.tag();
                self.destroy_where(tag.kind, |held| *held == tag)
            }
        }
    }

    /// Destroys the keys of all holds but these, as [`KeyRing::destroy_of`] does.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn keep_holds(&mut self, holds: &[u32]) -> Result<Vec<Destroyed>, KeyRingError> {
        self.destroy_where(HOLDS, |owner| {
            owner.kind == HOLDS && owner.number().is_some_and(|number| !holds.contains(&number))
        })
    }

    /// Destroys the keys of all orders to erase and all restrictions but these, in one pass of syncs, as [`KeyRing::destroy_of`]
    /// does.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn keep_orders(
        &mut self,
        erasures: &BTreeSet<u32>,
        restrictions: &BTreeSet<u32>,
    ) -> Result<Vec<Destroyed>, KeyRingError> {
        // Both are of one tier, and so of one ring.
        self.destroy_where(ERASURES, |owner| {
            let kept = match owner.kind {
                ERASURES => erasures,
                RESTRICTIONS => restrictions,
                _ => return false,
            };
            owner.number().is_some_and(|number| !kept.contains(&number))
        })
    }

    /// Destroys the keys of such owners in the ring that has those of a kind.
    fn destroy_where(
        &mut self,
        kind: u8,
        is_over: impl Fn(&OwnerTag) -> bool,
    ) -> Result<Vec<Destroyed>, KeyRingError> {
        let ring = self.of_kind_mut(kind)?;
        let over = ring.keys.iter().filter(|(_, held)| is_over(&held.owner));
        let ids: Vec<KeyId> = over.map(|(id, _)| *id).collect();
        ring.destroy_these(&ids)
    }

    fn is_permanent(&self, id: KeyId) -> bool {
        let is_mark = || self.keys.get(&id).is_some_and(|held| held.owner.kind == TIERS);
        id == self.permanent || self.secrets.is_one(id) || is_mark()
    }

    /// Destroys keys in this ring, whoever their owners are.
    pub(super) fn destroy_these(&mut self, ids: &[KeyId]) -> Result<Vec<Destroyed>, KeyRingError> {
        // First, or a destruction that failed would look done when asked for again.
        self.usable()?;
        let ids: BTreeSet<KeyId> = ids
            .iter()
            .copied()
            .filter(|id| self.place(*id).is_some())
            .collect();
        let mut gone = Vec::with_capacity(ids.len());
        for id in ids {
            let wrapped = self.wrapped(id);
            let wrapped = wrapped.ok_or_else(|| KeyRingError::lost(&self.dir, vec![id]))?;
            let fingerprint = fingerprint(&wrapped.octets);
            gone.push(Destroyed { id, fingerprint });
        }
        let mut changes = Vec::with_capacity(gone.len());
        for Destroyed { id, .. } in &gone {
            let (slot, kind, made_ms) = match self.periods.remove(*id) {
                Some((slot, entry)) => (slot, HISTORY, entry.made_ms),
                None => match self.keys.remove(id) {
                    Some(held) => {
                        self.secrets.forget_index(&held.owner);
                        (held.slot, held.owner.kind, held.made_ms)
                    }
                    None => continue,
                },
            };
            self.cache().forget(*id);
            self.ages.remove(kind, made_ms);
            changes.push((slot, Content::Destroyed));
        }
        if changes.is_empty() {
            return Ok(gone);
        }
        let slots: Vec<u32> = changes
            .iter()
            .filter_map(|(slot, _)| u32::try_from(*slot).ok())
            .collect();
        self.change(None, changes)?;
        self.free.extend(slots);
        Ok(gone)
    }
}
