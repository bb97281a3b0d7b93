//! What a PDU says: one variant for each body, and which command_id it goes under.

use crate::error::{BodyError, Fault, Field};
use crate::header::{CommandId, Header};
use crate::octets::Body;
use crate::pdu::Limits;
use crate::pdu::alert::AlertNotification;
use crate::pdu::ancillary::{CancelSm, QuerySm, QuerySmResp, ReplaceSm};
use crate::pdu::bind::{Bind, BindResp};
use crate::pdu::broadcast::{BROADCAST_SM_TAGS, BroadcastSm, CancelBroadcastSm, QueryBroadcastSm};
use crate::pdu::message::{DataSm, Sm};
use crate::pdu::multi::{SubmitMulti, SubmitMultiResp};
use crate::pdu::outbind::Outbind;
use crate::pdu::response::MessageIdResp;
use crate::tlv::{Tag, Tlvs};
use crate::values::BindKind;

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
    /// outbind.
    Outbind(Outbind<'a>),
    /// alert_notification.
    AlertNotification(AlertNotification<'a>),
    /// broadcast_sm.
    BroadcastSm(BroadcastSm<'a>),
    /// broadcast_sm_resp.
    BroadcastSmResp(Option<MessageIdResp<'a>>),
    /// query_broadcast_sm.
    QueryBroadcastSm(QueryBroadcastSm<'a>),
    /// query_broadcast_sm_resp; all it says besides the id stands in TLVs.
    QueryBroadcastSmResp(Option<MessageIdResp<'a>>),
    /// cancel_broadcast_sm.
    CancelBroadcastSm(CancelBroadcastSm<'a>),
    /// cancel_broadcast_sm_resp.
    CancelBroadcastSmResp(Tlvs<'a>),
    /// An id of no PDU of 3.4 and 5.0: a vendor's, or one of the three that only 3.3 had (param_retrieve,
    /// query_last_msgs, query_msg_details).
    Unknown(CommandId, Body<'a>),
}

impl<'a> Operation<'a> {
    #[inline(always)]
    pub(crate) fn decode(header: Header, body: Body<'a>, limits: &Limits) -> Result<Self, BodyError> {
        let octets = body.0;
        let tlvs = Tlvs::new(octets);
        Ok(match header.command_id {
            CommandId::BIND_RECEIVER => Self::Bind(BindKind::Receiver, Bind::decode(octets, limits)?),
            CommandId::BIND_TRANSMITTER => Self::Bind(BindKind::Transmitter, Bind::decode(octets, limits)?),
            CommandId::BIND_TRANSCEIVER => Self::Bind(BindKind::Transceiver, Bind::decode(octets, limits)?),
            CommandId::BIND_RECEIVER_RESP => {
                Self::BindResp(BindKind::Receiver, BindResp::decode(header, octets))
            }
            CommandId::BIND_TRANSMITTER_RESP => {
                Self::BindResp(BindKind::Transmitter, BindResp::decode(header, octets))
            }
            CommandId::BIND_TRANSCEIVER_RESP => {
                Self::BindResp(BindKind::Transceiver, BindResp::decode(header, octets))
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
            CommandId::OUTBIND => Self::Outbind(Outbind::decode(octets, limits)?),
            CommandId::ALERT_NOTIFICATION => Self::AlertNotification(AlertNotification::decode(octets)?),
            CommandId::BROADCAST_SM => Self::BroadcastSm(BroadcastSm::decode(octets)?),
            CommandId::BROADCAST_SM_RESP => Self::BroadcastSmResp(MessageIdResp::decode(header, octets)?),
            CommandId::QUERY_BROADCAST_SM => Self::QueryBroadcastSm(QueryBroadcastSm::decode(octets)?),
            CommandId::QUERY_BROADCAST_SM_RESP => {
                Self::QueryBroadcastSmResp(MessageIdResp::decode(header, octets)?)
            }
            CommandId::CANCEL_BROADCAST_SM => Self::CancelBroadcastSm(CancelBroadcastSm::decode(octets)?),
            CommandId::CANCEL_BROADCAST_SM_RESP => Self::CancelBroadcastSmResp(tlvs),
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
            Self::Outbind(_) => CommandId::OUTBIND,
            Self::AlertNotification(_) => CommandId::ALERT_NOTIFICATION,
            Self::BroadcastSm(_) => CommandId::BROADCAST_SM,
            Self::BroadcastSmResp(_) => CommandId::BROADCAST_SM_RESP,
            Self::QueryBroadcastSm(_) => CommandId::QUERY_BROADCAST_SM,
            Self::QueryBroadcastSmResp(_) => CommandId::QUERY_BROADCAST_SM_RESP,
            Self::CancelBroadcastSm(_) => CommandId::CANCEL_BROADCAST_SM,
            Self::CancelBroadcastSmResp(_) => CommandId::CANCEL_BROADCAST_SM_RESP,
            Self::Unknown(id, _) => *id,
        }
    }

    pub(crate) fn encode_body(&self, out: &mut Vec<u8>) {
        match self {
            Self::Bind(_, bind) => bind.encode(out),
            Self::BindResp(_, body) => {
                if let Some(body) = body {
                    body.encode(out);
                }
            }
            Self::SubmitSm(sm) | Self::DeliverSm(sm) => sm.encode(out),
            Self::DataSm(sm) => sm.encode(out),
            Self::SubmitSmResp(body)
            | Self::DeliverSmResp(body)
            | Self::DataSmResp(body)
            | Self::BroadcastSmResp(body)
            | Self::QueryBroadcastSmResp(body) => {
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
            Self::Outbind(outbind) => outbind.encode(out),
            Self::AlertNotification(alert) => alert.encode(out),
            Self::BroadcastSm(broadcast) => broadcast.encode(out),
            Self::QueryBroadcastSm(query) => query.encode(out),
            Self::CancelBroadcastSm(cancel) => cancel.encode(out),
            Self::Unbind(tlvs)
            | Self::UnbindResp(tlvs)
            | Self::EnquireLink(tlvs)
            | Self::EnquireLinkResp(tlvs)
            | Self::CancelBroadcastSmResp(tlvs)
            | Self::CancelSmResp(tlvs)
            | Self::ReplaceSmResp(tlvs)
            | Self::GenericNack(tlvs) => out.extend_from_slice(tlvs.as_bytes()),
            Self::Unknown(_, body) => out.extend_from_slice(body.0),
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
            | Self::DataSmResp(Some(body))
            | Self::BroadcastSmResp(Some(body))
            | Self::QueryBroadcastSmResp(Some(body)) => body.tlvs,
            Self::SubmitMulti(multi) => multi.message.tlvs,
            Self::SubmitMultiResp(Some(body)) => body.tlvs,
            Self::QuerySm(query) => query.tlvs,
            Self::QuerySmResp(Some(body)) => body.tlvs,
            Self::CancelSm(cancel) => cancel.tlvs,
            Self::ReplaceSm(replace) => replace.tlvs,
            Self::Outbind(outbind) => outbind.tlvs,
            Self::AlertNotification(alert) => alert.tlvs,
            Self::BroadcastSm(broadcast) => broadcast.tlvs,
            Self::QueryBroadcastSm(query) => query.tlvs,
            Self::CancelBroadcastSm(cancel) => cancel.tlvs,
            Self::CancelBroadcastSmResp(tlvs)
            | Self::Unbind(tlvs)
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
            | Self::BroadcastSmResp(None)
            | Self::QueryBroadcastSmResp(None)
            | Self::Unknown(..) => Tlvs::NONE,
        }
    }

    /// TLVs that a request must have; only 5.0 has any. A response is taken without them: it is the answer all the
    /// same, and behind an error it has none.
    const fn required(&self) -> &'static [Tag] {
        match self {
            Self::BroadcastSm(_) => BROADCAST_SM_TAGS,
            _ => &[],
        }
    }

    /// Whether it is a response that is only a header: a body in it is to be ignored (smpp-pdus.md §4.1, interop
    /// quirk 18).
    pub(crate) const fn is_bare_response(&self) -> bool {
        matches!(
            self,
            Self::UnbindResp(_)
                | Self::EnquireLinkResp(_)
                | Self::CancelSmResp(_)
                | Self::ReplaceSmResp(_)
                | Self::CancelBroadcastSmResp(_)
                | Self::GenericNack(_)
        )
    }

    /// What a strict reader refuses although the mandatory fields were readable: faults of the TLVs, and
    /// TLVs that a request must have and has not. Faults in a body that was not read because of the status
    /// are no more visible here; [`crate::pdu::strict`] sees them.
    ///
    /// A gateway is strict with what ESMEs send and lenient with deliveries and responses (design §5.8).
    ///
    /// # Errors
    ///
    /// The first fault of a TLV, else that one is missing.
    pub fn strict(&self) -> Result<(), BodyError> {
        let tlvs = self.tlvs();
        tlvs.strict()?;
        if self.required().iter().all(|tag| tlvs.get(*tag).is_some()) {
            Ok(())
        } else {
            Err(BodyError {
                field: Field::Tlvs,
                fault: Fault::TlvMissing,
            })
        }
    }
}
