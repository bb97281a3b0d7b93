//! How binds begin a session: versions, refusals, and what is refused before.

use tidegate_codec::header::CommandId;
use tidegate_codec::identity::SystemId;
use tidegate_codec::pdu::{Limits, Operation, Pdu, Read, encode_empty, read};
use tidegate_codec::session::{CloseReason, Role, State};
use tidegate_codec::status::CommandStatus;
use tidegate_codec::values::{BindKind, InterfaceVersion};

use crate::ends::{End, Pair, Seen, at, bind, sm};

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
    assert_eq!(
        pair.smsc.session.poll_timeout(),
        Some(at(5)),
        "counted from the connection, not the try"
    );
    pair.smsc.time(at(5));
    assert_eq!(
        pair.smsc.seen.last(),
        Some(&Seen::Close(CloseReason::SessionInit))
    );
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
