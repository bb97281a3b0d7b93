//! How many messages of an account a person gets in a while (CAP-1): by the account's own caps, and by the law's of where
//! the person is. Counted when a message is handed over, once whatever parts and tries it has; asked of what was handed over
//! when a message comes in, and again before it leaves.
//!
//! Only what some cap is about is counted at all.

use std::hash::Hasher as _;

use siphasher::sip::SipHasher13;
use smallvec::SmallVec;
use tidegate_codec::address::AddressBuf;
use tidegate_codec::category::Category;
use tidegate_codec::identity::SystemId;
use tidegate_codec::pdu::message::{DataSm, Sm};
use tidegate_codec::text::Reference;
use tidegate_config::OverCap;
use tidegate_store::disk::Disk;
use tidegate_store::index::Leg;
use tidegate_store::pseudonym::Pseudonym;
use tidegate_store::record::Form;
use tidegate_store::standing::{Change, Counts, Private, Via, What};

use super::Leaving;
use super::recipient::Recipient;
use crate::admission::{Admitted, Submission, part_of_data_sm, part_of_sm};
use crate::clock::Now;
use crate::gate::Gate;
use crate::hours::Hints;
use crate::refusal::Refusal;

/// So long after its first, a part with the same reference is of the same text; a reference comes again some time.
const PARTS_MS: u64 = 10 * 60 * 1000;
/// So long a message waits where nobody can say how many its recipient has had.
const UNKNOWN_MS: u64 = 60 * 1000;
/// In the place of a message's id: it is the number of a text that an ESME has cut. Ids have 63 bits.
const CUT: u64 = 1 << 63;

/// A message that will have been handed over. It prints nothing of its person.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted {
    account: SystemId,
    who: Pseudonym,
    subject: u64,
    message: u64,
    counts: Counts,
}

/// What the caps say to a message.
enum Cap {
    /// None is about it, or it is counted already.
    Free,
    /// It may go, and is to be counted.
    Under(Counted),
    /// Not before this unix time in milliseconds.
    Over(u64),
    /// More messages are to be counted than memory is given to.
    Unknown,
}

/// What the caps say to a leg that is about to be handed over.
pub(crate) enum Capped {
    /// It may go; with what is to be counted then.
    May(Option<Counted>),
    /// Not before this unix time in milliseconds.
    Later(u64),
    /// Not at all, says this account.
    Never(usize),
}

impl<D: Disk> Gate<D> {
    /// Whether a message may come in: at the date at which it wants to go, which may be put off.
    ///
    /// # Errors
    ///
    /// [`Refusal::OverCap`], and [`Refusal::Full`] where nobody can say (GEN-1).
    pub(crate) fn keep_caps(
        &self,
        account: usize,
        submission: &Submission<'_>,
        to: &Recipient,
        admitted: &mut Admitted,
    ) -> Result<(), Refusal> {
        let limits = self.limits_of(account, Some(admitted.category), to);
        if limits.is_empty() {
            return Ok(());
        }
        let cut = submission
            .part_of
            .map(|place| cut(&admitted.source, place.reference()));
        let message = (cut.unwrap_or(0), admitted.due_ms.saturating_sub(PARTS_MS));
        match self.cap(account, admitted.category, &limits, to, message, admitted.due_ms) {
            Cap::Free | Cap::Under(_) => Ok(()),
            Cap::Over(until_ms) if self.defers_over_cap(account) => {
                admitted.due_ms = until_ms.min(admitted.expires_ms);
                admitted.deferred = true;
                Ok(())
            }
            Cap::Over(_) => Err(Refusal::OverCap),
            Cap::Unknown => Err(Refusal::Full),
        }
    }

    /// Whether a leg may leave, its body at hand.
    pub(crate) fn capped(&self, now: Now, leaving: &Leaving<'_>, body: &[u8]) -> Capped {
        let leg = leaving.leg;
        let Some(category) = Category::from_octet(leg.envelope.category) else {
            return Capped::May(None);
        };
        let Some(account) = leaving.account else {
            return Capped::May(None);
        };
        if category != Category::Marketing && self.config.accounts[account].caps.of(category).is_none() {
            return Capped::May(None);
        }
        let recipient = &leaving.recipient;
        let limits = self.limits_of(account, Some(category), recipient);
        if limits.is_empty() {
            return Capped::May(None);
        }
        // What was cut here is one message, however long its parts are on their way; what its ESME has cut is known by its
        // reference, from a while before this part came.
        let cut = if leg.part().is_some() {
            None
        } else {
            cut_of(leg, body)
        };
        let message = match cut {
            Some(cut) => (cut, leg.envelope.accepted_ms.saturating_sub(PARTS_MS)),
            None => (leg.message.0, 0),
        };
        match self.cap(account, category, &limits, recipient, message, now.unix_ms) {
            Cap::Free => Capped::May(None),
            Cap::Under(counted) => Capped::May(Some(counted)),
            Cap::Over(until_ms) if self.defers_over_cap(account) => Capped::Later(until_ms),
            Cap::Over(_) => Capped::Never(account),
            Cap::Unknown => Capped::Later(now.unix_ms.saturating_add(UNKNOWN_MS)),
        }
    }

    /// A message is on its way to a carrier. A kill may forget those of its last moments, which were not on disk yet.
    pub(crate) fn count_sent(&mut self, now: Now, counted: &Counted) {
        let change = Change {
            who: counted.who,
            at_ms: now.unix_ms,
            event: 0,
            via: Via::HandOver,
            what: What::Sent {
                subject: counted.subject,
                message: counted.message,
                counts: counted.counts,
            },
            private: Private::default(),
        };
        // Nothing is handed over while the spool is broken, and nothing else refuses it.
        let _ = self
            .spool
            .count_sent(now.unix_ms, counted.account, change, &mut self.rng);
    }

    fn defers_over_cap(&self, account: usize) -> bool {
        self.config.accounts[account].caps.over_cap == OverCap::Defer
    }

    /// What may be handed over to a recipient, and in which time.
    fn limits_of(
        &self,
        account: usize,
        category: Option<Category>,
        recipient: &Recipient,
    ) -> SmallVec<[(usize, Counts); 3]> {
        let mut limits = SmallVec::new();
        let Some(category) = category else { return limits };
        if let Some(cap) = self.config.accounts[account].caps.of(category) {
            limits.extend(cap.per_day.map(|most| (usize::from(most.get()), Counts::Day)));
            limits.extend(cap.per_week.map(|most| (usize::from(most.get()), Counts::Week)));
        }
        if category == Category::Marketing
            && let Some(number) = recipient.number()
            && let Some(most) = self.standing.hours.frequency_cap(number.as_bytes(), &Hints::NONE)
        {
            limits.push((usize::from(most.get()), Counts::Day));
        }
        limits
    }

    /// `message` says which one it is, 0 that it is a new one; and since when it may have been counted.
    fn cap(
        &self,
        account: usize,
        category: Category,
        limits: &[(usize, Counts)],
        recipient: &Recipient,
        (message, since_ms): (u64, u64),
        at_ms: u64,
    ) -> Cap {
        let config = &self.config.accounts[account];
        let sent = self.spool.standing().sent();
        let who = sent.who(&recipient.person(), at_ms);
        let subject = hash(&[config.system_id.as_bytes(), &[category.octet()]]);
        if message != 0 && sent.has(&who, subject, message, since_ms) {
            return Cap::Free;
        }
        if sent.is_full() {
            return Cap::Unknown;
        }
        let over = limits.iter().filter_map(|(most, counts)| {
            let first_ms = sent.nth_latest(&who, subject, *most)?;
            Some(first_ms.saturating_add(counts.window_ms())).filter(|end_ms| *end_ms > at_ms)
        });
        if let Some(until_ms) = over.max() {
            return Cap::Over(until_ms);
        }
        let is_weekly = limits.iter().any(|(_, counts)| *counts == Counts::Week);
        Cap::Under(Counted {
            account: config.system_id,
            who: who.now,
            subject,
            message,
            counts: if is_weekly { Counts::Week } else { Counts::Day },
        })
    }
}

/// The number of a text that an ESME has cut itself, if the leg is a part of one.
fn cut_of(leg: &Leg, body: &[u8]) -> Option<u64> {
    let part_of = match leg.envelope.form {
        Form::Sm => part_of_sm(&Sm::decode(body).ok()?),
        Form::DataSm => part_of_data_sm(&DataSm::decode(body).ok()?),
    };
    part_of.map(|place| cut(&leg.envelope.addresses.source(), place.reference()))
}

fn cut(source: &AddressBuf, reference: Reference) -> u64 {
    let (kind, number) = match reference {
        Reference::Udh8(number) => (0, u16::from(number)),
        Reference::Udh16(number) => (1, number),
        Reference::Sar(number) => (2, number),
    };
    CUT | hash(&[source.as_bytes(), &[kind], &number.to_be_bytes()])
}

/// The same in every process: it goes to disk.
fn hash(parts: &[&[u8]]) -> u64 {
    let mut hash = SipHasher13::new();
    for part in parts {
        hash.write_u64(part.len() as u64);
        hash.write(part);
    }
    hash.finish()
}
