//! The whole life of a message through a gate, without sockets: CPU and instructions of the gateway's own work.
//!
//!     cargo bench -p tidegate-benches --bench life [-- --rounds 2000 | --only final]
//!
//! `--rounds N` does only so many rounds of `--only`, for a profiler around it.

use std::error::Error;
use std::io::Write as _;
use std::time::Duration;

use tidegate_benches::contest::counted;
use tidegate_benches::life::{Life, ROUND, Receipts};
use tidegate_benches::rig::per;
use tidegate_gateway::clock::process_cpu;

type Fallible<T> = Result<T, Box<dyn Error>>;

const KINDS: [(&str, Receipts); 2] = [("final", Receipts::Final), ("none", Receipts::None)];
/// Rounds of a turn, and turns, of each kind; they take turns.
const ROUNDS: usize = 100;
const TURNS: usize = 30;
/// Rounds before anything is measured: tables have grown, and what is kept for later use is there.
const WARM: usize = 20;
/// Rounds of the two runs whose difference is counted.
const COUNTED: [u32; 2] = [20, 40];

fn main() -> Fallible<()> {
    let (mut only, mut rounds) = (None, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--rounds" => rounds = Some(arguments.next().ok_or("--rounds N")?.parse::<usize>()?),
            "--only" => only = arguments.next(),
            "--bench" => {}
            // `cargo test` runs benches too, to see that they start.
            "--test" => return Ok(()),
            other => return Err(format!("{other} is no option: --rounds N, --only final|none").into()),
        }
    }
    let kinds = KINDS
        .iter()
        .filter(|(name, _)| only.as_ref().is_none_or(|only| only == name));
    if let Some(rounds) = rounds {
        for (_, receipts) in kinds {
            let dir = tempfile::tempdir()?;
            let mut life = Life::new(dir.path(), *receipts)?;
            for _ in 0..rounds {
                life.round()?;
            }
        }
        return Ok(());
    }
    let mut lives = Vec::new();
    for (name, receipts) in kinds {
        let dir = tempfile::tempdir()?;
        let mut life = Life::new(dir.path(), *receipts)?;
        for _ in 0..WARM {
            life.round()?;
        }
        lives.push((*name, life, Vec::new(), dir));
    }
    for _ in 0..TURNS {
        for (_, life, turns, _) in &mut lives {
            let begin = process_cpu();
            for _ in 0..ROUNDS {
                life.round()?;
            }
            turns.push(process_cpu().saturating_sub(begin));
        }
    }
    let mut out = std::io::stdout();
    writeln!(
        out,
        "| receipts | CPU µs a message | instructions |\n|---|--:|--:|"
    )?;
    for (name, _, mut turns, _) in lives {
        turns.sort_unstable();
        let [low, middle, high] = [TURNS / 10, TURNS / 2, TURNS * 9 / 10].map(|at| us(turns[at]));
        let count = counted(COUNTED, |rounds| {
            ["--only", name, "--rounds", &rounds.to_string()]
                .map(str::to_owned)
                .to_vec()
        })?;
        let count = count.map_or("SKIPPED".to_owned(), |count| {
            format!("{:.0}", count / ROUND as f64)
        });
        writeln!(out, "| {name} | {middle:.2} ({low:.2}–{high:.2}) | {count} |")?;
    }
    Ok(())
}

/// Microseconds of each message of a turn.
fn us(turn: Duration) -> f64 {
    per(
        u64::try_from(turn.as_nanos()).unwrap_or(u64::MAX),
        (ROUNDS * ROUND) as u64,
    ) / 1e3
}
