//! What can be wrong with a key ring, in words for the operator.

use std::io;
use std::path::{Path, PathBuf};

use super::Fingerprint;
use crate::disk::is_full;
use crate::seal::KeyId;

/// Why the key ring could not be opened, made or changed.
#[derive(Debug, thiserror::Error)]
pub enum KeyRingError {
    /// Neither file is there. None is made where data may exist (ENC-6): without its keys the data is
    /// lost, and a fresh ring would hide that.
    #[error("key ring {}: neither ring.a nor ring.b is there; restore one of them", dir.display())]
    Missing {
        /// Directory of the ring.
        dir: PathBuf,
    },
    /// A ring is to be made where one is.
    #[error("key ring {}: exists already and is not replaced", dir.display())]
    Exists {
        /// Directory of the ring.
        dir: PathBuf,
    },
    /// The key-encryption key is not the one that wrapped this ring.
    #[error(
        "key ring {}: wrapped under another key-encryption key, number {number} with fingerprint {}",
        dir.display(),
        hex(fingerprint)
    )]
    WrongKek {
        /// Directory of the ring.
        dir: PathBuf,
        /// The number of the one that is needed.
        number: u32,
        /// The same key's, as the ring's audit entries and `tidegate key show` tell it.
        fingerprint: Fingerprint,
    },
    /// A rotation of the key-encryption key was interrupted, and keys lie under one that was not given.
    #[error(
        "key ring {}: a rotation of the key-encryption key was interrupted, and the {} one is missing (number {number}, \
         fingerprint {}), under which {keys} keys lie: give both, as OPERATIONS.md says",
        dir.display(),
        if *is_new { "new" } else { "old" },
        hex(fingerprint)
    )]
    KekMissing {
        /// Directory of the ring.
        dir: PathBuf,
        /// Whether it is the one that takes over, or the one before.
        is_new: bool,
        /// Its number.
        number: u32,
        /// What tells it from others.
        fingerprint: Fingerprint,
        /// Keys under it.
        keys: u64,
    },
    /// The key-encryption key that is to take over is the one that there is.
    #[error("key ring {}: this key-encryption key wraps it already", dir.display())]
    SameKek {
        /// Directory of the ring.
        dir: PathBuf,
    },
    /// A tier's ring was there before (ENC-6): what it opened is lost without it, and a fresh one would hide that.
    #[error(
        "key ring {}: neither ring.a nor ring.b is there, and it was made before: restore one of them from the backup of the \
         main ring's day; no new one is made over what it opens",
        dir.display()
    )]
    TierMissing {
        /// Directory of the tier's ring.
        dir: PathBuf,
    },
    /// One key-encryption key for two rings that are to be kept apart by it (ENC-5).
    #[error("key ring {}: this key-encryption key wraps it, and no two rings may have the same", dir.display())]
    SharedKek {
        /// Directory of the ring that has it already.
        dir: PathBuf,
    },
    /// A ring of another tier, or beside another main ring.
    #[error(
        "key ring {}: it belongs to another tier, or beside another key ring: put each ring back in the place that it was copied from",
        dir.display()
    )]
    Foreign {
        /// Directory of the ring.
        dir: PathBuf,
    },
    /// A tier's ring and the main one have two keys of one name, and one would overwrite the other.
    #[error(
        "key ring {}: its key {key} is not the one that the main ring has under that name: restore both rings from copies of one \
         day",
        dir.display()
    )]
    Clash {
        /// Directory of the tier's ring.
        dir: PathBuf,
        /// The name.
        key: KeyId,
    },
    /// A tier has no ring of its own: its keys lie in the main one.
    #[error(
        "key ring: tier {tier} has no key-encryption key of its own: its keys lie in the main ring (storage.{tier}_kek_file)"
    )]
    NoTier {
        /// Which.
        tier: &'static str,
    },
    /// No further generation of the secret behind pseudonyms may live.
    #[error(
        "as many generations of the suppression key live as may: retire the oldest, {oldest}, first          (tidegate key retire-suppression)"
    )]
    Generations {
        /// The oldest.
        oldest: u8,
    },
    /// A rotation to another key-encryption key is under way.
    #[error("key ring {}: a rotation to another key-encryption key is under way and goes first", dir.display())]
    OtherRotation {
        /// Directory of the ring.
        dir: PathBuf,
    },
    /// No copy has a whole header.
    #[error("key ring {}: no copy has a readable header; restore one of them", dir.display())]
    Damaged {
        /// Directory of the ring.
        dir: PathBuf,
    },
    /// Slots that neither copy can give.
    #[error("key ring {}: no copy has a readable slot for key {}; restore one of them", dir.display(), names(keys))]
    Lost {
        /// Directory of the ring.
        dir: PathBuf,
        /// The keys that were in them as far as can be told; 0 where it cannot.
        keys: Vec<KeyId>,
    },
    /// The two files are not copies of one ring.
    #[error("key ring {}: ring.a and ring.b belong to two rings; remove the one that is foreign", dir.display())]
    Mixed {
        /// Directory of the ring.
        dir: PathBuf,
    },
    /// The files have a form of another version of this program.
    #[error("key ring {}: form {version} is of another version of this program: start that one, or a newer one (CHANGELOG.md)", dir.display())]
    Version {
        /// Directory of the ring.
        dir: PathBuf,
        /// The form's number.
        version: u32,
    },
    /// No room for another key ([`PERIODS_MAX`](super::PERIODS_MAX), [`KEPT_OPEN_MAX`](super::KEPT_OPEN_MAX)), or no
    /// name left for one.
    #[error("key ring {}: full", dir.display())]
    Full {
        /// Directory of the ring.
        dir: PathBuf,
    },
    /// The key of the message ids is neither made again nor destroyed: ids given out would be void.
    #[error("key ring: the key of the message ids is permanent")]
    Permanent,
    /// A generation of the suppression key goes when the journal says on disk that it is retired.
    #[error("key ring: the journal does not say yet that this generation is retired")]
    NotRetired,
    /// AES-GCM refused 32 octets, which it has no reason to do.
    #[error("key ring: the cipher refused a key")]
    Cipher,
    /// An earlier change failed, so nobody knows what the files hold; they are read anew at a restart.
    #[error("key ring {}: given up after a failed write, until a restart", dir.display())]
    GivenUp {
        /// Directory of the ring.
        dir: PathBuf,
    },
    /// A file could not be used.
    #[error("key ring: cannot {operation} {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        operation: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl KeyRingError {
    /// Whether the disk is full, which is no broken disk ([`is_full`]).
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Io { source, .. } if is_full(source))
    }

    pub(super) fn io(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            path: path.to_path_buf(),
            operation,
            source,
        }
    }

    pub(super) fn lost(dir: &Path, mut keys: Vec<KeyId>) -> Self {
        keys.sort_unstable();
        Self::Lost {
            dir: dir.to_path_buf(),
            keys,
        }
    }
}

fn hex(octets: &Fingerprint) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn names(keys: &[KeyId]) -> String {
    let names: Vec<String> = keys.iter().map(KeyId::to_string).collect();
    names.join(", ")
}
