//! The gateway measured whole, as outside tests drive it: separate processes, a matrix of settings, and beside each
//! run of the gateway one of a bare byte [`relay`] at the same settings, as the floor to compare with.
//!
//! ```text
//!  tidegate load ──► tidegate serve ──► tidegate simulate-smsc      the gateway
//!  tidegate load ──►     relay      ──► tidegate simulate-smsc      the floor
//! ```
//!
//! [`matrix`] says what is run, [`run`] runs one, [`figures`] reads what came of it, [`summary`] puts repetitions
//! together, [`table`] and [`plot`] show them, and [`crate::readme`] keeps them.

mod backlog;
mod conditions;
mod curves;
mod curves_plot;
mod figures;
mod gateway;
mod kills;
mod matrix;
mod metrics;
mod options;
mod plot;
mod process;
mod relay;
mod run;
mod soak;
mod summary;
mod sweep;
mod system;
mod table;
mod watchers;

use std::error::Error;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::signal::unix::{SignalKind, signal};

use crate::readme;
use options::Options;
use process::Process;
use run::{Run, Subject};

/// Anything that may go wrong here ends the bench with its text.
type Fallible<T> = Result<T, Box<dyn Error>>;

/// Where the results go, from the top of the tree.
const README: &str = "benches/README.md";
/// The plot, from the top of the tree; the results name it relative to themselves.
const PLOT: &str = "benches/end_to_end.svg";
const IMAGE: &str =
    "![Throughput, CPU per message and latency of gateway and relay, by cell](end_to_end.svg)";

/// The same of a soak.
const SOAK_PLOT: &str = "benches/soak.svg";
const SOAK_IMAGE: &str =
    "![Resident memory, CPU and latency of the gateway over the time of a soak](soak.svg)";

/// And of curves.
const CURVES_PLOT: &str = "benches/curves.svg";
const CURVES_IMAGE: &str = "![CPU of a message with more and more of something](curves.svg)";

/// Pause between two looks at something that tells nobody when it changes.
const LOOK: Duration = Duration::from_millis(5);

/// Runs what the command line says.
pub fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("end_to_end: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn start() -> Fallible<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    // The relay is a process of its own, and this program is the one that can be counted on to be there.
    if let Some(("relay", rest)) = args.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return relay::main(rest);
    }
    let options = Options::read(&args)?;
    if options.list {
        for cell in &options.cells {
            writeln!(std::io::stdout(), "{cell}")?;
        }
        return Ok(());
    }
    let places = Places::new(&options)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        // Whichever way this ends, the processes are dropped here, and die of it.
        tokio::select! {
            done = all(&options, &places) => done,
            _ = terminate.recv() => Err("told to end".into()),
            _ = interrupt.recv() => Err("told to end".into()),
        }
    })
}

/// Runs everything. Without the program there is nothing to measure: it says so and is content, so that a plain
/// `cargo bench` runs the others.
async fn all(options: &Options, places: &Places) -> Fallible<()> {
    if let Some(why) = lacks(places).await {
        say(&format!(
            "SKIPPED: {why}; {} cells skipped, 0 run",
            options.cells.len()
        ));
        return Ok(());
    }
    places.empty()?;
    if options.backlog > 0 {
        write!(
            std::io::stdout(),
            "{}",
            backlog::run(options.backlog, places).await?
        )?;
        return Ok(());
    }
    if options.sweep > 0 {
        write!(std::io::stdout(), "{}", sweep::run(options.sweep, places).await?)?;
        return Ok(());
    }
    if options.soak > 0 {
        let (text, svg) = soak::run(options, places).await?;
        let conditions = conditions::read(places, options).await?;
        // It is one run, however many of others are asked for.
        let conditions: Vec<String> = conditions
            .iter()
            .filter(|(name, _)| *name != conditions::RUNS)
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        let text = format!("Conditions: {}.\n\n{text}", conditions.join("; "));
        write!(std::io::stdout(), "{text}")?;
        if options.write {
            fs::write(places.top.join(SOAK_PLOT), svg)?;
            readme::write(
                &places.top.join(README),
                "soak",
                &format!("{SOAK_IMAGE}\n\n{text}"),
            )?;
        }
        return Ok(());
    }
    if options.is_curves {
        let conditions = conditions::read(places, options).await?;
        let conditions: Vec<String> = conditions
            .iter()
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        let (tables, svg) = curves::run(options, places).await?;
        let text = format!("Conditions: {}.\n\n{tables}", conditions.join("; "));
        write!(std::io::stdout(), "{text}")?;
        // Part of them in the place of all would look like all.
        if options.write && options.curves.is_empty() {
            fs::write(places.top.join(CURVES_PLOT), svg)?;
            readme::write(
                &places.top.join(README),
                "curves",
                &format!("{CURVES_IMAGE}\n\n{text}"),
            )?;
        }
        return Ok(());
    }
    if options.watchers {
        write!(std::io::stdout(), "{}", watchers::run(options, places).await?)?;
        return Ok(());
    }
    if options.kills > 0 {
        let (line, faults) = kills::run(options, places).await?;
        writeln!(std::io::stdout(), "{line}")?;
        return no_faults(&faults);
    }
    let conditions = conditions::read(places, options).await?;
    let runs = matrix(options, places).await;
    let rows = summary::rows(&options.cells, &runs);
    if let Some(file) = &options.json {
        let mut fields = Map::new();
        for (name, value) in &conditions {
            fields.insert((*name).to_owned(), json!(value));
        }
        let runs: Vec<Value> = runs.iter().map(Run::json).collect();
        fs::write(
            file,
            format!("{:#}\n", json!({ "conditions": fields, "runs": runs })),
        )?;
    }
    let conditions: Vec<String> = conditions
        .iter()
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    let text = format!(
        "{}\n\nConditions: {}.\n\n{}",
        table::headline(&rows).unwrap_or_default(),
        conditions.join("; "),
        table::markdown(&rows)
    );
    writeln!(std::io::stdout(), "{}", text.trim_start())?;
    let faults: Vec<String> = runs.iter().flat_map(Run::faults_named).collect();
    no_faults(&faults)?;
    if options.write {
        fs::write(places.top.join(PLOT), plot::svg(&rows))?;
        readme::write(
            &places.top.join(README),
            "end_to_end",
            &format!("{IMAGE}\n\n{text}"),
        )?;
    }
    Ok(())
}

/// Repetitions outside, cells inside: a machine that drifts then drifts through all cells alike. The relay's run
/// follows or precedes the gateway's at once, in turn, so that being second favours neither.
async fn matrix(options: &Options, places: &Places) -> Vec<Run> {
    let mut runs = Vec::new();
    for repetition in 1..=options.repeat {
        for (index, cell) in options.cells.iter().enumerate() {
            let mut pair = [Subject::Gateway, Subject::Relay];
            if repetition % 2 == 0 {
                pair.reverse();
            }
            for subject in pair {
                let messages = options.messages_of(cell);
                let run = Run::of(places, cell, subject, messages, repetition).await;
                let (number, of) = (index + 1, options.cells.len());
                say(&format!("repetition {repetition}, cell {number} of {of}: {run}"));
                runs.push(run);
            }
        }
    }
    runs
}

fn no_faults(faults: &[String]) -> Fallible<()> {
    if faults.is_empty() {
        return Ok(());
    }
    Err(format!("FAILED:\n{}", faults.join("\n")).into())
}

/// What is missing, if anything is.
async fn lacks(places: &Places) -> Option<String> {
    let program = &places.tidegate;
    if !program.is_file() {
        return Some(format!(
            "there is no {}; build it first: cargo build --release",
            program.display()
        ));
    }
    for verb in ["load", "simulate-smsc"] {
        let help = match Process::start(verb, program, [verb, "--help"], &places.top) {
            Ok(help) => help.finish(process::DEADLINE).await,
            Err(error) => return Some(error.to_string()),
        };
        if help.is_err() || help.is_ok_and(|help| help.fault.is_some()) {
            return Some(format!("{} has no verb {verb}; build it anew", program.display()));
        }
    }
    None
}

/// For whoever watches; results alone go to standard output.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Where things are.
#[derive(Debug)]
struct Places {
    /// The top of the tree.
    top: PathBuf,
    /// The program that is measured.
    tidegate: PathBuf,
    /// This program, which is the relay too.
    this: PathBuf,
    /// What may be written to and thrown away.
    scratch: PathBuf,
}

impl Places {
    fn new(options: &Options) -> Fallible<Self> {
        let this = std::env::current_exe()?;
        // target/release/deps/end_to_end-…: what was built beside it is wherever the target directory is.
        let release = this
            .ancestors()
            .nth(2)
            .ok_or("this program stands in no target directory")?;
        let target = release
            .parent()
            .ok_or("this program stands in no target directory")?;
        let tidegate = match &options.program {
            Some(program) => fs::canonicalize(program)?,
            None => release.join("tidegate"),
        };
        Ok(Self {
            top: fs::canonicalize(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))?,
            tidegate,
            scratch: target.join("end-to-end"),
            this,
        })
    }

    /// Throws away what the last run left.
    fn empty(&self) -> Fallible<()> {
        if self.scratch.exists() {
            fs::remove_dir_all(&self.scratch)?;
        }
        Ok(fs::create_dir_all(&self.scratch)?)
    }
}
