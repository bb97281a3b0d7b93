//! The time formats of SMPP: `YYMMDDhhmmsstnnp` in PDUs (3.4 §7.1, 5.0 §4.7.23) and the shorter dates
//! inside receipt texts (3.4 Appendix B).
//!
//! Nothing here reads a clock: whoever calls brings `now`, in milliseconds of the Unix epoch. A time may
//! tell when a person was written to, so `Debug` shows the form of a [`SmppTime`], never its value.
//!
//! ```
//! use tidegate_codec::time::{SmppTime, TimeError, read_receipt_date, write_absolute, write_receipt_date};
//!
//! // 2026-11-24T12:00:00Z.
//! let now = 1_795_521_600_000;
//! let hour = 3_600_000;
//! // One hour from now; and 14:00 at two hours ahead of UTC, which is now.
//! assert_eq!(SmppTime::parse(b"000000010000000R", now)?.resolve(now), Some(now + hour));
//! assert_eq!(SmppTime::parse(b"261124140000008+", now)?.resolve(now), Some(now));
//! assert_eq!(SmppTime::parse(b"tomorrow", now), Err(TimeError::Length(8)));
//! assert_eq!(&write_absolute(now + hour), b"261124130000000+");
//!
//! assert_eq!(&write_receipt_date(now), b"2611241200");
//! assert_eq!(read_receipt_date(b"2611241400", now, 120), Some(now));
//! # Ok::<(), TimeError>(())
//! ```
//!
//! **Errors.** [`TimeError`] for fields of requests. Dates in reports of the past are `None` where they
//! cannot be read.
//!
//! **Limits.** Years have two digits: the century is the one nearest to `now`.

use std::fmt;
use std::time::Duration;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::Offset;
use jiff::{Span, Timestamp};

/// Octets of a time field without its NUL, where it is not empty (3.4 §7.1.1).
pub const SMPP_TIME_LEN: usize = 16;
/// Octets of a receipt date as Appendix B has it: `YYMMDDhhmm`.
pub const RECEIPT_DATE_LEN: usize = 10;

/// Most that one relative field of days and below can say: 31 days, 23:59:59 (3.4 §7.1.1).
const RELATIVE_MAX_SECS: u64 = 31 * DAY_SECS + DAY_SECS - 1;
/// `nn`: quarter hours between local time and UTC, at most twelve hours.
const QUARTERS_MAX: u8 = 48;
const QUARTER_MS: i64 = 15 * MINUTE_MS;
const MINUTE_MS: i64 = 60_000;
const DAY_SECS: u64 = 86_400;
/// How far ahead of `now` a receipt may claim to be. Receipts tell of the past; clocks and zones are off
/// by hours or days, while an unset clock prints as 1970, which reads as 2070 for half a century.
const RECEIPT_AHEAD_MS: i64 = 366 * 86_400_000;

/// `schedule_delivery_time` or `validity_period` as a PDU states it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum SmppTime {
    /// Empty field: at once, or the default validity.
    Unset,
    /// A point in time.
    Absolute {
        /// Milliseconds of the Unix epoch; 0 for anything before it.
        unix_ms: u64,
        /// Quarter hours by which the writer's local time is ahead of UTC, −48 to 48.
        offset_quarters: i8,
    },
    /// A distance from the moment at which the SMSC reads it. All zero means now.
    Relative {
        /// 0–99.
        years: u8,
        /// 0–12.
        months: u8,
        /// 0–31.
        days: u8,
        /// 0–23.
        hours: u8,
        /// 0–59.
        minutes: u8,
        /// 0–59.
        seconds: u8,
    },
}

/// Why a time field does not hold a time. The caller answers `ESME_RINVSCHED` or `ESME_RINVEXPIRY`,
/// depending on the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// Neither empty nor sixteen octets.
    #[error("a time has 0 or 16 characters, not {0}")]
    Length(usize),
    /// The last octet is not `+`, `-` or `R`.
    #[error("a time ends with +, - or R")]
    Indicator,
    /// One of the first fifteen octets is not a digit.
    #[error("a time begins with fifteen digits")]
    Digits,
    /// A date or time of day that does not exist, or a relative field beyond its range.
    #[error("no such date or time of day")]
    Impossible,
    /// More than 48 quarter hours from UTC.
    #[error("an offset from UTC has at most 48 quarter hours")]
    QuarterHours,
}

impl SmppTime {
    /// Reads a field given without its NUL. `now` decides the century of an absolute time: the nearest,
    /// because a fixed turning year (3.4 suggests 38, one widespread library takes 69) is wrong one day.
    ///
    /// Relative fields keep to the specification's ranges. Their tenths and quarter hours must be digits
    /// and are ignored otherwise; 3.4's copy of the month range as 01–12 contradicts its own example.
    ///
    /// # Errors
    ///
    /// See [`TimeError`].
    pub fn parse(field: &[u8], now_unix_ms: u64) -> Result<Self, TimeError> {
        if field.is_empty() {
            return Ok(Self::Unset);
        }
        let field: &[u8; SMPP_TIME_LEN] = field.try_into().map_err(|_| TimeError::Length(field.len()))?;
        let [digits @ .., indicator] = field;
        let sign = match indicator {
            b'+' => 1,
            b'-' => -1,
            b'R' => 0,
            _ => return Err(TimeError::Indicator),
        };
        if !digits.iter().all(u8::is_ascii_digit) {
            return Err(TimeError::Digits);
        }
        let [years, months, days, hours, minutes, seconds] =
            [0, 2, 4, 6, 8, 10].map(|at| pair(digits[at], digits[at + 1]));
        if sign == 0 {
            if months > 12 || days > 31 || hours > 23 || minutes > 59 || seconds > 59 {
                return Err(TimeError::Impossible);
            }
            return Ok(Self::Relative {
                years,
                months,
                days,
                hours,
                minutes,
                seconds,
            });
        }
        let quarters = pair(digits[13], digits[14]);
        if quarters > QUARTERS_MAX {
            return Err(TimeError::QuarterHours);
        }
        let local = near(now_unix_ms, years, months, days)
            .and_then(|date| Some(date.to_datetime(time_of_day(hours, minutes, seconds)?)))
            .ok_or(TimeError::Impossible)?;
        let tenths = digits[12] - b'0';
        let offset_quarters = sign * quarters.cast_signed();
        // Local time is ahead of UTC for `+`, so the offset comes off.
        let unix_ms = unix_ms_of(local) + i64::from(tenths) * 100 - i64::from(offset_quarters) * QUARTER_MS;
        Ok(Self::Absolute {
            unix_ms: u64::try_from(unix_ms).unwrap_or(0),
            offset_quarters,
        })
    }

    /// The point in time meant, or `None` for an empty field.
    ///
    /// Relative times are added to `now` in UTC, years first, then months, then the rest; a day that the
    /// month does not have becomes its last one. What passes the end of the calendar becomes its end.
    pub fn resolve(&self, now_unix_ms: u64) -> Option<u64> {
        match *self {
            Self::Unset => None,
            Self::Absolute { unix_ms, .. } => Some(unix_ms),
            Self::Relative {
                years,
                months,
                days,
                hours,
                minutes,
                seconds,
            } => {
                let clock = Span::new().hours(hours).minutes(minutes).seconds(seconds);
                let steps = [
                    Span::new().years(years),
                    Span::new().months(months),
                    Span::new().days(days),
                    clock,
                ];
                let then = steps
                    .into_iter()
                    .fold(civil(now_unix_ms), DateTime::saturating_add);
                Some(u64::try_from(unix_ms_of(then)).unwrap_or(0))
            }
        }
    }
}

impl fmt::Debug for SmppTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unset => "SmppTime(unset)",
            Self::Absolute { .. } => "SmppTime(absolute)",
            Self::Relative { .. } => "SmppTime(relative)",
        })
    }
}

/// An absolute time in UTC, `YYMMDDhhmmsst00+`, cut to the tenth of a second. The form of `final_date` and
/// of schedules that go on to a carrier.
pub fn write_absolute(unix_ms: u64) -> [u8; SMPP_TIME_LEN] {
    let at = civil(unix_ms);
    let mut out = *b"000000000000000+";
    put_date(&mut out, at);
    put(&mut out, 10, at.second().unsigned_abs());
    out[12] = b'0' + u8::try_from(at.subsec_nanosecond() / 100_000_000).unwrap_or(0);
    out
}

/// The validity that is left, as a relative time of days and below: months and years have no fixed length.
///
/// Rounded up to the second and never less than one: all zero means "now" to one SMSC and "your default,
/// days" to the next. More than 31 days and 23:59:59 is cut to that; [`write_absolute`] says it exactly.
pub fn write_relative(remaining: Duration) -> [u8; SMPP_TIME_LEN] {
    let whole = remaining
        .as_secs()
        .saturating_add(u64::from(remaining.subsec_nanos() > 0));
    let seconds = whole.clamp(1, RELATIVE_MAX_SECS);
    let mut out = *b"000000000000000R";
    for (at, value) in [
        (4, seconds / DAY_SECS),
        (6, seconds / 3600 % 24),
        (8, seconds / 60 % 60),
        (10, seconds % 60),
    ] {
        put(&mut out, at, u8::try_from(value).unwrap_or(0));
    }
    out
}

/// A `submit date` or `done date` in Appendix B's form, `YYMMDDhhmm` in UTC.
pub fn write_receipt_date(unix_ms: u64) -> [u8; RECEIPT_DATE_LEN] {
    let mut out = [b'0'; RECEIPT_DATE_LEN];
    put_date(&mut out, civil(unix_ms));
    out
}

/// Reads `final_date` of a query_sm_resp: sixteen octets with an offset, or twelve (and, as in receipts,
/// ten or fourteen) in the SMSC's local time, `zone_minutes` ahead of UTC. `None` when the field is empty
/// or holds nothing readable; a report of the past is not worth an error.
pub fn read_final_date(field: &[u8], now_unix_ms: u64, zone_minutes: i16) -> Option<u64> {
    if field.len() == SMPP_TIME_LEN {
        return match SmppTime::parse(field, now_unix_ms) {
            Ok(SmppTime::Absolute { unix_ms, .. }) => Some(unix_ms),
            _ => None,
        };
    }
    read_receipt_date(field, now_unix_ms, zone_minutes)
}

/// Reads a date of a receipt: `YYMMDDhhmm`, `YYMMDDhhmmss`, `YYYYMMDDhhmm` where twelve digits make no
/// date otherwise, or `YYYYMMDDhhmmss`, all in a zone `zone_minutes` ahead of UTC.
///
/// `None` for anything else: missing, all zeros, before 1970, more than a year ahead.
pub fn read_receipt_date(octets: &[u8], now_unix_ms: u64, zone_minutes: i16) -> Option<u64> {
    let (_, local) = receipt_date(octets, now_unix_ms)?;
    let unix_ms = unix_ms_of(local) - i64::from(zone_minutes) * MINUTE_MS;
    let now = i64::try_from(now_unix_ms).unwrap_or(i64::MAX);
    if unix_ms > now.saturating_add(RECEIPT_AHEAD_MS) {
        return None;
    }
    u64::try_from(unix_ms).ok()
}

/// How the year of a receipt date is written; the length tells the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum YearForm {
    Two,
    Four,
}

fn receipt_date(octets: &[u8], now_unix_ms: u64) -> Option<(YearForm, DateTime)> {
    // Longer runs of digits are no date, and the fixed array keeps every index below in sight.
    if octets.len() > 14 || !octets.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let mut digits = [b'0'; 14];
    digits[..octets.len()].copy_from_slice(octets);
    let at = |index: usize| pair(digits[index], digits[index + 1]);

    let two = || {
        let date = near(now_unix_ms, at(0), at(2), at(4))?;
        // Ten digits leave the seconds at the zeros that fill the array.
        Some((
            YearForm::Two,
            date.to_datetime(time_of_day(at(6), at(8), at(10))?),
        ))
    };
    let four = || {
        let year = i16::from(at(0)) * 100 + i16::from(at(2));
        // Keeps `261332…` from being the year 2613.
        let date = (1970..2200).contains(&year).then(|| date(year, at(4), at(6)))??;
        Some((
            YearForm::Four,
            date.to_datetime(time_of_day(at(8), at(10), at(12))?),
        ))
    };
    match octets.len() {
        RECEIPT_DATE_LEN => two(),
        // `201506201641`: as two digits of year the month would be 15.
        12 => two().or_else(four),
        14 => four(),
        _ => None,
    }
}

/// The date with this two-digit year that lies nearest to now. The choice looks at year, month and day
/// before asking whether the date exists: February 29th of the wrong century is a mistake, not a century.
fn near(now_unix_ms: u64, year: u8, month: u8, day: u8) -> Option<Date> {
    let rank =
        |year: i16, month: i8, day: i8| (i32::from(year) * 12 + i32::from(month)) * 31 + i32::from(day);
    let today = civil(now_unix_ms).date();
    let now = rank(today.year(), today.month(), today.day());
    let this_century = today.year() - today.year().rem_euclid(100);
    [100, 0, -100]
        .map(|century| this_century + century + i16::from(year))
        .into_iter()
        .min_by_key(|&year| (rank(year, month.cast_signed(), day.cast_signed()) - now).abs())
        .and_then(|year| date(year, month, day))
}

fn date(year: i16, month: u8, day: u8) -> Option<Date> {
    Date::new(year, month.cast_signed(), day.cast_signed()).ok()
}

fn time_of_day(hour: u8, minute: u8, second: u8) -> Option<Time> {
    Time::new(hour.cast_signed(), minute.cast_signed(), second.cast_signed(), 0).ok()
}

/// Two octets that are known to be digits.
const fn pair(tens: u8, ones: u8) -> u8 {
    (tens - b'0') * 10 + (ones - b'0')
}

/// Writes a number below 100 as two digits.
fn put(out: &mut [u8], at: usize, value: u8) {
    out[at] = b'0' + value / 10 % 10;
    out[at + 1] = b'0' + value % 10;
}

/// `YYMMDDhhmm`, which begins every written form.
fn put_date(out: &mut [u8], at: DateTime) {
    let year = u8::try_from(at.year().rem_euclid(100)).unwrap_or(0);
    put(out, 0, year);
    for (index, value) in [at.month(), at.day(), at.hour(), at.minute()].iter().enumerate() {
        put(out, 2 + 2 * index, value.unsigned_abs());
    }
}

/// UTC date and time; beyond the end of the calendar, its end.
fn civil(unix_ms: u64) -> DateTime {
    let ms = i64::try_from(unix_ms).unwrap_or(i64::MAX);
    Offset::UTC.to_datetime(Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MAX))
}

fn unix_ms_of(at: DateTime) -> i64 {
    Offset::UTC
        .to_timestamp(at)
        .unwrap_or(Timestamp::MAX)
        .as_millisecond()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 2026-11-24T12:00:00Z.
    const NOW: u64 = 1_795_521_600_000;
    const DAY: u64 = 86_400_000;

    fn unix_ms(text: &str) -> u64 {
        let at: Timestamp = text.parse().unwrap();
        at.as_millisecond().try_into().unwrap()
    }

    fn utc(field: &[u8], now: &str) -> String {
        match SmppTime::parse(field, unix_ms(now)).unwrap() {
            SmppTime::Absolute { unix_ms, .. } => {
                let at = Timestamp::from_millisecond(unix_ms.try_into().unwrap()).unwrap();
                format!("{at:.3}")
            }
            other => panic!("{other:?}"),
        }
    }

    fn resolved(field: &[u8], now: &str) -> String {
        let at = SmppTime::parse(field, 0).unwrap().resolve(unix_ms(now)).unwrap();
        Timestamp::from_millisecond(at.try_into().unwrap())
            .unwrap()
            .to_string()
    }

    #[test]
    fn every_kind_of_mistake_has_its_own_error() {
        for (field, error) in [
            (&b"2601010000000+"[..], TimeError::Length(14)),
            (b"260101000000000+\0", TimeError::Length(17)),
            (b"260101000000000r", TimeError::Indicator),
            (b"2601010000 0000+", TimeError::Digits),
            (b"00000000050000:R", TimeError::Digits),
            (b"260229000000000+", TimeError::Impossible),
            (b"260100000000000+", TimeError::Impossible),
            (b"260101006000000-", TimeError::Impossible),
            (b"260101000000049+", TimeError::QuarterHours),
            (b"001300000000000R", TimeError::Impossible),
            (b"000032000000000R", TimeError::Impossible),
            (b"000000240000000R", TimeError::Impossible),
            (b"000000006000000R", TimeError::Impossible),
            (b"000000000060000R", TimeError::Impossible),
        ] {
            assert_eq!(
                SmppTime::parse(field, NOW),
                Err(error),
                "{}",
                field.escape_ascii()
            );
        }
        // The offset of a relative time is ignored, so it cannot be out of range either.
        assert!(SmppTime::parse(b"000001000000999R", NOW).is_ok());
    }

    #[test]
    fn an_empty_field_is_no_time_rather_than_now() {
        assert_eq!(SmppTime::parse(b"", NOW), Ok(SmppTime::Unset));
        assert_eq!(SmppTime::Unset.resolve(NOW), None);
        let zero = SmppTime::parse(b"000000000000000R", NOW).unwrap();
        assert_eq!(zero.resolve(NOW), Some(NOW));
    }

    #[test]
    fn the_sign_says_on_which_side_of_utc_the_writer_lives() {
        assert_eq!(
            utc(b"260301120000020+", "2026-01-01T00:00:00Z"),
            "2026-03-01T07:00:00.000Z"
        );
        assert_eq!(
            utc(b"260301120000920-", "2026-01-01T00:00:00Z"),
            "2026-03-01T17:00:00.900Z"
        );
        assert!(matches!(
            SmppTime::parse(b"260301120000020-", NOW),
            Ok(SmppTime::Absolute {
                offset_quarters: -20,
                ..
            })
        ));
    }

    #[test]
    fn the_century_is_the_nearest_on_both_sides_of_its_turn() {
        assert_eq!(
            utc(b"000101000000000+", "2099-12-31T23:59:00Z"),
            "2100-01-01T00:00:00.000Z"
        );
        assert_eq!(
            utc(b"991231235900000+", "2100-01-01T00:00:00Z"),
            "2099-12-31T23:59:00.000Z"
        );
        assert_eq!(
            utc(b"380101000000000+", "2026-01-01T00:00:00Z"),
            "2038-01-01T00:00:00.000Z"
        );
        assert_eq!(
            utc(b"760601000000000+", "2026-07-01T00:00:00Z"),
            "2076-06-01T00:00:00.000Z"
        );
        assert_eq!(
            utc(b"760801000000000+", "2026-07-01T00:00:00Z"),
            "1976-08-01T00:00:00.000Z"
        );
        // 2100 has no February 29th; neither 2000 nor 2200 is meant.
        let now = unix_ms("2099-12-01T00:00:00Z");
        assert_eq!(
            SmppTime::parse(b"000229000000000+", now),
            Err(TimeError::Impossible)
        );
    }

    #[test]
    fn relative_times_follow_the_calendar_and_stay_inside_the_month() {
        assert_eq!(
            resolved(b"000100000000000R", "2027-01-31T08:00:00Z"),
            "2027-02-28T08:00:00Z"
        );
        assert_eq!(
            resolved(b"010000000000000R", "2028-02-29T08:00:00Z"),
            "2029-02-28T08:00:00Z"
        );
        // Years before months: 29 February, clamped in 2029, is the 28th of March.
        assert_eq!(
            resolved(b"010100000000000R", "2028-02-29T08:00:00Z"),
            "2029-03-28T08:00:00Z"
        );
        // Months before days: 31 January + 1 month = 28 February, + 1 day = 1 March.
        assert_eq!(
            resolved(b"000101000001000R", "2027-01-31T23:59:59Z"),
            "2027-03-02T00:00:00Z"
        );
    }

    #[test]
    fn the_absolute_form_is_utc_with_a_tenth() {
        assert_eq!(
            &write_absolute(unix_ms("2026-03-01T05:15:09.987Z")),
            b"260301051509900+"
        );
        assert_eq!(&write_absolute(0), b"700101000000000+");
    }

    #[test]
    fn what_is_left_of_a_validity_never_becomes_nothing() {
        for (remaining, field) in [
            (Duration::ZERO, b"000000000001000R"),
            (Duration::from_millis(1), b"000000000001000R"),
            (Duration::from_millis(59_001), b"000000000100000R"),
            (Duration::from_secs(86_399), b"000000235959000R"),
            (
                Duration::from_secs(3 * DAY_SECS + 3 * 3600 + 125),
                b"000003030205000R",
            ),
            (
                Duration::from_secs(32 * DAY_SECS) - Duration::from_secs(1),
                b"000031235959000R",
            ),
            (Duration::from_secs(40 * DAY_SECS), b"000031235959000R"),
            (Duration::MAX, b"000031235959000R"),
        ] {
            assert_eq!(&write_relative(remaining), field, "{remaining:?}");
        }
    }

    #[test]
    fn receipt_dates_come_in_four_forms() {
        for (octets, form, expect) in [
            (&b"1005232039"[..], YearForm::Two, "2010-05-23T20:39:00"),
            (b"110206193041", YearForm::Two, "2011-02-06T19:30:41"),
            (b"201506201641", YearForm::Four, "2015-06-20T16:41:00"),
            // Both readings are dates; the form with seconds is the usual one.
            (b"201011121314", YearForm::Two, "2020-10-11T12:13:14"),
            // As two digits of year: 12 October 2020, 25 o'clock.
            (b"201012252359", YearForm::Four, "2010-12-25T23:59:00"),
            (b"20261124115959", YearForm::Four, "2026-11-24T11:59:59"),
        ] {
            let expect: DateTime = expect.parse().unwrap();
            assert_eq!(
                receipt_date(octets, NOW),
                Some((form, expect)),
                "{}",
                octets.escape_ascii()
            );
        }
        for octets in [
            &b""[..],
            b"0000000000",
            b"000000000000",
            b"00000000000000",
            b"261332000000",
            b"100523203",
            b"10052320390",
            b"100523203x",
            b"2026112411595900",
            b"1005232460",
        ] {
            assert_eq!(receipt_date(octets, NOW), None, "{}", octets.escape_ascii());
        }
    }

    #[test]
    fn receipt_dates_are_local_to_their_carrier_and_not_of_the_far_future() {
        let noon = unix_ms("2026-11-24T12:00:00Z");
        assert_eq!(read_receipt_date(b"2611241400", NOW, 120), Some(noon));
        assert_eq!(read_receipt_date(b"2611240830", NOW, -210), Some(noon));
        // A carrier's clock may be ahead by days; an unset one prints 1970, which would read as 2070.
        assert!(read_receipt_date(b"2611261200", NOW, 0).is_some());
        assert_eq!(read_receipt_date(b"7001010000", NOW, 0), None);
    }

    #[test]
    fn final_dates_are_read_with_and_without_an_offset() {
        let expect = Some(unix_ms("2026-11-21T12:00:00Z"));
        assert_eq!(read_final_date(b"261121120000000+", NOW, 60), expect);
        assert_eq!(read_final_date(b"261121140000008+", NOW, 60), expect);
        assert_eq!(read_final_date(b"261121130000", NOW, 60), expect);
        assert_eq!(read_final_date(b"", NOW, 60), None);
        assert_eq!(read_final_date(b"000001000000000R", NOW, 60), None);
    }

    #[test]
    fn a_time_shows_its_form_and_never_its_value() {
        let time = SmppTime::parse(b"261121120000000+", NOW).unwrap();
        assert_eq!(format!("{time:?}"), "SmppTime(absolute)");
    }

    proptest! {
        #[test]
        fn no_octets_and_no_clock_upset_the_readers(
            octets in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..20),
                "[0-9]{10}|[0-9]{12}|[0-9]{14}|[0-9]{15}[-+R]".prop_map(String::into_bytes),
            ],
            now in any::<u64>(),
            zone in any::<i16>(),
        ) {
            if let Ok(time) = SmppTime::parse(&octets, now) {
                time.resolve(now);
            }
            read_receipt_date(&octets, now, zone);
            read_final_date(&octets, now, zone);
            write_absolute(now);
            write_receipt_date(now);
        }

        #[test]
        fn written_times_read_back(
            now in unix_ms("2020-01-01T00:00:00Z")..unix_ms("2150-01-01T00:00:00Z"),
            ahead in 0..40 * 365 * DAY,
            remaining in 1..=RELATIVE_MAX_SECS * 1000,
        ) {
            let then = now + ahead;
            let read = SmppTime::parse(&write_absolute(then), now).unwrap().resolve(now);
            prop_assert_eq!(read, Some(then - then % 100));

            let date = write_receipt_date(now);
            prop_assert_eq!(read_receipt_date(&date, now + DAY, 0), Some(now - now % 60_000));

            let left = SmppTime::parse(&write_relative(Duration::from_millis(remaining)), now).unwrap();
            prop_assert_eq!(left.resolve(now), Some(now + remaining.div_ceil(1000) * 1000));
        }
    }
}
