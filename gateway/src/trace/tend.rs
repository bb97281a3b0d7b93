//! Ending traces, and removing what has been kept for long enough.

use std::rc::Rc;
use std::time::Duration;

use serde_json::json;
use tidegate_store::audit::{Actor, Entry, Field, Kind, Value, Word};
use tidegate_store::disk::Disk;
use tokio::sync::oneshot;

use super::file::Kept;
use super::running::{Finished, Running, Whose};
use crate::audit::AuditHandle;
use crate::control::{Answer, not_done};
use crate::serve::Hub;

/// How often it is looked. A trace takes nothing in any more from its end on, whenever that is noticed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Does so until `ended` says that the loop runs no more turns; what runs then ends. Nobody else ends a trace: whoever asked for
/// one, or for its end, may be given up by the gateway's own end before anything is entered in the audit log.
pub async fn tend<D: Disk>(hub: Rc<Hub<D>>, audit: AuditHandle, mut ended: oneshot::Receiver<()>) {
    let mut every = tokio::time::interval(LOOK_EVERY);
    let mut is_last = false;
    loop {
        tokio::select! {
            biased;
            _ = &mut ended => is_last = true,
            () = hub.trace_stopped.notified() => {}
            _ = every.tick() => {}
        }
        if is_last {
            hub.look(|gate, _| gate.traces.close());
            // One that is just being begun finds that it is too late, and takes its file away.
            if let Some(files) = hub.traces() {
                let _alone = files.turn().await;
            }
        }
        for mut finished in hub.look(|gate, now| gate.traces.take_over(now, is_last)) {
            let told = finished.0.stopped.take();
            // Its end is logged in any case.
            let done = finish(&hub, &audit, finished).await;
            if let Some(told) = told {
                // Who has gone needs no answer.
                let _ = told.send(done);
            }
        }
        if is_last {
            return;
        }
        remove_due(&hub).await;
    }
}

async fn remove_due<D: Disk>(hub: &Hub<D>) {
    let now_ms = hub.now().unix_ms;
    if let Some(files) = hub.traces().filter(|files| files.is_due(now_ms)) {
        let removed = tokio::task::spawn_blocking(move || files.remove_due(now_ms));
        if let Err(error) = removed.await {
            not_done(&error);
        }
    }
}

/// Waits until a trace is written, keeps its file, and enters its end in the audit log; says what it has come to.
async fn finish<D: Disk>(hub: &Hub<D>, audit: &AuditHandle, Finished(running, why): Finished) -> Answer {
    let now_ms = hub.now().unix_ms;
    let Running {
        number,
        whose,
        file,
        writer,
        ..
    } = running;
    let counts = tokio::task::spawn_blocking(move || writer.end(why, now_ms))
        .await
        .map_err(|error| not_done(&error).to_owned())?;
    let why = counts.why().unwrap_or(why).word();
    let (pdus, octets, dropped) = (counts.lines(), counts.octets(), counts.dropped());
    if let Some(files) = hub.traces() {
        files.keep(Kept {
            name: file.clone(),
            ended_ms: counts.ended_ms(),
            octets,
        });
    }
    let name = |text: &str| Value::Word(Word::of_name(text));
    let (account, carrier) = match &whose {
        Whose::Account(account) => (Some(*account), None),
        Whose::Carrier(carrier) => (None, Some(carrier.as_str())),
    };
    let mut entry = Entry::new(Kind::OperatorVerb, Actor::System)
        .of(account)
        .with(Field::Verb, name("trace pdus"))
        .with(Field::Outcome, name("ended"))
        .with(Field::Reason, name(why))
        .with(Field::File, name(&file))
        .with(Field::Count, Value::Count(pdus))
        .with(Field::Octets, Value::Count(octets));
    if let Some(carrier) = carrier {
        entry = entry.with(Field::Carrier, name(carrier));
    }
    if let Err(error) = audit.enter(vec![entry]).await {
        tracing::error!(
            error,
            trace = number,
            "the end of a trace cannot be entered in the audit log"
        );
    }
    tracing::info!(
        trace = number,
        account = account.map(tracing::field::display),
        carrier,
        why,
        pdus,
        octets,
        dropped,
        "a PDU trace has ended"
    );
    let told = json!({ "stopped": number, "file": file, "pdus": pdus, "octets": octets, "dropped": dropped });
    Ok(crate::control::fields(told))
}
