//! CPU time in turns, and instructions under callgrind.

use std::error::Error;
use std::fmt::Write as _;
use std::process::Command;

use rustix::time::{ClockId, clock_gettime};

use super::{Contest, Run};

type Fallible<T> = Result<T, Box<dyn Error>>;

/// CPU time that a turn should take, in nanoseconds: long against a reading of the clock, short against a disturbance.
const TURN_NS: u64 = 1_000_000;
/// Operations of the two runs whose difference is counted: what a process does besides is in both.
const COUNTED: [u32; 2] = [200, 1_200];

/// What one contestant takes for one operation.
#[derive(Clone, Debug)]
pub struct Figures {
    /// Who.
    pub who: &'static str,
    ours: bool,
    /// Nanoseconds of CPU: the tenth, half and nine tenths of the turns.
    pub ns: [f64; 3],
    /// `None` where callgrind is not there.
    pub instructions: Option<f64>,
}

/// A contest's results.
#[derive(Clone, Debug)]
pub struct Results {
    name: String,
    /// Of each contestant, in their order.
    pub figures: Vec<Figures>,
}

impl Contest {
    /// Everybody's turns, one after the other in every round: a disturbance meets all. The program must understand
    /// `--turn`, see [`turn`](super::turn).
    ///
    /// # Errors
    ///
    /// Callgrind is there and fails.
    pub fn run(&mut self, rounds: usize) -> Fallible<Results> {
        let times: Vec<u32> = self
            .contestants
            .iter_mut()
            .map(|contestant| calibrate(&mut contestant.run))
            .collect();
        let mut turns: Vec<Vec<f64>> = vec![Vec::with_capacity(rounds); times.len()];
        for _ in 0..rounds {
            for ((contestant, times), turns) in self.contestants.iter_mut().zip(&times).zip(&mut turns) {
                turns.push(time(&mut contestant.run, *times) as f64 / f64::from(*times));
            }
        }
        let mut figures = Vec::new();
        for (contestant, mut turns) in self.contestants.iter().zip(turns) {
            turns.sort_unstable_by(f64::total_cmp);
            figures.push(Figures {
                who: contestant.who,
                ours: contestant.ours,
                ns: [rounds / 10, rounds / 2, rounds * 9 / 10].map(|at| turns[at]),
                instructions: instructions(&self.name, contestant.who)?,
            });
        }
        Ok(Results {
            name: self.name.clone(),
            figures,
        })
    }
}

/// How many operations fill a turn.
fn calibrate(run: &mut Run) -> u32 {
    let mut times = 16;
    loop {
        let took = time(run, times);
        if took >= TURN_NS || times >= 1 << 24 {
            return times;
        }
        times *= 2;
    }
}

/// CPU time of this thread for so many operations, in nanoseconds.
fn time(run: &mut Run, times: u32) -> u64 {
    let begin = cpu_ns();
    run(times);
    cpu_ns() - begin
}

fn cpu_ns() -> u64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

/// Instructions of one operation, from two runs of this program with one contestant alone.
fn instructions(name: &str, who: &str) -> Fallible<Option<f64>> {
    counted(COUNTED, |times| {
        ["--turn", name, who, &times.to_string()]
            .map(str::to_owned)
            .to_vec()
    })
}

/// Instructions of one operation as callgrind counts them: the difference of two runs of this program, each told by its
/// arguments how many operations to do. `None` where there is no callgrind: `TIDEGATE_VALGRIND` may say where it is.
///
/// # Errors
///
/// Callgrind is there and fails, or the program under it.
pub fn counted(times: [u32; 2], arguments: impl Fn(u32) -> Vec<String>) -> Fallible<Option<f64>> {
    let mut counts = [0_u64; 2];
    for (times, count) in times.into_iter().zip(&mut counts) {
        let arguments = arguments(times);
        let valgrind = std::env::var_os("TIDEGATE_VALGRIND").filter(|path| !path.is_empty());
        let run = Command::new(valgrind.unwrap_or_else(|| "valgrind".into()))
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg(std::env::current_exe()?)
            .args(&arguments)
            .output();
        let run = match run {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            run => run?,
        };
        let said = String::from_utf8_lossy(&run.stderr);
        if !run.status.success() {
            return Err(format!("{arguments:?} failed under callgrind: {said}").into());
        }
        let collected = said
            .split_once("Collected :")
            .and_then(|(_, rest)| rest.split_whitespace().next());
        *count = collected
            .ok_or_else(|| format!("callgrind counted nothing: {said}"))?
            .parse()?;
    }
    let operations = f64::from(times[1] - times[0]);
    Ok(Some((counts[1].saturating_sub(counts[0])) as f64 / operations))
}

impl Results {
    /// The table, in Markdown: ratios are to the first of ours.
    pub fn markdown(&self) -> String {
        let mut out = format!(
            "| {} | ns | × ours | instructions | × ours |\n|---|--:|--:|--:|--:|\n",
            self.name
        );
        let ours = self.figures.iter().find(|figures| figures.ours);
        for figures in &self.figures {
            let [low, middle, high] = figures.ns;
            let ns = ours.map_or(1.0, |ours| middle / ours.ns[1]);
            let (count, ratio) = match (figures.instructions, ours.and_then(|ours| ours.instructions)) {
                (Some(count), Some(ours)) => (format!("{count:.0}"), format!("{:.2}", count / ours)),
                _ => ("SKIPPED".to_owned(), "SKIPPED".to_owned()),
            };
            let who = figures.who;
            let _ = writeln!(
                out,
                "| {who} | {middle:.1} ({low:.1}–{high:.1}) | {ns:.2} | {count} | {ratio} |"
            );
        }
        out
    }
}
