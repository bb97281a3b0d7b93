//! The disk fails in every way that it can while the script is played, and the ledger must hold.

use std::cell::Cell;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use tidegate_codec::status::CommandStatus;
use tidegate_store::disk::Op;
use tokio::time::sleep;

use super::chance::Chance;
use super::esme::{Esme, Known};
use super::ledger::{Asked, Leg};
use super::script::{play, stage};
use super::settle;
use super::site::{EndOfLife, Site};
use super::totals::Totals;
use crate::world::scenario;

/// What a run of the script with a fault in it came to.
struct Ran {
    totals: Totals,
    was_broken: bool,
    /// Messages that were answered 0x14.
    full: usize,
}

/// Plays the script while the disk, after `skip` operations of this kind on its segments, fails `times`. When the spool
/// has been given up, the gateway goes on for a moment, is ended and started again.
fn play_with(op: Op, kind: ErrorKind, skip: u64, times: u64, how: EndOfLife) -> Ran {
    let ran = Rc::new(Cell::new(None));
    let place = Rc::clone(&ran);
    scenario(|| async move {
        let (site, esme) = stage();
        site.disk().fail_on(op, "spool", skip, times, kind);
        let runs = play(&esme);
        let mut was_broken = false;
        while !runs.is_finished() {
            sleep(Duration::from_millis(5)).await;
            if site.is_broken() && !was_broken {
                was_broken = true;
                promises_nothing(&site, &esme).await;
                site.disk().heal();
                site.end(how, &mut Chance::new(skip, 8)).await;
                site.begin_soon().await;
            }
        }
        site.disk().heal();
        close(&site, &format!("{op:?} {kind:?} after {skip}")).await;
        let totals = site.ledger().totals;
        let full = refused_full(&site);
        place.set(Some(Ran {
            totals,
            was_broken,
            full,
        }));
    });
    ran.take().unwrap()
}

fn refused_full(site: &Site) -> usize {
    let is_full = |leg: &&Leg| leg.submitted == Asked::Refused(CommandStatus::RMSGQFUL);
    site.ledger().legs.values().filter(is_full).count()
}

/// Intake is answered 0x08 for as long as the gateway lives with a disk that it does not trust.
async fn promises_nothing(site: &Site, esme: &Esme) {
    let before = site.ledger().totals;
    for _ in 0..5 {
        if let Some(port) = esme.up.borrow().clone() {
            esme.submit(&port, None);
        }
        sleep(Duration::from_millis(20)).await;
    }
    let after = site.ledger().totals;
    assert_eq!((after.taken, after.refused), (before.taken, before.refused));
    assert!(after.doubtful >= before.doubtful + 5);
}

/// Everything ends, and the ledger is closed.
async fn close(site: &Site, what: &str) {
    settle(site, what, 3).await;
    site.over.set(true);
    let mut ledger = site.ledger();
    ledger.close();
    if let Some(violation) = ledger.violation.take() {
        panic!("{what}: {violation}");
    }
}

#[test]
fn a_write_or_sync_that_fails_is_never_taken_for_one_that_did_not() {
    let mut sum = Totals::default();
    let (mut runs, mut broken) = (0, 0);
    let ends = [EndOfLife::PowerCut, EndOfLife::Killed, EndOfLife::Orderly];
    for op in [Op::Write, Op::Sync] {
        for (number, skip) in (0..48).step_by(4).enumerate() {
            let ran = play_with(op, ErrorKind::Other, skip, 1, ends[number % 3]);
            sum.add(&ran.totals);
            runs += 1;
            broken += u64::from(ran.was_broken);
        }
    }
    println!("{runs} runs with EIO, {broken} gave the spool up, 0 violations: {sum:?}");
    // A segment that cannot be made, or a footer that cannot be written, breaks nothing.
    assert!(broken > runs / 2, "{broken} of {runs}");
}

#[test]
fn a_full_disk_gives_intake_back_and_breaks_nothing() {
    let mut sum = Totals::default();
    let mut given_back = 0;
    for skip in (0..48).step_by(4) {
        // Half of the write reaches the disk.
        let ran = play_with(
            Op::Write,
            ErrorKind::StorageFull,
            skip,
            1 + skip % 3,
            EndOfLife::Killed,
        );
        assert!(!ran.was_broken, "after {skip}");
        given_back += u64::from(ran.full > 0);
        sum.add(&ran.totals);
    }
    println!("12 runs with ENOSPC in a write, {given_back} gave intake back, 0 violations: {sum:?}");
    assert!(given_back > 3, "{given_back}");
}

#[test]
fn a_disk_that_fills_up_refuses_and_drains_when_there_is_space() {
    scenario(|| async {
        let (site, esme) = stage();
        let runs = play(&esme);
        sleep(Duration::from_millis(260)).await;
        let disk = site.disk();
        disk.set_capacity(Some(disk.used()));
        site.disk_fails.set(true);
        while !runs.is_finished() {
            sleep(Duration::from_millis(20)).await;
        }
        for _ in 0..60 {
            if let Some(port) = esme.up.borrow().clone() {
                esme.submit(&port, None);
            }
            sleep(Duration::from_millis(10)).await;
        }
        assert!(!site.is_broken());
        let full = site.ledger().totals;
        assert!(refused_full(&site) > 20, "{full:?}");
        assert_eq!(full.doubtful, 0, "full is not broken");
        disk.set_capacity(None);
        sleep(Duration::from_secs(2)).await;
        site.disk_fails.set(false);
        let taken = site.ledger().totals.taken;
        if let Some(port) = esme.up.borrow().clone() {
            esme.submit(&port, None);
        }
        sleep(Duration::from_millis(50)).await;
        assert_eq!(site.ledger().totals.taken, taken + 1, "there is space again");
        close(&site, "a full disk").await;
    });
}

/// Flips a bit in the sealed part of every record of a leg; returns how many there are.
fn damage(site: &Site, message: u64) -> usize {
    let disk = site.disk();
    // kind, version, leg, id (store/src/record.rs); the account, its key and nonce follow.
    let mut head = vec![1, 2, 0, 0];
    head.extend_from_slice(&message.to_be_bytes());
    let mut found = 0;
    let segments = disk.paths().into_iter().filter(|path| path.starts_with("spool"));
    for path in segments.collect::<Vec<PathBuf>>() {
        let octets = disk.octets(&path).unwrap();
        for at in 0..octets.len().saturating_sub(head.len() + 64) {
            if octets[at..].starts_with(&head) {
                let at = at + head.len() + 48;
                disk.damage(&path, at as u64, &[octets[at] ^ 0x10]);
                found += 1;
            }
        }
    }
    found
}

/// `restart`: the gateway has all bodies on disk only, and its footers for the rest.
fn one_damaged_record(restart: bool) {
    scenario(move || async move {
        let (site, esme) = stage();
        site.damage.set(true);
        while esme.up.borrow().is_none() {
            sleep(Duration::from_millis(10)).await;
        }
        let port = esme.up.borrow().clone().unwrap();
        for _ in 0..12 {
            esme.submit(&port, Some(6_000));
            sleep(Duration::from_millis(30)).await;
        }
        let scheduled = esme.account.known.borrow().clone();
        // Their segments are closed, and get footers.
        for _ in 0..40 {
            esme.submit(&port, None);
            sleep(Duration::from_millis(30)).await;
        }
        let has_dlr = |known: &&Known| site.ledger().legs[&known.to[0]].registered == 1;
        let victim = scheduled.iter().rfind(has_dlr).unwrap();
        site.ledger().legs.get_mut(&victim.to[0]).unwrap().damaged = true;
        let to = victim.to[0].clone();
        let id = site.look(|world| {
            world.hub.look(|gate, _| {
                let of_victim = |leg: &tidegate_store::index::Leg| {
                    leg.envelope.addresses.destination().as_bytes() == to.as_bytes()
                };
                gate.spool()
                    .index()
                    .iter()
                    .find(|(_, leg)| of_victim(leg))
                    .map(|(_, leg)| leg.message.0)
            })
        });
        assert!(damage(&site, id.flatten().unwrap()) > 0);
        if restart {
            site.end(EndOfLife::Orderly, &mut Chance::new(1, 9)).await;
            site.begin_soon().await;
        }
        close(&site, "a damaged record").await;
        let ledger = site.ledger();
        for known in &scheduled {
            let leg = &ledger.legs[&known.to[0]];
            assert!(matches!(leg.submitted, Asked::Done(_)));
            let states: Vec<_> = leg.dlrs.iter().map(|dlr| dlr.state.stat()).collect();
            if known.to[0] == to {
                assert_eq!(leg.sightings.len(), 0, "what cannot be read is not handed over");
                assert_eq!(states, ["UNDELIV"]);
            } else {
                assert_eq!(leg.sightings.len(), 1, "the others go on");
            }
        }
    });
}

#[test]
fn a_record_that_rots_under_a_running_gateway_ends_undeliverable_and_takes_nothing_with_it() {
    one_damaged_record(false);
}

#[test]
fn a_record_that_rots_in_a_closed_segment_is_found_after_a_restart_and_takes_nothing_with_it() {
    one_damaged_record(true);
}

#[test]
fn a_commit_that_takes_seconds_breaks_nothing() {
    let mut doubles = 0;
    for stalled_ms in [900, 4_000, 9_000] {
        for after_ms in (60..420).step_by(60) {
            let sum = Rc::new(Cell::new(0));
            let place = Rc::clone(&sum);
            scenario(|| async move {
                let (site, esme) = stage();
                let runs = play(&esme);
                sleep(Duration::from_millis(after_ms)).await;
                // The loop's thread is held; to everybody else the gateway stands still.
                tokio::time::advance(Duration::from_millis(stalled_ms)).await;
                while !runs.is_finished() {
                    sleep(Duration::from_millis(50)).await;
                }
                close(&site, &format!("{stalled_ms} ms after {after_ms}")).await;
                place.set(site.ledger().totals.doubles);
            });
            doubles += sum.get();
        }
    }
    // Carriers stand still as well, so that answers may come behind the time for them.
    println!("18 runs with a slow commit, {doubles} doubles, 0 violations");
}
