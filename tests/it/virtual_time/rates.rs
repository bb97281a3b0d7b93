//! Rates of a link, of an account and of a country, over links that are bound.

use tidegate_gateway::telemetry::words::ThrottledBy;

use super::*;
use crate::wire::{Wire, octets};
use crate::world::bench_config_lines;

/// What a bucket of a low rate lets through at once.
const BURST: usize = 255;

fn world(limits: &str, account: &str) -> World {
    let config = bench_config_lines(&[("[limits]", limits), ("system_id = \"load\"", account)]);
    let setup = Setup::new(config, 1 << 20, 1 << 28);
    World::start_with(&setup, FaultyDisk::new(), Clock::virtual_from(START_MS), 41).unwrap()
}

async fn bound(world: &World) -> Wire {
    let mut esme = world.esme();
    assert_eq!(esme.bind(b"secret").await, CommandStatus::ROK);
    esme
}

/// Submits so many at once: how many were taken, the others throttled.
async fn taken(esme: &mut Wire, count: u32) -> usize {
    let burst: Vec<u8> = (2..2 + count)
        .flat_map(|sequence| octets(CommandStatus::ROK, sequence, Operation::SubmitSm(message())))
        .collect();
    esme.write(&burst).await.unwrap();
    let mut taken = 0;
    for _ in 0..count {
        match esme.expect(CommandId::SUBMIT_SM_RESP).await.pdu().status {
            CommandStatus::ROK => taken += 1,
            CommandStatus::RTHROTTLED => {}
            other => panic!("{other}"),
        }
    }
    taken
}

fn counted(world: &World) -> Vec<(ThrottledBy, u64)> {
    world
        .hub
        .look(|gate, _| gate.accounts()[0].tally.throttled.iter().collect())
}

#[test]
fn each_link_has_its_own_rate_and_all_together_the_account_s() {
    scenario(|| async {
        let world = world("", "link_rate = 1\nrate = 300");
        let (mut first, mut second) = (bound(&world).await, bound(&world).await);
        assert_eq!(taken(&mut first, 260).await, BURST);
        assert_eq!(counted(&world), [(ThrottledBy::Link, 5)]);
        assert_eq!(taken(&mut second, 60).await, 300 - BURST);
        assert_eq!(
            counted(&world),
            [(ThrottledBy::Link, 5), (ThrottledBy::Account, 15)],
            "what the first link was refused cost the account nothing"
        );
    });
}

#[test]
fn countries_without_a_rate_of_their_own_share_the_one_of_all_others() {
    for (limits, account, by) in [
        ("", "country_rates = { \"*\" = 1 }", ThrottledBy::Country),
        ("country_rates = { \"*\" = 1 }", "", ThrottledBy::GatewayCountry),
    ] {
        scenario(|| async {
            let world = world(limits, account);
            assert_eq!(taken(&mut bound(&world).await, 260).await, BURST);
            assert_eq!(counted(&world), [(by, 5)]);
        });
    }
}
