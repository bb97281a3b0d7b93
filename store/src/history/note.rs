//! The note, which says what counts of the history's files, and the sweep's own beside it.
//!
//! The note (`position`) names each part with its length and the batch of the spool up to which everything stands in them; it
//! is replaced whole, behind the syncs of all that it names.
//!
//! It also names keys that are *superseded*: what they sealed stands sealed anew in the parts that the same note
//! names (`drafts`), and does not count any more.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use super::Kept;
use super::files::{Files, PeriodKey};
use crate::disk::{Access, Disk, DiskFile};
use crate::keyring::create_whole;
use crate::seal::KeyId;

pub(super) const NOTE: &str = "position";
/// What the sweep keeps for itself.
const SWEEP_NOTE: &str = "sweep";
/// Octets of that at most.
const SWEEP_NOTE_MAX: usize = 1 << 20;
const MAGIC: &[u8; 8] = b"TGHIST01";
/// Of a note that names superseded keys.
const MAGIC_SUPERSEDED: &[u8; 8] = b"TGHIST02";

impl<D: Disk> Files<D> {
    /// The octets of the note; `None` where there never was one.
    pub(super) fn read_note(&self) -> io::Result<Option<Vec<u8>>> {
        let file = match self.disk.open(&self.dir.join(NOTE), Access::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let mut octets = vec![0; usize::try_from(file.len()?).unwrap_or(usize::MAX).min(64 << 20)];
        let read = file.read_at(&mut octets, 0)?;
        octets.truncate(read);
        Ok(Some(octets))
    }

    /// Notes what counts. After an error the old note may hold or the new one: both are true.
    pub(super) fn write_note(&self, position: u64) -> io::Result<()> {
        create_whole(&self.disk, &self.dir.join(NOTE), &self.note(position))
    }

    /// Replaces what the sweep keeps for itself, as a whole.
    pub(super) fn write_sweep_note(&self, octets: &[u8]) -> io::Result<()> {
        if octets.len() > SWEEP_NOTE_MAX {
            return Err(io::Error::other("the note of the sweep is over 1 MiB"));
        }
        create_whole(&self.disk, &self.dir.join(SWEEP_NOTE), octets)
    }

    fn note(&self, position: u64) -> Vec<u8> {
        let is_plain = self.superseded.is_empty();
        let mut out = if is_plain { MAGIC } else { MAGIC_SUPERSEDED }.to_vec();
        out.extend_from_slice(&position.to_be_bytes());
        // One that was begun behind the last checkpoint is in none.
        let noted = || {
            let periods = self.periods.iter();
            periods.filter(|(_, period)| !period.noted.is_empty())
        };
        out.extend_from_slice(&count(self.groups.len()).to_be_bytes());
        for group in &self.groups {
            out.push(u8::try_from(group.len()).unwrap_or(0));
            out.extend_from_slice(group.as_bytes());
        }
        out.extend_from_slice(&count(noted().count()).to_be_bytes());
        for (key, period) in noted() {
            let length = key.length.as_bytes();
            let length_len = u8::try_from(length.len()).unwrap_or(0);
            out.extend_from_slice(&[key.class as u8, u8::from(period.is_leaving), length_len]);
            out.extend_from_slice(length);
            out.extend_from_slice(&key.day.to_be_bytes());
            out.extend_from_slice(&count(period.noted.len()).to_be_bytes());
            for len in &period.noted {
                out.extend_from_slice(&len.to_be_bytes());
            }
        }
        if !is_plain {
            out.extend_from_slice(&count(self.superseded.len()).to_be_bytes());
            let keys = self.superseded.iter();
            keys.for_each(|key| out.extend_from_slice(&key.0.to_be_bytes()));
        }
        let crc = crc32fast::hash(&out);
        out.extend_from_slice(&crc.to_be_bytes());
        out
    }
}

/// What the sweep has kept for itself in a directory of history ([`Order::Note`](super::Order::Note)); `None` where it never
/// has. Blocks.
///
/// # Errors
///
/// It cannot be read, or is none of ours.
pub fn sweep_note<D: Disk>(disk: &D, dir: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match disk.open(&dir.join(SWEEP_NOTE), Access::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let len = usize::try_from(file.len()?).unwrap_or(usize::MAX);
    if len > SWEEP_NOTE_MAX {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the note of the sweep is over 1 MiB",
        ));
    }
    let mut octets = vec![0; len];
    let read = file.read_at(&mut octets, 0)?;
    octets.truncate(read);
    Ok(Some(octets))
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// What the note says of a period.
pub(super) struct Noted {
    pub(super) key: PeriodKey,
    pub(super) parts: Vec<u64>,
    pub(super) is_leaving: bool,
}

/// What the note says.
pub(super) struct Note {
    pub(super) position: u64,
    pub(super) groups: BTreeSet<String>,
    pub(super) noted: Vec<Noted>,
    pub(super) superseded: BTreeSet<KeyId>,
}

/// What a note says; `None` when it is damaged, or of another version.
pub(super) fn read_note(octets: &[u8]) -> Option<Note> {
    let (body, crc) = octets.split_last_chunk::<4>()?;
    if crc32fast::hash(body) != u32::from_be_bytes(*crc) {
        return None;
    }
    let (is_plain, mut fields) = match body.strip_prefix(MAGIC) {
        Some(fields) => (true, fields),
        None => (false, body.strip_prefix(MAGIC_SUPERSEDED)?),
    };
    let position = u64::from_be_bytes(take(&mut fields)?);
    let mut groups = BTreeSet::new();
    for _ in 0..u32::from_be_bytes(take(&mut fields)?) {
        let [len] = take(&mut fields)?;
        let (group, rest) = fields.split_at_checked(usize::from(len))?;
        fields = rest;
        groups.insert(std::str::from_utf8(group).ok()?.to_owned());
    }
    let periods = u32::from_be_bytes(take(&mut fields)?);
    let mut noted = Vec::new();
    for _ in 0..periods {
        let [class, leaving, length] = take(&mut fields)?;
        let (length, rest) = fields.split_at_checked(usize::from(length))?;
        fields = rest;
        let key = PeriodKey {
            class: Kept::from_octet(class)?,
            length: std::str::from_utf8(length).ok()?.into(),
            day: u32::from_be_bytes(take(&mut fields)?),
        };
        let parts = u32::from_be_bytes(take(&mut fields)?);
        let lens = (0..parts).map(|_| take(&mut fields).map(u64::from_be_bytes));
        noted.push(Noted {
            key,
            parts: lens.collect::<Option<_>>()?,
            is_leaving: leaving != 0,
        });
    }
    let mut superseded = BTreeSet::new();
    if !is_plain {
        for _ in 0..u32::from_be_bytes(take(&mut fields)?) {
            superseded.insert(KeyId(u32::from_be_bytes(take(&mut fields)?)));
        }
    }
    fields.is_empty().then_some(Note {
        position,
        groups,
        noted,
        superseded,
    })
}

fn take<const N: usize>(fields: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = fields.split_first_chunk()?;
    *fields = rest;
    Some(*first)
}
