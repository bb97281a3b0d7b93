//! cancel_sm without an id: all that waits between two addresses. In octets over real sockets, and in virtual time.

use std::time::Duration;

use tidegate_codec::address::{Address, Npi, Ton};
use tidegate_codec::header::CommandId;
use tidegate_codec::message_id::MessageIdField;
use tidegate_codec::octets::COctets;
use tidegate_codec::pdu::Operation;
use tidegate_codec::pdu::ancillary::CancelSm;
use tidegate_codec::pdu::message::{ShortMessage, Sm};
use tidegate_codec::status::CommandStatus;
use tidegate_codec::tlv::Tlvs;
use tidegate_codec::values::RegisteredDelivery;
use tidegate_gateway::clock::Clock;
use tidegate_store::disk::{FaultyDisk, Op};
use tidegate_tests::ScriptedEsme;
use tidegate_tests::esme::message;

use crate::ancillary::{ask, bound, number, scheduled, waiting};
use crate::local::Changes;
use crate::wire::{self, Wire};
use crate::world::{START_MS, World, scenario};

const FROM: &str = "447700900001";
const TO: &str = "447700900002";
const OTHER: &str = "447700900003";
const A_WHILE: Duration = Duration::from_millis(60);

const OTHER_ACCOUNT: &str = "[[account]]\nsystem_id = \"other\"\npassword_hashes = [\"@hash@\"]";

fn unknown(number: &str) -> Address<'_> {
    Address::new(Ton::UNKNOWN, Npi::UNKNOWN, number.as_bytes()).unwrap()
}

fn between<'a>(source: Address<'a>, destination: Address<'a>, service: &'a [u8]) -> CancelSm<'a> {
    CancelSm {
        service_type: COctets::new(service).unwrap(),
        message_id: MessageIdField::default(),
        source,
        destination,
        tlvs: Tlvs::NONE,
    }
}

async fn cancel(esme: &mut ScriptedEsme, cancel: CancelSm<'_>) -> CommandStatus {
    ask(esme, Operation::CancelSm(cancel)).await.status()
}

fn of_service<'a>(service: &'a [u8], sm: Sm<'a>) -> Sm<'a> {
    Sm {
        service_type: COctets::new(service).unwrap(),
        ..sm
    }
}

#[tokio::test]
async fn all_that_waits_between_two_addresses_ends_and_a_restart_brings_only_the_rest_back() {
    let changes = Changes {
        extra: OTHER_ACCOUNT,
        ..Changes::default()
    };
    let (mut local, mut smsc, mut esme) = waiting(changes).await;
    let mut other = ScriptedEsme::bound(local.esme(), "other", "secret").await;
    let national = Address::new(Ton::NATIONAL, Npi::ISDN, TO.as_bytes()).unwrap();
    let stay = [
        message(FROM, OTHER, "to another"),
        message(OTHER, TO, "from another"),
        Sm {
            destination: national,
            ..message(FROM, "", "to another kind of number")
        },
    ];
    for sm in stay {
        esme.submit_ok(sm).await;
    }
    other.submit_ok(message(FROM, TO, "of another account")).await;
    let ids = [
        esme.submit_ok(message(FROM, TO, "one")).await,
        esme.submit_ok(scheduled("later")).await,
        esme.submit_ok(of_service(b"CMT", message(FROM, TO, "of a service")))
            .await,
    ];
    let all = between(number(FROM), number(TO), b"");
    assert_eq!(cancel(&mut esme, all).await, CommandStatus::ROK);
    for id in &ids {
        let dlr = esme.expect_receipt(id).await;
        assert!(dlr.text().contains(" stat:DELETED "), "{}", dlr.text());
    }
    let again = cancel(&mut esme, all).await;
    assert_eq!(again, CommandStatus::RCANCELFAIL, "nothing is left");
    local.restart();
    smsc.reopen().await;
    let mut texts = Vec::new();
    for _ in 0..4 {
        texts.push(smsc.expect_submit().await.text());
    }
    texts.sort();
    let expected = [
        "from another",
        "of another account",
        "to another",
        "to another kind of number",
    ];
    assert_eq!(texts, expected);
    smsc.expect_no_submit(A_WHILE).await;
}

#[tokio::test]
async fn a_service_narrows_it_and_ton_and_npi_that_are_left_out_do_not() {
    let (_local, mut smsc, mut esme) = waiting(Changes::default()).await;
    let first = esme
        .submit_ok(of_service(b"CMT", message(FROM, TO, "of a service")))
        .await;
    esme.submit_ok(of_service(b"VMA", message(FROM, TO, "of another")))
        .await;
    esme.submit_ok(message(FROM, TO, "of the default one")).await;
    let of_none = between(unknown(FROM), unknown(TO), b"USSD");
    assert_eq!(cancel(&mut esme, of_none).await, CommandStatus::RCANCELFAIL);
    let of_one = between(unknown(FROM), unknown(TO), b"CMT");
    assert_eq!(cancel(&mut esme, of_one).await, CommandStatus::ROK);
    esme.expect_receipt(&first).await;
    smsc.reopen().await;
    let mut texts = [
        smsc.expect_submit().await.text(),
        smsc.expect_submit().await.text(),
    ];
    texts.sort();
    assert_eq!(texts, ["of another", "of the default one"]);
    smsc.expect_no_submit(A_WHILE).await;
}

#[tokio::test]
async fn without_an_address_or_for_another_s_messages_it_fails() {
    let changes = Changes {
        extra: OTHER_ACCOUNT,
        ..Changes::default()
    };
    let (local, mut smsc, mut esme) = waiting(changes).await;
    let mut other = ScriptedEsme::bound(local.esme(), "other", "secret").await;
    esme.submit_ok(message(FROM, TO, "stays")).await;
    for (source, destination) in [("", TO), (FROM, ""), ("", ""), (FROM, OTHER), (TO, FROM)] {
        let status = cancel(&mut esme, between(number(source), number(destination), b"")).await;
        assert_eq!(status, CommandStatus::RCANCELFAIL, "{source} {destination}");
    }
    let status = cancel(&mut other, between(number(FROM), number(TO), b"")).await;
    assert_eq!(status, CommandStatus::RCANCELFAIL);
    smsc.reopen().await;
    assert_eq!(smsc.expect_submit().await.text(), "stays");
}

#[tokio::test]
async fn what_a_carrier_has_or_is_getting_stays() {
    let changes = Changes {
        carrier: "window = 2",
        ..Changes::default()
    };
    let (_local, mut smsc, mut esme) = bound(changes).await;
    let mut ids = Vec::new();
    for text in ["on the link", "handed over", "waits"] {
        ids.push(esme.submit_ok(message(FROM, TO, text)).await);
    }
    smsc.expect_submit_of("on the link").await;
    let submit = smsc.expect_submit_of("handed over").await;
    let all = between(number(FROM), number(TO), b"");
    assert_eq!(cancel(&mut esme, all).await, CommandStatus::ROK);
    let dlr = esme.expect_receipt(&ids[2]).await;
    assert!(dlr.text().contains(" stat:DELETED "), "{}", dlr.text());
    smsc.answer(&submit, "c-2").await;
    smsc.expect_no_submit(A_WHILE).await;
    assert_eq!(cancel(&mut esme, all).await, CommandStatus::RCANCELFAIL);
}

#[tokio::test]
async fn what_is_submitted_behind_it_is_not_meant() {
    let (_local, mut smsc, mut esme) = waiting(Changes::default()).await;
    let before = esme.submit_ok(message(FROM, TO, "before")).await;
    let all = between(number(FROM), number(TO), b"");
    let cancelled = esme.request(Operation::CancelSm(all)).await;
    let behind = esme.submit(message(FROM, TO, "behind")).await;
    let answer = esme.expect_answer(CommandId::CANCEL_SM_RESP, cancelled).await;
    assert_eq!(answer.status(), CommandStatus::ROK);
    assert!(esme.expect_submit_resp(behind).await.status().is_ok());
    esme.expect_receipt(&before).await;
    smsc.reopen().await;
    assert_eq!(smsc.expect_submit().await.text(), "behind");
    smsc.expect_no_submit(A_WHILE).await;
}

// ===== many =====

/// Submits so many between the addresses of [`wire::message`], without a wish for receipts.
async fn submit_many(esme: &mut Wire, count: u32, service: &[u8]) {
    let sm = of_service(
        service,
        Sm {
            registered_delivery: RegisteredDelivery(0),
            ..wire::message()
        },
    );
    for first in (0..count).step_by(100) {
        let octets: Vec<Vec<u8>> = (first..first + 100)
            .map(|number| wire::octets(CommandStatus::ROK, number + 2, Operation::SubmitSm(sm)))
            .collect();
        esme.write(&octets.concat()).await.unwrap();
        for _ in 0..100 {
            let answer = esme.expect(CommandId::SUBMIT_SM_RESP).await;
            assert_eq!(answer.pdu().status, CommandStatus::ROK);
        }
    }
}

fn all_of_it(service: &[u8]) -> Operation<'_> {
    let sm = wire::message();
    Operation::CancelSm(between(sm.source, sm.destination, service))
}

#[test]
fn thousands_end_over_several_turns_and_the_answer_leaves_when_all_are_on_disk() {
    scenario(|| async {
        let clock = Clock::virtual_from(START_MS);
        let world = World::start(FaultyDisk::new(), clock.clone(), 41);
        let mut esme = world.esme();
        esme.bind(b"secret").await;
        submit_many(&mut esme, 3_000, b"CMT").await;
        submit_many(&mut esme, 3_000, b"VMA").await;
        let batches = || world.hub.look(|gate, _| gate.tally().batches);
        let before = batches();
        // The first finds nothing of its service, and has to look at all of them.
        let behind = Sm {
            short_message: ShortMessage::new(b"behind").unwrap(),
            ..wire::message()
        };
        let octets = [
            wire::octets(CommandStatus::ROK, 10_001, all_of_it(b"USSD")),
            wire::octets(CommandStatus::ROK, 10_002, all_of_it(b"CMT")),
            wire::octets(CommandStatus::ROK, 10_003, all_of_it(b"")),
            wire::octets(CommandStatus::ROK, 10_004, Operation::SubmitSm(behind)),
        ];
        esme.write(&octets.concat()).await.unwrap();
        let answer = esme.expect(CommandId::SUBMIT_SM_RESP).await;
        assert_eq!(
            answer.pdu().status,
            CommandStatus::ROK,
            "others are served meanwhile"
        );
        let mut answers = Vec::new();
        for _ in 0..3 {
            let answer = esme.expect(CommandId::CANCEL_SM_RESP).await;
            answers.push((answer.pdu().sequence, answer.pdu().status));
        }
        let (done, failed) = (CommandStatus::ROK, CommandStatus::RCANCELFAIL);
        assert_eq!(answers, [(10_001, failed), (10_002, done), (10_003, done)]);
        assert!(
            batches() - before >= 6,
            "a thousand of them a turn: {}",
            batches() - before
        );
        // Nothing of it comes back, whatever happens now; what was submitted behind the last cancel stays.
        let after = World::start(world.kill().crash(), clock, 42);
        assert_eq!(after.hub.look(|gate, _| gate.spool().index().len()), 1);
        let mut smsc = after.smsc();
        smsc.accept_bind().await;
        let submit = smsc.take_submit(b"c-1").await;
        assert_eq!(submit.sm().text().0, b"behind");
    });
}

#[test]
fn a_sync_that_fails_under_a_cancel_is_said_and_a_restart_has_what_was_not_ended() {
    scenario(|| async {
        let clock = Clock::virtual_from(START_MS);
        let world = World::start(FaultyDisk::new(), clock.clone(), 43);
        let mut esme = world.esme();
        esme.bind(b"secret").await;
        submit_many(&mut esme, 2_000, b"CMT").await;
        // The first thousand are on disk, the others are not.
        world
            .disk
            .fail_on(Op::Sync, "spool", 1, 1, std::io::ErrorKind::Other);
        esme.send(CommandStatus::ROK, 10_001, all_of_it(b"")).await;
        let answer = esme.expect(CommandId::CANCEL_SM_RESP).await;
        assert_eq!(answer.pdu().status, CommandStatus::RSYSERR);
        let after = World::start(world.kill().crash(), clock, 44);
        let left = after.hub.look(|gate, _| gate.spool().index().len());
        assert!((900..1_100).contains(&left), "{left}");
    });
}
