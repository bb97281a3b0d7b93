//! Sequence numbers as peers use them, and ours (smpp-session.md §4, interop quirk 21).

use tidegate_codec::header::CommandId;
use tidegate_codec::status::CommandStatus;

use crate::ends::{Pair, Seen, at};

#[test]
fn any_number_of_the_peer_is_echoed_in_any_order() {
    let mut pair = Pair::trx();
    for sequence in [0, 0x8000_0000, u32::MAX, 7, 6, 0x7fff_ffff, 1] {
        pair.smsc
            .hear(at(1), CommandId::SUBMIT_SM, CommandStatus::ROK, sequence);
        assert_eq!(pair.smsc.news(), [Seen::Request(sequence)]);
        pair.smsc.answer(CommandId::SUBMIT_SM_RESP, sequence);
        pair.smsc
            .hear(at(1), CommandId::ENQUIRE_LINK, CommandStatus::ROK, sequence);
        pair.smsc
            .hear(at(1), CommandId(0x104), CommandStatus::ROK, sequence);
        let ok = CommandStatus::ROK;
        assert_eq!(
            pair.smsc.written(),
            [
                (CommandId::SUBMIT_SM_RESP, ok, sequence),
                (CommandId::ENQUIRE_LINK_RESP, ok, sequence),
                (CommandId::GENERIC_NACK, CommandStatus::RINVCMDID, sequence),
            ]
        );
        pair.smsc.news();
    }
}

#[test]
fn a_status_in_a_request_means_nothing() {
    let mut pair = Pair::trx();
    pair.smsc
        .hear(at(1), CommandId::SUBMIT_SM, CommandStatus::RSYSERR, 3);
    assert_eq!(pair.smsc.news(), [Seen::Request(3)]);
}

#[test]
fn a_number_that_is_used_twice_is_answered_twice() {
    let mut pair = Pair::trx();
    for _ in 0..3 {
        pair.smsc.hear(at(1), CommandId::SUBMIT_SM, CommandStatus::ROK, 5);
    }
    assert_eq!(pair.smsc.news(), [Seen::Request(5); 3]);
    assert_eq!(pair.smsc.session.unanswered(), 3);
    for _ in 0..3 {
        pair.smsc.answer(CommandId::SUBMIT_SM_RESP, 5);
    }
    assert_eq!(
        pair.smsc.written(),
        [(CommandId::SUBMIT_SM_RESP, CommandStatus::ROK, 5); 3]
    );
    assert_eq!(pair.smsc.session.unanswered(), 0);
}

#[test]
fn both_directions_may_use_the_same_number() {
    let mut pair = Pair::trx();
    pair.smsc.deliver(at(1), 1).unwrap();
    let theirs = pair.smsc.deliver(at(1), 20).unwrap();
    let ours = pair.esme.submit(at(1), 10).unwrap();
    assert_eq!(ours, theirs, "the bind was the ESME's first");
    pair.settle(at(1));
    pair.esme.news();
    pair.smsc.news();
    pair.esme.answer(CommandId::DELIVER_SM_RESP, theirs);
    pair.smsc.answer(CommandId::SUBMIT_SM_RESP, ours);
    pair.settle(at(1));
    assert_eq!(pair.esme.news(), [Seen::Response(10, CommandStatus::ROK)]);
    assert_eq!(pair.smsc.news(), [Seen::Response(20, CommandStatus::ROK)]);
}

#[test]
fn a_session_numbers_from_one_and_a_straggler_keeps_its_number() {
    let mut pair = Pair::trx();
    let straggler = pair.smsc.deliver(at(1), 0).unwrap();
    assert_eq!(straggler, 1);
    let mut last = straggler;
    for ticket in 1..5_000 {
        let sequence = pair.smsc.deliver(at(1), ticket).unwrap();
        assert!(sequence > last, "{sequence} after {last}");
        last = sequence;
        pair.smsc
            .hear(at(1), CommandId::DELIVER_SM_RESP, CommandStatus::ROK, sequence);
        assert_eq!(pair.smsc.news(), [Seen::Response(ticket, CommandStatus::ROK)]);
    }
    pair.smsc
        .hear(at(1), CommandId::DELIVER_SM_RESP, CommandStatus::ROK, straggler);
    assert_eq!(pair.smsc.news(), [Seen::Response(0, CommandStatus::ROK)]);
}
