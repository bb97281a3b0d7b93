//! The control socket: a Unix socket in the data directory (mode 0600) over which the command line speaks to the gateway
//! that runs there. One JSON request per line, one JSON answer per line (design §6).
//!
//! ```text
//! {"version":1,"verb":"spool inspect"}
//! {"version":1,"done":{…}}          or   {"version":1,"refused":"why"}
//! ```
//!
//! Whoever can open the socket is the operator. It is bounded all the same: connections, octets of a line, time, and
//! what one turn of the loop does for it. Nothing that it says holds a body or a number (P4), but for those that the
//! operator has just asked about.

mod accessing;
mod ask;
mod casing;
mod census;
mod client;
mod closing;
mod deed;
mod disclosed;
mod disclosing;
mod erasing;
mod exporting;
mod filed;
mod finished;
mod given_up;
mod holding;
mod keys;
mod legal;
mod legal_ask;
mod listing;
mod noted;
mod noticing;
mod pages;
mod people;
pub(crate) mod rebuild;
mod request;
mod restricting;
mod retention;
mod rows;
mod server;
mod shown;
mod steer;
mod steering;
mod story;
mod subject_ask;
mod subject_look;
mod subject_run;
mod subjecting;
mod suppression;
mod test_message;
mod trace;
mod withheld;
mod work;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value, json};
use tidegate_store::audit::Actor;
use tidegate_store::keyring::Tier;
use tokio::sync::{mpsc, oneshot};

use crate::access::Depth;
use crate::admin::{self, DAYS_MAX, Role};
use crate::explain::Question;
use crate::origin::Origin;

pub use accessing::Accessing;
pub use casing::Casing;
pub(crate) use client::ask_within;
pub use client::{AskError, ask};
pub use closing::end_closed;
pub use deed::{Batch, COLUMNS, Deed, DeedKind, Override, ROWS_MAX, Row, VALUE_MAX};
pub use disclosing::{DecisionAsk, Disclosing, DisclosureAsk};
pub(crate) use erasing::deferring;
pub use exporting::{DAYS_MAX as EXPORT_DAYS_MAX, Exporting};
pub(crate) use finished::text_of;
pub use finished::{FOUND_MAX, Find, Reading};
pub use keys::NewKek;
pub(crate) use legal::{drop_released, key_word, take_effect};
pub use legal_ask::{HoldAsk, Matter};
pub use listing::{PAGE_MAX, instant};
pub(crate) use listing::{consent_times, leave_out_over, told};
pub use noticing::Noticing;
pub use people::act;
pub(crate) use people::{hex, journaled, unhex};
pub use request::{PAGE_MAX as LIST_MAX, Page};
pub use retention::Retain;
pub(crate) use retention::{Shown, shown_cells};
pub use server::{Listener, serve};
pub(crate) use shown::standing_words;
pub use steer::{FILTER_FOR_MAX, FILTER_MAX, MeantSender, RATE_MAX, Steer};
pub(crate) use steering::{fields, restore_by_case, suspend_by_case};
pub use subject_ask::{OpenAsk, Subjecting};
pub(crate) use subject_run::{
    ask_again, carry_out, change, end_subject, forget_subject_keys, standing as subject_standing,
};
pub(crate) use subjecting::noted as subject_noted;
pub(crate) use test_message::Watched;
pub use trace::{Party, Trace};
pub use withheld::{HeldMessage, Withheld, withheld};
pub use work::answer;

/// Name of the socket in the data directory.
const SOCKET: &str = "control";
/// Version of requests and answers.
pub(crate) const VERSION: u64 = 1;
/// Octets of a request, its line end included.
const LINE_MAX: usize = 64 * 1024;
/// Connections at a time; more wait in the backlog.
const CONNECTIONS_MAX: usize = 8;
/// A connection that says nothing for so long is closed.
const IDLE: Duration = Duration::from_secs(30);
/// The longest ban that an operator may set: 30 days.
const BAN_MAX: Duration = Duration::from_secs(30 * 24 * 3_600);
/// Requests that wait for the loop.
const REQUESTS_MAX: usize = 16;

/// What an operator wants of the running gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verb {
    /// What is under way, counted.
    Inspect,
    /// What the board shows: one second, and the last hour.
    Board,
    /// What accounts have used of their day and month.
    Usage {
        /// Of this account only.
        account: Option<String>,
    },
    /// Ends waiting messages as expired, with their DLRs.
    Expire(Selection),
    /// Puts what waits for one carrier in line for another.
    Move {
        /// Whose queue.
        from: String,
        /// Where to.
        to: String,
        /// Of this account only.
        account: Option<String>,
    },
    /// Why a message would go the way it goes.
    Explain(Box<Question>),
    /// Sends a message, as its account's.
    Send {
        /// Which; its time counts for nothing.
        message: Box<Question>,
        /// Whether to ask for a receipt, which the account's clients get.
        receipt: bool,
    },
    /// What has become of a message that was sent so.
    Follow {
        /// Its number, from the answer to [`Verb::Send`].
        number: u64,
        /// The state that is known already: another one is waited for, for a few seconds.
        known: String,
    },
    /// Reads the configuration again and takes it over.
    Reload {
        /// Only say what would be.
        dry_run: bool,
        /// The file that is meant: it must be the one that the gateway was started with.
        file: Option<PathBuf>,
    },
    /// Signs all that the audit log holds.
    AuditCheckpoint,
    /// Enters in the audit log that it is read.
    AuditRead,
    /// What is done about people.
    Deed(Box<Deed>),
    /// How the gateway is steered, or looked at to steer it.
    Steer(Steer),
    /// What is followed through the gateway.
    Trace(Trace),
    /// What the retention sweep does, or is to do.
    Retain(Retain),
    /// What is done with exports.
    Export(Exporting),
    /// Legal holds and orders to erase.
    Matter(Matter),
    /// Requests of people about what is kept of them.
    Subject(Subjecting),
    /// Notices to accounts.
    Notice(Noticing),
    /// Cases of abuse.
    Case(Casing),
    /// Held messages.
    Withheld(Withheld),
    /// Break-glass.
    Access(Accessing),
    /// Disclosures to authorities and others.
    Disclose(Disclosing),
    /// How the key-encryption key stands, and a rotation of it.
    KekState,
    /// Has all keys wrapped anew, under this one.
    RotateKek(Option<Tier>, NewKek),
    /// Makes a new generation of the suppression key.
    RotateSuppression,
    /// Has all that can be go by the newest generation.
    RewriteSuppression,
    /// Destroys a generation that nothing needs.
    RetireSuppression(u8),
    /// The bans that run.
    BanList,
    /// Bans an origin.
    BanAdd {
        /// Which.
        origin: Origin,
        /// For how long.
        length: Duration,
    },
    /// Ends a ban.
    BanRemove {
        /// Whose.
        origin: Origin,
    },
    /// Makes a token for the admin listener, and says it this once.
    TokenAdd {
        /// Its name.
        name: String,
        /// What it is good for.
        role: Role,
        /// For how many days.
        days: u64,
    },
    /// The tokens that there are, without what they are.
    TokenList,
    /// Has a token be good for nothing any more.
    TokenRevoke {
        /// Its name.
        name: String,
    },
}

/// What a request opens of what is kept of people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Opening<'v> {
    /// By which verb.
    pub(crate) verb: &'static str,
    /// Of which account, where it names one.
    pub(crate) account: Option<&'v str>,
    /// For which purpose, where it names one.
    pub(crate) purpose: Option<&'static str>,
}

/// Which waiting messages are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// Of this account.
    pub account: String,
    /// That were accepted at least so long ago.
    pub older_than: Duration,
}

/// A request on its way to the loop; the answer goes back with it.
#[derive(Debug)]
pub struct Request {
    /// What is wanted.
    pub verb: Verb,
    /// Who asks: by the system's word at the socket, by a token at the admin listener.
    pub who: Actor,
    /// What his token is good for; `None` at the socket, where whoever can open it may all.
    pub role: Option<Role>,
    /// Where the answer goes.
    pub answer: oneshot::Sender<Answer>,
}

/// What was done, or why nothing was.
pub type Answer = Result<Map<String, Value>, String>;

/// The two ends between socket and loop.
pub fn ends() -> (mpsc::Sender<Request>, mpsc::Receiver<Request>) {
    mpsc::channel(REQUESTS_MAX)
}

/// Where the socket of a data directory is.
pub fn path(data: &Path) -> PathBuf {
    data.join(SOCKET)
}

impl Verb {
    /// The verb as a request's line says it.
    pub fn request(&self) -> Value {
        match self {
            Self::Inspect => json!({ "version": VERSION, "verb": "spool inspect" }),
            Self::Board => json!({ "version": VERSION, "verb": "board" }),
            Self::Usage { account } => json!({
                "version": VERSION,
                "verb": "account usage",
                "account": account,
            }),
            Self::Expire(Selection { account, older_than }) => json!({
                "version": VERSION,
                "verb": "queue expire",
                "account": account,
                "older_than_s": older_than.as_secs(),
            }),
            Self::Move { from, to, account } => json!({
                "version": VERSION,
                "verb": "queue move",
                "from": from,
                "to": to,
                "account": account,
            }),
            Self::Explain(question) => about("route explain", question, &[]),
            Self::Send { message, receipt } => about("send", message, &[("receipt", json!(receipt))]),
            Self::Follow { number, known } => json!({
                "version": VERSION,
                "verb": "follow",
                "number": number,
                "known": known,
            }),
            Self::Reload { dry_run, file } => json!({
                "version": VERSION,
                "verb": "reload",
                "dry_run": dry_run,
                "file": file.as_ref().map(|file| file.display().to_string()),
            }),
            Self::AuditCheckpoint => json!({ "version": VERSION, "verb": "audit checkpoint" }),
            Self::AuditRead => json!({ "version": VERSION, "verb": "audit read" }),
            Self::Deed(deed) => deed.request(),
            Self::Steer(steer) => steer.request(),
            Self::Trace(trace) => trace.request(),
            Self::Retain(retain) => retain.request(),
            Self::Export(exporting) => exporting.request(),
            Self::Matter(matter) => matter.request(),
            Self::Subject(subjecting) => subjecting.request(),
            Self::Notice(wanted) => wanted.request(),
            Self::Case(wanted) => wanted.request(),
            Self::Withheld(wanted) => wanted.request(),
            Self::Access(wanted) => wanted.request(),
            Self::Disclose(wanted) => wanted.request(),
            Self::KekState => json!({ "version": VERSION, "verb": "key show" }),
            Self::RotateKek(tier, kek) => kek.request(*tier),
            Self::RotateSuppression => json!({ "version": VERSION, "verb": "key rotate-suppression" }),
            Self::RewriteSuppression => json!({ "version": VERSION, "verb": "key rewrite-suppression" }),
            Self::RetireSuppression(generation) => json!({
                "version": VERSION,
                "verb": "key retire-suppression",
                "generation": generation,
            }),
            Self::BanList => json!({ "version": VERSION, "verb": "ban list" }),
            Self::BanAdd { origin, length } => json!({
                "version": VERSION,
                "verb": "ban add",
                "address": origin.to_string(),
                "for_s": length.as_secs(),
            }),
            Self::BanRemove { origin } => json!({
                "version": VERSION,
                "verb": "ban remove",
                "address": origin.to_string(),
            }),
            Self::TokenAdd { name, role, days } => json!({
                "version": VERSION,
                "verb": "token add",
                "name": name,
                "role": role.word(),
                "days": days,
            }),
            Self::TokenList => json!({ "version": VERSION, "verb": "token list" }),
            Self::TokenRevoke { name } => json!({ "version": VERSION, "verb": "token revoke", "name": name }),
        }
    }

    /// Whether it has another filter hold for the log, and does not only ask for the one that does.
    pub(crate) const fn changes_the_log(&self) -> bool {
        matches!(self, Self::Steer(Steer::LogFilter { filter: Some(_), .. }))
    }

    /// What it opens of what is kept of people; `None` of what shows nobody. Who may is said by [`crate::access::table`].
    pub(crate) fn opens(&self) -> Option<Opening<'_>> {
        let (verb, account) = match self {
            Self::Steer(
                steer @ Steer::MessageShow {
                    account,
                    reading: Some(_),
                    ..
                },
            ) => (steer.word(), account.as_deref()),
            Self::Steer(
                steer @ Steer::MessageFind(Find {
                    account,
                    reading: Some(_),
                    ..
                }),
            ) => (steer.word(), Some(account.as_str())),
            Self::Export(exporting @ Exporting::Create { account, .. }) => {
                (exporting.word(), Some(account.as_str()))
            }
            Self::Export(exporting @ Exporting::Read { .. }) => (exporting.word(), None),
            Self::Matter(matter @ Matter::HoldShow { .. }) => (matter.word(), None),
            Self::Disclose(
                wanted @ (Disclosing::Produce { .. } | Disclosing::Show { reason: Some(_), .. }),
            ) => (wanted.word(), None),
            Self::Subject(
                subjecting @ (Subjecting::Run { .. } | Subjecting::Show { reading: Some(_), .. }),
            ) => (subjecting.word(), None),
            Self::Case(wanted @ (Casing::Show { .. } | Casing::Signals { .. })) => (wanted.word(), None),
            Self::Withheld(wanted @ Withheld::Show { .. }) => (wanted.word(), wanted.account()),
            Self::Deed(deed) if deed.kind.is_reading() => (deed.kind.word(), Some(deed.account.as_str())),
            _ => return None,
        };
        let purpose = match self {
            Self::Steer(Steer::MessageShow { reading, .. } | Steer::MessageFind(Find { reading, .. })) => {
                reading.as_ref().map(Reading::word)
            }
            _ => None,
        };
        Some(Opening {
            verb,
            account,
            purpose,
        })
    }

    /// Has it go no further than a grant of break-glass does, by its number.
    pub(crate) const fn read_by(&mut self, grant: u64, depth: Depth) {
        if let Self::Steer(
            Steer::MessageShow {
                reading: Some(reading),
                ..
            }
            | Steer::MessageFind(Find {
                reading: Some(reading),
                ..
            }),
        ) = self
        {
            reading.glass = Some(grant);
            reading.with_texts = matches!(depth, Depth::Body);
        }
    }

    /// Reads a request's line; what is wrong with it is said in words for the operator.
    fn read(line: &[u8]) -> Result<Self, String> {
        let mut request: Map<String, Value> =
            serde_json::from_slice(line).map_err(|error| format!("not a JSON object: {error}"))?;
        let verb = Self::of_object(&request);
        keys::wipe(&mut request);
        verb
    }

    /// The same of a request that is read already.
    pub(crate) fn of_object(request: &Map<String, Value>) -> Result<Self, String> {
        match request.get("version").and_then(Value::as_u64) {
            Some(VERSION) => {}
            other => {
                return Err(format!(
                    "version {other:?}: this gateway speaks version {VERSION}"
                ));
            }
        }
        // What is there and cannot be understood must not pass for what was left out: it would mean more.
        let text = |key: &str| match request.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(other) => Err(format!("\"{key}\" is no text: {other}")),
        };
        let needed = |key: &str| text(key)?.ok_or_else(|| format!("\"{key}\" is missing"));
        let origin = || {
            let address = needed("address")?;
            let origin = address.parse::<Origin>();
            origin.map_err(|error| format!("\"address\" is {address:?}: {error}"))
        };
        match request.get("verb").and_then(Value::as_str) {
            Some("spool inspect") => Ok(Self::Inspect),
            Some("board") => Ok(Self::Board),
            Some("account usage") => Ok(Self::Usage {
                account: text("account")?,
            }),
            Some("queue expire") => {
                let seconds = match request.get("older_than_s") {
                    None | Some(Value::Null) => 0,
                    Some(given) => given
                        .as_u64()
                        .ok_or_else(|| format!("\"older_than_s\" is no number of seconds: {given}"))?,
                };
                Ok(Self::Expire(Selection {
                    account: needed("account")?,
                    older_than: Duration::from_secs(seconds),
                }))
            }
            Some("queue move") => Ok(Self::Move {
                from: needed("from")?,
                to: needed("to")?,
                account: text("account")?,
            }),
            Some("route explain") => Ok(Self::Explain(Box::new(Question::take(request)?))),
            Some("send") => Ok(Self::Send {
                message: Box::new(Question::take(request)?),
                receipt: request
                    .get("receipt")
                    .and_then(Value::as_bool)
                    .ok_or("\"receipt\" is missing")?,
            }),
            Some("follow") => Ok(Self::Follow {
                number: request
                    .get("number")
                    .and_then(Value::as_u64)
                    .ok_or("\"number\" is missing")?,
                known: text("known")?.unwrap_or_default(),
            }),
            Some("reload") => Ok(Self::Reload {
                dry_run: match request.get("dry_run") {
                    None | Some(Value::Null) => false,
                    Some(Value::Bool(dry_run)) => *dry_run,
                    Some(other) => return Err(format!("\"dry_run\" is neither true nor false: {other}")),
                },
                file: text("file")?.map(PathBuf::from),
            }),
            Some("audit checkpoint") => Ok(Self::AuditCheckpoint),
            Some("audit read") => Ok(Self::AuditRead),
            Some("key show") => Ok(Self::KekState),
            Some("key rotate-kek") => Ok(Self::RotateKek(keys::tier(request)?, NewKek::read(request)?)),
            Some("key rotate-suppression") => Ok(Self::RotateSuppression),
            Some("key rewrite-suppression") => Ok(Self::RewriteSuppression),
            Some("key retire-suppression") => request
                .get("generation")
                .and_then(Value::as_u64)
                .and_then(|generation| u8::try_from(generation).ok())
                .map(Self::RetireSuppression)
                .ok_or_else(|| "\"generation\" is no generation".to_owned()),
            Some("ban list") => Ok(Self::BanList),
            Some("ban add") => {
                let seconds = request.get("for_s").and_then(Value::as_u64);
                let seconds = seconds.filter(|seconds| (1..=BAN_MAX.as_secs()).contains(seconds));
                Ok(Self::BanAdd {
                    origin: origin()?,
                    length: seconds.map(Duration::from_secs).ok_or_else(|| {
                        format!("\"for_s\" is a number of seconds up to {}", BAN_MAX.as_secs())
                    })?,
                })
            }
            Some("ban remove") => Ok(Self::BanRemove { origin: origin()? }),
            Some("token add") => {
                let days = request.get("days").and_then(Value::as_u64);
                Ok(Self::TokenAdd {
                    name: token_name(&needed("name")?)?,
                    role: needed("role")?
                        .parse()
                        .map_err(|why| format!("\"role\" is {why}"))?,
                    days: days
                        .filter(|days| (1..=DAYS_MAX).contains(days))
                        .ok_or_else(|| format!("\"days\" is a number up to {DAYS_MAX}"))?,
                })
            }
            Some("token list") => Ok(Self::TokenList),
            Some("token revoke") => Ok(Self::TokenRevoke {
                name: token_name(&needed("name")?)?,
            }),
            Some(other) => {
                let deed =
                    || Deed::read(other, request).map(|deed| deed.map(|deed| Self::Deed(Box::new(deed))));
                let steer = Steer::read(other, request).map(|steer| steer.map(Self::Steer));
                let trace = || Trace::read(other, request).map(|trace| trace.map(Self::Trace));
                let retain = || Retain::read(other, request).map(|retain| retain.map(Self::Retain));
                let export = || Exporting::read(other, request).map(|export| export.map(Self::Export));
                let matter = || Matter::read(other, request).map(|matter| matter.map(Self::Matter));
                let read = steer.or_else(deed).or_else(trace).or_else(retain);
                let subject = || Subjecting::read(other, request).map(|asked| asked.map(Self::Subject));
                let notice = || Noticing::read(other, request).map(|wanted| wanted.map(Self::Notice));
                let withheld = || Withheld::read(other, request).map(|wanted| wanted.map(Self::Withheld));
                let case = || Casing::read(other, request).map(|wanted| wanted.map(Self::Case));
                let disclose = || Disclosing::read(other, request).map(|wanted| wanted.map(Self::Disclose));
                let access = || Accessing::read(other, request).map(|wanted| wanted.map(Self::Access));
                let read = read.or_else(export).or_else(matter);
                let read = read.or_else(subject).or_else(notice).or_else(case);
                let read = read.or_else(disclose).or_else(access).or_else(withheld);
                read.unwrap_or_else(|| Err(format!("unknown verb {other:?}")))
            }
            None => Err("\"verb\" is missing".to_owned()),
        }
    }
}

fn token_name(text: &str) -> Result<String, String> {
    admin::name(text).map_err(|why| format!("\"name\" is {why}"))
}

/// A request about a message.
fn about(verb: &str, message: &Question, more: &[(&str, Value)]) -> Value {
    let mut request = Map::new();
    request.insert("version".to_owned(), json!(VERSION));
    request.insert("verb".to_owned(), json!(verb));
    message.put(&mut request);
    for (key, value) in more {
        request.insert((*key).to_owned(), value.clone());
    }
    Value::Object(request)
}

/// Why work on another thread came to nothing.
pub(crate) fn not_done(error: &tokio::task::JoinError) -> &'static str {
    if error.is_panic() {
        tracing::error!(%error, "work for an operator failed");
        return "it failed for a reason that is ours: see the log";
    }
    "the gateway ends"
}

#[cfg(test)]
mod tests {
    use tidegate_store::history::Kept;

    use super::*;

    #[test]
    fn what_is_asked_is_what_is_understood() {
        let verbs = [
            Verb::Inspect,
            Verb::KekState,
            Verb::RotateKek(None, NewKek::new(zeroize::Zeroizing::new([0xA5; 32]))),
            Verb::RotateKek(
                Some(Tier::Legal),
                NewKek::new(zeroize::Zeroizing::new([0xA6; 32])),
            ),
            Verb::RotateSuppression,
            Verb::RewriteSuppression,
            Verb::RetireSuppression(7),
            Verb::Board,
            Verb::Case(Casing::List {
                page: Page {
                    after: Some(7),
                    limit: Some(9),
                },
            }),
            Verb::Case(Casing::Show { id: 7 }),
            Verb::Case(Casing::Signals {
                account: Some("load".to_owned()),
            }),
            Verb::Case(Casing::Decide {
                id: 7,
                outcome: crate::abuse::Outcome::Upheld,
                reviewer: "Ana Ruiz".to_owned(),
                reason: "no campaign".to_owned(),
            }),
            Verb::Usage { account: None },
            Verb::Usage {
                account: Some("load".to_owned()),
            },
            Verb::Expire(Selection {
                account: "load".to_owned(),
                older_than: Duration::from_secs(90),
            }),
            Verb::Move {
                from: "a".to_owned(),
                to: "b".to_owned(),
                account: None,
            },
            Verb::Move {
                from: "a".to_owned(),
                to: "b".to_owned(),
                account: Some("load".to_owned()),
            },
            Verb::Reload {
                dry_run: true,
                file: None,
            },
            Verb::Reload {
                dry_run: false,
                file: Some("tidegate.toml".into()),
            },
            Verb::AuditCheckpoint,
            Verb::AuditRead,
            Verb::Retain(Retain::Plan),
            Verb::Retain(Retain::Sweep),
            Verb::Retain(Retain::ConfirmClock),
            Verb::Retain(Retain::RotateData {
                account: Some("load".to_owned()),
                class: Some(Kept::Body),
            }),
            Verb::Retain(Retain::Forget {
                account: "former".to_owned(),
                reason: "contract ended".to_owned(),
            }),
            Verb::Retain(Retain::Rebuild {
                period: Some("2026-03-02".to_owned()),
                index_only: true,
            }),
            Verb::Retain(Retain::Stats {
                account: Some("load".to_owned()),
            }),
            Verb::BanList,
            Verb::BanAdd {
                origin: "2001:db8::1".parse().unwrap(),
                length: Duration::from_secs(60),
            },
            Verb::BanRemove {
                origin: "192.0.2.7".parse().unwrap(),
            },
        ];
        for verb in verbs {
            let line = verb.request().to_string();
            assert_eq!(Verb::read(line.as_bytes()), Ok(verb));
        }
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (line, word) in [
            ("", "JSON"),
            ("[]", "JSON"),
            ("{}", "version"),
            (r#"{"version":2,"verb":"spool inspect"}"#, "version"),
            (r#"{"version":1}"#, "verb"),
            (r#"{"version":1,"verb":"format"}"#, "format"),
            (r#"{"version":1,"verb":"queue move","from":"a"}"#, "to"),
            (r#"{"version":1,"verb":"queue expire"}"#, "account"),
            (
                r#"{"version":1,"verb":"queue expire","account":"load","older_than_s":"1h"}"#,
                "seconds",
            ),
            (
                r#"{"version":1,"verb":"queue expire","account":"load","older_than_s":-1}"#,
                "seconds",
            ),
            (r#"{"version":1,"verb":"ban remove"}"#, "address"),
            (
                r#"{"version":1,"verb":"ban remove","address":"192.0.2.0/24"}"#,
                "192.0.2.7",
            ),
            (
                r#"{"version":1,"verb":"ban add","address":"192.0.2.7"}"#,
                "seconds",
            ),
            (
                r#"{"version":1,"verb":"ban add","address":"192.0.2.7","for_s":9999999}"#,
                "2592000",
            ),
            (
                r#"{"version":1,"verb":"queue move","from":"a","to":"b","account":7}"#,
                "account",
            ),
            (r#"{"version":1,"verb":"reload","dry_run":"yes"}"#, "dry_run"),
            (r#"{"version":1,"verb":"reload","file":7}"#, "file"),
            (r#"{"version":1,"verb":"stats","account":7}"#, "account"),
        ] {
            let refusal = Verb::read(line.as_bytes()).unwrap_err();
            assert!(refusal.contains(word), "{line}: {refusal}");
        }
    }
}
