//! Where the key lies that signs checkpoints: its seed is sealed under a key of the ring, in the log's directory.
//!
//! ```text
//! signing-key      "TGAK" │ version u8 │ 0 × 3 │ key of the ring u32 │ sealed seed
//! signing-key.pub  name+hash+base64, as signed notes have it
//! signing-key.unopened-TIME, and its .pub: what lay there and did not open
//! ```

use std::io;
use std::path::{Path, PathBuf};

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::note::{NoteError, PublicKey, Signer};
use crate::disk::{Access, Disk, DiskFile as _};
use crate::keyring::{KeyRing, KeyRingError, Owner, create_whole};
use crate::record;
use crate::seal::{Aad, KeyId, Purpose, SEALED_OVERHEAD, SealError};

const FILE: &str = "signing-key";
const PUBLIC_FILE: &str = "signing-key.pub";
const MAGIC: &[u8; 8] = b"TGAK\x01\0\0\0";
const LEN: usize = 8 + 4 + 32 + SEALED_OVERHEAD;
/// Octets of the public key's line at most: a name, and 60 more.
const PUBLIC_MAX: usize = 1024;
const AAD: Aad = Aad {
    account: None,
    kind: 250,
    version: 1,
    id: 0,
    leg: 0,
};

/// Why there is no key to sign with.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// The key ring.
    #[error(transparent)]
    Ring(#[from] KeyRingError),
    /// The cipher.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The log's name.
    #[error(transparent)]
    Name(#[from] NoteError),
    /// A file.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> SeedError {
    let path = path.to_path_buf();
    move |source| SeedError::Io { path, source }
}

/// Where a key came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// It lay there.
    Found,
    /// It was made: none lay there.
    New,
    /// It was made: what lay there does not open, and is kept under another name with its public key.
    InPlaceOfAnother,
}

/// Opens the key of the log in `dir`, or makes one where there is none that opens; says which. What does not open today may
/// open with the right key ring: it is moved aside.
///
/// # Errors
///
/// The ring or a file cannot be used, or `name` cannot name a log.
pub fn signer<D: Disk>(
    disk: &D,
    dir: &Path,
    ring: &mut KeyRing<D>,
    name: &str,
    now_ms: u64,
    rng: &mut impl CryptoRng,
) -> Result<(Signer, Made), SeedError> {
    let path = dir.join(FILE);
    let found = read_some(disk, &path, LEN + 1).map_err(failed(&path))?;
    let public = dir.join(PUBLIC_FILE);
    let (seed, made) = match found.map(|octets| unseal(octets, ring)) {
        Some(Some(seed)) => (seed, Made::Found),
        Some(None) => {
            for path in [&path, &public] {
                set_aside(disk, dir, path, now_ms).map_err(failed(path))?;
            }
            (make(disk, &path, ring, now_ms, rng)?, Made::InPlaceOfAnother)
        }
        None => (make(disk, &path, ring, now_ms, rng)?, Made::New),
    };
    let signer = Signer::new(name, &seed)?;
    // It says nothing that the seed does not: made again wherever it is not so.
    let line = format!("{}\n", signer.public_key());
    let written = read_some(disk, &public, PUBLIC_MAX).map_err(failed(&public))?;
    if written.as_deref() != Some(line.as_bytes()) {
        // Nothing is lost without it: the next start tries again.
        if let Err(error) = create_whole(disk, &public, line.as_bytes()) {
            tracing::warn!(%error, "the audit log's public key cannot be written");
        }
    }
    Ok((signer, made))
}

/// Gives a file that is of no use a name that says since when; does nothing where there is none.
fn set_aside<D: Disk>(disk: &D, dir: &Path, path: &Path, now_ms: u64) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let names = disk.list(dir)?;
    let is_taken = |name: &str| names.iter().any(|entry| entry.name == name);
    if !is_taken(&name) {
        return Ok(());
    }
    // One that was set aside before keeps its name, whatever the clock says.
    let mut since = now_ms;
    let mut aside = format!("{name}.unopened-{since}");
    while is_taken(&aside) {
        since += 1;
        aside = format!("{name}.unopened-{since}");
    }
    disk.rename(path, &dir.join(aside))?;
    disk.sync_dir(dir)
}

/// The public key of the log in `dir` as it lies there; `None` where there is none that can be read.
///
/// # Errors
///
/// The file is there and cannot be read.
pub fn public_key<D: Disk>(disk: &D, dir: &Path) -> io::Result<Option<PublicKey>> {
    let octets = read_some(disk, &dir.join(PUBLIC_FILE), PUBLIC_MAX)?;
    let text = octets.and_then(|octets| String::from_utf8(octets).ok());
    Ok(text.and_then(|text| text.parse().ok()))
}

fn make<D: Disk>(
    disk: &D,
    path: &Path,
    ring: &mut KeyRing<D>,
    now_ms: u64,
    rng: &mut impl CryptoRng,
) -> Result<Zeroizing<[u8; 32]>, SeedError> {
    let key = match ring.newest(Owner::Audit) {
        Some(key) => key,
        None => ring.make(Owner::Audit, now_ms, rng)?,
    };
    let mut seed = Zeroizing::new([0; 32]);
    rng.fill_bytes(&mut seed[..]);
    let mut octets = Vec::with_capacity(LEN);
    octets.extend_from_slice(MAGIC);
    octets.extend_from_slice(&key.id().0.to_be_bytes());
    key.seal(&AAD, rng, &mut octets, |out| out.extend_from_slice(&seed[..]))?;
    create_whole(disk, path, &octets).map_err(failed(path))?;
    Ok(seed)
}

fn unseal<D: Disk>(octets: Vec<u8>, ring: &KeyRing<D>) -> Option<Zeroizing<[u8; 32]>> {
    let mut octets = Zeroizing::new(octets);
    if octets.len() != LEN {
        return None;
    }
    let (head, sealed) = octets.split_at_mut_checked(12)?;
    let mut name = head.strip_prefix(MAGIC)?;
    let key = ring.get(KeyId(record::get_u32(&mut name).ok()?))?;
    let seed = key.open(&AAD, sealed, Purpose::Audit).ok()?;
    Some(Zeroizing::new(seed.try_into().ok()?))
}

/// The first octets of a file; `None` where it is not there.
pub(super) fn read_some<D: Disk>(disk: &D, path: &Path, max: usize) -> io::Result<Option<Vec<u8>>> {
    let file = match disk.open(path, Access::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    // Not more than there is: `max` may be generous.
    let len = usize::try_from(file.len()?).unwrap_or(usize::MAX).min(max);
    let mut octets = vec![0; len];
    let read = file.read_at(&mut octets, 0)?;
    octets.truncate(read);
    Ok(Some(octets))
}
