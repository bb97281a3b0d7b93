//! Days of a year on which nothing may be sent.

use std::fmt;

use jiff::civil::Date;

use crate::problem::Fault;
use crate::value::shown;

/// A holiday as a rule names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Holiday {
    /// `"12-25"`: the same month and day every year.
    EveryYear {
        /// 1 to 12.
        month: i8,
        /// 1 to 31.
        day: i8,
    },
    /// `"easter"`, `"easter+39"`, `"easter-2"`: so many days after Easter Sunday, as the Gregorian churches reckon it.
    Easter(i16),
    /// `"2027-03-10"`: this one day. For feasts of other calendars, which somebody writes down year by year.
    Once(Date),
}

/// Days from Easter Sunday, at most: Carnival is 48 before, Corpus Christi 60 after.
const EASTER_MAX: i16 = 70;

impl Holiday {
    /// Whether the day is this one. Costs some divisions for those that move with Easter.
    pub fn is(self, date: Date) -> bool {
        match self {
            Self::EveryYear { month, day } => (date.month(), date.day()) == (month, day),
            Self::Easter(after) => {
                let easter = easter(date.year());
                easter.is_some_and(|easter| date.day_of_year() - easter.day_of_year() == after)
            }
            Self::Once(day) => day == date,
        }
    }

    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        Self::read(text).ok_or_else(|| {
            Fault::new(
                format!("{} is no holiday", shown::value(text)),
                format!(
                    "write \"12-25\" for every year, \"2027-03-10\" for one, or \"easter\", \"easter+39\", \"easter-2\", up \
                     to {EASTER_MAX} days from Easter Sunday"
                ),
            )
        })
    }

    fn read(text: &str) -> Option<Self> {
        if let Some(days) = text.strip_prefix("easter") {
            let is_signed = days.starts_with(['+', '-']);
            let after = if days.is_empty() {
                0
            } else {
                days.parse().ok().filter(|_| is_signed)?
            };
            let is_near = (-EASTER_MAX..=EASTER_MAX).contains(&after);
            return is_near.then_some(Self::Easter(after));
        }
        let digits = |part: &str, length: usize| {
            let are = part.len() == length && part.bytes().all(|b| b.is_ascii_digit());
            are.then(|| part.parse::<i16>().ok()).flatten()
        };
        let mut parts = text.rsplit('-');
        let (day, month) = (digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
        let (day, month) = (i8::try_from(day).ok()?, i8::try_from(month).ok()?);
        let holiday = match parts.next() {
            Some(year) => Self::Once(Date::new(digits(year, 4)?, month, day).ok()?),
            // A leap year has every day that any year has.
            None => Date::new(2_000, month, day)
                .ok()
                .map(|_| Self::EveryYear { month, day })?,
        };
        parts.next().is_none().then_some(holiday)
    }
}

impl fmt::Display for Holiday {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EveryYear { month, day } => write!(f, "{month:02}-{day:02}"),
            Self::Easter(0) => f.write_str("easter"),
            Self::Easter(after) => write!(f, "easter{after:+}"),
            Self::Once(day) => day.fmt(f),
        }
    }
}

/// Easter Sunday of a year, by the rule that J.-M. Oudin gave in 1940 for the Gregorian calendar.
fn easter(year: i16) -> Option<Date> {
    let year = i32::from(year);
    let golden = year.rem_euclid(19);
    let century = year.div_euclid(100);
    let epact = (century - century / 4 - (8 * century + 13) / 25 + 19 * golden + 15).rem_euclid(30);
    let full_moon = epact - (epact / 28) * (1 - (29 / (epact + 1)) * ((21 - golden) / 11));
    let weekday = (year + year / 4 + full_moon + 2 - century + century / 4).rem_euclid(7);
    let sunday = full_moon - weekday;
    let month = 3 + (sunday + 40) / 44;
    let day = sunday + 28 - 31 * (month / 4);
    Date::new(
        i16::try_from(year).ok()?,
        i8::try_from(month).ok()?,
        i8::try_from(day).ok()?,
    )
    .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn easter_is_when_it_was_and_will_be() {
        for date in [
            "1818-03-22",
            "1943-04-25",
            "1961-04-02",
            "2000-04-23",
            "2008-03-23",
            "2011-04-24",
            "2019-04-21",
            "2024-03-31",
            "2025-04-20",
            "2026-04-05",
            "2027-03-28",
            "2038-04-25",
            "2049-04-18",
            "2076-04-19",
            "2285-03-22",
        ] {
            let date: Date = date.parse().unwrap();
            assert_eq!(easter(date.year()), Some(date));
        }
        let every = (1..=9_999).filter_map(easter).collect::<Vec<_>>();
        assert_eq!(every.len(), 9_999);
        assert!(
            every
                .iter()
                .all(|date| date.weekday() == jiff::civil::Weekday::Sunday)
        );
    }

    #[test]
    fn holidays_fall_on_their_days() {
        for (holiday, date, is) in [
            ("12-25", "2026-12-25", true),
            ("12-25", "2026-12-26", false),
            ("02-29", "2028-02-29", true),
            ("easter+1", "2026-04-06", true),
            ("easter+1", "2026-04-05", false),
            ("easter-2", "2026-04-03", true),
            ("easter+39", "2026-05-14", true),
            ("easter+50", "2027-05-17", true),
            ("easter-48", "2024-02-12", true),
            ("2027-03-10", "2027-03-10", true),
            ("2027-03-10", "2028-03-10", false),
        ] {
            let read = Holiday::parse(holiday).unwrap();
            assert_eq!(read.to_string(), holiday);
            assert_eq!(read.is(date.parse().unwrap()), is, "{holiday} {date}");
        }
    }

    #[test]
    fn what_is_no_holiday_is_refused() {
        for text in [
            "",
            "-",
            "12",
            "25-12",
            "02-30",
            "1-1",
            "2027-02-29",
            "easter1",
            "easter+",
            "easter+71",
            "easter-71",
            "easter + 1",
            "Easter",
            "1-2027-01-01",
            "é",
            "xx-yy",
            "+1-+1",
        ] {
            assert!(Holiday::parse(text).is_err(), "{text}");
        }
    }
}
