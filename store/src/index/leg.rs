//! An unfinished leg, as it is in memory.

use crate::chain::key;
use crate::message_id::MessageId;
use crate::names::NameId;
use crate::record::{Envelope, Stage};
use crate::slots::SlotId;

/// A leg while it is unfinished.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LegId(pub(super) SlotId);

/// Where a record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Location {
    pub(super) segment: u32,
    /// Octets from the start of the file.
    pub offset: u32,
    /// Octets of the record.
    pub len: u32,
}

impl Location {
    /// A place in a segment. (Segments beyond the two thousand millionth share a number: 128 PiB written.)
    pub fn new(segment: u64, offset: u32, len: u32) -> Self {
        Self {
            segment: key(segment),
            offset,
            len,
        }
    }

    /// Which segment; 0 while it is not written yet.
    pub const fn segment(self) -> u64 {
        self.segment as u64
    }
}

/// An unfinished leg.
#[derive(Clone, Debug)]
pub struct Leg {
    /// Which message.
    pub message: MessageId,
    /// Which of its legs: one per recipient, numbered from 0 up to 254, and the parts of those ([`Leg::part`]).
    pub leg: u16,
    /// Whose.
    pub account: NameId,
    /// The carrier that has it.
    pub carrier: Option<NameId>,
    /// What the message is.
    pub envelope: Envelope,
    /// Where it stands.
    pub stage: Stage,
    /// On a carrier link, unanswered. In memory only: after a crash the leg waits again.
    pub leased: bool,
    /// How often it was tried.
    pub attempts: u16,
    /// When something happens to it next, in unix milliseconds.
    pub due_ms: u64,
    /// Its newest record.
    pub(crate) at: Location,
    /// Octets that a copy of it would take: less than its record once nobody needs its body.
    pub(crate) weight: u32,
    /// The segment of its first record ([`key`]): footers repeat what happened to legs born elsewhere.
    pub(crate) born: u32,
    /// Counts changes, so that a copy made of an earlier state is recognised and dropped.
    pub(crate) revision: u32,
    /// Where the index keeps the carrier's id for it: most that wait have none.
    pub(crate) known_as: KnownAs,
}

/// The number of a part, 1 to 255, of the leg of this number, which is below 255.
pub(crate) const fn part_number(whole: u16, part: u8) -> u16 {
    whole | (part as u16) << 8
}

impl Leg {
    /// A leg that waits, and that nobody may have before it is on disk.
    pub(crate) fn staged(
        message: MessageId,
        leg: u16,
        account: NameId,
        envelope: Envelope,
        attempts: u16,
        due_ms: u64,
    ) -> Self {
        Self {
            message,
            leg,
            account,
            carrier: None,
            envelope,
            stage: Stage::Waiting,
            leased: true,
            attempts,
            due_ms,
            at: Location::default(),
            weight: 0,
            born: 0,
            revision: 0,
            known_as: KnownAs::default(),
        }
    }

    /// Which part of a long message it is, if it is one, from 1 on.
    pub const fn part(&self) -> Option<u8> {
        match self.leg.to_be_bytes()[0] {
            0 => None,
            part => Some(part),
        }
    }

    /// The number of the leg that it is a part of; its own, if it is none.
    pub const fn whole(&self) -> u16 {
        self.leg & 0xff
    }

    /// Parts that it counts as while it is handed over.
    pub fn parts(&self) -> u32 {
        match self.part() {
            Some(_) => 1,
            None => u32::from(self.envelope.parts.max(1)),
        }
    }
}

/// A place among the carriers' ids of an [`Index`](super::Index).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KnownAs(pub(super) u32);

impl Default for KnownAs {
    fn default() -> Self {
        Self(u32::MAX)
    }
}
