//! Sealing: AES-256-GCM with a fresh random nonce per record (ENC-1), done before the first write
//! (ENC-3), bound to whose record it is and which.
//!
//! A sealed record is `nonce (12) ‖ ciphertext ‖ tag (16)`, see [`SEALED_OVERHEAD`]. Its key is named
//! beside it and comes from the [key ring](crate::keyring); without the key it is noise, which is how
//! records are erased (ERA-2).

use std::fmt;
use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering};

use rand_core::CryptoRng;
use ring::aead::{AES_256_GCM, LessSafeKey, Nonce, UnboundKey};
use tidegate_codec::identity::SystemId;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Octets of a key.
pub const KEY_LEN: usize = 32;
/// Octets that a sealed record is longer than what is in it: nonce and tag.
pub const SEALED_OVERHEAD: usize = NONCE_LEN + TAG_LEN;
/// Octets of [`Aad::octets`].
pub const AAD_LEN: usize = 32;
/// Records after which a key is to be replaced (ENC-1): half of what random nonces allow.
pub const SPENT_AFTER: u32 = 1 << 31;

pub(crate) const NONCE_LEN: usize = 12;
pub(crate) const TAG_LEN: usize = 16;

/// The name of a key: given out once by the key ring, never again, and no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(pub u32);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a record is opened for (GEN-3): no purpose, no read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// To hand a message over, to a carrier or to an account.
    Deliver,
    /// To work out or deliver a receipt.
    Dlr,
    /// A person helps an account.
    Support,
    /// To charge for it.
    Billing,
    /// To look into abuse.
    Fraud,
    /// A lawful request.
    Legal,
    /// Retention, copying forward and the making of filters included.
    Sweep,
    /// An export that the account asked for.
    Export,
    /// To sign what the audit log holds.
    Audit,
}

/// What a record is bound to besides its key: opened as any other record, it does not open (ENC-1).
///
/// The key's id is part of the associated data too; [`SealKey`] adds its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aad {
    /// Whose record it is; `None` for the gateway's own, such as a segment's footer.
    pub account: Option<SystemId>,
    /// What kind of record it is.
    pub kind: u8,
    /// Version of that kind's form.
    pub version: u8,
    /// Message id, or what numbers records of that kind.
    pub id: u64,
    /// Leg of the message, 0 for what belongs to none.
    pub leg: u16,
}

impl Aad {
    /// The octets that are authenticated. Every field has a fixed place, so no two values look alike.
    pub fn octets(&self, key: KeyId) -> [u8; AAD_LEN] {
        let account = self.account.as_ref().map_or(&[][..], SystemId::as_bytes);
        let mut octets = [0; AAD_LEN];
        // A system_id has no NUL and at least one octet, so padding shows where it ends.
        octets[..account.len()].copy_from_slice(account);
        octets[16] = self.kind;
        octets[17] = self.version;
        octets[18..20].copy_from_slice(&self.leg.to_be_bytes());
        octets[20..24].copy_from_slice(&key.0.to_be_bytes());
        octets[24..].copy_from_slice(&self.id.to_be_bytes());
        octets
    }
}

/// Why a record could not be sealed or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Shorter than the overhead of any sealed record.
    #[error("a sealed record of {len} octets cannot be whole")]
    Short {
        /// Octets that there are.
        len: usize,
    },
    /// Damaged, sealed with another key, or bound to another record (ENC-4: report, count, skip).
    #[error("record does not open under key {key} (for {purpose:?})")]
    Refused {
        /// The key that was tried.
        key: KeyId,
        /// What it was opened for.
        purpose: Purpose,
    },
    /// The key has sealed all it may; callers replace it at [`SealKey::is_spent`], long before.
    #[error("key {key} has sealed as many records as it may")]
    Spent {
        /// That key.
        key: KeyId,
    },
    /// More than AES-GCM takes at once (64 GiB).
    #[error("record too long to seal")]
    TooLong,
}

/// The cipher with its key: `ring`'s, which takes less than half as long for a record as RustCrypto's, whose backend for AVX-512 is made
/// for long texts. Unlike that one, ring does not wipe what it is made of; this does.
pub(crate) struct Cipher(LessSafeKey);

impl Cipher {
    fn new(key: &[u8; KEY_LEN]) -> Self {
        Self(Self::expanded(key))
    }

    fn expanded(key: &[u8; KEY_LEN]) -> LessSafeKey {
        #[expect(clippy::expect_used, reason = "the length is the cipher's own")]
        let key = UnboundKey::new(&AES_256_GCM, key).expect("32 octets are a key of AES-256");
        LessSafeKey::new(key)
    }

    /// Puts another key in the place of the whole of it; looked at afterwards, or the compiler would leave out what nobody reads.
    fn wipe(&mut self) {
        self.0 = Self::expanded(&[0; KEY_LEN]);
        black_box(&self.0);
    }
}

impl Drop for Cipher {
    fn drop(&mut self) {
        self.wipe();
    }
}

impl ZeroizeOnDrop for Cipher {}

/// A key that seals and opens records. Wiped when the last holder lets go; it cannot be printed.
pub struct SealKey {
    id: KeyId,
    cipher: Cipher,
    sealed: AtomicU32,
}

impl SealKey {
    /// Sets the cipher up; the caller wipes its copy of the octets. Outside tests and benches keys come
    /// from the key ring.
    pub fn new(id: KeyId, key: &[u8; KEY_LEN]) -> Self {
        Self {
            id,
            cipher: Cipher::new(key),
            sealed: AtomicU32::new(0),
        }
    }

    /// The same, of a key that this process had open before and that sealed so many records then.
    pub(crate) fn that_sealed(id: KeyId, key: &[u8; KEY_LEN], sealed: u32) -> Self {
        Self {
            sealed: AtomicU32::new(sealed),
            ..Self::new(id, key)
        }
    }

    /// Its name in the key ring.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// Records sealed since this process read or made the key.
    pub fn sealed(&self) -> u32 {
        self.sealed.load(Ordering::Relaxed)
    }

    /// Whether the key has sealed [`SPENT_AFTER`] records and is to be replaced (ENC-1). The count starts
    /// at 0 when the ring is opened, so an owner that seals that much makes a new key at each start.
    pub fn is_spent(&self) -> bool {
        self.sealed() >= SPENT_AFTER
    }

    /// Appends a sealed record to `out`. `plaintext` appends what is to be sealed and must not touch what
    /// is there; it is encrypted in place, so nothing is allocated if `out` has room for it and
    /// [`SEALED_OVERHEAD`]. (When `out` has to grow meanwhile, a plain copy stays in freed memory.)
    ///
    /// After an error, or a panic of `plaintext`, `out` is as it was: nothing plain can be left in it.
    pub fn seal(
        &self,
        aad: &Aad,
        rng: &mut impl CryptoRng,
        out: &mut Vec<u8>,
        plaintext: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), SealError> {
        if self.sealed.fetch_add(1, Ordering::Relaxed) == u32::MAX {
            self.sealed.store(u32::MAX, Ordering::Relaxed);
            return Err(SealError::Spent { key: self.id });
        }
        let mut nonce = [0; NONCE_LEN];
        rng.fill_bytes(&mut nonce);
        let undo = Undo {
            start: out.len(),
            out,
        };
        undo.out.extend_from_slice(&nonce);
        plaintext(undo.out);
        let body = undo.out.get_mut(undo.start + NONCE_LEN..).unwrap_or_default();
        let (nonce, aad) = (
            Nonce::assume_unique_for_key(nonce),
            ring::aead::Aad::from(aad.octets(self.id)),
        );
        let tag = self.cipher.0.seal_in_place_separate_tag(nonce, aad, body);
        let tag = tag.map_err(|_| SealError::TooLong)?;
        undo.out.extend_from_slice(tag.as_ref());
        // Sealed: what is there stays.
        std::mem::forget(undo);
        Ok(())
    }

    /// Opens a sealed record in place and returns what is in it.
    ///
    /// Fails closed: nothing comes out unless tag and associated data are right (ENC-4). What did not open is zeros afterwards:
    /// who needs it still keeps a copy.
    pub fn open<'a>(&self, aad: &Aad, sealed: &'a mut [u8], purpose: Purpose) -> Result<&'a [u8], SealError> {
        let short = SealError::Short { len: sealed.len() };
        if sealed.len() < SEALED_OVERHEAD {
            return Err(short);
        }
        let (nonce, body) = sealed.split_first_chunk_mut::<NONCE_LEN>().ok_or(short)?;
        let (nonce, aad) = (
            Nonce::assume_unique_for_key(*nonce),
            ring::aead::Aad::from(aad.octets(self.id)),
        );
        let opened = self.cipher.0.open_in_place(nonce, aad, body);
        opened.map(|plain| &*plain).map_err(|_| SealError::Refused {
            key: self.id,
            purpose,
        })
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealKey({})", self.id)
    }
}

/// Takes back what was appended unless sealing came to its end.
struct Undo<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        if let Some(plain) = self.out.get_mut(self.start..) {
            plain.zeroize();
        }
        self.out.truncate(self.start);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aes_gcm::aead::AeadInOut;
    use aes_gcm::{Aes256Gcm, KeyInit};
    use proptest::prelude::*;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    fn aad() -> Aad {
        Aad {
            account: Some(SystemId::new(b"load1").unwrap()),
            kind: 1,
            version: 1,
            id: 0x0102_0304_0506_0708,
            leg: 2,
        }
    }

    fn sealed(key: &SealKey, aad: &Aad, text: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut rng = ChaCha20Rng::seed_from_u64(key.sealed().into());
        key.seal(aad, &mut rng, &mut out, |out| out.extend_from_slice(text))
            .unwrap();
        out
    }

    #[test]
    fn a_record_opens_as_what_it_was_and_as_nothing_else() {
        let key = SealKey::new(KeyId(7), &[1; 32]);
        let record = sealed(&key, &aad(), b"body");
        assert_eq!(record.len(), 4 + SEALED_OVERHEAD);
        assert_eq!(
            key.open(&aad(), &mut record.clone(), Purpose::Deliver),
            Ok(&b"body"[..])
        );

        let account = Some(SystemId::new(b"load").unwrap());
        let others = [
            Aad { account, ..aad() },
            Aad {
                account: None,
                ..aad()
            },
            Aad { kind: 2, ..aad() },
            Aad { version: 2, ..aad() },
            Aad { id: 1, ..aad() },
            Aad { leg: 0, ..aad() },
        ];
        let refused = SealError::Refused {
            key: KeyId(7),
            purpose: Purpose::Sweep,
        };
        for other in others {
            assert_eq!(
                key.open(&other, &mut record.clone(), Purpose::Sweep),
                Err(refused)
            );
        }
        let same_octets = SealKey::new(KeyId(8), &[1; 32]);
        assert!(
            same_octets
                .open(&aad(), &mut record.clone(), Purpose::Sweep)
                .is_err()
        );
        let same_name = SealKey::new(KeyId(7), &[2; 32]);
        assert!(
            same_name
                .open(&aad(), &mut record.clone(), Purpose::Sweep)
                .is_err()
        );
    }

    #[test]
    fn associated_data_keeps_its_octets() {
        // On disk for good: a change here makes every record unreadable.
        let expected =
            *b"load1\0\0\0\0\0\0\0\0\0\0\0\x01\x01\0\x02\0\0\0\x07\x01\x02\x03\x04\x05\x06\x07\x08";
        assert_eq!(aad().octets(KeyId(7)), expected);
    }

    #[test]
    fn aes_256_gcm_is_the_standard_one() {
        // The GCM specification's test case 14 (key, nonce and plaintext all zero, no associated data)
        // pins the cipher; here through the raw parts, since `seal` always has associated data.
        let cipher = Cipher::new(&[0; 32]);
        let (nonce, mut body) = (Nonce::assume_unique_for_key([0; 12]), [0; 16]);
        let tag = cipher
            .0
            .seal_in_place_separate_tag(nonce, ring::aead::Aad::empty(), &mut body)
            .unwrap();
        assert_eq!(
            u128::from_be_bytes(body),
            0xcea7_403d_4d60_6b6e_074e_c5d3_baf3_9d18
        );
        assert_eq!(
            u128::from_be_bytes(tag.as_ref().try_into().unwrap()),
            0xd0d1_c8a7_9999_6bf0_265b_98b5_d48a_b919
        );
    }

    #[test]
    fn a_wiped_cipher_is_that_of_no_key() {
        let sealed = |cipher: &Cipher| {
            let (nonce, mut body) = (Nonce::assume_unique_for_key([0; 12]), [0; 16]);
            let tag = cipher
                .0
                .seal_in_place_separate_tag(nonce, ring::aead::Aad::empty(), &mut body);
            (body, tag.unwrap().as_ref().to_vec())
        };
        let mut cipher = Cipher::new(&[7; 32]);
        let before = sealed(&cipher);
        cipher.wipe();
        assert_eq!(sealed(&cipher), sealed(&Cipher::new(&[0; 32])));
        assert!(sealed(&cipher) != before);
    }

    #[test]
    fn another_implementation_opens_what_is_sealed() {
        // The one that sealed records before, and wraps keys still.
        let other = Aes256Gcm::new(&[1; 32].into());
        for len in [0, 1, 15, 16, 17, 160, 1024, 5000] {
            let (key, text) = (SealKey::new(KeyId(7), &[1; 32]), vec![3; len]);
            let mut record = sealed(&key, &aad(), &text);
            let (nonce, rest) = record.split_first_chunk_mut::<NONCE_LEN>().unwrap();
            let (body, tag) = rest.split_last_chunk_mut::<TAG_LEN>().unwrap();
            let octets = aad().octets(KeyId(7));
            other
                .decrypt_inout_detached((&*nonce).into(), &octets, (&mut *body).into(), (&*tag).into())
                .unwrap();
            assert_eq!(*body, text[..], "{len}");
            // And back again.
            *tag = other
                .encrypt_inout_detached((&*nonce).into(), &octets, (&mut *body).into())
                .unwrap()
                .into();
            assert_eq!(key.open(&aad(), &mut record, Purpose::Deliver), Ok(&text[..]));
        }
    }

    #[test]
    fn every_record_has_its_own_nonce_and_hides_its_text() {
        let key = SealKey::new(KeyId(1), &[1; 32]);
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let mut out = b"before".to_vec();
        for _ in 0..2 {
            key.seal(&aad(), &mut rng, &mut out, |out| {
                out.extend_from_slice(b"secret words");
            })
            .unwrap();
        }
        assert_eq!(&out[..6], b"before");
        let (first, second) = out[6..].split_at(12 + SEALED_OVERHEAD);
        assert_ne!(first[..NONCE_LEN], second[..NONCE_LEN]);
        assert!(!out.windows(6).any(|w| w == b"secret"));
        assert_eq!(
            key.open(&aad(), &mut second.to_vec(), Purpose::Dlr),
            Ok(&b"secret words"[..])
        );
    }

    #[test]
    fn sealing_allocates_nothing_when_there_is_room() {
        let key = SealKey::new(KeyId(1), &[1; 32]);
        let mut out = Vec::with_capacity(160 + SEALED_OVERHEAD);
        let (place, room) = (out.as_ptr(), out.capacity());
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        key.seal(&aad(), &mut rng, &mut out, |out| out.resize(160, 1))
            .unwrap();
        assert_eq!((out.as_ptr(), out.capacity()), (place, room));
    }

    #[test]
    fn a_panic_while_writing_the_plaintext_leaves_nothing_of_it() {
        let key = SealKey::new(KeyId(1), &[1; 32]);
        let mut out = b"before".to_vec();
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            key.seal(&aad(), &mut rng, &mut out, |out| {
                out.extend_from_slice(b"secret");
                panic!("bug");
            })
        }));
        assert!(result.is_err());
        assert_eq!(out, b"before");
    }

    #[test]
    fn a_key_says_when_it_is_spent_and_stops_before_nonces_repeat() {
        let key = SealKey::new(KeyId(9), &[1; 32]);
        sealed(&key, &aad(), b"x");
        assert_eq!((key.sealed(), key.is_spent()), (1, false));
        key.sealed.store(SPENT_AFTER - 1, Ordering::Relaxed);
        assert!(!key.is_spent());
        sealed(&key, &aad(), b"x");
        assert!(key.is_spent());
        key.sealed.store(u32::MAX, Ordering::Relaxed);
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let mut out = Vec::new();
        for _ in 0..2 {
            let result = key.seal(&aad(), &mut rng, &mut out, |_| {});
            assert_eq!(result, Err(SealError::Spent { key: KeyId(9) }));
        }
        assert!(out.is_empty());
    }

    #[test]
    fn a_key_prints_its_name_only() {
        assert_eq!(format!("{:?}", SealKey::new(KeyId(3), &[0xAB; 32])), "SealKey(3)");
    }

    proptest! {
        #[test]
        fn a_record_with_any_octet_changed_or_missing_does_not_open(
            text in proptest::collection::vec(any::<u8>(), 0..100),
            place in any::<proptest::sample::Index>(),
            change in 1..=255u8,
        ) {
            let key = SealKey::new(KeyId(1), &[1; 32]);
            let record = sealed(&key, &aad(), &text);
            let mut copy = record.clone();
            prop_assert_eq!(key.open(&aad(), &mut copy, Purpose::Legal), Ok(&text[..]));
            let place = place.index(record.len());
            prop_assert!(key.open(&aad(), &mut record[..place].to_vec(), Purpose::Legal).is_err());
            let mut changed = record;
            changed[place] ^= change;
            prop_assert!(key.open(&aad(), &mut changed, Purpose::Legal).is_err());
        }
    }
}
