//! One short script of the whole gateway, and the power cut at every operation that changes the disk.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tidegate_codec::values::BindKind;
use tokio::task::spawn_local;
use tokio::time::sleep;

use super::chance::Chance;
use super::esme::{Account, Esme, Manner};
use super::ledger::Totals;
use super::site::{EndOfLife, Site, config};
use super::{settle, trouble};
use crate::world::{Setup, scenario};

/// Octets of a segment: the script fills some of them.
const SEGMENT: u64 = 8 << 10;
/// Milliseconds to the date of what is scheduled.
const DUE_AFTER_MS: u64 = 1_000;

/// Everything that leaves a record: messages of all forms accepted, handed over, receipted, their DLRs fetched; one
/// scheduled message replaced, one cancelled, one left alone; segments filled, closed, emptied and unlinked.
async fn script(esme: &Esme) {
    let burst = async |count: u32| {
        for number in 0..count {
            // The power may have gone.
            let Some(port) = esme.up.borrow().clone() else {
                return;
            };
            match number % 8 {
                3 => esme.submit_data(&port),
                5 => esme.submit_multi(&port),
                _ => esme.submit(&port, None),
            }
        }
        sleep(Duration::from_millis(150)).await;
    };
    while esme.up.borrow().is_none() {
        sleep(Duration::from_millis(10)).await;
    }
    for _ in 0..3 {
        let Some(port) = esme.up.borrow().clone() else {
            return;
        };
        esme.submit(&port, Some(DUE_AFTER_MS));
    }
    sleep(Duration::from_millis(50)).await;
    let scheduled = esme.account.known.borrow().clone();
    for (known, is_cancel) in scheduled.iter().zip([true, false]) {
        let Some(port) = esme.up.borrow().clone() else {
            return;
        };
        esme.change_known(&port, known, false, is_cancel);
    }
    for _ in 0..3 {
        burst(8).await;
    }
    sleep(Duration::from_millis(DUE_AFTER_MS + 800)).await;
}

/// What one run of the script came to.
struct Ran {
    totals: Totals,
    /// Whether the power went before the script was over.
    was_cut: bool,
    violation: Option<String>,
}

fn run(after: u64, how: EndOfLife) -> Ran {
    let ran = Rc::new(Cell::new(None));
    let place = Rc::clone(&ran);
    scenario(|| async move {
        let mut setup = Setup::new(config(), SEGMENT, 96 * SEGMENT);
        setup.keeper_late_ms = 0..=30;
        // The script is the same each time; only what a torn write leaves is another.
        let site = Site::new(1, setup);
        let mut chance = Chance::new(after, 7);
        site.begin().unwrap();
        site.quiet.set(true);
        spawn_local(trouble::watch(Rc::clone(&site)));
        let account = Account::new(&site, 0, 0);
        let esme = Esme::new(
            &site,
            &account,
            (BindKind::Transceiver, Manner::Prompt),
            10_000,
            50,
        );
        spawn_local(Rc::clone(&esme).run());
        let before = site.disk().counts().changes;
        site.disk().cut_power_after(after);
        let runs = spawn_local(async move { script(&esme).await });
        while !runs.is_finished() && site.disk().counts().changes <= before + after {
            sleep(Duration::from_millis(5)).await;
        }
        let was_cut = site.disk().counts().changes > before + after;
        runs.abort();
        site.end(how, &mut chance).await;
        site.begin_soon().await;
        settle(&site, "the script", 3).await;
        site.over.set(true);
        let mut ledger = site.ledger();
        ledger.totals.segments = site.segments_made();
        ledger.close();
        place.set(Some(Ran {
            totals: ledger.totals,
            was_cut,
            violation: ledger.violation.take(),
        }));
    });
    ran.take().unwrap()
}

#[test]
fn a_power_cut_at_any_change_of_the_disk_breaks_no_promise() {
    let is_long = super::number_from("TIDEGATE_SIM_SEEDS").is_some();
    let (mut positions, mut sum) = (0, Totals::default());
    loop {
        // What was not synced is gone; at every sixth change, or at each in a long run, also with parts of it there.
        let torn = (is_long || positions % 6 == 5).then_some(EndOfLife::TornPowerCut);
        for how in [Some(EndOfLife::PowerCut), torn].into_iter().flatten() {
            let ran = run(positions, how);
            sum.add(&ran.totals);
            if let Some(violation) = ran.violation {
                panic!("{how:?} after {positions} changes: {violation}");
            }
            if !ran.was_cut {
                assert!(positions > 150, "the script changes the disk {positions} times");
                assert!(ran.totals.segments > 4, "{}", ran.totals.segments);
                assert_eq!((ran.totals.replaced, ran.totals.cancelled), (1, 1));
                println!("{positions} positions, 0 violations: {sum:?}");
                return;
            }
        }
        positions += 1;
    }
}
