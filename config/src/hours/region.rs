//! States and provinces, by their two letters: those of the USA and of Canada, which share +1.

use std::fmt;

use crate::country::Country;
use crate::problem::Fault;
use crate::value::shown;

/// States of the USA and its district, in order.
const OF_US: &str = "\
    AK AL AR AZ CA CO CT DC DE FL GA HI IA ID IL IN KS KY LA MA MD ME MI MN MO MS MT NC ND NE NH NJ NM NV NY OH OK OR PA RI \
    SC SD TN TX UT VA VT WA WI WV WY";
/// Provinces and territories of Canada, in order. None has the letters of a state.
const OF_CANADA: &str = "AB BC MB NB NL NS NT NU ON PE QC SK YT";

/// A state of the USA, or a province of Canada: the two capital letters of its post.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Region([u8; 2]);

impl Region {
    /// From its two capital letters, as `FL`.
    pub fn known(letters: &str) -> Option<Self> {
        let octets: [u8; 2] = letters.as_bytes().try_into().ok()?;
        let mut all = OF_US.split(' ').chain(OF_CANADA.split(' '));
        all.any(|known| known == letters).then_some(Self(octets))
    }

    /// Every one.
    pub fn all() -> impl Iterator<Item = Self> {
        OF_US
            .split(' ')
            .chain(OF_CANADA.split(' '))
            .filter_map(Self::known)
    }

    /// Its country.
    pub fn country(self) -> Country {
        let is_canadian = OF_CANADA.split(' ').any(|known| known == self.as_str());
        Country::of_letters(if is_canadian { *b"CA" } else { *b"US" })
    }

    /// The two letters.
    pub const fn octets(self) -> [u8; 2] {
        self.0
    }

    /// The two letters as a text.
    pub fn as_str(&self) -> &str {
        // Two ASCII letters.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whose rule it is: a country's, or that of a state or province, beside its country's.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Jurisdiction {
    /// The country.
    pub country: Country,
    /// The state or province.
    pub region: Option<Region>,
}

impl Jurisdiction {
    /// The one that is written so: a country, such as `FR`, or a state or province, such as `US-FL`.
    pub fn known(text: &str) -> Option<Self> {
        Self::parse(text).ok()
    }

    pub(crate) fn parse(text: &str) -> Result<Self, Fault> {
        match text.split_once('-') {
            None => Country::parse(text).map(|country| Self { country, region: None }),
            Some((country, region)) => Region::known(region)
                .filter(|region| region.country().as_str() == country)
                .map(|region| Self {
                    country: region.country(),
                    region: Some(region),
                })
                .ok_or_else(|| {
                    Fault::new(
                        format!("{} is no state or province", shown::value(text)),
                        "write \"US-\" or \"CA-\" and two letters, such as \"US-FL\" or \"CA-ON\"; other countries have one \
                         rule for all",
                    )
                }),
        }
    }
}

impl fmt::Display for Jurisdiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.region {
            Some(region) => write!(f, "{}-{region}", self.country),
            None => self.country.fmt(f),
        }
    }
}

impl fmt::Debug for Jurisdiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jurisdiction_is_a_country_or_a_state_of_it() {
        for text in ["US", "FR", "US-FL", "US-DC", "CA-ON"] {
            assert_eq!(Jurisdiction::parse(text).unwrap().to_string(), text);
        }
        for text in [
            "", "UK", "FL", "US-", "US-ON", "CA-FL", "US-ZZ", "us-fl", "US-FL-", "FR-75", "-FL",
        ] {
            assert!(Jurisdiction::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn no_two_regions_share_their_letters() {
        let all: Vec<Region> = Region::all().collect();
        assert_eq!(all.len(), 51 + 13);
        assert!((1..all.len()).all(|at| !all[..at].contains(&all[at])), "{all:?}");
    }
}
