//! What the history is handed of a finished message, and how it is to be kept: of what class, for how long, under which keys.

use std::sync::Arc;

use tidegate_codec::address::AddressBuf;
use tidegate_codec::identity::SystemId;
use tidegate_codec::message_id::MessageIdText;

use super::{Direction, Place};
use crate::message_id::MessageId;
use crate::record::{Envelope, Final};

/// What of a finished message is kept apart, because rules of its own hold for it (compliance.md §7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kept {
    /// The record of the message with its numbers; never its text (RET-2).
    Meta = 1,
    /// The text, as the octets of the PDU's body.
    Body = 2,
}

impl Kept {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Meta, Self::Body];

    /// Its name, in reports and paths.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Body => "body",
        }
    }

    pub(super) fn from_octet(octet: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|class| *class as u8 == octet)
    }
}

/// How long the keys of a period serve: at most a thirtieth of the rule (ERA-4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Bucket {
    /// For rules below P30D.
    Hour = 0,
    /// For rules up to P210D.
    Day = 1,
    /// Beyond: from Monday on.
    Week = 2,
}

impl Bucket {
    pub(super) fn from_octet(octet: u8) -> Option<Self> {
        [Self::Hour, Self::Day, Self::Week]
            .into_iter()
            .find(|bucket| *bucket as u8 == octet)
    }

    /// The first hour, counted from 1970, of the period that an instant lies in.
    pub fn first_hour(self, at_ms: u64) -> u32 {
        let hour = u32::try_from(at_ms / HOUR_MS).unwrap_or(u32::MAX);
        match self {
            Self::Hour => hour,
            Self::Day => hour - hour % 24,
            // 1970 began on a Thursday.
            Self::Week => hour.saturating_sub((hour % (7 * 24) + 3 * 24) % (7 * 24)),
        }
    }

    /// How many hours a period has.
    pub const fn hours(self) -> u32 {
        match self {
            Self::Hour => 1,
            Self::Day => 24,
            Self::Week => 7 * 24,
        }
    }
}

pub(super) const HOUR_MS: u64 = 3_600_000;

/// Where a record of one class goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keep {
    /// The instant its rule counts from, in unix milliseconds.
    pub anchor_ms: u64,
    /// How long the keys of its periods serve.
    pub bucket: Bucket,
    /// The rule's length in words, such as `P90D`: periods of rules of one length lie together. Letters and digits.
    pub length: Arc<str>,
    /// Where the message went, for statistics.
    pub place: Place,
}

/// A leg that has ended, with what is known of it in memory.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Which message.
    pub id: MessageId,
    /// Which of its legs; parts of a text that we have cut are none.
    pub leg: u16,
    /// Whose.
    pub account: SystemId,
    /// Towards a handset, or from one.
    pub direction: Direction,
    /// What the message was.
    pub envelope: Envelope,
    /// How it ended.
    pub end: Final,
    /// The carrier that had it last, or empty.
    pub carrier: Arc<str>,
    /// The carrier's id for it, or empty.
    pub carrier_id: MessageIdText,
}

impl Finished {
    /// The person whom it is about, as [`Meta::person`](super::Meta::person).
    pub fn person(&self) -> AddressBuf {
        match self.direction {
            Direction::Mt => self.envelope.addresses.destination(),
            Direction::Mo => self.envelope.addresses.source(),
        }
    }

    /// The account's own address in it, as [`Meta::own`](super::Meta::own).
    pub fn own(&self) -> AddressBuf {
        match self.direction {
            Direction::Mt => self.envelope.addresses.source(),
            Direction::Mo => self.envelope.addresses.destination(),
        }
    }
}

/// Says where a class of a finished leg goes, at a time in unix milliseconds; `None`: no rule, so it is not stored (RET-1), or
/// one by which it would be due at once (RET-8).
pub type Plan = dyn Fn(&Finished, Kept, u64) -> Option<Keep> + Send + Sync;
