//! The log on a disk that fails, fills up and is damaged.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tidegate_config::Audit as Rules;
use tidegate_store::audit::{Actor, Field, Kind, Signer, Value as Detail, Word, read};
use tidegate_store::disk::{FaultyDisk, Op};

use super::log::RETRY_AFTER;
use super::*;
use crate::clock::Clock;
use crate::http::Health;
use crate::telemetry::Telemetry;

pub(super) const DIR: &str = "/data/audit";

pub(super) fn rules(every: u64) -> Rules {
    Rules {
        checkpoint_every: every,
        checkpoint_interval: Duration::from_secs(60),
        checkpoint_directory: Some("/away".into()),
        origin: None,
    }
}

pub(super) fn log(disk: &FaultyDisk, clock: &Clock, every: u64) -> Log<FaultyDisk> {
    log_with(disk, clock, every, &Arc::new(Health::new(clock.clone())))
}

fn log_with(disk: &FaultyDisk, clock: &Clock, every: u64, health: &Arc<Health>) -> Log<FaultyDisk> {
    let place = Place {
        disk: disk.clone(),
        dir: DIR.into(),
        signer: Signer::new("tidegate/node-0", &[1; 32]).unwrap(),
    };
    let (telemetry, health) = (Telemetry::new(), Arc::clone(health));
    let made = Entry::new(Kind::KeyEvent, Actor::System);
    Log::start(place, rules(every), clock.clone(), &telemetry, health, vec![made])
}

/// Hears of a checkpoint that is being dropped, if one is.
pub(super) async fn hear(log: &mut Log<FaultyDisk>) {
    let told = log.drops_told();
    while log.is_dropping() {
        told.notified().await;
        log.hear_drops();
    }
}

fn kinds(disk: &FaultyDisk) -> Vec<Kind> {
    let mut kinds = Vec::new();
    read(disk, Path::new(DIR), |logged| kinds.push(logged.entry.kind)).unwrap();
    kinds
}

pub(super) fn read_entry() -> Entry {
    Entry::new(Kind::Read, Actor::Operator(Some(7)))
}

/// AUD-5 and AUD-1: what goes is entered before and behind, and nothing that is not over goes.
#[tokio::test(start_paused = true)]
async fn entries_that_are_over_go_between_two_entries_that_say_so() {
    let (disk, clock) = (FaultyDisk::new(), Clock::virtual_from(1_000_000));
    let mut log = log(&disk, &clock, 100_000);
    let first_of = || {
        let (mut first, mut told) = (None, Vec::new());
        let bad = read(&disk, Path::new(DIR), |logged| {
            first.get_or_insert(logged.sequence);
            if logged.entry.kind == Kind::Sweep {
                told.push(logged.entry.details.clone());
            }
        });
        assert_eq!(bad.unwrap(), None);
        (first.unwrap(), told)
    };
    // More than a file holds.
    log.enter(&vec![read_entry(); 5_000]).unwrap();
    log.age(&IsOver::new(|entered_ms| entered_ms < 1_000_000))
        .unwrap();
    assert_eq!(first_of(), (1, Vec::new()));
    log.age(&IsOver::new(|entered_ms| entered_ms <= 1_000_000))
        .unwrap();
    let (first, told) = first_of();
    assert!(first > 1_000, "{first}");
    let outcome = |details: &[(Field, Detail)], word: &str| {
        details.contains(&(Field::Outcome, Detail::Word(Word::of_name(word))))
            && details.contains(&(Field::Sequence, Detail::Count(first - 1)))
    };
    assert!(
        told.len() == 2 && outcome(&told[0], "begun") && outcome(&told[1], "dropped"),
        "{told:?}"
    );
}

fn ask(log: &mut Log<FaultyDisk>) -> Result<(), String> {
    let (answer, mut answered) = oneshot::channel();
    log.answer(vec![Request::Enter(vec![read_entry()], answer)]);
    answered.try_recv().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_deed_is_refused_while_the_log_cannot_be_written_and_allowed_afterwards() {
    let (disk, clock) = (FaultyDisk::new(), Clock::virtual_from(1_000_000));
    let health = Arc::new(Health::new(clock.clone()));
    let mut log = log_with(&disk, &clock, 1_000, &health);
    assert!(!health.ready().1.contains("audit"));
    disk.fail_on(Op::Sync, "audit", 0, 2, ErrorKind::Other);
    assert!(ask(&mut log).unwrap_err().contains("audit log"));
    assert!(ask(&mut log).is_err(), "not at once");
    let (first, _) = RETRY_AFTER;
    tokio::time::advance(first).await;
    assert!(ask(&mut log).is_err(), "the second fault");
    tokio::time::advance(first).await;
    assert!(ask(&mut log).is_err(), "twice as long");
    assert!(health.ready().1.contains("audit log failing for 2 s"));
    tokio::time::advance(first).await;
    assert_eq!(ask(&mut log), Ok(()));
    assert!(!health.ready().1.contains("audit"));
    let kinds = kinds(&disk.crash());
    assert_eq!(kinds[..2], [Kind::Started, Kind::KeyEvent]);
    let failed = kinds.iter().filter(|kind| **kind == Kind::LogFailed);
    assert_eq!((failed.count(), kinds.last()), (1, Some(&Kind::Read)));
}

#[tokio::test(start_paused = true)]
async fn on_a_full_disk_it_says_that_it_fails_until_it_does_no_more() {
    let (disk, clock) = (FaultyDisk::new(), Clock::virtual_from(1_000_000));
    let health = Arc::new(Health::new(clock.clone()));
    let mut log = log_with(&disk, &clock, 1 << 40, &health);
    disk.set_capacity(Some(disk.used()));
    let mut held = 0;
    while ask(&mut log).is_ok() {
        held += 1;
    }
    for _ in 0..5 {
        tokio::time::advance(Duration::from_secs(100)).await;
        log.tend();
        assert!(health.ready().1.contains("audit log failing"));
    }
    disk.set_capacity(None);
    tokio::time::advance(Duration::from_secs(100)).await;
    log.tend();
    assert!(!health.ready().1.contains("audit"), "nobody had to ask");
    let kinds = kinds(&disk);
    let of = |kind: Kind| kinds.iter().filter(|found| **found == kind).count();
    assert_eq!(
        (of(Kind::Read), of(Kind::LogFailed), of(Kind::Started)),
        (held, 1, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn the_start_and_the_keys_are_entered_first_and_once_whenever_the_log_opens() {
    let begin = [Kind::Started, Kind::KeyEvent, Kind::LogFailed];
    // The file is not opened, or not written anew; its first entries are not written, or not synced.
    for (op, skip) in [
        (Op::Open, 0),
        (Op::Write, 0),
        (Op::Sync, 0),
        (Op::Write, 1),
        (Op::Sync, 1),
    ] {
        let (disk, clock) = (FaultyDisk::new(), Clock::virtual_from(1_000_000));
        log(&disk, &clock, 1_000).end();
        let old = kinds(&disk).len();
        disk.fail_on(op, ".log", skip, 1, ErrorKind::Other);
        let health = Arc::new(Health::new(clock.clone()));
        let mut log = log_with(&disk, &clock, 1_000, &health);
        assert!(health.ready().1.contains("audit log failing"));
        tokio::time::advance(Duration::from_secs(2)).await;
        log.tend();
        assert_eq!(kinds(&disk.crash())[old..], begin, "{op:?}: without being asked");
        assert!(!health.ready().1.contains("audit"));
        ask(&mut log).unwrap();
        assert_eq!(kinds(&disk.crash())[old + 3..], [Kind::Read], "{op:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_that_stays_unreadable_stops_the_log_for_some_minutes_only() {
    let (disk, clock) = (FaultyDisk::new(), Clock::virtual_from(1_000_000));
    let mut first = log(&disk, &clock, 1_000);
    first.end();
    hear(&mut first).await;
    drop(first);
    let path = Path::new(DIR).join("00000000000000000001.log");
    let before = disk.octets(&path);
    disk.fail_on(Op::Read, path.to_str().unwrap(), 0, 1 << 20, ErrorKind::Other);
    let mut second = log(&disk, &clock, 1_000);
    let mut seconds = 0;
    while ask(&mut second).is_err() {
        tokio::time::advance(Duration::from_secs(1)).await;
        seconds += 1;
        assert!(seconds < 600);
    }
    assert!(seconds > 60, "{seconds} s");
    disk.heal();
    assert_eq!(disk.octets(&path), before);
    let kinds = kinds(&disk);
    let (old, new) = kinds.split_at(3);
    assert_eq!(old, [Kind::Started, Kind::KeyEvent, Kind::Stopped]);
    let start = [Kind::LogDamaged, Kind::Started, Kind::KeyEvent, Kind::LogFailed];
    assert_eq!(new, [&start[..], &[Kind::Read]].concat());
}

#[tokio::test(start_paused = true)]
async fn a_damaged_log_does_not_keep_the_gateway_from_starting_and_says_so() {
    let (disk, clock) = (FaultyDisk::new(), Clock::virtual_from(1_000_000));
    let mut first = log(&disk, &clock, 1_000);
    first.enter(&[read_entry()]).unwrap();
    first.end();
    let path = Path::new(DIR).join("00000000000000000001.log");
    disk.damage(&path, 100, &[0xFF; 4]);
    let mut second = log(&disk, &clock, 1_000);
    assert!(second.enter(&[read_entry()]).is_ok());
    assert_eq!(
        kinds(&disk)
            .iter()
            .filter(|kind| **kind == Kind::LogDamaged)
            .count(),
        1
    );
}
