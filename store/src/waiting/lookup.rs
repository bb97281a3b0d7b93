//! Looking for one message in the files, beside the gateway that works on them.
//!
//! The files are in the order of carriers' ids, so who knows a message by its own id must go through them: heads of records
//! are plain, and only those of the message are opened. Nothing is changed, so that it can be done on any thread; what a
//! gateway merges, renames or removes meanwhile is looked for once more.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tidegate_codec::message_id::MessageIdText;

use crate::disk::{Access, Disk, DiskFile};
use crate::message_id::MessageId;
use crate::record::{self, Kind, Payload, RecordError};
use crate::seal::{KeyId, Purpose, SealKey};

use super::done::Done;
use super::format::{Form, HEADER_LEN, Header, LINE_LEN, Line, file_name, parse_name};
use super::{At, FoundLeg, KeptBody, Place, hour_of};

/// Octets that one look reads at most.
const OCTETS_MAX: u64 = 1 << 30;
/// Lines of a table that are read at once.
const LINES: u32 = 1_024;
/// Octets of records that are read at once: what so many lines have is less, by far, where none of them is damaged.
const SPAN_MAX: u64 = 4 << 20;
/// Legs that are told of one message: as many as a submit_multi has recipients, and more.
const LEGS_MAX: usize = 1_000;
/// How often what changed while it was read is read again.
const TRIES: usize = 3;

/// What is looked for.
#[derive(Clone, Debug)]
pub struct Sought {
    /// The message may be any of these: one id may be read in several ways.
    pub messages: Vec<MessageId>,
    /// When its receipt's time may be over, in unix milliseconds: the files of these hours are read first, the others by their
    /// distance.
    pub near_ms: Vec<u64>,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Filed {
    /// Legs that are not marked as ended, each once.
    pub legs: Vec<FoundLeg>,
    /// A bound was reached: it may lie in what was not read.
    pub has_more: bool,
    /// Files, lines and records that could not be read.
    pub damaged: u64,
}

/// Looks for a message in the files of this directory. `key` gives the keys of the ring.
///
/// Once a leg is found, only the files of its hour, of those that are read first, and of the hours beside them are still read:
/// recipients of one message are handed over at about one time, as a rule.
///
/// # Errors
///
/// The directory cannot be listed. What is wrong with single files is counted.
pub fn look_up<D: Disk>(
    disk: &D,
    dir: &Path,
    key: impl Fn(KeyId) -> Option<Arc<SealKey>>,
    sought: &Sought,
) -> io::Result<Filed> {
    look_within(disk, dir, key, sought, OCTETS_MAX)
}

/// The same with a bound of its own.
pub(crate) fn look_within<D: Disk>(
    disk: &D,
    dir: &Path,
    key: impl Fn(KeyId) -> Option<Arc<SealKey>>,
    sought: &Sought,
    octets_max: u64,
) -> io::Result<Filed> {
    let mut looking = Looking {
        key,
        sought,
        filed: Filed::default(),
        replaced: Vec::new(),
        octets: 0,
    };
    let mut read = Vec::new();
    for _ in 0..TRIES {
        let mut has_changed = false;
        for (hour, number, form) in looking.runs(disk, dir)? {
            if read.contains(&number) || !looking.is_near(hour) {
                continue;
            }
            if looking.octets >= octets_max {
                looking.filed.has_more = true;
                break;
            }
            let opened = disk.open(&dir.join(file_name(hour, number, form)), Access::Read);
            match opened.and_then(|file| looking.read_run(&file, (hour, number, form))) {
                Ok(()) => read.push(number),
                Err(error) if error.kind() == io::ErrorKind::NotFound => has_changed = true,
                Err(_) => {
                    looking.filed.damaged += 1;
                    read.push(number);
                }
            }
        }
        if !has_changed || looking.filed.has_more {
            break;
        }
    }
    let Looking {
        mut filed, replaced, ..
    } = looking;
    let is_replaced = |leg: &FoundLeg| leg.place.at.is_some_and(|at| replaced.contains(&at.run));
    filed.legs.retain(|leg| !is_replaced(leg));
    filed.legs.sort_unstable_by_key(|leg| (leg.id, leg.leg));
    filed.legs.dedup_by_key(|leg| (leg.id, leg.leg));
    Ok(filed)
}

struct Looking<'s, K> {
    key: K,
    sought: &'s Sought,
    filed: Filed,
    /// Runs whose records are all in another one that was read: their marks may be old.
    replaced: Vec<u64>,
    octets: u64,
}

impl<K: Fn(KeyId) -> Option<Arc<SealKey>>> Looking<'_, K> {
    /// The runs in the order in which they are worth reading.
    fn runs<D: Disk>(&self, disk: &D, dir: &Path) -> io::Result<Vec<(u32, u64, Form)>> {
        let entries = match disk.list(dir) {
            // Made by the first gateway that knows such files.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let runs = entries.iter().filter_map(|entry| parse_name(&entry.name));
        // Nothing waits for a receipt in an hour before it was accepted.
        let messages = self.sought.messages.iter();
        let first = messages.map(|message| hour_of(message.ms())).min();
        let is_one = |(hour, _, form): &(u32, u64, Form)| {
            *form != Form::Merging && first.is_none_or(|first| *hour >= first)
        };
        let mut runs: Vec<(u32, u64, Form)> = runs.filter(is_one).collect();
        let distance = |hour: u32| {
            let hours = self.sought.near_ms.iter().map(|ms| hour_of(*ms).abs_diff(hour));
            hours.min().unwrap_or_default()
        };
        runs.sort_unstable_by_key(|(hour, number, _)| (distance(*hour), *hour, *number));
        Ok(runs)
    }

    /// Whether an hour may still hold a leg of the message, as far as those that were found tell.
    fn is_near(&self, hour: u32) -> bool {
        let is_beside = |other: u32| other.abs_diff(hour) <= 1;
        self.filed.legs.is_empty()
            || self.filed.legs.iter().any(|leg| is_beside(leg.place.hour))
            || self.sought.near_ms.iter().any(|ms| is_beside(hour_of(*ms)))
    }

    fn read_run<F: DiskFile>(&mut self, file: &F, (hour, number, form): (u32, u64, Form)) -> io::Result<()> {
        let mut octets = [0; HEADER_LEN];
        let mut header = None;
        for at in [0, file.len()?.saturating_sub(HEADER_LEN as u64)] {
            let read = file.read_at(&mut octets, at)?;
            header = header.or_else(|| Header::read(octets.get(..read).unwrap_or_default()));
        }
        let Some(header) = header else {
            // One that is being moved may not be written to its end, and its legs are in memory.
            self.filed.damaged += u64::from(form != Form::Moving);
            return Ok(());
        };
        let (done, pages) = Done::read(file, header.room)?;
        self.filed.damaged += pages;
        self.replaced.extend(&header.replaces);
        let mut rank = 0;
        while rank < header.count && self.filed.legs.len() < LEGS_MAX {
            let count = LINES.min(header.count - rank);
            let lines = self.lines(file, &header, rank, count)?;
            let mut span = Span::of(&lines, &header);
            self.octets += span.read(file, &header)?;
            for (at, line) in lines {
                let at = At {
                    run: number,
                    rank: at,
                };
                if done.is_done(at.rank) {
                    continue;
                }
                let Some(octets) = span.record(&line) else {
                    self.filed.damaged += 1;
                    continue;
                };
                match self.leg(octets, (hour, at), line) {
                    Ok(leg) => self.filed.legs.extend(leg),
                    Err(_) => self.filed.damaged += 1,
                }
            }
            rank += count;
        }
        Ok(())
    }

    /// Lines of a table from one rank on, with their ranks; those that are damaged are counted.
    fn lines<F: DiskFile>(
        &mut self,
        file: &F,
        header: &Header,
        first: u32,
        count: u32,
    ) -> io::Result<Vec<(u32, Line)>> {
        let mut octets = vec![0; count as usize * LINE_LEN];
        let at = header.table_at() + u64::from(first) * LINE_LEN as u64;
        let read = file.read_at(&mut octets, at)?;
        self.octets += read as u64;
        octets.truncate(read);
        let lines = (first..).zip(octets.chunks(LINE_LEN));
        let lines: Vec<_> = lines
            .filter_map(|(rank, line)| Some((rank, Line::read(line)?)))
            .collect();
        self.filed.damaged += u64::from(count) - lines.len() as u64;
        Ok(lines)
    }

    /// The leg of a record, if it is one that is looked for.
    fn leg(
        &self,
        octets: &mut [u8],
        (hour, at): (u32, At),
        line: Line,
    ) -> Result<Option<FoundLeg>, RecordError> {
        let raw = record::cut(octets).ok_or(RecordError::Malformed)?.0?;
        let head = raw.head;
        if head.kind != Kind::Leg || !self.sought.messages.contains(&head.id) {
            return Ok(None);
        }
        let Payload::Leg(leg) = raw.open(Purpose::Support, &self.key)? else {
            return Err(RecordError::Malformed);
        };
        Ok(Some(FoundLeg {
            id: head.id,
            leg: head.leg,
            account: head.account,
            attempts: leg.attempts,
            due_ms: leg.due_ms,
            carrier: leg.carrier.to_owned(),
            carrier_id: MessageIdText::new(leg.carrier_id).map_err(|_| RecordError::Malformed)?,
            quote: leg.quote,
            // Nobody who looks is shown it.
            body: KeptBody::default(),
            envelope: leg.envelope,
            place: Place {
                hour,
                hash: line.hash,
                at: Some(at),
            },
        }))
    }
}

/// The octets that the records of some lines take.
struct Span {
    from: u64,
    len: u64,
    octets: Vec<u8>,
}

impl Span {
    /// That of these lines. One that points elsewhere, which is damaged, is left out where it would make the span too long.
    fn of(lines: &[(u32, Line)], header: &Header) -> Self {
        let mut span = Self {
            from: 0,
            len: 0,
            octets: Vec::new(),
        };
        for (_, line) in lines {
            let end = line.offset + u64::from(line.len);
            let from = if span.len == 0 { line.offset } else { span.from };
            if (from..=header.records_len).contains(&end) && line.offset >= from && end - from <= SPAN_MAX {
                span.from = from;
                span.len = span.len.max(end - from);
            }
        }
        span
    }

    /// Reads it; how many octets that were.
    fn read<F: DiskFile>(&mut self, file: &F, header: &Header) -> io::Result<u64> {
        self.octets = vec![0; usize::try_from(self.len).unwrap_or_default()];
        let read = file.read_at(&mut self.octets, header.records_at() + self.from)?;
        self.octets.truncate(read);
        Ok(read as u64)
    }

    /// The record of a line; `None` where it lies elsewhere, or is cut off.
    fn record(&mut self, line: &Line) -> Option<&mut [u8]> {
        let from = usize::try_from(line.offset.checked_sub(self.from)?).ok()?;
        self.octets.get_mut(from..from.checked_add(line.len.into())?)
    }
}
