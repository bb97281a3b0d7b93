//! What waits between two addresses: submissions that take its place (`replace_if_present_flag`), and cancels without
//! an id. In octets over real sockets.

use std::time::Duration;

use tidegate_codec::address::{Address, Npi, Ton};
use tidegate_codec::header::CommandId;
use tidegate_codec::octets::COctets;
use tidegate_codec::pdu::Operation;
use tidegate_codec::pdu::message::{ShortMessage, Sm};
use tidegate_codec::pdu::multi::{Destination, Destinations, SubmitMulti};
use tidegate_codec::status::CommandStatus;
use tidegate_codec::values::{MessageState, RegisteredDelivery};
use tidegate_gateway::clock::Clock;
use tidegate_store::disk::{FaultyDisk, Op};
use tidegate_tests::esme::message;
use tidegate_tests::{Dialect, ScriptedEsme};

use crate::ancillary::{ask, bound, number, scheduled, waiting};
use crate::local::Changes;
use crate::wire;
use crate::world::{START_MS, World, scenario};

const FROM: &str = "447700900001";
const TO: &str = "447700900002";
const OTHER: &str = "447700900003";
const A_WHILE: Duration = Duration::from_millis(60);

const OTHER_ACCOUNT: &str = "[[account]]\nsystem_id = \"other\"\npassword_hashes = [\"@hash@\"]";

/// A message that takes the place of what waits between the same addresses.
fn instead(text: &str) -> Sm<'_> {
    Sm {
        replace_if_present_flag: 1,
        ..message(FROM, TO, text)
    }
}

fn of_service<'a>(service: &'a [u8], sm: Sm<'a>) -> Sm<'a> {
    Sm {
        service_type: COctets::new(service).unwrap(),
        ..sm
    }
}

async fn expect_deleted(esme: &mut ScriptedEsme, ids: &[&String]) {
    for id in ids {
        let dlr = esme.expect_receipt(id).await;
        assert!(dlr.text().contains(" stat:DELETED "), "{}", dlr.text());
    }
}

// ===== replace_if_present_flag =====

#[tokio::test]
async fn a_submission_takes_the_place_of_what_waits_and_a_restart_brings_only_the_new_one_back() {
    let (mut local, mut smsc, mut esme) = waiting(Changes::default()).await;
    let old = esme.submit_ok(message(FROM, TO, "old")).await;
    let new = esme.submit_ok(instead("new")).await;
    assert_ne!(old, new, "it has an id of its own");
    expect_deleted(&mut esme, &[&old]).await;
    // And that one is replaced in its turn, by one that waits for a date.
    let newer = Sm {
        replace_if_present_flag: 1,
        ..scheduled("newer")
    };
    let newer = esme.submit_ok(newer).await;
    expect_deleted(&mut esme, &[&new]).await;
    let newest = esme.submit_ok(instead("newest")).await;
    expect_deleted(&mut esme, &[&newer]).await;
    local.restart();
    smsc.reopen().await;
    let submit = smsc.expect_submit().await;
    assert_eq!(submit.text(), "newest");
    smsc.expect_no_submit(A_WHILE).await;
    let mut esme = ScriptedEsme::bound(local.esme(), "load", "secret").await;
    smsc.answer(&submit, "c").await;
    smsc.receipt(&submit, "c", MessageState::Delivered, Dialect::Both)
        .await;
    esme.expect_receipt(&newest).await;
}

#[tokio::test]
async fn only_the_same_account_addresses_and_service_are_replaced_and_all_that_wait_there() {
    let changes = Changes {
        extra: OTHER_ACCOUNT,
        ..Changes::default()
    };
    let (local, mut smsc, mut esme) = waiting(changes).await;
    let mut other = ScriptedEsme::bound(local.esme(), "other", "secret").await;
    let name = Address::new(Ton::ALPHANUMERIC, Npi::UNKNOWN, FROM.as_bytes()).unwrap();
    let as_national = Address::new(Ton::NATIONAL, Npi::ISDN, TO.as_bytes()).unwrap();
    let stay = [
        message(FROM, OTHER, "to another"),
        message(OTHER, TO, "from another"),
        Sm {
            source: name,
            ..message("", TO, "from a name")
        },
        Sm {
            destination: as_national,
            ..message(FROM, "", "to another kind of number")
        },
        of_service(b"CMT", message(FROM, TO, "of a service")),
    ];
    for sm in stay {
        esme.submit_ok(sm).await;
    }
    other.submit_ok(message(FROM, TO, "of another account")).await;
    // A message in two parts, and one by data_sm would do as well.
    let parts = [
        esme.submit_ok(message(FROM, TO, "part 1")).await,
        esme.submit_ok(message(FROM, TO, "part 2")).await,
    ];
    esme.submit_ok(instead("whole")).await;
    expect_deleted(&mut esme, &[&parts[0], &parts[1]]).await;
    // Nothing of its service waits there: a submission like any other.
    esme.submit_ok(of_service(b"VMA", instead("first of its service")))
        .await;
    smsc.reopen().await;
    let mut texts = Vec::new();
    for _ in 0..8 {
        texts.push(smsc.expect_submit().await.text());
    }
    texts.sort();
    let mut expected: Vec<&str> = vec![
        "to another",
        "from another",
        "from a name",
        "to another kind of number",
        "of a service",
        "of another account",
        "whole",
        "first of its service",
    ];
    expected.sort_unstable();
    assert_eq!(texts, expected);
    smsc.expect_no_submit(A_WHILE).await;
}

#[tokio::test]
async fn what_a_carrier_has_or_is_getting_is_not_replaced() {
    let (_local, mut smsc, mut esme) = bound(Changes::default()).await;
    let first = esme.submit_ok(message(FROM, TO, "first")).await;
    let submit = smsc.expect_submit().await;
    // On the link, then handed over.
    esme.submit_ok(instead("second")).await;
    let second = smsc.expect_submit().await;
    assert_eq!(second.text(), "second");
    smsc.answer(&submit, "c-1").await;
    smsc.answer(&second, "c-2").await;
    esme.submit_ok(instead("third")).await;
    assert_eq!(smsc.expect_submit().await.text(), "third");
    smsc.receipt(&submit, "c-1", MessageState::Delivered, Dialect::Both)
        .await;
    let dlr = esme.expect_receipt(&first).await;
    assert!(dlr.text().contains(" stat:DELIVRD "), "{}", dlr.text());
}

#[tokio::test]
async fn a_submission_that_is_refused_leaves_what_waits_as_it_is() {
    let changes = Changes {
        account: "rate = 1",
        ..Changes::default()
    };
    let (_local, mut smsc, mut esme) = waiting(changes).await;
    esme.submit_ok(message(FROM, TO, "stays")).await;
    let odd = Sm {
        replace_if_present_flag: 2,
        ..instead("neither 0 nor 1")
    };
    assert_eq!(esme.submit_refused(odd).await, CommandStatus::RINVREPFLAG);
    // By its own fault, which costs nothing of the account's rate.
    let wrong = Sm {
        priority_flag: 9,
        ..instead("refused")
    };
    for _ in 0..300 {
        assert_eq!(esme.submit_refused(wrong).await, CommandStatus::RINVPRTFLG);
    }
    // And by the rate, once that is used up.
    let elsewhere = Sm {
        schedule_delivery_time: COctets::new(b"000001000000000R").unwrap(),
        ..message(FROM, "447700900003", "tomorrow")
    };
    for taken in 0.. {
        let sequence = esme.submit(elsewhere).await;
        match esme.expect_submit_resp(sequence).await.status() {
            CommandStatus::ROK => {}
            CommandStatus::RTHROTTLED => {
                assert!((200..400).contains(&taken), "{taken}");
                break;
            }
            other => panic!("{other} after {taken}"),
        }
    }
    let refused = esme.submit_refused(instead("refused")).await;
    assert_eq!(refused, CommandStatus::RTHROTTLED);
    smsc.reopen().await;
    assert_eq!(smsc.expect_submit().await.text(), "stays");
    smsc.expect_no_submit(A_WHILE).await;
}

#[tokio::test]
async fn a_message_to_several_takes_nobody_s_place() {
    let (_local, mut smsc, mut esme) = waiting(Changes::default()).await;
    esme.submit_ok(message(FROM, TO, "stays")).await;
    let mut octets = Vec::new();
    Destination::Sme(number(TO)).encode(&mut octets);
    let multi = SubmitMulti {
        message: Sm {
            destination: Address::default(),
            ..instead("to several")
        },
        destinations: Destinations::new(1, &octets).unwrap(),
    };
    let answer = ask(&mut esme, Operation::SubmitMulti(multi)).await;
    assert_eq!(answer.status(), CommandStatus::RINVREPFLAG);
    smsc.reopen().await;
    assert_eq!(smsc.expect_submit().await.text(), "stays");
    smsc.expect_no_submit(A_WHILE).await;
}

#[tokio::test]
async fn where_too_many_wait_nobody_s_place_is_taken() {
    let (_local, _smsc, mut esme) = waiting(Changes::default()).await;
    let silent = |text| Sm {
        registered_delivery: RegisteredDelivery(0),
        ..message(FROM, TO, text)
    };
    let mut sequences = Vec::new();
    for _ in 0..1_024 {
        sequences.push(esme.submit(silent("one of many")).await);
    }
    for sequence in sequences {
        assert!(esme.expect_submit_resp(sequence).await.status().is_ok());
    }
    // As many as may be.
    esme.submit_ok(instead("alone")).await;
    let mut sequences = Vec::new();
    for _ in 0..1_024 {
        sequences.push(esme.submit(silent("one of many")).await);
    }
    for sequence in sequences {
        assert!(esme.expect_submit_resp(sequence).await.status().is_ok());
    }
    let status = esme.submit_refused(instead("too late")).await;
    assert_eq!(status, CommandStatus::RINVSUBREP);
}

#[tokio::test]
async fn a_text_that_was_replaced_and_comes_again_is_another_message() {
    let changes = Changes {
        account: "duplicate_window = \"1h\"",
        ..Changes::default()
    };
    let (_local, _smsc, mut esme) = waiting(changes).await;
    let old = esme.submit_ok(message(FROM, TO, "old")).await;
    let new = esme.submit_ok(instead("new")).await;
    expect_deleted(&mut esme, &[&old]).await;
    // The same again is the same, and replaces nothing.
    assert_eq!(esme.submit_ok(instead("new")).await, new);
    let again = esme.submit_ok(message(FROM, TO, "old")).await;
    assert_ne!(again, old, "the first was deleted");
}

/// In virtual time: what takes the place of [`wire::message`].
fn instead_of_it(text: &str) -> Sm<'_> {
    Sm {
        replace_if_present_flag: 1,
        short_message: ShortMessage::new(text.as_bytes()).unwrap(),
        ..wire::message()
    }
}

#[test]
fn a_full_disk_keeps_what_takes_a_place_and_its_answer_leaves_once_both_are_on_disk() {
    scenario(|| async {
        let world = World::start(FaultyDisk::new(), Clock::virtual_from(START_MS), 31);
        let mut esme = world.esme();
        esme.bind(b"secret").await;
        let old = esme.submit(2).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        world
            .disk
            .fail_next(Op::Write, 2, std::io::ErrorKind::StorageFull);
        // With it a plain one, which is given back.
        let submits = [
            (3, instead_of_it("new")),
            (4, wire::message()),
            (5, instead_of_it("not before the first is on disk")),
        ];
        let submits =
            submits.map(|(sequence, sm)| wire::octets(CommandStatus::ROK, sequence, Operation::SubmitSm(sm)));
        esme.write(&submits.concat()).await.unwrap();
        let mut answers = Vec::new();
        for _ in 0..3 {
            let answer = esme.expect(CommandId::SUBMIT_SM_RESP).await;
            answers.push((answer.pdu().sequence, answer.pdu().status));
        }
        answers.sort_unstable_by_key(|(sequence, _)| *sequence);
        let (taken, given_back) = (CommandStatus::ROK, CommandStatus::RMSGQFUL);
        assert_eq!(answers, [(3, taken), (4, given_back), (5, given_back)]);
        assert_eq!(esme.take_dlr().await, (old, MessageState::Deleted));
        let mut smsc = world.smsc();
        smsc.accept_bind().await;
        let submit = smsc.take_submit(b"c-1").await;
        assert_eq!(submit.sm().text().0, b"new");
        assert!(
            tokio::time::timeout(Duration::from_secs(1), smsc.expect(CommandId::SUBMIT_SM))
                .await
                .is_err()
        );
    });
}

#[test]
fn a_sync_that_fails_and_a_power_cut_leave_what_was_there() {
    scenario(|| async {
        let clock = Clock::virtual_from(START_MS);
        let world = World::start(FaultyDisk::new(), clock.clone(), 32);
        let mut esme = world.esme();
        esme.bind(b"secret").await;
        esme.submit(2).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        world.disk.fail_next(Op::Sync, 1, std::io::ErrorKind::Other);
        let sm = Operation::SubmitSm(instead_of_it("new"));
        esme.send(CommandStatus::ROK, 3, sm).await;
        let answer = esme.expect(CommandId::SUBMIT_SM_RESP).await;
        assert_eq!(answer.pdu().status, CommandStatus::RSYSERR);
        let after = World::start(world.kill().crash(), clock, 33);
        let mut smsc = after.smsc();
        smsc.accept_bind().await;
        let submit = smsc.take_submit(b"c-1").await;
        assert_eq!(submit.sm().text().0, b"hello");
        assert!(
            tokio::time::timeout(Duration::from_secs(1), smsc.expect(CommandId::SUBMIT_SM))
                .await
                .is_err()
        );
    });
}
