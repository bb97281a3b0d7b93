//! An index in sled, made from files and made anew from them whenever it is in doubt: the only place that names sled.
//!
//! Nothing is true because it stands here (design §4). sled 0.34.7 loses what its `flush` promised at a power cut unless its
//! file is synced behind it, and may then not open, or panic. A caller that gets an error drops the directory and begins again. A
//! panic ends a process that is built to abort, whatever guards a call: so the first thing that one in sled does is to leave a
//! mark beside the directory, by which the next start drops it and does not fall into the same hole.

use std::cell::Cell;
use std::fs::{self, File};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, Once, PoisonError};

/// Changes of one batch at most: sled's memory grows with larger ones, out of all proportion.
pub(crate) const BATCH_MAX: usize = 1_000;
/// Octets of sled's cache.
const CACHE: u64 = 16 << 20;

/// Why the index cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// sled says so.
    #[error("the index: {0}")]
    Sled(#[from] sled::Error),
    /// sled has panicked.
    #[error("the index: sled has panicked")]
    Panicked,
    /// An entry makes no sense.
    #[error("the index: an entry makes no sense")]
    Garbled,
    /// Its directory.
    #[error("the index: {0}")]
    Io(#[from] io::Error),
}

impl TreeError {
    /// Whether the disk says so, and not what lies on it: nothing is made better by beginning again.
    pub(crate) const fn is_of_disk(&self) -> bool {
        matches!(self, Self::Io(_) | Self::Sled(sled::Error::Io(_)))
    }
}

thread_local! {
    /// Whether this thread is in a call of sled.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}
/// Directories that are open.
static OPEN: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn mark_of(dir: &Path) -> PathBuf {
    dir.with_extension("spoilt")
}

/// Has a panic in sled, or on a thread of its own, leave a mark beside every directory that is open. Once in a process; what
/// was to happen at a panic before happens behind it.
fn mark_at_panics() {
    static HOOKED: Once = Once::new();
    HOOKED.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let of_sled = std::thread::current()
                .name()
                .is_some_and(|name| name.starts_with("sled"));
            if of_sled || INSIDE.with(Cell::get) {
                for dir in OPEN.lock().unwrap_or_else(PoisonError::into_inner).iter() {
                    // The process may end with this; what cannot be marked is met again.
                    let _ = File::create(mark_of(dir)).and_then(|file| file.sync_all());
                }
            }
            before(info);
        }));
    });
}

/// Changes that are made together or not at all.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    batch: sled::Batch,
    len: usize,
}

impl Batch {
    pub(crate) fn put(&mut self, key: &[u8], value: &[u8]) {
        self.batch.insert(key, value);
        self.len += 1;
    }

    pub(crate) fn remove(&mut self, key: &[u8]) {
        self.batch.remove(key);
        self.len += 1;
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }
}

/// See the [module](self).
pub(crate) struct Tree {
    /// Gone while it is dropped, which sled may do by panicking.
    db: Option<sled::Db>,
    /// What `flush` does not sync.
    file: File,
    dir: PathBuf,
}

fn guarded<T>(call: impl FnOnce() -> Result<T, TreeError>) -> Result<T, TreeError> {
    INSIDE.with(|inside| inside.set(true));
    let result = catch_unwind(AssertUnwindSafe(call)).unwrap_or(Err(TreeError::Panicked));
    INSIDE.with(|inside| inside.set(false));
    result
}

impl Tree {
    /// Opens the index in a directory, or makes it.
    pub(crate) fn open(dir: &Path) -> Result<Self, TreeError> {
        if mark_of(dir).try_exists()? {
            return Err(TreeError::Panicked);
        }
        fs::create_dir_all(dir)?;
        mark_at_panics();
        OPEN.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(dir.to_owned());
        Self::opened(dir).inspect_err(|_| closed(dir))
    }

    fn opened(dir: &Path) -> Result<Self, TreeError> {
        let db = guarded(|| {
            let config = sled::Config::new()
                .path(dir)
                .cache_capacity(CACHE)
                .flush_every_ms(None);
            Ok(config.open()?)
        })?;
        let file = File::options().read(true).write(true).open(dir.join("db"))?;
        Ok(Self {
            db: Some(db),
            file,
            dir: dir.to_owned(),
        })
    }

    fn with<T>(&self, call: impl FnOnce(&sled::Db) -> Result<T, TreeError>) -> Result<T, TreeError> {
        let db = self.db.as_ref().ok_or(TreeError::Panicked)?;
        guarded(|| call(db))
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, TreeError> {
        self.with(|db| Ok(db.get(key)?.map(|value| value.to_vec())))
    }

    /// All that begins with `prefix` and stands behind `after`, in order, until `each` has enough and says false.
    pub(crate) fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        mut each: impl FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), TreeError> {
        self.with(|db| {
            let from = after.unwrap_or(prefix).to_vec();
            for entry in db.range(from..) {
                let (key, value) = entry?;
                if !key.starts_with(prefix) {
                    break;
                }
                if after.is_some_and(|after| *key <= *after) {
                    continue;
                }
                if !each(&key, &value) {
                    break;
                }
            }
            Ok(())
        })
    }

    /// All from one key on, in order, until `each` has enough and says false.
    pub(crate) fn scan_from(
        &self,
        from: &[u8],
        mut each: impl FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), TreeError> {
        self.with(|db| {
            for entry in db.range(from.to_vec()..) {
                let (key, value) = entry?;
                if !each(&key, &value) {
                    break;
                }
            }
            Ok(())
        })
    }

    /// Makes changes and syncs them.
    pub(crate) fn apply(&self, batch: Batch) -> Result<(), TreeError> {
        self.with(|db| {
            db.apply_batch(batch.batch)?;
            db.flush()?;
            Ok(())
        })?;
        self.file.sync_data()?;
        Ok(())
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let db = self.db.take();
        // What it ends with interests nobody any more.
        let _ = guarded(|| {
            drop(db);
            Ok(())
        });
        closed(&self.dir);
    }
}

fn closed(dir: &Path) {
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(place) = open.iter().position(|there| there == dir) {
        open.swap_remove(place);
    }
}

/// Drops an index with all that it holds; the mark last.
pub(crate) fn remove(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    match fs::remove_file(mark_of(dir)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(tree: &Tree, prefix: &[u8], after: Option<&[u8]>, max: usize) -> Vec<Vec<u8>> {
        let mut keys = Vec::new();
        tree.scan(prefix, after, |key, _| {
            keys.push(key.to_vec());
            keys.len() < max
        })
        .unwrap();
        keys
    }

    #[test]
    fn what_was_put_is_there_after_it_was_opened_again_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let tree = Tree::open(dir.path()).unwrap();
        let mut batch = Batch::default();
        for key in [&b"a1"[..], b"a2", b"a3", b"b1"] {
            batch.put(key, b"value");
        }
        batch.remove(b"a2");
        assert_eq!(batch.len(), 5);
        tree.apply(batch).unwrap();
        drop(tree);
        let tree = Tree::open(dir.path()).unwrap();
        assert_eq!(tree.get(b"a1").unwrap().as_deref(), Some(&b"value"[..]));
        assert_eq!(tree.get(b"a2").unwrap(), None);
        assert_eq!(keys(&tree, b"a", None, 9), [b"a1", b"a3"]);
        assert_eq!(keys(&tree, b"a", Some(b"a1"), 9), [b"a3"]);
        assert_eq!(keys(&tree, b"", None, 2), [b"a1", b"a3"]);
    }

    /// A process that aborts has no more than what the hook does.
    #[test]
    fn a_panic_in_sled_leaves_a_mark_by_which_the_index_is_not_opened_again() {
        let dir = tempfile::tempdir().unwrap();
        let index = dir.path().join("register");
        let tree = Tree::open(&index).unwrap();
        let _ = catch_unwind(|| panic!("of somebody else"));
        assert!(!mark_of(&index).exists());
        let panicked: Result<(), _> = tree.with(|_| panic!("as sled does"));
        assert!(matches!(panicked, Err(TreeError::Panicked)));
        assert!(mark_of(&index).exists());
        drop(tree);
        assert!(matches!(Tree::open(&index), Err(TreeError::Panicked)));
        remove(&index).unwrap();
        Tree::open(&index).unwrap();
    }

    #[test]
    fn a_file_that_sled_cannot_read_is_an_error_and_no_panic() {
        let dir = tempfile::tempdir().unwrap();
        let tree = Tree::open(dir.path()).unwrap();
        let mut batch = Batch::default();
        batch.put(b"key", &[7; 10_000]);
        tree.apply(batch).unwrap();
        drop(tree);
        fs::write(dir.path().join("conf"), b"not what sled wrote").unwrap();
        assert!(Tree::open(dir.path()).is_err());
        remove(dir.path()).unwrap();
        remove(dir.path()).unwrap();
        assert_eq!(Tree::open(dir.path()).unwrap().get(b"key").unwrap(), None);
    }
}
