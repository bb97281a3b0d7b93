//! Asking somebody by command whether messages are wanted (double opt-in, CON-5): what a web form is followed by.

use serde_json::{Map, json};
use tidegate_codec::address::{AddressBuf, Npi, Ton};
use tidegate_codec::category::Category;
use tidegate_store::disk::Disk;
use tidegate_store::standing::{PENDING_MS, Scope, Via};
use tokio::sync::mpsc;

use super::Answer;
use super::deed::Deed;
use crate::clock::Now;
use crate::gate::Gate;
use crate::mo::Question;
use crate::number::SHORT_CODE_MAX;
use crate::serve::Hub;
use crate::standing::opt_out::{bit, senders, written_person};
use crate::telemetry::words::ReplyEnd;
use crate::turn::Promise;

/// Stages the question, and answers when it is on disk.
pub(super) async fn ask<D: Disk>(hub: &Hub<D>, account: usize, deed: &Deed) -> Answer {
    let (done, mut is_done) = mpsc::channel(1);
    let until_ms = hub.with_gate(|gate, now| {
        let is_asked = gate.ask_row(now, account, deed)?;
        if is_asked {
            gate.promises.push(Promise::Deed { done });
        }
        Ok::<_, String>(is_asked.then_some(now.unix_ms.saturating_add(PENDING_MS)))
    })?;
    if until_ms.is_some() && is_done.recv().await != Some(true) {
        return Err("it cannot be put on disk".to_owned());
    }
    Ok(Map::from_iter([
        ("asked".to_owned(), json!(u8::from(until_ms.is_some()))),
        ("already".to_owned(), json!(u8::from(until_ms.is_none()))),
        ("until_ms".to_owned(), json!(until_ms)),
    ]))
}

impl<D: Disk> Gate<D> {
    /// Whether somebody is asked; not who has consented already.
    fn ask_row(&mut self, now: Now, account: usize, deed: &Deed) -> Result<bool, String> {
        let row = deed.rows.first().ok_or("\"rows\" is missing")?;
        let config = std::sync::Arc::clone(&self.config);
        let config = &config.accounts[account];
        let number = row.get("number").ok_or("no number")?;
        let person = written_person(number, config.numbering.country).ok_or(super::rows::NO_NUMBER)?;
        let sender = match self
            .sender_of(account, row)
            .map_err(|_| "the sender is not the account's")?
        {
            Some(sender) => sender,
            None => {
                only(senders(config)).ok_or("the account has not just one sender: say which (--sender)")?
            }
        };
        let digits = sender.name();
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return Err("nobody can answer to that sender: a yes needs a number".to_owned());
        }
        let ton = if digits.len() > SHORT_CODE_MAX {
            Ton::INTERNATIONAL
        } else {
            Ton::UNKNOWN
        };
        let from = AddressBuf::new(ton, Npi::ISDN, digits).map_err(|_| "the sender is too long")?;
        let category = match row.get("category") {
            None => None,
            Some(word) => Some(Category::from_word(word).ok_or("no category")?),
        };
        let scope = match row.get("scope") {
            None | Some("account") => Scope::account(config.system_id.as_str()),
            Some("brand") => {
                let brand = config.opt_outs.brand.as_deref().map(Scope::brand);
                brand.ok_or("the account has no brand")?
            }
            Some(_) => return Err("consent is to an account or its brand".to_owned()),
        };
        let who = self.spool.standing().who(&person);
        if self.consents_to(&who, &scope, bit(category)) {
            return Ok(false);
        }
        if !self.spool.has_batch_room() {
            return Err("the gateway is busy: ask again".to_owned());
        }
        let question = Question {
            account,
            from: &from,
            sender: &sender,
            person: &person,
            who,
            scope,
            categories: bit(category),
            via: Via::Command,
            private: self.told_of(account, deed, row),
        };
        self.ask(now, question)
            .map(|()| true)
            .map_err(|end| why(end).to_owned())
    }
}

/// Why somebody is not asked.
const fn why(end: ReplyEnd) -> &'static str {
    match end {
        ReplyEnd::OptedOut => "who has opted out is not asked to come back (OPT-25)",
        ReplyEnd::Suspended => "the account is suspended",
        ReplyEnd::Enough => "the person was asked within the last 30 days (CON-5)",
        ReplyEnd::NoRoute => "no route leads there",
        ReplyEnd::NoRoom => "the spool is full",
        ReplyEnd::Unwritable | ReplyEnd::SwitchedOff | ReplyEnd::Sent => {
            "the question fits no message of one part"
        }
    }
}

/// The only one there is.
fn only(mut senders: impl Iterator<Item = Scope>) -> Option<Scope> {
    let first = senders.next()?;
    senders.all(|sender| sender == first).then_some(first)
}
