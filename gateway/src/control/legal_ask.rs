//! What is wanted of legal holds, orders to erase and restrictions, as a request's line has it.
//!
//! ```text
//! {"version":1,"verb":"hold add","matter":"2026/17","to":"+15550100123","reason":"a claim","review_days":90,"future":true}
//! {"version":1,"verb":"erase add","to":"+15550100123","account":"shop","reason":"asked for"}
//! {"version":1,"verb":"restrict add","to":"+15550100123","account":"shop","reason":"accuracy is contested"}
//! {"version":1,"verb":"restrict lift","id":7,"notice":"letter of 3 May, ref. 2026/17","reason":"settled"}
//! ```

use serde_json::{Map, Value, json};
use tidegate_store::history::Kept;

use super::request::{Keys, line};
use crate::legal::TEXT_MAX;

/// Days after which a hold is to be looked at again, at most.
const REVIEW_DAYS_MAX: u64 = 3_660;

/// What a hold is to cover. All that is named must fit.
#[derive(Clone, PartialEq, Eq)]
pub struct HoldAsk {
    /// The matter that it is for.
    pub matter: String,
    /// Of this account.
    pub account: Option<String>,
    /// About the person with this number.
    pub to: Option<String>,
    /// Of the message with this id.
    pub message: Option<String>,
    /// Of this class.
    pub class: Option<Kept>,
    /// Accepted at this time or later, in unix milliseconds.
    pub from_ms: Option<u64>,
    /// Accepted before this time.
    pub until_ms: Option<u64>,
    /// Whether what comes later is held, too.
    pub future: bool,
    /// Why.
    pub reason: String,
    /// After how many days it is to be looked at again.
    pub review_days: u64,
}

impl std::fmt::Debug for HoldAsk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HoldAsk(***)")
    }
}

/// What is wanted of holds and erasures.
#[derive(Clone, PartialEq, Eq)]
pub enum Matter {
    /// Takes a hold.
    HoldAdd(Box<HoldAsk>),
    /// Releases it: what is due goes at once, and what it has sealed.
    HoldRelease {
        /// Which.
        id: u32,
        /// Why.
        reason: String,
    },
    /// All holds.
    HoldList,
    /// What a hold has sealed, with numbers and texts.
    HoldShow {
        /// Which.
        id: u32,
        /// Why it is read.
        reason: String,
    },
    /// Orders the erasure of a person.
    EraseAdd {
        /// The number.
        to: String,
        /// Of this account only.
        account: Option<String>,
        /// Why.
        reason: String,
    },
    /// All orders.
    EraseList,
    /// Restricts a person (DSR-4).
    RestrictAdd {
        /// The number.
        to: String,
        /// For this account only.
        account: Option<String>,
        /// Why.
        reason: String,
    },
    /// Lifts a restriction.
    RestrictLift {
        /// Which.
        id: u32,
        /// How the person was told.
        notice: String,
        /// Why.
        reason: String,
    },
    /// All restrictions.
    RestrictList,
}

impl std::fmt::Debug for Matter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}

impl Matter {
    /// As on the command line.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::HoldAdd(_) => "hold add",
            Self::HoldRelease { .. } => "hold release",
            Self::HoldList => "hold list",
            Self::HoldShow { .. } => "hold show",
            Self::EraseAdd { .. } => "erase add",
            Self::EraseList => "erase list",
            Self::RestrictAdd { .. } => "restrict add",
            Self::RestrictLift { .. } => "restrict lift",
            Self::RestrictList => "restrict list",
        }
    }

    /// Whether it changes nothing.
    pub(super) const fn is_reading(&self) -> bool {
        matches!(
            self,
            Self::HoldList | Self::HoldShow { .. } | Self::EraseList | Self::RestrictList
        )
    }

    /// As a request's line.
    pub(super) fn request(&self) -> Value {
        let keys = match self {
            Self::HoldAdd(ask) => json!({
                "matter": ask.matter,
                "account": ask.account,
                "to": ask.to,
                "message": ask.message,
                "class": ask.class.map(Kept::word),
                "from_ms": ask.from_ms,
                "until_ms": ask.until_ms,
                "future": ask.future,
                "reason": ask.reason,
                "review_days": ask.review_days,
            }),
            Self::HoldRelease { id, reason } | Self::HoldShow { id, reason } => {
                json!({ "id": id, "reason": reason })
            }
            Self::EraseAdd { to, account, reason } | Self::RestrictAdd { to, account, reason } => {
                json!({ "to": to, "account": account, "reason": reason })
            }
            Self::RestrictLift { id, notice, reason } => {
                json!({ "id": id, "notice": notice, "reason": reason })
            }
            Self::HoldList | Self::EraseList | Self::RestrictList => json!({}),
        };
        line(self.word(), keys)
    }

    /// Reads a request's line, if it is one of these.
    pub(super) fn read(verb: &str, request: &Map<String, Value>) -> Option<Result<Self, String>> {
        let keys = Keys(request);
        let id = || keys.row("id", "a number that a list shows");
        let said = |key| keys.said(key, TEXT_MAX);
        Some(match verb {
            "hold add" => hold_ask(&keys).map(|ask| Self::HoldAdd(Box::new(ask))),
            "hold release" => id().and_then(|id| {
                let reason = said("reason")?;
                Ok(Self::HoldRelease { id, reason })
            }),
            "hold show" => id().and_then(|id| {
                let reason = said("reason")?;
                Ok(Self::HoldShow { id, reason })
            }),
            "hold list" => Ok(Self::HoldList),
            "erase list" => Ok(Self::EraseList),
            "erase add" => said("to").and_then(|to| {
                let (account, reason) = (keys.text("account")?, said("reason")?);
                Ok(Self::EraseAdd { to, account, reason })
            }),
            "restrict add" => said("to").and_then(|to| {
                let (account, reason) = (keys.text("account")?, said("reason")?);
                Ok(Self::RestrictAdd { to, account, reason })
            }),
            "restrict lift" => id().and_then(|id| {
                let (notice, reason) = (said("notice")?, said("reason")?);
                Ok(Self::RestrictLift { id, notice, reason })
            }),
            "restrict list" => Ok(Self::RestrictList),
            _ => return None,
        })
    }
}

fn hold_ask(keys: &Keys<'_>) -> Result<HoldAsk, String> {
    let class = keys.one_of("class", &Kept::ALL, Kept::word)?;
    let review_days = keys.number("review_days")?.unwrap_or_default();
    if !(1..=REVIEW_DAYS_MAX).contains(&review_days) {
        return Err(format!("\"review_days\" is a number from 1 to {REVIEW_DAYS_MAX}"));
    }
    let ask = HoldAsk {
        matter: keys.said("matter", TEXT_MAX)?,
        account: keys.text("account")?,
        to: keys.text("to")?,
        message: keys.text("message")?,
        class,
        from_ms: keys.number("from_ms")?,
        until_ms: keys.number("until_ms")?,
        future: keys.flag("future")?,
        reason: keys.said("reason", TEXT_MAX)?,
        review_days,
    };
    if ask.account.is_none() && ask.to.is_none() && ask.message.is_none() && ask.from_ms.is_none() {
        return Err(
            "a hold names an account, a number, a message or a time from which on it holds".to_owned(),
        );
    }
    Ok(ask)
}

#[cfg(test)]
mod tests {
    use super::super::steering::fields;
    use super::*;

    #[test]
    fn what_is_asked_is_what_is_understood_and_a_hold_on_everything_is_none() {
        let ask = HoldAsk {
            matter: "2026/17".to_owned(),
            account: Some("shop".to_owned()),
            to: Some("+15550100123".to_owned()),
            message: None,
            class: Some(Kept::Body),
            from_ms: Some(5),
            until_ms: None,
            future: true,
            reason: "a claim".to_owned(),
            review_days: 90,
        };
        let matters = [
            Matter::HoldAdd(Box::new(ask.clone())),
            Matter::HoldRelease {
                id: 3,
                reason: "settled".to_owned(),
            },
            Matter::HoldShow {
                id: 3,
                reason: "settled".to_owned(),
            },
            Matter::HoldList,
            Matter::EraseAdd {
                to: "+15550100123".to_owned(),
                account: None,
                reason: "asked".to_owned(),
            },
            Matter::EraseList,
            Matter::RestrictAdd {
                to: "+15550100123".to_owned(),
                account: Some("shop".to_owned()),
                reason: "contested".to_owned(),
            },
            Matter::RestrictLift {
                id: 4,
                notice: "letter".to_owned(),
                reason: "settled".to_owned(),
            },
            Matter::RestrictList,
        ];
        for matter in matters {
            let request = fields(matter.request());
            assert_eq!(Matter::read(matter.word(), &request), Some(Ok(matter.clone())));
            assert!(!format!("{matter:?}").contains("555"), "no number in a log");
        }
        for (key, value) in [
            ("review_days", json!(0)),
            ("reason", json!(" ")),
            ("class", json!("both")),
            ("matter", Value::Null),
        ] {
            let mut request = fields(Matter::HoldAdd(Box::new(ask.clone())).request());
            request.insert(key.to_owned(), value);
            assert!(
                Matter::read("hold add", &request).is_some_and(|read| read.is_err()),
                "{key}"
            );
        }
        // Nobody is told nothing.
        let lift = json!({ "id": 4, "reason": "settled", "notice": " " });
        assert!(Matter::read("restrict lift", &fields(lift)).is_some_and(|read| read.is_err()));
        let everything = HoldAsk {
            account: None,
            to: None,
            from_ms: None,
            ..ask
        };
        let request = fields(Matter::HoldAdd(Box::new(everything)).request());
        assert!(Matter::read("hold add", &request).is_some_and(|read| read.is_err()));
    }
}
