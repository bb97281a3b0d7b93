use jiff::Timestamp;
use tidegate_config::parse_with;

use super::*;

const MINIMAL: &str = include_str!("../../../config/tidegate.toml");

pub(super) fn own() -> Hours {
    Hours::new(&SendingHours::default())
}

/// A judge with rules of an operator.
pub(super) fn with(rules: &str) -> Hours {
    Hours::new(&read(rules))
}

pub(super) fn read(rules: &str) -> SendingHours {
    let text = MINIMAL.replace("#file = \"./example-hours.toml\"", "file = \"h\"");
    let config = parse_with(&text, &|_| Ok(rules.to_owned()));
    config
        .unwrap_or_else(|problems| panic!("{problems}"))
        .sending_hours
}

pub(super) fn rule(jurisdiction: &str, keys: &str) -> String {
    format!("[[rule]]\njurisdiction = \"{jurisdiction}\"\nsource = \"-\"\nchecked = \"2026-11-29\"\n{keys}\n")
}

/// By a clock on a wall: `2026-07-06T08:00:00[America/New_York]`. One that stands twice is the earlier.
pub(super) fn ms(at: &str) -> u64 {
    let at: jiff::ZonedDateTime = at.parse().unwrap();
    u64::try_from(at.timestamp().as_millisecond()).unwrap()
}

pub(super) fn shown(unix_ms: u64, zone: &str) -> String {
    let at = Timestamp::from_millisecond(i64::try_from(unix_ms).unwrap()).unwrap();
    let local = at.in_tz(zone).unwrap();
    local.strftime("%a %F %T%:z").to_string()
}

fn is_open(hours: &Hours, number: &str, hints: &Hints, at: &str) -> bool {
    matches!(
        hours.judge(number.as_bytes(), hints, ms(at)),
        Judgement::Open { .. }
    )
}

#[track_caller]
pub(super) fn judged(hours: &Hours, number: &str, hints: &Hints, zone: &str, cases: &[(&str, bool)]) {
    for (at, open) in cases {
        assert_eq!(
            is_open(hours, number, hints, &format!("{at}[{zone}]")),
            *open,
            "{number} {at} {zone}"
        );
    }
}

/// When it opens, by the clock of a zone.
#[track_caller]
pub(super) fn opens(hours: &Hours, number: &str, hints: &Hints, at: &str, zone: &str) -> String {
    match hours.judge(number.as_bytes(), hints, ms(&format!("{at}[{zone}]"))) {
        Judgement::Shut {
            opens_ms: Some(opens_ms),
        } => shown(opens_ms, zone),
        other => panic!("{number} {at}: {other:?}"),
    }
}

pub(super) fn region(letters: &str) -> Hints {
    Hints::new(&[], Region::known(letters)).unwrap()
}

pub(super) fn zone(names: &[&str]) -> Hints {
    let zones: Vec<Zone> = names.iter().map(|name| Zone::named(name).unwrap()).collect();
    Hints::new(&zones, None).unwrap()
}

pub(super) const NEW_YORK: &str = "America/New_York";

#[test]
fn qh_c01_the_federal_window_with_both_its_edges() {
    let hours = own();
    let new_york = "12125550100";
    judged(
        &hours,
        new_york,
        &Hints::NONE,
        NEW_YORK,
        &[
            ("2026-07-06T07:59:59", false),
            ("2026-07-06T08:00:00", true),
            ("2026-07-06T20:59:59", true),
            ("2026-07-06T21:00:00", false),
            ("2026-12-06T07:59:59.999", false),
            ("2026-12-06T08:00:00", true),
            ("2026-12-06T20:59:59.999", true),
            ("2026-12-06T21:00:00", false),
        ],
    );
    let next = opens(&hours, new_york, &Hints::NONE, "2026-07-06T21:00:00", NEW_YORK);
    assert_eq!(next, "Tue 2026-07-07 08:00:00-04:00");
    let next = opens(&hours, new_york, &Hints::NONE, "2026-07-06T07:59:59", NEW_YORK);
    assert_eq!(next, "Mon 2026-07-06 08:00:00-04:00");
}

#[test]
fn qh_c02_florida_shuts_an_hour_before_the_federation() {
    let hours = own();
    judged(
        &hours,
        "13055550100",
        &Hints::NONE,
        NEW_YORK,
        &[
            ("2026-07-06T07:59:59", false),
            ("2026-07-06T08:00:00", true),
            ("2026-07-06T19:59:59", true),
            ("2026-07-06T20:00:00", false),
            ("2026-07-06T20:30:00", false),
        ],
    );
    let next = opens(
        &hours,
        "13055550100",
        &Hints::NONE,
        "2026-07-06T20:00:00",
        NEW_YORK,
    );
    assert_eq!(next, "Tue 2026-07-07 08:00:00-04:00");
    assert_eq!(
        hours
            .frequency_cap(b"13055550100", &Hints::NONE)
            .map(NonZeroU16::get),
        Some(3)
    );
    assert_eq!(hours.frequency_cap(b"12125550100", &Hints::NONE), None);
    assert_eq!(
        hours
            .frequency_cap(b"12125550100", &region("FL"))
            .map(NonZeroU16::get),
        Some(3)
    );
    assert_eq!(hours.frequency_cap(b"447700900123", &Hints::NONE), None);
}

#[test]
fn qh_c03_in_two_zones_both_must_be_open() {
    let hours = own();
    let idaho = "12082000000";
    judged(
        &hours,
        idaho,
        &Hints::NONE,
        "America/Boise",
        &[
            ("2026-07-06T08:30:00", false),
            ("2026-07-06T08:59:59", false),
            ("2026-07-06T09:00:00", true),
            ("2026-07-06T20:59:59", true),
            ("2026-07-06T21:00:00", false),
        ],
    );
    // What the account knows decides between them.
    judged(
        &hours,
        idaho,
        &zone(&["America/Boise"]),
        "America/Boise",
        &[("2026-07-06T07:59:59", false), ("2026-07-06T08:00:00", true)],
    );
}

#[test]
fn qh_c04_what_says_nothing_is_in_all_four_contiguous_zones() {
    let hours = own();
    let toll_free = ["800", "833", "844", "855", "866", "877", "888"].map(|code| format!("1{code}5550100"));
    let unknown = ["15005550100", "17105550100", "19005550100", "15555550100"].map(str::to_owned);
    for number in toll_free.iter().chain(&unknown) {
        judged(
            &hours,
            number,
            &Hints::NONE,
            NEW_YORK,
            &[
                ("2026-07-06T10:30:00", false),
                ("2026-07-06T10:59:59", false),
                ("2026-07-06T11:00:00", true),
                ("2026-07-06T20:59:59", true),
                ("2026-07-06T21:00:00", false),
                ("2026-12-06T10:59:59", false),
                ("2026-12-06T11:00:00", true),
            ],
        );
    }
    let judgement = hours.applies(b"18005550100", &Hints::NONE, ms("2026-07-06T12:00:00[UTC]"));
    assert!(judgement.is_fallback);
    assert_eq!(judgement.zones, SendingHours::default().fallback_zones);
    let mountain = with("").judge(b"18005550100", &Hints::NONE, ms("2026-07-06T12:00:00[UTC]"));
    assert_eq!(mountain, judgement.judgement);
    let text = MINIMAL.replace("fallback_zones = [", "fallback_zones = [\"America/Denver\"] #");
    let config = tidegate_config::parse(&text).unwrap().sending_hours;
    judged(
        &Hours::new(&config),
        "18005550100",
        &Hints::NONE,
        "America/Denver",
        &[
            ("2026-07-06T07:59:59", false),
            ("2026-07-06T08:00:00", true),
            ("2026-07-06T20:59:59", true),
        ],
    );
}

/// QH-3, QH-5.
#[test]
fn the_numbers_state_and_that_of_the_address_hold_both() {
    let hours = own();
    let connecticut = "12035550100";
    judged(
        &hours,
        connecticut,
        &region("FL"),
        NEW_YORK,
        &[
            ("2026-07-06T08:59:59", false),
            ("2026-07-06T09:00:00", true),
            ("2026-07-06T20:00:00", false),
        ],
    );
    // A number of New York's with an address in Florida may be in New York's zone, which Florida has, too.
    judged(
        &hours,
        "12125550100",
        &region("FL"),
        NEW_YORK,
        &[
            ("2026-07-06T08:00:00", true),
            ("2026-07-06T19:59:59", true),
            ("2026-07-06T20:00:00", false),
        ],
    );
    // California and Connecticut have no zone in common: 09:00 to 20:00 at both.
    judged(
        &hours,
        "14155550100",
        &region("CT"),
        NEW_YORK,
        &[
            ("2026-07-06T11:59:59", false),
            ("2026-07-06T12:00:00", true),
            ("2026-07-06T19:59:59", true),
            ("2026-07-06T20:00:00", false),
        ],
    );
    // A toll-free number with an address is where that is.
    judged(
        &hours,
        "18005550100",
        &region("CT"),
        NEW_YORK,
        &[("2026-07-06T08:59:59", false), ("2026-07-06T09:00:00", true)],
    );
    // A zone that the account names goes before the number's, and the number's state stays.
    judged(
        &hours,
        "13055550100",
        &zone(&["America/Los_Angeles"]),
        "America/Los_Angeles",
        &[
            ("2026-07-06T08:00:00", true),
            ("2026-07-06T19:59:59", true),
            ("2026-07-06T20:00:00", false),
        ],
    );
    // An address in the USA is in the USA whatever the number.
    let french = "33612345678";
    judged(
        &hours,
        french,
        &region("NY"),
        NEW_YORK,
        &[("2026-07-06T07:59:59", false), ("2026-07-06T08:00:00", true)],
    );
    assert!(Hints::new(&[Zone::named(NEW_YORK).unwrap(); 5], None).is_none());
}

#[test]
fn days_of_the_week_and_holidays_are_those_of_the_recipient() {
    let hours = own();
    let chicago = "America/Chicago";
    judged(
        &hours,
        "12145550100",
        &Hints::NONE,
        chicago,
        &[
            ("2026-07-04T08:59:59", false),
            ("2026-07-04T09:00:00", true),
            ("2026-07-05T09:00:00", false),
            ("2026-07-05T12:00:00", true),
        ],
    );
    // Alabama has no Sundays.
    let alabama = "12055550100";
    judged(
        &hours,
        alabama,
        &Hints::NONE,
        chicago,
        &[("2026-07-05T12:00:00", false), ("2026-07-06T12:00:00", true)],
    );
    assert_eq!(
        opens(&hours, alabama, &Hints::NONE, "2026-07-04T20:00:00", chicago),
        "Mon 2026-07-06 08:00:00-05:00"
    );
    // Friday 1 May 2026 and the weekend; then Christmas on a Friday, Saturday's hours, and New Year with its weekend.
    let (french, paris) = ("33612345678", "Europe/Paris");
    assert_eq!(
        opens(&hours, french, &Hints::NONE, "2026-04-30T20:00:00", paris),
        "Sat 2026-05-02 10:00:00+02:00"
    );
    judged(
        &hours,
        french,
        &Hints::NONE,
        paris,
        &[
            ("2026-12-24T19:59:59", true),
            ("2026-12-25T12:00:00", false),
            ("2026-12-26T09:59:59", false),
            ("2026-12-26T10:00:00", true),
            ("2026-12-26T18:00:00", false),
            ("2026-12-27T12:00:00", false),
            ("2026-12-28T08:00:00", true),
            ("2026-04-06T12:00:00", false),
        ],
    );
    judged(
        &hours,
        "971501234567",
        &Hints::NONE,
        "Asia/Dubai",
        &[("2026-07-06T06:59:59", false), ("2026-07-06T07:00:00", true)],
    );
    judged(
        &hours,
        "919876543210",
        &Hints::NONE,
        "Asia/Kolkata",
        &[("2026-07-06T09:59:59", false), ("2026-07-06T10:00:00", true)],
    );
}

#[test]
fn where_no_rule_is_it_is_always_open() {
    let hours = own();
    for number in [
        "447700900123",
        "14165550100",
        "4915112345678",
        "79161234567",
        "8001234567890",
        "",
        "1x",
        "12",
    ] {
        let judged = hours.judge(number.as_bytes(), &Hints::NONE, ms("2026-07-06T03:00:00[UTC]"));
        assert_eq!(judged, Judgement::Open { until_ms: u64::MAX }, "{number}");
    }
    // The territories of the federation are under its law, by their own clocks.
    for (number, zone) in [
        ("17875550100", "America/Puerto_Rico"),
        ("16715550100", "Pacific/Guam"),
        ("16845550100", "Pacific/Pago_Pago"),
    ] {
        judged(
            &hours,
            number,
            &Hints::NONE,
            zone,
            &[("2026-07-06T07:59:59", false), ("2026-07-06T08:00:00", true)],
        );
    }
}
