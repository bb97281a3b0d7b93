//! Lots that are sealed anew: who stays stands once, who goes is gone, whatever fails when.

use std::collections::BTreeSet;
use std::path::Path;

use smallvec::SmallVec;

use super::rig::{NOON_MS, Site, account, finished, ids, kek};
use super::*;
use crate::disk::{FaultyDisk, Op};
use crate::keyring::{KeyRingError, Owner};
use crate::seal::{KeyId, Purpose};
use crate::testing::rng;

const DIR: &str = "/site/history";
const HOLD: u32 = 7;

type Faulty = Site<FaultyDisk>;

fn ordered(site: &mut Faulty, rekey: Rekey) -> Result<Passed, OrderError> {
    let mut stats = Stats::open(&site.disk, Path::new(DIR))?;
    let (ring, rng) = (&mut site.ring, &mut site.rng);
    match site.history.obey(Order::Rekey(rekey), ring, &mut stats, rng)? {
        Report::Passed(passed) => Ok(passed),
        other => panic!("{other:?}"),
    }
}

fn vault(site: &mut Faulty, order: VaultOrder) -> VaultReport {
    let mut stats = Stats::open(&site.disk, Path::new(DIR)).unwrap();
    let (ring, rng) = (&mut site.ring, &mut site.rng);
    match site
        .history
        .obey(Order::Vault(order), ring, &mut stats, rng)
        .unwrap()
    {
        Report::Vault(report) => report,
        other => panic!("{other:?}"),
    }
}

/// The numbers of messages that a hold keeps, of both classes.
fn in_vault(site: &mut Faulty, hold: u32) -> (Vec<MessageId>, Vec<MessageId>) {
    let (mut metas, mut texts) = (Vec::new(), Vec::new());
    let mut cursor = Some(VaultCursor::default());
    while let Some(at) = cursor {
        let VaultReport::Read(looked, next) = vault(site, VaultOrder::Read(hold, at, Purpose::Legal)) else {
            panic!("something else");
        };
        assert_eq!(looked.unreadable, 0);
        metas.extend(looked.metas.into_iter().map(|(_, meta)| meta.id));
        texts.extend(looked.texts.into_iter().map(|(_, text)| text.id));
        cursor = next;
    }
    (metas, texts)
}

/// Those of an account and a class, file by file.
fn lots_of(site: &mut Faulty, name: &str, class: Kept) -> Vec<(PeriodKey, KeyId)> {
    let files: Vec<PeriodKey> = site.history.periods().cloned().collect();
    let mut found = Vec::new();
    for file in files.into_iter().filter(|file| file.class == class) {
        let lots = site.history.lots(&file, &site.ring).unwrap();
        let lots = lots
            .into_iter()
            .filter(|lot| lot.account == account(name) && lot.is_there);
        found.extend(lots.map(|lot| (file.clone(), lot.key)));
    }
    found
}

fn id_of(record: Record<'_>) -> MessageId {
    match record {
        Record::Meta(meta) => meta.id,
        Record::Text(text) => text.id,
    }
}

/// The n-th goes where it says so, and others stay.
fn judge(fate: impl Fn(u64) -> Fate + Send + Sync + 'static) -> Judge {
    let by_id: BTreeMap<MessageId, u64> = (0..2_000).map(|n| (finished("acme", n).id, n)).collect();
    Judge::new(move |of, record| {
        assert_eq!(of, account("acme"));
        fate(by_id[&id_of(record)])
    })
}

fn thirds() -> Judge {
    judge(|n| if n % 3 == 0 { Fate::Go } else { Fate::Stay })
}

fn rekey(site: &mut Faulty, class: Kept, judge: &Judge) -> Result<Vec<Passed>, OrderError> {
    let mut all = Vec::new();
    for (period, key) in lots_of(site, "acme", class) {
        ordered(
            site,
            Rekey::Begin {
                period,
                keys: vec![key],
                fresh_since_ms: 0,
                even_if_all_stay: true,
                now_ms: NOON_MS,
            },
        )?;
        loop {
            let passed = ordered(site, Rekey::Step(judge.clone()))?;
            if passed.is_done {
                all.push(passed);
                break;
            }
        }
    }
    Ok(all)
}

fn texts(site: &mut Faulty, name: &str) -> Vec<MessageId> {
    let query = Query::Account {
        account: account(name),
        from_ms: 0,
        to_ms: u64::MAX / 2,
    };
    let looked = site.look(&query, Kept::Body);
    let mut ids: Vec<MessageId> = looked.texts.iter().map(|(_, text)| text.id).collect();
    ids.sort();
    ids
}

fn staying(range: std::ops::Range<u64>) -> Vec<MessageId> {
    range
        .filter(|n| n % 3 != 0)
        .map(|n| finished("acme", n).id)
        .collect()
}

fn site(count: u64) -> Faulty {
    let mut site = Site::new(FaultyDisk::new(), Path::new("/site"), None);
    for n in 0..count {
        site.file("acme", n).unwrap();
        if n % 5 == 0 {
            site.file("other", n).unwrap();
        }
    }
    site.checkpoint(1).unwrap();
    site
}

fn keep(holds: Vec<u32>) -> VaultOrder {
    VaultOrder::Keep {
        holds,
        erasures: Vec::new(),
        restrictions: Vec::new(),
    }
}

#[test]
fn who_goes_is_gone_and_who_stays_is_found_by_every_way_with_what_comes_later() {
    let mut site = site(1_000);
    let others = site.all_of("other");
    let before: BTreeSet<KeyId> = site.ring.periods().map(|(_, key)| key).collect();
    for class in Kept::ALL {
        let passed = rekey(&mut site, class, &thirds()).unwrap();
        let [passed] = &passed[..] else {
            panic!("one lot: {passed:?}");
        };
        assert_eq!((passed.stayed, passed.gone, passed.vaulted), (666, 334, 0));
        assert_eq!(passed.destroyed.len(), 1);
        assert!(!site.ring.has(passed.destroyed[0].id) && before.contains(&passed.destroyed[0].id));
    }
    // What is filed into the same lot lies under its one living key.
    for n in 1_000..1_300 {
        site.file("acme", n).unwrap();
    }
    let expected = [staying(0..1_000), ids("acme", 1_000..1_300)].concat();
    for stage in 0..3 {
        match stage {
            1 => site.checkpoint(2).unwrap(),
            2 => site = site.again(),
            _ => {}
        }
        assert!(site.all_of("acme") == expected, "stage {stage}");
        assert!(texts(&mut site, "acme") == expected, "stage {stage}");
        assert_eq!(site.all_of("other"), others, "stage {stage}");
        for (n, count) in [(3, 0), (4, 1), (1_002, 1)] {
            let wanted = finished("acme", n);
            assert_eq!(site.metas(&Query::Id(wanted.id)).len(), count, "{n}");
            let digits = wanted.envelope.addresses.destination().as_bytes().to_vec();
            let by_number = Query::Recipient {
                account: account("acme"),
                digits,
            };
            assert_eq!(site.metas(&by_number).len(), count, "{n}");
        }
    }
    for class in Kept::ALL {
        assert_eq!(
            lots_of(&mut site, "acme", class).len(),
            1,
            "one key for all of it"
        );
    }
    assert_eq!(site.history.counts().unreadable, 0);
    // Where nothing stays there is no key, either.
    rekey(&mut site, Kept::Meta, &judge(|_| Fate::Go)).unwrap();
    assert_eq!((site.all_of("acme").len(), site.all_of("other")), (0, others));
    let metas = site
        .ring
        .periods()
        .filter(|(owner, _)| owner.account == account("acme") && owner.class == 1);
    assert_eq!(metas.count(), 0);
}

/// Statistics count who stayed, once.
#[test]
fn what_stays_adds_up_once() {
    let mut site = site(300);
    rekey(&mut site, Kept::Meta, &thirds()).unwrap();
    let [(period, key)] = &lots_of(&mut site, "acme", Kept::Meta)[..] else {
        panic!("one lot");
    };
    let cells = site.history.add_up(period, *key, &site.ring).unwrap();
    assert_eq!(cells.values().sum::<u64>(), 200);
    let lots = site.history.lots(period, &site.ring).unwrap();
    let there = lots
        .iter()
        .filter(|lot| lot.account == account("acme") && lot.is_there);
    assert_eq!(there.map(|lot| lot.records).sum::<u64>(), 200);
}

/// What a checkpoint does not cover is filed anew after a crash: it must not be copied before.
#[test]
fn nothing_is_taken_that_a_start_would_file_again() {
    let mut site = site(10);
    for n in 10..600 {
        site.file("acme", n).unwrap();
    }
    let refused = rekey(&mut site, Kept::Meta, &thirds()).unwrap_err();
    assert!(matches!(refused, OrderError::NotSynced(_)), "{refused}");
    assert!(site.all_of("acme") == ids("acme", 0..600), "nothing has changed");
    site.checkpoint(2).unwrap();
    // The key that was made for it takes what comes now, and what is left goes there.
    rekey(&mut site, Kept::Meta, &thirds()).unwrap();
    let keys: BTreeSet<KeyId> = lots_of(&mut site, "acme", Kept::Meta)
        .into_iter()
        .map(|(_, key)| key)
        .collect();
    assert!(!keys.is_empty());
    assert!(site.all_of("acme") == staying(0..600));
}

/// A look that has begun before goes on behind it, and finds each once.
#[test]
fn a_look_that_has_begun_finds_what_was_sealed_anew_meanwhile() {
    let mut site = Site::new(FaultyDisk::new(), Path::new("/site"), None);
    let count = 256 * 100;
    for n in 0..count {
        site.file("acme", n).unwrap();
    }
    site.checkpoint(1).unwrap();
    let query = Query::Account {
        account: account("acme"),
        from_ms: 0,
        to_ms: u64::MAX / 2,
    };
    let first = site
        .history
        .look(
            &query,
            Kept::Meta,
            Cursor::default(),
            &site.ring,
            Purpose::Support,
        )
        .unwrap();
    assert!(!first.metas.is_empty() && first.next.is_some());
    rekey(&mut site, Kept::Meta, &Judge::all_stay()).unwrap();
    let mut found: Vec<MessageId> = first.metas.iter().map(|(_, meta)| meta.id).collect();
    let mut cursor = first.next;
    while let Some(at) = cursor {
        let looked = site
            .history
            .look(&query, Kept::Meta, at, &site.ring, Purpose::Support)
            .unwrap();
        found.extend(looked.metas.iter().map(|(_, meta)| meta.id));
        cursor = looked.next;
    }
    found.sort();
    assert!(found == ids("acme", 0..count));
}

/// The power fails at every change of the disk: who stays stands once, and behind a pass that has ended who goes is gone.
#[test]
fn whatever_fails_when_who_stays_stands_once() {
    let mut chance = rng();
    let (mut before, mut behind) = (0, 0);
    for changes in 0.. {
        let mut site = site(300);
        // Behind the checkpoint: a start files it anew, and may not find it.
        for n in 300..310 {
            site.file("acme", n).unwrap();
        }
        let disk = site.disk.clone();
        disk.cut_power_after(changes);
        let done = rekey(&mut site, Kept::Meta, &thirds()).is_ok();
        for after in [disk.crash(), disk.crash_with(&mut chance)] {
            let ring = KeyRing::open(&after, Path::new("/site/keys"), kek()).unwrap();
            let mut site = Site::with(after, Path::new("/site"), None, ring);
            let found = site.all_of("acme");
            let is_behind = found == staying(0..300);
            assert!(is_behind || found == ids("acme", 0..300) && !done, "{changes}");
            (before, behind) = (before + u32::from(!is_behind), behind + u32::from(is_behind));
            assert!(texts(&mut site, "acme") == ids("acme", 0..300), "{changes}");
            assert_eq!(site.history.counts().unreadable, 0, "{changes}");
            assert_eq!(site.history.position(), 1, "{changes}");
            // And it goes on.
            ordered(&mut site, Rekey::Settle).unwrap();
            site.file("acme", 310).unwrap();
            rekey(&mut site, Kept::Meta, &thirds()).unwrap();
            site.checkpoint(2).unwrap();
            let mut site = site.again();
            assert!(
                site.all_of("acme") == [staying(0..300), ids("acme", 310..311)].concat(),
                "{changes}"
            );
            let keys = site.ring.periods().filter(|(owner, _)| owner.class == 1);
            assert_eq!(keys.count(), 2, "{changes}: one of each account");
            assert!(
                !site
                    .disk
                    .paths()
                    .iter()
                    .any(|path| path.to_string_lossy().ends_with("draft"))
            );
        }
        if done {
            assert!(changes > 10);
            break;
        }
    }
    assert!(before > 5 && behind > 5, "{before} {behind}");
}

/// The same with a lot of which some is held: it is in the vault before it is gone from the lot, and in no crash lost.
#[test]
fn whatever_fails_when_what_is_held_is_in_the_lot_or_in_the_vault() {
    let held = |n: u64| n.is_multiple_of(3);
    let to_vault = || {
        judge(move |n| match (held(n), n % 3) {
            (true, _) => Fate::Vault(SmallVec::from_slice(&[HOLD])),
            (_, 1) => Fate::Go,
            _ => Fate::Stay,
        })
    };
    let of = |is: fn(u64) -> bool| -> Vec<MessageId> {
        let range = (0..300).filter(|n| is(*n));
        range.map(|n| finished("acme", n).id).collect()
    };
    for changes in 0.. {
        let mut site = site(300);
        site.ring.make(Owner::Hold(HOLD), NOON_MS, &mut rng()).unwrap();
        let disk = site.disk.clone();
        disk.cut_power_after(changes);
        let done = rekey(&mut site, Kept::Body, &to_vault()).is_ok();
        let after = disk.crash();
        let ring = KeyRing::open(&after, Path::new("/site/keys"), kek()).unwrap();
        let mut site = Site::with(after, Path::new("/site"), None, ring);
        let there = texts(&mut site, "acme");
        let is_behind = there == of(|n| n % 3 == 2);
        assert!(is_behind || there == ids("acme", 0..300) && !done, "{changes}");
        if is_behind {
            assert!(
                in_vault(&mut site, HOLD) == (Vec::new(), of(|n| n % 3 == 0)),
                "{changes}"
            );
        }
        ordered(&mut site, Rekey::Settle).unwrap();
        if !is_behind {
            rekey(&mut site, Kept::Body, &to_vault()).unwrap();
        }
        assert!(texts(&mut site, "acme") == of(|n| n % 3 == 2), "{changes}");
        let (metas, texts) = in_vault(&mut site, HOLD);
        assert_eq!((metas.len(), texts.len()), (0, 100), "{changes}");
        assert!(texts == of(|n| n % 3 == 0), "{changes}");
        let VaultReport::Kept(over) = vault(&mut site, keep(Vec::new())) else {
            panic!("something else");
        };
        assert_eq!(over.len(), 1, "{changes}");
        assert_eq!(in_vault(&mut site, HOLD), (Vec::new(), Vec::new()), "{changes}");
        let paths = site.disk.paths();
        assert!(
            !paths.iter().any(|path| path.to_string_lossy().contains("vault/")),
            "{changes}"
        );
        if done {
            assert!(changes > 10);
            break;
        }
    }
}

/// What is ended by its owner is not told to be gone when it is asked for again after a failure, nor is a hold's volume removed.
#[test]
fn an_end_that_failed_is_not_done_when_it_is_asked_for_again() {
    let mut site = site(10);
    for owner in [Owner::Subject(7), Owner::Hold(1)] {
        site.ring.make(owner, NOON_MS, &mut rng()).unwrap();
    }
    let obey = |site: &mut Faulty, order| {
        let mut stats = Stats::open(&site.disk, Path::new(DIR)).unwrap();
        let (ring, rng) = (&mut site.ring, &mut site.rng);
        site.history
            .obey(Order::Vault(order), ring, &mut stats, rng)
            .map(drop)
    };
    site.disk.fail_on(Op::Write, "ring.a", 0, 1, io::ErrorKind::Other);
    obey(&mut site, VaultOrder::End(Owner::Subject(7))).unwrap_err();
    assert!(site.ring.live(Owner::Subject(7)).is_empty());
    for order in [
        VaultOrder::End(Owner::Subject(7)),
        keep(vec![1]),
        keep(Vec::new()),
    ] {
        let told = obey(&mut site, order);
        assert!(
            matches!(told, Err(OrderError::Ring(KeyRingError::GivenUp { .. }))),
            "{told:?}"
        );
    }
}

/// A lot that goes whole: what is held of it is copied, as often as it takes, and stands in the vault once.
#[test]
fn what_is_held_is_copied_and_the_lot_stays_until_its_key_goes() {
    let mut site = site(600);
    for hold in [1, 2] {
        site.ring.make(Owner::Hold(hold), NOON_MS, &mut rng()).unwrap();
    }
    let some = || {
        judge(|n| match n {
            5 => Fate::Vault(SmallVec::from_slice(&[1, 2])),
            _ => Fate::Go,
        })
    };
    let (period, key) = lots_of(&mut site, "acme", Kept::Meta).remove(0);
    let before = site.history.octets();
    let copy = Rekey::Copy {
        period,
        keys: vec![key],
    };
    let mut counted = Vec::new();
    for _ in 0..3 {
        ordered(&mut site, copy.clone()).unwrap();
        while !ordered(&mut site, Rekey::Step(some())).unwrap().is_done {}
        counted.push(site.history.octets());
    }
    assert_eq!(site.all_of("acme").len(), 600);
    assert!(counted[0] > before, "the vault counts");
    assert_eq!(
        counted[1..],
        [counted[0]; 2],
        "a volume takes the place of the one before"
    );
    // One that is written and does not come to its place counts for nothing.
    ordered(&mut site, copy).unwrap();
    site.disk
        .fail_on(Op::Rename, "vault/", 0, 1, io::ErrorKind::StorageFull);
    let failed = loop {
        match ordered(&mut site, Rekey::Step(some())) {
            Ok(passed) => assert!(!passed.is_done),
            Err(error) => break error,
        }
    };
    assert!(matches!(failed, OrderError::Io(_)), "{failed}");
    assert_eq!(site.history.octets(), counted[0]);
    site.ring.destroy_many(&[key]).unwrap();
    assert_eq!(site.all_of("acme").len(), 0);
    let one = ids("acme", 5..6);
    for hold in [1, 2] {
        assert_eq!(in_vault(&mut site, hold), (one.clone(), Vec::new()));
    }
    // With one of two that are over the other keeps what it has.
    vault(&mut site, keep(vec![2]));
    assert_eq!(in_vault(&mut site, 1).0, []);
    assert_eq!(in_vault(&mut site, 2).0, one);
    let with_one = site.history.octets();
    site = site.again();
    assert_eq!(site.history.octets(), with_one, "as a start counts it");
    // A volume that cannot be removed takes no word of the key that is destroyed along.
    site.disk
        .fail_on(Op::Unlink, "vault/", 0, 1, io::ErrorKind::PermissionDenied);
    let VaultReport::Kept(over) = vault(&mut site, keep(Vec::new())) else {
        panic!("something else");
    };
    assert_eq!((over.len(), site.history.octets()), (1, with_one));
    vault(&mut site, keep(Vec::new()));
    assert_eq!(site.history.octets(), before);
    let begun = ordered(&mut site, Rekey::Step(some()));
    assert!(matches!(begun, Err(OrderError::NoPass)));
}

mod explained {
    //! What rules explain of records is what becomes of them (RET-C19).

    use std::sync::Arc;

    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;
    use proptest::test_runner::TestRunner;

    use super::super::rig::DAY_MS;
    use super::*;
    use crate::pseudonym::Pseudonym;
    use crate::rules::properties::{erasures, holds, instants, instructions, rules};
    use crate::rules::{By, Class, Decision, Erasure, Facts, Hold, Instruction, RuleSet, State, decide};

    const RECORDS: u64 = 24;
    const COUNT: usize = 24;

    /// What records are decided by.
    #[derive(Debug)]
    struct World {
        rules: RuleSet,
        instructions: Vec<Instruction>,
        holds: Vec<Hold>,
        erasures: Vec<Erasure>,
        closure: Option<u64>,
        recipients: Vec<Option<u8>>,
        accepted: Vec<u64>,
        now_ms: u64,
    }

    impl World {
        fn decided(&self, n: u64) -> Decision<'_> {
            let mut facts = Facts::new(crate::rules::properties::account(), Class::Body);
            let place = usize::try_from(n).unwrap();
            facts.at.accepted_ms = Some(self.accepted[place]);
            facts.at.final_ms = Some(self.accepted[place] + DAY_MS / 2);
            facts.recipient = self.recipients[place].map(|octet| Pseudonym::from_octets([octet; 16]));
            let (rules, instructions) = (&self.rules, &self.instructions);
            let (holds, erasures) = (&self.holds, &self.erasures);
            decide(
                &facts,
                rules,
                instructions,
                holds,
                erasures,
                self.closure,
                self.now_ms,
            )
        }

        fn fate(&self, n: u64) -> Fate {
            let decision = self.decided(n);
            match decision.state {
                State::Live | State::Restricted => Fate::Stay,
                State::Due | State::NotStored => Fate::Go,
                State::Sealed => Fate::Vault(
                    decision
                        .by
                        .iter()
                        .filter_map(|by| match by {
                            By::Hold(hold) => {
                                let place = self.holds.iter().position(|there| std::ptr::eq(there, *hold));
                                u32::try_from(place.unwrap()).ok()
                            }
                            _ => None,
                        })
                        .collect(),
                ),
            }
        }

        /// Those of a state, by what is explained at this time.
        fn of(&self, is: impl Fn(&Decision<'_>) -> bool) -> Vec<MessageId> {
            let numbers = (0..RECORDS).filter(|n| is(&self.decided(*n)));
            numbers.map(|n| finished("acme", n).id).collect()
        }
    }

    fn worlds() -> impl Strategy<Value = World> {
        let records = (vec(option::of(0..3_u8), COUNT), vec(instants(), COUNT));
        let parts = (
            rules(),
            instructions(),
            holds(),
            erasures(),
            option::of(instants()),
            records,
            instants(),
        );
        parts.prop_map(
            |(rules, instructions, holds, erasures, closure, (recipients, accepted), now_ms)| World {
                rules: RuleSet::new("test", rules),
                instructions,
                holds,
                erasures,
                closure,
                recipients,
                accepted,
                now_ms,
            },
        )
    }

    #[test]
    fn ret_c19_what_is_explained_is_what_becomes_of_records_wherever_the_power_goes() {
        let mut runner = TestRunner::new(ProptestConfig::with_cases(64));
        let run = runner.run(&(worlds(), 0..60_u64), |(world, cut)| {
            let world = Arc::new(world);
            let mut site = site(RECORDS);
            let holds = u32::try_from(world.holds.len()).unwrap();
            for hold in 0..holds {
                site.ring.make(Owner::Hold(hold), NOON_MS, &mut rng()).unwrap();
            }
            let judge = || {
                let world = Arc::clone(&world);
                judge(move |n| world.fate(n))
            };
            // Cut off somewhere, gone on with after a start, and once more, which changes nothing.
            site.disk.cut_power_after(cut);
            let _ = rekey(&mut site, Kept::Body, &judge());
            let after = site.disk.crash();
            let ring = KeyRing::open(&after, Path::new("/site/keys"), kek()).unwrap();
            let mut site = Site::with(after, Path::new("/site"), None, ring);
            for _ in 0..2 {
                ordered(&mut site, Rekey::Settle).unwrap();
                rekey(&mut site, Kept::Body, &judge()).unwrap();
                let stays = world.of(|decision| matches!(decision.state, State::Live | State::Restricted));
                prop_assert_eq!(texts(&mut site, "acme"), stays);
                for (hold, held) in (0..holds).zip(&world.holds) {
                    let by_it = |by: &By<'_>| matches!(by, By::Hold(of) if std::ptr::eq(*of, held));
                    let sealed =
                        world.of(|decision| decision.state == State::Sealed && decision.by.iter().any(by_it));
                    prop_assert_eq!(in_vault(&mut site, hold).1, sealed);
                }
            }
            prop_assert_eq!(site.history.counts().unreadable, 0);
            // Of the messages' records nothing was asked.
            prop_assert_eq!(site.all_of("acme").len() as u64, RECORDS);
            Ok(())
        });
        run.unwrap();
    }
}
