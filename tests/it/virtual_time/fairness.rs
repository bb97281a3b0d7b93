//! Two accounts and a carrier that takes a thousand parts a second: one floods, the other gets its share.

use std::cell::Cell;
use std::rc::Rc;

use tidegate_codec::address::{Address, Npi, Ton};
use tidegate_codec::pdu::message::Sm;
use tidegate_codec::values::RegisteredDelivery;

use super::*;
use crate::wire::{Wire, bind, octets};
use crate::world::bench_config_lines;

const RATE: u64 = 1_000;
/// Seconds that are counted, behind the carrier's first burst.
const SECONDS: u64 = 8;
/// More than the carrier takes in that time.
const FLOOD: u32 = 15_000;

fn setup(weights: [u32; 2]) -> Setup {
    let weight = |weight: u32| format!("weight = {weight}");
    let rate = format!("rate = {RATE}");
    let config = bench_config_lines(&[
        ("name = \"sink\"", &rate),
        ("system_id = \"load\"", &weight(weights[0])),
        ("system_id = \"load1\"", &weight(weights[1])),
    ]);
    let mut setup = Setup::new(config, 1 << 20, 1 << 28);
    setup.options.max_legs = 50_000;
    setup
}

async fn bound(world: &World, system_id: &[u8]) -> Wire {
    let mut esme = world.esme();
    let bind = Operation::Bind(
        tidegate_codec::values::BindKind::Transmitter,
        bind(
            system_id,
            b"secret",
            tidegate_codec::values::InterfaceVersion::V3_4,
        ),
    );
    esme.send(CommandStatus::ROK, 1, bind).await;
    let answer = esme.expect(CommandId::BIND_TRANSMITTER_RESP).await;
    assert_eq!(answer.pdu().status, CommandStatus::ROK);
    esme
}

/// Submits so many at once, each answered.
async fn submit_all(esme: &mut Wire, sender: &[u8], sequences: std::ops::Range<u32>) {
    let sm = Sm {
        source: Address::new(Ton::ALPHANUMERIC, Npi::UNKNOWN, sender).unwrap(),
        registered_delivery: RegisteredDelivery(0),
        ..message()
    };
    let mut first = sequences.start;
    while first < sequences.end {
        let end = sequences.end.min(first + 250);
        let burst: Vec<u8> = (first..end)
            .flat_map(|sequence| octets(CommandStatus::ROK, sequence, Operation::SubmitSm(sm)))
            .collect();
        esme.write(&burst).await.unwrap();
        for _ in first..end {
            let answer = esme.expect(CommandId::SUBMIT_SM_RESP).await;
            assert_eq!(answer.pdu().status, CommandStatus::ROK);
        }
        first = end;
    }
}

/// Messages of both that a carrier has taken.
type Taken = [Rc<Cell<u64>>; 2];

fn take_all(world: &World, taken: &Taken) {
    let taken = taken.clone();
    let mut smsc = world.smsc();
    world.spawn(async move {
        smsc.accept_bind().await;
        for number in 0.. {
            let frame = smsc.take_submit(format!("c-{number}").as_bytes()).await;
            let whose = usize::from(frame.sm().source.addr.as_bytes() == b"Other");
            taken[whose].set(taken[whose].get() + 1);
        }
    });
}

/// The other offers so many a second for a while; how many of either the carrier has taken in that time.
async fn share(world: &World, taken: &Taken, offered: u64) -> [u64; 2] {
    let mut other = bound(world, b"load1").await;
    // The carrier's burst is over, and the other is in the middle of what it sends.
    let mut sequence = 2;
    let mut before = [0; 2];
    for tick in 0..(SECONDS + 2) * 10 {
        if tick == 20 {
            before = [taken[0].get(), taken[1].get()];
        }
        let count = u32::try_from(offered / 10).unwrap();
        submit_all(&mut other, b"Other", sequence..sequence + count).await;
        sequence += count;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    [taken[0].get() - before[0], taken[1].get() - before[1]]
}

/// Within 5 % of what is due, and the carrier is never idle.
fn assert_share(taken: [u64; 2], due: u64, what: &str) {
    let due = due * SECONDS;
    assert!(taken[1].abs_diff(due) * 20 <= due, "{what}: {taken:?}, due {due}");
    let all = RATE * SECONDS;
    assert!(
        (taken[0] + taken[1]).abs_diff(all) * 50 <= all,
        "{what}: {taken:?}"
    );
}

#[test]
fn beside_an_account_that_floods_another_gets_its_share_by_weight() {
    for (weights, offered, due) in [
        ([1, 1], 800, 500),
        ([1, 1], 300, 300),
        ([1, 3], 1_200, 750),
        ([9, 1], 500, 100),
    ] {
        scenario(|| async {
            let clock = Clock::virtual_from(START_MS);
            let world = World::start_with(&setup(weights), FaultyDisk::new(), clock, 21).unwrap();
            let taken = Taken::default();
            let mut flooder = bound(&world, b"load").await;
            submit_all(&mut flooder, b"Flood", 2..FLOOD).await;
            take_all(&world, &taken);
            let got = share(&world, &taken, offered).await;
            assert_share(got, due, &format!("weights {weights:?}, {offered}/s offered"));
        });
    }
}

/// Nothing is handed over, and places for messages run out: each account has room for its share.
#[test]
fn a_flooder_does_not_fill_all_places_for_messages() {
    scenario(|| async {
        let mut setup = setup([1, 1]);
        setup.options.max_legs = 4_000;
        let world = World::start_with(&setup, FaultyDisk::new(), Clock::virtual_from(START_MS), 24).unwrap();
        let mut flooder = bound(&world, b"load").await;
        submit_all(&mut flooder, b"Flood", 2..3_002).await;
        let mut other = bound(&world, b"load1").await;
        for sequence in 4_000..4_010 {
            flooder
                .send(CommandStatus::ROK, sequence, Operation::SubmitSm(message()))
                .await;
            let answer = flooder.expect(CommandId::SUBMIT_SM_RESP).await;
            assert_eq!(answer.pdu().status, CommandStatus::RMSGQFUL);
        }
        submit_all(&mut other, b"Other", 2..902).await;
    });
}

/// What the flooder has left lies on disk only, and is read back as it goes.
#[test]
fn what_a_flooder_has_on_disk_does_not_hold_up_another_one_s_messages() {
    scenario(|| async {
        let mut setup = setup([1, 1]);
        setup.keeper_late_ms = 20..=200;
        let clock = Clock::virtual_from(START_MS);
        let world = World::start_with(&setup, FaultyDisk::new(), clock.clone(), 22).unwrap();
        let mut flooder = bound(&world, b"load").await;
        submit_all(&mut flooder, b"Flood", 2..FLOOD).await;
        let after = World::start_with(&setup, world.kill(), clock, 23).unwrap();
        let taken = Taken::default();
        take_all(&after, &taken);
        let got = share(&after, &taken, 300).await;
        assert_share(got, 300, "a backlog on disk, 300/s offered");
    });
}

/// It is read back so slowly that as much as may be is on its way all the time.
#[test]
fn an_account_whose_bodies_are_still_being_read_holds_up_no_other() {
    scenario(|| async {
        let mut setup = setup([9, 1]);
        let clock = Clock::virtual_from(START_MS);
        let before = World::start_with(&setup, FaultyDisk::new(), clock.clone(), 25).unwrap();
        let mut flooder = bound(&before, b"load").await;
        let backlog = 4_000;
        submit_all(&mut flooder, b"Flood", 2..2 + backlog).await;
        setup.keeper_late_ms = 3_000..=3_000;
        let after = World::start_with(&setup, before.kill(), clock, 26).unwrap();
        let taken = Taken::default();
        let now = |taken: &Taken| [taken[0].get(), taken[1].get()];
        take_all(&after, &taken);
        let mut other = bound(&after, b"load1").await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(now(&taken), [0, 0]);
        let mut due = 0;
        let (mut held_up, mut flood) = (0, 0);
        while flood < u64::from(backlog) {
            let first = 2 + u32::try_from(due).unwrap();
            submit_all(&mut other, b"Other", first..first + 50).await;
            due += 50;
            tokio::time::sleep(Duration::from_millis(500)).await;
            held_up += u64::from(now(&taken)[1] < due);
            assert!(due < 5_000, "{:?}", now(&taken));
            flood = taken[0].get();
        }
        // Where a lot of bodies has just come the other waits for its turn, no longer.
        assert!(held_up <= 4, "{held_up} of {}", due / 50);
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(now(&taken), [u64::from(backlog), due]);
    });
}
