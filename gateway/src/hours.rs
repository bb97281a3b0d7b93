//! When marketing may be sent: the hours that the law of the recipient's country and state allows, by the clock on the wall
//! there (QH-1 to QH-8).
//!
//! A number says where its subscriber may be by its longest known prefix: in several zones, now and then. [`Hours`] says
//! *open* when every rule of every jurisdiction allows it in every one of those zones, and until when. It is a pure judge:
//! who asks knows the time, and what is sent besides marketing is never asked about.
//!
//! An answer stands for hours, and the same one serves everybody in the same places, so that answers are kept
//! ([`cache`]) and a question costs a walk along the digits and one look. A change of a clock is a change like any other
//! ([`walk`]), and nothing keeps an offset beyond it.

mod cache;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_clocks;
mod walk;
mod zones;

use std::num::NonZeroU16;

use smallvec::SmallVec;
use tidegate_config::hours::HoursRule;
use tidegate_config::{Country, Region, SendingHours};

use crate::number::plan;

use cache::{Answer, Cache, Key, NEVER};
use walk::{Law, Stretch, walk};
pub use zones::Zone;
use zones::{LIKELY_ZONES, Place, PlaceIndex, zones};

/// Zones of one recipient that an account may know, at most.
pub const HINT_ZONES_MAX: usize = 4;

/// Stands for no law in a table.
const NONE: u16 = u16::MAX;
/// Numbers of +1 that are no country's count as the federation's: toll-free ones, and area codes that are new.
const SHARED_CODE: u8 = b'1';

/// Whether marketing may be sent to a recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It may.
    Open {
        /// From when on it may not, in unix milliseconds; [`u64::MAX`] where no rule applies. Where it may for more than two
        /// weeks, it is open that long at least.
        until_ms: u64,
    },
    /// It may not.
    Shut {
        /// When it may, in unix milliseconds; `None` if that is not within two weeks.
        opens_ms: Option<u64>,
    },
}

/// What an account knows of a recipient besides the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hints {
    zones: [Zone; HINT_ZONES_MAX],
    region: Option<Region>,
}

impl Hints {
    /// Nothing.
    pub const NONE: Self = Self {
        zones: [Zone::NONE; HINT_ZONES_MAX],
        region: None,
    };

    /// Zones in which the recipient is, which hold in place of those of the number (QH-4), and the state or province of the
    /// address, which holds beside that of the number (QH-5). `None` for more than [`HINT_ZONES_MAX`] zones.
    pub fn new(zones: &[Zone], region: Option<Region>) -> Option<Self> {
        let mut hints = Self { region, ..Self::NONE };
        hints.zones.get_mut(..zones.len())?.copy_from_slice(zones);
        Some(hints)
    }

    fn zones(&self) -> impl Iterator<Item = Zone> {
        self.zones.into_iter().filter(|zone| *zone != Zone::NONE)
    }
}

/// What applies to a recipient, for people.
#[derive(Clone, Debug)]
pub struct Applies<'h> {
    /// The number's country.
    pub country: Option<Country>,
    /// States and provinces, the number's and the account's.
    pub regions: Vec<Region>,
    /// Zones in which the recipient may be.
    pub zones: Vec<&'static str>,
    /// Whether these are `fallback_zones`, since the number says nothing or its zones have no hour in common.
    pub is_fallback: bool,
    /// Every row that may say something on some day.
    pub rules: Vec<&'h HoursRule>,
    /// What they come to.
    pub judgement: Judgement,
}

/// The judge: the rules of a configuration, and the answers that stand. Each thread has its own.
#[derive(Debug)]
pub struct Hours {
    laws: Vec<Vec<HoursRule>>,
    /// The law of a country, and of a state or province, by their two letters.
    of_country: Box<[u16; LETTERS]>,
    of_region: Box<[u16; LETTERS]>,
    /// Whether a number whose first three digits are these can be of a country that has a law.
    begins: Box<[bool; 1_000]>,
    fallback: SmallVec<[Zone; LIKELY_ZONES]>,
    cache: Cache,
}

/// What one recipient's question is about.
struct Asked<'h> {
    laws: SmallVec<[&'h Law; 6]>,
    zones: SmallVec<[Zone; LIKELY_ZONES]>,
    /// Whether `zones` are the fall-back's already.
    is_fallback: bool,
    may_fall_back: bool,
}

impl Hours {
    /// A judge by these rules. The tables of prefixes are read when the first one is made, which takes some milliseconds.
    pub fn new(config: &SendingHours) -> Self {
        let mut hours = Self {
            laws: Vec::new(),
            of_country: Box::new([NONE; LETTERS]),
            of_region: Box::new([NONE; LETTERS]),
            begins: Box::new([false; 1_000]),
            fallback: config
                .fallback_zones
                .iter()
                .filter_map(|name| Zone::named(name))
                .collect(),
            cache: Cache::new(),
        };
        zones();
        for rule in &config.rules {
            hours.take(rule);
        }
        hours
    }

    fn take(&mut self, rule: &HoursRule) {
        let jurisdiction = rule.jurisdiction;
        let (table, letters) = match jurisdiction.region {
            Some(region) => (&mut self.of_region, region.octets()),
            None => (&mut self.of_country, jurisdiction.country.octets()),
        };
        let Some(law) = table.get_mut(place_of(letters)) else {
            return;
        };
        if *law == NONE {
            // A file has some hundred rules at most.
            *law = u16::try_from(self.laws.len()).unwrap_or(NONE);
            self.laws.push(Vec::new());
        }
        if let Some(rows) = self.laws.get_mut(usize::from(*law)) {
            rows.push(rule.clone());
        }
        let code = plan().code_of(jurisdiction.country).unwrap_or_default();
        let ends = ["0", "00", "000"].into_iter().zip(["9", "99", "999"]);
        let ends = ends.map(|(first, last)| (format!("{code}{first}"), format!("{code}{last}")));
        let ends = ends.chain([(code.to_owned(), code.to_owned())]);
        for (first, last) in ends.filter(|(first, _)| first.len() == 3) {
            let range = three(first.as_bytes()).zip(three(last.as_bytes()));
            let begins = range.and_then(|(first, last)| self.begins.get_mut(first..=last));
            begins.unwrap_or_default().fill(true);
        }
    }

    /// Whether marketing may be sent to a number, its digits with the country code first, at a time in unix milliseconds.
    /// Allocates nothing but when an answer has ended.
    pub fn judge(&self, digits: &[u8], hints: &Hints, unix_ms: u64) -> Judgement {
        let Some((country, place)) = self.looked_up(digits, hints) else {
            return Judgement::Open { until_ms: u64::MAX };
        };
        let key = key_of(place, country.map_or(NONE, |country| self.law_of(country)), hints);
        if let Some(answer) = self.cache.get(key, unix_ms) {
            return judgement(answer);
        }
        let asked = self.asked(country, place, hints);
        let answer = self.answer(&asked, unix_ms);
        self.cache.put(key, answer);
        judgement(answer)
    }

    /// How many messages on one subject a recipient may get in 24 hours, by the strictest rule that applies; `None`: no
    /// rule limits them.
    pub fn frequency_cap(&self, digits: &[u8], hints: &Hints) -> Option<NonZeroU16> {
        let (country, place) = self.looked_up(digits, hints)?;
        let laws = self.laws_of(country, place, hints);
        laws.iter()
            .flat_map(|law| law.iter())
            .filter_map(|row| row.cap)
            .min()
    }

    /// What applies to a recipient, and what it comes to.
    pub fn applies(&self, digits: &[u8], hints: &Hints, unix_ms: u64) -> Applies<'_> {
        let country = country_of(digits);
        let place = zones().of(digits);
        let asked = self.asked(country, place, hints);
        let is_fallback = asked.is_fallback || self.falls_back(&asked, unix_ms);
        let named = if is_fallback { &self.fallback } else { &asked.zones };
        let mut regions = place_at(place)
            .map(|place| place.regions.to_vec())
            .unwrap_or_default();
        regions.extend(hints.region.filter(|region| !regions.contains(region)));
        Applies {
            country,
            regions,
            zones: named.iter().map(|zone| zone.name()).collect(),
            is_fallback,
            rules: asked.laws.iter().flat_map(|law| law.iter()).collect(),
            judgement: self.judge(digits, hints, unix_ms),
        }
    }

    /// The country and the place of a number, if any rule may apply to it.
    fn looked_up(&self, digits: &[u8], hints: &Hints) -> Option<(Option<Country>, Option<PlaceIndex>)> {
        let begins = three(digits).and_then(|three| self.begins.get(three));
        if begins != Some(&true) && hints.region.is_none() {
            return None;
        }
        Some((country_of(digits), zones().of(digits)))
    }

    fn law_of(&self, country: Country) -> u16 {
        let law = self.of_country.get(place_of(country.octets()));
        law.copied().unwrap_or(NONE)
    }

    /// The laws of the number's country and of each state that it may be of, and those of the account's address beside
    /// them (QH-3, QH-5).
    fn laws_of(
        &self,
        country: Option<Country>,
        place: Option<PlaceIndex>,
        hints: &Hints,
    ) -> SmallVec<[&Law; 6]> {
        let of_number = place_at(place).map_or(&[][..], |place| &place.regions);
        let of_region = |region: &Region| self.of_region.get(place_of(region.octets())).copied();
        let countries = country.into_iter().chain(hints.region.map(Region::country));
        let laws = countries.map(|country| self.law_of(country));
        let laws = laws.chain(of_number.iter().chain(&hints.region).filter_map(of_region));
        let mut seen = SmallVec::<[u16; 6]>::new();
        for law in laws.filter(|law| *law != NONE) {
            if !seen.contains(&law) {
                seen.push(law);
            }
        }
        let laws = seen.iter().filter_map(|law| self.laws.get(usize::from(*law)));
        laws.map(Vec::as_slice).collect()
    }

    fn asked(&self, country: Option<Country>, place: Option<PlaceIndex>, hints: &Hints) -> Asked<'_> {
        let found = place_at(place);
        let is_bare = found.is_some_and(|place| place.is_bare);
        let of_number = found.map_or(&[][..], |place| &place.zones);
        let of_address = hints.region.map_or(&[][..], |region| zones().of_region(region));
        let mut asked = Asked {
            laws: self.laws_of(country, place, hints),
            zones: hints.zones().collect(),
            is_fallback: false,
            may_fall_back: false,
        };
        if !asked.zones.is_empty() {
            return asked;
        }
        if is_bare && of_address.is_empty() {
            asked.zones.clone_from(&self.fallback);
            asked.is_fallback = true;
        } else if is_bare {
            asked.zones.extend_from_slice(of_address);
        } else {
            asked.zones.extend_from_slice(of_number);
            // A number that moved within its zones is where it was; one that left them may be at either end.
            if !of_address.iter().any(|zone| of_number.contains(zone)) {
                asked.zones.extend_from_slice(of_address);
            }
        }
        let is_of_shared_code = country.is_none_or(|country| plan().code_of(country) == Some("1"));
        asked.may_fall_back = !asked.is_fallback && is_of_shared_code && asked.zones.len() > 1;
        asked
    }

    /// Whether the zones have no hour in common, so that those of the fall-back hold (QH-4).
    fn falls_back(&self, asked: &Asked<'_>, unix_ms: u64) -> bool {
        asked.may_fall_back
            && i64::try_from(unix_ms).is_ok_and(|at_ms| {
                walk(&asked.laws, &asked.zones, at_ms).is_some_and(Stretch::is_shut_for_long)
            })
    }

    fn answer(&self, asked: &Asked<'_>, unix_ms: u64) -> Answer {
        let shut = Answer {
            is_open: false,
            changes_ms: NEVER,
            from_ms: unix_ms,
            stands_ms: unix_ms,
        };
        if asked.laws.is_empty() {
            return Answer {
                is_open: true,
                stands_ms: NEVER,
                ..shut
            };
        }
        // Nobody knows where it is, or what time that is: not now (GEN-1).
        let Some(at_ms) = i64::try_from(unix_ms).ok().filter(|_| !asked.zones.is_empty()) else {
            return shut;
        };
        let Some(mut stretch) = walk(&asked.laws, &asked.zones, at_ms) else {
            return shut;
        };
        if asked.may_fall_back && stretch.is_shut_for_long() {
            stretch = walk(&asked.laws, &self.fallback, at_ms).unwrap_or(stretch);
        }
        let unsigned = |ms: i64| u64::try_from(ms).unwrap_or(NEVER);
        Answer {
            is_open: stretch.is_open,
            changes_ms: stretch.changes_ms.map_or(NEVER, unsigned),
            stands_ms: unsigned(stretch.stands_ms),
            ..shut
        }
    }
}

fn judgement(answer: Answer) -> Judgement {
    if answer.is_open {
        Judgement::Open {
            until_ms: answer.changes_ms,
        }
    } else {
        Judgement::Shut {
            opens_ms: Some(answer.changes_ms).filter(|opens_ms| *opens_ms != NEVER),
        }
    }
}

fn key_of(place: Option<PlaceIndex>, law: u16, hints: &Hints) -> Key {
    let place = place.map_or(NONE, |place| place.0);
    let region = hints.region.map_or([0; 2], Region::octets);
    let [first, second, third, fourth] = hints.zones.map(Zone::number);
    let pack = |parts: [u16; 4]| parts.iter().fold(0, |key, part| key << 16 | u64::from(*part));
    [
        pack([0, place, law, u16::from_be_bytes(region)]),
        pack([first, second, third, fourth]),
    ]
}

/// Whose number it is.
fn country_of(digits: &[u8]) -> Option<Country> {
    let known = plan().country_of_digits(digits);
    known.or_else(|| (digits.first() == Some(&SHARED_CODE)).then(|| Country::new("US"))?)
}

fn place_at(place: Option<PlaceIndex>) -> Option<&'static Place> {
    zones().place(place?)
}

/// Pairs of capital letters.
const LETTERS: usize = 26 * 26;

fn place_of(letters: [u8; 2]) -> usize {
    let [first, second] = letters.map(|letter| usize::from(letter.wrapping_sub(b'A')));
    26 * first + second
}

/// The first three digits as a number.
fn three(digits: &[u8]) -> Option<usize> {
    let three = digits.first_chunk::<3>()?;
    let is_number = three.iter().all(u8::is_ascii_digit);
    let value = three.iter().fold(0, |value, octet| {
        10 * value + usize::from(octet.wrapping_sub(b'0'))
    });
    is_number.then_some(value)
}
