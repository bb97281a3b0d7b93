//! What holds and orders to erase say of records, as the rules take it.

use std::collections::BTreeMap;

use hashbrown::HashSet;
use sha2::{Digest as _, Sha256};
use tidegate_codec::address::AddressBuf;
use tidegate_codec::identity::SystemId;
use tidegate_config::Country;
use tidegate_store::history::{Fates, Kept, Lot};
use tidegate_store::pseudonym::{PSEUDONYM_LEN, Pseudonym};
use tidegate_store::rules::{Erasure, Facts, Hold, Scope};
use zeroize::Zeroizing;

use super::restricted::Restricted;
use super::{HoldRow, Register};
use crate::keeping::class_of;
use crate::standing::opt_out;

/// Digits at the end of a number that are the same however it is written.
pub(super) const TAIL: usize = 4;

/// See the [module](self). Never changed: another register makes others.
#[derive(Default)]
pub struct Claims {
    holds: Vec<Hold>,
    /// Their numbers, in the same order.
    hold_ids: Vec<u32>,
    erasures: Vec<Erasure>,
    /// The same of orders to erase.
    erasure_ids: Vec<u32>,
    /// How the numbers of all people end that somebody is asked about.
    tails: HashSet<[u8; TAIL]>,
    restricted: Restricted,
}

impl std::fmt::Debug for Claims {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Claims(***)")
    }
}

/// What stands for a person here: in memory only, so that no secret is needed.
pub(super) fn pseudonym(person: &[u8]) -> Pseudonym {
    let digest = Sha256::digest(person);
    let mut octets = [0; PSEUDONYM_LEN];
    for (to, from) in octets.iter_mut().zip(digest) {
        *to = from;
    }
    Pseudonym::from_octets(octets)
}

/// How a number ends, whatever stands between its digits; `None` of what has fewer.
pub(crate) fn tail(written: &[u8]) -> Option<[u8; TAIL]> {
    let mut digits = written.iter().rev().filter(|octet| octet.is_ascii_digit());
    let mut tail = [0; TAIL];
    for octet in tail.iter_mut().rev() {
        *octet = *digits.next()?;
    }
    Some(tail)
}

/// Whether two scopes may mean one record.
fn overlaps(one: Option<SystemId>, other: Option<SystemId>) -> bool {
    one.is_none() || other.is_none() || one == other
}

/// Whether a hold may cover what another, or an order, is about: where accounts and people are not told apart by them.
pub(crate) fn is_like(
    hold: (&HoldRow, Option<&Zeroizing<Vec<u8>>>),
    other: (Option<SystemId>, Option<&Zeroizing<Vec<u8>>>),
) -> bool {
    let ((row, person), (account, whom)) = (hold, other);
    overlaps(row.account, account) && (person.is_none() || whom.is_none() || person == whom)
}

impl Claims {
    /// Of a register and the people of its matters.
    /// Just these holds.
    #[cfg(test)]
    pub(crate) fn of_holds(holds: Vec<Hold>) -> Self {
        Self {
            holds,
            ..Self::default()
        }
    }

    /// What a register says, of these people by their matters' numbers.
    pub fn new(register: &Register, people: &BTreeMap<u32, Zeroizing<Vec<u8>>>) -> Self {
        let whom = |id: u32| people.get(&id).map(|person| pseudonym(person));
        let mut claims = Self::default();
        for (id, row) in register.active() {
            claims.hold_ids.push(id);
            claims.holds.push(Hold {
                matter: row.matter.as_str().into(),
                scope: Scope {
                    account: row.account,
                    recipient: whom(id),
                    message: row.message,
                    class: row.class.map(class_of),
                    from_ms: row.from_ms,
                    until_ms: row.until_ms,
                },
                future: row.future,
                taken_ms: row.taken_ms,
                released_ms: None,
            });
        }
        for (id, row) in register.standing() {
            claims.erasure_ids.push(id);
            claims.erasures.push(Erasure {
                request: id.to_string().into(),
                scope: Scope {
                    account: row.account,
                    recipient: whom(id),
                    ..Scope::default()
                },
                requested_ms: row.asked_ms,
            });
        }
        for (id, row) in register.restricting() {
            if let Some(person) = people.get(&id) {
                claims.restricted.add(row.account, person);
            }
        }
        let asked_about = people
            .iter()
            .filter(|(id, _)| !register.restrictions.contains_key(*id));
        claims.tails = asked_about.filter_map(|(_, person)| tail(person)).collect();
        claims
    }

    /// Whether nobody is restricted.
    pub(crate) fn restrict_nobody(&self) -> bool {
        self.restricted.is_empty()
    }

    /// Whether a person is restricted for an account (DSR-4), whose number is written like this: who it is, is asked only where
    /// somebody's ends so.
    pub(crate) fn restrict<P: AsRef<[u8]>>(
        &self,
        account: SystemId,
        written: &[u8],
        person: impl FnOnce() -> P,
    ) -> bool {
        self.restricted.has(account, written, person)
    }

    /// Holds that hold.
    pub fn holds(&self) -> &[Hold] {
        &self.holds
    }

    /// Their numbers.
    pub(crate) fn hold_ids(&self) -> &[u32] {
        &self.hold_ids
    }

    /// The numbers of orders to erase that still say something.
    pub(crate) fn erasure_ids(&self) -> &[u32] {
        &self.erasure_ids
    }

    /// Orders to erase that still say something.
    pub fn erasures(&self) -> &[Erasure] {
        &self.erasures
    }

    /// Whom a message was to, if anybody is asked about whose number ends like it: nothing is reckoned for all others.
    pub(crate) fn recipient(&self, to: &AddressBuf, home: Option<Country>) -> Option<Pseudonym> {
        let octets = to.as_bytes();
        if !self.may_be_about(to) {
            return None;
        }
        Some(pseudonym(&opt_out::person(to.ton(), to.npi(), octets, home)))
    }

    /// Whether anybody is asked about whose number ends like this.
    pub(crate) fn may_be_about(&self, to: &AddressBuf) -> bool {
        !self.tails.is_empty() && tail(to.as_bytes()).is_some_and(|tail| self.tails.contains(&tail))
    }

    /// The numbers of these holds.
    pub(crate) fn numbers<'h>(&self, holds: impl Iterator<Item = &'h Hold>) -> Fates {
        let place = |hold: &Hold| self.holds.iter().position(|there| std::ptr::eq(there, hold));
        let ids = holds.filter_map(|hold| self.hold_ids.get(place(hold)?).copied());
        ids.collect()
    }

    /// The numbers of the orders that cover a record.
    pub(crate) fn orders(&self, facts: &Facts<'_>) -> Fates {
        let all = self.erasures.iter().zip(&self.erasure_ids);
        let covering = all.filter(|(erasure, _)| erasure.covers(facts));
        covering.map(|(_, id)| *id).collect()
    }

    /// Whether any hold may cover a record of a lot.
    pub(crate) fn may_hold(&self, lot: &Lot) -> bool {
        self.holds.iter().any(|hold| {
            let scope = &hold.scope;
            scope.account.is_none_or(|of| of == lot.account)
                && scope.class.is_none_or(|of| of == class_of(lot.class))
                && scope.from_ms.is_none_or(|from_ms| from_ms <= lot.last_ms)
        })
    }

    /// Whether a hold may cover a text of a lot for whom its message was to, which the text does not say.
    pub(crate) fn needs_messages(&self, lot: &Lot) -> bool {
        lot.class == Kept::Body && self.holds.iter().any(|hold| hold.scope.recipient.is_some())
    }
}

#[cfg(test)]
mod tests {
    use tidegate_codec::address::{Npi, Ton};

    use super::*;

    /// However a number was submitted, it is one person; and nobody else is.
    #[test]
    fn a_person_is_known_by_every_form_of_the_number() {
        let mut register = super::super::file_tests_some();
        register.holds.get_mut(&1).unwrap().account = None;
        let people = BTreeMap::from([(1, Zeroizing::new(b"12025550123".to_vec()))]);
        let claims = Claims::new(&register, &people);
        let us = Country::new("US");
        for (ton, octets, is_it) in [
            (Ton::INTERNATIONAL, "12025550123", true),
            (Ton::INTERNATIONAL, "+12025550123", true),
            (Ton::INTERNATIONAL, "+1 (202) 555-01.23", true),
            (Ton::NATIONAL, "202 555 012 3 ", true),
            (Ton::NATIONAL, "2025550123", true),
            (Ton::UNKNOWN, "0012025550123", true),
            (Ton::NATIONAL, "2125550123", false),
            (Ton::INTERNATIONAL, "442025550123", false),
            (Ton::ALPHANUMERIC, "Shop", false),
        ] {
            let address = AddressBuf::new(ton, Npi::ISDN, octets.as_bytes()).unwrap();
            let found = claims.recipient(&address, us);
            assert_eq!(
                found.is_some() && found == claims.holds()[0].scope.recipient,
                is_it,
                "{octets}"
            );
            assert!(!is_it || claims.may_be_about(&address), "{octets}");
        }
        assert_eq!(claims.erasures(), [], "one that is over says nothing");
    }
}
