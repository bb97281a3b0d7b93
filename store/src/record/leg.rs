//! A message's leg in records: what it is, where it stands, and the steps of its life to its end.

use std::fmt;

use tidegate_codec::octets::Body;
use tidegate_codec::values::MessageState;

use super::fields::{
    get_address, get_array, get_name, get_short, get_u8, get_u16, get_u32, get_u64, put_address, put_short,
};
use super::{HEAD_LEN, RecordError};
use crate::addresses::Addresses;
use crate::progress::Progress;
use crate::quote::Quote;
use crate::seal::SEALED_OVERHEAD;
use crate::service_type::ServiceType;

/// Octets of a leg's fields of fixed length.
const LEG_FIXED_LEN: usize = 10 + 5 + 2 + 2 + 3 * 8;

/// Which way a message goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// Towards a handset: the person is the recipient.
    #[default]
    Mt,
    /// From a handset: the person is the sender.
    Mo,
}

impl Direction {
    /// Its name, in reports and files.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Mt => "mt",
            Self::Mo => "mo",
        }
    }
}

/// Which PDU a body is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Form {
    /// submit_sm towards a carrier, deliver_sm towards an ESME.
    Sm = 0,
    /// data_sm.
    DataSm = 1,
}

impl Form {
    pub(crate) const fn from_octet(octet: u8) -> Option<Self> {
        match octet {
            0 => Some(Self::Sm),
            1 => Some(Self::DataSm),
            _ => None,
        }
    }
}

/// What a message is, apart from its body; kept in memory while it is unfinished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// Sender and recipient, as submitted.
    pub addresses: Addresses,
    /// Which PDU the body is of.
    pub form: Form,
    /// interface_version of the session that submitted (its rules read `registered_delivery`, and its
    /// form of message ids is the one to answer with).
    pub interface_version: u8,
    /// How ids are written for this message; the gateway's own code.
    pub id_form: u8,
    /// `registered_delivery` as submitted.
    pub registered_delivery: u8,
    /// `priority_flag`.
    pub priority: u8,
    /// Message category; the gateway's own code, 0 while there are none.
    pub category: u8,
    /// Parts that the message counts as.
    pub parts: u8,
    /// `data_coding` as submitted.
    pub data_coding: u8,
    /// What decides between carriers that take turns: the same for all parts of one long message, else the next
    /// number of its route. The gateway's own.
    pub lot: u8,
    /// `service_type` as submitted.
    pub service_type: ServiceType,
    /// Units reserved for it; 0 while nothing is charged.
    pub charge: u16,
    /// When it was accepted, in unix milliseconds.
    pub accepted_ms: u64,
    /// When its validity ends, in unix milliseconds.
    pub expires_ms: u64,
}

/// Where a leg stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Stage {
    /// To be handed over, when `due_ms` has come.
    Waiting = 0,
    /// A carrier has it and a receipt may come until `due_ms`.
    HandedOver = 1,
    /// Its parts are legs of their own and are under way; it ends when the outcome of the whole is known.
    InParts = 2,
    /// It is handed over to nobody until it is [released](crate::spool::Spool::release); its validity runs.
    Held = 3,
}

impl Stage {
    /// Whether no carrier has had the leg, so that its body is needed still.
    pub const fn is_ahead(self) -> bool {
        match self {
            Self::Waiting | Self::Held => true,
            Self::HandedOver | Self::InParts => false,
        }
    }
}

/// A leg as a whole.
#[derive(Clone, PartialEq, Eq)]
pub struct LegRecord<'a> {
    /// What the message is.
    pub envelope: Envelope,
    /// Where it stands.
    pub stage: Stage,
    /// How often it was tried.
    pub attempts: u16,
    /// When something happens to it next, in unix milliseconds.
    pub due_ms: u64,
    /// The carrier that has it, or empty.
    pub carrier: &'a str,
    /// The carrier's id for it in its canonical form, or empty.
    pub carrier_id: &'a [u8],
    /// What its receipts are to quote.
    pub quote: Quote,
    /// How far its parts have come, of a leg that is [`Stage::InParts`], and of no other.
    pub progress: Option<Progress>,
    /// The PDU's body as it came; empty where it is needed no more.
    pub body: &'a [u8],
}

/// A carrier took the leg.
#[derive(Clone, PartialEq, Eq)]
pub struct HandedOver<'a> {
    /// Which carrier.
    pub carrier: &'a str,
    /// Its id for the leg in its canonical form.
    pub carrier_id: &'a [u8],
    /// Until when a receipt may come, in unix milliseconds.
    pub deadline_ms: u64,
    /// How often the leg was tried.
    pub attempts: u16,
}

/// The leg is to be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// When, in unix milliseconds.
    pub due_ms: u64,
    /// How often it was tried.
    pub attempts: u16,
}

/// The leg is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Final {
    /// How it ended.
    pub state: MessageState,
    /// When, in unix milliseconds.
    pub at_ms: u64,
    /// How often it was tried.
    pub attempts: u16,
    /// Units charged.
    pub settled: u32,
    /// Units given back.
    pub released: u32,
}

/// A leg that has ended, with all that is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinishedLeg<'a> {
    /// How it ended.
    pub end: Final,
    /// The leg as it stood; with its body, if its account keeps bodies and it was still there.
    pub leg: LegRecord<'a>,
}

/// The leg is done, and its record in a waiting file is to be marked so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FinalMoved {
    /// How it ended.
    pub end: Final,
    /// The hour of its deadline, counted from 1970.
    pub hour: u32,
    /// The keyed hash under which it lies there.
    pub hash: u64,
}

// Bodies and carriers' ids show their length only (P4); addresses do so of themselves.

impl fmt::Debug for LegRecord<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LegRecord")
            .field("envelope", &self.envelope)
            .field("stage", &self.stage)
            .field("attempts", &self.attempts)
            .field("due_ms", &self.due_ms)
            .field("carrier", &self.carrier)
            .field("carrier_id", &self.carrier_id.len())
            .field("quote", &self.quote)
            .field("progress", &self.progress)
            .field("body", &Body(self.body))
            .finish()
    }
}

impl fmt::Debug for HandedOver<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandedOver")
            .field("carrier", &self.carrier)
            .field("carrier_id", &self.carrier_id.len())
            .field("deadline_ms", &self.deadline_ms)
            .field("attempts", &self.attempts)
            .finish()
    }
}

/// Octets of the record of a leg whose body nobody needs any more, given the lengths of the names in it.
pub(crate) fn bodyless_len(
    account: usize,
    carrier: usize,
    carrier_id: usize,
    quote: Quote,
    envelope: &Envelope,
) -> u32 {
    let names = carrier + carrier_id + quote.len();
    let payload = LEG_FIXED_LEN + 3 + names + 2 * 3 + envelope.addresses.len();
    let len = HEAD_LEN + account + 4 + SEALED_OVERHEAD + payload;
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// The fields of a leg without its body; footers hold these too.
pub(crate) fn put_leg(out: &mut Vec<u8>, leg: &LegRecord<'_>) {
    let envelope = &leg.envelope;
    out.extend_from_slice(&[
        leg.stage as u8,
        envelope.form as u8,
        envelope.interface_version,
        envelope.id_form,
        envelope.registered_delivery,
        envelope.priority,
        envelope.category,
        envelope.parts,
        envelope.data_coding,
        envelope.lot,
    ]);
    out.extend_from_slice(&envelope.service_type.padded());
    out.extend_from_slice(&leg.attempts.to_be_bytes());
    out.extend_from_slice(&envelope.charge.to_be_bytes());
    for ms in [envelope.accepted_ms, envelope.expires_ms, leg.due_ms] {
        out.extend_from_slice(&ms.to_be_bytes());
    }
    put_short(out, leg.carrier.as_bytes());
    put_short(out, leg.carrier_id);
    put_short(out, leg.quote.as_bytes());
    if leg.stage == Stage::InParts {
        leg.progress.clone().unwrap_or_else(|| Progress::of(0)).put(out);
    }
    put_address(out, &envelope.addresses.source());
    put_address(out, &envelope.addresses.destination());
    out.extend_from_slice(leg.body);
}

pub(crate) fn put_handed_over(out: &mut Vec<u8>, step: &HandedOver<'_>) {
    out.extend_from_slice(&step.deadline_ms.to_be_bytes());
    out.extend_from_slice(&step.attempts.to_be_bytes());
    put_short(out, step.carrier.as_bytes());
    put_short(out, step.carrier_id);
}

pub(super) fn put_final(out: &mut Vec<u8>, end: &Final) {
    out.push(end.state.octet());
    out.extend_from_slice(&end.at_ms.to_be_bytes());
    out.extend_from_slice(&end.attempts.to_be_bytes());
    out.extend_from_slice(&end.settled.to_be_bytes());
    out.extend_from_slice(&end.released.to_be_bytes());
}

/// The fields of a leg; the rest of the input is its body.
pub(crate) fn get_leg<'a>(fields: &mut &'a [u8]) -> Result<LegRecord<'a>, RecordError> {
    let stage = match get_u8(fields)? {
        0 => Stage::Waiting,
        1 => Stage::HandedOver,
        2 => Stage::InParts,
        3 => Stage::Held,
        _ => return Err(RecordError::Malformed),
    };
    let form = get_form(fields)?;
    let interface_version = get_u8(fields)?;
    let id_form = get_u8(fields)?;
    let registered_delivery = get_u8(fields)?;
    let priority = get_u8(fields)?;
    let category = get_u8(fields)?;
    let parts = get_u8(fields)?;
    let data_coding = get_u8(fields)?;
    let lot = get_u8(fields)?;
    let service_type = ServiceType::from_padded(get_array(fields)?);
    let attempts = get_u16(fields)?;
    let charge = get_u16(fields)?;
    let accepted_ms = get_u64(fields)?;
    let expires_ms = get_u64(fields)?;
    let due_ms = get_u64(fields)?;
    let carrier = get_name(fields)?;
    let carrier_id = get_short(fields)?;
    let quote = Quote::read(get_short(fields)?).ok_or(RecordError::Malformed)?;
    let progress = match stage {
        Stage::InParts => Some(Progress::get(fields)?),
        Stage::Waiting | Stage::HandedOver | Stage::Held => None,
    };
    let source = get_address(fields)?;
    let destination = get_address(fields)?;
    let body = std::mem::take(fields);
    let envelope = Envelope {
        addresses: Addresses::new(&source, &destination),
        form,
        interface_version,
        id_form,
        registered_delivery,
        priority,
        category,
        parts,
        data_coding,
        lot,
        service_type,
        charge,
        accepted_ms,
        expires_ms,
    };
    Ok(LegRecord {
        envelope,
        stage,
        attempts,
        due_ms,
        carrier,
        carrier_id,
        quote,
        progress,
        body,
    })
}

pub(crate) fn get_handed_over<'a>(fields: &mut &'a [u8]) -> Result<HandedOver<'a>, RecordError> {
    let deadline_ms = get_u64(fields)?;
    let attempts = get_u16(fields)?;
    let carrier = get_name(fields)?;
    let carrier_id = get_short(fields)?;
    Ok(HandedOver {
        carrier,
        carrier_id,
        deadline_ms,
        attempts,
    })
}

pub(super) fn get_final(fields: &mut &[u8]) -> Result<Final, RecordError> {
    Ok(Final {
        state: MessageState::from_octet(get_u8(fields)?).ok_or(RecordError::Malformed)?,
        at_ms: get_u64(fields)?,
        attempts: get_u16(fields)?,
        settled: get_u32(fields)?,
        released: get_u32(fields)?,
    })
}

pub(super) fn get_form(fields: &mut &[u8]) -> Result<Form, RecordError> {
    Form::from_octet(get_u8(fields)?).ok_or(RecordError::Malformed)
}
