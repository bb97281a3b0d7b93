//! What is wrong with tables' files, told so that an operator finds the place. No text repeats what stands there:
//! it may be a subscriber's number (P4).

use std::fmt;
use std::path::{Path, PathBuf};

/// Problems that are told of one file; of the others only how many there are.
pub const PROBLEMS_MAX: usize = 20;

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableProblem {
    /// Line of the file, from 1; `None` for the file as a whole.
    pub line: Option<u64>,
    /// Column by its name; `None` for the row as a whole.
    pub column: Option<&'static str>,
    /// What is wrong, and what would be right.
    pub what: String,
}

/// What is wrong with one file: problems in the order in which they were found, at most [`PROBLEMS_MAX`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileProblems {
    /// The configuration's key that names the file, such as `tables.networks`.
    pub key: String,
    /// The file.
    pub file: PathBuf,
    /// The first of them.
    pub listed: Vec<TableProblem>,
    /// How many more there are.
    pub more: u64,
}

/// What is wrong with the tables: at least one problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableProblems(pub(super) Vec<FileProblems>);

impl TableProblems {
    /// By file, in the order in which they are read.
    pub fn files(&self) -> &[FileProblems] {
        &self.0
    }
}

impl FileProblems {
    /// A file with which nothing is wrong as yet.
    pub(super) fn none(key: impl Into<String>, file: &Path) -> Self {
        Self {
            key: key.into(),
            file: file.to_owned(),
            listed: Vec::new(),
            more: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }

    /// A problem of the file as a whole.
    pub(super) fn file(&mut self, what: impl Into<String>) {
        self.add(None, None, what);
    }

    /// A problem of one row.
    pub(super) fn row(&mut self, line: u64, what: impl Into<String>) {
        self.add(Some(line), None, what);
    }

    /// A problem of one value.
    pub(super) fn value(&mut self, line: u64, column: &'static str, what: impl Into<String>) {
        self.add(Some(line), Some(column), what);
    }

    fn add(&mut self, line: Option<u64>, column: Option<&'static str>, what: impl Into<String>) {
        if self.listed.len() < PROBLEMS_MAX {
            let what = what.into();
            self.listed.push(TableProblem { line, column, what });
        } else {
            self.more += 1;
        }
    }
}

impl fmt::Display for TableProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.line, self.column) {
            (Some(line), Some(column)) => write!(f, "line {line}, {column}: {}", self.what),
            (Some(line), None) => write!(f, "line {line}: {}", self.what),
            (None, _) => f.write_str(&self.what),
        }
    }
}

impl fmt::Display for FileProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.listed.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{}: {}: {problem}", self.key, self.file.display())?;
        }
        if self.more > 0 {
            write!(
                f,
                "\n{}: {}: and {} more",
                self.key,
                self.file.display(),
                self.more
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for TableProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, file) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{file}")?;
        }
        Ok(())
    }
}

impl std::error::Error for TableProblems {}
