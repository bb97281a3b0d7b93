//! What was handed over to people whose messages are counted (CAP-1): when, on which subject, for a week at most.
//!
//! Keyed by pseudonyms of the rotating kind (CAP-2): whoever is asked for is looked up under this span of 30 days and the one
//! before. Gone when its window is over, from memory as from the files.

use std::collections::VecDeque;

use hashbrown::HashMap;
use smallvec::SmallVec;

use crate::pseudonym::{Memo, Pseudonym, Pseudonyms, Secret};

/// A day in milliseconds.
pub const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// Messages that are remembered, at about 130 octets each. Over it nobody could say which is too many.
const SENT_MAX: usize = 1 << 21;
/// A span of one key, in milliseconds.
const SPAN_MS: u64 = 30 * DAY_MS;

/// For how long a message counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Counts {
    /// 24 hours.
    Day = 1,
    /// Seven times as long.
    Week = 7,
}

impl Counts {
    /// How long, in milliseconds.
    pub const fn window_ms(self) -> u64 {
        self as u64 * DAY_MS
    }

    pub(super) const fn from_octet(octet: u8) -> Option<Self> {
        match octet {
            1 => Some(Self::Day),
            7 => Some(Self::Week),
            _ => None,
        }
    }
}

/// Who a person is at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lately {
    /// As what is counted now.
    pub now: Pseudonym,
    /// In the span before, while what was counted then may still count.
    before: Option<Pseudonym>,
}

/// One that was handed over.
#[derive(Clone, Copy, Debug)]
struct Hit {
    at_ms: u64,
    ends_ms: u64,
    /// What its parts and its tries have in common.
    message: u64,
}

type Key = (Pseudonym, u64);

/// See the [module](self).
#[derive(Debug)]
pub struct Sent {
    newest: Secret,
    /// The others that live, oldest first.
    older: Vec<Secret>,
    span: u32,
    codes: [Memo; 2],
    of: HashMap<Key, SmallVec<[Hit; 1]>>,
    /// Those of a day and those of a week, each in the order in which they came.
    order: [VecDeque<(u64, Key)>; 2],
}

impl Sent {
    pub(super) fn new(newest: &Secret, older: &[Secret]) -> Self {
        Self {
            codes: codes(newest, older, 0).map(Memo::new),
            newest: newest.clone(),
            older: older.to_vec(),
            span: 0,
            of: HashMap::new(),
            order: [VecDeque::new(), VecDeque::new()],
        }
    }

    /// Who a person is at this time, by the number in its canonical form.
    pub fn who(&self, digits: &[u8], now_ms: u64) -> Lately {
        let span = span_of(now_ms);
        let is_young = now_ms % SPAN_MS <= Counts::Week.window_ms();
        if span == self.span {
            let [now, before] = &self.codes;
            return Lately {
                now: now.of(digits),
                before: is_young.then(|| before.of(digits)),
            };
        }
        let [now, before] = codes(&self.newest, &self.older, span);
        Lately {
            now: now.of(digits),
            before: is_young.then(|| before.of(digits)),
        }
    }

    /// A later secret is there: it counts from the next span on.
    pub(super) fn adopt(&mut self, secret: &Secret) {
        let before = std::mem::replace(&mut self.newest, secret.clone());
        self.older.push(before);
        self.codes = codes(&self.newest, &self.older, self.span).map(Memo::new);
    }

    /// A secret is needed by nothing here any more.
    pub(super) fn retire(&mut self, generation: u8) {
        self.older.retain(|secret| secret.generation() != generation);
        self.codes = codes(&self.newest, &self.older, self.span).map(Memo::new);
    }

    /// How many messages are counted whose people may be known by this secret; all of them or none.
    pub(super) fn under(&self, generation: u8, now_ms: u64) -> usize {
        let span = span_of(now_ms);
        let is_young = now_ms % SPAN_MS <= Counts::Week.window_ms();
        let is_of = |span| of_span(&self.newest, &self.older, span).generation() == generation;
        if is_of(span) || (is_young && is_of(span.saturating_sub(1))) {
            self.order.iter().map(VecDeque::len).sum()
        } else {
            0
        }
    }

    /// Whether no more can be counted.
    pub fn is_full(&self) -> bool {
        self.order.iter().map(VecDeque::len).sum::<usize>() >= SENT_MAX
    }

    /// When the `n`th latest message on a subject was handed over, the latest being the first; `None`: there were fewer.
    pub fn nth_latest(&self, who: &Lately, subject: u64, n: usize) -> Option<u64> {
        // Most people have had few.
        if self.hits(who, subject).take(n).count() < n {
            return None;
        }
        let mut times: SmallVec<[u64; 16]> = self.hits(who, subject).map(|hit| hit.at_ms).collect();
        times.sort_unstable_by(|one, other| other.cmp(one));
        times.get(n.checked_sub(1)?).copied()
    }

    /// Whether a message, or another part of it, is counted, since this unix time in milliseconds.
    pub fn has(&self, who: &Lately, subject: u64, message: u64, since_ms: u64) -> bool {
        self.hits(who, subject)
            .any(|hit| hit.message == message && hit.at_ms >= since_ms)
    }

    fn hits(&self, who: &Lately, subject: u64) -> impl Iterator<Item = &Hit> {
        // In the very first span both are the same.
        let before = who.before.filter(|before| *before != who.now);
        let whos = std::iter::once(who.now).chain(before);
        whos.filter_map(move |who| self.of.get(&(who, subject))).flatten()
    }

    pub(super) fn add(&mut self, who: &Pseudonym, subject: u64, message: u64, counts: Counts, at_ms: u64) {
        self.forget(at_ms);
        let (key, ends_ms) = ((*who, subject), at_ms.saturating_add(counts.window_ms()));
        self.of.entry(key).or_default().push(Hit {
            at_ms,
            ends_ms,
            message,
        });
        let [days, weeks] = &mut self.order;
        match counts {
            Counts::Day => days.push_back((ends_ms, key)),
            Counts::Week => weeks.push_back((ends_ms, key)),
        }
    }

    /// Lets go of what counts no more. A clock that is set back lets nothing go early.
    pub(super) fn forget(&mut self, now_ms: u64) {
        // Here and not with the first that counts: until then every question would make the codes anew.
        let span = span_of(now_ms);
        if span > self.span {
            self.span = span;
            self.codes = codes(&self.newest, &self.older, span).map(Memo::new);
        }
        for order in &mut self.order {
            while let Some((ends_ms, key)) = order.front().copied()
                && ends_ms <= now_ms
            {
                order.pop_front();
                let is_gone = self.of.get_mut(&key).is_some_and(|hits| {
                    hits.retain(|hit| hit.ends_ms > now_ms);
                    hits.is_empty()
                });
                if is_gone {
                    self.of.remove(&key);
                }
            }
        }
    }
}

fn span_of(unix_ms: u64) -> u32 {
    u32::try_from(unix_ms / SPAN_MS).unwrap_or(u32::MAX)
}

fn codes(newest: &Secret, older: &[Secret], span: u32) -> [Pseudonyms; 2] {
    let code = |span| of_span(newest, older, span).log(span);
    [code(span), code(span.saturating_sub(1))]
}

/// The secret of a span: the newest that was there when it began, so that none is changed within it. A rotation is told from
/// the one before as a span is.
fn of_span<'a>(newest: &'a Secret, older: &'a [Secret], span: u32) -> &'a Secret {
    let begin_ms = u64::from(span) * SPAN_MS;
    let all = || older.iter().chain([newest]);
    let there = all().rfind(|secret| secret.made_ms() <= begin_ms);
    there.or_else(|| all().next()).unwrap_or(newest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::KeyId;

    #[test]
    fn a_window_ends_at_its_end_and_a_person_is_known_over_the_change_of_a_key() {
        let mut sent = Sent::new(&Secret::new(KeyId(1), &[7; 32]), &[]);
        let change = 700 * SPAN_MS;
        let (before, after) = (change - 1_000, change + 1_000);
        let who = sent.who(b"13055550123", before);
        sent.add(&who.now, 5, 1, Counts::Day, before);
        let later = sent.who(b"13055550123", after);
        assert_ne!(who.now, later.now, "another key");
        assert_eq!(Some(who.now), later.before);
        let much_later = sent.who(b"13055550123", after + 8 * DAY_MS);
        assert_eq!(
            (later.now, None),
            (much_later.now, much_later.before),
            "nothing of before counts"
        );
        sent.add(&later.now, 5, 2, Counts::Week, after);
        assert_eq!(later, sent.who(b"13055550123", after), "kept or made anew");
        assert_eq!(sent.nth_latest(&later, 5, 1), Some(after));
        assert_eq!(sent.nth_latest(&later, 5, 2), Some(before));
        assert_eq!(sent.nth_latest(&later, 5, 3), None);
        assert_eq!(sent.nth_latest(&later, 6, 1), None, "another subject");
        assert!(sent.has(&later, 5, 1, before) && !sent.has(&later, 5, 1, after));
        assert!(!sent.has(&later, 5, 3, 0));
        sent.forget(before + DAY_MS - 1);
        assert_eq!(sent.nth_latest(&later, 5, 2), Some(before));
        sent.forget(before + DAY_MS);
        assert_eq!(sent.nth_latest(&later, 5, 2), None);
        sent.forget(after + 7 * DAY_MS);
        assert!(sent.of.is_empty() && sent.order.iter().all(VecDeque::is_empty));
    }
}
