//! Under what conditions something was measured.

use std::fs;
use std::path::Path;
use std::time::Duration;

use tidegate_gateway::clock::Clock;
use tokio::process::Command;
use tokio::time::timeout;

use super::options::Options;
use super::{Fallible, Places};

/// How long a program may take that is asked for a version.
const DEADLINE: Duration = Duration::from_secs(10);
/// What stands where something cannot be found out.
const UNKNOWN: &str = "unknown";

/// Of how many runs each figure is.
pub(super) const RUNS: &str = "runs of each";

/// The profile that a program was built with: cargo's directory for it bears its name.
fn profile(program: &Path) -> String {
    let dir = program.parent().and_then(Path::file_name);
    dir.map_or_else(|| UNKNOWN.to_owned(), |dir| dir.to_string_lossy().into_owned())
}

/// Names and values, in the order to show them in.
pub(super) async fn read(places: &Places, options: &Options) -> Fallible<Vec<(&'static str, String)>> {
    let now = i64::try_from(Clock::machine().now().unix_ms)?;
    let date = jiff::Timestamp::from_millisecond(now)?.strftime("%Y-%m-%d %H:%M UTC");
    let top = &places.top;
    let mut commit = said("git", &["rev-parse", "--short=12", "HEAD"], top).await;
    // What the bench itself writes is no change to what is measured.
    let tree = [
        "status",
        "--porcelain",
        "--untracked-files=no",
        "--",
        ".",
        ":!benches/README.md",
        ":!benches/*.svg",
    ];
    if !said("git", &tree, top).await.is_empty() {
        commit.push_str(" with changes");
    }
    let first = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let word = |text: &str| text.split_whitespace().next().unwrap_or(UNKNOWN).to_owned();
    let cores = std::thread::available_parallelism()?;
    let cpu = model(&first("/proc/cpuinfo")).unwrap_or_else(|| UNKNOWN.to_owned());
    let mounts = first("/proc/self/mounts");
    Ok(vec![
        ("date", date.to_string()),
        ("commit", commit),
        ("compiler", said("rustc", &["--version"], top).await),
        ("profile", profile(&places.tidegate)),
        (
            "CPU",
            format!("{cores} cores of {cpu}, shared by all processes of a run"),
        ),
        ("kernel", word(&first("/proc/sys/kernel/osrelease"))),
        (
            "file system",
            file_system(&mounts, &places.scratch)
                .unwrap_or(UNKNOWN)
                .to_owned(),
        ),
        ("load average before", word(&first("/proc/loadavg"))),
        (RUNS, options.repeat.to_string()),
    ])
}

fn model(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// The kind of the file system that a directory is on: of the mounts above it, the innermost and latest.
fn file_system<'a>(mounts: &'a str, dir: &Path) -> Option<&'a str> {
    let dir = fs::canonicalize(dir).ok()?;
    let above = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (place, kind) = (fields.next()?, fields.next()?);
        dir.starts_with(place).then_some((place.len(), kind))
    });
    Some(above.max_by_key(|(length, _)| *length)?.1)
}

/// What a program says; "unknown" where it is not there or fails.
async fn said(program: &str, args: &[&str], dir: &Path) -> String {
    let output = Command::new(program)
        .args(args)
        .current_dir(dir)
        .kill_on_drop(true)
        .output();
    match timeout(DEADLINE, output).await {
        Ok(Ok(output)) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        }
        _ => UNKNOWN.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_is_found() {
        let text = "processor\t: 0\nmodel name\t: A Chip @ 2GHz\n";
        assert_eq!(model(text).as_deref(), Some("A Chip @ 2GHz"));
        assert_eq!(model(""), None);
    }

    #[test]
    fn the_innermost_mount_counts_and_the_latest_at_one_place() {
        let dir = fs::canonicalize(".").unwrap();
        let dir_text = dir.display();
        let mounts = format!(
            "a / ext4 rw 0 0\nb {dir_text} xfs rw 0 0\nc {dir_text} btrfs rw 0 0\nd /proc proc rw 0 0\n"
        );
        assert_eq!(file_system(&mounts, &dir), Some("btrfs"));
        assert_eq!(file_system(&mounts, Path::new("/")), Some("ext4"));
        assert_eq!(file_system("", &dir), None);
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_no_fault() {
        assert_eq!(
            said("tidegate-no-such-program", &[], Path::new(".")).await,
            UNKNOWN
        );
    }
}
