//! What is wrong with the file as a whole: missing, unknown, twice, not TOML; and all of it at once.

use super::MINIMAL;
use crate::{KekSource, Problem, parse};

pub(super) fn problems(text: &str) -> Vec<Problem> {
    match parse(text) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.as_slice().to_vec(),
    }
}

/// The line that begins with `line`, replaced.
pub(super) fn with(line: &str, new: &str) -> String {
    assert_eq!(MINIMAL.matches(line).count(), 1, "{line}");
    MINIMAL.replace(line, new)
}

/// One problem only, at this key and line, with this in its remedy or its what.
#[track_caller]
pub(super) fn one(text: &str, key: &str, line: usize, word: &str) {
    let found = problems(text);
    let [problem] = found.as_slice() else {
        panic!("{key}: {found:#?}");
    };
    assert_eq!(problem.key, key, "{problem}");
    assert_eq!(problem.line, Some(line), "{problem}");
    assert!(problem.to_string().contains(word), "{problem}");
}

#[test]
fn what_is_missing_is_reported_at_its_table() {
    let cases = [
        (
            "key_ring = \"./tidegate-keys\"\n",
            "storage.key_ring",
            1,
            "outside the data directory",
        ),
        (
            "address = \"127.0.0.1:2775\"\n",
            "listen[0].address",
            5,
            "0.0.0.0:2775",
        ),
        (
            "system_id = \"tidegate\"\n",
            "carrier.example.system_id",
            10,
            "carrier gave you",
        ),
        (
            "password_env = \"TIDEGATE_EXAMPLE_PASSWORD\"\n",
            "carrier.example.password_file",
            10,
            "password_env",
        ),
        (
            "addresses = [\"127.0.0.1:2900\"]\n",
            "carrier.example.addresses",
            10,
            "host:port",
        ),
        ("name = \"example\"\n", "carrier[0].name", 10, "name the carrier"),
        ("prefix = \"\"\n", "route.mt[0].prefix", 15, "default route"),
    ];
    for (line, key, at, word) in cases {
        one(&with(line, ""), key, at, word);
    }
    let hash = MINIMAL
        .lines()
        .find(|line| line.starts_with("password_hashes"))
        .unwrap();
    one(&with(hash, ""), "account[0].password_hashes", 7, "hash-password");
}

#[test]
fn an_empty_file_is_told_what_it_needs() {
    let found = problems("");
    let keys: Vec<&str> = found.iter().map(|problem| problem.key.as_str()).collect();
    assert_eq!(
        keys,
        ["listen", "storage.data", "storage.key_ring", "storage.kek_file"]
    );
    assert!(found.iter().all(|problem| problem.line.is_none()));
}

#[test]
fn one_place_for_the_key_encryption_key() {
    let file = "kek_file = \"./tidegate-kek/kek\"\n";
    for (given, source) in [
        ("kek_env = \"KEK\"\n", KekSource::Env("KEK".to_owned())),
        (
            "kek_command = [\"kek\", \"\", \"get\"]\n",
            KekSource::Command(vec!["kek".to_owned(), String::new(), "get".to_owned()]),
        ),
    ] {
        let config = parse(&with(file, given)).unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!(config.storage.kek, source);
        let both = problems(&with(file, &format!("{file}{given}")));
        assert!(
            both.len() == 1 && both[0].to_string().contains("two places"),
            "{both:?}"
        );
    }
    // The value is not repeated: it may be the key itself.
    for given in [
        "kek_env = \"0badc0de\"\n",
        "kek_env = \"0badc0de=\"\n",
        "kek_command = [\"\", \"0badc0de\"]\n",
    ] {
        let found = problems(&with(file, given));
        assert_eq!(found.len(), 1, "{given}: {found:?}");
        assert!(!found[0].to_string().contains("0badc0de"), "{}", found[0]);
    }
    one(&with(file, ""), "storage.kek_file", 1, "kek_env");
    one(
        &with(file, "kek_command = []\n"),
        "storage.kek_command",
        4,
        "1 to 32",
    );
}

#[test]
fn enc_5_each_tier_may_have_a_key_encryption_key_of_its_own_and_none_has_anothers() {
    let file = "kek_file = \"./tidegate-kek/kek\"\n";
    let beside = |more: &str| with(file, &format!("{file}{more}"));
    let plain = parse(&with(file, file))
        .unwrap_or_else(|problems| panic!("{problems}"))
        .storage;
    assert_eq!((plain.legal_kek, plain.subrec_kek), (None, None));
    let text = beside("legal_kek_file = \"./tidegate-kek/legal\"\nsubrec_kek_env = \"KEK\"\n");
    let storage = parse(&text)
        .unwrap_or_else(|problems| panic!("{problems}"))
        .storage;
    assert_eq!(
        storage.legal_kek,
        Some(KekSource::File("./tidegate-kek/legal".into()))
    );
    assert_eq!(storage.subrec_kek, Some(KekSource::Env("KEK".to_owned())));
    for (more, key, at, word) in [
        (
            "legal_kek_file = \"x/../tidegate-kek/kek\"\n",
            "storage.legal_kek_file",
            5,
            "is that of `kek_file`",
        ),
        (
            "legal_kek_env = \"A\"\nsubrec_kek_env = \"A\"\n",
            "storage.subrec_kek_env",
            6,
            "is that of `legal_kek_env`",
        ),
        (
            "legal_kek_command = [\"a\"]\nsubrec_kek_command = [\"a\"]\n",
            "storage.subrec_kek_command",
            6,
            "is that of `legal_kek_command`",
        ),
        (
            "subrec_kek_file = \"./tidegate-keys/subrec/kek\"\n",
            "storage.subrec_kek_file",
            5,
            "inside `key_ring`",
        ),
        (
            "legal_kek_file = \"./tidegate-data/kek\"\n",
            "storage.legal_kek_file",
            5,
            "inside `data`",
        ),
        (
            "legal_kek_file = \"a\"\nlegal_kek_command = [\"a\"]\n",
            "storage.legal_kek_command",
            6,
            "two places",
        ),
        (
            "legal_kek_command = [\"\", \"0badc0de\"]\n",
            "storage.legal_kek_command",
            5,
            "no program",
        ),
    ] {
        one(&beside(more), key, at, word);
    }
    let found = problems(&beside("subrec_kek_env = \"0badc0de\"\n"));
    assert!(
        found.len() == 1 && !found[0].to_string().contains("0badc0de"),
        "{found:?}"
    );
}

#[test]
fn accounts_that_may_submit_need_a_route() {
    let text = with("[[route.mt]]\nprefix = \"\"\ncarriers = [\"example\"]\n", "");
    one(&text, "route.mt", 15, "[[route.mt]]");
    let receives_only = text.replace("[[account]]\n", "[[account]]\nbinds = [\"rx\"]\n");
    assert_eq!(problems(&receives_only), []);
}

#[test]
fn unknown_keys_are_refused_with_what_was_probably_meant() {
    for (table, line, key, word) in [
        (
            "[storage]\n",
            "segment_sise = \"64MiB\"",
            "storage.segment_sise",
            "did you mean `segment_size`?",
        ),
        (
            "[[account]]\n",
            "max_bind = 3",
            "account[0].max_bind",
            "did you mean `max_binds`?",
        ),
        (
            "[[account]]\n",
            "password = \"hunter2\"",
            "account[0].password",
            "hash-password",
        ),
        (
            "[[carrier]]\n",
            "password = \"hunter2\"",
            "carrier.example.password",
            "password_file",
        ),
        (
            "[[carrier]]\n",
            "host = \"h\"",
            "carrier.example.host",
            "addresses = ",
        ),
        (
            "[[carrier]]\n",
            "colour = 1",
            "carrier.example.colour",
            "known here: name, local_address, addresses",
        ),
        (
            "[[route.mt]]\n",
            "carrier = \"example\"",
            "route.mt[0].carrier",
            "carriers = ",
        ),
        (
            "[[carrier]]\n",
            "id_base.recepit = \"hex\"",
            "carrier.example.id_base.recepit",
            "`receipt`",
        ),
        ("[storage]\n", "\"a\\nb\" = 1", "storage.a\\nb", "known here"),
    ] {
        let opened = MINIMAL[..MINIMAL.find(table).unwrap()].lines().count() + 1;
        one(
            &MINIMAL.replace(table, &format!("{table}{line}\n")),
            key,
            opened + 1,
            word,
        );
    }
    one(&format!("{MINIMAL}[[carriers]]\n"), "carriers", 21, "[[carrier]]");
    one(
        &format!("{MINIMAL}[limit]\n"),
        "limit",
        21,
        "did you mean `limits`?",
    );
}

#[test]
fn one_prefix_may_have_several_routes_that_differ_in_order_or_conditions() {
    let more = |keys: &str| format!("{MINIMAL}[[route.mt]]\nprefix = \"\"\ncarriers = [\"example\"]\n{keys}");
    for keys in [
        "order = 99",
        "accounts = [\"example\"]",
        "senders = [\"Shop\"]",
        "sender_types = [\"short\"]",
        "service_types = [\"\"]",
        "data_codings = [8]",
        "classes = [0]",
        "min_parts = 2",
        "hours = \"08:00-20:00\"",
        "days = [\"sat\", \"sun\"]",
        "down = [\"example\"]",
    ] {
        assert!(parse(&more(keys)).is_ok(), "{keys}");
    }
    one(&more("name = \"second\""), "route.mt[1].prefix", 22, "conditions");
    let named = MINIMAL.replace("[[route.mt]]\n", "[[route.mt]]\nname = \"bulk\"\n");
    let twice = format!("{named}[[route.mt]]\nname = \"bulk\"\nprefix = \"44\"\ncarriers = [\"example\"]");
    one(&twice, "route.mt[1].name", 23, "by line 16");
}

#[test]
fn what_must_be_unique_names_the_line_of_the_first() {
    let doubled = |table: &str, next: &str| {
        let from = MINIMAL.find(table).unwrap();
        let to = if next.is_empty() {
            MINIMAL.len()
        } else {
            MINIMAL.find(next).unwrap()
        };
        format!("{MINIMAL}{}", &MINIMAL[from..to])
    };
    one(
        &doubled("[[listen]]", "[[account]]"),
        "listen[1].address",
        22,
        "by line 6",
    );
    one(
        &doubled("[[account]]", "[[carrier]]"),
        "account[1].system_id",
        22,
        "by line 8",
    );
    one(
        &doubled("[[carrier]]", "[[route.mt]]"),
        "carrier[1].name",
        22,
        "by line 11",
    );
    one(
        &doubled("[[route.mt]]", "[[route.mo]]"),
        "route.mt[1].prefix",
        22,
        "by line 16",
    );
    one(
        &doubled("[[route.mo]]", ""),
        "route.mo[1].number",
        22,
        "by line 19",
    );
    let both = format!("{MINIMAL}[http]\naddress = \"127.0.0.1:2775\"\n");
    one(&both, "http.address", 22, "own port");
    // Port 0 is another port each time.
    let free = with("127.0.0.1:2775", "127.0.0.1:0");
    assert_eq!(
        problems(&format!("{free}[http]\naddress = \"127.0.0.1:0\"\n")),
        []
    );
}

#[test]
fn who_takes_over_a_carrier_takes_it_alone_and_once_it_is_gone() {
    let with = |line: &str| MINIMAL.replace("[[carrier]]\n", &format!("[[carrier]]\n{line}\n"));
    for (line, place, word) in [
        ("takes_over = [\"example\"]", 0, "still stands in the file"),
        ("takes_over = [\"old\", \"old\"]", 1, "taken over already"),
        ("takes_over = [\"Old\"]", 0, "no carrier name"),
    ] {
        one(
            &with(line),
            &format!("carrier.example.takes_over[{place}]"),
            11,
            word,
        );
    }
}

#[test]
fn tables_of_the_wrong_kind_say_how_to_write_them() {
    one(
        &MINIMAL.replace("[[listen]]", "[listen]"),
        "listen",
        5,
        "double brackets",
    );
    one(
        &MINIMAL.replace("[[route.mo]]", "[route.mo]"),
        "route.mo",
        18,
        "[[route.mo]]",
    );
    one(&format!("{MINIMAL}[[node]]\n"), "node", 21, "single brackets");
}

#[test]
fn text_that_is_not_toml_is_reported_with_what_else_is_wrong() {
    let text = with("key_ring = \"./tidegate-keys\"", "key_ring = ./tidegate-keys")
        .replace("prefix = \"\"", "prefix = \"+1\"");
    let found = problems(&text);
    let places: Vec<(&str, Option<usize>)> = found.iter().map(|p| (p.key.as_str(), p.line)).collect();
    assert_eq!(
        places,
        [("", Some(3)), ("route.mt[0].prefix", Some(16))],
        "{found:#?}"
    );

    // A secret on a broken line is not repeated, as the TOML reader's own message would.
    let text = with(
        "password_env = \"TIDEGATE_EXAMPLE_PASSWORD\"",
        "password = \"hunter2",
    );
    assert!(
        problems(&text)
            .iter()
            .all(|problem| !problem.to_string().contains("hunter2"))
    );

    one(&format!("{MINIMAL}[storage]\n"), "", 21, "twice");

    // A key that stands twice hides nothing else: what is missing and what is unknown is still told.
    let text = with("prefix = \"\"", "prefix = \"\"\nprefix = \"\"")
        .replace("[[listen]]\naddress", "[[listen]]\nadress");
    let found = problems(&text);
    let places: Vec<(&str, Option<usize>)> = found.iter().map(|p| (p.key.as_str(), p.line)).collect();
    assert_eq!(
        places,
        [
            ("listen[0].address", Some(5)),
            ("listen[0].adress", Some(6)),
            ("", Some(17))
        ]
    );
}

#[test]
fn secrets_in_the_wrong_place_are_not_repeated() {
    for (line, key) in [
        ("password_hashes = [\"hunter2\"]", "account[0].password_hashes[0]"),
        (
            "password = \"hunter2\"\npassword_hashes = [\"hunter2\", \"hunter2\", \"hunter2\"]",
            "account[0].password",
        ),
    ] {
        let hash = MINIMAL
            .lines()
            .find(|line| line.starts_with("password_hashes"))
            .unwrap();
        let found = problems(&with(hash, line));
        assert!(found.iter().any(|problem| problem.key == key), "{found:#?}");
        assert!(
            found
                .iter()
                .all(|problem| !problem.to_string().contains("hunter2"))
        );
    }
    let found = problems(&with("\"TIDEGATE_EXAMPLE_PASSWORD\"", "\"hunter2!\""));
    assert!(
        found
            .iter()
            .all(|problem| !problem.to_string().contains("hunter2"))
    );
    assert_eq!(found.len(), 1);
}

#[test]
fn all_problems_come_at_once_in_the_order_of_the_file() {
    let text = r#"
[storage]
data = "data"
kek_file = "data/kek"
segment_sise = "64MiB"

[limits]
enquire_link = 30

[[account]]
system_id = "a b"
password_hashes = ["x"]

[[carrier]]
name = "One"
addresses = ["localhost"]
system_id = "tidegate"

[[route.mt]]
prefix = "44"
carriers = []
"#;
    let shown = parse(text).unwrap_err().to_string();
    let heads: Vec<&str> = shown
        .lines()
        .map(|line| line.split(" — ").next().unwrap())
        .collect();
    assert_eq!(
        heads,
        [
            "line 2: storage.key_ring: missing",
            "line 4: storage.kek_file: lies inside `data`",
            "line 5: storage.segment_sise: unknown key",
            "line 8: limits.enquire_link: a number where a duration belongs",
            "line 11: account[0].system_id: a system_id holds printable ASCII without spaces only",
            "line 12: account[0].password_hashes[0]: not an argon2id hash",
            "line 14: carrier[0].password_file: missing",
            "line 15: carrier[0].name: \"One\" is no carrier name",
            "line 16: carrier[0].addresses[0]: \"localhost\" is no host with a port",
            "line 21: route.mt[0].carriers: 0 elements",
            "listen: missing",
        ]
    );
}
