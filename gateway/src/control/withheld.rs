//! Messages that a rule about abuse has held, at the control socket: which there are, what one says, and what a person decides.
//!
//! ```text
//! {"version":1,"verb":"held list","account":"shop"}
//! {"version":1,"verb":"held release","id":"7302816401","reviewer":"Ana Ruiz","reason":"a campaign of theirs"}
//! ```

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tidegate_codec::category::Category;
use tidegate_codec::identity::SystemId;
use tidegate_store::audit::{Actor, Entry, Field, Kind, Value as Told, Word};
use tidegate_store::disk::Disk;
use tidegate_store::history::Text;
use tidegate_store::index::{Leg, LegId};
use tidegate_store::message_id::MessageId;
use tidegate_store::names::NameId;
use tidegate_store::spool::Refused;
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_local;

use super::finished::text_shown;
use super::request::{Keys, Page, line};
use super::steering::fields;
use super::work::FULL_MAX;
use super::{Answer, instant};
use crate::abuse::cases::TEXT_MAX;
use crate::audit::AuditHandle;
use crate::clock::Now;
use crate::gate::Gate;
use crate::serve::Hub;
use crate::withheld::Verdict;

/// How long a text is waited for that is read back from its segment.
const READ_MAX: Duration = Duration::from_secs(10);
/// Before it is asked again what became of a decision that the disk had no room for.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
const NOT_HELD: &str = "no message of this id is held; ids of 8 digits are known with their account only";
const NOT_NOW: &str = "the spool takes nothing now: it stays held, ask again";
/// The same for good: nothing is tried again by this process.
const BROKEN: &str = "a sync of the spool has failed, and only a restart mends that: it stays held";
const BEGUN: &str = "it is decided, and cannot be put on disk now; it is tried again: see `held list`, and the audit log for when it is done";
const LOST: &str = "it is not known to be on disk: a sync of the spool has failed, and only a restart mends that. `held list` says then \
     whether it is held still, to be decided again";

/// What is wanted of held messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Withheld {
    /// Which there are, the oldest of each account first.
    List {
        /// Of this account only.
        account: Option<String>,
        /// Which of them.
        page: Page<String>,
    },
    /// What one says, and between which numbers.
    Show {
        /// Which.
        message: HeldMessage,
        /// Why somebody reads it.
        reason: String,
    },
    /// A person decides.
    Judge {
        /// What.
        verdict: Verdict,
        /// Of which.
        message: HeldMessage,
        /// Who, by name.
        reviewer: String,
        /// Why.
        reason: String,
    },
}

/// A message by its id, as its account was given it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldMessage {
    /// Its id.
    pub id: String,
    /// Whose; needed for ids of 8 digits only.
    pub account: Option<String>,
}

impl Withheld {
    /// As on the command line.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::List { .. } => "held list",
            Self::Show { .. } => "held show",
            Self::Judge {
                verdict: Verdict::Release,
                ..
            } => "held release",
            Self::Judge {
                verdict: Verdict::Reject,
                ..
            } => "held reject",
        }
    }

    /// Whether it changes nothing.
    pub(super) const fn is_reading(&self) -> bool {
        !matches!(self, Self::Judge { .. })
    }

    /// Of which account, where it names one.
    pub(super) fn account(&self) -> Option<&str> {
        match self {
            Self::List { account, .. } => account.as_deref(),
            Self::Show { message, .. } | Self::Judge { message, .. } => message.account.as_deref(),
        }
    }

    /// As a request's line.
    pub(super) fn request(&self) -> Value {
        let keys = match self {
            Self::List { account, page } => {
                json!({ "account": account, "after": page.after, "limit": page.limit })
            }
            Self::Show { message, reason } => {
                json!({ "id": message.id, "account": message.account, "reason": reason })
            }
            Self::Judge {
                message,
                reviewer,
                reason,
                ..
            } => json!({
                "id": message.id,
                "account": message.account,
                "reviewer": reviewer,
                "reason": reason,
            }),
        };
        line(self.word(), keys)
    }

    /// Reads a request's line, if it is one of these.
    pub(super) fn read(verb: &str, request: &Map<String, Value>) -> Option<Result<Self, String>> {
        let keys = Keys(request);
        Some(match verb {
            "held list" => read_list(&keys),
            "held show" => read_message(&keys).and_then(|message| {
                let reason = keys.said("reason", TEXT_MAX)?;
                Ok(Self::Show { message, reason })
            }),
            "held release" => read_judge(&keys, Verdict::Release),
            "held reject" => read_judge(&keys, Verdict::Reject),
            _ => return None,
        })
    }
}

fn read_list(keys: &Keys<'_>) -> Result<Withheld, String> {
    let after = keys.text("after")?;
    if after.as_deref().is_some_and(|after| place(after).is_none()) {
        return Err("\"after\" is what the page before said".to_owned());
    }
    Ok(Withheld::List {
        account: keys.text("account")?,
        page: Page {
            after,
            limit: keys.limit()?,
        },
    })
}

fn read_message(keys: &Keys<'_>) -> Result<HeldMessage, String> {
    Ok(HeldMessage {
        id: keys.needed("id")?,
        account: keys.text("account")?,
    })
}

fn read_judge(keys: &Keys<'_>, verdict: Verdict) -> Result<Withheld, String> {
    Ok(Withheld::Judge {
        verdict,
        message: read_message(keys)?,
        reviewer: keys.said("reviewer", TEXT_MAX)?,
        reason: keys.said("reason", TEXT_MAX)?,
    })
}

/// Where a page begins: behind a leg of a message of an account. The name, which may hold anything, comes last.
fn place(after: &str) -> Option<(&str, MessageId, u16)> {
    let mut parts = after.splitn(3, '-');
    let message = MessageId(parts.next()?.parse().ok()?);
    let leg = parts.next()?.parse().ok()?;
    let account = parts.next().filter(|name| !name.is_empty())?;
    Some((account, message, leg))
}

/// Does it.
///
/// # Errors
///
/// In words for an operator.
pub async fn withheld<D: Disk + 'static>(
    hub: &Rc<Hub<D>>,
    (audit, who): (&AuditHandle, &Actor),
    wanted: &Withheld,
) -> Answer {
    match wanted {
        Withheld::List { account, page } => {
            hub.look(|gate, now| gate.held_listed(now, account.as_deref(), page))
        }
        Withheld::Show { message, reason } => show(hub, (audit, who), message, reason).await,
        Withheld::Judge {
            verdict,
            message,
            reviewer,
            reason,
        } => judge(hub, (audit, who), *verdict, message, (reviewer, reason)).await,
    }
}

/// What the audit log holds of who looked, or decided.
fn entry(who: &Actor, verb: &Withheld, account: Option<SystemId>, id: &str, reason: &str) -> Entry {
    let kind = if verb.is_reading() {
        Kind::Read
    } else {
        Kind::OperatorVerb
    };
    let word = |text: &str| Told::Word(Word::of_name(text));
    Entry::new(kind, who.clone())
        .of(account)
        .with(Field::Verb, word(verb.word()))
        .with(Field::Message, word(id))
        .with(Field::Reason, Told::Word(Word::new(reason)))
}

async fn show<D: Disk>(
    hub: &Hub<D>,
    (audit, who): (&AuditHandle, &Actor),
    message: &HeldMessage,
    reason: &str,
) -> Answer {
    let (account, _) = hub.look(|gate, _| gate.held_meant(message))?;
    let verb = Withheld::Show {
        message: message.clone(),
        reason: reason.to_owned(),
    };
    let entry = entry(who, &verb, account, &message.id, reason);
    let entry = entry.with(Field::Purpose, Told::Word(Word::of_name("fraud")));
    audit.enter(vec![entry]).await?;
    // The legs of one message have one text.
    let body = read(hub, message, |legs| legs.first().copied()).await?;
    hub.look(|gate, now| {
        let (_, legs) = gate.held_meant(message)?;
        let index = gate.spool().index();
        let legs: Vec<&Leg> = legs.iter().filter_map(|id| index.get(*id)).collect();
        let first = *legs.first().ok_or(NOT_HELD)?;
        let mut told = gate.held_row(now, first);
        let number = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        let text = Text {
            id: first.message,
            leg: first.leg,
            form: first.envelope.form,
            accepted_ms: first.envelope.accepted_ms,
            final_ms: 0,
            body: body.to_vec(),
        };
        told["from"] = json!(number(first.envelope.addresses.source().as_bytes()));
        told["to"] = legs
            .iter()
            .map(|leg| number(leg.envelope.addresses.destination().as_bytes()))
            .collect();
        told["text"] = text_shown(&text, first.envelope.data_coding);
        Ok(fields(told))
    })
}

async fn judge<D: Disk + 'static>(
    hub: &Rc<Hub<D>>,
    (audit, who): (&AuditHandle, &Actor),
    verdict: Verdict,
    message: &HeldMessage,
    (reviewer, reason): (&str, &str),
) -> Answer {
    if !matches!(who, Actor::Operator(Some(_)) | Actor::Token(_)) {
        return Err("who decides must be known: by a user of this machine, or a token".to_owned());
    }
    let Ok(place) = Arc::clone(&hub.judging).try_acquire_owned() else {
        return Err("too many decisions wait for the disk: it stays held, ask again".to_owned());
    };
    let (account, _) = hub.look(|gate, _| gate.held_meant(message))?;
    let verb = Withheld::Judge {
        verdict,
        message: message.clone(),
        reviewer: reviewer.to_owned(),
        reason: reason.to_owned(),
    };
    let entry = entry(who, &verb, account, &message.id, reason)
        .with(Field::Approvers, Told::Words(vec![Word::new(reviewer)]));
    let asked = entry.clone();
    let outcome = Told::Word(Word::of_name("asked"));
    audit.enter(vec![asked.with(Field::Outcome, outcome)]).await?;
    let decided = decide(hub, verdict, message).await;
    // It is decided; that the log does not take this as well is told by its own alarm.
    let _ = audit.enter(vec![decided.ended(entry.clone())]).await;
    let (count, left) = match decided {
        Decided::Done { count, left } => (count, left),
        Decided::Refused(why) => return Err(why),
        Decided::Begun { count, legs } => {
            let (hub, audit) = (Rc::clone(hub), audit.clone());
            // Whoever asked has an answer; the log is to have what came of it.
            spawn_local(async move {
                let ended = follow(&hub, count, &legs).await;
                let _ = audit.enter(vec![ended.ended(entry)]).await;
                drop(place);
            });
            return Err(BEGUN.to_owned());
        }
        Decided::Lost { .. } => return Err(LOST.to_owned()),
    };
    let key = match verdict {
        Verdict::Release => "released",
        Verdict::Reject => "rejected",
    };
    Ok(fields(json!({
        "id": message.id,
        "account": account.as_ref().map(SystemId::as_str),
        key: count,
        "left": left,
    })))
}

/// What became of a decision.
#[derive(Debug)]
enum Decided {
    /// It is on disk, of so many legs.
    Done {
        /// Of how many.
        count: u64,
        /// How many are held still: the spool took no more, and it can be decided of them again.
        left: u64,
    },
    /// Nothing is decided, and why.
    Refused(String),
    /// It is staged and not known to be on disk: it is tried again, and a restart finds them held or decided.
    Begun {
        /// Of how many.
        count: u64,
        /// All that were held before.
        legs: Vec<LegId>,
    },
    /// The same, and this process tries nothing again.
    Lost {
        /// Of how many.
        count: u64,
    },
}

impl Decided {
    /// What the audit log holds of it.
    fn ended(&self, entry: Entry) -> Entry {
        let (word, count) = match self {
            Self::Refused(_) => ("refused", None),
            Self::Begun { count, .. } => ("begun", Some(*count)),
            Self::Done { count, left: 0 } => ("done", Some(*count)),
            Self::Done { count, .. } => ("done in part", Some(*count)),
            Self::Lost { count } => ("failed", Some(*count)),
        };
        let entry = entry.with(Field::Outcome, Told::Word(Word::of_name(word)));
        match count {
            Some(count) => entry.with(Field::Count, Told::Count(count)),
            None => entry,
        }
    }
}

/// Reads the body of one of a message's held legs.
async fn read<D: Disk>(
    hub: &Hub<D>,
    message: &HeldMessage,
    which: impl FnOnce(&[LegId]) -> Option<LegId>,
) -> Result<bytes::Bytes, String> {
    let reading = hub.with_gate(|gate, _| {
        let (_, legs) = gate.held_meant(message)?;
        gate.look_at(which(&legs).ok_or(NOT_HELD)?)
    })?;
    let body = tokio::time::timeout(READ_MAX, reading).await;
    let body = body.map_err(|_| "it cannot be read now: ask again")?;
    Ok(body.map_err(|_| "it cannot be read now, or is held no longer")?)
}

/// Decides each leg of a message and waits until that is on disk; says of how many.
async fn decide<D: Disk>(hub: &Hub<D>, verdict: Verdict, message: &HeldMessage) -> Decided {
    let legs = match hub.look(|gate, _| gate.held_meant(message)) {
        Ok((_, legs)) => legs,
        Err(why) => return Decided::Refused(why),
    };
    let (mut count, mut refused) = (0, None);
    for leg in &legs {
        let body = match verdict {
            Verdict::Reject => bytes::Bytes::new(),
            // One after the other: they are as long as they are.
            Verdict::Release => match read(hub, message, |_| Some(*leg)).await {
                Ok(body) => body,
                Err(why) => {
                    refused = Some(why);
                    break;
                }
            },
        };
        match hub.with_gate(|gate, now| gate.judge_held(now, (*leg, verdict), &body)) {
            Ok(is_judged) => count += u64::from(is_judged),
            // The rest stays held, and can be decided again.
            Err(why) => {
                refused = Some(why);
                break;
            }
        }
    }
    if count == 0 {
        return Decided::Refused(refused.unwrap_or_else(|| NOT_HELD.to_owned()));
    }
    // Where the next segment cannot be made a batch is neither kept nor given back: whoever asked is not to wait for that.
    let settled = tokio::time::timeout(FULL_MAX, settled(hub)).await;
    match settled.unwrap_or(Settled::GivenBack) {
        Settled::Synced => done(hub, count, &legs),
        Settled::GivenBack => Decided::Begun { count, legs },
        Settled::Broken => Decided::Lost { count },
    }
}

/// What became of all that was staged.
enum Settled {
    /// It is on disk.
    Synced,
    /// The disk had no room for it: it is staged again.
    GivenBack,
    /// A sync failed: nothing goes to disk any more.
    Broken,
}

/// Waits until all that memory knows is on disk, or part of it was given back.
async fn settled<D: Disk>(hub: &Hub<D>) -> Settled {
    let is_broken = || hub.look(|gate, _| gate.spool().is_broken());
    if is_broken() {
        return Settled::Broken;
    }
    let (done, mut is_done) = mpsc::channel(2);
    let to_hear = hub.with_gate(|gate, _| gate.hear_of_batches(&done));
    drop(done);
    for _ in 0..to_hear {
        match is_done.recv().await {
            Some(true) => {}
            Some(false) if !is_broken() => return Settled::GivenBack,
            Some(false) | None => return Settled::Broken,
        }
    }
    Settled::Synced
}

/// Waits as long as a decision is tried again, which the spool does by itself.
async fn follow<D: Disk>(hub: &Hub<D>, count: u64, legs: &[LegId]) -> Decided {
    loop {
        match settled(hub).await {
            Settled::Synced => return done(hub, count, legs),
            // Who asks wakes the loop, and it would try at once: with others who ask, the loop would do nothing else.
            Settled::GivenBack => tokio::time::sleep(LOOK_AGAIN).await,
            Settled::Broken => return Decided::Lost { count },
        }
    }
}

/// It is on disk: of how many of these legs it is not, as they are held still.
fn done<D: Disk>(hub: &Hub<D>, count: u64, legs: &[LegId]) -> Decided {
    let left = hub.look(|gate, _| {
        let index = gate.spool().index();
        let is_held = |leg: &&LegId| index.get(**leg).is_some();
        legs.iter().filter(is_held).count()
    });
    Decided::Done {
        count,
        left: left as u64,
    }
}

impl<D: Disk> Gate<D> {
    /// The legs of a message that are held, and whose it is.
    fn held_meant(&self, message: &HeldMessage) -> Result<(Option<SystemId>, Vec<LegId>), String> {
        let account = message.account.as_deref();
        let account = account.map(|name| self.known_account(name)).transpose()?;
        let found = self.message_called(message.id.as_bytes(), account);
        let legs = found.map_or(Vec::new(), |found| self.held_legs(found));
        let first = legs.first().and_then(|leg| self.spool.index().get(*leg));
        let name = first.ok_or(NOT_HELD)?.account;
        let account = SystemId::new(self.spool.names().name(name).as_bytes());
        Ok((account.ok(), legs))
    }

    /// Stages what was decided of one leg; `false` if it has ended meanwhile, or was decided.
    fn judge_held(
        &mut self,
        now: Now,
        (leg, verdict): (LegId, Verdict),
        body: &[u8],
    ) -> Result<bool, String> {
        if self.spool.is_broken() {
            return Err(BROKEN.to_owned());
        }
        if !self.spool.has_batch_room() || !self.spool.has_progress_room() {
            return Err(NOT_NOW.to_owned());
        }
        let judged = match verdict {
            Verdict::Release => self.release_held(now, leg, body),
            Verdict::Reject => self.reject_held(now, leg),
        };
        judged.map_err(|refused| match refused {
            Refused::Full => NOT_NOW.to_owned(),
            Refused::Broken => BROKEN.to_owned(),
        })
    }

    fn held_row(&self, now: Now, leg: &Leg) -> Value {
        let envelope = &leg.envelope;
        let id = self.id_text(leg.message, envelope.id_form);
        json!({
            "id": String::from_utf8_lossy(id.as_bytes()),
            "recipient": leg.leg,
            "account": self.spool.names().name(leg.account),
            "accepted": instant(envelope.accepted_ms),
            "expires": instant(envelope.expires_ms),
            "held_s": now.unix_ms.saturating_sub(envelope.accepted_ms) / 1_000,
            "category": Category::from_octet(envelope.category).map(Category::word),
            "parts": envelope.parts,
        })
    }

    /// A page of what is held: nobody's number, and no text.
    fn held_listed(&self, now: Now, account: Option<&str>, page: &Page<String>) -> Answer {
        let index = self.spool.index();
        let held = index.held();
        let only = account.map(|name| self.known_account(name)).transpose()?;
        let only = only.map(|place| self.accounts[place].name);
        let after = page.after.as_deref().and_then(place);
        // By their names, which a restart does not change.
        let names = self.spool.names();
        let is_meant = |id: &NameId| {
            let is_behind = after.is_none_or(|(after, ..)| names.name(*id) >= after);
            only.is_none_or(|only| only == *id) && is_behind
        };
        let mut accounts: Vec<NameId> = held.accounts().filter(is_meant).collect();
        accounts.sort_unstable_by_key(|id| names.name(*id));
        let legs = accounts.into_iter().flat_map(|name| {
            let from = match after {
                Some((of, message, leg)) if of == names.name(name) => (message, leg.saturating_add(1)),
                _ => (MessageId(0), 0),
            };
            held.of(name, from)
                .map(move |(message, leg)| (name, message, leg))
        });
        let mut legs = legs.peekable();
        let (mut rows, mut last) = (Vec::new(), None);
        for (name, message, number) in legs.by_ref().take(page.limit()) {
            last = Some(format!("{}-{number}-{}", message.0, names.name(name)));
            let leg = index.find(message, number).and_then(|id| index.get(id));
            rows.extend(leg.map(|leg| self.held_row(now, leg)));
        }
        let next = last.filter(|_| legs.peek().is_some());
        Ok(fields(
            json!({ "held": held.len(), "messages": rows, "next": next }),
        ))
    }

    /// Has the body of a held leg read back, for somebody to look at.
    fn look_at(&mut self, leg: LegId) -> Result<oneshot::Receiver<bytes::Bytes>, String> {
        let (look, seen) = oneshot::channel();
        self.read_for_a_look(leg, look)?;
        Ok(seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_is_what_is_understood_and_what_is_not_is_refused() {
        let message = HeldMessage {
            id: "1234".to_owned(),
            account: Some("load".to_owned()),
        };
        let judge = |verdict| Withheld::Judge {
            verdict,
            message: message.clone(),
            reviewer: "Ana Ruiz".to_owned(),
            reason: "a campaign".to_owned(),
        };
        let page = Page {
            after: Some("17-0-shop-3".to_owned()),
            limit: Some(7),
        };
        for wanted in [
            Withheld::List { account: None, page },
            Withheld::Show {
                message: message.clone(),
                reason: "a review".to_owned(),
            },
            judge(Verdict::Release),
            judge(Verdict::Reject),
        ] {
            let request = fields(wanted.request());
            assert_eq!(Withheld::read(wanted.word(), &request), Some(Ok(wanted)));
        }
        for (verb, request) in [
            ("held list", json!({ "after": "3-17" })),
            ("held list", json!({ "after": "shop-3-17" })),
            ("held list", json!({ "limit": 0 })),
            ("held show", json!({ "id": "1" })),
            (
                "held release",
                json!({ "id": "1", "reviewer": " ", "reason": "x" }),
            ),
            ("held reject", json!({ "reviewer": "a", "reason": "x" })),
            (
                "held reject",
                json!({ "id": "1", "reviewer": "a", "reason": "x".repeat(TEXT_MAX + 1) }),
            ),
        ] {
            let read = Withheld::read(verb, &fields(request.clone()));
            assert!(read.unwrap().is_err(), "{verb} {request}");
        }
    }
}
