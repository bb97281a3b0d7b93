//! A message that an operator sends to see which way it goes, and what becomes of it. It is a message of its account like
//! any other: admitted, counted, stored, routed; only its answer goes to the control socket.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tidegate_codec::values::{InterfaceVersion, MessageState, RegisteredDelivery};
use tidegate_store::disk::Disk;
use tidegate_store::index::{Leg, LegId};
use tidegate_store::message_id::MessageId;

use super::Answer;
use super::shown::standing_words;
use crate::admission::Submission;
use crate::clock::Now;
use crate::dlr::ReceiptNote;
use crate::explain::{self, Question};
use crate::gate::Gate;
use crate::life::Standing;
use crate::serve::Hub;
use crate::turn::Promise;

/// Test messages that are remembered; the oldest is forgotten first.
const WATCHED_MAX: usize = 64;
/// How long one question after a message's state may wait for another one.
const CHANGE_WITHIN: Duration = Duration::from_secs(5);
/// How often it is looked at meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Messages of operators, and what became of them.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    messages: VecDeque<Message>,
    next: u64,
}

#[derive(Debug)]
struct Message {
    number: u64,
    id: MessageId,
    /// Whether it is on disk.
    stored: bool,
    end: Option<End>,
}

/// How a message has ended.
#[derive(Clone, Debug)]
pub(crate) enum End {
    NotStored,
    Final {
        state: MessageState,
        err: String,
        carrier: Option<String>,
        carrier_id: String,
        attempts: u16,
    },
}

impl Watched {
    fn add(&mut self, id: MessageId) -> u64 {
        if self.messages.len() >= WATCHED_MAX {
            self.messages.pop_front();
        }
        self.next += 1;
        self.messages.push_back(Message {
            number: self.next,
            id,
            stored: false,
            end: None,
        });
        self.next
    }

    fn of(&mut self, id: MessageId) -> Option<&mut Message> {
        self.messages.iter_mut().find(|message| message.id == id)
    }
}

impl<D: Disk> Gate<D> {
    /// Takes an operator's message in as its account's; `receipt` asks for one, which the account's clients get.
    pub(super) fn send_test(&mut self, now: Now, question: &Question, receipt: bool) -> Answer {
        let account = question
            .account
            .parse()
            .ok()
            .and_then(|id| self.account_of(id))
            .ok_or_else(|| format!("there is no account {:?}", question.account))?;
        let (mut text, mut payload, mut body) = (Vec::new(), Vec::new(), Vec::new());
        let mut sm = explain::message(question, &self.config.accounts[account], &mut text, &mut payload)?;
        sm.registered_delivery = RegisteredDelivery(u8::from(receipt));
        sm.encode(&mut body);
        let version = InterfaceVersion::V3_4;
        let submission = Submission::from_sm(&sm, version, &body);
        let refused = |refusal: crate::refusal::Refusal| {
            let status = refusal.status(version);
            format!(
                "refused, {} ({:#x}): {}",
                status.name().unwrap_or("vendor status"),
                status.0,
                refusal.words()
            )
        };
        let admitted = self
            .may_submit(now, None, account, &submission)
            .map_err(refused)?;
        let id = self.new_id(now, account, version);
        let leg = self
            .store(now, account, &submission, admitted, id, 0)
            .map_err(|refusal| {
                self.forget_id(account, id);
                refused(refusal)
            })?;
        let body = self.hot.keep(&body);
        self.promises.push(Promise::Test {
            account,
            leg,
            id,
            body,
        });
        let number = self.watched.add(id.message);
        let mut told = Map::new();
        told.insert("number".to_owned(), json!(number));
        let text = self.id_text(id.message, id.form);
        told.insert(
            "message_id".to_owned(),
            json!(String::from_utf8_lossy(text.as_bytes())),
        );
        Ok(told)
    }

    /// An operator's message is on disk, or cannot be put there.
    pub(crate) fn test_stored(&mut self, id: MessageId, stored: bool) {
        if let Some(message) = self.watched.of(id) {
            message.stored = stored;
            if !stored {
                message.end = Some(End::NotStored);
            }
        }
    }

    /// How an operator's message ends, if a leg that is about to end is one.
    pub(crate) fn test_end(&self, leg: LegId, note: &ReceiptNote) -> Option<(MessageId, End)> {
        if self.watched.messages.is_empty() {
            return None;
        }
        let found = self.spool.index().get(leg)?;
        let is_it = |message: &Message| message.id == found.message;
        if !self.watched.messages.iter().any(is_it) {
            return None;
        }
        let end = End::Final {
            state: note.state,
            err: String::from_utf8_lossy(&note.err).into_owned(),
            carrier: found.carrier.map(|name| self.spool.names().name(name).to_owned()),
            carrier_id: String::from_utf8_lossy(self.spool.index().carrier_id(found)).into_owned(),
            attempts: found.attempts,
        };
        Some((found.message, end))
    }

    /// It has ended.
    pub(crate) fn test_ended(&mut self, id: MessageId, end: End) {
        if let Some(message) = self.watched.of(id) {
            message.end = Some(end);
        }
    }

    /// What is known of an operator's message.
    fn shown_test(&self, now: Now, number: u64) -> Answer {
        let message = self
            .watched
            .messages
            .iter()
            .find(|message| message.number == number)
            .ok_or("this message is not remembered any more")?;
        // It has one recipient, and another number in the index once it goes in parts.
        let index = self.spool.index();
        let leg = index.find(message.id, 0).and_then(|leg| index.get(leg));
        let told = match (&message.end, leg) {
            (Some(End::NotStored), _) => json!({ "state": "not stored", "is_final": true }),
            (
                Some(End::Final {
                    state,
                    err,
                    carrier,
                    carrier_id,
                    attempts,
                }),
                _,
            ) => json!({
                "state": state.stat(),
                "is_final": true,
                "err": err,
                "carrier": carrier,
                "carrier_id": carrier_id,
                "attempts": attempts,
            }),
            (None, Some(leg)) if message.stored => self.shown_standing(now, leg),
            (None, _) => json!({ "state": "being stored", "is_final": false }),
        };
        match told {
            Value::Object(told) => Ok(told),
            _ => Ok(Map::new()),
        }
    }

    fn shown_standing(&self, now: Now, leg: &Leg) -> Value {
        let state = standing_words(Standing::of(leg, now.unix_ms));
        json!({
            "state": state,
            "is_final": false,
            "carrier": leg.carrier.map(|name| self.spool.names().name(name)),
            "carrier_id": String::from_utf8_lossy(self.spool.index().carrier_id(leg)),
            "attempts": leg.attempts,
        })
    }
}

/// Waits for a while until an operator's message is in another state than `known`, and says in which it is.
pub(super) async fn follow<D: Disk>(hub: &Hub<D>, number: u64, known: &str) -> Answer {
    let mut waited = Duration::ZERO;
    loop {
        let told = hub.look(|gate, now| gate.shown_test(now, number))?;
        if told["state"] != known || waited >= CHANGE_WITHIN {
            return Ok(told);
        }
        tokio::time::sleep(LOOK_EVERY).await;
        waited += LOOK_EVERY;
    }
}
