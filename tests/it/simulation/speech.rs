//! What an ESME says of its own accord: submissions, queries, cancels, replacements, and a cut now and then.

use std::rc::Rc;
use std::time::Duration;

use tidegate_codec::address::{Address, Npi, Ton};
use tidegate_codec::message_id::MessageIdField;
use tidegate_codec::octets::COctets;
use tidegate_codec::pdu::Operation;
use tidegate_codec::pdu::ancillary::{CancelSm, QuerySm, ReplaceSm};
use tidegate_codec::pdu::message::{DataSm, ShortMessage, Sm};
use tidegate_codec::pdu::multi::{Destination, Destinations, SubmitMulti};
use tidegate_codec::status::CommandStatus;
use tidegate_codec::time::{write_absolute, write_relative};
use tidegate_codec::tlv::{self, Tag, Tlvs};
use tidegate_codec::values::{DataCoding, InterfaceVersion, RegisteredDelivery};
use tokio::time::sleep;

use super::esme::{Esme, Known, Sent, WINDOW};
use super::ledger::{Asked, Leg};
use super::message::Message;
use super::port::Port;
use crate::wire::octets;

/// A TLV of a vendor, which must come through.
const VENDOR: Tag = Tag(0x1401);
/// The validity of what states none, as configured for the accounts.
const DEFAULT_VALIDITY_MS: u64 = 180_000;

/// What an ESME wants of a message.
struct Draft {
    registered: u8,
    due_after_ms: u64,
    expires_after_ms: u64,
    schedule: Vec<u8>,
    validity: Vec<u8>,
    text: Vec<u8>,
    tlvs: Vec<u8>,
    coding: u8,
    priority: u8,
}

impl Esme {
    /// Says what comes to its mind until the connection is over or the run grows quiet.
    pub(super) async fn speak(self: Rc<Self>, port: Rc<Port>) {
        loop {
            let (gap, dice) = {
                let mut chance = self.chance.borrow_mut();
                (chance.between(1, self.gap_ms), chance.below(1_000))
            };
            sleep(Duration::from_millis(gap)).await;
            if !port.is_open() || self.site.quiet.get() {
                return;
            }
            if self.pending.borrow().len() >= WINDOW {
                continue;
            }
            match dice {
                0..=3 => return port.cut(),
                4..=5 => {
                    // Half a PDU, and gone.
                    port.say(&[0, 0, 0, 40, 0, 0, 0, 4, 0]);
                    return port.cut();
                }
                6..=79 => self.ask(&port),
                80..=159 => self.change(&port, true),
                160..=229 => self.change(&port, false),
                _ if self.account.left.get() == 0 => {}
                230..=299 if self.account.version.has_tlvs() => self.submit_multi(&port),
                300..=379 if self.account.version.has_tlvs() => self.submit_data(&port),
                _ => self.submit(&port, None),
            }
        }
    }

    fn send(&self, port: &Port, operation: Operation<'_>, sent: Sent) {
        let sequence = port.next_sequence();
        self.pending.borrow_mut().insert(sequence, sent);
        port.say(&octets(CommandStatus::ROK, sequence, operation));
    }

    // ===== submissions =====

    fn draft(&self, token: &str) -> Draft {
        let mut chance = self.chance.borrow_mut();
        let wall = self.site.ledger().wall_ms();
        let has_tlvs = self.account.version.has_tlvs();
        let mut tlvs = Vec::new();
        if has_tlvs && chance.percent(30) {
            let value = chance.octets(7);
            assert!(tlv::append(&mut tlvs, VENDOR, &value));
        }
        let length = chance.between(0, 130);
        let text = [token.as_bytes(), b"|", &chance.octets(length)].concat();
        let due_after_ms = if chance.percent(15) {
            1_000 * chance.between(2, 60)
        } else {
            0
        };
        let expires_after_ms = match chance.below(10) {
            0..=2 => due_after_ms + 1_000 * chance.between(5, 30),
            3..=5 => due_after_ms + 1_000 * chance.between(30, 120),
            _ => due_after_ms + DEFAULT_VALIDITY_MS,
        };
        let absolute = chance.percent(30);
        let date = |after_ms: u64| match after_ms {
            0 => Vec::new(),
            after if absolute => write_absolute(wall + after).to_vec(),
            after => write_relative(Duration::from_millis(after)).to_vec(),
        };
        let states_validity = expires_after_ms != due_after_ms + DEFAULT_VALIDITY_MS;
        Draft {
            registered: chance.pick(&[0, 1, 1, 1, 1, 2, 3, 0x11]),
            due_after_ms,
            expires_after_ms,
            schedule: date(due_after_ms),
            validity: date(if states_validity { expires_after_ms } else { 0 }),
            text,
            tlvs,
            coding: chance.pick(&[0, 3, 4, 8]),
            priority: u8::from(chance.percent(10)),
        }
    }

    /// A recipient that nobody had before.
    fn recipient(&self) -> String {
        let number = self.site.ledger().next_number();
        let prefix = self.chance.borrow_mut().pick(&["44", "44", "33", "49"]);
        format!("{prefix}{number:09}")
    }

    fn source(&self) -> String {
        format!("Tide{}", self.account.number)
    }

    fn record(&self, draft: &Draft, message: Message, has_siblings: bool) {
        let left = self.account.left.get();
        self.account.left.set(left.saturating_sub(1));
        let mut ledger = self.site.ledger();
        let leg = Leg {
            account: self.account.number,
            version: self.account.version,
            source: message.source,
            text: message.text,
            rest: message.rest,
            registered: message.registered,
            due_after_ms: draft.due_after_ms,
            expires_after_ms: draft.expires_after_ms,
            sent_wall_ms: ledger.wall_ms(),
            taken_wall_ms: None,
            id: None,
            submitted: Asked::Doubt,
            cancel: Asked::Not,
            cancels_open: 0,
            replace: Asked::Not,
            new_text: Vec::new(),
            has_siblings,
            damaged: false,
            sightings: Vec::new(),
            dlrs: Vec::new(),
        };
        ledger.submit(&message.destination, leg);
    }

    /// Submits one message, with these milliseconds to its date if they are given.
    pub(super) fn submit(&self, port: &Port, due_after_ms: Option<u64>) {
        let to = self.recipient();
        let mut draft = self.draft(&to);
        if let Some(due_after_ms) = due_after_ms {
            (draft.due_after_ms, draft.expires_after_ms) = (due_after_ms, due_after_ms + DEFAULT_VALIDITY_MS);
            draft.schedule = write_relative(Duration::from_millis(due_after_ms)).to_vec();
            draft.validity.clear();
        }
        let source = self.source();
        let may_be_long = self.account.version.has_tlvs() && due_after_ms.is_none();
        let long = may_be_long && self.chance.borrow_mut().percent(10);
        let mut short_message = draft.text.clone();
        if long {
            short_message.clear();
            let more = self.chance.borrow_mut().between(100, 900);
            draft.text.extend(self.chance.borrow_mut().octets(more));
            assert!(tlv::append(&mut draft.tlvs, Tag::MESSAGE_PAYLOAD, &draft.text));
        }
        let sm = self.sm(&draft, &source, &to, &short_message);
        let operation = Operation::SubmitSm(sm);
        self.record_read(&draft, &operation, false);
        let replaceable = !long;
        self.send(
            port,
            operation,
            Sent::Submit {
                to: vec![to.clone()],
                replaceable,
            },
        );
    }

    fn sm<'a>(&self, draft: &'a Draft, source: &'a str, to: &'a str, short_message: &'a [u8]) -> Sm<'a> {
        Sm {
            source: Address::new(Ton::ALPHANUMERIC, Npi::UNKNOWN, source.as_bytes()).unwrap(),
            destination: Address::new(Ton::INTERNATIONAL, Npi::ISDN, to.as_bytes()).unwrap(),
            registered_delivery: RegisteredDelivery(draft.registered),
            schedule_delivery_time: COctets::new(&draft.schedule).unwrap(),
            validity_period: COctets::new(&draft.validity).unwrap(),
            data_coding: DataCoding(draft.coding),
            priority_flag: draft.priority,
            short_message: ShortMessage::new(short_message).unwrap(),
            tlvs: Tlvs::new(&draft.tlvs),
            ..Sm::default()
        }
    }

    fn record_read(&self, draft: &Draft, operation: &Operation<'_>, has_siblings: bool) {
        let wall = self.site.ledger().wall_ms();
        let message = Message::read(operation, wall).unwrap();
        self.record(draft, message, has_siblings);
    }

    pub(super) fn submit_data(&self, port: &Port) {
        let to = self.recipient();
        let mut draft = self.draft(&to);
        let source = self.source();
        // data_sm has no schedule; its validity is a TLV.
        draft.due_after_ms = 0;
        draft.expires_after_ms = DEFAULT_VALIDITY_MS;
        if self.chance.borrow_mut().percent(50) {
            let seconds = self.chance.borrow_mut().between(10, 120);
            draft.expires_after_ms = seconds * 1_000;
            let value = u32::try_from(seconds).unwrap().to_be_bytes();
            assert!(tlv::append(&mut draft.tlvs, Tag::QOS_TIME_TO_LIVE, &value));
        }
        assert!(tlv::append(&mut draft.tlvs, Tag::MESSAGE_PAYLOAD, &draft.text));
        let operation = Operation::DataSm(DataSm {
            source: Address::new(Ton::ALPHANUMERIC, Npi::UNKNOWN, source.as_bytes()).unwrap(),
            destination: Address::new(Ton::INTERNATIONAL, Npi::ISDN, to.as_bytes()).unwrap(),
            registered_delivery: RegisteredDelivery(draft.registered),
            data_coding: DataCoding(draft.coding),
            tlvs: Tlvs::new(&draft.tlvs),
            ..DataSm::default()
        });
        self.record_read(&draft, &operation, false);
        let to = vec![to.clone()];
        self.send(
            port,
            operation,
            Sent::Submit {
                to,
                replaceable: false,
            },
        );
    }

    pub(super) fn submit_multi(&self, port: &Port) {
        let count = self.chance.borrow_mut().between(1, 6);
        let to: Vec<String> = (0..count).map(|_| self.recipient()).collect();
        let draft = self.draft(&format!("m{}", to[0]));
        let source = self.source();
        let mut destinations = Vec::new();
        for to in &to {
            let sm = self.sm(&draft, &source, to, &draft.text);
            Destination::Sme(sm.destination).encode(&mut destinations);
            self.record_read(&draft, &Operation::SubmitSm(sm), count > 1);
        }
        let message = Sm {
            destination: Address::default(),
            ..self.sm(&draft, &source, &to[0], &draft.text)
        };
        let destinations = Destinations::new(u8::try_from(count).unwrap(), &destinations).unwrap();
        let operation = Operation::SubmitMulti(SubmitMulti {
            message,
            destinations,
        });
        self.send(
            port,
            operation,
            Sent::Submit {
                to: to.clone(),
                replaceable: false,
            },
        );
    }

    // ===== questions and changes =====

    /// A message that this account, or sometimes another one, was given an id for.
    fn known(&self) -> Option<(Known, bool)> {
        let foreign = self.chance.borrow_mut().percent(10);
        let mut chance = self.chance.borrow_mut();
        let accounts = self.site.accounts.borrow();
        let from = if foreign {
            &accounts[usize::try_from(chance.below(accounts.len() as u64)).unwrap()]
        } else {
            &self.account
        };
        let known = from.known.borrow();
        // The latest ones are most likely to be unfinished.
        let latest = known.len().min(12) as u64;
        let back = usize::try_from(chance.below(latest.max(1))).unwrap();
        let found = known.iter().rev().nth(back)?.clone();
        let foreign = found.account != self.account.number;
        (!found.to.is_empty()).then_some((found, foreign))
    }

    fn ask(&self, port: &Port) {
        let Some((known, foreign)) = self.known() else {
            return;
        };
        let source = format!("Tide{}", known.account);
        let operation = Operation::QuerySm(QuerySm {
            message_id: MessageIdField::new(&known.id).unwrap(),
            source: Address::new(Ton::ALPHANUMERIC, Npi::UNKNOWN, source.as_bytes()).unwrap(),
            tlvs: Tlvs::NONE,
        });
        // Of several recipients one that is under way is enough for an answer.
        let [to] = &known.to[..] else { return };
        let to = to.clone();
        let since_ms = self.site.ledger().now_ms();
        self.send(
            port,
            operation,
            Sent::Query {
                to,
                foreign,
                since_ms,
            },
        );
    }

    fn change(&self, port: &Port, is_cancel: bool) {
        if let Some((known, foreign)) = self.known() {
            self.change_known(port, &known, foreign, is_cancel);
        }
    }

    /// Cancels or replaces a message.
    pub(super) fn change_known(&self, port: &Port, known: &Known, foreign: bool, is_cancel: bool) {
        let source = format!("Tide{}", known.account);
        let source = Address::new(Ton::ALPHANUMERIC, Npi::UNKNOWN, source.as_bytes()).unwrap();
        let message_id = MessageIdField::new(&known.id).unwrap();
        if is_cancel {
            if !foreign {
                let mut ledger = self.site.ledger();
                for to in &known.to {
                    let leg = ledger.legs.get_mut(to).unwrap();
                    leg.cancels_open += 1;
                    ledger.note(&format!("cancel {to}"));
                }
            }
            let operation = Operation::CancelSm(CancelSm {
                message_id,
                source,
                ..CancelSm::default()
            });
            return self.send(
                port,
                operation,
                Sent::Cancel {
                    to: known.to.clone(),
                    foreign,
                },
            );
        }
        let [to] = &known.to[..] else { return };
        let length = self.chance.borrow_mut().between(0, 130);
        let text = [to.as_bytes(), b"|new|", &self.chance.borrow_mut().octets(length)].concat();
        let registered = {
            let mut ledger = self.site.ledger();
            let leg = ledger.legs.get_mut(to).unwrap();
            if !known.replaceable || leg.replace != Asked::Not {
                return;
            }
            if !foreign {
                (leg.replace, leg.new_text) = (Asked::Doubt, text.clone());
            }
            leg.registered
        };
        self.site.ledger().note(&format!("replace {to}"));
        let operation = Operation::ReplaceSm(ReplaceSm {
            message_id,
            source,
            registered_delivery: RegisteredDelivery(registered),
            short_message: ShortMessage::new(&text).unwrap(),
            ..ReplaceSm::default()
        });
        self.send(
            port,
            operation,
            Sent::Replace {
                to: to.clone(),
                foreign,
            },
        );
    }
}

/// What an account speaks.
pub(super) const fn version(account: usize) -> InterfaceVersion {
    match account {
        2 => InterfaceVersion::V5_0,
        3 => InterfaceVersion::V3_3,
        _ => InterfaceVersion::V3_4,
    }
}
