//! The power is cut at every operation that changes the disk while the script is played.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::sleep;

use super::chance::Chance;
use super::script::{play, stage};
use super::settle;
use super::site::EndOfLife;
use super::totals::Totals;
use crate::world::scenario;

/// What one run of the script came to.
struct Ran {
    totals: Totals,
    /// Whether the power went before the script was over.
    was_cut: bool,
    violation: Option<String>,
}

/// Cuts the power after so many changes; with `again`, once more after so many of the start that follows.
fn run(after: u64, how: EndOfLife, again: Option<u64>) -> Ran {
    let ran = Rc::new(Cell::new(None));
    let place = Rc::clone(&ran);
    scenario(|| async move {
        let (site, esme) = stage();
        // Only what a torn write leaves is another each time.
        let mut chance = Chance::new(after, 7);
        let before = site.disk().counts().changes;
        site.disk().cut_power_after(after);
        let runs = play(&esme);
        while !runs.is_finished() && site.disk().counts().changes <= before + after {
            sleep(Duration::from_millis(5)).await;
        }
        let was_cut = site.disk().counts().changes > before + after;
        runs.abort();
        site.end(how, &mut chance).await;
        if let Some(again) = again {
            site.disk().cut_power_after(again);
            // A start that fails for want of power is no start.
            if site.begin().is_ok() {
                sleep(Duration::from_millis(100)).await;
                site.end(how, &mut chance).await;
            } else {
                site.ledger().totals.power_cuts += 1;
                site.replace_disk(site.disk().crash());
            }
        }
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
            let ran = run(positions, how, None);
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

#[test]
fn a_second_power_cut_while_the_gateway_starts_breaks_no_promise() {
    let mut sum = Totals::default();
    // The start itself, its chores, and the first batches that follow from what it found.
    for again in 0..40 {
        let after = 60 + again;
        let ran = run(after, EndOfLife::PowerCut, Some(again));
        assert!(ran.was_cut);
        if let Some(violation) = ran.violation {
            panic!("after {after} changes and {again} of the start: {violation}");
        }
        sum.add(&ran.totals);
    }
    println!("40 starts cut off, 0 violations: {sum:?}");
}
