//! What a carrier delivers: receipts and messages from handsets, again and again until the gateway takes them.

use std::rc::Rc;
use std::time::Duration;

use tidegate_codec::address::{Address, Npi, Ton};
use tidegate_codec::pdu::Operation;
use tidegate_codec::pdu::message::{ShortMessage, Sm};
use tidegate_codec::receipt::ReceiptText;
use tidegate_codec::status::CommandStatus;
use tidegate_codec::tlv::{self, Tag, Tlvs};
use tidegate_codec::values::{EsmClass, MessageState};
use tokio::sync::oneshot;
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};

use super::carrier::{Centre, Mood};
use super::port::Port;
use super::site::Site;
use crate::wire::octets;
use crate::world::START_MS;

/// How long a carrier waits for an answer.
const ANSWER: Duration = Duration::from_secs(8);

/// Something to be delivered.
pub(crate) enum Delivery {
    Receipt(Receipt),
    Mo {
        name: String,
        account: usize,
        text: Vec<u8>,
    },
}

/// A receipt.
pub(crate) struct Receipt {
    pub(crate) to: String,
    pub(crate) sighting: usize,
    pub(crate) id: String,
    pub(crate) state: MessageState,
    pub(crate) with_tlvs: bool,
}

impl Centre {
    /// Delivers something after so long, as often as it takes.
    pub(crate) fn deliver_later(self: &Rc<Self>, site: &Rc<Site>, after_ms: u64, delivery: Delivery) {
        let (centre, site) = (Rc::clone(self), Rc::clone(site));
        spawn_local(async move {
            sleep(Duration::from_millis(after_ms)).await;
            centre.deliver(&site, &delivery).await;
        });
    }

    async fn deliver(&self, site: &Site, delivery: &Delivery) {
        let receipt = match delivery {
            Delivery::Receipt(receipt) if receipt.state.is_final() => {
                site.ledger()
                    .receipt_sent(&receipt.to, receipt.sighting, receipt.state)
            }
            Delivery::Receipt(_) => None,
            Delivery::Mo { name, account, text } => {
                site.ledger().mo_sent(name, *account, text);
                None
            }
        };
        while !site.over.get() {
            let pause = match self.receiver(site) {
                Some(port) => match self.offer(site, &port, delivery).await {
                    Some(CommandStatus::ROK) => break,
                    _ => self.chance.borrow_mut().between(500, 2_000),
                },
                None => 500,
            };
            sleep(Duration::from_millis(pause)).await;
        }
        match (delivery, receipt) {
            _ if site.over.get() => {}
            (Delivery::Receipt(told), Some(receipt)) => {
                site.ledger().receipt_taken(&told.to, told.sighting, receipt);
            }
            (Delivery::Mo { name, .. }, _) => site.ledger().mo_taken(name),
            _ => {}
        }
    }

    /// Any connection that takes deliveries.
    fn receiver(&self, site: &Site) -> Option<Rc<Port>> {
        let receivers = self.receivers.borrow();
        if receivers.is_empty() || (self.mood.get() == Mood::Dead && !site.quiet.get()) {
            return None;
        }
        let place = self.chance.borrow_mut().below(receivers.len() as u64);
        Some(Rc::clone(&receivers[usize::try_from(place).unwrap()]))
    }

    async fn offer(&self, site: &Site, port: &Port, delivery: &Delivery) -> Option<CommandStatus> {
        let sequence = port.next_sequence();
        let (answer, answered) = oneshot::channel();
        self.waiting.borrow_mut().insert((port.number, sequence), answer);
        if !port.say(&write(sequence, delivery)) {
            return None;
        }
        if let Delivery::Mo { name, .. } = delivery {
            site.ledger().mo_offered(name);
        }
        timeout(ANSWER, answered).await.ok()?.ok()
    }
}

fn write(sequence: u32, delivery: &Delivery) -> Vec<u8> {
    let (mut text, mut tlvs) = (Vec::new(), Vec::new());
    let mut sm = Sm {
        source: Address::new(Ton::INTERNATIONAL, Npi::ISDN, b"447700900123").unwrap(),
        destination: Address::new(Ton::ALPHANUMERIC, Npi::UNKNOWN, b"Tide").unwrap(),
        ..Sm::default()
    };
    let number;
    match delivery {
        Delivery::Receipt(receipt) => {
            let id = receipt.id.as_bytes();
            ReceiptText::new(id, receipt.state, START_MS, START_MS).write(&mut text);
            if receipt.with_tlvs {
                let id = [id, b"\0"].concat();
                assert!(tlv::append(&mut tlvs, Tag::RECEIPTED_MESSAGE_ID, &id));
                let state = [receipt.state.octet()];
                assert!(tlv::append(&mut tlvs, Tag::MESSAGE_STATE, &state));
            }
            sm.esm_class = EsmClass::RECEIPT;
        }
        Delivery::Mo {
            name,
            account,
            text: body,
        } => {
            number = format!("{}", 1000 + account);
            text.extend([name.as_bytes(), b"|", body].concat());
            sm.destination = Address::new(Ton::UNKNOWN, Npi::UNKNOWN, number.as_bytes()).unwrap();
        }
    }
    let sm = Sm {
        short_message: ShortMessage::new(&text).unwrap(),
        tlvs: Tlvs::new(&tlvs),
        ..sm
    };
    octets(CommandStatus::ROK, sequence, Operation::DeliverSm(sm))
}
