//! A leg that takes the place of another: one of the two is there, whatever happens between.

use std::io::ErrorKind;

use crate::disk::Op;

use super::rig::Rig;
use super::{CommitOutcome, Refused};

#[test]
fn a_full_disk_keeps_a_leg_that_takes_a_place_with_the_end_of_what_was_there() {
    let mut rig = Rig::new(21);
    let old = rig.accept().unwrap();
    rig.settle_down();
    let new = rig.accept_instead(old, Some(50)).unwrap();
    let plain = rig.accept().unwrap();
    rig.disk.fail_on(Op::Write, "spool", 0, 1, ErrorKind::StorageFull);
    assert_eq!(rig.turn(), Some(CommitOutcome::Full));
    let has = |rig: &Rig, leg| rig.spool.index().get(leg).is_some();
    assert!(has(&rig, new) && !has(&rig, old) && !has(&rig, plain));
    assert!(
        rig.spool.index().get(new).unwrap().leased,
        "nobody has it before it is on disk"
    );
    // Until that is on disk the old one is what a restart finds.
    let (state, ..) = rig.look(&rig.disk.crash());
    assert_eq!(state, rig.synced);
    assert_eq!(rig.turn(), Some(CommitOutcome::Synced));
    assert!(!rig.spool.index().get(new).unwrap().leased);
    rig.check_counts();
    let mut rig = rig.crash();
    assert_eq!((rig.synced.legs.len(), rig.synced.entries.len()), (1, 1));
    rig.check_bodies();
}

#[test]
fn a_power_cut_leaves_the_old_one_or_the_new_one() {
    let (mut olds, mut news) = (0, 0);
    for seed in 0..60 {
        let mut rig = Rig::new(seed);
        let old = rig.accept().unwrap();
        rig.settle_down();
        let key = rig.key(old);
        rig.accept_instead(old, Some(50)).unwrap();
        let mut rig = rig.crash_in_commit(seed);
        let found = rig.snapshot();
        assert_eq!(found.legs.len(), 1, "seed {seed}");
        let is_old = found.legs.contains_key(&key);
        assert_eq!(
            found.entries.len(),
            usize::from(!is_old),
            "the end goes with its DLR"
        );
        if is_old {
            olds += 1;
        } else {
            news += 1;
        }
        rig.check_bodies();
    }
    assert!(olds > 15 && news > 15, "{olds} {news}");
}

#[test]
fn what_is_refused_ends_nothing() {
    let mut rig = Rig::new(22);
    let old = rig.accept().unwrap();
    rig.settle_down();
    rig.disk.fail_on(Op::Sync, "spool", 0, 2, ErrorKind::Other);
    rig.accept().unwrap();
    assert_eq!(rig.turn(), Some(CommitOutcome::Broken));
    assert_eq!(rig.accept_instead(old, Some(50)), Err(Refused::Broken));
    assert!(rig.spool.index().get(old).is_some());
}
