//! What there is of a person, looked for to answer a request: in which accounts, and what an erasure could not take along.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;
use tidegate_codec::address::{Npi, Ton};
use tidegate_codec::identity::SystemId;
use tidegate_config::Country;
use tidegate_store::disk::Disk;
use tidegate_store::history::{Kept, Meta, Query};
use tidegate_store::pseudonym::Pseudonym;
use tidegate_store::rules::{Class, State as Standing};
use tidegate_store::seal::Purpose;
use tidegate_store::standing::Scope;
use zeroize::Zeroizing;

use super::{journaled, leave_out_over, not_done};
use crate::exports::Person;
use crate::keeping::Ended;
use crate::number::plan;
use crate::register::{Handle, Wanted};
use crate::serve::Hub;
use crate::standing::opt_out::person;
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

/// Numbers as they may stand in messages, by where an account's national numbers are at home: reckoned once for each country.
#[derive(Default)]
struct Spelled(BTreeMap<Option<[u8; 2]>, Arc<[Vec<u8>]>>);

impl Spelled {
    async fn of(
        &mut self,
        person: &Zeroizing<Vec<u8>>,
        home: Option<Country>,
    ) -> Result<Arc<[Vec<u8>]>, String> {
        let key = home.and_then(|home| home.as_str().as_bytes().first_chunk().copied());
        if let Some(there) = self.0.get(&key) {
            return Ok(Arc::clone(there));
        }
        // Thousands of spellings are tried: not while others wait.
        let number = person.clone();
        let reckoned = tokio::task::spawn_blocking(move || forms(&number, home)).await;
        let forms: Arc<[Vec<u8>]> = reckoned.map_err(|error| not_done(&error).to_owned())?.into();
        self.0.insert(key, Arc::clone(&forms));
        Ok(forms)
    }
}

/// Looks, by the index of recipients, at an account's finished messages to and from a person, until `each` has enough and says so.
/// What does not open may be the person's: unless there was enough without it, that is an error.
async fn finished<D: Disk>(
    hub: &Hub<D>,
    account: SystemId,
    (person, spelled): (&Zeroizing<Vec<u8>>, &mut Spelled),
    mut each: impl FnMut(&Meta) -> bool,
) -> Result<(), String> {
    let home = hub.look(|gate, _| gate.home_of(account));
    let whom = Person {
        request: 0,
        number: person.clone(),
    };
    let mut unreadable = 0;
    for digits in &*spelled.of(person, home).await? {
        let digits = digits.clone();
        let query = Query::Recipient { account, digits };
        let mut is_enough = false;
        hub.look_in_history(&query, Kept::Meta, Purpose::Sweep, |looked| {
            unreadable += looked.unreadable;
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
            return Ok(());
        }
    }
    match unreadable {
        0 => Ok(()),
        blocks => Err(format!(
            "{blocks} blocks of history of account {account} do not open: what they hold of the person is not known"
        )),
    }
}

/// How a number may stand in messages: as it is known, or without its country's code in accounts that are at home there, and behind
/// whatever digits the plan of numbers takes for an international or a national prefix.
fn forms(number: &[u8], home: Option<Country>) -> Vec<Vec<u8>> {
    let is_it = |digits: &[u8]| {
        let tons = [Ton::UNKNOWN, Ton::INTERNATIONAL, Ton::NATIONAL];
        let mut tons = tons.into_iter();
        tons.any(|ton| *person(ton, Npi::ISDN, digits, home) == *number)
    };
    let code = home.and_then(|home| plan().code_of(home));
    let national = code.and_then(|code| number.strip_prefix(code.as_bytes()));
    // Of one, two, three digits, and of four those that begin with 0, as 0011 does.
    let prefixes = (1..=3).flat_map(|digits: usize| {
        (0..10_u32.pow(u32::try_from(digits).unwrap_or(0))).map(move |prefix| format!("{prefix:0digits$}"))
    });
    let prefixes = prefixes.chain((0..1_000).map(|prefix| format!("{prefix:04}")));
    let prefixes: Vec<String> = std::iter::once(String::new()).chain(prefixes).collect();
    let mut forms = BTreeSet::from([number.to_vec()]);
    for bare in [Some(number), national].into_iter().flatten() {
        let spelled = prefixes.iter().map(|prefix| [prefix.as_bytes(), bare].concat());
        forms.extend(spelled.filter(|digits| is_it(digits)));
    }
    forms.into_iter().collect()
}

/// What of a person's records floors or holds keep, by class. It is said of which class, how many and until when; not which matter.
pub(super) async fn what_stays<D: Disk>(
    hub: &Hub<D>,
    account: Option<SystemId>,
    person: &Zeroizing<Vec<u8>>,
) -> Result<Vec<KeptOf>, String> {
    let mut kept: BTreeMap<(&'static str, String), KeptOf> = BTreeMap::new();
    let mut spelled = Spelled::default();
    for account in accounts_of(hub, account) {
        let Some(keeping) = hub.look(|gate, _| gate.keeping().cloned()) else {
            return Ok(Vec::new());
        };
        let now_ms = hub.now().unix_ms;
        finished(hub, account, (person, &mut spelled), |meta| {
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

/// Accounts that have something of a person: finished messages, messages under way, opt-outs, consents.
pub(super) async fn who_has<D: Disk>(
    hub: &Hub<D>,
    person: &Zeroizing<Vec<u8>>,
) -> Result<BTreeSet<SystemId>, String> {
    let mut found = under_way(hub, person).await;
    let whos = hub.look(|gate, _| gate.spool().standing().all_names(person));
    let register = hub.listed();
    if register.is_some() {
        journaled(hub).await?;
    }
    let mut spelled = Spelled::default();
    for account in accounts_of(hub, None) {
        if found.contains(&account) {
            continue;
        }
        let has_said = hub.look(|gate, _| {
            let place = gate.account_by_text(account.as_str());
            let whole = Scope::account(account.as_str());
            let of = |place| {
                let stands = whos.iter().flat_map(|who| gate.concerning(place, who, None));
                stands
                    .map(|(scope, _)| scope)
                    .any(|scope| scope == whole || scope.is_pool_of(&whole))
            };
            place.is_some_and(of)
        });
        if has_said || has_consents(hub, register, account, &whos).await? {
            found.insert(account);
            continue;
        }
        let Some(keeping) = hub.look(|gate, _| gate.keeping().cloned()) else {
            continue;
        };
        let now_ms = hub.now().unix_ms;
        let mut has = false;
        finished(hub, account, (person, &mut spelled), |meta| {
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

/// Whether an account has a consent of a person on record, given or taken back.
async fn has_consents<D: Disk>(
    hub: &Hub<D>,
    register: Option<&Handle>,
    account: SystemId,
    whos: &[Pseudonym],
) -> Result<bool, String> {
    let Some(register) = register else {
        return Ok(false);
    };
    let whos = whos.iter().copied().collect();
    let mut found = register
        .ask(account, Purpose::Sweep, Wanted::Consents { whos })
        .await?;
    leave_out_over(hub, account, &mut found);
    let records = found.get("records").and_then(Value::as_array);
    Ok(records.is_some_and(|records| !records.is_empty()))
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
                let to = leg.envelope.addresses.destination();
                // Whose it is, is asked of the few that end so.
                if !whom.may_be(&to) {
                    continue;
                }
                let account: Option<SystemId> = gate.spool().names().name(leg.account).parse().ok();
                let home = account.and_then(|account| gate.home_of(account));
                if whom.is(&to, home) {
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
        for (number, home, found) in [
            ("447700900123", None, &["447700900123", "00447700900123"][..]),
            (
                "447700900123",
                Some("GB"),
                &["07700900123", "7700900123", "00447700900123"],
            ),
            // Australia dials 0011, Russia and Kazakhstan 8 before a national number, Hungary 06.
            ("61412345678", Some("AU"), &["0412345678", "001161412345678"]),
            ("79161234567", Some("RU"), &["89161234567", "9161234567"]),
            ("36201234567", Some("HU"), &["06201234567"]),
            ("12025550123", Some("US"), &["2025550123", "01112025550123"]),
        ] {
            let home = home.and_then(Country::new);
            let forms = forms(number.as_bytes(), home);
            for digits in found {
                assert!(
                    forms.contains(&digits.as_bytes().to_vec()),
                    "{digits} of {home:?}"
                );
            }
            assert!(forms.len() < 200, "{} of {home:?}", forms.len());
            assert_eq!(
                forms.iter().collect::<BTreeSet<_>>().len(),
                forms.len(),
                "each once"
            );
        }
    }
}
