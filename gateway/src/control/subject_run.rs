//! Carrying out a person's request: what was begun is gone on with after a crash, and each step stands in the audit log before it
//! holds.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tidegate_codec::identity::SystemId;
use tidegate_store::audit::{Actor, Entry, Field, Kind, Value as Detail};
use tidegate_store::disk::Disk;
use tidegate_store::history::{Order, Report, VaultOrder, VaultReport};
use tidegate_store::keyring::Owner;
use tidegate_store::standing::{Change, Origin, Private, Scope, Standing, Via, What as Says, nobody};
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use super::deed::{Deed, DeedKind, Row};
use super::erasing::order_erasure;
use super::legal::{FOREIGN, NO_REGISTER, entry, kept, key_word};
use super::people::{act, hex};
use super::restricting;
use super::subject_look::{what_stays, who_has};
use super::subjecting::{NONE, noted};
use crate::audit::{AuditHandle, typed};
use crate::exports::{self, Format, KEPT_FOR, Made, Person, Wanted, What};
use crate::legal::State as Matters;
use crate::notices::{About, New};
use crate::random::fork;
use crate::serve::Hub;
use crate::subjects::{Asker, How, RequestRow, Right, Subjects};

/// What a step needs to know of a request: its row as it is, and whom it is about. The register is not held while it is taken.
async fn of(subjects: &Subjects, id: u32) -> Result<(Arc<RequestRow>, Zeroizing<Vec<u8>>), String> {
    let state = subjects.state().await;
    let row = state.register.requests.get(&id).ok_or(NONE)?;
    let person = state
        .people
        .get(&id)
        .filter(|_| row.ended.is_none())
        .ok_or("whom it is about is not known")?;
    Ok((Arc::clone(row), person.clone()))
}

/// Goes on with a request that is to be carried out, as far as that goes now. Who calls it has [begun](Subjects::begin) with it.
///
/// # Errors
///
/// In words for an operator; it is tried again.
pub(crate) async fn carry_out<D: Disk + 'static>(
    hub: &Rc<Hub<D>>,
    subjects: &Subjects,
    by: (&AuditHandle, &Actor),
    id: u32,
) -> Result<(), String> {
    let (row, person) = of(subjects, id).await?;
    let now_ms = hub.believed_ms();
    match (row.asker, row.right) {
        // What is the recipient's own word needs no account (§6); nor does a child's (DSR-6).
        (_, Right::Object) => {
            object(hub, &row, &person).await?;
            end_subject(hub, subjects, by, (id, How::Done, now_ms), None).await
        }
        (Asker::Recipient, Right::Erase) if row.is_minor => erase(hub, subjects, by, (id, person)).await,
        (Asker::Recipient, _) => point(hub, subjects, by, (id, person)).await,
        (_, Right::Erase) => erase(hub, subjects, by, (id, person)).await,
        (_, Right::Restrict) => restrict(hub, subjects, by, (id, person)).await,
        (_, Right::Access | Right::Port) => hand_over(hub, subjects, by.0, (id, person)).await,
        // What was sent is evidence: the note stands beside it.
        (_, Right::Correct) => end_subject(hub, subjects, by, (id, How::Done, now_ms), None).await,
    }
}

/// Changes the row of a request that has not ended.
pub(crate) async fn change(
    subjects: &Subjects,
    id: u32,
    change: impl FnOnce(&mut RequestRow),
) -> Result<(), String> {
    let mut state = subjects.state().await;
    let row = state.register.requests.get(&id);
    row.filter(|row| row.ended.is_none()).ok_or(NONE)?;
    state.change_row(id, change).await
}

/// Ends a request: of the person nothing is kept any more (DSR-2).
///
/// # Errors
///
/// In words for an operator. Once it has ended, its key goes with a later try.
pub(crate) async fn end_subject<D: Disk>(
    hub: &Hub<D>,
    subjects: &Subjects,
    (audit, who): (&AuditHandle, &Actor),
    (id, how, at_ms): (u32, How, u64),
    why: Option<&str>,
) -> Result<(), String> {
    {
        let mut state = subjects.state().await;
        let row = state.register.requests.get(&id);
        let row = row.filter(|row| row.ended.is_none()).ok_or(NONE)?;
        let mut ended = noted(who, how.word(), (id, row)).with(Field::First, Detail::Time(row.received_ms));
        if let Some(why) = why {
            ended = ended.with(Field::Reason, typed(why));
        }
        audit.enter(vec![ended]).await?;
        let end = |row: &mut RequestRow| {
            row.ended = Some((at_ms, how));
            row.answered_ms = row.answered_ms.or(Some(at_ms));
            row.why = why.map(kept);
            row.number.clear();
            row.proof.clear();
        };
        state.change_row(id, end).await?;
        state.people.remove(&id);
        state.proofs.remove(&id);
        state.keys_to_end.insert(id);
    }
    forget_subject_keys(hub, subjects, audit).await
}

/// Destroys the keys of requests that are over, or never came to be, and enters that.
///
/// # Errors
///
/// In words for an operator; it is tried again.
pub(crate) async fn forget_subject_keys<D: Disk>(
    hub: &Hub<D>,
    subjects: &Subjects,
    audit: &AuditHandle,
) -> Result<(), String> {
    let mut state = subjects.state().await;
    if !state.keys_to_end.is_empty() {
        state.register.make_certain().await?;
    }
    while let Some(id) = state.keys_to_end.first().copied() {
        let order = Order::Vault(VaultOrder::End(Owner::Subject(id)));
        let Report::Vault(VaultReport::Kept(destroyed)) = hub.ask_history(order).await? else {
            return Err(FOREIGN.to_owned());
        };
        let erased =
            |key| entry(Kind::Request, &Actor::System, "erased", id).with(Field::RingKey, key_word(key));
        let entries: Vec<Entry> = destroyed.iter().map(erased).collect();
        if !entries.is_empty() {
            audit.enter(entries).await?;
        }
        state.keys_to_end.remove(&id);
    }
    Ok(())
}

/// Whose records an erasure is about: that of a child is nobody's to decide, and spans accounts (DSR-6).
pub(crate) fn spans(row: &RequestRow) -> Result<Option<SystemId>, String> {
    match &row.account {
        Some(name) if !row.is_minor => match name.parse() {
            Ok(account) => Ok(Some(account)),
            Err(_) => Err(format!("there is no account {name:?}")),
        },
        _ => Ok(None),
    }
}

/// An order that says the same as a request, and was given when that was to be carried out already: it covers all that was there
/// then. One that was given before says nothing of what came since.
fn order_of(matters: &Matters, row: &RequestRow, person: &[u8]) -> Result<Option<u32>, String> {
    let (account, Some(run_ms)) = (spans(row)?, row.run_ms) else {
        return Ok(None);
    };
    let mut orders = matters.register.orders.iter();
    let found = orders.find(|(order, there)| {
        there.account == account
            && there.asked_ms >= run_ms
            && matters.people.get(order).is_some_and(|whom| **whom == *person)
    });
    Ok(found.map(|(order, _)| *order))
}

/// Orders the erasure, or joins an order that covers all that was there when the request was to be carried out; then says what
/// stays and how long. It ends when the order is executed.
async fn erase<D: Disk + 'static>(
    hub: &Rc<Hub<D>>,
    subjects: &Subjects,
    by: (&AuditHandle, &Actor),
    (id, person): (u32, Zeroizing<Vec<u8>>),
) -> Result<(), String> {
    let (row, _) = of(subjects, id).await?;
    let account = spans(&row)?;
    if row.order.is_none() {
        let order = {
            let mut matters = hub.legal().ok_or(NO_REGISTER)?.state().await;
            match order_of(&matters, &row, &person)? {
                Some(joined) => joined,
                None => {
                    let minor = if row.is_minor { ", a minor's" } else { "" };
                    let reason = format!("request {id}{minor}");
                    let named = (account, person.clone());
                    order_erasure(hub, &mut matters, by, named, &reason).await?.0
                }
            }
        };
        // Before anything is looked for: from here on nobody refuses it.
        change(subjects, id, |row| row.order = Some(order)).await?;
    }
    let kept = what_stays(hub, account, &person).await?;
    let answered_ms = hub.believed_ms();
    change(subjects, id, |row| {
        row.kept = kept;
        row.answered_ms = Some(answered_ms);
    })
    .await
}

/// Why a request cannot be refused any more: what it asked for is done, or is there to be fetched.
///
/// # Errors
///
/// The same, in words for an operator.
pub(crate) async fn may_be_refused<D: Disk>(
    hub: &Hub<D>,
    (id, row): (u32, &RequestRow),
    person: &[u8],
) -> Result<(), String> {
    if row.right == Right::Erase
        && let Some(legal) = hub.legal()
    {
        let matters = legal.state().await;
        let own = row
            .order
            .filter(|order| standing(&matters, row, *order, person).is_some());
        if let Some(order) = own.or(order_of(&matters, row, person)?) {
            return Err(format!(
                "request {id} is being carried out already: order {order} to erase is given"
            ));
        }
    }
    match answers(hub, id).first() {
        Some(export) => Err(format!(
            "request {id} is being carried out already: export {export} is its answer, `export delete` it first"
        )),
        None => Ok(()),
    }
}

/// Exports that are made for a request, or can be fetched.
fn answers<D: Disk>(hub: &Hub<D>, id: u32) -> Vec<u64> {
    let Some(exports) = hub.exports() else {
        return Vec::new();
    };
    let all = exports.list().into_iter().map(|export| export.head);
    let of_it = all
        .filter(|head| head.request == Some(id))
        .map(|head| head.number);
    of_it
        .filter(|number| exports.made(*number).is_some_and(|made| made != Made::Over))
        .collect()
}

/// How an order to erase stands that a request has given or joined: when it was executed, if it was; `None` where there is none
/// of that number which says the same.
pub(crate) fn standing(
    matters: &Matters,
    row: &RequestRow,
    order: u32,
    person: &[u8],
) -> Option<Option<u64>> {
    let there = matters.register.orders.get(&order)?;
    // Whom it is about is not known any more once nothing of before can end.
    let is_same = matters.people.get(&order).is_none_or(|whom| **whom == *person);
    (is_same && spans(row).is_ok_and(|account| account == there.account)).then_some(there.executed_ms)
}

/// Has a request whose export an operator deletes wait for somebody to run it again, or to refuse it.
///
/// # Errors
///
/// In words for an operator: the register cannot be written.
pub(crate) async fn withdraw<D: Disk>(
    hub: &Hub<D>,
    audit: &AuditHandle,
    (id, export): (u32, u64),
) -> Result<(), String> {
    let Some(subjects) = hub.subjects() else {
        return Ok(());
    };
    let is_its = |row: &RequestRow| row.ended.is_none() && row.export == Some(export);
    let is_open = {
        let state = subjects.state().await;
        state.register.requests.get(&id).is_some_and(|row| is_its(row))
    };
    match hub.exports().and_then(|exports| exports.made(export)) {
        _ if !is_open => Ok(()),
        Some(Made::Fetched) => {
            let end = (id, How::Done, hub.believed_ms());
            end_subject(hub, subjects, (audit, &Actor::System), end, None).await
        }
        _ => change(subjects, id, |row| ask_again(row, "its export was deleted")).await,
    }
}

/// Has a request be one that is verified and not run.
pub(crate) fn ask_again(row: &mut RequestRow, why: &str) {
    (row.run_ms, row.export, row.ready) = (None, None, None);
    row.why = Some(format!("{why}: run it again, or refuse it"));
}

/// Restricts the person for the account, or finds that it is done.
async fn restrict<D: Disk>(
    hub: &Hub<D>,
    subjects: &Subjects,
    by: (&AuditHandle, &Actor),
    (id, person): (u32, Zeroizing<Vec<u8>>),
) -> Result<(), String> {
    let (row, _) = of(subjects, id).await?;
    let legal = hub.legal().ok_or(NO_REGISTER)?;
    let to = Zeroizing::new(format!("+{}", String::from_utf8_lossy(&person)));
    let whom = (to.as_str(), row.account.as_deref());
    let reason = format!("request {id}");
    let told = restricting::add(hub, legal, by, whom, &reason).await?;
    let number = told.get("id").and_then(serde_json::Value::as_u64);
    let number = number.and_then(|number| u32::try_from(number).ok());
    change(subjects, id, |row| row.restriction = number).await?;
    end_subject(hub, subjects, by, (id, How::Done, hub.believed_ms()), None).await
}

/// Points who asked to the accounts: they decide about their recipients, and are told (DSR-3). Nothing is said of whether any has
/// something of the person; those that have are told, or the one that was named.
async fn point<D: Disk + 'static>(
    hub: &Rc<Hub<D>>,
    subjects: &Subjects,
    by: (&AuditHandle, &Actor),
    (id, person): (u32, Zeroizing<Vec<u8>>),
) -> Result<(), String> {
    let (row, _) = of(subjects, id).await?;
    let notices = hub.notices().ok_or("this gateway keeps no notices")?;
    let to_tell: BTreeSet<SystemId> = match &row.account {
        Some(name) => BTreeSet::from([super::finished::known(hub, name)?]),
        None => who_has(hub, &person).await?,
    };
    let now_ms = hub.believed_ms();
    for account in &to_tell {
        // Before it is told, and again where a crash came between.
        let told = noted(by.1, "account told", (id, &row)).of(Some(*account));
        by.0.enter(vec![told]).await?;
        let new = New {
            account: account.to_string(),
            about: About::Request,
            reference: hub.look(|gate, _| reference(gate.spool().standing(), id, *account)),
            text: format!(
                "a recipient has asked the platform ({}) and was pointed to the accounts that decide: who turns to you is yours to answer",
                row.right.word(),
            ),
            due_ms: now_ms,
        };
        notices.add(new, now_ms).await?;
    }
    let told = u32::try_from(to_tell.len()).unwrap_or(u32::MAX);
    change(subjects, id, |row| row.told = told).await?;
    end_subject(hub, subjects, by, (id, How::Pointed, now_ms), None).await
}

/// What a notice to an account refers to. Without the request's number: who reads notices would learn by it which accounts have
/// something of the person of a request.
fn reference(standing: &Standing, id: u32, account: SystemId) -> String {
    let who = standing.who(format!("request {id} {account}").as_bytes());
    format!("asked {}", &hex(who.octets())[..16])
}

/// Begins an export of what is kept of the person.
async fn hand_over<D: Disk + 'static>(
    hub: &Rc<Hub<D>>,
    subjects: &Subjects,
    audit: &AuditHandle,
    (id, person): (u32, Zeroizing<Vec<u8>>),
) -> Result<(), String> {
    let (row, _) = of(subjects, id).await?;
    let name = row
        .account
        .as_deref()
        .ok_or("a request names the account that gets the answer")?;
    let account = super::finished::known(hub, name)?;
    // One that was begun, and not written down.
    if let Some(begun) = answers(hub, id).first() {
        let number = Some(*begun);
        return change(subjects, id, |row| (row.export, row.ready) = (number, None)).await;
    }
    let wanted = Wanted {
        disclosed: None,
        account,
        person: Some(Person {
            request: id,
            number: person,
        }),
        what: match row.right {
            Right::Port => What::Texts,
            _ => What::Person,
        },
        format: Format::ALL
            .into_iter()
            .find(|format| row.format.as_deref() == Some(format.word()))
            .unwrap_or(Format::Jsonl),
        since_ms: 0,
        until_ms: u64::MAX >> 1,
        kept_for: Duration::from_secs(KEPT_FOR.as_secs()),
    };
    let begun = exports::create(hub, audit, wanted).await?;
    let number = begun.get("export").and_then(serde_json::Value::as_str);
    let number: Option<u64> = number.and_then(|number| number.parse().ok());
    change(subjects, id, |row| (row.export, row.ready) = (number, None)).await
}

/// Has the person opted out, as by a word of the person's own: of the account, or of all.
async fn object<D: Disk>(hub: &Hub<D>, row: &RequestRow, person: &[u8]) -> Result<(), String> {
    let Some(account) = &row.account else {
        return object_to_all(hub, person).await;
    };
    let mut cells = serde_json::Map::new();
    let number = format!("+{}", String::from_utf8_lossy(person));
    cells.insert("number".to_owned(), serde_json::json!(number));
    cells.insert("scope".to_owned(), serde_json::json!("account"));
    cells.insert("source".to_owned(), serde_json::json!("an objection"));
    let deed = Deed {
        origin: Some(Origin::Recipient),
        rows: vec![Row { line: 1, cells }],
        ..Deed::new(DeedKind::OptOutAdd, account.as_str())
    };
    act(hub, &deed).await.map(drop)
}

/// The same for the whole platform: nobody's entry, so that no account learns the number.
async fn object_to_all<D: Disk>(hub: &Hub<D>, person: &[u8]) -> Result<(), String> {
    let whole = nobody().ok_or("no account")?;
    let (done, mut is_done) = mpsc::channel(2);
    let batches = hub.with_gate(|gate, now| {
        let change = Change {
            who: gate.spool().standing().who(person),
            at_ms: now.unix_ms,
            event: 0,
            via: Via::Command,
            what: Says::Suppress {
                scope: Scope::global(),
                origin: Origin::Recipient,
                categories: 0,
            },
            private: Private::default(),
        };
        let mut rng = fork(&mut gate.rng);
        gate.spool_mut()
            .remember(now.unix_ms, whole, change, true, &mut rng)
            .map_err(|_| "it cannot be stored now")?;
        Ok::<_, String>(gate.hear_of_batches(&done))
    })?;
    drop(done);
    for _ in 0..batches {
        if is_done.recv().await != Some(true) {
            return Err("it cannot be put on disk".to_owned());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::legal::OrderRow;
    use crate::subjects::some_row;

    fn matters(asked_ms: u64) -> Matters {
        let mut matters = Matters::default();
        let order = OrderRow {
            account: "shop".parse().ok(),
            sealed: vec![1],
            who: "socket 0".to_owned(),
            why: "asked for".to_owned(),
            asked_ms,
            lots: 0,
            records: 0,
            executed_ms: Some(40),
        };
        matters.register.orders.insert(7, order);
        matters.people.insert(7, Zeroizing::new(b"15550100123".to_vec()));
        matters
    }

    #[test]
    fn an_order_is_joined_only_if_it_covers_what_was_there_when_the_request_was_run() {
        let row = RequestRow {
            account: Some("shop".to_owned()),
            is_minor: false,
            received_ms: 10,
            run_ms: Some(30),
            ..some_row()
        };
        let of = |asked_ms, row: &RequestRow, person: &[u8]| order_of(&matters(asked_ms), row, person);
        let (person, other) = (b"15550100123", b"15550100124");
        // Given since the request came, and executed: what came behind it would stay.
        assert_eq!(of(29, &row, person), Ok(None));
        assert_eq!(of(30, &row, person), Ok(Some(7)));
        assert_eq!(of(30, &row, other), Ok(None));
        let minor = RequestRow {
            is_minor: true,
            ..row.clone()
        };
        assert_eq!(of(30, &minor, person), Ok(None), "that of a child spans accounts");
        let waiting = RequestRow {
            run_ms: None,
            ..row.clone()
        };
        assert_eq!(of(30, &waiting, person), Ok(None));

        let all = matters(30);
        assert_eq!(standing(&all, &row, 7, person), Some(Some(40)));
        assert_eq!(standing(&all, &row, 8, person), None, "lost");
        assert_eq!(standing(&all, &row, 7, other), None, "somebody else's by now");
        assert_eq!(standing(&all, &minor, 7, person), None);
    }
}
