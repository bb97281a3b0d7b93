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
//!
//! Here is the frame of all records, and which there are; `leg` has what is said of legs, `entry` of outbox
//! entries, `fields` the single fields.

mod entry;
mod fields;
mod leg;
#[cfg(test)]
mod tests;

use std::ops::Range;

use rand_core::CryptoRng;
use tidegate_codec::identity::SystemId;

use crate::message_id::MessageId;
use crate::progress::Progress;
use crate::seal::{Aad, KeyId, Purpose, SealError, SealKey};
use crate::standing::Change;
use crate::usage::{Counted, Period};

pub use entry::{DOCUMENT_MAX, EntryKind, EntryRecord, SettledMoved, Sink};
use entry::{get_entry, put_entry};
pub(crate) use entry::{get_settled_moved, put_settled_moved};
pub(crate) use fields::{get_array, get_short, get_u8, get_u16, get_u32, get_u64, put_short};
pub use leg::{
    Direction, Envelope, Final, FinalMoved, FinishedLeg, Form, HandedOver, LegRecord, Retry, Stage,
};
pub(crate) use leg::{bodyless_len, get_handed_over, get_leg, put_handed_over, put_leg};
use leg::{get_final, put_final};

/// Version of every record form below; 2 since legs say how their text is written, and their lot.
pub const VERSION: u8 = 2;
/// Octets before the account's name, the length field included.
const HEAD_LEN: usize = 4 + 1 + 1 + 2 + 8 + 1;
/// Octets that a record of [`Kind::Counted`] takes at most.
pub(crate) const COUNTED_MAX: u64 = HEAD_LEN as u64 + 15 + 16;

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

// ===== writing =====

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

pub(crate) fn put_counted(out: &mut Vec<u8>, counted: &Counted) {
    out.extend_from_slice(&counted.period.day.to_be_bytes());
    out.extend_from_slice(&counted.period.month.to_be_bytes());
    out.extend_from_slice(&counted.parts.to_be_bytes());
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
            Kind::Entry => Payload::Entry(get_entry(fields)?),
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

pub(crate) fn get_counted(fields: &mut &[u8]) -> Result<Counted, RecordError> {
    Ok(Counted {
        period: Period {
            day: get_u32(fields)?,
            month: get_u32(fields)?,
        },
        parts: get_u64(fields)?,
    })
}
