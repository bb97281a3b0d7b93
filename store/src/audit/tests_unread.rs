//! Files that cannot be read for a while, and for ever: nothing is written over them, and no number is given twice.

use std::io::ErrorKind;
use std::path::PathBuf;

use super::tests::{a_signer, dir, entry, judge, number_of, numbers, open};
use super::*;
use crate::disk::{FaultyDisk, Op};

/// So many operations fail: more than there are.
const ALL: u64 = 1 << 20;

/// A log of so many heavy entries with a checkpoint over all, closed. Its files in their order.
fn make(entries: u64) -> (FaultyDisk, Vec<PathBuf>, String) {
    let disk = FaultyDisk::new();
    let (mut audit, _) = open(&disk);
    for number in 1..=entries {
        audit.append(1, &entry(number, true)).unwrap();
    }
    audit.sync().unwrap();
    let (note, _) = audit.checkpoint().unwrap();
    let found = files(&disk, dir()).unwrap();
    let paths = found.iter().map(|file| dir().join(&file.name)).collect();
    (disk, paths, note)
}

fn contents(disk: &FaultyDisk, paths: &[PathBuf]) -> Vec<Vec<u8>> {
    paths.iter().map(|path| disk.octets(path).unwrap()).collect()
}

fn fail(disk: &FaultyDisk, op: Op, path: &Path) {
    disk.fail_on(op, path.to_str().unwrap(), 0, ALL, ErrorKind::Other);
}

#[test]
fn a_file_that_cannot_be_read_for_a_while_costs_nothing() {
    for op in [Op::Open, Op::Read] {
        for (entries, place) in [(5, 0), (70, 0), (70, 1), (70, 3)] {
            let (disk, paths, note) = make(entries);
            let before = contents(&disk, &paths);
            assert!(entries == 5 || paths.len() == 4, "{}", paths.len());
            fail(&disk, op, &paths[place]);
            for _ in 0..3 {
                let error = Audit::open(disk.clone(), dir(), a_signer()).unwrap_err();
                let is_named = matches!(&error, AuditError::Io { path, .. } if *path == paths[place]);
                assert!(is_named, "{error}");
            }
            disk.heal();
            assert_eq!(contents(&disk, &paths), before, "{op:?} {place} of {entries}");
            let (mut audit, report) = open(&disk);
            assert_eq!((report.damage, report.entries), (None, entries));
            let next = entry(entries + 1, true);
            assert_eq!(audit.append(1, &next).unwrap(), Appended::At(entries + 1));
            audit.sync().unwrap();
            assert!(numbers(&disk).into_iter().eq(1..=entries + 1));
            let verdict = judge(&disk, Some(&note));
            assert_eq!((verdict.first_bad, verdict.tail), (None, Tail::Proven(entries)));
        }
    }
}

#[test]
fn past_a_newest_file_that_stays_unreadable_it_goes_on_in_one_above_it() {
    for (op, entries) in [(Op::Open, 5), (Op::Read, 70)] {
        let (disk, paths, note) = make(entries);
        let (before, unread) = (contents(&disk, &paths), paths.last().unwrap());
        fail(&disk, op, unread);
        let (mut audit, report) = Audit::open_past(disk.clone(), dir(), a_signer()).unwrap();
        let bad = report.damage.unwrap();
        assert_eq!(bad.why, Why::Unreadable(ErrorKind::Other));
        assert_eq!(dir().join(bad.file), *unread);
        let Appended::At(sequence) = audit.append(1, &entry(1_000, false)).unwrap() else {
            panic!("it is new");
        };
        assert!(
            sequence > entries + 1_000,
            "{sequence}: whatever stands in the file"
        );
        audit.sync().unwrap();
        // Still unreadable: once more behind all that was entered.
        drop(audit);
        let (mut audit, _) = Audit::open_past(disk.clone(), dir(), a_signer()).unwrap();
        assert_eq!(
            audit.append(1, &entry(1_001, false)).unwrap(),
            Appended::At(sequence + 1)
        );
        audit.sync().unwrap();
        drop(audit);
        // And readable again: all is there, once, and what was signed before holds.
        disk.heal();
        assert_eq!(contents(&disk, &paths), before);
        let mut found = Vec::new();
        read(&disk, dir(), |logged| found.push(number_of(logged))).unwrap();
        assert!(found.into_iter().eq((1..=entries).chain([1_000, 1_001])));
        let verdict = judge(&disk, Some(&note));
        assert_eq!(verdict.tail, Tail::Proven(entries));
        let bad = verdict.first_bad.unwrap();
        assert_eq!((bad.sequence, bad.why), (entries + 1, Why::Missing));
    }
}

#[test]
fn past_a_file_in_the_middle_it_goes_on_in_the_newest() {
    let (disk, paths, _) = make(70);
    let before = contents(&disk, &paths);
    fail(&disk, Op::Read, &paths[1]);
    let (mut audit, report) = Audit::open_past(disk.clone(), dir(), a_signer()).unwrap();
    assert_eq!(report.entries, 70);
    assert_eq!(audit.append(1, &entry(71, false)).unwrap(), Appended::At(71));
    audit.sync().unwrap();
    disk.heal();
    assert_eq!(contents(&disk, &paths)[..3], before[..3]);
    assert!(numbers(&disk).into_iter().eq(1..=71));
}

#[test]
fn a_log_that_is_opened_again_reads_its_newest_file_only() {
    let (disk, paths, _) = make(70);
    let (mut audit, _) = open(&disk);
    // All the others are gone from sight, and nobody looks.
    for path in &paths[..3] {
        fail(&disk, Op::Open, path);
    }
    disk.fail_next(Op::Sync, 1, ErrorKind::Other);
    audit.append(1, &entry(71, false)).unwrap();
    assert!(audit.sync().is_err() && audit.is_broken());
    fail(&disk, Op::Read, &paths[3]);
    let before = contents(&disk, &paths[3..]);
    assert!(audit.reopen().is_err() && audit.is_broken());
    assert_eq!(contents(&disk, &paths[3..]), before);
    disk.heal();
    for path in &paths[..3] {
        fail(&disk, Op::Open, path);
    }
    let report = audit.reopen().unwrap();
    assert_eq!((report.entries, report.damage), (71, None), "it was written");
    assert_eq!(audit.append(1, &entry(72, false)).unwrap(), Appended::At(72));
    audit.sync().unwrap();
    disk.heal();
    assert!(numbers(&disk.crash()).into_iter().eq(1..=72));
}

#[test]
fn a_log_that_is_opened_again_past_its_newest_file_knows_what_it_promised() {
    let (disk, paths, _) = make(70);
    let (mut audit, _) = open(&disk);
    disk.fail_next(Op::Sync, 1, ErrorKind::Other);
    let mut copied = entry(71, false);
    copied.source = Some(Source(9, 9));
    audit.append(1, &copied).unwrap();
    audit.sync().unwrap_err();
    fail(&disk, Op::Read, &paths[3]);
    let report = audit.reopen_past().unwrap();
    let bad = report.damage.unwrap();
    assert_eq!(bad.why, Why::Unreadable(ErrorKind::Other));
    assert!(matches!(audit.append(1, &copied).unwrap(), Appended::At(sequence) if sequence > 1_071));
    audit.sync().unwrap();
    disk.fail_next(Op::Sync, 1, ErrorKind::Other);
    audit.append(1, &entry(73, false)).unwrap();
    audit.sync().unwrap_err();
    let again = audit.reopen().unwrap();
    assert_eq!(
        again.damage, None,
        "it is known, and the file is not read any more"
    );
}

#[test]
fn a_file_that_may_or_may_not_have_been_begun_gives_no_number_twice() {
    let (disk, _, _) = make(15);
    let (mut audit, _) = open(&disk);
    disk.fail_on(Op::SyncDir, "audit", 0, 1, ErrorKind::Other);
    let mut number = 15;
    while audit.append(1, &entry(number + 1, true)).is_ok() {
        number += 1;
        audit.sync().unwrap();
    }
    assert!(
        audit.is_broken(),
        "a light entry would still fit into the old file"
    );
    audit.reopen().unwrap();
    for number in number + 1..number + 4 {
        assert_eq!(
            audit.append(1, &entry(number, false)).unwrap(),
            Appended::At(number)
        );
    }
    audit.sync().unwrap();
    let (_, report) = open(&disk);
    assert_eq!((report.damage, report.entries), (None, number + 3));
    assert!(numbers(&disk).into_iter().eq(1..=number + 3));
}
