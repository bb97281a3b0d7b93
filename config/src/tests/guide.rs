//! The guide's table of keys says what the file and the code say.

use std::collections::BTreeMap;

use super::examples::EXAMPLE;
use crate::diff::keys_of;
use crate::{audit, node, parse, storage};

const GUIDE: &str = include_str!("../../../OPERATIONS.md");
/// What a key that needs a restart has behind its name.
const RESTART: char = '†';
/// Units that values do not say themselves.
const UNITS: [&str; 25] = [
    "answers",
    "binds",
    "bool",
    "connections",
    "duration",
    "entries",
    "lots",
    "handshakes",
    "holds",
    "links",
    "list",
    "messages",
    "number",
    "octets",
    "parts",
    "parts/s",
    "path",
    "PDUs",
    "price",
    "segments",
    "share",
    "size",
    "table",
    "text",
    "tries",
];

/// What is said of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Said {
    default: String,
    needs_restart: bool,
}

/// Table and key.
type Keys = BTreeMap<(String, String), Said>;

/// The value in front of a comment.
fn value(rest: &str) -> &str {
    let mut is_quoted = false;
    let end = rest.char_indices().find(|(_, character)| {
        is_quoted ^= *character == '"';
        *character == '#' && !is_quoted
    });
    rest[..end.map_or(rest.len(), |(end, _)| end)].trim_end()
}

fn needs_restart(table: &str, key: &str) -> bool {
    match table {
        // Ids of messages bear it.
        "node" => true,
        "http" => node::why_restart(key).is_some(),
        "storage" => storage::why_restart(key).is_some(),
        "audit" => audit::why_restart(key).is_some(),
        _ => false,
    }
}

/// What the example says of the keys of its tables.
fn of_example() -> Keys {
    let mut keys = Keys::new();
    let mut table = "";
    let required = ["password_hashes", "password_env"];
    for line in EXAMPLE.lines() {
        if let Some(name) = line.strip_prefix('[') {
            table = name.trim_matches(['[', ']']);
            continue;
        }
        let is_optional = line.starts_with('#');
        let Some((key, rest)) = line.trim_start_matches('#').split_once(" = ") else {
            continue;
        };
        if !key
            .bytes()
            .all(|octet| octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'_')
        {
            continue;
        }
        let default = if is_optional || rest.contains("# default: none") {
            "none".to_owned()
        } else if rest.contains("# required") || required.contains(&key) {
            "required".to_owned()
        } else {
            format!("`{}`", value(rest))
        };
        let said = Said {
            default,
            needs_restart: needs_restart(table, key),
        };
        keys.insert((table.to_owned(), key.to_owned()), said);
    }
    keys
}

/// What the guide says of them.
fn of_guide() -> Keys {
    let (_, section) = GUIDE.split_once("\n## Configuration keys\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let mut keys = Keys::new();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| "));
    for row in rows.skip(1) {
        let (table, row) = row.split_once(" | ").unwrap();
        let table = table.trim_matches(['`', '[', ']']);
        let table = if table == "(top)" { "" } else { table };
        for entry in row.strip_suffix(" |").unwrap().split("; `") {
            let (key, entry) = entry.trim_start_matches('`').split_once('`').unwrap();
            let (mark, entry) = entry.split_once(" (").unwrap();
            let (unit, default) = entry.split_once(") ").unwrap();
            assert!(UNITS.contains(&unit), "{table}.{key}: {unit}");
            let is_duration =
                default.ends_with("s\"`") || default.ends_with("m\"`") || default.ends_with("h\"`");
            assert!(
                unit != "duration" || is_duration || default == "none",
                "{table}.{key}: {default}"
            );
            let said = Said {
                default: default.to_owned(),
                needs_restart: mark == RESTART.to_string(),
            };
            let before = keys.insert((table.to_owned(), key.to_owned()), said);
            assert_eq!(before, None, "{table}.{key} is there twice");
        }
    }
    keys
}

#[test]
fn the_guide_names_every_key_of_the_file_with_its_default_and_what_a_reload_does() {
    let (told, there) = (of_guide(), of_example());
    for (key, said) in &there {
        assert_eq!(told.get(key), Some(said), "{key:?}");
    }
    for key in told.keys() {
        assert!(there.contains_key(key), "{key:?} is no key");
    }
    assert!(told.len() > 200, "{}", told.len());
}

/// Keys that a reload tells apart are those of the file: the name of one must be the name that its users know.
#[test]
fn the_guide_names_every_key_that_a_reload_tells_apart() {
    let told = of_guide();
    let config = parse(EXAMPLE).unwrap_or_else(|problems| panic!("{problems}"));
    for (table, keys) in keys_of(&config) {
        for key in &keys {
            // One value of two keys, and two lists that the file has as a key each.
            let in_file: &[&str] = match (table, *key) {
                ("carrier", "password") => &["password_env", "password_file"],
                ("sending_hours", "rules") => &["rule"],
                ("screening", "rules") => &["file"],
                ("storage", "kek") => &["kek_file", "kek_env", "kek_command"],
                ("storage", "legal_kek") => &["legal_kek_file", "legal_kek_env", "legal_kek_command"],
                ("storage", "subrec_kek") => &["subrec_kek_file", "subrec_kek_env", "subrec_kek_command"],
                _ => &[key],
            };
            for key in in_file {
                assert!(
                    told.contains_key(&(table.to_owned(), (*key).to_owned())),
                    "{table}.{key}"
                );
            }
        }
        // And no key of these tables is in the file that a reload would not see.
        let of_table = told.keys().filter(|(of, _)| of == table).count();
        assert!(
            of_table <= keys.len() + if table == "storage" { 6 } else { 2 },
            "{table}: {of_table} in the guide, {} here",
            keys.len()
        );
    }
}
