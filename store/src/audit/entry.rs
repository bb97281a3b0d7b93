//! One entry of the audit log: what happened, who did it, to whose account, and the little that is worth telling.
//!
//! ```text
//! version u8 │ sequence u64 │ time u64 │ kind u8 │ actor │ n u8 │ account n × u8 │ 0 or 1, subject 16 × u8
//! 0 or 1, source 2 × u64 │ n u8 │ n × (key u8, value)
//! actor:  1 │ 2, uid u32 │ 3, account │ 4, carrier │ 5 │ 6, address │ 7 │ 8, name of a token
//! value:  its tag u8 and what the tag says, see [`Value`]
//! ```
//!
//! These octets are what the chain covers, so a value that was written has one form only. Integers are big endian. No
//! type here takes a number or a text of a person (AUD-4): a recipient is a pseudonym, and what must be readable later is
//! sealed by the caller.

use std::net::IpAddr;

use tidegate_codec::identity::SystemId;

use super::kind::{Field, Kind};
use crate::record;

/// Version of the form above.
const VERSION: u8 = 1;
/// Octets of an entry at most.
pub const ENTRY_MAX: usize = 16 * 1024;
/// Details of an entry at most.
pub const DETAILS_MAX: usize = 16;
/// Octets of a [`Word`] at most.
pub const WORD_MAX: usize = 120;
/// Words of one value at most.
pub const WORDS_MAX: usize = 64;
/// Octets of a sealed value at most.
pub const SEALED_MAX: usize = 1024;
/// More digits in a row may be a person's number.
const DIGITS_MAX: usize = 6;
/// What people write between the digits of a number: marks, and dashes of all kinds.
const BETWEEN_DIGITS: &[char] = &[
    '-', '.', '/', '(', ')', '+', ',', '_', '\'', '\u{ad}', '\u{b7}', '\u{2010}', '\u{2011}', '\u{2012}',
    '\u{2013}', '\u{2014}', '\u{2015}', '\u{2019}', '\u{2212}',
];
/// And what nobody sees.
const INVISIBLE: &[char] = &['\u{200b}', '\u{200c}', '\u{200d}', '\u{2060}', '\u{feff}'];

/// A short text that is no person's: control characters become spaces, what may be a number becomes `#`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Word(String);

impl Word {
    /// Of any text. Seven and more digits of any script become one `#`, also where blanks and what numbers are written with
    /// stand between them; and what is longer than [`WORD_MAX`] is cut.
    pub fn new(text: &str) -> Self {
        let mut out = String::with_capacity(text.len().min(WORD_MAX));
        // Where the run of digits begins in `out` and ends, and how many there are.
        let (mut from, mut to, mut digits) = (0, 0, 0);
        for c in text.chars() {
            if c.is_numeric() {
                if digits == 0 {
                    from = out.len();
                }
                digits += 1;
            } else if !breaks_numbers(c) {
                digits = mask(&mut out, from, to, digits);
            }
            out.push(if c.is_control() { ' ' } else { c });
            if c.is_numeric() {
                to = out.len();
            }
        }
        mask(&mut out, from, to, digits);
        Self::cut(&out)
    }

    /// Of a name in the operator's own configuration, or a word of ours: digits may stand in it.
    pub fn of_name(name: &str) -> Self {
        Self::cut(name)
    }

    fn cut(text: &str) -> Self {
        Self(text[..text.floor_char_boundary(WORD_MAX)].to_owned())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a number is written with this between its digits.
fn breaks_numbers(c: char) -> bool {
    c.is_whitespace() || c.is_control() || INVISIBLE.contains(&c) || BETWEEN_DIGITS.contains(&c)
}

/// Puts `#` in place of a run of digits that is too long; says how many digits the run has from now on.
fn mask(out: &mut String, from: usize, to: usize, digits: usize) -> usize {
    if digits > DIGITS_MAX {
        out.replace_range(from..to, "#");
    }
    0
}

/// What a detail holds, with its tag on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// 1: n u8, text.
    Word(Word),
    /// 2: n u8, n × (n u8, text). At most [`WORDS_MAX`].
    Words(Vec<Word>),
    /// 3: u64. A count, a size, a length: never what stands for a person.
    Count(u64),
    /// 4: u64, unix milliseconds.
    Time(u64),
    /// 5: 0 or 1.
    Flag(bool),
    /// 6: 4 octets, 7: 16 octets.
    Address(IpAddr),
    /// 8: 32 octets.
    Digest([u8; 32]),
    /// 9: 16 octets, a person or a thing by pseudonym.
    Pseudonym([u8; 16]),
    /// 10: n u16, n octets. A ciphertext; at most [`SEALED_MAX`].
    Sealed(Vec<u8>),
}

/// One thing that an entry tells besides.
pub type Detail = (Field, Value);

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// The gateway itself.
    System,
    /// An operator at the control socket, by the system's word: the user's number; `None` where it said none, or for a
    /// signal.
    Operator(Option<u32>),
    /// A client, by its account.
    Account(SystemId),
    /// A carrier, by its name.
    Carrier(Word),
    /// A handset: who, says the subject.
    Handset,
    /// Somebody who is known by an address only.
    Peer(IpAddr),
    /// An operator, or a program, by the name of its token of the admin listener.
    Token(Word),
}

/// Where in the spool an entry comes from: positions grow, and each is entered once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source(pub u64, pub u64);

/// What is to be entered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What happened.
    pub kind: Kind,
    /// Who did it.
    pub actor: Actor,
    /// To whose account.
    pub account: Option<SystemId>,
    /// To whom: a pseudonym (PSN-1).
    pub subject: Option<[u8; 16]>,
    /// From where it was copied.
    pub source: Option<Source>,
    /// What else is worth telling; at most [`DETAILS_MAX`].
    pub details: Vec<Detail>,
}

impl Entry {
    /// An entry with nothing but kind and actor.
    pub const fn new(kind: Kind, actor: Actor) -> Self {
        Self {
            kind,
            actor,
            account: None,
            subject: None,
            source: None,
            details: Vec::new(),
        }
    }

    /// The same with one more detail.
    #[must_use]
    pub fn with(mut self, key: Field, value: Value) -> Self {
        self.details.push((key, value));
        self
    }

    /// The same of an account.
    #[must_use]
    pub const fn of(mut self, account: Option<SystemId>) -> Self {
        self.account = account;
        self
    }

    /// Appends the octets that the chain covers. `None` where something is over its bound; then `out` is as it was.
    pub(super) fn encode(&self, sequence: u64, time_ms: u64, out: &mut Vec<u8>) -> Option<()> {
        let from = out.len();
        let fits = self.put(sequence, time_ms, out);
        if fits.is_none() || out.len() - from > ENTRY_MAX {
            out.truncate(from);
            return None;
        }
        fits
    }

    fn put(&self, sequence: u64, time_ms: u64, out: &mut Vec<u8>) -> Option<()> {
        out.push(VERSION);
        out.extend_from_slice(&sequence.to_be_bytes());
        out.extend_from_slice(&time_ms.to_be_bytes());
        out.push(self.kind.octet());
        match &self.actor {
            Actor::System => out.push(1),
            Actor::Operator(Some(uid)) => {
                out.push(2);
                out.extend_from_slice(&uid.to_be_bytes());
            }
            Actor::Account(account) => {
                out.push(3);
                record::put_short(out, account.as_bytes());
            }
            Actor::Carrier(name) => {
                out.push(4);
                record::put_short(out, name.0.as_bytes());
            }
            Actor::Handset => out.push(5),
            Actor::Peer(address) => {
                out.push(6);
                put_value(out, &Value::Address(*address))?;
            }
            Actor::Operator(None) => out.push(7),
            Actor::Token(name) => {
                out.push(8);
                record::put_short(out, name.0.as_bytes());
            }
        }
        let account = self.account.as_ref().map_or(&[][..], SystemId::as_bytes);
        record::put_short(out, account);
        out.push(u8::from(self.subject.is_some()));
        out.extend_from_slice(self.subject.as_ref().map_or(&[][..], |subject| &subject[..]));
        out.push(u8::from(self.source.is_some()));
        if let Some(Source(one, other)) = self.source {
            out.extend_from_slice(&one.to_be_bytes());
            out.extend_from_slice(&other.to_be_bytes());
        }
        out.push(short(self.details.len(), DETAILS_MAX)?);
        for (key, value) in &self.details {
            out.push(key.octet());
            put_value(out, value)?;
        }
        Some(())
    }
}

fn short(len: usize, max: usize) -> Option<u8> {
    u8::try_from(len).ok().filter(|_| len <= max)
}

fn put_value(out: &mut Vec<u8>, value: &Value) -> Option<()> {
    match value {
        Value::Word(Word(text)) => {
            out.push(1);
            record::put_short(out, text.as_bytes());
        }
        Value::Words(words) => {
            out.extend_from_slice(&[2, short(words.len(), WORDS_MAX)?]);
            for Word(text) in words {
                record::put_short(out, text.as_bytes());
            }
        }
        Value::Count(count) => {
            out.push(3);
            out.extend_from_slice(&count.to_be_bytes());
        }
        Value::Time(time) => {
            out.push(4);
            out.extend_from_slice(&time.to_be_bytes());
        }
        Value::Flag(flag) => out.extend_from_slice(&[5, u8::from(*flag)]),
        Value::Address(IpAddr::V4(address)) => {
            out.push(6);
            out.extend_from_slice(&address.octets());
        }
        Value::Address(IpAddr::V6(address)) => {
            out.push(7);
            out.extend_from_slice(&address.octets());
        }
        Value::Digest(digest) => {
            out.push(8);
            out.extend_from_slice(digest);
        }
        Value::Pseudonym(pseudonym) => {
            out.push(9);
            out.extend_from_slice(pseudonym);
        }
        Value::Sealed(octets) => {
            let len = u16::try_from(octets.len())
                .ok()
                .filter(|_| octets.len() <= SEALED_MAX)?;
            out.push(10);
            out.extend_from_slice(&len.to_be_bytes());
            out.extend_from_slice(octets);
        }
    }
    Some(())
}

/// An entry as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    /// Its number, from 1.
    pub sequence: u64,
    /// When it was entered, unix milliseconds.
    pub time_ms: u64,
    /// What was entered.
    pub entry: Entry,
}

impl Logged {
    /// Reads the octets of one entry; `None` where they are none of this version.
    pub(super) fn decode(mut octets: &[u8]) -> Option<Self> {
        let fields = &mut octets;
        if record::get_u8(fields).ok()? != VERSION {
            return None;
        }
        let sequence = record::get_u64(fields).ok()?;
        let time_ms = record::get_u64(fields).ok()?;
        let kind = Kind::of(record::get_u8(fields).ok()?)?;
        let actor = match record::get_u8(fields).ok()? {
            1 => Actor::System,
            2 => Actor::Operator(Some(record::get_u32(fields).ok()?)),
            3 => Actor::Account(SystemId::new(record::get_short(fields).ok()?).ok()?),
            4 => Actor::Carrier(word(fields)?),
            5 => Actor::Handset,
            6 => match value(fields)? {
                Value::Address(address) => Actor::Peer(address),
                _ => return None,
            },
            7 => Actor::Operator(None),
            8 => Actor::Token(word(fields)?),
            _ => return None,
        };
        let account = match record::get_short(fields).ok()? {
            [] => None,
            octets => Some(SystemId::new(octets).ok()?),
        };
        let subject = match flag(fields)? {
            true => Some(array(fields)?),
            false => None,
        };
        let source = match flag(fields)? {
            true => Some(Source(
                record::get_u64(fields).ok()?,
                record::get_u64(fields).ok()?,
            )),
            false => None,
        };
        let count = record::get_u8(fields).ok()?;
        let detail = |_| {
            let key = Field::of(record::get_u8(fields).ok()?)?;
            Some((key, value(fields)?))
        };
        let details = (0..count).map(detail).collect::<Option<Vec<_>>>()?;
        octets.is_empty().then_some(Self {
            sequence,
            time_ms,
            entry: Entry {
                kind,
                actor,
                account,
                subject,
                source,
                details,
            },
        })
    }
}

fn flag(fields: &mut &[u8]) -> Option<bool> {
    match record::get_u8(fields).ok()? {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

fn array<const N: usize>(fields: &mut &[u8]) -> Option<[u8; N]> {
    let (found, rest) = fields.split_first_chunk::<N>()?;
    *fields = rest;
    Some(*found)
}

fn word(fields: &mut &[u8]) -> Option<Word> {
    let text = std::str::from_utf8(record::get_short(fields).ok()?).ok()?;
    Some(Word(text.to_owned()))
}

fn value(fields: &mut &[u8]) -> Option<Value> {
    Some(match record::get_u8(fields).ok()? {
        1 => Value::Word(word(fields)?),
        2 => {
            let count = record::get_u8(fields).ok()?;
            Value::Words((0..count).map(|_| word(fields)).collect::<Option<_>>()?)
        }
        3 => Value::Count(record::get_u64(fields).ok()?),
        4 => Value::Time(record::get_u64(fields).ok()?),
        5 => Value::Flag(flag(fields)?),
        6 => Value::Address(IpAddr::from(array::<4>(fields)?)),
        7 => Value::Address(IpAddr::from(array::<16>(fields)?)),
        8 => Value::Digest(array(fields)?),
        9 => Value::Pseudonym(array(fields)?),
        10 => {
            let [high, low] = array(fields)?;
            let len = usize::from(u16::from_be_bytes([high, low]));
            let (octets, rest) = fields.split_at_checked(len)?;
            *fields = rest;
            Value::Sealed(octets.to_vec())
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn everything() -> Entry {
        let name = SystemId::new(b"shop").unwrap();
        let mut entry = Entry::new(Kind::OptOutAdded, Actor::Carrier(Word::of_name("north")))
            .of(Some(name))
            .with(Field::Verb, Value::Word(Word::new("optout add")))
            .with(
                Field::Keys,
                Value::Words(vec![Word::new("limits.rate"), Word::new("")]),
            )
            .with(Field::Count, Value::Count(u64::MAX))
            .with(Field::First, Value::Time(7))
            .with(Field::Clean, Value::Flag(true))
            .with(Field::Address, Value::Address("192.0.2.7".parse().unwrap()))
            .with(Field::Address, Value::Address("2001:db8::7".parse().unwrap()))
            .with(Field::Digest, Value::Digest([3; 32]))
            .with(Field::From, Value::Pseudonym([4; 16]))
            .with(Field::Sealed, Value::Sealed(vec![5; SEALED_MAX]));
        (entry.subject, entry.source) = (Some([9; 16]), Some(Source(3, 4)));
        entry
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        let account = SystemId::new(b"load").unwrap();
        let peer = Actor::Peer("2001:db8::1".parse().unwrap());
        for actor in [
            Actor::System,
            Actor::Operator(None),
            Actor::Operator(Some(1000)),
            Actor::Token(Word::of_name("grafana")),
            Actor::Account(account),
            Actor::Handset,
            peer,
            everything().actor,
        ] {
            let entry = Entry {
                actor,
                ..everything()
            };
            let mut octets = Vec::new();
            entry.encode(12, 34, &mut octets).unwrap();
            let logged = Logged::decode(&octets).unwrap();
            assert_eq!((logged.sequence, logged.time_ms, &logged.entry), (12, 34, &entry));
            for end in 0..octets.len() {
                assert_eq!(Logged::decode(&octets[..end]), None, "{end}");
            }
            octets.push(0);
            assert_eq!(Logged::decode(&octets), None);
        }
    }

    #[test]
    fn octets_and_words_are_of_one_member_each() {
        for kind in Kind::ALL {
            assert_eq!(Kind::of(kind.octet()), Some(*kind));
            let alike = Kind::ALL.iter().filter(|other| other.word() == kind.word());
            assert_eq!(alike.count(), 1, "{kind}");
        }
        for key in Field::ALL {
            assert_eq!(Field::of(key.octet()), Some(*key));
        }
        // What was written once means this for ever.
        assert_eq!((Kind::OlderTls.octet(), Field::Status.octet()), (29, 31));
    }

    #[test]
    fn a_word_holds_no_number_of_a_person() {
        for (text, expected) in [
            ("reload", "reload"),
            ("to +447700900123 and 447700900124!", "to +# and #!"),
            ("55555 123456", "#"),
            ("+44 (0) 7700 900 123 called", "+# called"),
            ("07700\u{a0}900\u{2011}123", "#"),
            ("0.1/7-00 9", "0.1/7-00 9"),
            ("077009x00123", "077009x00123"),
            ("12 34 5", "12 34 5"),
            ("tel:٠٧٧٠٠٩٠٠١٢٣.", "tel:#."),
            ("０７７００９００", "#"),
            ("123-4567 ", "# "),
            ("1234567", "#"),
            ("123456", "123456"),
            ("7\n7\t00-900123", "#"),
            ("a\nb\u{7}", "a b "),
        ] {
            assert_eq!(Word::new(text).as_str(), expected);
        }
        assert_eq!(
            Word::new(&"ä".repeat(100)).as_str().len(),
            WORD_MAX,
            "cut between characters"
        );
        assert_eq!(Word::of_name("acc447700900123").as_str(), "acc447700900123");
    }

    #[test]
    fn what_is_over_a_bound_is_not_written() {
        let mut octets = vec![1];
        let many = Entry {
            details: vec![(Field::Count, Value::Count(1)); DETAILS_MAX + 1],
            ..everything()
        };
        assert_eq!(many.encode(1, 1, &mut octets), None);
        let long = everything().with(Field::Sealed, Value::Sealed(vec![0; SEALED_MAX + 1]));
        assert_eq!(long.encode(1, 1, &mut octets), None);
        let words = Value::Words(vec![Word::of_name(&"x".repeat(WORD_MAX)); WORDS_MAX]);
        let heavy = Entry {
            details: vec![(Field::Keys, words); 3],
            ..everything()
        };
        assert_eq!(heavy.encode(1, 1, &mut octets), None);
        assert_eq!(octets, [1]);
    }
}
