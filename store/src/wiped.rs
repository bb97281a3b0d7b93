//! Held while it is built: what holds a key is of a type that is wiped when it is dropped. A feature of a crate that goes
//! missing does not compile.

use aes_gcm::Aes256Gcm;
use blowfish::Blowfish;
use ed25519_dalek::SigningKey;
use sha2::block_api::Sha256VarCore;
use zeroize::ZeroizeOnDrop;

const fn is_wiped<T: ZeroizeOnDrop>() {}

/// The key-encryption key.
const _: () = is_wiped::<Aes256Gcm>();
/// Every key of the ring. Its own drop wipes it, and a test of `seal` that it does.
const _: () = is_wiped::<crate::seal::Cipher>();
/// The secret behind pseudonyms, opt-outs' too: HKDF and HMAC hold states of SHA-256 that were made with it, and nothing else.
const _: () = is_wiped::<Sha256VarCore>();
/// What permutes message ids.
const _: () = is_wiped::<Blowfish>();
/// What signs the audit log's checkpoints.
const _: () = is_wiped::<SigningKey>();
/// What hides the ids in waiting files.
const _: () = is_wiped::<crate::waiting::HashKey>();
