//! One PDU: both readers, and the writer.

use tidegate_codec::header::HEADER_LEN;
use tidegate_codec::identity::PASSWORD_MAX_LENIENT;
use tidegate_codec::pdu::strict::{self, Action, FaultClass, Finding};
use tidegate_codec::pdu::{Limits, Operation, Pdu, Read, read};
use tidegate_codec::tlv::Tlvs;
use tidegate_codec::values::InterfaceVersion;

const LIMITS: Limits = Limits {
    pdu_max: tidegate_codec::frame::PDU_MAX_DEFAULT,
    password_max: PASSWORD_MAX_LENIENT,
};

/// Whatever is read as a PDU is written back as the same octets (error responses with a body that is to be ignored
/// left out, and ids without their NUL, interop quirk 19) and reads as the same value; cut short it is no PDU; the
/// strict reader takes nothing else, and refuses nothing with success.
pub fn pdu(octets: &[u8]) {
    let strict = strict::read(octets, &LIMITS);
    let fault = strict.err().map(|finding| finding.class);
    if let Err(Finding { action, .. }) = strict
        && let Action::NackAndClose(answer) | Action::Nack(answer) | Action::Reject(answer) = action
    {
        assert!(!answer.status.is_ok() && answer.command_id.is_response());
    }
    match read(octets, &LIMITS) {
        Read::NeedMore(need) => {
            assert!(need > octets.len() && need <= LIMITS.pdu_max as usize);
            assert_eq!(fault, Some(FaultClass::Incomplete));
        }
        Read::Broken(error) => {
            let class = if (error.length as usize) < HEADER_LEN {
                FaultClass::CommandLengthTooSmall
            } else {
                FaultClass::CommandLengthTooLarge
            };
            assert_eq!(fault, Some(class));
        }
        Read::BadBody(header, error) => {
            assert!(header.length as usize <= octets.len());
            assert!(
                !error.status().is_ok(),
                "a bad body is never answered with success"
            );
            assert_eq!(fault, Some(error.class()));
        }
        Read::Pdu(pdu) => {
            let unknown = matches!(pdu.operation, Operation::Unknown(..));
            assert_eq!(fault == Some(FaultClass::UnknownCommandId), unknown);
            match strict {
                Ok(strict) => assert!(strict == pdu && pdu.operation.strict().is_ok()),
                Err(finding) => assert!(is_of_a_body(finding.class)),
            }
            let length = octets.first_chunk().map_or(0, |word| u32::from_be_bytes(*word)) as usize;
            whole(&octets[..length], &pdu);
        }
    }
}

fn is_of_a_body(class: FaultClass) -> bool {
    use FaultClass::{CommandLengthTooLarge, CommandLengthTooSmall, Incomplete};
    !matches!(class, Incomplete | CommandLengthTooSmall | CommandLengthTooLarge)
}

/// `octets` are those of the PDU and no more.
fn whole(octets: &[u8], pdu: &Pdu<'_>) {
    let command = pdu.operation.command_id();
    let written = write(pdu);
    let ignored = command.is_response() && !pdu.status.is_ok();
    let body = &octets[HEADER_LEN..];
    let repaired =
        command.is_response() && !body.contains(&0) && written[HEADER_LEN..].strip_suffix(&[0]) == Some(body);
    // A name that is too long for its field is left out of a bind response, and what stands behind it is kept.
    let behind = body
        .iter()
        .position(|&octet| octet == 0)
        .map_or(&[][..], |nul| &body[nul + 1..]);
    let left_out = matches!(pdu.operation, Operation::BindResp(..))
        && written[HEADER_LEN..].strip_prefix(&[0]) == Some(behind);
    // Requests carry no status of their own: it is kept as it came.
    assert!(ignored || repaired || left_out || written == octets, "{command}");
    same(pdu, &written);

    // Some lengths: all of them would cost more than the reading itself, and the vectors are cut at each.
    let some = pdu.sequence as usize % octets.len();
    for short in [0, 3, 4, HEADER_LEN - 1, some, octets.len() / 2, octets.len() - 1] {
        let need = if short < 4 { 4 } else { octets.len() };
        let read = read(&octets[..short], &LIMITS);
        assert!(matches!(read, Read::NeedMore(more) if more == need), "{short}");
    }

    tlvs(pdu.operation.tlvs());
    match &pdu.operation {
        Operation::SubmitMulti(multi) => {
            assert_eq!(multi.destinations.iter().count(), multi.destinations.len());
        }
        Operation::SubmitMultiResp(Some(resp)) => assert!(resp.unsuccess().count() <= usize::from(u8::MAX)),
        Operation::SubmitSm(sm) | Operation::DeliverSm(sm) => plain(pdu, sm.plain().map(Operation::SubmitSm)),
        Operation::DataSm(sm) => plain(pdu, sm.plain().map(Operation::DeliverSm)),
        _ => {}
    }
}

fn write(pdu: &Pdu<'_>) -> Vec<u8> {
    let mut written = Vec::new();
    pdu.encode(&mut written);
    written
}

fn same(pdu: &Pdu<'_>, written: &[u8]) {
    match read(written, &LIMITS) {
        Read::Pdu(again) => assert_eq!(*pdu, again),
        other => panic!("what was written is not read: {other:?}"),
    }
}

/// What a peer of 3.3 is sent instead fits it, and reads as what it is.
fn plain(pdu: &Pdu<'_>, operation: Option<Operation<'_>>) {
    let Some(operation) = operation else {
        return;
    };
    let plain = Pdu { operation, ..*pdu };
    assert_eq!(plain.fits(InterfaceVersion::V3_3), Ok(()));
    same(&plain, &write(&plain));
}

macro_rules! get {
    ($tlvs:ident: $($getter:ident)*) => { $(let _ = $tlvs.$getter();)* };
}

/// Every getter reads or refuses, and no value reaches beyond the octets.
fn tlvs(tlvs: Tlvs<'_>) {
    let octets: usize = tlvs.iter().map(|tlv| 4 + tlv.value.0.len()).sum();
    assert!(octets <= tlvs.as_bytes().len());
    if tlvs.strict().is_ok() {
        assert_eq!(octets, tlvs.as_bytes().len());
    }
    get!(tlvs:
        dest_addr_subunit dest_network_type dest_bearer_type dest_telematics_id source_addr_subunit
        source_network_type source_bearer_type source_telematics_id qos_time_to_live payload_type
        additional_status_info_text receipted_message_id ms_msg_wait_facilities privacy_indicator
        source_subaddress dest_subaddress user_message_reference user_response_code source_port
        dest_port sar_msg_ref_num language_indicator sar_total_segments sar_segment_seqnum
        sc_interface_version callback_num_pres_ind callback_num_atag number_of_messages callback_num
        dpf_result set_dpf ms_availability_status network_error_code delivery_failure_reason
        more_messages_to_send message_state congestion_state ussd_service_op
        broadcast_channel_indicator broadcast_content_type_info broadcast_message_class
        broadcast_rep_num broadcast_area_identifier broadcast_error_status broadcast_area_success
        broadcast_end_time broadcast_service_group billing_identification source_network_id
        dest_network_id source_node_id dest_node_id dest_addr_np_resolution dest_addr_np_information
        dest_addr_np_country display_time sms_signal ms_validity alert_on_message_delivery
        its_reply_type its_session_info
    );
    let _ = (tlvs.callback_nums().count(), tlvs.callback_num_atags().count());
    let _ = (
        tlvs.callback_num_pres_inds().count(),
        tlvs.broadcast_area_successes().count(),
    );
    let _ = (
        tlvs.broadcast_area_identifiers().count(),
        tlvs.broadcast_error_statuses().count(),
    );
}
