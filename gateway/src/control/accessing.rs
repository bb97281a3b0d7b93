//! Break-glass at the control socket: begun, listed, ended.
//!
//! ```text
//! {"version":1,"verb":"access break-glass","account":"shop","class":"body","reason":"…","ticket":"INC-7","for_s":1800,"token":"ops"}
//! ```

use serde_json::{Map, Value, json};
use tidegate_store::audit::Actor;
use tidegate_store::disk::Disk;

use super::legal::kept;
use super::request::{Keys, line};
use super::steering::fields;
use super::{Answer, instant};
use crate::access::{self, Depth, Grant, SECONDS_MAX, SECONDS_MIN, TEXT_MAX};
use crate::admin::{Bearer, Role};
use crate::audit::{AuditHandle, actor};
use crate::serve::Hub;

/// What is wanted of break-glass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accessing {
    /// Lets a token of role operate at an account's messages.
    BreakGlass {
        /// Whose messages.
        account: String,
        /// How far.
        class: Depth,
        /// Why.
        reason: String,
        /// The ticket.
        ticket: String,
        /// For so many seconds, [`SECONDS_MIN`] to [`SECONDS_MAX`].
        seconds: u64,
        /// Which token; who asks by one means that.
        token: Option<String>,
    },
    /// Those that there are and were.
    List {
        /// Of this account only.
        account: Option<String>,
    },
    /// It is not needed any more.
    End {
        /// Which.
        number: u64,
        /// Why.
        reason: String,
    },
}

impl Accessing {
    /// As on the command line.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::BreakGlass { .. } => "access break-glass",
            Self::List { .. } => "access list",
            Self::End { .. } => "access end",
        }
    }

    /// Whether it changes nothing.
    pub(super) const fn is_reading(&self) -> bool {
        matches!(self, Self::List { .. })
    }

    /// As a request's line.
    pub(super) fn request(&self) -> Value {
        let keys = match self {
            Self::BreakGlass {
                account,
                class,
                reason,
                ticket,
                seconds,
                token,
            } => json!({
                "account": account,
                "class": class.word(),
                "reason": reason,
                "ticket": ticket,
                "for_s": seconds,
                "token": token,
            }),
            Self::List { account } => json!({ "account": account }),
            Self::End { number, reason } => json!({ "number": number, "reason": reason }),
        };
        line(self.word(), keys)
    }

    /// Reads a request's line, if it is one of these.
    pub(super) fn read(verb: &str, request: &Map<String, Value>) -> Option<Result<Self, String>> {
        let keys = Keys(request);
        Some(match verb {
            "access break-glass" => read_begin(&keys),
            "access list" => keys.text("account").map(|account| Self::List { account }),
            "access end" => read_end(&keys),
            _ => return None,
        })
    }
}

fn read_begin(keys: &Keys<'_>) -> Result<Accessing, String> {
    let seconds = keys.number("for_s")?;
    Ok(Accessing::BreakGlass {
        account: keys.needed("account")?,
        class: keys.needed_one_of("class", &Depth::ALL, Depth::word)?,
        reason: keys.said("reason", TEXT_MAX)?,
        ticket: keys.said("ticket", TEXT_MAX)?,
        seconds: seconds
            .filter(|seconds| (SECONDS_MIN..=SECONDS_MAX).contains(seconds))
            .ok_or_else(|| format!("\"for_s\" is a number of seconds, {SECONDS_MIN} to {SECONDS_MAX}"))?,
        token: keys.text("token")?,
    })
}

fn read_end(keys: &Keys<'_>) -> Result<Accessing, String> {
    Ok(Accessing::End {
        number: keys.needed_number("number")?,
        reason: keys.said("reason", TEXT_MAX)?,
    })
}

/// The token that is meant: it must be there, and of role operate. Who asks by one means it.
fn token_of<D: Disk>(hub: &Hub<D>, who: &Actor, named: Option<&str>, now_ms: u64) -> Result<Bearer, String> {
    let name = match (who, named) {
        (Actor::Token(own), None) => own.as_str().to_owned(),
        (Actor::Token(own), Some(named)) if own.as_str() == named => named.to_owned(),
        (Actor::Token(_), Some(_)) => return Err("a token breaks the glass for itself only".to_owned()),
        (_, Some(named)) => named.to_owned(),
        (_, None) => {
            return Err(
                "\"token\" is missing: whoever is at the control socket may read all, and names whom to let"
                    .to_owned(),
            );
        }
    };
    let tokens = hub.tokens().ok_or("this gateway has no admin listener")?;
    match tokens.named(&name, now_ms) {
        Some(bearer) if bearer.role == Role::Operate => Ok(bearer),
        Some(_) => Err("break-glass is for tokens of role operate".to_owned()),
        None => Err(format!("there is no token {name:?} that is good")),
    }
}

/// Does it.
pub(super) async fn access<D: Disk>(
    hub: &Hub<D>,
    (audit, who): (&AuditHandle, &Actor),
    wanted: &Accessing,
) -> Answer {
    let register = hub
        .access()
        .ok_or("this gateway has no register of break-glass")?;
    let now_ms = hub.now().unix_ms;
    match wanted {
        Accessing::BreakGlass {
            account,
            class,
            reason,
            ticket,
            seconds,
            token,
        } => {
            hub.look(|gate, _| gate.known_account(account).map(drop))?;
            let bearer = token_of(hub, who, token.as_deref(), now_ms)?;
            let token = bearer.name.clone();
            let until_ms = now_ms.saturating_add(seconds * 1_000);
            let grant = Grant {
                token: token.clone(),
                print: bearer.print(),
                account: account.clone(),
                class: *class,
                reason: kept(reason),
                ticket: kept(ticket),
                from_ms: now_ms,
                until_ms,
                who: actor(who),
                notice: None,
                ended: None,
            };
            let number = access::begin(hub, (audit, who), grant).await?;
            Ok(fields(
                json!({ "number": number, "token": token, "until": instant(until_ms) }),
            ))
        }
        Accessing::List { account } => {
            if let Some(account) = account {
                hub.look(|gate, _| gate.known_account(account).map(drop))?;
            }
            let grants = register.list(account.as_deref());
            let running = grants
                .iter()
                .filter(|(_, grant)| grant.is_running(now_ms))
                .count();
            let grants = grants
                .iter()
                .rev()
                .map(|(number, grant)| shown(*number, grant, now_ms));
            Ok(fields(
                json!({ "running": running, "grants": grants.collect::<Vec<_>>() }),
            ))
        }
        Accessing::End { number, reason } => {
            let grants = register.list(None);
            let grant = grants.iter().find(|(of, _)| of == number);
            if let (Actor::Token(own), Some((_, grant))) = (who, grant)
                && own.as_str() != grant.token
            {
                return Err("a token ends its own only".to_owned());
            }
            let ended = access::end(hub, (audit, who), *number, reason).await?;
            Ok(fields(json!({ "number": number, "ended": ended })))
        }
    }
}

/// One of them, as `access list` and `account show` tell it.
pub(super) fn shown(number: u64, grant: &Grant, now_ms: u64) -> Value {
    json!({
        "number": number,
        "account": grant.account,
        "token": grant.token,
        "class": grant.class.word(),
        "reason": grant.reason,
        "ticket": grant.ticket,
        "from": instant(grant.from_ms),
        "until": instant(grant.until_ms),
        "who": grant.who,
        "is_running": grant.is_running(now_ms),
        "ended": grant.ended.as_ref().map(|ended| instant(ended.at_ms)),
        "ended_by": grant.ended.as_ref().map(|ended| ended.who.as_str()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_is_what_is_understood_and_nothing_longer_than_four_hours() {
        let begin = Accessing::BreakGlass {
            account: "load".to_owned(),
            class: Depth::Body,
            reason: "nothing is delivered".to_owned(),
            ticket: "INC-7".to_owned(),
            seconds: 1_800,
            token: Some("ops".to_owned()),
        };
        let end = Accessing::End {
            number: 3,
            reason: "found".to_owned(),
        };
        for wanted in [begin.clone(), Accessing::List { account: None }, end] {
            let request = fields(wanted.request());
            assert_eq!(Accessing::read(wanted.word(), &request), Some(Ok(wanted)));
        }
        for (key, value) in [
            ("for_s", json!(SECONDS_MAX + 1)),
            ("for_s", json!(SECONDS_MIN - 1)),
            ("for_s", Value::Null),
            ("class", json!("all")),
            ("ticket", json!(" ")),
            ("reason", Value::Null),
        ] {
            let mut request = fields(begin.request());
            request.insert(key.to_owned(), value);
            assert!(
                Accessing::read("access break-glass", &request).unwrap().is_err(),
                "{key}"
            );
        }
    }
}
