//! The tags of SMPP 3.4 and 5.0: number, name, first version, and how long a value may be
//! (SMPP 3.4 §5.3, 5.0 §4.8; smpp-tlvs.md).

use std::fmt;

use crate::values::InterfaceVersion;

/// A TLV's tag. Unknown and vendor tags are ordinary values.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(pub u16);

/// Each row: tag, constant, the specification's name, shortest and longest value that a strict reader
/// accepts, the version that defines it.
macro_rules! tags {
    ($($value:literal $name:ident $text:literal $min:literal $max:literal $since:ident)*) => {
        impl Tag {
            $(#[doc = concat!(
                "`", $text, "` (", stringify!($value), "), ", $min, " to ", $max,
                " octets, since [`InterfaceVersion::", stringify!($since), "`]."
            )]
            pub const $name: Self = Self($value);)*

            /// Every tag that the specifications define, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The specification's name; `None` for vendor and reserved tags.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some($text),)*
                    _ => None,
                }
            }

            /// Shortest and longest value of a known tag; `None` where any length may be.
            pub const fn lengths(self) -> Option<(usize, usize)> {
                match self.0 {
                    $($value => Some(($min, $max)),)*
                    _ => None,
                }
            }

            /// The version that first defines a known tag; `None` for vendor and reserved tags.
            pub const fn since(self) -> Option<InterfaceVersion> {
                match self.0 {
                    $($value => Some(InterfaceVersion::$since),)*
                    _ => None,
                }
            }
        }
    };
}

tags! {
    0x0005 DEST_ADDR_SUBUNIT "dest_addr_subunit" 1 1 V3_4
    0x0006 DEST_NETWORK_TYPE "dest_network_type" 1 1 V3_4
    0x0007 DEST_BEARER_TYPE "dest_bearer_type" 1 1 V3_4
    0x0008 DEST_TELEMATICS_ID "dest_telematics_id" 2 2 V3_4
    0x000d SOURCE_ADDR_SUBUNIT "source_addr_subunit" 1 1 V3_4
    0x000e SOURCE_NETWORK_TYPE "source_network_type" 1 1 V3_4
    0x000f SOURCE_BEARER_TYPE "source_bearer_type" 1 1 V3_4
    0x0010 SOURCE_TELEMATICS_ID "source_telematics_id" 1 2 V3_4
    0x0017 QOS_TIME_TO_LIVE "qos_time_to_live" 4 4 V3_4
    0x0019 PAYLOAD_TYPE "payload_type" 1 1 V3_4
    0x001d ADDITIONAL_STATUS_INFO_TEXT "additional_status_info_text" 1 256 V3_4
    0x001e RECEIPTED_MESSAGE_ID "receipted_message_id" 1 65 V3_4
    0x0030 MS_MSG_WAIT_FACILITIES "ms_msg_wait_facilities" 1 1 V3_4
    0x0201 PRIVACY_INDICATOR "privacy_indicator" 1 1 V3_4
    0x0202 SOURCE_SUBADDRESS "source_subaddress" 2 23 V3_4
    0x0203 DEST_SUBADDRESS "dest_subaddress" 2 23 V3_4
    0x0204 USER_MESSAGE_REFERENCE "user_message_reference" 2 2 V3_4
    0x0205 USER_RESPONSE_CODE "user_response_code" 1 1 V3_4
    0x020a SOURCE_PORT "source_port" 2 2 V3_4
    0x020b DEST_PORT "dest_port" 2 2 V3_4
    0x020c SAR_MSG_REF_NUM "sar_msg_ref_num" 2 2 V3_4
    0x020d LANGUAGE_INDICATOR "language_indicator" 1 1 V3_4
    0x020e SAR_TOTAL_SEGMENTS "sar_total_segments" 1 1 V3_4
    0x020f SAR_SEGMENT_SEQNUM "sar_segment_seqnum" 1 1 V3_4
    0x0210 SC_INTERFACE_VERSION "sc_interface_version" 1 1 V3_4
    0x0302 CALLBACK_NUM_PRES_IND "callback_num_pres_ind" 1 1 V3_4
    0x0303 CALLBACK_NUM_ATAG "callback_num_atag" 0 65 V3_4
    0x0304 NUMBER_OF_MESSAGES "number_of_messages" 1 1 V3_4
    0x0381 CALLBACK_NUM "callback_num" 4 19 V3_4
    0x0420 DPF_RESULT "dpf_result" 1 1 V3_4
    0x0421 SET_DPF "set_dpf" 1 1 V3_4
    0x0422 MS_AVAILABILITY_STATUS "ms_availability_status" 1 1 V3_4
    0x0423 NETWORK_ERROR_CODE "network_error_code" 3 3 V3_4
    0x0424 MESSAGE_PAYLOAD "message_payload" 0 65535 V3_4
    0x0425 DELIVERY_FAILURE_REASON "delivery_failure_reason" 1 1 V3_4
    0x0426 MORE_MESSAGES_TO_SEND "more_messages_to_send" 1 1 V3_4
    0x0427 MESSAGE_STATE "message_state" 1 1 V3_4
    0x0428 CONGESTION_STATE "congestion_state" 1 1 V5_0
    0x0501 USSD_SERVICE_OP "ussd_service_op" 1 1 V3_4
    0x0600 BROADCAST_CHANNEL_INDICATOR "broadcast_channel_indicator" 1 1 V5_0
    0x0601 BROADCAST_CONTENT_TYPE "broadcast_content_type" 3 3 V5_0
    0x0602 BROADCAST_CONTENT_TYPE_INFO "broadcast_content_type_info" 1 255 V5_0
    0x0603 BROADCAST_MESSAGE_CLASS "broadcast_message_class" 1 1 V5_0
    0x0604 BROADCAST_REP_NUM "broadcast_rep_num" 2 2 V5_0
    0x0605 BROADCAST_FREQUENCY_INTERVAL "broadcast_frequency_interval" 3 3 V5_0
    0x0606 BROADCAST_AREA_IDENTIFIER "broadcast_area_identifier" 1 101 V5_0
    0x0607 BROADCAST_ERROR_STATUS "broadcast_error_status" 4 4 V5_0
    0x0608 BROADCAST_AREA_SUCCESS "broadcast_area_success" 1 1 V5_0
    0x0609 BROADCAST_END_TIME "broadcast_end_time" 16 17 V5_0
    0x060a BROADCAST_SERVICE_GROUP "broadcast_service_group" 1 255 V5_0
    0x060b BILLING_IDENTIFICATION "billing_identification" 1 1024 V5_0
    0x060d SOURCE_NETWORK_ID "source_network_id" 7 65 V5_0
    0x060e DEST_NETWORK_ID "dest_network_id" 7 65 V5_0
    0x060f SOURCE_NODE_ID "source_node_id" 6 6 V5_0
    0x0610 DEST_NODE_ID "dest_node_id" 6 6 V5_0
    0x0611 DEST_ADDR_NP_RESOLUTION "dest_addr_np_resolution" 1 1 V5_0
    0x0612 DEST_ADDR_NP_INFORMATION "dest_addr_np_information" 10 10 V5_0
    0x0613 DEST_ADDR_NP_COUNTRY "dest_addr_np_country" 1 5 V5_0
    0x1201 DISPLAY_TIME "display_time" 1 1 V3_4
    0x1203 SMS_SIGNAL "sms_signal" 2 2 V3_4
    0x1204 MS_VALIDITY "ms_validity" 1 4 V3_4
    0x130c ALERT_ON_MESSAGE_DELIVERY "alert_on_message_delivery" 0 1 V3_4
    0x1380 ITS_REPLY_TYPE "its_reply_type" 1 1 V3_4
    0x1383 ITS_SESSION_INFO "its_session_info" 2 2 V3_4
}

impl Tag {
    /// The tags that vendors may use as they like (smpp-tlvs.md, tag ranges). Tags above 0x4000 are seen
    /// as well, although they are reserved.
    pub const VENDOR: std::ops::RangeInclusive<u16> = 0x1400..=0x3fff;

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

    /// Whether a length that [`Tag::allows`] does not have is seen from peers and does no harm: nobody refuses a message
    /// because the number of a node in it is a digit short (smpp-tlvs.md, 0x060F). The getter says what it is.
    pub const fn tolerates(self, length: usize) -> bool {
        matches!((self, length), (Self::SOURCE_NODE_ID | Self::DEST_NODE_ID, 5))
    }

    /// Whether a PDU may carry several of this tag (smpp-pdus.md §4.6, §4.8): callback numbers with their
    /// presentation and name, and the areas of a broadcast with what became of them. Of all others the
    /// first counts (smpp-tlvs.md, rule 7).
    pub const fn repeats(self) -> bool {
        matches!(
            self,
            Self::CALLBACK_NUM
                | Self::CALLBACK_NUM_PRES_IND
                | Self::CALLBACK_NUM_ATAG
                | Self::BROADCAST_AREA_IDENTIFIER
                | Self::BROADCAST_AREA_SUCCESS
                | Self::BROADCAST_ERROR_STATUS
        )
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_44_tags_of_3_4_and_20_of_5_0() {
        assert!(Tag::ALL.is_sorted());
        let (old, new): (Vec<Tag>, Vec<Tag>) = Tag::ALL
            .iter()
            .partition(|tag| tag.since() == Some(InterfaceVersion::V3_4));
        assert_eq!((old.len(), new.len()), (44, 20));
        assert_eq!((Tag(0x1400).since(), Tag(0x1400).name()), (None, None));
    }

    #[test]
    fn a_node_id_that_is_a_digit_short_is_none_and_no_reason_to_refuse() {
        assert!(!Tag::SOURCE_NODE_ID.allows(5) && Tag::SOURCE_NODE_ID.tolerates(5));
        assert!(!Tag::SOURCE_NODE_ID.tolerates(4) && !Tag::SOURCE_NETWORK_ID.tolerates(5));
    }

    #[test]
    fn ms_validity_has_the_length_of_3_4_or_that_of_5_0() {
        let allowed: Vec<usize> = (0..9).filter(|length| Tag::MS_VALIDITY.allows(*length)).collect();
        assert_eq!(allowed, [1, 4]);
        assert!(Tag(0x1400).allows(0) && Tag(0x1400).allows(65_535));
    }
}
