//! Logs that somebody has laid hands on: AUD-C01, AUD-C02, and forks.

use std::io::IoSlice;
use std::path::PathBuf;

use super::tests::{a_signer, dir, entry, judge, number_of, open, own};
use super::*;
use crate::disk::FaultyDisk;

/// A log of so many entries, with a checkpoint after each `every`. Its one file, where each frame begins and ends, and
/// the checkpoints.
struct Made {
    disk: FaultyDisk,
    frames: Vec<(usize, usize)>,
    notes: Vec<String>,
}

fn path() -> PathBuf {
    frame::path(dir(), 1)
}

fn make(entries: u64, every: u64, number: impl Fn(u64) -> u64) -> Made {
    let disk = FaultyDisk::new();
    let (mut audit, _) = open(&disk);
    let (mut frames, mut notes) = (Vec::new(), Vec::new());
    for sequence in 1..=entries {
        let from = audit.segment.at;
        audit.append(sequence, &entry(number(sequence), false)).unwrap();
        audit.sync().unwrap();
        frames.push((from, audit.segment.at));
        if sequence % every == 0 {
            notes.push(audit.checkpoint().unwrap().0);
        }
    }
    Made { disk, frames, notes }
}

impl Made {
    fn octets(&self) -> Vec<u8> {
        self.disk.octets(&path()).unwrap()
    }

    /// The same log with another file, without the checkpoints beside it.
    fn with(&self, octets: &[u8]) -> FaultyDisk {
        let disk = self.disk.crash();
        for entry in disk.list(&own()).unwrap() {
            disk.unlink(&own().join(entry.name)).unwrap();
        }
        disk.unlink(&path()).unwrap();
        let file = disk.create(&path(), 0o600, 0).unwrap();
        file.write_at(&[IoSlice::new(octets)], 0).unwrap();
        file.sync_all().unwrap();
        disk.sync_dir(dir()).unwrap();
        disk
    }

    /// The log with its frames in another order.
    fn arranged(&self, order: &[usize]) -> FaultyDisk {
        let all = self.octets();
        let mut octets = all[..HEADER_LEN].to_vec();
        for place in order {
            let (from, to) = self.frames[*place];
            octets.extend_from_slice(&all[from..to]);
        }
        octets.resize(SEGMENT_LEN, 0);
        self.with(&octets)
    }
}

fn first_bad(disk: &FaultyDisk, against: Option<&str>) -> Option<u64> {
    let bad = judge(disk, against).first_bad?;
    assert_eq!(bad.sequence, bad.up_to);
    assert_eq!(dir().join(&bad.file), path());
    Some(bad.sequence)
}

#[test]
fn aud_c01_a_flipped_octet_is_named_by_its_entry_wherever_it_stands() {
    let made = make(6, 100, |sequence| sequence);
    for (place, (from, to)) in made.frames.iter().enumerate() {
        for at in *from..*to {
            for mask in [0x01, 0x80, 0xFF] {
                let mut octets = made.octets();
                octets[at] ^= mask;
                let found = first_bad(&made.with(&octets), None);
                assert_eq!(found, Some(place as u64 + 1), "octet {at}");
            }
        }
    }
    for at in 0..HEADER_LEN {
        let mut octets = made.octets();
        octets[at] ^= 0x10;
        assert_eq!(first_bad(&made.with(&octets), None), Some(1), "header {at}");
    }
}

#[test]
fn aud_c01_a_deleted_an_inserted_and_a_swapped_entry_are_named() {
    let count = 8;
    let made = make(count as u64, 100, |sequence| sequence);
    let order: Vec<usize> = (0..count).collect();
    assert_eq!(first_bad(&made.arranged(&order), None), None);
    for place in 0..count {
        let named = Some(place as u64 + 1);
        if place + 1 < count {
            let mut deleted = order.clone();
            deleted.remove(place);
            assert_eq!(
                first_bad(&made.arranged(&deleted), None),
                named,
                "deleted {place}"
            );
        }
        for other in 0..count {
            let mut inserted = order.clone();
            inserted.insert(place, other);
            // A copy in front of itself is no other than the entry: the one behind it is too much.
            let named = if other == place {
                named.map(|named| named + 1)
            } else {
                named
            };
            assert_eq!(
                first_bad(&made.arranged(&inserted), None),
                named,
                "{other} at {place}"
            );
            if place < other {
                let mut swapped = order.clone();
                swapped.swap(place, other);
                assert_eq!(first_bad(&made.arranged(&swapped), None), Some(place as u64 + 1));
            }
        }
    }
}

#[test]
fn aud_c02_a_cut_tail_shows_against_a_checkpoint_and_cannot_be_told_without() {
    let made = make(25, 25, |sequence| sequence);
    let note = made.notes[0].as_str();
    let order: Vec<usize> = (0..25).collect();
    for left in 0..25 {
        let cut = made.arranged(&order[..left]);
        let verdict = judge(&cut, None);
        assert_eq!(
            (verdict.first_bad, verdict.tail),
            (None, Tail::CannotTell),
            "{left}"
        );
        let verdict = judge(&cut, Some(note));
        let bad = verdict.first_bad.unwrap();
        assert_eq!(
            (bad.sequence, bad.up_to, bad.why),
            (left as u64 + 1, 25, Why::Missing)
        );
        assert_eq!((verdict.tail, verdict.entries), (Tail::Refuted, left as u64));
    }
    // Its file as a whole as well, and what was entered since is nobody's to prove.
    let gone = made.disk.crash();
    gone.unlink(&path()).unwrap();
    assert_eq!(
        judge(&gone, Some(note)).first_bad.map(|bad| bad.sequence),
        Some(1)
    );
    let (mut audit, _) = open(&made.disk);
    audit.append(1, &entry(26, false)).unwrap();
    audit.sync().unwrap();
    let verdict = judge(&made.disk, Some(note));
    assert_eq!(
        (verdict.first_bad, verdict.tail, verdict.entries),
        (None, Tail::Proven(25), 26)
    );
}

#[test]
fn a_fork_whose_chain_fits_is_named_between_two_checkpoints() {
    let made = make(30, 5, |sequence| sequence);
    for changed in [1, 5, 6, 13, 30] {
        let forked = make(30, 100, |sequence| {
            if sequence < changed {
                sequence
            } else {
                sequence + 1_000
            }
        });
        let disk = forked.disk.crash();
        assert_eq!(judge(&disk, None).first_bad, None, "the chain alone fits");
        let last = made.notes.last().unwrap();
        // With the last checkpoint only, all of it may be meant.
        let verdict = judge(&disk, Some(last));
        let bad = verdict.first_bad.unwrap();
        assert_eq!((bad.sequence, bad.up_to, bad.why), (1, 30, Why::Forked));
        assert_eq!(verdict.tail, Tail::Refuted);
        // With those beside the log, five entries.
        for note in &made.notes {
            let size = note.parse::<SignedCheckpoint>().unwrap().checkpoint.size;
            publish(&disk, &own(), size, note).unwrap();
        }
        let bad = judge(&disk, Some(last)).first_bad.unwrap();
        let from = (changed - 1) / 5 * 5 + 1;
        assert_eq!((bad.sequence, bad.up_to, bad.why), (from, from + 4, Why::Forked));
        // And against one that was signed before, nothing is wrong.
        if let Some(earlier) = made
            .notes
            .get(..usize::try_from((from - 1) / 5).unwrap())
            .and_then(<[_]>::last)
        {
            assert_eq!(judge(&disk, Some(earlier)).tail, Tail::Proven(from - 1));
        }
    }
}

#[test]
fn a_checkpoint_of_another_key_proves_nothing() {
    let made = make(5, 5, |sequence| sequence);
    let forger = Signer::new("tidegate/test", &[8; 32]).unwrap();
    let root = made.notes[0].parse::<SignedCheckpoint>().unwrap().checkpoint.root;
    let forged = forger.sign(5, root);
    let verdict = judge(&made.disk, Some(&forged));
    assert_eq!((verdict.first_bad, verdict.tail), (None, Tail::Refuted));
    publish(&made.disk, &own(), 4, &forged).unwrap();
    let verdict = judge(&made.disk, None);
    assert_eq!(
        (verdict.checkpoints, verdict.foreign, verdict.first_bad),
        (1, 1, None)
    );
}

#[test]
fn a_damaged_log_goes_on_behind_the_damage_and_the_damage_stays_named() {
    let made = make(9, 100, |sequence| sequence);
    let mut octets = made.octets();
    octets[made.frames[3].0 + 40] ^= 1;
    let disk = made.with(&octets);
    let (mut audit, report) = open(&disk);
    assert_eq!(
        (report.damage.map(|bad| bad.sequence), report.entries),
        (Some(4), 9)
    );
    audit.append(1, &entry(10, false)).unwrap();
    audit.sync().unwrap();
    let note = audit.checkpoint().unwrap().0;
    let (_, again) = Audit::open(disk.clone(), dir(), a_signer()).unwrap();
    assert_eq!(
        (again.damage.map(|bad| bad.sequence), again.entries),
        (Some(4), 10)
    );
    let verdict = judge(&disk, Some(&note));
    assert_eq!(
        (verdict.first_bad.map(|bad| bad.sequence), verdict.tail),
        (Some(4), Tail::Refuted)
    );
    assert_eq!(
        (verdict.checkpoints, verdict.entries),
        (2, 10),
        "what was signed since is what is there"
    );
    // All but the damaged one can be read.
    let mut found = Vec::new();
    read(&disk, dir(), |logged| found.push(number_of(logged))).unwrap();
    assert_eq!(found, [1, 2, 3, 5, 6, 7, 8, 9, 10]);
    assert_eq!(
        disk.octets(&path()).unwrap()[..octets.len()],
        octets,
        "the damage stays"
    );
}

#[test]
fn a_number_that_was_signed_is_not_given_out_again() {
    let made = make(9, 9, |sequence| sequence);
    let order: Vec<usize> = (0..6).collect();
    let cut = made.arranged(&order);
    publish(&cut, &own(), 9, &made.notes[0]).unwrap();
    let (mut audit, report) = open(&cut);
    let bad = report.damage.unwrap();
    assert_eq!((bad.sequence, bad.up_to, bad.why), (7, 9, Why::Missing));
    assert_eq!(audit.append(1, &entry(10, false)).unwrap(), Appended::At(10));
    audit.sync().unwrap();
    assert_eq!(judge(&cut, None).first_bad.map(|bad| bad.sequence), Some(7));
    assert_eq!(audit.public_key(), a_signer().public_key());
}

#[test]
fn any_octets_in_place_of_a_file_are_read_without_harm() {
    let made = make(4, 100, |sequence| sequence);
    let mut chance = crate::testing::rng();
    for round in 0..300 {
        let mut octets = made.octets();
        let used = made.frames[3].1;
        for _ in 0..1 + round % 7 {
            let at = rand_core::Rng::next_u32(&mut chance) as usize % (used + 20);
            octets[at] = u8::try_from(rand_core::Rng::next_u32(&mut chance) % 256).unwrap();
        }
        if round % 3 == 0 {
            octets.truncate(rand_core::Rng::next_u32(&mut chance) as usize % used);
        }
        let disk = made.with(&octets);
        judge(&disk, None);
        let (mut audit, _) = open(&disk);
        audit.append(1, &entry(5, false)).unwrap();
        audit.sync().unwrap();
    }
}
