//! The ring's two files: which of them is right, slot by slot, and how both are changed.
//!
//! A ring may hold millions of keys, so its files are gone through a stretch at a time and never read whole.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};

use super::error::KeyRingError;
use super::kek::unfinished;
use super::slot::{Form, HEADER_LEN, Header, HeaderFault, Slot};
use crate::disk::{Access, Disk, DiskFile};
use crate::seal::KeyId;

/// The names of the two copies.
pub(super) const NAMES: [&str; 2] = ["ring.a", "ring.b"];
/// Slots that are read, or written in one call, at a time: half a megabyte.
pub(super) const STRETCH: usize = 4096;
/// Names that an error tells at most.
const NAMED_MAX: usize = 16;

/// The copies that are there, open for reading, and what they say together.
pub(super) struct Found<F> {
    files: [Option<F>; 2],
    pub(super) header: Header,
}

fn open_one<D: Disk>(disk: &D, path: &Path) -> Result<Option<D::File>, KeyRingError> {
    match disk.open(path, Access::Read) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(KeyRingError::io("read", path)(error)),
    }
}

/// Whether a file of a ring is there.
pub(super) fn any<D: Disk>(disk: &D, dir: &Path) -> Result<bool, KeyRingError> {
    let mut any = false;
    for name in NAMES {
        any |= open_one(disk, &dir.join(name))?.is_some();
    }
    Ok(any)
}

impl<F: DiskFile> Found<F> {
    /// Opens both copies, and takes the header that is whole and newer.
    pub(super) fn open<D: Disk<File = F>>(disk: &D, dir: &Path) -> Result<Self, KeyRingError> {
        let mut files = [None, None];
        for (file, name) in files.iter_mut().zip(NAMES) {
            *file = open_one(disk, &dir.join(name))?;
        }
        if files.iter().all(Option::is_none) {
            return Err(KeyRingError::Missing {
                dir: dir.to_path_buf(),
            });
        }
        let mut header: Option<Header> = None;
        for (file, name) in files.iter().zip(NAMES) {
            let Some(file) = file else { continue };
            let mut octets = [0; HEADER_LEN];
            let len = file
                .read_at(&mut octets, 0)
                .map_err(KeyRingError::io("read", &dir.join(name)))?;
            let octets = octets.get(..len).unwrap_or_default();
            match (Header::decode(octets), &header) {
                (Err(HeaderFault::Damaged), _) => {}
                (Err(HeaderFault::Version(version)), _) => {
                    let dir = dir.to_path_buf();
                    return Err(KeyRingError::Version { dir, version });
                }
                (Ok(found), Some(other)) if found.ring != other.ring || found.form != other.form => {
                    return Err(KeyRingError::Mixed {
                        dir: dir.to_path_buf(),
                    });
                }
                (Ok(found), Some(other)) if found.generation <= other.generation => {}
                (Ok(found), _) => header = Some(found),
            }
        }
        let header = header
            .filter(|header| header.slots as usize <= super::SLOTS_MAX)
            .ok_or_else(|| KeyRingError::Damaged {
                dir: dir.to_path_buf(),
            })?;
        Ok(Self { files, header })
    }

    /// Which of the two files are there.
    pub(super) fn there(&self) -> [bool; 2] {
        self.files.each_ref().map(Option::is_some)
    }

    /// At how many places, of header and slots, the two files differ, whichever is right; none where one is missing.
    pub(super) fn differing(&self, dir: &Path) -> Result<u64, KeyRingError> {
        let [Some(one), Some(two)] = &self.files else {
            return Ok(0);
        };
        let head = |file: &F, name: &str| {
            let mut octets = [0; HEADER_LEN];
            let read = file.read_at(&mut octets, 0);
            read.map_err(KeyRingError::io("read", &dir.join(name)))
                .map(|len| (len, octets))
        };
        let mut count = u64::from(head(one, NAMES[0])? != head(two, NAMES[1])?);
        let (mut octets, form) = ([Vec::new(), Vec::new()], self.header.form);
        for first in (0..self.header.slots as usize).step_by(STRETCH) {
            let len = self.read(dir, first, &mut octets)?;
            let [one, two] = &octets;
            let differ = |number: &usize| {
                let place = number * form.slot_len()..(number + 1) * form.slot_len();
                one.get(place.clone()) != two.get(place)
            };
            if one != two {
                count += (0..len).filter(differ).count() as u64;
            }
        }
        Ok(count)
    }

    /// Reads a stretch as it lies in each file; nothing of one that is missing.
    fn read(&self, dir: &Path, first: usize, octets: &mut [Vec<u8>; 2]) -> Result<usize, KeyRingError> {
        let form = self.header.form;
        let len = STRETCH.min((self.header.slots as usize).saturating_sub(first));
        for ((octets, file), name) in octets.iter_mut().zip(&self.files).zip(NAMES) {
            octets.clear();
            let Some(file) = file else { continue };
            octets.resize(len * form.slot_len(), 0);
            let read = file
                .read_at(octets, form.place(first) as u64)
                .map_err(KeyRingError::io("read", &dir.join(name)))?;
            octets.truncate(read);
        }
        Ok(len)
    }

    /// Goes through all slots as they are agreed, with their numbers. Slots that neither copy has come out as the error
    /// [`KeyRingError::Lost`].
    pub(super) fn slots(
        &self,
        dir: &Path,
        mut each: impl FnMut(usize, &Slot) -> Result<(), KeyRingError>,
    ) -> Result<(), KeyRingError> {
        let (mut octets, mut lost) = ([Vec::new(), Vec::new()], Vec::new());
        for first in (0..self.header.slots as usize).step_by(STRETCH) {
            let len = self.read(dir, first, &mut octets)?;
            for number in 0..len {
                match agree(self.header.form, &octets, number) {
                    Ok(slot) => each(first + number, &slot)?,
                    Err(id) => lost.push(id),
                }
            }
            if lost.len() > NAMED_MAX {
                break;
            }
        }
        if lost.is_empty() {
            Ok(())
        } else {
            Err(KeyRingError::lost(dir, lost))
        }
    }

    /// What a stretch's octets are to be in both files.
    fn agreed(&self, dir: &Path, len: usize, octets: &[Vec<u8>; 2]) -> Result<Vec<u8>, KeyRingError> {
        let form = self.header.form;
        let [a, b] = octets;
        // As they were read before, and found whole.
        if a == b && a.len() == len * form.slot_len() {
            return Ok(a.clone());
        }
        let mut image = Vec::with_capacity(len * form.slot_len());
        for number in 0..len {
            let slot = agree(form, octets, number).map_err(|id| KeyRingError::lost(dir, vec![id]))?;
            slot.encode(form, &mut image);
        }
        Ok(image)
    }

    /// Makes both files hold exactly what was agreed, under this header, and opens them. Only after [`Found::slots`] has
    /// found all of them whole.
    ///
    /// Both are written even if they look right: after a sync that failed, an earlier process may have
    /// left octets that are in the system's cache and not on the disk. As in [`Copies::write`], A comes
    /// first: a change reaches B only after A is synced, so if A is in doubt then B is good, and if B is
    /// in doubt then writing A again changes nothing in it.
    pub(super) fn heal<D: Disk<File = F>>(
        mut self,
        disk: &D,
        dir: &Path,
        header: &Header,
    ) -> Result<Copies<F>, KeyRingError> {
        let mut healed = Vec::new();
        for (copy, name) in NAMES.into_iter().enumerate() {
            let path = dir.join(name);
            let failed = |error| KeyRingError::io("repair", &path)(error);
            let missing = self.files.get(copy).is_none_or(Option::is_none);
            let temporary = unfinished(&path);
            let file = if missing {
                match disk.unlink(&temporary) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
                    _ => {}
                }
                disk.create(&temporary, 0o600, 0).map_err(failed)?
            } else {
                disk.open(&path, Access::ReadWrite).map_err(failed)?
            };
            let mut differs = false;
            let mut head = [0; HEADER_LEN];
            let read = file.read_at(&mut head, 0).map_err(failed)?;
            let encoded = header.encode();
            differs |= read < HEADER_LEN || head != encoded;
            file.write_at(&[IoSlice::new(&encoded)], 0).map_err(failed)?;
            let mut octets = [Vec::new(), Vec::new()];
            for first in (0..header.slots as usize).step_by(STRETCH) {
                let len = self.read(dir, first, &mut octets)?;
                let image = self.agreed(dir, len, &octets)?;
                differs |= octets.get(copy).is_none_or(|octets| *octets != image);
                file.write_at(&[IoSlice::new(&image)], header.form.place(first) as u64)
                    .map_err(failed)?;
            }
            file.sync_all().map_err(failed)?;
            if missing {
                disk.rename(&temporary, &path)
                    .and_then(|()| disk.sync_dir(dir))
                    .map_err(failed)?;
                if let Some(own) = self.files.get_mut(copy) {
                    *own = open_one(disk, &path)?;
                }
            }
            if differs {
                tracing::warn!(file = %path.display(), missing, "key ring: one copy is repaired from the other");
            }
            healed.push(file);
        }
        let files = healed.try_into().map_err(|_| KeyRingError::Missing {
            dir: dir.to_path_buf(),
        })?;
        Ok(Copies {
            files,
            dir: dir.to_path_buf(),
            form: header.form,
        })
    }
}

/// Of one slot, takes the copy that is whole and newer; else the name of the key that seems to be lost, 0 where it has
/// none.
fn agree(form: Form, copies: &[Vec<u8>; 2], number: usize) -> Result<Slot, KeyId> {
    let at = number * form.slot_len();
    let octets = copies.iter().filter_map(|copy| copy.get(at..));
    let mut both = octets.clone().map(|octets| octets.get(..form.slot_len()));
    if let (Some(Some(one)), Some(Some(two))) = (both.next(), both.next())
        && one == two
        && let Some(slot) = Slot::decode(one, form)
    {
        return Ok(slot);
    }
    let mut whole = octets.clone().filter_map(|octets| Slot::decode(octets, form));
    match (whole.next(), whole.next()) {
        (Some(one), None) => Ok(one),
        (Some(one), Some(two)) if one.generation > two.generation || one == two => Ok(one),
        (Some(one), Some(two)) if one.generation < two.generation => Ok(two),
        // Nothing whole, or two that no interrupted change leaves.
        _ => Err(KeyId(octets.clone().find_map(Slot::likely_key).unwrap_or(0))),
    }
}

/// The two files, open for changes.
pub(super) struct Copies<F> {
    files: [F; 2],
    dir: PathBuf,
    form: Form,
}

impl<F: DiskFile> Copies<F> {
    /// Writes a header and slots to A and syncs it, then to B and syncs it. Neighbours go in one call.
    pub(super) fn write(
        &self,
        header: Option<&Header>,
        slots: &mut [(usize, Slot)],
    ) -> Result<(), KeyRingError> {
        slots.sort_unstable_by_key(|(number, _)| *number);
        let mut changes: Vec<(usize, Vec<u8>)> = Vec::new();
        if let Some(header) = header {
            changes.push((0, header.encode().to_vec()));
        }
        let run_max = self.form.slot_len() * STRETCH;
        for (number, slot) in slots {
            let at = self.form.place(*number);
            match changes.last_mut() {
                Some((from, octets)) if *from > 0 && *from + octets.len() == at && octets.len() < run_max => {
                    slot.encode(self.form, octets);
                }
                _ => {
                    let mut octets = Vec::new();
                    slot.encode(self.form, &mut octets);
                    changes.push((at, octets));
                }
            }
        }
        for (file, name) in self.files.iter().zip(NAMES) {
            let write = || {
                for (offset, octets) in &changes {
                    file.write_at(&[IoSlice::new(octets)], *offset as u64)?;
                }
                file.sync_data()
            };
            write().map_err(KeyRingError::io("write", &self.dir.join(name)))?;
        }
        Ok(())
    }

    /// Adds free slots behind those that the header counts. Until it counts them, whatever of this
    /// survives a power cut means nothing.
    pub(super) fn grow(&self, from: usize, to: usize) -> Result<(), KeyRingError> {
        let mut free: Vec<(usize, Slot)> = (from..to).map(|number| (number, Slot::FREE)).collect();
        let grown = self.write(None, &mut free);
        if grown.is_err() {
            // Space that a full disk needs. If this fails too, the slots stay behind uncounted.
            for file in &self.files {
                let _ = file.truncate(self.form.place(from) as u64);
            }
        }
        grown
    }

    /// Reads slots back, `count` of them from `first` on, each from the copy that is whole and newer. For one that
    /// neither copy has the place stays empty.
    pub(super) fn read(&self, first: usize, count: usize) -> Result<Vec<Option<Slot>>, KeyRingError> {
        let mut octets = [Vec::new(), Vec::new()];
        for ((octets, file), name) in octets.iter_mut().zip(&self.files).zip(NAMES) {
            octets.resize(count * self.form.slot_len(), 0);
            match file.read_at(octets, self.form.place(first) as u64) {
                Ok(read) => octets.truncate(read),
                // The other copy serves.
                Err(error) => {
                    tracing::error!(file = name, %error, "key ring: a copy cannot be read");
                    octets.clear();
                }
            }
        }
        if octets.iter().all(Vec::is_empty) && count > 0 {
            let path = self.dir.join(NAMES[0]);
            let source = io::Error::other("neither copy can be read");
            return Err(KeyRingError::io("read", &path)(source));
        }
        Ok((0..count)
            .map(|number| agree(self.form, &octets, number).ok())
            .collect())
    }
}
