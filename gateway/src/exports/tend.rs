//! Ending exports: at their dates, on an operator's word, and where what they were made of is erased.

use std::rc::Rc;
use std::time::Duration;

use tidegate_store::audit::{Actor, Entry, Field, Kind};
use tidegate_store::disk::Disk;
use tokio::sync::oneshot;

use super::{State, file};
use crate::audit::{AuditHandle, word};
use crate::control::not_done;
use crate::keeper::{ExportKeys, RingOrder};
use crate::serve::Hub;

/// How often it is looked. Nobody reads one from its end date on, whenever that is noticed.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Before a removal that failed is tried again.
const AGAIN: Duration = Duration::from_secs(60);

/// Does so while the gateway runs. What a kill has left goes first: files without a key, and keys without a file.
pub async fn tend<D: Disk>(hub: Rc<Hub<D>>, audit: AuditHandle) {
    let Some(exports) = hub.exports() else { return };
    let mut every = tokio::time::interval(LOOK_EVERY);
    let mut is_reconciled = false;
    loop {
        every.tick().await;
        let mut failed = None;
        if !is_reconciled {
            match reconcile(&hub, &audit).await {
                Ok(()) => is_reconciled = true,
                Err(error) => failed = Some(error),
            }
        }
        count(&hub);
        let there = exports.list();
        // By a clock that has jumped nothing is destroyed (RET-9); nobody reads it all the same.
        let now_ms = hub.believed_ms();
        let is_doubted = hub.is_doubted();
        for export in &there {
            let why = match export.state {
                State::Over => "not made",
                _ if export.is_given_up => "erased",
                _ if export.is_due(now_ms) && !is_doubted => "date",
                _ => continue,
            };
            if matches!(export.state, State::Making { .. }) {
                // Who makes it finds that.
                exports.stop(export.head.number);
            } else if let Err(error) = end(&hub, &audit, export.head.number, why).await {
                failed = Some(error);
            }
        }
        if let Some(error) = failed {
            tracing::error!(error, "exports that are over cannot all be removed");
            tokio::time::sleep(AGAIN).await;
        }
    }
}

/// Has all that there is count in the one budget of files, as it is now.
pub(crate) fn count<D: Disk>(hub: &Hub<D>) {
    let Some(exports) = hub.exports() else { return };
    let (files, octets) = exports.taken();
    exports.metrics.publish(files, octets);
    let is_another = hub.look(|gate, _| {
        let before = gate.spool().intake().is_ok();
        gate.spool_mut().count_others(octets);
        before != gate.spool().intake().is_ok()
    });
    if is_another {
        // Who waits for room, or tells of it, learns that now.
        hub.with_gate(|_, _| ());
    }
}

async fn reconcile<D: Disk>(hub: &Hub<D>, audit: &AuditHandle) -> Result<(), String> {
    let exports = hub.exports().ok_or("there are none")?;
    if let Some(legal) = hub.legal() {
        let state = legal.state().await;
        for order in state.register.orders.values() {
            exports.give_up(order.account, order.asked_ms);
        }
        for (_, restriction) in state.register.restricting() {
            exports.give_up(restriction.account, restriction.since_ms);
        }
        for hold in state.register.holds.values() {
            if let Some(released_ms) = hold.released_ms {
                exports.give_up_held(hold.account, released_ms);
            }
        }
    }
    let _alone = exports.turn.lock().await;
    let keys = order(hub, ExportKeys::List).await?;
    let files = exports.numbers();
    let mut done = Ok(());
    for number in keys.symmetric_difference(&files) {
        let ended = end_one(hub, audit, *number, "left over").await;
        done = done.and(ended);
    }
    done
}

/// Ends one: its key first, then its file. Nobody reads it any more from the first of these on.
///
/// # Errors
///
/// In words for an operator. What was done until then stays done, and the rest is tried again.
pub(crate) async fn end<D: Disk>(
    hub: &Hub<D>,
    audit: &AuditHandle,
    number: u64,
    why: &str,
) -> Result<(), String> {
    let exports = hub.exports().ok_or("there are none")?;
    let _alone = exports.turn.lock().await;
    if exports.get(number).is_none() {
        return Ok(());
    }
    end_one(hub, audit, number, why).await
}

async fn end_one<D: Disk>(hub: &Hub<D>, audit: &AuditHandle, number: u64, why: &str) -> Result<(), String> {
    let exports = hub.exports().ok_or("there are none")?;
    let account = exports.get(number).map(|export| export.head.account);
    let entry = Entry::new(Kind::Export, Actor::System)
        .of(account)
        .with(Field::Verb, word("export delete"))
        .with(Field::Outcome, word("ended"))
        .with(Field::Reason, word(why))
        .with(Field::File, word(&number.to_string()));
    audit.enter(vec![entry]).await?;
    destroy(hub, number).await?;
    let dir = exports.dir.clone();
    tokio::task::spawn_blocking(move || file::remove(&dir, number))
        .await
        .map_err(|error| not_done(&error).to_owned())?
        .map_err(|error| error.to_string())?;
    exports.all().remove(&number);
    exports.metrics.ended.increment(1);
    count(hub);
    Ok(())
}

/// Destroys an export's key; with none there is nothing to do.
pub(super) async fn destroy<D: Disk>(hub: &Hub<D>, number: u64) -> Result<(), String> {
    order(hub, |answer| ExportKeys::Destroy { number, answer }).await?
}

/// Has the keeper do something about exports' keys.
pub(crate) async fn order<D: Disk, T>(
    hub: &Hub<D>,
    order: impl FnOnce(oneshot::Sender<T>) -> ExportKeys,
) -> Result<T, String> {
    let orders = hub.key_ring().ok_or("this gateway has no keeper")?;
    let (answer, answered) = oneshot::channel();
    let given = orders.send(RingOrder::Exports(order(answer))).await;
    given.map_err(|_| "the gateway ends")?;
    answered.await.map_err(|_| "the gateway ends".to_owned())
}
