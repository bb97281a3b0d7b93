//! Parts of long texts from handsets, kept for what they say together.
//!
//! Each part is answered by itself, and no part waits for another: whatever is known when one comes is read. They are in
//! memory only. After a restart, and where a bound is reached, what comes is read by itself, so that only words are missed
//! that the cut goes through.

use std::collections::VecDeque;
use std::time::Duration;

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use tidegate_codec::text::{Charset, Place, decode_parts};
use tidegate_config::Extent;

use super::REMEMBERED;
use crate::clock::Now;

/// Texts of which parts are kept; of more the oldest are forgotten.
const TEXTS_MAX: usize = 8_192;
/// Octets of all parts together, each counted with what it costs besides; likewise.
const OCTETS_MAX: usize = 4 << 20;
/// What a part costs besides its octets, and a text with its first.
const PART_COST: usize = 64;
/// Octets before a part, and behind it, that are read with it: every phrase and negation of the table fits many times over.
/// With all that is there a text of many parts would be read as often as it has parts, every time a longer one.
const AROUND: usize = 1_024;
/// Octets of a part that is kept. No handset writes longer ones, and one that is longer is read by itself.
const PART_MAX: usize = 255;

#[derive(Default)]
pub(super) struct LongTexts {
    texts: HashMap<u128, LongText>,
    /// The same as they began, each with the end of its time; one that began anew is there twice.
    order: VecDeque<(Duration, u128)>,
    octets: usize,
    scratch: Vec<u8>,
}

/// Parts in their order. Kept until its time is over even when it is whole: an answer that asked for it again brings back
/// the last part only.
struct LongText {
    until: Duration,
    parts: Vec<Part>,
}

struct Part {
    sequence: u8,
    charset: Charset,
    octets: Box<[u8]>,
}

impl Part {
    fn cost(&self) -> usize {
        self.octets.len() + PART_COST
    }
}

impl LongTexts {
    /// Keeps a part, and writes what is there without a gap before and behind it, as far as that matters. `key` is what all parts of the text have
    /// in common, their total with it.
    pub(super) fn join(
        &mut self,
        now: Now,
        key: u128,
        place: Place,
        (charset, octets): (Charset, &[u8]),
        out: &mut String,
    ) -> Extent {
        let sequence = place.sequence();
        self.forget(now);
        if octets.len() > PART_MAX {
            out.clear();
            charset.decode(octets, out);
            return extent(sequence == 1, false);
        }
        let octets = octets.into();
        let part = Part {
            sequence,
            charset,
            octets,
        };
        self.keep(now, key, part);
        let parts = self.texts.get(&key).map_or(&[][..], |text| &text.parts);
        let run = run(parts, sequence);
        let whole = run.len() == usize::from(place.total());
        let begins = run.first().is_some_and(|part| part.sequence == 1);
        out.clear();
        let run = run.iter().map(|part| (part.charset, &*part.octets));
        decode_parts(run, &mut self.scratch, out);
        extent(begins, whole)
    }

    fn keep(&mut self, now: Now, key: u128, part: Part) {
        let cost = part.cost();
        let text = self.texts.get(&key);
        let there = text.and_then(|text| text.parts.get(find(&text.parts, part.sequence).ok()?));
        match there {
            // Sent again: its answer was lost, or had asked for it.
            Some(there) if there.charset == part.charset && there.octets == part.octets => return,
            // References come round; this is another text.
            Some(_) => self.drop_text(key),
            None => {}
        }
        let is_full = self.order.len() >= TEXTS_MAX && !self.texts.contains_key(&key);
        if is_full && let Some(oldest) = self.order.pop_front() {
            self.drop_oldest(oldest);
        }
        while self.octets + cost > OCTETS_MAX {
            match self.order.pop_front() {
                Some(oldest) => self.drop_oldest(oldest),
                None => break,
            }
        }
        let until = now.monotonic.saturating_add(REMEMBERED);
        let text = match self.texts.entry(key) {
            Entry::Occupied(text) => text.into_mut(),
            Entry::Vacant(none) => {
                self.order.push_back((until, key));
                none.insert(LongText {
                    until,
                    parts: Vec::new(),
                })
            }
        };
        let place = find(&text.parts, part.sequence).unwrap_or_else(|place| place);
        text.parts.insert(place, part);
        self.octets += cost;
    }

    fn forget(&mut self, now: Now) {
        let is_over = |oldest: &mut (Duration, u128)| oldest.0 <= now.monotonic;
        while let Some(oldest) = self.order.pop_front_if(is_over) {
            self.drop_oldest(oldest);
        }
    }

    fn drop_oldest(&mut self, (until, key): (Duration, u128)) {
        if self.texts.get(&key).is_some_and(|text| text.until == until) {
            self.drop_text(key);
        }
    }

    fn drop_text(&mut self, key: u128) {
        if let Some(text) = self.texts.remove(&key) {
            self.octets -= text.parts.iter().map(Part::cost).sum::<usize>();
        }
    }

    pub(super) fn len(&self) -> usize {
        self.texts.len()
    }
}

fn find(parts: &[Part], sequence: u8) -> Result<usize, usize> {
    parts.binary_search_by_key(&sequence, |part| part.sequence)
}

/// The parts around one without a gap, as far as [`AROUND`].
fn run(parts: &[Part], sequence: u8) -> &[Part] {
    let mut runs = parts.chunk_by(|one, next| one.sequence + 1 == next.sequence);
    let run = runs.find(|run| find(run, sequence).is_ok()).unwrap_or_default();
    let Ok(place) = find(run, sequence) else {
        return run;
    };
    let (before, behind) = run.split_at(place);
    let before = near(before.iter().rev());
    let behind = near(behind.iter().skip(1));
    run.get(place - before..=place + behind).unwrap_or_default()
}

/// How many of these have [`AROUND`] octets together at most.
fn near<'p>(parts: impl Iterator<Item = &'p Part>) -> usize {
    let octets = parts.scan(0, |octets, part| {
        *octets += part.octets.len();
        Some(*octets)
    });
    octets.take_while(|octets| *octets <= AROUND).count()
}

const fn extent(begins: bool, is_whole: bool) -> Extent {
    match (begins, is_whole) {
        (_, true) => Extent::Whole,
        (true, false) => Extent::Beginning,
        (false, false) => Extent::Within,
    }
}

#[cfg(test)]
mod tests {
    use tidegate_codec::text::{Reference, Shifts};

    use super::*;

    const GSM7: Charset = Charset::Gsm7(Shifts::NONE);

    fn at(seconds: u64) -> Now {
        Now {
            monotonic: Duration::from_secs(seconds),
            unix_ms: 0,
        }
    }

    fn place(total: u8, sequence: u8) -> Place {
        Place::new(Reference::Udh8(1), total, sequence).unwrap()
    }

    fn join(
        texts: &mut LongTexts,
        seconds: u64,
        key: u128,
        part: (u8, u8),
        octets: &[u8],
    ) -> (String, Extent) {
        let mut out = "left over".to_owned();
        let place = place(part.0, part.1);
        let extent = texts.join(at(seconds), key, place, (GSM7, octets), &mut out);
        (out, extent)
    }

    #[test]
    fn what_stands_around_a_part_is_read_with_it_in_any_order() {
        let mut texts = LongTexts::default();
        for (sequence, octets, text, extent) in [
            (4, &b"d"[..], "d", Extent::Within),
            (2, b"b", "b", Extent::Within),
            (1, b"a", "ab", Extent::Beginning),
            // Again: nothing is doubled.
            (2, b"b", "ab", Extent::Beginning),
            (5, b"e", "de", Extent::Within),
            (3, b"c", "abcde", Extent::Whole),
            (5, b"e", "abcde", Extent::Whole),
        ] {
            let joined = join(&mut texts, 0, 7, (5, sequence), octets);
            assert_eq!(joined, (text.to_owned(), extent), "{sequence}");
        }
        assert_eq!((texts.len(), texts.octets), (1, 5 * (1 + PART_COST)));
        // Another text under the same reference; the old one's end does not end it.
        assert_eq!(
            join(&mut texts, 200, 7, (5, 1), b"A"),
            ("A".to_owned(), Extent::Beginning)
        );
        assert_eq!(
            join(&mut texts, 310, 7, (5, 2), b"B"),
            ("AB".to_owned(), Extent::Beginning)
        );
        assert_eq!(
            join(&mut texts, 500, 7, (5, 3), b"C"),
            ("C".to_owned(), Extent::Within)
        );
        join(&mut texts, 800, 8, (2, 1), b"");
        assert_eq!((texts.len(), texts.order.len(), texts.octets), (1, 1, PART_COST));
    }

    #[test]
    fn of_a_text_of_many_parts_only_what_is_near_is_read() {
        let mut texts = LongTexts::default();
        let mut most = 0;
        for sequence in 1..=255 {
            let (text, extent) = join(&mut texts, 0, 7, (255, sequence), &[b'a'; 153]);
            most = most.max(text.len());
            let begins = usize::from(sequence) <= AROUND / 153 + 1;
            assert_eq!(extent == Extent::Beginning, begins, "{sequence}");
        }
        let near = AROUND / 153;
        assert_eq!(most, 153 * (near + 1));
        // One that comes again has neighbours on both sides; the phrase across a cut is read.
        assert_eq!(
            join(&mut texts, 0, 7, (255, 100), &[b'a'; 153]).0.len(),
            153 * (2 * near + 1)
        );
        let mut texts = LongTexts::default();
        join(&mut texts, 0, 7, (9, 3), b"please st");
        let (text, _) = join(&mut texts, 0, 7, (9, 4), b"op texting me");
        assert_eq!(text, "please stop texting me");
        // Parts of an octet each are whole together.
        for sequence in 1..=255 {
            let (text, extent) = join(&mut texts, 0, 8, (255, sequence), b"a");
            assert_eq!(text.len(), usize::from(sequence));
            assert_eq!(extent == Extent::Whole, sequence == 255);
        }
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut texts = LongTexts::default();
        for key in 0..=TEXTS_MAX as u128 {
            join(&mut texts, 0, key, (2, 1), b"a");
        }
        assert_eq!((texts.len(), texts.order.len()), (TEXTS_MAX, TEXTS_MAX));
        assert_eq!(
            join(&mut texts, 0, 0, (2, 2), b"b").1,
            Extent::Within,
            "the oldest is forgotten"
        );
        assert_eq!(join(&mut texts, 0, 2, (2, 2), b"b").1, Extent::Whole);

        let mut texts = LongTexts::default();
        for key in 0..160 {
            for sequence in (1..=255).step_by(2) {
                join(&mut texts, 0, key, (255, sequence), &[b'a'; PART_MAX]);
            }
            assert!(texts.octets <= OCTETS_MAX);
        }
        let costs = texts.texts.values().flat_map(|text| &text.parts).map(Part::cost);
        assert_eq!(texts.octets, costs.sum::<usize>());
        assert!(texts.octets > OCTETS_MAX / 2);
        // A text that changes again and again under one reference has no more room than others.
        for n in 0..20_000_u32 {
            join(&mut texts, 0, 0, (2, 1), &n.to_be_bytes());
        }
        assert!(texts.order.len() <= TEXTS_MAX && texts.octets <= OCTETS_MAX);
        // No part of an SMS is so long.
        let before = texts.octets;
        let long = [b'a'; PART_MAX + 1];
        assert_eq!(join(&mut texts, 0, 99, (2, 1), &long).1, Extent::Beginning);
        assert_eq!(
            (texts.octets, join(&mut texts, 0, 99, (2, 2), &long).1),
            (before, Extent::Within)
        );
    }
}
