//! Reading every file of a spool and saying what is wrong with it. Nothing is changed, so that it can be done while a
//! gateway works on the files, and before one is started on files that may be damaged.

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::disk::{Access, Disk};
use crate::footer;
use crate::record::{self, RecordError};
use crate::seal::{KeyId, Purpose, SealKey};
use crate::segment::{self, Found, HEADER_LEN, Scan, SegmentHeader, TRAILER_LEN, Trailer};

/// Faults of one segment that are named; more are counted.
const FAULTS_MAX: usize = 100;

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The file cannot be read.
    Unreadable(io::ErrorKind),
    /// The segment's header is none.
    Header,
    /// Octets between two batches that are no batch.
    Stretch {
        /// Where they begin.
        from: usize,
        /// Where the next batch begins.
        to: usize,
    },
    /// Batches are missing before this one.
    Gap {
        /// How many.
        missing: u64,
        /// The number of the first that is there again.
        before: u64,
    },
    /// A record does not open, or makes no sense.
    Record {
        /// Where it begins.
        at: usize,
        /// Why.
        error: RecordError,
    },
    /// The footer does not open, or makes no sense. A start reads the batches instead.
    Footer,
}

/// What stands at the end of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FooterState {
    /// A footer that opens.
    Sound,
    /// None: the segment is written to, was cut off, or is to get one.
    None,
    /// One that does not open.
    Damaged,
}

/// What a segment holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentReport {
    /// Which.
    pub number: u64,
    /// Octets of its file.
    pub octets: u64,
    /// Batches that are whole.
    pub batches: u64,
    /// Records in them that open.
    pub records: u64,
    /// What stands at its end.
    pub footer: FooterState,
    /// Octets behind the last whole batch that are not zero: a write that was cut off, or is going on.
    pub torn_octets: usize,
    /// What is wrong, as far as it is named.
    pub faults: Vec<Fault>,
    /// All that is wrong, counted.
    pub fault_count: u64,
}

impl SegmentReport {
    fn new(number: u64) -> Self {
        Self {
            number,
            octets: 0,
            batches: 0,
            records: 0,
            footer: FooterState::None,
            torn_octets: 0,
            faults: Vec::new(),
            fault_count: 0,
        }
    }

    fn fault(&mut self, fault: Fault) {
        self.fault_count += 1;
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(fault);
        }
    }
}

/// Reads the segments of a directory one by one, oldest first, and tells of each. Those that a gateway removes
/// meanwhile are passed over. One segment is in memory at a time.
///
/// `key` gives the keys of the ring.
pub fn verify<D: Disk>(
    disk: &D,
    dir: &Path,
    key: impl Fn(KeyId) -> Option<Arc<SealKey>>,
    mut tell: impl FnMut(SegmentReport),
) -> io::Result<()> {
    let entries = disk.list(dir)?;
    let mut numbers: Vec<u64> = entries
        .iter()
        .filter_map(|entry| segment::number_of(&entry.name))
        .collect();
    numbers.sort_unstable();
    let mut last_batch = None;
    for number in numbers {
        let octets = disk
            .open(&dir.join(segment::file_name(number)), Access::Read)
            .and_then(|file| segment::read_all(&file));
        let mut report = SegmentReport::new(number);
        match octets {
            Ok(octets) => read_segment(octets, &key, &mut last_batch, &mut report),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Its batches are not missing, they are over.
                last_batch = None;
                continue;
            }
            Err(error) => report.fault(Fault::Unreadable(error.kind())),
        }
        tell(report);
    }
    Ok(())
}

fn read_segment(
    mut octets: Vec<u8>,
    key: &impl Fn(KeyId) -> Option<Arc<SealKey>>,
    last_batch: &mut Option<u64>,
    report: &mut SegmentReport,
) {
    report.octets = octets.len() as u64;
    let header = octets.first_chunk::<HEADER_LEN>();
    if header.and_then(|header| SegmentHeader::read(header)).is_none() {
        report.fault(Fault::Header);
    }
    let footer_at = footer_place(&octets);
    let mut scan = Scan::new(&octets, report.number);
    let found: Vec<Found> = scan.by_ref().collect();
    let end = scan.end();
    let tail = octets
        .get(end..footer_at.unwrap_or(octets.len()))
        .unwrap_or_default();
    report.torn_octets = tail
        .iter()
        .rposition(|octet| *octet != 0)
        .map_or(0, |last| last + 1);
    for found in found {
        match found {
            Found::Damage { from, to } => report.fault(Fault::Stretch { from, to }),
            Found::Batch { header, at } => {
                let expected = last_batch.map_or(header.number, |last| last + 1);
                if header.number > expected {
                    report.fault(Fault::Gap {
                        missing: header.number - expected,
                        before: header.number,
                    });
                }
                *last_batch = Some(header.number);
                report.batches += 1;
                if let Some(records) = octets.get_mut(at..at + header.len as usize) {
                    read_records(records, at, key, report);
                }
            }
        }
    }
    if let Some(at) = footer_at {
        let opens = octets
            .get_mut(at..)
            .is_some_and(|sealed| footer_opens(sealed, report.number, key));
        report.footer = if opens {
            FooterState::Sound
        } else {
            report.fault(Fault::Footer);
            FooterState::Damaged
        };
    }
}

fn read_records(
    mut records: &mut [u8],
    mut at: usize,
    key: &impl Fn(KeyId) -> Option<Arc<SealKey>>,
    report: &mut SegmentReport,
) {
    while !records.is_empty() {
        let before = records.len();
        let Some((raw, rest)) = record::cut(records) else {
            let error = RecordError::Malformed;
            return report.fault(Fault::Record { at, error });
        };
        let len = before - rest.len();
        records = rest;
        match raw.and_then(|raw| raw.open(Purpose::Sweep, key).map(|_| ())) {
            Ok(()) => report.records += 1,
            Err(error) => report.fault(Fault::Record { at, error }),
        }
        at += len;
    }
}

/// Where a footer begins, if the file ends with a trailer.
fn footer_place(octets: &[u8]) -> Option<usize> {
    let trailer = octets.last_chunk::<TRAILER_LEN>()?;
    let trailer = Trailer::read(trailer, octets.len() as u64)?;
    usize::try_from(trailer.footer_at).ok()
}

fn footer_opens(octets: &mut [u8], number: u64, key: &impl Fn(KeyId) -> Option<Arc<SealKey>>) -> bool {
    let sealed = octets.len().saturating_sub(TRAILER_LEN);
    let Some((id, sealed)) = octets
        .get_mut(..sealed)
        .and_then(<[u8]>::split_first_chunk_mut::<4>)
    else {
        return false;
    };
    let Some(key) = key(KeyId(u32::from_be_bytes(*id))) else {
        return false;
    };
    let Ok(plain) = key.open(&footer::aad(number), sealed, Purpose::Sweep) else {
        return false;
    };
    let mut fields = plain;
    if footer::read_summary(&mut fields).is_err() {
        return false;
    }
    while let Some(item) = footer::next(&mut fields, number) {
        if item.is_err() {
            return false;
        }
    }
    true
}
