//! Measuring: CPU time, time, octets that went to the device, and the disk itself.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// The directory of the build, which lies on a disk.
pub(crate) fn target_dir() -> io::Result<PathBuf> {
    let program = std::env::current_exe()?;
    Ok(program.parent().unwrap_or(Path::new(".")).to_owned())
}

/// This moment.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(
        time.tv_sec.try_into().unwrap_or(0),
        time.tv_nsec.try_into().unwrap_or(0),
    )
}

/// Octets that this process made go to a device; `None` where the kernel does not say.
fn device_octets() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/io").ok()?;
    let line = text.lines().find(|line| line.starts_with("write_bytes:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// What something cost.
#[derive(Debug)]
pub(crate) struct Cost {
    took: Duration,
    cpu: Duration,
    device: Option<u64>,
}

impl Cost {
    /// Does it and measures.
    pub(crate) fn of(work: impl FnOnce()) -> Self {
        let (began, cpu_before, device_before) = (now(), cpu(), device_octets());
        work();
        let device = device_octets().zip(device_before);
        Self {
            took: began.elapsed(),
            cpu: cpu().saturating_sub(cpu_before),
            device: device.map(|(after, before)| after.saturating_sub(before)),
        }
    }

    /// A line of the table, for so many messages and what was stored for each.
    pub(crate) fn print(
        &self,
        out: &mut impl io::Write,
        name: &str,
        messages: u32,
        stored: Option<f64>,
    ) -> io::Result<()> {
        let count = f64::from(messages);
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
        let per_stored = match (self.device, stored) {
            (Some(device), Some(stored)) => format!("{:.2}", device as f64 / count / stored),
            (Some(device), None) => format!("{:.0} octets/msg", device as f64 / count),
            _ => "n/a".to_owned(),
        };
        writeln!(
            out,
            "| {name} | {messages} | {:.0} | {:.2} | {} | {per_stored} |",
            count / self.took.as_secs_f64(),
            self.cpu.as_secs_f64() * 1e6 / count,
            stored.map_or("n/a".to_owned(), |stored| format!("{stored:.0}")),
        )
    }
}

/// In whole microseconds.
pub(crate) fn percentile(samples: &mut [Duration], percent: usize) -> u128 {
    samples.sort_unstable();
    let at = (samples.len() * percent / 100).min(samples.len().saturating_sub(1));
    samples.get(at).copied().unwrap_or_default().as_micros()
}

/// How long one write of so many octets and its fdatasync take, in a file that was allocated before.
pub(crate) fn fdatasync(path: &Path, octets: usize, times: u64) -> io::Result<Vec<Duration>> {
    let file = File::create(path)?;
    rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, 64 << 20)?;
    file.sync_all()?;
    let batch = vec![0x5a; octets];
    let mut took = Vec::new();
    for number in 0..times {
        let at = number * octets as u64 % (63 << 20);
        let began = now();
        file.write_all_at(&batch, at)?;
        file.sync_data()?;
        took.push(began.elapsed());
    }
    Ok(took)
}
