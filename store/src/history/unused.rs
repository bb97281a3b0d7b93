//! Keys of periods under which nothing lies: made, and then the process was cut off before the first block. Their period
//! over, nothing will, and no sweep would ever meet them.

use std::collections::BTreeSet;
use std::io;
use std::ops::ControlFlow;

use super::files::At;
use super::{Bucket, GatherKey, HOUR_MS, History, PeriodKey, length_number};
use crate::disk::Disk;
use crate::keyring::{KeyRing, PeriodOwner};
use crate::seal::KeyId;

/// Keys that are looked at in one go: each may cost the headers of a file.
const MOST: usize = 256;

/// Whether a file is where a key's records would lie.
fn is_of(file: &PeriodKey, owner: &PeriodOwner) -> bool {
    file.class as u8 == owner.class
        && length_number(&file.length) == owner.length
        && file.day == owner.start / 24
}

impl<D: Disk> History<D> {
    /// Keys of periods that ended before an instant, in unix milliseconds, under which there is no block, written or synced, and
    /// nothing is gathered. Only those are looked at for which `may_be` says so, [`MOST`] at most; what would lie in a file
    /// of which something cannot be read is none of them.
    pub(super) fn unused(
        &mut self,
        ring: &KeyRing<D>,
        over_ms: u64,
        may_be: impl Fn(KeyId) -> bool,
    ) -> io::Result<Vec<KeyId>> {
        let gathering: BTreeSet<PeriodOwner> = self.gathers.keys().map(GatherKey::owner).collect();
        let is_over = |owner: &PeriodOwner| {
            Bucket::from_octet(owner.bucket).is_some_and(|bucket| {
                u64::from(owner.start.saturating_add(bucket.hours())).saturating_mul(HOUR_MS) <= over_ms
            })
        };
        let is_gathering = |owner: &PeriodOwner| gathering.contains(&PeriodOwner { part: 0, ..*owner });
        let candidates: Vec<(PeriodOwner, KeyId)> = ring
            .periods()
            .filter(|(owner, key)| may_be(*key) && is_over(owner) && !is_gathering(owner))
            .take(MOST)
            .collect();
        let mut unused: BTreeSet<KeyId> = candidates.iter().map(|(_, key)| *key).collect();
        let files: Vec<PeriodKey> = self
            .periods()
            .filter(|file| candidates.iter().any(|(owner, _)| is_of(file, owner)))
            .cloned()
            .collect();
        for file in files {
            let damaged = self.files.scan(&file, At { part: 1, offset: 0 }, |_, header| {
                unused.remove(&header.key);
                ControlFlow::Continue(())
            })?;
            if damaged > 0 {
                for (_, key) in candidates.iter().filter(|(owner, _)| is_of(&file, owner)) {
                    unused.remove(key);
                }
            }
        }
        for (_, header) in self.fresh.values().flatten() {
            unused.remove(&header.key);
        }
        Ok(unused.into_iter().collect())
    }
}
