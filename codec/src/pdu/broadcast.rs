//! broadcast_sm, query_broadcast_sm and cancel_broadcast_sm: one message for everybody in an area
//! (SMPP 5.0 §4.4, §4.6; smpp-pdus.md §4.6).
//!
//! Area, content, repetition and interval stand in TLVs that must be there; the getters of [`Tlvs`] read
//! them. broadcast_sm_resp and query_broadcast_sm_resp are a message_id with TLVs and read as
//! [`crate::pdu::response::MessageIdResp`]; cancel_broadcast_sm_resp is only a header.
//!
//! ```
//! use tidegate_codec::error::Fault;
//! use tidegate_codec::pdu::Operation;
//! use tidegate_codec::pdu::broadcast::{BROADCAST_SM_TAGS, BroadcastSm};
//! use tidegate_codec::tlv::{Tag, Tlvs, append};
//!
//! let mut tlvs = Vec::new();
//! assert!(append(&mut tlvs, Tag::BROADCAST_AREA_IDENTIFIER, b"\0north"));
//! assert!(append(&mut tlvs, Tag::BROADCAST_CONTENT_TYPE, &[1, 0, 0x10]));
//! assert!(append(&mut tlvs, Tag::BROADCAST_REP_NUM, &[0, 3]));
//! let broadcast = BroadcastSm { tlvs: Tlvs::new(&tlvs), ..BroadcastSm::default() };
//! assert_eq!(broadcast.tlvs.broadcast_rep_num(), Ok(Some(3)));
//! // Reading does not ask for the four; `strict` does.
//! let missing = Operation::BroadcastSm(broadcast).strict().map_err(|error| error.fault);
//! assert_eq!((missing, BROADCAST_SM_TAGS.len()), (Err(Fault::TlvMissing), 4));
//! ```
//!
//! A [`Session`](crate::session::Session) hands no broadcast on: it answers these requests with an error by
//! itself.

use crate::address::Address;
use crate::error::{BodyError, Field};
use crate::field::{self, c_octets, octet};
use crate::message_id::MessageIdField;
use crate::octets::COctets;
use crate::pdu::message::{SERVICE_TYPE_MAX, TIME_MAX};
use crate::tlv::{Tag, Tlvs};
use crate::values::DataCoding;

/// TLVs without which a broadcast_sm says nothing.
pub const BROADCAST_SM_TAGS: &[Tag] = &[
    Tag::BROADCAST_AREA_IDENTIFIER,
    Tag::BROADCAST_CONTENT_TYPE,
    Tag::BROADCAST_REP_NUM,
    Tag::BROADCAST_FREQUENCY_INTERVAL,
];

/// TLVs without which a query_broadcast_sm_resp says nothing.
pub const QUERY_BROADCAST_SM_RESP_TAGS: &[Tag] = &[
    Tag::MESSAGE_STATE,
    Tag::BROADCAST_AREA_IDENTIFIER,
    Tag::BROADCAST_AREA_SUCCESS,
];

/// The body of broadcast_sm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct BroadcastSm<'a> {
    /// Service; empty is the default one.
    pub service_type: COctets<'a, SERVICE_TYPE_MAX>,
    /// Sender.
    pub source: Address<'a>,
    /// Which broadcast is replaced; empty otherwise.
    pub message_id: MessageIdField<'a>,
    /// 0 to 4; 1 is immediate, and makes broadcast_rep_num meaningless.
    pub priority_flag: u8,
    /// When to begin; empty is at once. Read with [`crate::time`].
    pub schedule_delivery_time: COctets<'a, TIME_MAX>,
    /// How long to go on; empty is the default. Read with [`crate::time`].
    pub validity_period: COctets<'a, TIME_MAX>,
    /// 1: replace an earlier broadcast.
    pub replace_if_present_flag: u8,
    /// Alphabet and class of the text.
    pub data_coding: DataCoding,
    /// Predefined message; 0 is none.
    pub sm_default_msg_id: u8,
    /// Those of [`BROADCAST_SM_TAGS`], and optional ones; the text is message_payload.
    pub tlvs: Tlvs<'a>,
}

impl<'a> BroadcastSm<'a> {
    pub(crate) fn decode(body: &'a [u8]) -> Result<Self, BodyError> {
        let (body, service_type) = c_octets(Field::ServiceType, body)?;
        let (body, source) = field::source(body)?;
        let (body, message_id) = c_octets(Field::MessageId, body)?;
        let (body, priority_flag) = octet(Field::PriorityFlag, body)?;
        let (body, schedule_delivery_time) = c_octets(Field::ScheduleDeliveryTime, body)?;
        let (body, validity_period) = c_octets(Field::ValidityPeriod, body)?;
        let (body, replace_if_present_flag) = octet(Field::ReplaceIfPresentFlag, body)?;
        let (body, data_coding) = octet(Field::DataCoding, body)?;
        let (body, sm_default_msg_id) = octet(Field::SmDefaultMsgId, body)?;
        Ok(Self {
            service_type,
            source,
            message_id,
            priority_flag,
            schedule_delivery_time,
            validity_period,
            replace_if_present_flag,
            data_coding: DataCoding(data_coding),
            sm_default_msg_id,
            tlvs: Tlvs::new(body),
        })
    }

    /// Appends the body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.service_type.encode(out);
        self.source.encode(out);
        self.message_id.encode(out);
        out.push(self.priority_flag);
        self.schedule_delivery_time.encode(out);
        self.validity_period.encode(out);
        out.extend_from_slice(&[
            self.replace_if_present_flag,
            self.data_coding.0,
            self.sm_default_msg_id,
        ]);
        out.extend_from_slice(self.tlvs.as_bytes());
    }
}

/// The body of query_broadcast_sm. The id and user_message_reference are alternatives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct QueryBroadcastSm<'a> {
    /// The id that the broadcast was answered with.
    pub message_id: MessageIdField<'a>,
    /// Its sender; must be as it was submitted.
    pub source: Address<'a>,
    /// Optional parameters.
    pub tlvs: Tlvs<'a>,
}

impl<'a> QueryBroadcastSm<'a> {
    pub(crate) fn decode(body: &'a [u8]) -> Result<Self, BodyError> {
        let (body, message_id) = c_octets(Field::MessageId, body)?;
        let (body, source) = field::source(body)?;
        Ok(Self {
            message_id,
            source,
            tlvs: Tlvs::new(body),
        })
    }

    /// Appends the body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.message_id.encode(out);
        self.source.encode(out);
        out.extend_from_slice(self.tlvs.as_bytes());
    }
}

/// The body of cancel_broadcast_sm: a cancel_sm without a destination. The id and user_message_reference
/// are alternatives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct CancelBroadcastSm<'a> {
    /// Service; narrows a cancel without an id where it is not empty.
    pub service_type: COctets<'a, SERVICE_TYPE_MAX>,
    /// Which broadcast.
    pub message_id: MessageIdField<'a>,
    /// Its sender; must be as it was submitted.
    pub source: Address<'a>,
    /// Optional parameters.
    pub tlvs: Tlvs<'a>,
}

impl<'a> CancelBroadcastSm<'a> {
    pub(crate) fn decode(body: &'a [u8]) -> Result<Self, BodyError> {
        let (body, service_type) = c_octets(Field::ServiceType, body)?;
        let (body, message_id) = c_octets(Field::MessageId, body)?;
        let (body, source) = field::source(body)?;
        Ok(Self {
            service_type,
            message_id,
            source,
            tlvs: Tlvs::new(body),
        })
    }

    /// Appends the body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.service_type.encode(out);
        self.message_id.encode(out);
        self.source.encode(out);
        out.extend_from_slice(self.tlvs.as_bytes());
    }
}
