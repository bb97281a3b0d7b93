//! PDUs: what the octets behind a header mean. Decoding borrows from the frame and allocates nothing.
//!
//! One file per family: [`bind`], [`message`] (submit_sm and deliver_sm, which share their fields, and
//! data_sm), [`multi`] (submit_multi), [`ancillary`] (query_sm, cancel_sm, replace_sm), [`response`]. Commands that this crate does not read yet keep their octets as
//! [`Operation::Unread`], so that they can still be answered by name.

pub mod ancillary;
pub mod bind;
pub mod message;
pub mod multi;
pub mod response;

use crate::error::BodyError;
use crate::frame::{Cut, FrameError, cut};
use crate::header::{CommandId, HEADER_LEN, Header};
use crate::identity::PASSWORD_MAX;
use crate::octets::Body;
use crate::pdu::ancillary::{CancelSm, QuerySm, QuerySmResp, ReplaceSm};
use crate::pdu::bind::{Bind, BindResp};
use crate::pdu::message::{DataSm, Sm};
use crate::pdu::multi::{SubmitMulti, SubmitMultiResp};
use crate::pdu::response::MessageIdResp;
use crate::status::CommandStatus;
use crate::tlv::Tlvs;
use crate::values::BindKind;

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
    /// Act on it; skip `header.length` octets.
    Pdu(Pdu<'a>),
    /// Answer it with [`BodyError::status`] and go on behind `header.length` octets: the session lives.
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

/// What a PDU says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation<'a> {
    /// bind_receiver, bind_transmitter or bind_transceiver.
    Bind(BindKind, Bind<'a>),
    /// Their responses; no body where the status is not zero.
    BindResp(BindKind, Option<BindResp<'a>>),
    /// unbind; the octets behind the header should be none.
    Unbind(Tlvs<'a>),
    /// unbind_resp.
    UnbindResp(Tlvs<'a>),
    /// enquire_link.
    EnquireLink(Tlvs<'a>),
    /// enquire_link_resp.
    EnquireLinkResp(Tlvs<'a>),
    /// submit_sm.
    SubmitSm(Sm<'a>),
    /// submit_sm_resp; many peers leave the body out when the status is not zero, some always.
    SubmitSmResp(Option<MessageIdResp<'a>>),
    /// deliver_sm.
    DeliverSm(Sm<'a>),
    /// deliver_sm_resp.
    DeliverSmResp(Option<MessageIdResp<'a>>),
    /// data_sm.
    DataSm(DataSm<'a>),
    /// data_sm_resp.
    DataSmResp(Option<MessageIdResp<'a>>),
    /// submit_multi.
    SubmitMulti(SubmitMulti<'a>),
    /// submit_multi_resp.
    SubmitMultiResp(Option<SubmitMultiResp<'a>>),
    /// query_sm.
    QuerySm(QuerySm<'a>),
    /// query_sm_resp.
    QuerySmResp(Option<QuerySmResp<'a>>),
    /// cancel_sm.
    CancelSm(CancelSm<'a>),
    /// cancel_sm_resp.
    CancelSmResp(Tlvs<'a>),
    /// replace_sm.
    ReplaceSm(ReplaceSm<'a>),
    /// replace_sm_resp.
    ReplaceSmResp(Tlvs<'a>),
    /// generic_nack.
    GenericNack(Tlvs<'a>),
    /// A command of SMPP that this crate does not read yet.
    Unread(CommandId, Body<'a>),
    /// An id of no PDU.
    Unknown(CommandId, Body<'a>),
}

impl<'a> Pdu<'a> {
    /// Reads the body that belongs to `header`.
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

impl<'a> Operation<'a> {
    fn decode(header: Header, body: Body<'a>, limits: &Limits) -> Result<Self, BodyError> {
        let octets = body.0;
        let tlvs = Tlvs::new(octets);
        Ok(match header.command_id {
            CommandId::BIND_RECEIVER => Self::Bind(BindKind::Receiver, Bind::decode(octets, limits)?),
            CommandId::BIND_TRANSMITTER => Self::Bind(BindKind::Transmitter, Bind::decode(octets, limits)?),
            CommandId::BIND_TRANSCEIVER => Self::Bind(BindKind::Transceiver, Bind::decode(octets, limits)?),
            CommandId::BIND_RECEIVER_RESP => {
                Self::BindResp(BindKind::Receiver, BindResp::decode(header, octets)?)
            }
            CommandId::BIND_TRANSMITTER_RESP => {
                Self::BindResp(BindKind::Transmitter, BindResp::decode(header, octets)?)
            }
            CommandId::BIND_TRANSCEIVER_RESP => {
                Self::BindResp(BindKind::Transceiver, BindResp::decode(header, octets)?)
            }
            CommandId::UNBIND => Self::Unbind(tlvs),
            CommandId::UNBIND_RESP => Self::UnbindResp(tlvs),
            CommandId::ENQUIRE_LINK => Self::EnquireLink(tlvs),
            CommandId::ENQUIRE_LINK_RESP => Self::EnquireLinkResp(tlvs),
            CommandId::SUBMIT_SM => Self::SubmitSm(Sm::decode(octets)?),
            CommandId::SUBMIT_SM_RESP => Self::SubmitSmResp(MessageIdResp::decode(header, octets)?),
            CommandId::DELIVER_SM => Self::DeliverSm(Sm::decode(octets)?),
            CommandId::DELIVER_SM_RESP => Self::DeliverSmResp(MessageIdResp::decode(header, octets)?),
            CommandId::DATA_SM => Self::DataSm(DataSm::decode(octets)?),
            CommandId::DATA_SM_RESP => Self::DataSmResp(MessageIdResp::decode(header, octets)?),
            CommandId::SUBMIT_MULTI => Self::SubmitMulti(SubmitMulti::decode(octets)?),
            CommandId::SUBMIT_MULTI_RESP => Self::SubmitMultiResp(SubmitMultiResp::decode(header, octets)?),
            CommandId::QUERY_SM => Self::QuerySm(QuerySm::decode(octets)?),
            CommandId::QUERY_SM_RESP => Self::QuerySmResp(QuerySmResp::decode(header, octets)?),
            CommandId::CANCEL_SM => Self::CancelSm(CancelSm::decode(octets)?),
            CommandId::CANCEL_SM_RESP => Self::CancelSmResp(tlvs),
            CommandId::REPLACE_SM => Self::ReplaceSm(ReplaceSm::decode(octets)?),
            CommandId::REPLACE_SM_RESP => Self::ReplaceSmResp(tlvs),
            CommandId::GENERIC_NACK => Self::GenericNack(tlvs),
            id if id.is_known() => Self::Unread(id, body),
            id => Self::Unknown(id, body),
        })
    }

    /// The command_id that goes into the header.
    pub const fn command_id(&self) -> CommandId {
        match self {
            Self::Bind(BindKind::Receiver, _) => CommandId::BIND_RECEIVER,
            Self::Bind(BindKind::Transmitter, _) => CommandId::BIND_TRANSMITTER,
            Self::Bind(BindKind::Transceiver, _) => CommandId::BIND_TRANSCEIVER,
            Self::BindResp(BindKind::Receiver, _) => CommandId::BIND_RECEIVER_RESP,
            Self::BindResp(BindKind::Transmitter, _) => CommandId::BIND_TRANSMITTER_RESP,
            Self::BindResp(BindKind::Transceiver, _) => CommandId::BIND_TRANSCEIVER_RESP,
            Self::Unbind(_) => CommandId::UNBIND,
            Self::UnbindResp(_) => CommandId::UNBIND_RESP,
            Self::EnquireLink(_) => CommandId::ENQUIRE_LINK,
            Self::EnquireLinkResp(_) => CommandId::ENQUIRE_LINK_RESP,
            Self::SubmitSm(_) => CommandId::SUBMIT_SM,
            Self::SubmitSmResp(_) => CommandId::SUBMIT_SM_RESP,
            Self::DeliverSm(_) => CommandId::DELIVER_SM,
            Self::DeliverSmResp(_) => CommandId::DELIVER_SM_RESP,
            Self::DataSm(_) => CommandId::DATA_SM,
            Self::DataSmResp(_) => CommandId::DATA_SM_RESP,
            Self::SubmitMulti(_) => CommandId::SUBMIT_MULTI,
            Self::SubmitMultiResp(_) => CommandId::SUBMIT_MULTI_RESP,
            Self::QuerySm(_) => CommandId::QUERY_SM,
            Self::QuerySmResp(_) => CommandId::QUERY_SM_RESP,
            Self::CancelSm(_) => CommandId::CANCEL_SM,
            Self::CancelSmResp(_) => CommandId::CANCEL_SM_RESP,
            Self::ReplaceSm(_) => CommandId::REPLACE_SM,
            Self::ReplaceSmResp(_) => CommandId::REPLACE_SM_RESP,
            Self::GenericNack(_) => CommandId::GENERIC_NACK,
            Self::Unread(id, _) | Self::Unknown(id, _) => *id,
        }
    }

    fn encode_body(&self, out: &mut Vec<u8>) {
        match self {
            Self::Bind(_, bind) => bind.encode(out),
            Self::BindResp(_, body) => {
                if let Some(body) = body {
                    body.encode(out);
                }
            }
            Self::SubmitSm(sm) | Self::DeliverSm(sm) => sm.encode(out),
            Self::DataSm(sm) => sm.encode(out),
            Self::SubmitSmResp(body) | Self::DeliverSmResp(body) | Self::DataSmResp(body) => {
                if let Some(body) = body {
                    body.encode(out);
                }
            }
            Self::SubmitMulti(multi) => multi.encode(out),
            Self::SubmitMultiResp(body) => {
                if let Some(body) = body {
                    body.encode(out);
                }
            }
            Self::QuerySm(query) => query.encode(out),
            Self::QuerySmResp(body) => {
                if let Some(body) = body {
                    body.encode(out);
                }
            }
            Self::CancelSm(cancel) => cancel.encode(out),
            Self::ReplaceSm(replace) => replace.encode(out),
            Self::Unbind(tlvs)
            | Self::UnbindResp(tlvs)
            | Self::EnquireLink(tlvs)
            | Self::EnquireLinkResp(tlvs)
            | Self::CancelSmResp(tlvs)
            | Self::ReplaceSmResp(tlvs)
            | Self::GenericNack(tlvs) => out.extend_from_slice(tlvs.as_bytes()),
            Self::Unread(_, body) | Self::Unknown(_, body) => out.extend_from_slice(body.0),
        }
    }

    /// The optional parameters; none where the body was absent or not read.
    pub const fn tlvs(&self) -> Tlvs<'a> {
        match self {
            Self::Bind(_, bind) => bind.tlvs,
            Self::BindResp(_, Some(body)) => body.tlvs,
            Self::SubmitSm(sm) | Self::DeliverSm(sm) => sm.tlvs,
            Self::DataSm(sm) => sm.tlvs,
            Self::SubmitSmResp(Some(body))
            | Self::DeliverSmResp(Some(body))
            | Self::DataSmResp(Some(body)) => body.tlvs,
            Self::SubmitMulti(multi) => multi.message.tlvs,
            Self::SubmitMultiResp(Some(body)) => body.tlvs,
            Self::QuerySm(query) => query.tlvs,
            Self::QuerySmResp(Some(body)) => body.tlvs,
            Self::CancelSm(cancel) => cancel.tlvs,
            Self::ReplaceSm(replace) => replace.tlvs,
            Self::Unbind(tlvs)
            | Self::UnbindResp(tlvs)
            | Self::EnquireLink(tlvs)
            | Self::EnquireLinkResp(tlvs)
            | Self::CancelSmResp(tlvs)
            | Self::ReplaceSmResp(tlvs)
            | Self::GenericNack(tlvs) => *tlvs,
            Self::BindResp(_, None)
            | Self::SubmitSmResp(None)
            | Self::DeliverSmResp(None)
            | Self::DataSmResp(None)
            | Self::SubmitMultiResp(None)
            | Self::QuerySmResp(None)
            | Self::Unread(..)
            | Self::Unknown(..) => Tlvs::NONE,
        }
    }

    /// What a strict reader refuses although the mandatory fields were readable: faults of the TLVs.
    /// A gateway is strict with what ESMEs send and lenient with deliveries and responses (design §5.8).
    pub fn strict(&self) -> Result<(), BodyError> {
        self.tlvs().strict()
    }
}
