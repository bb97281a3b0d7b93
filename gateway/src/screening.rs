//! What texts are looked at for (compliance.md FRD-4), of accounts whose terms allow that, and only in here.
//!
//! ```text
//! may_submit ─► screen ─► decode ─► words and links ─► rules ─┬─ none
//!                                                             └─ hits: id and score ─► counted, signal
//!                                                                      refuse, or their scores add up: 0x0407
//!                                                                      suspend: 0x0407 and a trip (crate::abuse)
//! ```
//!
//! Nothing of a text is kept but the buffers that the next one overwrites, and keyed hashes ([`crate::abuse`]).

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
use tidegate_codec::text::{DefaultAlphabet, Peer, read};
use tidegate_codec::values::{DataCoding, EsmClass};
use tidegate_config::words::normalise;
use tidegate_config::{ContentRules, Screening};

use compiled::Compiled;

/// Places of the rules that a text hits, each once.
pub(crate) type Hits = SmallVec<[u16; 4]>;

/// What a message says, as far as it is looked at. Not to be printed (P4).
#[derive(Clone, Copy)]
pub(crate) struct Text<'a> {
    pub(crate) data_coding: DataCoding,
    pub(crate) esm_class: EsmClass,
    /// How its account writes texts.
    pub(crate) alphabet: DefaultAlphabet,
    /// Of short_message or message_payload.
    pub(crate) octets: &'a [u8],
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

/// A text as rules are asked about it; its buffers are kept for their capacity.
#[derive(Default)]
struct Buffers {
    text: String,
    /// All words as they are compared, with a blank between two.
    normal: String,
    /// Where each begins.
    starts: Vec<usize>,
    /// Which of them begin a link, in their order.
    links: Vec<usize>,
    piece: String,
    host: String,
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
        hash.write(text.octets);
        let key = hash.finish128().as_u128();
        if self.latest.as_ref().is_none_or(|(latest, _)| *latest != key) {
            self.latest = Some((key, self.look_into(text)));
        }
        self.latest.as_ref().and_then(|(_, found)| found.as_ref())
    }

    fn look_into(&mut self, text: &Text<'_>) -> Option<Found> {
        let peer = Peer {
            default_alphabet: text.alphabet,
            ..Peer::default()
        };
        let reading = read(text.data_coding, text.esm_class, text.octets, peer);
        let buffers = &mut self.buffers;
        buffers.text.clear();
        reading.charset.decode(reading.text.0, &mut buffers.text)?;
        let mut found = Found::default();
        self.read_words(&mut found.hits);
        self.compiled.ask_words(&self.buffers, &mut found.hits);
        found.same = self.same();
        found.words = self.buffers.starts.len();
        Some(found)
    }

    /// Takes the text apart into words and links, and asks what is asked of each by itself.
    fn read_words(&mut self, hits: &mut Hits) {
        let Buffers {
            text,
            normal,
            starts,
            links,
            piece,
            host,
        } = &mut self.buffers;
        normal.clear();
        starts.clear();
        links.clear();
        for piece_of in links::pieces(text) {
            if links::read_host(piece_of, host) {
                if links::is_link(piece_of, host, |ending| self.compiled.is_ending(ending)) {
                    links.push(starts.len());
                }
                self.compiled.ask_host(host, hits);
            }
            let has_others = !piece_of.is_ascii();
            if has_others && looks::words_of(piece_of).any(looks::is_disguised) {
                self.compiled.found_look_alikes(hits);
            }
            normalise(piece_of, piece);
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
