//! What is done about signals that ask for a suspension, and about decisions: each step in the audit log first (AUD-1), then
//! in the register of cases, then done. A start goes on where a crash came between, and a step that fails is tried again.

use std::rc::Rc;
use std::time::Duration;

use tidegate_store::audit::{Actor, Entry, Field, Kind, Value, Word};
use tidegate_store::disk::Disk;

use super::cases::{CASES_MAX, Case, Cases, Decision, Outcome, Register, Step};
use super::{AbuseRule, Signal};
use crate::audit::{AuditHandle, actor};
use crate::control::{self, Answer, fields, instant};
use crate::exports;
use crate::notices::{About, New};
use crate::retention::span;
use crate::serve::Hub;
use crate::telemetry::AbuseMetrics;
use crate::telemetry::words::Word as _;

/// How often it is looked whether something is left to be done, where nobody says so.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Before what failed is tried again. Nothing that is watched comes in from the account until then.
const AGAIN: Duration = Duration::from_secs(10);

/// Does so while the gateway runs.
pub async fn tend<D: Disk>(hub: Rc<Hub<D>>, audit: AuditHandle, metrics: AbuseMetrics) {
    let Some(cases) = hub.cases() else { return };
    let mut every = tokio::time::interval(LOOK_EVERY);
    loop {
        tokio::select! {
            _ = every.tick() => {}
            () = hub.tripped.notified() => {}
        }
        let done = work(&hub, &audit, &cases).await;
        publish(&hub, &cases, &metrics);
        if let Err(error) = done {
            metrics.failures.increment(1);
            tracing::error!(error, "what follows from a case of abuse is not done");
            tokio::time::sleep(AGAIN).await;
        }
    }
}

async fn work<D: Disk>(hub: &Hub<D>, audit: &AuditHandle, cases: &Cases) -> Result<(), String> {
    let _alone = cases.turn.lock().await;
    let mut done = Ok(());
    while let Some(trip) = hub.look(|gate, _| gate.next_trip().cloned()) {
        // Until the suspension holds, its messages are refused all the same.
        done = tripped(hub, audit, cases, &trip).await;
        if done.is_err() {
            break;
        }
        hub.look(|gate, _| gate.end_trip());
    }
    let left: Vec<u32> = cases.look(|register| {
        let left = register.cases.iter().filter(|(_, case)| case.next().is_some());
        left.map(|(id, _)| *id).collect()
    });
    for id in left {
        let advanced = advance(hub, audit, cases, id).await;
        done = done.and(advanced);
    }
    let pruned = prune(hub, audit, cases).await;
    done.and(pruned)
}

async fn tripped<D: Disk>(
    hub: &Hub<D>,
    audit: &AuditHandle,
    cases: &Cases,
    trip: &Signal,
) -> Result<(), String> {
    let id = open(hub, audit, cases, trip).await?;
    suspended(hub, cases, id).await
}

/// What the log holds of each step of a case.
fn entry(who: Actor, outcome: &str, id: u32, case: &Case) -> Entry {
    let mut entry = Entry::new(Kind::AbuseCase, who)
        .of(Some(case.account))
        .with(Field::Outcome, Value::Word(Word::of_name(outcome)))
        .with(Field::Sequence, Value::Count(id.into()))
        .with(Field::Policy, Value::Word(Word::of_name(case.rule.label())));
    entry.subject = case.subject;
    entry
}

/// Changes one case, on disk first.
async fn change(cases: &Cases, id: u32, change: impl FnOnce(&mut Case)) -> Result<(), String> {
    let mut register = cases.register();
    let case = register.cases.get_mut(&id).ok_or("there is no such case")?;
    change(case);
    cases.write(register).await
}

fn case_of(cases: &Cases, id: u32) -> Result<Case, String> {
    let case = cases.look(|register| register.cases.get(&id).cloned());
    case.ok_or_else(|| format!("there is no case {id}"))
}

/// Opens a case, or finds the one that is open.
async fn open<D: Disk>(
    hub: &Hub<D>,
    audit: &AuditHandle,
    cases: &Cases,
    trip: &Signal,
) -> Result<u32, String> {
    if let Some(id) = cases.look(|register| register.open_of(trip.account.as_str())) {
        return Ok(id);
    }
    let mut register: Register = cases.register();
    if register.cases.len() >= CASES_MAX {
        return Err(format!(
            "there are {CASES_MAX} cases: none can be opened, and {} stays closed to what is watched",
            trip.account
        ));
    }
    let now_ms = exports::time(hub);
    let within = hub.look(|gate, _| gate.config().abuse.review_within);
    let case = Case {
        opened_ms: now_ms,
        ..Case::new(trip, span(within).after(now_ms))
    };
    register.last += 1;
    let id = register.last;
    let opened = entry(Actor::System, "suspended", id, &case)
        .with(Field::Count, Value::Count(case.count.into()))
        .with(Field::Size, Value::Count(case.score.into()));
    audit.enter(vec![opened]).await?;
    register.cases.insert(id, case);
    cases.write(register).await?;
    Ok(id)
}

async fn suspended<D: Disk>(hub: &Hub<D>, cases: &Cases, id: u32) -> Result<(), String> {
    let case = case_of(cases, id)?;
    if case.suspended_ms.is_some() {
        return Ok(());
    }
    let name = case.account.as_str();
    // One that the configuration has no longer binds nowhere.
    if hub.look(|gate, _| gate.account_by_text(name).is_some()) {
        control::suspend(hub, name).await?;
        tracing::error!(
            account = name,
            case = id,
            "suspended by a sign of abuse until a person decides"
        );
    }
    let now_ms = exports::time(hub);
    change(cases, id, |case| case.suspended_ms = Some(now_ms)).await
}

/// Does what is left of one case.
async fn advance<D: Disk>(hub: &Hub<D>, audit: &AuditHandle, cases: &Cases, id: u32) -> Result<(), String> {
    loop {
        let case = case_of(cases, id)?;
        match case.next() {
            None => return Ok(()),
            Some(Step::Suspend) => suspended(hub, cases, id).await?,
            Some(Step::Notify) => {
                let number = tell(
                    hub,
                    audit,
                    id,
                    &case,
                    &format!("case {id}"),
                    suspension(id, &case),
                )
                .await?;
                change(cases, id, |case| case.notice = Some(number)).await?;
            }
            Some(Step::Restore) => restored(hub, audit, cases, id, &case).await?,
            Some(Step::Answer) => {
                let reference = format!("case {id}, decision");
                let number = tell(hub, audit, id, &case, &reference, decided(id, &case)).await?;
                change(cases, id, |case| case.answer = Some(number)).await?;
            }
        }
    }
}

/// What the account is told of its suspension: why, and how to ask for a review.
fn suspension(id: u32, case: &Case) -> String {
    let why = match case.rule {
        AbuseRule::Number => "more codes went to one number than the limit",
        AbuseRule::Prefix => "more codes went to neighbouring numbers in an hour than the limit",
        AbuseRule::Run => "codes went to numbers that follow each other",
        AbuseRule::Completion => "hardly any codes to one destination arrived",
        AbuseRule::Country => "more codes went to one country in a day than its budget",
    };
    format!(
        "The account {} was suspended automatically on {}: {why} (rule {}). Messages to it are still taken, and nothing is \
         deleted. A person decides by {}. To ask for a review or to explain the traffic, answer this notice and name case {id}.",
        case.account,
        instant(case.opened_ms),
        case.rule.label(),
        instant(case.review_ms),
    )
}

fn decided(id: u32, case: &Case) -> String {
    let what = match case.decision.as_ref().map(|decision| decision.outcome) {
        Some(Outcome::Reversed) => "the suspension is taken back, and what led to it counts no longer",
        _ => "the suspension stays",
    };
    format!(
        "Case {id} of the account {} was decided by a person: {what}.",
        case.account
    )
}

async fn tell<D: Disk>(
    hub: &Hub<D>,
    audit: &AuditHandle,
    id: u32,
    case: &Case,
    reference: &str,
    text: String,
) -> Result<u64, String> {
    let notices = hub.notices().ok_or("this gateway keeps no notices")?;
    audit
        .enter(vec![entry(Actor::System, "notice", id, case)])
        .await?;
    let now_ms = hub.now().unix_ms;
    let new = New {
        account: case.account.to_string(),
        about: About::Suspension,
        reference: reference.to_owned(),
        text,
        due_ms: now_ms,
    };
    notices.add(new, now_ms).await
}

async fn restored<D: Disk>(
    hub: &Hub<D>,
    audit: &AuditHandle,
    cases: &Cases,
    id: u32,
    case: &Case,
) -> Result<(), String> {
    let name = case.account.as_str();
    audit
        .enter(vec![entry(Actor::System, "restored", id, case)])
        .await?;
    // What is closed stays closed, and of what the configuration has no longer there may be an order still.
    let is_held = hub.look(|gate, _| {
        gate.orders().suspended_ms(name).is_some() && gate.orders().closed_ms(name).is_none()
    });
    hub.look(|gate, _| gate.forget_signals(name));
    if is_held {
        control::restore(hub, name).await?;
    }
    let now_ms = exports::time(hub);
    change(cases, id, |case| case.restored_ms = Some(now_ms)).await
}

/// Removes what was decided so long ago that it is not kept any more (FRD-7). By a clock that has jumped nothing goes (RET-9).
async fn prune<D: Disk>(hub: &Hub<D>, audit: &AuditHandle, cases: &Cases) -> Result<(), String> {
    let now_ms = exports::time(hub);
    let (keep, is_doubted) = hub.look(|gate, now| {
        let keeping = gate.keeping();
        let is_doubted = keeping.is_some_and(|keeping| keeping.believed().doubts(now.unix_ms));
        (span(gate.config().abuse.keep_cases), is_doubted)
    });
    if is_doubted {
        return Ok(());
    }
    let is_over = |case: &Case| {
        let decision = case.decision.as_ref().filter(|_| case.next().is_none());
        decision.is_some_and(|decision| keep.after(decision.at_ms) <= now_ms)
    };
    let over = cases.look(|register| {
        let over = register.cases.iter().filter(|(_, case)| is_over(case));
        over.map(|(id, case)| entry(Actor::System, "removed", *id, case))
            .collect::<Vec<_>>()
    });
    if over.is_empty() {
        return Ok(());
    }
    audit.enter(over).await?;
    let mut register = cases.register();
    register.cases.retain(|_, case| !is_over(case));
    cases.write(register).await
}

fn publish<D: Disk>(hub: &Hub<D>, cases: &Cases, metrics: &AbuseMetrics) {
    let now_ms = hub.now().unix_ms;
    cases.look(|register| {
        let open = register.cases.values().filter(|case| case.is_open());
        let past = open.clone().filter(|case| case.review_ms <= now_ms).count();
        let oldest_ms = open.clone().map(|case| case.opened_ms).min();
        metrics.publish(
            open.count(),
            past,
            oldest_ms.map_or(0, |opened_ms| now_ms.saturating_sub(opened_ms)),
        );
    });
}

/// A person decides (FRD-6).
///
/// # Errors
///
/// In words for an operator. What is decided stays so, and what could not be done of it is tried again.
pub(crate) async fn decide<D: Disk>(
    hub: &Hub<D>,
    (audit, who): (&AuditHandle, &Actor),
    id: u32,
    (outcome, reviewer, reason): (Outcome, &str, &str),
) -> Answer {
    let cases = hub.cases().ok_or("this gateway keeps no cases")?;
    if !matches!(who, Actor::Operator(Some(_)) | Actor::Token(_)) {
        return Err("who decides must be known: by a user of this machine, or a token".to_owned());
    }
    let _alone = cases.turn.lock().await;
    let case = case_of(&cases, id)?;
    if let Some(decision) = &case.decision {
        return Err(format!(
            "case {id} was decided {}: {}",
            instant(decision.at_ms),
            decision.outcome.word()
        ));
    }
    if case.suspended_ms.is_none() {
        return Err(format!(
            "case {id} is not complete yet: its account is being suspended"
        ));
    }
    let kept = |text: &str| Word::new(text).as_str().to_owned();
    let entered = entry(who.clone(), outcome.word(), id, &case)
        .with(Field::Approvers, Value::Words(vec![Word::new(reviewer)]))
        .with(Field::Reason, Value::Word(Word::new(reason)));
    audit.enter(vec![entered]).await?;
    let decision = Decision {
        outcome,
        reviewer: kept(reviewer),
        who: actor(who),
        reason: kept(reason),
        at_ms: exports::time(hub),
    };
    change(&cases, id, |case| case.decision = Some(decision)).await?;
    let done = advance(hub, audit, &cases, id).await;
    done.map_err(|why| {
        format!("it is decided; but not all that follows is done, and is tried again: {why}")
    })?;
    let case = case_of(&cases, id)?;
    Ok(fields(serde_json::json!({
        "id": id,
        "account": case.account.as_str(),
        "outcome": outcome.word(),
        "restored": case.restored_ms.map(instant),
    })))
}
