//! What becomes of disclosures by itself: notices that were decided on are made, what was forgotten goes, reviews are counted.

use std::rc::Rc;
use std::time::Duration;

use tidegate_store::audit::{Actor, Entry, Field, Kind, Value, Word};
use tidegate_store::disk::Disk;
use tidegate_store::history::{Order, VaultOrder};
use tidegate_store::keyring::Owner;

use super::{KEPT_MS, Produced, Register, Row, State, Told};
use crate::audit::{AuditHandle, word};
use crate::control::instant;
use crate::notices::{About, New, Notices, Sent};
use crate::serve::Hub;
use crate::telemetry::DisclosureMetrics;

/// How often it is looked.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Does so while the gateway runs; what a kill has left first.
pub async fn tend<D: Disk>(hub: Rc<Hub<D>>, metrics: DisclosureMetrics) {
    let Some(disclosures) = hub.disclosures() else {
        return;
    };
    let mut every = tokio::time::interval(LOOK_EVERY);
    loop {
        every.tick().await;
        let now_ms = hub.believed_ms();
        let mut state = disclosures.state().await;
        let notices = settle(&hub, &mut state).await;
        if let Err(error) = notices.and(forget(&hub, &mut state, now_ms).await) {
            tracing::error!(error, "what disclosures still ask for cannot all be done");
        }
        let rows = state.register.rows.values();
        let open = rows.clone().filter(|row| row.ended_ms().is_none()).count();
        let overdue_ms = rows.map(|row| row.overdue_ms(now_ms)).max();
        drop(state);
        metrics.publish(open, overdue_ms.unwrap_or(0));
    }
}

/// What the account is told.
fn notice(number: u32, row: &Row, due_ms: u64) -> New {
    let scope = row.decided.as_ref().and_then(|decided| decided.scope.as_ref());
    let texts = match scope.unwrap_or(&row.asked).texts {
        true => " with their texts",
        false => "",
    };
    New {
        account: row.account.clone(),
        about: About::Disclosure,
        // Numbers are given again where the register is an older one: the notice of then is not this one's.
        reference: format!("disclosure {number} of {}", instant(row.opened.at_ms)),
        text: format!(
            "records of messages of your account{texts} were asked for by {}, basis {}",
            row.authority,
            row.basis.word()
        ),
        due_ms,
    }
}

/// Has the register of notices hold what was decided about them. One that is in it already has the date that was decided last.
pub(crate) async fn settle<D: Disk>(hub: &Hub<D>, state: &mut State) -> Result<(), String> {
    let is_waiting = |row: &Row| row.notified.as_ref().is_some_and(|notified| !notified.is_made);
    let waiting: Vec<u32> = state
        .register
        .rows
        .iter()
        .filter(|(_, row)| is_waiting(row))
        .map(|(number, _)| *number)
        .collect();
    if waiting.is_empty() {
        return Ok(());
    }
    let notices = hub.notices().ok_or("this gateway keeps no notices")?;
    // One that cannot be made holds up no other.
    let mut failed = Ok(());
    for number in waiting {
        let row = state.register.row(number)?;
        let made = match made_of(&notices, (number, row), hub.now().unix_ms).await {
            Ok(made) => made,
            Err(error) => {
                failed = Err(error);
                continue;
            }
        };
        let is_made = |row: &mut Row| {
            if let Some(notified) = &mut row.notified {
                (notified.is_made, notified.notice) = (true, made);
            }
        };
        state.change_row(number, is_made).await?;
    }
    failed
}

/// Has the register of notices hold what was decided about one's; its number, where there is one.
async fn made_of(notices: &Notices, (number, row): (u32, &Row), now_ms: u64) -> Result<Option<u64>, String> {
    let Some(notified) = &row.notified else {
        return Ok(None);
    };
    Ok(match &notified.told {
        Told::Prohibited { .. } => None,
        Told::Delayed { until_ms } => {
            let made = notices.add(notice(number, row, *until_ms), now_ms).await?;
            notices.reschedule(made, *until_ms).await?;
            Some(made)
        }
        Told::Sent { how } => {
            let made = notices.add(notice(number, row, now_ms), now_ms).await?;
            notices.reschedule(made, now_ms).await?;
            let sent = Sent {
                at_ms: now_ms,
                how: how.clone(),
                who: notified.step.who.clone(),
            };
            notices.sent(made, sent).await?;
            Some(made)
        }
    })
}

/// Forgets what ended long ago, and destroys the keys of what is forgotten.
async fn forget<D: Disk>(hub: &Hub<D>, state: &mut State, now_ms: u64) -> Result<(), String> {
    let is_over = |row: &Row| {
        row.ended_ms()
            .is_some_and(|ended_ms| ended_ms.saturating_add(KEPT_MS) <= now_ms)
    };
    // By a clock that has jumped nothing is destroyed (RET-9).
    let is_doubted = hub.is_doubted();
    let over: Vec<u32> = state
        .register
        .rows
        .iter()
        .filter(|(_, row)| !is_doubted && is_over(row))
        .map(|(number, _)| *number)
        .collect();
    if !over.is_empty() {
        let rest = |register: &mut Register| register.rows.retain(|number, _| !over.contains(number));
        state.register.change(rest).await?;
        state.people.retain(|number, _| !over.contains(number));
        state.left_over.extend(over);
    }
    if state.left_over.is_empty() {
        return Ok(());
    }
    // A write that failed may have left a row on disk that needs one of them: a start would be refused without its key.
    state.register.change(|_| ()).await?;
    while let Some(number) = state.left_over.first().copied() {
        let order = Order::Vault(VaultOrder::End(Owner::Disclosure(number)));
        hub.ask_history(order).await?;
        state.left_over.remove(&number);
    }
    Ok(())
}

/// Enters what was produced, before anybody can read it, where it is still wanted.
///
/// # Errors
///
/// In words for an operator: the file is nobody's then, and goes.
pub(crate) async fn made<D: Disk>(
    hub: &Hub<D>,
    audit: &AuditHandle,
    (number, produced): (u32, Produced),
    (digest, of_export): ([u8; 32], Entry),
    is_wanted: impl FnOnce() -> Result<(), String>,
) -> Result<(), String> {
    let disclosures = hub
        .disclosures()
        .ok_or("this gateway has no register of disclosures")?;
    let mut state = disclosures.state().await;
    is_wanted()?;
    let row = state.register.row(number)?;
    if row.completed.is_some() {
        return Err(format!("disclosure {number} was completed meanwhile"));
    }
    let fields = produced.fields.iter().map(|field| Word::of_name(field));
    let entry = Entry::new(Kind::Disclosure, Actor::System)
        .of(row.account.parse().ok())
        .with(Field::Outcome, word("produced"))
        .with(Field::Sequence, Value::Count(number.into()))
        .with(Field::File, word(&produced.export.to_string()))
        .with(Field::Keys, Value::Words(fields.collect()))
        .with(Field::Count, Value::Count(produced.rows))
        .with(Field::Digest, Value::Digest(digest));
    // Both in one go: no row stands in the register for a file that nobody may read, for the log does not know of it (AUD-6).
    audit.enter(vec![entry, of_export]).await?;
    state.change_row(number, |row| row.produced.push(produced)).await
}

/// Notes that a file was read to its end, the first time.
///
/// # Errors
///
/// In words for an operator: it cannot be written.
pub(crate) async fn fetched<D: Disk>(hub: &Hub<D>, number: u32, export: u64) -> Result<(), String> {
    let disclosures = hub
        .disclosures()
        .ok_or("this gateway has no register of disclosures")?;
    let mut state = disclosures.state().await;
    let is_new = |produced: &Produced| produced.export == export && produced.fetched_ms.is_none();
    let row = state.register.rows.get(&number);
    if !row.is_some_and(|row| row.produced.iter().any(is_new)) {
        return Ok(());
    }
    let note = |row: &mut Row| {
        let produced = row.produced.iter_mut().filter(|produced| is_new(produced));
        produced.for_each(|produced| produced.fetched_ms = Some(hub.believed_ms()));
    };
    state.change_row(number, note).await
}
