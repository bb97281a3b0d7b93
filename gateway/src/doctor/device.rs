//! What the kernel knows of the disk under a directory.

use std::fs;
use std::os::linux::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{major, minor};

/// A disk, as `/sys` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Device {
    /// Its name, such as `nvme0n1`.
    pub(super) name: String,
    /// Whether it says that it has a cache that a power cut empties; the kernel then flushes it with each sync.
    pub(super) has_cache: bool,
    /// Whether it can write past that cache.
    pub(super) has_fua: bool,
}

impl Device {
    /// The one under a directory; none where the file system has no disk of its own, or the kernel does not say.
    pub(super) fn of(dir: &Path) -> Option<Self> {
        let device = fs::metadata(dir).ok()?.st_dev();
        let link = format!("/sys/dev/block/{}:{}", major(device), minor(device));
        Self::read(&fs::canonicalize(link).ok()?)
    }

    /// A partition's queue is its disk's.
    fn read(own: &Path) -> Option<Self> {
        let has_queue = |dir: &&Path| dir.join("queue").is_dir();
        let disk: PathBuf = own.ancestors().take(2).find(has_queue)?.to_path_buf();
        let line = |name: &str| fs::read_to_string(disk.join("queue").join(name));
        Some(Self {
            name: disk.file_name()?.to_string_lossy().into_owned(),
            has_cache: line("write_cache").ok()?.trim() == "write back",
            has_fua: line("fua").is_ok_and(|fua| fua.trim() == "1"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_has_the_queue_of_its_disk() {
        let root = tempfile::tempdir().unwrap();
        let disk = root.path().join("sda");
        fs::create_dir_all(disk.join("queue")).unwrap();
        fs::create_dir_all(disk.join("sda1")).unwrap();
        assert_eq!(Device::read(&disk), None, "it says nothing");
        fs::write(disk.join("queue/write_cache"), "write back\n").unwrap();
        fs::write(disk.join("queue/fua"), "0\n").unwrap();
        let expected = Device {
            name: "sda".to_owned(),
            has_cache: true,
            has_fua: false,
        };
        assert_eq!(Device::read(&disk), Some(expected.clone()));
        assert_eq!(Device::read(&disk.join("sda1")), Some(expected));
        fs::write(disk.join("queue/write_cache"), "write through\n").unwrap();
        assert!(!Device::read(&disk).unwrap().has_cache);
        assert_eq!(Device::read(root.path()), None);
    }
}
