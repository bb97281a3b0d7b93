//! The first word of a text from a handset, by which routes and instructions tell messages apart, and what all of it means.
//!
//! A copy is read, of first words only where something asks for them; the message goes on as it came. Parts of a long text
//! behind the first go by the first one's word, if they come behind it: that is remembered for a while, in memory.

mod long;

use std::collections::VecDeque;
use std::fmt;
use std::hash::{Hash as _, Hasher};
use std::time::Duration;

use hashbrown::HashMap;
use siphasher::sip::SipHasher13;
use siphasher::sip128::{Hasher128 as _, SipHasher13 as SipHasher13Of128};
use tidegate_codec::address::{ADDR_DATA, Address, Npi, Ton};
use tidegate_codec::text::{Peer, Place, Reading, read};
use tidegate_codec::tlv::Tlvs;
use tidegate_codec::values::{DataCoding, EsmClass};
use tidegate_config::words::normalise;
use tidegate_config::{AccountWords, Extent, Meaning, Words, first_word};

use crate::clock::Now;
use crate::router::MoRouter;
use long::LongTexts;

/// Octets of a text that are looked into: more than 32 characters have in any alphabet, with blanks before them.
const READ_MAX: usize = 256;
/// First parts that are remembered, at about 100 octets each; of more the oldest are forgotten.
const PARTS_MAX: usize = 16_384;
/// For how long: parts of one text come within seconds, and references come round again.
const REMEMBERED: Duration = Duration::from_secs(300);

/// A message from a handset, as far as words need it.
#[derive(Clone, Copy)]
pub(crate) struct Text<'a> {
    /// The carrier's place in the configuration.
    pub(crate) carrier: usize,
    pub(crate) called: Address<'a, ADDR_DATA>,
    pub(crate) sender: &'a [u8],
    pub(crate) sender_ton_npi: (Ton, Npi),
    pub(crate) data_coding: DataCoding,
    /// How its carrier writes texts.
    pub(crate) peer: Peer,
    pub(crate) esm_class: EsmClass,
    /// Of short_message or message_payload.
    pub(crate) octets: &'a [u8],
    pub(crate) tlvs: Tlvs<'a>,
}

/// Reads first words. Its buffers are kept for their capacity.
#[derive(Default)]
pub(crate) struct Keywords {
    text: String,
    word: String,
    /// Words of first parts, by what all parts of a text have in common.
    first_parts: HashMap<u64, (Duration, String)>,
    /// The same as they came, each with the end of its time.
    order: VecDeque<(Duration, u64)>,
    long: LongTexts,
    /// A text as words are compared.
    normal: String,
}

impl Keywords {
    /// The first word of a message; empty where it has none, cannot be read, or where `router` asks for none.
    pub(crate) fn read(&mut self, now: Now, router: &MoRouter, message: &Text<'_>) -> &str {
        self.word.clear();
        if !router.asks_for_words() {
            return "";
        }
        self.forget(now);
        let reading = read(
            message.data_coding,
            message.esm_class,
            message.octets,
            message.peer,
        );
        match reading.place(&message.tlvs) {
            Some(place) if place.sequence() > 1 => self.recall(key(message, place)),
            place => {
                self.read_first(&reading);
                if let Some(place) = place.filter(|place| place.total() > 1) {
                    self.remember(now, router, key(message, place));
                }
            }
        }
        &self.word
    }

    /// What a message means, all of its text read whatever its coding, and what is known of the text that it is a part of.
    /// What is no text means nothing. `own` are the words of the account that owns the called number; `plus_one` says that
    /// the handset's number is one of +1.
    ///
    /// The same part again means the same again, so that a message that was answered with an error is read anew. Of a long
    /// text that ends a subscription several parts may say so.
    pub(crate) fn meaning<'w>(
        &mut self,
        now: Now,
        message: &Text<'_>,
        own: Option<&'w AccountWords>,
        plus_one: bool,
    ) -> Meaning<'w> {
        let Some(extent) = self.read_text(now, message) else {
            return Meaning::Nothing;
        };
        normalise(&self.text, &mut self.normal);
        Words::shipped().meaning(&self.normal, extent, plus_one, own)
    }

    /// Writes the text of a message, or what is there of the long one around it. `None` where it is no text.
    fn read_text(&mut self, now: Now, message: &Text<'_>) -> Option<Extent> {
        let reading = read(
            message.data_coding,
            message.esm_class,
            message.octets,
            message.peer,
        );
        let octets = reading.text.0;
        self.text.clear();
        reading.charset.decode(octets, &mut self.text)?;
        match reading.place(&message.tlvs) {
            Some(place) if place.total() > 1 => {
                let key = hashed(message, place, SipHasher13Of128::new())
                    .finish128()
                    .as_u128();
                let part = (reading.charset, octets);
                Some(self.long.join(now, key, place, part, &mut self.text))
            }
            _ => Some(Extent::Whole),
        }
    }

    fn read_first(&mut self, reading: &Reading<'_>) {
        let octets = reading.text.0;
        let octets = octets.get(..READ_MAX).unwrap_or(octets);
        self.text.clear();
        if reading.charset.decode(octets, &mut self.text).is_some() {
            first_word(&self.text, &mut self.word);
        }
    }

    fn recall(&mut self, key: u64) {
        if let Some((_, word)) = self.first_parts.get(&key) {
            self.word.push_str(word);
        }
    }

    /// A first part says what its text begins with; without such a word, an older text of the same reference is over.
    fn remember(&mut self, now: Now, router: &MoRouter, key: u64) {
        if !router.asks_for(&self.word) {
            self.first_parts.remove(&key);
            return;
        }
        if self.order.len() >= PARTS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.drop_part(oldest);
        }
        let until = now.monotonic.saturating_add(REMEMBERED);
        self.first_parts.insert(key, (until, self.word.clone()));
        self.order.push_back((until, key));
    }

    fn forget(&mut self, now: Now) {
        while let Some(oldest) = self
            .order
            .front()
            .copied()
            .filter(|(until, _)| *until <= now.monotonic)
        {
            self.order.pop_front();
            self.drop_part(oldest);
        }
    }

    fn drop_part(&mut self, (until, key): (Duration, u64)) {
        if self
            .first_parts
            .get(&key)
            .is_some_and(|(newest, _)| *newest == until)
        {
            self.first_parts.remove(&key);
        }
    }
}

/// What all parts of a text have in common.
fn key(message: &Text<'_>, place: Place) -> u64 {
    hashed(message, place, SipHasher13::new()).finish()
}

fn hashed<H: Hasher>(message: &Text<'_>, place: Place, mut hasher: H) -> H {
    message.carrier.hash(&mut hasher);
    message.called.addr.as_bytes().hash(&mut hasher);
    message.sender.hash(&mut hasher);
    (place.reference(), place.total()).hash(&mut hasher);
    hasher
}

// Words are the beginning of bodies (P4).
impl fmt::Debug for Keywords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keywords")
            .field("first_parts", &self.first_parts.len())
            .field("long_texts", &self.long.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
