//! When marketing may go to a recipient (QH-7): asked of the date at which a message wants to go, and again before it leaves.

use std::hash::Hasher as _;

use siphasher::sip::SipHasher13;
use tidegate_codec::address::AddressBuf;
use tidegate_codec::category::Category;
use tidegate_config::{Account, OutsideHours};
use tidegate_store::disk::Disk;
use tidegate_store::index::LegId;
use tidegate_store::names::NameId;

use super::recipient::Recipient;
use super::{AccountStanding, Leaving};
use crate::admission::Admitted;
use crate::clock::Now;
use crate::gate::Gate;
use crate::hours::{Hints, Hours, Judgement};
use crate::number::E164;
use crate::refusal::Refusal;

/// Later than every end of a validity.
const NEVER: u64 = u64::MAX;

impl AccountStanding<'_> {
    /// When marketing may go to a recipient that may not at this unix time, in milliseconds; [`u64::MAX`] where that is not
    /// within two weeks. `None`: it may. What is no number is no subscriber's of any place, and no law's.
    pub(crate) fn shut_until(&self, recipient: &Recipient, at_ms: u64) -> Option<u64> {
        shut_until(self.hours, recipient.number()?, at_ms)
    }

    /// Puts what was let in off until its recipient's hours, by the date at which it wants to go. What has no hours before
    /// its end waits for that.
    ///
    /// # Errors
    ///
    /// [`Refusal::OutsideHours`]: the account wants to hear of it.
    pub(crate) fn keep_hours(
        &self,
        account: &Account,
        recipient: &Recipient,
        admitted: &mut Admitted,
    ) -> Result<(), Refusal> {
        if admitted.category != Category::Marketing || admitted.opted_out {
            return Ok(());
        }
        let Some(opens_ms) = self.shut_until(recipient, admitted.due_ms) else {
            return Ok(());
        };
        if account.outside_hours == OutsideHours::Reject {
            return Err(Refusal::OutsideHours);
        }
        admitted.due_ms = opens_ms.min(admitted.expires_ms);
        admitted.deferred = true;
        Ok(())
    }
}

fn shut_until(hours: &Hours, number: &E164, at_ms: u64) -> Option<u64> {
    match hours.judge(number.as_bytes(), &Hints::NONE, at_ms) {
        Judgement::Open { .. } => None,
        Judgement::Shut { opens_ms } => Some(opens_ms.unwrap_or(NEVER)),
    }
}

impl<D: Disk> Gate<D> {
    /// The same for what comes in now, with a date a while behind the opening.
    pub(crate) fn put_off(
        &mut self,
        account: usize,
        recipient: &Recipient,
        admitted: &mut Admitted,
    ) -> Result<(), Refusal> {
        let standing = self.standing.of_account(account, self.addressing_of(account));
        standing.keep_hours(&self.config.accounts[account], recipient, admitted)?;
        if admitted.deferred {
            let name = self.accounts[account].name;
            let (opens_ms, expires_ms) = (admitted.due_ms, admitted.expires_ms);
            admitted.due_ms = self.behind(name, &admitted.destination, opens_ms, expires_ms);
        }
        Ok(())
    }

    /// When a leg's hours begin that is about to be handed over outside of them, and whose it is; `None`: it may go. A text
    /// of which a part has gone goes on.
    pub(crate) fn opens_later(&self, now: Now, leaving: &Leaving<'_>) -> Option<u64> {
        let (leg, recipient) = (leaving.leg, &leaving.recipient);
        if leg.envelope.category != Category::Marketing.octet() || self.has_begun(leg) {
            return None;
        }
        match leaving.account {
            Some(account) => self
                .standing
                .of_account(account, self.addressing_of(account))
                .shut_until(recipient, now.unix_ms),
            // The configuration no longer has its account; the person's night is the same.
            None => shut_until(&self.standing.hours, recipient.subscriber()?, now.unix_ms),
        }
    }

    /// Takes a leg out of line until its hours, or the end of its validity. A restart finds the date with the leg, and
    /// whatever stands in its way is asked again when it comes.
    pub(crate) fn defer(&mut self, now: Now, leg: LegId, opens_ms: u64) {
        let Some(found) = self.spool.index().get(leg) else {
            return;
        };
        let (account, expires_ms) = (found.account, found.envelope.expires_ms);
        let to = found.envelope.addresses.destination();
        if let Some(account) = self.account_named(account) {
            self.accounts[account].tally.deferred += 1;
        }
        let due_ms = self.behind(account, &to, opens_ms.min(expires_ms), expires_ms);
        // Nothing is handed over while the spool is broken, and nothing else refuses it.
        let _ = self.spool.retry(now.unix_ms, leg, due_ms, false, &mut self.rng);
    }

    /// A date so long behind an opening as the configuration says at most, and not after the end of the validity. The same
    /// for all messages of an account to a person: they stay in their order, and the parts of a text together.
    fn behind(&self, account: NameId, to: &AddressBuf, opens_ms: u64, expires_ms: u64) -> u64 {
        let jitter = self.config.sending_hours.jitter.as_millis();
        let jitter = u64::try_from(jitter).unwrap_or(u64::MAX);
        if jitter == 0 {
            return opens_ms;
        }
        let mut hash = SipHasher13::new();
        hash.write(self.spool.names().name(account).as_bytes());
        hash.write_u8(0);
        hash.write(to.as_bytes());
        let left = expires_ms.saturating_sub(opens_ms);
        opens_ms + (hash.finish() % jitter).min(left)
    }
}
