//! Filters of closed periods: what they let pass over, and what ends them.

use std::path::Path;

use super::rig::{DAY_MS, NOON_MS, Site, account, finished, ids, kek, plan};
use super::*;
use crate::disk::{DiskFile as _, FaultyDisk, RealDisk};
use crate::seal::Purpose;
use crate::testing::rng;

/// Three days, and a few messages a day: the last is not over.
const A_DAY: u64 = 86_400;
const LATER_MS: u64 = NOON_MS + 2 * DAY_MS + 8 * HOUR_MS;

fn of_day(day: u64) -> std::ops::Range<u64> {
    day * A_DAY..day * A_DAY + 400
}

fn three_days<D: Disk>(site: &mut Site<D>) {
    for day in 0..3 {
        of_day(day).for_each(|n| site.file("acme", n).unwrap());
        site.checkpoint(day + 1).unwrap();
    }
}

impl<D: Disk> Site<D> {
    /// Does all that there is to do for filters at a time.
    fn tend(&mut self, now_ms: u64) -> FilterCounts {
        while self.history.tend_filters(&self.ring, now_ms) {}
        self.history.filter_counts()
    }

    fn to(&mut self, n: u64) -> Vec<MessageId> {
        let destination = finished("acme", n).envelope.addresses.destination();
        self.metas(&Query::Recipient {
            account: account("acme"),
            digits: destination.as_bytes().to_vec(),
        })
    }

    fn by_id(&mut self, id: MessageId) -> usize {
        self.metas(&Query::Id(id)).len()
    }
}

fn filter_of(site: &Site<FaultyDisk>, day: &str) -> Option<Vec<u8>> {
    let path = format!("/site/history/meta-P90D/{day}.filter");
    site.disk.octets(Path::new(&path))
}

#[test]
fn a_look_opens_the_indexes_of_the_periods_that_hold_it_and_no_others() {
    let root = tempfile::tempdir().unwrap();
    let index = Some(root.path().join("index"));
    let mut site = Site::new(RealDisk, root.path(), index);
    three_days(&mut site);
    // Messages of the third day's noon, and it is evening: two days of each class are over and at rest.
    let told = site.tend(LATER_MS);
    assert_eq!((told.filters, told.made, told.records), (4, 4, 2 * 2 * 400));
    assert!(told.octets > 0);
    let mut site = site.again();
    // They are read, not made anew.
    let told = site.tend(LATER_MS);
    assert_eq!((told.filters, told.made), (4, 0));
    let n = A_DAY + 7;
    assert_eq!(site.to(n), [finished("acme", n).id]);
    let open = |site: &Site<RealDisk>| {
        let open = site.history.indexes.opened();
        open.map(PeriodKey::name).collect::<Vec<_>>()
    };
    // The day that holds it, and the one that nobody knows of.
    assert_eq!(open(&site), ["2026-03-04", "2026-03-03"]);
    let told = site.history.filter_counts();
    assert_eq!((told.asked, told.passed_over, told.in_vain), (2, 1, 0));
    // An id of another day lies outside of what the filters hold.
    let mut site = site.again();
    site.tend(LATER_MS);
    assert_eq!(site.by_id(finished("acme", 2 * A_DAY + 3).id), 1);
    assert_eq!(open(&site), ["2026-03-04"]);
    for day in 0..3 {
        for n in of_day(day) {
            assert_eq!(
                (site.by_id(finished("acme", n).id), site.to(n).len()),
                (1, 1),
                "{n}"
            );
        }
    }
    // One that none has, and those in vain are counted.
    let missed = (0..2_000).filter(|n| !site.to(50_000 + n).is_empty()).count();
    let told = site.history.filter_counts();
    let false_ones = told.asked - told.passed_over - 2 * 400;
    assert_eq!(missed, 0);
    assert_eq!(
        told.in_vain,
        told.asked - told.passed_over - 2 * 400 - 2 * 400,
        "{told:?}"
    );
    assert!(false_ones < told.asked / 4);
}

#[test]
fn what_comes_late_is_found_and_added_when_the_file_rests_again() {
    let mut site = Site::new(FaultyDisk::new(), Path::new("/site"), None);
    three_days(&mut site);
    assert_eq!(
        site.tend(NOON_MS + DAY_MS / 2 + HOUR_MS - 1).filters,
        0,
        "a day is not over before it has rested"
    );
    assert_eq!(site.tend(LATER_MS).filters, 4);
    // Its receipt came a day late: its record counts from its acceptance.
    let late = 500;
    let file = |site: &mut Site<FaultyDisk>, n: u64| {
        let mut finished = finished("acme", n);
        finished.end.at_ms = LATER_MS;
        let (ring, rng) = (&mut site.ring, &mut site.rng);
        site.history
            .file(&finished, None, &plan, ring, LATER_MS, rng)
            .unwrap();
    };
    file(&mut site, late);
    // In memory, in a block, and in a block behind a restart.
    assert_eq!(site.to(late), ids("acme", late..late + 1));
    let (ring, rng) = (&mut site.ring, &mut site.rng);
    site.history.checkpoint(9, ring, LATER_MS, rng).unwrap();
    assert_eq!(site.to(late), ids("acme", late..late + 1));
    assert_eq!(site.tend(LATER_MS + HOUR_MS / 2).made, 4, "it does not rest yet");
    let told = site.tend(LATER_MS + HOUR_MS);
    assert_eq!((told.made, told.records), (5, 4 * 400 + 1));
    assert_eq!(site.to(late), ids("acme", late..late + 1));
    let mut site = site.again();
    assert_eq!(site.to(late), ids("acme", late..late + 1));
    assert_eq!(site.tend(LATER_MS + HOUR_MS).made, 0);
    assert_eq!(site.to(late), ids("acme", late..late + 1));
    // One that is only gathered belongs to a file that does not rest.
    file(&mut site, late + 1);
    assert_eq!(site.to(late + 1), ids("acme", late + 1..late + 2));
}

#[test]
fn a_filter_that_is_missing_damaged_or_of_another_length_is_made_anew() {
    let mut site = Site::new(FaultyDisk::new(), Path::new("/site"), None);
    three_days(&mut site);
    site.tend(LATER_MS);
    let path = Path::new("/site/history/meta-P90D/2026-03-02.filter");
    let whole = site.disk.octets(path).unwrap();
    for damage in 0..3 {
        match damage {
            0 => site.disk.unlink(path).unwrap(),
            1 => assert!(site.disk.damage(path, 60, &[0xff, 0xff])),
            // That of another day.
            _ => {
                let other = site
                    .disk
                    .octets(&path.with_file_name("2026-03-03.filter"))
                    .unwrap();
                assert!(site.disk.damage(path, 0, &other[..whole.len().min(other.len())]));
            }
        }
        site = site.again();
        assert_eq!(site.tend(LATER_MS).made, 1, "{damage}");
        assert_eq!(site.disk.octets(path), Some(whole.clone()));
        assert_eq!((site.to(7), site.to(401)), (ids("acme", 7..8), vec![]));
    }
}

/// It is an index by a hash of numbers: it must not tell of who is gone.
#[test]
fn a_filter_goes_with_what_is_erased_and_with_its_file() {
    let mut site = Site::new(FaultyDisk::new(), Path::new("/site"), None);
    three_days(&mut site);
    of_day(0).for_each(|n| site.file("other", n).unwrap());
    site.checkpoint(9).unwrap();
    site.tend(LATER_MS);
    let first = site.history.periods().next().unwrap().clone();
    assert!(filter_of(&site, "2026-03-02").is_some());
    let lots = site.history.lots(&first, &site.ring).unwrap();
    let of_acme = lots.iter().find(|lot| lot.account == account("acme")).unwrap();
    let mut stats = Stats::open(&site.disk, Path::new("/site/history")).unwrap();
    let order = Order::Erase(first.clone(), vec![(of_acme.clone(), AddUp::No)]);
    site.history
        .obey(order, &mut site.ring, &mut stats, &mut site.rng)
        .unwrap();
    assert_eq!(filter_of(&site, "2026-03-02"), None);
    assert!(site.to(7).is_empty());
    // The one that is made then does not hold it.
    let told = site.tend(LATER_MS);
    assert!(filter_of(&site, "2026-03-02").is_some());
    assert_eq!(told.records, 400 + 400 + 2 * 400 + 400);
    // Whoever destroys a key by another way ends it as well.
    let of_other = lots.iter().find(|lot| lot.account == account("other")).unwrap();
    site.ring.destroy_many(&[of_other.key]).unwrap();
    let told = site.tend(LATER_MS);
    assert_eq!(told.records, 400 + 2 * 400 + 400);
    site.history.remove(&first).unwrap();
    assert_eq!(filter_of(&site, "2026-03-02"), None);
    assert_eq!(site.tend(LATER_MS).filters, 3);
    // What no period stands behind goes with a start.
    let stray = Path::new("/site/history/meta-P90D/2026-03-02.filter");
    let file = site.disk.create(stray, 0o600, 0).unwrap();
    file.sync_all().unwrap();
    let site = site.again();
    assert_eq!(site.disk.octets(stray), None);
    assert!(filter_of(&site, "2026-03-03").is_some());
}

#[test]
fn a_block_that_cannot_be_read_is_told_in_spite_of_a_filter() {
    let mut site = Site::new(FaultyDisk::new(), Path::new("/site"), None);
    three_days(&mut site);
    let path = Path::new("/site/history/meta-P90D/2026-03-02-000001.blocks");
    let len = site.disk.octets(path).unwrap().len() as u64;
    assert!(site.disk.damage(path, len - 40, &[0x5a; 20]));
    let told = site.tend(LATER_MS);
    assert_eq!((told.filters, told.made), (4, 3));
    assert_eq!(filter_of(&site, "2026-03-02"), None);
    let query = Query::Recipient {
        account: account("acme"),
        digits: finished("acme", 399)
            .envelope
            .addresses
            .destination()
            .as_bytes()
            .to_vec(),
    };
    let looked = site.look(&query, Kept::Meta);
    assert_eq!((looked.metas.len(), looked.unreadable), (0, 1));
}

/// The power fails at every change of the disk while filters are made: what was there is found.
#[test]
fn whenever_the_power_fails_all_is_found_and_filters_are_made_again() {
    for changes in 0.. {
        let mut site = Site::new(FaultyDisk::new(), Path::new("/site"), None);
        three_days(&mut site);
        let disk = site.disk.clone();
        disk.cut_power_after(changes);
        let done = site.tend(LATER_MS).made == 4;
        for after in [disk.crash(), disk.crash_with(&mut rng())] {
            let ring = KeyRing::open(&after, Path::new("/site/keys"), kek()).unwrap();
            let mut site = Site::with(after, Path::new("/site"), None, ring);
            for n in [3, A_DAY + 399] {
                assert_eq!(site.to(n), ids("acme", n..n + 1), "{changes}");
            }
            assert_eq!(site.tend(LATER_MS).filters, 4, "{changes}");
            for n in [3, A_DAY + 399] {
                assert_eq!(site.to(n), ids("acme", n..n + 1), "{changes}");
            }
            assert_eq!(site.history.counts().unreadable, 0, "{changes}");
        }
        if done {
            assert!(changes > 8);
            break;
        }
    }
}

/// More blocks of one account in a period than one slice asks an index for, and new ones come in between.
#[test]
fn a_look_for_a_number_goes_through_an_index_in_slices() {
    let mut site = Site::new(FaultyDisk::new(), Path::new("/site"), None);
    let each = |site: &mut Site<FaultyDisk>, n: u64| {
        let mut finished = finished("acme", n);
        // To one number all of them.
        let of_all = rig::finished("acme", 0).envelope.addresses;
        finished.envelope.addresses = of_all;
        let (ring, rng) = (&mut site.ring, &mut site.rng);
        site.history
            .file(&finished, None, &plan, ring, NOON_MS + DAY_MS / 2 - 1, rng)
            .unwrap();
        site.checkpoint(n + 1).unwrap();
    };
    (0..200).for_each(|n| each(&mut site, n));
    let query = Query::Recipient {
        account: account("acme"),
        digits: finished("acme", 0)
            .envelope
            .addresses
            .destination()
            .as_bytes()
            .to_vec(),
    };
    let (mut found, mut cursor, mut slices) = (Vec::new(), Some(Cursor::default()), 0);
    while let Some(at) = cursor {
        let (history, ring) = (&mut site.history, &site.ring);
        let looked = history
            .look(&query, Kept::Meta, at, ring, Purpose::Support)
            .unwrap();
        found.extend(looked.metas.iter().map(|(_, meta)| meta.id));
        assert!(looked.metas.len() <= 64);
        cursor = looked.next;
        // Into the index goes what was in memory, and what is new.
        (0..40).for_each(|n| each(&mut site, 200 + slices * 40 + n));
        slices += 1;
    }
    found.sort();
    assert!(found == ids("acme", 0..200), "{}", found.len());
    assert!(slices > 4, "{slices}");
}

#[test]
fn what_is_made_anew_by_hand_is_as_it_was() {
    let root = tempfile::tempdir().unwrap();
    let index = root.path().join("index");
    let mut site = Site::new(RealDisk, root.path(), Some(index.clone()));
    three_days(&mut site);
    site.tend(LATER_MS);
    let periods: Vec<PeriodKey> = site.history.periods().cloned().collect();
    // A database that is none, one that is missing, and a filter that is gone.
    let mut site = site.again();
    let _ = std::fs::remove_dir_all(index.join("meta-P90D"));
    let spoilt = index.join("meta-P90D/2026-03-02");
    std::fs::create_dir_all(&spoilt).unwrap();
    std::fs::write(spoilt.join("conf"), b"no configuration").unwrap();
    std::fs::write(spoilt.join("db"), b"no database").unwrap();
    std::fs::remove_file(root.path().join("history/meta-P90D/2026-03-03.filter")).unwrap();
    site.tend(LATER_MS);
    for period in &periods {
        let mut how = Rebuild::IndexAndFilter;
        while site.history.rebuild(period, how).unwrap() {
            how = Rebuild::GoOn;
        }
    }
    assert_eq!(site.history.filter_counts().filters, 0);
    assert_eq!(site.tend(LATER_MS).filters, 4);
    for day in 0..3 {
        for n in of_day(day).step_by(50) {
            assert_eq!(
                (site.by_id(finished("acme", n).id), site.to(n).len()),
                (1, 1),
                "{n}"
            );
        }
    }
    // None was made anew by a look.
    assert_eq!(site.history.counts().rebuilt, periods.len() as u64);
    // Of a file that is gone there is nothing to make.
    let gone = PeriodKey {
        day: 1,
        ..periods[0].clone()
    };
    assert!(!site.history.rebuild(&gone, Rebuild::Index).unwrap());
}
