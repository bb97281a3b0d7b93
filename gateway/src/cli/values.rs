//! Arguments with a form of their own.

use std::path::PathBuf;
use std::time::Duration;

use tidegate_codec::address::{AddressBuf, Npi, Ton};
use tidegate_codec::identity::{PASSWORD_MAX_LENIENT, Password};
use tidegate_config::{SecretSource, expectations};
use zeroize::Zeroizing;

use super::Refusal;
use crate::secret::{self, SecretError};

/// The longest time that can be asked for.
const LONGEST: Duration = Duration::from_hours(1000);
/// The shortest.
const SHORTEST: Duration = Duration::from_millis(1);
/// Characters of an alphanumeric sender (GSM 03.40).
const NAME_MAX: usize = 11;
/// Digits of an international number (E.164).
const DIGITS_MAX: usize = 15;
/// Below so many digits a number is a short code, which belongs to one country's networks.
const INTERNATIONAL_MIN: usize = 7;

/// A number and a unit as in the configuration: `500ms`, `1.5s`, `2h`.
pub(super) fn duration(text: &str) -> Result<Duration, &'static str> {
    delay(text)
        .ok()
        .filter(|span| *span >= SHORTEST)
        .ok_or("a number with ms, s, m, h or d behind it, at least 1ms, at most 1000h")
}

/// The same, with nothing at all allowed.
pub(super) fn delay(text: &str) -> Result<Duration, &'static str> {
    tidegate_config::parse_duration(text)
        .filter(|span| *span <= LONGEST)
        .ok_or("a number with us, ms, s, m, h or d behind it, at most 1000h")
}

/// A password: itself, or in a file, or in this variable of the environment; and whether others can read the
/// file. `None` when nobody gives one.
pub(super) fn password(
    given: Option<String>,
    file: Option<PathBuf>,
    variable: Option<&str>,
) -> Result<Option<(Password, bool)>, Refusal> {
    if let Some(given) = given {
        let given = Zeroizing::new(given);
        // What exactly is wrong with a password is nobody's business.
        let password =
            Password::new(given.as_bytes(), PASSWORD_MAX_LENIENT).map_err(|_| SecretError::Unfit)?;
        return Ok(Some((password, false)));
    }
    let source = match (file, variable) {
        (Some(path), _) => SecretSource::File(path),
        (None, Some(name)) if std::env::var_os(name).is_some() => SecretSource::Env(name.to_owned()),
        _ => return Ok(None),
    };
    let found = secret::read(&source)?;
    Ok(Some((found.password, found.exposed)))
}

/// Messages a second, with or without a fraction.
pub(super) fn rate(text: &str) -> Result<f64, String> {
    let rate = text
        .parse()
        .ok()
        .filter(|rate| (0.0..=10_000_000.0).contains(rate));
    // Slower than one in a day is a mistake, and its dates could not be reckoned with.
    rate.filter(|rate| *rate == 0.0 || *rate >= 0.000_01)
        .ok_or_else(|| "a number from 0.00001 to 10000000, or 0".to_owned())
}

/// A date and a time of day, in unix milliseconds.
pub(super) fn time(text: &str) -> Result<u64, String> {
    expectations::time(text).ok_or_else(|| "a time such as 2026-12-24T18:00:00Z".to_owned())
}

/// Digits with or without a plus, or a name.
pub(super) fn address(text: &str) -> Result<AddressBuf, String> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    let is_number = !digits.is_empty() && digits.bytes().all(|octet| octet.is_ascii_digit());
    let (ton, npi, addr) = match (is_number, digits.len()) {
        (true, INTERNATIONAL_MIN..=DIGITS_MAX) => (Ton::INTERNATIONAL, Npi::ISDN, digits),
        (true, ..INTERNATIONAL_MIN) => (Ton::NETWORK_SPECIFIC, Npi::UNKNOWN, digits),
        _ => (Ton::ALPHANUMERIC, Npi::UNKNOWN, text),
    };
    let fits = ton != Ton::ALPHANUMERIC || (1..=NAME_MAX).contains(&text.len());
    AddressBuf::new(ton, npi, addr.as_bytes())
        .ok()
        .filter(|_| fits && text.bytes().all(|octet| (b' '..=b'~').contains(&octet)))
        .ok_or_else(|| format!("up to {DIGITS_MAX} digits, or up to {NAME_MAX} characters of ASCII"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit_and_bounds() {
        for (text, millis) in [
            ("500ms", 500),
            ("1.5s", 1500),
            ("15m", 900_000),
            ("1000h", 3_600_000_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)));
        }
        for text in [
            "",
            "5",
            "s",
            "0s",
            "-1s",
            "1001h",
            "99999999999999999999s",
            "5 s",
            "5é",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert_eq!(delay("0ms"), Ok(Duration::ZERO));
    }

    #[test]
    fn a_rate_is_a_number_that_time_can_be_divided_by() {
        for (text, expected) in [("0", 0.0), ("0.5", 0.5), ("100000", 1e5)] {
            assert_eq!(rate(text), Ok(expected));
        }
        for text in ["-1", "NaN", "inf", "1e-9", "1e9", "x"] {
            assert!(rate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_address_is_a_number_a_short_code_or_a_name() {
        let parts = |text| {
            let address = address(text).unwrap();
            (address.ton().0, address.as_bytes().to_vec())
        };
        assert_eq!(parts("+447700900999"), (1, b"447700900999".to_vec()));
        assert_eq!(parts("12345"), (3, b"12345".to_vec()));
        assert_eq!(parts("Tide"), (5, b"Tide".to_vec()));
        for text in ["", "+", "twelve chars", "1234567890123456", "Gezeitentörn"] {
            let is_plus = text == "+";
            assert_eq!(address(text).is_ok(), is_plus, "{text}");
        }
    }
}
