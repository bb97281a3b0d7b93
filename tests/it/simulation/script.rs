//! A short script of the whole gateway, the same each time: under it the power is cut and the disk fails.

use std::rc::Rc;
use std::time::Duration;

use tidegate_codec::values::BindKind;
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::sleep;

use super::esme::{Account, Esme, Manner};
use super::site::{Site, config};
use super::trouble;
use crate::world::Setup;

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

/// A gateway, its carriers, and one ESME; all of them well.
pub(super) fn stage() -> (Rc<Site>, Rc<Esme>) {
    let mut setup = Setup::new(config(), SEGMENT, 96 * SEGMENT);
    setup.keeper_late_ms = 0..=30;
    let site = Site::new(1, setup);
    site.begin().unwrap();
    site.quiet.set(true);
    site.ledger().well_since_ms = Some(crate::world::START_MS);
    spawn_local(trouble::watch(Rc::clone(&site)));
    let account = Account::new(&site, 0, 0);
    let as_what = (BindKind::Transceiver, Manner::Prompt);
    let esme = Esme::new(&site, &account, as_what, 10_000, 50);
    spawn_local(Rc::clone(&esme).run());
    (site, esme)
}

/// Plays the script.
pub(super) fn play(esme: &Rc<Esme>) -> JoinHandle<()> {
    let esme = Rc::clone(esme);
    spawn_local(async move { script(&esme).await })
}
