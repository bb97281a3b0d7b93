//! What others ask of history while the keeper has it: each an order, answered with a report.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use rand_core::CryptoRng;

use super::{
    Cells, Cursor, FilterCounts, History, Kept, Looked, Lot, Passed, PeriodKey, Query, Rebuild, Rekey, Stats,
    VaultOrder, VaultReport,
};
use crate::disk::Disk;
use crate::keyring::{Fingerprint, KeyRing, KeyRingError};
use crate::seal::{KeyId, Purpose};
use crate::standing::{Forget, ForgetError, ForgetReport};
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
    /// Tells what tells the slots of keys from all others.
    Fingerprints(Vec<KeyId>),
    /// Adds up some more of a lot that is to go: what is added up then, [`Order::Erase`] has not to go through any more.
    AddUp(PeriodKey, KeyId),
    /// Destroys the keys of lots of a file, behind entering in the statistics what those add up to that say so. In one
    /// step: what is filed between the two would be gone and not counted.
    Erase(PeriodKey, Vec<(Lot, AddUp)>),
    /// Removes a file whose keys are all destroyed.
    Remove(PeriodKey),
    /// Has lots sealed anew, or what is held of them copied.
    Rekey(Rekey),
    /// Something of the hold vault.
    Vault(VaultOrder),
    /// Names keys under which nothing lies, of periods that ended before an instant; those that are told are passed over.
    Unused {
        /// In unix milliseconds.
        over_ms: u64,
        /// Under which something was seen.
        used: Arc<BTreeSet<KeyId>>,
    },
    /// Destroys those of these keys under which nothing lies still.
    DestroyUnused {
        /// In unix milliseconds, as before.
        over_ms: u64,
        /// The keys.
        keys: Vec<KeyId>,
    },
    /// Keeps what the sweep has to know after a restart.
    Note(Vec<u8>),
    /// Tells the statistics.
    Stats,
    /// Does one more step for the filters of closed periods; at that time, in unix milliseconds.
    Filters(u64),
    /// Makes an index anew, a piece of it.
    Rebuild(PeriodKey, Rebuild),
    /// Takes numbers out of the journal of opt-outs, a step of that: no part of history, and done where its lots are.
    Forget(Forget),
}

/// Whether a lot goes into the statistics before it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddUp {
    /// It does: its records are de-identified.
    Yes,
    /// They are purged.
    No,
}

/// A lot whose key is destroyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Erased {
    /// Its key.
    pub key: KeyId,
    /// How many messages the statistics have of it.
    pub counted: u64,
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
    /// Of those keys that are there.
    Fingerprints(Vec<(KeyId, Fingerprint)>),
    /// Whether that was all that there was to add up by now.
    AddedUp(bool),
    /// Those whose keys were there.
    Erased(Vec<Erased>),
    /// It is gone: octets that it took.
    Removed(u64),
    /// How far that has come.
    Passed(Passed),
    /// What became of what was wanted of the vault.
    Vault(VaultReport),
    /// Keys under which nothing lies, or lay.
    Unused(Vec<KeyId>),
    /// It is kept.
    Noted,
    /// By account.
    Stats(Vec<(tidegate_codec::identity::SystemId, Cells)>),
    /// Whether there is more to do now, what there is of filters, and the octets of all files.
    Filters(bool, FilterCounts, u64),
    /// Whether there is more of it to make.
    Rebuilt(bool),
    /// What that step did.
    Forgot(ForgetReport),
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
    /// A file was to be removed of which something may still be read.
    #[error("history: a key of {0} is there: the file is not removed")]
    Alive(String),
    /// No pass has begun, or another has taken its place.
    #[error("history: no pass through lots is under way")]
    NoPass,
    /// Something of a lot is not on disk yet as far as a start would know.
    #[error("history: {0} has blocks that no checkpoint covers yet")]
    NotSynced(String),
    /// Numbers of opt-outs.
    #[error(transparent)]
    Forget(#[from] ForgetError),
    /// A hold has no key.
    #[error("the vault: hold {0} has no key in the ring")]
    NoHold(u32),
}

impl<D: Disk> History<D> {
    /// Does what is asked. Blocks.
    pub(crate) fn obey(
        &mut self,
        order: Order,
        ring: &mut KeyRing<D>,
        stats: &mut Stats<D>,
        rng: &mut impl CryptoRng,
    ) -> Result<Report, OrderError> {
        Ok(match order {
            Order::Look {
                query,
                class,
                cursor,
                purpose,
            } => Report::Looked(self.look(&query, class, cursor, ring, purpose)?),
            Order::Periods => Report::Periods(self.periods().cloned().collect()),
            Order::Lots(period) => Report::Lots(self.lots(&period, ring)?),
            Order::Fingerprints(keys) => {
                ring.usable()?;
                Report::Fingerprints(
                    keys.into_iter()
                        .filter_map(|key| Some((key, ring.fingerprint(key)?)))
                        .collect(),
                )
            }
            Order::AddUp(period, key) => Report::AddedUp(self.add_some(&period, key, ring)?),
            Order::Erase(period, lots) => Report::Erased(self.erase(&period, &lots, ring, stats)?),
            Order::Remove(period) => {
                ring.usable()?;
                // Since it was looked at, an account whose records are kept longer may have come to lie in it.
                if self.lots(&period, ring)?.iter().any(|lot| lot.is_there) {
                    return Err(OrderError::Alive(period.to_string()));
                }
                Report::Removed(self.remove(&period)?)
            }
            Order::Rekey(rekey) => Report::Passed(self.rekey(rekey, ring, rng)?),
            Order::Vault(order) => Report::Vault(self.vault_order(order, ring, rng)?),
            Order::Unused { over_ms, used } => {
                Report::Unused(self.unused(ring, over_ms, |key| !used.contains(&key))?)
            }
            Order::DestroyUnused { over_ms, keys } => {
                // Since they were named, something may have been written.
                let unused = self.unused(ring, over_ms, |key| keys.contains(&key))?;
                let gone = ring.destroy_many(&unused)?;
                Report::Unused(gone.into_iter().map(|gone| gone.id).collect())
            }
            Order::Note(octets) => {
                self.files.write_sweep_note(&octets)?;
                Report::Noted
            }
            // The journal is the keeper's, and so is this.
            Order::Forget(_) => return Err(io::Error::from(io::ErrorKind::Unsupported).into()),
            Order::Stats => Report::Stats(stats.by_account().into_iter().collect()),
            Order::Rebuild(period, how) => Report::Rebuilt(self.rebuild(&period, how)?),
            Order::Filters(now_ms) => {
                let more = self.tend_filters(ring, now_ms);
                Report::Filters(more, self.filter_counts(), self.octets())
            }
        })
    }

    fn erase(
        &mut self,
        period: &PeriodKey,
        lots: &[(Lot, AddUp)],
        ring: &mut KeyRing<D>,
        stats: &mut Stats<D>,
    ) -> Result<Vec<Erased>, OrderError> {
        let mut erased = Vec::with_capacity(lots.len());
        // Without its key a lot was added up before that went.
        for (lot, add_up) in lots.iter().filter(|(lot, _)| ring.has(lot.key)) {
            let mut counted = 0;
            if *add_up == AddUp::Yes && lot.class == Kept::Meta {
                let cells = self.add_up(period, lot.key, ring)?;
                counted = cells.values().sum();
                stats.enter(lot, cells)?;
            }
            erased.push(Erased {
                key: lot.key,
                counted,
            });
        }
        let keys: Vec<KeyId> = erased.iter().map(|erased| erased.key).collect();
        // Before: what is erased must not be told from by a filter, whoever has the ring's secret.
        if !keys.is_empty() {
            self.drop_filter(period)?;
        }
        ring.destroy_many(&keys)?;
        self.sums.clear();
        Ok(erased)
    }
}
