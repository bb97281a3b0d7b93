//! Reading every run of waiting or outbox files and saying what is wrong with it; nothing is changed, as with the
//! spool's own files.

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::disk::{Access, Disk, DiskFile};
use crate::record::{self, RecordError};
use crate::seal::{KeyId, Purpose, SealKey};

use super::done::Done;
use super::format::{self, ASIDE, Form, HEADER_LEN, Header, LINE_LEN, Line, parse_name};
use super::prints::Prints;

/// Lines of a run that are read at once, with their records.
const LINES: u32 = 1024;
/// Faults of one run that are named; more are counted.
const FAULTS_MAX: usize = 100;

/// Something in a run that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunFault {
    /// The file cannot be read.
    Unreadable(io::ErrorKind),
    /// Its header is damaged in both places. For a run that is being moved that is no fault: it may be cut off.
    Header,
    /// An earlier start could not read it and set it aside.
    Aside,
    /// The key that its header names is none of ours, or does not open it.
    Key,
    /// Pages of done marks that can be read in neither copy: so many. What they marked counts as not done.
    Marks(u64),
    /// The filter is damaged: a start makes it anew.
    Filter,
    /// A line of the table is damaged.
    Line {
        /// Which.
        rank: u32,
    },
    /// A record does not open, or makes no sense.
    Record {
        /// Which.
        rank: u32,
        /// Why.
        error: RecordError,
    },
}

/// What a run holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunReport {
    /// The name of its file.
    pub name: String,
    /// Octets of it.
    pub octets: u64,
    /// Records that open.
    pub records: u64,
    /// Records that are marked done.
    pub done: u64,
    /// What is wrong, as far as it is named.
    pub faults: Vec<RunFault>,
    /// All that is wrong, counted.
    pub fault_count: u64,
}

impl RunReport {
    fn fault(&mut self, fault: RunFault) {
        self.fault_count += 1;
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(fault);
        }
    }
}

/// Reads the runs of a directory one by one and tells of each. Those that a gateway removes or renames meanwhile are
/// passed over. `key` gives the keys of the ring.
pub fn verify_runs<D: Disk>(
    disk: &D,
    dir: &Path,
    key: impl Fn(KeyId) -> Option<Arc<SealKey>>,
    mut tell: impl FnMut(RunReport),
) -> io::Result<()> {
    let entries = match disk.list(dir) {
        // Made by the first gateway that knows such files.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    let mut names: Vec<String> = entries.into_iter().map(|entry| entry.name).collect();
    names.sort_unstable();
    for name in names {
        let is_aside = Path::new(&name).extension().is_some_and(|suffix| suffix == ASIDE);
        let form = parse_name(&name).map(|(_, _, form)| form);
        if !is_aside && !matches!(form, Some(Form::Whole | Form::Moving)) {
            continue;
        }
        let mut report = RunReport {
            name: name.clone(),
            octets: 0,
            records: 0,
            done: 0,
            faults: Vec::new(),
            fault_count: 0,
        };
        let read = disk.open(&dir.join(&name), Access::Read).and_then(|file| {
            report.octets = file.len()?;
            if is_aside {
                report.fault(RunFault::Aside);
                return Ok(());
            }
            read_run(&file, form == Some(Form::Moving), &key, &mut report)
        });
        match read {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => report.fault(RunFault::Unreadable(error.kind())),
        }
        tell(report);
    }
    Ok(())
}

fn read_run<F: DiskFile>(
    file: &F,
    is_moving: bool,
    key: &impl Fn(KeyId) -> Option<Arc<SealKey>>,
    report: &mut RunReport,
) -> io::Result<()> {
    let mut octets = [0; HEADER_LEN];
    let mut header = None;
    for at in [0, report.octets.saturating_sub(HEADER_LEN as u64)] {
        let read = file.read_at(&mut octets, at)?;
        header = header.or_else(|| Header::read(octets.get(..read).unwrap_or_default()));
    }
    let Some(header) = header else {
        if !is_moving {
            report.fault(RunFault::Header);
        }
        return Ok(());
    };
    let opens = |key: &Arc<SealKey>| {
        let mut sealed = header.hash_key;
        key.open(&format::aad(header.hour), &mut sealed, Purpose::Sweep)
            .is_ok()
    };
    let Some(key) = key(header.key).filter(opens) else {
        report.fault(RunFault::Key);
        return Ok(());
    };
    let (done, pages) = Done::read(file, header.room)?;
    report.done = done.count().into();
    if pages > 0 {
        report.fault(RunFault::Marks(pages));
    }
    let mut prints = vec![0; Prints::len_for(header.count, header.room)];
    let read = file.read_at(&mut prints, header.prints_at())?;
    let is_whole = read == prints.len() && crc32fast::hash(&prints) == header.prints_crc;
    if !is_whole || Prints::read(&prints, header.count, header.room).is_none() {
        report.fault(RunFault::Filter);
    }
    let mut rank = 0;
    while rank < header.count {
        let count = LINES.min(header.count - rank);
        read_lines(file, &header, &key, rank..rank + count, report)?;
        rank += count;
    }
    Ok(())
}

fn read_lines<F: DiskFile>(
    file: &F,
    header: &Header,
    key: &Arc<SealKey>,
    ranks: std::ops::Range<u32>,
    report: &mut RunReport,
) -> io::Result<()> {
    let mut octets = vec![0; ranks.len() * LINE_LEN];
    let at = header.table_at() + u64::from(ranks.start) * LINE_LEN as u64;
    let read = file.read_at(&mut octets, at)?;
    octets.truncate(read);
    let mut lines = octets.chunks(LINE_LEN).map(Line::read);
    for rank in ranks {
        let Some(line) = lines.next().flatten() else {
            report.fault(RunFault::Line { rank });
            continue;
        };
        let mut record = vec![0; line.len.into()];
        let end = line.offset.saturating_add(line.len.into());
        let read = file.read_at(&mut record, header.records_at().saturating_add(line.offset))?;
        let opened = if end > header.records_len || read < record.len() {
            Err(RecordError::Malformed)
        } else {
            open(&mut record, key)
        };
        match opened {
            Ok(()) => report.records += 1,
            Err(error) => report.fault(RunFault::Record { rank, error }),
        }
    }
    Ok(())
}

fn open(record: &mut [u8], key: &Arc<SealKey>) -> Result<(), RecordError> {
    let raw = record::cut(record).ok_or(RecordError::Malformed)?.0?;
    raw.open(Purpose::Sweep, |id| (key.id() == id).then_some(key))?;
    Ok(())
}
