//! Legal holds and orders to erase at the control socket (restrictions are next door): taken, released, listed, and what a hold has sealed.
//!
//! ```text
//! {"version":1,"verb":"hold add","matter":"2026/17","to":"+15550100123","reason":"a claim","review_days":90,"future":true}
//! {"version":1,"verb":"erase add","to":"+15550100123","account":"shop","reason":"asked for"}
//! ```
//!
//! Each change stands in the audit log before it holds (AUD-1). No answer but that of `hold show` has a number of a person.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use tidegate_codec::identity::SystemId;
use tidegate_store::audit::{Actor, Entry, Field, Kind, Value as Detail, Word};
use tidegate_store::disk::Disk;
use tidegate_store::history::{Kept, Meta, Order, Report, VaultCursor, VaultOrder, VaultReport};
use tidegate_store::keyring::{Destroyed, Owner};
use tidegate_store::message_id::MessageId;
use tidegate_store::seal::Purpose;
use zeroize::Zeroizing;

use super::finished::{leg_shown, text_shown};
use super::steer::Keys;
use super::steering::fields;
use super::{Answer, VERSION, instant, restricting};
use crate::audit::{AuditHandle, actor};
use crate::legal::{HoldRow, Legal, OPEN_MAX, OrderRow, State, TEXT_MAX, is_like};
use crate::serve::Hub;
use crate::standing::opt_out::written_person;

/// Days after which a hold is to be looked at again, at most.
const REVIEW_DAYS_MAX: u64 = 3_660;
const DAY_MS: u64 = 24 * 3_600_000;
/// Messages that one answer shows.
const SHOWN_MAX: usize = 1_000;
/// Rows of a list.
pub(super) const ROWS_MAX: usize = 10_000;
const FOREIGN: &str = "history answers something else";

/// What a hold is to cover. All that is named must fit.
#[derive(Clone, PartialEq, Eq)]
pub struct HoldAsk {
    /// The matter that it is for.
    pub matter: String,
    /// Of this account.
    pub account: Option<String>,
    /// About the person with this number.
    pub to: Option<String>,
    /// Of the message with this id.
    pub message: Option<String>,
    /// Of this class.
    pub class: Option<Kept>,
    /// Accepted at this time or later, in unix milliseconds.
    pub from_ms: Option<u64>,
    /// Accepted before this time.
    pub until_ms: Option<u64>,
    /// Whether what comes later is held, too.
    pub future: bool,
    /// Why.
    pub reason: String,
    /// After how many days it is to be looked at again.
    pub review_days: u64,
}

impl std::fmt::Debug for HoldAsk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HoldAsk(***)")
    }
}

/// What is wanted of holds and erasures.
#[derive(Clone, PartialEq, Eq)]
pub enum Matter {
    /// Takes a hold.
    HoldAdd(Box<HoldAsk>),
    /// Releases it: what is due goes at once, and what it has sealed.
    HoldRelease {
        /// Which.
        id: u32,
        /// Why.
        reason: String,
    },
    /// All holds.
    HoldList,
    /// What a hold has sealed, with numbers and texts.
    HoldShow {
        /// Which.
        id: u32,
        /// Why it is read.
        reason: String,
    },
    /// Orders the erasure of a person.
    EraseAdd {
        /// The number.
        to: String,
        /// Of this account only.
        account: Option<String>,
        /// Why.
        reason: String,
    },
    /// All orders.
    EraseList,
    /// Restricts a person (DSR-4).
    RestrictAdd {
        /// The number.
        to: String,
        /// For this account only.
        account: Option<String>,
        /// Why.
        reason: String,
    },
    /// Lifts a restriction.
    RestrictLift {
        /// Which.
        id: u32,
        /// How the person was told.
        notice: String,
        /// Why.
        reason: String,
    },
    /// All restrictions.
    RestrictList,
}

impl std::fmt::Debug for Matter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}

impl Matter {
    /// As on the command line.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::HoldAdd(_) => "hold add",
            Self::HoldRelease { .. } => "hold release",
            Self::HoldList => "hold list",
            Self::HoldShow { .. } => "hold show",
            Self::EraseAdd { .. } => "erase add",
            Self::EraseList => "erase list",
            Self::RestrictAdd { .. } => "restrict add",
            Self::RestrictLift { .. } => "restrict lift",
            Self::RestrictList => "restrict list",
        }
    }

    /// Whether it changes nothing.
    pub(super) const fn is_reading(&self) -> bool {
        matches!(
            self,
            Self::HoldList | Self::HoldShow { .. } | Self::EraseList | Self::RestrictList
        )
    }

    /// As a request's line.
    pub(super) fn request(&self) -> Value {
        let mut request = match self {
            Self::HoldAdd(ask) => json!({
                "matter": ask.matter,
                "account": ask.account,
                "to": ask.to,
                "message": ask.message,
                "class": ask.class.map(Kept::word),
                "from_ms": ask.from_ms,
                "until_ms": ask.until_ms,
                "future": ask.future,
                "reason": ask.reason,
                "review_days": ask.review_days,
            }),
            Self::HoldRelease { id, reason } | Self::HoldShow { id, reason } => {
                json!({ "id": id, "reason": reason })
            }
            Self::EraseAdd { to, account, reason } | Self::RestrictAdd { to, account, reason } => {
                json!({ "to": to, "account": account, "reason": reason })
            }
            Self::RestrictLift { id, notice, reason } => {
                json!({ "id": id, "notice": notice, "reason": reason })
            }
            Self::HoldList | Self::EraseList | Self::RestrictList => json!({}),
        };
        request["version"] = json!(VERSION);
        request["verb"] = json!(self.word());
        request
    }

    /// Reads a request's line, if it is one of these.
    pub(super) fn read(verb: &str, request: &Map<String, Value>) -> Option<Result<Self, String>> {
        let keys = Keys(request);
        let id = || {
            let number = keys.number("id")?.and_then(|id| u32::try_from(id).ok());
            number.ok_or_else(|| "\"id\" is a number that a list shows".to_owned())
        };
        Some(match verb {
            "hold add" => hold_ask(&keys).map(|ask| Self::HoldAdd(Box::new(ask))),
            "hold release" => id().and_then(|id| {
                let reason = said(&keys, "reason")?;
                Ok(Self::HoldRelease { id, reason })
            }),
            "hold show" => id().and_then(|id| {
                let reason = said(&keys, "reason")?;
                Ok(Self::HoldShow { id, reason })
            }),
            "hold list" => Ok(Self::HoldList),
            "erase list" => Ok(Self::EraseList),
            "erase add" => said(&keys, "to").and_then(|to| {
                let (account, reason) = (keys.text("account")?, said(&keys, "reason")?);
                Ok(Self::EraseAdd { to, account, reason })
            }),
            "restrict add" => said(&keys, "to").and_then(|to| {
                let (account, reason) = (keys.text("account")?, said(&keys, "reason")?);
                Ok(Self::RestrictAdd { to, account, reason })
            }),
            "restrict lift" => id().and_then(|id| {
                let (notice, reason) = (said(&keys, "notice")?, said(&keys, "reason")?);
                Ok(Self::RestrictLift { id, notice, reason })
            }),
            "restrict list" => Ok(Self::RestrictList),
            _ => return None,
        })
    }
}

/// A text that must be there and is short.
pub(super) fn said(keys: &Keys<'_>, key: &str) -> Result<String, String> {
    let text = keys.needed(key)?;
    if text.trim().is_empty() || text.len() > TEXT_MAX {
        return Err(format!("\"{key}\" is a text of 1 to {TEXT_MAX} octets"));
    }
    Ok(text)
}

fn hold_ask(keys: &Keys<'_>) -> Result<HoldAsk, String> {
    let class = match keys.text("class")?.as_deref() {
        None => None,
        Some("meta") => Some(Kept::Meta),
        Some("body") => Some(Kept::Body),
        Some(_) => return Err("\"class\" is meta or body".to_owned()),
    };
    let review_days = keys.number("review_days")?.unwrap_or_default();
    if !(1..=REVIEW_DAYS_MAX).contains(&review_days) {
        return Err(format!("\"review_days\" is a number from 1 to {REVIEW_DAYS_MAX}"));
    }
    let ask = HoldAsk {
        matter: said(keys, "matter")?,
        account: keys.text("account")?,
        to: keys.text("to")?,
        message: keys.text("message")?,
        class,
        from_ms: keys.number("from_ms")?,
        until_ms: keys.number("until_ms")?,
        future: keys.flag("future")?,
        reason: said(keys, "reason")?,
        review_days,
    };
    if ask.account.is_none() && ask.to.is_none() && ask.message.is_none() && ask.from_ms.is_none() {
        return Err(
            "a hold names an account, a number, a message or a time from which on it holds".to_owned(),
        );
    }
    Ok(ask)
}

/// An entry of the log about a matter. What was typed stands in it without digits that may be a number.
pub(super) fn entry(kind: Kind, who: &Actor, outcome: &str, id: u32) -> Entry {
    Entry::new(kind, who.clone())
        .with(Field::Outcome, Detail::Word(Word::of_name(outcome)))
        .with(Field::Sequence, Detail::Count(id.into()))
}

/// What is kept of what somebody typed: no number of a person.
pub(super) fn kept(text: &str) -> String {
    Word::new(text).as_str().to_owned()
}

/// A key that is destroyed, as the log names it.
pub(crate) fn key_word(destroyed: &Destroyed) -> Detail {
    let print: String = destroyed
        .fingerprint
        .iter()
        .map(|octet| format!("{octet:02x}"))
        .collect();
    Detail::Word(Word::of_name(&format!("{} {print}", destroyed.id)))
}

/// Does it.
pub(super) async fn matter<D: Disk>(
    hub: &Hub<D>,
    audit: &AuditHandle,
    who: &Actor,
    matter: &Matter,
) -> Answer {
    let legal = Arc::clone(hub.legal().ok_or("this gateway has no register of holds")?);
    match matter {
        Matter::HoldAdd(ask) => hold_add(hub, &legal, (audit, who), ask).await,
        Matter::HoldRelease { id, reason } => hold_release(hub, &legal, (audit, who), *id, reason).await,
        Matter::HoldList => Ok(hold_list(&*legal.state().await, hub.now().unix_ms)),
        Matter::HoldShow { id, reason } => hold_show(hub, &legal, (audit, who), *id, reason).await,
        Matter::EraseAdd { to, account, reason } => {
            erase_add(hub, &legal, (audit, who), (to, account.as_deref()), reason).await
        }
        Matter::EraseList => Ok(erase_list(&*legal.state().await)),
        Matter::RestrictAdd { to, account, reason } => {
            restricting::add(hub, &legal, (audit, who), (to, account.as_deref()), reason).await
        }
        Matter::RestrictLift { id, notice, reason } => {
            restricting::lift(hub, &legal, (audit, who), *id, (notice, reason)).await
        }
        Matter::RestrictList => Ok(restricting::list(&*legal.state().await)),
    }
}

/// Whose, and whom.
pub(super) type Named = (Option<SystemId>, Option<Zeroizing<Vec<u8>>>);

/// Whose, and whom: an account that there is, and a number in the form in which people are known.
pub(super) fn named<D: Disk>(hub: &Hub<D>, account: Option<&str>, to: Option<&str>) -> Result<Named, String> {
    let (whose, home) = match account {
        None => (None, None),
        Some(name) => hub.look(|gate, _| {
            let place = gate.known_account(name)?;
            let account = &gate.config().accounts[place];
            Ok::<_, String>((Some(account.system_id), account.numbering.country))
        })?,
    };
    let person = match to {
        None => None,
        Some(to) => {
            if home.is_none() && !to.trim_start().starts_with('+') {
                return Err(
                    "\"to\" is a number with + and the country's code where no account says whose it is"
                        .to_owned(),
                );
            }
            let person = written_person(to, home)
                .ok_or("\"to\" is no number of a person: that has more digits than a short code")?;
            Some(Zeroizing::new(person.to_vec()))
        }
    };
    Ok((whose, person))
}

/// A number for a matter. On disk before there is a key of it: a ring that has keys of later numbers shows a start that the
/// register is not the one that belongs to it.
pub(super) async fn next_number(legal: &Legal, state: &mut State) -> Result<u32, String> {
    let mut register = state.register.clone();
    register.last += 1;
    legal.write(&register).await?;
    state.register = register;
    Ok(state.register.last)
}

/// Makes a matter's key, and seals under it whom it is about.
pub(super) async fn sealed<D: Disk>(
    hub: &Hub<D>,
    owner: Owner,
    person: Option<&Zeroizing<Vec<u8>>>,
) -> Result<Vec<u8>, String> {
    let text = person.cloned().unwrap_or_default();
    let order = Order::Vault(VaultOrder::Seal(owner, text, hub.now().unix_ms));
    match hub.ask_history(order).await? {
        Report::Vault(VaultReport::Sealed(sealed)) => Ok(sealed),
        _ => Err(FOREIGN.to_owned()),
    }
}

/// Has what the register says now hold for everybody who asks the rules.
pub(crate) fn take_effect<D: Disk>(hub: &Hub<D>, state: &State) {
    hub.look(|gate, _| {
        if let Some(keeping) = gate.keeping().cloned() {
            gate.set_keeping(&Arc::new(keeping.with_claims(state.claims())));
        }
    });
}

/// How late it is for the rules.
pub(crate) fn rules_now<D: Disk>(hub: &Hub<D>) -> u64 {
    hub.look(|gate, now| {
        let keeping = gate.keeping();
        keeping.map_or(now.unix_ms, |keeping| keeping.believed().at(now.unix_ms))
    })
}

/// Whether the wall clock has jumped and nobody has said yet that it is right (RET-9).
pub(crate) fn is_doubted<D: Disk>(hub: &Hub<D>) -> bool {
    hub.look(|gate, now| {
        let keeping = gate.keeping();
        keeping.is_some_and(|keeping| keeping.believed().doubts(now.unix_ms))
    })
}

async fn hold_add<D: Disk>(
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
    let mut state = legal.state().await;
    if !state.register.has_room() {
        return Err(format!(
            "there are {OPEN_MAX} open holds and erasures already, or the register is full"
        ));
    }
    let id = next_number(legal, &mut state).await?;
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
        .with(Field::Evidence, Detail::Word(Word::new(&ask.matter)))
        .with(Field::Scope, Detail::Words(scope))
        .with(Field::Reason, Detail::Word(Word::new(&ask.reason)));
    audit.enter(vec![taken]).await?;
    let taken_ms = rules_now(hub);
    let mut register = state.register.clone();
    register.holds.insert(
        id,
        HoldRow {
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
        },
    );
    legal.write(&register).await?;
    state.register = register;
    if let Some(person) = person {
        state.people.insert(id, person);
    }
    take_effect(hub, &state);
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

async fn hold_release<D: Disk>(
    hub: &Hub<D>,
    legal: &Legal,
    (audit, who): (&AuditHandle, &Actor),
    id: u32,
    reason: &str,
) -> Answer {
    let mut state = legal.state().await;
    let row = state
        .register
        .holds
        .get(&id)
        .filter(|row| row.released_ms.is_none())
        .ok_or_else(|| format!("there is no hold {id} that is not released"))?;
    if let Some(other) = needed_by(hub, &state, id, row).await? {
        return Err(format!(
            "hold {other} was taken later and may cover what only hold {id} has sealed: release that one first"
        ));
    }
    let released = entry(Kind::Hold, who, "released", id)
        .of(row.account)
        .with(Field::Evidence, Detail::Word(Word::new(&row.matter)))
        .with(Field::Reason, Detail::Word(Word::new(reason)));
    audit.enter(vec![released]).await?;
    let (released_ms, account) = (rules_now(hub), row.account);
    let mut register = state.register.clone();
    if let Some(row) = register.holds.get_mut(&id) {
        row.released_ms = Some(released_ms);
        row.sealed.clear();
    }
    legal.write(&register).await?;
    state.register = register;
    state.people.remove(&id);
    take_effect(hub, &state);
    // What only the hold had kept is nobody's from now on, in a disclosure's file neither, made or being made.
    if let Some(exports) = hub.exports() {
        exports.give_up_held(account, u64::MAX);
    }
    let gone = drop_released(hub, audit, &state).await?;
    Ok(fields(
        json!({ "id": id, "released": instant(released_ms), "keys_destroyed": gone }),
    ))
}

/// Destroys the keys of holds that are over, with what they have sealed, and enters that; says how many there were.
///
/// # Errors
///
/// In words for an operator; the next sweep does it again.
pub(crate) async fn drop_released<D: Disk>(
    hub: &Hub<D>,
    audit: &AuditHandle,
    state: &State,
) -> Result<u64, String> {
    let legal = hub.legal().ok_or("this gateway has no register of holds")?;
    legal.make_certain(&state.register).await?;
    let order = Order::Vault(VaultOrder::Keep {
        holds: state.register.active().map(|(id, _)| id).collect(),
        erasures: state.register.standing().map(|(id, _)| id).collect(),
        restrictions: state.register.restricting().map(|(id, _)| id).collect(),
    });
    let Report::Vault(VaultReport::Kept(destroyed)) = hub.ask_history(order).await? else {
        return Err(FOREIGN.to_owned());
    };
    let entries: Vec<Entry> = destroyed
        .iter()
        .map(|destroyed| {
            Entry::new(Kind::Hold, Actor::System)
                .with(Field::Outcome, Detail::Word(Word::of_name("erased")))
                .with(Field::RingKey, key_word(destroyed))
        })
        .collect();
    if !entries.is_empty() {
        audit.enter(entries).await?;
    }
    Ok(destroyed.len() as u64)
}

fn hold_list(state: &State, now_ms: u64) -> Map<String, Value> {
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
async fn hold_show<D: Disk>(
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
    let read = Entry::new(Kind::Read, who.clone())
        .with(Field::Verb, Detail::Word(Word::of_name("hold show")))
        .with(Field::Sequence, Detail::Count(id.into()))
        .with(Field::Purpose, Detail::Word(Word::of_name("legal")))
        .with(Field::Reason, Detail::Word(Word::new(reason)));
    audit.enter(vec![read]).await?;
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

/// The matters of holds that may cover what an order is about.
pub(crate) fn deferring(state: &State, order: u32) -> Vec<String> {
    let Some(row) = state.register.orders.get(&order) else {
        return Vec::new();
    };
    let whom = state.people.get(&order);
    let may_cover = |(id, hold): &(u32, &HoldRow)| {
        hold.taken_ms <= row.asked_ms && is_like((hold, state.people.get(id)), (row.account, whom))
    };
    let matters = state.register.active().filter(may_cover);
    matters.map(|(_, hold)| hold.matter.clone()).collect()
}

async fn erase_add<D: Disk>(
    hub: &Hub<D>,
    legal: &Legal,
    (audit, who): (&AuditHandle, &Actor),
    (to, account): (&str, Option<&str>),
    reason: &str,
) -> Answer {
    let (account, person) = named(hub, account, Some(to))?;
    let person = person.ok_or("\"to\" is no number")?;
    let mut state = legal.state().await;
    let (id, asked_ms) =
        order_erasure(hub, legal, (audit, who), &mut state, (account, person), reason).await?;
    let deferred_by = deferring(&state, id);
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
    legal: &Legal,
    (audit, who): (&AuditHandle, &Actor),
    state: &mut State,
    (account, person): (Option<SystemId>, Zeroizing<Vec<u8>>),
    reason: &str,
) -> Result<(u32, u64), String> {
    if !state.register.has_room() {
        return Err(format!(
            "there are {OPEN_MAX} open holds and erasures already, or the register is full"
        ));
    }
    let id = next_number(legal, state).await?;
    let sealed = sealed(hub, Owner::Erasure(id), Some(&person)).await?;
    let asked = entry(Kind::Erasure, who, "ordered", id)
        .of(account)
        .with(Field::Reason, Detail::Word(Word::new(reason)));
    audit.enter(vec![asked]).await?;
    let asked_ms = rules_now(hub);
    let mut register = state.register.clone();
    register.orders.insert(
        id,
        OrderRow {
            account,
            sealed,
            who: actor(who),
            why: kept(reason),
            asked_ms,
            lots: 0,
            records: 0,
            executed_ms: None,
        },
    );
    legal.write(&register).await?;
    state.register = register;
    state.people.insert(id, person);
    take_effect(hub, state);
    if let Some(exports) = hub.exports() {
        exports.give_up(account, u64::MAX);
    }
    Ok((id, asked_ms))
}

fn erase_list(state: &State) -> Map<String, Value> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_is_what_is_understood_and_a_hold_on_everything_is_none() {
        let ask = HoldAsk {
            matter: "2026/17".to_owned(),
            account: Some("shop".to_owned()),
            to: Some("+15550100123".to_owned()),
            message: None,
            class: Some(Kept::Body),
            from_ms: Some(5),
            until_ms: None,
            future: true,
            reason: "a claim".to_owned(),
            review_days: 90,
        };
        let matters = [
            Matter::HoldAdd(Box::new(ask.clone())),
            Matter::HoldRelease {
                id: 3,
                reason: "settled".to_owned(),
            },
            Matter::HoldShow {
                id: 3,
                reason: "settled".to_owned(),
            },
            Matter::HoldList,
            Matter::EraseAdd {
                to: "+15550100123".to_owned(),
                account: None,
                reason: "asked".to_owned(),
            },
            Matter::EraseList,
            Matter::RestrictAdd {
                to: "+15550100123".to_owned(),
                account: Some("shop".to_owned()),
                reason: "contested".to_owned(),
            },
            Matter::RestrictLift {
                id: 4,
                notice: "letter".to_owned(),
                reason: "settled".to_owned(),
            },
            Matter::RestrictList,
        ];
        for matter in matters {
            let request = fields(matter.request());
            assert_eq!(Matter::read(matter.word(), &request), Some(Ok(matter.clone())));
            assert!(!format!("{matter:?}").contains("555"), "no number in a log");
        }
        for (key, value) in [
            ("review_days", json!(0)),
            ("reason", json!(" ")),
            ("class", json!("both")),
            ("matter", Value::Null),
        ] {
            let mut request = fields(Matter::HoldAdd(Box::new(ask.clone())).request());
            request.insert(key.to_owned(), value);
            assert!(
                Matter::read("hold add", &request).is_some_and(|read| read.is_err()),
                "{key}"
            );
        }
        // Nobody is told nothing.
        let lift = json!({ "id": 4, "reason": "settled", "notice": " " });
        assert!(Matter::read("restrict lift", &fields(lift)).is_some_and(|read| read.is_err()));
        let everything = HoldAsk {
            account: None,
            to: None,
            from_ms: None,
            ..ask
        };
        let request = fields(Matter::HoldAdd(Box::new(everything)).request());
        assert!(Matter::read("hold add", &request).is_some_and(|read| read.is_err()));
    }
}
