//! Requests that cannot be read, and what is said of ours (smpp-session.md §3).

use tidegate_codec::header::CommandId;
use tidegate_codec::pdu::{encode, encode_empty};
use tidegate_codec::session::{CloseReason, FAULTS_IN_A_ROW_MAX, Role, State};
use tidegate_codec::status::CommandStatus;
use tidegate_codec::values::BindKind;

use crate::bodies::body_of;
use crate::ends::{End, Pair, Seen, at};

#[test]
fn what_is_no_command_and_what_has_no_body_is_answered_by_name() {
    let mut pair = Pair::trx();
    let mut octets = Vec::new();
    encode_empty(CommandId::REPLACE_SM, CommandStatus::ROK, 1, &mut octets);
    encode_empty(CommandId(0x0000_0104), CommandStatus::ROK, 2, &mut octets);
    encode_empty(CommandId(0x8000_0100), CommandStatus::ROK, 3, &mut octets);
    encode_empty(CommandId::ALERT_NOTIFICATION, CommandStatus::ROK, 4, &mut octets);
    encode_empty(
        CommandId::DELIVER_SM,
        CommandStatus::ROK,
        0xffff_ffff,
        &mut octets,
    );
    pair.smsc.take(at(1), &octets);
    assert_eq!(
        pair.smsc.written(),
        [
            (CommandId::REPLACE_SM_RESP, CommandStatus::RINVCMDLEN, 1),
            (CommandId::GENERIC_NACK, CommandStatus::RINVCMDID, 2),
            (CommandId::DELIVER_SM_RESP, CommandStatus::RINVCMDLEN, 0xffff_ffff),
        ]
    );
    assert_eq!(pair.smsc.session.state(), State::Bound(BindKind::Transceiver));
}

#[test]
fn a_peer_that_speaks_something_else_is_left_and_one_readable_request_forgives_it() {
    let mut pair = Pair::trx();
    let mut garbage = Vec::new();
    for _ in 1..FAULTS_IN_A_ROW_MAX {
        encode_empty(CommandId(0x104), CommandStatus::ROK, 1, &mut garbage);
    }
    pair.smsc.take(at(1), &garbage);
    let mut good = Vec::new();
    encode_empty(CommandId::ENQUIRE_LINK, CommandStatus::ROK, 1, &mut good);
    pair.smsc.take(at(1), &good);
    pair.smsc.take(at(1), &garbage);
    assert_eq!(pair.smsc.session.state(), State::Bound(BindKind::Transceiver));
    pair.smsc.take(at(1), &garbage[..16]);
    assert_eq!(pair.smsc.seen.last(), Some(&Seen::Close(CloseReason::Faults)));
}

#[test]
fn faults_between_good_answers_are_not_in_a_row() {
    let mut pair = Pair::trx();
    for number in 1..=2 * u64::from(FAULTS_IN_A_ROW_MAX) {
        let sequence = pair.esme.submit(at(number), 1).unwrap();
        let ok = CommandStatus::ROK;
        pair.esme
            .hear(at(number), CommandId::SUBMIT_SM_RESP, ok, sequence);
        pair.esme.hear(at(number), CommandId(0x0100_0002), ok, 1);
    }
    assert_eq!(pair.esme.session.state(), State::Bound(BindKind::Transceiver));
}

/// Bodies that cannot be read and TLVs that an ESME must not send count as what is no command does.
#[test]
fn faults_of_every_kind_count_and_what_is_owed_goes_out_before_the_end() {
    let ok = CommandStatus::ROK;
    let broken_tlv = b"\0\0\0\0\x01\x01447700900123\0\0\0\0\0\0\0\0\0\0\x05hello\x04\x24\0\x09x";
    for body in [&b"x"[..], broken_tlv] {
        let mut garbage = Vec::new();
        for _ in 0..FAULTS_IN_A_ROW_MAX {
            encode(CommandId::SUBMIT_SM, ok, 1, &mut garbage, |out| {
                out.extend_from_slice(body);
            });
        }
        let mut pair = Pair::trx();
        pair.smsc.take(at(1), &garbage);
        assert_eq!(pair.smsc.seen.last(), Some(&Seen::Close(CloseReason::Faults)));

        let mut pair = Pair::trx();
        pair.smsc.hear(at(1), CommandId::SUBMIT_SM, ok, 5);
        pair.smsc.take(at(1), &garbage);
        assert_eq!(pair.smsc.seen.last(), Some(&Seen::PeerUnbound));
        pair.smsc.written();
        pair.smsc.answer(CommandId::SUBMIT_SM_RESP, 5);
        assert_eq!(pair.smsc.written(), [(CommandId::SUBMIT_SM_RESP, ok, 5)]);
        pair.smsc.time(at(1));
        assert_eq!(pair.smsc.seen.last(), Some(&Seen::Close(CloseReason::Faults)));
        // So it is behind an unbind of either side.
        for ours in [true, false] {
            let mut pair = Pair::trx();
            pair.smsc.hear(at(1), CommandId::SUBMIT_SM, ok, 5);
            if ours {
                pair.smsc.session.unbind(at(1), &mut pair.smsc.out);
            } else {
                pair.smsc.hear(at(1), CommandId::UNBIND, ok, 6);
            }
            pair.smsc.take(at(1), &garbage);
            pair.smsc.written();
            pair.smsc.answer(CommandId::SUBMIT_SM_RESP, 5);
            assert_eq!(pair.smsc.written()[0], (CommandId::SUBMIT_SM_RESP, ok, 5));
            pair.smsc.time(at(1));
            assert_eq!(pair.smsc.seen.last(), Some(&Seen::Close(CloseReason::Faults)));
        }
        // Should the owner never answer, the timer ends it.
        let mut pair = Pair::trx();
        pair.smsc.hear(at(1), CommandId::SUBMIT_SM, ok, 5);
        pair.smsc.take(at(1), &garbage);
        pair.smsc.take(at(1), &garbage);
        pair.smsc.time(at(6));
        assert_eq!(pair.smsc.seen.last(), Some(&Seen::Close(CloseReason::UnbindWait)));
    }
}

#[test]
fn lost_framing_is_nacked_and_closed() {
    let mut pair = Pair::trx();
    pair.smsc
        .take(at(1), &[0, 0, 0, 9, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 6]);
    assert_eq!(
        pair.smsc.written(),
        [(CommandId::GENERIC_NACK, CommandStatus::RINVCMDLEN, 6)]
    );
    assert!(matches!(
        pair.smsc.seen[..],
        [Seen::Close(CloseReason::Broken(_))]
    ));
}

/// The rows of smpp-session.md §3 that leave the session alive.
#[test]
fn each_finding_has_its_answer_and_the_session_lives() {
    const SM: &[u8] = b"\0\0\0\0\x01\x01447700900123\0\0\0\0\0\0\0\0\0\0\x05hello";
    let unterminated = &SM[..12];
    let mut too_long = vec![b'x'; 7];
    too_long.extend_from_slice(SM);
    let mut beyond = SM.to_vec();
    beyond[28] = 6;
    let broken_tlv = [SM, b"\x04\x24\0\x09x"].concat();
    let wrong_tlv = [SM, b"\x02\x04\0\x01x"].concat();
    let submit = CommandId::SUBMIT_SM;
    type Case<'a> = (&'a str, CommandId, &'a [u8], Option<CommandStatus>);
    let unknown = CommandId(0x0001_0200);
    let cases: [Case<'_>; 11] = [
        ("unknown id", unknown, b"vendor\0", Some(CommandStatus::RINVCMDID)),
        ("unknown response", CommandId(0x8000_000b), b"vendor\0", None),
        ("no body", submit, b"", Some(CommandStatus::RINVCMDLEN)),
        ("no NUL", submit, unterminated, Some(CommandStatus::RINVCMDLEN)),
        (
            "field too long",
            submit,
            &too_long,
            Some(CommandStatus::RINVSERTYP),
        ),
        (
            "sm_length beyond the PDU",
            submit,
            &beyond,
            Some(CommandStatus::RINVMSGLEN),
        ),
        (
            "TLV section broken",
            submit,
            &broken_tlv,
            Some(CommandStatus::RINVOPTPARSTREAM),
        ),
        (
            "TLV of a wrong length",
            submit,
            &wrong_tlv,
            Some(CommandStatus::RINVPARLEN),
        ),
        (
            "octets behind a header that stands alone",
            CommandId::ENQUIRE_LINK,
            b"x",
            Some(CommandStatus::RINVOPTPARSTREAM),
        ),
        ("malformed response", CommandId::QUERY_SM_RESP, b"x", None),
        ("malformed one-way PDU", CommandId::OUTBIND, b"x", None),
    ];
    for (name, command, body, answer) in cases {
        let mut pair = Pair::trx();
        let mut octets = Vec::new();
        encode(command, CommandStatus::ROK, 0xfeed_beef, &mut octets, |out| {
            out.extend_from_slice(body);
        });
        pair.smsc.take(at(1), &octets);
        let written = pair.smsc.written();
        match answer {
            Some(status) => {
                let own = if command == unknown {
                    CommandId::GENERIC_NACK
                } else {
                    CommandId(command.0 | 0x8000_0000)
                };
                assert_eq!(written, [(own, status, 0xfeed_beef)], "{name}");
            }
            None => assert_eq!(written, [], "{name}"),
        }
        let seen = pair.smsc.news();
        let said = match (answer, seen.as_slice()) {
            (Some(status), [Seen::Refused(refused, said)]) => *refused == command && *said == status,
            (None, [Seen::Dropped(dropped)]) => *dropped == command,
            _ => false,
        };
        assert!(said, "{name}: {seen:?}");
        assert_eq!(
            pair.smsc.session.state(),
            State::Bound(BindKind::Transceiver),
            "{name}"
        );
    }
}

#[test]
fn deliveries_are_not_lost_to_a_bad_tlv() {
    let mut pair = Pair::trx();
    let mut octets = Vec::new();
    encode(CommandId::DELIVER_SM, CommandStatus::ROK, 5, &mut octets, |out| {
        out.extend_from_slice(&body_of(CommandId::DELIVER_SM));
        out.extend_from_slice(b"\x04\x24\0\x09x");
    });
    pair.esme.take(at(1), &octets);
    assert_eq!(pair.esme.news(), [Seen::Request(5)]);
}

#[test]
fn a_stranger_that_never_binds_is_left_for_its_faults_too() {
    let mut smsc = End::new(Role::Smsc);
    for _ in 1..FAULTS_IN_A_ROW_MAX {
        smsc.hear(at(1), CommandId(0x104), CommandStatus::ROK, 1);
    }
    assert_eq!(smsc.session.state(), State::Open);
    smsc.hear(at(1), CommandId(0x104), CommandStatus::ROK, 1);
    assert_eq!(smsc.news().last(), Some(&Seen::Close(CloseReason::Faults)));
    assert_eq!(
        smsc.written().len(),
        FAULTS_IN_A_ROW_MAX as usize,
        "the last one is answered too"
    );
}
