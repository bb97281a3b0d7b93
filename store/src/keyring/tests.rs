//! What the ring owes through power cuts, faults and damage.

use std::io;
use std::path::Path;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use tidegate_codec::identity::SystemId;

use super::slot::{HEADER_LEN, OwnerTag, Slot};
use super::*;
use crate::disk::{FaultyDisk, Op};
use crate::message_id::MessageId;
use crate::seal::{Aad, Purpose};

pub(super) const NOW: u64 = 1_800_000_000_000;

pub(super) fn dir() -> &'static Path {
    Path::new("/keys")
}

pub(super) fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(7)
}

/// Every test has the same KEK, made from the same seed.
pub(super) fn kek() -> Kek {
    Kek::create(&FaultyDisk::new(), Path::new("kek"), &mut rng()).unwrap()
}

/// The one that takes over in rotations.
pub(super) fn new_kek() -> Kek {
    Kek::new(&[2; KEY_LEN])
}

pub(super) type Ring = KeyRing<FaultyDisk>;

pub(super) fn create() -> (FaultyDisk, Ring) {
    let disk = FaultyDisk::new();
    let ring = KeyRing::create(&disk, dir(), kek(), NOW, &mut rng()).unwrap();
    (disk, ring)
}

pub(super) fn open(disk: &FaultyDisk) -> Result<Ring, KeyRingError> {
    KeyRing::open(disk, dir(), kek())
}

pub(super) fn make(ring: &mut Ring) -> KeyId {
    let mut rng = ChaCha20Rng::seed_from_u64(ring.header.next_key.into());
    ring.make(Owner::Spool, NOW, &mut rng).unwrap().id()
}

pub(super) fn files(disk: &FaultyDisk) -> [Vec<u8>; 2] {
    files::NAMES.map(|name| disk.octets(&dir().join(name)).unwrap())
}

/// The wrapped octets of a live key, to look for later.
pub(super) fn wrapped(ring: &Ring, id: KeyId) -> Vec<u8> {
    ring.wrapped(id).unwrap().octets.to_vec()
}

fn place(slot: usize) -> usize {
    Form::Narrow.place(slot)
}

fn encoded(slot: &Slot) -> Vec<u8> {
    let mut octets = Vec::new();
    slot.encode(Form::Narrow, &mut octets);
    octets
}

pub(super) fn holds(disk: &FaultyDisk, octets: &[u8]) -> bool {
    files(disk)
        .iter()
        .any(|file| file.windows(octets.len()).any(|window| window == octets))
}

pub(super) fn aad() -> Aad {
    Aad {
        account: None,
        kind: 1,
        version: 1,
        id: 1,
        leg: 0,
    }
}

pub(super) fn seal(ring: &Ring, id: KeyId) -> Vec<u8> {
    let mut out = Vec::new();
    let key = ring.get(id).unwrap();
    key.seal(&aad(), &mut rng(), &mut out, |out| out.extend_from_slice(b"body"))
        .unwrap();
    out
}

pub(super) fn opens(ring: &Ring, id: KeyId, sealed: &[u8]) -> bool {
    let key = ring.get(id).unwrap();
    key.open(&aad(), &mut sealed.to_vec(), Purpose::Sweep) == Ok(b"body")
}

pub(super) fn period(account: &str, start: u32) -> PeriodOwner {
    PeriodOwner {
        account: SystemId::new(account.as_bytes()).unwrap(),
        class: 1,
        bucket: 2,
        start,
        length: 0,
        part: 0,
    }
}

/// Cuts the power at every point of `act` and hands every disk that may be found afterwards to `check`,
/// with whether `act` had returned success.
pub(super) fn at_every_cut(
    prepare: impl Fn() -> FaultyDisk,
    act: impl Fn(&FaultyDisk) -> Result<(), KeyRingError>,
    mut check: impl FnMut(&FaultyDisk, bool),
) {
    let mut chance = rng();
    for changes in 0.. {
        // A crash of a disk at rest is a copy of it.
        let disk = prepare().crash();
        disk.cut_power_after(changes);
        let done = act(&disk).is_ok();
        check(&disk.crash(), done);
        for _ in 0..20 {
            check(&disk.crash_with(&mut chance), done);
        }
        if done {
            assert!(changes > 1, "nothing was cut");
            return;
        }
    }
}

#[test]
fn a_key_is_found_again_by_name_and_owner() {
    let (disk, mut ring) = create();
    assert!(ring.newest(Owner::Spool).is_none());
    let ids = [make(&mut ring), make(&mut ring), make(&mut ring)];
    assert_eq!(ids, [KeyId(2), KeyId(3), KeyId(4)]);
    let sealed = ids.map(|id| seal(&ring, id));
    ring.destroy(ids[1]).unwrap();

    let ring = open(&disk.crash()).unwrap();
    assert_eq!(ring.live(Owner::Spool), [ids[0], ids[2]]);
    assert_eq!(ring.newest(Owner::Spool).unwrap().id(), ids[2]);
    assert!(ring.get(ids[1]).is_none());
    assert!(opens(&ring, ids[0], &sealed[0]) && opens(&ring, ids[2], &sealed[2]));
    assert!(!opens(&ring, ids[0], &sealed[2]), "each key is its own");
    assert_eq!(format!("{ring:?}"), "KeyRing(3 keys)");
}

#[test]
fn making_and_destroying_cost_one_sync_per_copy() {
    let (disk, mut ring) = create();
    let before = disk.counts().syncs;
    let id = make(&mut ring);
    assert_eq!(disk.counts().syncs, before + 2);
    ring.destroy(id).unwrap();
    assert_eq!(disk.counts().syncs, before + 4);
    ring.destroy(id).unwrap();
    ring.destroy(KeyId(999)).unwrap();
    assert_eq!(disk.counts().syncs, before + 4, "there was nothing to destroy");
}

#[test]
fn the_permutation_is_permanent() {
    let (disk, mut ring) = create();
    let public = ring.permutation().public(MessageId(1));
    assert_eq!(open(&disk).unwrap().permutation().public(MessageId(1)), public);
    assert!(matches!(ring.destroy(KeyId(1)), Err(KeyRingError::Permanent)));
    assert!(matches!(
        ring.make(Owner::MessageId, NOW, &mut rng()),
        Err(KeyRingError::Permanent)
    ));
    assert!(ring.get(KeyId(1)).is_none(), "it seals nothing");
    assert_eq!(ring.live(Owner::MessageId), []);
}

#[test]
fn a_cut_while_a_ring_is_made_leaves_none_or_one_that_opens() {
    let mut seen = [0, 0];
    at_every_cut(
        FaultyDisk::new,
        |disk| KeyRing::create(disk, dir(), kek(), NOW, &mut rng()).map(drop),
        |after, done| match open(after) {
            Ok(_) => seen[0] += 1,
            Err(KeyRingError::Missing { .. }) if !done => {
                seen[1] += 1;
                KeyRing::create(after, dir(), kek(), NOW, &mut rng()).unwrap();
            }
            Err(error) => panic!("{error}"),
        },
    );
    assert!(seen[0] > 21 && seen[1] > 21, "{seen:?}");
}

#[test]
fn a_cut_while_a_key_is_made_leaves_it_or_not_and_the_others_whole() {
    let (disk, mut ring) = create();
    let other = make(&mut ring);
    let sealed = seal(&ring, other);
    let mut seen = [0, 0];
    at_every_cut(
        || disk.crash(),
        |disk| open(disk)?.make(Owner::Spool, NOW, &mut rng()).map(drop),
        |after, done| {
            let mut ring = open(after).unwrap();
            assert!(opens(&ring, other, &sealed));
            match &ring.live(Owner::Spool)[..] {
                [old] if *old == other && !done => seen[0] += 1,
                [old, new] if *old == other && *new == KeyId(3) => seen[1] += 1,
                live => panic!("{live:?}, done: {done}"),
            }
            // What a cut left can be worked with, and no name is given out twice.
            let last = *ring.live(Owner::Spool).last().unwrap();
            ring.destroy(last).unwrap();
            assert!(make(&mut open(after).unwrap()) > last);
        },
    );
    assert!(seen[0] > 21 && seen[1] > 21, "{seen:?}");
}

#[test]
fn a_cut_while_a_key_is_destroyed_leaves_it_or_not_and_it_never_comes_back() {
    let (disk, mut ring) = create();
    let ids = [make(&mut ring), make(&mut ring)];
    let sealed = ids.map(|id| seal(&ring, id));
    let secret = wrapped(&ring, ids[0]);
    assert!(holds(&disk, &secret));
    let mut seen = [0, 0];
    at_every_cut(
        || disk.crash(),
        |disk| open(disk)?.destroy(ids[0]),
        |after, done| {
            assert!(
                !done || !holds(after, &secret),
                "gone from both files when it returned"
            );
            let mut ring = open(after).unwrap();
            assert!(opens(&ring, ids[1], &sealed[1]));
            if ring.get(ids[0]).is_some() {
                assert!(!done);
                assert!(opens(&ring, ids[0], &sealed[0]));
                seen[0] += 1;
            } else {
                seen[1] += 1;
                assert!(!holds(after, &secret), "repaired before use");
            }
            // Asked again, as a sweep does, it is gone for good.
            ring.destroy(ids[0]).unwrap();
            let after = after.crash();
            assert!(!holds(&after, &secret));
            assert!(open(&after).unwrap().get(ids[0]).is_none());
        },
    );
    assert!(seen[0] > 21 && seen[1] > 21, "{seen:?}");
}

#[test]
fn a_cut_while_a_ring_is_repaired_leaves_it_to_be_repaired() {
    let (disk, mut ring) = create();
    let ids = [make(&mut ring), make(&mut ring)];
    let sealed = ids.map(|id| seal(&ring, id));
    let broken = [
        // Torn slots, one in each copy; a torn header; a missing copy.
        |disk: &FaultyDisk| {
            disk.damage(&dir().join("ring.a"), place(1) as u64 + 80, &[0; 40])
                && disk.damage(&dir().join("ring.b"), place(2) as u64 + 80, &[0; 40])
        },
        |disk: &FaultyDisk| disk.damage(&dir().join("ring.a"), 0, &[0; HEADER_LEN]),
        |disk: &FaultyDisk| {
            disk.unlink(&dir().join("ring.a"))
                .and_then(|()| disk.sync_dir(dir()))
                .is_ok()
        },
        |disk: &FaultyDisk| {
            disk.unlink(&dir().join("ring.b"))
                .and_then(|()| disk.sync_dir(dir()))
                .is_ok()
        },
    ];
    for damage in broken {
        at_every_cut(
            || {
                let disk = disk.crash();
                assert!(damage(&disk));
                disk
            },
            |disk| open(disk).map(drop),
            |after, done| {
                if done {
                    let [a, b] = files(after);
                    assert!(a == b, "both copies are whole before the ring is used");
                }
                let ring = open(after).unwrap();
                assert!(
                    ids.iter()
                        .zip(&sealed)
                        .all(|(id, sealed)| opens(&ring, *id, sealed))
                );
            },
        );
    }
}

#[test]
fn a_cut_while_the_ring_grows_loses_no_key() {
    let (disk, mut ring) = create();
    let ids: Vec<KeyId> = (1..SLOTS_STEP).map(|_| make(&mut ring)).collect();
    at_every_cut(
        || disk.crash(),
        |disk| open(disk)?.make(Owner::Spool, NOW, &mut rng()).map(drop),
        |after, done| {
            let live = open(after).unwrap().live(Owner::Spool);
            assert!(live.starts_with(&ids));
            assert!(!done || live.len() == ids.len() + 1);
        },
    );
}

#[test]
fn after_any_failed_write_or_sync_the_ring_is_given_up_and_a_restart_puts_it_right() {
    let (whole, mut ring) = create();
    let ids = [make(&mut ring), make(&mut ring)];
    let secret = wrapped(&ring, ids[0]);
    for op in [Op::Write, Op::Sync] {
        for name in files::NAMES {
            let disk = whole.crash();
            let mut ring = open(&disk).unwrap();
            disk.fail_on(op, name, 0, 1, io::ErrorKind::Other);
            let error = ring.destroy(ids[0]).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
            assert!(
                ring.get(ids[0]).is_none(),
                "unreadable from the moment it was asked for"
            );
            // Not "destroyed already": nobody knows.
            assert!(matches!(ring.destroy(ids[0]), Err(KeyRingError::GivenUp { .. })));
            assert!(matches!(
                ring.make(Owner::Spool, NOW, &mut rng()),
                Err(KeyRingError::GivenUp { .. })
            ));
            assert!(ring.get(ids[1]).is_some());

            // A restart of the process finds the cache, which may show what is not on the disk.
            let mut ring = open(&disk).unwrap();
            ring.destroy(ids[0]).unwrap();
            let after = disk.crash();
            assert!(
                !holds(&after, &secret),
                "{op:?} of {name}: an old copy of the key is left on the disk"
            );
            assert_eq!(open(&after).unwrap().live(Owner::Spool), [ids[1]]);
        }
    }
}

#[test]
fn a_ring_that_grows_keeps_all_keys_and_knows_its_bound() {
    let (disk, mut ring) = create();
    let all = vec![(Owner::Spool, None); KEPT_OPEN_MAX - 1];
    let ids: Vec<KeyId> = ring
        .make_all(&all, NOW, &mut rng())
        .unwrap()
        .iter()
        .map(|key| key.id())
        .collect();
    let error = ring.make(Owner::Spool, NOW, &mut rng()).unwrap_err();
    assert!(matches!(error, KeyRingError::Full { .. }), "{error}");
    ring.period_keys(&[period("a", 1)], NOW, &mut rng()).unwrap();
    ring.destroy(ids[100]).unwrap();
    let next = make(&mut ring);
    assert_eq!(
        next.0,
        ids.last().unwrap().0 + 2,
        "the slot is used again, the name is not"
    );
    let live = open(&disk.crash()).unwrap().live(Owner::Spool);
    assert_eq!(live.len(), KEPT_OPEN_MAX - 1);
    assert_eq!(live.last(), Some(&next));
}

#[test]
fn a_full_disk_keeps_the_ring_from_growing_and_nothing_else() {
    let (disk, mut ring) = create();
    let ids: Vec<KeyId> = (1..SLOTS_STEP).map(|_| make(&mut ring)).collect();
    let used = disk.used();
    disk.set_capacity(Some(used + 4096));
    for _ in 0..2 {
        assert!(ring.make(Owner::Spool, NOW, &mut rng()).unwrap_err().is_full());
        assert_eq!(disk.used(), used, "what was taken is given back");
    }
    ring.destroy(ids[0]).unwrap();
    make(&mut ring);
    disk.set_capacity(None);
    make(&mut ring);
    assert_eq!(
        open(&disk.crash()).unwrap().live(Owner::Spool).len(),
        ids.len() + 1
    );
}

#[test]
fn a_name_given_out_is_not_given_out_again_when_a_cut_kept_the_slot_and_not_the_header() {
    let (disk, mut ring) = create();
    let [header, _] = files(&disk).map(|file| file[..HEADER_LEN].to_vec());
    let first = make(&mut ring);
    for name in files::NAMES {
        assert!(disk.damage(&dir().join(name), 0, &header));
    }
    open(&disk).unwrap().destroy(first).unwrap();
    assert!(make(&mut open(&disk).unwrap()) > first);
}

#[test]
fn what_cannot_be_opened_says_what_is_wrong() {
    let told = |disk: &FaultyDisk| open(disk).map(drop).unwrap_err();

    let empty = FaultyDisk::new();
    assert!(matches!(told(&empty), KeyRingError::Missing { .. }));
    assert_eq!(
        empty.paths(),
        [] as [&Path; 0],
        "no ring is made silently (ENC-6)"
    );

    let (disk, mut ring) = create();
    let id = make(&mut ring);
    let again = KeyRing::create(&disk, dir(), kek(), NOW, &mut rng()).map(drop);
    assert!(matches!(again, Err(KeyRingError::Exists { .. })));
    for name in files::NAMES {
        let half = disk.crash();
        half.unlink(&dir().join(name)).unwrap();
        let again = KeyRing::create(&half, dir(), kek(), NOW, &mut rng()).map(drop);
        assert!(
            matches!(again, Err(KeyRingError::Exists { .. })),
            "one file is enough to refuse"
        );
    }

    let mut other_seed = ChaCha20Rng::seed_from_u64(8);
    let other = Kek::create(&FaultyDisk::new(), Path::new("kek"), &mut other_seed).unwrap();
    let wrong = KeyRing::open(&disk, dir(), other).map(drop).unwrap_err();
    assert!(matches!(wrong, KeyRingError::WrongKek { .. }));
    assert!(wrong.to_string().contains("/keys"));

    let both = |at: usize, octets: &[u8]| {
        let disk = disk.crash();
        for name in files::NAMES {
            assert!(disk.damage(&dir().join(name), at as u64, octets));
        }
        disk
    };
    assert!(matches!(told(&both(100, &[1])), KeyRingError::Damaged { .. }));
    match told(&both(place(1) + 80, &[0; 40])) {
        error @ KeyRingError::Lost { .. } => assert!(error.to_string().contains(&format!("key {id}"))),
        error => panic!("{error}"),
    }
    let mut newer = files(&disk)[0][..HEADER_LEN].to_vec();
    newer[11] = 9;
    let sum = crc32fast::hash(&newer[..HEADER_LEN - 4]);
    newer[HEADER_LEN - 4..].copy_from_slice(&sum.to_be_bytes());
    assert!(matches!(
        told(&both(0, &newer)),
        KeyRingError::Version { version: 9, .. }
    ));

    let strange = FaultyDisk::new();
    KeyRing::create(&strange, dir(), kek(), NOW, &mut other_seed).unwrap();
    assert!(strange.damage(&dir().join("ring.b"), 0, &files(&disk)[1]));
    assert!(matches!(told(&strange), KeyRingError::Mixed { .. }));
}

#[test]
fn a_wrapped_key_moved_to_another_slot_or_owner_is_not_taken() {
    let (disk, mut ring) = create();
    let id = make(&mut ring);
    let slot = Slot {
        generation: 9,
        content: Content::Live(Wrapped {
            owner: OwnerTag::plain(77),
            ..ring.wrapped(id).unwrap()
        }),
    };
    for name in files::NAMES {
        assert!(disk.damage(&dir().join(name), place(1) as u64, &encoded(&slot)));
    }
    match open(&disk).map(drop).unwrap_err() {
        KeyRingError::Lost { keys, .. } => assert_eq!(keys, [id]),
        error => panic!("{error}"),
    }
}

#[test]
fn a_key_of_an_owner_that_a_later_version_added_is_kept() {
    let (disk, ring) = create();
    let header = &ring.header;
    let owner = OwnerTag::plain(77);
    let aad = Wrapped::aad(50, KEK_NUMBER, &owner, &header.ring);
    let octets = kek().wrap(&[3; KEY_LEN], &aad, &mut rng()).unwrap();
    let wrapped = Wrapped {
        key: 50,
        kek_number: KEK_NUMBER,
        owner,
        made_ms: NOW,
        octets,
    };
    let slot = Slot {
        generation: 1,
        content: Content::Live(wrapped),
    };
    assert!(disk.damage(&dir().join("ring.b"), place(5) as u64, &encoded(&slot)));
    let mut ring = open(&disk).unwrap();
    assert_eq!(ring.live(Owner::Spool), []);
    assert_eq!(ring.get(KeyId(50)).unwrap().id(), KeyId(50));
    assert_eq!(make(&mut ring), KeyId(51));
    assert!(open(&disk.crash()).unwrap().get(KeyId(50)).is_some());
}

#[test]
fn an_old_copy_of_one_file_does_not_bring_a_destroyed_key_back() {
    for name in files::NAMES {
        let (disk, mut ring) = create();
        let id = make(&mut ring);
        let secret = wrapped(&ring, id);
        let [old, _] = files(&disk);
        ring.destroy(id).unwrap();
        assert!(disk.damage(&dir().join(name), 0, &old));
        assert!(open(&disk).unwrap().get(id).is_none());
        assert!(!holds(&disk.crash(), &secret), "and it is overwritten at once");
    }
}

#[test]
fn a_ring_on_the_real_disk_opens_again() {
    let root = tempfile::tempdir().unwrap();
    let (dir, path) = (root.path().join("keys"), root.path().join("kek"));
    let disk = crate::disk::RealDisk;
    let kek = Kek::create(&disk, &path, &mut rng()).unwrap();
    let mut ring = KeyRing::create(&disk, &dir, kek, NOW, &mut rng()).unwrap();
    let gone = ring.make(Owner::Spool, NOW, &mut rng()).unwrap().id();
    let kept = ring.make(Owner::Spool, NOW, &mut rng()).unwrap().id();
    ring.destroy(gone).unwrap();
    let ring = KeyRing::open(&disk, &dir, Kek::read(&disk, &path).unwrap()).unwrap();
    assert_eq!(ring.live(Owner::Spool), [kept]);
}
