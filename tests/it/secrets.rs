//! What the process keeps to itself: no core file, no look from outside, and no secret in anything that is printed.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use tempfile::TempDir;
use tidegate_codec::identity::{PASSWORD_MAX_LENIENT, Password};
use tidegate_config::SecretSource;
use tidegate_gateway::admin::{Role, Tokens};
use tidegate_gateway::{random, secret};
use tidegate_store::disk::RealDisk;
use tidegate_store::keyring::Kek;
use tidegate_tests::{Process, ScriptedSmsc};

/// A line of a file of `/proc` that begins so, its blanks made single.
fn line(path: String, begins: &str) -> String {
    let text = fs::read_to_string(path).unwrap();
    let found = text.lines().find(|line| line.starts_with(begins)).unwrap();
    found.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_leaves_no_core_file_and_says_so() {
    let smsc = ScriptedSmsc::listen().await;
    let process = Process::start(Process::built(), |places| places.config(&[smsc.addr()], "")).await;
    let limits = line(format!("/proc/{}/limits", process.id()), "Max core file size");
    assert_eq!(limits, "Max core file size 0 0 bytes");
    // What is not dumpable belongs to root there, whoever runs it.
    let owner = fs::metadata(format!("/proc/{}/environ", process.id()))
        .unwrap()
        .uid();
    assert_eq!(owner, 0);
    let log = format!("{}{}", process.stdout(), process.stderr());
    assert!(log.contains("no core files"), "{log}");
}

/// None of what may be guessed from, in any form that Rust prints.
#[track_caller]
fn holds_none(printed: &str, secrets: &[&str]) {
    for secret in secrets {
        assert!(!printed.contains(secret), "{printed} holds {secret}");
    }
}

#[test]
fn nothing_that_is_printed_holds_a_secret() {
    let dir = TempDir::new().unwrap();
    // Somebody wrote the password where its file belongs.
    let text = include_str!("../../config/tidegate.toml")
        .replace("password_env = ", "password_env = \"hunter2hunter2\" # ")
        .replace("\nkek_file = ", "\nkek_env = \"hunter2kek\" # ");
    let config = tidegate_config::parse(&text).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(
        config.carriers[0].password,
        SecretSource::Env("hunter2hunter2".to_owned())
    );
    let hash = config.accounts[0].password_hashes[0].expose().to_owned();
    let hash = hash.rsplit('$').next().unwrap();
    for printed in [format!("{config:?}"), format!("{config:#?}")] {
        holds_none(&printed, &["hunter2", hash]);
    }

    let password = Password::new(b"hunter2", PASSWORD_MAX_LENIENT).unwrap();
    holds_none(&format!("{password:?}"), &["hunter2", "104, 117"]);
    let file = dir.path().join("password");
    fs::write(&file, "hunter2").unwrap();
    let found = secret::read(&SecretSource::File(file)).unwrap();
    holds_none(&format!("{found:?}"), &["hunter2"]);
    let error = secret::read(&SecretSource::File(PathBuf::from("hunter2"))).unwrap_err();
    holds_none(&format!("{error} {error:?}"), &["hunter2"]);

    let path = dir.path().join("kek");
    fs::write(&path, b"thirty-two octets of a known key").unwrap();
    let kek = Kek::read(&RealDisk, &path).unwrap();
    holds_none(&format!("{kek:?}"), &["thirty", "116, 104"]);

    let tokens = Tokens::open(dir.path()).unwrap();
    let mut rng = random::generator().unwrap();
    let made = tokens.add("ops", Role::Read, 1, 0, &mut rng).unwrap();
    let token = made["token"].as_str().unwrap();
    holds_none(&format!("{tokens:?}"), &[token, &token[4..]]);
}
