//! What a session refuses by its name alone: the codec reads broadcasts, outbind and alert_notification, and
//! whether a body of theirs is good makes no difference to a peer.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use tidegate_codec::header::{CommandId, HEADER_LEN, Header};
use tidegate_codec::pdu::{Limits, Read, encode, read};
use tidegate_codec::session::{Event, Monotonic, Role, Rules, Session, Timing};
use tidegate_codec::status::CommandStatus;
use tidegate_codec::values::InterfaceVersion;

const BIND: &[u8] = b"esme\0secret\0\0\x50\0\0\0";
const BROADCAST: &[u8] = b"\0\0\0\0\0\0\0\0\0\0\0";

/// What a session that serves ESMEs answers to these requests, one behind the other.
fn answers(requests: &[(CommandId, &[u8])]) -> Vec<(CommandId, CommandStatus)> {
    let rules = Rules {
        window: 4,
        unanswered_max: 4,
        timing: Timing::default(),
        assume_version: InterfaceVersion::V3_4,
    };
    let now = Monotonic::ZERO;
    let mut session: Session<u32> = Session::new(Role::Smsc, rules, now);
    let mut out = Vec::new();
    for (command_id, body) in requests {
        let mut octets = Vec::new();
        encode(*command_id, CommandStatus::ROK, 1, &mut octets, |out| {
            out.extend_from_slice(body);
        });
        let event = match read(&octets, &Limits::default()) {
            Read::Pdu(pdu) => session.handle(now, Ok(pdu), &mut out),
            Read::BadBody(header, error) => session.handle(now, Err((header, error)), &mut out),
            other => panic!("{other:?}"),
        };
        if matches!(event, Event::BindRequested { .. }) {
            session.accept_bind(now, &"tidegate".parse().unwrap(), &mut out);
            out.clear();
        }
    }
    let mut answers = Vec::new();
    let mut rest = out.as_slice();
    while let Some(header) = rest.first_chunk::<HEADER_LEN>().map(Header::read) {
        answers.push((header.command_id, header.status));
        rest = &rest[header.length as usize..];
    }
    answers
}

#[test]
fn broadcasts_are_answered_0x03_with_good_and_bad_bodies() {
    let bind = (CommandId::BIND_TRANSCEIVER, BIND);
    for (request, response) in [
        (CommandId::BROADCAST_SM, CommandId::BROADCAST_SM_RESP),
        (CommandId::QUERY_BROADCAST_SM, CommandId::QUERY_BROADCAST_SM_RESP),
        (
            CommandId::CANCEL_BROADCAST_SM,
            CommandId::CANCEL_BROADCAST_SM_RESP,
        ),
    ] {
        for body in [&b""[..], b"no NUL", BROADCAST, b"\0\0\0\0\0\0\0\0\0\0\0\xff"] {
            let refused = (response, CommandStatus::RINVCMDID);
            assert_eq!(answers(&[bind, (request, body)]), [refused], "{request} {body:?}");
            let unbound = (response, CommandStatus::RINVBNDSTS);
            assert_eq!(answers(&[(request, body)]), [unbound], "{request} {body:?}");
        }
        // However many: a broadcast that nobody offers is no fault that closes a session.
        let many = vec![(request, &b"no NUL"[..]); 30];
        assert_eq!(
            answers(&[&[bind], many.as_slice()].concat()).len(),
            30,
            "{request}"
        );
    }
}

#[test]
fn what_has_no_response_gets_none() {
    let bind = (CommandId::BIND_TRANSCEIVER, BIND);
    for request in [CommandId::OUTBIND, CommandId::ALERT_NOTIFICATION] {
        for body in [&b""[..], b"no NUL", b"\0\0\0\0\0\0", b"\0\0\0\0\0\0\xff"] {
            assert_eq!(answers(&[(request, body)]), [], "{request} {body:?}");
            assert_eq!(answers(&[bind, (request, body)]), [], "{request} {body:?}");
        }
    }
}
