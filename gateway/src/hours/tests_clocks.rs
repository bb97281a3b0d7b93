use std::hint::black_box;

use jiff::Timestamp;
use proptest::prelude::*;

use super::tests::{NEW_YORK, judged, ms, opens, own, read, region, rule, shown, with, zone};
use super::*;

/// QH-8.
#[test]
fn days_of_23_and_25_hours_go_by_the_clock_on_the_wall() {
    let hours = own();
    let number = "12125550100";
    for (evening, next) in [
        ("2026-03-07T21:00:00", "Sun 2026-03-08 08:00:00-04:00"),
        ("2026-03-08T01:30:00", "Sun 2026-03-08 08:00:00-04:00"),
        ("2026-10-31T21:00:00", "Sun 2026-11-01 08:00:00-05:00"),
        ("2026-11-01T01:30:00", "Sun 2026-11-01 08:00:00-05:00"),
    ] {
        assert_eq!(opens(&hours, number, &Hints::NONE, evening, NEW_YORK), next);
    }
    // Hours that begin where the clock jumps, and hours that end in what comes twice.
    let early = with(&rule("US", "hours = \"02:30-03:30\""));
    judged(
        &early,
        number,
        &Hints::NONE,
        NEW_YORK,
        &[
            ("2026-03-08T01:59:59.999", false),
            ("2026-03-08T03:00:00", true),
            ("2026-03-08T03:30:00", false),
        ],
    );
    assert_eq!(
        opens(&early, number, &Hints::NONE, "2026-03-08T01:00:00", NEW_YORK),
        "Sun 2026-03-08 03:00:00-04:00"
    );
    let twice = with(&rule("US", "hours = \"00:30-01:30\""));
    let at = |offset: &str, time: &str| ms(&format!("2026-11-01T{time}{offset}[America/New_York]"));
    for (offset, time, until) in [
        ("-04:00", "01:29:59", Some("Sun 2026-11-01 01:30:00-04:00")),
        ("-04:00", "01:30:00", None),
        ("-05:00", "01:00:00", Some("Sun 2026-11-01 01:30:00-05:00")),
        ("-05:00", "01:30:00", None),
    ] {
        let found = match twice.judge(number.as_bytes(), &Hints::NONE, at(offset, time)) {
            Judgement::Open { until_ms } => Some(shown(until_ms, NEW_YORK)),
            Judgement::Shut { .. } => None,
        };
        assert_eq!(found.as_deref(), until, "{time}{offset}");
    }
    // Where midnight itself is skipped, as in Lebanon, a day begins at one.
    let night = with(&rule("LB", "hours = \"00:00-02:00\""));
    let beirut = "Asia/Beirut";
    assert_eq!(
        opens(&night, "96171123456", &Hints::NONE, "2026-03-28T12:00:00", beirut),
        "Sun 2026-03-29 01:00:00+03:00"
    );
    // And where it comes twice, the day before ends twice.
    let late = with(&rule("LB", "hours = \"23:00-24:00\""));
    let Judgement::Open { until_ms } = late.judge(
        b"96171123456",
        &Hints::NONE,
        ms("2026-10-24T23:30:00+03:00[Asia/Beirut]"),
    ) else {
        panic!("shut");
    };
    assert_eq!(shown(until_ms, beirut), "Sun 2026-10-25 00:00:00+02:00");
}

#[test]
fn an_opening_is_found_within_two_weeks_or_not_at_all() {
    let feast = with(&rule(
        "FR",
        "hours = \"10:00-24:00\"\nholidays = [\"07-01\", \"07-02\"]",
    ));
    assert_eq!(
        opens(
            &feast,
            "33612345678",
            &Hints::NONE,
            "2026-07-01T00:00:00",
            "Europe/Paris"
        ),
        "Fri 2026-07-03 10:00:00+02:00"
    );
    let days = (1..=31)
        .map(|day| format!("\"07-{day:02}\""))
        .collect::<Vec<_>>()
        .join(", ");
    let july = with(&rule(
        "FR",
        &format!("hours = \"00:00-24:00\"\nholidays = [{days}]"),
    ));
    let at = |time: &str| july.judge(b"33612345678", &Hints::NONE, ms(&format!("{time}[Europe/Paris]")));
    assert_eq!(at("2026-07-01T12:00:00"), Judgement::Shut { opens_ms: None });
    let opens_ms = Some(ms("2026-08-01T00:00:00[Europe/Paris]"));
    assert_eq!(at("2026-07-20T12:00:00"), Judgement::Shut { opens_ms });
    // No fall-back of the USA for those.
    let Judgement::Open { until_ms } = at("2026-01-20T12:00:00") else {
        panic!("shut");
    };
    assert_eq!(until_ms, ms("2026-02-04T00:00:00[UTC]"));
    // Two states whose hours never meet: the fall-back's zones, and never where those do not, either.
    let apart = with(&format!(
        "{}{}",
        rule("US-CA", "hours = \"08:00-10:00\""),
        rule("US-NY", "hours = \"08:00-10:00\"")
    ));
    let applies = apart.applies(
        b"14155550100",
        &region("NY"),
        ms("2026-07-06T12:00:00[America/New_York]"),
    );
    assert!(applies.is_fallback);
    assert_eq!(applies.judgement, Judgement::Shut { opens_ms: None });
}

#[test]
fn times_beyond_any_calendar_are_shut() {
    for unix_ms in [u64::MAX, u64::MAX / 2, 253_402_300_800_000] {
        assert_eq!(
            own().judge(b"12125550100", &Hints::NONE, unix_ms),
            Judgement::Shut { opens_ms: None }
        );
    }
    // New Year's Eve, seven in the evening.
    let judged = own().judge(b"12125550100", &Hints::NONE, 0);
    assert_eq!(
        judged,
        Judgement::Open {
            until_ms: 2 * 3_600_000
        }
    );
}

/// The rules on one clock, minute by minute: nothing of `walk` is in here.
fn is_inside(applies: &Applies<'_>, unix_ms: u64) -> bool {
    let at = Timestamp::from_millisecond(i64::try_from(unix_ms).unwrap()).unwrap();
    applies.zones.iter().all(|zone| {
        let local = at.in_tz(zone).unwrap();
        let minute = u16::try_from(i32::from(local.hour()) * 60 + i32::from(local.minute())).unwrap();
        let mut jurisdictions: Vec<_> = applies.rules.iter().map(|rule| rule.jurisdiction).collect();
        jurisdictions.dedup();
        jurisdictions.iter().all(|jurisdiction| {
            applies
                .rules
                .iter()
                .filter(|rule| rule.jurisdiction == *jurisdiction)
                .any(|rule| {
                    rule.on(local.date())
                        .is_some_and(|(from, to)| (from..to).contains(&minute))
                })
        })
    })
}

const NUMBERS: &[&str] = &[
    "12125550100",
    "13055550100",
    "18505550100",
    "12082000000",
    "18005550100",
    "19075550100",
    "18085550100",
    "12145550100",
    "19155550100",
    "14015550100",
    "12055550100",
    "16715550100",
    "33612345678",
    "971501234567",
    "919876543210",
    "96171123456",
];

fn hint() -> impl Strategy<Value = Hints> {
    prop_oneof![
        4 => Just(Hints::NONE),
        1 => prop::sample::select(vec!["FL", "TX", "RI", "HI", "ON"]).prop_map(region),
        1 => prop::sample::select(vec![vec!["Europe/Paris"], vec!["America/St_Johns", "Pacific/Chatham"], vec!["Africa/Casablanca"]])
            .prop_map(|names| zone(&names)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
    #[test]
    fn what_is_judged_is_so_and_changes_when_it_says(
        number in prop::sample::select(NUMBERS),
        hints in hint(),
        // From 2020 to 2032, and each time near a change of it.
        at in 1_577_836_800_000_u64..1_956_528_000_000,
        near in 0..3_u64,
    ) {
        thread_local! {
            static RULES: SendingHours = {
                read(&rule("LB", "hours = \"00:00-02:30\"\nholidays = [\"easter\"]"))
            };
            static WARM: Hours = Hours::new(&RULES.with(SendingHours::clone));
        }
        WARM.with(|hours| {
            let digits = number.as_bytes();
            // At a change, or a millisecond to either side.
            let at = match hours.judge(digits, &hints, at) {
                Judgement::Open { until_ms: change } | Judgement::Shut { opens_ms: Some(change) } if near > 0 => change + near - 2,
                _ => at,
            };
            let applies = hours.applies(digits, &hints, at);
            let judged = hours.judge(digits, &hints, at);
            // Cached or not.
            let fresh = RULES.with(Hours::new);
            prop_assert_eq!(fresh.judge(digits, &hints, at), judged);
            prop_assert_eq!(matches!(judged, Judgement::Open { .. }), is_inside(&applies, at));
            if let Judgement::Open { until_ms: change } | Judgement::Shut { opens_ms: Some(change) } = judged {
                prop_assert!(change > at);
                let is_now = is_inside(&applies, at);
                prop_assert_eq!(is_inside(&applies, change - 1), is_now);
                prop_assert_eq!(is_inside(&applies, change), !is_now);
                // And at no minute between.
                let minute = at.div_ceil(60_000);
                for minute in (minute..change.div_ceil(60_000)).step_by(7) {
                    prop_assert_eq!(is_inside(&applies, minute * 60_000), is_now);
                }
            }
            Ok(())
        })?;
    }
}

#[test]
fn a_question_allocates_nothing_while_its_answer_stands() {
    let hours = own();
    let at = ms("2026-07-06T12:00:00[America/New_York]");
    let ask = || {
        for number in NUMBERS {
            black_box(hours.judge(number.as_bytes(), &Hints::NONE, at));
            black_box(hours.frequency_cap(number.as_bytes(), &Hints::NONE));
        }
    };
    ask();
    assert_eq!(allocation_counter::measure(ask).count_total, 0);
}
