//! `tidegate hours`: whether marketing may be sent to a number, and by which rules.

use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::civil::Weekday;
use serde_json::{Map, Value, json};
use tidegate_codec::address::{Npi, Ton};
use tidegate_config::{HoursRule, Region};

use super::values::time;
use super::{ConfigFile, Outcome, Refusal, read_config};
use crate::clock::Clock;
use crate::hours::{Applies, HINT_ZONES_MAX, Hints, Hours, Judgement, Zone};
use crate::number::plan;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The number, its country code first, with or without a +.
    #[arg(value_name = "TO")]
    to: String,
    #[command(flatten)]
    file: ConfigFile,
    /// When, such as 2026-12-24T18:00:00Z; by default now.
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<u64>,
    /// The state or province of the recipient's address, such as FL, which holds beside the number's.
    #[arg(long, value_name = "CODE", value_parser = region)]
    region: Option<Region>,
    /// A zone in which the recipient is known to be, in place of the number's; up to four times.
    #[arg(long, value_name = "ZONE", value_parser = zone)]
    zone: Vec<Zone>,
}

pub(super) fn run(args: &Args) -> Result<Outcome, Refusal> {
    let config = read_config(&args.file.config)?;
    let refuse = |reason: &str| Refusal::new(reason, json!({}));
    // The number itself stays out of what is printed (P4).
    let number = plan()
        .canonical(Ton::UNKNOWN, Npi::UNKNOWN, args.to.as_bytes(), None)
        .map_err(|_| refuse("TO is no number with its country code first, such as +447700900123"))?;
    let hints = Hints::new(&args.zone, args.region)
        .ok_or_else(|| refuse(&format!("--zone more than {HINT_ZONES_MAX} times")))?;
    let at_ms = args.at.unwrap_or_else(|| Clock::machine().now().unix_ms);
    let hours = Hours::new(&config.sending_hours);
    let applies = hours.applies(number.as_bytes(), &hints, at_ms);
    let cap = hours.frequency_cap(number.as_bytes(), &hints);
    let jitter = config.sending_hours.jitter.as_secs();
    Ok(Outcome {
        text: text(&applies, at_ms),
        fields: fields(&applies, at_ms, cap.map(u16::from), jitter),
        ..Outcome::default()
    })
}

fn region(letters: &str) -> Result<Region, String> {
    Region::known(letters)
        .ok_or_else(|| "two letters of a state of the USA or a province of Canada, such as FL".to_owned())
}

fn zone(name: &str) -> Result<Zone, String> {
    Zone::named(name).ok_or_else(|| "a name of the IANA database, such as America/New_York".to_owned())
}

fn fields(applies: &Applies<'_>, at_ms: u64, cap: Option<u16>, jitter: u64) -> Map<String, Value> {
    let (is_open, until, opens) = match applies.judgement {
        Judgement::Open { until_ms } => (true, utc(until_ms), None),
        Judgement::Shut { opens_ms } => (false, None, opens_ms.and_then(utc)),
    };
    let zones = applies
        .zones
        .iter()
        .map(|zone| json!({ "zone": zone, "local": local(at_ms, zone) }));
    let rules = applies.rules.iter().map(|rule| {
        json!({
            "jurisdiction": rule.jurisdiction.to_string(),
            "days": days(rule),
            "hours": hours(rule),
            "holidays": rule.holidays.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "cap": rule.cap,
            "unsettled": rule.unsettled,
            "source": rule.source,
            "checked": rule.checked.to_string(),
        })
    });
    let mut fields = Map::new();
    for (key, value) in [
        ("at", json!(utc(at_ms))),
        ("open", json!(is_open)),
        ("until", json!(until)),
        ("opens", json!(opens)),
        (
            "country",
            json!(applies.country.map(|country| country.to_string())),
        ),
        (
            "regions",
            json!(applies.regions.iter().map(Region::as_str).collect::<Vec<_>>()),
        ),
        ("zones", zones.collect()),
        ("fallback", json!(applies.is_fallback)),
        ("rules", rules.collect()),
        ("cap", json!(cap)),
        ("jitter_s", json!(jitter)),
    ] {
        fields.insert(key.to_owned(), value);
    }
    fields
}

fn text(applies: &Applies<'_>, at_ms: u64) -> String {
    let mut out = String::new();
    // A String takes everything.
    let _ = put(&mut out, applies, at_ms);
    out.truncate(out.trim_end().len());
    out
}

fn put(out: &mut String, applies: &Applies<'_>, at_ms: u64) -> std::fmt::Result {
    let time = |ms: u64| utc(ms).unwrap_or_else(|| "no end in sight".to_owned());
    writeln!(out, "at: {}", time(at_ms))?;
    let country = applies
        .country
        .map_or("none".to_owned(), |country| country.to_string());
    let regions: Vec<&str> = applies.regions.iter().map(Region::as_str).collect();
    match regions.as_slice() {
        [] => writeln!(out, "recipient: country {country}")?,
        regions => writeln!(out, "recipient: country {country}, in {}", regions.join(", "))?,
    }
    let why = if applies.is_fallback {
        " (fallback_zones)"
    } else {
        ""
    };
    writeln!(out, "\nzones{why}, each must be open:")?;
    for zone in &applies.zones {
        writeln!(out, "  {zone}: {}", local(at_ms, zone).unwrap_or_default())?;
    }
    writeln!(
        out,
        "\nrules{}",
        if applies.rules.is_empty() {
            ": none, always open"
        } else {
            ", each jurisdiction must allow it:"
        }
    )?;
    for rule in &applies.rules {
        write!(
            out,
            "  {}: {} {}",
            rule.jurisdiction,
            days(rule).join(" "),
            hours(rule)
        )?;
        if !rule.holidays.is_empty() {
            let holidays: Vec<String> = rule.holidays.iter().map(ToString::to_string).collect();
            write!(out, ", not on {}", holidays.join(" "))?;
        }
        if let Some(cap) = rule.cap {
            write!(out, ", {cap} in 24 hours on one subject")?;
        }
        let unsettled = if rule.unsettled { ", unsettled" } else { "" };
        writeln!(out, "\n    {}, checked {}{unsettled}", rule.source, rule.checked)?;
    }
    match applies.judgement {
        Judgement::Open { until_ms: u64::MAX } => writeln!(out, "\nopen"),
        Judgement::Open { until_ms } => writeln!(out, "\nopen until {}", time(until_ms)),
        Judgement::Shut {
            opens_ms: Some(opens_ms),
        } => writeln!(out, "\nshut, opens {}", time(opens_ms)),
        Judgement::Shut { opens_ms: None } => writeln!(out, "\nshut, with no opening within two weeks"),
    }
}

fn days(rule: &HoursRule) -> Vec<&'static str> {
    const DAYS: [(Weekday, &str); 7] = [
        (Weekday::Monday, "mon"),
        (Weekday::Tuesday, "tue"),
        (Weekday::Wednesday, "wed"),
        (Weekday::Thursday, "thu"),
        (Weekday::Friday, "fri"),
        (Weekday::Saturday, "sat"),
        (Weekday::Sunday, "sun"),
    ];
    let of = DAYS.iter().filter(|(day, _)| rule.has_day(*day));
    of.map(|(_, word)| *word).collect()
}

fn hours(rule: &HoursRule) -> String {
    let clock = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
    format!("{}-{}", clock(rule.hours.0), clock(rule.hours.1))
}

/// `None` for what no calendar has, as the end of what never ends.
fn utc(unix_ms: u64) -> Option<String> {
    let at = Timestamp::from_millisecond(i64::try_from(unix_ms).ok()?).ok()?;
    Some(at.to_string())
}

fn local(unix_ms: u64, zone: &str) -> Option<String> {
    let at = Timestamp::from_millisecond(i64::try_from(unix_ms).ok()?).ok()?;
    Some(at.in_tz(zone).ok()?.strftime("%a %F %T").to_string())
}
