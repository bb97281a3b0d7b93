//! Numbers that go from what is remembered of people (PSN-3): nothing of theirs opens any more, all others' do, and nobody is
//! less opted out, whenever the power goes.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;

use tidegate_codec::identity::SystemId;
use zeroize::Zeroizing;

use crate::disk::{FaultyDisk, Op};
use crate::keyring::{KeyRingError, Owner};
use crate::seal::{KeyId, Purpose};
use crate::standing::{
    Change, Ends, Fact, Forget, ForgetError, ForgetReport, Forgotten, Going, Grant, Holders, Origin, Private,
    Scope, Via, What, look,
};

use super::rig::Rig;
use super::tests_register::{keys, level};

const GONE: &[u8] = b"15550100123";
const OTHER: &[u8] = b"15550100456";

fn account(name: &str) -> SystemId {
    SystemId::new(name.as_bytes()).unwrap()
}

fn remember(rig: &mut Rig, name: &str, number: &[u8], what: What, private: Private) {
    let change = Change {
        who: rig.spool.standing().who(number),
        at_ms: rig.now_ms,
        event: 0,
        via: Via::Message,
        what,
        private,
    };
    let now_ms = rig.now_ms;
    rig.spool
        .remember(now_ms, account(name), change, true, &mut rig.rng)
        .unwrap();
    rig.commit();
}

fn opt_out(rig: &mut Rig, name: &str, number: &[u8]) {
    let what = What::Suppress {
        scope: Scope::account(name),
        origin: Origin::Recipient,
        categories: 0,
    };
    let mut private = Private::number(number);
    private.source = b"ticket of a person".to_vec();
    remember(rig, name, number, what, private);
}

/// Two people who have opted out of two accounts, and the consent of one, in two files.
fn begun(seed: u64) -> Rig {
    let mut rig = Rig::new(seed);
    for name in ["load", "bank"] {
        opt_out(&mut rig, name, GONE);
        opt_out(&mut rig, name, OTHER);
    }
    rig.settle_down();
    let disk = rig.disk.crash();
    let mut rig = rig.reopen(disk);
    let mut private = Private::number(GONE);
    private.address = b"192.0.2.7".to_vec();
    private.facts.push((Fact::Method, b"web".to_vec()));
    let what = What::Consent {
        grant: Grant::Given,
        scope: Scope::account("load"),
        categories: 1,
    };
    remember(&mut rig, "load", GONE, what, private);
    rig.settle_down();
    rig
}

/// The same people in one file, and in the next somebody else alone.
fn apart(seed: u64) -> Rig {
    let mut rig = Rig::new(seed);
    for name in ["load", "bank"] {
        opt_out(&mut rig, name, GONE);
    }
    rig.settle_down();
    let disk = rig.disk.crash();
    let mut rig = rig.reopen(disk);
    for name in ["load", "bank"] {
        opt_out(&mut rig, name, OTHER);
    }
    rig.settle_down();
    rig
}

/// Whose numbers an account is shown of those who have opted out of it, and of how many entries none.
fn listed(rig: &Rig, dir: &Path) -> Vec<(BTreeSet<Vec<u8>>, u64)> {
    let (mut register, keys) = (rig.keeper.register(dir.join("register")), keys(rig));
    level(&mut register);
    let of = |name: &&str| {
        let page = register.page(account(name), None, 100, &keys, Purpose::Support);
        let page = page.unwrap();
        assert_eq!(page.total, 2);
        let numbers = page
            .entries
            .iter()
            .map(|(_, _, kept)| kept.private.number.to_vec());
        (numbers.collect(), page.hashed)
    };
    ["load", "bank"].iter().map(of).collect()
}

/// The same, by the journal.
fn all_listed(rig: &Rig) -> Vec<(BTreeSet<Vec<u8>>, u64)> {
    let all = all(rig);
    let of = |name: &&str| {
        let of_account = all.iter().filter(|(owner, _)| *owner == account(name));
        let opt_outs = of_account.filter(|(_, change)| matches!(change.what, What::Suppress { .. }));
        let (with, without): (Vec<_>, Vec<_>) =
            opt_outs.partition(|(_, change)| !change.private.number.is_empty());
        let numbers = with.iter().map(|(_, change)| change.private.number.to_vec());
        (numbers.collect(), without.len() as u64)
    };
    ["load", "bank"].iter().map(of).collect()
}

/// All changes with what opens of them.
fn all(rig: &Rig) -> Vec<(SystemId, Change)> {
    let mut found = Vec::new();
    let (dir, keys) = (&rig.options.standing_dir, keys(rig));
    let damaged = look(&rig.disk, dir, &keys, Purpose::Support, |_, owner, change| {
        found.push((owner, change));
    });
    assert_eq!(damaged.unwrap(), 0);
    found
}

fn step(rig: &mut Rig, step: Forget) -> Result<ForgetReport, ForgetError> {
    let [lasting, _] = &mut rig.keeper.journals;
    lasting.forget(step, &mut rig.keeper.ring, &mut rig.rng)
}

/// All steps, as the sweep takes them; the keys that are gone.
fn forget(rig: &mut Rig, of: Option<&str>) -> Result<Vec<KeyId>, ForgetError> {
    let people = vec![Forgotten {
        account: of.map(account),
        person: Zeroizing::new(GONE.to_vec()),
    }];
    let ForgetReport::Keys(mut old) = step(rig, Forget::Stale)? else {
        panic!("keys");
    };
    let (mut accounts, mut behind) = (Holders::default(), Some(0));
    while let Some(number) = behind {
        let ForgetReport::Looked(next, found) = step(rig, Forget::Look(number, people.clone().into()))?
        else {
            panic!("looked");
        };
        accounts.add(found);
        behind = next;
    }
    let now_ms = rig.now_ms;
    let renew = Forget::Renew(accounts, now_ms);
    let ForgetReport::Keys(older) = step(rig, renew)? else {
        panic!("keys");
    };
    old.extend(older);
    let (mut used, mut behind) = (BTreeSet::new(), Some(0));
    while let Some(number) = behind {
        let rewrite = Forget::Rewrite(number, people.clone().into(), now_ms);
        let ForgetReport::Rewritten(next, keys, _) = step(rig, rewrite)? else {
            panic!("rewritten");
        };
        used.extend(keys);
        behind = next;
    }
    old.retain(|key| !used.contains(key));
    let ForgetReport::Gone(gone) = step(rig, Forget::Finish(old))? else {
        panic!("gone");
    };
    Ok(gone.into_iter().map(|gone| gone.id).collect())
}

fn numbers_of(all: &[(SystemId, Change)], number: &[u8]) -> usize {
    let with_number = all.iter().filter(|(_, change)| change.private.number == number);
    with_number.count()
}

/// The public parts, which stay as they are.
fn public(all: &[(SystemId, Change)]) -> Vec<(SystemId, Change)> {
    let bare = all.iter().map(|(owner, change)| {
        let private = Private::default();
        (
            *owner,
            Change {
                private,
                ..change.clone()
            },
        )
    });
    bare.collect()
}

fn are_opted_out(rig: &Rig) {
    let standing = rig.spool.standing();
    for number in [GONE, OTHER] {
        assert_eq!(standing.opt_outs().of(&standing.who(number)).len(), 2);
    }
}

#[test]
fn psn_3_a_persons_numbers_go_with_their_keys_and_all_else_stays() {
    let dir = tempfile::tempdir().unwrap();
    let mut rig = begun(31);
    let mut register = rig.keeper.register(dir.path().join("register"));
    level(&mut register);
    let before = all(&rig);
    assert_eq!((numbers_of(&before, GONE), numbers_of(&before, OTHER)), (3, 2));
    let keys_before: Vec<KeyId> = ["load", "bank"]
        .into_iter()
        .flat_map(|name| rig.keeper.ring.live(Owner::OptOuts(account(name))))
        .chain(rig.keeper.ring.live(Owner::Consents(account("load"))))
        .collect();
    let mut gone = forget(&mut rig, None).unwrap();
    gone.sort_unstable();
    assert_eq!(gone, keys_before, "whatever copy there is of what lay under them");
    let after = all(&rig);
    assert_eq!((numbers_of(&after, GONE), numbers_of(&after, OTHER)), (0, 2));
    assert_eq!(public(&after), public(&before));
    for (_, change) in &after {
        match change.what {
            // What proves that it was given stays.
            What::Consent { .. } => {
                assert_eq!(change.private.facts, [(Fact::Method, b"web".to_vec())]);
                assert!(change.private.address.is_empty());
            }
            _ => assert_eq!(change.private.source.is_empty(), change.private.number.is_empty()),
        }
    }
    // The account is told how many there are (OPT-29), and of the other still whom.
    level(&mut register);
    let keys = keys(&rig);
    let page = register
        .page(account("load"), None, 100, &keys, Purpose::Support)
        .unwrap();
    assert_eq!((page.total, page.hashed, page.entries.len()), (2, 1, 1));
    assert_eq!(page.entries[0].2.private.number, OTHER);
    drop(register);
    // Nothing is left to do, and what comes is appended behind.
    assert!(forget(&mut rig, None).unwrap().is_empty());
    opt_out(&mut rig, "shop", OTHER);
    rig.settle_down();
    let disk = rig.disk.crash();
    let rig = rig.reopen(disk);
    assert!(!rig.found.is_alarming(), "{:?}", rig.found);
    assert_eq!(numbers_of(&all(&rig), OTHER), 3);
    let standing = rig.spool.standing();
    assert_eq!(standing.opt_outs().of(&standing.who(GONE)).len(), 2);
    let mut register = rig.keeper.register(dir.path().join("register"));
    level(&mut register);
    let page = register.page(account("load"), None, 100, &keys, Purpose::Support);
    assert_eq!(page.unwrap().hashed, 1);
}

#[test]
fn psn_3_for_one_account_only_its_own_go_and_a_closed_accounts_all_go() {
    let mut rig = begun(32);
    assert_eq!(forget(&mut rig, Some("bank")).unwrap().len(), 1);
    let after = all(&rig);
    assert_eq!((numbers_of(&after, GONE), numbers_of(&after, OTHER)), (2, 2));
    step(&mut rig, Forget::Close(account("load"))).unwrap();
    let after = all(&rig);
    // What proves a consent has an end of its own.
    assert_eq!((numbers_of(&after, GONE), numbers_of(&after, OTHER)), (1, 1));
    assert!(after.iter().any(|(_, change)| !change.private.facts.is_empty()));
    are_opted_out(&rig);
    // With keys that are gone, too, another's order goes through.
    forget(&mut rig, None).unwrap();
    are_opted_out(&rig);
}

/// After a destruction that failed the ring knows the keys no more, and the disk may: nobody is told that an account has none left.
#[test]
fn psn_3_keys_of_a_closed_account_that_could_not_be_destroyed_are_not_told_to_be_gone() {
    let mut rig = begun(36);
    let ForgetReport::Keys(keys) = step(&mut rig, Forget::Keys(account("load"))).unwrap() else {
        panic!("keys");
    };
    assert!(!keys.is_empty());
    rig.disk.fail_on(Op::Write, "ring.a", 0, 1, ErrorKind::Other);
    step(&mut rig, Forget::Close(account("load"))).unwrap_err();
    assert!(keys.iter().all(|key| !rig.keeper.ring.has(*key)));
    for again in [Forget::Keys(account("load")), Forget::Close(account("load"))] {
        let told = step(&mut rig, again).unwrap_err();
        assert!(
            matches!(told, ForgetError::Ring(KeyRingError::GivenUp { .. })),
            "{told:?}"
        );
    }
}

#[test]
fn psn_3_wherever_the_power_goes_the_next_run_finishes_it() {
    wherever_the_power_goes(begun);
}

/// What is left behind a cut is a file with nobody who goes, and an older copy of the one that had them.
#[test]
fn psn_3_a_key_goes_though_nobody_who_goes_lies_under_it_any_more() {
    wherever_the_power_goes(apart);
}

fn wherever_the_power_goes(begun: fn(u64) -> Rig) {
    let mut whole = begun(33);
    let before = public(&all(&whole));
    let changes_before = whole.disk.counts().changes;
    let others = numbers_of(&all(&whole), OTHER);
    let gone = forget(&mut whole, None).unwrap();
    let changes = whole.disk.counts().changes - changes_before;
    assert!(changes > 10 && gone.len() >= 2, "{changes}");
    for cut in 0..changes {
        let mut rig = begun(33);
        let dir = tempfile::tempdir().unwrap();
        let mut register = rig.keeper.register(dir.path().join("register"));
        level(&mut register);
        drop(register);
        rig.disk.cut_power_after(cut);
        let _ = forget(&mut rig, None);
        let disk: FaultyDisk = rig.disk.crash();
        let mut rig = rig.reopen(disk);
        assert!(!rig.found.is_alarming(), "cut after {cut}: {:?}", rig.found);
        are_opted_out(&rig);
        // What is listed is what the journal says now, whatever it was before.
        assert_eq!(listed(&rig, dir.path()), all_listed(&rig), "cut after {cut}");
        forget(&mut rig, None).unwrap();
        let after = all(&rig);
        assert_eq!(
            (numbers_of(&after, GONE), numbers_of(&after, OTHER)),
            (0, others),
            "cut after {cut}"
        );
        assert_eq!(listed(&rig, dir.path()), all_listed(&rig), "cut after {cut}");
        assert_eq!(public(&after), before, "cut after {cut}");
        let ring = &rig.keeper.ring;
        assert!(gone.iter().all(|key| !ring.has(*key)), "cut after {cut}");
        for name in ["load", "bank"] {
            assert_eq!(
                ring.live(Owner::OptOuts(account(name))).len(),
                1,
                "cut after {cut}"
            );
        }
    }
}

/// While it fails no run makes a key that the run before has made.
#[test]
fn psn_3_runs_that_fail_do_not_fill_the_ring() {
    let mut rig = apart(34);
    let account = account("load");
    // The count and the first file, the first time; then the count alone.
    for before in [2, 1, 1, 1] {
        rig.disk.fail_on(Op::Rename, ".new", before, 1, ErrorKind::Other);
        assert!(forget(&mut rig, None).is_err());
        assert!(rig.keeper.ring.live(Owner::OptOuts(account)).len() <= 2);
    }
    forget(&mut rig, None).unwrap();
    assert_eq!(rig.keeper.ring.live(Owner::OptOuts(account)).len(), 1);
    assert_eq!(numbers_of(&all(&rig), GONE), 0);
    are_opted_out(&rig);
}

/// Evidence that an earlier version sealed with all else of its account, and all steps that move it before the account's keys go.
fn close_as_it_was(rig: &mut Rig) -> Result<(), ForgetError> {
    let mut behind = Some(0);
    while let Some(number) = behind {
        let rewrite = Forget::Rewrite(number, Going::default(), rig.now_ms);
        let ForgetReport::Rewritten(next, ..) = step(rig, rewrite)? else {
            panic!("rewritten");
        };
        behind = next;
    }
    step(rig, Forget::Finish(Vec::new()))?;
    step(rig, Forget::Close(account("load"))).map(drop)
}

#[test]
fn con_1_evidence_of_an_earlier_version_outlives_the_accounts_keys_wherever_the_power_goes() {
    let begun = || {
        let mut rig = begun(35);
        let [lasting, _] = &mut rig.keeper.journals;
        lasting.seal_as_before(&mut rig.keeper.ring, &mut rig.rng);
        assert!(rig.keeper.ring.live(Owner::Consents(account("load"))).is_empty());
        rig
    };
    let evidence = |rig: &Rig| {
        let all = all(rig);
        let with_facts = all.iter().filter(|(_, change)| !change.private.facts.is_empty());
        with_facts.count()
    };
    let mut whole = begun();
    let before = whole.disk.counts().changes;
    close_as_it_was(&mut whole).unwrap();
    let changes = whole.disk.counts().changes - before;
    assert!(changes > 5, "{changes}");
    for cut in 0..=changes {
        let mut rig = begun();
        rig.disk.cut_power_after(cut);
        let _ = close_as_it_was(&mut rig);
        let disk: FaultyDisk = rig.disk.crash();
        let mut rig = rig.reopen(disk);
        assert!(!rig.found.is_alarming(), "cut after {cut}: {:?}", rig.found);
        assert_eq!(evidence(&rig), 1, "cut after {cut}");
        close_as_it_was(&mut rig).unwrap();
        assert_eq!(
            (evidence(&rig), numbers_of(&all(&rig), OTHER)),
            (1, 1),
            "cut after {cut}"
        );
        assert!(rig.keeper.ring.live(Owner::OptOuts(account("load"))).is_empty());
        assert_eq!(
            rig.keeper.ring.live(Owner::Consents(account("load"))).len(),
            1,
            "cut after {cut}"
        );
        are_opted_out(&rig);
    }
}

fn consent(rig: &mut Rig, name: &str, number: &[u8], grant: Grant) {
    let mut private = Private::number(number);
    private.facts.push((Fact::Method, b"web".to_vec()));
    let what = What::Consent {
        grant,
        scope: Scope::account(name),
        categories: 1,
    };
    remember(rig, name, number, what, private);
}

/// All steps by which consents end, as the sweep takes them: all that were taken back.
fn end_consents(rig: &mut Rig) -> Result<(Vec<KeyId>, u64), ForgetError> {
    let ForgetReport::Keys(mut old) = step(rig, Forget::Stale)? else {
        panic!("keys");
    };
    let mut ends = Ends::new(|_, _, _, back_ms| back_ms.is_some());
    let mut before = Some(u64::MAX);
    while let Some(number) = before {
        let ForgetReport::Withdrawn(next, learnt) = step(rig, Forget::Withdrawn(number, ends))? else {
            panic!("withdrawn");
        };
        (before, ends) = (next, learnt);
    }
    let going = || Going {
        people: Vec::new(),
        consents: Some(ends.clone()),
    };
    let (mut holders, mut behind) = (Holders::default(), Some(0));
    while let Some(number) = behind {
        let ForgetReport::Looked(next, found) = step(rig, Forget::Look(number, going()))? else {
            panic!("looked");
        };
        holders.add(found);
        behind = next;
    }
    let now_ms = rig.now_ms;
    let ForgetReport::Keys(older) = step(rig, Forget::Renew(holders.clone(), now_ms))? else {
        panic!("keys");
    };
    old.extend(older);
    let (mut used, mut lost, mut behind) = (BTreeSet::new(), 0, Some(0));
    while let Some(number) = behind {
        let rewrite = Forget::Rewrite(number, going(), now_ms);
        let ForgetReport::Rewritten(next, keys, count) = step(rig, rewrite)? else {
            panic!("rewritten");
        };
        used.extend(keys);
        lost += count.of.values().sum::<u64>();
        behind = next;
    }
    assert_eq!(
        holders.over.values().sum::<u64>(),
        lost,
        "what was looked for is what goes"
    );
    old.retain(|key| !used.contains(key));
    let ForgetReport::Keys(spare) = step(rig, Forget::Spare(used))? else {
        panic!("keys");
    };
    old.extend(spare);
    let ForgetReport::Gone(gone) = step(rig, Forget::Finish(old))? else {
        panic!("gone");
    };
    Ok((gone.into_iter().map(|gone| gone.id).collect(), lost))
}

/// CON-1, CON-2 and §7 class `consent`: of what was taken back long enough ago nothing stays but that it was taken back, and the keys
/// of what proved it go; all else stays, and nobody is less opted out, wherever the power goes.
#[test]
fn con_2_a_consent_that_is_over_goes_with_its_evidence_wherever_the_power_goes() {
    let begun = || {
        let mut rig = begun(36);
        consent(&mut rig, "bank", GONE, Grant::Given);
        rig.settle_down();
        let disk = rig.disk.crash();
        let mut rig = rig.reopen(disk);
        // In a file of its own, of which nothing but withdrawals is left.
        consent(&mut rig, "load", OTHER, Grant::Given);
        consent(&mut rig, "bank", GONE, Grant::Withdrawn);
        consent(&mut rig, "load", OTHER, Grant::Withdrawn);
        rig.settle_down();
        rig
    };
    let said = |rig: &Rig| {
        let all = all(rig);
        let consents = all.iter().filter_map(|(owner, change)| match &change.what {
            What::Consent { grant, .. } => Some((owner.to_string(), *grant, change.private.facts.len())),
            _ => None,
        });
        consents.collect::<Vec<_>>()
    };
    let left = [
        ("load".to_owned(), Grant::Given, 1),
        ("bank".to_owned(), Grant::Withdrawn, 0),
        ("load".to_owned(), Grant::Withdrawn, 0),
    ];
    let mut whole = begun();
    let keys = |rig: &Rig, name: &str| rig.keeper.ring.live(Owner::Consents(account(name)));
    let before = [keys(&whole, "load"), keys(&whole, "bank")].concat();
    let changes_before = whole.disk.counts().changes;
    let (gone, lost) = end_consents(&mut whole).unwrap();
    assert_eq!(lost, 4);
    assert!(before.iter().all(|key| gone.contains(key)), "{gone:?}");
    assert_eq!(said(&whole), left);
    assert_eq!(
        end_consents(&mut whole).unwrap(),
        (Vec::new(), 0),
        "nothing is left to do"
    );
    let changes = whole.disk.counts().changes - changes_before;
    for cut in 0..changes {
        let mut rig = begun();
        rig.disk.cut_power_after(cut);
        let _ = end_consents(&mut rig);
        let disk: FaultyDisk = rig.disk.crash();
        let mut rig = rig.reopen(disk);
        assert!(!rig.found.is_alarming(), "cut after {cut}: {:?}", rig.found);
        end_consents(&mut rig).unwrap();
        assert_eq!(said(&rig), left, "cut after {cut}");
        assert!(
            before.iter().all(|key| !rig.keeper.ring.has(*key)),
            "cut after {cut}"
        );
        assert_eq!(
            (keys(&rig, "load").len(), keys(&rig, "bank").len()),
            (1, 0),
            "cut after {cut}"
        );
        are_opted_out(&rig);
        // What comes later begins anew.
        consent(&mut rig, "bank", GONE, Grant::Given);
        rig.settle_down();
        assert_eq!(
            (said(&rig).len(), keys(&rig, "bank").len()),
            (4, 1),
            "cut after {cut}"
        );
        let standing = rig.spool.standing();
        assert!(
            standing
                .withdrawn_at(&standing.who(OTHER), &Scope::account("load"), 1)
                .is_some()
        );
    }
}

/// Evidence that an earlier version sealed with all else of its account goes with all its keys, although nothing of it is stale.
#[test]
fn psn_3_evidence_of_an_earlier_version_goes_with_the_key_that_it_lay_under() {
    for is_end in [false, true] {
        let mut rig = Rig::new(37);
        // Of the person nothing but a consent lies under the account's key.
        opt_out(&mut rig, "load", OTHER);
        consent(&mut rig, "load", GONE, Grant::Given);
        if is_end {
            consent(&mut rig, "load", GONE, Grant::Withdrawn);
        }
        rig.settle_down();
        let [lasting, _] = &mut rig.keeper.journals;
        lasting.seal_as_before(&mut rig.keeper.ring, &mut rig.rng);
        let before = rig.keeper.ring.live(Owner::OptOuts(account("load")));
        let gone = match is_end {
            true => end_consents(&mut rig).unwrap().0,
            false => forget(&mut rig, None).unwrap(),
        };
        assert!(!before.is_empty());
        assert!(before.iter().all(|key| gone.contains(key)), "{is_end}: {gone:?}");
        let all = all(&rig);
        assert_eq!((numbers_of(&all, GONE), numbers_of(&all, OTHER)), (0, 1));
    }
}
