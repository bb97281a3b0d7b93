//! The end in good order, from either side and from both at once (smpp-session.md §9).

use std::time::Duration;

use tidegate_codec::frame::FrameError;
use tidegate_codec::header::CommandId;
use tidegate_codec::session::{CloseReason, Event, Monotonic, RequestError};
use tidegate_codec::status::CommandStatus;

use crate::ends::{Pair, Seen, at};

#[test]
fn unbind_waits_for_the_answers_that_are_owed() {
    let mut pair = Pair::trx();
    let sequence = pair.esme.submit(at(1), 10).unwrap();
    pair.esme.session.unbind(at(1), &mut pair.esme.out);
    assert_eq!(pair.esme.submit(at(1), 11), Err(RequestError::NotBound(11)));
    pair.settle(at(1));
    assert_eq!(pair.smsc.seen, [Seen::Request(sequence), Seen::PeerUnbound]);
    assert_eq!(pair.esme.seen, [], "unbind_resp comes behind the answer");
    pair.smsc.session.respond(
        CommandId::SUBMIT_SM_RESP,
        sequence,
        CommandStatus::ROK,
        &mut pair.smsc.out,
        |out| out.extend_from_slice(b"id\0"),
    );
    pair.settle(at(2));
    assert_eq!(
        pair.esme.seen,
        [
            Seen::Response(10, CommandStatus::ROK),
            Seen::Close(CloseReason::Unbound)
        ]
    );
    pair.smsc.time(at(6));
    assert_eq!(pair.smsc.seen.last(), Some(&Seen::Close(CloseReason::Unbound)));
}

#[test]
fn both_sides_may_unbind_at_once_and_a_deaf_peer_is_left() {
    let mut pair = Pair::trx();
    pair.esme.session.unbind(at(1), &mut pair.esme.out);
    pair.smsc.session.unbind(at(1), &mut pair.smsc.out);
    pair.settle(at(1));
    for end in [&pair.esme, &pair.smsc] {
        assert_eq!(end.seen, [Seen::PeerUnbound, Seen::Close(CloseReason::Unbound)]);
    }
    let mut alone = Pair::trx();
    alone.smsc.session.unbind(at(1), &mut alone.smsc.out);
    alone.smsc.time(at(6));
    assert_eq!(alone.smsc.seen, [Seen::Close(CloseReason::UnbindWait)]);
}

#[test]
fn our_unbind_is_over_only_when_what_we_owe_is_said() {
    let mut pair = Pair::trx();
    let sequence = pair.esme.submit(at(1), 10).unwrap();
    pair.settle(at(1));
    pair.smsc.session.unbind(at(1), &mut pair.smsc.out);
    pair.settle(at(1));
    assert_eq!(
        pair.smsc.news(),
        [Seen::Request(sequence)],
        "answered, and one answer is owed"
    );
    assert_eq!(pair.smsc.session.poll_timeout(), Some(at(6)));
    pair.smsc.answer(CommandId::SUBMIT_SM_RESP, sequence);
    pair.smsc.time(at(2));
    assert_eq!(pair.smsc.news(), [Seen::Close(CloseReason::Unbound)]);
    pair.settle(at(2));
    let ok = CommandStatus::ROK;
    assert_eq!(pair.esme.news(), [Seen::PeerUnbound, Seen::Response(10, ok)]);

    // What is never answered ends by the timer, and says that something was left.
    let mut pair = Pair::trx();
    pair.esme.submit(at(1), 10).unwrap();
    pair.settle(at(1));
    pair.smsc.session.unbind(at(1), &mut pair.smsc.out);
    pair.settle(at(1));
    pair.smsc.time(Monotonic(Duration::from_millis(5_999)));
    assert_eq!(pair.smsc.news(), [Seen::Request(sequence)]);
    pair.smsc.time(at(6));
    assert_eq!(pair.smsc.news(), [Seen::Close(CloseReason::UnbindWait)]);
}

#[test]
fn crossing_unbinds_are_each_answered_behind_what_is_owed() {
    let mut pair = Pair::trx();
    let ours = pair.esme.submit(at(1), 10).unwrap();
    let theirs = pair.smsc.deliver(at(1), 20).unwrap();
    pair.settle(at(1));
    pair.esme.session.unbind(at(2), &mut pair.esme.out);
    pair.smsc.session.unbind(at(2), &mut pair.smsc.out);
    pair.settle(at(2));
    assert_eq!(pair.esme.news(), [Seen::Request(theirs), Seen::PeerUnbound]);
    assert_eq!(pair.smsc.news(), [Seen::Request(ours), Seen::PeerUnbound]);
    pair.smsc.answer(CommandId::SUBMIT_SM_RESP, ours);
    pair.settle(at(3));
    let ok = CommandStatus::ROK;
    assert_eq!(
        pair.esme.news(),
        [Seen::Response(10, ok)],
        "its unbind is answered, and it still owes one"
    );
    pair.esme.answer(CommandId::DELIVER_SM_RESP, theirs);
    assert_eq!(
        pair.esme.written(),
        [
            (CommandId::DELIVER_SM_RESP, ok, theirs),
            (CommandId::UNBIND_RESP, ok, 2)
        ]
    );
    pair.esme.time(at(3));
    assert_eq!(pair.esme.news(), [Seen::Close(CloseReason::Unbound)]);
    // Those two were looked at above and never arrived: the timer is the end.
    pair.smsc.time(at(7));
    assert_eq!(pair.smsc.news(), [Seen::Close(CloseReason::Unbound)]);
    assert_eq!(pair.smsc.session.drain().collect::<Vec<_>>(), [20]);
}

#[test]
fn a_peer_that_said_unbind_is_answered_once_and_asked_nothing() {
    for owes in [false, true] {
        let mut pair = Pair::trx();
        let sequence = pair.esme.submit(at(1), 10).unwrap();
        pair.settle(at(1));
        if !owes {
            pair.smsc.answer(CommandId::SUBMIT_SM_RESP, sequence);
        }
        pair.smsc.written();
        for number in [50, 51] {
            pair.smsc
                .hear(at(2), CommandId::UNBIND, CommandStatus::ROK, number);
        }
        pair.smsc
            .hear(at(2), CommandId::SUBMIT_SM, CommandStatus::ROK, 52);
        pair.smsc
            .hear(at(2), CommandId::ENQUIRE_LINK, CommandStatus::ROK, 53);
        let late = CommandStatus::RINVBNDSTS;
        let mut expected = vec![
            (CommandId::UNBIND_RESP, late, 51),
            (CommandId::SUBMIT_SM_RESP, late, 52),
            (CommandId::ENQUIRE_LINK_RESP, CommandStatus::ROK, 53),
        ];
        let answer = (CommandId::UNBIND_RESP, CommandStatus::ROK, 50);
        if owes {
            assert_eq!(pair.smsc.written(), expected);
            pair.smsc.answer(CommandId::SUBMIT_SM_RESP, sequence);
            let ok = (CommandId::SUBMIT_SM_RESP, CommandStatus::ROK, sequence);
            assert_eq!(
                pair.smsc.written(),
                [ok, answer],
                "once, and behind what was owed"
            );
        } else {
            expected.insert(0, answer);
            assert_eq!(pair.smsc.written(), expected);
        }
        assert_eq!(pair.smsc.deliver(at(2), 1), Err(RequestError::NotBound(1)));
        assert_eq!(pair.smsc.session.room(), 0);
        // It has a moment to close the connection itself; repeating itself gains it no time.
        assert_eq!(pair.smsc.session.poll_timeout(), Some(at(7)));
    }
}

#[test]
fn a_peer_that_we_asked_may_finish_what_it_is_at() {
    let mut pair = Pair::trx();
    pair.smsc.session.unbind(at(1), &mut pair.smsc.out);
    let sequence = pair.esme.submit(at(1), 10).unwrap();
    let octets = std::mem::take(&mut pair.esme.out);
    pair.smsc.take(at(1), &octets);
    assert_eq!(pair.smsc.news(), [Seen::Request(sequence)]);
    pair.smsc.answer(CommandId::SUBMIT_SM_RESP, sequence);
    pair.settle(at(2));
    let ok = CommandStatus::ROK;
    assert_eq!(pair.esme.news(), [Seen::PeerUnbound, Seen::Response(10, ok)]);
    assert_eq!(pair.smsc.news(), [Seen::Close(CloseReason::Unbound)]);
}

#[test]
fn a_peer_that_does_not_know_unbind_is_left_as_well() {
    let mut pair = Pair::trx();
    pair.smsc.session.unbind(at(1), &mut pair.smsc.out);
    let sequence = pair.smsc.written()[0].2;
    let nack = CommandId::GENERIC_NACK;
    pair.smsc
        .hear(at(1), CommandId::UNBIND_RESP, CommandStatus::ROK, sequence + 1);
    assert_eq!(pair.smsc.news(), [Seen::Unexpected]);
    pair.smsc.hear(at(1), nack, CommandStatus::RINVCMDID, sequence);
    assert_eq!(pair.smsc.news(), [Seen::Close(CloseReason::Unbound)]);
}

/// Peers that answer an unbind at once and what they owe a moment later (smpp-session.md §9.1).
#[test]
fn answers_right_behind_the_answer_to_our_unbind_are_still_taken() {
    for owes in [false, true] {
        let mut pair = Pair::trx();
        let first = pair.esme.submit(at(1), 10).unwrap();
        let second = pair.esme.submit(at(1), 11).unwrap();
        let ok = CommandStatus::ROK;
        if owes {
            pair.esme.hear(at(1), CommandId::DELIVER_SM, ok, 70);
        }
        pair.esme.session.unbind(at(1), &mut pair.esme.out);
        let unbind = pair.esme.written()[2].2;
        pair.esme.news();
        pair.esme.hear(at(2), CommandId::UNBIND_RESP, ok, unbind);
        pair.esme.hear(at(2), CommandId::SUBMIT_SM_RESP, ok, second);
        pair.esme.time(at(2));
        assert_eq!(pair.esme.news(), [Seen::Response(11, ok)], "one more is to come");
        assert_eq!(
            pair.esme.session.poll_timeout(),
            Some(at(6)),
            "bounded all the same"
        );
        pair.esme.hear(at(3), CommandId::SUBMIT_SM_RESP, ok, first);
        assert_eq!(pair.esme.news(), [Seen::Response(10, ok)]);
        if owes {
            pair.esme.time(at(3));
            assert_eq!(pair.esme.news(), [], "and one is owed");
            pair.esme.answer(CommandId::DELIVER_SM_RESP, 70);
        }
        pair.esme.time(at(3));
        assert_eq!(pair.esme.news(), [Seen::Close(CloseReason::Unbound)]);
    }
}

/// The last answer may be that none came.
#[test]
fn a_request_that_runs_out_is_the_last_thing_our_unbind_waits_for() {
    let mut pair = Pair::trx();
    pair.esme.submit(at(1), 10).unwrap();
    pair.esme.time(at(30));
    pair.esme.session.unbind(at(30), &mut pair.esme.out);
    let unbind = pair.esme.written()[2].2;
    pair.esme
        .hear(at(30), CommandId::UNBIND_RESP, CommandStatus::ROK, unbind);
    pair.esme.time(at(31));
    let over = Seen::Close(CloseReason::Unbound);
    assert_eq!(pair.esme.news(), [Seen::Expired(10), over]);
}

#[test]
fn answers_behind_the_answer_to_our_unbind_are_read_and_what_has_none_comes_back() {
    let mut pair = Pair::trx();
    let first = pair.esme.submit(at(1), 10).unwrap();
    pair.esme.submit(at(1), 11).unwrap();
    pair.esme.session.unbind(at(1), &mut pair.esme.out);
    let unbind = pair.esme.written()[2].2;
    let ok = CommandStatus::ROK;
    pair.esme.hear(at(2), CommandId::UNBIND_RESP, ok, unbind);
    assert_eq!(pair.esme.news(), [], "two answers are still to come");
    pair.esme.hear(at(2), CommandId::SUBMIT_SM_RESP, ok, first);
    assert_eq!(pair.esme.news(), [Seen::Response(10, ok)]);
    assert_eq!(pair.esme.session.poll_timeout(), Some(at(6)));
    pair.esme.time(at(6));
    assert_eq!(pair.esme.news(), [Seen::Close(CloseReason::Unbound)]);
    assert_eq!(pair.esme.session.drain().collect::<Vec<_>>(), [11]);
    // With the last answer it is over at once.
    let mut quick = Pair::trx();
    let only = quick.esme.submit(at(1), 10).unwrap();
    quick.esme.session.unbind(at(1), &mut quick.esme.out);
    let unbind = quick.esme.written()[1].2;
    quick.esme.hear(at(2), CommandId::UNBIND_RESP, ok, unbind);
    quick.esme.hear(at(3), CommandId::SUBMIT_SM_RESP, ok, only);
    quick.esme.time(at(3));
    let over = [Seen::Response(10, ok), Seen::Close(CloseReason::Unbound)];
    assert_eq!(quick.esme.news(), over);
    // Closed is closed: nothing is read, written or due any more.
    let fault = pair.esme.session.handle_broken(
        FrameError {
            length: 1,
            max: 2,
            sequence: 3,
        },
        &mut pair.esme.out,
    );
    assert_eq!(fault, Event::None);
    pair.esme
        .hear(at(3), CommandId::ENQUIRE_LINK, CommandStatus::ROK, 1);
    pair.esme.time(at(1_000));
    pair.esme.session.unbind(at(1_000), &mut pair.esme.out);
    assert_eq!((pair.esme.written(), pair.esme.news()), (vec![], vec![]));
    assert_eq!(pair.esme.session.poll_timeout(), None);
}
