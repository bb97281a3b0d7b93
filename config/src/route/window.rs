//! Hours of days in a time zone.

use std::hash::{Hash, Hasher};

use jiff::Timestamp;
use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use toml::de::DeValue;

use crate::problem::Fault;
use crate::section::Section;
use crate::value::{choice, shown, text, text_of};

/// When a route is open. Days are those of `zone`; hours that end before they begin go on after midnight and belong to
/// the day on which they began.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// Key `days`, default all of `["mon", "tue", "wed", "thu", "fri", "sat", "sun"]`: Monday is bit 0.
    days: u8,
    /// Key `hours`, default `"00:00-24:00"`: from the first minute of the day to the first that is closed again.
    hours: (u16, u16),
    /// Key `zone`, default `"UTC"`: a name of the IANA time zone database, which is built in.
    zone: Zone,
}

/// A time zone. Two of one name are the same.
#[derive(Clone, Debug)]
struct Zone {
    name: String,
    zone: TimeZone,
}

impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Zone {}

impl Hash for Zone {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

const ALL_DAYS: u8 = 0x7f;
const DAY: u16 = 24 * 60;

impl Window {
    /// Whether it is open at this time, in unix milliseconds. Costs a look into the zone's table: ask once a minute,
    /// since it changes at full minutes only.
    pub fn is_open(&self, unix_ms: u64) -> bool {
        let Some(at) = i64::try_from(unix_ms)
            .ok()
            .and_then(|ms| Timestamp::from_millisecond(ms).ok())
        else {
            return false;
        };
        let local = at.to_zoned_datetime(self.zone.zone.clone());
        let minute = u16::from(local.hour().unsigned_abs()) * 60 + u16::from(local.minute().unsigned_abs());
        let day = local.weekday();
        let (from, to) = self.hours;
        if from < to {
            return (from..to).contains(&minute) && self.has_day(day);
        }
        (minute >= from && self.has_day(day)) || (minute < to && self.has_day(day.previous()))
    }

    const fn has_day(&self, day: Weekday) -> bool {
        self.days & bit(day) != 0
    }

    pub(super) fn read(section: &mut Section<'_>) -> Option<Self> {
        let days = days(section);
        let hours = section.or("hours", (0, DAY), text(hours));
        let zone = section.optional("zone", zone);
        let window = Self {
            days,
            hours,
            zone: zone.unwrap_or_else(|| Zone {
                name: "UTC".to_owned(),
                zone: TimeZone::UTC,
            }),
        };
        let is_always = window.days == ALL_DAYS && window.hours == (0, DAY);
        (!is_always).then_some(window)
    }
}

/// Key `days`, default all: Monday is bit 0.
pub(crate) fn days(section: &mut Section<'_>) -> u8 {
    const DAYS: &[(&str, Weekday)] = &[
        ("mon", Weekday::Monday),
        ("tue", Weekday::Tuesday),
        ("wed", Weekday::Wednesday),
        ("thu", Weekday::Thursday),
        ("fri", Weekday::Friday),
        ("sat", Weekday::Saturday),
        ("sun", Weekday::Sunday),
    ];
    let days = section.list("days", 0..=7, choice(DAYS)).unwrap_or_default();
    let days = days.into_iter().fold(0, |set, day| set | bit(day));
    if days == 0 { ALL_DAYS } else { days }
}

/// The place of a day in a set of days.
pub(crate) const fn bit(day: Weekday) -> u8 {
    1 << day.to_monday_zero_offset()
}

/// Minutes since midnight, as `"08:00-20:00"` has them; the first is behind the second where they go on after midnight.
pub(crate) fn hours(text: &str) -> Result<(u16, u16), Fault> {
    let read = || {
        let (from, to) = text.split_once('-')?;
        let (from, to) = (minute(from)?, minute(to)?);
        (from != to && from < DAY).then_some((from, to))
    };
    read().ok_or_else(|| {
        Fault::new(
            format!("{} are no hours", shown::value(text)),
            "write \"08:00-20:00\", from 00:00 to 24:00; \"22:00-06:00\" goes on after midnight",
        )
    })
}

/// Minutes since midnight.
fn minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let number = |text: &str| {
        let fits = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
        fits.then(|| text.parse::<u16>().ok()).flatten()
    };
    let (hour, minute) = (number(hour)?, number(minute)?);
    (minute < 60 && hour * 60 + minute <= DAY).then_some(hour * 60 + minute)
}

fn zone(value: &DeValue<'_>) -> Result<Zone, Fault> {
    let name = text_of(value)?;
    match TimeZone::get(name) {
        Ok(zone) => Ok(Zone {
            name: name.to_owned(),
            zone,
        }),
        Err(_) => Err(Fault::new(
            format!("{} is no time zone", shown::value(name)),
            "write a name of the IANA database, such as \"Europe/London\", or \"UTC\"",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(days: &[Weekday], hours_text: &str, zone_name: &str) -> Window {
        Window {
            days: days.iter().fold(0, |set, day| set | bit(*day)),
            hours: hours(hours_text).unwrap(),
            zone: zone(&DeValue::String(zone_name.into())).unwrap(),
        }
    }

    fn is_open(window: &Window, at: &str) -> bool {
        let at: Timestamp = at.parse().unwrap();
        window.is_open(u64::try_from(at.as_millisecond()).unwrap())
    }

    #[test]
    fn hours_are_those_of_the_zone_in_summer_and_in_winter() {
        let london = window(&[Weekday::Monday], "08:00-20:00", "Europe/London");
        for (at, open) in [
            ("2026-07-06T06:59:59Z", false),
            ("2026-07-06T07:00:00Z", true),
            ("2026-07-06T18:59:59Z", true),
            ("2026-07-06T19:00:00Z", false),
            ("2026-12-07T07:59:59Z", false),
            ("2026-12-07T08:00:00Z", true),
            ("2026-12-08T08:00:00Z", false),
        ] {
            assert_eq!(is_open(&london, at), open, "{at}");
        }
    }

    #[test]
    fn a_night_belongs_to_the_day_on_which_it_began() {
        let friday = window(&[Weekday::Friday], "22:00-06:00", "UTC");
        for (at, open) in [
            ("2026-11-27T21:59:00Z", false),
            ("2026-11-27T22:00:00Z", true),
            ("2026-11-28T05:59:00Z", true),
            ("2026-11-28T06:00:00Z", false),
            ("2026-11-28T22:00:00Z", false),
            ("2026-11-27T05:00:00Z", false),
        ] {
            assert_eq!(is_open(&friday, at), open, "{at}");
        }
    }

    #[test]
    fn what_is_no_time_of_a_day_is_refused() {
        for text in [
            "8:00-20:00",
            "08:00",
            "08:00-08:00",
            "24:00-08:00",
            "08:60-09:00",
            "08:00-24:01",
            "-1:00-08:00",
            "",
        ] {
            assert!(hours(text).is_err(), "{text}");
        }
        assert_eq!(hours("00:00-24:00"), Ok((0, DAY)));
    }
}
