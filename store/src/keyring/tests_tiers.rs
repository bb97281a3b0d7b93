//! What tiers owe: keys of their owners in their rings alone, whatever is cut off, and no key-encryption key for two rings.

use std::io;
use std::path::PathBuf;

use super::tests::{NOW, Ring, aad, at_every_cut, create, dir, kek, make, new_kek, open, period, rng};
use super::*;
use crate::disk::{FaultyDisk, Op};
use crate::seal::Purpose;

const ALL: [Owner; 5] = [
    Owner::Hold(1),
    Owner::Erasure(2),
    Owner::Disclosure(3),
    Owner::Restriction(4),
    Owner::Subject(5),
];

fn tier_kek(tier: Tier) -> Kek {
    Kek::new(&[0x40 + tier.number(); KEY_LEN])
}

fn attach(ring: &mut Ring, disk: &FaultyDisk, tier: Tier) -> Result<Attached, KeyRingError> {
    ring.attach(disk, tier, tier_kek(tier), NOW + 1, &mut rng())
}

fn attach_all(disk: &FaultyDisk) -> Result<Ring, KeyRingError> {
    let mut ring = open(disk)?;
    for tier in Tier::ALL {
        attach(&mut ring, disk, tier)?;
    }
    Ok(ring)
}

/// What an owner's newest key seals.
fn sealed(ring: &Ring, owner: Owner) -> Vec<u8> {
    let (mut out, key) = (Vec::new(), ring.newest(owner).unwrap());
    key.seal(&aad(), &mut rng(), &mut out, |out| out.extend_from_slice(b"who"))
        .unwrap();
    out
}

fn opens(ring: &Ring, owner: Owner, sealed: &[u8]) -> bool {
    let key = ring.newest(owner);
    key.is_some_and(|key| key.open(&aad(), &mut sealed.to_vec(), Purpose::Sweep) == Ok(b"who"))
}

fn ring_files(tier: Tier) -> [PathBuf; 2] {
    files::NAMES.map(|name| tier.dir(dir()).join(name))
}

fn copy(disk: &FaultyDisk, from: &Path, to: &Path) {
    for name in files::NAMES {
        let octets = disk.octets(&from.join(name)).unwrap();
        let _ = disk.unlink(&to.join(name));
        create_whole(disk, &to.join(name), &octets).unwrap();
    }
}

#[test]
fn enc_5_keys_of_tiers_owners_lie_in_their_own_rings_and_what_opens_messages_opens_none() {
    let (disk, mut ring) = create();
    let spool = make(&mut ring);
    for tier in Tier::ALL {
        let made = attach(&mut ring, &disk, tier).unwrap();
        assert_eq!((made.made, made.taken_over), (true, 0));
    }
    let ids = ALL.map(|owner| ring.make(owner, NOW + 2, &mut rng()).unwrap().id());
    let secret = ALL.map(|owner| sealed(&ring, owner));
    assert!(
        ids[..4]
            .iter()
            .all(|id| (0xE000_0001..0xF000_0000).contains(&id.0)),
        "{ids:?}"
    );
    assert!(ids[4].0 > 0xF000_0000 && spool.0 < 100);

    // What goes by names that stand in records, and what is shared with other threads, has the keys of messages only.
    assert!(ring.get(spool).is_some() && ids.iter().all(|id| ring.get(*id).is_none()));
    let shared = KeyRing::look(&disk, dir(), &ring.keks()).unwrap();
    assert_eq!(
        shared.keys().copied().collect::<Vec<_>>(),
        [spool, KeyId(3), KeyId(4)]
    );
    for tier in Tier::ALL {
        let told = KeyRing::look(&disk, &tier.dir(dir()), &ring.keks()).unwrap_err();
        assert!(matches!(told, KeyRingError::WrongKek { .. }), "{told}");
    }
    let counted = survey(&disk, dir()).unwrap();
    assert_eq!(
        (counted.tiers, counted.of_tiers),
        (vec![Tier::Legal, Tier::Subrec], [0, 0])
    );
    // The main ring with its key-encryption key alone.
    let alone = open(&disk).unwrap();
    for (owner, secret) in ALL.into_iter().zip(&secret) {
        assert!(
            alone.live(owner).is_empty() && !opens(&alone, owner, secret),
            "{owner:?}"
        );
    }
    assert_eq!(
        alone.holds().count() + alone.erasures().count() + alone.subjects().count(),
        0
    );

    let disk = disk.crash();
    let mut ring = attach_all(&disk).unwrap();
    for (owner, secret) in ALL.into_iter().zip(&secret) {
        assert!(opens(&ring, owner, secret), "{owner:?}");
    }
    assert_eq!(ring.holds().collect::<Vec<_>>(), [(1, ids[0])]);
    assert_eq!(
        ring.erasures().chain(ring.disclosures()).collect::<Vec<_>>(),
        [2, 3]
    );
    assert_eq!(
        ring.restrictions().chain(ring.subjects()).collect::<Vec<_>>(),
        [4, 5]
    );
    let of_holds = OWNERS.iter().position(|(_, word)| *word == "holds").unwrap();
    assert_eq!(
        (ring.ages()[of_holds].keys, ring.ages()[of_holds].oldest_ms),
        (1, Some(NOW + 2))
    );
    // Names that stand in records reach none of them.
    let gone = ring.destroy_many(&[spool, ids[0], ids[4], KeyId(77)]).unwrap();
    assert_eq!(gone.iter().map(|gone| gone.id).collect::<Vec<_>>(), [spool]);
    for (owner, secret) in ALL.into_iter().zip(&secret) {
        assert!(opens(&ring, owner, secret), "{owner:?}");
    }
    for (owner, id) in [(Owner::Hold(1), ids[0]), (Owner::Subject(5), ids[4])] {
        let gone = ring.destroy_of(owner).unwrap();
        assert_eq!(gone.iter().map(|gone| gone.id).collect::<Vec<_>>(), [id]);
        assert!(ring.live(owner).is_empty() && ring.destroy_of(owner).unwrap().is_empty());
    }
    assert!(!ring.live(Owner::Erasure(2)).is_empty());
    let kept = BTreeSet::from([4]);
    let gone = ring.keep_orders(&kept, &kept).unwrap();
    assert_eq!(gone.iter().map(|gone| gone.id).collect::<Vec<_>>(), [ids[1]]);
    assert!(!ring.live(Owner::Restriction(4)).is_empty() && !ring.live(Owner::Disclosure(3)).is_empty());
    let ring = attach_all(&disk.crash()).unwrap();
    let left = ALL.into_iter().filter(|owner| !ring.live(*owner).is_empty());
    assert_eq!(left.collect::<Vec<_>>(), [ALL[2], ALL[3]]);
}

#[test]
fn marks_are_permanent_and_made_by_nobody() {
    let (disk, mut ring) = create();
    attach(&mut ring, &disk, Tier::Legal).unwrap();
    let [mark] = ring.live(Owner::Tier(Tier::Legal))[..] else {
        panic!()
    };
    assert!(matches!(ring.destroy(mark), Err(KeyRingError::Permanent)));
    // The tier's own is nobody's who goes by a name.
    ring.destroy(KeyId(0xE000_0000)).unwrap();
    for owner in [Owner::Tier(Tier::Legal), Owner::MessageId] {
        assert!(
            matches!(ring.destroy_of(owner), Err(KeyRingError::Permanent)),
            "{owner:?}"
        );
    }
    attach(&mut open(&disk).unwrap(), &disk, Tier::Legal).unwrap();
    let made = ring.make(Owner::Tier(Tier::Subrec), NOW, &mut rng());
    assert!(matches!(made, Err(KeyRingError::Permanent)));
}

#[test]
fn a_tier_takes_its_keys_over_wherever_the_power_goes() {
    // An installation of before there were tiers.
    let prepare = || {
        let (disk, mut ring) = create();
        for owner in ALL {
            ring.make(owner, NOW - 7, &mut rng()).unwrap();
        }
        ring.make(Owner::Hold(9), NOW - 6, &mut rng()).unwrap();
        make(&mut ring);
        ring.period_keys(&[period("a", 1)], NOW, &mut rng()).unwrap();
        disk
    };
    let before = open(&prepare().crash()).unwrap();
    let secret = ALL.map(|owner| sealed(&before, owner));
    let ids = ALL.map(|owner| before.live(owner)[0]);
    let (mut seen, mut moved) = ([0, 0], [0, 0]);
    at_every_cut(
        prepare,
        |disk| attach_all(disk).map(drop),
        |after, done| {
            // Nothing is in neither, and the ring opens without its tiers as long as nothing has moved.
            let main = open(after).unwrap();
            let left = main.live(Owner::Hold(1)).len() + main.live(Owner::Subject(5)).len();
            seen[usize::from(done)] += 1;
            moved[usize::from(left == 0)] += 1;
            assert!(!done || left == 0);
            let ring = attach_all(after).unwrap();
            for ((owner, secret), id) in ALL.into_iter().zip(&secret).zip(ids) {
                assert_eq!(ring.live(owner), [id], "same name, once");
                assert!(opens(&ring, owner, secret), "{owner:?}");
            }
            assert_eq!(ring.holds().count(), 2);
            assert_eq!((ring.live(Owner::Spool).len(), ring.periods().count()), (1, 1));
            for kind in ["holds", "subjects"] {
                let of_kind = OWNERS.iter().position(|(_, word)| *word == kind).unwrap();
                assert_eq!(ring.ages()[of_kind].oldest_ms, Some(NOW - 7), "as old as it was");
            }
            assert_eq!(survey(after, dir()).unwrap().of_tiers, [0, 0]);
            // Names go on where they were, and meet no other's.
            let mut ring = ring;
            let next = ring.make(Owner::Hold(10), NOW, &mut rng()).unwrap().id();
            assert!(next.0 > 0xE000_0000);
        },
    );
    assert!(
        seen.iter().chain(&moved).all(|count| *count > 20),
        "{seen:?} {moved:?}"
    );
}

#[test]
fn what_was_taken_over_is_overwritten_in_the_main_ring() {
    let (disk, mut ring) = create();
    let id = ring.make(Owner::Hold(1), NOW, &mut rng()).unwrap().id();
    let octets = tests::wrapped(&ring, id);
    assert!(tests::holds(&disk, &octets));
    assert_eq!(attach(&mut ring, &disk, Tier::Legal).unwrap().taken_over, 1);
    assert!(!tests::holds(&disk, &octets), "in neither copy");
    assert_eq!(ring.live(Owner::Hold(1)), [id]);
    assert_eq!(
        attach(&mut ring, &disk, Tier::Legal).unwrap(),
        Attached::default(),
        "once"
    );
}

#[test]
fn a_tiers_ring_that_is_gone_is_not_made_anew_and_one_from_elsewhere_is_refused() {
    let (disk, mut ring) = create();
    attach(&mut ring, &disk, Tier::Legal).unwrap();
    ring.make(Owner::Hold(1), NOW, &mut rng()).unwrap();
    let told = open(&disk)
        .unwrap()
        .attach(&disk, Tier::Legal, new_kek(), NOW, &mut rng());
    assert!(matches!(told, Err(KeyRingError::WrongKek { .. })), "{told:?}");
    // One copy suffices, and the other is made of it.
    disk.unlink(&ring_files(Tier::Legal)[0]).unwrap();
    attach(&mut open(&disk).unwrap(), &disk, Tier::Legal).unwrap();
    assert!(disk.octets(&ring_files(Tier::Legal)[0]).is_some());

    // Legal's in the place of subrec's.
    copy(&disk, &Tier::Legal.dir(dir()), &Tier::Subrec.dir(dir()));
    let told = open(&disk)
        .unwrap()
        .attach(&disk, Tier::Subrec, tier_kek(Tier::Legal), NOW, &mut rng());
    assert!(matches!(told, Err(KeyRingError::Foreign { .. })), "{told:?}");
    // The main ring in a tier's place, and a tier's in the main ring's.
    copy(&disk, dir(), &Tier::Subrec.dir(dir()));
    let told = open(&disk)
        .unwrap()
        .attach(&disk, Tier::Subrec, kek(), NOW, &mut rng());
    assert!(matches!(told, Err(KeyRingError::Foreign { .. })), "{told:?}");
    let elsewhere = Path::new("/elsewhere");
    copy(&disk, &Tier::Legal.dir(dir()), elsewhere);
    let told = KeyRing::open(&disk, elsewhere, tier_kek(Tier::Legal));
    assert!(matches!(told, Err(KeyRingError::Foreign { .. })), "{told:?}");
    // A tier's ring beside another main one.
    let other = Path::new("/other");
    let mut chance = rng();
    chance.set_word_pos(99);
    let mut foreign = KeyRing::create(&disk, other, new_kek(), NOW, &mut chance).unwrap();
    copy(&disk, &Tier::Legal.dir(dir()), &Tier::Legal.dir(other));
    let told = foreign.attach(&disk, Tier::Legal, tier_kek(Tier::Legal), NOW, &mut rng());
    assert!(matches!(told, Err(KeyRingError::Foreign { .. })), "{told:?}");

    for file in ring_files(Tier::Legal) {
        disk.unlink(&file).unwrap();
    }
    let told = attach(&mut open(&disk).unwrap(), &disk, Tier::Legal);
    assert!(matches!(told, Err(KeyRingError::TierMissing { .. })), "{told:?}");
    assert!(
        disk.octets(&ring_files(Tier::Legal)[0]).is_none(),
        "nothing is made"
    );
}

#[test]
fn no_key_encryption_key_wraps_two_rings() {
    let (disk, mut ring) = create();
    let shared = |told: Result<Attached, KeyRingError>| {
        assert!(matches!(told, Err(KeyRingError::SharedKek { .. })), "{told:?}");
    };
    shared(ring.attach(&disk, Tier::Legal, kek(), NOW, &mut rng()));
    assert!(
        disk.octets(&ring_files(Tier::Legal)[0]).is_none(),
        "nothing is made"
    );
    attach(&mut ring, &disk, Tier::Legal).unwrap();
    shared(ring.attach(&disk, Tier::Subrec, tier_kek(Tier::Legal), NOW, &mut rng()));
    attach(&mut ring, &disk, Tier::Subrec).unwrap();
    let mut begin = |part, new: Kek| {
        let begun = ring.begin_rotation_of(part, new, NOW, &mut rng());
        assert!(matches!(begun, Err(KeyRingError::SharedKek { .. })), "{begun:?}");
    };
    begin(None, tier_kek(Tier::Legal));
    begin(Some(Tier::Subrec), tier_kek(Tier::Legal));
    begin(Some(Tier::Legal), kek());
    // Nor one that only takes over.
    ring.begin_rotation_of(Some(Tier::Legal), new_kek(), NOW, &mut rng())
        .unwrap();
    let begun = ring.begin_rotation_of(None, new_kek(), NOW, &mut rng());
    assert!(matches!(begun, Err(KeyRingError::SharedKek { .. })), "{begun:?}");
}

#[test]
fn a_tiers_rotation_that_is_cut_off_goes_on_and_touches_no_other_ring() {
    let prepare = || {
        let (disk, _) = create();
        let mut ring = attach_all(&disk).unwrap();
        for owner in ALL {
            ring.make(owner, NOW, &mut rng()).unwrap();
        }
        disk
    };
    let untouched = open(&prepare()).unwrap().kek_state();
    let legal = Some(Tier::Legal);
    let rotate = |ring: &mut Ring| -> Result<(), KeyRingError> {
        ring.begin_rotation_of(legal, new_kek(), NOW, &mut rng())?;
        while let Some(Progress::Goes(_)) = ring.rotate_piece_of(legal, 32, &mut rng())? {}
        Ok(())
    };
    at_every_cut(
        prepare,
        |disk| rotate(&mut attach_all(disk)?),
        |after, done| {
            let keks = || Keks::from(tier_kek(Tier::Legal)).with(new_kek());
            let mut ring = open(after).unwrap();
            ring.attach(after, Tier::Legal, keks(), NOW, &mut rng()).unwrap();
            attach(&mut ring, after, Tier::Subrec).unwrap();
            assert!(ALL.iter().all(|owner| ring.newest(*owner).is_some()));
            let state = ring.part(legal).unwrap().kek_state();
            assert!(!done || (state.number, state.next) == (2, None));
            assert_eq!(ring.is_any_rotating(), state.next.is_some());
            while ring.rotate_piece_of(legal, 32, &mut rng()).unwrap().is_some() {}
            assert_eq!(ring.kek_state(), untouched);
            if done {
                let told = attach(&mut open(after).unwrap(), after, Tier::Legal);
                assert!(matches!(told, Err(KeyRingError::WrongKek { .. })), "{told:?}");
            }
        },
    );
    let (_, mut none) = create();
    let told = none.begin_rotation_of(legal, new_kek(), NOW, &mut rng());
    assert!(
        matches!(told, Err(KeyRingError::NoTier { tier: "legal" })),
        "{told:?}"
    );
}

#[test]
fn a_tier_whose_disk_fails_holds_up_no_messages_and_loses_sight_of_nothing() {
    let (disk, mut ring) = create();
    attach(&mut ring, &disk, Tier::Legal).unwrap();
    for hold in [1, 2] {
        ring.make(Owner::Hold(hold), NOW, &mut rng()).unwrap();
    }
    let waiting = make(&mut ring);
    disk.fail_on(Op::Write, "legal/ring.a", 0, 1, io::ErrorKind::Other);
    assert!(ring.destroy_of(Owner::Hold(1)).is_err());
    let gives_up = |told: Result<Vec<Destroyed>, KeyRingError>| {
        assert!(matches!(told, Err(KeyRingError::GivenUp { .. })), "{told:?}");
    };
    // Not done, and not told to be, though the ring knows no key of it any more.
    assert!(ring.live(Owner::Hold(1)).is_empty());
    gives_up(ring.destroy_of(Owner::Hold(1)));
    gives_up(ring.destroy_of(Owner::Hold(2)));
    gives_up(ring.keep_holds(&[2]));
    gives_up(ring.keep_orders(&BTreeSet::new(), &BTreeSet::new()));
    // Messages go on: what is made, read and destroyed for them, and what is not there.
    let spool = make(&mut ring);
    assert!(ring.get(spool).is_some());
    let gone = ring
        .destroy_many(&[waiting, KeyId(77), KeyId(0xE000_0001)])
        .unwrap();
    assert_eq!(gone.iter().map(|gone| gone.id).collect::<Vec<_>>(), [waiting]);
    ring.destroy(waiting).unwrap();
    assert!(ring.destroy_many(&[]).unwrap().is_empty());

    let after = attach_all(&disk.crash()).unwrap();
    assert_eq!(after.holds().count(), 2);
    assert_eq!(after.live(Owner::Spool), [spool]);
}

#[test]
fn a_destruction_that_failed_is_not_done_when_it_is_asked_for_again() {
    // Also without tiers, and of every owner by which one asks.
    let (disk, mut ring) = create();
    for owner in [Owner::Export(7), Owner::Hold(1), Owner::Subject(5)] {
        ring.make(owner, NOW, &mut rng()).unwrap();
    }
    disk.fail_on(Op::Write, "ring.a", 0, 1, io::ErrorKind::Other);
    assert!(matches!(
        ring.destroy_of(Owner::Export(7)),
        Err(KeyRingError::Io { .. })
    ));
    for told in [
        ring.destroy_of(Owner::Export(7)),
        ring.destroy_of(Owner::Subject(99)),
        ring.keep_holds(&[1]),
        ring.destroy_many(&ring.live(Owner::Export(7))),
    ] {
        assert!(matches!(told, Err(KeyRingError::GivenUp { .. })), "{told:?}");
    }
    assert_eq!(open(&disk.crash()).unwrap().exports(), BTreeSet::from([7]));
}

#[test]
fn a_main_ring_of_another_day_gives_out_no_name_that_a_tier_has() {
    let elsewhere = Path::new("/older");
    let prepare = || {
        let (disk, mut ring) = create();
        copy(&disk, dir(), elsewhere);
        make(&mut ring);
        let id = ring.make(Owner::Hold(1), NOW, &mut rng()).unwrap().id();
        assert_eq!(attach(&mut ring, &disk, Tier::Legal).unwrap().taken_over, 1);
        let secret = sealed(&ring, Owner::Hold(1));
        drop(ring);
        copy(&disk, elsewhere, dir());
        (disk, id, secret)
    };
    let (disk, id, secret) = prepare();
    let mut ring = open(&disk).unwrap();
    attach(&mut ring, &disk, Tier::Legal).unwrap();
    let spool = make(&mut ring);
    assert!(spool > id, "{spool} {id}");
    assert!(make(&mut open(&disk).unwrap()) > spool, "kept");
    // By its own name, too, one that a record has.
    ring.destroy_many(&[spool, id]).unwrap();
    assert!(opens(&ring, Owner::Hold(1), &secret));
    assert!(opens(&attach_all(&disk).unwrap(), Owner::Hold(1), &secret));

    // Without its tiers it has given that name to something else that the tier would have to take over.
    for owner in [Owner::Hold(9), Owner::Hold(1)] {
        let (disk, id, _) = prepare();
        let mut ring = open(&disk).unwrap();
        make(&mut ring);
        let mut chance = rng();
        chance.set_word_pos(99);
        assert_eq!(ring.make(owner, NOW, &mut chance).unwrap().id(), id);
        let secret = sealed(&ring, owner);
        let told = attach(&mut ring, &disk, Tier::Legal);
        assert!(
            matches!(told, Err(KeyRingError::Clash { key, .. }) if key == id),
            "{told:?}"
        );
        assert!(
            opens(&open(&disk.crash()).unwrap(), owner, &secret),
            "nothing is lost"
        );
    }
}

#[test]
fn who_looks_at_a_tiers_ring_is_told_what_a_start_would_be() {
    let (disk, mut ring) = create();
    attach(&mut ring, &disk, Tier::Legal).unwrap();
    ring.make(Owner::Hold(1), NOW, &mut rng()).unwrap();
    let look = |at: &Path, tier, keks: Keks| KeyRing::look_at_tier(&disk, at, tier, &keks);
    assert_eq!(look(dir(), Tier::Legal, tier_kek(Tier::Legal).into()).unwrap(), 1);
    let told = look(dir(), Tier::Legal, kek().into());
    assert!(matches!(told, Err(KeyRingError::WrongKek { .. })), "{told:?}");
    // In another tier's place, beside another main ring, and the main one in a tier's.
    let other = Path::new("/other");
    let mut chance = rng();
    chance.set_word_pos(99);
    KeyRing::create(&disk, other, new_kek(), NOW, &mut chance).unwrap();
    copy(&disk, &Tier::Legal.dir(dir()), &Tier::Legal.dir(other));
    copy(&disk, &Tier::Legal.dir(dir()), &Tier::Subrec.dir(dir()));
    copy(&disk, dir(), &Tier::Subrec.dir(other));
    for (at, tier, keks) in [
        (other, Tier::Legal, tier_kek(Tier::Legal)),
        (dir(), Tier::Subrec, tier_kek(Tier::Legal)),
        (other, Tier::Subrec, kek()),
    ] {
        let told = look(at, tier, keks.into());
        assert!(matches!(told, Err(KeyRingError::Foreign { .. })), "{told:?}");
    }
}

#[test]
fn names_of_two_rings_never_meet() {
    let (disk, mut ring) = create();
    attach(&mut ring, &disk, Tier::Legal).unwrap();
    attach(&mut ring, &disk, Tier::Subrec).unwrap();
    for (part, owner) in [
        (None, Owner::Spool),
        (Some(Tier::Legal), Owner::Hold(1)),
        (Some(Tier::Subrec), Owner::Subject(1)),
    ] {
        let own = ring.part_mut(part).unwrap();
        let end = own.part.end();
        own.header.next_key = end - 1;
        assert_eq!(ring.make(owner, NOW, &mut rng()).unwrap().id(), KeyId(end - 1));
        let full = ring.make(owner, NOW, &mut rng());
        assert!(matches!(full, Err(KeyRingError::Full { .. })), "{part:?}");
    }
}
