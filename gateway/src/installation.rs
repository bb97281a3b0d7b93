//! What lies on disk before anything is served: data directory, key ring, key-encryption key.
//!
//! The rule behind all cases (ENC-6): keys are made only where no data can need others. And its other
//! side: a ring with keys but without data, the picture of a volume that is not mounted, is not opened
//! either, because opening a spool destroys keys that nothing lies under.
//!
//! | ring | KEK | data | |
//! |---|---|---|---|
//! | there | there | made or in use | opened |
//! | there | there | empty, ring without keys of the spool | an [`init`] that was cut off; ended, then opened |
//! | there | there | empty, ring with keys of the spool | refused: [`OpenError::DataGone`] |
//! | there | missing | any | refused: [`OpenError::KekMissing`] |
//! | missing | any | in use | refused: [`OpenError::RingMissing`] |
//! | missing | there | empty | made with `auto_init` or by [`init`], else refused: [`OpenError::RingAbsent`] |
//! | missing | missing | empty | made with `auto_init`, else refused: [`OpenError::NotMade`] |
//!
//! Rings of tiers stand beside the main one: see [`tiers`].
//!
//! A KEK that is there already is used and never replaced: the operator may have brought it, or an
//! earlier attempt was cut off after making it. Files that are none of ours count as data, and as a ring:
//! rather too careful.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rand_core::CryptoRng;
use tidegate_config::Storage;
use tidegate_store::disk::{Disk, DiskFile as _, RealDisk};
use tidegate_store::keyring::{
    Attached, Kek, KekError, Keks, KeyRing, KeyRingError, Owner, Step, Tier, survey,
};
use tidegate_store::lock::{DirLock, LOCK_FILE, LockError};

use crate::kek;

pub mod tiers;

/// Directory of the spool's segments, inside the data directory.
const SPOOL_DIR: &str = "spool";
/// Directory of the waiting files in the data directory.
const WAITING_DIR: &str = "waiting";
const USAGE_DIR: &str = "usage";
const OUTBOX_DIR: &str = "outbox";
const STANDING_DIR: &str = "standing";
const HISTORY_DIR: &str = "history";
const REGISTER_DIR: &str = "register";
const AUDIT_DIR: &str = "audit";
/// File that says that the directory is ours and which form it has. Not there on an empty mount point.
pub(crate) const LAYOUT_FILE: &str = "layout";
/// What it says.
pub(crate) const LAYOUT: &[u8] = b"tidegate data directory, layout 1\n";
/// Leftovers of a file that was being made when the power went.
const UNFINISHED: &str = ".new";

/// Data directory and key ring, open and ours.
pub struct Installation<D: Disk = RealDisk> {
    /// The data directory's lock: hold it until nothing is written any more.
    pub lock: DirLock,
    /// The keys.
    pub ring: KeyRing<D>,
    /// Whether this start made it.
    pub made: bool,
    /// The rings of tiers that are attached to it, and what that came to.
    pub tiers: Vec<(Tier, Attached)>,
}

impl<D: Disk> std::fmt::Debug for Installation<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Installation")
            .field("made", &self.made)
            .finish_non_exhaustive()
    }
}

/// Why nothing was opened or made.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has the data directory.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Nothing is there yet.
    #[error(
        "nothing is there yet: run `tidegate init` with this configuration once, or set `auto_init = true`"
    )]
    NotMade,
    /// A key-encryption key, and nothing that it opens: rather a volume that is not mounted than a first start.
    #[error(
        "key-encryption key {} is there, but neither key ring {} nor data: mount their volume, or restore them; if there was \
         never anything, run `tidegate init` with this configuration once",
        kek.display(),
        ring.display()
    )]
    RingAbsent {
        /// The key.
        kek: PathBuf,
        /// Where the ring should be.
        ring: PathBuf,
    },
    /// `init` makes what is not there.
    #[error("{} exists already: `init` replaces nothing", path.display())]
    Exists {
        /// What is there.
        path: PathBuf,
    },
    /// Data without its keys.
    #[error(
        "data directory {} is in use but key ring {} is missing: restore the ring; without it the data \
         cannot be read, and a new one is not made over it",
        data.display(),
        ring.display()
    )]
    RingMissing {
        /// The data directory.
        data: PathBuf,
        /// Where the ring should be.
        ring: PathBuf,
    },
    /// A ring without what opens it.
    #[error("key ring {} is there but its key-encryption key {} is missing: restore it from its copy; none is \
         made, since nothing opens with another", ring.display(), kek.display())]
    KekMissing {
        /// The ring.
        ring: PathBuf,
        /// Where the key should be.
        kek: PathBuf,
    },
    /// A tier has a place for its key-encryption key, nothing in it, and no ring yet.
    #[error(
        "key-encryption key {} of tier {tier} is not there, and its key ring was never made: run `tidegate init --tiers` with this \
         configuration once, or set `auto_init = true`",
        kek.display()
    )]
    TierKekAbsent {
        /// The tier.
        tier: &'static str,
        /// Where the key should be.
        kek: PathBuf,
    },
    /// A tier's ring without a place where its key-encryption key is.
    #[error(
        "key ring {} of tier {tier} was made, but the configuration names no key-encryption key for it: set storage.{tier}_kek_file \
         (or {tier}_kek_env, {tier}_kek_command) as it was; without it holds and requests do not open",
        ring.display()
    )]
    TierWithoutKek {
        /// The tier.
        tier: &'static str,
        /// Its ring.
        ring: PathBuf,
    },
    /// Two key-encryption keys that are to keep rings apart are one.
    #[error(
        "the key-encryption key of tier {one} is the same 32 octets as that of {two}: give it one of its own, since one for two \
         keeps nothing apart"
    )]
    SameKek {
        /// The tier.
        one: &'static str,
        /// Whose it is, too.
        two: &'static str,
    },
    /// The key-encryption key of a tier could not be had.
    #[error("tier {tier}: {source}")]
    TierSource {
        /// The tier.
        tier: &'static str,
        /// Why.
        source: kek::SourceError,
    },
    /// Keys without their data.
    #[error(
        "key ring {} holds {keys} keys of a spool but data directory {} is empty: is its volume mounted? To \
         give the data up, move the key ring away, too",
        ring.display(),
        data.display()
    )]
    DataGone {
        /// The data directory.
        data: PathBuf,
        /// The ring.
        ring: PathBuf,
        /// Keys that wait for their data.
        keys: usize,
    },
    /// A data directory of a later version, or a file of somebody else's with the same name.
    #[error(
        "{}: not a layout that this version knows: start the version that wrote it, or a newer one (CHANGELOG.md), or let \
         storage.data name another directory",
        path.display()
    )]
    Layout {
        /// The file.
        path: PathBuf,
    },
    /// The key-encryption key could not be made.
    #[error(transparent)]
    Kek(#[from] KekError),
    /// It could not be had.
    #[error(transparent)]
    Source(#[from] kek::SourceError),
    /// The ring.
    #[error(transparent)]
    Ring(#[from] KeyRingError),
    /// A file or directory could not be used.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The spool's directory.
pub fn spool_dir(storage: &Storage) -> PathBuf {
    storage.data.join(SPOOL_DIR)
}

/// The directory of the waiting files.
pub fn waiting_dir(storage: &Storage) -> PathBuf {
    storage.data.join(WAITING_DIR)
}

/// The directory of the outbox files.
pub fn outbox_dir(storage: &Storage) -> PathBuf {
    storage.data.join(OUTBOX_DIR)
}

/// The directory of the audit log.
pub fn audit_dir(storage: &Storage) -> PathBuf {
    storage.data.join(AUDIT_DIR)
}

/// The directory of the counts of used parts.
pub fn usage_dir(storage: &Storage) -> PathBuf {
    storage.data.join(USAGE_DIR)
}

/// The directory of the journal of opt-outs and consents.
pub fn standing_dir(storage: &Storage) -> PathBuf {
    storage.data.join(STANDING_DIR)
}

/// The directory of the index of the same, which can be made anew from it.
pub fn register_dir(storage: &Storage) -> PathBuf {
    storage.data.join(REGISTER_DIR)
}

/// The directory of what accounts keep of finished messages.
pub fn history_dir(storage: &Storage) -> PathBuf {
    storage.data.join(HISTORY_DIR)
}

/// The directory of the indexes of the same, which can be made anew from it.
pub fn history_index_dir(storage: &Storage) -> PathBuf {
    history_dir(storage).join("index")
}

/// Makes key-encryption key, ring and data directory, each synced. Refuses if a ring or data exist.
pub fn init(storage: &Storage, now_ms: u64, rng: &mut impl CryptoRng) -> Result<(), OpenError> {
    let disk = RealDisk;
    let _lock = lock(&disk, storage)?;
    let found = Found::look(&disk, storage)?;
    if found.layout || found.data {
        return Err(OpenError::Exists {
            path: storage.data.clone(),
        });
    }
    if found.ring {
        return Err(OpenError::Exists {
            path: storage.key_ring.clone(),
        });
    }
    let mut ring = make(&disk, storage, &found, now_ms, rng)?;
    tiers::attach(&disk, storage, &mut ring, &[], now_ms, rng).map(drop)
}

/// Whether [`init`] has been here, or begun: there is nothing to make. Reads only, so that a gateway may run meanwhile.
///
/// # Errors
///
/// As [`open`]: data without its ring, a ring without its key, a layout that is not known; without `auto_init` also the file of
/// a key without a ring.
pub fn is_made(storage: &Storage) -> Result<bool, OpenError> {
    is_made_on(&RealDisk, storage)
}

fn is_made_on<D: Disk>(disk: &D, storage: &Storage) -> Result<bool, OpenError> {
    let found = Found::look(disk, storage)?;
    if !found.ring {
        if found.layout || found.data {
            return Err(ring_missing(storage));
        }
        found.kek_alone(storage)?;
        return Ok(false);
    }
    found.kek_there(storage)?;
    Ok(true)
}

/// Whether [`open`] would take what is there, or make it; reads only, so that a gateway may run meanwhile. What is in use is told
/// by the lock alone, which is not asked for.
///
/// # Errors
///
/// As [`open`].
pub fn look(storage: &Storage) -> Result<(), OpenError> {
    look_on(&RealDisk, storage)
}

fn look_on<D: Disk>(disk: &D, storage: &Storage) -> Result<(), OpenError> {
    let found = Found::look(disk, storage)?;
    if !found.ring {
        return found.may_make(storage);
    }
    found.kek_there(storage)?;
    let octets = kek::octets(disk, &storage.kek)?;
    let keks = Keks::from(Kek::new(&octets));
    KeyRing::look(disk, &storage.key_ring, &keks)?;
    tiers::look(disk, storage, &octets)?;
    found.data_there(storage, survey(disk, &storage.key_ring)?.spool_keys)
}

/// Locks the data directory and opens the ring; with `auto_init` makes both, if neither is there.
/// `others` are the second ones of rotations that were interrupted, of whichever rings: each takes the one that it knows.
///
/// Rings of tiers are attached when `before` has been asked, which is told whether the main ring was made, and what
/// attaching each of them would come to at most: so that nothing is made or changed by it that cannot be entered in the audit log
/// (AUD-6). It has the main ring alone, and nothing is attached where it fails. What it returns is returned, and is handed to `note`
/// with each step of that, as soon as it is done.
///
/// # Errors
///
/// [`OpenError`], and what `before` and `note` say.
pub fn open<R: CryptoRng, T, E: From<OpenError>>(
    storage: &Storage,
    others: Vec<Kek>,
    now_ms: u64,
    rng: &mut R,
    before: impl FnOnce(&mut KeyRing<RealDisk>, (bool, &[(Tier, Attached)]), &mut R) -> Result<T, E>,
    mut note: impl FnMut(&mut T, Tier, Step) -> Result<(), E>,
) -> Result<(Installation, T), E> {
    let lock = lock(&RealDisk, storage)?;
    let others: Vec<Arc<Kek>> = others.into_iter().map(Arc::new).collect();
    let (mut ring, made) = open_ring(&RealDisk, storage, &others, now_ms, rng)?;
    let keys = tiers::keys(&RealDisk, storage, &ring, rng)?;
    let coming = tiers::coming(&ring, &keys);
    let mut done = before(&mut ring, (made, &coming), rng)?;
    let tiers = tiers::attach_with(
        &RealDisk,
        &mut ring,
        (&keys, &others),
        now_ms,
        rng,
        |tier, step| note(&mut done, tier, step),
    )?;
    let installation = Installation {
        lock,
        ring,
        made,
        tiers,
    };
    Ok((installation, done))
}

/// The lock would make the directory, too, but not see to it that a power cut leaves it there.
fn lock(disk: &RealDisk, storage: &Storage) -> Result<DirLock, OpenError> {
    disk.create_dir_all(&storage.data)
        .map_err(failed(&storage.data))?;
    Ok(DirLock::take(&storage.data)?)
}

/// All of [`open`] but the lock, which is the kernel's and not the disk's, and tiers.
fn open_ring<D: Disk>(
    disk: &D,
    storage: &Storage,
    others: &[Arc<Kek>],
    now_ms: u64,
    rng: &mut impl CryptoRng,
) -> Result<(KeyRing<D>, bool), OpenError> {
    let found = Found::look(disk, storage)?;
    if !found.ring {
        found.may_make(storage)?;
        return Ok((make(disk, storage, &found, now_ms, rng)?, true));
    }
    found.kek_there(storage)?;
    let first = Keks::from(kek::read(disk, &storage.kek)?);
    let keks = others
        .iter()
        .fold(first, |keks, other| keks.with(Arc::clone(other)));
    let ring = KeyRing::open(disk, &storage.key_ring, keks)?;
    if !found.layout {
        found.data_there(storage, ring.live(Owner::Spool).len())?;
        write_layout(disk, storage)?;
    }
    Ok((ring, false))
}

/// The ring before the layout: what a power cut leaves in between the next [`open`] ends.
fn make<D: Disk>(
    disk: &D,
    storage: &Storage,
    found: &Found,
    now_ms: u64,
    rng: &mut impl CryptoRng,
) -> Result<KeyRing<D>, OpenError> {
    if let Some(file) = storage.kek.file().filter(|_| !found.kek) {
        Kek::create(disk, file, rng)?;
    }
    // Those of tiers, too, so that a start can go on from whatever a power cut leaves of this.
    let kek = tiers::prepare(disk, storage, rng)?;
    let ring = KeyRing::create(disk, &storage.key_ring, kek, now_ms, rng)?;
    write_layout(disk, storage)?;
    Ok(ring)
}

fn write_layout<D: Disk>(disk: &D, storage: &Storage) -> Result<(), OpenError> {
    let path = storage.data.join(LAYOUT_FILE);
    let unfinished = storage.data.join(format!("{LAYOUT_FILE}{UNFINISHED}"));
    let write = || {
        disk.create_dir_all(&storage.data)?;
        match disk.unlink(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = disk.create(&unfinished, 0o600, 0)?;
        file.write_at(&[IoSlice::new(LAYOUT)], 0)?;
        file.sync_all()?;
        disk.rename(&unfinished, &path)?;
        disk.sync_dir(&storage.data)
    };
    write().map_err(failed(&path))
}

/// What is there. Nothing is changed by looking.
#[derive(Debug)]
struct Found {
    /// The key-encryption key's file is there; one that comes from elsewhere passes for that until it is asked for.
    kek: bool,
    ring: bool,
    /// The data directory is one of ours.
    layout: bool,
    /// Something lies in it.
    data: bool,
}

fn ring_missing(storage: &Storage) -> OpenError {
    OpenError::RingMissing {
        data: storage.data.clone(),
        ring: storage.key_ring.clone(),
    }
}

impl Found {
    /// Refuses to make a ring beside data, without being told to, or where only its key is left.
    fn may_make(&self, storage: &Storage) -> Result<(), OpenError> {
        if self.layout || self.data {
            return Err(ring_missing(storage));
        }
        self.kek_alone(storage)?;
        if !storage.auto_init {
            return Err(OpenError::NotMade);
        }
        Ok(())
    }

    /// Refuses a key's file without a ring: what lies below a mount point is empty where its volume is not mounted. With
    /// `auto_init` an operator has said that such a key may be the first.
    fn kek_alone(&self, storage: &Storage) -> Result<(), OpenError> {
        match storage.kek.file() {
            Some(kek) if self.kek && !storage.auto_init => Err(OpenError::RingAbsent {
                kek: kek.to_path_buf(),
                ring: storage.key_ring.clone(),
            }),
            _ => Ok(()),
        }
    }

    /// Refuses so many keys of a spool where there is none.
    fn data_there(&self, storage: &Storage, keys: usize) -> Result<(), OpenError> {
        if !self.layout && !self.data && keys > 0 {
            return Err(OpenError::DataGone {
                data: storage.data.clone(),
                ring: storage.key_ring.clone(),
                keys,
            });
        }
        Ok(())
    }

    /// Refuses a ring whose key-encryption key is gone.
    fn kek_there(&self, storage: &Storage) -> Result<(), OpenError> {
        match (self.kek, storage.kek.file()) {
            (false, Some(kek)) => Err(OpenError::KekMissing {
                ring: storage.key_ring.clone(),
                kek: kek.to_path_buf(),
            }),
            _ => Ok(()),
        }
    }

    fn look<D: Disk>(disk: &D, storage: &Storage) -> Result<Self, OpenError> {
        use tidegate_store::disk::Access;

        let kek = match storage
            .kek
            .file()
            .map(|file| (file, disk.open(file, Access::Read)))
        {
            None | Some((_, Ok(_))) => true,
            Some((_, Err(error))) if error.kind() == io::ErrorKind::NotFound => false,
            Some((file, Err(source))) => return Err(failed(file)(source)),
        };
        let path = storage.data.join(LAYOUT_FILE);
        let layout = match disk.open(&path, Access::Read) {
            Ok(file) => {
                let mut octets = [0; LAYOUT.len() + 1];
                let len = file.read_at(&mut octets, 0).map_err(failed(&path))?;
                if octets[..len] != *LAYOUT {
                    return Err(OpenError::Layout { path });
                }
                true
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(source) => return Err(failed(&path)(source)),
        };
        let data = any_file(disk, &storage.data, &[LOCK_FILE, LAYOUT_FILE])?
            || any_file(disk, &spool_dir(storage), &[])?
            || any_file(disk, &waiting_dir(storage), &[])?
            || any_file(disk, &outbox_dir(storage), &[])?
            || any_file(disk, &standing_dir(storage), &[])?
            || any_file(disk, &history_dir(storage), &[])?
            || any_file(disk, &audit_dir(storage), &[])?;
        let mut ring = any_file(disk, &storage.key_ring, &[])?;
        for tier in Tier::ALL {
            ring |= tiers::has_files(disk, storage, tier)?;
        }
        Ok(Self {
            kek,
            ring,
            layout,
            data,
        })
    }
}

/// Whether a directory holds a file, but for those `except` and what was never finished.
fn any_file<D: Disk>(disk: &D, dir: &Path, except: &[&str]) -> Result<bool, OpenError> {
    let entries = disk.list(dir).map_err(failed(dir))?;
    Ok(entries
        .iter()
        .any(|entry| !except.contains(&entry.name.as_str()) && !entry.name.ends_with(UNFINISHED)))
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    let path = path.to_path_buf();
    move |source| OpenError::Io { path, source }
}

#[cfg(test)]
mod tests;
