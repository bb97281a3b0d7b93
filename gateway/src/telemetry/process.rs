//! What the system says of this process, read when somebody asks: its names are those of Prometheus' own clients.

use std::fmt::Write as _;
use std::fs;

/// Appends what can be known here; where there is no `/proc` that is nothing.
pub(super) fn render(text: &mut String) {
    let _ = append(text);
}

fn append(text: &mut String) -> Option<()> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let stat = Stat::read(&stat)?;
    #[expect(clippy::cast_precision_loss, reason = "ticks and octets far below 2^53")]
    let float = |number: u64| number as f64;
    let ticks = float(rustix::param::clock_ticks_per_second());
    let mut put = |name: &str, kind: &str, help: &str, value: f64| {
        let _ = writeln!(
            text,
            "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n"
        );
    };
    let cpu = float(stat.cpu_ticks) / ticks;
    put(
        "process_cpu_seconds_total",
        "counter",
        "Time of all processors that this process took, in user and system mode",
        cpu,
    );
    let page = u64::try_from(rustix::param::page_size()).unwrap_or_default();
    let resident = float(stat.resident_pages.saturating_mul(page));
    put(
        "process_resident_memory_bytes",
        "gauge",
        "Memory of this process that is in RAM",
        resident,
    );
    put(
        "process_virtual_memory_bytes",
        "gauge",
        "Addresses that this process has mapped",
        float(stat.virtual_octets),
    );
    put(
        "process_threads",
        "gauge",
        "Threads of this process",
        float(stat.threads),
    );
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        // The one that reads the directory is no longer open when the answer leaves.
        let open = float((open.count() as u64).saturating_sub(1));
        put(
            "process_open_fds",
            "gauge",
            "File descriptors that this process has open",
            open,
        );
    }
    if let Some(max) = fs::read_to_string("/proc/self/limits")
        .ok()
        .and_then(|limits| fds_max(&limits))
    {
        put(
            "process_max_fds",
            "gauge",
            "File descriptors that this process may have open",
            float(max),
        );
    }
    if let Some(booted) = fs::read_to_string("/proc/stat")
        .ok()
        .and_then(|stat| boot_time(&stat))
    {
        let start = float(booted) + float(stat.start_ticks) / ticks;
        put(
            "process_start_time_seconds",
            "gauge",
            "Unix time of the start of this process",
            start,
        );
    }
    Some(())
}

/// `/proc/self/stat`, see proc(5).
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    cpu_ticks: u64,
    threads: u64,
    start_ticks: u64,
    virtual_octets: u64,
    resident_pages: u64,
}

impl Stat {
    fn read(text: &str) -> Option<Self> {
        // The program's name, field 2, may hold blanks and brackets; field 3 follows the last bracket.
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            cpu_ticks: field(14)? + field(15)?,
            threads: field(20)?,
            start_ticks: field(22)?,
            virtual_octets: field(23)?,
            resident_pages: field(24)?,
        })
    }
}

fn fds_max(limits: &str) -> Option<u64> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    // "unlimited" is no number: then there is none to tell.
    line.split_ascii_whitespace().next()?.parse().ok()
}

fn boot_time(stat: &str) -> Option<u64> {
    stat.lines()
        .find_map(|line| line.strip_prefix("btime "))?
        .trim()
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_blanks_moves_no_field() {
        let text = "77 (a) b (c) S 1 77 77 0 -1 4194304 12 0 0 0 150 25 0 0 20 0 5 0 9000 123456 42 18446744073709551615";
        let read = Stat {
            cpu_ticks: 175,
            threads: 5,
            start_ticks: 9000,
            virtual_octets: 123_456,
            resident_pages: 42,
        };
        assert_eq!(Stat::read(text), Some(read));
        assert_eq!(Stat::read("77 (a) S 1 2"), None);
    }

    #[test]
    fn limits_and_boot_are_found_among_other_lines() {
        let limits = "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024                 4096                 files\n";
        assert_eq!(fds_max(limits), Some(1024));
        assert_eq!(fds_max("Max open files  unlimited  unlimited  files"), None);
        assert_eq!(
            boot_time("cpu 1 2\nbtime 1700000000\nprocesses 3\n"),
            Some(1_700_000_000)
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_memory_files_and_a_start() {
        let mut text = String::new();
        render(&mut text);
        for name in [
            "process_resident_memory_bytes",
            "process_open_fds",
            "process_threads",
            "process_start_time_seconds",
        ] {
            let value = text
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            assert!(value.unwrap().parse::<f64>().unwrap() >= 1.0, "{name}\n{text}");
        }
    }
}
