//! Killing a process in the middle of a chosen thing: what its threads ask of the system is looked at until one of them
//! is there, and the kill follows at once. Nothing in the program knows of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tidegate_gateway::clock::Clock;

/// How long to wait for a place.
const PATIENCE: Duration = Duration::from_millis(1_200);
/// Waiting and outbox files are written once a process has had its legs and entries for some seconds.
const LONG_PATIENCE: Duration = Duration::from_secs(10);

/// Where a kill may land.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// The loop writes a batch.
    CommitWrite,
    /// The loop syncs a batch.
    CommitSync,
    /// The keeper reads records to copy them forward (or back).
    CopyForward,
    /// The keeper removes a segment.
    Unlink,
    /// The keeper syncs a directory: behind a removal, or before a new segment is used.
    DirectorySync,
    /// The keeper makes or writes a segment: the next one, or a footer.
    Segment,
    /// The keeper writes the key ring.
    KeyRing,
    /// The keeper writes a waiting file, or marks in one.
    WaitingFile,
    /// The keeper writes an outbox file, or marks in one.
    OutboxFile,
    /// Any other moment.
    Elsewhere,
}

impl Place {
    pub(super) const ALL: [Self; 10] = [
        Self::CommitSync,
        Self::WaitingFile,
        Self::CopyForward,
        Self::Unlink,
        Self::CommitWrite,
        Self::DirectorySync,
        Self::Segment,
        Self::KeyRing,
        Self::OutboxFile,
        Self::Elsewhere,
    ];
}

/// Numbers of system calls.
#[cfg(target_arch = "x86_64")]
mod number {
    pub(super) const WRITE: &[u32] = &[18, 296, 328];
    pub(super) const SYNC: &[u32] = &[74, 75];
    pub(super) const UNLINK: &[u32] = &[87, 263];
    pub(super) const ALLOCATE: &[u32] = &[77, 285];
}

#[cfg(not(target_arch = "x86_64"))]
mod number {
    pub(super) const WRITE: &[u32] = &[68, 70, 287];
    pub(super) const SYNC: &[u32] = &[82, 83];
    pub(super) const UNLINK: &[u32] = &[35];
    pub(super) const ALLOCATE: &[u32] = &[46, 47];
}

/// A process to be killed.
#[derive(Debug)]
pub(super) struct Aim {
    pid: u32,
    keys: PathBuf,
    waiting: PathBuf,
    outbox: PathBuf,
    loop_thread: Option<PathBuf>,
    keeper_thread: Option<PathBuf>,
}

impl Aim {
    /// Finds the threads of a gateway whose files lie under `dir`.
    pub(super) fn at(pid: u32, dir: &Path) -> Self {
        let named = |name: &str| {
            let is_it =
                |task: &PathBuf| fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.trim() == name);
            let tasks = fs::read_dir(format!("/proc/{pid}/task"))
                .into_iter()
                .flatten()
                .flatten();
            tasks.map(|task| task.path()).find(is_it)
        };
        Self {
            pid,
            keys: dir.join("keys"),
            waiting: dir.join("data/waiting"),
            outbox: dir.join("data/outbox"),
            loop_thread: named("loop"),
            keeper_thread: named("keeper"),
        }
    }

    /// Kills it where it was to be, or after `pause` if anywhere will do; says where it was.
    pub(super) fn kill(&self, wanted: Place, pause: Duration) -> Place {
        let clock = Clock::machine();
        let now = || clock.now().monotonic;
        let patience = match wanted {
            Place::WaitingFile | Place::OutboxFile => LONG_PATIENCE,
            _ => PATIENCE,
        };
        let until = now() + patience;
        let mut hit = false;
        if wanted == Place::Elsewhere {
            let until = now() + pause;
            while now() < until {
                std::hint::spin_loop();
            }
        } else {
            // Of what never sleeps, only that it goes on can be seen.
            let progress = match wanted {
                Place::CommitWrite => Some((&self.loop_thread, "write_bytes")),
                Place::CopyForward => Some((&self.keeper_thread, "syscr")),
                _ => None,
            };
            let counted = || progress.and_then(|(thread, field)| count(thread.as_deref()?, field));
            let before = counted();
            while !hit && now() < until {
                hit = match progress {
                    Some(_) => counted() != before,
                    None => self.is_at(wanted),
                };
            }
        }
        let pid = Pid::from_raw(i32::try_from(self.pid).unwrap()).unwrap();
        kill_process(pid, Signal::KILL).unwrap();
        if hit { wanted } else { Place::Elsewhere }
    }

    /// Whether it is there now.
    fn is_at(&self, place: Place) -> bool {
        let thread = match place {
            Place::CommitSync => &self.loop_thread,
            _ => &self.keeper_thread,
        };
        let Some((call, file)) = thread.as_deref().and_then(call) else {
            return false;
        };
        let is = |numbers: &[u32]| numbers.contains(&call);
        let writes = is(number::SYNC) || is(number::WRITE) || is(number::ALLOCATE);
        let path = || fs::read_link(format!("/proc/{}/fd/{file}", self.pid)).unwrap_or_default();
        match place {
            Place::CommitSync => is(number::SYNC),
            Place::Unlink => is(number::UNLINK),
            Place::KeyRing => writes && path().starts_with(&self.keys),
            Place::WaitingFile => writes && path().starts_with(&self.waiting),
            Place::OutboxFile => writes && path().starts_with(&self.outbox),
            Place::DirectorySync => writes && path().is_dir(),
            Place::Segment => {
                let path = if writes { path() } else { PathBuf::new() };
                let others = [&self.keys, &self.waiting, &self.outbox];
                path.is_file() && others.iter().all(|other| !path.starts_with(other))
            }
            Place::CommitWrite | Place::CopyForward | Place::Elsewhere => false,
        }
    }
}

/// The system call that a thread is in, and its first argument.
fn call(task: &Path) -> Option<(u32, u64)> {
    let text = fs::read_to_string(task.join("syscall")).ok()?;
    let mut words = text.split_whitespace();
    let number = words.next()?.parse().ok()?;
    let argument = words.next()?.strip_prefix("0x")?;
    Some((number, u64::from_str_radix(argument, 16).ok()?))
}

/// What a thread has read or written so far.
fn count(task: &Path, field: &str) -> Option<u64> {
    let text = fs::read_to_string(task.join("io")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    line.trim_start_matches(':').trim().parse().ok()
}
