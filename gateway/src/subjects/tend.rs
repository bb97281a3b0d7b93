//! Looks after requests: those that were begun are gone on with, those whose work is done end, and what is due is counted.

use std::rc::Rc;
use std::time::Duration;

use tidegate_store::audit::Actor;
use tidegate_store::disk::Disk;
use tidegate_store::rules::Span;

use super::{How, Register, RequestRow, State, Subjects};
use crate::audit::AuditHandle;
use crate::control::{carry_out, end_subject, forget_subject_keys, rules_now};
use crate::exports::Made;
use crate::serve::Hub;
use crate::telemetry::SubjectMetrics;

/// How often it is looked.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Before what failed is tried again.
const AGAIN: Duration = Duration::from_secs(60);

/// Does so while the gateway runs. What a crash or a date has left begins with the first look.
pub async fn tend<D: Disk + 'static>(hub: Rc<Hub<D>>, audit: AuditHandle, metrics: SubjectMetrics) {
    let Some(subjects) = hub.subjects().cloned() else {
        return;
    };
    let mut every = tokio::time::interval(LOOK_EVERY);
    let mut again_at = Duration::ZERO;
    loop {
        every.tick().await;
        let now = hub.now();
        let mut state = subjects.state().await;
        if now.monotonic >= again_at
            && let Err(error) = look(&hub, &subjects, &audit, &mut state).await
        {
            tracing::error!(
                error,
                "requests of people cannot all be carried out; tried again in a minute"
            );
            again_at = now.monotonic + AGAIN;
        }
        metrics.publish(&state.register, rules_now(&hub));
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
}

/// By what has become of its order or export.
fn next(row: &RequestRow, executed_ms: Option<u64>, made: Option<Made>, now_ms: u64) -> Next {
    match (row.order, row.export, made) {
        _ if row.run_ms.is_none() => Next::Nothing,
        (Some(_), ..) => executed_ms.map_or(Next::Nothing, Next::End),
        (None, Some(_), Some(Made::Ready)) => Next::End(now_ms),
        (None, Some(_), Some(Made::Making)) => Next::Nothing,
        (None, Some(_), Some(Made::Over) | None) | (None, None, _) => Next::GoOn,
    }
}

async fn look<D: Disk + 'static>(
    hub: &Rc<Hub<D>>,
    subjects: &Subjects,
    audit: &AuditHandle,
    state: &mut State,
) -> Result<(), String> {
    let by = (audit, &Actor::System);
    let mut failed = forget_subject_keys(hub, subjects, state).await;
    let begun = state.register.open().filter(|(_, row)| row.run_ms.is_some());
    let begun: Vec<u32> = begun.map(|(id, _)| id).collect();
    for id in begun {
        let Some(row) = state.register.requests.get(&id) else {
            continue;
        };
        let executed_ms = match (row.order, hub.legal()) {
            (Some(order), Some(legal)) => {
                let matters = legal.state().await;
                matters
                    .register
                    .orders
                    .get(&order)
                    .and_then(|order| order.executed_ms)
            }
            _ => None,
        };
        let made = row.export.and_then(|export| hub.exports()?.made(export));
        let done = match next(row, executed_ms, made, rules_now(hub)) {
            Next::Nothing => Ok(()),
            Next::End(at_ms) => end_subject(hub, subjects, by, state, (id, How::Done, at_ms), None).await,
            Next::GoOn => carry_out(hub, subjects, by, state, id).await,
        };
        // One that cannot be done holds up no other.
        failed = failed.and(done);
    }
    let is_doubted = hub.look(|gate, now| {
        let keeping = gate.keeping();
        keeping.is_some_and(|keeping| keeping.believed().doubts(now.unix_ms))
    });
    if let Some(rest) = without_old(&state.register, rules_now(hub)).filter(|_| !is_doubted) {
        subjects.write(state, rest).await?;
    }
    failed
}

/// The register without what need not be proved any more; `None` where nothing goes.
fn without_old(register: &Register, now_ms: u64) -> Option<Register> {
    let kept = Span::new(super::KEPT_MONTHS, 0, 0).unwrap_or(Span::ZERO);
    let is_old = |row: &RequestRow| row.ended.is_some_and(|(at_ms, _)| kept.after(at_ms) <= now_ms);
    register.requests.values().any(is_old).then(|| {
        let mut rest = register.clone();
        rest.requests.retain(|_, row| !is_old(row));
        rest
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subjects::some_row;

    #[test]
    fn what_was_begun_and_not_done_is_gone_on_with_and_what_is_done_ends() {
        let row = |run_ms, order, export| RequestRow {
            run_ms,
            order,
            export,
            ..some_row()
        };
        let (order, export) = (Some(1), Some(2));
        for (row, executed_ms, made, expected) in [
            (row(None, None, None), None, None, Next::Nothing),
            (row(Some(1), None, None), None, None, Next::GoOn),
            (row(Some(1), order, None), None, None, Next::Nothing),
            (row(Some(1), order, None), Some(7), None, Next::End(7)),
            (
                row(Some(1), None, export),
                None,
                Some(Made::Making),
                Next::Nothing,
            ),
            (row(Some(1), None, export), None, Some(Made::Ready), Next::End(9)),
            (row(Some(1), None, export), None, Some(Made::Over), Next::GoOn),
            // It was being made when the process ended: its file went with the start.
            (row(Some(1), None, export), None, None, Next::GoOn),
        ] {
            assert_eq!(next(&row, executed_ms, made, 9), expected, "{row:?}");
        }
    }

    #[test]
    fn what_has_ended_stays_three_years_and_what_is_open_as_long_as_it_takes() {
        let ended = RequestRow {
            ended: Some((0, How::Done)),
            ..some_row()
        };
        let mut register = Register::default();
        register.requests.insert(1, ended);
        register.requests.insert(2, some_row());
        // 1970 to 1973, with a leap day.
        let after_ms = (3 * 365 + 1) * 24 * 3_600_000;
        assert_eq!(without_old(&register, after_ms - 1), None);
        let rest = without_old(&register, after_ms).unwrap();
        assert_eq!(rest.requests.keys().collect::<Vec<_>>(), [&2]);
    }
}
