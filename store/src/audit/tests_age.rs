//! Entries come to their end by the rules, and what is left is verified (AUD-5).

use super::tests::{a_signer, dir, entry, judge, numbers, open, own};
use super::*;
use crate::disk::FaultyDisk;

/// Ninety entries in some files, each with its number for its time, and two checkpoints in between.
fn written(disk: &FaultyDisk) -> (String, String) {
    let (mut audit, _) = open(disk);
    let mut notes = Vec::new();
    for number in 1..=90 {
        audit.append(number, &entry(number, true)).unwrap();
        if [10, 80].contains(&number) {
            audit.sync().unwrap();
            notes.push(audit.checkpoint().unwrap().0);
        }
    }
    audit.sync().unwrap();
    let last = notes.pop().unwrap();
    (notes.pop().unwrap(), last)
}

/// What a run drops of all up to an instant; the last that went.
fn age(disk: &FaultyDisk, until_ms: u64) -> Result<Option<u64>, AuditError> {
    let (mut audit, _) = Audit::open(disk.clone(), dir(), a_signer())?;
    let Some(aged) = audit.aged(|newest_ms| newest_ms <= until_ms)? else {
        return Ok(None);
    };
    let up_to = aged.up_to;
    audit.drop_aged(aged)?;
    Ok(Some(up_to))
}

#[test]
fn aud_5_whole_files_go_with_their_time_and_what_is_left_is_verified_wherever_the_power_goes() {
    let whole = FaultyDisk::new();
    let (early, late) = written(&whole);
    assert_eq!(
        age(&whole, 5).unwrap(),
        None,
        "not before the last of a file is over"
    );
    let up_to = age(&whole, 60).unwrap().unwrap();
    assert!((11..=60).contains(&up_to), "{up_to}");
    for cut in 0.. {
        let disk = FaultyDisk::new();
        written(&disk);
        disk.cut_power_after(cut);
        let is_done = age(&disk, 60).is_ok();
        let disk = disk.crash();
        assert_eq!(judge(&disk, Some(&late)).tail, Tail::Proven(80), "cut {cut}");
        age(&disk, 60).unwrap();
        let verdict = judge(&disk, Some(&late));
        assert_eq!(
            (verdict.first_bad, verdict.tail),
            (None, Tail::Proven(80)),
            "cut {cut}"
        );
        assert_eq!((verdict.aged, verdict.entries), (up_to, 90));
        assert_eq!(
            judge(&disk, Some(&early)).tail,
            Tail::Aged(10),
            "it says nothing of what is left"
        );
        assert!(numbers(&disk).into_iter().eq(up_to + 1..=90), "cut {cut}");
        let names = disk.list(dir()).unwrap();
        let first = names
            .iter()
            .filter_map(|entry| frame::first_of(&entry.name))
            .min();
        assert_eq!(first, Some(up_to + 1), "cut {cut}: nothing of it lies there");
        // It goes on, and what is signed then holds, too.
        let (mut audit, report) = open(&disk);
        assert_eq!((report.damage, report.is_unsigned), (None, false));
        assert_eq!(audit.append(91, &entry(91, true)).unwrap(), Appended::At(91));
        audit.sync().unwrap();
        let (note, _) = audit.checkpoint().unwrap();
        drop(audit);
        assert_eq!(judge(&disk, Some(&note)).tail, Tail::Proven(91));
        // The newest file stays whatever the rules say.
        let last = age(&disk, u64::MAX).unwrap().unwrap();
        assert!(numbers(&disk).into_iter().eq(last + 1..=91) && last < 91);
        assert_eq!(judge(&disk, Some(&note)).tail, Tail::Proven(91));
        if is_done {
            assert!(cut > 3, "{cut}");
            break;
        }
    }
}

#[test]
fn aud_5_nobody_drops_entries_but_the_log_itself() {
    let disk = FaultyDisk::new();
    let (_, late) = written(&disk);
    let up_to = age(&disk, 60).unwrap().unwrap();
    let path = dir().join(age::FILE);
    let octets = || {
        disk.open(&path, Access::Read).map(|file| {
            let mut octets = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
            file.read_at(&mut octets, 0).unwrap();
            octets
        })
    };
    let whole = octets().unwrap();
    let put = |octets: &[u8]| create_whole(&disk, &path, octets).unwrap();
    // Gone, or another octet of it: the entries are missing.
    disk.unlink(&path).unwrap();
    let missing = |disk: &FaultyDisk| {
        let bad = judge(disk, Some(&late)).first_bad.unwrap();
        assert_eq!(bad.sequence, 1);
    };
    missing(&disk);
    for at in 0..whole.len() {
        let mut other = whole.clone();
        other[at] ^= 1;
        put(&other);
        missing(&disk);
    }
    // It does not open as if they had been lost, until nothing else is left to do.
    let opened = Audit::open(disk.crash(), dir(), a_signer());
    assert!(matches!(opened, Err(AuditError::Io { .. })), "{opened:?}");
    let (_, report) = Audit::open_past(disk.crash(), dir(), a_signer()).unwrap();
    assert!(report.damage.is_some());
    // Of another's key.
    put(&whole);
    let other = Signer::new("tidegate/test", &[8; 32]).unwrap().public_key();
    let verdict = verify(&disk, dir(), &[&own()], None, &other).unwrap();
    let bad = verdict.first_bad.unwrap();
    assert_eq!((bad.sequence, bad.up_to, bad.why), (1, up_to, Why::Forked));
    assert_eq!(judge(&disk, Some(&late)).tail, Tail::Proven(80));
    // And of what is damaged none goes.
    let (audit, _) = open(&disk);
    let path = frame::path(dir(), up_to + 1);
    let file = disk.open(&path, Access::ReadWrite).unwrap();
    file.write_at(&[IoSlice::new(b"another")], 300).unwrap();
    assert!(audit.aged(|_| true).unwrap().is_none());
}

/// Whoever can write files has checkpoints and entries, and not the key.
#[test]
fn aud_5_a_checkpoint_makes_no_anchor() {
    let disk = FaultyDisk::new();
    let (mut audit, _) = open(&disk);
    for number in 1..=90 {
        audit.append(number, &entry(number, true)).unwrap();
    }
    audit.sync().unwrap();
    let (note, _) = audit.checkpoint().unwrap();
    let line = note.lines().last().unwrap().rsplit(' ').next().unwrap();
    let octets = <base64ct::Base64 as base64ct::Encoding>::decode_vec(line).unwrap();
    let forged = Anchor {
        chain: audit.synced.clone(),
        signature: octets[4..].try_into().unwrap(),
    };
    drop(audit);
    for file in files(&disk, dir()).unwrap() {
        disk.unlink(&frame::path(dir(), file.first)).unwrap();
    }
    create_whole(&disk, &dir().join(age::FILE), &forged.octets()).unwrap();
    let verdict = judge(&disk, Some(&note));
    assert_eq!(verdict.tail, Tail::Refuted);
    assert_eq!(verdict.first_bad.unwrap().sequence, 1);
    let (_, report) = open(&disk);
    assert!(report.is_unsigned && report.damage.is_some(), "{report:?}");
}

/// One time far ahead keeps nothing for ever.
#[test]
fn aud_5_a_clock_that_was_wrong_for_a_while_does_not_keep_entries_for_ever() {
    let disk = FaultyDisk::new();
    let (mut audit, _) = open(&disk);
    for number in 1..=90 {
        let time_ms = if number == 5 { 9_999_999 } else { number };
        audit.append(time_ms, &entry(number, true)).unwrap();
    }
    audit.sync().unwrap();
    drop(audit);
    assert_eq!(age(&disk, 5).unwrap(), None);
    assert!(age(&disk, 90).unwrap().is_some());
}
