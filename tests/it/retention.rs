//! `tidegate retention`: what the five profiles say of a record of each class, word by word as compliance.md §7.3 has
//! it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tidegate_tests::Process;

/// No rule: not stored (RET-1).
const NOT_STORED: &str = "not stored";
/// A rule without a date: until deleted, or for ever.
const NO_DATE: &str = "no date";

/// When what rules count from happened, each on a day of its own, so that a due date tells its anchor.
const EVENTS: &[&str] = &[
    "--created",
    "2026-01-15T08:00:00Z",
    "--accepted",
    "2026-01-31T00:00:00Z",
    "--final",
    "2026-02-01T12:00:00Z",
    "--purpose-ended",
    "2026-03-31T00:00:00Z",
    "--closed",
    "2026-05-31T00:00:00Z",
    "--disconnected",
    "2026-06-30T00:00:00Z",
    "--at",
    "2026-01-15T08:05:00Z",
];

/// A class, when a record of it is due after these events, and what happens then.
type Row = (&'static str, &'static str, &'static str);

/// Rows that all profiles have alike.
const ALIKE: &[Row] = &[
    ("billing", "2033-01-15T08:00:00Z", "purge"),
    ("audit", "2033-01-15T08:00:00Z", "purge"),
    ("optout", NO_DATE, ""),
    ("consent", "2031-03-31T00:00:00Z", "purge"),
    ("access", "2026-04-15T08:00:00Z", "purge"),
    ("trace", "2026-01-29T08:00:00Z", "purge"),
    ("otp", "2026-01-15T08:10:00Z", "purge"),
    ("export", "2026-01-22T08:00:00Z", "purge"),
    ("contact", NOT_STORED, ""),
    ("convo", NOT_STORED, ""),
    ("route", NOT_STORED, ""),
    ("fraud", NOT_STORED, ""),
    ("legal", NOT_STORED, ""),
];

const INSTRUCTION_BOUND: &[Row] = &[
    ("body", "2026-02-15T12:00:00Z", "purge"),
    ("attach", "2026-02-15T12:00:00Z", "purge"),
    ("meta", "2026-05-02T12:00:00Z", "deidentify"),
    ("stats", NO_DATE, ""),
    ("usage", "2028-01-15T08:00:00Z", "purge"),
    ("account.core", "2026-07-30T00:00:00Z", "purge"),
    ("account.other", "2026-07-30T00:00:00Z", "purge"),
    ("support", "2027-01-15T08:00:00Z", "purge"),
    ("subrec", "2026-03-31T00:00:00Z", "purge"),
    ("cred", "2026-03-31T00:00:00Z", "purge"),
];

const AS_INSTRUCTED: &[Row] = &[
    // Nobody has instructed it: not stored beyond delivery.
    ("body", "2026-02-01T12:00:00Z", "purge"),
    ("attach", "2026-02-01T12:00:00Z", "purge"),
    ("meta", "2026-05-31T00:00:00Z", "purge"),
    ("stats", NOT_STORED, ""),
    ("usage", "2028-01-15T08:00:00Z", "purge"),
    ("account.core", "2033-05-31T00:00:00Z", "purge"),
    ("account.other", "2026-07-30T00:00:00Z", "purge"),
    ("support", "2029-05-31T00:00:00Z", "purge"),
    ("subrec", "2026-03-31T00:00:00Z", "purge"),
    ("cred", "2026-03-31T00:00:00Z", "purge"),
];

const ANONYMISE_30: &[Row] = &[
    ("body", "2026-03-03T12:00:00Z", "deidentify"),
    ("attach", "2026-03-03T12:00:00Z", "deidentify"),
    ("meta", "2026-03-03T12:00:00Z", "deidentify"),
    ("stats", NO_DATE, ""),
    ("usage", "2026-02-14T08:00:00Z", "deidentify"),
    ("account.core", "2026-03-31T00:00:00Z", "deidentify"),
    ("account.other", "2026-03-31T00:00:00Z", "deidentify"),
    ("support", "2027-01-15T08:00:00Z", "purge"),
    ("subrec", "2026-03-31T00:00:00Z", "purge"),
    ("cred", "2026-03-31T00:00:00Z", "purge"),
];

const FIXED_TERM: &[Row] = &[
    ("body", "2026-05-01T00:00:00Z", "purge"),
    ("attach", "2026-05-01T00:00:00Z", "purge"),
    ("meta", "2028-01-31T00:00:00Z", "purge"),
    ("stats", NOT_STORED, ""),
    ("usage", "2028-01-15T08:00:00Z", "purge"),
    ("account.core", "2026-06-30T00:00:00Z", "purge"),
    ("account.other", "2026-06-30T00:00:00Z", "purge"),
    ("support", "2027-01-15T08:00:00Z", "purge"),
    ("subrec", "2026-03-31T00:00:00Z", "purge"),
    ("cred", "2026-03-31T00:00:00Z", "purge"),
];

const UNTIL_DELETED: &[Row] = &[
    ("body", NO_DATE, ""),
    ("attach", NO_DATE, ""),
    ("meta", NO_DATE, ""),
    ("stats", NOT_STORED, ""),
    ("usage", "2028-01-15T08:00:00Z", "purge"),
    ("account.core", NO_DATE, ""),
    ("account.other", NO_DATE, ""),
    ("support", "2027-01-15T08:00:00Z", "purge"),
    ("subrec", NOT_STORED, ""),
    ("cred", "2026-06-30T00:00:00Z", "purge"),
];

/// Accounts of config/compliance.toml with their profiles.
const PROFILES: [(&str, &str, &[Row]); 5] = [
    ("bound", "instruction-bound", INSTRUCTION_BOUND),
    ("instructed", "as-instructed", AS_INSTRUCTED),
    ("anonymise", "anonymise-30", ANONYMISE_30),
    ("fixed", "fixed-term", FIXED_TERM),
    ("until-deleted", "until-deleted", UNTIL_DELETED),
];

const COMPLIANCE: &str = "config/compliance.toml";

fn tidegate(args: &[&str]) -> Output {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let output = Command::new(Process::built())
        .args(args)
        .current_dir(top)
        .output();
    output.unwrap_or_else(|error| panic!("{error}"))
}

fn told(args: &[&str]) -> Value {
    let output = tidegate(&[args, &["--json"]].concat());
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{printed}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_str(&printed).unwrap()
}

fn explained(config: &str, account: &str, class: &str, more: &[&str]) -> Value {
    let verb = [
        "retention",
        "explain",
        "--config",
        config,
        "--account",
        account,
        "--class",
        class,
    ];
    told(&[&verb, more].concat())
}

/// state, due date and action.
fn decided(found: &Value) -> (&str, Option<&str>, Option<&str>) {
    (
        found["state"].as_str().unwrap(),
        found["due"].as_str(),
        found["action"].as_str(),
    )
}

#[test]
fn retention_explain_on_a_record_of_each_class_under_each_profile_equals_the_profile_table() {
    for (account, profile, own) in PROFILES {
        assert_eq!(ALIKE.len() + own.len(), 23, "every class of §7.1");
        for (class, due, action) in ALIKE.iter().chain(own) {
            let found = explained(COMPLIANCE, account, class, EVENTS);
            assert_eq!(found["profile"], profile);
            let expected = match *due {
                NOT_STORED => ("not-stored", None, None),
                NO_DATE => ("live", None, None),
                due => ("live", Some(due), Some(*action)),
            };
            assert_eq!(decided(&found), expected, "{profile}: {class}: {found}");
            let by = found["by"][0].as_str().unwrap();
            assert!(by.contains(profile), "{by}");
        }
    }
}

#[test]
fn what_the_table_says_until_closure_has_no_date_before() {
    let of = |class| {
        let found = explained(
            COMPLIANCE,
            "instructed",
            class,
            &[
                "--accepted",
                "2026-01-31T00:00:00Z",
                "--at",
                "2026-02-03T00:00:00Z",
            ],
        );
        (
            found["state"].as_str().unwrap().to_owned(),
            found["due"].is_null(),
        )
    };
    for class in ["meta", "account.core", "account.other", "support"] {
        assert_eq!(of(class), ("live".to_owned(), true), "{class}");
    }
    // Once final, a body is not there, because nobody has instructed to store it.
    let final_body = |more: &[&str]| {
        let events = [
            "--accepted",
            "2026-01-31T00:00:00Z",
            "--final",
            "2026-02-01T12:00:00Z",
        ];
        explained(COMPLIANCE, "instructed", "body", &[&events, more].concat())
    };
    assert_eq!(final_body(&["--at", "2026-02-01T11:59:59Z"])["state"], "live");
    assert_eq!(
        final_body(&["--at", "2026-02-01T12:00:00Z"])["state"],
        "not-stored"
    );
}

#[test]
fn an_erasure_is_refused_by_a_floor_and_by_nothing_else() {
    let asked = |account, class, at| {
        let events = [
            "--created",
            "2026-01-15T08:00:00Z",
            "--erasure",
            "2026-02-01T00:00:00Z",
            "--at",
            at,
        ];
        let found = explained(COMPLIANCE, account, class, &events);
        let (state, due, _) = decided(&found);
        (state.to_owned(), due.map(str::to_owned))
    };
    let day = "2026-02-01T00:00:00Z";
    let restricted = |due: Option<&str>| ("restricted".to_owned(), due.map(str::to_owned));
    for (account, ..) in PROFILES {
        // Invoices are refused with the date on which the floor ends, opt-outs for ever.
        assert_eq!(
            asked(account, "billing", day),
            restricted(Some("2033-01-15T08:00:00Z"))
        );
        assert_eq!(asked(account, "optout", day), restricted(None));
        // The accounts are in the US, whose floor for consents is five years.
        assert_eq!(
            asked(account, "consent", day),
            restricted(Some("2031-01-15T08:00:00Z"))
        );
        assert_eq!(
            asked(account, "usage", day),
            ("due".to_owned(), Some(day.to_owned()))
        );
        assert_eq!(asked(account, "usage", "2026-01-31T23:59:59Z").0, "live");
    }
    assert_eq!(
        asked("until-deleted", "account.core", day),
        ("due".to_owned(), Some(day.to_owned()))
    );
}

#[test]
fn the_tables_are_printed_with_their_sources() {
    let found = told(&["retention", "profiles", "--config", COMPLIANCE]);
    let profiles = found["profiles"].as_array().unwrap();
    assert_eq!(profiles.len(), 5);
    let words = tidegate(&["retention", "profiles", "--config", COMPLIANCE]);
    let words = String::from_utf8(words.stdout).unwrap();
    for (profile, (_, name, rows)) in profiles.iter().zip(PROFILES) {
        assert_eq!(profile["name"], name);
        assert!(
            words.contains(&format!("\n{name}: ")) || words.starts_with(name),
            "{words}"
        );
        let rows = ALIKE.iter().chain(rows);
        let missing: Vec<&str> = rows
            .filter(|(_, due, _)| *due == NOT_STORED)
            .map(|(class, ..)| *class)
            .collect();
        let mut listed: Vec<&str> = profile["missing"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_str)
            .collect();
        listed.sort_by_key(|class| missing.iter().position(|known| known == class));
        assert_eq!(listed, missing);
        for rule in profile["rules"].as_array().unwrap() {
            for key in ["source", "standing", "checked"] {
                assert!(words.contains(rule[key].as_str().unwrap()), "{rule}");
            }
        }
    }
    let overlay = &found["overlays"][0];
    assert_eq!(
        (&overlay["jurisdiction"], &overlay["standing"]),
        (&"US".into(), &"retold".into())
    );
    assert!(words.contains("16 CFR 310.5"), "{words}");
}

#[test]
fn an_account_without_a_profile_stores_nothing_and_one_that_is_not_there_is_refused() {
    let found = explained(COMPLIANCE, "A", "body", EVENTS);
    assert_eq!(decided(&found), ("not-stored", None, None));
    assert!(found["profile"].is_null());
    assert!(
        found["by"][0]
            .as_str()
            .unwrap()
            .contains("without a retention_profile"),
        "{found}"
    );
    let refused = |args: &[&str], status: i32, word: &str| {
        let verb = ["retention", "explain", "--config", COMPLIANCE];
        let output = tidegate(&[&verb, args].concat());
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(status), "{told}");
        assert!(told.contains(word), "{told}");
    };
    refused(
        &["--account", "nobody", "--class", "body"],
        1,
        "no account is called nobody",
    );
    refused(&["--account", "A", "--class", "bodies"], 2, "one of body, attach");
    refused(
        &["--account", "A", "--class", "body", "--accepted", "soon"],
        2,
        "a time such as",
    );
    refused(
        &["--account", "A", "--class", "body", "--category", "ads"],
        2,
        "marketing",
    );
}

/// config/compliance.toml with something else.
fn changed(change: impl Fn(&str) -> String) -> tempfile::NamedTempFile {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let text = fs::read_to_string(top.join(COMPLIANCE)).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), change(&text)).unwrap();
    file
}

#[test]
fn instructions_of_the_account_are_heard_for_what_they_are_about() {
    let file = changed(|text| {
        text.replace(
            "retention_profile = \"fixed-term\"\n",
            "retention_profile = \"fixed-term\"\nretention = [{ class = \"body\", after = \"P7D\", sender = \"Shop*\" }, \
             { class = \"body\", no_store = true, category = \"otp\" }]\n",
        )
    });
    let config = file.path().to_str().unwrap();
    let due = |more: &[&str]| {
        let found = explained(config, "fixed", "body", &[EVENTS, more].concat());
        found["due"].as_str().unwrap().to_owned()
    };
    assert_eq!(due(&[]), "2026-05-01T00:00:00Z");
    assert_eq!(due(&["--sender", "Shopping"]), "2026-02-07T00:00:00Z");
    assert_eq!(due(&["--category", "otp"]), "2026-02-01T12:00:00Z");
    // A sender is closer than a category.
    assert_eq!(
        due(&["--category", "otp", "--sender", "Shop"]),
        "2026-02-07T00:00:00Z"
    );
}

#[test]
fn ret_c06_the_check_names_a_class_without_a_rule() {
    let row = |class: &str| {
        format!(
            "{{ class = \"{class}\", kind = \"limit\", anchor = \"created\", after = \"P1Y\", action = \"purge\", source = \"-\", \
             standing = \"decided\", checked = \"2026-11-29\" }}, "
        )
    };
    let with = |classes: &[&str]| {
        let rows: String = classes.iter().map(|class| row(class)).collect();
        changed(|text| {
            format!(
                "{}\n[[retention.profile]]\nname = \"own\"\nerasure_sla = \"P30D\"\nrequest_due = \"P30D\"\n\
                 notice_before_change = \"posted\"\nmin_tls = \"1.3\"\nsource = \"-\"\nchecked = \"2026-11-29\"\nrule = [{rows}]\n",
                text.replace("\"fixed-term\"", "\"own\"")
            )
        })
    };
    let warning = |file: &tempfile::NamedTempFile| {
        let found = told(&["check", "--config", file.path().to_str().unwrap()]);
        let warnings = found["warnings"].as_array().unwrap();
        let mut of_own = warnings
            .iter()
            .filter_map(Value::as_str)
            .filter(|text| text.contains("profile own"));
        of_own.next().unwrap().to_owned()
    };
    let kept = with(&["contact", "body"]);
    assert!(!warning(&kept).contains("contact"), "{}", warning(&kept));
    let removed = with(&["body"]);
    assert!(warning(&removed).contains("contact"), "{}", warning(&removed));
    let state = |file: &tempfile::NamedTempFile| {
        let found = explained(file.path().to_str().unwrap(), "fixed", "contact", EVENTS);
        found["state"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        (state(&kept), state(&removed)),
        ("live".to_owned(), "not-stored".to_owned())
    );
    // What is to be said of a class without a rule is a problem of its own.
    let instructed = changed(|text| {
        text.replace(
            "retention_profile = \"fixed-term\"\n",
            "retention_profile = \"fixed-term\"\nretention = [{ class = \"contact\", after = \"P7D\" }]\n",
        )
    });
    let output = tidegate(&["check", "--config", instructed.path().to_str().unwrap()]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("fixed-term has no rule for contact"), "{said}");
}
