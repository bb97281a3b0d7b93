//! When marketing may go to a recipient (QH-7): asked of the date at which a message wants to go, and again before it leaves.

use rand_core::Rng as _;
use tidegate_codec::address::AddressBuf;
use tidegate_codec::category::Category;
use tidegate_config::{Account, OutsideHours};
use tidegate_store::disk::Disk;
use tidegate_store::index::{Leg, LegId};

use super::AccountStanding;
use crate::admission::Admitted;
use crate::clock::Now;
use crate::gate::Gate;
use crate::hours::{Hints, Judgement};
use crate::refusal::Refusal;

/// Later than every end of a validity.
const NEVER: u64 = u64::MAX;

impl AccountStanding<'_> {
    /// When marketing may go to a recipient that may not at this unix time, in milliseconds; [`u64::MAX`] where that is not
    /// within two weeks. `None`: it may. What is no number is no subscriber's of any place, and no law's.
    pub(crate) fn shut_until(&self, recipient: &AddressBuf, at_ms: u64) -> Option<u64> {
        let number = self.addressing.number_of(recipient)?;
        match self.hours.judge(number.as_bytes(), &Hints::NONE, at_ms) {
            Judgement::Open { .. } => None,
            Judgement::Shut { opens_ms } => Some(opens_ms.unwrap_or(NEVER)),
        }
    }

    /// Puts what was let in off until its recipient's hours, by the date at which it wants to go. What has no hours before
    /// its end waits for that.
    ///
    /// # Errors
    ///
    /// [`Refusal::OutsideHours`]: the account wants to hear of it.
    pub(crate) fn keep_hours(&self, account: &Account, admitted: &mut Admitted) -> Result<(), Refusal> {
        if admitted.category != Category::Marketing || admitted.opted_out {
            return Ok(());
        }
        let Some(opens_ms) = self.shut_until(&admitted.destination, admitted.due_ms) else {
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

impl<D: Disk> Gate<D> {
    /// The same for what comes in now, with a date drawn from a while behind the opening.
    pub(crate) fn put_off(&mut self, account: usize, admitted: &mut Admitted) -> Result<(), Refusal> {
        let standing = self.standing.of_account(account, self.addressing_of(account));
        standing.keep_hours(&self.config.accounts[account], admitted)?;
        if admitted.deferred {
            admitted.due_ms = self.behind(admitted.due_ms, admitted.expires_ms);
        }
        Ok(())
    }

    /// When a leg's hours begin that is about to be handed over outside of them, and whose it is; `None`: it may go. A text
    /// of which a part has gone goes on.
    pub(crate) fn opens_later(&self, now: Now, leg: &Leg) -> Option<(usize, u64)> {
        if leg.envelope.category != Category::Marketing.octet() || self.has_begun(leg) {
            return None;
        }
        let account = self.account_named(leg.account)?;
        let standing = self.standing.of_account(account, self.addressing_of(account));
        let recipient = leg.envelope.addresses.destination();
        Some((account, standing.shut_until(&recipient, now.unix_ms)?))
    }

    /// Takes a leg out of line until its hours, or the end of its validity. A restart finds the date with the leg, and
    /// whatever stands in its way is asked again when it comes.
    pub(crate) fn defer(&mut self, now: Now, account: usize, leg: LegId, (opens_ms, expires_ms): (u64, u64)) {
        self.accounts[account].tally.deferred += 1;
        let due_ms = self.behind(opens_ms.min(expires_ms), expires_ms);
        // Nothing is handed over while the spool is broken, and nothing else refuses it.
        let _ = self.spool.retry(now.unix_ms, leg, due_ms, false, &mut self.rng);
    }

    /// A date drawn from so long behind an opening as the configuration says, and not after the end of the validity.
    fn behind(&mut self, opens_ms: u64, expires_ms: u64) -> u64 {
        let jitter = self.config.sending_hours.jitter.as_millis();
        let jitter = u64::try_from(jitter).unwrap_or(u64::MAX);
        let left = expires_ms.saturating_sub(opens_ms);
        match jitter.min(left) {
            0 => opens_ms,
            most => opens_ms + self.rng.next_u64() % most,
        }
    }
}
