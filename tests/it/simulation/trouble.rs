//! What goes wrong in a run: carriers change their mood, connections break, the gateway ends, the power goes, the
//! disk fails, the wall clock is set.

use std::num::NonZeroU32;
use std::rc::Rc;
use std::time::Duration;

use tidegate_codec::identity::Password;
use tidegate_store::disk::Op;
use tokio::time::sleep;

use super::carrier::Mood;
use super::chance::Chance;
use super::delivery::Delivery;
use super::site::{EndOfLife, Site};

const MOODS: [Mood; 9] = [
    Mood::Usual,
    Mood::Usual,
    Mood::Usual,
    Mood::Full,
    Mood::Failing,
    Mood::Silent,
    Mood::Dead,
    Mood::Late,
    Mood::Closed,
];

/// Makes trouble for so many milliseconds.
pub(crate) async fn run(site: &Rc<Site>, chance: &mut Chance, for_ms: u64) {
    let until = site.ledger().now_ms() + for_ms;
    // Some runs see few ends of the gateway, so that long waits in between are seen too.
    let ends = chance.pick(&[2, 8, 16]);
    while site.ledger().now_ms() < until {
        let pause = chance.between(100, 5_000);
        sleep(Duration::from_millis(pause)).await;
        let carrier = usize::try_from(chance.below(3)).unwrap();
        let centre = &site.centres[carrier];
        match chance.below(46 + ends) {
            0..=9 => {
                let mood = chance.pick(&MOODS);
                centre.mood.set(mood);
                site.ledger().note(&format!("carrier {carrier} is {mood:?}"));
            }
            10..=12 => {
                centre.is_down.set(!centre.is_down.get());
                let word = if centre.is_down.get() { "down" } else { "up" };
                site.ledger().note(&format!("carrier {carrier} is {word}"));
                if centre.is_down.get() {
                    centre.cut_all();
                }
            }
            13..=17 => centre.cut_one(),
            18..=23 => set_clock(site, chance),
            24..=25 => {
                // The thread is held: a commit that takes seconds looks like this to everybody.
                let stall = chance.between(500, 4_000);
                site.ledger().note("stall");
                tokio::time::advance(Duration::from_millis(stall)).await;
            }
            26..=31 => disk_fault(site, chance).await,
            32..=39 => {
                let end = chance.pick(&[EndOfLife::Orderly, EndOfLife::Killed]);
                restart(site, chance, end).await;
            }
            40..=45 => reload(site, chance),
            _ => power_cut(site, chance).await,
        }
    }
}

/// The gateway gets another configuration: other routes, windows and rates, at times without one of its carriers, whose
/// work another one takes over.
fn reload(site: &Site, chance: &mut Chance) {
    let mut config = tidegate_config::Config::clone(&site.setup.config);
    let percent = [0, 30, 60][usize::try_from(chance.below(3)).unwrap()];
    for route in &mut config.mt_routes {
        if chance.percent(percent) {
            route.carriers.reverse();
        }
    }
    for carrier in &mut config.carriers {
        if chance.percent(percent) {
            carrier.window = usize::try_from(chance.between(1, carrier.window as u64)).unwrap();
            carrier.rate = u32::try_from(chance.between(20, 200))
                .ok()
                .and_then(NonZeroU32::new);
        }
    }
    for account in &mut config.accounts {
        if chance.percent(percent) {
            account.delivery_window = usize::try_from(chance.between(1, 8)).unwrap();
        }
    }
    let gone = usize::try_from(chance.below(3)).unwrap();
    let name = config.carriers[gone].name.clone();
    let is_needed = config
        .mt_routes
        .iter()
        .any(|route| route.carriers == [name.clone()]);
    let goes = chance.percent(percent) && !is_needed;
    if goes {
        config.carriers.remove(gone);
        for route in &mut config.mt_routes {
            route.carriers.retain(|carrier| *carrier != name);
        }
        config
            .mo_routes
            .retain(|route| route.carrier.as_ref() != Some(&name));
        if chance.percent(50) {
            config.carriers[0].takes_over.push(name);
        }
    }
    site.ledger().totals.reloads += 1;
    let word = if goes { "without one" } else { "with every carrier" };
    site.ledger().note(&format!("reload {word}"));
    take_over(site, &config);
}

fn take_over(site: &Site, config: &tidegate_config::Config) {
    let passwords = vec![Password::new(b"secret", 9).unwrap(); config.carriers.len()];
    let taken = site.look(|world| {
        world
            .hub
            .with_gate(|gate, now| gate.reconfigure(now, config, passwords, true))
    });
    assert!(taken.is_none_or(|taken| taken.is_ok()), "few names");
}

fn set_clock(site: &Site, chance: &mut Chance) {
    let by = i64::try_from(chance.between(500, 60_000)).unwrap();
    let by = if chance.percent(50) { by } else { -by };
    let mut ledger = site.ledger();
    ledger.wall_ms();
    ledger.totals.clock_steps += 1;
    ledger.note(&format!("the wall clock is set by {by} ms"));
    site.clock.set_wall_by(by);
    ledger.wall_ms();
}

async fn restart(site: &Rc<Site>, chance: &mut Chance, how: EndOfLife) {
    site.end(how, chance).await;
    let pause = chance.pick(&[0, 10, 700, 3_000]);
    sleep(Duration::from_millis(pause)).await;
    site.begin_soon().await;
}

/// The power goes, at any moment or while the disk is being changed; at times during the next start as well.
async fn power_cut(site: &Rc<Site>, chance: &mut Chance) {
    let how = chance.pick(&[EndOfLife::PowerCut, EndOfLife::TornPowerCut]);
    if chance.percent(70) {
        let after = chance.below(25);
        let before = site.disk().counts().changes;
        site.disk().cut_power_after(after);
        for _ in 0..100 {
            sleep(Duration::from_millis(10)).await;
            if site.disk().counts().changes > before + after {
                break;
            }
        }
        // What a machine without power says meanwhile must be no lie either.
        let pause = chance.between(0, 300);
        sleep(Duration::from_millis(pause)).await;
    }
    site.end(how, chance).await;
    if chance.percent(30) {
        site.disk().cut_power_after(chance.below(12));
        if site.begin().is_ok() {
            sleep(Duration::from_millis(chance.between(0, 500))).await;
        }
        site.end(how, chance).await;
        let disk = site.disk();
        // A start that failed has left no life to end.
        site.replace_disk(disk.crash_with(chance.rng()));
    }
    site.begin_soon().await;
}

async fn disk_fault(site: &Rc<Site>, chance: &mut Chance) {
    let disk = site.disk();
    site.ledger().totals.disk_faults += 1;
    site.disk_fails.set(true);
    let kind = chance.below(5);
    site.ledger().trouble(&format!("disk fault {kind}"));
    match kind {
        0 => disk.set_capacity(Some(disk.used())),
        1 => disk.fail_next(Op::Write, chance.between(1, 3), std::io::ErrorKind::StorageFull),
        2 => disk.fail_next(Op::Write, 1, std::io::ErrorKind::Other),
        3 => disk.fail_next(Op::Sync, 1, std::io::ErrorKind::Other),
        _ => {
            let op = chance.pick(&[
                Op::Read,
                Op::Open,
                Op::Create,
                Op::Unlink,
                Op::SyncDir,
                Op::Truncate,
            ]);
            disk.fail_next(op, chance.between(1, 3), std::io::ErrorKind::Other);
        }
    }
    let pause = chance.between(50, 3_000);
    sleep(Duration::from_millis(pause)).await;
    disk.heal();
    disk.set_capacity(None);
    site.ledger().trouble("disk healed");
    site.disk_fails.set(false);
    if site.is_broken() {
        let how = chance.pick(&[EndOfLife::Killed, EndOfLife::PowerCut, EndOfLife::Orderly]);
        restart(site, chance, how).await;
    }
}

/// Everything is well again, and stays so.
pub(crate) async fn end(site: &Rc<Site>, chance: &mut Chance) {
    site.quiet.set(true);
    site.ledger().note("quiet");
    take_over(site, &site.setup.config);
    for centre in &site.centres {
        centre.mood.set(Mood::Usual);
        centre.is_down.set(false);
    }
    if site.is_broken() {
        restart(site, chance, EndOfLife::Killed).await;
    }
    let mut ledger = site.ledger();
    let wall = ledger.wall_max_ms();
    ledger.well_since_ms = Some(wall);
}

/// Remembers when nothing could be written: what was told to the gateway then may be forgotten with it.
pub(crate) async fn watch(site: Rc<Site>) {
    while !site.over.get() {
        if site.disk_fails.get() || site.is_stuck() {
            let mut ledger = site.ledger();
            let now = ledger.now_ms();
            ledger.troubles.push(now);
        }
        sleep(Duration::from_millis(40)).await;
    }
}

/// Handsets write to the accounts.
pub(crate) async fn handsets(site: Rc<Site>, mut chance: Chance) {
    while !site.quiet.get() {
        let pause = chance.between(200, 6_000);
        sleep(Duration::from_millis(pause)).await;
        let name = format!("mo{}", site.ledger().next_number());
        let account = usize::try_from(chance.below(4)).unwrap();
        let length = chance.between(0, 100);
        let text = chance.octets(length);
        let carrier = usize::try_from(chance.below(3)).unwrap();
        site.centres[carrier].deliver_later(&site, 0, Delivery::Mo { name, account, text });
    }
}
