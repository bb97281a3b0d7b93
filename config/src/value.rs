//! Conversions of single TOML values. Each returns a closure for [`crate::section::Section`], so that a
//! key reads as `section.or("links", 1, integer(1..=64))`.

pub(crate) mod duration;
pub(crate) mod shown;
pub(crate) mod size;

use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use toml::de::DeValue;

use crate::problem::Fault;

pub(crate) use duration::{duration, duration_or_off};
pub(crate) use size::size;

/// The text of a string value.
pub(crate) fn text_of<'v>(value: &'v DeValue<'_>) -> Result<&'v str, Fault> {
    value.as_str().ok_or_else(|| {
        Fault::new(
            format!("{} where a text belongs", shown::kind(value)),
            "put it in double quotes",
        )
    })
}

/// A text that `read` turns into what it means.
pub(crate) fn text<T>(read: impl Fn(&str) -> Result<T, Fault>) -> impl Fn(&DeValue<'_>) -> Result<T, Fault> {
    move |value| read(text_of(value)?)
}

/// `true` or `false`.
pub(crate) fn boolean(value: &DeValue<'_>) -> Result<bool, Fault> {
    value.as_bool().ok_or_else(|| {
        Fault::new(
            format!("{} where true or false belongs", shown::kind(value)),
            "write true or false without quotes",
        )
    })
}

/// A whole number within bounds.
pub(crate) fn integer<T>(range: RangeInclusive<T>) -> impl Fn(&DeValue<'_>) -> Result<T, Fault>
where
    T: TryFrom<i64> + PartialOrd + Display,
{
    move |value| {
        let (low, high) = (range.start(), range.end());
        let DeValue::Integer(integer) = value else {
            return Err(Fault::new(
                format!("{} where a whole number belongs", shown::kind(value)),
                format!("write a number from {low} to {high}, without quotes"),
            ));
        };
        i64::from_str_radix(integer.as_str(), integer.radix())
            .ok()
            .and_then(|number| T::try_from(number).ok())
            .filter(|number| range.contains(number))
            .ok_or_else(|| {
                Fault::new(
                    format!("{} is out of bounds", shown::value(integer.as_str())),
                    format!("give a number from {low} to {high}"),
                )
            })
    }
}

/// One of a few words.
pub(crate) fn choice<T: Copy>(words: &'static [(&str, T)]) -> impl Fn(&DeValue<'_>) -> Result<T, Fault> {
    move |value| {
        let remedy = || {
            let words: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            format!("write one of {}", words.join(", "))
        };
        let Some(text) = value.as_str() else {
            return Err(Fault::new(
                format!("{} where a text belongs", shown::kind(value)),
                remedy(),
            ));
        };
        words
            .iter()
            .find(|(word, _)| *word == text)
            .map(|(_, meaning)| *meaning)
            .ok_or_else(|| {
                Fault::new(
                    format!("{} is no value of this key", shown::value(text)),
                    remedy(),
                )
            })
    }
}

/// An address to listen on. Port 0 lets the system choose one, which tests want.
pub(crate) fn socket_address(value: &DeValue<'_>) -> Result<SocketAddr, Fault> {
    let text = text_of(value)?;
    text.parse().map_err(|_| {
        Fault::new(
            format!("{} is no address with a port", shown::value(text)),
            "write an IP address and a port, such as \"0.0.0.0:2775\" or \"[::]:2775\"",
        )
    })
}

/// A path of the file system; relative ones count from the working directory.
pub(crate) fn path(value: &DeValue<'_>) -> Result<PathBuf, Fault> {
    let text = text_of(value)?;
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err(Fault::new(
            "not a path",
            "name a file or directory; relative ones count from the working directory",
        ));
    }
    Ok(PathBuf::from(text))
}

/// Printable ASCII of at most `max` characters, for fields of a bind; may be empty.
pub(crate) fn printable(max: usize) -> impl Fn(&DeValue<'_>) -> Result<String, Fault> {
    move |value| {
        let text = text_of(value)?;
        if text.len() > max || !text.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) {
            return Err(Fault::new(
                format!("{} does not fit the field", shown::value(text)),
                format!("give at most {max} printable ASCII characters"),
            ));
        }
        Ok(text.to_owned())
    }
}

/// The beginning of a day, in unix milliseconds.
pub(crate) fn day(value: &DeValue<'_>) -> Result<u64, Fault> {
    let read = || {
        let DeValue::Datetime(toml::value::Datetime {
            date: Some(day),
            time: None,
            offset: None,
        }) = value
        else {
            return None;
        };
        let (year, month, day) = (
            i16::try_from(day.year).ok()?,
            i8::try_from(day.month).ok()?,
            i8::try_from(day.day).ok()?,
        );
        let begins = Date::new(year, month, day).ok()?.at(0, 0, 0, 0);
        u64::try_from(TimeZone::UTC.to_timestamp(begins).ok()?.as_millisecond()).ok()
    };
    read().ok_or_else(|| Fault::new("no day", "write it without quotes, such as 2026-01-31"))
}
