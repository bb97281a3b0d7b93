//! The secrets behind pseudonyms (PSN-4): a first one, and one more with each rotation, until nothing needs an older one.
//!
//! What is searched in one account's history is found by a key of the oldest secret that lives. Before that secret goes, each
//! account's key is put into the ring by itself, so that what was written with it is still found.

use std::collections::{BTreeMap, BTreeSet};

use rand_core::CryptoRng;
use tidegate_codec::identity::SystemId;
use zeroize::Zeroizing;

use super::owner::{Destroyed, INDEX, Owner, PSEUDONYMS};
use super::slot::OwnerTag;
use super::{KeyRing, KeyRingError};
use crate::disk::Disk;
use crate::pseudonym::{FIRST, Pseudonyms, Secret};
use crate::seal::{KEY_LEN, KeyId};

/// Generations that may live at a time: a look-up of somebody asks for each of them.
pub const GENERATIONS_MAX: u8 = 4;

/// Secrets of a ring, oldest first, and keys of indexes that stand by themselves.
#[derive(Default)]
pub(super) struct Secrets {
    living: Vec<Secret>,
    indexes: BTreeMap<SystemId, Pseudonyms>,
}

impl Secrets {
    /// Takes a key of the ring in, if it is one of these.
    pub(super) fn take(&mut self, id: KeyId, owner: &OwnerTag, made_ms: u64, octets: &[u8; KEY_LEN]) {
        if owner.kind == INDEX
            && let Ok(account) = SystemId::new(owner.text())
        {
            self.indexes.insert(account, Pseudonyms::under(id, FIRST, octets));
        }
        if owner.kind == PSEUDONYMS {
            let generation = owner.text().first().copied().unwrap_or(FIRST);
            let secret = Secret::of_generation(id, generation, made_ms, &octets[..]);
            self.living.push(secret);
            self.living.sort_by_key(Secret::generation);
        }
    }

    /// A key is gone; if it found recipients in the history of an account, they are found by it no more.
    pub(super) fn forget_index(&mut self, owner: &OwnerTag) {
        if owner.kind == INDEX
            && let Ok(account) = SystemId::new(owner.text())
        {
            self.indexes.remove(&account);
        }
    }

    pub(super) fn is_one(&self, id: KeyId) -> bool {
        self.living.iter().any(|secret| secret.id() == id)
    }
}

impl<D: Disk> KeyRing<D> {
    /// The secrets behind pseudonyms that live, oldest first.
    pub fn secrets(&self) -> &[Secret] {
        &self.secrets.living
    }

    /// The newest of them, once one was made: what is written now stands under it.
    pub fn pseudonyms(&self) -> Option<Secret> {
        self.secrets.living.last().cloned()
    }

    /// What is to go with an account that is closed for good: the keys of numbers that it might see, and once nothing of it is in
    /// the history the one that finds recipients there, which lives with the account (PSN-2).
    pub(crate) fn of_closed(&self, account: SystemId) -> Vec<KeyId> {
        let mut keys = self.live(Owner::OptOuts(account));
        if self.periods().all(|(owner, _)| owner.account != account) {
            keys.extend(self.live(Owner::Index(account)));
        }
        keys
    }

    /// What finds a recipient in an account's history.
    pub(crate) fn index_of(&self, account: SystemId) -> Option<Pseudonyms> {
        let own = self.secrets.indexes.get(&account).cloned();
        own.or_else(|| Some(self.secrets.living.first()?.index(account.as_bytes())))
    }

    /// Makes the secret of the next generation and syncs it in both copies before it returns. `now_ms` in unix milliseconds.
    ///
    /// # Errors
    ///
    /// [`KeyRingError::Generations`]: there are [`GENERATIONS_MAX`] from the oldest on. Others as with [`KeyRing::make`].
    pub fn make_generation(&mut self, now_ms: u64, rng: &mut impl CryptoRng) -> Result<Secret, KeyRingError> {
        let (Some(first), Some(last)) = (self.secrets().first(), self.secrets().last()) else {
            return Err(KeyRingError::Permanent);
        };
        let (first, last) = (first.generation(), last.generation());
        let next = last
            .checked_add(1)
            .filter(|next| next - first < GENERATIONS_MAX)
            .ok_or(KeyRingError::Generations { oldest: first })?;
        self.make_all(&[(Owner::Generation(next), None)], now_ms, rng)?;
        self.pseudonyms().ok_or(KeyRingError::Cipher)
    }

    /// Destroys the secret of the oldest generation, and returns what is left of it; none if it is gone already. The keys that
    /// find recipients in histories are put into the ring before: of accounts with periods, and of these, of which something
    /// may be gathered.
    ///
    /// # Errors
    ///
    /// [`KeyRingError::Permanent`]: it is not the oldest, or there is no newer one. Others as with [`KeyRing::make`].
    pub fn destroy_generation(
        &mut self,
        generation: u8,
        histories: &[SystemId],
        now_ms: u64,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<Destroyed>, KeyRingError> {
        if self
            .secrets()
            .iter()
            .all(|secret| secret.generation() != generation)
        {
            return Ok(Vec::new());
        }
        let oldest = match self.secrets() {
            [oldest, _, ..] if oldest.generation() == generation => oldest.clone(),
            _ => return Err(KeyRingError::Permanent),
        };
        let accounts: BTreeSet<SystemId> = histories
            .iter()
            .copied()
            .chain(self.periods().map(|(owner, _)| owner.account))
            .collect();
        let kept: Vec<(Owner, Option<Zeroizing<[u8; KEY_LEN]>>)> = accounts
            .iter()
            .filter(|account| !self.secrets.indexes.contains_key(*account))
            .map(|account| (Owner::Index(*account), Some(oldest.index_key(account.as_bytes()))))
            .collect();
        if !kept.is_empty() {
            self.make_all(&kept, now_ms, rng)?;
        }
        let gone = self.destroy_these(&[oldest.id()])?;
        self.secrets
            .living
            .retain(|secret| secret.generation() != generation);
        Ok(gone)
    }
}
