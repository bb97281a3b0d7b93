//! The thread that puts checkpoints where the operator wants them: a directory on another machine may hang for ever, and
//! nothing here may hang with it.

use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tidegate_store::audit::publish;
use tidegate_store::disk::Disk;
use tokio::sync::Notify;

/// What became of one.
#[derive(Debug)]
pub(super) struct Outcome {
    /// Entries that it signs.
    pub(super) size: u64,
    /// Why it is not there.
    pub(super) failed: Option<String>,
}

struct Asked {
    dir: PathBuf,
    size: u64,
    note: String,
}

#[derive(Default)]
struct Shared {
    asked: Option<Asked>,
    outcome: Option<Outcome>,
    has_ended: bool,
}

/// Both sides' end of it.
#[derive(Default)]
struct Between {
    shared: Mutex<Shared>,
    asked: Condvar,
}

impl Between {
    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes the thread.
type Spawn = Box<dyn Fn(Arc<Between>, Arc<Notify>) -> std::io::Result<()> + Send>;

/// The keeper's end: asks for one at a time.
pub(super) struct Drops {
    between: Arc<Between>,
    told: Arc<Notify>,
    /// The thread begins with the first that is asked for.
    spawn: Spawn,
    is_running: bool,
}

impl Drops {
    pub(super) fn new<D: Disk>(disk: D) -> Self {
        let spawn = move |between: Arc<Between>, told: Arc<Notify>| {
            let disk = disk.clone();
            let thread = std::thread::Builder::new().name("checkpoints".to_owned());
            // Nobody waits for its end: it may hang.
            thread.spawn(move || run(&disk, &between, &told)).map(drop)
        };
        Self {
            between: Arc::default(),
            told: Arc::default(),
            spawn: Box::new(spawn),
            is_running: false,
        }
    }

    /// Told whenever there is an outcome.
    pub(super) fn told(&self) -> Arc<Notify> {
        Arc::clone(&self.told)
    }

    /// Asks for a checkpoint to be dropped. The one before must have had its outcome.
    pub(super) fn ask(&mut self, dir: PathBuf, size: u64, note: String) {
        if !self.is_running {
            match (self.spawn)(Arc::clone(&self.between), self.told()) {
                Ok(()) => self.is_running = true,
                Err(error) => {
                    let failed = Some(error.to_string());
                    self.between.shared().outcome = Some(Outcome { size, failed });
                    self.told.notify_one();
                    return;
                }
            }
        }
        self.between.shared().asked = Some(Asked { dir, size, note });
        self.between.asked.notify_one();
    }

    /// What became of it; `None` while it is under way.
    pub(super) fn outcome(&mut self) -> Option<Outcome> {
        self.between.shared().outcome.take()
    }
}

impl Drop for Drops {
    fn drop(&mut self) {
        self.between.shared().has_ended = true;
        self.between.asked.notify_one();
    }
}

fn run<D: Disk>(disk: &D, between: &Between, told: &Notify) {
    let mut shared = between.shared();
    loop {
        if let Some(Asked { dir, size, note }) = shared.asked.take() {
            drop(shared);
            let failed = publish(disk, &dir, size, &note)
                .err()
                .map(|error| error.to_string());
            shared = between.shared();
            shared.outcome = Some(Outcome { size, failed });
            told.notify_one();
        } else if shared.has_ended {
            return;
        } else {
            shared = between.asked.wait(shared).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
