//! The register of opt-outs and consents against the journal that it is made from.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use tidegate_codec::identity::SystemId;

use crate::disk::FaultyDisk;
use crate::keyring::KeyRing;
use crate::pseudonym::Pseudonym;
use crate::seal::{KeyId, Purpose, SealKey};
use crate::standing::{
    Change, Fact, Grant, Kept, Origin, Origins, Private, Register, Scope, Via, What, look,
};

use super::rig::{Rig, kek};

/// Entries in the order of who and where.
pub(super) type OptOuts = BTreeMap<(Pseudonym, Scope), Kept>;

/// The entries that an account made, or that its recipients made with it (OPT-29), as they stand, and how many stretches of
/// damage there were. Entries of others are not among them; about 200 octets of memory for each.
fn opt_outs(
    disk: &FaultyDisk,
    dir: &Path,
    keys: &BTreeMap<KeyId, Arc<SealKey>>,
    purpose: Purpose,
    account: SystemId,
) -> io::Result<(OptOuts, u64)> {
    let mut kept = OptOuts::new();
    let damaged = look(disk, dir, keys, purpose, |_, owner, change| match change.what {
        What::Suppress {
            scope,
            origin,
            categories,
        } if owner == account => {
            let entry = kept.entry((change.who, scope)).or_insert_with(|| Kept {
                origins: Origins::default(),
                categories,
                at_ms: change.at_ms,
                via: change.via,
                private: Private::default(),
            });
            entry.origins = entry.origins.with(Origins::of(origin));
            entry.categories = match (entry.categories, categories) {
                (0, _) | (_, 0) => 0,
                (one, other) => one | other,
            };
            if entry.private.number.is_empty() {
                entry.private = change.private;
            }
        }
        // Whoever of those that have the number got the message that lifts it.
        What::Lift { scope, origins } => {
            let key = (change.who, scope);
            if let Some(entry) = kept.get_mut(&key) {
                entry.origins = entry.origins.without(origins);
                if entry.origins.is_empty() {
                    kept.remove(&key);
                }
            }
        }
        What::Renamed { to } => {
            let names = (Scope::unlisted_sender(&change.who), Scope::unlisted_sender(&to));
            for ((who, scope), entry) in std::mem::take(&mut kept) {
                let who = if who == change.who { to } else { who };
                let scope = if scope == names.0 { names.1.clone() } else { scope };
                kept.insert((who, scope), entry);
            }
        }
        _ => {}
    })?;
    Ok((kept, damaged))
}

/// All that an account recorded of a person's consent, oldest first: that the person was asked, too, and what was withdrawn
/// stands there still (CON-2).
fn consents(
    disk: &FaultyDisk,
    dir: &Path,
    keys: &BTreeMap<KeyId, Arc<SealKey>>,
    purpose: Purpose,
    account: SystemId,
    who: Pseudonym,
) -> io::Result<Vec<Change>> {
    let mut found = Vec::new();
    look(disk, dir, keys, purpose, |_, owner, change| {
        if owner == account
            && change.who == who
            && matches!(change.what, What::Consent { .. } | What::Asked { .. })
        {
            found.push(change);
        }
    })?;
    Ok(found)
}

pub(super) type Keys = BTreeMap<KeyId, Arc<SealKey>>;

pub(super) fn keys(rig: &Rig) -> Keys {
    KeyRing::look(&rig.disk, Path::new("/keys"), &kek().into()).unwrap()
}

fn account(name: &str) -> SystemId {
    SystemId::new(name.as_bytes()).unwrap()
}

pub(super) fn level(register: &mut Register<FaultyDisk>) -> u64 {
    let (mut changes, mut tries) = (0, 0);
    loop {
        let followed = match register.follow() {
            // The index of one that was dropped a moment ago is let go of by another thread.
            Err(crate::standing::RegisterError::Tree(error)) if error.is_of_disk() && tries < 10_000 => {
                tries += 1;
                std::thread::yield_now();
                continue;
            }
            followed => followed.unwrap(),
        };
        changes += followed.changes;
        if followed.is_level {
            return changes;
        }
    }
}

/// All of an account's entries, a page of so many at a time.
fn listed(register: &mut Register<FaultyDisk>, name: &str, keys: &Keys, limit: usize) -> Vec<(Scope, Kept)> {
    let (mut all, mut after, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = register
            .page(account(name), after.as_ref(), limit, keys, Purpose::Support)
            .unwrap();
        assert_eq!(page.hashed, 0);
        all.extend(page.entries.into_iter().map(|(_, scope, kept)| (scope, kept)));
        after = page.next;
        pages += 1;
        if after.is_none() {
            assert_eq!(page.total, all.len() as u64, "{name}");
            return all;
        }
        assert!(pages < 100);
    }
}

pub(super) fn assert_like_the_journal(register: &mut Register<FaultyDisk>, rig: &Rig) -> usize {
    assert_pages_like_the_journal(register, rig, &[1, 3, 1_000])
}

/// In pages of so many.
fn assert_pages_like_the_journal(register: &mut Register<FaultyDisk>, rig: &Rig, limits: &[usize]) -> usize {
    let (keys, mut all) = (keys(rig), 0);
    for name in ["load", "bank", "shop"] {
        let dir = &rig.options.standing_dir;
        let (expected, damaged) = opt_outs(&rig.disk, dir, &keys, Purpose::Support, account(name)).unwrap();
        let expected: Vec<_> = expected
            .into_iter()
            .map(|((_, scope), kept)| (scope, kept))
            .collect();
        assert_eq!(damaged, 0);
        for limit in limits {
            assert_eq!(listed(register, name, &keys, *limit), expected, "{name}");
        }
        all += expected.len();
    }
    all
}

#[test]
fn the_register_says_what_the_journal_says_over_kills_too() {
    for seed in 1..=6 {
        let dir = tempfile::tempdir().unwrap();
        let index = dir.path().join("register");
        let mut rig = Rig::new(seed);
        let mut register = rig.keeper.register(index.clone());
        for round in 0..60 {
            for _ in 0..=rig.below(3) {
                rig.remember().unwrap();
            }
            rig.turn();
            if rig.one_in(3) {
                register.follow().unwrap();
            }
            if round % 20 == 19 {
                drop(register);
                rig = if rig.one_in(2) { rig.kill() } else { rig.crash() };
                register = rig.keeper.register(index.clone());
            }
        }
        rig.settle_down();
        level(&mut register);
        assert!(assert_like_the_journal(&mut register, &rig) > 10);
        assert_eq!(level(&mut register), 0, "nothing is taken in twice");
        drop(register);
        let mut register = rig.keeper.register(index);
        assert_eq!(level(&mut register), 0, "nor at a start");
        assert_like_the_journal(&mut register, &rig);
    }
}

#[test]
fn a_register_that_is_damaged_gone_or_of_another_journal_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let index = dir.path().join("register");
    let filled = |seed| {
        let mut rig = Rig::new(seed);
        for _ in 0..30 {
            rig.remember().unwrap();
            rig.turn();
        }
        rig.settle_down();
        rig
    };
    let rig = filled(7);
    let all = rig.journaled().len() as u64;
    let mut register = rig.keeper.register(index.clone());
    assert_eq!(level(&mut register), all);
    drop(register);
    for spoil in 0..4 {
        match spoil {
            0 => fs::remove_dir_all(&index).unwrap(),
            1 => fs::write(index.join("conf"), b"no configuration of sled").unwrap(),
            2 => fs::write(index.join("db"), [0x5a; 100_000]).unwrap(),
            _ => fs::write(index.join("db"), []).unwrap(),
        }
        let mut register = rig.keeper.register(index.clone());
        assert_eq!(level(&mut register), all, "{spoil}");
        assert_like_the_journal(&mut register, &rig);
    }
    // The data directory was restored from a backup, and the register was left.
    let other = filled(8);
    let mut register = other.keeper.register(index);
    assert_eq!(level(&mut register), other.journaled().len() as u64);
    assert_like_the_journal(&mut register, &other);
}

#[test]
fn consents_are_there_with_all_that_was_told_and_numbers_without_a_key_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = Rig::new(9);
    let who = rig.spool.standing().who(b"15550100123");
    let mut private = Private::number(b"15550100123");
    private.facts.push((Fact::Method, b"web".to_vec()));
    for (at_ms, grant) in [(1, Grant::Given), (2, Grant::Withdrawn), (3, Grant::Given)] {
        let what = What::Consent {
            grant,
            scope: Scope::account("load"),
            categories: 1,
        };
        let change = Change {
            who,
            at_ms,
            event: 0,
            via: Via::Command,
            what,
            private: private.clone(),
        };
        let (now_ms, load) = (rig.now_ms, account("load"));
        rig.spool
            .remember(now_ms, load, change, true, &mut rig.rng)
            .unwrap();
        rig.commit();
    }
    for _ in 0..40 {
        rig.remember().unwrap();
        rig.turn();
    }
    rig.settle_down();
    let mut register = rig.keeper.register(dir.path().join("register"));
    level(&mut register);
    let keys = keys(&rig);
    let found = register
        .consents(account("load"), &who, &keys, Purpose::Support)
        .unwrap();
    let dir = &rig.options.standing_dir;
    let expected = consents(&rig.disk, dir, &keys, Purpose::Support, account("load"), who).unwrap();
    assert_eq!((found.len(), &found), (3, &expected));
    assert_eq!(found[0].private, private);
    let others = register.consents(account("bank"), &who, &keys, Purpose::Support);
    assert_eq!(others.unwrap(), []);
    // Its keys are gone: nobody can be read, and all are counted.
    let all = register
        .page(account("load"), None, 1_000, &keys, Purpose::Support)
        .unwrap();
    let none = register
        .page(account("load"), None, 1_000, &Keys::new(), Purpose::Support)
        .unwrap();
    assert_eq!((none.total, none.hashed), (all.total, all.total));
    assert!(none.entries.is_empty() && all.total > 0);
}

/// So many changes that only add: opt-outs of two accounts, some of the same person again from elsewhere and for other
/// categories, some from a sender that nobody lists, some without a number; and consents.
fn import(rig: &mut Rig, count: u64) {
    let unlisted = Scope::unlisted_sender(&rig.spool.standing().who(b"5555"));
    for n in 0..count {
        // Of the third of five the person is that of the second.
        let number = format!("1555{:07}", if n % 5 == 2 { n - 1 } else { n });
        let who = rig.spool.standing().who(number.as_bytes());
        let name = if n % 5 == 0 { "bank" } else { "load" };
        let scope = if n % 5 == 4 {
            unlisted.clone()
        } else {
            Scope::account(name)
        };
        let categories = [0, 1, 2][(n / 5 % 3) as usize];
        let what = if n % 5 == 3 {
            What::Consent {
                grant: Grant::Given,
                scope,
                categories: 1,
            }
        } else {
            let origin = Origin::ALL[(n % 4) as usize];
            What::Suppress {
                scope,
                origin,
                categories,
            }
        };
        let private = if n % 10 == 1 {
            Private::default()
        } else {
            Private {
                source: n.to_string().into_bytes(),
                ..Private::number(number.as_bytes())
            }
        };
        let change = Change {
            who,
            at_ms: n + 1,
            event: 0,
            via: Via::File,
            what,
            private,
        };
        let now_ms = rig.now_ms;
        rig.spool
            .remember(now_ms, account(name), change, true, &mut rig.rng)
            .unwrap();
        // The journal takes them out of the batches.
        if n % 50 == 49 {
            rig.settle_down();
        }
    }
    rig.settle_down();
}

/// An index as it lies there, under another name.
fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// A rig whose journal has some changes of all kinds; the same each time.
fn before_an_import() -> Rig {
    let mut rig = Rig::new(11);
    for _ in 0..40 {
        rig.remember().unwrap();
        rig.turn();
    }
    rig.settle_down();
    rig
}

#[test]
fn an_import_is_taken_in_again_wherever_it_was_cut_between_two_batches_of_the_index() {
    let dir = tempfile::tempdir().unwrap();
    let (index, saved) = (dir.path().join("register"), dir.path().join("saved"));
    let mut rig = before_an_import();
    let mut register = rig.keeper.register(saved.clone());
    let before = level(&mut register);
    drop(register);
    import(&mut rig, 700);
    for _ in 0..20 {
        rig.remember().unwrap();
        rig.turn();
    }
    rig.settle_down();
    let who = rig.spool.standing().who(b"15550000003");
    let (keys, standing) = (keys(&rig), &rig.options.standing_dir);
    let given = consents(&rig.disk, standing, &keys, Purpose::Support, account("load"), who).unwrap();
    assert_eq!(given.len(), 1);
    let all_changes = rig.journaled().len() as u64;
    let mut cuts = 0;
    for followed in (0..).step_by(3) {
        copy(&saved, &index);
        let mut register = rig.keeper.register(index.clone());
        let (mut taken, mut is_level) = (0, false);
        for _ in 0..followed {
            let done = register.follow().unwrap();
            taken += done.changes;
            is_level |= done.is_level;
        }
        drop(register);
        let mut register = rig.keeper.register(index.clone());
        // It goes on where it was: what was taken in whole is not taken in again.
        assert_eq!(level(&mut register), all_changes - before - taken, "{followed}");
        let all = assert_pages_like_the_journal(&mut register, &rig, &[1_000]);
        assert!(all > 400, "{all}");
        let found = register
            .consents(account("load"), &who, &keys, Purpose::Support)
            .unwrap();
        assert_eq!(found, given, "{followed}");
        assert_eq!(level(&mut register), 0, "nothing is taken in twice");
        if is_level {
            break;
        }
        cuts += 1;
    }
    // The gathering of 300 and what of it fits into one batch is not all of it.
    assert!(cuts > 15, "{cuts}");
}

#[test]
fn a_register_that_was_cut_in_an_import_which_the_journal_does_not_have_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let (index, saved) = (dir.path().join("register"), dir.path().join("saved"));
    let mut rig = before_an_import();
    let mut register = rig.keeper.register(saved.clone());
    let all = level(&mut register);
    drop(register);
    // The journal of a backup from before the import. It is the same one so far.
    let backup = before_an_import();
    copy(&saved, &index);
    let mut register = backup.keeper.register(index.clone());
    assert_eq!(level(&mut register), 0);
    drop(register);
    import(&mut rig, 100);
    for followed in [1, 5] {
        copy(&saved, &index);
        let mut register = rig.keeper.register(index.clone());
        for _ in 0..followed {
            assert!(!register.follow().unwrap().is_level);
        }
        drop(register);
        let mut register = backup.keeper.register(index.clone());
        assert_eq!(level(&mut register), all, "{followed}");
        assert_like_the_journal(&mut register, &backup);
    }
}
