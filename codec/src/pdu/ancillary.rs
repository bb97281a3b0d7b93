//! query_sm, cancel_sm and replace_sm: what an ESME asks about a message that it submitted before
//! (SMPP 3.4 §4.8–4.10, smpp-pdus.md §4.5). cancel_sm_resp and replace_sm_resp are only a header.
//!
//! ```
//! use tidegate_codec::header::CommandId;
//! use tidegate_codec::octets::COctets;
//! use tidegate_codec::pdu::ancillary::{QuerySm, QuerySmResp};
//! use tidegate_codec::pdu::{Limits, Operation, Read, encode, read};
//! use tidegate_codec::status::CommandStatus;
//! use tidegate_codec::values::MessageState;
//!
//! let query = QuerySm { message_id: COctets::new(b"4711")?, ..QuerySm::default() };
//! let answer = QuerySmResp {
//!     message_id: query.message_id,
//!     final_date: COctets::new(b"261124120000000+")?,
//!     message_state: MessageState::Delivered.octet(),
//!     ..QuerySmResp::default()
//! };
//! let mut octets = Vec::new();
//! encode(CommandId::QUERY_SM_RESP, CommandStatus::ROK, 1, &mut octets, |out| answer.encode(out));
//! let Read::Pdu(pdu) = read(&octets, &Limits::default()) else { panic!("it is whole") };
//! assert_eq!(pdu.operation, Operation::QuerySmResp(Some(answer)));
//! # Ok::<(), tidegate_codec::octets::OctetsError>(())
//! ```

use crate::address::Address;
use crate::error::{BodyError, Field};
use crate::field::{self, c_octets, octet, short_message};
use crate::header::Header;
use crate::message_id::MessageIdField;
use crate::octets::{Body, COctets};
use crate::pdu::message::{SERVICE_TYPE_MAX, ShortMessage, TIME_MAX};
use crate::tlv::Tlvs;
use crate::values::RegisteredDelivery;

/// The body of query_sm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct QuerySm<'a> {
    /// The id that the submission was answered with.
    pub message_id: MessageIdField<'a>,
    /// Its sender; must be as it was submitted.
    pub source: Address<'a>,
    /// Optional parameters; the specifications name none.
    pub tlvs: Tlvs<'a>,
}

impl<'a> QuerySm<'a> {
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

/// The body of query_sm_resp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct QuerySmResp<'a> {
    /// The id that was asked for.
    pub message_id: MessageIdField<'a>,
    /// When the message reached its final state; empty until then.
    pub final_date: COctets<'a, TIME_MAX>,
    /// Its state, as [`crate::values::MessageState`] numbers them.
    pub message_state: u8,
    /// The network's word for a failure; 0 is none.
    pub error_code: u8,
    /// Optional parameters.
    pub tlvs: Tlvs<'a>,
}

impl<'a> QuerySmResp<'a> {
    /// The body is optional whatever the status, and one that cannot be read behind a status other than zero is
    /// ignored: the status is all that counts there (3.4 §4.8.2).
    pub(crate) fn decode(header: Header, body: &'a [u8]) -> Result<Option<Self>, BodyError> {
        if body.is_empty() {
            return Ok(None);
        }
        match Self::decode_body(body) {
            Ok(body) => Ok(Some(body)),
            Err(_) if !header.status.is_ok() => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn decode_body(body: &'a [u8]) -> Result<Self, BodyError> {
        let (body, message_id) = c_octets(Field::MessageId, body)?;
        let (body, final_date) = c_octets(Field::FinalDate, body)?;
        let (body, message_state) = octet(Field::MessageState, body)?;
        let (body, error_code) = octet(Field::ErrorCode, body)?;
        Ok(Self {
            message_id,
            final_date,
            message_state,
            error_code,
            tlvs: Tlvs::new(body),
        })
    }

    /// Appends the body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.message_id.encode(out);
        self.final_date.encode(out);
        out.extend_from_slice(&[self.message_state, self.error_code]);
        out.extend_from_slice(self.tlvs.as_bytes());
    }
}

/// The body of cancel_sm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct CancelSm<'a> {
    /// Service; narrows a cancel without an id where it is not empty.
    pub service_type: COctets<'a, SERVICE_TYPE_MAX>,
    /// Which message; empty is every pending one with these addresses.
    pub message_id: MessageIdField<'a>,
    /// Sender; must be as it was submitted.
    pub source: Address<'a>,
    /// Recipient; may be empty where there is an id.
    pub destination: Address<'a>,
    /// Optional parameters; the specifications name none.
    pub tlvs: Tlvs<'a>,
}

impl<'a> CancelSm<'a> {
    pub(crate) fn decode(body: &'a [u8]) -> Result<Self, BodyError> {
        let (body, service_type) = c_octets(Field::ServiceType, body)?;
        let (body, message_id) = c_octets(Field::MessageId, body)?;
        let (body, source) = field::source(body)?;
        let (body, destination) = field::destination(body)?;
        Ok(Self {
            service_type,
            message_id,
            source,
            destination,
            tlvs: Tlvs::new(body),
        })
    }

    /// Appends the body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.service_type.encode(out);
        self.message_id.encode(out);
        self.source.encode(out);
        self.destination.encode(out);
        out.extend_from_slice(self.tlvs.as_bytes());
    }
}

/// The body of replace_sm. It has no data_coding and no esm_class: those stay as they were submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ReplaceSm<'a> {
    /// Which message.
    pub message_id: MessageIdField<'a>,
    /// Its sender; must be as it was submitted.
    pub source: Address<'a>,
    /// When to deliver; empty keeps what was submitted.
    pub schedule_delivery_time: COctets<'a, TIME_MAX>,
    /// How long to try; empty keeps what was submitted.
    pub validity_period: COctets<'a, TIME_MAX>,
    /// Which receipts are wanted.
    pub registered_delivery: RegisteredDelivery,
    /// Predefined message; 0 is none.
    pub sm_default_msg_id: u8,
    /// The new text, unless it stands in message_payload (5.0).
    pub short_message: ShortMessage<'a>,
    /// Optional parameters.
    pub tlvs: Tlvs<'a>,
}

impl<'a> ReplaceSm<'a> {
    pub(crate) fn decode(body: &'a [u8]) -> Result<Self, BodyError> {
        let (body, message_id) = c_octets(Field::MessageId, body)?;
        let (body, source) = field::source(body)?;
        let (body, schedule_delivery_time) = c_octets(Field::ScheduleDeliveryTime, body)?;
        let (body, validity_period) = c_octets(Field::ValidityPeriod, body)?;
        let (body, registered_delivery) = octet(Field::RegisteredDelivery, body)?;
        let (body, sm_default_msg_id) = octet(Field::SmDefaultMsgId, body)?;
        let (body, text) = short_message(body)?;
        Ok(Self {
            message_id,
            source,
            schedule_delivery_time,
            validity_period,
            registered_delivery: RegisteredDelivery(registered_delivery),
            sm_default_msg_id,
            short_message: ShortMessage::from_checked(Body(text)),
            tlvs: Tlvs::new(body),
        })
    }

    /// Appends the body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.message_id.encode(out);
        self.source.encode(out);
        self.schedule_delivery_time.encode(out);
        self.validity_period.encode(out);
        out.extend_from_slice(&[self.registered_delivery.0, self.sm_default_msg_id]);
        self.short_message.encode(out);
        out.extend_from_slice(self.tlvs.as_bytes());
    }
}
