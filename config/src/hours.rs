//! When marketing may be sent (QH-1 to QH-8): the rules by country and state, which come with dates and sources, and what an
//! operator adds to them. What they mean for a recipient at a time is the gateway's business.

mod holiday;
mod region;

use std::collections::{BTreeSet, HashMap};
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use toml::de::{DeTable, DeValue};

use crate::ReadFile;
use crate::problem::{Fault, Report};
use crate::route::{bit, days, hours};
use crate::section::Section;
use crate::value::duration::minutes;
use crate::value::{boolean, duration, integer, path, shown, text, text_of};

pub use holiday::Holiday;
pub use region::{Jurisdiction, Region};

/// Prefixes of international numbers with the zones of the IANA database in which they may be: a prefix, a blank, and zones
/// joined by `&` on each line; lines that begin with `#` are none. Longer prefixes go before shorter ones. From libphonenumber.
pub const ZONES: &str = include_str!("../data/zones.txt");
/// The same of prefixes of +1 and [regions](Region). A few area codes serve several.
pub const REGIONS: &str = include_str!("../data/regions.txt");
/// The rules that come with the program.
const RULES: &str = include_str!("../data/hours.toml");

/// Rows of one file, at most.
const RULES_MAX: usize = 512;
const HOLIDAYS_MAX: usize = 64;
const FALLBACK_MAX: usize = 8;
/// Characters of a source, at most.
const SOURCE_MAX: usize = 200;
/// The contiguous United States (QH-4).
const FALLBACK: [&str; 4] = [
    "America/New_York",
    "America/Chicago",
    "America/Denver",
    "America/Los_Angeles",
];
const JITTER: Duration = minutes(5);

/// Table `[sending_hours]`; may be absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendingHours {
    /// Key `file`, default absent: `[[rule]]` in a file of its own, and none here. Relative paths count from the working
    /// directory; a reload reads it again.
    pub file: Option<PathBuf>,
    /// Tables `[[sending_hours.rule]]`, at most 512, or `[[rule]]` of the file, and behind the program's own: a jurisdiction
    /// that is named here has none of those.
    pub rules: Vec<HoursRule>,
    /// Key `fallback_zones`, 1 to 8 names of the IANA database, default the four of the contiguous United States: where a
    /// number of +1 is whose prefix says nothing, such as a toll-free one, or whose zones have no hour in common.
    pub fallback_zones: Vec<String>,
    /// Key `jitter`, default 5 min, 0 s to 1 h: what was deferred to an opening goes at a time drawn from so long behind it,
    /// so that a night's messages do not all go in its first second.
    pub jitter: Duration,
}

/// A row: on which days of the week, and from when to when, a jurisdiction allows marketing. Days without a row are shut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoursRule {
    /// Key `jurisdiction`, required: a country as `"FR"`, or a state of the USA or a province of Canada as `"US-FL"`, whose
    /// rules hold beside its country's.
    pub jurisdiction: Jurisdiction,
    /// Key `days`, default all of `["mon", "tue", "wed", "thu", "fri", "sat", "sun"]`, each in one row of a jurisdiction at
    /// most: Monday is bit 0.
    days: u8,
    /// Key `hours`, required, within one day, such as `"08:00-21:00"`: minutes since midnight, by the clock at the recipient,
    /// of the first that is open and the first that is shut again.
    pub hours: (u16, u16),
    /// Key `holidays`, default `[]`, at most 64: dates without this row; see [`Holiday`].
    pub holidays: Vec<Holiday>,
    /// Key `cap`, default absent (`None`: no limit), 1 to 1 000: messages to one recipient on one subject in 24 hours.
    pub cap: Option<NonZeroU16>,
    /// Key `unsettled`, default `false`: sources disagree, or nobody read the law itself.
    pub unsettled: bool,
    /// Key `source`, required, 1 to 200 characters: where the rule comes from.
    pub source: String,
    /// Key `checked`, required, such as `"2026-11-29"`: when somebody last looked there.
    pub checked: Date,
}

impl HoursRule {
    /// The hours of a day, in minutes since midnight; `None` where the row is not of that day.
    pub fn on(&self, date: Date) -> Option<(u16, u16)> {
        let is_of = self.has_day(date.weekday()) && !self.holidays.iter().any(|holiday| holiday.is(date));
        is_of.then_some(self.hours)
    }

    /// Whether the row is of this day of the week, holidays aside.
    pub const fn has_day(&self, day: Weekday) -> bool {
        self.days & bit(day) != 0
    }
}

impl Default for SendingHours {
    fn default() -> Self {
        Self {
            file: None,
            rules: built_in(),
            fallback_zones: FALLBACK.map(str::to_owned).into(),
            jitter: JITTER,
        }
    }
}

pub(crate) fn read(mut section: Section<'_>, files: ReadFile<'_>) -> SendingHours {
    let file = section.optional("file", path);
    let own = match &file {
        Some(file) => {
            if section.has("rule") {
                let fault = Fault::new("stands in the file", "keep it there, or leave `file` out");
                section.problem("rule", fault);
            }
            read_file(&section, file, files)
        }
        None => read_rules(&mut section),
    };
    let fallback_zones = section.list("fallback_zones", 1..=FALLBACK_MAX, zone);
    let jitter = section.or("jitter", JITTER, duration(Duration::ZERO..=minutes(60)));
    section.finish(&[("rules", "write `[[sending_hours.rule]]`, once for each")]);
    SendingHours {
        file,
        rules: merged(built_in(), own),
        fallback_zones: fallback_zones.unwrap_or_else(|| FALLBACK.map(str::to_owned).into()),
        jitter,
    }
}

/// Rows of the first list for jurisdictions of which the second has none, and the second.
fn merged(mut rules: Vec<HoursRule>, own: Vec<HoursRule>) -> Vec<HoursRule> {
    let named: BTreeSet<Jurisdiction> = own.iter().map(|rule| rule.jurisdiction).collect();
    rules.retain(|rule| !named.contains(&rule.jurisdiction));
    rules.extend(own);
    rules
}

/// The program's own rules, read once. A test holds that nothing is wrong with them.
fn built_in() -> Vec<HoursRule> {
    static OWN: LazyLock<Vec<HoursRule>> = LazyLock::new(|| read_text(RULES).0);
    OWN.clone()
}

/// What is wrong with the file is told with its name and its own lines.
fn read_file(section: &Section<'_>, file: &Path, files: ReadFile<'_>) -> Vec<HoursRule> {
    match files(file) {
        Ok(text) => {
            let (rules, report) = read_text(&text);
            section.problems_of(file, report);
            rules
        }
        Err(why) => {
            let fault = format!("{} cannot be read: {why}", shown::value(&file.to_string_lossy()));
            section.problem("file", Fault::new(fault, "name a file that can be read"));
            Vec::new()
        }
    }
}

fn read_text(text: &str) -> (Vec<HoursRule>, Report) {
    let (tree, syntax) = DeTable::parse_recoverable(text);
    let report = Report::new(text, &syntax);
    let mut root = Section::root(&report, tree.get_ref());
    let rules = read_rules(&mut root);
    root.finish(&[("rules", "write `[[rule]]`, once for each")]);
    (rules, report)
}

fn read_rules(section: &mut Section<'_>) -> Vec<HoursRule> {
    let sections = section.each("rule");
    if sections.len() > RULES_MAX {
        let fault = format!("{} rules", sections.len());
        section.problem("rule", Fault::new(fault, format!("keep at most {RULES_MAX}")));
        return Vec::new();
    }
    let mut taken: HashMap<Jurisdiction, u8> = HashMap::new();
    let mut rules = Vec::new();
    for mut section in sections {
        let remedy = "name whose rule it is: `jurisdiction = \"FR\"`, or a state's, \"US-FL\"";
        let jurisdiction = section.required("jurisdiction", remedy, text(Jurisdiction::parse));
        let days = days(&mut section);
        let remedy = "say from when to when: `hours = \"08:00-21:00\"`";
        let hours = section.required("hours", remedy, text(within_a_day));
        let holidays = section.list("holidays", 0..=HOLIDAYS_MAX, text(Holiday::parse));
        let cap = section
            .optional("cap", integer(1..=1_000_u16))
            .and_then(NonZeroU16::new);
        let unsettled = section.or("unsettled", false, boolean);
        let remedy = "say where the rule comes from: `source = \"…\"`";
        let source = section.required("source", remedy, text(source));
        let remedy = "say when that was: `checked = \"2026-11-29\"`";
        let checked = section.required("checked", remedy, text(date));
        if let Some(jurisdiction) = jurisdiction {
            let taken = taken.entry(jurisdiction).or_default();
            if *taken & days != 0 {
                let fault = Fault::new(
                    format!("{jurisdiction} has a row for one of these days already"),
                    "keep one row for each day of the week; what another forbids, leave out",
                );
                section.problem("days", fault);
            }
            *taken |= days;
        }
        section.finish(&[
            ("from", "write `hours = \"08:00-21:00\"`"),
            ("to", "write `hours = \"08:00-21:00\"`"),
        ]);
        if let (Some(jurisdiction), Some(hours), Some(source), Some(checked)) =
            (jurisdiction, hours, source, checked)
        {
            rules.push(HoursRule {
                jurisdiction,
                days,
                hours,
                holidays: holidays.unwrap_or_default(),
                cap,
                unsettled,
                source,
                checked,
            });
        }
    }
    rules
}

fn within_a_day(text: &str) -> Result<(u16, u16), Fault> {
    let (from, to) = hours(text)?;
    if from < to {
        return Ok((from, to));
    }
    Err(Fault::new(
        format!("{} go on after midnight", shown::value(text)),
        "end them at 24:00 at the latest",
    ))
}

pub(crate) fn source(text: &str) -> Result<String, Fault> {
    let length = text.chars().count();
    if (1..=SOURCE_MAX).contains(&length) && !text.chars().any(char::is_control) {
        return Ok(text.to_owned());
    }
    Err(Fault::new(
        "not a source",
        format!("write 1 to {SOURCE_MAX} characters on one line"),
    ))
}

pub(crate) fn date(text: &str) -> Result<Date, Fault> {
    let is_written = text.len() == 10;
    let date = text.parse::<Date>().ok().filter(|_| is_written);
    date.ok_or_else(|| {
        Fault::new(
            format!("{} is no date", shown::value(text)),
            "write year, month and day, such as \"2026-11-29\"",
        )
    })
}

/// The name of a zone as the database writes it.
fn zone(value: &DeValue<'_>) -> Result<String, Fault> {
    let name = text_of(value)?;
    let found = TimeZone::get(name).ok();
    let found = found.and_then(|zone| zone.iana_name().map(str::to_owned));
    found.ok_or_else(|| {
        Fault::new(
            format!("{} is no time zone", shown::value(name)),
            "write a name of the IANA database, such as \"America/New_York\"",
        )
    })
}

#[cfg(test)]
mod tests;
