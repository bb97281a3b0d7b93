//! Rates per destination country.

use std::num::NonZeroU32;

use crate::problem::Fault;
use crate::section::Section;
use crate::value::{integer, shown};

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

/// ISO 3166-1 alpha-2, and behind it three places that have a country code of their own in E.164.
const COUNTRIES: &str = "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR \
                         BS BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO \
                         DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT \
                         GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP \
                         KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR \
                         MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN \
                         PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX \
                         SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN \
                         VU WF WS YE YT ZA ZM ZW AC TA XK";

/// Countries that may be named at most: all there are.
const NAMED_MAX: usize = 256;

/// Reads the key `country_rates` of a section.
pub(crate) fn read(section: &mut Section<'_>) -> CountryRates {
    let rates = section.map("country_rates", NAMED_MAX, country, integer(0..=1_000_000));
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
    if COUNTRIES.split_ascii_whitespace().any(|known| known == key)
        && let &[first, second] = key.as_bytes()
    {
        return Ok(Some([first, second]));
    }
    let upper = key.to_ascii_uppercase();
    let remedy = if COUNTRIES.split_ascii_whitespace().any(|known| known == upper) {
        format!("write {upper}")
    } else {
        "write the two letters of ISO 3166, such as GB (not UK), or \"*\" for all that are not named"
            .to_owned()
    };
    Err(Fault::new(format!("{} is no country", shown::value(key)), remedy))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_countries_as_iso_has() {
        let mut all: Vec<&str> = COUNTRIES.split_ascii_whitespace().collect();
        assert!(all.iter().all(|country| country.len() == 2));
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 249 + 3);
    }
}
