//! outbind, both ways (smpp-session.md §8).

use tidegate_codec::header::CommandId;
use tidegate_codec::session::{CloseReason, Role, Session, State};
use tidegate_codec::status::CommandStatus;
use tidegate_codec::values::{BindKind, InterfaceVersion};

use crate::bodies::body_of;
use crate::ends::{End, Pair, Seen, at, bind, rules};

fn outbound() -> Pair {
    let mut pair = Pair {
        esme: End::with(Session::await_outbind(rules(), at(0))),
        smsc: End::new(Role::Smsc),
    };
    let sent = pair.smsc.session.outbind(&mut pair.smsc.out, |out| {
        out.extend_from_slice(&body_of(CommandId::OUTBIND));
    });
    assert!(sent);
    pair.settle(at(1));
    assert_eq!(pair.esme.news(), [Seen::Outbind]);
    assert_eq!(
        (pair.esme.session.state(), pair.smsc.session.state()),
        (State::Outbound, State::Outbound)
    );
    pair
}

#[test]
fn an_outbind_leads_to_a_bind_on_the_same_connection() {
    for kind in [BindKind::Receiver, BindKind::Transmitter, BindKind::Transceiver] {
        let mut pair = outbound();
        let asked = bind(InterfaceVersion::V5_0);
        pair.esme.session.bind(at(2), kind, &asked, &mut pair.esme.out);
        pair.settle(at(2));
        assert_eq!(pair.smsc.news(), [Seen::BindRequested(kind)]);
        pair.smsc.accept(at(2));
        pair.settle(at(2));
        assert_eq!(pair.esme.news(), [Seen::Bound(InterfaceVersion::V5_0)]);
        for end in [&pair.esme, &pair.smsc] {
            assert_eq!(end.session.state(), State::Bound(kind));
        }
    }
}

#[test]
fn a_refused_bind_may_be_tried_again_and_a_second_outbind_changes_nothing() {
    let mut pair = outbound();
    let asked = bind(InterfaceVersion::V5_0);
    assert!(
        !pair.esme.session.may_send(CommandId::BIND_TRANSCEIVER),
        "3.4 asks for a receiver"
    );
    pair.esme
        .session
        .bind(at(2), BindKind::Receiver, &asked, &mut pair.esme.out);
    pair.settle(at(2));
    pair.smsc
        .session
        .refuse_bind(CommandStatus::RBINDFAIL, &mut pair.smsc.out);
    pair.settle(at(2));
    assert_eq!(pair.esme.news(), [Seen::BindRefused(CommandStatus::RBINDFAIL)]);
    assert_eq!(
        (pair.esme.session.state(), pair.smsc.session.state()),
        (State::Outbound, State::Outbound)
    );
    assert!(
        pair.esme.session.may_send(CommandId::BIND_TRANSCEIVER),
        "it speaks 5.0"
    );
    assert!(!pair.smsc.session.outbind(&mut pair.smsc.out, |_| {}));
    pair.esme.hear(at(3), CommandId::OUTBIND, CommandStatus::ROK, 9);
    assert_eq!(pair.esme.news(), [Seen::Dropped(CommandId::OUTBIND)]);
    assert_eq!((pair.esme.written(), pair.smsc.written()), (vec![], vec![]));
}

#[test]
fn nobody_waits_for_ever_for_an_outbind_or_for_the_bind_behind_it() {
    let mut esme = End::with(Session::await_outbind(rules(), at(0)));
    let mut pair = outbound();
    for end in [&mut esme, &mut pair.smsc, &mut pair.esme] {
        end.news();
        assert_eq!(
            end.session.poll_timeout(),
            Some(at(5)),
            "counted from the connection"
        );
        end.time(at(4));
        assert_eq!(end.news(), []);
        end.time(at(5));
        assert_eq!(end.news(), [Seen::Close(CloseReason::SessionInit)]);
    }
}

#[test]
fn an_outbind_to_one_that_waits_for_none_ends_the_connection() {
    let mut esme = End::new(Role::Esme);
    esme.hear(at(1), CommandId::OUTBIND, CommandStatus::ROK, 1);
    assert_eq!(esme.news(), [Seen::Close(CloseReason::Outbind)]);
    assert_eq!(esme.written(), [], "it has no response");
    // Behind a bind it is out of place and nothing more.
    let mut pair = Pair::trx();
    pair.esme.hear(at(1), CommandId::OUTBIND, CommandStatus::ROK, 1);
    pair.smsc.hear(at(1), CommandId::OUTBIND, CommandStatus::ROK, 1);
    for end in [&mut pair.esme, &mut pair.smsc] {
        assert_eq!(end.news(), [Seen::Dropped(CommandId::OUTBIND)]);
        assert_eq!(end.session.state(), State::Bound(BindKind::Transceiver));
    }
}

#[test]
fn each_role_says_only_what_is_its_own() {
    let mut esme = End::new(Role::Esme);
    assert!(!esme.session.outbind(&mut esme.out, |_| {}));
    assert!(!esme.session.alert(&mut esme.out, |_| {}));
    esme.session.refuse_bind(CommandStatus::RBINDFAIL, &mut esme.out);
    let asked = bind(InterfaceVersion::V3_4);
    esme.session
        .bind(at(0), BindKind::Receiver, &asked, &mut esme.out);
    let state = esme.session.state();
    assert_eq!(esme.written().len(), 1);
    // Only the peer can say yes or no to a bind of ours.
    esme.accept(at(0));
    esme.session.refuse_bind(CommandStatus::RBINDFAIL, &mut esme.out);
    assert_eq!((esme.written(), esme.session.state()), (vec![], state));
    let mut smsc = End::new(Role::Smsc);
    smsc.session
        .bind(at(0), BindKind::Receiver, &asked, &mut smsc.out);
    smsc.accept(at(0));
    assert_eq!((smsc.written(), smsc.session.state()), (vec![], State::Open));
}

#[test]
fn an_alert_takes_no_place_in_the_window_and_is_told_where_it_may_come() {
    let mut pair = Pair::bound(BindKind::Receiver, InterfaceVersion::V3_4);
    for _ in 0..5 {
        let sent = pair.smsc.session.alert(&mut pair.smsc.out, |out| {
            out.extend_from_slice(&body_of(CommandId::ALERT_NOTIFICATION));
        });
        assert!(sent);
    }
    assert_eq!((pair.smsc.session.room(), pair.smsc.session.waiting()), (2, 0));
    pair.settle(at(1));
    assert_eq!(
        pair.esme.news(),
        [Seen::Notified(CommandId::ALERT_NOTIFICATION); 5]
    );
    assert_eq!(pair.esme.session.unanswered(), 0, "it has no response");
    // 3.3 has none (smpp-session.md §7.3).
    let mut old = Pair::bound(BindKind::Receiver, InterfaceVersion::V3_3);
    assert!(!old.smsc.session.alert(&mut old.smsc.out, |_| {}));
    assert_eq!(old.smsc.written(), []);
}
