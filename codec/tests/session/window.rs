//! How much may be under way, in both directions, and what a peer says of its load.

use tidegate_codec::header::CommandId;
use tidegate_codec::pdu::{Operation, Pdu, encode, encode_empty};
use tidegate_codec::session::{Congestion, RequestError, Role, Rules, Session};
use tidegate_codec::status::CommandStatus;
use tidegate_codec::tlv::{self, Tag};

use crate::ends::{End, Pair, Seen, at, rules, sm};

#[test]
fn the_window_holds_what_is_unanswered_and_answers_come_in_any_order() {
    let mut pair = Pair::trx();
    let (first, second) = (
        pair.esme.submit(at(1), 10).unwrap(),
        pair.esme.submit(at(1), 11).unwrap(),
    );
    assert_eq!(pair.esme.submit(at(1), 12), Err(RequestError::WindowFull(12)));
    pair.settle(at(1));
    assert_eq!(pair.smsc.session.unanswered(), 2);
    for sequence in [second, first] {
        pair.smsc.session.respond(
            CommandId::SUBMIT_SM_RESP,
            sequence,
            CommandStatus::ROK,
            &mut pair.smsc.out,
            |out| out.extend_from_slice(b"id\0"),
        );
    }
    pair.settle(at(2));
    let ok = CommandStatus::ROK;
    assert_eq!(pair.esme.seen, [Seen::Response(11, ok), Seen::Response(10, ok)]);
    assert_eq!(pair.esme.session.room(), 2);
}

#[test]
fn behind_the_limit_of_unanswered_requests_comes_throttling_and_enquire_link_still_lives() {
    let mut pair = Pair::trx();
    let mut octets = Vec::new();
    for sequence in 1..=4 {
        Pdu {
            status: CommandStatus::ROK,
            sequence,
            operation: Operation::SubmitSm(sm()),
        }
        .encode(&mut octets);
    }
    encode_empty(CommandId::ENQUIRE_LINK, CommandStatus::ROK, 5, &mut octets);
    pair.smsc.take(at(1), &octets);
    assert!(pair.smsc.session.is_saturated());
    assert_eq!(
        pair.smsc.written(),
        [
            (CommandId::SUBMIT_SM_RESP, CommandStatus::RTHROTTLED, 4),
            (CommandId::ENQUIRE_LINK_RESP, CommandStatus::ROK, 5),
        ]
    );
}

#[test]
fn a_place_is_freed_by_an_answer_a_nack_and_the_timer_and_by_nothing_else() {
    let mut pair = Pair::trx();
    let ok = CommandStatus::ROK;
    let fill = |pair: &mut Pair, now| {
        while pair.esme.session.room() > 0 {
            pair.esme.submit(now, 1).unwrap();
        }
        let written = pair.esme.written();
        assert_eq!(pair.esme.submit(now, 9), Err(RequestError::WindowFull(9)));
        assert_eq!(pair.esme.written(), [], "what does not fit leaves no trace");
        written.last().unwrap().2
    };
    let sequence = fill(&mut pair, at(1));
    // enquire_link, its answer and strangers take and free no place.
    pair.esme.hear(at(1), CommandId::ENQUIRE_LINK, ok, 1);
    pair.esme.hear(at(1), CommandId::SUBMIT_SM_RESP, ok, sequence + 1);
    assert_eq!((pair.esme.session.waiting(), pair.esme.session.room()), (2, 0));
    pair.esme.hear(at(2), CommandId::SUBMIT_SM_RESP, ok, sequence);
    assert_eq!(pair.esme.session.room(), 1);
    let sequence = fill(&mut pair, at(2));
    pair.esme
        .hear(at(3), CommandId::GENERIC_NACK, CommandStatus::RINVCMDID, sequence);
    assert_eq!(pair.esme.session.room(), 1);
    fill(&mut pair, at(3));
    pair.esme.time(at(31));
    assert_eq!(pair.esme.session.room(), 1, "the oldest was sent at 1 s");
    fill(&mut pair, at(31));
    pair.esme.session.unbind(at(32), &mut pair.esme.out);
    assert_eq!((pair.esme.written().len(), pair.esme.session.waiting()), (1, 2));
}

#[test]
fn limits_may_change_while_requests_are_under_way() {
    let mut pair = Pair::trx();
    let first = pair.esme.submit(at(1), 1).unwrap();
    pair.esme.session.set_limits(1, 1);
    assert_eq!(pair.esme.submit(at(1), 2), Err(RequestError::WindowFull(2)));
    pair.esme.session.set_limits(0, 1);
    pair.esme
        .hear(at(1), CommandId::SUBMIT_SM_RESP, CommandStatus::ROK, first);
    assert_eq!(pair.esme.session.room(), 1, "a window of none would be no link");
    pair.esme.session.set_limits(1_000, 1);
    for ticket in 0..1_000 {
        pair.esme.submit(at(1), ticket).unwrap();
    }
    assert_eq!(
        pair.esme.submit(at(1), 1_000),
        Err(RequestError::WindowFull(1_000))
    );
    // What came before a limit was lowered is still answered.
    pair.smsc.hear(at(1), CommandId::SUBMIT_SM, CommandStatus::ROK, 5);
    pair.smsc.hear(at(1), CommandId::SUBMIT_SM, CommandStatus::ROK, 6);
    pair.smsc.session.set_limits(2, 1);
    pair.smsc.hear(at(1), CommandId::SUBMIT_SM, CommandStatus::ROK, 7);
    let throttled = (CommandId::SUBMIT_SM_RESP, CommandStatus::RTHROTTLED, 7);
    assert_eq!(pair.smsc.written(), [throttled]);
    pair.smsc.answer(CommandId::SUBMIT_SM_RESP, 5);
    pair.smsc.answer(CommandId::SUBMIT_SM_RESP, 6);
    assert_eq!(pair.smsc.written().len(), 2);
    assert!(!pair.smsc.session.is_saturated());
}

#[test]
fn each_role_says_later_in_its_own_word() {
    let mut pair = Pair::trx();
    for sequence in 1..=4 {
        pair.esme
            .hear(at(1), CommandId::DELIVER_SM, CommandStatus::ROK, sequence);
    }
    let later = (CommandId::DELIVER_SM_RESP, CommandStatus::RX_T_APPN, 4);
    assert_eq!(pair.esme.written(), [later]);
    pair.esme
        .hear(at(1), CommandId::ALERT_NOTIFICATION, CommandStatus::ROK, 5);
    let told = Some(&Seen::Notified(CommandId::ALERT_NOTIFICATION));
    assert_eq!(pair.esme.seen.last(), told, "what nobody answers takes no place");
}

#[test]
fn what_a_peer_says_of_its_load_is_read_from_any_response() {
    let mut pair = Pair::trx();
    assert_eq!(pair.esme.session.congestion(), None);
    let mut say = |second, command, sequence, body: &[u8], state: &[u8]| {
        let mut octets = Vec::new();
        encode(command, CommandStatus::ROK, sequence, &mut octets, |out| {
            out.extend_from_slice(body);
            assert!(tlv::append(out, Tag::CONGESTION_STATE, state));
        });
        pair.esme.take(at(second), &octets);
        let said = pair.esme.session.congestion();
        said.map(|Congestion { state, said }| (state, said))
    };
    // Of those that are the session's own business nobody else sees it.
    let enquired = CommandId::ENQUIRE_LINK_RESP;
    assert_eq!(say(1, enquired, 9, b"", &[85]), Some((85, at(1))));
    assert_eq!(
        say(2, CommandId::SUBMIT_SM_RESP, 9, b"id\0", &[100]),
        Some((100, at(2)))
    );
    assert_eq!(say(3, CommandId::GENERIC_NACK, 9, b"", &[0]), Some((0, at(3))));
    // Reserved values, wrong lengths and requests say nothing.
    assert_eq!(say(4, enquired, 9, b"", &[101]), Some((0, at(3))));
    assert_eq!(say(5, enquired, 9, b"", &[0, 90]), Some((0, at(3))));
    assert_eq!(say(6, CommandId::ENQUIRE_LINK, 9, b"", &[90]), Some((0, at(3))));
}

#[test]
fn rules_with_a_window_of_none_have_one_place() {
    let none = Rules { window: 0, ..rules() };
    assert_eq!(Session::<u32>::new(Role::Esme, none, at(0)).room(), 0, "unbound");
    let mut smsc = End::with(Session::new(Role::Smsc, none, at(0)));
    smsc.hear(at(0), CommandId::BIND_TRANSCEIVER, CommandStatus::ROK, 1);
    smsc.accept(at(0));
    assert_eq!(smsc.session.room(), 1);
    smsc.deliver(at(1), 1).unwrap();
    assert_eq!(smsc.deliver(at(1), 2), Err(RequestError::WindowFull(2)));
}

#[test]
fn an_answer_that_comes_too_late_for_the_session_is_not_written() {
    let mut pair = Pair::trx();
    pair.smsc.hear(at(1), CommandId::SUBMIT_SM, CommandStatus::ROK, 5);
    assert_eq!(pair.smsc.session.drain().count(), 0);
    pair.smsc.written();
    pair.smsc.answer(CommandId::SUBMIT_SM_RESP, 5);
    assert_eq!((pair.smsc.written(), pair.smsc.session.unanswered()), (vec![], 0));
}
