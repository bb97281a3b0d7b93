//! One process per data directory (design §6): an exclusive lock that ends with the process, however
//! it ends.
//!
//! Not behind the [disk seam](crate::disk): the lock is the kernel's, on a file whose octets matter only
//! to the operator who reads the message.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Name of the lock's file in the directory.
pub const LOCK_FILE: &str = "lock";

/// The directory is ours until this is dropped. The file stays: removing it would let two processes
/// lock two files of one name.
#[derive(Debug)]
#[must_use = "dropping it gives the directory free"]
pub struct DirLock {
    _file: File,
}

/// Why the directory could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error("data directory {} is in use by {}", dir.display(), holder(*.pid))]
    Held {
        /// The directory.
        dir: PathBuf,
        /// Who holds it, if the file says so yet.
        pid: Option<u32>,
    },
    /// The directory or the file could not be used.
    #[error("cannot lock data directory {}: {source}", dir.display())]
    Io {
        /// The directory.
        dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(
        || "another process".to_owned(),
        |pid| format!("the process with pid {pid}"),
    )
}

impl DirLock {
    /// Locks a directory, which is made if it is missing (mode 0700), and leaves our pid in the file.
    pub fn take(dir: &Path) -> Result<Self, LockError> {
        let failed = |source| LockError::Io {
            dir: dir.to_path_buf(),
            source,
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(failed)?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(dir.join(LOCK_FILE))
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // For the message only; a file we cannot read names nobody.
                let _ = file.take(16).read_to_string(&mut text);
                return Err(LockError::Held {
                    dir: dir.to_path_buf(),
                    pid: text.trim().parse().ok(),
                });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        file.set_len(0).map_err(failed)?;
        writeln!(file, "{}", std::process::id()).map_err(failed)?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_told_the_directory_and_the_pid() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("data");
        let first = DirLock::take(&dir).unwrap();
        let told = DirLock::take(&dir).unwrap_err().to_string();
        assert!(told.contains(&format!("pid {}", std::process::id())), "{told}");
        assert!(told.contains(dir.to_str().unwrap()), "{told}");
        drop(first);
        let _again = DirLock::take(&dir).unwrap();
    }

    #[test]
    fn a_file_left_behind_by_a_dead_process_does_not_lock() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join(LOCK_FILE), "4294967295 and more\n").unwrap();
        let lock = DirLock::take(root.path()).unwrap();
        let text = std::fs::read_to_string(root.path().join(LOCK_FILE)).unwrap();
        assert_eq!(text, format!("{}\n", std::process::id()));
        drop(lock);
    }

    #[test]
    fn a_path_that_is_no_directory_is_named() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("file");
        std::fs::write(&path, "").unwrap();
        let told = DirLock::take(&path).unwrap_err();
        assert!(matches!(told, LockError::Io { .. }));
        assert!(told.to_string().contains(path.to_str().unwrap()));
    }
}
