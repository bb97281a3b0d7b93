//! The binary as an operator or a script meets it.
#![expect(
    clippy::unwrap_used,
    reason = "a test may fail at any line; clippy spares only the test functions"
)]

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

const EXAMPLE: &str = include_str!("../../config/tidegate.toml");

fn tidegate(dir: &Path, args: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(args)
        .current_dir(dir)
        .env("TIDEGATE_EXAMPLE_PASSWORD", "hunter2")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Verbs that do not read have gone by now, perhaps.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

/// A directory with the example configuration in it.
fn place(config: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("c.toml"), config).unwrap();
    dir
}

fn out(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn err(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// The one object on standard output; nothing else is anywhere.
fn object(output: &Output) -> Value {
    assert_eq!(err(output), "");
    assert_eq!(out(output).lines().count(), 1, "{}", out(output));
    serde_json::from_str(out(output)).unwrap()
}

#[test]
fn check_says_yes_to_the_example_and_changes_nothing() {
    let dir = place(EXAMPLE);
    let output = tidegate(dir.path(), &["check", "--config", "c.toml"], b"");
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    assert_eq!(
        out(&output),
        "c.toml is in order (accounts: 1, carriers: 1, routes: 2)\n"
    );
    assert_eq!(
        err(&output),
        "warning: accounts that say neither `country` nor `countries` may send to every country: example\n"
    );
    let object = object(&tidegate(
        dir.path(),
        &["check", "--config", "c.toml", "--json"],
        b"",
    ));
    assert_eq!(object["carriers"], 1);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn check_names_every_problem_with_its_line() {
    let dir = place(
        &EXAMPLE
            .replace("id = 0 ", "id = 256 ")
            .replace("links = 1 ", "lynx = 1 "),
    );
    let output = tidegate(dir.path(), &["check", "--config", "c.toml"], b"");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(out(&output), "");
    assert!(err(&output).contains("has 2 problems:"), "{}", err(&output));

    let output = tidegate(dir.path(), &["--json", "check", "--config", "c.toml"], b"");
    assert_eq!(output.status.code(), Some(1));
    let object = object(&output);
    assert_eq!(object["refused"], true);
    assert!(object["reason"].as_str().unwrap().contains("2 problems"));
    let problems = object["problems"].as_array().unwrap();
    assert_eq!(problems.len(), 2);
    assert_eq!(problems[0]["key"], "node.id");
    let line = EXAMPLE
        .lines()
        .position(|line| line.starts_with("id = 0 "))
        .unwrap()
        + 1;
    assert_eq!(problems[0]["line"], line);
    assert!(
        problems[1]["remedy"]
            .as_str()
            .is_some_and(|remedy| !remedy.is_empty())
    );
}

#[test]
fn tables_are_read_by_check_and_broken_ones_refuse_a_start() {
    let text = EXAMPLE
        .replace("#networks =", "networks =")
        .replace("#ported =", "ported =");
    let dir = place(&text);
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    write(
        "networks.csv",
        "prefix,network,country\n44,23410,GB\n4477,23415,GB\n",
    );
    write("ported.csv", "number,network\n447700900123,23410\n");
    let check = ["check", "--config", "c.toml", "--json"];
    let good = object(&tidegate(dir.path(), &check, b""));
    assert_eq!(
        (&good["tables"]["networks"], &good["tables"]["ported"]),
        (&2.into(), &1.into())
    );

    write(
        "ported.csv",
        "number,network\n447700900123,23410\n447700900124,26201\n",
    );
    let place = "tables.ported: ./ported.csv: line 3, network: not in `tables.networks`";
    for verb in ["check", "serve"] {
        let output = tidegate(dir.path(), &[verb, "--config", "c.toml"], b"");
        assert_eq!(output.status.code(), Some(1), "{verb}");
        assert!(
            err(&output).contains(place) && !err(&output).contains("447700900"),
            "{}",
            err(&output)
        );
    }
    let refused = object(&tidegate(dir.path(), &check, b""));
    assert_eq!(refused["refused"], true);
    let told = &refused["tables"][0];
    assert_eq!(
        (&told["key"], &told["more"]),
        (&"tables.ported".into(), &0.into())
    );
    assert_eq!(told["problems"][0]["line"], 3);
    assert_eq!(told["problems"][0]["column"], "network");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3, "nothing was made");
}

#[test]
fn check_warns_of_passwords_that_are_not_there() {
    let text = EXAMPLE
        .replace("password_env = \"TIDEGATE_EXAMPLE_PASSWORD\"", "")
        .replace(
            "#password_file = \"./example.password\"",
            "password_file = \"./hunter2\"",
        );
    let dir = place(&text);
    let output = tidegate(dir.path(), &["check", "--config", "c.toml", "--json"], b"");
    assert_eq!(output.status.code(), Some(0));
    let object = object(&output);
    let warning = object["warnings"][0].as_str().unwrap();
    assert!(
        warning.starts_with("carrier example: password_file cannot be read"),
        "{warning}"
    );
    assert!(!warning.contains("hunter2"));
}

#[test]
fn a_file_that_is_not_there_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    for verb in ["check", "init"] {
        let output = tidegate(dir.path(), &[verb, "--config", "nothing.toml", "--json"], b"");
        assert_eq!(output.status.code(), Some(1));
        let object = object(&output);
        assert!(object["reason"].as_str().unwrap().contains("nothing.toml"));
    }
}

#[test]
fn init_makes_everything_once() {
    let dir = place(EXAMPLE);
    let init = |more: &[&str]| {
        let args = [&["init", "--config", "c.toml"], more].concat();
        tidegate(dir.path(), &args, b"")
    };
    let output = init(&["--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", out(&output));
    assert_eq!(object(&output)["key_ring"], "./tidegate-keys");
    let kek = fs::read(dir.path().join("tidegate-kek/kek")).unwrap();
    assert_eq!(kek.len(), 32);
    assert!(dir.path().join("tidegate-keys/ring.a").is_file());

    let again = init(&["--json"]);
    assert_eq!(again.status.code(), Some(1));
    let object = object(&again);
    assert_eq!(object["refused"], true);
    assert!(object["reason"].as_str().unwrap().contains("exists already"));
    let text = init(&[]);
    assert_eq!(text.status.code(), Some(1));
    assert_eq!(out(&text), "");
    assert!(err(&text).starts_with("refused: "), "{}", err(&text));
    assert_eq!(fs::read(dir.path().join("tidegate-kek/kek")).unwrap(), kek);
}

#[test]
fn init_of_a_wrong_configuration_makes_nothing() {
    let dir = place(&EXAMPLE.replace("id = 0 ", "id = 256 "));
    let output = tidegate(dir.path(), &["init", "--config", "c.toml"], b"");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_hashed_password_is_a_line_for_the_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let output = tidegate(dir.path(), &["hash-password", "--stdin"], b"s3cret\n");
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    assert_eq!(err(&output), "");
    let hash = out(&output).strip_suffix('\n').unwrap();
    assert!(
        hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$") && !hash.contains('\n'),
        "{hash}"
    );
    let (before, rest) = EXAMPLE.split_once("password_hashes = [\"").unwrap();
    let (_, after) = rest.split_once('"').unwrap();
    let config = place(&format!("{before}password_hashes = [\"{hash}\"{after}"));
    let output = tidegate(config.path(), &["check", "--config", "c.toml"], b"");
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
}

#[test]
fn a_long_password_is_hashed_with_a_warning_and_one_that_does_not_fit_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    // A pipe needs no --stdin.
    let args = ["hash-password", "--json"];
    for (password, warned) in [("12345678", false), ("123456789", true)] {
        let output = tidegate(dir.path(), &args, format!("{password}\r\n").as_bytes());
        assert_eq!(output.status.code(), Some(0));
        let object = object(&output);
        assert!(object["hash"].as_str().unwrap().starts_with("$argon2id$"));
        assert_eq!(object.get("warnings").is_some(), warned, "{password}");
    }
    let output = tidegate(dir.path(), &["hash-password"], b"123456789");
    assert!(
        err(&output).starts_with("warning: longer than 8"),
        "{}",
        err(&output)
    );
    assert_eq!(out(&output).lines().count(), 1, "the hash alone, for scripts");

    for password in ["a".repeat(65), "a".repeat(5000), String::new(), "\n".to_owned()] {
        let output = tidegate(dir.path(), &args, password.as_bytes());
        assert_eq!(output.status.code(), Some(1), "{}", password.len());
        let object = object(&output);
        assert_eq!(object["refused"], true);
        assert!(!object["reason"].as_str().unwrap().contains("aaaa"));
    }
    let output = tidegate(dir.path(), &args, format!("{}\n", "a".repeat(64)).as_bytes());
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn wrong_usage_is_two_and_help_is_zero() {
    let dir = tempfile::tempdir().unwrap();
    for args in [
        &[][..],
        &["innit"],
        &["init"],
        &["check", "--config"],
        &["check", "--config", "a", "--loud"],
        &["hash-password", "secret"],
    ] {
        let output = tidegate(dir.path(), args, b"");
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert_eq!(out(&output), "", "{args:?}");
    }
    for args in [&["--help"][..], &["init", "--help"], &["--version"]] {
        assert_eq!(tidegate(dir.path(), args, b"").status.code(), Some(0), "{args:?}");
    }
}
