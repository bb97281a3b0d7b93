//! What the codec costs, beside the SMPP and GSM-7 crates that others use, in one run: CPU time and instructions of
//! each operation over the same octets.
//!
//!     cargo bench -p tidegate-benches --bench codec [-- --write | --only TEXT]

mod cases;
mod own;
mod peers;
mod text;

use std::error::Error;
use std::io::Write as _;
use std::path::Path;

use tidegate_benches::contest::{self, Contest};
use tidegate_benches::readme;

/// Rounds in which every contestant of a contest takes a turn.
const ROUNDS: usize = 60;

const USAGE: &str = "\
options:
  --only TEXT          the contests whose name holds TEXT
  --write              put the tables into benches/README.md
  --turn NAME WHO N    one contestant, N operations, nothing printed: what is run to count instructions";

/// What may fail here fails the run.
type Fallible<T> = Result<T, Box<dyn Error>>;

fn contests() -> Vec<Contest> {
    [peers::contests(), text::contests(), own::contests()]
        .into_iter()
        .flatten()
        .collect()
}

fn main() -> Fallible<()> {
    let (mut only, mut write) = (String::new(), false);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--turn" => return contest::turn(contests(), &arguments.collect::<Vec<_>>()),
            "--only" => only = arguments.next().ok_or(USAGE)?,
            "--write" => write = true,
            // Cargo's own.
            "--bench" => {}
            _ => return Err(USAGE.into()),
        }
    }
    let mut out = std::io::stdout();
    let mut tables = String::new();
    for mut contest in contests() {
        if contest.name.contains(&only) {
            let table = contest.run(ROUNDS)?.markdown();
            writeln!(out, "{table}")?;
            tables.push_str(&table);
            tables.push('\n');
        }
    }
    if write && only.is_empty() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
        readme::write(&file, "codec", tables.trim_end())?;
    }
    Ok(())
}
