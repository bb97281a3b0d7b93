//! Amounts of octets as text: `"64MiB"`, `"8GiB"`.

use std::ops::RangeInclusive;

use toml::de::DeValue;

use super::shown;
use crate::problem::Fault;

/// 1024 octets.
pub(crate) const KIB: u64 = 1024;
/// 1024 KiB.
pub(crate) const MIB: u64 = 1024 * KIB;
/// 1024 MiB.
pub(crate) const GIB: u64 = 1024 * MIB;
/// 1024 GiB.
pub(crate) const TIB: u64 = 1024 * GIB;

const UNITS: [(&str, u64); 5] = [("B", 1), ("KiB", KIB), ("MiB", MIB), ("GiB", GIB), ("TiB", TIB)];

/// A size within bounds, in octets.
pub(crate) fn size(range: RangeInclusive<u64>) -> impl Fn(&DeValue<'_>) -> Result<u64, Fault> {
    move |value| {
        let remedy = || {
            format!(
                "give a size from \"{}\" to \"{}\" in B, KiB, MiB, GiB or TiB",
                write(*range.start()),
                write(*range.end())
            )
        };
        let Some(text) = value.as_str() else {
            return Err(Fault::new(
                format!("{} where a size belongs", shown::kind(value)),
                remedy(),
            ));
        };
        let octets =
            parse(text).ok_or_else(|| Fault::new(format!("{} is no size", shown::value(text)), remedy()))?;
        if range.contains(&octets) {
            return Ok(octets);
        }
        Err(Fault::new(
            format!("{} is out of bounds", shown::value(text)),
            remedy(),
        ))
    }
}

/// As a configuration would write it: the largest unit that leaves no fraction.
pub(crate) fn write(octets: u64) -> String {
    let (unit, size) = UNITS
        .iter()
        .rev()
        .find(|(_, size)| octets.is_multiple_of(*size))
        .unwrap_or(&UNITS[0]);
    format!("{}{unit}", octets / size)
}

/// The octets that a size such as `64MiB` comes to.
pub fn parse(text: &str) -> Option<u64> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(unit_at);
    let (_, size) = UNITS.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_powers_of_1024_and_nothing_is_guessed() {
        for (text, octets) in [
            ("64MiB", Some(64 * MIB)),
            ("8GiB", Some(8 * GIB)),
            ("0B", Some(0)),
            ("64MB", None),
            ("64", None),
            ("MiB", None),
            ("1.5GiB", None),
            ("-1B", None),
            ("99999999999999999999B", None),
            ("18446744073709551615TiB", None),
        ] {
            assert_eq!(parse(text), octets, "{text}");
        }
        assert_eq!(write(64 * MIB), "64MiB");
        assert_eq!(write(70_000), "70000B");
    }
}
