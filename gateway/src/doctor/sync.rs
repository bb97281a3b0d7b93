//! How long the disk takes for a sync, measured as the spool writes: 4 KiB behind each other into space that is reserved, and an
//! fdatasync after each. The file has no name (`O_TMPFILE`), so that nothing stays behind, whatever ends this process.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FallocateFlags, Mode, OFlags, fallocate, open};
use rustix::io::Errno;
use tidegate_store::disk::is_full;

use super::{Finding, Site, nearest};
use crate::clock::Clock;
use crate::installation;

/// Octets of a write.
const OCTETS: usize = 4_096;
/// Writes, unless they take too long.
const WRITES: u32 = 128;
/// For how long at most, but for the last of them.
const TIME_MAX: Duration = Duration::from_secs(3);
/// No disk has been asked and has answered twice, write and flush, in less: what is faster has not left the machine's memory.
const PLAUSIBLE: Duration = Duration::from_micros(20);
/// One in a hundred that takes longer is told by the alert TidegateCommitSlow, too.
const SLOW: Duration = Duration::from_millis(250);
/// The median that clients feel in each answer.
const SLUGGISH: Duration = Duration::from_millis(20);

/// What was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Measured {
    writes: usize,
    p50: Duration,
    p99: Duration,
}

impl Measured {
    /// Of the times of single writes.
    fn of(mut times: Vec<Duration>) -> Option<Self> {
        times.sort_unstable();
        let at = |percent: usize| {
            times
                .get((times.len() * percent).div_ceil(100).saturating_sub(1))
                .copied()
        };
        Some(Self {
            writes: times.len(),
            p50: at(50)?,
            p99: at(99)?,
        })
    }
}

pub(super) fn look(site: &Site) -> Vec<Finding> {
    site.with_config(|config| {
        let spool = installation::spool_dir(&config.storage);
        if !config.storage.data.is_dir() {
            return vec![Finding::skipped("there is no data directory yet")];
        }
        let dir = nearest(&spool);
        vec![match measure(&dir, &site.clock) {
            Ok(times) => Measured::of(times).map_or_else(|| Finding::skipped("nothing was measured"), judge),
            Err(error) => refused(&dir, &error),
        }]
    })
}

fn measure(dir: &Path, clock: &Clock) -> io::Result<Vec<Duration>> {
    let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
    let file = File::from(open(dir, flags, Mode::RUSR | Mode::WUSR)?);
    let size = OCTETS as u64 * u64::from(WRITES);
    match fallocate(&file, FallocateFlags::empty(), 0, size) {
        // Not every file system can.
        Err(Errno::OPNOTSUPP) => file.set_len(size)?,
        reserved => reserved?,
    }
    file.sync_all()?;
    let begun = clock.now().monotonic;
    let mut times = Vec::new();
    for number in 0..WRITES {
        let before = clock.now().monotonic;
        file.write_all_at(&[0x5A; OCTETS], u64::from(number) * OCTETS as u64)?;
        file.sync_data()?;
        let after = clock.now().monotonic;
        times.push(after.saturating_sub(before));
        if after.saturating_sub(begun) > TIME_MAX {
            break;
        }
    }
    Ok(times)
}

fn refused(dir: &Path, error: &io::Error) -> Finding {
    let found = format!("nothing can be written in {}: {error}", dir.display());
    if is_full(error) {
        return Finding::error(found, "free room on the disk");
    }
    // What the kernel says of a file system that makes no files without a name; a named one might stay behind.
    if matches!(Errno::from_io_error(error), Some(Errno::OPNOTSUPP | Errno::ISDIR)) {
        return Finding::skipped("not measured: the file system makes no files without a name (O_TMPFILE)");
    }
    match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem => {
            Finding::error(found, "see dmesg for why, and mount it for writing")
        }
        io::ErrorKind::PermissionDenied => Finding::error(found, "run this as root or as the gateway's user"),
        _ => Finding::error(found, "see dmesg: the disk may be failing"),
    }
}

fn judge(measured: Measured) -> Finding {
    let Measured { writes, p50, p99 } = measured;
    let found = format!("{writes} writes of 4 KiB, each synced: p50 {p50:.1?}, p99 {p99:.1?}");
    if p50 < PLAUSIBLE {
        return Finding::warning(
            format!("{found}: no disk is that fast, so what is synced is in memory only"),
            "see what the disk is (tmpfs, a virtual disk with cache=unsafe, a sync that is switched off): a power cut takes what was acknowledged",
        );
    }
    if p99 > SLOW || p50 > SLUGGISH {
        return Finding::warning(
            format!("{found}: every submit_sm_resp waits for it"),
            "look for others that use this disk (iostat -x), or put the data on an SSD",
        );
    }
    Finding::ok(found)
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn a_disk_that_is_too_fast_to_be_true_or_too_slow_is_told() {
        let level = |p50: u64, p99: u64| {
            let measured = Measured {
                writes: 100,
                p50: Duration::from_micros(p50),
                p99: Duration::from_micros(p99),
            };
            judge(measured).level
        };
        for (p50, p99, expected) in [
            (3, 9, Level::Warning),
            (60, 200, Level::Ok),
            (4_000, 30_000, Level::Ok),
            (4_000, 400_000, Level::Warning),
            (30_000, 40_000, Level::Warning),
        ] {
            assert_eq!(level(p50, p99), expected, "{p50} {p99}");
        }
    }

    #[test]
    fn percentiles_are_of_what_was_measured() {
        let times = (1..=200).rev().map(Duration::from_micros).collect();
        let measured = Measured::of(times).unwrap();
        assert_eq!(
            (
                measured.writes,
                measured.p50.as_micros(),
                measured.p99.as_micros()
            ),
            (200, 100, 198)
        );
        assert_eq!(Measured::of(Vec::new()), None);
    }

    #[test]
    fn a_measurement_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let times = measure(dir.path(), &Clock::machine()).unwrap();
        assert!(!times.is_empty() && times.len() <= 128);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        let gone = measure(&dir.path().join("none"), &Clock::machine()).unwrap_err();
        assert_eq!(refused(dir.path(), &gone).level, Level::Error);
        for missing in [Errno::OPNOTSUPP, Errno::ISDIR] {
            assert_eq!(refused(dir.path(), &missing.into()).level, Level::Skipped);
        }
    }
}
