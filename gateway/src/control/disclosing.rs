//! Disclosures at the control socket: what is asked of their register.
//!
//! ```text
//! {"version":1,"verb":"disclosure open","authority":"a court","basis":"law","account":"shop","to":"+15550100123",
//!  "texts":true,"since_ms":1767225600000,"until_ms":1769904000000}
//! {"version":1,"verb":"disclosure decide","number":3,"decision":"narrowed","reason":"too long a time","since_ms":1768435200000}
//! ```

use serde_json::{Map, Value, json};

use super::exporting::DAYS_MAX;
use super::request::{Keys, line};
use crate::disclosures::{Basis, Decision, TEXT_MAX, Told};
use crate::exports::Format;

/// Columns that a request may name at most.
const FIELDS_MAX: usize = 32;

/// What is asked for by somebody outside.
#[derive(Clone, PartialEq, Eq)]
pub struct DisclosureAsk {
    /// Who asks.
    pub authority: String,
    /// On what basis.
    pub basis: Basis,
    /// Of which account.
    pub account: String,
    /// About the person with this number only.
    pub to: Option<String>,
    /// With texts.
    pub texts: bool,
    /// Of messages that ended then or later, in unix milliseconds.
    pub since_ms: u64,
    /// And then or before.
    pub until_ms: u64,
    /// These columns only.
    pub fields: Option<Vec<String>>,
}

impl std::fmt::Debug for DisclosureAsk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DisclosureAsk(***)")
    }
}

/// What is decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecisionAsk {
    /// Which.
    pub number: u32,
    /// What.
    pub decision: Decision,
    /// Why.
    pub reason: String,
    /// By whom; who has a token decides by its name.
    pub reviewer: Option<String>,
    /// Narrowed: without texts.
    pub without_texts: bool,
    /// Narrowed: of messages that ended then or later.
    pub since_ms: Option<u64>,
    /// Narrowed: and then or before.
    pub until_ms: Option<u64>,
    /// Narrowed: these columns only.
    pub fields: Option<Vec<String>>,
}

/// What is wanted of disclosures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disclosing {
    /// One was asked for.
    Open(Box<DisclosureAsk>),
    /// Somebody allows it, of an emergency (LEG-6).
    Approve {
        /// Which.
        number: u32,
        /// Who; who has a token approves by its name.
        approver: Option<String>,
    },
    /// What is to become of it.
    Decide(Box<DecisionAsk>),
    /// What is to become of the notice to the account.
    Notify {
        /// Which.
        number: u32,
        /// What.
        told: Told,
    },
    /// Has the file made.
    Produce {
        /// Which.
        number: u32,
        /// How it is written.
        format: Format,
        /// These columns only, of those that were decided on.
        fields: Option<Vec<String>>,
        /// Kept so many days.
        days: Option<u64>,
    },
    /// It is over.
    Complete {
        /// Which.
        number: u32,
    },
    /// An emergency's was looked at afterwards.
    Review {
        /// Which.
        number: u32,
        /// What was found.
        finding: String,
        /// By whom; who has a token reviews by its name.
        reviewer: Option<String>,
    },
    /// All of them.
    List,
    /// One of them.
    Show {
        /// Which.
        number: u32,
        /// Why it is to be said whom it is about; without it that is not said.
        reason: Option<String>,
    },
}

impl Disclosing {
    /// As on the command line.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Open(_) => "disclosure open",
            Self::Approve { .. } => "disclosure approve",
            Self::Decide(_) => "disclosure decide",
            Self::Notify { .. } => "disclosure notify",
            Self::Produce { .. } => "disclosure produce",
            Self::Complete { .. } => "disclosure complete",
            Self::Review { .. } => "disclosure review",
            Self::List => "disclosure list",
            Self::Show { .. } => "disclosure show",
        }
    }

    /// Whether it changes nothing.
    pub(super) const fn is_reading(&self) -> bool {
        matches!(self, Self::List | Self::Show { .. })
    }

    /// As a request's line.
    pub(super) fn request(&self) -> Value {
        let keys = match self {
            Self::Open(ask) => json!({
                "authority": ask.authority,
                "basis": ask.basis.word(),
                "account": ask.account,
                "to": ask.to,
                "texts": ask.texts,
                "since_ms": ask.since_ms,
                "until_ms": ask.until_ms,
                "fields": ask.fields,
            }),
            Self::Approve { number, approver } => json!({ "number": number, "approver": approver }),
            Self::Decide(ask) => json!({
                "number": ask.number,
                "decision": ask.decision.word(),
                "reason": ask.reason,
                "reviewer": ask.reviewer,
                "without_texts": ask.without_texts,
                "since_ms": ask.since_ms,
                "until_ms": ask.until_ms,
                "fields": ask.fields,
            }),
            Self::Notify { number, told } => {
                let mut request = json!({ "number": number, "notice": told.word() });
                match told {
                    Told::Sent { how } => request["how"] = json!(how),
                    Told::Delayed { until_ms } => request["until_ms"] = json!(until_ms),
                    Told::Prohibited { law } => request["law"] = json!(law),
                }
                request
            }
            Self::Produce {
                number,
                format,
                fields,
                days,
            } => json!({ "number": number, "format": format.word(), "fields": fields, "days": days }),
            Self::Complete { number } => json!({ "number": number }),
            Self::Review {
                number,
                finding,
                reviewer,
            } => json!({ "number": number, "finding": finding, "reviewer": reviewer }),
            Self::List => json!({}),
            Self::Show { number, reason } => json!({ "number": number, "reason": reason }),
        };
        line(self.word(), keys)
    }

    /// Reads a request's line, if it is one of these.
    pub(super) fn read(verb: &str, request: &Map<String, Value>) -> Option<Result<Self, String>> {
        let keys = Keys(request);
        Some(match verb {
            "disclosure open" => read_open(&keys).map(|ask| Self::Open(Box::new(ask))),
            "disclosure approve" => number(&keys).and_then(|number| {
                let approver = keys.maybe_said("approver", TEXT_MAX)?;
                Ok(Self::Approve { number, approver })
            }),
            "disclosure decide" => read_decide(&keys).map(|ask| Self::Decide(Box::new(ask))),
            "disclosure notify" => number(&keys).and_then(|number| {
                let told = read_told(&keys)?;
                Ok(Self::Notify { number, told })
            }),
            "disclosure produce" => read_produce(&keys),
            "disclosure complete" => number(&keys).map(|number| Self::Complete { number }),
            "disclosure review" => number(&keys).and_then(|number| {
                let (finding, reviewer) = (
                    keys.said("finding", TEXT_MAX)?,
                    keys.maybe_said("reviewer", TEXT_MAX)?,
                );
                Ok(Self::Review {
                    number,
                    finding,
                    reviewer,
                })
            }),
            "disclosure list" => Ok(Self::List),
            "disclosure show" => number(&keys).and_then(|number| {
                let reason = keys.maybe_said("reason", TEXT_MAX)?;
                Ok(Self::Show { number, reason })
            }),
            _ => return None,
        })
    }
}

fn number(keys: &Keys<'_>) -> Result<u32, String> {
    keys.row("number", "the number of a disclosure")
}

fn fields(keys: &Keys<'_>) -> Result<Option<Vec<String>>, String> {
    let why = || "\"fields\" is a list of columns".to_owned();
    match keys.0.get("fields") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(all)) if (1..=FIELDS_MAX).contains(&all.len()) => {
            let texts = all.iter().map(|one| one.as_str().map(str::to_owned));
            texts.collect::<Option<_>>().map(Some).ok_or_else(why)
        }
        Some(_) => Err(why()),
    }
}

fn read_open(keys: &Keys<'_>) -> Result<DisclosureAsk, String> {
    let (since_ms, until_ms) = match (keys.number("since_ms")?, keys.number("until_ms")?) {
        (Some(since_ms), Some(until_ms)) if since_ms <= until_ms => (since_ms, until_ms),
        _ => return Err("\"since_ms\" and \"until_ms\" say of which time, from then to then".to_owned()),
    };
    Ok(DisclosureAsk {
        authority: keys.said("authority", TEXT_MAX)?,
        basis: keys.needed_one_of("basis", Basis::ALL, Basis::word)?,
        account: keys.needed("account")?,
        to: keys.text("to")?,
        texts: keys.flag("texts")?,
        since_ms,
        // As far as a cursor counts.
        until_ms: until_ms.min(u64::MAX >> 1),
        fields: fields(keys)?,
    })
}

fn read_decide(keys: &Keys<'_>) -> Result<DecisionAsk, String> {
    Ok(DecisionAsk {
        number: number(keys)?,
        decision: keys.needed_one_of("decision", Decision::ALL, Decision::word)?,
        reason: keys.said("reason", TEXT_MAX)?,
        reviewer: keys.maybe_said("reviewer", TEXT_MAX)?,
        without_texts: keys.flag("without_texts")?,
        since_ms: keys.number("since_ms")?,
        until_ms: keys.number("until_ms")?,
        fields: fields(keys)?,
    })
}

fn read_told(keys: &Keys<'_>) -> Result<Told, String> {
    match keys.needed("notice")?.as_str() {
        "sent" => Ok(Told::Sent {
            how: keys.said("how", TEXT_MAX)?,
        }),
        "delayed" => Ok(Told::Delayed {
            until_ms: keys.number("until_ms")?.ok_or("\"until_ms\" is missing")?,
        }),
        "prohibited" => Ok(Told::Prohibited {
            law: keys.said("law", TEXT_MAX)?,
        }),
        _ => Err("\"notice\" is sent, delayed or prohibited".to_owned()),
    }
}

fn read_produce(keys: &Keys<'_>) -> Result<Disclosing, String> {
    let format = keys.one_of("format", &Format::ALL, Format::word)?;
    let days = keys.number("days")?;
    if days.is_some_and(|days| !(1..=DAYS_MAX).contains(&days)) {
        return Err(format!("\"days\" is 1 to {DAYS_MAX}"));
    }
    Ok(Disclosing::Produce {
        number: number(keys)?,
        format: format.unwrap_or(Format::Csv),
        fields: fields(keys)?,
        days,
    })
}

#[cfg(test)]
mod tests {
    use super::super::steering::fields as object;
    use super::*;

    fn ask() -> DisclosureAsk {
        DisclosureAsk {
            authority: "a court".to_owned(),
            basis: Basis::Law,
            account: "shop".to_owned(),
            to: Some("+15550100123".to_owned()),
            texts: true,
            since_ms: 5,
            until_ms: 9,
            fields: Some(vec!["to".to_owned()]),
        }
    }

    #[test]
    fn what_is_asked_is_what_is_understood() {
        let named = || Some("ana".to_owned());
        let decide = DecisionAsk {
            number: 3,
            decision: Decision::Narrowed,
            reason: "too broad".to_owned(),
            reviewer: named(),
            without_texts: true,
            since_ms: Some(6),
            until_ms: None,
            fields: None,
        };
        let told = |told: Told| Disclosing::Notify { number: 3, told };
        for wanted in [
            Disclosing::Open(Box::new(ask())),
            Disclosing::Approve {
                number: 3,
                approver: named(),
            },
            Disclosing::Decide(Box::new(decide)),
            told(Told::Sent {
                how: "a letter".to_owned(),
            }),
            told(Told::Delayed { until_ms: 7 }),
            told(Told::Prohibited {
                law: "section 1".to_owned(),
            }),
            Disclosing::Produce {
                number: 3,
                format: Format::Jsonl,
                fields: Some(vec!["to".to_owned()]),
                days: Some(2),
            },
            Disclosing::Complete { number: 3 },
            Disclosing::Review {
                number: 3,
                finding: "right".to_owned(),
                reviewer: None,
            },
            Disclosing::List,
            Disclosing::Show {
                number: 3,
                reason: None,
            },
        ] {
            let request = object(wanted.request());
            assert_eq!(
                Disclosing::read(wanted.word(), &request),
                Some(Ok(wanted.clone()))
            );
            assert!(!format!("{wanted:?}").contains("555"), "no number in a log");
        }
    }

    #[test]
    fn what_is_not_understood_is_named() {
        let opened = object(Disclosing::Open(Box::new(ask())).request());
        for (key, value, word) in [
            ("basis", json!("friendship"), "law, agreement"),
            ("until_ms", json!(4), "from then to then"),
            ("since_ms", Value::Null, "from then to then"),
            ("authority", json!(" "), "1 to 200"),
            ("fields", json!([]), "list of columns"),
            ("fields", json!([1]), "list of columns"),
        ] {
            let mut request = opened.clone();
            request.insert(key.to_owned(), value);
            let why = Disclosing::read("disclosure open", &request)
                .unwrap()
                .unwrap_err();
            assert!(why.contains(word), "{key}: {why}");
        }
        for (verb, request, word) in [
            (
                "disclosure notify",
                json!({ "number": 1, "notice": "later" }),
                "delayed",
            ),
            (
                "disclosure notify",
                json!({ "number": 1, "notice": "delayed" }),
                "until_ms",
            ),
            (
                "disclosure decide",
                json!({ "number": 1, "decision": "yes" }),
                "objected",
            ),
            (
                "disclosure decide",
                json!({ "number": 1, "decision": "complied" }),
                "reason",
            ),
            ("disclosure produce", json!({ "number": 1, "days": 8 }), "1 to 7"),
            ("disclosure complete", json!({ "number": -1 }), "number"),
        ] {
            let why = Disclosing::read(verb, &object(request)).unwrap().unwrap_err();
            assert!(why.contains(word), "{verb}: {why}");
        }
    }
}
