//! What the kernel counts of a process, from `/proc`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Fallible;

/// The CPU that each thread of a process has used so far, user and kernel mode together, in nanoseconds.
///
/// `/proc/PID/stat` has the same sum as utime and stime, but in ticks of 10 ms, of which a short run is only
/// some dozens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage(BTreeMap<u32, u64>);

impl Usage {
    /// Of the process with this id, now.
    pub(super) fn read(id: u32) -> Fallible<Self> {
        let mut threads = BTreeMap::new();
        for entry in fs::read_dir(place(id).join("task"))? {
            let entry = entry?;
            let Ok(thread) = entry.file_name().to_string_lossy().parse() else {
                continue;
            };
            // A thread may end between the list and the look; what it used meanwhile is next to nothing.
            if let Ok(text) = fs::read_to_string(entry.path().join("schedstat")) {
                threads.insert(thread, first_number(&text).ok_or("schedstat holds no number")?);
            }
        }
        if threads.is_empty() {
            return Err("this kernel has no /proc/PID/task/*/schedstat".into());
        }
        Ok(Self(threads))
    }

    /// What was used since an earlier look, by the threads that there are now. All threads of the gateway that
    /// work on messages live as long as it does.
    pub(super) fn since(&self, earlier: &Self) -> Duration {
        let used = self.0.iter().map(|(thread, now)| {
            let before = earlier.0.get(thread).copied().unwrap_or_default();
            now.saturating_sub(before)
        });
        Duration::from_nanos(used.sum())
    }
}

/// Octets for which a process made the file system owe a write to a device; a page that is dirtied again after it
/// was synced counts again.
pub(super) fn written(id: u32) -> Fallible<u64> {
    let io = fs::read_to_string(place(id).join("io"))?;
    Ok(field(&io, "write_bytes:").ok_or("no write_bytes")?)
}

/// Octets that a process gave to write calls other than those of sockets.
pub(super) fn given(id: u32) -> Fallible<u64> {
    let io = fs::read_to_string(place(id).join("io"))?;
    Ok(field(&io, "wchar:").ok_or("no wchar")?)
}

/// The most memory that a process had resident, in octets.
pub(super) fn memory_peak(id: u32) -> Fallible<u64> {
    let status = fs::read_to_string(place(id).join("status"))?;
    Ok(field(&status, "VmHWM:").ok_or("no VmHWM")? * 1024)
}

/// The memory that a process has resident now, in octets.
pub(super) fn memory(id: u32) -> Fallible<u64> {
    let status = fs::read_to_string(place(id).join("status"))?;
    Ok(field(&status, "VmRSS:").ok_or("no VmRSS")? * 1024)
}

fn place(id: u32) -> PathBuf {
    Path::new("/proc").join(id.to_string())
}

/// The number behind the name that begins a line.
fn field(text: &str, name: &str) -> Option<u64> {
    first_number(text.lines().find_map(|line| line.strip_prefix(name))?)
}

fn first_number(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_used_cpu_and_memory() {
        let id = std::process::id();
        let usage = Usage::read(id).unwrap();
        assert!(usage.since(&Usage::default()) > Duration::ZERO);
        // In this order: other tests take memory meanwhile.
        let resident = memory(id).unwrap();
        // The kernel counts both loosely, a few pages for each thread.
        assert!(resident > 0 && memory_peak(id).unwrap() >= resident / 2);
        assert!(written(id).is_ok() && given(id).is_ok());
    }

    #[test]
    fn what_was_used_is_a_difference_by_thread() {
        let usage = |cpu: &[(u32, u64)]| Usage(cpu.iter().copied().collect());
        // Thread 2 has ended, thread 3 is new.
        let (before, after) = (usage(&[(1, 100), (2, 900)]), usage(&[(1, 150), (3, 7)]));
        assert_eq!(after.since(&before), Duration::from_nanos(57));
    }
}
