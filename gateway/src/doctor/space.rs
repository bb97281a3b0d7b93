//! Whether the disk has room for what `storage.limit` lets the gateway keep.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::statvfs;
use tidegate_config::{Config, Storage};

use super::{Finding, Site, nearest, octets};
use crate::installation;

/// Directories that are gone into below those that count.
const DEPTH_MAX: usize = 3;

pub(super) fn look(site: &Site) -> Vec<Finding> {
    site.with_config(|config: &Config| {
        let storage = &config.storage;
        let dir = nearest(&storage.data);
        match statvfs(&dir) {
            Ok(found) => {
                let facts = Facts {
                    free: found.f_bavail.saturating_mul(found.f_frsize),
                    // Some file systems count none.
                    has_inodes: found.f_files == 0 || found.f_favail > 0,
                    used: used(storage),
                };
                vec![judge(facts, storage)]
            }
            Err(error) => vec![Finding::skipped(format!("{}: {error}", dir.display()))],
        }
    })
}

#[derive(Clone, Copy, Debug)]
struct Facts {
    /// Octets that this user may still write.
    free: u64,
    /// Whether a file can be made.
    has_inodes: bool,
    /// Octets of the files that count in the limit; what cannot be read counts for nothing.
    used: u64,
}

fn used(storage: &Storage) -> u64 {
    [
        installation::spool_dir(storage),
        installation::waiting_dir(storage),
        installation::outbox_dir(storage),
        installation::history_dir(storage),
        storage.data.join("exports"),
    ]
    .iter()
    .map(|dir| taken(dir, DEPTH_MAX).unwrap_or_default())
    .sum()
}

/// Octets that the files of a directory take from the disk.
fn taken(dir: &Path, depth: usize) -> io::Result<u64> {
    let mut sum = 0_u64;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        // It may have gone since.
        let Ok(data) = entry.metadata() else { continue };
        if data.is_file() {
            sum = sum.saturating_add(data.blocks().saturating_mul(512));
        } else if data.is_dir() && depth > 0 {
            sum = sum.saturating_add(taken(&entry.path(), depth - 1).unwrap_or_default());
        }
    }
    Ok(sum)
}

fn judge(facts: Facts, storage: &Storage) -> Finding {
    let Facts {
        free,
        has_inodes,
        used,
    } = facts;
    let limit = storage.limit;
    let least = storage
        .segment_size
        .saturating_mul(u64::from(storage.reserve_segments) + 2);
    let found = format!(
        "{} free, {} in use, storage.limit {}",
        octets(free),
        octets(used),
        octets(limit)
    );
    if !has_inodes {
        return Finding::error(
            format!("{found}; no inode is free"),
            "remove small files of others from this file system, or make one with more inodes",
        );
    }
    if free < least && used < limit {
        return Finding::error(
            format!("{found}: not even room for the reserve of {}", octets(least)),
            "free room on the disk, or give the data directory one of its own",
        );
    }
    if free.saturating_add(used) < limit {
        return Finding::warning(
            format!("{found}: the disk is full before the limit is reached"),
            format!(
                "set storage.limit below {}, or give the directory a larger disk",
                octets(free.saturating_add(used))
            ),
        );
    }
    Finding::ok(found)
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn a_disk_is_judged_by_what_the_limit_may_still_take() {
        let text = include_str!("../../../config/tidegate.toml");
        let mut storage = tidegate_config::parse(text).unwrap().storage;
        (storage.limit, storage.segment_size, storage.reserve_segments) = (8 << 30, 64 << 20, 4);
        let level = |free: u64, used: u64, has_inodes: bool| {
            let facts = Facts {
                free,
                has_inodes,
                used,
            };
            judge(facts, &storage).level
        };
        assert_eq!(level(20 << 30, 0, true), Level::Ok);
        assert_eq!(level(4 << 30, 5 << 30, true), Level::Ok, "what is used counts");
        assert_eq!(level(4 << 30, 0, true), Level::Warning);
        assert_eq!(level(300 << 20, 0, true), Level::Error);
        assert_eq!(level(20 << 30, 0, false), Level::Error);
    }

    #[test]
    fn files_count_as_deep_as_history_lies() {
        let root = tempfile::tempdir().unwrap();
        let deep = root.path().join("a/b");
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("file"), [1; 10_000]).unwrap();
        assert!(taken(root.path(), DEPTH_MAX).unwrap() >= 8_192);
        assert_eq!(taken(root.path(), 1).unwrap(), 0);
    }
}
