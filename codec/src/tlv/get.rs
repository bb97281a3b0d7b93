//! One getter for each TLV of 3.4 and 5.0, under the specification's name (smpp-tlvs.md).
//!
//! A getter gives `Ok(None)` where the TLV is not there, and a [`TlvError`] where its value has a length
//! that its type cannot have. Of several it reads the first (rule 7); what may repeat has an iterator.
//! Values that are only reserved come as they are.

use crate::error::TlvError;
use crate::message_id::{MESSAGE_ID_MAX, MessageIdField};
use crate::octets::{Body, COctets};
use crate::tlv::{
    BroadcastArea, BroadcastContentType, BroadcastFrequencyInterval, CallbackNum, CallbackNumAtag,
    ItsSessionInfo, MsValidity, NetworkErrorCode, Subaddress, Tag, Tlvs,
};
use crate::values::InterfaceVersion;

/// Size of `additional_status_info_text` with its NUL (smpp-tlvs.md).
pub const STATUS_TEXT_MAX: usize = 256;
/// Size of `source_network_id` and `dest_network_id` with their NUL (smpp-tlvs.md).
pub const NETWORK_ID_MAX: usize = 65;
/// Size of `broadcast_end_time` with its NUL (smpp-tlvs.md).
pub const END_TIME_MAX: usize = 17;

/// What a getter gives: `Ok(None)` where the TLV is not there, an error where its value has a length that its type
/// cannot have.
pub type Got<T> = Result<Option<T>, TlvError>;

fn octet(value: &[u8]) -> Option<u8> {
    value.try_into().ok().map(|[octet]: [u8; 1]| octet)
}

fn short(value: &[u8]) -> Option<u16> {
    value.try_into().ok().map(u16::from_be_bytes)
}

fn long(value: &[u8]) -> Option<u32> {
    value.try_into().ok().map(u32::from_be_bytes)
}

fn array<const N: usize>(value: &[u8]) -> Option<[u8; N]> {
    value.try_into().ok()
}

fn body(value: &[u8]) -> Option<Body<'_>> {
    Some(Body(value))
}

/// A C-Octet String ends at its first NUL, and at its end where the peer left the NUL out, as many do.
fn text<const MAX: usize>(value: &[u8]) -> Option<COctets<'_, MAX>> {
    let end = memchr::memchr(0, value).unwrap_or(value.len());
    COctets::new(&value[..end]).ok()
}

impl<'a> Tlvs<'a> {
    fn first<T>(&self, tag: Tag, read: impl Fn(&'a [u8]) -> Option<T>) -> Got<T> {
        self.get(tag).map(|value| checked(tag, value, &read)).transpose()
    }

    fn every<T>(
        &self,
        tag: Tag,
        read: impl Fn(&'a [u8]) -> Option<T>,
    ) -> impl Iterator<Item = Result<T, TlvError>> {
        self.iter()
            .filter(move |tlv| tlv.tag == tag)
            .map(move |tlv| checked(tag, tlv.value.0, &read))
    }
}

/// The length rule of the tag first, then what the type itself asks for.
fn checked<'a, T>(tag: Tag, value: &'a [u8], read: impl Fn(&'a [u8]) -> Option<T>) -> Result<T, TlvError> {
    let error = TlvError {
        tag,
        length: value.len(),
    };
    if !tag.allows(value.len()) {
        return Err(error);
    }
    read(value).ok_or(error)
}

/// Each row: the getter, the tag, how the value is read, what it is. The documentation repeats the tag's.
macro_rules! getters {
    ($($(#[$doc:meta])* $name:ident $tag:ident $read:expr => $value:ty;)*) => {
        impl<'a> Tlvs<'a> {
            $(
                #[doc = concat!("[`Tag::", stringify!($tag), "`].")]
                #[doc = ""]
                $(#[$doc])*
                pub fn $name(&self) -> Got<$value> {
                    self.first(Tag::$tag, $read)
                }
            )*

            /// What the getter of this tag says, without the value; `None` for a tag without a getter.
            #[cfg(test)]
            fn found(&self, tag: Tag) -> Option<Got<()>> {
                match tag {
                    $(Tag::$tag => Some(self.$name().map(|got| got.map(|_| ()))),)*
                    Tag::MESSAGE_PAYLOAD => Some(Ok(self.message_payload().map(|_| ()))),
                    _ => None,
                }
            }
        }
    };
}

getters! {
    /// 0 unknown, 1 display of the MS (flash), 2 mobile equipment, 3 smart card, 4 external unit.
    dest_addr_subunit DEST_ADDR_SUBUNIT octet => u8;
    /// 0 unknown, 1 GSM, 2 ANSI-136, 3 IS-95, 4 PDC, 5 PHS, 6 iDEN, 7 AMPS, 8 paging.
    dest_network_type DEST_NETWORK_TYPE octet => u8;
    /// 0 unknown, 1 SMS, 2 CSD, 3 packet data, 4 USSD, 5 CDPD, 6 DataTAC, 7 FLEX, 8 cell broadcast.
    dest_bearer_type DEST_BEARER_TYPE octet => u8;
    /// 5.0 on GSM: protocol_id in the high octet.
    dest_telematics_id DEST_TELEMATICS_ID short => u16;
    /// As dest_addr_subunit.
    source_addr_subunit SOURCE_ADDR_SUBUNIT octet => u8;
    /// As dest_network_type.
    source_network_type SOURCE_NETWORK_TYPE octet => u8;
    /// As dest_bearer_type.
    source_bearer_type SOURCE_BEARER_TYPE octet => u8;
    /// One octet; peers that give it the two of dest_telematics_id are read as well.
    source_telematics_id SOURCE_TELEMATICS_ID |value| octet(value).map(u16::from).or_else(|| short(value)) => u16;
    /// Seconds; by 5.0 it overrides validity_period.
    qos_time_to_live QOS_TIME_TO_LIVE long => u32;
    /// 0 default, 1 WCMP.
    payload_type PAYLOAD_TYPE octet => u8;
    /// ASCII, with or without its NUL.
    additional_status_info_text ADDITIONAL_STATUS_INFO_TEXT text => COctets<'a, STATUS_TEXT_MAX>;
    /// The message centre's id of the message that a receipt is about. Many peers leave the NUL out.
    receipted_message_id RECEIPTED_MESSAGE_ID text::<MESSAGE_ID_MAX> => MessageIdField<'a>;
    /// Bit 7 active; bits 1 and 0: voice mail, fax, e-mail, other.
    ms_msg_wait_facilities MS_MSG_WAIT_FACILITIES octet => u8;
    /// 0 none, 1 restricted, 2 confidential, 3 secret.
    privacy_indicator PRIVACY_INDICATOR octet => u8;
    /// NSAP or user specified.
    source_subaddress SOURCE_SUBADDRESS Subaddress::read => Subaddress<'a>;
    /// Not supported in submit_multi.
    dest_subaddress DEST_SUBADDRESS Subaddress::read => Subaddress<'a>;
    /// The ESME's own number of the message.
    user_message_reference USER_MESSAGE_REFERENCE short => u16;
    /// 0 to 255 on CDMA, 0 to 15 on TDMA.
    user_response_code USER_RESPONSE_CODE octet => u8;
    /// Not together with a user data header.
    source_port SOURCE_PORT short => u16;
    /// 3.4 calls it destination_port. Not together with a user data header.
    dest_port DEST_PORT short => u16;
    /// The three sar TLVs come together or are ignored.
    sar_msg_ref_num SAR_MSG_REF_NUM short => u16;
    /// 0 unspecified, 1 English, 2 French, 3 Spanish, 4 German, 5 Portuguese.
    language_indicator LANGUAGE_INDICATOR octet => u8;
    /// 1 to 255.
    sar_total_segments SAR_TOTAL_SEGMENTS octet => u8;
    /// 1 to sar_total_segments.
    sar_segment_seqnum SAR_SEGMENT_SEQNUM octet => u8;
    /// The highest version that the message centre supports.
    sc_interface_version SC_INTERFACE_VERSION |value| octet(value).map(InterfaceVersion) => InterfaceVersion;
    /// Bits 3 and 2 presentation, bits 1 and 0 screening. The first; see [`Tlvs::callback_num_pres_inds`].
    callback_num_pres_ind CALLBACK_NUM_PRES_IND octet => u8;
    /// The first; see [`Tlvs::callback_num_atags`].
    callback_num_atag CALLBACK_NUM_ATAG CallbackNumAtag::read => CallbackNumAtag<'a>;
    /// 0 to 99.
    number_of_messages NUMBER_OF_MESSAGES octet => u8;
    /// The first; see [`Tlvs::callback_nums`].
    callback_num CALLBACK_NUM CallbackNum::read => CallbackNum<'a>;
    /// 0 not set, 1 set.
    dpf_result DPF_RESULT octet => u8;
    /// 0 no, 1 yes.
    set_dpf SET_DPF octet => u8;
    /// 0 available, 1 denied, 2 unavailable.
    ms_availability_status MS_AVAILABILITY_STATUS octet => u8;
    /// What the network said.
    network_error_code NETWORK_ERROR_CODE |value| array(value).map(NetworkErrorCode::from_octets) => NetworkErrorCode;
    /// 0 destination unavailable, 1 its address invalid, 2 permanent and 3 temporary network error.
    delivery_failure_reason DELIVERY_FAILURE_REASON octet => u8;
    /// 0 none, 1 more.
    more_messages_to_send MORE_MESSAGES_TO_SEND octet => u8;
    /// As [`crate::values::MessageState`] numbers them.
    message_state MESSAGE_STATE octet => u8;
    /// 0 to 100; [`crate::tlv::Congestion`] names the bands.
    congestion_state CONGESTION_STATE octet => u8;
    /// 0 to 3 and 16 to 19; 32 and above are a vendor's.
    ussd_service_op USSD_SERVICE_OP octet => u8;
    /// 0 basic, 1 extended.
    broadcast_channel_indicator BROADCAST_CHANNEL_INDICATOR octet => u8;
    /// Mandatory in broadcast_sm.
    broadcast_content_type BROADCAST_CONTENT_TYPE
        |value| array(value).map(BroadcastContentType::from_octets) => BroadcastContentType;
    /// More about the content.
    broadcast_content_type_info BROADCAST_CONTENT_TYPE_INFO body => Body<'a>;
    /// 0 none, else the class. The text gives class 1 and class 2 the same number: 1, 2, 3 are meant.
    broadcast_message_class BROADCAST_MESSAGE_CLASS octet => u8;
    /// 0 is without end, or implied.
    broadcast_rep_num BROADCAST_REP_NUM short => u16;
    /// Mandatory in broadcast_sm.
    broadcast_frequency_interval BROADCAST_FREQUENCY_INTERVAL
        |value| array(value).map(BroadcastFrequencyInterval::from_octets) => BroadcastFrequencyInterval;
    /// The first; see [`Tlvs::broadcast_area_identifiers`].
    broadcast_area_identifier BROADCAST_AREA_IDENTIFIER BroadcastArea::read => BroadcastArea<'a>;
    /// A command_status. The first; see [`Tlvs::broadcast_error_statuses`].
    broadcast_error_status BROADCAST_ERROR_STATUS long => u32;
    /// Percent, 255 unknown. The first; see [`Tlvs::broadcast_area_successes`].
    broadcast_area_success BROADCAST_AREA_SUCCESS octet => u8;
    /// An absolute time as [`crate::time`] reads it. 16 octets by the table, 17 with its NUL: both are read.
    broadcast_end_time BROADCAST_END_TIME text => COctets<'a, END_TIME_MAX>;
    /// Whom the broadcast is for.
    broadcast_service_group BROADCAST_SERVICE_GROUP body => Body<'a>;
    /// Bit 7 of the first octet set: a vendor's format.
    billing_identification BILLING_IDENTIFICATION body => Body<'a>;
    /// With source_node_id.
    source_network_id SOURCE_NETWORK_ID text => COctets<'a, NETWORK_ID_MAX>;
    /// With dest_node_id.
    dest_network_id DEST_NETWORK_ID text => COctets<'a, NETWORK_ID_MAX>;
    /// Six decimal digits.
    source_node_id SOURCE_NODE_ID array => [u8; 6];
    /// Six decimal digits.
    dest_node_id DEST_NODE_ID array => [u8; 6];
    /// 0 no query, 1 not ported, 2 ported.
    dest_addr_np_resolution DEST_ADDR_NP_RESOLUTION octet => u8;
    /// The location routing number.
    dest_addr_np_information DEST_ADDR_NP_INFORMATION body => Body<'a>;
    /// The country code.
    dest_addr_np_country DEST_ADDR_NP_COUNTRY body => Body<'a>;
    /// 0 temporary, 1 default, 2 invoke.
    display_time DISPLAY_TIME octet => u8;
    /// How a handset of TDMA or CDMA alerts.
    sms_signal SMS_SIGNAL short => u16;
    /// One octet in 3.4, one or four in 5.0.
    ms_validity MS_VALIDITY MsValidity::read => MsValidity;
    /// Empty in 3.4, which reads as 0; 5.0: 0 default, 1 low, 2 medium, 3 high.
    alert_on_message_delivery ALERT_ON_MESSAGE_DELIVERY |value| Some(octet(value).unwrap_or(0)) => u8;
    /// 0 digit to 8 continue.
    its_reply_type ITS_REPLY_TYPE octet => u8;
    /// Session, place in it, and whether it ends.
    its_session_info ITS_SESSION_INFO |value| array(value).map(ItsSessionInfo::from_octets) => ItsSessionInfo;
}

impl<'a> Tlvs<'a> {
    /// [`Tag::MESSAGE_PAYLOAD`]: the text, when it stands here. It has no wrong length.
    pub fn message_payload(&self) -> Option<Body<'a>> {
        self.get(Tag::MESSAGE_PAYLOAD).map(Body)
    }

    /// Every [`Tag::CALLBACK_NUM`], in order; presentations and names pair with them by it.
    pub fn callback_nums(&self) -> impl Iterator<Item = Result<CallbackNum<'a>, TlvError>> {
        self.every(Tag::CALLBACK_NUM, CallbackNum::read)
    }

    /// Every [`Tag::CALLBACK_NUM_PRES_IND`], in order.
    pub fn callback_num_pres_inds(&self) -> impl Iterator<Item = Result<u8, TlvError>> {
        self.every(Tag::CALLBACK_NUM_PRES_IND, octet)
    }

    /// Every [`Tag::CALLBACK_NUM_ATAG`], in order.
    pub fn callback_num_atags(&self) -> impl Iterator<Item = Result<CallbackNumAtag<'a>, TlvError>> {
        self.every(Tag::CALLBACK_NUM_ATAG, CallbackNumAtag::read)
    }

    /// Every [`Tag::BROADCAST_AREA_IDENTIFIER`], in order. In broadcast_sm_resp they are the areas that
    /// failed, and [`Tlvs::broadcast_error_statuses`] pair with them.
    pub fn broadcast_area_identifiers(&self) -> impl Iterator<Item = Result<BroadcastArea<'a>, TlvError>> {
        self.every(Tag::BROADCAST_AREA_IDENTIFIER, BroadcastArea::read)
    }

    /// Every [`Tag::BROADCAST_AREA_SUCCESS`], in order; they pair with the areas.
    pub fn broadcast_area_successes(&self) -> impl Iterator<Item = Result<u8, TlvError>> {
        self.every(Tag::BROADCAST_AREA_SUCCESS, octet)
    }

    /// Every [`Tag::BROADCAST_ERROR_STATUS`], in order.
    pub fn broadcast_error_statuses(&self) -> impl Iterator<Item = Result<u32, TlvError>> {
        self.every(Tag::BROADCAST_ERROR_STATUS, long)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tlv::append;

    #[test]
    fn every_tag_has_a_getter_that_keeps_its_length_rule() {
        for tag in Tag::ALL {
            assert_eq!(Tlvs::NONE.found(*tag), Some(Ok(None)), "{tag:?} is not there");
            for length in 0..1100_usize {
                // With the NUL that a C-Octet String of full length needs.
                let mut value = vec![b'1'; length];
                if let Some(last) = value.last_mut() {
                    *last = 0;
                }
                let mut octets = Vec::new();
                assert!(append(&mut octets, *tag, &value));
                let expect = if tag.allows(length) {
                    Ok(Some(()))
                } else {
                    Err(TlvError { tag: *tag, length })
                };
                assert_eq!(
                    Tlvs::new(&octets).found(*tag),
                    Some(expect),
                    "{tag:?} of {length}"
                );
            }
        }
        assert_eq!(Tlvs::NONE.found(Tag(0x1400)), None);
    }

    #[test]
    fn the_first_of_several_counts_and_what_may_repeat_is_read_in_order() {
        let mut octets = Vec::new();
        for (tag, value) in [
            (Tag::USER_MESSAGE_REFERENCE, &[0, 1][..]),
            (Tag::CALLBACK_NUM, b"\x01\x01\x01447"),
            (Tag::CALLBACK_NUM_PRES_IND, &[1]),
            (Tag::USER_MESSAGE_REFERENCE, &[0, 2]),
            (Tag::CALLBACK_NUM, b"\x01\x01"),
            (Tag::CALLBACK_NUM, b"\x01\x02\x01448"),
            (Tag::BROADCAST_AREA_IDENTIFIER, b"\0Dublin"),
            (Tag::BROADCAST_ERROR_STATUS, &[0, 0, 1, 9]),
            (Tag::BROADCAST_AREA_SUCCESS, &[100]),
            (Tag::CALLBACK_NUM_ATAG, b"\x03home"),
        ] {
            assert!(append(&mut octets, tag, value));
        }
        let tlvs = Tlvs::new(&octets);
        assert_eq!(tlvs.user_message_reference(), Ok(Some(1)));
        assert_eq!(tlvs.iter().count(), 10, "all of them are kept");
        let numbers: Vec<_> = tlvs
            .callback_nums()
            .map(|number| number.map(|number| number.ton.0))
            .collect();
        let broken = TlvError {
            tag: Tag::CALLBACK_NUM,
            length: 2,
        };
        assert_eq!(numbers, [Ok(1), Err(broken), Ok(2)]);
        assert_eq!(tlvs.callback_num_pres_inds().collect::<Vec<_>>(), [Ok(1)]);
        assert_eq!(tlvs.callback_num_atags().count(), 1);
        assert_eq!(tlvs.broadcast_error_statuses().collect::<Vec<_>>(), [Ok(0x109)]);
        assert_eq!(tlvs.broadcast_area_successes().collect::<Vec<_>>(), [Ok(100)]);
        let area = tlvs.broadcast_area_identifiers().next().unwrap().unwrap();
        assert_eq!((area.format, area.area), (0, Body(b"Dublin")));
        for tag in Tag::ALL.iter().filter(|tag| tag.repeats()) {
            assert!(tlvs.get(*tag).is_some(), "{tag:?} is tried here");
        }
    }

    #[test]
    fn a_string_that_is_too_long_without_its_nul_is_none() {
        let mut octets = Vec::new();
        assert!(append(
            &mut octets,
            Tag::RECEIPTED_MESSAGE_ID,
            &[b'7'; MESSAGE_ID_MAX]
        ));
        assert!(Tlvs::new(&octets).receipted_message_id().is_err());
        octets.clear();
        assert!(append(
            &mut octets,
            Tag::RECEIPTED_MESSAGE_ID,
            &[b'7'; MESSAGE_ID_MAX - 1]
        ));
        assert!(Tlvs::new(&octets).receipted_message_id().is_ok());
    }
}
