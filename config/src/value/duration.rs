//! Spans of time as text: a number and a unit, `"30s"`, `"72h"`, `"0.5ms"`.

use std::ops::RangeInclusive;
use std::time::Duration;

use toml::de::DeValue;

use super::{shown, text_of};
use crate::problem::Fault;

const UNITS: [(&str, u128); 6] = [
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", NANOS_PER_SECOND),
    ("m", 60 * NANOS_PER_SECOND),
    ("h", 3_600 * NANOS_PER_SECOND),
    ("d", 86_400 * NANOS_PER_SECOND),
];
const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// Hours and minutes as constants, which `Duration` has no stable words for.
pub(crate) const fn minutes(count: u64) -> Duration {
    Duration::from_secs(count * 60)
}

/// See [`minutes`].
pub(crate) const fn hours(count: u64) -> Duration {
    minutes(count * 60)
}

/// A span of time within bounds.
pub(crate) fn duration(range: RangeInclusive<Duration>) -> impl Fn(&DeValue<'_>) -> Result<Duration, Fault> {
    move |value| {
        let span = read(value, range.start())?;
        if range.contains(&span) {
            return Ok(span);
        }
        Err(Fault::new(
            format!("{} is out of bounds", write(span)),
            format!(
                "give a duration from \"{}\" to \"{}\"",
                write(*range.start()),
                write(*range.end())
            ),
        ))
    }
}

/// A span of time within bounds, or zero for "off".
pub(crate) fn duration_or_off(
    range: RangeInclusive<Duration>,
) -> impl Fn(&DeValue<'_>) -> Result<Option<Duration>, Fault> {
    move |value| {
        if read(value, range.start())?.is_zero() {
            return Ok(None);
        }
        duration(range.clone())(value).map(Some).map_err(|mut fault| {
            fault.remedy.push_str(", or \"0s\" for off");
            fault
        })
    }
}

/// As a configuration would write it: the largest unit that leaves no fraction.
pub(crate) fn write(span: Duration) -> String {
    let nanos = span.as_nanos();
    if nanos == 0 {
        return "0s".to_owned();
    }
    let (unit, size) = UNITS
        .iter()
        .rev()
        .find(|(_, size)| nanos.is_multiple_of(*size))
        .unwrap_or(&UNITS[0]);
    format!("{}{unit}", nanos / size)
}

fn read(value: &DeValue<'_>, example: &Duration) -> Result<Duration, Fault> {
    let remedy = || {
        format!(
            "write a number and one of us, ms, s, m, h, d in quotes, such as \"{}\"",
            write(*example)
        )
    };
    if !value.is_str() {
        return Err(Fault::new(
            format!("{} where a duration belongs", shown::kind(value)),
            remedy(),
        ));
    }
    let text = text_of(value)?;
    parse(text).ok_or_else(|| Fault::new(format!("{} is no duration", shown::value(text)), remedy()))
}

/// Reads `30s`, `0.5ms`, `72h`: a number and one of us, ms, s, m, h, d. `None` for anything else.
pub fn parse(text: &str) -> Option<Duration> {
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(unit_at);
    let (_, size) = UNITS.iter().find(|(name, _)| *name == unit)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |part: &str, max: usize| {
        let fits = (1..=max).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        fits.then(|| part.parse::<u128>().ok()).flatten()
    };
    // Ten digits of days and nine of a fraction stay far inside 128 bits.
    let whole = digits(whole, 10)? * size;
    let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?.min(9));
    let nanos = whole + digits(fraction, 9)? * size / scale;
    let seconds = u64::try_from(nanos / NANOS_PER_SECOND).ok()?;
    let rest = u32::try_from(nanos % NANOS_PER_SECOND).ok()?;
    Some(Duration::new(seconds, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_and_a_unit_make_a_duration() {
        for (text, span) in [
            ("30s", Duration::from_secs(30)),
            ("0s", Duration::ZERO),
            ("10m", minutes(10)),
            ("72h", hours(72)),
            ("3d", hours(72)),
            ("0.5ms", Duration::from_micros(500)),
            ("250us", Duration::from_micros(250)),
            ("1.5h", minutes(90)),
            ("9999999999d", Duration::from_secs(9_999_999_999 * 86_400)),
        ] {
            assert_eq!(parse(text), Some(span), "{text}");
        }
    }

    #[test]
    fn anything_else_is_none() {
        for text in [
            "",
            "s",
            "30",
            "-1s",
            "+1s",
            "1 s",
            "1s ",
            "1S",
            "1min",
            "1h30m",
            ".5s",
            "1.s",
            "1e3s",
            "1_0s",
            "99999999999s",
            "0.1234567890s",
            "٣s",
            "1.2.3s",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        for text in ["0s", "500us", "10ms", "5s", "90m", "5h", "30d"] {
            assert_eq!(write(parse(text).unwrap()), text);
        }
    }
}
