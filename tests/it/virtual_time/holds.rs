//! A client that goes on submitting past 0x58: its link rests, longer each time, and is not taken for dead meanwhile.

use super::*;
use crate::wire::{Wire, empty, octets};
use crate::world::bench_config_lines;

/// Parts that the account's bucket lets through at once, and in a second.
const BURST: usize = 255;
const RATE: usize = 100;
/// So many 0x58 more than accepted, then a hold.
const AFTER: usize = 50;
const SECOND: Duration = Duration::from_secs(1);

fn world(limits: &str, seed: u64) -> World {
    let limits = format!(
        "throttle_after = {AFTER}\nthrottle_hold_max = \"4s\"\nenquire_link = \"2s\"\n\
         enquire_link_response = \"500ms\"\npdu_read = \"900ms\"\n{limits}"
    );
    let config = bench_config_lines(&[
        ("[limits]", &limits),
        ("system_id = \"load\"", &format!("rate = {RATE}")),
    ]);
    let setup = Setup::new(config, 1 << 20, 1 << 28);
    World::start_with(&setup, FaultyDisk::new(), Clock::virtual_from(START_MS), seed).unwrap()
}

fn burst(sequences: std::ops::Range<u32>) -> Vec<u8> {
    sequences
        .flat_map(|sequence| octets(CommandStatus::ROK, sequence, Operation::SubmitSm(message())))
        .collect()
}

/// A run of answers of one status that came without a pause: how long it was since the run before, the status, how
/// many.
type Run = (Duration, CommandStatus, usize);

/// Answers to submits until there are so many or an unbind comes. Our enquire_links are not answered: the answers stand
/// behind the flood, as with a client that writes in order.
async fn runs(esme: &mut Wire, world: &World, answers: usize) -> Vec<Run> {
    let (mut runs, mut seen) = (Vec::<Run>::new(), 0);
    let mut heard = world.clock.now().monotonic;
    while seen < answers {
        let frame = esme.next().await;
        let pdu = frame.pdu();
        match pdu.operation.command_id() {
            CommandId::UNBIND => break,
            CommandId::ENQUIRE_LINK | CommandId::ENQUIRE_LINK_RESP => continue,
            CommandId::SUBMIT_SM_RESP => seen += 1,
            other => panic!("{other}"),
        }
        let now = world.clock.now().monotonic;
        let pause = now.saturating_sub(heard);
        heard = now;
        match runs.last_mut() {
            Some((_, status, count)) if *status == pdu.status && pause < SECOND / 2 => *count += 1,
            _ => runs.push((pause, pdu.status, 1)),
        }
    }
    runs
}

/// Accepted and throttled, whatever of them came first, and the pauses before.
fn sums(runs: &[Run]) -> (Vec<u64>, usize, usize) {
    let of = |wanted: CommandStatus| {
        let counts = runs.iter().filter(|(_, status, _)| *status == wanted);
        counts.map(|(_, _, count)| count).sum()
    };
    let long = runs.iter().filter(|(pause, _, _)| *pause >= SECOND / 2);
    let pauses = long.map(|(pause, _, _)| pause.as_secs()).collect();
    (pauses, of(CommandStatus::ROK), of(CommandStatus::RTHROTTLED))
}

fn holds(world: &World) -> u64 {
    world.hub.look(|gate, _| gate.accounts()[0].tally.holds)
}

#[test]
fn a_link_that_goes_on_past_0x58_rests_longer_each_time_and_lives() {
    scenario(|| async {
        let world = world("", 31);
        let mut esme = world.esme();
        esme.bind(b"secret").await;
        // The last message is cut in two: what lies unread for seconds is no slow sender's.
        let mut flood = burst(2..802);
        flood.extend(empty(CommandId::ENQUIRE_LINK, CommandStatus::ROK, 802));
        let rest = flood.split_off(flood.len() - 40);
        esme.write(&flood).await.unwrap();
        esme.write(&rest).await.unwrap();
        let runs = runs(&mut esme, &world, 800).await;
        let (pauses, accepted, throttled) = sums(&runs);
        assert_eq!(pauses, [1, 2, 4], "{runs:?}");
        assert_eq!(throttled, 3 * AFTER, "{runs:?}");
        assert_eq!(accepted, 800 - 3 * AFTER);
        assert!(accepted <= BURST + RATE * 8);
        assert_eq!(holds(&world), 3);
        // Slowed down, it is served at once and never held again.
        for sequence in 900..930 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let before = world.clock.now().monotonic;
            esme.submit(sequence).await;
            assert!(world.clock.now().monotonic.saturating_sub(before) < SECOND / 5);
        }
        assert_eq!(holds(&world), 3);
    });
}

#[test]
fn one_that_does_not_mind_is_unbound_behind_all_its_answers() {
    scenario(|| async {
        let world = world("throttle_close_after = 2", 32);
        let mut esme = world.esme();
        esme.bind(b"secret").await;
        esme.write(&burst(2..902)).await.unwrap();
        let runs = runs(&mut esme, &world, 900).await;
        let (pauses, accepted, throttled) = sums(&runs);
        assert_eq!((pauses, throttled), (vec![1, 2], 3 * AFTER), "{runs:?}");
        assert_eq!(accepted, BURST + 3 * RATE);
        let counts = world.hub.look(|gate, _| {
            (
                gate.accounts()[0].tally.flooders_unbound,
                gate.accounts()[0].links.len(),
            )
        });
        assert_eq!(counts, (1, 0));
        // What it had sent behind that is not taken.
        while let Some(frame) = esme.try_next().await {
            assert!(
                !frame.pdu().status.is_ok(),
                "{}",
                frame.pdu().operation.command_id()
            );
        }
        // It may come back.
        assert_eq!(world.esme().bind(b"secret").await, CommandStatus::ROK);
    });
}
