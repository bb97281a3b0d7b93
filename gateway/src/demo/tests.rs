//! Both ends of the demo bound straight to each other.

use std::time::Duration;

use tidegate_codec::identity::{PASSWORD_MAX_LENIENT, Password, SystemId};
use tidegate_codec::status::CommandStatus;

use crate::demo::report::Outcome;
use crate::load::{self, Load};
use crate::simulator::{self, Delay, Share, Simulator};

fn password(text: &[u8]) -> Password {
    Password::new(text, PASSWORD_MAX_LENIENT).unwrap()
}

fn account() -> SystemId {
    SystemId::new(b"load").unwrap()
}

fn carrier() -> simulator::Options {
    simulator::Options::new(account(), password(b"secret"))
}

fn clients(carrier: &Simulator, messages: u32) -> load::Options {
    load::Options {
        messages,
        run: 7,
        ..load::Options::new(carrier.addr(), account(), password(b"secret")).unwrap()
    }
}

/// Waits until the clients have so many answers, by looking: there is no event for it.
fn until_acknowledged(clients: &Load, count: u64) {
    while clients.counts().acknowledged < count && !clients.wait(Duration::from_millis(1)) {}
}

fn outcome(clients: &load::Report, carrier: &simulator::Report) -> Outcome {
    assert!(!clients.gave_up, "{clients:?}");
    Outcome::new(clients, Some(carrier))
}

#[test]
fn every_message_is_acknowledged_and_every_receipt_comes_once() {
    let carrier = Simulator::start(carrier()).unwrap();
    let clients = Load::run(clients(&carrier, 5000)).unwrap();
    let carrier = carrier.stop().unwrap();
    let outcome = outcome(&clients, &carrier);
    assert_eq!(
        (
            outcome.submitted,
            outcome.acknowledged,
            outcome.handed_over,
            outcome.receipts
        ),
        (5000, 5000, 5000, 5000)
    );
    assert!(outcome.is_whole() && outcome.doubled == 0);
    assert_eq!(
        (carrier.binds, carrier.unique, carrier.repeated, carrier.altered),
        (4, 5000, 0, 0)
    );
    // The last answers may still be on their way when the carrier is told to stop.
    assert!(carrier.receipts + carrier.receipts_owed == 5000);
    assert_eq!(
        (
            clients.repeated_receipts,
            clients.unknown_receipts,
            clients.disconnects
        ),
        (0, 0, 0)
    );
    assert_eq!(clients.latency_us.len(), 5000);
}

#[test]
fn receipts_that_overtake_their_answers_are_matched() {
    let options = simulator::Options {
        response_delay: Delay::exactly(Duration::from_millis(20)),
        ..carrier()
    };
    let carrier = Simulator::start(options).unwrap();
    let report = Load::run(clients(&carrier, 2000)).unwrap();
    let outcome = outcome(&report, &carrier.stop().unwrap());
    assert_eq!((outcome.receipts, outcome.lost), (2000, 0));
    assert_eq!(report.unknown_receipts, 0);
    assert!(outcome.p50_ms >= 19.0, "{outcome:?}");
}

#[test]
fn receipts_that_are_held_back_come_all_the_same() {
    let options = simulator::Options {
        receipt_delay: Delay::exactly(Duration::from_millis(50)),
        ..carrier()
    };
    let carrier = Simulator::start(options).unwrap();
    let report = Load::run(clients(&carrier, 1000)).unwrap();
    assert_eq!(outcome(&report, &carrier.stop().unwrap()).receipts, 1000);
    assert!(report.elapsed >= Duration::from_millis(50));
}

#[test]
fn a_throttled_message_is_submitted_again_and_a_rejected_one_is_not() {
    let options = simulator::Options {
        refusals: vec![
            (CommandStatus::RTHROTTLED, Share::one_in(100)),
            (CommandStatus::RMSGQFUL, Share::one_in(33)),
            (CommandStatus::RINVDSTADR, Share::one_in(250)),
        ],
        ..carrier()
    };
    let carrier = Simulator::start(options).unwrap();
    let report = Load::run(load::Options {
        throttle_pause: Duration::from_millis(1),
        ..clients(&carrier, 2000)
    })
    .unwrap();
    let outcome = outcome(&report, &carrier.stop().unwrap());
    assert_eq!(outcome.acknowledged + outcome.refused, 2000);
    assert_eq!(
        report.refused.keys().copied().collect::<Vec<_>>(),
        [CommandStatus::RINVDSTADR.0]
    );
    assert!(outcome.throttled > 0 && outcome.refused > 0);
    assert_eq!((outcome.lost, outcome.doubled, outcome.resubmitted), (0, 0, 0));
    assert_eq!(outcome.receipts, outcome.acknowledged);
}

#[test]
fn when_every_connection_drops_nothing_is_lost_and_what_doubles_is_in_doubt() {
    let options = simulator::Options {
        response_delay: Delay::exactly(Duration::from_millis(2)),
        ..carrier()
    };
    let carrier = Simulator::start(options).unwrap();
    let clients = Load::start(clients(&carrier, 60_000)).unwrap();
    for share in 1..=3 {
        until_acknowledged(&clients, share * 4000);
        // One connection alone may have had all those answers; each is to be dropped each time.
        while carrier.counts().bound < 4 && !clients.wait(Duration::from_millis(1)) {}
        carrier.drop_links();
    }
    let report = clients.join().unwrap();
    let carrier = carrier.stop().unwrap();
    let outcome = outcome(&report, &carrier);
    assert_eq!(
        (outcome.acknowledged, outcome.handed_over, outcome.lost),
        (60_000, 60_000, 0)
    );
    assert!(report.disconnects >= 12 && report.in_doubt > 0, "{report:?}");
    assert!(outcome.doubled <= outcome.resubmitted, "{outcome:?}");
    assert!(carrier.receipts_resent > 0);
}

#[test]
fn a_carrier_that_comes_back_on_its_port_is_bound_again() {
    let first = Simulator::start(carrier()).unwrap();
    let listen = first.addr();
    // More than can be answered before every connection is back.
    let clients = Load::start(clients(&first, 2_000_000)).unwrap();
    until_acknowledged(&clients, 1000);
    let before = first.stop().unwrap();
    let second = Simulator::start(simulator::Options { listen, ..carrier() }).unwrap();
    // The second carrier first: until it has all four, some of those that the clients show may be old ones.
    while second.counts().bound < 4 && !clients.wait(Duration::from_millis(1)) {}
    while clients.counts().bound < 4 && !clients.wait(Duration::from_millis(1)) {}
    until_acknowledged(&clients, before.unique + 1000);
    clients.stop();
    let report = clients.join().unwrap();
    assert!(report.bound >= 8 && report.disconnects >= 4, "{report:?}");
    assert!(report.acknowledged >= before.unique.saturating_sub(400) + 1000);
    assert!(second.stop().unwrap().unique >= 1000);
}

#[test]
fn a_wrong_password_is_tried_again_until_patience_ends() {
    let carrier = Simulator::start(carrier()).unwrap();
    let report = Load::run(load::Options {
        password: password(b"wrong"),
        patience: Duration::from_millis(300),
        binds: 1,
        ..clients(&carrier, 10)
    })
    .unwrap();
    assert!(report.gave_up && report.binds_refused >= 2);
    assert_eq!((report.submitted, report.bound), (0, 0));
    assert_eq!(carrier.stop().unwrap().binds, 0);
}

#[test]
fn binds_are_refused_for_as_long_as_the_carrier_is_told_to() {
    let carrier = Simulator::start(simulator::Options {
        refuse_binds: Some(CommandStatus::RBINDFAIL),
        ..carrier()
    })
    .unwrap();
    let clients = Load::start(clients(&carrier, 100)).unwrap();
    assert!(!clients.wait(Duration::from_millis(50)));
    carrier.refuse_binds(None);
    let report = clients.join().unwrap();
    assert_eq!(outcome(&report, &carrier.stop().unwrap()).receipts, 100);
    assert!(report.binds_refused > 0);
}

#[test]
fn without_receipts_a_run_ends_with_its_answers() {
    let carrier = Simulator::start(carrier()).unwrap();
    let report = Load::run(load::Options {
        registered_delivery: tidegate_codec::values::RegisteredDelivery::NONE,
        ..clients(&carrier, 500)
    })
    .unwrap();
    let carrier = carrier.stop().unwrap();
    let outcome = outcome(&report, &carrier);
    assert_eq!((outcome.handed_over, outcome.receipts, outcome.lost), (500, 0, 0));
    assert_eq!(carrier.receipts_owed, 0);
}

#[test]
fn a_message_that_never_arrived_or_whose_receipt_never_came_is_lost() {
    let carrier = Simulator::start(carrier()).unwrap();
    let mut report = Load::run(clients(&carrier, 100)).unwrap();
    let mut carrier = carrier.stop().unwrap();
    report.receipt_marks = [0, 1, 2].into_iter().fold(
        Default::default(),
        |mut marks: crate::traffic::marks::Marks, n| {
            marks.insert(n);
            marks
        },
    );
    assert_eq!(Outcome::new(&report, Some(&carrier)).lost, 97);
    assert_eq!(Outcome::new(&report, None).lost, 97);
    carrier.taken.clear();
    let outcome = Outcome::new(&report, Some(&carrier));
    assert_eq!((outcome.lost, outcome.handed_over), (100, 0));
    assert!(!outcome.is_whole());
}
