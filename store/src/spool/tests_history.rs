//! The way to the history: each finished leg of an account that keeps something is filed once, over any crash, and no
//! segment goes before that.

use std::io::ErrorKind;

use rand_core::Rng;
use tidegate_codec::values::MessageState;

use crate::disk::Op;
use crate::history::{Order, Report};
use crate::index::LegId;
use crate::record::Stage;
use crate::waiting::HOUR_MS;

use super::rig::{NOW, Rig, SEGMENT, options};
use super::tests_model::live;
use super::tests_waits::{World, waits};
use super::tests_waits_faults::script;
use super::{Begin, Chore, CommitOutcome, Finished, Keeps, Options, Refused};

const META: Keeps = Keeps {
    meta: true,
    body: false,
};
const BOTH: Keeps = Keeps {
    meta: true,
    body: true,
};
const SOME_KEEP: [(&str, Keeps); 2] = [("load", BOTH), ("bank", META)];
const ALL_KEEP: [(&str, Keeps); 3] = [("load", BOTH), ("bank", BOTH), ("shop", BOTH)];

fn keeping(seed: u64, keeps: &[(&'static str, Keeps)]) -> Rig {
    let mut rig = Rig::new(seed);
    rig.keep(keeps);
    rig
}

/// Accepts legs and syncs them, a dozen in a batch.
fn accept(rig: &mut Rig, count: usize) -> Vec<LegId> {
    let mut legs = Vec::new();
    while legs.len() < count {
        let bunch = 12.min(count - legs.len());
        legs.extend((0..bunch).map(|_| rig.accept().unwrap()));
        rig.turn();
    }
    legs
}

fn settle(rig: &mut Rig, legs: &[LegId]) {
    legs.iter().for_each(|leg| rig.settle(*leg, None).unwrap());
    assert_eq!(rig.commit(), Some(CommitOutcome::Synced));
}

/// Time enough for all to be filed and synced.
fn pass_time(rig: &mut Rig) {
    for ms in [0, 2_000, 70_000] {
        rig.now_ms += ms;
        rig.settle_down();
    }
}

// ===== over crashes =====

/// Accepts, hand-overs, parts, copies, ends; time enough for what was filed to be synced now and then.
fn days(rig: &mut Rig) {
    for day in 0..3 {
        for step in 0..24_u64 {
            if rig.spool.is_broken() {
                return;
            }
            let legs = rig.legs();
            let _ = rig.accept();
            let _ = rig.accept();
            for leg in rig.pick(&legs).into_iter().chain(legs.first().copied()) {
                if rig.spool.index().get(leg).is_none() {
                    continue;
                }
                let _ = match step % 4 {
                    0 | 1 => rig.hand_over(leg),
                    2 => rig.go_in_parts(leg),
                    _ => rig.settle(leg, Some(30)),
                };
            }
            rig.turn();
            rig.now_ms += 1_500 * (step % 3);
        }
        rig.now_ms += day * 13 * HOUR_MS;
        rig.turn();
    }
}

#[test]
fn wherever_the_power_goes_each_finished_leg_is_filed_once() {
    let begun = || {
        let options = Options {
            segment_size: SEGMENT / 2,
            ..options()
        };
        let mut rig = Rig::with(11, options);
        rig.keep(&SOME_KEEP);
        rig
    };
    let mut whole = begun();
    let before = whole.disk.counts().changes;
    days(&mut whole);
    let changes = whole.disk.counts().changes - before;
    let checkpoints = whole.keeper.history.counts().checkpoints;
    let ended = whole.synced.ended.len();
    assert!(
        changes > 200 && checkpoints > 2 && ended > 20,
        "{changes} {checkpoints} {ended}"
    );
    for cut in 0..changes {
        let mut rig = begun();
        rig.disk.cut_power_after(cut);
        days(&mut rig);
        let disk = if cut % 2 == 0 {
            rig.disk.crash()
        } else {
            let mut rng = crate::testing::rng();
            (0..cut).for_each(|_| _ = rng.next_u32());
            rig.disk.crash_with(&mut rng)
        };
        let mut rig = rig.start_on(disk);
        // What ends now stands behind what is looked for.
        for leg in rig.legs() {
            rig.settle(leg, None).unwrap();
        }
        rig.check_history(&format!("cut after {cut}"));
        assert_eq!(rig.spool.history().unreadable, 0, "cut after {cut}");
    }
}

#[test]
fn random_lives_file_each_finished_leg_once() {
    for seed in 5000..5050 {
        let options = Options {
            segment_size: SEGMENT,
            ..options()
        };
        let mut rig = Rig::with(seed, options);
        rig.keep(if seed % 2 == 0 { &SOME_KEEP } else { &ALL_KEEP });
        let mut rig = live(rig, 400, seed % 3 == 0);
        rig.check_history(&format!("seed {seed}"));
    }
}

fn handed(seed: u64) -> World {
    let mut world = World::new(seed, waits(8 * 1024));
    world.rig.keep(&[("load", BOTH)]);
    world.hand_over(160, 3 * HOUR_MS);
    world.rig.now_ms = NOW + 40_000;
    world.hand_over(20, 2 * HOUR_MS);
    world.rest();
    world
}

/// Lets all time pass: each leg was filed once, with its body, whether it ended in the spool or in a waiting file.
fn check_filed(mut world: World, context: &str) {
    world.rig.disk.heal();
    for _ in 0..16 {
        world.pass_time(HOUR_MS / 2);
    }
    world.pass_time(61_000);
    let mut found: Vec<String> = Vec::new();
    for record in &world.rig.filed() {
        assert_eq!(record.body.as_deref(), Some(&b"text"[..]), "{context}");
        assert_eq!(record.carrier, "sink", "{context}");
        found.push(String::from_utf8(record.carrier_id.clone()).unwrap());
    }
    found.sort();
    let mut expected: Vec<String> = (0..world.legs).map(|leg| format!("c{leg}")).collect();
    expected.sort();
    assert_eq!(found, expected, "{context}");
    assert_eq!(world.rig.spool.history().unreadable, 0, "{context}");
    assert_eq!(world.waiting(), 0);
}

#[test]
fn what_ends_in_a_waiting_file_is_filed_once_with_its_body_wherever_the_power_goes() {
    let mut whole = handed(1);
    let before = whole.rig.disk.counts().changes;
    script(&mut whole);
    let changes = whole.rig.disk.counts().changes - before;
    let counts = whole.rig.spool.waiting();
    assert!(counts.moved == 180 && counts.passed > 100, "{counts:?}");
    for cut in (0..changes).step_by(2) {
        let mut world = handed(1);
        world.rig.disk.cut_power_after(cut);
        script(&mut world);
        let disk = world.rig.disk.crash();
        let world = world.start(disk);
        assert!(!world.rig.found.is_alarming(), "{:?}", world.rig.found);
        check_filed(world, &format!("cut after {cut}"));
    }
}

#[test]
fn a_start_looks_for_more_than_it_holds_at_once_and_what_ends_meanwhile_stands_behind() {
    let mut rig = keeping(2, &ALL_KEEP);
    rig.disk
        .fail_on(Op::Create, "position", 0, 1_000, ErrorKind::StorageFull);
    let mut filed = 0;
    for _ in 0..12 {
        let legs = accept(&mut rig, 13);
        settle(&mut rig, &legs);
        filed += 13;
    }
    let living = accept(&mut rig, 5);
    assert_eq!(rig.keeper.history.counts().checkpoints, 0);
    let mut rig = rig.crash();
    let segments = rig.spool.segments();
    assert!(segments > 3);
    let living: Vec<LegId> = rig.legs().into_iter().take(living.len()).collect();
    settle(&mut rig, &living);
    assert_eq!(rig.spool.history().filed, 0);
    rig.check_history("after a start");
    let counts = rig.spool.history();
    assert_eq!((counts.filed, counts.unreadable), (filed + 5, 0));
    // Nothing is looked for again.
    let mut rig = rig.crash();
    rig.check_history("after another");
    assert_eq!(rig.spool.history().filed, 0);
}

#[test]
fn batches_go_on_above_what_the_history_holds_though_all_segments_are_gone() {
    let mut rig = keeping(3, &ALL_KEEP);
    let legs = accept(&mut rig, 40);
    settle(&mut rig, &legs);
    rig.check_history("before");
    let position = rig.keeper.history.position();
    assert!(position > 0);
    for number in rig.spool.segments.iter().map(|(number, _)| number) {
        use crate::disk::Disk as _;
        rig.disk.unlink(&rig.file(number)).unwrap();
    }
    let disk = rig.disk.clone();
    let mut rig = rig.reopen(disk);
    let ended = std::mem::take(&mut rig.synced.ended);
    rig.synced = rig.snapshot();
    rig.synced.ended = ended;
    assert_eq!(rig.spool.batch, position + 1);
    let legs = accept(&mut rig, 3);
    settle(&mut rig, &legs);
    let mut rig = rig.crash();
    rig.check_history("after a start without segments");
}

// ===== segments =====

#[test]
fn accounts_that_keep_nothing_hold_back_no_segment_and_cost_no_chore() {
    for keeps in [&[][..], &[("nobody", BOTH)][..]] {
        let mut rig = keeping(4, keeps);
        let legs = accept(&mut rig, 120);
        assert!(rig.spool.segments() > 2);
        settle(&mut rig, &legs);
        // No second passes.
        rig.chores();
        assert!(rig.spool.segments() <= 2, "{}", rig.spool.segments());
        assert_eq!(rig.spool.history(), super::HistoryCounts::default());
        assert!(rig.filed().is_empty());
        let mut rig = rig.crash();
        rig.settle_down();
        assert!(rig.spool.segments() <= 2);
    }
}

#[test]
fn no_segment_goes_before_the_history_has_synced_what_it_holds() {
    let mut rig = keeping(5, &ALL_KEEP);
    let legs = accept(&mut rig, 120);
    settle(&mut rig, &legs);
    let oldest = |rig: &Rig| rig.spool.segments.oldest().map(|(number, _)| number);
    let before = oldest(&rig);
    assert!(rig.spool.segments() > 2);
    rig.disk
        .fail_on(Op::Create, "position", 0, 1_000, ErrorKind::StorageFull);
    let mut told = 0;
    for _ in 0..20 {
        let failed = |finished: &&Finished| matches!(finished, Finished::Failed(error) if error.is_full());
        told += rig.chores().iter().filter(failed).count();
        rig.now_ms += 1_000;
    }
    assert_eq!(oldest(&rig), before, "they stay");
    let counts = rig.spool.history();
    assert_eq!(told, 1, "once, not with every try");
    assert!((15..=20).contains(&counts.failed), "{counts:?}");
    assert_eq!((counts.unfiled, counts.filed), (0, 120));
    rig.disk.heal();
    rig.now_ms += 1_000;
    // At once, since an old segment waits for nothing else.
    rig.chores();
    assert_eq!(rig.keeper.history.counts().checkpoints, 1);
    assert!(rig.spool.segments() <= 2, "{}", rig.spool.segments());
    rig.check_history("at the end");
}

#[test]
fn what_nothing_waits_for_is_filed_after_a_second_and_synced_after_a_minute() {
    let mut rig = keeping(6, &ALL_KEEP);
    let legs = accept(&mut rig, 3);
    settle(&mut rig, &legs);
    rig.chores();
    rig.now_ms += 900;
    rig.chores();
    assert_eq!(rig.spool.history().filed, 0);
    rig.now_ms += 100;
    rig.chores();
    assert_eq!(rig.spool.history().filed, 3);
    rig.now_ms += 59_000;
    rig.chores();
    assert_eq!(rig.keeper.history.counts().checkpoints, 0);
    rig.now_ms += 1_000;
    rig.chores();
    assert_eq!(rig.keeper.history.counts().checkpoints, 1);
    // And no more while nothing is filed.
    rig.now_ms += 120_000;
    rig.chores();
    assert_eq!(rig.keeper.history.counts().checkpoints, 1);
}

#[test]
fn an_orderly_end_waits_for_nothing_and_leaves_the_next_start_nothing_to_look_for() {
    let mut rig = keeping(16, &ALL_KEEP);
    assert!(rig.spool.end_history(), "nothing has ended");
    let mut rig = {
        let legs = accept(&mut rig, 5);
        settle(&mut rig, &legs);
        assert!(!rig.spool.end_history());
        rig.chores();
        assert!(rig.spool.end_history());
        assert_eq!(rig.filed().len(), 5);
        rig.crash()
    };
    assert!(!rig.spool.filing.holds_all());
    rig.check_history("after an orderly end");
    assert_eq!(rig.spool.history().filed, 0);
    // What cannot be written holds up no end.
    let legs = accept(&mut rig, 5);
    settle(&mut rig, &legs);
    rig.disk
        .fail_on(Op::Create, "recorded", 0, 1_000, ErrorKind::StorageFull);
    assert!(!rig.spool.end_history());
    rig.chores();
    assert!(rig.spool.end_history());
    let mut rig = rig.crash();
    rig.check_history("after an end that could not be orderly");
}

// ===== a full disk, and bounds =====

#[test]
fn what_a_full_disk_gives_back_is_filed_with_the_batch_that_holds_it() {
    let mut rig = keeping(7, &ALL_KEEP);
    let legs = accept(&mut rig, 6);
    for leg in &legs {
        rig.settle(*leg, Some(20)).unwrap();
    }
    rig.disk.fail_next(Op::Write, 1, ErrorKind::StorageFull);
    assert_eq!(rig.commit(), Some(CommitOutcome::Full));
    rig.now_ms += 2_000;
    rig.chores();
    let counts = rig.spool.history();
    assert_eq!((counts.unfiled, counts.filed), (6, 0), "not on disk");
    assert_eq!(rig.commit(), Some(CommitOutcome::Synced));
    rig.check_history("after the disk was full");
    assert_eq!(rig.spool.history().filed, 6);
}

#[test]
fn intake_is_refused_while_too_much_is_not_filed() {
    let mut rig = Rig::with(8, waits(1 << 20));
    rig.keep(&ALL_KEEP);
    rig.disk
        .fail_on(Op::Create, "position", 0, 1_000, ErrorKind::StorageFull);
    rig.keeper.history.fail_files = 1;
    let mut ended = 0;
    while rig.accept().is_ok() {
        rig.commit().unwrap();
        let legs = rig.legs();
        settle(&mut rig, &legs);
        ended += 1;
        if ended % 500 == 0 {
            rig.now_ms += 1_000;
            rig.chores();
        }
        assert!(ended < 10_000, "there is a bound");
    }
    assert!(ended >= 3_000);
    assert_eq!(rig.accept(), Err(Refused::Full));
    rig.disk.heal();
    rig.now_ms += 1_000;
    rig.chores();
    assert!(rig.accept().is_ok(), "it passes");
    rig.check_history("at the end");
}

// ===== failures =====

#[test]
fn behind_a_failure_only_the_rest_of_its_batch_is_filed_before_all_is_synced() {
    let mut rig = keeping(9, &ALL_KEEP);
    let legs = accept(&mut rig, 30);
    let (first, second) = legs.split_at(20);
    settle(&mut rig, first);
    settle(&mut rig, second);
    rig.keeper.history.fail_files = 1;
    rig.disk
        .fail_on(Op::Create, "position", 0, 1, ErrorKind::StorageFull);
    rig.now_ms += 5_000;
    rig.chores();
    rig.now_ms += 5_000;
    rig.chores();
    assert_eq!(rig.spool.history().filed, 20, "the first batch");
    // Now a crash: of what was filed nothing counts.
    let mut rig = rig.crash();
    rig.check_history("after a crash");
    // And the same without one.
    let legs = accept(&mut rig, 30);
    let (first, second) = legs.split_at(20);
    settle(&mut rig, first);
    settle(&mut rig, second);
    rig.keeper.history.fail_files = 1;
    let checkpoints = rig.keeper.history.counts().checkpoints;
    rig.check_history("without a crash");
    assert_eq!(rig.keeper.history.counts().checkpoints, checkpoints + 2);
}

#[test]
fn nothing_is_noted_in_the_middle_of_a_batch() {
    let mut rig = keeping(18, &ALL_KEEP);
    let legs = accept(&mut rig, 6);
    settle(&mut rig, &legs);
    // The third body is not given for some time.
    rig.disk.fail_on(Op::Read, "spool", 2, 1_000, ErrorKind::Other);
    rig.chores();
    for ms in [1_000, 1_000, 61_000, 1_000] {
        rig.now_ms += ms;
        rig.chores();
    }
    assert_eq!(rig.spool.history().filed, 2);
    assert_eq!(rig.keeper.history.counts().checkpoints, 0);
    let mut rig = rig.crash();
    rig.check_history("after a crash");
}

#[test]
fn a_record_that_cannot_be_read_is_counted_and_its_leg_filed_without_its_body() {
    let mut rig = keeping(10, &ALL_KEEP);
    let legs = accept(&mut rig, 4);
    let at = rig.spool.index().get(legs[1]).unwrap().at;
    settle(&mut rig, &legs);
    let path = rig.file(at.segment());
    assert!(
        rig.disk
            .damage(&path, u64::from(at.offset + at.len / 2), b"damage")
    );
    rig.chores();
    rig.now_ms += 2_000;
    rig.chores();
    let bodies = |rig: &mut Rig| {
        let filed = rig.filed();
        filed
            .iter()
            .map(|record| record.body.is_some())
            .collect::<Vec<_>>()
    };
    assert_eq!(bodies(&mut rig), [true, false, true, true]);
    assert_eq!(rig.spool.history().unreadable, 1);
    // A start knows nothing at all of those whose batch does not read any more, and goes on.
    let disk = rig.disk.crash();
    let mut rig = rig.reopen(disk);
    pass_time(&mut rig);
    let counts = rig.spool.history();
    assert_eq!((counts.unfiled, counts.unreadable), (0, 4), "{counts:?}");
    let legs = accept(&mut rig, 2);
    settle(&mut rig, &legs);
    pass_time(&mut rig);
    assert_eq!(bodies(&mut rig), [true, true]);
}

#[test]
fn a_disk_that_does_not_give_a_record_is_asked_again_and_not_for_ever() {
    let mut rig = keeping(12, &ALL_KEEP);
    let legs = accept(&mut rig, 4);
    settle(&mut rig, &legs);
    rig.disk.fail_on(Op::Read, "spool", 0, 5, ErrorKind::Other);
    for _ in 0..6 {
        rig.now_ms += 1_000;
        rig.chores();
    }
    assert_eq!(rig.spool.history().filed, 0, "it waits");
    rig.check_history("once it could be read");
    assert_eq!(rig.spool.history().unreadable, 0);
    let legs = accept(&mut rig, 2);
    settle(&mut rig, &legs);
    rig.disk.fail_on(Op::Read, "spool", 0, 1_000, ErrorKind::Other);
    for _ in 0..100 {
        rig.now_ms += 1_000;
        rig.chores();
    }
    let counts = rig.spool.history();
    assert_eq!((counts.unfiled, counts.unreadable), (0, 2), "{counts:?}");
}

// ===== bodies =====

#[test]
fn a_body_that_is_kept_outlives_copies_of_what_a_carrier_or_parts_have() {
    let mut rig = keeping(13, &ALL_KEEP);
    let legs = accept(&mut rig, 12);
    for leg in &legs[..4] {
        rig.hand_over(*leg).unwrap();
    }
    let keys: Vec<_> = legs[4..8].iter().map(|leg| rig.key(*leg)).collect();
    for _ in 0..2 {
        for (id, leg) in &keys {
            let leg = rig.spool.index().find(*id, *leg).unwrap();
            rig.go_in_parts(leg).unwrap();
        }
        rig.turn();
    }
    let legs = rig.legs();
    let before: Vec<_> = legs
        .iter()
        .map(|leg| rig.spool.index().get(*leg))
        .map(|leg| leg.map(|leg| leg.at))
        .collect();
    // Weights count what a copy would take, bodies too.
    rig.check_counts();
    for _ in 0..3 {
        accept(&mut rig, 40);
        rig.now_ms += 25 * HOUR_MS;
        rig.settle_down();
    }
    let mut rig = rig.crash();
    rig.settle_down();
    let legs = rig.legs();
    let stages: Vec<Stage> = legs
        .iter()
        .map(|leg| rig.spool.index().get(*leg).unwrap().stage)
        .collect();
    assert!(stages.contains(&Stage::HandedOver) && stages.contains(&Stage::InParts));
    let at = |leg: &LegId| rig.spool.index().get(*leg).unwrap().at;
    assert!(
        legs.iter().map(at).all(|at| !before.contains(&Some(at))),
        "all were copied"
    );
    for leg in legs {
        rig.settle(leg, None).unwrap();
    }
    rig.check_history("after copies");
}

#[test]
fn a_leg_that_ends_before_its_record_is_on_disk_is_filed_with_its_body() {
    let mut rig = keeping(17, &ALL_KEEP);
    // In the batch that accepts it.
    let leg = rig.accept().unwrap();
    rig.settle(leg, None).unwrap();
    assert_eq!(rig.commit(), Some(CommitOutcome::Synced));
    // And while that one is on its way.
    let leg = rig.accept().unwrap();
    let Begin::Commit(commit) = rig.begin() else {
        panic!("nothing to commit")
    };
    rig.settle(leg, None).unwrap();
    assert_eq!(rig.finish(commit.run()), CommitOutcome::Synced);
    assert_eq!(rig.commit(), Some(CommitOutcome::Synced));
    let disk = rig.disk.crash();
    rig.check_history("as it was known");
    assert_eq!(rig.spool.history().filed, 2);
    let mut rig = rig.start_on(disk);
    rig.check_history("as it was found");
    assert_eq!(rig.spool.history().filed, 2);
}

#[test]
fn footers_tell_how_far_parts_have_come_where_the_whole_keeps_its_body() {
    let mut rig = keeping(19, &ALL_KEEP);
    let whole = accept(&mut rig, 1)[0];
    let (id, leg) = rig.key(whole);
    rig.go_in_parts(whole).unwrap();
    rig.turn();
    for _ in 0..2 {
        accept(&mut rig, 36);
        let whole = rig.spool.index().find(id, leg).unwrap();
        rig.go_in_parts(whole).unwrap();
        rig.turn();
    }
    accept(&mut rig, 36);
    rig.settle_down();
    // Held against what was promised.
    let rig = rig.crash();
    assert!(rig.found.by_footer > 2, "{:?}", rig.found);
    let whole = rig.spool.index().find(id, leg).unwrap();
    assert_eq!(rig.spool.index().progress(whole).unwrap().ended, 2);
}

#[test]
fn what_copies_take_is_weighed_anew_when_an_account_begins_or_ceases_to_keep_bodies() {
    let mut rig = Rig::new(14);
    let legs = accept(&mut rig, 12);
    legs.iter().for_each(|leg| rig.hand_over(*leg).unwrap());
    rig.turn();
    let bodyless = rig.spool.segments.live_octets();
    rig.keep(&ALL_KEEP);
    rig.turn();
    let whole = rig.spool.segments.live_octets();
    assert!(whole > bodyless + 12 * 20, "{whole} {bodyless}");
    rig.check_counts();
    rig.keep(&[("load", META), ("bank", META), ("shop", META)]);
    rig.turn();
    assert_eq!(rig.spool.segments.live_octets(), bodyless);
}

#[test]
fn parts_that_were_cut_here_are_no_legs_of_the_history() {
    let mut rig = keeping(15, &ALL_KEEP);
    let legs = accept(&mut rig, 2);
    rig.go_in_parts(legs[0]).unwrap();
    rig.turn();
    for leg in rig.legs() {
        rig.settle(leg, None).unwrap();
    }
    rig.check_history("in parts");
    let filed = rig.filed();
    assert_eq!(filed.len(), 2);
    assert!(filed.iter().all(|record| record.state == MessageState::Delivered));
}

// ===== the budget of files =====

#[test]
fn what_is_kept_counts_in_the_budget_of_all_files_and_holds_up_nothing_but_intake() {
    let mut rig = keeping(77, &ALL_KEEP);
    let legs = accept(&mut rig, 240);
    let (ends, stays) = legs.split_at(200);
    settle(&mut rig, ends);
    pass_time(&mut rig);
    let kept = rig.keeper.history.octets();
    assert!(kept > 1_000, "{kept}");
    assert_eq!(rig.spool.occupied(), rig.spool.octets() + kept);
    let at = |rig: &Rig, limit: u64| Options {
        limit: limit + rig.spool.reserve(),
        ..options()
    };
    let enough = at(&rig, rig.spool.occupied());
    rig.spool.set_bounds(&enough);
    assert_eq!(rig.spool.intake(), Ok(()));
    assert_eq!(rig.spool.intake_limit(), rig.spool.occupied());
    assert!(!rig.spool.is_filled_by_history());
    // Exports, too.
    rig.spool.count_others(1);
    assert_eq!(rig.spool.intake(), Err(Refused::Full));
    rig.spool.count_others(0);
    let less = at(&rig, rig.spool.occupied() - 1);
    rig.spool.set_bounds(&less);
    assert_eq!(rig.accept(), Err(Refused::Full));
    // Far more is kept than there is room for, and all that is under way comes to its end and is filed.
    let least = at(&rig, rig.spool.octets());
    rig.spool.set_bounds(&least);
    assert!(rig.spool.has_progress_room());
    for leg in stays {
        rig.hand_over(*leg).unwrap();
        rig.settle(*leg, None).unwrap();
        assert_eq!(rig.commit(), Some(CommitOutcome::Synced));
    }
    pass_time(&mut rig);
    rig.check_history("over the budget");
    assert!(rig.keeper.history.octets() > kept);
    // A start counts it before the keeper has done anything.
    let mut rig = rig.kill();
    assert_eq!(
        rig.spool.occupied(),
        rig.spool.octets() + rig.keeper.history.octets()
    );
    pass_time(&mut rig);
    let tight = at(&rig, rig.spool.octets() + kept);
    rig.spool.set_bounds(&tight);
    assert_eq!(rig.spool.intake(), Err(Refused::Full));
    assert!(!rig.spool.is_filled_by_history(), "the spool drains");
    let hopeless = at(&rig, kept);
    rig.spool.set_bounds(&hopeless);
    assert!(rig.spool.is_filled_by_history());
    rig.spool.set_bounds(&tight);
    // What the sweep removes makes room at once.
    let files: Vec<_> = rig.keeper.history.periods().cloned().collect();
    for file in files {
        let lots = rig.keeper.history.lots(&file, &rig.keeper.ring).unwrap();
        let keys: Vec<_> = lots.iter().map(|lot| lot.key).collect();
        rig.keeper.ring.destroy_many(&keys).unwrap();
        let order = Chore::history(1, Order::Remove(file));
        let done = rig.keeper.run(order, &mut rig.rng);
        match rig.done(done) {
            Finished::History(1, Ok(Report::Removed(octets))) => assert!(octets > 0),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((rig.keeper.history.octets(), rig.spool.intake()), (0, Ok(())));
}
