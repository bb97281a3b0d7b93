//! The accounts' hashes, and what stands in for those of names that are no account's.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use argon2::Argon2;
use argon2::password_hash::{Error, PasswordVerifier as _};
use hmac::{Hmac, KeyInit as _, Mac as _};
use rand_core::CryptoRng;
use sha2::{Digest as _, Sha256};
use tidegate_codec::identity::{Password, SystemId};
use tidegate_config::{Account, PasswordHash};
use zeroize::Zeroizing;

use super::Credential;
use super::queue::Tag;

/// What an unknown name costs while there is no account at all. Of no password: the hash is all zeros.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// What a tag is of, so that one kind can never be taken for the other.
const CREDENTIAL: u8 = 0;
const STAND_IN: u8 = 1;

pub(super) struct Accounts {
    /// In the configuration's order.
    hashes: Vec<Arc<[PasswordHash]>>,
    places: HashMap<SystemId, usize>,
    /// Keyed with octets that nobody else has and that end with the process.
    mac: Hmac<Sha256>,
}

/// One check to be made. Wipes its password when dropped.
pub(super) struct Work {
    /// Whose; `None` for a name that is no account's.
    system_id: Option<SystemId>,
    hashes: Option<Arc<[PasswordHash]>>,
    password: Password,
}

impl Credential {
    /// That of a hash.
    pub fn of(hash: &PasswordHash) -> Self {
        Self::of_text(hash.expose())
    }

    /// Whether it is one of these, as an account has them now.
    pub(crate) fn is_among(self, hashes: &[PasswordHash]) -> bool {
        hashes.iter().any(|hash| Self::of(hash) == self)
    }

    fn of_text(hash: &str) -> Self {
        let digest: [u8; 32] = Sha256::digest(hash.as_bytes()).into();
        let [a, b, c, d, e, f, g, h, ..] = digest;
        Self(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
    }
}

impl Accounts {
    pub(super) fn new(accounts: &[Account], rng: &mut impl CryptoRng) -> Self {
        // A block of SHA-256.
        let mut key = Zeroizing::new([0; 64]);
        rng.fill_bytes(&mut key[..]);
        let mut made = Self {
            hashes: Vec::new(),
            places: HashMap::new(),
            mac: Hmac::new(&(*key).into()),
        };
        made.set(accounts);
        made
    }

    /// Takes other accounts over. The key stays, and with it the tags of those that are as they were.
    pub(super) fn set(&mut self, accounts: &[Account]) {
        let hashes = accounts
            .iter()
            .map(|account| account.password_hashes.clone().into());
        self.hashes = hashes.collect();
        let places = accounts.iter().enumerate();
        self.places = places
            .map(|(place, account)| (account.system_id, place))
            .collect();
    }

    /// What stands for a credential in memory. Needs the process's key to be tried out. The account's hashes are in it:
    /// once they are others, so is the tag.
    pub(super) fn tag(&self, system_id: &[u8], password: &Password) -> Tag {
        let place = self.place(system_id);
        let hashes = place.and_then(|place| self.hashes.get(place));
        let mut mac = self.begun(CREDENTIAL, system_id);
        for hash in hashes.into_iter().flat_map(|hashes| hashes.iter()) {
            let hash = hash.expose().as_bytes();
            mac.update(&(hash.len() as u64).to_be_bytes());
            mac.update(hash);
        }
        mac.update(&[0; 8]);
        mac.update(password.expose());
        mac.finalize().into_bytes().into()
    }

    fn place(&self, system_id: &[u8]) -> Option<usize> {
        let system_id = SystemId::new(system_id).ok()?;
        self.places.get(&system_id).copied()
    }

    /// Whether a check is still one of the hashes that hold.
    pub(super) fn has(&self, work: &Work) -> bool {
        let Some(system_id) = work.system_id else {
            return true;
        };
        let place = self.places.get(&system_id);
        place.and_then(|place| self.hashes.get(*place)) == work.hashes.as_ref()
    }

    /// The check that this credential needs.
    ///
    /// An unknown name borrows the hashes of some account, always the same one, so that it takes as long
    /// as some account does: with two hashes a wrong password takes twice the time, and costs may differ.
    pub(super) fn work(&self, system_id: &[u8], password: Password) -> Work {
        let own = self.place(system_id);
        let place = own.unwrap_or_else(|| self.stand_in(system_id));
        Work {
            system_id: own.and_then(|_| SystemId::new(system_id).ok()),
            hashes: self.hashes.get(place).cloned(),
            password,
        }
    }

    fn stand_in(&self, system_id: &[u8]) -> usize {
        let tag = self.begun(STAND_IN, system_id).finalize().into_bytes();
        let number = tag
            .iter()
            .take(8)
            .fold(0, |sum: u64, octet| sum << 8 | u64::from(*octet));
        let place = number % (self.hashes.len() as u64).max(1);
        usize::try_from(place).unwrap_or(0)
    }

    fn begun(&self, kind: u8, system_id: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        mac.update(&[kind]);
        // The length keeps ("ab", "c") and ("a", "bc") apart.
        mac.update(&(system_id.len() as u64).to_be_bytes());
        mac.update(system_id);
        mac
    }
}

impl Work {
    /// Computes; `None` if that could not be done, `Some(None)` if the password is wrong.
    pub(super) fn check(&self) -> Option<Option<Credential>> {
        let hashes: Vec<&str> = match &self.hashes {
            Some(hashes) => hashes.iter().map(PasswordHash::expose).collect(),
            None => vec![NOBODY],
        };
        let argon2 = Argon2::default();
        let mut made = true;
        let right = hashes.into_iter().find(|hash| {
            // Algorithm, version and costs are those of the hash.
            match argon2.verify_password(self.password.expose(), *hash) {
                Ok(()) => true,
                Err(Error::PasswordInvalid) => false,
                Err(error) => {
                    tracing::error!(%error, "a password could not be checked");
                    made = false;
                    false
                }
            }
        });
        // An unknown name is denied, whatever the hashes that stand in say.
        let known = right.filter(|_| self.system_id.is_some());
        (right.is_some() || made).then_some(known.map(Credential::of_text))
    }

    #[cfg(test)]
    pub(super) fn hashes(&self) -> usize {
        self.hashes.as_ref().map_or(1, |hashes| hashes.len())
    }
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Work(***)")
    }
}
