//! Filing, finding, and what a crash leaves.

#[path = "tests_filters.rs"]
mod filters;

use std::io::ErrorKind;
use std::path::Path;

use rand_chacha::ChaCha20Rng;
use tidegate_codec::address::{AddressBuf, Npi, Ton};
use tidegate_codec::values::MessageState;

use super::*;
use crate::addresses::Addresses;
use crate::disk::{Access, DiskFile as _, FaultyDisk, Op, RealDisk};
use crate::keyring::{Kek, KeyRingError, Owner};
use crate::seal::{KeyId, Purpose};
use crate::testing::{envelope, rng};

/// 2026-03-02, a Monday, at noon.
pub(super) const NOON_MS: u64 = 1_772_452_800_000;
pub(super) const DAY_MS: u64 = 24 * HOUR_MS;

pub(super) fn account(name: &str) -> SystemId {
    SystemId::new(name.as_bytes()).unwrap()
}

/// Meta by its acceptance for ninety days, texts by their end for thirty; of account `none` nothing.
pub(super) fn plan(finished: &Finished, class: Kept, _: u64) -> Option<Keep> {
    if finished.account == account("none") {
        return None;
    }
    let (anchor_ms, length) = match class {
        Kept::Meta => (finished.envelope.accepted_ms, "P90D"),
        Kept::Body => (finished.end.at_ms, "P30D"),
    };
    Some(Keep {
        anchor_ms,
        bucket: Bucket::Day,
        length: length.into(),
        place: Place {
            country: *b"GB",
            network: 234_015,
        },
    })
}

/// The n-th message of an account, one a second.
pub(super) fn finished(name: &str, n: u64) -> Finished {
    let accepted_ms = NOON_MS + n * 1_000;
    let mut ids = crate::message_id::MessageIds::new(1, 0);
    let digits = format!("4477009{:05}", n % 100_000);
    let mut envelope = envelope();
    envelope.accepted_ms = accepted_ms;
    envelope.expires_ms = accepted_ms + DAY_MS;
    envelope.addresses = Addresses::new(
        &AddressBuf::new(Ton::ALPHANUMERIC, Npi::UNKNOWN, b"Tide").unwrap(),
        &AddressBuf::new(Ton::INTERNATIONAL, Npi::ISDN, digits.as_bytes()).unwrap(),
    );
    Finished {
        id: ids.next(accepted_ms),
        leg: 0,
        account: account(name),
        direction: Direction::Mt,
        envelope,
        end: Final {
            state: MessageState::Delivered,
            at_ms: accepted_ms + 5_000,
            attempts: 1,
            settled: 2,
            released: 0,
        },
        carrier: "p".into(),
        carrier_id: MessageIdText::new(format!("c-{n}").as_bytes()).unwrap(),
    }
}

pub(super) fn body(n: u64) -> Vec<u8> {
    format!("text number {n} that nobody else may read").into_bytes()
}

pub(super) struct Site<D: Disk> {
    pub(super) disk: D,
    pub(super) root: PathBuf,
    pub(super) index: Option<PathBuf>,
    pub(super) ring: KeyRing<D>,
    pub(super) history: History<D>,
    pub(super) rng: ChaCha20Rng,
}

pub(super) fn kek() -> Kek {
    let disk = FaultyDisk::new();
    Kek::create(&disk, Path::new("kek"), &mut rng()).unwrap()
}

impl<D: Disk> Site<D> {
    pub(super) fn new(disk: D, root: &Path, index: Option<PathBuf>) -> Self {
        let mut ring = KeyRing::create(&disk, &root.join("keys"), kek(), NOON_MS, &mut rng()).unwrap();
        ring.make(Owner::Pseudonyms, NOON_MS, &mut rng()).unwrap();
        Self::with(disk, root, index, ring)
    }

    pub(super) fn with(disk: D, root: &Path, index: Option<PathBuf>, ring: KeyRing<D>) -> Self {
        let history = History::open(disk.clone(), root.join("history"), index.clone()).unwrap();
        Self {
            disk,
            root: root.to_owned(),
            index,
            ring,
            history,
            rng: rng(),
        }
    }

    /// Closed without a checkpoint, and opened again.
    pub(super) fn again(self) -> Self {
        let Self {
            disk, root, index, ..
        } = self;
        drop(self.history);
        let ring = KeyRing::open(&disk, &root.join("keys"), kek()).unwrap();
        Self::with(disk, &root, index, ring)
    }

    pub(super) fn file(&mut self, name: &str, n: u64) -> Result<(), Failed> {
        let (finished, body) = (finished(name, n), body(n));
        let now_ms = finished.end.at_ms;
        let (ring, rng) = (&mut self.ring, &mut self.rng);
        self.history
            .file(&finished, Some(&body), &plan, ring, now_ms, rng)
    }

    pub(super) fn checkpoint(&mut self, batch: u64) -> Result<(), Failed> {
        self.history
            .checkpoint(batch, &mut self.ring, NOON_MS, &mut self.rng)
    }

    pub(super) fn look(&mut self, query: &Query, class: Kept) -> Looked {
        let mut all = Looked::default();
        let mut cursor = Cursor::default();
        loop {
            let looked = self
                .history
                .look(query, class, cursor, &self.ring, Purpose::Support);
            let looked = looked.unwrap();
            all.metas.extend(looked.metas);
            all.texts.extend(looked.texts);
            all.unreadable += looked.unreadable;
            match looked.next {
                Some(next) => cursor = next,
                None => return all,
            }
        }
    }

    pub(super) fn metas(&mut self, query: &Query) -> Vec<MessageId> {
        let looked = self.look(query, Kept::Meta);
        let mut ids: Vec<_> = looked.metas.iter().map(|(_, meta)| meta.id).collect();
        ids.sort();
        ids
    }

    pub(super) fn all_of(&mut self, name: &str) -> Vec<MessageId> {
        self.metas(&Query::Account {
            account: account(name),
            from_ms: 0,
            to_ms: u64::MAX / 2,
        })
    }
}

pub(super) fn ids(name: &str, range: std::ops::Range<u64>) -> Vec<MessageId> {
    range.map(|n| finished(name, n).id).collect()
}

/// Whatever stage a record is in, it is found in each way, and with all that it holds.
fn is_found_everywhere<D: Disk>(mut site: Site<D>) {
    // Over midnight: two files of each kind.
    let count = 700;
    let late = 43_200 - 300;
    for n in late..late + count {
        site.file("acme", n).unwrap();
        site.file("none", n).unwrap();
        if n % 3 == 0 {
            site.file("other", n).unwrap();
        }
    }
    for stage in 0..4 {
        match stage {
            1 => site.checkpoint(7).unwrap(),
            2 => site = site.again(),
            // Indexes begin anew.
            3 => {
                if let Some(index) = &site.index {
                    std::fs::remove_dir_all(index).unwrap();
                }
                site = site.again();
            }
            _ => {}
        }
        assert!(
            site.all_of("acme") == ids("acme", late..late + count),
            "stage {stage}"
        );
        assert_eq!(site.all_of("other").len(), 234, "stage {stage}");
        assert_eq!(site.all_of("none"), []);
        for n in [late, late + 255, late + 256, late + 299, late + 300, late + 699] {
            let wanted = finished("acme", n);
            let by_id = site.look(&Query::Id(wanted.id), Kept::Meta);
            let found: Vec<_> = by_id
                .metas
                .iter()
                .filter(|(whose, _)| *whose == account("acme"))
                .collect();
            let keep = plan(&wanted, Kept::Meta, 0).unwrap();
            assert_eq!(found, [&(account("acme"), kept(&wanted, &keep))], "stage {stage}");
            let texts = site.look(&Query::Id(wanted.id), Kept::Body).texts;
            assert!(
                texts.iter().all(|(_, text)| text.body == body(n)),
                "stage {stage}"
            );
            assert_eq!(texts.len(), if n % 3 == 0 { 2 } else { 1 }, "stage {stage}");
            let by_number = site.metas(&Query::Recipient {
                account: account("acme"),
                digits: wanted.envelope.addresses.destination().as_bytes().to_vec(),
            });
            assert_eq!(by_number, [wanted.id], "stage {stage}");
        }
        let end_ms = finished("acme", late + 400).end.at_ms;
        let some = site.metas(&Query::Account {
            account: account("acme"),
            from_ms: end_ms,
            to_ms: end_ms + 9_000,
        });
        assert_eq!(some, ids("acme", late + 400..late + 410), "stage {stage}");
        let unknown = finished("acme", late + count).id;
        assert_eq!(site.metas(&Query::Id(unknown)), []);
    }
    assert_eq!(site.history.counts().unreadable, 0);
    assert_eq!(site.history.position(), 7);
}

/// A leg as its record is read.
fn kept(finished: &Finished, keep: &Keep) -> Meta {
    let (envelope, end) = (&finished.envelope, finished.end);
    Meta {
        id: finished.id,
        leg: finished.leg,
        direction: finished.direction,
        source: envelope.addresses.source(),
        destination: envelope.addresses.destination(),
        accepted_ms: envelope.accepted_ms,
        final_ms: end.at_ms,
        expires_ms: envelope.expires_ms,
        state: end.state,
        attempts: end.attempts,
        form: envelope.form,
        interface_version: envelope.interface_version,
        id_form: envelope.id_form,
        registered_delivery: envelope.registered_delivery,
        priority: envelope.priority,
        category: envelope.category,
        parts: envelope.parts,
        data_coding: envelope.data_coding,
        service_type: envelope.service_type.padded(),
        carrier: finished.carrier.to_string(),
        carrier_id: finished.carrier_id.clone(),
        settled: end.settled,
        released: end.released,
        place: keep.place,
    }
}

#[test]
fn what_is_filed_is_found_by_message_by_time_and_by_number_at_every_stage() {
    let disk = FaultyDisk::new();
    is_found_everywhere(Site::new(disk, Path::new("/site"), None));
}

#[test]
fn it_is_found_over_indexes_in_sled_too() {
    let root = tempfile::tempdir().unwrap();
    let index = Some(root.path().join("index"));
    is_found_everywhere(Site::new(RealDisk, root.path(), index));
}

/// The power fails at every change of the disk; behind the restart what is not covered by the checkpoint is filed anew.
#[test]
fn each_record_stands_once_whenever_the_power_fails() {
    let script = |site: &mut Site<FaultyDisk>, from: u64| {
        let mut n = 0;
        for (batch, count) in [(10, 300), (20, 40), (30, 300)] {
            for _ in 0..count {
                if n >= from {
                    site.file("acme", n)?;
                }
                n += 1;
            }
            if batch > site.history.position() {
                site.checkpoint(batch)?;
            }
        }
        Ok::<_, Failed>(())
    };
    let covered = |position| match position {
        0 => 0,
        10 => 300,
        20 => 340,
        30 => 640,
        other => panic!("{other}"),
    };
    let mut chance = rng();
    let mut positions = std::collections::BTreeSet::new();
    for changes in 0.. {
        let disk = FaultyDisk::new();
        let mut site = Site::new(disk.clone(), Path::new("/site"), None);
        disk.cut_power_after(changes);
        let done = script(&mut site, 0).is_ok();
        for after in [disk.crash(), disk.crash_with(&mut chance)] {
            let ring = KeyRing::open(&after, Path::new("/site/keys"), kek()).unwrap();
            let mut site = Site::with(after, Path::new("/site"), None, ring);
            positions.insert(site.history.position());
            let from = covered(site.history.position());
            assert!(site.all_of("acme") == ids("acme", 0..from), "{changes}");
            script(&mut site, from).unwrap();
            assert!(site.all_of("acme") == ids("acme", 0..640), "{changes}");
            let mut site = site.again();
            assert!(site.all_of("acme") == ids("acme", 0..640), "{changes}");
            assert_eq!(site.history.counts().unreadable, 0, "{changes}");
        }
        if done {
            break;
        }
    }
    assert!(positions.into_iter().eq([0, 10, 20, 30]));
}

/// Rules count from it, so that a carrier's clock must not carry a record out of its time.
#[test]
fn what_a_carrier_says_of_the_end_is_held_between_the_acceptance_and_now() {
    let mut site = Site::new(FaultyDisk::new(), Path::new("/site"), None);
    let now_ms = NOON_MS + 60_000;
    let said = [0, NOON_MS + 10_000, NOON_MS + 400 * DAY_MS];
    for (n, at_ms) in (0..).zip(said) {
        let mut finished = finished("acme", n);
        finished.end.at_ms = at_ms;
        let (ring, rng) = (&mut site.ring, &mut site.rng);
        site.history
            .file(&finished, None, &plan, ring, now_ms, rng)
            .unwrap();
    }
    let looked = site.look(
        &Query::Account {
            account: account("acme"),
            from_ms: 0,
            to_ms: u64::MAX / 2,
        },
        Kept::Meta,
    );
    let ends: Vec<u64> = looked.metas.iter().map(|(_, meta)| meta.final_ms).collect();
    assert_eq!(ends, [NOON_MS, NOON_MS + 10_000, now_ms]);
}

#[test]
fn a_full_disk_loses_nothing_and_goes_on_when_there_is_room() {
    let disk = FaultyDisk::new();
    let mut site = Site::new(disk.clone(), Path::new("/site"), None);
    for n in 0..100 {
        site.file("acme", n).unwrap();
    }
    site.checkpoint(1).unwrap();
    disk.set_capacity(Some(disk.used()));
    // All of it is gathered, though nothing can be written: a batch is filed to its end.
    let filed = 9_000;
    let failed = (100..filed).filter(|n| site.file("acme", *n).is_err()).count();
    assert!(failed > 20, "{failed}");
    assert!(site.checkpoint(2).is_err());
    assert_eq!(site.history.position(), 1);
    assert!(
        site.all_of("acme") == ids("acme", 0..filed),
        "all of it is in memory"
    );
    disk.set_capacity(None);
    site.checkpoint(2).unwrap();
    let mut site = site.again();
    assert!(site.all_of("acme") == ids("acme", 0..filed));
    assert_eq!(site.history.counts().unreadable, 0);
}

#[test]
fn a_damaged_block_takes_no_other_with_it_and_is_counted() {
    let disk = FaultyDisk::new();
    let mut site = Site::new(disk.clone(), Path::new("/site"), None);
    for n in 0..768 {
        site.file("acme", n).unwrap();
    }
    site.checkpoint(1).unwrap();
    let path = Path::new("/site/history/meta-P90D/2026-03-02-000001.blocks");
    let octets = disk.octets(path).unwrap();
    let blocks: Vec<usize> = memchr::memmem::find_iter(&octets, b"TGHB").collect();
    assert_eq!(blocks.len(), 3);
    // In the sealed part of the second block, then in its header: by then no index knows it.
    for place in [blocks[2] - 40, blocks[1] + 30] {
        let file = disk.open(path, Access::ReadWrite).unwrap();
        file.write_at(&[io::IoSlice::new(&[!octets[place]])], place as u64)
            .unwrap();
        file.sync_all().unwrap();
        let mut again = site.again();
        let mut left = ids("acme", 0..256);
        left.extend(ids("acme", 512..768));
        assert!(again.all_of("acme") == left);
        assert_eq!(again.history.counts().unreadable, 1);
        site = again;
    }
}

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
fn periods_begin_where_the_calendar_says() {
    let hour = |ms: u64| u32::try_from(ms / HOUR_MS).unwrap();
    for (at_ms, bucket, first) in [
        (NOON_MS + 59 * 60_000, Bucket::Hour, NOON_MS),
        (NOON_MS, Bucket::Day, NOON_MS - DAY_MS / 2),
        // A Monday; and the Sunday before it is of the week before.
        (NOON_MS, Bucket::Week, NOON_MS - DAY_MS / 2),
        (NOON_MS - DAY_MS, Bucket::Week, NOON_MS - DAY_MS / 2 - 7 * DAY_MS),
    ] {
        assert_eq!(bucket.first_hour(at_ms), hour(first), "{bucket:?}");
    }
    let key = PeriodKey {
        class: Kept::Meta,
        length: "P90D".into(),
        day: hour(NOON_MS) / 24,
    };
    assert_eq!(
        (key.group().as_str(), key.name().as_str()),
        ("meta-P90D", "2026-03-02")
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

/// What is written between two slices of a look moves blocks from memory into the index.
#[test]
fn a_look_in_slices_finds_each_record_once_whatever_is_written_meanwhile() {
    let mut site = Site::new(FaultyDisk::new(), Path::new("/site"), None);
    let each = |site: &mut Site<FaultyDisk>, n| {
        site.file("acme", n).unwrap();
        site.checkpoint(n + 1).unwrap();
    };
    // A block each; the first sixty-four are indexed, the others are not.
    (0..100).for_each(|n| each(&mut site, n));
    site.file("acme", 100).unwrap();
    let query = Query::Account {
        account: account("acme"),
        from_ms: 0,
        to_ms: u64::MAX / 2,
    };
    let slice = |site: &mut Site<FaultyDisk>, cursor: Cursor| {
        let looked = site
            .history
            .look(&query, Kept::Meta, cursor, &site.ring, Purpose::Support);
        looked.unwrap()
    };
    let first = slice(&mut site, Cursor::default());
    (101..160).for_each(|n| each(&mut site, n));
    let (mut metas, mut next) = (first.metas, first.next);
    while let Some(cursor) = next {
        let slice = slice(&mut site, cursor);
        metas.extend(slice.metas);
        next = slice.next;
    }
    let mut found: Vec<MessageId> = metas.iter().map(|(_, meta)| meta.id).collect();
    found.sort();
    assert!(found == ids("acme", 0..101), "{}", found.len());
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

/// ENC-4: a slot that neither copy gives stops nobody else's records, and its own period's go under another key.
#[test]
fn a_key_that_cannot_be_read_holds_up_no_gather() {
    let disk = FaultyDisk::new();
    let mut site = Site::new(disk.clone(), Path::new("/site"), None);
    site.file("acme", 1).unwrap();
    site.checkpoint(1).unwrap();
    let mut site = site.again();
    let torn: Vec<_> = site.ring.periods().map(|(_, key)| key).collect();
    for name in ["ring.a", "ring.b"] {
        // Behind the keys of ids and pseudonyms.
        for slot in 2..2 + torn.len() as u64 {
            let at = 512 + slot * 128 + 40;
            assert!(disk.damage(&Path::new("/site/keys").join(name), at, &[7; 60]));
        }
    }
    assert!(torn.iter().all(|key| site.ring.get(*key).is_none()));
    for n in 2..4 {
        site.file("acme", n).unwrap();
        site.file("other", n).unwrap();
    }
    site.checkpoint(2).unwrap();
    assert_eq!(
        site.all_of("acme"),
        ids("acme", 2..4),
        "what came before is lost with its key"
    );
    assert_eq!(site.all_of("other"), ids("other", 2..4));
    assert!(site.history.counts().unreadable >= torn.len() as u64);
    // What is gathered later goes under the same.
    let keys = site.ring.len();
    site.file("acme", 4).unwrap();
    site.checkpoint(3).unwrap();
    assert_eq!((site.ring.len(), site.all_of("acme")), (keys, ids("acme", 2..5)));
}

/// KEY-C02: a block's sealed octets in another's place do not open, not even under the same key; that is counted, and what
/// adds a period up goes on behind it.
#[test]
fn key_c02_a_block_s_octets_in_another_s_place_do_not_open_and_stop_no_sweep() {
    let disk = FaultyDisk::new();
    let mut site = Site::new(disk.clone(), Path::new("/site"), None);
    // As many as it takes for two blocks that are equally long.
    for n in 0..200 {
        site.file("acme", n).unwrap();
        site.checkpoint(n + 1).unwrap();
    }
    let path = Path::new("/site/history/meta-P90D/2026-03-02-000001.blocks");
    let octets = disk.octets(path).unwrap();
    let mut blocks: Vec<usize> = memchr::memmem::find_iter(&octets, b"TGHB").collect();
    assert_eq!(blocks.len(), 200);
    blocks.push(octets.len());
    let of = |n: usize| blocks[n]..blocks[n + 1];
    let (from, to) = (0..200)
        .flat_map(|from| (from + 1..200).map(move |to| (from, to)))
        .find(|(from, to)| of(*from).len() == of(*to).len())
        .unwrap();
    // All blocks here have one record, so their headers are equally long: what is behind is sealed.
    let mut period = None;
    site.history
        .files
        .scan(
            &site
                .history
                .periods()
                .find(|file| file.class == Kept::Meta)
                .unwrap()
                .clone(),
            At { part: 1, offset: 0 },
            |_, header| {
                period = Some((header.header_len(), header.key));
                std::ops::ControlFlow::Break(())
            },
        )
        .unwrap();
    let (header_len, key) = period.unwrap();
    let sealed = &octets[of(from)][header_len..];
    let file = disk.open(path, Access::ReadWrite).unwrap();
    let at = (of(to).start + header_len) as u64;
    file.write_at(&[io::IoSlice::new(sealed)], at).unwrap();
    file.sync_all().unwrap();
    let mut site = site.again();
    let mut left = ids("acme", 0..200);
    left.remove(to);
    assert!(site.all_of("acme") == left);
    assert_eq!(site.history.counts().unreadable, 1);
    let period = site
        .history
        .periods()
        .find(|file| file.class == Kept::Meta)
        .unwrap()
        .clone();
    let cells = site.history.add_up(&period, key, &site.ring).unwrap();
    assert_eq!(
        (cells.values().sum::<u64>(), site.history.counts().unreadable),
        (199, 2)
    );
}
