//! Whether the directories and the key's file are there, whose they are, and whether others can look into them.

use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};
use rustix::io::Errno;
use rustix::process::geteuid;
use tidegate_config::{Config, KekSource, Storage};
use tidegate_store::keyring::Tier;

use super::{Finding, Site};
use crate::installation::{LAYOUT_FILE, tiers};

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
    group: u32,
    mode: u32,
    is_dir: bool,
    /// Whether the data's owner may read and write it, or of the key's file read it; this process, where it is not root.
    usable: Result<(), Errno>,
}

pub(super) fn look(site: &Site) -> Vec<Finding> {
    site.with_config(|config| {
        let owner = Owner::of(config);
        let me = geteuid().as_raw();
        let all = places(config, owner.filter(|_| me == 0));
        let mut findings: Vec<Finding> = all.iter().map(|facts| judge(facts, me, owner)).collect();
        if let Some(owner) = owner {
            findings.extend(strangers(config, owner));
        }
        findings
    })
}

/// Whose the data directory is: the gateway's user and group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) user: u32,
    pub(super) group: u32,
}

impl Owner {
    /// None where there is no data directory that can be seen.
    pub(super) fn of(config: &Config) -> Option<Self> {
        let data = fs::metadata(&config.storage.data).ok()?;
        Some(Self {
            user: data.uid(),
            group: data.gid(),
        })
    }

    /// What the system would say to this user without a right beyond those of its user and group.
    fn access(self, data: &Metadata, wanted: Access) -> Result<(), Errno> {
        let shift = match self {
            Self { user: 0, .. } => return Ok(()),
            Self { user, .. } if user == data.uid() => 6,
            Self { group, .. } if group == data.gid() => 3,
            Self { .. } => 0,
        };
        let wanted = [(Access::READ_OK, 4), (Access::WRITE_OK, 2), (Access::EXEC_OK, 1)]
            .into_iter()
            .filter(|(right, _)| wanted.contains(*right))
            .fold(0, |bits, (_, bit)| bits | bit);
        let granted = data.mode() >> shift;
        if granted & wanted == wanted {
            Ok(())
        } else {
            Err(Errno::ACCESS)
        }
    }
}

/// Bits of a secret file's mode that let somebody in who is not the gateway: others, and a group that is not the gateway's own.
pub(super) const fn exposed(mode: u32, group: u32, owner: Option<Owner>) -> u32 {
    match owner {
        Some(Owner { group: own, .. }) if own == group => mode & 0o007,
        Some(_) | None => mode & 0o077,
    }
}

/// What to do about such a file, so that the gateway still reads it.
pub(super) fn keep_to_owner(path: &Path, user: u32, owner: Option<Owner>) -> String {
    let path = path.display();
    match owner {
        Some(owner) if owner.user != user => format!("chown {} {path} && chmod 600 {path}", owner.user),
        Some(_) | None => format!("chmod 600 {path}"),
    }
}

/// Files that a start by root leaves to root, and that the gateway's user then cannot open.
fn strangers(config: &Config, owner: Owner) -> Vec<Finding> {
    let Storage { data, key_ring, .. } = &config.storage;
    let mut files = vec![data.join(LAYOUT_FILE)];
    for ring in std::iter::once(key_ring.clone()).chain(Tier::ALL.map(|tier| tier.dir(key_ring))) {
        files.extend(["ring.a", "ring.b"].map(|name| ring.join(name)));
    }
    let each = files
        .iter()
        .filter_map(|path| Some((path, fs::metadata(path).ok()?.uid())));
    each.filter(|(_, user)| *user != owner.user)
        .map(|(path, user)| {
            let path = path.display();
            Finding::error(
                format!("{path}: owner {user}, and the data directory's is {}", owner.user),
                format!("chown {} {path}", owner.user),
            )
        })
        .collect()
}

/// `asked` is the user that rights are looked at for, where it is not this process's.
fn places(config: &Config, asked: Option<Owner>) -> Vec<Facts> {
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
    for (tier, key) in [
        (Tier::Legal, "storage.legal_kek_file"),
        (Tier::Subrec, "storage.subrec_kek_file"),
    ] {
        let is_new = fs::metadata(tier.dir(&storage.key_ring)).is_err();
        if let Some(file) = tiers::source(storage, tier).and_then(KekSource::file) {
            all.push((Sort::Kek, key, file, is_made || is_new));
        }
    }
    if let Some(checkpoints) = config.audit.checkpoint_directory.as_deref() {
        all.push((Sort::Public, "audit.checkpoint_directory", checkpoints, true));
    }
    let facts = |(sort, key, path, is_made): (Sort, &'static str, &Path, bool)| Facts {
        sort,
        key,
        path: path.to_path_buf(),
        found: found(sort, path, asked),
        is_made,
    };
    all.into_iter().map(facts).collect()
}

fn found(sort: Sort, path: &Path, asked: Option<Owner>) -> Result<Found, ErrorKind> {
    let data = fs::metadata(path).map_err(|error| error.kind())?;
    let wanted = match sort {
        Sort::Kek => Access::READ_OK,
        Sort::Data | Sort::Keys | Sort::Public => Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK,
    };
    Ok(Found {
        owner: data.uid(),
        group: data.gid(),
        mode: data.permissions().mode() & 0o7777,
        is_dir: data.is_dir(),
        // Root may everything but write where nobody may.
        usable: access(path, wanted).and_then(|()| asked.map_or(Ok(()), |user| user.access(&data, wanted))),
    })
}

fn judge(facts: &Facts, me: u32, data: Option<Owner>) -> Finding {
    let data_owner = data.map(|data| data.user);
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
        group,
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
        // Below: it is somebody else's.
        Err(_) if me == 0 && data_owner.is_some_and(|data| data != owner) && *sort != Sort::Public => {}
        Err(error) => {
            let user = data_owner.filter(|_| me == 0).unwrap_or(me);
            let remedy = match data_owner {
                Some(data) if me == 0 => {
                    let right = if is_dir { "u+rwx" } else { "u+r" };
                    format!("chown {data} {0} && chmod {right} {0}", path.display())
                }
                _ => format!(
                    "run the gateway as user {owner}, or: chown -R USER {}",
                    path.display()
                ),
            };
            return Finding::error(format!("{shown}: user {user} may not use it ({error})"), remedy);
        }
    }
    // A secret that root hands out by the gateway's group.
    let is_lent = *sort == Sort::Kek && data.is_some_and(|data| data.group == group) && mode & 0o040 != 0;
    if data_owner.is_some_and(|data| data != owner) && *sort != Sort::Public && !is_lent {
        return Finding::error(
            format!("{shown}: not the owner of the data directory"),
            format!("chown -R {} {}", data_owner.unwrap_or(owner), path.display()),
        );
    }
    if me != 0 && owner != me && *sort != Sort::Public && !is_lent {
        return Finding::warning(
            format!("{shown}: not the user that this runs as ({me})"),
            format!("run the gateway as user {owner}"),
        );
    }
    let (open, right) = match sort {
        Sort::Data => (mode & 0o077, "0700"),
        Sort::Keys => (exposed(mode, group, data), "0700"),
        Sort::Kek => (exposed(mode, group, data), "0600"),
        Sort::Public => (mode & 0o002, "0755"),
    };
    let remedy = || match sort {
        Sort::Kek => keep_to_owner(path, owner, data),
        Sort::Data | Sort::Keys | Sort::Public => format!("chmod {right} {}", path.display()),
    };
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

    const DATA: Option<Owner> = Some(Owner { user: 7, group: 8 });

    fn facts(sort: Sort, mode: u32) -> Facts {
        Facts {
            sort,
            key: "storage.data",
            path: "data".into(),
            found: Ok(Found {
                owner: 7,
                group: 9,
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
            let found = judge(&facts(sort, mode), 7, DATA);
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
            let found = judge(facts, me, DATA);
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
    fn the_gateways_own_group_is_nobody_else_and_no_remedy_locks_the_gateway_out() {
        let key = |owner: u32, group: u32, mode: u32| Facts {
            found: Ok(Found {
                owner,
                group,
                mode,
                is_dir: false,
                usable: Ok(()),
            }),
            ..facts(Sort::Kek, mode)
        };
        for (owner, group, mode, level) in [
            (7, 8, 0o640, Level::Ok),
            (0, 8, 0o640, Level::Ok),
            (7, 9, 0o640, Level::Error),
            (0, 9, 0o640, Level::Error),
            (0, 8, 0o644, Level::Error),
            (0, 8, 0o600, Level::Error),
        ] {
            let found = judge(&key(owner, group, mode), 0, DATA);
            assert_eq!(found.level, level, "{found:?}");
            if owner != 7 {
                assert!(found.remedy.is_none_or(|remedy| remedy.contains("chown")));
            }
        }
        let path = Path::new("password");
        assert_eq!(
            keep_to_owner(path, 0, DATA),
            "chown 7 password && chmod 600 password"
        );
        assert_eq!(keep_to_owner(path, 7, DATA), "chmod 600 password");
    }

    #[test]
    fn root_asks_what_the_data_s_owner_may() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("kek");
        fs::write(&file, "").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        let data = fs::metadata(&file).unwrap();
        let may = |user: u32, group: u32, wanted: Access| Owner { user, group }.access(&data, wanted);
        let (user, group) = (data.uid(), data.gid());
        assert_eq!(may(0, group, Access::WRITE_OK), Ok(()));
        assert_eq!(may(user, group, Access::READ_OK), Ok(()));
        assert_eq!(may(user + 1, group, Access::READ_OK), Ok(()));
        assert_eq!(may(user + 1, group, Access::WRITE_OK), Err(Errno::ACCESS));
        assert_eq!(may(user + 1, group + 1, Access::READ_OK), Err(Errno::ACCESS));
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
