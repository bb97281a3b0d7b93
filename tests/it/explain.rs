//! `tidegate route`: hand-made messages against an imaginary operator's routes, word by word.
//!
//! The cases lie in `golden/explain`; `TIDEGATE_BLESS=1` writes what is printed now, to be read before it is kept.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tidegate_tests::Process;

/// Name of the case, and what is asked.
const CASES: [(&str, &[&str]); 11] = [
    (
        "01-one-time-password",
        &[
            "--account",
            "bank",
            "--from",
            "Bank",
            "--to",
            "+447700900123",
            "--service-type",
            "OTP",
            "--text",
            "Your code is 1234",
        ],
    ),
    (
        "02-shared-out-by-recipient",
        &["--account", "bank", "--from", "Bank", "--to", "+447700900123"],
    ),
    (
        "03-landline-has-a-shorter-prefix",
        &[
            "--account",
            "shop",
            "--from",
            "Shop",
            "--to",
            "02079460000",
            "--text",
            "Open till six",
        ],
    ),
    (
        "04-flash-goes-first",
        &[
            "--account",
            "shop",
            "--from",
            "Shop",
            "--to",
            "+447700900123",
            "--data-coding",
            "16",
            "--text",
            "Sale!",
        ],
    ),
    (
        "05-saturday-night-in-summer",
        &[
            "--account",
            "shop",
            "--from",
            "Shop",
            "--to",
            "+447700900123",
            "--at",
            "2026-07-04T21:00:00Z",
        ],
    ),
    (
        "06-an-hour-before",
        &[
            "--account",
            "shop",
            "--from",
            "Shop",
            "--to",
            "+447700900123",
            "--at",
            "2026-07-04T20:00:00Z",
        ],
    ),
    (
        "07-two-parts-abroad",
        &[
            "--account",
            "shop",
            "--from",
            "Shop",
            "--to",
            "+33700000000",
            "--text",
            LONG,
        ],
    ),
    (
        "08-no-way",
        &[
            "--account",
            "shop",
            "--from",
            "Shop",
            "--to",
            "+33700000000",
            "--text",
            "court",
        ],
    ),
    (
        "09-not-its-sender",
        &["--account", "bank", "--from", "Shop", "--to", "+491700000000"],
    ),
    (
        "10-suspended",
        &[
            "--account",
            "gone",
            "--from",
            "60777",
            "--from-as",
            "3,0",
            "--to",
            "01700000000",
            "--to-as",
            "2,1",
        ],
    ),
    (
        "11-no-dearer-than",
        &["--account", "shop", "--from", "Shop", "--to", "+353850000000"],
    ),
];

/// 71 characters, one of them not in the GSM alphabet: two parts in UCS-2.
const LONG: &str = "Ça fait soixante et onze caractères — un de trop pour un seul message !";
/// A Wednesday noon in winter.
const NOON: &str = "2026-12-02T12:00:00Z";

fn here(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn tidegate(args: &[&str]) -> Output {
    let output = Command::new(Process::built())
        .args(args)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output();
    output.unwrap_or_else(|error| panic!("{error}"))
}

fn ask(json: bool, args: &[&str]) -> String {
    let config = here("golden/routes.toml");
    let mut all = vec![
        "route",
        "explain",
        "--file-only",
        "--config",
        config.to_str().unwrap(),
    ];
    if json {
        all.push("--json");
    }
    if !args.contains(&"--at") {
        all.extend(["--at", NOON]);
    }
    all.extend(args);
    let output = tidegate(&all);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn eleven_messages_are_explained_word_by_word() {
    let bless = std::env::var_os("TIDEGATE_BLESS").is_some();
    let mut wrong = Vec::new();
    for (name, args) in CASES {
        let (path, printed) = (here(&format!("golden/explain/{name}.txt")), ask(false, args));
        if bless {
            std::fs::write(&path, &printed).unwrap();
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        if expected != printed {
            wrong.push(format!("{name} is\n{printed}\nexpected\n{expected}"));
        }
        // The same for programs: what takes it and where it goes.
        let told: Value = serde_json::from_str(&ask(true, args)).unwrap();
        let takes = told["routes"]
            .as_array()
            .unwrap()
            .iter()
            .find(|route| route["why"] == "takes it");
        for carrier in told["carriers"].as_array().unwrap() {
            let name = carrier["carrier"].as_str().unwrap();
            assert!(printed.contains(&format!(". {name}")), "{told}");
            assert!(
                takes.unwrap()["carriers"]
                    .as_array()
                    .unwrap()
                    .contains(&carrier["carrier"]),
                "{told}"
            );
        }
        let admitted = told["admission"]["admitted"].as_bool().unwrap();
        assert_eq!(printed.contains("admission: yes"), admitted, "{told}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_shipped_expectations_hold_and_one_that_does_not_is_named_with_its_line() {
    let (table, config) = (
        here("../config/expectations.toml"),
        here("../config/tidegate.toml"),
    );
    let output = tidegate(&[
        "route",
        "test",
        table.to_str().unwrap(),
        "--config",
        config.to_str().unwrap(),
    ]);
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && printed.starts_with("3 of 3"),
        "{printed}"
    );

    let dir = tempfile::tempdir().unwrap();
    let other = dir.path().join("expectations.toml");
    let text = std::fs::read_to_string(&table).unwrap();
    let text = text.replace("carriers = [\"example\"]", "carriers = [\"other\"]");
    std::fs::write(&other, text.replace("refused = \"ESME_RINVDSTADR\"\n", "")).unwrap();
    let args = [
        "--json",
        "route",
        "test",
        other.to_str().unwrap(),
        "--config",
        config.to_str().unwrap(),
    ];
    let output = tidegate(&args);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(!output.status.success() && told["held"] == 1, "{told}");
    let failures = told["failures"].as_array().unwrap();
    let shown: Vec<_> = failures
        .iter()
        .map(|failure| {
            (
                failure["line"].as_u64(),
                failure["what"].as_str(),
                failure["found"].as_str(),
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            (Some(4), Some("carriers"), Some("example")),
            (Some(28), Some("refusal"), Some("ESME_RINVDSTADR")),
        ]
    );
}
