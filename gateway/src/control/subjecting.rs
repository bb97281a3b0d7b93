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
use tidegate_store::audit::{Actor, Entry, Field, Kind, Value as Detail, Word};
use tidegate_store::disk::Disk;
use tidegate_store::history::{Order, Report, VaultOrder, VaultReport};
use tidegate_store::keyring::Owner;
use zeroize::Zeroizing;

use super::finished::Reading;
use super::legal::{entry, kept, named, rules_now, said, sealed};
use super::steer::Keys;
use super::steering::fields;
use super::subject_run::{carry_out, end_subject};
use super::{Answer, VERSION, instant};
use crate::audit::{AuditHandle, actor};
use crate::exports::Format;
use crate::serve::Hub;
use crate::subjects::{Asker, How, OPEN_MAX, RequestRow, Right, Subjects, clock_of};

/// Rows of a list.
const LIST_MAX: usize = 10_000;

/// A request that has come.
#[derive(Clone, PartialEq, Eq)]
pub struct OpenAsk {
    /// What is asked for.
    pub right: Right,
    /// The person's number.
    pub to: String,
    /// About this account's data.
    pub account: Option<String>,
    /// Who asks.
    pub asker: Asker,
    /// Where the person is, as `DE` or `US-CA`.
    pub place: Option<String>,
    /// Somebody below the age (DSR-6).
    pub is_minor: bool,
    /// When it came, in unix milliseconds; now where nothing is said.
    pub received_ms: Option<u64>,
}

impl std::fmt::Debug for OpenAsk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OpenAsk(***)")
    }
}

/// What is wanted of requests.
#[derive(Clone, PartialEq, Eq)]
pub enum Subjecting {
    /// Takes one in.
    Open(Box<OpenAsk>),
    /// Identity or authority was verified.
    Verify {
        /// Of this request.
        id: u32,
        /// How.
        proof: String,
    },
    /// It takes longer, and the person was told why.
    Extend {
        /// Of this request.
        id: u32,
        /// Why.
        reason: String,
    },
    /// Carries it out.
    Run {
        /// This request.
        id: u32,
        /// How rows are written, of what is handed over; JSON Lines where nothing is said.
        format: Option<Format>,
        /// Of what is wrong: what it is, and what was done about it.
        note: Option<String>,
    },
    /// Refuses it.
    Refuse {
        /// This request.
        id: u32,
        /// Why.
        reason: String,
    },
    /// All of them, without anybody's number.
    List,
    /// One of them.
    Show {
        /// This request.
        id: u32,
        /// Why the number is read; without it that is not told.
        reading: Option<Reading>,
    },
}

impl std::fmt::Debug for Subjecting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}

impl Subjecting {
    /// As on the command line.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Open(_) => "subject open",
            Self::Verify { .. } => "subject verify",
            Self::Extend { .. } => "subject extend",
            Self::Run { .. } => "subject run",
            Self::Refuse { .. } => "subject refuse",
            Self::List => "subject list",
            Self::Show { .. } => "subject show",
        }
    }

    /// Whether it changes nothing.
    pub(super) const fn is_reading(&self) -> bool {
        matches!(self, Self::List | Self::Show { .. })
    }

    /// As a request's line.
    pub(super) fn request(&self) -> Value {
        let mut request = match self {
            Self::Open(ask) => json!({
                "right": ask.right.word(),
                "to": ask.to,
                "account": ask.account,
                "from": ask.asker.word(),
                "place": ask.place,
                "minor": ask.is_minor,
                "received_ms": ask.received_ms,
            }),
            Self::Verify { id, proof } => json!({ "id": id, "proof": proof }),
            Self::Extend { id, reason } | Self::Refuse { id, reason } => {
                json!({ "id": id, "reason": reason })
            }
            Self::Run { id, format, note } => {
                json!({ "id": id, "format": format.map(Format::word), "note": note })
            }
            Self::List => json!({}),
            Self::Show { id, reading } => json!({
                "id": id,
                "purpose": reading.as_ref().map(Reading::word),
                "reason": reading.as_ref().map(|reading| reading.reason.as_str()),
            }),
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
            number.ok_or_else(|| "\"id\" is the number of a request".to_owned())
        };
        let with_id = |read: &dyn Fn(u32) -> Result<Self, String>| id().and_then(read);
        Some(match verb {
            "subject open" => open_ask(&keys).map(|ask| Self::Open(Box::new(ask))),
            "subject verify" => with_id(&|id| {
                let proof = said(&keys, "proof")?;
                Ok(Self::Verify { id, proof })
            }),
            "subject extend" => with_id(&|id| {
                let reason = said(&keys, "reason")?;
                Ok(Self::Extend { id, reason })
            }),
            "subject refuse" => with_id(&|id| {
                let reason = said(&keys, "reason")?;
                Ok(Self::Refuse { id, reason })
            }),
            "subject run" => with_id(&|id| {
                let note = match keys.text("note")? {
                    None => None,
                    Some(_) => Some(said(&keys, "note")?),
                };
                let format = match keys.text("format")? {
                    None => None,
                    Some(word) => Some(format_of(&word).ok_or("\"format\" is csv or jsonl")?),
                };
                Ok(Self::Run { id, format, note })
            }),
            "subject list" => Ok(Self::List),
            "subject show" => with_id(&|id| {
                let reading = Reading::read(keys.text("purpose")?, keys.text("reason")?)?;
                Ok(Self::Show { id, reading })
            }),
            _ => return None,
        })
    }
}

pub(super) fn format_of(word: &str) -> Option<Format> {
    Format::ALL.into_iter().find(|format| format.word() == word)
}

fn open_ask(keys: &Keys<'_>) -> Result<OpenAsk, String> {
    let (right, asker) = (keys.needed("right")?, keys.needed("from")?);
    let ask = OpenAsk {
        right: Right::ALL
            .into_iter()
            .find(|known| known.word() == right)
            .ok_or("\"right\" is access, correct, erase, port or object")?,
        to: said(keys, "to")?,
        account: keys.text("account")?,
        asker: Asker::ALL
            .into_iter()
            .find(|known| known.word() == asker)
            .ok_or("\"from\" is recipient, account or holder")?,
        place: keys.text("place")?,
        is_minor: keys.flag("minor")?,
        received_ms: keys.number("received_ms")?,
    };
    if ask.asker != Asker::Recipient && ask.account.is_none() {
        return Err("who asks for an account, or holds one, names it: \"account\" is missing".to_owned());
    }
    if ask.is_minor && ask.right != Right::Erase {
        return Err("\"minor\" is a reason to erase".to_owned());
    }
    Ok(ask)
}

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
            let rows = state.register.requests.iter().rev().take(LIST_MAX);
            let shown: Vec<Value> = rows.map(|(id, row)| Value::Object(shown(*id, row))).collect();
            let open = state.register.open().count();
            Ok(fields(json!({ "open": open, "requests": shown })))
        }
        Subjecting::Show { id, reading } => show(&subjects, by, *id, reading.as_ref()).await,
    }
}

/// An entry of the log about a request.
pub(super) fn noted(who: &Actor, outcome: &str, (id, row): (u32, &RequestRow)) -> Entry {
    let account: Option<SystemId> = row.account.as_deref().and_then(|name| name.parse().ok());
    entry(Kind::Request, who, outcome, id)
        .of(account)
        .with(Field::Scope, Detail::Word(Word::of_name(row.right.word())))
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
    let now_ms = rules_now(hub);
    let received_ms = ask.received_ms.unwrap_or(now_ms);
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
    let mut register = state.register.clone();
    register.last += 1;
    let id = register.last;
    subjects.write(&mut state, register).await?;
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
        told: 0,
        kept: Vec::new(),
        answered_ms: None,
        ended: None,
        why: None,
    };
    let received = noted(who, "received", (id, &row)).with(Field::Last, Detail::Time(row.due_ms));
    audit.enter(vec![received]).await?;
    let mut register = state.register.clone();
    let told = shown(id, &row);
    register.requests.insert(id, row);
    subjects.write(&mut state, register).await?;
    state.people.insert(id, person);
    state.keys_to_end.remove(&id);
    Ok(told)
}

/// The row of a request that has not ended.
fn open_row(register: &crate::subjects::Register, id: u32) -> Result<RequestRow, String> {
    let row = register.requests.get(&id).ok_or(NONE)?;
    match row.ended {
        None => Ok(row.clone()),
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
        return Err("history answers something else".to_owned());
    };
    audit.enter(vec![noted(who, "verified", (id, &row))]).await?;
    row.verified_ms = Some(rules_now(hub));
    row.proof = sealed;
    let mut register = state.register.clone();
    let told = shown(id, &row);
    register.requests.insert(id, row);
    subjects.write(&mut state, register).await?;
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
    let now_ms = rules_now(hub);
    may_be_extended(&row, now_ms)?;
    let extended = noted(who, "extended", (id, &row))
        .with(Field::Reason, Detail::Word(Word::new(reason)))
        .with(Field::Last, Detail::Time(row.most_ms));
    audit.enter(vec![extended]).await?;
    row.extended = Some((now_ms, kept(reason)));
    row.due_ms = row.most_ms;
    let mut register = state.register.clone();
    let told = shown(id, &row);
    register.requests.insert(id, row);
    subjects.write(&mut state, register).await?;
    Ok(told)
}

async fn run<D: Disk + 'static>(
    hub: &Rc<Hub<D>>,
    subjects: &Subjects,
    (audit, who): (&AuditHandle, &Actor),
    id: u32,
    (format, note): (Option<Format>, Option<&str>),
) -> Answer {
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
    row.run_ms = Some(rules_now(hub));
    row.format = Some(format.unwrap_or(Format::Jsonl).word().to_owned());
    row.note = note.map(kept);
    // From here on it is carried out, over a crash, too.
    let mut register = state.register.clone();
    register.requests.insert(id, row);
    subjects.write(&mut state, register).await?;
    let done = carry_out(hub, subjects, (audit, who), &mut state, id).await;
    let mut told = state
        .register
        .requests
        .get(&id)
        .map(|row| shown(id, row))
        .ok_or(NONE)?;
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

async fn refuse<D: Disk>(
    hub: &Hub<D>,
    subjects: &Subjects,
    (audit, who): (&AuditHandle, &Actor),
    id: u32,
    reason: &str,
) -> Answer {
    let mut state = subjects.state().await;
    let row = open_row(&state.register, id)?;
    // One that only waits for something in the way may be given up.
    if row.order.is_some() || row.export.is_some() {
        return Err(format!("request {id} is being carried out already"));
    }
    let now_ms = rules_now(hub);
    end_subject(
        hub,
        subjects,
        (audit, who),
        &mut state,
        (id, How::Refused, now_ms),
        Some(reason),
    )
    .await?;
    state
        .register
        .requests
        .get(&id)
        .map(|row| shown(id, row))
        .ok_or_else(|| NONE.to_owned())
}

async fn show(
    subjects: &Subjects,
    (audit, who): (&AuditHandle, &Actor),
    id: u32,
    reading: Option<&Reading>,
) -> Answer {
    let state = subjects.state().await;
    let row = state.register.requests.get(&id).ok_or(NONE)?;
    let Some(reading) = reading else {
        return Ok(shown(id, row));
    };
    let read = Entry::new(Kind::Read, who.clone())
        .with(Field::Verb, Detail::Word(Word::of_name("subject show")))
        .with(Field::Sequence, Detail::Count(id.into()))
        .with(Field::Purpose, Detail::Word(Word::of_name(reading.word())))
        .with(Field::Reason, Detail::Word(Word::new(&reading.reason)));
    audit.enter(vec![read]).await?;
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
        "kept": kept.collect::<Vec<_>>(),
        "note": row.note,
        "why": row.why,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask() -> OpenAsk {
        OpenAsk {
            right: Right::Erase,
            to: "+15550100123".to_owned(),
            account: Some("shop".to_owned()),
            asker: Asker::Account,
            place: Some("US-CA".to_owned()),
            is_minor: true,
            received_ms: Some(7),
        }
    }

    #[test]
    fn what_is_asked_is_what_is_understood_and_no_number_is_in_a_log() {
        let (id, reason) = (3, "a ticket".to_owned());
        let reading = Reading::read(Some("support".to_owned()), Some("call".to_owned())).unwrap();
        for wanted in [
            Subjecting::Open(Box::new(ask())),
            Subjecting::Verify {
                id,
                proof: "a code to +15550100123".to_owned(),
            },
            Subjecting::Extend {
                id,
                reason: reason.clone(),
            },
            Subjecting::Refuse { id, reason },
            Subjecting::Run {
                id,
                format: Some(Format::Csv),
                note: Some("wrong".to_owned()),
            },
            Subjecting::List,
            Subjecting::Show { id, reading },
        ] {
            let request = fields(wanted.request());
            assert_eq!(
                Subjecting::read(wanted.word(), &request),
                Some(Ok(wanted.clone()))
            );
            assert!(!format!("{wanted:?}").contains("555"));
        }
        for (key, value) in [
            ("right", json!("restrict")),
            ("from", json!("a friend")),
            ("account", Value::Null),
            ("to", json!("")),
        ] {
            let mut request = fields(Subjecting::Open(Box::new(ask())).request());
            request.insert(key.to_owned(), value);
            assert!(
                Subjecting::read("subject open", &request).is_some_and(|read| read.is_err()),
                "{key}"
            );
        }
        for (verb, key) in [
            ("subject extend", "reason"),
            ("subject refuse", "reason"),
            ("subject verify", "proof"),
        ] {
            let request = fields(json!({ "id": 3, key: " " }));
            assert!(
                Subjecting::read(verb, &request).is_some_and(|read| read.is_err()),
                "{verb}"
            );
        }
    }

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
}
