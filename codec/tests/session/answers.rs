//! Responses: each ends the request that it answers, once; what answers nothing ends nothing.

use tidegate_codec::header::CommandId;
use tidegate_codec::message_id::MESSAGE_ID_MAX;
use tidegate_codec::pdu::{encode, encode_empty};
use tidegate_codec::session::{Role, State};
use tidegate_codec::status::CommandStatus;
use tidegate_codec::values::{BindKind, InterfaceVersion};

use crate::ends::{End, Pair, Seen, at, bind};

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
    encode(
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
fn a_response_of_another_command_answers_nothing() {
    let mut pair = Pair::trx();
    let sequence = pair.esme.submit(at(1), 10).unwrap();
    // A number may be anybody's; a wrong yes would lose the message.
    for command in [
        CommandId::DELIVER_SM_RESP,
        CommandId::DATA_SM_RESP,
        CommandId::UNBIND_RESP,
        CommandId::BIND_TRANSCEIVER_RESP,
        CommandId::QUERY_SM_RESP,
        CommandId::SUBMIT_MULTI_RESP,
    ] {
        pair.esme.hear(at(1), command, CommandStatus::ROK, sequence);
        assert_eq!(pair.esme.news(), [Seen::Unexpected], "{command}");
    }
    pair.esme
        .hear(at(1), CommandId::ENQUIRE_LINK_RESP, CommandStatus::ROK, sequence);
    // One whose octets cannot be read is no better.
    let mut octets = Vec::new();
    encode(
        CommandId::DELIVER_SM_RESP,
        CommandStatus::ROK,
        sequence,
        &mut octets,
        |out| {
            out.extend_from_slice(&[b'7'; MESSAGE_ID_MAX]);
        },
    );
    pair.esme.take(at(1), &octets);
    assert_eq!(pair.esme.news(), [Seen::Dropped(CommandId::DELIVER_SM_RESP)]);
    assert_eq!((pair.esme.session.waiting(), pair.esme.written().len()), (1, 1));
    pair.esme
        .hear(at(2), CommandId::SUBMIT_SM_RESP, CommandStatus::ROK, sequence);
    assert_eq!(pair.esme.news(), [Seen::Response(10, CommandStatus::ROK)]);
}

#[test]
fn late_unknown_and_repeated_responses_are_told_once_each_and_answered_never() {
    let mut pair = Pair::trx();
    let first = pair.esme.submit(at(1), 10).unwrap();
    let second = pair.esme.submit(at(1), 11).unwrap();
    pair.esme.written();
    let ok = CommandStatus::ROK;
    let mut hear = |sequence, status| {
        pair.esme.hear(at(2), CommandId::SUBMIT_SM_RESP, status, sequence);
        pair.esme.news()
    };
    assert_eq!(
        hear(first, CommandStatus::RMSGQFUL),
        [Seen::Response(10, CommandStatus::RMSGQFUL)]
    );
    assert_eq!(hear(first, ok), [Seen::Unexpected], "the first answer counts");
    for stranger in [0, 99, 0x7fff_ffff, 0x8000_0000 | second, u32::MAX] {
        assert_eq!(hear(stranger, ok), [Seen::Unexpected], "{stranger:#x}");
    }
    pair.esme.time(at(31));
    assert_eq!(pair.esme.news(), [Seen::Expired(11)]);
    pair.esme.hear(at(40), CommandId::SUBMIT_SM_RESP, ok, second);
    pair.esme.hear(at(41), CommandId::SUBMIT_SM_RESP, ok, second);
    assert_eq!(pair.esme.news(), [Seen::Unexpected, Seen::Unexpected]);
    assert_eq!(pair.esme.session.room(), 2);
    let answered = pair.esme.written().iter().any(|(id, ..)| id.is_response());
    assert!(!answered, "a response is never answered");
}

#[test]
fn a_generic_nack_ends_what_its_number_names_and_nothing_else() {
    // To a submit, to an enquire_link, to nothing.
    let mut pair = Pair::trx();
    let nack = CommandId::GENERIC_NACK;
    pair.esme.time(at(30));
    let enquiry = pair.esme.written()[0].2;
    let sequence = pair.esme.submit(at(30), 10).unwrap();
    pair.esme.hear(at(31), nack, CommandStatus::RINVCMDID, enquiry);
    assert_eq!(
        pair.esme.news(),
        [],
        "a peer that does not know enquire_link is there"
    );
    pair.esme.hear(at(31), nack, CommandStatus::RINVCMDLEN, 0);
    pair.esme.hear(at(31), nack, CommandStatus::RINVCMDLEN, 77);
    assert_eq!(pair.esme.news(), [Seen::Unexpected, Seen::Unexpected]);
    assert_eq!(pair.esme.session.waiting(), 1);
    pair.esme.hear(at(31), nack, CommandStatus::ROK, sequence);
    assert_eq!(
        pair.esme.news(),
        [Seen::Nack(10, CommandStatus::ROK)],
        "a nack whatever its status"
    );
    pair.esme.hear(at(31), nack, CommandStatus::RINVCMDID, sequence);
    assert_eq!(pair.esme.news(), [Seen::Unexpected]);
    // However many come: the link stays (the tickets' owner judges).
    for _ in 0..1_000 {
        pair.esme.hear(at(32), nack, CommandStatus::RINVCMDLEN, 0);
    }
    assert_eq!(pair.esme.session.state(), State::Bound(BindKind::Transceiver));
    // And it is life: the enquiry that it answers is not asked again before its time.
    pair.esme.written();
    pair.esme.time(at(61));
    assert_eq!(pair.esme.session.poll_timeout(), Some(at(62)));
}

#[test]
fn a_bind_that_is_nacked_is_refused_and_a_name_that_cannot_be_read_is_none() {
    let nack = CommandId::GENERIC_NACK;
    let response = CommandId::BIND_TRANSCEIVER_RESP;
    // An ESME's bind, its number 1.
    let binding = || {
        let mut esme = End::new(Role::Esme);
        let asked = bind(InterfaceVersion::V3_4);
        esme.session
            .bind(at(0), BindKind::Transceiver, &asked, &mut esme.out);
        esme
    };
    for (sequence, seen, state) in [
        (1, Seen::BindRefused(CommandStatus::RINVCMDID), State::Open),
        (0, Seen::BindRefused(CommandStatus::RINVCMDID), State::Open),
        (2, Seen::Unexpected, binding().session.state()),
    ] {
        let mut esme = binding();
        esme.hear(at(1), nack, CommandStatus::RINVCMDID, sequence);
        assert_eq!(
            (esme.news(), esme.session.state()),
            (vec![seen], state),
            "{sequence}"
        );
    }
    for (command, sequence, seen) in [
        (response, 1, Seen::Bound(InterfaceVersion::V3_4)),
        (response, 2, Seen::Unexpected),
        (CommandId::BIND_RECEIVER_RESP, 1, Seen::Unexpected),
    ] {
        let mut esme = binding();
        let mut octets = Vec::new();
        encode(command, CommandStatus::ROK, sequence, &mut octets, |out| {
            out.extend_from_slice(b"a name beyond its field\0");
        });
        esme.take(at(1), &octets);
        assert_eq!(esme.news(), [seen], "{command} {sequence}");
    }
    // Another kind of bind than was asked for is no answer, whatever it says.
    let mut esme = binding();
    esme.hear(at(1), CommandId::BIND_RECEIVER_RESP, CommandStatus::ROK, 1);
    assert_eq!(esme.news(), [Seen::Unexpected]);
    esme.hear(at(1), response, CommandStatus::ROK, 1);
    assert_eq!(esme.news(), [Seen::Bound(InterfaceVersion::V3_4)]);
}
