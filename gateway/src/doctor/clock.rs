//! Whether the clock can be believed: that it is kept by somebody, that its year is one of this program's, and that it is not before
//! what was written already.

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, UNIX_EPOCH};

use tidegate_config::Storage;
use tidegate_store::disk::RealDisk;
use tidegate_store::keyring::survey;

use super::{Finding, Site, length};
use crate::installation;

/// 2025-01-01, from which message ids count (`store/src/message_id.rs`).
const FIRST_MS: u64 = 1_735_689_600_000;
/// Where their 41 bits of milliseconds end.
const LAST_MS: u64 = FIRST_MS + (1 << 41);
/// What a clock may be behind its own last mark: time stamps of files are coarse.
const COARSE_MS: u64 = 2_000;
/// For how long timedatectl is waited for.
const PATIENCE: Duration = Duration::from_secs(3);
/// Octets of its answer.
const SAID_MAX: u64 = 16;
/// Files of a directory that are looked at.
const FILES_MAX: usize = 10_000;

pub(super) fn look(site: &Site) -> Vec<Finding> {
    let now_ms = site.clock.now().unix_ms;
    let written_ms = site.config().and_then(|config| last_written(&config.storage));
    vec![
        judge_time(now_ms, written_ms),
        judge_synchronised(is_synchronised()),
    ]
}

/// The latest instant that the data bears: the newest key of the ring, and the newest file of spool, journal and audit log.
fn last_written(storage: &Storage) -> Option<u64> {
    let key_ms = survey(&RealDisk, &storage.key_ring)
        .ok()
        .and_then(|ring| ring.newest_ms);
    let dirs = [
        installation::spool_dir(storage),
        installation::standing_dir(storage),
        installation::audit_dir(storage),
    ];
    let files = dirs.iter().filter_map(|dir| newest(dir));
    files.chain(key_ms).max()
}

fn newest(dir: &Path) -> Option<u64> {
    let files = fs::read_dir(dir).ok()?.flatten().take(FILES_MAX);
    let modified = files.filter_map(|file| file.metadata().ok()?.modified().ok());
    let latest = modified.max()?.duration_since(UNIX_EPOCH).ok()?;
    u64::try_from(latest.as_millis()).ok()
}

fn judge_time(now_ms: u64, written_ms: Option<u64>) -> Finding {
    const REMEDY: &str = "set the clock (timedatectl, chronyc makestep) before the gateway starts: dates of retention and ids follow it";
    let date = jiff::Timestamp::from_millisecond(i64::try_from(now_ms).unwrap_or(i64::MAX));
    let date = date.map_or_else(
        |_| now_ms.to_string(),
        |date| date.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    );
    if !(FIRST_MS..LAST_MS).contains(&now_ms) {
        return Finding::error(
            format!("{date}: no year for this program, which counts from 2025 to 2094"),
            REMEDY,
        );
    }
    match written_ms {
        Some(written_ms) if written_ms > now_ms + COARSE_MS => Finding::error(
            format!(
                "{date}: {} before what was last written in the data",
                length((written_ms - now_ms) / 1000)
            ),
            REMEDY,
        ),
        Some(_) => Finding::ok(format!("{date}, not before what was last written in the data")),
        None => Finding::ok(date),
    }
}

/// Whether the kernel's clock is kept by somebody (STA_UNSYNC of adjtimex, which systemd tells); `None` where nobody says.
fn is_synchronised() -> Option<bool> {
    // It is made by systemd-timesyncd alone; that it is missing says nothing.
    if Path::new("/run/systemd/timesync/synchronized").exists() {
        return Some(true);
    }
    let mut command = Command::new("timedatectl");
    command.args(["show", "--property=NTPSynchronized", "--value"]);
    synchronised(&said(command, PATIENCE)?)
}

/// The first octets that a program says, if it says them in time; it is ended whatever it does. It asks a service that may hang.
fn said(mut command: Command, limit: Duration) -> Option<Vec<u8>> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let out = child.stdout.take();
    let (tell, told) = mpsc::sync_channel(1);
    let reader = std::thread::Builder::new().spawn(move || {
        let mut octets = Vec::new();
        let read = out.map(|out| out.take(SAID_MAX).read_to_end(&mut octets));
        // Nobody waits any more where it took too long.
        let _ = tell.send(read.and_then(Result::ok).map(|_| octets));
    });
    let octets = reader.ok().and_then(|_| told.recv_timeout(limit).ok());
    // It may have ended already.
    let _ = child.kill();
    let _ = child.wait();
    octets.flatten()
}

fn synchronised(told: &[u8]) -> Option<bool> {
    match told.trim_ascii() {
        b"yes" => Some(true),
        b"no" => Some(false),
        _ => None,
    }
}

fn judge_synchronised(is_synchronised: Option<bool>) -> Finding {
    match is_synchronised {
        Some(true) => Finding::ok("synchronised"),
        Some(false) => Finding::warning(
            "not synchronised: nobody keeps it right",
            "run chrony or systemd-timesyncd, and see that it reaches its servers",
        ),
        None => Finding::skipped("whether it is synchronised, nobody says here (timedatectl)"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    const NOW_MS: u64 = 1_795_478_400_000;

    #[test]
    fn a_clock_before_the_data_or_out_of_its_years_is_an_error() {
        for (now_ms, written_ms, level) in [
            (NOW_MS, None, Level::Ok),
            (NOW_MS, Some(NOW_MS - 1), Level::Ok),
            (NOW_MS, Some(NOW_MS + 1_000), Level::Ok),
            (NOW_MS, Some(NOW_MS + 60_000), Level::Error),
            (0, None, Level::Error),
            (LAST_MS, None, Level::Error),
        ] {
            let found = judge_time(now_ms, written_ms);
            assert_eq!(found.level, level, "{found:?}");
        }
        assert!(judge_time(NOW_MS, None).found.contains("2026-11-24T"));
        assert!(
            judge_time(NOW_MS, Some(NOW_MS + 60_000))
                .found
                .contains("60 s before")
        );
    }

    #[test]
    fn what_nobody_says_is_not_judged() {
        assert_eq!(
            [synchronised(b"yes\n"), synchronised(b"no\n"), synchronised(b"")],
            [Some(true), Some(false), None]
        );
        let level = |told| judge_synchronised(told).level;
        assert_eq!(
            [level(Some(true)), level(Some(false)), level(None)],
            [Level::Ok, Level::Warning, Level::Skipped]
        );
    }

    #[test]
    fn the_newest_file_is_found() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(newest(dir.path()), None);
        let file = fs::File::create(dir.path().join("1.log")).unwrap();
        fs::File::create(dir.path().join("2.log")).unwrap();
        let late = UNIX_EPOCH + Duration::from_millis(LAST_MS);
        file.set_modified(late).unwrap();
        assert_eq!(newest(dir.path()), Some(LAST_MS));
    }

    #[test]
    fn a_program_that_says_nothing_is_not_waited_for() {
        let run = |words: &str, limit: Duration| {
            let mut command = Command::new("sh");
            command.args(["-c", words]);
            said(command, limit)
        };
        assert_eq!(
            run("echo yes", Duration::from_secs(30)).as_deref(),
            Some(&b"yes\n"[..])
        );
        assert_eq!(run("exec sleep 60", Duration::from_millis(50)), None);
        assert_eq!(said(Command::new("/none/such"), Duration::from_secs(30)), None);
    }
}
