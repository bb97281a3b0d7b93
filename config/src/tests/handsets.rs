//! Routes of messages from handsets, and what accounts say of them.

use super::MINIMAL;
use super::problems::{one, problems};
use crate::{Config, parse};

const OTHER: &str = "[[account]]\nsystem_id = \"other\"\npassword_hashes = [\"$argon2id$v=19$m=19456,t=2,p=1$XyyRamUkVmkzj0sh/+/QmA$nnI+s8jPQKNyyp/xu1SVvxYzgVicvgxKv4aywyZIvt0\"]\n";

/// Behind line 20.
fn route(keys: &str) -> String {
    format!("{MINIMAL}[[route.mo]]\naccount = \"example\"\n{keys}\n")
}

/// Its first rule is line 24.
fn rules(keys: &str) -> String {
    format!("{MINIMAL}[[instructions]]\naccount = \"example\"\nversion = \"7\"\n{keys}\n")
}

fn good(text: &str) -> Config {
    parse(text).unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn conditions_tell_routes_apart_and_each_keyword_stands_once() {
    let config = good(&route(
        "number = \"*\"\nname = \"orders\"\nkeywords = [\"Pizza\", \"TAXI\", \"pizza\"]\nsenders = [\"44*\"]\nhours = \"08:00-20:00\"",
    ));
    let [first, second] = config.mo_routes.as_slice() else {
        panic!("{:?}", config.mo_routes)
    };
    assert_eq!((first.name.as_str(), second.name.as_str()), ("mo[0]", "orders"));
    assert_eq!(second.conditions.keywords, ["pizza", "taxi"]);
    assert!(second.conditions.window.is_some());
    assert!(first.is_last_resort() && !second.is_last_resort());
    let twice = route(
        "number = \"44\"\nkeywords = [\"a\", \"b\"]\n[[route.mo]]\naccount = \"example\"\nnumber = \"44\"\nkeywords = [\"B\"]",
    );
    one(&twice, "route.mo[2].keywords", 28, "by line 24");
    let of_other_senders = twice.replace("keywords = [\"B\"]", "keywords = [\"B\"]\nsenders = [\"44\"]");
    assert_eq!(problems(&of_other_senders), []);
}

#[test]
fn what_a_route_cannot_hold_is_named() {
    for (keys, key, word) in [
        ("keywords = [\"Stop\"]\nnumber = \"1\"", "keywords[0]", "OPT-3"),
        (
            "keywords = [\"arr\u{ea}t\"]\nnumber = \"1\"",
            "keywords[0]",
            "OPT-3",
        ),
        ("keywords = [\"help\"]\nnumber = \"1\"", "keywords[0]", "OPT-2"),
        (
            "keywords = [\"two words\"]\nnumber = \"1\"",
            "keywords[0]",
            "one word",
        ),
        ("senders = [\"*\"]\nnumber = \"1\"", "senders[0]", "no sender"),
        (
            "senders = [\"+44*\"]\nnumber = \"1\"",
            "senders[0]",
            "without its +",
        ),
        ("hours = \"8-20\"\nnumber = \"1\"", "hours", "no hours"),
        ("order = 10001\nnumber = \"1\"", "order", "10000"),
        ("name = \"Orders\"\nnumber = \"1\"", "name", "a-z"),
        ("order = 101\nnumber = \"1\"", "order", "never asked"),
        ("keyword = \"a\"\nnumber = \"1\"", "keyword", "a list"),
    ] {
        one(&route(keys), &format!("route.mo[1].{key}"), 23, word);
    }
    let many: Vec<String> = (0..257).map(|n| format!("\"k{n}\"")).collect();
    let many = route(&format!("keywords = [{}]\nnumber = \"1\"", many.join(", ")));
    one(&many, "route.mo[1].keywords", 23, "256");
}

#[test]
fn instructions_are_read_in_their_order() {
    let text = rules(
        "[[instructions.rule]]\nkeywords = [\"Taxi\"]\nto_bind = \"cabs\"\n\
         [[instructions.rule]]\nnumber = \"4477*\"\nto_account = \"other\"\n[[instructions.rule]]",
    );
    let config = good(&format!("{text}{OTHER}"));
    let [document] = config.instructions.as_slice() else {
        panic!("{:?}", config.instructions)
    };
    assert_eq!(document.version, "7");
    let told: Vec<_> = document
        .rules
        .iter()
        .map(|rule| (rule.name.as_str(), rule.account.as_str(), rule.bind.as_deref()))
        .collect();
    let expected = [
        ("rule[0]", "example", Some("cabs")),
        ("rule[1]", "other", None),
        ("rule[2]", "example", None),
    ];
    assert_eq!(told, expected);
}

#[test]
fn what_instructions_cannot_say_is_named() {
    let rule = "[[instructions.rule]]\n";
    for (keys, key, word) in [
        ("to_account = \"nobody\"", "to_account", "there is no account"),
        ("to_bind = \"\"", "to_bind", "is empty"),
        ("to_bind = \"more than 12 of\"", "to_bind", "at most 12"),
        ("keywords = [\"unsubscribe\"]", "keywords[0]", "OPT-3"),
        ("number = \"+44\"", "number", "without +"),
        ("name = \"\"", "name", "a-z"),
        ("carrier = \"example\"", "carrier", "known here"),
    ] {
        one(
            &rules(&format!("{rule}{keys}")),
            &format!("instructions[0].rule[0].{key}"),
            25,
            word,
        );
    }
    let dead = rules(&format!("{rule}number = \"*\"\n{rule}keywords = [\"a\"]"));
    one(&dead, "instructions[0].rule[0].number", 25, "never asked");
    let many = rules(&format!("{rule}number = \"1\"\n").repeat(257));
    one(&many, "instructions[0].rule", 24, "at most 256");
    for (version, word) in [
        ("", "no version"),
        ("a b", "no version"),
        ("123456789012345678901234567890123", "1 to 32"),
    ] {
        let text = rules("").replace("version = \"7\"", &format!("version = \"{version}\""));
        one(&text, "instructions[0].version", 23, word);
    }
    one(
        &rules("").replace("version = \"7\"\n", ""),
        "instructions[0].version",
        21,
        "another one",
    );
    let twice = rules("[[instructions]]\naccount = \"example\"\nversion = \"8\"");
    one(&twice, "instructions[1].account", 25, "by line 22");
    one(
        &rules("").replace("\"example\"\nversion", "\"ghost\"\nversion"),
        "instructions[0].account",
        22,
        "no account",
    );
}

/// The same account's document as a file.
fn filed(file: &str) -> Result<Config, crate::Problems> {
    let text = rules("").replace("version = \"7\"", "file = \"shop.toml\"");
    crate::parse_with(&text, &|path| {
        assert_eq!(path, std::path::Path::new("shop.toml"));
        Ok(file.to_owned())
    })
}

#[test]
fn instructions_may_be_a_file_of_their_own_and_say_the_same() {
    let rule = "keywords = [\"Taxi\"]\nto_bind = \"cabs\"\n";
    let here = good(&rules(&format!("[[instructions.rule]]\n{rule}")));
    let filed = filed(&format!("version = \"7\"\n[[rule]]\n{rule}")).unwrap();
    let [document] = filed.instructions.as_slice() else {
        panic!("{:?}", filed.instructions)
    };
    assert_eq!(document.file.as_deref(), Some("shop.toml".as_ref()));
    let mut inline = document.clone();
    inline.file = None;
    assert_eq!([inline], here.instructions.as_slice());
}

#[test]
fn what_is_wrong_with_a_file_of_instructions_is_told_with_its_name_and_line() {
    let problems = filed("[[rule]]\nnumber = \"*\"\n[[rule]]\nto_bind = \"\"\n[[rulez]]\n").unwrap_err();
    let told: Vec<String> = problems.as_slice().iter().map(ToString::to_string).collect();
    let starts = [
        "shop.toml: line 2: rule[0].number: takes every message",
        "shop.toml: line 4: rule[1].to_bind: is empty",
        "shop.toml: line 5: rulez: unknown key",
        "shop.toml: version: missing",
    ];
    assert_eq!(told.len(), starts.len(), "{problems}");
    for (told, start) in told.iter().zip(starts) {
        assert!(told.starts_with(start), "{told}");
    }
    assert!(
        filed("version = \"7\"\n[[rule")
            .unwrap_err()
            .to_string()
            .starts_with("shop.toml: line 2: ")
    );
    assert!(filed("version = \"7\"\naccount = \"example\"").is_err());
    // The file's own problems come behind those of the configuration.
    let text = rules("[[instructions.rule]]").replace("version = \"7\"", "file = \"a\"\nversion = \"7\"");
    let read = |file: &std::path::Path| Err(format!("no {}", file.display()));
    let problems = crate::parse_with(&text, &read).unwrap_err().to_string();
    for word in [
        "line 23: instructions[0].file: \"a\" cannot be read: no a",
        "line 24: instructions[0].version: stands in the file",
        "line 25: instructions[0].rule: stands in the file",
    ] {
        assert!(problems.contains(word), "{problems}");
    }
    // Nobody reads files unasked.
    assert!(parse(&text).is_err());
}
