//! Whether the directories and the key's file are there, whose they are, and whether others can look into them.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};
use rustix::io::Errno;
use rustix::process::geteuid;
use tidegate_config::Config;

use super::{Finding, Site};
use crate::installation::LAYOUT_FILE;

/// What a place is for, which says how secret it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    /// The data directory: what lies in it is sealed, or has modes of its own.
    Data,
    /// Keys: nobody but the owner is to look.
    Keys,
    /// The key-encryption key's file, which is only read.
    Kek,
    /// Where checkpoints go, for others to fetch.
    Public,
}

/// What is known of a place.
#[derive(Clone, Debug)]
struct Facts {
    sort: Sort,
    key: &'static str,
    path: PathBuf,
    /// What it is, or why that cannot be known.
    found: Result<Found, ErrorKind>,
    /// Whether it is to be made by a start or by `init`.
    is_made: bool,
}

#[derive(Clone, Copy, Debug)]
struct Found {
    owner: u32,
    mode: u32,
    is_dir: bool,
    /// Whether this process may read and write it, or of the key's file read it.
    usable: Result<(), Errno>,
}

pub(super) fn look(site: &Site) -> Vec<Finding> {
    site.with_config(|config| {
        let all = places(config);
        let data = all.first().and_then(|data| data.found.ok());
        let (me, owner) = (geteuid().as_raw(), data.map(|data| data.owner));
        all.iter().map(|facts| judge(facts, me, owner)).collect()
    })
}

fn places(config: &Config) -> Vec<Facts> {
    let storage = &config.storage;
    // Beside data that is in use nothing is made, whatever `auto_init` says.
    let is_made = fs::metadata(storage.data.join(LAYOUT_FILE)).is_err();
    let mut all = vec![
        (Sort::Data, "storage.data", storage.data.as_path(), is_made),
        (
            Sort::Keys,
            "storage.key_ring",
            storage.key_ring.as_path(),
            is_made,
        ),
    ];
    if let Some(file) = storage.kek.file() {
        all.push((Sort::Kek, "storage.kek_file", file, is_made));
    }
    if let Some(checkpoints) = config.audit.checkpoint_directory.as_deref() {
        all.push((Sort::Public, "audit.checkpoint_directory", checkpoints, true));
    }
    let facts = |(sort, key, path, is_made): (Sort, &'static str, &Path, bool)| Facts {
        sort,
        key,
        path: path.to_path_buf(),
        found: found(sort, path),
        is_made,
    };
    all.into_iter().map(facts).collect()
}

fn found(sort: Sort, path: &Path) -> Result<Found, ErrorKind> {
    let data = fs::metadata(path).map_err(|error| error.kind())?;
    let wanted = match sort {
        Sort::Kek => Access::READ_OK,
        Sort::Data | Sort::Keys | Sort::Public => Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK,
    };
    Ok(Found {
        owner: data.uid(),
        mode: data.permissions().mode() & 0o7777,
        is_dir: data.is_dir(),
        usable: access(path, wanted),
    })
}

fn judge(facts: &Facts, me: u32, data_owner: Option<u32>) -> Finding {
    let Facts {
        sort,
        key,
        path,
        found,
        is_made,
    } = facts;
    let what = format!("{key}, {}", path.display());
    let Found {
        owner,
        mode,
        is_dir,
        usable,
    } = match found {
        Ok(found) => *found,
        Err(ErrorKind::NotFound) if *is_made => {
            return Finding::ok(format!(
                "{what}: not there yet; `tidegate init` or the first start makes it"
            ));
        }
        Err(ErrorKind::NotFound) => {
            return Finding::error(
                format!("{what}: missing"),
                "put it back from the backup: what the data is sealed under is not made anew",
            );
        }
        Err(kind) => {
            return Finding::error(
                format!("{what}: {kind}"),
                "run this as root or as the gateway's user, who must be able to enter every directory above it",
            );
        }
    };
    let shown = format!("{what}: owner {owner}, mode {mode:04o}");
    if is_dir == (*sort == Sort::Kek) {
        let wanted = if *sort == Sort::Kek {
            "a file"
        } else {
            "a directory"
        };
        return Finding::error(
            format!("{shown}: not {wanted}"),
            format!("move it away, or let {key} name another path"),
        );
    }
    match usable {
        Ok(()) => {}
        Err(Errno::ROFS) => {
            return Finding::error(
                format!("{shown}: the file system is read-only"),
                "see dmesg for why; check the file system, and mount it for writing",
            );
        }
        Err(error) => {
            return Finding::error(
                format!("{shown}: user {me} may not use it ({error})"),
                format!(
                    "run the gateway as user {owner}, or: chown -R USER {}",
                    path.display()
                ),
            );
        }
    }
    if data_owner.is_some_and(|data| data != owner) && *sort != Sort::Public {
        return Finding::error(
            format!("{shown}: not the owner of the data directory"),
            format!("chown -R {} {}", data_owner.unwrap_or(owner), path.display()),
        );
    }
    if me != 0 && owner != me && *sort != Sort::Public {
        return Finding::warning(
            format!("{shown}: not the user that this runs as ({me})"),
            format!("run the gateway as user {owner}"),
        );
    }
    let (open, right) = match sort {
        Sort::Data | Sort::Keys => (mode & 0o077, "0700"),
        Sort::Kek => (mode & 0o077, "0600"),
        Sort::Public => (mode & 0o002, "0755"),
    };
    let remedy = || format!("chmod {right} {}", path.display());
    match sort {
        _ if open == 0 => Finding::ok(shown),
        Sort::Kek | Sort::Keys => Finding::error(format!("{shown}: others can get at the keys"), remedy()),
        Sort::Data | Sort::Public => Finding::warning(format!("{shown}: others can get in"), remedy()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    fn facts(sort: Sort, mode: u32) -> Facts {
        Facts {
            sort,
            key: "storage.data",
            path: "data".into(),
            found: Ok(Found {
                owner: 7,
                mode,
                is_dir: sort != Sort::Kek,
                usable: Ok(()),
            }),
            is_made: false,
        }
    }

    #[test]
    fn keys_that_others_can_see_are_an_error_and_data_a_warning() {
        for (sort, mode, level) in [
            (Sort::Data, 0o700, Level::Ok),
            (Sort::Data, 0o750, Level::Warning),
            (Sort::Keys, 0o700, Level::Ok),
            (Sort::Keys, 0o755, Level::Error),
            (Sort::Kek, 0o400, Level::Ok),
            (Sort::Kek, 0o640, Level::Error),
            (Sort::Public, 0o755, Level::Ok),
            (Sort::Public, 0o777, Level::Warning),
        ] {
            let found = judge(&facts(sort, mode), 7, Some(7));
            assert_eq!(found.level, level, "{found:?}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_an_error_that_says_why() {
        let with = |change: &dyn Fn(&mut Found)| {
            let mut facts = facts(Sort::Keys, 0o700);
            if let Ok(found) = &mut facts.found {
                change(found);
            }
            facts
        };
        let told = |facts: &Facts, me: u32| {
            let found = judge(facts, me, Some(7));
            (found.level, found.found)
        };
        for (facts, me, word) in [
            (with(&|found| found.usable = Err(Errno::ROFS)), 7, "read-only"),
            (
                with(&|found| found.usable = Err(Errno::ACCESS)),
                8,
                "user 8 may not",
            ),
            (with(&|found| found.is_dir = false), 7, "not a directory"),
            (with(&|found| found.owner = 0), 0, "not the owner of the data"),
        ] {
            let (level, found) = told(&facts, me);
            assert!(level == Level::Error && found.contains(word), "{found}");
        }
        assert_eq!(told(&facts(Sort::Keys, 0o700), 8).0, Level::Warning);
        assert_eq!(
            told(&facts(Sort::Keys, 0o700), 0).0,
            Level::Ok,
            "root looks at another's"
        );
    }

    #[test]
    fn what_is_missing_is_in_order_before_the_first_start_only() {
        for (is_made, level) in [(true, Level::Ok), (false, Level::Error)] {
            let missing = Facts {
                found: Err(ErrorKind::NotFound),
                is_made,
                ..facts(Sort::Keys, 0)
            };
            assert_eq!(judge(&missing, 7, None).level, level);
        }
    }
}
