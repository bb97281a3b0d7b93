//! What a part costs, in whatever the operator counts in.

use std::fmt;

use toml::de::DeValue;

use crate::problem::Fault;
use crate::value::shown;

/// Digits after the point that a price may have.
const PLACES: usize = 6;
/// Digits before it.
const WHOLE_DIGITS: usize = 6;

/// A price of one part in millionths of whatever the operator counts in: one unit for all of them, in the file and in the
/// tables of prices. A whole number, so that sums are exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Price(u64);

impl Price {
    /// Reads a decimal of up to 6 digits before and 6 after the point, such as `0.0325` or `12`.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = str::from_utf8(text).ok()?;
        let (whole, parts) = match text.split_once('.') {
            Some((whole, parts)) => (whole, parts),
            None => (text, "0"),
        };
        let digits = |text: &str, most| {
            let fits = (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
            fits.then(|| text.parse::<u64>().ok()).flatten()
        };
        let (whole, millionths) = (digits(whole, WHOLE_DIGITS)?, digits(parts, PLACES)?);
        let scale = 10_u64.pow(u32::try_from(PLACES - parts.len()).ok()?);
        Some(Self(whole * 1_000_000 + millionths * scale))
    }

    /// Millionths; below 10^12.
    pub fn millionths(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, mut parts, mut width) = (self.0 / 1_000_000, self.0 % 1_000_000, PLACES);
        while parts % 10 == 0 && width > 0 {
            (parts, width) = (parts / 10, width - 1);
        }
        match width {
            0 => write!(f, "{whole}"),
            _ => write!(f, "{whole}.{parts:0width$}"),
        }
    }
}

/// A price as a number of the file: its digits are read and not what a float makes of them.
pub(crate) fn price(value: &DeValue<'_>) -> Result<Price, Fault> {
    let remedy = "write a decimal such as 0.0325, without quotes, up to 6 digits on either side of the point";
    let digits = match value {
        DeValue::Integer(whole) if whole.radix() == 10 => whole.as_str(),
        DeValue::Float(decimal) => decimal.as_str(),
        _ => {
            let fault = format!("{} where a price belongs", shown::kind(value));
            return Err(Fault::new(fault, remedy));
        }
    };
    Price::parse(digits.as_bytes())
        .ok_or_else(|| Fault::new(format!("{} is no price", shown::value(digits)), remedy))
}
