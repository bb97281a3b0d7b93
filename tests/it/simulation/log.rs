//! What happened in a run, in order: for its digest, and to be read when a run has failed.

use std::hash::{DefaultHasher, Hash, Hasher};

/// Lines at the end of the log that a failure shows.
const TAIL: usize = 60;

/// The log of one run.
#[derive(Default)]
pub(crate) struct Log {
    lines: Vec<String>,
    hasher: DefaultHasher,
}

impl Log {
    /// Adds a line.
    pub(crate) fn add(&mut self, at_ms: u64, line: &str) {
        let line = format!("{:>8}.{:03} {line}", at_ms / 1000, at_ms % 1000);
        line.hash(&mut self.hasher);
        self.lines.push(line);
    }

    /// What two runs of one seed must have in common.
    pub(crate) fn digest(&self) -> u64 {
        self.hasher.finish()
    }

    /// How many lines there are.
    pub(crate) fn len(&self) -> usize {
        self.lines.len()
    }

    /// All of it.
    pub(crate) fn whole(&self) -> String {
        self.lines.join("\n")
    }

    /// Every line that names this, and the last of all.
    pub(crate) fn about(&self, name: &str) -> String {
        let of_it = self.lines.iter().filter(|line| line.contains(name));
        let tail = &self.lines[self.lines.len().saturating_sub(TAIL)..];
        let mut out = format!("--- every line about {name}\n");
        of_it.for_each(|line| out.extend([line.as_str(), "\n"]));
        out.push_str("--- the last lines\n");
        tail.iter().for_each(|line| out.extend([line.as_str(), "\n"]));
        out
    }

    /// Where two logs begin to differ: the lines before it, and one of each.
    pub(crate) fn differs_at(&self, other: &Self) -> Option<String> {
        let place = self.lines.iter().zip(&other.lines).position(|(a, b)| a != b)?;
        let before = self.lines[place.saturating_sub(15)..=place].join("\n");
        Some(format!("{before}\n{}", other.lines[place]))
    }
}
