//! A submission with `replace_if_present_flag`: it takes the place of what waits between the same two addresses.

use smallvec::SmallVec;
use tidegate_codec::values::MessageState;
use tidegate_store::addresses::Addresses;
use tidegate_store::disk::Disk;
use tidegate_store::index::LegId;

use crate::admission::{Admitted, Submission};
use crate::clock::Now;
use crate::dlr::ReceiptNote;
use crate::gate::Gate;
use crate::refusal::Refusal;

/// Messages between two numbers that one submission looks at; where more wait it is refused. Four times the parts that
/// the longest message can have, and a tenth of a millisecond.
const LOOK_MAX: usize = 1_024;

/// Legs whose place a submission takes.
pub(crate) type Replaced = SmallVec<[LegId; 2]>;

impl<D: Disk> Gate<D> {
    /// What a submission with the flag stands for: every message of the account with the same source, destination
    /// (TON, NPI and digits each) and service_type that waits and that no carrier has or is getting. None is a plain
    /// submission.
    ///
    /// All of them, not the newest only. The fields of submit_sm (smpp-pdus.md §4.2) give a message no other name to be
    /// replaced by than these three, and no order among those that bear it: what stayed behind would tell the recipient
    /// what the client has just said is out of date. A long message is several of the same name, too.
    ///
    /// What came in the same turn is not on disk yet, and is not replaced; the next one with the flag replaces both.
    pub(super) fn replaced_by(
        &mut self,
        account: usize,
        submission: &Submission<'_>,
        admitted: &Admitted,
    ) -> Result<Replaced, Refusal> {
        self.spool.pair_up();
        let name = self.accounts[account].name;
        let addresses = Addresses::new(&admitted.source, &admitted.destination);
        let mut replaced: SmallVec<[_; 2]> = SmallVec::new();
        for (looked, (id, leg)) in self.spool.index().between(name, &addresses).enumerate() {
            if looked >= LOOK_MAX {
                return Err(Refusal::ReplacesTooMany);
            }
            // Of a message in parts some may have left already.
            let is_whole = leg.part().is_none();
            if is_whole
                && leg.envelope.addresses == addresses
                && leg.envelope.service_type == submission.service_type
            {
                replaced.push((leg.message, leg.leg, id));
            }
        }
        // Their DLRs follow in the order in which they came.
        replaced.sort_unstable();
        Ok(replaced.into_iter().map(|(_, _, leg)| leg).collect())
    }

    /// Ends what a submission stands for, in the batch in which that one was just staged.
    pub(super) fn end_replaced(&mut self, now: Now, replaced: Replaced) {
        for leg in replaced {
            self.end_quietly(now, leg, &ReceiptNote::new(MessageState::Deleted));
        }
    }
}
