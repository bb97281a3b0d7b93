//! What is wanted of requests of people, as a request's line has it.

use serde_json::{Map, Value, json};

use super::finished::Reading;
use super::request::{Keys, line};
use crate::exports::Format;
use crate::legal::TEXT_MAX;
use crate::subjects::{Asker, Right};

/// A request that has come.
#[derive(Clone, PartialEq, Eq)]
pub struct OpenAsk {
    /// What is asked for.
    pub right: Right,
    /// The person's number.
    pub to: String,
    /// About this account's data.
    pub account: Option<String>,
    /// Who asks.
    pub asker: Asker,
    /// Where the person is, as `DE` or `US-CA`.
    pub place: Option<String>,
    /// Somebody below the age (DSR-6).
    pub is_minor: bool,
    /// When it came, in unix milliseconds; now where nothing is said.
    pub received_ms: Option<u64>,
}

impl std::fmt::Debug for OpenAsk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OpenAsk(***)")
    }
}

/// What is wanted of requests.
#[derive(Clone, PartialEq, Eq)]
pub enum Subjecting {
    /// Takes one in.
    Open(Box<OpenAsk>),
    /// Identity or authority was verified.
    Verify {
        /// Of this request.
        id: u32,
        /// How.
        proof: String,
    },
    /// It takes longer, and the person was told why.
    Extend {
        /// Of this request.
        id: u32,
        /// Why.
        reason: String,
    },
    /// Carries it out.
    Run {
        /// This request.
        id: u32,
        /// How rows are written, of what is handed over; JSON Lines where nothing is said.
        format: Option<Format>,
        /// Of what is wrong: what it is, and what was done about it.
        note: Option<String>,
    },
    /// Refuses it.
    Refuse {
        /// This request.
        id: u32,
        /// Why.
        reason: String,
    },
    /// All of them, without anybody's number.
    List,
    /// One of them.
    Show {
        /// This request.
        id: u32,
        /// Why the number is read; without it that is not told.
        reading: Option<Reading>,
    },
}

impl std::fmt::Debug for Subjecting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}

impl Subjecting {
    /// As on the command line.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Open(_) => "subject open",
            Self::Verify { .. } => "subject verify",
            Self::Extend { .. } => "subject extend",
            Self::Run { .. } => "subject run",
            Self::Refuse { .. } => "subject refuse",
            Self::List => "subject list",
            Self::Show { .. } => "subject show",
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
                "right": ask.right.word(),
                "to": ask.to,
                "account": ask.account,
                "from": ask.asker.word(),
                "place": ask.place,
                "minor": ask.is_minor,
                "received_ms": ask.received_ms,
            }),
            Self::Verify { id, proof } => json!({ "id": id, "proof": proof }),
            Self::Extend { id, reason } | Self::Refuse { id, reason } => {
                json!({ "id": id, "reason": reason })
            }
            Self::Run { id, format, note } => {
                json!({ "id": id, "format": format.map(Format::word), "note": note })
            }
            Self::List => json!({}),
            Self::Show { id, reading } => json!({
                "id": id,
                "purpose": reading.as_ref().map(Reading::word),
                "reason": reading.as_ref().map(|reading| reading.reason.as_str()),
            }),
        };
        line(self.word(), keys)
    }

    /// Reads a request's line, if it is one of these.
    pub(super) fn read(verb: &str, request: &Map<String, Value>) -> Option<Result<Self, String>> {
        let keys = Keys(request);
        let with_id = |read: &dyn Fn(u32) -> Result<Self, String>| {
            keys.row("id", "the number of a request").and_then(read)
        };
        Some(match verb {
            "subject open" => open_ask(&keys).map(|ask| Self::Open(Box::new(ask))),
            "subject verify" => with_id(&|id| {
                let proof = keys.said("proof", TEXT_MAX)?;
                Ok(Self::Verify { id, proof })
            }),
            "subject extend" => with_id(&|id| {
                let reason = keys.said("reason", TEXT_MAX)?;
                Ok(Self::Extend { id, reason })
            }),
            "subject refuse" => with_id(&|id| {
                let reason = keys.said("reason", TEXT_MAX)?;
                Ok(Self::Refuse { id, reason })
            }),
            "subject run" => with_id(&|id| {
                let note = keys.maybe_said("note", TEXT_MAX)?;
                let format = keys.one_of("format", &Format::ALL, Format::word)?;
                Ok(Self::Run { id, format, note })
            }),
            "subject list" => Ok(Self::List),
            "subject show" => with_id(&|id| {
                let reading = Reading::read(keys.text("purpose")?, keys.text("reason")?)?;
                Ok(Self::Show { id, reading })
            }),
            _ => return None,
        })
    }
}

fn open_ask(keys: &Keys<'_>) -> Result<OpenAsk, String> {
    let ask = OpenAsk {
        right: keys.needed_one_of("right", &Right::ALL, Right::word)?,
        to: keys.said("to", TEXT_MAX)?,
        account: keys.text("account")?,
        asker: keys.needed_one_of("from", &Asker::ALL, Asker::word)?,
        place: keys.text("place")?,
        is_minor: keys.flag("minor")?,
        received_ms: keys.number("received_ms")?,
    };
    if ask.asker != Asker::Recipient && ask.account.is_none() {
        return Err("who asks for an account, or holds one, names it: \"account\" is missing".to_owned());
    }
    if ask.is_minor && ask.right != Right::Erase {
        return Err("\"minor\" is a reason to erase".to_owned());
    }
    Ok(ask)
}

#[cfg(test)]
mod tests {
    use super::super::steering::fields;
    use super::*;

    fn ask() -> OpenAsk {
        OpenAsk {
            right: Right::Erase,
            to: "+15550100123".to_owned(),
            account: Some("shop".to_owned()),
            asker: Asker::Account,
            place: Some("US-CA".to_owned()),
            is_minor: true,
            received_ms: Some(7),
        }
    }

    #[test]
    fn what_is_asked_is_what_is_understood_and_no_number_is_in_a_log() {
        let (id, reason) = (3, "a ticket".to_owned());
        let reading = Reading::read(Some("support".to_owned()), Some("call".to_owned())).unwrap();
        for wanted in [
            Subjecting::Open(Box::new(ask())),
            Subjecting::Verify {
                id,
                proof: "a code to +15550100123".to_owned(),
            },
            Subjecting::Extend {
                id,
                reason: reason.clone(),
            },
            Subjecting::Refuse { id, reason },
            Subjecting::Run {
                id,
                format: Some(Format::Csv),
                note: Some("wrong".to_owned()),
            },
            Subjecting::List,
            Subjecting::Show { id, reading },
        ] {
            let request = fields(wanted.request());
            assert_eq!(
                Subjecting::read(wanted.word(), &request),
                Some(Ok(wanted.clone()))
            );
            assert!(!format!("{wanted:?}").contains("555"));
        }
        for (key, value) in [
            ("right", json!("forget")),
            ("from", json!("a friend")),
            ("account", Value::Null),
            ("to", json!("")),
        ] {
            let mut request = fields(Subjecting::Open(Box::new(ask())).request());
            request.insert(key.to_owned(), value);
            assert!(
                Subjecting::read("subject open", &request).is_some_and(|read| read.is_err()),
                "{key}"
            );
        }
        for (verb, key) in [
            ("subject extend", "reason"),
            ("subject refuse", "reason"),
            ("subject verify", "proof"),
        ] {
            let request = fields(json!({ "id": 3, key: " " }));
            assert!(
                Subjecting::read(verb, &request).is_some_and(|read| read.is_err()),
                "{verb}"
            );
        }
    }
}
