//! When checkpoints come, and a place for them that is away or hangs.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use tidegate_store::audit::{SignedCheckpoint, Signer};
use tidegate_store::disk::{FaultyDisk, Op};
use tokio::sync::oneshot;

use super::checkpoints::DROP_AWAITED;
use super::tests::{DIR, hear, log, read_entry, rules};
use super::*;
use crate::clock::Clock;
use crate::http::Health;
use crate::telemetry::Telemetry;

fn dropped(disk: &FaultyDisk) -> Vec<u64> {
    let notes = disk.paths().into_iter().filter(|path| path.starts_with("/away"));
    notes
        .map(|path| {
            let text = String::from_utf8(disk.octets(&path).unwrap()).unwrap();
            text.parse::<SignedCheckpoint>().unwrap().checkpoint.size
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn checkpoints_come_after_so_many_entries_and_after_so_long() {
    let (disk, clock) = (FaultyDisk::new(), Clock::virtual_from(1_000_000));
    let mut log = log(&disk, &clock, 4);
    log.enter(&[read_entry()]).unwrap();
    assert!(!log.is_dropping());
    log.enter(&[read_entry()]).unwrap();
    hear(&mut log).await;
    assert_eq!(dropped(&disk), [4]);
    log.enter(&[read_entry()]).unwrap();
    for seconds in [59, 2] {
        log.tend();
        assert!(!log.is_dropping());
        tokio::time::advance(Duration::from_secs(seconds)).await;
    }
    log.tend();
    hear(&mut log).await;
    assert_eq!(dropped(&disk), [4, 5]);
    tokio::time::advance(Duration::from_secs(600)).await;
    log.tend();
    assert!(!log.is_dropping(), "nothing new, nothing to sign");
}

#[tokio::test(start_paused = true)]
async fn a_directory_that_is_away_for_a_while_gets_the_newest_later_and_is_tried_less_and_less() {
    let (disk, clock) = (FaultyDisk::new(), Clock::virtual_from(1_000_000));
    let mut log = log(&disk, &clock, 3);
    disk.fail_on(Op::Create, "away", 0, 3, ErrorKind::Other);
    log.enter(&[read_entry()]).unwrap();
    hear(&mut log).await;
    for seconds in [1, 2] {
        log.tend();
        assert!(!log.is_dropping(), "not at once");
        tokio::time::advance(Duration::from_secs(seconds)).await;
        log.tend();
        assert!(log.is_dropping(), "after {seconds} s");
        hear(&mut log).await;
    }
    assert!(dropped(&disk).is_empty());
    log.enter(&[read_entry()]).unwrap();
    tokio::time::advance(Duration::from_secs(3)).await;
    log.tend();
    assert!(!log.is_dropping());
    tokio::time::advance(Duration::from_secs(1)).await;
    log.tend();
    hear(&mut log).await;
    assert_eq!(dropped(&disk), [3], "of four entries three are signed");
}

/// A directory that takes nothing and says nothing, until it is let go.
#[derive(Clone)]
struct Hanging(FaultyDisk, Arc<Mutex<mpsc::Receiver<()>>>);

impl Disk for Hanging {
    type File = <FaultyDisk as Disk>::File;

    fn create_dir_all(&self, dir: &Path) -> std::io::Result<()> {
        self.0.create_dir_all(dir)
    }

    fn create(&self, path: &Path, mode: u32, allocate: u64) -> std::io::Result<Self::File> {
        if path.starts_with("/away") {
            // Until the other end is gone.
            let _ = self.1.lock().unwrap().recv();
        }
        self.0.create(path, mode, allocate)
    }

    fn open(&self, path: &Path, access: tidegate_store::disk::Access) -> std::io::Result<Self::File> {
        self.0.open(path, access)
    }

    fn list(&self, dir: &Path) -> std::io::Result<Vec<tidegate_store::disk::Entry>> {
        self.0.list(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> std::io::Result<()> {
        self.0.rename(from, to)
    }

    fn unlink(&self, path: &Path) -> std::io::Result<()> {
        self.0.unlink(path)
    }

    fn sync_dir(&self, dir: &Path) -> std::io::Result<()> {
        self.0.sync_dir(dir)
    }
}

#[tokio::test(start_paused = true)]
async fn a_directory_that_hangs_keeps_nobody_waiting() {
    let (disk, clock) = (FaultyDisk::new(), Clock::virtual_from(1_000_000));
    let (held, hangs) = mpsc::sync_channel(1);
    let place = Place {
        disk: Hanging(disk.clone(), Arc::new(Mutex::new(hangs))),
        dir: DIR.into(),
        signer: Signer::new("tidegate/node-0", &[1; 32]).unwrap(),
    };
    let health = Arc::new(Health::new(clock.clone()));
    let mut log = Log::start(
        place,
        rules(1),
        clock.clone(),
        &Telemetry::new(),
        health,
        Vec::new(),
    );
    let (answer, mut answered) = oneshot::channel();
    log.answer(vec![Request::Checkpoint(answer)]);
    assert!(answered.try_recv().is_err(), "it waits to hear of it");
    for _ in 0..10 {
        log.enter(&[read_entry()]).unwrap();
    }
    tokio::time::advance(DROP_AWAITED).await;
    log.tend();
    assert_eq!(answered.try_recv().unwrap().unwrap()["dropped"], false);
    assert!(dropped(&disk).is_empty());
    drop(held);
    let told = log.drops_told();
    while log.is_dropping() {
        told.notified().await;
        log.hear_drops();
    }
    assert_eq!(dropped(&disk), [1, 11], "the one that hung, and the newest");
}
