//! One file of the spool: a header, batches, and once closed a footer.
//!
//! ```text
//! 0       64                                   end of batches      end of file
//! ├ header ┼ batch │ batch │ … │ batch ────────┼ footer │ trailer ─┤
//! ```
//!
//! A batch is what one turn wrote and synced at once. It names its segment and its own number, which grows
//! by one from batch to batch over all segments, and carries a checksum over everything in it, so it can
//! be found and judged wherever it lies: after damage a scan finds the next one, a gap in the numbers is
//! an alarm, and only a missing end is a torn tail. Nothing in it depends on its position.
//!
//! The footer repeats what a start needs to know of the segment (`footer.rs`); the trailer says where it
//! begins.

use std::io::{self, IoSlice};

use crate::disk::DiskFile;

/// Octets of a segment's header.
pub const HEADER_LEN: usize = 64;
/// Octets of a batch's header.
pub const BATCH_HEADER_LEN: usize = 48;
/// Octets of the trailer at the very end of a closed segment.
pub const TRAILER_LEN: usize = 24;

const SEGMENT_MAGIC: &[u8; 8] = b"TGSPOOL1";
const BATCH_MAGIC: &[u8; 4] = b"TGB1";
const TRAILER_MAGIC: &[u8; 8] = b"TGFOOT01";

/// What a segment says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Which node's spool.
    pub node: u8,
    /// Counts up from 1.
    pub number: u64,
    /// When it was made, in unix milliseconds.
    pub created_ms: u64,
    /// As in [`BatchHeader`], when it was made. So a start with a clock set back repeats no id even if every
    /// batch is gone.
    pub floor_ms: u64,
}

impl SegmentHeader {
    /// The octets at the start of the file.
    pub fn octets(&self) -> [u8; HEADER_LEN] {
        let mut octets = [0; HEADER_LEN];
        octets[..8].copy_from_slice(SEGMENT_MAGIC);
        octets[8] = self.node;
        octets[16..24].copy_from_slice(&self.number.to_be_bytes());
        octets[24..32].copy_from_slice(&self.created_ms.to_be_bytes());
        octets[32..40].copy_from_slice(&self.floor_ms.to_be_bytes());
        let crc = crc32fast::hash(&octets[..60]);
        octets[60..].copy_from_slice(&crc.to_be_bytes());
        octets
    }

    /// Reads them; `None` when they are none of ours or damaged.
    pub fn read(octets: &[u8]) -> Option<Self> {
        let octets = octets.first_chunk::<{ HEADER_LEN }>()?;
        let crc = u32::from_be_bytes(*octets.last_chunk::<4>()?);
        (octets.starts_with(SEGMENT_MAGIC) && crc32fast::hash(&octets[..60]) == crc).then(|| Self {
            node: octets[8],
            number: word64(octets, 16),
            created_ms: word64(octets, 24),
            floor_ms: word64(octets, 32),
        })
    }
}

/// The file name of a segment; sorts by number.
pub fn file_name(number: u64) -> String {
    format!("{number:016x}.spool")
}

/// The number in a segment's file name.
pub fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".spool")?;
    if digits.len() == 16 {
        u64::from_str_radix(digits, 16).ok()
    } else {
        None
    }
}

/// What a batch says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// Which node wrote it.
    pub node: u8,
    /// Which segment it was written to.
    pub segment: u64,
    /// Its number; one more than the batch before it.
    pub number: u64,
    /// Message ids at or below this millisecond were given out, or may have been (design §4).
    pub floor_ms: u64,
    /// Octets of records behind the header.
    pub len: u32,
}

impl BatchHeader {
    /// The octets of the header, checksum over the records included.
    pub fn octets(&self, records: &[u8]) -> [u8; BATCH_HEADER_LEN] {
        let mut octets = [0; BATCH_HEADER_LEN];
        octets[..4].copy_from_slice(BATCH_MAGIC);
        octets[4] = self.node;
        octets[8..16].copy_from_slice(&self.segment.to_be_bytes());
        octets[16..24].copy_from_slice(&self.number.to_be_bytes());
        octets[24..32].copy_from_slice(&self.floor_ms.to_be_bytes());
        octets[32..36].copy_from_slice(&self.len.to_be_bytes());
        let mut crc = crc32fast::Hasher::new();
        crc.update(&octets[..44]);
        crc.update(records);
        octets[44..].copy_from_slice(&crc.finalize().to_be_bytes());
        octets
    }

    /// Reads the batch at the start of `octets`: its header and its records. `None` when there is no whole
    /// and undamaged one.
    fn read(octets: &[u8]) -> Option<Self> {
        let head = octets.first_chunk::<BATCH_HEADER_LEN>()?;
        if !head.starts_with(BATCH_MAGIC) {
            return None;
        }
        let len = u32::from_be_bytes([head[32], head[33], head[34], head[35]]);
        let records = octets.get(BATCH_HEADER_LEN..BATCH_HEADER_LEN.checked_add(len as usize)?)?;
        let mut crc = crc32fast::Hasher::new();
        crc.update(&head[..44]);
        crc.update(records);
        (crc.finalize().to_be_bytes() == head[44..]).then(|| Self {
            node: head[4],
            segment: word64(head, 8),
            number: word64(head, 16),
            floor_ms: word64(head, 24),
            len,
        })
    }
}

fn word64(octets: &[u8], at: usize) -> u64 {
    octets
        .get(at..at + 8)
        .and_then(|word| word.try_into().ok())
        .map_or(0, u64::from_be_bytes)
}

/// What a scan of a segment finds, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// A whole batch; its records lie at `at .. at + header.len` of the file.
    Batch {
        /// What it says of itself.
        header: BatchHeader,
        /// Where its records begin.
        at: usize,
    },
    /// Octets that are no batch, with a batch behind them: damage, not a torn tail.
    Damage {
        /// Where they begin.
        from: usize,
        /// Where the next batch begins.
        to: usize,
    },
}

/// Walks the batches of a segment, given its octets from the very start of the file.
#[derive(Debug)]
pub struct Scan<'a> {
    octets: &'a [u8],
    segment: u64,
    at: usize,
    /// A batch found behind damage, to be reported next.
    ahead: Option<(BatchHeader, usize)>,
}

impl<'a> Scan<'a> {
    /// A scan of segment `segment`; batches of other segments are none of it.
    pub fn new(octets: &'a [u8], segment: u64) -> Self {
        Self {
            octets,
            segment,
            at: HEADER_LEN,
            ahead: None,
        }
    }

    /// The same, given octets from the start of a batch on.
    pub(crate) const fn within(octets: &'a [u8], segment: u64) -> Self {
        Self {
            octets,
            segment,
            at: 0,
            ahead: None,
        }
    }

    /// Where the last whole batch ended: what follows is the torn tail, or nothing.
    pub const fn end(&self) -> usize {
        self.at
    }

    fn batch_at(&self, at: usize) -> Option<BatchHeader> {
        BatchHeader::read(self.octets.get(at..)?).filter(|header| header.segment == self.segment)
    }
}

impl Iterator for Scan<'_> {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        let found = self
            .ahead
            .take()
            .or_else(|| self.batch_at(self.at).map(|header| (header, self.at)));
        if let Some((header, at)) = found {
            self.at = at + BATCH_HEADER_LEN + header.len as usize;
            return Some(Found::Batch {
                header,
                at: at + BATCH_HEADER_LEN,
            });
        }
        // No batch where one should be. Whether this is the end or damage depends on what follows.
        let from = self.at;
        let tail = self.octets.get(from..)?;
        let (header, at) = memchr::memmem::find_iter(tail, BATCH_MAGIC)
            .map(|offset| from + offset)
            .find_map(|at| self.batch_at(at).map(|header| (header, at)))?;
        self.ahead = Some((header, at));
        self.at = at;
        Some(Found::Damage { from, to: at })
    }
}

/// The trailer of a closed segment: where its footer begins and how long it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trailer {
    /// Where the footer begins.
    pub footer_at: u64,
    /// Octets of the footer.
    pub footer_len: u32,
}

impl Trailer {
    /// The octets at the end of the file.
    pub fn octets(&self) -> [u8; TRAILER_LEN] {
        let mut octets = [0; TRAILER_LEN];
        octets[..8].copy_from_slice(&self.footer_at.to_be_bytes());
        octets[8..12].copy_from_slice(&self.footer_len.to_be_bytes());
        let crc = crc32fast::hash(&octets[..12]);
        octets[12..16].copy_from_slice(&crc.to_be_bytes());
        octets[16..].copy_from_slice(TRAILER_MAGIC);
        octets
    }

    /// Reads the trailer of a file of `len` octets, given its last [`TRAILER_LEN`] octets. `None` for a
    /// segment that was not closed in order.
    pub fn read(octets: &[u8; TRAILER_LEN], len: u64) -> Option<Self> {
        let crc = u32::from_be_bytes([octets[12], octets[13], octets[14], octets[15]]);
        if !octets.ends_with(TRAILER_MAGIC) || crc32fast::hash(&octets[..12]) != crc {
            return None;
        }
        let trailer = Self {
            footer_at: word64(octets, 0),
            footer_len: u32::from_be_bytes([octets[8], octets[9], octets[10], octets[11]]),
        };
        let end = trailer.footer_at.checked_add(u64::from(trailer.footer_len))?;
        (end.checked_add(TRAILER_LEN as u64)? == len).then_some(trailer)
    }
}

/// Writes one batch at `offset` and syncs it: after `Ok` it survives a power cut.
pub fn append<F: DiskFile>(file: &F, offset: u64, header: &BatchHeader, records: &[u8]) -> io::Result<()> {
    let head = header.octets(records);
    file.write_at(&[IoSlice::new(&head), IoSlice::new(records)], offset)?;
    file.sync_data()
}

/// Reads a whole file.
pub fn read_all<F: DiskFile>(file: &F) -> io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    read_all_into(file, &mut octets)?;
    Ok(octets)
}

/// The same, in the place of what `octets` held: memory that the system need not give file after file.
pub fn read_all_into<F: DiskFile>(file: &F, octets: &mut Vec<u8>) -> io::Result<()> {
    let len = usize::try_from(file.len()?).map_err(io::Error::other)?;
    if octets.capacity() < len {
        // Zeros that the system gives: those of `resize` would be written.
        *octets = vec![0; len];
    } else {
        octets.resize(len, 0);
    }
    let read = file.read_at(octets, 0)?;
    octets.truncate(read);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(batches: &[(u64, &[u8])]) -> Vec<u8> {
        let header = SegmentHeader {
            node: 1,
            number: 9,
            created_ms: 5,
            floor_ms: 7,
        };
        let mut octets = header.octets().to_vec();
        for (number, records) in batches {
            octets.extend_from_slice(&batch(*number, records));
        }
        octets
    }

    fn batch(number: u64, records: &[u8]) -> Vec<u8> {
        let len = u32::try_from(records.len()).unwrap();
        let header = BatchHeader {
            node: 1,
            segment: 9,
            number,
            floor_ms: 3,
            len,
        };
        let mut octets = header.octets(records).to_vec();
        octets.extend_from_slice(records);
        octets
    }

    fn numbers(octets: &[u8]) -> Vec<Option<u64>> {
        Scan::new(octets, 9)
            .map(|found| match found {
                Found::Batch { header, .. } => Some(header.number),
                Found::Damage { .. } => None,
            })
            .collect()
    }

    #[test]
    fn a_torn_tail_is_the_end_wherever_it_is_torn() {
        let whole = file(&[(1, b"one"), (2, b"two")]);
        let first = file(&[(1, b"one")]).len();
        for n in first..whole.len() {
            let mut octets = whole[..n].to_vec();
            octets.resize(whole.len() + 4096, 0);
            let mut scan = Scan::new(&octets, 9);
            assert_eq!(scan.by_ref().count(), 1, "{n}");
            assert_eq!(scan.end(), first);
        }
    }

    #[test]
    fn damage_is_told_from_a_torn_tail_by_what_follows_it() {
        for at in 64..file(&[(1, b"one")]).len() {
            let mut octets = file(&[(1, b"one"), (2, b"two"), (3, b"three")]);
            octets[at] ^= 0x40;
            assert_eq!(numbers(&octets), [None, Some(2), Some(3)], "octet {at}");
        }
    }

    #[test]
    fn a_batch_of_another_segment_is_none_of_this_one() {
        let mut octets = file(&[(1, b"one")]);
        // A recycled block may hold an old batch of another file.
        let other = BatchHeader {
            node: 1,
            segment: 8,
            number: 2,
            floor_ms: 3,
            len: 3,
        };
        octets.extend_from_slice(&other.octets(b"old"));
        octets.extend_from_slice(b"old");
        assert_eq!(numbers(&octets), [Some(1)]);
    }

    #[test]
    fn headers_and_trailers_notice_every_flipped_bit() {
        let header = SegmentHeader {
            node: 1,
            number: 9,
            created_ms: 5,
            floor_ms: 7,
        };
        let trailer = Trailer {
            footer_at: 100,
            footer_len: 20,
        };
        let len = 100 + 20 + TRAILER_LEN as u64;
        assert_eq!(SegmentHeader::read(&header.octets()), Some(header));
        assert_eq!(Trailer::read(&trailer.octets(), len), Some(trailer));
        assert_eq!(
            Trailer::read(&trailer.octets(), len + 1),
            None,
            "a file that grew has no footer"
        );
        for bit in 0..64 * 8 {
            let mut octets = header.octets();
            octets[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(SegmentHeader::read(&octets), None, "{bit}");
        }
        for bit in 0..TRAILER_LEN * 8 {
            let mut octets = trailer.octets();
            octets[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Trailer::read(&octets, len), None, "{bit}");
        }
    }

    #[test]
    fn names_sort_as_numbers_do() {
        assert_eq!(number_of(&file_name(255)), Some(255));
        assert!(file_name(255) < file_name(256));
        assert_eq!(number_of("lock"), None);
        assert_eq!(number_of("ff.spool"), None);
    }
}
