//! Keys of exports: made, opened and destroyed by who has the ring.

use std::collections::BTreeSet;
use std::sync::Arc;

use rand_chacha::ChaCha20Rng;
use tidegate_store::disk::Disk;
use tidegate_store::keyring::{KeyRing, Owner};
use tidegate_store::seal::SealKey;
use tokio::sync::oneshot;

/// What is wanted of them. Whoever asks may have gone when the answer comes.
#[derive(Debug)]
pub enum ExportKeys {
    /// A new one, in the ring and synced.
    Make {
        /// Of this export.
        number: u64,
        /// When it is, unix milliseconds.
        now_ms: u64,
        /// The key, or why there is none.
        answer: oneshot::Sender<Result<Arc<SealKey>, String>>,
    },
    /// The one that there is.
    Open {
        /// Of this export.
        number: u64,
        /// The key, if there is one.
        answer: oneshot::Sender<Option<Arc<SealKey>>>,
    },
    /// None any more.
    Destroy {
        /// Of this export.
        number: u64,
        /// Whether it is gone.
        answer: oneshot::Sender<Result<(), String>>,
    },
    /// Which exports have one.
    List(oneshot::Sender<BTreeSet<u64>>),
}

/// Does it.
pub(super) fn obey<D: Disk>(order: ExportKeys, ring: &mut KeyRing<D>, rng: &mut ChaCha20Rng) {
    match order {
        ExportKeys::Make {
            number,
            now_ms,
            answer,
        } => {
            let made = ring.make(Owner::Export(number), now_ms, rng);
            let _ = answer.send(made.map_err(|error| error.to_string()));
        }
        ExportKeys::Open { number, answer } => drop(answer.send(ring.newest(Owner::Export(number)))),
        ExportKeys::Destroy { number, answer } => {
            let destroyed = ring.destroy_of(Owner::Export(number)).map(drop);
            let _ = answer.send(destroyed.map_err(|error| error.to_string()));
        }
        ExportKeys::List(answer) => drop(answer.send(ring.exports())),
    }
}
