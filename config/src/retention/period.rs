//! Durations of rules, as ISO 8601 writes them.

use std::fmt;

use jiff::ToSpan as _;
use jiff::civil::{Date, date};
use jiff::fmt::temporal::SpanParser;
use toml::de::DeValue;

use crate::problem::Fault;
use crate::value::{shown, text_of};

/// A thousand years: more would leave the calendar.
const MONTHS_MAX: u32 = 12_000;
const DAYS_MAX: u32 = 366_000;
const DAY_S: u64 = 86_400;

/// A duration of ISO 8601 up to a thousand years, such as `"P24M"`, `"P30D"`, `"PT10M"` or `"P0D"`. Its months are of
/// the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Period {
    months: u32,
    days: u32,
    seconds: u64,
}

impl Period {
    /// No time at all.
    pub const ZERO: Self = Self {
        months: 0,
        days: 0,
        seconds: 0,
    };

    /// The one that is written so; `None` for what is no duration, has a sign, a fraction or small letters, or is too
    /// long.
    pub fn parse(text: &str) -> Option<Self> {
        let is_plain = text
            .bytes()
            .all(|octet| octet.is_ascii_uppercase() || octet.is_ascii_digit());
        let span = SpanParser::new().parse_span(text).ok().filter(|_| is_plain)?;
        let months = i64::from(span.get_years()) * 12 + i64::from(span.get_months());
        let days = i64::from(span.get_weeks()) * 7 + i64::from(span.get_days());
        let minutes = i64::from(span.get_hours())
            .checked_mul(60)?
            .checked_add(span.get_minutes())?;
        let seconds = minutes.checked_mul(60)?.checked_add(span.get_seconds())?;
        let period = Self {
            months: u32::try_from(months).ok()?,
            days: u32::try_from(days).ok()?,
            seconds: u64::try_from(seconds).ok()?,
        };
        let is_kept = period.months <= MONTHS_MAX
            && period.days <= DAYS_MAX
            && period.seconds <= u64::from(DAYS_MAX) * DAY_S;
        is_kept.then_some(period)
    }

    /// Whole months, and behind them days and seconds.
    pub const fn parts(self) -> (u32, u32, u64) {
        (self.months, self.days, self.seconds)
    }

    /// Whether it may end later than another that begins on the same day, on any day of the calendar: `P3M` and
    /// `P90D` may each exceed the other.
    pub fn may_exceed(self, other: Self) -> bool {
        if self.months == other.months {
            return self.rest() > other.rest();
        }
        // Four years have every run of months; days behind the 28th are where months differ.
        let months = (2027..=2030_i16).flat_map(|year| (1..=12_i8).map(move |month| date(year, month, 1)));
        let days = months.flat_map(|first| {
            let last = first.days_in_month();
            [1, 28, 29, 30, 31]
                .into_iter()
                .filter(move |day| *day <= last)
                .map(move |day| first.with().day(day).build())
        });
        days.filter_map(Result::ok)
            .any(|from| self.ends(from) > other.ends(from))
    }

    /// Days and seconds from a day on, months counted as they are there.
    fn ends(self, from: Date) -> u64 {
        let months = i64::from(self.months).months();
        let end = from.checked_add(months).unwrap_or(Date::MAX);
        let days = from.until(end).map_or(0, |span| span.get_days());
        u64::try_from(days).unwrap_or(0) * DAY_S + self.rest()
    }

    fn rest(self) -> u64 {
        u64::from(self.days) * DAY_S + self.seconds
    }
}

/// From the file.
pub(crate) fn period(value: &DeValue<'_>) -> Result<Period, Fault> {
    let text = text_of(value)?;
    Period::parse(text).ok_or_else(|| {
        Fault::new(
            format!("{} is no duration of rules", shown::value(text)),
            "write it as ISO 8601 does, up to a thousand years, such as \"P24M\", \"P90D\" or \"PT10M\"",
        )
    })
}

/// In months, days and the greatest unit of time that shows it whole.
impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            months,
            days,
            seconds,
        } = *self;
        f.write_str("P")?;
        match months {
            0 => {}
            years if years % 12 == 0 && years > 24 => write!(f, "{}Y", years / 12)?,
            months => write!(f, "{months}M")?,
        }
        if days > 0 || (months, seconds) == (0, 0) {
            write!(f, "{days}D")?;
        }
        match seconds {
            0 => Ok(()),
            seconds if seconds % 3_600 == 0 => write!(f, "T{}H", seconds / 3_600),
            seconds if seconds % 60 == 0 => write!(f, "T{}M", seconds / 60),
            seconds => write!(f, "T{seconds}S"),
        }
    }
}
