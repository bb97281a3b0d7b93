//! Every row of the table, on the disk in memory where that is enough.

use super::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicU64, Ordering};
use tidegate_config::KekSource;
use tidegate_store::disk::FaultyDisk;

const NOW: u64 = 1_800_000_000_000;

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(3)
}

fn storage(root: &Path, auto_init: bool) -> Storage {
    let text = include_str!("../../../config/tidegate.toml");
    let mut storage = tidegate_config::parse(text).unwrap().storage;
    storage.data = root.join("data");
    storage.key_ring = root.join("keys");
    storage.kek = KekSource::File(root.join("kek/kek"));
    (storage.legal_kek, storage.subrec_kek) = (None, None);
    storage.auto_init = auto_init;
    storage
}

fn virtual_storage(auto_init: bool) -> Storage {
    storage(Path::new("/t"), auto_init)
}

fn put(disk: &FaultyDisk, path: &Path) {
    disk.create_dir_all(path.parent().unwrap()).unwrap();
    let file = disk.create(path, 0o600, 0).unwrap();
    file.write_at(&[IoSlice::new(b"x")], 0).unwrap();
    file.sync_all().unwrap();
    disk.sync_dir(path.parent().unwrap()).unwrap();
}

/// A disk with what a first start with `auto_init` makes.
fn made() -> FaultyDisk {
    let disk = FaultyDisk::new();
    let (_, made) = open_ring(&disk, &virtual_storage(true), &[], NOW, &mut rng()).unwrap();
    assert!(made);
    disk
}

fn reopen(disk: &FaultyDisk, auto_init: bool) -> Result<(KeyRing<FaultyDisk>, bool), OpenError> {
    open_ring(disk, &virtual_storage(auto_init), &[], NOW, &mut rng())
}

fn refusal(disk: &FaultyDisk, auto_init: bool) -> OpenError {
    match reopen(disk, auto_init) {
        Ok(_) => panic!("opened"),
        Err(error) => error,
    }
}

fn remove(disk: &FaultyDisk, names: &[&str]) {
    for name in names {
        let path = Path::new("/t").join(name);
        disk.unlink(&path).unwrap();
        disk.sync_dir(path.parent().unwrap()).unwrap();
    }
}

#[test]
fn what_was_made_opens_with_the_same_keys() {
    let disk = made();
    let (mut ring, made) = reopen(&disk, false).unwrap();
    assert!(!made);
    let key = ring.make(Owner::Spool, NOW, &mut rng()).unwrap().id();
    let (ring, _) = reopen(&disk.crash(), true).unwrap();
    assert_eq!(ring.live(Owner::Spool), [key]);
}

#[test]
fn nothing_is_made_unless_that_was_asked_for() {
    let disk = FaultyDisk::new();
    assert!(matches!(refusal(&disk, false), OpenError::NotMade));
    assert!(disk.list(Path::new("/t/keys")).unwrap().is_empty());
    assert!(disk.list(Path::new("/t/kek")).unwrap().is_empty());
}

#[test]
fn data_without_its_ring_is_refused_whatever_the_configuration_says() {
    for auto_init in [false, true] {
        for data in ["data/layout", "data/spool/00000001.seg", "data/foreign"] {
            let disk = if data == "data/layout" {
                made()
            } else {
                let disk = made();
                remove(&disk, &["data/layout"]);
                put(&disk, &Path::new("/t").join(data));
                disk
            };
            remove(&disk, &["keys/ring.a", "keys/ring.b"]);
            let error = refusal(&disk, auto_init);
            assert!(matches!(error, OpenError::RingMissing { .. }), "{data}: {error}");
            assert!(error.to_string().contains("restore the ring"));
            remove(&disk, &["kek/kek"]);
            let error = refusal(&disk, auto_init);
            assert!(matches!(error, OpenError::RingMissing { .. }), "{data}: {error}");
            assert!(
                disk.list(Path::new("/t/kek")).unwrap().is_empty(),
                "a refusal makes nothing"
            );
        }
    }
}

#[test]
fn a_kek_without_ring_and_data_is_a_volume_that_is_not_mounted_and_no_first_start() {
    let disk = made();
    remove(&disk, &["data/layout", "keys/ring.a", "keys/ring.b"]);
    let storage = virtual_storage(false);
    for error in [
        refusal(&disk, false),
        is_made_on(&disk, &storage).unwrap_err(),
        look_on(&disk, &storage).unwrap_err(),
    ] {
        assert!(matches!(error, OpenError::RingAbsent { .. }), "{error}");
        let told = error.to_string();
        assert!(told.contains("mount") && !told.contains('\n'), "{told}");
    }
    assert!(disk.list(Path::new("/t/keys")).unwrap().is_empty());
    assert!(!is_made_on(&disk, &virtual_storage(true)).unwrap());
    assert!(reopen(&disk, true).unwrap().1, "an operator asked for it");
}

#[test]
fn a_look_says_what_a_start_would_and_changes_nothing() {
    let looked = |disk: &FaultyDisk, auto_init| look_on(disk, &virtual_storage(auto_init));
    assert!(matches!(
        looked(&FaultyDisk::new(), false),
        Err(OpenError::NotMade)
    ));
    let disk = FaultyDisk::new();
    looked(&disk, true).unwrap();
    assert!(disk.list(Path::new("/t/kek")).unwrap().is_empty());
    let disk = made();
    looked(&disk, false).unwrap();
    let (mut ring, _) = reopen(&disk, false).unwrap();
    ring.make(Owner::Spool, NOW, &mut rng()).unwrap();
    drop(ring);
    remove(&disk, &["data/layout"]);
    assert!(matches!(
        looked(&disk, false),
        Err(OpenError::DataGone { keys: 1, .. })
    ));
    let disk = made();
    remove(&disk, &["kek/kek"]);
    Kek::create(&disk, Path::new("/t/kek/kek"), &mut ChaCha20Rng::seed_from_u64(4)).unwrap();
    assert!(matches!(
        looked(&disk, false),
        Err(OpenError::Ring(KeyRingError::WrongKek { .. }))
    ));
    remove(&disk, &["keys/ring.a", "keys/ring.b"]);
    assert!(matches!(looked(&disk, true), Err(OpenError::RingMissing { .. })));
}

#[test]
fn a_ring_without_its_kek_is_refused_and_none_is_made() {
    for auto_init in [false, true] {
        let disk = made();
        remove(&disk, &["kek/kek"]);
        let error = refusal(&disk, auto_init);
        assert!(matches!(error, OpenError::KekMissing { .. }), "{error}");
        assert!(disk.list(Path::new("/t/kek")).unwrap().is_empty());
    }
}

#[test]
fn keys_whose_data_is_gone_are_kept_from_being_destroyed() {
    for auto_init in [false, true] {
        let disk = made();
        let (mut ring, _) = reopen(&disk, false).unwrap();
        ring.make(Owner::Spool, NOW, &mut rng()).unwrap();
        put(&disk, Path::new("/t/data/spool/00000001.seg"));
        reopen(&disk, auto_init).unwrap();
        // The volume is not mounted: below its mount point lies nothing.
        remove(&disk, &["data/spool/00000001.seg", "data/layout"]);
        let error = refusal(&disk, auto_init);
        assert!(matches!(error, OpenError::DataGone { keys: 1, .. }), "{error}");
        assert!(error.to_string().contains("mounted?"));
        assert!(disk.list(Path::new("/t/data")).unwrap().is_empty());
    }
}

#[test]
fn a_package_makes_what_is_absent_and_nothing_over_what_is_there_in_part() {
    let is_made = |disk: &FaultyDisk| is_made_on(disk, &virtual_storage(false));
    assert!(!is_made(&FaultyDisk::new()).unwrap());
    let disk = made();
    assert!(is_made(&disk).unwrap());
    remove(&disk, &["kek/kek"]);
    assert!(matches!(is_made(&disk), Err(OpenError::KekMissing { .. })));
    let disk = made();
    // A power cut in the midst of `init`: the next start ends it, or says that the volume is not mounted.
    remove(&disk, &["data/layout"]);
    assert!(is_made(&disk).unwrap());
    let disk = made();
    remove(&disk, &["keys/ring.a", "keys/ring.b"]);
    assert!(matches!(is_made(&disk), Err(OpenError::RingMissing { .. })));
}

/// The unit lets the gateway write there only, and an operator takes examples into use by taking `#` away.
#[test]
fn the_configuration_of_the_package_is_in_order_with_and_without_its_examples() {
    let text = include_str!("../../packaging/tidegate.toml");
    let bare = tidegate_config::parse(text).unwrap_or_else(|problems| panic!("{problems}"));
    assert!(bare.accounts.is_empty() && bare.carriers.is_empty());
    for place in [&bare.storage.data, &bare.storage.key_ring] {
        assert!(place.starts_with("/var/lib/tidegate"), "{}", place.display());
    }
    assert!(
        bare.listen.iter().all(|listen| listen.address.ip().is_loopback()),
        "what an installation opens by itself"
    );
    let taken = |line: &str| match line.strip_prefix('#') {
        Some(rest) if !rest.is_empty() && !rest.starts_with(' ') => format!("{rest}\n"),
        _ => format!("{line}\n"),
    };
    let full: String = text.lines().map(taken).collect();
    let full = tidegate_config::parse(&full).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!((full.accounts.len(), full.carriers.len()), (1, 1));
}

#[test]
fn a_spool_that_was_just_begun_is_no_lost_volume() {
    let disk = made();
    let (mut ring, _) = reopen(&disk, false).unwrap();
    // The key of the first segment is synced before its file is made; here the power goes in between.
    ring.make(Owner::Spool, NOW, &mut rng()).unwrap();
    reopen(&disk.crash(), false).unwrap();
}

#[test]
fn one_copy_of_the_ring_is_enough() {
    for name in ["keys/ring.a", "keys/ring.b"] {
        let disk = made();
        remove(&disk, &[name]);
        reopen(&disk, false).unwrap();
        assert_eq!(disk.list(Path::new("/t/keys")).unwrap().len(), 2);
    }
}

#[test]
fn a_kek_that_the_operator_brought_is_used_and_not_replaced() {
    let disk = FaultyDisk::new();
    let path = Path::new("/t/kek/kek");
    Kek::create(&disk, path, &mut ChaCha20Rng::seed_from_u64(99)).unwrap();
    let before = disk.octets(path);
    assert!(reopen(&disk, true).unwrap().1);
    assert_eq!(disk.octets(path), before);
    reopen(&disk, false).unwrap();
}

#[test]
fn a_layout_of_another_version_is_not_touched() {
    let disk = made();
    assert!(disk.damage(Path::new("/t/data/layout"), 32, b"2"));
    for auto_init in [false, true] {
        assert!(matches!(refusal(&disk, auto_init), OpenError::Layout { .. }));
    }
}

#[test]
fn a_power_cut_at_any_moment_leaves_something_that_the_next_start_ends() {
    let storage = virtual_storage(true);
    let mut chance = rng();
    for changes in 0.. {
        let disk = FaultyDisk::new();
        disk.cut_power_after(changes);
        let done = open_ring(&disk, &storage, &[], NOW, &mut rng()).is_ok();
        for _ in 0..20 {
            for after in [disk.crash(), disk.crash_with(&mut chance)] {
                let (_, made) = open_ring(&after, &storage, &[], NOW, &mut rng()).unwrap();
                assert!(!done || !made, "what was reported done is there");
            }
        }
        if done {
            break;
        }
    }
}

#[test]
fn init_makes_all_three_for_the_owner_only_and_never_twice() {
    let root = tempfile::tempdir().unwrap();
    let storage = storage(root.path(), false);
    init(&storage, NOW, &mut rng()).unwrap();
    for (path, mode) in [
        (storage.kek.file().unwrap(), 0o600),
        (&storage.key_ring.join("ring.a"), 0o600),
        (&storage.key_ring.join("ring.b"), 0o600),
        (&storage.key_ring, 0o700),
        (&storage.data, 0o700),
        (&storage.data.join(LAYOUT_FILE), 0o600),
    ] {
        let found = fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(found, mode, "{}", path.display());
    }
    let before = fs::read(storage.kek.file().unwrap()).unwrap();
    let error = init(&storage, NOW, &mut rng()).unwrap_err();
    assert!(matches!(error, OpenError::Exists { .. }), "{error}");
    assert_eq!(fs::read(storage.kek.file().unwrap()).unwrap(), before);

    let open = open(&storage, Vec::new(), NOW, &mut rng()).unwrap();
    assert!(!open.made);
    assert!(spool_dir(&storage).starts_with(&storage.data));
}

/// Without whoever is to be told before.
fn open(
    storage: &Storage,
    others: Vec<Kek>,
    now_ms: u64,
    rng: &mut impl CryptoRng,
) -> Result<Installation, OpenError> {
    super::open(
        storage,
        others,
        now_ms,
        rng,
        |_, _, _| Ok::<_, OpenError>(()),
        |(), _, _| Ok(()),
    )
    .map(|(opened, ())| opened)
}

#[test]
fn what_comes_of_rings_of_tiers_is_told_before_and_as_it_is_done_and_not_done_where_the_first_fails() {
    let root = tempfile::tempdir().unwrap();
    let mut storage = storage(root.path(), true);
    let mut first = open(&storage, Vec::new(), NOW, &mut chance()).unwrap();
    first.ring.make(Owner::Hold(1), NOW, &mut chance()).unwrap();
    drop(first);
    storage.legal_kek = Some(KekSource::File(root.path().join("kek/legal")));
    let comes = Attached {
        made: true,
        taken_over: 1,
    };
    // Whatever refuses the start then: nothing has moved, and the next one tells of it, too.
    for _ in 0..2 {
        let told = super::open(
            &storage,
            Vec::new(),
            NOW,
            &mut chance(),
            |ring, (made, coming), _| {
                assert!(!made && ring.live(Owner::Hold(1)).len() == 1);
                assert_eq!(coming, [(Tier::Legal, comes)]);
                Err::<(), _>(OpenError::NotMade)
            },
            |(), _, _| panic!("nothing is done"),
        );
        assert!(matches!(told, Err(OpenError::NotMade)), "{told:?}");
        assert!(!root.path().join("keys/legal").exists());
    }
    let (opened, told) = super::open(
        &storage,
        Vec::new(),
        NOW,
        &mut chance(),
        |_, _, _| Ok::<_, OpenError>(Vec::new()),
        |told, tier, step| {
            told.push((tier, step));
            Ok(())
        },
    )
    .unwrap();
    assert_eq!(opened.tiers, [(Tier::Legal, comes)]);
    assert_eq!(
        told,
        [(Tier::Legal, Step::Made), (Tier::Legal, Step::TakenOver(1))]
    );
    drop(opened);
    super::open(
        &storage,
        Vec::new(),
        NOW,
        &mut chance(),
        |_, (_, coming), _| {
            assert_eq!(coming, [(Tier::Legal, Attached::default())]);
            Ok::<_, OpenError>(())
        },
        |(), _, _| panic!("nothing is done"),
    )
    .unwrap();
}

/// All of [`open`] but the lock, with what was told of its steps. It is told before the power goes that a later change finds gone.
fn open_telling(disk: &FaultyDisk, storage: &Storage, told: &mut Vec<(Tier, Step)>) -> Result<(), OpenError> {
    let (mut ring, _) = open_ring(disk, storage, &[], NOW, &mut chance())?;
    let keys = tiers::keys(disk, storage, &ring, &mut chance())?;
    tiers::attach_with(disk, &mut ring, (&keys, &[]), NOW, &mut chance(), |tier, step| {
        told.push((tier, step));
        Ok::<_, OpenError>(())
    })
    .map(drop)
}

#[test]
fn what_was_done_to_rings_of_tiers_is_told_once_and_no_cut_loses_it() {
    let mut doubled = 0;
    for changes in 0.. {
        let disk = made();
        let (mut ring, _) = reopen(&disk, false).unwrap();
        for owner in [Owner::Hold(1), Owner::Hold(2), Owner::Subject(3)] {
            ring.make(owner, NOW, &mut chance()).unwrap();
        }
        drop(ring);
        let (storage, mut told) = (tiered_storage(true), Vec::new());
        disk.cut_power_after(changes);
        let done = open_telling(&disk, &storage, &mut told).is_ok();
        let after = disk.crash();
        let mut next = Vec::new();
        open_telling(&after, &storage, &mut next).unwrap();
        let mut last = Vec::new();
        open_telling(&after.crash(), &storage, &mut last).unwrap();
        assert_eq!(last, [], "{changes}");
        // Of the cut at most one step is told again: the one that it came right behind.
        let again = next.iter().filter(|(tier, step)| {
            told.iter().any(|(other, before)| {
                other == tier && std::mem::discriminant(before) == std::mem::discriminant(step)
            })
        });
        let again = again.count();
        assert!(again <= 1, "{changes}: {told:?}, then {next:?}");
        doubled += again;
        let all: Vec<_> = told.iter().chain(&next).copied().collect();
        for (tier, count) in [(Tier::Legal, 2), (Tier::Subrec, 1)] {
            for step in [Step::Made, Step::TakenOver(count)] {
                assert!(
                    all.contains(&(tier, step)),
                    "{changes}: {tier:?} {step:?}: {all:?}"
                );
            }
        }
        if done {
            assert_eq!((all.len(), next.len()), (4, 0), "{all:?}");
            assert!(changes > 20 && doubled > 0);
            return;
        }
    }
}

#[test]
fn init_refuses_what_is_there_piece_by_piece() {
    for (path, refused) in [
        ("data/spool/00000001.seg", "data"),
        ("data/anything", "data"),
        ("keys/ring.b", "keys"),
        ("keys/anything", "keys"),
    ] {
        let root = tempfile::tempdir().unwrap();
        let storage = storage(root.path(), true);
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "").unwrap();
        match init(&storage, NOW, &mut rng()).unwrap_err() {
            OpenError::Exists { path } => assert_eq!(path, root.path().join(refused)),
            error => panic!("{error}"),
        }
        assert!(!storage.kek.file().unwrap().exists());
    }
}

#[test]
fn a_data_directory_that_is_in_use_is_neither_opened_nor_made() {
    let root = tempfile::tempdir().unwrap();
    let storage = storage(root.path(), true);
    let first = open(&storage, Vec::new(), NOW, &mut rng()).unwrap();
    assert!(first.made);
    for error in [
        open(&storage, Vec::new(), NOW, &mut rng()).map(drop).unwrap_err(),
        init(&storage, NOW, &mut rng()).unwrap_err(),
    ] {
        assert!(
            matches!(error, OpenError::Lock(LockError::Held { .. })),
            "{error}"
        );
    }
    drop(first);
    assert!(!open(&storage, Vec::new(), NOW, &mut rng()).unwrap().made);
}

/// The same with a key-encryption key for each tier.
fn tiered_storage(auto_init: bool) -> Storage {
    let mut storage = virtual_storage(auto_init);
    storage.legal_kek = Some(KekSource::File("/t/kek/legal".into()));
    storage.subrec_kek = Some(KekSource::File("/t/kek/subrec".into()));
    storage
}

type Opened = (KeyRing<FaultyDisk>, Vec<(Tier, Attached)>);

/// Never the same twice: two starts would make the same key.
fn chance() -> ChaCha20Rng {
    static SEED: AtomicU64 = AtomicU64::new(100);
    ChaCha20Rng::seed_from_u64(SEED.fetch_add(1, Ordering::Relaxed))
}

/// All of [`open`] but the lock.
fn open_all(disk: &FaultyDisk, storage: &Storage) -> Result<Opened, OpenError> {
    let (mut ring, _) = open_ring(disk, storage, &[], NOW, &mut chance())?;
    let tiers = tiers::attach(disk, storage, &mut ring, &[], NOW, &mut chance())?;
    Ok((ring, tiers))
}

#[track_caller]
fn refused(disk: &FaultyDisk, storage: &Storage) -> String {
    let told = open_all(disk, storage).map(drop).unwrap_err().to_string();
    let looked = look_on(disk, storage).unwrap_err().to_string();
    assert_eq!(told, looked, "a check says what a start says");
    told
}

#[test]
fn enc_5_a_first_start_makes_three_rings_under_three_keys() {
    let disk = FaultyDisk::new();
    let (ring, tiers) = open_all(&disk, &tiered_storage(true)).unwrap();
    assert!(tiers.iter().all(|(_, came)| came.made && came.taken_over == 0));
    assert_eq!(ring.parts().count(), 3);
    let octets = ["kek", "legal", "subrec"].map(|name| disk.octets(&Path::new("/t/kek").join(name)).unwrap());
    assert!(octets[0] != octets[1] && octets[0] != octets[2] && octets[1] != octets[2]);
    let names = disk.paths();
    for name in ["keys/ring.a", "keys/legal/ring.b", "keys/subrec/ring.a"] {
        assert!(names.contains(&Path::new("/t").join(name)), "{name}");
    }
    look_on(&disk, &tiered_storage(false)).unwrap();
    let (_, tiers) = open_all(&disk.crash(), &tiered_storage(false)).unwrap();
    assert!(tiers.iter().all(|(_, came)| *came == Attached::default()));
}

#[test]
fn a_power_cut_in_a_first_start_leaves_what_the_next_goes_on_with() {
    for changes in 0.. {
        let disk = FaultyDisk::new();
        disk.cut_power_after(changes);
        let done = open_all(&disk, &tiered_storage(true)).is_ok();
        let after = disk.crash();
        look_on(&after, &tiered_storage(true)).unwrap();
        open_all(&after, &tiered_storage(true)).unwrap();
        if done {
            assert!(changes > 10);
            return;
        }
    }
}

#[test]
fn a_tier_that_is_new_takes_over_and_one_that_was_used_is_never_made_anew() {
    // An installation without tiers, with a hold and a request in it.
    let disk = made();
    let (mut ring, _) = reopen(&disk, false).unwrap();
    let ids =
        [Owner::Hold(1), Owner::Subject(2)].map(|owner| ring.make(owner, NOW, &mut rng()).unwrap().id());
    let told = refused(&disk, &tiered_storage(false));
    assert!(
        told.contains("tidegate init --tiers") && told.contains("kek/legal"),
        "{told}"
    );
    assert!(
        disk.octets(Path::new("/t/kek/legal")).is_none(),
        "a refusal makes nothing"
    );
    // What `init --tiers` makes.
    for (name, seed) in [("legal", 8), ("subrec", 9)] {
        let path = Path::new("/t/kek").join(name);
        Kek::create(&disk, &path, &mut ChaCha20Rng::seed_from_u64(seed)).unwrap();
    }
    look_on(&disk, &tiered_storage(false)).unwrap();
    let (ring, tiers) = open_all(&disk, &tiered_storage(false)).unwrap();
    let came = Attached {
        made: true,
        taken_over: 1,
    };
    assert_eq!(tiers, [(Tier::Legal, came), (Tier::Subrec, came)]);
    assert_eq!(ring.live(Owner::Hold(1)), [ids[0]]);
    assert_eq!(ring.live(Owner::Subject(2)), [ids[1]]);

    // Without its key-encryption key in the configuration, without the key, without the ring.
    let plain = virtual_storage(true);
    assert!(refused(&disk, &plain).contains("set storage.legal_kek_file"));
    for auto_init in [false, true] {
        let (disk, storage) = (disk.crash(), tiered_storage(auto_init));
        remove(&disk, &["kek/legal"]);
        let told = refused(&disk, &storage);
        assert!(
            told.contains("key-encryption key /t/kek/legal is missing"),
            "{told}"
        );
        assert!(disk.octets(Path::new("/t/kek/legal")).is_none(), "none is made");
    }
    for auto_init in [false, true] {
        let disk = disk.crash();
        remove(&disk, &["keys/legal/ring.a", "keys/legal/ring.b"]);
        let told = refused(&disk, &tiered_storage(auto_init));
        assert!(told.contains("it was made before: restore one of them"), "{told}");
        // That it is not told by its files alone.
        remove(&disk, &["kek/legal"]);
        assert!(refused(&disk, &tiered_storage(auto_init)).contains("is missing"));
        assert!(refused(&disk, &plain).contains("set storage.legal_kek_file"));
    }
    // The main ring alone is gone: nothing is made beside what tiers hold.
    remove(&disk, &["keys/ring.a", "keys/ring.b", "data/layout"]);
    let told = open_all(&disk, &tiered_storage(true)).map(drop).unwrap_err();
    assert!(
        matches!(told, OpenError::Ring(KeyRingError::Missing { .. })),
        "{told}"
    );
}

#[test]
fn two_tiers_or_a_tier_and_the_main_ring_with_one_key_are_refused_before_anything_is_made() {
    for (one, two) in [("kek", "legal"), ("legal", "subrec"), ("kek", "subrec")] {
        let disk = FaultyDisk::new();
        for name in [one, two] {
            let path = Path::new("/t/kek").join(name);
            Kek::create(&disk, &path, &mut ChaCha20Rng::seed_from_u64(99)).unwrap();
        }
        let told = open_all(&disk, &tiered_storage(true)).map(drop).unwrap_err();
        assert!(matches!(told, OpenError::SameKek { .. }), "{told}");
        assert!(disk.list(Path::new("/t/keys")).unwrap().is_empty(), "{told}");
    }
    // An operator copies the main key over a tier's later.
    let disk = made();
    let path = Path::new("/t/kek/legal");
    let octets = disk.octets(Path::new("/t/kek/kek")).unwrap();
    let file = disk.create(path, 0o600, 0).unwrap();
    file.write_at(&[IoSlice::new(&octets)], 0).unwrap();
    let mut storage = tiered_storage(false);
    storage.subrec_kek = None;
    assert!(refused(&disk, &storage).contains("same 32 octets as that of the main ring"));
}

#[test]
fn init_makes_keys_of_tiers_beside_what_is_there_and_for_none_that_was_used() {
    let root = tempfile::tempdir().unwrap();
    let mut storage = storage(root.path(), false);
    let kek = |name: &str| KekSource::File(root.path().join("kek").join(name));
    let missing = |storage: &Storage| tiers::make_missing(storage, &mut chance());
    storage.legal_kek = Some(kek("legal"));
    assert!(matches!(missing(&storage), Err(OpenError::NotMade)));
    storage.auto_init = true;
    assert_eq!(missing(&storage).unwrap(), [], "the first start makes all");
    storage.auto_init = false;
    let without = Storage {
        legal_kek: None,
        ..storage.clone()
    };
    init(&without, NOW, &mut rng()).unwrap();
    // Beside a gateway that runs.
    let running = open(&without, Vec::new(), NOW, &mut rng()).unwrap();
    assert_eq!(missing(&storage).unwrap(), [Tier::Legal]);
    drop(running);
    let mode = fs::metadata(root.path().join("kek/legal"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(missing(&storage).unwrap(), [], "once");
    let open = open(&storage, Vec::new(), NOW, &mut rng()).unwrap();
    assert_eq!(open.tiers.len(), 1);
    drop(open);
    fs::remove_file(root.path().join("kek/legal")).unwrap();
    assert!(matches!(missing(&storage), Err(OpenError::KekMissing { .. })));
    assert!(!root.path().join("kek/legal").exists());
    // A volume that is not mounted: nothing is written where it belongs.
    (storage.legal_kek, storage.subrec_kek) = (None, Some(KekSource::File(root.path().join("kek/subrec"))));
    fs::rename(&storage.data, root.path().join("aside")).unwrap();
    fs::create_dir(&storage.data).unwrap();
    assert_eq!(missing(&storage).unwrap(), [Tier::Subrec]);
    assert_eq!(fs::read_dir(&storage.data).unwrap().count(), 0);
}

#[test]
fn a_start_asks_the_program_of_each_key_once() {
    let root = tempfile::tempdir().unwrap();
    let mut storage = storage(root.path(), true);
    let asked = root.path().join("asked");
    // It says so, then writes the key: who asks a card or a vault for it twice may be asked for a PIN twice.
    let program = |digit: char| {
        let script = format!("echo {digit} >> {}; printf %064d {digit}", asked.display());
        KekSource::Command(["sh", "-c", &script].map(str::to_owned).to_vec())
    };
    (storage.kek, storage.legal_kek) = (program('1'), Some(program('2')));
    drop(open(&storage, Vec::new(), NOW, &mut rng()).unwrap());
    fs::remove_file(&asked).unwrap();
    let open = open(&storage, Vec::new(), NOW, &mut rng()).unwrap();
    assert_eq!(open.tiers.len(), 1);
    assert_eq!(fs::read_to_string(&asked).unwrap(), "1\n2\n");
    fs::remove_file(&asked).unwrap();
    look(&storage).unwrap();
    assert_eq!(fs::read_to_string(&asked).unwrap(), "1\n2\n");
}
