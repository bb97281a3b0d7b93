//! The files of the audit log: segments of a fixed length, each a header and frames, zeros behind them.
//!
//! ```text
//! segment:  "TGAU" │ version u8 │ 0 × 3 │ first sequence u64 │ hash before it 32 × u8 │ crc32 u32
//! frame:    length u32 │ sequence u64 │ synced u64 │ crc32 of these u32 │ the entry's octets │ its hash 32 × u8 │ 'E'
//! ```
//!
//! `synced` is the last entry that was known to be on disk when the frame was written: what stands up to it and cannot be
//! read has been damaged, while of what stands behind it a power cut may have left anything. The blocks are reserved with
//! the file, so that on a full disk the deeds that end work can still be entered.

use std::path::{Path, PathBuf};

use super::entry::{ENTRY_MAX, Logged};
use super::tree::{Hash, entry_hash};
use crate::record;

/// Octets of a segment's file.
pub(super) const SEGMENT_LEN: usize = 256 * 1024;
/// Octets of its header.
pub(super) const HEADER_LEN: usize = 52;
/// Octets of a frame before the entry's.
const FRAME_HEADER_LEN: usize = 24;
/// And behind them.
const FRAME_END_LEN: usize = 33;
/// Entries that no segment holds more of.
pub(super) const ENTRIES_MAX: u64 = (SEGMENT_LEN / (FRAME_HEADER_LEN + FRAME_END_LEN)) as u64;
const MAGIC: &[u8; 8] = b"TGAU\x01\0\0\0";
const SUFFIX: &str = ".log";
/// Ends a frame: a write that was cut off ends in zeros.
const END: u8 = b'E';

/// The file of the segment that begins with a sequence number.
pub(super) fn path(dir: &Path, first: u64) -> PathBuf {
    dir.join(format!("{first:020}{SUFFIX}"))
}

/// The sequence number with which a file's segment begins, by its name.
pub(super) fn first_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX)?;
    let is_ours = digits.len() == 20 && digits.bytes().all(|digit| digit.is_ascii_digit());
    is_ours.then(|| digits.parse().ok())?
}

/// A segment's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) first: u64,
    pub(super) previous: Hash,
}

impl Header {
    pub(super) fn encode(&self) -> [u8; HEADER_LEN] {
        let mut octets = [0; HEADER_LEN];
        octets[..8].copy_from_slice(MAGIC);
        octets[8..16].copy_from_slice(&self.first.to_be_bytes());
        octets[16..48].copy_from_slice(&self.previous);
        let crc = crc32fast::hash(&octets[..48]);
        octets[48..].copy_from_slice(&crc.to_be_bytes());
        octets
    }

    pub(super) fn read(octets: &[u8]) -> Option<Self> {
        let (header, _) = octets.split_first_chunk::<HEADER_LEN>()?;
        let mut fields = header.strip_prefix(MAGIC)?;
        let first = record::get_u64(&mut fields).ok()?;
        let (previous, _) = fields.split_first_chunk::<32>()?;
        let read = Self {
            first,
            previous: *previous,
        };
        (read.encode() == *header).then_some(read)
    }
}

/// Appends a frame around an entry's octets; says its hash.
pub(super) fn put(out: &mut Vec<u8>, sequence: u64, synced: u64, previous: &Hash, octets: &[u8]) -> Hash {
    let hash = entry_hash(previous, octets);
    let from = out.len();
    // At most `ENTRY_MAX`.
    out.extend_from_slice(&u32::try_from(octets.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(&sequence.to_be_bytes());
    out.extend_from_slice(&synced.to_be_bytes());
    let crc = crc32fast::hash(out.get(from..).unwrap_or_default());
    out.extend_from_slice(&crc.to_be_bytes());
    out.extend_from_slice(octets);
    out.extend_from_slice(&hash);
    out.push(END);
    hash
}

/// Octets that a frame takes around so many.
pub(super) const fn len_of(octets: usize) -> usize {
    FRAME_HEADER_LEN + octets + FRAME_END_LEN
}

/// A frame as it stands in a file: its header is whole, the rest as it may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'a> {
    pub(super) sequence: u64,
    pub(super) synced: u64,
    pub(super) octets: &'a [u8],
    /// The hash that stands behind the octets.
    pub(super) hash: Hash,
    is_ended: bool,
}

impl Frame<'_> {
    /// What is entered, if the frame is what follows `previous`: all of it is covered by the hash that stands there.
    pub(super) fn read(&self, previous: &Hash) -> Option<Logged> {
        if !self.is_ended || entry_hash(previous, self.octets) != self.hash {
            return None;
        }
        Logged::decode(self.octets).filter(|logged| logged.sequence == self.sequence)
    }
}

/// What stands at a place of a segment.
#[derive(Clone, Copy, Debug)]
pub(super) enum Found<'a> {
    /// A frame, and where the next one begins.
    Frame(Frame<'a>, usize),
    /// Zeros up to the end.
    End,
    /// A write that was cut off: it breaks off, and there are zeros or nothing behind it.
    Torn,
    /// Something that is no frame.
    Damage,
}

/// A segment's octets under reading.
pub(super) struct Octets<'a> {
    all: &'a [u8],
    /// Behind this there are zeros only.
    used: usize,
}

impl<'a> Octets<'a> {
    pub(super) fn new(all: &'a [u8]) -> Self {
        let last = all.iter().rposition(|octet| *octet != 0);
        Self {
            all,
            used: last.map_or(0, |last| last + 1),
        }
    }

    /// Octets behind a place that are not the zeros at the end.
    pub(super) const fn used_behind(&self, at: usize) -> usize {
        self.used.saturating_sub(at)
    }

    /// Looks at a place.
    pub(super) fn look(&self, at: usize) -> Found<'a> {
        let rest = self.all.get(at..).unwrap_or_default();
        let used = self.used_behind(at);
        if used == 0 {
            return Found::End;
        }
        let Some((sequence, synced, length)) = frame_header(rest) else {
            return if used < FRAME_HEADER_LEN {
                Found::Torn
            } else {
                Found::Damage
            };
        };
        let end = len_of(length);
        let Some(frame) = rest.get(..end).filter(|_| used >= end) else {
            return Found::Torn;
        };
        let body = frame.get(FRAME_HEADER_LEN..).unwrap_or_default();
        let Some((octets, [hash @ .., mark])) = body.split_at_checked(length) else {
            return Found::Damage;
        };
        let Ok(hash) = Hash::try_from(hash) else {
            return Found::Damage;
        };
        let frame = Frame {
            sequence,
            synced,
            octets,
            hash,
            is_ended: *mark == END,
        };
        Found::Frame(frame, at + end)
    }

    /// The next place behind `at` where a frame's header stands, after damage.
    pub(super) fn resync(&self, at: usize) -> Option<usize> {
        (at + 1..self.used).find(|place| {
            let rest = self.all.get(*place..).unwrap_or_default();
            frame_header(rest).is_some_and(|(sequence, ..)| sequence > 0)
        })
    }
}

/// Sequence, synced, length of the entry.
fn frame_header(rest: &[u8]) -> Option<(u64, u64, usize)> {
    let (header, _) = rest.split_first_chunk::<FRAME_HEADER_LEN>()?;
    let mut fields = header.as_slice();
    let length = record::get_u32(&mut fields).ok()? as usize;
    if length > ENTRY_MAX {
        return None;
    }
    let sequence = record::get_u64(&mut fields).ok()?;
    let synced = record::get_u64(&mut fields).ok()?;
    let crc = record::get_u32(&mut fields).ok()?;
    (crc == crc32fast::hash(header.get(..20)?)).then_some((sequence, synced, length))
}
