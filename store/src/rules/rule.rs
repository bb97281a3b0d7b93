//! Rules, and those that hold together.

use std::fmt;

use super::class::{Action, Anchor, Class, Kind};
use super::span::Span;

/// How long after its anchor a rule counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum After {
    /// So long.
    Span(Span),
    /// A body is not stored beyond delivery: it is gone when its message is final (RET-5).
    NoStore,
    /// Never: of a limit "until deleted", of a floor "for ever".
    Never,
}

/// A rule (compliance.md §7.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Of what.
    pub class: Class,
    /// How it binds.
    pub kind: Kind,
    /// From when it counts.
    pub anchor: Anchor,
    /// How long after.
    pub after: After,
    /// What happens then. A limit or ceiling with [`Action::Keep`] has no date.
    pub action: Action,
    /// An account's instruction may move a limit later.
    pub extend: bool,
    /// An account's instruction may move a limit earlier.
    pub shorten: bool,
    /// Whose rule it is: a profile's name, or a jurisdiction.
    pub from: Box<str>,
    /// Why, for people; may be empty.
    pub why: Box<str>,
}

/// A profile with what the jurisdictions of an account add to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleSet {
    name: Box<str>,
    /// By class.
    rules: Vec<Rule>,
}

impl RuleSet {
    /// The rules that hold together, under a name for people.
    pub fn new(name: &str, rules: impl IntoIterator<Item = Rule>) -> Self {
        let mut rules: Vec<Rule> = rules.into_iter().collect();
        rules.sort_by_key(|rule| rule.class);
        Self {
            name: name.into(),
            rules,
        }
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Those of a class; none where nothing of it may be written (RET-1).
    pub fn of(&self, class: Class) -> &[Rule] {
        let from = self.rules.partition_point(|rule| rule.class < class);
        let until = self.rules.partition_point(|rule| rule.class <= class);
        self.rules.get(from..until).unwrap_or_default()
    }

    /// Classes of which nothing may be written (RET-1).
    pub fn missing(&self) -> impl Iterator<Item = Class> {
        let mut classes = Class::ALL.iter().copied();
        std::iter::from_fn(move || classes.by_ref().find(|class| self.of(*class).is_empty()))
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kind,
            anchor,
            action,
            from,
            ..
        } = self;
        write!(f, "{from}: {kind}, ")?;
        match (self.after, kind) {
            (After::Span(span), _) => write!(f, "{action} at {anchor}+{span}")?,
            (After::NoStore, _) => f.write_str("not stored beyond delivery")?,
            (After::Never, Kind::Floor) => f.write_str("kept without end")?,
            (After::Never, _) => f.write_str("until deleted")?,
        }
        if self.why.is_empty() {
            Ok(())
        } else {
            write!(f, " ({})", self.why)
        }
    }
}
