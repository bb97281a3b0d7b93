//! `tidegate doctor` by the command line, beside a gateway that runs and where none starts; and what a start says there.

use std::fs::{self, Permissions};
use std::io::Read as _;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tidegate_tests::process::Places;
use tidegate_tests::{DEADLINE, Process, ScriptedSmsc};

use crate::tls::authority::Authority;
use crate::volume::Volume;

/// Exit statuses: in order, errors, warnings only.
const OK: i32 = 0;
const ERRORS: i32 = 1;
const WARNINGS: i32 = 3;

fn doctor(dir: &Path, words: &[&str]) -> (i32, Value) {
    let output = Command::new(Process::built())
        .args(["doctor", "--json"])
        .args(words)
        .current_dir(dir)
        .output()
        .unwrap();
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    (output.status.code().unwrap(), told)
}

fn examined(process: &Process) -> (i32, Value) {
    let (status, told) = doctor(process.dir(), &["--config", "tidegate.toml"]);
    let count = |level: &str| told["counts"][level].as_u64().unwrap();
    let expected = match (count("error"), count("warning")) {
        (0, 0) => OK,
        (0, _) => WARNINGS,
        (_, _) => ERRORS,
    };
    assert_eq!(status, expected, "{told}");
    for found in told["checks"].as_array().unwrap() {
        let is_bad = found["level"] == "warning" || found["level"] == "error";
        assert_eq!(found["remedy"].is_string(), is_bad, "{found}");
        assert!(!found["found"].as_str().unwrap().contains('\n'), "{found}");
    }
    (status, told)
}

/// What a check found, by its level: the worst of its findings.
fn worst<'v>(told: &'v Value, check: &str) -> (&'v str, &'v str) {
    let levels = ["ok", "skipped", "warning", "error"];
    let all = told["checks"].as_array().unwrap().iter();
    let of = all.filter(|found| found["check"] == check);
    let worst = of.max_by_key(|found| levels.iter().position(|level| found["level"] == *level));
    let worst = worst.unwrap_or_else(|| panic!("no {check}: {told}"));
    (worst["level"].as_str().unwrap(), worst["found"].as_str().unwrap())
}

fn files(dir: &Path) -> Vec<String> {
    let mut out = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            out.extend(files(&path));
        } else {
            out.push(path.display().to_string());
        }
    }
    out.sort();
    out
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doctor_finds_a_gateway_that_runs_in_order_and_names_what_is_broken_later() {
    let (smsc, authority) = (ScriptedSmsc::listen().await, Authority::new());
    let tls = tidegate_tests::process::free_addr();
    let config = |places: &Places| {
        let dir = places.dir.display();
        authority.issue(&places.dir, "listen");
        fs::set_permissions(places.dir.join("listen.key"), Permissions::from_mode(0o600)).unwrap();
        let listener = format!(
            "[[listen]]\naddress = \"{tls}\"\ntls = {{ certificate = \"{dir}/listen.pem\", key = \"{dir}/listen.key\" }}\n"
        );
        places.config(&[smsc.addr()], &listener)
    };
    let mut process = Process::start(Process::built(), config).await;
    fs::set_permissions(
        process.dir().join("carrier.password"),
        Permissions::from_mode(0o600),
    )
    .unwrap();
    let (_, told) = examined(&process);
    // The rest is the machine's: its disk, its clock, how many files it lets a process have.
    for check in [
        "configuration",
        "gateway",
        "ports",
        "cores",
        "directories",
        "keys",
        "certificates",
        "formats",
    ] {
        let (level, found) = worst(&told, check);
        assert_eq!(level, "ok", "{check}: {found}");
    }
    assert!(
        worst(&told, "gateway").1.contains(env!("CARGO_PKG_VERSION")),
        "{told}"
    );
    assert!(worst(&told, "sync").1.contains("p99"), "{told}");
    assert_eq!(process.get("/readyz").await.unwrap().0, 200);

    assert!(process.stop().await.success());
    let _other = TcpListener::bind(process.smpp()).unwrap();
    let path = |name: &str| process.dir().join(name);
    fs::remove_file(path("keys/ring.b")).unwrap();
    fs::set_permissions(path("kek/kek"), Permissions::from_mode(0o644)).unwrap();
    authority.issue_until(process.dir(), "listen", 2020);
    let before = files(process.dir());
    let (status, told) = examined(&process);
    assert_eq!(status, ERRORS);
    assert_eq!(
        files(process.dir()),
        before,
        "nothing is repaired, and nothing stays behind"
    );
    for (check, level, word) in [
        ("configuration", "ok", "in order"),
        ("gateway", "ok", "none runs"),
        ("ports", "error", "another process listens"),
        ("directories", "error", "mode 0644"),
        ("keys", "warning", "ring.b is missing"),
        ("certificates", "error", "ended"),
    ] {
        let (found, text) = worst(&told, check);
        assert!(found == level && text.contains(word), "{check}: {found}: {text}");
    }

    // A layout of a later version, and no key-encryption key.
    fs::write(path("data/layout"), "tidegate data directory, layout 9\n").unwrap();
    fs::rename(path("kek/kek"), path("kek/other")).unwrap();
    let (_, told) = examined(&process);
    for (check, word) in [
        ("formats", "layout"),
        ("directories", "missing"),
        ("keys", "key-encryption key"),
    ] {
        let (found, text) = worst(&told, check);
        assert!(
            found == "error" && text.contains(word),
            "{check}: {found}: {text}"
        );
    }

    fs::write(process.config(), "[storage]\ndata = 7\n").unwrap();
    let (status, told) = examined(&process);
    assert_eq!((status, worst(&told, "configuration").0), (ERRORS, "error"));
    for check in ["gateway", "ports", "keys", "formats"] {
        assert_eq!(worst(&told, check).0, "skipped", "{check}");
    }
    let (_, told) = doctor(process.dir(), &[]);
    assert_eq!(worst(&told, "configuration").0, "skipped");
}

/// What a start says, which must be one line, and an exit status of 1.
async fn refusal(command: &mut Command) -> String {
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let ended = async {
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let Ok(status) = tokio::time::timeout(DEADLINE, ended).await else {
        child.kill().unwrap();
        panic!("it started: {}", said(&mut child));
    };
    let said = said(&mut child);
    assert_eq!(status.code(), Some(1), "{said}");
    let (_, why) = said.split_once("refused: ").unwrap_or_else(|| panic!("{said}"));
    assert_eq!(why.trim_end().lines().count(), 1, "{why}");
    why.trim_end().to_owned()
}

fn said(child: &mut Child) -> String {
    let mut text = String::new();
    child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    text
}

fn serve(config: &Path) -> Command {
    let mut command = Command::new(Process::built());
    command.args(["serve", "--config"]).arg(config);
    command
}

#[track_caller]
fn says(why: &str, words: &[&str]) {
    for word in words {
        assert!(why.contains(word), "{word}: {why}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_that_is_refused_says_in_a_line_what_it_is_and_what_to_do() {
    let down = tidegate_tests::process::free_addr();
    let process = Process::prepare(Process::built(), |places| {
        places.config(&[down], "").replace("auto_init = true\n", "")
    });
    let (path, config) = (|name: &str| process.dir().join(name), process.config());
    says(
        &refusal(&mut serve(&config)).await,
        &["nothing is there yet", "tidegate init"],
    );
    // Cut off in the middle: the ring is there, and its key is not.
    let made = Command::new(Process::built())
        .args(["init", "--config"])
        .arg(&config)
        .output();
    assert!(made.unwrap().status.success());
    fs::rename(path("kek/kek"), path("kek/other")).unwrap();
    says(
        &refusal(&mut serve(&config)).await,
        &["key-encryption key", "missing", "restore it"],
    );
    fs::rename(path("kek/other"), path("kek/kek")).unwrap();
    fs::rename(path("keys"), path("elsewhere")).unwrap();
    says(
        &refusal(&mut serve(&config)).await,
        &["key ring", "is missing", "restore the ring"],
    );
    fs::rename(path("elsewhere"), path("keys")).unwrap();

    let layout = fs::read(path("data/layout")).unwrap();
    fs::write(path("data/layout"), "tidegate data directory, layout 0\n").unwrap();
    says(
        &refusal(&mut serve(&config)).await,
        &["layout", "start the version that wrote it"],
    );
    fs::write(path("data/layout"), layout).unwrap();

    let other = TcpListener::bind(process.http()).unwrap();
    says(
        &refusal(&mut serve(&config)).await,
        &["listen on", "another process listens there"],
    );
    drop(other);

    // Another user than the owner: root gives itself up, anybody else gives up the directory.
    fs::set_permissions(process.dir(), Permissions::from_mode(0o755)).unwrap();
    let mut command = serve(&config);
    if rustix::process::getuid().is_root() {
        command.uid(65_534).gid(65_534);
    } else {
        fs::set_permissions(path("data"), Permissions::from_mode(0o500)).unwrap();
    }
    match command.spawn() {
        // Where the program lies such a user may not come.
        Err(error) => eprintln!("SKIPPED: another user cannot start the program here: {error}"),
        Ok(mut child) => {
            child.kill().unwrap();
            child.wait().unwrap();
            says(
                &refusal(&mut command).await,
                &["Permission denied", "owner of its files"],
            );
        }
    }
}

#[tokio::test]
async fn a_start_on_a_disk_that_is_full_or_read_only_says_so_in_a_line() {
    let volume = match Volume::make(4 << 20) {
        Ok(volume) => volume,
        Err(why) => return eprintln!("SKIPPED: no ext4 image can be mounted here: {why}"),
    };
    let (down, mounted) = (
        tidegate_tests::process::free_addr(),
        volume.mounted().display().to_string(),
    );
    let process = Process::prepare(Process::built(), |places| {
        let dir = places.dir.display();
        places
            .config(&[down], "")
            .replace(&format!("{dir}/data"), &format!("{mounted}/data"))
    });
    let fill = |number: usize| fs::write(volume.mounted().join(number.to_string()), "");
    assert!(
        (0..100_000).any(|number| fill(number).is_err()),
        "no inode is left"
    );
    says(
        &refusal(&mut serve(&process.config())).await,
        &["No space left", "free room"],
    );
    volume.mount_read_only().unwrap();
    says(
        &refusal(&mut serve(&process.config())).await,
        &["Read-only", "mount it for writing"],
    );
    let (_, told) = doctor(process.dir(), &["--config", "tidegate.toml"]);
    assert_eq!(worst(&told, "mount").0, "error", "{told}");
    assert_eq!(worst(&told, "space").0, "error", "{told}");
}
