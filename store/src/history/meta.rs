//! What is kept of a finished message, and its text.

use tidegate_codec::address::AddressBuf;
use tidegate_codec::message_id::MessageIdText;
use tidegate_codec::octets::Body;
use tidegate_codec::values::MessageState;

use crate::message_id::MessageId;
use crate::record::{Direction, Form};

/// A finished message, as it is kept: an allow-list of fields, none of which holds any of its text (RET-2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// Which message.
    pub id: MessageId,
    /// Which of its legs.
    pub leg: u16,
    /// Towards a handset, or from one.
    pub direction: Direction,
    /// The sender, as submitted.
    pub source: AddressBuf,
    /// The recipient, as submitted.
    pub destination: AddressBuf,
    /// When it was accepted, in unix milliseconds.
    pub accepted_ms: u64,
    /// When it ended, in unix milliseconds.
    pub final_ms: u64,
    /// When its validity ended, in unix milliseconds.
    pub expires_ms: u64,
    /// How it ended.
    pub state: MessageState,
    /// How often it was tried.
    pub attempts: u16,
    /// Which PDU it came in.
    pub form: Form,
    /// interface_version of the session that submitted it.
    pub interface_version: u8,
    /// How its id is written; the gateway's own code.
    pub id_form: u8,
    /// `registered_delivery` as submitted.
    pub registered_delivery: u8,
    /// `priority_flag`.
    pub priority: u8,
    /// Message category; the gateway's own code.
    pub category: u8,
    /// Parts that it counted as.
    pub parts: u8,
    /// `data_coding` as submitted.
    pub data_coding: u8,
    /// `service_type` as submitted, five octets with zeros behind.
    pub service_type: [u8; 5],
    /// The carrier that had it last, or empty.
    pub carrier: String,
    /// That carrier's id for it, or empty.
    pub carrier_id: MessageIdText,
    /// Units charged.
    pub settled: u32,
    /// Units given back.
    pub released: u32,
    /// Where it went, for statistics.
    pub place: Place,
}

/// The same, borrowed from where it is known, so that nothing is copied before it is put in.
pub(super) struct MetaRef<'a> {
    pub(super) id: MessageId,
    pub(super) leg: u16,
    pub(super) direction: Direction,
    pub(super) source: &'a AddressBuf,
    pub(super) destination: &'a AddressBuf,
    pub(super) accepted_ms: u64,
    pub(super) final_ms: u64,
    pub(super) expires_ms: u64,
    pub(super) state: MessageState,
    pub(super) attempts: u16,
    pub(super) form: Form,
    pub(super) interface_version: u8,
    pub(super) id_form: u8,
    pub(super) registered_delivery: u8,
    pub(super) priority: u8,
    pub(super) category: u8,
    pub(super) parts: u8,
    pub(super) data_coding: u8,
    pub(super) service_type: [u8; 5],
    pub(super) carrier: &'a str,
    pub(super) carrier_id: &'a [u8],
    pub(super) settled: u32,
    pub(super) released: u32,
    pub(super) place: Place,
}

impl Meta {
    pub(super) fn by_ref(&self) -> MetaRef<'_> {
        MetaRef {
            id: self.id,
            leg: self.leg,
            direction: self.direction,
            source: &self.source,
            destination: &self.destination,
            accepted_ms: self.accepted_ms,
            final_ms: self.final_ms,
            expires_ms: self.expires_ms,
            state: self.state,
            attempts: self.attempts,
            form: self.form,
            interface_version: self.interface_version,
            id_form: self.id_form,
            registered_delivery: self.registered_delivery,
            priority: self.priority,
            category: self.category,
            parts: self.parts,
            data_coding: self.data_coding,
            service_type: self.service_type,
            carrier: &self.carrier,
            carrier_id: self.carrier_id.as_bytes(),
            settled: self.settled,
            released: self.released,
            place: self.place,
        }
    }

    /// The person whom it is about: the recipient, or the sender of a message from a handset.
    pub const fn person(&self) -> &AddressBuf {
        match self.direction {
            Direction::Mt => &self.destination,
            Direction::Mo => &self.source,
        }
    }

    /// The account's own address in it: the sender, or the number that a handset wrote to.
    pub const fn own(&self) -> &AddressBuf {
        match self.direction {
            Direction::Mt => &self.source,
            Direction::Mo => &self.destination,
        }
    }
}

/// Where a number is at home, for statistics: found out when the message is filed, because tables change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// ISO 3166-1 letters, zeros where it is not known.
    pub country: [u8; 2],
    /// MCC and MNC as one number, the gateway's own way; 0 where it is not known.
    pub network: u32,
}

/// The text of a finished message, as the octets of its PDU's body.
#[derive(Clone, PartialEq, Eq)]
pub struct Text {
    /// Which message.
    pub id: MessageId,
    /// Which of its legs.
    pub leg: u16,
    /// When it was accepted, in unix milliseconds.
    pub accepted_ms: u64,
    /// When it ended, in unix milliseconds.
    pub final_ms: u64,
    /// Which PDU the body is of.
    pub form: Form,
    /// The PDU's body as it came.
    pub body: Vec<u8>,
}

impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let body = Body(&self.body);
        write!(f, "Text({:?} {} {body:?})", self.id, self.leg)
    }
}

/// The text of a message that is to be kept.
pub(super) struct TextRef<'a> {
    pub(super) id: MessageId,
    pub(super) leg: u16,
    pub(super) accepted_ms: u64,
    pub(super) final_ms: u64,
    pub(super) form: Form,
    pub(super) body: &'a [u8],
}
