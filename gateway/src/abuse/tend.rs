//! What is done about signals that ask for a suspension, and about decisions: each step in the audit log first (AUD-1), then
//! in the register of cases, then done. A start goes on where a crash came between, and a step that fails is tried again.

use std::rc::Rc;
use std::time::Duration;

use tidegate_store::audit::{Actor, Entry, Field, Kind, Value, Word};
use tidegate_store::disk::Disk;

use super::cases::{CASES_MAX, Case, Cases, Decision, Entered, NotSuspended, Outcome, Step, Unsuspended};
use super::{AbuseRule, Signal};
use crate::audit::{AuditHandle, actor};
use crate::control::{self, Answer, fields, instant};
use crate::notices::{About, New};
use crate::retention::span;
use crate::serve::Hub;
use crate::telemetry::AbuseMetrics;
use crate::telemetry::words::Word as _;

/// How often it is looked whether something is left to be done, where nobody says so.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Before what failed is tried again. Nothing that is watched comes in from the account until then.
const AGAIN: Duration = Duration::from_secs(10);
/// Cases that cannot be opened, before the others wait for the next try: most often none can.
const FAILURES_MAX: u32 = 16;

/// Does so while the gateway runs.
pub async fn tend<D: Disk>(hub: Rc<Hub<D>>, audit: AuditHandle, metrics: AbuseMetrics) {
    let Some(cases) = hub.cases() else { return };
    let mut every = tokio::time::interval(LOOK_EVERY);
    let mut is_first = true;
    loop {
        tokio::select! {
            _ = every.tick() => {}
            () = hub.tripped.notified() => {}
        }
        let done = work(&hub, &audit, &cases, is_first).await;
        publish(&hub, &cases, &metrics);
        is_first = is_first && done.is_err();
        if let Err(error) = done {
            metrics.failures.increment(1);
            tracing::error!(error, "what follows from a case of abuse is not done");
            tokio::time::sleep(AGAIN).await;
        }
    }
}

async fn work<D: Disk>(
    hub: &Hub<D>,
    audit: &AuditHandle,
    cases: &Cases,
    is_first: bool,
) -> Result<(), String> {
    let _alone = cases.turn.lock().await;
    // What is due first: it may make room, and who is to be restored does not wait for others.
    let mut done = Ok(());
    // What an earlier program has written falsely is found by a start.
    let of_before = if is_first {
        cases.open_of_senders()
    } else {
        Vec::new()
    };
    for id in cases.left().into_iter().chain(of_before) {
        let advanced = advance(hub, audit, cases, id).await;
        done = done.and(advanced);
    }
    let pruned = prune(hub, audit, cases).await;
    done = done.and(pruned);
    let mut failures = 0;
    for trip in hub.look(|gate, _| gate.trips()) {
        // It may have been forgotten meanwhile, on a person's word.
        if failures >= FAILURES_MAX || !hub.look(|gate, _| gate.take_trip(&trip)) {
            continue;
        }
        // Until the suspension holds, its messages are refused all the same.
        match open(hub, audit, cases, &trip).await {
            Ok(id) => {
                let advanced = advance(hub, audit, cases, id).await;
                done = done.and(advanced);
            }
            Err(why) => {
                failures += 1;
                hub.look(|gate, _| gate.put_trip_back(trip));
                done = done.and(Err(why));
            }
        }
    }
    done
}

/// What the log holds of each step of a case.
fn entry(who: Actor, outcome: &str, id: u32, case: &Case) -> Entry {
    let mut entry = Entry::new(Kind::AbuseCase, who)
        .of(Some(case.account))
        .with(Field::Outcome, Value::Word(Word::of_name(outcome)))
        .with(Field::Sequence, Value::Count(id.into()))
        .with(Field::Policy, Value::Word(Word::of_name(case.rule.label())));
    if let Some(sender) = &case.sender {
        entry = entry.with(Field::Sender, Value::Pseudonym(*sender.octets()));
    }
    entry.subject = case.subject;
    entry
}

/// Changes one case, on disk first.
async fn change(
    cases: &Cases,
    id: u32,
    change: impl FnOnce(&mut Case) + Send + 'static,
) -> Result<(), String> {
    let changed = cases.change(move |register| {
        change(register.cases.get_mut(&id).ok_or("there is no such case")?);
        Ok(())
    });
    changed.await
}

/// Has a step entered before it is done; once, however often it is tried.
async fn begin(
    audit: &AuditHandle,
    cases: &Cases,
    (id, step): (u32, Step),
    entry: Entry,
) -> Result<(), String> {
    if cases.entered(id, step).is_none() {
        audit.enter(vec![entry]).await?;
        cases.set_entered(id, step, Some(Entered::Begun));
    }
    Ok(())
}

/// Has it entered that a step has failed, or is done after all; each once.
async fn end(
    audit: &AuditHandle,
    cases: &Cases,
    (id, step): (u32, Step),
    case: &Case,
    done: Result<(), String>,
) -> Result<(), String> {
    let [word, failed] = step.words();
    let entered = cases.entered(id, step);
    if done.is_err() {
        let failed = entry(Actor::System, failed, id, case);
        // If the log does not take it, the step is tried again all the same, and so is this.
        if entered == Some(Entered::Begun) && audit.enter(vec![failed]).await.is_ok() {
            cases.set_entered(id, step, Some(Entered::Failed));
        }
        return done;
    }
    cases.set_entered(id, step, None);
    if entered == Some(Entered::Failed) {
        audit.enter(vec![entry(Actor::System, word, id, case)]).await?;
    }
    done
}

/// How late it is for cases, in unix milliseconds: by a clock that has jumped, as late as it was before.
fn time<D: Disk>(hub: &Hub<D>) -> u64 {
    hub.look(|gate, now| gate.case_time(now))
}

fn case_of(cases: &Cases, id: u32) -> Result<Case, String> {
    let case = cases.look(|register| register.cases.get(&id).cloned());
    case.ok_or_else(|| format!("there is no case {id}"))
}

/// What is left to be done of a case, and can be: of a sender whose secret is gone there may be no order. It would keep the next start
/// from coming up, and nothing comes in under that name any more. Programs before wrote that it was suspended all the same, and a case
/// that nobody has decided is put right.
fn left<D: Disk>(hub: &Hub<D>, case: &Case) -> Option<Step> {
    let is_left = case.sender.as_ref().is_some_and(|sender| {
        let name = case.account.as_str();
        let has_order = || hub.look(|gate, _| gate.orders().sender(name, sender).is_some());
        case.is_open()
            && case.not_suspended.is_none()
            && !hub.look(|gate, _| gate.is_known(sender))
            && (case.is_begun() || !has_order())
    });
    if is_left { Some(Step::Leave) } else { case.next() }
}

/// Opens a case, or finds the one that is open.
async fn open<D: Disk>(
    hub: &Hub<D>,
    audit: &AuditHandle,
    cases: &Cases,
    trip: &Signal,
) -> Result<u32, String> {
    if let Some(id) = cases.open_of(trip.account.as_str(), trip.sender) {
        return Ok(id);
    }
    if cases.look(|register| register.cases.len() >= CASES_MAX) {
        return Err(format!(
            "there are {CASES_MAX} cases: none can be opened, and {} stays closed to {}",
            trip.account,
            if trip.sender.is_some() {
                "a sender"
            } else {
                "what is watched"
            }
        ));
    }
    let now_ms = time(hub);
    let within = hub.look(|gate, _| gate.config().abuse.review_within);
    let case = Case {
        opened_ms: now_ms,
        ..Case::new(trip, span(within).after(now_ms))
    };
    let id = cases.number_for((case.account, case.sender));
    let step = left(hub, &case).unwrap_or(Step::Suspend);
    let [word, _] = step.words();
    let opened = entry(Actor::System, word, id, &case)
        .with(Field::Count, Value::Count(case.count.into()))
        .with(Field::Size, Value::Count(case.score.into()));
    begin(audit, cases, (id, step), opened).await?;
    let written = case.clone();
    let written = cases.change(move |register| {
        register.last = register.last.max(id);
        register.cases.insert(id, written);
        Ok(())
    });
    match written.await {
        Ok(()) => Ok(id),
        Err(why) => {
            let failed = end(audit, cases, (id, step), &case, Err(why));
            failed.await.map(|()| id)
        }
    }
}

/// Tells the data path of how many senders' cases a person is to decide.
fn heed<D: Disk>(hub: &Hub<D>, cases: &Cases) {
    let undecided = cases.of_senders();
    hub.look(|gate, _| gate.heed_undecided(undecided));
}

async fn suspended<D: Disk>(hub: &Hub<D>, cases: &Cases, id: u32, case: &Case) -> Result<(), String> {
    let name = case.account.as_str();
    control::suspend_by_case(hub, name, case.sender).await?;
    // Which sender stands in the case alone: it may be a person's number.
    tracing::error!(
        account = name,
        case = id,
        is_sender = case.sender.is_some(),
        "suspended by a sign of abuse until a person decides"
    );
    heed(hub, cases);
    hub.look(|gate, _| gate.end_trip(case.account, case.sender));
    let now_ms = time(hub);
    change(cases, id, move |case| case.suspended_ms = Some(now_ms)).await
}

/// Notes that nothing could be suspended: nobody is refused for it, and whoever reads of the case is told so.
async fn left_alone<D: Disk>(hub: &Hub<D>, cases: &Cases, id: u32, case: &Case) -> Result<(), String> {
    hub.look(|gate, _| gate.end_trip(case.account, case.sender));
    let not = NotSuspended {
        why: Unsuspended::SecretGone,
        at_ms: time(hub),
    };
    let noted = move |case: &mut Case| {
        // The account was told otherwise, too, and is told anew.
        if case.suspended_ms.take().is_some() {
            case.notice = None;
        }
        case.not_suspended = Some(not);
    };
    change(cases, id, noted).await?;
    // It takes none of the account's places from now on.
    heed(hub, cases);
    // That it was to be suspended may be entered by a process before: what was begun of it is not done, and does not fail again.
    cases.set_entered(id, Step::Suspend, None);
    tracing::error!(
        account = case.account.as_str(),
        case = id,
        "a sender is not suspended: {}; look at the account's traffic",
        not.why.why()
    );
    Ok(())
}

/// Does what is left of one case.
async fn advance<D: Disk>(hub: &Hub<D>, audit: &AuditHandle, cases: &Cases, id: u32) -> Result<(), String> {
    loop {
        let case = case_of(cases, id)?;
        let Some(step) = left(hub, &case) else {
            return Ok(());
        };
        let [word, _] = step.words();
        begin(audit, cases, (id, step), entry(Actor::System, word, id, &case)).await?;
        let done = match step {
            Step::Suspend => suspended(hub, cases, id, &case).await,
            Step::Leave => left_alone(hub, cases, id, &case).await,
            Step::Restore | Step::Forget => restored(hub, cases, id, &case).await,
            Step::Notify | Step::Answer => told(hub, cases, (id, step), &case).await,
            // Only what is over goes, and all of that at once.
            Step::Remove => return Ok(()),
        };
        end(audit, cases, (id, step), &case, done).await?;
    }
}

/// How an account is told of its sender: by the name that it lists itself, as notices hold no person's number.
fn sender_told<D: Disk>(hub: &Hub<D>, case: &Case) -> Option<String> {
    let sender = case.sender.as_ref()?;
    let listed = hub.look(|gate, _| {
        let place = gate.account_by_text(case.account.as_str())?;
        gate.listed_sender(place, sender)
    });
    Some(listed.map_or_else(
        || "one of the senders, whose messages are answered with 0x0404,".to_owned(),
        |name| format!("the sender {name}"),
    ))
}

/// What the account is told of its suspension, or of that of a sender: why, and how to ask for a review.
fn suspension(id: u32, case: &Case, sender: Option<&str>) -> String {
    let why = match case.rule {
        AbuseRule::Number => "more codes went to one number than the limit",
        AbuseRule::Prefix => "more codes went to neighbouring numbers in an hour than the limit",
        AbuseRule::Run => "codes went to numbers that follow each other",
        AbuseRule::Completion => "hardly any codes to one destination arrived",
        AbuseRule::Country => "more codes went to one country in a day than its budget",
        AbuseRule::Suspect => "messages went to numbers of a kind that takes none",
        AbuseRule::NewCountry => "messages went to a country to which it had never sent",
        AbuseRule::Delivered => "few of its messages arrived",
        AbuseRule::Content => "a text broke a rule about content",
    };
    let (opened, rule, review) = (
        instant(case.opened_ms),
        case.rule.label(),
        instant(case.review_ms),
    );
    let ask =
        format!("To ask for a review or to explain the traffic, answer this notice and name case {id}.");
    if let Some(not) = &case.not_suspended {
        return format!(
            "Of the account {} one sender was to be suspended automatically on {opened}: {why} (rule {rule}). It is not \
             suspended: {}. Nothing is refused for it, and nothing is deleted. A person looks at it by {review}. {ask}",
            case.account,
            not.why.why(),
        );
    }
    let what = match sender {
        None => format!("The account {} was", case.account),
        Some(sender) => format!(
            "Of the account {} {sender} was, and its other senders were not,",
            case.account
        ),
    };
    format!(
        "{what} suspended automatically on {opened}: {why} (rule {rule}). Messages to it are still taken, and nothing is \
         deleted. A person decides by {review}. {ask}",
    )
}

fn decided(id: u32, case: &Case, is_suspended: bool) -> String {
    let what = match case.decision.as_ref().map(|decision| decision.outcome) {
        Some(Outcome::Reversed) if case.not_suspended.is_some() => {
            "nothing was suspended, and what led to it counts no longer"
        }
        _ if case.not_suspended.is_some() => "nothing was suspended, and what led to it stands",
        Some(Outcome::Reversed) if is_suspended => {
            "this suspension is taken back, and what led to it counts no longer; another one, which a person ordered, stays"
        }
        Some(Outcome::Reversed) => "the suspension is taken back, and what led to it counts no longer",
        _ => "the suspension stays",
    };
    format!(
        "Case {id} of the account {} was decided by a person: {what}.",
        case.account
    )
}

/// A notice of the suspension, or of what was decided.
async fn told<D: Disk>(
    hub: &Hub<D>,
    cases: &Cases,
    (id, step): (u32, Step),
    case: &Case,
) -> Result<(), String> {
    let notices = hub.notices().ok_or("this gateway keeps no notices")?;
    // Its date as well: where the register was lost and removed, numbers begin anew, and old notices are there still.
    let reference = format!("case {id} of {}", instant(case.opened_ms));
    let is_suspended = hub.look(|gate, _| {
        let (orders, name) = (gate.orders(), case.account.as_str());
        case.sender.map_or_else(
            || orders.is_suspended(name),
            |sender| {
                let order = orders.sender(name, &sender);
                order.is_some_and(|order| order.operator_ms.is_some())
            },
        )
    });
    let (reference, text) = match step {
        Step::Answer => (format!("{reference}, decision"), decided(id, case, is_suspended)),
        // Beside one that says that it is.
        _ if case.not_suspended.is_some() => {
            (format!("{reference}, not suspended"), suspension(id, case, None))
        }
        _ => (reference, suspension(id, case, sender_told(hub, case).as_deref())),
    };
    let now_ms = hub.now().unix_ms;
    let new = New {
        account: case.account.to_string(),
        about: About::Suspension,
        reference,
        text,
        due_ms: now_ms,
    };
    let number = notices.add(new, now_ms).await?;
    let noted = move |case: &mut Case| match step {
        Step::Answer => case.answer = Some(number),
        _ => case.notice = Some(number),
    };
    change(cases, id, noted).await
}

async fn restored<D: Disk>(hub: &Hub<D>, cases: &Cases, id: u32, case: &Case) -> Result<(), String> {
    let name = case.account.as_str();
    hub.look(|gate, now| gate.forget_signals(now, name, case.sender));
    // What an operator has suspended or closed stays so, and of what the configuration has no longer there may be an order.
    let is_ordered = hub.look(|gate, _| {
        let orders = gate.orders();
        case.sender.map_or_else(
            || orders.is_suspended_by_case(name),
            |sender| {
                let order = orders.sender(name, &sender);
                order.is_some_and(|order| order.case_ms.is_some())
            },
        )
    });
    if is_ordered {
        control::restore_by_case(hub, name, case.sender).await?;
    }
    let now_ms = time(hub);
    change(cases, id, move |case| case.restored_ms = Some(now_ms)).await
}

/// Removes what was decided so long ago that it is not kept any more (FRD-7). By a clock that has jumped nothing goes (RET-9).
async fn prune<D: Disk>(hub: &Hub<D>, audit: &AuditHandle, cases: &Cases) -> Result<(), String> {
    let Some(first_ms) = cases.first_decided_ms() else {
        return Ok(());
    };
    let (now_ms, keep, is_doubted) = hub.look(|gate, now| {
        let keeping = gate.keeping();
        let is_doubted = keeping.is_some_and(|keeping| keeping.believed().doubts(now.unix_ms));
        let keep = span(gate.config().abuse.keep_cases);
        (gate.case_time(now), keep, is_doubted)
    });
    if is_doubted || keep.after(first_ms) > now_ms {
        return Ok(());
    }
    let is_over = move |case: &Case| {
        let decision = case.decision.as_ref().filter(|_| case.next().is_none());
        decision.is_some_and(|decision| keep.after(decision.at_ms) <= now_ms)
    };
    let over: Vec<(u32, Entry)> = cases.look(|register| {
        let over = register.cases.iter().filter(|(_, case)| is_over(case));
        over.map(|(id, case)| (*id, entry(Actor::System, "removed", *id, case)))
            .collect()
    });
    let is_new = |id: u32| cases.entered(id, Step::Remove).is_none();
    let (ids, entries): (Vec<u32>, Vec<Entry>) = over.into_iter().filter(|(id, _)| is_new(*id)).unzip();
    if !entries.is_empty() {
        audit.enter(entries).await?;
    }
    for id in &ids {
        cases.set_entered(*id, Step::Remove, Some(Entered::Begun));
    }
    let removed = cases.change(move |register| {
        register.cases.retain(|_, case| !is_over(case));
        Ok(())
    });
    removed.await
}

fn publish<D: Disk>(hub: &Hub<D>, cases: &Cases, metrics: &AbuseMetrics) {
    let now_ms = time(hub);
    let (open, past, oldest_ms) = cases.waiting(now_ms);
    metrics.publish(
        open,
        past,
        oldest_ms.map_or(0, |opened_ms| now_ms.saturating_sub(opened_ms)),
    );
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
    if case.is_begun() {
        return Err(format!(
            "case {id} is not complete yet: whom it is about is being suspended"
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
        at_ms: time(hub),
    };
    change(&cases, id, move |case| case.decision = Some(decision)).await?;
    heed(hub, &cases);
    let done = advance(hub, audit, &cases, id).await;
    done.map_err(|why| {
        format!("it is decided; but not all that follows is done, and is tried again: {why}")
    })?;
    let case = case_of(&cases, id)?;
    let name = case.account.as_str();
    let is_suspended = hub.look(|gate, _| match &case.sender {
        None => gate.orders().suspended_ms(name).is_some(),
        Some(sender) => gate.orders().sender(name, sender).is_some(),
    });
    Ok(fields(serde_json::json!({
        "id": id,
        "account": name,
        "sender": case.sender.map(|sender| sender.text()),
        "outcome": outcome.word(),
        "restored": case.restored_ms.map(instant),
        "is_suspended": is_suspended,
    })))
}
