//! The rotation of the key-encryption key, cut at every point.

use std::io;

use super::tests::*;
use super::*;
use crate::disk::{FaultyDisk, Op};

fn both(disk: &FaultyDisk) -> Result<Ring, KeyRingError> {
    KeyRing::open(disk, dir(), Keks::from(kek()).with(new_kek()))
}

fn with_new(disk: &FaultyDisk) -> Result<Ring, KeyRingError> {
    KeyRing::open(disk, dir(), new_kek())
}

fn go_on(ring: &mut Ring, piece: usize) -> Result<Rotated, KeyRingError> {
    loop {
        match ring.rotate_piece(piece, &mut rng())? {
            Some(Progress::Goes(_)) => {}
            Some(Progress::Ended(rotated)) => return Ok(rotated),
            None => panic!("there is no rotation"),
        }
    }
}

fn rotate(ring: &mut Ring, piece: usize) -> Result<Rotated, KeyRingError> {
    ring.begin_rotation(new_kek(), NOW + 1, &mut rng())?;
    go_on(ring, piece)
}

/// A ring with keys of several owners, and what they have sealed.
fn full() -> (FaultyDisk, Vec<(KeyId, Vec<u8>)>) {
    let (disk, mut ring) = create();
    let owners: Vec<PeriodOwner> = (0..5).map(|start| period("a", start)).collect();
    let mut ids = vec![make(&mut ring)];
    ids.extend(
        ring.period_keys(&owners, NOW, &mut rng())
            .unwrap()
            .iter()
            .map(|key| key.id()),
    );
    ring.make(Owner::Pseudonyms, NOW, &mut rng()).unwrap();
    let sealed = ids.into_iter().map(|id| (id, seal(&ring, id))).collect();
    (disk, sealed)
}

fn all_open(ring: &Ring, sealed: &[(KeyId, Vec<u8>)]) -> bool {
    sealed.iter().all(|(id, sealed)| opens(ring, *id, sealed))
}

#[test]
fn key_c04_after_a_rotation_an_earlier_copy_opens_nothing_with_the_new_kek() {
    let (disk, sealed) = full();
    let earlier = disk.crash();
    let mut ring = open(&disk).unwrap();
    let before = ring.kek_state();
    // A key that is destroyed before the rotation: who kept a copy of the ring has it, as long as the old KEK lives.
    ring.destroy(sealed[1].0).unwrap();
    assert_eq!(rotate(&mut ring, 3).unwrap(), Rotated { slots: 64, keys: 7 });
    let after = ring.kek_state();
    assert_eq!((before.number, after.number, after.next), (1, 2, None));
    assert_ne!(before.fingerprint, after.fingerprint);
    assert_eq!(after.since_ms, Some(NOW + 1));
    drop(ring);

    let kept: Vec<_> = sealed
        .iter()
        .filter(|(id, _)| *id != sealed[1].0)
        .cloned()
        .collect();
    let ring = with_new(&disk.crash()).unwrap();
    assert!(all_open(&ring, &kept) && ring.get(sealed[1].0).is_none());
    assert!(ring.pseudonyms().is_some());
    let told = with_new(&earlier).map(drop).unwrap_err();
    assert!(matches!(told, KeyRingError::WrongKek { number: 1, .. }), "{told}");
    assert!(
        open(&earlier).unwrap().get(sealed[1].0).is_some(),
        "only the old KEK opens it"
    );
    let told = open(&disk.crash()).map(drop).unwrap_err();
    assert!(matches!(told, KeyRingError::WrongKek { number: 2, .. }), "{told}");
    // Nothing of the old wrapping is left in today's files.
    let old = open(&earlier).unwrap();
    assert!(sealed.iter().all(|(id, _)| !holds(&disk, &wrapped(&old, *id))));
}

#[test]
fn a_cut_while_a_rotation_begins_goes_on_or_ends_loses_no_key() {
    let (disk, sealed) = full();
    // Where it was found: not begun, in the middle, ended.
    let mut seen = [0; 3];
    at_every_cut(
        || disk.crash(),
        |disk| rotate(&mut open(disk)?, 3).map(drop),
        |after, done| {
            let mut ring = both(after).unwrap();
            assert!(all_open(&ring, &sealed));
            let state = ring.kek_state();
            let place = match (state.next, state.number) {
                (None, 1) => 0,
                (Some(_), 1) => 1,
                (None, 2) => 2,
                other => panic!("{other:?}"),
            };
            seen[place] += 1;
            assert!(!done || place == 2);
            match place {
                0 => drop(rotate(&mut ring, 3).unwrap()),
                1 => drop(go_on(&mut ring, 3).unwrap()),
                _ => {}
            }
            let ring = with_new(&after.crash()).unwrap();
            assert!(all_open(&ring, &sealed));
            assert!(open(after).is_err());
        },
    );
    assert!(seen.iter().all(|seen| *seen > 21), "{seen:?}");
}

#[test]
fn a_start_in_the_middle_says_which_one_is_missing() {
    let (disk, sealed) = full();
    let mut ring = open(&disk).unwrap();
    ring.begin_rotation(new_kek(), NOW, &mut rng()).unwrap();
    let begun = disk.crash();
    assert_eq!(
        ring.rotate_piece(3, &mut rng()).unwrap(),
        Some(Progress::Goes(Rotated { slots: 3, keys: 3 }))
    );
    let state = ring.kek_state();
    drop(ring);
    match open(&disk.crash()).map(drop).unwrap_err() {
        error @ KeyRingError::KekMissing {
            is_new: true,
            number: 2,
            fingerprint,
            keys: 3,
            ..
        } => {
            assert_eq!(state.next, Some((2, fingerprint)));
            assert!(error.to_string().contains("the new one is missing"), "{error}");
        }
        error => panic!("{error}"),
    }
    match with_new(&disk.crash()).map(drop).unwrap_err() {
        error @ KeyRingError::KekMissing {
            is_new: false,
            number: 1,
            keys: 5,
            ..
        } => assert!(error.to_string().contains("the old one is missing"), "{error}"),
        error => panic!("{error}"),
    }
    // Given in the other order it goes on, too.
    let swapped = Keks::from(new_kek()).with(kek());
    let mut ring = KeyRing::open(&disk, dir(), swapped).unwrap();
    go_on(&mut ring, 64).unwrap();
    assert!(all_open(&with_new(&disk.crash()).unwrap(), &sealed));

    // One that had only begun needs the new one for nothing: it is undone, and another may follow.
    let mut ring = open(&begun).unwrap();
    assert!(!ring.is_rotating() && all_open(&ring, &sealed));
    let third = Kek::new(&[3; KEY_LEN]);
    ring.begin_rotation(third, NOW, &mut rng()).unwrap();
    go_on(&mut ring, 64).unwrap();
    let ring = KeyRing::open(&begun.crash(), dir(), Kek::new(&[3; KEY_LEN])).unwrap();
    assert!(all_open(&ring, &sealed));
}

#[test]
fn the_ring_is_used_while_it_goes_on() {
    let (disk, sealed) = full();
    let mut ring = open(&disk).unwrap();
    let keks = ring.keks();
    ring.begin_rotation(new_kek(), NOW, &mut rng()).unwrap();
    let mut kept = sealed.clone();
    for round in 0..20 {
        assert!(matches!(
            ring.rotate_piece(3, &mut rng()).unwrap(),
            Some(Progress::Goes(_))
        ));
        // Made, destroyed, made again: in slots that it has passed and in such that it has not.
        let id = make(&mut ring);
        kept.push((id, seal(&ring, id)));
        let made = ring.period_keys(&[period("b", round)], NOW, &mut rng()).unwrap();
        ring.destroy_many(&[made[0].id()]).unwrap();
        let (gone, _) = kept.remove(0);
        ring.destroy(gone).unwrap();
        assert!(all_open(&ring, &kept));
        // Who looks into the files beside it sees the same.
        let seen = KeyRing::look(&disk, dir(), &keks).unwrap();
        assert!(seen.contains_key(&id) && !seen.contains_key(&gone));
    }
    // A growth behind the end is gone through, too.
    let many: Vec<PeriodOwner> = (0..100).map(|start| period("c", start)).collect();
    ring.period_keys(&many, NOW, &mut rng()).unwrap();
    let ended = go_on(&mut ring, 10).unwrap();
    assert!(ended.slots > 64, "{ended:?}");
    assert!(KeyRing::look(&disk, dir(), &keks).is_ok());
    let ring = with_new(&disk.crash()).unwrap();
    assert!(all_open(&ring, &kept));
    assert_eq!(
        ring.periods().count(),
        many.len() + kept.iter().filter(|(id, _)| id.0 < 8).count()
    );
}

#[test]
fn what_cannot_take_over_is_refused_and_changes_nothing() {
    let (disk, sealed) = full();
    let mut ring = open(&disk).unwrap();
    let before = files(&disk);
    let same = ring.begin_rotation(kek(), NOW, &mut rng()).unwrap_err();
    assert!(matches!(same, KeyRingError::SameKek { .. }), "{same}");
    assert_eq!(ring.rotate_piece(3, &mut rng()).unwrap(), None);
    assert!(files(&disk) == before);
    ring.begin_rotation(new_kek(), NOW, &mut rng()).unwrap();
    ring.rotate_piece(3, &mut rng()).unwrap();
    let other = ring
        .begin_rotation(Kek::new(&[3; KEY_LEN]), NOW, &mut rng())
        .unwrap_err();
    assert!(matches!(other, KeyRingError::OtherRotation { .. }), "{other}");
    // Asked for again it goes on from where it is.
    ring.begin_rotation(new_kek(), NOW, &mut rng()).unwrap();
    assert_eq!(ring.kek_state().rotated.slots, 3);
    go_on(&mut ring, 64).unwrap();
    assert!(all_open(&with_new(&disk.crash()).unwrap(), &sealed));
}

#[test]
fn after_a_failed_write_the_ring_is_given_up_and_a_restart_goes_on() {
    let (whole, sealed) = full();
    for op in [Op::Write, Op::Sync] {
        for name in files::NAMES {
            for skip in 0..4 {
                let disk = whole.crash();
                let mut ring = open(&disk).unwrap();
                disk.fail_on(op, name, skip, 1, io::ErrorKind::Other);
                assert!(rotate(&mut ring, 3).is_err());
                assert!(all_open(&ring, &sealed), "what there is can be read");
                assert!(matches!(
                    ring.rotate_piece(3, &mut rng()),
                    Err(KeyRingError::GivenUp { .. })
                ));
                drop(ring);
                let mut ring = both(&disk).unwrap();
                match ring.is_rotating() {
                    true => drop(go_on(&mut ring, 3).unwrap()),
                    false if ring.kek_state().number == 1 => drop(rotate(&mut ring, 3).unwrap()),
                    false => {}
                }
                assert!(all_open(&with_new(&disk.crash()).unwrap(), &sealed));
            }
        }
    }
}
