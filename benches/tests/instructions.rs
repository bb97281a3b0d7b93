//! The instructions of a message's whole life (`tidegate_benches::life`), as callgrind counts them, against those that are
//! committed: more by a twentieth fails. They are of the profile of the tests, where little is inlined: what this sees is work that
//! was added, not code that got slower.
//!
//!     cargo test -p tidegate-benches --test instructions [-- --write]
//!
//! Without valgrind, or with another compiler than the baseline's, it says SKIPPED.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use serde::{Deserialize, Serialize};
use tidegate_benches::contest::counted;
use tidegate_benches::life::{Life, ROUND, Receipts};

type Fallible<T> = Result<T, Box<dyn Error>>;

/// Without receipts a life is a part of that.
const KINDS: [(&str, Receipts); 1] = [("final", Receipts::Final)];
/// Rounds of the two runs whose difference is counted.
const COUNTED: [u32; 2] = [1, 4];
/// By how much a count may differ.
const GATE: f64 = 0.05;
/// What stands above the baseline.
const HEAD: &str = "\
# Instructions of a message's whole life with a final receipt, as `cargo test -p tidegate-benches --test instructions` counts
# them, and the compiler that they are of. Written by the same with `-- --write`; say in the commit why.
";

/// What is committed.
#[derive(Deserialize, Serialize)]
struct Baseline {
    rustc: String,
    messages: BTreeMap<String, u64>,
}

fn main() -> Fallible<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [turn, name, rounds] = &arguments[..]
        && turn == "--turn"
    {
        return turned(name, rounds.parse()?);
    }
    let mut out = std::io::stdout();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("instructions.toml");
    let rustc = rustc()?;
    let mut now = Baseline {
        rustc,
        messages: BTreeMap::new(),
    };
    for (name, _) in KINDS {
        let count = counted(COUNTED, |rounds| {
            ["--turn", name, &rounds.to_string()].map(str::to_owned).to_vec()
        })?;
        let Some(count) = count else {
            writeln!(out, "SKIPPED: 1 test of instructions: no valgrind here")?;
            return Ok(());
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "some hundred thousand"
        )]
        let each = (count / ROUND as f64) as u64;
        now.messages.insert(name.to_owned(), each);
    }
    if arguments.iter().any(|argument| argument == "--write") {
        std::fs::write(&file, format!("{HEAD}{}", toml::to_string(&now)?))?;
        return Ok(());
    }
    let committed: Baseline = toml::from_str(&std::fs::read_to_string(&file)?)?;
    if committed.rustc != now.rustc {
        writeln!(
            out,
            "SKIPPED: 1 test of instructions: the baseline is of rustc {}, this is {}",
            committed.rustc, now.rustc
        )?;
        return Ok(());
    }
    judge(&committed, &now)
}

/// What callgrind runs.
fn turned(name: &str, rounds: u32) -> Fallible<()> {
    let kind = KINDS.iter().find(|(kind, _)| *kind == name);
    let (_, receipts) = kind.ok_or("no such kind")?;
    let dir = tempfile::tempdir()?;
    let mut life = Life::new(dir.path(), *receipts)?;
    for _ in 0..rounds {
        life.round()?;
    }
    Ok(())
}

fn rustc() -> Fallible<String> {
    let program = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let said = Command::new(program).arg("--version").output()?;
    let said = String::from_utf8(said.stdout)?;
    Ok(said
        .split_whitespace()
        .nth(1)
        .ok_or("rustc says no version")?
        .to_owned())
}

#[expect(clippy::cast_precision_loss, reason = "some hundred thousand")]
fn judge(committed: &Baseline, now: &Baseline) -> Fallible<()> {
    let mut out = std::io::stdout();
    let mut worse = Vec::new();
    for (name, count) in &now.messages {
        let was = *committed
            .messages
            .get(name)
            .ok_or("a kind that the baseline has not")?;
        let change = *count as f64 / was as f64 - 1.0;
        writeln!(
            out,
            "instructions of a message, receipts {name}: {count}, committed {was} ({:+.1} %)",
            100.0 * change
        )?;
        if change > GATE {
            worse.push(name.as_str());
        } else if change < -GATE {
            writeln!(out, "fewer than that: have it written anew")?;
        }
    }
    if worse.is_empty() {
        return Ok(());
    }
    Err(format!(
        "more instructions than are committed, receipts: {}",
        worse.join(", ")
    )
    .into())
}
