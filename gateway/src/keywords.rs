//! The first word of a text from a handset, by which routes and instructions tell messages apart.
//!
//! A copy is read, and only where something asks for words; the message goes on as it came. Parts of a long text behind
//! the first go by the first one's word, if they come behind it: that is remembered for a while, in memory.

use std::collections::VecDeque;
use std::fmt;
use std::hash::{Hash as _, Hasher as _};
use std::time::Duration;

use hashbrown::HashMap;
use siphasher::sip::SipHasher13;
use tidegate_codec::address::{ADDR_DATA, Address, Npi, Ton};
use tidegate_codec::text::{Peer, Place, Reading, read};
use tidegate_codec::tlv::Tlvs;
use tidegate_codec::values::{DataCoding, EsmClass};
use tidegate_config::first_word;

use crate::clock::Now;
use crate::router::MoRouter;

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
    let mut hasher = SipHasher13::new();
    message.carrier.hash(&mut hasher);
    message.called.addr.as_bytes().hash(&mut hasher);
    message.sender.hash(&mut hasher);
    (place.reference(), place.total()).hash(&mut hasher);
    hasher.finish()
}

// Words are the beginning of bodies (P4).
impl fmt::Debug for Keywords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keywords")
            .field("first_parts", &self.first_parts.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn router() -> MoRouter {
        let base = include_str!("../../config/bench.toml");
        let route =
            "[[route.mo]]\nnumber = \"*\"\naccount = \"load\"\nkeywords = [\"pizza\", \"caf\u{e9}\"]\n";
        let config = tidegate_config::parse(&format!("{base}\n{route}"));
        MoRouter::new(&config.unwrap_or_else(|problems| panic!("{problems}")))
    }

    fn at(seconds: u64) -> Now {
        Now {
            monotonic: Duration::from_secs(seconds),
            unix_ms: 0,
        }
    }

    fn called(number: &[u8]) -> Address<'_, ADDR_DATA> {
        Address::new(Ton::UNKNOWN, Npi::UNKNOWN, number).unwrap()
    }

    fn text() -> Text<'static> {
        Text {
            carrier: 0,
            called: called(b"12345"),
            sender: b"447700900123",
            sender_ton_npi: (Ton::UNKNOWN, Npi::UNKNOWN),
            data_coding: DataCoding(0),
            peer: Peer::default(),
            esm_class: EsmClass(0),
            octets: b"Pizza, two",
            tlvs: Tlvs::NONE,
        }
    }

    fn part(octets: &[u8]) -> Text<'_> {
        Text {
            esm_class: EsmClass(0x40),
            octets,
            ..text()
        }
    }

    #[test]
    fn a_word_is_read_whatever_the_coding_and_behind_a_header() {
        let router = router();
        let mut keywords = Keywords::default();
        let mut long = b" ".repeat(300);
        long.extend_from_slice(b"pizza");
        for (data_coding, esm_class, octets, word) in [
            (0, 0, &b"Caf\x05!"[..], "caf\u{e9}"),
            (3, 0, b"CAF\xc9 x", "caf\u{e9}"),
            (8, 0, b"\0P\0i\0z\0z\0a\0 \0x", "pizza"),
            (0, 0x40, b"\x02\x70\x00pizza", "pizza"),
            // Broken header, binary, empty, one that begins beyond what is looked into.
            (0, 0x40, b"\xffpizza", ""),
            (4, 0, b"pizza", ""),
            (0, 0, b"", ""),
            (0, 0, &long, ""),
        ] {
            let text = Text {
                data_coding: DataCoding(data_coding),
                esm_class: EsmClass(esm_class),
                octets,
                ..text()
            };
            assert_eq!(
                keywords.read(at(0), &router, &text),
                word,
                "{data_coding} {octets:?}"
            );
        }
        let base = tidegate_config::parse(include_str!("../../config/bench.toml")).unwrap();
        assert_eq!(keywords.read(at(0), &MoRouter::new(&base), &text()), "");
    }

    #[test]
    fn later_parts_go_by_the_first_ones_word_for_a_while() {
        let router = router();
        let mut keywords = Keywords::default();
        let (first, second) = (
            part(b"\x05\0\x03\x2a\x02\x01Pizza"),
            part(b"\x05\0\x03\x2a\x02\x02taxi"),
        );
        assert_eq!(keywords.read(at(0), &router, &second), "", "ahead of the first");
        assert_eq!(keywords.read(at(1), &router, &first), "pizza");
        assert_eq!(keywords.read(at(2), &router, &second), "pizza");
        for other in [
            Text { carrier: 1, ..second },
            Text {
                sender: b"447700900124",
                ..second
            },
            Text {
                called: called(b"12346"),
                ..second
            },
            part(b"\x05\0\x03\x2b\x02\x02taxi"),
            part(b"\x05\0\x03\x2a\x03\x02taxi"),
            part(b"\x06\x08\x04\0\x2a\x02\x02taxi"),
        ] {
            assert_eq!(keywords.read(at(2), &router, &other), "");
        }
        // Said again, its time begins anew; the end of the older time does not end it.
        assert_eq!(keywords.read(at(200), &router, &first), "pizza");
        assert_eq!(keywords.read(at(400), &router, &second), "pizza");
        assert_eq!(keywords.read(at(500), &router, &second), "");
        assert_eq!((keywords.order.len(), keywords.first_parts.len()), (0, 0));
        // Another text under the same reference.
        keywords.read(at(501), &router, &first);
        keywords.read(at(502), &router, &part(b"\x05\0\x03\x2a\x02\x01hello"));
        assert_eq!(keywords.read(at(503), &router, &second), "");
    }

    #[test]
    fn as_many_first_parts_are_remembered_as_there_is_room_for() {
        let router = router();
        let mut keywords = Keywords::default();
        for number in 0..=PARTS_MAX {
            let sender = number.to_string();
            let first = Text {
                sender: sender.as_bytes(),
                ..part(b"\x05\0\x03\x2a\x02\x01Pizza")
            };
            keywords.read(at(0), &router, &first);
        }
        assert_eq!(
            (keywords.order.len(), keywords.first_parts.len()),
            (PARTS_MAX, PARTS_MAX)
        );
        let second = |sender| Text {
            sender,
            ..part(b"\x05\0\x03\x2a\x02\x02x")
        };
        assert_eq!(keywords.read(at(0), &router, &second(b"0")), "");
        assert_eq!(keywords.read(at(0), &router, &second(b"1")), "pizza");
        assert!(!format!("{keywords:?}").contains("pizza"));
    }
}
