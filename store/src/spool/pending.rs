//! Legs that wait for a carrier, by the two numbers they are between: a question of memory, nothing is staged.

use crate::addresses::Addresses;
use crate::disk::Disk;
use crate::index::LegId;
use crate::names::NameId;

use super::Spool;

impl<D: Disk> Spool<D> {
    /// Makes what has begun to wait, and was not handed on since, known to [`Index::between`]. To be called at the end
    /// of a turn, when most of it is on a carrier's link, and before a question.
    ///
    /// [`Index::between`]: crate::index::Index::between
    pub fn pair_up(&mut self) {
        self.index.pair_up();
    }

    /// Begins to walk along an account's legs that wait between two numbers, whatever TON and NPI. There is one walk at
    /// a time; what begins to wait later is not met.
    pub fn begin_walk(&mut self, account: NameId, addresses: &Addresses) {
        self.index.begin_walk(account, addresses);
    }

    /// The next leg of the walk, the newest first; legs may come, go and end between two steps.
    pub fn walk_on(&mut self) -> Option<LegId> {
        self.index.walk_on()
    }

    /// Whether the walk is over.
    pub const fn is_walked(&self) -> bool {
        self.index.is_walked()
    }
}
