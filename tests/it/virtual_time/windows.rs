//! How many submits of a bind may be unanswered, changed while it is open.

use tidegate_codec::identity::Password;
use tidegate_config::Config;

use super::*;
use crate::wire::{Wire, octets};
use crate::world::bench_config_lines;

fn config(window: usize) -> Config {
    let key = format!("window = {window}");
    bench_config_lines(&[("system_id = \"load\"", &key)])
}

/// What the gate takes of so many submits that come in one piece, before any turn.
fn taken(world: &World, sequences: std::ops::Range<u32>, force: bool) -> usize {
    let submit = |sequence| octets(CommandStatus::ROK, sequence, Operation::SubmitSm(message()));
    let burst: Vec<u8> = sequences.clone().flat_map(submit).collect();
    let each = burst.len() / sequences.len();
    world.hub.with_gate(|gate, now| {
        let link = gate.accounts()[0].links[0];
        gate.input(now, link, &burst, force).used / each
    })
}

async fn answers(esme: &mut Wire, sequences: std::ops::Range<u32>) {
    for sequence in sequences {
        let answer = esme.expect(CommandId::SUBMIT_SM_RESP).await;
        let pdu = answer.pdu();
        assert_eq!((pdu.status, pdu.sequence), (CommandStatus::ROK, sequence));
    }
}

#[test]
fn a_link_that_holds_octets_back_is_flushed_at_once_and_when_its_peer_reads_late() {
    /// In virtual time: as soon as both sides have nothing else to do.
    const SOON: Duration = Duration::from_millis(50);
    // Each answer comes in a turn of its own. By one of these numbers the last finds the link full.
    for first in 2..=8 {
        scenario(|| async move {
            let setup = Setup::new(config(50), 1 << 20, 1 << 28);
            let clock = Clock::virtual_from(START_MS);
            let world = World::start_with(&setup, FaultyDisk::new(), clock, 52).unwrap();
            let mut esme = world.esme_that_is_flushed(128);
            assert_eq!(esme.bind(b"secret").await, CommandStatus::ROK);
            for sequence in 0..=first {
                if sequence == first {
                    tokio::time::sleep(SOON).await;
                }
                esme.send(CommandStatus::ROK, 10 + sequence, Operation::SubmitSm(message()))
                    .await;
            }
            tokio::time::sleep(SOON).await;
            // From here on the peer says nothing that would wake the link, and no timer may have to.
            let answers = answers(&mut esme, 10..11 + first);
            let answered = tokio::time::timeout(SOON, answers).await;
            assert!(
                answered.is_ok(),
                "octets that were taken are not flushed ({first})"
            );
        });
    }
}

#[test]
fn another_window_holds_for_the_next_submit_on_a_bind_that_is_open() {
    scenario(|| async {
        let setup = Setup::new(config(3), 1 << 20, 1 << 28);
        let world = World::start_with(&setup, FaultyDisk::new(), Clock::virtual_from(START_MS), 51).unwrap();
        let reload = |window| {
            let passwords = vec![Password::new(b"secret", 9).unwrap()];
            let taken = world
                .hub
                .with_gate(|gate, now| gate.reconfigure(now, &config(window), passwords, false));
            assert!(taken.is_ok());
        };
        let mut esme = world.esme();
        assert_eq!(esme.bind(b"secret").await, CommandStatus::ROK);
        assert_eq!(taken(&world, 10..20, false), 3);
        // Wider with three on their way: two more.
        reload(5);
        assert_eq!(taken(&world, 13..20, false), 2);
        answers(&mut esme, 10..15).await;
        assert_eq!(taken(&world, 20..30, false), 5);
        // Narrower than what is on its way: all of that is answered, and nothing more is read until then.
        reload(1);
        assert_eq!(taken(&world, 25..30, false), 0);
        // Who goes on all the same is told so.
        assert_eq!(taken(&world, 25..26, true), 1);
        let refused = esme.expect(CommandId::SUBMIT_SM_RESP).await;
        let pdu = refused.pdu();
        assert_eq!((pdu.status, pdu.sequence), (CommandStatus::RTHROTTLED, 25));
        answers(&mut esme, 20..25).await;
        assert_eq!(taken(&world, 30..40, false), 1);
        answers(&mut esme, 30..31).await;
    });
}
