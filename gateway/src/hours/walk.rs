//! From one change of the answer to the next: when every rule allows something in every zone, and when it stops to.

use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use smallvec::SmallVec;
use tidegate_config::HoursRule;

use super::Zone;
use super::zones::LIKELY_ZONES;

/// Days that are searched for a change, those of UTC, today among them. Longer closures are told as having no end; the
/// longest that anybody has are the week of a feast and the weekends around it.
const HORIZON_DAYS: i64 = 15;
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
const MINUTE_MS: i64 = 60 * 1_000;

/// The rows of one jurisdiction.
pub(super) type Law = [HoursRule];

/// What holds from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) is_open: bool,
    /// When it changes, in unix milliseconds. Beyond the horizon nobody looks: what is open is open that long at least, and
    /// what is shut has no opening, `None`.
    pub(super) changes_ms: Option<i64>,
    /// Up to when the same is answered. Without a change that is midnight: another day has another horizon.
    pub(super) stands_ms: i64,
}

impl Stretch {
    /// Whether there is no opening within the horizon.
    pub(super) const fn is_shut_for_long(self) -> bool {
        !self.is_open && self.changes_ms.is_none()
    }
}

/// A zone's clock, with the offset that it has for a while.
struct Local {
    clock: &'static TimeZone,
    offset_ms: i64,
    /// When it is set forward or back, at the earliest.
    ends_ms: i64,
}

impl Local {
    fn new(clock: &'static TimeZone, at_ms: i64) -> Option<Self> {
        let at = Timestamp::from_millisecond(at_ms).ok()?;
        let next = clock.following(at).next();
        Some(Self {
            clock,
            offset_ms: i64::from(clock.to_offset(at).seconds()) * 1_000,
            ends_ms: next.map_or(i64::MAX, |next| next.timestamp().as_millisecond()),
        })
    }

    /// Whether every law allows something here now, and when that may change. What is asked is the clock on the wall, so
    /// that a day of 23 or 25 hours needs no thought (QH-8).
    fn look(&mut self, laws: &[&Law], at_ms: i64) -> Option<(bool, i64)> {
        if at_ms >= self.ends_ms {
            *self = Self::new(self.clock, at_ms)?;
        }
        let wall_ms = at_ms + self.offset_ms;
        let (day, of_day_ms) = (wall_ms.div_euclid(DAY_MS), wall_ms.rem_euclid(DAY_MS));
        let today = EPOCH.checked_add(Span::new().try_days(day).ok()?).ok()?;
        let (mut is_open, mut next_ms) = (true, DAY_MS);
        for law in laws {
            let hours = law.iter().find_map(|row| row.on(today));
            let (from, to) = hours.map_or((0, 0), |(from, to)| {
                (i64::from(from) * MINUTE_MS, i64::from(to) * MINUTE_MS)
            });
            is_open &= (from..to).contains(&of_day_ms);
            for edge in [from, to].into_iter().filter(|edge| *edge > of_day_ms) {
                next_ms = next_ms.min(edge);
            }
        }
        Some((is_open, (at_ms + next_ms - of_day_ms).min(self.ends_ms)))
    }
}

const EPOCH: Date = date(1970, 1, 1);

/// Whether marketing may be sent to somebody who may be in any of these zones, and until when. `None` for times beyond any
/// calendar.
pub(super) fn walk(laws: &[&Law], zones: &[Zone], at_ms: i64) -> Option<Stretch> {
    let locals = zones.iter().filter_map(|zone| zone.clock());
    let locals: Option<SmallVec<[Local; LIKELY_ZONES]>> =
        locals.map(|clock| Local::new(clock, at_ms)).collect();
    let mut locals = locals?;
    let mut look = |at_ms| {
        let mut all = (true, i64::MAX);
        for local in &mut locals {
            let (is_open, next_ms) = local.look(laws, at_ms)?;
            all = (all.0 && is_open, all.1.min(next_ms));
        }
        Some(all)
    };
    let today_ms = at_ms - at_ms.rem_euclid(DAY_MS);
    let horizon_ms = today_ms + HORIZON_DAYS * DAY_MS;
    let (is_open, mut next_ms) = look(at_ms)?;
    // Each step is a change of a clock or of a rule, so there are a few for each day and zone.
    while next_ms < horizon_ms {
        let (then_open, then_ms) = look(next_ms)?;
        if then_open != is_open {
            return Some(Stretch {
                is_open,
                changes_ms: Some(next_ms),
                stands_ms: next_ms,
            });
        }
        next_ms = then_ms;
    }
    Some(Stretch {
        is_open,
        changes_ms: is_open.then_some(horizon_ms),
        stands_ms: today_ms + DAY_MS,
    })
}
