//! A real process under load, ended in order and started again: nothing that it acknowledged is lost. Killing it:
//! `kill.rs`.

use std::net::SocketAddr;
use std::time::Duration;

use tidegate_codec::identity::{PASSWORD_MAX, Password};
use tidegate_gateway::demo::report::Outcome;
use tidegate_gateway::load::{self, Load};
use tidegate_gateway::simulator::{self, Simulator};
use tidegate_tests::Process;

fn secret() -> Password {
    Password::new(b"secret", PASSWORD_MAX).unwrap()
}

fn clients(server: SocketAddr, messages: u32) -> Load {
    let options = load::Options::new(server, "load".parse().unwrap(), secret()).unwrap();
    let options = load::Options {
        binds: 4,
        window: 50,
        messages,
        run: 7,
        ..options
    };
    Load::start(options).unwrap()
}

/// Waits until the clients have so many answers, or are done.
fn wait_for(clients: &Load, acknowledged: u64) {
    while clients.counts().acknowledged < acknowledged && !clients.wait(Duration::from_millis(2)) {}
}

#[tokio::test]
async fn an_orderly_end_in_the_middle_of_it_loses_nothing_either() {
    const MESSAGES: u32 = 6_000;
    let carrier = Simulator::start(simulator::Options::new("tidegate".parse().unwrap(), secret())).unwrap();
    let mut process = Process::start(Process::built(), |places| places.config(&[carrier.addr()], "")).await;
    let clients = clients(process.smpp(), MESSAGES);
    wait_for(&clients, u64::from(MESSAGES) / 3);
    assert!(process.stop().await.success(), "{}", process.stderr());
    process.spawn();
    process.ready().await;
    while !clients.wait(Duration::from_millis(100)) {}
    let outcome = Outcome::new(&clients.join().unwrap(), Some(&carrier.stop().unwrap()));
    assert_eq!(outcome.acknowledged, u64::from(MESSAGES), "{outcome}");
    assert_eq!(outcome.lost, 0, "{}\n{outcome}", process.stderr());
}
