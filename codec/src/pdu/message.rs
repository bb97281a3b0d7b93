//! submit_sm and deliver_sm, which share their 18 fields (SMPP 3.4 §4.4, §4.6), and data_sm (§4.7).
//!
//! ```
//! use tidegate_codec::pdu::message::{DataSm, ShortMessage, Sm};
//! use tidegate_codec::tlv::{Tag, Tlvs, append};
//!
//! let message = Sm { short_message: ShortMessage::new(b"hello").unwrap_or_default(), ..Sm::default() };
//! let mut body = Vec::new();
//! message.encode(&mut body);
//! assert_eq!(Sm::decode(&body), Ok(message));
//! assert_eq!(ShortMessage::new(&[b'x'; 256]), None);
//!
//! // A longer text stands in message_payload; `text` finds it in either place.
//! let mut tlvs = Vec::new();
//! assert!(append(&mut tlvs, Tag::MESSAGE_PAYLOAD, &[b'x'; 256]));
//! let long = Sm { tlvs: Tlvs::new(&tlvs), ..Sm::default() };
//! assert_eq!((message.text().0.len(), long.text().0.len()), (5, 256));
//! let data = DataSm { tlvs: Tlvs::new(&tlvs), ..DataSm::default() };
//! assert_eq!(data.tlvs.message_payload(), Some(long.text()));
//! ```
//!
//! **Errors.** [`BodyError`] names the field that is broken.
//!
//! **Limits.** [`SERVICE_TYPE_MAX`], [`TIME_MAX`], [`SHORT_MESSAGE_MAX`]; a message_payload has up to 65 535
//! octets.

use crate::address::{ADDR_DATA, Address};
use crate::error::{BodyError, Field};
use crate::field::{self, c_octets, octets, short_message};
use crate::octets::{Body, COctets};
use crate::tlv::Tlvs;
use crate::values::{DataCoding, EsmClass, RegisteredDelivery};

/// Size of `service_type` with its NUL (3.4 §5.2.11).
pub const SERVICE_TYPE_MAX: usize = 6;
/// Size of a time field with its NUL (3.4 §7.1): empty, or 16 characters.
pub const TIME_MAX: usize = 17;
/// Longest short_message in octets (5.0; 3.4 says 254, and peers of 3.4 send 255).
pub const SHORT_MESSAGE_MAX: usize = 255;

/// The text of submit_sm and deliver_sm: as many octets as `sm_length` can count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct ShortMessage<'a>(Body<'a>);

impl<'a> ShortMessage<'a> {
    /// `None` when there are more than [`SHORT_MESSAGE_MAX`] octets; longer text belongs into
    /// message_payload.
    pub const fn new(octets: &'a [u8]) -> Option<Self> {
        if octets.len() > SHORT_MESSAGE_MAX {
            None
        } else {
            Some(Self(Body(octets)))
        }
    }

    /// As [`ShortMessage::new`] for octets that `sm_length` has counted.
    pub(crate) const fn from_checked(octets: Body<'a>) -> Self {
        Self(octets)
    }

    /// The octets.
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.0.0
    }

    /// Appends `sm_length` and the octets.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let text = self.as_bytes();
        // It holds at most 255 octets.
        out.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
        out.extend_from_slice(text);
    }
}

/// The body of submit_sm and deliver_sm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Sm<'a> {
    /// Service; empty is the default one.
    pub service_type: COctets<'a, SERVICE_TYPE_MAX>,
    /// Sender.
    pub source: Address<'a>,
    /// Recipient.
    pub destination: Address<'a>,
    /// Mode, type and features.
    pub esm_class: EsmClass,
    /// protocol_id of the network.
    pub protocol_id: u8,
    /// 0 (lowest) to 3; 3.3 knows 0 and 1, 5.0 adds 4.
    pub priority_flag: u8,
    /// When to deliver; empty is at once. Read with [`crate::time`].
    pub schedule_delivery_time: COctets<'a, TIME_MAX>,
    /// How long to try; empty is the default. Read with [`crate::time`].
    pub validity_period: COctets<'a, TIME_MAX>,
    /// Which receipts are wanted.
    pub registered_delivery: RegisteredDelivery,
    /// 1: replace an earlier message.
    pub replace_if_present_flag: u8,
    /// Alphabet and class of the text.
    pub data_coding: DataCoding,
    /// Predefined message; 0 is none.
    pub sm_default_msg_id: u8,
    /// The text, unless it stands in message_payload.
    pub short_message: ShortMessage<'a>,
    /// Optional parameters.
    pub tlvs: Tlvs<'a>,
}

impl<'a> Sm<'a> {
    /// Reads the body of a submit_sm or deliver_sm: everything behind the header.
    ///
    /// # Errors
    ///
    /// The first mandatory field that cannot be read. TLVs are not looked at.
    // Inlined, here and below: its value is built where the PDU is returned, in place of being moved from one result
    // into the next.
    #[inline(always)]
    pub fn decode(body: &'a [u8]) -> Result<Self, BodyError> {
        let (body, service_type) = c_octets(Field::ServiceType, body)?;
        let (body, source) = field::source(body)?;
        let (body, destination) = field::destination(body)?;
        Self::decode_from_esm_class(service_type, source, destination, body)
    }

    /// Reads what stands behind the addresses; submit_multi has several recipients in front of it.
    #[inline(always)]
    pub(crate) fn decode_from_esm_class(
        service_type: COctets<'a, SERVICE_TYPE_MAX>,
        source: Address<'a>,
        destination: Address<'a>,
        body: &'a [u8],
    ) -> Result<Self, BodyError> {
        let (body, [esm_class, protocol_id, priority_flag]) =
            octets([Field::EsmClass, Field::ProtocolId, Field::PriorityFlag], body)?;
        let (body, schedule_delivery_time) = c_octets(Field::ScheduleDeliveryTime, body)?;
        let (body, validity_period) = c_octets(Field::ValidityPeriod, body)?;
        let (
            body,
            [
                registered_delivery,
                replace_if_present_flag,
                data_coding,
                sm_default_msg_id,
            ],
        ) = octets(
            [
                Field::RegisteredDelivery,
                Field::ReplaceIfPresentFlag,
                Field::DataCoding,
                Field::SmDefaultMsgId,
            ],
            body,
        )?;
        let (body, text) = short_message(body)?;
        Ok(Self {
            service_type,
            source,
            destination,
            esm_class: EsmClass(esm_class),
            protocol_id,
            priority_flag,
            schedule_delivery_time,
            validity_period,
            registered_delivery: RegisteredDelivery(registered_delivery),
            replace_if_present_flag,
            data_coding: DataCoding(data_coding),
            sm_default_msg_id,
            short_message: ShortMessage::from_checked(Body(text)),
            tlvs: Tlvs::new(body),
        })
    }

    /// Appends the body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.service_type.encode(out);
        self.source.encode(out);
        self.destination.encode(out);
        self.encode_from_esm_class(out);
    }

    /// Appends what stands behind the addresses.
    pub(crate) fn encode_from_esm_class(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.esm_class.0, self.protocol_id, self.priority_flag]);
        self.schedule_delivery_time.encode(out);
        self.validity_period.encode(out);
        out.extend_from_slice(&[
            self.registered_delivery.0,
            self.replace_if_present_flag,
            self.data_coding.0,
            self.sm_default_msg_id,
        ]);
        self.short_message.encode(out);
        out.extend_from_slice(self.tlvs.as_bytes());
    }

    /// The text, wherever it stands: message_payload, or short_message when there is none of it. Where both have
    /// text the TLV wins, as 5.0 has it; 3.4 forbids that, and whoever is to refuse it looks at both
    /// (smpp-pdus.md §4.2).
    pub fn text(&self) -> Body<'a> {
        match self.tlvs.message_payload() {
            Some(payload) if !payload.0.is_empty() => payload,
            _ => Body(self.short_message.as_bytes()),
        }
    }
}

/// The body of data_sm. Its text stands in message_payload only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct DataSm<'a> {
    /// Service; empty is the default one.
    pub service_type: COctets<'a, SERVICE_TYPE_MAX>,
    /// Sender; up to 64 octets, more than in submit_sm.
    pub source: Address<'a, ADDR_DATA>,
    /// Recipient; up to 64 octets.
    pub destination: Address<'a, ADDR_DATA>,
    /// Mode, type and features.
    pub esm_class: EsmClass,
    /// Which receipts are wanted.
    pub registered_delivery: RegisteredDelivery,
    /// Alphabet and class of the text.
    pub data_coding: DataCoding,
    /// Optional parameters.
    pub tlvs: Tlvs<'a>,
}

impl<'a> DataSm<'a> {
    /// Reads the body of a data_sm: everything behind the header.
    ///
    /// # Errors
    ///
    /// The first mandatory field that cannot be read. TLVs are not looked at.
    pub fn decode(body: &'a [u8]) -> Result<Self, BodyError> {
        let (body, service_type) = c_octets(Field::ServiceType, body)?;
        let (body, source) = field::source(body)?;
        let (body, destination) = field::destination(body)?;
        let (body, [esm_class, registered_delivery, data_coding]) = octets(
            [Field::EsmClass, Field::RegisteredDelivery, Field::DataCoding],
            body,
        )?;
        Ok(Self {
            service_type,
            source,
            destination,
            esm_class: EsmClass(esm_class),
            registered_delivery: RegisteredDelivery(registered_delivery),
            data_coding: DataCoding(data_coding),
            tlvs: Tlvs::new(body),
        })
    }

    /// Appends the body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.service_type.encode(out);
        self.source.encode(out);
        self.destination.encode(out);
        out.extend_from_slice(&[self.esm_class.0, self.registered_delivery.0, self.data_coding.0]);
        out.extend_from_slice(self.tlvs.as_bytes());
    }
}
