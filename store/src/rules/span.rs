//! Durations of rules: calendar months, days and a time, as ISO 8601 writes them.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::fmt::temporal::SpanParser;
use jiff::tz::Offset;

pub(super) const HOUR_MS: u64 = 3_600_000;
pub(super) const DAY_MS: u64 = 24 * HOUR_MS;
/// A thousand years: more would leave the calendar.
const MONTHS_MAX: u32 = 12_000;
const DAYS_MAX: u32 = 366_000;
const MS_MAX: u64 = DAYS_MAX as u64 * DAY_MS;

/// A duration of a rule, such as `P24M`, `P30D`, `PT10M` or `P0D`: up to a thousand years.
///
/// Months and years are of the calendar, in UTC, and end on the last day of a month that is too short: 31 January and
/// `P1M` is 28 or 29 February (GEN-5). Days are 24 hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    months: u32,
    days: u32,
    ms: u64,
}

/// Why a text is no duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no duration of ISO 8601 up to a thousand years, such as P24M, P30D or PT10M")]
pub struct SpanError;

impl Span {
    /// Nothing: at once.
    pub const ZERO: Self = Self {
        months: 0,
        days: 0,
        ms: 0,
    };

    /// Of months, then days, then milliseconds; `None` beyond a thousand years of any of them.
    pub const fn new(months: u32, days: u32, ms: u64) -> Option<Self> {
        if months > MONTHS_MAX || days > DAYS_MAX || ms > MS_MAX {
            return None;
        }
        Some(Self { months, days, ms })
    }

    /// The instant so long after another, in milliseconds since 1970 UTC. `u64::MAX` where the calendar ends: never.
    pub fn after(self, from_ms: u64) -> u64 {
        let moved = if self.months == 0 {
            Some(from_ms)
        } else {
            self.months_after(from_ms)
        };
        let rest = u64::from(self.days) * DAY_MS + self.ms;
        moved.map_or(u64::MAX, |moved| moved.saturating_add(rest))
    }

    fn months_after(self, from_ms: u64) -> Option<u64> {
        let from = Timestamp::from_millisecond(i64::try_from(from_ms).ok()?).ok()?;
        let months = jiff::Span::new().try_months(self.months).ok()?;
        // The calendar keeps to the last day of a month that is too short.
        let moved = Offset::UTC.to_datetime(from).checked_add(months).ok()?;
        let moved = Offset::UTC.to_timestamp(moved).ok()?;
        u64::try_from(moved.as_millisecond()).ok()
    }

    /// How long it lasts at least, from the first of any month of a year without a leap day.
    pub(super) fn shortest_ms(self) -> u64 {
        /// 1 January 2025.
        const YEAR_MS: u64 = 20_089 * DAY_MS;
        let starts = (0..12).map(|months| Self { months, ..Self::ZERO }.after(YEAR_MS));
        let lasting = starts.map(|start| self.after(start).saturating_sub(start));
        lasting.min().unwrap_or(u64::MAX)
    }
}

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        // Signs, fractions and small letters are allowed by the standard or by the parser, and would only be a second
        // way.
        let is_plain = text
            .bytes()
            .all(|octet| octet.is_ascii_uppercase() || octet.is_ascii_digit());
        let span = SpanParser::new().parse_span(text).ok().filter(|_| is_plain);
        let span = span.ok_or(SpanError)?;
        let months = i64::from(span.get_years()) * 12 + i64::from(span.get_months());
        let days = i64::from(span.get_weeks()) * 7 + i64::from(span.get_days());
        let minutes = i64::from(span.get_hours())
            .checked_mul(60)
            .and_then(|minutes| minutes.checked_add(span.get_minutes()));
        let ms = minutes
            .and_then(|minutes| minutes.checked_mul(60)?.checked_add(span.get_seconds()))
            .and_then(|seconds| seconds.checked_mul(1_000)?.checked_add(span.get_milliseconds()));
        let parts = (u32::try_from(months), u32::try_from(days), ms.map(u64::try_from));
        let (Ok(months), Ok(days), Some(Ok(ms))) = parts else {
            return Err(SpanError);
        };
        Self::new(months, days, ms).ok_or(SpanError)
    }
}

/// As ISO 8601 writes it, in months, days and the smallest unit of time that shows it whole: `P24M`, `PT10M`.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { months, days, ms } = *self;
        f.write_str("P")?;
        match months {
            0 => {}
            years if years % 12 == 0 && years > 24 => write!(f, "{}Y", years / 12)?,
            months => write!(f, "{months}M")?,
        }
        if days > 0 || (months, ms) == (0, 0) {
            write!(f, "{days}D")?;
        }
        match ms {
            0 => Ok(()),
            ms if ms % HOUR_MS == 0 => write!(f, "T{}H", ms / HOUR_MS),
            ms if ms % 60_000 == 0 => write!(f, "T{}M", ms / 60_000),
            ms if ms % 1_000 == 0 => write!(f, "T{}S", ms / 1_000),
            ms => write!(f, "T{}.{:03}S", ms / 1_000, ms % 1_000),
        }
    }
}
