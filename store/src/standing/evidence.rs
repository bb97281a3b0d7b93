//! Evidence: how a change came about, and what else is kept of that, of which all is private (CON-1, OPT-13).

use std::fmt;

use crate::record::{self, RecordError};

/// How a change came about: a message, a command, a file (OPT-13, CON-1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Via {
    /// A message from the handset.
    Message = 1,
    /// A receipt of a carrier.
    Receipt = 2,
    /// An operator's or account's command.
    Command = 3,
    /// A file that was imported.
    File = 4,
    /// The configuration.
    Configuration = 5,
    /// A message of an account that was handed over.
    HandOver = 6,
}

impl Via {
    #[inline]
    pub(super) const fn from_octet(octet: u8) -> Option<Self> {
        Some(match octet {
            1 => Self::Message,
            2 => Self::Receipt,
            3 => Self::Command,
            4 => Self::File,
            5 => Self::Configuration,
            6 => Self::HandOver,
            _ => return None,
        })
    }

    /// For people.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Receipt => "receipt",
            Self::Command => "command",
            Self::File => "file",
            Self::Configuration => "configuration",
            Self::HandOver => "hand-over",
        }
    }
}

/// What else is kept of how a change came about (CON-1, CON-6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Fact {
    /// How it was given: web, keyword, paper, voice, import.
    Method = 1,
    /// The disclosure that the person read: its text, or its versioned id.
    Disclosure = 2,
    /// Who recorded it.
    RecordedBy = 3,
    /// As of when it is known to hold.
    ValidAsOf = 4,
    /// When it was given, with its offset, as it was told.
    GivenAt = 5,
    /// The batch of an import.
    Batch = 6,
    /// A keyed hash of the file.
    File = 7,
    /// The sender or pool that it names.
    Sender = 8,
}

impl Fact {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Method,
        Self::Disclosure,
        Self::RecordedBy,
        Self::ValidAsOf,
        Self::GivenAt,
        Self::Batch,
        Self::File,
        Self::Sender,
    ];

    fn from_octet(octet: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|fact| *fact as u8 == octet)
    }

    /// For programs, and in files.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::Disclosure => "disclosure",
            Self::RecordedBy => "recorded_by",
            Self::ValidAsOf => "valid_as_of",
            Self::GivenAt => "time",
            Self::Batch => "batch",
            Self::File => "file",
            Self::Sender => "sender",
        }
    }
}

/// What may be read only while an account may see it: shows its lengths.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Private {
    /// E.164 digits; empty where they are not known or not to be kept. At most 255 octets, like the others.
    pub number: Vec<u8>,
    /// Where it comes from: a URL, a form's or batch's id, a reference to evidence.
    pub source: Vec<u8>,
    /// The person's network address, as it was given.
    pub address: Vec<u8>,
    /// What else is kept; each at most once, at most 255 octets.
    pub facts: Vec<(Fact, Vec<u8>)>,
}

impl Private {
    /// Just a number.
    pub fn number(digits: &[u8]) -> Self {
        Self {
            number: digits.to_vec(),
            ..Self::default()
        }
    }

    #[inline]
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        for field in [&self.number, &self.source, &self.address] {
            record::put_short(out, field.get(..255).unwrap_or(field));
        }
        let facts = self.facts.get(..Fact::ALL.len()).unwrap_or(&self.facts);
        out.push(u8::try_from(facts.len()).unwrap_or_default());
        for (fact, text) in facts {
            out.push(*fact as u8);
            record::put_short(out, text.get(..255).unwrap_or(text));
        }
    }

    #[inline]
    pub(crate) fn get(fields: &mut &[u8]) -> Result<Self, RecordError> {
        Ok(Self {
            number: record::get_short(fields)?.to_vec(),
            source: record::get_short(fields)?.to_vec(),
            address: record::get_short(fields)?.to_vec(),
            facts: (0..record::get_u8(fields)?)
                .map(|_| {
                    let fact = Fact::from_octet(record::get_u8(fields)?).ok_or(RecordError::Malformed)?;
                    Ok::<_, RecordError>((fact, record::get_short(fields)?.to_vec()))
                })
                .collect::<Result<_, _>>()?,
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.number.is_empty() && self.source.is_empty() && self.address.is_empty() && self.facts.is_empty()
    }
}

impl fmt::Debug for Private {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lens = (
            self.number.len(),
            self.source.len(),
            self.address.len(),
            self.facts.len(),
        );
        write!(f, "Private{lens:?}")
    }
}
