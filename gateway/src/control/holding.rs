//! Legal holds at the control socket (LEG-1 to LEG-4): taken, released, listed, and what one has sealed. No answer but that of
//! `hold show` has a number of a person.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use tidegate_codec::identity::SystemId;
use tidegate_store::audit::{Actor, Field, Kind, Value as Detail, Word};
use tidegate_store::disk::Disk;
use tidegate_store::history::{Kept, Meta, Order, Report, VaultCursor, VaultOrder, VaultReport};
use tidegate_store::keyring::Owner;
use tidegate_store::message_id::MessageId;
use tidegate_store::seal::Purpose;

use super::finished::{leg_shown, text_shown};
use super::legal::{
    FOREIGN, ROWS_MAX, drop_released, entry, has_room, kept, named, next_number, reading, sealed, take_effect,
};
use super::legal_ask::HoldAsk;
use super::steering::fields;
use super::{Answer, instant};
use crate::audit::{AuditHandle, actor, typed};
use crate::legal::{HoldRow, Legal, Register, State, is_like};
use crate::serve::Hub;

const DAY_MS: u64 = 24 * 3_600_000;
/// Messages that one answer shows.
const SHOWN_MAX: usize = 1_000;

/// Takes one.
pub(super) async fn add<D: Disk>(
    hub: &Hub<D>,
    legal: &Legal,
    (audit, who): (&AuditHandle, &Actor),
    ask: &HoldAsk,
) -> Answer {
    let (account, person) = named(hub, ask.account.as_deref(), ask.to.as_deref())?;
    let message: Option<MessageId> = match &ask.message {
        None => None,
        Some(id) => {
            let found = hub.look(|gate, now| gate.messages_spelled(now.unix_ms, id.as_bytes()).to_vec());
            let [message] = found[..] else {
                return Err("\"message\" is no id that means one message".to_owned());
            };
            Some(message)
        }
    };
    let state = &mut *legal.state().await;
    has_room(state)?;
    let id = next_number(state).await?;
    let sealed = sealed(hub, Owner::Hold(id), person.as_ref()).await?;
    let scope: Vec<Word> = [
        ("account", account.is_some()),
        ("recipient", person.is_some()),
        ("message", message.is_some()),
        ("class", ask.class.is_some()),
        ("time", ask.from_ms.is_some() || ask.until_ms.is_some()),
        ("future", ask.future),
    ]
    .iter()
    .filter(|(_, named)| *named)
    .map(|(name, _)| Word::of_name(name))
    .collect();
    let taken = entry(Kind::Hold, who, "taken", id)
        .of(account)
        .with(Field::Evidence, typed(&ask.matter))
        .with(Field::Scope, Detail::Words(scope))
        .with(Field::Reason, typed(&ask.reason));
    audit.enter(vec![taken]).await?;
    let taken_ms = hub.believed_ms();
    let row = HoldRow {
        matter: kept(&ask.matter),
        account,
        message,
        class: ask.class,
        from_ms: ask.from_ms,
        until_ms: ask.until_ms,
        future: ask.future,
        sealed,
        who: actor(who),
        why: kept(&ask.reason),
        review_ms: taken_ms.saturating_add(ask.review_days * DAY_MS),
        taken_ms,
        released_ms: None,
    };
    state
        .register
        .change(|register| register.holds.insert(id, row))
        .await?;
    if let Some(person) = person {
        state.people.insert(id, person);
    }
    take_effect(hub, state);
    Ok(fields(json!({ "id": id, "taken": instant(taken_ms) })))
}

async fn volumes<D: Disk>(hub: &Hub<D>) -> Result<Vec<(u32, String)>, String> {
    match hub.ask_history(Order::Vault(VaultOrder::Names)).await? {
        Report::Vault(VaultReport::Names(names)) => Ok(names),
        _ => Err(FOREIGN.to_owned()),
    }
}

/// A hold that was taken later and may cover what only this one has sealed: it has no copy, because that was sealed before.
async fn needed_by<D: Disk>(
    hub: &Hub<D>,
    state: &State,
    id: u32,
    row: &HoldRow,
) -> Result<Option<u32>, String> {
    let later: Vec<u32> = state
        .register
        .active()
        .filter(|(other, hold)| {
            *other != id
                && hold.taken_ms >= row.taken_ms
                && is_like(
                    (hold, state.people.get(other)),
                    (row.account, state.people.get(&id)),
                )
        })
        .map(|(other, _)| other)
        .collect();
    if later.is_empty() {
        return Ok(None);
    }
    let names = volumes(hub).await?;
    let of = |hold: u32| -> BTreeSet<&str> {
        let own = names.iter().filter(|(of, _)| *of == hold);
        own.map(|(_, lot)| lot.as_str()).collect()
    };
    let own = of(id);
    Ok(later.into_iter().find(|other| !own.is_subset(&of(*other))))
}

/// Releases one: what is due goes at once, and what it has sealed.
pub(super) async fn release<D: Disk>(
    hub: &Hub<D>,
    state: &mut State,
    (audit, who): (&AuditHandle, &Actor),
    id: u32,
    reason: &str,
) -> Answer {
    let row = state
        .register
        .holds
        .get(&id)
        .filter(|row| row.released_ms.is_none())
        .ok_or_else(|| format!("there is no hold {id} that is not released"))?;
    if let Some(other) = needed_by(hub, state, id, row).await? {
        return Err(format!(
            "hold {other} was taken later and may cover what only hold {id} has sealed: release that one first"
        ));
    }
    let released = entry(Kind::Hold, who, "released", id)
        .of(row.account)
        .with(Field::Evidence, typed(&row.matter))
        .with(Field::Reason, typed(reason));
    audit.enter(vec![released]).await?;
    let (released_ms, account) = (hub.believed_ms(), row.account);
    let end = |register: &mut Register| {
        if let Some(row) = register.holds.get_mut(&id) {
            row.released_ms = Some(released_ms);
            row.sealed.clear();
        }
    };
    state.register.change(end).await?;
    state.people.remove(&id);
    take_effect(hub, state);
    // What only the hold had kept is nobody's from now on, in a disclosure's file neither, made or being made.
    if let Some(exports) = hub.exports() {
        exports.give_up_held(account, u64::MAX);
    }
    let gone = drop_released(hub, audit, state).await?;
    Ok(fields(
        json!({ "id": id, "released": instant(released_ms), "keys_destroyed": gone }),
    ))
}

/// All of them, without anybody's number.
pub(super) fn list(state: &State, now_ms: u64) -> Map<String, Value> {
    let rows: Vec<Value> = state
        .register
        .holds
        .iter()
        .rev()
        .take(ROWS_MAX)
        .map(|(id, row)| {
            json!({
                "id": id,
                "matter": row.matter,
                "account": row.account.as_ref().map(SystemId::as_str),
                "is_about_a_person": state.people.contains_key(id),
                "is_about_a_message": row.message.is_some(),
                "class": row.class.map(Kept::word),
                "from": row.from_ms.map(instant),
                "until": row.until_ms.map(instant),
                "future": row.future,
                "who": row.who,
                "why": row.why,
                "taken": instant(row.taken_ms),
                "review": instant(row.review_ms),
                "is_past_review": row.released_ms.is_none() && row.review_ms <= now_ms,
                "released": row.released_ms.map(instant),
            })
        })
        .collect();
    let active = state.register.active().count();
    fields(json!({ "active": active, "holds": rows }))
}

/// What a hold has sealed. Entered as reading before anything is opened.
pub(super) async fn show<D: Disk>(
    hub: &Hub<D>,
    legal: &Legal,
    (audit, who): (&AuditHandle, &Actor),
    id: u32,
    reason: &str,
) -> Answer {
    {
        let state = legal.state().await;
        let is_active = state.register.active().any(|(active, _)| active == id);
        if !is_active {
            return Err(format!("there is no hold {id} that is not released"));
        }
    }
    audit
        .enter(vec![reading(who, ("hold show", id), ("legal", reason))])
        .await?;
    let (mut messages, mut texts, mut unreadable) = (Vec::new(), Vec::new(), 0);
    let (mut codings, mut has_more) = (Vec::<(MessageId, u16, u8)>::new(), false);
    let mut cursor = Some(VaultCursor::default());
    while let Some(at) = cursor {
        let order = Order::Vault(VaultOrder::Read(id, at, Purpose::Legal));
        let Report::Vault(VaultReport::Read(looked, next)) = hub.ask_history(order).await? else {
            return Err(FOREIGN.to_owned());
        };
        unreadable += looked.unreadable;
        for (account, meta) in &looked.metas {
            codings.push((meta.id, meta.leg, meta.data_coding));
            messages.push(message_shown(hub, *account, meta));
        }
        texts.extend(looked.texts);
        cursor = next;
        if messages.len() > SHOWN_MAX || texts.len() > SHOWN_MAX {
            has_more = true;
            break;
        }
    }
    messages.truncate(SHOWN_MAX);
    texts.truncate(SHOWN_MAX);
    let texts: Vec<Value> = texts
        .iter()
        .map(|(account, text)| {
            let coding = codings
                .iter()
                .find(|(of, leg, _)| (*of, *leg) == (text.id, text.leg));
            let mut shown = json!({
                "account": account.as_str(),
                "recipient": text.leg,
                "accepted": instant(text.accepted_ms),
                "ended": instant(text.final_ms),
                "text": text_shown(text, coding.map_or(0, |(_, _, coding)| *coding)),
            });
            shown["id"] = json!(hub.look(|gate, _| {
                String::from_utf8_lossy(gate.id_text(text.id, 0).as_bytes()).into_owned()
            }));
            shown
        })
        .collect();
    Ok(fields(json!({
        "id": id,
        "messages": messages,
        "texts": texts,
        "unreadable": unreadable,
        "has_more": has_more,
    })))
}

fn message_shown<D: Disk>(hub: &Hub<D>, account: SystemId, meta: &Meta) -> Value {
    let mut shown = leg_shown(meta, true);
    shown["account"] = json!(account.as_str());
    shown["accepted"] = json!(instant(meta.accepted_ms));
    shown["id"] = json!(hub.look(|gate, _| {
        String::from_utf8_lossy(gate.id_text(meta.id, meta.id_form).as_bytes()).into_owned()
    }));
    shown
}
