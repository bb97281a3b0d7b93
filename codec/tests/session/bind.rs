//! How binds begin a session: versions, refusals, and what is refused before.

use tidegate_codec::header::CommandId;
use tidegate_codec::identity::SystemId;
use tidegate_codec::pdu::{Limits, Operation, Pdu, Read, encode, encode_empty, read};
use tidegate_codec::session::{CloseReason, Role, Rules, Session, State};
use tidegate_codec::status::CommandStatus;
use tidegate_codec::values::{BindKind, InterfaceVersion};

use crate::ends::{End, Pair, Seen, at, bind, rules, sm};

#[test]
fn every_version_that_peers_send_can_bind_and_3_3_sees_no_tlv() {
    for (theirs, spoken) in [
        (0x34, 0x34),
        (0x50, 0x50),
        (0x33, 0x33),
        (0x00, 0x33),
        (0x22, 0x33),
    ] {
        let mut pair = Pair::new();
        let version = InterfaceVersion(theirs);
        pair.esme
            .session
            .bind(at(0), BindKind::Transmitter, &bind(version), &mut pair.esme.out);
        pair.settle(at(0));
        pair.smsc
            .session
            .accept_bind(at(0), &SystemId::new(b"tidegate").unwrap(), &mut pair.smsc.out);
        let Read::Pdu(answer) = read(&pair.smsc.out, &Limits::default()) else {
            panic!("a whole PDU")
        };
        assert_eq!(answer.operation.tlvs().is_empty(), spoken == 0x33, "{theirs:#x}");
        pair.settle(at(0));
        assert_eq!(
            pair.smsc.session.version(),
            InterfaceVersion(spoken),
            "{theirs:#x}"
        );
        assert_eq!(
            pair.esme.session.version(),
            InterfaceVersion(spoken),
            "{theirs:#x}"
        );
    }
}

#[test]
fn a_refused_bind_may_be_tried_again_until_the_init_timer_ends_it() {
    let mut pair = Pair::new();
    pair.esme.session.bind(
        at(0),
        BindKind::Receiver,
        &bind(InterfaceVersion::V3_4),
        &mut pair.esme.out,
    );
    pair.settle(at(0));
    pair.smsc
        .session
        .refuse_bind(CommandStatus::RBINDFAIL, &mut pair.smsc.out);
    pair.settle(at(1));
    assert_eq!(pair.esme.seen, [Seen::BindRefused(CommandStatus::RBINDFAIL)]);
    assert_eq!(
        (pair.esme.session.state(), pair.smsc.session.state()),
        (State::Open, State::Open)
    );
    pair.esme.session.bind(
        at(2),
        BindKind::Receiver,
        &bind(InterfaceVersion::V3_4),
        &mut pair.esme.out,
    );
    pair.settle(at(2));
    assert_eq!(pair.smsc.seen.len(), 2, "a second try reaches the owner");
    // Its check has as long as a connection has to bind; the connection itself has not.
    assert_eq!(pair.smsc.session.poll_timeout(), Some(at(7)));
    pair.smsc
        .session
        .refuse_bind(CommandStatus::RBINDFAIL, &mut pair.smsc.out);
    assert_eq!(pair.smsc.session.poll_timeout(), Some(at(5)));
    pair.smsc.time(at(5));
    assert_eq!(
        pair.smsc.seen.last(),
        Some(&Seen::Close(CloseReason::SessionInit))
    );
}

/// An ESME that knows its own bind's number must not bind itself by answering in our place.
#[test]
fn only_the_smsc_says_who_is_bound() {
    for (command, status) in [
        (CommandId::BIND_TRANSCEIVER_RESP, CommandStatus::ROK),
        (CommandId::BIND_TRANSCEIVER_RESP, CommandStatus::RBINDFAIL),
        (CommandId::GENERIC_NACK, CommandStatus::RINVCMDID),
        (CommandId::GENERIC_NACK, CommandStatus::ROK),
    ] {
        for sequence in [7, 0] {
            let mut smsc = End::new(Role::Smsc);
            smsc.hear(at(1), CommandId::BIND_TRANSCEIVER, CommandStatus::ROK, 7);
            smsc.news();
            let binding = smsc.session.state();
            smsc.hear(at(1), command, status, sequence);
            assert_eq!(smsc.news(), [Seen::Unexpected], "{command} {status}");
            assert_eq!(smsc.session.state(), binding, "{command} {status}");
            // Nor with a body that cannot be read.
            let mut octets = Vec::new();
            encode(command, status, sequence, &mut octets, |out| {
                out.extend_from_slice(&[b'x'; 40]);
            });
            smsc.take(at(1), &octets);
            smsc.news();
            assert_eq!(smsc.session.state(), binding, "{command} {status}");
            assert_eq!(smsc.written(), []);
        }
    }
}

/// The lower of both versions holds, whatever octet the other side gives for its own (smpp-session.md §7).
#[test]
fn an_esme_speaks_no_more_than_the_smsc_says_and_what_is_agreed_where_it_does_not() {
    for (ours, theirs, assumed, spoken) in [
        (0x50, Some(0x34), 0x50, 0x34),
        (0x50, Some(0x33), 0x50, 0x33),
        (0x50, Some(0x50), 0x34, 0x50),
        (0x50, Some(0x51), 0x34, 0x50),
        (0x50, Some(0xff), 0x34, 0x50),
        (0x50, Some(0x35), 0x50, 0x34),
        (0x50, None, 0x34, 0x34),
        (0x50, None, 0x50, 0x50),
        (0x34, Some(0x50), 0x33, 0x34),
        (0x34, None, 0x33, 0x33),
        (0x33, Some(0x50), 0x50, 0x33),
    ] {
        let rules = Rules {
            assume_version: InterfaceVersion(assumed),
            ..rules()
        };
        let mut esme = End::with(Session::new(Role::Esme, rules, at(0)));
        let asked = bind(InterfaceVersion(ours));
        esme.session
            .bind(at(0), BindKind::Receiver, &asked, &mut esme.out);
        let mut octets = Vec::new();
        encode(
            CommandId::BIND_RECEIVER_RESP,
            CommandStatus::ROK,
            1,
            &mut octets,
            |out| {
                out.extend_from_slice(b"mc\0");
                if let Some(theirs) = theirs {
                    out.extend_from_slice(&[0x02, 0x10, 0, 1, theirs]);
                }
            },
        );
        esme.take(at(0), &octets);
        let spoken = InterfaceVersion(spoken).normalised();
        assert_eq!(
            esme.news(),
            [Seen::Bound(spoken)],
            "{ours:#x} {theirs:?} {assumed:#x}"
        );
        assert_eq!(esme.session.version(), spoken);
    }
}

#[test]
fn nothing_is_accepted_before_the_bind_and_a_second_bind_changes_nothing() {
    let mut smsc = End::new(Role::Smsc);
    let mut octets = Vec::new();
    Pdu {
        status: CommandStatus::ROK,
        sequence: 9,
        operation: Operation::SubmitSm(sm()),
    }
    .encode(&mut octets);
    encode_empty(CommandId::ENQUIRE_LINK, CommandStatus::ROK, 10, &mut octets);
    encode_empty(CommandId::UNBIND, CommandStatus::ROK, 11, &mut octets);
    smsc.take(at(0), &octets);
    assert_eq!(
        smsc.written(),
        [
            (CommandId::SUBMIT_SM_RESP, CommandStatus::RINVBNDSTS, 9),
            (CommandId::ENQUIRE_LINK_RESP, CommandStatus::ROK, 10),
            (CommandId::UNBIND_RESP, CommandStatus::RINVBNDSTS, 11),
        ]
    );
    let mut pair = Pair::trx();
    let mut again = Vec::new();
    let operation = Operation::Bind(BindKind::Receiver, bind(InterfaceVersion::V3_4));
    Pdu {
        status: CommandStatus::ROK,
        sequence: 77,
        operation,
    }
    .encode(&mut again);
    pair.smsc.take(at(1), &again);
    assert_eq!(
        pair.smsc.written(),
        [(CommandId::BIND_RECEIVER_RESP, CommandStatus::RALYBND, 77)]
    );
    assert_eq!(pair.smsc.session.state(), State::Bound(BindKind::Transceiver));
}

#[test]
fn each_bind_kind_may_do_what_its_name_says() {
    let mut rx = Pair::bound(BindKind::Receiver, InterfaceVersion::V3_4);
    rx.esme.submit(at(1), 1).unwrap();
    rx.settle(at(1));
    assert_eq!(rx.esme.seen, [Seen::Response(1, CommandStatus::RINVBNDSTS)]);
    let deliver = |end: &mut End| {
        end.session
            .request(at(1), CommandId::DELIVER_SM, 5, &mut end.out, |out| {
                sm().encode(out);
            })
            .unwrap()
    };
    deliver(&mut rx.smsc);
    rx.settle(at(1));
    assert_eq!(rx.esme.seen.last(), Some(&Seen::Request(1)));
    let mut tx = Pair::bound(BindKind::Transmitter, InterfaceVersion::V3_4);
    deliver(&mut tx.smsc);
    tx.settle(at(1));
    assert_eq!(tx.smsc.seen, [Seen::Response(5, CommandStatus::RINVBNDSTS)]);
}
