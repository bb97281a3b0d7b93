//! Receipts that come when their message has left memory, and those that never come.

use tidegate_codec::pdu::ancillary::QuerySm;
use tidegate_codec::pdu::message::Sm;
use tidegate_codec::values::RegisteredDelivery;
use tidegate_config::Config;

use super::*;
use crate::wire::Wire;
use crate::world::{bench_config_lines, bench_config_with};

/// Ten minutes before the hour: the deadline falls into the last minutes of the next.
const EVENING_MS: u64 = START_MS + 50 * 60_000;

/// A receipt deadline beyond the hour that legs must have before them to leave memory.
const LONG: &str = "65m";

fn setup(config: Config) -> Setup {
    Setup::new(config, 1 << 20, 1 << 28)
}

fn world(disk: FaultyDisk, clock: Clock, seed: u64) -> World {
    World::start_with(&setup(bench_config_with(LONG)), disk, clock, seed).unwrap()
}

async fn minutes(count: u64) {
    tokio::time::sleep(Duration::from_secs(60 * count)).await;
}

/// Submits messages that the carrier takes as `c-0`, `c-1` and so on, and lets them leave memory.
async fn moved(world: &World, wishes: &[RegisteredDelivery]) -> Vec<Vec<u8>> {
    let (mut smsc, mut esme) = (world.smsc(), world.esme());
    smsc.accept_bind().await;
    esme.bind(b"secret").await;
    let mut ids = Vec::new();
    for (number, wish) in (0..).zip(wishes) {
        let message = Sm {
            registered_delivery: *wish,
            ..message()
        };
        esme.send(CommandStatus::ROK, number + 2, Operation::SubmitSm(message))
            .await;
        let frame = esme.expect(CommandId::SUBMIT_SM_RESP).await;
        match frame.pdu().operation {
            Operation::SubmitSmResp(Some(body)) => ids.push(body.message_id.as_bytes().to_vec()),
            other => panic!("{other:?}"),
        }
        smsc.take_submit(format!("c-{number}").as_bytes()).await;
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    drop((smsc, esme));
    minutes(3).await;
    let waiting = wishes.len() as u64;
    assert_eq!(unfinished(world), (0, waiting), "in memory, in files");
    ids
}

/// Legs in memory, and in files.
fn unfinished(world: &World) -> (usize, u64) {
    world
        .hub
        .with_gate(|gate, _| (gate.spool().index().len(), gate.spool().waiting().legs))
}

/// How many DLRs wait.
fn dlrs(world: &World) -> usize {
    world.hub.with_gate(|gate, _| gate.spool().outbox().len())
}

async fn receipt(smsc: &mut Wire, sequence: u32, id: &[u8]) -> CommandStatus {
    smsc.send_receipt(sequence, id, MessageState::Delivered).await;
    smsc.expect(CommandId::DELIVER_SM_RESP).await.pdu().status
}

#[test]
fn a_late_receipt_makes_one_dlr_before_and_after_a_restart() {
    scenario(|| async {
        let clock = Clock::virtual_from(EVENING_MS);
        let before = world(FaultyDisk::new(), clock.clone(), 1);
        let ids = moved(&before, &[RegisteredDelivery::FINAL; 3]).await;
        let mut smsc = before.smsc();
        smsc.accept_bind().await;
        // Twice at once, and once more when it is done.
        smsc.send_receipt(1, b"c-0", MessageState::Delivered).await;
        for sequence in 2..4 {
            let status = receipt(&mut smsc, sequence, b"c-0").await;
            assert_eq!(status, CommandStatus::ROK);
        }
        assert_eq!(receipt(&mut smsc, 4, b"nobody's").await, CommandStatus::ROK);
        assert_eq!(dlrs(&before), 1);
        let mut esme = before.esme();
        esme.bind(b"secret").await;
        assert_eq!(esme.take_dlr().await, (ids[0].clone(), MessageState::Delivered));
        tokio::time::sleep(Duration::from_secs(1)).await;
        let disk = before.disk.crash();
        drop(before);
        let after = world(disk, clock, 2);
        assert_eq!(
            unfinished(&after),
            (0, 3),
            "what ended is not marked in its file yet"
        );
        let mut smsc = after.smsc();
        smsc.accept_bind().await;
        assert_eq!(receipt(&mut smsc, 1, b"c-0").await, CommandStatus::ROK);
        assert_eq!(dlrs(&after), 0, "no second DLR");
        assert_eq!(receipt(&mut smsc, 2, b"c-2").await, CommandStatus::ROK);
        let mut esme = after.esme();
        esme.bind(b"secret").await;
        assert_eq!(esme.take_dlr().await, (ids[2].clone(), MessageState::Delivered));
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(unfinished(&after), (0, 1));
    });
}

#[test]
fn a_receipt_that_never_comes_gives_the_state_that_was_asked_for() {
    scenario(|| async {
        let clock = Clock::virtual_from(EVENING_MS);
        let before = world(FaultyDisk::new(), clock.clone(), 3);
        let on_failure = RegisteredDelivery(2);
        let ids = moved(&before, &[RegisteredDelivery::FINAL, on_failure]).await;
        let disk = before.disk.crash();
        drop(before);
        let after = world(disk, clock, 4);
        // 23:53 now; the deadlines are at 00:55, and the hour ends at 01:00.
        minutes(60).await;
        assert_eq!((unfinished(&after), dlrs(&after)), ((0, 2), 0));
        minutes(9).await;
        assert_eq!((unfinished(&after), dlrs(&after)), ((0, 0), 1));
        let finals = |state| {
            after
                .hub
                .with_gate(|gate, _| gate.accounts()[0].tally.finals.get(state))
        };
        assert_eq!(
            (finals(MessageState::Unknown), finals(MessageState::Accepted)),
            (1, 1)
        );
        let mut esme = after.esme();
        esme.bind(b"secret").await;
        assert_eq!(esme.take_dlr().await, (ids[0].clone(), MessageState::Unknown));
        assert!(after.disk.paths().iter().all(|path| !path.starts_with("waiting")));
        // Too late even for a late receipt.
        let mut smsc = after.smsc();
        smsc.accept_bind().await;
        assert_eq!(receipt(&mut smsc, 1, b"c-0").await, CommandStatus::ROK);
        assert_eq!(unfinished(&after), (0, 0));
    });
}

#[test]
fn a_late_receipt_goes_back_while_its_file_cannot_be_read() {
    scenario(|| async {
        let world = world(FaultyDisk::new(), Clock::virtual_from(EVENING_MS), 5);
        let ids = moved(&world, &[RegisteredDelivery::FINAL]).await;
        let mut smsc = world.smsc();
        smsc.accept_bind().await;
        world
            .disk
            .fail_on(Op::Read, "waiting", 0, 1, std::io::ErrorKind::Other);
        assert_eq!(receipt(&mut smsc, 1, b"c-0").await, CommandStatus::RX_T_APPN);
        assert_eq!(unfinished(&world), (0, 1));
        // Its owner cannot see it where it lies: its query fails as for what is finished.
        let mut esme = world.esme();
        esme.bind(b"secret").await;
        let query = QuerySm {
            message_id: COctets::new(&ids[0]).unwrap(),
            source: message().source,
            tlvs: Tlvs::NONE,
        };
        esme.send(CommandStatus::ROK, 2, Operation::QuerySm(query)).await;
        let answer = esme.expect(CommandId::QUERY_SM_RESP).await;
        assert_eq!(answer.pdu().status, CommandStatus::RQUERYFAIL);
        assert_eq!(receipt(&mut smsc, 2, b"c-0").await, CommandStatus::ROK);
        assert_eq!(esme.take_dlr().await, (ids[0].clone(), MessageState::Delivered));
    });
}

#[test]
fn a_late_dlr_bears_the_short_id_that_its_message_was_given() {
    scenario(|| async {
        let short = || {
            bench_config_lines(&[
                ("name = \"sink\"", &format!("receipt_deadline = \"{LONG}\"")),
                ("[[account]]", "message_id = \"hex8\""),
            ])
        };
        let clock = Clock::virtual_from(EVENING_MS);
        let before = World::start_with(&setup(short()), FaultyDisk::new(), clock.clone(), 7).unwrap();
        let ids = moved(&before, &[RegisteredDelivery::FINAL; 2]).await;
        assert!(ids.iter().all(|id| id.len() == 8), "{ids:?}");
        let disk = before.disk.crash();
        drop(before);
        let after = World::start_with(&setup(short()), disk, clock, 8).unwrap();
        let mut smsc = after.smsc();
        smsc.accept_bind().await;
        assert_eq!(receipt(&mut smsc, 1, b"c-1").await, CommandStatus::ROK);
        let mut esme = after.esme();
        esme.bind(b"secret").await;
        assert_eq!(esme.take_dlr().await, (ids[1].clone(), MessageState::Delivered));
    });
}

#[test]
fn a_late_receipt_that_may_be_an_early_one_waits_for_a_moment_only() {
    scenario(|| async {
        let world = world(FaultyDisk::new(), Clock::virtual_from(EVENING_MS), 9);
        let ids = moved(&world, &[RegisteredDelivery::FINAL; 2]).await;
        let (mut smsc, mut esme) = (world.smsc(), world.esme());
        smsc.accept_bind().await;
        esme.bind(b"secret").await;
        // A submit that is not answered: any unknown receipt may be of it.
        esme.submit(2).await;
        let frame = smsc.expect(CommandId::SUBMIT_SM).await;
        let before = world.clock.now().monotonic;
        assert_eq!(receipt(&mut smsc, 1, b"c-0").await, CommandStatus::ROK);
        let waited = world.clock.now().monotonic.saturating_sub(before);
        assert!(waited < Duration::from_millis(100), "{waited:?}");
        assert_eq!(esme.take_dlr().await, (ids[0].clone(), MessageState::Delivered));
        // One that is early, and one for nothing we know, wait as they always did.
        smsc.send_receipt(2, b"new", MessageState::Delivered).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let body = MessageIdResp {
            message_id: COctets::new(b"new").unwrap(),
            tlvs: Tlvs::NONE,
        };
        let sequence = frame.pdu().sequence;
        smsc.send(CommandStatus::ROK, sequence, Operation::SubmitSmResp(Some(body)))
            .await;
        let answer = smsc.expect(CommandId::DELIVER_SM_RESP).await;
        assert_eq!(
            (answer.pdu().status, answer.pdu().sequence),
            (CommandStatus::ROK, 2)
        );
        assert_eq!(esme.take_dlr().await.1, MessageState::Delivered);
        assert_eq!(unfinished(&world).0, 0);
    });
}

#[test]
fn a_receipt_with_two_ids_means_the_message_in_a_file_before_a_younger_one_in_memory() {
    scenario(|| async {
        let world = world(FaultyDisk::new(), Clock::virtual_from(EVENING_MS), 11);
        let ids = moved(&world, &[RegisteredDelivery::FINAL]).await;
        let (mut smsc, mut esme) = (world.smsc(), world.esme());
        smsc.accept_bind().await;
        esme.bind(b"secret").await;
        // It got the number that the older one's receipt bears in its text, written in another base.
        let younger = esme.submit(2).await;
        smsc.take_submit(b"12345").await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        for (sequence, tlv_id, id) in [(1, Some(&b"c-0"[..]), &ids[0]), (2, None, &younger)] {
            smsc.send_receipt_of_two(sequence, tlv_id, b"12345", MessageState::Delivered)
                .await;
            let answer = smsc.expect(CommandId::DELIVER_SM_RESP).await;
            assert_eq!(answer.pdu().status, CommandStatus::ROK);
            assert_eq!(esme.take_dlr().await, (id.clone(), MessageState::Delivered));
        }
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(unfinished(&world), (0, 0));
    });
}
