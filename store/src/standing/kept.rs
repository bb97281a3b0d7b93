//! What the journal holds, gathered for an account: its own opt-outs as they stand, and what was recorded of a consent.
//!
//! Reads the files beside whoever writes them, and changes nothing.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use tidegate_codec::identity::SystemId;

use crate::disk::Disk;
use crate::pseudonym::Pseudonym;
use crate::seal::{KeyId, Purpose, SealKey};

use super::journal::look;
use super::{Change, Origins, Private, Scope, Via, What};

/// An entry that stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// By whom it was made.
    pub origins: Origins,
    /// Of which categories, a bit each; 0 is all.
    pub categories: u8,
    /// When it was made first, in unix milliseconds.
    pub at_ms: u64,
    /// How it came about first.
    pub via: Via,
    /// The number and what else is known, as far as keys open it.
    pub private: Private,
}

/// Entries in the order of who and where.
pub type OptOuts = BTreeMap<(Pseudonym, Scope), Kept>;

/// The entries that an account made, or that its recipients made with it (OPT-29), as they stand, and how many stretches of
/// damage there were. Entries of others are not among them; about 200 octets of memory for each.
pub fn opt_outs<D: Disk>(
    disk: &D,
    dir: &Path,
    keys: &BTreeMap<KeyId, Arc<SealKey>>,
    purpose: Purpose,
    account: SystemId,
) -> io::Result<(OptOuts, u64)> {
    let mut kept = OptOuts::new();
    let damaged = look(disk, dir, keys, purpose, |_, owner, change| match change.what {
        What::Suppress {
            scope,
            origin,
            categories,
        } if owner == account => {
            let entry = kept.entry((change.who, scope)).or_insert_with(|| Kept {
                origins: Origins::default(),
                categories,
                at_ms: change.at_ms,
                via: change.via,
                private: Private::default(),
            });
            entry.origins = entry.origins.with(Origins::of(origin));
            entry.categories = match (entry.categories, categories) {
                (0, _) | (_, 0) => 0,
                (one, other) => one | other,
            };
            if entry.private.number.is_empty() {
                // Nobody lists what a consent would have besides, and it can be two thousand octets.
                entry.private = Private {
                    facts: Vec::new(),
                    ..change.private
                };
            }
        }
        // Whoever of those that have the number got the message that lifts it.
        What::Lift { scope, origins } => {
            let key = (change.who, scope);
            if let Some(entry) = kept.get_mut(&key) {
                entry.origins = entry.origins.without(origins);
                if entry.origins.is_empty() {
                    kept.remove(&key);
                }
            }
        }
        _ => {}
    })?;
    Ok((kept, damaged))
}

/// All that an account recorded of a person's consent, oldest first: what was withdrawn stands there still (CON-2).
pub fn consents<D: Disk>(
    disk: &D,
    dir: &Path,
    keys: &BTreeMap<KeyId, Arc<SealKey>>,
    purpose: Purpose,
    account: SystemId,
    who: Pseudonym,
) -> io::Result<Vec<Change>> {
    let mut found = Vec::new();
    look(disk, dir, keys, purpose, |_, owner, change| {
        if owner == account && change.who == who && matches!(change.what, What::Consent { .. }) {
            found.push(change);
        }
    })?;
    Ok(found)
}
