//! Whether a gateway runs on the data directory, and which version it is. Its lock is not asked for, but looked up: `/proc/locks`
//! says who holds it.

use std::fs;
use std::os::linux::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{major, minor};
use serde_json::Value;
use tidegate_store::lock::LOCK_FILE;

use super::{Finding, Site};
use crate::control::{self, AskError, Verb};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Who has the data directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Running {
    /// Nobody.
    Nobody,
    /// A gateway that answers.
    Answers {
        /// Its process, where the system says.
        pid: Option<u32>,
        /// Its version, where it says.
        version: Option<String>,
    },
    /// A process that holds the lock, or a socket, and does not answer.
    Silent {
        /// The process, where the system says.
        pid: Option<u32>,
        /// What the socket said.
        why: String,
    },
}

impl Running {
    /// Looks for it.
    pub(super) fn find(data: &Path) -> Self {
        let file = data.join(LOCK_FILE);
        let noted = fs::read_to_string(&file)
            .ok()
            .and_then(|pid| pid.trim().parse().ok());
        let pid = fs::read_to_string("/proc/locks")
            .ok()
            .zip(fs::metadata(&file).ok())
            .and_then(|(locks, file)| {
                let device = (major(file.st_dev()), minor(file.st_dev()));
                holder(&locks, device, file.st_ino(), noted)
            });
        match control::ask_within(data, &Verb::Board, PATIENCE) {
            Ok(board) => Self::Answers {
                pid,
                version: board.get("version").and_then(Value::as_str).map(str::to_owned),
            },
            Err(AskError::Refused(_)) => Self::Answers { pid, version: None },
            Err(AskError::NotRunning { .. }) if pid.is_none() => Self::Nobody,
            Err(error) => Self::Silent {
                pid,
                why: error.to_string(),
            },
        }
    }

    /// Its process.
    pub(super) const fn pid(&self) -> Option<u32> {
        match self {
            Self::Nobody => None,
            Self::Answers { pid, .. } | Self::Silent { pid, .. } => *pid,
        }
    }

    /// Whether there is one.
    pub(super) const fn is_there(&self) -> bool {
        !matches!(self, Self::Nobody)
    }
}

/// The process that holds a lock on a file, by the lines of `/proc/locks`:
/// `1: FLOCK  ADVISORY  WRITE 1234 fd:01:5678 0 EOF`. Some file systems show another device there than a file's own: then the
/// process must be the one that the file notes.
fn holder(locks: &str, (major, minor): (u32, u32), inode: u64, noted: Option<u32>) -> Option<u32> {
    locks.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, "FLOCK", _, _, pid, file, ..] = words[..] else {
            return None;
        };
        // A process of another namespace has no number here.
        let pid = pid.parse().ok().filter(|pid| *pid > 0)?;
        let mut parts = file.split(':');
        let hex = |part: Option<&str>| u32::from_str_radix(part?, 16).ok();
        let device = (hex(parts.next())?, hex(parts.next())?);
        let is_it = parts.next()?.parse() == Ok(inode) && (device == (major, minor) || noted == Some(pid));
        is_it.then_some(pid)
    })
}

pub(super) fn look(site: &Site) -> Vec<Finding> {
    site.with_config(|config| {
        vec![judge(
            &site.running,
            &config.storage.data,
            env!("CARGO_PKG_VERSION"),
        )]
    })
}

fn judge(running: &Running, data: &Path, own: &str) -> Finding {
    let process = running
        .pid()
        .map_or_else(String::new, |pid| format!(" (process {pid})"));
    match running {
        Running::Nobody => Finding::ok(format!("none runs on {}", data.display())),
        Running::Answers {
            version: Some(version),
            ..
        } if version != own => Finding::warning(
            format!("one of version {version} runs{process}, and this program is {own}"),
            "restart the gateway to take this program over, or look with the program that runs",
        ),
        Running::Answers { version, .. } => Finding::ok(format!(
            "one runs{process}{}",
            version
                .as_ref()
                .map_or_else(String::new, |version| format!(", of this version, {version}"))
        )),
        Running::Silent { why, .. } => Finding::error(
            format!(
                "{} is in use{process} and the control socket does not answer: {why}",
                data.display()
            ),
            "run this as root or as the gateway's user; while it starts, wait; else see its log, and restart it",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn the_lock_is_found_by_its_file_and_not_by_its_place() {
        let locks = "1: POSIX  ADVISORY  WRITE 7 fd:01:99 0 EOF\n\
                     2: FLOCK  ADVISORY  WRITE 8 fd:02:99 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 9 fd:01:99 0 EOF\n\
                     3: -> FLOCK  ADVISORY  WRITE 10 fd:01:99 0 EOF\nnonsense\n";
        assert_eq!(holder(locks, (0xfd, 1), 99, None), Some(9));
        assert_eq!(holder(locks, (0xfd, 2), 99, None), Some(8));
        assert_eq!(holder(locks, (0xfd, 1), 98, Some(9)), None);
        assert_eq!(holder(locks, (0, 33), 99, None), None);
        assert_eq!(holder(locks, (0, 33), 99, Some(9)), Some(9), "by its number");
    }

    #[test]
    fn a_directory_that_nobody_has_and_one_that_this_process_has_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Running::find(dir.path()), Running::Nobody);
        let lock = tidegate_store::lock::DirLock::take(dir.path()).unwrap();
        let found = Running::find(dir.path());
        assert!(matches!(found, Running::Silent { .. }), "{found:?}");
        assert_eq!(found.pid(), Some(std::process::id()));
        drop(lock);
        assert_eq!(
            Running::find(dir.path()),
            Running::Nobody,
            "the lock was not taken by looking"
        );
    }

    #[test]
    fn another_version_is_a_warning_and_silence_an_error() {
        let of = |version: Option<&str>| Running::Answers {
            pid: Some(9),
            version: version.map(str::to_owned),
        };
        let silent = Running::Silent {
            pid: None,
            why: "it waits".to_owned(),
        };
        for (running, level) in [
            (Running::Nobody, Level::Ok),
            (of(Some("1.0.0")), Level::Ok),
            (of(None), Level::Ok),
            (of(Some("0.9.0")), Level::Warning),
            (silent, Level::Error),
        ] {
            let found = judge(&running, Path::new("data"), "1.0.0");
            assert_eq!(found.level, level, "{found:?}");
        }
    }
}
