//! Making an export: history is looked through a slice at a time, and what may be read goes into the file.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tidegate_codec::category::Category;
use tidegate_codec::identity::SystemId;
use tidegate_store::audit::{Actor, Entry, Field, Kind, Value as Detail};
use tidegate_store::disk::Disk;
use tidegate_store::history::{Cursor, Kept, Meta, Order, Query, Report, Text};
use tidegate_store::message_id::MessageId;
use tidegate_store::seal::Purpose;

use super::disclosed::Disclosed;
use super::file::{Done, Sheet};
use super::person::{Person, report};
use super::rows::{above, number, row};
use super::tend::{count, destroy, end, order};
use super::{Export, Exports, FILES_MAX, Format, Head, State, What};
use crate::audit::{AuditHandle, word};
use crate::control::{Answer, Shown, fields, instant, not_done, shown_cells, text_of};
use crate::keeper::ExportKeys;
use crate::keeping::{Ended, Keeping};
use crate::random::fork;
use crate::serve::Hub;

/// What lies between two slices, for all others who want something of the keeper.
pub(super) const PAUSE: Duration = Duration::from_millis(10);
/// History answers with something that was not asked for.
pub(super) const FOREIGN: &str = "history answers something else";
/// Records that the loop looks at before others have it again.
pub(super) const AT_ONCE: usize = 128;
const DAY_MS: u64 = 24 * 3_600_000;

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) account: SystemId,
    /// For a disclosure.
    pub(crate) disclosed: Option<Disclosed>,
    /// Of this person only.
    pub(crate) person: Option<Person>,
    pub(crate) what: What,
    pub(crate) format: Format,
    pub(crate) since_ms: u64,
    pub(crate) until_ms: u64,
    pub(crate) kept_for: Duration,
}

/// Begins one. Its key is in the ring, and its file on disk, when this returns; its rows come later.
pub(crate) async fn create<D: Disk + 'static>(
    hub: &Rc<Hub<D>>,
    audit: &AuditHandle,
    wanted: Wanted,
) -> Answer {
    let exports = hub.exports().ok_or("this gateway makes no exports")?;
    let _ = rules(hub)?;
    has_room(hub)?;
    let _alone = exports.turn.lock().await;
    let there = exports.list();
    if there
        .iter()
        .any(|export| matches!(export.state, State::Making { .. }))
    {
        return Err("another export is being made: one at a time".to_owned());
    }
    if there.len() >= FILES_MAX {
        return Err(format!(
            "there are {FILES_MAX} exports, as many as are kept: `export delete` one first"
        ));
    }
    let now_ms = hub.now().unix_ms;
    let mut number = now_ms;
    while exports.get(number).is_some() {
        number += 1;
    }
    let kept_ms = u64::try_from(wanted.kept_for.as_millis()).unwrap_or(0);
    let head = Head {
        number,
        account: wanted.account,
        disclosure: wanted.disclosed.as_ref().map(|disclosed| disclosed.disclosure),
        request: wanted.person.as_ref().map(|person| person.request),
        what: wanted.what,
        format: wanted.format,
        since_ms: wanted.since_ms,
        until_ms: wanted.until_ms,
        ends_ms: now_ms.saturating_add(kept_ms),
    };
    let key = order(hub, |answer| ExportKeys::Make {
        number,
        now_ms,
        answer,
    })
    .await??;
    let rng = hub.with_gate(|gate, _| fork(&mut gate.rng));
    let (dir, of_sheet) = (exports.dir.clone(), head.clone());
    let begun = tokio::task::spawn_blocking(move || Sheet::begin(&dir, of_sheet, key, rng)).await;
    let sheet = match begun {
        Ok(Ok(sheet)) => sheet,
        Ok(Err(error)) => {
            destroy(hub, number).await?;
            return Err(format!("the file cannot be made: {error}"));
        }
        Err(error) => {
            destroy(hub, number).await?;
            return Err(not_done(&error).to_owned());
        }
    };
    let export = Export {
        head: head.clone(),
        state: State::Making { is_stopped: false },
        rows: 0,
        octets: 0,
        unreadable: 0,
        goes_on: None,
        is_fetched: false,
        is_given_up: false,
    };
    exports.all().insert(number, export);
    let making = make(
        Rc::clone(hub),
        audit.clone(),
        Arc::clone(&exports),
        sheet,
        (head.clone(), wanted.person, wanted.disclosed),
    );
    tokio::task::spawn_local(making);
    Ok(fields(json!({
        "export": number.to_string(),
        "account": head.account.as_str(),
        "ends": instant(head.ends_ms),
    })))
}

async fn make<D: Disk + 'static>(
    hub: Rc<Hub<D>>,
    audit: AuditHandle,
    exports: Arc<Exports>,
    sheet: Sheet,
    (head, person, disclosed): (Head, Option<Person>, Option<Disclosed>),
) {
    let made = match &disclosed {
        None => fill(&hub, &exports, sheet, &head, person.as_ref()).await,
        Some(disclosed) => disclosed.fill((&hub, &audit), &exports, sheet, &head).await,
    };
    let number = head.number;
    let entered = match &made {
        // With what the register of disclosures has of it.
        Ok(_) if disclosed.is_some() => Ok(()),
        Ok((done, _)) => audit.enter(vec![entry_of(&head, Some(done))]).await,
        Err(_) => audit.enter(vec![entry_of(&head, None)]).await,
    };
    if let Err(why) = &made {
        tracing::warn!(export = number, why, "an export could not be made");
    }
    // Nobody reads what the audit log does not know of (AUD-6).
    if let Err(why) = &entered {
        tracing::error!(
            export = number,
            why,
            "an export cannot be entered in the audit log"
        );
    }
    match (made, entered) {
        // Who does not want it any more may have said so while it was entered.
        (Ok((done, unreadable)), Ok(())) if is_wanted(&exports, &head).is_ok() => {
            exports.metrics.made.increment(1);
            exports.change(number, |export| {
                let first_at = done.first_at;
                export.state = State::Ready { first_at };
                (export.rows, export.octets, export.unreadable) = (done.rows, done.octets, unreadable);
            });
            if let Some(disclosed) = disclosed {
                end_earlier(&hub, &audit, &exports, (disclosed.disclosure, number)).await;
            }
        }
        // Who looks after all of them takes it away.
        _ => {
            exports.metrics.failed.increment(1);
            exports.change(number, |export| export.state = State::Over);
        }
    }
    count(&hub);
}

/// What the log has of one that was made, or broken off.
pub(super) fn entry_of(head: &Head, done: Option<&Done>) -> Entry {
    let entry = Entry::new(Kind::Export, Actor::System)
        .of(Some(head.account))
        .with(Field::Verb, word("export create"))
        .with(Field::File, word(&head.number.to_string()));
    match done {
        Some(done) => entry
            .with(Field::Outcome, word("made"))
            .with(Field::Count, Detail::Count(done.rows))
            .with(Field::Octets, Detail::Count(done.octets)),
        None => entry.with(Field::Outcome, word("broken off")),
    }
}

/// Ends what was produced for the same disclosure before: one file is enough, and the last one counts, from then on that it is there.
async fn end_earlier<D: Disk>(
    hub: &Hub<D>,
    audit: &AuditHandle,
    exports: &Exports,
    (disclosure, last): (u32, u64),
) {
    for export in exports.list() {
        let is_earlier = export.head.disclosure == Some(disclosure) && export.head.number < last;
        if is_earlier
            && export.is_ready()
            && let Err(error) = end(hub, audit, export.head.number, "produced anew").await
        {
            tracing::error!(
                export = export.head.number,
                error,
                "an earlier file cannot be ended, and is there until its date"
            );
        }
    }
}

pub(super) fn rules<D: Disk>(hub: &Hub<D>) -> Result<Arc<Keeping>, String> {
    hub.look(|gate, _| gate.keeping().cloned())
        .ok_or_else(|| "this gateway keeps no finished messages".to_owned())
}

/// Whether somebody still wants it.
pub(super) fn is_wanted(exports: &Exports, head: &Head) -> Result<(), String> {
    let export = exports.get(head.number);
    match export.is_none_or(|export| export.state == State::Making { is_stopped: true }) {
        true => Err("it is not wanted any more".to_owned()),
        false => Ok(()),
    }
}

/// Puts rows in, until there are no more.
async fn fill<D: Disk + 'static>(
    hub: &Rc<Hub<D>>,
    exports: &Exports,
    sheet: Sheet,
    head: &Head,
    person: Option<&Person>,
) -> Result<(Done, u64), String> {
    let mut unreadable = 0;
    let first = above(head.what, head.format);
    let mut sheet = put(hub, exports, sheet, vec![first], false).await?;
    if head.what == What::Statistics {
        let rows = statistics(hub, head).await?;
        sheet = put(hub, exports, sheet, rows, true).await?;
    } else if let (What::Person, Some(person)) = (head.what, person) {
        (sheet, unreadable) = report(hub, exports, sheet, head, person).await?;
    } else {
        let home = hub.look(|gate, _| gate.home_of(head.account));
        let query = Query::Account {
            account: head.account,
            from_ms: head.since_ms,
            to_ms: head.until_ms,
        };
        let mut cursor = Some(Cursor::default());
        while let Some(at) = cursor {
            let looked = hub.history_slice(&query, Kept::Meta, Purpose::Export, at).await?;
            cursor = looked.next;
            unreadable += looked.unreadable;
            // Others may hold since the slice before.
            let keeping = rules(hub)?;
            let mut metas: Vec<Meta> = Vec::new();
            for (at, (_, meta)) in looked.metas.into_iter().enumerate() {
                let is_meant = (head.since_ms..=head.until_ms).contains(&meta.final_ms)
                    && person.is_none_or(|person| person.is(meta.person(), home));
                let ended = Ended::of(head.account, &meta);
                // What is only kept is not copied (DSR-4).
                let is_meant = is_meant && !keeping.is_restricted(head.account, meta.person());
                if is_meant && keeping.may_be_read(&ended, Kept::Meta, hub.now().unix_ms) {
                    metas.push(meta);
                }
                if at % AT_ONCE == AT_ONCE - 1 {
                    tokio::task::yield_now().await;
                }
            }
            let mut texts = BTreeMap::new();
            if head.what == What::Texts && !metas.is_empty() {
                unreadable += texts_of(hub, &keeping, head, &metas, &mut texts).await?;
            }
            for metas in metas.chunks(AT_ONCE) {
                let rows = metas.iter().map(|meta| {
                    let text = texts.get(&(meta.id, meta.leg));
                    row(head.what, head.format, &message(hub, meta, text))
                });
                // Which waits for another thread, so that the loop goes on between.
                sheet = put(hub, exports, sheet, rows.collect(), true).await?;
            }
            is_wanted(exports, head)?;
            tokio::time::sleep(PAUSE).await;
        }
    }
    let done = tokio::task::spawn_blocking(move || sheet.finish(unreadable)).await;
    let done = done.map_err(|error| not_done(&error).to_owned())?;
    Ok((done.map_err(|error| error.to_string())?, unreadable))
}

/// Exports are to take nothing away from what is under way: none is begun, and none goes on, where there is no more room.
fn has_room<D: Disk>(hub: &Hub<D>) -> Result<(), String> {
    match hub.look(|gate, _| gate.spool().has_intake_budget()) {
        true => Ok(()),
        false => {
            Err("there is no room for it: all files take what `storage.limit` leaves for them".to_owned())
        }
    }
}

/// Puts rows in. What the file has come to counts from then on.
pub(super) async fn put<D: Disk>(
    hub: &Hub<D>,
    exports: &Exports,
    mut sheet: Sheet,
    rows: Vec<String>,
    are_rows: bool,
) -> Result<Sheet, String> {
    has_room(hub)?;
    let put = move || {
        for row in rows {
            sheet.put(&row, are_rows)?;
        }
        std::io::Result::Ok(sheet)
    };
    let sheet = tokio::task::spawn_blocking(put).await;
    let sheet = sheet.map_err(|error| not_done(&error).to_owned())?;
    let sheet = sheet.map_err(|error| error.to_string())?;
    let (number, rows, octets) = sheet.so_far();
    exports.change(number, |export| (export.rows, export.octets) = (rows, octets));
    count(hub);
    Ok(sheet)
}

/// Texts of the messages of a slice, as far as they may be read: what ended in the same time is looked through for them. Returns
/// how many blocks did not open.
pub(super) async fn texts_of<D: Disk>(
    hub: &Hub<D>,
    keeping: &Keeping,
    head: &Head,
    metas: &[Meta],
    texts: &mut BTreeMap<(MessageId, u16), String>,
) -> Result<u64, String> {
    let wanted: BTreeMap<(MessageId, u16), &Meta> =
        metas.iter().map(|meta| ((meta.id, meta.leg), meta)).collect();
    let ends: BTreeSet<u64> = metas.iter().map(|meta| meta.final_ms).collect();
    let (Some(from_ms), Some(to_ms)) = (ends.first(), ends.last()) else {
        return Ok(0);
    };
    let query = Query::Account {
        account: head.account,
        from_ms: *from_ms,
        to_ms: *to_ms,
    };
    let (mut unreadable, mut cursor) = (0, Some(Cursor::default()));
    while let Some(at) = cursor {
        let looked = hub.history_slice(&query, Kept::Body, Purpose::Export, at).await?;
        cursor = looked.next;
        unreadable += looked.unreadable;
        for (at, (_, text)) in looked.texts.iter().enumerate() {
            let Text { id, leg, .. } = text;
            if let Some(meta) = wanted.get(&(*id, *leg))
                && keeping.may_be_read(&Ended::of(head.account, meta), Kept::Body, hub.now().unix_ms)
                && let Some((shown, _)) = text_of(text, meta.data_coding)
            {
                texts.insert((*id, *leg), shown);
            }
            if at % AT_ONCE == AT_ONCE - 1 {
                tokio::task::yield_now().await;
            }
        }
        if !looked.texts.is_empty() {
            tokio::time::sleep(PAUSE).await;
        }
    }
    Ok(unreadable)
}

pub(super) fn message<D: Disk>(hub: &Hub<D>, meta: &Meta, text: Option<&String>) -> Map<String, Value> {
    let id = hub
        .look(|gate, _| String::from_utf8_lossy(gate.id_text(meta.id, meta.id_form).as_bytes()).into_owned());
    let country = meta.place.country;
    fields(json!({
        "id": id,
        "recipient": meta.leg,
        "direction": meta.direction.word(),
        "accepted": instant(meta.accepted_ms),
        "ended": instant(meta.final_ms),
        "from": number(meta.source.as_bytes()),
        "to": number(meta.destination.as_bytes()),
        "country": (country != [0; 2]).then(|| String::from_utf8_lossy(&country).into_owned()),
        "category": Category::from_octet(meta.category).map(Category::word),
        "parts": meta.parts,
        "state": meta.state.stat(),
        "text": text,
    }))
}

/// What de-identification left of days that are over (EXP-4); networks with few messages are not told apart.
async fn statistics<D: Disk>(hub: &Hub<D>, head: &Head) -> Result<Vec<String>, String> {
    let Report::Stats(all) = hub.ask_history(Order::Stats).await? else {
        return Err(FOREIGN.to_owned());
    };
    // A day that a clock only jumped over is not over.
    let today = rules(hub)?.believed().seen_ms() / DAY_MS;
    let days = head.since_ms.div_ceil(DAY_MS)..today.min(head.until_ms.saturating_add(1) / DAY_MS);
    let mut rows = Vec::new();
    for (_, cells) in all.iter().filter(|(of, _)| *of == head.account) {
        for (Shown { day, .. }, fields) in shown_cells(cells) {
            if days.contains(&u64::from(day)) {
                rows.push(row(head.what, head.format, &fields));
                if rows.len() % AT_ONCE == 0 {
                    tokio::task::yield_now().await;
                }
            }
        }
    }
    Ok(rows)
}
