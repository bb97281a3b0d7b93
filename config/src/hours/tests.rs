use super::*;
use crate::tests::MINIMAL;
use crate::{Problem, parse, parse_with};

const RULE: &str =
    "jurisdiction = \"ZA\"\nhours = \"08:00-20:00\"\nsource = \"a lawyer\"\nchecked = \"2026-11-29\"\n";

fn problems(text: &str, files: ReadFile<'_>) -> Vec<Problem> {
    match parse_with(text, files) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.as_slice().to_vec(),
    }
}

fn rules_of(hours: &SendingHours, jurisdiction: &str) -> Vec<HoursRule> {
    let rules = hours.rules.iter();
    rules
        .filter(|rule| rule.jurisdiction.to_string() == jurisdiction)
        .cloned()
        .collect()
}

#[test]
fn nothing_is_wrong_with_the_programs_own_rules() {
    let (rules, report) = read_text(RULES);
    let rules = report
        .conclude(Some(rules))
        .unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(rules, SendingHours::default().rules);
    // QH-1 and QH-2, row by row.
    let rows: Vec<(String, u8, (u16, u16), bool)> = rules
        .iter()
        .map(|rule| {
            (
                rule.jurisdiction.to_string(),
                rule.days,
                rule.hours,
                rule.unsettled,
            )
        })
        .collect();
    let (all, weekdays, saturday, sunday) = (0x7f, 0x1f, 0x20, 0x40);
    for (jurisdiction, days, (from, to), unsettled) in [
        ("US", all, (8, 21), false),
        ("US-FL", all, (8, 20), false),
        ("US-TX", weekdays | saturday, (9, 21), true),
        ("US-TX", sunday, (12, 21), true),
        ("US-CT", all, (9, 20), true),
        ("US-MD", all, (8, 20), true),
        ("US-OK", all, (8, 20), true),
        ("US-MS", all, (8, 20), true),
        ("US-AL", weekdays | saturday, (8, 20), true),
        ("US-LA", weekdays | saturday, (8, 20), true),
        ("US-RI", weekdays, (9, 18), true),
        ("US-RI", saturday, (10, 17), true),
        ("FR", weekdays, (8, 20), true),
        ("FR", saturday, (10, 18), true),
        ("AE", all, (7, 21), true),
        ("IN", all, (10, 21), true),
    ] {
        let row = (jurisdiction.to_owned(), days, (from * 60, to * 60), unsettled);
        assert!(rows.contains(&row), "{row:?}");
    }
    // The five territories of the federation beside them.
    assert_eq!(rows.len(), 16 + 5);
    let capped: Vec<String> = rules
        .iter()
        .filter_map(|rule| rule.cap.map(|cap| format!("{} {cap}", rule.jurisdiction)))
        .collect();
    assert_eq!(capped, ["US-FL 3"]);
}

#[test]
fn a_row_is_of_its_days_but_for_holidays() {
    let hours = SendingHours::default();
    let on = |date: &str| {
        let rows = rules_of(&hours, "FR");
        let date = date.parse().unwrap();
        rows.iter().find_map(|row| row.on(date))
    };
    for (date, open) in [
        ("2026-11-27", Some((480, 1_200))),
        ("2026-11-28", Some((600, 1_080))),
        ("2026-11-29", None),
        // A Wednesday.
        ("2026-11-11", None),
        // A Saturday.
        ("2026-08-15", None),
        // Easter Monday, Ascension and Whit Monday.
        ("2026-04-06", None),
        ("2026-05-14", None),
        ("2026-05-25", None),
        ("2027-05-25", Some((480, 1_200))),
    ] {
        assert_eq!(on(date), open, "{date}");
    }
}

#[test]
fn a_jurisdiction_that_the_operator_names_has_none_of_the_programs_rules() {
    let text = format!("{MINIMAL}[[sending_hours.rule]]\n{}", RULE.replace("ZA", "US-TX"));
    let here = parse(&text).unwrap().sending_hours;
    let [texas] = rules_of(&here, "US-TX").try_into().unwrap();
    assert_eq!(
        (texas.days, texas.hours, texas.unsettled),
        (0x7f, (480, 1_200), false)
    );
    assert_eq!(rules_of(&here, "US"), rules_of(&SendingHours::default(), "US"));

    let filed = parse_with(&format!("{MINIMAL}[sending_hours]\nfile = \"h\"\n"), &|_| {
        Ok(format!("[[rule]]\n{}", RULE.replace("ZA", "US-TX")))
    });
    assert_eq!(filed.unwrap().sending_hours.rules, here.rules);
}

#[test]
fn what_is_wrong_with_a_file_of_hours_is_told_with_its_name_and_line() {
    let text = format!(
        "{MINIMAL}[sending_hours]\nfile = \"h\"\nfallback_zones = [\"Mars/Olympus\"]\njitter = \"2h\"\n"
    );
    let file = "[[rule]]\njurisdiction = \"UK\"\nhours = \"22:00-06:00\"\nholidays = [\"12-25\", \"easter+99\"]\ncap = 0\n\
                source = \"\"\nchecked = \"yesterday\"\nfrom = 8\n[[rule]]\n";
    let found: Vec<String> = problems(&text, &|_| Ok(file.to_owned()))
        .iter()
        .map(|problem| {
            let file = problem.file.as_ref().map(|_| "h ").unwrap_or_default();
            format!("{file}{} {}", problem.line.unwrap_or_default(), problem.key)
        })
        .collect();
    assert_eq!(
        found,
        [
            "23 sending_hours.fallback_zones[0]",
            "24 sending_hours.jitter",
            "h 2 rule[0].jurisdiction",
            "h 3 rule[0].hours",
            "h 4 rule[0].holidays[1]",
            "h 5 rule[0].cap",
            "h 6 rule[0].source",
            "h 7 rule[0].checked",
            "h 8 rule[0].from",
            "h 9 rule[1].jurisdiction",
            "h 9 rule[1].hours",
            "h 9 rule[1].source",
            "h 9 rule[1].checked",
        ]
    );
    let found = problems(&format!("{text}[[sending_hours.rule]]\n"), &|_| {
        Err("no h".to_owned())
    });
    let told: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert!(
        told.iter()
            .any(|told| told.starts_with("line 22: sending_hours.file: \"h\" cannot be read: no h"))
    );
    assert!(
        told.iter()
            .any(|told| told.contains("sending_hours.rule: stands in the file")),
        "{told:?}"
    );
}

#[test]
fn a_day_has_one_row_of_a_jurisdiction() {
    let rule = format!("[[sending_hours.rule]]\n{RULE}");
    let rule_of = |days: &str| format!("{rule}days = {days}\n");
    let twice = format!(
        "{MINIMAL}{}{}",
        rule_of("[\"mon\", \"tue\"]"),
        rule_of("[\"tue\"]")
    );
    let [problem] = problems(&twice, &|_| Err(String::new())).try_into().unwrap();
    assert_eq!(problem.key, "sending_hours.rule[1].days");
    assert!(problem.what.contains("ZA has a row"), "{problem}");
    let apart = format!("{MINIMAL}{}{}", rule_of("[\"mon\"]"), rule_of("[\"tue\"]"));
    assert_eq!(rules_of(&parse(&apart).unwrap().sending_hours, "ZA").len(), 2);
    let many = format!("{MINIMAL}{}", "[[sending_hours.rule]]\n".repeat(513));
    let [problem] = problems(&many, &|_| Err(String::new())).try_into().unwrap();
    assert!(problem.remedy.contains("at most 512"), "{problem}");
}

#[test]
fn zones_are_named_as_the_database_writes_them() {
    let text = format!("{MINIMAL}[sending_hours]\nfallback_zones = [\"america/chicago\"]\njitter = \"0s\"\n");
    let hours = parse(&text).unwrap().sending_hours;
    assert_eq!(hours.fallback_zones, ["America/Chicago"]);
    assert_eq!(hours.jitter, Duration::ZERO);
}

/// The lines of a table: prefix, values.
fn lines(table: &str) -> Vec<(&str, Vec<&str>)> {
    let lines = table.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (prefix, values) = line.split_once(' ').unwrap();
            (prefix, values.split('&').collect())
        })
        .collect()
}

/// The values of the longest prefix.
fn look(table: &str, number: &str) -> Vec<String> {
    let lines = lines(table);
    let fitting = lines.iter().filter(|(prefix, _)| number.starts_with(prefix));
    let longest = fitting.max_by_key(|(prefix, _)| prefix.len());
    let values = longest.map(|(_, values)| values.iter().map(|value| (*value).to_owned()).collect());
    values.unwrap_or_default()
}

#[test]
fn prefixes_are_unique_and_lead_to_zones_and_regions_that_exist() {
    for (table, least) in [(ZONES, 3_000), (REGIONS, 1_800)] {
        let lines = lines(table);
        assert!(lines.len() > least, "{}", lines.len());
        let prefixes: BTreeSet<&str> = lines.iter().map(|(prefix, _)| *prefix).collect();
        assert_eq!(prefixes.len(), lines.len());
        assert!(prefixes.iter().all(|prefix| {
            (1..=15).contains(&prefix.len()) && prefix.bytes().all(|digit| digit.is_ascii_digit())
        }));
        let head: Vec<&str> = table.lines().filter(|line| line.starts_with('#')).collect();
        assert!(
            head[1].contains("libphonenumber 9.") && head[2].contains("Apache"),
            "{head:?}"
        );
    }
    for (prefix, zones) in lines(ZONES) {
        for zone in zones {
            assert!(TimeZone::get(zone).is_ok(), "{prefix} {zone}");
        }
    }
    let mut found = BTreeSet::new();
    for (prefix, regions) in lines(REGIONS) {
        assert!(prefix.starts_with('1'), "{prefix}");
        for region in regions {
            found.insert(Region::known(region).unwrap_or_else(|| panic!("{prefix} {region}")));
        }
    }
    // No letters that no prefix has: they would be a slip of ours.
    assert_eq!(found, Region::all().collect());
}

#[test]
fn the_tables_say_what_libphonenumber_says() {
    for (number, zones, regions) in [
        ("12015550100", &["America/New_York"][..], &["NJ"][..]),
        ("12016310100", &["America/New_York"], &["NY"]),
        ("12035550100", &["America/New_York"], &["CT"]),
        ("12082000100", &["America/Boise", "America/Los_Angeles"], &["ID"]),
        ("12125550100", &["America/New_York"], &["NY"]),
        ("13055550100", &["America/New_York"], &["FL"]),
        ("19025550100", &["America/Halifax"], &["NS", "PE"]),
        ("33612345678", &["Europe/Paris"], &[]),
        ("971501234567", &["Asia/Dubai"], &[]),
    ] {
        assert_eq!(look(ZONES, number), zones, "{number}");
        assert_eq!(look(REGIONS, number), regions, "{number}");
    }
    for toll_free in ["800", "833", "844", "855", "866", "877", "888"] {
        let number = format!("1{toll_free}5550100");
        assert!(
            look(ZONES, &number).len() > 40 && look(REGIONS, &number).is_empty(),
            "{number}"
        );
    }
}
