//! By which pseudonyms people go, while secrets of several generations live (PSN-4).
//!
//! Somebody goes by one pseudonym at a time. It is of the newest generation, unless something is remembered under an older
//! one: then all that is read and written goes by that, until the person is renamed, which is one change for all of it. So
//! nobody who asks sees two, and no answer depends on what was rewritten. With one generation nothing of this costs anything.

use std::cell::RefCell;

use hashbrown::HashMap;
use smallvec::SmallVec;

use crate::pseudonym::{Memo, Pseudonym, Secret};

use super::{Change, Scope, Standing, What};

/// People who were found under an older generation and wait for being renamed, at 80 octets each. Over it they are found
/// once more.
const SEEN_MAX: usize = 4_096;

/// How much stands under a generation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// People who have opted out.
    pub opt_outs: usize,
    /// People who have consented.
    pub consents: usize,
    /// What else is remembered of people: consents that were withdrawn, overrides, questions, replies, and what is on its way
    /// to the disk.
    pub others: usize,
    /// Senders that the configuration does not list.
    pub senders: usize,
    /// Messages that count towards caps, and are known by a pseudonym of this secret.
    pub counted: usize,
}

impl Held {
    /// All of it.
    pub const fn total(&self) -> usize {
        self.opt_outs + self.consents + self.others + self.senders + self.counted
    }
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Generations {
    newest: Memo,
    newest_secret: Secret,
    /// The others that live, oldest first.
    older: SmallVec<[(Secret, Memo); 1]>,
    /// Whose secrets nothing needs any more, with what files say of them.
    retired: Vec<(u8, [u8; 32])>,
    /// Under which name somebody was found, and by which the same number is to go.
    seen: RefCell<HashMap<Pseudonym, Pseudonym>>,
    /// Changes of people that are staged and not on disk: who has one keeps the name.
    in_flight: HashMap<Pseudonym, u32>,
}

fn memo(secret: &Secret) -> Memo {
    Memo::new(secret.suppression())
}

impl Generations {
    pub(super) fn new(newest: &Secret, older: &[Secret]) -> Self {
        Self {
            newest: memo(newest),
            newest_secret: newest.clone(),
            older: older
                .iter()
                .map(|secret| (secret.clone(), memo(secret)))
                .collect(),
            retired: Vec::new(),
            seen: RefCell::default(),
            in_flight: HashMap::new(),
        }
    }

    fn note_seen(&self, old: Pseudonym, now: Pseudonym) {
        let mut seen = self.seen.borrow_mut();
        if seen.len() < SEEN_MAX {
            seen.insert(old, now);
        }
    }

    /// A change is staged.
    pub(super) fn takes_off(&mut self, change: &Change) {
        if change.is_of_somebody() {
            *self.in_flight.entry(change.who).or_default() += 1;
        }
    }

    /// It is on disk, or will not be.
    pub(super) fn lands(&mut self, change: &Change) {
        if change.is_of_somebody()
            && let Some(count) = self.in_flight.get_mut(&change.who)
        {
            *count -= 1;
            if *count == 0 {
                self.in_flight.remove(&change.who);
            }
        }
    }
}

impl Standing {
    /// What stands for a person here, by the number in its canonical form.
    pub fn who(&self, digits: &[u8]) -> Pseudonym {
        let now = self.generations.newest.of(digits);
        for (_, code) in &self.generations.older {
            let old = code.of(digits);
            if self.remembers(&old) {
                self.generations.note_seen(old, now);
                return old;
            }
        }
        now
    }

    /// What stands or stood for a person: under every generation that lives, the newest first. For what is asked later, when
    /// the person may have been renamed.
    pub fn all_names(&self, digits: &[u8]) -> SmallVec<[Pseudonym; 2]> {
        let older = self.generations.older.iter().rev();
        std::iter::once(self.generations.newest.of(digits))
            .chain(older.map(|(_, code)| code.of(digits)))
            .collect()
    }

    /// A sender by the pseudonym that it goes by.
    pub fn unlisted_sender(&self, address: &[u8]) -> Scope {
        let now = self.generations.newest.of(address);
        for (_, code) in &self.generations.older {
            let old = code.of(address);
            let scope = Scope::unlisted_sender(&old);
            // What it was called before finds it, too.
            let id = self.scopes.find(&scope);
            if id.and_then(|id| self.scopes.scope(id)) == Some(&scope) {
                self.generations.note_seen(old, now);
                return scope;
            }
        }
        Scope::unlisted_sender(&now)
    }

    /// The same under every generation that lives.
    pub fn unlisted_names(&self, address: &[u8]) -> SmallVec<[Scope; 1]> {
        self.all_names(address)
            .iter()
            .map(Scope::unlisted_sender)
            .collect()
    }

    fn remembers(&self, who: &Pseudonym) -> bool {
        self.opt_outs.knows(who)
            || self.consents.knows(who)
            || self.withdrawn.contains_key(who)
            || self.overrides.contains_key(who)
            || self.asked.knows(who)
            || self.replies.knows(who)
            || self.generations.in_flight.contains_key(who)
    }

    /// The secret of a later generation is in the ring: who is not known yet goes by it from here on.
    pub(crate) fn adopt(&mut self, secret: &Secret) {
        let known = self.generations.newest_secret.generation();
        if secret.generation() <= known {
            return;
        }
        let newest = std::mem::replace(&mut self.generations.newest, memo(secret));
        let before = std::mem::replace(&mut self.generations.newest_secret, secret.clone());
        self.generations.older.push((before, newest));
        self.sent.adopt(secret);
    }

    /// Generations that live, oldest first, and when their secrets were made, in unix milliseconds.
    pub fn generations(&self) -> Vec<(u8, u64)> {
        let older = self.generations.older.iter().map(|(secret, _)| secret);
        older
            .chain([&self.generations.newest_secret])
            .map(|secret| (secret.generation(), secret.made_ms()))
            .collect()
    }

    /// What files that were written under a generation say of its secret; `None` of one that does not live.
    pub(crate) fn check_of(&self, generation: u8) -> Option<[u8; 32]> {
        let newest = &self.generations.newest_secret;
        let mut living = self
            .generations
            .older
            .iter()
            .map(|(secret, _)| secret)
            .chain([newest]);
        living
            .find(|secret| secret.generation() == generation)
            .map(Secret::check)
    }

    /// Whether a generation lives, or was retired.
    pub(crate) fn knows_generation(&self, generation: u8) -> bool {
        let mut retired = self.generations.retired.iter();
        self.check_of(generation).is_some() || retired.any(|(number, _)| *number == generation)
    }

    /// What needs the secret of a generation.
    pub fn held_by(&self, generation: u8, now_ms: u64) -> Held {
        let is_of = |who: &&Pseudonym| who.generation() == generation;
        Held {
            opt_outs: self.opt_outs.of_generation(generation),
            consents: self.consents.of_generation(generation),
            others: self.withdrawn.keys().filter(is_of).count()
                + self.overrides.keys().filter(is_of).count()
                + self.generations.in_flight.keys().filter(is_of).count()
                + self.asked.of_generation(generation)
                + self.replies.of_generation(generation),
            senders: self.scopes.unlisted_of(generation),
            counted: self.sent.under(generation, now_ms),
        }
    }

    /// Who was found under an older generation, and is to be renamed; at most so many.
    pub(crate) fn take_seen(&self, max: usize) -> Vec<(Pseudonym, Pseudonym)> {
        if self.generations.older.is_empty() {
            return Vec::new();
        }
        let mut seen = self.generations.seen.borrow_mut();
        let in_flight = &self.generations.in_flight;
        seen.extract_if(|old, _| !in_flight.contains_key(old))
            .take(max)
            .collect()
    }

    /// Whether somebody was found who is not renamed yet.
    pub fn has_seen(&self) -> bool {
        !self.generations.older.is_empty() && !self.generations.seen.borrow().is_empty()
    }

    /// Whether anything goes by this name still: somebody may have been found twice.
    pub(crate) fn goes_by(&self, who: &Pseudonym) -> bool {
        let scope = Scope::unlisted_sender(who);
        let id = self.scopes.find(&scope);
        self.remembers(who) || id.and_then(|id| self.scopes.scope(id)) == Some(&scope)
    }

    /// All of a person goes by another name, but for what the sets of people say.
    pub(super) fn rename_others(&mut self, from: &Pseudonym, to: &Pseudonym, at_ms: u64) {
        if let Some(at_ms) = self.overrides.remove(from) {
            let there = self.overrides.entry(*to).or_default();
            *there = at_ms.max(*there);
        }
        if let Some(withdrawn) = self.withdrawn.remove(from) {
            for (scope, taken_back) in withdrawn {
                let there = self.withdrawn_of(to, scope);
                there.at_ms = there.at_ms.max(taken_back.at_ms);
                there.categories |= taken_back.categories;
            }
        }
        self.asked.rename(from, to, at_ms);
        self.replies.rename(from, to, at_ms);
        self.scopes.rename(from, to);
    }

    /// The same with what the sets say.
    pub(super) fn rename(&mut self, change: &Change) {
        if let What::Renamed { to } = &change.what {
            self.rename_others(&change.who, to, change.at_ms);
            self.opt_outs.rename(&change.who, to);
            self.consents.rename(&change.who, to);
            self.generations.seen.borrow_mut().remove(&change.who);
        }
    }

    /// Nothing stands under a generation any more.
    pub(super) fn retire(&mut self, generation: u8, check: [u8; 32]) {
        self.generations
            .older
            .retain(|(secret, _)| secret.generation() != generation);
        let retired = &mut self.generations.retired;
        if retired.iter().all(|(number, _)| *number != generation) {
            retired.push((generation, check));
        }
        self.sent.retire(generation);
    }
}
