//! A sweep over ten thousand records that is cut off a hundred times, wherever chance has it.

use std::path::Path;

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};
use tidegate_codec::address::{AddressBuf, Npi, Ton};
use tidegate_codec::identity::SystemId;
use tidegate_codec::message_id::MessageIdText;
use tidegate_gateway::keeping::Ended;
use tidegate_store::addresses::Addresses;
use tidegate_store::history::{
    Bucket, Cursor, Direction, Finished, History, Keep, Kept, Looked, Place as Went, Query,
};
use tidegate_store::keyring::{Kek, KeyRing};
use tidegate_store::message_id::{MessageId, MessageIds};
use tidegate_store::record::{Envelope, Final, Form};
use tidegate_store::seal::Purpose;
use tidegate_store::service_type::ServiceType;

use super::sweeps::{entries, left, started};
use super::*;

const DAY_MS: u64 = 24 * 3_600_000;
/// Each has a record and a text: ten thousand records.
const MESSAGES: u64 = 5_000;
const DAYS: u64 = 6;
/// Whole days that are due, by a rule of thirty days from the end on.
const DUE_DAYS: u64 = 3;
const CUTS: usize = 100;
/// Of so many records that are there behind a cut one is asked whether it may be read.
const EVERY: usize = 41;
/// Half of the next day is due, too: its records are gone for readers, and its lot stays for the others in it.
const NOW_MS: u64 = START_MS + (30 + DUE_DAYS) * DAY_MS + DAY_MS / 2;

fn finished(id: MessageId, account: SystemId, accepted_ms: u64, n: u64) -> Finished {
    let source = AddressBuf::new(Ton::ALPHANUMERIC, Npi::UNKNOWN, b"Tidegate").unwrap();
    let to = format!("447700{:06}", n % 1_000);
    let to = AddressBuf::new(Ton::INTERNATIONAL, Npi::ISDN, to.as_bytes()).unwrap();
    Finished {
        id,
        direction: Direction::Mt,
        leg: 0,
        account,
        envelope: Envelope {
            addresses: Addresses::new(&source, &to),
            form: Form::Sm,
            interface_version: 0x34,
            id_form: 0,
            registered_delivery: 1,
            priority: 0,
            category: 1,
            parts: 1,
            data_coding: 0,
            lot: 0,
            service_type: ServiceType::default(),
            charge: 0,
            accepted_ms,
            expires_ms: accepted_ms + DAY_MS,
        },
        end: Final {
            state: MessageState::Delivered,
            at_ms: accepted_ms + 1,
            attempts: 1,
            settled: 0,
            released: 0,
        },
        carrier: "sink".into(),
        carrier_id: MessageIdText::new(format!("c-{n}").as_bytes()).unwrap(),
    }
}

fn accepted_ms(n: u64) -> u64 {
    START_MS + n * DAYS * DAY_MS / MESSAGES
}

fn account() -> SystemId {
    SystemId::new(b"load").unwrap()
}

fn opened(disk: &FaultyDisk) -> (KeyRing<FaultyDisk>, History<FaultyDisk>) {
    let kek = Kek::read(disk, Path::new("kek")).unwrap();
    let ring = KeyRing::open(disk, Path::new("keys"), kek).unwrap();
    let history = History::open(disk.clone(), "history".into(), None).unwrap();
    (ring, history)
}

/// A gateway's disk with messages that were accepted then, and with a clock that is confirmed, for nobody was there for a month.
async fn filed(
    bucket: Bucket,
    messages: impl Iterator<Item = (SystemId, u64)>,
) -> (FaultyDisk, Vec<MessageId>) {
    let clock = Clock::virtual_from(START_MS);
    let (world, sweep) = started(FaultyDisk::new(), &clock, 1);
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop(sweep);
    let disk = world.stop().await;
    let (mut ring, mut history) = opened(&disk);
    let mut rng = ChaCha20Rng::seed_from_u64(12);
    let mut ids = MessageIds::new(1, 0);
    let plan = move |finished: &Finished, _: Kept, _: u64| {
        Some(Keep {
            anchor_ms: finished.end.at_ms,
            bucket,
            length: "P30D".into(),
            place: Went::default(),
        })
    };
    let mut all = Vec::new();
    for (n, (account, accepted_ms)) in (0..).zip(messages) {
        let id = ids.next(accepted_ms);
        let message = finished(id, account, accepted_ms, n);
        history
            .take_in(&message, Some(b"a text"), &plan, &mut ring, accepted_ms, &mut rng)
            .unwrap();
        all.push(id);
    }
    let position = history.position();
    history.settle(position, &mut ring, NOW_MS, &mut rng).unwrap();
    drop((ring, history));
    tokio::time::advance(Duration::from_millis(NOW_MS - START_MS)).await;
    let (world, mut sweep) = started(disk, &Clock::virtual_from(NOW_MS), 2);
    sweep.confirm_clock().await.unwrap();
    drop(sweep);
    (world.kill().crash(), all)
}

/// All records and texts whose keys are there.
fn open_all(disk: &FaultyDisk) -> Looked {
    let (ring, mut history) = opened(disk);
    let query = Query::Account {
        account: account(),
        from_ms: 0,
        to_ms: u64::MAX / 2,
    };
    let mut all = Looked::default();
    for class in Kept::ALL {
        let mut cursor = Some(Cursor::default());
        while let Some(at) = cursor {
            let looked = history.look(&query, class, at, &ring, Purpose::Support).unwrap();
            all.metas.extend(looked.metas);
            all.texts.extend(looked.texts);
            cursor = looked.next;
        }
    }
    assert_eq!(history.counts().unreadable, 0, "no word of what was cut off");
    all
}

/// How many records and texts lie under keys that are there.
fn living(disk: &FaultyDisk) -> u64 {
    let (ring, mut history) = opened(disk);
    let files: Vec<_> = history.periods().cloned().collect();
    let lots = files.iter().flat_map(|file| history.lots(file, &ring).unwrap());
    lots.filter(|lot| lot.is_there).map(|lot| lot.records).sum()
}

/// Which messages these are, in the order in which they were accepted.
fn ids(all: &Looked) -> [Vec<MessageId>; 2] {
    let metas = all.metas.iter().map(|(_, meta)| meta.id);
    let texts = all.texts.iter().map(|(_, text)| text.id);
    let mut both: [Vec<MessageId>; 2] = [metas.collect(), texts.collect()];
    both.iter_mut().for_each(|ids| ids.sort_unstable());
    both
}

#[test]
fn ret_c12_a_sweep_of_ten_thousand_records_that_is_killed_a_hundred_times_loses_nothing_and_leaves_nothing() {
    scenario(|| async {
        let messages = (0..MESSAGES).map(|n| (account(), accepted_ms(n)));
        let (disk, all) = filed(Bucket::Day, messages).await;
        let gone = usize::try_from(MESSAGES * DUE_DAYS / DAYS).unwrap();
        let (goes, stays) = all.split_at(gone);
        let clock = || Clock::virtual_from(NOW_MS);
        // How much there is to be cut off.
        let (world, mut sweep) = started(disk.crash(), &clock(), 3);
        let before = world.disk.counts().changes;
        let swept = sweep.run(None).await.unwrap();
        assert_eq!((swept.records, swept.lots), (2 * gone as u64, 2 * DUE_DAYS));
        let changes = world.disk.counts().changes - before;
        assert!(changes > 60, "{changes}");
        drop((sweep, world));
        let mut chance = ChaCha20Rng::seed_from_u64(12);
        let (mut partly, mut whole, mut due, mut live) = (0, 0, 0, 0);
        for cut in 0..CUTS {
            let at = chance.next_u64() % changes;
            let (world, mut sweep) = started(disk.crash(), &clock(), 4);
            world.disk.cut_power_after(at);
            assert!(sweep.run(None).await.is_err(), "{cut}: the power went at {at}");
            drop(sweep);
            let found = world.kill().crash_with(&mut chance);
            // The restart: by its rules nothing that is due is read, and by its keys all else is there.
            let opened = open_all(&found);
            let [metas, texts] = ids(&opened);
            for ids in [&metas, &texts] {
                let left = ids.strip_suffix(stays);
                let left = left.unwrap_or_else(|| panic!("{cut} at {at}: something is lost"));
                assert!(
                    left.iter().all(|id| goes.binary_search(id).is_ok()) && left.is_sorted_by(|a, b| a < b)
                );
            }
            let left_over = metas.len() - stays.len();
            partly += usize::from(left_over > 0 && left_over < gone);
            whole += usize::from(left_over == 0);
            // Every third time with a clock by which nothing of it is due: how late it was stands on the disk.
            let clock = match cut % 3 {
                0 => Clock::virtual_from(START_MS + DAY_MS),
                _ => clock(),
            };
            let (world, mut sweep) = started(found, &clock, 5);
            let (keeping, now_ms) = world
                .hub
                .look(|gate, now| (gate.keeping().cloned().unwrap(), now.unix_ms));
            // A part of them, another one each time.
            for (account, meta) in opened.metas.iter().skip(cut % EVERY).step_by(EVERY) {
                let is_due = meta.final_ms + 30 * DAY_MS <= NOW_MS;
                (due, live) = (due + u32::from(is_due), live + u32::from(!is_due));
                for class in Kept::ALL {
                    let may_be_read = keeping.may_be_read(&Ended::of(*account, meta), class, now_ms);
                    assert_eq!(may_be_read, !is_due, "{cut} at {at}: {meta:?}");
                }
            }
            let swept = sweep
                .run(None)
                .await
                .unwrap_or_else(|why| panic!("{cut} at {at}: {why}"));
            assert_eq!((swept.left, swept.without_rule), (0, 0), "{cut} at {at}");
            drop(sweep);
            let found = world.kill().crash();
            // By the heads of their blocks; each of them every few times.
            assert_eq!(living(&found), 2 * stays.len() as u64, "{cut} at {at}");
            if cut % 5 == 0 {
                assert!(ids(&open_all(&found)) == [stays, stays], "{cut} at {at}");
            }
            let lots = usize::try_from(2 * (DAYS - DUE_DAYS)).unwrap();
            assert_eq!(left(&found), (lots, lots, gone as u64), "{cut} at {at}");
            let entries = entries(&found);
            for outcome in ["erased", "removed"] {
                let of = entries.iter().filter(|((is, _), _)| is == outcome);
                let counts: Vec<usize> = of.map(|(_, count)| *count).collect();
                assert_eq!(counts.len() as u64, 2 * DUE_DAYS, "{cut} at {at}: {outcome}");
                assert!(counts.iter().all(|count| *count == 1), "{cut} at {at}: {outcome}");
            }
        }
        assert!(partly > 5 && whole > 5, "{partly}, {whole}");
        assert!(due > 1_000 && live > 1_000, "{due}, {live}");
    });
}

/// RET-6: keys go some at a time, and between two steps the keeper and the loop are there for all others.
#[test]
fn a_sweep_destroys_few_keys_at_a_time_and_messages_are_answered_between() {
    const STEP: usize = 32;
    scenario(|| async {
        // A day of two accounts whose keys serve for an hour each, so that a file has more lots than go at a time.
        let other = SystemId::new(b"load1").unwrap();
        let messages = (0..24 * 6).map(|n| ([account(), other][n % 2], START_MS + n as u64 * 600_000));
        let (disk, all) = filed(Bucket::Hour, messages).await;
        let (world, mut sweep) = started(disk, &Clock::virtual_from(NOW_MS), 3);
        let (mut smsc, mut esme) = (world.smsc(), world.esme());
        smsc.accept_bind().await;
        assert_eq!(esme.bind(b"secret").await, CommandStatus::ROK);
        // As a start would find it.
        let keys = || {
            let disk = world.disk.crash();
            let kek = Kek::read(&disk, Path::new("kek")).unwrap();
            let ring = KeyRing::open(&disk, Path::new("keys"), kek).unwrap();
            ring.periods().count()
        };
        let lots = 2 * 2 * 24;
        let (before, mut seen) = (keys(), Vec::new());
        let sweeping = sweep.run(None);
        tokio::pin!(sweeping);
        let mut sequence = 1;
        let swept = loop {
            sequence += 1;
            let answered = async {
                esme.submit(sequence).await;
                tokio::time::sleep(Duration::from_millis(1)).await;
            };
            tokio::select! {
                biased;
                swept = &mut sweeping => break swept.unwrap(),
                () = answered => seen.push(keys()),
            }
        };
        assert_eq!((swept.lots, swept.records), (lots as u64, 2 * all.len() as u64));
        let steps: Vec<usize> = seen.windows(2).map(|pair| pair[0].abs_diff(pair[1])).collect();
        assert!(steps.iter().all(|step| *step <= STEP), "{steps:?}");
        let between = seen
            .iter()
            .filter(|seen| (before - lots + 1..before).contains(*seen));
        let taken = steps.iter().filter(|step| **step > 0).count();
        assert!(taken >= lots / STEP && between.count() >= 4, "{seen:?}");
    });
}
