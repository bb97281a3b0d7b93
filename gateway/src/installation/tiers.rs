//! Rings of tiers beside the main one (ENC-5), each under a key-encryption key of its own.
//!
//! | the tier's key-encryption key | its ring | |
//! |---|---|---|
//! | not configured | never made | its keys lie in the main ring |
//! | not configured | made | refused: [`OpenError::TierWithoutKek`] |
//! | there | made | opened |
//! | there | never made | made, and the main ring's keys of its owners are taken over |
//! | there | made, and gone | refused by the ring: `TierMissing` |
//! | missing | made | refused: [`OpenError::KekMissing`] |
//! | missing | never made | made with `auto_init`, by [`init`](super::init) or by [`make_missing`], else refused: [`OpenError::TierKekAbsent`] |
//!
//! That it was made is known by its files, and by a mark in the main ring (ENC-6).

use std::sync::Arc;

use rand_chacha::ChaCha20Rng;
use rand_core::CryptoRng;
use tidegate_config::{KekSource, Storage};
use tidegate_store::audit::{Actor, Entry, Field, Kind, Value, Word};
use tidegate_store::disk::{Access, Disk, RealDisk};
use tidegate_store::keyring::{Attached, Kek, Keks, KeyRing, KeyRingError, Step, Tier, survey};
use tidegate_store::lock::LockError;
use zeroize::Zeroizing;

use super::{Found, OpenError, any_file, failed, lock};
use crate::kek;

/// Where the key-encryption key of a tier is, if it has one of its own.
pub const fn source(storage: &Storage, tier: Tier) -> Option<&KekSource> {
    match tier {
        Tier::Legal => storage.legal_kek.as_ref(),
        Tier::Subrec => storage.subrec_kek.as_ref(),
    }
}

/// What the octets of key-encryption keys are compared by, to be wiped then.
pub(super) type Octets = Zeroizing<[u8; 32]>;

/// Has the key-encryption keys of tiers from their sources, each asked once. Files that are missing are made where that may be.
/// `is_mains` says whether octets are those of the main ring's.
///
/// # Errors
///
/// One cannot be had; or two are the same: then nothing is kept apart.
fn have<D: Disk>(
    disk: &D,
    storage: &Storage,
    is_mains: impl Fn(&[u8; 32]) -> bool,
    was_made: impl Fn(Tier) -> Result<bool, OpenError>,
    mut rng: Option<&mut impl CryptoRng>,
) -> Result<Vec<(Tier, Octets)>, OpenError> {
    let mut found: Vec<(Tier, Octets)> = Vec::new();
    for tier in Tier::ALL {
        let Some(source) = source(storage, tier) else {
            continue;
        };
        if let Some(file) = source.file()
            && !is_there(disk, source)?
        {
            let ring = tier.dir(&storage.key_ring);
            let kek = file.to_path_buf();
            if was_made(tier)? {
                return Err(OpenError::KekMissing { ring, kek });
            }
            match &mut rng {
                Some(rng) => drop(Kek::create(disk, file, *rng)?),
                None => {
                    return Err(OpenError::TierKekAbsent {
                        tier: tier.word(),
                        kek,
                    });
                }
            }
        }
        let octets = kek::octets(disk, source).map_err(|source| OpenError::TierSource {
            tier: tier.word(),
            source,
        })?;
        let mut others = found.iter();
        let two = match others.find(|(_, other)| *other == octets) {
            _ if is_mains(&octets) => Some("the main ring"),
            Some((other, _)) => Some(other.word()),
            None => None,
        };
        if let Some(two) = two {
            return Err(OpenError::SameKek {
                one: tier.word(),
                two,
            });
        }
        found.push((tier, octets));
    }
    Ok(found)
}

/// Before anything is made: the key-encryption key of the main ring, and the files of tiers' where they are missing.
pub(super) fn prepare<D: Disk>(
    disk: &D,
    storage: &Storage,
    rng: &mut impl CryptoRng,
) -> Result<Kek, OpenError> {
    let main = kek::octets(disk, &storage.kek)?;
    have(disk, storage, |octets| *octets == *main, |_| Ok(false), Some(rng))?;
    Ok(Kek::new(&main))
}

/// Attaches the rings of all tiers that have a key-encryption key, where nothing is entered, and says what that came to.
pub(super) fn attach<D: Disk>(
    disk: &D,
    storage: &Storage,
    ring: &mut KeyRing<D>,
    others: &[Arc<Kek>],
    now_ms: u64,
    rng: &mut impl CryptoRng,
) -> Result<Vec<(Tier, Attached)>, OpenError> {
    let keys = keys(disk, storage, ring, rng)?;
    attach_with(disk, ring, (&keys, others), now_ms, rng, |_, _| Ok(()))
}

/// The key-encryption keys of tiers that have one, fit to be attached beside the main ring.
pub(super) fn keys<D: Disk>(
    disk: &D,
    storage: &Storage,
    ring: &KeyRing<D>,
    rng: &mut impl CryptoRng,
) -> Result<Vec<(Tier, Octets)>, OpenError> {
    let was_made = |tier: Tier| Ok(ring.has_mark(tier) || has_files(disk, storage, tier)?);
    none_without_kek(storage, was_made)?;
    let is_mains = |octets: &[u8; 32]| ring.is_wrapped_under(&Kek::new(octets));
    have(
        disk,
        storage,
        is_mains,
        was_made,
        storage.auto_init.then_some(rng),
    )
}

/// What [`attach_with`] would come to at most.
pub(super) fn coming<D: Disk>(ring: &KeyRing<D>, keys: &[(Tier, Octets)]) -> Vec<(Tier, Attached)> {
    let coming = keys.iter().map(|(tier, _)| (*tier, ring.to_attach(*tier)));
    coming.collect()
}

/// What the audit log is told of a step when it is done, and before anything rests on it (AUD-1): a ring that is made is not marked
/// as made yet, and keys that are taken over still lie in the main ring, too.
///
/// So no cut loses an entry. One that comes between the entry's sync and the mark, or the overwriting, has the next start enter
/// the step once more: a second "made" of an empty ring, and a "taken over" whose count is of the keys that are left in the main ring.
/// Who reads both learns of no key that is not where they say.
pub(crate) fn entry(tier: Tier, step: Step) -> Entry {
    let of_tier = |what: &str| {
        Entry::new(Kind::KeyEvent, Actor::System)
            .with(Field::Reason, Value::Word(Word::of_name(what)))
            .with(Field::Scope, Value::Word(Word::of_name(tier.word())))
    };
    match step {
        Step::Made => of_tier("key ring made"),
        Step::TakenOver(count) => {
            of_tier("keys taken over from the main key ring").with(Field::Count, Value::Count(count as u64))
        }
    }
}

/// Why [`attach_with`] stopped.
enum Stopped<E> {
    Ring(KeyRingError),
    Note(E),
}

impl<E> From<KeyRingError> for Stopped<E> {
    fn from(error: KeyRingError) -> Self {
        Self::Ring(error)
    }
}

/// Attaches the rings of these; `note` is told of each step as [`KeyRing::attach_noting`] does it.
pub(super) fn attach_with<D: Disk, E: From<OpenError>>(
    disk: &D,
    ring: &mut KeyRing<D>,
    (keys, others): (&[(Tier, Octets)], &[Arc<Kek>]),
    now_ms: u64,
    rng: &mut impl CryptoRng,
    mut note: impl FnMut(Tier, Step) -> Result<(), E>,
) -> Result<Vec<(Tier, Attached)>, E> {
    let mut attached = Vec::new();
    for (tier, octets) in keys {
        let first = Keks::from(Kek::new(octets));
        let keks = others
            .iter()
            .fold(first, |keks, other| keks.with(Arc::clone(other)));
        let came = ring.attach_noting(disk, *tier, keks, now_ms, rng, |step| {
            note(*tier, step).map_err(Stopped::Note)
        });
        let came = came.map_err(|stopped| match stopped {
            Stopped::Ring(error) => E::from(error.into()),
            Stopped::Note(error) => error,
        })?;
        if came.made {
            tracing::info!(tier = tier.word(), "the key ring of a tier is made");
        }
        if came.taken_over > 0 {
            tracing::warn!(
                tier = tier.word(),
                keys = came.taken_over,
                "keys of a tier are taken over from the main key ring: older copies of it hold them until its key-encryption \
                 key is rotated (tidegate key rotate-kek)"
            );
        }
        attached.push((*tier, came));
    }
    Ok(attached)
}

/// What [`attach`] would say, with nothing made or changed; `main` is the main ring's key-encryption key.
pub(super) fn look<D: Disk>(disk: &D, storage: &Storage, main: &[u8; 32]) -> Result<(), OpenError> {
    let marked = survey(disk, &storage.key_ring)?.tiers;
    let was_made = |tier: Tier| Ok(marked.contains(&tier) || has_files(disk, storage, tier)?);
    none_without_kek(storage, was_made)?;
    let mut plain = storage.clone();
    if storage.auto_init {
        // A start makes what is missing of those that were never used.
        for (tier, kek) in [
            (Tier::Legal, &mut plain.legal_kek),
            (Tier::Subrec, &mut plain.subrec_kek),
        ] {
            let is_absent = match kek {
                Some(source) => !is_there(disk, source)?,
                None => false,
            };
            if is_absent && !was_made(tier)? {
                *kek = None;
            }
        }
    }
    let is_mains = |octets: &[u8; 32]| octets == main;
    let keys = have(disk, &plain, is_mains, was_made, None::<&mut ChaCha20Rng>)?;
    for (tier, octets) in &keys {
        let dir = tier.dir(&storage.key_ring);
        if has_files(disk, storage, *tier)? {
            KeyRing::look_at_tier(disk, &storage.key_ring, *tier, &Keks::from(Kek::new(octets)))?;
        } else if marked.contains(tier) {
            return Err(KeyRingError::TierMissing { dir }.into());
        }
    }
    Ok(())
}

/// Makes the files of key-encryption keys of tiers that were never used, and says of which; the next start makes their rings
/// and takes the keys over. A gateway may run meanwhile: it has read its configuration.
///
/// # Errors
///
/// Nothing is there that they would be made beside, or a tier's ring is there and its key-encryption key is not.
pub fn make_missing(storage: &Storage, rng: &mut impl CryptoRng) -> Result<Vec<Tier>, OpenError> {
    let disk = RealDisk;
    let found = Found::look(&disk, storage)?;
    if !found.ring {
        // What the first start makes, it makes with these.
        return found.may_make(storage).map(|()| Vec::new());
    }
    // A gateway that starts just now would make them, too. Below a volume that is not mounted nothing is written, not even
    // what locks it.
    let _lock = match found.layout.then(|| lock(&disk, storage)) {
        Some(Err(OpenError::Lock(LockError::Held { .. }))) if storage.auto_init => return Ok(Vec::new()),
        None | Some(Err(OpenError::Lock(LockError::Held { .. }))) => None,
        Some(taken) => Some(taken?),
    };
    let marked = survey(&disk, &storage.key_ring)?.tiers;
    let mut made = Vec::new();
    for tier in Tier::ALL {
        let Some(source) = source(storage, tier) else {
            continue;
        };
        let Some(file) = source.file() else { continue };
        if is_there(&disk, source)? {
            continue;
        }
        if marked.contains(&tier) || has_files(&disk, storage, tier)? {
            return Err(OpenError::KekMissing {
                ring: tier.dir(&storage.key_ring),
                kek: file.to_path_buf(),
            });
        }
        Kek::create(&disk, file, rng)?;
        made.push(tier);
    }
    Ok(made)
}

/// Refuses a tier's ring that nothing opens: with its keys in no ring, all that they opened would look lost.
fn none_without_kek(
    storage: &Storage,
    was_made: impl Fn(Tier) -> Result<bool, OpenError>,
) -> Result<(), OpenError> {
    for tier in Tier::ALL {
        if source(storage, tier).is_none() && was_made(tier)? {
            return Err(OpenError::TierWithoutKek {
                tier: tier.word(),
                ring: tier.dir(&storage.key_ring),
            });
        }
    }
    Ok(())
}

pub(super) fn has_files<D: Disk>(disk: &D, storage: &Storage, tier: Tier) -> Result<bool, OpenError> {
    any_file(disk, &tier.dir(&storage.key_ring), &[])
}

/// Whether the file of a key-encryption key is there; one that comes from elsewhere passes for that.
fn is_there<D: Disk>(disk: &D, source: &KekSource) -> Result<bool, OpenError> {
    let Some(file) = source.file() else {
        return Ok(true);
    };
    match disk.open(file, Access::Read) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(failed(file)(error)),
    }
}
