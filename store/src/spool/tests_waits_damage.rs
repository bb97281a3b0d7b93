//! Waiting files that cannot be read, written or removed, for a moment or for ever: it is nobody else's trouble.

use std::io::ErrorKind;
use std::path::Path;

use crate::disk::Op;
use crate::keyring::Owner;
use crate::waiting::HOUR_MS;
use crate::waiting::format::Header;

use super::tests_waits::{World, waits};

/// What a file is called, whatever it stands for at present.
fn stem(path: &Path) -> String {
    path.file_stem().unwrap().to_string_lossy().into_owned()
}

/// Three runs of one hour that are not merged yet.
fn three_runs(seed: u64) -> World {
    let mut world = World::new(seed, waits(1 << 20));
    let begun_ms = world.rig.now_ms;
    for run in 0..3 {
        let left = 6 * HOUR_MS + run * 60_000 - (world.rig.now_ms - begun_ms);
        world.hand_over(20, left);
        world.pass_time(700_000);
    }
    assert_eq!(world.files().len(), 3);
    world
}

#[test]
fn an_hour_whose_file_cannot_be_read_is_given_up_in_time_and_holds_no_other_up() {
    let mut world = World::new(30, waits(1 << 20));
    world.hand_over(20, 3 * HOUR_MS);
    world.cool();
    let bad = stem(&world.files()[0]);
    world.hand_over(20, 5 * HOUR_MS);
    world.cool();
    let disk = world.rig.disk.clone();
    disk.fail_on(Op::Read, &bad, 0, u64::MAX, ErrorKind::Other);
    for _ in 0..120 {
        world.pass_time(HOUR_MS / 20);
    }
    let dlrs = world.dlrs();
    let ended: Vec<u32> = (0..40)
        .filter(|leg| dlrs.contains_key(&format!("c{leg}")))
        .collect();
    assert_eq!(ended, (20..40).collect::<Vec<u32>>());
    assert!(dlrs.values().all(|made| *made == 1));
    assert!(world.files().is_empty(), "{:?}", world.files());
    assert!(world.rig.keeper.ring().live(Owner::Waiting).is_empty());
    assert_eq!(world.rig.spool.waiting().damaged, 20);
}

#[test]
fn a_disk_that_was_away_for_moments_or_for_minutes_loses_nothing() {
    // Once before what cannot be read is passed over, and once after it.
    for times in [8, 65] {
        let mut world = World::new(31, waits(1 << 20));
        world.hand_over(20, 3 * HOUR_MS);
        world.cool();
        world.rig.now_ms += 4 * HOUR_MS;
        world
            .rig
            .disk
            .fail_on(Op::Read, "waiting", 0, times, ErrorKind::Other);
        for _ in 0..80 {
            world.pass_time(2_000);
        }
        world.check_all_ended_once(&format!("{times} reads failed"));
    }
}

#[test]
fn an_hour_whose_file_somebody_removed_is_over_all_the_same() {
    let mut world = World::new(32, waits(1 << 20));
    world.hand_over(20, 3 * HOUR_MS);
    world.cool();
    // Of many files not all are kept open.
    world.rig.keeper.waiting.open.clear();
    let path = world.files().remove(0);
    let disk = world.rig.disk.clone();
    disk.fail_on(Op::Open, &stem(&path), 0, u64::MAX, ErrorKind::NotFound);
    for _ in 0..10 {
        world.pass_time(HOUR_MS / 2);
    }
    assert!(world.rig.keeper.ring().live(Owner::Waiting).is_empty());
    assert_eq!(world.rig.spool.waiting().damaged, 20);
}

#[test]
fn a_mark_that_fails_until_its_run_is_merged_blocks_no_other() {
    let mut world = three_runs(33);
    let first = stem(&world.files()[0]);
    world
        .rig
        .disk
        .fail_on(Op::Write, &first, 0, u64::MAX, ErrorKind::Other);
    assert!(world.receipt(0));
    world.rest();
    world.pass_time(HOUR_MS / 2);
    world.pass_time(60_000);
    assert_eq!((world.waiting(), world.files().len()), (59, 1));
    assert!(world.receipt(25));
    world.rest();
    let mut world = world.crash();
    assert_eq!(world.rig.found.waiting, 58);
    assert!(!world.receipt(0) && !world.receipt(25));
    world.check_all_ended_once("after the merge");
}

#[test]
fn a_merge_that_cannot_read_a_mark_s_record_leaves_no_ended_leg_open() {
    for skip in 0..24 {
        let mut world = three_runs(35);
        let first = stem(&world.files()[0]);
        let disk = world.rig.disk.clone();
        disk.fail_on(Op::Write, &first, 0, u64::MAX, ErrorKind::Other);
        assert!(world.receipt(0));
        disk.fail_on(Op::Read, &first, skip, 1, ErrorKind::Other);
        world.rest();
        world.pass_time(HOUR_MS / 2);
        world.pass_time(11 * 60_000);
        world.check_all_ended_once(&format!("read {skip} failed"));
    }
}

#[test]
fn a_merge_that_fails_leaves_no_file_and_rests() {
    for skip in 0..4 {
        let mut world = three_runs(36);
        let disk = world.rig.disk.clone();
        disk.fail_on(Op::Sync, "merging", skip, u64::MAX, ErrorKind::Other);
        world.pass_time(HOUR_MS / 2);
        world.pass_time(60_000);
        let names = format!("{:?}", world.files());
        assert!(!names.contains("merging"), "{names}");
        world.check_all_ended_once(&format!("sync {skip} failed"));
    }
}

#[test]
fn a_directory_that_cannot_be_opened_for_a_moment_stops_nothing_for_good() {
    for skip in 0..12 {
        let mut world = World::new(37, waits(8 * 1024));
        let disk = world.rig.disk.clone();
        world.hand_over(300, 3 * HOUR_MS);
        for place in ["waiting", "spool"] {
            disk.fail_on(Op::SyncDir, place, skip, 1, ErrorKind::ResourceBusy);
        }
        world.pass_time(700_000);
        world.pass_time(2_000);
        world.pass_time(2_000);
        assert_eq!(world.waiting(), 300, "skip {skip}");
        let segments = world.rig.spool.segments();
        world.check_all_ended_once(&format!("skip {skip}, {segments} segments"));
    }
}

#[test]
fn what_cannot_be_read_of_legs_that_have_moved_is_damage() {
    let mut world = World::new(38, waits(1 << 20));
    let disk = world.rig.disk.clone();
    disk.fail_on(Op::Rename, "waiting", 0, u64::MAX, ErrorKind::Other);
    world.hand_over(60, 3 * HOUR_MS);
    world.cool();
    let path = world.files().remove(0);
    assert!(path.extension().unwrap() == "moving");
    let octets = world.rig.disk.octets(&path).unwrap();
    let header = Header::read(&octets).unwrap();
    let disk = world.rig.disk.crash();
    assert!(disk.damage(&path, header.records_at() + 2, b"damage"));
    let world = world.start(disk);
    let found = &world.rig.found;
    assert_eq!((found.waiting, found.waiting_damaged), (59, 1));
}

#[test]
fn a_file_that_was_set_aside_stays_a_week_and_its_key_goes_with_it() {
    let mut world = World::new(39, waits(1 << 20));
    world.hand_over(20, 3 * HOUR_MS);
    world.cool();
    let path = world.files().remove(0);
    let end = world.rig.disk.octets(&path).unwrap().len() as u64;
    let disk = world.rig.disk.crash();
    assert!(disk.damage(&path, 20, b"damage") && disk.damage(&path, end - 100, b"damage"));
    let mut world = world.start(disk);
    for (days, stays) in [(6, 1), (2, 0)] {
        world.rig.now_ms += days * 24 * HOUR_MS;
        world = world.crash();
        assert_eq!(world.files().len(), stays);
        assert_eq!(world.rig.keeper.ring().live(Owner::Waiting).len(), stays);
    }
}
