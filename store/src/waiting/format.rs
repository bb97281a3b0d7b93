//! How a run lies on disk.
//!
//! ```text
//! 0        512                                                               end
//! ├ header ┼ done pages, each twice │ table │ records │ prints │ header again ┤
//! ```
//!
//! Integers are big endian. The header is written last, in both places.

use crate::seal::{Aad, KeyId, SEALED_OVERHEAD};

/// Octets of a header: a sector, so that it is written whole or not at all.
pub(crate) const HEADER_LEN: usize = 512;
/// Octets of a page of done marks: a sector likewise.
pub(crate) const PAGE_LEN: usize = 512;
/// Octets of marks in a page; before them its generation, behind them its checksum.
pub(crate) const PAGE_MARKS: usize = PAGE_LEN - 8;
/// Octets of a line of the table.
pub(crate) const LINE_LEN: usize = 16;
/// Runs that one may replace.
pub(crate) const REPLACES_MAX: usize = 8;

const MAGIC: &[u8; 8] = b"TGWAIT01";
/// Octets of a sealed hash key.
pub(crate) const HASH_KEY_LEN: usize = 16 + SEALED_OVERHEAD;
/// The associated data's kind of a hash key; no record has it.
const AAD_KIND: u8 = 0xf1;

/// What a run says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) node: u8,
    pub(crate) hour: u32,
    pub(crate) number: u64,
    /// Records in it.
    pub(crate) count: u32,
    /// Records that it was laid out for: more than `count` when damaged ones were left out of a merge.
    pub(crate) room: u32,
    pub(crate) key: KeyId,
    pub(crate) hash_key: [u8; HASH_KEY_LEN],
    /// Octets of the records.
    pub(crate) records_len: u64,
    pub(crate) prints_crc: u32,
    /// Runs whose records are all in this one.
    pub(crate) replaces: Vec<u64>,
}

/// What a sealed hash key is bound to.
pub(crate) fn aad(hour: u32) -> Aad {
    Aad {
        account: None,
        kind: AAD_KIND,
        version: 1,
        id: hour.into(),
        leg: 0,
    }
}

/// Pages of marks that so many records need.
pub(crate) fn pages(room: u32) -> usize {
    (room as usize).div_ceil(PAGE_MARKS * 8)
}

impl Header {
    pub(crate) fn octets(&self) -> [u8; HEADER_LEN] {
        let mut out = Vec::with_capacity(HEADER_LEN);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&[self.node, u8::try_from(self.replaces.len()).unwrap_or(0), 0, 0]);
        for word in [self.hour, self.count, self.room, self.key.0, self.prints_crc] {
            out.extend_from_slice(&word.to_be_bytes());
        }
        out.extend_from_slice(&self.number.to_be_bytes());
        out.extend_from_slice(&self.records_len.to_be_bytes());
        out.extend_from_slice(&self.hash_key);
        for run in self.replaces.iter().take(REPLACES_MAX) {
            out.extend_from_slice(&run.to_be_bytes());
        }
        let mut octets = [0; HEADER_LEN];
        octets[..out.len()].copy_from_slice(&out);
        let crc = crc32fast::hash(&octets[..HEADER_LEN - 4]);
        octets[HEADER_LEN - 4..].copy_from_slice(&crc.to_be_bytes());
        octets
    }

    /// Reads one; `None` when it is none of ours or damaged.
    pub(crate) fn read(octets: &[u8]) -> Option<Self> {
        let octets = octets.first_chunk::<HEADER_LEN>()?;
        let (body, crc) = octets.split_last_chunk::<4>()?;
        if !body.starts_with(MAGIC) || crc32fast::hash(body) != u32::from_be_bytes(*crc) {
            return None;
        }
        let replaces = usize::from(body[9]).min(REPLACES_MAX);
        let word = |at: usize| u32_at(body, at);
        Some(Self {
            node: body[8],
            hour: word(12),
            count: word(16),
            room: word(20),
            key: KeyId(word(24)),
            prints_crc: word(28),
            number: u64_at(body, 32),
            records_len: u64_at(body, 40),
            hash_key: body.get(48..)?.first_chunk().copied()?,
            replaces: (0..replaces)
                .map(|n| u64_at(body, 48 + HASH_KEY_LEN + 8 * n))
                .collect(),
        })
    }

    /// Where the table begins.
    pub(crate) fn table_at(&self) -> u64 {
        table_at(self.room)
    }

    /// Where the records begin.
    pub(crate) fn records_at(&self) -> u64 {
        records_at(self.room)
    }

    /// Where the prints begin.
    pub(crate) fn prints_at(&self) -> u64 {
        self.records_at() + self.records_len
    }

    /// Where a copy of a page of marks lies.
    pub(crate) fn page_at(page: usize, copy: usize) -> u64 {
        (HEADER_LEN + (2 * page + copy) * PAGE_LEN) as u64
    }
}

/// Where the table of a run begins that was laid out for so many records.
pub(crate) fn table_at(room: u32) -> u64 {
    (HEADER_LEN + pages(room) * 2 * PAGE_LEN) as u64
}

/// Where its records begin.
pub(crate) fn records_at(room: u32) -> u64 {
    table_at(room) + u64::from(room) * LINE_LEN as u64
}

/// A line of the table: a record's hash, where it begins among the records (40 bits), how long it is, and a
/// checksum of 8 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) hash: u64,
    pub(crate) offset: u64,
    pub(crate) len: u16,
}

impl Line {
    pub(crate) fn octets(&self) -> [u8; LINE_LEN] {
        let mut octets = [0; LINE_LEN];
        octets[..8].copy_from_slice(&self.hash.to_be_bytes());
        // 1 TiB of records, far above any run.
        let place = (self.offset << 24) | (u64::from(self.len) << 8);
        octets[8..].copy_from_slice(&place.to_be_bytes());
        octets[LINE_LEN - 1] = check(&octets);
        octets
    }

    /// Reads one; `None` where it is damaged, as far as an octet can tell.
    pub(crate) fn read(octets: &[u8]) -> Option<Self> {
        let octets = octets.first_chunk::<LINE_LEN>()?;
        if octets[LINE_LEN - 1] != check(octets) {
            return None;
        }
        let place = u64_at(octets, 8);
        Some(Self {
            hash: u64_at(octets, 0),
            offset: place >> 24,
            len: u16::try_from((place >> 8) & 0xffff).unwrap_or(0),
        })
    }
}

/// The last octet of a line: a wrong hash must not bring others out of order.
fn check(line: &[u8; LINE_LEN]) -> u8 {
    let [.., check] = crc32fast::hash(&line[..LINE_LEN - 1]).to_be_bytes();
    check
}

fn u32_at(octets: &[u8], at: usize) -> u32 {
    let word = octets.get(at..at + 4).and_then(|word| word.try_into().ok());
    word.map_or(0, u32::from_be_bytes)
}

pub(crate) fn u64_at(octets: &[u8], at: usize) -> u64 {
    let word = octets.get(at..at + 8).and_then(|word| word.try_into().ok());
    word.map_or(0, u64::from_be_bytes)
}

// ===== names =====

/// How far a file has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Written; whether its legs have left the spool is to be asked of the spool.
    Moving,
    /// A run.
    Whole,
    /// A merge that was not finished: nothing.
    Merging,
}

impl Form {
    const fn suffix(self) -> &'static str {
        match self {
            Self::Moving => "moving",
            Self::Whole => "waiting",
            Self::Merging => "merging",
        }
    }
}

/// The name of a run's file.
pub(crate) fn file_name(hour: u32, number: u64, form: Form) -> String {
    format!("{hour:08x}-{number:016x}.{}", form.suffix())
}

/// The suffix of files that were set aside.
pub(crate) const ASIDE: &str = "damaged";

/// The hour of a file that was set aside.
pub(crate) fn parse_aside(name: &str) -> Option<u32> {
    let (hour, _) = name.strip_suffix(ASIDE)?.split_once('-')?;
    u32::from_str_radix(hour, 16).ok()
}

/// What a file's name says: hour, number, form. Files that were set aside have no such name.
pub(crate) fn parse_name(name: &str) -> Option<(u32, u64, Form)> {
    let (stem, suffix) = name.split_once('.')?;
    let form = [Form::Moving, Form::Whole, Form::Merging]
        .into_iter()
        .find(|form| form.suffix() == suffix)?;
    let (hour, number) = stem.split_once('-')?;
    if (hour.len(), number.len()) != (8, 16) {
        return None;
    }
    let run = u64::from_str_radix(number, 16).ok()?;
    Some((u32::from_str_radix(hour, 16).ok()?, run, form))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            node: 3,
            hour: 498_744,
            number: 77,
            count: 4000,
            room: 4096,
            key: KeyId(9),
            hash_key: [5; HASH_KEY_LEN],
            records_len: 600_000,
            prints_crc: 4711,
            replaces: vec![1, 2, 70, 71],
        }
    }

    #[test]
    fn a_header_comes_back_and_notices_every_flipped_bit() {
        let header = header();
        assert_eq!(Header::read(&header.octets()), Some(header.clone()));
        for bit in 0..HEADER_LEN * 8 {
            let mut octets = header.octets();
            octets[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Header::read(&octets), None, "{bit}");
        }
        assert_eq!(Header::read(&header.octets()[..HEADER_LEN - 1]), None);
    }

    #[test]
    fn lines_and_names_come_back() {
        let line = Line {
            hash: u64::MAX - 5,
            offset: (1 << 39) + 3,
            len: 170,
        };
        assert_eq!(Line::read(&line.octets()), Some(line));
        for bit in 0..LINE_LEN * 8 {
            let mut octets = line.octets();
            octets[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Line::read(&octets), None, "{bit}");
        }
        for form in [Form::Moving, Form::Whole, Form::Merging] {
            let name = file_name(498_744, 77, form);
            assert_eq!(parse_name(&name), Some((498_744, 77, form)));
        }
        for name in [
            "00079c38-000000000000004d.damaged",
            "lock",
            "1-2.waiting",
            ".waiting",
        ] {
            assert_eq!(parse_name(name), None, "{name}");
        }
    }

    #[test]
    fn the_parts_of_a_run_do_not_overlap() {
        for room in [1, 4031, 4032, 4033, 1_000_000] {
            assert!(pages(room) * PAGE_MARKS * 8 >= room as usize);
            let last = Header::page_at(pages(room) - 1, 1) + PAGE_LEN as u64;
            assert_eq!(last, table_at(room), "{room}");
            assert_eq!(
                records_at(room) - table_at(room),
                u64::from(room) * LINE_LEN as u64
            );
        }
    }
}
