//! Finished messages, as far as rules keep them: what is shown of one, and of those of an account or to a number.
//!
//! Without a purpose nobody sees a number or a text; with one that is entered in the audit log first (GEN-3). What a rule says
//! is due is gone for every reader, swept or not (RET-4).

use std::time::Duration;

use serde_json::{Map, Value, json};
use tidegate_codec::category::Category;
use tidegate_codec::identity::SystemId;
use tidegate_codec::pdu::message::{DataSm, Sm};
use tidegate_codec::text::{Peer, read};
use tidegate_codec::values::{DataCoding, EsmClass};
use tidegate_store::audit::{Actor, Entry, Field, Kind};
use tidegate_store::disk::Disk;
use tidegate_store::history::{Kept, Meta, Query, Text};
use tidegate_store::record::Form;
use tidegate_store::seal::Purpose;

use super::Answer;
use super::listing::instant;
use super::shown::masked;
use super::steering::fields;
use crate::access;
use crate::audit::{AuditHandle, typed, word};
use crate::keeping::Ended;
use crate::number::plan;
use crate::serve::Hub;

/// Messages of one answer at most, and where nothing is said.
pub const FOUND_MAX: usize = 500;
pub(super) const FOUND_DEFAULT: usize = 100;
/// How long before now is looked through where nothing is said.
pub(super) const SINCE_DEFAULT: Duration = Duration::from_secs(24 * 3_600);
/// Octets of a reason.
pub(super) const REASON_MAX: usize = 200;
/// Legs of one message that are told.
const LEGS_MAX: usize = 1_000;

/// Why somebody reads what is about people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The purpose.
    pub purpose: Purpose,
    /// A ticket, a matter: 1 to 200 characters.
    pub reason: String,
    /// With texts; a grant of break-glass may go no further than numbers.
    pub with_texts: bool,
    /// By this grant of break-glass.
    pub glass: Option<u64>,
}

impl Reading {
    /// From the words of a request.
    ///
    /// # Errors
    ///
    /// In words for who asked.
    pub fn read(purpose: Option<String>, reason: Option<String>) -> Result<Option<Self>, String> {
        let Some(purpose) = purpose else {
            return match reason {
                None => Ok(None),
                Some(_) => Err("\"reason\" goes with a \"purpose\"".to_owned()),
            };
        };
        let purpose = match purpose.as_str() {
            "support" => Purpose::Support,
            "billing" => Purpose::Billing,
            "fraud" => Purpose::Fraud,
            "legal" => Purpose::Legal,
            _ => return Err("\"purpose\" is support, billing, fraud or legal".to_owned()),
        };
        let reason = reason.filter(|reason| (1..=REASON_MAX).contains(&reason.len()));
        let reason = reason
            .ok_or_else(|| format!("with a \"purpose\" goes a \"reason\" of 1 to {REASON_MAX} octets"))?;
        Ok(Some(Self {
            purpose,
            reason,
            with_texts: true,
            glass: None,
        }))
    }

    /// The purpose, as it was written.
    pub const fn word(&self) -> &'static str {
        match self.purpose {
            Purpose::Billing => "billing",
            Purpose::Fraud => "fraud",
            Purpose::Legal => "legal",
            _ => "support",
        }
    }
}

/// Which finished messages are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Find {
    /// Whose.
    pub account: String,
    /// To this number only.
    pub to: Option<String>,
    /// That ended then or later, in unix milliseconds; a day ago where nothing is said and no number is.
    pub since_ms: Option<u64>,
    /// That ended then or before.
    pub until_ms: Option<u64>,
    /// How many at most.
    pub limit: Option<usize>,
    /// Why it is asked what went to a number: without it that is not told.
    pub reading: Option<Reading>,
}

/// Enters that somebody reads.
async fn enter(
    audit: &AuditHandle,
    who: &Actor,
    (verb, account, message): (&str, Option<SystemId>, Option<&str>),
    reading: Option<&Reading>,
) -> Result<(), String> {
    let mut entry = Entry::new(Kind::Read, who.clone())
        .of(account)
        .with(Field::Verb, word(verb));
    if let Some(message) = message {
        entry = entry.with(Field::Message, word(message));
    }
    if let Some(reading) = reading {
        entry = entry
            .with(Field::Purpose, word(reading.word()))
            .with(Field::Reason, typed(&reading.reason));
    }
    audit.enter(vec![entry]).await
}

/// Enters that a grant of break-glass is used, if it is by one.
async fn by_grant<D: Disk>(
    hub: &Hub<D>,
    by: (&AuditHandle, &Actor),
    verb: &str,
    reading: &Reading,
) -> Result<(), String> {
    match reading.glass {
        Some(grant) => access::used(hub, by, (grant, verb)).await,
        None => Ok(()),
    }
}

/// `message show` with a purpose: a finished message with its numbers and its text.
pub(super) async fn read_one<D: Disk>(
    hub: &Hub<D>,
    (audit, who): (&AuditHandle, &Actor),
    id: &str,
    account: Option<&str>,
    reading: &Reading,
) -> Answer {
    let whose = account.map(|name| known(hub, name)).transpose()?;
    by_grant(hub, (audit, who), "message show", reading).await?;
    enter(audit, who, ("message show", whose, None), Some(reading)).await?;
    let told = by_id(hub, id, account, Some(reading))
        .await?
        .ok_or("no finished message of this id is kept")?;
    // Whose and which, before it is shown. Not before it is known to be one: what else was typed might be a number.
    let account = told.get("account").and_then(Value::as_str);
    let whose = account.and_then(|name| SystemId::new(name.as_bytes()).ok());
    enter(audit, who, ("message show", whose, Some(id)), Some(reading)).await?;
    Ok(told)
}

pub(super) fn known<D: Disk>(hub: &Hub<D>, name: &str) -> Result<SystemId, String> {
    hub.look(|gate, _| {
        let place = gate.known_account(name)?;
        Ok(gate.config().accounts[place].system_id)
    })
}

/// A finished message by its id; `None` where none is kept that may be read. That it is asked for is entered by the caller.
pub(super) async fn by_id<D: Disk>(
    hub: &Hub<D>,
    id: &str,
    account: Option<&str>,
    reading: Option<&Reading>,
) -> Result<Option<Map<String, Value>>, String> {
    let whose = account.map(|name| known(hub, name)).transpose()?;
    let messages = hub.look(|gate, now| gate.messages_spelled(now.unix_ms, id.as_bytes()).to_vec());
    let purpose = reading.map_or(Purpose::Support, |reading| reading.purpose);
    let mut legs: Vec<(SystemId, Meta)> = Vec::new();
    let mut texts: Vec<(SystemId, Text)> = Vec::new();
    for message in messages {
        let query = Query::Id(message);
        let is_meant = |of: &SystemId| whose.is_none_or(|whose| whose == *of);
        hub.look_in_history(&query, Kept::Meta, purpose, |looked| {
            legs.extend(looked.metas.into_iter().filter(|(of, _)| is_meant(of)));
            legs.len() > LEGS_MAX
        })
        .await?;
        if reading.is_some_and(|reading| reading.with_texts) {
            hub.look_in_history(&query, Kept::Body, purpose, |looked| {
                texts.extend(looked.texts.into_iter().filter(|(of, _)| is_meant(of)));
                texts.len() > LEGS_MAX
            })
            .await?;
        }
        if !legs.is_empty() {
            break;
        }
    }
    // Whose text is kept longer than its record has none that tells it: the text has its own dates.
    let now_ms = hub.now().unix_ms;
    let Some(keeping) = hub.look(|gate, _| gate.keeping().cloned()) else {
        return Ok(None);
    };
    let text_of = |account: SystemId, meta: &Meta| {
        let is_its =
            |(of, text): &&(SystemId, Text)| *of == account && (text.id, text.leg) == (meta.id, meta.leg);
        let (_, text) = texts.iter().find(is_its)?;
        keeping
            .may_be_read(&Ended::of(account, meta), Kept::Body, now_ms)
            .then_some(text)
    };
    legs.retain(|(account, meta)| keeping.may_be_read(&Ended::of(*account, meta), Kept::Meta, now_ms));
    legs.sort_by_key(|(_, meta)| meta.leg);
    let more = legs.len() > LEGS_MAX;
    legs.truncate(LEGS_MAX);
    let Some((account, first)) = legs.first() else {
        return Ok(None);
    };
    let shown: Vec<Value> = legs
        .iter()
        .map(|(account, meta)| {
            let is_restricted = keeping.is_restricted(*account, meta.person());
            let is_shown = reading.is_some() && (!is_restricted || purpose == Purpose::Legal);
            let mut leg = leg_shown(meta, is_shown);
            leg["restricted"] = json!(is_restricted);
            if is_shown {
                leg["text"] =
                    text_of(*account, meta).map_or(Value::Null, |text| text_shown(text, meta.data_coding));
            }
            leg
        })
        .collect();
    Ok(Some(fields(json!({
        "id": id,
        "account": account.as_str(),
        "accepted": instant(first.accepted_ms),
        "expires": instant(first.expires_ms),
        "category": Category::from_octet(first.category).map(Category::word),
        "parts": first.parts,
        "is_finished": true,
        "legs": shown,
        "has_more": more,
    }))))
}

/// `message find`: finished messages of an account, without a number.
pub(super) async fn find<D: Disk>(hub: &Hub<D>, (audit, who): (&AuditHandle, &Actor), find: &Find) -> Answer {
    let account = known(hub, &find.account)?;
    if find.to.is_some() && find.reading.is_none() {
        return Err("what went to a number is told for a \"purpose\" and a \"reason\" only".to_owned());
    }
    if let Some(reading) = &find.reading {
        by_grant(hub, (audit, who), "message find", reading).await?;
    }
    enter(
        audit,
        who,
        ("message find", Some(account), None),
        find.reading.as_ref(),
    )
    .await?;
    let purpose = find
        .reading
        .as_ref()
        .map_or(Purpose::Support, |reading| reading.purpose);
    let now_ms = hub.now().unix_ms;
    let limit = find.limit.unwrap_or(FOUND_DEFAULT).clamp(1, FOUND_MAX);
    let until_ms = find.until_ms.unwrap_or(u64::MAX >> 1);
    let day_ago_ms = now_ms.saturating_sub(u64::try_from(SINCE_DEFAULT.as_millis()).unwrap_or(0));
    let since_ms = find
        .since_ms
        .unwrap_or(if find.to.is_some() { 0 } else { day_ago_ms });
    let queries = match &find.to {
        None => vec![Query::Account {
            account,
            from_ms: since_ms,
            to_ms: until_ms,
        }],
        Some(to) => digits(hub, account, to)?
            .into_iter()
            .map(|digits| Query::Recipient { account, digits })
            .collect(),
    };
    let keeping = hub
        .look(|gate, _| gate.keeping().cloned())
        .ok_or("this gateway keeps no finished messages")?;
    let mut found: Vec<Meta> = Vec::new();
    let mut unreadable = 0;
    for query in queries {
        hub.look_in_history(&query, Kept::Meta, purpose, |looked| {
            unreadable += looked.unreadable;
            let metas = looked.metas.into_iter().map(|(_, meta)| meta);
            // What is due must not take the places of what may be read.
            found.extend(metas.filter(|meta| {
                (since_ms..=until_ms).contains(&meta.final_ms)
                    && keeping.may_be_read(&Ended::of(account, meta), Kept::Meta, now_ms)
            }));
            found.len() > limit
        })
        .await?;
    }
    // By now: it may have taken a while.
    let now_ms = hub.now().unix_ms;
    found.retain(|meta| keeping.may_be_read(&Ended::of(account, meta), Kept::Meta, now_ms));
    let more = found.len() > limit;
    found.truncate(limit);
    let messages: Vec<Value> = found
        .iter()
        .map(|meta| {
            let mut shown = leg_shown(meta, false);
            shown["restricted"] = json!(keeping.is_restricted(account, meta.person()));
            shown["id"] = json!(hub.look(|gate, _| {
                String::from_utf8_lossy(gate.id_text(meta.id, meta.id_form).as_bytes()).into_owned()
            }));
            shown["accepted"] = json!(instant(meta.accepted_ms));
            shown
        })
        .collect();
    Ok(fields(json!({
        "account": account.as_str(),
        "messages": messages,
        "has_more": more,
        "unreadable": unreadable,
    })))
}

/// A number as messages to it may have it: as it is written, and in its canonical form where it has one. An account's settings
/// may have been others when it wrote.
fn digits<D: Disk>(hub: &Hub<D>, account: SystemId, to: &str) -> Result<Vec<Vec<u8>>, String> {
    let text = to.strip_prefix('+').unwrap_or(to);
    if text.is_empty() || text.len() > 64 || !text.bytes().all(|octet| octet.is_ascii_graphic()) {
        return Err("\"to\" is a number".to_owned());
    }
    let home = hub.look(|gate, _| {
        let mut accounts = gate.config().accounts.iter();
        accounts
            .find(|there| there.system_id == account)?
            .numbering
            .country
    });
    let (ton, npi) = match to.starts_with('+') {
        true => (
            tidegate_codec::address::Ton::INTERNATIONAL,
            tidegate_codec::address::Npi::ISDN,
        ),
        false => (
            tidegate_codec::address::Ton::UNKNOWN,
            tidegate_codec::address::Npi::UNKNOWN,
        ),
    };
    let mut forms = vec![text.as_bytes().to_vec()];
    if let Ok(number) = plan().canonical(ton, npi, text.as_bytes(), home) {
        forms.push(number.as_bytes().to_vec());
    }
    forms.dedup();
    Ok(forms)
}

pub(super) fn leg_shown(meta: &Meta, with_numbers: bool) -> Value {
    let number = |address: &tidegate_codec::address::AddressBuf| match with_numbers {
        true => json!(String::from_utf8_lossy(address.as_bytes())),
        false => masked(address),
    };
    let mut leg = json!({
        "recipient": meta.leg,
        "direction": meta.direction.word(),
        "to": number(&meta.destination),
        "state": meta.state.stat(),
        "ended": instant(meta.final_ms),
        "carrier": (!meta.carrier.is_empty()).then_some(&meta.carrier),
        "attempts": meta.attempts,
    });
    if with_numbers {
        leg["from"] = number(&meta.source);
        leg["carrier_id"] = json!(String::from_utf8_lossy(meta.carrier_id.as_bytes()));
    }
    leg
}

/// A text as far as it can be read, and its octets; `None` of a body that is no message's.
pub(crate) fn text_of(text: &Text, data_coding: u8) -> Option<(String, Vec<u8>)> {
    let (esm_class, octets) = match text.form {
        Form::Sm => {
            let sm = Sm::decode(&text.body).ok()?;
            (sm.esm_class, sm.text().0.to_vec())
        }
        Form::DataSm => {
            let sm = DataSm::decode(&text.body).ok()?;
            let payload = sm.tlvs.message_payload();
            let octets = payload.map_or(Vec::new(), |payload| payload.0.to_vec());
            (sm.esm_class, octets)
        }
    };
    let reading = read(
        DataCoding(data_coding),
        EsmClass(esm_class.0),
        &octets,
        Peer::default(),
    );
    let mut shown = String::new();
    let _ = reading.charset.decode(reading.text.0, &mut shown);
    Some((shown, octets))
}

pub(super) fn text_shown(text: &Text, data_coding: u8) -> Value {
    let Some((shown, octets)) = text_of(text, data_coding) else {
        return Value::Null;
    };
    let hex = octets.iter().fold(String::new(), |mut hex, octet| {
        use std::fmt::Write as _;
        let _ = write!(hex, "{octet:02x}");
        hex
    });
    json!({ "shown": shown, "octets": hex })
}
