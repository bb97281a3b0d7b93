//! Messages that lie in waiting files: who asks for one by its id has the files read.
//!
//! In memory they stand by their carrier's id only (3.4 octets each), so this costs a read of the files of the hours in which
//! the message's receipt may be overdue, a GiB at most, on a thread of the runtime's pool. Neither loop nor keeper waits.

use serde_json::{Map, Value};
use tidegate_store::audit::{Actor, Entry, Field, Kind};
use tidegate_store::disk::Disk;
use tidegate_store::index::Leg;
use tidegate_store::waiting::{Filed, Sought};

use super::{Answer, finished};
use crate::audit::{AuditHandle, word};
use crate::gate::Gate;
use crate::serve::Hub;

pub(super) const NO_RECORDS: &str = "this gateway's records cannot be read";
pub(super) const ENDED: &str = "it has just ended";
const NOT_THERE: &str = "no unfinished message has this id, in memory or in a waiting file; ids of 8 digits are known with their \
                         account only, and not once `receipt_hot` is over";
/// What is told beside that who asks for a message's story.
pub(super) const ASK_SHOW: &str = "of finished ones `message show` tells what is kept";

/// Where an unfinished message stands, in memory or in a waiting file. That records are opened for it is entered before.
pub(super) async fn message_show<D: Disk>(
    hub: &Hub<D>,
    audit: &AuditHandle,
    who: &Actor,
    id: &str,
    account: Option<&str>,
) -> Answer {
    if let Some(shown) = hub.look(|gate, now| gate.message_shown(now, id, account))? {
        return Ok(shown);
    }
    let whose = hub.look(|gate, _| {
        let place = gate.account_by_text(account?)?;
        gate.config().accounts.get(place).map(|account| account.system_id)
    });
    let entry = Entry::new(Kind::OperatorVerb, who.clone())
        .of(whose)
        .with(Field::Verb, word("message show"))
        .with(Field::Outcome, word("asked"));
    audit.enter(vec![entry]).await?;
    match look_up(hub, id, account).await {
        Ok(legs) => {
            let told: Option<Map<String, Value>> =
                hub.look(|gate, now| gate.legs_told(now, id, legs.iter().collect()));
            told.ok_or_else(|| ENDED.to_owned())
        }
        // It may have ended long ago.
        Err(why) => finished::by_id(hub, id, account, None).await?.ok_or_else(|| {
            let unfiled = hub.look(|gate, _| gate.spool().history().unfiled);
            let mut why = format!("{why}. Nor is one of the finished ones kept that has it");
            if unfiled > 0 {
                why.push_str(&format!(
                    "; {unfiled} that have ended are not there yet, so ask again in a moment"
                ));
            }
            why
        }),
    }
}

/// The legs of a message, as its waiting file has them.
///
/// # Errors
///
/// In words for an operator; that there are none, too.
pub(super) async fn look_up<D: Disk>(
    hub: &Hub<D>,
    id: &str,
    account: Option<&str>,
) -> Result<Vec<Leg>, String> {
    let sought = hub.look(|gate, now| gate.sought(now.unix_ms, id));
    if sought.messages.is_empty() {
        return Err(NOT_THERE.to_owned());
    }
    let records = hub.records().ok_or(NO_RECORDS)?;
    let filed = records.filed(sought).await?;
    let legs = hub.look(|gate, _| gate.legs_filed(&filed, id, account))?;
    if legs.is_empty() {
        return Err(not_found(&filed));
    }
    Ok(legs)
}

fn not_found(filed: &Filed) -> String {
    let mut why = if filed.legs.is_empty() { NOT_THERE } else { ENDED }.to_owned();
    if filed.has_more {
        why.push_str(
            ". There are more waiting files than are read for one question (1 GiB): it may lie in the others",
        );
    }
    if filed.damaged > 0 {
        let damaged = filed.damaged;
        why.push_str(&format!(
            ". {damaged} records or files could not be read: `spool verify` names them"
        ));
    }
    why
}

impl<D: Disk> Gate<D> {
    /// What is to be looked for in the files.
    fn sought(&self, now_ms: u64, id: &str) -> Sought {
        let messages = self.messages_spelled(now_ms, id.as_bytes()).to_vec();
        let deadlines = self
            .config
            .carriers
            .iter()
            .map(|carrier| carrier.receipt_deadline);
        let mut waits: Vec<u64> = deadlines
            .map(|deadline| u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX))
            .collect();
        waits.sort_unstable();
        waits.dedup();
        // Most are handed over at once, and wait for as long as their carrier's receipts may take.
        let near = |message: &tidegate_store::message_id::MessageId| {
            let accepted_ms = message.ms();
            waits
                .iter()
                .map(move |wait| accepted_ms.saturating_add(*wait))
                .collect::<Vec<_>>()
        };
        Sought {
            near_ms: messages.iter().flat_map(near).collect(),
            messages,
        }
    }

    /// Those of them that are meant, and have not ended meanwhile.
    fn legs_filed(&self, filed: &Filed, id: &str, account: Option<&str>) -> Result<Vec<Leg>, String> {
        let account = account.map(|name| self.known_account(name)).transpose()?;
        let legs = filed.legs.iter().filter_map(|found| self.spool.filed(found));
        Ok(legs
            .filter(|leg| self.is_of(leg, id.as_bytes(), account))
            .collect())
    }
}
