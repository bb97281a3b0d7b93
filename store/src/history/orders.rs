//! What others ask of history while the keeper has it: each an order, answered with a report.

use std::io;

use super::{Cells, Cursor, History, Kept, Looked, Lot, PeriodKey, Query, Stats};
use crate::disk::Disk;
use crate::keyring::{Destroyed, KeyRing, KeyRingError};
use crate::seal::{KeyId, Purpose};
use crate::tree::TreeError;

/// See the [module](self).
#[derive(Clone, Debug)]
pub enum Order {
    /// Looks for what is kept, a slice at a time.
    Look {
        /// What for.
        query: Query,
        /// Of which class.
        class: Kept,
        /// Where to go on.
        cursor: Cursor,
        /// Why records are opened (GEN-3).
        purpose: Purpose,
    },
    /// Names all files.
    Periods,
    /// Names the lots of a file.
    Lots(PeriodKey),
    /// Enters in the statistics what a lot adds up to, if its key is there.
    AddUp(PeriodKey, Box<Lot>),
    /// Destroys keys.
    Destroy(Vec<KeyId>),
    /// Removes a file whose keys are destroyed.
    Remove(PeriodKey),
    /// Tells the statistics.
    Stats,
}

/// What became of an [`Order`].
#[derive(Debug)]
pub enum Report {
    /// What a slice has found.
    Looked(Looked),
    /// The files that there are.
    Periods(Vec<PeriodKey>),
    /// The lots of a file.
    Lots(Vec<Lot>),
    /// It is entered: how many messages.
    AddedUp(u64),
    /// What is left of keys that were there.
    Destroyed(Vec<Destroyed>),
    /// It is gone: octets that it took.
    Removed(u64),
    /// By account.
    Stats(Vec<(tidegate_codec::identity::SystemId, Cells)>),
}

/// Why an order was not done. Nothing of it counts, and it may be given again.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// A file.
    #[error("history: {0}")]
    Io(#[from] io::Error),
    /// An index.
    #[error("history: {0}")]
    Tree(#[from] TreeError),
    /// The key ring.
    #[error(transparent)]
    Ring(#[from] KeyRingError),
    /// The statistics.
    #[error(transparent)]
    Stats(#[from] super::StatsError),
}

impl<D: Disk> History<D> {
    /// Does what is asked. Blocks.
    pub(crate) fn obey(
        &mut self,
        order: Order,
        ring: &mut KeyRing<D>,
        stats: &mut Stats<D>,
    ) -> Result<Report, OrderError> {
        Ok(match order {
            Order::Look {
                query,
                class,
                cursor,
                purpose,
            } => Report::Looked(self.look(&query, class, &cursor, ring, purpose)?),
            Order::Periods => Report::Periods(self.periods().cloned().collect()),
            Order::Lots(period) => Report::Lots(self.lots(&period, ring)?),
            Order::AddUp(period, lot) => {
                let mut count = 0;
                // Without its key it was added up before that went.
                if ring.get(lot.key).is_some() {
                    let cells = self.add_up(&period, lot.key, ring)?;
                    count = cells.values().sum();
                    stats.enter(&lot, cells)?;
                }
                Report::AddedUp(count)
            }
            Order::Destroy(keys) => Report::Destroyed(ring.destroy_many(&keys)?),
            Order::Remove(period) => Report::Removed(self.remove(&period)?),
            Order::Stats => Report::Stats(stats.by_account().into_iter().collect()),
        })
    }
}
