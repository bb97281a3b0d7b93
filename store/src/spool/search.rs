//! What ended before a start and is not in the history: found by reading segments again.
//!
//! Heads of records and ends are plain, so that nothing is opened for it. First the ends are collected of batches behind
//! the history's position, so many at a time; then, from the oldest segment on, where the newest record of each of these legs
//! lies, and what its carrier said of it after that. A step is one segment, so that the keeper does other things between
//! two. Until it is over no segment goes.

use std::io;
use std::sync::Arc;

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use tidegate_codec::identity::SystemId;

use crate::disk::{Access, Disk};
use crate::index::Location;
use crate::message_id::MessageId;
use crate::record::{self, Final, Kind, Payload, Raw};
use crate::seal::{Purpose, SealKey};
use crate::segment::{self, Found, Scan};
use crate::waiting::TRIES_MAX;

use super::chores::{ChoreError, Outcome};
use super::filing::{Source, Unfiled};
use super::keeper::Keeper;
use super::segments::Segments;

/// Ends that are collected at once, and one batch more.
const ENDS_MAX: usize = if cfg!(test) { 16 } else { 65_536 };

/// A leg that has ended, by its records.
#[derive(Clone, Debug)]
pub(super) struct EndFound {
    pub(super) id: MessageId,
    pub(super) leg: u16,
    pub(super) account: SystemId,
    /// How it ended; `None` where a record says that and all else.
    pub(super) end: Option<Final>,
    /// The record of the leg as a whole that was written last.
    pub(super) at: Option<Location>,
    /// What its carrier said of it after that.
    pub(super) handed_over: Option<Location>,
    with_body: bool,
    batch: u64,
    segment: u64,
}

impl EndFound {
    pub(super) fn unfiled(self) -> Unfiled {
        Unfiled {
            with_body: self.with_body,
            batch: self.batch,
            owed_in: self.at.map_or(self.segment, Location::segment),
            source: Source::Found(self),
        }
    }
}

enum Phase {
    /// Ends are collected, from this place among the segments on.
    Ends(usize),
    /// The legs that ended are looked for, at this place and up to that one.
    Legs(usize, usize),
    /// What was found is to be taken.
    Found(usize),
}

/// See the [module](self).
pub(super) struct Search {
    /// Those that keep something, and whether that is bodies, too.
    accounts: HashMap<SystemId, bool>,
    has_begun: bool,
    /// Numbers and last batches of the segments that a start has found.
    segments: Vec<(u64, u64)>,
    /// Ends in batches up to this one are known.
    from: u64,
    /// The last batch before the start.
    to: u64,
    phase: Phase,
    /// Up to which batch ends are collected.
    upto: u64,
    ends: Vec<EndFound>,
    by_leg: HashMap<(MessageId, u16), usize>,
    tries: u32,
    unreadable: u64,
}

impl Search {
    /// What there is to look for behind a position; `None`: nothing.
    pub(super) fn new(segments: &Segments, position: u64, last_batch: u64) -> Option<Self> {
        (last_batch > position).then(|| Self {
            accounts: HashMap::new(),
            has_begun: false,
            segments: segments
                .iter()
                .map(|(number, segment)| (number, segment.last_batch))
                .collect(),
            from: position,
            to: last_batch,
            phase: Phase::Ends(0),
            upto: position,
            ends: Vec::new(),
            by_leg: HashMap::new(),
            tries: 0,
            unreadable: 0,
        })
    }

    pub(super) const fn has_begun(&self) -> bool {
        self.has_begun
    }

    pub(super) fn begin(&mut self, accounts: HashMap<SystemId, bool>) {
        self.accounts = accounts;
        self.has_begun = true;
    }

    /// Whether all was found and taken.
    pub(super) const fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Ends(_)) && self.from >= self.to
    }

    /// A bunch of ends in the order of their batches, once they are whole, and up to which batch these are all.
    pub(super) fn take_found(&mut self) -> Option<(Vec<EndFound>, u64)> {
        let Phase::Found(place) = self.phase else {
            return None;
        };
        self.phase = Phase::Ends(place);
        self.from = self.upto;
        self.by_leg.clear();
        Some((std::mem::take(&mut self.ends), self.upto))
    }

    pub(super) const fn take_unreadable(&mut self) -> u64 {
        std::mem::replace(&mut self.unreadable, 0)
    }

    /// The segment that is to be read next.
    fn wanted(&mut self) -> Option<u64> {
        if let Phase::Ends(place) = self.phase {
            let behind = self.segments.iter().enumerate().skip(place);
            let next = behind
                .filter(|(_, (_, last))| *last > self.from)
                .map(|(place, _)| place)
                .next();
            match next {
                Some(place) => self.phase = Phase::Ends(place),
                None => self.ends_are_known(self.to, self.segments.len().saturating_sub(1)),
            }
        }
        match self.phase {
            Phase::Ends(place) | Phase::Legs(place, _) => self.segments.get(place).map(|(number, _)| *number),
            Phase::Found(_) => None,
        }
    }

    fn ends_are_known(&mut self, upto: u64, place: usize) {
        self.upto = upto;
        self.phase = if self.ends.is_empty() {
            Phase::Found(place)
        } else {
            Phase::Legs(0, place)
        };
    }

    /// Takes a segment in; one that is gone, or cannot be read, is empty.
    fn read(&mut self, number: u64, mut octets: Vec<u8>) {
        self.tries = 0;
        let batches: Vec<Found> = Scan::new(&octets, number).collect();
        let of_ends = match self.phase {
            Phase::Ends(place) => Some(place),
            _ => None,
        };
        for found in batches {
            // A start has counted damage already.
            let Found::Batch { header, at } = found else {
                continue;
            };
            let Some(records) = octets.get_mut(at..at + header.len as usize) else {
                continue;
            };
            let Some(place) = of_ends else {
                each_record(records, number, at, |raw, at| self.note_leg(&raw, at));
                continue;
            };
            if header.number > self.from && header.number <= self.to {
                each_record(records, number, at, |raw, at| {
                    self.note_end(raw, at, header.number);
                });
                if self.ends.len() >= ENDS_MAX {
                    return self.ends_are_known(header.number, place);
                }
            }
        }
        self.phase = match self.phase {
            // Behind what may have begun inside it.
            Phase::Ends(place) => Phase::Ends(place + 1),
            Phase::Legs(place, last) if place < last => Phase::Legs(place + 1, last),
            Phase::Legs(_, last) => Phase::Found(last),
            Phase::Found(place) => Phase::Found(place),
        };
    }

    fn note_end(&mut self, raw: Raw<'_>, at: Location, batch: u64) {
        let (id, leg, account) = (raw.head.id, raw.head.leg, raw.head.account);
        let is_part = leg > 0xff;
        let Some(with_body) = self.accounts.get(&account).copied().filter(|_| !is_part) else {
            return;
        };
        let (end, at, segment) = match raw.head.kind {
            Kind::Finished | Kind::Received => (None, Some(at), at.segment()),
            Kind::Final => match raw.open(Purpose::Sweep, |_| None::<Arc<SealKey>>) {
                Ok(Payload::Final(end)) => (Some(end), None, at.segment()),
                _ => {
                    self.unreadable += 1;
                    return;
                }
            },
            _ => return,
        };
        if let Entry::Vacant(place) = self.by_leg.entry((id, leg)) {
            place.insert(self.ends.len());
            self.ends.push(EndFound {
                id,
                leg,
                account,
                end,
                at,
                handed_over: None,
                with_body,
                batch,
                segment,
            });
        }
    }

    fn note_leg(&mut self, raw: &Raw<'_>, at: Location) {
        let place = self.by_leg.get(&(raw.head.id, raw.head.leg));
        let end = place.and_then(|place| self.ends.get_mut(*place));
        let Some(end) = end.filter(|end| end.end.is_some()) else {
            return;
        };
        match raw.head.kind {
            Kind::Leg => (end.at, end.handed_over) = (Some(at), None),
            Kind::HandedOver => end.handed_over = Some(at),
            _ => {}
        }
    }
}

/// Gives each record of a batch that can be named.
fn each_record(mut records: &mut [u8], segment: u64, mut at: usize, mut each: impl FnMut(Raw<'_>, Location)) {
    let word = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    while !records.is_empty() {
        let before = records.len();
        let Some((raw, rest)) = record::cut(records) else {
            return;
        };
        let len = before - rest.len();
        records = rest;
        if let Ok(raw) = raw {
            each(raw, Location::new(segment, word(at), word(len)));
        }
        at += len;
    }
}

impl<D: Disk> Keeper<D> {
    /// Reads one segment for it.
    pub(super) fn search(&self, mut search: Box<Search>) -> Outcome<D> {
        let Some(number) = search.wanted() else {
            return Outcome::Searched(search, Ok(()));
        };
        let octets = self
            .disk
            .open(&self.path(number), Access::Read)
            .and_then(|file| segment::read_all(&file));
        let result = match octets {
            Ok(octets) => {
                search.read(number, octets);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                search.read(number, Vec::new());
                Ok(())
            }
            Err(source) if search.tries < TRIES_MAX => {
                search.tries += 1;
                let operation = "read a segment for";
                Err(ChoreError::History { operation, source })
            }
            Err(error) => {
                tracing::error!(segment = number, %error, "what ended in a segment cannot be read for the history");
                search.unreadable += 1;
                search.read(number, Vec::new());
                Ok(())
            }
        };
        Outcome::Searched(search, result)
    }
}
