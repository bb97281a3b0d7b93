//! Fuzz bodies. Each takes octets as an attacker would choose them and asserts an invariant; the libFuzzer
//! wrappers in `libfuzzer/` only call them. Their inputs are replayed as ordinary tests (`tests/replay.rs`).

use std::time::Duration;

use tidegate_codec::header::{CommandId, HEADER_LEN};
use tidegate_codec::pdu::{Limits, Operation, Pdu, Read, read};
use tidegate_codec::receipt::{Receipt, read_receipt};
use tidegate_codec::session::{Event, Monotonic, Role, Rules, Session, Timing};
use tidegate_codec::time::SmppTime;
use tidegate_codec::values::{EsmClass, InterfaceVersion};
use tidegate_store::segment::{Found, Scan};

/// Whatever is read as a PDU is written back as the same octets, error responses with a body that is to be
/// ignored left out, and ids without their NUL (interop quirk 19) with it.
pub fn pdu(octets: &[u8]) {
    let limits = Limits {
        password_max: 65,
        ..Limits::default()
    };
    match read(octets, &limits) {
        Read::NeedMore(need) => assert!(need > octets.len(), "asked for what is there"),
        Read::Broken(_) => {}
        Read::BadBody(header, error) => {
            assert!(header.length as usize <= octets.len());
            assert!(
                !error.status().is_ok(),
                "a bad body is never answered with success"
            );
        }
        Read::Pdu(pdu) => {
            let mut written = Vec::new();
            pdu.encode(&mut written);
            let length = octets.first_chunk().map_or(0, |word| u32::from_be_bytes(*word)) as usize;
            let ignored = pdu.operation.command_id().is_response() && !pdu.status.is_ok();
            let body = &octets[HEADER_LEN..length];
            let repaired = pdu.operation.command_id().is_response()
                && !body.contains(&0)
                && written[HEADER_LEN..].strip_suffix(&[0]) == Some(body);
            // Requests carry no status of their own: it is kept as it came.
            assert!(
                ignored || repaired || written == octets[..length],
                "{:?}",
                pdu.operation.command_id()
            );
        }
    }
}

/// A session fed with anything answers every request at most once, keeps its window, and ends for good.
pub fn session(octets: &[u8]) {
    let Some((choice, mut rest)) = octets.split_first() else {
        return;
    };
    let role = if choice & 1 == 0 { Role::Smsc } else { Role::Esme };
    let rules = Rules {
        window: 4,
        unanswered_max: 4,
        timing: Timing::default(),
        assume_version: InterfaceVersion::V3_4,
    };
    let mut now = Monotonic::ZERO;
    let mut session: Session<u32> = Session::new(role, rules, now);
    let mut out = Vec::new();
    let Ok(name) = "tidegate".parse() else { return };
    loop {
        now = now + Duration::from_millis(u64::from(*choice) * 100);
        while session.handle_timeout(now, &mut out).is_some() {}
        let (length, event) = match read(rest, &Limits::default()) {
            Read::NeedMore(_) => break,
            Read::Broken(error) => (rest.len(), session.handle_broken(error, &mut out)),
            Read::BadBody(header, error) => (
                header.length as usize,
                session.handle(now, Err((header, error)), &mut out),
            ),
            Read::Pdu(pdu) => {
                let length = rest.first_chunk().map_or(0, |word| u32::from_be_bytes(*word)) as usize;
                (length, session.handle(now, Ok(pdu), &mut out))
            }
        };
        match event {
            Event::BindRequested { .. } => session.accept_bind(now, &name, &mut out),
            Event::Request { sequence, operation } if choice & 2 == 0 => {
                if let Some(response) = operation.command_id().response() {
                    let status = tidegate_codec::status::CommandStatus::ROK;
                    // An empty message_id, and behind it what query_sm_resp has besides.
                    let body: &[u8] = match response {
                        CommandId::QUERY_SM_RESP => &[0; 4],
                        CommandId::CANCEL_SM_RESP | CommandId::REPLACE_SM_RESP => &[],
                        _ => &[0],
                    };
                    session.respond(response, sequence, status, &mut out, |out| {
                        out.extend_from_slice(body);
                    });
                }
            }
            _ => {}
        }
        assert!(session.unanswered() <= 4 && session.waiting() <= 4);
        rest = rest.get(length..).unwrap_or_default();
    }
    // What we write is whole PDUs only.
    let mut written = out.as_slice();
    while let Read::Pdu(Pdu { operation, .. }) = read(written, &Limits::default()) {
        assert!(
            !matches!(operation, Operation::Unknown(..)),
            "we never write an unknown command"
        );
        let length = written.first_chunk().map_or(0, |word| u32::from_be_bytes(*word)) as usize;
        written = &written[length..];
    }
    assert!(written.is_empty());
}

/// Receipt texts and times of any form are read or refused, never more.
pub fn receipt(octets: &[u8]) {
    let _ = Receipt::parse_text(octets);
    for esm_class in [0x00, 0x04, 0x20] {
        let reading = read_receipt(EsmClass(esm_class), octets, Some(octets), Some(2), None, true);
        if let Some(reading) = reading {
            assert!(reading.id().len() <= octets.len());
        }
    }
    let _ = SmppTime::parse(octets, 1_795_478_400_000).map(|time| time.resolve(1_795_478_400_000));
}

/// A scan of any octets ends, in order, and never claims octets twice.
pub fn segment(octets: &[u8]) {
    let mut behind = 0;
    for found in Scan::new(octets, 1) {
        let (from, to) = match found {
            Found::Batch { header, at } => (at, at + header.len as usize),
            Found::Damage { from, to } => (from, to),
        };
        assert!(from >= behind && to >= from && to <= octets.len());
        behind = to;
    }
}
