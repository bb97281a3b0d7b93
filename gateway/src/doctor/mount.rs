//! The file system that the data lies on, by the table of mounts.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Finding, Site, nearest};

/// A line of `/proc/self/mountinfo`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mount {
    /// Where it is mounted.
    pub(super) at: PathBuf,
    /// Such as `ext4`.
    pub(super) sort: String,
    /// Options of the mount and of the file system, with commas.
    pub(super) options: String,
}

impl Mount {
    /// The one that a directory lies on.
    pub(super) fn of(dir: &Path) -> Option<Self> {
        Self::find(&fs::read_to_string("/proc/self/mountinfo").ok()?, dir)
    }

    /// Of those that lead there the longest, and of these the last: it covers the others.
    fn find(table: &str, dir: &Path) -> Option<Self> {
        let leads = table
            .lines()
            .filter_map(Self::read)
            .filter(|mount| dir.starts_with(&mount.at));
        leads.max_by_key(|mount| mount.at.components().count())
    }

    fn read(line: &str) -> Option<Self> {
        let (own, rest) = line.split_once(" - ")?;
        let own: Vec<&str> = own.split(' ').collect();
        let mut rest = rest.split(' ');
        let sort = rest.next()?.to_owned();
        let more = rest.nth(1).unwrap_or_default();
        Some(Self {
            at: plain(own.get(4)?).into(),
            sort,
            options: format!("{},{more}", own.get(5)?),
        })
    }

    /// Whether an option is set, as it stands.
    fn has(&self, option: &str) -> bool {
        self.options.split(',').any(|has| has == option)
    }

    /// Whether flushes are switched off.
    pub(super) fn forgoes_flushes(&self) -> bool {
        self.has("nobarrier") || self.has("barrier=0") || self.has("barrier=none")
    }
}

/// A path without the escapes of that table: `\040` is a blank.
fn plain(text: &str) -> String {
    ["\\040 ", "\\011\t", "\\012\n", "\\134\\"]
        .iter()
        .fold(text.to_owned(), |text, pair| {
            let (escape, octet) = pair.split_at(4);
            text.replace(escape, octet)
        })
}

pub(super) fn look(site: &Site) -> Vec<Finding> {
    site.with_config(|config| {
        let dir = nearest(&config.storage.data);
        vec![Mount::of(&dir).map_or_else(
            || Finding::skipped("the table of mounts does not tell"),
            |mount| judge(&mount),
        )]
    })
}

fn judge(mount: &Mount) -> Finding {
    let found = format!("{} at {} ({})", mount.sort, mount.at.display(), mount.options);
    let disk = "give the data directory a disk of its own: ext4 or xfs, mounted with default options";
    if mount.has("ro") {
        return Finding::error(
            format!("{found}: read-only"),
            "see dmesg for why; check the file system, and mount it for writing",
        );
    }
    if mount.forgoes_flushes() {
        return Finding::error(
            format!("{found}: flushes are switched off, and a power cut takes what was acknowledged"),
            "mount it without nobarrier and barrier=0",
        );
    }
    match mount.sort.as_str() {
        "tmpfs" | "ramfs" => Finding::error(format!("{found}: gone with the next boot"), disk),
        "overlay" | "aufs" => Finding::warning(
            format!("{found}: a container's own layer, gone with the container"),
            "mount a volume there",
        ),
        "nfs" | "nfs4" | "cifs" | "smb3" | "9p" | "ceph" => Finding::warning(
            format!("{found}: a file system of another machine; what a sync is worth is up to that one"),
            disk,
        ),
        sort if sort.starts_with("fuse") => Finding::warning(
            format!("{found}: what a sync is worth is up to its program"),
            disk,
        ),
        _ => Finding::ok(found),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    const TABLE: &str = "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,errors=remount-ro\n\
                         30 22 0:25 / /srv rw - tmpfs tmpfs rw,size=1g\n\
                         31 22 8:1 / /srv rw,noatime - xfs /dev/sda1 rw,nobarrier\n\
                         32 22 0:30 / /mnt/with\\040blank ro - ext4 /dev/loop0 rw\n\
                         broken line\n";

    #[test]
    fn the_mount_that_covers_a_directory_is_found() {
        let of = |dir: &str| Mount::find(TABLE, Path::new(dir)).unwrap();
        assert_eq!(of("/home").sort, "ext4");
        assert_eq!(of("/srvx").sort, "ext4");
        assert_eq!(
            (of("/srv/data").sort, of("/srv/data").options),
            ("xfs".to_owned(), "rw,noatime,rw,nobarrier".to_owned())
        );
        assert_eq!(of("/mnt/with blank/data").at, Path::new("/mnt/with blank"));
        assert!(Mount::of(Path::new("/")).is_some(), "of this machine");
    }

    #[test]
    fn what_does_not_last_or_is_not_flushed_is_not_in_order() {
        let level = |sort: &str, options: &str| {
            let mount = Mount {
                at: "/srv".into(),
                sort: sort.to_owned(),
                options: options.to_owned(),
            };
            judge(&mount).level
        };
        for (sort, options, expected) in [
            ("ext4", "rw,relatime,rw,errors=remount-ro", Level::Ok),
            ("xfs", "rw,rw,nobarrier", Level::Error),
            ("ext4", "rw,rw,barrier=0", Level::Error),
            ("ext4", "ro,rw", Level::Error),
            ("tmpfs", "rw,rw", Level::Error),
            ("overlay", "rw,rw", Level::Warning),
            ("nfs4", "rw,rw", Level::Warning),
            ("fuse.sshfs", "rw,rw", Level::Warning),
        ] {
            assert_eq!(level(sort, options), expected, "{sort} {options}");
        }
    }
}
