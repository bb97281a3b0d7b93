//! How a period ends: its lots go with their keys and are counted once, and then its files go.

use std::io::ErrorKind;
use std::path::Path;

use tidegate_codec::values::MessageState;

use super::rig::{DAY_MS, NOON_MS, Site, account, ids, kek};
use super::*;
use crate::disk::{FaultyDisk, Op};
use crate::keyring::KeyRingError;
use crate::testing::rng;

/// Which is how a period ends (ERA-4): its octets may still lie anywhere.
#[test]
fn with_its_key_a_period_is_gone_and_no_other() {
    let disk = FaultyDisk::new();
    let mut site = Site::new(disk, Path::new("/site"), None);
    let midnight = 43_200;
    for n in midnight - 50..midnight + 50 {
        site.file("acme", n).unwrap();
        site.file("other", n).unwrap();
    }
    site.checkpoint(1).unwrap();
    let of_day = |(owner, _): &(PeriodOwner, KeyId)| {
        owner.account == account("acme") && owner.class == 1 && owner.start == Bucket::Day.first_hour(NOON_MS)
    };
    let keys: Vec<_> = site.ring.periods().filter(of_day).collect();
    assert_eq!(keys.len(), 1);
    site.ring.destroy_many(&[keys[0].1]).unwrap();
    assert_eq!(site.all_of("acme"), ids("acme", midnight..midnight + 50));
    assert_eq!(site.all_of("other"), ids("other", midnight - 50..midnight + 50));
    assert_eq!(
        site.history.counts().unreadable,
        0,
        "what was erased is no damage"
    );
}

#[test]
fn a_file_goes_with_its_lots_and_no_other_and_what_they_were_is_counted_once() {
    let disk = FaultyDisk::new();
    let mut site = Site::new(disk.clone(), Path::new("/site"), None);
    let midnight = 43_200;
    for n in midnight - 300..midnight + 100 {
        site.file("acme", n).unwrap();
    }
    for n in midnight - 20..midnight {
        site.file("other", n).unwrap();
    }
    site.checkpoint(1).unwrap();
    let periods: Vec<_> = site.history.periods().cloned().collect();
    let names: Vec<_> = periods.iter().map(|key| (key.group(), key.name())).collect();
    let day = |group: &str, name: &str| (group.to_owned(), name.to_owned());
    // What was accepted seconds before midnight has ended behind it.
    assert_eq!(
        names,
        [
            day("meta-P90D", "2026-03-02"),
            day("meta-P90D", "2026-03-03"),
            day("body-P30D", "2026-03-02"),
            day("body-P30D", "2026-03-03"),
        ]
    );
    let first = &periods[0];
    let lots = site.history.lots(first, &site.ring).unwrap();
    let of_lots: Vec<_> = lots
        .iter()
        .map(|lot| (lot.account.to_string(), lot.records))
        .collect();
    assert_eq!(of_lots, [("acme".to_owned(), 300), ("other".to_owned(), 20)]);
    assert!(
        lots.iter()
            .all(|lot| lot.end_ms() == NOON_MS + DAY_MS / 2 && lot.is_there)
    );
    let mut stats = Stats::open(&disk, Path::new("/site/history")).unwrap();
    // Twice, as after a kill between this and the destruction of the key.
    for _ in 0..2 {
        for lot in &lots {
            let cells = site.history.add_up(first, lot.key, &site.ring).unwrap();
            assert_eq!(cells.values().sum::<u64>(), lot.records);
            stats.enter(lot, cells).unwrap();
        }
    }
    let keys: Vec<_> = lots.iter().map(|lot| lot.key).collect();
    site.ring.destroy_many(&keys).unwrap();
    assert!(
        site.history
            .lots(first, &site.ring)
            .unwrap()
            .iter()
            .all(|lot| !lot.is_there)
    );
    let before = site.history.octets();
    let given_back = site.history.remove(first).unwrap();
    assert_eq!(
        (site.history.octets(), given_back > 0),
        (before - given_back, true)
    );
    let path = Path::new("/site/history/meta-P90D/2026-03-02-000001.blocks");
    assert!(disk.octets(path).is_none());
    let mut site = site.again();
    assert!(site.all_of("acme") == ids("acme", midnight..midnight + 100));
    assert_eq!(site.history.counts().unreadable, 0);
    let stats = Stats::open(&disk, Path::new("/site/history")).unwrap();
    let by_account = stats.by_account();
    let totals: Vec<_> = by_account
        .iter()
        .map(|(account, cells)| (account.to_string(), cells.values().sum::<u64>()))
        .collect();
    assert_eq!(totals, [("acme".to_owned(), 300), ("other".to_owned(), 20)]);
    let cell = by_account[&account("acme")].keys().next().unwrap();
    assert_eq!(
        (cell.place.country, cell.state()),
        (*b"GB", Some(MessageState::Delivered))
    );
}

/// The power fails at every change of the disk while a period is removed: it is there or gone, and others are untouched.
#[test]
fn a_removal_that_is_cut_off_is_done_by_the_next_start_or_again() {
    for changes in 0.. {
        let disk = FaultyDisk::new();
        let mut site = Site::new(disk.clone(), Path::new("/site"), None);
        let midnight = 43_200;
        for n in midnight - 10..midnight + 10 {
            site.file("acme", n).unwrap();
        }
        site.checkpoint(4).unwrap();
        // Behind the checkpoint: nothing of it may count by the note that a removal writes.
        site.file("acme", midnight + 10).unwrap();
        let first = site.history.periods().next().unwrap().clone();
        disk.cut_power_after(changes);
        let done = site.history.remove(&first).is_ok();
        for after in [disk.crash(), disk.crash_with(&mut rng())] {
            let ring = KeyRing::open(&after, Path::new("/site/keys"), kek()).unwrap();
            let mut site = Site::with(after, Path::new("/site"), None, ring);
            let left = site.all_of("acme");
            let gone = left == ids("acme", midnight..midnight + 10);
            assert!(
                gone || left == ids("acme", midnight - 10..midnight + 10) && !done,
                "{changes}"
            );
            assert_eq!(
                (site.history.position(), site.history.counts().unreadable),
                (4, 0),
                "{changes}"
            );
        }
        if done {
            assert!(changes > 3);
            break;
        }
    }
}

/// After a destruction that failed the ring knows the key no more, and the disk may: nobody is told that it is gone, and no file goes.
#[test]
fn what_could_not_be_destroyed_is_not_told_to_be_gone() {
    let disk = FaultyDisk::new();
    let mut site = Site::new(disk.clone(), Path::new("/site"), None);
    site.file("acme", 1).unwrap();
    site.checkpoint(1).unwrap();
    let mut stats = Stats::open(&disk, Path::new("/site/history")).unwrap();
    let period = site.history.periods().next().unwrap().clone();
    let lots = site.history.lots(&period, &site.ring).unwrap();
    let mut ordered = |site: &mut Site<FaultyDisk>, order: Order| {
        let (ring, rng) = (&mut site.ring, &mut site.rng);
        site.history.obey(order, ring, &mut stats, rng)
    };
    disk.fail_on(Op::Write, "ring.a", 0, 1, ErrorKind::Other);
    let order = Order::Erase(period.clone(), vec![(lots[0].clone(), AddUp::No)]);
    ordered(&mut site, order).unwrap_err();
    assert!(site.ring.fingerprint(lots[0].key).is_none());
    for order in [Order::Fingerprints(vec![lots[0].key]), Order::Remove(period)] {
        let told = ordered(&mut site, order).unwrap_err();
        assert!(
            matches!(told, OrderError::Ring(KeyRingError::GivenUp { .. })),
            "{told:?}"
        );
    }
}

/// What a sweep orders: each lot counts once in the statistics, and no file goes of which something may still be read.
#[test]
fn lots_are_erased_with_what_they_add_up_to_and_no_file_goes_with_a_key_that_is_there() {
    let disk = FaultyDisk::new();
    let mut site = Site::new(disk.clone(), Path::new("/site"), None);
    for n in 0..3 {
        site.file("acme", n).unwrap();
        site.file("other", n).unwrap();
    }
    site.checkpoint(1).unwrap();
    let dir = Path::new("/site/history");
    let mut stats = Stats::open(&disk, dir).unwrap();
    let period = site.history.periods().next().unwrap().clone();
    assert_eq!(period.to_string(), "meta-P90D/2026-03-02");
    let lots = site.history.lots(&period, &site.ring).unwrap();
    assert_eq!(lots[0].last_ms, NOON_MS + 2_000 + 5_000);
    let part = Path::new("/site/history/meta-P90D/2026-03-02-000001.blocks");
    let octets = disk.octets(part).unwrap().len() as u64;
    assert_eq!(lots[0].octets + lots[1].octets, octets);
    let mut ordered = |site: &mut Site<FaultyDisk>, order: Order| {
        let (ring, rng) = (&mut site.ring, &mut site.rng);
        site.history.obey(order, ring, &mut stats, rng)
    };
    let keys = lots.iter().map(|lot| lot.key).collect();
    let told = ordered(&mut site, Order::Fingerprints(keys)).unwrap();
    assert!(matches!(told, Report::Fingerprints(all) if all.len() == 2 && all[0].1 != all[1].1));
    for expected in [vec![3], vec![]] {
        let order = Order::Erase(period.clone(), vec![(lots[0].clone(), AddUp::Yes)]);
        let Report::Erased(erased) = ordered(&mut site, order).unwrap() else {
            panic!("something else");
        };
        let counted: Vec<u64> = erased.iter().map(|erased| erased.counted).collect();
        assert_eq!(counted, expected);
    }
    let refused = ordered(&mut site, Order::Remove(period.clone())).unwrap_err();
    assert!(refused.to_string().contains("meta-P90D/2026-03-02"), "{refused}");
    assert_eq!(site.all_of("other").len(), 3);
    let purged = Order::Erase(period.clone(), vec![(lots[1].clone(), AddUp::No)]);
    let told = ordered(&mut site, purged).unwrap();
    assert!(matches!(told, Report::Erased(all) if all.len() == 1 && all[0].counted == 0));
    let told = ordered(&mut site, Order::Remove(period)).unwrap();
    assert!(matches!(told, Report::Removed(gone) if gone == octets));
    let Report::Stats(by_account) = ordered(&mut site, Order::Stats).unwrap() else {
        panic!("something else");
    };
    let totals: Vec<u64> = by_account.iter().map(|(_, cells)| cells.values().sum()).collect();
    assert_eq!(totals, [3], "of one account, once");
    assert_eq!(sweep_note(&disk, dir).unwrap(), None);
    for note in ["one", "the other"] {
        ordered(&mut site, Order::Note(note.into())).unwrap();
        assert_eq!(sweep_note(&disk, dir).unwrap().as_deref(), Some(note.as_bytes()));
    }
    assert!(ordered(&mut site, Order::Note(vec![0; (1 << 20) + 1])).is_err());
}

/// A lot that is counted when it goes is gone through some blocks at a time, and what comes meanwhile counts, too.
#[test]
fn a_large_lot_is_added_up_in_steps_and_each_record_of_it_counts_once() {
    let disk = FaultyDisk::new();
    let mut site = Site::new(disk.clone(), Path::new("/site"), None);
    // A block each.
    let filed = |site: &mut Site<FaultyDisk>, numbers: std::ops::Range<u64>| {
        for n in numbers {
            site.file("acme", n).unwrap();
            site.checkpoint(n + 1).unwrap();
        }
    };
    filed(&mut site, 0..70);
    let mut stats = Stats::open(&disk, Path::new("/site/history")).unwrap();
    let period = site.history.periods().next().unwrap().clone();
    let lot = site.history.lots(&period, &site.ring).unwrap().remove(0);
    let mut ordered = |site: &mut Site<FaultyDisk>, order: Order| {
        let (ring, rng) = (&mut site.ring, &mut site.rng);
        site.history.obey(order, ring, &mut stats, rng)
    };
    let mut step = |site: &mut Site<FaultyDisk>| {
        let told = ordered(site, Order::AddUp(period.clone(), lot.key)).unwrap();
        let Report::AddedUp(is_all) = told else {
            panic!("{told:?}");
        };
        is_all
    };
    let steps: Vec<bool> = (0..3).map(|_| step(&mut site)).collect();
    assert_eq!(steps, [false, false, true], "32 blocks at a time");
    filed(&mut site, 70..75);
    assert!(step(&mut site), "five more");
    filed(&mut site, 75..80);
    let order = Order::Erase(period.clone(), vec![(lot.clone(), AddUp::Yes)]);
    let Report::Erased(erased) = ordered(&mut site, order).unwrap() else {
        panic!("something else");
    };
    assert_eq!(erased[0].counted, 80);
    assert_eq!(site.history.counts().unreadable, 0);
}

#[test]
fn statistics_behind_a_damaged_entry_are_not_lost() {
    let disk = FaultyDisk::new();
    let dir = Path::new("/site/history");
    let lot = |key: u32| Lot {
        key: KeyId(key),
        ..lot_of("acme")
    };
    let cell = Cell {
        day: 20_514,
        place: Place::default(),
        is_mo: false,
        sender_ton: 1,
        state: 2,
        parts: 1,
    };
    let mut stats = Stats::open(&disk, dir).unwrap();
    for key in 1..=3 {
        stats.enter(&lot(key), Cells::from([(cell.clone(), 10)])).unwrap();
    }
    let whole = disk.octets(&dir.join("stats")).unwrap();
    let entry = whole.len() as u64 / 3;
    // The length of the second: it points far behind the end.
    assert!(disk.damage(&dir.join("stats"), entry, &[0xff]));
    let stats = Stats::open(&disk, dir).unwrap();
    assert_eq!(stats.by_account()[&account("acme")].values().sum::<u64>(), 20);
    assert_eq!(stats.damaged(), 1);
    assert_eq!(disk.octets(&dir.join("stats")).unwrap().len(), whole.len());
}

fn lot_of(name: &str) -> Lot {
    let mut site = Site::new(FaultyDisk::new(), Path::new("/site"), None);
    site.file(name, 1).unwrap();
    site.checkpoint(1).unwrap();
    let period = site.history.periods().next().unwrap().clone();
    site.history.lots(&period, &site.ring).unwrap().swap_remove(0)
}
