//! Used parts, counted once each: over roll-over, copies, unlinks, and every step at which a process can be cut off.

use std::collections::BTreeMap;
use std::io::ErrorKind;

use tidegate_codec::identity::SystemId;

use crate::disk::{Disk as _, FaultyDisk, Op};
use crate::index::LegId;
use crate::quote::Quote;
use crate::record::Envelope;
use crate::testing::envelope;
use crate::usage::{Used, recount};

use super::rig::{ACCOUNTS, NOW, Rig, SEGMENT, options, period};
use super::{CommitOutcome, Finished, NewLeg, Options, Spool};

const DAY_MS: u64 = 86_400_000;

/// A leg of so many parts of "load", at the rig's time.
fn accept(rig: &mut Rig, parts: u8, takes_a_place: bool) -> LegId {
    let id = rig.spool.next_id(rig.now_ms);
    let new = NewLeg {
        id,
        leg: 0,
        account: SystemId::new(b"load").unwrap(),
        envelope: Envelope {
            parts,
            accepted_ms: rig.now_ms,
            ..envelope()
        },
        due_ms: 0,
        quote: Quote::NONE,
        body: &[b'x'; 100],
        period: period(rig.now_ms),
        takes_a_place,
        held: false,
    };
    rig.spool.accept(rig.now_ms, new, &mut rig.rng).unwrap()
}

fn used(spool: &Spool<FaultyDisk>, now_ms: u64) -> Used {
    let account = spool.names().find("load").unwrap();
    spool.used(account, period(now_ms))
}

/// A power cut and a start; the model is not asked.
fn again(rig: Rig) -> Rig {
    let disk = rig.disk.crash();
    rig.reopen(disk)
}

fn both(parts: u64) -> Used {
    Used {
        day: parts,
        month: parts,
    }
}

#[test]
fn a_leg_counts_from_its_staging_on_and_no_more_when_its_batch_is_given_back() {
    let mut rig = Rig::new(1);
    accept(&mut rig, 3, false);
    assert_eq!(used(&rig.spool, NOW), both(3), "staged");
    rig.commit();
    assert_eq!(used(&rig.spool, NOW), both(3), "on disk");
    accept(&mut rig, 2, false);
    accept(&mut rig, 4, true);
    rig.disk.fail_next(Op::Write, 1, ErrorKind::StorageFull);
    assert_eq!(rig.commit(), Some(CommitOutcome::Full));
    assert_eq!(
        used(&rig.spool, NOW),
        both(7),
        "what takes a place is staged again"
    );
    assert_eq!(rig.commit(), Some(CommitOutcome::Synced));
    assert_eq!(used(&rig.spool, NOW), both(7));
    let rig = again(rig);
    assert_eq!(used(&rig.spool, NOW), both(7), "neither less nor twice");
}

#[test]
fn a_new_day_begins_at_nothing_and_its_month_goes_on() {
    let mut rig = Rig::new(2);
    let later = NOW + DAY_MS;
    assert_eq!(period(NOW).month, period(later).month, "the test wants one month");
    for now_ms in [NOW, later, NOW] {
        rig.now_ms = now_ms;
        accept(&mut rig, 5, false);
    }
    rig.commit();
    let rig = again(rig);
    assert_eq!(used(&rig.spool, NOW), Used { day: 10, month: 15 });
    assert_eq!(used(&rig.spool, later), Used { day: 5, month: 15 });
    assert_eq!(used(&rig.spool, NOW + 2 * DAY_MS).day, 0);
}

/// One in eight lives on, so that there is something to be copied.
fn is_short_lived(rig: &Rig, leg: LegId) -> bool {
    !(rig.key(leg).0.ms() / 1000).is_multiple_of(8)
}

/// Accepts and settles until so many segments have gone.
fn wear(rig: &mut Rig, segments: usize) {
    let mut gone = 0;
    while gone < segments {
        rig.accept().unwrap();
        for leg in rig.legs() {
            if is_short_lived(rig, leg) {
                rig.settle(leg, None).unwrap();
            }
        }
        rig.now_ms += 1000;
        rig.commit();
        let finished = rig.chores();
        gone += finished
            .into_iter()
            .map(|done| {
                if let Finished::Unlinked(count) = done {
                    count
                } else {
                    0
                }
            })
            .sum::<usize>();
    }
}

#[test]
fn what_was_counted_in_segments_that_are_gone_is_in_the_snapshot() {
    let mut rig = Rig::new(3);
    for seed in 0..4 {
        wear(&mut rig, 3);
        assert!(rig.spool.usage.saved() > 0);
        // The model counts what was accepted, and every start is held against it.
        rig = if seed % 2 == 0 { rig.crash() } else { rig.kill() };
    }
    let all: u64 = rig.synced.used.values().flat_map(BTreeMap::values).sum();
    assert!(all > 500, "{all}");
}

#[test]
fn without_a_snapshot_no_segment_goes() {
    let mut rig = Rig::new(4);
    rig.disk
        .fail_on(Op::Write, "usage", 0, u64::MAX, ErrorKind::Other);
    for _ in 0..200 {
        let leg = rig.accept().unwrap();
        rig.commit();
        rig.settle(leg, None).unwrap();
        rig.now_ms += 1000;
        rig.commit();
        if let Some(chore) = rig.spool.next_chore(rig.now_ms) {
            let done = rig.keeper.run(chore, &mut rig.rng);
            assert!(!matches!(rig.done(done), Finished::Unlinked(_)));
        }
    }
    assert!(rig.file(1).starts_with(&rig.options.dir) && rig.disk.octets(&rig.file(1)).is_some());
    rig.disk.heal();
    rig.now_ms += 10_000;
    rig.chores();
    assert!(
        rig.disk.octets(&rig.file(1)).is_none(),
        "it goes when it can be counted"
    );
    rig.crash();
}

#[test]
fn one_copy_that_is_damaged_costs_nothing_and_both_are_an_alarm() {
    let damage = |rig: &Rig, name: &str| {
        let path = rig.options.usage_dir.join(name);
        let octet = rig.disk.octets(&path).unwrap()[40];
        rig.disk.damage(&path, 40, &[octet ^ 1]);
    };
    for copies in [&["usage-a"][..], &["usage-b"], &["usage-a", "usage-b"]] {
        let mut rig = Rig::new(5);
        wear(&mut rig, 3);
        rig.settle_down();
        copies.iter().for_each(|name| damage(&rig, name));
        let expected = rig.synced.used.clone();
        let disk = rig.disk.crash();
        let rig = rig.start_unchecked(disk);
        assert_eq!(rig.found.usage_lost, copies.len() == 2);
        let found = rig.snapshot().used;
        assert_eq!(found == expected, copies.len() == 1);
        // What the spool still holds counts all the same, and the copies are whole again.
        let spool_holds = found.values().flat_map(BTreeMap::values).sum::<u64>();
        assert!(spool_holds > 0);
        let disk = rig.disk.crash();
        let rig = rig.reopen(disk);
        assert_eq!((rig.found.usage_lost, rig.snapshot().used), (false, found));
    }
}

#[test]
fn copies_that_are_gone_with_segments_behind_them_are_an_alarm() {
    let mut rig = Rig::new(6);
    accept(&mut rig, 1, false);
    rig.commit();
    let lost = |rig: &Rig| {
        let disk = rig.disk.crash();
        for name in ["usage-a", "usage-b"] {
            disk.unlink(&rig.options.usage_dir.join(name)).unwrap();
        }
        rig.look(&disk).2.usage_lost
    };
    assert!(!lost(&rig), "all that was ever counted is in the spool");
    wear(&mut rig, 3);
    assert!(lost(&rig));
}

#[test]
fn a_spool_that_was_thrown_away_begins_behind_what_the_snapshot_counts() {
    let mut rig = Rig::new(8);
    wear(&mut rig, 3);
    rig.settle_down();
    let disk = rig.disk.crash();
    for path in rig.files() {
        disk.unlink(&path).unwrap();
    }
    let saved = rig.spool.usage.saved();
    let mut rig = rig.reopen(disk);
    assert!(rig.spool.active.number > saved);
    let (now_ms, before) = (rig.now_ms, used(&rig.spool, rig.now_ms));
    assert!(before.month > 0);
    accept(&mut rig, 9, false);
    rig.commit();
    let rig = again(rig);
    assert_eq!(used(&rig.spool, now_ms).day, before.day + 9);
}

/// A life in small segments, in which the power goes at the first commit that fails, if it does.
fn small_life(cut: Option<u64>) -> Rig {
    let small = Options {
        segment_size: SEGMENT / 2,
        ..options()
    };
    let mut rig = Rig::with(7, small);
    cut.into_iter()
        .for_each(|changes| rig.disk.cut_power_after(changes));
    for _ in 0..80 {
        let _ = rig.accept();
        let legs = rig.legs();
        for leg in legs
            .into_iter()
            .filter(|leg| is_short_lived(&rig, *leg))
            .collect::<Vec<_>>()
        {
            let _ = rig.settle(leg, None);
        }
        rig.now_ms += 1000;
        if rig.commit() == Some(CommitOutcome::Broken) {
            break;
        }
        // What fails is tried again in a second; the power does not come back.
        for _ in 0..6 {
            if let Some(chore) = rig.spool.next_chore(rig.now_ms) {
                let done = rig.keeper.run(chore, &mut rig.rng);
                rig.done(done);
            }
        }
    }
    rig
}

/// At every step of the disk: what is found is what was acknowledged, and of the batch on its way all or nothing.
#[test]
fn wherever_the_power_goes_each_part_counts_once() {
    let whole = small_life(None);
    assert!(
        whole.spool.usage.saved() > 2,
        "the snapshot is written over more than once"
    );
    let changes = whole.disk.counts().changes;
    for cut in 0..changes {
        let rig = small_life(Some(cut));
        let rig = if cut % 2 == 0 {
            rig.crash()
        } else {
            rig.crash_by_chance()
        };
        // What the files say without a spool is the same.
        let found = recount(&rig.disk, &rig.options.dir, &rig.options.usage_dir).unwrap();
        for account in ACCOUNTS {
            let Some(name) = rig.spool.names().find(account) else {
                continue;
            };
            let found = found.get(account).copied().unwrap_or_default();
            let today = period(rig.now_ms);
            assert_eq!(
                found.used(today),
                rig.spool.used(name, today),
                "{account}, cut {cut}"
            );
        }
    }
}
