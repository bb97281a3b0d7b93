//! How many messages of an account one person may get in a while (CAP-1).

use std::num::NonZeroU16;

use tidegate_codec::category::Category;

use super::CATEGORIES;
use crate::problem::Fault;
use crate::section::Section;
use crate::value::{choice, integer};

/// The most that a cap may say.
const CAP_MAX: u16 = 1_000;

/// An account's own caps. The law's of a recipient's place ([`crate::HoursRule::cap`]) holds beside them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapRules {
    /// Key `caps`, default `[]`, at most one for each category of `{ category = "…", per_day = …, per_week = … }`.
    pub caps: Vec<Cap>,
    /// Key `over_cap`, default `"reject"`: what becomes of a message over a cap, the law's included.
    pub over_cap: OverCap,
}

/// What one person may get of a category, in messages, whatever parts they have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cap {
    /// Key `category`, required.
    pub category: Category,
    /// Key `per_day`, 1 to 1 000, default absent (`None`: no limit): in any 24 hours.
    pub per_day: Option<NonZeroU16>,
    /// Key `per_week`, the same: in any 7 times 24 hours. One of them is required.
    pub per_week: Option<NonZeroU16>,
}

/// What becomes of a message over a cap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverCap {
    /// `"reject"`: it is refused with 0x0406, and ends as REJECTED if others went before while it waited.
    Reject,
    /// `"defer"`: it waits until fewer count, as long as it is valid.
    Defer,
}

impl CapRules {
    /// The cap of a category.
    pub fn of(&self, category: Category) -> Option<&Cap> {
        self.caps.iter().find(|cap| cap.category == category)
    }
}

pub(super) fn read(section: &mut Section<'_>) -> CapRules {
    let entries = section.each_up_to("caps", CATEGORIES.len());
    let mut caps: Vec<Cap> = Vec::new();
    for mut entry in entries {
        let category = entry.required(
            "category",
            "say of what: `category = \"marketing\"`",
            choice(CATEGORIES),
        );
        let mut limit = |key| {
            let limit = entry.optional(key, integer(1..=CAP_MAX));
            limit.and_then(NonZeroU16::new)
        };
        let (per_day, per_week) = (limit("per_day"), limit("per_week"));
        if per_day.is_none() && per_week.is_none() && !entry.has("per_day") && !entry.has("per_week") {
            entry.missing("per_day", "write how many in 24 hours, or `per_week`");
        }
        if let Some(category) = category {
            if caps.iter().any(|cap| cap.category == category) {
                let fault = Fault::new("a second cap of this category", "put both into one");
                entry.problem("category", fault);
            }
            caps.push(Cap {
                category,
                per_day,
                per_week,
            });
        }
        entry.finish(&[]);
    }
    CapRules {
        caps,
        over_cap: section.or(
            "over_cap",
            OverCap::Reject,
            choice(&[("reject", OverCap::Reject), ("defer", OverCap::Defer)]),
        ),
    }
}
