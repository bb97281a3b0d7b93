//! Records of the spool: what one step of a message's life looks like on disk.
//!
//! ```text
//! length u32 │ kind u8 │ version u8 │ leg u16 │ id u64 │ n u8 │ account n × u8 │ payload
//! ```
//!
//! `length` counts what follows it; integers are big endian. Payloads that hold an address, a body or a
//! carrier's id are sealed (P4): `key u32 │ nonce ‖ ciphertext ‖ tag`, with account, kind, version, id and
//! leg as associated data, so that a record that is moved or relabelled does not open. The others (a state,
//! a date, a count) are plain; the batch's checksum covers them.

use std::fmt;
use std::num::NonZeroU32;
use std::ops::Range;

use bytes::Buf;
use rand_core::CryptoRng;
use tidegate_codec::address::{AddressBuf, Npi, Ton};
use tidegate_codec::identity::SystemId;
use tidegate_codec::octets::Body;
use tidegate_codec::values::MessageState;

use crate::addresses::Addresses;
use crate::message_id::MessageId;
use crate::progress::Progress;
use crate::quote::Quote;
use crate::seal::{Aad, KeyId, Purpose, SEALED_OVERHEAD, SealError, SealKey};
use crate::service_type::ServiceType;
use crate::standing::Change;
use crate::usage::{Counted, Period};

/// Version of every record form below; 2 since legs say how their text is written, and their lot.
pub const VERSION: u8 = 2;
/// Octets before the account's name, the length field included.
const HEAD_LEN: usize = 4 + 1 + 1 + 2 + 8 + 1;
/// Octets that a record of [`Kind::Counted`] takes at most.
pub(crate) const COUNTED_MAX: u64 = HEAD_LEN as u64 + 15 + 16;
/// Octets of a leg's fields of fixed length.
const LEG_FIXED_LEN: usize = 10 + 5 + 2 + 2 + 3 * 8;

/// The kinds of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A leg as a whole: when accepted, when copied forward, when it is to be tried again. Sealed.
    Leg = 1,
    /// A carrier took the leg; its id for it. Sealed.
    HandedOver = 2,
    /// The leg is to be tried again at a date. Plain.
    Retry = 3,
    /// The leg's final state. Plain.
    Final = 4,
    /// A DLR or MO for an account. Sealed.
    Entry = 5,
    /// An entry was fetched, or given up. Plain.
    Settled = 6,
    /// The leg lies in a waiting file from now on. Plain.
    Moved = 7,
    /// The final state of a leg that lies in a waiting file. Plain.
    FinalMoved = 8,
    /// An entry that lies in an outbox file was fetched, or given up. Plain.
    SettledMoved = 9,
    /// Parts that an account's new legs of this batch count as. Plain.
    Counted = 10,
    /// A change of [standing data](crate::standing). Sealed.
    Standing = 11,
    /// All of a leg that has ended where it lay in a waiting file, for the [history](crate::history). Sealed.
    Finished = 12,
    /// How far the parts of a leg have come, where its record stays as it is for its body's sake. Sealed.
    Progressed = 13,
    /// All of a message from a handset, for the [history](crate::history); its payload is that of [`Kind::Finished`]. Sealed.
    Received = 14,
}

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

impl Kind {
    fn from_octet(octet: u8) -> Option<Self> {
        Some(match octet {
            1 => Self::Leg,
            2 => Self::HandedOver,
            3 => Self::Retry,
            4 => Self::Final,
            5 => Self::Entry,
            6 => Self::Settled,
            7 => Self::Moved,
            8 => Self::FinalMoved,
            9 => Self::SettledMoved,
            10 => Self::Counted,
            11 => Self::Standing,
            12 => Self::Finished,
            13 => Self::Progressed,
            14 => Self::Received,
            _ => return None,
        })
    }
}

/// Whose step it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// What kind of record.
    pub kind: Kind,
    /// The message, or the outbox entry, which has an id of its own.
    pub id: MessageId,
    /// Leg of the message; 0 for entries.
    pub leg: u16,
    /// Whose message.
    pub account: SystemId,
}

impl Head {
    fn aad(&self) -> Aad {
        Aad {
            account: Some(self.account),
            kind: self.kind as u8,
            version: VERSION,
            id: self.id.0,
            leg: self.leg,
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

/// The entry is done, and its record in an outbox file is to be marked so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SettledMoved {
    /// The hour of the last end date in its run, counted from 1970.
    pub hour: u32,
    /// The run's number.
    pub run: u64,
    /// Which of the run's records.
    pub rank: u32,
}

/// What an outbox entry carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum EntryKind {
    /// A delivery receipt.
    Dlr = 0,
    /// A message from a handset.
    Mo = 1,
}

impl EntryKind {
    pub(crate) const fn from_octet(octet: u8) -> Option<Self> {
        match octet {
            0 => Some(Self::Dlr),
            1 => Some(Self::Mo),
            _ => None,
        }
    }
}

/// Where an outbox entry goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Sink {
    /// Any receiver or transceiver bind of the account.
    #[default]
    Bind,
    /// One of those that bound with the tag of which this is a number; any while there is none.
    BindOf(NonZeroU32),
}

impl Sink {
    /// As a number, 0 for any bind.
    pub(crate) fn put(self, out: &mut Vec<u8>) {
        let tag = match self {
            Self::Bind => 0,
            Self::BindOf(tag) => tag.get(),
        };
        out.extend_from_slice(&tag.to_be_bytes());
    }

    pub(crate) fn get(fields: &mut &[u8]) -> Result<Self, RecordError> {
        Ok(NonZeroU32::new(get_u32(fields)?).map_or(Self::Bind, Self::BindOf))
    }
}

/// Most octets of [`EntryRecord::document`].
pub const DOCUMENT_MAX: usize = 32;

/// A DLR or MO for an account.
#[derive(Clone, PartialEq, Eq)]
pub struct EntryRecord<'a> {
    /// DLR or MO.
    pub kind: EntryKind,
    /// Where it goes.
    pub sink: Sink,
    /// Which PDU the body is of.
    pub form: Form,
    /// Until when it may be fetched, in unix milliseconds.
    pub expires_ms: u64,
    /// The version of the instructions by which it goes there, at most [`DOCUMENT_MAX`] octets; empty where none were
    /// asked.
    pub document: &'a [u8],
    /// The PDU's body as the ESME will get it.
    pub body: &'a [u8],
}

/// The payload of a record that was read.
#[derive(Debug, PartialEq, Eq)]
pub enum Payload<'a> {
    /// See [`Kind::Leg`].
    Leg(LegRecord<'a>),
    /// See [`Kind::HandedOver`].
    HandedOver(HandedOver<'a>),
    /// See [`Kind::Retry`].
    Retry(Retry),
    /// See [`Kind::Final`].
    Final(Final),
    /// See [`Kind::Entry`].
    Entry(EntryRecord<'a>),
    /// See [`Kind::Settled`].
    Settled,
    /// See [`Kind::Moved`]: to which run.
    Moved(u64),
    /// See [`Kind::FinalMoved`].
    FinalMoved(FinalMoved),
    /// See [`Kind::SettledMoved`].
    SettledMoved(SettledMoved),
    /// See [`Kind::Counted`].
    Counted(Counted),
    /// See [`Kind::Standing`].
    Standing(Change),
    /// See [`Kind::Finished`].
    Finished(FinishedLeg<'a>),
    /// See [`Kind::Progressed`].
    Progressed(Progress),
}

/// A record that cannot be read. Reported, counted and skipped, never fatal (ENC-4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// It ends early, or a field makes no sense.
    #[error("malformed record")]
    Malformed,
    /// A later version wrote it.
    #[error("record of version {0}")]
    Version(u8),
    /// Its key is gone.
    #[error("key {0} is not in the ring")]
    NoKey(KeyId),
    /// It does not open.
    #[error(transparent)]
    Sealed(#[from] SealError),
    /// The file cannot be read now; nothing is known about the record. To be tried again, not quarantined.
    #[error("cannot be read from the disk: {0}")]
    Io(std::io::ErrorKind),
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

impl fmt::Debug for EntryRecord<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EntryRecord")
            .field("kind", &self.kind)
            .field("sink", &self.sink)
            .field("form", &self.form)
            .field("expires_ms", &self.expires_ms)
            .field("document", &self.document.len())
            .field("body", &Body(self.body))
            .finish()
    }
}

// ===== writing =====

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

/// Appends a record and returns where it lies in `out`. Sealed payloads are sealed with `key`; when that
/// fails, nothing was appended.
pub fn write(
    out: &mut Vec<u8>,
    head: &Head,
    payload: &Payload<'_>,
    key: &SealKey,
    rng: &mut impl CryptoRng,
) -> Result<Range<usize>, SealError> {
    let start = begin(out, head);
    let sealed = match payload {
        Payload::Leg(leg) => {
            out.extend_from_slice(&key.id().0.to_be_bytes());
            key.seal(&head.aad(), rng, out, |out| put_leg(out, leg))
        }
        Payload::HandedOver(step) => {
            out.extend_from_slice(&key.id().0.to_be_bytes());
            key.seal(&head.aad(), rng, out, |out| put_handed_over(out, step))
        }
        Payload::Entry(entry) => {
            out.extend_from_slice(&key.id().0.to_be_bytes());
            key.seal(&head.aad(), rng, out, |out| put_entry(out, entry))
        }
        Payload::Standing(change) => {
            out.extend_from_slice(&key.id().0.to_be_bytes());
            key.seal(&head.aad(), rng, out, |out| change.put(out))
        }
        Payload::Finished(finished) => {
            out.extend_from_slice(&key.id().0.to_be_bytes());
            key.seal(&head.aad(), rng, out, |out| {
                put_final(out, &finished.end);
                put_leg(out, &finished.leg);
            })
        }
        Payload::Progressed(progress) => {
            out.extend_from_slice(&key.id().0.to_be_bytes());
            key.seal(&head.aad(), rng, out, |out| progress.put(out))
        }
        Payload::Retry(step) => {
            out.extend_from_slice(&step.due_ms.to_be_bytes());
            out.extend_from_slice(&step.attempts.to_be_bytes());
            Ok(())
        }
        Payload::Final(end) => {
            put_final(out, end);
            Ok(())
        }
        Payload::Moved(run) => {
            out.extend_from_slice(&run.to_be_bytes());
            Ok(())
        }
        Payload::FinalMoved(moved) => {
            put_final(out, &moved.end);
            out.extend_from_slice(&moved.hour.to_be_bytes());
            out.extend_from_slice(&moved.hash.to_be_bytes());
            Ok(())
        }
        Payload::SettledMoved(place) => {
            put_settled_moved(out, place);
            Ok(())
        }
        Payload::Counted(counted) => {
            put_counted(out, counted);
            Ok(())
        }
        Payload::Settled => Ok(()),
    };
    if let Err(error) = sealed {
        out.truncate(start);
        return Err(error);
    }
    Ok(end(out, start))
}

/// Appends the record of a leg that lies in a waiting file from now on. It is plain: neither key nor randomness
/// is needed.
pub(crate) fn write_moved(out: &mut Vec<u8>, head: &Head, run: u64) -> Range<usize> {
    let start = begin(out, head);
    out.extend_from_slice(&run.to_be_bytes());
    end(out, start)
}

/// Appends what an account's new legs of a batch count as; plain as well.
pub(crate) fn write_counted(out: &mut Vec<u8>, account: SystemId, counted: &Counted) {
    let head = Head {
        kind: Kind::Counted,
        id: MessageId(0),
        leg: 0,
        account,
    };
    let start = begin(out, &head);
    put_counted(out, counted);
    end(out, start);
}

fn begin(out: &mut Vec<u8>, head: &Head) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&[head.kind as u8, VERSION]);
    out.extend_from_slice(&head.leg.to_be_bytes());
    out.extend_from_slice(&head.id.0.to_be_bytes());
    put_short(out, head.account.as_bytes());
    start
}

fn end(out: &mut [u8], start: usize) -> Range<usize> {
    // A PDU is at most 4 GiB by its own length field and far less by our limits.
    let length = u32::try_from(out.len() - start - 4).unwrap_or(u32::MAX);
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    start..out.len()
}

/// One octet of length, then the octets; callers pass names and ids, which are far below 256.
pub(crate) fn put_short(out: &mut Vec<u8>, octets: &[u8]) {
    debug_assert!(octets.len() <= 255);
    let length = u8::try_from(octets.len()).unwrap_or(u8::MAX);
    out.push(length);
    out.extend_from_slice(&octets[..usize::from(length)]);
}

fn put_address(out: &mut Vec<u8>, address: &AddressBuf) {
    out.extend_from_slice(&[address.ton().0, address.npi().0]);
    put_short(out, address.as_bytes());
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

pub(crate) fn put_settled_moved(out: &mut Vec<u8>, place: &SettledMoved) {
    out.extend_from_slice(&place.hour.to_be_bytes());
    out.extend_from_slice(&place.run.to_be_bytes());
    out.extend_from_slice(&place.rank.to_be_bytes());
}

pub(crate) fn put_counted(out: &mut Vec<u8>, counted: &Counted) {
    out.extend_from_slice(&counted.period.day.to_be_bytes());
    out.extend_from_slice(&counted.period.month.to_be_bytes());
    out.extend_from_slice(&counted.parts.to_be_bytes());
}

fn put_final(out: &mut Vec<u8>, end: &Final) {
    out.push(end.state.octet());
    out.extend_from_slice(&end.at_ms.to_be_bytes());
    out.extend_from_slice(&end.attempts.to_be_bytes());
    out.extend_from_slice(&end.settled.to_be_bytes());
    out.extend_from_slice(&end.released.to_be_bytes());
}

fn put_entry(out: &mut Vec<u8>, entry: &EntryRecord<'_>) {
    out.extend_from_slice(&[entry.kind as u8, entry.form as u8]);
    entry.sink.put(out);
    out.extend_from_slice(&entry.expires_ms.to_be_bytes());
    let document = entry.document.get(..DOCUMENT_MAX).unwrap_or(entry.document);
    out.push(u8::try_from(document.len()).unwrap_or_default());
    out.extend_from_slice(document);
    out.extend_from_slice(entry.body);
}

// ===== reading =====

/// A record whose head was read; the payload is still as it lies on disk.
pub struct Raw<'a> {
    /// Whose step it is.
    pub head: Head,
    /// The payload, sealed or plain.
    pub payload: &'a mut [u8],
    /// Octets of the whole record.
    pub len: usize,
}

/// Cuts the next record off `octets`; what it returns besides is what follows.
///
/// A record that cannot even be named ends the walk (`None`): the batch's checksum was right, so a later
/// version wrote it, and where the next one begins cannot be known if the length is beyond the batch.
pub fn cut(octets: &mut [u8]) -> Option<(Result<Raw<'_>, RecordError>, &mut [u8])> {
    let length = u32::from_be_bytes(*octets.first_chunk::<4>()?) as usize;
    let (record, rest) = octets.split_at_mut_checked(length.checked_add(4)?)?;
    Some((read_head(record), rest))
}

fn read_head(record: &mut [u8]) -> Result<Raw<'_>, RecordError> {
    let len = record.len();
    let mut fields = record.get(4..).ok_or(RecordError::Malformed)?;
    let kind = get_u8(&mut fields)?;
    let version = get_u8(&mut fields)?;
    if version != VERSION {
        return Err(RecordError::Version(version));
    }
    let kind = Kind::from_octet(kind).ok_or(RecordError::Malformed)?;
    let leg = get_u16(&mut fields)?;
    let id = MessageId(get_u64(&mut fields)?);
    let account = SystemId::new(get_short(&mut fields)?).map_err(|_| RecordError::Malformed)?;
    let head = Head {
        kind,
        id,
        leg,
        account,
    };
    let payload = record
        .get_mut(HEAD_LEN + account.as_bytes().len()..)
        .ok_or(RecordError::Malformed)?;
    Ok(Raw { head, payload, len })
}

impl<'a> Raw<'a> {
    const fn is_sealed(&self) -> bool {
        match self.head.kind {
            Kind::Leg
            | Kind::HandedOver
            | Kind::Entry
            | Kind::Standing
            | Kind::Finished
            | Kind::Received
            | Kind::Progressed => true,
            Kind::Retry
            | Kind::Final
            | Kind::Settled
            | Kind::Moved
            | Kind::FinalMoved
            | Kind::SettledMoved
            | Kind::Counted => false,
        }
    }

    /// The key that a sealed payload needs; `None` for plain ones, and for one that is too short to name it.
    pub fn key(&self) -> Option<KeyId> {
        let key = self.payload.first_chunk::<4>().filter(|_| self.is_sealed())?;
        Some(KeyId(u32::from_be_bytes(*key)))
    }

    /// Reads the payload, opening it in place where it is sealed. `key` finds a key by its id.
    pub fn open<K: AsRef<SealKey>>(
        self,
        purpose: Purpose,
        key: impl FnOnce(KeyId) -> Option<K>,
    ) -> Result<Payload<'a>, RecordError> {
        let aad = self.head.aad();
        let mut plain: &'a [u8] = match self.key() {
            None if self.is_sealed() => return Err(RecordError::Malformed),
            None => self.payload,
            Some(id) => {
                let key = key(id).ok_or(RecordError::NoKey(id))?;
                let sealed = self.payload.get_mut(4..).ok_or(RecordError::Malformed)?;
                key.as_ref().open(&aad, sealed, purpose)?
            }
        };
        let fields = &mut plain;
        Ok(match self.head.kind {
            Kind::Leg => Payload::Leg(get_leg(fields)?),
            Kind::HandedOver => Payload::HandedOver(get_handed_over(fields)?),
            Kind::Retry => Payload::Retry(Retry {
                due_ms: get_u64(fields)?,
                attempts: get_u16(fields)?,
            }),
            Kind::Final => Payload::Final(get_final(fields)?),
            Kind::Moved => Payload::Moved(get_u64(fields)?),
            Kind::FinalMoved => Payload::FinalMoved(FinalMoved {
                end: get_final(fields)?,
                hour: get_u32(fields)?,
                hash: get_u64(fields)?,
            }),
            Kind::SettledMoved => Payload::SettledMoved(get_settled_moved(fields)?),
            Kind::Entry => Payload::Entry(EntryRecord {
                kind: EntryKind::from_octet(get_u8(fields)?).ok_or(RecordError::Malformed)?,
                form: get_form(fields)?,
                sink: Sink::get(fields)?,
                expires_ms: get_u64(fields)?,
                document: get_document(fields)?,
                body: fields,
            }),
            Kind::Settled => Payload::Settled,
            Kind::Counted => Payload::Counted(get_counted(fields)?),
            Kind::Standing => Payload::Standing(Change::get(fields)?),
            Kind::Finished | Kind::Received => Payload::Finished(FinishedLeg {
                end: get_final(fields)?,
                leg: get_leg(fields)?,
            }),
            Kind::Progressed => Payload::Progressed(Progress::get(fields)?),
        })
    }
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

fn get_final(fields: &mut &[u8]) -> Result<Final, RecordError> {
    Ok(Final {
        state: MessageState::from_octet(get_u8(fields)?).ok_or(RecordError::Malformed)?,
        at_ms: get_u64(fields)?,
        attempts: get_u16(fields)?,
        settled: get_u32(fields)?,
        released: get_u32(fields)?,
    })
}

fn get_form(fields: &mut &[u8]) -> Result<Form, RecordError> {
    Form::from_octet(get_u8(fields)?).ok_or(RecordError::Malformed)
}

pub(crate) fn get_settled_moved(fields: &mut &[u8]) -> Result<SettledMoved, RecordError> {
    Ok(SettledMoved {
        hour: get_u32(fields)?,
        run: get_u64(fields)?,
        rank: get_u32(fields)?,
    })
}

pub(crate) fn get_counted(fields: &mut &[u8]) -> Result<Counted, RecordError> {
    Ok(Counted {
        period: Period {
            day: get_u32(fields)?,
            month: get_u32(fields)?,
        },
        parts: get_u64(fields)?,
    })
}

fn get_address(fields: &mut &[u8]) -> Result<AddressBuf, RecordError> {
    let (ton, npi) = (Ton(get_u8(fields)?), Npi(get_u8(fields)?));
    AddressBuf::new(ton, npi, get_short(fields)?).map_err(|_| RecordError::Malformed)
}

fn get_document<'a>(fields: &mut &'a [u8]) -> Result<&'a [u8], RecordError> {
    let document = get_short(fields)?;
    if document.len() > DOCUMENT_MAX {
        return Err(RecordError::Malformed);
    }
    Ok(document)
}

fn get_name<'a>(fields: &mut &'a [u8]) -> Result<&'a str, RecordError> {
    std::str::from_utf8(get_short(fields)?).map_err(|_| RecordError::Malformed)
}

pub(crate) fn get_short<'a>(fields: &mut &'a [u8]) -> Result<&'a [u8], RecordError> {
    let length = usize::from(get_u8(fields)?);
    let (octets, rest) = fields.split_at_checked(length).ok_or(RecordError::Malformed)?;
    *fields = rest;
    Ok(octets)
}

pub(crate) fn get_array<const N: usize>(fields: &mut &[u8]) -> Result<[u8; N], RecordError> {
    let (octets, rest) = fields.split_first_chunk().ok_or(RecordError::Malformed)?;
    *fields = rest;
    Ok(*octets)
}

pub(crate) fn get_u8(fields: &mut &[u8]) -> Result<u8, RecordError> {
    fields.try_get_u8().map_err(|_| RecordError::Malformed)
}

pub(crate) fn get_u16(fields: &mut &[u8]) -> Result<u16, RecordError> {
    fields.try_get_u16().map_err(|_| RecordError::Malformed)
}

pub(crate) fn get_u32(fields: &mut &[u8]) -> Result<u32, RecordError> {
    fields.try_get_u32().map_err(|_| RecordError::Malformed)
}

pub(crate) fn get_u64(fields: &mut &[u8]) -> Result<u64, RecordError> {
    fields.try_get_u64().map_err(|_| RecordError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{envelope, key, rng};
    use std::sync::Arc;

    fn head(kind: Kind) -> Head {
        Head {
            kind,
            id: MessageId(0x0123_4567_89ab_cdef),
            leg: 3,
            account: SystemId::new(b"load").unwrap(),
        }
    }

    fn payloads() -> Vec<(Kind, Payload<'static>)> {
        let leg = LegRecord {
            envelope: envelope(),
            stage: Stage::HandedOver,
            attempts: 2,
            due_ms: 77,
            carrier: "sink",
            carrier_id: b"4711",
            quote: Quote::of(*b"QUOTE-CANARY"),
            progress: None,
            body: b"BODY-CANARY",
        };
        let in_parts = LegRecord {
            stage: Stage::InParts,
            progress: Some(Progress::of(3)),
            ..leg.clone()
        };
        let handed = HandedOver {
            carrier: "sink",
            carrier_id: b"4711",
            deadline_ms: 9,
            attempts: 1,
        };
        let end = Final {
            state: MessageState::Delivered,
            at_ms: 5,
            attempts: 1,
            settled: 1,
            released: 0,
        };
        let entry = EntryRecord {
            kind: EntryKind::Mo,
            sink: Sink::BindOf(NonZeroU32::MAX),
            form: Form::DataSm,
            expires_ms: 8,
            document: b"2026-07-01.2",
            body: b"MO-CANARY",
        };
        vec![
            (
                Kind::Finished,
                Payload::Finished(FinishedLeg {
                    end,
                    leg: leg.clone(),
                }),
            ),
            (Kind::Progressed, Payload::Progressed(Progress::of(3))),
            (Kind::Leg, Payload::Leg(leg)),
            (Kind::Leg, Payload::Leg(in_parts)),
            (Kind::HandedOver, Payload::HandedOver(handed)),
            (
                Kind::Retry,
                Payload::Retry(Retry {
                    due_ms: 1,
                    attempts: 9,
                }),
            ),
            (Kind::Final, Payload::Final(end)),
            (Kind::Entry, Payload::Entry(entry)),
            (Kind::Settled, Payload::Settled),
        ]
    }

    #[test]
    fn every_kind_comes_back_as_it_was_written() {
        let (key, mut rng) = (Arc::new(key(7)), rng());
        let mut octets = Vec::new();
        for (kind, payload) in payloads() {
            write(&mut octets, &head(kind), &payload, &key, &mut rng).unwrap();
        }
        let mut rest = octets.as_mut_slice();
        for (kind, payload) in payloads() {
            let (raw, behind) = cut(rest).unwrap();
            let raw = raw.unwrap();
            assert_eq!(raw.head, head(kind));
            assert_eq!(
                raw.open(Purpose::Deliver, |id| (id == KeyId(7)).then(|| key.clone())),
                Ok(payload)
            );
            rest = behind;
        }
        assert!(cut(rest).is_none());
    }

    #[test]
    fn what_is_personal_is_sealed_before_it_is_anywhere() {
        let (key, mut rng) = (key(7), rng());
        let mut octets = Vec::new();
        for (kind, payload) in payloads() {
            write(&mut octets, &head(kind), &payload, &key, &mut rng).unwrap();
        }
        for canary in [&b"CANARY"[..], b"447700900123", b"Tide", b"4711"] {
            assert!(
                !octets.windows(canary.len()).any(|window| window == canary),
                "{canary:?}"
            );
        }
    }

    #[test]
    fn a_relabelled_record_does_not_open() {
        let (key, mut rng) = (Arc::new(key(7)), rng());
        let (kind, payload) = payloads().remove(0);
        for (at, what) in [(7, "leg"), (15, "id"), (17, "account"), (40, "ciphertext")] {
            let mut octets = Vec::new();
            write(&mut octets, &head(kind), &payload, &key, &mut rng).unwrap();
            octets[at] ^= 1;
            let (raw, _) = cut(&mut octets).unwrap();
            let opened = raw.and_then(|raw| raw.open(Purpose::Deliver, |_| Some(key.clone())).map(|_| ()));
            assert!(
                matches!(opened, Err(RecordError::Sealed(_))),
                "{what}: {opened:?}"
            );
        }
    }

    #[test]
    fn a_record_cut_short_anywhere_is_an_error_and_never_a_panic() {
        let (key, mut rng) = (Arc::new(key(7)), rng());
        for (kind, payload) in payloads() {
            let mut octets = Vec::new();
            write(&mut octets, &head(kind), &payload, &key, &mut rng).unwrap();
            for n in 0..octets.len() {
                let mut short = octets[..n].to_vec();
                assert!(cut(&mut short).is_none(), "{kind:?} at {n}");
                if n >= 4 {
                    // The same with a length that fits: the fields run out instead.
                    let length = u32::try_from(n - 4).unwrap();
                    short[..4].copy_from_slice(&length.to_be_bytes());
                    let (raw, _) = cut(&mut short).unwrap();
                    let opened =
                        raw.and_then(|raw| raw.open(Purpose::Sweep, |_| Some(key.clone())).map(|_| ()));
                    assert!(
                        opened.is_err() || kind == Kind::Settled && n == octets.len(),
                        "{kind:?} at {n}"
                    );
                }
            }
        }
    }
}
