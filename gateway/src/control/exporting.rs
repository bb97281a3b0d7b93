//! Exports at the control socket: begun, listed, read and ended.
//!
//! ```text
//! {"version":1,"verb":"export create","account":"shop","what":"messages","format":"csv","reason":"ticket 4711"}
//! {"version":1,"verb":"export read","export":"1764482592123","frame":1}
//! ```

use std::rc::Rc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tidegate_store::audit::{Actor, Detail, Entry, Field, Kind};
use tidegate_store::disk::Disk;

use super::finished::{REASON_MAX, known};
use super::request::{Keys, line};
use super::steering::fields;
use super::subject_run::withdraw;
use super::{Answer, instant, not_done};
use crate::access::table::FileOf;
use crate::admin::Role;
use crate::audit::{AuditHandle, typed, word};
use crate::disclosures;
use crate::exports::{self, Export, Format, Head, KEPT_FOR, State, Wanted, What, read_frame};
use crate::keeper::ExportKeys;
use crate::serve::Hub;

/// Days that one is kept at most.
pub const DAYS_MAX: u64 = KEPT_FOR.as_secs() / (24 * 3_600);
const THERE_IS_NONE: &str = "there is no such export";

/// What is wanted of exports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exporting {
    /// A new one.
    Create {
        /// Whose.
        account: String,
        /// Of what.
        what: What,
        /// How it is written.
        format: Format,
        /// Of messages that ended then or later, in unix milliseconds; all of them where nothing is said.
        since_ms: Option<u64>,
        /// And then or before.
        until_ms: Option<u64>,
        /// Kept so many days: [`DAYS_MAX`] at most, and where nothing is said.
        days: Option<u64>,
        /// Why: 1 to 200 octets.
        reason: String,
    },
    /// Which there are.
    List,
    /// A frame of rows.
    Read {
        /// Of this one.
        export: u64,
        /// Which: 1, or `next` of the one before, and where it lies.
        frame: Option<(u32, u64)>,
    },
    /// It is not needed any more.
    Delete {
        /// This one.
        export: u64,
    },
}

impl Exporting {
    /// As on the command line.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Create { .. } => "export create",
            Self::List => "export list",
            Self::Read { .. } => "export read",
            Self::Delete { .. } => "export delete",
        }
    }

    /// Whether it changes nothing.
    pub(super) const fn is_reading(&self) -> bool {
        matches!(self, Self::List | Self::Read { .. })
    }

    /// As a request's line.
    pub(super) fn request(&self) -> Value {
        let keys = match self {
            Self::Create {
                account,
                what,
                format,
                since_ms,
                until_ms,
                days,
                reason,
            } => json!({
                "account": account,
                "what": what.word(),
                "format": format.word(),
                "since_ms": since_ms,
                "until_ms": until_ms,
                "days": days,
                "reason": reason,
            }),
            Self::List => json!({}),
            Self::Read { export, frame } => json!({
                "export": export.to_string(),
                "frame": frame.map(|(frame, _)| frame),
                "at": frame.map(|(_, at)| at),
            }),
            Self::Delete { export } => json!({ "export": export.to_string() }),
        };
        line(self.word(), keys)
    }

    /// Reads a request's line, if it is one of these.
    pub(super) fn read(verb: &str, request: &Map<String, Value>) -> Option<Result<Self, String>> {
        let keys = Keys(request);
        Some(match verb {
            "export create" => read_create(&keys),
            "export list" => Ok(Self::List),
            "export read" => read_read(&keys),
            "export delete" => number(&keys).map(|export| Self::Delete { export }),
            _ => return None,
        })
    }

    /// What the audit log holds of it, and whose account; `None` for what is entered where it is done, or shows nobody's.
    pub(super) fn noted(&self) -> Option<(Option<&str>, Vec<Detail>)> {
        let verb = (Field::Verb, word(self.word()));
        match self {
            Self::Create {
                account,
                what,
                reason,
                ..
            } => {
                let scope = (Field::Scope, word(what.word()));
                let details = vec![verb, scope, (Field::Reason, typed(reason))];
                Some((Some(account), details))
            }
            Self::Delete { export } => Some((None, vec![verb, (Field::File, word(&export.to_string()))])),
            Self::List | Self::Read { .. } => None,
        }
    }
}

fn number(keys: &Keys<'_>) -> Result<u64, String> {
    let number = keys.needed("export")?;
    number
        .parse()
        .map_err(|_| "\"export\" is the number of one, as `export list` tells it".to_owned())
}

fn read_create(keys: &Keys<'_>) -> Result<Exporting, String> {
    let what = keys.one_of("what", &What::ASKED, What::word)?;
    let format = keys.one_of("format", &Format::ALL, Format::word)?;
    let days = keys.number("days")?;
    if days.is_some_and(|days| !(1..=DAYS_MAX).contains(&days)) {
        return Err(format!("\"days\" is 1 to {DAYS_MAX}"));
    }
    let reason = keys.needed("reason")?;
    if !(1..=REASON_MAX).contains(&reason.len()) {
        return Err(format!("\"reason\" is 1 to {REASON_MAX} octets"));
    }
    Ok(Exporting::Create {
        account: keys.needed("account")?,
        what: what.unwrap_or(What::Messages),
        format: format.unwrap_or(Format::Csv),
        since_ms: keys.number("since_ms")?,
        until_ms: keys.number("until_ms")?,
        days,
        reason,
    })
}

fn read_read(keys: &Keys<'_>) -> Result<Exporting, String> {
    let frame = match (keys.number("frame")?, keys.number("at")?) {
        (None, None) => None,
        (Some(frame), Some(at)) => Some((
            u32::try_from(frame).map_err(|_| "\"frame\" is no number of a frame")?,
            at,
        )),
        _ => return Err("\"frame\" and \"at\" go together".to_owned()),
    };
    Ok(Exporting::Read {
        export: number(keys)?,
        frame,
    })
}

/// What a file was made for, and so who may list, read and end it at the admin listener (ENC-5).
const fn file_of(head: &Head) -> FileOf {
    match head {
        Head {
            disclosure: Some(_), ..
        } => FileOf::Disclosure,
        Head { request: Some(_), .. } => FileOf::Request,
        _ => FileOf::Account,
    }
}

/// Whether a role is let at a file; none is needed at the control socket. Who is not let at it is told what is told of a file that is
/// not there: that a disclosure was made is as much of its tier as what is in it.
fn may_have(role: Option<Role>, head: &Head) -> Result<(), String> {
    match role {
        Some(role) if !role.suffices(file_of(head).role()) => Err(THERE_IS_NONE.to_owned()),
        _ => Ok(()),
    }
}

/// Does it.
pub(super) async fn export<D: Disk + 'static>(
    hub: &Rc<Hub<D>>,
    (audit, who, role): (&AuditHandle, &Actor, Option<Role>),
    exporting: &Exporting,
) -> Answer {
    match exporting {
        Exporting::Create {
            account,
            what,
            format,
            since_ms,
            until_ms,
            days,
            ..
        } => {
            let days = days.unwrap_or(DAYS_MAX);
            let wanted = Wanted {
                account: known(hub, account)?,
                disclosed: None,
                person: None,
                what: *what,
                format: *format,
                since_ms: since_ms.unwrap_or(0),
                // As far as a cursor counts.
                until_ms: until_ms.unwrap_or(u64::MAX >> 1),
                kept_for: Duration::from_secs(days * 24 * 3_600),
            };
            exports::create(hub, audit, wanted).await
        }
        Exporting::List => {
            let exports = hub.exports().ok_or("this gateway makes no exports")?;
            let now_ms = hub.believed_ms();
            let there = exports.list();
            let his = there.iter().filter(|export| may_have(role, &export.head).is_ok());
            let shown: Vec<Value> = his.map(|export| shown(export, now_ms)).collect();
            Ok(fields(json!({ "exports": shown })))
        }
        Exporting::Read { export, frame } => read(hub, (audit, who, role), *export, *frame).await,
        Exporting::Delete { export } => {
            let exports = hub.exports().ok_or("this gateway makes no exports")?;
            let there = exports.get(*export);
            if let Some(export) = &there {
                may_have(role, &export.head)?;
            }
            // Nobody makes it anew without being asked.
            if let Some(request) = there.as_ref().and_then(|export| export.head.request) {
                withdraw(hub, audit, (request, *export)).await?;
            }
            match there.map(|export| export.state) {
                None => Err(THERE_IS_NONE.to_owned()),
                Some(State::Making { .. }) => {
                    exports.stop(*export);
                    Ok(fields(json!({ "deleted": export.to_string() })))
                }
                Some(State::Ready { .. } | State::Over) => {
                    exports::end(hub, audit, *export, "deleted").await?;
                    Ok(fields(json!({ "deleted": export.to_string() })))
                }
            }
        }
    }
}

fn shown(export: &Export, now_ms: u64) -> Value {
    let head = &export.head;
    let state = match export.state {
        _ if export.is_due(now_ms) => "over",
        State::Over => "over",
        State::Making { .. } => "making",
        State::Ready { .. } => "ready",
    };
    json!({
        "export": head.number.to_string(),
        "account": head.account.as_str(),
        "disclosure": head.disclosure,
        "request": head.request,
        "what": head.what.word(),
        "format": head.format.word(),
        "state": state,
        "begun": instant(head.number),
        "ends": instant(head.ends_ms),
        "rows": export.rows,
        "octets": export.octets,
        "unreadable": export.unreadable,
    })
}

/// A frame of rows. That a reading begins is entered before anything of it is shown.
async fn read<D: Disk + 'static>(
    hub: &Rc<Hub<D>>,
    (audit, who, role): (&AuditHandle, &Actor, Option<Role>),
    number: u64,
    frame: Option<(u32, u64)>,
) -> Answer {
    let exports = hub.exports().ok_or("this gateway makes no exports")?;
    let export = exports.get(number).ok_or(THERE_IS_NONE)?;
    may_have(role, &export.head)?;
    if export.is_due(hub.believed_ms()) {
        return Err(THERE_IS_NONE.to_owned());
    }
    let State::Ready { first_at } = export.state else {
        return Err("it is still being made".to_owned());
    };
    let (frame, at) = frame.unwrap_or((1, first_at));
    let is_begun = export.goes_on.as_ref() != Some(&(who.clone(), frame));
    if is_begun {
        let entry = Entry::new(Kind::Export, who.clone())
            .of(Some(export.head.account))
            .with(Field::Verb, word("export read"))
            .with(Field::Outcome, word("asked"))
            .with(Field::File, word(&number.to_string()));
        audit.enter(vec![entry]).await?;
    }
    let key = exports::order(hub, |answer| ExportKeys::Open { number, answer }).await?;
    let key = key.ok_or("its key is gone")?;
    let path = exports.path(number);
    let head = export.head.clone();
    let read = tokio::task::spawn_blocking(move || read_frame(&path, &head, &key, (frame, at))).await;
    let read = read.map_err(|error| not_done(&error).to_owned())?;
    let read = read.map_err(|error| format!("frame {frame} does not open there: {error}"))?;
    // It may have ended meanwhile.
    let is_over = || {
        let now_ms = hub.believed_ms();
        exports.get(number).is_none_or(|export| export.is_due(now_ms))
    };
    if is_over() {
        return Err(THERE_IS_NONE.to_owned());
    }
    if let (None, Some(disclosure)) = (read.next_at, export.head.disclosure) {
        disclosures::fetched(hub, disclosure, number).await?;
        if is_over() {
            return Err(THERE_IS_NONE.to_owned());
        }
    }
    exports.was_read(number, who, frame, read.next_at.is_none());
    Ok(fields(json!({
        "export": number.to_string(),
        "format": export.head.format.word(),
        "text": read.text,
        "next": read.next_at.map(|at| json!({ "frame": frame + 1, "at": at })),
    })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_is_what_is_understood() {
        for wanted in [
            Exporting::Create {
                account: "load".to_owned(),
                what: What::Texts,
                format: Format::Jsonl,
                since_ms: Some(1),
                until_ms: None,
                days: Some(2),
                reason: "ticket".to_owned(),
            },
            Exporting::List,
            Exporting::Read {
                export: 1_764_482_592_123,
                frame: None,
            },
            Exporting::Read {
                export: 7,
                frame: Some((2, 4_000)),
            },
            Exporting::Delete { export: 7 },
        ] {
            let Value::Object(request) = wanted.request() else {
                unreachable!()
            };
            let read = Exporting::read(wanted.word(), &request);
            assert_eq!(read, Some(Ok(wanted)));
        }
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (verb, request, word) in [
            ("export create", json!({ "account": "load" }), "reason"),
            (
                "export create",
                json!({ "account": "load", "reason": "" }),
                "octets",
            ),
            (
                "export create",
                json!({ "account": "load", "reason": "a", "what": "all" }),
                "messages, texts",
            ),
            (
                "export create",
                json!({ "account": "load", "reason": "a", "days": 8 }),
                "1 to 7",
            ),
            ("export read", json!({ "export": "x" }), "number"),
            ("export read", json!({ "export": "1", "frame": 2 }), "together"),
        ] {
            let Value::Object(request) = request else {
                unreachable!()
            };
            let why = Exporting::read(verb, &request).unwrap().unwrap_err();
            assert!(why.contains(word), "{verb}: {why}");
        }
    }
}
