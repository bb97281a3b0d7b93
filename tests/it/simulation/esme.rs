//! One bind of an ESME: connects, binds, submits, asks about what it submitted, takes what is delivered; and is
//! slow, deaf or gone at times.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use tidegate_codec::header::CommandId;
use tidegate_codec::pdu::response::MessageIdResp;
use tidegate_codec::pdu::{Operation, Pdu};
use tidegate_codec::receipt::read_receipt;
use tidegate_codec::status::CommandStatus;
use tidegate_codec::tlv::Tag;
use tidegate_codec::values::{BindKind, InterfaceVersion};
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};

use super::chance::Chance;
use super::message::Message;
use super::port::{Next, Port};
use super::site::Site;
use crate::wire::{Frame, Wire, bind, empty, octets};

/// How an ESME answers deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    Prompt,
    /// Seconds late, within the time for it.
    Slow,
    /// For some seconds at a time it answers nothing.
    Deaf,
}

/// What all binds of one account share.
pub(crate) struct Account {
    pub(crate) number: usize,
    pub(crate) version: InterfaceVersion,
    /// Messages that are still to be submitted.
    pub(crate) left: Cell<u32>,
    /// What was taken: id, recipients, and the sender.
    pub(crate) known: RefCell<Vec<Known>>,
}

/// A message that the gateway took.
#[derive(Clone)]
pub(crate) struct Known {
    pub(crate) id: Vec<u8>,
    pub(crate) to: Vec<String>,
    pub(crate) account: usize,
    /// A submit_sm with its text in short_message: it may be replaced.
    pub(crate) replaceable: bool,
}

/// A bind.
pub(crate) struct Esme {
    pub(crate) site: Rc<Site>,
    pub(crate) account: Rc<Account>,
    pub(crate) kind: BindKind,
    pub(crate) manner: Manner,
    /// Milliseconds between two submissions, at most.
    pub(crate) gap_ms: u64,
    pub(crate) chance: RefCell<Chance>,
    /// Times of the connection that is up.
    pub(crate) pending: RefCell<BTreeMap<u32, Sent>>,
    pub(crate) deaf_until_ms: Cell<u64>,
    /// The connection, while it is bound.
    pub(crate) up: RefCell<Option<Rc<Port>>>,
}

/// A request that is not answered yet.
pub(crate) enum Sent {
    Submit {
        to: Vec<String>,
        replaceable: bool,
    },
    Query {
        to: String,
        foreign: bool,
        since_ms: u64,
    },
    Cancel {
        to: Vec<String>,
        foreign: bool,
    },
    Replace {
        to: String,
        foreign: bool,
    },
}

/// What this many requests may be unanswered.
pub(crate) const WINDOW: usize = 15;

impl Account {
    pub(crate) fn new(site: &Site, number: usize, left: u64) -> Rc<Self> {
        let account = Rc::new(Self {
            number,
            version: super::speech::version(number),
            left: Cell::new(u32::try_from(left).unwrap()),
            known: RefCell::default(),
        });
        site.accounts.borrow_mut().push(Rc::clone(&account));
        account
    }
}

impl Esme {
    /// A bind that is not connected yet.
    pub(crate) fn new(
        site: &Rc<Site>,
        account: &Rc<Account>,
        (kind, manner): (BindKind, Manner),
        actor: u64,
        gap_ms: u64,
    ) -> Rc<Self> {
        Rc::new(Self {
            site: Rc::clone(site),
            account: Rc::clone(account),
            kind,
            manner,
            gap_ms,
            chance: RefCell::new(Chance::new(site.seed, actor)),
            pending: RefCell::default(),
            deaf_until_ms: Cell::new(0),
            up: RefCell::default(),
        })
    }

    /// Keeps the bind up until the run is over.
    pub(crate) async fn run(self: Rc<Self>) {
        while !self.site.over.get() {
            let pause = self.chance.borrow_mut().between(20, 1_200);
            sleep(Duration::from_millis(pause)).await;
            let Some(mut wire) = self.site.connect() else {
                continue;
            };
            // A gateway that dies over a bind answers nothing.
            let bound = timeout(Duration::from_secs(5), self.bind(&mut wire)).await;
            if matches!(bound, Ok(true)) {
                self.session(wire).await;
            }
        }
    }

    async fn bind(&self, wire: &mut Wire) -> bool {
        let name = format!("esme{}", self.account.number);
        let request = Operation::Bind(self.kind, bind(name.as_bytes(), b"secret", self.account.version));
        if wire.write(&octets(CommandStatus::ROK, 1, request)).await.is_err() {
            return false;
        }
        match wire.try_next().await {
            Some(frame) => frame.pdu().status.is_ok(),
            None => false,
        }
    }

    async fn session(self: &Rc<Self>, mut wire: Wire) {
        let port = Port::new(self.site.ledger().next_number());
        self.site.ledger().note(&format!(
            "bound account {} link {}",
            self.account.number, port.number
        ));
        *self.up.borrow_mut() = Some(Rc::clone(&port));
        if self.kind.can_submit() {
            spawn_local(Rc::clone(self).speak(Rc::clone(&port)));
        }
        loop {
            match port.next(&mut wire).await {
                Next::Frame(frame) => self.hear(&port, &frame),
                Next::Wrote => {}
                Next::End => break,
            }
        }
        port.close();
        self.up.take();
        self.site.ledger().link_ended(port.number);
        let lost = std::mem::take(&mut *self.pending.borrow_mut());
        let submits = lost.values().filter(|sent| matches!(sent, Sent::Submit { .. }));
        self.site.ledger().totals.doubtful += submits.count() as u64;
    }

    fn hear(self: &Rc<Self>, port: &Rc<Port>, frame: &Frame) {
        let Pdu {
            status,
            sequence,
            operation,
        } = frame.pdu();
        match &operation {
            Operation::EnquireLink(_) => {
                port.say(&empty(CommandId::ENQUIRE_LINK_RESP, CommandStatus::ROK, sequence));
            }
            Operation::Unbind(_) => {
                port.say(&empty(CommandId::UNBIND_RESP, CommandStatus::ROK, sequence));
                port.cut();
            }
            Operation::DeliverSm(_) | Operation::DataSm(_) => self.delivered(port, frame),
            _ => {
                if let Some(sent) = self.pending.borrow_mut().remove(&sequence) {
                    self.answered(status, &operation, &sent);
                }
            }
        }
    }

    fn answered(&self, status: CommandStatus, operation: &Operation<'_>, sent: &Sent) {
        let mut ledger = self.site.ledger();
        match sent {
            Sent::Submit { to, replaceable } => {
                let (id, not): (&[u8], Vec<_>) = match operation {
                    Operation::SubmitSmResp(Some(body)) | Operation::DataSmResp(Some(body)) => {
                        (body.message_id.as_bytes(), Vec::new())
                    }
                    Operation::SubmitMultiResp(Some(body)) => {
                        let address = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
                        let not = body.unsuccess();
                        let not = not.map(|one| (address(one.address.addr.as_bytes()), one.status));
                        (body.message_id.as_bytes(), not.collect())
                    }
                    _ => (&[], Vec::new()),
                };
                for to in to {
                    match not.iter().find(|(other, _)| other == to) {
                        _ if !status.is_ok() => ledger.refused(to, status),
                        Some((_, status)) => ledger.refused(to, *status),
                        None => ledger.taken(to, id),
                    }
                }
                if status.is_ok() {
                    let to = to.iter().filter(|to| !not.iter().any(|(other, _)| other == *to));
                    self.account.known.borrow_mut().push(Known {
                        id: id.to_vec(),
                        to: to.cloned().collect(),
                        account: self.account.number,
                        replaceable: *replaceable,
                    });
                }
            }
            Sent::Query {
                to,
                foreign,
                since_ms,
            } => {
                ledger.note(&format!("query {to} answered {status}"));
                let ended = ledger.legs[to]
                    .dlrs
                    .first()
                    .is_some_and(|dlr| dlr.at_ms < *since_ms);
                if status.is_ok() && (*foreign || ended) {
                    ledger.violate(to, "a query named a message that is foreign or has ended");
                }
            }
            Sent::Cancel { to, foreign: true } => {
                if status.is_ok() {
                    ledger.violate(&to[0], "another account's message was cancelled");
                }
            }
            Sent::Cancel { to, .. } => {
                for to in to {
                    ledger.changed(to, status, true);
                }
            }
            Sent::Replace { to, foreign: true } => {
                if status.is_ok() {
                    ledger.violate(to, "another account's message was replaced");
                }
            }
            Sent::Replace { to, .. } => ledger.changed(to, status, false),
        }
    }

    // ===== deliveries =====

    fn delivered(self: &Rc<Self>, port: &Rc<Port>, frame: &Frame) {
        let Pdu {
            sequence, operation, ..
        } = frame.pdu();
        let wall = self.site.ledger().wall_ms();
        let Some(message) = Message::read(&operation, wall) else {
            return;
        };
        let (esm_class, tlvs) = match &operation {
            Operation::DeliverSm(sm) => (sm.esm_class, sm.tlvs),
            Operation::DataSm(sm) => (sm.esm_class, sm.tlvs),
            _ => return,
        };
        let reading = read_receipt(
            esm_class,
            &message.text,
            tlvs.get(Tag::RECEIPTED_MESSAGE_ID),
            tlvs.octet(Tag::MESSAGE_STATE),
            None,
            false,
        );
        let account = self.account.number;
        let (name, arrival) = match reading {
            Some(reading) => {
                // A DLR comes from the recipient.
                let to = String::from_utf8_lossy(&message.source).into_owned();
                let content = frame.0[16..].to_vec();
                let mut ledger = self.site.ledger();
                let arrival = ledger.dlr(account, port.number, &to, reading.id(), reading.state, content);
                (to, arrival)
            }
            None => {
                let cut = message.text.iter().position(|octet| *octet == b'|').unwrap_or(0);
                let name = String::from_utf8_lossy(&message.text[..cut]).into_owned();
                let text = message.text.get(cut + 1..).unwrap_or_default();
                let arrival = self.site.ledger().mo_came(&name, account, port.number, text);
                (name, arrival)
            }
        };
        let Some(arrival) = arrival else { return };
        let Some((status, after_ms)) = self.reaction() else {
            return;
        };
        let response = operation.command_id().response().unwrap();
        let answer = match response {
            _ if !status.is_ok() => empty(response, status, sequence),
            CommandId::DATA_SM_RESP => octets(
                status,
                sequence,
                Operation::DataSmResp(Some(MessageIdResp::default())),
            ),
            _ => octets(
                status,
                sequence,
                Operation::DeliverSmResp(Some(MessageIdResp::default())),
            ),
        };
        let (site, port) = (Rc::clone(&self.site), Rc::clone(port));
        spawn_local(async move {
            sleep(Duration::from_millis(after_ms)).await;
            if port.say(&answer) && status.is_ok() {
                site.ledger().settled(&name, arrival);
            }
        });
    }

    /// What it answers to a delivery, and when; `None` is not at all.
    fn reaction(&self) -> Option<(CommandStatus, u64)> {
        let now = self.site.ledger().now_ms();
        let mut chance = self.chance.borrow_mut();
        if self.site.quiet.get() {
            return Some((CommandStatus::ROK, chance.between(0, 20)));
        }
        if self.manner == Manner::Deaf {
            if now >= self.deaf_until_ms.get() && chance.percent(10) {
                self.deaf_until_ms.set(now + chance.between(2_000, 15_000));
            }
            if now < self.deaf_until_ms.get() {
                return None;
            }
        }
        let after_ms = match self.manner {
            Manner::Slow => chance.between(200, 6_000),
            Manner::Prompt | Manner::Deaf => chance.between(0, 50),
        };
        let status = if chance.percent(4) {
            chance.pick(&[
                CommandStatus::RMSGQFUL,
                CommandStatus::RX_T_APPN,
                CommandStatus::RSYSERR,
            ])
        } else {
            CommandStatus::ROK
        };
        Some((status, after_ms))
    }
}
