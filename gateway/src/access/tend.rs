//! What becomes of grants by themselves: they end at their time, and accounts are told of them.

use std::rc::Rc;
use std::time::Duration;

use tidegate_store::audit::Actor;
use tidegate_store::disk::Disk;

use super::end;
use crate::audit::AuditHandle;
use crate::notices::{About, New};
use crate::serve::Hub;
use crate::telemetry::AccessMetrics;

/// How often it is looked. Nobody reads by one from its end on, whenever that is noticed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Does so while the gateway runs.
pub async fn tend<D: Disk>(hub: Rc<Hub<D>>, audit: AuditHandle, metrics: AccessMetrics) {
    let Some(access) = hub.access() else { return };
    let mut every = tokio::time::interval(LOOK_EVERY);
    loop {
        every.tick().await;
        let mut done = settle(&hub).await;
        for number in access.numbers(|grant| grant.ended.is_none() && !grant.runs(&hub)) {
            let ended = end(&hub, (&audit, &Actor::System), number, "its time").await;
            done = done.and(ended.map(drop));
        }
        // By a clock that has jumped nothing is forgotten (RET-9).
        if !hub.is_doubted() {
            done = done.and(access.forget(hub.believed_ms()).await);
        }
        metrics.publish(access.numbers(|grant| grant.runs(&hub)).len(), access.begun());
        if let Err(error) = done {
            tracing::error!(error, "break-glass cannot be ended or told of as it should");
        }
    }
}

/// Has the register of notices hold one of each grant.
pub(crate) async fn settle<D: Disk>(hub: &Hub<D>) -> Result<(), String> {
    let access = hub
        .access()
        .ok_or("this gateway has no register of break-glass")?;
    if access.numbers(|grant| grant.notice.is_none()).is_empty() {
        return Ok(());
    }
    let notices = hub.notices().ok_or("this gateway keeps no notices")?;
    let _alone = access.turn.lock().await;
    let (mut register, mut failed, mut is_changed) = (access.register(), Ok(()), false);
    for (number, grant) in &mut register.grants {
        if grant.notice.is_some() {
            continue;
        }
        let what = match grant.class {
            super::Depth::Meta => "numbers",
            super::Depth::Body => "numbers and texts",
        };
        let new = New {
            account: grant.account.clone(),
            about: About::Access,
            // Numbers begin anew where the register was removed, or is an older one: the notice of then is not this one's.
            reference: format!(
                "break-glass {number} of {}",
                crate::control::instant(grant.from_ms)
            ),
            text: format!(
                "{what} of messages of your account were opened to {} from {} until {}, ticket {}",
                grant.token,
                crate::control::instant(grant.from_ms),
                crate::control::instant(grant.until_ms),
                grant.ticket,
            ),
            due_ms: grant.from_ms,
        };
        // One that cannot be told holds up no other.
        match notices.add(new, hub.now().unix_ms).await {
            Ok(notice) => (grant.notice, is_changed) = (Some(notice), true),
            Err(error) => failed = Err(error),
        }
    }
    if is_changed {
        access.write(register).await?;
    }
    failed
}
