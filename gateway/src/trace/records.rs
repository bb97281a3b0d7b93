//! Reading the spool's records of one message, beside the gateway that writes them.
//!
//! On a thread of the runtime's pool and not the keeper's: hundreds of megabytes may have to be read, and the next segment
//! waits for the keeper. The keys are read from the ring's files, as the register does it.

use std::path::PathBuf;
use std::sync::Arc;

use tidegate_config::Storage;
use tidegate_store::disk::Disk;
use tidegate_store::keyring::{Keks, KeyRing};
use tidegate_store::spool::{Story, Wanted, story};
use tokio::sync::Mutex;

use crate::control::not_done;
use crate::installation;

type Read = dyn Fn(&Wanted) -> Result<Story, String> + Send + Sync;

/// Where the records are read.
pub struct Records {
    read: Arc<Read>,
    /// One story at a time, those that nobody waits for any more included.
    turn: Arc<Mutex<()>>,
}

impl Records {
    /// Of this spool, on this disk.
    pub fn new<D: Disk>(disk: D, storage: &Storage, keks: Keks) -> Self {
        let dir: PathBuf = installation::spool_dir(storage);
        let key_ring = storage.key_ring.clone();
        let read = move |wanted: &Wanted| {
            let keys = KeyRing::look(&disk, &key_ring, &keks).map_err(|error| error.to_string())?;
            let key = |id| keys.get(&id).cloned();
            story(&disk, &dir, key, wanted).map_err(|error| format!("the spool cannot be read: {error}"))
        };
        Self {
            read: Arc::new(read),
            turn: Arc::default(),
        }
    }

    /// What they tell of a message.
    ///
    /// # Errors
    ///
    /// In words for an operator.
    pub(crate) async fn story(&self, wanted: Wanted) -> Result<Story, String> {
        let alone = Arc::clone(&self.turn).try_lock_owned();
        let alone = alone.map_err(|_| "another story is being read: ask again".to_owned())?;
        let read = Arc::clone(&self.read);
        let told = tokio::task::spawn_blocking(move || {
            let told = read(&wanted);
            drop(alone);
            told
        });
        told.await
            .unwrap_or_else(|error| Err(not_done(&error).to_owned()))
    }
}
