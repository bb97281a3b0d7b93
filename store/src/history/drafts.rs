//! Parts that are written beside the others of their period, and become parts of it with one note: what is sealed anew.

use std::io::{self, IoSlice};
use std::path::PathBuf;

use super::files::{At, Files, PART_MAX, PeriodKey};
use crate::disk::{Disk, DiskFile};
use crate::seal::KeyId;

/// How their names end before.
pub(super) const SUFFIX: &str = ".draft";

/// A part that does not count yet.
pub(super) struct Draft<F> {
    path: PathBuf,
    file: F,
    len: u64,
}

impl<F> Draft<F> {
    /// Whether so many octets more are for the next one.
    pub(super) const fn is_full_with(&self, octets: usize) -> bool {
        self.len > 0 && self.len + octets as u64 > PART_MAX
    }
}

impl<D: Disk> Files<D> {
    /// Begins the n-th draft of a period. What a crash leaves of it goes with the next start.
    pub(super) fn draft(&self, key: &PeriodKey, number: usize) -> io::Result<Draft<D::File>> {
        let name = format!("{}-{number:06}{SUFFIX}", key.name());
        let path = self.dir.join(key.group()).join(name);
        match self.disk.unlink(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let file = self.disk.create(&path, 0o600, 0)?;
        Ok(Draft { path, file, len: 0 })
    }

    /// Writes a block; says where in the draft. Not synced.
    pub(super) fn write_draft(draft: &mut Draft<D::File>, octets: &[u8]) -> io::Result<u64> {
        let offset = draft.len;
        draft.file.write_at(&[IoSlice::new(octets)], offset)?;
        draft.len += octets.len() as u64;
        Ok(offset)
    }

    /// Removes drafts that come to nothing, as far as that goes now.
    pub(super) fn discard(&self, drafts: Vec<Draft<D::File>>) {
        for Draft { path, file, .. } in drafts {
            drop(file);
            if let Err(error) = self.disk.unlink(&path) {
                tracing::warn!(%error, "a file of history that was not finished stays until the next start");
            }
        }
    }

    /// Makes drafts parts of their period, and has nothing count any more that lies under these keys: here at once, and for a
    /// start with the next note, so that each record stands once before and behind it. What was filed meanwhile and is not
    /// noted stays so. Says which part the first of them is. No key is to be destroyed before
    /// [`Files::write_superseded`] has gone well.
    pub(super) fn adopt(
        &mut self,
        key: &PeriodKey,
        drafts: &[Draft<D::File>],
        keys: impl Iterator<Item = KeyId>,
    ) -> io::Result<u32> {
        if self.broken {
            return Err(io::Error::other(
                "a sync has failed: nothing is written before a restart",
            ));
        }
        for draft in drafts {
            draft.file.sync_all()?;
        }
        // Later only the newest part is synced.
        self.sync_period(key)?;
        let first = self.periods.get(key).map_or(0, |period| period.parts.len()) + 1;
        let first = u32::try_from(first).map_err(io::Error::other)?;
        for (part, draft) in (first..).zip(drafts) {
            self.disk.rename(&draft.path, &self.path(key, part))?;
        }
        self.disk.sync_dir(&self.dir.join(key.group()))?;
        let period = self.periods.get_mut(key).ok_or(io::ErrorKind::NotFound)?;
        period.noted.resize(period.parts.len(), 0);
        for draft in drafts {
            period.parts.push(draft.len);
            period.noted.push(draft.len);
            self.octets += draft.len;
        }
        period.writing = None;
        self.superseded.extend(keys);
        Ok(first)
    }

    /// Whether any key is superseded.
    pub(super) fn has_superseded(&self) -> bool {
        !self.superseded.is_empty()
    }

    /// Whether what lies under a key does not count any more.
    pub(super) fn is_superseded(&self, key: KeyId) -> bool {
        self.superseded.contains(&key)
    }

    /// Those keys, once the note with them is written: behind it a start knows of them.
    pub(super) fn write_superseded(&self) -> io::Result<Vec<KeyId>> {
        if !self.superseded.is_empty() {
            self.write_note(self.position)?;
        }
        Ok(self.superseded.iter().copied().collect())
    }

    /// Forgets them: they are destroyed.
    pub(super) fn forget_superseded(&mut self) -> io::Result<()> {
        if self.superseded.is_empty() {
            return Ok(());
        }
        self.superseded.clear();
        self.write_note(self.position)
    }

    /// Whether a block counts also behind a crash.
    pub(super) fn is_noted(&self, key: &PeriodKey, at: At) -> bool {
        let period = self.periods.get(key);
        let noted = period.and_then(|period| period.noted.get((at.part as usize).checked_sub(1)?));
        noted.is_some_and(|len| at.offset < *len)
    }
}
