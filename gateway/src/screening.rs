//! What texts are looked at for (compliance.md FRD-4), of accounts whose terms allow that, and only in here.
//!
//! ```text
//! may_submit ─► screen ─► decode ─► words and links ─► rules ─┬─ none
//!                                                             └─ hits: id and score ─► counted, signal
//!                                                                      refuse, or their scores add up: 0x0407
//!                                                                      suspend: 0x0407 and a trip (crate::abuse)
//! ```
//!
//! Nothing of a text is kept but keyed hashes ([`crate::abuse`]): the buffers are wiped behind it.

mod compiled;
mod links;
mod looks;
#[cfg(test)]
mod tests;

use std::fmt;
use std::hash::Hasher as _;
use std::sync::Arc;
use std::time::Duration;

use rand_core::Rng;
use siphasher::sip::SipHasher13;
use siphasher::sip128::{Hasher128 as _, SipHasher13 as SipHasher13Of128};
use smallvec::SmallVec;
use tidegate_codec::text::ucs2::ByteOrder;
use tidegate_codec::text::{Alphabet, Charset, DefaultAlphabet, Peer, Reading, Shifts, read};
use tidegate_codec::tlv::{Tag, Tlvs};
use tidegate_codec::values::{DataCoding, EsmClass};
use tidegate_config::words::normalise;
use tidegate_config::{ContentRules, Screening};
use zeroize::Zeroize as _;

use compiled::Compiled;

/// Octets of a buffer that are kept for the next text: wiping them costs.
const KEPT_MAX: usize = 1_024;

/// Places of the rules that a text hits, each once.
pub(crate) type Hits = SmallVec<[u16; 4]>;

/// What a message says, as far as it is looked at. Not to be printed (P4).
#[derive(Clone, Copy)]
pub(crate) struct Text<'a> {
    pub(crate) data_coding: DataCoding,
    pub(crate) esm_class: EsmClass,
    /// How its account writes texts.
    pub(crate) alphabet: DefaultAlphabet,
    pub(crate) short_message: &'a [u8],
    /// Each message_payload among them is a text, whichever the specification calls the one that counts: all are forwarded.
    pub(crate) tlvs: Tlvs<'a>,
}

impl<'a> Text<'a> {
    /// All that a handset may be shown.
    fn octets(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let payloads = self.tlvs.iter().filter(|tlv| tlv.tag == Tag::MESSAGE_PAYLOAD);
        std::iter::once(self.short_message)
            .chain(payloads.map(|tlv| tlv.value.0))
            .filter(|octets| !octets.is_empty())
    }
}

/// What a text is found to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// Rules that its words and links hit.
    pub(crate) hits: Hits,
    /// A keyed hash of its words, digits aside, and how many there are.
    pub(crate) same: u64,
    pub(crate) words: usize,
}

/// A text as rules are asked about it; the buffers are kept for their capacity, empty.
#[derive(Default)]
struct Buffers {
    text: String,
    /// All words as they are compared, with a blank between two.
    normal: String,
    /// Where each begins.
    starts: Vec<usize>,
    /// Which of them begin a link, in their order.
    links: Vec<usize>,
    /// A piece with the capitals that it means.
    meant: String,
    piece: String,
    host: String,
}

impl Buffers {
    /// Nothing of a text is left in them.
    fn wipe(&mut self) {
        let words = [&mut self.normal, &mut self.meant, &mut self.piece];
        for buffer in words.into_iter().chain([&mut self.text, &mut self.host]) {
            // All of its room, where longer ones may have stood.
            buffer.zeroize();
            if buffer.capacity() > KEPT_MAX {
                *buffer = String::new();
            }
        }
    }
}

/// How a text may be read by those who are to show it: as it says, and where handsets differ, as each of them does.
fn charsets(reading: &Reading<'_>) -> SmallVec<[Charset; 2]> {
    let mut charsets = SmallVec::new();
    match reading.charset {
        // Not every handset has the table.
        Charset::Gsm7(shifts) if shifts.locking.is_some() => {
            let locking = None;
            charsets.push(Charset::Gsm7(Shifts { locking, ..shifts }));
        }
        Charset::Gsm7Packed { shifts, fill } if shifts.locking.is_some() => {
            let shifts = Shifts {
                locking: None,
                ..shifts
            };
            charsets.push(Charset::Gsm7Packed { shifts, fill });
        }
        // What has no meaning is shown all the same, by some in the default alphabet (23.038 §4).
        Charset::Opaque if is_reserved(reading) => {
            let shifts = reading.header.map_or(Shifts::NONE, |header| header.shifts());
            charsets.push(Charset::Gsm7(shifts));
            charsets.push(Charset::Ucs2(ByteOrder::ByMark));
            return charsets;
        }
        _ => {}
    }
    charsets.push(reading.charset);
    charsets
}

fn is_reserved(reading: &Reading<'_>) -> bool {
    let coding = reading.coding;
    coding.alphabet == Alphabet::Reserved && !coding.compressed && !reading.broken_header
}

/// See the [module](self).
pub(crate) struct Screen {
    compiled: Compiled,
    keys: (u64, u64),
    buffers: Buffers,
    /// Of the last text: a submit_multi, and a campaign, say the same again and again.
    latest: Option<(u128, Option<Found>)>,
}

impl fmt::Debug for Screen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Screen[{}]", self.compiled.rules.version)
    }
}

impl Screen {
    /// By these rules; the key of this process's life is drawn here.
    pub(crate) fn new(screening: &Screening, rng: &mut impl Rng) -> Self {
        Self {
            compiled: Compiled::new(&screening.rules),
            keys: (rng.next_u64(), rng.next_u64()),
            buffers: Buffers::default(),
            latest: None,
        }
    }

    /// Goes by other rules from now on, if they are others.
    pub(crate) fn take(&mut self, screening: &Screening) {
        if self.compiled.rules != screening.rules {
            let version = &screening.rules.version;
            tracing::info!(version, "other rules about content");
            self.compiled = Compiled::new(&screening.rules);
            self.latest = None;
        }
    }

    /// The rules.
    pub(crate) fn rules(&self) -> Arc<ContentRules> {
        Arc::clone(&self.compiled.rules)
    }

    /// Looks at a text; `None`: it is none that can be read.
    pub(crate) fn look(&mut self, text: &Text<'_>) -> Option<&Found> {
        let mut hash = SipHasher13Of128::new_with_keys(self.keys.0, self.keys.1);
        hash.write_u8(text.data_coding.0);
        hash.write_u8(u8::from(text.esm_class.has_udh()));
        hash.write_u8(text.alphabet as u8);
        for octets in text.octets() {
            hash.write_usize(octets.len());
            hash.write(octets);
        }
        let key = hash.finish128().as_u128();
        if self.latest.as_ref().is_none_or(|(latest, _)| *latest != key) {
            self.latest = Some((key, self.look_into(text)));
        }
        self.latest.as_ref().and_then(|(_, found)| found.as_ref())
    }

    fn look_into(&mut self, text: &Text<'_>) -> Option<Found> {
        let peer = Peer {
            default_alphabet: text.alphabet,
            // Handsets heed the mark.
            byte_order: ByteOrder::ByMark,
            ..Peer::default()
        };
        let buffers = &mut self.buffers;
        let mut is_read = text.octets().next().is_none();
        for octets in text.octets() {
            let reading = read(text.data_coding, text.esm_class, octets, peer);
            for charset in charsets(&reading) {
                buffers.text.push('\n');
                is_read |= charset.decode(reading.text.0, &mut buffers.text).is_some();
            }
        }
        let mut found = Found::default();
        if is_read {
            self.read_words(&mut found.hits);
            self.compiled.ask_words(&self.buffers, &mut found.hits);
            found.same = self.same();
            found.words = self.buffers.starts.len();
        }
        self.buffers.wipe();
        is_read.then_some(found)
    }

    /// Takes the text apart into words and links, and asks what is asked of each by itself.
    fn read_words(&mut self, hits: &mut Hits) {
        let Buffers {
            text,
            normal,
            starts,
            links,
            meant,
            piece,
            host,
        } = &mut self.buffers;
        normal.clear();
        starts.clear();
        links.clear();
        let mut left = links::HOSTS_MAX;
        for piece_of in links::pieces(text) {
            let is_ending = |ending: &str| self.compiled.is_ending(ending);
            let ask = |host: &str| self.compiled.ask_host(host, hits);
            if links::read(piece_of, host, &mut left, is_ending, ask) {
                links.push(starts.len());
            }
            let has_others = !piece_of.is_ascii();
            if has_others && looks::words_of(piece_of).any(looks::is_disguised) {
                self.compiled.found_look_alikes(hits);
            }
            meant.clear();
            if has_others {
                looks::undisguise_capitals(piece_of, meant);
            }
            normalise(if has_others { meant.as_str() } else { piece_of }, piece);
            for word in piece.split(' ').filter(|word| !word.is_empty()) {
                if !normal.is_empty() {
                    normal.push(' ');
                }
                starts.push(normal.len());
                if word.is_ascii() {
                    normal.push_str(word);
                } else {
                    looks::undisguise(word, normal);
                }
            }
        }
    }

    /// A hash of all words, each run of digits as one.
    fn same(&self) -> u64 {
        let mut hash = SipHasher13::new_with_keys(self.keys.0, self.keys.1);
        let mut was_digit = false;
        for octet in self.buffers.normal.bytes() {
            let is_digit = octet.is_ascii_digit();
            if !(is_digit && was_digit) {
                hash.write_u8(if is_digit { b'0' } else { octet });
            }
            was_digit = is_digit;
        }
        hash.finish()
    }

    /// Rules about one text from many senders: the place of each, from how many senders on, within what time, and from how
    /// many words on.
    pub(crate) fn about_senders(&self) -> SmallVec<[(u16, u16, Duration, usize); 2]> {
        self.compiled.senders.clone()
    }
}
