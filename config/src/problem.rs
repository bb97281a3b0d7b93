//! What is wrong with a file, and the report that gathers it while the file is read.

use std::cell::RefCell;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// One thing that keeps a configuration from being used.
///
/// No text in it ever repeats a password, a password hash or the name of a password's source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Dotted path of the key, such as `carrier.sink.links` or `account[2].password_hashes[0]`; empty
    /// when the text is not TOML at that place. Array elements count from 0.
    pub key: String,
    /// The file, where it is one that the configuration names; `None` for the configuration's own.
    pub file: Option<PathBuf>,
    /// Line of the file, from 1; `None` for what is missing as a whole.
    pub line: Option<usize>,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}: ", file.display())?;
        }
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{} — {}", self.what, self.remedy)
    }
}

/// All problems of a file, at least one, in the order of their lines; those of files that it names behind them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// The problems, file by file and by line; those without a line come last.
    pub fn as_slice(&self) -> &[Problem] {
        &self.0
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// Why one value is refused, before it is known where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) what: String,
    pub(crate) remedy: String,
}

impl Fault {
    pub(crate) fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            remedy: remedy.into(),
        }
    }
}

/// Gathers problems while a file is read. Shared by all sections of the file, hence the cell.
pub(crate) struct Report {
    line_starts: Vec<usize>,
    syntax_lines: Vec<usize>,
    damaged: bool,
    problems: RefCell<Vec<Problem>>,
    /// Every key that was asked for, array indices left out: the schema as the code has it.
    #[cfg(test)]
    pub(crate) asked: RefCell<std::collections::BTreeSet<String>>,
}

impl Report {
    /// A report on `text`, with the errors that its TOML reader found.
    pub(crate) fn new(text: &str, syntax: &[toml::de::Error]) -> Self {
        let line_starts = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(at, _)| at + 1))
            .collect();
        let mut report = Self {
            line_starts,
            syntax_lines: Vec::new(),
            damaged: false,
            problems: RefCell::default(),
            #[cfg(test)]
            asked: RefCell::default(),
        };
        for error in syntax {
            let line = error.span().map(|span| report.line(&span));
            // One slip often makes the reader stumble several times over the same line.
            if let Some(line) = line
                // They come in their order.
                && report.syntax_lines.last() != Some(&line)
            {
                report.syntax_lines.push(line);
            } else if line.is_some() {
                continue;
            }
            // `message` only: the error's own Display quotes the line, which may hold a secret.
            let twice = error.message().starts_with("duplicate key");
            // Of a key that stands twice the first is kept and nothing is lost; a table may take others
            // with it.
            report.damaged |= !twice || line.is_none_or(|line| report.begins_table(text, line));
            let (what, remedy) = if twice {
                (
                    "this key or table stands in the file twice".to_owned(),
                    "keep one of the two (several accounts are several `[[account]]`, in double brackets)",
                )
            } else {
                (
                    format!("not TOML: {}", error.message()),
                    "write `key = value`, texts in double quotes, lists in square brackets",
                )
            };
            report.problems.get_mut().push(Problem {
                key: String::new(),
                file: None,
                line,
                what,
                remedy: remedy.to_owned(),
            });
        }
        report
    }

    /// Part of the file could not be read, so what seems missing or out of place may only be unread.
    pub(crate) fn damaged(&self) -> bool {
        self.damaged
    }

    /// The line, from 1, in which a span begins.
    pub(crate) fn line(&self, span: &Range<usize>) -> usize {
        self.line_starts.partition_point(|start| *start <= span.start)
    }

    /// Whether the line, from 1, is a table's.
    fn begins_table(&self, text: &str, line: usize) -> bool {
        let start = self.line_starts.get(line - 1);
        let line = start.and_then(|start| text.get(*start..)).unwrap_or_default();
        line.trim_start_matches([' ', '\t']).starts_with('[')
    }

    pub(crate) fn add(&self, key: String, span: Option<&Range<usize>>, fault: Fault) {
        let line = span.map(|span| self.line(span));
        if line.is_some_and(|line| self.syntax_lines.contains(&line)) {
            return; // the value there is the TOML reader's guess, not the author's
        }
        self.problems.borrow_mut().push(Problem {
            key,
            file: None,
            line,
            what: fault.what,
            remedy: fault.remedy,
        });
    }

    /// Takes in what is wrong with a file that this one names.
    pub(crate) fn add_of(&self, file: &Path, other: Self) {
        let problems = other.problems.into_inner().into_iter().map(|problem| Problem {
            file: Some(file.to_owned()),
            ..problem
        });
        self.problems.borrow_mut().extend(problems);
    }

    /// What was read if nothing was found wrong, else everything that was.
    pub(crate) fn conclude<T>(self, read: Option<T>) -> Result<T, Problems> {
        let mut problems = self.problems.into_inner();
        match read {
            Some(value) if problems.is_empty() => return Ok(value),
            None if problems.is_empty() => problems.push(Problem {
                key: String::new(),
                file: None,
                line: None,
                what: "not understood, and no problem was noted".to_owned(),
                remedy: "this is a fault of the checker: please report it".to_owned(),
            }),
            _ => problems.sort_by(|one, other| {
                let place = |problem: &Problem| problem.line.unwrap_or(usize::MAX);
                (&one.file, place(one)).cmp(&(&other.file, place(other)))
            }),
        }
        Err(Problems(problems))
    }
}
