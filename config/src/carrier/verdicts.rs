//! What a carrier's statuses mean where it means them otherwise than most (interop quirks 23, 32).

use std::collections::BTreeMap;

use tidegate_codec::status::CommandStatus;

use crate::problem::Fault;
use crate::section::Section;
use crate::value::{choice, integer};

/// Statuses that one list may name.
const LISTED_MAX: usize = 64;

/// What a status that is not success means for a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusMeaning {
    /// `slow`: the carrier is full. It is fed more slowly, the message keeps its place.
    Slow,
    /// `retry`: the message may be taken later, or by the next carrier.
    Retry,
    /// `reject`: it will never be taken: REJECTD.
    Reject,
    /// `relink`: the session is at fault. It is bound anew, the message keeps its place.
    Relink,
}

/// Table `verdicts` of a carrier: lists of command_status by what they mean there, default all empty; and key
/// `unknown`, default `"retry"`, for statuses that neither a list nor SMPP knows (reserved and vendor values).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdicts {
    listed: BTreeMap<u32, StatusMeaning>,
    /// For statuses that nobody knows; never [`StatusMeaning::Relink`].
    pub unknown: StatusMeaning,
}

impl Default for Verdicts {
    fn default() -> Self {
        Self {
            listed: BTreeMap::new(),
            unknown: StatusMeaning::Retry,
        }
    }
}

impl Verdicts {
    /// What is listed, and what the unknown means.
    pub fn new(listed: impl IntoIterator<Item = (u32, StatusMeaning)>, unknown: StatusMeaning) -> Self {
        Self {
            listed: listed.into_iter().collect(),
            unknown,
        }
    }

    /// What the file says of a status; `None` where it says nothing.
    pub fn listed(&self, status: CommandStatus) -> Option<StatusMeaning> {
        // Success and the usual refusals come by the thousand, and most files list nothing.
        if self.listed.is_empty() {
            return None;
        }
        self.listed.get(&status.0).copied()
    }
}

pub(super) fn read(section: &mut Section<'_>) -> Verdicts {
    let mut table = section.section("verdicts");
    let mut listed = BTreeMap::new();
    for (key, meaning) in [
        ("slow", StatusMeaning::Slow),
        ("retry", StatusMeaning::Retry),
        ("reject", StatusMeaning::Reject),
        ("relink", StatusMeaning::Relink),
    ] {
        let statuses = table.list(key, 0..=LISTED_MAX, |value| {
            let status: u32 = integer(1..=u32::MAX)(value)?;
            match listed.insert(status, meaning) {
                None => Ok(()),
                Some(_) => Err(Fault::new(
                    format!("{status:#x} is listed twice"),
                    "say once what it means",
                )),
            }
        });
        // Each was noted, or reported.
        drop(statuses);
    }
    let unknown = table.or(
        "unknown",
        StatusMeaning::Retry,
        choice(&[
            ("retry", StatusMeaning::Retry),
            ("reject", StatusMeaning::Reject),
            ("slow", StatusMeaning::Slow),
        ]),
    );
    table.finish(&[]);
    Verdicts::new(listed, unknown)
}
