//! Restrictions of a person (DSR-4) at the control socket: set, lifted, listed.
//!
//! No answer has the number: it stands sealed in the register, under a key of the restriction's own that goes with it.

use serde_json::{Map, Value, json};
use tidegate_codec::identity::SystemId;
use tidegate_store::audit::{Actor, Field, Kind};
use tidegate_store::disk::Disk;
use tidegate_store::keyring::Owner;

use super::legal::{ROWS_MAX, drop_released, entry, kept, named, next_number, sealed, take_effect};
use super::steering::fields;
use super::{Answer, instant};
use crate::audit::{AuditHandle, actor, typed};
use crate::legal::{Legal, RESTRICTED_MAX, Register, RestrictionRow, State};
use crate::serve::Hub;

/// Restricts the person with a number, for an account or for all: nothing of them is processed but kept. One who is already is
/// not restricted twice: the answer names the restriction that there is.
///
/// # Errors
///
/// In words for an operator: no such account, no number, no room, or the audit log or the register cannot be written; nothing
/// is restricted then.
pub(crate) async fn add<D: Disk>(
    hub: &Hub<D>,
    legal: &Legal,
    (audit, who): (&AuditHandle, &Actor),
    (to, account): (&str, Option<&str>),
    reason: &str,
) -> Answer {
    let (account, person) = named(hub, account, Some(to))?;
    let state = &mut *legal.state().await;
    let is_it = |(id, row): &(u32, &RestrictionRow)| {
        row.account == account && person.is_some() && state.people.get(id) == person.as_ref()
    };
    let unkept = keeps_nothing(hub, account);
    if let Some((id, row)) = state.register.restricting().find(is_it) {
        let since = instant(row.since_ms);
        // What was not ended when it was set is now.
        if let Some(exports) = hub.exports() {
            exports.give_up(account, row.since_ms);
        }
        return Ok(fields(
            json!({ "id": id, "since": since, "is_new": false, "unkept": unkept }),
        ));
    }
    if !state.register.has_room_for_restriction() {
        return Err(format!("there are {RESTRICTED_MAX} restrictions already"));
    }
    let id = next_number(state).await?;
    let sealed = sealed(hub, Owner::Restriction(id), person.as_ref()).await?;
    let asked = entry(Kind::Restriction, who, "restricted", id)
        .of(account)
        .with(Field::Reason, typed(reason));
    audit.enter(vec![asked]).await?;
    let since_ms = hub.believed_ms();
    let row = RestrictionRow {
        account,
        sealed,
        who: actor(who),
        why: kept(reason),
        since_ms,
        lifted_ms: None,
        notice: None,
    };
    state
        .register
        .change(|register| register.restrict(id, row))
        .await?;
    if let Some(person) = person {
        state.people.insert(id, person);
    }
    take_effect(hub, state);
    // What was made before may have the person in it.
    if let Some(exports) = hub.exports() {
        exports.give_up(account, u64::MAX);
    }
    Ok(fields(
        json!({ "id": id, "since": instant(since_ms), "is_new": true, "unkept": unkept }),
    ))
}

/// Of how many of these accounts history keeps nothing: what the person writes to them is acknowledged, and nobody ever has it.
fn keeps_nothing<D: Disk>(hub: &Hub<D>, account: Option<SystemId>) -> usize {
    hub.look(|gate, _| {
        let accounts = gate.config.accounts.iter().map(|account| account.system_id);
        let meant = accounts.filter(|there| account.is_none_or(|account| account == *there));
        meant
            .filter(|account| !gate.spool().keeps_received(*account))
            .count()
    })
}

/// Lifts one. The person was told before (GDPR article 18(3)): how stands in the register and in the audit log.
pub(super) async fn lift<D: Disk>(
    hub: &Hub<D>,
    state: &mut State,
    (audit, who): (&AuditHandle, &Actor),
    id: u32,
    (notice, reason): (&str, &str),
) -> Answer {
    let row = state.register.restrictions.get(&id);
    let row = row
        .filter(|row| row.lifted_ms.is_none())
        .ok_or_else(|| format!("there is no restriction {id} that is not lifted"))?;
    let lifted = entry(Kind::Restriction, who, "lifted", id)
        .of(row.account)
        .with(Field::Evidence, typed(notice))
        .with(Field::Reason, typed(reason));
    audit.enter(vec![lifted]).await?;
    let lifted_ms = hub.believed_ms();
    let lift = |register: &mut Register| {
        if let Some(row) = register.restrictions.get_mut(&id) {
            row.lifted_ms = Some(lifted_ms);
            row.notice = Some(kept(notice));
            row.sealed.clear();
        }
    };
    state.register.change(lift).await?;
    state.people.remove(&id);
    take_effect(hub, state);
    // The next sweep does it again, should it fail.
    drop_released(hub, audit, state).await?;
    Ok(fields(json!({ "id": id, "lifted": instant(lifted_ms) })))
}

/// All of them, without anybody's number.
pub(super) fn list(state: &State) -> Map<String, Value> {
    let rows = state.register.restrictions.iter().rev().take(ROWS_MAX);
    let rows: Vec<Value> = rows
        .map(|(id, row)| {
            json!({
                "id": id,
                "account": row.account.as_ref().map(SystemId::as_str),
                "who": row.who,
                "why": row.why,
                "since": instant(row.since_ms),
                "lifted": row.lifted_ms.map(instant),
                "notice": row.notice,
            })
        })
        .collect();
    let active = state.register.restricting().count();
    fields(json!({ "active": active, "restrictions": rows }))
}
