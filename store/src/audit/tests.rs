//! What was promised is there after whatever happens, once and in its order.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};

use super::*;
use crate::disk::{FaultyDisk, Op};
use crate::keyring::{Kek, KeyRing};
use crate::testing::rng;

pub(super) const DIR: &str = "/data/audit";

pub(super) fn dir() -> &'static Path {
    Path::new(DIR)
}

pub(super) fn own() -> PathBuf {
    dir().join(CHECKPOINTS_DIR)
}

pub(super) fn a_signer() -> Signer {
    Signer::new("tidegate/test", &[7; 32]).unwrap()
}

pub(super) fn open(disk: &FaultyDisk) -> (Audit<FaultyDisk>, Report) {
    Audit::open(disk.clone(), dir(), a_signer()).unwrap()
}

/// An entry that is known by a number; the heavy ones fill a file with a few dozen.
pub(super) fn entry(number: u64, is_heavy: bool) -> Entry {
    let mut entry = Entry::new(Kind::OptOutAdded, Actor::Handset).with(Field::Sequence, Value::Count(number));
    entry.subject = Some([u8::try_from(number % 256).unwrap(); 16]);
    for _ in 0..if is_heavy { 12 } else { 0 } {
        entry = entry.with(Field::Sealed, Value::Sealed(vec![0xAB; SEALED_MAX]));
    }
    entry
}

pub(super) fn number_of(logged: &Logged) -> u64 {
    match logged.entry.details.first() {
        Some((Field::Sequence, Value::Count(number))) => *number,
        other => panic!("{other:?}"),
    }
}

pub(super) fn numbers(disk: &FaultyDisk) -> Vec<u64> {
    let mut found = Vec::new();
    let bad = read(disk, dir(), |logged| found.push(number_of(logged))).unwrap();
    assert_eq!(bad, None);
    found
}

pub(super) fn judge(disk: &FaultyDisk, against: Option<&str>) -> Verdict {
    let against: Option<SignedCheckpoint> = against.map(|note| note.parse().unwrap());
    verify(disk, dir(), &[&own()], against.as_ref(), &a_signer().public_key()).unwrap()
}

#[test]
fn entries_are_there_after_a_restart_and_files_follow_each_other() {
    let disk = FaultyDisk::new();
    let (mut audit, report) = open(&disk);
    assert_eq!(report, Report::default());
    for number in 1..=70 {
        assert_eq!(
            audit.append(number, &entry(number, true)).unwrap(),
            Appended::At(number)
        );
    }
    audit.sync().unwrap();
    let (note, name) = audit.checkpoint().unwrap();
    assert_eq!(name, "00000000000000000070.checkpoint");
    assert_eq!((audit.unsigned(), audit.entries()), (0, 70));
    drop(audit);
    let disk = disk.crash();
    let (audit, report) = open(&disk);
    assert_eq!(
        (report.entries, &report.damage, report.torn_octets),
        (70, &None, 0)
    );
    assert_eq!((report.last, audit.signed()), (Some(Kind::OptOutAdded), 70));
    assert!(numbers(&disk).into_iter().eq(1..=70));
    let verdict = judge(&disk, Some(&note));
    assert_eq!((verdict.first_bad, verdict.tail), (None, Tail::Proven(70)));
    assert!(verdict.segments > 3, "{}", verdict.segments);
    assert_eq!(judge(&disk, None).tail, Tail::CannotTell);
}

/// The work of one life: entries alone and in groups, checkpoints, restarts. Says what was promised.
fn live(disk: &FaultyDisk, promised: &mut u64) -> Result<(), AuditError> {
    let mut chance = ChaCha20Rng::seed_from_u64(5);
    let (mut number, mut audit) = (0, Audit::open(disk.clone(), dir(), a_signer())?.0);
    for step in 0..40 {
        match step % 10 {
            7 => drop(audit.checkpoint()?),
            9 => audit = Audit::open(disk.clone(), dir(), a_signer())?.0,
            _ => {
                for _ in 0..chance.next_u32() % 4 {
                    number += 1;
                    let mut entry = entry(number, true);
                    entry.source = Some(Source(number / 3, number % 3));
                    assert_eq!(audit.append(1, &entry)?, Appended::At(number));
                    // The keeper that was cut off after this copies it once more.
                    assert_eq!(audit.append(2, &entry)?, Appended::Known);
                }
                audit.sync()?;
                *promised = number;
            }
        }
    }
    Ok(())
}

#[test]
fn a_power_cut_anywhere_loses_nothing_that_was_promised_and_doubles_nothing() {
    let (mut chance, mut torn) = (rng(), 0);
    for cut in 0.. {
        let disk = FaultyDisk::new();
        disk.cut_power_after(cut);
        let mut promised = 0;
        let is_done = live(&disk, &mut promised).is_ok();
        for after in [
            disk.crash(),
            disk.crash_with(&mut chance),
            disk.crash_with(&mut chance),
        ] {
            let (mut audit, report) = open(&after);
            assert_eq!(report.damage, None, "cut {cut}");
            assert!(
                report.entries >= promised,
                "cut {cut}: {} of {promised}",
                report.entries
            );
            torn += report.torn_octets;
            assert!(numbers(&after).into_iter().eq(1..=report.entries), "cut {cut}");
            // And it goes on where it stopped: what was entered is known, what was not is taken.
            for number in 1..=report.entries + 1 {
                let mut entry = entry(number, false);
                entry.source = Some(Source(number / 3, number % 3));
                let is_known = audit.append(3, &entry).unwrap() == Appended::Known;
                assert_eq!(is_known, number <= report.entries, "cut {cut}");
            }
            audit.sync().unwrap();
            let verdict = judge(&after, None);
            assert_eq!((verdict.first_bad, verdict.torn_octets), (None, 0), "cut {cut}");
            assert_eq!(verdict.entries, report.entries + 1);
        }
        if is_done {
            assert!(cut > 60 && torn > 0, "{cut} {torn}");
            break;
        }
    }
}

#[test]
fn a_sync_that_failed_promises_nothing_and_what_comes_after_an_opening_lasts() {
    let disk = FaultyDisk::new();
    let (mut audit, _) = open(&disk);
    audit.append(1, &entry(1, false)).unwrap();
    audit.sync().unwrap();
    audit.append(1, &entry(2, false)).unwrap();
    disk.fail_next(Op::Sync, 1, ErrorKind::Other);
    assert!(audit.sync().is_err() && audit.is_broken());
    assert!(matches!(
        audit.append(1, &entry(3, false)),
        Err(AuditError::Broken)
    ));
    assert!(matches!(audit.sync(), Err(AuditError::Broken)));
    assert_eq!(audit.entries(), 1);
    // The system shows what it will not keep. The opening makes it last.
    let (mut audit, report) = Audit::open(disk.clone(), dir(), a_signer()).unwrap();
    assert_eq!(report.entries, 2);
    audit.append(1, &entry(3, false)).unwrap();
    audit.sync().unwrap();
    let after = disk.crash();
    assert_eq!((open(&after).1.damage, numbers(&after)), (None, vec![1, 2, 3]));
}

#[test]
fn a_write_that_failed_loses_its_group_and_nothing_else() {
    let disk = FaultyDisk::new();
    let (mut audit, _) = open(&disk);
    audit.append(1, &entry(1, false)).unwrap();
    audit.append(1, &entry(2, true)).unwrap();
    disk.fail_next(Op::Write, 1, ErrorKind::Other);
    assert!(audit.sync().is_err() && !audit.is_broken());
    assert_eq!(audit.append(1, &entry(3, false)).unwrap(), Appended::At(1));
    audit.sync().unwrap();
    assert_eq!(
        (numbers(&disk.crash()), judge(&disk, None).first_bad),
        (vec![3], None)
    );
}

#[test]
fn on_a_full_disk_the_newest_file_still_takes_entries_and_a_new_one_is_refused() {
    let disk = FaultyDisk::new();
    let (mut audit, _) = open(&disk);
    disk.set_capacity(Some(disk.used()));
    let (mut entered, per_file) = (0, SEGMENT_LEN as u64 / (12 * SEALED_MAX as u64 + 200));
    let error = loop {
        match audit
            .append(1, &entry(entered + 1, true))
            .and_then(|_| audit.sync())
        {
            Ok(()) => entered += 1,
            Err(error) => break error,
        }
    };
    assert!(
        matches!(&error, AuditError::Io { source, .. } if crate::disk::is_full(source)),
        "{error}"
    );
    assert!(
        entered > per_file && !audit.is_broken(),
        "{entered}: the next file was made ahead"
    );
    // A start needs no room, and afterwards there is some.
    let (mut audit, _) = Audit::open(disk.clone(), dir(), a_signer()).unwrap();
    disk.set_capacity(None);
    audit.append(1, &entry(entered + 1, true)).unwrap();
    audit.sync().unwrap();
    assert!(numbers(&disk).into_iter().eq(1..=entered + 1));
}

#[test]
fn a_name_and_a_key_are_made_once() {
    let disk = FaultyDisk::new();
    let mut chance = rng();
    let kek = Kek::create(&disk, Path::new("/kek"), &mut chance).unwrap();
    let mut ring = KeyRing::create(&disk, Path::new("/ring"), kek, 1, &mut chance).unwrap();
    disk.create_dir_all(dir()).unwrap();
    let (made, how) = signer(&disk, dir(), &mut ring, "tidegate/node-0", 1, &mut chance).unwrap();
    assert_eq!(how, Made::New);
    assert_eq!(public_key(&disk, dir()).unwrap(), Some(made.public_key()));
    let (found, how) = signer(&disk, dir(), &mut ring, "harbour", 1, &mut chance).unwrap();
    assert_eq!(how, Made::Found, "another name, the same key");
    assert_eq!(public_key(&disk, dir()).unwrap(), Some(found.public_key()));
    let note = found.sign(3, [1; 32]).parse::<SignedCheckpoint>().unwrap();
    assert!(note.is_signed_by(&made.public_key()));
    // The seed stands nowhere as it is, and without its key of the ring there is none. What did not open is kept.
    for time in [1, 1] {
        assert!(disk.damage(&dir().join("signing-key"), 20, &[0; 4]));
        let (other, how) = signer(&disk, dir(), &mut ring, "harbour", time, &mut chance).unwrap();
        assert_eq!(how, Made::InPlaceOfAnother);
        assert!(!note.is_signed_by(&other.public_key()));
    }
    let disk = disk.crash();
    let kept = disk.octets(&dir().join("signing-key.pub.unopened-1")).unwrap();
    assert_eq!(kept, format!("{}\n", found.public_key()).into_bytes());
    for name in ["signing-key.unopened-1", "signing-key.unopened-2"] {
        assert!(disk.octets(&dir().join(name)).is_some(), "{name}");
    }
}

#[test]
fn checkpoints_that_no_key_of_the_log_has_signed_are_an_alarm() {
    let disk = FaultyDisk::new();
    let (mut audit, report) = open(&disk);
    assert!(!report.is_unsigned, "none is none");
    audit.append(1, &entry(1, false)).unwrap();
    audit.sync().unwrap();
    audit.checkpoint().unwrap();
    assert!(!open(&disk).1.is_unsigned);
    let other = Signer::new("tidegate/test", &[8; 32]).unwrap();
    let (mut audit, report) = Audit::open(disk.clone(), dir(), other.clone()).unwrap();
    assert!(report.is_unsigned);
    audit.append(1, &entry(2, false)).unwrap();
    audit.sync().unwrap();
    audit.checkpoint().unwrap();
    drop(audit);
    let (_, report) = Audit::open(disk.clone(), dir(), other).unwrap();
    assert!(!report.is_unsigned, "said once");
}

#[test]
fn the_further_back_the_fewer_checkpoints_are_left_and_never_the_first_or_the_last() {
    let disk = FaultyDisk::new();
    let (mut audit, _) = open(&disk);
    let count = 3_000;
    for number in 1..=count {
        audit.append(number, &entry(number, false)).unwrap();
        audit.sync().unwrap();
        audit.checkpoint().unwrap();
    }
    verify::thin_out(&disk, &own()).unwrap();
    let (left, foreign) = checkpoints(&disk, &own(), &a_signer().public_key()).unwrap();
    let sizes: Vec<u64> = left.iter().map(|note| note.checkpoint.size).collect();
    assert_eq!(
        (sizes.first(), sizes.last(), foreign),
        (Some(&1), Some(&count), 0)
    );
    assert!(sizes.len() < 700, "{}", sizes.len());
    for pair in sizes.windows(2) {
        let (gap, back) = (pair[1] - pair[0], count - pair[0]);
        assert!(gap <= 2 + back / 30, "{pair:?}");
    }
    let recent = sizes.iter().filter(|size| **size > count - 128);
    assert_eq!(recent.count(), 128, "of the last all are left");
    assert_eq!(judge(&disk, None).first_bad, None);
}
