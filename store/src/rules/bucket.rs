//! The stretch of time whose records share one key.

use std::ops::Range;

use super::span::{DAY_MS, HOUR_MS, Span};

/// The stretches of UTC that records of one account and class are put together by: they have one key, which goes with
/// the last of them (ERA-4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Bucket {
    /// An hour.
    Hour,
    /// A day.
    Day,
    /// A week from Monday to Sunday, as ISO 8601 has it.
    IsoWeek,
}

/// For what is kept so long: an hour below `P30D`, a day up to `P210D`, a week above. From `P30D` on that is a
/// thirtieth of the rule at most (ERA-4).
pub fn bucket(span: Span) -> Bucket {
    match span.shortest_ms() {
        ms if ms < 30 * DAY_MS => Bucket::Hour,
        ms if ms <= 210 * DAY_MS => Bucket::Day,
        _ => Bucket::IsoWeek,
    }
}

impl Bucket {
    /// The first instant of the bucket of an instant, and the first behind it; both in milliseconds since 1970 UTC,
    /// before which there is nothing.
    pub const fn around(self, at_ms: u64) -> Range<u64> {
        let (length, before) = match self {
            Self::Hour => (HOUR_MS, 0),
            Self::Day => (DAY_MS, 0),
            // 1 January 1970 was a Thursday: its week began three days earlier.
            Self::IsoWeek => (7 * DAY_MS, 3 * DAY_MS),
        };
        let since = (at_ms % length + before) % length;
        at_ms.saturating_sub(since)..at_ms.saturating_add(length - since)
    }
}
