//! Waiting files through power cuts, faults and damage.

use std::io::ErrorKind;

use rand_core::Rng;
use tidegate_codec::message_id::MessageIdText;
use tidegate_codec::values::MessageState;

use crate::disk::{Access, Disk, Op};
use crate::keyring::Owner;
use crate::waiting::HOUR_MS;

use super::rig::NOW;
use super::tests_waits::{World, waits};
use super::{Back, Begin, CommitOutcome, Ending, Finished};

// ===== power cuts =====

/// Everything that changes a file: several moves, merges, late receipts, the end of hours.
pub(super) fn script(world: &mut World) {
    world.rig.now_ms += 700_000;
    for step in 0..60 {
        world.rig.now_ms += 1_000;
        if world.rig.spool.is_broken() {
            return;
        }
        world.rig.commit();
        world.chores();
        world.dates();
        if step >= 20 && step % 4 == 0 {
            world.receipt(step);
            world.receipt(step);
        }
        if step == 45 {
            world.rig.now_ms += 4 * HOUR_MS;
        }
    }
}

fn handed(seed: u64) -> World {
    let mut world = World::new(seed, waits(8 * 1024));
    world.hand_over(160, 3 * HOUR_MS);
    world.rig.now_ms = NOW + 40_000;
    world.hand_over(20, 2 * HOUR_MS);
    world.rest();
    world
}

#[test]
fn wherever_the_power_goes_each_leg_ends_once() {
    let mut whole = handed(1);
    let before = whole.rig.disk.counts().changes;
    script(&mut whole);
    let changes = whole.rig.disk.counts().changes - before;
    assert!(changes > 100, "{changes}");
    let counts = whole.rig.spool.waiting();
    assert!(counts.moved == 180 && counts.passed > 100, "{counts:?}");
    for cut in 0..changes {
        let mut world = handed(1);
        world.rig.disk.cut_power_after(cut);
        script(&mut world);
        let disk = if cut % 2 == 0 {
            world.rig.disk.crash()
        } else {
            let mut rng = crate::testing::rng();
            (0..cut).for_each(|_| _ = rng.next_u32());
            world.rig.disk.crash_with(&mut rng)
        };
        let world = world.start(disk);
        assert!(
            !world.rig.found.is_alarming(),
            "cut after {cut}: {:?}",
            world.rig.found
        );
        world.check_all_ended_once(&format!("cut after {cut}"));
    }
}

#[test]
fn faults_and_restarts_at_any_time_end_each_leg_once() {
    for seed in 0..80 {
        let mut world = handed(seed);
        for _ in 0..4 {
            let with_faults = world.rig.one_in(2);
            for _ in 0..60 {
                world.rig.now_ms += u64::from(world.rig.below(30_000));
                if with_faults && world.rig.one_in(5) {
                    let ops = [
                        Op::Write,
                        Op::Sync,
                        Op::Create,
                        Op::Unlink,
                        Op::SyncDir,
                        Op::Rename,
                        Op::Read,
                    ];
                    let op = world.rig.pick(&ops).unwrap();
                    let skip = u64::from(world.rig.below(4));
                    let place = if world.rig.one_in(4) { "spool" } else { "waiting" };
                    let kind = if world.rig.one_in(2) {
                        ErrorKind::StorageFull
                    } else {
                        ErrorKind::Other
                    };
                    world.rig.disk.fail_on(op, place, skip, 1, kind);
                }
                match world.rig.below(5) {
                    0 => {
                        if let Begin::Commit(commit) = world.rig.begin() {
                            world.rig.finish(commit.run());
                        }
                    }
                    1 => {
                        if let Some(chore) = world.rig.spool.next_chore(world.rig.now_ms) {
                            let done = world.rig.keeper.run(chore, &mut world.rig.rng);
                            world.done(done);
                        }
                    }
                    2 => {
                        let leg = world.rig.below(200);
                        world.receipt(leg);
                    }
                    3 => world.dates(),
                    _ => _ = world.turn(),
                }
            }
            let disk = match world.rig.below(3) {
                0 => world.rig.disk.clone(),
                1 => world.rig.disk.crash(),
                _ => world.rig.disk.crash_with(&mut world.rig.rng),
            };
            world = world.start(disk);
            assert!(
                !world.rig.found.is_alarming(),
                "seed {seed}: {:?}",
                world.rig.found
            );
        }
        world.check_all_ended_once(&format!("seed {seed}"));
    }
}

// ===== damage =====

fn moved(seed: u64) -> World {
    let mut world = World::new(seed, waits(1 << 20));
    world.hand_over(60, 3 * HOUR_MS);
    world.cool();
    assert_eq!((world.waiting(), world.files().len()), (60, 1));
    world
}

#[test]
fn a_header_is_read_where_it_is_whole_and_a_file_without_one_is_set_aside() {
    let world = moved(20);
    let path = world.files().remove(0);
    let end = world.rig.disk.octets(&path).unwrap().len() as u64;
    let disk = world.rig.disk.crash();
    assert!(disk.damage(&path, 20, b"damage"));
    let world = world.start(disk);
    assert_eq!(
        (world.rig.found.waiting, world.rig.found.is_alarming()),
        (60, false)
    );
    let disk = world.rig.disk.crash();
    assert!(disk.damage(&path, end - 100, b"damage"));
    let mut world = world.start(disk);
    assert_eq!((world.rig.found.waiting, world.rig.found.waiting_damaged), (0, 1));
    assert!(!world.receipt(1));
    // Its key stays as long as the file does.
    assert_eq!(world.rig.keeper.ring().live(Owner::Waiting).len(), 1);
    assert!(world.files()[0].to_string_lossy().ends_with(".damaged"));
}

#[test]
fn a_damaged_filter_is_made_anew() {
    let world = moved(21);
    let path = world.files().remove(0);
    let octets = world.rig.disk.octets(&path).unwrap();
    let disk = world.rig.disk.crash();
    assert!(disk.damage(&path, octets.len() as u64 - 512 - 9, b"damage"));
    let mut world = world.start(disk);
    assert_eq!(
        (world.rig.found.waiting, world.rig.found.waiting_damaged),
        (60, 1)
    );
    assert!((0..60).all(|leg| world.receipt(leg)));
}

#[test]
fn a_damaged_record_is_counted_and_the_others_end() {
    let mut world = moved(22);
    let path = world.files().remove(0);
    let octets = world.rig.disk.octets(&path).unwrap();
    let header = crate::waiting::format::Header::read(&octets).unwrap();
    let disk = world.rig.disk.clone();
    assert!(disk.damage(&path, header.records_at() + 100, b"damage"));
    for _ in 0..10 {
        world.pass_time(HOUR_MS / 2);
    }
    assert_eq!(world.dlrs().len(), 59);
    assert_eq!((world.waiting(), world.rig.spool.waiting().damaged), (0, 1));
    assert!(world.files().is_empty() && world.rig.keeper.ring().live(Owner::Waiting).is_empty());
}

#[test]
fn a_mark_that_could_not_be_synced_is_synced_by_the_next_try() {
    let mut world = World::new(12, waits(1 << 20));
    world.hand_over(20, 3 * HOUR_MS);
    world.cool();
    assert!(world.receipt(3));
    assert_eq!(world.rig.commit(), Some(CommitOutcome::Synced));
    // After a start it is known by its hash only.
    let mut world = world.crash();
    world
        .rig
        .disk
        .fail_on(Op::Sync, "waiting", 0, 2, ErrorKind::Other);
    world.rest();
    assert_eq!(world.waiting(), 19);
    let path = world.files().remove(0);
    let octets = world.rig.disk.crash().octets(&path).unwrap();
    let header = crate::waiting::format::Header::read(&octets).unwrap();
    let file = world.rig.disk.crash().open(&path, Access::Read).unwrap();
    let (done, _) = crate::waiting::done::Done::read(&file, header.room).unwrap();
    assert_eq!(done.count(), 1, "on the platters");
    world.check_all_ended_once("after two failed syncs");
}

#[test]
fn a_damaged_line_takes_no_other_along_when_runs_are_merged() {
    let mut world = World::new(13, waits(8 * 1024));
    world.hand_over(128, 3 * HOUR_MS);
    world.rig.now_ms += 700_000;
    let mut damaged = false;
    for _ in 0..100 {
        world.rig.now_ms += 1_000;
        world.rig.commit();
        if !damaged && let Some(path) = world.files().first() {
            let octets = world.rig.disk.octets(path).unwrap();
            let header = crate::waiting::format::Header::read(&octets).unwrap();
            damaged = world.rig.disk.damage(path, header.table_at() + 32, &[0x00, 0xff]);
        }
        world.chores();
    }
    assert_eq!(
        (world.waiting(), world.files().len()),
        (127, 1),
        "one was left behind"
    );
    assert_eq!(world.rig.spool.waiting().damaged, 1);
    let found = (0..128).filter(|leg| world.receipt(*leg)).count();
    assert_eq!(found, 127);
}

#[test]
fn a_full_disk_stops_a_move_and_nothing_else() {
    let mut world = World::new(11, waits(1 << 20));
    world.hand_over(300, 3 * HOUR_MS);
    world
        .rig
        .disk
        .fail_on(Op::Create, "waiting", 0, 3, ErrorKind::StorageFull);
    world
        .rig
        .disk
        .fail_on(Op::Write, "waiting", 1, 1, ErrorKind::StorageFull);
    world.rig.now_ms += 700_000;
    world.rest();
    assert_eq!((world.rig.spool.index().len(), world.waiting()), (300, 0));
    assert_eq!(world.files().len(), 0, "what failed is gone");
    for _ in 0..10 {
        world.pass_time(1_000);
    }
    assert_eq!((world.rig.spool.index().len(), world.waiting()), (0, 300));
    world.check_all_ended_once("after a full disk");
}

/// Fills segments with what is done with at once, so that all before them may go.
fn roll_on(world: &mut World) {
    for _ in 0..200 {
        let rig = &mut world.rig;
        let leg = rig.accept_body(&[b'x'; 400]).unwrap();
        rig.turn();
        rig.settle(leg, None).unwrap();
        rig.now_ms += 100;
        rig.turn();
    }
}

#[test]
fn a_segment_that_ended_a_leg_stays_until_the_mark_is_synced() {
    let mut world = World::new(14, waits(8 * 1024));
    world.hand_over(20, 3 * HOUR_MS);
    world.cool();
    // Without a DLR, which would hold the segment by itself.
    let carrier = world.rig.spool.intern("sink").unwrap();
    let id = MessageIdText::new(b"c3").unwrap();
    assert!(world.rig.spool.ask(1, carrier, &[id]).unwrap());
    let chore = world.rig.spool.next_chore(world.rig.now_ms).unwrap();
    let done = world.rig.keeper.run(chore, &mut world.rig.rng);
    let Finished::Found(mut answers) = world.rig.done(done) else {
        panic!("not found")
    };
    let found = answers.pop().unwrap().found.unwrap().unwrap();
    let Back::Fresh(leg) = world.rig.spool.bring_back(found) else {
        panic!("not fresh")
    };
    let at_ms = world.rig.now_ms;
    let state = MessageState::Delivered;
    let ending = Ending { state, at_ms };
    let (now, rng) = (world.rig.now_ms, &mut world.rig.rng);
    let settled = world.rig.spool.settle(now, leg, ending, None, true, rng);
    assert!(settled.unwrap().is_some());
    world
        .rig
        .disk
        .fail_on(Op::Sync, "waiting", 0, u64::MAX, ErrorKind::Other);
    roll_on(&mut world);
    assert!(world.rig.files().len() > 10, "it holds back all behind it");
    let mut world = world.crash();
    assert_eq!(world.rig.found.waiting, 20, "never marked");
    assert!(!world.receipt(3), "and ended all the same");
    // The next process cannot mark it either.
    world
        .rig
        .disk
        .fail_on(Op::Sync, "waiting", 0, u64::MAX, ErrorKind::Other);
    roll_on(&mut world);
    let mut world = world.crash();
    assert_eq!(world.rig.found.waiting, 20);
    assert!(!world.receipt(3));
    roll_on(&mut world);
    assert!(world.rig.files().len() < 4, "let go once it is marked");
    let mut world = world.crash();
    assert_eq!(world.rig.found.waiting, 19);
    assert!(!world.receipt(3));
}

#[test]
fn segments_that_say_what_moved_stay_until_the_run_is_confirmed() {
    let mut world = World::new(15, waits(8 * 1024));
    world.hand_over(20, 3 * HOUR_MS);
    world
        .rig
        .disk
        .fail_on(Op::Rename, "waiting", 0, u64::MAX, ErrorKind::Other);
    world.rig.now_ms += 700_000;
    roll_on(&mut world);
    assert_eq!(world.waiting(), 20);
    assert!(world.files()[0].to_string_lossy().ends_with(".moving"));
    let world = world.crash();
    assert_eq!(world.rig.found.waiting, 20, "the spool still says what moved");
    assert!(world.files()[0].to_string_lossy().ends_with(".waiting"));
    world.check_all_ended_once("never confirmed");
}

#[test]
fn of_a_run_that_was_not_confirmed_counts_what_the_spool_says() {
    let mut world = World::new(16, waits(1 << 20));
    world.hand_over(30, 3 * HOUR_MS);
    world.rig.now_ms += 700_000;
    loop {
        let chore = world.rig.spool.next_chore(world.rig.now_ms).unwrap();
        let moving = world.rig.spool.waits.under.moving;
        let done = world.rig.keeper.run(chore, &mut world.rig.rng);
        if moving {
            // Written; and meanwhile one has ended.
            assert!(world.receipt(7));
            world.done(done);
            break;
        }
        world.done(done);
    }
    assert_eq!(world.rig.commit(), Some(CommitOutcome::Synced));
    // The power goes before the keeper is told.
    let mut world = world.crash();
    assert_eq!(world.rig.found.waiting, 29);
    assert!(!world.receipt(7) && world.receipt(8));
    world.check_all_ended_once("not confirmed");
}

#[test]
fn of_a_run_that_the_spool_never_named_nothing_counts() {
    let mut world = World::new(17, waits(1 << 20));
    world.hand_over(30, 3 * HOUR_MS);
    world.rig.now_ms += 700_000;
    while let Some(chore) = world.rig.spool.next_chore(world.rig.now_ms) {
        let moving = world.rig.spool.waits.under.moving;
        let done = world.rig.keeper.run(chore, &mut world.rig.rng);
        if moving {
            break;
        }
        world.done(done);
    }
    assert_eq!(world.files().len(), 1);
    let world = world.crash();
    assert_eq!((world.rig.found.waiting, world.rig.found.legs), (0, 30));
    assert!(world.files().is_empty());
    world.check_all_ended_once("never named");
}

#[test]
fn a_merged_file_that_cannot_be_removed_does_not_come_back_when_its_heir_is_merged_too() {
    let mut world = World::new(18, waits(8 * 1024));
    world.hand_over(1100, 3 * HOUR_MS);
    for skip in [0, 9, 14] {
        world
            .rig
            .disk
            .fail_on(Op::Unlink, "waiting", skip, 1, ErrorKind::Other);
    }
    world.rig.now_ms += 700_000;
    for _ in 0..150 {
        world.pass_time(1_000);
    }
    assert_eq!(world.waiting(), 1100);
    for leg in 0..1100 {
        assert!(world.receipt(leg), "leg {leg}");
        if leg % 100 == 99 {
            world.rest();
        }
    }
    world.rest();
    let mut world = world.crash();
    assert_eq!(world.rig.found.waiting, 0);
    assert!((0..1100).all(|leg| !world.receipt(leg)));
    world.check_all_ended_once("merged twice");
}

#[test]
fn runs_of_an_hour_to_which_nothing_comes_any_more_become_one() {
    let mut world = World::new(19, waits(1 << 20));
    for _ in 0..3 {
        world.hand_over(20, 6 * HOUR_MS - (world.rig.now_ms - NOW));
        world.pass_time(700_000);
    }
    assert_eq!((world.waiting(), world.files().len()), (60, 3));
    world.pass_time(HOUR_MS / 2);
    world.pass_time(60_000);
    assert_eq!((world.waiting(), world.files().len()), (60, 1));
    assert!(world.receipt(0) && world.receipt(59));
    world.check_all_ended_once("one run");
}
