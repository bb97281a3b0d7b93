//! The public vectors (codec/testdata, where they come from: their `source` fields): PDUs from other
//! implementations' test suites, read by ours.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use tidegate_codec::address::Address;
use tidegate_codec::error::{BodyError, Fault};
use tidegate_codec::frame::{Cut, cut};
use tidegate_codec::identity::PASSWORD_MAX_LENIENT;
use tidegate_codec::octets::COctets;
use tidegate_codec::pdu::bind::{Bind, BindResp};
use tidegate_codec::pdu::message::{DataSm, Sm};
use tidegate_codec::pdu::multi::{Destination, SubmitMulti, Unsuccess};
use tidegate_codec::pdu::{Limits, Operation, Pdu, Read, read};

/// Commands that this crate reads; the rest must come back as `Unread` with every octet kept.
const READ: &[&str] = &[
    "bind_receiver",
    "bind_transmitter",
    "bind_transceiver",
    "bind_receiver_resp",
    "bind_transmitter_resp",
    "bind_transceiver_resp",
    "unbind",
    "unbind_resp",
    "enquire_link",
    "enquire_link_resp",
    "submit_sm",
    "submit_sm_resp",
    "deliver_sm",
    "deliver_sm_resp",
    "data_sm",
    "data_sm_resp",
    "submit_multi",
    "submit_multi_resp",
    "query_sm",
    "query_sm_resp",
    "cancel_sm",
    "cancel_sm_resp",
    "replace_sm",
    "replace_sm_resp",
    "generic_nack",
];

fn vectors(text: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(text).expect("testdata is JSON");
    all.as_array().expect("an array").clone()
}

fn octets(hex: &Value) -> Vec<u8> {
    let hex = hex.as_str().expect("hex");
    (0..hex.len() / 2)
        .map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).expect("hex"))
        .collect()
}

fn name(vector: &Value) -> &str {
    vector["name"].as_str().expect("a name")
}

/// A field's text as the vectors give it: Latin-1, without NUL.
fn latin1(octets: &[u8]) -> String {
    octets.iter().map(|octet| char::from(*octet)).collect()
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// The fields of a PDU under the vectors' names.
fn fields(operation: &Operation<'_>) -> Vec<(&'static str, Value)> {
    fn text<const MAX: usize>(octets: &COctets<'_, MAX>) -> Value {
        Value::from(latin1(octets.as_bytes()))
    }
    fn bind(b: &Bind<'_>) -> Vec<(&'static str, Value)> {
        vec![
            ("system_id", text(&b.system_id)),
            ("password", text(&b.password)),
            ("system_type", text(&b.system_type)),
            ("interface_version", b.interface_version.0.into()),
            ("addr_ton", b.addr_ton.0.into()),
            ("addr_npi", b.addr_npi.0.into()),
            ("address_range", text(&b.address_range)),
        ]
    }
    fn sm(s: &Sm<'_>) -> Vec<(&'static str, Value)> {
        vec![
            ("service_type", text(&s.service_type)),
            ("source_addr_ton", s.source.ton.0.into()),
            ("source_addr_npi", s.source.npi.0.into()),
            ("source_addr", text(&s.source.addr)),
            ("dest_addr_ton", s.destination.ton.0.into()),
            ("dest_addr_npi", s.destination.npi.0.into()),
            ("destination_addr", text(&s.destination.addr)),
            ("esm_class", s.esm_class.0.into()),
            ("protocol_id", s.protocol_id.into()),
            ("priority_flag", s.priority_flag.into()),
            ("schedule_delivery_time", text(&s.schedule_delivery_time)),
            ("validity_period", text(&s.validity_period)),
            ("registered_delivery", s.registered_delivery.0.into()),
            ("replace_if_present_flag", s.replace_if_present_flag.into()),
            ("data_coding", s.data_coding.0.into()),
            ("sm_default_msg_id", s.sm_default_msg_id.into()),
            ("sm_length", s.short_message.as_bytes().len().into()),
            ("short_message_hex", hex(s.short_message.as_bytes()).into()),
        ]
    }
    fn data_sm(s: &DataSm<'_>) -> Vec<(&'static str, Value)> {
        vec![
            ("service_type", text(&s.service_type)),
            ("source_addr_ton", s.source.ton.0.into()),
            ("source_addr_npi", s.source.npi.0.into()),
            ("source_addr", text(&s.source.addr)),
            ("dest_addr_ton", s.destination.ton.0.into()),
            ("dest_addr_npi", s.destination.npi.0.into()),
            ("destination_addr", text(&s.destination.addr)),
            ("esm_class", s.esm_class.0.into()),
            ("registered_delivery", s.registered_delivery.0.into()),
            ("data_coding", s.data_coding.0.into()),
        ]
    }
    fn from(source: &Address<'_>) -> Vec<(&'static str, Value)> {
        vec![
            ("source_addr_ton", source.ton.0.into()),
            ("source_addr_npi", source.npi.0.into()),
            ("source_addr", text(&source.addr)),
        ]
    }
    fn multi(m: &SubmitMulti<'_>) -> Vec<(&'static str, Value)> {
        let destination = |destination| match destination {
            Destination::Sme(to) => {
                json!({"dest_flag": 1, "dest_addr_ton": to.ton.0, "dest_addr_npi": to.npi.0,
                "destination_addr": text(&to.addr)})
            }
            Destination::List(name) => json!({"dest_flag": 2, "dl_name": text(&name)}),
        };
        let mut fields = sm(&m.message);
        fields.retain(|(name, _)| !name.starts_with("dest"));
        fields.push(("number_of_dests", m.destinations.len().into()));
        fields.push(("dest_addresses", m.destinations.iter().map(destination).collect()));
        fields
    }
    fn unsuccess(u: Unsuccess<'_>) -> Value {
        json!({"dest_addr_ton": u.address.ton.0, "dest_addr_npi": u.address.npi.0,
            "destination_addr": text(&u.address.addr), "error_status_code": u.status.0})
    }
    match operation {
        Operation::Bind(_, b) => bind(b),
        Operation::BindResp(_, Some(BindResp { system_id, .. })) => vec![("system_id", text(system_id))],
        Operation::SubmitSm(s) | Operation::DeliverSm(s) => sm(s),
        Operation::DataSm(s) => data_sm(s),
        Operation::SubmitMulti(s) => multi(s),
        Operation::SubmitMultiResp(Some(body)) => vec![
            ("message_id", text(&body.message_id)),
            ("no_unsuccess", body.unsuccess().count().into()),
            ("unsuccess_sme", body.unsuccess().map(unsuccess).collect()),
        ],
        Operation::QuerySm(q) => [vec![("message_id", text(&q.message_id))], from(&q.source)].concat(),
        Operation::QuerySmResp(Some(body)) => vec![
            ("message_id", text(&body.message_id)),
            ("final_date", text(&body.final_date)),
            ("message_state", body.message_state.into()),
            ("error_code", body.error_code.into()),
        ],
        Operation::CancelSm(c) => [
            vec![
                ("service_type", text(&c.service_type)),
                ("message_id", text(&c.message_id)),
                ("dest_addr_ton", c.destination.ton.0.into()),
                ("dest_addr_npi", c.destination.npi.0.into()),
                ("destination_addr", text(&c.destination.addr)),
            ],
            from(&c.source),
        ]
        .concat(),
        Operation::ReplaceSm(r) => [
            vec![
                ("message_id", text(&r.message_id)),
                ("schedule_delivery_time", text(&r.schedule_delivery_time)),
                ("validity_period", text(&r.validity_period)),
                ("registered_delivery", r.registered_delivery.0.into()),
                ("sm_default_msg_id", r.sm_default_msg_id.into()),
                ("sm_length", r.short_message.as_bytes().len().into()),
                ("short_message_hex", hex(r.short_message.as_bytes()).into()),
            ],
            from(&r.source),
        ]
        .concat(),
        Operation::SubmitSmResp(Some(body))
        | Operation::DeliverSmResp(Some(body))
        | Operation::DataSmResp(Some(body)) => vec![("message_id", text(&body.message_id))],
        _ => Vec::new(),
    }
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
fn valid_pdus_are_read_field_by_field_and_written_back_octet_by_octet() {
    let mut read_in_full = 0;
    let vectors = vectors(include_str!("../testdata/pdu-valid.json"));
    assert_eq!(vectors.len(), 152);
    for vector in &vectors {
        let (name, expect) = (name(vector), &vector["expect"]);
        let octets = octets(&vector["hex"]);
        let pdu = expect_pdu(&octets, name);
        assert_eq!(
            pdu.operation.command_id().name(),
            expect["command"].as_str(),
            "{name}"
        );
        assert_eq!(
            u64::from(pdu.status.0),
            expect["status"].as_u64().unwrap(),
            "{name}"
        );
        assert_eq!(u64::from(pdu.sequence), expect["seq"].as_u64().unwrap(), "{name}");
        let mut written = Vec::new();
        pdu.encode(&mut written);
        if !READ.contains(&expect["command"].as_str().unwrap()) {
            assert!(matches!(pdu.operation, Operation::Unread(..)), "{name}");
            assert_eq!(hex(&written), hex(&octets), "{name}");
            continue;
        }
        read_in_full += 1;
        assert_eq!(
            pdu.operation.strict(),
            Ok(()),
            "{name}: a valid vector is valid to a strict reader too"
        );
        for (field, value) in fields(&pdu.operation) {
            if !expect["fields"][field].is_null() {
                assert_eq!(value, expect["fields"][field], "{name}: {field}");
            }
        }
        let tlvs = expect["tlvs"].as_array().unwrap();
        let ours: Vec<(u64, String)> = pdu
            .operation
            .tlvs()
            .iter()
            .map(|tlv| (tlv.tag.0.into(), hex(tlv.value.0)))
            .collect();
        let theirs: Vec<(u64, String)> = tlvs
            .iter()
            .map(|tlv| {
                (
                    tlv["tag"].as_u64().unwrap(),
                    tlv["hex"].as_str().unwrap().to_owned(),
                )
            })
            .collect();
        assert_eq!(ours, theirs, "{name}");
        // An error response may carry a body that a reader ignores; all else comes back as it was.
        if pdu.status.is_ok() {
            assert_eq!(hex(&written), hex(&octets), "{name}");
        }
    }
    assert_eq!(
        read_in_full, 139,
        "the count of vectors for the commands that are read"
    );
}

/// The vectors' name for what we found wrong.
fn class(error: BodyError) -> &'static str {
    match error.fault {
        Fault::Truncated => "truncated_body",
        Fault::Unterminated => "unterminated_cstring",
        Fault::TooLong => "cstring_too_long",
        Fault::Value => "invalid_dest_flag",
        Fault::TlvHeader => "tlv_truncated_header",
        Fault::TlvOverrun => "tlv_length_overrun",
        Fault::TlvLength => "tlv_bad_length",
    }
}

#[test]
fn malformed_pdus_get_the_class_and_the_status_that_the_reference_names() {
    let vectors = vectors(include_str!("../testdata/pdu-malformed.json"));
    assert_eq!(vectors.len(), 95);
    let mut judged = 0;
    for vector in &vectors {
        let (name, expect) = (name(vector), &vector["expect"]);
        let octets = octets(&vector["hex"]);
        let error = expect["error"].as_str().unwrap();
        let statuses: Vec<u64> = std::iter::once(&expect["reply"])
            .chain(expect["also_acceptable"].as_array().into_iter().flatten())
            .filter_map(|reply| reply["status"].as_u64())
            .collect();
        let judge = |error: BodyError, ours: &str| {
            assert_eq!(class(error), ours, "{name}");
            if !statuses.is_empty() {
                assert!(
                    statuses.contains(&u64::from(error.status().0)),
                    "{name}: {:?}",
                    error.status()
                );
            }
        };
        match read(&octets, &Limits::default()) {
            Read::NeedMore(need) => {
                assert_eq!(error, "incomplete", "{name}");
                if let Some(whole) = expect["need"].as_u64() {
                    assert_eq!(need as u64, whole, "{name}");
                }
            }
            Read::Broken(broken) => {
                assert!(error.starts_with("command_length_too_"), "{name}");
                assert_eq!(
                    Some(u64::from(broken.sequence)),
                    expect["reply"]["seq"].as_u64(),
                    "{name}"
                );
            }
            Read::BadBody(_, fault) => judge(fault, error),
            Read::Pdu(Pdu {
                operation: Operation::Unknown(..),
                ..
            }) => {
                assert_eq!(error, "unknown_command_id", "{name}");
            }
            Read::Pdu(Pdu {
                operation: Operation::Unread(id, _),
                ..
            }) => {
                // Judged when the command is read; until then it must not pass for a known one.
                assert!(!READ.contains(&id.name().unwrap()), "{name}");
                continue;
            }
            // The body of a refusal says nothing (3.4 §4.4.2): read as absent, and its status still counts.
            Read::Pdu(pdu) if !pdu.status.is_ok() && expect["action"] == "drop" => {
                assert!(matches!(pdu.operation, Operation::SubmitSmResp(None)), "{name}");
            }
            Read::Pdu(pdu) => {
                let fault = pdu.operation.strict().expect_err(name);
                judge(fault, error);
            }
        }
        judged += 1;
    }
    assert_eq!(judged, 89, "the count of vectors for the commands that are read");
}

#[test]
fn streams_are_cut_at_every_chunk_into_the_same_pdus() {
    let vectors = vectors(include_str!("../testdata/pdu-stream.json"));
    assert_eq!(vectors.len(), 14);
    for vector in &vectors {
        let name = name(vector);
        let all = octets(&vector["hex"]);
        let expect = vector["expect"]["pdus"].as_array().unwrap();
        let left = vector["expect"]["left_over_octets"].as_u64().unwrap();
        let chunks: Vec<usize> = match vector["chunks"].as_array() {
            Some(sizes) => sizes
                .iter()
                .map(|n| usize::try_from(n.as_u64().unwrap()).unwrap())
                .collect(),
            None => {
                assert_eq!(vector["chunks"], "one octet at a time", "{name}");
                vec![1; all.len()]
            }
        };
        let (mut buffer, mut found, mut at) = (Vec::new(), Vec::new(), 0);
        for chunk in chunks {
            buffer.extend_from_slice(&all[at..at + chunk]);
            at += chunk;
            let mut used = 0;
            while let Cut::Frame { header, .. } = cut(&buffer[used..], 70_000) {
                used += header.length as usize;
                found.push((header.command_id.to_string(), header.sequence));
            }
            buffer.drain(..used);
        }
        assert_eq!(at, all.len(), "{name}: the chunks cover the stream");
        assert_eq!(buffer.len() as u64, left, "{name}");
        let theirs: Vec<(String, u32)> = expect
            .iter()
            .map(|pdu| {
                let name = pdu["command"].as_str().unwrap().to_owned();
                (name, u32::try_from(pdu["seq"].as_u64().unwrap()).unwrap())
            })
            .collect();
        assert_eq!(found, theirs, "{name}");
    }
}

#[test]
fn a_valid_pdu_cut_at_any_length_is_never_a_pdu() {
    for vector in vectors(include_str!("../testdata/pdu-valid.json")) {
        let octets = octets(&vector["hex"]);
        for n in 0..octets.len() {
            assert!(
                matches!(read(&octets[..n], &lenient()), Read::NeedMore(_)),
                "{} at {n}",
                name(&vector)
            );
        }
    }
}
