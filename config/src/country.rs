//! Countries, by their two letters.

use std::fmt;

use crate::problem::Fault;
use crate::value::shown;

/// Countries and territories with numbers of their own, in two letters (ISO 3166-1, and XK for Kosovo), in order. The
/// gateway's tests compare them with its rules of numbers.
pub const COUNTRIES: &str = "\
    AC AD AE AF AG AI AL AM AO AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS \
    BT BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG \
    EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GT GU GW GY HK HN HR HT \
    HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR \
    LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF \
    NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD \
    SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TA TC TD TG TH TJ TK TL TM TN TO TR TT TV TW \
    TZ UA UG US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW";

/// A country: two capital letters of ISO 3166-1.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Country([u8; 2]);

impl Country {
    /// From two capital letters; any two are taken.
    pub fn new(letters: &str) -> Option<Self> {
        let letters: [u8; 2] = letters.as_bytes().try_into().ok()?;
        letters
            .iter()
            .all(u8::is_ascii_uppercase)
            .then_some(Self(letters))
    }

    /// From two capital letters that are known to be some.
    pub(crate) const fn of_letters(letters: [u8; 2]) -> Self {
        Self(letters)
    }

    /// The same, if that country has numbers of its own.
    pub fn known(letters: &str) -> Option<Self> {
        Self::new(letters).filter(|country| COUNTRIES.split(' ').any(|known| known == country.as_str()))
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

    /// From the file: one that has numbers of its own.
    pub(crate) fn parse(text: &str) -> Result<Self, Fault> {
        let upper = text.to_ascii_uppercase();
        let remedy = match upper.as_str() {
            "UK" => "write \"GB\"".to_owned(),
            "EL" => "write \"GR\"".to_owned(),
            _ if Self::known(&upper).is_some() => format!("write \"{upper}\""),
            _ => "write the two capital letters of ISO 3166-1, such as \"GB\" or \"DE\", of a country that has numbers of \
                  its own"
                .to_owned(),
        };
        Self::known(text).ok_or_else(|| Fault::new(format!("{} is no country", shown::value(text)), remedy))
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_country_is_two_letters_that_have_numbers() {
        assert_eq!(Country::parse("GB").unwrap().as_str(), "GB");
        for (text, remedy) in [
            ("UK", "write \"GB\""),
            ("gb", "write \"GB\""),
            ("GBR", "ISO 3166"),
            ("", "ISO 3166"),
            ("ZZ", "ISO 3166"),
            ("A ", "ISO 3166"),
            // Antarctica has none of its own.
            ("AQ", "numbers of its own"),
        ] {
            let fault = Country::parse(text).unwrap_err();
            assert!(fault.remedy.contains(remedy), "{text}: {}", fault.remedy);
        }
    }
}
