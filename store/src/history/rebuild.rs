//! Indexes and filters made anew from the files, because somebody wants it: of one period after the other, a piece at a time.

use super::{History, PeriodKey};
use crate::disk::Disk;
use crate::tree::TreeError;

/// How a period's index is made anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rebuild {
    /// Its index is dropped first.
    Index,
    /// So is its filter, which comes again with [`History::tend_filters`] once the period rests.
    IndexAndFilter,
    /// It goes on where the piece before has ended.
    GoOn,
}

impl<D: Disk> History<D> {
    /// Makes a period's index from its file, some thousand blocks of it; whether there is more to do. Looks go on
    /// meanwhile, for the file alone is true.
    ///
    /// # Errors
    ///
    /// The index or the filter cannot be removed or written, or the file cannot be read.
    pub fn rebuild(&mut self, period: &PeriodKey, how: Rebuild) -> Result<bool, TreeError> {
        if how != Rebuild::GoOn {
            self.indexes.forget(period)?;
            self.indexes.rebuilt += 1;
        }
        if how == Rebuild::IndexAndFilter {
            self.drop_filter(period)?;
        }
        if !self.files.has(period) {
            return Ok(false);
        }
        let upto = self.indexed_upto(period);
        Ok(self.indexes.of(period, &self.files, upto)?.is_none())
    }
}
