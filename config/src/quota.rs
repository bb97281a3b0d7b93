//! How much an account may submit in a day and in a month.

use std::num::NonZeroU64;

use crate::problem::Fault;
use crate::section::Section;
use crate::value::{integer, shown, text};

/// Most parts that a quota may be.
const PARTS_MAX: u64 = 1_000_000_000_000;

/// Keys `quota_day`, `quota_month` and `quota_zone` of an account. What is accepted counts, once for each part; what is
/// refused, answered again or changed does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// Key `quota_day`, parts from midnight to midnight, default 0 (`None`: no quota), at most 10^12.
    pub day: Option<NonZeroU64>,
    /// Key `quota_month`, parts of a calendar month, default 0 (`None`: no quota), at most 10^12; not below
    /// `quota_day`.
    pub month: Option<NonZeroU64>,
    /// Key `quota_zone`, default `"UTC"`, or an offset from it, `"-12:00"` to `"+14:00"`: where midnight is. It is fixed:
    /// days have 24 hours, and summer time moves nothing.
    pub zone: QuotaZone,
}

/// Minutes east of UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuotaZone {
    minutes: i16,
}

impl Quota {
    /// Whether there is none.
    pub const fn is_none(&self) -> bool {
        self.day.is_none() && self.month.is_none()
    }
}

impl QuotaZone {
    /// Minutes east of UTC, -720 to 840.
    pub const fn minutes(self) -> i16 {
        self.minutes
    }

    fn parse(written: &str) -> Result<Self, Fault> {
        minutes_of(written).map(|minutes| Self { minutes }).ok_or_else(|| {
            Fault::new(
                format!("{} is no zone", shown::value(written)),
                "write \"UTC\" or a fixed offset from it, from \"-12:00\" to \"+14:00\", such as \"+05:30\"; names of \
                 zones are not known, and summer time is not followed",
            )
        })
    }
}

fn minutes_of(written: &str) -> Option<i16> {
    if written == "UTC" {
        return Some(0);
    }
    let (sign, rest) = match written.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':')?;
    let number = |digits: &str| -> Option<i16> {
        let is_pair = digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit());
        if is_pair { digits.parse().ok() } else { None }
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    let offset = sign * (60 * hours + minutes);
    (minutes < 60 && (-720..=840).contains(&offset)).then_some(offset)
}

pub(crate) fn read(section: &mut Section<'_>) -> Quota {
    let parts = || integer(0..=PARTS_MAX);
    let day = NonZeroU64::new(section.or("quota_day", 0, parts()));
    let month = NonZeroU64::new(section.or("quota_month", 0, parts()));
    let zone = section.or("quota_zone", QuotaZone::default(), text(QuotaZone::parse));
    if let (Some(day), Some(month)) = (day, month)
        && day > month
    {
        section.problem(
            "quota_day",
            Fault::new(
                format!("quota_day = {day} with quota_month = {month}"),
                "set quota_day to at most quota_month, or to 0 for none",
            ),
        );
    }
    Quota { day, month, zone }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_offsets_between_the_dateline_and_the_line_islands() {
        for (written, minutes) in [
            ("UTC", 0),
            ("+00:00", 0),
            ("+05:30", 330),
            ("-03:30", -210),
            ("-12:00", -720),
            ("+14:00", 840),
        ] {
            assert_eq!(
                QuotaZone::parse(written).map(QuotaZone::minutes),
                Ok(minutes),
                "{written}"
            );
        }
        for written in [
            "",
            "utc",
            "Z",
            "+",
            "+1:00",
            "+01",
            "01:00",
            "+01:60",
            "-12:01",
            "+14:01",
            "+-1:00",
            "+01:0x",
            "Europe/Vienna",
            "é01:00",
        ] {
            assert!(QuotaZone::parse(written).is_err(), "{written}");
        }
    }
}
