//! Requests of people at the control socket (DSR-1 to DSR-6): taken in, verified, extended, carried out, refused, looked at.
//!
//! ```text
//! {"version":1,"verb":"subject open","right":"access","to":"+15550100123","account":"shop","from":"account","place":"DE"}
//! {"version":1,"verb":"subject run","id":7}
//! ```
//!
//! Each change stands in the audit log before it holds (AUD-1). No answer but that of `subject show` with a purpose has a number of
//! a person, and before identity or authority is verified nothing is told but that a request has come and when it is due (DSR-2).

use std::rc::Rc;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use tidegate_codec::identity::SystemId;
use tidegate_config::Jurisdiction;
use tidegate_store::audit::{Actor, Entry, Field, Kind, Value as Detail};
use tidegate_store::disk::Disk;
use tidegate_store::history::{Order, Report, VaultOrder, VaultReport};
use tidegate_store::keyring::Owner;
use zeroize::Zeroizing;

use super::finished::Reading;
use super::legal::{FOREIGN, entry, kept, named, reading, sealed};
use super::steering::fields;
use super::subject_ask::{OpenAsk, Subjecting};
use super::subject_run::{carry_out, end_subject, may_be_refused};
use super::{Answer, instant};
use crate::audit::{AuditHandle, actor, typed, word};
use crate::exports::Format;
use crate::serve::Hub;
use crate::subjects::{Asker, How, OPEN_MAX, Register, RequestRow, Right, State, Subjects, clock_of};

/// Rows of a list, beside those that are open.
const ENDED_MAX: usize = 1_000;

/// Does it.
pub(super) async fn subject<D: Disk + 'static>(
    hub: &Rc<Hub<D>>,
    by: (&AuditHandle, &Actor),
    wanted: &Subjecting,
) -> Answer {
    let subjects = Arc::clone(hub.subjects().ok_or("this gateway has no register of requests")?);
    match wanted {
        Subjecting::Open(ask) => open(hub, &subjects, by, ask).await,
        Subjecting::Verify { id, proof } => verify(hub, &subjects, by, *id, proof).await,
        Subjecting::Extend { id, reason } => extend(hub, &subjects, by, *id, reason).await,
        Subjecting::Run { id, format, note } => {
            run(hub, &subjects, by, *id, (*format, note.as_deref())).await
        }
        Subjecting::Refuse { id, reason } => refuse(hub, &subjects, by, *id, reason).await,
        Subjecting::List => {
            let state = subjects.state().await;
            let (rows, open) = listed(&state.register);
            let left_out = state.register.requests.len() - rows.len();
            let shown: Vec<Value> = rows
                .iter()
                .map(|(id, row)| Value::Object(shown(*id, row)))
                .collect();
            Ok(fields(
                json!({ "open": open, "requests": shown, "left_out": left_out }),
            ))
        }
        Subjecting::Show { id, reading } => show(&subjects, by, *id, reading.as_ref()).await,
    }
}

/// What a list has: all that are open, those first that are due first, and of those that have ended the last; and how many are open.
fn listed(register: &Register) -> (Vec<(u32, &RequestRow)>, usize) {
    let (mut open, mut ended) = (Vec::new(), Vec::new());
    for (id, row) in register.requests.iter().rev() {
        match row.ended {
            None => open.push((*id, &**row)),
            Some(_) if ended.len() < ENDED_MAX => ended.push((*id, &**row)),
            Some(_) => {}
        }
    }
    open.sort_by_key(|(id, row)| (!row.waits(), row.due_ms, *id));
    let count = open.len();
    open.append(&mut ended);
    (open, count)
}

/// An entry of the log about a request.
pub(crate) fn noted(who: &Actor, outcome: &str, (id, row): (u32, &RequestRow)) -> Entry {
    let account: Option<SystemId> = row.account.as_deref().and_then(|name| name.parse().ok());
    entry(Kind::Request, who, outcome, id)
        .of(account)
        .with(Field::Scope, word(row.right.word()))
}

pub(super) const NONE: &str = "there is no such request";

async fn open<D: Disk + 'static>(
    hub: &Rc<Hub<D>>,
    subjects: &Subjects,
    (audit, who): (&AuditHandle, &Actor),
    ask: &OpenAsk,
) -> Answer {
    let (account, person) = named(hub, ask.account.as_deref(), Some(&ask.to))?;
    let person = person.ok_or("\"to\" is no number")?;
    let place = match ask.place.as_deref() {
        None => None,
        Some(text) => Some(Jurisdiction::known(text).ok_or(
            "\"place\" is a country of ISO 3166, such as DE, or a state of the USA or a province of Canada, such as US-CA",
        )?),
    };
    let now_ms = hub.believed_ms();
    // No date by law counts from a clock that has jumped (RET-9).
    let received_ms = match ask.received_ms {
        Some(received_ms) => received_ms,
        None if hub.is_doubted() => {
            return Err(
                "the clock has jumped, and nobody has said that it is right: say when the request came (received_ms), or \
                 `retention confirm-clock` first"
                    .to_owned(),
            );
        }
        None => now_ms,
    };
    if received_ms > now_ms {
        return Err("\"received_ms\" has not been yet".to_owned());
    }
    let account = account.as_ref().map(SystemId::as_str);
    let clocked = hub.look(|gate, _| clock_of(gate.config(), place, account, received_ms));
    let mut state = subjects.state().await;
    if !state.register.has_room() {
        return Err(format!(
            "there are {OPEN_MAX} open requests already, or the register is full"
        ));
    }
    // A number on disk before there is a key of it, as with holds.
    let next = |register: &mut Register| {
        register.last += 1;
        register.last
    };
    let id = state.register.change(next).await?;
    state.keys_to_end.insert(id);
    let number = sealed(hub, Owner::Subject(id), Some(&person)).await?;
    let row = RequestRow {
        right: ask.right,
        asker: ask.asker,
        account: account.map(str::to_owned),
        place: place.map(|place| place.to_string()),
        is_minor: ask.is_minor,
        number,
        proof: Vec::new(),
        who: actor(who),
        received_ms,
        due_ms: clocked.due_ms,
        most_ms: clocked.most_ms,
        clock: clocked.by,
        extended: None,
        verified_ms: None,
        run_ms: None,
        format: None,
        note: None,
        order: None,
        export: None,
        ready: None,
        restriction: None,
        told: 0,
        kept: Vec::new(),
        answered_ms: None,
        ended: None,
        why: None,
    };
    let received = noted(who, "received", (id, &row)).with(Field::Last, Detail::Time(row.due_ms));
    audit.enter(vec![received]).await?;
    let told = enter(&mut state, id, row).await?;
    state.people.insert(id, person);
    state.keys_to_end.remove(&id);
    Ok(told)
}

/// Has the register hold a request's row; what is told of it.
async fn enter(state: &mut State, id: u32, row: RequestRow) -> Answer {
    let told = shown(id, &row);
    let row = Arc::new(row);
    state
        .register
        .change(|register| register.requests.insert(id, row))
        .await?;
    Ok(told)
}

/// The row of a request that has not ended.
fn open_row(register: &Register, id: u32) -> Result<RequestRow, String> {
    let row = register.requests.get(&id).ok_or(NONE)?;
    match row.ended {
        None => Ok(RequestRow::clone(row)),
        Some(_) => Err(format!("request {id} has ended: {}", row.state())),
    }
}

async fn verify<D: Disk>(
    hub: &Hub<D>,
    subjects: &Subjects,
    (audit, who): (&AuditHandle, &Actor),
    id: u32,
    proof: &str,
) -> Answer {
    let mut state = subjects.state().await;
    let mut row = open_row(&state.register, id)?;
    if row.verified_ms.is_some() {
        return Err(format!("request {id} is verified already"));
    }
    let text = Zeroizing::new(proof.as_bytes().to_vec());
    let order = Order::Vault(VaultOrder::SealMore(Owner::Subject(id), text.clone()));
    let Report::Vault(VaultReport::Sealed(sealed)) = hub.ask_history(order).await? else {
        return Err(FOREIGN.to_owned());
    };
    audit.enter(vec![noted(who, "verified", (id, &row))]).await?;
    row.verified_ms = Some(hub.believed_ms());
    row.proof = sealed;
    let told = enter(&mut state, id, row).await?;
    state.proofs.insert(id, text);
    Ok(told)
}

/// Why a request cannot be extended at a time; nothing where it can (DSR-1).
fn may_be_extended(row: &RequestRow, now_ms: u64) -> Result<(), &'static str> {
    if !row.waits() {
        return Err("it is answered: nothing of it is due");
    }
    if row.extended.is_some() {
        return Err("it is extended already, and once is all");
    }
    if row.most_ms <= row.due_ms {
        return Err("what holds for its place lets nobody extend it");
    }
    if now_ms >= row.due_ms {
        return Err("it is too late: the reason is sent before its first date");
    }
    Ok(())
}

async fn extend<D: Disk>(
    hub: &Hub<D>,
    subjects: &Subjects,
    (audit, who): (&AuditHandle, &Actor),
    id: u32,
    reason: &str,
) -> Answer {
    let mut state = subjects.state().await;
    let mut row = open_row(&state.register, id)?;
    let now_ms = hub.believed_ms();
    may_be_extended(&row, now_ms)?;
    let extended = noted(who, "extended", (id, &row))
        .with(Field::Reason, typed(reason))
        .with(Field::Last, Detail::Time(row.most_ms));
    audit.enter(vec![extended]).await?;
    row.extended = Some((now_ms, kept(reason)));
    row.due_ms = row.most_ms;
    enter(&mut state, id, row).await
}

async fn run<D: Disk + 'static>(
    hub: &Rc<Hub<D>>,
    subjects: &Subjects,
    (audit, who): (&AuditHandle, &Actor),
    id: u32,
    (format, note): (Option<Format>, Option<&str>),
) -> Answer {
    let busy = subjects.begin(id).ok_or_else(|| is_busy(id))?;
    {
        let mut state = subjects.state().await;
        let mut row = open_row(&state.register, id)?;
        if row.verified_ms.is_none() {
            return Err(format!(
                "request {id} is not verified: nothing is returned or destroyed before identity or authority is"
            ));
        }
        if row.run_ms.is_some() {
            return Err(format!("request {id} is being carried out already"));
        }
        if row.right == Right::Correct && row.asker != Asker::Recipient && note.is_none() {
            return Err("what is wrong is said: \"note\" is missing".to_owned());
        }
        audit.enter(vec![noted(who, "run", (id, &row))]).await?;
        row.run_ms = Some(hub.believed_ms());
        row.format = Some(format.unwrap_or(Format::Jsonl).word().to_owned());
        row.note = note.map(kept);
        row.why = None;
        // From here on it is carried out, over a crash, too.
        enter(&mut state, id, row).await?;
    }
    // Others have the register meanwhile: history may be looked through.
    let done = carry_out(hub, subjects, (audit, who), id).await;
    drop(busy);
    let mut told = told(subjects, id).await?;
    if let Err(why) = done {
        tracing::warn!(
            request = id,
            why,
            "a person's request is not carried out yet, and is tried again"
        );
        told.insert("waits_for".to_owned(), json!(why));
    }
    Ok(told)
}

fn is_busy(id: u32) -> String {
    format!("request {id} is being carried out just now")
}

async fn told(subjects: &Subjects, id: u32) -> Answer {
    let state = subjects.state().await;
    let row = state.register.requests.get(&id).ok_or(NONE)?;
    Ok(shown(id, row))
}

/// One that waits for something in the way, or whose answer was deleted, may be given up; not one that is done or as good as that.
async fn refuse<D: Disk>(
    hub: &Hub<D>,
    subjects: &Subjects,
    by: (&AuditHandle, &Actor),
    id: u32,
    reason: &str,
) -> Answer {
    let _busy = subjects.begin(id).ok_or_else(|| is_busy(id))?;
    let (row, person) = {
        let state = subjects.state().await;
        let row = open_row(&state.register, id)?;
        (row, state.people.get(&id).cloned().unwrap_or_default())
    };
    may_be_refused(hub, (id, &row), &person).await?;
    let end = (id, How::Refused, hub.believed_ms());
    end_subject(hub, subjects, by, end, Some(reason)).await?;
    told(subjects, id).await
}

async fn show(
    subjects: &Subjects,
    (audit, who): (&AuditHandle, &Actor),
    id: u32,
    purpose: Option<&Reading>,
) -> Answer {
    let state = subjects.state().await;
    let row = state.register.requests.get(&id).ok_or(NONE)?;
    let Some(purpose) = purpose else {
        return Ok(shown(id, row));
    };
    let why = (purpose.word(), purpose.reason.as_str());
    audit.enter(vec![reading(who, ("subject show", id), why)]).await?;
    let mut told = all(id, row);
    let text = |octets: &Zeroizing<Vec<u8>>| String::from_utf8_lossy(octets).into_owned();
    // Without a purpose it would tell whether any account has something of the person.
    told.insert("accounts_told".to_owned(), json!(row.told));
    told.insert("number".to_owned(), json!(state.people.get(&id).map(text)));
    told.insert("proof".to_owned(), json!(state.proofs.get(&id).map(text)));
    Ok(told)
}

/// What is told of a request without a purpose: before it is verified, that it has come and when it is due (DSR-2).
fn shown(id: u32, row: &RequestRow) -> Map<String, Value> {
    match row.state() {
        "received" => fields(json!({ "id": id, "state": "received", "due": instant(row.due_ms) })),
        _ => all(id, row),
    }
}

fn all(id: u32, row: &RequestRow) -> Map<String, Value> {
    let kept = row.kept.iter().map(|kept| {
        json!({
            "class": kept.class,
            "records": kept.records,
            "until": kept.until_ms.map(instant),
            "by": kept.by,
        })
    });
    fields(json!({
        "id": id,
        "state": row.state(),
        "right": row.right.word(),
        "from": row.asker.word(),
        "account": row.account,
        "place": row.place,
        "minor": row.is_minor,
        "who": row.who,
        "received": instant(row.received_ms),
        "due": instant(row.due_ms),
        "clock": row.clock,
        "extended": row.extended.as_ref().map(|(at_ms, _)| instant(*at_ms)),
        "extended_because": row.extended.as_ref().map(|(_, why)| why),
        "verified": row.verified_ms.map(instant),
        "asked": row.run_ms.map(instant),
        "answered": row.answered_ms.map(instant),
        "executed": row.ended.map(|(at_ms, _)| instant(at_ms)),
        "order": row.order,
        "export": row.export.map(|export| export.to_string()),
        "ready": row.ready.map(|ready| instant(ready.at_ms)),
        "unreadable": row.ready.map(|ready| ready.unreadable),
        "restriction": row.restriction,
        "kept": kept.collect::<Vec<_>>(),
        "note": row.note,
        "why": row.why,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dsr_c04_a_request_is_extended_once_and_before_its_first_date() {
        let row = RequestRow {
            due_ms: 30,
            most_ms: 90,
            answered_ms: None,
            extended: None,
            ..crate::subjects::some_row()
        };
        assert_eq!(may_be_extended(&row, 29), Ok(()));
        assert!(may_be_extended(&row, 30).is_err(), "too late");
        let extended = RequestRow {
            extended: Some((7, "many".to_owned())),
            due_ms: 90,
            ..row.clone()
        };
        assert!(may_be_extended(&extended, 29).is_err(), "once");
        let brazil = RequestRow {
            most_ms: 30,
            ..row.clone()
        };
        assert!(may_be_extended(&brazil, 29).is_err(), "nobody may");
        let answered = RequestRow {
            answered_ms: Some(8),
            ..row
        };
        assert!(may_be_extended(&answered, 29).is_err());
    }

    #[test]
    fn a_list_has_all_that_are_open_by_their_dates_and_then_the_last_that_have_ended() {
        let ended = Arc::new(RequestRow {
            ended: Some((7, How::Done)),
            ..crate::subjects::some_row()
        });
        let open = |due_ms, answered_ms| {
            Arc::new(RequestRow {
                due_ms,
                answered_ms,
                ended: None,
                ..crate::subjects::some_row()
            })
        };
        let mut register = Register::default();
        register
            .requests
            .extend([(1, open(9, None)), (2, open(5, None)), (3, open(1, Some(1)))]);
        register
            .requests
            .extend((10..2_000).map(|id| (id, Arc::clone(&ended))));
        let (rows, count) = listed(&register);
        let ids: Vec<u32> = rows.iter().map(|(id, _)| *id).collect();
        assert_eq!((count, &ids[..5]), (3, &[2, 1, 3, 1_999, 1_998][..]));
        assert_eq!(ids.len(), 3 + ENDED_MAX);
    }
}
