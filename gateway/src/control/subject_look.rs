//! What there is of a person, looked for to answer a request: in which accounts, and what an erasure could not take along.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_codec::identity::SystemId;
use tidegate_store::disk::Disk;
use tidegate_store::history::{Kept, Meta, Query};
use tidegate_store::rules::{Class, State as Standing};
use tidegate_store::seal::Purpose;
use tidegate_store::standing::Scope;
use zeroize::Zeroizing;

use crate::exports::Person;
use crate::keeping::Ended;
use crate::serve::Hub;
use crate::subjects::Kept as KeptOf;

/// Rows of what an erasure could not take along.
const KEPT_MAX: usize = 32;
/// Places of the index that are looked at between two turns.
const LOOK_MAX: usize = 1_000;

/// Accounts that an erasure is about: one, or all.
fn accounts_of<D: Disk>(hub: &Hub<D>, account: Option<SystemId>) -> Vec<SystemId> {
    hub.look(|gate, _| {
        let all = gate.config().accounts.iter().map(|account| account.system_id);
        all.filter(|name| account.is_none_or(|account| account == *name))
            .collect()
    })
}

/// Looks, by the index of recipients, at an account's finished messages to a person, until `each` has enough and says so.
async fn finished<D: Disk>(
    hub: &Hub<D>,
    account: SystemId,
    person: &Zeroizing<Vec<u8>>,
    mut each: impl FnMut(&Meta) -> bool,
) -> Result<(), String> {
    let home = hub.look(|gate, _| gate.home_of(account));
    let whom = Person {
        request: 0,
        number: person.clone(),
    };
    for digits in forms(person, home.is_some()) {
        let query = Query::Recipient { account, digits };
        let mut is_enough = false;
        hub.look_in_history(&query, Kept::Meta, Purpose::Sweep, |looked| {
            let theirs = looked
                .metas
                .iter()
                .filter(|(_, meta)| whom.is(meta.person(), home));
            for (_, meta) in theirs {
                is_enough |= each(meta);
            }
            is_enough
        })
        .await?;
        if is_enough {
            break;
        }
    }
    Ok(())
}

/// How a number may stand in messages: as it is known, with what is dialled before it, and, of accounts that have a country, without
/// its country's code, which has one to three digits. Whoever else is found so is told apart by what it is then.
fn forms(person: &[u8], has_home: bool) -> Vec<Vec<u8>> {
    let mut forms: Vec<Vec<u8>> = ["", "00", "011"]
        .iter()
        .map(|first| [first.as_bytes(), person].concat())
        .collect();
    if has_home {
        let national = (1..=3).filter_map(|code| person.get(code..));
        forms.extend(national.flat_map(|rest| [rest.to_vec(), [b"0", rest].concat()]));
    }
    forms
}

/// What of a person's records floors or holds keep, by class. It is said of which class, how many and until when; not which matter.
pub(super) async fn what_stays<D: Disk>(
    hub: &Hub<D>,
    account: Option<SystemId>,
    person: &Zeroizing<Vec<u8>>,
) -> Result<Vec<KeptOf>, String> {
    let mut kept: BTreeMap<(&'static str, String), KeptOf> = BTreeMap::new();
    for account in accounts_of(hub, account) {
        let Some(keeping) = hub.look(|gate, _| gate.keeping().cloned()) else {
            return Ok(Vec::new());
        };
        let now_ms = hub.now().unix_ms;
        finished(hub, account, person, |meta| {
            let ended = Ended::of(account, meta);
            for (of, class) in [(Kept::Meta, Class::Meta), (Kept::Body, Class::Body)] {
                let Some(told) = keeping.told(&ended, of, now_ms) else {
                    continue;
                };
                let (by, until_ms) = match told.state {
                    Standing::Restricted => (told.by, told.due_ms),
                    // It ends with the release, whenever that is.
                    Standing::Sealed => ("a legal duty".to_owned(), None),
                    _ => continue,
                };
                let place = kept.entry((class.word(), by.clone())).or_insert(KeptOf {
                    class: class.word().to_owned(),
                    records: 0,
                    until_ms,
                    by,
                });
                place.records += 1;
                place.until_ms = place.until_ms.max(until_ms);
            }
            kept.len() > KEPT_MAX
        })
        .await?;
    }
    Ok(kept.into_values().take(KEPT_MAX).collect())
}

/// Accounts that have something of a person: finished messages, messages under way, opt-outs.
pub(super) async fn who_has<D: Disk>(
    hub: &Hub<D>,
    person: &Zeroizing<Vec<u8>>,
) -> Result<BTreeSet<SystemId>, String> {
    let mut found = under_way(hub, person).await;
    for account in accounts_of(hub, None) {
        let has_said = hub.look(|gate, _| {
            let place = gate.account_by_text(account.as_str());
            let whole = Scope::account(account.as_str());
            let of = |place| {
                let names = gate.spool().standing().all_names(person);
                let stands = names.iter().flat_map(|who| gate.concerning(place, who, None));
                stands
                    .map(|(scope, _)| scope)
                    .any(|scope| scope == whole || scope.is_pool_of(&whole))
            };
            place.is_some_and(of)
        });
        if has_said || found.contains(&account) {
            found.insert(account);
            continue;
        }
        let Some(keeping) = hub.look(|gate, _| gate.keeping().cloned()) else {
            continue;
        };
        let now_ms = hub.now().unix_ms;
        let mut has = false;
        finished(hub, account, person, |meta| {
            has |= keeping.may_be_read(&Ended::of(account, meta), Kept::Meta, now_ms);
            has
        })
        .await?;
        if has {
            found.insert(account);
        }
    }
    Ok(found)
}

/// Accounts that have a message to the person under way.
async fn under_way<D: Disk>(hub: &Hub<D>, person: &Zeroizing<Vec<u8>>) -> BTreeSet<SystemId> {
    let whom = Person {
        request: 0,
        number: person.clone(),
    };
    let (mut found, mut first) = (BTreeSet::new(), 0);
    loop {
        let has_more = hub.look(|gate, _| {
            let index = gate.spool().index();
            for (_, leg) in index.slice(first, LOOK_MAX) {
                let account: Option<SystemId> = gate.spool().names().name(leg.account).parse().ok();
                let home = account.and_then(|account| gate.home_of(account));
                if whom.is(&leg.envelope.addresses.destination(), home) {
                    found.extend(account);
                }
            }
            first + LOOK_MAX < index.places()
        });
        if !has_more {
            return found;
        }
        first += LOOK_MAX;
        tokio::task::yield_now().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_looked_for_in_each_form_in_which_it_may_have_been_sent() {
        let forms = |home| -> Vec<String> {
            let forms = forms(b"447700900123", home).into_iter();
            forms.map(|form| String::from_utf8(form).unwrap()).collect()
        };
        assert_eq!(
            forms(false),
            ["447700900123", "00447700900123", "011447700900123"]
        );
        assert!(
            forms(true).contains(&"07700900123".to_owned()),
            "national, with the trunk's digit"
        );
        assert!(forms(true).contains(&"7700900123".to_owned()));
    }
}
