//! PDUs: what the octets behind a header mean, for all 33 commands of SMPP 3.4 and 5.0. Decoding borrows
//! from the frame and allocates nothing; encoding appends to a `Vec` of the caller's.
//!
//! One file per family: [`bind`], [`outbind`], [`alert`] (alert_notification), [`message`] (submit_sm and
//! deliver_sm, which share their fields, and data_sm), [`multi`] (submit_multi), [`ancillary`] (query_sm,
//! cancel_sm, replace_sm), [`broadcast`], [`response`] (those that are a message_id and TLVs).
//!
//! ```
//! use tidegate_codec::address::{Address, Npi, Ton};
//! use tidegate_codec::pdu::message::{ShortMessage, Sm};
//! use tidegate_codec::pdu::{Limits, Operation, Pdu, Read, read};
//! use tidegate_codec::status::CommandStatus;
//!
//! let hello = Sm {
//!     source: Address::new(Ton::ALPHANUMERIC, Npi::UNKNOWN, b"Shop")?,
//!     destination: Address::new(Ton::INTERNATIONAL, Npi::ISDN, b"447700900123")?,
//!     short_message: ShortMessage::new(b"hello").unwrap_or_default(),
//!     ..Sm::default()
//! };
//! let sent = Pdu { status: CommandStatus::ROK, sequence: 1, operation: Operation::SubmitSm(hello) };
//! let mut octets = Vec::new();
//! sent.encode(&mut octets);
//!
//! // Half of it is no PDU yet, and says how many octets one needs.
//! let whole = octets.len();
//! assert!(matches!(read(&octets[..whole / 2], &Limits::default()), Read::NeedMore(more) if more == whole));
//! match read(&octets, &Limits::default()) {
//!     Read::Pdu(pdu) => assert_eq!(pdu, sent),
//!     Read::NeedMore(_) => panic!("wait for the rest"),
//!     Read::BadBody(header, error) => panic!("answer {:?} with {}", header.command_id, error.status()),
//!     Read::Broken(error) => panic!("nack and close: {error}"),
//! }
//! # Ok::<(), tidegate_codec::octets::OctetsError>(())
//! ```
//!
//! **Errors.** Only a command_length outside 16 to [`Limits::pdu_max`] breaks the stream. Everything else
//! is an error of one body, which comes with the header that it is answered under; [`strict`] reports what
//! the lenient reader takes in silence.
//!
//! **Limits.** Fields have the sizes of the specifications, as types ([`crate::octets::COctets`]) or
//! constants beside them. Where peers are known to go beyond (passwords), [`Limits`] says how far.

pub mod alert;
pub mod ancillary;
pub mod bind;
pub mod broadcast;
pub mod message;
pub mod multi;
mod operation;
pub mod outbind;
pub mod response;
pub mod strict;

use crate::error::BodyError;
use crate::frame::{Cut, FrameError, cut};
use crate::header::{CommandId, HEADER_LEN, Header};
use crate::identity::PASSWORD_MAX;
use crate::octets::Body;
use crate::status::CommandStatus;

pub use operation::Operation;

/// What a reader may refuse beyond the specification's own limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest PDU in octets.
    pub pdu_max: u32,
    /// Longest password field in octets with its NUL: 9 by the specification, up to 65 where accounts
    /// have longer ones (smpp-pdus.md §4.1).
    pub password_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            pdu_max: crate::frame::PDU_MAX_DEFAULT,
            password_max: PASSWORD_MAX,
        }
    }
}

/// The four outcomes of reading, and the four things a caller must do.
#[derive(Debug)]
pub enum Read<'a> {
    /// Wait until this many octets are there, counted from the same start.
    NeedMore(usize),
    /// Act on it; go on behind it: its first four octets say how many it took.
    Pdu(Pdu<'a>),
    /// Answer it with [`BodyError::status`], if its command has a response ([`CommandId::response`]), and go on
    /// behind `header.length` octets: the session lives.
    BadBody(Header, BodyError),
    /// generic_nack, then close: the framing is lost.
    Broken(FrameError),
}

/// Reads the first PDU of a stream.
pub fn read<'a>(octets: &'a [u8], limits: &Limits) -> Read<'a> {
    match cut(octets, limits.pdu_max) {
        Cut::NeedMore(octets) => Read::NeedMore(octets),
        Cut::Broken(error) => Read::Broken(error),
        Cut::Frame { header, body } => match Pdu::decode(header, body, limits) {
            Ok(pdu) => Read::Pdu(pdu),
            Err(error) => Read::BadBody(header, error),
        },
    }
}

/// A whole PDU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pdu<'a> {
    /// Result in responses; to be ignored in requests.
    pub status: CommandStatus,
    /// Ties responses to requests.
    pub sequence: u32,
    /// What it says.
    pub operation: Operation<'a>,
}

impl<'a> Pdu<'a> {
    /// Reads the body that belongs to `header`.
    ///
    /// # Errors
    ///
    /// The first mandatory field that cannot be read. TLVs are not looked at: [`Operation::strict`] does that.
    #[inline(always)]
    pub fn decode(header: Header, body: Body<'a>, limits: &Limits) -> Result<Self, BodyError> {
        let operation = Operation::decode(header, body, limits)?;
        Ok(Self {
            status: header.status,
            sequence: header.sequence,
            operation,
        })
    }

    /// Appends the PDU with its header to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        encode(
            self.operation.command_id(),
            self.status,
            self.sequence,
            out,
            |out| {
                self.operation.encode_body(out);
            },
        );
    }
}

/// Appends a header, lets `body` append what belongs behind it, and sets the length.
pub fn encode(
    command_id: CommandId,
    status: CommandStatus,
    sequence: u32,
    out: &mut Vec<u8>,
    body: impl FnOnce(&mut Vec<u8>),
) {
    let start = out.len();
    Header {
        length: 0,
        command_id,
        status,
        sequence,
    }
    .write(out);
    body(out);
    // No field of a PDU reaches 4 GiB: TLVs are bounded by u16, everything else by their field sizes.
    let length = u32::try_from(out.len() - start).unwrap_or(u32::MAX);
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

/// Appends a PDU that is only a header: a response without body, enquire_link, unbind, generic_nack.
pub fn encode_empty(command_id: CommandId, status: CommandStatus, sequence: u32, out: &mut Vec<u8>) {
    Header {
        length: u32::try_from(HEADER_LEN).unwrap_or(16),
        command_id,
        status,
        sequence,
    }
    .write(out);
}
