//! Who stands where: a set of people by pseudonym, each with the scopes that something was said for.
//!
//! 22 octets a person and one of the table, in 256 tables, each of which grows for itself: with ten million in it none
//! stops the loop for more than a few milliseconds when it doubles. Nearly all are there once; who stands in several
//! scopes has a list of them elsewhere.

use hashbrown::HashTable;
use smallvec::SmallVec;

use crate::pseudonym::{PSEUDONYM_LEN, Pseudonym};

use super::{Origins, ScopeId};

/// Tables, by the last octet of the pseudonym.
const PARTS: usize = 256;
/// In the place of origins: the scope is the place of a list.
const LISTED: u8 = 0xff;

/// What was said of one person in one scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stand {
    /// Where.
    pub scope: ScopeId,
    /// By whom; any of them suffices.
    pub origins: Origins,
    /// Of which categories of messages, a bit each; 0 is all.
    pub categories: u8,
}

impl Stand {
    /// All of it.
    pub const fn new(scope: ScopeId, origins: Origins, categories: u8) -> Self {
        Self {
            scope,
            origins,
            categories,
        }
    }

    /// Whether it says something of a category, given as its bit.
    pub const fn covers(&self, category: u8) -> bool {
        self.categories == 0 || category == 0 || self.categories & category != 0
    }
}

#[derive(Clone, Copy)]
struct Person {
    who: [u8; PSEUDONYM_LEN],
    /// Octets and no number, or the person would take 24 of them.
    scope: [u8; 4],
    origins: u8,
    categories: u8,
}

impl Person {
    const fn place(&self) -> u32 {
        u32::from_be_bytes(self.scope)
    }

    const fn stand(&self) -> Stand {
        Stand::new(
            ScopeId(self.place()),
            Origins::from_octet(self.origins),
            self.categories,
        )
    }

    const fn set(&mut self, stand: Stand) {
        self.scope = stand.scope.0.to_be_bytes();
        self.origins = stand.origins.octet();
        self.categories = stand.categories;
    }
}

type List = SmallVec<[Stand; 2]>;

/// See the [module](self).
pub struct People {
    parts: Box<[HashTable<Person>]>,
    lists: Vec<List>,
    free: Vec<u32>,
    stands: usize,
}

impl Default for People {
    fn default() -> Self {
        Self {
            parts: (0..PARTS).map(|_| HashTable::new()).collect(),
            lists: Vec::new(),
            free: Vec::new(),
            stands: 0,
        }
    }
}

impl std::fmt::Debug for People {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "People({})", self.stands)
    }
}

const fn part(who: &Pseudonym) -> usize {
    who.0[PSEUDONYM_LEN - 1] as usize
}

impl People {
    /// How many pairs of a person and a scope.
    pub const fn len(&self) -> usize {
        self.stands
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.stands == 0
    }

    /// What was said of a person.
    pub fn of(&self, who: &Pseudonym) -> SmallVec<[Stand; 2]> {
        match self.parts[part(who)].find(who.hash(), |person| person.who == who.0) {
            None => SmallVec::new(),
            Some(person) if person.origins == LISTED => self
                .lists
                .get(person.place() as usize)
                .cloned()
                .unwrap_or_default(),
            Some(person) => SmallVec::from_slice(&[person.stand()]),
        }
    }

    /// Whether anything was said of a person: what nearly everybody is asked, and nothing was of nearly everybody.
    pub fn knows(&self, who: &Pseudonym) -> bool {
        self.parts[part(who)]
            .find(who.hash(), |person| person.who == who.0)
            .is_some()
    }

    /// Adds origins and categories to what was said in a scope; whether its origin is new there.
    pub(crate) fn add(&mut self, who: &Pseudonym, stand: Stand) -> bool {
        let hash_of = |person: &Person| Pseudonym(person.who).hash();
        let table = &mut self.parts[part(who)];
        let Some(person) = table.find_mut(who.hash(), |person| person.who == who.0) else {
            let mut person = Person {
                who: who.0,
                scope: [0; 4],
                origins: 0,
                categories: 0,
            };
            person.set(stand);
            table.insert_unique(who.hash(), person, hash_of);
            self.stands += 1;
            return true;
        };
        if person.origins != LISTED {
            let mut found = person.stand();
            if found.scope == stand.scope {
                let is_new = merge(&mut found, stand);
                person.set(found);
                return is_new;
            }
            let list = List::from_slice(&[found, stand]);
            let place = if let Some(place) = self.free.pop() {
                self.lists[place as usize] = list;
                place
            } else {
                self.lists.push(list);
                u32::try_from(self.lists.len() - 1).unwrap_or(u32::MAX)
            };
            person.scope = place.to_be_bytes();
            person.origins = LISTED;
            self.stands += 1;
            return true;
        }
        let Some(list) = self.lists.get_mut(person.place() as usize) else {
            return false;
        };
        if let Some(found) = list.iter_mut().find(|found| found.scope == stand.scope) {
            return merge(found, stand);
        }
        list.push(stand);
        self.stands += 1;
        true
    }

    /// Takes origins away; where none is left, nothing was said.
    pub(crate) fn lift(&mut self, who: &Pseudonym, scope: ScopeId, origins: Origins) {
        self.change(who, scope, |stand| {
            stand.origins = stand.origins.without(origins);
            stand.origins.is_empty()
        });
    }

    /// Takes categories away, 0 being all.
    pub(crate) fn take(&mut self, who: &Pseudonym, scope: ScopeId, categories: u8) {
        self.change(who, scope, |stand| {
            let left = if stand.categories == 0 {
                0xff
            } else {
                stand.categories
            };
            stand.categories = left & !categories;
            categories == 0 || stand.categories == 0
        });
    }

    #[cfg(test)]
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Pseudonym, Stand)> {
        let all = self.parts.iter().flat_map(|part| part.iter());
        all.flat_map(|person| {
            let who = Pseudonym(person.who);
            self.of(&who).into_iter().map(move |stand| (who, stand))
        })
    }

    fn change(&mut self, who: &Pseudonym, scope: ScopeId, mut is_gone: impl FnMut(&mut Stand) -> bool) {
        let table = &mut self.parts[part(who)];
        let Ok(mut entry) = table.find_entry(who.hash(), |person| person.who == who.0) else {
            return;
        };
        let person = entry.get_mut();
        if person.origins != LISTED {
            let mut stand = person.stand();
            if stand.scope != scope {
                return;
            }
            if is_gone(&mut stand) {
                entry.remove();
                self.stands -= 1;
            } else {
                person.set(stand);
            }
            return;
        }
        let place = person.place();
        let Some(list) = self.lists.get_mut(place as usize) else {
            return;
        };
        let Some(at) = list.iter().position(|stand| stand.scope == scope) else {
            return;
        };
        if is_gone(&mut list[at]) {
            list.remove(at);
            self.stands -= 1;
        }
        if let [last] = list.as_slice() {
            person.set(*last);
            *list = List::new();
            self.free.push(place);
        }
    }
}

fn merge(found: &mut Stand, stand: Stand) -> bool {
    let is_new = !found.origins.contains(stand.origins);
    found.origins = found.origins.with(stand.origins);
    found.categories = match (found.categories, stand.categories) {
        (0, _) | (_, 0) => 0,
        (one, other) => one | other,
    };
    is_new
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::standing::Origin;

    fn who(n: u8) -> Pseudonym {
        let mut octets = [7; PSEUDONYM_LEN];
        octets[0] = n;
        Pseudonym::from_octets(octets)
    }

    #[test]
    fn a_person_takes_22_octets() {
        assert_eq!((size_of::<Person>(), align_of::<Person>()), (22, 1));
    }

    proptest! {
        /// Against a map: what is added and lifted in any order is there or is not.
        #[test]
        fn whatever_is_said_in_whatever_order_stands_as_said(
            steps in prop::collection::vec((0..4u8, 0..4u32, 0..4usize, any::<bool>()), 1..60),
        ) {
            let origins = [Origin::Recipient, Origin::Carrier, Origin::Account, Origin::Import];
            let (mut people, mut model) = (People::default(), BTreeMap::<(u8, u32), Origins>::new());
            for (n, scope, origin, is_lift) in steps {
                let origin = Origins::of(origins[origin]);
                let found = model.entry((n, scope)).or_default();
                if is_lift {
                    people.lift(&who(n), ScopeId(scope), origin);
                    *found = found.without(origin);
                } else {
                    let is_new = people.add(&who(n), Stand::new(ScopeId(scope), origin, 0));
                    prop_assert_eq!(is_new, !found.contains(origin));
                    *found = found.with(origin);
                }
                model.retain(|_, origins| !origins.is_empty());
                prop_assert_eq!(people.len(), model.len());
                for n in 0..4 {
                    let mut stands: Vec<_> = people.of(&who(n)).iter().map(|s| (s.scope.0, s.origins)).collect();
                    stands.sort_by_key(|(scope, _)| *scope);
                    let expected: Vec<_> = model.range((n, 0)..(n + 1, 0)).map(|((_, s), o)| (*s, *o)).collect();
                    prop_assert_eq!(people.knows(&who(n)), !expected.is_empty());
                    prop_assert_eq!(stands, expected);
                }
            }
        }
    }

    #[test]
    fn consent_to_all_that_is_withdrawn_for_one_category_stays_for_the_others() {
        let mut people = People::default();
        people.add(&who(1), Stand::new(ScopeId(1), Origins::of(Origin::Recipient), 0));
        people.take(&who(1), ScopeId(1), 1);
        let [stand] = people.of(&who(1))[..] else {
            unreachable!("one scope")
        };
        assert!(!stand.covers(1) && stand.covers(2));
        people.take(&who(1), ScopeId(1), 0);
        assert!(people.is_empty());
    }
}
