//! Keys under which nothing lies: which those are, and that no other goes with them.

use std::io::ErrorKind;
use std::path::Path;

use super::rig::{DAY_MS, NOON_MS, Site, account, ids};
use super::*;
use crate::disk::{FaultyDisk, Op};

/// A process was cut off between a key and its first block: no file names the key, and no sweep of files meets it.
#[test]
fn a_key_under_which_nothing_lies_is_found_once_its_period_is_over_and_no_other() {
    let disk = FaultyDisk::new();
    let mut site = Site::new(disk.clone(), Path::new("/site"), None);
    site.file("acme", 1).unwrap();
    site.checkpoint(1).unwrap();
    let with_block: Vec<_> = site.ring.periods().map(|(_, key)| key).collect();
    // The block of the next one cannot be written; its key is made.
    disk.fail_on(Op::Write, "history", 0, 1, ErrorKind::Other);
    site.file("other", 2).unwrap();
    assert!(site.checkpoint(2).is_err());
    let is_new = |site: &Site<FaultyDisk>| {
        let all = site.ring.periods().map(|(_, key)| key);
        all.filter(|key| !with_block.contains(key)).collect::<Vec<_>>()
    };
    let alone = is_new(&site);
    assert!(!alone.is_empty());
    let unused = |site: &mut Site<FaultyDisk>, over_ms| {
        let (ring, history) = (&site.ring, &mut site.history);
        history.unused(ring, over_ms, |_| true).unwrap()
    };
    let over_ms = NOON_MS + 2 * DAY_MS;
    assert_eq!(unused(&mut site, over_ms), [], "it is gathered for");
    let mut site = site.again();
    assert_eq!(unused(&mut site, NOON_MS), [], "its period is not over");
    assert_eq!(unused(&mut site, over_ms), alone);
    assert_eq!(
        site.history
            .unused(&site.ring, over_ms, |key| !alone.contains(&key))
            .unwrap(),
        [],
        "what is known to be used is passed over"
    );
    let mut stats = Stats::open(&disk, &Path::new("/site").join("history")).unwrap();
    let mut order = |site: &mut Site<FaultyDisk>, keys: &[KeyId]| {
        let order = Order::DestroyUnused {
            over_ms,
            keys: keys.to_vec(),
        };
        match site
            .history
            .obey(order, &mut site.ring, &mut stats, &mut site.rng)
            .unwrap()
        {
            Report::Unused(gone) => gone,
            other => panic!("{other:?}"),
        }
    };
    // What has got a block since it was named stays, and what has one does.
    site.file("other", 2).unwrap();
    site.checkpoint(2).unwrap();
    assert_eq!(order(&mut site, &alone), []);
    let left = is_new(&site).len();
    assert!(left > 0 && site.all_of("other") == ids("other", 2..3));
    let all: Vec<_> = site.ring.periods().map(|(_, key)| key).collect();
    assert_eq!(order(&mut site, &all), []);
    // A key that nothing was ever written under.
    let owner = PeriodOwner {
        account: account("third"),
        class: Kept::Meta as u8,
        bucket: Bucket::Day as u8,
        length: length_number("P90D"),
        start: Bucket::Day.first_hour(NOON_MS),
        part: 0,
    };
    let made = site.ring.period_keys(&[owner], NOON_MS, &mut site.rng).unwrap()[0].id();
    assert_eq!(unused(&mut site, over_ms), [made]);
    assert_eq!(order(&mut site, &[made]), [made]);
    assert!(!site.ring.has(made));
    assert_eq!(site.all_of("acme"), ids("acme", 1..2));
}

/// What would lie in a file that cannot be read may lie there.
#[test]
fn of_a_damaged_file_no_key_counts_as_unused() {
    let disk = FaultyDisk::new();
    let mut site = Site::new(disk.clone(), Path::new("/site"), None);
    site.file("acme", 1).unwrap();
    site.checkpoint(1).unwrap();
    for path in disk.paths() {
        if path.extension().is_some_and(|end| end == "blocks") {
            assert!(disk.damage(&path, 4, &[0xff; 8]));
        }
    }
    let unused = site.history.unused(&site.ring, NOON_MS + 2 * DAY_MS, |_| true);
    assert_eq!(unused.unwrap(), []);
}
