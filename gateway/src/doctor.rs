//! `tidegate doctor`: whether this machine and what lies on it are fit for a gateway, check by check.
//!
//! A check is a row of [`CHECKS`] and a file below: it gathers facts, and judges them in a function of their own, so that tests
//! hand it facts that no machine has at hand. It takes no lock, repairs nothing, and may be run beside a gateway; the one
//! thing that is written is a file without a name (see `sync`), which goes with the process. No finding names a person, an
//! account's password or a key.

mod cache;
mod certificates;
mod clock;
mod configuration;
mod cores;
mod descriptors;
mod device;
mod directories;
mod formats;
mod gateway;
mod keys;
mod mount;
mod ports;
mod space;
mod sync;
mod zones;

use std::fs;
use std::path::{Path, PathBuf};

use tidegate_config::Config;

use crate::clock::Clock;
use crate::hardening::Hardened;

pub use configuration::Read;
pub(crate) use formats::unknown_form;
pub use gateway::Running;
pub(crate) use keys::not_as_root;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// As it is to be.
    Ok,
    /// It could not be looked at here; why is said.
    Skipped,
    /// It works, and is to be seen to.
    Warning,
    /// It does not start, or what was acknowledged, or kept secret, is in danger.
    Error,
}

impl Level {
    /// As `--json` has it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Skipped => "skipped",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// What a check has found, in a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// What was found.
    pub found: String,
    /// What to do about it: of warnings and errors, always.
    pub remedy: Option<String>,
}

impl Finding {
    fn ok(found: impl Into<String>) -> Self {
        Self::new(Level::Ok, found, None)
    }

    fn skipped(why: impl Into<String>) -> Self {
        Self::new(Level::Skipped, why, None)
    }

    fn warning(found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(Level::Warning, found, Some(remedy.into()))
    }

    fn error(found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(Level::Error, found, Some(remedy.into()))
    }

    fn new(level: Level, found: impl Into<String>, remedy: Option<String>) -> Self {
        Self {
            level,
            found: one_line(found.into()),
            remedy: remedy.map(one_line),
        }
    }
}

fn one_line(text: String) -> String {
    if text.contains(['\n', '\r']) {
        return text
            .split(['\n', '\r'])
            .map(str::trim)
            .collect::<Vec<_>>()
            .join(" ");
    }
    text
}

/// One check.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// Its name, in `--json` and docs/cli.md.
    pub name: &'static str,
    look: fn(&Site) -> Vec<Finding>,
}

/// All checks, in the order in which they are told: what others rest on first.
pub const CHECKS: &[Check] = &[
    Check {
        name: "configuration",
        look: configuration::look,
    },
    Check {
        name: "gateway",
        look: gateway::look,
    },
    Check {
        name: "ports",
        look: ports::look,
    },
    Check {
        name: "descriptors",
        look: descriptors::look,
    },
    Check {
        name: "cores",
        look: cores::look,
    },
    Check {
        name: "directories",
        look: directories::look,
    },
    Check {
        name: "space",
        look: space::look,
    },
    Check {
        name: "mount",
        look: mount::look,
    },
    Check {
        name: "cache",
        look: cache::look,
    },
    Check {
        name: "sync",
        look: sync::look,
    },
    Check {
        name: "clock",
        look: clock::look,
    },
    Check {
        name: "zones",
        look: zones::look,
    },
    Check {
        name: "keys",
        look: keys::look,
    },
    Check {
        name: "certificates",
        look: certificates::look,
    },
    Check {
        name: "formats",
        look: formats::look,
    },
];

/// What the checks look at.
#[derive(Debug)]
pub struct Site {
    /// What was read of the configuration.
    pub read: Read,
    /// The gateway that has the data directory, if one has.
    pub running: Running,
    /// The clocks.
    pub clock: Clock,
    /// What this process could forbid itself.
    pub hardened: Hardened,
}

impl Site {
    /// Reads the configuration, if a file is named, and looks for a gateway that runs.
    pub fn new(file: Option<&Path>, clock: Clock, hardened: Hardened) -> Self {
        let read = Read::of(file);
        let running = read
            .config
            .as_ref()
            .map_or(Running::Nobody, |config| Running::find(&config.storage.data));
        Self {
            read,
            running,
            clock,
            hardened,
        }
    }

    /// Every check's findings, in order.
    pub fn examine(&self) -> Vec<(&'static str, Finding)> {
        let each = CHECKS.iter();
        each.flat_map(|check| (check.look)(self).into_iter().map(|found| (check.name, found)))
            .collect()
    }

    fn config(&self) -> Option<&Config> {
        self.read.config.as_ref()
    }

    /// Has a check that needs a configuration be skipped without one.
    fn with_config(&self, look: impl FnOnce(&Config) -> Vec<Finding>) -> Vec<Finding> {
        self.config().map_or_else(
            || vec![Finding::skipped("there is no configuration that can be read")],
            look,
        )
    }
}

/// The directory itself, or the nearest one above it that is there.
fn nearest(dir: &Path) -> PathBuf {
    let whole = fs::canonicalize(dir).or_else(|_| std::path::absolute(dir));
    let whole = whole.unwrap_or_else(|_| dir.to_path_buf());
    let there = whole.ancestors().find(|dir| dir.is_dir());
    there.unwrap_or(Path::new("/")).to_path_buf()
}

/// A length of time in the unit that suits it.
fn length(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// Octets in the unit that suits them.
fn octets(count: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let unit = UNITS.iter().find(|(unit, _)| count >= *unit);
    unit.map_or_else(
        || format!("{count} octets"),
        |(unit, name)| format!("{}.{} {name}", count / unit, count % unit * 10 / unit),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_has_a_name_of_its_own_and_a_row_in_the_reference() {
        let text = include_str!("../../docs/cli.md");
        let section = text.split("\n### `tidegate doctor`").nth(1).unwrap();
        let section = section.split("\n### ").next().unwrap();
        let rows: Vec<&str> = section
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
            .collect();
        let names: Vec<&str> = CHECKS.iter().map(|check| check.name).collect();
        assert_eq!(rows, names);
    }

    #[test]
    fn a_finding_is_a_line() {
        let found = Finding::error("one\ntwo\r\n", "three\nfour");
        assert!(!found.found.contains('\n') && found.found.starts_with("one two"));
        assert_eq!(found.remedy.as_deref(), Some("three four"));
    }

    #[test]
    fn figures_are_told_in_the_unit_that_suits_them() {
        assert_eq!(
            [octets(900), octets(1536), octets(9 << 30)],
            ["900 octets", "1.5 KiB", "9.0 GiB"]
        );
        assert_eq!(
            [length(5), length(600), length(86_400), length(1 << 20)],
            ["5 s", "10 min", "24 h", "12 days"]
        );
    }

    #[test]
    fn what_is_not_there_is_looked_at_where_it_would_be_made() {
        let root = tempfile::tempdir().unwrap();
        let there = fs::canonicalize(root.path()).unwrap();
        assert_eq!(nearest(&root.path().join("a/b/c")), there);
        assert_eq!(nearest(root.path()), there);
    }
}
