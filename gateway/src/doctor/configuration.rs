//! Whether the configuration can be read and used: what `tidegate check` says.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use tidegate_config::{Carrier, Config, SecretSource};

use super::directories::{Owner, exposed, keep_to_owner};
use super::{Finding, Site};
use crate::documents;
use crate::secret::{self, SecretError};
use crate::tables::Tables;

/// What was read of a configuration.
#[derive(Debug, Default)]
pub struct Read {
    /// It, if it is one.
    pub config: Option<Config>,
    /// What is wrong with it.
    pub problems: Vec<Finding>,
}

impl Read {
    /// Reads it from its file.
    pub fn of(file: Option<&Path>) -> Self {
        let Some(file) = file else {
            return Self {
                config: None,
                problems: vec![Finding::skipped("none was named (--config)")],
            };
        };
        let text = match fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) => {
                let found = format!("{} cannot be read: {error}", file.display());
                let remedy =
                    "name the file that the gateway is started with, and run this as who may read it";
                return Self {
                    config: None,
                    problems: vec![Finding::error(found, remedy)],
                };
            }
        };
        match documents::parse(&text) {
            Ok(config) => Self {
                problems: problems(&config),
                config: Some(config),
            },
            Err(found) => {
                let each = found.as_slice().iter().map(|problem| {
                    let place = problem.file.as_deref().unwrap_or(file).display();
                    let line = problem.line.map(|line| format!(":{line}")).unwrap_or_default();
                    let found = format!("{place}{line}: {}: {}", problem.key, problem.what);
                    Finding::error(found, problem.remedy.clone())
                });
                Self {
                    config: None,
                    problems: each.collect(),
                }
            }
        }
    }
}

/// What cannot be seen from its text: files that it names. Those of TLS have a check of their own.
fn problems(config: &Config) -> Vec<Finding> {
    let mut found = Vec::new();
    let owner = Owner::of(config);
    if let Err(problems) = Tables::load(config) {
        found.extend(problems.files().iter().map(|file| {
            let first = file.listed.first();
            let line = first.and_then(|problem| problem.line);
            let line = line.map(|line| format!(":{line}")).unwrap_or_default();
            let what = first.map_or("cannot be used", |problem| problem.what.as_str());
            Finding::error(
                format!("{}: {}{line}: {what}", file.key, file.file.display()),
                "put the table right: `tidegate check` names every line",
            )
        }));
    }
    for carrier in &config.carriers {
        match secret::read(&carrier.password) {
            Ok(_) => found.extend(exposed_password(carrier, owner)),
            // A unit has an environment of its own.
            Err(error @ SecretError::NotSet) => found.push(Finding::warning(
                format!(
                    "carrier {}: {error}, as far as this process can see",
                    carrier.name
                ),
                "see that the gateway's unit sets it; a start needs it",
            )),
            Err(error) => found.push(Finding::error(
                format!("carrier {}: {error}", carrier.name),
                "put the carrier's password there; a start needs it",
            )),
        }
    }
    found
}

fn exposed_password(carrier: &Carrier, owner: Option<Owner>) -> Option<Finding> {
    let SecretSource::File(path) = &carrier.password else {
        return None;
    };
    let data = fs::metadata(path).ok()?;
    (exposed(data.mode(), data.gid(), owner) != 0).then(|| {
        Finding::warning(
            format!(
                "carrier {}: others than the gateway can get at the password's file",
                carrier.name
            ),
            keep_to_owner(path, data.uid(), owner),
        )
    })
}

pub(super) fn look(site: &Site) -> Vec<Finding> {
    let Read { config, problems } = &site.read;
    match config {
        Some(config) if problems.is_empty() => vec![Finding::ok(format!(
            "in order (accounts: {}, carriers: {}); `tidegate check` tells more",
            config.accounts.len(),
            config.carriers.len()
        ))],
        Some(_) | None => problems.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn every_problem_is_an_error_with_its_line_and_remedy_and_none_is_a_skip() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tidegate.toml");
        fs::write(&path, "[storage]\ndata = 7\n").unwrap();
        let read = Read::of(Some(&path));
        assert!(read.config.is_none() && read.problems.len() > 1);
        assert!(
            read.problems
                .iter()
                .all(|found| found.level == Level::Error && found.remedy.is_some())
        );
        assert!(
            read.problems
                .iter()
                .any(|found| found.found.contains("toml:2: storage.data"))
        );
        let none = Read::of(Some(&dir.path().join("none"))).problems;
        assert_eq!(none[0].level, Level::Error);
        assert_eq!(Read::of(None).problems[0].level, Level::Skipped);
    }
}
