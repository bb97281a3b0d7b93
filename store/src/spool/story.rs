//! What the spool's records tell of one unfinished message, in the order in which they were written.
//!
//! Nothing is kept for this beside the records: they are read again, from the segment of the message's first one on. The
//! footer of a closed segment says whether it is worth reading. Nothing is changed, so that it can be done on any thread
//! while a gateway works on the files; segments that it removes meanwhile are passed over.

use std::io;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;

use tidegate_codec::identity::SystemId;
use tidegate_codec::values::MessageState;

use crate::disk::{Access, Disk, DiskFile};
use crate::footer::{self, Item};
use crate::message_id::MessageId;
use crate::record::{self, EntryKind, Kind, Payload, Raw, Stage};
use crate::seal::{KeyId, Purpose, SealKey};
use crate::segment::{self, Found, HEADER_LEN, Scan, SegmentHeader, TRAILER_LEN, Trailer};

use super::Spool;
use super::commit::FLOOR_AHEAD_MS;

/// Steps that are told of one message; more are left out.
const STEPS_MAX: usize = 1_000;
/// Octets that are read for it at most: what is longer is told as far as that.
const OCTETS_MAX: u64 = 1 << 30;

/// Whose story it is.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Which message.
    pub message: MessageId,
    /// Whose.
    pub account: SystemId,
    /// The id that its client was given: DLRs about it quote it.
    pub called: Vec<u8>,
    /// The segment to begin with: [`Spool::first_segment`]. Where memory does not know it the headers of segments say which were
    /// written when the message was accepted.
    pub first: Option<u64>,
}

/// What one record says. No body, no number, no carrier's id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The leg as a whole was written: when it was accepted, replaced, gone in parts or copied forward.
    Written {
        /// Where it stood.
        stage: Stage,
        /// How often it had been tried.
        attempts: u16,
        /// Whether no record of the leg came before it. A later one is the copy of a record that lay in a segment which was
        /// emptied, or another form of the leg: what came before that may lie in segments that are gone.
        is_first: bool,
    },
    /// A carrier took the leg.
    HandedOver {
        /// Which.
        carrier: String,
        /// How often it had been tried by then.
        attempts: u16,
        /// Until when a receipt may come, in unix milliseconds.
        deadline_ms: u64,
    },
    /// A try failed, or its client's date was changed; it is tried at a date.
    PutOff {
        /// When, in unix milliseconds.
        due_ms: u64,
        /// How often it had been tried by then.
        attempts: u16,
    },
    /// The leg left memory to wait for its receipt in a file.
    Filed,
    /// The leg ended.
    Ended {
        /// How.
        state: MessageState,
        /// When, by whoever said so, in unix milliseconds.
        done_ms: u64,
        /// How often it had been tried.
        attempts: u16,
    },
    /// A DLR about the message was made for its account, by this id of the outbox.
    Receipt(MessageId),
    /// It was fetched, or given up.
    ReceiptDone(MessageId),
    /// A record of it does not open.
    Unreadable,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// When its batch was made, in unix milliseconds.
    pub at_ms: u64,
    /// Which leg; 0 for DLRs.
    pub leg: u16,
    /// What.
    pub step: Step,
}

/// All that was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Story {
    /// In order.
    pub steps: Vec<Told>,
    /// A bound was reached: there is more.
    pub has_more: bool,
    /// Segments that could not be read, and stretches of those that were.
    pub damaged: u64,
}

impl<D: Disk> Spool<D> {
    /// The segment of the first record of an unfinished message's legs, as far as they have stayed there.
    pub fn first_segment(&self, message: MessageId) -> Option<u64> {
        let legs = self.index.legs_of(message);
        legs.map(|(_, leg)| u64::from(leg.born)).min()
    }
}

/// Reads it. One segment is in memory at a time. `key` gives the keys of the ring.
///
/// # Errors
///
/// The directory cannot be listed. What is wrong with single files is counted.
pub fn story<D: Disk>(
    disk: &D,
    dir: &Path,
    key: impl Fn(KeyId) -> Option<Arc<SealKey>>,
    wanted: &Wanted,
) -> io::Result<Story> {
    let entries = disk.list(dir)?;
    let numbers = entries.iter().filter_map(|entry| segment::number_of(&entry.name));
    let mut numbers: Vec<u64> = numbers.collect();
    numbers.sort_unstable();
    let first = wanted.first.map_or_else(
        || first_of(disk, dir, &numbers, wanted.message),
        |first| first..=first,
    );
    numbers.retain(|number| number >= first.start());
    let mut teller = Teller {
        key,
        wanted,
        first,
        receipts: Vec::new(),
        story: Story::default(),
        octets: 0,
    };
    for number in numbers {
        if teller.is_full() {
            teller.story.has_more = true;
            break;
        }
        match disk.open(&dir.join(segment::file_name(number)), Access::Read) {
            Ok(file) => teller.read_segment(&file, number),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(_) => teller.story.damaged += 1,
        }
    }
    Ok(teller.story)
}

/// The segments of which one holds the first record of a message, as far as it is still there: the last that was made before
/// it was accepted, and the one before that, since the next one is made ahead.
fn first_of<D: Disk>(disk: &D, dir: &Path, numbers: &[u64], message: MessageId) -> RangeInclusive<u64> {
    let is_before = |number: &u64| {
        let mut head = [0; HEADER_LEN];
        let file = disk.open(&dir.join(segment::file_name(*number)), Access::Read);
        let read = file.and_then(|file| file.read_at(&mut head, 0));
        let header = read.ok().and_then(|read| SegmentHeader::read(head.get(..read)?));
        // One that cannot be read is not known to be younger.
        header.is_none_or(|header| header.created_ms <= message.ms())
    };
    let last = numbers.iter().copied().rfind(is_before).unwrap_or_default();
    last.saturating_sub(1)..=last
}

struct Teller<'w, K> {
    key: K,
    wanted: &'w Wanted,
    /// Segments that are read whatever their footers say.
    first: RangeInclusive<u64>,
    /// DLRs about the message that were made.
    receipts: Vec<MessageId>,
    story: Story,
    octets: u64,
}

impl<K: Fn(KeyId) -> Option<Arc<SealKey>>> Teller<'_, K> {
    fn is_full(&self) -> bool {
        self.story.steps.len() >= STEPS_MAX || self.octets >= OCTETS_MAX
    }

    fn read_segment<F: DiskFile>(&mut self, file: &F, number: u64) {
        // What was born and has ended in a segment stands in no footer: the first is read in any case.
        if !self.first.contains(&number) && self.footer_is_silent(file, number) {
            return;
        }
        let Ok(mut octets) = segment::read_all(file) else {
            self.story.damaged += 1;
            return;
        };
        self.octets += octets.len() as u64;
        let found: Vec<Found> = Scan::new(&octets, number).collect();
        for found in found {
            match found {
                Found::Damage { .. } => self.story.damaged += 1,
                Found::Batch { header, at } => {
                    let at_ms = header.floor_ms.saturating_sub(FLOOR_AHEAD_MS);
                    if let Some(records) = octets.get_mut(at..at + header.len as usize) {
                        self.read_batch(records, at_ms);
                    }
                }
            }
        }
    }

    /// Whether a segment has a footer that opens and says nothing of the message.
    fn footer_is_silent<F: DiskFile>(&mut self, file: &F, number: u64) -> bool {
        let Some(mut octets) = footer_of(file) else {
            return false;
        };
        self.octets += octets.len() as u64;
        let Some((id, sealed)) = octets.split_first_chunk_mut::<4>() else {
            return false;
        };
        let Some(key) = (self.key)(KeyId(u32::from_be_bytes(*id))) else {
            return false;
        };
        let Ok(mut fields) = key.open(&footer::aad(number), sealed, Purpose::Support) else {
            return false;
        };
        if footer::read_summary(&mut fields).is_err() {
            return false;
        }
        while let Some(item) = footer::next(&mut fields, number) {
            let named = match item {
                Ok(Item::Event { id, .. }) => id,
                Ok(Item::Leg(leg)) => leg.id,
                Ok(Item::Entry(entry)) => entry.id,
                Ok(Item::Counted { .. } | Item::Standing { .. }) => continue,
                Err(_) => return false,
            };
            if named == self.wanted.message || self.receipts.contains(&named) {
                return false;
            }
        }
        true
    }

    fn read_batch(&mut self, mut records: &mut [u8], at_ms: u64) {
        while let Some((raw, rest)) = record::cut(records) {
            records = rest;
            if self.story.steps.len() >= STEPS_MAX {
                self.story.has_more = true;
                return;
            }
            // One that cannot be named may be anybody's.
            let Ok(raw) = raw else { continue };
            let leg = raw.head.leg;
            if let Some(step) = self.step(raw) {
                self.story.steps.push(Told { at_ms, leg, step });
            }
        }
    }

    fn step(&mut self, raw: Raw<'_>) -> Option<Step> {
        let (kind, id, leg) = (raw.head.kind, raw.head.id, raw.head.leg);
        match kind {
            Kind::Entry if raw.head.account == self.wanted.account => {
                let Ok(Payload::Entry(entry)) = raw.open(Purpose::Support, &self.key) else {
                    return None;
                };
                let is_about = entry.kind == EntryKind::Dlr
                    && memchr::memmem::find(entry.body, &self.wanted.called).is_some();
                // A copy of it, forward, tells nothing new.
                if !is_about || self.receipts.contains(&id) {
                    return None;
                }
                self.receipts.push(id);
                Some(Step::Receipt(id))
            }
            Kind::Settled | Kind::SettledMoved if self.receipts.contains(&id) => Some(Step::ReceiptDone(id)),
            _ if id != self.wanted.message => None,
            _ => match raw.open(Purpose::Support, &self.key) {
                Ok(payload) => self.told(leg, payload),
                Err(_) => Some(Step::Unreadable),
            },
        }
    }

    fn told(&self, leg: u16, payload: Payload<'_>) -> Option<Step> {
        let is_first = || {
            let mut told = self.story.steps.iter().filter(|told| told.leg == leg);
            !told.any(|told| matches!(told.step, Step::Written { .. }))
        };
        let ended = |end: record::Final| Step::Ended {
            state: end.state,
            done_ms: end.at_ms,
            attempts: end.attempts,
        };
        Some(match payload {
            Payload::Leg(leg) => Step::Written {
                stage: leg.stage,
                attempts: leg.attempts,
                is_first: is_first(),
            },
            Payload::HandedOver(step) => Step::HandedOver {
                carrier: step.carrier.to_owned(),
                attempts: step.attempts,
                deadline_ms: step.deadline_ms,
            },
            Payload::Retry(step) => Step::PutOff {
                due_ms: step.due_ms,
                attempts: step.attempts,
            },
            Payload::Final(end) => ended(end),
            Payload::FinalMoved(moved) => ended(moved.end),
            Payload::Moved(_) => Step::Filed,
            // Where it ended in a file, its end is told by the record beside it; and the parts tell their ends themselves.
            Payload::Finished(_) | Payload::Progressed(_) => return None,
            Payload::Entry(_)
            | Payload::Settled
            | Payload::SettledMoved(_)
            | Payload::Counted(_)
            | Payload::Standing(_) => return None,
        })
    }
}

/// A footer as it lies, sealed; `None` for a segment that has none, or whose file does not give it.
fn footer_of<F: DiskFile>(file: &F) -> Option<Vec<u8>> {
    let len = file.len().ok()?;
    let mut trailer = [0; TRAILER_LEN];
    let at = len.checked_sub(TRAILER_LEN as u64)?;
    if file.read_at(&mut trailer, at).ok()? < TRAILER_LEN {
        return None;
    }
    let trailer = Trailer::read(&trailer, len)?;
    let mut octets = vec![0; trailer.footer_len as usize];
    let read = file.read_at(&mut octets, trailer.footer_at).ok()?;
    (read == octets.len()).then_some(octets)
}
