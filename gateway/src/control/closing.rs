//! The end of an account (compliance.md §7.3): it is offered what is kept of it, then it is closed, for good.

use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};
use tidegate_codec::values::MessageState;
use tidegate_store::disk::Disk;
use tidegate_store::rules::{Class, Facts, decide};
use tidegate_store::spool::Pending;

use super::Answer;
use super::given_up::GivingUp;
use super::listing::instant;
use super::steer::Steer;
use super::steering::{fields, order};
use super::work::end_waiting;
use crate::clock::Now;
use crate::exports::{Export, State, What};
use crate::gate::Gate;
use crate::retention::{instructions_of, rules_of};
use crate::serve::Hub;

/// How long DLRs of what ended by it may take to the binds that are open.
const FETCHED_WITHIN: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Closes an account: the order is on disk first, and from then on nothing of it goes out and nobody binds; then what waits
/// ends as DELETED, and when its open binds have the DLRs of that, they are closed. Asked for again it goes on with what is left.
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
        let export = export.filter(|export| export.head.account == system_id);
        may_be_returned(export.as_ref(), hub.believed_ms())?;
    }
    let mut told = order(hub, steer, giving_up).await?;
    let deleted = end_waiting(hub, place, 0, MessageState::Deleted).await;
    let since = hub.now().monotonic;
    let is_fetched = || {
        hub.look(|gate, now| {
            let state = &gate.accounts()[place];
            let waiting = gate.spool().outbox().waiting_for(state.name);
            // DLRs come into the outbox with the batch that they are staged in.
            let has_all = waiting == 0 && gate.spool().pending() == Pending::Nothing;
            has_all || state.links.is_empty() || now.monotonic - since > FETCHED_WITHIN
        })
    };
    while deleted.as_ref().is_ok_and(|count| *count > 0) && !is_fetched() {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    let unbound = hub.with_gate(|gate, now| gate.unbind_all(now, place));
    let deleted = deleted.map_err(|why| {
        format!("it is closed; but of what waits not all has ended: {why}. Give the order again; none of it goes out")
    })?;
    told.insert("unbound".to_owned(), json!(unbound));
    told.insert("deleted".to_owned(), json!(deleted));
    Ok(told)
}

/// What an account is handed over is all of it, and somebody has fetched it (DSR-7).
fn may_be_returned(export: Option<&Export>, now_ms: u64) -> Result<(), String> {
    let lacks = match export {
        None => "it is none of this account's: `export list` tells which are",
        Some(export) if export.head.what != What::Texts => {
            "it is not of messages with their texts (`--what texts`)"
        }
        Some(export) if export.head.request.is_some() => "it is of one person only",
        Some(export) if export.head.since_ms > 0 || export.head.until_ms < now_ms => {
            "it is of a part of the time only"
        }
        Some(export) if export.is_due(now_ms) => "its date is over",
        Some(export) if !matches!(export.state, State::Ready { .. }) => "it is not ready",
        Some(export) if !export.is_fetched => {
            "nobody has fetched it to its end, as far as this process knows"
        }
        Some(_) => return Ok(()),
    };
    Err(format!(
        "what is handed over is an export of all that is kept: {lacks}"
    ))
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
