//! The ring's two files: which of them is right, slot by slot, and how both are changed.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};

use super::error::KeyRingError;
use super::kek::create_whole;
use super::slot::{Content, HEADER_LEN, Header, HeaderFault, SLOT_LEN, Slot, place};
use crate::disk::{Access, Disk, DiskFile};
use crate::seal::KeyId;

/// The names of the two copies.
pub(super) const NAMES: [&str; 2] = ["ring.a", "ring.b"];

/// What the two copies say together.
pub(super) struct Agreed {
    pub(super) header: Header,
    pub(super) slots: Vec<Slot>,
}

impl Agreed {
    /// The octets of a whole file.
    pub(super) fn image(&self) -> Vec<u8> {
        let mut image = Vec::with_capacity(place(self.slots.len()));
        image.extend_from_slice(&self.header.encode());
        for slot in &self.slots {
            image.extend_from_slice(&slot.encode());
        }
        image
    }
}

/// Reads both copies; `None` for one that is missing.
pub(super) fn read<D: Disk>(disk: &D, dir: &Path) -> Result<[Option<Vec<u8>>; 2], KeyRingError> {
    let mut copies = [None, None];
    for (copy, name) in copies.iter_mut().zip(NAMES) {
        let path = dir.join(name);
        *copy = read_one(disk, &path).map_err(KeyRingError::io("read", &path))?;
    }
    if copies.iter().all(Option::is_none) {
        return Err(KeyRingError::Missing {
            dir: dir.to_path_buf(),
        });
    }
    Ok(copies)
}

fn read_one<D: Disk>(disk: &D, path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match disk.open(path, Access::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    // A file that something else made huge is not read whole.
    let len = usize::try_from(file.len()?).map_or(FILE_MAX, |len| len.min(FILE_MAX));
    let mut octets = vec![0; len];
    let read = file.read_at(&mut octets, 0)?;
    octets.truncate(read);
    Ok(Some(octets))
}

/// Longest file that a ring can have.
const FILE_MAX: usize = HEADER_LEN + super::SLOTS_MAX * SLOT_LEN;

/// Of each header and slot, takes the copy that is whole and newer.
pub(super) fn agree(dir: &Path, copies: &[Option<Vec<u8>>; 2]) -> Result<Agreed, KeyRingError> {
    let mut header: Option<Header> = None;
    for copy in copies.iter().flatten() {
        match (Header::decode(copy), &header) {
            (Err(HeaderFault::Damaged), _) => {}
            (Err(HeaderFault::Version(version)), _) => {
                let dir = dir.to_path_buf();
                return Err(KeyRingError::Version { dir, version });
            }
            (Ok(found), Some(other)) if found.ring != other.ring => {
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

    let mut slots = Vec::with_capacity(header.slots as usize);
    let mut lost = Vec::new();
    for number in 0..header.slots as usize {
        let octets = copies
            .iter()
            .flatten()
            .filter_map(|copy| copy.get(place(number)..));
        let mut whole = octets.clone().filter_map(Slot::decode);
        match (whole.next(), whole.next()) {
            (Some(one), None) => slots.push(one),
            (Some(one), Some(two)) if one.generation > two.generation || one == two => slots.push(one),
            (Some(one), Some(two)) if one.generation < two.generation => slots.push(two),
            // Nothing whole, or two that no interrupted change leaves.
            _ => lost.push(KeyId(octets.clone().find_map(Slot::likely_key).unwrap_or(0))),
        }
    }
    if lost.is_empty() {
        Ok(Agreed { header, slots })
    } else {
        Err(KeyRingError::lost(dir, lost))
    }
}

/// The two files, open for changes.
pub(super) struct Copies<F> {
    files: [F; 2],
    dir: PathBuf,
}

impl<F: DiskFile> Copies<F> {
    /// Makes both files hold exactly what was agreed, and opens them.
    ///
    /// Both are written even if they look right: after a sync that failed, an earlier process may have
    /// left octets that are in the system's cache and not on the disk. As in [`Copies::write`], A comes
    /// first: a change reaches B only after A is synced, so if A is in doubt then B is good, and if B is
    /// in doubt then writing A again changes nothing in it.
    pub(super) fn heal<D: Disk<File = F>>(
        disk: &D,
        dir: &Path,
        found: &[Option<Vec<u8>>; 2],
        agreed: &Agreed,
    ) -> Result<Self, KeyRingError> {
        let image = agreed.image();
        let differs = |copy: &Option<Vec<u8>>| copy.as_ref().is_none_or(|octets| !octets.starts_with(&image));
        for (number, name) in NAMES.into_iter().enumerate() {
            let path = dir.join(name);
            if differs(&found[number]) {
                tracing::warn!(file = %path.display(), missing = found[number].is_none(),
                    "key ring: one copy is repaired from the other");
            }
            let written = if found[number].is_none() {
                create_whole(disk, &path, &image)
            } else {
                disk.open(&path, Access::ReadWrite).and_then(|file| {
                    file.write_at(&[IoSlice::new(&image)], 0)?;
                    file.sync_all()
                })
            };
            written.map_err(KeyRingError::io("repair", &path))?;
        }
        let open = |name: &str| {
            let path = dir.join(name);
            disk.open(&path, Access::ReadWrite)
                .map_err(KeyRingError::io("open", &path))
        };
        Ok(Self {
            files: [open(NAMES[0])?, open(NAMES[1])?],
            dir: dir.to_path_buf(),
        })
    }

    /// Writes the same changes (offset, octets) to A and syncs it, then to B and syncs it.
    pub(super) fn write(&self, changes: &[(usize, &[u8])]) -> Result<(), KeyRingError> {
        for (file, name) in self.files.iter().zip(NAMES) {
            let write = || {
                for (offset, octets) in changes {
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
        let free = Slot::FREE.encode().repeat(to - from);
        let grown = self.write(&[(place(from), &free)]);
        if grown.is_err() {
            // Space that a full disk needs. If this fails too, the slots stay behind uncounted.
            for file in &self.files {
                let _ = file.truncate(place(from) as u64);
            }
        }
        grown
    }
}

/// Names the keys that a slot list holds live, with the number of their slot.
pub(super) fn live(slots: &[Slot]) -> impl Iterator<Item = (usize, &super::slot::Wrapped)> {
    slots
        .iter()
        .enumerate()
        .filter_map(|(number, slot)| match &slot.content {
            Content::Live(wrapped) => Some((number, wrapped)),
            Content::Free | Content::Destroyed => None,
        })
}
