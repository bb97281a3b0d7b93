//! How long what is stored is kept (compliance.md §7), as pure code: neither a clock nor a disk.
//!
//! A [`RuleSet`] is a profile with what jurisdictions add to it; [`decide`] says of one record whether it may be
//! read, from when on it is gone, and which rules say so (RET-3). Whoever stores a record asks whether it may be
//! written, whoever reads one asks whether it is still there, and what removes records goes by the same answer.
//!
//! ```
//! use tidegate_codec::identity::SystemId;
//! use tidegate_store::rules::{Action, After, Anchor, Class, Facts, Kind, Rule, RuleSet, State, decide};
//!
//! let rule = Rule {
//!     class: Class::Body,
//!     kind: Kind::Limit,
//!     anchor: Anchor::Accepted,
//!     after: After::Span("P90D".parse().unwrap()),
//!     action: Action::Purge,
//!     extend: false,
//!     shorten: true,
//!     from: "fixed-term".into(),
//!     why: "published service terms".into(),
//! };
//! let rules = RuleSet::new("fixed-term", [rule]);
//! let account: SystemId = "shop".parse().unwrap();
//! let mut facts = Facts::new(account, Class::Body);
//! facts.at.accepted_ms = Some(0);
//! let decision = decide(&facts, &rules, &[], &[], &[], None, 1_000);
//! assert_eq!((decision.state, decision.due_ms), (State::Live, Some(90 * 86_400_000)));
//! let contact = Facts::new(account, Class::Contact);
//! assert_eq!(decide(&contact, &rules, &[], &[], &[], None, 1_000).state, State::NotStored);
//! ```
//!
//! **Errors.** [`SpanError`], for what is no duration. Deciding has none: what cannot be reckoned with is never due.

mod bucket;
mod class;
mod decision;
mod facts;
mod instruction;
mod rule;
mod span;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

pub use bucket::{Bucket, bucket};
pub use class::{Action, Anchor, Class, Kind};
pub use decision::{By, Decision, State, decide};
pub use facts::{Erasure, Facts, Hold, Instants, Scope};
pub use instruction::{Instruction, Senders, Wish};
pub use rule::{After, Rule, RuleSet};
pub use span::{Span, SpanError};
