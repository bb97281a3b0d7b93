//! The answer to a person who asks what is kept of them (DSR-1): a row for each thing, with its class, purpose, source, sinks, date and
//! the rules that say so. What an erasure could not take along is told by class and date only, and what a hold has sealed not at all:
//! to tell of a matter is for whoever answers, as far as the law lets him.

use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::{Map, Value, json};
use tidegate_codec::address::AddressBuf;
use tidegate_codec::identity::SystemId;
use tidegate_config::Country;
use tidegate_store::disk::Disk;
use tidegate_store::history::{Cursor, Direction, Kept, Meta, Query};
use tidegate_store::index::Leg;
use tidegate_store::rules::{Class, State};
use tidegate_store::seal::Purpose;
use tidegate_store::standing::Origin;
use zeroize::Zeroizing;

use super::file::Sheet;
use super::making::{AT_ONCE, PAUSE, is_wanted, put, rules, texts_of};
use super::rows::{number, row};
use super::{Exports, Head};
use crate::control::{consent_times, fields, instant, journaled, leave_out_over, standing_words};
use crate::gate::Gate;
use crate::keeping::{Ended, Keeping, Told};
use crate::legal::tail;
use crate::life::Standing;
use crate::register::Wanted;
use crate::serve::Hub;
use crate::standing::opt_out::person;

/// Places of the index that are looked at between two turns.
const LOOK_MAX: usize = 1_000;

/// Whom an export is about.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Person {
    /// For this request.
    pub(crate) request: u32,
    /// The number, in the form in which people are known.
    pub(crate) number: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for Person {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Person({}, ***)", self.request)
    }
}

impl Person {
    /// Whether an address ends like the number, and is worth a closer look.
    pub(crate) fn may_be(&self, address: &AddressBuf) -> bool {
        let tail = tail(address.as_bytes());
        tail.is_some_and(|tail| self.number.ends_with(&tail))
    }

    /// Whether an address is the person's, however it is written.
    pub(crate) fn is(&self, address: &AddressBuf, home: Option<Country>) -> bool {
        let octets = address.as_bytes();
        // Nothing is reckoned for all others.
        self.may_be(address) && *person(address.ton(), address.npi(), octets, home) == **self.number
    }
}

/// What a class is for.
const fn purpose(class: Class) -> &'static str {
    match class {
        Class::Meta => "delivery, proof of it, billing, support",
        Class::Body => "delivery; support, as the account instructs",
        Class::Optout => "that nothing more is sent to who said so",
        Class::Consent => "proof of consent",
        _ => "",
    }
}

/// Who is sent what is kept of a message: as `tidegate sinks` names them.
fn sinks(account: SystemId, carrier: &str) -> String {
    match carrier {
        "" => format!("account {account}"),
        carrier => format!("carrier {carrier}; account {account}"),
    }
}

/// Puts in all that is kept of a person; how many blocks did not open.
pub(super) async fn report<D: Disk + 'static>(
    hub: &Rc<Hub<D>>,
    exports: &Exports,
    mut sheet: Sheet,
    head: &Head,
    person: &Person,
) -> Result<(Sheet, u64), String> {
    let home = hub.look(|gate, _| gate.home_of(head.account));
    let said = said(hub, head, person).await?;
    sheet = put(hub, exports, sheet, said, true).await?;
    let under_way = under_way(hub, head, person, home).await;
    sheet = put(hub, exports, sheet, under_way, true).await?;
    let query = Query::Account {
        account: head.account,
        from_ms: head.since_ms,
        to_ms: head.until_ms,
    };
    let (mut unreadable, mut cursor) = (0, Some(Cursor::default()));
    while let Some(at) = cursor {
        let looked = hub.history_slice(&query, Kept::Meta, Purpose::Export, at).await?;
        cursor = looked.next;
        unreadable += looked.unreadable;
        let keeping = rules(hub)?;
        let mut metas: Vec<Meta> = Vec::new();
        for (at, (_, meta)) in looked.metas.into_iter().enumerate() {
            if person.is(meta.person(), home) {
                metas.push(meta);
            }
            if at % AT_ONCE == AT_ONCE - 1 {
                tokio::task::yield_now().await;
            }
        }
        let mut texts = BTreeMap::new();
        if !metas.is_empty() {
            unreadable += texts_of(hub, &keeping, head, &metas, &mut texts).await?;
        }
        for metas in metas.chunks(AT_ONCE) {
            let rows = metas.iter().flat_map(|meta| {
                let text = texts.get(&(meta.id, meta.leg));
                of_message(hub, &keeping, head, (meta, text))
            });
            sheet = put(hub, exports, sheet, rows.collect(), true).await?;
        }
        is_wanted(exports, head)?;
        tokio::time::sleep(PAUSE).await;
    }
    Ok((sheet, unreadable))
}

fn told_row(head: &Head, class: Class, told: Option<&Told>, more: Value) -> String {
    let mut all = fields(json!({
        "class": class.word(),
        "standing": told.map(|told| told.state.word()),
        "account": head.account.as_str(),
        "due": told.and_then(|told| told.due_ms).map(instant),
        "by": told.map(|told| told.by.as_str()),
    }));
    all.extend(fields(more));
    row(head.what, head.format, &all)
}

/// The record of a message, and its text, as far as either may be read; what a floor keeps by its date only.
fn of_message<D: Disk>(
    hub: &Hub<D>,
    keeping: &Keeping,
    head: &Head,
    (meta, text): (&Meta, Option<&String>),
) -> Vec<String> {
    let ended = Ended::of(head.account, meta);
    let (source, carrier) = match meta.direction {
        Direction::Mt => ("the account, which submitted it", meta.carrier.as_str()),
        Direction::Mo => ("the person, who wrote it", ""),
    };
    let (id, now_ms) = hub.look(|gate, now| {
        let id = gate.id_text(meta.id, meta.id_form);
        (String::from_utf8_lossy(id.as_bytes()).into_owned(), now.unix_ms)
    });
    let mut rows = Vec::new();
    for (kept, class) in [(Kept::Meta, Class::Meta), (Kept::Body, Class::Body)] {
        let Some(told) = keeping.told(&ended, kept, now_ms) else {
            continue;
        };
        let common = json!({
            "purpose": purpose(class),
            "source": source,
            "sinks": sinks(head.account, carrier),
            "id": id,
            "recipient": meta.leg,
        });
        let more = match (told.state, kept, text) {
            (State::Live, Kept::Meta, _) => json!({
                "at": instant(meta.accepted_ms),
                "ended": instant(meta.final_ms),
                "from": number(meta.source.as_bytes()),
                "to": number(meta.destination.as_bytes()),
                "state": meta.state.stat(),
                "detail": format!("parts {}", meta.parts),
            }),
            (State::Live, Kept::Body, Some(text)) => json!({ "text": text }),
            (State::Restricted, ..) => {
                rows.push(told_row(
                    head,
                    class,
                    Some(&told),
                    json!({ "purpose": "as the floor says" }),
                ));
                continue;
            }
            _ => continue,
        };
        let mut all = fields(common);
        all.extend(fields(more));
        rows.push(told_row(head, class, Some(&told), Value::Object(all)));
    }
    rows
}

/// Messages to the person that have not ended.
async fn under_way<D: Disk>(
    hub: &Hub<D>,
    head: &Head,
    person: &Person,
    home: Option<Country>,
) -> Vec<String> {
    let (mut rows, mut first) = (Vec::new(), 0);
    loop {
        let has_more = hub.look(|gate, now| {
            let index = gate.spool().index();
            for (_, leg) in index.slice(first, LOOK_MAX) {
                if person.is(&leg.envelope.addresses.destination(), home) {
                    rows.extend(of_leg(gate, head, leg, now.unix_ms));
                }
            }
            first + LOOK_MAX < index.places()
        });
        if !has_more {
            return rows;
        }
        first += LOOK_MAX;
        tokio::task::yield_now().await;
    }
}

fn of_leg<D: Disk>(gate: &Gate<D>, head: &Head, leg: &Leg, now_ms: u64) -> Option<String> {
    let names = gate.spool().names();
    if names.name(leg.account) != head.account.as_str() {
        return None;
    }
    let (source, to) = (
        leg.envelope.addresses.source(),
        leg.envelope.addresses.destination(),
    );
    let carrier = leg.carrier.map_or("", |carrier| names.name(carrier));
    let more = json!({
        "standing": "under way",
        "at": instant(leg.envelope.accepted_ms),
        "from": number(source.as_bytes()),
        "to": number(to.as_bytes()),
        "state": standing_words(Standing::of(leg, now_ms)),
        "detail": "with its text until it is sent",
        "purpose": "delivery",
        "source": "the account, which submitted it",
        "sinks": sinks(head.account, carrier),
        "due": instant(leg.envelope.expires_ms),
        "by": "its validity",
    });
    Some(told_row(head, Class::Meta, None, more))
}

/// What the person has said: opt-outs and consents.
async fn said<D: Disk>(hub: &Hub<D>, head: &Head, person: &Person) -> Result<Vec<String>, String> {
    let (mut rows, whos) = hub.look(|gate, now| {
        // When it was said is not known here: what counts from then has no date.
        let keeping = gate.keeping().cloned();
        let told = keeping.as_ref().and_then(|keeping| {
            keeping.told_of_class(head.account, Class::Optout, (None, None), now.unix_ms)
        });
        let whos = gate.spool().standing().all_names(&person.number);
        let place = gate.account_by_text(head.account.as_str());
        let entries = place.into_iter().flat_map(|place| {
            let of = |who| gate.concerning(place, who, None);
            whos.iter().flat_map(of).collect::<Vec<_>>()
        });
        let mut rows: Vec<String> = entries
            .map(|(scope, stand)| {
                let origins: Vec<&str> = stand.origins.iter().map(Origin::word).collect();
                let more = json!({
                    "detail": format!("opted out, scope {}", scope.kind().word()),
                    "purpose": purpose(Class::Optout),
                    "source": origins.join(", "),
                    "sinks": format!("account {}", head.account),
                });
                told_row(head, Class::Optout, told.as_ref(), more)
            })
            .collect();
        let octets = person.number.as_slice();
        if keeping.is_some_and(|keeping| keeping.claims().restrict(head.account, octets, || octets)) {
            rows.push(of_restriction(head));
        }
        (rows, whos)
    });
    let Some(register) = hub.listed() else {
        return Ok(rows);
    };
    journaled(hub).await?;
    let mut found = register
        .ask(head.account, Purpose::Export, Wanted::Consents { whos })
        .await?;
    leave_out_over(hub, head.account, &mut found);
    let records = found.get("records").and_then(Value::as_array);
    let (keeping, now_ms) = hub.look(|gate, now| (gate.keeping().cloned(), now.unix_ms));
    for record in records.into_iter().flatten() {
        let told = keeping.as_ref().zip(consent_times(record));
        let told =
            told.and_then(|(keeping, (scope, times))| keeping.consent(head.account, &scope, times, now_ms));
        rows.extend(
            record
                .as_object()
                .map(|record| of_consent(head, told.as_ref(), record)),
        );
    }
    Ok(rows)
}

/// That the person is restricted: all else here is kept, and nothing more is done with it (DSR-4).
fn of_restriction(head: &Head) -> String {
    let all = fields(json!({
        "class": "restriction",
        "standing": State::Restricted.word(),
        "account": head.account.as_str(),
        "detail": "nothing more is done with what is kept than to keep it",
        "purpose": "as the person, or who decides for the person, has asked",
        "source": "a request",
        "sinks": "none",
        "by": "DSR-4",
    }));
    row(head.what, head.format, &all)
}

fn of_consent(head: &Head, told: Option<&Told>, record: &Map<String, Value>) -> String {
    let more = json!({
        "at": record.get("at"),
        "state": record.get("grant"),
        "detail": Value::Object(record.clone()).to_string(),
        "purpose": purpose(Class::Consent),
        "source": record.get("source").filter(|source| !source.is_null()).or_else(|| record.get("via")),
        "sinks": format!("account {}", head.account),
    });
    told_row(head, Class::Consent, told, more)
}

#[cfg(test)]
mod tests {
    use tidegate_codec::address::{Npi, Ton};

    use super::*;

    #[test]
    fn a_person_is_known_however_the_number_is_written() {
        let person = Person {
            request: 1,
            number: Zeroizing::new(b"12025550123".to_vec()),
        };
        let us = Country::new("US");
        for (ton, octets, home, is) in [
            (Ton::INTERNATIONAL, "12025550123", None, true),
            (Ton::INTERNATIONAL, "+12025550123", None, true),
            (Ton::NATIONAL, "2025550123", us, true),
            (Ton::NATIONAL, "2125550123", us, false),
            (Ton::INTERNATIONAL, "442025550123", us, false),
            (Ton::ALPHANUMERIC, "0123", us, false),
        ] {
            let address = AddressBuf::new(ton, Npi::ISDN, octets.as_bytes()).unwrap();
            assert_eq!(person.is(&address, home), is, "{octets}");
        }
        assert!(!format!("{person:?}").contains("2025"), "no number in a log");
    }
}
