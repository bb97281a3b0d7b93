//! Parts of long texts, kept until they are whole (sms-text.md §11). Bounded, and without a clock: `now_ms`
//! is an argument, any clock that does not run backwards.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::hash::{DefaultHasher, Hasher};

use super::place::{Place, Reference};
use crate::octets::Body;

/// What a part is reckoned with besides its octets, when the bound on octets is watched: a part may be empty.
pub const PART_OVERHEAD: usize = 64;

/// How much may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// How long after its first part a message is given up.
    pub wait_ms: u64,
    /// Most messages under way.
    pub open_max: usize,
    /// Most messages under way with one key, so that one sender cannot push out all others.
    pub open_per_key_max: usize,
    /// Most octets kept, each part counted with [`PART_OVERHEAD`].
    pub octets_max: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            wait_ms: 10 * 60 * 1000,
            open_max: 10_000,
            open_per_key_max: 16,
            octets_max: 16 << 20,
        }
    }
}

/// A part that is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct KeptPart<T> {
    /// Which part, 1 to the total.
    pub sequence: u8,
    /// Its octets as they were given.
    pub octets: Box<[u8]>,
    /// What the caller wants to know of it again: its coding, its message id.
    pub tag: T,
}

impl<T> fmt::Debug for KeptPart<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeptPart[{} {:?}]", self.sequence, Body(&self.octets))
    }
}

/// What became of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Added<T> {
    /// It is kept; others are missing.
    Waiting,
    /// The same part with the same octets is kept already. It is to be acknowledged as the first one was.
    Duplicate,
    /// The message is whole; here are its parts in their order. Nothing of it is kept.
    Complete(Vec<KeptPart<T>>),
}

/// Why an incomplete message is kept no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Its time is over.
    Expired,
    /// A bound was reached and it was the oldest.
    Evicted,
    /// Another message began with its reference: another total, or another text for a part that is there.
    Superseded,
    /// Its time is over as well, or a bound was reached; but all that came were parts of a message that was
    /// complete before, sent again by somebody who had not heard the answer (interop quirk 12). To be
    /// dropped. Had all of them come, it would have been a message of its own: some senders never change
    /// their reference.
    Repeated,
}

/// An incomplete message that is kept no longer, for the caller to deliver in parts or to drop.
#[derive(Clone, PartialEq, Eq)]
pub struct Ended<K, T> {
    /// Why.
    pub why: Why,
    /// The key that its parts were given with.
    pub key: K,
    /// Its reference.
    pub reference: Reference,
    /// How many parts it should have had.
    pub total: u8,
    /// The parts that came, in their order.
    pub parts: Vec<KeptPart<T>>,
}

impl<K, T> fmt::Debug for Ended<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (came, total) = (self.parts.len(), self.total);
        write!(
            f,
            "Ended[{:?} {:?}, {came} of {total} parts]",
            self.why, self.reference
        )
    }
}

/// Messages under way. `K` says between whom: account, both addresses, and the ports where there are any. `T`
/// is what the caller wants to keep with each part.
pub struct Reassembly<K, T> {
    bounds: Bounds,
    open: BTreeMap<(K, Reference), Open<T>>,
    /// The same, oldest first: by the number that each message got when it began.
    ages: BTreeMap<u64, (K, Reference)>,
    next: u64,
    octets: usize,
    now_ms: u64,
    /// What was complete within the last `wait_ms`, as many as may be open; the youngest of each reference.
    done: BTreeMap<(K, Reference), Done>,
    /// When each of them was complete, oldest first; a reference that was completed again is there twice.
    completions: VecDeque<Completion<K>>,
}

/// A message that was complete: enough to know its parts again, and nothing of what they say.
struct Done {
    /// The number of its completion.
    age: u64,
    /// Of the parts in their order.
    hashes: Box<[u64]>,
}

struct Completion<K> {
    age: u64,
    at_ms: u64,
    id: (K, Reference),
}

struct Open<T> {
    age: u64,
    since_ms: u64,
    total: u8,
    /// In the order of their sequence.
    parts: Vec<KeptPart<T>>,
    /// All parts so far are those of a message that was complete before.
    repeated: bool,
}

impl<K: Ord + Clone, T> Reassembly<K, T> {
    /// Nothing under way.
    pub const fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            open: BTreeMap::new(),
            ages: BTreeMap::new(),
            next: 0,
            octets: 0,
            now_ms: 0,
            done: BTreeMap::new(),
            completions: VecDeque::new(),
        }
    }

    /// Takes a part: its place, and its octets without their header. Messages that end because of it, and
    /// those whose time is over, are appended to `ended`; with bounds too narrow for this one message, it is
    /// among them.
    pub fn add(
        &mut self,
        key: K,
        place: Place,
        octets: &[u8],
        tag: T,
        now_ms: u64,
        ended: &mut Vec<Ended<K, T>>,
    ) -> Added<T> {
        self.expire(now_ms, ended);
        let id = (key, place.reference());
        let sequence = place.sequence();
        if let Some(open) = self.open.get(&id) {
            let there = open.find(sequence).ok().and_then(|at| open.parts.get(at));
            match there {
                Some(part) if open.total == place.total() && *part.octets == *octets => {
                    return Added::Duplicate;
                }
                None if open.total == place.total() => {}
                _ => self.end(&id, Why::Superseded, ended),
            }
        }
        let part = KeptPart {
            sequence,
            octets: octets.into(),
            tag,
        };
        let known = self.done.get(&id).is_some_and(|done| {
            let hashes = &done.hashes;
            let hash = hashes.get(usize::from(sequence) - 1);
            hashes.len() == usize::from(place.total()) && hash == Some(&hash_of(octets))
        });
        let (age, now_ms) = (self.next, self.now_ms);
        let open = self.open.entry(id.clone()).or_insert_with(|| Open {
            age,
            since_ms: now_ms,
            total: place.total(),
            parts: Vec::new(),
            repeated: true,
        });
        open.repeated &= known;
        let begun = open.parts.is_empty();
        let at = open.find(sequence).unwrap_or_else(|at| at);
        self.octets += part.cost();
        open.parts.insert(at, part);
        if begun {
            self.ages.insert(age, id.clone());
            self.next += 1;
        }
        if open.parts.len() == usize::from(open.total) {
            let Some(open) = self.take(&id) else {
                return Added::Waiting;
            };
            self.remember(id, &open.parts);
            return Added::Complete(open.parts);
        }
        if begun {
            self.bound_key(&id.0, ended);
        }
        while self.open.len() > self.bounds.open_max || self.octets > self.bounds.octets_max {
            let Some(oldest) = self.ages.values().next().cloned() else {
                break;
            };
            self.end(&oldest, Why::Evicted, ended);
        }
        Added::Waiting
    }

    /// Ends what has waited too long; what ended is appended to `ended`, oldest first.
    pub fn expire(&mut self, now_ms: u64, ended: &mut Vec<Ended<K, T>>) {
        // A clock that runs backwards stands still here, so that age and order stay the same thing.
        self.now_ms = self.now_ms.max(now_ms);
        while self.next_expiry_ms().is_some_and(|at| at <= self.now_ms) {
            let Some(oldest) = self.ages.values().next().cloned() else {
                break;
            };
            self.end(&oldest, Why::Expired, ended);
        }
        let (now_ms, wait_ms) = (self.now_ms, self.bounds.wait_ms);
        let over = |end: &mut Completion<K>| end.at_ms.saturating_add(wait_ms) <= now_ms;
        while let Some(end) = self.completions.pop_front_if(over) {
            self.forget(&end);
        }
    }

    /// When [`Reassembly::expire`] next has something to do.
    pub fn next_expiry_ms(&self) -> Option<u64> {
        let oldest = self.open.get(self.ages.values().next()?)?;
        Some(oldest.since_ms.saturating_add(self.bounds.wait_ms))
    }

    /// Messages under way.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Nothing is under way.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Octets kept, each part counted with [`PART_OVERHEAD`].
    pub const fn octets(&self) -> usize {
        self.octets
    }

    /// Ends the oldest messages of one key until it has no more than its bound.
    fn bound_key(&mut self, key: &K, ended: &mut Vec<Ended<K, T>>) {
        loop {
            let of_key = (key.clone(), Reference::LEAST)..=(key.clone(), Reference::GREATEST);
            let (mut count, mut oldest) = (0, None);
            for (id, open) in self.open.range(of_key) {
                count += 1;
                if oldest.is_none_or(|(age, _)| open.age < age) {
                    oldest = Some((open.age, id));
                }
            }
            match oldest {
                Some((_, id)) if count > self.bounds.open_per_key_max => {
                    let id = id.clone();
                    self.end(&id, Why::Evicted, ended);
                }
                _ => return,
            }
        }
    }

    fn end(&mut self, id: &(K, Reference), why: Why, ended: &mut Vec<Ended<K, T>>) {
        if let Some(open) = self.take(id) {
            ended.push(Ended {
                why: if open.repeated { Why::Repeated } else { why },
                key: id.0.clone(),
                reference: id.1,
                total: open.total,
                parts: open.parts,
            });
        }
    }

    /// Keeps what is needed to know the parts again: eight octets for each.
    fn remember(&mut self, id: (K, Reference), parts: &[KeptPart<T>]) {
        if parts.len() < 2 {
            // Whatever comes again of it is whole again.
            return;
        }
        let age = self.next;
        self.next += 1;
        let hashes = parts.iter().map(|part| hash_of(&part.octets)).collect();
        self.done.insert(id.clone(), Done { age, hashes });
        let at_ms = self.now_ms;
        self.completions.push_back(Completion { age, at_ms, id });
        while self.completions.len() > self.bounds.open_max {
            let Some(oldest) = self.completions.pop_front() else {
                break;
            };
            self.forget(&oldest);
        }
    }

    /// Unless its reference was completed again since.
    fn forget(&mut self, end: &Completion<K>) {
        if self.done.get(&end.id).is_some_and(|done| done.age == end.age) {
            self.done.remove(&end.id);
        }
    }

    fn take(&mut self, id: &(K, Reference)) -> Option<Open<T>> {
        let open = self.open.remove(id)?;
        self.ages.remove(&open.age);
        self.octets -= open.parts.iter().map(KeptPart::cost).sum::<usize>();
        Some(open)
    }
}

/// The same for the same octets, in this process and in the next.
fn hash_of(octets: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(octets);
    hasher.finish()
}

impl<T> Open<T> {
    /// Where the part is, or where it belongs.
    fn find(&self, sequence: u8) -> Result<usize, usize> {
        self.parts.binary_search_by_key(&sequence, |part| part.sequence)
    }
}

impl<T> KeptPart<T> {
    const fn cost(&self) -> usize {
        self.octets.len() + PART_OVERHEAD
    }
}

impl<K, T> fmt::Debug for Reassembly<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reassembly[{} open, {} octets]", self.open.len(), self.octets)
    }
}
