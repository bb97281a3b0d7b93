//! Optional parameters (TLVs), kept in their order and byte for byte (SMPP 3.4 §5.3, 5.0 §4.8).
//!
//! Reading never fails a PDU: a gateway passes on what it does not need (interop #40). Where strictness
//! is wanted, [`Tlvs::strict`] reports the first fault.

use std::fmt;

use crate::error::{BodyError, Fault, Field};
use crate::octets::Body;

/// A TLV's tag. Unknown and vendor tags are ordinary values.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(pub u16);

/// The tags of 3.4 and 5.0, with the shortest and longest value a strict reader accepts.
macro_rules! tags {
    ($($value:literal $name:ident $text:literal $min:literal $max:literal)*) => {
        impl Tag {
            $(#[doc = concat!("`", $text, "`, ", $min, " to ", $max, " octets.")]
            pub const $name: Self = Self($value);)*

            /// The specification's name; `None` for vendor and reserved tags.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some($text),)*
                    _ => None,
                }
            }

            /// Shortest and longest value of a known tag.
            const fn lengths(self) -> Option<(usize, usize)> {
                match self.0 {
                    $($value => Some(($min, $max)),)*
                    _ => None,
                }
            }
        }

        #[cfg(test)]
        const KNOWN: &[u16] = &[$($value),*];
    };
}

tags! {
    0x0005 DEST_ADDR_SUBUNIT "dest_addr_subunit" 1 1
    0x0006 DEST_NETWORK_TYPE "dest_network_type" 1 1
    0x0007 DEST_BEARER_TYPE "dest_bearer_type" 1 1
    0x0008 DEST_TELEMATICS_ID "dest_telematics_id" 2 2
    0x000d SOURCE_ADDR_SUBUNIT "source_addr_subunit" 1 1
    0x000e SOURCE_NETWORK_TYPE "source_network_type" 1 1
    0x000f SOURCE_BEARER_TYPE "source_bearer_type" 1 1
    0x0010 SOURCE_TELEMATICS_ID "source_telematics_id" 1 2
    0x0017 QOS_TIME_TO_LIVE "qos_time_to_live" 4 4
    0x0019 PAYLOAD_TYPE "payload_type" 1 1
    0x001d ADDITIONAL_STATUS_INFO_TEXT "additional_status_info_text" 1 256
    0x001e RECEIPTED_MESSAGE_ID "receipted_message_id" 1 65
    0x0030 MS_MSG_WAIT_FACILITIES "ms_msg_wait_facilities" 1 1
    0x0201 PRIVACY_INDICATOR "privacy_indicator" 1 1
    0x0202 SOURCE_SUBADDRESS "source_subaddress" 2 23
    0x0203 DEST_SUBADDRESS "dest_subaddress" 2 23
    0x0204 USER_MESSAGE_REFERENCE "user_message_reference" 2 2
    0x0205 USER_RESPONSE_CODE "user_response_code" 1 1
    0x020a SOURCE_PORT "source_port" 2 2
    0x020b DEST_PORT "dest_port" 2 2
    0x020c SAR_MSG_REF_NUM "sar_msg_ref_num" 2 2
    0x020d LANGUAGE_INDICATOR "language_indicator" 1 1
    0x020e SAR_TOTAL_SEGMENTS "sar_total_segments" 1 1
    0x020f SAR_SEGMENT_SEQNUM "sar_segment_seqnum" 1 1
    0x0210 SC_INTERFACE_VERSION "sc_interface_version" 1 1
    0x0302 CALLBACK_NUM_PRES_IND "callback_num_pres_ind" 1 1
    0x0303 CALLBACK_NUM_ATAG "callback_num_atag" 0 65
    0x0304 NUMBER_OF_MESSAGES "number_of_messages" 1 1
    0x0381 CALLBACK_NUM "callback_num" 4 19
    0x0420 DPF_RESULT "dpf_result" 1 1
    0x0421 SET_DPF "set_dpf" 1 1
    0x0422 MS_AVAILABILITY_STATUS "ms_availability_status" 1 1
    0x0423 NETWORK_ERROR_CODE "network_error_code" 3 3
    0x0424 MESSAGE_PAYLOAD "message_payload" 0 65535
    0x0425 DELIVERY_FAILURE_REASON "delivery_failure_reason" 1 1
    0x0426 MORE_MESSAGES_TO_SEND "more_messages_to_send" 1 1
    0x0427 MESSAGE_STATE "message_state" 1 1
    0x0428 CONGESTION_STATE "congestion_state" 1 1
    0x0501 USSD_SERVICE_OP "ussd_service_op" 1 1
    0x0600 BROADCAST_CHANNEL_INDICATOR "broadcast_channel_indicator" 1 1
    0x0601 BROADCAST_CONTENT_TYPE "broadcast_content_type" 3 3
    0x0602 BROADCAST_CONTENT_TYPE_INFO "broadcast_content_type_info" 1 255
    0x0603 BROADCAST_MESSAGE_CLASS "broadcast_message_class" 1 1
    0x0604 BROADCAST_REP_NUM "broadcast_rep_num" 2 2
    0x0605 BROADCAST_FREQUENCY_INTERVAL "broadcast_frequency_interval" 3 3
    0x0606 BROADCAST_AREA_IDENTIFIER "broadcast_area_identifier" 1 101
    0x0607 BROADCAST_ERROR_STATUS "broadcast_error_status" 4 4
    0x0608 BROADCAST_AREA_SUCCESS "broadcast_area_success" 1 1
    0x0609 BROADCAST_END_TIME "broadcast_end_time" 16 17
    0x060a BROADCAST_SERVICE_GROUP "broadcast_service_group" 1 255
    0x060b BILLING_IDENTIFICATION "billing_identification" 1 1024
    0x060d SOURCE_NETWORK_ID "source_network_id" 7 65
    0x060e DEST_NETWORK_ID "dest_network_id" 7 65
    0x060f SOURCE_NODE_ID "source_node_id" 6 6
    0x0610 DEST_NODE_ID "dest_node_id" 6 6
    0x0611 DEST_ADDR_NP_RESOLUTION "dest_addr_np_resolution" 1 1
    0x0612 DEST_ADDR_NP_INFORMATION "dest_addr_np_information" 10 10
    0x0613 DEST_ADDR_NP_COUNTRY "dest_addr_np_country" 1 5
    0x1201 DISPLAY_TIME "display_time" 1 1
    0x1203 SMS_SIGNAL "sms_signal" 2 2
    0x1204 MS_VALIDITY "ms_validity" 1 4
    0x130c ALERT_ON_MESSAGE_DELIVERY "alert_on_message_delivery" 0 1
    0x1380 ITS_REPLY_TYPE "its_reply_type" 1 1
    0x1383 ITS_SESSION_INFO "its_session_info" 2 2
}

impl Tag {
    /// Whether a value of this length can be one of this tag. Unknown tags take any.
    pub const fn allows(self, length: usize) -> bool {
        match self {
            // Either the one octet of 3.4 or the four of 5.0, nothing between.
            Self::MS_VALIDITY => length == 1 || length == 4,
            _ => match self.lengths() {
                Some((min, max)) => min <= length && length <= max,
                None => true,
            },
        }
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "{:#06x}", self.0),
        }
    }
}

/// One optional parameter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tlv<'a> {
    /// What it is.
    pub tag: Tag,
    /// Its octets; the length is all that is ever shown of them.
    pub value: Body<'a>,
}

/// The optional parameters of a PDU as they stand on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Tlvs<'a>(&'a [u8]);

impl<'a> Tlvs<'a> {
    /// No optional parameters.
    pub const NONE: Tlvs<'static> = Tlvs(&[]);

    /// The octets from the end of the mandatory fields to the end of the PDU, well formed or not.
    pub const fn new(octets: &'a [u8]) -> Self {
        Self(octets)
    }

    /// The same octets.
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.0
    }

    /// Whether nothing follows the mandatory fields.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The parameters in their order, up to the first fault in the framing.
    pub fn iter(&self) -> Iter<'a> {
        Iter(self.0)
    }

    /// The first parameter with this tag. Duplicates of single-valued ones: the first counts
    /// (smpp-tlvs.md, rule 7).
    pub fn get(&self, tag: Tag) -> Option<&'a [u8]> {
        self.iter().find(|tlv| tlv.tag == tag).map(|tlv| tlv.value.0)
    }

    /// A one-octet parameter; `None` when absent or of another length.
    pub fn octet(&self, tag: Tag) -> Option<u8> {
        match self.get(tag)? {
            [octet] => Some(*octet),
            _ => None,
        }
    }

    /// A two-octet parameter; `None` when absent or of another length.
    pub fn short(&self, tag: Tag) -> Option<u16> {
        self.get(tag)?.try_into().ok().map(u16::from_be_bytes)
    }

    /// A four-octet parameter; `None` when absent or of another length.
    pub fn long(&self, tag: Tag) -> Option<u32> {
        self.get(tag)?.try_into().ok().map(u32::from_be_bytes)
    }

    /// The text, when it stands in message_payload.
    pub fn message_payload(&self) -> Option<Body<'a>> {
        self.get(Tag::MESSAGE_PAYLOAD).map(Body)
    }

    /// The carrier's id of the message that a receipt is about. Many peers leave the NUL out.
    pub fn receipted_message_id(&self) -> Option<&'a [u8]> {
        let value = self.get(Tag::RECEIPTED_MESSAGE_ID)?;
        Some(value.strip_suffix(b"\0").unwrap_or(value))
    }

    /// Type and code of a network error.
    pub fn network_error_code(&self) -> Option<[u8; 3]> {
        self.get(Tag::NETWORK_ERROR_CODE)?.try_into().ok()
    }

    /// The first fault: broken framing, or a known tag with a length that it cannot have.
    pub fn strict(&self) -> Result<(), BodyError> {
        let fault = |fault| {
            Err(BodyError {
                field: Field::Tlvs,
                fault,
            })
        };
        let mut iter = self.iter();
        for tlv in iter.by_ref() {
            if !tlv.tag.allows(tlv.value.0.len()) {
                return fault(Fault::TlvLength);
            }
        }
        match iter.0.len() {
            0 => Ok(()),
            1..=3 => fault(Fault::TlvHeader),
            _ => fault(Fault::TlvOverrun),
        }
    }
}

impl<'a> IntoIterator for Tlvs<'a> {
    type Item = Tlv<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl fmt::Debug for Tlvs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Walks the parameters; ends at the first fault in the framing.
#[derive(Clone, Debug)]
pub struct Iter<'a>(&'a [u8]);

impl<'a> Iterator for Iter<'a> {
    type Item = Tlv<'a>;

    fn next(&mut self) -> Option<Tlv<'a>> {
        let (head, rest) = self.0.split_first_chunk::<4>()?;
        let tag = Tag(u16::from_be_bytes([head[0], head[1]]));
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let (value, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(Tlv {
            tag,
            value: Body(value),
        })
    }
}

/// Appends one parameter to a body under construction. A value longer than 65 535 octets does not fit a
/// TLV and is left out: `false`.
#[must_use]
pub fn append(out: &mut Vec<u8>, tag: Tag, value: &[u8]) -> bool {
    let Ok(length) = u16::try_from(value.len()) else {
        return false;
    };
    out.extend_from_slice(&tag.0.to_be_bytes());
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(value);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_64_tags() {
        assert_eq!(KNOWN.len(), 64);
        assert!(KNOWN.is_sorted());
    }

    #[test]
    fn unknown_tags_and_their_order_survive() {
        let mut octets = Vec::new();
        for (tag, value) in [(0x1400, &b"dlt"[..]), (0x0204, &[0, 9]), (0x8081, &[])] {
            assert!(append(&mut octets, Tag(tag), value));
        }
        let tlvs = Tlvs::new(&octets);
        let tags: Vec<u16> = tlvs.iter().map(|tlv| tlv.tag.0).collect();
        assert_eq!(tags, [0x1400, 0x0204, 0x8081]);
        assert_eq!(tlvs.short(Tag::USER_MESSAGE_REFERENCE), Some(9));
        assert_eq!(tlvs.strict(), Ok(()));
    }

    #[test]
    fn faults_are_reported_only_when_asked_for() {
        for (octets, fault) in [
            (&[0x02, 0x04, 0][..], Fault::TlvHeader),
            (&[0x02, 0x04, 0, 2, 1], Fault::TlvOverrun),
            (&[0x02, 0x04, 0, 1, 1], Fault::TlvLength),
            (&[0x12, 0x04, 0, 2, 1, 1], Fault::TlvLength),
        ] {
            let strict = Tlvs::new(octets).strict();
            assert_eq!(
                strict,
                Err(BodyError {
                    field: Field::Tlvs,
                    fault
                }),
                "{octets:?}"
            );
        }
    }

    #[test]
    fn a_receipted_message_id_is_read_with_and_without_its_nul() {
        for value in [&b"abc"[..], b"abc\0"] {
            let mut octets = Vec::new();
            assert!(append(&mut octets, Tag::RECEIPTED_MESSAGE_ID, value));
            assert_eq!(Tlvs::new(&octets).receipted_message_id(), Some(&b"abc"[..]));
        }
    }
}
