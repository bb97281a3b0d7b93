//! Looks after requests: those that were begun are gone on with, those whose work is done end, and what is due is counted.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use tidegate_store::audit::Actor;
use tidegate_store::disk::Disk;
use tidegate_store::rules::Span;

use super::{How, Ready, Register, RequestRow, Subjects};
use crate::audit::AuditHandle;
use crate::control::{
    ask_again, carry_out, change, end_subject, forget_subject_keys, subject_noted, subject_standing,
};
use crate::exports::Made;
use crate::serve::Hub;
use crate::telemetry::SubjectMetrics;

/// How often it is looked.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Before what failed is tried again.
const AGAIN: Duration = Duration::from_secs(60);
/// How often an answer that breaks off while it is made is begun once more, a minute longer apart each time.
const REMADE_MAX: u32 = 5;
/// How often it is counted, whatever has changed.
const COUNT_EVERY: Duration = Duration::from_secs(5);
/// How often it is looked for what need not be proved any more.
const FORGET_EVERY: Duration = Duration::from_secs(3_600);

/// Does so while the gateway runs. What a crash or a date has left begins with the first look.
pub async fn tend<D: Disk + 'static>(hub: Rc<Hub<D>>, audit: AuditHandle, metrics: SubjectMetrics) {
    let Some(subjects) = hub.subjects().cloned() else {
        return;
    };
    let mut every = tokio::time::interval(LOOK_EVERY);
    let (mut again, mut remade) = (BTreeMap::new(), BTreeMap::new());
    let (mut count_at, mut counted, mut forget_at) = (Duration::ZERO, None, Duration::ZERO);
    loop {
        every.tick().await;
        let now = hub.now().monotonic;
        look(&hub, &subjects, &audit, (&mut again, &mut remade)).await;
        remade.retain(|id, _| again.contains_key(&Some(*id)));
        if now >= forget_at {
            forget_at = now + FORGET_EVERY;
            if let Err(error) = forget(&hub, &subjects).await {
                tracing::error!(
                    error,
                    "ended requests of people cannot be forgotten; tried again in an hour"
                );
            }
        }
        let state = subjects.state().await;
        let writes = state.register.writes();
        if now >= count_at || counted != Some(writes) {
            (count_at, counted) = (now + COUNT_EVERY, Some(writes));
            let open: Vec<&RequestRow> = state.open().map(|(_, row)| row).collect();
            metrics.publish(&open, hub.believed_ms());
        }
    }
}

/// What is to be done about a request that was begun.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Nothing,
    /// It has come to its end, at this time.
    End(u64),
    /// Begun and not done: a crash came, or something was in the way.
    GoOn,
    /// Its answer was being made, and is not: it is begun once more, later.
    Remake,
    /// Its answer can be fetched.
    Fetch(Ready),
    /// Nobody has fetched its answer, which has ended: an operator says what becomes of it.
    Unfetched,
    /// Its order to erase is not there: another is given.
    Anew,
}

/// By what has become of its order or export: `executed` is `None` where there is no such order, and has the time when it was
/// executed, if it was.
fn next(row: &RequestRow, executed: Option<Option<u64>>, made: Option<Made>, now_ms: u64) -> Next {
    if row.run_ms.is_none() {
        return Next::Nothing;
    }
    if row.order.is_some() {
        return match executed {
            None => Next::Anew,
            // What stays was not reckoned yet: it is said before the end is, even where the sweep has been faster.
            Some(_) if row.answered_ms.is_none() => Next::GoOn,
            Some(Some(at_ms)) => Next::End(at_ms),
            Some(None) => Next::Nothing,
        };
    }
    match made.filter(|_| row.export.is_some()) {
        // Who has asked has it: until then it may have to be made once more.
        Some(Made::Fetched) => Next::End(now_ms),
        Some(Made::Ready { ends_ms, .. }) if ends_ms <= now_ms => Next::Unfetched,
        Some(Made::Ready { ends_ms, unreadable }) if row.ready.is_none() => Next::Fetch(Ready {
            at_ms: now_ms,
            ends_ms,
            unreadable,
        }),
        Some(Made::Ready { .. } | Made::Making) => Next::Nothing,
        // It went because somebody's data in it was erased, or with a process that ended while it was made.
        Some(Made::Over) | None => match row.ready {
            Some(ready) if row.export.is_some() && ready.ends_ms <= now_ms => Next::Unfetched,
            None if row.export.is_some() => Next::Remake,
            _ => Next::GoOn,
        },
    }
}

/// What is to be done about whom. One pass over what is open, with nothing waited for but the registers.
async fn steps<D: Disk>(hub: &Hub<D>, subjects: &Subjects) -> Vec<(u32, Next)> {
    let state = subjects.state().await;
    let has_begun = |row: &RequestRow| row.run_ms.is_some();
    if !state.open().any(|(_, row)| has_begun(row)) {
        return Vec::new();
    }
    let matters = match hub.legal() {
        None => None,
        Some(legal) => Some(legal.state().await),
    };
    let (exports, now_ms) = (hub.exports(), hub.believed_ms());
    // By a clock that has jumped no answer is over (RET-9).
    let is_doubted = hub.is_doubted();
    let begun = state.open().filter(|(_, row)| has_begun(row));
    let steps = begun.map(|(id, row)| {
        let person = state.people.get(&id).map_or(&[][..], |person| person.as_slice());
        let order = row.order.zip(matters.as_deref());
        let executed = order.and_then(|(order, matters)| subject_standing(matters, row, order, person));
        let made = row.export.zip(exports.as_ref());
        let made = made.and_then(|(export, exports)| exports.made(export));
        (id, next(row, executed, made, now_ms))
    });
    let is_idle = |next: &Next| *next == Next::Nothing || (is_doubted && *next == Next::Unfetched);
    steps.filter(|(_, next)| !is_idle(next)).collect()
}

/// Does what is to be done. What fails is tried again in a minute, and holds up no other.
async fn look<D: Disk + 'static>(
    hub: &Rc<Hub<D>>,
    subjects: &Subjects,
    audit: &AuditHandle,
    (again, remade): (&mut BTreeMap<Option<u32>, Duration>, &mut BTreeMap<u32, u32>),
) {
    let now = hub.now().monotonic;
    again.retain(|_, at| *at > now);
    if !again.contains_key(&None) {
        let done = forget_subject_keys(hub, subjects, audit).await;
        note(again, None, now, done);
    }
    for (id, next) in steps(hub, subjects).await {
        if again.contains_key(&Some(id)) {
            continue;
        }
        // Who runs it does it.
        let Some(_busy) = subjects.begin(id) else {
            continue;
        };
        let is_remade = next == Next::Remake;
        let done = match is_remade {
            // What breaks off each time would fill the disk each time, too.
            true if remade.get(&id).is_some_and(|tries| *tries >= REMADE_MAX) => {
                remade.remove(&id);
                change(subjects, id, |row| ask_again(row, "its export breaks off")).await
            }
            _ => step(hub, subjects, audit, id, next).await,
        };
        if is_remade {
            let tries = remade.entry(id).or_default();
            *tries += 1;
            again.insert(Some(id), now + AGAIN * *tries);
        }
        note(again, Some(id), now, done);
    }
}

fn note(
    again: &mut BTreeMap<Option<u32>, Duration>,
    request: Option<u32>,
    now: Duration,
    done: Result<(), String>,
) {
    if let Err(error) = done {
        tracing::error!(
            request,
            error,
            "a person's request, or the end of its key, cannot be carried out; tried again in a minute"
        );
        again.insert(request, now + AGAIN);
    }
}

async fn step<D: Disk + 'static>(
    hub: &Rc<Hub<D>>,
    subjects: &Subjects,
    audit: &AuditHandle,
    id: u32,
    next: Next,
) -> Result<(), String> {
    let by = (audit, &Actor::System);
    match next {
        Next::Nothing => Ok(()),
        Next::End(at_ms) => end_subject(hub, subjects, by, (id, How::Done, at_ms), None).await,
        Next::GoOn | Next::Remake => carry_out(hub, subjects, by, id).await,
        Next::Fetch(ready) => {
            if ready.unreadable > 0 {
                tracing::warn!(
                    request = id,
                    blocks = ready.unreadable,
                    "the answer to a person's request is not whole: blocks of history do not open"
                );
            }
            change(subjects, id, |row| row.ready = Some(ready)).await
        }
        Next::Unfetched => {
            let row = subjects.state().await.register.requests.get(&id).cloned();
            if let Some(row) = row {
                audit
                    .enter(vec![subject_noted(&Actor::System, "not fetched", (id, &row))])
                    .await?;
            }
            change(subjects, id, |row| {
                ask_again(row, "nobody fetched its answer until its date");
            })
            .await
        }
        Next::Anew => {
            tracing::error!(
                request = id,
                "the order to erase of a person's request is not in the register of holds: it is given again"
            );
            change(subjects, id, |row| {
                (row.order, row.answered_ms) = (None, None);
                row.kept.clear();
            })
            .await?;
            carry_out(hub, subjects, by, id).await
        }
    }
}

/// Has the register forget what need not be proved any more; never by a clock that has jumped (RET-9).
async fn forget<D: Disk>(hub: &Hub<D>, subjects: &Subjects) -> Result<(), String> {
    let mut state = subjects.state().await;
    match without_old(&state.register, hub.believed_ms()).filter(|_| !hub.is_doubted()) {
        Some(rest) => state.register.replace(rest).await,
        None => Ok(()),
    }
}

/// The register without what need not be proved any more; `None` where nothing goes.
fn without_old(register: &Register, now_ms: u64) -> Option<Register> {
    let kept = Span::new(super::KEPT_MONTHS, 0, 0).unwrap_or(Span::ZERO);
    let is_old = |row: &RequestRow| row.ended.is_some_and(|(at_ms, _)| kept.after(at_ms) <= now_ms);
    register.requests.values().any(|row| is_old(row)).then(|| {
        let mut rest = register.clone();
        rest.requests.retain(|_, row| !is_old(row));
        rest
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::subjects::some_row;

    #[test]
    fn what_was_begun_and_not_done_is_gone_on_with_and_what_is_done_ends() {
        let row = |run_ms, order, answered_ms| RequestRow {
            run_ms,
            order,
            answered_ms,
            export: None,
            ready: None,
            ..some_row()
        };
        let begun = |order, answered| row(Some(1), order, answered);
        for (row, executed, expected) in [
            (row(None, None, None), None, Next::Nothing),
            (begun(None, None), None, Next::GoOn),
            // Given, and what stays is not answered.
            (begun(Some(1), None), Some(None), Next::GoOn),
            (begun(Some(1), Some(2)), Some(None), Next::Nothing),
            (begun(Some(1), Some(2)), Some(Some(7)), Next::End(7)),
            // Executed before it was said what stays.
            (begun(Some(1), None), Some(Some(7)), Next::GoOn),
            // Lost, or somebody else's by now.
            (begun(Some(1), Some(2)), None, Next::Anew),
        ] {
            assert_eq!(next(&row, executed, None, 9), expected, "{row:?}");
        }
    }

    #[test]
    fn an_answer_stays_until_somebody_has_it_is_made_anew_where_it_went_and_never_against_an_operator_s_word()
    {
        let row = |ready| RequestRow {
            run_ms: Some(1),
            order: None,
            export: Some(2),
            ready,
            answered_ms: None,
            ..some_row()
        };
        let is_there = |ends_ms| {
            Some(Made::Ready {
                ends_ms,
                unreadable: 3,
            })
        };
        let ready = Ready {
            at_ms: 9,
            ends_ms: 12,
            unreadable: 3,
        };
        for (before, made, expected) in [
            (None, Some(Made::Making), Next::Nothing),
            (None, is_there(12), Next::Fetch(ready)),
            (Some(ready), is_there(12), Next::Nothing),
            (Some(ready), Some(Made::Fetched), Next::End(9)),
            // Another person's erasure took it along.
            (Some(ready), Some(Made::Over), Next::GoOn),
            (Some(ready), None, Next::GoOn),
            // It was being made when the process ended: its file went with the start.
            (None, None, Next::Remake),
            // It broke off.
            (None, Some(Made::Over), Next::Remake),
            (Some(ready), is_there(9), Next::Unfetched),
            (Some(Ready { ends_ms: 9, ..ready }), None, Next::Unfetched),
        ] {
            assert_eq!(next(&row(before), None, made, 9), expected, "{before:?} {made:?}");
        }
        let mut deleted = row(Some(ready));
        ask_again(&mut deleted, "its export was deleted");
        assert_eq!(
            (next(&deleted, None, None, 9), deleted.state()),
            (Next::Nothing, "verified")
        );
    }

    #[test]
    fn what_has_ended_stays_three_years_and_what_is_open_as_long_as_it_takes() {
        let ended = RequestRow {
            ended: Some((0, How::Done)),
            ..some_row()
        };
        let mut register = Register::default();
        register.requests.insert(1, Arc::new(ended));
        register.requests.insert(2, Arc::new(some_row()));
        // 1970 to 1973, with a leap day.
        let after_ms = (3 * 365 + 1) * 24 * 3_600_000;
        assert_eq!(without_old(&register, after_ms - 1), None);
        let rest = without_old(&register, after_ms).unwrap();
        assert_eq!(rest.requests.keys().collect::<Vec<_>>(), [&2]);
    }
}
