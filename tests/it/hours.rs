//! `tidegate hours`: numbers and times against the rules that come with the program, word by word.
//!
//! The cases lie in `golden/hours`; `TIDEGATE_BLESS=1` writes what is printed now, to be read before it is kept.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tidegate_tests::Process;

/// Name of the case, what is asked, and whether marketing may be sent.
const CASES: [(&str, &[&str], bool); 7] = [
    (
        "01-federal",
        &["+12125550100", "--at", "2026-07-06T23:30:00Z"],
        true,
    ),
    (
        "02-florida",
        &["13055550100", "--at", "2026-07-07T00:30:00Z"],
        false,
    ),
    (
        "03-two-zones",
        &["+12082000000", "--at", "2026-07-06T14:30:00Z"],
        false,
    ),
    (
        "04-toll-free",
        &["+18005550100", "--at", "2026-07-06T14:30:00Z"],
        false,
    ),
    (
        "05-moved-to-texas",
        &[
            "+12125550100",
            "--region",
            "TX",
            "--zone",
            "america/chicago",
            "--at",
            "2026-07-05T14:30:00Z",
        ],
        false,
    ),
    (
        "06-sunday-in-france",
        &["+33612345678", "--at", "2026-04-05T10:00:00Z"],
        false,
    ),
    (
        "07-no-rule",
        &["+447700900123", "--at", "2026-07-06T03:00:00Z"],
        true,
    ),
];

fn tidegate(args: &[&str]) -> Output {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(Process::built())
        .args(["hours", "--config", "../config/tidegate.toml"])
        .args(args)
        .current_dir(here)
        .output();
    output.unwrap_or_else(|error| panic!("{error}"))
}

fn printed(args: &[&str]) -> String {
    let output = tidegate(args);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn seven_numbers_are_judged_word_by_word() {
    let bless = std::env::var_os("TIDEGATE_BLESS").is_some();
    let mut wrong = Vec::new();
    for (name, args, is_open) in CASES {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("golden/hours/{name}.txt"));
        let found = printed(args);
        if bless {
            std::fs::write(&path, &found).unwrap();
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        if expected != found {
            wrong.push(format!("{name} is\n{found}\nexpected\n{expected}"));
        }
        // The number is nobody's business who reads it over a shoulder.
        assert!(!found.contains(args[0].trim_start_matches('+')), "{found}");
        // The same for programs.
        let told: Value = serde_json::from_str(&printed(&[args, &["--json"]].concat())).unwrap();
        assert_eq!(told["open"], is_open, "{told}");
        let next = told[if is_open { "until" } else { "opens" }].as_str();
        assert!(next.is_none_or(|next| found.contains(next)), "{told}");
        assert_eq!(next.is_none(), name == "07-no-rule", "{told}");
        for zone in told["zones"].as_array().unwrap() {
            assert!(found.contains(zone["zone"].as_str().unwrap()), "{told}");
        }
        for rule in told["rules"].as_array().unwrap() {
            assert!(found.contains(rule["source"].as_str().unwrap()), "{told}");
        }
        assert_eq!(
            told["cap"].as_u64(),
            (name == "02-florida").then_some(3),
            "{told}"
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_cannot_be_judged_is_refused_without_the_number() {
    let refused = |args: &[&str], status: i32, word: &str| {
        let output = tidegate(args);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(status), "{told}");
        assert!(told.contains(word) && !told.contains("5550100"), "{told}");
    };
    refused(&["+15550100"], 1, "TO is no number");
    refused(&["+12125550100", "--region", "ZZ"], 2, "such as FL");
    refused(&["+12125550100", "--zone", "Mars/Olympus"], 2, "America/New_York");
    let five = ["--zone", "UTC"].repeat(5);
    refused(&[&["+12125550100"][..], &five].concat(), 1, "more than 4 times");
}
