//! Reading the spool's records of one message, and the waiting files where it lies there, beside the gateway that writes them.
//!
//! On a thread of the runtime's pool and not the keeper's: hundreds of megabytes may have to be read, and the next segment
//! waits for the keeper. The keys are read from the ring's files, as the register does it.

use std::path::PathBuf;
use std::sync::Arc;

use tidegate_config::Storage;
use tidegate_store::disk::Disk;
use tidegate_store::keyring::{Keks, KeyRing};
use tidegate_store::spool::{Story, Wanted, story};
use tidegate_store::waiting::{Filed, Sought, look_up};
use tokio::sync::Mutex;

use crate::control::not_done;
use crate::installation;

type Read<W, T> = dyn Fn(&W) -> Result<T, String> + Send + Sync;

/// Where the records are read.
pub struct Records {
    read: Arc<Read<Wanted, Story>>,
    look_up: Arc<Read<Sought, Filed>>,
    /// One reading at a time, those that nobody waits for any more included.
    turn: Arc<Mutex<()>>,
}

impl Records {
    /// Of this spool, on this disk.
    pub fn new<D: Disk>(disk: D, storage: &Storage, keks: Keks) -> Self {
        let dir: PathBuf = installation::spool_dir(storage);
        let key_ring = storage.key_ring.clone();
        let waiting = installation::waiting_dir(storage);
        let ring = disk.clone();
        let keys =
            Arc::new(move || KeyRing::look(&ring, &key_ring, &keks).map_err(|error| error.to_string()));
        let (spool, of_spool) = (disk.clone(), Arc::clone(&keys));
        let read = move |wanted: &Wanted| {
            let keys = of_spool()?;
            let key = |id| keys.get(&id).cloned();
            story(&spool, &dir, key, wanted).map_err(|error| format!("the spool cannot be read: {error}"))
        };
        let look_up = move |sought: &Sought| {
            let keys = keys()?;
            let key = |id| keys.get(&id).cloned();
            look_up(&disk, &waiting, key, sought)
                .map_err(|error| format!("the waiting files cannot be read: {error}"))
        };
        Self {
            read: Arc::new(read),
            look_up: Arc::new(look_up),
            turn: Arc::default(),
        }
    }

    /// What they tell of a message.
    ///
    /// # Errors
    ///
    /// In words for an operator.
    pub(crate) async fn story(&self, wanted: Wanted) -> Result<Story, String> {
        self.alone(&self.read, wanted).await
    }

    /// What the waiting files hold of a message. A GiB of them is read at most.
    ///
    /// # Errors
    ///
    /// In words for an operator.
    pub(crate) async fn filed(&self, sought: Sought) -> Result<Filed, String> {
        self.alone(&self.look_up, sought).await
    }

    async fn alone<W: Send + 'static, T: Send + 'static>(
        &self,
        read: &Arc<Read<W, T>>,
        wanted: W,
    ) -> Result<T, String> {
        let alone = Arc::clone(&self.turn).try_lock_owned();
        let alone = alone.map_err(|_| "records of another message are being read: ask again".to_owned())?;
        let read = Arc::clone(read);
        let told = tokio::task::spawn_blocking(move || {
            let told = read(&wanted);
            drop(alone);
            told
        });
        told.await
            .unwrap_or_else(|error| Err(not_done(&error).to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use tidegate_store::message_id::MessageId;

    use super::*;

    fn wanted() -> Wanted {
        Wanted {
            message: MessageId(1),
            account: "load".parse().unwrap(),
            called: Vec::new(),
            first: None,
        }
    }

    #[tokio::test]
    async fn a_second_reading_beside_one_is_refused_whoever_still_waits_for_the_first() {
        let (begun, go_on) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
        let (there, last) = (Arc::clone(&begun), Arc::clone(&go_on));
        let records = Arc::new(Records {
            read: Arc::new(move |_: &Wanted| {
                there.wait();
                last.wait();
                Ok(Story::default())
            }),
            look_up: Arc::new(|_: &Sought| Ok(Filed::default())),
            turn: Arc::default(),
        });
        let reading = Arc::clone(&records);
        let first = tokio::spawn(async move { reading.story(wanted()).await });
        tokio::task::spawn_blocking(move || begun.wait()).await.unwrap();
        let sought = || Sought {
            messages: Vec::new(),
            near_ms: Vec::new(),
        };
        let why = records.story(wanted()).await.unwrap_err();
        assert!(why.contains("ask again"), "{why}");
        assert!(records.filed(sought()).await.is_err());
        // Who asked has gone; what is read is still read.
        first.abort();
        assert!(first.await.unwrap_err().is_cancelled());
        assert!(records.story(wanted()).await.is_err());
        tokio::task::spawn_blocking(move || go_on.wait()).await.unwrap();
        while Arc::clone(&records.turn).try_lock_owned().is_err() {
            tokio::task::yield_now().await;
        }
        assert!(records.filed(sought()).await.is_ok());
    }
}
