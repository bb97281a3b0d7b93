//! Every timer fires when it is due, once, and not before.

use std::time::Duration;

use tidegate_codec::header::CommandId;
use tidegate_codec::pdu::encode_empty;
use tidegate_codec::session::{CloseReason, Monotonic, Role, Rules, Session, State, Timing};
use tidegate_codec::status::CommandStatus;
use tidegate_codec::values::{BindKind, InterfaceVersion};

use crate::ends::{End, Pair, Seen, at, bind, rules, timing};

#[test]
fn timers_may_change_while_they_run() {
    let mut pair = Pair::trx();
    pair.esme.submit(at(1), 7).unwrap();
    let slow = Timing {
        response: Duration::from_secs(100),
        enquire_link: Duration::from_secs(200),
        ..timing()
    };
    pair.esme.session.set_timing(slow);
    assert_eq!(pair.esme.session.poll_timeout(), Some(at(101)));
    pair.esme.time(at(100));
    assert_eq!(pair.esme.session.waiting(), 1);
    let quick = Timing {
        response: Duration::from_secs(10),
        ..slow
    };
    pair.esme.session.set_timing(quick);
    pair.esme.time(at(100));
    assert_eq!(
        pair.esme.session.waiting(),
        0,
        "it has lasted too long by the new rule"
    );
}

#[test]
fn silence_is_asked_about_and_closed_after_two_misses() {
    let mut pair = Pair::trx();
    pair.smsc.time(at(30));
    assert_eq!(
        pair.smsc.written(),
        [(CommandId::ENQUIRE_LINK, CommandStatus::ROK, 1)]
    );
    pair.smsc.time(at(40));
    assert_eq!(pair.smsc.written().len(), 1, "asked a second time");
    pair.smsc.time(at(50));
    assert_eq!(pair.smsc.seen, [Seen::Close(CloseReason::EnquireLink)]);
    assert_eq!(pair.smsc.session.poll_timeout(), None);
}

#[test]
fn any_pdu_is_life_even_an_enquire_link_resp_with_a_number_of_its_own() {
    let mut pair = Pair::trx();
    pair.smsc.time(at(30));
    pair.smsc.out.clear();
    let mut octets = Vec::new();
    encode_empty(CommandId::ENQUIRE_LINK_RESP, CommandStatus::ROK, 999, &mut octets);
    pair.smsc.take(at(39), &octets);
    pair.smsc.time(at(50));
    assert_eq!(pair.smsc.seen, []);
    assert_eq!(pair.smsc.session.poll_timeout(), Some(at(69)));
}

#[test]
fn a_link_without_messages_unbinds_although_enquire_link_keeps_it_warm() {
    let mut pair = Pair::trx();
    for second in 1..=300 {
        pair.smsc.time(at(second));
        pair.esme.time(at(second));
        pair.settle(at(second));
    }
    assert!(
        pair.smsc.seen.contains(&Seen::Close(CloseReason::Unbound))
            || pair.esme.seen.contains(&Seen::Close(CloseReason::Unbound))
    );
}

#[test]
fn a_pdu_begun_and_not_finished_closes_the_link() {
    let mut pair = Pair::trx();
    pair.smsc.session.set_partial(at(2), true);
    pair.smsc.session.set_partial(at(8), true);
    assert_eq!(
        pair.smsc.session.poll_timeout(),
        Some(at(12)),
        "counted from its first octet"
    );
    pair.smsc.time(at(12));
    assert_eq!(pair.smsc.seen, [Seen::Close(CloseReason::PduRead)]);
}

/// A PDU begun before the bind, where session_init would come later.
#[test]
fn a_stranger_that_begins_a_pdu_has_no_longer_for_it_than_anybody() {
    let timing = Timing {
        session_init: Duration::from_secs(60),
        ..Timing::default()
    };
    for role in [Role::Smsc, Role::Esme] {
        let mut end = End::with(Session::new(role, Rules { timing, ..rules() }, at(0)));
        end.session.set_partial(at(3), true);
        assert_due(&mut end, 13, &[Seen::Close(CloseReason::PduRead)], &[]);
    }
}

/// What its owner cannot read yet is a sign of life: no enquire_link, no miss, no end.
#[test]
fn a_peer_whose_octets_lie_unread_is_not_taken_for_dead() {
    let mut smsc = Pair::trx().smsc;
    smsc.session.set_heard(at(20));
    assert_due(&mut smsc, 50, &[], &[CommandId::ENQUIRE_LINK]);
    smsc.session.set_heard(at(55));
    assert_eq!(smsc.session.poll_timeout(), Some(at(85)), "as good as an answer");
    assert_due(&mut smsc, 85, &[], &[CommandId::ENQUIRE_LINK]);
    assert_due(&mut smsc, 95, &[], &[CommandId::ENQUIRE_LINK]);
    // Misses begin anew with it.
    smsc.session.set_heard(at(100));
    assert_due(&mut smsc, 130, &[], &[CommandId::ENQUIRE_LINK]);
    assert_due(&mut smsc, 140, &[], &[CommandId::ENQUIRE_LINK]);
}

/// Just before a second.
fn before(seconds: u64) -> Monotonic {
    Monotonic(Duration::from_secs(seconds) - Duration::from_nanos(1))
}

/// Nothing is due a moment before `seconds`; then what `due` names, once.
#[track_caller]
fn assert_due(end: &mut End, seconds: u64, due: &[Seen], written: &[CommandId]) {
    assert_eq!(end.session.poll_timeout(), Some(at(seconds)));
    end.time(before(seconds));
    assert_eq!((end.news(), end.written()), (vec![], vec![]), "too early");
    end.time(at(seconds));
    assert_eq!(end.news(), due);
    let said: Vec<CommandId> = end.written().iter().map(|(id, ..)| *id).collect();
    assert_eq!(said, written);
    end.time(at(seconds));
    assert_eq!((end.news(), end.written()), (vec![], vec![]), "twice");
    assert!(end.session.poll_timeout() > Some(at(seconds)) || end.session.state() == State::Closed);
}

#[test]
fn session_init_ends_who_never_binds_whatever_else_it_says() {
    for mut end in [
        End::new(Role::Smsc),
        End::new(Role::Esme),
        End::with(Session::await_outbind(rules(), at(0))),
    ] {
        end.hear(at(4), CommandId::ENQUIRE_LINK, CommandStatus::ROK, 1);
        end.written();
        assert_due(&mut end, 5, &[Seen::Close(CloseReason::SessionInit)], &[]);
    }
    let mut smsc = End::new(Role::Smsc);
    smsc.hear(at(4), CommandId::BIND_TRANSCEIVER, CommandStatus::ROK, 1);
    assert_eq!(smsc.news(), [Seen::BindRequested(BindKind::Transceiver)]);
    // Its check has a time of its own, and it is told when nobody had any.
    smsc.time(at(9));
    assert_eq!(
        smsc.written(),
        [(CommandId::BIND_TRANSCEIVER_RESP, CommandStatus::RSYSERR, 1)]
    );
    assert_eq!(smsc.news(), [Seen::Close(CloseReason::SessionInit)]);
    // An owner that says yes too late says it to nobody.
    smsc.accept(at(10));
    assert_eq!((smsc.written(), smsc.session.state()), (vec![], State::Closed));
}

#[test]
fn an_esme_waits_for_the_answer_to_its_bind_from_the_bind_on() {
    let mut pair = Pair::new();
    let asked = bind(InterfaceVersion::V3_4);
    pair.esme
        .session
        .bind(at(4), BindKind::Receiver, &asked, &mut pair.esme.out);
    pair.esme.written();
    assert_due(&mut pair.esme, 9, &[Seen::Close(CloseReason::SessionInit)], &[]);
}

#[test]
fn a_bound_session_is_not_held_to_session_init() {
    let mut pair = Pair::trx();
    pair.smsc.time(at(29));
    pair.esme.time(at(29));
    assert_eq!((pair.smsc.news(), pair.esme.news()), (vec![], vec![]));
    assert_eq!(pair.smsc.session.poll_timeout(), Some(at(30)));
}

#[test]
fn enquire_link_is_due_after_silence_and_each_pdu_puts_it_off() {
    let mut pair = Pair::trx();
    pair.smsc
        .hear(at(10), CommandId(0x8000_0100), CommandStatus::ROK, 1);
    pair.smsc.news();
    // What we say ourselves is no sign of the peer.
    pair.smsc.deliver(at(39), 1).unwrap();
    pair.smsc.written();
    assert_due(&mut pair.smsc, 40, &[], &[CommandId::ENQUIRE_LINK]);
    // A PDU of the same moment came behind the question, so it is life.
    pair.smsc
        .hear(at(40), CommandId::ENQUIRE_LINK, CommandStatus::ROK, 2);
    pair.smsc.written();
    pair.smsc
        .hear(at(60), CommandId::ENQUIRE_LINK_RESP, CommandStatus::ROK, 2);
    // The delivery of 39 s is due before the silence of 60 s.
    assert_due(&mut pair.smsc, 69, &[Seen::Expired(1)], &[]);
    assert_due(&mut pair.smsc, 90, &[], &[CommandId::ENQUIRE_LINK]);
}

#[test]
fn misses_in_a_row_close_and_a_sign_of_life_forgives_them() {
    let mut pair = Pair::trx();
    assert_due(&mut pair.smsc, 30, &[], &[CommandId::ENQUIRE_LINK]);
    assert_due(&mut pair.smsc, 40, &[], &[CommandId::ENQUIRE_LINK]);
    pair.smsc
        .hear(at(49), CommandId(0x8000_0100), CommandStatus::ROK, 1);
    pair.smsc.news();
    assert_due(&mut pair.smsc, 79, &[], &[CommandId::ENQUIRE_LINK]);
    assert_due(&mut pair.smsc, 89, &[], &[CommandId::ENQUIRE_LINK]);
    assert_due(&mut pair.smsc, 99, &[Seen::Close(CloseReason::EnquireLink)], &[]);
}

#[test]
fn a_clock_that_jumps_asks_first_and_closes_later() {
    let mut pair = Pair::trx();
    pair.smsc.time(at(10_000));
    assert_eq!(pair.smsc.news(), []);
    let said = pair.smsc.written();
    assert!(said.iter().all(|(id, ..)| !id.is_response()) && !said.is_empty());
    assert!(pair.smsc.session.poll_timeout() > Some(at(10_000)));
}

#[test]
fn each_request_has_a_response_timer_of_its_own() {
    let mut pair = Pair::trx();
    pair.esme.submit(at(1), 10).unwrap();
    let second = pair.esme.submit(at(3), 11).unwrap();
    pair.esme
        .hear(at(20), CommandId::ENQUIRE_LINK_RESP, CommandStatus::ROK, 0);
    pair.esme.written();
    assert_eq!(pair.esme.session.waiting_since(), Some(at(1)));
    assert_due(&mut pair.esme, 31, &[Seen::Expired(10)], &[]);
    let third = pair.esme.submit(at(32), 12).unwrap();
    pair.esme
        .hear(at(32), CommandId::SUBMIT_SM_RESP, CommandStatus::ROK, second);
    pair.esme.news();
    pair.esme.written();
    assert_eq!(pair.esme.session.waiting_since(), Some(at(32)));
    assert_due(
        &mut pair.esme,
        62,
        &[Seen::Expired(12)],
        &[CommandId::ENQUIRE_LINK],
    );
    pair.esme
        .hear(at(63), CommandId::SUBMIT_SM_RESP, CommandStatus::ROK, third);
    assert_eq!(pair.esme.news(), [Seen::Unexpected]);
    assert_eq!(pair.esme.session.waiting_since(), None);
}

/// Rules with an inactivity timer that comes before every other.
fn restless() -> Pair {
    let mut pair = Pair::new();
    let timing = Timing {
        inactivity: Duration::from_secs(20),
        ..Timing::default()
    };
    let rules = Rules { timing, ..rules() };
    pair.smsc = End::with(Session::new(Role::Smsc, rules, at(0)));
    pair.smsc
        .hear(at(0), CommandId::BIND_TRANSCEIVER, CommandStatus::ROK, 1);
    pair.smsc.accept(at(0));
    pair.smsc.news();
    pair.smsc.written();
    pair
}

#[test]
fn inactivity_unbinds_once_and_only_messages_put_it_off() {
    let mut smsc = restless().smsc;
    smsc.hear(at(5), CommandId::ENQUIRE_LINK, CommandStatus::ROK, 1);
    smsc.hear(at(5), CommandId::SUBMIT_SM_RESP, CommandStatus::ROK, 1);
    smsc.news();
    smsc.written();
    assert_due(&mut smsc, 20, &[], &[CommandId::UNBIND]);
    assert_due(&mut smsc, 25, &[Seen::Close(CloseReason::UnbindWait)], &[]);

    // A message from the peer, one of ours, and its answer.
    let mut smsc = restless().smsc;
    smsc.hear(at(5), CommandId::SUBMIT_SM, CommandStatus::ROK, 1);
    assert_eq!(
        smsc.session.poll_timeout(),
        Some(at(35)),
        "while it is under way, for life only"
    );
    smsc.answer(CommandId::SUBMIT_SM_RESP, 1);
    assert_eq!(smsc.session.poll_timeout(), Some(at(25)));
    let sequence = smsc.deliver(at(8), 1).unwrap();
    assert_eq!(smsc.session.poll_timeout(), Some(at(35)));
    smsc.hear(at(10), CommandId::DELIVER_SM_RESP, CommandStatus::ROK, sequence);
    smsc.news();
    smsc.written();
    assert_due(&mut smsc, 30, &[], &[CommandId::UNBIND]);

    // That nothing came is no activity.
    let mut smsc = restless().smsc;
    smsc.deliver(at(5), 1).unwrap();
    smsc.deliver(at(15), 2).unwrap();
    smsc.written();
    assert_due(&mut smsc, 30, &[], &[CommandId::ENQUIRE_LINK]);
    smsc.hear(at(34), CommandId::ENQUIRE_LINK_RESP, CommandStatus::ROK, 4);
    assert_due(&mut smsc, 35, &[Seen::Expired(1)], &[]);
    assert_due(&mut smsc, 45, &[Seen::Expired(2)], &[CommandId::UNBIND]);

    // It is counted from the bind, on either side of it.
    let timing = Timing {
        inactivity: Duration::from_secs(20),
        ..Timing::default()
    };
    let restless = Rules { timing, ..rules() };
    let mut smsc = End::with(Session::new(Role::Smsc, restless, at(0)));
    smsc.hear(at(2), CommandId::BIND_TRANSCEIVER, CommandStatus::ROK, 1);
    smsc.accept(at(4));
    assert_eq!(smsc.session.poll_timeout(), Some(at(24)));
    let mut esme = End::with(Session::new(Role::Esme, restless, at(0)));
    let asked = bind(InterfaceVersion::V3_4);
    esme.session
        .bind(at(2), BindKind::Transceiver, &asked, &mut esme.out);
    esme.hear(at(4), CommandId::BIND_TRANSCEIVER_RESP, CommandStatus::ROK, 1);
    assert_eq!(esme.session.poll_timeout(), Some(at(24)));

    // Off unless asked for.
    let off = Rules {
        timing: Timing::default(),
        ..rules()
    };
    let mut smsc = End::with(Session::new(Role::Smsc, off, at(0)));
    smsc.hear(at(0), CommandId::BIND_TRANSCEIVER, CommandStatus::ROK, 1);
    smsc.accept(at(0));
    for second in 1..100_000 {
        smsc.hear(at(second), CommandId::ENQUIRE_LINK_RESP, CommandStatus::ROK, 1);
        assert_eq!(smsc.session.poll_timeout(), Some(at(second + 30)));
    }
}

#[test]
fn a_slow_sender_is_held_to_each_pdu_and_not_to_the_link() {
    let mut pair = Pair::trx();
    for second in 1..=9 {
        pair.smsc.session.set_partial(at(second), true);
    }
    // The first is whole, the next has begun: its time is its own.
    pair.smsc.session.set_partial(at(10), false);
    pair.smsc.session.set_partial(at(10), true);
    pair.smsc.time(at(19));
    pair.smsc.session.set_partial(at(19), false);
    pair.smsc.time(at(29));
    assert_eq!(pair.smsc.news(), []);
    pair.smsc.session.set_partial(at(29), true);
    pair.smsc.time(at(30));
    pair.smsc.written();
    pair.smsc
        .hear(at(30), CommandId::ENQUIRE_LINK_RESP, CommandStatus::ROK, 1);
    assert_due(&mut pair.smsc, 39, &[Seen::Close(CloseReason::PduRead)], &[]);
    // Before a bind as well, and in an unbind.
    let mut smsc = End::new(Role::Smsc);
    smsc.session.set_partial(at(0), true);
    assert_due(&mut smsc, 5, &[Seen::Close(CloseReason::SessionInit)], &[]);
    let mut pair = Pair::trx();
    pair.smsc.session.set_partial(at(1), true);
    pair.smsc.session.unbind(at(8), &mut pair.smsc.out);
    pair.smsc.written();
    assert_due(&mut pair.smsc, 11, &[Seen::Close(CloseReason::PduRead)], &[]);
}

#[test]
fn unbind_wait_ends_a_peer_that_does_not_answer_and_one_that_does_not_close() {
    let mut pair = Pair::trx();
    pair.smsc.session.unbind(at(3), &mut pair.smsc.out);
    pair.smsc.session.unbind(at(4), &mut pair.smsc.out);
    assert_eq!(pair.smsc.written().len(), 1, "asked once");
    assert_due(&mut pair.smsc, 8, &[Seen::Close(CloseReason::UnbindWait)], &[]);
    pair.esme.hear(at(3), CommandId::UNBIND, CommandStatus::ROK, 1);
    pair.esme.news();
    pair.esme.written();
    assert_due(&mut pair.esme, 8, &[Seen::Close(CloseReason::Unbound)], &[]);
}
