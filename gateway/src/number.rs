//! Telephone numbers: one canonical form for the many ways in which they are written (interop quirk 37, OPT-27).
//!
//! `+447700900123`, `00447700900123`, `447700900123` and, in Britain, `07700900123` are one number. [`Plan::canonical`]
//! makes it `447700900123`, by the rules of its country: which codes there are, what is dialled before a number inside
//! the country and before one outside it, how long numbers are. What is no number of the public network, such as a
//! short code, stays what it is.
//!
//! Rules are as good as the data of libphonenumber. It knows that Italian numbers keep their 0, that `15` in an
//! Argentine mobile number is a `9` abroad, and Brazil's carrier codes. It does not know forms that are out of use: the
//! `1` behind +52 in Mexico (since 2019), or Brazilian mobile numbers without their 9; they are refused, or taken as they
//! stand where their length is possible. Nor does it know numbers that can be dialled within one town only.

mod pattern;
mod rules;

use std::fmt;
use std::sync::LazyLock;

use smallvec::SmallVec;
use tidegate_codec::address::{Npi, Ton};
use tidegate_config::Country;

use rules::{Rules, Table};

/// Most digits of an international number (E.164).
pub const E164_MAX: usize = 15;
/// Most digits of a short code that does not say what it is by its TON.
pub const SHORT_CODE_MAX: usize = 6;
/// Most digits that any way of writing a number has: an international prefix with a carrier's code, and the number.
const WRITTEN_MAX: usize = 24;
/// Numbering plan of private networks.
const PRIVATE: Npi = Npi(9);
/// What most of the world dials before a country code. No number begins so, wherever it is read.
const USUAL_PREFIX: &[u8] = b"00";

/// An international number: its digits, country code first, without `+`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct E164 {
    digits: [u8; E164_MAX],
    length: u8,
}

impl E164 {
    fn new(code: &[u8], rest: &[u8]) -> Option<Self> {
        let mut digits = [0; E164_MAX];
        let length = code.len() + rest.len();
        let (first, behind) = digits.split_at_mut_checked(code.len())?;
        first.copy_from_slice(code);
        behind.get_mut(..rest.len())?.copy_from_slice(rest);
        let length = u8::try_from(length).ok()?;
        Some(Self { digits, length })
    }

    /// The digits, in ASCII.
    pub fn as_bytes(&self) -> &[u8] {
        self.digits.get(..usize::from(self.length)).unwrap_or_default()
    }
}

impl fmt::Debug for E164 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "E164[len={}]", self.length)
    }
}

/// Why an address has no canonical form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotANumber {
    /// It means something in one network only: a short code, or what its TON or NPI says is not for others.
    ShortCode,
    /// It is not written like a number.
    Malformed,
    /// No country has such a number, or none was named whose national number it could be.
    Impossible,
}

/// The numbers of all countries.
#[derive(Debug)]
pub struct Plan {
    table: Table,
}

/// The plan; read when it is first asked for, in some milliseconds, and constant.
pub fn plan() -> &'static Plan {
    static PLAN: LazyLock<Plan> = LazyLock::new(|| Plan { table: Table::read() });
    &PLAN
}

/// The digits that a number is written in.
type Written = SmallVec<[u8; WRITTEN_MAX]>;

impl Plan {
    /// The canonical form of an address as it stands in a PDU; `home` is the country whose national numbers may stand
    /// there without their code. Allocates nothing.
    ///
    /// TON and NPI are hints, since so many clients set them wrongly. In this order: network-specific and abbreviated
    /// numbers, and private plans, stay what they are; `+` is an international number and nothing else; TON international
    /// is one if it can be; TON national is one of the home country if it can be. For what remains, the international
    /// prefix and the national prefix of the home country decide; then up to [`SHORT_CODE_MAX`] digits are a short code;
    /// then an international number that fits its country's plan goes before a national one that fits the home country's,
    /// and last comes what has the length of an international number. So ten digits in the USA that also are a number
    /// elsewhere are that number: clients that mean them otherwise set TON national or write the 1.
    ///
    /// # Errors
    ///
    /// [`NotANumber`] says why there is none.
    pub fn canonical(
        &self,
        ton: Ton,
        npi: Npi,
        address: &[u8],
        home: Option<Country>,
    ) -> Result<E164, NotANumber> {
        let (has_plus, rest) = match address.split_first() {
            Some((b'+', rest)) => (true, rest),
            _ => (false, address),
        };
        let mut room = Written::new();
        let digits = written(rest, &mut room).ok_or(NotANumber::Malformed)?;
        if has_plus {
            // An international prefix behind the `+` is a slip of whoever puts a `+` before everything.
            let bare = digits.strip_prefix(USUAL_PREFIX).unwrap_or(digits);
            return self.international(bare, false).ok_or(NotANumber::Impossible);
        }
        if ton == Ton::NETWORK_SPECIFIC || ton == Ton::ABBREVIATED || npi == PRIVATE {
            return Err(NotANumber::ShortCode);
        }
        let home = home.and_then(|home| self.table.of(home));
        let by_ton = if ton == Ton::INTERNATIONAL {
            self.international(digits, false)
        } else if ton == Ton::NATIONAL {
            home.and_then(|home| self.of_country(home, digits, false))
        } else {
            None
        };
        let found = by_ton.or_else(|| self.by_prefix(home, digits));
        if let Some(found) = found {
            return Ok(found);
        }
        if digits.len() <= SHORT_CODE_MAX {
            return Err(NotANumber::ShortCode);
        }
        // What says that it is international is not taken for a national number by its length alone.
        let home = home.filter(|_| ton != Ton::INTERNATIONAL);
        self.international(digits, true)
            .or_else(|| self.of_country(home?, digits, true))
            .or_else(|| self.international(digits, false))
            .ok_or(NotANumber::Impossible)
    }

    /// The country of a number: the main one of a code that several share, unless the number begins as those of one of
    /// the others do; behind +1 the area code's. `None` for codes of no country, such as 800.
    pub fn country_of(&self, number: &E164) -> Option<Country> {
        self.table.country_of(number.as_bytes())
    }

    /// The same of a number's digits, country code first, which need not have been made canonical here.
    pub fn country_of_digits(&self, digits: &[u8]) -> Option<Country> {
        self.table.country_of(digits)
    }

    /// The country code of a country, in digits.
    pub fn code_of(&self, country: Country) -> Option<&'static str> {
        Some(self.table.of(country)?.code)
    }

    /// The number as it is known inside its country, if that is this one. Neither country code nor national prefix.
    pub fn national_of<'n>(&self, number: &'n E164, country: Country) -> Option<&'n [u8]> {
        let rules = self.table.of(country)?;
        number.as_bytes().strip_prefix(rules.code.as_bytes())
    }

    /// Whether there are rules for a country.
    pub fn knows(&self, country: Country) -> bool {
        self.table.of(country).is_some()
    }

    /// What begins with a prefix that is dialled in the home country.
    fn by_prefix(&self, home: Option<&Rules>, digits: &[u8]) -> Option<E164> {
        let abroad = || {
            let prefix = home?.international.as_ref()?.at_start(digits)?;
            let rest = digits.get(prefix.end..)?;
            self.international(rest, false)
        };
        let inside = || {
            let home = home?;
            let bare = home.without_national_prefix(digits)?;
            home.is_of_plan(&bare)
                .then(|| E164::new(home.code.as_bytes(), &bare))?
        };
        // Where the home country dials something else, or none is named.
        let usual = || self.international(digits.strip_prefix(USUAL_PREFIX)?, false);
        abroad().or_else(inside).or_else(usual)
    }

    /// The number that begins with a country code; `strict`: one of that country's plan.
    fn international(&self, digits: &[u8], strict: bool) -> Option<E164> {
        let rules = self.table.main(digits)?;
        let rest = digits.get(rules.code.len()..)?;
        self.of_country(rules, rest, strict)
    }

    /// A number of a country, perhaps with its national prefix: `+44 (0)20 …` is a habit of letterheads. It is taken
    /// away as long as one stands there, so that what is canonical stays as it is.
    fn of_country(&self, rules: &Rules, rest: &[u8], strict: bool) -> Option<E164> {
        let mut bare = rules.without_national_prefix(rest);
        for _ in 0..WRITTEN_MAX {
            let Some(barer) = bare
                .as_deref()
                .and_then(|rest| rules.without_national_prefix(rest))
            else {
                break;
            };
            bare = Some(barer);
        }
        let rest = bare.as_deref().unwrap_or(rest);
        let is_one = if strict {
            rules.is_of_plan(rest)
        } else {
            rules.has_length(rest.len())
        };
        let found = is_one.then(|| E164::new(rules.code.as_bytes(), rest))??;
        (!strict || self.table.is_in_use(found.as_bytes())).then_some(found)
    }
}

/// The digits of what is written, without spaces and the signs that group them for the eye; `room` is for those among
/// which such signs stand. `None` for none, for more than any number has, and for anything else.
fn written<'a>(address: &'a [u8], room: &'a mut Written) -> Option<&'a [u8]> {
    let digits = if address.iter().all(u8::is_ascii_digit) {
        address
    } else {
        for octet in address {
            match octet {
                b'0'..=b'9' if room.len() < WRITTEN_MAX => room.push(*octet),
                b' ' | b'-' | b'.' | b'(' | b')' => {}
                _ => return None,
            }
        }
        room
    };
    (1..=WRITTEN_MAX).contains(&digits.len()).then_some(digits)
}

#[cfg(test)]
mod tests;
