//! Every PDU written and read, with fields of any content; and octets of any kind, which upset nobody.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "pdus/every.rs"]
mod every;

use every::{LONGEST, Parts};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence};
use tidegate_codec::header::{CommandId, HEADER_LEN};
use tidegate_codec::identity::PASSWORD_MAX_LENIENT;
use tidegate_codec::pdu::strict::{self, FaultClass};
use tidegate_codec::pdu::{Limits, Pdu, Read, encode, read};
use tidegate_codec::receipt::read_receipt;
use tidegate_codec::status::CommandStatus;
use tidegate_codec::tlv::{Tag, Tlvs};
use tidegate_codec::values::{EsmClass, InterfaceVersion};

/// Cases go to no file: what fails is written down as a test of its own.
fn config() -> Config {
    Config {
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        ..Config::default()
    }
}

/// Octets other than NUL; the longest that fit are as likely as any.
fn string(max: usize) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(1..=u8::MAX, 0..=max),
        vec(1..=u8::MAX, max..=max),
        Just(Vec::new())
    ]
}

fn address(max: usize) -> impl Strategy<Value = (u8, u8, Vec<u8>)> {
    (any::<u8>(), any::<u8>(), string(max))
}

fn tlvs() -> impl Strategy<Value = Vec<(u16, Vec<u8>)>> {
    let known = (0..Tag::ALL.len()).prop_map(|at| Tag::ALL[at].0);
    let tag = prop_oneof![known, any::<u16>()];
    vec((tag, vec(any::<u8>(), 0..300)), 0..5)
}

fn parts() -> impl Strategy<Value = Parts> {
    let [
        system_id,
        password,
        system_type,
        range,
        service_type,
        short,
        wide,
        time,
        id,
        list,
    ] = LONGEST;
    (
        (
            string(system_id),
            string(password),
            string(system_type),
            string(range),
        ),
        string(service_type),
        [address(short), address(short)],
        [address(wide), address(wide)],
        [string(time), string(time)],
        (string(id), string(list)),
        any::<[u8; 8]>(),
        vec(any::<u8>(), 0..=255),
        vec(any::<u32>(), 0..4),
        tlvs(),
    )
        .prop_map(
            |(login, service_type, short, wide, times, names, octets, text, statuses, tlvs)| Parts {
                system_id: login.0,
                password: login.1,
                system_type: login.2,
                address_range: login.3,
                service_type,
                short,
                wide,
                times,
                message_id: names.0,
                dl_name: names.1,
                octets,
                text,
                statuses,
                tlvs,
            },
        )
}

/// Looks at everything that a PDU and its TLVs have to say.
fn look(pdu: &Pdu<'_>) {
    let tlvs: Tlvs<'_> = pdu.operation.tlvs();
    let _ = (pdu.operation.strict(), format!("{pdu:?}"));
    let _ = (
        tlvs.callback_nums().count(),
        tlvs.broadcast_area_identifiers().count(),
    );
    let _ = (
        tlvs.network_error_code(),
        tlvs.ms_validity(),
        tlvs.source_subaddress(),
    );
    for version in [
        InterfaceVersion::V3_3,
        InterfaceVersion::V3_4,
        InterfaceVersion::V5_0,
    ] {
        let _ = pdu.fits(version);
    }
    let id = tlvs.get(Tag::RECEIPTED_MESSAGE_ID);
    let _ = read_receipt(EsmClass::RECEIPT, tlvs.as_bytes(), id, None, None, true);
}

/// Any octets, and octets that look like a PDU of a known command up to some point.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let known: Vec<CommandId> = (0..=0x200)
        .flat_map(|id| [CommandId(id), CommandId(id | 0x8000_0000)])
        .filter(|id| id.is_known())
        .collect();
    assert_eq!(known.len(), 33);
    let body = prop_oneof![
        vec(any::<u8>(), 0..300),
        vec(prop_oneof![Just(0_u8), 0..4_u8, any::<u8>()], 0..300),
    ];
    let pdu =
        (0..known.len(), prop_oneof![Just(0), any::<u32>()], body).prop_map(move |(at, status, body)| {
            let mut octets = Vec::new();
            encode(known[at], CommandStatus(status), 7, &mut octets, |out| {
                out.extend_from_slice(&body);
            });
            octets
        });
    prop_oneof![4 => pdu, 1 => vec(any::<u8>(), 0..300)]
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_is_written_is_read(parts in parts(), sequence in any::<u32>(), status in any::<u32>()) {
        let encoded = parts.encoded();
        let operations = parts.operations(&encoded);
        prop_assert_eq!(operations.len(), 33);
        let mut octets = Vec::new();
        for operation in &operations {
            let command_id = operation.command_id();
            // The lenient reader leaves out what stands behind an error status of some responses.
            let status = if command_id.is_response() { 0 } else { status };
            let pdu = Pdu { status: CommandStatus(status), sequence, operation: *operation };
            octets.clear();
            pdu.encode(&mut octets);
            let length = u32::from_be_bytes(*octets.first_chunk().unwrap());
            prop_assert_eq!(length as usize, octets.len());
            match read(&octets, &Limits::default()) {
                Read::Pdu(read) => {
                    prop_assert_eq!(read, pdu, "{}", command_id);
                    look(&read);
                }
                other => prop_assert!(false, "{}: {:?}", command_id, other),
            }
            // Generated TLVs may have lengths that are none of theirs; nothing else is ever wrong.
            if let Err(finding) = strict::read(&octets, &Limits::default()) {
                let class = finding.class;
                let tlvs = matches!(class, FaultClass::TlvBadLength | FaultClass::TlvMissing);
                prop_assert!(tlvs, "{}: {:?}", command_id, class);
            }
        }
    }

    #[test]
    fn a_written_pdu_cut_short_is_none(parts in parts(), at in any::<prop::sample::Index>()) {
        let encoded = parts.encoded();
        for operation in parts.operations(&encoded) {
            let mut octets = Vec::new();
            Pdu { status: CommandStatus::ROK, sequence: 1, operation }.encode(&mut octets);
            let short = &octets[..at.index(octets.len())];
            prop_assert!(matches!(read(short, &Limits::default()), Read::NeedMore(_)));
        }
    }

    #[test]
    fn no_octets_upset_a_reader(octets in hostile(), password_max in 0..100_usize, pdu_max in any::<u32>()) {
        let limits = Limits { pdu_max, password_max };
        for limits in [Limits::default(), limits] {
            let strict = strict::read(&octets, &limits);
            match read(&octets, &limits) {
                Read::NeedMore(whole) => prop_assert!(whole > octets.len()),
                Read::Broken(_) => prop_assert!(strict.is_err()),
                Read::BadBody(header, error) => {
                    prop_assert!(!error.status().is_ok() && header.length as usize <= octets.len());
                    prop_assert!(strict.is_err());
                }
                Read::Pdu(pdu) => {
                    look(&pdu);
                    // What a strict reader takes is written back as it came.
                    if let Ok(strict) = strict {
                        prop_assert_eq!(strict, pdu);
                        let mut written = Vec::new();
                        pdu.encode(&mut written);
                        let left_out = !pdu.status.is_ok() && written.len() == HEADER_LEN;
                        prop_assert!(left_out || octets.starts_with(&written), "{:?}", pdu);
                    }
                }
            }
        }
    }

    #[test]
    fn a_reader_of_passwords_keeps_to_its_limit(password in string(PASSWORD_MAX_LENIENT - 1), max in 0..70_usize) {
        let mut octets = Vec::new();
        encode(CommandId::OUTBIND, CommandStatus::ROK, 1, &mut octets, |out| {
            out.push(0);
            out.extend_from_slice(&password);
            out.push(0);
        });
        let limits = Limits { password_max: max, ..Limits::default() };
        let taken = matches!(read(&octets, &limits), Read::Pdu(_));
        prop_assert_eq!(taken, password.len() < max);
    }
}
