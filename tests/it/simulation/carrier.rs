//! A carrier: takes binds and submits, answers them as its mood is, sends receipts and messages from handsets.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use tidegate_codec::header::CommandId;
use tidegate_codec::octets::COctets;
use tidegate_codec::pdu::bind::BindResp;
use tidegate_codec::pdu::response::MessageIdResp;
use tidegate_codec::pdu::{Operation, Pdu};
use tidegate_codec::status::CommandStatus;
use tidegate_codec::tlv::Tlvs;
use tidegate_codec::values::{BindKind, MessageState};
use tokio::sync::oneshot;
use tokio::task::spawn_local;
use tokio::time::sleep;

use super::chance::Chance;
use super::delivery::{Delivery, Receipt};
use super::message::Message;
use super::port::{Next, Port};
use super::sightings::{REJECT, RETRY, SLOW, Seen};
use super::site::Site;
use crate::wire::{Frame, Wire, empty, octets};

/// What a carrier is like, for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// As carriers mostly are: a fault now and then.
    Usual,
    /// Full: most submits are told to come later.
    Full,
    /// Most submits fail for a time.
    Failing,
    /// Submits are read and not answered.
    Silent,
    /// Nothing is answered, not even enquire_link.
    Dead,
    /// Many answers come after the time for them.
    Late,
    /// Binds are refused.
    Closed,
}

/// See the [module](self).
pub(crate) struct Centre {
    pub(crate) index: usize,
    pub(crate) chance: RefCell<Chance>,
    pub(crate) mood: Cell<Mood>,
    pub(crate) is_down: Cell<bool>,
    /// Connections that take deliveries.
    pub(super) receivers: RefCell<Vec<Rc<Port>>>,
    /// Connections, all of them.
    ports: RefCell<Vec<Rc<Port>>>,
    /// Deliveries that wait for their answers, by connection and number.
    pub(super) waiting: RefCell<BTreeMap<(u64, u32), oneshot::Sender<CommandStatus>>>,
    /// This recipient always gets this answer.
    pub(crate) poison: RefCell<Option<(String, CommandStatus)>>,
    next_id: Cell<u64>,
}

/// What a carrier makes of one submit.
struct Plan {
    status: CommandStatus,
    /// `None`: no answer at all.
    after_ms: Option<u64>,
    /// The answer is cut off in its middle, and the connection with it.
    cut: bool,
    receipts: Vec<(u64, MessageState)>,
}

impl Centre {
    pub(crate) fn new(seed: u64, index: usize) -> Rc<Self> {
        Rc::new(Self {
            index,
            chance: RefCell::new(Chance::new(seed, 100 + index as u64)),
            mood: Cell::new(Mood::Usual),
            is_down: Cell::new(false),
            receivers: RefCell::default(),
            ports: RefCell::default(),
            waiting: RefCell::default(),
            poison: RefCell::default(),
            next_id: Cell::new(1_000_000),
        })
    }

    /// Whether a connection to it can be made.
    pub(crate) fn is_reachable(&self) -> bool {
        !self.is_down.get()
    }

    /// All its connections end.
    pub(crate) fn cut_all(&self) {
        self.ports.borrow().iter().for_each(|port| port.cut());
    }

    /// One of its connections ends.
    pub(crate) fn cut_one(&self) {
        let ports = self.ports.borrow();
        if !ports.is_empty() {
            let place = self.chance.borrow_mut().below(ports.len() as u64);
            ports[usize::try_from(place).unwrap()].cut();
        }
    }

    /// Serves one connection to its end.
    pub(crate) async fn serve(self: Rc<Self>, site: Rc<Site>, mut wire: Wire, kind: BindKind) {
        let port = Port::new(site.ledger().next_number());
        self.ports.borrow_mut().push(Rc::clone(&port));
        loop {
            match port.next(&mut wire).await {
                Next::Frame(frame) => self.hear(&site, &port, &frame, kind),
                Next::Wrote => {}
                Next::End => break,
            }
        }
        port.close();
        site.ledger().link_ended(port.number);
        let other = |other: &Rc<Port>| other.number != port.number;
        self.receivers.borrow_mut().retain(other);
        self.ports.borrow_mut().retain(other);
        // Whoever waits for an answer there hears that none comes.
        self.waiting
            .borrow_mut()
            .retain(|(link, _), _| *link != port.number);
    }

    fn hear(self: &Rc<Self>, site: &Rc<Site>, port: &Rc<Port>, frame: &Frame, kind: BindKind) {
        let Pdu {
            status,
            sequence,
            operation,
        } = frame.pdu();
        let mood = self.mood.get();
        let command = operation.command_id();
        match operation {
            Operation::Bind(..) if mood == Mood::Dead => {}
            Operation::Bind(..) if mood == Mood::Closed => {
                let response = command.response().unwrap();
                port.say(&empty(response, CommandStatus::RBINDFAIL, sequence));
            }
            Operation::Bind(asked, _) => {
                assert_eq!(asked, kind);
                let body = BindResp {
                    system_id: COctets::new(b"carrier").unwrap(),
                    tlvs: Tlvs::NONE,
                };
                let answer = Operation::BindResp(kind, Some(body));
                port.say(&octets(CommandStatus::ROK, sequence, answer));
                if kind.can_receive() {
                    self.receivers.borrow_mut().push(Rc::clone(port));
                }
            }
            Operation::EnquireLink(_) if mood == Mood::Dead => {}
            Operation::EnquireLink(_) => {
                port.say(&empty(CommandId::ENQUIRE_LINK_RESP, CommandStatus::ROK, sequence));
            }
            Operation::Unbind(_) => {
                port.say(&empty(CommandId::UNBIND_RESP, CommandStatus::ROK, sequence));
                port.cut();
            }
            Operation::SubmitSm(_) | Operation::DataSm(_) => self.submitted(site, port, frame),
            Operation::DeliverSmResp(_) | Operation::DataSmResp(_) | Operation::GenericNack(_) => {
                let waiting = self.waiting.borrow_mut().remove(&(port.number, sequence));
                if let Some(waiting) = waiting {
                    // Whoever asked may have given up.
                    let _ = waiting.send(status);
                }
            }
            Operation::EnquireLinkResp(_) | Operation::UnbindResp(_) => {}
            other => panic!("a carrier got {}", other.command_id()),
        }
    }

    fn submitted(self: &Rc<Self>, site: &Rc<Site>, port: &Rc<Port>, frame: &Frame) {
        let Pdu {
            sequence, operation, ..
        } = frame.pdu();
        let command = operation.command_id();
        let wall = site.ledger().wall_ms();
        let Some(message) = Message::read(&operation, wall) else {
            return;
        };
        let to = message.destination.as_str();
        let sighting = site.ledger().seen(&Seen {
            to,
            source: &message.source,
            text: &message.text,
            rest: &message.rest,
            registered: message.registered,
            remaining_ms: message.remaining_ms,
            carrier: self.index,
            link: port.number,
        });
        let Some(sighting) = sighting else { return };
        let plan = self.plan(site.quiet.get(), to, message.registered);
        let id = self.next_id.get();
        self.next_id.set(id + 1);
        let (in_response, in_receipt) = ids(self.index, id);
        for (number, (after_ms, state)) in plan.receipts.iter().enumerate() {
            let delivery = Delivery::Receipt(Receipt {
                to: to.to_owned(),
                sighting,
                id: in_receipt.clone(),
                state: *state,
                with_tlvs: (id + number as u64).is_multiple_of(2),
            });
            self.deliver_later(site, *after_ms, delivery);
        }
        let Some(after_ms) = plan.after_ms else { return };
        let body = MessageIdResp {
            message_id: COctets::new(in_response.as_bytes()).unwrap(),
            tlvs: Tlvs::NONE,
        };
        let response = command.response().unwrap();
        let answer = match command {
            _ if !plan.status.is_ok() => empty(response, plan.status, sequence),
            CommandId::DATA_SM => octets(plan.status, sequence, Operation::DataSmResp(Some(body))),
            _ => octets(plan.status, sequence, Operation::SubmitSmResp(Some(body))),
        };
        let (site, port, to) = (Rc::clone(site), Rc::clone(port), to.to_owned());
        spawn_local(async move {
            sleep(Duration::from_millis(after_ms)).await;
            if plan.cut {
                port.say(&answer[..answer.len() / 2]);
                port.cut();
            } else if port.say(&answer) {
                site.ledger().answered(&to, sighting, plan.status);
            }
        });
    }

    fn plan(&self, is_quiet: bool, to: &str, registered: u8) -> Plan {
        let mut chance = self.chance.borrow_mut();
        let mood = if is_quiet { Mood::Usual } else { self.mood.get() };
        let poison = self.poison.borrow();
        if let Some((_, status)) = poison.as_ref().filter(|(poisoned, _)| poisoned == to) {
            return Plan::answer(*status, 20);
        }
        let soon = chance.between(0, 120);
        if is_quiet {
            return Plan::answer(CommandStatus::ROK, soon).with_receipts(&mut chance, registered, true);
        }
        let dice = chance.below(100);
        match mood {
            Mood::Dead | Mood::Silent => Plan {
                after_ms: None,
                ..Plan::answer(CommandStatus::ROK, 0)
            },
            Mood::Full if dice < 80 => Plan::answer(chance.pick(&SLOW), soon),
            Mood::Failing if dice < 70 => Plan::answer(chance.pick(&RETRY), soon),
            Mood::Late if dice < 50 => {
                let late = chance.between(4_900, 8_000);
                Plan::answer(CommandStatus::ROK, late).with_receipts(&mut chance, registered, false)
            }
            _ => match dice {
                0..=2 => Plan::answer(chance.pick(&REJECT), soon),
                3..=5 => Plan::answer(chance.pick(&RETRY), soon),
                6..=7 => Plan::answer(chance.pick(&SLOW), soon),
                8 => Plan {
                    after_ms: None,
                    ..Plan::answer(CommandStatus::ROK, 0)
                },
                9 => Plan::answer(CommandStatus::ROK, chance.between(4_000, 7_000)).with_receipts(
                    &mut chance,
                    registered,
                    false,
                ),
                10 => Plan {
                    cut: true,
                    ..Plan::answer(CommandStatus::ROK, soon)
                },
                // The receipt is faster than the answer.
                11..=17 if registered & 3 == 1 => Plan {
                    receipts: vec![(chance.between(0, 50), state(&mut chance))],
                    ..Plan::answer(CommandStatus::ROK, chance.between(60, 900))
                },
                _ => Plan::answer(CommandStatus::ROK, soon).with_receipts(&mut chance, registered, false),
            },
        }
    }
}

impl Plan {
    const fn answer(status: CommandStatus, after_ms: u64) -> Self {
        Self {
            status,
            after_ms: Some(after_ms),
            cut: false,
            receipts: Vec::new(),
        }
    }

    fn with_receipts(mut self, chance: &mut Chance, registered: u8, is_quiet: bool) -> Self {
        // A carrier that was not asked sends one all the same, now and then.
        let asked = registered & 3 != 0 || (!is_quiet && chance.percent(3));
        if !asked || (!is_quiet && chance.percent(8)) {
            return self;
        }
        let from = self.after_ms.unwrap_or(0);
        let state = state(chance);
        if registered & 3 == 2 && state == MessageState::Delivered {
            return self;
        }
        if registered & 0x10 != 0 {
            self.receipts.push((from + 5, MessageState::Enroute));
        }
        let after = from + chance.between(1, if is_quiet { 1_000 } else { 20_000 });
        self.receipts.push((after, state));
        if chance.percent(5) {
            self.receipts.push((after + chance.between(0, 10_000), state));
        }
        self
    }
}

fn state(chance: &mut Chance) -> MessageState {
    match chance.below(20) {
        0 => MessageState::Undeliverable,
        1 => MessageState::Expired,
        2 => MessageState::Rejected,
        3 => MessageState::Unknown,
        _ => MessageState::Delivered,
    }
}

/// How a carrier writes an id in its response, and how in its receipts.
fn ids(index: usize, id: u64) -> (String, String) {
    match index {
        1 => (format!("{id:X}"), format!("{id:010}")),
        2 => (format!("w-{id}"), format!("W-{id}")),
        _ => (id.to_string(), format!("00{id}")),
    }
}
