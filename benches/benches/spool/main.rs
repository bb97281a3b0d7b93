//! What the spool costs: whole lives of messages, accepted, handed over, ended with their DLR, fetched; sealed, written
//! and synced. Beside it, in the same run, the same lives with everything in sled, and the disk's own fdatasync.
//!
//!     cargo bench -p tidegate-benches --bench spool [-- --messages 1000000]

mod lives;
mod report;
mod sled_lives;

use std::error::Error;
use std::io::Write as _;
use std::time::Duration;

use lives::Lives;
use report::{Cost, percentile};

/// Messages of one batch at full windows.
const BATCH: u32 = 500;

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout();
    let mut messages = 1_000_000;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        if argument == "--messages" {
            messages = arguments.next().ok_or("--messages wants a number")?.parse()?;
        }
    }
    // In a scratch directory beside the program: what the system keeps in memory is no disk.
    let scratch = tempfile::tempdir_in(report::target_dir()?)?;
    writeln!(
        out,
        "| whole lives, with receipt | messages | msg/s | CPU µs/msg | stored octets/msg | device octets per stored |"
    )?;
    writeln!(out, "|---|--:|--:|--:|--:|--:|")?;
    let mut lives = Lives::new(&scratch.path().join("spool"))?;
    lives.run(BATCH, messages / 10);
    let cost = Cost::of(|| lives.run(BATCH, messages));
    cost.print(
        &mut out,
        "spool, two syncs per 500",
        messages,
        Some(lives.stored()),
    )?;
    let few = messages / 20;
    let mut sled = sled_lives::SledLives::new(&scratch.path().join("sled"))?;
    let cost = Cost::of(|| sled.run(BATCH, few));
    cost.print(&mut out, "everything in sled, the same syncs", few, None)?;
    drop(sled);
    let rate = 10_000;
    let paced = rate * 5;
    let mut lives = Lives::new(&scratch.path().join("paced"))?;
    let cost = Cost::of(|| lives.run_paced(rate, paced));
    cost.print(
        &mut out,
        "spool, 10 000/s, every commit as soon as the last is done",
        paced,
        Some(lives.stored()),
    )?;

    writeln!(out)?;
    writeln!(
        out,
        "| commit latency at 20 000/s, pacing off | p50 µs | p99 µs | p50 of fdatasync | p99 of fdatasync |"
    )?;
    writeln!(out, "|---|--:|--:|--:|--:|")?;
    let mut lives = Lives::new(&scratch.path().join("latency"))?;
    let (mut ours, batch_octets) = lives.accept_paced(20_000, Duration::from_secs(5));
    let mut disk = report::fdatasync(&scratch.path().join("raw"), batch_octets, 5_000)?;
    writeln!(
        out,
        "| append to release, against one write and fdatasync of the same {batch_octets} octets | {} | {} | {} | {} |",
        percentile(&mut ours, 50),
        percentile(&mut ours, 99),
        percentile(&mut disk, 50),
        percentile(&mut disk, 99),
    )?;
    Ok(())
}
