//! Pseudonyms of people's numbers (PSN-2): what stands for a number wherever it must be told again but never be read.
//!
//! HMAC-SHA-256 over the canonical E.164 digits, under keys that HKDF-SHA-256 makes of one secret in the key ring, one
//! for each use, so that what is kept for one use finds nothing that is kept for another. A plain hash would not do: all
//! numbers of a country can be counted through in minutes (PSN-1).

mod memo;

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::seal::KeyId;

pub(crate) use memo::Memo;

/// Octets of a pseudonym: 128 bits of the code.
pub const PSEUDONYM_LEN: usize = 16;

/// The generation of the first secret. Its pseudonyms stand on disks without a number.
pub const FIRST: u8 = 1;

/// What stands for a number. It prints as nothing: it is personal data like the number (PSN-5). Two are the same where their
/// octets are.
#[derive(Clone, Copy)]
pub struct Pseudonym {
    octets: [u8; PSEUDONYM_LEN],
    /// Of the secret that it was made under.
    generation: u8,
}

impl Pseudonym {
    /// From its octets, of the first generation.
    pub const fn from_octets(octets: [u8; PSEUDONYM_LEN]) -> Self {
        Self::of_generation(octets, FIRST)
    }

    /// From its octets, of a generation.
    pub(crate) const fn of_generation(octets: [u8; PSEUDONYM_LEN], generation: u8) -> Self {
        Self { octets, generation }
    }

    /// Its octets, for records.
    pub const fn octets(&self) -> &[u8; PSEUDONYM_LEN] {
        &self.octets
    }

    /// Which generation's secret it was made under (PSN-4): the first is 1.
    pub const fn generation(&self) -> u8 {
        self.generation
    }

    /// 64 bits of it, as good as random.
    pub(crate) const fn hash(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.octets;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }
}

impl PartialEq for Pseudonym {
    fn eq(&self, other: &Self) -> bool {
        self.octets == other.octets
    }
}

impl Eq for Pseudonym {}

impl Hash for Pseudonym {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.octets.hash(state);
    }
}

impl PartialOrd for Pseudonym {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Pseudonym {
    fn cmp(&self, other: &Self) -> Ordering {
        self.octets.cmp(&other.octets)
    }
}

impl fmt::Debug for Pseudonym {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pseudonym(***)")
    }
}

/// Makes the pseudonyms of one use: an HMAC whose key is set up once.
#[derive(Clone)]
pub struct Pseudonyms {
    code: Hmac<Sha256>,
    secret: KeyId,
    generation: u8,
}

impl Pseudonyms {
    /// Under a key of their own.
    pub(crate) fn under(secret: KeyId, generation: u8, key: &[u8; 32]) -> Self {
        // With the zeros behind it that HMAC would put there.
        let mut padded = Zeroizing::new([0; 64]);
        padded[..32].copy_from_slice(key);
        Self {
            code: Hmac::new(&(*padded).into()),
            secret,
            generation,
        }
    }

    /// Of a number in its canonical form: E.164 digits, without a plus. Two blocks of SHA-256.
    pub fn of(&self, digits: &[u8]) -> Pseudonym {
        let mut code = self.code.clone();
        code.update(digits);
        let octets = code.finalize().into_bytes();
        let mut short = [0; PSEUDONYM_LEN];
        short.copy_from_slice(&octets[..PSEUDONYM_LEN]);
        Pseudonym::of_generation(short, self.generation)
    }

    /// The secret in the ring that they come from.
    pub const fn secret(&self) -> KeyId {
        self.secret
    }
}

impl fmt::Debug for Pseudonyms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pseudonyms({})", self.secret)
    }
}

/// The secret of one generation that they come from. It lives in the key ring only.
#[derive(Clone)]
pub struct Secret {
    id: KeyId,
    generation: u8,
    made_ms: u64,
    expand: Hkdf<Sha256>,
}

impl Secret {
    /// Of the first generation.
    #[cfg(test)]
    pub(crate) fn new(id: KeyId, key: &[u8]) -> Self {
        Self::of_generation(id, FIRST, 0, key)
    }

    /// Of a generation, and when it was made, in unix milliseconds.
    pub(crate) fn of_generation(id: KeyId, generation: u8, made_ms: u64, key: &[u8]) -> Self {
        Self {
            id,
            generation,
            made_ms,
            expand: Hkdf::new(None, key),
        }
    }

    /// Which it is: the first is 1, and each rotation makes the next (PSN-4).
    pub const fn generation(&self) -> u8 {
        self.generation
    }

    /// When it was made, in unix milliseconds.
    pub const fn made_ms(&self) -> u64 {
        self.made_ms
    }

    /// Its name in the ring.
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// For opt-outs, consent and other rules that must outlive everything (PSN-3).
    pub fn suppression(&self) -> Pseudonyms {
        self.under(&[b"tidegate suppression 1"])
    }

    /// For what is searched in one account's data and goes with it.
    pub fn index(&self, account: &[u8]) -> Pseudonyms {
        self.under(&[b"tidegate index 1 ", account])
    }

    /// The key of [`Secret::index`], for where it outlives this secret.
    pub(crate) fn index_key(&self, account: &[u8]) -> Zeroizing<[u8; 32]> {
        self.key(&[b"tidegate index 1 ", account])
    }

    /// For logs and short-lived counters. `month` numbers spans of 30 days, so that what was noted in one cannot be
    /// joined with what is noted in another.
    pub fn log(&self, month: u32) -> Pseudonyms {
        self.under(&[b"tidegate log 1 ", &month.to_be_bytes()])
    }

    /// What proves that it is the secret it was, and tells nothing of it (PSN-4).
    pub fn check(&self) -> [u8; 32] {
        let mut check = [0; 32];
        let expanded = self.expand.expand(b"tidegate check 1", &mut check);
        debug_assert!(expanded.is_ok(), "32 octets are within what HKDF gives");
        check
    }

    fn key(&self, label: &[&[u8]]) -> Zeroizing<[u8; 32]> {
        let mut key = Zeroizing::new([0; 32]);
        let expanded = self.expand.expand_multi_info(label, &mut key[..]);
        debug_assert!(expanded.is_ok(), "32 octets are within what HKDF gives");
        key
    }

    fn under(&self, label: &[&[u8]]) -> Pseudonyms {
        Pseudonyms::under(self.id, self.generation, &self.key(label))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({})", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(octet: u8) -> Secret {
        Secret::new(KeyId(9), &[octet; 32])
    }

    #[test]
    fn each_use_and_each_secret_has_pseudonyms_of_its_own() {
        let digits = b"15550100123";
        let all = [
            secret(1).suppression().of(digits),
            secret(2).suppression().of(digits),
            secret(1).index(b"A").of(digits),
            secret(1).index(b"B").of(digits),
            secret(1).log(1).of(digits),
            secret(1).log(2).of(digits),
            secret(1).suppression().of(b"15550100124"),
        ];
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
        assert_eq!(secret(1).suppression().of(digits), all[0]);
        assert_ne!(secret(1).check(), secret(2).check());
    }

    /// What stands on disks must be found by every later version: HKDF and HMAC as the standards say, reckoned by
    /// another implementation.
    #[test]
    fn pseudonyms_keep_their_octets() {
        let found = secret(7).suppression().of(b"15550100123");
        let hex: String = found
            .octets()
            .iter()
            .map(|octet| format!("{octet:02x}"))
            .collect();
        assert_eq!(hex, "41591d8c9ddb4528f9ac15a9947fda7d");
    }

    #[test]
    fn they_print_as_nothing() {
        let pseudonym = secret(1).suppression().of(b"15550100123");
        assert_eq!(format!("{pseudonym:?}"), "Pseudonym(***)");
        assert_eq!(format!("{:?}", secret(1)), "Secret(9)");
    }
}
