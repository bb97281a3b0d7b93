//! That an opt-out which was acknowledged is kept: over kills and power cuts, with a full disk and an audit log that fails, and
//! so that nobody can read of whom it is.

use std::time::Duration;

use tidegate_codec::pdu::message::{ShortMessage, Sm};
use tidegate_codec::tlv::{Tag, append};
use tidegate_store::audit::{Field, Kind, Source, Value};

use super::rig::*;
use super::*;

/// A number that no configuration has.
const NOBODYS: &[u8] = b"447700900999";

#[test]
fn opt_c12_a_stop_that_cannot_be_stored_is_not_acknowledged_nor_confirmed() {
    scenario(|| async {
        let mut rig = Rig::new(config(&[]), 8).await;
        let mo = || Sm {
            short_message: ShortMessage::new(b"STOP").unwrap(),
            ..sm(R, S)
        };
        let full = std::io::ErrorKind::StorageFull;
        rig.world.disk.fail_on(Op::Write, "spool", 0, 1, full);
        assert_eq!(rig.deliver(mo()).await, CommandStatus::RX_T_APPN);
        // Nothing is confirmed, and nobody is blocked by what did not happen.
        rig.sees_next(S, R).await;
        assert_eq!(
            rig.deliver(mo()).await,
            CommandStatus::ROK,
            "its carrier tries again"
        );
        assert!(rig.take_reply(S, R).await.starts_with("Example A"));
        assert_eq!(rig.submit(S, R).await, OPTED_OUT);
    });
}

#[test]
fn opt_c13_a_stop_outlives_a_kill_right_behind_its_acknowledgement() {
    scenario(|| async {
        for journaled in [false, true] {
            let mut rig = Rig::new(config(&[]), 9).await;
            let mo = Sm {
                short_message: ShortMessage::new(b"STOP").unwrap(),
                ..sm(R, S)
            };
            assert_eq!(rig.deliver(mo).await, CommandStatus::ROK);
            rig.take_mo().await;
            rig.take_reply(S, R).await;
            if journaled {
                rig.after(Duration::from_secs(2)).await;
            }
            let mut rig = rig.killed(10).await;
            assert_eq!(rig.submit(S, R).await, OPTED_OUT);
            assert_eq!(rig.submit(S2, R).await, OPTED_OUT);
            let mut rig = rig.killed(11).await;
            assert_eq!(rig.submit(S, R).await, OPTED_OUT, "and another one");
        }
    });
}

#[test]
fn opt_c19_a_repeat_by_its_own_id_changes_nothing_over_a_restart_either() {
    scenario(|| async {
        let mut rig = Rig::new(config(&[]), 18).await;
        let mut tlvs = Vec::new();
        assert!(append(&mut tlvs, Tag::RECEIPTED_MESSAGE_ID, b"mo-1\0"));
        let stop = || Sm {
            short_message: ShortMessage::new(b"STOP").unwrap(),
            tlvs: Tlvs::new(&tlvs),
            ..sm(R, S)
        };
        assert!(rig.deliver(stop()).await.is_ok());
        rig.take_mo().await;
        rig.take_reply(S, R).await;
        rig.mo(R, S, "START").await;
        rig.take_reply(S, R).await;
        rig.after(Duration::from_secs(1)).await;
        let mut rig = rig.killed(19).await;
        assert!(rig.deliver(stop()).await.is_ok());
        rig.sees_next(S, R).await;
    });
}

/// What the audit log holds of opt-outs: their places in the spool, of which none may be twice.
fn entered(disk: &FaultyDisk) -> Vec<(Source, String)> {
    let mut found = Vec::new();
    let bad = tidegate_store::audit::read(disk, "audit".as_ref(), |logged| {
        if logged.entry.kind == Kind::OptOutAdded {
            let scope = logged.entry.details.iter().find_map(|detail| match detail {
                (Field::Scope, Value::Word(word)) => Some(word.as_str().to_owned()),
                _ => None,
            });
            found.push((logged.entry.source.unwrap(), scope.unwrap()));
        }
    });
    assert_eq!(bad.unwrap(), None);
    found
}

#[test]
fn a_stop_is_acknowledged_while_the_audit_log_fails_and_entered_once_when_it_works_again() {
    for (op, with_kill) in [
        (Op::Write, false),
        (Op::Sync, false),
        (Op::Write, true),
        (Op::Sync, true),
    ] {
        scenario(|| async {
            let mut setup = Setup::new(config(&[]), 1 << 20, 1 << 28);
            setup.is_audited = true;
            let clock = Clock::virtual_from(START_MS);
            let mut rig = Rig::on(setup, FaultyDisk::new(), clock, 48).await;
            let waiting = |rig: &Rig| {
                let hub = &rig.world.hub;
                hub.with_gate(|gate, _| gate.spool().standing().waiting())
            };
            rig.after(Duration::from_secs(5)).await;
            assert!(!rig.world.health.ready().1.contains("audit"));
            rig.world
                .disk
                .fail_on(op, "audit", 0, 1 << 30, std::io::ErrorKind::Other);
            let before = entered(&rig.world.disk.crash()).len();
            rig.stop(R, S).await;
            rig.after(Duration::from_secs(90)).await;
            assert_eq!(rig.submit(S, R).await, OPTED_OUT);
            assert!(waiting(&rig) > 0, "it waits in the spool");
            assert!(rig.world.health.ready().1.contains("audit log failing"));
            assert_eq!(entered(&rig.world.disk.crash()).len(), before);
            rig.world.disk.heal();
            if with_kill {
                rig = rig.killed(49).await;
            }
            rig.after(Duration::from_secs(120)).await;
            assert_eq!(waiting(&rig), 0, "{op:?}");
            assert!(!rig.world.health.ready().1.contains("audit"));
            let rig = rig.killed(50).await;
            let found = entered(&rig.world.disk.crash());
            let mut scopes: Vec<&str> = found.iter().map(|(_, scope)| scope.as_str()).collect();
            scopes.sort_unstable();
            assert_eq!(scopes, ["account A", "sender 55555"], "{op:?}: each once");
            assert!(found[0].0 < found[1].0);
        });
    }
}

/// The power goes at every change of the disk in turn while a STOP comes in, goes to the journal and is confirmed. What was
/// acknowledged holds after the start, whatever else is lost.
#[test]
fn a_power_cut_at_any_step_of_a_stop_takes_none_that_was_acknowledged() {
    let (mut acknowledged, mut cuts) = (0, 0);
    for position in 0..200 {
        let told = std::cell::Cell::new((false, false));
        scenario(|| async {
            let mut rig = Rig::new(config(&[]), 40).await;
            rig.after(Duration::from_secs(1)).await;
            let before = rig.world.disk.counts().changes;
            rig.world.disk.cut_power_after(position);
            let mo = Sm {
                short_message: ShortMessage::new(b"STOP").unwrap(),
                ..sm(R, S)
            };
            let status = rig.deliver(mo).await;
            if status.is_ok() {
                // The journal, the hand-over of the answer, the settling of the message.
                for _ in 0..40 {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
            let was_cut = rig.world.disk.counts().changes > before + position;
            told.set((status.is_ok(), was_cut));
            let clock = rig.world.clock.clone();
            let disk = rig.world.kill().crash();
            let mut rig = Rig::on(rig.setup, disk, clock, 41).await;
            if status.is_ok() {
                assert_eq!(rig.submit(S, R).await, OPTED_OUT, "cut behind {position}");
                assert_eq!(rig.submit(S2, R).await, OPTED_OUT, "cut behind {position}");
            }
            // And what it comes to by then is whole: the next STOP and START are as good.
            for (text, expected) in [(&b"STOP"[..], OPTED_OUT), (b"START", CommandStatus::ROK)] {
                let mo = Sm {
                    short_message: ShortMessage::new(text).unwrap(),
                    ..sm(R2, S)
                };
                assert_eq!(rig.deliver(mo).await, CommandStatus::ROK);
                assert_eq!(rig.submit(S, R2).await, expected, "cut behind {position}");
            }
        });
        let (is_acknowledged, was_cut) = told.get();
        acknowledged += u32::from(is_acknowledged);
        if !was_cut {
            break;
        }
        cuts += 1;
    }
    println!("a STOP: {cuts} cuts, {acknowledged} acknowledged before");
    assert!(
        cuts > 6 && acknowledged > 4,
        "{cuts} cuts, {acknowledged} acknowledged"
    );
}

/// Nobody's number stands on the disk as it is written: in digits, as UTF-16, or in semi-octets.
#[test]
fn who_has_opted_out_cannot_be_read_from_any_file() {
    scenario(|| async {
        let mut setup = Setup::new(config(&[]), 1 << 20, 1 << 28);
        setup.is_audited = true;
        let mut rig = Rig::on(setup, FaultyDisk::new(), Clock::virtual_from(START_MS), 42).await;
        rig.stop(R, S).await;
        // It may be a person's number that was called: nobody says that it is ours.
        let mo = Sm {
            short_message: ShortMessage::new(b"STOP").unwrap(),
            ..sm(R, NOBODYS)
        };
        assert_eq!(rig.deliver(mo).await, CommandStatus::ROK);
        rig.after(Duration::from_secs(2)).await;
        let journaled = rig
            .world
            .hub
            .with_gate(|gate, _| gate.spool().standing().waiting());
        assert_eq!(journaled, 0);
        let utf16: Vec<u8> = R.iter().flat_map(|digit| [0, *digit]).collect();
        let semi_octets: Vec<u8> = R
            .chunks(2)
            .map(|pair| (pair.get(1).map_or(15, |digit| digit - b'0') << 4) | (pair[0] - b'0'))
            .collect();
        let disk = &rig.world.disk;
        let (mut files, mut octets) = (0, 0);
        for path in disk.paths() {
            let held = disk.octets(&path).unwrap_or_default();
            for (form, needle) in [
                ("digits", R),
                ("the called number", NOBODYS),
                ("UTF-16", &utf16),
                ("semi-octets", &semi_octets),
            ] {
                let found = held.windows(needle.len()).any(|window| window == needle);
                assert!(!found, "{} holds it as {form}", path.display());
            }
            files += usize::from(path.starts_with("standing") || path.starts_with("audit"));
            octets += held.len();
        }
        assert!(
            files > 2 && octets > 1_000,
            "{files} files, {octets} octets were looked at"
        );
    });
}

/// The opt-out is heard; its message finds room with the repeat, and is confirmed then.
#[test]
fn a_stop_whose_message_found_no_room_is_taken_in_whole_when_it_comes_again() {
    scenario(|| async {
        let mut rig = Rig::new(config(&[(OF_A, "outbox_max = 1")]), 48).await;
        let mut tlvs = Vec::new();
        assert!(append(&mut tlvs, Tag::RECEIPTED_MESSAGE_ID, b"mo-9\0"));
        let stop = || Sm {
            short_message: ShortMessage::new(b"STOP").unwrap(),
            tlvs: Tlvs::new(&tlvs),
            ..sm(R, S)
        };
        // The only place is taken by a message that its client does not answer.
        let other = Sm {
            short_message: ShortMessage::new(b"hello").unwrap(),
            ..sm(R2, S)
        };
        assert_eq!(rig.deliver(other).await, CommandStatus::ROK);
        let held = rig.a.expect(CommandId::DELIVER_SM).await;
        assert_eq!(rig.deliver(stop()).await, CommandStatus::RX_T_APPN);
        assert_eq!(rig.submit(S, R).await, OPTED_OUT, "it is heard all the same");
        answer_mo(&mut rig.a, &held).await;
        rig.after(Duration::from_millis(100)).await;
        assert_eq!(rig.deliver(stop()).await, CommandStatus::ROK);
        assert_eq!(text_of(&rig.take_mo().await), "STOP");
        rig.take_reply(S, R).await;
        // And once more it is the one that came before.
        assert_eq!(rig.deliver(stop()).await, CommandStatus::ROK);
        rig.sees_next(S, R2).await;
    });
}
