//! pdu-valid.json: 152 PDUs or more.

use std::collections::BTreeSet;

use serde_json::Value;
use tidegate_codec::error::TlvError;
use tidegate_codec::identity::PASSWORD_MAX_LENIENT;
use tidegate_codec::octets::COctets;
use tidegate_codec::pdu::strict::{self, Action, FaultClass, Finding};
use tidegate_codec::pdu::{Limits, Pdu, Read, read};
use tidegate_codec::tlv::{Tag, Tlv, Tlvs};

use crate::fields::{fields, hex, latin1};
use crate::json::{name, octets};
use crate::of_file;

fn all() -> Vec<Value> {
    let text = include_str!("../../testdata/pdu-valid.json");
    of_file("pdu-valid.json", text, 152)
}

fn lenient() -> Limits {
    Limits {
        password_max: PASSWORD_MAX_LENIENT,
        ..Limits::default()
    }
}

fn expect_pdu<'a>(octets: &'a [u8], name: &str) -> Pdu<'a> {
    match read(octets, &lenient()) {
        Read::Pdu(pdu) => pdu,
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn every_field_is_read() {
    let (mut commands, mut with_tlvs, mut refusals) = (BTreeSet::new(), 0, 0);
    for vector in all() {
        let (name, expect) = (name(&vector), &vector["expect"]);
        let octets = octets(&vector["hex"]);
        let pdu = expect_pdu(&octets, name);
        let operation = &pdu.operation;
        let id = operation.command_id();
        assert_eq!(id.name(), expect["command"].as_str(), "{name}");
        assert_eq!(Some(u64::from(id.0)), expect["command_id"].as_u64(), "{name}");
        assert_eq!(Some(u64::from(pdu.status.0)), expect["status"].as_u64(), "{name}");
        assert_eq!(Some(u64::from(pdu.sequence)), expect["seq"].as_u64(), "{name}");
        assert_eq!(Some(octets.len() as u64), expect["length"].as_u64(), "{name}");
        assert_eq!(
            // The vectors count optional parameters as no body.
            Some(octets.len() > 16 + operation.tlvs().as_bytes().len()),
            expect["body_present"].as_bool(),
            "{name}"
        );
        let ours = fields(operation);
        let theirs = expect["fields"].as_object().unwrap();
        assert_eq!(ours.len(), theirs.len(), "{name}: no field is left out");
        for (field, value) in ours {
            assert_eq!(Some(&value), theirs.get(field), "{name}: {field}");
        }
        let tlvs: Vec<Tlv<'_>> = operation.tlvs().iter().collect();
        let theirs = expect["tlvs"].as_array().unwrap();
        assert_eq!(tlvs.len(), theirs.len(), "{name}");
        for (ours, theirs) in tlvs.iter().zip(theirs) {
            same_tlv(*ours, theirs, name);
        }
        commands.insert(id.0);
        with_tlvs += usize::from(!tlvs.is_empty());
        refusals += usize::from(!pdu.status.is_ok());
    }
    // Not a file in which every PDU is of one sort.
    assert!(commands.len() >= 33, "{} commands", commands.len());
    assert!(with_tlvs > 0 && refusals > 0);
}

fn same_tlv(ours: Tlv<'_>, theirs: &Value, name: &str) {
    assert_eq!(Some(u64::from(ours.tag.0)), theirs["tag"].as_u64(), "{name}");
    assert_eq!(hex(ours.value.0), theirs["hex"].as_str().unwrap(), "{name}");
    assert_eq!(Some(ours.value.0.len() as u64), theirs["len"].as_u64(), "{name}");
    let called = ours.tag.name().unwrap_or(if Tag::VENDOR.contains(&ours.tag.0) {
        "vendor"
    } else {
        "unknown"
    });
    assert_eq!(Some(called), theirs["name"].as_str(), "{name}");
    if let Some(number) = theirs["uint"].as_u64() {
        let read = ours
            .value
            .0
            .iter()
            .fold(0, |sum, octet| sum << 8 | u64::from(*octet));
        assert_eq!(read, number, "{name}: {called}");
    }
    if let Some(text) = theirs["str"].as_str() {
        let octets = ours.value.0;
        assert_eq!(
            latin1(octets.strip_suffix(b"\0").unwrap_or(octets)),
            text,
            "{name}: {called}"
        );
    }
}

/// The values that the vectors give as numbers or texts, as the getters read them.
#[test]
fn the_getters_read_the_tlvs_of_the_vectors() {
    fn number<T: Into<u64>>(got: Result<Option<T>, TlvError>) -> Option<u64> {
        got.unwrap().map(Into::into)
    }
    fn text<const MAX: usize>(got: Result<Option<COctets<'_, MAX>>, TlvError>) -> String {
        latin1(got.unwrap().unwrap().as_bytes())
    }
    let (mut numbers, mut texts) = (0, 0);
    for vector in all() {
        let octets = octets(&vector["hex"]);
        let tlvs: Tlvs<'_> = expect_pdu(&octets, name(&vector)).operation.tlvs();
        for theirs in vector["expect"]["tlvs"].as_array().unwrap() {
            let called = theirs["name"].as_str().unwrap();
            if let Some(expect) = theirs["str"].as_str() {
                let got = match called {
                    "receipted_message_id" => text(tlvs.receipted_message_id()),
                    "additional_status_info_text" => text(tlvs.additional_status_info_text()),
                    "broadcast_end_time" => text(tlvs.broadcast_end_time()),
                    "source_network_id" => text(tlvs.source_network_id()),
                    "dest_network_id" => text(tlvs.dest_network_id()),
                    other => panic!("{other} is not looked at"),
                };
                assert_eq!(got, expect, "{}: {called}", name(&vector));
                texts += 1;
            }
            let Some(expect) = theirs["uint"].as_u64() else {
                continue;
            };
            let got = match called {
                // Whose type only their senders know.
                "vendor" | "unknown" => continue,
                "alert_on_message_delivery" => number(tlvs.alert_on_message_delivery()),
                "broadcast_area_success" => number(tlvs.broadcast_area_success()),
                "broadcast_channel_indicator" => number(tlvs.broadcast_channel_indicator()),
                "broadcast_error_status" => number(tlvs.broadcast_error_status()),
                "broadcast_message_class" => number(tlvs.broadcast_message_class()),
                "broadcast_rep_num" => number(tlvs.broadcast_rep_num()),
                "callback_num_pres_ind" => number(tlvs.callback_num_pres_ind()),
                "congestion_state" => number(tlvs.congestion_state()),
                "delivery_failure_reason" => number(tlvs.delivery_failure_reason()),
                "dest_addr_np_resolution" => number(tlvs.dest_addr_np_resolution()),
                "dest_addr_subunit" => number(tlvs.dest_addr_subunit()),
                "dest_bearer_type" => number(tlvs.dest_bearer_type()),
                "dest_network_type" => number(tlvs.dest_network_type()),
                "dest_port" => number(tlvs.dest_port()),
                "dest_telematics_id" => number(tlvs.dest_telematics_id()),
                "display_time" => number(tlvs.display_time()),
                "dpf_result" => number(tlvs.dpf_result()),
                "its_reply_type" => number(tlvs.its_reply_type()),
                "language_indicator" => number(tlvs.language_indicator()),
                "message_state" => number(tlvs.message_state()),
                "more_messages_to_send" => number(tlvs.more_messages_to_send()),
                "ms_availability_status" => number(tlvs.ms_availability_status()),
                "ms_msg_wait_facilities" => number(tlvs.ms_msg_wait_facilities()),
                "number_of_messages" => number(tlvs.number_of_messages()),
                "payload_type" => number(tlvs.payload_type()),
                "privacy_indicator" => number(tlvs.privacy_indicator()),
                "qos_time_to_live" => number(tlvs.qos_time_to_live()),
                "sar_msg_ref_num" => number(tlvs.sar_msg_ref_num()),
                "sar_segment_seqnum" => number(tlvs.sar_segment_seqnum()),
                "sar_total_segments" => number(tlvs.sar_total_segments()),
                "set_dpf" => number(tlvs.set_dpf()),
                "sms_signal" => number(tlvs.sms_signal()),
                "source_addr_subunit" => number(tlvs.source_addr_subunit()),
                "source_bearer_type" => number(tlvs.source_bearer_type()),
                "source_network_type" => number(tlvs.source_network_type()),
                "source_port" => number(tlvs.source_port()),
                "source_telematics_id" => number(tlvs.source_telematics_id()),
                "user_message_reference" => number(tlvs.user_message_reference()),
                "user_response_code" => number(tlvs.user_response_code()),
                "ussd_service_op" => number(tlvs.ussd_service_op()),
                "sc_interface_version" => tlvs.sc_interface_version().unwrap().map(|v| u64::from(v.0)),
                other => panic!("{other} is not looked at"),
            };
            assert_eq!(got, Some(expect), "{}: {called}", name(&vector));
            numbers += 1;
        }
    }
    // Those of the public file, none of which a reader may come to pass over.
    assert!(
        numbers >= 62 && texts >= 15,
        "{numbers} numbers and {texts} texts"
    );
}

/// All of them: no vector has a body behind an error status that a reader must leave out, nor an id without
/// its NUL.
#[test]
fn every_pdu_is_written_back_octet_by_octet() {
    for vector in all() {
        let octets = octets(&vector["hex"]);
        let mut written = Vec::new();
        expect_pdu(&octets, name(&vector)).encode(&mut written);
        assert_eq!(hex(&written), hex(&octets), "{}", name(&vector));
    }
}

#[test]
fn a_strict_reader_takes_them_all() {
    for vector in all() {
        let octets = octets(&vector["hex"]);
        let read = strict::read(&octets, &lenient()).unwrap_or_else(|finding| {
            panic!("{}: {finding:?}", name(&vector));
        });
        assert_eq!(read, expect_pdu(&octets, name(&vector)));
    }
}

#[test]
fn a_valid_pdu_cut_at_any_length_waits_for_the_rest_of_it() {
    for vector in all() {
        let octets = octets(&vector["hex"]);
        for n in 0..octets.len() {
            let whole = if n < 4 { 4 } else { octets.len() };
            let short = &octets[..n];
            let lenient_read = read(short, &lenient());
            assert!(
                matches!(lenient_read, Read::NeedMore(more) if more == whole),
                "{} at {n}",
                name(&vector)
            );
            let strict_read = strict::read(short, &lenient());
            assert!(
                matches!(
                    strict_read,
                    Err(Finding { class: FaultClass::Incomplete, action: Action::Wait(more) }) if more == whole
                ),
                "{} at {n}: {strict_read:?}",
                name(&vector)
            );
        }
    }
}

/// A peer that says a shorter length, however, has sent a shorter PDU. It is a fault, or it is what its
/// octets say: never anything made up.
#[test]
fn a_valid_pdu_that_says_it_is_shorter_is_a_fault_or_what_is_left_of_it() {
    let (mut faults, mut pdus) = (0, 0);
    for vector in all() {
        let octets = octets(&vector["hex"]);
        for n in 16..octets.len() {
            let mut short = octets[..n].to_vec();
            short[..4].copy_from_slice(&u32::try_from(n).unwrap().to_be_bytes());
            match strict::read(&short, &lenient()) {
                Err(_) => faults += 1,
                Ok(pdu) => {
                    let mut written = Vec::new();
                    pdu.encode(&mut written);
                    assert_eq!(hex(&written), hex(&short), "{} at {n}", name(&vector));
                    pdus += 1;
                }
            }
        }
    }
    // Only what ends between two TLVs, or is a response without its body, can be whole.
    println!("{faults} faults and {pdus} PDUs");
    assert!(pdus > 0 && faults > 10 * pdus, "{faults} faults and {pdus} PDUs");
}
