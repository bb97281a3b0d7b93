//! The whole gateway on one thread, in virtual time, over pipes and a disk in memory: proof that the seams
//! (disk, clock, randomness, stream, turn, keeper) hold together, and minutes of waiting in a moment.

mod abuse;
mod caps;
mod consent;
mod countries;
mod destinations;
mod fairness;
mod handsets;
mod holds;
mod hours;
mod late;
mod long_messages;
mod opt_outs;
mod opt_outs_answered;
mod opt_outs_by_command;
mod opt_outs_heard;
mod opt_outs_kept;
mod opt_outs_scopes;
mod quotas;
mod rates;
mod revoked;
mod rig;
mod routes;
mod stuck;
mod sweeps;
mod sweeps_at_random;
mod unfetched;
mod windows;

use std::time::Duration;

use tidegate_codec::header::CommandId;
use tidegate_codec::octets::COctets;
use tidegate_codec::pdu::Operation;
use tidegate_codec::pdu::response::MessageIdResp;
use tidegate_codec::status::CommandStatus;
use tidegate_codec::tlv::Tlvs;
use tidegate_codec::values::MessageState;
use tidegate_gateway::clock::Clock;
use tidegate_gateway::origin::Origin;
use tidegate_store::disk::{FaultyDisk, Op};

use crate::wire::message;
use crate::world::{START_MS, Setup, World, bench_config, bench_config_lines, scenario};

#[test]
fn a_message_goes_out_and_its_receipt_comes_back() {
    scenario(|| async {
        let clock = Clock::virtual_from(START_MS);
        let world = World::start(FaultyDisk::new(), clock, 1);
        let mut smsc = world.smsc();
        smsc.accept_bind().await;
        let mut esme = world.esme();
        assert_eq!(esme.bind(b"wrong").await, CommandStatus::RBINDFAIL);
        assert_eq!(esme.bind(b"secret").await, CommandStatus::ROK);
        let id = esme.submit(2).await;
        let forwarded = smsc.take_submit(b"c-1").await;
        assert_eq!(forwarded.sm().text().0, b"hello");
        smsc.send_receipt(7, b"c-1", MessageState::Delivered).await;
        assert_eq!(
            smsc.expect(CommandId::DELIVER_SM_RESP).await.pdu().status,
            CommandStatus::ROK
        );
        assert_eq!(esme.take_dlr().await, (id, MessageState::Delivered));
        tokio::time::sleep(Duration::from_secs(1)).await;
        world.hub.with_gate(|gate, _| {
            assert!(gate.spool().index().is_empty() && gate.spool().outbox().is_empty());
        });
    });
}

/// A receiver whose application hangs: its link answers enquire_links and nothing else.
#[test]
fn a_receiver_that_answers_no_delivery_is_unbound_and_another_gets_them() {
    scenario(|| async {
        let world = World::start(FaultyDisk::new(), Clock::virtual_from(START_MS), 5);
        let mut smsc = world.smsc();
        smsc.accept_bind().await;
        let mut hangs = world.esme();
        hangs.bind(b"secret").await;
        let mut ids = Vec::new();
        for number in 0..5 {
            ids.push(hangs.submit(number + 2).await);
            smsc.take_submit(format!("c-{number}").as_bytes()).await;
        }
        for number in 0..5 {
            let id = format!("c-{number}");
            smsc.send_receipt(number + 1, id.as_bytes(), MessageState::Delivered)
                .await;
        }
        let mut seen = 0;
        let unbind = loop {
            assert!(seen < 50, "offered again and again, and never unbound");
            let frame = hangs.next().await;
            let (id, sequence) = (frame.pdu().operation.command_id(), frame.pdu().sequence);
            match id {
                CommandId::DELIVER_SM => seen += 1,
                CommandId::ENQUIRE_LINK => hangs.send_empty(CommandId::ENQUIRE_LINK_RESP, sequence).await,
                CommandId::UNBIND => break sequence,
                other => panic!("{other}"),
            }
        };
        assert!(seen >= 3, "{seen}");
        // Whoever leaves is no stranger, and may come back while it is still there.
        let home = Origin::from(std::net::IpAddr::from([127, 0, 0, 1]));
        let strangers = |world: &World| world.hub.with_gate(|gate, _| gate.crowd(home).unbound_from_here);
        assert_eq!(strangers(&world), 0);
        let stranger = world.esme();
        assert_eq!(strangers(&world), 1);
        drop(stranger);
        hangs.send_empty(CommandId::UNBIND_RESP, unbind).await;
        let mut other = world.esme();
        other.bind(b"secret").await;
        let mut found = Vec::new();
        for _ in 0..5 {
            found.push(other.take_dlr().await.0);
        }
        found.sort();
        ids.sort();
        assert_eq!(found, ids);
    });
}

/// A carrier of 5.0 that says so in nothing but the answer to an enquire_link.
#[test]
fn a_carrier_nearing_congestion_is_sent_less_before_it_refuses_anything() {
    scenario(|| async {
        let world = World::start(FaultyDisk::new(), Clock::virtual_from(START_MS), 4);
        let mut smsc = world.smsc();
        smsc.accept_bind().await;
        let mut esme = world.esme();
        esme.bind(b"secret").await;
        // Enough answers over enough time to know what it takes.
        for number in 0..60 {
            esme.submit(number + 2).await;
            smsc.take_submit(format!("c-{number}").as_bytes()).await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let is_slowed = || {
            world
                .hub
                .with_gate(|gate, now| gate.carriers()[0].flow.is_slowed(now.monotonic))
        };
        for (state, slowed) in [(90, false), (101, false), (91, true)] {
            let asked = smsc.expect_enquiry().await;
            let load = [0x04, 0x28, 0, 1, state];
            let answer = Operation::EnquireLinkResp(Tlvs::new(&load));
            smsc.send(CommandStatus::ROK, asked, answer).await;
            tokio::time::sleep(Duration::from_millis(10)).await;
            assert_eq!(is_slowed(), slowed, "at {state}");
        }
    });
}

#[test]
fn a_receipt_that_overtakes_its_answer_finds_its_message() {
    scenario(|| async {
        let world = World::start(FaultyDisk::new(), Clock::virtual_from(START_MS), 2);
        let (mut smsc, mut other) = (world.smsc(), world.smsc());
        smsc.accept_bind().await;
        other.accept_bind().await;
        let mut esme = world.esme();
        esme.bind(b"secret").await;
        let id = esme.submit(2).await;
        // Which link got it is the gateway's choice; the receipt comes on the other one, first.
        let (mut first, mut second) = (smsc, other);
        let frame = tokio::select! {
            frame = first.expect(CommandId::SUBMIT_SM) => frame,
            frame = second.expect(CommandId::SUBMIT_SM) => {
                std::mem::swap(&mut first, &mut second);
                frame
            }
        };
        second.send_receipt(1, b"c-9", MessageState::Undeliverable).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let body = MessageIdResp {
            message_id: COctets::new(b"c-9").unwrap(),
            tlvs: Tlvs::NONE,
        };
        first
            .send(
                CommandStatus::ROK,
                frame.pdu().sequence,
                Operation::SubmitSmResp(Some(body)),
            )
            .await;
        assert_eq!(
            second.expect(CommandId::DELIVER_SM_RESP).await.pdu().status,
            CommandStatus::ROK
        );
        assert_eq!(esme.take_dlr().await, (id, MessageState::Undeliverable));
    });
}

#[test]
fn without_a_receipt_the_deadline_says_unknown() {
    scenario(|| async {
        let world = World::start(FaultyDisk::new(), Clock::virtual_from(START_MS), 3);
        let mut smsc = world.smsc();
        smsc.accept_bind().await;
        let mut esme = world.esme();
        esme.bind(b"secret").await;
        let id = esme.submit(2).await;
        smsc.take_submit(b"c-1").await;
        let before = world.clock.now().unix_ms;
        let dlr = tokio::select! {
            dlr = esme.take_dlr() => dlr,
            never = smsc.keep_alive() => match never {},
        };
        assert_eq!(dlr, (id, MessageState::Unknown));
        let waited = Duration::from_millis(world.clock.now().unix_ms - before);
        let deadline = bench_config().carriers[0].receipt_deadline;
        assert!(
            waited >= deadline && waited < deadline + Duration::from_secs(60),
            "{waited:?}"
        );
    });
}

#[test]
fn what_was_acknowledged_survives_a_power_cut_and_is_handed_over_after_it() {
    scenario(|| async {
        let clock = Clock::virtual_from(START_MS);
        let world = World::start(FaultyDisk::new(), clock.clone(), 4);
        let mut esme = world.esme();
        esme.bind(b"secret").await;
        let mut ids = vec![esme.submit(2).await, esme.submit(3).await];
        // Nothing but what was synced is left.
        let after = World::start(world.disk.crash(), clock, 5);
        let mut smsc = after.smsc();
        smsc.accept_bind().await;
        for id in [b"c-1", b"c-2"] {
            assert_eq!(smsc.take_submit(id).await.sm().text().0, b"hello");
        }
        for (number, id) in [b"c-1", b"c-2"].iter().enumerate() {
            smsc.send_receipt(u32::try_from(number).unwrap() + 1, *id, MessageState::Delivered)
                .await;
            smsc.expect(CommandId::DELIVER_SM_RESP).await;
        }
        let mut again = after.esme();
        again.bind(b"secret").await;
        let mut received = vec![again.take_dlr().await.0, again.take_dlr().await.0];
        ids.sort();
        received.sort();
        assert_eq!(received, ids);
    });
}

#[test]
fn a_full_disk_sends_a_receipt_back_and_mixes_up_no_dlr_afterwards() {
    scenario(|| async {
        let world = World::start(FaultyDisk::new(), Clock::virtual_from(START_MS), 6);
        let mut smsc = world.smsc();
        smsc.accept_bind().await;
        let mut esme = world.esme();
        esme.bind(b"secret").await;
        let mut ids = vec![esme.submit(2).await, esme.submit(3).await, esme.submit(4).await];
        for id in [b"c-1", b"c-2", b"c-3"] {
            smsc.take_submit(id).await;
        }
        // Hand-overs are flushed before the disk is made to refuse one write.
        tokio::time::sleep(Duration::from_millis(200)).await;
        world
            .disk
            .fail_next(Op::Write, 1, std::io::ErrorKind::StorageFull);
        smsc.send_receipt(1, b"c-1", MessageState::Delivered).await;
        let answer = smsc.expect(CommandId::DELIVER_SM_RESP).await;
        assert_eq!(answer.pdu().status, CommandStatus::RX_T_APPN);
        for (sequence, id) in [(2, b"c-2"), (3, b"c-3")] {
            smsc.send_receipt(sequence, id, MessageState::Delivered).await;
            assert_eq!(
                smsc.expect(CommandId::DELIVER_SM_RESP).await.pdu().status,
                CommandStatus::ROK
            );
        }
        // The ending that was given back was kept, so its DLR comes too, each once and with its own id.
        let mut received = Vec::new();
        for _ in 0..3 {
            received.push(esme.take_dlr().await.0);
        }
        ids.sort();
        received.sort();
        assert_eq!(received, ids);
    });
}

#[test]
fn a_repeated_receipt_is_not_acknowledged_before_the_first_one_is_on_disk() {
    scenario(|| async {
        let world = World::start(FaultyDisk::new(), Clock::virtual_from(START_MS), 12);
        let mut smsc = world.smsc();
        smsc.accept_bind().await;
        let mut esme = world.esme();
        esme.bind(b"secret").await;
        let id = esme.submit(2).await;
        smsc.take_submit(b"c-1").await;
        // Another one stays unanswered for a while: what is unknown may be of it.
        esme.submit(3).await;
        let open = smsc.expect(CommandId::SUBMIT_SM).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        world
            .disk
            .fail_next(Op::Write, u64::MAX, std::io::ErrorKind::StorageFull);
        for sequence in 1..=2 {
            smsc.send_receipt(sequence, b"c-1", MessageState::Delivered).await;
            if sequence == 2 {
                let refusal = Operation::SubmitSmResp(None);
                let open = open.pdu().sequence;
                smsc.send(CommandStatus::RINVDSTADR, open, refusal).await;
            }
            let answer = smsc.expect(CommandId::DELIVER_SM_RESP).await;
            assert_eq!(
                answer.pdu().status,
                CommandStatus::RX_T_APPN,
                "nothing is on disk"
            );
        }
        world.disk.heal();
        assert_eq!(esme.take_dlr().await, (id, MessageState::Delivered));
    });
}

/// What stood in line for it was looked for by whether it was up at two ticks: it was not at either.
#[test]
fn what_a_carrier_got_that_came_and_went_between_two_looks_goes_to_the_next_one() {
    scenario(|| async {
        let mut config = bench_config_lines(&[(
            "window = 500",
            "[[carrier]]\nname = \"next\"\naddresses = [\"127.0.0.1:2901\"]\nsystem_id = \"tidegate\"\n\
                 password_file = \"config/bench-sink.password\"",
        )]);
        config.carriers[0].window = 1;
        config.mt_routes[0].carriers = config
            .carriers
            .iter()
            .map(|carrier| carrier.name.clone())
            .collect();
        let setup = Setup::new(config, 1 << 20, 1 << 28);
        let world = World::start_with(&setup, FaultyDisk::new(), Clock::virtual_from(START_MS), 13).unwrap();
        let mut next = world.smsc_of(1);
        next.accept_bind().await;
        let mut esme = world.esme();
        esme.bind(b"secret").await;
        // A tick has just been.
        tokio::time::sleep(Duration::from_millis(201)).await;
        let begin = world.clock.now().monotonic;
        let mut first = world.smsc();
        first.accept_bind().await;
        for sequence in 2..5 {
            esme.submit(sequence).await;
        }
        first.expect(CommandId::SUBMIT_SM).await;
        let waiting = world.hub.with_gate(|gate, _| gate.carriers()[0].waiting.len());
        assert_eq!(waiting, 2);
        drop(first);
        let taking = async {
            for id in [b"c-1", b"c-2", b"c-3"] {
                next.take_submit(id).await;
            }
        };
        let taken = tokio::time::timeout(Duration::from_secs(10), taking).await;
        assert!(taken.is_ok(), "they wait for one that is down");
        let took = world.clock.now().monotonic.saturating_sub(begin);
        assert!(took < Duration::from_millis(100), "{took:?}");
    });
}

/// Found by the seeded simulation: the paused link and the turn woke each other for as long as the keeper took.
#[test]
fn a_link_that_waits_for_a_segment_keeps_no_turn_going() {
    scenario(|| async {
        let mut setup = Setup::new(bench_config(), 16 << 10, 1 << 24);
        setup.keeper_late_ms = 500..=500;
        let clock = Clock::virtual_from(START_MS);
        let world = World::start_with(&setup, FaultyDisk::new(), clock, 7).unwrap();
        let mut esme = world.esme();
        esme.bind(b"secret").await;
        for sequence in 2..302 {
            let operation = Operation::SubmitSm(message());
            esme.send(CommandStatus::ROK, sequence, operation).await;
        }
        let turns = || world.hub.look(|gate, _| gate.tally().turns);
        let before = turns();
        for _ in 0..2_000 {
            tokio::task::yield_now().await;
        }
        // The first segment and the batch behind it are full, and time stands still.
        assert!(!world.hub.look(|gate, _| gate.spool().has_batch_room()));
        assert!(turns() - before < 100, "{}", turns() - before);
        for _ in 2..302 {
            let answer = esme.expect(CommandId::SUBMIT_SM_RESP).await;
            assert_eq!(answer.pdu().status, CommandStatus::ROK);
        }
    });
}

/// Found by the seeded simulation: the leg had ended in memory only, so that its receipt, sent again as asked, was
/// taken for one of nothing that is known and acknowledged.
#[test]
fn a_receipt_that_could_not_be_synced_is_refused_until_a_restart_has_read_the_disk() {
    scenario(|| async {
        let clock = Clock::virtual_from(START_MS);
        let world = World::start(FaultyDisk::new(), clock.clone(), 8);
        let mut smsc = world.smsc();
        smsc.accept_bind().await;
        let mut esme = world.esme();
        esme.bind(b"secret").await;
        let id = esme.submit(2).await;
        smsc.take_submit(b"c-1").await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        world.disk.fail_next(Op::Sync, 1, std::io::ErrorKind::Other);
        for sequence in [1, 2] {
            smsc.send_receipt(sequence, b"c-1", MessageState::Delivered).await;
            let answer = smsc.expect(CommandId::DELIVER_SM_RESP).await;
            assert_eq!(answer.pdu().status, CommandStatus::RX_T_APPN, "{sequence}");
        }
        let after = World::start(world.kill().crash(), clock, 9);
        let mut smsc = after.smsc();
        smsc.accept_bind().await;
        smsc.send_receipt(1, b"c-1", MessageState::Delivered).await;
        let answer = smsc.expect(CommandId::DELIVER_SM_RESP).await;
        assert_eq!(answer.pdu().status, CommandStatus::ROK);
        let mut esme = after.esme();
        esme.bind(b"secret").await;
        assert_eq!(esme.take_dlr().await, (id, MessageState::Delivered));
    });
}

/// Found by the seeded simulation: footers and copies repeated the date of a leg that stands in line, its expiry, and a
/// start believed them, so that it waited for that.
#[test]
fn what_stands_in_line_goes_on_after_a_restart_wherever_its_record_lies() {
    scenario(|| async {
        let setup = Setup::new(bench_config(), 16 << 10, 1 << 24);
        let clock = Clock::virtual_from(START_MS);
        let world = World::start_with(&setup, FaultyDisk::new(), clock.clone(), 9).unwrap();
        let mut esme = world.esme();
        esme.bind(b"secret").await;
        for sequence in 2..202 {
            esme.submit(sequence).await;
        }
        // Closed segments get their footers.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let after = World::start_with(&setup, world.kill(), clock, 10).unwrap();
        assert!(after.recovered.by_footer > 1 && after.recovered.legs == 200);
        let mut smsc = after.smsc();
        smsc.accept_bind().await;
        for number in 0..200 {
            let id = format!("c-{number}");
            let taken = smsc.take_submit(id.as_bytes());
            tokio::time::timeout(Duration::from_secs(1), taken).await.unwrap();
        }
    });
}
