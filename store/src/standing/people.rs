//! Who stands where: a set of people by pseudonym, each with the scopes that something was said for.
//!
//! 22 octets a person and one of the table, in 256 tables, each of which grows for itself: with ten million in it none
//! stops the loop for more than a few milliseconds when it doubles. Nearly all are there once; who stands in several
//! scopes has a list of them elsewhere.

use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread::{self, JoinHandle};

use hashbrown::HashTable;
use smallvec::SmallVec;

use crate::pseudonym::{PSEUDONYM_LEN, Pseudonym};

use super::{Origins, ScopeId};

/// Tables, by the last octet of the pseudonym.
const PARTS: usize = 256;
/// Steps that are collected before they are taken, 24 octets each.
const LATER_MAX: usize = if cfg!(test) { 64 } else { 1 << 18 };
/// Of their lists one is filled and one is taken in; that others wait would be memory for nothing.
const LISTS_WAITING: usize = 0;
const LISTS_BACK: usize = 1;
/// Of the octet of origins: the four there are. None of them: the scope is the place of a list.
const ORIGINS: u8 = 0x0f;
/// Behind them stands the generation of the person's pseudonym, as far as those that live at a time differ.
const GENERATION_AT: u32 = 6;
/// So many generations can be told apart, if none between them is missing.
pub(super) const GENERATIONS: usize = 4;

const fn slot(generation: u8) -> u8 {
    generation % 4
}

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

/// What is done to a person in one scope.
#[derive(Clone, Copy, Debug)]
pub(super) enum Deed {
    /// Origins and categories are added.
    Add(Origins, u8),
    /// Origins are taken away.
    Lift(Origins),
    /// Categories are taken away.
    Take(u8),
}

/// To whom, and where.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) who: Pseudonym,
    pub(super) scope: ScopeId,
    pub(super) deed: Deed,
}

/// Steps that are collected, millions of them at a start: one after the other nearly each would wait for memory, those of
/// one part together find it in the processor's caches. A thread of its own takes them in while more are read.
#[derive(Default)]
pub(super) struct Later {
    steps: Vec<Step>,
    /// People who go by another name from here on. Either these are collected or steps, so that the order stays.
    renames: Vec<Rename>,
    /// For how many people there should be room at once, where there are many.
    expected: usize,
    helper: Option<Helper>,
}

/// Under which pseudonym somebody went, and now goes.
type Rename = (Pseudonym, Pseudonym);

/// What a helper takes in.
enum Work {
    Steps(Vec<Step>),
    Renames(Vec<Rename>),
}

/// Has the set until it is joined.
struct Helper {
    thread: JoinHandle<People>,
    to: SyncSender<Work>,
    /// Lists that are taken in, empty, to be filled once more.
    back: Receiver<Vec<Step>>,
}

impl Later {
    pub(super) fn of_at_least(expected: usize) -> Self {
        Self {
            expected,
            ..Self::default()
        }
    }

    /// One more of this set, which is nobody else's until all is settled.
    pub(super) fn push(&mut self, step: Step, people: &mut People) {
        self.hand_renames(people);
        self.steps.push(step);
        if self.steps.len() < LATER_MAX {
            return;
        }
        if self.helper.is_none() {
            self.helper = Helper::start(people, self.expected);
        }
        self.hand_steps(people);
    }

    /// Somebody goes by another name.
    pub(super) fn rename(&mut self, from: Pseudonym, to: Pseudonym, people: &mut People) {
        if !self.steps.is_empty() {
            self.hand_steps(people);
        }
        self.renames.push((from, to));
        if self.renames.len() >= LATER_MAX {
            self.hand_renames(people);
        }
    }

    fn hand_steps(&mut self, people: &mut People) {
        match &self.helper {
            Some(helper) => {
                let steps = std::mem::take(&mut self.steps);
                // Nobody takes it where the thread has panicked: whoever joins it hears of that.
                let _ = helper.to.send(Work::Steps(steps));
                self.steps = helper.back.try_recv().unwrap_or_default();
            }
            None => people.take_steps(&mut self.steps),
        }
    }

    fn hand_renames(&mut self, people: &mut People) {
        if self.renames.is_empty() {
            return;
        }
        let renames = std::mem::take(&mut self.renames);
        match &self.helper {
            Some(helper) => drop(helper.to.send(Work::Renames(renames))),
            None => people.rename_all(&renames),
        }
    }

    /// Takes all that is left, and has the set back in its place.
    pub(super) fn settle(&mut self, people: &mut People) {
        self.hand_renames(people);
        if let Some(helper) = self.helper.take() {
            drop(helper.to);
            match helper.thread.join() {
                Ok(taken) => *people = taken,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        people.take_steps(&mut self.steps);
    }
}

impl Helper {
    /// `None` where the system gives no thread: then there is none, and the set is where it was.
    fn start(people: &mut People, expected: usize) -> Option<Self> {
        let (to, lists) = mpsc::sync_channel::<Work>(LISTS_WAITING);
        let (done, back) = mpsc::sync_channel(LISTS_BACK);
        // A thread that does not start must not take the set along.
        let (set, theirs) = mpsc::sync_channel::<People>(1);
        let work = move || {
            let mut people = theirs.recv().unwrap_or_default();
            people.reserve(expected);
            for work in lists {
                match work {
                    Work::Steps(mut steps) => {
                        people.take_steps(&mut steps);
                        let _ = done.try_send(steps);
                    }
                    Work::Renames(renames) => people.rename_all(&renames),
                }
            }
            people
        };
        let thread = thread::Builder::new()
            .name("opt-outs".to_owned())
            .spawn(work)
            .ok()?;
        let _ = set.send(std::mem::take(people));
        Some(Self { thread, to, back })
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

    const fn is_listed(&self) -> bool {
        self.origins & ORIGINS == 0
    }

    const fn slot(&self) -> usize {
        (self.origins >> GENERATION_AT) as usize
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
        self.origins = self.origins & !ORIGINS | stand.origins.octet();
        self.categories = stand.categories;
    }

    const fn list(&mut self, place: u32) {
        self.scope = place.to_be_bytes();
        self.origins &= !ORIGINS;
    }

    const fn pseudonym(&self) -> Pseudonym {
        Pseudonym::from_octets(self.who)
    }
}

type List = SmallVec<[Stand; 2]>;

/// See the [module](self).
pub struct People {
    parts: Box<[HashTable<Person>]>,
    lists: Vec<List>,
    free: Vec<u32>,
    stands: usize,
    /// People by the generation of their pseudonyms.
    people: [usize; GENERATIONS],
}

impl Default for People {
    fn default() -> Self {
        Self {
            parts: (0..PARTS).map(|_| HashTable::new()).collect(),
            lists: Vec::new(),
            free: Vec::new(),
            stands: 0,
            people: [0; GENERATIONS],
        }
    }
}

impl std::fmt::Debug for People {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "People({})", self.stands)
    }
}

const fn part(who: &Pseudonym) -> usize {
    who.octets()[PSEUDONYM_LEN - 1] as usize
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
        match self.parts[part(who)].find(who.hash(), |person| person.who == *who.octets()) {
            None => SmallVec::new(),
            Some(person) if person.is_listed() => self
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
            .find(who.hash(), |person| person.who == *who.octets())
            .is_some()
    }

    fn reserve(&mut self, people: usize) {
        for table in &mut self.parts {
            table.reserve(people / PARTS, |person| person.pseudonym().hash());
        }
    }

    /// Takes steps part by part: all of one person's in the order in which they came.
    fn take_steps(&mut self, steps: &mut Vec<Step>) {
        steps.sort_by_key(|step| part(&step.who));
        for step in steps.drain(..) {
            self.take_step(&step);
        }
    }

    pub(super) fn take_step(&mut self, step: &Step) {
        match step.deed {
            Deed::Add(origins, categories) => {
                self.add(&step.who, Stand::new(step.scope, origins, categories));
            }
            Deed::Lift(origins) => self.lift(&step.who, step.scope, origins),
            Deed::Take(categories) => self.take(&step.who, step.scope, categories),
        }
    }

    /// Adds origins and categories to what was said in a scope; whether its origin is new there.
    pub(crate) fn add(&mut self, who: &Pseudonym, stand: Stand) -> bool {
        let hash_of = |person: &Person| person.pseudonym().hash();
        let table = &mut self.parts[part(who)];
        let Some(person) = table.find_mut(who.hash(), |person| person.who == *who.octets()) else {
            let mut person = Person {
                who: *who.octets(),
                scope: [0; 4],
                origins: slot(who.generation()) << GENERATION_AT,
                categories: 0,
            };
            person.set(stand);
            self.people[person.slot()] += 1;
            table.insert_unique(who.hash(), person, hash_of);
            self.stands += 1;
            return true;
        };
        if !person.is_listed() {
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
            person.list(place);
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

    /// How many people go by pseudonyms of a generation, of those that live.
    pub fn of_generation(&self, generation: u8) -> usize {
        self.people[usize::from(slot(generation))]
    }

    fn rename_all(&mut self, renames: &[Rename]) {
        for (from, to) in renames {
            self.rename(from, to);
        }
    }

    /// Somebody goes by another pseudonym: all that was said under the one stands under the other, with what stands there.
    pub(super) fn rename(&mut self, from: &Pseudonym, to: &Pseudonym) {
        let table = &mut self.parts[part(from)];
        let Ok(entry) = table.find_entry(from.hash(), |person| person.who == *from.octets()) else {
            return;
        };
        let (person, _) = entry.remove();
        self.people[person.slot()] -= 1;
        let stands = if person.is_listed() {
            let list = self.lists.get_mut(person.place() as usize);
            self.free.push(person.place());
            list.map(std::mem::take).unwrap_or_default()
        } else {
            List::from_slice(&[person.stand()])
        };
        self.stands -= stands.len();
        for stand in stands {
            self.add(to, stand);
        }
    }

    #[cfg(test)]
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Pseudonym, Stand)> {
        let all = self.parts.iter().flat_map(|part| part.iter());
        all.flat_map(|person| {
            let who = person.pseudonym();
            self.of(&who).into_iter().map(move |stand| (who, stand))
        })
    }

    fn change(&mut self, who: &Pseudonym, scope: ScopeId, mut is_gone: impl FnMut(&mut Stand) -> bool) {
        let table = &mut self.parts[part(who)];
        let Ok(mut entry) = table.find_entry(who.hash(), |person| person.who == *who.octets()) else {
            return;
        };
        let person = entry.get_mut();
        if !person.is_listed() {
            let mut stand = person.stand();
            if stand.scope != scope {
                return;
            }
            if is_gone(&mut stand) {
                self.people[person.slot()] -= 1;
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
