//! Filing, finding, and what a crash or damage leaves.

use std::path::Path;

use super::rig::{DAY_MS, NOON_MS, Site, account, body, finished, ids, kek, plan};
use super::*;
use crate::disk::{Access, DiskFile as _, FaultyDisk, RealDisk};
use crate::seal::Purpose;
use crate::testing::rng;

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
