//! Standing data over starts: what a start refuses, what it finds, and what a full or failing disk takes back.

use std::io::ErrorKind;
use std::path::Path;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use tidegate_codec::identity::SystemId;

use crate::disk::{Disk, DiskFile, FaultyDisk, Op};
use crate::keyring::{Kek, KeyRing, Owner};
use crate::standing::{Change, Counts, DAY_MS, JournalError, Origin, Private, Scope, Via, What};

use super::rig::{NOW, Rig, options};
use super::{CommitOutcome, OpenError, Refused, Spool};

/// A ring of another installation.
fn other_ring(disk: &FaultyDisk, with_secret: bool) -> KeyRing<FaultyDisk> {
    let mut rng = ChaCha20Rng::seed_from_u64(99);
    let kek = Kek::create(&FaultyDisk::new(), Path::new("kek"), &mut rng).unwrap();
    let mut ring = KeyRing::create(disk, Path::new("/other"), kek, NOW, &mut rng).unwrap();
    if with_secret {
        ring.make(Owner::Pseudonyms, NOW, &mut rng).unwrap();
    }
    ring
}

fn open(disk: &FaultyDisk, ring: KeyRing<FaultyDisk>) -> Result<(), OpenError> {
    let mut rng = ChaCha20Rng::seed_from_u64(98);
    Spool::open(disk.clone(), options(), ring, NOW, &mut rng).map(drop)
}

fn with_journal() -> Rig {
    let mut rig = Rig::new(1);
    for _ in 0..20 {
        rig.remember().unwrap();
        rig.turn();
    }
    rig.settle_down();
    assert!(!rig.journaled().is_empty());
    rig
}

/// PSN-4: under another secret nobody would be known.
#[test]
fn a_start_with_another_secret_or_none_is_refused() {
    let rig = with_journal();
    let refused = open(&rig.disk, other_ring(&rig.disk.crash(), true));
    assert!(
        matches!(refused, Err(OpenError::Journal(JournalError::OtherSecret { .. }))),
        "{refused:?}"
    );
    let refused = open(&rig.disk, other_ring(&rig.disk.crash(), false));
    assert!(
        matches!(refused, Err(OpenError::SecretGone { .. })),
        "{refused:?}"
    );
}

/// With damage a gateway may be told to go on.
#[test]
fn a_journal_of_a_later_version_is_not_damage() {
    let mut rig = with_journal();
    let is_of_it = |path: &std::path::PathBuf| path.starts_with(&rig.options.standing_dir);
    let path = rig.disk.paths().into_iter().find(is_of_it).unwrap();
    let file = rig.disk.open(&path, crate::disk::Access::ReadWrite).unwrap();
    for (digit, is_later) in [(b'3', true), (b'9', true), (b'x', false)] {
        file.write_at(&[std::io::IoSlice::new(&[digit])], 7).unwrap();
        file.sync_all().unwrap();
        let opened = rig.try_open();
        let is_unknown = matches!(opened, Err(OpenError::Journal(JournalError::Unknown { .. })));
        assert_eq!(is_unknown, is_later, "{}: {opened:?}", char::from(digit));
    }
}

#[test]
fn a_start_without_the_journal_that_there_was_is_refused() {
    let mut rig = with_journal();
    for path in rig.disk.paths() {
        if path.starts_with(&rig.options.standing_dir) {
            rig.disk.unlink(&path).unwrap();
        }
    }
    let refused = rig.try_open();
    assert!(
        matches!(refused, Err(OpenError::Journal(JournalError::Gone { .. }))),
        "{refused:?}"
    );
}

#[test]
fn damage_in_the_journal_stops_a_start_until_an_operator_accepts_it() {
    let rig = with_journal();
    let all = rig.journaled().len() as u64;
    let journal = rig
        .disk
        .paths()
        .into_iter()
        .find(|path| path.starts_with(&rig.options.standing_dir))
        .unwrap();
    // In the records of the first batch.
    assert!(rig.disk.damage(&journal, 64 + 48 + 30, &[0xff; 2]));
    let mut rig = rig;
    let refused = rig.try_open();
    assert!(
        matches!(refused, Err(OpenError::Journal(JournalError::Damaged { .. }))),
        "{refused:?}"
    );
    rig.options.accept_damage = true;
    let disk = rig.disk.clone();
    let rig = rig.start_unchecked(disk);
    assert!(rig.found.is_alarming() && rig.found.standing_damaged > 0);
    assert!(
        (1..all).contains(&rig.found.standing),
        "{} of {all} are left",
        rig.found.standing
    );
}

fn change(number: &[u8], rig: &Rig) -> Change {
    Change {
        who: rig.spool.standing().who(number),
        at_ms: rig.now_ms,
        event: 7,
        via: Via::Message,
        what: What::Suppress {
            scope: Scope::account("load"),
            origin: Origin::Recipient,
            categories: 0,
        },
        private: Private::number(number),
    }
}

/// OPT-C12 in the store: blocked while it is on its way, and not any more when it did not arrive.
#[test]
fn what_a_full_disk_gives_back_blocks_nobody_and_may_come_again() {
    let mut rig = Rig::new(2);
    let account = SystemId::new(b"load").unwrap();
    let stop = change(b"15550100123", &rig);
    let remember = |rig: &mut Rig| {
        let (now_ms, stop) = (rig.now_ms, stop.clone());
        rig.spool.remember(now_ms, account, stop, true, &mut rig.rng)
    };
    remember(&mut rig).unwrap();
    assert!(
        rig.spool.standing().opt_outs().knows(&stop.who),
        "from the staging on"
    );
    assert!(rig.spool.standing().is_known_event(7));
    rig.disk.fail_on(Op::Write, "spool", 0, 1, ErrorKind::StorageFull);
    assert_eq!(rig.commit(), Some(CommitOutcome::Full));
    assert!(!rig.spool.standing().opt_outs().knows(&stop.who));
    assert!(
        !rig.spool.standing().is_known_event(7),
        "its carrier sends it again"
    );
    remember(&mut rig).unwrap();
    assert_eq!(rig.commit(), Some(CommitOutcome::Synced));
    assert!(rig.spool.standing().opt_outs().knows(&stop.who));
    // A disk that fails says nothing about what it has: blocked until the restart, and nothing more comes in.
    let other = change(b"15550100124", &rig);
    rig.spool
        .remember(rig.now_ms, account, other.clone(), true, &mut rig.rng)
        .unwrap();
    rig.disk.fail_on(Op::Sync, "spool", 0, 1, ErrorKind::Other);
    assert_eq!(rig.commit(), Some(CommitOutcome::Broken));
    assert_eq!(remember(&mut rig), Err(Refused::Broken));
    assert!(rig.spool.standing().opt_outs().knows(&stop.who));
}

/// A journal that cannot be written keeps the segments, and gets everything once it can.
#[test]
fn while_the_journal_cannot_be_written_nothing_is_lost_and_segments_stay() {
    let mut rig = Rig::new(3);
    rig.disk
        .fail_on(Op::Create, "standing", 0, 1_000, ErrorKind::Other);
    for _ in 0..200 {
        rig.remember().unwrap();
        rig.accept().unwrap();
        rig.turn();
    }
    for leg in rig.legs() {
        rig.settle(leg, None).unwrap();
    }
    rig.turn();
    assert_eq!(rig.spool.standing().waiting(), 200);
    assert!(rig.files().len() > 5, "they hold what the journal does not");
    let mut rig = rig.kill();
    assert_eq!(rig.spool.standing().waiting(), 200);
    let (known, journaled) = (rig.spool.standing().known(), rig.spool.standing().journaled());
    assert_eq!((known, journaled), (200, 0), "what a start finds is due as well");
    rig.settle_down();
    rig.now_ms += 5_000;
    rig.settle_down();
    assert_eq!(rig.spool.standing().waiting(), 0);
    assert_eq!(rig.spool.standing().journaled(), 200);
    assert_eq!(rig.journaled(), rig.synced.changes);
    assert!(rig.files().len() <= 2);
}

/// A rig whose journal has a file of one batch for each of three starts.
fn with_three_files() -> Rig {
    let mut rig = Rig::new(4);
    for _ in 0..3 {
        rig.remember().unwrap();
        rig.settle_down();
        rig = rig.kill();
    }
    rig.settle_down();
    rig
}

fn journal_file(rig: &Rig, number: u64) -> std::path::PathBuf {
    rig.options.standing_dir.join(format!("{number:016x}.standing"))
}

#[test]
fn a_file_of_the_journal_that_is_missing_or_has_lost_its_only_batch_stops_a_start() {
    let mut rig = with_three_files();
    assert!(rig.try_open().is_ok());
    let whole = rig.disk.clone();
    for number in 1..=2 {
        let is_refused = |opened: Result<_, OpenError>| {
            matches!(opened, Err(OpenError::Journal(JournalError::Damaged { .. })))
        };
        rig.disk = whole.crash();
        rig.disk.unlink(&journal_file(&rig, number)).unwrap();
        assert!(is_refused(rig.try_open()), "{number} is gone");
        rig.disk = whole.crash();
        assert!(
            rig.disk
                .damage(&journal_file(&rig, number), 64 + 48 + 4, &[0xff; 2])
        );
        assert!(is_refused(rig.try_open()), "{number} is damaged");
    }
}

/// The clock is behind, and nothing is left of the spool: what comes is above what the journal holds all the same.
#[test]
fn ids_are_above_the_journal_s_whatever_is_left_of_the_spool() {
    let mut rig = with_journal();
    for path in rig.files() {
        rig.disk.unlink(&path).unwrap();
    }
    rig.now_ms -= 3_600_000;
    let before = rig.journaled().len();
    let disk = rig.disk.clone();
    let mut rig = rig.reopen(disk);
    rig.remember().unwrap();
    rig.settle_down();
    assert_eq!(rig.journaled().len(), before + 1);
}

fn sent(rig: &Rig, message: u64) -> Change {
    let who = rig.spool.standing().sent().who(b"15550100123", rig.now_ms).now;
    Change {
        who,
        event: 0,
        via: Via::HandOver,
        what: What::Sent {
            subject: 1,
            message,
            counts: Counts::Day,
        },
        private: Private::default(),
        ..change(b"15550100123", rig)
    }
}

fn count(rig: &mut Rig, message: u64) {
    let (now_ms, change) = (rig.now_ms, sent(rig, message));
    let account = SystemId::new(b"load").unwrap();
    rig.spool
        .count_sent(now_ms, account, change, &mut rig.rng)
        .unwrap();
}

/// Counts are worth less than opt-outs: a file for them that cannot be made holds no opt-out up.
#[test]
fn counts_that_cannot_be_written_hold_no_opt_out_up() {
    let mut rig = Rig::new(5);
    rig.disk.fail_on(Op::Create, ".sent", 0, 1_000, ErrorKind::Other);
    count(&mut rig, 1);
    rig.remember().unwrap();
    count(&mut rig, 2);
    rig.commit();
    let known = rig.spool.standing().known();
    assert!(rig.spool.standing().journaled() < known);
    rig.remember().unwrap();
    rig.commit();
    rig.chores();
    assert!(
        rig.spool.standing().journaled() >= known,
        "whoever waits for the journal need not wait for counts"
    );
    assert_eq!(
        rig.journaled(),
        rig.synced.changes,
        "the opt-out is in its journal"
    );
    assert_eq!(rig.spool.standing().waiting(), 2, "the counts are due");
    let mut rig = rig.kill();
    assert_eq!(rig.spool.standing().waiting(), 2);
    rig.settle_down();
    assert_eq!(rig.spool.standing().waiting(), 0);
    let rig = rig.kill();
    let who = rig.spool.standing().sent().who(b"15550100123", rig.now_ms);
    assert_eq!(
        rig.spool.standing().sent().nth_latest(&who, 1, 3),
        None,
        "each once"
    );
    assert!(rig.spool.standing().sent().nth_latest(&who, 1, 2).is_some());
}

/// CAP-2: in memory for its window, and on disk for a few days more, though nobody is counted any more.
#[test]
fn what_counts_no_more_is_forgotten_without_a_new_count() {
    let mut rig = Rig::new(6);
    let at_ms = rig.now_ms;
    count(&mut rig, 1);
    rig.settle_down();
    let files = |rig: &Rig| {
        let paths = rig.disk.paths();
        paths
            .iter()
            .filter(|path| path.extension().is_some_and(|end| end == "sent"))
            .count()
    };
    assert_eq!(files(&rig), 1);
    let who = rig.spool.standing().sent().who(b"15550100123", rig.now_ms);
    let is_there = |rig: &Rig| rig.spool.standing().sent().nth_latest(&who, 1, 1).is_some();
    rig.spool.forget_replies(at_ms + DAY_MS - 1);
    assert!(is_there(&rig));
    rig.spool.forget_replies(at_ms + DAY_MS);
    assert!(!is_there(&rig));
    rig.now_ms += 10 * DAY_MS;
    rig.remember().unwrap();
    rig.settle_down();
    assert_eq!(files(&rig), 0);
}
