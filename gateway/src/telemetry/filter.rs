//! What is logged, changed while the process runs.
//!
//! An operator may have the gateway's own modules say more, and all others no more than `info`: what other people's crates
//! write at `debug` and below has no types of ours that do not print (LOG-1).

use std::fmt;
use std::sync::{Mutex, PoisonError};

use tracing_subscriber::EnvFilter;

/// What every directive for a module of ours begins with.
const OURS: &str = "tidegate";
/// Levels, the quietest first.
const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

/// The filter of a subscriber.
pub struct Filter {
    /// As it was at the start.
    first: String,
    /// What holds, and how often it was changed.
    now: Mutex<(u64, String)>,
    /// Puts another one in its place; says whether there is still something to be filtered.
    change: Box<dyn Fn(EnvFilter) -> bool + Send + Sync>,
}

/// What a change of the filter was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// By which it can be given back.
    pub number: u64,
    /// The filter that holds.
    pub text: String,
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filter")
            .field("first", &self.first)
            .finish_non_exhaustive()
    }
}

impl Filter {
    /// What begins with this text and is changed so.
    pub(super) fn new(first: &str, change: impl Fn(EnvFilter) -> bool + Send + Sync + 'static) -> Self {
        Self {
            first: first.to_owned(),
            now: Mutex::new((0, first.to_owned())),
            change: Box::new(change),
        }
    }

    /// The filter that holds.
    pub fn text(&self) -> String {
        self.now.lock().unwrap_or_else(PoisonError::into_inner).1.clone()
    }

    /// Has another filter hold: levels, and `tidegate…=LEVEL` for modules of ours.
    ///
    /// # Errors
    ///
    /// What is wrong with it, in words for the operator.
    pub fn set(&self, text: &str) -> Result<Changed, String> {
        let text = read(text)?;
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        self.put(&text)?;
        *now = (now.0 + 1, text.clone());
        Ok(Changed { number: now.0, text })
    }

    /// Has the first filter hold again, unless it was changed once more since that change; says which that is.
    pub fn give_back(&self, number: u64) -> Option<String> {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        if now.0 != number || self.put(&self.first).is_err() {
            return None;
        }
        *now = (now.0 + 1, self.first.clone());
        Some(self.first.clone())
    }

    fn put(&self, text: &str) -> Result<(), String> {
        let filter = EnvFilter::try_new(text).map_err(|error| format!("no filter: {error}"))?;
        if (self.change)(filter) {
            Ok(())
        } else {
            Err("this process logs nothing any more".to_owned())
        }
    }
}

/// Reads a filter of an operator and says it in `tracing`'s form. Where it names modules only, all else stays at `info`.
fn read(text: &str) -> Result<String, String> {
    let mut out = Vec::new();
    let mut has_level = false;
    for piece in text.split(',').map(str::trim) {
        let (module, level) = match piece.split_once('=') {
            Some((module, level)) => (Some(module.trim()), level.trim()),
            None => (None, piece),
        };
        let level = level.to_ascii_lowercase();
        let Some(loudness) = LEVELS.iter().position(|known| *known == level) else {
            return Err(format!(
                "{piece:?} is no level: one of {}, or MODULE=LEVEL",
                LEVELS.join(", ")
            ));
        };
        match module {
            Some(module) if is_ours(module) => out.push(format!("{module}={level}")),
            Some(module) => {
                return Err(format!(
                    "{module:?} is no module of the gateway: {OURS}_gateway, {OURS}_store::spool and the like"
                ));
            }
            None if has_level => return Err("it has two levels for everything".to_owned()),
            None => {
                has_level = true;
                if loudness <= 2 {
                    out.insert(0, level);
                } else {
                    out.insert(0, format!("info,{OURS}={level}"));
                }
            }
        }
    }
    if !has_level {
        out.insert(0, "info".to_owned());
    }
    Ok(out.join(","))
}

fn is_ours(module: &str) -> bool {
    let is_plain =
        |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || matches!(octet, b'_' | b':');
    module.starts_with(OURS) && module.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_of_ours_may_say_more_and_others_do_not() {
        for (text, expected) in [
            ("warn", "warn"),
            ("DEBUG", "info,tidegate=debug"),
            ("tidegate_gateway::mt=trace", "info,tidegate_gateway::mt=trace"),
            ("tidegate_store=debug, error", "error,tidegate_store=debug"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(expected));
        }
        for (text, word) in [
            ("", "no level"),
            ("loud", "loud"),
            ("off", "off"),
            ("hyper=trace", "hyper"),
            ("tidegate[span]=debug", "no module"),
            ("tidegate_gateway", "MODULE=LEVEL"),
            ("info,debug", "two levels"),
            ("debug,", "no level"),
        ] {
            let refused = read(text).unwrap_err();
            assert!(refused.contains(word), "{text}: {refused}");
        }
    }

    #[test]
    fn only_the_last_change_is_given_back() {
        let filter = Filter::new("warn", |_| true);
        let first = filter.set("debug").unwrap();
        let second = filter.set("error").unwrap();
        assert_eq!(filter.give_back(first.number), None);
        assert_eq!(filter.text(), "error");
        assert_eq!(filter.give_back(second.number).as_deref(), Some("warn"));
        assert_eq!(filter.text(), "warn");
        let gone = Filter::new("warn", |_| false);
        assert!(gone.set("debug").is_err());
        assert_eq!(gone.text(), "warn");
    }
}
