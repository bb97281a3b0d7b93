//! One change of what is remembered of a person, and its octets.
//!
//! ```text
//! kind u8 │ who × 16 │ at u64 │ event u64 │ via u8 │ fields of the kind      ◄ public: pseudonyms and names only
//! kind + 64 │ generation u8 │ who × 16 │ …                                  ◄ the same, of a later generation's pseudonym
//! n u8 │ number │ n u8 │ source │ n u8 │ address                              ◄ private: sealed wherever it lies
//! n u8 │ n × (fact u8, n u8 │ text)
//! ```
//!
//! The spool seals both; the journal holds the public part as it is and the private one under a key of the account, which
//! goes when the account may see it no more (PSN-3): see [`Private`].

use crate::pseudonym::{FIRST, Pseudonym};
use crate::record::{self, RecordError};

use super::{Counts, Private, Scope, Via};

/// In the kind of a change: a generation stands behind it.
const LATER: u8 = 0x40;

/// Who made an entry; the first is the strongest (OPT-24).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Origin {
    /// The person: by a message, a form, a call.
    Recipient = 1,
    /// A carrier or a regulator.
    Carrier = 2,
    /// The account, of itself.
    Account = 4,
    /// A list that the account brought along.
    Import = 8,
}

impl Origin {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Recipient, Self::Carrier, Self::Account, Self::Import];

    const fn from_octet(octet: u8) -> Option<Self> {
        Some(match octet {
            1 => Self::Recipient,
            2 => Self::Carrier,
            4 => Self::Account,
            8 => Self::Import,
            _ => return None,
        })
    }

    /// For people, and in files.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Recipient => "recipient",
            Self::Carrier => "carrier",
            Self::Account => "account",
            Self::Import => "import",
        }
    }
}

/// Some of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origins(u8);

impl Origins {
    /// Every one.
    pub const ALL: Self = Self(15);

    /// Just one.
    pub const fn of(origin: Origin) -> Self {
        Self(origin as u8)
    }

    pub(crate) const fn octet(self) -> u8 {
        self.0
    }

    pub(crate) const fn from_octet(octet: u8) -> Self {
        Self(octet & Self::ALL.0)
    }

    /// Whether none is among them.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether all of `other` are among them.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// With those of `other`.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Without those of `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Each, the strongest first.
    pub fn iter(self) -> impl Iterator<Item = Origin> {
        Origin::ALL
            .into_iter()
            .filter(move |origin| self.contains(Self::of(*origin)))
    }
}

/// What became of a consent (CON-2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Grant {
    /// Given.
    Given = 1,
    /// Given once more.
    Renewed = 2,
    /// Taken back; that it was given stays on record.
    Withdrawn = 3,
}

impl Grant {
    const fn from_octet(octet: u8) -> Option<Self> {
        Some(match octet {
            1 => Self::Given,
            2 => Self::Renewed,
            3 => Self::Withdrawn,
            _ => return None,
        })
    }

    /// For people, and in files.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Given => "given",
            Self::Renewed => "renewed",
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// What changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The person gets nothing there any more.
    Suppress {
        /// Where.
        scope: Scope,
        /// By whom.
        origin: Origin,
        /// Of which categories, a bit each; 0 is all.
        categories: u8,
    },
    /// What these said there counts no more.
    Lift {
        /// Where.
        scope: Scope,
        /// Whose.
        origins: Origins,
    },
    /// Consent.
    Consent {
        /// What became of it.
        grant: Grant,
        /// To whom: an account or a brand (CON-3).
        scope: Scope,
        /// To which categories, a bit each; 0 is all.
        categories: u8,
    },
    /// A reply of ourselves was sent to the person.
    Replied {
        /// A hash of the sender under which it went.
        sender: u64,
        /// The scope of which it confirmed an opt-out.
        confirmed: Option<Scope>,
    },
    /// The person was asked whether messages are wanted (CON-5): who says yes in time consents.
    Asked {
        /// A hash of the pseudonym of the sender under which the question went.
        sender: u64,
        /// Who asked: an account.
        asker: Scope,
        /// To whom a yes consents: it, or its brand.
        scope: Scope,
        /// To which categories, a bit each; 0 is all.
        categories: u8,
    },
    /// A message was handed over that counts for a while. Its person goes by a pseudonym of the rotating kind, and the files
    /// of such changes go when they count no more.
    Sent {
        /// A hash of what is counted together.
        subject: u64,
        /// What its parts and its tries have in common.
        message: u64,
        /// For how long it counts.
        counts: Counts,
    },
    /// One scope lies in another from now on, and counts as lying there for ever. Of no person.
    Member {
        /// The narrower.
        child: Scope,
        /// The wider.
        parent: Scope,
    },
    /// The same number goes by another pseudonym from now on, of a newer generation (PSN-4): whatever stands under the one
    /// stands under the other, of the person and of a sender of that name.
    Renamed {
        /// By which.
        to: Pseudonym,
    },
    /// A generation's secret is needed by nothing any more. Of no person.
    Retired {
        /// Which.
        generation: u8,
        /// What files that were written while it was the newest say of it ([`crate::pseudonym::Secret::check`]).
        check: [u8; 32],
    },
}

impl What {
    const fn octet(&self) -> u8 {
        match self {
            Self::Suppress { .. } => 1,
            Self::Lift { .. } => 2,
            Self::Consent { .. } => 3,
            Self::Replied { .. } => 4,
            Self::Member { .. } => 5,
            Self::Sent { .. } => 6,
            Self::Asked { .. } => 7,
            Self::Renamed { .. } => 8,
            Self::Retired { .. } => 9,
        }
    }
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Of whom; nobody's for [`What::Member`].
    pub who: Pseudonym,
    /// When, in unix milliseconds.
    pub at_ms: u64,
    /// The number of the handset's message that says so, 0 without one: a repeated one changes nothing (OPT-17).
    pub event: u64,
    /// How it came about.
    pub via: Via,
    /// What changes.
    pub what: What,
    /// What may be read only while an account may see it.
    pub private: Private,
}

impl Change {
    pub(crate) const fn event(&self) -> u64 {
        self.event
    }

    /// Whether it counts for a while only.
    pub(crate) const fn is_passing(&self) -> bool {
        matches!(self.what, What::Sent { .. })
    }

    /// Whether it says something of somebody who is known by a pseudonym of the lasting kind.
    pub(crate) const fn is_of_somebody(&self) -> bool {
        !matches!(
            self.what,
            What::Sent { .. } | What::Member { .. } | What::Renamed { .. } | What::Retired { .. }
        )
    }

    /// Whether somebody may get less by it than before.
    pub(crate) const fn can_block(&self) -> bool {
        match &self.what {
            What::Suppress { .. } | What::Member { .. } => true,
            What::Consent { grant, .. } => matches!(grant, Grant::Withdrawn),
            What::Lift { .. }
            | What::Replied { .. }
            | What::Asked { .. }
            | What::Sent { .. }
            | What::Renamed { .. }
            | What::Retired { .. } => false,
        }
    }

    /// The public part.
    pub(crate) fn put_public(&self, out: &mut Vec<u8>) {
        match self.who.generation() {
            FIRST => out.push(self.what.octet()),
            generation => out.extend_from_slice(&[self.what.octet() | LATER, generation]),
        }
        out.extend_from_slice(self.who.octets());
        out.extend_from_slice(&self.at_ms.to_be_bytes());
        out.extend_from_slice(&self.event.to_be_bytes());
        out.push(self.via as u8);
        match &self.what {
            What::Suppress {
                scope,
                origin,
                categories,
            } => {
                scope.put(out);
                out.extend_from_slice(&[*origin as u8, *categories]);
            }
            What::Lift { scope, origins } => {
                scope.put(out);
                out.push(origins.octet());
            }
            What::Consent {
                grant,
                scope,
                categories,
            } => {
                scope.put(out);
                out.extend_from_slice(&[*grant as u8, *categories]);
            }
            What::Replied { sender, confirmed } => {
                out.extend_from_slice(&sender.to_be_bytes());
                out.push(u8::from(confirmed.is_some()));
                confirmed.iter().for_each(|scope| scope.put(out));
            }
            What::Asked {
                sender,
                asker,
                scope,
                categories,
            } => {
                out.extend_from_slice(&sender.to_be_bytes());
                asker.put(out);
                scope.put(out);
                out.push(*categories);
            }
            What::Sent {
                subject,
                message,
                counts,
            } => {
                out.extend_from_slice(&subject.to_be_bytes());
                out.extend_from_slice(&message.to_be_bytes());
                out.push(*counts as u8);
            }
            What::Member { child, parent } => {
                child.put(out);
                parent.put(out);
            }
            What::Renamed { to } => {
                out.push(to.generation());
                out.extend_from_slice(to.octets());
            }
            What::Retired { generation, check } => {
                out.push(*generation);
                out.extend_from_slice(check);
            }
        }
    }

    #[inline]
    pub(crate) fn get_public(fields: &mut &[u8]) -> Result<Self, RecordError> {
        let kind = record::get_u8(fields)?;
        let generation = match kind & LATER {
            0 => FIRST,
            _ => record::get_u8(fields)?,
        };
        let kind = kind & !LATER;
        let who = Pseudonym::of_generation(record::get_array(fields)?, generation);
        let at_ms = record::get_u64(fields)?;
        let event = record::get_u64(fields)?;
        let via = Via::from_octet(record::get_u8(fields)?).ok_or(RecordError::Malformed)?;
        let what = match kind {
            1 => What::Suppress {
                scope: Scope::get(fields)?,
                origin: Origin::from_octet(record::get_u8(fields)?).ok_or(RecordError::Malformed)?,
                categories: record::get_u8(fields)?,
            },
            2 => What::Lift {
                scope: Scope::get(fields)?,
                origins: Origins::from_octet(record::get_u8(fields)?),
            },
            3 => {
                let scope = Scope::get(fields)?;
                What::Consent {
                    grant: Grant::from_octet(record::get_u8(fields)?).ok_or(RecordError::Malformed)?,
                    scope,
                    categories: record::get_u8(fields)?,
                }
            }
            4 => What::Replied {
                sender: record::get_u64(fields)?,
                confirmed: match record::get_u8(fields)? {
                    0 => None,
                    1 => Some(Scope::get(fields)?),
                    _ => return Err(RecordError::Malformed),
                },
            },
            5 => What::Member {
                child: Scope::get(fields)?,
                parent: Scope::get(fields)?,
            },
            6 => What::Sent {
                subject: record::get_u64(fields)?,
                message: record::get_u64(fields)?,
                counts: Counts::from_octet(record::get_u8(fields)?).ok_or(RecordError::Malformed)?,
            },
            7 => What::Asked {
                sender: record::get_u64(fields)?,
                asker: Scope::get(fields)?,
                scope: Scope::get(fields)?,
                categories: record::get_u8(fields)?,
            },
            8 => {
                let generation = record::get_u8(fields)?;
                let to = Pseudonym::of_generation(record::get_array(fields)?, generation);
                What::Renamed { to }
            }
            9 => What::Retired {
                generation: record::get_u8(fields)?,
                check: record::get_array(fields)?,
            },
            _ => return Err(RecordError::Malformed),
        };
        Ok(Self {
            who,
            at_ms,
            event,
            via,
            what,
            private: Private::default(),
        })
    }

    /// Both parts, for the spool.
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        self.put_public(out);
        self.private.put(out);
    }

    pub(crate) fn get(fields: &mut &[u8]) -> Result<Self, RecordError> {
        let mut change = Self::get_public(fields)?;
        change.private = Private::get(fields)?;
        if fields.is_empty() {
            Ok(change)
        } else {
            Err(RecordError::Malformed)
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::standing::Fact;

    pub(crate) fn changes() -> Vec<Change> {
        let pool = Scope::pool("A", "short codes");
        let whats = [
            What::Suppress {
                scope: Scope::account("A"),
                origin: Origin::Recipient,
                categories: 3,
            },
            What::Suppress {
                scope: Scope::global(),
                origin: Origin::Carrier,
                categories: 0,
            },
            What::Lift {
                scope: Scope::sender(b"55555"),
                origins: Origins::ALL,
            },
            What::Consent {
                grant: Grant::Withdrawn,
                scope: Scope::brand("shoes"),
                categories: 1,
            },
            What::Replied {
                sender: 7,
                confirmed: Some(pool.clone()),
            },
            What::Replied {
                sender: 8,
                confirmed: None,
            },
            What::Asked {
                sender: 11,
                asker: Scope::account("A"),
                scope: Scope::brand("shoes"),
                categories: 1,
            },
            What::Sent {
                subject: 9,
                message: 10,
                counts: Counts::Week,
            },
            What::Member {
                child: Scope::sender(b"55555"),
                parent: pool,
            },
            What::Renamed {
                to: Pseudonym::of_generation([12; 16], 3),
            },
            What::Retired {
                generation: 2,
                check: [13; 32],
            },
        ];
        let of = |(n, what): (u8, What)| Change {
            // Of every second one of a later generation.
            who: Pseudonym::of_generation([n; 16], 1 + n % 2),
            at_ms: 1_800_000_000_000 + u64::from(n),
            event: u64::from(n),
            via: Via::Message,
            what,
            private: Private {
                number: b"15550100123".to_vec(),
                source: b"https://example.com/stop".to_vec(),
                address: b"192.0.2.7".to_vec(),
                facts: vec![(Fact::Method, b"web".to_vec()), (Fact::Sender, b"55555".to_vec())],
            },
        };
        (0..).zip(whats).map(of).collect()
    }

    /// The generation of a new name, which no comparison of names tells.
    fn said_of(what: &What) -> Option<u8> {
        match what {
            What::Renamed { to } => Some(to.generation()),
            _ => None,
        }
    }

    #[test]
    fn every_change_comes_back_and_cut_short_it_is_an_error() {
        for change in changes() {
            let mut octets = Vec::new();
            change.put(&mut octets);
            let read = Change::get(&mut &octets[..]);
            assert_eq!(read.as_ref(), Ok(&change));
            let generations = read.map(|read| (read.who.generation(), said_of(&read.what)));
            assert_eq!(generations, Ok((change.who.generation(), said_of(&change.what))));
            for n in 0..octets.len() {
                assert!(Change::get(&mut &octets[..n]).is_err(), "{change:?} {n}");
            }
            octets.push(0);
            assert!(Change::get(&mut &octets[..]).is_err(), "octets behind it");
            assert!(!format!("{change:?}").contains("15550100123"));
        }
    }
}
