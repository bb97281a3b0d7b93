//! What differs between two files, and that it makes the one of the other.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use super::MINIMAL;
use super::examples::{BENCH, EXAMPLE};
use crate::{Config, diff, parse};

/// One step away from a file. What does not parse afterwards is not taken.
#[derive(Clone, Debug)]
enum Step {
    /// Another value for the key of one line.
    Set(Index, usize),
    /// A table and its keys, once more under another name, behind the last.
    Copy(Index, u8),
    /// A table and its keys goes.
    Drop(Index),
    /// Two tables change places.
    Swap(Index, Index),
}

/// Values that fit some key or other.
const VALUES: &[&str] = &[
    "0",
    "1",
    "2",
    "7",
    "40",
    "100",
    "5000",
    "true",
    "false",
    "\"1s\"",
    "\"90s\"",
    "\"2m\"",
    "\"3h\"",
    "\"30d\"",
    "\"0s\"",
    "\"64MiB\"",
    "\"16GiB\"",
    "[]",
    "[\"rx\"]",
    "[\"Shop\", \"4477*\"]",
    "[\"192.0.2.0/24\"]",
    "\"suspended\"",
    "\"closing\"",
    "\"hex8\"",
    "\"tx+rx\"",
    "\"always\"",
    "\"wait\"",
    "\"5.0\"",
    "\"127.0.0.1:4000\"",
    "[\"127.0.0.1:4001\"]",
    "\"44\"",
    "\"other\"",
    "{ slow = [0x45] }",
    "\"./elsewhere\"",
    "[\"gone\"]",
    "{ response = \"hex\", receipt = \"decimal\" }",
];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (any::<Index>(), 0..VALUES.len()).prop_map(|(line, value)| Step::Set(line, value)),
        2 => (any::<Index>(), 0..10_u8).prop_map(|(table, number)| Step::Copy(table, number)),
        2 => any::<Index>().prop_map(Step::Drop),
        1 => (any::<Index>(), any::<Index>()).prop_map(|(one, other)| Step::Swap(one, other)),
    ];
    proptest::collection::vec(step, 0..12)
}

/// The file as stretches that begin with a table's head.
fn tables(text: &str) -> Vec<String> {
    let mut tables = vec![String::new()];
    for line in text.lines() {
        if line.starts_with('[') {
            tables.push(String::new());
        }
        if let Some(table) = tables.last_mut() {
            table.push_str(line);
            table.push('\n');
        }
    }
    tables
}

fn stepped(text: &str, step: &Step) -> String {
    match step {
        Step::Set(line, value) => {
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            let keys: Vec<usize> = (0..lines.len()).filter(|at| lines[*at].contains(" = ")).collect();
            let at = keys[line.index(keys.len())];
            let line = lines[at].trim_start_matches('#').to_owned();
            let key = line.split_once(" = ").map_or("", |(key, _)| key);
            lines[at] = format!("{key} = {}", VALUES[*value]);
            lines.join("\n")
        }
        Step::Copy(table, number) => {
            let mut tables = tables(text);
            let copy = tables[table.index(tables.len())].clone();
            // Whatever names it: two of one name are refused.
            let copy = [
                "system_id = \"",
                "name = \"",
                "prefix = \"",
                "number = \"",
                "\naddress = \"127.0.0.1:2",
            ]
            .iter()
            .fold(copy, |copy, key| copy.replacen(key, &format!("{key}{number}"), 1));
            tables.push(copy);
            tables.concat()
        }
        Step::Drop(table) => {
            let mut tables = tables(text);
            tables.remove(table.index(tables.len()));
            tables.concat()
        }
        Step::Swap(one, other) => {
            let mut tables = tables(text);
            let (one, other) = (one.index(tables.len()), other.index(tables.len()));
            tables.swap(one, other);
            tables.concat()
        }
    }
}

/// What is left of the steps that lead to a file that holds.
fn walked(text: &str, steps: &[Step]) -> Config {
    let mut text = text.to_owned();
    for step in steps {
        let next = stepped(&text, step);
        if parse(&next).is_ok() {
            text = next;
        }
    }
    parse(&text).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_differs_makes_the_second_of_the_first(
        from in 0..3_usize,
        to in 0..3_usize,
        is_near in any::<bool>(),
        first in steps(),
        second in steps(),
    ) {
        let files = [EXAMPLE, MINIMAL, BENCH];
        let old = walked(files[from], &first);
        let new = walked(files[if is_near { from } else { to }], &second);
        let found = diff(&old, &new);
        prop_assert_eq!(&found.apply(&old), &new);
        // Only what nobody would call a change goes untold.
        let sorted = |config: &Config| {
            let mut config = config.clone();
            config.accounts.sort_by_key(|account| account.system_id);
            config.carriers.sort_by_key(|carrier| carrier.name.clone());
            config
        };
        prop_assert_eq!(found.is_empty(), sorted(&old) == sorted(&new));
        let back = diff(&new, &old);
        prop_assert_eq!(back.restart_only().count() == 0, found.restart_only().count() == 0);
        for change in found.changes() {
            prop_assert!(!change.to_string().contains("argon2id"), "{}", change);
        }
    }
}

#[test]
fn the_steps_reach_every_kind_of_change() {
    let mut runner = TestRunner::deterministic();
    let mut seen = BTreeSet::new();
    for _ in 0..400 {
        let (first, second) = (steps(), steps()).new_tree(&mut runner).unwrap().current();
        let found = diff(&walked(EXAMPLE, &first), &walked(EXAMPLE, &second));
        for change in found.changes() {
            let table = change.key.split(['.', '[']).next().unwrap().to_owned();
            let what = match change.what.as_str() {
                "added" => "added",
                "removed" => "removed",
                _ => "changed",
            };
            seen.insert((table, what));
        }
    }
    let lists = ["account", "carrier", "listen", "route"];
    let whats = ["added", "removed", "changed"];
    let all = lists
        .into_iter()
        .flat_map(|table| whats.map(|what| (table, what)));
    let once = ["node", "storage", "limits"].map(|table| (table, "changed"));
    for (table, what) in all.chain(once) {
        assert!(
            seen.contains(&(table.to_owned(), what)),
            "no {table} {what}: {seen:?}"
        );
    }
}

/// Lines about a change of the minimal file.
fn told(changes: &[(&str, &str)]) -> Vec<String> {
    let text = changes
        .iter()
        .fold(MINIMAL.to_owned(), |text, (from, to)| text.replacen(from, to, 1));
    let new = parse(&text).unwrap_or_else(|problems| panic!("{problems}"));
    let found = diff(&parse(MINIMAL).unwrap(), &new);
    found.changes().iter().map(ToString::to_string).collect()
}

#[test]
fn each_change_is_one_line_with_its_key() {
    let account = "system_id = \"example\"\n";
    for (to, line) in [
        ("rate = 100", "account.example.rate: none -> 100"),
        ("window = 7", "account.example.window: 1000 -> 7"),
        (
            "state = \"suspended\"",
            "account.example.state: active -> suspended",
        ),
        (
            "duplicate_window = \"90s\"",
            "account.example.duplicate_window: none -> 90s",
        ),
        ("senders = [\"447700900123\"]", "account.example.senders: changed"),
    ] {
        assert_eq!(told(&[(account, &format!("{account}{to}\n"))]), [line]);
    }
    let other = "\n[[carrier]]\nname = \"other\"\naddresses = [\"127.0.0.1:1\"]\nsystem_id = \"x\"\npassword_env = \"X\"\n[[route.mt]]\nprefix = \"44\"\ncarriers = [\"other\"]\n[[route.mo]]";
    assert_eq!(
        told(&[("[[route.mo]]", other)]),
        ["carrier.other: added", "route.mt[1]: added"]
    );
    assert_eq!(
        told(&[("number = \"*\"", "number = \"44*\"")]),
        ["route.mo[0]: changed"]
    );
    // A default of accounts is told where it counts, too.
    assert_eq!(
        told(&[("[[listen]]", "[limits]\nesme_window = 5\n[[listen]]")]),
        [
            "limits.esme_window: 1000 -> 5",
            "account.example.window: 1000 -> 5"
        ]
    );
}

#[test]
fn what_only_a_restart_takes_over_is_named() {
    for (from, to, key) in [
        ("[[listen]]", "[node]\nid = 7\n[[listen]]", Some("node.id")),
        ("127.0.0.1:2775", "127.0.0.1:2776", None),
        (
            "[[listen]]",
            "[http]\naddress = \"127.0.0.1:1\"\n[[listen]]",
            Some("http.address"),
        ),
        ("./tidegate-data", "./other", Some("storage.data")),
        (
            "[[listen]]",
            "segment_size = \"32MiB\"\n[[listen]]",
            Some("storage.segment_size"),
        ),
        ("[[listen]]", "lazy_flush = \"20ms\"\n[[listen]]", None),
        ("[[listen]]", "[limits]\nresponse = \"1s\"\n[[listen]]", None),
        ("127.0.0.1:2900", "127.0.0.1:2901", None),
    ] {
        let new = parse(&MINIMAL.replacen(from, to, 1)).unwrap();
        let found = diff(&parse(MINIMAL).unwrap(), &new);
        let keys: Vec<&str> = found.restart_only().map(|change| change.key.as_str()).collect();
        assert_eq!(keys, key.into_iter().collect::<Vec<_>>(), "{to}");
        assert_eq!(found.changes().len(), 1);
    }
}
