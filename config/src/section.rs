//! One table of the file under reading: hands out its values converted, reports what is wrong with each,
//! and at the end what nobody asked for.
//!
//! The TOML tree is read directly rather than derived: a derived reader stops at the first error, and
//! every problem is to be told at once with its line.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::ops::{Range, RangeInclusive};
use std::path::Path;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::problem::{Fault, Report};
use crate::value::{duration, shown};

/// A table, or the place where one is absent and every default holds.
pub(crate) struct Section<'t> {
    report: &'t Report,
    /// Dotted path with a dot at its end, empty for the file itself.
    prefix: String,
    /// The same as the schema has it: without indices and names.
    #[cfg(test)]
    schema: String,
    span: Option<Range<usize>>,
    table: Option<&'t DeTable<'t>>,
    known: Vec<&'static str>,
}

impl<'t> Section<'t> {
    /// The file itself.
    pub(crate) fn root(report: &'t Report, table: &'t DeTable<'t>) -> Self {
        Self {
            report,
            prefix: String::new(),
            #[cfg(test)]
            schema: String::new(),
            span: None,
            table: Some(table),
            known: Vec::new(),
        }
    }

    fn look(&mut self, key: &'static str) -> Option<&'t Spanned<DeValue<'t>>> {
        self.known.push(key);
        self.table.and_then(|table| table.get(key))
    }

    /// A value that may be absent. One that is refused is reported and reads as absent.
    pub(crate) fn optional<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&DeValue<'_>) -> Result<T, Fault>,
    ) -> Option<T> {
        let value = self.look(key)?;
        match read(value.get_ref()) {
            Ok(value) => Some(value),
            Err(fault) => {
                self.problem(key, fault);
                None
            }
        }
    }

    /// A value with a default.
    pub(crate) fn or<T>(
        &mut self,
        key: &'static str,
        default: T,
        read: impl FnOnce(&DeValue<'_>) -> Result<T, Fault>,
    ) -> T {
        self.optional(key, read).unwrap_or(default)
    }

    /// A value that must be there; `remedy` says what to write when it is not.
    pub(crate) fn required<T>(
        &mut self,
        key: &'static str,
        remedy: &str,
        read: impl FnOnce(&DeValue<'_>) -> Result<T, Fault>,
    ) -> Option<T> {
        if !self.has(key) {
            self.missing(key, remedy);
        }
        self.optional(key, read)
    }

    /// A list, element by element; refused elements are reported and left out. Absent reads as `None`.
    pub(crate) fn list<T>(
        &mut self,
        key: &'static str,
        len: RangeInclusive<usize>,
        mut read: impl FnMut(&DeValue<'_>) -> Result<T, Fault>,
    ) -> Option<Vec<T>> {
        let value = self.look(key)?;
        let Some(items) = value.get_ref().as_array() else {
            let fault = Fault::new(
                format!("{} where a list belongs", shown::kind(value.get_ref())),
                format!("write `{key} = [ … ]`"),
            );
            self.problem(key, fault);
            return None;
        };
        if !len.contains(&items.len()) {
            let fault = Fault::new(
                format!("{} elements", items.len()),
                format!("give {} to {} elements", len.start(), len.end()),
            );
            self.problem(key, fault);
        }
        let mut values = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            match read(item.get_ref()) {
                Ok(value) => values.push(value),
                Err(fault) => self.problem_in_list(key, index, fault),
            }
        }
        Some(values)
    }

    /// A table whose keys are the operator's own; what is refused is reported and left out.
    pub(crate) fn map<K, V>(
        &mut self,
        key: &'static str,
        max: usize,
        read_key: impl Fn(&str) -> Result<K, Fault>,
        read: impl Fn(&DeValue<'_>) -> Result<V, Fault>,
    ) -> Vec<(K, V)> {
        let Some(value) = self.look(key) else {
            return Vec::new();
        };
        let Some(table) = value.get_ref().as_table() else {
            let fault = Fault::new(
                format!("{} where a table belongs", shown::kind(value.get_ref())),
                format!("write `{key} = {{ name = value, … }}`"),
            );
            self.problem(key, fault);
            return Vec::new();
        };
        if table.len() > max {
            let fault = Fault::new(format!("{} keys", table.len()), format!("give at most {max}"));
            self.problem(key, fault);
            return Vec::new();
        }
        let mut read_all = Vec::with_capacity(table.len());
        for (name, value) in table {
            let read = read_key(name.get_ref()).and_then(|name| Ok((name, read(value.get_ref())?)));
            match read {
                Ok(pair) => read_all.push(pair),
                Err(fault) => {
                    let path = format!("{}.{}", self.path(key), shown::key(name.get_ref()));
                    self.report.add(path, Some(&name.span()), fault);
                }
            }
        }
        read_all
    }

    /// A table inside this one; when absent, a section in which everything is absent.
    pub(crate) fn section(&mut self, key: &'static str) -> Self {
        let value = self.look(key);
        let table = value.and_then(|value| value.get_ref().as_table());
        if let Some(value) = value
            && table.is_none()
        {
            let fault = Fault::new(
                format!("{} where a table belongs", shown::kind(value.get_ref())),
                format!(
                    "write `[{}{key}]` in single brackets and its keys below",
                    self.prefix
                ),
            );
            self.problem(key, fault);
        }
        Self {
            report: self.report,
            prefix: format!("{}{key}.", self.prefix),
            #[cfg(test)]
            schema: format!("{}{key}.", self.schema),
            span: value.map(Spanned::span).filter(|span| !span.is_empty()),
            table,
            known: Vec::new(),
        }
    }

    /// The tables of an array of tables, in order.
    pub(crate) fn each(&mut self, key: &'static str) -> Vec<Self> {
        let Some(value) = self.look(key) else {
            return Vec::new();
        };
        let tables = value.get_ref().as_array().filter(|items| {
            // An empty list is a list of tables, too.
            items.iter().all(|item| item.get_ref().is_table())
        });
        let Some(tables) = tables else {
            let fault = Fault::new(
                format!("{} where a list of tables belongs", shown::kind(value.get_ref())),
                format!(
                    "write `[[{}{key}]]` in double brackets, once for each",
                    self.prefix
                ),
            );
            self.problem(key, fault);
            return Vec::new();
        };
        tables
            .iter()
            .enumerate()
            .map(|(index, item)| Self {
                report: self.report,
                prefix: format!("{}{key}[{index}].", self.prefix),
                #[cfg(test)]
                schema: format!("{}{key}.", self.schema),
                span: Some(item.span()),
                table: item.get_ref().as_table(),
                known: Vec::new(),
            })
            .collect()
    }

    /// The same of a list that has a bound.
    pub(crate) fn each_up_to(&mut self, key: &'static str, max: usize) -> Vec<Self> {
        let entries = self.each(key);
        if entries.len() > max {
            let what = format!("{} elements", entries.len());
            self.problem(key, Fault::new(what, format!("give up to {max}")));
        }
        entries
    }

    /// Names the section by its own name instead of its place: `carrier.sink.` says more than
    /// `carrier[0].`.
    pub(crate) fn name(&mut self, array: &str, name: &str) {
        self.prefix = format!("{array}.{name}.");
    }

    /// Whether the file has the key, rightly or wrongly filled.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(key))
    }

    /// Whether part of the file could not be read at all.
    pub(crate) fn damaged(&self) -> bool {
        self.report.damaged()
    }

    /// Reports what is wrong with a key of this section.
    pub(crate) fn problem(&self, key: &str, fault: Fault) {
        self.report.add(self.path(key), self.span_of(key).as_ref(), fault);
    }

    /// Reports everything that is wrong with a file that this section names.
    pub(crate) fn problems_of(&self, file: &Path, report: Report) {
        // Its keys might stand here as well.
        #[cfg(test)]
        for key in report.asked.borrow().iter() {
            let key = format!("{}{key}", self.schema);
            self.report.asked.borrow_mut().insert(key);
        }
        self.report.add_of(file, report);
    }

    /// The same of a file whose keys cannot stand here.
    pub(crate) fn problems_of_data(&self, file: &Path, report: Report) {
        self.report.add_of(file, report);
    }

    /// Reports what is wrong with one element of a list.
    pub(crate) fn problem_in_list(&self, key: &str, index: usize, fault: Fault) {
        let item = self
            .table
            .and_then(|table| table.get(key))
            .and_then(|list| list.get_ref().as_array())
            .and_then(|items| items.get(index))
            .map(Spanned::span);
        self.report.add(
            format!("{}[{index}]", self.path(key)),
            item.or_else(|| self.span_of(key)).as_ref(),
            fault,
        );
    }

    /// Reports a key that is not there. Silent when the file is damaged: it may be in the unread part.
    pub(crate) fn missing(&self, key: &str, remedy: &str) {
        if !self.damaged() {
            self.problem(key, Fault::new("missing", remedy));
        }
    }

    /// Reports when the first of two values is not below the second (or equal, where that is allowed), at
    /// whichever the file sets.
    pub(crate) fn in_order(&self, low: (&str, Duration), high: (&str, Duration), equal: bool) {
        if low.1 < high.1 || (equal && low.1 == high.1) {
            return;
        }
        let than = if equal { "at most" } else { "less than" };
        self.problem(
            if self.has(low.0) { low.0 } else { high.0 },
            Fault::new(
                format!(
                    "{} = \"{}\" with {} = \"{}\"",
                    low.0,
                    duration::write(low.1),
                    high.0,
                    duration::write(high.1)
                ),
                format!("set {} to {than} {}", low.0, high.0),
            ),
        );
    }

    /// Reports the second use of what may be used once. `seen` maps values to the lines of their keys.
    pub(crate) fn once<K: Eq + Hash>(
        &self,
        key: &str,
        seen: &mut HashMap<K, Option<usize>>,
        value: K,
        what: &str,
        remedy: &str,
    ) {
        let line = self.span_of(key).map(|span| self.report.line(&span));
        match seen.entry(value) {
            Entry::Vacant(first) => {
                first.insert(line);
            }
            Entry::Occupied(first) => {
                let place = first
                    .get()
                    .map_or(String::new(), |line| format!(" by line {line}"));
                self.problem(key, Fault::new(format!("{what}{place}"), remedy));
            }
        }
    }

    /// Ends the reading: keys that nobody asked for are problems. `instead` has the remedy for those that
    /// people are known to try.
    pub(crate) fn finish(self, instead: &[(&str, &str)]) {
        #[cfg(test)]
        for key in &self.known {
            self.report
                .asked
                .borrow_mut()
                .insert(format!("{}{key}", self.schema));
        }
        let Some(table) = self.table.filter(|_| !self.damaged()) else {
            return;
        };
        for key in table.keys() {
            let name = key.get_ref().as_ref();
            if self.known.contains(&name) {
                continue;
            }
            let remedy = match instead.iter().find(|(wrong, _)| *wrong == name) {
                Some((_, remedy)) => (*remedy).to_owned(),
                None => match self.closest(name) {
                    Some(close) => format!("did you mean `{close}`?"),
                    None => format!("remove it; known here: {}", self.known.join(", ")),
                },
            };
            self.report.add(
                self.path(&shown::key(name)),
                Some(&key.span()),
                Fault::new("unknown key", remedy),
            );
        }
    }

    fn closest(&self, name: &str) -> Option<&'static str> {
        // Bounded, because the distance costs the product of both lengths and the file is anybody's.
        let near = |known: &&'static str| strsim::osa_distance(name, known);
        (name.len() <= 64)
            .then(|| self.known.iter().copied().min_by_key(near))
            .flatten()
            .filter(|best| near(best) <= 1 + name.len() / 4)
    }

    fn path(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// The line on which it begins; 0 for one that is absent.
    pub(crate) fn line(&self) -> usize {
        self.span.as_ref().map_or(0, |span| self.report.line(span))
    }

    fn span_of(&self, key: &str) -> Option<Range<usize>> {
        self.table
            .and_then(|table| table.get_key_value(key))
            .map(|(key, _)| key.span())
            .or_else(|| self.span.clone())
    }
}
