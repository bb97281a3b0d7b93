//! A sweep that is cut off at every change of the disk, and goes on.

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use tidegate_codec::address::{Address, Npi, Ton};
use tidegate_codec::identity::SystemId;
use tidegate_codec::pdu::message::{ShortMessage, Sm};
use tidegate_gateway::keeping::{Closures, Keeping};
use tidegate_gateway::legal::Legal;
use tidegate_gateway::sweep::{Found, Place, Sweep};
use tidegate_gateway::tables::Tables;
use tidegate_gateway::telemetry::{SweepMetrics, Telemetry};
use tidegate_store::audit::{Field, Kind, Value, read};
use tidegate_store::history::{History, Stats};
use tidegate_store::keyring::{Kek, KeyRing, Owner};
use tidegate_tests::IN_CLEAR_TEXT;

use super::*;
use crate::world::{LEGAL_KEK, key_ring};

const DAY: Duration = Duration::from_secs(24 * 3_600);
const MESSAGES: u32 = 3;

pub(super) fn setup() -> Setup {
    let terms = format!("retention_profile = \"anonymise-30\"\n{IN_CLEAR_TEXT}");
    let config = bench_config_lines(&[
        ("system_id = \"load\"", &terms),
        ("system_id = \"load1\"", &terms),
    ]);
    Setup {
        is_audited: true,
        // A start goes through whole segments, and there are hundreds of starts.
        ..Setup::new(config, 16 << 10, 1 << 28)
    }
}

/// A gateway with its sweep.
pub(super) fn started(disk: FaultyDisk, clock: &Clock, seed: u64) -> (World, Sweep<FaultyDisk>) {
    started_with(&setup(), &Closures::default(), disk, clock, seed)
}

fn started_with(
    setup: &Setup,
    closures: &Closures,
    disk: FaultyDisk,
    clock: &Clock,
    seed: u64,
) -> (World, Sweep<FaultyDisk>) {
    let place = Place {
        disk: disk.clone(),
        history: "history".into(),
        audit: "audit".into(),
    };
    let found = Found::read(&place, clock.now().unix_ms);
    let world = World::start_with(setup, disk, clock.clone(), seed).unwrap();
    let tables = Arc::new(Tables::default());
    let keeping = Keeping::new(&setup.config, tables, found.believed.clone(), closures.clone());
    world.hub.look(|gate, _| gate.set_keeping(&Arc::new(keeping)));
    let metrics = SweepMetrics::new(&Telemetry::new());
    let sweep = Sweep::new(Rc::clone(&world.hub), world.audit.clone(), place, found, metrics);
    (world, sweep)
}

/// A disk with messages that are filed, and a clock of a month later.
async fn a_month_later() -> (FaultyDisk, Clock) {
    let clock = Clock::virtual_from(START_MS);
    let (world, mut sweep) = started(FaultyDisk::new(), &clock, 1);
    let (mut smsc, mut esme) = (world.smsc(), world.esme());
    smsc.accept_bind().await;
    esme.bind(b"secret").await;
    for number in 0..MESSAGES {
        esme.submit(number + 2).await;
        let id = format!("c-{number}");
        smsc.take_submit(id.as_bytes()).await;
        smsc.send_receipt(number + 1, id.as_bytes(), MessageState::Delivered)
            .await;
        smsc.expect(CommandId::DELIVER_SM_RESP).await;
        esme.take_dlr().await;
    }
    drop((smsc, esme));
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(sweep.run(None).await.unwrap().lots, 0, "nothing is due");
    drop(sweep);
    let disk = world.stop().await;
    // Longer than a gateway may be away without a word.
    tokio::time::advance(32 * DAY).await;
    let clock = Clock::virtual_from(START_MS + 32 * 24 * 3_600_000);
    (disk, clock)
}

/// What the audit log has of each key and file, by outcome.
pub(super) fn entries(disk: &FaultyDisk) -> BTreeMap<(String, String), usize> {
    entries_of(disk, Kind::Sweep)
}

fn entries_of(disk: &FaultyDisk, kind: Kind) -> BTreeMap<(String, String), usize> {
    let mut counts = BTreeMap::new();
    let bad = read(disk, Path::new("audit"), |logged| {
        let text = |field: Field| {
            logged.entry.details.iter().find_map(|(of, held)| match held {
                Value::Word(word) if *of == field => Some(word.as_str().to_owned()),
                _ => None,
            })
        };
        if logged.entry.kind == kind
            && let Some(what) = text(Field::RingKey).or_else(|| text(Field::File))
        {
            *counts.entry((text(Field::Outcome).unwrap(), what)).or_default() += 1;
        }
    });
    assert_eq!(bad.unwrap(), None);
    counts
}

/// Keys of history in the ring, files of history, and messages in the statistics.
pub(super) fn left(disk: &FaultyDisk) -> (usize, usize, u64) {
    let kek = Kek::read(disk, Path::new("kek")).unwrap();
    let ring = KeyRing::open(disk, Path::new("keys"), kek).unwrap();
    let history = History::open(disk.clone(), "history".into(), None).unwrap();
    let stats = Stats::open(disk, Path::new("history")).unwrap();
    let counted = stats.by_account().values().flat_map(BTreeMap::values).sum();
    (ring.periods().count(), history.periods().count(), counted)
}

#[test]
fn ret_c14_a_sweep_that_is_cut_off_anywhere_goes_on_and_counts_and_certifies_each_lot_once() {
    scenario(|| async {
        let (disk, clock) = a_month_later().await;
        assert_eq!(left(&disk), (2, 2, 0), "one lot of meta, one of bodies");
        let mut between = 0;
        for changes in 0.. {
            let disk = disk.crash();
            let (world, mut sweep) = started(disk, &clock, 2);
            // Nobody was there for a month: an operator says that it was one.
            assert!(sweep.run(None).await.is_err(), "the clock is doubted");
            sweep.confirm_clock().await.unwrap();
            world.disk.cut_power_after(changes);
            let is_done = sweep.run(None).await.is_ok();
            drop(sweep);
            let disk = world.kill().crash();
            let (keys, files, counted) = left(&disk);
            assert!(
                counted == 0 || counted == u64::from(MESSAGES),
                "{changes}: {counted}"
            );
            between += usize::from(keys < files);
            let (world, mut sweep) = started(disk, &clock, 3);
            let swept = sweep
                .run(None)
                .await
                .unwrap_or_else(|why| panic!("{changes}: {why}"));
            assert_eq!((swept.left, swept.without_rule), (0, 0), "{changes}");
            let again = sweep.run(None).await.unwrap();
            assert_eq!((again.lots, again.files), (0, 0), "{changes}");
            drop(sweep);
            let disk = world.kill().crash();
            assert_eq!(left(&disk), (0, 0, u64::from(MESSAGES)), "{changes}");
            let entries = entries(&disk);
            let once = |outcome: &str| {
                let of = entries.iter().filter(|((is, _), _)| is == outcome);
                of.map(|(_, count)| *count).collect::<Vec<_>>()
            };
            assert_eq!(
                (once("erased"), once("removed")),
                (vec![1; 2], vec![1; 2]),
                "{changes}: {entries:?}"
            );
            let begun = once("begun");
            assert!(
                begun.len() == 2 && begun.iter().all(|count| *count <= 2),
                "{changes}: {entries:?}"
            );
            if is_done {
                assert!(changes > 30, "{changes}");
                break;
            }
        }
        assert!(
            between > 3,
            "between a key's destruction and its file's removal: {between}"
        );
    });
}

/// What cannot be released keeps what it holds, and holds up nothing else (ENC-4, ENC-5): a sweep says so and does all the rest.
#[test]
fn a_legal_ring_that_was_given_up_stops_no_sweep_of_what_is_due() {
    scenario(|| async {
        let (disk, clock) = a_month_later().await;
        let mut rng = ChaCha20Rng::seed_from_u64(77);
        let data = tempfile::tempdir().unwrap();
        // A register without matters, and a ring with the key of one: a release was cut off before it went.
        let kek = Kek::read(&disk, Path::new("kek")).unwrap();
        let ring = KeyRing::open(&disk, Path::new("keys"), kek).unwrap();
        let legal = Legal::open(data.path(), &ring).unwrap();
        drop(ring);
        Kek::create(&disk, Path::new(LEGAL_KEK), &mut rng).unwrap();
        let mut ring = key_ring(&disk, START_MS, &mut rng).unwrap();
        ring.make(Owner::Hold(1), START_MS, &mut rng).unwrap();
        drop(ring);
        let (world, mut sweep) = started(disk, &clock, 2);
        world.hub.set_legal(Arc::new(legal));
        assert!(sweep.run(None).await.is_err(), "the clock is doubted");
        sweep.confirm_clock().await.unwrap();
        assert_eq!(left(&world.disk), (2, 2, 0));
        let kind = std::io::ErrorKind::Other;
        world.disk.fail_on(Op::Write, "legal/ring.a", 0, 1, kind);
        let failed = sweep.run(None).await;
        assert!(failed.is_err(), "{failed:?}");
        assert_eq!(left(&world.disk), (0, 0, u64::from(MESSAGES)), "{failed:?}");
        // It is given up until a restart, which is said each time.
        let why = sweep.run(None).await.unwrap_err();
        assert!(why.contains("given up") || why.contains("restart"), "{why}");
        drop(sweep);
        let disk = world.kill().crash();
        let (world, mut sweep) = started(disk, &clock, 3);
        let ring = KeyRing::open(
            &world.disk,
            Path::new("keys"),
            Kek::read(&world.disk, Path::new("kek")).unwrap(),
        );
        world
            .hub
            .set_legal(Arc::new(Legal::open(data.path(), &ring.unwrap()).unwrap()));
        sweep.run(None).await.unwrap();
        drop(sweep);
        let ring = key_ring(&world.kill(), START_MS, &mut rng).unwrap();
        assert!(ring.live(Owner::Hold(1)).is_empty(), "then it goes");
    });
}

/// ERA-6 and AUD-1 of the keys under which numbers of people lay.
#[test]
fn psn_3_each_key_of_numbers_is_entered_before_it_goes_and_certified_once_wherever_it_is_cut_off() {
    let account: SystemId = "load".parse().unwrap();
    let mut setup = setup();
    let routes = "\n[[route.mo]]\nnumber = \"*\"\naccount = \"load\"";
    let terms = format!("retention_profile = \"anonymise-30\"\n{IN_CLEAR_TEXT}");
    setup.config = Arc::new(bench_config_lines(&[
        ("carriers = [\"sink\"]", routes),
        ("system_id = \"load\"", &terms),
    ]));
    scenario(|| async {
        let clock = Clock::virtual_from(START_MS);
        let (world, sweep) = started_with(&setup, &Closures::default(), FaultyDisk::new(), &clock, 1);
        let mut smsc = world.smsc();
        smsc.accept_bind().await;
        let stop = Sm {
            source: Address::new(Ton::INTERNATIONAL, Npi::ISDN, b"447700900123").unwrap(),
            short_message: ShortMessage::new(b"STOP").unwrap(),
            ..message()
        };
        smsc.send(CommandStatus::ROK, 1, Operation::DeliverSm(stop)).await;
        smsc.expect(CommandId::DELIVER_SM_RESP).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        drop((smsc, sweep));
        let disk = world.stop().await;
        let closures = Closures::default();
        closures.replace([(account, START_MS - 4_000 * 24 * 3_600_000)].into_iter());
        let keys = |disk: &FaultyDisk| {
            let kek = Kek::read(disk, Path::new("kek")).unwrap();
            let ring = KeyRing::open(disk, Path::new("keys"), kek).unwrap();
            ring.live(Owner::OptOuts(account)).len()
        };
        assert_eq!(keys(&disk), 1);
        let mut gone_behind_a_cut = 0;
        for changes in 0.. {
            let (world, mut sweep) = started_with(&setup, &closures, disk.crash(), &clock, 2);
            world.disk.cut_power_after(changes);
            let is_done = sweep.run(None).await.is_ok();
            drop(sweep);
            let disk = world.kill().crash();
            let entered = entries_of(&disk, Kind::Erasure);
            let count = |outcome: &str| {
                let of = entered.iter().filter(|((is, _), _)| is == outcome);
                of.map(|(_, count)| *count).sum::<usize>()
            };
            if keys(&disk) == 0 {
                assert_eq!(count("erasing"), 1, "{changes}: {entered:?}");
                gone_behind_a_cut += 1 - count("erased");
            } else {
                assert_eq!(count("erased"), 0, "{changes}: {entered:?}");
            }
            let (world, mut sweep) = started_with(&setup, &closures, disk, &clock, 3);
            let swept = sweep.run(None).await;
            assert!(swept.is_ok(), "{changes}: {swept:?}");
            drop(sweep);
            let disk = world.kill().crash();
            let entered = entries_of(&disk, Kind::Erasure);
            let certified = entered.iter().filter(|((is, _), _)| is == "erased");
            let certified: Vec<usize> = certified.map(|(_, count)| *count).collect();
            assert_eq!((keys(&disk), certified), (0, vec![1]), "{changes}: {entered:?}");
            if is_done {
                break;
            }
        }
        assert!(gone_behind_a_cut > 0, "gone and not certified yet");
    });
}
