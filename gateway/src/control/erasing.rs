//! Orders to erase a person at the control socket (ERA-4): given and listed; the sweep carries them out. No answer has a number
//! of a person.

use serde_json::{Map, Value, json};
use tidegate_codec::identity::SystemId;
use tidegate_store::audit::{Actor, Field, Kind};
use tidegate_store::disk::Disk;
use tidegate_store::keyring::Owner;
use zeroize::Zeroizing;

use super::legal::{ROWS_MAX, entry, has_room, kept, named, next_number, sealed, take_effect};
use super::steering::fields;
use super::{Answer, instant};
use crate::audit::{AuditHandle, actor, typed};
use crate::legal::{HoldRow, Legal, OrderRow, State, is_like};
use crate::serve::Hub;

/// The matters of holds that may cover what an order is about.
pub(crate) fn deferring(state: &State, order: u32) -> Vec<String> {
    let Some(row) = state.register.orders.get(&order) else {
        return Vec::new();
    };
    let person = state.people.get(&order);
    let may_cover = |(id, hold): &(u32, &HoldRow)| {
        hold.taken_ms <= row.asked_ms && is_like((hold, state.people.get(id)), (row.account, person))
    };
    let matters = state.register.active().filter(may_cover);
    matters.map(|(_, hold)| hold.matter.clone()).collect()
}

/// Orders one, as an operator asks for it.
pub(super) async fn add<D: Disk>(
    hub: &Hub<D>,
    legal: &Legal,
    by: (&AuditHandle, &Actor),
    (to, account): (&str, Option<&str>),
    reason: &str,
) -> Answer {
    let (account, person) = named(hub, account, Some(to))?;
    let person = person.ok_or("\"to\" is no number")?;
    let state = &mut *legal.state().await;
    let (id, asked_ms) = order_erasure(hub, state, by, (account, person), reason).await?;
    let deferred_by = deferring(state, id);
    Ok(fields(json!({
        "id": id,
        "asked": instant(asked_ms),
        "state": if deferred_by.is_empty() { "open" } else { "deferred" },
        "deferred_by": deferred_by,
    })))
}

/// Orders the erasure of a person; its number, and when it was asked for. It holds when this returns.
pub(super) async fn order_erasure<D: Disk>(
    hub: &Hub<D>,
    state: &mut State,
    (audit, who): (&AuditHandle, &Actor),
    (account, person): (Option<SystemId>, Zeroizing<Vec<u8>>),
    reason: &str,
) -> Result<(u32, u64), String> {
    has_room(state)?;
    let id = next_number(state).await?;
    let sealed = sealed(hub, Owner::Erasure(id), Some(&person)).await?;
    let asked = entry(Kind::Erasure, who, "ordered", id)
        .of(account)
        .with(Field::Reason, typed(reason));
    audit.enter(vec![asked]).await?;
    let asked_ms = hub.believed_ms();
    let row = OrderRow {
        account,
        sealed,
        who: actor(who),
        why: kept(reason),
        asked_ms,
        lots: 0,
        records: 0,
        executed_ms: None,
    };
    state
        .register
        .change(|register| register.orders.insert(id, row))
        .await?;
    state.people.insert(id, person);
    take_effect(hub, state);
    if let Some(exports) = hub.exports() {
        exports.give_up(account, u64::MAX);
    }
    Ok((id, asked_ms))
}

/// All of them, without anybody's number.
pub(super) fn list(state: &State) -> Map<String, Value> {
    let rows: Vec<Value> = state
        .register
        .orders
        .iter()
        .rev()
        .take(ROWS_MAX)
        .map(|(id, row)| {
            let deferred_by = match row.executed_ms {
                Some(_) => Vec::new(),
                None => deferring(state, *id),
            };
            let word = match (row.executed_ms, deferred_by.is_empty()) {
                (Some(_), _) => "executed",
                (None, false) => "deferred",
                (None, true) => "open",
            };
            json!({
                "id": id,
                "account": row.account.as_ref().map(SystemId::as_str),
                "state": word,
                "deferred_by": deferred_by,
                "who": row.who,
                "why": row.why,
                "asked": instant(row.asked_ms),
                "executed": row.executed_ms.map(instant),
                "lots": row.lots,
                "records": row.records,
            })
        })
        .collect();
    let open = state
        .register
        .orders
        .values()
        .filter(|row| row.executed_ms.is_none());
    fields(json!({ "open": open.count(), "orders": rows }))
}
