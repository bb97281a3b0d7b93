//! A message that goes in parts: the whole or all of its parts, whatever happens between.

use std::io::ErrorKind;

use crate::disk::Op;
use crate::record::Stage;

use super::rig::Rig;
use super::{Begin, CommitOutcome, NewPart};

const PARTS: [NewPart<'static>; 3] = [
    NewPart {
        registered_delivery: 1,
        body: b"one",
    },
    NewPart {
        registered_delivery: 0,
        body: b"two",
    },
    NewPart {
        registered_delivery: 0,
        body: b"three",
    },
];

#[test]
fn a_power_cut_leaves_the_whole_or_all_of_its_parts() {
    let mut found = [0, 0];
    for seed in 0..60 {
        let mut rig = Rig::new(seed);
        let whole = rig.accept().unwrap();
        rig.settle_down();
        let (id, number) = rig.key(whole);
        let legs = rig
            .spool
            .cut(rig.now_ms, whole, rig.now_ms + 9, &PARTS, b"whole", &mut rig.rng)
            .unwrap();
        let leased = |rig: &Rig| legs.iter().all(|leg| rig.spool.index().get(*leg).unwrap().leased);
        assert!(leased(&rig), "nobody has them before they are on disk");
        if seed % 3 > 0 {
            let Begin::Commit(commit) = rig.spool.begin_commit(rig.now_ms) else {
                panic!("nothing to commit")
            };
            let done = commit.run();
            if seed % 3 == 2 {
                assert_eq!(rig.spool.finish_commit(done), CommitOutcome::Synced);
                assert!(!leased(&rig));
            }
        }
        let disk = rig.disk.crash_with(&mut rig.rng);
        let (state, ..) = rig.look(&disk);
        let stages: Vec<_> = state.legs.iter().map(|(key, leg)| (*key, leg.stage)).collect();
        let cut: Vec<_> = std::iter::once(((id, number), Stage::InParts))
            .chain((1..=3).map(|part| ((id, number | part << 8), Stage::Waiting)))
            .collect();
        if stages == [((id, number), Stage::Waiting)] {
            found[0] += 1;
        } else {
            assert_eq!(stages, cut, "seed {seed}");
            found[1] += 1;
        }
        assert!(seed % 3 != 2 || stages.len() == 4, "what was synced is there");
    }
    assert!(found.iter().all(|count| *count > 10), "{found:?}");
}

#[test]
fn a_full_disk_keeps_what_was_cut_for_the_next_batch() {
    let mut rig = Rig::new(5);
    let whole = rig.accept().unwrap();
    rig.settle_down();
    rig.go_in_parts(whole).unwrap();
    let plain = rig.accept().unwrap();
    rig.disk.fail_on(Op::Write, "spool", 0, 1, ErrorKind::StorageFull);
    assert_eq!(rig.turn(), Some(CommitOutcome::Full));
    assert!(rig.spool.index().get(plain).is_none(), "intake is given back");
    assert_eq!(rig.turn(), Some(CommitOutcome::Synced));
    rig.check_counts();
    let mut rig = rig.crash();
    assert!(rig.synced.legs.len() > 1);
    rig.check_bodies();
}

#[test]
fn a_leg_is_cut_once_and_not_when_a_carrier_has_it() {
    let mut rig = Rig::new(6);
    let (handed, gone, whole) = (
        rig.accept().unwrap(),
        rig.accept().unwrap(),
        rig.accept().unwrap(),
    );
    rig.settle_down();
    rig.hand_over(handed).unwrap();
    rig.settle(gone, None).unwrap();
    let mut cut = |leg| {
        let due_ms = rig.now_ms + 9;
        let legs = rig
            .spool
            .cut(rig.now_ms, leg, due_ms, &PARTS, b"whole", &mut rig.rng);
        legs.unwrap().len()
    };
    assert_eq!([cut(handed), cut(gone), cut(whole), cut(whole)], [0, 0, 3, 0]);
}
