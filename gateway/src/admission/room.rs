//! Room in the index: one account's backlog must not keep the others from submitting.

use tidegate_store::disk::Disk;
use tidegate_store::index::Index;

use crate::gate::{AccountState, Gate};
use crate::refusal::Refusal;

/// Whether so much is unfinished that accounts are held to even shares: three quarters of what fits.
fn is_crowded(index: &Index) -> bool {
    index.len() / 3 >= index.max() / 4
}

/// Places that each account may take where it is crowded: an even share among those that have some, and one that has
/// none yet. Who is alone may have them all.
fn even_share(index: &Index, accounts: &[AccountState]) -> usize {
    let may_submit = |state: &&AccountState| !state.removed || index.len_of(state.name) > 0;
    if accounts.iter().filter(may_submit).count() < 2 {
        return usize::MAX;
    }
    let present = accounts.iter().filter(|state| index.len_of(state.name) > 0);
    index.max() / (present.count() + 1)
}

impl<D: Disk> Gate<D> {
    /// Counts who shares the index, a few times a second.
    pub(crate) fn count_shares(&mut self) {
        let index = self.spool.index();
        if is_crowded(index) {
            self.even_share = even_share(index, &self.accounts);
        }
    }

    /// Whether an account may leave one more message unfinished, beyond what the spool says for all.
    pub(crate) fn has_room_for(&self, account: usize) -> Result<(), Refusal> {
        let index = self.spool.index();
        let has_share = |state: &AccountState| index.len_of(state.name) < self.even_share;
        if is_crowded(index) && !self.accounts.get(account).is_some_and(has_share) {
            return Err(Refusal::Full);
        }
        Ok(())
    }
}
