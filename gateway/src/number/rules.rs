//! The rules of numbers, country by country, as a table that is read once.
//!
//! It is made from the metadata of the crate `phonenumber`, by a test that also compares the two
//! (`gateway/tests/number_rules.rs`). The gateway carries the table alone: the crate brings its own parsers of regular
//! expressions and of XML, of several ages, and answers one number at the price of some hundred messages.

use tidegate_config::Country;

use super::pattern::Pattern;

const TABLE: &str = include_str!("rules.tsv");
/// Country codes have three digits at most, and none is the beginning of another.
const CODE_MAX: usize = 3;
/// Stands for no place in a table.
const NONE: u16 = u16::MAX;

/// What is known of numbers of one country, or of one code that is no country's.
#[derive(Debug, Default)]
pub(super) struct Rules {
    /// `None` for codes that are no country's, such as 800.
    pub(super) country: Option<Country>,
    /// The country code in digits.
    pub(super) code: &'static str,
    /// Lengths without the code: bit n for n digits.
    lengths: u32,
    /// Numbers without the code.
    general: Pattern,
    /// What is dialled before a country code.
    pub(super) international: Option<Pattern>,
    /// What stands before a number inside the country.
    national: Option<Pattern>,
    /// What that turns into, with `$1` for what the pattern captured.
    transform: Option<&'static str>,
    /// How the numbers begin that are this country's, where it shares a code. The main one has all that are no other's,
    /// but for +1.
    leading: Option<Pattern>,
}

/// A number without the national prefix, in as many digits as any input may have.
pub(super) type Digits = smallvec::SmallVec<[u8; 32]>;

impl Rules {
    /// Whether numbers of the country may be as long, without the code.
    pub(super) fn has_length(&self, length: usize) -> bool {
        length < 32 && self.lengths >> length & 1 == 1
    }

    fn is_too_long(&self, length: usize) -> bool {
        length >= 32 || self.lengths >> length == 0
    }

    /// Whether a number without the code is of the country's plan.
    pub(super) fn is_of_plan(&self, number: &[u8]) -> bool {
        self.has_length(number.len()) && self.general.matches(number)
    }

    /// A number without the national prefix; `None` where it has none, or where what stands there is part of the
    /// number, as libphonenumber decides it.
    pub(super) fn without_national_prefix(&self, number: &[u8]) -> Option<Digits> {
        let pattern = self
            .national
            .as_ref()
            .filter(|pattern| pattern.may_begin(number))?;
        let found = pattern.at_start(number)?;
        let rest = number.get(found.end..)?;
        let last = found.group(number, pattern.groups());
        let bare = match self.transform {
            Some(into) if last.is_some() => {
                let mut bare = Digits::new();
                let mut signs = into.bytes();
                while let Some(sign) = signs.next() {
                    match sign {
                        b'$' => {
                            let group = usize::from(signs.next()?.wrapping_sub(b'0'));
                            bare.extend_from_slice(found.group(number, group).unwrap_or_default());
                        }
                        digit => bare.push(digit),
                    }
                }
                bare.extend_from_slice(rest);
                bare
            }
            _ => Digits::from_slice(rest),
        };
        if bare.as_slice() == number || (self.general.matches(number) && !self.general.matches(&bare)) {
            return None;
        }
        (self.has_length(bare.len()) || self.is_too_long(bare.len())).then_some(bare)
    }
}

/// A country code and who uses it.
#[derive(Debug)]
struct Code {
    main: usize,
    others: Vec<usize>,
}

/// The rules of every country.
#[derive(Debug)]
pub(super) struct Table {
    rules: Vec<Rules>,
    codes: Vec<Code>,
    by_country: Box<[u16; 26 * 26]>,
    /// The country code that a number's first three digits begin with.
    by_three: Box<[u16; 1000]>,
    /// The country of an area code of +1.
    areas: Box<[Option<Country>; 1000]>,
}

impl Table {
    /// Reads the table that is part of the program. A line that cannot be read is left out; the tests know of none.
    pub(super) fn read() -> Self {
        let mut table = Self {
            rules: Vec::new(),
            codes: Vec::new(),
            by_country: Box::new([NONE; 26 * 26]),
            by_three: Box::new([NONE; 1000]),
            areas: Box::new([None; 1000]),
        };
        for line in TABLE.lines().filter(|line| !line.starts_with('#')) {
            let _ = table.take(line);
        }
        let mut areas = std::mem::replace(&mut table.areas, Box::new([None; 1000]));
        for (area, country) in (1000..).zip(areas.iter_mut()) {
            // 1000 and the area code begin with the country code 1.
            *country = table.look_for_country(format!("{area}").as_bytes());
        }
        table.areas = areas;
        table
    }

    fn take(&mut self, line: &'static str) -> Option<()> {
        let mut columns = line.split('\t');
        let mut next = || columns.next();
        let (id, code, is_main) = (next()?, next()?, next()? == "m");
        let mut lengths = 0;
        for length in next()?.split(',') {
            lengths |= 1u32.checked_shl(length.parse().ok()?)?;
        }
        let general = Pattern::read(next()?)?;
        let given = |text: &'static str| (text != "-").then_some(text);
        // Given and not understood is no line.
        let pattern = |text| match given(text) {
            Some(text) => Pattern::read(text).map(Some),
            None => Some(None),
        };
        let rules = Rules {
            country: Country::new(id),
            code,
            lengths,
            general,
            international: pattern(next()?)?,
            national: pattern(next()?)?,
            transform: given(next()?),
            leading: pattern(next()?)?,
        };
        let number = self.rules.len();
        if let Some(country) = rules.country {
            *self.by_country.get_mut(place(country))? = u16::try_from(number).ok()?;
        }
        self.rules.push(rules);
        if is_main {
            self.note_code(code, number)
        } else {
            // The main country's line stands before those of the others.
            self.codes.last_mut()?.others.push(number);
            Some(())
        }
    }

    fn note_code(&mut self, code: &str, main: usize) -> Option<()> {
        let span = 10usize.checked_pow(u32::try_from(CODE_MAX.checked_sub(code.len())?).ok()?)?;
        let first = code.parse::<usize>().ok()?.checked_mul(span)?;
        let number = u16::try_from(self.codes.len()).ok()?;
        self.by_three.get_mut(first..first + span)?.fill(number);
        let others = Vec::new();
        self.codes.push(Code { main, others });
        Some(())
    }

    /// The rules of a country.
    pub(super) fn of(&self, country: Country) -> Option<&Rules> {
        self.rules.get(usize::from(*self.by_country.get(place(country))?))
    }

    fn code(&self, number: &[u8]) -> Option<&Code> {
        let value = three(number)?;
        self.codes.get(usize::from(*self.by_three.get(value)?))
    }

    /// The main country's rules of the code that an international number begins with.
    pub(super) fn main(&self, number: &[u8]) -> Option<&Rules> {
        self.rules.get(self.code(number)?.main)
    }

    /// Whose number this is.
    pub(super) fn country_of(&self, number: &[u8]) -> Option<Country> {
        match number.split_first()? {
            (b'1', rest) => self.areas.get(three(rest)?).copied().flatten(),
            _ => self.look_for_country(number),
        }
    }

    /// Whether a number that is of its country's plan can be one. The rules' plan of +1 is any ten digits, and there are
    /// many numbers without a country code that begin with a 1: its area code must be in use, and the exchange behind
    /// that begins with 2 to 9.
    pub(super) fn is_in_use(&self, number: &[u8]) -> bool {
        match number {
            [b'1', _, _, _, exchange, ..] => *exchange >= b'2' && self.country_of(number).is_some(),
            _ => true,
        }
    }

    fn look_for_country(&self, number: &[u8]) -> Option<Country> {
        let code = self.code(number)?;
        let main = self.rules.get(code.main)?;
        let rest = number.get(main.code.len()..)?;
        let is_theirs = |rules: &&Rules| {
            let leading = rules.leading.as_ref();
            leading.is_some_and(|leading| leading.at_start(rest).is_some())
        };
        let mut others = code.others.iter().filter_map(|place| self.rules.get(*place));
        match others.find(is_theirs) {
            Some(other) => other.country,
            None if main.leading.is_none() || is_theirs(&main) => main.country,
            None => None,
        }
    }

    #[cfg(test)]
    pub(super) fn all(&self) -> &[Rules] {
        &self.rules
    }
}

/// Where a country stands in a table by its two letters.
fn place(country: Country) -> usize {
    let [first, second] = country
        .octets()
        .map(|letter| usize::from(letter.wrapping_sub(b'A')));
    26 * first + second
}

/// The first three digits as a number.
fn three(number: &[u8]) -> Option<usize> {
    let three = number.first_chunk::<CODE_MAX>()?;
    let digit = |octet: &u8| usize::from(octet.wrapping_sub(b'0').min(9));
    Some(three.iter().fold(0, |value, octet| 10 * value + digit(octet)))
}
