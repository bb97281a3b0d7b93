//! Following single things: the story of one message, and PDU traces. Their form on the control socket, and what is done.
//!
//! ```text
//! {"version":1,"verb":"trace","id":"1234567890123456789"}
//! {"version":1,"verb":"trace pdus","account":"shop","for_s":300}
//! ```

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tidegate_store::audit;
use tidegate_store::disk::Disk;

use super::listing::instant;
use super::request::{Keys, line};
use super::steering::fields;
use super::story::story_of;
use super::{Answer, not_done};
use crate::gate::Gate;
use crate::serve::Hub;
use crate::trace::{
    FILES_MAX, FOR_MAX, LIMIT_DEFAULT, LIMIT_MAX, LIMIT_MIN, RUNNING_MAX, Running, TraceOf, Whose, Why,
    Writer,
};

const ENDS: &str = "the gateway ends";

/// Whose PDUs are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Party {
    /// An account's.
    Account(String),
    /// A carrier's.
    Carrier(String),
}

/// What is to be followed, or looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trace {
    /// What is known of an unfinished message, in order.
    Message {
        /// Its id, as its account was given it.
        id: String,
        /// Whose; needed for ids of 8 digits only.
        account: Option<String>,
    },
    /// PDUs are written to a file for a while.
    Pdus {
        /// Whose.
        of: Party,
        /// For how long: whole seconds, [`FOR_MAX`] at most.
        length: Duration,
        /// Octets of the file, [`LIMIT_MIN`] to [`LIMIT_MAX`]; [`LIMIT_DEFAULT`] where none is given.
        limit: Option<u64>,
    },
    /// Which of these run, and which files there are.
    List,
    /// One of them ends.
    Stop {
        /// Its number, from the list.
        number: u64,
    },
}

impl Trace {
    /// As on the command line.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Message { .. } => "trace",
            Self::Pdus { .. } => "trace pdus",
            Self::List => "trace list",
            Self::Stop { .. } => "trace stop",
        }
    }

    /// Whether it changes nothing.
    pub(super) const fn is_reading(&self) -> bool {
        matches!(self, Self::Message { .. } | Self::List)
    }

    /// As a request's line.
    pub(super) fn request(&self) -> Value {
        let keys = match self {
            Self::Message { id, account } => json!({ "id": id, "account": account }),
            Self::Pdus { of, length, limit } => {
                let (account, carrier) = match of {
                    Party::Account(name) => (Some(name), None),
                    Party::Carrier(name) => (None, Some(name)),
                };
                json!({
                    "account": account,
                    "carrier": carrier,
                    "for_s": length.as_secs(),
                    "limit": limit,
                })
            }
            Self::List => json!({}),
            Self::Stop { number } => json!({ "number": number }),
        };
        line(self.word(), keys)
    }

    /// Reads a request's line, if it is one of these.
    pub(super) fn read(verb: &str, request: &Map<String, Value>) -> Option<Result<Self, String>> {
        let keys = Keys(request);
        Some(match verb {
            "trace" => read_message(&keys),
            "trace pdus" => read_pdus(&keys),
            "trace list" => Ok(Self::List),
            "trace stop" => keys.needed_number("number").map(|number| Self::Stop { number }),
            _ => return None,
        })
    }
}

fn read_message(keys: &Keys<'_>) -> Result<Trace, String> {
    Ok(Trace::Message {
        id: keys.needed("id")?,
        account: keys.text("account")?,
    })
}

fn read_pdus(keys: &Keys<'_>) -> Result<Trace, String> {
    let of = match (keys.text("account")?, keys.text("carrier")?) {
        (Some(account), None) => Party::Account(account),
        (None, Some(carrier)) => Party::Carrier(carrier),
        _ => return Err("either \"account\" or \"carrier\"".to_owned()),
    };
    let seconds = keys
        .number("for_s")?
        .filter(|seconds| (1..=FOR_MAX.as_secs()).contains(seconds))
        .ok_or_else(|| format!("\"for_s\" is a number of seconds up to {}", FOR_MAX.as_secs()))?;
    let limit = keys.number("limit")?;
    if limit.is_some_and(|limit| !(LIMIT_MIN..=LIMIT_MAX).contains(&limit)) {
        return Err(format!("\"limit\" is {LIMIT_MIN} to {LIMIT_MAX} octets"));
    }
    Ok(Trace::Pdus {
        of,
        length: Duration::from_secs(seconds),
        limit,
    })
}

/// What the audit log holds of it: whose account, and the rest; `None` for what only looks.
pub(super) fn noted<D: Disk>(hub: &Hub<D>, trace: &Trace) -> Option<(Option<String>, Vec<audit::Detail>)> {
    use audit::{Field, Value as Detail, Word};
    let mut details = vec![(Field::Verb, Detail::Word(Word::of_name(trace.word())))];
    let whose = match trace {
        // Records are opened for it.
        Trace::Message { account, .. } => account.clone(),
        Trace::List => return None,
        Trace::Pdus { of, length, limit } => {
            let limit = limit.unwrap_or(LIMIT_DEFAULT);
            details.push((Field::Seconds, Detail::Count(length.as_secs())));
            details.push((Field::Octets, Detail::Count(limit)));
            match of {
                Party::Account(name) => Some(name.clone()),
                Party::Carrier(name) => {
                    // What was typed might be anything, until it is known to be a carrier's name.
                    let is_known = hub.look(|gate, _| gate.carrier_by_text(name).is_some());
                    let word = if is_known {
                        Word::of_name(name)
                    } else {
                        Word::new(name)
                    };
                    details.push((Field::Carrier, Detail::Word(word)));
                    None
                }
            }
        }
        Trace::Stop { number } => {
            details.push((Field::To, Detail::Word(Word::of_name(&number.to_string()))));
            let whose = hub.look(|gate, _| {
                let mut running = gate.traces().iter();
                let found = running.find(|running| running.number == *number);
                found.map(|running| running.whose.clone())
            });
            match whose {
                Some(Whose::Account(account)) => Some(account.to_string()),
                Some(Whose::Carrier(carrier)) => {
                    details.push((Field::Carrier, Detail::Word(Word::of_name(&carrier))));
                    None
                }
                None => None,
            }
        }
    };
    Some((whose, details))
}

/// Does it.
pub(super) async fn trace<D: Disk>(hub: &Hub<D>, trace: &Trace) -> Answer {
    match trace {
        Trace::Message { id, account } => story_of(hub, id, account.as_deref()).await,
        Trace::Pdus { of, length, limit } => begin(hub, of, *length, limit.unwrap_or(LIMIT_DEFAULT)).await,
        Trace::List => Ok(list(hub)),
        Trace::Stop { number } => {
            let hears = hub.look(|gate, now| gate.traces.stop(now, *number));
            let hears = hears.ok_or_else(|| format!("no trace {number} runs: see `trace list`"))?;
            hub.trace_stopped.notify_one();
            hears.await.unwrap_or_else(|_| Err(ENDS.to_owned()))
        }
    }
}

async fn begin<D: Disk>(hub: &Hub<D>, of: &Party, length: Duration, limit: u64) -> Answer {
    let files = hub.traces().ok_or("this gateway keeps no traces: see its log")?;
    let _alone = files.turn().await;
    let there = Arc::clone(&files);
    let looked = tokio::task::spawn_blocking(move || there.forget_gone());
    looked.await.map_err(|error| not_done(&error).to_owned())?;
    let (of, whose, number, now) = hub.look(|gate, now| {
        let (of, whose) = gate.party(of)?;
        if gate.traces.is_full() {
            return Err(format!("{RUNNING_MAX} traces run, and no more may: stop one"));
        }
        if !files.has_room(gate.traces.len()) {
            return Err(format!(
                "there are {FILES_MAX} files of traces, and no more may be: each goes 24 hours after its end"
            ));
        }
        Ok((of, whose, gate.traces.next_number(), now))
    })?;
    let until_ms = now
        .unix_ms
        .saturating_add(u64::try_from(length.as_millis()).unwrap_or(u64::MAX));
    let (account, carrier) = whose.names();
    let first = json!({
        "trace": number,
        "account": account,
        "carrier": carrier,
        "begun": instant(now.unix_ms),
        "until": instant(until_ms),
        "limit": limit,
    });
    let dir = Arc::clone(&files);
    let made = tokio::task::spawn_blocking(move || {
        let (file, sheet) = dir.create(now.unix_ms, number)?;
        let writer = Writer::start(sheet, &first, limit);
        writer
            .inspect_err(|_| dir.discard(&file))
            .map(|writer| (file, writer))
    });
    let (file, writer) = made
        .await
        .map_err(|error| not_done(&error).to_owned())?
        .map_err(|error| format!("the trace cannot be written: {error}"))?;
    let running = Running {
        number,
        of,
        whose,
        file,
        begun_ms: now.unix_ms,
        until_ms,
        until: now.monotonic.saturating_add(length),
        limit,
        writer,
        stopped: None,
    };
    let told = shown(&running);
    let Err(late) = hub.look(|gate, _| gate.traces.add(running)) else {
        return Ok(fields(told));
    };
    let (dir, now_ms) = (Arc::clone(&files), hub.now().unix_ms);
    let discarded = tokio::task::spawn_blocking(move || {
        let Running { writer, file, .. } = *late;
        writer.end(Why::Shutdown, now_ms);
        dir.discard(&file);
    });
    discarded.await.map_err(|error| not_done(&error).to_owned())?;
    Err(ENDS.to_owned())
}

fn list<D: Disk>(hub: &Hub<D>) -> Map<String, Value> {
    let running: Vec<Value> = hub.look(|gate, _| gate.traces().iter().map(shown).collect());
    let kept = hub.traces().map(|files| files.kept()).unwrap_or_default();
    let kept: Vec<Value> = kept
        .iter()
        .map(|kept| {
            json!({
                "file": kept.name,
                "octets": kept.octets,
                "ended": instant(kept.ended_ms),
                "goes": instant(kept.goes_ms()),
            })
        })
        .collect();
    fields(json!({ "traces": running, "files": kept }))
}

fn shown(running: &Running) -> Value {
    let (account, carrier) = running.whose.names();
    let counts = running.writer.counts();
    json!({
        "number": running.number,
        "account": account,
        "carrier": carrier,
        "file": running.file,
        "begun": instant(running.begun_ms),
        "until": instant(running.until_ms),
        "limit": running.limit,
        "pdus": counts.lines(),
        "octets": counts.octets(),
        "dropped": counts.dropped(),
    })
}

impl<D: Disk> Gate<D> {
    /// Whom a name means.
    fn party(&self, of: &Party) -> Result<(TraceOf, Whose), String> {
        Ok(match of {
            Party::Account(name) => {
                let place = self.known_account(name)?;
                let whose = Whose::Account(self.config.accounts[place].system_id);
                (TraceOf::Account(place), whose)
            }
            Party::Carrier(name) => {
                let place = self.known_carrier(name)?;
                (TraceOf::Carrier(place), Whose::Carrier(name.clone()))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(verb: &str, request: &Value) -> Result<Trace, String> {
        Trace::read(verb, request.as_object().unwrap()).unwrap()
    }

    #[test]
    fn what_is_asked_is_what_is_understood() {
        let pdus = |of, limit| Trace::Pdus {
            of,
            length: Duration::from_secs(300),
            limit,
        };
        for trace in [
            Trace::Message {
                id: "1234567890123456789".to_owned(),
                account: None,
            },
            Trace::Message {
                id: "12345678".to_owned(),
                account: Some("load".to_owned()),
            },
            pdus(Party::Account("load".to_owned()), None),
            pdus(Party::Carrier("sink".to_owned()), Some(LIMIT_MIN)),
            Trace::List,
            Trace::Stop { number: 7 },
        ] {
            assert_eq!(read(trace.word(), &trace.request()), Ok(trace));
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (verb, request, word) in [
            ("trace", json!({}), "id"),
            ("trace stop", json!({ "number": -1 }), "number"),
            ("trace pdus", json!({ "for_s": 60 }), "account"),
            (
                "trace pdus",
                json!({ "account": "a", "carrier": "c", "for_s": 60 }),
                "either",
            ),
            ("trace pdus", json!({ "account": "a" }), "for_s"),
            ("trace pdus", json!({ "account": "a", "for_s": 901 }), "900"),
            ("trace pdus", json!({ "account": "a", "for_s": 0 }), "for_s"),
            (
                "trace pdus",
                json!({ "account": "a", "for_s": 60, "limit": 100 }),
                "limit",
            ),
        ] {
            let why = read(verb, &request).unwrap_err();
            assert!(why.contains(word), "{verb} {request}: {why}");
        }
        assert!(Trace::read("trace all", &Map::new()).is_none());
    }
}
