//! An independent reader: one of each PDU that we write goes into a capture, and tshark says what it sees.
//!
//! Needs `tshark` on the path (Debian's package will do). Without it the test prints what it skipped.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "pdus/every.rs"]
mod every;

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

use every::{LONGEST, Parts};
use tidegate_codec::pdu::{Operation, Pdu};
use tidegate_codec::status::CommandStatus;
use tidegate_codec::tlv::Tag;

/// What tshark calls the commands, in the order of `Parts::operations`.
const NAMES: [&str; 33] = [
    "Bind_receiver",
    "Bind_transmitter",
    "Bind_transceiver",
    "Bind_receiver - resp",
    "Bind_transmitter - resp",
    "Bind_transceiver - resp",
    "Outbind",
    "Unbind",
    "Unbind - resp",
    "Enquire_link",
    "Enquire_link - resp",
    "Generic_nack",
    "Alert_notification",
    "Submit_sm",
    "Submit_sm - resp",
    "Deliver_sm",
    "Deliver_sm - resp",
    "Data_sm",
    "Data_sm - resp",
    "Submit_multi",
    "Submit_multi - resp",
    "Query_sm",
    "Query_sm - resp",
    "Cancel_sm",
    "Cancel_sm - resp",
    "Replace_sm",
    "Replace_sm - resp",
    "Broadcast_sm",
    "Broadcast_sm - resp",
    "Query_broadcast_sm",
    "Query_broadcast_sm - resp",
    "Cancel_broadcast_sm",
    "Cancel_broadcast_sm - resp",
];

fn parts(octets: usize, tlvs: Vec<(u16, Vec<u8>)>) -> Parts {
    let [
        system_id,
        password,
        system_type,
        range,
        service_type,
        short,
        wide,
        _,
        id,
        list,
    ] = LONGEST.map(|longest| vec![b'7'; longest.min(octets)]);
    Parts {
        system_id,
        password,
        system_type,
        address_range: range,
        service_type,
        short: [(1, 1, short.clone()), (1, 1, short)],
        wide: [(1, 1, wide.clone()), (1, 1, wide)],
        times: [b"261121120000000+".to_vec(), b"000007000000000R".to_vec()],
        message_id: id,
        dl_name: list,
        octets: [0, 0, 1, 1, 0, 0, 0, 0x50],
        text: vec![b'x'; octets.min(254)],
        statuses: vec![0x0b, 0x58],
        tlvs,
    }
}

/// The longest value of each tag, up to `octets`.
fn tlvs(octets: usize) -> Vec<(u16, Vec<u8>)> {
    let mut tlvs = Vec::new();
    for tag in Tag::ALL {
        let (min, max) = tag.lengths().unwrap();
        let length = match *tag {
            // tshark 4.0 takes broadcast_rep_num for one octet (smpp-pdus.md §7) and then everything behind
            // it for something else.
            Tag::BROADCAST_REP_NUM => continue,
            // It knows the forms of 3.4 only: one octet each.
            Tag::MS_VALIDITY | Tag::SOURCE_TELEMATICS_ID => 1,
            _ => max.min(octets).max(min),
        };
        let mut value = vec![b'1'; length];
        // What may be a C-Octet String ends like one.
        if let (Some(last), true) = (value.last_mut(), max > 4) {
            *last = 0;
        }
        tlvs.push((tag.0, value));
    }
    tlvs
}

/// A pcap file of one TCP connection, one packet for each PDU (the format is that of libpcap 2.4).
fn capture(pdus: &[Vec<u8>]) -> Vec<u8> {
    const RAW_IP: u32 = 101;
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4, 0x0002_0004, 0, 0, 0x0004_0000, RAW_IP] {
        file.extend_from_slice(&u32::to_be_bytes(word));
    }
    let mut seq = 1_u32;
    for (number, pdu) in (0_u32..).zip(pdus) {
        let length = u32::try_from(40 + pdu.len()).unwrap();
        for word in [number, 0, length, length] {
            file.extend_from_slice(&word.to_be_bytes());
        }
        // IPv4 without options, TCP inside, from and to loopback; tshark checks no checksum unless asked.
        file.extend_from_slice(&[0x45, 0]);
        file.extend_from_slice(&u16::try_from(length).unwrap().to_be_bytes());
        file.extend_from_slice(&[0, 0, 0x40, 0, 64, 6, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1]);
        file.extend_from_slice(&40_000_u16.to_be_bytes());
        file.extend_from_slice(&2_775_u16.to_be_bytes());
        file.extend_from_slice(&seq.to_be_bytes());
        file.extend_from_slice(&[0, 0, 0, 1, 0x50, 0x18, 0xff, 0xff, 0, 0, 0, 0]);
        file.extend_from_slice(pdu);
        seq += u32::try_from(pdu.len()).unwrap();
    }
    file
}

/// One packet as tshark reads it.
struct Seen {
    length: String,
    sequence: String,
    complaint: String,
    tags: String,
    lengths: String,
    info: String,
}

/// Each packet as tshark reads it; `None` where there is no tshark.
fn dissect(name: &str, pdus: &[Vec<u8>]) -> Option<Vec<Seen>> {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.pcap"));
    fs::write(&path, capture(pdus)).unwrap();
    let mut tshark = Command::new("tshark");
    tshark.args([
        "-n",
        "-d",
        "tcp.port==2775,smpp",
        "-T",
        "fields",
        "-E",
        "separator=;",
        "-r",
    ]);
    tshark.arg(&path);
    for field in [
        "smpp.command_length",
        "smpp.sequence_number",
        "_ws.malformed",
        "smpp.opt_param_tag",
        "smpp.opt_param_len",
        "_ws.col.Info",
    ] {
        tshark.args(["-e", field]);
    }
    let output = match tshark.output() {
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        output => output.unwrap(),
    };
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    let seen = text.lines().map(|line| {
        let fields: Vec<String> = line.split(';').map(str::to_owned).collect();
        let [length, sequence, complaint, tags, lengths, info] = fields.try_into().unwrap();
        Seen {
            length,
            sequence,
            complaint,
            tags,
            lengths,
            info,
        }
    });
    Some(seen.collect())
}

fn encoded(operations: &[Operation<'_>]) -> Vec<Vec<u8>> {
    (1..)
        .zip(operations)
        .map(|(sequence, operation)| {
            let mut octets = Vec::new();
            Pdu {
                status: CommandStatus::ROK,
                sequence,
                operation: *operation,
            }
            .encode(&mut octets);
            octets
        })
        .collect()
}

#[test]
fn tshark_knows_every_pdu_by_its_name_and_finds_none_malformed() {
    let (mut checked, mut walked, mut skipped) = (0, 0, 0);
    for (octets, with_tlvs) in [(0, false), (4, false), (255, false), (4, true), (255, true)] {
        let optional = if with_tlvs { tlvs(octets) } else { Vec::new() };
        let tags: Vec<String> = optional.iter().map(|(tag, _)| format!("{tag:#06x}")).collect();
        let lengths: Vec<String> = optional.iter().map(|tlv| tlv.1.len().to_string()).collect();
        let expect = (tags.join(","), lengths.join(","));
        let parts = parts(octets, optional.clone());
        let borrowed = parts.encoded();
        let pdus = encoded(&parts.operations(&borrowed));
        let Some(seen) = dissect(&format!("every_pdu_{octets}_{with_tlvs}"), &pdus) else {
            skipped += pdus.len();
            continue;
        };
        assert_eq!((seen.len(), pdus.len()), (NAMES.len(), NAMES.len()));
        for (number, ((seen, name), pdu)) in (1..).zip(seen.iter().zip(NAMES).zip(&pdus)) {
            // Behind the name stand the status of a response and the part that the sar TLVs tell of.
            let rest = seen.info.strip_prefix(name).unwrap_or("another name");
            assert!(
                rest.is_empty() || rest.starts_with(": ") || rest.starts_with(" ("),
                "{name}: {}",
                seen.info
            );
            assert_eq!(seen.complaint, "", "{name}: {}", seen.info);
            assert_eq!(seen.length, pdu.len().to_string(), "{name}");
            assert_eq!(seen.sequence, number.to_string(), "{name}");
            // It looks for TLVs only where it knows of some.
            if !seen.tags.is_empty() {
                assert_eq!((seen.tags.clone(), seen.lengths.clone()), expect, "{name}");
                walked += 1;
            }
            checked += 1;
        }
    }
    if skipped > 0 {
        println!("SKIPPED tshark: it is not on the path; {skipped} PDUs not looked at");
        return;
    }
    assert_eq!(checked, 5 * 33);
    assert!(walked >= 2 * 16, "TLVs were walked in {walked} PDUs only");
    println!("tshark: {checked} PDUs, and the TLVs of {walked} of them");
}
