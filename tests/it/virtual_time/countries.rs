//! A carrier that takes a thousand parts a second, and ten of them to one country: that one waits, and nobody else.

use std::cell::Cell;
use std::rc::Rc;

use tidegate_codec::address::{Address, Npi, Ton};
use tidegate_codec::identity::Password;
use tidegate_codec::pdu::message::{ShortMessage, Sm};
use tidegate_codec::values::RegisteredDelivery;
use tidegate_config::Config;

use super::*;
use crate::wire::{Wire, octets};
use crate::world::bench_config_lines;

const GB: &[u8] = b"447700900123";
const DE: &[u8] = b"4915112345678";
const RATE: u64 = 1_000;
/// Seconds that are counted.
const SECONDS: u64 = 5;

fn config(country_rates: &str) -> Config {
    let lines = format!("rate = {RATE}\ncountry_rates = {{ {country_rates} }}");
    bench_config_lines(&[("name = \"sink\"", &lines)])
}

fn setup() -> Setup {
    let mut setup = Setup::new(config("GB = 10"), 1 << 20, 1 << 28);
    setup.options.max_legs = 60_000;
    setup
}

fn started(seed: u64) -> World {
    World::start_with(&setup(), FaultyDisk::new(), Clock::virtual_from(START_MS), seed).unwrap()
}

async fn bound(world: &World) -> Wire {
    let mut esme = world.esme();
    assert_eq!(esme.bind(b"secret").await, CommandStatus::ROK);
    esme
}

/// Submits so many to the two in turn, with their sequence numbers as texts.
async fn submit(esme: &mut Wire, to: [&[u8]; 2], sequences: std::ops::Range<u32>) {
    let mut first = sequences.start;
    while first < sequences.end {
        let end = sequences.end.min(first + 250);
        let mut burst = Vec::new();
        for sequence in first..end {
            let text = sequence.to_string();
            let to = to[sequence as usize % 2];
            let sm = Sm {
                destination: Address::new(Ton::INTERNATIONAL, Npi::ISDN, to).unwrap(),
                registered_delivery: RegisteredDelivery(0),
                short_message: ShortMessage::new(text.as_bytes()).unwrap(),
                ..message()
            };
            burst.extend(octets(CommandStatus::ROK, sequence, Operation::SubmitSm(sm)));
        }
        esme.write(&burst).await.unwrap();
        for _ in first..end {
            let answer = esme.expect(CommandId::SUBMIT_SM_RESP).await;
            assert_eq!(answer.pdu().status, CommandStatus::ROK);
        }
        first = end;
    }
}

/// Messages that a carrier has taken, to the one country and to others.
type Taken = [Rc<Cell<u64>>; 2];

/// A carrier that takes everything, and sees to it that each recipient's messages come in their order.
fn take_all(world: &World) -> Taken {
    let taken = Taken::default();
    let (counted, mut smsc) = (taken.clone(), world.smsc());
    world.spawn(async move {
        smsc.accept_bind().await;
        let mut last = [0; 2];
        for number in 0.. {
            let frame = smsc.take_submit(format!("c-{number}").as_bytes()).await;
            let sm = frame.sm();
            let place = usize::from(!sm.destination.addr.as_bytes().starts_with(b"44"));
            let text: u32 = str::from_utf8(sm.text().0).unwrap().parse().unwrap();
            assert!(text > last[place], "{text} behind {}", last[place]);
            last[place] = text;
            counted[place].set(counted[place].get() + 1);
        }
    });
    taken
}

/// How many were taken over some seconds.
async fn counts(taken: &Taken) -> [u64; 2] {
    let before = [taken[0].get(), taken[1].get()];
    tokio::time::sleep(Duration::from_secs(SECONDS)).await;
    [taken[0].get() - before[0], taken[1].get() - before[1]]
}

/// Within 5 % of so many a second.
fn assert_rate(count: u64, rate: u64, what: &str) {
    let due = rate * SECONDS;
    assert!(count.abs_diff(due) * 20 <= due, "{what}: {count}, due {due}");
}

#[test]
fn a_country_gets_its_rate_the_others_get_the_rest_and_a_reload_changes_it_at_once() {
    scenario(|| async {
        let world = started(51);
        let mut esme = bound(&world).await;
        // In turn, so that all that goes elsewhere stands behind something that has to wait.
        submit(&mut esme, [GB, DE], 2..40_002).await;
        let taken = take_all(&world);
        // The carrier's own burst is over then.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let [gb, others] = counts(&taken).await;
        assert_rate(gb, 10, "of its own");
        assert_rate(gb + others, RATE, "together");
        // Another value, another country beside it, and none of its own any more.
        for (rates, due) in [
            ("GB = 100", 100),
            ("GB = 10, FR = 7", 10),
            ("FR = 7, \"*\" = 50", 25),
        ] {
            let (config, password) = (config(rates), Password::new(b"secret", 9).unwrap());
            let taken_over = world
                .hub
                .with_gate(|gate, now| gate.reconfigure(now, &config, vec![password], false));
            assert!(taken_over.is_ok());
            let [gb, _] = counts(&taken).await;
            assert_rate(gb, due, rates);
        }
    });
}

/// The very first in line have to wait, by the thousand.
#[test]
fn behind_a_flood_to_one_country_the_others_have_the_whole_rest() {
    scenario(|| async {
        let world = started(52);
        let mut esme = bound(&world).await;
        submit(&mut esme, [GB, GB], 2..20_002).await;
        let taken = take_all(&world);
        submit(&mut esme, [DE, DE], 20_002..32_002).await;
        let [gb, others] = counts(&taken).await;
        assert_rate(gb, 10, "of its own");
        assert_rate(gb + others, RATE, "together");
    });
}

/// What has to wait is not read back before its time, so it takes nobody's place in memory.
#[test]
fn a_backlog_on_disk_to_a_country_that_waits_holds_up_nobody() {
    scenario(|| async {
        let world = started(53);
        let clock = world.clock.clone();
        let mut esme = bound(&world).await;
        submit(&mut esme, [GB, GB], 2..10_002).await;
        submit(&mut esme, [GB, DE], 10_002..30_002).await;
        let after = World::start_with(&setup(), world.kill(), clock, 54).unwrap();
        let taken = take_all(&after);
        tokio::time::sleep(Duration::from_secs(1)).await;
        let [gb, others] = counts(&taken).await;
        assert_rate(gb, 10, "of its own");
        assert_rate(gb + others, RATE, "together");
    });
}
