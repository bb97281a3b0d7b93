//! A leg that is held until somebody releases it: held stays held over any crash, released is released once.

use std::io::ErrorKind;

use crate::disk::Op;
use crate::record::Stage;

use super::rig::Rig;
use super::{CommitOutcome, Refused};

fn stage(rig: &Rig) -> Stage {
    let mut legs = rig.spool.index().iter();
    let (_, leg) = legs.next().unwrap();
    assert!(legs.next().is_none());
    leg.stage
}

#[test]
fn what_is_held_is_held_after_a_crash_and_its_body_is_there_when_it_is_released() {
    let mut rig = Rig::new(31);
    let held = rig.accept_held().unwrap();
    rig.accept().unwrap();
    rig.settle_down();
    rig.check_counts();
    let rig = rig.crash();
    let mut rig = rig.kill();
    rig.check_counts();
    rig.check_bodies();
    let key = rig.key(held);
    assert_eq!(rig.synced.legs[&key].stage, Stage::Held);
    let held = rig.spool.index().find(key.0, key.1).unwrap();
    let before = rig.spool.index().get(held).unwrap().at;
    let held = rig.release(held).unwrap().unwrap();
    assert!(
        rig.spool.index().get(held).unwrap().leased,
        "nobody has it before its release is on disk"
    );
    assert!(rig.spool.index().held().is_empty());
    assert_eq!(
        rig.spool.release(rig.now_ms, held, 0, b"", &mut rig.rng),
        Ok(None),
        "once"
    );
    assert_eq!(rig.turn(), Some(CommitOutcome::Synced));
    let mut rig = rig.crash();
    assert_eq!(rig.synced.legs[&key].stage, Stage::Waiting);
    // An earlier program knows no record of one that is held: this one is needed no more.
    let found = rig.spool.index().find(key.0, key.1).unwrap();
    assert_ne!(rig.spool.index().get(found).unwrap().at, before);
    rig.check_bodies();
    rig.check_counts();
}

#[test]
fn a_power_cut_in_a_release_leaves_it_held_or_released() {
    let (mut still, mut released) = (0, 0);
    for seed in 0..60 {
        let mut rig = Rig::new(seed);
        let leg = rig.accept_held().unwrap();
        rig.settle_down();
        rig.release(leg).unwrap();
        let mut rig = rig.crash_in_commit(seed);
        rig.check_counts();
        rig.check_bodies();
        match stage(&rig) {
            Stage::Held => still += 1,
            Stage::Waiting => released += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(still > 0 && released > 0, "{still} held, {released} released");
}

#[test]
fn a_full_disk_gives_a_held_leg_back_and_keeps_a_release() {
    let mut rig = Rig::new(33);
    let old = rig.accept_held().unwrap();
    rig.settle_down();
    rig.release(old).unwrap();
    rig.accept_held().unwrap();
    rig.disk.fail_on(Op::Write, "spool", 0, 1, ErrorKind::StorageFull);
    assert_eq!(rig.turn(), Some(CommitOutcome::Full));
    assert!(rig.spool.index().held().is_empty());
    // Until it is on disk a restart finds it held.
    let (state, ..) = rig.look(&rig.disk.crash());
    assert_eq!(state, rig.synced);
    assert_eq!(rig.turn(), Some(CommitOutcome::Synced));
    let rig = rig.crash();
    assert_eq!(stage(&rig), Stage::Waiting);
}

#[test]
fn what_ends_held_leaves_nothing_behind_and_a_broken_disk_releases_nothing() {
    let mut rig = Rig::new(34);
    let (one, other) = (rig.accept_held().unwrap(), rig.accept_held().unwrap());
    rig.settle_down();
    rig.settle(one, Some(50)).unwrap();
    rig.settle_down();
    rig.check_counts();
    assert_eq!(rig.spool.index().held().len(), 1);
    rig.disk.fail_on(Op::Sync, "spool", 0, 2, ErrorKind::Other);
    rig.accept().unwrap();
    assert_eq!(rig.turn(), Some(CommitOutcome::Broken));
    assert_eq!(rig.release(other), Err(Refused::Broken));
    assert!(rig.is_held(other));
}
