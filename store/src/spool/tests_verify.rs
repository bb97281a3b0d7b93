//! Reading every file: sound ones are sound, every kind of damage is named, and nothing is changed.

use std::path::Path;

use crate::disk::{Disk, FaultyDisk};
use crate::record::RecordError;
use crate::seal::KeyId;

use super::rig::{Rig, options};
use super::tests_model::traffic;
use super::{Fault, FooterState, Options, SegmentReport, verify};

fn used(seed: u64) -> Rig {
    let mut rig = Rig::with(
        seed,
        Options {
            segment_size: 4096,
            ..options()
        },
    );
    for _ in 0..120 {
        for _ in 0..rig.below(8) {
            traffic(&mut rig);
        }
        rig.turn();
    }
    rig.settle_down();
    rig
}

fn read(rig: &Rig, disk: &FaultyDisk, without: Option<KeyId>) -> Vec<SegmentReport> {
    let mut reports = Vec::new();
    let ring = rig.keeper.ring();
    let key = |id| ring.get(id).filter(|_| Some(id) != without);
    verify(disk, &rig.options.dir, key, |report| reports.push(report)).unwrap();
    reports
}

fn faults(reports: &[SegmentReport]) -> Vec<(u64, Fault)> {
    let of = |report: &SegmentReport| {
        let number = report.number;
        report
            .faults
            .clone()
            .into_iter()
            .map(move |fault| (number, fault))
    };
    reports.iter().flat_map(of).collect()
}

#[test]
fn sound_files_are_sound_and_stay_as_they_are() {
    for seed in 0..10 {
        let rig = used(seed);
        let before: Vec<_> = rig.files().iter().map(|path| rig.disk.octets(path)).collect();
        let reports = read(&rig, &rig.disk, None);
        assert_eq!(faults(&reports), []);
        assert_eq!(reports.len(), rig.files().len());
        assert!(reports.iter().map(|report| report.records).sum::<u64>() > 20);
        assert!(reports.iter().any(|report| report.footer == FooterState::Sound));
        let after: Vec<_> = rig.files().iter().map(|path| rig.disk.octets(path)).collect();
        assert_eq!(before, after);
    }
}

/// A segment with several batches that is neither the first nor the last, and its file.
fn middle(rig: &Rig) -> (u64, std::path::PathBuf) {
    let reports = read(rig, &rig.disk, None);
    let inner = &reports[1..reports.len() - 2];
    let report = inner.iter().find(|report| report.batches > 2).unwrap();
    (report.number, rig.file(report.number))
}

#[test]
fn a_flipped_bit_is_named_by_segment_and_place() {
    let rig = used(1);
    let (number, path) = middle(&rig);
    let octets = rig.disk.octets(&path).unwrap();
    // In the first batch: those behind it are found again.
    let disk = rig.disk.crash();
    assert!(disk.damage(&path, 100, &[octets[100] ^ 4]));
    let found = faults(&read(&rig, &disk, None));
    assert!(
        matches!(found[0], (at, Fault::Stretch { from, .. }) if at == number && from < 100),
        "{found:?}"
    );
    assert!(
        matches!(found[1], (at, Fault::Gap { missing: 1, .. }) if at == number),
        "{found:?}"
    );
    // In the header, and in the footer.
    let disk = rig.disk.crash();
    assert!(disk.damage(&path, 3, &[octets[3] ^ 1]));
    let last = octets.len() as u64 - 60;
    let octet = octets[octets.len() - 60];
    assert!(disk.damage(&path, last, &[octet ^ 1]));
    let found = faults(&read(&rig, &disk, None));
    assert_eq!(found, [(number, Fault::Header), (number, Fault::Footer)]);
}

#[test]
fn a_segment_or_a_key_that_is_gone_is_missed() {
    let rig = used(2);
    let (number, path) = middle(&rig);
    let batches = read(&rig, &rig.disk, None)
        .iter()
        .find(|report| report.number == number)
        .unwrap()
        .batches;
    let disk = rig.disk.crash();
    disk.unlink(&path).unwrap();
    let found = faults(&read(&rig, &disk, None));
    assert!(
        matches!(found[..], [(at, Fault::Gap { missing, .. })] if at > number && missing == batches),
        "{found:?}"
    );
    // The oldest may go at any time.
    let disk = rig.disk.crash();
    disk.unlink(Path::new(&rig.files()[0])).unwrap();
    assert_eq!(faults(&read(&rig, &disk, None)), []);
    let key = rig.spool.segments.get(number).unwrap().keys[0];
    let found = faults(&read(&rig, &rig.disk, Some(key)));
    let missed = |(_, fault): &(u64, Fault)| {
        matches!(fault, Fault::Record { error: RecordError::NoKey(gone), .. } if *gone == key)
            || *fault == Fault::Footer
    };
    assert!(!found.is_empty() && found.iter().all(missed), "{found:?}");
}

#[test]
fn what_a_kill_cut_off_is_told_and_no_fault() {
    let rig = used(3);
    let reports = read(&rig, &rig.disk, None);
    let active = reports.iter().rfind(|report| report.batches > 0).unwrap();
    assert_eq!((active.footer, active.torn_octets), (FooterState::None, 0));
    let path = rig.file(active.number);
    let octets = rig.disk.octets(&path).unwrap();
    let end = octets.iter().rposition(|octet| *octet != 0).unwrap();
    let disk = rig.disk.crash();
    assert!(disk.damage(&path, end as u64, &[0]));
    let found = read(&rig, &disk, None);
    let cut = found
        .iter()
        .find(|report| report.number == active.number)
        .unwrap();
    assert_eq!((cut.batches, cut.fault_count), (active.batches - 1, 0));
    assert!(cut.torn_octets > 0);
}
