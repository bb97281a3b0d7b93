//! Generations of the suppression key (PSN-4): whatever is rotated, renamed and retired, nobody is forgotten.

use std::collections::BTreeMap;
use std::path::Path;

use tidegate_codec::identity::SystemId;

use crate::disk::{Disk, DiskFile, FaultyDisk};
use crate::keyring::{KeyRing, KeyRingError};
use crate::pseudonym::{FIRST, Secret};
use crate::seal::Purpose;
use crate::standing::{
    Change, Counts, DAY_MS, Grant, Held, JournalError, Origin, Origins, Private, Scope, Via, What,
};

use super::OpenError;
use super::rig::{Rig, kek};
use super::tests_register::{assert_like_the_journal, keys, level};

const ANNA: &[u8] = b"15550100123";
const BERT: &[u8] = b"15550100124";
/// A sender that nobody lists.
const SENDER: &[u8] = b"15550109999";

fn load() -> SystemId {
    SystemId::new(b"load").unwrap()
}

fn say(rig: &mut Rig, number: &[u8], what: What) {
    let change = Change {
        who: rig.spool.standing().who(number),
        at_ms: rig.now_ms,
        event: 0,
        via: Via::Command,
        what,
        private: Private::number(number),
    };
    let now_ms = rig.now_ms;
    rig.spool
        .remember(now_ms, load(), change, true, &mut rig.rng)
        .unwrap();
}

fn stop(rig: &mut Rig, number: &[u8], scope: Scope) {
    let (origin, categories) = (Origin::Recipient, 0);
    say(
        rig,
        number,
        What::Suppress {
            scope,
            origin,
            categories,
        },
    );
}

fn start(rig: &mut Rig, number: &[u8], scope: Scope) {
    let origins = Origins::ALL;
    say(rig, number, What::Lift { scope, origins });
}

fn consent(rig: &mut Rig, number: &[u8], grant: Grant) {
    let (scope, categories) = (Scope::account("load"), 0);
    say(
        rig,
        number,
        What::Consent {
            grant,
            scope,
            categories,
        },
    );
}

fn rotate(rig: &mut Rig) {
    let secret = rig.keeper.make_generation(rig.now_ms, &mut rig.rng).unwrap();
    rig.spool.adopt_generation(&secret);
}

fn is_stopped(rig: &Rig, number: &[u8], scope: &Scope) -> bool {
    let standing = rig.spool.standing();
    let stands = standing.opt_outs().of(&standing.who(number));
    let scope = standing.scopes().find(scope);
    stands.iter().any(|stand| Some(stand.scope) == scope)
}

fn consents(rig: &Rig, number: &[u8]) -> bool {
    let standing = rig.spool.standing();
    standing.consents().knows(&standing.who(number))
}

fn rename_all(rig: &mut Rig) -> usize {
    let mut all = 0;
    loop {
        match rig.spool.rename_seen(rig.now_ms, &mut rig.rng).unwrap() {
            0 => return all,
            renamed => all += renamed,
        }
        rig.settle_down();
    }
}

fn restart(rig: Rig) -> Rig {
    let disk = rig.disk.clone();
    rig.reopen(disk)
}

fn held(rig: &Rig, generation: u8) -> usize {
    rig.spool.standing().held_by(generation, rig.now_ms).total()
}

fn retire(rig: &mut Rig, generation: u8) -> Result<(), String> {
    let now_ms = rig.now_ms;
    rig.spool.retire_generation(now_ms, generation, &mut rig.rng)?;
    rig.settle_down();
    let gone = rig.keeper.destroy_generation(generation, now_ms, &mut rig.rng);
    assert_eq!(gone.unwrap().len(), 1);
    Ok(())
}

/// KEY-C07 in the store: found under the old one, rewritten once, and only then may the old one go.
#[test]
fn who_is_found_under_an_old_generation_goes_by_the_new_one_and_the_old_one_may_go() {
    let mut rig = Rig::new(1);
    let whole = Scope::account("load");
    stop(&mut rig, ANNA, whole.clone());
    consent(&mut rig, BERT, Grant::Given);
    rig.settle_down();
    let old = rig.spool.standing().who(ANNA);
    rotate(&mut rig);
    assert_eq!(rig.spool.standing().who(b"15550100199").generation(), 2);
    assert!(is_stopped(&rig, ANNA, &whole) && consents(&rig, BERT));
    let expected = Held {
        opt_outs: 1,
        consents: 1,
        ..Held::default()
    };
    assert_eq!(rig.spool.standing().held_by(FIRST, rig.now_ms), expected);
    let refused = retire(&mut rig, FIRST).unwrap_err();
    assert!(
        refused.contains("1 people who have opted out, 1 with a consent"),
        "{refused}"
    );
    assert_eq!(rename_all(&mut rig), 2);
    assert!(is_stopped(&rig, ANNA, &whole) && consents(&rig, BERT));
    assert_ne!(rig.spool.standing().who(ANNA), old);
    assert_eq!((held(&rig, FIRST), held(&rig, 2)), (0, 2));
    assert_eq!(rename_all(&mut rig), 0, "once");
    let mut rig = restart(rig);
    assert_eq!((held(&rig, FIRST), held(&rig, 2)), (0, 2));
    assert!(retire(&mut rig, 2).unwrap_err().contains("newest"));
    retire(&mut rig, FIRST).unwrap();
    assert!(
        rig.keeper
            .ring()
            .secrets()
            .iter()
            .all(|secret| secret.generation() == 2)
    );
    let mut rig = restart(rig);
    assert!(is_stopped(&rig, ANNA, &whole) && consents(&rig, BERT));
    // What was said under it before is known to have been said: a START takes it back, for good.
    start(&mut rig, ANNA, whole.clone());
    consent(&mut rig, BERT, Grant::Withdrawn);
    rig.settle_down();
    let rig = restart(rig);
    assert!(!is_stopped(&rig, ANNA, &whole) && !consents(&rig, BERT));
}

/// A START, a withdrawal and what else is written in between find the entry, whether or not it was rewritten.
#[test]
fn what_stands_under_an_old_generation_is_lifted_and_withdrawn_without_being_rewritten() {
    let mut rig = Rig::new(2);
    let whole = Scope::account("load");
    stop(&mut rig, ANNA, whole.clone());
    // On its way to the disk while the generation changes.
    consent(&mut rig, BERT, Grant::Given);
    rotate(&mut rig);
    consent(&mut rig, BERT, Grant::Withdrawn);
    rig.settle_down();
    assert!(!consents(&rig, BERT));
    let until = rig
        .spool
        .standing()
        .withdrawn_at(&rig.spool.standing().who(BERT), &whole, 0);
    assert!(until.is_some());
    start(&mut rig, ANNA, whole.clone());
    rig.settle_down();
    assert!(!is_stopped(&rig, ANNA, &whole));
    let mut rig = restart(rig);
    assert!(!is_stopped(&rig, ANNA, &whole) && !consents(&rig, BERT));
    // An override is remembered by the old name, and found.
    let by = rig.spool.standing().who(ANNA);
    assert!(rig.spool.standing().overridden_until(&by).is_some());
    rename_all(&mut rig);
    let by = rig.spool.standing().who(ANNA);
    assert_eq!(by.generation(), 2);
    assert!(rig.spool.standing().overridden_until(&by).is_some());
    let who = rig.spool.standing().who(BERT);
    assert_eq!(rig.spool.standing().withdrawn_at(&who, &whole, 0), until);
}

/// Senders that the configuration does not list go by pseudonyms, too.
#[test]
fn a_sender_by_a_pseudonym_is_found_renamed_and_listed() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::new(3);
    let first = rig.spool.standing().unlisted_sender(SENDER);
    stop(&mut rig, ANNA, first.clone());
    rig.settle_down();
    rotate(&mut rig);
    assert_eq!(rig.spool.standing().unlisted_sender(SENDER), first);
    rename_all(&mut rig);
    let second = rig.spool.standing().unlisted_sender(SENDER);
    assert_ne!(second, first);
    assert!(is_stopped(&rig, ANNA, &second));
    stop(&mut rig, BERT, second.clone());
    rig.settle_down();
    assert_eq!(held(&rig, FIRST), 1, "Anna, who was not looked for");
    rig.spool.standing().who(ANNA);
    rename_all(&mut rig);
    retire(&mut rig, FIRST).unwrap();
    let mut rig = restart(rig);
    assert_eq!(rig.spool.standing().unlisted_sender(SENDER), second);
    assert!(is_stopped(&rig, ANNA, &second) && is_stopped(&rig, BERT, &second));
    let mut register = rig.keeper.register(dir.path().join("register"));
    level(&mut register);
    assert_eq!(assert_like_the_journal(&mut register, &rig), 2);
    start(&mut rig, ANNA, second.clone());
    rig.settle_down();
    level(&mut register);
    assert_eq!(assert_like_the_journal(&mut register, &rig), 1);
}

/// A ring of an earlier day, or one without a generation that somebody stands under.
#[test]
fn a_start_without_a_generation_that_lives_is_refused() {
    let mut rig = Rig::new(4);
    stop(&mut rig, ANNA, Scope::account("load"));
    rig.settle_down();
    let before: Vec<_> = ring_files(&rig.disk);
    rotate(&mut rig);
    // In the spool only, and then in the journal.
    stop(&mut rig, BERT, Scope::account("load"));
    rig.commit();
    for is_journaled in [false, true] {
        if is_journaled {
            rig.settle_down();
        }
        let disk = rig.disk.crash();
        put_back(&disk, &before);
        let whole = std::mem::replace(&mut rig.disk, disk);
        let refused = rig.try_open();
        let expected = matches!(
            refused,
            Err(OpenError::Journal(
                JournalError::GenerationGone { generation: 2, .. } | JournalError::OtherSecret { .. }
            ))
        );
        assert!(expected, "{is_journaled}: {refused:?}");
        rig.disk = whole;
    }
    assert!(rig.try_open().is_ok());
}

fn ring_files(disk: &FaultyDisk) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let paths = disk.paths().into_iter().filter(|path| path.starts_with("/keys"));
    paths
        .map(|path| {
            let file = disk.open(&path, crate::disk::Access::Read).unwrap();
            let octets = crate::segment::read_all(&file).unwrap();
            (path, octets)
        })
        .collect()
}

fn put_back(disk: &FaultyDisk, files: &[(std::path::PathBuf, Vec<u8>)]) {
    for (path, octets) in files {
        let file = disk.open(path, crate::disk::Access::ReadWrite).unwrap();
        file.write_at(&[std::io::IoSlice::new(octets)], 0).unwrap();
        file.truncate(octets.len() as u64).unwrap();
        file.sync_all().unwrap();
    }
}

/// A kill, and a power cut, between any two steps of rotation, rewriting and retirement.
#[test]
fn a_kill_at_any_step_of_a_rotation_leaves_everybody_refused() {
    let whole = Scope::account("load");
    for at in 0..8 {
        for is_cut in [false, true] {
            let mut rig = Rig::new(5 + at);
            stop(&mut rig, ANNA, whole.clone());
            stop(&mut rig, BERT, whole.clone());
            rig.settle_down();
            let mut step = 0;
            let mut goes_on = || {
                step += 1;
                step <= at
            };
            let done = 'steps: {
                if !goes_on() {
                    break 'steps 0;
                }
                let secret = rig.keeper.make_generation(rig.now_ms, &mut rig.rng).unwrap();
                if !goes_on() {
                    break 'steps 1;
                }
                rig.spool.adopt_generation(&secret);
                assert!(is_stopped(&rig, ANNA, &whole));
                rig.spool.rename_seen(rig.now_ms, &mut rig.rng).unwrap();
                if !goes_on() {
                    break 'steps 2;
                }
                rig.commit();
                if !goes_on() {
                    break 'steps 3;
                }
                assert!(is_stopped(&rig, BERT, &whole));
                rename_all(&mut rig);
                if !goes_on() {
                    break 'steps 4;
                }
                rig.spool
                    .retire_generation(rig.now_ms, FIRST, &mut rig.rng)
                    .unwrap();
                if !goes_on() {
                    break 'steps 5;
                }
                rig.settle_down();
                if !goes_on() {
                    break 'steps 6;
                }
                rig.keeper
                    .destroy_generation(FIRST, rig.now_ms, &mut rig.rng)
                    .unwrap();
                7
            };
            assert_eq!(done, at);
            let disk = if is_cut {
                rig.disk.crash()
            } else {
                rig.disk.clone()
            };
            let mut rig = rig.reopen(disk);
            assert!(is_stopped(&rig, ANNA, &whole), "{at} {is_cut}");
            assert!(is_stopped(&rig, BERT, &whole), "{at} {is_cut}");
            let generations: Vec<u8> = rig
                .spool
                .standing()
                .generations()
                .iter()
                .map(|(g, _)| *g)
                .collect();
            let ring: Vec<u8> = rig
                .keeper
                .ring()
                .secrets()
                .iter()
                .map(Secret::generation)
                .collect();
            match at {
                0 => assert_eq!(ring, [1]),
                6.. => assert_eq!((&ring, &generations), (&vec![2], &vec![2]), "{at}"),
                _ => assert_eq!(ring, [1, 2], "{at}"),
            }
            start(&mut rig, BERT, whole.clone());
            rig.settle_down();
            let rig = restart(rig);
            assert!(is_stopped(&rig, ANNA, &whole) && !is_stopped(&rig, BERT, &whole));
        }
    }
}

/// Random stops, starts, consents, rotations, rewritings and retirements over kills, against what was said by number.
#[test]
fn whatever_is_rotated_the_answer_is_what_was_said_last() {
    let scopes = |rig: &Rig| {
        [
            Scope::account("load"),
            Scope::sender(b"55555"),
            rig.spool.standing().unlisted_sender(SENDER),
        ]
    };
    let mut retired = 0;
    for seed in 100..130 {
        let dir = tempfile::tempdir().unwrap();
        let mut rig = Rig::new(seed);
        let mut stopped = BTreeMap::<(u32, usize), bool>::new();
        let mut consented = BTreeMap::<u32, bool>::new();
        for _ in 0..60 {
            let n = rig.below(5);
            let (number, scope) = (format!("1555010{n}").into_bytes(), rig.below(3) as usize);
            let place = scopes(&rig)[scope].clone();
            match rig.below(12) {
                0..=2 => {
                    stop(&mut rig, &number, place);
                    stopped.insert((n, scope), true);
                }
                3..=4 => {
                    start(&mut rig, &number, place);
                    stopped.insert((n, scope), false);
                }
                5 => {
                    consent(&mut rig, &number, Grant::Given);
                    consented.insert(n, true);
                }
                6 => {
                    consent(&mut rig, &number, Grant::Withdrawn);
                    consented.insert(n, false);
                }
                7 => match rig.keeper.make_generation(rig.now_ms, &mut rig.rng) {
                    Ok(secret) => rig.spool.adopt_generation(&secret),
                    Err(error) => assert!(matches!(error, KeyRingError::Generations { .. })),
                },
                8 => {
                    let oldest = rig.spool.standing().generations()[0].0;
                    retired += usize::from(retire(&mut rig, oldest).is_ok());
                }
                9 => {
                    rig.spool.rename_seen(rig.now_ms, &mut rig.rng).unwrap();
                }
                10 => rig.settle_down(),
                _ => {
                    rig.commit();
                    let disk = if rig.one_in(2) {
                        rig.disk.crash()
                    } else {
                        rig.disk.clone()
                    };
                    rig = rig.reopen(disk);
                }
            }
            if rig.one_in(2) {
                continue;
            }
            rig.commit();
            for ((n, scope), is_said) in &stopped {
                let number = format!("1555010{n}").into_bytes();
                let place = scopes(&rig)[*scope].clone();
                assert_eq!(is_stopped(&rig, &number, &place), *is_said, "{seed} {n} {scope}");
            }
            for (n, is_said) in &consented {
                let number = format!("1555010{n}").into_bytes();
                assert_eq!(consents(&rig, &number), *is_said, "{seed} {n}");
            }
        }
        rig.settle_down();
        let mut register = rig.keeper.register(dir.path().join("register"));
        level(&mut register);
        let listed = assert_like_the_journal(&mut register, &rig);
        assert_eq!(
            listed,
            stopped.values().filter(|is_said| **is_said).count(),
            "{seed}"
        );
        // By any of a person's names, the consents that were recorded.
        for n in consented.keys() {
            let names = rig.spool.standing().all_names(format!("1555010{n}").as_bytes());
            let found = names.iter().map(|who| {
                let found = register.consents(load(), who, &keys(&rig), Purpose::Support);
                found.unwrap().len()
            });
            assert!(found.sum::<usize>() > 0, "{seed} {n}");
        }
    }
    assert!(retired > 5, "{retired}");
}

/// CAP-2: a rotation within a window loses no count, and the old secret stays as long as one may be under it.
#[test]
fn counts_towards_caps_outlive_a_rotation() {
    let mut rig = Rig::new(6);
    let count = |rig: &mut Rig, message| {
        let change = Change {
            who: rig.spool.standing().sent().who(ANNA, rig.now_ms).now,
            at_ms: rig.now_ms,
            event: 0,
            via: Via::HandOver,
            what: What::Sent {
                subject: 1,
                message,
                counts: Counts::Week,
            },
            private: Private::default(),
        };
        let now_ms = rig.now_ms;
        rig.spool
            .count_sent(now_ms, load(), change, &mut rig.rng)
            .unwrap();
        rig.settle_down();
    };
    let counted = |rig: &Rig| {
        let sent = rig.spool.standing().sent();
        let who = sent.who(ANNA, rig.now_ms);
        (1..10)
            .take_while(|n| sent.nth_latest(&who, 1, *n).is_some())
            .count()
    };
    count(&mut rig, 1);
    rotate(&mut rig);
    count(&mut rig, 2);
    assert_eq!(counted(&rig), 2);
    let refused = retire(&mut rig, FIRST).unwrap_err();
    assert!(refused.contains("2 messages that count"), "{refused}");
    let mut rig = restart(rig);
    assert_eq!(counted(&rig), 2);
    rig.now_ms += 8 * DAY_MS;
    rig.spool.forget_replies(rig.now_ms);
    assert_eq!(counted(&rig), 0);
    retire(&mut rig, FIRST).unwrap();
    count(&mut rig, 3);
    let rig = restart(rig);
    assert_eq!(counted(&rig), 1);
}

/// Files of the version before say no generation: theirs is the first.
#[test]
fn a_journal_of_the_version_before_opens_and_goes_on() {
    let mut rig = Rig::new(7);
    let whole = Scope::account("load");
    stop(&mut rig, ANNA, whole.clone());
    rig.settle_down();
    let path = rig
        .disk
        .paths()
        .into_iter()
        .find(|path| path.starts_with(&rig.options.standing_dir))
        .unwrap();
    let file = rig.disk.open(&path, crate::disk::Access::ReadWrite).unwrap();
    let mut header = [0; 64];
    file.read_at(&mut header, 0).unwrap();
    assert_eq!((&header[..8], header[9]), (&b"TGSTAND2"[..], 1));
    header[7] = b'1';
    header[9] = 0;
    let crc = crc32fast::hash(&header[..60]);
    header[60..].copy_from_slice(&crc.to_be_bytes());
    file.write_at(&[std::io::IoSlice::new(&header)], 0).unwrap();
    file.sync_all().unwrap();
    let mut rig = restart(rig);
    assert!(is_stopped(&rig, ANNA, &whole) && !rig.found.is_alarming());
    rotate(&mut rig);
    rig.spool.standing().who(ANNA);
    rename_all(&mut rig);
    retire(&mut rig, FIRST).unwrap();
    let rig = restart(rig);
    assert!(is_stopped(&rig, ANNA, &whole));
}

#[test]
fn no_more_generations_live_than_can_be_told_apart() {
    let mut rig = Rig::new(8);
    stop(&mut rig, ANNA, Scope::account("load"));
    for _ in 0..3 {
        rotate(&mut rig);
    }
    let refused = rig.keeper.make_generation(rig.now_ms, &mut rig.rng);
    assert!(matches!(refused, Err(KeyRingError::Generations { oldest: 1 })));
    assert!(is_stopped(&rig, ANNA, &Scope::account("load")));
    let refused = rig.spool.retire_generation(rig.now_ms, 2, &mut rig.rng);
    assert!(refused.unwrap_err().contains("generation 1 is older"));
    let ring = KeyRing::open(&rig.disk, Path::new("/keys"), kek()).unwrap();
    let generations: Vec<u8> = ring.secrets().iter().map(Secret::generation).collect();
    assert_eq!(generations, [1, 2, 3, 4]);
}

/// What is only staged may be given back: a secret that goes before the journal says so leaves a start that is refused for good.
#[test]
fn a_generation_goes_only_once_the_journal_says_on_disk_that_it_is_retired() {
    let mut rig = Rig::new(1);
    rotate(&mut rig);
    let now_ms = rig.now_ms;
    assert_eq!(rig.spool.retire_generation(now_ms, FIRST, &mut rig.rng), Ok(true));
    // Asked for again it is retired in memory; that is not enough.
    assert_eq!(
        rig.spool.retire_generation(now_ms, FIRST, &mut rig.rng),
        Ok(false)
    );
    let gone = rig.keeper.destroy_generation(FIRST, now_ms, &mut rig.rng);
    assert!(matches!(gone, Err(KeyRingError::NotRetired)), "{gone:?}");
    rig.settle_down();
    let gone = rig.keeper.destroy_generation(FIRST, now_ms, &mut rig.rng);
    assert_eq!(gone.unwrap().len(), 1);
    restart(rig);
}
