//! What admission and routing cost a message; and what the big tables cost: a million prefixes and ten million ported
//! numbers, made from a seed, loaded, looked up, and put in the place of others while look-ups go on.
//!
//!     cargo bench -p tidegate-benches --bench admission [-- --write | --rows 100000 | --messages]

mod data;
mod lookups;
mod messages;
mod swap;

use std::error::Error;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use tidegate_benches::readme;
use tidegate_gateway::tables::{TableSize, Tables};

/// What may fail here fails the run.
type Fallible<T> = Result<T, Box<dyn Error>>;

const PORTED: usize = 10_000_000;
const USAGE: &str = "\
options:
  --rows N              ported numbers, a tenth as many prefixes; default 10000000
  --messages            only what admission and routing cost
  --write               put the tables into benches/README.md
  --turn NAME WHO N     one kind of account, N messages, nothing printed: what is run to count instructions";

fn main() -> Fallible<()> {
    let (mut rows, mut write, mut all) = (PORTED, false, true);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--turn" => return messages::turn(&arguments.collect::<Vec<_>>()),
            "--rows" => rows = arguments.next().ok_or(USAGE)?.parse()?,
            "--write" => write = true,
            "--messages" => all = false,
            // Cargo's own.
            "--bench" => {}
            _ => return Err(USAGE.into()),
        }
    }
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let out = messages::report()?;
    writeln!(std::io::stdout(), "{out}")?;
    if write {
        readme::write(&readme, "messages", out.trim_end())?;
    }
    if !all {
        return Ok(());
    }
    let program = std::env::current_exe()?;
    let scratch = tempfile::tempdir_in(program.parent().unwrap_or(Path::new(".")))?;
    let made = data::Made::new(scratch.path(), rows)?;

    let before = memory("VmRSS:")?;
    let (began, cpu_before) = (now(), cpu());
    let tables = Tables::load(&made.config)?;
    let (took, cpu_took) = (began.elapsed(), cpu().saturating_sub(cpu_before));
    let (resident, most) = (memory("VmRSS:")?.saturating_sub(before), memory("VmHWM:")?);
    let mut out = "| loaded | rows | octets a row |\n|---|--:|--:|\n".to_owned();
    let mut line = |name: &str, size: TableSize| {
        let each = size.octets as f64 / size.rows as f64;
        writeln!(out, "| {name} | {} | {each:.1} |", size.rows)
    };
    line("ported numbers", tables.ported_size())?;
    line("prefixes and ranges", tables.networks_size())?;
    line("prices of one carrier, by network", tables.prices_size())?;
    writeln!(
        out,
        "\nAll of it in {:.1} s, {:.1} of CPU; {} MB are resident afterwards, {} MB at most while it is read.\n",
        took.as_secs_f64(),
        cpu_took.as_secs_f64(),
        resident >> 20,
        most.saturating_sub(before) >> 20
    )?;
    out += &lookups::report(&tables, &made)?;
    out.push('\n');
    out += &swap::report(tables, &made)?;
    writeln!(std::io::stdout(), "{out}")?;
    if write {
        readme::write(&readme, "admission", out.trim_end())?;
    }
    Ok(())
}

/// This moment.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn now() -> Instant {
    Instant::now()
}

/// CPU time of this thread.
fn cpu() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        now.tv_sec.try_into().unwrap_or(0),
        now.tv_nsec.try_into().unwrap_or(0),
    )
}

/// Octets of this process's memory, by the kernel's name for them.
fn memory(name: &str) -> Fallible<u64> {
    let text = std::fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let kilobytes = line.and_then(|line| line.split_whitespace().next());
    Ok(kilobytes.ok_or("the kernel does not say")?.parse::<u64>()? << 10)
}

/// In nanoseconds, of sorted ones.
fn percentile(sorted: &[u64], permille: usize) -> u64 {
    sorted
        .get((sorted.len() * permille / 1_000).min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or_default()
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
