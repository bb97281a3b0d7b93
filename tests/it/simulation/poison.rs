//! One recipient among ten thousand whom the carrier never takes: the others do not wait for it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use tidegate_codec::address::{Address, Npi, Ton};
use tidegate_codec::header::CommandId;
use tidegate_codec::octets::COctets;
use tidegate_codec::pdu::message::Sm;
use tidegate_codec::pdu::response::MessageIdResp;
use tidegate_codec::pdu::{Operation, Pdu};
use tidegate_codec::status::CommandStatus;
use tidegate_codec::tlv::Tlvs;
use tidegate_codec::values::RegisteredDelivery;
use tidegate_gateway::clock::Clock;
use tidegate_store::disk::FaultyDisk;
use tokio::task::spawn_local;
use tokio::time::sleep_until;

use crate::wire::{Wire, empty, message, octets};
use crate::world::{START_MS, World, scenario};

const MESSAGES: u32 = 10_000;
/// They are submitted in bursts, so that there is traffic whenever the poisoned one is tried again.
const BURST: u32 = 500;
const BURST_EVERY: Duration = Duration::from_secs(7);
/// Which of them the carrier never takes.
const POISONED: u32 = 50;
/// What is more than an answer's time or two.
const LATE: Duration = Duration::from_millis(100);
/// How long the carrier takes for an answer.
const ANSWER: Duration = Duration::from_millis(20);

/// How the others fared.
#[derive(Clone, Copy, Debug)]
struct Fared {
    /// The longest time from a submission until the carrier had it.
    longest: Duration,
    /// Messages that waited longer than [`LATE`].
    late: u32,
    /// How often the loop went round.
    turns: u64,
    /// How often the poisoned one was offered meanwhile.
    offered: u32,
}

/// When each message was submitted, by its number, in monotonic time.
type Submitted = Rc<RefCell<Vec<Duration>>>;

/// A carrier: takes everything but for one recipient, until it has taken all others. Returns the longest wait, and how
/// often it refused.
async fn carrier(
    mut wire: Wire,
    clock: Clock,
    refused: Option<CommandStatus>,
    submitted: Submitted,
) -> (Duration, u32, u32) {
    let (mut answers, mut taken, mut offered) = (VecDeque::<(Duration, Vec<u8>)>::new(), 0, 0);
    let (mut longest, mut late) = (Duration::ZERO, 0);
    let others = if refused.is_some() { MESSAGES - 1 } else { MESSAGES };
    loop {
        let due = answers.front().map(|(due, _)| *due);
        tokio::select! {
            biased;
            () = sleep_until(clock.instant(due.unwrap_or_default())), if due.is_some() => {
                let (_, answer) = answers.pop_front().unwrap();
                wire.write(&answer).await.unwrap();
                if taken == others && answers.is_empty() {
                    return (longest, late, offered);
                }
            }
            frame = wire.try_next() => {
                let frame = frame.unwrap();
                let Pdu { sequence, operation, .. } = frame.pdu();
                let answer = match operation {
                    Operation::SubmitSm(sm) => {
                        let message = number_of(sm.destination.addr.as_bytes());
                        let is_poisoned = message == POISONED;
                        offered += u32::from(is_poisoned);
                        match refused.filter(|_| is_poisoned) {
                            Some(status) => empty(CommandId::SUBMIT_SM_RESP, status, sequence),
                            None => {
                                taken += 1;
                                let waited = clock.now().monotonic - submitted.borrow()[message as usize];
                                longest = longest.max(waited);
                                late += u32::from(waited > LATE);
                                accepted(sequence)
                            }
                        }
                    }
                    Operation::EnquireLink(_) => {
                        empty(CommandId::ENQUIRE_LINK_RESP, CommandStatus::ROK, sequence)
                    }
                    other => panic!("{}", other.command_id()),
                };
                answers.push_back((clock.now().monotonic + ANSWER, answer));
            }
        }
    }
}

fn accepted(sequence: u32) -> Vec<u8> {
    let body = MessageIdResp {
        message_id: COctets::new(b"id").unwrap(),
        tlvs: Tlvs::NONE,
    };
    let answer = Operation::SubmitSmResp(Some(body));
    octets(CommandStatus::ROK, sequence, answer)
}

fn number(message: u32) -> String {
    format!("4477{message:08}")
}

fn number_of(recipient: &[u8]) -> u32 {
    std::str::from_utf8(&recipient[4..]).unwrap().parse().unwrap()
}

/// Submits everything, burst by burst.
async fn submit_all(esme: &mut Wire, clock: &Clock, submitted: &Submitted) {
    for burst in 0..MESSAGES / BURST {
        let began = clock.now().monotonic;
        for which in burst * BURST..(burst + 1) * BURST {
            let to = number(which);
            let sm = Sm {
                destination: Address::new(Ton::INTERNATIONAL, Npi::ISDN, to.as_bytes()).unwrap(),
                registered_delivery: RegisteredDelivery::NONE,
                ..message()
            };
            submitted.borrow_mut().push(clock.now().monotonic);
            let operation = Operation::SubmitSm(sm);
            esme.send(CommandStatus::ROK, 2 + which, operation).await;
        }
        for _ in 0..BURST {
            let answer = esme.expect(CommandId::SUBMIT_SM_RESP).await;
            assert_eq!(answer.pdu().status, CommandStatus::ROK);
        }
        sleep_until(clock.instant(began + BURST_EVERY)).await;
    }
}

fn fare(refused: Option<CommandStatus>) -> Fared {
    let fared = Rc::new(Cell::new(None));
    let place = Rc::clone(&fared);
    scenario(|| async move {
        let world = World::start(FaultyDisk::new(), Clock::virtual_from(START_MS), 11);
        let mut smsc = world.smsc();
        smsc.accept_bind().await;
        let mut esme = world.esme();
        esme.bind(b"secret").await;
        let turns = || world.hub.look(|gate, _| gate.tally().turns);
        let before = turns();
        let submitted = Submitted::default();
        let carrier = spawn_local(carrier(smsc, world.clock.clone(), refused, Rc::clone(&submitted)));
        submit_all(&mut esme, &world.clock, &submitted).await;
        let (longest, late, offered) = carrier.await.unwrap();
        place.set(Some(Fared {
            longest,
            late,
            turns: turns() - before,
            offered,
        }));
    });
    fared.take().unwrap()
}

#[test]
fn one_poisoned_recipient_holds_nobody_else_up() {
    let without = fare(None);
    println!("nobody poisoned: {without:?}");
    for status in [
        CommandStatus::RSYSERR,
        CommandStatus::RMSGQFUL,
        CommandStatus::RTHROTTLED,
    ] {
        let with = fare(Some(status));
        println!("one answered {status} for ever: {with:?}");
        assert!(with.offered >= 5, "it is tried again");
        // Its first "slower" answers hold all up, for a twentieth of a second and a tenth; then it is known to be alone.
        assert!(
            with.late == 0 && with.longest <= without.longest + LATE,
            "{with:?}"
        );
        // A turn to hand it over, one to hear the answer, one for its date; the rest is the tick's.
        assert!(
            with.turns <= without.turns + 10 * u64::from(with.offered),
            "{with:?}"
        );
    }
}
