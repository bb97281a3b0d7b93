//! The hold vault (LEG-2): what is due and held, sealed under the key of its hold, apart from all that is read otherwise.
//!
//! A *volume* holds what one hold keeps of one lot, `vault/<hold>-<class>-<key of the lot>.sealed`: blocks like those of
//! history. It is written beside its place and put there whole, so that a copy that was cut off is made anew and nothing
//! stands in it twice. With the key of its hold it is gone, and so are all others of that hold.

use std::collections::BTreeSet;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::block::{FIXED_LEN, Header};
use super::rekey::{Record, each_record};
use super::{History, Kept, Looked, OrderError};
use crate::disk::{Access, Disk, DiskFile};
use crate::keyring::{Destroyed, KeyRing, Owner};
use crate::seal::{Aad, KeyId, Purpose, SEALED_OVERHEAD, SealKey};

const DIR: &str = "vault";
const SUFFIX: &str = ".sealed";
const UNFINISHED: &str = ".new";
/// Octets of a volume that are read at a time, and one block more.
const SLICE: u64 = 1 << 20;

/// One that is being written.
pub(super) struct Volume<D: Disk> {
    disk: D,
    path: PathBuf,
    file: D::File,
    len: u64,
    seal: Arc<SealKey>,
}

impl<D: Disk> Volume<D> {
    pub(super) fn seal(&self) -> &SealKey {
        &self.seal
    }

    pub(super) fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        self.file.write_at(&[IoSlice::new(octets)], self.len)?;
        self.len += octets.len() as u64;
        Ok(())
    }

    /// It comes to nothing. What cannot be removed now is replaced with the next try.
    pub(super) fn discard(self) {
        let Self { disk, path, file, .. } = self;
        drop(file);
        let _ = disk.unlink(&unfinished(&path));
    }

    fn keep(self) -> io::Result<()> {
        self.file.sync_all()?;
        self.disk.rename(&unfinished(&self.path), &self.path)
    }
}

fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(UNFINISHED);
    name.into()
}

/// Where to go on in what a hold keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VaultCursor {
    name: String,
    offset: u64,
}

/// What is wanted of the vault.
#[derive(Clone, Debug)]
pub enum VaultOrder {
    /// Reads some of what a hold keeps; begins with the default.
    Read(u32, VaultCursor, Purpose),
    /// Destroys the keys of all holds but these, and removes what they kept: it is gone with the keys. And the keys of all orders to
    /// erase but those, and of all restrictions but those.
    Keep {
        /// Holds that hold.
        holds: Vec<u32>,
        /// Orders that say something.
        erasures: Vec<u32>,
        /// Restrictions that are not lifted.
        restrictions: Vec<u32>,
    },
    /// Makes a key for an owner, in unix milliseconds, and seals under it whom a matter is about.
    Seal(Owner, Zeroizing<Vec<u8>>, u64),
    /// Seals something more under the key that an owner has.
    SealMore(Owner, Zeroizing<Vec<u8>>),
    /// Destroys the keys of an owner.
    End(Owner),
    /// Names what there is.
    Names,
}

/// What became of it.
#[derive(Debug)]
pub enum VaultReport {
    /// What was read, and where to go on; `None` at the end.
    Read(Looked, Option<VaultCursor>),
    /// Keys that were there and are destroyed.
    Kept(Vec<Destroyed>),
    /// What is kept in a register of whom a matter is about: see [`whom`].
    Sealed(Vec<u8>),
    /// By hold, the class and the key of the lot of each volume.
    Names(Vec<(u32, String)>),
}

/// What whom a matter is about is bound to.
const fn aad() -> Aad {
    Aad {
        account: None,
        // Blocks have 0xa0 and their class.
        kind: 0xb0,
        version: 1,
        id: 0,
        leg: 0,
    }
}

fn sealed(key: &SealKey, text: &[u8], rng: &mut impl CryptoRng) -> io::Result<Vec<u8>> {
    let mut sealed = Vec::with_capacity(text.len() + SEALED_OVERHEAD);
    key.seal(&aad(), rng, &mut sealed, |out| out.extend_from_slice(text))
        .map_err(io::Error::other)?;
    Ok(sealed)
}

/// Whom a matter is about, as [`VaultOrder::Seal`] has sealed it; `None` without its key, and where it does not open.
pub fn whom<D: Disk>(ring: &KeyRing<D>, owner: Owner, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut octets = sealed.to_vec();
    let opened = ring
        .newest(owner)?
        .open(&aad(), &mut octets, Purpose::Sweep)
        .ok()?;
    Some(Zeroizing::new(opened.to_vec()))
}

impl<D: Disk> History<D> {
    fn vault(&self) -> PathBuf {
        self.files.dir().join(DIR)
    }

    /// Begins a volume.
    pub(super) fn volume(
        &self,
        hold: u32,
        class: Kept,
        lot: KeyId,
        ring: &KeyRing<D>,
    ) -> Result<Volume<D>, OrderError> {
        let seal = ring.newest(Owner::Hold(hold)).ok_or(OrderError::NoHold(hold))?;
        let (disk, dir) = (self.files.disk().clone(), self.vault());
        disk.create_dir_all(&dir)?;
        let path = dir.join(format!("{hold}-{}-{lot}{SUFFIX}", class.word()));
        match disk.unlink(&unfinished(&path)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            Ok(()) | Err(_) => {}
        }
        let file = disk.create(&unfinished(&path), 0o600, 0)?;
        Ok(Volume {
            disk,
            path,
            file,
            len: 0,
            seal,
        })
    }

    /// Puts volumes in their places, before anything that they were copied from goes.
    pub(super) fn keep_volumes(&mut self, volumes: impl Iterator<Item = Volume<D>>) -> io::Result<()> {
        let volumes: Vec<Volume<D>> = volumes.collect();
        if volumes.is_empty() {
            return Ok(());
        }
        let kept = volumes.into_iter().try_for_each(Volume::keep);
        let kept = kept.and_then(|()| self.files.disk().sync_dir(&self.vault()));
        // One may have taken the place of another, which a pass that came to nothing has left.
        self.count_vault();
        kept
    }

    /// Counts what the vault's volumes take; where they cannot be listed now, it stays with what was counted before.
    fn count_vault(&mut self) {
        match octets(self.files.disk(), self.files.dir()) {
            Ok(octets) => self.vault_octets = octets,
            Err(error) => tracing::warn!(%error, "the volumes of holds cannot be counted now"),
        }
    }

    /// See [`VaultOrder`].
    pub(super) fn vault_order(
        &mut self,
        order: VaultOrder,
        ring: &mut KeyRing<D>,
        rng: &mut impl CryptoRng,
    ) -> Result<VaultReport, OrderError> {
        Ok(match order {
            VaultOrder::Read(hold, cursor, purpose) => {
                let (looked, next) = self.read_vault(hold, &cursor, ring, purpose)?;
                VaultReport::Read(looked, next)
            }
            VaultOrder::Keep {
                holds,
                erasures,
                restrictions,
            } => {
                let restrictions: BTreeSet<u32> = restrictions.into_iter().collect();
                ring.keep_orders(&erasures.into_iter().collect(), &restrictions)?;
                VaultReport::Kept(self.keep_holds(&holds, ring)?)
            }
            VaultOrder::Seal(owner, text, now_ms) => {
                let key = ring.make(owner, now_ms, rng)?;
                VaultReport::Sealed(sealed(&key, &text, rng)?)
            }
            VaultOrder::SealMore(owner, text) => {
                let key = ring
                    .newest(owner)
                    .ok_or_else(|| io::Error::other("its key is gone"))?;
                VaultReport::Sealed(sealed(&key, &text, rng)?)
            }
            VaultOrder::End(owner) => VaultReport::Kept(ring.destroy_of(owner)?),
            VaultOrder::Names => {
                let named = self.volumes()?;
                let named = named.iter().filter_map(|name| {
                    let (hold, lot) = name.strip_suffix(SUFFIX)?.split_once('-')?;
                    Some((hold.parse().ok()?, lot.to_owned()))
                });
                VaultReport::Names(named.collect())
            }
        })
    }

    /// Names of all volumes, in order.
    fn volumes(&self) -> io::Result<Vec<String>> {
        let entries = match self.files.disk().list(&self.vault()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut names: Vec<String> = entries.into_iter().map(|entry| entry.name).collect();
        names.sort_unstable();
        Ok(names)
    }

    fn read_vault(
        &self,
        hold: u32,
        cursor: &VaultCursor,
        ring: &KeyRing<D>,
        purpose: Purpose,
    ) -> Result<(Looked, Option<VaultCursor>), OrderError> {
        let mut looked = Looked::default();
        let Some(seal) = ring.newest(Owner::Hold(hold)) else {
            return Ok((looked, None));
        };
        let volumes = self.volumes()?;
        let of_hold = |name: &&String| hold_of(name) == Some(hold) && name.ends_with(SUFFIX);
        let mut names = volumes
            .iter()
            .filter(of_hold)
            .skip_while(|name| **name < cursor.name);
        let Some(name) = names.next() else {
            return Ok((looked, None));
        };
        let file = self.files.disk().open(&self.vault().join(name), Access::Read)?;
        let (end, mut at) = (file.len()?, 0);
        if *name == cursor.name {
            at = cursor.offset;
        }
        let stop = at.saturating_add(SLICE);
        while at < end && at < stop {
            let Some((header, mut sealed)) = block_at(&file, at, end)? else {
                // A volume is written once and whole: what is wrong with it is damage, and said.
                looked.unreadable += 1;
                at = end;
                break;
            };
            let opened = header.open(&mut sealed, &seal, purpose, |mut reading| {
                each_record(&mut reading, header.class, |record| match record {
                    Record::Meta(meta) => looked.metas.push((header.account, meta.clone())),
                    Record::Text(text) => looked.texts.push((header.account, text.clone())),
                });
            });
            looked.unreadable += u64::from(!matches!(opened, Ok(true)));
            at += header.block_len() as u64;
        }
        let next = if at < end {
            Some(VaultCursor {
                name: name.clone(),
                offset: at,
            })
        } else {
            names.next().map(|name| VaultCursor {
                name: name.clone(),
                offset: 0,
            })
        };
        Ok((looked, next))
    }

    /// The keys first: behind them what is left of the files is noise, and goes now or with the next call.
    fn keep_holds(&mut self, holds: &[u32], ring: &mut KeyRing<D>) -> Result<Vec<Destroyed>, OrderError> {
        let destroyed = ring.keep_holds(holds)?;
        // Nothing that fails from here on takes the word of what is destroyed along: it is told, and certified, once.
        if let Err(error) = self.remove_all_but(holds) {
            tracing::warn!(%error, "volumes without a key stay until the vault is looked at again");
        }
        self.count_vault();
        Ok(destroyed)
    }

    fn remove_all_but(&self, holds: &[u32]) -> io::Result<()> {
        let mut any = false;
        for name in self.volumes()? {
            if hold_of(&name).is_none_or(|hold| !holds.contains(&hold)) {
                self.files.disk().unlink(&self.vault().join(name))?;
                any = true;
            }
        }
        match any {
            true => self.files.disk().sync_dir(&self.vault()),
            false => Ok(()),
        }
    }
}

/// Octets of all volumes of a history. Those that are being written count once they are in their places.
pub(super) fn octets<D: Disk>(disk: &D, dir: &Path) -> io::Result<u64> {
    let entries = match disk.list(&dir.join(DIR)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries?,
    };
    let volumes = entries.iter().filter(|entry| !entry.name.ends_with(UNFINISHED));
    Ok(volumes.map(|entry| entry.len).sum())
}

fn hold_of(name: &str) -> Option<u32> {
    name.split_once('-')?.0.parse().ok()
}

/// The block at a place, with what is sealed of it.
fn block_at(file: &impl DiskFile, at: u64, end: u64) -> io::Result<Option<(Header, Vec<u8>)>> {
    let mut octets = vec![0; FIXED_LEN];
    if file.read_at(&mut octets, at)? < FIXED_LEN {
        return Ok(None);
    }
    let Some(len) = Header::len_of(&octets) else {
        return Ok(None);
    };
    octets.resize(len, 0);
    if file.read_at(&mut octets, at)? < len {
        return Ok(None);
    }
    let header = Header::read(&octets).filter(|header| at + header.block_len() as u64 <= end);
    let Some(header) = header else {
        return Ok(None);
    };
    let mut sealed = vec![0; header.sealed_len as usize];
    let read = file.read_at(&mut sealed, at + len as u64)?;
    Ok((read == sealed.len()).then_some((header, sealed)))
}
