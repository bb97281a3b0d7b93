//! Carrying out a person's request: what was begun is gone on with after a crash, and each step stands in the audit log before it
//! holds.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use tidegate_codec::identity::SystemId;
use tidegate_store::audit::{Actor, Field, Value as Detail, Word};
use tidegate_store::disk::Disk;
use tidegate_store::history::{Order, VaultOrder};
use tidegate_store::keyring::Owner;
use tidegate_store::standing::{Change, Origin, Private, Scope, Via, What as Says, nobody};
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use super::deed::{Deed, DeedKind, Row};
use super::legal::{kept, order_erasure, rules_now};
use super::people::act;
use super::subject_ask::format_of;
use super::subject_look::{what_stays, who_has};
use super::subjecting::{NONE, noted};
use crate::audit::AuditHandle;
use crate::exports::{self, Format, KEPT_FOR, Person, Wanted, What};
use crate::notices::{About, New};
use crate::random::fork;
use crate::serve::Hub;
use crate::subjects::{Asker, How, RequestRow, Right, State, Subjects};

/// Goes on with a request that is to be carried out, as far as that goes now.
///
/// # Errors
///
/// In words for an operator; it is tried again.
pub(crate) async fn carry_out<D: Disk + 'static>(
    hub: &Rc<Hub<D>>,
    subjects: &Subjects,
    by: (&AuditHandle, &Actor),
    state: &mut State,
    id: u32,
) -> Result<(), String> {
    let row = state.register.requests.get(&id).ok_or(NONE)?.clone();
    let person = state
        .people
        .get(&id)
        .ok_or("whom it is about is not known")?
        .clone();
    let now_ms = rules_now(hub);
    match (row.asker, row.right) {
        // What is the recipient's own word needs no account (§6); nor does a child's (DSR-6).
        (_, Right::Object) => {
            object(hub, &row, &person).await?;
            end_subject(hub, subjects, by, state, (id, How::Done, now_ms), None).await
        }
        (Asker::Recipient, Right::Erase) if row.is_minor => {
            erase(hub, subjects, by, state, (id, person)).await
        }
        (Asker::Recipient, _) => point(hub, subjects, by, state, (id, person)).await,
        (_, Right::Erase) => erase(hub, subjects, by, state, (id, person)).await,
        (_, Right::Access | Right::Port) => hand_over(hub, subjects, by.0, state, (id, person)).await,
        // What was sent is evidence: the note stands beside it.
        (_, Right::Correct) => end_subject(hub, subjects, by, state, (id, How::Done, now_ms), None).await,
    }
}

/// Changes the row of a request.
async fn change(
    subjects: &Subjects,
    state: &mut State,
    id: u32,
    change: impl FnOnce(&mut RequestRow),
) -> Result<(), String> {
    let mut register = state.register.clone();
    change(register.requests.get_mut(&id).ok_or(NONE)?);
    subjects.write(state, register).await
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
    state: &mut State,
    (id, how, at_ms): (u32, How, u64),
    why: Option<&str>,
) -> Result<(), String> {
    let row = state.register.requests.get(&id).ok_or(NONE)?;
    let mut ended = noted(who, how.word(), (id, row)).with(Field::First, Detail::Time(row.received_ms));
    if let Some(why) = why {
        ended = ended.with(Field::Reason, Detail::Word(Word::new(why)));
    }
    audit.enter(vec![ended]).await?;
    change(subjects, state, id, |row| {
        row.ended = Some((at_ms, how));
        row.answered_ms = row.answered_ms.or(Some(at_ms));
        row.why = why.map(kept);
        row.number.clear();
        row.proof.clear();
    })
    .await?;
    state.people.remove(&id);
    state.proofs.remove(&id);
    state.keys_to_end.insert(id);
    forget_subject_keys(hub, subjects, state).await
}

/// Destroys the keys of requests that are over, or never came to be.
pub(crate) async fn forget_subject_keys<D: Disk>(
    hub: &Hub<D>,
    subjects: &Subjects,
    state: &mut State,
) -> Result<(), String> {
    if !state.keys_to_end.is_empty() {
        subjects.make_certain(state).await?;
    }
    while let Some(id) = state.keys_to_end.first().copied() {
        hub.ask_history(Order::Vault(VaultOrder::End(Owner::Subject(id))))
            .await?;
        state.keys_to_end.remove(&id);
    }
    Ok(())
}

/// Orders the erasure, or joins an order that covers all that was there when the request came; then says what stays and how long.
async fn erase<D: Disk + 'static>(
    hub: &Rc<Hub<D>>,
    subjects: &Subjects,
    (audit, who): (&AuditHandle, &Actor),
    state: &mut State,
    (id, person): (u32, Zeroizing<Vec<u8>>),
) -> Result<(), String> {
    let row = state.register.requests.get(&id).ok_or(NONE)?.clone();
    let legal = hub
        .legal()
        .ok_or("this gateway has no register of holds")?
        .clone();
    // That of a child is nobody's to decide: it spans accounts.
    let account: Option<SystemId> = match &row.account {
        Some(name) if !row.is_minor => Some(
            name.parse()
                .map_err(|_| format!("there is no account {name:?}"))?,
        ),
        _ => None,
    };
    let (order, executed_ms) = {
        let mut matters = legal.state().await;
        let joined = matters.register.orders.iter().find(|(order, there)| {
            there.account == account
                && there.asked_ms >= row.received_ms
                && matters.people.get(order).is_some_and(|whom| **whom == *person)
        });
        match joined.map(|(order, there)| (*order, there.executed_ms)) {
            Some(joined) => joined,
            None => {
                let minor = if row.is_minor { ", a minor's" } else { "" };
                let reason = format!("request {id}{minor}");
                let named = (account, person.clone());
                let (order, _) =
                    order_erasure(hub, &legal, (audit, who), &mut matters, named, &reason).await?;
                (order, None)
            }
        }
    };
    let kept = what_stays(hub, account, &person).await?;
    let answered_ms = rules_now(hub);
    change(subjects, state, id, |row| {
        row.order = Some(order);
        row.kept = kept;
        row.answered_ms = Some(answered_ms);
    })
    .await?;
    match executed_ms {
        Some(at_ms) => end_subject(hub, subjects, (audit, who), state, (id, How::Done, at_ms), None).await,
        None => Ok(()),
    }
}

/// Points who asked to the accounts: they decide about their recipients, and are told (DSR-3). Nothing is said of whether any has
/// something of the person; those that have are told, or the one that was named.
async fn point<D: Disk + 'static>(
    hub: &Rc<Hub<D>>,
    subjects: &Subjects,
    by: (&AuditHandle, &Actor),
    state: &mut State,
    (id, person): (u32, Zeroizing<Vec<u8>>),
) -> Result<(), String> {
    let row = state.register.requests.get(&id).ok_or(NONE)?.clone();
    let notices = hub.notices().ok_or("this gateway keeps no notices")?;
    let to_tell: BTreeSet<SystemId> = match &row.account {
        Some(name) => BTreeSet::from([super::finished::known(hub, name)?]),
        None => who_has(hub, &person).await?,
    };
    let now_ms = rules_now(hub);
    for account in &to_tell {
        // Before it is told, and again where a crash came between.
        let told = noted(by.1, "account told", (id, &row)).of(Some(*account));
        by.0.enter(vec![told]).await?;
        let new = New {
            account: account.to_string(),
            about: About::Request,
            reference: format!("request {id}"),
            text: format!(
                "a recipient has asked the platform ({}); it is yours to decide and to answer by {}: open it again for the account",
                row.right.word(),
                super::instant(row.due_ms)
            ),
            due_ms: now_ms,
        };
        notices.add(new, now_ms).await?;
    }
    let told = u32::try_from(to_tell.len()).unwrap_or(u32::MAX);
    change(subjects, state, id, |row| row.told = told).await?;
    end_subject(hub, subjects, by, state, (id, How::Pointed, now_ms), None).await
}

/// Begins an export of what is kept of the person, or goes on with one that is ready.
async fn hand_over<D: Disk + 'static>(
    hub: &Rc<Hub<D>>,
    subjects: &Subjects,
    audit: &AuditHandle,
    state: &mut State,
    (id, person): (u32, Zeroizing<Vec<u8>>),
) -> Result<(), String> {
    let row = state.register.requests.get(&id).ok_or(NONE)?;
    let name = row
        .account
        .as_deref()
        .ok_or("a request names the account that gets the answer")?;
    let account = super::finished::known(hub, name)?;
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
        format: row.format.as_deref().and_then(format_of).unwrap_or(Format::Jsonl),
        since_ms: 0,
        until_ms: u64::MAX >> 1,
        kept_for: Duration::from_secs(KEPT_FOR.as_secs()),
    };
    let begun = exports::create(hub, audit, wanted).await?;
    let number = begun.get("export").and_then(serde_json::Value::as_str);
    let number: Option<u64> = number.and_then(|number| number.parse().ok());
    change(subjects, state, id, |row| row.export = number).await
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
