//! Lists of opt-outs and consents for the control socket, from the register.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use tidegate_codec::category::Category;
use tidegate_codec::identity::SystemId;
use tidegate_store::disk::Disk;
use tidegate_store::pseudonym::Pseudonym;
use tidegate_store::seal::Purpose;
use tidegate_store::standing::{Change, Kept, Origin, Scope, ScopeKind, What, ended};

use super::Answer;
use super::deed::{Deed, DeedKind};
use super::people::{hex, journaled, unhex};
use crate::register::{Found, Wanted};
use crate::serve::Hub;
use crate::standing::opt_out::{bit, written_person};

/// Entries of one page at most.
pub const PAGE_MAX: usize = 5_000;
/// What a question is called among consents.
const ASKED: &str = "asked";
/// What is told of a consent that is not sealed for its account.
const PUBLIC: [&str; 7] = ["grant", "scope", "name", "categories", "at", "via", "ended"];

/// Answers `optout list`, `optout export` and `consent list`.
pub(super) async fn list<D: Disk>(hub: &Hub<D>, account: usize, deed: &Deed) -> Answer {
    let (name, whos) = hub.look(|gate, _| {
        let whos = deed.rows.first().map(|row| gate.all_names_of(account, row));
        let name = gate.config.accounts[account].system_id;
        whos.transpose().map(|whos| (name, whos))
    })?;
    journaled(hub).await?;
    let register = hub.listed().ok_or("this gateway has no register of opt-outs")?;
    let (purpose, wanted) = match (deed.kind, whos) {
        (DeedKind::ConsentList, Some(whos)) => (Purpose::Support, Wanted::Consents { whos }),
        (DeedKind::ConsentList, None) => return Err("\"rows\" is missing".to_owned()),
        (kind, _) => {
            let after = deed
                .after
                .as_deref()
                .map(|after| place_of(after).ok_or("\"after\" is no place"));
            let wanted = Wanted::Page {
                after: after.transpose()?,
                limit: deed.limit.unwrap_or(PAGE_MAX).clamp(1, PAGE_MAX),
            };
            let purpose = match kind {
                DeedKind::OptOutExport => Purpose::Export,
                _ => Purpose::Support,
            };
            (purpose, wanted)
        }
    };
    let mut told = register.ask(name, purpose, wanted).await?;
    let is_gone = hub.look(|gate, now| {
        let keeping = gate.keeping();
        keeping.is_some_and(|keeping| keeping.is_closed_for_good(name, now.unix_ms))
    });
    if is_gone {
        told = nameless(told);
    }
    leave_out_over(hub, name, &mut told);
    leave_out_restricted(hub, name, deed, account, &mut told);
    Ok(told)
}

/// What was said of a consent is read by nobody once it is over, swept or not (RET-4).
pub(crate) fn leave_out_over<D: Disk>(hub: &Hub<D>, account: SystemId, told: &mut Map<String, Value>) {
    let (keeping, now_ms) = hub.look(|gate, now| (gate.keeping().cloned(), now.unix_ms));
    if let (Some(keeping), Some(Value::Array(records))) = (keeping, told.get_mut("records")) {
        records.retain(|record| match consent_times(record) {
            Some((scope, times)) => keeping.may_read_consent(account, &scope, times, now_ms),
            None => true,
        });
    }
}

/// To whom a consent is that a record tells of, when that was said, and when the consent was taken back, in unix milliseconds; `None`
/// of a question.
pub(crate) fn consent_times(record: &Value) -> Option<(Scope, (u64, Option<u64>))> {
    let text = |key: &str| record.get(key)?.as_str();
    if text("grant")? == ASKED {
        return None;
    }
    let at_ms = |text: &str| {
        let at: jiff::Timestamp = text.parse().ok()?;
        u64::try_from(at.as_millisecond()).ok()
    };
    let name = text("name").unwrap_or_default();
    let scope = match text("scope")? {
        word if word == ScopeKind::Brand.word() => Scope::brand(name),
        _ => Scope::account(name),
    };
    Some((scope, (at_ms(text("at")?)?, text("ended").and_then(at_ms))))
}

/// Nothing is shown of people who are restricted (DSR-4), but how many entries that are.
fn leave_out_restricted<D: Disk>(
    hub: &Hub<D>,
    name: SystemId,
    deed: &Deed,
    account: usize,
    told: &mut Map<String, Value>,
) {
    let claims = hub.look(|gate, _| gate.keeping().map(|keeping| Arc::clone(keeping.claims())));
    let is_restricted = |person: &[u8]| {
        let claims = claims.as_ref();
        claims.is_some_and(|claims| claims.restrict(name, person, || person))
    };
    if let Some(Value::Array(entries)) = told.get_mut("entries") {
        let before = entries.len();
        entries.retain(|entry| {
            let number = entry["number"].as_str().unwrap_or_default();
            !is_restricted(number.as_bytes())
        });
        let left_out = before - entries.len();
        told.insert("restricted".to_owned(), json!(left_out));
    }
    if let Some(Value::Array(records)) = told.get_mut("records") {
        let home = hub.look(|gate, _| gate.config.accounts[account].numbering.country);
        let number = deed.rows.first().and_then(|row| row.get("number"));
        let person = number.and_then(|number| written_person(number, home));
        let is_so = person.is_some_and(|person| is_restricted(&person));
        let left_out = if is_so { std::mem::take(records).len() } else { 0 };
        told.insert("restricted".to_owned(), json!(left_out));
    }
}

/// The same of an account whose date is over: what was sealed for it is read no more, whether its key is gone yet or not, but for
/// the evidence of consents, which has a date of its own.
fn nameless(mut told: Map<String, Value>) -> Map<String, Value> {
    if let Some(total) = told.get("total").cloned() {
        told.insert("entries".to_owned(), json!([]));
        told.insert("hashed".to_owned(), total);
        told.insert("next".to_owned(), Value::Null);
    }
    let records = told.get_mut("records").and_then(Value::as_array_mut);
    let questions = records.into_iter().flatten().filter_map(Value::as_object_mut);
    for record in questions.filter(|record| record.get("grant").is_some_and(|grant| grant == ASKED)) {
        record.retain(|key, _| PUBLIC.contains(&key.as_str()));
    }
    told
}

/// As it is told; on the register's thread, since a page is long.
pub(crate) fn told(found: &Found) -> Map<String, Value> {
    match found {
        Found::Page(page) => {
            let entries = page.entries.iter().map(|(_, scope, kept)| entry(scope, kept));
            Map::from_iter([
                ("entries".to_owned(), entries.collect()),
                ("total".to_owned(), json!(page.total)),
                ("hashed".to_owned(), json!(page.hashed)),
                ("next".to_owned(), json!(page.next.map(|who| hex(who.octets())))),
            ])
        }
        Found::Numbers(found) => {
            let numbers = found.numbers.iter().map(|number| String::from_utf8_lossy(number));
            Map::from_iter([
                ("numbers".to_owned(), numbers.collect()),
                (
                    "next".to_owned(),
                    json!(found.next.as_ref().map(|next| hex(next))),
                ),
            ])
        }
        Found::Consents(changes) => {
            let ended = ended(changes);
            let records = changes.iter().zip(ended).map(|(change, ended_ms)| {
                let mut shown = consent(change);
                shown.insert("ended".to_owned(), json!(ended_ms.map(instant)));
                Value::Object(shown)
            });
            Map::from_iter([("records".to_owned(), records.collect())])
        }
    }
}

fn place_of(text: &str) -> Option<Pseudonym> {
    Some(Pseudonym::from_octets(unhex(text)?.try_into().ok()?))
}

/// An instant for people and programs.
pub fn instant(unix_ms: u64) -> String {
    let instant = i64::try_from(unix_ms).ok().map(jiff::Timestamp::from_millisecond);
    match instant {
        Some(Ok(instant)) => instant.to_string(),
        _ => String::new(),
    }
}

fn text(octets: &[u8]) -> Option<String> {
    (!octets.is_empty()).then(|| String::from_utf8_lossy(octets).into_owned())
}

fn entry(scope: &Scope, kept: &Kept) -> Value {
    let origins: Vec<&str> = kept.origins.iter().map(Origin::word).collect();
    let private = &kept.private;
    json!({
        "number": text(&private.number),
        "scope": scope.kind().word(),
        "name": String::from_utf8_lossy(scope.name()),
        "origins": origins,
        "time": instant(kept.at_ms),
        "via": kept.via.word(),
        "source": text(&private.source).unwrap_or_default(),
        "ip": text(&private.address).unwrap_or_default(),
    })
}

fn consent(change: &Change) -> Map<String, Value> {
    let mut shown = Map::new();
    let said = match &change.what {
        What::Consent {
            grant,
            scope,
            categories,
        } => Some((grant.word(), scope, categories)),
        What::Asked {
            scope, categories, ..
        } => Some((ASKED, scope, categories)),
        _ => None,
    };
    if let Some((grant, scope, categories)) = said {
        let names = Category::ALL
            .into_iter()
            .filter(|category| categories & bit(Some(*category)) != 0);
        let names: Vec<&str> = names.map(Category::word).collect();
        shown.insert("grant".to_owned(), json!(grant));
        shown.insert("scope".to_owned(), json!(scope.kind().word()));
        shown.insert("name".to_owned(), json!(text(scope.name())));
        shown.insert("categories".to_owned(), json!(names));
    }
    shown.insert("at".to_owned(), json!(instant(change.at_ms)));
    shown.insert("via".to_owned(), json!(change.via.word()));
    shown.insert("source".to_owned(), json!(text(&change.private.source)));
    shown.insert("ip".to_owned(), json!(text(&change.private.address)));
    for (fact, value) in &change.private.facts {
        shown.insert(fact.word().to_owned(), json!(text(value)));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_was_written_and_nothing_else_is_one() {
        let who = Pseudonym::from_octets([0xa7; 16]);
        assert_eq!(place_of(&hex(who.octets())), Some(who));
        for text in ["", "a7", "zz", &"a7".repeat(17), &"a7".repeat(16)[1..], "é7a7"] {
            assert_eq!(place_of(text), None, "{text}");
        }
    }
}
