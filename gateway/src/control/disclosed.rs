//! What is done about disclosures (LEG-5 to LEG-7), step by step. Each stands in the audit log before it holds (AUD-1), and no answer
//! but that of `disclosure show` with a reason has a number of a person.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tidegate_codec::identity::SystemId;
use tidegate_store::audit::{Actor, Field, Kind, Value as Detail, Word};
use tidegate_store::disk::Disk;
use tidegate_store::keyring::Owner;

use super::disclosing::{DecisionAsk, Disclosing, DisclosureAsk};
use super::exporting::DAYS_MAX;
use super::finished::known;
use super::legal::{entry, kept, named, reading, sealed};
use super::steering::fields;
use super::{Answer, instant};
use crate::audit::{AuditHandle, actor, typed, word};
use crate::disclosures::{
    APPROVERS_MIN, Approval, Basis, Decided, Decision, Disclosures, Notified, PRODUCED_MAX, Produced,
    REVIEW_MS, ROWS_MAX, Register, Reviewed, Row, Scope, State, Step, Told, settle,
};
use crate::exports::{self, Disclosed, Format, Wanted, fields_of};
use crate::serve::Hub;

/// The longest time for which a notice may be delayed, in milliseconds: ten years.
const DELAY_MAX_MS: u64 = 10 * 366 * 24 * 3_600_000;
const TOLD: &str = "the account was told already";
/// Disclosures of a list.
const LISTED_MAX: usize = 4_000;

/// Who asks, where that is entered, and when it is.
struct Asker<'a> {
    audit: &'a AuditHandle,
    who: &'a Actor,
    now_ms: u64,
}

impl Asker<'_> {
    fn step(&self) -> Step {
        Step {
            at_ms: self.now_ms,
            who: actor(self.who),
        }
    }

    /// Who decides, approves or reviews, by name: a token's own where one is used. At the control socket all are one user, and
    /// say who they are.
    fn name(&self, key: &str, typed: Option<&str>) -> Result<String, String> {
        let plain = |name: &str| kept(name.trim()).to_lowercase();
        match (self.who, typed) {
            (Actor::Token(name), None) => Ok(plain(name.as_str())),
            (Actor::Token(name), Some(typed)) if plain(name.as_str()) == plain(typed) => Ok(plain(typed)),
            (Actor::Token(_), Some(_)) => Err(format!(
                "\"{key}\" is left out where a token is used: its name is meant"
            )),
            (_, Some(typed)) if !typed.trim().is_empty() => Ok(plain(typed)),
            _ => Err(format!("\"{key}\" is missing: the name of a person")),
        }
    }

    async fn enter(
        &self,
        (outcome, number): (&str, u32),
        account: &str,
        details: impl IntoIterator<Item = (Field, Detail)>,
    ) -> Result<(), String> {
        let mut entry = entry(Kind::Disclosure, self.who, outcome, number).of(account.parse().ok());
        for (field, detail) in details {
            entry = entry.with(field, detail);
        }
        self.audit.enter(vec![entry]).await
    }
}

/// Does it.
pub(super) async fn disclose<D: Disk + 'static>(
    hub: &Rc<Hub<D>>,
    (audit, who): (&AuditHandle, &Actor),
    wanted: &Disclosing,
) -> Answer {
    let register = hub
        .disclosures()
        .ok_or("this gateway has no register of disclosures")?;
    let now_ms = hub.believed_ms();
    let asker = Asker { audit, who, now_ms };
    let state = || register.state();
    match wanted {
        Disclosing::Open(ask) => open(hub, &mut *state().await, &asker, ask).await,
        Disclosing::Approve { number, approver } => {
            approve(&mut *state().await, &asker, *number, approver.as_deref()).await
        }
        Disclosing::Decide(ask) => decide(&mut *state().await, &asker, ask).await,
        Disclosing::Notify { number, told } => notify(hub, &mut *state().await, &asker, *number, told).await,
        // Whoever has it makes its files without it: they wait for it when they are done.
        Disclosing::Produce {
            number,
            format,
            fields,
            days,
        } => {
            let how = (*format, fields.as_deref(), *days);
            produce(hub, &register, &asker, *number, how).await
        }
        Disclosing::Complete { number } => complete(hub, &mut *state().await, &asker, *number).await,
        Disclosing::Review {
            number,
            finding,
            reviewer,
        } => {
            let found = (finding.as_str(), reviewer.as_deref());
            review(&mut *state().await, &asker, *number, found).await
        }
        Disclosing::List => Ok(list(&*state().await, now_ms)),
        Disclosing::Show { number, reason } => {
            show(&*state().await, &asker, *number, reason.as_deref()).await
        }
    }
}

fn answered(register: &Register, number: u32) -> Answer {
    let row = register.row(number)?;
    Ok(fields(json!({ "number": number, "state": row.state() })))
}

async fn open<D: Disk>(hub: &Hub<D>, state: &mut State, asker: &Asker<'_>, ask: &DisclosureAsk) -> Answer {
    let (_, person) = named(hub, Some(&ask.account), ask.to.as_deref())?;
    let columns = fields_of(ask.texts, ask.fields.as_deref())?;
    if state.register.rows.len() >= ROWS_MAX {
        return Err(format!("there are {ROWS_MAX} disclosures, as many as are kept"));
    }
    // The number first: a ring that has keys of later numbers shows a start that the register is not the one that belongs to it.
    let next = |register: &mut Register| {
        register.last += 1;
        register.last
    };
    let number = state.register.change(next).await?;
    // Its key goes again where it does not come to a row.
    state.left_over.insert(number);
    let sealed = sealed(hub, Owner::Disclosure(number), person.as_ref()).await?;
    let about = [("recipient", person.is_some()), ("texts", ask.texts)];
    let about = about
        .iter()
        .filter(|(_, is)| *is)
        .map(|(name, _)| Word::of_name(name));
    let details = [
        (Field::Evidence, typed(&ask.authority)),
        (Field::Reason, typed(ask.basis.word())),
        (Field::Scope, Detail::Words(about.collect())),
        (Field::First, Detail::Time(ask.since_ms)),
        (Field::Last, Detail::Time(ask.until_ms)),
    ];
    asker.enter(("opened", number), &ask.account, details).await?;
    let row = Row {
        authority: kept(&ask.authority),
        basis: ask.basis,
        account: ask.account.clone(),
        sealed,
        asked: Scope {
            texts: ask.texts,
            since_ms: ask.since_ms,
            until_ms: ask.until_ms,
            fields: columns,
        },
        opened: asker.step(),
        approvals: Vec::new(),
        decided: None,
        notified: None,
        produced: Vec::new(),
        completed: None,
        review_due_ms: None,
        reviewed: None,
    };
    state
        .register
        .change(|register| register.rows.insert(number, row))
        .await?;
    state.left_over.remove(&number);
    if let Some(person) = person {
        state.people.insert(number, person);
    }
    answered(&state.register, number)
}

async fn approve(state: &mut State, asker: &Asker<'_>, number: u32, approver: Option<&str>) -> Answer {
    let row = state.register.row(number)?;
    if row.basis != Basis::Emergency {
        return Err(
            "only an emergency's is approved: `disclosure decide` says what becomes of others".to_owned(),
        );
    }
    if row.decided.is_some() {
        return Err(format!("it is {} already", row.state()));
    }
    let name = asker.name("approver", approver)?;
    if row.approvals.iter().any(|approval| approval.name == name) {
        return Err(format!(
            "{name} has approved it already: it takes two different approvers"
        ));
    }
    let mut names: Vec<String> = row
        .approvals
        .iter()
        .map(|approval| approval.name.clone())
        .collect();
    names.push(name.clone());
    let words = names.iter().map(|name| Word::of_name(name)).collect();
    let details = [(Field::Approvers, Detail::Words(words))];
    asker.enter(("approved", number), &row.account, details).await?;
    let is_decided = names.len() >= APPROVERS_MIN;
    let step = asker.step();
    state
        .change_row(number, |row| {
            row.approvals.push(Approval {
                name,
                step: step.clone(),
            });
            if is_decided {
                row.review_due_ms = Some(step.at_ms.saturating_add(REVIEW_MS));
                row.decided = Some(Decided {
                    decision: Decision::Complied,
                    reason: "emergency, two approvers".to_owned(),
                    reviewer: names.join(", "),
                    scope: Some(row.asked.clone()),
                    step,
                });
            }
        })
        .await?;
    let mut told = answered(&state.register, number)?;
    let row = state.register.row(number)?;
    told.insert("approvers".to_owned(), json!(row.approvals.len()));
    told.insert("review_due".to_owned(), json!(row.review_due_ms.map(instant)));
    Ok(told)
}

/// What may be given, as it was decided.
fn scope_of(row: &Row, ask: &DecisionAsk) -> Result<Option<Scope>, String> {
    let narrows =
        ask.without_texts || ask.since_ms.is_some() || ask.until_ms.is_some() || ask.fields.is_some();
    match ask.decision {
        Decision::Narrowed => {}
        _ if narrows => return Err("only \"narrowed\" says what of it is given".to_owned()),
        Decision::Objected => return Ok(None),
        Decision::Complied => return Ok(Some(row.asked.clone())),
    }
    let asked = &row.asked;
    let texts = asked.texts && !ask.without_texts;
    let left = asked.fields.iter().filter(|field| texts || *field != "text");
    let scope = Scope {
        texts,
        since_ms: ask.since_ms.unwrap_or(asked.since_ms),
        until_ms: ask.until_ms.unwrap_or(asked.until_ms),
        fields: match &ask.fields {
            Some(named) => fields_of(texts, Some(named))?,
            None => left.cloned().collect(),
        },
    };
    if scope == *asked
        || !scope.is_within(asked)
        || scope.since_ms > scope.until_ms
        || scope.fields.is_empty()
    {
        return Err("what is narrowed is less than was asked for, and something: a shorter time, fewer columns, no texts".to_owned());
    }
    Ok(Some(scope))
}

async fn decide(state: &mut State, asker: &Asker<'_>, ask: &DecisionAsk) -> Answer {
    let row = state.register.row(ask.number)?;
    if let Some(decided) = &row.decided {
        return Err(format!("it is decided already: {}", decided.decision.word()));
    }
    if row.basis == Basis::Emergency && ask.decision != Decision::Objected {
        return Err("an emergency's takes two different approvers: `disclosure approve`".to_owned());
    }
    let scope = scope_of(row, ask)?;
    let reviewer = asker.name("reviewer", ask.reviewer.as_deref())?;
    let details = [
        (Field::Reason, typed(&ask.reason)),
        (Field::Approvers, Detail::Words(vec![Word::of_name(&reviewer)])),
    ];
    asker
        .enter((ask.decision.word(), ask.number), &row.account, details)
        .await?;
    let decided = Decided {
        decision: ask.decision,
        reason: kept(&ask.reason),
        reviewer,
        scope,
        step: asker.step(),
    };
    state
        .change_row(ask.number, |row| row.decided = Some(decided))
        .await?;
    answered(&state.register, ask.number)
}

async fn notify<D: Disk>(
    hub: &Hub<D>,
    state: &mut State,
    asker: &Asker<'_>,
    number: u32,
    told: &Told,
) -> Answer {
    let row = state.register.row(number)?;
    if matches!(
        &row.notified,
        Some(Notified {
            told: Told::Sent { .. },
            ..
        })
    ) {
        return Err(TOLD.to_owned());
    }
    // By `notice sent`.
    let made = row.notified.as_ref().and_then(|notified| notified.notice);
    if let (Some(notices), Some(made)) = (hub.notices(), made)
        && notices
            .get(made)
            .await
            .is_some_and(|notice| notice.sent.is_some())
    {
        return Err(TOLD.to_owned());
    }
    let detail = match told {
        Told::Sent { how } => (Field::Reason, typed(how)),
        Told::Delayed { until_ms } => {
            if !(asker.now_ms..=asker.now_ms.saturating_add(DELAY_MAX_MS)).contains(until_ms) {
                return Err("a notice is delayed until a time to come, by ten years at most".to_owned());
            }
            (Field::Last, Detail::Time(*until_ms))
        }
        // What waits to be told would be told at its date.
        Told::Prohibited { .. }
            if matches!(
                &row.notified,
                Some(Notified {
                    told: Told::Delayed { .. },
                    ..
                })
            ) =>
        {
            return Err("it is to be told at a date already: delay it further".to_owned());
        }
        Told::Prohibited { law } => (Field::Reason, typed(law)),
    };
    let outcome = format!("notice {}", told.word());
    asker.enter((&outcome, number), &row.account, [detail]).await?;
    let told = match told {
        Told::Sent { how } => Told::Sent { how: kept(how) },
        Told::Delayed { until_ms } => Told::Delayed { until_ms: *until_ms },
        Told::Prohibited { law } => Told::Prohibited { law: kept(law) },
    };
    let step = asker.step();
    // In the register first: what is in it and is no notice yet becomes one, now or after a crash.
    state
        .change_row(number, |row| {
            row.notified = Some(Notified {
                told,
                step,
                is_made: false,
                notice: None,
            });
        })
        .await?;
    settle(hub, state).await?;
    let mut answer = answered(&state.register, number)?;
    let notified = state.register.row(number)?.notified.as_ref();
    answer.insert(
        "notice".to_owned(),
        json!(notified.and_then(|notified| notified.notice)),
    );
    Ok(answer)
}

/// What is to be produced, where that may be.
fn producible(state: &State, number: u32, fields: Option<&[String]>) -> Result<(Row, Scope), String> {
    let row = state.register.row(number)?;
    if row.completed.is_some() {
        return Err("it is completed: what is asked for after that is another disclosure".to_owned());
    }
    let scope = match &row.decided {
        Some(decided) => decided
            .scope
            .clone()
            .ok_or("it was objected to: nothing is produced")?,
        None if row.basis == Basis::Emergency => {
            return Err(format!(
                "an emergency's takes two different approvers, and has {}: `disclosure approve`",
                row.approvals.len()
            ));
        }
        None => return Err("nothing is produced before it is decided: `disclosure decide`".to_owned()),
    };
    if row.produced.len() >= PRODUCED_MAX {
        return Err(format!(
            "{PRODUCED_MAX} files were produced for it, as many as may be"
        ));
    }
    let columns = match fields {
        None => scope.fields.clone(),
        Some(named) => fields_of(scope.texts, Some(named))?,
    };
    let narrowed = Scope {
        fields: columns,
        ..scope.clone()
    };
    if !narrowed.is_within(&scope) {
        return Err(format!("these columns may be given: {}", scope.fields.join(", ")));
    }
    Ok((row.clone(), narrowed))
}

async fn produce<D: Disk + 'static>(
    hub: &Rc<Hub<D>>,
    disclosures: &Arc<Disclosures>,
    asker: &Asker<'_>,
    number: u32,
    (format, fields, days): (Format, Option<&[String]>, Option<u64>),
) -> Answer {
    let (row, scope, person) = {
        let state = disclosures.state().await;
        let (row, scope) = producible(&state, number, fields)?;
        (row, scope, state.people.get(&number).cloned())
    };
    let account: SystemId = known(hub, &row.account)?;
    let columns = scope.fields.iter().map(|field| Word::of_name(field)).collect();
    let details = [(Field::Keys, Detail::Words(columns))];
    asker
        .enter(("to be produced", number), &row.account, details)
        .await?;
    let wanted = Wanted {
        person: None,
        account,
        what: scope.what(),
        format,
        since_ms: scope.since_ms,
        until_ms: scope.until_ms,
        kept_for: Duration::from_secs(days.unwrap_or(DAYS_MAX) * 24 * 3_600),
        disclosed: Some(Disclosed {
            disclosure: number,
            person,
            fields: scope.fields,
            by_law: row.basis == Basis::Law,
            who: actor(asker.who),
        }),
    };
    let mut told = exports::create(hub, asker.audit, wanted).await?;
    told.insert("number".to_owned(), json!(number));
    Ok(told)
}

async fn complete<D: Disk>(hub: &Hub<D>, state: &mut State, asker: &Asker<'_>, number: u32) -> Answer {
    let row = state.register.row(number)?;
    if row.completed.is_some() {
        return answered(&state.register, number);
    }
    if row.state() == "objected" {
        return Err("it was objected to: nothing was given, and it is over".to_owned());
    }
    if row.notified.is_none() {
        return Err(
            "nothing is completed without a decision about the notice to the account: `disclosure notify` says sent, \
             delayed until a date or prohibited by a law"
                .to_owned(),
        );
    }
    let Some(last) = row.produced.last() else {
        return Err("nothing was produced yet: `disclosure produce`".to_owned());
    };
    // What nobody had, and nobody can have any more, was given to nobody.
    let is_there = || {
        let export = hub.exports()?.get(last.export)?;
        Some(export.is_ready() && !export.is_due(asker.now_ms))
    };
    if last.fetched_ms.is_none() && is_there() != Some(true) {
        return Err(
            "the file that was produced last is gone, and nobody fetched it to its end: `disclosure produce`"
                .to_owned(),
        );
    }
    let details = [
        (Field::File, word(&last.export.to_string())),
        (Field::Count, Detail::Count(last.rows)),
    ];
    asker.enter(("completed", number), &row.account, details).await?;
    let step = asker.step();
    state.change_row(number, |row| row.completed = Some(step)).await?;
    answered(&state.register, number)
}

async fn review(
    state: &mut State,
    asker: &Asker<'_>,
    number: u32,
    (finding, reviewer): (&str, Option<&str>),
) -> Answer {
    let row = state.register.row(number)?;
    if row.review_due_ms.is_none() {
        return Err("only an emergency's that was approved is reviewed".to_owned());
    }
    if row.reviewed.is_some() {
        return Err("it is reviewed already".to_owned());
    }
    let reviewer = asker.name("reviewer", reviewer)?;
    if row.approvals.iter().any(|approval| approval.name == reviewer) {
        return Err(format!("{reviewer} approved it: somebody else reviews it"));
    }
    let details = [
        (Field::Reason, typed(finding)),
        (Field::Approvers, Detail::Words(vec![Word::of_name(&reviewer)])),
    ];
    asker.enter(("reviewed", number), &row.account, details).await?;
    let reviewed = Reviewed {
        finding: kept(finding),
        reviewer,
        step: asker.step(),
    };
    state
        .change_row(number, |row| row.reviewed = Some(reviewed))
        .await?;
    answered(&state.register, number)
}

fn list(state: &State, now_ms: u64) -> Map<String, Value> {
    let rows = state.register.rows.iter();
    let open = rows.clone().filter(|(_, row)| row.ended_ms().is_none()).count();
    let rows = rows.rev().take(LISTED_MAX).map(|(number, row)| {
        let overdue = row.overdue_ms(now_ms) > 0;
        json!({
            "number": number,
            "state": row.state(),
            "authority": row.authority,
            "basis": row.basis.word(),
            "account": row.account,
            "is_about_a_person": state.people.contains_key(number),
            "opened": instant(row.opened.at_ms),
            "decision": row.decided.as_ref().map(|decided| decided.decision.word()),
            "notice": row.notified.as_ref().map(|notified| notified.told.word()),
            "review_due": row.review_due_ms.map(instant),
            "is_review_overdue": overdue,
        })
    });
    fields(json!({ "open": open, "disclosures": rows.collect::<Vec<_>>() }))
}

fn scope_shown(scope: &Scope) -> Value {
    json!({
        "what": scope.what().word(),
        "since": instant(scope.since_ms),
        "until": instant(scope.until_ms),
        "fields": scope.fields,
    })
}

fn produced_shown(produced: &Produced) -> Value {
    json!({
        "export": produced.export.to_string(),
        "fields": produced.fields,
        "rows": produced.rows,
        "held": produced.held,
        "unreadable": produced.unreadable,
        "sha256": produced.sha256,
        "fetched": produced.fetched_ms.map(instant),
        "at": instant(produced.step.at_ms),
        "who": produced.step.who,
    })
}

/// The rest of a step: when, and who.
fn with_step(step: &Step, value: Value) -> Value {
    let mut all = fields(value);
    all.insert("at".to_owned(), json!(instant(step.at_ms)));
    all.insert("who".to_owned(), json!(step.who));
    Value::Object(all)
}

/// All that the register has of one. Whom it is about is said for a reason only, which is entered as reading first.
async fn show(state: &State, asker: &Asker<'_>, number: u32, reason: Option<&str>) -> Answer {
    let row = state.register.row(number)?;
    let mut whom = Value::Null;
    if let Some(reason) = reason {
        let read = reading(asker.who, ("disclosure show", number), ("legal", reason));
        asker.audit.enter(vec![read.of(row.account.parse().ok())]).await?;
        if let Some(person) = state.people.get(&number) {
            whom = json!(String::from_utf8_lossy(person));
        }
    }
    let decided = row.decided.as_ref().map(|decided| {
        let told = json!({
            "decision": decided.decision.word(),
            "reason": decided.reason,
            "reviewer": decided.reviewer,
            "scope": decided.scope.as_ref().map(scope_shown),
        });
        with_step(&decided.step, told)
    });
    let notified = row.notified.as_ref().map(|notified| {
        let (how, until_ms, law) = match &notified.told {
            Told::Sent { how } => (Some(how), None, None),
            Told::Delayed { until_ms } => (None, Some(*until_ms), None),
            Told::Prohibited { law } => (None, None, Some(law)),
        };
        let told = json!({
            "decision": notified.told.word(),
            "how": how,
            "until": until_ms.map(instant),
            "law": law,
            "notice": notified.notice,
        });
        with_step(&notified.step, told)
    });
    let approvals = row.approvals.iter();
    let approvals = approvals.map(|approval| with_step(&approval.step, json!({ "name": approval.name })));
    let reviewed = row.reviewed.as_ref().map(|reviewed| {
        let told = json!({ "finding": reviewed.finding, "reviewer": reviewed.reviewer });
        with_step(&reviewed.step, told)
    });
    Ok(fields(json!({
        "number": number,
        "state": row.state(),
        "authority": row.authority,
        "basis": row.basis.word(),
        "account": row.account,
        "is_about_a_person": state.people.contains_key(&number),
        "to": whom,
        "asked": scope_shown(&row.asked),
        "opened": with_step(&row.opened, json!({})),
        "approvals": approvals.collect::<Vec<_>>(),
        "decided": decided,
        "notified": notified,
        "produced": row.produced.iter().map(produced_shown).collect::<Vec<_>>(),
        "completed": row.completed.as_ref().map(|step| with_step(step, json!({}))),
        "review_due": row.review_due_ms.map(instant),
        "is_review_overdue": row.overdue_ms(asker.now_ms) > 0,
        "reviewed": reviewed,
    })))
}
