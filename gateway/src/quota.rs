//! Quotas: how many parts an account may still submit today and this month.
//!
//! What was used [the store counts](tidegate_store::usage), exactly over a crash, what is staged included; here is the
//! calendar that it is counted by, and the question whether there is anything left. Nothing is kept besides, so that
//! another quota holds from the next message on.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;
use serde_json::{Map, Value, json};
use tidegate_config::{Account, Quota};
use tidegate_store::disk::Disk;
use tidegate_store::usage::{Period, Used};

use crate::clock::Now;
use crate::gate::Gate;

const DAY_MS: i64 = 86_400_000;
const MINUTE_MS: i64 = 60_000;

/// The day and month of a moment in an account's zone, remembered until the day is over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calendar {
    zone_minutes: i16,
    /// The day's begin and end, in unix milliseconds.
    from_ms: u64,
    until_ms: u64,
    /// The end of the month.
    month_until_ms: u64,
    period: Period,
}

impl Calendar {
    fn of(zone_minutes: i16, unix_ms: u64) -> Self {
        let offset_ms = i64::from(zone_minutes) * MINUTE_MS;
        let local_ms = i64::try_from(unix_ms)
            .unwrap_or(i64::MAX)
            .saturating_add(offset_ms);
        let day = local_ms.div_euclid(DAY_MS);
        let date = date_of(local_ms);
        let in_unix =
            |day: i64| u64::try_from(day.saturating_mul(DAY_MS).saturating_sub(offset_ms)).unwrap_or(0);
        let left = i64::from(date.days_in_month() - date.day());
        let month = i32::from(date.year()) * 12 + i32::from(date.month()) - 1;
        Self {
            zone_minutes,
            from_ms: in_unix(day),
            until_ms: in_unix(day + 1),
            month_until_ms: in_unix(day + left + 1),
            period: Period {
                day: u32::try_from(day).unwrap_or(0),
                month: u32::try_from(month).unwrap_or(0),
            },
        }
    }

    /// The period of a moment in a zone. Allocates nothing, and computes once a day.
    pub fn period(&mut self, quota: &Quota, now: Now) -> Period {
        let (zone, ms) = (quota.zone.minutes(), now.unix_ms);
        if self.zone_minutes != zone || !(self.from_ms..self.until_ms).contains(&ms) {
            *self = Self::of(zone, ms);
        }
        self.period
    }
}

fn date_of(local_ms: i64) -> Date {
    // What the calendar does not hold is thousands of years away.
    let at = Timestamp::from_millisecond(local_ms).unwrap_or(Timestamp::MAX);
    Offset::UTC.to_datetime(at).date()
}

/// Parts that may still be submitted, `u64::MAX` without a quota.
pub fn left(quota: &Quota, used: Used) -> u64 {
    let of = |quota: Option<std::num::NonZeroU64>, used| {
        quota.map_or(u64::MAX, |quota| quota.get().saturating_sub(used))
    };
    of(quota.day, used.day).min(of(quota.month, used.month))
}

/// What one account has used and may use, for the operator: parts, and when the period ends.
pub(crate) fn shown(account: &Account, now: Now, used: impl FnOnce(Period) -> Used) -> Map<String, Value> {
    let quota = &account.quota;
    let calendar = Calendar::of(quota.zone.minutes(), now.unix_ms);
    let Used { day, month } = used(calendar.period);
    let period = |used: u64, quota: Option<std::num::NonZeroU64>, ends_ms: u64| {
        let ends = i64::try_from(ends_ms)
            .ok()
            .and_then(|ms| Timestamp::from_millisecond(ms).ok());
        json!({
            "used": used,
            "quota": quota,
            "ends": ends.map(|ends| ends.to_string()),
        })
    };
    let mut out = Map::new();
    out.insert("account".to_owned(), json!(account.system_id.as_str()));
    out.insert("day".to_owned(), period(day, quota.day, calendar.until_ms));
    out.insert(
        "month".to_owned(),
        period(month, quota.month, calendar.month_until_ms),
    );
    out
}

impl<D: Disk> Gate<D> {
    /// What an account has used in the day and month that it is, what is staged included. What day that is, is computed
    /// once a day: this is asked of every account a few times a second.
    pub fn used(&mut self, account: usize, now: Now) -> Used {
        let state = &mut self.accounts[account];
        let period = state.calendar.period(&self.config.accounts[account].quota, now);
        self.spool.used(state.name, period)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU64;

    fn ms(text: &str) -> u64 {
        u64::try_from(text.parse::<Timestamp>().unwrap().as_millisecond()).unwrap()
    }

    #[test]
    fn days_and_months_begin_at_midnight_of_the_zone() {
        for (at, zone, until, month_until) in [
            (
                "2026-11-29T23:59:59.999Z",
                0,
                "2026-11-30T00:00:00Z",
                "2026-12-01T00:00:00Z",
            ),
            (
                "2026-11-30T00:00:00Z",
                0,
                "2026-12-01T00:00:00Z",
                "2026-12-01T00:00:00Z",
            ),
            (
                "2026-12-31T23:00:00Z",
                60,
                "2027-01-01T23:00:00Z",
                "2027-01-31T23:00:00Z",
            ),
            (
                "2028-02-28T20:00:00Z",
                -210,
                "2028-02-29T03:30:00Z",
                "2028-03-01T03:30:00Z",
            ),
            (
                "2028-02-28T19:00:00Z",
                330,
                "2028-02-29T18:30:00Z",
                "2028-02-29T18:30:00Z",
            ),
        ] {
            let calendar = Calendar::of(zone, ms(at));
            assert_eq!(
                (calendar.until_ms, calendar.month_until_ms),
                (ms(until), ms(month_until)),
                "{at}"
            );
            assert_eq!(calendar.until_ms - calendar.from_ms, 86_400_000);
            let next = Calendar::of(zone, calendar.until_ms);
            assert_eq!(next.period.day, calendar.period.day + 1);
            assert_eq!(
                next.period.month > calendar.period.month,
                until == month_until,
                "{at}"
            );
        }
        // No clock upsets it.
        for at in [0, u64::MAX] {
            Calendar::of(840, at);
            Calendar::of(-720, at);
        }
    }

    #[test]
    fn what_is_remembered_holds_for_its_day_and_zone_only() {
        let now = |text| Now {
            monotonic: std::time::Duration::ZERO,
            unix_ms: ms(text),
        };
        let config = |zone: &str| {
            let text = include_str!("../../config/bench.toml").replacen(
                "system_id = \"load\"",
                &format!("system_id = \"load\"\nquota_zone = \"{zone}\""),
                1,
            );
            tidegate_config::parse(&text).unwrap().accounts[0].quota
        };
        let mut calendar = Calendar::default();
        let today = calendar.period(&config("UTC"), now("2026-11-29T22:30:00Z"));
        assert_eq!(
            calendar.period(&config("UTC"), now("2026-11-29T23:59:59Z")),
            today
        );
        assert_eq!(
            calendar
                .period(&config("+02:00"), now("2026-11-29T22:30:00Z"))
                .day,
            today.day + 1
        );
        assert_eq!(
            calendar.period(&config("UTC"), now("2026-11-29T22:30:00Z")),
            today
        );
        assert_eq!(
            calendar.period(&config("UTC"), now("2026-11-30T00:00:00Z")).day,
            today.day + 1
        );
        assert_eq!(
            calendar.period(&config("UTC"), now("2026-11-29T23:59:59Z")),
            today,
            "a clock set back"
        );
    }

    #[test]
    fn the_tighter_of_both_quotas_counts() {
        let quota = |day, month| Quota {
            day: NonZeroU64::new(day),
            month: NonZeroU64::new(month),
            ..Quota::default()
        };
        let used = Used { day: 7, month: 90 };
        for (quota, expected) in [
            (quota(0, 0), u64::MAX),
            (quota(10, 0), 3),
            (quota(10, 92), 2),
            (quota(7, 1000), 0),
            (quota(0, 50), 0),
        ] {
            assert_eq!(left(&quota, used), expected);
        }
    }
}
