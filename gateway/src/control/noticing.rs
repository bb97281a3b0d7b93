//! Notices to accounts at the control socket: which wait, and that one was told.
//!
//! ```text
//! {"version":1,"verb":"notice list","account":"shop"}
//! {"version":1,"verb":"notice sent","number":3,"how":"e-mail to the contract's contact"}
//! ```

use serde_json::{Map, Value, json};
use tidegate_store::audit::{Actor, Detail, Field};
use tidegate_store::disk::Disk;

use super::request::{Keys, line};
use super::steering::fields;
use super::{Answer, instant};
use crate::audit::{actor, typed, word};
use crate::notices::{About, Notice, Sent, THERE_IS_NONE};
use crate::serve::Hub;

/// What is wanted of notices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Noticing {
    /// Which there are.
    List {
        /// To this account only.
        account: Option<String>,
    },
    /// One was told.
    Sent {
        /// Its number.
        number: u64,
        /// How.
        how: String,
    },
}

impl Noticing {
    /// As on the command line.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::List { .. } => "notice list",
            Self::Sent { .. } => "notice sent",
        }
    }

    /// Whether it changes nothing.
    pub(super) const fn is_reading(&self) -> bool {
        matches!(self, Self::List { .. })
    }

    /// As a request's line.
    pub(super) fn request(&self) -> Value {
        let keys = match self {
            Self::List { account } => json!({ "account": account }),
            Self::Sent { number, how } => json!({ "number": number, "how": how }),
        };
        line(self.word(), keys)
    }

    /// Reads a request's line, if it is one of these.
    pub(super) fn read(verb: &str, request: &Map<String, Value>) -> Option<Result<Self, String>> {
        let keys = Keys(request);
        Some(match verb {
            "notice list" => keys.text("account").map(|account| Self::List { account }),
            "notice sent" => read_sent(&keys),
            _ => return None,
        })
    }

    /// What the audit log holds of it.
    pub(super) fn noted(&self) -> Option<Vec<Detail>> {
        match self {
            Self::List { .. } => None,
            Self::Sent { number, how } => Some(vec![
                (Field::Verb, word(self.word())),
                (Field::File, word(&number.to_string())),
                (Field::Reason, typed(how)),
            ]),
        }
    }
}

fn read_sent(keys: &Keys<'_>) -> Result<Noticing, String> {
    let how = keys.needed("how")?;
    if how.is_empty() {
        return Err("\"how\" is empty".to_owned());
    }
    Ok(Noticing::Sent {
        number: keys.needed_number("number")?,
        how,
    })
}

/// Does it.
pub(super) async fn notice<D: Disk>(hub: &Hub<D>, who: &Actor, wanted: &Noticing) -> Answer {
    let notices = hub.notices().ok_or("this gateway keeps no notices")?;
    let now_ms = hub.now().unix_ms;
    match wanted {
        Noticing::List { account } => {
            if let Some(account) = account {
                hub.look(|gate, _| gate.known_account(account).map(drop))?;
            }
            let all = notices.list().await;
            let is_gone =
                |notice: &Notice| notice.sent.is_some() && is_closed_for_good(hub, &notice.new.account);
            let all = all.iter().filter(|(_, notice)| {
                !is_secret(notice, now_ms)
                    && !is_gone(notice)
                    && account
                        .as_ref()
                        .is_none_or(|account| *account == notice.new.account)
            });
            let waiting = all.clone().filter(|(_, notice)| notice.is_due(now_ms)).count();
            let shown: Vec<Value> = all
                .map(|(number, notice)| shown(*number, notice, now_ms))
                .collect();
            Ok(fields(json!({ "waiting": waiting, "notices": shown })))
        }
        Noticing::Sent { number, how } => {
            if notices
                .get(*number)
                .await
                .is_some_and(|notice| is_secret(&notice, now_ms))
            {
                return Err(THERE_IS_NONE.to_owned());
            }
            let sent = Sent {
                at_ms: now_ms,
                how: how.clone(),
                who: actor(who),
            };
            let at_ms = notices.sent(*number, sent).await?;
            Ok(fields(json!({ "number": number, "sent": instant(at_ms) })))
        }
    }
}

/// Whether nobody is to know of it yet: that somebody asked for an account's data, where the notice is delayed. It stands in the
/// register of disclosures, for role privacy.
fn is_secret(notice: &Notice, now_ms: u64) -> bool {
    notice.new.about == About::Disclosure && notice.sent.is_none() && !notice.is_due(now_ms)
}

fn is_closed_for_good<D: Disk>(hub: &Hub<D>, account: &str) -> bool {
    let Ok(account) = account.parse() else {
        return false;
    };
    hub.look(|gate, now| {
        let keeping = gate.keeping();
        keeping.is_some_and(|keeping| keeping.is_closed_for_good(account, now.unix_ms))
    })
}

fn shown(number: u64, notice: &Notice, now_ms: u64) -> Value {
    let sent = notice.sent.as_ref();
    let state = match sent {
        Some(_) => "sent",
        None if notice.is_due(now_ms) => "waiting",
        None => "not due",
    };
    json!({
        "number": number,
        "account": notice.new.account,
        "about": notice.new.about.word(),
        "reference": notice.new.reference,
        "text": notice.new.text,
        "state": state,
        "made": instant(notice.made_ms),
        "due": instant(notice.new.due_ms),
        "sent": sent.map(|sent| instant(sent.at_ms)),
        "how": sent.map(|sent| sent.how.as_str()),
        "who": sent.map(|sent| sent.who.as_str()),
    })
}
