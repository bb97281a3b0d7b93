//! A disk that is full, fails, or will not let go; and the space that finished work gives back.

use std::io::ErrorKind;

use crate::disk::Op;
use crate::index::LegId;

use super::rig::{Rig, SEGMENT, options};
use super::{Begin, CommitOutcome, Finished, Options, Pending, Refused};

fn fill(rig: &mut Rig) -> usize {
    let mut count = 0;
    loop {
        match rig.accept() {
            Ok(_) => count += 1,
            Err(refused) => {
                assert_eq!(refused, Refused::Full);
                rig.settle_down();
                if rig.spool.intake() == Err(Refused::Full) {
                    return count;
                }
            }
        }
        if !rig.spool.has_batch_room() {
            rig.turn();
        }
    }
}

fn each(rig: &mut Rig, mut step: impl FnMut(&mut Rig, LegId)) {
    for (n, leg) in rig.legs().into_iter().enumerate() {
        step(rig, leg);
        if n % 8 == 7 {
            rig.turn();
        }
        let mut turns = 0;
        while !rig.spool.has_progress_room() {
            rig.turn();
            turns += 1;
            assert!(turns < 1000, "room never comes");
        }
    }
    rig.settle_down();
}

fn bounded() -> Options {
    Options {
        limit: 20 * SEGMENT,
        ..options()
    }
}

#[test]
fn intake_stops_at_the_reserve_and_what_ends_work_drains_the_disk() {
    let mut rig = Rig::with(1, bounded());
    let count = fill(&mut rig);
    assert!(count > 300, "{count}");
    assert!(rig.spool.octets() > 15 * SEGMENT && rig.spool.octets() <= 17 * SEGMENT);
    // The worst order: every leg is moved on before the first one ends, every one ends before the first
    // DLR is fetched.
    let hand_over = |rig: &mut Rig, leg| rig.hand_over(leg).unwrap();
    each(&mut rig, hand_over);
    assert_eq!(rig.spool.pending(), Pending::Nothing);
    each(&mut rig, |rig, leg| rig.settle(leg, Some(90)).unwrap());
    assert_eq!(rig.spool.pending(), Pending::Nothing);
    assert_eq!(rig.fetch_all(), count);
    rig.settle_down();
    assert!(rig.spool.octets() <= 20 * SEGMENT, "what was lent is given back");
    assert_eq!(rig.spool.intake(), Ok(()));
    assert!(rig.files().len() <= 2);
    let rig = rig.kill();
    assert!(rig.synced.legs.is_empty() && rig.synced.entries.is_empty());
}

#[test]
fn what_ends_work_drains_a_disk_on_which_more_lives_than_not() {
    // Short texts, so that the records without them are hardly shorter: neither the oldest segment nor all
    // together fall under a half before there is no room.
    let mut rig = Rig::with(1, bounded());
    while rig.spool.intake().is_ok() {
        rig.accept_body(b"hi").unwrap();
        if !rig.spool.has_batch_room() {
            rig.turn();
        }
    }
    rig.settle_down();
    let count = rig.legs().len();
    each(&mut rig, |rig, leg| rig.hand_over(leg).unwrap());
    assert_eq!(rig.spool.pending(), Pending::Nothing);
    each(&mut rig, |rig, leg| rig.settle(leg, Some(55)).unwrap());
    assert_eq!(rig.spool.pending(), Pending::Nothing);
    assert!(rig.spool.octets() <= 20 * SEGMENT, "what was lent is given back");
    assert_eq!(rig.fetch_all(), count);
    rig.settle_down();
    assert!(rig.files().len() <= 2);
}

#[test]
fn a_full_disk_that_was_drained_takes_work_again_after_a_restart() {
    let mut rig = Rig::with(2, bounded());
    fill(&mut rig);
    for leg in rig.legs() {
        rig.settle(leg, None).unwrap();
    }
    // The process dies before it can remove what is done with.
    assert_eq!(rig.commit(), Some(CommitOutcome::Synced));
    let mut rig = rig.kill();
    assert_eq!(rig.spool.intake(), Err(Refused::Full));
    rig.chores();
    assert_eq!(rig.spool.intake(), Ok(()));
    let id = rig.spool.next_id(0);
    assert!(id > rig.highest);
    // The floor of ids outlives all batches.
    let mut rig = rig.crash();
    assert!(rig.spool.next_id(0) > rig.highest);
}

#[test]
fn a_budget_that_is_raised_lets_work_in_and_one_that_is_lowered_lets_it_drain() {
    let mut rig = Rig::with(2, bounded());
    fill(&mut rig);
    rig.settle_down();
    assert_eq!(rig.spool.intake(), Err(Refused::Full));
    let more = Options {
        limit: 4 * bounded().limit,
        ..bounded()
    };
    rig.spool.set_bounds(&more);
    assert_eq!(rig.spool.intake(), Ok(()));
    rig.settle_down();
    let leg = rig.accept().unwrap();
    rig.spool.set_bounds(&bounded());
    assert_eq!(rig.accept(), Err(Refused::Full));
    rig.settle(leg, None).unwrap();
    let few = Options {
        max_legs: rig.spool.index().len(),
        ..more
    };
    rig.spool.set_bounds(&few);
    assert_eq!(rig.accept(), Err(Refused::Full));
    let mut rig = rig.crash();
    rig.check_bodies();
}

#[test]
fn the_floor_of_message_ids_is_never_without_a_segment() {
    // All that was is done with, and the first batch of the next segment is on its way.
    let mut rig = Rig::new(23);
    rig.settle_down();
    rig.now_ms += 600_000;
    while rig.spool.active.offset + 1500 < SEGMENT {
        for leg in rig.legs() {
            rig.settle(leg, None).unwrap();
        }
        rig.turn();
        rig.accept().unwrap();
        rig.turn();
    }
    for leg in rig.legs() {
        rig.settle(leg, None).unwrap();
    }
    rig.turn();
    assert_eq!((rig.spool.active.number, rig.spool.index().len()), (1, 0));
    rig.accept_body(&[b'f'; 2000]).unwrap();
    let Begin::Commit(commit) = rig.begin() else {
        panic!("nothing to commit")
    };
    // The segment to be made ahead would state it too.
    rig.disk
        .fail_on(Op::Create, "spool", 0, 1, ErrorKind::StorageFull);
    rig.chores();
    drop(commit);
    rig.crash();
}

#[test]
fn one_old_leg_does_not_hold_the_disk() {
    // Half of the oldest segment lives on; everything behind it ends at once.
    let mut rig = Rig::with(3, bounded());
    let mut old = Vec::new();
    while rig.spool.segments.len() < 2 {
        old.push(rig.accept().unwrap());
        rig.turn();
    }
    for n in 0..2000 {
        let leg = rig.accept().unwrap();
        rig.turn();
        rig.settle(leg, None).unwrap();
        if n % 4 == 0 {
            rig.turn();
        }
    }
    rig.settle_down();
    assert!(rig.files().len() < 8, "{}", rig.files().len());
    let rig = rig.crash();
    assert_eq!(rig.spool.index().len(), old.len());
}

#[test]
fn a_segment_that_cannot_be_made_is_full_and_no_failure() {
    let mut rig = Rig::new(4);
    rig.settle_down();
    rig.disk.set_capacity(Some(rig.disk.used()));
    let count = fill(&mut rig);
    assert_eq!(rig.spool.intake(), Err(Refused::Full));
    assert!(!rig.spool.is_broken());
    let tries = rig.disk.counts().changes;
    rig.chores();
    assert_eq!(rig.disk.counts().changes, tries, "it is not tried again at once");
    // What ends work goes on in what the active segment has left, and gives the space back.
    for leg in rig.legs().into_iter().take(30) {
        rig.settle(leg, None).unwrap();
    }
    assert_eq!(rig.turn(), Some(CommitOutcome::Synced));
    rig.disk.set_capacity(None);
    rig.now_ms += 1000;
    rig.chores();
    assert_eq!(rig.spool.intake(), Ok(()));
    let mut rig = rig.crash();
    assert_eq!(rig.synced.legs.len(), count - 30);
    rig.check_bodies();
}

#[test]
fn a_write_cut_short_gives_intake_back_and_keeps_what_ends_work() {
    let mut rig = Rig::new(5);
    let (kept, ended) = (rig.accept().unwrap(), rig.accept().unwrap());
    let mo = rig.deliver(30).unwrap();
    rig.settle_down();
    rig.settle(ended, Some(50)).unwrap();
    rig.fetched(mo).unwrap();
    let (new, new_mo) = (rig.accept().unwrap(), rig.deliver(20).unwrap());
    rig.hand_over(kept).unwrap();
    rig.disk.fail_on(Op::Write, "spool", 0, 1, ErrorKind::StorageFull);
    let Begin::Commit(commit) = rig.begin() else {
        panic!("nothing to commit")
    };
    // What is staged meanwhile stays behind what comes back.
    let later = rig.accept().unwrap();
    rig.retry(kept).unwrap();
    assert_eq!(rig.finish(commit.run()), CommitOutcome::Full);
    assert!(rig.spool.index().get(new).is_none() && rig.spool.outbox().get(new_mo).is_none());
    assert!(rig.spool.index().get(later).is_some() && !rig.spool.is_broken());
    assert_eq!(rig.turn(), Some(CommitOutcome::Synced));
    assert_eq!(rig.spool.active.number, 2, "the one made ahead has its blocks");
    rig.check_counts();
    assert!(rig.snapshot().is_like(&rig.synced));
    assert_eq!(rig.spool.index().len(), 2);
    assert_eq!(rig.spool.outbox().len(), 1);
    let mut rig = rig.crash();
    assert_eq!(rig.found.gaps, 0, "the number of the batch was used again");
    rig.check_bodies();
}

#[test]
fn a_batch_that_was_given_back_does_not_hold_its_segments() {
    let mut rig = Rig::new(6);
    while rig.spool.segments.len() < 2 {
        rig.accept().unwrap();
        rig.turn();
    }
    let legs = rig.legs();
    let (last, first) = legs.split_last().unwrap();
    for leg in first {
        rig.settle(*leg, None).unwrap();
    }
    rig.disk.fail_on(Op::Write, "spool", 0, 1, ErrorKind::StorageFull);
    let Begin::Commit(commit) = rig.begin() else {
        panic!("nothing to commit")
    };
    rig.settle(*last, None).unwrap();
    assert_eq!(rig.finish(commit.run()), CommitOutcome::Full);
    // One commit, and no later one.
    assert_eq!(rig.commit(), Some(CommitOutcome::Synced));
    rig.chores();
    assert!(rig.files().len() <= 2, "{:?}", rig.files());
}

#[test]
fn a_failed_sync_promises_nothing_and_ends_the_writing() {
    for kind in [ErrorKind::Other, ErrorKind::StorageFull] {
        for cut in 0..3 {
            let mut rig = Rig::new(7);
            let (leg, other) = (rig.accept().unwrap(), rig.accept().unwrap());
            rig.settle_down();
            rig.settle(leg, Some(40)).unwrap();
            rig.accept().unwrap();
            rig.deliver(40).unwrap();
            // Of the batch, and of the cut that a full disk asks for.
            rig.disk.fail_on(Op::Sync, "spool", 0, 2, kind);
            assert_eq!(rig.turn(), Some(CommitOutcome::Broken));
            assert!(rig.spool.is_broken());
            assert_eq!(rig.spool.pending(), Pending::Nothing);
            assert_eq!(rig.accept(), Err(Refused::Broken));
            assert_eq!(rig.deliver(4), Err(Refused::Broken));
            assert_eq!(rig.fetch_all(), 0, "no entry of it is given out");
            assert_eq!(rig.settle(other, None), Err(Refused::Broken));
            assert_eq!(rig.hand_over(other), Err(Refused::Broken));
            assert!(rig.spool.index().get(other).is_some(), "it has not ended");
            assert!(matches!(rig.spool.begin_commit(rig.now_ms), Begin::Nothing));
            assert!(rig.spool.next_chore(rig.now_ms).is_none());
            let mut rig = match cut {
                0 => rig.kill(),
                1 => rig.crash(),
                _ => rig.crash_by_chance(),
            };
            rig.check_bodies();
            rig.settle_down();
            assert_eq!(rig.spool.intake(), Ok(()));
        }
    }
}

#[test]
fn what_a_start_read_is_on_the_disk_before_anything_follows_from_it() {
    // The batch is in the system's cache and nowhere else: its sync failed, or never ran.
    for synced in [false, true] {
        let mut rig = Rig::new(8);
        rig.accept().unwrap();
        rig.settle_down();
        rig.accept().unwrap();
        if synced {
            rig.disk.fail_on(Op::Sync, "spool", 0, 1, ErrorKind::Other);
        }
        let Begin::Commit(commit) = rig.begin() else {
            panic!("nothing to commit")
        };
        if synced {
            assert_eq!(rig.finish(commit.run()), CommitOutcome::Broken);
        } else {
            // The process dies between its write and its sync: the sync reaches no disk.
            rig.disk.fail_on(Op::Sync, "spool", 0, 1, ErrorKind::Interrupted);
            drop(commit.run());
        }
        let mut rig = rig.kill();
        let seen = rig.spool.index().len();
        assert_eq!(seen, 2, "the cache shows it");
        rig.settle_down();
        rig.accept().unwrap();
        rig.turn();
        let rig = rig.crash();
        assert_eq!(rig.spool.index().len(), 3, "and it stays");
    }
}

#[test]
fn a_segment_that_cannot_be_removed_holds_back_all_behind_it() {
    for op in [Op::Unlink, Op::SyncDir] {
        let mut rig = Rig::new(9);
        while rig.spool.segments.len() < 3 {
            rig.accept().unwrap();
            rig.turn();
        }
        for leg in rig.legs() {
            rig.settle(leg, None).unwrap();
        }
        rig.disk.fail_on(op, "spool", 0, 1, ErrorKind::Other);
        rig.commit();
        let failed = rig.chores();
        assert!(
            failed
                .iter()
                .any(|finished| matches!(finished, Finished::Failed(_)))
        );
        // Were the second removed and the first not, its legs would be back: their ends lay in the second.
        for _ in 0..20 {
            rig.accept().unwrap();
            rig.turn();
        }
        let mut rig = rig.crash();
        rig.now_ms += 1000;
        rig.settle_down();
        rig.crash();
    }
}

#[test]
fn a_removal_that_failed_is_tried_again_and_the_keys_go_with_it() {
    let mut rig = Rig::new(10);
    while rig.spool.segments.len() < 4 {
        rig.accept().unwrap();
        rig.turn();
    }
    for leg in rig.legs() {
        rig.settle(leg, None).unwrap();
    }
    // The first goes, the second does not.
    rig.disk.fail_on(Op::Unlink, "spool", 1, 1, ErrorKind::Other);
    rig.commit();
    rig.chores();
    assert!(rig.files().len() > 2);
    rig.now_ms += 1000;
    rig.chores();
    assert!(rig.files().len() <= 2);
    rig.check_counts();
}

#[test]
fn a_copy_is_dropped_when_its_leg_has_ended_or_changed() {
    let mut rig = Rig::new(11);
    while rig.spool.segments.len() < 2 {
        rig.accept().unwrap();
        rig.turn();
    }
    rig.settle_down();
    rig.now_ms += 25 * 3_600_000;
    let chore = rig.spool.next_chore(rig.now_ms).unwrap();
    let legs = rig.legs();
    let oldest: Vec<LegId> = legs.iter().copied().take(3).collect();
    let done = rig.keeper.run(chore, &mut rig.rng);
    rig.settle(oldest[0], None).unwrap();
    rig.hand_over(oldest[1]).unwrap();
    rig.spool.set_leased(oldest[2], true);
    let staged = rig.spool.staging.copies;
    rig.done(done);
    let copies = rig.spool.staging.copies - staged;
    assert!(copies > 0);
    rig.settle_down();
    let moved = |rig: &Rig, leg: LegId| rig.spool.index().get(leg).unwrap().at.segment() > 1;
    assert!(moved(&rig, oldest[1]) && moved(&rig, oldest[2]));
    assert!(
        !rig.spool.segments.iter().any(|(number, _)| number == 1),
        "a lease holds nothing"
    );
    let mut rig = rig.crash();
    rig.check_bodies();
}

#[test]
fn a_leg_that_stays_on_a_carrier_link_holds_its_segment_for_a_minute_only() {
    let mut rig = Rig::new(20);
    while rig.spool.segments.len() < 2 {
        rig.accept().unwrap();
        rig.turn();
    }
    let legs = rig.legs();
    let (held, rest) = legs.split_first().unwrap();
    rig.spool.set_leased(*held, true);
    for leg in rest {
        rig.settle(*leg, None).unwrap();
    }
    rig.settle_down();
    assert!(
        rig.spool.segments.get(1).is_some(),
        "it will most likely end where it lies"
    );
    rig.now_ms += 60_000;
    rig.settle_down();
    assert!(rig.spool.segments.get(1).is_none());
    assert!(rig.spool.index().get(*held).unwrap().leased);
    let mut rig = rig.crash();
    rig.check_bodies();
}

#[test]
fn restarts_do_not_keep_a_segment_young() {
    let mut rig = Rig::new(21);
    for _ in 0..30 {
        rig.accept().unwrap();
        rig.turn();
    }
    for _ in 0..5 {
        rig.now_ms += 5 * 3_600_000;
        rig = rig.kill();
        rig.settle_down();
    }
    assert!(rig.spool.segments.get(1).is_none());
    rig.check_bodies();
}

#[test]
fn a_clock_that_is_set_back_does_not_keep_the_intake_closed() {
    let mut rig = Rig::new(22);
    rig.settle_down();
    rig.disk.set_capacity(Some(rig.disk.used()));
    fill(&mut rig);
    rig.disk.set_capacity(None);
    rig.now_ms -= 5 * 3_600_000;
    rig.chores();
    assert_eq!(rig.spool.intake(), Ok(()));
}

#[test]
fn a_segment_is_emptied_by_its_age_and_in_small_steps() {
    let mut rig = Rig::new(12);
    while rig.spool.segments.len() < 2 {
        rig.accept().unwrap();
        rig.turn();
    }
    rig.settle_down();
    rig.now_ms += 23 * 3_600_000;
    rig.settle_down();
    assert!(rig.spool.segments.get(1).is_some());
    rig.now_ms += 2 * 3_600_000;
    let mut steps = 0;
    while rig.spool.segments.get(1).is_some() {
        rig.chores();
        assert!(rig.spool.staging.len() <= SEGMENT / 4 + 400, "a copy is bounded");
        rig.commit();
        steps += 1;
        assert!(steps < 20);
    }
    assert!(steps > 2);
    // No commit but the one with the last copies was needed to let the segment go.
    rig.check_counts();
    let mut rig = rig.crash();
    rig.check_bodies();
}

#[test]
fn a_file_that_cannot_be_read_now_quarantines_nothing() {
    let mut rig = Rig::new(13);
    while rig.spool.segments.len() < 2 {
        rig.accept().unwrap();
        rig.turn();
    }
    rig.settle_down();
    rig.now_ms += 25 * 3_600_000;
    rig.disk.fail_on(Op::Open, "spool", 0, 1, ErrorKind::Other);
    let said = rig.chores();
    assert!(
        said.iter().any(|said| matches!(said, Finished::NotRead(_))),
        "{said:?}"
    );
    assert!(!said.iter().any(|said| matches!(said, Finished::Unreadable(_))));
    rig.now_ms += 1000;
    rig.settle_down();
    assert!(rig.spool.segments.get(1).is_none());
    rig.check_bodies();
}

#[test]
fn starts_that_come_to_nothing_leave_no_files() {
    let mut rig = Rig::new(14);
    rig.accept().unwrap();
    rig.settle_down();
    for n in 0..20 {
        rig = if n % 2 == 0 {
            rig.kill()
        } else {
            rig.crash_by_chance()
        };
    }
    assert_eq!(rig.files().len(), 2);
    rig.check_bodies();
}

#[test]
fn a_start_on_a_full_disk_goes_on_with_what_ends_work() {
    let mut rig = Rig::new(15);
    rig.settle_down();
    // No segment is made ahead, and there is not room for one: one block is left.
    rig.disk.set_capacity(Some(rig.disk.used()));
    fill(&mut rig);
    for leg in rig.legs() {
        if rig.spool.active.offset < 4500 {
            rig.hand_over(leg).unwrap();
            rig.turn();
        }
    }
    assert!(rig.spool.next.is_none() && rig.spool.active.offset > 4096);
    rig.disk.set_capacity(Some(rig.disk.used() + 4096));
    let mut rig = rig.kill();
    rig.chores();
    assert_eq!(rig.spool.intake(), Err(Refused::Full));
    for leg in rig.legs() {
        rig.settle(leg, None).unwrap();
        if rig.spool.staging.len() > 1000 {
            rig.turn();
        }
    }
    rig.turn();
    rig.now_ms += 1000;
    rig.settle_down();
    assert_eq!(rig.spool.intake(), Ok(()));
    assert!(rig.crash().synced.legs.is_empty());
}

#[test]
fn a_leg_that_ends_in_the_batch_that_accepts_it_does_not_come_back() {
    let mut rig = Rig::new(16);
    let (leg, other) = (rig.accept().unwrap(), rig.accept().unwrap());
    let mo = rig.deliver(10).unwrap();
    rig.settle(leg, None).unwrap();
    rig.hand_over(other).unwrap();
    rig.fetched(mo).unwrap();
    rig.settle_down();
    assert!(rig.snapshot().is_like(&rig.synced));
    let rig = rig.crash();
    assert_eq!(rig.spool.index().len(), 1);
}

#[test]
fn a_batch_larger_than_a_segment_takes_one_for_itself() {
    let mut rig = Rig::new(17);
    rig.accept().unwrap();
    rig.settle_down();
    let mut legs = Vec::new();
    for _ in 0..60 {
        legs.push(rig.accept_body(&[b'y'; 200]).unwrap());
    }
    assert!(!rig.spool.has_batch_room());
    rig.settle_down();
    rig.check_counts();
    let mut rig = rig.crash();
    assert_eq!(rig.spool.index().len(), 61);
    rig.check_bodies();
}

#[test]
fn a_turn_uses_the_buffers_of_the_turn_before() {
    let mut rig = Rig::with(
        18,
        Options {
            segment_size: 1 << 20,
            ..options()
        },
    );
    let mut buffers = std::collections::BTreeSet::new();
    for _ in 0..50 {
        for _ in 0..20 {
            let leg = rig.accept_body(&[b'z'; 100]).unwrap();
            rig.spool.set_leased(leg, true);
        }
        buffers.insert(rig.spool.staging.octets.as_ptr() as usize);
        assert_eq!(rig.commit(), Some(CommitOutcome::Synced));
    }
    assert!(buffers.len() <= 2, "{}", buffers.len());
}
