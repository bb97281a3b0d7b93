use super::*;
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use std::path::PathBuf;

/// What both implementations owe; run on each, so that tests on the twin say something of the real one.
fn behaves<D: Disk>(disk: &D, root: &Path) {
    let dir = root.join("a/b");
    assert_eq!(disk.list(&dir).unwrap(), []);
    let missing = disk.create(&dir.join("x"), 0o600, 0).map(drop).unwrap_err();
    assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    disk.create_dir_all(&dir).unwrap();
    disk.create_dir_all(&dir).unwrap();

    let path = dir.join("seg-2");
    let file = disk.create(&path, 0o600, 10_000).unwrap();
    let again = disk.create(&path, 0o600, 0).map(drop).unwrap_err();
    assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(file.len().unwrap(), 10_000);
    let mut buf = [7; 8];
    assert_eq!(file.read_at(&mut buf, 9_996).unwrap(), 4);
    assert_eq!(buf, [0, 0, 0, 0, 7, 7, 7, 7]);

    // More parts than one system call takes.
    let many: Vec<[u8; 3]> = (0..3000u16)
        .map(|n| [n.to_be_bytes()[0], n.to_be_bytes()[1], 9])
        .collect();
    let slices: Vec<IoSlice<'_>> = many.iter().map(|part| IoSlice::new(part)).collect();
    file.write_at(&slices, 4_000).unwrap();
    file.sync_data().unwrap();
    let mut back = vec![0; 9_000];
    let reader = disk.open(&path, Access::Read).unwrap();
    assert_eq!(reader.read_at(&mut back, 4_000).unwrap(), 9_000);
    assert_eq!(back, many.concat());
    assert_eq!(file.len().unwrap(), 13_000, "a write past the end extends");

    file.truncate(4_001).unwrap();
    file.truncate(4_003).unwrap();
    file.sync_all().unwrap();
    assert_eq!(file.read_at(&mut back, 3_999).unwrap(), 4);
    assert_eq!(back[..4], [0, 0, 0, 0], "what was cut off does not come back");
    assert!(!file.is_empty().unwrap());

    disk.create(&dir.join("seg-1"), 0o600, 0).unwrap();
    disk.create_dir_all(&dir.join("sub")).unwrap();
    let names = |disk: &D| -> Vec<(String, u64)> {
        let entries = disk.list(&dir).unwrap();
        entries.into_iter().map(|e| (e.name, e.len)).collect()
    };
    assert_eq!(names(disk), [("seg-1".into(), 0), ("seg-2".into(), 4_003)]);
    assert!(disk.list(&dir).unwrap()[1].allocated >= 4_003);
    disk.rename(&path, &dir.join("seg-1")).unwrap();
    disk.sync_dir(&dir).unwrap();
    assert_eq!(names(disk), [("seg-1".into(), 4_003)]);
    disk.unlink(&dir.join("seg-1")).unwrap();
    assert_eq!(names(disk), []);
    assert_eq!(reader.len().unwrap(), 4_003, "an open file outlives its name");
    for error in [
        disk.open(&path, Access::Read).map(drop).unwrap_err(),
        disk.unlink(&path).unwrap_err(),
        disk.rename(&path, &dir.join("z")).unwrap_err(),
    ] {
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}

#[test]
fn the_real_disk_keeps_the_contract() {
    let root = tempfile::tempdir().unwrap();
    behaves(&RealDisk, root.path());
}

#[test]
fn the_disk_in_memory_keeps_the_contract() {
    behaves(&FaultyDisk::new(), Path::new("/data"));
}

#[test]
fn a_full_disk_is_told_from_a_broken_one() {
    assert!(is_full(&rustix::io::Errno::NOSPC.into()));
    assert!(is_full(&rustix::io::Errno::DQUOT.into()));
    assert!(is_full(&io::ErrorKind::StorageFull.into()));
    assert!(!is_full(&rustix::io::Errno::IO.into()));
}

fn at(name: &str) -> PathBuf {
    Path::new("/data").join(name)
}

fn disk_with(name: &str, octets: &[u8]) -> (FaultyDisk, FaultyFile) {
    let disk = FaultyDisk::new();
    disk.create_dir_all(Path::new("/data")).unwrap();
    let file = disk.create(&at(name), 0o600, 0).unwrap();
    put(&file, 0, octets);
    file.sync_data().unwrap();
    disk.sync_dir(Path::new("/data")).unwrap();
    (disk, file)
}

fn put(file: &FaultyFile, offset: u64, octets: &[u8]) {
    file.write_at(&[IoSlice::new(octets)], offset).unwrap();
}

#[test]
fn a_power_cut_forgets_octets_that_were_not_synced() {
    let (disk, file) = disk_with("f", b"synced");
    put(&file, 3, b"CED and more");
    assert_eq!(disk.octets(&at("f")).unwrap(), b"synCED and more");
    assert_eq!(disk.crash().octets(&at("f")).unwrap(), b"synced");
    file.sync_data().unwrap();
    assert_eq!(disk.crash().octets(&at("f")).unwrap(), b"synCED and more");
}

#[test]
fn a_power_cut_forgets_names_whose_directory_was_not_synced() {
    let (disk, _file) = disk_with("old", b"1");
    let new = disk.create(&at("new"), 0o600, 0).unwrap();
    put(&new, 0, b"2");
    new.sync_all().unwrap();
    disk.rename(&at("old"), &at("renamed")).unwrap();
    assert_eq!(disk.paths(), [at("new"), at("renamed")]);
    assert_eq!(disk.crash().paths(), [at("old")]);
    disk.sync_dir(Path::new("/elsewhere")).unwrap();
    assert_eq!(disk.crash().paths(), [at("old")]);
    disk.sync_dir(Path::new("/data")).unwrap();
    disk.unlink(&at("new")).unwrap();
    assert_eq!(disk.paths(), [at("renamed")]);
    let after = disk.crash();
    assert_eq!(after.paths(), [at("new"), at("renamed")]);
    assert_eq!(after.octets(&at("new")).unwrap(), b"2");
}

#[test]
fn a_cut_and_a_shorter_write_after_it_do_not_bring_old_octets_back() {
    let (disk, file) = disk_with("f", &[1; 5000]);
    file.truncate(10).unwrap();
    put(&file, 4_990, &[2; 5]);
    assert_eq!(
        disk.crash().octets(&at("f")).unwrap(),
        vec![1; 5000],
        "not synced yet"
    );
    file.sync_data().unwrap();
    let mut expected = vec![1; 10];
    expected.resize(4_990, 0);
    expected.extend([2; 5]);
    assert_eq!(disk.crash().octets(&at("f")).unwrap(), expected);
}

#[test]
fn a_power_cut_by_chance_tears_a_write_at_sectors() {
    let (disk, file) = disk_with("f", &[1; 2048]);
    put(&file, 0, &[2; 2048]);
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut outcomes = std::collections::BTreeSet::new();
    for _ in 0..500 {
        let octets = disk.crash_with(&mut rng).octets(&at("f")).unwrap();
        let sectors: Vec<u8> = octets.chunks(512).map(|sector| sector[0]).collect();
        assert!(
            octets
                .chunks(512)
                .all(|sector| sector.iter().all(|o| *o == sector[0]))
        );
        outcomes.insert(sectors);
    }
    assert_eq!(outcomes.len(), 16, "every subset of four sectors");
}

#[test]
fn a_power_cut_by_chance_keeps_changes_of_one_name_in_order() {
    let (disk, _file) = disk_with("a", b"old");
    let temporary = disk.create(&at("tmp"), 0o600, 0).unwrap();
    put(&temporary, 0, b"new");
    temporary.sync_all().unwrap();
    disk.rename(&at("tmp"), &at("a")).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let mut outcomes = std::collections::BTreeSet::new();
    for _ in 0..100 {
        let after = disk.crash_with(&mut rng);
        outcomes.insert((after.octets(&at("a")), after.octets(&at("tmp"))));
    }
    let some = |octets: &[u8]| Some(octets.to_vec());
    let possible = [
        (some(b"new"), None),
        (some(b"old"), None),
        (some(b"old"), some(b"new")),
    ];
    assert!(outcomes.iter().eq(&possible), "{outcomes:?}");
}

#[test]
fn after_a_failed_sync_a_later_success_does_not_make_the_octets_durable() {
    let (disk, file) = disk_with("f", b"aaaa");
    put(&file, 4, b"bbbb");
    disk.fail_next(Op::Sync, 1, io::ErrorKind::Other);
    assert!(file.sync_data().is_err());
    put(&file, 8, b"cccc");
    file.sync_data().unwrap();
    assert_eq!(
        disk.octets(&at("f")).unwrap(),
        b"aaaabbbbcccc",
        "the cache still shows them"
    );
    assert_eq!(disk.crash().octets(&at("f")).unwrap(), b"aaaa\0\0\0\0cccc");
}

#[test]
fn a_full_disk_refuses_a_reservation_and_cuts_a_write_short() {
    let disk = FaultyDisk::with_capacity(3 * 4096);
    let first = disk.create(Path::new("first"), 0o600, 2 * 4096).unwrap();
    assert_eq!(disk.used(), 2 * 4096);
    let error = disk
        .create(Path::new("second"), 0o600, 4097)
        .map(drop)
        .unwrap_err();
    assert!(is_full(&error));
    assert_eq!(disk.paths(), [Path::new("first")]);
    assert_eq!(disk.used(), 2 * 4096, "nothing stays reserved");

    let third = disk.create(Path::new("third"), 0o600, 0).unwrap();
    let error = third
        .write_at(&[IoSlice::new(&[1; 3000]), IoSlice::new(&[2; 3000])], 0)
        .unwrap_err();
    assert!(is_full(&error));
    assert_eq!(third.len().unwrap(), 4096, "cut short at the limit");
    put(&first, 0, &[3; 2 * 4096]);
    third.truncate(0).unwrap();
    put(&third, 0, &[4; 4096]);

    disk.unlink(Path::new("first")).unwrap();
    assert_eq!(disk.used(), 3 * 4096, "still open");
    drop(first);
    assert_eq!(disk.used(), 4096);
    put(&third, 4096, &[5; 2 * 4096]);
}

#[test]
fn a_fault_hits_the_operation_and_the_file_it_names() {
    let (disk, file) = disk_with("segment", b"");
    let other = disk.create(&at("ring"), 0o600, 0).unwrap();
    disk.fail_on(Op::Write, "segment", 1, 2, io::ErrorKind::TimedOut);
    put(&other, 0, b"x");
    put(&file, 0, b"x");
    for _ in 0..2 {
        let error = file.write_at(&[IoSlice::new(b"abcd")], 1).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        put(&other, 0, b"x");
    }
    assert_eq!(
        disk.octets(&at("segment")).unwrap(),
        b"xab",
        "half of it was written"
    );
    put(&file, 1, b"y");
    for op in [
        Op::Create,
        Op::Unlink,
        Op::Rename,
        Op::SyncDir,
        Op::Open,
        Op::Read,
        Op::Truncate,
    ] {
        disk.fail_next(op, 1, io::ErrorKind::Other);
    }
    assert!(disk.create(&at("new"), 0o600, 0).is_err());
    assert!(disk.unlink(&at("ring")).is_err());
    assert!(disk.rename(&at("ring"), &at("gone")).is_err());
    assert!(disk.sync_dir(Path::new("/data")).is_err());
    assert!(disk.open(&at("ring"), Access::Read).is_err());
    assert!(file.read_at(&mut [0], 0).is_err());
    assert!(file.truncate(0).is_err());
    assert_eq!(disk.paths(), [at("ring"), at("segment")]);
    disk.fail_next(Op::Sync, 9, io::ErrorKind::Other);
    disk.heal();
    file.sync_data().unwrap();
}

#[test]
fn counting_up_the_power_visits_every_point_of_a_procedure() {
    let mut seen = Vec::new();
    for changes in 0.. {
        let (disk, file) = disk_with("f", b"1");
        disk.cut_power_after(changes);
        let done = (|| {
            file.write_at(&[IoSlice::new(b"2")], 0)?;
            file.sync_data()?;
            disk.rename(&at("f"), &at("g"))?;
            disk.sync_dir(Path::new("/data"))
        })();
        let after = disk.crash();
        seen.push((after.octets(&at("f")), after.octets(&at("g"))));
        if done.is_ok() {
            break;
        }
        assert!(
            disk.open(&at("f"), Access::Read).is_err(),
            "everything fails from then on"
        );
        assert!(disk.list(Path::new("/data")).is_err());
    }
    let (one, two) = (Some(b"1".to_vec()), Some(b"2".to_vec()));
    let expected = [
        (one.clone(), None),
        (one, None),
        (two.clone(), None),
        (two.clone(), None),
        (None, two),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn large_preallocated_files_cost_little_memory_and_time() {
    let disk = FaultyDisk::new();
    for n in 0..1000 {
        let file = disk.create(Path::new(&format!("{n}")), 0o600, 64 << 20).unwrap();
        put(&file, 1 << 20, b"x");
        file.sync_data().unwrap();
    }
    disk.sync_dir(Path::new("")).unwrap();
    assert_eq!(disk.crash().used(), 1000 * (64 << 20));
    assert_eq!(
        disk.counts(),
        Counts {
            writes: 1000,
            octets: 1000,
            syncs: 1000,
            dir_syncs: 1,
            changes: 3001
        }
    );
}

proptest::proptest! {
    /// The sparse, shared representation against a plain vector.
    #[test]
    fn a_file_in_memory_reads_what_a_vector_would(
        steps in proptest::collection::vec((0..4u8, 0..20_000u64, 0..9_000usize), 1..30)
    ) {
        let (disk, file) = disk_with("f", b"");
        let (mut seen, mut kept) = (Vec::new(), Vec::new());
        for (n, (what, place, len)) in steps.into_iter().enumerate() {
            let start = usize::try_from(place).unwrap();
            match what {
                0 => {
                    file.truncate(place).unwrap();
                    seen.resize(start, 0);
                }
                1 => {
                    file.sync_data().unwrap();
                    kept.clone_from(&seen);
                }
                _ => {
                    let fill = u8::try_from(n + 1).unwrap();
                    put(&file, place, &vec![fill; len]);
                    if len > 0 {
                        seen.resize(seen.len().max(start + len), 0);
                        seen[start..start + len].fill(fill);
                    }
                }
            }
        }
        proptest::prop_assert!(disk.octets(&at("f")).unwrap() == seen);
        proptest::prop_assert!(disk.crash().octets(&at("f")).unwrap() == kept);
    }
}
