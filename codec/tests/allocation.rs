//! Reading allocates nothing, whatever the octets say about lengths and counts.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "vectors/json.rs"]
mod json;

use allocation_counter::measure;
use json::{name, octets, vectors};
use tidegate_codec::header::CommandId;
use tidegate_codec::pdu::{Limits, Operation, Read, encode, read, strict};
use tidegate_codec::status::CommandStatus;
use tidegate_codec::tlv::{Tag, append};

fn read_all(octets: &[u8]) {
    let limits = Limits {
        pdu_max: u32::MAX,
        ..Limits::default()
    };
    for limits in [Limits::default(), limits] {
        let _ = strict::read(octets, &limits);
        let Read::Pdu(pdu) = read(octets, &limits) else {
            continue;
        };
        let tlvs = pdu.operation.tlvs();
        let _ = (
            pdu.operation.strict(),
            tlvs.iter().count(),
            tlvs.message_payload(),
        );
        let _ = (tlvs.receipted_message_id(), tlvs.callback_nums().count());
        match pdu.operation {
            Operation::SubmitMulti(multi) => {
                assert_eq!(multi.destinations.iter().count(), multi.destinations.len());
            }
            Operation::SubmitMultiResp(Some(body)) => {
                let _ = body.unsuccess().count();
            }
            _ => {}
        }
    }
}

fn allocations(octets: &[u8]) -> u64 {
    measure(|| read_all(octets)).count_total
}

#[test]
fn the_count_sees_an_allocation() {
    assert_eq!(measure(|| drop(Vec::<u8>::with_capacity(1))).count_total, 1);
}

#[test]
fn reading_the_vectors_allocates_nothing() {
    for text in [
        include_str!("../testdata/pdu-valid.json"),
        include_str!("../testdata/pdu-malformed.json"),
        include_str!("../testdata/pdu-stream.json"),
    ] {
        for vector in vectors(text) {
            assert_eq!(allocations(&octets(&vector["hex"])), 0, "{}", name(&vector));
        }
    }
}

#[test]
fn writing_into_a_buffer_with_room_allocates_nothing() {
    let limits = Limits {
        pdu_max: u32::MAX,
        ..Limits::default()
    };
    let mut out = Vec::with_capacity(100_000);
    let mut written = 0;
    for vector in vectors(include_str!("../testdata/pdu-valid.json")) {
        let octets = octets(&vector["hex"]);
        if let Read::Pdu(pdu) = read(&octets, &limits) {
            out.clear();
            assert_eq!(
                measure(|| pdu.encode(&mut out)).count_total,
                0,
                "{}",
                name(&vector)
            );
            written += 1;
        }
    }
    assert!(written > 100, "{written} PDUs");
}

#[test]
fn lengths_that_lie_allocate_nothing() {
    // command_length
    for length in [0, 15, 17, 70_001, 0x7fff_ffff, u32::MAX] {
        let mut octets = length.to_be_bytes().to_vec();
        assert_eq!(allocations(&octets), 0, "{length}");
        octets.extend_from_slice(&[0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(allocations(&octets), 0, "{length}");
    }
    let lying = |command_id, body: &[u8]| {
        let mut octets = Vec::new();
        encode(command_id, CommandStatus::ROK, 1, &mut octets, |out| {
            out.extend_from_slice(body);
        });
        allocations(&octets)
    };
    // sm_length
    assert_eq!(
        lying(CommandId::SUBMIT_SM, b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xff"),
        0
    );
    // A TLV's length
    assert_eq!(lying(CommandId::UNBIND, &[0x04, 0x24, 0xff, 0xff, 1]), 0);
    // number_of_dests and no_unsuccess
    assert_eq!(lying(CommandId::SUBMIT_MULTI, b"\0\0\0\0\xff\x01\0\0\0"), 0);
    assert_eq!(lying(CommandId::SUBMIT_MULTI_RESP, b"\0\xff\0\0\0\0\0\0\0"), 0);
}

#[test]
fn a_text_of_64_kib_is_borrowed() {
    let mut octets = Vec::new();
    encode(CommandId::DATA_SM, CommandStatus::ROK, 1, &mut octets, |out| {
        out.extend_from_slice(&[0; 10]);
        assert!(append(out, Tag::MESSAGE_PAYLOAD, &[b'x'; 65_535]));
    });
    assert_eq!(allocations(&octets), 0);
    assert!(matches!(read(&octets, &Limits::default()), Read::Pdu(_)));
}
