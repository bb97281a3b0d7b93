//! What the ring's two files look like from outside: without a key-encryption key, and without changing them.

use std::path::Path;

use super::error::KeyRingError;
use super::files::Found;
use super::owner::{Owner, fingerprint};
use super::rotation::{KekState, Rotated};
use super::slot::{Content, KekMark};
use super::tier::Tier;
use crate::disk::Disk;

/// See the [module](self).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// Which of `ring.a` and `ring.b` are there.
    pub there: [bool; 2],
    /// Places, of header and slots, at which the two copies differ; 0 where one is missing. Beside whoever has the ring open it
    /// may be one for a moment: a change is written in the first copy, then in the second.
    pub differing: u64,
    /// The form's number, 1 or 2.
    pub version: u32,
    /// Which key-encryption keys there are.
    pub kek: KekState,
    /// Keys that live.
    pub keys: u64,
    /// How many of them are the spool's.
    pub spool_keys: usize,
    /// Tiers whose rings were made beside it.
    pub tiers: Vec<Tier>,
    /// How many keys it holds that are a tier's owners', in the order of [`Tier::ALL`].
    pub of_tiers: [u64; Tier::ALL.len()],
    /// When the newest of its keys was made, in unix milliseconds.
    pub newest_ms: Option<u64>,
}

/// Looks at the ring in `dir`.
///
/// # Errors
///
/// No file is there, or none that can be read whole: what a start would say ([`KeyRingError`]), but for what only its
/// key-encryption key can tell.
pub fn survey<D: Disk>(disk: &D, dir: &Path) -> Result<Survey, KeyRingError> {
    let found = Found::open(disk, dir)?;
    let (mut keys, mut spool_keys, mut newest_ms) = (0, 0, None);
    let (mut tiers, mut of_tiers) = (Vec::new(), [0; Tier::ALL.len()]);
    found.slots(dir, |_, slot| {
        if let Content::Live(wrapped) = &slot.content {
            keys += 1;
            spool_keys += usize::from(wrapped.owner == Owner::Spool.tag());
            tiers.extend(Tier::of_mark(&wrapped.owner));
            for (count, tier) in of_tiers.iter_mut().zip(Tier::ALL) {
                *count += u64::from(Tier::of_kind(wrapped.owner.kind) == Some(tier));
            }
            newest_ms = newest_ms.max(Some(wrapped.made_ms));
        }
        Ok(())
    })?;
    let header = &found.header;
    let KekMark {
        number,
        check,
        since_ms,
    } = header.kek;
    let next = header.next_kek.as_ref();
    Ok(Survey {
        there: found.there(),
        differing: found.differing(dir)?,
        version: header.form.version(),
        kek: KekState {
            number,
            fingerprint: fingerprint(&check),
            since_ms: (since_ms > 0).then_some(since_ms),
            next: next.map(|next| (next.number, fingerprint(&next.check))),
            rotated: Rotated::default(),
            slots: header.slots as usize,
        },
        keys,
        spool_keys,
        tiers,
        of_tiers,
        newest_ms,
    })
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;

    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng as _;

    use super::*;
    use crate::disk::{Access, DiskFile as _, FaultyDisk};
    use crate::keyring::{Kek, KeyRing};

    #[test]
    fn a_copy_that_is_missing_or_differs_is_told_and_nothing_is_changed() {
        let (disk, dir) = (FaultyDisk::new(), Path::new("keys"));
        assert!(matches!(survey(&disk, dir), Err(KeyRingError::Missing { .. })));
        let mut rng = ChaCha20Rng::seed_from_u64(7);
        let mut ring = KeyRing::create(&disk, dir, Kek::new(&[7; 32]), 1_000, &mut rng).unwrap();
        ring.make(Owner::Spool, 2_000, &mut rng).unwrap();
        let sound = survey(&disk, dir).unwrap();
        assert_eq!((sound.there, sound.differing, sound.version), ([true; 2], 0, 2));
        assert_eq!(
            (sound.keys, sound.spool_keys, sound.newest_ms),
            (2, 1, Some(2_000))
        );
        assert_eq!((sound.kek.number, sound.kek.since_ms), (1, Some(1_000)));

        let path = dir.join("ring.b");
        let before = disk.octets(&path).unwrap();
        let file = disk.open(&path, Access::ReadWrite).unwrap();
        file.write_at(&[IoSlice::new(b"!")], 512 + 64).unwrap();
        assert_eq!(survey(&disk, dir).unwrap().differing, 1);
        let bent = disk.octets(&path).unwrap();
        assert_ne!(bent, before);
        survey(&disk, dir).unwrap();
        assert_eq!(disk.octets(&path).unwrap(), bent, "it only looks");

        disk.unlink(&path).unwrap();
        let one = survey(&disk, dir).unwrap();
        assert_eq!((one.there, one.differing, one.keys), ([true, false], 0, 2));
    }
}
