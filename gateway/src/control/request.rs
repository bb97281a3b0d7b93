//! A request's line at the control socket: how it is written, and how its keys are read.

use serde_json::{Map, Value, json};

use super::VERSION;

/// Rows of one page at most: of binds, accounts, queues, cases and what is held.
pub const PAGE_MAX: usize = 1_000;
/// Octets of a name at most.
const NAME_MAX: usize = 255;

/// The line of a verb with these keys.
pub(super) fn line(verb: &str, mut keys: Value) -> Value {
    keys["version"] = json!(VERSION);
    keys["verb"] = json!(verb);
    keys
}

/// A page of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page<T> {
    /// Behind this one, as the page before said.
    pub after: Option<T>,
    /// So many at most; [`PAGE_MAX`] where none is given.
    pub limit: Option<usize>,
}

impl<T> Page<T> {
    /// How many it has at most.
    pub(super) fn limit(&self) -> usize {
        self.limit.unwrap_or(PAGE_MAX).clamp(1, PAGE_MAX)
    }
}

/// The keys of a request. What is there and cannot be understood must not pass for what was left out.
pub(super) struct Keys<'r>(pub(super) &'r Map<String, Value>);

impl Keys<'_> {
    /// What stands there, but for null.
    pub(super) fn given(&self, key: &str) -> Option<&Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    /// A short text.
    pub(super) fn text(&self, key: &str) -> Result<Option<String>, String> {
        match self.given(key) {
            None => Ok(None),
            Some(Value::String(text)) if text.len() <= NAME_MAX => Ok(Some(text.clone())),
            Some(_) => Err(format!("\"{key}\" is a text of at most {NAME_MAX} octets")),
        }
    }

    /// The same, which must be there.
    pub(super) fn needed(&self, key: &str) -> Result<String, String> {
        self.text(key)?.ok_or_else(|| format!("\"{key}\" is missing"))
    }

    /// A number.
    pub(super) fn number(&self, key: &str) -> Result<Option<u64>, String> {
        let number = self.given(key).map(Value::as_u64);
        match number {
            None => Ok(None),
            Some(Some(number)) => Ok(Some(number)),
            Some(None) => Err(format!("\"{key}\" is a whole number")),
        }
    }

    /// Yes or no; no where nothing is said.
    pub(super) fn flag(&self, key: &str) -> Result<bool, String> {
        match self.given(key) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(format!("\"{key}\" is neither true nor false")),
        }
    }

    /// How many rows a page has at most.
    pub(super) fn limit(&self) -> Result<Option<usize>, String> {
        let limit = self.number("limit")?;
        let fits = |limit: u64| {
            usize::try_from(limit)
                .ok()
                .filter(|limit| (1..=PAGE_MAX).contains(limit))
        };
        let fitting = limit.map(|limit| fits(limit).ok_or_else(|| format!("\"limit\" is 1 to {PAGE_MAX}")));
        fitting.transpose()
    }

    /// The number of a bind, a notice or the like, which must be there.
    pub(super) fn needed_number(&self, key: &str) -> Result<u64, String> {
        self.number(key)?.ok_or_else(|| format!("\"{key}\" is missing"))
    }

    /// The number of a row of a register, which must be there; `what` says of which.
    pub(super) fn row(&self, key: &str, what: &str) -> Result<u32, String> {
        let number = self.number(key)?.and_then(|number| u32::try_from(number).ok());
        number.ok_or_else(|| format!("\"{key}\" is {what}"))
    }

    /// A text that says something, in `max` octets at most.
    pub(super) fn maybe_said(&self, key: &str, max: usize) -> Result<Option<String>, String> {
        match self.text(key)? {
            Some(text) if text.trim().is_empty() || text.len() > max => {
                Err(format!("\"{key}\" is a text of 1 to {max} octets"))
            }
            text => Ok(text),
        }
    }

    /// The same, which must be there.
    pub(super) fn said(&self, key: &str, max: usize) -> Result<String, String> {
        self.maybe_said(key, max)?
            .ok_or_else(|| format!("\"{key}\" is missing"))
    }

    /// One of some words.
    pub(super) fn one_of<T: Copy>(
        &self,
        key: &str,
        all: &[T],
        word: impl Fn(T) -> &'static str,
    ) -> Result<Option<T>, String> {
        let Some(said) = self.text(key)? else {
            return Ok(None);
        };
        let found = all.iter().copied().find(|one| word(*one) == said);
        found.map(Some).ok_or_else(|| {
            let mut words: Vec<&str> = all.iter().map(|one| word(*one)).collect();
            let last = words.pop().unwrap_or_default();
            format!("\"{key}\" is {} or {last}", words.join(", "))
        })
    }

    /// The same, which must be there.
    pub(super) fn needed_one_of<T: Copy>(
        &self,
        key: &str,
        all: &[T],
        word: impl Fn(T) -> &'static str,
    ) -> Result<T, String> {
        self.one_of(key, all, word)?
            .ok_or_else(|| format!("\"{key}\" is missing"))
    }
}
