//! Keys of periods that were opened lately: an open cipher takes about a kilobyte, and a ring may hold a million.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::Arc;

use lru::LruCache;

use crate::seal::{KEY_LEN, KeyId, SealKey};

/// Keys of periods that are kept open at most: some 4 MiB.
pub const OPEN_MAX: NonZeroUsize = NonZeroUsize::new(4096).expect("not zero");

/// The open keys. One that has to make room is wiped, unless somebody still holds it.
pub(super) struct OpenKeys {
    keys: LruCache<KeyId, Arc<SealKey>>,
    /// What keys that had to make room have sealed, or they would never be spent (ENC-1).
    sealed: HashMap<KeyId, u32>,
}

impl OpenKeys {
    pub(super) fn new() -> Self {
        Self {
            keys: LruCache::new(OPEN_MAX),
            sealed: HashMap::new(),
        }
    }

    pub(super) fn get(&mut self, id: KeyId) -> Option<Arc<SealKey>> {
        self.keys.get(&id).map(Arc::clone)
    }

    /// Sets a key up and keeps it.
    pub(super) fn open(&mut self, id: KeyId, octets: &[u8; KEY_LEN]) -> Arc<SealKey> {
        let sealed = self.sealed.remove(&id).unwrap_or(0);
        let key = Arc::new(SealKey::that_sealed(id, octets, sealed));
        if let Some((other, evicted)) = self.keys.push(id, Arc::clone(&key))
            && other != id
            && evicted.sealed() > 0
        {
            self.sealed.insert(other, evicted.sealed());
        }
        key
    }

    pub(super) fn forget(&mut self, id: KeyId) {
        self.keys.pop(&id);
        self.sealed.remove(&id);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::Aad;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    #[test]
    fn there_is_a_bound_and_what_a_key_has_sealed_is_not_forgotten() {
        let mut open = OpenKeys::new();
        let aad = Aad {
            account: None,
            kind: 1,
            version: 1,
            id: 1,
            leg: 0,
        };
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let first = open.open(KeyId(0), &[1; 32]);
        first.seal(&aad, &mut rng, &mut Vec::new(), |_| {}).unwrap();
        let watched = Arc::downgrade(&first);
        drop(first);
        let max = u32::try_from(OPEN_MAX.get()).unwrap();
        for id in 1..=max {
            open.open(KeyId(id), &[1; 32]);
        }
        assert_eq!(open.len(), OPEN_MAX.get());
        assert!(
            open.get(KeyId(0)).is_none() && watched.upgrade().is_none(),
            "wiped"
        );
        assert_eq!(open.open(KeyId(0), &[1; 32]).sealed(), 1);
        assert!(
            open.get(KeyId(1)).is_none(),
            "the one that was not used for longest"
        );
        open.forget(KeyId(0));
        assert_eq!(open.open(KeyId(0), &[1; 32]).sealed(), 0);
    }
}
