//! Accounts that are closed, and since when: rules count from it (`closed`), and nothing undoes it.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use tidegate_codec::identity::SystemId;

/// Since when accounts are closed, in unix milliseconds. Cheap to clone; all clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Closures(Arc<RwLock<BTreeMap<SystemId, u64>>>);

impl Closures {
    /// Since when an account is closed; `None` of one that is not.
    pub fn of(&self, account: SystemId) -> Option<u64> {
        let closed = self.0.read().unwrap_or_else(PoisonError::into_inner);
        closed.get(&account).copied()
    }

    /// These are closed now, since these instants in unix milliseconds.
    pub fn replace(&self, closed: impl Iterator<Item = (SystemId, u64)>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = closed.collect();
    }
}
