//! Cases of abuse at the control socket: what suspended accounts, or senders of theirs, by itself, and what a person decides of that.
//!
//! ```text
//! {"version":1,"verb":"case list"}
//! {"version":1,"verb":"case decide","id":3,"outcome":"reversed","reviewer":"Ana Ruiz","reason":"a campaign of theirs"}
//! ```

use std::ops::Bound;

use serde_json::{Map, Value, json};
use tidegate_store::audit::{Actor, Detail, Field, Kind, Value as Told};
use tidegate_store::disk::Disk;

use super::request::{Keys, Page, line};
use super::steering::fields;
use super::{Answer, hex, instant};
use crate::abuse::cases::TEXT_MAX;
use crate::abuse::{self, Case, Outcome, Signal};
use crate::audit::{AuditHandle, word};
use crate::serve::Hub;
use crate::telemetry::words::Word as _;

/// What is wanted of cases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Casing {
    /// Which there are, by their numbers.
    List {
        /// A page of them.
        page: Page<u32>,
    },
    /// One of them with its evidence.
    Show {
        /// Its number.
        id: u32,
    },
    /// Signals of late, whatever followed.
    Signals {
        /// Of this account only.
        account: Option<String>,
    },
    /// A person decides.
    Decide {
        /// Its number.
        id: u32,
        /// What.
        outcome: Outcome,
        /// Who, by name.
        reviewer: String,
        /// Why.
        reason: String,
    },
}

impl Casing {
    /// As on the command line.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::List { .. } => "case list",
            Self::Show { .. } => "case show",
            Self::Signals { .. } => "case signals",
            Self::Decide { .. } => "case decide",
        }
    }

    /// Whether it changes nothing.
    pub(super) const fn is_reading(&self) -> bool {
        !matches!(self, Self::Decide { .. })
    }

    /// As a request's line.
    pub(super) fn request(&self) -> Value {
        let keys = match self {
            Self::List { page } => json!({ "after": page.after, "limit": page.limit }),
            Self::Show { id } => json!({ "id": id }),
            Self::Signals { account } => json!({ "account": account }),
            Self::Decide {
                id,
                outcome,
                reviewer,
                reason,
            } => json!({ "id": id, "outcome": outcome.word(), "reviewer": reviewer, "reason": reason }),
        };
        line(self.word(), keys)
    }

    /// Reads a request's line, if it is one of these.
    pub(super) fn read(verb: &str, request: &Map<String, Value>) -> Option<Result<Self, String>> {
        let keys = Keys(request);
        Some(match verb {
            "case list" => read_list(&keys),
            "case show" => id(&keys).map(|id| Self::Show { id }),
            "case signals" => keys.text("account").map(|account| Self::Signals { account }),
            "case decide" => read_decide(&keys),
            _ => return None,
        })
    }

    /// What the audit log holds of it: who looked at what stands for people. A decision is entered where it is made.
    pub(super) fn noted(&self) -> Option<(Kind, Vec<Detail>)> {
        let verb = (Field::Verb, word(self.word()));
        match self {
            Self::List { .. } | Self::Decide { .. } => None,
            Self::Signals { .. } => Some((Kind::Read, vec![verb])),
            Self::Show { id } => Some((
                Kind::Read,
                vec![verb, (Field::Sequence, Told::Count((*id).into()))],
            )),
        }
    }
}

fn id(keys: &Keys<'_>) -> Result<u32, String> {
    keys.row("id", "the number of a case")
}

fn read_list(keys: &Keys<'_>) -> Result<Casing, String> {
    let after = keys.number("after")?.map(u32::try_from).transpose();
    let page = Page {
        after: after.map_err(|_| "\"after\" is the number of a case")?,
        limit: keys.limit()?,
    };
    Ok(Casing::List { page })
}

fn read_decide(keys: &Keys<'_>) -> Result<Casing, String> {
    Ok(Casing::Decide {
        id: id(keys)?,
        outcome: keys.needed_one_of("outcome", &Outcome::ALL, Outcome::word)?,
        reviewer: keys.said("reviewer", TEXT_MAX)?,
        reason: keys.said("reason", TEXT_MAX)?,
    })
}

/// Does it.
pub(super) async fn case<D: Disk>(
    hub: &Hub<D>,
    (audit, who): (&AuditHandle, &Actor),
    wanted: &Casing,
) -> Answer {
    let cases = hub.cases().ok_or("this gateway keeps no cases")?;
    let now_ms = hub.look(|gate, now| gate.case_time(now));
    match wanted {
        Casing::List { page } => {
            let (open, register) = (cases.open_count(), cases.register());
            let behind = (Bound::Excluded(page.after.unwrap_or(0)), Bound::Unbounded);
            let mut left = register.cases.range(behind);
            let page: Vec<_> = left.by_ref().take(page.limit()).collect();
            let next = page.last().map(|(id, _)| **id).filter(|_| left.next().is_some());
            let rows: Vec<Value> = page
                .into_iter()
                .map(|(id, case)| listed(*id, case, now_ms))
                .collect();
            Ok(fields(json!({ "open": open, "cases": rows, "next": next })))
        }
        Casing::Show { id } => cases.look(|register| {
            let case = register.cases.get(id);
            let case = case.ok_or_else(|| format!("there is no case {id}"))?;
            let mut told = shown(*id, case, now_ms);
            told["listed_as"] = json!(hub.look(|gate, _| {
                let place = gate.account_by_text(case.account.as_str())?;
                gate.listed_sender(place, case.sender.as_ref()?)
            }));
            Ok(fields(told))
        }),
        Casing::Signals { account } => hub.look(|gate, _| {
            if let Some(account) = account {
                gate.known_account(account)?;
            }
            let is_meant = |signal: &&Signal| {
                let name = account.as_deref();
                name.is_none_or(|name| name == signal.account.as_str())
            };
            let signals: Vec<Value> = gate.abuse.signals().filter(is_meant).map(signal_shown).collect();
            Ok(fields(json!({ "signals": signals })))
        }),
        Casing::Decide {
            id,
            outcome,
            reviewer,
            reason,
        } => abuse::decide(hub, (audit, who), *id, (*outcome, reviewer, reason)).await,
    }
}

fn listed(id: u32, case: &Case, now_ms: u64) -> Value {
    let state = match &case.decision {
        Some(decision) => decision.outcome.word(),
        None if case.not_suspended.is_some() => "not suspended",
        None => "open",
    };
    json!({
        "id": id,
        "account": case.account.as_str(),
        "sender": case.sender.map(|sender| sender.text()),
        "rule": case.rule.label(),
        "state": state,
        "not_suspended": case.not_suspended.map(|not| not.why.why()),
        "opened": instant(case.opened_ms),
        "review": instant(case.review_ms),
        "is_past_review": case.is_open() && case.review_ms <= now_ms,
        "notice": case.notice,
    })
}

fn shown(id: u32, case: &Case, now_ms: u64) -> Value {
    let mut told = listed(id, case, now_ms);
    let evidence = json!({
        "content": case.content.as_deref(),
        "score": case.score,
        "subject": case.subject.as_ref().map(|octets| hex(octets)),
        "country": case.country.map(|country| country.to_string()),
        "count": case.count,
        "limit": case.limit,
    });
    let decision = case.decision.as_ref().map(|decision| {
        json!({
            "outcome": decision.outcome.word(),
            "reviewer": decision.reviewer,
            "who": decision.who,
            "reason": decision.reason,
            "at": instant(decision.at_ms),
        })
    });
    told["evidence"] = evidence;
    told["suspended"] = json!(case.suspended_ms.map(instant));
    told["decision"] = json!(decision);
    told["answer"] = json!(case.answer);
    told["restored"] = json!(case.restored_ms.map(instant));
    told
}

fn signal_shown(signal: &Signal) -> Value {
    json!({
        "account": signal.account.as_str(),
        "rule": signal.rule.label(),
        "content": signal.content.as_deref(),
        "action": signal.action.word(),
        "sender": signal.sender.map(|sender| sender.text()),
        "subject": signal.subject.as_ref().map(|octets| hex(octets)),
        "country": signal.country.map(|country| country.to_string()),
        "count": signal.count,
        "limit": signal.limit,
        "score": signal.score,
        "at": instant(signal.at_ms),
    })
}
