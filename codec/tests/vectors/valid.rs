//! pdu-valid.json: 152 PDUs.

use serde_json::Value;
use tidegate_codec::error::TlvError;
use tidegate_codec::identity::PASSWORD_MAX_LENIENT;
use tidegate_codec::octets::COctets;
use tidegate_codec::pdu::{Limits, Pdu, Read, read, strict};
use tidegate_codec::tlv::{Tag, Tlv, Tlvs};

use crate::fields::{fields, hex, latin1};
use crate::json::{name, octets, vectors};

/// Valid vectors that do not come back octet by octet. There is none: no vector has a body behind an error
/// status that a reader must leave out, nor an id without its NUL.
const NOT_CANONICAL: &[&str] = &[];

fn all() -> Vec<Value> {
    let all = vectors(include_str!("../../testdata/pdu-valid.json"));
    assert_eq!(all.len(), 152);
    all
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
    let mut read_in_full = 0;
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
        read_in_full += 1;
    }
    assert_eq!(read_in_full, 152);
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
                    other => panic!("{other} is not looked at"),
                };
                assert_eq!(got, expect, "{}: {called}", name(&vector));
                texts += 1;
            }
            let Some(expect) = theirs["uint"].as_u64() else {
                continue;
            };
            let got = match called {
                "broadcast_area_success" => number(tlvs.broadcast_area_success()),
                "broadcast_rep_num" => number(tlvs.broadcast_rep_num()),
                "callback_num_pres_ind" => number(tlvs.callback_num_pres_ind()),
                "congestion_state" => number(tlvs.congestion_state()),
                "delivery_failure_reason" => number(tlvs.delivery_failure_reason()),
                "dest_bearer_type" => number(tlvs.dest_bearer_type()),
                "dest_network_type" => number(tlvs.dest_network_type()),
                "dest_port" => number(tlvs.dest_port()),
                "dpf_result" => number(tlvs.dpf_result()),
                "its_reply_type" => number(tlvs.its_reply_type()),
                "language_indicator" => number(tlvs.language_indicator()),
                "message_state" => number(tlvs.message_state()),
                "more_messages_to_send" => number(tlvs.more_messages_to_send()),
                "ms_availability_status" => number(tlvs.ms_availability_status()),
                "ms_msg_wait_facilities" => number(tlvs.ms_msg_wait_facilities()),
                "privacy_indicator" => number(tlvs.privacy_indicator()),
                "sar_msg_ref_num" => number(tlvs.sar_msg_ref_num()),
                "sar_segment_seqnum" => number(tlvs.sar_segment_seqnum()),
                "sar_total_segments" => number(tlvs.sar_total_segments()),
                "sms_signal" => number(tlvs.sms_signal()),
                "source_addr_subunit" => number(tlvs.source_addr_subunit()),
                "source_network_type" => number(tlvs.source_network_type()),
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
    assert_eq!((numbers, texts), (62, 15));
}

#[test]
fn every_pdu_is_written_back_octet_by_octet() {
    let mut same = 0;
    for vector in all() {
        let octets = octets(&vector["hex"]);
        let mut written = Vec::new();
        expect_pdu(&octets, name(&vector)).encode(&mut written);
        let canonical = !NOT_CANONICAL.contains(&name(&vector));
        assert_eq!(written == octets, canonical, "{}", name(&vector));
        same += usize::from(canonical);
    }
    assert_eq!(same, 152 - NOT_CANONICAL.len());
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
fn a_valid_pdu_cut_at_any_length_is_never_a_pdu() {
    for vector in all() {
        let octets = octets(&vector["hex"]);
        for n in 0..octets.len() {
            let whole = if n < 4 { 4 } else { octets.len() };
            let read = read(&octets[..n], &lenient());
            assert!(
                matches!(read, Read::NeedMore(more) if more == whole),
                "{} at {n}",
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
    assert!(faults > 50 * pdus, "{faults} faults and {pdus} PDUs");
}
