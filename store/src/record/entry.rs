//! An outbox entry in records: a DLR or MO for an account, where it goes, and that it is settled.

use std::fmt;
use std::num::NonZeroU32;

use tidegate_codec::octets::Body;

use super::RecordError;
use super::fields::{get_short, get_u8, get_u32, get_u64};
use super::leg::{Form, get_form};

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

// A body shows its length only (P4).

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

pub(super) fn put_entry(out: &mut Vec<u8>, entry: &EntryRecord<'_>) {
    out.extend_from_slice(&[entry.kind as u8, entry.form as u8]);
    entry.sink.put(out);
    out.extend_from_slice(&entry.expires_ms.to_be_bytes());
    let document = entry.document.get(..DOCUMENT_MAX).unwrap_or(entry.document);
    out.push(u8::try_from(document.len()).unwrap_or_default());
    out.extend_from_slice(document);
    out.extend_from_slice(entry.body);
}

pub(crate) fn put_settled_moved(out: &mut Vec<u8>, place: &SettledMoved) {
    out.extend_from_slice(&place.hour.to_be_bytes());
    out.extend_from_slice(&place.run.to_be_bytes());
    out.extend_from_slice(&place.rank.to_be_bytes());
}

/// The fields of an entry; the rest of the input is its body.
pub(super) fn get_entry<'a>(fields: &mut &'a [u8]) -> Result<EntryRecord<'a>, RecordError> {
    Ok(EntryRecord {
        kind: EntryKind::from_octet(get_u8(fields)?).ok_or(RecordError::Malformed)?,
        form: get_form(fields)?,
        sink: Sink::get(fields)?,
        expires_ms: get_u64(fields)?,
        document: get_document(fields)?,
        body: fields,
    })
}

pub(crate) fn get_settled_moved(fields: &mut &[u8]) -> Result<SettledMoved, RecordError> {
    Ok(SettledMoved {
        hour: get_u32(fields)?,
        run: get_u64(fields)?,
        rank: get_u32(fields)?,
    })
}

fn get_document<'a>(fields: &mut &'a [u8]) -> Result<&'a [u8], RecordError> {
    let document = get_short(fields)?;
    if document.len() > DOCUMENT_MAX {
        return Err(RecordError::Malformed);
    }
    Ok(document)
}
