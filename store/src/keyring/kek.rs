//! The key that wraps the keys (ENC-2): 32 octets in a file that the operator keeps apart from data,
//! ring and backups.

use std::fmt;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, KeyInit};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::disk::{Access, Disk, DiskFile};
use crate::seal::{KEY_LEN, NONCE_LEN, TAG_LEN};

/// Octets of a wrapped key: nonce, key, tag.
pub(super) const WRAPPED_LEN: usize = NONCE_LEN + KEY_LEN + TAG_LEN;

/// The key-encryption key. Wiped when dropped; it cannot be printed.
pub struct Kek(Aes256Gcm);

/// Why there is no key-encryption key.
#[derive(Debug, thiserror::Error)]
pub enum KekError {
    /// The file has another length: never cut, never padded.
    #[error("key-encryption key {}: the file must hold exactly 32 octets, nothing before or after", path.display())]
    Length {
        /// The file.
        path: PathBuf,
    },
    /// There is a file already, and it may wrap the keys of a ring.
    #[error("key-encryption key {}: exists already and is not replaced", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The file could not be used.
    #[error("key-encryption key {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Kek {
    /// Reads the 32 octets of a file.
    pub fn read<D: Disk>(disk: &D, path: &Path) -> Result<Self, KekError> {
        Self::read_octets(disk, path).map(|octets| Self::new(&octets))
    }

    /// The same without making a cipher of them.
    pub fn read_octets<D: Disk>(disk: &D, path: &Path) -> Result<Zeroizing<[u8; KEY_LEN]>, KekError> {
        let failed = |source| KekError::Io {
            path: path.to_path_buf(),
            source,
        };
        let file = disk.open(path, Access::Read).map_err(failed)?;
        // One more than there may be, to see that the file ends.
        let mut octets = Zeroizing::new([0; KEY_LEN + 1]);
        let len = file.read_at(&mut octets[..], 0).map_err(failed)?;
        match octets.first_chunk() {
            Some(key) if len == KEY_LEN => Ok(Zeroizing::new(*key)),
            _ => Err(KekError::Length {
                path: path.to_path_buf(),
            }),
        }
    }

    /// Makes the file once, mode 0600, and its directory if that is missing; both synced. What a power
    /// cut leaves is no file or the whole one.
    pub fn create<D: Disk>(disk: &D, path: &Path, rng: &mut impl CryptoRng) -> Result<Self, KekError> {
        let failed = |source| KekError::Io {
            path: path.to_path_buf(),
            source,
        };
        match disk.open(path, Access::Read) {
            Ok(_) => {
                return Err(KekError::Exists {
                    path: path.to_path_buf(),
                });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        let mut octets = Zeroizing::new([0; KEY_LEN]);
        rng.fill_bytes(&mut octets[..]);
        create_whole(disk, path, &octets[..]).map_err(failed)?;
        Ok(Self::new(&octets))
    }

    /// Of octets that came from elsewhere than a file; the caller wipes its copy.
    pub fn new(octets: &[u8; KEY_LEN]) -> Self {
        Self(Aes256Gcm::new(octets.into()))
    }

    /// Wraps a key, bound to `aad`.
    pub(super) fn wrap(
        &self,
        key: &[u8; KEY_LEN],
        aad: &[u8],
        rng: &mut impl CryptoRng,
    ) -> Option<[u8; WRAPPED_LEN]> {
        let mut wrapped = [0; WRAPPED_LEN];
        let (nonce, rest) = wrapped.split_first_chunk_mut::<NONCE_LEN>()?;
        let (body, tag) = rest.split_first_chunk_mut::<KEY_LEN>()?;
        rng.fill_bytes(nonce);
        body.copy_from_slice(key);
        let made = self
            .0
            .encrypt_inout_detached((&*nonce).into(), aad, (&mut body[..]).into());
        tag.copy_from_slice(&made.ok()?);
        Some(wrapped)
    }

    /// Opens a wrapped key; `None` under another KEK, for another slot, or if damaged.
    pub(super) fn unwrap(&self, wrapped: &[u8; WRAPPED_LEN], aad: &[u8]) -> Option<Zeroizing<[u8; KEY_LEN]>> {
        let (nonce, rest) = wrapped.split_first_chunk::<NONCE_LEN>()?;
        let (body, tag) = rest.split_first_chunk::<KEY_LEN>()?;
        let tag: &[u8; TAG_LEN] = tag.first_chunk()?;
        let mut key = Zeroizing::new(*body);
        let opened = self
            .0
            .decrypt_inout_detached(nonce.into(), aad, (&mut key[..]).into(), tag.into());
        opened.ok().map(|()| key)
    }
}

impl fmt::Debug for Kek {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Kek(***)")
    }
}

/// The name that a file has until it is whole.
pub(super) fn unfinished(path: &Path) -> PathBuf {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    PathBuf::from(temporary)
}

/// Makes a file of mode 0600 that appears under its name only when it is whole and synced; makes the
/// directory if it is missing.
pub(crate) fn create_whole<D: Disk>(disk: &D, path: &Path, octets: &[u8]) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new(""));
    disk.create_dir_all(dir)?;
    let temporary = unfinished(path);
    match disk.unlink(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = disk.create(&temporary, 0o600, 0)?;
    file.write_at(&[IoSlice::new(octets)], 0)?;
    file.sync_all()?;
    disk.rename(&temporary, path)?;
    disk.sync_dir(dir)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{FaultyDisk, RealDisk};
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;
    use std::os::unix::fs::PermissionsExt;

    fn rng() -> ChaCha20Rng {
        ChaCha20Rng::seed_from_u64(1)
    }

    #[test]
    fn the_file_is_made_once_for_its_owner_only() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("secret/kek");
        let made = Kek::create(&RealDisk, &path, &mut rng()).unwrap();
        let data = std::fs::metadata(&path).unwrap();
        assert_eq!((data.permissions().mode() & 0o777, data.len()), (0o600, 32));
        let error = Kek::create(&RealDisk, &path, &mut rng()).unwrap_err();
        assert!(matches!(error, KekError::Exists { .. }), "{error}");
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);

        let read = Kek::read(&RealDisk, &path).unwrap();
        let wrapped = made.wrap(&[5; 32], b"slot", &mut rng()).unwrap();
        assert_eq!(*read.unwrap(&wrapped, b"slot").unwrap(), [5; 32]);
        assert!(read.unwrap(&wrapped, b"slit").is_none());
        assert_eq!(format!("{read:?}"), "Kek(***)");
    }

    #[test]
    fn a_file_of_another_length_is_refused() {
        for octets in [&[][..], &[1; 31], &[1; 33], b"0123456789abcdef0123456789abcdef\n"] {
            let disk = FaultyDisk::new();
            create_whole(&disk, Path::new("kek"), octets).unwrap();
            let error = Kek::read(&disk, Path::new("kek")).unwrap_err();
            assert!(matches!(error, KekError::Length { .. }), "{error}");
        }
        let error = Kek::read(&FaultyDisk::new(), Path::new("kek")).unwrap_err();
        assert!(error.to_string().contains("kek"), "{error}");
    }

    #[test]
    fn a_power_cut_leaves_no_file_or_the_whole_one() {
        let mut seen = std::collections::BTreeSet::new();
        let mut chance = rng();
        for changes in 0.. {
            let disk = FaultyDisk::new();
            disk.cut_power_after(changes);
            let done = Kek::create(&disk, Path::new("/etc/kek"), &mut rng()).is_ok();
            for _ in 0..20 {
                for after in [disk.crash(), disk.crash_with(&mut chance)] {
                    let len = after.octets(Path::new("/etc/kek")).map(|octets| octets.len());
                    seen.insert(len);
                    assert!(!done || len == Some(32));
                    // And what is left behind does not stand in the way.
                    if len.is_none() {
                        Kek::create(&after, Path::new("/etc/kek"), &mut rng()).unwrap();
                    }
                }
            }
            if done {
                break;
            }
        }
        assert!(seen.into_iter().eq([None, Some(32)]));
    }
}
