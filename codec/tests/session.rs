//! The session machine in pairs: two of them joined by their octets, in virtual time.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::time::Duration;

use tidegate_codec::address::{Address, Npi, Ton};
use tidegate_codec::header::CommandId;
use tidegate_codec::identity::SystemId;
use tidegate_codec::message_id::MESSAGE_ID_MAX;
use tidegate_codec::octets::COctets;
use tidegate_codec::pdu::bind::Bind;
use tidegate_codec::pdu::message::{ShortMessage, Sm};
use tidegate_codec::pdu::{Limits, Operation, Pdu, Read, encode_empty, read};
use tidegate_codec::session::{
    Answer, CloseReason, Event, FAULTS_IN_A_ROW_MAX, Monotonic, RequestError, Role, Rules, Session, State,
    Timing,
};
use tidegate_codec::status::CommandStatus;
use tidegate_codec::tlv::Tlvs;
use tidegate_codec::values::{BindKind, InterfaceVersion};

/// What an event was, without what it borrows.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Seen {
    BindRequested(BindKind),
    Bound(InterfaceVersion),
    BindRefused(CommandStatus),
    Request(u32),
    Response(u32, CommandStatus),
    Nack(u32, CommandStatus),
    Expired(u32),
    Unreadable(u32),
    Unexpected,
    Refused(CommandId, CommandStatus),
    Dropped(CommandId),
    PeerUnbound,
    Close(CloseReason),
}

fn seen(event: Event<'_, u32>) -> Option<Seen> {
    Some(match event {
        Event::None => return None,
        Event::BindRequested { kind, .. } => Seen::BindRequested(kind),
        Event::Bound { version, .. } => Seen::Bound(version),
        Event::BindRefused(status) => Seen::BindRefused(status),
        Event::Request { sequence, .. } => Seen::Request(sequence),
        Event::Answered { ticket, answer, .. } => match answer {
            Answer::Response(status, _) => Seen::Response(ticket, status),
            Answer::Nack(status) => Seen::Nack(ticket, status),
            Answer::Expired => Seen::Expired(ticket),
            Answer::Unreadable(_) => Seen::Unreadable(ticket),
        },
        Event::Unexpected(_) => Seen::Unexpected,
        Event::Refused { command_id, status } => Seen::Refused(command_id, status),
        Event::Dropped(id) => Seen::Dropped(id),
        Event::PeerUnbound => Seen::PeerUnbound,
        Event::Close(reason) => Seen::Close(reason),
    })
}

/// One end: a session, what it wrote, what it saw.
struct End {
    session: Session<u32>,
    out: Vec<u8>,
    seen: Vec<Seen>,
}

impl End {
    fn new(role: Role) -> Self {
        Self {
            session: Session::new(role, rules(), Monotonic::ZERO),
            out: Vec::new(),
            seen: Vec::new(),
        }
    }

    /// Reads every PDU in `octets`.
    fn take(&mut self, now: Monotonic, octets: &[u8]) {
        let mut at = 0;
        while at < octets.len() {
            let (length, event) = match read(&octets[at..], &Limits::default()) {
                Read::Pdu(pdu) => {
                    let length = u32::from_be_bytes(octets[at..at + 4].try_into().unwrap()) as usize;
                    (length, self.session.handle(now, Ok(pdu), &mut self.out))
                }
                Read::BadBody(header, error) => (
                    header.length as usize,
                    self.session.handle(now, Err((header, error)), &mut self.out),
                ),
                Read::Broken(error) => (octets.len(), self.session.handle_broken(error, &mut self.out)),
                Read::NeedMore(_) => panic!("a whole PDU was expected"),
            };
            self.seen.extend(seen(event));
            at += length;
        }
    }

    fn time(&mut self, now: Monotonic) {
        while let Some(event) = self.session.handle_timeout(now, &mut self.out) {
            self.seen.extend(seen(event));
        }
    }

    fn submit(&mut self, now: Monotonic, ticket: u32) -> Result<u32, RequestError<u32>> {
        self.session
            .request(now, CommandId::SUBMIT_SM, ticket, &mut self.out, |out| {
                sm().encode(out);
            })
    }

    /// The command_ids, statuses and sequence numbers written since the last look.
    fn written(&mut self) -> Vec<(CommandId, CommandStatus, u32)> {
        let octets = std::mem::take(&mut self.out);
        let (mut at, mut found) = (0, Vec::new());
        while let Read::Pdu(pdu) = read(&octets[at..], &Limits::default()) {
            found.push((pdu.operation.command_id(), pdu.status, pdu.sequence));
            at += u32::from_be_bytes(octets[at..at + 4].try_into().unwrap()) as usize;
        }
        assert_eq!(at, octets.len(), "what we write is always whole PDUs");
        found
    }
}

fn rules() -> Rules {
    Rules {
        window: 2,
        unanswered_max: 3,
        timing: timing(),
        assume_version: InterfaceVersion::V3_4,
    }
}

fn timing() -> Timing {
    Timing {
        inactivity: Duration::from_secs(300),
        ..Timing::default()
    }
}

fn at(seconds: u64) -> Monotonic {
    Monotonic(Duration::from_secs(seconds))
}

fn sm() -> Sm<'static> {
    Sm {
        source: Address::new(Ton::ALPHANUMERIC, Npi::UNKNOWN, b"Tide").unwrap(),
        destination: Address::new(Ton::INTERNATIONAL, Npi::ISDN, b"447700900123").unwrap(),
        short_message: ShortMessage::new(b"hello").unwrap(),
        ..Sm::default()
    }
}

fn bind(version: InterfaceVersion) -> Bind<'static> {
    Bind {
        system_id: COctets::new(b"load").unwrap(),
        password: COctets::new(b"secret").unwrap(),
        system_type: COctets::EMPTY,
        interface_version: version,
        addr_ton: Ton::UNKNOWN,
        addr_npi: Npi::UNKNOWN,
        address_range: COctets::EMPTY,
        tlvs: Tlvs::NONE,
    }
}

struct Pair {
    esme: End,
    smsc: End,
}

impl Pair {
    fn new() -> Self {
        Self {
            esme: End::new(Role::Esme),
            smsc: End::new(Role::Smsc),
        }
    }

    /// Carries octets both ways until nobody has anything to say.
    fn settle(&mut self, now: Monotonic) {
        loop {
            let to_smsc = std::mem::take(&mut self.esme.out);
            let to_esme = std::mem::take(&mut self.smsc.out);
            if to_smsc.is_empty() && to_esme.is_empty() {
                return;
            }
            self.smsc.take(now, &to_smsc);
            self.esme.take(now, &to_esme);
        }
    }

    fn bound(kind: BindKind, version: InterfaceVersion) -> Self {
        let mut pair = Self::new();
        pair.esme
            .session
            .bind(at(0), kind, &bind(version), &mut pair.esme.out);
        pair.settle(at(0));
        assert_eq!(pair.smsc.seen, [Seen::BindRequested(kind)]);
        pair.smsc
            .session
            .accept_bind(at(0), &SystemId::new(b"tidegate").unwrap(), &mut pair.smsc.out);
        pair.settle(at(0));
        assert!(
            matches!(pair.esme.seen[..], [Seen::Bound(_)]),
            "{:?}",
            pair.esme.seen
        );
        pair.esme.seen.clear();
        pair.smsc.seen.clear();
        pair
    }

    fn trx() -> Self {
        Self::bound(BindKind::Transceiver, InterfaceVersion::V3_4)
    }
}

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

#[test]
fn commands_that_are_not_read_yet_and_ids_of_no_command_are_answered_by_name() {
    let mut pair = Pair::trx();
    let mut octets = Vec::new();
    encode_empty(CommandId::BROADCAST_SM, CommandStatus::ROK, 1, &mut octets);
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
            (CommandId::BROADCAST_SM_RESP, CommandStatus::RINVCMDID, 1),
            (CommandId::GENERIC_NACK, CommandStatus::RINVCMDID, 2),
            (CommandId::DELIVER_SM_RESP, CommandStatus::RINVCMDLEN, 0xffff_ffff),
        ]
    );
    assert_eq!(pair.smsc.session.state(), State::Bound(BindKind::Transceiver));
}

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
fn an_unanswered_request_comes_back_in_doubt_and_its_late_answer_is_still_seen() {
    let mut pair = Pair::trx();
    let sequence = pair.esme.submit(at(1), 10).unwrap();
    pair.settle(at(1));
    assert_eq!(
        pair.esme.session.poll_timeout(),
        Some(at(30)),
        "enquire_link is due before the response timer"
    );
    pair.esme.time(at(31));
    assert_eq!(pair.esme.seen, [Seen::Expired(10)]);
    assert_eq!(pair.esme.session.waiting(), 0);
    let respond = |end: &mut End| {
        end.session.respond(
            CommandId::SUBMIT_SM_RESP,
            sequence,
            CommandStatus::ROK,
            &mut end.out,
            |out| {
                out.extend_from_slice(b"id\0");
            },
        );
    };
    respond(&mut pair.smsc);
    pair.settle(at(32));
    assert!(pair.esme.seen.contains(&Seen::Unexpected), "{:?}", pair.esme.seen);
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
fn a_generic_nack_ends_the_request_it_names() {
    let mut pair = Pair::trx();
    let sequence = pair.esme.submit(at(1), 10).unwrap();
    let mut octets = Vec::new();
    encode_empty(
        CommandId::GENERIC_NACK,
        CommandStatus::RINVCMDID,
        sequence,
        &mut octets,
    );
    encode_empty(CommandId::GENERIC_NACK, CommandStatus::RINVCMDLEN, 0, &mut octets);
    pair.esme.take(at(1), &octets);
    assert_eq!(
        pair.esme.seen,
        [Seen::Nack(10, CommandStatus::RINVCMDID), Seen::Unexpected]
    );
}

#[test]
fn an_unreadable_answer_ends_its_request_and_lost_links_hand_tickets_back() {
    let mut pair = Pair::trx();
    let sequence = pair.esme.submit(at(1), 10).unwrap();
    pair.esme.submit(at(1), 11).unwrap();
    let mut octets = Vec::new();
    tidegate_codec::pdu::encode(
        CommandId::SUBMIT_SM_RESP,
        CommandStatus::ROK,
        sequence,
        &mut octets,
        |out| {
            out.extend_from_slice(&[b'7'; MESSAGE_ID_MAX]);
        },
    );
    pair.esme.take(at(1), &octets);
    assert_eq!(pair.esme.seen, [Seen::Unreadable(10)]);
    assert_eq!(pair.esme.session.drain().collect::<Vec<_>>(), [11]);
    assert_eq!(pair.esme.session.state(), State::Closed);
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
