//! Rates per destination country.

use std::num::NonZeroU32;

use crate::country::Country;
use crate::problem::Fault;
use crate::section::Section;
use crate::value::integer;

/// A key `country_rates`, default `{}` (no limits): parts per second to each country, such as
/// `{ GB = 50, "*" = 100 }`, each 0 (no limit) to 1 000 000.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CountryRates {
    /// Countries that have a rate of their own, by their two letters and sorted by them; `None` is no limit.
    pub named: Vec<([u8; 2], Option<NonZeroU32>)>,
    /// What all other countries share, and numbers whose country is not known; `None` is no limit.
    pub others: Option<NonZeroU32>,
}

impl CountryRates {
    /// Countries that have a rate of their own, sorted.
    pub fn names(&self) -> impl Iterator<Item = [u8; 2]> {
        self.named.iter().map(|(country, _)| *country)
    }

    /// What holds for a country, and whether it shares that with all others that have no rate of their own; `None` is
    /// no limit.
    pub fn of(&self, country: Option<[u8; 2]>) -> Option<(NonZeroU32, bool)> {
        let place = |country| {
            self.named
                .binary_search_by_key(&country, |(named, _)| *named)
                .ok()
        };
        match country.and_then(place).and_then(|place| self.named.get(place)) {
            Some((_, rate)) => Some(((*rate)?, false)),
            None => Some((self.others?, true)),
        }
    }
}

/// Countries that may be named at most: all there are.
const NAMED_MAX: usize = 256;

/// Reads the key `country_rates` of a section.
pub(crate) fn read(section: &mut Section<'_>) -> CountryRates {
    read_key(section, "country_rates")
}

/// The same of a key that is called otherwise.
pub(crate) fn read_key(section: &mut Section<'_>, key: &'static str) -> CountryRates {
    let rates = section.map(key, NAMED_MAX, country, integer(0..=1_000_000));
    let mut read = CountryRates::default();
    for (country, rate) in rates {
        match country {
            Some(country) => read.named.push((country, NonZeroU32::new(rate))),
            None => read.others = NonZeroU32::new(rate),
        }
    }
    read.named.sort_unstable();
    read
}

/// Two letters, or `None` for all others.
fn country(key: &str) -> Result<Option<[u8; 2]>, Fault> {
    if key == "*" {
        return Ok(None);
    }
    let country = Country::parse(key).map_err(|Fault { what, remedy }| {
        let remedy = format!("{remedy}; \"*\" is for all that are not named");
        Fault { what, remedy }
    })?;
    Ok(Some(country.octets()))
}
