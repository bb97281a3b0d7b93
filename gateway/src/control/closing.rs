//! The end of an account (compliance.md §7.3): it is offered what is kept of it, then it is closed, for good.

use std::rc::Rc;

use serde_json::{Value, json};
use tidegate_codec::values::MessageState;
use tidegate_store::disk::Disk;
use tidegate_store::rules::{Class, Facts, decide};

use super::Answer;
use super::given_up::GivingUp;
use super::listing::instant;
use super::steer::Steer;
use super::steering::{fields, order};
use super::work::end_waiting;
use crate::clock::Now;
use crate::exports::{State, What};
use crate::gate::Gate;
use crate::retention::{instructions_of, rules_of};
use crate::serve::Hub;

/// Closes an account: the order is on disk first, then its binds are closed, and what waits ends as DELETED. Asked for again it
/// goes on with what is left of that.
pub(super) async fn close<D: Disk>(
    hub: &Hub<D>,
    steer: &Steer,
    (account, returned): (&str, Option<u64>),
    giving_up: &GivingUp,
) -> Answer {
    let (place, system_id) = hub.look(|gate, _| {
        let place = gate.known_account(account)?;
        Ok::<_, String>((place, gate.config().accounts[place].system_id))
    })?;
    if let Some(number) = returned {
        let export = hub.exports().and_then(|exports| exports.get(number));
        let is_its = export.is_some_and(|export| {
            let is_ready = matches!(export.state, State::Ready { .. });
            export.head.account == system_id && export.head.what != What::Statistics && is_ready
        });
        if !is_its {
            return Err(format!(
                "{number} is no export of this account's messages that is ready: `export list` tells which are"
            ));
        }
    }
    let mut told = order(hub, steer, giving_up).await?;
    let deleted = end_waiting(hub, place, 0, MessageState::Deleted).await.map_err(|why| {
        format!("it is closed; but of what waits not all has ended: {why}. Give the order again, or it ends at the next start")
    })?;
    told.insert("deleted".to_owned(), json!(deleted));
    Ok(told)
}

/// Ends what still waits of closed accounts: a kill came between the order and that.
pub async fn end_closed<D: Disk>(hub: Rc<Hub<D>>) {
    let places: Vec<usize> = hub.look(|gate, _| {
        let closed = gate.orders().closed();
        closed
            .filter_map(|(name, _)| gate.account_by_text(name))
            .collect()
    });
    for place in places {
        match end_waiting(&hub, place, 0, MessageState::Deleted).await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "messages of a closed account have ended"),
            Err(why) => tracing::error!(why, "messages of a closed account wait still"),
        }
    }
}

impl<D: Disk> Gate<D> {
    /// How one account stands, and when what its end decides on goes.
    pub(super) fn account_told(&self, now: Now, name: &str) -> Answer {
        let place = self.known_account(name)?;
        let mut told = self.account_shown(name);
        let (config, account) = (self.config(), &self.config().accounts[place]);
        told["profile"] = json!(account.retention.profile);
        let closed_ms = self.orders().closed_ms(name);
        let (rules, instructions) = (
            rules_of(&config.retention, account),
            instructions_of(&config.retention, account),
        );
        let goes = Class::ALL.iter().filter_map(|class| {
            let facts = Facts::new(account.system_id, *class);
            let decision = decide(&facts, &rules, &instructions, &[], &[], closed_ms, now.unix_ms);
            let due_ms = closed_ms.and(decision.due_ms)?;
            Some(json!({ "class": class.word(), "due": instant(due_ms) }))
        });
        told["goes"] = Value::Array(goes.collect());
        Ok(fields(told))
    }
}
