//! The rules of the house that no compiler checks: which crate may lean on which, where a clock may be
//! read, which queues may exist. Read from the manifests and sources, so that breaking one fails here.

use std::fs;
use std::path::{Path, PathBuf};

/// A crate of the diamond and what it must never use (ARCHITECTURE.md, "Four crates").
struct Room {
    name: &'static str,
    /// Crates of our own that it may lean on: arrows point down only.
    own: &'static [&'static str],
    /// Packages it must not name, in its manifest or in its sources.
    banned: &'static [&'static str],
}

const ROOMS: &[Room] = &[
    Room {
        name: "codec",
        own: &[],
        banned: &[
            "tokio",
            "tracing",
            "metrics",
            "sled",
            "dashmap",
            "rand_core",
            "getrandom",
        ],
    },
    Room {
        name: "config",
        own: &["tidegate-codec"],
        banned: &["tokio", "sled", "metrics", "nom", "dashmap", "tracing"],
    },
    Room {
        name: "store",
        own: &["tidegate-codec"],
        banned: &["tokio", "metrics", "nom", "dashmap", "getrandom"],
    },
    Room {
        name: "gateway",
        own: &["tidegate-codec", "tidegate-config", "tidegate-store"],
        banned: &["nom", "sled"],
    },
];

/// What reads a clock. Only `gateway/src/clock.rs` may.
const CLOCK_READS: &[&str] = &["Instant::now", "SystemTime::now", "Timestamp::now", "Zoned::now"];

/// Queues without a bound (P6), and waits that only pretend to synchronise.
const UNBOUNDED: &[&str] = &[
    "unbounded_channel",
    "mpsc::channel()",
    "crossbeam_channel::unbounded",
    "flume::unbounded",
];

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ lies below the top")
        .to_owned()
}

fn manifest(room: &str) -> toml::Table {
    let path = top().join(room).join("Cargo.toml");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.parse()
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Names under every kind of dependency table, dev-dependencies left out unless asked for.
fn dependencies(manifest: &toml::Table, dev: bool) -> Vec<String> {
    let mut names = Vec::new();
    let kinds: &[&str] = if dev {
        &["dev-dependencies"]
    } else {
        &["dependencies", "build-dependencies"]
    };
    let targets = manifest.get("target").and_then(toml::Value::as_table);
    let tables = std::iter::once(manifest).chain(
        targets
            .into_iter()
            .flat_map(|all| all.values().filter_map(toml::Value::as_table)),
    );
    for table in tables {
        for kind in kinds {
            if let Some(entries) = table.get(*kind).and_then(toml::Value::as_table) {
                names.extend(entries.keys().cloned());
            }
        }
    }
    names
}

fn sources(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display())) {
        let path = entry.expect("a readable directory").path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            out.push(path);
        }
    }
}

fn sources_of(room: &str) -> Vec<PathBuf> {
    let mut out = Vec::new();
    sources(&top().join(room).join("src"), &mut out);
    assert!(
        !out.is_empty(),
        "{room}/src holds no source: the test looks in the wrong place"
    );
    out
}

/// Lines of code with their numbers; comments left out, so that a rule may be talked about.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line.split("//").next().unwrap_or_default()))
        .filter(|(_, line)| !line.trim().is_empty())
}

/// Every line of the four crates' sources that names one of `words`, but for the files in `except`.
fn offences(words: &[&str], rooms: &[&str], except: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for room in rooms {
        for path in sources_of(room) {
            let short = path
                .strip_prefix(top())
                .expect("below the top")
                .display()
                .to_string();
            if except.contains(&short.as_str()) {
                continue;
            }
            let text = fs::read_to_string(&path).expect("a readable source");
            for (number, line) in code_lines(&text) {
                for word in words.iter().filter(|word| line.contains(**word)) {
                    found.push(format!("{short}:{number}: {word}"));
                }
            }
        }
    }
    found
}

const ALL: &[&str] = &["codec", "config", "store", "gateway"];

#[test]
fn arrows_point_down_only() {
    for room in ROOMS {
        for dev in [false, true] {
            for name in dependencies(&manifest(room.name), dev) {
                if name.starts_with("tidegate-") {
                    assert!(
                        room.own.contains(&name.as_str()),
                        "{} must not lean on {name}",
                        room.name
                    );
                }
                // A dev-dependency reaches no user; only the arrows hold for it.
                assert!(
                    dev || !room.banned.contains(&name.as_str()),
                    "{} must not use {name}",
                    room.name
                );
            }
        }
    }
}

#[test]
fn what_stands_above_is_leaned_on_by_nothing() {
    for room in ROOMS {
        let names = dependencies(&manifest(room.name), false);
        for above in ["tidegate-tests", "tidegate-benches", "tidegate-fuzz"] {
            assert!(
                !names.iter().any(|name| name == above),
                "{} leans on {above}",
                room.name
            );
        }
    }
}

#[test]
fn banned_packages_are_not_named_in_sources_either() {
    for room in ROOMS {
        let words: Vec<String> = room.banned.iter().map(|name| format!("{name}::")).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let found = offences(&words, &[room.name], &[]);
        // `std::…::metrics::` and the like would be false alarms; none exists, so the rule stays plain.
        assert!(found.is_empty(), "{found:#?}");
    }
}

#[test]
fn only_one_file_reads_a_clock() {
    let found = offences(CLOCK_READS, ALL, &["gateway/src/clock.rs"]);
    assert!(found.is_empty(), "{found:#?}");
    assert!(
        !offences(CLOCK_READS, &["gateway"], &[]).is_empty(),
        "clock.rs itself must be seen"
    );
}

#[test]
fn no_queue_is_unbounded() {
    let found = offences(UNBOUNDED, ALL, &[]);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn sled_and_nom_stay_behind_their_doors() {
    let found = offences(&["sled::"], ALL, &["store/src/tree.rs"]);
    assert!(found.is_empty(), "only store/src/tree.rs names sled: {found:#?}");
    let found = offences(&["nom::"], &["config", "store", "gateway"], &[]);
    assert!(found.is_empty(), "only codec names nom: {found:#?}");
}

#[test]
fn modules_are_named_after_what_they_are() {
    for room in ALL {
        for path in sources_of(room) {
            let stem = path
                .file_stem()
                .expect("a file name")
                .to_string_lossy()
                .into_owned();
            assert!(stem != "mod", "{}: foo.rs + foo/, no mod.rs", path.display());
            for banned in [
                "util", "utils", "helper", "helpers", "manager", "handler", "common", "misc",
            ] {
                assert!(
                    stem != banned,
                    "{}: says nothing about its content",
                    path.display()
                );
            }
            let depth = path
                .strip_prefix(top().join(room).join("src"))
                .expect("below src")
                .components()
                .count();
            assert!(depth <= 2, "{}: two levels at most", path.display());
        }
    }
}

#[test]
fn the_top_level_is_the_one_that_was_agreed() {
    for dir in ["gateway", "codec", "store", "config", "benches", "fuzz", "tests"] {
        assert!(top().join(dir).join("Cargo.toml").is_file(), "{dir}/ is missing");
    }
    for file in [
        "README.md",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "LICENSE-MIT",
        "LICENSE-APACHE",
        ".ci/run",
    ] {
        assert!(top().join(file).is_file(), "{file} is missing");
    }
}

/// Acceptance cases that are shown or wait for something, by the letters before `-C`.
const CASES: &[(&str, &[u32])] = &[
    (
        "OPT",
        &[
            1, 2, 3, 4, 5, 9, 10, 12, 13, 14, 15, 17, 18, 19, 20, 21, 23, 25, 26, 27, 28, 31, 32, 33, 35,
        ],
    ),
    ("CON", &[1, 2, 3, 4]),
    ("QH", &[1, 2, 3, 4, 6, 7]),
    ("CAP", &[1]),
    ("RET", &[1, 2, 4, 6, 7, 8, 9, 12, 14, 15, 17, 18, 19]),
    ("HOLD", &[1, 2, 3, 4]),
    ("LEG", &[1, 2]),
    ("DSR", &[1, 2, 3, 4, 5, 6, 9]),
    ("EXP", &[1, 2, 3, 5]),
    ("CHN", &[1, 2, 3, 4]),
    ("CLO", &[1, 2, 3, 5, 6]),
    ("AUD", &[1, 2, 4]),
    ("FRD", &[1, 2, 3, 4, 5, 6]),
    ("SEC", &[1, 2, 3, 4, 5]),
    ("TEN", &[1]),
    ("KEY", &[1, 2, 3, 4, 5, 7]),
    ("LOG", &[1]),
];

/// A row of `tests/acceptance.md`: its case, its tests with their files, what it waits for.
type Shown = (String, Vec<(String, String)>, String);

fn row_of(line: &str) -> Option<Shown> {
    let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
    let [case, tests, waits] = cells.try_into().ok()?;
    let tests = tests.split("; ").filter_map(|test| {
        let (name, file) = test.split_once(" (")?;
        Some((
            name.trim_matches('`').to_owned(),
            file.trim_end_matches(')').to_owned(),
        ))
    });
    case.contains("-C")
        .then(|| (case.to_owned(), tests.collect(), waits.to_owned()))
}

/// Tests that a document names, as "`name` (file)", with their files.
fn tests_named_in(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("` (") {
        let name = text[..at].rsplit('`').next().unwrap_or_default();
        let file = text[at + 3..].split(')').next().unwrap_or_default();
        if file.ends_with(".rs") {
            found.push((name.to_owned(), file.to_owned()));
        }
    }
    found
}

#[test]
fn every_test_and_place_that_the_threat_model_names_is_there() {
    all_there("SECURITY.md", 30);
}

#[test]
fn every_test_that_a_promise_about_people_names_is_there() {
    all_there("PRIVACY.md", 15);
}

/// The tests that a document names are in the sources.
fn all_there(document: &str, more_than: usize) {
    let text = fs::read_to_string(top().join(document)).expect(document);
    let tests = tests_named_in(&text);
    assert!(tests.len() > more_than, "{}", tests.len());
    for (name, file) in tests {
        let source = fs::read_to_string(top().join(&file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(
            source.contains(&format!("fn {name}(")),
            "{document}: no {name} in {file}"
        );
    }
}

#[test]
fn every_acceptance_case_has_its_tests_and_every_test_of_a_case_stands_in_the_table() {
    let table = fs::read_to_string(top().join("tests/acceptance.md")).expect("the table");
    let rows: Vec<_> = table.lines().filter_map(row_of).collect();
    let cases: Vec<&str> = rows.iter().map(|(case, ..)| case.as_str()).collect();
    let expected: Vec<String> = CASES
        .iter()
        .flat_map(|(of, numbers)| numbers.iter().map(move |number| format!("{of}-C{number:02}")))
        .collect();
    assert_eq!(cases, expected, "in this order, each once");
    for (case, tests, waits) in &rows {
        assert!(
            !tests.is_empty() || !waits.is_empty(),
            "{case}: neither shown nor waiting"
        );
        for (name, file) in tests {
            let source =
                fs::read_to_string(top().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
            let (before, _) = source
                .split_once(&format!("fn {name}()"))
                .unwrap_or_else(|| panic!("{case}: no test {name} in {file}"));
            let attributes = before.rsplit("\n\n").next().unwrap_or_default();
            assert!(
                ["#[test]", "#[tokio::test"]
                    .iter()
                    .any(|test| attributes.contains(test))
                    && !attributes.contains("#[ignore"),
                "{case}: {name} is not run"
            );
        }
    }
    let is_case = |name: &str| {
        CASES.iter().any(|(of, _)| {
            let rest = name
                .strip_prefix(&of.to_lowercase())
                .and_then(|rest| rest.strip_prefix("_c"));
            rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        })
    };
    let mut paths: Vec<PathBuf> = ["config", "store", "gateway"]
        .into_iter()
        .flat_map(sources_of)
        .collect();
    sources(&top().join("tests/it"), &mut paths);
    for path in paths {
        let source = fs::read_to_string(&path).expect("a source");
        let names = source.lines().filter_map(|line| {
            let (_, rest) = line.split_once("fn ")?;
            rest.split_once("()").map(|(name, _)| name)
        });
        for name in names.filter(|name| is_case(name)) {
            let known = rows.iter().flat_map(|(_, tests, _)| tests);
            assert!(
                known.into_iter().any(|(known, _)| known == name),
                "{name} is not in the table"
            );
        }
    }
}
